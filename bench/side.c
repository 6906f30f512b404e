// SPDX-License-Identifier: GPL-2.0
/*
 * The kinds of memory: a region of swapvma, anonymous memory, a memfd, a file, and
 * anonymous memory whose faults a handler answers. Which device the kernel swaps
 * to is set up by bench/guest.
 */
#define _GNU_SOURCE
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

static const char * const kinds[] = {
	[SWAPVMA] = "swapvma", [ANON] = "anon", [MEMFD] = "memfd", [FILE_MAP] = "file",
	[UFFD] = "uffd",
};

/* Cuts off and returns what is before the next colon. */
static const char *next_word(char **rest)
{
	char *word = strsep(rest, ":");

	return word ? word : "";
}

struct maker parse_maker(const char *name, const char *text)
{
	struct maker maker = { .name = name };
	char *copy = strdup(text), *rest = copy;
	const char *kind = next_word(&rest);
	size_t i = 0;

	while (i < sizeof(kinds) / sizeof(*kinds) && strcmp(kind, kinds[i]) != 0)
		i++;
	if (i == sizeof(kinds) / sizeof(*kinds))
		die("no kind of memory is called %s", kind);
	maker.kind = i;
	if (i == SWAPVMA) {
		snprintf(maker.driver, sizeof(maker.driver), "%s", next_word(&rest));
		snprintf(maker.algorithm, sizeof(maker.algorithm), "%s", next_word(&rest));
	}
	snprintf(maker.options, sizeof(maker.options), "%s", next_word(&rest));
	free(copy);
	return maker;
}

static int create_region(const struct maker *maker, size_t length)
{
	static int device = -1;
	struct swapvma_create create = {
		.flags = SWAPVMA_CREATE_CLOEXEC,
		.size = length,
		.limit = SWAPVMA_LIMIT_NONE,
		.options = *maker->options ? (uintptr_t)maker->options : 0,
	};
	int fd;

	if (device < 0)
		device = open("/dev/swapvma", O_RDWR | O_CLOEXEC);
	if (device < 0)
		die("/dev/swapvma: %s", strerror(errno));
	memcpy(create.driver, maker->driver, sizeof(create.driver));
	memcpy(create.algorithm, maker->algorithm, sizeof(create.algorithm));
	fd = ioctl(device, SWAPVMA_IOC_CREATE, &create);
	if (fd < 0)
		die("SWAPVMA_IOC_CREATE for %s: %s", maker->name, strerror(errno));
	return fd;
}

struct side create_side(const struct maker *maker, size_t length)
{
	struct side side = { .maker = maker, .fd = -1, .length = length };

	switch (maker->kind) {
	case SWAPVMA:
		side.fd = create_region(maker, length);
		break;
	case MEMFD:
		side.fd = memfd_create("bench", MFD_CLOEXEC);
		break;
	case FILE_MAP:
		side.fd = open(maker->options, O_RDWR | O_CLOEXEC);
		break;
	case ANON:
	case UFFD:
		return side;
	}
	if (side.fd < 0 || (maker->kind == MEMFD && ftruncate(side.fd, length) != 0))
		die("%s: %s", maker->name, strerror(errno));
	return side;
}

void map_side(struct side *side)
{
	int flags = side->fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;

	side->base = mmap(NULL, side->length, PROT_READ | PROT_WRITE, flags, side->fd, 0);
	if (side->base == MAP_FAILED)
		die("mmap of %s: %s", side->maker->name, strerror(errno));
	if (side->fd < 0 && madvise(side->base, side->length, MADV_NOHUGEPAGE) != 0 &&
	    errno != EINVAL)
		die("MADV_NOHUGEPAGE: %s", strerror(errno));
	/* No readahead, as swap has none here, and no large folios. */
	if (side->maker->kind == FILE_MAP && madvise(side->base, side->length, MADV_RANDOM) != 0)
		die("MADV_RANDOM: %s", strerror(errno));
	if (side->maker->kind == UFFD)
		side->uffd = uffd_start(side->base, side->length);
}

void unmap_side(struct side *side)
{
	if (side->uffd)
		uffd_stop(side->uffd);
	side->uffd = NULL;
	if (munmap(side->base, side->length) != 0)
		die("munmap of %s: %s", side->maker->name, strerror(errno));
	side->base = NULL;
}

struct side open_side(const struct maker *maker, size_t length)
{
	struct side side = create_side(maker, length);

	map_side(&side);
	return side;
}

void close_side(struct side *side)
{
	if (side->base)
		unmap_side(side);
	if (side->fd >= 0)
		close(side->fd);
	side->fd = -1;
}

struct swapvma_stats region_stats(const struct side *side)
{
	struct swapvma_stats stats = { 0 };

	if (ioctl(side->fd, SWAPVMA_IOC_STATS, &stats) != 0)
		die("SWAPVMA_IOC_STATS: %s", strerror(errno));
	return stats;
}

uint64_t read_counter(const char *path, const char *name)
{
	char line[256];
	size_t length = strlen(name);
	uint64_t value = 0;
	bool found = false;
	FILE *file = fopen(path, "re");

	if (!file)
		die("%s: %s", path, strerror(errno));
	while (!found && fgets(line, sizeof(line), file)) {
		if (strncmp(line, name, length) == 0 && strchr(" :\t", line[length]) != NULL) {
			value = strtoull(line + length + 1, NULL, 10);
			found = true;
		}
	}
	fclose(file);
	if (!found)
		die("%s has no %s", path, name);
	return value;
}

void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		die("%s: %s", path, strerror(errno));
	close(fd);
}

/* A file has no counter of its own: what is in the page cache came in. */
static struct moved file_moved(const struct side *side)
{
	size_t pages = side->length / PAGE;
	unsigned char *present = malloc(pages);
	struct moved moved = { 0 };

	if (!present || mincore(side->base, side->length, present) != 0)
		die("mincore: %s", strerror(errno));
	for (size_t i = 0; i < pages; i++)
		moved.in += present[i] & 1;
	moved.out = pages - moved.in;
	free(present);
	return moved;
}

struct moved counters(const struct side *side)
{
	const char *vmstat = "/proc/vmstat";
	struct moved moved = { 0 };

	switch (side->maker->kind) {
	case SWAPVMA: {
		struct swapvma_stats stats = region_stats(side);

		moved.out = stats.swapouts + stats.same_filled + stats.clean_drops;
		moved.in = stats.swapins;
		break;
	}
	case ANON:
	case MEMFD:
		moved.out = read_counter(vmstat, "pswpout") + read_counter(vmstat, "zswpout") +
			    read_counter(vmstat, "swpout_zero");
		moved.in = read_counter(vmstat, "pswpin") + read_counter(vmstat, "zswpin") +
			   read_counter(vmstat, "swpin_zero");
		break;
	case FILE_MAP:
		moved = file_moved(side);
		break;
	case UFFD:
		moved = uffd_moved(side->uffd);
		break;
	}
	return moved;
}

void expect(const struct side *side, const char *what, uint64_t got, uint64_t wanted)
{
	if (got != wanted)
		die("%s: %s %" PRIu64 " of %" PRIu64 " pages", side->maker->name, what, got,
		    wanted);
}

void page_out_range(struct side *side, size_t offset, size_t length)
{
	struct swapvma_range range = { .offset = offset, .length = length };

	switch (side->maker->kind) {
	case SWAPVMA:
		if (ioctl(side->fd, SWAPVMA_IOC_PAGEOUT, &range) != 0)
			die("SWAPVMA_IOC_PAGEOUT: %s", strerror(errno));
		return;
	case UFFD:
		uffd_page_out(side->uffd, offset, length);
		return;
	case FILE_MAP:
		/* Reclaim does not write pages of files. */
		if (msync(side->base + offset, length, MS_SYNC) != 0)
			die("msync: %s", strerror(errno));
		break;
	case ANON:
	case MEMFD:
		break;
	}
	if (madvise(side->base + offset, length, MADV_PAGEOUT) != 0)
		die("MADV_PAGEOUT: %s", strerror(errno));
}

void page_out(struct side *side, size_t run)
{
	for (size_t at = 0; at < side->length; at += run * PAGE) {
		size_t left = side->length - at;

		page_out_range(side, at, left < run * PAGE ? left : run * PAGE);
	}
}

static void load(struct side *side, size_t page)
{
	(void)*(volatile unsigned char *)(side->base + page * PAGE);
}

void load_in_order(struct side *side, size_t unused)
{
	(void)unused;
	for (size_t i = 0; i < side->length / PAGE; i++)
		load(side, i);
}

void load_shuffled(struct side *side, size_t unused)
{
	(void)unused;
	for (size_t i = 0; i < BENCH_PAGES; i++)
		load(side, shuffled[i]);
}

void load_zipf(struct side *side, size_t unused)
{
	(void)unused;
	for (size_t i = 0; i < BENCH_PAGES; i++)
		load(side, zipf[i]);
}

void store_in_order(struct side *side, size_t unused)
{
	(void)unused;
	for (size_t at = 0; at < side->length; at += PAGE)
		*(volatile unsigned char *)(side->base + at) = 1;
}

/* Stores what is there. */
void store_shuffled(struct side *side, size_t unused)
{
	(void)unused;
	for (size_t i = 0; i < BENCH_PAGES; i++) {
		unsigned char *at = side->base + shuffled[i] * PAGE;

		asm volatile("orb $0, %0" : "+m" (*at));
	}
}
