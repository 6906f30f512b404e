// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that is to be movable: what a region has in memory is never allocated there,
 * so that a block of ZONE_MOVABLE goes offline and a contiguous area is had, however
 * many pages regions have. A block that holds such pages stays, with what is in it.
 *
 * Needs the kernel parameters "movablecore=320M cma=32M": scripts/test offline.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "swapvma_util.h"

#define MEMORY	"/sys/devices/system/memory/"
#define CMA	"/sys/kernel/debug/cma/reserved/"
#define BLOCKS	64
/* More than a block. */
#define PAGES	(640 * SV_BATCH)
#define SECONDS	300

FIXTURE(offline)
{
	struct sv_baseline base;
	char *map;
	int fd;
};

/* Whether what @file says of a block begins with @word. */
static bool block_is(unsigned int block, const char *file, const char *word)
{
	char path[128], text[128];

	snprintf(path, sizeof(path), MEMORY "memory%u/%s", block, file);
	return sv_read_file(path, text, sizeof(text)) && !strncmp(text, word, strlen(word));
}

/* Blocks that are of ZONE_MOVABLE. */
static unsigned int find_movable(unsigned int *blocks)
{
	unsigned int i, nr = 0;

	for (i = 0; i < BLOCKS; i++)
		if (block_is(i, "state", "online") && block_is(i, "valid_zones", "Movable"))
			blocks[nr++] = i;
	return nr;
}

/*
 * 0 or -errno; -EINTR for what does not end by itself, which is what becomes of an
 * unmovable page in ZONE_MOVABLE. A block with a hole, or of two zones, is -EINVAL.
 */
static int set_state(unsigned int block, const char *state)
{
	char path[128];
	int status;
	pid_t pid;

	snprintf(path, sizeof(path), MEMORY "memory%u/state", block);
	pid = sv_fork();
	if (!pid) {
		alarm(5 * sv_slow());
		signal(SIGALRM, SIG_DFL);
		_exit(sv_write_file(path, state) ? 0 : errno);
	}
	if (waitpid(pid, &status, 0) != pid)
		sv_die("%s: %s", path, strerror(errno));
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

/* The block in which a page of the calling process is. */
static unsigned int block_of(const void *page)
{
	char text[32];
	uint64_t entry;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	if (!sv_read_file(MEMORY "block_size_bytes", text, sizeof(text)) ||
	    pread(fd, &entry, sizeof(entry), (uintptr_t)page / SV_PAGE * sizeof(entry)) !=
	    sizeof(entry))
		sv_die("pagemap: %s", strerror(errno));
	close(fd);
	entry &= (1ULL << 55) - 1;
	if (!entry)
		sv_die("a page is not in memory");
	return entry * SV_PAGE / strtoull(text, NULL, 16);
}

FIXTURE_SETUP(offline)
{
	unsigned int blocks[BLOCKS];

	self->fd = -1;
	if (!find_movable(blocks) || access(CMA "alloc", W_OK))
		SKIP(return, "without movablecore=320M cma=32M on the command line");
	sv_begin(&self->base);
	self->fd = sv_create("ram", "", PAGES, SV_NO_LIMIT);
	self->map = sv_map_rw(self->fd, PAGES);
	sv_fill_range(self->map, 0, PAGES, SV_RANDOM, 1);
}

FIXTURE_TEARDOWN(offline)
{
	if (self->fd < 0)
		return;
	sv_unmap(self->map, PAGES);
	close(self->fd);
	EXPECT_TRUE(sv_end(&self->base));
}

/* Pages, what is stored of others, tables and records are all elsewhere. */
TEST_F_TIMEOUT(offline, movable_block_goes, SECONDS)
{
	unsigned int blocks[BLOCKS], i, nr = find_movable(blocks), went = 0;
	int result[BLOCKS];

	ASSERT_EQ(PAGES / 2, sv_pageout(self->fd, 0, PAGES / 2));
	for (i = 0; i < nr; i++) {
		result[i] = set_state(blocks[i], "offline");
		EXPECT_TRUE(result[i] == 0 || result[i] == -EINVAL);
		went += !result[i];
	}
	EXPECT_LT(0, went);
	EXPECT_EQ(PAGES / 2, SV_STAT(self->fd, resident));
	EXPECT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_RANDOM, 1));
	for (i = 0; i < nr; i++)
		if (!result[i])
			EXPECT_EQ(0, set_state(blocks[i], "online_movable"));
}

TEST_F_TIMEOUT(offline, block_with_pages_stays, SECONDS)
{
	unsigned int block, i, stayed = 0;
	bool seen[BLOCKS] = {};
	int result;

	for (i = 0; i < PAGES; i += 16) {
		block = block_of(self->map + i * SV_PAGE);
		ASSERT_GT(BLOCKS, block);
		seen[block] = true;
	}
	for (i = 0; i < BLOCKS; i++) {
		if (!seen[i])
			continue;
		ASSERT_FALSE(block_is(i, "valid_zones", "Movable"));
		result = set_state(i, "offline");
		ASSERT_TRUE(result == -EBUSY || result == -EINVAL);
		ASSERT_TRUE(block_is(i, "state", "online"));
		stayed += result == -EBUSY;
	}
	ASSERT_LT(0, stayed);
	ASSERT_EQ(PAGES, SV_STAT(self->fd, resident));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_RANDOM, 1));
	/* What is left may be the kernel's. */
	ASSERT_TRUE(sv_pageout_all(self->fd));
	for (i = 0; i < BLOCKS; i++) {
		result = seen[i] ? set_state(i, "offline") : -EBUSY;
		ASSERT_TRUE(result == 0 || result == -EBUSY || result == -EINVAL);
		if (!result)
			ASSERT_EQ(0, set_state(i, "online"));
	}
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_RANDOM, 1));
}

static uint64_t number(const char *path)
{
	char text[32];

	if (!sv_read_file(path, text, sizeof(text)))
		sv_die("%s: %s", path, strerror(errno));
	return strtoull(text, NULL, 10);
}

TEST_F_TIMEOUT(offline, contiguous_area_is_had, SECONDS)
{
	size_t i, nr = sv_meminfo_kb("MemTotal") * 1024 / SV_PAGE;
	int fd = sv_create("ram", "", nr, SV_NO_LIMIT);
	char *map = sv_map_rw(fd, nr), count[32];
	uint64_t before = number(CMA "used");

	/* Until memory is short. */
	for (i = 0; i < nr && !SV_STAT(fd, swapouts); i++)
		sv_fill(map + i * SV_PAGE, SV_TEXT, i, 1);
	ASSERT_LT(i, nr);
	TH_LOG("memory is short with %zu of %zu pages", i, nr);
	snprintf(count, sizeof(count), "%lu", (unsigned long)(number(CMA "count") - before));
	ASSERT_TRUE(sv_wait_for(sv_write_file(CMA "alloc", count)));
	EXPECT_EQ(number(CMA "count"), number(CMA "used"));
	EXPECT_TRUE(sv_write_file(CMA "free", count));
	EXPECT_EQ(0, sv_check_range(map, 0, i, SV_TEXT, 1));
	sv_unmap(map, nr);
	close(fd);
}

SV_TEST_MAIN
