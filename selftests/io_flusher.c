// SPDX-License-Identifier: GPL-2.0
/*
 * io_flusher PROGRAM [ARGUMENT]...: runs a program that memory is written
 * through, the server of a network block device for instance. What it allocates
 * does not wait for I/O, which might be its own, and it is not slowed down as
 * others are that dirty memory. The program locks itself into memory: exec undoes
 * mlockall().
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER	57
#endif

int main(int argc, char *argv[])
{
	if (argc < 2) {
		fprintf(stderr, "usage: %s PROGRAM [ARGUMENT]...\n", argv[0]);
		return 2;
	}
	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0)) {
		fprintf(stderr, "%s: PR_SET_IO_FLUSHER: %s\n", argv[0], strerror(errno));
		return 1;
	}
	execvp(argv[1], argv + 1);
	fprintf(stderr, "%s: %s: %s\n", argv[0], argv[1], strerror(errno));
	return 127;
}
