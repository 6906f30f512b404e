// SPDX-License-Identifier: GPL-2.0
/**
 * DOC: swapvma_ring - a character device whose ring buffer is swappable
 *
 * Each open file of /dev/swapvma_ring has a ring of its own: write(2) puts
 * bytes in at the head, the application maps the ring, takes them out at the
 * tail and says how far it got. The ring is a region, of which little is in
 * memory at any time; whoever writes a lot and reads it late pays with swapping
 * and not with memory.
 *
 * ::
 *
 *	# insmod swapvma.ko; insmod swapvma_ring.ko pages=4096 limit=64
 *	# exec 3<>/dev/swapvma_ring
 *	# head -c 4M /dev/urandom >&3
 *	# grep -o 'driver=.* resident=[0-9]*' /sys/kernel/debug/swapvma/regions
 *	driver=ram size=4096 limit=18446744073709551615 resident=1
 *	driver=ram size=16777216 limit=262144 resident=64
 *	# exec 3>&-
 *
 * At offset 0 of the device lies the control page, struct ring_control, which
 * the driver keeps pinned; at RING_DATA the ring itself. Two regions, one
 * device: each is mapped at its own offset.
 *
 * What to take from it: create regions in open() and drop them in release().
 * A mapping holds its region and that holds this module, so that nothing is
 * torn down under an application that closed the file but still maps it.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <swapvma/driver.h>
#include <swapvma/region.h>

/* Offset of the ring in the device. */
#define RING_DATA	(1UL << 20)

static unsigned int pages = 4096;
module_param(pages, uint, 0444);
MODULE_PARM_DESC(pages, "pages of a ring, a power of two (default 4096)");

static unsigned int limit = 64;
module_param(limit, uint, 0444);
MODULE_PARM_DESC(limit, "pages of a ring that may be in memory (default 64)");

static char *driver = "ram";
module_param(driver, charp, 0444);
MODULE_PARM_DESC(driver, "driver that stores the others (default ram)");

/**
 * struct ring_control - what the application and the driver tell each other
 * @head: bytes ever put in; the driver's
 * @tail: bytes ever taken out; the application's
 * @size: bytes of the ring
 */
struct ring_control {
	u64 head;
	u64 tail;
	u64 size;
};

struct ring {
	struct swapvma_region *control_region;
	struct swapvma_region *data;
	struct page *control_page;
	struct ring_control *control;
	/* Bytes put in: not the application's to change. */
	u64 head;
	struct mutex lock;	/* one writer at a time */
};

static struct swapvma_region *ring_create_region(u64 bytes, u64 resident)
{
	struct swapvma_region_params params = {
		.size = sizeof(params),
		.version = SWAPVMA_ABI_VERSION,
		.bytes = bytes,
		.limit = resident,
		.driver = driver,
		.owner = THIS_MODULE,
	};

	return swapvma_region_create(&params);
}

static u64 ring_size(void)
{
	return (u64)pages << PAGE_SHIFT;
}

static void ring_free(struct ring *ring)
{
	if (ring->control_page)
		swapvma_region_unpin(ring->control_region, &ring->control_page, 1, true);
	swapvma_region_put(ring->data);
	swapvma_region_put(ring->control_region);
	kfree(ring);
}

static int ring_init(struct ring *ring)
{
	int ret;

	mutex_init(&ring->lock);
	ring->control_region = ring_create_region(PAGE_SIZE, ~0ULL);
	if (IS_ERR(ring->control_region))
		return PTR_ERR(ring->control_region);
	ring->data = ring_create_region(ring_size(), (u64)limit << PAGE_SHIFT);
	if (IS_ERR(ring->data))
		return PTR_ERR(ring->data);
	ret = swapvma_region_pin(ring->control_region, 0, 1, &ring->control_page);
	if (ret)
		return ret;
	ring->control = page_address(ring->control_page);
	ring->control->size = ring_size();
	return 0;
}

static int ring_open(struct inode *inode, struct file *file)
{
	struct ring *ring = kzalloc_obj(*ring);
	int ret;

	if (!ring)
		return -ENOMEM;
	ret = ring_init(ring);
	if (ret) {
		ring_free(ring);
		return ret;
	}
	file->private_data = ring;
	return nonseekable_open(inode, file);
}

static int ring_release(struct inode *inode, struct file *file)
{
	ring_free(file->private_data);
	return 0;
}

static int ring_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct ring *ring = file->private_data;
	unsigned long data = RING_DATA >> PAGE_SHIFT;

	if (vma->vm_pgoff < data)
		return swapvma_region_mmap(ring->control_region, vma, vma->vm_pgoff);
	return swapvma_region_mmap(ring->data, vma, vma->vm_pgoff - data);
}

/* Puts bytes into one page of the ring. */
static int ring_put(struct ring *ring, const char __user *buf, size_t len)
{
	u64 at = ring->head & (ring_size() - 1);
	struct page *page;
	char *to;
	int ret;

	ret = swapvma_region_pin(ring->data, at >> PAGE_SHIFT, 1, &page);
	if (ret)
		return ret;
	to = kmap_local_page(page);
	if (copy_from_user(to + offset_in_page(at), buf, len))
		ret = -EFAULT;
	kunmap_local(to);
	swapvma_region_unpin(ring->data, &page, 1, true);
	if (ret)
		return ret;
	ring->head += len;
	/* The bytes are there before the application hears of them. */
	smp_store_release(&ring->control->head, ring->head);
	return 0;
}

/* Bytes that fit: at most the ring, whatever the application says. */
static u64 ring_room(const struct ring *ring)
{
	/* Pairs with the application, which took the bytes out before. */
	u64 used = ring->head - smp_load_acquire(&ring->control->tail);

	return used > ring_size() ? 0 : ring_size() - used;
}

static ssize_t ring_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	struct ring *ring = file->private_data;
	size_t done = 0;
	int ret = 0;

	if (mutex_lock_interruptible(&ring->lock))
		return -ERESTARTSYS;
	len = min_t(u64, len, ring_room(ring));
	while (done < len && !ret) {
		size_t step = min(len - done, PAGE_SIZE - offset_in_page(ring->head));

		ret = ring_put(ring, buf + done, step);
		if (!ret)
			done += step;
	}
	mutex_unlock(&ring->lock);
	if (done)
		return done;
	return ret ?: -EAGAIN;
}

static const struct file_operations ring_fops = {
	.owner = THIS_MODULE,
	.open = ring_open,
	.release = ring_release,
	.mmap = ring_mmap,
	.write = ring_write,
};

static struct miscdevice ring_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "swapvma_ring",
	.fops = &ring_fops,
	.mode = 0600,
};

static int __init ring_module_init(void)
{
	if (!is_power_of_2(pages))
		return -EINVAL;
	return misc_register(&ring_device);
}

static void __exit ring_module_exit(void)
{
	misc_deregister(&ring_device);
}

module_init(ring_module_init);
module_exit(ring_module_exit);

MODULE_DESCRIPTION("a character device with a swappable ring buffer");
MODULE_LICENSE("GPL");
