// SPDX-License-Identifier: GPL-2.0
/*
 * Everything at once: mappings come and go, threads write the same pages, the
 * shrinker is asked to scan, regions are freed, processors go offline, all while
 * the swapper pages out. The content shows what went wrong, if anything did.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "swapvma_util.h"

#define PAGES	(2 * SV_BATCH)
#define WORDS	(SV_PAGE / sizeof(uint64_t))
#define CPU1	"/sys/devices/system/cpu/cpu1/online"

static uint64_t run_ms(void)
{
	return sv_long() ? 20000 : sv_slow() > 1 ? 800 : 500;
}

FIXTURE(storm)
{
	struct sv_baseline base;
	pthread_t pageout;
	bool stop;
	uint64_t out;
	char *map;
	int fd;
};

FIXTURE_VARIANT(storm)
{
	const char *driver, *algorithm;
};

FIXTURE_VARIANT_ADD(storm, lz4)
{
	.driver = "ram", .algorithm = "lz4",
};

FIXTURE_VARIANT_ADD(storm, zstd)
{
	.driver = "ram", .algorithm = "zstd",
};

FIXTURE_VARIANT_ADD(storm, test_late)
{
	.driver = "test", .algorithm = "",
};

FIXTURE_SETUP(storm)
{
	sv_begin(&self->base);
	if (!strcmp(variant->driver, "test"))
		sv_set_word("complete", "late");
	self->fd = sv_create(variant->driver, variant->algorithm, PAGES, SV_BATCH);
	self->map = sv_map_rw(self->fd, PAGES);
}

FIXTURE_TEARDOWN_PARENT(storm)
{
	if (!access(CPU1, W_OK))
		sv_write_file(CPU1, "1");
	EXPECT_TRUE(sv_end(&self->base));
}

static void *pageout_main(void *arg)
{
	FIXTURE_DATA(storm) *self = arg;

	while (!__atomic_load_n(&self->stop, __ATOMIC_ACQUIRE)) {
		long out = sv_pageout(self->fd, 0, PAGES);

		if (out > 0)
			self->out += out;
	}
	return NULL;
}

static void start_pageout(FIXTURE_DATA(storm) *self)
{
	if (pthread_create(&self->pageout, NULL, pageout_main, self))
		sv_die("pthread_create");
}

static uint64_t end_pageout(FIXTURE_DATA(storm) *self)
{
	__atomic_store_n(&self->stop, true, __ATOMIC_RELEASE);
	pthread_join(self->pageout, NULL);
	return self->out;
}

struct thread {
	FIXTURE_DATA(storm) *self;
	pthread_t thread;
	uint64_t end, nr, count, bad;
};

static void run_threads(struct __test_metadata *_metadata, FIXTURE_DATA(storm) *self,
			void *(*main)(void *), struct thread threads[2])
{
	int i;

	start_pageout(self);
	for (i = 0; i < 2; i++) {
		threads[i] = (struct thread){
			.self = self, .end = sv_now_ms() + run_ms(), .nr = i,
		};
		ASSERT_EQ(0, pthread_create(&threads[i].thread, NULL, main, &threads[i]));
	}
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_join(threads[i].thread, NULL));
	ASSERT_LT(0, end_pageout(self));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, threads[i].bad);
		ASSERT_LT(0, threads[i].count);
	}
}

/* Bug class C2: mappings come and go under the swapper. */
static void *map_and_unmap(void *arg)
{
	struct thread *t = arg;
	uint64_t seed = t->nr + 1;

	while (sv_now_ms() < t->end) {
		char *map = sv_map_rw(t->self->fd, PAGES);
		size_t i;

		for (i = t->nr; i < PAGES; i += 2 + sv_random(&seed) % 16 * 2)
			t->bad += !sv_check(map + i * SV_PAGE, SV_TEXT, i, 1);
		/* In one piece, or a part of it first. */
		if (sv_random(&seed) % 2)
			sv_unmap(map + 16 * SV_PAGE, 16);
		sv_unmap(map, PAGES);
		t->count++;
	}
	return NULL;
}

TEST_F_TIMEOUT(storm, pageout_against_munmap, SV_LONG_TIMEOUT)
{
	struct thread threads[2];

	sv_fill_range(self->map, 0, PAGES, SV_TEXT, 1);
	run_threads(_metadata, self, map_and_unmap, threads);
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
}

/*
 * Bug class C26: two threads on the same words of the same few pages. They rest at
 * times: a driver that answers late would have every swapout cancelled otherwise.
 */
static void *count_up(void *arg)
{
	struct thread *t = arg;
	uint64_t *words = (uint64_t *)t->self->map, seed = t->nr + 1;

	while (sv_now_ms() < t->end) {
		size_t page = sv_random(&seed) % 4, i;

		for (i = 0; i < 64; i++) {
			__atomic_add_fetch(&words[page * WORDS + i], 1, __ATOMIC_RELAXED);
			t->count++;
		}
		if (sv_now_ms() % 64 < 32)
			usleep(1000);
	}
	return NULL;
}

TEST_F_TIMEOUT(storm, same_page, SV_LONG_TIMEOUT)
{
	uint64_t *words = (uint64_t *)self->map, sum = 0;
	struct thread threads[2];
	size_t i;

	run_threads(_metadata, self, count_up, threads);
	ASSERT_TRUE(sv_pageout_all(self->fd));
	for (i = 0; i < 4 * WORDS; i++)
		sum += words[i];
	ASSERT_EQ(threads[0].count + threads[1].count, sum);
}

/*
 * Bug class C5: pages change while a driver compresses or copies them. Each
 * thread owns half the words of every page, and knows what it wrote last.
 */
static void *write_words(void *arg)
{
	struct thread *t = arg;
	uint64_t *words = (uint64_t *)t->self->map, seed = t->nr + 1;
	uint64_t *last = calloc(PAGES * WORDS, sizeof(*last));
	size_t i, n;

	if (!last)
		sv_die("calloc");
	while (sv_now_ms() < t->end)
		for (n = 0; n < 512; n++) {
			i = sv_random(&seed) % (PAGES * WORDS / 2) * 2 + t->nr;
			t->bad += words[i] != last[i];
			words[i] = last[i] = sv_random(&seed);
			t->count++;
		}
	for (i = t->nr; i < PAGES * WORDS; i += 2)
		t->bad += words[i] != last[i];
	free(last);
	return NULL;
}

TEST_F_TIMEOUT(storm, unstable_pages, SV_LONG_TIMEOUT)
{
	struct thread threads[2];

	run_threads(_metadata, self, write_words, threads);
}

/* Bug class C14: fork and exit, child first and parent first. */
TEST_F_TIMEOUT(storm, fork, SV_LONG_TIMEOUT)
{
	uint64_t end = sv_now_ms() + run_ms(), forks;

	sv_fill_range(self->map, 0, PAGES, SV_TEXT, 1);
	start_pageout(self);
	for (forks = 0; sv_now_ms() < end; forks++) {
		pid_t child = sv_fork();

		if (!child) {
			size_t i, bad = 0;

			for (i = forks % 8; i < PAGES; i += 8)
				bad += !sv_check(self->map + i * SV_PAGE, SV_TEXT, i, 1);
			_exit(bad != 0);
		}
		ASSERT_EQ(0, sv_reap(child));
	}
	ASSERT_LT(0, end_pageout(self));
	ASSERT_LT(0, forks);
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
}

/* Bug classes C11 and C12: regions are freed while their pages are on their way. */
static void *make_and_free(void *arg)
{
	struct thread *t = arg;

	while (sv_now_ms() < t->end) {
		int fd = sv_create(t->nr ? "ram" : "test", "", PAGES, SV_BATCH);
		char *map = sv_map_rw(fd, PAGES);

		sv_fill_range(map, 0, PAGES, SV_TEXT, t->count);
		t->bad += sv_check_range(map, 0, 8, SV_TEXT, t->count);
		if (t->count % 2)
			close(fd);
		sv_unmap(map, PAGES);
		if (t->count % 2 == 0)
			close(fd);
		t->count++;
	}
	return NULL;
}

TEST_F_TIMEOUT(storm, regions_come_and_go, SV_LONG_TIMEOUT)
{
	struct thread threads[2];

	sv_fill_range(self->map, 0, PAGES, SV_TEXT, 1);
	run_threads(_metadata, self, make_and_free, threads);
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
}

/*
 * Makes its pages anew, again and again, on the second processor while that is there:
 * the records of the pages are taken and given back there.
 */
static void *come_and_go(void *arg)
{
	struct thread *t = arg;
	size_t nr = PAGES / 2, first = t->nr * nr;
	cpu_set_t second, all;

	sched_getaffinity(0, sizeof(all), &all);
	CPU_ZERO(&second);
	CPU_SET(1, &second);
	while (!__atomic_load_n(&t->self->stop, __ATOMIC_ACQUIRE)) {
		sched_setaffinity(0, sizeof(second), &second);
		t->bad += sv_punch(t->self->fd, first, nr) != 0;
		sv_fill_range(t->self->map, first, nr, SV_TEXT, t->count);
		sched_setaffinity(0, sizeof(all), &all);
		t->bad += sv_check_range(t->self->map, first, nr, SV_TEXT, t->count);
		__atomic_add_fetch(&t->count, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* Lets the second processor go or come, and the threads go on after that. */
static bool set_cpu1(const char *online, struct thread threads[2])
{
	uint64_t before[2];
	int i;

	if (!sv_write_file(CPU1, online))
		return false;
	for (i = 0; i < 2; i++)
		before[i] = __atomic_load_n(&threads[i].count, __ATOMIC_ACQUIRE);
	for (i = 0; i < 2; i++)
		if (!sv_wait_for(__atomic_load_n(&threads[i].count, __ATOMIC_ACQUIRE) > before[i]))
			return false;
	return true;
}

/*
 * Bug class C6: the state of a codec on a processor that goes away, and the records
 * that it had at hand. At the end it is away.
 */
TEST_F_TIMEOUT(storm, cpu_hotplug, SV_LONG_TIMEOUT)
{
	struct thread threads[2];
	uint64_t end;
	int i;

	if (access(CPU1, W_OK))
		SKIP(return, "no second processor that can go offline");
	start_pageout(self);
	for (i = 0; i < 2; i++) {
		threads[i] = (struct thread){ .self = self, .nr = i };
		ASSERT_EQ(0, pthread_create(&threads[i].thread, NULL, come_and_go, &threads[i]));
	}
	end = sv_now_ms() + run_ms();
	ASSERT_TRUE(set_cpu1("0", threads));
	do {
		ASSERT_TRUE(set_cpu1("1", threads));
		ASSERT_TRUE(set_cpu1("0", threads));
	} while (sv_now_ms() < end);
	ASSERT_LT(0, end_pageout(self));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, pthread_join(threads[i].thread, NULL));
		ASSERT_EQ(0, threads[i].bad);
	}
	ASSERT_EQ(0, sv_punch(self->fd, 0, PAGES));
	ASSERT_TRUE(sv_wait_for(sv_debug("records") == self->base.value[1]));
	ASSERT_TRUE(sv_write_file(CPU1, "1"));
}

/*
 * The shrinker, called through its debugfs file with the memory cgroups and
 * nodes that it lists. It drops clean pages; a dirty page it leaves to the
 * swapper, and no driver runs in the caller.
 */

/* A shrinker that does not know cgroups lists the root's, but wants a zero. */
static bool scan(const char *path, uint64_t cgroup)
{
	char line[64];

	snprintf(line, sizeof(line), "%" PRIu64 " 0 %zu\n", cgroup, PAGES);
	return sv_write_file(path, line);
}

/* Lets every shrinker of swapvma scan; the number of shrinkers. */
static int scan_shrinkers(void)
{
	char path[PATH_MAX], text[4096], *one, *save;
	DIR *dir = opendir("/sys/kernel/debug/shrinker");
	struct dirent *entry;
	uint64_t cgroup;
	int count = 0;

	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "swapvma", 7))
			continue;
		count++;
		snprintf(path, sizeof(path), "/sys/kernel/debug/shrinker/%s/count", entry->d_name);
		if (!sv_read_file(path, text, sizeof(text)))
			sv_die("%s: %s", path, strerror(errno));
		snprintf(path, sizeof(path), "/sys/kernel/debug/shrinker/%s/scan", entry->d_name);
		for (one = strtok_r(text, "\n", &save); one; one = strtok_r(NULL, "\n", &save)) {
			if (sscanf(one, "%" SCNu64, &cgroup) != 1)
				continue;
			if (!scan(path, cgroup) && !scan(path, 0))
				sv_die("%s: %s", path, strerror(errno));
		}
	}
	if (dir)
		closedir(dir);
	return count;
}

static bool scan_until_empty(int fd)
{
	scan_shrinkers();
	return SV_STAT(fd, resident) == 0;
}

TEST_F_TIMEOUT(storm, shrinker, SV_LONG_TIMEOUT)
{
	uint64_t swapouts, end = sv_now_ms() + run_ms();

	if (access("/sys/kernel/debug/shrinker", X_OK))
		SKIP(return, "no shrinker debugfs");
	ASSERT_EQ(0, sv_set_limit(self->fd, SV_NO_LIMIT));
	sv_fill_range(self->map, 0, PAGES, SV_TEXT, 1);

	/* Clean pages go without another write. */
	ASSERT_EQ(0, fsync(self->fd));
	swapouts = SV_STAT(self->fd, swapouts) + SV_STAT(self->fd, launders);
	ASSERT_LT(0, scan_shrinkers());
	ASSERT_TRUE(sv_wait_for(scan_until_empty(self->fd)));
	ASSERT_EQ(swapouts, SV_STAT(self->fd, swapouts) + SV_STAT(self->fd, launders));
	ASSERT_EQ(PAGES, SV_STAT(self->fd, clean_drops));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));

	/* Dirty pages go through the swapper, which the scan wakes. */
	sv_fill_range(self->map, 0, PAGES, SV_TEXT, 2);
	ASSERT_TRUE(sv_wait_for(scan_until_empty(self->fd)));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 2));

	/* And while pages are in use. */
	start_pageout(self);
	while (sv_now_ms() < end) {
		scan_shrinkers();
		ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 2));
	}
	ASSERT_LT(0, end_pageout(self));
}

SV_TEST_MAIN
