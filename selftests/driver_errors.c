// SPDX-License-Identifier: GPL-2.0
/*
 * Rule R10: what a driver answers, and from where. A write that failed or was
 * not taken leaves the page resident and dirty, and it goes out later; a read
 * that failed is SIGBUS on that page only, until the driver reads again.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "swapvma_util.h"

#define PAGES	SV_BATCH
#define FOREVER	1000000000

FIXTURE(answers)
{
	struct sv_baseline base;
	uint64_t swapouts;
	char *map;
	int fd;
};

FIXTURE_VARIANT(answers)
{
	const char *answer;
};

FIXTURE_VARIANT_ADD(answers, kept)
{
	.answer = "kept",
};

FIXTURE_VARIANT_ADD(answers, retry)
{
	.answer = "retry",
};

FIXTURE_VARIANT_ADD(answers, no_space)
{
	.answer = "no_space",
};

FIXTURE_VARIANT_ADD(answers, failed)
{
	.answer = NULL,
};

FIXTURE_SETUP(answers)
{
	sv_begin(&self->base);
	self->fd = sv_create("test", "", 2 * PAGES, SV_NO_LIMIT);
	self->map = sv_map_rw(self->fd, 2 * PAGES);
	sv_fill_range(self->map, 0, PAGES, SV_TEXT, 1);
	self->swapouts = sv_get("swapouts");
	if (variant->answer)
		sv_set_word("answer", variant->answer);
	else
		sv_set("fail_write", FOREVER);
}

FIXTURE_TEARDOWN_PARENT(answers)
{
	EXPECT_TRUE(sv_end(&self->base));
}

static uint64_t refused(int fd, const char *answer)
{
	if (!answer)
		return SV_STAT(fd, write_failures);
	if (!strcmp(answer, "retry"))
		return SV_STAT(fd, retried);
	if (!strcmp(answer, "no_space"))
		return SV_STAT(fd, no_space);
	return SV_STAT(fd, kept);
}

TEST_F(answers, page_stays_resident_and_dirty)
{
	/* Not one page is gone, and each was offered at least once. */
	ASSERT_GE(0, sv_pageout(self->fd, 0, PAGES));
	ASSERT_EQ(PAGES, SV_STAT(self->fd, resident));
	ASSERT_EQ(0, SV_STAT(self->fd, swapped));
	ASSERT_EQ(0, SV_STAT(self->fd, writing));
	ASSERT_LE(PAGES, refused(self->fd, variant->answer));
	ASSERT_EQ(self->swapouts, sv_get("swapouts"));
	ASSERT_EQ(self->base.value[5], sv_get("stored"));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
	ASSERT_EQ(0, SV_STAT(self->fd, swapins));

	/* Dirty still: the page is written, not dropped, once the driver takes it. */
	sv_reset_knobs();
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(PAGES, SV_STAT(self->fd, swapouts));
	ASSERT_EQ(0, SV_STAT(self->fd, clean_drops));
	ASSERT_EQ(self->swapouts + PAGES, sv_get("swapouts"));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
	ASSERT_EQ(PAGES, SV_STAT(self->fd, swapins));
	ASSERT_EQ(0, SV_STAT(self->fd, read_failures));
}

/* A fault over the limit goes over, and is counted, when nothing can be freed. */
TEST_F(answers, limit_is_exceeded_and_counted)
{
	const size_t pages = PAGES + 16;

	ASSERT_EQ(0, sv_set_limit(self->fd, PAGES));
	sv_fill_range(self->map, PAGES, pages - PAGES, SV_TEXT, 1);
	ASSERT_EQ(pages, SV_STAT(self->fd, resident));
	ASSERT_LE(1, SV_STAT(self->fd, over_limit));
	ASSERT_EQ(0, sv_check_range(self->map, 0, pages, SV_TEXT, 1));

	/* Back under it as soon as the driver takes pages again. */
	sv_reset_knobs();
	ASSERT_TRUE(sv_wait_for(!sv_set_limit(self->fd, PAGES) &&
				SV_STAT(self->fd, resident) <= PAGES));
	ASSERT_EQ(0, sv_check_range(self->map, 0, pages, SV_TEXT, 1));
	ASSERT_GE(PAGES, SV_STAT(self->fd, resident));
	ASSERT_FALSE(sv_quarantined("test"));
}

FIXTURE(errors)
{
	struct sv_baseline base;
	char *map;
	int fd;
};

FIXTURE_SETUP(errors)
{
	sv_begin(&self->base);
	self->fd = sv_create("test", "", PAGES, SV_NO_LIMIT);
	self->map = sv_map_rw(self->fd, PAGES);
	sv_fill_range(self->map, 0, PAGES, SV_TEXT, 1);
}

FIXTURE_TEARDOWN_PARENT(errors)
{
	EXPECT_TRUE(sv_end(&self->base));
}

/* One page of a batch fails: the others of that batch are stored. */
TEST_F(errors, write_failure_of_one_page)
{
	long out;

	sv_set("fail_write", 1);
	out = sv_pageout(self->fd, 0, PAGES);
	ASSERT_EQ(1, SV_STAT(self->fd, write_failures));
	/* It may have been offered again, successfully, within the call. */
	ASSERT_TRUE(out == PAGES - 1 || out == PAGES);
	ASSERT_EQ(PAGES - out, SV_STAT(self->fd, resident));
	ASSERT_EQ(out, SV_STAT(self->fd, swapped));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(PAGES, SV_STAT(self->fd, swapouts));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
}

/* A batch that is handed back with pages unanswered: these failed. */
TEST_F(errors, short_batch)
{
	sv_set("short", 5);
	ASSERT_EQ(5, sv_pageout(self->fd, 0, PAGES));
	ASSERT_EQ(PAGES - 5, SV_STAT(self->fd, write_failures));
	ASSERT_EQ(PAGES - 5, SV_STAT(self->fd, resident));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
	sv_set("short", 0);
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
}

/* A driver that allocates as it must not: the swapper is not entered again. */
TEST_F(errors, allocation_in_swapout)
{
	sv_set_word("alloc", "Y");
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(PAGES, SV_STAT(self->fd, swapouts));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
}

/* fsync reports what could not be written, and the page stays dirty. */
TEST_F(errors, fsync_reports_write_failure)
{
	sv_set("fail_write", FOREVER);
	ASSERT_EQ(-1, fsync(self->fd));
	ASSERT_EQ(EIO, errno);
	ASSERT_EQ(PAGES, SV_STAT(self->fd, resident));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
	sv_set("fail_write", 0);
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(self->base.value[5] + PAGES, sv_get("stored"));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
}

TEST_F(errors, read_failure_is_sigbus_on_that_page)
{
	const size_t bad = 17;
	size_t i;

	ASSERT_TRUE(sv_pageout_all(self->fd));
	sv_set("bad_read", bad);
	for (i = 0; i < PAGES; i++) {
		ASSERT_EQ(i == bad ? SIGBUS : 0, sv_touch_read(self->map + i * SV_PAGE));
		ASSERT_EQ(i == bad ? BUS_ADRERR : 0, sv_si_code);
		ASSERT_TRUE(i == bad || sv_check(self->map + i * SV_PAGE, SV_TEXT, i, 1));
	}
	/* A write does not make up a page either. */
	ASSERT_EQ(SIGBUS, sv_touch_write(self->map + bad * SV_PAGE, 0));
	ASSERT_LE(2, SV_STAT(self->fd, read_failures));
	ASSERT_EQ(1, SV_STAT(self->fd, swapped));

	/* The slot was not given up: the page is there once the driver reads. */
	sv_set("bad_read", UINT64_MAX);
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
	ASSERT_EQ(0, SV_STAT(self->fd, swapped));
}

/* The error of a system call that touches such a page is EFAULT, not a hang. */
TEST_F(errors, read_failure_in_a_system_call)
{
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	sv_set("fail_read", FOREVER);
	ASSERT_EQ(-1, write(pipes[1], self->map, 64));
	ASSERT_EQ(EFAULT, errno);
	sv_set("fail_read", 0);
	ASSERT_EQ(64, write(pipes[1], self->map, 64));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
}

/* PREFETCH of a range with a bad page brings the others in. */
TEST_F(errors, read_failure_in_prefetch)
{
	const size_t bad = 5;

	ASSERT_TRUE(sv_pageout_all(self->fd));
	sv_set("bad_read", bad);
	ASSERT_EQ(-EIO, sv_prefetch(self->fd, 0, PAGES));
	ASSERT_EQ(1, SV_STAT(self->fd, read_failures));
	ASSERT_EQ(PAGES - 1, SV_STAT(self->fd, resident));
	ASSERT_EQ(SIGBUS, sv_touch_read(self->map + bad * SV_PAGE));
	ASSERT_EQ(2, SV_STAT(self->fd, read_failures));
	ASSERT_EQ(0, sv_check_range(self->map, 0, bad, SV_TEXT, 1));
	ASSERT_EQ(0, sv_check_range(self->map, bad + 1, PAGES - bad - 1, SV_TEXT, 1));
	sv_set("bad_read", UINT64_MAX);
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
}

/* A store of 40 pages for 64: 40 go out, 24 stay, none is lost. */
FIXTURE(full)
{
	struct sv_baseline base;
	char *map;
	int fd;
};

FIXTURE_SETUP(full)
{
	sv_reload_test("pages=40");
	sv_begin(&self->base);
}

FIXTURE_TEARDOWN_PARENT(full)
{
	EXPECT_TRUE(sv_end(&self->base));
	sv_reload_test("");
}

TEST_F_TIMEOUT(full, store, 60)
{
	const size_t store = 40;

	self->fd = sv_create("test", "", PAGES, SV_NO_LIMIT);
	self->map = sv_map_rw(self->fd, PAGES);
	sv_fill_range(self->map, 0, PAGES, SV_TEXT, 2);
	ASSERT_EQ(store, sv_pageout(self->fd, 0, PAGES));
	ASSERT_EQ(PAGES - store, SV_STAT(self->fd, resident));
	ASSERT_LE(PAGES - store, SV_STAT(self->fd, no_space));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 2));
	/* Rewritten pages give their slots back, and those are used again. */
	sv_fill_range(self->map, 0, PAGES, SV_TEXT, 3);
	ASSERT_TRUE(sv_wait_for(sv_pageout(self->fd, 0, PAGES) >= 0 &&
				SV_STAT(self->fd, resident) == PAGES - store));
	ASSERT_EQ(store, sv_get("stored"));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 3));
}

/* Completion in the callback, later from a work item, and from a hard interrupt. */
FIXTURE(complete)
{
	struct sv_baseline base;
};

FIXTURE_VARIANT(complete)
{
	const char *where;
};

FIXTURE_VARIANT_ADD(complete, sync)
{
	.where = "sync",
};

FIXTURE_VARIANT_ADD(complete, late)
{
	.where = "late",
};

FIXTURE_VARIANT_ADD(complete, irq)
{
	.where = "irq",
};

FIXTURE_SETUP(complete)
{
	sv_begin(&self->base);
	sv_set_word("complete", variant->where);
}

FIXTURE_TEARDOWN_PARENT(complete)
{
	EXPECT_TRUE(sv_end(&self->base));
}

TEST_F(complete, region_over_its_limit)
{
	size_t pages = 4 * PAGES, round;
	int fd = sv_create("test", "", pages, PAGES);
	char *map = sv_map_rw(fd, pages);

	for (round = 1; round <= 3; round++) {
		sv_fill_range(map, 0, pages, SV_TEXT, round);
		ASSERT_EQ(0, sv_check_range(map, 0, pages, SV_TEXT, round));
	}
	ASSERT_LT(pages, SV_STAT(fd, swapouts));
	ASSERT_LT(pages, SV_STAT(fd, swapins));
	ASSERT_EQ(0, SV_STAT(fd, abandoned));
	ASSERT_EQ(0, SV_STAT(fd, write_failures));
	ASSERT_TRUE(sv_pageout_all(fd));
	ASSERT_EQ(0, sv_check_range(map, 0, pages, SV_TEXT, 3));
}

/* Answers other than "stored" from there. */
TEST_F(complete, failures)
{
	int fd = sv_create("test", "", PAGES, SV_NO_LIMIT);
	char *map = sv_map_rw(fd, PAGES);

	sv_fill_range(map, 0, PAGES, SV_TEXT, 1);
	sv_set("fail_write", FOREVER);
	ASSERT_GE(0, sv_pageout(fd, 0, PAGES));
	ASSERT_EQ(PAGES, SV_STAT(fd, resident));
	ASSERT_LE(PAGES, SV_STAT(fd, write_failures));
	sv_set("fail_write", 0);
	sv_set_word("answer", "retry");
	ASSERT_GE(0, sv_pageout(fd, 0, PAGES));
	ASSERT_EQ(PAGES, SV_STAT(fd, resident));
	sv_set_word("answer", "stored");
	ASSERT_TRUE(sv_pageout_all(fd));
	ASSERT_EQ(0, sv_check_range(map, 0, PAGES, SV_TEXT, 1));
}

/* The mapping and the descriptor go while batches are on their way back. */
TEST_F(complete, closed_in_flight)
{
	int round;

	for (round = 0; round < 8; round++) {
		int fd = sv_create("test", "", 2 * PAGES, PAGES);
		char *map = sv_map_rw(fd, 2 * PAGES);

		sv_fill_range(map, 0, 2 * PAGES, SV_TEXT, round);
		sv_unmap(map, 2 * PAGES);
		close(fd);
	}
}

SV_TEST_MAIN
