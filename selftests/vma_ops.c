// SPDX-License-Identifier: GPL-2.0
/*
 * What happens to mappings: fork, partial munmap, mprotect, mremap, merging,
 * madvise, mlock. Everything is paged out before, after and where possible in
 * between, and every page is looked at afterwards. In a private mapping the
 * first written half is anonymous memory and the second half is the region's.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "swapvma_util.h"

#define PAGES	SV_BATCH
#define HALF	(PAGES / 2)

FIXTURE(vma)
{
	struct sv_baseline base;
	char *space;	/* 4 * PAGES of address space, the mapping at its start */
	char *map;
	int fd;
};

FIXTURE_VARIANT(vma)
{
	int flags;
};

FIXTURE_VARIANT_ADD(vma, shared)
{
	.flags = MAP_SHARED,
};

FIXTURE_VARIANT_ADD(vma, private)
{
	.flags = MAP_PRIVATE,
};

/* The region is generation 1; the first half of the mapping is generation 2. */
FIXTURE_SETUP(vma)
{
	char *region;

	sv_begin(&self->base);
	self->fd = sv_create("test", "", 2 * PAGES, SV_NO_LIMIT);
	region = sv_map_rw(self->fd, 2 * PAGES);
	sv_fill_range(region, 0, 2 * PAGES, SV_TEXT, 1);
	sv_unmap(region, 2 * PAGES);
	ASSERT_TRUE(sv_pageout_all(self->fd));

	self->space = mmap(NULL, 4 * PAGES * SV_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);
	ASSERT_NE(MAP_FAILED, self->space);
	self->map = mmap(self->space, PAGES * SV_PAGE, PROT_READ | PROT_WRITE,
			 variant->flags | MAP_FIXED, self->fd, 0);
	ASSERT_EQ(self->space, self->map);
	sv_fill_range(self->map, 0, HALF, SV_TEXT, 2);
	ASSERT_TRUE(sv_pageout_all(self->fd));
}

FIXTURE_TEARDOWN_PARENT(vma)
{
	EXPECT_TRUE(sv_end(&self->base));
}

/* Bad pages of a range of a mapping at @map that still shows the region from 0. */
static size_t bad_pages(const char *map, size_t first, size_t nr)
{
	size_t i, bad = 0;

	for (i = first; i < first + nr; i++)
		bad += !sv_check(map + i * SV_PAGE, SV_TEXT, i, i < HALF ? 2 : 1);
	return bad;
}

/* What the region itself holds: private writes never reach it. */
static size_t bad_region(int fd, int flags)
{
	char *map = sv_map(fd, 2 * PAGES, PROT_READ, MAP_SHARED);
	size_t bad;

	if (flags == MAP_SHARED)
		bad = bad_pages(map, 0, 2 * PAGES);
	else
		bad = sv_check_range(map, 0, 2 * PAGES, SV_TEXT, 1);
	sv_unmap(map, 2 * PAGES);
	return bad;
}

#define ASSERT_INTACT(first, nr)						\
	do {									\
		ASSERT_EQ(0, bad_pages(self->map, first, nr));			\
		ASSERT_TRUE(sv_pageout_all(self->fd));				\
		ASSERT_EQ(0, bad_pages(self->map, first, nr));			\
		ASSERT_EQ(0, bad_region(self->fd, variant->flags));		\
	} while (0)

/* Lines of /proc/self/maps that overlap the test's address space and are ours. */
static int count_vmas(const char *space)
{
	unsigned long start, end, from = (unsigned long)space;
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512], prot[8];
	int count = 0;

	if (!maps)
		sv_die("/proc/self/maps");
	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx %7s", &start, &end, prot) == 3 && start >= from &&
		    end <= from + 4 * PAGES * SV_PAGE && strncmp(prot, "---", 3))
			count++;
	fclose(maps);
	return count;
}

TEST_F(vma, private_writes_stay_private)
{
	ASSERT_INTACT(0, PAGES);
}

/* The child writes; the parent sees that in a shared mapping only. */
TEST_F(vma, fork_child_writes)
{
	pid_t child = sv_fork();
	int expect = variant->flags == MAP_SHARED ? 3 : 1;

	if (!child) {
		bool bad = bad_pages(self->map, 0, PAGES) || !sv_pageout_all(self->fd);

		sv_fill_range(self->map, HALF, HALF, SV_TEXT, 3);
		bad |= !sv_pageout_all(self->fd);
		bad |= sv_check_range(self->map, HALF, HALF, SV_TEXT, 3) != 0;
		_exit(bad);
	}
	ASSERT_EQ(0, sv_reap(child));
	ASSERT_EQ(0, bad_pages(self->map, 0, HALF));
	ASSERT_EQ(0, sv_check_range(self->map, HALF, HALF, SV_TEXT, expect));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, sv_check_range(self->map, HALF, HALF, SV_TEXT, expect));
}

/* Bug class C14: the mapping outlives the process that made it, in both orders. */
TEST_F(vma, fork_parent_unmaps_first)
{
	int pipes[2];
	pid_t child;
	char byte;

	ASSERT_EQ(0, pipe(pipes));
	child = sv_fork();
	if (!child) {
		close(pipes[1]);
		if (read(pipes[0], &byte, 1))
			_exit(99);
		_exit(!sv_pageout_all(self->fd) || bad_pages(self->map, 0, PAGES));
	}
	sv_unmap(self->map, PAGES);
	ASSERT_TRUE(sv_pageout_all(self->fd));
	close(pipes[1]);
	ASSERT_EQ(0, sv_reap(child));
	ASSERT_EQ(0, bad_region(self->fd, variant->flags));
}

/* One open and one close for each copy that fork makes. */
TEST_F(vma, fork_opens_and_closes)
{
	uint64_t opens = sv_get("vma_opens"), closes = sv_get("vma_closes");
	int i, children = 8;

	for (i = 0; i < children; i++) {
		pid_t child = sv_fork();

		if (!child)
			_exit(bad_pages(self->map, 0, PAGES) != 0);
		ASSERT_EQ(0, sv_reap(child));
	}
	ASSERT_EQ(opens + children, sv_get("vma_opens"));
	ASSERT_TRUE(sv_wait_for(sv_get("vma_closes") == closes + children));
	ASSERT_INTACT(0, PAGES);
}

/* Bug class C15: a hole in the middle makes two mappings of one. */
TEST_F(vma, munmap_middle)
{
	uint64_t closes = sv_get("vma_closes");

	sv_unmap(self->map + 8 * SV_PAGE, HALF);
	ASSERT_EQ(2, count_vmas(self->space));
	ASSERT_EQ(closes + 1, sv_get("vma_closes"));
	ASSERT_EQ(0, bad_pages(self->map, 0, 8));
	ASSERT_INTACT(8 + HALF, PAGES - 8 - HALF);
	ASSERT_EQ(0, bad_pages(self->map, 0, 8));
	ASSERT_EQ(SIGSEGV, sv_touch_read(self->map + 8 * SV_PAGE));
	closes = sv_get("vma_closes");
	sv_unmap(self->map, PAGES);
	ASSERT_EQ(closes + 2, sv_get("vma_closes"));
	ASSERT_EQ(0, bad_region(self->fd, variant->flags));
}

TEST_F(vma, mprotect_split)
{
	ASSERT_EQ(0, mprotect(self->map + 16 * SV_PAGE, HALF * SV_PAGE, PROT_READ));
	ASSERT_EQ(3, count_vmas(self->space));
	ASSERT_INTACT(0, PAGES);
	ASSERT_EQ(SIGSEGV, sv_touch_write(self->map + 16 * SV_PAGE, 0));
	ASSERT_EQ(SIGSEGV, sv_touch_write(self->map + 40 * SV_PAGE, 0));
	ASSERT_EQ(0, sv_touch_write(self->map + 15 * SV_PAGE, self->map[15 * SV_PAGE]));
	ASSERT_EQ(0, mprotect(self->map, PAGES * SV_PAGE, PROT_NONE));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(SIGSEGV, sv_touch_read(self->map));
	ASSERT_EQ(0, mprotect(self->map, PAGES * SV_PAGE, PROT_READ | PROT_WRITE));
	ASSERT_INTACT(0, PAGES);
}

/* Bug class C13: addresses change, page offsets do not. */
TEST_F(vma, mremap_move)
{
	char *to = self->space + 2 * PAGES * SV_PAGE, *map;

	ASSERT_EQ(0, bad_pages(self->map, 0, PAGES));	/* with page tables to move */
	map = mremap(self->map, PAGES * SV_PAGE, PAGES * SV_PAGE,
		     MREMAP_MAYMOVE | MREMAP_FIXED, to);
	ASSERT_EQ(to, map);
	ASSERT_EQ(SIGSEGV, sv_touch_read(self->map));
	self->map = map;
	ASSERT_INTACT(0, PAGES);
}

/* The tail moves away from its head, which keeps its own pages. */
TEST_F(vma, mremap_move_half)
{
	char *to = self->space + 2 * PAGES * SV_PAGE, *tail;

	tail = mremap(self->map + HALF * SV_PAGE, HALF * SV_PAGE, HALF * SV_PAGE,
		      MREMAP_MAYMOVE | MREMAP_FIXED, to);
	ASSERT_EQ(to, tail);
	ASSERT_INTACT(0, HALF);
	/* So that page i of the region is at tail - HALF pages + i. */
	ASSERT_EQ(0, bad_pages(tail - HALF * SV_PAGE, HALF, HALF));
	ASSERT_EQ(SIGSEGV, sv_touch_read(self->map + HALF * SV_PAGE));
}

/* Grows without a callback: the new part shows the region, and is paged too. */
TEST_F(vma, mremap_expand_in_place)
{
	uint64_t opens = sv_get("vma_opens"), closes = sv_get("vma_closes");
	char *map;

	ASSERT_EQ(0, munmap(self->map + PAGES * SV_PAGE, PAGES * SV_PAGE));
	map = mremap(self->map, PAGES * SV_PAGE, 2 * PAGES * SV_PAGE, 0);
	ASSERT_EQ(self->map, map);
	ASSERT_EQ(1, count_vmas(self->space));
	ASSERT_INTACT(0, 2 * PAGES);
	sv_unmap(self->map, 2 * PAGES);
	ASSERT_EQ(closes - opens + 1, sv_get("vma_closes") - sv_get("vma_opens"));
}

/* Both ranges stay mapped; the anonymous pages of a private mapping move. */
TEST_F(vma, mremap_dontunmap)
{
	char *map;

	ASSERT_EQ(0, bad_pages(self->map, 0, PAGES));
	map = mremap(self->map, PAGES * SV_PAGE, PAGES * SV_PAGE,
		     MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, variant->flags == MAP_SHARED ? bad_pages(self->map, 0, PAGES) :
		  sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
	self->map = map;
	ASSERT_INTACT(0, PAGES);
}

TEST_F(vma, mremap_shrink)
{
	ASSERT_EQ(self->map, mremap(self->map, PAGES * SV_PAGE, 8 * SV_PAGE, 0));
	ASSERT_INTACT(0, 8);
	ASSERT_EQ(SIGSEGV, sv_touch_read(self->map + 8 * SV_PAGE));
}

/* Two mmaps that the kernel makes one mapping of: one close, and no page lost. */
TEST_F(vma, adjacent_mappings_merge)
{
	uint64_t open = sv_get("vma_opens") - sv_get("vma_closes");
	char *map;

	map = mmap(self->map + PAGES * SV_PAGE, PAGES * SV_PAGE, PROT_READ | PROT_WRITE,
		   variant->flags | MAP_FIXED, self->fd, PAGES * SV_PAGE);
	ASSERT_EQ(self->map + PAGES * SV_PAGE, map);
	/* A private mapping that has anonymous pages may be kept apart. */
	ASSERT_TRUE(variant->flags == MAP_PRIVATE || count_vmas(self->space) == 1);
	ASSERT_INTACT(0, 2 * PAGES);
	sv_unmap(self->map, 2 * PAGES);
	ASSERT_EQ(open - 1, sv_get("vma_opens") - sv_get("vma_closes"));
	ASSERT_EQ(0, bad_region(self->fd, variant->flags));
}

/* Bug class C1: what is mapped at the old address next belongs to others. */
TEST_F(vma, impostor_at_the_old_address)
{
	size_t size = PAGES * SV_PAGE;
	char *over;
	int fd;

	ASSERT_EQ(0, bad_pages(self->map, 0, PAGES));
	over = mmap(self->map, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	ASSERT_EQ(self->map, over);
	sv_fill_range(over, 0, PAGES, SV_RANDOM, 9);
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, sv_check_range(over, 0, PAGES, SV_RANDOM, 9));

	fd = sv_create("test", "", PAGES, SV_NO_LIMIT);
	over = mmap(self->map, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	ASSERT_EQ(self->map, over);
	sv_fill_range(over, 0, PAGES, SV_RANDOM, 8);
	sv_prefetch(self->fd, 0, 2 * PAGES);
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(PAGES, SV_STAT(fd, resident));
	ASSERT_EQ(0, sv_check_range(over, 0, PAGES, SV_RANDOM, 8));
	ASSERT_EQ(0, bad_region(self->fd, variant->flags));
}

/* Zaps; a shared mapping shows the same pages again, a private one the region's. */
TEST_F(vma, madvise_dontneed)
{
	ASSERT_EQ(0, bad_pages(self->map, 0, PAGES));
	ASSERT_EQ(0, madvise(self->map, PAGES * SV_PAGE, MADV_DONTNEED));
	ASSERT_EQ(0, variant->flags == MAP_SHARED ? bad_pages(self->map, 0, PAGES) :
		  sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
	ASSERT_EQ(0, bad_region(self->fd, variant->flags));
}

/* Written, zapped before anything saw the dirty bit of the page table, paged out. */
TEST_F(vma, dirty_bit_survives_the_zap)
{
	int gen = variant->flags == MAP_SHARED ? 3 : 1;

	ASSERT_EQ(0, bad_pages(self->map, 0, PAGES));
	sv_fill_range(self->map, 0, PAGES, SV_TEXT, 3);
	ASSERT_EQ(0, madvise(self->map, PAGES * SV_PAGE, MADV_DONTNEED));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, gen));
}

TEST_F(vma, madvise_refused)
{
	static const struct {
		int advice, error;
	} rows[] = {
		{ MADV_FREE, EINVAL },
		{ MADV_WIPEONFORK, EINVAL },
		{ MADV_COLLAPSE, EINVAL },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		errno = 0;
		EXPECT_EQ(-1, madvise(self->map, PAGES * SV_PAGE, rows[i].advice));
		EXPECT_EQ(rows[i].error, errno)
			TH_LOG("advice %d", rows[i].advice);
	}
	ASSERT_INTACT(0, PAGES);
}

/* Advice that is only a hint changes nothing that can be seen. */
TEST_F(vma, madvise_hints)
{
	static const int hints[] = {
		MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_COLD,
		MADV_PAGEOUT, MADV_DONTDUMP, MADV_DODUMP, MADV_POPULATE_READ,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(hints); i++) {
		EXPECT_EQ(0, madvise(self->map, PAGES * SV_PAGE, hints[i]))
			TH_LOG("advice %d: %s", hints[i], strerror(errno));
		EXPECT_EQ(0, bad_pages(self->map, 0, PAGES));
	}
	ASSERT_INTACT(0, PAGES);
}

TEST_F(vma, dontfork)
{
	pid_t child;

	ASSERT_EQ(0, madvise(self->map, PAGES * SV_PAGE, MADV_DONTFORK));
	child = sv_fork();
	if (!child)
		_exit(sv_touch_read(self->map) != SIGSEGV);
	ASSERT_EQ(0, sv_reap(child));
	ASSERT_INTACT(0, PAGES);
}

/*
 * Locked pages do not leave memory; unlocked ones do again. In a writable
 * private mapping mlock makes anonymous copies, so there are no locked pages of
 * the region then.
 */
TEST_F(vma, mlock)
{
	ASSERT_EQ(0, mlock(self->map, PAGES * SV_PAGE));
	if (variant->flags == MAP_SHARED) {
		ASSERT_EQ(PAGES, SV_STAT(self->fd, resident));
		ASSERT_EQ(0, sv_pageout(self->fd, 0, PAGES));
		ASSERT_EQ(PAGES, SV_STAT(self->fd, resident));
	}
	ASSERT_EQ(0, bad_pages(self->map, 0, PAGES));
	ASSERT_EQ(0, sv_munlock(self->map, PAGES * SV_PAGE));
	ASSERT_INTACT(0, PAGES);
}

/* What two have locked stays until both let go: two processes, two mappings. */
TEST_F(vma, mlocked_twice)
{
	char *other;
	pid_t child;

	if (variant->flags != MAP_SHARED)
		SKIP(return, "private copies are not the region's");
	ASSERT_EQ(0, mlock(self->map, PAGES * SV_PAGE));
	child = sv_fork();
	if (!child)
		_exit(mlock(self->map, PAGES * SV_PAGE) || munlock(self->map, PAGES * SV_PAGE));
	ASSERT_EQ(0, sv_reap(child));
	ASSERT_EQ(0, sv_pageout(self->fd, 0, PAGES));
	other = sv_map_rw(self->fd, HALF);
	ASSERT_EQ(0, mlock(other, HALF * SV_PAGE));
	sv_unmap(other, HALF);
	ASSERT_EQ(0, sv_pageout(self->fd, 0, PAGES));
	ASSERT_EQ(PAGES, SV_STAT(self->fd, resident));
	ASSERT_EQ(PAGES, SV_STAT(self->fd, unevictable));
	ASSERT_EQ(0, sv_munlock(self->map + HALF * SV_PAGE, HALF * SV_PAGE));
	ASSERT_TRUE(sv_wait_for(sv_pageout(self->fd, 0, PAGES) >= 0 &&
				SV_STAT(self->fd, resident) == HALF));
	ASSERT_EQ(0, sv_munlock(self->map, PAGES * SV_PAGE));
	ASSERT_INTACT(0, PAGES);
}

/* Locked pages do not count towards the limit, and faults go on beside them. */
TEST_F(vma, mlock_more_than_the_limit)
{
	ASSERT_EQ(0, sv_set_limit(self->fd, PAGES));
	ASSERT_EQ(0, mlock(self->map, PAGES * SV_PAGE));
	ASSERT_EQ(0, bad_pages(self->map, 0, PAGES));
	ASSERT_EQ(0, bad_region(self->fd, variant->flags));
	ASSERT_EQ(0, sv_munlock(self->map, PAGES * SV_PAGE));
	ASSERT_INTACT(0, PAGES);
}

/* A region is not made of huge pages, however well it is aligned. */
TEST_F_TIMEOUT(vma, madvise_collapse_of_a_huge_page, 120)
{
	const size_t huge = 512, size = huge * SV_PAGE;
	int fd = sv_create("test", "", huge, SV_NO_LIMIT);
	char *space, *map;

	space = mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, space);
	space = (char *)(((uintptr_t)space + size - 1) & ~(size - 1));
	map = mmap(space, size, PROT_READ | PROT_WRITE, variant->flags | MAP_FIXED, fd, 0);
	ASSERT_EQ(space, map);
	sv_fill_range(map, 0, huge, SV_TEXT, 5);
	ASSERT_EQ(-1, madvise(map, size, MADV_COLLAPSE));
	ASSERT_EQ(EINVAL, errno);
	ASSERT_EQ(0, sv_check_range(map, 0, huge, SV_TEXT, 5));
	ASSERT_TRUE(sv_pageout_all(fd));
	ASSERT_EQ(0, sv_check_range(map, 0, huge, SV_TEXT, 5));
}

TEST_F(vma, seals_are_refused)
{
	ASSERT_EQ(-1, fcntl(self->fd, F_ADD_SEALS, F_SEAL_WRITE));
	ASSERT_EQ(EINVAL, errno);
	ASSERT_EQ(-1, fcntl(self->fd, F_GET_SEALS));
	ASSERT_EQ(EINVAL, errno);
}

SV_TEST_MAIN
