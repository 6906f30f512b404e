// SPDX-License-Identifier: GPL-2.0
/*
 * Rule R2: a mapping is taken down while a swapout of that very mapping sleeps
 * in the driver. munmap, exit, exec, kill -9, mremap and MAP_FIXED return only
 * after the batch was answered; a range that the batch does not overlap returns
 * at once. Order is shown by counters of the driver, not by time.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "swapvma_util.h"

#define PAGES	SV_BATCH

enum how { MUNMAP, MUNMAP_HALF, MREMAP, MAP_OVER, EXIT, EXEC, KILLED };

/* What the victim process tells the test; outside of the region. */
struct progress {
	int stage;		/* 1 mapped, 2 told to go, 3 done */
	uint64_t swapouts;	/* counter of the driver when it was done */
	uint64_t closes;
};

FIXTURE(teardown)
{
	struct sv_baseline base;
	struct progress *p;
	struct sv_pageout_thread pageout;
	uint64_t swapouts, closes;
	pid_t victim;
	int fd;
};

FIXTURE_VARIANT(teardown)
{
	int flags;
};

FIXTURE_VARIANT_ADD(teardown, shared)
{
	.flags = MAP_SHARED,
};

FIXTURE_VARIANT_ADD(teardown, private)
{
	.flags = MAP_PRIVATE,
};

FIXTURE_SETUP(teardown)
{
	char *map;

	sv_begin(&self->base);
	self->p = sv_shared(sizeof(*self->p));
	self->fd = sv_create("test", "", 2 * PAGES, SV_NO_LIMIT);
	map = sv_map_rw(self->fd, 2 * PAGES);
	sv_fill_range(map, 0, 2 * PAGES, SV_TEXT, 1);
	sv_unmap(map, 2 * PAGES);
	self->swapouts = sv_get("swapouts");
}

FIXTURE_TEARDOWN_PARENT(teardown)
{
	EXPECT_TRUE(sv_end(&self->base));
}

static int stage(struct progress *p)
{
	return __atomic_load_n(&p->stage, __ATOMIC_ACQUIRE);
}

static void set_stage(struct progress *p, int value)
{
	__atomic_store_n(&p->stage, value, __ATOMIC_RELEASE);
}

static void done(struct progress *p)
{
	p->swapouts = sv_get("swapouts");
	p->closes = sv_get("vma_closes");
	set_stage(p, 3);
}

static void victim(FIXTURE_DATA(teardown) *self, int flags, enum how how)
{
	char *map = sv_map(self->fd, PAGES, PROT_READ | PROT_WRITE, flags);
	char *other = mmap(NULL, PAGES * SV_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int bad = sv_check_range(map, 0, PAGES, SV_TEXT, 1) || other == MAP_FAILED;

	close(self->fd);
	set_stage(self->p, 1);
	while (stage(self->p) != 2)
		usleep(1000);
	switch (how) {
	case MUNMAP:
		bad |= munmap(map, PAGES * SV_PAGE);
		break;
	case MUNMAP_HALF:
		bad |= munmap(map + PAGES / 2 * SV_PAGE, PAGES / 2 * SV_PAGE);
		break;
	case MREMAP:
		bad |= mremap(map, PAGES * SV_PAGE, PAGES * SV_PAGE,
			      MREMAP_MAYMOVE | MREMAP_FIXED, other) != other;
		done(self->p);
		bad |= sv_check_range(other, 0, PAGES, SV_TEXT, 1) != 0;
		_exit(bad);
	case MAP_OVER:
		bad |= mmap(map, PAGES * SV_PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != map;
		sv_fill_range(map, 0, PAGES, SV_RANDOM, 2);
		done(self->p);
		usleep(20000);
		bad |= sv_check_range(map, 0, PAGES, SV_RANDOM, 2) != 0;
		_exit(bad);
	case EXIT:
		_exit(bad);
	case EXEC:
		execl("/bin/true", "true", NULL);
		_exit(127);
	case KILLED:
		for (;;)
			pause();
	}
	done(self->p);
	_exit(bad);
}

/* A victim with pages 0 to 63 mapped, and pages @first.. @nr asleep in swapout. */
#define START(how, first, nr)							\
	do {									\
		pid_t pid = sv_fork();						\
										\
		if (!pid)							\
			victim(self, variant->flags, how);			\
		self->victim = pid;						\
		ASSERT_TRUE(sv_wait_for(stage(self->p) == 1));			\
		self->closes = sv_get("vma_closes");				\
		sv_set("block", 1);						\
		sv_pageout_start(&self->pageout, self->fd, first, nr);		\
		ASSERT_TRUE(sv_wait_for(sv_get("blocked") == 1));		\
		ASSERT_LT(0, SV_STAT(self->fd, in_swapout));			\
		set_stage(self->p, 2);						\
	} while (0)

/* While the batch is in the driver the victim neither returns nor ends. */
#define ASSERT_HELD()								\
	do {									\
		ASSERT_TRUE(sv_wait_asleep(self->victim));			\
		ASSERT_EQ(2, stage(self->p));					\
		ASSERT_EQ(0, waitpid(self->victim, NULL, WNOHANG));		\
		ASSERT_EQ(self->closes, sv_get("vma_closes"));			\
		ASSERT_EQ(self->swapouts, sv_get("swapouts"));			\
		ASSERT_EQ(1, sv_get("blocked"));				\
		ASSERT_TRUE(sv_shown_in_swapout());				\
	} while (0)

/* The batch is answered; its pages and the others are what they were. */
#define FINISH(nr)								\
	do {									\
		char *map;							\
										\
		sv_set("block", 0);						\
		ASSERT_EQ(nr, sv_pageout_join(&self->pageout));			\
		ASSERT_EQ(self->swapouts + (nr), sv_get("swapouts"));		\
		ASSERT_EQ(0, SV_STAT(self->fd, in_swapout));			\
		ASSERT_EQ(0, SV_STAT(self->fd, abandoned));			\
		map = sv_map_rw(self->fd, 2 * PAGES);				\
		ASSERT_EQ(0, sv_check_range(map, 0, 2 * PAGES, SV_TEXT, 1));	\
	} while (0)

static void check_waited(struct __test_metadata *_metadata, FIXTURE_DATA(teardown) *self,
			 enum how how)
{
	struct swapvma_stats stats;
	int status = sv_reap(self->victim);

	ASSERT_EQ(how == KILLED ? SIGKILL : 0, status);
	sv_stats(self->fd, &stats);
	ASSERT_EQ(1, stats.munmap_waits);
	ASSERT_LT(0, stats.munmap_wait_ns);
}

static void held_until_answered(struct __test_metadata *_metadata,
				FIXTURE_DATA(teardown) *self,
				const FIXTURE_VARIANT(teardown) *variant, enum how how)
{
	START(how, 0, PAGES);
	if (how == KILLED)
		ASSERT_EQ(0, kill(self->victim, SIGKILL));
	ASSERT_HELD();
	sv_set("block", 0);
	check_waited(_metadata, self, how);
	FINISH(PAGES);
	/* When the call returned the answer was there and the close delivered. */
	if (stage(self->p) == 3) {
		ASSERT_EQ(self->swapouts + PAGES, self->p->swapouts);
		ASSERT_LE(self->closes + 1, self->p->closes);
	}
}

TEST_F(teardown, munmap)
{
	held_until_answered(_metadata, self, variant, MUNMAP);
	ASSERT_EQ(3, stage(self->p));
	ASSERT_EQ(self->closes + 1, self->p->closes);
}

TEST_F(teardown, mremap_away)
{
	held_until_answered(_metadata, self, variant, MREMAP);
	ASSERT_EQ(3, stage(self->p));
	ASSERT_EQ(self->closes + 1, self->p->closes);
}

/* Also bug class C1: what is mapped there next is not touched by the swapper. */
TEST_F(teardown, map_fixed_over)
{
	held_until_answered(_metadata, self, variant, MAP_OVER);
	ASSERT_EQ(3, stage(self->p));
	ASSERT_EQ(self->closes + 1, self->p->closes);
}

TEST_F(teardown, exit)
{
	held_until_answered(_metadata, self, variant, EXIT);
}

TEST_F(teardown, exec)
{
	held_until_answered(_metadata, self, variant, EXEC);
}

TEST_F(teardown, kill_9)
{
	held_until_answered(_metadata, self, variant, KILLED);
}

/* The batch is pages 0 to 31; pages 32 to 63 go without waiting for it. */
TEST_F(teardown, other_range_does_not_wait)
{
	START(MUNMAP_HALF, 0, PAGES / 2);
	ASSERT_TRUE(sv_wait_for(stage(self->p) == 3));
	ASSERT_EQ(1, sv_get("blocked"));
	ASSERT_EQ(self->closes + 1, self->p->closes);
	ASSERT_EQ(self->swapouts, self->p->swapouts);
	/* The exit takes the first half down, and that has to wait. */
	ASSERT_TRUE(sv_wait_asleep(self->victim));
	ASSERT_EQ(0, waitpid(self->victim, NULL, WNOHANG));
	ASSERT_EQ(self->closes + 1, sv_get("vma_closes"));
	sv_set("block", 0);
	check_waited(_metadata, self, EXIT);
	FINISH(PAGES / 2);
}

SV_TEST_MAIN
