// SPDX-License-Identifier: GPL-2.0
/* Inline functions of the virtual file system that Rust cannot call. */
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/pseudo_fs.h>

#include "fs.h"

#define SWAPVMA_MAGIC	0x53564d41	/* "SVMA" */

int swapvma_init_fs_context(struct fs_context *fc)
{
	return init_pseudo(fc, SWAPVMA_MAGIC) ? 0 : -ENOMEM;
}

loff_t swapvma_i_size_read(const struct inode *inode)
{
	return i_size_read(inode);
}

void swapvma_i_size_write(struct inode *inode, loff_t size)
{
	i_size_write(inode, size);
}

void swapvma_inode_lock(struct inode *inode)
{
	inode_lock(inode);
}

void swapvma_inode_unlock(struct inode *inode)
{
	inode_unlock(inode);
}

void swapvma_get_file(struct file *file)
{
	get_file(file);
}

bool swapvma_try_module_get(struct module *module)
{
	return try_module_get(module);
}

void swapvma_module_put(struct module *module)
{
	module_put(module);
}
