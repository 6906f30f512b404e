// SPDX-License-Identifier: GPL-2.0
/*
 * Rows: what it costs when it is the cgroup that has pages go. Some of that is waiting,
 * which is not counted.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define SET_PAGES	(2 * BENCH_PAGES)
#define LIMIT_PAGES	(3 * BENCH_PAGES / 2)
#define ASKS_MAX	1000

static const unsigned char *content;

static void fill(struct side *side)
{
	for (size_t i = 0; i < side->length / PAGE; i++)
		memcpy(side->base + i * PAGE, content + i % BENCH_PAGES * PAGE, PAGE);
}

static void verify(struct side *side)
{
	for (size_t i = 0; i < side->length / PAGE; i++) {
		if (memcmp(side->base + i * PAGE, content + i % BENCH_PAGES * PAGE, PAGE) != 0)
			die("%s: wrong content", side->maker->name);
	}
}

/*
 * Asks until all pages are out. The kernel says EAGAIN of what it does not count, as
 * pages of regions.
 */
static void reclaim_all(struct side *side, size_t unused)
{
	uint64_t before = counters(side).out, asks = 0;

	(void)unused;
	while (counters(side).out - before < BENCH_PAGES) {
		int error = ask_cgroup("memory.reclaim", BENCH_PAGES);

		if (error && error != EAGAIN)
			die("memory.reclaim: %s", strerror(error));
		if (++asks == ASKS_MAX)
			die("%s: %" PRIu64 " pages after %" PRIu64 " memory.reclaim",
			    side->maker->name, counters(side).out - before, asks);
	}
}

/* Twice, so that pools are warm. */
static void reclaim_row(const struct maker *maker, const char *corpus)
{
	uint64_t cost = 0;

	for (int round = 0; round < 2; round++) {
		struct moved before;
		struct side side;

		enter_cgroup();
		side = open_side(maker, BENCH_PAGES * PAGE);
		fill(&side);
		leave_cgroup();
		/* Reclaim that has just waited for one cgroup does not wait for another. */
		usleep(500000);
		before = counters(&side);
		cost = measure_busy(&side, reclaim_all, 0);
		expect(&side, "reclaimed", counters(&side).out - before.out, BENCH_PAGES);
		verify(&side);
		close_side(&side);
		remove_cgroup();
	}
	emit(maker, "swapout, memory.reclaim", corpus, "insn/page", (double)cost / BENCH_PAGES,
	     BENCH_PAGES);
}

/* Stores to one page after the other until so many have left. */
static void store_until(struct side *side, size_t pages)
{
	uint64_t before = counters(side).out;
	static size_t at;

	while (counters(side).out - before < pages) {
		for (int i = 0; i < 64; i++) {
			asm volatile("orb $0, %0" : "+m" (side->base[at * PAGE]));
			at = (at + 1) % SET_PAGES;
		}
	}
}

/* Percent of the pages that left between two looks that needed no write for it. */
static double clean_share(const struct swapvma_stats *before, const struct swapvma_stats *after)
{
	uint64_t clean = after->clean_drops - before->clean_drops;
	uint64_t all = clean + after->swapouts - before->swapouts +
		       after->same_filled - before->same_filled;

	if (!all)
		die("no page left");
	return 100.0 * clean / all;
}

/* What a region stores is charged as well, so more of its pages are out. */
static void max_row(const struct maker *maker, const char *corpus)
{
	bool is_region = maker->kind == SWAPVMA;
	struct swapvma_stats first, last;
	struct moved before, after;
	struct side side;
	uint64_t cost;

	enter_cgroup();
	side = open_side(maker, SET_PAGES * PAGE);
	set_cgroup("memory.max", LIMIT_PAGES);
	fill(&side);
	store_until(&side, BENCH_PAGES);
	before = counters(&side);
	if (is_region)
		first = region_stats(&side);
	cost = measure_busy(&side, store_until, BENCH_PAGES);
	after = counters(&side);
	emit(maker, "out and in, memory.max", corpus, "insn/page",
	     (double)cost / (after.out - before.out), after.out - before.out);
	if (is_region) {
		last = region_stats(&side);
		emit(maker, "left without a write, memory.max", corpus, "percent",
		     clean_share(&first, &last), after.out - before.out);
	}
	verify(&side);
	close_side(&side);
	leave_cgroup();
	remove_cgroup();
}

void cgroup_rows(const struct maker *maker, const char *corpus)
{
	content = find_corpus(corpus);
	if (!content)
		die("no corpus %s", corpus);
	progress(maker, "memory.reclaim and memory.max", corpus);
	busy_begin();
	reclaim_row(maker, corpus);
	max_row(maker, corpus);
	busy_end();
}
