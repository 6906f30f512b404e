/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory cgroups for tests: "a", "b" and "a/c" below a mount of their own, where ""
 * is the root. After the pattern of tools/testing/selftests/cgroup. What fails ends
 * the test program with a message.
 */
#ifndef SWAPVMA_CGROUP_H
#define SWAPVMA_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "swapvma_util.h"

#define MB(n)	((n) << 20)
#define PAGES_OF(bytes)	((bytes) / SV_PAGE)

/* Usage is counted in steps of 64 pages for each processor. */
#define SLACK	MB(2L)

/* What a cgroup may exceed its limit by: what one batch stores. */
#define OVERSHOOT	(2 * SV_BATCH * SV_PAGE)

/* Makes "a" and "b"; what is missing for that, NULL if nothing is. */
const char *cg_begin(void);

/* The same where memory of the kernel is charged to them. */
const char *cg_begin_charged(void);

/* Removes the groups; whether they were empty. */
bool cg_end(void);

void cg_make(const char *group);

/* Removes a group; 0 if it is gone, or the errno. */
int cg_gone(const char *group);

/* The errno of the write, or 0. */
int cg_try_set(const char *group, const char *file, const char *value);
void cg_set(const char *group, const char *file, const char *value);
void cg_set_bytes(const char *group, const char *file, long bytes);

/* The calling process moves to the group. */
void cg_join(const char *group);

/* A file with a number of bytes; memory.current is one. */
long cg_bytes(const char *group, const char *file);
long cg_usage(const char *group);

/* A line of memory.events or memory.stat. */
uint64_t cg_line(const char *group, const char *file, const char *name);
uint64_t cg_events(const char *group, const char *name);

/* Microseconds for which tasks of the group waited for memory. */
uint64_t cg_stalled_us(const char *group);

/* A region of a group, created by a process in it. The caller stays in the root. */
int cg_create_region(const char *group, const char *driver, size_t pages, size_t limit);

/* Runs a child in the group, and waits for what became of it. */
pid_t cg_start(const char *group, void (*run)(void *arg), void *arg);
int cg_wait(pid_t pid);

/* Runs in a child in the group; a check that fails ends it. */
#define CHECK(cond)							\
	do {								\
		if (!(cond)) {						\
			fprintf(stderr, "# %s:%d: %s\n", __FILE__, __LINE__, #cond); \
			_exit(1);					\
		}							\
	} while (0)

/* A neighbour with pages of its own, of which none may leave. */
struct cg_neighbour {
	long usage;
	int fd;
};

#define CG_NEIGHBOUR	PAGES_OF(MB(8))

/* In "b". */
void cg_neighbour_begin(struct cg_neighbour *n);
bool cg_neighbour_untouched(const struct cg_neighbour *n);

/* A file of the shrinker in debugfs; whether there is one. */
bool cg_shrinker(char *path, const char *file);

/* The number of its directory's inode, which is its id. */
uint64_t cg_id(const char *group);

/* What the shrinker counts for the group on a node. */
uint64_t cg_counted(const char *group, int node);

/* Has the shrinker scan so many pages of the group on a node. */
void cg_scan(const char *group, int node, size_t pages);

/*
 * The same on node 0 for the cgroup that has @least pages there, that of the test, and
 * says which one it is. False if debugfs has no shrinkers.
 */
bool cg_scan_own(size_t least, size_t pages, uint64_t *cgroup);

#endif /* SWAPVMA_CGROUP_H */
