// SPDX-License-Identifier: GPL-2.0
/*
 * The seals of regions with checksums or encryption, while pages move from driver to
 * driver, go, are written to meanwhile, and are shared.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "swapvma_util.h"

#define PAGES		(2 * SV_BATCH)
/* Of all tasks that open sealed pages. */
#define WINDOWS		6
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
	sv_put_back("");
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

/* Whoever is killed while it waits for a window had read for others, too. */
TEST_F_TIMEOUT(life, a_reader_is_killed, 60)
{
	int fd = sv_create_flags(variant->flags, "ram", PAGES, SV_NO_LIMIT);
	char *map = sv_map_rw(fd, PAGES);
	pid_t readers[WINDOWS + 2];
	size_t i;

	sv_fill_range(map, 0, PAGES, SV_TEXT, 1);
	ASSERT_TRUE(sv_pageout_all(fd));
	if (!sv_put_back("hold_window"))
		SKIP(return, "the kernel has no fault injection");
	/* All windows are in use, one more task waits, and another one for its read. */
	for (i = 0; i < ARRAY_SIZE(readers); i++) {
		size_t page = i < WINDOWS ? i : WINDOWS;

		readers[i] = sv_fork();
		if (!readers[i])
			_exit(sv_touch_read(map + page * SV_PAGE));
		ASSERT_TRUE(i < WINDOWS ? sv_wait_for(sv_held() == i + 1) :
					  sv_wait_asleep(readers[i]));
	}
	kill(readers[WINDOWS], SIGKILL);
	/* It does not wait for those who have the windows. */
	ASSERT_EQ(SIGKILL, sv_reap(readers[WINDOWS]));
	ASSERT_EQ(WINDOWS, sv_held());
	ASSERT_TRUE(sv_put_back(""));
	for (i = 0; i < ARRAY_SIZE(readers); i++)
		if (i != WINDOWS)
			ASSERT_EQ(0, sv_reap(readers[i]));
	ASSERT_EQ(0, SV_STAT(fd, corrupt_pages));
	ASSERT_EQ(0, SV_STAT(fd, read_failures));
	ASSERT_EQ(0, sv_check_range(map, 0, PAGES, SV_TEXT, 1));
	sv_unmap(map, PAGES);
	close(fd);
}

static enum sv_kind kind_of(size_t page)
{
	return page % 2 ? SV_TEXT : SV_RANDOM;
}

/*
 * A window for each of 64 readers, of which there are few: those who have one keep it
 * for a while, the others wait. The swapper has some of its own meanwhile.
 */
TEST_F_TIMEOUT(life, more_readers_than_windows, 120)
{
	int fd = sv_create_flags(variant->flags, "ram", PAGES, SV_NO_LIMIT);
	char *map = sv_map_rw(fd, PAGES);
	pid_t readers[SV_BATCH];
	size_t i;

	for (i = 0; i < PAGES; i++)
		sv_fill(map + i * SV_PAGE, kind_of(i), i, 1);
	ASSERT_EQ(SV_BATCH, sv_pageout(fd, 0, SV_BATCH));
	if (!sv_put_back("hold_window"))
		SKIP(return, "the kernel has no fault injection");
	for (i = 0; i < ARRAY_SIZE(readers); i++) {
		readers[i] = sv_fork();
		if (!readers[i])
			_exit(!sv_check(map + i * SV_PAGE, kind_of(i), i, 1));
	}
	for (i = WINDOWS; i < ARRAY_SIZE(readers); i += 8)
		ASSERT_TRUE(sv_wait_asleep(readers[i]));
	ASSERT_TRUE(sv_wait_for(sv_held() == WINDOWS));
	ASSERT_EQ(SV_BATCH, sv_pageout(fd, SV_BATCH, SV_BATCH));
	ASSERT_EQ(WINDOWS, sv_held());
	ASSERT_EQ(0, waitpid(-1, NULL, WNOHANG));
	ASSERT_TRUE(sv_put_back(""));
	for (i = 0; i < ARRAY_SIZE(readers); i++)
		ASSERT_EQ(0, sv_reap(readers[i]));
	for (i = 0; i < PAGES; i++)
		ASSERT_TRUE(sv_check(map + i * SV_PAGE, kind_of(i), i, 1));
	ASSERT_EQ(PAGES, SV_STAT(fd, swapins));
	ASSERT_EQ(0, SV_STAT(fd, corrupt_pages));
	ASSERT_EQ(0, SV_STAT(fd, read_failures));
	sv_unmap(map, PAGES);
	close(fd);
}

/* Reads the pages of a region at its limit, in any order; forever, if all is well. */
static void read_for_ever(const char *map, size_t pages, uint64_t seed)
{
	for (;;) {
		int signal = sv_touch_read(map + sv_random(&seed) % pages * SV_PAGE);

		if (signal)
			_exit(signal);
	}
}

/* Whoever is killed reads for others, too; it says nothing of what was read. */
TEST_F_TIMEOUT(life, readers_are_killed, 120)
{
	const size_t pages = SV_BATCH + 8;
	int fd = sv_create_flags(variant->flags, "ram", pages, SV_BATCH);
	const uint64_t end = sv_now_ms() + (sv_long() ? 60000 : 2000);
	char *map = sv_map_rw(fd, pages);
	uint64_t seed = 1;
	pid_t readers[40];
	size_t i;

	sv_fill_range(map, 0, pages, SV_RANDOM, 1);
	for (i = 0; i < ARRAY_SIZE(readers); i++) {
		readers[i] = sv_fork();
		if (!readers[i])
			read_for_ever(map, pages, i + 1);
	}
	while (sv_now_ms() < end) {
		for (i = 0; i < ARRAY_SIZE(readers); i++) {
			if (sv_random(&seed) % 3)
				continue;
			kill(readers[i], SIGKILL);
			ASSERT_EQ(SIGKILL, sv_reap(readers[i]));
			readers[i] = sv_fork();
			if (!readers[i])
				read_for_ever(map, pages, sv_random(&seed));
		}
		usleep(2000);
	}
	for (i = 0; i < ARRAY_SIZE(readers); i++) {
		kill(readers[i], SIGKILL);
		ASSERT_EQ(SIGKILL, sv_reap(readers[i]));
	}
	ASSERT_EQ(0, SV_STAT(fd, corrupt_pages));
	ASSERT_EQ(0, SV_STAT(fd, read_failures));
	ASSERT_EQ(0, sv_check_range(map, 0, pages, SV_RANDOM, 1));
	sv_unmap(map, pages);
	close(fd);
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
