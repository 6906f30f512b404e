// SPDX-License-Identifier: GPL-2.0
/*
 * Size and holes: ftruncate, fallocate and MADV_REMOVE on resident and on
 * stored pages, and while a batch or a read of the range is in the driver. What
 * was cut off never comes back, and its slots are given up.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "swapvma_util.h"

#define PAGES	SV_BATCH
#define HALF	(PAGES / 2)
#define PUNCH	(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

FIXTURE(cut)
{
	struct sv_baseline base;
	uint64_t stored;	/* slots of others */
	char *map;
	int fd;
};

FIXTURE_VARIANT(cut)
{
	bool stored;
};

FIXTURE_VARIANT_ADD(cut, resident)
{
	.stored = false,
};

FIXTURE_VARIANT_ADD(cut, stored)
{
	.stored = true,
};

FIXTURE_SETUP(cut)
{
	sv_begin(&self->base);
	self->stored = sv_get("stored");
	self->fd = sv_create("test", "", PAGES, SV_NO_LIMIT);
	self->map = sv_map_rw(self->fd, PAGES);
	sv_fill_range(self->map, 0, PAGES, SV_TEXT, 1);
	if (variant->stored)
		ASSERT_TRUE(sv_pageout_all(self->fd));
}

FIXTURE_TEARDOWN_PARENT(cut)
{
	EXPECT_TRUE(sv_end(&self->base));
}

/* The region has @nr pages resident or stored, and the driver no slot too many. */
#define ASSERT_PAGES_LEFT(nr)							\
	do {									\
		struct swapvma_stats stats;					\
										\
		sv_stats(self->fd, &stats);					\
		ASSERT_EQ(nr, stats.resident + stats.swapped);			\
		ASSERT_TRUE(sv_wait_for(sv_get("stored") - self->stored <= (nr))); \
	} while (0)

TEST_F(cut, shrink_and_grow)
{
	size_t i;

	ASSERT_EQ(0, ftruncate(self->fd, HALF * SV_PAGE));
	ASSERT_EQ(HALF * SV_PAGE, SV_STAT(self->fd, size));
	ASSERT_PAGES_LEFT(HALF);
	for (i = HALF; i < PAGES; i++) {
		ASSERT_EQ(SIGBUS, sv_touch_read(self->map + i * SV_PAGE));
		ASSERT_EQ(SIGBUS, sv_touch_write(self->map + i * SV_PAGE, 1));
	}
	ASSERT_EQ(0, sv_check_range(self->map, 0, HALF, SV_TEXT, 1));

	ASSERT_EQ(0, ftruncate(self->fd, PAGES * SV_PAGE));
	ASSERT_EQ(0, sv_check_range(self->map, 0, HALF, SV_TEXT, 1));
	ASSERT_EQ(0, sv_check_zero(self->map, HALF, HALF));
	sv_fill_range(self->map, HALF, HALF, SV_TEXT, 2);
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, sv_check_range(self->map, 0, HALF, SV_TEXT, 1));
	ASSERT_EQ(0, sv_check_range(self->map, HALF, HALF, SV_TEXT, 2));
}

TEST_F(cut, to_nothing)
{
	ASSERT_EQ(0, ftruncate(self->fd, 0));
	ASSERT_PAGES_LEFT(0);
	ASSERT_EQ(SIGBUS, sv_touch_read(self->map));
	ASSERT_EQ(0, ftruncate(self->fd, PAGES * SV_PAGE));
	ASSERT_EQ(0, sv_check_zero(self->map, 0, PAGES));
}

/* The tail of the last page is zero, at once and after growing again. */
TEST_F(cut, unaligned_size)
{
	const size_t size = HALF * SV_PAGE + 100;
	char *last = self->map + HALF * SV_PAGE, want[SV_PAGE];

	sv_fill(want, SV_TEXT, HALF, 1);
	memset(want + 100, 0, SV_PAGE - 100);
	ASSERT_EQ(0, ftruncate(self->fd, size));
	ASSERT_EQ(size, SV_STAT(self->fd, size));
	ASSERT_EQ(0, memcmp(last, want, SV_PAGE));
	ASSERT_EQ(SIGBUS, sv_touch_read(last + SV_PAGE));
	ASSERT_EQ(0, ftruncate(self->fd, PAGES * SV_PAGE));
	ASSERT_EQ(0, memcmp(last, want, SV_PAGE));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, memcmp(last, want, SV_PAGE));
	ASSERT_EQ(0, sv_check_range(self->map, 0, HALF, SV_TEXT, 1));
	ASSERT_EQ(0, sv_check_zero(self->map, HALF + 1, HALF - 1));
}

/* A hole reads as zero, and does not touch its neighbours. */
static void check_hole(struct __test_metadata *_metadata, FIXTURE_DATA(cut) *self)
{
	ASSERT_PAGES_LEFT(PAGES - 16);
	ASSERT_EQ(PAGES * SV_PAGE, SV_STAT(self->fd, size));
	ASSERT_EQ(0, sv_check_range(self->map, 0, 8, SV_TEXT, 1));
	ASSERT_EQ(0, sv_check_zero(self->map, 8, 16));
	ASSERT_EQ(0, sv_check_range(self->map, 24, PAGES - 24, SV_TEXT, 1));
	sv_fill_range(self->map, 8, 16, SV_TEXT, 2);
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, sv_check_range(self->map, 0, 8, SV_TEXT, 1));
	ASSERT_EQ(0, sv_check_range(self->map, 8, 16, SV_TEXT, 2));
	ASSERT_EQ(0, sv_check_range(self->map, 24, PAGES - 24, SV_TEXT, 1));
}

TEST_F(cut, punch_hole)
{
	ASSERT_EQ(0, fallocate(self->fd, PUNCH, 8 * SV_PAGE, 16 * SV_PAGE));
	check_hole(_metadata, self);
}

TEST_F(cut, madvise_remove)
{
	ASSERT_EQ(0, madvise(self->map + 8 * SV_PAGE, 16 * SV_PAGE, MADV_REMOVE));
	check_hole(_metadata, self);
}

/* Only part of the first and the last page: those parts are zero, no page goes. */
TEST_F(cut, punch_unaligned)
{
	char first[SV_PAGE], last[SV_PAGE];

	sv_fill(first, SV_TEXT, 8, 1);
	memset(first + 1000, 0, SV_PAGE - 1000);
	sv_fill(last, SV_TEXT, 12, 1);
	memset(last, 0, 50);
	ASSERT_EQ(0, fallocate(self->fd, PUNCH, 8 * SV_PAGE + 1000,
			       4 * SV_PAGE - 1000 + 50));
	ASSERT_EQ(0, memcmp(self->map + 8 * SV_PAGE, first, SV_PAGE));
	ASSERT_EQ(0, sv_check_zero(self->map, 9, 3));
	ASSERT_EQ(0, memcmp(self->map + 12 * SV_PAGE, last, SV_PAGE));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, memcmp(self->map + 8 * SV_PAGE, first, SV_PAGE));
	ASSERT_EQ(0, sv_check_zero(self->map, 9, 3));
	ASSERT_EQ(0, memcmp(self->map + 12 * SV_PAGE, last, SV_PAGE));
	ASSERT_EQ(0, sv_check_range(self->map, 0, 8, SV_TEXT, 1));
	ASSERT_EQ(0, sv_check_range(self->map, 13, PAGES - 13, SV_TEXT, 1));
}

/* A hole leaves the anonymous pages of a private mapping, a cut takes them. */
TEST_F(cut, private_copies)
{
	char *map = sv_map(self->fd, PAGES, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	sv_fill_range(map, 0, 8, SV_TEXT, 5);
	ASSERT_EQ(0, fallocate(self->fd, PUNCH, 0, 16 * SV_PAGE));
	ASSERT_EQ(0, sv_check_range(map, 0, 8, SV_TEXT, 5));
	ASSERT_EQ(0, sv_check_zero(map, 8, 8));
	ASSERT_EQ(0, ftruncate(self->fd, 0));
	ASSERT_EQ(SIGBUS, sv_touch_read(map));
	ASSERT_EQ(0, ftruncate(self->fd, PAGES * SV_PAGE));
	ASSERT_EQ(0, sv_check_zero(map, 0, PAGES));
}

/* Growing far and using both ends: the table grows by what is touched only. */
TEST_F(cut, far_end)
{
	const size_t far = 1UL << 28;	/* pages: 1 TiB */
	uint64_t table = SV_STAT(self->fd, table_bytes);
	char *end;

	ASSERT_EQ(0, ftruncate(self->fd, far * SV_PAGE));
	end = mmap(NULL, 2 * SV_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd,
		   (far - 2) * SV_PAGE);
	ASSERT_NE(MAP_FAILED, end);
	sv_fill(end + SV_PAGE, SV_TEXT, far - 1, 1);
	ASSERT_EQ(1, sv_pageout(self->fd, far - 1, 1));
	ASSERT_TRUE(sv_check(end + SV_PAGE, SV_TEXT, far - 1, 1));
	ASSERT_TRUE(sv_check(end, SV_ZERO, 0, 0));
	ASSERT_LT(table, SV_STAT(self->fd, table_bytes));
	ASSERT_GE(table + 8 * SV_PAGE, SV_STAT(self->fd, table_bytes));
	ASSERT_EQ(0, ftruncate(self->fd, PAGES * SV_PAGE));
	ASSERT_PAGES_LEFT(PAGES);
	ASSERT_EQ(SIGBUS, sv_touch_read(end));
	ASSERT_EQ(0, ftruncate(self->fd, far * SV_PAGE));
	ASSERT_EQ(0, sv_check_zero(end, 0, 2));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
}

/*
 * While the driver is at it.
 */
/* Levels of the table that hold nothing any more are freed. */
TEST(levels_go_with_their_pages)
{
	const size_t step = 600, nr = 40;
	struct sv_baseline base;
	int fd, round;
	char *map;
	size_t i;

	sv_begin(&base);
	fd = sv_create("test", "", nr * step, SV_NO_LIMIT);
	map = sv_map_rw(fd, nr * step);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < nr; i++)
			sv_fill(map + i * step * SV_PAGE, SV_TEXT, i, round);
		if (round)
			ASSERT_TRUE(sv_pageout_all(fd));
		/* A leaf for each, and the root above all but the first. */
		ASSERT_EQ((nr + 1) * SV_PAGE, SV_STAT(fd, table_bytes));
		ASSERT_EQ(0, sv_punch(fd, step, (nr - 2) * step));
		ASSERT_EQ(3 * SV_PAGE, SV_STAT(fd, table_bytes));
		ASSERT_TRUE(sv_check(map, SV_TEXT, 0, round));
		ASSERT_TRUE(sv_check(map + (nr - 1) * step * SV_PAGE, SV_TEXT, nr - 1, round));
		ASSERT_EQ(0, ftruncate(fd, 0));
		ASSERT_EQ(0, SV_STAT(fd, table_bytes));
		ASSERT_EQ(0, ftruncate(fd, nr * step * SV_PAGE));
		ASSERT_EQ(0, sv_check_zero(map, 0, 1));
	}
	sv_unmap(map, nr * step);
	close(fd);
	ASSERT_TRUE(sv_end(&base));
}

struct toucher {
	pthread_t thread;
	char *map;
	size_t index;
	bool stop;
	uint64_t bad, rounds;
};

static void *touch_and_check(void *arg)
{
	struct toucher *t = arg;

	while (!__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE)) {
		sv_fill(t->map + t->index * SV_PAGE, SV_TEXT, t->index, t->rounds);
		t->bad += !sv_check(t->map + t->index * SV_PAGE, SV_TEXT, t->index, t->rounds);
		t->rounds++;
	}
	return NULL;
}

/* Two pages of a leaf come and go in one thread, a third one stays in another. */
TEST_F(cut, levels_go_under_a_neighbour)
{
	struct toucher t = { .map = self->map, .index = 2 };
	int i;

	ASSERT_EQ(0, pthread_create(&t.thread, NULL, touch_and_check, &t));
	for (i = 0; i < (sv_long() ? 20000 : 500); i++) {
		sv_fill(self->map, SV_TEXT, 0, i);
		ASSERT_EQ(0, sv_punch(self->fd, 0, 2));
		ASSERT_EQ(0, sv_punch(self->fd, 3, PAGES - 3));
	}
	__atomic_store_n(&t.stop, true, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_join(t.thread, NULL));
	ASSERT_EQ(0, t.bad);
	ASSERT_LT(0, t.rounds);
}

FIXTURE(inflight)
{
	struct sv_baseline base;
	struct sv_pageout_thread pageout;
	uint64_t stored;
	char *map;
	int fd;
};

FIXTURE_VARIANT(inflight)
{
	bool punch;
};

FIXTURE_VARIANT_ADD(inflight, truncate)
{
	.punch = false,
};

FIXTURE_VARIANT_ADD(inflight, punch)
{
	.punch = true,
};

FIXTURE_SETUP(inflight)
{
	sv_begin(&self->base);
	self->stored = sv_get("stored");
	self->fd = sv_create("test", "", PAGES, SV_NO_LIMIT);
	self->map = sv_map_rw(self->fd, PAGES);
	sv_fill_range(self->map, 0, PAGES, SV_TEXT, 1);
}

FIXTURE_TEARDOWN_PARENT(inflight)
{
	/* A test that failed may have left it so. */
	sv_set("block", 0);
	sv_set("block_read", 0);
	EXPECT_TRUE(sv_end(&self->base));
}

static int cut_second_half(int fd, bool punch)
{
	if (punch)
		return fallocate(fd, PUNCH, HALF * SV_PAGE, HALF * SV_PAGE);
	return ftruncate(fd, HALF * SV_PAGE) || ftruncate(fd, PAGES * SV_PAGE);
}

/* It does not wait for the driver, and the late answer is not believed. */
TEST_F(inflight, during_swapout)
{
	sv_set("block", 1);
	sv_pageout_start(&self->pageout, self->fd, 0, PAGES);
	ASSERT_TRUE(sv_wait_for(sv_get("blocked") == 1));
	ASSERT_EQ(0, cut_second_half(self->fd, variant->punch));
	ASSERT_EQ(1, sv_get("blocked"));
	ASSERT_EQ(0, sv_check_zero(self->map, HALF, HALF));
	sv_fill_range(self->map, HALF, 8, SV_TEXT, 2);
	sv_set("block", 0);
	ASSERT_LE(0, sv_pageout_join(&self->pageout));
	ASSERT_EQ(0, sv_check_range(self->map, 0, HALF, SV_TEXT, 1));
	ASSERT_EQ(0, sv_check_range(self->map, HALF, 8, SV_TEXT, 2));
	ASSERT_EQ(0, sv_check_zero(self->map, HALF + 8, HALF - 8));
	/* The slots of the second half were discarded: all it holds is the first. */
	ASSERT_TRUE(sv_wait_for(sv_get("stored") - self->stored <= HALF));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, sv_check_range(self->map, 0, HALF, SV_TEXT, 1));
	ASSERT_EQ(0, sv_check_range(self->map, HALF, 8, SV_TEXT, 2));
}

static void *read_page(void *arg)
{
	return (void *)(intptr_t)sv_touch_read(arg);
}

/* Bug class C7: the slot is given up while it is being read. */
TEST_F(inflight, during_swapin)
{
	pthread_t reader;
	void *sig;

	ASSERT_TRUE(sv_pageout_all(self->fd));
	sv_set("block_read", 1);
	ASSERT_EQ(0, pthread_create(&reader, NULL, read_page,
				    self->map + (PAGES - 1) * SV_PAGE));
	ASSERT_TRUE(sv_wait_for(sv_get("blocked_reads") >= 1));
	ASSERT_EQ(0, cut_second_half(self->fd, variant->punch));
	ASSERT_LE(1, sv_get("blocked_reads"));
	sv_set("block_read", 0);
	ASSERT_EQ(0, pthread_join(reader, &sig));
	ASSERT_EQ(NULL, sig);
	ASSERT_EQ(0, sv_check_zero(self->map, HALF, HALF));
	ASSERT_EQ(0, sv_check_range(self->map, 0, HALF, SV_TEXT, 1));
	ASSERT_TRUE(sv_wait_for(sv_get("stored") - self->stored <= HALF));
}

/* The last reference goes while a batch is in the driver. */
TEST_F(inflight, close_during_swapout)
{
	pid_t child = sv_fork();
	int status = 0;

	if (!child) {
		sv_set("block", 1);
		sv_pageout_start(&self->pageout, self->fd, 0, PAGES);
		if (!sv_wait_for(sv_get("blocked") == 1))
			_exit(1);
		cut_second_half(self->fd, variant->punch);
		_exit(0);
	}
	sv_unmap(self->map, PAGES);
	close(self->fd);
	ASSERT_TRUE(sv_wait_for(sv_get("blocked") == 1));
	usleep(100000);
	EXPECT_EQ(0, waitpid(child, &status, WNOHANG));
	ASSERT_EQ(0, status);
	sv_set("block", 0);
	ASSERT_EQ(0, sv_reap(child));
}

SV_TEST_MAIN
