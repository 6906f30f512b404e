// SPDX-License-Identifier: GPL-2.0
/*
 * The drivers block, file and shmem: what they stored comes back, slots are used
 * again, a store that is full loses nothing, and what holds the pages is not to
 * be touched while it does.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>

#include "kselftest_harness.h"
#include "swapvma_store.h"
#include "swapvma_util.h"

#define LIMIT		SV_BATCH
#define PAGES		(8 * LIMIT)
/* Slots for each page and its next copy, and to spare. */
#define MEGABYTES	8
#define SLOTS		(MEGABYTES << 8)
#define ZRAM		"/dev/zram0"
#define RECLAIM		"/sys/fs/cgroup/memory.reclaim"

FIXTURE(stores)
{
	struct sv_baseline base;
	struct sv_store store;
	bool skipped;
	char *map;
	int fd;
};

FIXTURE_VARIANT(stores)
{
	enum sv_store_kind kind;
	bool is_like_others;	/* left out unless there is time */
};

FIXTURE_VARIANT_ADD(stores, loop)
{
	.kind = SV_LOOP, .is_like_others = true,
};

FIXTURE_VARIANT_ADD(stores, null_blk)
{
	.kind = SV_NULL,
};

FIXTURE_VARIANT_ADD(stores, virtio)
{
	.kind = SV_VIRTIO,
};

FIXTURE_VARIANT_ADD(stores, nbd)
{
	.kind = SV_NBD, .is_like_others = true,
};

FIXTURE_VARIANT_ADD(stores, ext4)
{
	.kind = SV_EXT4, .is_like_others = true,
};

FIXTURE_VARIANT_ADD(stores, ext4_1k)
{
	.kind = SV_EXT4_1K,
};

FIXTURE_VARIANT_ADD(stores, xfs)
{
	.kind = SV_XFS, .is_like_others = true,
};

FIXTURE_VARIANT_ADD(stores, shmem)
{
	.kind = SV_SHMEM,
};

FIXTURE_SETUP(stores)
{
	const char *missing = sv_store_missing(variant->kind);

	if (variant->is_like_others && !sv_long())
		missing = "SWAPVMA_LONG=1 runs it";
	self->skipped = missing;
	if (missing)
		SKIP(return, "%s", missing);
	sv_begin(&self->base);
	sv_store_make(&self->store, variant->kind, MEGABYTES);
	self->fd = sv_try_create_with(self->store.driver, self->store.options, PAGES, LIMIT);
	ASSERT_LE(0, self->fd);
	self->map = sv_map_rw(self->fd, PAGES);
}

/* The region goes away with the test's process, on its way out. */
FIXTURE_TEARDOWN_PARENT(stores)
{
	if (self->skipped)
		return;
	if (variant->kind == SV_SHMEM && !swapoff(ZRAM))
		sv_write_file("/sys/block/zram0/reset", "1");
	EXPECT_TRUE(sv_store_end(&self->store));
	EXPECT_TRUE(sv_end(&self->base));
}

/* Nothing failed, and the test went through the driver. */
#define ASSERT_SWAPPED()						\
	do {								\
		struct swapvma_stats stats;				\
									\
		sv_stats(self->fd, &stats);				\
		ASSERT_LT(PAGES / 2, stats.swapouts);			\
		ASSERT_LT(PAGES / 2, stats.swapins);			\
		ASSERT_EQ(0, stats.write_failures);			\
		ASSERT_EQ(0, stats.read_failures);			\
		ASSERT_EQ(0, stats.abandoned);				\
	} while (0)

TEST_F_TIMEOUT(stores, page_by_page, SV_LONG_TIMEOUT)
{
	uint64_t gen;

	for (gen = 1; gen <= 4; gen++) {
		sv_fill_range(self->map, 0, PAGES, SV_RANDOM, gen);
		ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_RANDOM, gen));
	}
	ASSERT_SWAPPED();
}

struct worker {
	char *map;
	size_t first;
	size_t bad;
};

/* Owns every second page; neighbours belong to the other worker. */
static void *work(void *arg)
{
	struct worker *worker = arg;
	uint64_t gen[PAGES] = { 0 }, seed = 0x1000 + worker->first;
	size_t n;

	for (n = 0; n < 4 * PAGES; n++) {
		size_t i = sv_random(&seed) % (PAGES / 2) * 2 + worker->first;
		char *page = worker->map + i * SV_PAGE;

		if (sv_random(&seed) % 2)
			sv_fill(page, SV_RANDOM, i, ++gen[i]);
		else
			worker->bad += !sv_check(page, gen[i] ? SV_RANDOM : SV_ZERO, i, gen[i]);
	}
	return NULL;
}

static size_t run_workers(char *map)
{
	struct worker workers[2] = { { map, 0, 0 }, { map, 1, 0 } };
	pthread_t threads[2];
	size_t i;

	for (i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, work, &workers[i]))
			sv_die("pthread_create");
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	return workers[0].bad + workers[1].bad;
}

TEST_F_TIMEOUT(stores, two_threads, SV_LONG_TIMEOUT)
{
	ASSERT_EQ(0, run_workers(self->map));
	ASSERT_SWAPPED();
}

/* Anonymous memory until little is free: everybody reclaims. */
static void hog(void)
{
	size_t bytes = (sv_meminfo_kb("MemAvailable:") / 10 * 8) << 10;
	char *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	size_t i = 0;

	if (map == MAP_FAILED)
		_exit(1);
	for (;;) {
		map[i % bytes]++;
		i += SV_PAGE;
	}
}

/* lockdep watches, and the kernel log must stay empty. */
TEST_F_TIMEOUT(stores, under_pressure, SV_LONG_TIMEOUT)
{
	pid_t child = sv_fork();

	if (!child)
		hog();
	ASSERT_EQ(0, run_workers(self->map));
	ASSERT_TRUE(sv_write_file("/proc/sys/vm/drop_caches", "3"));
	ASSERT_EQ(0, run_workers(self->map));
	kill(child, SIGKILL);
	sv_reap(child);
	ASSERT_SWAPPED();
}

/* Each slot is used over and over, and given back in the end. */
TEST_F_TIMEOUT(stores, slots_are_used_again, SV_LONG_TIMEOUT)
{
	uint64_t gen;

	for (gen = 1; gen <= 2 * SLOTS / PAGES; gen++) {
		sv_fill_range(self->map, 0, PAGES, SV_RANDOM, gen);
		ASSERT_TRUE(sv_pageout_all(self->fd));
		ASSERT_EQ(PAGES * SV_PAGE, SV_STAT(self->fd, stored_bytes));
		ASSERT_EQ(0, ftruncate(self->fd, 0));
		ASSERT_TRUE(sv_wait_for(!SV_STAT(self->fd, stored_bytes)));
		ASSERT_EQ(0, ftruncate(self->fd, PAGES * SV_PAGE));
		ASSERT_EQ(0, sv_check_zero(self->map, 0, PAGES));
	}
	ASSERT_EQ(0, SV_STAT(self->fd, no_space));
}

/* What does not fit stays in memory, and goes out when there is room. */
TEST_F_TIMEOUT(stores, full, SV_LONG_TIMEOUT)
{
	size_t more = SLOTS + SV_BATCH;
	char *map;

	if (variant->kind == SV_VIRTIO)
		SKIP(return, "a small device is needed");
	ASSERT_EQ(0, sv_set_limit(self->fd, SV_NO_LIMIT));
	ASSERT_EQ(0, ftruncate(self->fd, more * SV_PAGE));
	map = sv_map_rw(self->fd, more);
	sv_fill_range(map, 0, more, SV_RANDOM, 1);
	ASSERT_TRUE(sv_wait_for(sv_pageout(self->fd, 0, more) >= 0 &&
				SV_STAT(self->fd, stored_bytes) == SLOTS * SV_PAGE));
	ASSERT_TRUE(sv_wait_for(sv_pageout(self->fd, 0, more) >= 0 &&
				SV_STAT(self->fd, no_space)));
	ASSERT_EQ(SV_BATCH, SV_STAT(self->fd, resident));
	ASSERT_EQ(0, SV_STAT(self->fd, write_failures));
	ASSERT_EQ(0, sv_punch(self->fd, 0, 2 * SV_BATCH));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, sv_check_range(map, 2 * SV_BATCH, more - 2 * SV_BATCH, SV_RANDOM, 1));
}

/* Slots are where the file has blocks: a filesystem without room is none of ours. */
TEST_F_TIMEOUT(stores, filesystem_full, SV_LONG_TIMEOUT)
{
	static const char zeroes[64 << 10];
	char path[PATH_MAX + 8];
	ssize_t n;
	int fd;

	if (strcmp(self->store.driver, "file") || variant->kind == SV_XFS)
		SKIP(return, "a small filesystem is needed");
	snprintf(path, sizeof(path), "%s.filler", self->store.path);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_LE(0, fd);
	while ((n = write(fd, zeroes, sizeof(zeroes))) > 0)
		;
	ASSERT_EQ(-1, n);
	ASSERT_EQ(ENOSPC, errno);
	sv_fill_range(self->map, 0, PAGES, SV_RANDOM, 1);
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, SV_STAT(self->fd, no_space));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_RANDOM, 1));
	ASSERT_SWAPPED();
	ASSERT_EQ(0, close(fd));
}

/* Requests and sectors that were written or discarded; see block/stat.rst. */
static bool read_io(const struct sv_store *store, unsigned long io[4])
{
	char path[PATH_MAX], text[256];

	snprintf(path, sizeof(path), "/sys/block/%.64s/stat", strrchr(store->path, '/') + 1);
	return sv_read_file(path, text, sizeof(text)) &&
	       sscanf(text, "%*u %*u %*u %*u %lu %*u %lu %*u %*u %*u %*u %lu %*u %lu",
		      &io[0], &io[1], &io[2], &io[3]) == 4;
}

/* A batch is one request, and so is the news that a cluster is free. */
TEST_F_TIMEOUT(stores, few_requests, SV_LONG_TIMEOUT)
{
	unsigned long before[4], after[4];

	if (variant->kind != SV_NULL)
		SKIP(return, "a device that nobody else uses is needed");
	ASSERT_EQ(0, sv_set_limit(self->fd, SV_NO_LIMIT));
	sv_fill_range(self->map, 0, PAGES, SV_RANDOM, 1);
	ASSERT_TRUE(read_io(&self->store, before));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, ftruncate(self->fd, 0));
	ASSERT_TRUE(sv_wait_for(read_io(&self->store, after) &&
				after[3] - before[3] == PAGES * SV_PAGE / 512));
	ASSERT_EQ(PAGES * SV_PAGE / 512, after[1] - before[1]);
	ASSERT_GE(2 * PAGES / SV_BATCH, after[0] - before[0]);
	ASSERT_EQ(PAGES / SV_BATCH, after[2] - before[2]);
}

/* A device that was told of free slots gives the memory of its own back. */
TEST_F_TIMEOUT(stores, discard, SV_LONG_TIMEOUT)
{
	char path[PATH_MAX + 8];
	struct stat st;

	if (variant->kind != SV_LOOP)
		SKIP(return, "only a loop device shows what it holds");
	snprintf(path, sizeof(path), "%.4000s/loop", self->store.under);
	sv_fill_range(self->map, 0, PAGES, SV_RANDOM, 1);
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, stat(path, &st));
	ASSERT_LE(PAGES * SV_PAGE / 512, st.st_blocks);
	ASSERT_EQ(0, ftruncate(self->fd, 0));
	ASSERT_TRUE(sv_wait_for(!stat(path, &st) && st.st_blocks < SV_BATCH * SV_PAGE / 512));
}

/* Shared memory goes on to the kernel's swap, and comes back from there. */
TEST_F_TIMEOUT(stores, kernel_swaps_them, SV_LONG_TIMEOUT)
{
	uint64_t before = sv_vmstat("pswpout"), swapins = sv_vmstat("pswpin");

	if (variant->kind != SV_SHMEM)
		SKIP(return, "only shared memory is swapped");
	if (access(RECLAIM, W_OK) || !sv_write_file("/sys/block/zram0/disksize", "32M") ||
	    sv_run("mkswap", ZRAM, NULL) || swapon(ZRAM, 0))
		SKIP(return, "cgroup v2, zram and mkswap are needed");
	sv_fill_range(self->map, 0, PAGES, SV_RANDOM, 1);
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_TRUE(sv_wait_for((sv_write_file(RECLAIM, "8M swappiness=max"),
				 sv_vmstat("pswpout") - before >= PAGES / 2)));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_RANDOM, 1));
	ASSERT_LE(PAGES / 2, sv_vmstat("pswpin") - swapins);
	ASSERT_EQ(0, ftruncate(self->fd, 0));
	ASSERT_TRUE(sv_wait_for(!SV_STAT(self->fd, stored_bytes)));
}

/* What holds the pages is not to be had by others meanwhile. */
TEST_F(stores, in_use)
{
	const char *path = self->store.path;
	int fd;

	if (variant->kind == SV_SHMEM)
		SKIP(return, "nobody else can reach it");
	ASSERT_EQ(-EBUSY, sv_try_create_with(self->store.driver, self->store.options, PAGES, LIMIT));
	if (strcmp(self->store.driver, "file")) {
		ASSERT_EQ(-1, open(path, O_RDWR | O_EXCL));
		ASSERT_EQ(EBUSY, errno);
		return;
	}
	fd = open(path, O_RDWR);
	ASSERT_LE(0, fd);
	ASSERT_EQ(-1, write(fd, "x", 1));
	ASSERT_EQ(ETXTBSY, errno);
	ASSERT_EQ(-1, ftruncate(fd, 0));
	ASSERT_EQ(ETXTBSY, errno);
	ASSERT_EQ(-1, fallocate(fd, 0, 0, SV_PAGE));
	ASSERT_EQ(ETXTBSY, errno);
	ASSERT_EQ(MAP_FAILED, mmap(NULL, SV_PAGE, PROT_WRITE, MAP_SHARED, fd, 0));
	ASSERT_EQ(ETXTBSY, errno);
	ASSERT_EQ(-1, unlink(path));
	ASSERT_EQ(EPERM, errno);
	/* When the region is gone the file is one like any other. */
	sv_unmap(self->map, PAGES);
	ASSERT_EQ(0, close(self->fd));
	ASSERT_TRUE(sv_wait_for(!ftruncate(fd, 0)));
	ASSERT_EQ(1, write(fd, "x", 1));
	ASSERT_EQ(0, close(fd));
}

SV_TEST_MAIN
