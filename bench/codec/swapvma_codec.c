// SPDX-License-Identifier: GPL-2.0
/*
 * The codec alone: compresses and decompresses each page that is written to
 * swapvma_codec/lz4 in debugfs, with the functions that zram and swapvma end up in,
 * and says what that took in ticks of the time stamp counter.
 */
#include <linux/debugfs.h>
#include <linux/lz4.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <asm/msr.h>

static DEFINE_MUTEX(codec_lock);
static u8 *codec_page, *codec_out, *codec_back;
static void *codec_work;
static u64 codec_compress, codec_decompress;
static struct dentry *codec_dir;

/* One page; what comes back has to be the same. */
static int codec_one(void)
{
	u64 start = rdtsc_ordered(), middle;
	int out, back;

	/* Room for two pages, as zram has, so that no bound is checked. */
	out = LZ4_compress_default(codec_page, codec_out, PAGE_SIZE, 2 * PAGE_SIZE, codec_work);
	middle = rdtsc_ordered();
	codec_compress += middle - start;
	if (out <= 0)
		return -EIO;
	start = rdtsc_ordered();
	back = LZ4_decompress_safe(codec_out, codec_back, out, PAGE_SIZE);
	codec_decompress += rdtsc_ordered() - start;
	if (back != PAGE_SIZE || memcmp(codec_page, codec_back, PAGE_SIZE))
		return -EIO;
	return 0;
}

static ssize_t codec_write(struct file *file, const char __user *user, size_t length,
			   loff_t *offset)
{
	size_t done;
	int error = 0;

	if (length % PAGE_SIZE)
		return -EINVAL;
	guard(mutex)(&codec_lock);
	codec_compress = 0;
	codec_decompress = 0;
	for (done = 0; done < length && !error; done += PAGE_SIZE) {
		if (copy_from_user(codec_page, user + done, PAGE_SIZE))
			return -EFAULT;
		error = codec_one();
	}
	return error ?: length;
}

static ssize_t codec_read(struct file *file, char __user *user, size_t length, loff_t *offset)
{
	char text[64];
	int len;

	scoped_guard(mutex, &codec_lock)
		len = scnprintf(text, sizeof(text), "%llu %llu\n", codec_compress,
				codec_decompress);
	return simple_read_from_buffer(user, length, offset, text, len);
}

static const struct file_operations codec_fops = {
	.owner = THIS_MODULE,
	.write = codec_write,
	.read = codec_read,
};

static void codec_free(void)
{
	kfree(codec_page);
	kfree(codec_out);
	kfree(codec_back);
	vfree(codec_work);
}

static int __init codec_init(void)
{
	codec_page = kmalloc(PAGE_SIZE, GFP_KERNEL);
	codec_out = kmalloc(2 * PAGE_SIZE, GFP_KERNEL);
	codec_back = kmalloc(PAGE_SIZE, GFP_KERNEL);
	codec_work = vmalloc(LZ4_MEM_COMPRESS);
	if (!codec_page || !codec_out || !codec_back || !codec_work) {
		codec_free();
		return -ENOMEM;
	}
	codec_dir = debugfs_create_dir("swapvma_codec", NULL);
	debugfs_create_file("lz4", 0600, codec_dir, NULL, &codec_fops);
	return 0;
}
module_init(codec_init);

static void __exit codec_exit(void)
{
	debugfs_remove(codec_dir);
	codec_free();
}
module_exit(codec_exit);

MODULE_DESCRIPTION("The codec alone, for the benchmark of swapvma");
MODULE_LICENSE("GPL");
