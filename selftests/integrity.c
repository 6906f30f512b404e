// SPDX-License-Identifier: GPL-2.0
/*
 * Regions with checksums or encryption: a page that the driver does not return as
 * it was given is SIGBUS, counted and traced, and the others live; what an encrypted
 * region stores tells nothing. A region without either gets the same corruption, and
 * does not notice: that is what the others are measured against.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>

#include "kselftest_harness.h"
#include "swapvma_store.h"
#include "swapvma_util.h"

#define PAGES		(2 * SV_BATCH)
#define WATCHED		7
#define MEGABYTES	8
#define CHECKSUM	SWAPVMA_CREATE_CHECKSUM
#define ENCRYPT		SWAPVMA_CREATE_ENCRYPT
#define TRACING		"/sys/kernel/tracing/"
#define EVENT		TRACING "events/swapvma/swapvma_corrupt/enable"

/*
 * Content, in each way to store it.
 */

FIXTURE(content)
{
	struct sv_baseline base;
	struct sv_store store;
	char *map;
	int fd;
};

FIXTURE_VARIANT(content)
{
	uint64_t flags;
	const char *driver;	/* NULL: that of a store */
	enum sv_store_kind kind;
};

#define IN(_flags, _driver, _kind) { .flags = _flags, .driver = _driver, .kind = _kind, }

FIXTURE_VARIANT_ADD(content, plain_test) IN(0, "test", 0);
FIXTURE_VARIANT_ADD(content, checksum_test) IN(CHECKSUM, "test", 0);
FIXTURE_VARIANT_ADD(content, checksum_ram) IN(CHECKSUM, "ram", 0);
FIXTURE_VARIANT_ADD(content, checksum_shmem) IN(CHECKSUM, NULL, SV_SHMEM);
FIXTURE_VARIANT_ADD(content, checksum_loop) IN(CHECKSUM, NULL, SV_LOOP);
FIXTURE_VARIANT_ADD(content, encrypt_test) IN(ENCRYPT, "test", 0);
FIXTURE_VARIANT_ADD(content, encrypt_ram) IN(ENCRYPT, "ram", 0);
FIXTURE_VARIANT_ADD(content, encrypt_shmem) IN(ENCRYPT, NULL, SV_SHMEM);
FIXTURE_VARIANT_ADD(content, encrypt_loop) IN(ENCRYPT, NULL, SV_LOOP);
FIXTURE_VARIANT_ADD(content, encrypt_ext4) IN(ENCRYPT, NULL, SV_EXT4);

FIXTURE_SETUP(content)
{
	sv_begin(&self->base);
	if (!variant->driver)
		sv_store_make(&self->store, variant->kind, MEGABYTES);
	self->fd = sv_try_create_flags(variant->flags,
				       variant->driver ?: self->store.driver,
				       variant->driver ? NULL : self->store.options,
				       PAGES, SV_NO_LIMIT);
	ASSERT_LE(0, self->fd);
	self->map = sv_map_rw(self->fd, PAGES);
}

FIXTURE_TEARDOWN(content)
{
	sv_unmap(self->map, PAGES);
	close(self->fd);
	if (!variant->driver)
		EXPECT_TRUE(sv_store_end(&self->store));
	EXPECT_TRUE(sv_end(&self->base));
}

TEST_F_TIMEOUT(content, comes_back, 120)
{
	const bool sealed = variant->flags;
	uint64_t gen;

	for (gen = 1; gen <= 3; gen++) {
		sv_fill_kinds(self->map, PAGES, gen);
		ASSERT_TRUE(sv_pageout_all(self->fd));
		ASSERT_EQ(0, sv_check_kinds(self->map, PAGES, gen));
		/* Clean: the copies are still good. */
		ASSERT_TRUE(sv_pageout_all(self->fd));
		ASSERT_EQ(0, sv_check_kinds(self->map, PAGES, gen));
	}
	/* Written while they stay mapped, dropped, read. */
	sv_fill_kinds(self->map, PAGES, gen);
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_LE(PAGES / 2, SV_STAT(self->fd, launders));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, sv_check_kinds(self->map, PAGES, gen));
	/* At the limit, in and out all the time. */
	ASSERT_EQ(0, sv_set_limit(self->fd, SV_BATCH));
	for (gen++; gen <= 8; gen++) {
		sv_fill_kinds(self->map, PAGES, gen);
		ASSERT_EQ(0, sv_check_kinds(self->map, PAGES, gen));
	}
	ASSERT_EQ(0, SV_STAT(self->fd, corrupt_pages));
	ASSERT_EQ(0, SV_STAT(self->fd, read_failures));
	ASSERT_EQ(0, SV_STAT(self->fd, write_failures));
	ASSERT_EQ(sealed, SV_STAT(self->fd, seal_bytes) != 0);
	/* Without pages there is nothing to verify. */
	ASSERT_EQ(0, sv_punch(self->fd, 0, PAGES));
	ASSERT_EQ(0, sv_check_zero(self->map, 0, PAGES));
	ASSERT_EQ(0, sv_punch(self->fd, 0, PAGES));
	ASSERT_EQ(0, SV_STAT(self->fd, seal_bytes));
}

/*
 * Corruption by the driver.
 */

FIXTURE(corrupt)
{
	struct sv_baseline base;
	bool traced;
	char *map;
	int fd, kmsg;
};

FIXTURE_VARIANT(corrupt)
{
	uint64_t flags;
	const char *how;
	enum sv_kind kind;
};

#define BY(_flags, _how, _kind) { .flags = _flags, .how = _how, .kind = _kind, }

FIXTURE_VARIANT_ADD(corrupt, plain_flip) BY(0, "flip", SV_RANDOM);
FIXTURE_VARIANT_ADD(corrupt, plain_store) BY(0, "store", SV_TEXT);
FIXTURE_VARIANT_ADD(corrupt, plain_other) BY(0, "other", SV_TEXT);
FIXTURE_VARIANT_ADD(corrupt, plain_stale) BY(0, "stale", SV_TEXT);
FIXTURE_VARIANT_ADD(corrupt, checksum_flip) BY(CHECKSUM, "flip", SV_RANDOM);
FIXTURE_VARIANT_ADD(corrupt, checksum_store) BY(CHECKSUM, "store", SV_TEXT);
FIXTURE_VARIANT_ADD(corrupt, checksum_other) BY(CHECKSUM, "other", SV_TEXT);
FIXTURE_VARIANT_ADD(corrupt, checksum_stale) BY(CHECKSUM, "stale", SV_TEXT);
FIXTURE_VARIANT_ADD(corrupt, encrypt_flip) BY(ENCRYPT, "flip", SV_RANDOM);
FIXTURE_VARIANT_ADD(corrupt, encrypt_flip_text) BY(ENCRYPT, "flip", SV_TEXT);
FIXTURE_VARIANT_ADD(corrupt, encrypt_store) BY(ENCRYPT, "store", SV_TEXT);
FIXTURE_VARIANT_ADD(corrupt, encrypt_other) BY(ENCRYPT, "other", SV_TEXT);
FIXTURE_VARIANT_ADD(corrupt, encrypt_other_random) BY(ENCRYPT, "other", SV_RANDOM);
FIXTURE_VARIANT_ADD(corrupt, encrypt_stale) BY(ENCRYPT, "stale", SV_TEXT);

FIXTURE_SETUP(corrupt)
{
	sv_begin(&self->base);
	sv_set("watch", WATCHED);
	mount("tracefs", TRACING, "tracefs", 0, NULL);
	self->traced = sv_write_file(EVENT, "1");
	close(open(TRACING "trace", O_WRONLY | O_TRUNC));
	self->kmsg = sv_kmsg_open();
	self->fd = sv_create_flags(variant->flags, "test", PAGES, SV_NO_LIMIT);
	self->map = sv_map_rw(self->fd, PAGES);
	/* Two writes, so that there is an older one to return. */
	sv_fill_range(self->map, 0, PAGES, variant->kind, 1);
	ASSERT_TRUE(sv_pageout_all(self->fd));
	sv_fill_range(self->map, 0, PAGES, variant->kind, 2);
	sv_set("flip_bit", 100);
	sv_set_word("corrupt", variant->how);
	ASSERT_TRUE(sv_pageout_all(self->fd));
}

FIXTURE_TEARDOWN(corrupt)
{
	if (self->traced)
		sv_write_file(EVENT, "0");
	close(self->kmsg);
	sv_unmap(self->map, PAGES);
	close(self->fd);
	EXPECT_TRUE(sv_end(&self->base));
}

/* Lines of the trace that name the page. */
static size_t traced(const char *what)
{
	static char text[1 << 20];
	size_t lines = 0;
	char *at = text;

	if (!sv_read_file(TRACING "trace", text, sizeof(text)))
		return 0;
	for (; (at = strstr(at, what)); at++)
		lines++;
	return lines;
}

static char *watched(const char *map)
{
	return (char *)map + WATCHED * SV_PAGE;
}

static size_t check_others(const char *map, enum sv_kind kind)
{
	return sv_check_range(map, 0, WATCHED, kind, 2) +
	       sv_check_range(map, WATCHED + 1, PAGES - WATCHED - 1, kind, 2);
}

TEST_F_TIMEOUT(corrupt, is_detected, 60)
{
	size_t i;

	if (!variant->flags) {
		/* Wrong data: this is what must not happen to the others. */
		ASSERT_EQ(0, sv_touch_read(watched(self->map)));
		ASSERT_FALSE(sv_check(watched(self->map), variant->kind, WATCHED, 2));
		ASSERT_EQ(0, check_others(self->map, variant->kind));
		ASSERT_EQ(0, SV_STAT(self->fd, corrupt_pages));
		return;
	}
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(SIGBUS, sv_touch_read(watched(self->map)));
		ASSERT_EQ(BUS_ADRERR, sv_si_code);
		ASSERT_EQ(SIGBUS, sv_touch_write(watched(self->map), 0));
	}
	ASSERT_EQ(6, SV_STAT(self->fd, corrupt_pages));
	ASSERT_EQ(6, SV_STAT(self->fd, read_failures));
	ASSERT_EQ(0, check_others(self->map, variant->kind));
	ASSERT_EQ(1, SV_STAT(self->fd, swapped));
	if (!self->traced)
		TH_LOG("no tracepoints in this kernel");
	ASSERT_EQ(self->traced ? 6 : 0, traced("swapvma_corrupt: region="));

	/* The slot was not given up. */
	sv_set_word("corrupt", "intact");
	if (!strcmp(variant->how, "store")) {
		ASSERT_EQ(SIGBUS, sv_touch_read(watched(self->map)));
		ASSERT_EQ(0, sv_punch(self->fd, WATCHED, 1));
		ASSERT_EQ(0, sv_check_zero(watched(self->map), 0, 1));
	} else {
		ASSERT_TRUE(sv_check(watched(self->map), variant->kind, WATCHED, 2));
		ASSERT_EQ(0, SV_STAT(self->fd, swapped));
	}
}

/* Whoever reads: a request, a system call, read-ahead, a drain, a partial punch. */
TEST_F_TIMEOUT(corrupt, is_detected_by_all_readers, 60)
{
	uint64_t corrupt;
	int pipes[2];

	if (!variant->flags || !strcmp(variant->how, "store"))
		return;
	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(-EIO, sv_prefetch(self->fd, 0, PAGES));
	ASSERT_EQ(-1, write(pipes[1], watched(self->map), 64));
	ASSERT_EQ(EFAULT, errno);
	ASSERT_EQ(-1, fallocate(self->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				WATCHED * SV_PAGE + 1, 64));
	ASSERT_EQ(EIO, errno);
	ASSERT_EQ(-1, ftruncate(self->fd, WATCHED * SV_PAGE + 64));
	ASSERT_EQ(EIO, errno);
	ASSERT_LE(4, corrupt = SV_STAT(self->fd, corrupt_pages));
	sv_set_word("drained", "Y");
	ASSERT_EQ(-EIO, sv_control("drain test ram"));
	ASSERT_EQ(corrupt + 1, SV_STAT(self->fd, corrupt_pages));
	/* Read along with a page that is not corrupt. */
	ASSERT_TRUE(sv_pageout_all(self->fd));
	sv_set("hint", 2 * WATCHED);
	ASSERT_EQ(0, sv_check_range(self->map, 0, WATCHED, variant->kind, 2));
	ASSERT_EQ(SIGBUS, sv_touch_read(watched(self->map)));
	ASSERT_EQ(0, check_others(self->map, variant->kind));
	ASSERT_LE(corrupt + 2, SV_STAT(self->fd, corrupt_pages));

	sv_set_word("corrupt", "intact");
	ASSERT_EQ(64, write(pipes[1], watched(self->map), 64));
	ASSERT_EQ(0, sv_control("drain test ram"));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, variant->kind, 2));
	close(pipes[0]);
	close(pipes[1]);
}

/* Bits all over the page, returned from a task, a work item and an interrupt. */
TEST_F_TIMEOUT(corrupt, in_any_bit_and_context, 60)
{
	static const char * const contexts[] = { "sync", "late", "irq" };
	size_t bit, n = 0;

	if (!variant->flags || strcmp(variant->how, "flip") || variant->kind != SV_RANDOM)
		return;
	for (bit = 0; bit < 8 * SV_PAGE; bit += 211, n++) {
		sv_set_word("complete_read", contexts[n % 3]);
		sv_set("flip_bit", bit);
		ASSERT_EQ(SIGBUS, sv_touch_read(watched(self->map)));
	}
	ASSERT_EQ(n, SV_STAT(self->fd, corrupt_pages));
	/* The log says so, once in a while. */
	ASSERT_TRUE(sv_wait_for(sv_touch_read(watched(self->map)) == SIGBUS &&
				sv_kmsg_count(self->kmsg, "page 7 is not what driver test")));
	sv_set_word("corrupt", "intact");
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, variant->kind, 2));
}

/*
 * The page that a driver fills is not the one that user space gets.
 */

FIXTURE(filled)
{
	struct sv_baseline base;
	char *map;
	int fd;
};

FIXTURE_VARIANT(filled)
{
	uint64_t flags;
};

FIXTURE_VARIANT_ADD(filled, plain)
{
	.flags = 0,
};

FIXTURE_VARIANT_ADD(filled, checksum)
{
	.flags = CHECKSUM,
};

FIXTURE_VARIANT_ADD(filled, encrypt)
{
	.flags = ENCRYPT,
};

FIXTURE_SETUP(filled)
{
	sv_begin(&self->base);
	sv_set("watch", WATCHED);
	self->fd = sv_create_flags(variant->flags, "test", PAGES, SV_NO_LIMIT);
	self->map = sv_map_rw(self->fd, PAGES);
}

FIXTURE_TEARDOWN(filled)
{
	sv_set_word("corrupt", "intact");
	sv_unmap(self->map, PAGES);
	close(self->fd);
	EXPECT_TRUE(sv_end(&self->base));
}

/* Written to by the driver when it was verified, and published. */
TEST_F(filled, is_written_to_later)
{
	static const enum sv_kind kinds[] = { SV_TEXT, SV_RANDOM };
	size_t i;

	for (i = 0; i < 2; i++) {
		sv_fill_range(self->map, 0, PAGES, kinds[i], 1);
		ASSERT_TRUE(sv_pageout_all(self->fd));
		sv_set_word("corrupt", "keep");
		ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, kinds[i], 1));
		sv_set("scribble", 1);
		sv_set_word("corrupt", "intact");
		/* Others believe their driver. */
		ASSERT_EQ(variant->flags ? 0 : 1,
			  sv_check_range(self->map, 0, PAGES, kinds[i], 1));
	}
	ASSERT_EQ(0, SV_STAT(self->fd, corrupt_pages));
}

/* Pages that this CPU gives to the next who asks for pages of a region. */
static void free_some_pages(void)
{
	int fd = sv_create("ram", "", 4 * PAGES, SV_NO_LIMIT);
	char *map = sv_map_rw(fd, 4 * PAGES);

	sv_fill_range(map, 0, 4 * PAGES, SV_RANDOM, 1);
	if (sv_punch(fd, 0, 4 * PAGES))
		sv_die("punch: %s", strerror(errno));
	sv_unmap(map, 4 * PAGES);
	close(fd);
}

/* Not by the driver, which says that it was. */
TEST_F_TIMEOUT(filled, is_not, 60)
{
	size_t i, page;

	for (i = 0; i < 3; i++) {
		sv_fill_range(self->map, 0, PAGES, SV_RANDOM, i);
		ASSERT_TRUE(sv_pageout_all(self->fd));
		sv_set_word("corrupt", "empty");
		free_some_pages();
		if (variant->flags) {
			for (page = 0; page < PAGES; page++)
				ASSERT_EQ(SIGBUS, sv_touch_read(self->map + page * SV_PAGE));
		} else {
			ASSERT_EQ(0, sv_check_zero(self->map, 0, PAGES));
		}
		sv_set_word("corrupt", "intact");
	}
}

/*
 * Encryption: what is stored.
 */

FIXTURE(secret)
{
	struct sv_baseline base;
	unsigned char now[SV_PAGE], before[SV_PAGE];
	char *map;
	int fd;
};

FIXTURE_VARIANT(secret)
{
	uint64_t flags;
};

FIXTURE_VARIANT_ADD(secret, plain)
{
	.flags = 0,
};

FIXTURE_VARIANT_ADD(secret, checksum)
{
	.flags = CHECKSUM,
};

FIXTURE_VARIANT_ADD(secret, encrypt)
{
	.flags = ENCRYPT,
};

FIXTURE_SETUP(secret)
{
	sv_begin(&self->base);
	sv_set("watch", WATCHED);
	self->fd = sv_create_flags(variant->flags, "test", PAGES, SV_NO_LIMIT);
	self->map = sv_map_rw(self->fd, PAGES);
}

FIXTURE_TEARDOWN(secret)
{
	sv_unmap(self->map, PAGES);
	close(self->fd);
	EXPECT_TRUE(sv_end(&self->base));
}

static void read_stored(const char *name, unsigned char *page)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), SV_KNOBS "%s", name);
	fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, page, SV_PAGE) != SV_PAGE)
		sv_die("%s: %s", path, strerror(errno));
	close(fd);
}

/* Eight bytes of the page somewhere in what is stored. */
static bool shows(const void *page, const unsigned char *stored)
{
	size_t i;

	for (i = 0; i < SV_PAGE; i += 8)
		if (memmem(stored, SV_PAGE, (const char *)page + i, 8))
			return true;
	return false;
}

TEST_F(secret, pages_do_not_show)
{
	static const enum sv_kind kinds[] = { SV_TEXT, SV_RANDOM };
	const bool encrypted = variant->flags == ENCRYPT;
	unsigned char plain[SV_PAGE];
	size_t i, length;

	for (i = 0; i < 2; i++) {
		sv_fill(plain, kinds[i], WATCHED, 1);
		/* The same content twice. */
		sv_fill(watched(self->map), kinds[i], WATCHED, 1);
		ASSERT_TRUE(sv_pageout_all(self->fd));
		sv_fill(watched(self->map), kinds[i], WATCHED, 1);
		ASSERT_TRUE(sv_pageout_all(self->fd));
		read_stored("stored_now", self->now);
		read_stored("stored_before", self->before);
		ASSERT_EQ(!encrypted, shows(plain, self->now));
		ASSERT_EQ(!encrypted, !memcmp(plain, self->now, SV_PAGE));
		for (length = SV_PAGE; length && !self->now[length - 1]; length--)
			;
		if (!encrypted)
			continue;
		/* Compressed first, and zeroes after it. */
		ASSERT_GE(kinds[i] == SV_TEXT ? SV_PAGE / 4 : SV_PAGE, length);
		ASSERT_LE(kinds[i] == SV_TEXT ? 16 : SV_PAGE - 8, length);
		/* Each write is encrypted anew, with not one block alike. */
		ASSERT_FALSE(shows(self->before, self->now) && kinds[i] == SV_RANDOM);
		ASSERT_NE(0, memcmp(self->before, self->now, 16));
		ASSERT_TRUE(sv_check(watched(self->map), kinds[i], WATCHED, 1));
	}
}

/* Pages come encrypted to the driver ram, and take as little as they did before. */
TEST_F(secret, compressed_in_ram)
{
	int fd = sv_create_flags(variant->flags, "ram", PAGES, SV_NO_LIMIT);
	char *map = sv_map_rw(fd, PAGES);

	sv_fill_range(map, 0, PAGES, SV_TEXT, 1);
	ASSERT_TRUE(sv_pageout_all(fd));
	ASSERT_GT(PAGES * SV_PAGE / 4, SV_STAT(fd, stored_bytes));
	ASSERT_LT(0, SV_STAT(fd, stored_bytes));
	ASSERT_EQ(0, sv_check_range(map, 0, PAGES, SV_TEXT, 1));
	sv_fill_range(map, 0, PAGES, SV_RANDOM, 2);
	ASSERT_TRUE(sv_wait_for(sv_pageout(fd, 0, PAGES) >= 0 &&
				SV_STAT(fd, stored_bytes) >= PAGES * SV_PAGE / 2));
	ASSERT_EQ(0, sv_check_range(map, 0, PAGES, SV_RANDOM, 2));
	sv_unmap(map, PAGES);
	close(fd);
}

SV_TEST_MAIN
