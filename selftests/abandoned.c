// SPDX-License-Identifier: GPL-2.0
/*
 * The end of rule R2: a driver does not answer within its deadline. The batch
 * is abandoned, its pages stay resident and dirty, waiters go on, the driver is
 * quarantined with one line in the log; nothing is freed under the driver, and
 * an answer that comes after all changes nothing.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "swapvma_util.h"

/* The first half of the region is paged out properly, the second is abandoned. */
#define HALF	SV_BATCH

struct progress {
	bool mapped, go, done;
	uint64_t abandoned;	/* the driver's count when munmap returned */
};

FIXTURE(abandoned)
{
	struct sv_baseline base;
	struct sv_pageout_thread pageout;
	struct progress *p;
	uint64_t discards;
	int fd, kmsg;
};

FIXTURE_VARIANT(abandoned)
{
	bool asleep;
};

/* swapout returned, the batch is never completed */
FIXTURE_VARIANT_ADD(abandoned, never)
{
	.asleep = false,
};

/* swapout itself does not return: the swapper thread is gone with it */
FIXTURE_VARIANT_ADD(abandoned, asleep)
{
	.asleep = true,
};

FIXTURE_SETUP(abandoned)
{
	char *map;

	sv_reload_test(sv_slow() > 1 ? "deadline_ms=1500" : "deadline_ms=1000");
	sv_begin(&self->base);
	self->p = sv_shared(sizeof(*self->p));
	self->kmsg = sv_kmsg_open();
	self->fd = sv_create("test", "", 2 * HALF, SV_NO_LIMIT);
	map = sv_map_rw(self->fd, 2 * HALF);
	sv_fill_range(map, 0, 2 * HALF, SV_TEXT, 1);
	ASSERT_EQ(HALF, sv_pageout(self->fd, 0, HALF));
	ASSERT_EQ(HALF, sv_get("stored"));
	sv_unmap(map, 2 * HALF);
	self->discards = sv_get("discards");
	if (variant->asleep)
		sv_set("block", 1);
	else
		sv_set_word("complete", "never");
}

FIXTURE_TEARDOWN_PARENT(abandoned)
{
	EXPECT_TRUE(sv_end_quarantined(&self->base));
	sv_reload_test("");
}

/* Hands the second half to the driver, which will not answer. */
#define START()									\
	do {									\
		sv_pageout_start(&self->pageout, self->fd, HALF, HALF);		\
		ASSERT_TRUE(sv_wait_for(sv_get("blocked") + sv_get("leaked") == 1)); \
	} while (0)

/* Quarantined, once, and nothing lost. */
#define ASSERT_ABANDONED()							\
	do {									\
		struct swapvma_stats stats;					\
										\
		ASSERT_TRUE(sv_wait_for(sv_quarantined("test") &&		\
					SV_STAT(self->fd, abandoned) &&		\
					!SV_STAT(self->fd, in_swapout)));	\
		ASSERT_GE(0, sv_pageout_join(&self->pageout));			\
		sv_stats(self->fd, &stats);					\
		ASSERT_EQ(1, stats.abandoned);					\
		ASSERT_EQ(0, stats.in_swapout);					\
		ASSERT_EQ(0, stats.writing);					\
		ASSERT_EQ(HALF, stats.resident);				\
		ASSERT_EQ(HALF, stats.swapped);					\
		ASSERT_EQ(1, sv_driver_count("test", "abandoned"));		\
		ASSERT_EQ(1, sv_kmsg_count(self->kmsg, "quarantine"));		\
		ASSERT_EQ(1, sv_get("blocked") + sv_get("leaked"));		\
	} while (0)

/*
 * The pages are used and changed, the driver then answers "stored" for what
 * they were: its slots are discarded, the pages keep their new content.
 */
static void late_answer(struct __test_metadata *_metadata, FIXTURE_DATA(abandoned) *self)
{
	char *map = sv_map_rw(self->fd, 2 * HALF);
	uint64_t swapouts = sv_get("swapouts");

	ASSERT_EQ(0, sv_check_range(map, 0, 2 * HALF, SV_TEXT, 1));
	sv_fill_range(map, HALF, HALF, SV_TEXT, 2);
	sv_reset_knobs();
	ASSERT_TRUE(sv_wait_for(sv_get("blocked") + sv_get("leaked") == 0));
	ASSERT_TRUE(sv_wait_for(sv_get("swapouts") == swapouts + HALF));
	ASSERT_TRUE(sv_wait_for(sv_get("discards") == self->discards + HALF));
	ASSERT_EQ(0, sv_check_range(map, 0, HALF, SV_TEXT, 1));
	ASSERT_EQ(0, sv_check_range(map, HALF, HALF, SV_TEXT, 2));

	/* No way back for this driver: it pages nothing out any more. */
	ASSERT_TRUE(sv_quarantined("test"));
	ASSERT_GE(0, sv_pageout(self->fd, HALF, HALF));
	ASSERT_EQ(swapouts + HALF, sv_get("swapouts"));
	ASSERT_LE(HALF, SV_STAT(self->fd, resident));
	ASSERT_EQ(0, sv_check_range(map, HALF, HALF, SV_TEXT, 2));
	ASSERT_EQ(1, sv_driver_count("test", "abandoned"));
}

/* Maps the region, touches the second half and waits for the test. */
static pid_t start_victim(FIXTURE_DATA(abandoned) *self, bool unmap)
{
	pid_t pid = sv_fork();
	char *map;
	int bad;

	if (pid)
		return pid;
	map = sv_map_rw(self->fd, 2 * HALF);
	bad = sv_check_range(map, HALF, HALF, SV_TEXT, 1);
	__atomic_store_n(&self->p->mapped, true, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&self->p->go, __ATOMIC_ACQUIRE))
		usleep(1000);
	if (unmap) {
		bad |= munmap(map, 2 * HALF * SV_PAGE);
		self->p->abandoned = sv_driver_count("test", "abandoned");
		__atomic_store_n(&self->p->done, true, __ATOMIC_RELEASE);
	}
	_exit(bad);
}

#define START_WITH_VICTIM(unmap)						\
	({									\
		pid_t __pid = start_victim(self, unmap);			\
										\
		ASSERT_TRUE(sv_wait_for(__atomic_load_n(&self->p->mapped,	\
							__ATOMIC_ACQUIRE)));	\
		START();							\
		__atomic_store_n(&self->p->go, true, __ATOMIC_RELEASE);		\
		__pid;								\
	})

TEST_F_TIMEOUT(abandoned, munmap_returns_at_the_deadline, 90)
{
	pid_t victim = START_WITH_VICTIM(true);

	ASSERT_EQ(0, sv_reap(victim));
	ASSERT_TRUE(self->p->done);
	ASSERT_EQ(1, self->p->abandoned);
	ASSERT_ABANDONED();
	ASSERT_EQ(1, SV_STAT(self->fd, munmap_waits));
	late_answer(_metadata, self);
}

TEST_F_TIMEOUT(abandoned, exit_returns_at_the_deadline, 90)
{
	pid_t victim = START_WITH_VICTIM(false);

	ASSERT_EQ(0, sv_reap(victim));
	ASSERT_ABANDONED();
	ASSERT_EQ(1, SV_STAT(self->fd, munmap_waits));
	late_answer(_metadata, self);
}

/* Killed while it sleeps in close: it dies at the deadline, not never. */
TEST_F_TIMEOUT(abandoned, kill_9_in_munmap, 90)
{
	pid_t victim = START_WITH_VICTIM(true);

	kill(victim, SIGKILL);
	ASSERT_EQ(SIGKILL, sv_reap(victim));
	ASSERT_ABANDONED();
	late_answer(_metadata, self);
}

/*
 * Descriptor and mappings go first. The batch still owns region and driver:
 * the driver cannot be unloaded before it gave the batch back.
 */
TEST_F_TIMEOUT(abandoned, closed_before_the_answer, 90)
{
	int ret;

	START();
	ASSERT_ABANDONED();
	close(self->fd);
	ret = sv_unload("swapvma_test");
	ASSERT_TRUE(ret == -EBUSY || ret == -EWOULDBLOCK);
	ASSERT_EQ(1, sv_get("blocked") + sv_get("leaked"));
	ASSERT_TRUE(sv_end_quarantined(&self->base));
	ASSERT_TRUE(sv_wait_for(!(ret = sv_unload("swapvma_test"))));
	ASSERT_EQ(0, sv_load("swapvma_test", ""));
	/* The next driver of that name starts clean. */
	ASSERT_FALSE(sv_quarantined("test"));
}

/* Faults over the limit wait for the swapper until the deadline, then go on. */
TEST_F_TIMEOUT(abandoned, limit_waits_end, 90)
{
	int fd = sv_create("test", "", 2 * HALF, HALF);
	char *map = sv_map_rw(fd, 2 * HALF);
	struct swapvma_stats stats;

	sv_fill_range(map, 0, 2 * HALF, SV_TEXT, 3);
	ASSERT_TRUE(sv_wait_for(sv_quarantined("test")));
	sv_stats(fd, &stats);
	ASSERT_EQ(2 * HALF, stats.resident);
	ASSERT_LE(1, stats.limit_waits);
	ASSERT_LE(1, stats.over_limit);
	ASSERT_EQ(0, sv_check_range(map, 0, 2 * HALF, SV_TEXT, 3));
	sv_reset_knobs();
	ASSERT_TRUE(sv_wait_for(sv_get("blocked") + sv_get("leaked") == 0));
	ASSERT_EQ(0, sv_check_range(map, 0, 2 * HALF, SV_TEXT, 3));
}

/* Each driver has its own swapper: one that sleeps holds no other up. */
TEST_F_TIMEOUT(abandoned, other_driver_goes_on, 90)
{
	int fd = sv_create("ram", "", HALF, SV_NO_LIMIT);
	char *map = sv_map_rw(fd, HALF);

	sv_fill_range(map, 0, HALF, SV_TEXT, 4);
	START();
	ASSERT_TRUE(sv_pageout_all(fd));
	ASSERT_EQ(0, sv_check_range(map, 0, HALF, SV_TEXT, 4));
	ASSERT_EQ(1, sv_get("blocked") + sv_get("leaked"));
	ASSERT_ABANDONED();
	ASSERT_FALSE(sv_quarantined("ram"));
	ASSERT_TRUE(sv_pageout_all(fd));
	ASSERT_EQ(0, sv_check_range(map, 0, HALF, SV_TEXT, 4));
}

SV_TEST_MAIN
