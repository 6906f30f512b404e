// SPDX-License-Identifier: GPL-2.0
/* Rows: faults that move nothing, munmap, and fork. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

static void per_page(const struct maker *maker, const char *row, const char *corpus,
		     uint64_t cost)
{
	emit(maker, row, corpus, "insn/page", (double)cost / BENCH_PAGES, BENCH_PAGES);
}

/* Each page of a new mapping, the second time, when the pools are warm. */
static uint64_t first_touch(const struct maker *maker, work_fn touch)
{
	uint64_t cost = 0;

	for (int round = 0; round < 2; round++) {
		struct side side = open_side(maker, BENCH_PAGES * PAGE);

		cost = measure(&side, touch, 0);
		if (maker->kind == SWAPVMA)
			expect(&side, "made", region_stats(&side).resident, BENCH_PAGES);
		close_side(&side);
	}
	return cost;
}

/* Faults on pages that are in memory and that no page table maps. */
static uint64_t refault(const struct maker *maker, work_fn touch)
{
	struct side side = open_side(maker, BENCH_PAGES * PAGE);
	uint64_t cost = 0;

	memcpy(side.base, find_corpus("c-source"), side.length);
	for (int round = 0; round < 2; round++) {
		if (madvise(side.base, side.length, MADV_DONTNEED) != 0)
			die("MADV_DONTNEED: %s", strerror(errno));
		cost = measure(&side, touch, 0);
	}
	if (memcmp(side.base, find_corpus("c-source"), side.length) != 0)
		die("%s: wrong content", maker->name);
	close_side(&side);
	return cost;
}

static void load_every_other(struct side *side, size_t unused)
{
	(void)unused;
	for (size_t i = 0; i < BENCH_PAGES; i++)
		(void)*(volatile unsigned char *)(side->base + 2 * i * PAGE);
}

/* The same when each page has a mapping of its own: nothing is around it. */
static uint64_t refault_alone(const struct maker *maker)
{
	struct side side = open_side(maker, BENCH_PAGES * PAGE);
	uint64_t cost = 0;

	memcpy(side.base, find_corpus("c-source"), side.length);
	munmap(side.base, side.length);
	side.base = mmap(NULL, 2 * side.length, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	for (size_t i = 0; side.base != MAP_FAILED && i < BENCH_PAGES; i++) {
		if (mmap(side.base + 2 * i * PAGE, PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, side.fd, i * PAGE) == MAP_FAILED)
			die("mmap: %s", strerror(errno));
	}
	if (side.base == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	cost = measure(&side, load_every_other, 0);
	munmap(side.base, 2 * side.length);
	side.base = NULL;
	close_side(&side);
	return cost;
}

static void unmap(struct side *side, size_t unused)
{
	(void)unused;
	unmap_side(side);
}

static void finish(struct side *side, size_t unused)
{
	(void)unused;
	close_side(side);
}

/* @out: every so many pages is swapped; 0 for none. */
static struct side half_out(const struct maker *maker, size_t out)
{
	struct side side = open_side(maker, BENCH_PAGES * PAGE);
	uint64_t wanted = out ? BENCH_PAGES / out : 0;
	struct moved before;

	memcpy(side.base, find_corpus("c-source"), side.length);
	before = counters(&side);
	if (out == 1)
		page_out(&side, 512);
	for (size_t i = 0; out > 1 && i < BENCH_PAGES; i += out)
		page_out_range(&side, i * PAGE, PAGE);
	expect(&side, "paged out", counters(&side).out - before.out, wanted);
	/* Whoever paged out may hold the file for a moment longer, and would close it. */
	usleep(100000);
	return side;
}

static void munmap_rows_of(const struct maker *maker, size_t out, const char *state)
{
	char row[64];
	struct side side;

	/* The pages of a region or a file outlive the mapping. */
	snprintf(row, sizeof(row), "munmap, %s", state);
	if (maker->kind != ANON) {
		for (int round = 0; round < 2; round++) {
			uint64_t cost;

			side = half_out(maker, out);
			cost = measure(&side, unmap, 0);
			if (round > 0)
				per_page(maker, row, "c-source", cost);
			close_side(&side);
		}
	}
	snprintf(row, sizeof(row), "munmap and close, %s", state);
	for (int round = 0; round < 2; round++) {
		uint64_t cost;

		side = half_out(maker, out);
		cost = measure(&side, finish, 0);
		if (round > 0)
			per_page(maker, row, "c-source", cost);
	}
}

static void fork_once(struct side *side, size_t unused)
{
	pid_t child = fork();

	(void)side;
	(void)unused;
	if (child == 0)
		_exit(0);
	if (child < 0 || waitpid(child, NULL, 0) != child)
		die("fork: %s", strerror(errno));
}

/* Of the process, in which there is little else. */
static void fork_rows(const struct maker *maker)
{
	static const char * const names[] = { "fork and exit, resident", "fork and exit, swapped" };

	for (int out = 0; out < 2; out++) {
		struct side side = half_out(maker, out);

		fork_once(&side, 0);
		emit(maker, names[out], "c-source", "insn", measure(&side, fork_once, 0),
		     BENCH_PAGES);
		close_side(&side);
	}
}

void fault_rows(const struct maker *maker)
{
	progress(maker, "faults, munmap, fork", "");
	per_page(maker, "first touch, store", "zero", first_touch(maker, store_in_order));
	/* Anonymous memory maps the one page of zeroes and makes none. */
	if (maker->kind != ANON) {
		per_page(maker, "first touch, load", "zero", first_touch(maker, load_in_order));
		per_page(maker, "refault, sequential, fault-around", "c-source",
			 refault(maker, load_in_order));
		per_page(maker, "refault, random, fault-around", "c-source",
			 refault(maker, load_shuffled));
		per_page(maker, "refault, one fault each", "c-source",
			 refault_alone(maker));
	}
	munmap_rows_of(maker, 0, "resident");
	munmap_rows_of(maker, 1, "swapped");
	munmap_rows_of(maker, 2, "mixed");
	fork_rows(maker);
}
