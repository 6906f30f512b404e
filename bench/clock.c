// SPDX-License-Identifier: GPL-2.0
/* The clock, which counts instructions, and what is done with values. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

#define TURNS	100000UL

/* Two instructions a turn, and at times an interrupt. */
void check_clock(void)
{
	uint64_t ticks = UINT64_MAX;

	for (int i = 0; i < 10; i++) {
		uint64_t left = TURNS, start = now(), this;

		asm volatile("1: dec %0; jnz 1b" : "+r" (left));
		this = now() - start;
		ticks = this < ticks ? this : ticks;
	}
	if (ticks < 2 * TURNS || ticks > 2 * TURNS + TURNS / 25)
		die("the clock does not count instructions: %" PRIu64 " for %" PRIu64
		    " (run me with scripts/vm --icount)", ticks, 2 * TURNS);
}

uint64_t idle_time(void)
{
	unsigned long long user, nice, system, idle;
	FILE *file = fopen("/proc/stat", "re");

	if (!file || fscanf(file, "cpu %llu %llu %llu %llu", &user, &nice, &system, &idle) != 4)
		die("cannot read /proc/stat");
	fclose(file);
	return idle;
}

void check_idle(const char *what, uint64_t idle)
{
	/* One unit may have been about to be full. */
	if (idle_time() - idle > 1)
		die("%s: the processor was idle, so the clock jumped", what);
}

uint64_t measure(struct side *side, work_fn work, size_t argument)
{
	uint64_t idle = idle_time(), start = now(), ticks;

	work(side, argument);
	ticks = now() - start;
	check_idle(side->maker->name, idle);
	return ticks;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void sort_values(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare);
}

double percentile(double *sorted, size_t count, double share)
{
	size_t at = count * share;

	return sorted[at < count ? at : count - 1];
}
