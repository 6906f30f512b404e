// SPDX-License-Identifier: GPL-2.0
/* The cgroup of the rows that are about one. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

#define ROOT	"/sys/fs/cgroup"
#define CGROUP	ROOT "/bench"

void enter_cgroup(void)
{
	if (mkdir(CGROUP, 0755) != 0)
		die(CGROUP ": %s", strerror(errno));
	write_file(CGROUP "/cgroup.procs", "0");
}

void leave_cgroup(void)
{
	write_file(ROOT "/cgroup.procs", "0");
}

void remove_cgroup(void)
{
	if (rmdir(CGROUP) != 0)
		die(CGROUP ": %s", strerror(errno));
}

static const char *path_of(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), CGROUP "/%s", name);
	return path;
}

int ask_cgroup(const char *name, uint64_t pages)
{
	int fd = open(path_of(name), O_WRONLY | O_CLOEXEC), error = 0;
	char text[32];
	size_t length;

	if (fd < 0)
		die("%s: %s", path_of(name), strerror(errno));
	length = snprintf(text, sizeof(text), "%lu", pages * PAGE);
	if (write(fd, text, length) != (ssize_t)length)
		error = errno;
	close(fd);
	return error;
}

void set_cgroup(const char *name, uint64_t pages)
{
	int error = ask_cgroup(name, pages);

	if (error)
		die("%s: %s", path_of(name), strerror(error));
}
