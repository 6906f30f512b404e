// SPDX-License-Identifier: GPL-2.0
/*
 * The smallest drivers, in C and in Rust, built outside the tree: what they
 * stored comes back, their slots are given back, they can be unloaded. And what
 * becomes of batches and reads that a driver in Rust drops: samples/rust_careless.
 */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "swapvma_util.h"

#define PAGES	(16 * SV_BATCH)

FIXTURE(minimal)
{
	struct sv_baseline base;
	char *map;
	int fd;
};

FIXTURE_VARIANT(minimal)
{
	const char *driver;
};

FIXTURE_VARIANT_ADD(minimal, c)
{
	.driver = "c_minimal",
};

FIXTURE_VARIANT_ADD(minimal, rust)
{
	.driver = "rust_minimal",
};

FIXTURE_SETUP(minimal)
{
	sv_begin(&self->base);
	ASSERT_EQ(0, sv_load(variant->driver, ""));
	self->fd = sv_create(variant->driver, "", PAGES, SV_NO_LIMIT);
	self->map = sv_map_rw(self->fd, PAGES);
}

/* The region goes away with the test's process, on its way out. */
FIXTURE_TEARDOWN_PARENT(minimal)
{
	EXPECT_TRUE(sv_wait_for(!sv_unload(variant->driver)));
	EXPECT_TRUE(sv_end(&self->base));
}

/* Every page, over and over: the old slot is discarded after the new one is stored. */
TEST_F(minimal, round_trips)
{
	uint64_t gen;

	for (gen = 1; gen <= 4; gen++) {
		sv_fill_range(self->map, 0, PAGES, SV_RANDOM, gen);
		ASSERT_TRUE(sv_pageout_all(self->fd));
		ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_RANDOM, gen));
	}
	ASSERT_EQ(4 * PAGES, SV_STAT(self->fd, swapouts));
	ASSERT_LE(4 * PAGES, SV_STAT(self->fd, swapins));
	ASSERT_EQ(0, SV_STAT(self->fd, write_failures));
	ASSERT_EQ(0, SV_STAT(self->fd, read_failures));
}

/* Pages that are written to while others of the region are being stored. */
TEST_F(minimal, under_a_limit)
{
	struct swapvma_stats stats;
	uint64_t gen;

	ASSERT_EQ(0, sv_set_limit(self->fd, 2 * SV_BATCH));
	for (gen = 1; gen <= 8; gen++) {
		sv_fill_range(self->map, 0, PAGES, SV_TEXT, gen);
		ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, gen));
	}
	sv_stats(self->fd, &stats);
	/* As they left, or before. */
	ASSERT_LE(PAGES, stats.swapouts + stats.launders);
	ASSERT_EQ(0, stats.write_failures);
}

/* What is cut off is discarded, and its slots hold what comes next. */
TEST_F(minimal, discarded)
{
	uint64_t gen;

	for (gen = 1; gen <= 4; gen++) {
		sv_fill_range(self->map, 0, PAGES, SV_RANDOM, gen);
		ASSERT_TRUE(sv_pageout_all(self->fd));
		ASSERT_EQ(0, ftruncate(self->fd, 0));
		ASSERT_EQ(0, SV_STAT(self->fd, swapped));
		ASSERT_EQ(0, ftruncate(self->fd, PAGES * SV_PAGE));
		ASSERT_EQ(0, sv_check_zero(self->map, 0, PAGES));
	}
}

/* The slots are those of the region as it was created: what is added stays. */
TEST_F(minimal, full)
{
	char *more;

	ASSERT_EQ(0, ftruncate(self->fd, 2 * PAGES * SV_PAGE));
	more = sv_map_rw(self->fd, 2 * PAGES);
	sv_fill_range(more, 0, 2 * PAGES, SV_RANDOM, 1);
	sv_pageout(self->fd, 0, 2 * PAGES);
	ASSERT_EQ(0, sv_check_range(more, 0, 2 * PAGES, SV_RANDOM, 1));
	ASSERT_LE(1, SV_STAT(self->fd, no_space));
	ASSERT_GE(PAGES, SV_STAT(self->fd, swapouts));
}

/* The region holds the driver's module. */
TEST_F(minimal, in_use)
{
	ASSERT_EQ(-EWOULDBLOCK, sv_unload(variant->driver));
	sv_unmap(self->map, PAGES);
	ASSERT_EQ(0, close(self->fd));
	ASSERT_TRUE(sv_wait_for(!sv_unload(variant->driver)));
	ASSERT_EQ(-ENODEV, sv_try_create(variant->driver, "", PAGES, SV_NO_LIMIT));
	ASSERT_EQ(0, sv_load(variant->driver, ""));
}

/* What was not answered stays, what was is lost: SIGBUS, each time it is asked for. */
TEST(dropped)
{
	struct sv_baseline base;
	char *map;
	int fd, i;

	sv_begin(&base);
	ASSERT_EQ(0, sv_load("rust_careless", ""));
	fd = sv_create("rust_careless", "", SV_BATCH, SV_NO_LIMIT);
	map = sv_map_rw(fd, SV_BATCH);
	sv_fill_range(map, 0, SV_BATCH, SV_TEXT, 1);
	sv_pageout(fd, 0, SV_BATCH);
	ASSERT_EQ(SV_BATCH / 2, SV_STAT(fd, swapouts));
	ASSERT_EQ(SV_BATCH / 2, SV_STAT(fd, swapped));
	ASSERT_LE(SV_BATCH / 2, SV_STAT(fd, write_failures));
	for (i = 0; i < SV_BATCH; i += 2) {
		ASSERT_EQ(SIGBUS, sv_touch_read(map + i * SV_PAGE));
		ASSERT_EQ(SIGBUS, sv_touch_read(map + i * SV_PAGE));
		ASSERT_EQ(0, sv_check_range(map, i + 1, 1, SV_TEXT, 1));
	}
	ASSERT_EQ(SV_BATCH, SV_STAT(fd, read_failures));
	ASSERT_EQ(0, SV_STAT(fd, swapins));
	ASSERT_FALSE(sv_quarantined("rust_careless"));
	sv_unmap(map, SV_BATCH);
	ASSERT_EQ(0, close(fd));
	ASSERT_TRUE(sv_wait_for(!sv_unload("rust_careless")));
	ASSERT_TRUE(sv_end(&base));
}

/* Dropped after the deadline, in vma_close: until then the driver has the batch. */
TEST(dropped_late)
{
	struct sv_baseline base;
	char *map;
	int fd;

	sv_begin(&base);
	ASSERT_EQ(0, sv_load("rust_careless", ""));
	fd = sv_create("rust_careless", "keep", SV_BATCH, SV_NO_LIMIT);
	map = sv_map_rw(fd, SV_BATCH);
	sv_fill_range(map, 0, SV_BATCH, SV_TEXT, 1);
	sv_pageout(fd, 0, SV_BATCH);
	ASSERT_TRUE(sv_wait_for(sv_quarantined("rust_careless")));
	ASSERT_EQ(1, sv_driver_count("rust_careless", "abandoned"));
	ASSERT_EQ(SV_BATCH, SV_STAT(fd, resident));
	ASSERT_EQ(0, sv_check_range(map, 0, SV_BATCH, SV_TEXT, 1));
	ASSERT_EQ(-EBUSY, sv_control("recover rust_careless"));
	sv_unmap(map, SV_BATCH);
	ASSERT_TRUE(sv_wait_for(!sv_control("recover rust_careless")));
	ASSERT_EQ(0, close(fd));
	ASSERT_TRUE(sv_wait_for(!sv_unload("rust_careless")));
	ASSERT_TRUE(sv_end(&base));
}

SV_TEST_MAIN
