// SPDX-License-Identifier: GPL-2.0
/* What the drivers need of C: inline functions and macros. */
#include <linux/blkdev.h>
#include <linux/mm.h>

#include "helpers.h"

bool store_bdev_read_only(struct block_device *bdev)
{
	return bdev_read_only(bdev);
}

bool store_bdev_can_discard(struct block_device *bdev)
{
	return bdev_max_discard_sectors(bdev) != 0;
}

bool store_bdev_is_zoned(struct block_device *bdev)
{
	return bdev_is_zoned(bdev);
}

unsigned int store_bdev_block_size(struct block_device *bdev)
{
	return bdev_logical_block_size(bdev);
}

struct file *store_shmem_file(const char *name, loff_t size)
{
	return shmem_kernel_file_setup(name, size, mk_vma_flags(VMA_NORESERVE_BIT));
}

void store_put_page(struct page *page)
{
	put_page(page);
}
