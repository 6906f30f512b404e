// SPDX-License-Identifier: GPL-2.0
/*
 * The shrinker, through its files in debugfs: it looks at one cgroup on one node,
 * drops what needs no write, calls no driver in anybody's allocation, and leaves
 * regions what they are to keep.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <linux/mempolicy.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"
#include "swapvma_cgroup.h"
#include "swapvma_util.h"

FIXTURE(shrinker)
{
	struct sv_baseline base;
};

FIXTURE_SETUP(shrinker)
{
	const char *missing;

	sv_begin(&self->base);
	missing = cg_begin_charged();
	if (missing)
		SKIP(return, "%s", missing);
}

FIXTURE_TEARDOWN_PARENT(shrinker)
{
	EXPECT_TRUE(cg_end());
	EXPECT_TRUE(sv_end(&self->base));
}

/* The shrinker does nothing but what it is asked for: clean pages go, at once. */
TEST_F(shrinker, scan)
{
	size_t pages = PAGES_OF(MB(4));
	char path[PATH_MAX], *map;
	struct swapvma_stats stats;
	struct cg_neighbour n;
	uint64_t batches;
	int fd;

	if (!cg_shrinker(path, "scan"))
		SKIP(return, "no shrinker in debugfs");
	cg_neighbour_begin(&n);
	fd = cg_create_region("a", "test", pages, SV_NO_LIMIT);
	ASSERT_EQ(0, cg_counted("a", 0) + cg_counted("a", 1));
	map = sv_map_rw(fd, pages);
	sv_fill_range(map, 0, pages, SV_TEXT, 1);
	ASSERT_EQ(pages, cg_counted("a", 0) + cg_counted("a", 1));
	ASSERT_EQ(CG_NEIGHBOUR, cg_counted("b", 0) + cg_counted("b", 1));
	ASSERT_EQ(0, msync(map, pages * SV_PAGE, MS_SYNC));
	sv_stats(fd, &stats);
	batches = stats.batches;
	cg_scan("a", 0, SV_BATCH);
	cg_scan("a", cg_counted("a", 1) ? 1 : 0, SV_BATCH);
	sv_stats(fd, &stats);
	ASSERT_EQ(2 * SV_BATCH, stats.clean_drops);
	ASSERT_EQ(2 * SV_BATCH, stats.swapped);
	ASSERT_EQ(pages - 2 * SV_BATCH, cg_counted("a", 0) + cg_counted("a", 1));
	ASSERT_EQ(CG_NEIGHBOUR, cg_counted("b", 0) + cg_counted("b", 1));
	ASSERT_TRUE(cg_neighbour_untouched(&n));
	ASSERT_EQ(0, sv_check_range(map, 0, pages, SV_TEXT, 1));
	ASSERT_EQ(batches, stats.batches);
}

/*
 * An allocation calls no driver: the scan returns although the driver does not, and
 * says nothing was freed, after at most the time that a reclaimer is kept.
 */
TEST_F(shrinker, waits_a_while)
{
	size_t pages = 4 * SV_BATCH;
	uint64_t start, took;
	char path[PATH_MAX];
	char *map;
	int fd;

	if (!cg_shrinker(path, "scan"))
		SKIP(return, "no shrinker in debugfs");
	fd = cg_create_region("a", "test", pages, SV_NO_LIMIT);
	map = sv_map_rw(fd, pages);
	sv_fill_range(map, 0, pages, SV_TEXT, 1);
	sv_set("block", 1);
	start = sv_now_ms();
	cg_scan("a", 0, SV_BATCH);
	took = sv_now_ms() - start;
	ASSERT_TRUE(sv_wait_for(sv_get("blocked") == 1));
	ASSERT_GT(1000 * sv_slow(), took);
	ASSERT_EQ(pages, SV_STAT(fd, resident));
	sv_set("block", 0);
	ASSERT_TRUE(sv_pageout_all(fd));
	ASSERT_EQ(0, sv_check_range(map, 0, pages, SV_TEXT, 1));
}

/* Pages of two nodes: one of them is shrunk. */
TEST_F(shrinker, nodes)
{
	size_t half = PAGES_OF(MB(2)), node;
	char path[PATH_MAX], *map;
	int fd;

	if (!cg_shrinker(path, "scan") || access("/sys/devices/system/node/node1", F_OK))
		SKIP(return, "one node");
	fd = cg_create_region("a", "test", 2 * half, SV_NO_LIMIT);
	map = sv_map_rw(fd, 2 * half);
	for (node = 0; node < 2; node++) {
		unsigned long mask = 1ul << node;

		ASSERT_EQ(0, syscall(SYS_set_mempolicy, MPOL_BIND, &mask, 8 * sizeof(mask)));
		sv_fill_range(map, node * half, half, SV_TEXT, 1);
	}
	ASSERT_EQ(0, syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0));
	ASSERT_EQ(half, cg_counted("a", 0));
	ASSERT_EQ(half, cg_counted("a", 1));
	ASSERT_EQ(0, msync(map, 2 * half * SV_PAGE, MS_SYNC));
	cg_scan("a", 1, SV_BATCH);
	ASSERT_EQ(half, cg_counted("a", 0));
	ASSERT_EQ(half - SV_BATCH, cg_counted("a", 1));
	cg_scan("a", 1, half);
	ASSERT_EQ(half, cg_counted("a", 0));
	ASSERT_EQ(0, cg_counted("a", 1));
	ASSERT_EQ(half, SV_STAT(fd, resident));
	ASSERT_EQ(0, sv_check_range(map, 0, 2 * half, SV_TEXT, 1));
}

/*
 * The regions of a cgroup that was removed are its parent's, which has several owners
 * then, and each of them has its turn.
 */
TEST_F(shrinker, removed)
{
	static const char * const groups[] = { "a/c", "a/d" };
	size_t pages = SV_BATCH;
	char path[PATH_MAX], *maps[2];
	int fds[2], i;

	if (!cg_shrinker(path, "scan"))
		SKIP(return, "no shrinker in debugfs");
	cg_set("a", "cgroup.subtree_control", "+memory");
	for (i = 0; i < 2; i++) {
		cg_make(groups[i]);
		fds[i] = cg_create_region(groups[i], "test", pages, SV_NO_LIMIT);
		maps[i] = sv_map_rw(fds[i], pages);
		sv_fill_range(maps[i], 0, pages, SV_TEXT, 1);
		ASSERT_EQ(0, msync(maps[i], pages * SV_PAGE, MS_SYNC));
		ASSERT_EQ(0, cg_gone(groups[i]));
	}
	ASSERT_TRUE(sv_wait_for(cg_counted("a", 0) + cg_counted("a", 1) == 2 * pages));
	cg_scan("a", 0, 2 * pages);
	if (!access("/sys/devices/system/node/node1", F_OK))
		cg_scan("a", 1, 2 * pages);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, SV_STAT(fds[i], resident));
		ASSERT_EQ(0, sv_check_range(maps[i], 0, pages, SV_TEXT, 1));
	}
}

/*
 * A region has what it may keep under memory pressure taken away last: from the other
 * one as long as that has pages, from what it has besides, and only then from all.
 */
TEST_F(shrinker, low)
{
	size_t pages = 4 * SV_BATCH;
	char path[PATH_MAX], *maps[2];
	int fds[2], i;

	if (!cg_shrinker(path, "scan"))
		SKIP(return, "no shrinker in debugfs");
	if (!access("/sys/devices/system/node/node1", F_OK))
		SKIP(return, "pages are on two nodes");
	for (i = 0; i < 2; i++) {
		fds[i] = cg_create_region("a", "test", pages, SV_NO_LIMIT);
		maps[i] = sv_map_rw(fds[i], pages);
		sv_fill_range(maps[i], 0, pages, SV_TEXT, 1);
		/* What is clean leaves at once. */
		ASSERT_EQ(0, msync(maps[i], pages * SV_PAGE, MS_SYNC));
	}
	ASSERT_EQ(0, sv_set_low(fds[0], pages));
	ASSERT_EQ(pages * SV_PAGE, SV_STAT(fds[0], low));
	cg_scan("a", 0, pages / 2);
	ASSERT_EQ(pages, SV_STAT(fds[0], resident));
	ASSERT_EQ(pages / 2, SV_STAT(fds[1], resident));
	cg_scan("a", 0, pages / 2);
	ASSERT_EQ(pages, SV_STAT(fds[0], resident));
	ASSERT_EQ(0, SV_STAT(fds[1], resident));
	/* Nothing is left but this. */
	cg_scan("a", 0, SV_BATCH);
	ASSERT_EQ(pages - SV_BATCH, SV_STAT(fds[0], resident));
	/* One has pages to spare, the other one has not. */
	ASSERT_EQ(0, sv_check_range(maps[1], 0, pages, SV_TEXT, 1));
	ASSERT_EQ(0, sv_set_low(fds[0], pages - 2 * SV_BATCH));
	ASSERT_EQ(0, sv_set_low(fds[1], pages));
	cg_scan("a", 0, SV_BATCH);
	ASSERT_EQ(pages - 2 * SV_BATCH, SV_STAT(fds[0], resident));
	ASSERT_EQ(pages, SV_STAT(fds[1], resident));
	/* Who owns the region is not protected from himself. */
	ASSERT_TRUE(sv_pageout_all(fds[1]));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, sv_check_range(maps[i], 0, pages, SV_TEXT, 1));
}

#define REGIONS	4

/* Regions of "a", each of @pages clean pages. */
static void clean_regions(struct __test_metadata *_metadata, size_t pages, int *fds, char **maps)
{
	int i;

	for (i = 0; i < REGIONS; i++) {
		fds[i] = cg_create_region("a", "test", pages, SV_NO_LIMIT);
		maps[i] = sv_map_rw(fds[i], pages);
		sv_fill_range(maps[i], 0, pages, SV_TEXT, 1);
		ASSERT_EQ(0, msync(maps[i], pages * SV_PAGE, MS_SYNC));
	}
}

/* The lowest priority first, and those of one priority alike; of one cgroup. */
TEST_F(shrinker, priority)
{
	static const int priorities[REGIONS] = { 3, -20, 0, 20 }, order[REGIONS] = { 1, 2, 0, 3 };
	size_t pages = 2 * SV_BATCH;
	char path[PATH_MAX], *maps[REGIONS];
	struct cg_neighbour n;
	int fds[REGIONS], i, j;

	if (!cg_shrinker(path, "scan"))
		SKIP(return, "no shrinker in debugfs");
	if (!access("/sys/devices/system/node/node1", F_OK))
		SKIP(return, "pages are on two nodes");
	cg_neighbour_begin(&n);
	ASSERT_EQ(0, sv_set_priority(n.fd, -20));
	clean_regions(_metadata, pages, fds, maps);
	for (i = 0; i < REGIONS; i++) {
		ASSERT_EQ(0, sv_set_priority(fds[i], priorities[i]));
		ASSERT_EQ(priorities[i], SV_STAT(fds[i], priority));
	}
	for (i = 0; i < REGIONS; i++) {
		/* It gives a half, and the other one, and the others nothing. */
		for (j = 0; j < 2; j++) {
			ASSERT_EQ((2 - j) * pages / 2, SV_STAT(fds[order[i]], resident));
			cg_scan("a", 0, pages / 2);
		}
		for (j = 0; j < REGIONS; j++)
			ASSERT_EQ(j <= i ? 0 : pages, SV_STAT(fds[order[j]], resident));
	}
	ASSERT_TRUE(cg_neighbour_untouched(&n));
	for (i = 0; i < REGIONS; i++)
		ASSERT_EQ(0, sv_check_range(maps[i], 0, pages, SV_TEXT, 1));
}

/* What a region may keep is taken last, whatever the priorities are. */
TEST_F(shrinker, low_above_priority)
{
	size_t pages = 2 * SV_BATCH;
	char path[PATH_MAX], *maps[REGIONS];
	int fds[REGIONS], i;

	if (!cg_shrinker(path, "scan"))
		SKIP(return, "no shrinker in debugfs");
	if (!access("/sys/devices/system/node/node1", F_OK))
		SKIP(return, "pages are on two nodes");
	clean_regions(_metadata, pages, fds, maps);
	for (i = 0; i < REGIONS; i++)
		ASSERT_EQ(0, sv_set_priority(fds[i], i));
	ASSERT_EQ(0, sv_set_low(fds[0], SV_BATCH));
	ASSERT_EQ(0, sv_set_low(fds[1], pages));
	cg_scan("a", 0, SV_BATCH);
	ASSERT_EQ(SV_BATCH, SV_STAT(fds[0], resident));
	for (i = 0; i < 4; i++)
		cg_scan("a", 0, SV_BATCH);
	ASSERT_EQ(SV_BATCH, SV_STAT(fds[0], resident));
	ASSERT_EQ(pages, SV_STAT(fds[1], resident));
	ASSERT_EQ(0, SV_STAT(fds[2], resident));
	ASSERT_EQ(0, SV_STAT(fds[3], resident));
	cg_scan("a", 0, SV_BATCH);
	ASSERT_EQ(0, SV_STAT(fds[0], resident));
	ASSERT_EQ(pages, SV_STAT(fds[1], resident));
}

/*
 * Regions that have pages and cannot give them do not keep another one from giving, of
 * their priority or of a higher one.
 */
static void others_give(struct __test_metadata *_metadata, int priority)
{
	size_t pages = 2 * SV_BATCH;
	char path[PATH_MAX], *maps[REGIONS];
	int fds[REGIONS], i, last = REGIONS - 1;

	if (!cg_shrinker(path, "scan"))
		SKIP(return, "no shrinker in debugfs");
	for (i = 0; i < REGIONS; i++) {
		fds[i] = cg_create_region("a", i == last ? "ram" : "test", pages, SV_NO_LIMIT);
		maps[i] = sv_map_rw(fds[i], pages);
		sv_fill_range(maps[i], 0, pages, SV_TEXT, i);
	}
	ASSERT_EQ(0, sv_set_priority(fds[last], priority));
	sv_set_word("answer", "kept");
	/* Their swapper has to find out. */
	ASSERT_TRUE(sv_wait_for(({
		cg_scan("a", 0, SV_BATCH);
		cg_scan("a", cg_counted("a", 1) ? 1 : 0, SV_BATCH);
		SV_STAT(fds[last], resident) < pages;
	})));
	for (i = 0; i < last; i++)
		ASSERT_EQ(pages, SV_STAT(fds[i], resident));
	ASSERT_LT(0, SV_STAT(fds[0], kept));
	for (i = 0; i < REGIONS; i++)
		ASSERT_EQ(0, sv_check_range(maps[i], 0, pages, SV_TEXT, i));
}

TEST_F(shrinker, equals_give)
{
	others_give(_metadata, 0);
}

TEST_F(shrinker, higher_ones_give)
{
	others_give(_metadata, SWAPVMA_PRIORITY_MAX);
}

SV_TEST_MAIN
