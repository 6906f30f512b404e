// SPDX-License-Identifier: GPL-2.0
/*
 * Regions without a limit give way to others: one larger than the machine's
 * memory works, and one that is idle leaves to make room for anonymous memory.
 * Nobody is killed for memory as long as there is something to page out.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "swapvma_store.h"
#include "swapvma_util.h"

/* Of what is to be had without paging anything out, for instance. */
static size_t pages_of(const char *name, unsigned int percent)
{
	return sv_meminfo_kb(name) / 4 * percent / 100;
}

/* There is no swap for anonymous memory. */
static void occupy(size_t pages)
{
	if (mmap(NULL, pages * SV_PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0) == MAP_FAILED)
		sv_die("mmap of %zu pages: %s", pages, strerror(errno));
}

/* Raises watermarks by much more than a test wants to wait for. */
#define BOOST	"/proc/sys/vm/watermark_boost_factor"

FIXTURE(pressure)
{
	struct sv_baseline base;
	char boost[32];
	uint64_t kills;
};

FIXTURE_SETUP(pressure)
{
	sv_begin(&self->base);
	ASSERT_TRUE(sv_read_file(BOOST, self->boost, sizeof(self->boost)));
	ASSERT_TRUE(sv_write_file(BOOST, "0"));
	self->kills = sv_vmstat("oom_kill ");
	/* The less there is, the sooner it is short. */
	if (!sv_long())
		occupy(pages_of("MemAvailable", 60));
}

FIXTURE_TEARDOWN_PARENT(pressure)
{
	EXPECT_TRUE(sv_write_file(BOOST, self->boost));
	EXPECT_TRUE(sv_end(&self->base));
}

TEST_F_TIMEOUT(pressure, larger_than_memory, SV_LONG_TIMEOUT)
{
	size_t pages = pages_of("MemAvailable", 130);
	int fd = sv_create("ram", "", pages, SV_NO_LIMIT);
	char *map = sv_map_rw(fd, pages);
	struct swapvma_stats stats;

	sv_fill_range(map, 0, pages, SV_TEXT, 1);
	ASSERT_EQ(0, sv_check_range(map, 0, pages, SV_TEXT, 1));
	sv_stats(fd, &stats);
	/* Half of what does not fit, at least: the estimate of what does is not exact. */
	ASSERT_LT(pages / 8, stats.swapouts + stats.clean_drops);
	ASSERT_LT(pages / 8, stats.swapins);
	ASSERT_EQ(0, stats.limit_waits);
	ASSERT_EQ(self->kills, sv_vmstat("oom_kill "));
}

/*
 * A child writes to so many pages of anonymous memory, or until @swapped of the
 * region left memory for it; what became of the child.
 */
static int hog(size_t pages, int fd, size_t swapped)
{
	pid_t child = sv_fork();
	char *memory;
	int status;
	size_t i;

	if (!child) {
		memory = mmap(NULL, pages * SV_PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (memory == MAP_FAILED)
			_exit(1);
		for (i = 0; i < pages && SV_STAT(fd, swapped) < swapped; i++)
			memory[i * SV_PAGE] = 1;
		_exit(0);
	}
	return waitpid(child, &status, 0) == child ? status : -1;
}

/* Seven tenths of what there is, and then six. */
TEST_F_TIMEOUT(pressure, idle_region_makes_room, SV_LONG_TIMEOUT)
{
	size_t pages = pages_of("MemAvailable", 70), more = pages_of("MemAvailable", 60);
	int fd = sv_create("ram", "", pages, SV_NO_LIMIT);
	char *map = sv_map_rw(fd, pages);

	sv_fill_range(map, 0, pages, SV_TEXT, 1);
	ASSERT_EQ(pages, SV_STAT(fd, resident));
	ASSERT_EQ(0, hog(more, fd, pages));
	ASSERT_EQ(self->kills, sv_vmstat("oom_kill "));
	ASSERT_LT(pages / 10, SV_STAT(fd, swapped));
	ASSERT_EQ(0, sv_check_range(map, 0, pages, SV_TEXT, 1));
}

/*
 * The store takes so long that a reclaimer, which waits 100 ms, seldom sees a page
 * come free, and the core sees nothing of ours that it could reclaim.
 */
TEST_F_TIMEOUT(pressure, slow_store, SV_LONG_TIMEOUT)
{
	size_t pages = pages_of("MemAvailable", 80);
	struct sv_store store;
	char *map;
	int fd;

	sv_store_make(&store, SV_HOLE, 1024);
	fd = sv_try_create_with("block", store.options, pages, SV_NO_LIMIT);
	ASSERT_LE(0, fd);
	map = sv_map_rw(fd, pages);
	sv_fill_range(map, 0, pages, SV_RANDOM, 1);
	ASSERT_EQ(0, hog(pages_of("MemTotal", 100), fd, 1024));
	ASSERT_EQ(self->kills, sv_vmstat("oom_kill "));
	ASSERT_LE(1024, SV_STAT(fd, swapped));
	munmap(map, pages * SV_PAGE);
	close(fd);
	ASSERT_TRUE(sv_store_end(&store));
}

SV_TEST_MAIN
