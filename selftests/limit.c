// SPDX-License-Identifier: GPL-2.0
/*
 * The resident limit: what is in memory never exceeds it by more than a batch,
 * whatever faults at the same time; it can be lowered and lifted in use; and a
 * region larger than the machine's memory works.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>

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
	uint64_t samples, most;
};

static void *sample(void *arg)
{
	struct sampler *s = arg;

	while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
		uint64_t resident = SV_STAT(s->fd, resident);

		if (resident > s->most)
			s->most = resident;
		s->samples++;
	}
	return NULL;
}

struct faulter {
	pthread_t thread;
	char *map;
	size_t first;	/* every second page from here */
	uint64_t rounds;
	size_t bad;
};

static void *fault(void *arg)
{
	struct faulter *f = arg;
	uint64_t round;
	size_t i;

	for (round = 1; round <= f->rounds; round++)
		for (i = f->first; i < PAGES; i += 2) {
			if (round > 1)
				f->bad += !sv_check(f->map + i * SV_PAGE, SV_TEXT, i, round - 1);
			sv_fill(f->map + i * SV_PAGE, SV_TEXT, i, round);
		}
	return NULL;
}

/* Two threads fault, a third looks. */
static void fault_and_sample(struct __test_metadata *_metadata, FIXTURE_DATA(limit) *self,
			     uint64_t rounds, uint64_t *most)
{
	struct sampler sampler = { .fd = self->fd };
	struct faulter faulters[2] = {
		{ .map = self->map, .first = 0, .rounds = rounds },
		{ .map = self->map, .first = 1, .rounds = rounds },
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
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, rounds));
	*most = sampler.most;
}

TEST_F_TIMEOUT(limit, concurrent_faults, SV_LONG_TIMEOUT)
{
	struct swapvma_stats stats;
	uint64_t most;

	fault_and_sample(_metadata, self, sv_long() ? 50 : 3, &most);
	sv_stats(self->fd, &stats);
	ASSERT_GE(LIMIT + SV_BATCH, most);
	ASSERT_GE(LIMIT + SV_BATCH, stats.resident_peak);
	/* By reservation it is not exceeded at all, unless a fault could not wait. */
	ASSERT_TRUE(stats.over_limit || stats.resident_peak <= LIMIT);
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

/* Changed all the time while two threads fault. */
TEST_F_TIMEOUT(limit, changed_in_use, SV_LONG_TIMEOUT)
{
	pid_t child = sv_fork();
	uint64_t seed = 1, most;

	if (!child)
		for (;;) {
			size_t limit = LIMIT + sv_random(&seed) % (PAGES - LIMIT + 1);

			if (sv_set_limit(self->fd, limit))
				_exit(1);
			usleep(500);
		}
	fault_and_sample(_metadata, self, sv_long() ? 50 : 3, &most);
	ASSERT_EQ(0, kill(child, SIGKILL));
	ASSERT_EQ(SIGKILL, sv_reap(child));
	ASSERT_EQ(0, sv_set_limit(self->fd, LIMIT));
	ASSERT_GE(LIMIT, SV_STAT(self->fd, resident));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, sv_long() ? 50 : 3));
}

/*
 * A region of twice the machine's memory, at least 1 GiB: one page in 64, and
 * a dense part; all of it with SWAPVMA_LONG=1.
 */
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
	ASSERT_TRUE(SV_STAT(fd, over_limit) || SV_STAT(fd, resident_peak) <= LIMIT);
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
	sv_stats(fd, &stats);
	ASSERT_GE(limit + SV_BATCH + stats.over_limit, stats.resident_peak);
	ASSERT_LT(dense, stats.swapouts);
	/* The table: 8 bytes for a page, whole leaves, and a few levels above. */
	ASSERT_GE(8 * (pages + 512) + 16 * SV_PAGE, stats.table_bytes);
}

SV_TEST_MAIN
