// SPDX-License-Identifier: GPL-2.0
/*
 * The tracepoints: what takes time has a begin and an end that can be told to be
 * its, with the numbers of what happened; what does not happen is not traced.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "kselftest_harness.h"
#include "swapvma_cgroup.h"
#include "swapvma_util.h"

#define PAGES		(2 * SV_BATCH)
#define EVENTS_MAX	4096
#define TRACING		"/sys/kernel/tracing/"

struct event {
	const char *name, *fields;
	uint64_t us;
	int pid;
};

static char text[1 << 20];
static struct event events[EVENTS_MAX];
static size_t nr_events;

/* What identifies a pair of events; the pid where nothing else does. */
static const struct kind {
	const char *name, *key[3];
	bool same_task;
} kinds[] = {
	{ "swapout", { "region", "seq" }, true },
	{ "launder", { "region", "seq" }, true },
	{ "swapin", { "region", "first", "slot" }, false },
	{ "munmap_wait", { "region", "first", "pages" }, true },
	{ "shrink", { "nid", "cgroup", "pages" }, true },
	{ "drain", { "region" }, true },
};

static bool switch_on(const char *kind, bool on)
{
	static const char * const ends[] = { "begin", "end" };
	char path[PATH_MAX];
	bool ok = true;
	int i;

	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), TRACING "events/swapvma/swapvma_%s_%s/enable",
			 kind, ends[i]);
		ok &= sv_write_file(path, on ? "1" : "0");
	}
	return ok;
}

static void enable_all(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!switch_on(kinds[i].name, true))
			sv_die("no events for %s", kinds[i].name);
}

static void clear(void)
{
	close(open(TRACING "trace", O_WRONLY | O_TRUNC));
}

/* "   comm-123     [000] ..... 12.345678: swapvma_swapout_begin: region=1 ..." */
static bool parse(char *line, struct event *event)
{
	char *name = strstr(line, ": swapvma_"), *bracket = strstr(line, " ["), *at;
	unsigned int us;

	if (!name || !bracket)
		return false;
	for (at = bracket; at > line && at[-1] == ' '; at--)
		;
	while (at > line && at[-1] != '-')
		at--;
	event->pid = atoi(at);
	for (at = name; at > line && at[-1] != ' '; at--)
		;
	event->us = strtoull(at, &at, 10) * 1000000;
	us = strtoul(at + 1, NULL, 10);
	event->us += us;
	event->name = name + 2 + strlen("swapvma_");
	event->fields = strchr(event->name, ':') + 1;
	return true;
}

static void read_events(void)
{
	char *line, *save;

	if (!sv_read_file(TRACING "trace", text, sizeof(text)))
		sv_die(TRACING "trace: %s", strerror(errno));
	nr_events = 0;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (*line == '#' || !parse(line, &events[nr_events]))
			continue;
		if (++nr_events == EVENTS_MAX)
			sv_die("more than %u events", EVENTS_MAX);
	}
}

static int64_t field(const struct event *event, const char *name)
{
	char want[32];
	const char *at;

	snprintf(want, sizeof(want), " %s=", name);
	at = strstr(event->fields, want);
	if (!at)
		sv_die("no %s in%s", name, event->fields);
	return strtoll(at + strlen(want), NULL, 10);
}

static bool is(const struct event *event, const char *kind, const char *end)
{
	char want[48];

	snprintf(want, sizeof(want), "%s_%s:", kind, end);
	return !strncmp(event->name, want, strlen(want));
}

static bool same(const struct kind *kind, const struct event *a, const struct event *b)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kind->key) && kind->key[i]; i++)
		if (field(a, kind->key[i]) != field(b, kind->key[i]))
			return false;
	return !kind->same_task || a->pid == b->pid;
}

/* The end of the begin @at, or NULL. Between them no other begin is the same. */
static const struct event *end_of(const struct kind *kind, size_t at)
{
	size_t i;

	for (i = at + 1; i < nr_events; i++) {
		if (is(&events[i], kind->name, "end") && same(kind, &events[at], &events[i]))
			return &events[i];
		if (is(&events[i], kind->name, "begin") && same(kind, &events[at], &events[i]))
			return NULL;
	}
	return NULL;
}

/* The pairs of a kind in events[]; -1 if a begin or an end is alone. */
static long pairs(const char *name)
{
	const struct kind *kind = kinds;
	long begins = 0, ends = 0;
	size_t i;

	while (strcmp(kind->name, name))
		kind++;
	for (i = 0; i < nr_events; i++) {
		ends += is(&events[i], name, "end");
		if (!is(&events[i], name, "begin"))
			continue;
		begins++;
		if (!end_of(kind, i)) {
			fprintf(stderr, "# no end: %s\n", events[i].name);
			return -1;
		}
	}
	return begins == ends ? begins : -1;
}

/* The sum of a field of the ends, or begins, of a kind. */
static int64_t sum(const char *kind, const char *end, const char *name)
{
	int64_t total = 0;
	size_t i;

	for (i = 0; i < nr_events; i++)
		if (is(&events[i], kind, end))
			total += field(&events[i], name);
	return total;
}

/* The first event of a kind, which must be there. */
static const struct event *first(const char *kind, const char *end)
{
	size_t i;

	for (i = 0; i < nr_events; i++)
		if (is(&events[i], kind, end))
			return &events[i];
	sv_die("no %s_%s", kind, end);
}

static int64_t id_of(int fd)
{
	char path[PATH_MAX], info[8192];
	uint64_t id;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	if (!sv_read_file(path, info, sizeof(info)) || !sv_find_value(info, "swapvma_region", &id))
		sv_die("no swapvma_region in %s", path);
	return id;
}

FIXTURE(trace)
{
	struct sv_region region;
	int64_t id;
};

FIXTURE_SETUP(trace)
{
	size_t i;

	mount("tracefs", TRACING, "tracefs", 0, NULL);
	sv_set_up(&self->region, PAGES, "deadline_ms=60000");
	self->id = id_of(self->region.fd);
	if (access(TRACING "events/swapvma", X_OK))
		SKIP(return, "no tracepoints in this kernel");
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		ASSERT_TRUE(switch_on(kinds[i].name, false));
	ASSERT_TRUE(sv_write_file(TRACING "trace_clock", "mono"));
	ASSERT_TRUE(sv_write_file(TRACING "tracing_on", "1"));
	clear();
}

FIXTURE_TEARDOWN_PARENT(trace)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		switch_on(kinds[i].name, false);
	clear();
	EXPECT_TRUE(sv_end_quarantined(&self->region.base));
}

/* All events of a kind are of the region and within it. */
#define EXPECT_WITHIN(kind)						\
	do {								\
		size_t __i;						\
									\
		for (__i = 0; __i < nr_events; __i++) {			\
			const struct event *__e = &events[__i];		\
									\
			if (!is(__e, kind, "begin") && !is(__e, kind, "end"))	\
				continue;				\
			EXPECT_EQ(self->id, field(__e, "region"));	\
			EXPECT_LT(0, field(__e, "pages"));		\
			EXPECT_GE(PAGES, field(__e, "first") + field(__e, "pages"));	\
		}							\
	} while (0)

TEST_F(trace, swapout)
{
	ASSERT_TRUE(switch_on("swapout", true));
	ASSERT_TRUE(sv_pageout_all(self->region.fd));
	read_events();
	ASSERT_LE(PAGES / SV_BATCH, pairs("swapout"));
	EXPECT_WITHIN("swapout");
	EXPECT_LE(PAGES, sum("swapout", "begin", "candidates"));
	EXPECT_EQ(PAGES, sum("swapout", "end", "done"));
	EXPECT_EQ(PAGES, sum("swapout", "end", "stored"));
	EXPECT_EQ(PAGES, sum("swapout", "end", "written"));
	EXPECT_EQ(0, sum("swapout", "end", "failed"));
	EXPECT_NE(NULL, strstr(first("swapout", "begin")->fields, " driver=test"));
}

/* The time between begin and end is the driver's, and some more. */
TEST_F(trace, swapout_takes_time)
{
	ASSERT_TRUE(switch_on("swapout", true));
	sv_set("delay_ms", 50);
	ASSERT_EQ(SV_BATCH, sv_pageout(self->region.fd, 0, SV_BATCH));
	read_events();
	ASSERT_EQ(1, pairs("swapout"));
	/* Of two clocks, one that ticks. */
	EXPECT_LE(30000, first("swapout", "end")->us - first("swapout", "begin")->us);
}

TEST_F(trace, swapout_that_is_refused)
{
	ASSERT_TRUE(switch_on("swapout", true));
	sv_set_word("answer", "kept");
	sv_pageout(self->region.fd, 0, SV_BATCH);
	read_events();
	ASSERT_LE(1, pairs("swapout"));
	EXPECT_EQ(SV_BATCH, field(first("swapout", "end"), "kept"));
	EXPECT_EQ(SV_BATCH, field(first("swapout", "end"), "written"));
	EXPECT_EQ(0, sum("swapout", "end", "done"));
	sv_set_word("answer", "stored");
	clear();
	sv_set("fail_write", 5);
	sv_pageout(self->region.fd, 0, SV_BATCH);
	read_events();
	ASSERT_LE(1, pairs("swapout"));
	EXPECT_EQ(5, field(first("swapout", "end"), "failed"));
	EXPECT_EQ(SV_BATCH - 5, field(first("swapout", "end"), "stored"));
	EXPECT_EQ(SV_BATCH - 5, field(first("swapout", "end"), "done"));
}

TEST_F(trace, launder)
{
	ASSERT_TRUE(switch_on("launder", true));
	ASSERT_TRUE(switch_on("swapout", true));
	ASSERT_EQ(0, fsync(self->region.fd));
	read_events();
	ASSERT_LE(PAGES / SV_BATCH, pairs("launder"));
	EXPECT_WITHIN("launder");
	EXPECT_EQ(PAGES, sum("launder", "end", "stored"));
	EXPECT_EQ(PAGES, sum("launder", "end", "done"));
	EXPECT_EQ(0, pairs("swapout"));
}

TEST_F(trace, swapin)
{
	static const char * const completes[] = { "sync", "late", "irq" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(completes); i++) {
		sv_set_word("complete_read", completes[i]);
		switch_on("swapin", false);
		ASSERT_TRUE(sv_pageout_all(self->region.fd));
		clear();
		ASSERT_TRUE(switch_on("swapin", true));
		ASSERT_EQ(0, sv_check_range(self->region.map, 0, PAGES, SV_TEXT, 1));
		read_events();
		ASSERT_EQ(PAGES, pairs("swapin"));
		EXPECT_WITHIN("swapin");
		EXPECT_EQ(PAGES * (PAGES - 1) / 2, sum("swapin", "begin", "first"));
		EXPECT_EQ(PAGES, sum("swapin", "end", "pages"));
		EXPECT_EQ(0, sum("swapin", "end", "error"));
	}
}

TEST_F(trace, swapin_that_fails)
{
	ASSERT_TRUE(sv_pageout_all(self->region.fd));
	ASSERT_TRUE(switch_on("swapin", true));
	sv_set("bad_read", 9);
	ASSERT_EQ(SIGBUS, sv_touch_read(self->region.map + 9 * SV_PAGE));
	read_events();
	ASSERT_EQ(1, pairs("swapin"));
	EXPECT_EQ(9, field(first("swapin", "end"), "first"));
	EXPECT_EQ(-EIO, field(first("swapin", "end"), "error"));
}

static void *unmap_thread(void *map)
{
	sv_unmap(map, PAGES);
	return NULL;
}

TEST_F(trace, munmap_wait)
{
	struct sv_pageout_thread pageout;
	pthread_t thread;

	ASSERT_TRUE(switch_on("munmap_wait", true));
	sv_set("block", 1);
	sv_pageout_start(&pageout, self->region.fd, 0, SV_BATCH);
	ASSERT_TRUE(sv_wait_for(sv_get("blocked") == 1));
	ASSERT_EQ(0, pthread_create(&thread, NULL, unmap_thread, self->region.map));
	ASSERT_TRUE(sv_wait_for((read_events(), nr_events == 1)));
	usleep(50000);
	read_events();
	ASSERT_EQ(1, nr_events);
	EXPECT_EQ(1, field(first("munmap_wait", "begin"), "in_swapout"));
	sv_set("block", 0);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	sv_pageout_join(&pageout);
	read_events();
	ASSERT_EQ(1, pairs("munmap_wait"));
	EXPECT_WITHIN("munmap_wait");
	EXPECT_EQ(PAGES, field(first("munmap_wait", "end"), "pages"));
	EXPECT_LE(50000000, field(first("munmap_wait", "end"), "waited_ns"));
	EXPECT_EQ(SV_STAT(self->region.fd, munmap_wait_ns),
		  field(first("munmap_wait", "end"), "waited_ns"));
}

TEST_F(trace, shrink)
{
	uint64_t cgroup;

	/* In memory, and clean. */
	ASSERT_TRUE(sv_pageout_all(self->region.fd));
	ASSERT_EQ(0, sv_check_range(self->region.map, 0, PAGES, SV_TEXT, 1));
	ASSERT_TRUE(switch_on("shrink", true));
	if (!cg_scan_own(PAGES, 64, &cgroup))
		SKIP(return, "no shrinker in debugfs");
	read_events();
	ASSERT_EQ(1, pairs("shrink"));
	EXPECT_EQ(0, field(first("shrink", "begin"), "nid"));
	EXPECT_EQ(cgroup, field(first("shrink", "begin"), "cgroup"));
	EXPECT_EQ(cgroup, field(first("shrink", "end"), "cgroup"));
	EXPECT_EQ(64, field(first("shrink", "begin"), "pages"));
	EXPECT_EQ(64, field(first("shrink", "end"), "scanned"));
	EXPECT_LE(64, field(first("shrink", "end"), "dropped"));
	EXPECT_LE(field(first("shrink", "end"), "dropped"), field(first("shrink", "end"), "freed"));
}

/* Whoever needs memory, or room below the limit: a swapper writes, and nobody else. */
TEST_F(trace, swappers_write)
{
	size_t i, writes = 0;
	uint64_t cgroup;

	ASSERT_TRUE(switch_on("swapout", true));
	ASSERT_TRUE(switch_on("launder", true));
	ASSERT_TRUE(switch_on("shrink", true));
	if (!cg_scan_own(PAGES, 64, &cgroup))
		SKIP(return, "no shrinker in debugfs");
	ASSERT_TRUE(sv_wait_for(SV_STAT(self->region.fd, swapped) != 0));
	ASSERT_EQ(0, sv_set_limit(self->region.fd, SV_BATCH));
	sv_fill_range(self->region.map, 0, PAGES, SV_TEXT, 1);
	ASSERT_EQ(0, fsync(self->region.fd));
	ASSERT_EQ(0, sv_set_limit(self->region.fd, SV_NO_LIMIT));
	read_events();
	EXPECT_EQ(getpid(), first("shrink", "begin")->pid);
	for (i = 0; i < nr_events; i++) {
		if (!is(&events[i], "swapout", "begin") && !is(&events[i], "launder", "begin"))
			continue;
		EXPECT_EQ(sv_swapper("test"), events[i].pid);
		writes++;
	}
	EXPECT_LT(PAGES / SV_BATCH, writes);
}

TEST_F(trace, drain)
{
	ASSERT_TRUE(sv_pageout_all(self->region.fd));
	ASSERT_TRUE(switch_on("drain", true));
	sv_set_word("drained", "Y");
	sv_set("bad_read", PAGES - 1);
	ASSERT_EQ(-EIO, sv_control("drain test"));
	read_events();
	ASSERT_EQ(1, pairs("drain"));
	EXPECT_EQ(PAGES - 1, field(first("drain", "end"), "moved"));
	EXPECT_EQ(-EIO, field(first("drain", "end"), "error"));
	sv_set("bad_read", UINT64_MAX);
	clear();
	ASSERT_EQ(0, sv_control("drain test"));
	read_events();
	ASSERT_EQ(1, pairs("drain"));
	EXPECT_WITHIN("drain");
	EXPECT_EQ(1, field(first("drain", "end"), "moved"));
	EXPECT_EQ(0, field(first("drain", "end"), "error"));
}

/* All at once and in numbers: each begin still has its end. */
TEST_F(trace, storm)
{
	int i;

	enable_all();
	ASSERT_EQ(0, sv_set_limit(self->region.fd, SV_BATCH));
	sv_set_word("complete_read", "late");
	for (i = 1; i < 4; i++) {
		ASSERT_EQ(0, sv_check_range(self->region.map, 0, PAGES, SV_TEXT, i));
		sv_fill_range(self->region.map, 0, PAGES, SV_TEXT, i + 1);
	}
	ASSERT_EQ(0, fsync(self->region.fd));
	/* The swapper is still at it. */
	ASSERT_EQ(0, sv_set_limit(self->region.fd, SV_NO_LIMIT));
	ASSERT_TRUE(sv_wait_for((read_events(), pairs("swapout") > 0)));
	EXPECT_EQ(SV_STAT(self->region.fd, swapins), pairs("swapin"));
	EXPECT_EQ(sv_get("swapouts"), sum("swapout", "end", "stored") +
		  sum("launder", "end", "stored"));
	EXPECT_LE(1, pairs("launder"));
}

/* Memory that is there is used, mapped and unmapped: nothing of that is traced. */
TEST_F(trace, nothing_happens)
{
	int i;

	enable_all();
	for (i = 0; i < 4; i++) {
		char *map = sv_map_rw(self->region.fd, PAGES);

		ASSERT_EQ(0, sv_check_range(map, 0, PAGES, SV_TEXT, 1));
		sv_fill_range(map, 0, PAGES, SV_TEXT, 1);
		sv_unmap(map, PAGES);
	}
	ASSERT_EQ(-ENODEV, sv_control("drain no_such_driver"));
	read_events();
	EXPECT_EQ(0, pairs("swapout") + pairs("launder") + pairs("swapin") +
		  pairs("munmap_wait") + pairs("drain"));
}

/* Nor is what nobody asked to be traced. */
TEST_F(trace, off)
{
	ASSERT_TRUE(sv_pageout_all(self->region.fd));
	ASSERT_EQ(0, sv_check_range(self->region.map, 0, PAGES, SV_TEXT, 1));
	read_events();
	EXPECT_EQ(0, nr_events);
}

SV_TEST_MAIN
