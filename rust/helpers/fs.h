/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SWAPVMA_HELPERS_FS_H
#define _SWAPVMA_HELPERS_FS_H

#include <linux/fs.h>

struct fs_context;

int swapvma_init_fs_context(struct fs_context *fc);
loff_t swapvma_i_size_read(const struct inode *inode);
void swapvma_i_size_write(struct inode *inode, loff_t size);
void swapvma_inode_lock(struct inode *inode);
void swapvma_inode_unlock(struct inode *inode);
void swapvma_get_file(struct file *file);
bool swapvma_try_module_get(struct module *module);
void swapvma_module_put(struct module *module);

#endif
