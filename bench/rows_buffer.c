// SPDX-License-Identifier: GPL-2.0
/*
 * Rows: buffers of TTM, the memory manager of graphics drivers, that are in the memory
 * of the machine. TTM swaps out a buffer as a whole, into a file of shared memory, the
 * one that was not used for the longest time, when its debugfs asks for it; whoever
 * touches a page of a buffer gets all of it back.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"

#define CARD		"/dev/dri/card0"
#define TTM_SHRINK	"/sys/kernel/debug/ttm/tt_shrink"

/* Of drm/drm.h and drm/drm_mode.h, which a machine may not have. */
struct create_dumb {
	uint32_t height, width, bpp, flags, handle, pitch;
	uint64_t size;
};

struct map_dumb {
	uint32_t handle, pad;
	uint64_t offset;
};

struct destroy_dumb {
	uint32_t handle;
};

#define CREATE_DUMB	_IOWR('d', 0xb2, struct create_dumb)
#define MAP_DUMB	_IOWR('d', 0xb3, struct map_dumb)
#define DESTROY_DUMB	_IOWR('d', 0xb4, struct destroy_dumb)

/* All BENCH_PAGES pages, in buffers of so many. */
struct buffers {
	int card, shrink;
	size_t run;
	uint32_t handles[BENCH_PAGES];
	unsigned char *maps[BENCH_PAGES];
};

static const unsigned char *content;

static unsigned char *page_of(struct buffers *buffers, size_t page)
{
	return buffers->maps[page / buffers->run] + page % buffers->run * PAGE;
}

/* Lines of a page. */
static void create(struct buffers *buffers, size_t i)
{
	struct create_dumb create = { .width = PAGE / 4, .height = buffers->run, .bpp = 32 };
	struct map_dumb map = { 0 };

	if (ioctl(buffers->card, CREATE_DUMB, &create) != 0)
		die(CARD ", a buffer: %s", strerror(errno));
	if (create.size != buffers->run * PAGE)
		die(CARD ": a buffer of %" PRIu64 " bytes", create.size);
	buffers->handles[i] = create.handle;
	map.handle = create.handle;
	if (ioctl(buffers->card, MAP_DUMB, &map) != 0)
		die(CARD ", mapping a buffer: %s", strerror(errno));
	buffers->maps[i] = mmap(NULL, create.size, PROT_READ | PROT_WRITE, MAP_SHARED,
				buffers->card, map.offset);
	if (buffers->maps[i] == MAP_FAILED)
		die(CARD ", mmap of a buffer: %s", strerror(errno));
}

static void destroy(struct buffers *buffers, size_t i)
{
	struct destroy_dumb destroy = { .handle = buffers->handles[i] };

	munmap(buffers->maps[i], buffers->run * PAGE);
	if (ioctl(buffers->card, DESTROY_DUMB, &destroy) != 0)
		die(CARD ": %s", strerror(errno));
}

/* Pages of shared memory, of which nobody else makes any. */
static uint64_t shared_pages(void)
{
	int fd = open("/proc/sys/vm/stat_refresh", O_RDONLY | O_CLOEXEC);
	char nothing;

	if (fd < 0 || read(fd, &nothing, 1) < 0)
		die("stat_refresh: %s", strerror(errno));
	close(fd);
	return read_counter("/proc/vmstat", "nr_shmem");
}

static void expect_pages(const struct maker *maker, const char *what, uint64_t got)
{
	if (got != BENCH_PAGES)
		die("%s: %s %" PRIu64 " of %lu pages", maker->name, what, got, BENCH_PAGES);
}

/* Returns instructions a page. TTM says how many pages it took. */
static double swap_out(const struct maker *maker, struct buffers *buffers)
{
	uint64_t before = shared_pages(), idle = idle_time(), start = now(), cost, out = 0;

	for (size_t i = 0; i < BENCH_PAGES / buffers->run; i++) {
		char text[32] = "";

		if (pread(buffers->shrink, text, sizeof(text) - 1, 0) <= 0)
			die(TTM_SHRINK ": %s", strerror(errno));
		out += strtol(text, NULL, 10);
	}
	cost = now() - start;
	check_idle(maker->name, idle);
	expect_pages(maker, "swapped out", out);
	expect_pages(maker, "stored", shared_pages() - before);
	return (double)cost / BENCH_PAGES;
}

static double swap_in(const struct maker *maker, struct buffers *buffers, bool in_order)
{
	uint64_t before = shared_pages(), idle = idle_time(), start = now(), cost;

	for (size_t i = 0; i < BENCH_PAGES; i++) {
		size_t page = in_order ? i : shuffled[i];

		(void)*(volatile unsigned char *)page_of(buffers, page);
	}
	cost = now() - start;
	check_idle(maker->name, idle);
	expect_pages(maker, "swapped in", before - shared_pages());
	for (size_t i = 0; i < BENCH_PAGES; i++) {
		if (memcmp(page_of(buffers, i), content + i * PAGE, PAGE) != 0)
			die("%s: wrong content", maker->name);
	}
	return (double)cost / BENCH_PAGES;
}

static void rows_of(const struct maker *maker, const char *corpus, struct buffers *buffers)
{
	double out = 0, order = 0, random = 0;
	char row[64];

	for (size_t i = 0; i < BENCH_PAGES / buffers->run; i++)
		create(buffers, i);
	for (size_t i = 0; i < BENCH_PAGES; i++)
		memcpy(page_of(buffers, i), content + i * PAGE, PAGE);
	/* The first time is to warm up. */
	for (int round = 0; round < 2; round++) {
		out = swap_out(maker, buffers);
		order = swap_in(maker, buffers, true);
		swap_out(maker, buffers);
		random = swap_in(maker, buffers, false);
	}
	snprintf(row, sizeof(row), "swapout, runs of %zu", buffers->run);
	emit(maker, row, corpus, "insn/page", out, BENCH_PAGES);
	/* As after the longest runs of the others. */
	if (buffers->run == 512) {
		emit(maker, "swapin, sequential", corpus, "insn/page", order, BENCH_PAGES);
		emit(maker, "swapin, random", corpus, "insn/page", random, BENCH_PAGES);
	}
	for (size_t i = 0; i < BENCH_PAGES / buffers->run; i++)
		destroy(buffers, i);
}

void buffer_rows(const struct maker *maker, const char *corpus)
{
	static const size_t runs[] = { 1, 8, 64, 512 };
	static struct buffers buffers;

	content = find_corpus(corpus);
	if (!content)
		die("no corpus %s", corpus);
	buffers.card = open(CARD, O_RDWR | O_CLOEXEC);
	if (buffers.card < 0)
		die(CARD ": %s", strerror(errno));
	buffers.shrink = open(TTM_SHRINK, O_RDONLY | O_CLOEXEC);
	if (buffers.shrink < 0)
		die(TTM_SHRINK ": %s", strerror(errno));
	for (size_t i = 0; i < sizeof(runs) / sizeof(*runs); i++) {
		progress(maker, "buffers", i ? "larger ones" : "of a page");
		buffers.run = runs[i];
		rows_of(maker, corpus, &buffers);
	}
	close(buffers.shrink);
	close(buffers.card);
}
