// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
/* The clock, which counts instructions, and what is done with values. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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

static pthread_t spinner;
static bool spinning;

/* In place of the idle task. */
static void *spin(void *unused)
{
	const struct sched_param none = { 0 };

	(void)unused;
	if (sched_setscheduler(0, SCHED_IDLE, &none) != 0)
		die("SCHED_IDLE: %s", strerror(errno));
	__atomic_store_n(&spinning, true, __ATOMIC_RELEASE);
	while (__atomic_load_n(&spinning, __ATOMIC_RELAXED))
		;
	return NULL;
}

static uint64_t spun(void)
{
	struct timespec time;
	clockid_t clock;

	if (pthread_getcpuclockid(spinner, &clock) != 0 || clock_gettime(clock, &time) != 0)
		die("no time of a thread");
	return time.tv_sec * 1000000000ULL + time.tv_nsec;
}

uint64_t busy_now(void)
{
	return now() - spun();
}

void busy_begin(void)
{
	const uint64_t slept = 100000000;
	uint64_t start, ticks, busy;

	if (pthread_create(&spinner, NULL, spin, NULL) != 0)
		die("cannot create a thread");
	while (!__atomic_load_n(&spinning, __ATOMIC_ACQUIRE))
		sched_yield();
	usleep(1000);
	busy = busy_now();
	start = now();
	usleep(slept / 1000);
	ticks = now() - start;
	busy = busy_now() - busy;
	if (ticks < slept || busy > slept / 50)
		die("the time that is spun is not known: %" PRIu64 " of %" PRIu64 " are left",
		    busy, ticks);
}

void busy_end(void)
{
	__atomic_store_n(&spinning, false, __ATOMIC_RELEASE);
	pthread_join(spinner, NULL);
}

uint64_t measure_busy(struct side *side, work_fn work, size_t argument)
{
	uint64_t idle = idle_time(), start = busy_now(), ticks;

	work(side, argument);
	ticks = busy_now() - start;
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
