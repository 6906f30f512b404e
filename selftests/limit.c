// SPDX-License-Identifier: GPL-2.0
/*
 * The resident limit: what counts against it never exceeds it, whatever faults
 * at the same time; pages that something keeps in memory do not count; it can be
 * lowered and lifted in use; and a region larger than the machine's memory works.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "swapvma_util.h"

#define LIMIT	SV_BATCH
#define PAGES	(8 * SV_BATCH)

FIXTURE(limit)
{
	struct sv_baseline base;
	char *map;
	int fd;
};

FIXTURE_VARIANT(limit)
{
	const char *driver;
};

FIXTURE_VARIANT_ADD(limit, ram)
{
	.driver = "ram",
};

FIXTURE_VARIANT_ADD(limit, test)
{
	.driver = "test",
};

FIXTURE_SETUP(limit)
{
	sv_begin(&self->base);
	self->fd = sv_create(variant->driver, "", PAGES, LIMIT);
	self->map = sv_map_rw(self->fd, PAGES);
}

FIXTURE_TEARDOWN_PARENT(limit)
{
	EXPECT_TRUE(sv_end(&self->base));
}

struct sampler {
	pthread_t thread;
	int fd;
	bool stop;
	uint64_t samples, most;	/* pages that counted against the limit */
};

static void *sample(void *arg)
{
	struct sampler *s = arg;

	while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
		struct swapvma_stats stats;

		sv_stats(s->fd, &stats);
		if (stats.resident - stats.unevictable > s->most)
			s->most = stats.resident - stats.unevictable;
		s->samples++;
	}
	return NULL;
}

struct faulter {
	pthread_t thread;
	char *map;
	size_t first;	/* every second page from here */
	uint64_t from, to;	/* generations */
	size_t bad;
};

static void *fault(void *arg)
{
	struct faulter *f = arg;
	uint64_t round;
	size_t i;

	for (round = f->from; round <= f->to; round++)
		for (i = f->first; i < PAGES; i += 2) {
			if (round > 1)
				f->bad += !sv_check(f->map + i * SV_PAGE, SV_TEXT, i, round - 1);
			sv_fill(f->map + i * SV_PAGE, SV_TEXT, i, round);
		}
	return NULL;
}

/*
 * Two threads write generations @from to @to of the pages from @first on, and
 * check those before; a third looks at what counts against the limit.
 */
static void stream(struct __test_metadata *_metadata, FIXTURE_DATA(limit) *self, size_t first,
		   uint64_t from, uint64_t to, uint64_t *most)
{
	struct sampler sampler = { .fd = self->fd };
	struct faulter faulters[2] = {
		{ .map = self->map, .first = first, .from = from, .to = to },
		{ .map = self->map, .first = first + 1, .from = from, .to = to },
	};
	int i;

	ASSERT_EQ(0, pthread_create(&sampler.thread, NULL, sample, &sampler));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&faulters[i].thread, NULL, fault, &faulters[i]));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_join(faulters[i].thread, NULL));
	__atomic_store_n(&sampler.stop, true, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_join(sampler.thread, NULL));
	ASSERT_LT(0, sampler.samples);
	ASSERT_EQ(0, faulters[0].bad);
	ASSERT_EQ(0, faulters[1].bad);
	ASSERT_EQ(0, sv_check_range(self->map, first, PAGES - first, SV_TEXT, to));
	*most = sampler.most;
}

/*
 * Every fault of a program may wait, and the driver takes everything: none goes
 * over the limit, so it is kept by reservation to the page.
 */
static void check_kept(struct __test_metadata *_metadata, int fd)
{
	struct swapvma_stats stats;

	sv_stats(fd, &stats);
	ASSERT_EQ(0, stats.over_limit);
	ASSERT_GE(stats.limit / SV_PAGE, stats.resident_peak);
	ASSERT_GE(stats.limit / SV_PAGE, stats.resident - stats.unevictable);
}

TEST_F_TIMEOUT(limit, concurrent_faults, SV_LONG_TIMEOUT)
{
	struct swapvma_stats stats;
	uint64_t most;

	stream(_metadata, self, 0, 1, sv_long() ? 50 : 3, &most);
	check_kept(_metadata, self->fd);
	ASSERT_GE(LIMIT, most);
	sv_stats(self->fd, &stats);
	ASSERT_EQ(0, stats.unevictable);
	ASSERT_LT(0, stats.limit_waits);
	ASSERT_LT(PAGES, stats.swapouts);
	ASSERT_LT(0, stats.resident);
}

/* No limit: nothing is paged out that nobody asked to. */
TEST_F(limit, none)
{
	ASSERT_EQ(0, sv_set_limit(self->fd, SV_NO_LIMIT));
	ASSERT_EQ(SWAPVMA_LIMIT_NONE, SV_STAT(self->fd, limit));
	sv_fill_range(self->map, 0, PAGES, SV_TEXT, 1);
	ASSERT_EQ(PAGES, SV_STAT(self->fd, resident));
	ASSERT_EQ(PAGES, SV_STAT(self->fd, resident_peak));
	ASSERT_EQ(0, SV_STAT(self->fd, swapouts));
	ASSERT_EQ(0, SV_STAT(self->fd, limit_waits));
}

/* A lower limit is reached before the call returns. */
TEST_F(limit, lowered)
{
	size_t limit;

	ASSERT_EQ(0, sv_set_limit(self->fd, SV_NO_LIMIT));
	sv_fill_range(self->map, 0, PAGES, SV_TEXT, 1);
	for (limit = PAGES; limit >= LIMIT; limit /= 2) {
		ASSERT_EQ(0, sv_set_limit(self->fd, limit));
		ASSERT_EQ(limit * SV_PAGE, SV_STAT(self->fd, limit));
		ASSERT_GE(limit, SV_STAT(self->fd, resident));
		ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
		ASSERT_GE(limit, SV_STAT(self->fd, resident));
	}
}

/* Raised: the room is used, though the swapper may keep some of it free. */
TEST_F(limit, raised)
{
	sv_fill_range(self->map, 0, PAGES, SV_TEXT, 1);
	ASSERT_GE(LIMIT, SV_STAT(self->fd, resident));
	ASSERT_EQ(0, sv_set_limit(self->fd, PAGES));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
	ASSERT_LE(PAGES / 2, SV_STAT(self->fd, resident));
}

/* What does not depend on the driver is tested with one of them unless there is time. */
#define SKIP_UNLESS_FIRST()						\
	do {								\
		if (strcmp(variant->driver, "ram") && !sv_long())	\
			SKIP(return, "SWAPVMA_LONG=1 runs it");		\
	} while (0)

/* Changed all the time while two threads fault. */
TEST_F_TIMEOUT(limit, changed_in_use, SV_LONG_TIMEOUT)
{
	uint64_t seed = 1, most;
	pid_t child;

	SKIP_UNLESS_FIRST();
	child = sv_fork();
	if (!child)
		for (;;) {
			size_t limit = LIMIT + sv_random(&seed) % (PAGES - LIMIT + 1);

			if (sv_set_limit(self->fd, limit))
				_exit(1);
			usleep(500);
		}
	stream(_metadata, self, 0, 1, sv_long() ? 50 : 3, &most);
	ASSERT_EQ(0, SV_STAT(self->fd, over_limit));
	ASSERT_EQ(0, kill(child, SIGKILL));
	ASSERT_EQ(SIGKILL, sv_reap(child));
	ASSERT_EQ(0, sv_set_limit(self->fd, LIMIT));
	ASSERT_GE(LIMIT, SV_STAT(self->fd, resident));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, sv_long() ? 50 : 3));
}

/*
 * Twice as many pages as the limit that something keeps in memory: they do not
 * count, or the others had no room and went over the limit without end. Let go,
 * they count again.
 */
#define KEPT	(2 * LIMIT)

static void others_keep_to_the_limit(struct __test_metadata *_metadata, FIXTURE_DATA(limit) *self)
{
	uint64_t most;

	stream(_metadata, self, KEPT, 1, sv_long() ? 50 : 3, &most);
	check_kept(_metadata, self->fd);
	ASSERT_GE(LIMIT, most);
	/* The swapper went around them more than once, and met them all. */
	ASSERT_EQ(KEPT, SV_STAT(self->fd, unevictable));
	ASSERT_LT(KEPT, SV_STAT(self->fd, resident));
}

static void all_count_again(struct __test_metadata *_metadata, FIXTURE_DATA(limit) *self)
{
	uint64_t from = (sv_long() ? 50 : 3) + 1, most;

	stream(_metadata, self, KEPT, from, from + 1, &most);
	ASSERT_EQ(0, SV_STAT(self->fd, unevictable));
	ASSERT_GE(LIMIT, SV_STAT(self->fd, resident));
	ASSERT_EQ(0, SV_STAT(self->fd, over_limit));
	/* They count from when they are met on: at most that many at once. */
	ASSERT_GE(LIMIT + KEPT, SV_STAT(self->fd, resident_peak));
}

TEST_F_TIMEOUT(limit, mlocked, SV_LONG_TIMEOUT)
{
	SKIP_UNLESS_FIRST();
	sv_fill_range(self->map, 0, KEPT, SV_TEXT, 1);
	ASSERT_EQ(0, mlock(self->map, KEPT * SV_PAGE));
	others_keep_to_the_limit(_metadata, self);
	sv_fill_range(self->map, 0, KEPT, SV_TEXT, 2);
	ASSERT_EQ(0, sv_munlock(self->map, KEPT * SV_PAGE));
	all_count_again(_metadata, self);
	ASSERT_EQ(0, sv_check_range(self->map, 0, KEPT, SV_TEXT, 2));
}

/* Pages in a pipe are held by it, which the swapper sees in their counts only. */
TEST_F_TIMEOUT(limit, in_a_pipe, SV_LONG_TIMEOUT)
{
	struct iovec iov = { self->map, KEPT * SV_PAGE };
	char page[SV_PAGE];
	int pipes[2];
	size_t i;

	SKIP_UNLESS_FIRST();
	sv_fill_range(self->map, 0, KEPT, SV_TEXT, 1);
	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	ASSERT_LE(KEPT * SV_PAGE, fcntl(pipes[1], F_SETPIPE_SZ, KEPT * SV_PAGE));
	ASSERT_EQ(KEPT * SV_PAGE, vmsplice(pipes[1], &iov, 1, 0));
	others_keep_to_the_limit(_metadata, self);
	sv_fill_range(self->map, 0, KEPT, SV_TEXT, 2);
	for (i = 0; i < KEPT; i++) {
		ASSERT_EQ(SV_PAGE, read(pipes[0], page, SV_PAGE));
		ASSERT_TRUE(sv_check(page, SV_TEXT, i, 2));
	}
	all_count_again(_metadata, self);
	ASSERT_EQ(0, sv_check_range(self->map, 0, KEPT, SV_TEXT, 2));
}

/*
 * Pinned, as for O_DIRECT, by a process_vm_readv() whose copy waits for user
 * space to provide the memory it goes to.
 */
struct reader {
	pthread_t thread;
	char *from, *to;
	ssize_t result;
};

static void *read_pinned(void *arg)
{
	struct reader *r = arg;
	struct iovec remote = { r->from, KEPT * SV_PAGE }, local = { r->to, KEPT * SV_PAGE };

	r->result = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
	return NULL;
}

/* A userfaultfd that keeps whoever touches @at waiting, until it is closed. */
static int make_wait(void *at, size_t size)
{
	struct uffdio_register range = {
		.range = { .start = (uintptr_t)at, .len = size },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffdio_api api = { .api = UFFD_API };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd >= 0 && (ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &range)))
		sv_die("userfaultfd: %s", strerror(errno));
	return fd;
}

TEST_F_TIMEOUT(limit, pinned, SV_LONG_TIMEOUT)
{
	struct reader reader = { .from = self->map };
	struct uffd_msg fault;
	int faults;

	reader.to = mmap(NULL, KEPT * SV_PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, reader.to);
	faults = make_wait(reader.to, KEPT * SV_PAGE);
	if (faults < 0)
		SKIP(return, "no userfaultfd: %s", strerror(errno));
	sv_fill_range(self->map, 0, KEPT, SV_TEXT, 1);
	ASSERT_EQ(0, pthread_create(&reader.thread, NULL, read_pinned, &reader));
	/* It waits: all is pinned. */
	ASSERT_EQ(sizeof(fault), read(faults, &fault, sizeof(fault)));
	others_keep_to_the_limit(_metadata, self);
	sv_fill_range(self->map, 0, KEPT, SV_TEXT, 2);
	close(faults);
	ASSERT_EQ(0, pthread_join(reader.thread, NULL));
	ASSERT_EQ(KEPT * SV_PAGE, reader.result);
	ASSERT_EQ(0, sv_check_range(reader.to, 0, KEPT, SV_TEXT, 2));
	all_count_again(_metadata, self);
	ASSERT_EQ(0, sv_check_range(self->map, 0, KEPT, SV_TEXT, 2));
}

/*
 * Threads use three quarters of what may be in memory all the time, beside one that
 * goes over many more pages: too few stay cold, and the limit holds all the same.
 */
TEST_F_TIMEOUT(limit, beside_users, SV_LONG_TIMEOUT)
{
	const size_t limit = 8 * SV_BATCH, all = 256 * SV_BATCH;
	struct sv_user users[3];
	char *map;
	size_t i;
	int fd;

	SKIP_UNLESS_FIRST();
	fd = sv_create(variant->driver, "", all, limit);
	map = sv_map_rw(fd, all);
	for (i = 0; i < 3; i++)
		sv_use(&users[i], map, 3 * limit / 4);
	sv_fill_range(map, 3 * limit / 4, all - 3 * limit / 4, SV_TEXT, 1);
	for (i = 0; i < 3; i++)
		sv_use_end(&users[i]);
	check_kept(_metadata, fd);
	ASSERT_EQ(0, sv_check_range(map, 3 * limit / 4, all - 3 * limit / 4, SV_TEXT, 1));
	check_kept(_metadata, fd);
}

/*
 * Bug class C9: a task that no other may interrupt faults over the limit on the
 * processor of the swapper. It must sleep for the swapper to come through.
 */
#define RT_RUNTIME	"/proc/sys/kernel/sched_rt_runtime_us"

FIXTURE(realtime)
{
	struct sv_baseline base;
	char runtime[32];
	cpu_set_t swapper;
};

FIXTURE_SETUP(realtime)
{
	cpu_set_t one;

	sv_begin(&self->base);
	if (!sv_read_file(RT_RUNTIME, self->runtime, sizeof(self->runtime)))
		SKIP(return, "no real-time scheduling");
	ASSERT_TRUE(sv_write_file(RT_RUNTIME, "-1"));
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	ASSERT_EQ(0, sched_getaffinity(sv_swapper("ram"), sizeof(cpu_set_t), &self->swapper));
	ASSERT_EQ(0, sched_setaffinity(sv_swapper("ram"), sizeof(one), &one));
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(one), &one));
}

FIXTURE_TEARDOWN_PARENT(realtime)
{
	if (self->runtime[0])
		EXPECT_TRUE(sv_write_file(RT_RUNTIME, self->runtime));
	if (CPU_COUNT(&self->swapper))
		sched_setaffinity(sv_swapper("ram"), sizeof(cpu_set_t), &self->swapper);
	EXPECT_TRUE(sv_end(&self->base));
}

TEST_F(realtime, faults_over_the_limit)
{
	struct sched_param fifo = { .sched_priority = 50 };
	int fd = sv_create("ram", "", PAGES, LIMIT);
	char *map = sv_map_rw(fd, PAGES);

	ASSERT_EQ(0, sched_setscheduler(0, SCHED_FIFO, &fifo));
	sv_fill_range(map, 0, PAGES, SV_TEXT, 1);
	ASSERT_EQ(0, sv_check_range(map, 0, PAGES, SV_TEXT, 1));
	ASSERT_LT(0, SV_STAT(fd, limit_waits));
	ASSERT_LT(0, SV_STAT(fd, swapins));
	check_kept(_metadata, fd);
}

FIXTURE(larger)
{
	struct sv_baseline base;
};

FIXTURE_SETUP(larger)
{
	sv_begin(&self->base);
}

FIXTURE_TEARDOWN_PARENT(larger)
{
	EXPECT_TRUE(sv_end(&self->base));
}

/*
 * A region of twice the machine's memory, at least 1 GiB: one page in 64, and
 * a dense part; all of it with SWAPVMA_LONG=1.
 */
TEST_F_TIMEOUT(larger, than_memory, SV_LONG_TIMEOUT)
{
	const size_t limit = 1024, dense = 2048, step = sv_long() ? 1 : 64;
	uint64_t kb = 2 * sv_meminfo_kb("MemTotal");
	size_t pages = (kb > 1 << 20 ? kb : 1 << 20) / 4, i;
	struct swapvma_stats stats;
	char *map;
	int fd;

	fd = sv_create("ram", "", pages, limit);
	map = sv_map_rw(fd, pages);
	for (i = 0; i < pages; i += step)
		sv_fill(map + i * SV_PAGE, SV_TEXT, i, 1);
	sv_fill_range(map, pages - dense, dense, SV_TEXT, 1);
	for (i = 0; i < pages; i += step)
		ASSERT_TRUE(sv_check(map + i * SV_PAGE, SV_TEXT, i, 1));
	ASSERT_EQ(0, sv_check_range(map, pages - dense, dense, SV_TEXT, 1));
	/* Between the pages that were written nothing was. */
	for (i = 1; i < step; i++)
		ASSERT_EQ(0, sv_check_zero(map, i, 1));
	check_kept(_metadata, fd);
	sv_stats(fd, &stats);
	ASSERT_LT(dense, stats.swapouts);
	/* The table: 8 bytes for a page, whole leaves, and a few levels above. */
	ASSERT_GE(8 * (pages + 512) + 16 * SV_PAGE, stats.table_bytes);
}

/*
 * A region stores no more than it may. What does not fit stays in memory with all that
 * is in it, and leaves as soon as there is room: copies of pages that were written to
 * since are given up for it.
 */
TEST_F(limit, stored)
{
	const size_t most = 2 * SV_BATCH + 5;

	ASSERT_EQ(0, sv_set_limit(self->fd, SV_NO_LIMIT));
	ASSERT_EQ(0, sv_set_stored_limit(self->fd, most));
	ASSERT_EQ(most * SV_PAGE, SV_STAT(self->fd, stored_limit));
	sv_fill_range(self->map, 0, PAGES, SV_RANDOM, 1);
	ASSERT_EQ(most, sv_pageout(self->fd, 0, PAGES));
	ASSERT_EQ(most * SV_PAGE, SV_STAT(self->fd, stored_bytes));
	ASSERT_EQ(most, SV_STAT(self->fd, swapped));
	ASSERT_EQ(PAGES - most, SV_STAT(self->fd, resident));
	/* Faults do not wait for room that cannot come. */
	ASSERT_EQ(0, sv_set_limit(self->fd, LIMIT));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_RANDOM, 1));
	ASSERT_LT(0, SV_STAT(self->fd, over_limit));
	ASSERT_GE(most * SV_PAGE, SV_STAT(self->fd, stored_bytes));
	/* All copies are stale now. */
	sv_fill_range(self->map, 0, PAGES, SV_RANDOM, 2);
	ASSERT_LE(0, sv_pageout(self->fd, 0, PAGES));
	ASSERT_EQ(most, SV_STAT(self->fd, swapped));
	ASSERT_EQ(most * SV_PAGE, SV_STAT(self->fd, stored_bytes));
	/* What needs no driver leaves all the same. */
	sv_fill_range(self->map, PAGES - SV_BATCH, SV_BATCH, SV_SAME, 2);
	ASSERT_LT(0, sv_pageout(self->fd, PAGES - SV_BATCH, SV_BATCH));
	ASSERT_EQ(SV_BATCH, SV_STAT(self->fd, same_filled));
	/* Room for all. */
	ASSERT_EQ(0, sv_set_stored_limit(self->fd, SV_NO_LIMIT));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES - SV_BATCH, SV_RANDOM, 2));
	ASSERT_EQ(0, sv_check_range(self->map, PAGES - SV_BATCH, SV_BATCH, SV_SAME, 2));
}

/* Writes the pages of a mapping. */
struct writer {
	pthread_t thread;
	char *map;
	size_t nr, at;
};

static void *write_all(void *arg)
{
	struct writer *w = arg;
	size_t i;

	for (i = 0; i < w->nr; i++) {
		sv_fill(w->map + i * SV_PAGE, SV_TEXT, i, 1);
		__atomic_store_n(&w->at, i + 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* That room may come is said at the moment when the swapper says that none does. */
TEST_F(limit, room_is_expected)
{
	struct writer w = { .map = self->map + LIMIT * SV_PAGE, .nr = PAGES - LIMIT };
	uint64_t end = sv_now_ms() + 20;

	if (strcmp(variant->driver, "test"))
		SKIP(return, "a driver that always takes pages");
	sv_set_word("answer", "kept");
	sv_fill_range(self->map, 0, LIMIT, SV_TEXT, 1);
	while (sv_now_ms() < end)
		ASSERT_EQ(0, sv_set_stored_limit(self->fd, SV_NO_LIMIT));
	ASSERT_EQ(0, pthread_create(&w.thread, NULL, write_all, &w));
	end = sv_now_ms() + 2000;
	while (sv_now_ms() < end && __atomic_load_n(&w.at, __ATOMIC_ACQUIRE) != w.nr)
		ASSERT_EQ(0, sv_set_stored_limit(self->fd, SV_NO_LIMIT));
	/* Nobody else comes by. */
	EXPECT_TRUE(sv_wait_for(__atomic_load_n(&w.at, __ATOMIC_ACQUIRE) == w.nr));
	sv_set_word("answer", "stored");
	ASSERT_EQ(0, sv_set_limit(self->fd, SV_NO_LIMIT));
	ASSERT_EQ(0, pthread_join(w.thread, NULL));
	ASSERT_EQ(0, sv_check_range(self->map, 0, LIMIT, SV_TEXT, 1));
	ASSERT_EQ(0, sv_check_range(w.map, 0, w.nr, SV_TEXT, 1));
}

/*
 * Of a batch, what needs no write leaves before the driver gets the rest. Who waits for
 * room does not wait for the driver then, however long that takes.
 */
TEST_F(limit, room_beside_a_write)
{
	const size_t limit = 4 * SV_BATCH, first = 3 * SV_BATCH;
	struct writer w = { .nr = limit };
	char *map;
	size_t i;
	int fd;

	if (strcmp(variant->driver, "test"))
		SKIP(return, "a driver that answers at once");
	fd = sv_create(variant->driver, "", PAGES, limit);
	map = sv_map_rw(fd, PAGES);
	w.map = map + first * SV_PAGE;
	sv_fill_range(map, 0, first, SV_TEXT, 1);
	ASSERT_EQ(0, fsync(fd));
	for (i = 0; i < first; i += 2)
		sv_fill(map + i * SV_PAGE, SV_TEXT, i, 2);
	if (!sv_put_back("hold_swapper"))
		SKIP(return, "a kernel without fault injection");
	ASSERT_EQ(0, pthread_create(&w.thread, NULL, write_all, &w));
	EXPECT_TRUE(sv_wait_for(sv_held() == 1 && SV_STAT(fd, limit_waits) == 1));
	i = __atomic_load_n(&w.at, __ATOMIC_ACQUIRE);
	sv_set("block", 1);
	sv_put_back("");
	EXPECT_TRUE(sv_wait_for(sv_get("blocked") == 1));
	EXPECT_TRUE(sv_wait_for(__atomic_load_n(&w.at, __ATOMIC_ACQUIRE) > i));
	/* Nobody gave the batch up meanwhile. */
	EXPECT_EQ(1, sv_get("blocked"));
	EXPECT_EQ(1, SV_STAT(fd, in_swapout));
	sv_set("block", 0);
	ASSERT_EQ(0, pthread_join(w.thread, NULL));
	for (i = 0; i < first; i++)
		ASSERT_TRUE(sv_check(map + i * SV_PAGE, SV_TEXT, i, 2 - i % 2));
	ASSERT_EQ(0, sv_check_range(w.map, 0, w.nr, SV_TEXT, 1));
}

SV_TEST_MAIN
