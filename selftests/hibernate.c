// SPDX-License-Identifier: GPL-2.0
/*
 * Hibernation: memory is written to a swap device, and comes back from there, with
 * regions of which a part is with a driver on another device. What that device holds
 * is not rolled back: what was written to it after the image was made is found there.
 *
 * Run by scripts/test-hibernate, as the first process of a guest of its own, whose
 * devices can all be suspended: those that scripts/vm has files on cannot.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "swapvma_util.h"

#define SWAP	"/dev/vda"
#define STORE	"/dev/vdb"
#define POWER	"/sys/power/"
#define PAGES	(64 * SV_BATCH)
#define WORDS	(SV_PAGE / sizeof(uint64_t))

/* What each page begins with: another word in each test. */
static uint64_t magic = 0x53574150564d4121ULL;

static void must(bool ok, const char *what)
{
	if (!ok)
		sv_die("%s: %s", what, strerror(errno));
}

/* As mkswap makes it. */
static void make_swap(void)
{
	static uint32_t page[SV_PAGE / sizeof(uint32_t)];
	int fd = open(SWAP, O_RDWR | O_SYNC);

	must(fd >= 0, SWAP);
	page[1024 / 4] = 1;
	page[1024 / 4 + 1] = lseek(fd, 0, SEEK_END) / SV_PAGE - 1;
	memcpy((char *)page + SV_PAGE - 10, "SWAPSPACE2", 10);
	must(pwrite(fd, page, SV_PAGE, 0) == SV_PAGE, SWAP);
	close(fd);
	must(!swapon(SWAP, 0), "swapon");
}

/* Pages of this test's region in the store, now. */
static size_t count_stored(void)
{
	uint64_t *some;
	int fd = open(STORE, O_RDONLY | O_DIRECT);
	size_t count = 0;
	ssize_t i, len;

	must(fd >= 0 && !posix_memalign((void **)&some, SV_PAGE, SV_BATCH * SV_PAGE), STORE);
	while ((len = read(fd, some, SV_BATCH * SV_PAGE)) > 0)
		for (i = 0; i < len / SV_PAGE; i++)
			count += some[i * WORDS] == magic;
	close(fd);
	free(some);
	return count;
}

static void fill(uint64_t *map, uint64_t index, uint64_t gen)
{
	uint64_t *page = map + index * WORDS;
	size_t i;

	page[0] = magic;
	for (i = 1; i < WORDS; i++)
		page[i] = (index << 32) + gen * WORDS + i;
}

static bool is_right(const uint64_t *map, uint64_t index, uint64_t gen)
{
	const uint64_t *page = map + index * WORDS;
	bool right = page[0] == magic;
	size_t i;

	for (i = 1; i < WORDS; i++)
		right &= page[i] == (index << 32) + gen * WORDS + i;
	return right;
}

static bool logged(const char *what)
{
	static char log[1 << 20];
	int len = klogctl(3, log, sizeof(log) - 1);

	log[len < 0 ? 0 : len] = 0;
	return strstr(log, what);
}

/* 0 if the image was read back: what came after it was made never was. */
static int hibernate(void)
{
	if (!sv_write_file(POWER "state", "disk"))
		return -errno;
	return logged("Image saving done") || logged("Image loading done") ? -ENODATA : 0;
}

FIXTURE(hibernate)
{
	struct sv_baseline base;
	struct sv_pageout_thread pageout;
	uint64_t *map;
	int fd;
};

FIXTURE_VARIANT(hibernate)
{
	const char *flaw;
};

FIXTURE_VARIANT_ADD(hibernate, sleepless)
{
	.flaw = "sleepless",
};

FIXTURE_VARIANT_ADD(hibernate, right)
{
	.flaw = "",
};

FIXTURE_SETUP(hibernate)
{
	size_t i;

	magic += sv_now_ms();
	if (!sv_put_back(variant->flaw) && *variant->flaw)
		SKIP(return, "a kernel in which no bug can be put back");
	ASSERT_EQ(0, sv_load("swapvma_block", ""));
	sv_begin(&self->base);
	self->fd = sv_try_create_with("block", "path=" STORE, PAGES, SV_NO_LIMIT);
	ASSERT_LE(0, self->fd);
	self->map = (uint64_t *)sv_map_rw(self->fd, PAGES);
	for (i = 0; i < PAGES; i++)
		fill(self->map, i, 1);
}

FIXTURE_TEARDOWN(hibernate)
{
	munmap(self->map, PAGES * SV_PAGE);
	close(self->fd);
	EXPECT_TRUE(sv_end(&self->base));
	EXPECT_TRUE(sv_wait_for(!sv_unload("swapvma_block")));
	sv_put_back("");
}

/* A part of the region is out, and the device takes seconds for the rest. */
TEST_F_TIMEOUT(hibernate, while_pages_are_written, 600)
{
	uint64_t before, stored, after;
	size_t i, bad = 0;

	sv_pageout_start(&self->pageout, self->fd, 0, PAGES);
	ASSERT_TRUE(sv_wait_for(SV_STAT(self->fd, swapouts) >= SV_BATCH));
	before = SV_STAT(self->fd, swapouts);
	ASSERT_EQ(0, hibernate());
	stored = count_stored();
	after = SV_STAT(self->fd, swapouts);
	TH_LOG("%lu pages out before, %lu on the device after it, then %lu out of %lu",
	       before, stored, after, PAGES);
	ASSERT_GT(PAGES, after);
	/* One batch is being written, and one applied. */
	ASSERT_EQ(!*variant->flaw, stored <= after + 2 * SV_BATCH);
	/* Some went when memory was made for the image. */
	ASSERT_LT(0, sv_pageout_join(&self->pageout));
	ASSERT_EQ(PAGES, SV_STAT(self->fd, swapped));
	for (i = 0; i < PAGES; i++)
		bad += !is_right(self->map, i, 1);
	ASSERT_EQ(0, bad);
}

/* Two processes at their limit, one of which nothing tells that anything was. */
TEST_F_TIMEOUT(hibernate, while_pages_come_and_go, 600)
{
	struct progress {
		bool stop;
		uint64_t rounds, bad;
	} *p = sv_shared(sizeof(*p));
	static uint8_t gen[PAGES];
	uint64_t seed = 1, rounds;
	pid_t pid;
	size_t i;

	ASSERT_EQ(0, sv_set_limit(self->fd, PAGES - 2 * SV_BATCH));
	pid = sv_fork();
	if (!pid) {
		while (!__atomic_load_n(&p->stop, __ATOMIC_ACQUIRE)) {
			i = sv_random(&seed) % PAGES;
			p->bad += !is_right(self->map, i, gen[i] + 1);
			if (sv_random(&seed) % 8 == 0)
				fill(self->map, i, ++gen[i] + 1);
			__atomic_add_fetch(&p->rounds, 1, __ATOMIC_RELEASE);
		}
		for (i = 0; i < PAGES; i++)
			p->bad += !is_right(self->map, i, gen[i] + 1);
		_exit(p->bad != 0);
	}
	ASSERT_TRUE(sv_wait_for(__atomic_load_n(&p->rounds, __ATOMIC_ACQUIRE) > 500));
	ASSERT_EQ(0, hibernate());
	rounds = __atomic_load_n(&p->rounds, __ATOMIC_ACQUIRE);
	ASSERT_TRUE(sv_wait_for(__atomic_load_n(&p->rounds, __ATOMIC_ACQUIRE) > rounds + 500));
	__atomic_store_n(&p->stop, true, __ATOMIC_RELEASE);
	ASSERT_EQ(0, sv_reap(pid));
}

/* Nothing is there but what was in the initramfs. */
static void be_init(void)
{
	int serial;

	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/dev", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	serial = open("/dev/ttyS1", O_RDWR | O_NOCTTY);
	dup2(serial, 1);
	dup2(serial, 2);
}

static int run(int argc, char **argv)
{
	char device[32];
	struct stat st;

	sv_init();
	make_swap();
	must(!stat(SWAP, &st), SWAP);
	snprintf(device, sizeof(device), "%u:%u", major(st.st_rdev), minor(st.st_rdev));
	must(sv_write_file(POWER "resume", device), "resume");
	must(sv_write_file(POWER "disk", "test_resume"), "test_resume");
	must(sv_write_file(POWER "image_size", "0"), "image_size");
	return test_harness_run(argc, argv);
}

int main(int argc, char **argv)
{
	pid_t pid;

	if (getpid() != 1)
		ksft_exit_skip("for a guest of its own: scripts/test-hibernate\n");
	be_init();
	pid = fork();
	if (!pid)
		exit(run(argc, argv));
	while (waitpid(pid, NULL, 0) != pid)
		;
	fsync(1);
	reboot(RB_POWER_OFF);
	return 1;
}
