// SPDX-License-Identifier: GPL-2.0
/*
 * The A/B/L scenario of Kanoj Sarcar's mail of 15 October 1999: A's memory is
 * swapped out through a driver whose swapout sleeps for lock L, L is held by B,
 * and B runs short of memory and would have to steal from A. It must not be
 * possible that they wait for each other for ever.
 *
 * The bound that is asserted for every allocation of B and every access of A:
 * 16 rounds of direct reclaim (MAX_RECLAIM_RETRIES) that wait 100 ms each,
 * times sv_slow() (10 under emulation, else 1), plus one batch deadline.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "swapvma_util.h"

#define PAGES		1024UL
#define DEADLINE_MS	3000
#define MIN_FREE	"/proc/sys/vm/min_free_kbytes"

static unsigned int bound_ms(void)
{
	return 16 * 100 * sv_slow() + DEADLINE_MS;
}

/* What A tells the test. */
struct a_state {
	bool ready, stop;
	uint64_t touches, max_ms, bad;
	uint64_t refused;	/* SIGBUS: no page to be had, the data still there */
};

FIXTURE(deadlock)
{
	struct sv_baseline base;
	struct a_state *a;
	char min_free[32];
	int fd;
};

FIXTURE_SETUP(deadlock)
{
	char params[64];

	ASSERT_TRUE(sv_read_file(MIN_FREE, self->min_free, sizeof(self->min_free)));

	snprintf(params, sizeof(params), "deadline_ms=%d", DEADLINE_MS);
	sv_reload_test(params);
	sv_begin(&self->base);
	self->a = sv_shared(sizeof(*self->a));
	self->fd = -1;
}

FIXTURE_TEARDOWN_PARENT(deadlock)
{
	EXPECT_TRUE(sv_write_file(MIN_FREE, self->min_free));
	EXPECT_TRUE(sv_end_quarantined(&self->base));
	sv_reload_test("");
}

/* A: owns the region, and reads and writes its pages until told to stop. */
static void run_a(int fd, struct a_state *a)
{
	static uint8_t gen[PAGES];
	uint64_t seed = 0xa;
	char *map;
	size_t i;

	mlockall(MCL_CURRENT);
	map = sv_map_rw(fd, PAGES);
	for (i = 0; i < PAGES; i++)
		sv_fill(map + i * SV_PAGE, SV_TEXT, i, 0);
	__atomic_store_n(&a->ready, true, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&a->stop, __ATOMIC_ACQUIRE)) {
		uint64_t start = sv_now_ms(), ms;

		i = sv_random(&seed) % PAGES;
		if (sv_touch_read(map + i * SV_PAGE))
			a->refused++;
		else
			a->bad += !sv_check(map + i * SV_PAGE, SV_TEXT, i, gen[i]);
		if (sv_random(&seed) % 4 == 0 && !sv_touch_write(map + i * SV_PAGE, 0))
			sv_fill(map + i * SV_PAGE, SV_TEXT, i, ++gen[i]);
		ms = sv_now_ms() - start;
		if (ms > a->max_ms)
			a->max_ms = ms;
		a->touches++;
		if (a->touches % 64 == 0)
			usleep(1000);
	}
	for (i = 0; i < PAGES; i++)
		a->bad += !sv_check(map + i * SV_PAGE, SV_TEXT, i, gen[i]);
	_exit(a->bad != 0);
}

/* B: allocates @nr pages while it holds L, or as many as there are. */
static pid_t start_b(unsigned int nr)
{
	pid_t pid = sv_fork();

	if (!pid) {
		sv_set("hold_alloc", nr);
		_exit(0);
	}
	return pid;
}

/* B must end: @nr allocations of which each may take the bound at the worst. */
static bool end_of_b(pid_t b, uint64_t limit_ms)
{
	uint64_t end = sv_now_ms() + limit_ms;
	int status;

	while (sv_now_ms() < end) {
		if (waitpid(b, &status, WNOHANG) == b)
			return status == 0;
		usleep(10000);
	}
	return false;
}

static void check_bounds(struct __test_metadata *_metadata, FIXTURE_DATA(deadlock) *self,
			 pid_t a)
{
	uint64_t hold = sv_get("hold_ms");

	TH_LOG("bound %u ms; longest of %" PRIu64 " allocations of B: %" PRIu64 " ms",
	       bound_ms(), sv_get("hold_pages"), hold);
	TH_LOG("longest of %" PRIu64 " accesses of A: %" PRIu64 " ms, %" PRIu64 " refused",
	       self->a->touches, self->a->max_ms, self->a->refused);
	ASSERT_GE(bound_ms(), hold);
	__atomic_store_n(&self->a->stop, true, __ATOMIC_RELEASE);
	ASSERT_EQ(0, sv_reap(a));
	ASSERT_EQ(0, self->a->bad);
	ASSERT_LT(0, self->a->touches);
	ASSERT_GE(bound_ms(), self->a->max_ms);
}

/*
 * The machine is short of memory: a hog takes what is free down to a raised
 * min_free_kbytes, so that B's allocations and A's faults all go through direct
 * reclaim. If the OOM killer comes, it takes the hog first.
 */

static pid_t start_hog(uint64_t leave_kb, bool *full)
{
	pid_t pid = sv_fork();
	uint64_t free_kb;

	if (pid)
		return pid;
	sv_write_file("/proc/self/oom_score_adj", "1000");
	while ((free_kb = sv_meminfo_kb("MemFree")) > leave_kb) {
		/* Huge pages first, which is faster. */
		size_t step = free_kb - leave_kb > 65536 ? 16 << 20 : 1 << 20;
		char *map = mmap(NULL, step, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

		if (map == MAP_FAILED)
			break;
	}
	__atomic_store_n(full, true, __ATOMIC_RELEASE);
	for (;;)
		pause();
}

TEST_F_TIMEOUT(deadlock, machine_full, 240)
{
	uint64_t min_kb = 16384, stalls, batches;
	bool *full = sv_shared(sizeof(*full));
	char text[32];
	pid_t a, b, hog;

	a = sv_fork();
	if (!a)
		run_a(sv_create("test", "", PAGES, SV_NO_LIMIT), self->a);
	ASSERT_TRUE(sv_wait_for(__atomic_load_n(&self->a->ready, __ATOMIC_ACQUIRE)));

	sv_write_file("/proc/self/oom_score_adj", "-1000");
	mlockall(MCL_CURRENT);
	snprintf(text, sizeof(text), "%" PRIu64, min_kb);
	ASSERT_TRUE(sv_write_file(MIN_FREE, text));
	/* What can be had without the region: little, so that it is its turn soon. */
	sync();
	ASSERT_TRUE(sv_write_file("/proc/sys/vm/drop_caches", "1"));
	hog = start_hog(min_kb + 16384, full);
	/* As long as that takes: it is not what is measured. */
	while (!__atomic_load_n(full, __ATOMIC_ACQUIRE)) {
		ASSERT_EQ(0, waitpid(hog, NULL, WNOHANG));
		usleep(10000);
	}

	stalls = sv_vmstat("allocstall");
	batches = sv_get("batches");
	sv_set("lock", 1);
	b = start_b(65536);
	EXPECT_TRUE(end_of_b(b, 4 * bound_ms()));
	sv_set("lock", 0);
	stalls = sv_vmstat("allocstall") - stalls;
	kill(hog, SIGKILL);
	EXPECT_EQ(SIGKILL, sv_reap(hog));
	EXPECT_TRUE(sv_write_file(MIN_FREE, self->min_free));

	batches = sv_get("batches") - batches;
	TH_LOG("%" PRIu64 " direct reclaims, %" PRIu64 " batches", stalls, batches);
	/* It was tight, and the region's pages were asked for. */
	ASSERT_LT(0, stalls);
	ASSERT_LT(0, batches);
	check_bounds(_metadata, self, a);
}

/*
 * The holder of L faults on a page of a region that is at its limit.
 * The fault waits for the swapper, the swapper for L: over after one deadline.
 */

/*
 * Fills @nr pages, which is the region's limit, while the swapper is stopped in
 * a batch; B then takes L and touches @addr, and the swapper goes on, to L.
 */
static void hold_and_touch(struct __test_metadata *_metadata, FIXTURE_DATA(deadlock) *self,
			   char *map, size_t first, uint64_t gen, size_t touch)
{
	pid_t b;

	sv_set("block", 1);
	sv_fill_range(map, first, SV_BATCH, SV_TEXT, gen);
	ASSERT_EQ(SV_BATCH, SV_STAT(self->fd, resident));
	sv_set("lock", 1);
	b = sv_fork();
	if (!b) {
		sv_set("hold_touch", (uintptr_t)(map + touch * SV_PAGE));
		_exit(0);
	}
	ASSERT_TRUE(sv_wait_asleep(b));
	ASSERT_EQ(1, SV_STAT(self->fd, limit_waits));
	ASSERT_TRUE(sv_wait_for(sv_get("blocked") == 1));
	sv_set("block", 0);
	ASSERT_TRUE(end_of_b(b, 2 * bound_ms()));
	TH_LOG("bound %u ms; the access under L took %" PRIu64 " ms", bound_ms(),
	       sv_get("hold_ms"));
	ASSERT_GE(bound_ms(), sv_get("hold_ms"));
	ASSERT_LE(1, SV_STAT(self->fd, over_limit));
	ASSERT_LE(1, SV_STAT(self->fd, abandoned));
	sv_set("lock", 0);
}

TEST_F_TIMEOUT(deadlock, holder_faults_over_the_limit, 90)
{
	size_t pages = 2 * SV_BATCH;
	char *map;

	self->fd = sv_create("test", "", pages, SV_BATCH);
	map = sv_map_rw(self->fd, pages);
	hold_and_touch(_metadata, self, map, 0, 1, pages - 1);
	ASSERT_EQ(0, sv_check_range(map, 0, SV_BATCH, SV_TEXT, 1));
	ASSERT_EQ(0, sv_check_zero(map, SV_BATCH, pages - SV_BATCH));
}

/* The same with a page that has to be read back, which needs room first. */
TEST_F_TIMEOUT(deadlock, holder_reads_back_over_the_limit, 90)
{
	size_t pages = 2 * SV_BATCH;
	char *map;

	self->fd = sv_create("test", "", pages, SV_BATCH);
	map = sv_map_rw(self->fd, pages);
	sv_fill_range(map, 0, SV_BATCH, SV_TEXT, 1);
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, SV_STAT(self->fd, limit_waits));
	hold_and_touch(_metadata, self, map, SV_BATCH, 2, 0);
	ASSERT_EQ(0, sv_check_range(map, 0, SV_BATCH, SV_TEXT, 1));
	ASSERT_EQ(0, sv_check_range(map, SV_BATCH, SV_BATCH, SV_TEXT, 2));
}

SV_TEST_MAIN
