// SPDX-License-Identifier: GPL-2.0
/*
 * Rows: pages that leave and come back, in instructions a page, and the bytes that
 * are stored of them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define MAX_ROUNDS	3

static const size_t runs[] = { 1, 8, 64, 512 };

#define RUNS	(sizeof(runs) / sizeof(*runs))

/* What one round costs, an array of rounds each. */
struct costs {
	double out[RUNS][MAX_ROUNDS], order[MAX_ROUNDS], random[MAX_ROUNDS], zipf[MAX_ROUNDS],
	       store[MAX_ROUNDS], after[MAX_ROUNDS], clean[MAX_ROUNDS];
	struct moved clean_moved;
};

static double timed_out(struct side *side, size_t run, const char *what)
{
	struct moved before = counters(side), after;
	uint64_t cost = measure(side, page_out, run);

	after = counters(side);
	/* A file's are not counted up, they are those that are out now. */
	if (side->maker->kind == FILE_MAP)
		before.out = 0;
	expect(side, what, after.out - before.out, BENCH_PAGES);
	return (double)cost / BENCH_PAGES;
}

/* Instructions for each of @pages that come in. */
static double timed_in(struct side *side, work_fn touch, size_t pages)
{
	struct moved before = counters(side), after;
	uint64_t cost = measure(side, touch, 0);

	after = counters(side);
	expect(side, "paged in", after.in - before.in, pages);
	return (double)cost / pages;
}

static void fill(struct side *side, const unsigned char *corpus)
{
	memcpy(side->base, corpus, side->length);
}

static void verify(struct side *side, const unsigned char *corpus)
{
	if (memcmp(side->base, corpus, side->length) != 0)
		die("%s: wrong content", side->maker->name);
}

static void one_round(struct side *side, const unsigned char *corpus, struct costs *costs,
		      int i)
{
	fill(side, corpus);
	costs->out[3][i] = timed_out(side, runs[3], "paged out");
	costs->order[i] = timed_in(side, load_in_order, BENCH_PAGES);
	costs->clean[i] = timed_out(side, runs[3], "paged out again");
	costs->random[i] = timed_in(side, load_shuffled, BENCH_PAGES);
	costs->after[i] = (double)measure(side, store_shuffled, 0) / BENCH_PAGES;
	verify(side, corpus);

	fill(side, corpus);
	costs->out[2][i] = timed_out(side, runs[2], "paged out");
	costs->zipf[i] = timed_in(side, load_zipf, zipf_pages);
	load_in_order(side, 0);
	verify(side, corpus);

	fill(side, corpus);
	costs->out[1][i] = timed_out(side, runs[1], "paged out");
	costs->store[i] = timed_in(side, store_shuffled, BENCH_PAGES);
	verify(side, corpus);

	fill(side, corpus);
	costs->out[0][i] = timed_out(side, runs[0], "paged out");
	load_in_order(side, 0);
	verify(side, corpus);
}

static double touch_cost[BENCH_PAGES];

static void load_each(struct side *side, size_t unused)
{
	(void)unused;
	for (size_t i = 0; i < BENCH_PAGES; i++) {
		const unsigned char *at = side->base + shuffled[i] * PAGE;
		uint64_t start = now();

		(void)*(volatile const unsigned char *)at;
		touch_cost[i] = now() - start;
	}
}

/* Bytes of compressed data on zram0, without their metadata; false without one. */
static bool zram_bytes(uint64_t *compressed)
{
	FILE *file = fopen("/sys/block/zram0/mm_stat", "re");
	uint64_t original;
	bool found;

	if (!file)
		return false;
	found = fscanf(file, "%" SCNu64 " %" SCNu64, &original, compressed) == 2;
	fclose(file);
	return found;
}

static uint64_t pool_bytes(void)
{
	return read_counter("/proc/vmstat", "nr_zspages") * PAGE;
}

/* Everything is resident and, by a store to each page, has no copy. */
static void stored_rows(struct side *side, const char *corpus)
{
	const struct maker *maker = side->maker;
	uint64_t pool = pool_bytes(), before = 0, after = 0;
	bool zram = strstr(maker->name, "zram") && zram_bytes(&before);

	timed_out(side, 512, "paged out");
	if (maker->kind == SWAPVMA)
		after = region_stats(side).stored_bytes;
	else if (zram && !zram_bytes(&after))
		die("zram is gone");
	if (maker->kind == SWAPVMA || zram)
		emit(maker, "stored bytes", corpus, "bytes/page",
		     (double)(after - before) / BENCH_PAGES, BENCH_PAGES);
	if (strstr(maker->name, "lz4") || strstr(maker->name, "zstd"))
		emit(maker, "pool bytes", corpus, "bytes/page",
		     (double)(int64_t)(pool_bytes() - pool) / BENCH_PAGES, BENCH_PAGES);
}

static void emit_median(const struct maker *maker, const char *row, const char *corpus,
			double *values, int rounds, uint64_t pages)
{
	sort_values(values, rounds);
	emit(maker, row, corpus, "insn/page", values[rounds / 2], pages);
}

void swap_rows(const struct maker *maker, const char *corpus)
{
	const unsigned char *content = find_corpus(corpus);
	int rounds = strcmp(corpus, "c-source") == 0 ? MAX_ROUNDS : 1;
	struct costs costs = { 0 };
	struct side side;
	char row[64];

	if (!content)
		die("no corpus %s", corpus);
	progress(maker, "swapout and swapin", corpus);
	side = open_side(maker, BENCH_PAGES * PAGE);
	/* Caches and pools become warm, and are empty again. */
	fill(&side, content);
	page_out(&side, 512);
	load_in_order(&side, 0);
	fill(&side, content);
	if (maker->kind == SWAPVMA || maker->kind == ANON || maker->kind == MEMFD) {
		close_side(&side);
		side = open_side(maker, BENCH_PAGES * PAGE);
		fill(&side, content);
		stored_rows(&side, corpus);
		load_in_order(&side, 0);
	}
	for (int i = 0; i < rounds; i++)
		one_round(&side, content, &costs, i);
	for (size_t i = 0; i < RUNS; i++) {
		snprintf(row, sizeof(row), "swapout, runs of %zu", runs[i]);
		emit_median(maker, row, corpus, costs.out[i], rounds, BENCH_PAGES);
	}
	emit_median(maker, "swapout, clean page again", corpus, costs.clean, rounds, BENCH_PAGES);
	emit_median(maker, "swapin, sequential", corpus, costs.order, rounds, BENCH_PAGES);
	emit_median(maker, "swapin, random", corpus, costs.random, rounds, BENCH_PAGES);
	emit_median(maker, "swapin, zipf", corpus, costs.zipf, rounds, zipf_pages);
	emit_median(maker, "swapin, random store", corpus, costs.store, rounds, BENCH_PAGES);
	emit_median(maker, "first store after a swapin", corpus, costs.after, rounds,
		    BENCH_PAGES);

	fill(&side, content);
	timed_out(&side, 512, "paged out");
	timed_in(&side, load_each, BENCH_PAGES);
	sort_values(touch_cost, BENCH_PAGES);
	emit(maker, "swapin, random, median", corpus, "insn",
	     percentile(touch_cost, BENCH_PAGES, 0.5), BENCH_PAGES);
	emit(maker, "swapin, random, p99", corpus, "insn",
	     percentile(touch_cost, BENCH_PAGES, 0.99), BENCH_PAGES);
	close_side(&side);
}
