/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * swapvma - memory that a driver maps and the kernel swaps out through it.
 *
 * Every structure is extensible: the size in the ioctl number is the size the
 * caller was built with. A shorter structure than version 0 is EINVAL; bytes
 * past what the module knows must be zero, or the call is E2BIG. Reserved
 * fields and unknown flags must be zero, or the call is EINVAL. A call that
 * fails changes nothing.
 */
#ifndef _UAPI_LINUX_SWAPVMA_H
#define _UAPI_LINUX_SWAPVMA_H

#include <linux/ioctl.h>
#include <linux/types.h>

/** SWAPVMA_BATCH_PAGES - pages of the largest batch, and of the smallest limit. */
#define SWAPVMA_BATCH_PAGES	64

/** SWAPVMA_LIMIT_NONE - a region that only memory pressure shrinks. */
#define SWAPVMA_LIMIT_NONE	(~0ULL)

/** SWAPVMA_NAME_MAX - bytes of a driver or algorithm name, with its final NUL. */
#define SWAPVMA_NAME_MAX	32

/** SWAPVMA_OPTIONS_MAX - bytes of a driver's options, with the final NUL. */
#define SWAPVMA_OPTIONS_MAX	4096

/** SWAPVMA_DRIVERS_MAX - drivers in the list of a region. */
#define SWAPVMA_DRIVERS_MAX	4

/** SWAPVMA_CREATE_CLOEXEC - close the new descriptor on exec. */
#define SWAPVMA_CREATE_CLOEXEC	(1ULL << 0)

/**
 * SWAPVMA_CREATE_CHECKSUM - verify a checksum of each page that comes back
 *
 * A page that the driver does not return as it was stored is SIGBUS, as one
 * that cannot be read is, and counted in corrupt_pages. Against accidents: who
 * can choose what is stored can make two pages of the same checksum.
 */
#define SWAPVMA_CREATE_CHECKSUM	(1ULL << 1)

/**
 * SWAPVMA_CREATE_ENCRYPT - encrypt and authenticate stored pages
 *
 * Pages are compressed and then encrypted with a key that exists only in the
 * kernel's memory, and only as long as the region does. What is not returned as
 * it was stored last is treated as with SWAPVMA_CREATE_CHECKSUM, which is
 * EINVAL along with this flag: encryption includes authentication.
 */
#define SWAPVMA_CREATE_ENCRYPT	(1ULL << 2)

/**
 * struct swapvma_create - create a region (on a descriptor of /dev/swapvma)
 * @flags: SWAPVMA_CREATE_CLOEXEC, and one of SWAPVMA_CREATE_CHECKSUM and
 *	SWAPVMA_CREATE_ENCRYPT, or 0; both of these, and anything else, are EINVAL
 * @size: bytes, a multiple of the page size; 0 is EINVAL, more than a region
 *	can address is EFBIG. ftruncate() changes it later
 * @limit: bytes that may be resident, a multiple of the page size, from
 *	SWAPVMA_BATCH_PAGES pages up to @size, or SWAPVMA_LIMIT_NONE
 * @driver: NUL-terminated name of the driver that stores cold pages, "" for
 *	"ram"; unknown is ENODEV, unterminated is EINVAL
 * @algorithm: NUL-terminated name of the driver's algorithm, "" for its
 *	default; unknown is EINVAL
 * @options: address of a NUL-terminated string of at most SWAPVMA_OPTIONS_MAX
 *	bytes with the driver's own options, "key=value,...", or 0 for none;
 *	longer or unknown options are EINVAL
 * @reserved: zero
 *
 * Returns a descriptor of the region: mmap, ftruncate, fallocate
 * (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE), fsync (write dirty pages back
 * to the driver), posix_fadvise (WILLNEED reads in, DONTNEED pages out) and
 * the ioctls below work on it.
 */
struct swapvma_create {
	__u64 flags;
	__u64 size;
	__u64 limit;
	char driver[SWAPVMA_NAME_MAX];
	char algorithm[SWAPVMA_NAME_MAX];
	__u64 options;
	__u64 reserved[3];
};

/**
 * struct swapvma_add_driver - add a driver to the end of a region's list
 * @flags: zero
 * @driver: as in struct swapvma_create, but "" is EINVAL
 * @algorithm: as in struct swapvma_create
 * @options: as in struct swapvma_create
 * @reserved: zero
 *
 * Pages go to the first driver of the list, and to the next one while that has
 * no space, fails, is quarantined or is being drained. A driver that is in the
 * list is EEXIST; more than SWAPVMA_DRIVERS_MAX drivers are ENOSPC.
 */
struct swapvma_add_driver {
	__u64 flags;
	char driver[SWAPVMA_NAME_MAX];
	char algorithm[SWAPVMA_NAME_MAX];
	__u64 options;
	__u64 reserved[3];
};

/**
 * SWAPVMA_LIMIT_STORED - set how much may be stored
 *
 * Bytes that the region's drivers may hold for it, as stored_bytes counts them;
 * SWAPVMA_LIMIT_NONE, which is how a region begins, for as much as they take. It
 * is not exceeded: a page is written where a whole page fits. What does not fit
 * stays resident, as if the drivers had no space, until copies are given up
 * because their pages were written to, punched or truncated. What needs no write
 * leaves all the same. The administrator limits cgroups and users in the same way.
 */
#define SWAPVMA_LIMIT_STORED	(1ULL << 0)

/**
 * SWAPVMA_LIMIT_LOW - set how much memory pressure leaves resident
 *
 * Bytes, a multiple of the page size; 0 is how a region begins. Reclaim takes
 * the pages of regions that have more in memory than this first, and only where
 * those have nothing to give it takes others, as with memory.low of a cgroup.
 * The region's own resident limit and PAGEOUT do not care. To raise it takes
 * CAP_SYS_RESOURCE, or it is EPERM.
 */
#define SWAPVMA_LIMIT_LOW	(1ULL << 1)

/**
 * SWAPVMA_LIMIT_PRIORITY - set which regions memory pressure shrinks first
 *
 * A number from SWAPVMA_PRIORITY_MIN to SWAPVMA_PRIORITY_MAX, as a __s64; 0 is
 * how a region begins. Of the regions of a cgroup, reclaim takes the pages of
 * those of the lowest priority first, and only where they have nothing to give
 * those of the next one. What SWAPVMA_LIMIT_LOW leaves a region is taken last,
 * whatever its priority. To raise it above 0 takes CAP_SYS_RESOURCE, or it is
 * EPERM; to lower it takes nothing.
 */
#define SWAPVMA_LIMIT_PRIORITY	(1ULL << 2)

/** SWAPVMA_PRIORITY_MIN - of a region that memory pressure shrinks first. */
#define SWAPVMA_PRIORITY_MIN	(-20)

/** SWAPVMA_PRIORITY_MAX - of a region that memory pressure shrinks last. */
#define SWAPVMA_PRIORITY_MAX	20

/**
 * struct swapvma_limit - change a limit of a region
 * @flags: 0 for the resident limit, or one of SWAPVMA_LIMIT_STORED,
 *	SWAPVMA_LIMIT_LOW and SWAPVMA_LIMIT_PRIORITY; several, and anything else,
 *	are EINVAL
 * @limit: bytes, or the priority; of the resident limit as in struct
 *	swapvma_create, and a lower one is reached before the call returns, as far
 *	as pages can be paged out
 * @reserved: zero
 */
struct swapvma_limit {
	__u64 flags;
	__u64 limit;
	__u64 reserved[2];
};

/**
 * struct swapvma_range - page out or prefetch a range of a region
 * @flags: zero
 * @offset: bytes from the start of the region, a multiple of the page size
 * @length: bytes, a multiple of the page size; 0, or a range that ends past
 *	the size of the region, is EINVAL
 * @pages: out: pages that left memory, or that came in from the driver
 * @reserved: zero
 */
struct swapvma_range {
	__u64 flags;
	__u64 offset;
	__u64 length;
	__u64 pages;
	__u64 reserved[2];
};

/**
 * struct swapvma_stats - what a region holds and what happened to it
 * @flags: in: zero
 * @size: bytes
 * @limit: bytes, or SWAPVMA_LIMIT_NONE
 * @resident: pages in memory, pages being written included
 * @unevictable: of these, pages that an mlock, a pin or a pipe was found to
 *	keep in memory: they do not count against the limit
 * @resident_peak: most pages that counted against the limit at one time; more
 *	than @limit and @over_limit together only after the limit was lowered, or
 *	after unevictable pages were let go
 * @swapped: pages not in memory, of which there is a stored copy
 * @writing: pages in a batch in flight
 * @stored_bytes: bytes that the driver holds for the region
 * @table_bytes: bytes of the region's table levels
 * @in_swapout: batches in flight
 * @batches: batches handed to the driver
 * @swapouts: pages that left memory through the driver
 * @swapins: pages that came back, from the driver or from their word
 * @clean_drops: pages that left memory without a write: a valid copy existed,
 *	or they were never written
 * @same_filled: pages that left memory as one word
 * @refaults: faults on a page that had been unmapped but was still resident
 * @launders: pages written while they stayed mapped
 * @cancelled: pages whose swapout a write cancelled
 * @kept: pages of which the driver said that storing them frees nothing
 * @retried: pages that the driver could not take at that time
 * @no_space: pages for which the driver had no space
 * @write_failures: pages whose write failed
 * @read_failures: reads that failed; each was a SIGBUS, or EIO of a request
 * @limit_waits: faults and requests that waited for the resident limit
 * @over_limit: faults that went over the resident limit
 * @munmap_waits: mappings whose removal waited for a batch in flight
 * @munmap_wait_ns: nanoseconds that they waited, summed
 * @abandoned: batches that the driver did not answer within its deadline
 * @corrupt_pages: of @read_failures, reads that returned something else than
 *	what was stored; 0 in a region without checksums and encryption
 * @seal_bytes: bytes of what such a region keeps to tell that
 * @stored_limit: bytes that may be stored, or SWAPVMA_LIMIT_NONE
 * @low: bytes that memory pressure leaves resident
 * @launders_ahead: of @launders, pages written before somebody wanted their memory
 * @launders_wasted: of @launders_ahead, pages that were written to before they left
 * @direct_drops: of @clean_drops, pages dropped by whoever was short of memory or of
 *	room below the limit, and not by a swapper
 * @priority: with regard to other regions of the cgroup
 * @reserved: zero
 */
struct swapvma_stats {
	__u64 flags;
	__u64 size;
	__u64 limit;
	__u64 resident;
	__u64 unevictable;
	__u64 resident_peak;
	__u64 swapped;
	__u64 writing;
	__u64 stored_bytes;
	__u64 table_bytes;
	__u64 in_swapout;
	__u64 batches;
	__u64 swapouts;
	__u64 swapins;
	__u64 clean_drops;
	__u64 same_filled;
	__u64 refaults;
	__u64 launders;
	__u64 cancelled;
	__u64 kept;
	__u64 retried;
	__u64 no_space;
	__u64 write_failures;
	__u64 read_failures;
	__u64 limit_waits;
	__u64 over_limit;
	__u64 munmap_waits;
	__u64 munmap_wait_ns;
	__u64 abandoned;
	__u64 corrupt_pages;
	__u64 seal_bytes;
	__u64 stored_limit;
	__u64 low;
	__u64 launders_ahead;
	__u64 launders_wasted;
	__u64 direct_drops;
	__s64 priority;
	__u64 reserved[2];
};

#define SWAPVMA_IOC_MAGIC	0xBB

/* On /dev/swapvma. */
#define SWAPVMA_IOC_CREATE	_IOW(SWAPVMA_IOC_MAGIC, 0x40, struct swapvma_create)

/*
 * On a region, and on a descriptor of /dev/swapvma that has been mapped: there
 * they act on its default region. Before the first mmap they are ENXIO.
 */
#define SWAPVMA_IOC_SET_LIMIT	_IOW(SWAPVMA_IOC_MAGIC, 0x41, struct swapvma_limit)
#define SWAPVMA_IOC_PAGEOUT	_IOWR(SWAPVMA_IOC_MAGIC, 0x42, struct swapvma_range)
#define SWAPVMA_IOC_PREFETCH	_IOWR(SWAPVMA_IOC_MAGIC, 0x43, struct swapvma_range)
#define SWAPVMA_IOC_STATS	_IOWR(SWAPVMA_IOC_MAGIC, 0x44, struct swapvma_stats)
#define SWAPVMA_IOC_ADD_DRIVER	_IOW(SWAPVMA_IOC_MAGIC, 0x45, struct swapvma_add_driver)

#endif /* _UAPI_LINUX_SWAPVMA_H */
