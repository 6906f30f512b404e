// SPDX-License-Identifier: GPL-2.0
/*
 * Rows: pages that come back while fewer may be in memory than are used: a region at
 * its limit beside anonymous memory in a cgroup with the same one; and both in such a
 * cgroup, with pages of which nothing is stored, as that would be charged to a region's
 * cgroup alone.
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
	const char *row, *corpus;
	next_fn next;
	bool has_cgroup;	/* the region, too */
} patterns[] = {
	{ "zipf at a limit", "c-source", next_zipf, false },
	{ "loop plus scan at a limit", "c-source", next_of_loop_and_scan, false },
	{ "loop at a limit", "c-source", next_of_loop, false },
	{ "zipf at memory.max", "zero", next_zipf, true },
	{ "loop plus scan at memory.max", "zero", next_of_loop_and_scan, true },
	{ "loop at memory.max", "zero", next_of_loop, true },
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

/* The same for both, a region's own or that of the cgroup. */
static void set_limit(const struct side *side, bool has_cgroup)
{
	struct swapvma_limit limit = { .limit = LIMIT_PAGES * PAGE };

	if (!has_cgroup) {
		if (ioctl(side->fd, SWAPVMA_IOC_SET_LIMIT, &limit) != 0)
			die("SWAPVMA_IOC_SET_LIMIT: %s", strerror(errno));
		return;
	}
	/* Page tables are charged as well. */
	set_cgroup("memory.max", LIMIT_PAGES + ALL_PAGES / 512);
}

static void one_pattern(const struct maker *maker, const struct pattern *pattern)
{
	bool has_cgroup = pattern->has_cgroup || maker->kind != SWAPVMA;
	const unsigned char *content = find_corpus(pattern->corpus);
	struct moved before, after;
	struct side side;

	progress(maker, pattern->row, pattern->corpus);
	if (has_cgroup)
		enter_cgroup();
	side = open_side(maker, ALL_PAGES * PAGE);
	set_limit(&side, has_cgroup);
	for (size_t i = 0; i < ALL_PAGES; i++)
		memcpy(side.base + i * PAGE, content + i % BENCH_PAGES * PAGE, PAGE);
	/* What is used is in memory, as far as it fits. */
	touch(&side, pattern->next);
	before = counters(&side);
	touch(&side, pattern->next);
	after = counters(&side);
	emit(maker, pattern->row, pattern->corpus, "refaults/1000 touches",
	     (double)(after.in - before.in) * 1000 / TOUCHES, TOUCHES);
	for (size_t i = 0; i < ALL_PAGES; i++) {
		if (memcmp(side.base + i * PAGE, content + i % BENCH_PAGES * PAGE, PAGE) != 0)
			die("%s: wrong content", maker->name);
	}
	close_side(&side);
	if (has_cgroup) {
		leave_cgroup();
		remove_cgroup();
	}
}

void limit_rows(const struct maker *maker)
{
	for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns); i++)
		one_pattern(maker, &patterns[i]);
}
