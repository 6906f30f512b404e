// SPDX-License-Identifier: GPL-2.0
/*
 * The user interface: every kind of bad input is refused with its errno and
 * changes nothing; structures may be longer than the module knows.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "swapvma_util.h"

#define PAGES	(2 * SV_BATCH)
#define SIZE	(PAGES * SV_PAGE)
#define PUNCH	(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

/* The number of request @nr with a structure of @size bytes. */
#define SIZED(nr, size) \
	_IOC(_IOC_DIR(nr), SWAPVMA_IOC_MAGIC, _IOC_NR(nr), size)

FIXTURE(uapi)
{
	struct sv_baseline base;
	struct swapvma_stats before;
	uint64_t regions;	/* with that of the open device, if it has one */
	char *map;
	int device, fd;
};

FIXTURE_SETUP(uapi)
{
	sv_begin(&self->base);
	self->device = open(SV_DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->device);
	/* Without a limit nothing changes by itself. */
	self->fd = sv_create("test", "", PAGES, SV_NO_LIMIT);
	self->map = sv_map_rw(self->fd, PAGES);
	sv_fill_range(self->map, 0, PAGES, SV_TEXT, 1);
	sv_stats(self->fd, &self->before);
	/* The descriptor that created it may still be on its way out. */
	usleep(20000);
	self->regions = sv_debug("regions");
	ASSERT_LE(self->base.value[0] + 1, self->regions);
	ASSERT_GE(self->base.value[0] + 2, self->regions);
}

FIXTURE_TEARDOWN_PARENT(uapi)
{
	EXPECT_TRUE(sv_end(&self->base));
}

/* Nothing changed: not the region, not the number of things that exist. */
#define ASSERT_UNCHANGED()							\
	do {									\
		struct swapvma_stats now;					\
										\
		sv_stats(self->fd, &now);					\
		ASSERT_EQ(0, memcmp(&now, &self->before, sizeof(now)));		\
		ASSERT_TRUE(sv_wait_for(sv_debug("regions") == self->regions));	\
		ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));	\
	} while (0)

static int errno_of(long ret)
{
	return ret < 0 ? errno : 0;
}

static struct swapvma_create good_create(void)
{
	struct swapvma_create create = {
		.size = SIZE,
		.limit = SV_BATCH * SV_PAGE,
		.driver = "test",
	};

	return create;
}

#define RESERVED	ARRAY_SIZE(((struct swapvma_create *)NULL)->reserved)

TEST_F(uapi, create)
{
	const struct {
		const char *what;
		int error;
		uint64_t flags, size, limit, reserved;
		const char *driver, *algorithm;
	} rows[] = {
		{ "unknown flag", EINVAL, 8, SIZE, SIZE, 0, "test", "" },
		{ "all flags", EINVAL, ~0ULL, SIZE, SIZE, 0, "test", "" },
		{ "size zero", EINVAL, 0, 0, SWAPVMA_LIMIT_NONE, 0, "test", "" },
		{ "size unaligned", EINVAL, 0, SIZE + 1, SWAPVMA_LIMIT_NONE, 0, "test", "" },
		{ "size too big", EFBIG, 0, 1ULL << 62, SWAPVMA_LIMIT_NONE, 0, "test", "" },
		{ "size too big for an offset", EFBIG, 0, 0xfffffffffffff000ULL,
		  SWAPVMA_LIMIT_NONE, 0, "test", "" },
		{ "limit zero", EINVAL, 0, SIZE, 0, 0, "test", "" },
		{ "limit below a batch", EINVAL, 0, SIZE, (SV_BATCH - 1) * SV_PAGE, 0, "test", "" },
		{ "limit above the size", EINVAL, 0, SIZE, SIZE + SV_PAGE, 0, "test", "" },
		{ "limit unaligned", EINVAL, 0, SIZE, SIZE - 1, 0, "test", "" },
		{ "unknown driver", ENODEV, 0, SIZE, SIZE, 0, "no_such_driver", "" },
		{ "longer than a known driver", ENODEV, 0, SIZE, SIZE, 0, "test2", "" },
		{ "unknown algorithm", EINVAL, 0, SIZE, SIZE, 0, "ram", "no_such_algorithm" },
		{ "algorithm of another driver", EINVAL, 0, SIZE, SIZE, 0, "test", "lz4" },
		{ "reserved", EINVAL, 0, SIZE, SIZE, 1, "test", "" },
	};
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		for (j = 0; j < (rows[i].reserved ? RESERVED : 1); j++) {
			struct swapvma_create create = {
				.flags = rows[i].flags,
				.size = rows[i].size,
				.limit = rows[i].limit,
			};

			memcpy(create.driver, rows[i].driver, strlen(rows[i].driver));
			memcpy(create.algorithm, rows[i].algorithm, strlen(rows[i].algorithm));
			create.reserved[j] = rows[i].reserved;
			EXPECT_EQ(rows[i].error,
				  errno_of(ioctl(self->device, SWAPVMA_IOC_CREATE, &create)))
				TH_LOG("%s", rows[i].what);
		}
	}
	ASSERT_UNCHANGED();
}

TEST_F(uapi, create_unterminated_names)
{
	struct swapvma_create create = good_create();

	memset(create.driver, 'a', sizeof(create.driver));
	EXPECT_EQ(EINVAL, errno_of(ioctl(self->device, SWAPVMA_IOC_CREATE, &create)));
	create = good_create();
	memset(create.algorithm, 'a', sizeof(create.algorithm));
	EXPECT_EQ(EINVAL, errno_of(ioctl(self->device, SWAPVMA_IOC_CREATE, &create)));
	ASSERT_UNCHANGED();
}

/* The good case, and the smallest region: there a limit is the size or none. */
TEST_F(uapi, create_well)
{
	struct swapvma_create create = good_create();
	int fd;

	fd = ioctl(self->device, SWAPVMA_IOC_CREATE, &create);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, fcntl(fd, F_GETFD));
	EXPECT_EQ(SIZE, SV_STAT(fd, size));
	EXPECT_EQ(SV_BATCH * SV_PAGE, SV_STAT(fd, limit));
	close(fd);
	create.flags = SWAPVMA_CREATE_CLOEXEC;
	fd = ioctl(self->device, SWAPVMA_IOC_CREATE, &create);
	ASSERT_LE(0, fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	close(fd);
	create.size = SV_PAGE;
	create.limit = SWAPVMA_LIMIT_NONE;
	memset(create.driver, 0, sizeof(create.driver));
	fd = ioctl(self->device, SWAPVMA_IOC_CREATE, &create);
	ASSERT_LE(0, fd);
	close(fd);
	ASSERT_UNCHANGED();
}

/* Sizes: shorter than version 0, as known, longer with and without content. */
TEST_F(uapi, structure_sizes)
{
	static const struct {
		unsigned long request;
		size_t size;
		bool device;
	} rows[] = {
		{ SWAPVMA_IOC_CREATE, sizeof(struct swapvma_create), true },
		{ SWAPVMA_IOC_SET_LIMIT, sizeof(struct swapvma_limit), false },
		{ SWAPVMA_IOC_PREFETCH, sizeof(struct swapvma_range), false },
		{ SWAPVMA_IOC_STATS, sizeof(struct swapvma_stats), false },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		union {
			struct swapvma_create create;
			struct swapvma_limit limit;
			struct swapvma_range range;
			char bytes[1024];
		} arg = { .bytes = { 0 } };
		int fd = rows[i].device ? self->device : self->fd;
		size_t size = rows[i].size;
		int ret;

		if (rows[i].request == SWAPVMA_IOC_CREATE)
			arg.create = good_create();
		else if (rows[i].request == SWAPVMA_IOC_SET_LIMIT)
			arg.limit.limit = SV_BATCH * SV_PAGE;
		else if (rows[i].request == SWAPVMA_IOC_PREFETCH)
			arg.range.length = SV_PAGE;

		EXPECT_EQ(EINVAL, errno_of(ioctl(fd, SIZED(rows[i].request, 0), &arg)));
		EXPECT_EQ(EINVAL, errno_of(ioctl(fd, SIZED(rows[i].request, size - 8), &arg)));
		EXPECT_EQ(EINVAL, errno_of(ioctl(fd, SIZED(rows[i].request, size - 1), &arg)));
		arg.bytes[size] = 1;
		EXPECT_EQ(E2BIG, errno_of(ioctl(fd, SIZED(rows[i].request, size + 8), &arg)));
		arg.bytes[size] = 0;
		arg.bytes[size + 63] = 1;
		EXPECT_EQ(E2BIG, errno_of(ioctl(fd, SIZED(rows[i].request, size + 64), &arg)));
		arg.bytes[size + 63] = 0;
		ret = ioctl(fd, SIZED(rows[i].request, size + 64), &arg);
		EXPECT_LE(0, ret);
		if (rows[i].device && ret >= 0)
			close(ret);
	}
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
}

TEST_F(uapi, limit)
{
	static const struct {
		const char *what;
		uint64_t flags, limit, reserved0, reserved1;
	} rows[] = {
		{ "flag", 8, SIZE, 0, 0 },
		{ "stored and low", 3, SIZE, 0, 0 },
		{ "priority and low", 6, 0, 0, 0 },
		{ "priority, reserved", 4, 0, 0, 1 },
		{ "stored, reserved", 1, SIZE, 1, 0 },
		{ "low, unaligned", 2, SV_PAGE + 1, 0, 0 },
		{ "reserved 0", 0, SIZE, 1, 0 },
		{ "reserved 1", 0, SIZE, 0, 1 },
		{ "zero", 0, 0, 0, 0 },
		{ "below a batch", 0, (SV_BATCH - 1) * SV_PAGE, 0, 0 },
		{ "above the size", 0, SIZE + SV_PAGE, 0, 0 },
		{ "unaligned", 0, SIZE - 1, 0, 0 },
		{ "nearly none", 0, SWAPVMA_LIMIT_NONE - 1, 0, 0 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct swapvma_limit limit = {
			.flags = rows[i].flags,
			.limit = rows[i].limit,
			.reserved = { rows[i].reserved0, rows[i].reserved1 },
		};

		EXPECT_EQ(EINVAL, errno_of(ioctl(self->fd, SWAPVMA_IOC_SET_LIMIT, &limit)))
			TH_LOG("%s", rows[i].what);
	}
	ASSERT_UNCHANGED();
}

/* To keep less takes nothing, to keep more a capability. */
TEST_F(uapi, low)
{
	pid_t child;

	ASSERT_EQ(0, sv_set_low(self->fd, 4));
	child = sv_fork();
	if (!child) {
		if (setresuid(4242, 4242, 4242))
			_exit(1);
		_exit(sv_set_low(self->fd, 3) || sv_set_low(self->fd, 4) != -EPERM ||
		      SV_STAT(self->fd, low) != 3 * SV_PAGE);
	}
	ASSERT_EQ(0, sv_reap(child));
	ASSERT_EQ(3 * SV_PAGE, SV_STAT(self->fd, low));
}

/* To lower a priority takes nothing, to raise it above 0 a capability. */
TEST_F(uapi, priority)
{
	static const int64_t bad[] = { SWAPVMA_PRIORITY_MIN - 1, SWAPVMA_PRIORITY_MAX + 1,
				       INT64_MAX, INT64_MIN, UINT32_MAX };
	pid_t child;
	size_t i;

	ASSERT_EQ(0, SV_STAT(self->fd, priority));
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		EXPECT_EQ(-EINVAL, sv_set_priority(self->fd, bad[i]));
	ASSERT_UNCHANGED();
	ASSERT_EQ(0, sv_set_priority(self->fd, SWAPVMA_PRIORITY_MIN));
	ASSERT_EQ(SWAPVMA_PRIORITY_MIN, SV_STAT(self->fd, priority));
	ASSERT_EQ(0, sv_set_priority(self->fd, SWAPVMA_PRIORITY_MAX));
	ASSERT_EQ(SWAPVMA_PRIORITY_MAX, SV_STAT(self->fd, priority));
	child = sv_fork();
	if (!child) {
		if (setresuid(4242, 4242, 4242))
			_exit(1);
		_exit(sv_set_priority(self->fd, 5) ||
		      sv_set_priority(self->fd, 6) != -EPERM ||
		      sv_set_priority(self->fd, SWAPVMA_PRIORITY_MAX + 1) != -EINVAL ||
		      SV_STAT(self->fd, priority) != 5 ||
		      sv_set_priority(self->fd, -3) || sv_set_priority(self->fd, 0) ||
		      sv_set_priority(self->fd, 1) != -EPERM ||
		      SV_STAT(self->fd, priority) != 0 || sv_set_priority(self->fd, -7));
	}
	ASSERT_EQ(0, sv_reap(child));
	ASSERT_EQ(-7, SV_STAT(self->fd, priority));
}

TEST_F(uapi, range)
{
	static const struct {
		const char *what;
		uint64_t flags, offset, length, reserved0, reserved1;
	} rows[] = {
		{ "flag", 1, 0, SIZE, 0, 0 },
		{ "reserved 0", 0, 0, SIZE, 1, 0 },
		{ "reserved 1", 0, 0, SIZE, 0, 1 },
		{ "length zero", 0, 0, 0, 0, 0 },
		{ "offset unaligned", 0, 1, SV_PAGE, 0, 0 },
		{ "length unaligned", 0, 0, SV_PAGE - 1, 0, 0 },
		{ "past the size", 0, 0, SIZE + SV_PAGE, 0, 0 },
		{ "begins at the size", 0, SIZE, SV_PAGE, 0, 0 },
		{ "ends past the size", 0, SIZE - SV_PAGE, 2 * SV_PAGE, 0, 0 },
		{ "far away", 0, 1ULL << 60, SV_PAGE, 0, 0 },
		{ "sum overflows", 0, -2 * SV_PAGE, 4 * SV_PAGE, 0, 0 },
		{ "sum is zero", 0, SV_PAGE, -SV_PAGE, 0, 0 },
		{ "length is huge", 0, 0, -SV_PAGE, 0, 0 },
	};
	static const unsigned long requests[] = { SWAPVMA_IOC_PAGEOUT, SWAPVMA_IOC_PREFETCH };
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		for (j = 0; j < 2; j++) {
			struct swapvma_range range = {
				.flags = rows[i].flags,
				.offset = rows[i].offset,
				.length = rows[i].length,
				.reserved = { rows[i].reserved0, rows[i].reserved1 },
			};

			EXPECT_EQ(EINVAL, errno_of(ioctl(self->fd, requests[j], &range)))
				TH_LOG("%s of a range: %s", j ? "PREFETCH" : "PAGEOUT",
				       rows[i].what);
		}
	ASSERT_UNCHANGED();
}

TEST_F(uapi, stats)
{
	struct swapvma_stats stats = { .flags = 1 };

	EXPECT_EQ(EINVAL, errno_of(ioctl(self->fd, SWAPVMA_IOC_STATS, &stats)));
	ASSERT_UNCHANGED();
}

TEST_F(uapi, wrong_request_or_descriptor)
{
	static const unsigned long on_region[] = {
		SWAPVMA_IOC_SET_LIMIT, SWAPVMA_IOC_PAGEOUT, SWAPVMA_IOC_PREFETCH,
		SWAPVMA_IOC_STATS,
	};
	struct swapvma_create create = good_create();
	char arg[1024] = { 0 };
	size_t i;

	EXPECT_EQ(ENOTTY, errno_of(ioctl(self->fd, SWAPVMA_IOC_CREATE, &create)));
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(ENXIO, errno_of(ioctl(self->device, on_region[i], arg)))
			TH_LOG("request %zu", i);
	}
	for (i = 0; i < 2; i++) {
		int fd = i ? self->fd : self->device;

		EXPECT_EQ(ENOTTY, errno_of(ioctl(fd, _IO(SWAPVMA_IOC_MAGIC, 0x7f), arg)));
		EXPECT_EQ(ENOTTY, errno_of(ioctl(fd, _IO(SWAPVMA_IOC_MAGIC, 0), arg)));
		EXPECT_EQ(ENOTTY, errno_of(ioctl(fd, _IOWR(0xbc, 0x44, struct swapvma_stats), arg)));
		EXPECT_EQ(ENOTTY, errno_of(ioctl(fd, 0, arg)));
		EXPECT_EQ(ENOTTY, errno_of(ioctl(fd, ~0U, arg)));
	}
	ASSERT_UNCHANGED();
}

TEST_F(uapi, bad_pointers)
{
	static const unsigned long requests[] = {
		SWAPVMA_IOC_SET_LIMIT, SWAPVMA_IOC_PAGEOUT, SWAPVMA_IOC_PREFETCH,
		SWAPVMA_IOC_STATS,
	};
	char *page = mmap(NULL, 2 * SV_PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct swapvma_stats *readonly;
	size_t i;

	ASSERT_NE(MAP_FAILED, page);
	ASSERT_EQ(0, munmap(page + SV_PAGE, SV_PAGE));
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(EFAULT, errno_of(ioctl(self->fd, requests[i], NULL)));
		/* The structure runs off the end of a page. */
		EXPECT_EQ(EFAULT, errno_of(ioctl(self->fd, requests[i], page + SV_PAGE - 8)));
		EXPECT_EQ(EFAULT, errno_of(ioctl(self->fd, requests[i], (void *)-4096L)));
	}
	EXPECT_EQ(EFAULT, errno_of(ioctl(self->device, SWAPVMA_IOC_CREATE, NULL)));
	EXPECT_EQ(EFAULT, errno_of(ioctl(self->device, SWAPVMA_IOC_CREATE, page + SV_PAGE - 8)));
	/* Readable, so that the answer is what fails. */
	readonly = (struct swapvma_stats *)page;
	ASSERT_EQ(0, mprotect(page, SV_PAGE, PROT_READ));
	EXPECT_EQ(EFAULT, errno_of(ioctl(self->fd, SWAPVMA_IOC_STATS, readonly)));
	ASSERT_UNCHANGED();
}

TEST_F(uapi, access_past_the_size)
{
	char *map = mmap(NULL, SIZE + 4 * SV_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	char *far = mmap(NULL, SV_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 1L << 40);

	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(0, sv_touch_read(map + SIZE - 1));
	EXPECT_EQ(SIGBUS, sv_touch_read(map + SIZE));
	EXPECT_EQ(SIGBUS, sv_touch_write(map + SIZE, 1));
	EXPECT_EQ(SIGBUS, sv_touch_read(map + SIZE + 3 * SV_PAGE));
	if (far != MAP_FAILED) {
		EXPECT_EQ(SIGBUS, sv_touch_read(far));
		EXPECT_EQ(SIGBUS, sv_touch_write(far, 1));
	}
	EXPECT_EQ(MAP_FAILED, mmap(NULL, SV_PAGE, PROT_READ, MAP_SHARED, self->fd,
				   0x7ffffffffffff000L));
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
}

/* Bug class C16: what the descriptor was opened for bounds what can be mapped. */
TEST_F(uapi, read_only_descriptor)
{
	char path[64], *map;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		/* A region cannot be opened again: no read-only descriptor to misuse. */
		EXPECT_EQ(true, errno == ENXIO || errno == EACCES || errno == ENOENT);
		fd = open(SV_DEVICE, O_RDONLY | O_CLOEXEC);
	}
	ASSERT_LE(0, fd);
	map = mmap(NULL, SV_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	EXPECT_EQ(MAP_FAILED, map);
	EXPECT_EQ(EACCES, errno);
	map = mmap(NULL, SV_PAGE, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(EACCES, errno_of(mprotect(map, SV_PAGE, PROT_READ | PROT_WRITE)));
	EXPECT_EQ(SIGSEGV, sv_touch_write(map, 1));
	munmap(map, SV_PAGE);
	close(fd);
	ASSERT_UNCHANGED();
}

TEST_F(uapi, fallocate)
{
	static const struct {
		int mode;
		long offset, length;
		int error;
	} rows[] = {
		{ 0, 0, SV_PAGE, EOPNOTSUPP },
		{ FALLOC_FL_KEEP_SIZE, 0, SV_PAGE, EOPNOTSUPP },
		{ FALLOC_FL_ZERO_RANGE, 0, SV_PAGE, EOPNOTSUPP },
		{ FALLOC_FL_COLLAPSE_RANGE, 0, SV_PAGE, EOPNOTSUPP },
		{ FALLOC_FL_INSERT_RANGE, 0, SV_PAGE, EOPNOTSUPP },
		{ FALLOC_FL_PUNCH_HOLE, 0, SV_PAGE, EOPNOTSUPP },
		{ PUNCH, -1, SV_PAGE, EINVAL },
		{ PUNCH, 0, 0, EINVAL },
		{ PUNCH, 0, -1, EINVAL },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		EXPECT_EQ(rows[i].error, errno_of(fallocate(self->fd, rows[i].mode, rows[i].offset,
							    rows[i].length)))
			TH_LOG("row %zu", i);
	}
	/* A hole past the end is nothing to do. */
	EXPECT_EQ(0, fallocate(self->fd, PUNCH, SIZE, SV_PAGE));
	EXPECT_EQ(EINVAL, errno_of(ftruncate(self->fd, -1)));
	EXPECT_EQ(EFBIG, errno_of(ftruncate(self->fd, 1L << 62)));
	ASSERT_UNCHANGED();
}

/* A mapping of the device itself: the default region of that descriptor. */
/* The answer cannot be written: the call fails before it moves a page. */
TEST_F(uapi, range_in_read_only_memory)
{
	static const unsigned long requests[] = { SWAPVMA_IOC_PAGEOUT, SWAPVMA_IOC_PREFETCH };
	struct swapvma_range *range = mmap(NULL, SV_PAGE, PROT_READ | PROT_WRITE,
					   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t i;

	ASSERT_NE(MAP_FAILED, range);
	range->length = SIZE;
	ASSERT_EQ(0, mprotect(range, SV_PAGE, PROT_READ));
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(EFAULT, errno_of(ioctl(self->fd, requests[i], range)));
		ASSERT_UNCHANGED();
	}
	/* The same with half of the pages out, so that PREFETCH has what to do. */
	ASSERT_EQ(PAGES / 2, sv_pageout(self->fd, 0, PAGES / 2));
	sv_stats(self->fd, &self->before);
	for (i = 0; i < 2; i++) {
		struct swapvma_stats now;

		EXPECT_EQ(EFAULT, errno_of(ioctl(self->fd, requests[i], range)));
		sv_stats(self->fd, &now);
		ASSERT_EQ(0, memcmp(&now, &self->before, sizeof(now)));
	}
	ASSERT_EQ(0, range->pages);
	ASSERT_EQ(0, sv_check_range(self->map, 0, PAGES, SV_TEXT, 1));
}

TEST_F(uapi, device_mapping)
{
	char *map = sv_map_rw(self->device, PAGES);

	sv_fill_range(map, 0, PAGES, SV_TEXT, 3);
	ASSERT_EQ(self->base.value[0] + 2, sv_debug("regions"));
	ASSERT_LE(SIZE, SV_STAT(self->device, size));
	ASSERT_EQ(PAGES, SV_STAT(self->device, resident));
	ASSERT_EQ(PAGES, sv_pageout(self->device, 0, PAGES));
	ASSERT_EQ(0, SV_STAT(self->device, resident));
	ASSERT_EQ(0, sv_check_range(map, 0, PAGES, SV_TEXT, 3));
	ASSERT_EQ(PAGES, SV_STAT(self->device, swapins));
	/* The mapping outlives the descriptor, and other descriptors are others. */
	close(self->device);
	ASSERT_EQ(0, sv_check_range(map, 0, PAGES, SV_TEXT, 3));
	self->device = open(SV_DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->device);
	ASSERT_EQ(0, sv_check_zero(sv_map_rw(self->device, PAGES), 0, PAGES));
	ASSERT_EQ(0, sv_check_range(map, 0, PAGES, SV_TEXT, 3));
}

SV_TEST_MAIN
