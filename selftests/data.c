// SPDX-License-Identifier: GPL-2.0
/*
 * Data survives: every page of a region eight times its limit, in any order of
 * access, from threads and processes, for every built-in algorithm, the test
 * driver and, with SWAPVMA_LONG=1, every other driver on all that it can keep pages
 * on. Readers look through a shared or a private mapping.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "swapvma_store.h"
#include "swapvma_util.h"

#define LIMIT		SV_BATCH
/* Slots for each page and its next copy, and to spare. */
#define MEGABYTES	64

FIXTURE(data)
{
	struct sv_baseline base;
	size_t pages;
	int fd;
	char *w;	/* shared, to write */
	char *r;	/* to read */
	uint8_t *gen;	/* generation of each page */
	struct sv_store store;
	bool skipped;
};

FIXTURE_VARIANT(data)
{
	const char *driver, *algorithm;	/* or else @kind */
	enum sv_store_kind kind;
	int flags;
};

FIXTURE_VARIANT_ADD(data, lz4)
{
	.driver = "ram", .algorithm = "lz4", .flags = MAP_SHARED,
};

FIXTURE_VARIANT_ADD(data, zstd)
{
	.driver = "ram", .algorithm = "zstd", .flags = MAP_SHARED,
};

FIXTURE_VARIANT_ADD(data, lzo)
{
	.driver = "ram", .algorithm = "lzo", .flags = MAP_SHARED,
};

FIXTURE_VARIANT_ADD(data, lz4_private)
{
	.driver = "ram", .algorithm = "lz4", .flags = MAP_PRIVATE,
};

FIXTURE_VARIANT_ADD(data, test)
{
	.driver = "test", .algorithm = "", .flags = MAP_SHARED,
};

FIXTURE_VARIANT_ADD(data, test_private)
{
	.driver = "test", .algorithm = "", .flags = MAP_PRIVATE,
};

FIXTURE_VARIANT_ADD(data, loop)
{
	.kind = SV_LOOP, .flags = MAP_SHARED,
};

FIXTURE_VARIANT_ADD(data, loop_private)
{
	.kind = SV_LOOP, .flags = MAP_PRIVATE,
};

FIXTURE_VARIANT_ADD(data, null_blk)
{
	.kind = SV_NULL, .flags = MAP_SHARED,
};

FIXTURE_VARIANT_ADD(data, null_blk_private)
{
	.kind = SV_NULL, .flags = MAP_PRIVATE,
};

FIXTURE_VARIANT_ADD(data, virtio)
{
	.kind = SV_VIRTIO, .flags = MAP_SHARED,
};

FIXTURE_VARIANT_ADD(data, virtio_private)
{
	.kind = SV_VIRTIO, .flags = MAP_PRIVATE,
};

FIXTURE_VARIANT_ADD(data, nbd)
{
	.kind = SV_NBD, .flags = MAP_SHARED,
};

FIXTURE_VARIANT_ADD(data, nbd_private)
{
	.kind = SV_NBD, .flags = MAP_PRIVATE,
};

FIXTURE_VARIANT_ADD(data, ext4)
{
	.kind = SV_EXT4, .flags = MAP_SHARED,
};

FIXTURE_VARIANT_ADD(data, ext4_private)
{
	.kind = SV_EXT4, .flags = MAP_PRIVATE,
};

FIXTURE_VARIANT_ADD(data, ext4_1k)
{
	.kind = SV_EXT4_1K, .flags = MAP_SHARED,
};

FIXTURE_VARIANT_ADD(data, ext4_1k_private)
{
	.kind = SV_EXT4_1K, .flags = MAP_PRIVATE,
};

FIXTURE_VARIANT_ADD(data, xfs)
{
	.kind = SV_XFS, .flags = MAP_SHARED,
};

FIXTURE_VARIANT_ADD(data, xfs_private)
{
	.kind = SV_XFS, .flags = MAP_PRIVATE,
};

FIXTURE_VARIANT_ADD(data, shmem)
{
	.kind = SV_SHMEM, .flags = MAP_SHARED,
};

FIXTURE_VARIANT_ADD(data, shmem_private)
{
	.kind = SV_SHMEM, .flags = MAP_PRIVATE,
};

FIXTURE_SETUP(data)
{
	const char *missing = NULL;

	if (!variant->driver)
		missing = sv_long() ? sv_store_missing(variant->kind) : "SWAPVMA_LONG=1 runs it";
	self->skipped = missing;
	if (missing)
		SKIP(return, "%s", missing);
	sv_begin(&self->base);
	self->pages = sv_scale(8 * LIMIT);
	if (variant->driver) {
		/* The store of the test driver bounds its regions. */
		if (!strcmp(variant->driver, "test"))
			self->pages = 8 * LIMIT;
		self->fd = sv_create(variant->driver, variant->algorithm, self->pages, LIMIT);
	} else {
		sv_store_make(&self->store, variant->kind, MEGABYTES);
		self->fd = sv_try_create_with(self->store.driver, self->store.options,
					      self->pages, LIMIT);
		ASSERT_LE(0, self->fd);
	}
	self->w = sv_map_rw(self->fd, self->pages);
	self->r = sv_map(self->fd, self->pages, PROT_READ, variant->flags);
	self->gen = calloc(self->pages, 1);
	ASSERT_NE(NULL, self->gen);
}

FIXTURE_TEARDOWN_PARENT(data)
{
	if (self->skipped)
		return;
	if (!variant->driver)
		EXPECT_TRUE(sv_store_end(&self->store));
	EXPECT_TRUE(sv_end(&self->base));
}

/* Kinds alternate, so that batches mix what compresses with what does not. */
static enum sv_kind kind_of(size_t i)
{
	return i % SV_KINDS;
}

static void write_page(FIXTURE_DATA(data) *self, size_t i)
{
	self->gen[i]++;
	sv_fill(self->w + i * SV_PAGE, kind_of(i), i, self->gen[i]);
}

/* A page that nobody wrote is zero. */
static bool page_ok(FIXTURE_DATA(data) *self, size_t i)
{
	return sv_check(self->r + i * SV_PAGE, self->gen[i] ? kind_of(i) : SV_ZERO, i,
			self->gen[i]);
}

static size_t count_bad(FIXTURE_DATA(data) *self)
{
	size_t i, bad = 0;

	for (i = 0; i < self->pages && bad < 8; i++)
		bad += !page_ok(self, i);
	return bad;
}

/*
 * The test went through the driver, kept to the limit, and lost nothing. A page that
 * somebody held for a moment, as the other processor does until it flushed its TLB,
 * did not count then; it does again when that lets go, whatever came in for it.
 */
#define ASSERT_SWAPPED(held)							\
	do {									\
		struct swapvma_stats stats;					\
										\
		sv_stats(self->fd, &stats);					\
		ASSERT_LT(self->pages / 8, stats.swapouts);			\
		ASSERT_LT(self->pages / 8, stats.swapins);			\
		ASSERT_LT(0, stats.same_filled);				\
		ASSERT_EQ(0, stats.read_failures);				\
		ASSERT_EQ(0, stats.write_failures);				\
		ASSERT_EQ(0, stats.abandoned);					\
		ASSERT_EQ(0, stats.over_limit);					\
		ASSERT_GE(LIMIT + (held), stats.resident_peak);			\
	} while (0)

TEST_F_TIMEOUT(data, sequential, SV_LONG_TIMEOUT)
{
	size_t i;

	for (i = 0; i < self->pages; i++)
		write_page(self, i);
	ASSERT_EQ(0, count_bad(self));
	for (i = 1; i < self->pages; i += 2)
		write_page(self, i);
	ASSERT_EQ(0, count_bad(self));
	ASSERT_SWAPPED(0);
}

TEST_F_TIMEOUT(data, random, SV_LONG_TIMEOUT)
{
	uint64_t seed = 0x5eed;
	size_t n;

	for (n = 0; n < 3 * self->pages; n++) {
		size_t i = sv_random(&seed) % self->pages;

		if (sv_random(&seed) % 2)
			write_page(self, i);
		else
			ASSERT_TRUE(page_ok(self, i));
	}
	ASSERT_EQ(0, count_bad(self));
	ASSERT_SWAPPED(0);
}

/* 7 and 131 are coprime with the number of pages: every page is met once. */
TEST_F_TIMEOUT(data, strided, SV_LONG_TIMEOUT)
{
	size_t n;

	for (n = 0; n < self->pages; n++)
		write_page(self, n * 7 % self->pages);
	for (n = 0; n < self->pages; n++)
		ASSERT_TRUE(page_ok(self, n * 131 % self->pages));
	ASSERT_EQ(0, count_bad(self));
	ASSERT_SWAPPED(0);
}

/* Everything out at once and back in, twice; the second time with new data. */
TEST_F_TIMEOUT(data, all_out_all_in, SV_LONG_TIMEOUT)
{
	size_t i, round;

	for (round = 0; round < 2; round++) {
		for (i = 0; i < self->pages; i++)
			write_page(self, i);
		ASSERT_TRUE(sv_pageout_all(self->fd));
		ASSERT_LT(0, SV_STAT(self->fd, swapped));
		ASSERT_EQ(0, count_bad(self));
	}
	ASSERT_SWAPPED(0);
}

struct worker {
	FIXTURE_DATA(data) *self;
	size_t first;
	size_t bad;
};

/* Owns every second page; neighbours belong to the other worker. */
static size_t work(FIXTURE_DATA(data) *self, size_t first)
{
	uint64_t seed = 0x1000 + first;
	size_t n, bad = 0;

	for (n = 0; n < 2 * self->pages; n++) {
		size_t i = (sv_random(&seed) % (self->pages / 2)) * 2 + first;

		if (sv_random(&seed) % 2)
			write_page(self, i);
		else
			bad += !page_ok(self, i);
	}
	return bad;
}

static void *work_thread(void *arg)
{
	struct worker *w = arg;

	w->bad = work(w->self, w->first);
	return NULL;
}

TEST_F_TIMEOUT(data, two_threads, SV_LONG_TIMEOUT)
{
	struct worker workers[2] = { { self, 0, 0 }, { self, 1, 0 } };
	pthread_t threads[2];
	size_t i;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, work_thread, &workers[i]));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
	ASSERT_EQ(0, workers[0].bad);
	ASSERT_EQ(0, workers[1].bad);
	ASSERT_EQ(0, count_bad(self));
	ASSERT_SWAPPED(0);
}

TEST_F_TIMEOUT(data, two_processes, SV_LONG_TIMEOUT)
{
	uint8_t *gen = sv_shared(self->pages);
	pid_t children[2];
	size_t i;

	free(self->gen);
	self->gen = gen;
	for (i = 0; i < 2; i++) {
		children[i] = sv_fork();
		if (!children[i])
			_exit(work(self, i) ? 1 : 0);
	}
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, sv_reap(children[i]));
	ASSERT_EQ(0, count_bad(self));
	ASSERT_SWAPPED(SV_BATCH);
}

SV_TEST_MAIN
