// SPDX-License-Identifier: GPL-2.0
/*
 * The smallest swap driver in C: it keeps pages in memory, as they are.
 *
 * After "insmod swapvma.ko; insmod c_minimal.ko", a line of
 * /sys/kernel/debug/swapvma/drivers begins "c_minimal state=running".
 */
#include <linux/device/driver.h>
#include <linux/highmem.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <swapvma/driver.h>

/* Two slots for each page: the old one lives until the new one is stored. */
struct mini {
	u64 nr;
	struct page *slots[] __counted_by(nr);
};

static int mini_attach(const struct swapvma_driver_ops *ops,
		       const struct swapvma_attach *args, void **handle)
{
	struct mini *m = kvzalloc_flex(*m, slots, 2 * args->pages,
				       GFP_KERNEL | __GFP_NOWARN);

	if (!m)
		return -ENOMEM;
	m->nr = 2 * args->pages;
	*handle = m;
	return 0;
}

static void mini_detach(void *handle)
{
	kvfree(handle);
}

static int mini_store(struct mini *m, struct swapvma_batch *batch,
		      u32 i, u64 *slot)
{
	struct page *page = swapvma_batch_alloc_page(batch);

	if (!page)
		return SWAPVMA_KEPT;
	if (copy_mc_highpage(page, swapvma_batch_page(batch, i))) {
		__free_page(page);
		return SWAPVMA_FAILED;
	}
	*slot = 2 * swapvma_batch_index(batch, i);
	if (*slot + 1 < m->nr &&
	    (!cmpxchg(&m->slots[*slot], NULL, page) ||
	     !cmpxchg(&m->slots[++*slot], NULL, page)))
		return SWAPVMA_STORED;
	__free_page(page);
	return SWAPVMA_NO_SPACE;
}

static void mini_swapout(void *handle, struct swapvma_batch *batch)
{
	for (u32 i = 0; i < swapvma_batch_len(batch); i++) {
		u64 slot = 0;
		int result = mini_store(handle, batch, i, &slot);

		swapvma_batch_answer(batch, i, result, slot);
	}
	swapvma_batch_complete(batch);
}

static void mini_swapin(void *handle, struct swapvma_read *read)
{
	struct mini *m = handle;
	struct page *page = m->slots[swapvma_read_slot(read)];

	copy_highpage(swapvma_read_page(read), page);
	swapvma_read_complete(read, 0);
}

static void mini_discard(void *handle, u64 slot)
{
	struct mini *m = handle;

	__free_page(xchg(&m->slots[slot], NULL));
}

static const struct swapvma_driver_ops mini_ops = {
	.size = sizeof(mini_ops),
	.version = SWAPVMA_ABI_VERSION,
	.name = "c_minimal",
	.owner = THIS_MODULE,
	.attach = mini_attach,
	.detach = mini_detach,
	.swapout = mini_swapout,
	.swapin = mini_swapin,
	.discard = mini_discard,
};

module_driver(mini_ops, swapvma_register_driver, swapvma_unregister_driver);
MODULE_DESCRIPTION("The smallest swap driver in C");
MODULE_LICENSE("GPL");
