// SPDX-License-Identifier: GPL-2.0
/*
 * The seals of regions with checksums or encryption, while pages move from driver to
 * driver, go, are written to meanwhile, and are shared.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "swapvma_util.h"

#define PAGES		(2 * SV_BATCH)
#define CHECKSUM	SWAPVMA_CREATE_CHECKSUM
#define ENCRYPT		SWAPVMA_CREATE_ENCRYPT

FIXTURE(life)
{
	struct sv_baseline base;
	char *map;
	int fd;
};

FIXTURE_VARIANT(life)
{
	uint64_t flags;
};

FIXTURE_VARIANT_ADD(life, checksum)
{
	.flags = CHECKSUM,
};

FIXTURE_VARIANT_ADD(life, encrypt)
{
	.flags = ENCRYPT,
};

FIXTURE_SETUP(life)
{
	sv_reload_test("deadline_ms=1000");
	sv_begin(&self->base);
	self->fd = sv_create_flags(variant->flags, "test", PAGES, SV_NO_LIMIT);
	self->map = sv_map_rw(self->fd, PAGES);
	sv_fill_kinds(self->map, PAGES, 1);
}

FIXTURE_TEARDOWN(life)
{
	sv_unmap(self->map, PAGES);
	close(self->fd);
	EXPECT_TRUE(sv_end_quarantined(&self->base));
	sv_reload_test("");
}

TEST_F_TIMEOUT(life, seals_go_with_their_pages, 60)
{
	const size_t pages = 2048;
	int fd = sv_create_flags(variant->flags, "test", pages, SV_NO_LIMIT);
	char *map = sv_map_rw(fd, pages);
	uint64_t all, half;

	ASSERT_EQ(0, SV_STAT(fd, seal_bytes));
	sv_fill_range(map, 0, pages, SV_SAME, 1);
	all = SV_STAT(fd, seal_bytes);
	/* No more than 34 bytes for a page that is there, none for others. */
	ASSERT_LT(0, all);
	ASSERT_GE(pages * 34, all);
	ASSERT_TRUE(sv_pageout_all(fd));
	ASSERT_EQ(all, SV_STAT(fd, seal_bytes));
	ASSERT_EQ(0, sv_check_range(map, 0, pages, SV_SAME, 1));
	ASSERT_EQ(0, sv_punch(fd, 0, pages / 2));
	half = SV_STAT(fd, seal_bytes);
	ASSERT_GE(all / 2 + SV_PAGE, half);
	ASSERT_LE(all / 2 - SV_PAGE, half);
	ASSERT_EQ(0, sv_check_range(map, pages / 2, pages / 2, SV_SAME, 1));
	ASSERT_EQ(0, ftruncate(fd, SV_PAGE));
	ASSERT_EQ(0, SV_STAT(fd, seal_bytes));
	/* They come again. */
	ASSERT_EQ(0, ftruncate(fd, pages * SV_PAGE));
	sv_fill_range(map, 0, pages, SV_RANDOM, 2);
	ASSERT_EQ(all, SV_STAT(fd, seal_bytes));
	ASSERT_LE(0, sv_pageout(fd, 0, pages));
	ASSERT_EQ(0, sv_check_range(map, 0, pages, SV_RANDOM, 2));
	/* Pages that were only read, and left without a write. */
	ASSERT_EQ(0, sv_punch(fd, 0, pages));
	ASSERT_EQ(0, sv_check_zero(map, 0, pages));
	ASSERT_EQ(all, SV_STAT(fd, seal_bytes));
	ASSERT_TRUE(sv_pageout_all(fd));
	ASSERT_EQ(0, SV_STAT(fd, seal_bytes));
	sv_unmap(map, pages);
	close(fd);
}

TEST_F_TIMEOUT(life, drained_from_driver_to_driver, 60)
{
	ASSERT_TRUE(sv_pageout_all(self->fd));
	sv_set_word("drained", "Y");
	ASSERT_EQ(0, sv_control("drain test ram"));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_LT(0, SV_STAT(self->fd, stored_bytes));
	ASSERT_EQ(0, sv_get("stored"));
	ASSERT_EQ(0, sv_check_kinds(self->map, PAGES, 1));
	ASSERT_EQ(0, sv_add_driver(self->fd, "test", ""));
	ASSERT_EQ(0, SV_STAT(self->fd, corrupt_pages));
}

/* Of a batch, some pages go to one driver and some to the next. */
TEST_F_TIMEOUT(life, failed_over, 60)
{
	ASSERT_EQ(0, sv_add_driver(self->fd, "ram", ""));
	sv_set("fail_write", 20);
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_LT(0, SV_STAT(self->fd, write_failures));
	ASSERT_LT(0, sv_get("stored"));
	ASSERT_EQ(0, sv_check_kinds(self->map, PAGES, 1));
	sv_fill_kinds(self->map, PAGES, 2);
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, sv_check_kinds(self->map, PAGES, 2));
	ASSERT_EQ(0, SV_STAT(self->fd, corrupt_pages));
}

/* The answer that comes after the deadline is of the copies that it was given. */
TEST_F_TIMEOUT(life, abandoned, 60)
{
	struct sv_pageout_thread thread;

	sv_set_word("complete", "never");
	sv_pageout_start(&thread, self->fd, 0, PAGES);
	ASSERT_TRUE(sv_wait_for(SV_STAT(self->fd, abandoned) == 1));
	sv_pageout_join(&thread);
	ASSERT_EQ(0, sv_check_kinds(self->map, PAGES, 1));
	sv_fill_kinds(self->map, PAGES, 2);
	sv_set_word("complete", "sync");
	sv_set("release", 1);
	ASSERT_TRUE(sv_wait_for(!sv_control("recover test")));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, sv_check_kinds(self->map, PAGES, 2));
	ASSERT_EQ(0, SV_STAT(self->fd, corrupt_pages));
}

/* A store while the driver works: what it stores is neither half old nor half new. */
TEST_F_TIMEOUT(life, written_to_meanwhile, 60)
{
	struct sv_pageout_thread thread;
	uint64_t gen;

	for (gen = 2; gen < 6; gen++) {
		sv_fill_kinds(self->map, PAGES, gen + 10);
		sv_set("block", 1);
		sv_pageout_start(&thread, self->fd, 0, PAGES);
		ASSERT_TRUE(sv_wait_for(sv_get("blocked") == 1));
		sv_fill_kinds(self->map, PAGES, gen);
		sv_set("block", 0);
		sv_pageout_join(&thread);
		ASSERT_EQ(0, sv_check_kinds(self->map, PAGES, gen));
		ASSERT_TRUE(sv_pageout_all(self->fd));
		ASSERT_EQ(0, sv_check_kinds(self->map, PAGES, gen));
	}
	ASSERT_LT(0, SV_STAT(self->fd, cancelled));
	ASSERT_EQ(0, SV_STAT(self->fd, corrupt_pages));
}

/* Punched while it is written and while it is read. */
TEST_F_TIMEOUT(life, punched_meanwhile, 60)
{
	struct sv_pageout_thread thread;
	pid_t child;

	sv_set("block", 1);
	sv_pageout_start(&thread, self->fd, 0, PAGES);
	ASSERT_TRUE(sv_wait_for(sv_get("blocked") == 1));
	ASSERT_EQ(0, sv_punch(self->fd, 0, PAGES));
	ASSERT_EQ(0, SV_STAT(self->fd, seal_bytes));
	sv_set("block", 0);
	sv_pageout_join(&thread);
	ASSERT_EQ(0, sv_check_zero(self->map, 0, PAGES));
	sv_fill_kinds(self->map, PAGES, 2);
	ASSERT_TRUE(sv_pageout_all(self->fd));
	sv_set("block_read", 1);
	child = sv_fork();
	if (!child)
		_exit(sv_touch_read(self->map) ? 1 : 0);
	ASSERT_TRUE(sv_wait_for(sv_get("blocked_reads") == 1));
	ASSERT_EQ(0, sv_punch(self->fd, 0, PAGES));
	ASSERT_EQ(0, SV_STAT(self->fd, seal_bytes));
	sv_fill_kinds(self->map, PAGES, 3);
	sv_set("block_read", 0);
	ASSERT_EQ(0, sv_reap(child));
	ASSERT_EQ(0, sv_check_kinds(self->map, PAGES, 3));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, sv_check_kinds(self->map, PAGES, 3));
	ASSERT_EQ(0, SV_STAT(self->fd, corrupt_pages));
}

TEST_F_TIMEOUT(life, shared_and_private, 60)
{
	char *private = sv_map(self->fd, PAGES, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	pid_t child;

	ASSERT_TRUE(sv_pageout_all(self->fd));
	sv_fill(private, SV_TEXT, 99, 99);
	child = sv_fork();
	if (!child) {
		bool ok = !sv_check_kinds(self->map, PAGES, 1);

		sv_fill_kinds(self->map, PAGES, 2);
		_exit(ok && sv_pageout(self->fd, 0, PAGES) >= 0 &&
		      !sv_check_kinds(self->map, PAGES, 2) &&
		      sv_check(private, SV_TEXT, 99, 99) ? 0 : 1);
	}
	ASSERT_EQ(0, sv_reap(child));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, sv_check_kinds(self->map, PAGES, 2));
	ASSERT_TRUE(sv_check(private, SV_TEXT, 99, 99));
	ASSERT_EQ(0, SV_STAT(self->fd, corrupt_pages));
	sv_unmap(private, PAGES);
}

/*
 * Asking for it.
 */

TEST(flags)
{
	static const struct {
		uint64_t flags;
		const char *name;
	} rows[] = {
		{ 0, "swapvma_integrity:\tnone\n" },
		{ CHECKSUM, "swapvma_integrity:\tchecksum\n" },
		{ ENCRYPT, "swapvma_integrity:\tencrypt\n" },
	};
	char path[64], text[8192];
	struct sv_baseline base;
	size_t i;
	int fd;

	sv_begin(&base);
	ASSERT_EQ(-EINVAL, sv_try_create_flags(CHECKSUM | ENCRYPT, "ram", NULL, PAGES, SV_NO_LIMIT));
	ASSERT_EQ(-EINVAL, sv_try_create_flags(ENCRYPT << 1, "ram", NULL, PAGES, SV_NO_LIMIT));
	ASSERT_EQ(-EINVAL, sv_try_create_flags(1ULL << 63, "ram", NULL, PAGES, SV_NO_LIMIT));
	for (i = 0; i < 3; i++) {
		fd = sv_create_flags(rows[i].flags, "ram", PAGES, SV_NO_LIMIT);
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
		ASSERT_TRUE(sv_read_file(path, text, sizeof(text)));
		ASSERT_NE(NULL, strstr(text, rows[i].name));
		ASSERT_NE(NULL, strstr(text, "swapvma_corrupt_pages:\t0\n"));
		close(fd);
	}
	ASSERT_TRUE(sv_end(&base));
}

SV_TEST_MAIN
