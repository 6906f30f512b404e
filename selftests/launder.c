// SPDX-License-Identifier: GPL-2.0
/*
 * Launder-ahead: cold pages are written before somebody wants their memory, so that
 * those who do find clean ones. Pages that are written to again and again are not
 * written for it again and again, and a driver that takes nothing is left alone.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kselftest_harness.h"
#include "swapvma_cgroup.h"
#include "swapvma_util.h"

#define STORE_PAGES	8192

FIXTURE(ahead)
{
	struct sv_baseline base;
	bool can_put_back;
};

FIXTURE_VARIANT(ahead)
{
	const char *flaw;
};

FIXTURE_VARIANT_ADD(ahead, as_it_is)
{
	.flaw = "",
};

/* The same without: each claim has to be noticed to be broken. */
FIXTURE_VARIANT_ADD(ahead, without)
{
	.flaw = "nothing_ahead",
};

FIXTURE_SETUP(ahead)
{
	sv_reload_test("pages=8192");
	sv_begin(&self->base);
	self->can_put_back = sv_put_back(variant->flaw);
	if (*variant->flaw && !self->can_put_back)
		SKIP(return, "a kernel without fault injection");
}

FIXTURE_TEARDOWN_PARENT(ahead)
{
	sv_put_back("");
	EXPECT_TRUE(sv_end(&self->base));
}

/* Percent of the pages that left memory that needed no write then. */
static unsigned int clean_share(const struct swapvma_stats *stats)
{
	uint64_t left = stats->clean_drops + stats->swapouts + stats->same_filled;

	if (!left)
		sv_die("no page left memory");
	return 100 * stats->clean_drops / left;
}

static void show(const char *what, const struct swapvma_stats *stats)
{
	fprintf(stderr,
		"# %s: %u%% clean; %llu ahead, %llu in vain, %llu dropped directly, %llu waits\n",
		what, clean_share(stats), stats->launders_ahead, stats->launders_wasted,
		stats->direct_drops, stats->limit_waits);
}

/* Pages that are written once each pass by a limit, with a driver that takes a while. */
TEST_F(ahead, stream_at_a_limit)
{
	const size_t pages = 4096, limit = 1024;
	int fd = sv_create("test", "", pages, limit);
	char *map = sv_map_rw(fd, pages);
	struct swapvma_stats stats;
	size_t i;

	sv_set("delay_ms", 2);
	for (i = 0; i < pages; i += SV_BATCH) {
		sv_fill_range(map, i, SV_BATCH, SV_TEXT, 1);
		usleep(2000 * sv_slow());
	}
	sv_stats(fd, &stats);
	show("stream", &stats);
	ASSERT_EQ(0, stats.over_limit);
	if (*variant->flaw) {
		EXPECT_EQ(0, stats.launders_ahead);
		EXPECT_GT(10, clean_share(&stats));
	} else {
		EXPECT_LT(50, clean_share(&stats));
		EXPECT_GT(stats.launders_ahead / 10, stats.launders_wasted);
	}
	ASSERT_EQ(0, sv_check_range(map, 0, pages, SV_TEXT, 1));
}

/*
 * Half of what fits below the limit is written to all the time, others pass by.
 * What that costs the driver in writes, for each page that passes.
 */
TEST_F(ahead, rewritten)
{
	const size_t pages = 4096, limit = 1024, hot = 512;
	int fd = sv_create("test", "", pages, limit);
	char *map = sv_map_rw(fd, pages);
	struct swapvma_stats stats;
	uint64_t generation = 1;
	size_t i;

	for (i = hot; i < pages; i++) {
		sv_fill(map + i * SV_PAGE, SV_TEXT, i, 1);
		if (i % 64 == 0)
			sv_fill_range(map, 0, hot, SV_TEXT, ++generation);
	}
	sv_stats(fd, &stats);
	show("rewritten", &stats);
	fprintf(stderr, "# %" PRIu64 " writes of the driver for %zu pages\n", sv_get("swapouts"),
		pages - hot);
	/* As many as without: all that passed but those that are there, and few others. */
	EXPECT_GE((pages - hot) * 5 / 4, sv_get("swapouts"));
	ASSERT_EQ(0, sv_check_range(map, 0, hot, SV_TEXT, generation));
	ASSERT_EQ(0, sv_check_range(map, hot, pages - hot, SV_TEXT, 1));
}

/* Has the shrinker look at @pages pages of the cgroup of the test. */
static bool ask_shrinker(size_t pages)
{
	uint64_t cgroup;

	return cg_scan_own(1, pages, &cgroup);
}

/* Nothing is written or dropped for a while. */
static void settle(int fd)
{
	uint64_t last, now = UINT64_MAX;

	do {
		last = now;
		usleep(20000 * sv_slow());
		now = SV_STAT(fd, batches) + SV_STAT(fd, clean_drops);
	} while (now != last);
}

/* Fewer than would have all pages leave. */
#define SCANS	6

/* Memory pressure has pages written until there is a stock, and then finds it. */
TEST_F(ahead, shrinker_finds_clean_pages)
{
	const size_t pages = 8192;
	int fd = sv_create("test", "", pages, SV_NO_LIMIT);
	char *map = sv_map_rw(fd, pages);
	struct swapvma_stats before, after;
	int i;

	sv_fill_range(map, 0, pages, SV_TEXT, 1);
	ASSERT_EQ(0, SV_STAT(fd, launders_ahead));
	if (!ask_shrinker(SV_BATCH))
		SKIP(return, "no shrinker in debugfs");
	settle(fd);
	sv_stats(fd, &before);
	for (i = 0; i < SCANS; i++) {
		ask_shrinker(SV_BATCH);
		settle(fd);
	}
	sv_stats(fd, &after);
	show("shrinker", &after);
	if (*variant->flaw) {
		EXPECT_EQ(0, after.launders_ahead);
		EXPECT_EQ(0, after.direct_drops);
	} else {
		/* All that was asked for, at once, and nothing was written for it then. */
		EXPECT_LE(SCANS * SV_BATCH, after.direct_drops - before.direct_drops);
		EXPECT_EQ(before.swapouts, after.swapouts);
	}
	ASSERT_EQ(0, sv_check_range(map, 0, pages, SV_TEXT, 1));
}

/* What was written ahead in vain is not written ahead again. */
TEST_F(ahead, once_in_vain)
{
	const size_t pages = 2048;
	int fd = sv_create("test", "", pages, SV_NO_LIMIT);
	char *map = sv_map_rw(fd, pages);
	struct swapvma_stats stats;
	uint64_t ahead;
	int i;

	if (*variant->flaw)
		SKIP(return, "there is nothing to see");
	sv_fill_range(map, 0, pages, SV_TEXT, 1);
	if (!ask_shrinker(SV_BATCH))
		SKIP(return, "no shrinker in debugfs");
	settle(fd);
	ahead = SV_STAT(fd, launders_ahead);
	ASSERT_LT(0, ahead);
	sv_fill_range(map, 0, pages, SV_TEXT, 2);
	sv_stats(fd, &stats);
	/* All of them: none had left. */
	ASSERT_EQ(ahead, stats.launders_wasted);
	for (i = 3; i < 16; i++) {
		ask_shrinker(SV_BATCH);
		settle(fd);
		sv_fill_range(map, 0, pages, SV_TEXT, i);
	}
	sv_stats(fd, &stats);
	show("rewritten each time", &stats);
	/* A page that leaves and comes back may be; that all of them are is noticed. */
	ASSERT_GT(pages, stats.launders_wasted);
	ASSERT_EQ(0, sv_check_range(map, 0, pages, SV_TEXT, 15));
}

/* A driver that takes nothing is not asked again and again. */
TEST_F(ahead, refused)
{
	static const char * const answers[] = { "kept", "retry" };
	const size_t pages = 1024;
	int fd = sv_create("test", "", pages, SV_NO_LIMIT);
	char *map = sv_map_rw(fd, pages);
	uint64_t batches;
	size_t i;

	sv_fill_range(map, 0, pages, SV_TEXT, 1);
	for (i = 0; i < ARRAY_SIZE(answers); i++) {
		sv_set_word("answer", answers[i]);
		if (!ask_shrinker(SV_BATCH))
			SKIP(return, "no shrinker in debugfs");
		/* It gives up on what is asked of it, after a while. */
		ASSERT_TRUE(sv_wait_for((settle(fd), true)));
		batches = SV_STAT(fd, batches);
		usleep(20000 * sv_slow());
		EXPECT_EQ(batches, SV_STAT(fd, batches));
	}
	sv_set_word("answer", "stored");
	EXPECT_EQ(0, SV_STAT(fd, launders_ahead));
	ASSERT_EQ(0, sv_check_range(map, 0, pages, SV_TEXT, 1));
}

SV_TEST_MAIN
