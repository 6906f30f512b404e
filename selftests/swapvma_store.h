/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where the drivers block, file and shmem keep pages: devices and files that a
 * test makes. What cannot be made ends the test program with a message.
 */
#ifndef SWAPVMA_STORE_H
#define SWAPVMA_STORE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum sv_store_kind {
	SV_LOOP,	/* a loop device; its file is on tmpfs */
	SV_NULL,	/* a null_blk device that completes in hard interrupts */
	SV_VIRTIO,	/* the virtio-blk device of scripts/vm --disk */
	SV_NBD,		/* a device across a socket, served by nbdkit */
	SV_EXT4,	/* a file on ext4 on a loop device, in pieces */
	SV_EXT4_1K,	/* the same, in blocks of 1 KiB */
	SV_HOLE,	/* a slow null_blk device that keeps nothing */
	SV_XFS,		/* a file on XFS on a loop device */
	SV_SHMEM,	/* nothing to make */
};

struct sv_store {
	enum sv_store_kind kind;
	const char *driver;
	char options[PATH_MAX + 32];
	char path[PATH_MAX];	/* the device or the file */
	char under[PATH_MAX];	/* the directory that all of it is in */
	char loop[64];		/* the loop device, "" if none */
	char null[PATH_MAX];	/* the directory of the null_blk device in configfs */
	pid_t server;		/* nbdkit */
};

/* @megabytes of store; the driver's module is loaded. */
void sv_store_make(struct sv_store *store, enum sv_store_kind kind, size_t megabytes);

/* The region is gone; unloads the module. Whether all of it went away. */
bool sv_store_end(struct sv_store *store);

/* What is missing for a store of this kind, NULL if nothing is. */
const char *sv_store_missing(enum sv_store_kind kind);

/* A file of @megabytes of zeroes, or a sparse one. */
void sv_make_file(const char *path, size_t megabytes, bool sparse);

/* An attribute of the null_blk device. */
void sv_null_set(const struct sv_store *store, const char *name, const char *value);

/* Runs a program to its end; its exit status, or -1. */
int sv_run(const char *program, ...);

#endif /* SWAPVMA_STORE_H */
