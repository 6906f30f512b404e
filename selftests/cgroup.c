// SPDX-License-Identifier: GPL-2.0
/*
 * Memory cgroups: the pages of a region, and what a driver stores of them in
 * memory, are charged to the cgroup of the process that created the region.
 * memory.max, memory.high, memory.reclaim and the shrinker's scan file shrink the
 * regions of one cgroup and no other's, without a driver called in anybody's
 * allocation. After the pattern of tools/testing/selftests/cgroup.
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
#include "swapvma_util.h"

#define ROOT	"/tmp/swapvma_cgroup"
#define MB(n)	((n) << 20)
#define PAGES_OF(bytes)	((bytes) / SV_PAGE)

/* Usage is counted in steps of 64 pages for each processor. */
#define SLACK	MB(2L)

/* What a cgroup may exceed its limit by: what one batch stores. */
#define OVERSHOOT	(2 * SV_BATCH * SV_PAGE)

static bool file_of(char *path, const char *group, const char *file)
{
	return snprintf(path, PATH_MAX, ROOT "/%s/%s", group, file) < PATH_MAX;
}

/* The errno of the write. */
static int try_set(const char *group, const char *file, const char *value)
{
	char path[PATH_MAX];

	file_of(path, group, file);
	errno = 0;
	return sv_write_file(path, value) ? 0 : errno;
}

static void set(const char *group, const char *file, const char *value)
{
	int error = try_set(group, file, value);

	if (error)
		sv_die("%s/%s <- %s: %s", group, file, value, strerror(error));
}

static void set_bytes(const char *group, const char *file, long bytes)
{
	char value[32];

	snprintf(value, sizeof(value), "%ld", bytes);
	set(group, file, value);
}

static char *text_of(const char *group, const char *file)
{
	static char text[8192];
	char path[PATH_MAX];

	file_of(path, group, file);
	if (!sv_read_file(path, text, sizeof(text)))
		sv_die("%s: %s", path, strerror(errno));
	return text;
}

static long usage(const char *group)
{
	return atol(text_of(group, "memory.current"));
}

/* A line of memory.events or memory.stat. */
static uint64_t line_of(const char *group, const char *file, const char *name)
{
	uint64_t value;

	if (!sv_find_value(text_of(group, file), name, &value))
		sv_die("no %s in %s/%s", name, group, file);
	return value;
}

static uint64_t events_of(const char *group, const char *name)
{
	return line_of(group, "memory.events.local", name);
}

/* Microseconds for which tasks of the group waited for memory. */
static uint64_t stalled_us(const char *group)
{
	const char *total = strstr(text_of(group, "memory.pressure"), "total=");

	return total ? strtoull(total + strlen("total="), NULL, 10) : 0;
}

static void join(const char *group)
{
	set(group, "cgroup.procs", "0");
}

static void make(const char *group)
{
	char path[PATH_MAX];

	file_of(path, group, "");
	if (mkdir(path, 0755))
		sv_die("mkdir %s: %s", path, strerror(errno));
}

static int gone(const char *group)
{
	char path[PATH_MAX];

	file_of(path, group, "");
	return rmdir(path) && errno != ENOENT ? errno : 0;
}

/* A region of a group, created by a process in it. The caller stays in the root. */
static int create_in(const char *group, const char *driver, size_t pages, size_t limit)
{
	int fd;

	join(group);
	fd = sv_create(driver, "", pages, limit);
	join("");
	return fd;
}

/* Runs in a child in the group; a check that fails ends it. */
#define CHECK(cond)							\
	do {								\
		if (!(cond)) {						\
			fprintf(stderr, "# %s:%d: %s\n", __FILE__, __LINE__, #cond); \
			_exit(1);					\
		}							\
	} while (0)

static pid_t start_in(const char *group, void (*run)(void *arg), void *arg)
{
	pid_t pid = sv_fork();

	if (!pid) {
		join(group);
		run(arg);
		_exit(0);
	}
	return pid;
}

/* Seconds are what reclaim that finds nothing takes. */
static int wait_status(pid_t pid)
{
	int status = -1;

	if (waitpid(pid, &status, 0) != pid)
		sv_die("waitpid: %s", strerror(errno));
	return status;
}

FIXTURE(cgroup)
{
	struct sv_baseline base;
	uint64_t kills;
};

FIXTURE_SETUP(cgroup)
{
	sv_begin(&self->base);
	mkdir(ROOT, 0755);
	if (access(ROOT "/cgroup.procs", F_OK) &&
	    mount("none", ROOT, "cgroup2", 0, NULL))
		SKIP(return, "no cgroup2");
	if (try_set("", "cgroup.subtree_control", "+memory"))
		SKIP(return, "no memory controller");
	if (access("/proc/cmdline", R_OK) == 0) {
		char line[4096] = "";

		sv_read_file("/proc/cmdline", line, sizeof(line));
		if (strstr(line, "nokmem"))
			SKIP(return, "kernel memory is not charged");
	}
	gone("a/c");
	gone("a");
	gone("b");
	make("a");
	make("b");
	self->kills = sv_vmstat("oom_kill ");
}

FIXTURE_TEARDOWN_PARENT(cgroup)
{
	gone("a/c");
	EXPECT_EQ(0, gone("a"));
	EXPECT_EQ(0, gone("b"));
	EXPECT_TRUE(sv_end(&self->base));
}

/*
 * Who touches the pages does not matter. What is stored is charged as long as it is
 * stored: less than the pages, but no less than its bytes.
 */
TEST_F(cgroup, usage)
{
	size_t pages = PAGES_OF(MB(16));
	long before = usage("a"), other = usage("b"), in_memory, stored;
	int fd = create_in("a", "ram", pages, SV_NO_LIMIT);
	char *map = sv_map_rw(fd, pages);

	sv_fill_range(map, 0, pages, SV_TEXT, 1);
	in_memory = usage("a") - before;
	ASSERT_LE(MB(16L), in_memory);
	ASSERT_GE(MB(16L) + SLACK, in_memory);
	ASSERT_TRUE(sv_pageout_all(fd));
	stored = usage("a") - before;
	ASSERT_LT(0, SV_STAT(fd, stored_bytes));
	ASSERT_LE(SV_STAT(fd, stored_bytes), stored);
	ASSERT_GT(MB(8L), stored);
	ASSERT_EQ(0, sv_check_range(map, 0, pages, SV_TEXT, 1));
	ASSERT_LE(MB(16L), usage("a") - before);
	ASSERT_GE(SLACK, usage("b") - other);
	sv_unmap(map, pages);
	close(fd);
	ASSERT_TRUE(sv_wait_for(usage("a") - before < SLACK));
}

/* Pages that reclaim may free are available memory, those that are locked are not. */
TEST_F(cgroup, available)
{
	size_t pages = PAGES_OF(MB(16));
	uint64_t before = sv_vmstat("nr_kernel_misc_reclaimable ");
	int fd = create_in("a", "ram", pages, SV_NO_LIMIT);
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

/* A neighbour with pages of its own, of which none may leave. */
struct neighbour {
	long usage;
	int fd;
};

#define NEIGHBOUR	PAGES_OF(MB(8))

static void neighbour_begin(struct neighbour *n)
{
	char *map;

	n->fd = create_in("b", "ram", NEIGHBOUR, SV_NO_LIMIT);
	map = sv_map_rw(n->fd, NEIGHBOUR);
	sv_fill_range(map, 0, NEIGHBOUR, SV_TEXT, 7);
	n->usage = usage("b");
}

static bool neighbour_untouched(const struct neighbour *n)
{
	struct swapvma_stats stats;

	sv_stats(n->fd, &stats);
	if (stats.resident == NEIGHBOUR && !stats.swapped && !stats.swapouts &&
	    !stats.clean_drops && labs(usage("b") - n->usage) < SLACK)
		return true;
	fprintf(stderr, "# neighbour: %" PRIu64 " resident, %" PRIu64 " swapped, usage %ld\n",
		(uint64_t)stats.resident, (uint64_t)stats.swapped, usage("b") - n->usage);
	return false;
}

static void fill_more_than_fits(void *arg)
{
	size_t pages = *(size_t *)arg;
	int fd = sv_create("ram", "", pages, SV_NO_LIMIT);
	char *map = sv_map_rw(fd, pages);

	sv_fill_range(map, 0, pages, SV_TEXT, 1);
	CHECK(!sv_check_range(map, 0, pages, SV_TEXT, 1));
	CHECK(SV_STAT(fd, swapouts) > pages / 4);
	CHECK(!SV_STAT(fd, limit_waits));
}

TEST_F_TIMEOUT(cgroup, max, SV_LONG_TIMEOUT)
{
	size_t pages = PAGES_OF(MB(24));
	struct neighbour n;

	neighbour_begin(&n);
	set_bytes("a", "memory.max", MB(12L));
	ASSERT_EQ(0, wait_status(start_in("a", fill_more_than_fits, &pages)));
	ASSERT_LT(0, events_of("a", "max"));
	ASSERT_EQ(0, events_of("a", "oom_kill"));
	ASSERT_EQ(self->kills, sv_vmstat("oom_kill "));
	ASSERT_GE(MB(12L) + OVERSHOOT, atol(text_of("a", "memory.peak")));
	ASSERT_LT(0, stalled_us("a"));
	ASSERT_TRUE(neighbour_untouched(&n));
}

TEST_F_TIMEOUT(cgroup, high, SV_LONG_TIMEOUT)
{
	size_t pages = PAGES_OF(MB(24));
	struct neighbour n;

	neighbour_begin(&n);
	set_bytes("a", "memory.high", MB(12L));
	ASSERT_EQ(0, wait_status(start_in("a", fill_more_than_fits, &pages)));
	ASSERT_LT(0, events_of("a", "high"));
	ASSERT_EQ(0, events_of("a", "oom_kill"));
	ASSERT_GE(MB(12L) + 2 * SLACK, atol(text_of("a", "memory.peak")));
	ASSERT_TRUE(neighbour_untouched(&n));
}

/*
 * The core does not count what a shrinker frees in reclaim for a cgroup, and says
 * EAGAIN although usage fell.
 */
TEST_F_TIMEOUT(cgroup, reclaim, SV_LONG_TIMEOUT)
{
	size_t pages = PAGES_OF(MB(16));
	int fd = create_in("a", "ram", pages, SV_NO_LIMIT), error;
	char *map = sv_map_rw(fd, pages);
	struct neighbour n;
	long before;

	neighbour_begin(&n);
	sv_fill_range(map, 0, pages, SV_TEXT, 1);
	before = usage("a");
	error = try_set("a", "memory.reclaim", "8M");
	ASSERT_TRUE(!error || error == EAGAIN);
	ASSERT_TRUE(sv_wait_for(before - usage("a") >= MB(4L)));
	ASSERT_LT(PAGES_OF(MB(4)), SV_STAT(fd, swapped));
	ASSERT_TRUE(neighbour_untouched(&n));
	ASSERT_EQ(0, sv_check_range(map, 0, pages, SV_TEXT, 1));
}

/* The directory of the shrinker in debugfs. */
static bool shrinker_file(char *path, const char *file)
{
	static const char top[] = "/sys/kernel/debug/shrinker";
	struct dirent *entry;
	DIR *dir = opendir(top);
	bool found = false;

	if (!dir)
		return false;
	while (!found && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "swapvma-", 8) || strchr(entry->d_name, ':'))
			continue;
		snprintf(path, PATH_MAX, "%s/%s/%s", top, entry->d_name, file);
		found = true;
	}
	closedir(dir);
	return found;
}

static uint64_t id_of(const char *group)
{
	char path[PATH_MAX];
	struct stat stat_of;

	file_of(path, group, "");
	if (stat(path, &stat_of))
		sv_die("%s: %s", path, strerror(errno));
	return stat_of.st_ino;
}

/* What the shrinker counts for the group on a node. */
static uint64_t counted(const char *group, int node)
{
	char path[PATH_MAX], text[4096], name[32], *line, *at;
	uint64_t value = 0;

	if (!shrinker_file(path, "count") || !sv_read_file(path, text, sizeof(text)))
		sv_die("no shrinker in debugfs");
	snprintf(name, sizeof(name), "%" PRIu64 " ", id_of(group));
	for (line = text; line && *line; line = strchr(line, '\n'), line += !!line) {
		if (strncmp(line, name, strlen(name)))
			continue;
		at = line + strlen(name) - 1;
		while (*at == ' ' && node-- >= 0)
			value = strtoull(at, &at, 10);
		return node < 0 ? value : 0;
	}
	return 0;
}

static void scan(const char *group, int node, size_t pages)
{
	char path[PATH_MAX], text[64];

	shrinker_file(path, "scan");
	snprintf(text, sizeof(text), "%" PRIu64 " %d %zu", id_of(group), node, pages);
	if (!sv_write_file(path, text))
		sv_die("%s <- %s: %s", path, text, strerror(errno));
}

/* The shrinker does nothing but what it is asked for: clean pages go, at once. */
TEST_F(cgroup, scan)
{
	size_t pages = PAGES_OF(MB(4));
	char path[PATH_MAX], *map;
	struct swapvma_stats stats;
	struct neighbour n;
	uint64_t batches;
	int fd;

	if (!shrinker_file(path, "scan"))
		SKIP(return, "no shrinker in debugfs");
	neighbour_begin(&n);
	fd = create_in("a", "test", pages, SV_NO_LIMIT);
	ASSERT_EQ(0, counted("a", 0) + counted("a", 1));
	map = sv_map_rw(fd, pages);
	sv_fill_range(map, 0, pages, SV_TEXT, 1);
	ASSERT_EQ(pages, counted("a", 0) + counted("a", 1));
	ASSERT_EQ(NEIGHBOUR, counted("b", 0) + counted("b", 1));
	ASSERT_EQ(0, msync(map, pages * SV_PAGE, MS_SYNC));
	sv_stats(fd, &stats);
	batches = stats.batches;
	scan("a", 0, SV_BATCH);
	scan("a", counted("a", 1) ? 1 : 0, SV_BATCH);
	sv_stats(fd, &stats);
	ASSERT_EQ(2 * SV_BATCH, stats.clean_drops);
	ASSERT_EQ(2 * SV_BATCH, stats.swapped);
	ASSERT_EQ(pages - 2 * SV_BATCH, counted("a", 0) + counted("a", 1));
	ASSERT_EQ(NEIGHBOUR, counted("b", 0) + counted("b", 1));
	ASSERT_TRUE(neighbour_untouched(&n));
	ASSERT_EQ(0, sv_check_range(map, 0, pages, SV_TEXT, 1));
	ASSERT_EQ(batches, stats.batches);
}

/*
 * An allocation calls no driver: the scan returns although the driver does not, and
 * says nothing was freed, after at most the time that a reclaimer is kept.
 */
TEST_F(cgroup, scan_waits_a_while)
{
	size_t pages = 4 * SV_BATCH;
	uint64_t start, took;
	char path[PATH_MAX];
	char *map;
	int fd;

	if (!shrinker_file(path, "scan"))
		SKIP(return, "no shrinker in debugfs");
	fd = create_in("a", "test", pages, SV_NO_LIMIT);
	map = sv_map_rw(fd, pages);
	sv_fill_range(map, 0, pages, SV_TEXT, 1);
	sv_set("block", 1);
	start = sv_now_ms();
	scan("a", 0, SV_BATCH);
	took = sv_now_ms() - start;
	ASSERT_TRUE(sv_wait_for(sv_get("blocked") == 1));
	ASSERT_GT(1000 * sv_slow(), took);
	ASSERT_EQ(pages, SV_STAT(fd, resident));
	sv_set("block", 0);
	ASSERT_TRUE(sv_pageout_all(fd));
	ASSERT_EQ(0, sv_check_range(map, 0, pages, SV_TEXT, 1));
}

/* Pages of two nodes: one of them is shrunk. */
TEST_F(cgroup, nodes)
{
	size_t half = PAGES_OF(MB(2)), node;
	char path[PATH_MAX], *map;
	int fd;

	if (!shrinker_file(path, "scan") || access("/sys/devices/system/node/node1", F_OK))
		SKIP(return, "one node");
	fd = create_in("a", "test", 2 * half, SV_NO_LIMIT);
	map = sv_map_rw(fd, 2 * half);
	for (node = 0; node < 2; node++) {
		unsigned long mask = 1ul << node;

		ASSERT_EQ(0, syscall(SYS_set_mempolicy, MPOL_BIND, &mask, 8 * sizeof(mask)));
		sv_fill_range(map, node * half, half, SV_TEXT, 1);
	}
	ASSERT_EQ(0, syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0));
	ASSERT_EQ(half, counted("a", 0));
	ASSERT_EQ(half, counted("a", 1));
	ASSERT_EQ(0, msync(map, 2 * half * SV_PAGE, MS_SYNC));
	scan("a", 1, SV_BATCH);
	ASSERT_EQ(half, counted("a", 0));
	ASSERT_EQ(half - SV_BATCH, counted("a", 1));
	scan("a", 1, half);
	ASSERT_EQ(half, counted("a", 0));
	ASSERT_EQ(0, counted("a", 1));
	ASSERT_EQ(half, SV_STAT(fd, resident));
	ASSERT_EQ(0, sv_check_range(map, 0, 2 * half, SV_TEXT, 1));
}

/* The cgroup is removed: its parent pays, and its parent's limit holds. */
TEST_F_TIMEOUT(cgroup, offline, SV_LONG_TIMEOUT)
{
	size_t pages = PAGES_OF(MB(24));
	struct neighbour n;
	long before;
	char *map;
	int fd;

	neighbour_begin(&n);
	set("a", "cgroup.subtree_control", "+memory");
	make("a/c");
	fd = create_in("a/c", "ram", pages, SV_NO_LIMIT);
	map = sv_map_rw(fd, pages);
	sv_fill_range(map, 0, PAGES_OF(MB(4)), SV_TEXT, 1);
	ASSERT_EQ(0, gone("a/c"));
	before = usage("a");
	ASSERT_LE(MB(4L), before);
	set_bytes("a", "memory.max", MB(12L));
	sv_fill_range(map, PAGES_OF(MB(4)), pages - PAGES_OF(MB(4)), SV_TEXT, 1);
	ASSERT_LT(pages / 4, SV_STAT(fd, swapouts));
	ASSERT_GE(MB(12L) + OVERSHOOT, usage("a"));
	ASSERT_EQ(0, sv_check_range(map, 0, pages, SV_TEXT, 1));
	ASSERT_EQ(self->kills, sv_vmstat("oom_kill "));
	ASSERT_TRUE(neighbour_untouched(&n));
}

/*
 * Nobody is in the cgroup that could be killed, nothing can leave, and the process
 * that faults is elsewhere: the fault ends in SIGBUS, and does not come again for
 * ever.
 */
TEST_F_TIMEOUT(cgroup, nobody_to_kill, SV_LONG_TIMEOUT)
{
	size_t pages = PAGES_OF(MB(4)), i;
	int fd = create_in("a", "test", pages, SV_NO_LIMIT), kmsg = sv_kmsg_open();
	char *map = sv_map_rw(fd, pages);

	sv_set_word("answer", "kept");
	set_bytes("a", "memory.max", usage("a") + MB(1L));
	for (i = 0; i < pages; i++) {
		if (sv_touch_write(map + i * SV_PAGE, 1))
			break;
	}
	ASSERT_LT(i, pages);
	ASSERT_LT(PAGES_OF(MB(1)) / 2, i);
	ASSERT_EQ(self->kills, sv_vmstat("oom_kill "));
	ASSERT_EQ(0, sv_kmsg_count(kmsg, "VM_FAULT_OOM"));
	/* With room, the page comes. */
	set("a", "memory.max", "max");
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
	set_bytes("a", "memory.max", MB(2L));
	child = start_in("a", fill_until_killed, &pages);
	end = sv_now_ms() + 400 * 1000;
	while (!events_of("a", "oom_kill") && sv_now_ms() < end)
		usleep(10000);
	ASSERT_LT(0, events_of("a", "oom_kill"));
	ASSERT_EQ(1, sv_get("blocked"));
	sv_set("block", 0);
	status = wait_status(child);
	ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	ASSERT_EQ(self->kills + 1, sv_vmstat("oom_kill "));
	ASSERT_TRUE(sv_wait_for(usage("a") < SLACK));
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
	int fd = create_in("a", "ram", pages, SV_NO_LIMIT);
	char *map = sv_map_rw(fd, pages);
	pid_t swapper = sv_swapper("ram"), child;
	int status;

	if (!can_inject())
		SKIP(return, "no fault injection");
	set_bytes("a", "memory.max", MB(4L));
	child = fill_patiently(map, pages);
	ASSERT_EQ(child, waitpid(child, &status, WUNTRACED));
	ASSERT_TRUE(WIFSTOPPED(status));
	ASSERT_TRUE(mark(swapper, true));
	ASSERT_TRUE(mark(child, true));
	inject_all("10");
	kill(child, SIGCONT);
	status = wait_status(child);
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
	set_bytes("a", "memory.max", MB(4L));
	status = wait_status(start_in("a", fill_with_starved_swapper, &pages));
	inject_nothing();
	ASSERT_EQ(0, status);
	ASSERT_EQ(self->kills, sv_vmstat("oom_kill "));
}

SV_TEST_MAIN
