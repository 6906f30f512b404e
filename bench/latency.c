// SPDX-License-Identifier: GPL-2.0
/*
 * Rows of the guest with two processors: what a fault waits while the other one
 * swaps, and munmap while a batch is in flight. Nothing here is a time: faults are
 * in units of the peer's median in the same round, munmap in batches.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"

#define ROUNDS		11
#define SAMPLES		(ROUNDS * BENCH_PAGES)
#define OTHER_PAGES	256UL
#define UNMAP_PAGES	512UL
#define UNMAP_ROUNDS	9

static atomic_bool stop;

static void pin_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		die("cannot run on processor %d", cpu);
}

static void start_thread(pthread_t *thread, void *(*body)(void *), void *argument)
{
	if (pthread_create(thread, NULL, body, argument) != 0)
		die("cannot create a thread");
}

static atomic_ulong cycles;

/* Swaps a mapping of its own out and in. */
static void *swap_on(void *argument)
{
	struct side *side = argument;

	pin_to(1);
	while (!stop) {
		store_in_order(side, 0);
		page_out(side, 64);
		cycles++;
	}
	return NULL;
}

static void fault_each(const struct maker *maker, bool busy, double *samples)
{
	struct side side = open_side(maker, BENCH_PAGES * PAGE);
	struct side other = open_side(maker, OTHER_PAGES * PAGE);
	const unsigned char *corpus = find_corpus("c-source");
	pthread_t thread;

	memcpy(side.base, corpus, side.length);
	memcpy(other.base, corpus, other.length);
	page_out(&side, 512);
	stop = false;
	cycles = 0;
	if (busy) {
		start_thread(&thread, swap_on, &other);
		while (cycles == 0)
			sched_yield();
	}
	for (size_t i = 0; i < BENCH_PAGES; i++) {
		const unsigned char *at = side.base + shuffled[i] * PAGE;
		uint64_t start = now();

		(void)*(volatile const unsigned char *)at;
		samples[i] = now() - start;
	}
	stop = true;
	if (busy)
		pthread_join(thread, NULL);
	if (memcmp(side.base, corpus, side.length) != 0)
		die("%s: wrong content", maker->name);
	close_side(&side);
	close_side(&other);
}

static void of_peers_median(double *ours, double *peers)
{
	static double sorted[BENCH_PAGES];
	double median;

	memcpy(sorted, peers, sizeof(sorted));
	sort_values(sorted, BENCH_PAGES);
	median = percentile(sorted, BENCH_PAGES, 0.5);
	for (size_t i = 0; i < BENCH_PAGES; i++) {
		ours[i] /= median;
		peers[i] /= median;
	}
}

static void emit_percentiles(const struct maker *maker, const char *when, double *samples)
{
	static const char * const names[] = {
		"p1", "p10", "p25", "p50", "p75", "p90", "p95", "p99", "p99.5", "p99.9",
	};
	static const double shares[] = {
		0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999,
	};
	char row[64];

	sort_values(samples, SAMPLES);
	for (size_t i = 0; i < sizeof(shares) / sizeof(*shares); i++) {
		snprintf(row, sizeof(row), "random read fault, %s, %s", when, names[i]);
		emit(maker, row, "c-source", "peer's median", percentile(samples, SAMPLES, shares[i]),
		     SAMPLES);
	}
}

/* In turns, so that what else this machine does meets both. */
void latency_rows(const struct maker *ours, const struct maker *peer)
{
	static double samples[2][SAMPLES];
	static const char * const when[] = { "other CPU idle", "other CPU swaps" };

	pin_to(0);
	for (int busy = 0; busy < 2; busy++) {
		progress(ours, "latency", when[busy]);
		for (size_t round = 0; round < ROUNDS; round++) {
			double *mine = samples[0] + round * BENCH_PAGES;
			double *theirs = samples[1] + round * BENCH_PAGES;

			fault_each(ours, busy, mine);
			fault_each(peer, busy, theirs);
			of_peers_median(mine, theirs);
		}
		emit_percentiles(ours, when[busy], samples[0]);
		emit_percentiles(peer, when[busy], samples[1]);
	}
}

static uint64_t nanoseconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ULL + time.tv_nsec;
}

static void *page_all_out(void *argument)
{
	pin_to(1);
	page_out_range(argument, 0, UNMAP_PAGES * PAGE);
	return NULL;
}

/* Nanoseconds of one batch while nobody waits for it. */
static double batch_time(const struct maker *maker)
{
	struct side side = open_side(maker, UNMAP_PAGES * PAGE);
	uint64_t start, end;
	double batches;

	memcpy(side.base, find_corpus("c-source"), side.length);
	start = nanoseconds();
	page_out(&side, UNMAP_PAGES);
	end = nanoseconds();
	batches = region_stats(&side).batches;
	close_side(&side);
	return (end - start) / batches;
}

/* What munmap waits, in batches in flight; less than 0 if it came too late. */
static double munmap_wait(const struct maker *maker, double batch)
{
	struct side side = open_side(maker, UNMAP_PAGES * PAGE);
	struct swapvma_stats stats;
	pthread_t thread;
	uint64_t in_flight;
	double wait = -1;

	memcpy(side.base, find_corpus("c-source"), side.length);
	start_thread(&thread, page_all_out, &side);
	do {
		stats = region_stats(&side);
	} while (stats.batches < 2 && stats.swapouts == 0);
	in_flight = stats.in_swapout;
	unmap_side(&side);
	stats = region_stats(&side);
	if (in_flight != 0 && stats.munmap_waits != 0)
		wait = stats.munmap_wait_ns / batch / in_flight;
	pthread_join(thread, NULL);
	close_side(&side);
	return wait;
}

void munmap_rows(const struct maker *maker)
{
	static const char * const delays[] = { "0", "1", "10", "100" };
	double waits[UNMAP_ROUNDS];
	char row[64];

	for (size_t i = 0; i < sizeof(delays) / sizeof(*delays); i++) {
		size_t waited = 0;
		double batch;

		snprintf(row, sizeof(row), "driver takes %s ms a batch", delays[i]);
		progress(maker, "munmap", row);
		write_file("/sys/kernel/debug/swapvma_test/delay_ms", delays[i]);
		batch = batch_time(maker);
		for (int round = 0; round < UNMAP_ROUNDS * 8 && waited < UNMAP_ROUNDS; round++) {
			double wait = munmap_wait(maker, batch);

			if (wait >= 0)
				waits[waited++] = wait;
		}
		if (waited == 0)
			die("no munmap met a batch in flight with %s ms", delays[i]);
		sort_values(waits, waited);
		snprintf(row, sizeof(row), "munmap wait, driver delay %s ms, median", delays[i]);
		emit(maker, row, "c-source", "batches in flight", waits[waited / 2], UNMAP_PAGES);
		snprintf(row, sizeof(row), "munmap wait, driver delay %s ms, most", delays[i]);
		emit(maker, row, "c-source", "batches in flight", waits[waited - 1], UNMAP_PAGES);
	}
	write_file("/sys/kernel/debug/swapvma_test/delay_ms", "0");
}
