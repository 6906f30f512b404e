// SPDX-License-Identifier: GPL-2.0
/*
 * The map in debugfs: a byte per page that says where it is, compared with what
 * was done to the pages; regions of any size, in pieces.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "swapvma_util.h"

#define PAGES		(4 * SV_BATCH)
#define REGION_SHIFT	37

/* More than any machine has memory. */
#define HUGE		(1UL << 28)

static uint64_t id_of(int fd)
{
	char path[PATH_MAX], info[8192];
	uint64_t id;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	if (!sv_read_file(path, info, sizeof(info)) || !sv_find_value(info, "swapvma_region", &id))
		sv_die("no swapvma_region in %s", path);
	return id;
}

/* Pages @first to @first + @nr - 1 of region @id: the bytes read, or -errno. */
static ssize_t read_map(uint64_t id, size_t first, char *map, size_t nr)
{
	int fd = open(SV_DEBUG "map", O_RDONLY | O_CLOEXEC);
	ssize_t ret;

	if (fd < 0)
		sv_die(SV_DEBUG "map: %s", strerror(errno));
	ret = pread(fd, map, nr, (id << REGION_SHIFT) + first);
	ret = ret < 0 ? -errno : ret;
	close(fd);
	return ret;
}

/* How many of the pages have one of @letters. */
static size_t count(int fd, size_t first, size_t nr, const char *letters)
{
	char map[PAGES];
	size_t i, found = 0;
	ssize_t ret = read_map(id_of(fd), first, map, nr);

	if (ret != (ssize_t)nr)
		sv_die("%zd of %zu pages in the map", ret, nr);
	for (i = 0; i < nr; i++)
		found += !!memchr(letters, map[i], strlen(letters));
	return found;
}

#define EXPECT_ALL(letters, first, nr)	\
	EXPECT_EQ(nr, count(self->region.fd, first, nr, letters))

FIXTURE(map)
{
	struct sv_region region;
};

FIXTURE_SETUP(map)
{
	sv_set_up(&self->region, PAGES, "deadline_ms=60000");
}

FIXTURE_TEARDOWN_PARENT(map)
{
	EXPECT_TRUE(sv_end_quarantined(&self->region.base));
}

TEST_F(map, life_of_a_page)
{
	char *map = self->region.map;
	int fd = self->region.fd;

	EXPECT_ALL("D", 0, PAGES);
	ASSERT_EQ(0, fsync(fd));
	EXPECT_ALL("C", 0, PAGES);
	ASSERT_EQ(SV_BATCH, sv_pageout(fd, SV_BATCH, SV_BATCH));
	EXPECT_ALL("C", 0, SV_BATCH);
	EXPECT_ALL("s", SV_BATCH, SV_BATCH);
	/* Read, and then written to. */
	ASSERT_EQ(0, sv_check_range(map, SV_BATCH + 3, 2, SV_TEXT, 1));
	EXPECT_ALL("C", SV_BATCH + 3, 2);
	sv_fill_range(map, SV_BATCH + 4, 1, SV_TEXT, 2);
	EXPECT_ALL("C", SV_BATCH + 3, 1);
	EXPECT_ALL("D", SV_BATCH + 4, 1);
	EXPECT_ALL("s", SV_BATCH + 5, SV_BATCH - 5);
	sv_fill_range(map, 7, 1, SV_SAME, 2);
	ASSERT_EQ(1, sv_pageout(fd, 7, 1));
	EXPECT_ALL("=", 7, 1);
	ASSERT_EQ(0, sv_punch(fd, 6, 3));
	EXPECT_ALL("C", 0, 6);
	EXPECT_ALL(".", 6, 3);
	EXPECT_ALL("C", 9, SV_BATCH - 9);
	/* Reading the map changed nothing. */
	ASSERT_EQ(0, sv_check_range(map, 0, 6, SV_TEXT, 1));
	ASSERT_EQ(0, sv_check_zero(map, 6, 3));
}

TEST_F(map, writing)
{
	struct sv_pageout_thread pageout;

	sv_set("block", 1);
	sv_pageout_start(&pageout, self->region.fd, 0, SV_BATCH);
	ASSERT_TRUE(sv_wait_for(sv_get("blocked") == 1));
	EXPECT_ALL("W", 0, SV_BATCH);
	EXPECT_ALL("D", SV_BATCH, SV_BATCH);
	/* A store takes a page out of the batch. */
	sv_fill_range(self->region.map, 5, 1, SV_TEXT, 2);
	EXPECT_ALL("D", 5, 1);
	sv_set("block", 0);
	ASSERT_EQ(SV_BATCH - 1, sv_pageout_join(&pageout));
	EXPECT_ALL("s", 0, 5);
	EXPECT_ALL("D", 5, 1);
	EXPECT_ALL("s", 6, SV_BATCH - 6);
}

static void *touch_thread(void *addr)
{
	return (void *)(intptr_t)sv_touch_read(addr);
}

TEST_F(map, reading)
{
	pthread_t thread;
	void *sig;

	ASSERT_TRUE(sv_pageout_all(self->region.fd));
	sv_set("block_read", 1);
	ASSERT_EQ(0, pthread_create(&thread, NULL, touch_thread, self->region.map + 9 * SV_PAGE));
	ASSERT_TRUE(sv_wait_for(sv_get("blocked_reads") == 1));
	EXPECT_ALL("R", 9, 1);
	EXPECT_EQ(1, count(self->region.fd, 0, PAGES, "R"));
	sv_set("block_read", 0);
	ASSERT_EQ(0, pthread_join(thread, &sig));
	ASSERT_EQ(NULL, sig);
	EXPECT_ALL("C", 9, 1);
	EXPECT_EQ(PAGES - 1, count(self->region.fd, 0, PAGES, "s"));
}

static void *limit_thread(void *fd)
{
	return (void *)(intptr_t)sv_set_limit((intptr_t)fd, SV_BATCH);
}

/* The clock came by, and then somebody touches the page again. */
TEST_F(map, aged)
{
	char map[PAGES], *old;
	pthread_t thread;
	void *error;

	sv_set("block", 1);
	ASSERT_EQ(0, pthread_create(&thread, NULL, limit_thread,
				    (void *)(intptr_t)self->region.fd));
	ASSERT_TRUE(sv_wait_for(sv_get("blocked") == 1));
	ASSERT_EQ(PAGES, read_map(id_of(self->region.fd), 0, map, PAGES));
	old = memchr(map, 'd', PAGES);
	ASSERT_NE(NULL, old);
	ASSERT_EQ(0, sv_touch_read(self->region.map + (old - map) * SV_PAGE));
	EXPECT_ALL("D", old - map, 1);
	sv_set("block", 0);
	ASSERT_EQ(0, pthread_join(thread, &error));
	ASSERT_EQ(NULL, error);
}

TEST_F(map, poisoned)
{
	if (madvise(self->region.map + 5 * SV_PAGE, SV_PAGE, MADV_HWPOISON) && errno == EINVAL)
		SKIP(return, "no MADV_HWPOISON");
	/* The mark is the page's until somebody finds it. */
	ASSERT_EQ(0, madvise(self->region.map, PAGES * SV_PAGE, MADV_DONTNEED));
	ASSERT_EQ(SIGBUS, sv_touch_read(self->region.map + 5 * SV_PAGE));
	ASSERT_LE(0, sv_pageout(self->region.fd, 5, 1));
	EXPECT_ALL("X", 5, 1);
	EXPECT_EQ(PAGES - 1, count(self->region.fd, 0, PAGES, "D"));
}

/* Nobody has to read all of it. */
TEST_F(map, in_pieces)
{
	static char piece[1 << 20];
	int fd = sv_create("test", "", HUGE, SV_NO_LIMIT);
	char *map = mmap(NULL, SV_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			 (HUGE - 2) * SV_PAGE);
	uint64_t kb, id = id_of(fd);
	size_t i;

	ASSERT_NE(MAP_FAILED, map);
	sv_fill(map, SV_TEXT, HUGE - 2, 1);
	kb = sv_debug("table_bytes");
	/* Short at the end, and nothing past it. */
	ASSERT_EQ(4, read_map(id, HUGE - 4, piece, sizeof(piece)));
	ASSERT_EQ(0, memcmp("..D.", piece, 4));
	ASSERT_EQ(0, read_map(id, HUGE, piece, 1));
	ASSERT_EQ(0, read_map(id, HUGE + 12345, piece, sizeof(piece)));
	/* Where nothing was ever touched. */
	ASSERT_EQ(sizeof(piece), read_map(id, HUGE / 2 - 7, piece, sizeof(piece)));
	for (i = 0; i < sizeof(piece); i++)
		ASSERT_EQ('.', piece[i]);
	ASSERT_EQ(0, read_map(id, 0, piece, 0));
	ASSERT_EQ(1, read_map(id, HUGE - 2, piece, 1));
	ASSERT_EQ('D', piece[0]);
	ASSERT_EQ(kb, sv_debug("table_bytes"));
	/* The piece of another region has nothing of this one. */
	EXPECT_ALL("D", 0, PAGES);
	sv_unmap(map, 1);
	close(fd);
	ASSERT_TRUE(sv_wait_for(read_map(id, 0, piece, 1) == -ENOENT));
}

TEST_F(map, nonsense)
{
	uint64_t id = id_of(self->region.fd);
	char byte;

	EXPECT_EQ(-ENOENT, read_map(0, 0, &byte, 1));
	EXPECT_EQ(-ENOENT, read_map(id + 1, 0, &byte, 1));
	EXPECT_EQ(-EINVAL, read_map(1UL << 26, 0, &byte, 1));
	EXPECT_EQ(-EFAULT, read_map(id, 0, NULL, PAGES));
	EXPECT_FALSE(sv_write_file(SV_DEBUG "map", "D"));
	/* Of a region, into the same region. */
	ASSERT_TRUE(sv_pageout_all(self->region.fd));
	EXPECT_EQ(PAGES, read_map(id, 0, self->region.map, PAGES));
	EXPECT_EQ(PAGES, strspn(self->region.map, "sRD"));
}

struct looker {
	pthread_t thread;
	uint64_t id, rounds, bad;
	bool stop;
};

static void *look_on(void *arg)
{
	struct looker *l = arg;
	char map[PAGES];
	size_t i;

	while (!__atomic_load_n(&l->stop, __ATOMIC_ACQUIRE)) {
		l->bad += read_map(l->id, 0, map, PAGES) != PAGES;
		for (i = 0; i < PAGES; i++)
			l->bad += !memchr("DdCcWsR", map[i], 7);
		l->rounds++;
	}
	return NULL;
}

/* While everything is on the move, and nothing is lost by it. */
TEST_F(map, in_use)
{
	struct looker looker = { .id = id_of(self->region.fd) };
	uint64_t end = sv_now_ms() + (sv_long() ? 20000 : 1500), gen = 1;

	ASSERT_EQ(0, sv_set_limit(self->region.fd, SV_BATCH));
	ASSERT_EQ(0, pthread_create(&looker.thread, NULL, look_on, &looker));
	for (; sv_now_ms() < end; gen++) {
		ASSERT_EQ(0, sv_check_range(self->region.map, 0, PAGES, SV_TEXT, gen));
		sv_fill_range(self->region.map, 0, PAGES, SV_TEXT, gen + 1);
	}
	__atomic_store_n(&looker.stop, true, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_join(looker.thread, NULL));
	EXPECT_EQ(0, looker.bad);
	EXPECT_LT(1, looker.rounds);
	ASSERT_EQ(0, sv_check_range(self->region.map, 0, PAGES, SV_TEXT, gen));
}

SV_TEST_MAIN
