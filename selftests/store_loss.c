// SPDX-License-Identifier: GPL-2.0
/*
 * Rule R10 with devices that fail: a write that fails leaves its page in memory,
 * a read that fails is a SIGBUS for its page alone, and a device that goes away
 * takes with it what only it had. A device that stops answers later.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "swapvma_store.h"
#include "swapvma_util.h"

#define MEGABYTES	1
#define SLOTS		(MEGABYTES << 8)
#define PAGES		(SLOTS + SV_BATCH)

FIXTURE(loss)
{
	struct sv_baseline base;
	struct sv_store store;
	char *map;
	int fd;
};

FIXTURE_SETUP(loss)
{
	sv_begin(&self->base);
	sv_store_make(&self->store, SV_NULL, MEGABYTES);
	self->fd = sv_try_create_with("block", self->store.options, PAGES, SV_NO_LIMIT);
	ASSERT_LE(0, self->fd);
	self->map = sv_map_rw(self->fd, PAGES);
}

FIXTURE_TEARDOWN_PARENT(loss)
{
	EXPECT_TRUE(sv_store_end(&self->store));
	EXPECT_TRUE(sv_end(&self->base));
}

/* Slots @first to @last cannot be read or written, or can again. */
static void set_bad(const struct sv_store *store, bool bad, unsigned int first, unsigned int last)
{
	char text[64];

	snprintf(text, sizeof(text), "%c%u-%u", bad ? '+' : '-', 8 * first, 8 * last + 7);
	sv_null_set(store, "badblocks", text);
}

/* Half of the slots that are left are bad: half of the pages stay for now. */
TEST_F(loss, writes_fail)
{
	size_t i;

	/* Full, and then every second slot of the first half is free again. */
	sv_fill_range(self->map, 0, SLOTS, SV_RANDOM, 1);
	ASSERT_TRUE(sv_pageout_all(self->fd));
	for (i = 0; i < SLOTS / 2; i += 2)
		ASSERT_EQ(0, sv_punch(self->fd, i, 1));
	ASSERT_TRUE(sv_wait_for(SV_STAT(self->fd, stored_bytes) == SLOTS * 3 / 4 * SV_PAGE));
	set_bad(&self->store, true, 0, SLOTS / 4 - 1);
	sv_fill_range(self->map, SLOTS, SV_BATCH, SV_RANDOM, 2);
	ASSERT_LE(0, sv_pageout(self->fd, SLOTS, SV_BATCH));
	ASSERT_LT(0, SV_STAT(self->fd, write_failures));
	ASSERT_EQ(SLOTS / 8, SV_STAT(self->fd, resident));
	ASSERT_EQ((SLOTS - SLOTS / 8) * SV_PAGE, SV_STAT(self->fd, stored_bytes));
	set_bad(&self->store, false, 0, SLOTS / 4 - 1);
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, sv_check_range(self->map, SLOTS, SV_BATCH, SV_RANDOM, 2));
	ASSERT_EQ(0, sv_check_range(self->map, SLOTS / 2, SLOTS / 2, SV_RANDOM, 1));
	for (i = 0; i < SLOTS / 2; i++)
		ASSERT_TRUE(sv_check(self->map + i * SV_PAGE, i % 2 ? SV_RANDOM : SV_ZERO, i, 1));
}

TEST_F(loss, reads_fail)
{
	size_t i, bad = 0;

	sv_fill_range(self->map, 0, SLOTS, SV_RANDOM, 1);
	ASSERT_TRUE(sv_pageout_all(self->fd));
	set_bad(&self->store, true, 10, 19);
	for (i = 0; i < SLOTS; i++) {
		if (sv_touch_read(self->map + i * SV_PAGE) == SIGBUS)
			bad++;
		else
			ASSERT_TRUE(sv_check(self->map + i * SV_PAGE, SV_RANDOM, i, 1));
	}
	ASSERT_EQ(10, bad);
	ASSERT_LE(10, SV_STAT(self->fd, read_failures));
	/* The slots stay: it may have been the cable. */
	set_bad(&self->store, false, 10, 19);
	ASSERT_EQ(0, sv_check_range(self->map, 0, SLOTS, SV_RANDOM, 1));
}

/* Pulled out: what is in memory lives on, and the region can be taken down. */
TEST_F(loss, device_goes_away)
{
	size_t i;

	sv_fill_range(self->map, 0, SV_BATCH, SV_RANDOM, 1);
	ASSERT_TRUE(sv_pageout_all(self->fd));
	sv_fill_range(self->map, SV_BATCH, SV_BATCH, SV_RANDOM, 1);
	sv_null_set(&self->store, "power", "0");
	for (i = 0; i < SV_BATCH; i++)
		ASSERT_EQ(SIGBUS, sv_touch_read(self->map + i * SV_PAGE));
	ASSERT_TRUE(sv_wait_for((sv_pageout(self->fd, 0, PAGES), sv_quarantined("block"))));
	ASSERT_LT(0, SV_STAT(self->fd, write_failures));
	ASSERT_EQ(0, sv_check_range(self->map, SV_BATCH, SV_BATCH, SV_RANDOM, 1));
	sv_fill_range(self->map, SV_BATCH, SV_BATCH, SV_RANDOM, 2);
	ASSERT_EQ(0, sv_check_range(self->map, SV_BATCH, SV_BATCH, SV_RANDOM, 2));
	/* A page that is written anew needs nothing of the device. */
	ASSERT_EQ(0, sv_punch(self->fd, 0, SV_BATCH));
	ASSERT_EQ(0, sv_check_zero(self->map, 0, SV_BATCH));
	/* Another driver takes over. */
	ASSERT_EQ(0, sv_add_driver(self->fd, "ram", ""));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, sv_check_range(self->map, SV_BATCH, SV_BATCH, SV_RANDOM, 2));
}

FIXTURE(nbd)
{
	struct sv_baseline base;
	struct sv_store store;
	bool skipped;
	char *map;
	int fd;
};

FIXTURE_SETUP(nbd)
{
	const char *missing = sv_store_missing(SV_NBD);

	self->skipped = missing;
	if (missing)
		SKIP(return, "%s", missing);
	sv_begin(&self->base);
	sv_store_make(&self->store, SV_NBD, MEGABYTES);
	self->fd = sv_try_create_with("block", self->store.options, SLOTS, SV_NO_LIMIT);
	ASSERT_LE(0, self->fd);
	self->map = sv_map_rw(self->fd, SLOTS);
}

FIXTURE_TEARDOWN_PARENT(nbd)
{
	if (self->skipped)
		return;
	EXPECT_TRUE(sv_store_end(&self->store));
	EXPECT_TRUE(sv_end(&self->base));
}

/* A server that is stopped: writes wait, pages that are in memory do not. */
TEST_F(nbd, server_stops)
{
	struct sv_pageout_thread pageout;

	sv_fill_range(self->map, 0, SLOTS, SV_RANDOM, 1);
	ASSERT_EQ(0, kill(self->store.server, SIGSTOP));
	sv_pageout_start(&pageout, self->fd, 0, SLOTS);
	ASSERT_TRUE(sv_wait_for(SV_STAT(self->fd, in_swapout)));
	/* Pages that are being written are there at once, and can be written to. */
	ASSERT_EQ(0, sv_check_range(self->map, 0, SLOTS, SV_RANDOM, 1));
	sv_fill_range(self->map, 0, SV_BATCH / 2, SV_RANDOM, 2);
	ASSERT_EQ(1, SV_STAT(self->fd, in_swapout));
	ASSERT_EQ(0, kill(self->store.server, SIGCONT));
	ASSERT_LE(0, sv_pageout_join(&pageout));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, sv_check_range(self->map, 0, SV_BATCH / 2, SV_RANDOM, 2));
	ASSERT_EQ(0, sv_check_range(self->map, SV_BATCH / 2, SLOTS - SV_BATCH / 2, SV_RANDOM, 1));
	ASSERT_EQ(0, SV_STAT(self->fd, write_failures));
	ASSERT_EQ(0, SV_STAT(self->fd, read_failures));
}

/* A server that is stopped for too long: nobody waits for it any more. */
TEST_F_TIMEOUT(nbd, server_stops_for_long, SV_LONG_TIMEOUT)
{
	struct sv_pageout_thread pageout;
	size_t i;

	ASSERT_EQ(30000, sv_driver_count("block", "deadline_ms"));
	ASSERT_EQ(0, sv_control("deadline block 3000"));
	sv_fill_range(self->map, 0, SLOTS, SV_RANDOM, 1);
	ASSERT_EQ(0, kill(self->store.server, SIGSTOP));
	sv_pageout_start(&pageout, self->fd, 0, SLOTS);
	ASSERT_TRUE(sv_wait_for(sv_quarantined("block")));
	ASSERT_LE(0, sv_pageout_join(&pageout));
	ASSERT_EQ(1, SV_STAT(self->fd, abandoned));
	ASSERT_EQ(SLOTS, SV_STAT(self->fd, resident));
	/* The server still reads from what the batch holds. */
	for (i = 0; i < SLOTS; i++)
		sv_fill(self->map + i * SV_PAGE, SV_RANDOM, i, 2);
	ASSERT_EQ(-EBUSY, sv_control("recover block"));
	ASSERT_EQ(0, kill(self->store.server, SIGCONT));
	ASSERT_TRUE(sv_wait_for(!sv_control("recover block")));
	ASSERT_TRUE(sv_wait_for(!SV_STAT(self->fd, stored_bytes)));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, sv_check_range(self->map, 0, SLOTS, SV_RANDOM, 2));
	ASSERT_EQ(0, SV_STAT(self->fd, read_failures));
}

/* Nobody waits for a server that was told of free slots, not even an rmmod. */
TEST_F(nbd, server_stops_at_the_end)
{
	uint64_t begin;

	sv_fill_range(self->map, 0, SLOTS, SV_RANDOM, 1);
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, kill(self->store.server, SIGSTOP));
	begin = sv_now_ms();
	sv_unmap(self->map, SLOTS);
	ASSERT_EQ(0, close(self->fd));
	ASSERT_GT(sv_patience_ms(), sv_now_ms() - begin);
	ASSERT_EQ(-EWOULDBLOCK, sv_unload("swapvma_block"));
	ASSERT_EQ(-EBUSY, sv_try_create_with("block", self->store.options, SLOTS, SV_NO_LIMIT));
	ASSERT_EQ(0, kill(self->store.server, SIGCONT));
	self->fd = -EBUSY;
	ASSERT_TRUE(sv_wait_for((self->fd = sv_try_create_with("block", self->store.options,
							       SLOTS, SV_NO_LIMIT)) >= 0));
}

/* A server that dies takes along what only it had. */
TEST_F(nbd, server_dies)
{
	size_t i;

	sv_fill_range(self->map, 0, SV_BATCH, SV_RANDOM, 1);
	ASSERT_TRUE(sv_pageout_all(self->fd));
	sv_fill_range(self->map, SV_BATCH, SV_BATCH, SV_RANDOM, 1);
	ASSERT_EQ(0, kill(self->store.server, SIGKILL));
	sv_reap(self->store.server);
	for (i = 0; i < SV_BATCH; i++)
		ASSERT_EQ(SIGBUS, sv_touch_read(self->map + i * SV_PAGE));
	ASSERT_LE(0, sv_pageout(self->fd, 0, SLOTS));
	ASSERT_EQ(0, sv_check_range(self->map, SV_BATCH, SV_BATCH, SV_RANDOM, 1));
	ASSERT_EQ(SV_BATCH, SV_STAT(self->fd, resident));
}

SV_TEST_MAIN
