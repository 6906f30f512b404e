// SPDX-License-Identifier: GPL-2.0
/*
 * A core dump has the content of a region, most of which is not in memory when
 * the process dies, and dumping it respects the region's limit.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "swapvma_util.h"

#define LIMIT		SV_BATCH
#define STEP		7	/* pages between those that are compared */
#define CORE_PATTERN	"/proc/sys/kernel/core_pattern"
#define CORE		"/tmp/swapvma-core"

FIXTURE(core)
{
	struct sv_baseline base;
	char pattern[512];
	size_t pages;
	char *map;
	int fd;
};

FIXTURE_SETUP(core)
{
	sv_begin(&self->base);
	if (!sv_read_file(CORE_PATTERN, self->pattern, sizeof(self->pattern)))
		SKIP(return, "no core dumps in this kernel");
	ASSERT_TRUE(sv_write_file(CORE_PATTERN, CORE));
	unlink(CORE);
}

FIXTURE_TEARDOWN_PARENT(core)
{
	if (self->pattern[0])
		EXPECT_TRUE(sv_write_file(CORE_PATTERN, self->pattern));
	unlink(CORE);
	EXPECT_TRUE(sv_end(&self->base));
}

/* Where in the core file the memory at @addr is; 0 if it is not there. */
static off_t find_in_core(int core, uintptr_t addr)
{
	Elf64_Ehdr header;
	Elf64_Phdr segment;
	int i;

	if (pread(core, &header, sizeof(header), 0) != sizeof(header) ||
	    memcmp(header.e_ident, ELFMAG, SELFMAG) || header.e_type != ET_CORE)
		return 0;
	for (i = 0; i < header.e_phnum; i++) {
		if (pread(core, &segment, sizeof(segment),
			  header.e_phoff + i * sizeof(segment)) != sizeof(segment))
			return 0;
		if (segment.p_type == PT_LOAD && addr >= segment.p_vaddr &&
		    addr + SV_PAGE <= segment.p_vaddr + segment.p_filesz)
			return segment.p_offset + (addr - segment.p_vaddr);
	}
	return 0;
}

/* The hole in the middle of the region, never touched, is dumped as zeroes. */
static bool untouched(FIXTURE_DATA(core) *self, size_t i)
{
	return i >= self->pages / 2 && i < self->pages / 2 + LIMIT;
}

/* Fills all but the hole and dies with a core dump. */
static void dump(FIXTURE_DATA(core) *self)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	size_t i;

	setrlimit(RLIMIT_CORE, &unlimited);
	for (i = 0; i < self->pages; i++)
		if (!untouched(self, i))
			sv_fill(self->map + i * SV_PAGE, SV_TEXT, i, 1);
	raise(SIGABRT);
	_exit(0);
}

/* The core file of a process that had a region of @pages with @driver mapped. */
static int make_core(struct __test_metadata *_metadata, FIXTURE_DATA(core) *self,
		     const char *driver, size_t pages)
{
	struct swapvma_stats stats;
	int core, status;
	pid_t child;

	self->pages = pages;
	self->fd = sv_create(driver, "", pages, LIMIT);
	self->map = sv_map_rw(self->fd, pages);
	child = sv_fork();
	if (!child)
		dump(self);
	status = sv_reap(child);
	ASSERT_EQ(SIGABRT, WTERMSIG(status));
	ASSERT_TRUE(WCOREDUMP(status));
	sv_stats(self->fd, &stats);
	ASSERT_LT(LIMIT, stats.swapouts);
	ASSERT_LT(LIMIT, stats.swapins);
	/* Faults of a dump may not retry and do go over, once for each page at most. */
	ASSERT_GE(pages, stats.over_limit);
	ASSERT_GE(LIMIT + stats.over_limit, stats.resident_peak);
	core = open(CORE, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, core);
	return core;
}

/* Page @i in the core file is what the process had, or zero. */
static bool page_in_core(FIXTURE_DATA(core) *self, int core, size_t i, bool zero)
{
	off_t at = find_in_core(core, (uintptr_t)(self->map + i * SV_PAGE));
	char page[SV_PAGE];

	if (!at || pread(core, page, SV_PAGE, at) != SV_PAGE) {
		fprintf(stderr, "# page %zu is not in the core file\n", i);
		return false;
	}
	return sv_check(page, zero ? SV_ZERO : SV_TEXT, i, 1);
}

static void check_core(struct __test_metadata *_metadata, FIXTURE_DATA(core) *self,
		       const char *driver, size_t pages)
{
	int core = make_core(_metadata, self, driver, pages);
	size_t i;

	for (i = 0; i < pages; i += STEP)
		ASSERT_TRUE(page_in_core(self, core, i, untouched(self, i)));
	close(core);
}

TEST_F_TIMEOUT(core, ram, SV_LONG_TIMEOUT)
{
	check_core(_metadata, self, "ram", sv_scale(16 * LIMIT));
}

TEST_F_TIMEOUT(core, test, 60)
{
	check_core(_metadata, self, "test", 16 * LIMIT);
}

/* A page that cannot be read back is a hole in the dump, not the end of it. */
TEST_F_TIMEOUT(core, read_failure, 60)
{
	const size_t bad = 3, pages = 8 * LIMIT;
	int core;

	sv_set("bad_read", bad);
	core = make_core(_metadata, self, "test", pages);
	sv_set("bad_read", UINT64_MAX);
	ASSERT_TRUE(page_in_core(self, core, bad - 1, false));
	ASSERT_TRUE(page_in_core(self, core, bad, true));
	ASSERT_TRUE(page_in_core(self, core, bad + 1, false));
	ASSERT_TRUE(page_in_core(self, core, pages - 1, false));
	ASSERT_TRUE(sv_check(self->map + bad * SV_PAGE, SV_TEXT, bad, 1));
	close(core);
}

SV_TEST_MAIN
