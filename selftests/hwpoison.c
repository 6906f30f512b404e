// SPDX-License-Identifier: GPL-2.0
/*
 * A page whose memory is bad (MADV_HWPOISON): an error for whoever touches that
 * page, never its content, never a fresh one, and no harm to its neighbours.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "swapvma_util.h"

#define PAGES	SV_BATCH
#define BAD	19UL

FIXTURE(hwpoison)
{
	struct sv_baseline base;
	char *map;
	int fd;
};

FIXTURE_VARIANT(hwpoison)
{
	const char *driver;
	bool dirty;
};

FIXTURE_VARIANT_ADD(hwpoison, test_dirty)
{
	.driver = "test", .dirty = true,
};

FIXTURE_VARIANT_ADD(hwpoison, test_clean)
{
	.driver = "test", .dirty = false,
};

FIXTURE_VARIANT_ADD(hwpoison, ram_dirty)
{
	.driver = "ram", .dirty = true,
};

FIXTURE_SETUP(hwpoison)
{
	int ret;

	sv_begin(&self->base);
	self->fd = sv_create(variant->driver, "", PAGES, SV_NO_LIMIT);
	self->map = sv_map_rw(self->fd, PAGES);
	sv_fill_range(self->map, 0, PAGES, SV_TEXT, 1);
	if (!variant->dirty) {
		ASSERT_TRUE(sv_pageout_all(self->fd));
		ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
	}
	/* The kernel marks the page; it cannot do more for pages not on its lists. */
	ret = madvise(self->map + BAD * SV_PAGE, SV_PAGE, MADV_HWPOISON);
	if (ret && errno == EINVAL)
		SKIP(return, "no MADV_HWPOISON");
	ASSERT_TRUE(!ret || errno == EIO || errno == EBUSY)
		TH_LOG("MADV_HWPOISON: %s", strerror(errno));
}

FIXTURE_TEARDOWN_PARENT(hwpoison)
{
	EXPECT_TRUE(sv_end(&self->base));
}

#define ASSERT_OTHERS_FINE()							\
	do {									\
		ASSERT_EQ(0, sv_check_range(self->map, 0, BAD, SV_TEXT, 1));	\
		ASSERT_EQ(0, sv_check_range(self->map, BAD + 1, PAGES - BAD - 1, \
					    SV_TEXT, 1));			\
	} while (0)

/* The next fault on it finds the mark. */
TEST_F(hwpoison, fault)
{
	char *bad = self->map + BAD * SV_PAGE;

	ASSERT_EQ(0, madvise(self->map, PAGES * SV_PAGE, MADV_DONTNEED));
	ASSERT_EQ(SIGBUS, sv_touch_read(bad));
	ASSERT_EQ(BUS_MCEERR_AR, sv_si_code);
	ASSERT_EQ(SIGBUS, sv_touch_write(bad, 1));
	ASSERT_OTHERS_FINE();
	ASSERT_EQ(SIGBUS, sv_touch_read(bad));
}

/*
 * The swapper meets it: it is not written, and its memory not used again. If it
 * was clean, what the driver has of it stands in for it.
 */
TEST_F(hwpoison, pageout)
{
	char *bad = self->map + BAD * SV_PAGE;
	uint64_t written = sv_get("swapouts");

	ASSERT_TRUE(sv_wait_for(sv_pageout(self->fd, 0, PAGES) >= 0 &&
				SV_STAT(self->fd, resident) <= 1));
	ASSERT_EQ(variant->dirty ? PAGES - 1 : PAGES, SV_STAT(self->fd, swapped));
	if (!strcmp(variant->driver, "test"))
		ASSERT_EQ(variant->dirty ? PAGES - 1 : 0, sv_get("swapouts") - written);
	ASSERT_EQ(variant->dirty ? SIGBUS : 0, sv_touch_read(bad));
	ASSERT_TRUE(variant->dirty || sv_check(bad, SV_TEXT, BAD, 1));
	ASSERT_OTHERS_FINE();
	ASSERT_EQ(variant->dirty ? SIGBUS : 0, sv_touch_read(bad));
}

/* Another mapping, other kinds of access. */
TEST_F(hwpoison, other_mapping_and_system_call)
{
	char *other = sv_map_rw(self->fd, PAGES), *bad = other + BAD * SV_PAGE;
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(SIGBUS, sv_touch_read(bad));
	ASSERT_EQ(-1, write(pipes[1], bad, 16));
	ASSERT_EQ(EFAULT, errno);
	ASSERT_EQ(0, sv_check_range(other, 0, BAD, SV_TEXT, 1));
	ASSERT_EQ(0, sv_check_range(other, BAD + 1, PAGES - BAD - 1, SV_TEXT, 1));
	sv_unmap(other, PAGES);
	ASSERT_EQ(0, madvise(self->map, PAGES * SV_PAGE, MADV_DONTNEED));
	ASSERT_OTHERS_FINE();
}

/* A hole over it makes a new page of it. */
TEST_F(hwpoison, punched_away)
{
	char *bad = self->map + BAD * SV_PAGE;

	ASSERT_EQ(0, madvise(self->map, PAGES * SV_PAGE, MADV_DONTNEED));
	ASSERT_EQ(SIGBUS, sv_touch_read(bad));
	ASSERT_EQ(0, madvise(bad, SV_PAGE, MADV_REMOVE));
	ASSERT_EQ(0, sv_check_zero(self->map, BAD, 1));
	sv_fill(bad, SV_TEXT, BAD, 2);
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_TRUE(sv_check(bad, SV_TEXT, BAD, 2));
	ASSERT_OTHERS_FINE();
}

SV_TEST_MAIN
