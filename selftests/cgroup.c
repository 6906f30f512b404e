// SPDX-License-Identifier: GPL-2.0
/*
 * Memory cgroups: the pages of a region, and what a driver stores of them in
 * memory, are charged to the cgroup of the process that created the region.
 * memory.max, memory.high and memory.reclaim shrink the regions of one cgroup and no
 * other's.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/mempolicy.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "swapvma_cgroup.h"
#include "swapvma_util.h"

FIXTURE(cgroup)
{
	struct sv_baseline base;
	uint64_t kills;
};

FIXTURE_SETUP(cgroup)
{
	const char *missing;

	sv_begin(&self->base);
	missing = cg_begin_charged();
	if (missing)
		SKIP(return, "%s", missing);
	self->kills = sv_vmstat("oom_kill ");
}

FIXTURE_TEARDOWN_PARENT(cgroup)
{
	EXPECT_TRUE(cg_end());
	EXPECT_TRUE(sv_end(&self->base));
}

/*
 * Who touches the pages does not matter. What is stored is charged as long as it is
 * stored: less than the pages, but no less than its bytes.
 */
TEST_F(cgroup, usage)
{
	size_t pages = PAGES_OF(MB(16));
	long before = cg_usage("a"), other = cg_usage("b"), in_memory, stored;
	int fd = cg_create_region("a", "ram", pages, SV_NO_LIMIT);
	char *map = sv_map_rw(fd, pages);

	sv_fill_range(map, 0, pages, SV_TEXT, 1);
	in_memory = cg_usage("a") - before;
	ASSERT_LE(MB(16L), in_memory);
	ASSERT_GE(MB(16L) + SLACK, in_memory);
	ASSERT_TRUE(sv_pageout_all(fd));
	stored = cg_usage("a") - before;
	ASSERT_LT(0, SV_STAT(fd, stored_bytes));
	ASSERT_LE(SV_STAT(fd, stored_bytes), stored);
	ASSERT_GT(MB(8L), stored);
	ASSERT_EQ(0, sv_check_range(map, 0, pages, SV_TEXT, 1));
	ASSERT_LE(MB(16L), cg_usage("a") - before);
	ASSERT_GE(SLACK, cg_usage("b") - other);
	sv_unmap(map, pages);
	close(fd);
	ASSERT_TRUE(sv_wait_for(cg_usage("a") - before < SLACK));
}

/* Pages that reclaim may free are available memory, those that are locked are not. */
TEST_F(cgroup, available)
{
	size_t pages = PAGES_OF(MB(16));
	uint64_t before = sv_vmstat("nr_kernel_misc_reclaimable ");
	int fd = cg_create_region("a", "ram", pages, SV_NO_LIMIT);
	char *map = sv_map_rw(fd, pages);

	sv_fill_range(map, 0, pages, SV_TEXT, 1);
	ASSERT_LE(before + pages - SV_BATCH * 8, sv_vmstat("nr_kernel_misc_reclaimable "));
	ASSERT_EQ(0, mlock(map, pages * SV_PAGE));
	/* The swapper finds out. */
	sv_pageout(fd, 0, pages);
	ASSERT_TRUE(sv_wait_for(sv_vmstat("nr_kernel_misc_reclaimable ") < before + 8 * SV_BATCH));
	ASSERT_EQ(0, munlock(map, pages * SV_PAGE));
	ASSERT_TRUE(sv_pageout_all(fd));
	ASSERT_TRUE(sv_wait_for(sv_vmstat("nr_kernel_misc_reclaimable ") < before + 8 * SV_BATCH));
}

/* Pages that left memory. */
static uint64_t left(int fd)
{
	struct swapvma_stats stats;

	sv_stats(fd, &stats);
	return stats.swapouts + stats.clean_drops + stats.same_filled;
}

/* A page more at the limit is not what everything leaves for. */
static void fill_more_than_fits(void *arg)
{
	size_t pages = *(size_t *)arg, i;
	int fd = sv_create("ram", "", pages, SV_NO_LIMIT);
	char *map = sv_map_rw(fd, pages);
	long usage, least = LONG_MAX;

	sv_fill_range(map, 0, pages, SV_TEXT, 1);
	for (i = 0; i < pages; i += SV_BATCH) {
		CHECK(!sv_check_range(map, i, SV_BATCH, SV_TEXT, 1));
		usage = cg_usage("a");
		least = usage < least ? usage : least;
	}
	CHECK(least > MB(8L));
	CHECK(left(fd) > pages / 4);
	CHECK(!SV_STAT(fd, limit_waits));
}

TEST_F_TIMEOUT(cgroup, max, SV_LONG_TIMEOUT)
{
	size_t pages = PAGES_OF(MB(24));
	struct cg_neighbour n;

	cg_neighbour_begin(&n);
	cg_set_bytes("a", "memory.max", MB(12L));
	ASSERT_EQ(0, cg_wait(cg_start("a", fill_more_than_fits, &pages)));
	ASSERT_LT(0, cg_events("a", "max"));
	ASSERT_EQ(0, cg_events("a", "oom_kill"));
	ASSERT_EQ(self->kills, sv_vmstat("oom_kill "));
	ASSERT_GE(MB(12L) + OVERSHOOT, cg_bytes("a", "memory.peak"));
	ASSERT_LT(0, cg_stalled_us("a"));
	ASSERT_TRUE(cg_neighbour_untouched(&n));
}

TEST_F_TIMEOUT(cgroup, high, SV_LONG_TIMEOUT)
{
	size_t pages = PAGES_OF(MB(24));
	struct cg_neighbour n;

	cg_neighbour_begin(&n);
	cg_set_bytes("a", "memory.high", MB(12L));
	ASSERT_EQ(0, cg_wait(cg_start("a", fill_more_than_fits, &pages)));
	ASSERT_LT(0, cg_events("a", "high"));
	ASSERT_EQ(0, cg_events("a", "oom_kill"));
	ASSERT_GE(MB(12L) + 2 * SLACK, cg_bytes("a", "memory.peak"));
	ASSERT_TRUE(cg_neighbour_untouched(&n));
}

/*
 * The core does not count what a shrinker frees in reclaim for a cgroup, and says
 * EAGAIN although usage fell. Nor does it stop: the module does, after a while.
 */
TEST_F_TIMEOUT(cgroup, reclaim, SV_LONG_TIMEOUT)
{
	size_t pages = PAGES_OF(MB(16));
	int fd = cg_create_region("a", "ram", pages, SV_NO_LIMIT), error;
	char *map = sv_map_rw(fd, pages);
	struct cg_neighbour n;
	long before;
	int i;

	cg_neighbour_begin(&n);
	sv_fill_range(map, 0, pages, SV_TEXT, 1);
	before = cg_usage("a");
	for (i = 0; i < 2; i++) {
		error = cg_try_set("a", "memory.reclaim", "1M");
		ASSERT_TRUE(!error || error == EAGAIN);
		/* What the swapper was asked for. */
		usleep(100000);
		ASSERT_LE((i + 1) * MB(1L), before - cg_usage("a"));
		ASSERT_LE(PAGES_OF((i + 1) * MB(1)), SV_STAT(fd, swapped));
		ASSERT_GE(PAGES_OF((i + 1) * MB(7)), SV_STAT(fd, swapped));
	}
	ASSERT_TRUE(cg_neighbour_untouched(&n));
	ASSERT_EQ(0, sv_check_range(map, 0, pages, SV_TEXT, 1));
}

/* The cgroup is removed: its parent pays, and its parent's limit holds. */
TEST_F_TIMEOUT(cgroup, offline, SV_LONG_TIMEOUT)
{
	size_t pages = PAGES_OF(MB(24));
	struct cg_neighbour n;
	long before;
	char *map;
	int fd;

	cg_neighbour_begin(&n);
	cg_set("a", "cgroup.subtree_control", "+memory");
	cg_make("a/c");
	fd = cg_create_region("a/c", "ram", pages, SV_NO_LIMIT);
	map = sv_map_rw(fd, pages);
	sv_fill_range(map, 0, PAGES_OF(MB(4)), SV_TEXT, 1);
	ASSERT_EQ(0, cg_gone("a/c"));
	before = cg_usage("a");
	ASSERT_LE(MB(4L), before);
	cg_set_bytes("a", "memory.max", MB(12L));
	sv_fill_range(map, PAGES_OF(MB(4)), pages - PAGES_OF(MB(4)), SV_TEXT, 1);
	ASSERT_LT(pages / 4, left(fd));
	ASSERT_GE(MB(12L) + OVERSHOOT, cg_usage("a"));
	ASSERT_EQ(0, sv_check_range(map, 0, pages, SV_TEXT, 1));
	ASSERT_EQ(self->kills, sv_vmstat("oom_kill "));
	ASSERT_TRUE(cg_neighbour_untouched(&n));
}

/*
 * Nobody is in the cgroup that could be killed, nothing can leave, and the process
 * that faults is elsewhere: the fault ends in SIGBUS, and does not come again for
 * ever.
 */
TEST_F_TIMEOUT(cgroup, nobody_to_kill, SV_LONG_TIMEOUT)
{
	size_t pages = PAGES_OF(MB(4)), i;
	int fd = cg_create_region("a", "test", pages, SV_NO_LIMIT), kmsg = sv_kmsg_open();
	char *map = sv_map_rw(fd, pages);

	sv_set_word("answer", "kept");
	cg_set_bytes("a", "memory.max", cg_usage("a") + MB(1L));
	for (i = 0; i < pages; i++) {
		if (sv_touch_write(map + i * SV_PAGE, 1))
			break;
	}
	ASSERT_LT(i, pages);
	ASSERT_LT(PAGES_OF(MB(1)) / 2, i);
	ASSERT_EQ(self->kills, sv_vmstat("oom_kill "));
	ASSERT_EQ(0, sv_kmsg_count(kmsg, "VM_FAULT_OOM"));
	/* With room, the page comes. */
	cg_set("a", "memory.max", "max");
	ASSERT_EQ(0, sv_touch_write(map + i * SV_PAGE, 1));
	close(kmsg);
}

/* Fills its region until it is killed; its pages are being written. */
static void fill_until_killed(void *arg)
{
	size_t pages = *(size_t *)arg, i;
	int fd = sv_create("test", "", pages, SV_NO_LIMIT);
	char *map = sv_map_rw(fd, pages);

	for (i = 0; i < pages; i++)
		sv_fill(map + i * SV_PAGE, SV_TEXT, i, 1);
}

TEST_F_TIMEOUT(cgroup, killed_while_written, SV_LONG_TIMEOUT)
{
	size_t pages = PAGES_OF(MB(8));
	uint64_t end;
	pid_t child;
	int status;

	/* A driver that is slower than anybody waits. */
	sv_reload_test("deadline_ms=60000");
	sv_set("block", 1);
	cg_set_bytes("a", "memory.max", MB(2L));
	child = cg_start("a", fill_until_killed, &pages);
	end = sv_now_ms() + 400 * 1000;
	while (!cg_events("a", "oom_kill") && sv_now_ms() < end)
		usleep(10000);
	ASSERT_LT(0, cg_events("a", "oom_kill"));
	ASSERT_EQ(1, sv_get("blocked"));
	sv_set("block", 0);
	status = cg_wait(child);
	ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	ASSERT_EQ(self->kills + 1, sv_vmstat("oom_kill "));
	ASSERT_TRUE(sv_wait_for(cg_usage("a") < SLACK));
	sv_reload_test("");
}

/*
 * Allocations fail while reclaim runs, those of the swapper and of the task that
 * faults: nothing is lost.
 */
static const char *const injections[] = { "failslab", "fail_page_alloc" };

static void inject(const char *which, const char *name, const char *value)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", which, name);
	if (!sv_write_file(path, value))
		sv_die("%s <- %s: %s", path, value, strerror(errno));
}

static void inject_all(const char *probability)
{
	size_t i;

	for (i = 0; i < 2; i++) {
		inject(injections[i], "verbose", "0");
		inject(injections[i], "interval", "1");
		inject(injections[i], "space", "0");
		inject(injections[i], "times", "-1");
		inject(injections[i], "task-filter", "Y");
		inject(injections[i], "ignore-gfp-wait", "N");
		inject(injections[i], "probability", probability);
	}
	inject("fail_page_alloc", "min-order", "0");
}

static void inject_nothing(void)
{
	size_t i;

	for (i = 0; i < 2; i++) {
		inject(injections[i], "probability", "0");
		inject(injections[i], "times", "1");
		inject(injections[i], "ignore-gfp-wait", "Y");
	}
}

static bool mark(pid_t pid, bool fail)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/make-it-fail", pid);
	return sv_write_file(path, fail ? "1" : "0");
}

static bool can_inject(void)
{
	return !access("/sys/kernel/debug/failslab/probability", W_OK) &&
	       !access("/sys/kernel/debug/fail_page_alloc/probability", W_OK);
}

/* A store to a page that had no memory is another one. */
static pid_t fill_patiently(char *map, size_t pages)
{
	pid_t pid = sv_fork();
	size_t i;

	if (pid)
		return pid;
	/* Until the injection begins. */
	raise(SIGSTOP);
	for (i = 0; i < pages; i++) {
		while (sv_touch_write(map + i * SV_PAGE, 1))
			;
	}
	_exit(0);
}

TEST_F_TIMEOUT(cgroup, failing_allocations, SV_LONG_TIMEOUT)
{
	size_t pages = PAGES_OF(MB(8));
	int fd = cg_create_region("a", "ram", pages, SV_NO_LIMIT);
	char *map = sv_map_rw(fd, pages);
	pid_t swapper = sv_swapper("ram"), child;
	int status;

	if (!can_inject())
		SKIP(return, "no fault injection");
	cg_set_bytes("a", "memory.max", MB(4L));
	child = fill_patiently(map, pages);
	ASSERT_EQ(child, waitpid(child, &status, WUNTRACED));
	ASSERT_TRUE(WIFSTOPPED(status));
	ASSERT_TRUE(mark(swapper, true));
	ASSERT_TRUE(mark(child, true));
	inject_all("10");
	kill(child, SIGCONT);
	status = cg_wait(child);
	inject_nothing();
	mark(swapper, false);
	ASSERT_EQ(0, status);
	sv_fill_range(map, 0, pages, SV_TEXT, 1);
	ASSERT_EQ(0, sv_check_range(map, 0, pages, SV_TEXT, 1));
	ASSERT_LT(pages / 4, SV_STAT(fd, swapouts));
	ASSERT_EQ(self->kills, sv_vmstat("oom_kill "));
	ASSERT_EQ(0, SV_STAT(fd, read_failures));
}

/* The swapper gets no memory at all: a driver that needs none makes room. */
static void fill_with_starved_swapper(void *arg)
{
	size_t pages = *(size_t *)arg;
	int fd = sv_create("test", "", pages, SV_NO_LIMIT);
	char *map = sv_map_rw(fd, pages);
	pid_t swapper = sv_swapper("test");

	CHECK(mark(swapper, true));
	inject_all("100");
	sv_fill_range(map, 0, pages, SV_TEXT, 1);
	CHECK(!sv_check_range(map, 0, pages, SV_TEXT, 1));
	inject_nothing();
	mark(swapper, false);
	CHECK(SV_STAT(fd, swapouts) > pages / 4);
}

TEST_F_TIMEOUT(cgroup, starved_swapper, SV_LONG_TIMEOUT)
{
	size_t pages = PAGES_OF(MB(6));
	int status;

	if (!can_inject())
		SKIP(return, "no fault injection");
	cg_set_bytes("a", "memory.max", MB(4L));
	status = cg_wait(cg_start("a", fill_with_starved_swapper, &pages));
	inject_nothing();
	ASSERT_EQ(0, status);
	ASSERT_EQ(self->kills, sv_vmstat("oom_kill "));
}

SV_TEST_MAIN
