// SPDX-License-Identifier: GPL-2.0
/*
 * Draining: what a driver stores moves to memory or to another driver, and its
 * module can be removed while its regions live.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "swapvma_util.h"

#define PAGES	(4 * SV_BATCH)

/* Whatever the machine is busy with, the driver answers in time. */
#define PATIENT	"deadline_ms=60000"

FIXTURE(drain)
{
	struct sv_region region;
};

FIXTURE_SETUP(drain)
{
	sv_set_up(&self->region, PAGES, PATIENT);
}

FIXTURE_TEARDOWN_PARENT(drain)
{
	EXPECT_TRUE(sv_end_quarantined(&self->region.base));
}

#define ASSERT_ALL_THERE(region)	\
	ASSERT_EQ(0, sv_check_range((region)->map, 0, PAGES, SV_TEXT, 1))

/* The mappings live on, and the driver hears of no end of theirs. */
static int drain(const char *line)
{
	sv_set_word("drained", "Y");
	return sv_control(line);
}

/* The module of the drained driver goes while the region lives. */
TEST_F(drain, to_memory)
{
	ASSERT_TRUE(sv_pageout_all(self->region.fd));
	ASSERT_EQ(-EAGAIN, sv_unload("swapvma_test"));
	ASSERT_EQ(0, drain("drain test"));
	ASSERT_EQ(0, sv_get("stored"));
	ASSERT_EQ(PAGES, SV_STAT(self->region.fd, resident));
	ASSERT_EQ(0, SV_STAT(self->region.fd, swapped));
	ASSERT_EQ(PAGES, sv_driver_count("test", "drained"));
	ASSERT_EQ(0, sv_driver_count("test", "regions"));
	ASSERT_EQ(0, sv_unload("swapvma_test"));
	ASSERT_ALL_THERE(&self->region);
	/* Without a driver pages stay. */
	ASSERT_EQ(0, sv_pageout(self->region.fd, 0, PAGES));
	ASSERT_EQ(PAGES, SV_STAT(self->region.fd, resident));
	/* And with a new one they go. */
	ASSERT_EQ(0, sv_add_driver(self->region.fd, "ram", ""));
	ASSERT_TRUE(sv_pageout_all(self->region.fd));
	ASSERT_ALL_THERE(&self->region);
	sv_reload_test(PATIENT);
}

/* Clean pages in memory whose copies the driver holds are its pages, too. */
TEST_F(drain, of_copies)
{
	ASSERT_TRUE(sv_pageout_all(self->region.fd));
	ASSERT_ALL_THERE(&self->region);
	ASSERT_EQ(PAGES, sv_get("stored"));
	ASSERT_EQ(0, drain("drain test"));
	ASSERT_EQ(0, sv_get("stored"));
	ASSERT_EQ(0, sv_add_driver(self->region.fd, "ram", ""));
	ASSERT_TRUE(sv_pageout_all(self->region.fd));
	ASSERT_EQ(0, SV_STAT(self->region.fd, clean_drops));
	ASSERT_ALL_THERE(&self->region);
}

TEST_F(drain, to_another)
{
	ASSERT_TRUE(sv_pageout_all(self->region.fd));
	ASSERT_EQ(0, sv_set_limit(self->region.fd, SV_BATCH));
	ASSERT_EQ(-ENODEV, drain("drain test no_such_driver"));
	ASSERT_EQ(0, drain("drain test ram"));
	ASSERT_EQ(0, sv_get("stored"));
	ASSERT_EQ(0, SV_STAT(self->region.fd, over_limit));
	ASSERT_GE(SV_BATCH, SV_STAT(self->region.fd, resident));
	ASSERT_EQ(1, sv_driver_count("ram", "regions"));
	ASSERT_EQ(0, sv_unload("swapvma_test"));
	ASSERT_ALL_THERE(&self->region);
	sv_reload_test(PATIENT);
}

/* Not over the limit; what was moved stays moved, and nothing is lost. */
TEST_F(drain, not_drained_over_the_limit)
{
	ASSERT_TRUE(sv_pageout_all(self->region.fd));
	ASSERT_EQ(0, sv_set_limit(self->region.fd, SV_BATCH));
	ASSERT_EQ(-ENOSPC, drain("drain test"));
	ASSERT_GE(SV_BATCH, SV_STAT(self->region.fd, resident));
	ASSERT_EQ(0, SV_STAT(self->region.fd, over_limit));
	ASSERT_ALL_THERE(&self->region);
	ASSERT_GE(SV_BATCH, SV_STAT(self->region.fd, resident));
	ASSERT_EQ(0, sv_set_limit(self->region.fd, SV_NO_LIMIT));
	ASSERT_EQ(0, drain("drain test"));
	ASSERT_EQ(PAGES, SV_STAT(self->region.fd, resident));
	ASSERT_ALL_THERE(&self->region);
}

TEST_F(drain, is_cancelled_and_goes_on)
{
	uint64_t moved;
	pid_t child;

	ASSERT_TRUE(sv_pageout_all(self->region.fd));
	ASSERT_EQ(0, sv_control("cancel test"));
	sv_set_word("complete_read", "late");
	child = sv_fork();
	if (!child)
		_exit(-drain("drain test ram"));
	ASSERT_TRUE(sv_wait_for(sv_driver_count("test", "drained") >= 8));
	ASSERT_EQ(-EBUSY, drain("drain test"));
	ASSERT_EQ(-EBUSY, sv_add_driver(self->region.fd, "test", ""));
	ASSERT_EQ(0, sv_control("cancel test"));
	ASSERT_EQ(EINTR << 8, sv_reap(child));
	moved = sv_driver_count("test", "drained");
	ASSERT_LE(8, moved);
	ASSERT_GT(PAGES, moved);
	ASSERT_EQ(1, sv_driver_count("test", "regions"));
	sv_set_word("complete_read", "sync");
	ASSERT_EQ(0, drain("drain test ram"));
	ASSERT_EQ(PAGES - moved, sv_driver_count("test", "drained"));
	ASSERT_EQ(0, sv_get("stored"));
	ASSERT_ALL_THERE(&self->region);
}

/* The swapper is with the driver, and another region waits for its turn. */
TEST_F(drain, is_cancelled_while_the_driver_is_busy)
{
	struct sv_pageout_thread first, second;
	int fd = sv_create("test", "", SV_BATCH, SV_NO_LIMIT);
	char *map = sv_map_rw(fd, SV_BATCH);
	pid_t child;

	sv_fill_range(map, 0, SV_BATCH, SV_TEXT, 1);
	sv_set("block", 1);
	sv_pageout_start(&first, self->region.fd, 0, SV_BATCH);
	ASSERT_TRUE(sv_wait_for(sv_get("blocked") == 1));
	sv_pageout_start(&second, fd, 0, SV_BATCH);
	/* Its exit would wait for the batch in flight. */
	ASSERT_EQ(0, madvise(self->region.map, PAGES * SV_PAGE, MADV_DONTFORK));
	ASSERT_EQ(0, madvise(map, SV_BATCH * SV_PAGE, MADV_DONTFORK));
	child = sv_fork();
	if (!child)
		_exit(-drain("drain test"));
	ASSERT_TRUE(sv_wait_asleep(child));
	ASSERT_EQ(0, sv_control("cancel test"));
	ASSERT_EQ(EINTR << 8, sv_reap(child));
	ASSERT_EQ(1, sv_get("blocked"));
	sv_set("block", 0);
	ASSERT_LE(0, sv_pageout_join(&first));
	ASSERT_LE(0, sv_pageout_join(&second));
	ASSERT_ALL_THERE(&self->region);
	ASSERT_EQ(0, sv_check_range(map, 0, SV_BATCH, SV_TEXT, 1));
	sv_unmap(map, SV_BATCH);
	close(fd);
}

/* A target that takes nothing is no reason to go over the limit. */
TEST_F(drain, target_refuses)
{
	int fd = sv_create("ram", "", PAGES, SV_BATCH);
	char *map = sv_map_rw(fd, PAGES);

	sv_fill_range(map, 0, PAGES, SV_TEXT, 3);
	sv_set_word("answer", "no_space");
	ASSERT_EQ(-ENOSPC, drain("drain ram test"));
	ASSERT_EQ(0, SV_STAT(fd, over_limit));
	ASSERT_GE(SV_BATCH, SV_STAT(fd, resident));
	ASSERT_EQ(1, sv_driver_count("ram", "regions"));
	ASSERT_EQ(0, sv_check_range(map, 0, PAGES, SV_TEXT, 3));
	sv_set_word("answer", "stored");
	ASSERT_EQ(0, drain("drain ram test"));
	ASSERT_EQ(0, sv_driver_count("ram", "regions"));
	ASSERT_EQ(0, sv_check_range(map, 0, PAGES, SV_TEXT, 3));
}

/* From a driver to itself: nothing is begun. */
TEST_F(drain, to_itself)
{
	ASSERT_TRUE(sv_pageout_all(self->region.fd));
	ASSERT_EQ(-EINVAL, drain("drain test test"));
	ASSERT_EQ(PAGES, sv_get("stored"));
	ASSERT_EQ(0, sv_add_driver(self->region.fd, "ram", "zstd"));
	ASSERT_EQ(0, drain("drain test ram"));
	ASSERT_ALL_THERE(&self->region);
}

/* A batch that is on its way when the drain begins is drained as well. */
TEST_F(drain, against_a_page_out)
{
	int i;

	for (i = 0; i < (sv_long() ? 300 : 20); i++) {
		int fd = sv_create("test", "", SV_BATCH, SV_NO_LIMIT);
		char *map = sv_map_rw(fd, SV_BATCH);
		struct sv_pageout_thread pageout;

		sv_fill_range(map, 0, SV_BATCH, SV_TEXT, i);
		sv_pageout_start(&pageout, fd, 0, SV_BATCH);
		usleep(i % 7 * 100);
		ASSERT_EQ(0, drain("drain test"));
		sv_pageout_join(&pageout);
		ASSERT_EQ(0, sv_get("stored"));
		ASSERT_EQ(SV_BATCH, SV_STAT(fd, resident));
		ASSERT_EQ(0, sv_check_range(map, 0, SV_BATCH, SV_TEXT, i));
		sv_unmap(map, SV_BATCH);
		close(fd);
	}
	ASSERT_ALL_THERE(&self->region);
}

/* A page that cannot be read stays where it is, and so does the driver. */
TEST_F(drain, meets_a_bad_page)
{
	ASSERT_TRUE(sv_pageout_all(self->region.fd));
	sv_set("bad_read", 9);
	ASSERT_EQ(-EIO, drain("drain test"));
	ASSERT_EQ(1, SV_STAT(self->region.fd, read_failures));
	ASSERT_EQ(1, sv_driver_count("test", "regions"));
	sv_set("bad_read", UINT64_MAX);
	ASSERT_EQ(0, drain("drain test"));
	ASSERT_EQ(1, SV_STAT(self->region.fd, read_failures));
	ASSERT_EQ(0, sv_get("stored"));
	ASSERT_ALL_THERE(&self->region);
}

struct writer {
	pthread_t thread;
	char *map;
	size_t first;
	uint64_t gen;
	bool stop;
	size_t bad;
};

static void *write_on(void *arg)
{
	struct writer *w = arg;
	size_t i;

	while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
		for (i = w->first; i < PAGES; i += 2) {
			w->bad += !sv_check(w->map + i * SV_PAGE, SV_TEXT, i, w->gen);
			sv_fill(w->map + i * SV_PAGE, SV_TEXT, i, w->gen + 1);
		}
		w->gen++;
	}
	return NULL;
}

/* Back and forth, while two threads use the region. */
TEST_F(drain, in_use)
{
	struct writer writers[2] = {
		{ .map = self->region.map, .first = 0, .gen = 1 },
		{ .map = self->region.map, .first = 1, .gen = 1 },
	};
	int i;
	size_t j;

	ASSERT_EQ(0, sv_set_limit(self->region.fd, SV_BATCH));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&writers[i].thread, NULL, write_on, &writers[i]));
	for (i = 0; i < (sv_long() ? 50 : 4); i++) {
		ASSERT_EQ(0, drain("drain test ram"));
		ASSERT_EQ(0, sv_get("stored"));
		ASSERT_EQ(0, sv_driver_count("test", "regions"));
		ASSERT_EQ(0, drain("drain ram test"));
		ASSERT_EQ(0, sv_driver_count("ram", "regions"));
	}
	for (i = 0; i < 2; i++) {
		__atomic_store_n(&writers[i].stop, true, __ATOMIC_RELEASE);
		ASSERT_EQ(0, pthread_join(writers[i].thread, NULL));
		ASSERT_EQ(0, writers[i].bad);
		ASSERT_LT(1, writers[i].gen);
		for (j = writers[i].first; j < PAGES; j += 2)
			ASSERT_TRUE(sv_check(self->region.map + j * SV_PAGE, SV_TEXT, j, writers[i].gen));
	}
	ASSERT_EQ(0, SV_STAT(self->region.fd, over_limit));
}

static void *unmap_all(void *region)
{
	sv_unmap(((struct sv_region *)region)->map, PAGES);
	return NULL;
}

/*
 * A munmap tells the driver, which takes its time, while the driver is drained: it is
 * not detached by the munmap, under mmap_lock, but before the drain is over.
 */
TEST_F(drain, against_munmap)
{
	uint64_t detaches = sv_get("detaches");
	pthread_t thread;

	sv_set("close_ms", 300);
	ASSERT_EQ(0, pthread_create(&thread, NULL, unmap_all, &self->region));
	ASSERT_TRUE(sv_wait_for(sv_get("closing") == 1));
	ASSERT_EQ(0, drain("drain test ram"));
	ASSERT_EQ(0, sv_get("closing"));
	ASSERT_EQ(detaches + 1, sv_get("detaches"));
	ASSERT_EQ(0, sv_driver_count("test", "regions"));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	self->region.map = sv_map_rw(self->region.fd, PAGES);
	ASSERT_ALL_THERE(&self->region);
}

SV_TEST_MAIN
