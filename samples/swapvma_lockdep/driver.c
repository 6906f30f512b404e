// SPDX-License-Identifier: GPL-2.0
/**
 * DOC: swapvma_lockdep - mistakes of drivers, each reported on its first run
 *
 * The driver "lockdep" stores pages in memory. With scenario=NAME, the module
 * plays one mistake when it is loaded, or with fixed=1 the same without the
 * mistake: it maps a region, does what the driver does elsewhere, and touches more
 * pages than may be resident, so that its callbacks run. One task, one CPU, no
 * race: lockdep reports the order, not the deadlock.
 *
 * ::
 *
 *	# insmod swapvma.ko; insmod swapvma_lockdep.ko scenario=user_lock
 *	# dmesg
 *	WARNING: possible circular locking dependency detected
 *	swapvma/lockdep/123 is trying to acquire lock:
 *	 (sample_mutex){+.+.}-{4:4}, at: user_lock_swapout
 *	but task is already holding lock:
 *	 (swapvma_in_swapout){.+.+}-{0:0}, at: ...
 *
 * callbacks.c has what a callback may not wait for, remote.c what may not be held
 * over a wait for other CPUs. scripts/test-lockdep runs them all; lockdep turns
 * itself off after a report, so that each mistake needs a guest of its own.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/shmem_fs.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include <swapvma/driver.h>
#include <swapvma/lockdep.h>
#include <swapvma/region.h>

#include "scenario.h"

/* The smallest limit is a batch; twice as many pages have to leave and come back. */
#define LIMIT	64
#define PAGES	(2 * LIMIT)

static char *scenario = "";
module_param(scenario, charp, 0444);
MODULE_PARM_DESC(scenario, "mistake to play (default none)");

static bool fixed;
module_param(fixed, bool, 0444);
MODULE_PARM_DESC(fixed, "play it without the mistake");

struct mm_struct *careless_mm;
struct file *careless_file;
struct swapvma_region *careless_region;
struct file *careless_store;
unsigned long careless_user, careless_fresh;

static const struct way nothing;
static const struct way *way = &nothing;
static const char *driver = "lockdep";

static struct swapvma_region *region;

/* Two slots for each page: the old one lives until the new one is stored. */
static struct page *slots[2 * PAGES];

static int lockdep_attach(const struct swapvma_driver_ops *ops,
			  const struct swapvma_attach *args, void **handle)
{
	*handle = NULL;
	return args->pages > PAGES ? -EINVAL : 0;
}

static void lockdep_detach(void *handle)
{
}

static enum swapvma_result store(struct swapvma_batch *batch, u32 i, u64 *slot)
{
	struct page *page = alloc_page(GFP_NOWAIT);

	if (!page)
		return SWAPVMA_KEPT;
	copy_highpage(page, swapvma_batch_page(batch, i));
	*slot = 2 * swapvma_batch_index(batch, i);
	if (!cmpxchg(&slots[*slot], NULL, page) || !cmpxchg(&slots[++*slot], NULL, page))
		return SWAPVMA_STORED;
	__free_page(page);
	return SWAPVMA_NO_SPACE;
}

static void store_batch(struct swapvma_batch *batch)
{
	for (u32 i = 0; i < swapvma_batch_len(batch); i++) {
		u64 slot = 0;
		enum swapvma_result result;

		if (way->swapout)
			way->swapout(swapvma_batch_index(batch, i), swapvma_batch_page(batch, i));
		result = store(batch, i, &slot);
		swapvma_batch_answer(batch, i, result, slot);
	}
	swapvma_batch_complete(batch);
}

/* The driver has one batch at a time. */
static struct swapvma_batch *deferred;

static void store_deferred(struct work_struct *work)
{
	/* Whoever waits for swapout() waits for this. */
	swapvma_callback_begin(SWAPVMA_IN_SWAPOUT);
	store_batch(deferred);
	swapvma_callback_end(SWAPVMA_IN_SWAPOUT);
}
static DECLARE_WORK(deferred_work, store_deferred);

static void lockdep_swapout(void *handle, struct swapvma_batch *batch)
{
	if (!way->deferred) {
		store_batch(batch);
		return;
	}
	deferred = batch;
	queue_work(system_dfl_wq, &deferred_work);
}

static void lockdep_swapin(void *handle, struct swapvma_read *read)
{
	if (way->swapin)
		way->swapin(swapvma_read_index(read));
	copy_highpage(swapvma_read_page(read), slots[swapvma_read_slot(read)]);
	swapvma_read_complete(read, 0);
}

static void lockdep_discard(void *handle, u64 slot)
{
	if (way->discard)
		way->discard();
	__free_page(xchg(&slots[slot], NULL));
}

static void lockdep_vma_close(void *handle, u64 first, u64 nr)
{
	if (way->vma_close)
		way->vma_close();
}

static const struct swapvma_driver_ops lockdep_ops = {
	.size = sizeof(lockdep_ops),
	.version = SWAPVMA_ABI_VERSION,
	.name = "lockdep",
	.owner = THIS_MODULE,
	.attach = lockdep_attach,
	.detach = lockdep_detach,
	.swapout = lockdep_swapout,
	.swapin = lockdep_swapin,
	.discard = lockdep_discard,
	.vma_close = lockdep_vma_close,
};

/* A device whose buffer is swappable. */
static int device_mmap(struct file *file, struct vm_area_struct *vma)
{
	int ret = swapvma_region_mmap(region, vma, vma->vm_pgoff);

	/* That of the region by now. */
	if (!ret && !careless_file)
		careless_file = get_file(vma->vm_file);
	return ret;
}

static const struct file_operations device_fops = {
	.owner = THIS_MODULE,
	.mmap = device_mmap,
};

static struct swapvma_region *create(const char *name, u64 limit)
{
	const struct swapvma_region_params params = {
		.size = sizeof(params),
		.version = SWAPVMA_ABI_VERSION,
		.bytes = PAGES * PAGE_SIZE,
		.limit = limit,
		.driver = name,
	};

	return swapvma_region_create(&params);
}

/* Stores to each page twice: they leave, come back, and their copies are stale. */
static int touch(unsigned long map)
{
	for (unsigned int i = 0; i < 2 * PAGES; i++)
		if (put_user(i + 1, (u32 __user *)(map + i % PAGES * PAGE_SIZE)))
			return -EFAULT;
	return 0;
}

static int play_mapped(struct file *device)
{
	unsigned long map = vm_mmap(device, 0, PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
				    MAP_SHARED, 0);
	int ret;

	if (IS_ERR_VALUE(map))
		return (long)map;
	careless_fresh = map;
	if (way->elsewhere)
		way->elsewhere();
	ret = touch(map);
	vm_munmap(map, PAGES * PAGE_SIZE);
	return ret;
}

static int play_region(void)
{
	struct file *device = anon_inode_getfile(KBUILD_MODNAME, &device_fops, NULL, O_RDWR);
	int ret;

	if (IS_ERR(device))
		return PTR_ERR(device);
	ret = play_mapped(device);
	fput(device);
	if (careless_file)
		fput(careless_file);
	return ret;
}

static int play(void)
{
	int ret;

	careless_user = vm_mmap(NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, 0);
	if (IS_ERR_VALUE(careless_user))
		return (long)careless_user;
	careless_mm = current->mm;
	mmgrab(careless_mm);
	careless_store = shmem_kernel_file_setup(KBUILD_MODNAME, PAGES * PAGE_SIZE,
						 mk_vma_flags(VMA_NORESERVE_BIT));
	careless_region = create("ram", U64_MAX);
	region = create(driver, LIMIT * PAGE_SIZE);
	if (IS_ERR(careless_store) || IS_ERR(careless_region) || IS_ERR(region))
		ret = -ENOMEM;
	else
		ret = play_region();
	swapvma_region_put(region);
	vm_munmap(careless_user, PAGE_SIZE);
	return ret;
}

static const struct way *find(const struct scenario *s)
{
	for (; s->name; s++)
		if (!strcmp(s->name, scenario)) {
			driver = s->driver ?: driver;
			return fixed ? &s->right : &s->wrong;
		}
	return NULL;
}

static int __init careless_init(void)
{
	int ret;

	if (*scenario) {
		way = find(callback_scenarios) ?: find(remote_scenarios);
		if (!way)
			return -EINVAL;
	}
	ret = swapvma_register_driver(&lockdep_ops);
	if (ret || !*scenario)
		return ret;
	/* The region goes when the task is back in user space: too late to fail. */
	ret = play();
	if (ret)
		pr_err("could not play %s: %d\n", scenario, ret);
	return 0;
}

static void __exit careless_exit(void)
{
	/* Waits for the region, after which no callback runs. */
	swapvma_unregister_driver(&lockdep_ops);
	cancel_work_sync(&pin_work);
	swapvma_region_put(careless_region);
	if (!IS_ERR_OR_NULL(careless_store))
		fput(careless_store);
	if (careless_mm)
		mmdrop(careless_mm);
}

module_init(careless_init);
module_exit(careless_exit);

MODULE_DESCRIPTION("mistakes of swap drivers that lockdep reports");
MODULE_LICENSE("GPL");
