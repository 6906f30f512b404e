/* SPDX-License-Identifier: GPL-2.0 */
/*
 * C functions that the drivers call because Rust cannot: inline functions and
 * macros. What bindgen reads for the drivers.
 */
#ifndef _SWAPVMA_DRIVERS_HELPERS_H
#define _SWAPVMA_DRIVERS_HELPERS_H

#include <linux/gfp.h>
#include <linux/shmem_fs.h>
#include <linux/types.h>

struct block_device;
struct page;

#ifdef __BINDGEN__
/* No waiting, no reserves, no message: what there is to spare. */
static const gfp_t STORE_GFP_SPARE = GFP_NOWAIT | __GFP_NOWARN | __GFP_NOMEMALLOC;
static const gfp_t STORE_GFP_NOIO = GFP_NOIO;
#endif

bool store_bdev_read_only(struct block_device *bdev);
bool store_bdev_can_discard(struct block_device *bdev);
bool store_bdev_is_zoned(struct block_device *bdev);
unsigned int store_bdev_block_size(struct block_device *bdev);
struct file *store_shmem_file(const char *name, loff_t size);
void store_put_page(struct page *page);

#endif /* _SWAPVMA_DRIVERS_HELPERS_H */
