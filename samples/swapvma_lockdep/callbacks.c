// SPDX-License-Identifier: GPL-2.0
/*
 * What a callback waits for and must not: whatever somebody holds over a user
 * access or over an allocation, where in turn they may wait for the callback.
 */
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/hrtimer.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/sched/mm.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include <swapvma/region.h>

#include "scenario.h"

static DEFINE_MUTEX(sample_mutex);
static DECLARE_RWSEM(sample_rwsem);
static DEFINE_SPINLOCK(sample_spinlock);
static u64 sample_sum;

static void __user *user(void)
{
	return (void __user *)careless_user;
}

/*
 * mmap_lock, in order to ask about the mapping. munmap holds it and waits for the
 * callback. What a driver has to know it is told by vma_open() and vma_close().
 */
static void mmap_lock_swapout(u64 index, struct page *page)
{
	mmap_read_lock(careless_mm);
	sample_sum += careless_mm->map_count;
	mmap_read_unlock(careless_mm);
}

static void mmap_lock_told(u64 index, struct page *page)
{
	spin_lock(&sample_spinlock);
	sample_sum += index;
	spin_unlock(&sample_spinlock);
}

static void mmap_lock_vma_close(void)
{
	spin_lock(&sample_spinlock);
	sample_sum = 0;
	spin_unlock(&sample_spinlock);
}

/*
 * The inode lock of the file that a VMA maps, to ask for its size. fallocate()
 * holds it and waits for the limit.
 */
static void file_lock_swapout(u64 index, struct page *page)
{
	inode_lock(file_inode(careless_file));
	sample_sum += file_inode(careless_file)->i_size;
	inode_unlock(file_inode(careless_file));
}

static void file_lock_unlocked(u64 index, struct page *page)
{
	sample_sum += i_size_read(file_inode(careless_file));
}

/* A mutex that is held over an allocation elsewhere: of the mails, the first. */
static void alloc_lock_elsewhere(void)
{
	mutex_lock(&sample_mutex);
	kfree(kmalloc(64, GFP_KERNEL));
	mutex_unlock(&sample_mutex);
}

static void alloc_lock_preloaded(void)
{
	void *memory = kmalloc(64, GFP_KERNEL);

	mutex_lock(&sample_mutex);
	sample_sum += !!memory;
	mutex_unlock(&sample_mutex);
	kfree(memory);
}

static void alloc_lock_swapout(u64 index, struct page *page)
{
	mutex_lock(&sample_mutex);
	sample_sum += index;
	mutex_unlock(&sample_mutex);
}

/* The same with a semaphore of which the callback is a reader. */
static void alloc_rwsem_elsewhere(void)
{
	down_write(&sample_rwsem);
	kfree(kmalloc(64, GFP_KERNEL));
	up_write(&sample_rwsem);
}

static void alloc_rwsem_noio(void)
{
	unsigned int flags;

	down_write(&sample_rwsem);
	flags = memalloc_noio_save();
	kfree(kmalloc(64, GFP_KERNEL));
	memalloc_noio_restore(flags);
	up_write(&sample_rwsem);
}

static void alloc_rwsem_swapout(u64 index, struct page *page)
{
	down_read(&sample_rwsem);
	sample_sum += index;
	up_read(&sample_rwsem);
}

/* A mutex that is held over a user access elsewhere: the L of the last mail. */
static void user_lock_elsewhere(void)
{
	mutex_lock(&sample_mutex);
	if (copy_to_user(user(), &sample_sum, sizeof(sample_sum)))
		sample_sum = 0;
	mutex_unlock(&sample_mutex);
}

static void user_lock_copied(void)
{
	u64 sum;

	mutex_lock(&sample_mutex);
	sum = sample_sum;
	mutex_unlock(&sample_mutex);
	if (copy_to_user(user(), &sum, sizeof(sum)))
		sample_sum = 0;
}

static void user_lock_swapout(u64 index, struct page *page)
{
	mutex_lock(&sample_mutex);
	sample_sum += index;
	mutex_unlock(&sample_mutex);
}

/* The same in the other callbacks, and under mmap_lock. */
static void swapin_lock_swapin(u64 index)
{
	user_lock_swapout(index, NULL);
}

static void discard_lock_discard(void)
{
	user_lock_swapout(0, NULL);
}

static void close_lock_vma_close(void)
{
	user_lock_swapout(0, NULL);
}

/*
 * A file, through write(): that takes locks which write() of user memory holds
 * while it allocates and faults. What goes round write() is fine.
 */
static void file_write_elsewhere(void)
{
	struct iov_iter iter;
	loff_t pos = 0;

	iov_iter_ubuf(&iter, ITER_SOURCE, (void __user *)careless_fresh, PAGE_SIZE);
	if (vfs_iter_write(careless_store, &iter, &pos, 0) != PAGE_SIZE)
		sample_sum = 0;
}

static void file_write_swapout(u64 index, struct page *page)
{
	void *from = kmap_local_page(page);
	loff_t pos = index * PAGE_SIZE;

	if (kernel_write(careless_store, from, PAGE_SIZE, &pos) != PAGE_SIZE)
		sample_sum = 0;
	kunmap_local(from);
}

static void file_write_mapped(u64 index, struct page *page)
{
	struct page *to = shmem_read_mapping_page_gfp(careless_store->f_mapping, index,
						      GFP_NOIO | __GFP_NOMEMALLOC);

	if (IS_ERR(to))
		return;
	copy_highpage(to, page);
	set_page_dirty(to);
	put_page(to);
}

/* Waiting for the swapper in what the swapper calls: it would wait for itself. */
static void pin(void)
{
	struct page *page;

	if (swapvma_region_pin(careless_region, 0, 1, &page))
		return;
	swapvma_region_unpin(careless_region, &page, 1, false);
}

static void swapout_waits_swapout(u64 index, struct page *page)
{
	pin();
}

static void discard_waits_discard(void)
{
	pin();
}

static void pin_worker(struct work_struct *work)
{
	pin();
}
DECLARE_WORK(pin_work, pin_worker);

static void pin_elsewhere(void)
{
	queue_work(system_dfl_wq, &pin_work);
}

static void swapout_waits_queued(u64 index, struct page *page)
{
	queue_work(system_dfl_wq, &pin_work);
}

/* A lock that completion takes in an interrupt, and swapout with interrupts on. */
static bool irq_lock_done;

static enum hrtimer_restart irq_lock_timer(struct hrtimer *timer)
{
	spin_lock(&sample_spinlock);
	irq_lock_done = true;
	spin_unlock(&sample_spinlock);
	return HRTIMER_NORESTART;
}

static void irq_lock_elsewhere(void)
{
	struct hrtimer timer;

	hrtimer_setup_on_stack(&timer, irq_lock_timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	hrtimer_start(&timer, ms_to_ktime(1), HRTIMER_MODE_REL);
	while (!READ_ONCE(irq_lock_done))
		schedule_timeout_uninterruptible(1);
	hrtimer_cancel(&timer);
	destroy_hrtimer_on_stack(&timer);
}

static void irq_lock_swapout(u64 index, struct page *page)
{
	spin_lock(&sample_spinlock);
	sample_sum += index;
	spin_unlock(&sample_spinlock);
}

static void irq_lock_irqsave(u64 index, struct page *page)
{
	unsigned long flags;

	spin_lock_irqsave(&sample_spinlock, flags);
	sample_sum += index;
	spin_unlock_irqrestore(&sample_spinlock, flags);
}

const struct scenario callback_scenarios[] = {
	{
		.name = "mmap_lock",
		.wrong = { .swapout = mmap_lock_swapout },
		.right = { .swapout = mmap_lock_told, .vma_close = mmap_lock_vma_close },
	},
	{
		.name = "file_lock",
		.wrong = { .swapout = file_lock_swapout },
		.right = { .swapout = file_lock_unlocked },
	},
	{
		.name = "alloc_lock",
		.wrong = { .elsewhere = alloc_lock_elsewhere, .swapout = alloc_lock_swapout },
		.right = { .elsewhere = alloc_lock_preloaded, .swapout = alloc_lock_swapout },
	},
	{
		.name = "alloc_rwsem",
		.wrong = { .elsewhere = alloc_rwsem_elsewhere, .swapout = alloc_rwsem_swapout },
		.right = { .elsewhere = alloc_rwsem_noio, .swapout = alloc_rwsem_swapout },
	},
	{
		.name = "user_lock",
		.wrong = { .elsewhere = user_lock_elsewhere, .swapout = user_lock_swapout },
		.right = { .elsewhere = user_lock_copied, .swapout = user_lock_swapout },
	},
	{
		.name = "deferred_lock",
		.wrong = {
			.elsewhere = user_lock_elsewhere,
			.swapout = user_lock_swapout,
			.deferred = true,
		},
		.right = {
			.elsewhere = user_lock_copied,
			.swapout = user_lock_swapout,
			.deferred = true,
		},
	},
	{
		.name = "swapin_lock",
		.wrong = { .elsewhere = user_lock_elsewhere, .swapin = swapin_lock_swapin },
		.right = { .elsewhere = user_lock_copied, .swapin = swapin_lock_swapin },
	},
	{
		.name = "discard_lock",
		.wrong = { .elsewhere = user_lock_elsewhere, .discard = discard_lock_discard },
		.right = { .elsewhere = user_lock_copied, .discard = discard_lock_discard },
	},
	{
		.name = "close_lock",
		.wrong = { .elsewhere = user_lock_elsewhere, .vma_close = close_lock_vma_close },
		.right = { .elsewhere = user_lock_copied, .vma_close = close_lock_vma_close },
	},
	{
		.name = "file_write",
		.wrong = { .elsewhere = file_write_elsewhere, .swapout = file_write_swapout },
		.right = { .elsewhere = file_write_elsewhere, .swapout = file_write_mapped },
	},
	{
		.name = "swapout_waits",
		.wrong = { .swapout = swapout_waits_swapout },
		.right = { .elsewhere = pin_elsewhere, .swapout = swapout_waits_queued },
	},
	{
		.name = "discard_waits",
		.wrong = { .discard = discard_waits_discard },
		.right = { .discard = pin_elsewhere },
	},
	{
		.name = "irq_lock",
		.wrong = { .elsewhere = irq_lock_elsewhere, .swapout = irq_lock_swapout },
		.right = { .elsewhere = irq_lock_elsewhere, .swapout = irq_lock_irqsave },
	},
	{ }
};
