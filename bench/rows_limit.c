// SPDX-License-Identifier: GPL-2.0
/*
 * Rows: pages that come back while fewer may be in memory than are used: a region at
 * its limit beside anonymous memory in a cgroup with the same one.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "bench.h"

#define LIMIT_PAGES	4096UL
#define ALL_PAGES	(4 * LIMIT_PAGES)
#define TOUCHES		(4 * LIMIT_PAGES)

/* Which page is used next. */
typedef size_t (*next_fn)(size_t touch);

static size_t next_zipf(size_t unused)
{
	(void)unused;
	/* Neighbours are used as often as others. */
	return draw_zipf() * (ALL_PAGES / BENCH_PAGES) + draw_zipf() % (ALL_PAGES / BENCH_PAGES);
}

/* A loop over half of what fits, and between its pages others, each of them once. */
static size_t next_of_loop_and_scan(size_t touch)
{
	const size_t loop = LIMIT_PAGES / 2;

	if (touch % 2)
		return touch / 2 % loop;
	return loop + touch / 2 % (ALL_PAGES - loop);
}

/* A loop over a little more than fits. */
static size_t next_of_loop(size_t touch)
{
	return touch % (LIMIT_PAGES * 5 / 4);
}

static const struct pattern {
	const char *row;
	next_fn next;
} patterns[] = {
	{ "zipf at a limit", next_zipf },
	{ "loop plus scan at a limit", next_of_loop_and_scan },
	{ "loop at a limit", next_of_loop },
};

static void touch(struct side *side, next_fn next)
{
	for (size_t i = 0; i < TOUCHES; i++) {
		unsigned char *at = side->base + next(i) * PAGE;

		/* Every fourth is a store. */
		if (i % 4)
			(void)*(volatile unsigned char *)at;
		else
			asm volatile("orb $0, %0" : "+m" (*at));
	}
}

/* The same for both: a region's limit is its own, and the cgroup's is that of pages. */
static void set_limit(const struct side *side)
{
	struct swapvma_limit limit = { .limit = LIMIT_PAGES * PAGE };

	if (side->maker->kind == SWAPVMA) {
		if (ioctl(side->fd, SWAPVMA_IOC_SET_LIMIT, &limit) != 0)
			die("SWAPVMA_IOC_SET_LIMIT: %s", strerror(errno));
		return;
	}
	/* Page tables are charged as well. */
	set_cgroup("memory.max", LIMIT_PAGES + ALL_PAGES / 512);
}

static void one_pattern(const struct maker *maker, const struct pattern *pattern)
{
	const unsigned char *content = find_corpus("c-source");
	struct moved before, after;
	struct side side;

	progress(maker, pattern->row, "c-source");
	if (maker->kind != SWAPVMA)
		enter_cgroup();
	side = open_side(maker, ALL_PAGES * PAGE);
	set_limit(&side);
	for (size_t i = 0; i < ALL_PAGES; i++)
		memcpy(side.base + i * PAGE, content + i % BENCH_PAGES * PAGE, PAGE);
	/* What is used is in memory, as far as it fits. */
	touch(&side, pattern->next);
	before = counters(&side);
	touch(&side, pattern->next);
	after = counters(&side);
	emit(maker, pattern->row, "c-source", "refaults/1000 touches",
	     (double)(after.in - before.in) * 1000 / TOUCHES, TOUCHES);
	for (size_t i = 0; i < ALL_PAGES; i++) {
		if (memcmp(side.base + i * PAGE, content + i % BENCH_PAGES * PAGE, PAGE) != 0)
			die("%s: wrong content", maker->name);
	}
	close_side(&side);
	if (maker->kind != SWAPVMA) {
		leave_cgroup();
		remove_cgroup();
	}
}

void limit_rows(const struct maker *maker)
{
	for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns); i++)
		one_pattern(maker, &patterns[i]);
}
