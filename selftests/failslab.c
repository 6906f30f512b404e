// SPDX-License-Identifier: GPL-2.0
/*
 * Rule R5: every slab allocation of the swapper fails for the whole of a
 * swapout. The subsystem's part does not need any: with the test driver, which
 * preallocates, the swapout succeeds. The ram driver needs some for zsmalloc
 * and answers "kept": the pages stay resident and dirty, and go out later.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "swapvma_util.h"

#define PAGES	SV_BATCH
#define FAILSLAB "/sys/kernel/debug/failslab/"

static void set_failslab(const char *name, const char *value)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), FAILSLAB "%s", name);
	if (!sv_write_file(path, value))
		sv_die("%s <- %s: %s", path, value, strerror(errno));
}

/* Allocations of marked tasks fail, all of them, whatever their flags. */
static void start_failing(void)
{
	set_failslab("verbose", "0");
	set_failslab("interval", "1");
	set_failslab("space", "0");
	set_failslab("times", "-1");
	set_failslab("task-filter", "Y");
	set_failslab("ignore-gfp-wait", "N");
	set_failslab("probability", "100");
}

static void stop_failing(void)
{
	set_failslab("probability", "0");
	set_failslab("times", "1");
	set_failslab("ignore-gfp-wait", "Y");
}

static bool mark(pid_t pid, bool fail)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/make-it-fail", pid);
	return sv_write_file(path, fail ? "1" : "0");
}

FIXTURE(failslab)
{
	struct sv_baseline base;
	pid_t swapper;
	char *map;
	int fd;
};

FIXTURE_VARIANT(failslab)
{
	const char *driver;
	bool stored;
};

FIXTURE_VARIANT_ADD(failslab, test)
{
	.driver = "test", .stored = true,
};

FIXTURE_VARIANT_ADD(failslab, ram)
{
	.driver = "ram", .stored = false,
};

FIXTURE_SETUP(failslab)
{
	sv_begin(&self->base);
	if (access(FAILSLAB "probability", W_OK) || access("/proc/self/make-it-fail", W_OK))
		SKIP(return, "no failslab");
	self->fd = sv_create(variant->driver, "", PAGES, SV_NO_LIMIT);
	self->map = sv_map_rw(self->fd, PAGES);
	sv_fill_range(self->map, 0, PAGES, SV_TEXT, 1);
	self->swapper = sv_swapper(variant->driver);
	ASSERT_TRUE(mark(self->swapper, true));
	start_failing();
}

FIXTURE_TEARDOWN_PARENT(failslab)
{
	if (self->swapper) {
		stop_failing();
		EXPECT_TRUE(mark(self->swapper, false));
	}
	EXPECT_TRUE(sv_end(&self->base));
}

TEST_F(failslab, swapout)
{
	long out = sv_pageout(self->fd, 0, PAGES);

	if (variant->stored) {
		ASSERT_EQ(PAGES, out);
		ASSERT_EQ(PAGES, SV_STAT(self->fd, swapped));
		ASSERT_EQ(0, SV_STAT(self->fd, kept));
	} else {
		ASSERT_GE(0, out);
		ASSERT_EQ(PAGES, SV_STAT(self->fd, resident));
		ASSERT_LE(PAGES, SV_STAT(self->fd, kept));
	}
	ASSERT_EQ(0, SV_STAT(self->fd, write_failures));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));

	stop_failing();
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
}

/* Same-filled pages are one word in the table: no driver, no allocation. */
TEST_F(failslab, same_filled)
{
	sv_fill_range(self->map, 0, PAGES, SV_SAME, 2);
	ASSERT_EQ(PAGES, sv_pageout(self->fd, 0, PAGES));
	ASSERT_EQ(PAGES, SV_STAT(self->fd, same_filled));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_SAME, 2));
}

/* Faults go on while the swapper cannot allocate; what they need is their own. */
TEST_F(failslab, limit)
{
	size_t pages = variant->stored ? 4 * PAGES : PAGES + 16;
	int fd = sv_create(variant->driver, "", pages, PAGES);
	char *map = sv_map_rw(fd, pages);

	sv_fill_range(map, 0, pages, SV_TEXT, 3);
	ASSERT_EQ(0, sv_check_range(map, 0, pages, SV_TEXT, 3));
	if (variant->stored) {
		ASSERT_EQ(0, SV_STAT(fd, over_limit));
		ASSERT_GE(PAGES, SV_STAT(fd, resident_peak));
	} else {
		ASSERT_LT(0, SV_STAT(fd, over_limit));
	}
	stop_failing();
	ASSERT_TRUE(sv_pageout_all(fd));
	ASSERT_EQ(0, sv_check_range(map, 0, pages, SV_TEXT, 3));
}

/*
 * Systematic: the n-th allocation of a system call fails, for every n, until
 * the call gets through. What failed changed nothing.
 */
FIXTURE(fail_nth)
{
	struct sv_baseline base;
	int nth;
};

FIXTURE_SETUP(fail_nth)
{
	char path[64];

	sv_begin(&self->base);
	snprintf(path, sizeof(path), "/proc/self/task/%d/fail-nth", gettid());
	self->nth = open(path, O_RDWR | O_CLOEXEC);
	if (self->nth < 0 || access(FAILSLAB "probability", W_OK)) {
		self->nth = -1;
		SKIP(return, "no fail-nth");
	}
	set_failslab("verbose", "0");
	set_failslab("ignore-gfp-wait", "N");
}

FIXTURE_TEARDOWN_PARENT(fail_nth)
{
	if (self->nth >= 0)
		set_failslab("ignore-gfp-wait", "Y");
	EXPECT_TRUE(sv_end(&self->base));
}

static void arm(FIXTURE_DATA(fail_nth) *self, int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", n);

	if (pwrite(self->nth, text, len, 0) != len)
		sv_die("fail-nth: %s", strerror(errno));
}

/* True if the failure was used up; disarms. */
static bool failed(FIXTURE_DATA(fail_nth) *self)
{
	char text[16] = "";

	if (pread(self->nth, text, sizeof(text) - 1, 0) <= 0)
		sv_die("fail-nth: %s", strerror(errno));
	arm(self, 0);
	return atoi(text) == 0;
}

#define MOST_ALLOCATIONS	400

TEST_F_TIMEOUT(fail_nth, create, 90)
{
	int n, fd = -1;

	for (n = 1; n < MOST_ALLOCATIONS; n++) {
		bool used;

		arm(self, n);
		fd = sv_try_create("test", "", PAGES, SV_NO_LIMIT);
		used = failed(self);
		if (fd >= 0 && !used)
			break;
		if (fd >= 0) {
			close(fd);
			continue;
		}
		ASSERT_EQ(-ENOMEM, fd)
			TH_LOG("allocation %d", n);
	}
	ASSERT_LT(n, MOST_ALLOCATIONS);
	ASSERT_LT(1, n);
	close(fd);
}

TEST_F_TIMEOUT(fail_nth, mmap_fault_fork_munmap, 90)
{
	int n, fd = sv_create("test", "", PAGES, SV_NO_LIMIT);
	char *map = sv_map_rw(fd, PAGES);

	sv_fill_range(map, 0, PAGES, SV_TEXT, 1);
	for (n = 1; n < MOST_ALLOCATIONS; n++) {
		bool used, gone;
		char *other;
		int sig = 0;

		arm(self, n);
		other = mmap(NULL, PAGES * SV_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (other != MAP_FAILED) {
			sig = sv_touch_write(other + SV_PAGE - 1, map[SV_PAGE - 1]);
			gone = !munmap(other, PAGES * SV_PAGE);
			used = failed(self);
			ASSERT_TRUE(gone || !munmap(other, PAGES * SV_PAGE));
		} else {
			ASSERT_EQ(ENOMEM, errno);
			used = failed(self);
		}
		ASSERT_TRUE(!sig || sig == SIGBUS || sig == SIGSEGV);
		if (other != MAP_FAILED && !used && !sig)
			break;
	}
	ASSERT_LT(n, MOST_ALLOCATIONS);
	ASSERT_LT(1, n);
	ASSERT_EQ(0, sv_check_range(map, 0, PAGES, SV_TEXT, 1));
}

/* A larger mapping of the device makes its region larger, or fails and does not. */
TEST_F_TIMEOUT(fail_nth, mmap_of_the_device, 90)
{
	int n, failures = 0, device = open(SV_DEVICE, O_RDWR | O_CLOEXEC);
	char *map = sv_map_rw(device, PAGES);

	sv_fill_range(map, 0, PAGES, SV_TEXT, 1);
	for (n = 1; n < MOST_ALLOCATIONS; n++) {
		uint64_t size = SV_STAT(device, size);
		char *larger;
		bool used;

		ASSERT_EQ(PAGES * SV_PAGE, size);
		arm(self, n);
		larger = mmap(NULL, 2 * PAGES * SV_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			      device, 0);
		used = failed(self);
		if (larger != MAP_FAILED) {
			ASSERT_EQ(2 * PAGES * SV_PAGE, SV_STAT(device, size));
			ASSERT_EQ(0, sv_check_range(larger, 0, PAGES, SV_TEXT, 1));
			ASSERT_FALSE(used);
			break;
		}
		failures++;
	}
	ASSERT_LT(n, MOST_ALLOCATIONS);
	ASSERT_LT(1, failures);
	close(device);
}

/* Reading back: an allocation that fails is an error of that access only. */
TEST_F_TIMEOUT(fail_nth, swapin, 90)
{
	int n, fd = sv_create("ram", "", PAGES, SV_NO_LIMIT);
	char *map = sv_map_rw(fd, PAGES);

	sv_fill_range(map, 0, PAGES, SV_TEXT, 1);
	for (n = 1; n < MOST_ALLOCATIONS; n++) {
		bool used;
		int sig;

		ASSERT_TRUE(sv_pageout_all(fd));
		arm(self, n);
		sig = sv_touch_read(map + SV_PAGE);
		used = failed(self);
		ASSERT_TRUE(!sig || sig == SIGBUS);
		ASSERT_TRUE(used || !sig);
		ASSERT_EQ(0, sv_check_range(map, 0, PAGES, SV_TEXT, 1));
		if (!used)
			break;
	}
	ASSERT_LT(n, MOST_ALLOCATIONS);
	close(fd);
}

SV_TEST_MAIN
