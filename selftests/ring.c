// SPDX-License-Identifier: GPL-2.0
/*
 * Regions of other modules: samples/swapvma_ring.c, a character device whose
 * ring buffer is swappable, and samples in Rust. Two regions behind one device,
 * pages pinned by the kernel, and a module that stays for as long as somebody maps
 * its memory, or that goes although it has a region.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "swapvma_util.h"

#define PAGES	((size_t)512)
#define SIZE	(PAGES * SV_PAGE)
#define DATA	(1UL << 20)

/* As in the driver. */
struct ring_control {
	uint64_t head, tail, size;
};

FIXTURE(ring)
{
	struct sv_baseline base;
	struct ring_control *control;
	char *data;
	int fd;
};

FIXTURE_VARIANT(ring)
{
	const char *params;
};

FIXTURE_VARIANT_ADD(ring, ram)
{
	.params = "pages=512 limit=64 driver=ram",
};

FIXTURE_VARIANT_ADD(ring, test)
{
	.params = "pages=512 limit=64 driver=test",
};

FIXTURE_SETUP(ring)
{
	sv_begin(&self->base);
	ASSERT_EQ(0, sv_load("swapvma_ring", variant->params));
	self->fd = open("/dev/swapvma_ring", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->fd);
	self->control = mmap(NULL, SV_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->control);
	self->data = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, self->fd, DATA);
	ASSERT_NE(MAP_FAILED, self->data);
}

FIXTURE_TEARDOWN_PARENT(ring)
{
	/* A swapper may hold the region for a moment. */
	EXPECT_TRUE(sv_wait_for(!sv_unload("swapvma_ring")));
	EXPECT_TRUE(sv_end(&self->base));
}

struct stream {
	pthread_t thread;
	int fd;
	size_t first, nr;
};

/* Writes pages of a stream. */
static void *put_pages(void *arg)
{
	struct stream *s = arg;
	char page[SV_PAGE];
	size_t i, done;
	ssize_t ret;

	for (i = s->first; i < s->first + s->nr; i++) {
		sv_fill(page, SV_TEXT, i, 1);
		for (done = 0; done < SV_PAGE; done += ret) {
			ret = write(s->fd, page + done, SV_PAGE - done);
			if (ret >= 0)
				continue;
			if (errno != EAGAIN)
				return (void *)(long)errno;
			ret = 0;
			usleep(1000);
		}
	}
	return NULL;
}

/* Takes pages out and returns how many were wrong. */
static size_t take_pages(struct ring_control *control, const char *data, size_t first, size_t nr)
{
	size_t i, bad = 0;

	for (i = first; i < first + nr; i++) {
		while (__atomic_load_n(&control->head, __ATOMIC_ACQUIRE) < (i + 1) * SV_PAGE)
			usleep(100);
		bad += !sv_check(data + i % PAGES * SV_PAGE, SV_TEXT, i, 1);
		__atomic_store_n(&control->tail, (i + 1) * SV_PAGE, __ATOMIC_RELEASE);
	}
	return bad;
}

TEST_F(ring, full_of_what_was_written)
{
	struct stream s = { .fd = self->fd, .nr = PAGES };
	char byte = 0;

	ASSERT_EQ(SIZE, self->control->size);
	ASSERT_EQ(NULL, put_pages(&s));
	ASSERT_EQ(SIZE, self->control->head);
	ASSERT_EQ(-1, write(self->fd, &byte, 1));
	ASSERT_EQ(EAGAIN, errno);
	/* Eight times the limit: most of it is swapped out. */
	ASSERT_GE(self->base.value[2] + 64 + 1, sv_debug("resident_pages"));
	ASSERT_EQ(0, take_pages(self->control, self->data, 0, PAGES));
	ASSERT_EQ(1, write(self->fd, &byte, 1));
	ASSERT_EQ(SIZE + 1, self->control->head);
}

/* One writes, one reads, several times around. */
TEST_F(ring, stream)
{
	struct stream s = { .fd = self->fd, .nr = 5 * PAGES };
	void *error;

	ASSERT_EQ(0, pthread_create(&s.thread, NULL, put_pages, &s));
	ASSERT_EQ(0, take_pages(self->control, self->data, 0, s.nr));
	ASSERT_EQ(0, pthread_join(s.thread, &error));
	ASSERT_EQ(NULL, error);
}

/* What is pinned stays where it is, whatever is asked for. */
TEST_F(ring, control_page_is_pinned)
{
	struct stream s = { .fd = self->fd, .nr = PAGES };
	int i;

	for (i = 0; i < 3; i++) {
		sv_write_file("/proc/sys/vm/drop_caches", "2");
		s.first = i * PAGES;
		ASSERT_EQ(NULL, put_pages(&s));
		ASSERT_EQ((i + 1) * SIZE, self->control->head);
		ASSERT_EQ(SIZE, self->control->size);
		ASSERT_EQ(0, take_pages(self->control, self->data, i * PAGES, PAGES));
	}
}

/* A bad address costs the write and nothing else. */
TEST_F(ring, bad_address)
{
	char *bad = sv_map(-1, 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS);

	ASSERT_EQ(-1, write(self->fd, bad, SV_PAGE));
	ASSERT_EQ(EFAULT, errno);
	ASSERT_EQ(0, self->control->head);
	sv_unmap(bad, 1);
}

/* From a mapping of the ring into the ring: the fault swaps the same region. */
TEST_F(ring, into_itself)
{
	struct stream s = { .fd = self->fd, .nr = PAGES / 2 };
	size_t i;

	ASSERT_EQ(NULL, put_pages(&s));
	for (i = 0; i < PAGES / 2; i++)
		ASSERT_EQ(SV_PAGE, write(self->fd, self->data + i * SV_PAGE, SV_PAGE));
	for (i = 0; i < PAGES; i++)
		ASSERT_TRUE(sv_check(self->data + i * SV_PAGE, SV_TEXT, i % (PAGES / 2), 1));
}

TEST_F(ring, mapped_out_of_range)
{
	const struct {
		size_t offset, pages;
	} bad[] = {
		{ 0, 2 }, { SV_PAGE, 1 }, { DATA, PAGES + 1 }, { DATA + SIZE, 1 },
		{ DATA - SV_PAGE, 2 }, { 1UL << 43, 1 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		ASSERT_EQ(MAP_FAILED, mmap(NULL, bad[i].pages * SV_PAGE, PROT_READ, MAP_SHARED,
					   self->fd, bad[i].offset));
		ASSERT_EQ(EINVAL, errno);
	}
	ASSERT_EQ(self->base.value[0] + 2, sv_debug("regions"));
}

/* At another offset of the device it is the same page of the region. */
TEST_F(ring, mapped_in_part)
{
	struct stream s = { .fd = self->fd, .nr = PAGES };
	char *part;

	ASSERT_EQ(NULL, put_pages(&s));
	part = mmap(NULL, 4 * SV_PAGE, PROT_READ, MAP_SHARED, self->fd, DATA + 7 * SV_PAGE);
	ASSERT_NE(MAP_FAILED, part);
	ASSERT_TRUE(sv_check(part, SV_TEXT, 7, 1));
	ASSERT_TRUE(sv_check(part + 3 * SV_PAGE, SV_TEXT, 10, 1));
	sv_unmap(part, 4);
}

/* The file is closed and the mapping lives: so do ring and module. */
TEST_F(ring, mapping_holds_the_module)
{
	struct stream s = { .fd = self->fd, .nr = PAGES };

	ASSERT_EQ(NULL, put_pages(&s));
	ASSERT_EQ(0, close(self->fd));
	ASSERT_EQ(-EAGAIN, sv_unload("swapvma_ring"));
	ASSERT_EQ(0, take_pages(self->control, self->data, 0, PAGES));
	ASSERT_EQ(0, munmap(self->control, SV_PAGE));
	ASSERT_EQ(-EAGAIN, sv_unload("swapvma_ring"));
	sv_unmap(self->data, PAGES);
	ASSERT_TRUE(sv_wait_for(sv_debug("regions") == self->base.value[0]));
	ASSERT_TRUE(sv_wait_for(!sv_unload("swapvma_ring")));
	ASSERT_EQ(0, sv_load("swapvma_ring", variant->params));
}

/*
 * The same from Rust, with another device: samples/rust_buffer.
 */

#define BUFFER_PAGES	((size_t)1024)

FIXTURE(buffer)
{
	struct sv_baseline base;
	char *map;
	int fd;
};

FIXTURE_SETUP(buffer)
{
	sv_begin(&self->base);
	ASSERT_EQ(0, sv_load("rust_buffer", ""));
	self->fd = open("/dev/rust_buffer", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->fd);
	self->map = mmap(NULL, BUFFER_PAGES * SV_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN_PARENT(buffer)
{
	EXPECT_EQ(0, sv_unload("rust_buffer"));
	EXPECT_TRUE(sv_end(&self->base));
}

TEST_F(buffer, written_mapped_and_read)
{
	char *bad = sv_map(-1, 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS);
	char page[SV_PAGE];
	size_t i;

	for (i = 0; i < BUFFER_PAGES; i++) {
		sv_fill(page, SV_TEXT, i, 1);
		ASSERT_EQ(SV_PAGE, pwrite(self->fd, page, SV_PAGE, i * SV_PAGE));
	}
	ASSERT_GE(self->base.value[2] + 64, sv_debug("resident_pages"));
	ASSERT_EQ(0, sv_check_range(self->map, 0, BUFFER_PAGES, SV_TEXT, 1));
	sv_fill_range(self->map, 0, BUFFER_PAGES, SV_TEXT, 2);
	for (i = 0; i < BUFFER_PAGES; i++) {
		ASSERT_EQ(SV_PAGE, pread(self->fd, page, SV_PAGE, i * SV_PAGE));
		ASSERT_TRUE(sv_check(page, SV_TEXT, i, 2));
	}
	/* Across pages, into its own mapping, past the end, from nowhere. */
	ASSERT_EQ(SV_PAGE, pread(self->fd, self->map + 7 * SV_PAGE, SV_PAGE, 5 * SV_PAGE));
	ASSERT_TRUE(sv_check(self->map + 7 * SV_PAGE, SV_TEXT, 5, 2));
	ASSERT_EQ(SV_PAGE, pread(self->fd, page, SV_PAGE, 100));
	ASSERT_EQ(0, memcmp(page, self->map + 100, SV_PAGE));
	ASSERT_EQ(100, pread(self->fd, page, SV_PAGE, BUFFER_PAGES * SV_PAGE - 100));
	ASSERT_EQ(0, pread(self->fd, page, 1, BUFFER_PAGES * SV_PAGE));
	ASSERT_EQ(-1, pwrite(self->fd, page, 1, BUFFER_PAGES * SV_PAGE));
	ASSERT_EQ(ENOSPC, errno);
	ASSERT_EQ(-1, pread(self->fd, bad, SV_PAGE, 0));
	ASSERT_EQ(EFAULT, errno);
	ASSERT_EQ(-1, pwrite(self->fd, bad, SV_PAGE, 0));
	ASSERT_EQ(EFAULT, errno);
}

TEST_F(buffer, mapping_holds_the_module)
{
	sv_fill_range(self->map, 0, BUFFER_PAGES, SV_TEXT, 1);
	ASSERT_EQ(0, close(self->fd));
	ASSERT_EQ(-EAGAIN, sv_unload("rust_buffer"));
	ASSERT_EQ(0, sv_check_range(self->map, 0, BUFFER_PAGES, SV_TEXT, 1));
	sv_unmap(self->map, BUFFER_PAGES);
	ASSERT_TRUE(sv_wait_for(!sv_unload("rust_buffer")));
	ASSERT_EQ(0, sv_load("rust_buffer", ""));
}

TEST_F(buffer, too_much_is_mapped)
{
	ASSERT_EQ(MAP_FAILED, mmap(NULL, (BUFFER_PAGES + 1) * SV_PAGE, PROT_READ, MAP_SHARED,
				   self->fd, 0));
	ASSERT_EQ(EINVAL, errno);
}

/*
 * samples/rust_table: a region that is made when its module is loaded does not hold
 * it, and a page that is pinned for as long needs nothing else to hold the region.
 */
TEST(made_when_loaded)
{
	struct sv_baseline base;
	int kmsg;

	sv_begin(&base);
	kmsg = sv_kmsg_open();
	ASSERT_EQ(0, sv_load("rust_table", ""));
	ASSERT_EQ(base.value[0] + 1, sv_debug("regions"));
	ASSERT_GE(base.value[2] + 64 + 1, sv_debug("resident_pages"));
	ASSERT_EQ(0, sv_unload("rust_table"));
	ASSERT_EQ(1, sv_kmsg_count(kmsg, "rust_table: 1024 pages, 0 wrong"));
	ASSERT_EQ(0, close(kmsg));
	ASSERT_TRUE(sv_end(&base));
}

TEST(unknown_driver)
{
	ASSERT_EQ(0, sv_load("swapvma_ring", "driver=no_such_driver"));
	ASSERT_EQ(-1, open("/dev/swapvma_ring", O_RDWR));
	ASSERT_EQ(ENODEV, errno);
	/* A swapper may hold the region for a moment. */
	ASSERT_TRUE(sv_wait_for(!sv_unload("swapvma_ring")));
	ASSERT_EQ(0, sv_load("swapvma_ring", "limit=1"));
	ASSERT_EQ(-1, open("/dev/swapvma_ring", O_RDWR));
	ASSERT_EQ(EINVAL, errno);
	ASSERT_EQ(0, sv_unload("swapvma_ring"));
	ASSERT_EQ(-EINVAL, sv_load("swapvma_ring", "pages=1000"));
}

SV_TEST_MAIN
