// SPDX-License-Identifier: GPL-2.0
/*
 * What the drivers block, file and shmem refuse, and with which error: options
 * that they do not know, and devices and files that would not hold the pages.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "swapvma_store.h"
#include "swapvma_util.h"

#define PAGES	(2 * SV_BATCH)

/* The negative errno that "path=@path@more" gives, 0 if it is accepted. */
static int try_path(const char *driver, const char *path, const char *more)
{
	char options[PATH_MAX + 64];
	int fd;

	snprintf(options, sizeof(options), "path=%s%s", path, more);
	fd = sv_try_create_with(driver, options, PAGES, SV_NO_LIMIT);
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

/* As nobody, through a descriptor of the device that root opened. */
static int try_as_nobody(const char *driver, const char *path)
{
	struct swapvma_create create = {
		.size = PAGES * SV_PAGE,
		.limit = SWAPVMA_LIMIT_NONE,
	};
	int device = open(SV_DEVICE, O_RDWR | O_CLOEXEC), status;
	char options[PATH_MAX + 64];
	pid_t child;

	snprintf(options, sizeof(options), "path=%s", path);
	create.options = (uintptr_t)options;
	snprintf(create.driver, sizeof(create.driver), "%s", driver);
	child = sv_fork();
	if (!child) {
		if (setresuid(65534, 65534, 65534))
			_exit(127);
		_exit(ioctl(device, SWAPVMA_IOC_CREATE, &create) < 0 ? errno : 0);
	}
	close(device);
	status = sv_reap(child);
	return WIFEXITED(status) ? -WEXITSTATUS(status) : 1;
}

FIXTURE(block)
{
	struct sv_baseline base;
	struct sv_store store;
};

FIXTURE_SETUP(block)
{
	sv_begin(&self->base);
	sv_store_make(&self->store, SV_LOOP, 1);
}

FIXTURE_TEARDOWN_PARENT(block)
{
	EXPECT_TRUE(sv_store_end(&self->store));
	EXPECT_TRUE(sv_end(&self->base));
}

TEST_F(block, options)
{
	const char *path = self->store.path;

	ASSERT_EQ(-EINVAL, sv_try_create_with("block", NULL, PAGES, SV_NO_LIMIT));
	ASSERT_EQ(-EINVAL, sv_try_create_with("block", "", PAGES, SV_NO_LIMIT));
	ASSERT_EQ(-EINVAL, sv_try_create_with("block", "path", PAGES, SV_NO_LIMIT));
	ASSERT_EQ(-EINVAL, sv_try_create_with("block", "discard=on", PAGES, SV_NO_LIMIT));
	ASSERT_EQ(-EINVAL, sv_try_create("block", "lz4", PAGES, SV_NO_LIMIT));
	ASSERT_EQ(-EINVAL, try_path("block", "", ""));
	ASSERT_EQ(-EINVAL, try_path("block", path, ","));
	ASSERT_EQ(-EINVAL, try_path("block", path, ",discard"));
	ASSERT_EQ(-EINVAL, try_path("block", path, ",discard="));
	ASSERT_EQ(-EINVAL, try_path("block", path, ",discard=maybe"));
	ASSERT_EQ(-EINVAL, try_path("block", path, ",discard=on,discard=on"));
	ASSERT_EQ(-EINVAL, try_path("block", path, ",path=/dev/null"));
	ASSERT_EQ(-EINVAL, try_path("block", path, ",size=1M"));
	ASSERT_EQ(-EINVAL, try_path("block", path + 1, ""));
	ASSERT_EQ(0, try_path("block", path, ""));
	ASSERT_TRUE(sv_wait_for(!try_path("block", path, ",discard=off")));
	ASSERT_TRUE(sv_wait_for(!try_path("block", path, ",discard=on")));
}

/* Whatever is wrong with a request, the log has one line about it. */
TEST_F(block, one_line_each)
{
	static const char *const wrong[] = {
		"", "path", "size=1M", "path=/dev/no_such_device", "path=/dev/null", "path=/dev",
	};
	int kmsg = sv_kmsg_open();
	size_t i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		ASSERT_GT(0, sv_try_create_with("block", wrong[i], PAGES, SV_NO_LIMIT));
		ASSERT_EQ(1, sv_kmsg_count(kmsg, "driver block refuses a region"));
	}
	ASSERT_EQ(-ENODEV, sv_try_create("no_such_driver", "", PAGES, SV_NO_LIMIT));
	ASSERT_EQ(1, sv_kmsg_count(kmsg, "no_such_driver"));
	ASSERT_EQ(0, try_path("block", self->store.path, ""));
	ASSERT_EQ(0, sv_kmsg_count(kmsg, "block"));
}

/* Up to a page, as any of them can be written alone then. */
TEST_F(block, sector_sizes)
{
	int fd = open(self->store.path, O_RDWR), ret;
	unsigned long size;

	ASSERT_LE(0, fd);
	for (size = 512; size <= 4 * SV_PAGE; size *= 2) {
		ret = ioctl(fd, LOOP_SET_BLOCK_SIZE, size);
		if (ret && size > SV_PAGE)
			SKIP(break, "this kernel has no blocks larger than a page");
		ASSERT_EQ(0, ret);
		ASSERT_EQ(size > SV_PAGE ? -EINVAL : 0, try_path("block", self->store.path, ""))
			TH_LOG("blocks of %lu bytes", size);
	}
	ASSERT_EQ(0, close(fd));
}

TEST_F(block, path)
{
	ASSERT_EQ(-ENOENT, try_path("block", "/dev/no_such_device", ""));
	ASSERT_EQ(-ENOTBLK, try_path("block", "/dev/null", ""));
	ASSERT_EQ(-ENOTBLK, try_path("block", "/dev", ""));
	ASSERT_EQ(-ENOTBLK, try_path("block", "/proc/self/exe", ""));
	ASSERT_EQ(-EACCES, try_as_nobody("block", self->store.path));
}

TEST_F(block, in_use)
{
	int fd = open(self->store.path, O_RDWR | O_EXCL);

	ASSERT_LE(0, fd);
	ASSERT_EQ(-EBUSY, try_path("block", self->store.path, ""));
	ASSERT_EQ(0, close(fd));
	ASSERT_EQ(0, try_path("block", self->store.path, ""));
}

TEST_F(block, read_only)
{
	int fd = open(self->store.path, O_RDWR), read_only = 1;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ioctl(fd, BLKROSET, &read_only));
	ASSERT_EQ(-EROFS, try_path("block", self->store.path, ""));
	read_only = 0;
	ASSERT_EQ(0, ioctl(fd, BLKROSET, &read_only));
	ASSERT_EQ(0, try_path("block", self->store.path, ""));
	ASSERT_EQ(0, close(fd));
}

/* Not one batch. */
TEST_F(block, too_small)
{
	int fd = open(self->store.path, O_RDWR);
	char file[PATH_MAX];

	snprintf(file, sizeof(file), "%.4000s/loop", self->store.under);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, truncate(file, (SV_BATCH - 1) * SV_PAGE));
	ASSERT_EQ(0, ioctl(fd, LOOP_SET_CAPACITY, 0));
	ASSERT_EQ(-EINVAL, try_path("block", self->store.path, ""));
	ASSERT_EQ(0, truncate(file, SV_BATCH * SV_PAGE));
	ASSERT_EQ(0, ioctl(fd, LOOP_SET_CAPACITY, 0));
	ASSERT_EQ(0, close(fd));
	ASSERT_EQ(0, try_path("block", self->store.path, ""));
}

FIXTURE(file)
{
	struct sv_baseline base;
	struct sv_store store;
	char other[PATH_MAX];	/* another file beside that of the store */
};

FIXTURE_SETUP(file)
{
	sv_begin(&self->base);
	sv_store_make(&self->store, SV_EXT4, 1);
	snprintf(self->other, sizeof(self->other), "%.4000s/mount/file", self->store.under);
}

FIXTURE_TEARDOWN_PARENT(file)
{
	EXPECT_TRUE(sv_store_end(&self->store));
	EXPECT_TRUE(sv_end(&self->base));
}

TEST_F(file, options)
{
	const char *path = self->store.path;

	ASSERT_EQ(-EINVAL, sv_try_create_with("file", NULL, PAGES, SV_NO_LIMIT));
	ASSERT_EQ(-EINVAL, sv_try_create_with("file", "file=/tmp", PAGES, SV_NO_LIMIT));
	ASSERT_EQ(-EINVAL, try_path("file", path, ",discard=on"));
	ASSERT_EQ(-EINVAL, try_path("file", path, ",path=/tmp"));
	ASSERT_EQ(0, try_path("file", path, ""));
}

TEST_F(file, path)
{
	ASSERT_EQ(-ENOENT, try_path("file", self->other, ""));
	ASSERT_EQ(-EINVAL, try_path("file", "/dev/null", ""));
	ASSERT_EQ(-EINVAL, try_path("file", self->store.loop, ""));
	ASSERT_EQ(-EINVAL, try_path("file", self->store.under, ""));
	ASSERT_EQ(-EPERM, try_as_nobody("file", self->store.path));
}

/* Blocks that are not there, or were never written, would not be found. */
TEST_F(file, holes)
{
	int kmsg = sv_kmsg_open(), fd;

	sv_make_file(self->other, 1, true);
	ASSERT_EQ(-EINVAL, try_path("file", self->other, ""));
	ASSERT_EQ(1, sv_kmsg_count(kmsg, "hole"));
	fd = open(self->other, O_RDWR);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fallocate(fd, 0, 0, 1 << 20));
	ASSERT_EQ(0, close(fd));
	ASSERT_EQ(-EINVAL, try_path("file", self->other, ""));
	sv_make_file(self->other, 1, false);
	ASSERT_EQ(0, try_path("file", self->other, ""));
	ASSERT_EQ(0, truncate(self->other, (SV_BATCH - 1) * SV_PAGE));
	ASSERT_EQ(-EINVAL, try_path("file", self->other, ""));
}

TEST_F(file, in_use)
{
	int fd = open(self->store.path, O_WRONLY);

	ASSERT_LE(0, fd);
	ASSERT_EQ(-ETXTBSY, try_path("file", self->store.path, ""));
	ASSERT_EQ(0, close(fd));
	fd = open(self->store.path, O_RDONLY);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, try_path("file", self->store.path, ""));
	ASSERT_EQ(0, close(fd));
}

/* The device beneath a mounted filesystem is not to be had. */
TEST_F(file, mounted)
{
	ASSERT_EQ(0, sv_load("swapvma_block", ""));
	ASSERT_EQ(-EBUSY, try_path("block", self->store.loop, ""));
	ASSERT_TRUE(sv_wait_for(!sv_unload("swapvma_block")));
}

TEST_F(file, filesystems)
{
	const char *share = getenv("SWAPVMA_SHARE");
	int kmsg = sv_kmsg_open();
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%.4000s/file", self->store.under);
	sv_make_file(path, 1, false);
	ASSERT_EQ(-EOPNOTSUPP, try_path("file", path, ""));
	ASSERT_EQ(0, unlink(path));
	ASSERT_EQ(1, sv_kmsg_count(kmsg, "swap files work on"));
	if (!share)
		return;
	/* 9p, if scripts/vm runs the test. */
	snprintf(path, sizeof(path), "%.4000s/file", share);
	sv_make_file(path, 1, false);
	ASSERT_EQ(-EOPNOTSUPP, try_path("file", path, ""));
	ASSERT_EQ(0, unlink(path));
}

FIXTURE(shmem)
{
	struct sv_baseline base;
	struct sv_store store;
};

FIXTURE_SETUP(shmem)
{
	sv_begin(&self->base);
	sv_store_make(&self->store, SV_SHMEM, 1);
}

FIXTURE_TEARDOWN_PARENT(shmem)
{
	EXPECT_TRUE(sv_store_end(&self->store));
	EXPECT_TRUE(sv_end(&self->base));
}

TEST_F(shmem, options)
{
	static const char *const wrong[] = {
		"path=/tmp", "size", "size=", "size=0", "size=M", "size=1m", "size=-1",
		"size=1M,", "size=1M,size=1M", "size=99999999999999999999", "size=4095",
		"size=16777216T",
	};
	static const char *const right[] = { "", "size=1M", "size=4096", "size=1G" };
	size_t i;
	int fd;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		ASSERT_EQ(-EINVAL, sv_try_create_with("shmem", wrong[i], PAGES, SV_NO_LIMIT))
			TH_LOG("%s", wrong[i]);
	}
	ASSERT_EQ(-EFBIG, sv_try_create_with("shmem", "size=8388608T", PAGES, SV_NO_LIMIT));
	ASSERT_EQ(-EINVAL, sv_try_create("shmem", "lz4", PAGES, SV_NO_LIMIT));
	for (i = 0; i < ARRAY_SIZE(right); i++) {
		fd = sv_try_create_with("shmem", right[i], PAGES, SV_NO_LIMIT);
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, close(fd));
	}
}

SV_TEST_MAIN
