// SPDX-License-Identifier: GPL-2.0
/*
 * One interleaving per test: the driver is stopped in the middle of a swapout
 * or a swapin, something happens to the same pages, the driver goes on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "swapvma_util.h"

#define PAGES	SV_BATCH
#define PUNCH	(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

FIXTURE(stop)
{
	struct sv_baseline base;
	struct sv_pageout_thread pageout;
	char *map;
	int fd;
};

FIXTURE_SETUP(stop)
{
	sv_begin(&self->base);
	self->fd = sv_create("test", "", 2 * PAGES, SV_NO_LIMIT);
	self->map = sv_map_rw(self->fd, 2 * PAGES);
	sv_fill_range(self->map, 0, PAGES, SV_TEXT, 1);
}

FIXTURE_TEARDOWN_PARENT(stop)
{
	EXPECT_TRUE(sv_end(&self->base));
}

#define STOP_IN_SWAPOUT()							\
	do {									\
		sv_set("block", 1);						\
		sv_pageout_start(&self->pageout, self->fd, 0, PAGES);		\
		ASSERT_TRUE(sv_wait_for(sv_get("blocked") == 1));		\
	} while (0)

static void *touch_thread(void *addr)
{
	return (void *)(intptr_t)sv_touch_read(addr);
}

/* A thread that reads page @i and stops in the driver. */
#define STOP_IN_SWAPIN(thread, i)						\
	do {									\
		sv_set("block_read", 1);					\
		ASSERT_EQ(0, pthread_create(thread, NULL, touch_thread,		\
					    self->map + (i) * SV_PAGE));	\
		ASSERT_TRUE(sv_wait_for(sv_get("blocked_reads") >= 1));		\
	} while (0)

#define GO_ON_READING(thread)							\
	do {									\
		void *sig;							\
										\
		sv_set("block_read", 0);					\
		ASSERT_EQ(0, pthread_join(thread, &sig));			\
		ASSERT_EQ(NULL, sig);						\
	} while (0)

/* A read of a page that is being written out finds it, and waits for nothing. */
TEST_F(stop, read_rescues)
{
	STOP_IN_SWAPOUT();
	ASSERT_EQ(PAGES, SV_STAT(self->fd, writing));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
	ASSERT_EQ(1, sv_get("blocked"));
	ASSERT_EQ(0, SV_STAT(self->fd, swapins));
	ASSERT_EQ(0, SV_STAT(self->fd, cancelled));
	sv_set("block", 0);
	ASSERT_LE(0, sv_pageout_join(&self->pageout));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	/* A read does not dirty: nothing had to be stored a second time. */
	ASSERT_GE(PAGES, SV_STAT(self->fd, swapouts));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
}

/* A write cancels the swapout of that page, and waits for nothing either. */
TEST_F(stop, write_cancels)
{
	STOP_IN_SWAPOUT();
	sv_fill(self->map + 5 * SV_PAGE, SV_TEXT, 5, 2);
	ASSERT_EQ(1, sv_get("blocked"));
	sv_set("block", 0);
	ASSERT_EQ(PAGES - 1, sv_pageout_join(&self->pageout));
	ASSERT_EQ(1, SV_STAT(self->fd, cancelled));
	ASSERT_EQ(1, SV_STAT(self->fd, resident));
	ASSERT_TRUE(sv_check(self->map + 5 * SV_PAGE, SV_TEXT, 5, 2));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_TRUE(sv_check(self->map + 5 * SV_PAGE, SV_TEXT, 5, 2));
	ASSERT_EQ(0, sv_check_range(self->map, 0, 5, SV_TEXT, 1));
	ASSERT_EQ(0, sv_check_range(self->map, 6, PAGES - 6, SV_TEXT, 1));
	/* The slot of the cancelled write was given up. */
	ASSERT_TRUE(sv_wait_for(sv_get("stored") == self->base.value[5] + PAGES));
}

/* Written after it was read back in the middle: the second fault cancels. */
TEST_F(stop, read_then_write_cancels)
{
	STOP_IN_SWAPOUT();
	ASSERT_TRUE(sv_check(self->map + 5 * SV_PAGE, SV_TEXT, 5, 1));
	sv_fill(self->map + 5 * SV_PAGE, SV_TEXT, 5, 2);
	sv_set("block", 0);
	ASSERT_LE(0, sv_pageout_join(&self->pageout));
	ASSERT_EQ(1, SV_STAT(self->fd, cancelled));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_TRUE(sv_check(self->map + 5 * SV_PAGE, SV_TEXT, 5, 2));
}

/* A write to a private mapping makes a copy, and does not concern the swapout. */
TEST_F(stop, private_write_does_not_cancel)
{
	char *map = sv_map(self->fd, PAGES, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	STOP_IN_SWAPOUT();
	sv_fill_range(map, 0, PAGES, SV_TEXT, 7);
	ASSERT_EQ(1, sv_get("blocked"));
	sv_set("block", 0);
	ASSERT_LE(0, sv_pageout_join(&self->pageout));
	ASSERT_EQ(0, SV_STAT(self->fd, cancelled));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(PAGES, sv_get("stored") - self->base.value[5]);
	ASSERT_EQ(0, sv_check_range(map, 0, PAGES, SV_TEXT, 7));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
}

static void *fsync_thread(void *arg)
{
	FIXTURE_DATA(stop) *self = arg;

	return (void *)(intptr_t)fsync(self->fd);
}

/*
 * A write to a page that fsync is writing: it does not wait, and the page is
 * dirty afterwards. What fsync wrote is not what the page holds.
 */
TEST_F(stop, write_during_fsync)
{
	pthread_t thread;
	void *ret;

	sv_set("block", 1);
	ASSERT_EQ(0, pthread_create(&thread, NULL, fsync_thread, self));
	ASSERT_TRUE(sv_wait_for(sv_get("blocked") == 1));
	sv_fill(self->map + 5 * SV_PAGE, SV_TEXT, 5, 2);
	ASSERT_EQ(1, sv_get("blocked"));
	ASSERT_EQ(0, sv_check_range(self->map, 6, PAGES - 6, SV_TEXT, 1));
	sv_set("block", 0);
	ASSERT_EQ(0, pthread_join(thread, &ret));
	ASSERT_EQ(NULL, ret);
	ASSERT_EQ(PAGES, SV_STAT(self->fd, resident));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_TRUE(sv_check(self->map + 5 * SV_PAGE, SV_TEXT, 5, 2));
	ASSERT_EQ(0, sv_check_range(self->map, 0, 5, SV_TEXT, 1));
	ASSERT_EQ(0, sv_check_range(self->map, 6, PAGES - 6, SV_TEXT, 1));
	ASSERT_TRUE(sv_wait_for(sv_get("stored") == self->base.value[5] + PAGES));
}

/* While one batch sleeps in the driver, faults on other pages go on. */
TEST_F(stop, other_pages_go_on)
{
	STOP_IN_SWAPOUT();
	sv_fill_range(self->map, PAGES, PAGES, SV_TEXT, 1);
	ASSERT_EQ(0, sv_check_range(self->map, PAGES, PAGES, SV_TEXT, 1));
	ASSERT_EQ(1, sv_get("blocked"));
	sv_set("block", 0);
	ASSERT_EQ(PAGES, sv_pageout_join(&self->pageout));
	ASSERT_EQ(0, sv_check_range(self->map, 0, 2 * PAGES, SV_TEXT, 1));
}

/* Fork in the middle: the child has all pages, and its exit waits. */
TEST_F(stop, fork_during_swapout)
{
	pid_t child;

	STOP_IN_SWAPOUT();
	child = sv_fork();
	if (!child)
		_exit(sv_check_range(self->map, 0, PAGES, SV_TEXT, 1) != 0);
	ASSERT_TRUE(sv_wait_asleep(child));
	ASSERT_EQ(0, waitpid(child, NULL, WNOHANG));
	sv_set("block", 0);
	ASSERT_EQ(0, sv_reap(child));
	ASSERT_LE(0, sv_pageout_join(&self->pageout));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
}

/*
 * The swapper finds page 0, and before it locks the page, that is punched and
 * written anew: what it found is stale. A pipe holds the old page, so that nothing
 * but the second look at the entry tells.
 */
#define FIND_A_STALE_RECORD(flaw)						\
	do {									\
		struct iovec page = { .iov_base = self->map, .iov_len = SV_PAGE };	\
		int held[2];							\
										\
		if (!sv_put_back("hold_swapper " flaw))				\
			SKIP(return, "nothing can be put back");		\
		ASSERT_EQ(0, pipe(held));					\
		ASSERT_EQ(SV_PAGE, vmsplice(held[1], &page, 1, 0));		\
		sv_pageout_start(&self->pageout, self->fd, 0, 1);		\
		ASSERT_TRUE(sv_wait_for(sv_held() == 1));			\
		ASSERT_EQ(0, sv_punch(self->fd, 0, 1));				\
		sv_fill(self->map, SV_TEXT, 0, 2);				\
		ASSERT_TRUE(sv_put_back(flaw));					\
		ASSERT_EQ(0, sv_pageout_join(&self->pageout));			\
		ASSERT_TRUE(sv_put_back(""));					\
		close(held[0]);							\
		close(held[1]);							\
	} while (0)

TEST_F(stop, a_stale_record_is_left_alone)
{
	FIND_A_STALE_RECORD("");
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_TRUE(sv_check(self->map, SV_TEXT, 0, 2));
	ASSERT_EQ(0, sv_check_range(self->map, 1, PAGES - 1, SV_TEXT, 1));
}

/*
 * Without the second look, the old page is written in the name of the new one,
 * which is left as being written, and never leaves.
 */
TEST_F(stop, a_stale_record_is_noticed)
{
	FIND_A_STALE_RECORD("stale_record");
	ASSERT_EQ(PAGES - 1, sv_pageout(self->fd, 0, PAGES));
	ASSERT_EQ(0, sv_pageout(self->fd, 0, PAGES));
	ASSERT_EQ(1, SV_STAT(self->fd, resident));
}

struct writer {
	FIXTURE_DATA(stop) *self;
	size_t page;
};

static void *write_thread(void *arg)
{
	struct writer *w = arg;

	sv_fill(w->self->map + w->page * SV_PAGE, SV_TEXT, w->page, 2);
	return NULL;
}

/* Bug class C3: two faults on one stored page; neither undoes the other's write. */
TEST_F(stop, two_faults_on_one_page)
{
	struct writer w = { self, 9 };
	pthread_t reader, writer;
	uint64_t swapins;

	ASSERT_TRUE(sv_pageout_all(self->fd));
	swapins = sv_get("swapins");
	STOP_IN_SWAPIN(&reader, 9);
	ASSERT_EQ(0, pthread_create(&writer, NULL, write_thread, &w));
	usleep(50000);
	GO_ON_READING(reader);
	ASSERT_EQ(0, pthread_join(writer, NULL));
	ASSERT_TRUE(sv_check(self->map + 9 * SV_PAGE, SV_TEXT, 9, 2));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_TRUE(sv_check(self->map + 9 * SV_PAGE, SV_TEXT, 9, 2));
	ASSERT_EQ(0, sv_check_range(self->map, 0, 9, SV_TEXT, 1));
	ASSERT_LE(swapins + 1, sv_get("swapins"));
}

/* The read is shared: many faults on one page are one call of the driver. */
TEST_F(stop, concurrent_faults_share_the_read)
{
	pthread_t readers[4];
	uint64_t swapins;
	size_t i;

	ASSERT_TRUE(sv_pageout_all(self->fd));
	swapins = SV_STAT(self->fd, swapins);
	STOP_IN_SWAPIN(&readers[0], PAGES - 1);
	for (i = 1; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&readers[i], NULL, touch_thread,
					    self->map + (PAGES - 1) * SV_PAGE));
	usleep(50000);
	ASSERT_EQ(1, sv_get("blocked_reads"));
	sv_set("block_read", 0);
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_join(readers[i], NULL));
	ASSERT_EQ(swapins + 1, SV_STAT(self->fd, swapins));
	ASSERT_TRUE(sv_check(self->map + (PAGES - 1) * SV_PAGE, SV_TEXT, PAGES - 1, 1));
}

/* Bug class C4: the page is stored anew, elsewhere, while its old slot is read. */
TEST_F(stop, slot_changes_during_the_read)
{
	pthread_t reader;

	ASSERT_TRUE(sv_pageout_all(self->fd));
	STOP_IN_SWAPIN(&reader, 3);
	ASSERT_EQ(0, fallocate(self->fd, PUNCH, 0, PAGES * SV_PAGE));
	/* Page 3 anew by another way than the fault that sleeps. */
	sv_fill_range(self->map, 4, PAGES - 4, SV_TEXT, 2);
	ASSERT_LE(0, sv_pageout(self->fd, 0, PAGES));
	GO_ON_READING(reader);
	ASSERT_EQ(0, sv_check_zero(self->map, 0, 4));
	ASSERT_EQ(0, sv_check_range(self->map, 4, PAGES - 4, SV_TEXT, 2));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, sv_check_zero(self->map, 0, 4));
	ASSERT_EQ(0, sv_check_range(self->map, 4, PAGES - 4, SV_TEXT, 2));
}

/* munmap does not wait for a read: the fault holds what it needs by itself. */
TEST_F(stop, munmap_during_swapin)
{
	char *other = sv_map_rw(self->fd, PAGES);
	pthread_t reader;

	ASSERT_TRUE(sv_pageout_all(self->fd));
	STOP_IN_SWAPIN(&reader, 3);
	sv_unmap(other, PAGES);
	sv_unmap(self->map, 2 * PAGES);
	ASSERT_LE(1, sv_get("blocked_reads"));
	sv_set("block_read", 0);
	/* The reader's address is gone, or something else is there by now. */
	ASSERT_EQ(0, pthread_join(reader, NULL));
	self->map = sv_map_rw(self->fd, 2 * PAGES);
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
}

/*
 * Bug class C20: waiters can be killed. Each process below has other pages
 * mapped than the batch that sleeps, so its exit has nothing to wait for.
 */
TEST_F(stop, kill_in_the_limit_wait)
{
	pid_t child;

	ASSERT_EQ(0, sv_set_limit(self->fd, PAGES));
	ASSERT_EQ(PAGES, SV_STAT(self->fd, resident));
	sv_set("block", 1);
	child = sv_fork();
	if (!child) {
		char *map;

		munmap(self->map, 2 * PAGES * SV_PAGE);
		map = mmap(NULL, SV_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd,
			   (2 * PAGES - 1) * SV_PAGE);
		_exit(map == MAP_FAILED || sv_touch_write(map, 1));
	}
	ASSERT_TRUE(sv_wait_for(sv_get("blocked") == 1));
	ASSERT_TRUE(sv_wait_asleep(child));
	ASSERT_EQ(0, waitpid(child, NULL, WNOHANG));
	ASSERT_EQ(0, kill(child, SIGKILL));
	ASSERT_EQ(SIGKILL, sv_reap(child));
	ASSERT_EQ(1, sv_get("blocked"));
	sv_set("block", 0);
	ASSERT_TRUE(sv_wait_for(sv_get("blocked") == 0));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
}

TEST_F(stop, kill_in_the_read_wait)
{
	pid_t children[2];
	int i;

	ASSERT_TRUE(sv_pageout_all(self->fd));
	sv_set("block_read", 1);
	/* The first reads, the second waits for that read. */
	for (i = 0; i < 2; i++) {
		children[i] = sv_fork();
		if (!children[i])
			_exit(sv_touch_read(self->map + 3 * SV_PAGE));
		ASSERT_TRUE(sv_wait_asleep(children[i]));
	}
	ASSERT_EQ(1, sv_get("blocked_reads"));
	ASSERT_EQ(0, kill(children[1], SIGKILL));
	ASSERT_EQ(SIGKILL, sv_reap(children[1]));
	ASSERT_EQ(1, sv_get("blocked_reads"));
	ASSERT_EQ(0, kill(children[0], SIGKILL));
	ASSERT_EQ(SIGKILL, sv_reap(children[0]));
	sv_set("block_read", 0);
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
}

SV_TEST_MAIN
