/* SPDX-License-Identifier: GPL-2.0 */
/*
 * C functions that the drivers call because Rust cannot: inline functions and
 * macros. What bindgen reads for the drivers.
 */
#ifndef _SWAPVMA_DRIVERS_HELPERS_H
#define _SWAPVMA_DRIVERS_HELPERS_H

#include <linux/gfp.h>
#include <linux/types.h>

struct block_device;

#ifdef __BINDGEN__
static const gfp_t STORE_GFP_NOIO = GFP_NOIO;
#endif

bool store_bdev_read_only(struct block_device *bdev);
bool store_bdev_can_discard(struct block_device *bdev);
bool store_bdev_is_zoned(struct block_device *bdev);
unsigned int store_bdev_block_size(struct block_device *bdev);

#endif /* _SWAPVMA_DRIVERS_HELPERS_H */
