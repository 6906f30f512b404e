// SPDX-License-Identifier: GPL-2.0
/*
 * What user space can ask for and what is counted: PAGEOUT, PREFETCH, fsync,
 * fadvise, clean drops, same-filled pages, zero pages, fdinfo.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "swapvma_util.h"

#define PAGES	SV_BATCH

FIXTURE(ask)
{
	struct sv_baseline base;
	uint64_t written;	/* pages that the test driver was given to store */
	char *map;
	int fd;
};

FIXTURE_SETUP(ask)
{
	sv_begin(&self->base);
	self->written = sv_get("swapouts");
	self->fd = sv_create("test", "", 2 * PAGES, SV_NO_LIMIT);
	self->map = sv_map_rw(self->fd, 2 * PAGES);
}

FIXTURE_TEARDOWN_PARENT(ask)
{
	EXPECT_TRUE(sv_end(&self->base));
}

static uint64_t written(FIXTURE_DATA(ask) *self)
{
	return sv_get("swapouts") - self->written;
}

/* The counts of the range, of the region and of the driver agree. */
TEST_F(ask, pageout_and_prefetch)
{
	struct swapvma_stats stats;

	sv_fill_range(self->map, 0, 2 * PAGES, SV_TEXT, 1);
	ASSERT_EQ(8, sv_pageout(self->fd, 4, 8));
	sv_stats(self->fd, &stats);
	ASSERT_EQ(2 * PAGES - 8, stats.resident);
	ASSERT_EQ(8, stats.swapped);
	ASSERT_EQ(8, stats.swapouts);
	ASSERT_EQ(8 * SV_PAGE, stats.stored_bytes);
	ASSERT_EQ(8, written(self));
	ASSERT_LE(1, stats.batches);

	/* What is out already is not counted again. */
	ASSERT_EQ(0, sv_pageout(self->fd, 4, 8));
	ASSERT_EQ(4, sv_prefetch(self->fd, 4, 4));
	ASSERT_EQ(0, sv_prefetch(self->fd, 4, 4));
	sv_stats(self->fd, &stats);
	ASSERT_EQ(2 * PAGES - 4, stats.resident);
	ASSERT_EQ(4, stats.swapped);
	ASSERT_EQ(4, stats.swapins);
	ASSERT_EQ(0, sv_check_range(self->map, 0, 2 * PAGES, SV_TEXT, 1));
	ASSERT_EQ(8, SV_STAT(self->fd, swapins));
	ASSERT_EQ(2 * PAGES, SV_STAT(self->fd, resident_peak));
}

/* Nothing there: nothing leaves, nothing comes. */
TEST_F(ask, empty_range)
{
	ASSERT_EQ(0, sv_pageout(self->fd, 0, 2 * PAGES));
	ASSERT_EQ(0, sv_prefetch(self->fd, 0, 2 * PAGES));
	ASSERT_EQ(0, SV_STAT(self->fd, resident));
	ASSERT_EQ(0, SV_STAT(self->fd, batches));
	ASSERT_EQ(0, written(self));
}

/* Prefetch into a region at its limit does not push it over. */
TEST_F(ask, prefetch_keeps_to_the_limit)
{
	ASSERT_EQ(0, sv_set_limit(self->fd, PAGES));
	sv_fill_range(self->map, 0, 2 * PAGES, SV_TEXT, 1);
	ASSERT_LE(0, sv_prefetch(self->fd, 0, 2 * PAGES));
	ASSERT_GE(PAGES, SV_STAT(self->fd, resident));
	ASSERT_EQ(0, sv_check_range(self->map, 0, 2 * PAGES, SV_TEXT, 1));
	ASSERT_GE(PAGES, SV_STAT(self->fd, resident_peak));
}

/* Out, in, out again without a write: the second time costs the driver nothing. */
TEST_F(ask, clean_drop)
{
	sv_fill_range(self->map, 0, PAGES, SV_TEXT, 1);
	ASSERT_EQ(PAGES, sv_pageout(self->fd, 0, PAGES));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
	ASSERT_EQ(PAGES, sv_pageout(self->fd, 0, PAGES));
	ASSERT_EQ(PAGES, SV_STAT(self->fd, clean_drops));
	ASSERT_EQ(PAGES, SV_STAT(self->fd, swapouts));
	ASSERT_EQ(PAGES, written(self));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));

	/* One page dirtied: one page written, and its old slot given up. */
	sv_fill(self->map, SV_TEXT, 0, 2);
	ASSERT_EQ(PAGES, sv_pageout(self->fd, 0, PAGES));
	ASSERT_EQ(2 * PAGES - 1, SV_STAT(self->fd, clean_drops));
	ASSERT_EQ(PAGES + 1, written(self));
	ASSERT_TRUE(sv_wait_for(sv_get("stored") == self->base.value[5] + PAGES));
	ASSERT_TRUE(sv_check(self->map, SV_TEXT, 0, 2));
	ASSERT_EQ(0, sv_check_range(self->map, 1, PAGES - 1, SV_TEXT, 1));
}

TEST_F(ask, same_filled)
{
	sv_fill_range(self->map, 0, PAGES, SV_SAME, 1);
	ASSERT_EQ(PAGES, sv_pageout(self->fd, 0, PAGES));
	ASSERT_EQ(PAGES, SV_STAT(self->fd, same_filled));
	ASSERT_EQ(0, SV_STAT(self->fd, resident));
	ASSERT_EQ(0, SV_STAT(self->fd, stored_bytes));
	ASSERT_EQ(0, written(self));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_SAME, 1));
	/* The last word differs: not same-filled. */
	sv_fill_range(self->map, 0, PAGES, SV_SAME, 2);
	self->map[SV_PAGE - 1] ^= 1;
	ASSERT_EQ(PAGES, sv_pageout(self->fd, 0, PAGES));
	ASSERT_EQ(1, written(self));
	self->map[SV_PAGE - 1] ^= 1;
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_SAME, 2));
}

/* Read and never written: it leaves as nothing and comes back as zero. */
TEST_F(ask, zero_pages)
{
	ASSERT_EQ(0, sv_check_zero(self->map, 0, PAGES));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, written(self));
	ASSERT_EQ(0, sv_check_zero(self->map, 0, PAGES));
	/* Written with zeroes is no different. */
	sv_fill_range(self->map, 0, PAGES, SV_TEXT, 1);
	sv_fill_range(self->map, 0, PAGES, SV_ZERO, 0);
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, written(self));
	ASSERT_EQ(0, sv_check_zero(self->map, 0, PAGES));
}

/* Bug class C24: a fresh page shows nothing of what its memory held before. */
TEST_F(ask, fresh_pages_are_zero)
{
	int fd, round;
	char *map;

	for (round = 0; round < 4; round++) {
		fd = sv_create("ram", "", 4 * PAGES, SV_NO_LIMIT);
		map = sv_map_rw(fd, 4 * PAGES);
		ASSERT_EQ(0, sv_check_zero(map, 0, 4 * PAGES));
		sv_fill_range(map, 0, 4 * PAGES, SV_RANDOM, round);
		sv_unmap(map, 4 * PAGES);
		close(fd);
	}
}

/* fsync writes and keeps: afterwards everything is resident and clean. */
TEST_F(ask, fsync)
{
	sv_fill_range(self->map, 0, PAGES, SV_TEXT, 1);
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(PAGES, SV_STAT(self->fd, resident));
	ASSERT_EQ(PAGES, SV_STAT(self->fd, launders));
	ASSERT_EQ(PAGES, written(self));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));

	/* Clean: nothing to write, and dropped without a write. */
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(PAGES, written(self));
	ASSERT_EQ(PAGES, sv_pageout(self->fd, 0, PAGES));
	ASSERT_EQ(PAGES, SV_STAT(self->fd, clean_drops));
	ASSERT_EQ(PAGES, written(self));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));

	/* Written again after fsync: the write is seen, though the page was mapped. */
	ASSERT_EQ(0, fsync(self->fd));
	sv_fill_range(self->map, 0, 8, SV_TEXT, 2);
	ASSERT_EQ(PAGES, sv_pageout(self->fd, 0, PAGES));
	ASSERT_EQ(PAGES + 8, written(self));
	ASSERT_EQ(0, sv_check_range(self->map, 0, 8, SV_TEXT, 2));
	ASSERT_EQ(0, sv_check_range(self->map, 8, PAGES - 8, SV_TEXT, 1));
}

/* msync(MS_SYNC) is fsync of the file behind the mapping. */
TEST_F(ask, msync)
{
	sv_fill_range(self->map, 0, PAGES, SV_TEXT, 1);
	ASSERT_EQ(0, msync(self->map, PAGES * SV_PAGE, MS_SYNC));
	ASSERT_EQ(PAGES, SV_STAT(self->fd, resident));
	ASSERT_EQ(PAGES, written(self));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
}

TEST_F(ask, fadvise)
{
	sv_fill_range(self->map, 0, 2 * PAGES, SV_TEXT, 1);
	ASSERT_EQ(0, posix_fadvise(self->fd, 0, PAGES * SV_PAGE, POSIX_FADV_DONTNEED));
	ASSERT_TRUE(sv_wait_for(SV_STAT(self->fd, resident) == PAGES));
	ASSERT_EQ(PAGES, SV_STAT(self->fd, swapped));
	ASSERT_EQ(0, posix_fadvise(self->fd, 0, PAGES * SV_PAGE, POSIX_FADV_WILLNEED));
	ASSERT_TRUE(sv_wait_for(SV_STAT(self->fd, resident) == 2 * PAGES));
	ASSERT_EQ(PAGES, SV_STAT(self->fd, swapins));
	ASSERT_EQ(0, sv_check_range(self->map, 0, 2 * PAGES, SV_TEXT, 1));
	ASSERT_EQ(PAGES, SV_STAT(self->fd, swapins));
	/* Length 0 means to the end. */
	ASSERT_EQ(0, posix_fadvise(self->fd, 0, 0, POSIX_FADV_DONTNEED));
	ASSERT_TRUE(sv_wait_for(SV_STAT(self->fd, resident) == 0));
	ASSERT_EQ(0, sv_check_range(self->map, 0, 2 * PAGES, SV_TEXT, 1));
}

/* fdinfo has a line for each field of the structure, with the same value. */
TEST_F(ask, fdinfo)
{
	static const char * const names[] = {
		"size", "limit", "resident", "unevictable", "resident_peak", "swapped", "writing",
		"stored_bytes", "table_bytes", "in_swapout", "batches", "swapouts",
		"swapins", "clean_drops", "same_filled", "refaults", "launders",
		"cancelled", "kept", "retried", "no_space", "write_failures", "read_failures", "limit_waits",
		"over_limit", "munmap_waits", "munmap_wait_ns", "abandoned",
		"corrupt_pages", "seal_bytes", "stored_limit", "low", "launders_ahead", "launders_wasted", "direct_drops",
	};
	char path[64], text[4096], line[64];
	struct swapvma_stats stats;
	const __u64 *values = &stats.size;
	size_t i;

	sv_fill_range(self->map, 0, PAGES, SV_TEXT, 1);
	sv_pageout(self->fd, 0, PAGES / 2);
	sv_stats(self->fd, &stats);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->fd);
	ASSERT_TRUE(sv_read_file(path, text, sizeof(text)));
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(line, sizeof(line), "\nswapvma_%s:\t%llu\n", names[i],
			 (unsigned long long)values[i]);
		EXPECT_NE(NULL, strstr(text, line))
			TH_LOG("no line %s in %s", line + 1, text);
	}
}

/* Bug class C19: RSS follows what is mapped. */
static uint64_t rss_kb(const char *map)
{
	FILE *smaps = fopen("/proc/self/smaps", "re");
	unsigned long start = 0, rss = 0;
	char line[512];

	if (!smaps)
		sv_die("/proc/self/smaps");
	while (fgets(line, sizeof(line), smaps)) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			start = from;
		else if (start == (unsigned long)map && sscanf(line, "Rss: %lu", &rss) == 1)
			break;
	}
	fclose(smaps);
	return rss;
}

TEST_F(ask, rss)
{
	ASSERT_EQ(0, rss_kb(self->map));
	sv_fill_range(self->map, 0, PAGES, SV_TEXT, 1);
	ASSERT_EQ(4 * PAGES, rss_kb(self->map));
	ASSERT_EQ(PAGES / 2, sv_pageout(self->fd, 0, PAGES / 2));
	ASSERT_EQ(4 * (PAGES - PAGES / 2), rss_kb(self->map));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, rss_kb(self->map));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
	ASSERT_EQ(4 * PAGES, rss_kb(self->map));
}

TEST_F(ask, debugfs_counts_what_exists)
{
	uint64_t resident = sv_debug("resident_pages");

	ASSERT_EQ(self->base.value[0] + 1, sv_debug("regions"));
	sv_fill_range(self->map, 0, PAGES, SV_TEXT, 1);
	ASSERT_EQ(resident + PAGES, sv_debug("resident_pages"));
	ASSERT_LE(self->base.value[1] + PAGES, sv_debug("records"));
	ASSERT_EQ(self->base.value[4] + SV_STAT(self->fd, table_bytes), sv_debug("table_bytes"));
	ASSERT_EQ(PAGES, sv_pageout(self->fd, 0, PAGES));
	ASSERT_EQ(resident, sv_debug("resident_pages"));
	ASSERT_EQ(self->base.value[3], sv_debug("batches"));
}

SV_TEST_MAIN
