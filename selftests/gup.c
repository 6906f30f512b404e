// SPDX-License-Identifier: GPL-2.0
/*
 * Kernel access to pages that are being swapped out (bug classes C5 and C22):
 * O_DIRECT, process_vm_readv/writev, /proc/pid/mem, vmsplice. A page that
 * somebody holds does not leave, and what was written through it is not lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/loop.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "swapvma_util.h"

#define PAGES	(2 * SV_BATCH)
#define SIZE	(PAGES * SV_PAGE)
#define ROUNDS	(sv_long() ? 200UL : 6UL)

#define IMAGE	"/tmp/swapvma-image"
#define MOUNT	"/tmp/swapvma-mount"

/* Pages out all of a region, over and over, until told to stop. */
struct storm {
	pthread_t thread;
	int fd;
	bool stop;
	uint64_t out;
};

static void *storm_main(void *arg)
{
	struct storm *s = arg;

	while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
		long out = sv_pageout(s->fd, 0, PAGES);

		if (out > 0)
			__atomic_add_fetch(&s->out, out, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void storm_start(struct storm *s, int fd)
{
	*s = (struct storm){ .fd = fd };
	if (pthread_create(&s->thread, NULL, storm_main, s))
		sv_die("pthread_create");
}

/* How many pages went out; a storm that moved nothing tested nothing. */
static uint64_t storm_end(struct storm *s)
{
	__atomic_store_n(&s->stop, true, __ATOMIC_RELEASE);
	pthread_join(s->thread, NULL);
	return s->out;
}

/* At least ROUNDS, and on until the storm met one. */
static bool go_on(struct storm *s, size_t round)
{
	return round <= ROUNDS ||
	       (!__atomic_load_n(&s->out, __ATOMIC_RELAXED) && round <= 100 * ROUNDS);
}

FIXTURE(gup)
{
	struct sv_baseline base;
	struct storm storm;
	char *map, *buf;
	int fd;
};

FIXTURE_VARIANT(gup)
{
	const char *driver;
	size_t limit;
};

FIXTURE_VARIANT_ADD(gup, ram)
{
	.driver = "ram", .limit = SV_NO_LIMIT,
};

FIXTURE_VARIANT_ADD(gup, ram_limited)
{
	.driver = "ram", .limit = SV_BATCH,
};

FIXTURE_VARIANT_ADD(gup, test_limited)
{
	.driver = "test", .limit = SV_BATCH,
};

FIXTURE_SETUP(gup)
{
	sv_begin(&self->base);
	self->fd = sv_create(variant->driver, "", PAGES, variant->limit);
	self->map = sv_map_rw(self->fd, PAGES);
	self->buf = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->buf);
}

FIXTURE_TEARDOWN_PARENT(gup)
{
	EXPECT_TRUE(sv_end(&self->base));
}

TEST_F_TIMEOUT(gup, proc_mem, SV_LONG_TIMEOUT)
{
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	off_t at = (uintptr_t)self->map;
	size_t round;

	ASSERT_LE(0, mem);
	storm_start(&self->storm, self->fd);
	for (round = 1; go_on(&self->storm, round); round++) {
		sv_fill_range(self->buf, 0, PAGES, SV_TEXT, round);
		ASSERT_EQ(SIZE, pwrite(mem, self->buf, SIZE, at));
		ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, round));
		memset(self->buf, 0, SIZE);
		ASSERT_EQ(SIZE, pread(mem, self->buf, SIZE, at));
		ASSERT_EQ(0, sv_check_range(self->buf, 0, PAGES, SV_TEXT, round));
	}
	ASSERT_LT(0, storm_end(&self->storm));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, round - 1));
	close(mem);
}

/* Through the mapping of another process. */
TEST_F_TIMEOUT(gup, process_vm, SV_LONG_TIMEOUT)
{
	struct iovec local = { self->buf, SIZE }, remote = { self->map, SIZE };
	pid_t child = sv_fork();
	size_t round;

	if (!child)
		for (;;)
			pause();
	storm_start(&self->storm, self->fd);
	for (round = 1; go_on(&self->storm, round); round++) {
		sv_fill_range(self->buf, 0, PAGES, SV_TEXT, round);
		ASSERT_EQ(SIZE, process_vm_writev(child, &local, 1, &remote, 1, 0));
		ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, round));
		memset(self->buf, 0, SIZE);
		ASSERT_EQ(SIZE, process_vm_readv(child, &local, 1, &remote, 1, 0));
		ASSERT_EQ(0, sv_check_range(self->buf, 0, PAGES, SV_TEXT, round));
	}
	ASSERT_LT(0, storm_end(&self->storm));
	kill(child, SIGKILL);
	ASSERT_EQ(SIGKILL, sv_reap(child));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, round - 1));
}

/*
 * Pages in a pipe are held by it: they stay where they are, so the pipe shows
 * what is written to the region later.
 */
TEST_F(gup, held_pages_stay)
{
	const size_t held = 4;
	struct iovec iov = { self->map, held * SV_PAGE };
	int pipes[2];

	sv_fill_range(self->map, 0, SV_BATCH, SV_TEXT, 1);
	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(held * SV_PAGE, vmsplice(pipes[1], &iov, 1, 0));
	ASSERT_TRUE(sv_wait_for(sv_pageout(self->fd, 0, PAGES) >= 0 &&
				SV_STAT(self->fd, resident) == held));
	usleep(10000);
	ASSERT_EQ(0, sv_pageout(self->fd, 0, PAGES));
	ASSERT_EQ(held, SV_STAT(self->fd, resident));
	sv_fill_range(self->map, 0, held, SV_TEXT, 2);
	ASSERT_EQ(held * SV_PAGE, read(pipes[0], self->buf, held * SV_PAGE));
	ASSERT_EQ(0, sv_check_range(self->buf, 0, held, SV_TEXT, 2));
	/* Let go, they leave like any other. */
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, sv_check_range(self->map, 0, held, SV_TEXT, 2));
	ASSERT_EQ(0, sv_check_range(self->map, held, SV_BATCH - held, SV_TEXT, 1));
}

/* The pipe still holds pages when mapping and region are gone. */
TEST_F(gup, held_pages_outlive_the_region)
{
	struct iovec iov = { self->map, 4 * SV_PAGE };
	int pipes[2];

	sv_fill_range(self->map, 0, 4, SV_TEXT, 1);
	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(4 * SV_PAGE, vmsplice(pipes[1], &iov, 1, 0));
	sv_unmap(self->map, PAGES);
	close(self->fd);
	ASSERT_TRUE(sv_wait_for(sv_debug("regions") == self->base.value[0]));
	ASSERT_EQ(4 * SV_PAGE, read(pipes[0], self->buf, 4 * SV_PAGE));
	ASSERT_EQ(0, sv_check_range(self->buf, 0, 4, SV_TEXT, 1));
}

/* Long-term write pins of a shared mapping are refused, as on a file system. */
TEST_F(gup, long_term_pin_is_refused)
{
	struct io_uring_params params = { 0 };
	struct iovec iov = { self->map, SV_PAGE };
	int ring = syscall(SYS_io_uring_setup, 4, &params);

	if (ring < 0)
		SKIP(return, "no io_uring: %s", strerror(errno));
	ASSERT_EQ(-1, syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &iov, 1));
	ASSERT_EQ(EFAULT, errno);
	close(ring);
}

/*
 * O_DIRECT, to a block device and to a file on ext4. Both stand on a loop
 * device over an image in memory.
 */
FIXTURE(direct)
{
	struct sv_baseline base;
	struct storm storm;
	char *map, *buf;
	int fd, file, loop;
	bool mounted;
};

FIXTURE_VARIANT(direct)
{
	bool ext4;
};

FIXTURE_VARIANT_ADD(direct, block_device)
{
	.ext4 = false,
};

FIXTURE_VARIANT_ADD(direct, ext4)
{
	.ext4 = true,
};

/* A loop device over a new image, in self->loop; it goes with its last user. */
static bool make_loop(FIXTURE_DATA(direct) *self, char *name, size_t size)
{
	struct loop_config config = { .info.lo_flags = LO_FLAGS_AUTOCLEAR };
	int image = open(IMAGE, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), nr, loop;
	bool ok = false;

	if (image < 0 || control < 0 || ftruncate(image, 16 << 20))
		goto out;
	nr = ioctl(control, LOOP_CTL_GET_FREE);
	snprintf(name, size, "/dev/loop%d", nr);
	loop = open(name, O_RDWR | O_CLOEXEC);
	config.fd = image;
	ok = nr >= 0 && loop >= 0 && !ioctl(loop, LOOP_CONFIGURE, &config);
	/* A device that is open for writing may not be mounted. */
	self->loop = open(name, O_RDONLY | O_CLOEXEC);
	close(loop);
out:
	close(image);
	close(control);
	return ok;
}

FIXTURE_SETUP(direct)
{
	char name[32], command[128], path[64];

	sv_begin(&self->base);
	self->loop = -1;
	if (access("/dev/loop-control", F_OK))
		SKIP(return, "no loop devices");
	if (variant->ext4 && system("command -v mkfs.ext4 >/dev/null"))
		SKIP(return, "no mkfs.ext4");
	ASSERT_TRUE(make_loop(self, name, sizeof(name)));
	snprintf(path, sizeof(path), "%s", name);
	if (variant->ext4) {
		snprintf(command, sizeof(command), "mkfs.ext4 -q -F -O ^has_journal %s", name);
		ASSERT_EQ(0, system(command));
		mkdir(MOUNT, 0700);
		ASSERT_EQ(0, mount(name, MOUNT, "ext4", 0, NULL));
		self->mounted = true;
		snprintf(path, sizeof(path), MOUNT "/file");
	}
	self->file = open(path, O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
	ASSERT_LE(0, self->file);
	self->fd = sv_create("test", "", PAGES, SV_BATCH);
	self->map = sv_map_rw(self->fd, PAGES);
	self->buf = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->buf);
}

FIXTURE_TEARDOWN_PARENT(direct)
{
	if (self->mounted)
		EXPECT_EQ(0, umount(MOUNT));
	rmdir(MOUNT);
	unlink(IMAGE);
	EXPECT_TRUE(sv_end(&self->base));
}

/* The device writes to pages that the swapper wants. */
TEST_F_TIMEOUT(direct, read_into_region, SV_LONG_TIMEOUT)
{
	size_t round;

	storm_start(&self->storm, self->fd);
	for (round = 1; go_on(&self->storm, round); round++) {
		sv_fill_range(self->buf, 0, PAGES, SV_TEXT, round);
		ASSERT_EQ(SIZE, pwrite(self->file, self->buf, SIZE, 0));
		ASSERT_EQ(SIZE, pread(self->file, self->map, SIZE, 0));
		ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, round));
	}
	ASSERT_LT(0, storm_end(&self->storm));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, round - 1));
}

/* The device reads from pages that the swapper wants. */
TEST_F_TIMEOUT(direct, write_from_region, SV_LONG_TIMEOUT)
{
	size_t round;

	storm_start(&self->storm, self->fd);
	for (round = 1; go_on(&self->storm, round); round++) {
		sv_fill_range(self->map, 0, PAGES, SV_TEXT, round);
		ASSERT_EQ(SIZE, pwrite(self->file, self->map, SIZE, 0));
		memset(self->buf, 0, SIZE);
		ASSERT_EQ(SIZE, pread(self->file, self->buf, SIZE, 0));
		ASSERT_EQ(0, sv_check_range(self->buf, 0, PAGES, SV_TEXT, round));
	}
	ASSERT_LT(0, storm_end(&self->storm));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, round - 1));
}

SV_TEST_MAIN
