// SPDX-License-Identifier: GPL-2.0
/*
 * Regions without a limit give way to others: one larger than the machine's
 * memory works, and one that is idle leaves to make room for anonymous memory.
 * Nobody is killed for memory as long as there is something to page out.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "swapvma_util.h"

FIXTURE(pressure)
{
	struct sv_baseline base;
	uint64_t kills;
};

FIXTURE_SETUP(pressure)
{
	sv_begin(&self->base);
	self->kills = sv_vmstat("oom_kill ");
}

FIXTURE_TEARDOWN_PARENT(pressure)
{
	EXPECT_TRUE(sv_end(&self->base));
}

/* Of all memory, and of what is to be had without paging anything out. */
static size_t pages_of(const char *name, unsigned int percent)
{
	return sv_meminfo_kb(name) / 4 * percent / 100;
}

TEST_F_TIMEOUT(pressure, larger_than_memory, SV_LONG_TIMEOUT)
{
	size_t pages = pages_of("MemTotal", 130);
	int fd = sv_create("ram", "", pages, SV_NO_LIMIT);
	char *map = sv_map_rw(fd, pages);
	struct swapvma_stats stats;

	sv_fill_range(map, 0, pages, SV_TEXT, 1);
	ASSERT_EQ(0, sv_check_range(map, 0, pages, SV_TEXT, 1));
	sv_stats(fd, &stats);
	ASSERT_LT(pages / 4, stats.swapouts);
	ASSERT_LT(pages / 4, stats.swapins);
	ASSERT_EQ(0, stats.limit_waits);
	ASSERT_EQ(self->kills, sv_vmstat("oom_kill "));
}

/*
 * Seven tenths of what there is, and then six. A reclaimer that did not wait for
 * as long as the swapper gets on had the child killed, as the core boosts
 * watermarks by more than a slow swapper frees in the shortest time.
 */
TEST_F_TIMEOUT(pressure, idle_region_makes_room, SV_LONG_TIMEOUT)
{
	size_t pages = pages_of("MemAvailable", 70), hog = pages_of("MemAvailable", 60), i;
	int fd = sv_create("ram", "", pages, SV_NO_LIMIT), status;
	char *map = sv_map_rw(fd, pages), *memory;
	pid_t child;

	sv_fill_range(map, 0, pages, SV_TEXT, 1);
	ASSERT_EQ(pages, SV_STAT(fd, resident));
	child = sv_fork();
	if (!child) {
		memory = mmap(NULL, hog * SV_PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (memory == MAP_FAILED)
			_exit(1);
		for (i = 0; i < hog; i++)
			memory[i * SV_PAGE] = 1;
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_EQ(0, status);
	ASSERT_EQ(self->kills, sv_vmstat("oom_kill "));
	ASSERT_LT(pages / 10, SV_STAT(fd, swapped));
	ASSERT_EQ(0, sv_check_range(map, 0, pages, SV_TEXT, 1));
}

SV_TEST_MAIN
