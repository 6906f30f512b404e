// SPDX-License-Identifier: GPL-2.0
/*
 * Several drivers for one region: what the first one does not take goes to the
 * next, and a driver that fails is put aside and comes back when told. Reads that
 * are answered later, or never, and reads ahead of what is asked for.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "swapvma_util.h"

#define PAGES	(4 * SV_BATCH)
#define FOREVER	1000000

/* Whatever the machine is busy with, the driver answers in time. */
#define PATIENT	"deadline_ms=60000"

FIXTURE(drivers)
{
	struct sv_region region;
};

FIXTURE_SETUP(drivers)
{
	sv_set_up(&self->region, PAGES, PATIENT);
}

FIXTURE_TEARDOWN_PARENT(drivers)
{
	EXPECT_TRUE(sv_end_quarantined(&self->region.base));
}

/* A driver that does not answer. */
FIXTURE(silent)
{
	struct sv_region region;
};

FIXTURE_SETUP(silent)
{
	sv_set_up(&self->region, PAGES, "deadline_ms=1500");
}

FIXTURE_TEARDOWN_PARENT(silent)
{
	EXPECT_TRUE(sv_end_quarantined(&self->region.base));
}

#define ASSERT_ALL_THERE(region)	\
	ASSERT_EQ(0, sv_check_range((region)->map, 0, PAGES, SV_TEXT, 1))

/*
 * The list of a region.
 */

TEST_F(drivers, added_or_refused)
{
	struct swapvma_add_driver arg = { .driver = "ram", .algorithm = "zstd" };
	char *unmapped = sv_map(-1, 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS);

	ASSERT_EQ(-ENODEV, sv_add_driver(self->region.fd, "no_such_driver", ""));
	ASSERT_EQ(-EINVAL, sv_add_driver(self->region.fd, "", ""));
	ASSERT_EQ(-EEXIST, sv_add_driver(self->region.fd, "test", ""));
	ASSERT_EQ(-EINVAL, sv_add_driver(self->region.fd, "ram", "no_such_algorithm"));
	arg.flags = 1;
	ASSERT_EQ(-1, ioctl(self->region.fd, SWAPVMA_IOC_ADD_DRIVER, &arg));
	ASSERT_EQ(EINVAL, errno);
	arg.flags = 0;
	arg.options = (uintptr_t)"size=1";
	ASSERT_EQ(-1, ioctl(self->region.fd, SWAPVMA_IOC_ADD_DRIVER, &arg));
	ASSERT_EQ(EINVAL, errno);
	arg.options = (uintptr_t)unmapped;
	ASSERT_EQ(-1, ioctl(self->region.fd, SWAPVMA_IOC_ADD_DRIVER, &arg));
	ASSERT_EQ(EFAULT, errno);
	ASSERT_EQ(1, sv_driver_count("test", "regions"));
	ASSERT_EQ(0, sv_driver_count("ram", "regions"));
	arg.options = (uintptr_t)"";
	ASSERT_EQ(0, ioctl(self->region.fd, SWAPVMA_IOC_ADD_DRIVER, &arg));
	ASSERT_EQ(1, sv_driver_count("ram", "regions"));
	ASSERT_EQ(-EEXIST, sv_add_driver(self->region.fd, "ram", "lz4"));
	sv_unmap(unmapped, 1);
}

TEST_F(drivers, options_too_long)
{
	char options[SWAPVMA_OPTIONS_MAX + 1];
	struct swapvma_add_driver arg = { .driver = "ram", .options = (uintptr_t)options };

	memset(options, 'a', sizeof(options));
	options[SWAPVMA_OPTIONS_MAX] = 0;
	ASSERT_EQ(-1, ioctl(self->region.fd, SWAPVMA_IOC_ADD_DRIVER, &arg));
	ASSERT_EQ(EINVAL, errno);
}

/* What the first driver does not store, the second one does. */
static void fall_over(struct __test_metadata *_metadata, struct sv_region *region)
{
	uint64_t swapouts = sv_get("swapouts");

	ASSERT_EQ(0, sv_add_driver(region->fd, "ram", ""));
	ASSERT_LT(0, sv_pageout(region->fd, 0, PAGES));
	ASSERT_TRUE(sv_pageout_all(region->fd));
	ASSERT_EQ(PAGES, SV_STAT(region->fd, swapped));
	ASSERT_EQ(swapouts, sv_get("swapouts"));
	ASSERT_LT(0, SV_STAT(region->fd, stored_bytes));
	ASSERT_ALL_THERE(region);
}

TEST_F(drivers, no_space_falls_over)
{
	sv_set_word("answer", "no_space");
	fall_over(_metadata, &self->region);
	ASSERT_LE(1, SV_STAT(self->region.fd, no_space));
	ASSERT_EQ(0, SV_STAT(self->region.fd, write_failures));
}

TEST_F(drivers, failed_falls_over)
{
	sv_set("fail_write", FOREVER);
	fall_over(_metadata, &self->region);
	ASSERT_LE(1, SV_STAT(self->region.fd, write_failures));
	ASSERT_EQ(0, SV_STAT(self->region.fd, no_space));
}

/* Storing it frees nothing, there as here; and "later" means later. */
TEST_F(drivers, kept_and_retry_do_not)
{
	ASSERT_EQ(0, sv_add_driver(self->region.fd, "ram", ""));
	sv_set_word("answer", "kept");
	ASSERT_EQ(0, sv_pageout(self->region.fd, 0, PAGES));
	ASSERT_EQ(PAGES, SV_STAT(self->region.fd, kept));
	sv_set_word("answer", "retry");
	ASSERT_EQ(0, sv_pageout(self->region.fd, 0, PAGES));
	ASSERT_EQ(PAGES, SV_STAT(self->region.fd, retried));
	ASSERT_EQ(PAGES, SV_STAT(self->region.fd, resident));
	ASSERT_EQ(0, SV_STAT(self->region.fd, stored_bytes));
	ASSERT_ALL_THERE(&self->region);
}

/* What the driver does not want comes round later than what it could not take. */
TEST_F(drivers, kept_is_offered_later_than_retry)
{
	size_t half = PAGES / 2, limit = PAGES - SV_BATCH / 2;
	long kept, retried;

	/* The clock comes by all pages, and none can leave. */
	sv_set_word("answer", "retry");
	ASSERT_EQ(0, sv_set_limit(self->region.fd, limit));
	ASSERT_TRUE(sv_wait_for(SV_STAT(self->region.fd, retried) >= PAGES));
	ASSERT_EQ(0, sv_set_limit(self->region.fd, SV_NO_LIMIT));
	sv_set_word("answer", "kept");
	ASSERT_EQ(0, sv_pageout(self->region.fd, 0, half));
	sv_set_word("answer", "stored");
	ASSERT_EQ(0, sv_set_limit(self->region.fd, limit));
	ASSERT_TRUE(sv_wait_for(SV_STAT(self->region.fd, resident) <= limit));
	ASSERT_EQ(0, sv_set_limit(self->region.fd, SV_NO_LIMIT));
	kept = sv_prefetch(self->region.fd, 0, half);
	retried = sv_prefetch(self->region.fd, half, half);
	ASSERT_EQ(0, kept);
	ASSERT_LT(0, retried);
	ASSERT_ALL_THERE(&self->region);
}

/* Pages of one region that are with two drivers. */
TEST_F(drivers, two_hold_pages_at_a_time)
{
	ASSERT_EQ(0, sv_add_driver(self->region.fd, "ram", ""));
	ASSERT_EQ(PAGES / 2, sv_pageout(self->region.fd, 0, PAGES / 2));
	ASSERT_EQ(PAGES / 2, sv_get("stored"));
	sv_set_word("answer", "no_space");
	ASSERT_TRUE(sv_pageout_all(self->region.fd));
	ASSERT_EQ(PAGES / 2, sv_get("stored"));
	ASSERT_EQ(PAGES, SV_STAT(self->region.fd, swapped));
	ASSERT_ALL_THERE(&self->region);
	/* Stored anew, each old copy is discarded where it is. */
	sv_reset_knobs();
	sv_fill_range(self->region.map, 0, PAGES, SV_TEXT, 2);
	ASSERT_TRUE(sv_pageout_all(self->region.fd));
	ASSERT_EQ(0, sv_check_range(self->region.map, 0, PAGES, SV_TEXT, 2));
}

/* A request that the first driver never answers is answered by the second. */
TEST_F(silent, quarantined_falls_over)
{
	int kmsg = sv_kmsg_open();

	ASSERT_EQ(0, sv_add_driver(self->region.fd, "ram", ""));
	sv_set_word("complete", "never");
	ASSERT_LT(0, sv_pageout(self->region.fd, 0, PAGES));
	ASSERT_TRUE(sv_quarantined("test"));
	ASSERT_EQ(1, sv_kmsg_count(kmsg, "quarantined"));
	/* It still has a batch: these pages stay, and it may not have another one. */
	ASSERT_EQ(SV_BATCH, SV_STAT(self->region.fd, resident));
	ASSERT_ALL_THERE(&self->region);
	ASSERT_EQ(-EBUSY, sv_control("recover test"));
	sv_reset_knobs();
	ASSERT_TRUE(sv_pageout_all(self->region.fd));
	ASSERT_TRUE(sv_wait_for(!sv_control("recover test")));
	ASSERT_FALSE(sv_quarantined("test"));
	ASSERT_EQ(0, sv_get("stored"));
	ASSERT_ALL_THERE(&self->region);
}

static void *fill_over_limit(void *arg)
{
	struct sv_region *region = arg;

	sv_fill_range(region->map, 0, PAGES, SV_TEXT, 2);
	return NULL;
}

/* So is a fault that waits for the limit. */
TEST_F(silent, limit_is_kept_by_the_next)
{
	struct swapvma_stats stats;
	pthread_t thread;

	ASSERT_EQ(0, sv_add_driver(self->region.fd, "ram", ""));
	ASSERT_TRUE(sv_pageout_all(self->region.fd));
	ASSERT_EQ(0, sv_set_limit(self->region.fd, SV_BATCH));
	sv_set_word("complete", "never");
	ASSERT_EQ(0, pthread_create(&thread, NULL, fill_over_limit, &self->region));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	ASSERT_EQ(0, SV_STAT(self->region.fd, over_limit));
	/* What the silent driver has is not anybody's to page out. */
	sv_stats(self->region.fd, &stats);
	ASSERT_GE(SV_BATCH, stats.resident - stats.unevictable);
	ASSERT_EQ(0, sv_check_range(self->region.map, 0, PAGES, SV_TEXT, 2));
}

#define CROWD	40

static void look_at_debugfs(void)
{
	char text[16384];

	for (;;)
		sv_read_file(SV_DEBUG "mappings", text, sizeof(text));
}

/* Whoever else goes through the regions: each of their waiters goes on. */
TEST_F_TIMEOUT(silent, many_wait, SV_LONG_TIMEOUT)
{
	pid_t waiters[CROWD], lookers[3];
	size_t i;

	for (i = 0; i < CROWD; i++) {
		int fd = sv_create("test", "", 4 * SV_BATCH, SV_BATCH);
		char *map = sv_map_rw(fd, 4 * SV_BATCH);

		waiters[i] = sv_fork();
		if (!waiters[i]) {
			while (!sv_get("blocked"))
				usleep(1000);
			if (i % 2)
				sv_pageout(fd, 0, 4 * SV_BATCH);
			sv_fill_range(map, 0, 4 * SV_BATCH, SV_TEXT, 1);
			_exit(sv_check_range(map, 0, 4 * SV_BATCH, SV_TEXT, 1) != 0);
		}
		sv_unmap(map, 4 * SV_BATCH);
		close(fd);
	}
	for (i = 0; i < ARRAY_SIZE(lookers); i++) {
		lookers[i] = sv_fork();
		if (!lookers[i])
			look_at_debugfs();
	}
	sv_set("block", 1);
	ASSERT_EQ(0, sv_pageout(self->region.fd, 0, SV_BATCH));
	for (i = 0; i < CROWD; i++)
		ASSERT_EQ(0, sv_reap(waiters[i]));
	for (i = 0; i < ARRAY_SIZE(lookers); i++) {
		kill(lookers[i], SIGKILL);
		sv_reap(lookers[i]);
	}
	ASSERT_TRUE(sv_quarantined("test"));
}

TEST_F(drivers, always_failing_is_quarantined)
{
	int kmsg = sv_kmsg_open();
	int i;

	sv_set("fail_write", FOREVER);
	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, sv_pageout(self->region.fd, 0, SV_BATCH));
	ASSERT_TRUE(sv_quarantined("test"));
	ASSERT_EQ(1, sv_kmsg_count(kmsg, "8 batches in a row"));
	ASSERT_EQ(0, sv_pageout(self->region.fd, 0, PAGES));
	ASSERT_EQ(8 * SV_BATCH, SV_STAT(self->region.fd, write_failures));
	sv_reset_knobs();
	ASSERT_EQ(0, sv_control("recover test"));
	ASSERT_TRUE(sv_pageout_all(self->region.fd));
	ASSERT_ALL_THERE(&self->region);
}

/* One good page among bad ones, and the count begins anew. */
TEST_F(drivers, sometimes_failing_is_not)
{
	int i;

	for (i = 0; i < 20; i++) {
		sv_set("fail_write", SV_BATCH - 1);
		ASSERT_EQ(1, sv_pageout(self->region.fd, 0, SV_BATCH));
		ASSERT_EQ(0, sv_check_range(self->region.map, 0, SV_BATCH, SV_TEXT, i + 1));
		sv_fill_range(self->region.map, 0, SV_BATCH, SV_TEXT, i + 2);
	}
	ASSERT_FALSE(sv_quarantined("test"));
}

/*
 * Reads that the driver completes later.
 */

static void read_elsewhere(struct __test_metadata *_metadata, struct sv_region *region,
			   const char *context)
{
	int round;

	for (round = 0; round < 3; round++) {
		ASSERT_TRUE(sv_pageout_all(region->fd));
		sv_set_word("complete_read", context);
		ASSERT_ALL_THERE(region);
		sv_set_word("complete_read", "sync");
	}
	/* A failed one is a SIGBUS for that page. */
	ASSERT_TRUE(sv_pageout_all(region->fd));
	sv_set_word("complete_read", context);
	sv_set("bad_read", 7);
	ASSERT_EQ(SIGBUS, sv_touch_read(region->map + 7 * SV_PAGE));
	ASSERT_EQ(0, sv_touch_read(region->map + 8 * SV_PAGE));
	sv_set("bad_read", UINT64_MAX);
	ASSERT_ALL_THERE(region);
}

TEST_F(drivers, read_completed_by_a_thread)
{
	read_elsewhere(_metadata, &self->region, "late");
}

TEST_F(drivers, read_completed_in_interrupt_context)
{
	read_elsewhere(_metadata, &self->region, "irq");
}

/* A punched page's read discards its slot when it comes. */
TEST_F(silent, punched_while_read)
{
	ASSERT_TRUE(sv_pageout_all(self->region.fd));
	sv_set_word("complete_read", "never");
	ASSERT_EQ(SIGBUS, sv_touch_read(self->region.map));
	ASSERT_EQ(0, sv_punch(self->region.fd, 0, 1));
	ASSERT_EQ(PAGES, sv_get("stored"));
	sv_reset_knobs();
	ASSERT_TRUE(sv_wait_for(sv_get("stored") == PAGES - 1));
	ASSERT_EQ(0, sv_check_zero(self->region.map, 0, 1));
	ASSERT_EQ(0, sv_check_range(self->region.map, 1, PAGES - 1, SV_TEXT, 1));
}

/* A read that misses the deadline is a SIGBUS, and the page is there later. */
TEST_F(silent, read_never_answered)
{
	int kmsg = sv_kmsg_open();

	ASSERT_TRUE(sv_pageout_all(self->region.fd));
	ASSERT_EQ(0, sv_touch_read(self->region.map + SV_PAGE));
	sv_set_word("complete_read", "never");
	ASSERT_EQ(SIGBUS, sv_touch_read(self->region.map));
	/* At once: it has been waited for. */
	ASSERT_EQ(SIGBUS, sv_touch_read(self->region.map));
	ASSERT_EQ(1, SV_STAT(self->region.fd, read_failures));
	ASSERT_EQ(SIGBUS, sv_touch_read(self->region.map + 2 * SV_PAGE));
	ASSERT_EQ(2, SV_STAT(self->region.fd, read_failures));
	/* One line for the driver, not one for each page. */
	ASSERT_EQ(1, sv_kmsg_count(kmsg, "did not read page"));
	ASSERT_TRUE(sv_quarantined("test"));
	ASSERT_EQ(0, sv_touch_read(self->region.map + SV_PAGE));
	sv_reset_knobs();
	ASSERT_TRUE(sv_wait_for(!sv_touch_read(self->region.map)));
	ASSERT_TRUE(sv_wait_for(!sv_touch_read(self->region.map + 2 * SV_PAGE)));
	ASSERT_ALL_THERE(&self->region);
	ASSERT_EQ(0, sv_control("recover test"));
}

/*
 * Stable pages.
 */

FIXTURE(stable)
{
	struct sv_region region;
};

FIXTURE_SETUP(stable)
{
	sv_set_up(&self->region, PAGES, PATIENT " stable=1");
}

FIXTURE_TEARDOWN_PARENT(stable)
{
	EXPECT_TRUE(sv_end(&self->region.base));
}

/* What is written to while the driver looks does not change under its eyes. */
TEST_F(stable, written_to_in_swapout)
{
	struct sv_pageout_thread pageout;

	sv_set("block", 1);
	sv_pageout_start(&pageout, self->region.fd, 0, SV_BATCH);
	ASSERT_TRUE(sv_wait_for(sv_get("blocked") == 1));
	sv_fill_range(self->region.map, 0, SV_BATCH / 2, SV_TEXT, 2);
	sv_set("block", 0);
	ASSERT_EQ(SV_BATCH / 2, sv_pageout_join(&pageout));
	ASSERT_EQ(SV_BATCH / 2, SV_STAT(self->region.fd, cancelled));
	ASSERT_EQ(0, sv_check_range(self->region.map, 0, SV_BATCH / 2, SV_TEXT, 2));
	ASSERT_EQ(0, sv_check_range(self->region.map, SV_BATCH / 2, PAGES - SV_BATCH / 2,
				    SV_TEXT, 1));
	ASSERT_TRUE(sv_pageout_all(self->region.fd));
	ASSERT_EQ(0, sv_check_range(self->region.map, 0, SV_BATCH / 2, SV_TEXT, 2));
}

/*
 * Reading ahead.
 */

TEST_F(drivers, reads_ahead_in_order)
{
	/* The first may be by chance; then more and more, up to what is cheap. */
	static const size_t ahead[] = { 0, 3, 15, 16, 16 };
	size_t i, next = 0;

	ASSERT_TRUE(sv_pageout_all(self->region.fd));
	sv_set("hint", 16);
	for (i = 0; i < ARRAY_SIZE(ahead); i++) {
		ASSERT_EQ(0, sv_touch_read(self->region.map + next * SV_PAGE));
		next += 1 + ahead[i];
		ASSERT_TRUE(sv_wait_for(SV_STAT(self->region.fd, swapins) == next));
		/* These are there. */
		ASSERT_EQ(0, sv_check_range(self->region.map, 0, next, SV_TEXT, 1));
		ASSERT_EQ(next, SV_STAT(self->region.fd, swapins));
	}
	ASSERT_ALL_THERE(&self->region);
	ASSERT_EQ(PAGES, SV_STAT(self->region.fd, swapins));
}

/* As many as went well before: a run that ends begins with none. */
TEST_F(drivers, reads_ahead_anew_after_misses)
{
	static const size_t pages[] = { 0, 1, 5, 100, 60, 61 };
	static const size_t ahead[] = { 0, 3, 15, 0, 0, 0 };
	size_t i, swapins = 0;

	ASSERT_TRUE(sv_pageout_all(self->region.fd));
	sv_set("hint", 16);
	for (i = 0; i < ARRAY_SIZE(pages); i++) {
		ASSERT_EQ(0, sv_touch_read(self->region.map + pages[i] * SV_PAGE));
		swapins += 1 + ahead[i];
		ASSERT_TRUE(sv_wait_for(SV_STAT(self->region.fd, swapins) == swapins));
	}
}

TEST_F(drivers, reads_nothing_ahead_out_of_order)
{
	uint64_t swapins;
	size_t i;

	ASSERT_TRUE(sv_pageout_all(self->region.fd));
	sv_set("hint", 16);
	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, sv_touch_read(self->region.map + (PAGES - 1 - 20 * i) * SV_PAGE));
	swapins = SV_STAT(self->region.fd, swapins);
	ASSERT_EQ(8, swapins);
}

/* Never over the limit, and a bad neighbour costs only itself. */
TEST_F(drivers, reads_ahead_within_the_limit)
{
	ASSERT_TRUE(sv_pageout_all(self->region.fd));
	ASSERT_EQ(0, sv_set_limit(self->region.fd, SV_BATCH));
	sv_set("hint", SV_BATCH);
	sv_set("bad_read", 20);
	ASSERT_EQ(0, sv_check_range(self->region.map, 0, 20, SV_TEXT, 1));
	ASSERT_EQ(SIGBUS, sv_touch_read(self->region.map + 20 * SV_PAGE));
	ASSERT_EQ(0, sv_check_range(self->region.map, 21, PAGES - 21, SV_TEXT, 1));
	sv_set("bad_read", UINT64_MAX);
	ASSERT_ALL_THERE(&self->region);
	ASSERT_EQ(0, SV_STAT(self->region.fd, over_limit));
	ASSERT_GE(SV_BATCH, SV_STAT(self->region.fd, resident));
}

TEST_F(drivers, control_is_checked)
{
	static const char * const bad[] = {
		" ", "drain", "recover", "cancel", "drain a b c", "recover test ram",
		"cancel test ram", "drown test", "deadline", "deadline test", "deadline test soon",
		"deadline test -1", "deadline test +5", "deadline test 0x10", "deadline test 1 2",
		"deadline test 18446744073709551616",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		ASSERT_EQ(-EINVAL, sv_control(bad[i]));
	ASSERT_EQ(-ENODEV, sv_control("drain no_such_driver"));
	ASSERT_EQ(-ENODEV, sv_control("recover no_such_driver"));
	ASSERT_EQ(-ENODEV, sv_control("cancel no_such_driver"));
	ASSERT_EQ(0, sv_control("recover test"));
	ASSERT_EQ(-ENODEV, sv_control("deadline no_such_driver 1000"));
	ASSERT_EQ(-ERANGE, sv_control("deadline test 3600001"));
	ASSERT_EQ(60000, sv_driver_count("test", "deadline_ms"));
	ASSERT_EQ(0, sv_control("deadline test 3600000"));
	ASSERT_EQ(3600000, sv_driver_count("test", "deadline_ms"));
	ASSERT_EQ(0, sv_control("deadline test 0"));
	ASSERT_EQ(60000, sv_driver_count("test", "deadline_ms"));
}

SV_TEST_MAIN
