// SPDX-License-Identifier: GPL-2.0
/*
 * Suspend: no driver is written to from the moment when all is frozen until it is
 * thawed, whatever was under way before, and nothing is lost. A driver that does
 * not answer keeps the system awake.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "swapvma_util.h"

#define TRACING		"/sys/kernel/tracing/"
#define POWER		"/sys/power/"
#define PAGES		(4 * SV_BATCH)
#define LIMIT		SV_BATCH
/* For a request that is under way before, meanwhile and after. */
#define MANY		(16 * SV_BATCH)

struct hog {
	bool stop;
	uint64_t rounds, bad;
};

FIXTURE(sleep)
{
	struct sv_baseline base;
	struct sv_pageout_thread pageout;
	int fd;
};

static bool set_test_level(const char *level)
{
	return sv_write_file(POWER "pm_test", level);
}

static void trace(bool on)
{
	static const char *const events[] = {
		"power/suspend_resume", "swapvma/swapvma_swapout_begin",
		"swapvma/swapvma_swapout_end", "swapvma/swapvma_launder_begin",
		"swapvma/swapvma_launder_end",
	};
	char path[128];
	size_t i;

	for (i = 0; i < sizeof(events) / sizeof(*events); i++) {
		snprintf(path, sizeof(path), TRACING "events/%s/enable", events[i]);
		if (!sv_write_file(path, on ? "1" : "0"))
			sv_die("%s: %s", path, strerror(errno));
	}
	if (on)
		close(open(TRACING "trace", O_WRONLY | O_TRUNC));
}

/* Loads the test driver anew, with what the kernel can do for a test of a second. */
static bool set_up(struct sv_baseline *base, const char *params)
{
	if (access(POWER "pm_test", W_OK))
		return false;
	mount("tracefs", TRACING, "tracefs", 0, NULL);
	if (!set_test_level("freezer") ||
	    !sv_write_file("/sys/module/suspend/parameters/pm_test_delay", "1"))
		sv_die("pm_test: %s", strerror(errno));
	sv_reload_test(params);
	sv_begin(base);
	trace(true);
	return true;
}

FIXTURE_SETUP(sleep)
{
	self->fd = -1;
	if (!set_up(&self->base, "deadline_ms=3000"))
		SKIP(return, "a kernel that does not suspend, or not for a test");
}

FIXTURE_TEARDOWN_PARENT(sleep)
{
	if (access(POWER "pm_test", W_OK))
		return;
	trace(false);
	sv_put_back("");
	EXPECT_TRUE(set_test_level("none"));
	EXPECT_TRUE(sv_end_quarantined(&self->base));
	sv_reload_test("");
}

/* Sleeps and wakes up: 0 or -errno. */
static int go_to_sleep(void)
{
	return sv_write_file(POWER "state", "freeze") ? 0 : -errno;
}

/* Batches that began or ended while all was frozen, and that before anything was. */
struct writes {
	unsigned int before, asleep, after;
};

static struct writes read_trace(void)
{
	struct writes writes = {};
	unsigned int *now = &writes.before, freezes = 0, thaws = 0;
	char line[512];
	FILE *file = fopen(TRACING "trace", "r");

	if (!file)
		sv_die(TRACING "trace: %s", strerror(errno));
	while (fgets(line, sizeof(line), file)) {
		if (strstr(line, "suspend_resume: freeze_processes[0] end")) {
			freezes++;
			now = &writes.asleep;
		} else if (strstr(line, "suspend_resume: thaw_processes[0] begin")) {
			thaws++;
			now = &writes.after;
		} else if (strstr(line, ": swapvma_")) {
			++*now;
		}
	}
	fclose(file);
	if (freezes != 1 || thaws != 1)
		sv_die("frozen %u times, thawed %u times", freezes, thaws);
	return writes;
}

/* Reads and writes a region at its limit, and looks at each page that it comes by. */
static pid_t start_hog(struct hog *hog, const char *driver)
{
	static uint8_t gen[PAGES];
	uint64_t seed = 1;
	pid_t pid = sv_fork();
	char *map;
	size_t i;

	if (pid)
		return pid;
	map = sv_map_rw(sv_create(driver, "", PAGES, LIMIT), PAGES);
	for (i = 0; i < PAGES; i++)
		sv_fill(map + i * SV_PAGE, SV_TEXT, i, 0);
	while (!__atomic_load_n(&hog->stop, __ATOMIC_ACQUIRE)) {
		i = sv_random(&seed) % PAGES;
		hog->bad += !sv_check(map + i * SV_PAGE, SV_TEXT, i, gen[i]);
		if (sv_random(&seed) % 2)
			sv_fill(map + i * SV_PAGE, SV_TEXT, i, ++gen[i]);
		__atomic_add_fetch(&hog->rounds, 1, __ATOMIC_RELEASE);
	}
	for (i = 0; i < PAGES; i++)
		hog->bad += !sv_check(map + i * SV_PAGE, SV_TEXT, i, gen[i]);
	_exit(0);
}

static bool goes_on(struct hog *hog)
{
	uint64_t rounds = __atomic_load_n(&hog->rounds, __ATOMIC_ACQUIRE);

	return sv_wait_for(__atomic_load_n(&hog->rounds, __ATOMIC_ACQUIRE) > rounds + 10 * PAGES);
}

TEST_F(sleep, hogs)
{
	struct hog *hogs = sv_shared(2 * sizeof(*hogs));
	unsigned int i, n, times = sv_long() ? 10 : 1;
	struct writes writes;
	pid_t pids[2];

	pids[0] = start_hog(&hogs[0], "test");
	pids[1] = start_hog(&hogs[1], "ram");
	for (n = 0; n < times; n++) {
		ASSERT_TRUE(goes_on(&hogs[0]) && goes_on(&hogs[1]));
		trace(true);
		ASSERT_EQ(0, go_to_sleep());
		writes = read_trace();
		ASSERT_EQ(0, writes.asleep);
		ASSERT_TRUE(goes_on(&hogs[0]) && goes_on(&hogs[1]));
	}
	for (i = 0; i < 2; i++) {
		__atomic_store_n(&hogs[i].stop, true, __ATOMIC_RELEASE);
		ASSERT_EQ(0, sv_reap(pids[i]));
		ASSERT_EQ(0, hogs[i].bad);
	}
}

/* A region of @nr pages. */
static char *fill(FIXTURE_DATA(sleep) *self, size_t nr)
{
	char *map;

	self->fd = sv_create("test", "", nr, SV_NO_LIMIT);
	map = sv_map_rw(self->fd, nr);
	sv_fill_range(map, 0, nr, SV_TEXT, 1);
	return map;
}

/* The system sleeps while the driver is busy for a second with a request. */
static struct writes sleep_in_request(FIXTURE_DATA(sleep) *self, char *map)
{
	struct writes writes;

	sv_set("delay_ms", 100);
	sv_pageout_start(&self->pageout, self->fd, 0, MANY);
	if (!sv_wait_for(SV_STAT(self->fd, swapouts) >= SV_BATCH))
		sv_die("the request does not begin");
	if (go_to_sleep())
		sv_die("the system does not sleep: %s", strerror(errno));
	if (sv_pageout_join(&self->pageout) != MANY)
		sv_die("the request is not what it was");
	writes = read_trace();
	if (sv_check_range(map, 0, MANY, SV_TEXT, 1))
		sv_die("content");
	return writes;
}

TEST_F(sleep, request_goes_on_afterwards)
{
	char *map = fill(self, MANY);
	struct writes writes = sleep_in_request(self, map);

	ASSERT_LT(0, writes.before);
	ASSERT_EQ(0, writes.asleep);
	ASSERT_LT(0, writes.after);
}

/* What was shown to be nothing is something if the swapper is not frozen. */
TEST_F(sleep, sleepless)
{
	struct writes writes;

	if (!sv_put_back("sleepless"))
		SKIP(return, "a kernel in which no bug can be put back");
	sv_reload_test("deadline_ms=3000");
	writes = sleep_in_request(self, fill(self, MANY));
	ASSERT_LT(4, writes.asleep);
}

static void *sync_all(void *arg)
{
	return (void *)(long)(fsync(*(int *)arg) ? -errno : 0);
}

TEST_F(sleep, fsync_goes_on_afterwards)
{
	char *map = fill(self, MANY);
	struct writes writes;
	pthread_t thread;
	void *result;

	sv_set("delay_ms", 100);
	ASSERT_EQ(0, pthread_create(&thread, NULL, sync_all, &self->fd));
	ASSERT_TRUE(sv_wait_for(SV_STAT(self->fd, launders) >= SV_BATCH));
	ASSERT_EQ(0, go_to_sleep());
	ASSERT_EQ(0, pthread_join(thread, &result));
	ASSERT_EQ(NULL, result);
	writes = read_trace();
	ASSERT_EQ(0, writes.asleep);
	ASSERT_LT(0, writes.after);
	ASSERT_EQ(MANY, SV_STAT(self->fd, launders));
	ASSERT_EQ(0, sv_check_range(map, 0, MANY, SV_TEXT, 1));
}

static void *move_to_ram(void *arg)
{
	(void)arg;
	return (void *)(long)sv_control("drain test ram");
}

TEST_F(sleep, drain_goes_on_afterwards)
{
	char *map = fill(self, PAGES);
	uint64_t drained;
	pthread_t thread;
	void *result;

	ASSERT_EQ(PAGES, sv_pageout(self->fd, 0, PAGES));
	sv_set_word("drained", "Y");
	/* Each page that is read takes a moment. */
	sv_set_word("complete_read", "late");
	ASSERT_EQ(0, pthread_create(&thread, NULL, move_to_ram, NULL));
	ASSERT_TRUE(sv_wait_for(sv_driver_count("test", "drained") >= 8));
	drained = sv_driver_count("test", "drained");
	ASSERT_EQ(0, go_to_sleep());
	ASSERT_EQ(0, read_trace().asleep);
	ASSERT_EQ(0, pthread_join(thread, &result));
	ASSERT_EQ(NULL, result);
	/* It began anew, with what was left. */
	ASSERT_GE(PAGES - drained, sv_driver_count("test", "drained"));
	ASSERT_EQ(0, sv_get("stored"));
	ASSERT_EQ(0, sv_check_range(map, 0, PAGES, SV_TEXT, 1));
}

static void *answer_later(void *arg)
{
	(void)arg;
	usleep(500000);
	sv_set("block", 0);
	return NULL;
}

TEST_F(sleep, batch_in_flight_is_waited_for)
{
	char *map = fill(self, SV_BATCH);
	uint64_t begin;
	pthread_t thread;

	sv_set("block", 1);
	sv_pageout_start(&self->pageout, self->fd, 0, SV_BATCH);
	ASSERT_TRUE(sv_wait_for(sv_get("blocked") == 1));
	begin = sv_now_ms();
	ASSERT_EQ(0, pthread_create(&thread, NULL, answer_later, NULL));
	ASSERT_EQ(0, go_to_sleep());
	ASSERT_LE(500, sv_now_ms() - begin);
	ASSERT_EQ(0, read_trace().asleep);
	pthread_join(thread, NULL);
	ASSERT_EQ(SV_BATCH, sv_pageout_join(&self->pageout));
	ASSERT_EQ(0, sv_check_range(map, 0, SV_BATCH, SV_TEXT, 1));
}

FIXTURE(sleep_refused)
{
	struct sv_baseline base;
	struct sv_pageout_thread pageout;
	int fd;
};

FIXTURE_VARIANT(sleep_refused)
{
	const char *params;
	unsigned int within_ms;
	bool is_long;
};

/* Its deadline passes first. */
FIXTURE_VARIANT_ADD(sleep_refused, deadline)
{
	.params = "deadline_ms=1500", .within_ms = 4000,
};

/* The system does not wait that long. */
FIXTURE_VARIANT_ADD(sleep_refused, no_deadline)
{
	.params = "deadline_ms=60000", .within_ms = 14000, .is_long = true,
};

FIXTURE_SETUP(sleep_refused)
{
	if (variant->is_long && !sv_long())
		SKIP(return, "only with SWAPVMA_LONG=1");
	if (!set_up(&self->base, variant->params))
		SKIP(return, "a kernel that does not suspend, or not for a test");
}

FIXTURE_TEARDOWN_PARENT(sleep_refused)
{
	if (access(POWER "pm_test", W_OK) || (variant->is_long && !sv_long()))
		return;
	trace(false);
	EXPECT_TRUE(set_test_level("none"));
	EXPECT_TRUE(sv_end_quarantined(&self->base));
	sv_reload_test("");
}

TEST_F(sleep_refused, driver_does_not_answer)
{
	struct hog *hog = sv_shared(sizeof(*hog));
	int kmsg = sv_kmsg_open();
	uint64_t begin;
	char *map;
	pid_t pid;

	pid = start_hog(hog, "ram");
	ASSERT_TRUE(goes_on(hog));
	self->fd = sv_create("test", "", SV_BATCH, SV_NO_LIMIT);
	map = sv_map_rw(self->fd, SV_BATCH);
	sv_fill_range(map, 0, SV_BATCH, SV_TEXT, 1);
	sv_set_word("complete", "never");
	sv_pageout_start(&self->pageout, self->fd, 0, SV_BATCH);
	ASSERT_TRUE(sv_wait_for(sv_get("leaked") == 1));
	begin = sv_now_ms();
	ASSERT_EQ(-EBUSY, go_to_sleep());
	ASSERT_GE(variant->within_ms * sv_slow(), sv_now_ms() - begin);
	ASSERT_EQ(1, sv_kmsg_count(kmsg, "driver test does not answer"));
	/* Nothing was frozen, and swapping goes on. */
	ASSERT_TRUE(goes_on(hog));
	/* Again at once. */
	if (!variant->is_long)
		ASSERT_EQ(-EBUSY, go_to_sleep());
	sv_set_word("complete", "sync");
	sv_set("release", 1);
	ASSERT_LE(0, sv_pageout_join(&self->pageout));
	ASSERT_TRUE(sv_wait_for(sv_control("recover test") == 0));
	ASSERT_EQ(0, go_to_sleep());
	ASSERT_EQ(0, read_trace().asleep);
	hog->stop = true;
	ASSERT_EQ(0, sv_reap(pid));
	ASSERT_EQ(0, hog->bad);
	ASSERT_EQ(0, sv_check_range(map, 0, SV_BATCH, SV_TEXT, 1));
}

SV_TEST_MAIN
