/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Regions for other modules: a character device makes the buffers that it maps
 * swappable by keeping them in a region and delegating its mmap to it.
 *
 * A region is the unit of access: who may map one page of it can reach all of it,
 * with mremap() or remap_file_pages(), whatever offset ->mmap allowed, and can
 * remove pages of it with MADV_REMOVE. What is not for the same user space, or not
 * for user space at all, is another region.
 */
#ifndef _SWAPVMA_REGION_H
#define _SWAPVMA_REGION_H

#include <linux/types.h>

struct module;
struct page;
struct swapvma_region;
struct vm_area_struct;

/** SWAPVMA_REGION_CHECKSUM - as SWAPVMA_CREATE_CHECKSUM. */
#define SWAPVMA_REGION_CHECKSUM	(1ULL << 1)

/** SWAPVMA_REGION_ENCRYPT - as SWAPVMA_CREATE_ENCRYPT. */
#define SWAPVMA_REGION_ENCRYPT	(1ULL << 2)

/**
 * struct swapvma_region_params - what a new region is like
 * @size: sizeof(struct swapvma_region_params)
 * @version: SWAPVMA_ABI_VERSION
 * @bytes: size of the region, a multiple of the page size
 * @limit: bytes that may be resident, as in struct swapvma_create
 * @flags: SWAPVMA_REGION_CHECKSUM, SWAPVMA_REGION_ENCRYPT or 0; both of them,
 *	and anything else, are -EINVAL
 * @driver: name of its driver, NULL or "" for "ram"
 * @algorithm: name of the driver's algorithm, NULL or "" for its default
 * @options: options for the driver, NULL or "" for none
 * @owner: THIS_MODULE; held until the region is gone, that is until it was put
 *	and its last mapping and pin are gone. A module that creates regions when
 *	it is loaded says NULL, or it could never be unloaded: nothing of it is
 *	called through a region. The module of @driver is held in any case
 */
struct swapvma_region_params {
	u32 size;
	u32 version;
	u64 bytes;
	u64 limit;
	u64 flags;
	const char *driver;
	const char *algorithm;
	const char *options;
	struct module *owner;
};

/**
 * swapvma_region_create() - create a region
 * @params: what it is like; not used after the call
 *
 * Context: process context, may sleep and allocate; no lock held that a
 * driver's attach() takes.
 * Return: the region, to be given back with swapvma_region_put(), or an
 * ERR_PTR: -EINVAL (null, size or version that this module was not built for; bytes,
 * limit or flags that are not allowed), -EFBIG (too large), -ENODEV (unknown driver,
 * or one or an owner that is going away), -EBUSY (the driver is being drained),
 * -ENOENT (encryption, and the kernel has no lz4), -ERESTARTSYS (checksum or
 * encryption, and a signal came while the kernel had no random numbers yet),
 * -ENFILE (too many files are open), -ENOMEM, what the driver answers.
 */
struct swapvma_region *swapvma_region_create(const struct swapvma_region_params *params);

/**
 * swapvma_region_put() - drop a region
 * @region: what swapvma_region_create() returned
 *
 * It lives on while mappings and pins of it do. NULL and ERR_PTR do nothing.
 * Context: process context; the last reference to go away removes the pages,
 * which may sleep.
 */
void swapvma_region_put(struct swapvma_region *region);

/**
 * swapvma_region_mmap() - map a region, from ->mmap of a device
 * @region: what swapvma_region_create() returned
 * @vma: what ->mmap was called with
 * @first: page offset in the region of the first page of @vma
 *
 * Afterwards @vma is a mapping of the region: its file, offset, operations and
 * private data are the region's. It is the last thing in ->mmap: if that fails
 * afterwards, the mm does not close what was opened here. The region's drivers
 * hear of a mapping that never goes away, and memory for it is lost.
 * Context: ->mmap, mmap_lock held for write.
 * Return: 0, -EINVAL (a range past the end of the region, or @vma is a mapping
 * of one already), -ENOMEM.
 */
int swapvma_region_mmap(struct swapvma_region *region, struct vm_area_struct *vma,
			u64 first);

/**
 * swapvma_region_pin() - get at pages for access by a device or the kernel
 * @region: what swapvma_region_create() returned
 * @first: page offset in the region
 * @nr: pages; for 0 it does nothing
 * @pages: gets the pages; may be NULL if there are none
 *
 * Pinned pages are resident and stay so; they do not count against the
 * resident limit once the swapper met them. What the region never held is
 * zeroes. MADV_REMOVE of a mapping removes pinned pages from the region, too: what
 * was pinned stays valid memory until swapvma_region_unpin(), but is the region's no
 * more, which has zeroes there.
 * Context: process context, may sleep, allocate and wait for the driver; no
 * lock held that a driver's callback takes.
 * Return: 0 or, with nothing pinned, -EINVAL (a range past the end), -EIO (a
 * page cannot be read), -ENOMEM, -EINTR (killed).
 */
int swapvma_region_pin(struct swapvma_region *region, u64 first, u32 nr,
		       struct page **pages);

/**
 * swapvma_region_unpin() - give pinned pages back
 * @region: what swapvma_region_create() returned; the pins hold it, also after
 *	swapvma_region_put()
 * @pages: what swapvma_region_pin() gave; may be NULL if there are none
 * @nr: pages; for 0 it does nothing
 * @dirty: whether they were written to
 *
 * Context: process context, may sleep for the pages' folio locks.
 */
void swapvma_region_unpin(struct swapvma_region *region, struct page **pages,
			  u32 nr, bool dirty);

#endif /* _SWAPVMA_REGION_H */
