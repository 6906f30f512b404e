// SPDX-License-Identifier: GPL-2.0
/*
 * A peer: a thread that answers the faults of anonymous memory from a copy of its
 * own, and whoever pages out makes the copy.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"

struct uffd {
	int fd;
	pthread_t thread;
	unsigned char *base, *store;
	size_t length;
	struct moved moved;
};

static void *handle(void *argument)
{
	struct uffd *uffd = argument;
	struct uffd_msg message;

	while (read(uffd->fd, &message, sizeof(message)) == sizeof(message)) {
		size_t offset = (message.arg.pagefault.address & ~(PAGE - 1)) -
				(uintptr_t)uffd->base;
		struct uffdio_copy copy = {
			.dst = (uintptr_t)uffd->base + offset,
			.src = (uintptr_t)uffd->store + offset,
			.len = PAGE,
		};

		if (ioctl(uffd->fd, UFFDIO_COPY, &copy) != 0)
			die("UFFDIO_COPY: %s", strerror(errno));
		uffd->moved.in++;
	}
	return NULL;
}

struct uffd *uffd_start(unsigned char *base, size_t length)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = { .start = (uintptr_t)base, .len = length },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffd *uffd = calloc(1, sizeof(*uffd));

	if (!uffd)
		die("out of memory");
	uffd->base = base;
	uffd->length = length;
	uffd->store = mmap(NULL, length, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	uffd->fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (uffd->store == MAP_FAILED || uffd->fd < 0 || ioctl(uffd->fd, UFFDIO_API, &api) != 0 ||
	    ioctl(uffd->fd, UFFDIO_REGISTER, &range) != 0)
		die("userfaultfd: %s", strerror(errno));
	if (pthread_create(&uffd->thread, NULL, handle, uffd) != 0)
		die("cannot create a thread");
	return uffd;
}

void uffd_stop(struct uffd *uffd)
{
	pthread_cancel(uffd->thread);
	pthread_join(uffd->thread, NULL);
	close(uffd->fd);
	munmap(uffd->store, uffd->length);
	free(uffd);
}

void uffd_page_out(struct uffd *uffd, size_t offset, size_t length)
{
	memcpy(uffd->store + offset, uffd->base + offset, length);
	if (madvise(uffd->base + offset, length, MADV_DONTNEED) != 0)
		die("MADV_DONTNEED: %s", strerror(errno));
	uffd->moved.out += length / PAGE;
}

struct moved uffd_moved(const struct uffd *uffd)
{
	return uffd->moved;
}
