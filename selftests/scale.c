// SPDX-License-Identifier: GPL-2.0
/*
 * Two processors that fault and read pages back in one region, against the same in a
 * region for each of them: what they share in a region must not make one wait for the other.
 * Each has a mapping of its own, so that it is only the region that they share.
 */
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "swapvma_util.h"

#define PAGES	8192	/* for each of them */
#define ROUNDS	5
#define RUNNERS	2
/* Percent of the time. One after the other would be 200. */
#define MOST		140
#define PARALLEL	120

enum what {
	SWAPIN,
	MINOR,
};

/* For a fault at a time. */
static pthread_spinlock_t one_at_a_time;

struct runner {
	pthread_t thread;
	pthread_barrier_t *barrier;
	char *map;
	enum what what;
	bool takes_turns;
	int cpu;
	size_t bad;
	uint64_t ns;	/* of the faults */
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* Touches the pages in an order in which none are neighbours. */
static void *run(void *data)
{
	struct runner *runner = data;
	uint64_t start;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(runner->cpu, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus) != 0)
		sv_die("sched_setaffinity");
	pthread_barrier_wait(runner->barrier);
	start = now_ns();
	for (size_t i = 0; i < PAGES; i++) {
		size_t page = i * 1021 % PAGES;
		uint64_t *at = (uint64_t *)(runner->map + page * SV_PAGE);

		if (runner->takes_turns)
			pthread_spin_lock(&one_at_a_time);
		if (__atomic_load_n(at, __ATOMIC_RELAXED) != page + 1)
			runner->bad++;
		if (runner->takes_turns)
			pthread_spin_unlock(&one_at_a_time);
	}
	runner->ns = now_ns() - start;
	return NULL;
}

/* Returns how long the slower one of @nr of them took. */
static uint64_t run_all(struct runner *runners, const int *fds, int nr)
{
	pthread_barrier_t barrier;
	uint64_t longest = 0;

	for (int i = 0; i < nr; i++) {
		if (runners[i].what == SWAPIN)
			while (!sv_pageout_all(fds[i]))
				;
		else if (madvise(runners[i].map, PAGES * SV_PAGE, MADV_DONTNEED) != 0)
			sv_die("MADV_DONTNEED");
	}
	pthread_barrier_init(&barrier, NULL, nr);
	for (int i = 0; i < nr; i++) {
		runners[i].barrier = &barrier;
		if (pthread_create(&runners[i].thread, NULL, run, &runners[i]) != 0)
			sv_die("pthread_create");
	}
	for (int i = 0; i < nr; i++) {
		pthread_join(runners[i].thread, NULL);
		if (runners[i].ns > longest)
			longest = runners[i].ns;
	}
	pthread_barrier_destroy(&barrier);
	return longest;
}

/* Somebody else's work makes a round longer, never shorter. */
static void keep_least(uint64_t *least, uint64_t ns)
{
	if (ns < *least)
		*least = ns;
}

FIXTURE(scale)
{
	struct sv_baseline base;
};

FIXTURE_VARIANT(scale)
{
	enum what what;
	/* In the region that they share, as if it had one lock: it has to be noticed. */
	bool takes_turns;
};

FIXTURE_VARIANT_ADD(scale, swapin)
{
	.what = SWAPIN,
};

FIXTURE_VARIANT_ADD(scale, minor)
{
	.what = MINOR,
};

FIXTURE_VARIANT_ADD(scale, swapin_in_turns)
{
	.what = SWAPIN,
	.takes_turns = true,
};

FIXTURE_SETUP(scale)
{
		pthread_spin_init(&one_at_a_time, PTHREAD_PROCESS_PRIVATE);
	sv_begin(&self->base);
}

FIXTURE_TEARDOWN_PARENT(scale)
{
	EXPECT_TRUE(sv_end(&self->base));
}

TEST_F_TIMEOUT(scale, two_processors, 300)
{
	uint64_t alone = UINT64_MAX, in_one = UINT64_MAX, in_two = UINT64_MAX;
	struct runner one[RUNNERS], two[RUNNERS];
	int shared[RUNNERS], own[RUNNERS];

	if (sysconf(_SC_NPROCESSORS_ONLN) < RUNNERS)
		SKIP(return, "one processor");
	shared[0] = sv_create("ram", "", RUNNERS * PAGES, SV_NO_LIMIT);
	shared[1] = shared[0];
	for (int i = 0; i < RUNNERS; i++) {
		own[i] = sv_create("ram", "", PAGES, SV_NO_LIMIT);
		one[i] = two[i] = (struct runner){ .cpu = i, .what = variant->what };
		one[i].takes_turns = variant->takes_turns;
		one[i].map = mmap(NULL, PAGES * SV_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
				  shared[i], i * PAGES * SV_PAGE);
		ASSERT_NE(MAP_FAILED, one[i].map);
		two[i].map = sv_map_rw(own[i], PAGES);
		/* Cheap to store, and no two are the same. */
		for (size_t page = 0; page < PAGES; page++) {
			*(uint64_t *)(one[i].map + page * SV_PAGE) = page + 1;
			*(uint64_t *)(two[i].map + page * SV_PAGE) = page + 1;
		}
	}
	for (int round = 0; round < ROUNDS; round++) {
		keep_least(&alone, run_all(two, own, 1));
		keep_least(&in_one, run_all(one, shared, RUNNERS));
		keep_least(&in_two, run_all(two, own, RUNNERS));
	}
	for (int i = 0; i < RUNNERS; i++) {
		EXPECT_EQ(0, one[i].bad);
		EXPECT_EQ(0, two[i].bad);
	}
	TH_LOG("two take %" PRIu64 "%% of the time of one, and in one region %" PRIu64 "%% of that",
	       100 * in_two / alone, 100 * in_one / in_two);
	if (100 * in_two > PARALLEL * alone)
		SKIP(return, "the machine has no two processors to spare");
	EXPECT_EQ(variant->takes_turns, 100 * in_one > MOST * in_two);
}

SV_TEST_MAIN
