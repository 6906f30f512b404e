// SPDX-License-Identifier: GPL-2.0
/*
 * Rules R5 and R6: records are added and removed while every allocation of the
 * swapper fails, from the slab and of whole pages, and others recurse into reclaim.
 * The reverse mapping of KOS was allocated from the slab, under the lock that the
 * slab needed. Nothing of ours fails, nothing waits for ever, no page is lost.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "swapvma_util.h"

#define PAGES	(4 * SV_BATCH)
#define THREADS	2
#define DEBUG	"/sys/kernel/debug/"
#define CPU1	"/sys/devices/system/cpu/cpu1/online"

static uint64_t run_ms(void)
{
	return sv_long() ? 20000 : sv_slow() > 1 ? 1500 : 1000;
}

static void set(const char *kind, const char *name, const char *value)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), DEBUG "%s/%s", kind, name);
	if (!sv_write_file(path, value))
		sv_die("%s <- %s: %s", path, value, strerror(errno));
}

/* Every allocation of a task that is marked fails, whatever its flags. */
static void start_failing(const char *kind)
{
	set(kind, "verbose", "0");
	set(kind, "interval", "1");
	set(kind, "space", "0");
	set(kind, "times", "-1");
	set(kind, "task-filter", "Y");
	set(kind, "ignore-gfp-wait", "N");
	set(kind, "probability", "100");
}

static void stop_failing(const char *kind)
{
	set(kind, "probability", "0");
	set(kind, "times", "1");
	set(kind, "ignore-gfp-wait", "Y");
}

static bool mark(pid_t pid, bool fail)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/make-it-fail", pid);
	return sv_write_file(path, fail ? "1" : "0");
}

FIXTURE(records)
{
	struct sv_baseline base;
	bool failing, stop;
	pid_t swapper;
	char *map;
	int fd;
};

FIXTURE_SETUP(records)
{
	sv_begin(&self->base);
	if (access(DEBUG "failslab/probability", W_OK) ||
	    access(DEBUG "fail_page_alloc/probability", W_OK))
		SKIP(return, "no failslab, or no fail_page_alloc");
	self->fd = sv_create("test", "", PAGES, SV_NO_LIMIT);
	self->map = sv_map_rw(self->fd, PAGES);
	sv_fill_range(self->map, 0, PAGES, SV_TEXT, 1);
	self->swapper = sv_swapper("test");
	self->failing = true;
	start_failing("failslab");
	set("fail_page_alloc", "min-order", "0");
	set("fail_page_alloc", "ignore-gfp-highmem", "N");
	start_failing("fail_page_alloc");
}

FIXTURE_TEARDOWN_PARENT(records)
{
	if (self->failing) {
		stop_failing("fail_page_alloc");
		stop_failing("failslab");
		EXPECT_TRUE(mark(self->swapper, false));
		sv_write_file(CPU1, "1");
	}
	EXPECT_TRUE(sv_end(&self->base));
}

struct thread {
	FIXTURE_DATA(records) *self;
	pthread_t thread;
	uint64_t nr, count, bad;
};

static bool goes_on(struct thread *t)
{
	return !__atomic_load_n(&t->self->stop, __ATOMIC_ACQUIRE);
}

/* Makes its pages anew, again and again: each has a record, and loses it. */
static void *add_and_remove(void *arg)
{
	struct thread *t = arg;
	size_t nr = PAGES / THREADS, first = t->nr * nr;

	while (goes_on(t)) {
		uint64_t gen = t->count + 2;

		t->bad += sv_punch(t->self->fd, first, nr) != 0;
		sv_fill_range(t->self->map, first, nr, SV_TEXT, gen);
		t->bad += sv_check_range(t->self->map, first, nr, SV_TEXT, gen);
		t->count++;
	}
	return NULL;
}

static void *page_out(void *arg)
{
	struct thread *t = arg;

	while (goes_on(t)) {
		long out = sv_pageout(t->self->fd, 0, PAGES);

		t->bad += out < 0;
		t->count += out > 0 ? out : 0;
	}
	return NULL;
}

/* What an allocation does that finds no memory: every shrinker is called. */
static void *reclaim(void *arg)
{
	struct thread *t = arg;

	while (goes_on(t)) {
		t->bad += !sv_write_file("/proc/sys/vm/drop_caches", "2");
		t->count++;
	}
	return NULL;
}

TEST_F_TIMEOUT(records, come_and_go_without_memory, SV_LONG_TIMEOUT)
{
	void *(*const mains[])(void *) = { add_and_remove, add_and_remove, page_out, reclaim };
	struct thread threads[4];
	size_t i;

	ASSERT_TRUE(mark(self->swapper, true));
	for (i = 0; i < 4; i++) {
		threads[i] = (struct thread){ .self = self, .nr = i };
		ASSERT_EQ(0, pthread_create(&threads[i].thread, NULL, mains[i], &threads[i]));
	}
	usleep(run_ms() * 1000);
	__atomic_store_n(&self->stop, true, __ATOMIC_RELEASE);
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_join(threads[i].thread, NULL));
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, threads[i].bad)
			TH_LOG("thread %zu", i);
		ASSERT_LT(0, threads[i].count)
			TH_LOG("thread %zu", i);
	}
	ASSERT_EQ(0, SV_STAT(self->fd, write_failures));
	ASSERT_EQ(0, SV_STAT(self->fd, kept));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	for (i = 0; i < THREADS; i++)
		ASSERT_EQ(0, sv_check_range(self->map, i * PAGES / THREADS, PAGES / THREADS,
					    SV_TEXT, threads[i].count + 1));
}

/*
 * To remove a record takes no memory; to add one does, and fails without it. The
 * task itself is the one that gets none: what it touches meanwhile is locked, and
 * what unmarks it is open.
 */
TEST_F(records, go_without_memory)
{
	const size_t half = SV_BATCH / 2;
	long prefetched, punched, out;
	char path[64];
	int fail;

	snprintf(path, sizeof(path), "/proc/self/task/%d/make-it-fail", gettid());
	fail = open(path, O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, fail);
	ASSERT_EQ(PAGES, sv_pageout(self->fd, 0, PAGES));
	ASSERT_EQ(SV_BATCH, sv_prefetch(self->fd, 0, SV_BATCH));
	sv_unmap(self->map, PAGES);
	ASSERT_EQ(0, mlockall(MCL_CURRENT));

	ASSERT_EQ(1, pwrite(fail, "1", 1, 0));
	prefetched = sv_prefetch(self->fd, SV_BATCH, SV_BATCH);
	punched = sv_punch(self->fd, 0, half);
	out = sv_pageout(self->fd, 0, PAGES);
	ASSERT_EQ(1, pwrite(fail, "0", 1, 0));

	ASSERT_EQ(0, munlockall());
	ASSERT_EQ(-ENOMEM, prefetched);
	ASSERT_EQ(0, punched);
	ASSERT_EQ(half, out);
	ASSERT_EQ(0, SV_STAT(self->fd, resident));
	self->map = sv_map_rw(self->fd, PAGES);
	ASSERT_EQ(0, sv_check_zero(self->map, 0, half));
	ASSERT_EQ(0, sv_check_range(self->map, half, PAGES - half, SV_TEXT, 1));
}

/* The failures are real: a driver that allocates gets nothing, and keeps its pages. */
TEST_F(records, stay_with_a_driver_that_allocates)
{
	int fd = sv_create("ram", "", PAGES, SV_NO_LIMIT);
	char *map = sv_map_rw(fd, PAGES);
	pid_t swapper = sv_swapper("ram");
	long out;

	sv_fill_range(map, 0, PAGES, SV_TEXT, 1);
	ASSERT_TRUE(mark(swapper, true));
	out = sv_pageout(fd, 0, PAGES);
	ASSERT_TRUE(mark(swapper, false));
	ASSERT_EQ(0, out);
	ASSERT_LE(PAGES, SV_STAT(fd, kept));
	ASSERT_EQ(PAGES, SV_STAT(fd, resident));
	ASSERT_EQ(0, sv_check_range(map, 0, PAGES, SV_TEXT, 1));
}

static void run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		sv_die("sched_setaffinity: %s", strerror(errno));
}

/* What a processor had at hand is not lost when it goes away. */
TEST_F(records, are_given_back_for_an_offline_processor)
{
	if (access(CPU1, W_OK))
		SKIP(return, "no second processor that can go offline");
	run_on(1);
	ASSERT_EQ(0, sv_punch(self->fd, 0, PAGES));
	sv_fill_range(self->map, 0, PAGES, SV_TEXT, 2);
	ASSERT_EQ(0, sv_punch(self->fd, 0, PAGES));
	run_on(0);
	ASSERT_TRUE(sv_write_file(CPU1, "0"));
	ASSERT_EQ(self->base.value[1], sv_debug("records"));
	ASSERT_LT(0, sv_debug("record_pages"));
	sv_unmap(self->map, PAGES);
	close(self->fd);
	if (!self->base.value[0])
		ASSERT_TRUE(sv_wait_for(sv_debug("record_pages") == 0));
	ASSERT_TRUE(sv_write_file(CPU1, "1"));
}

SV_TEST_MAIN
