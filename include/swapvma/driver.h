/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The boundary between swapvma and the drivers that store a region's cold
 * pages. One binary boundary for drivers in C and in Rust.
 *
 * No callback gets a VMA, and none runs under a lock of swapvma, under
 * mmap_lock or under a VMA lock, except vma_open() and vma_close(), which say
 * so. A callback may wait only for locks that nobody holds over a user access,
 * GUP or a page fault, nor over an allocation that may reclaim.
 *
 * Batches and reads are completed in any context in which spin_lock_irqsave() of a
 * spinlock_t is allowed: in tasks, in soft interrupts, timers included, and in
 * interrupt handlers, threaded or not. Under PREEMPT_RT all of these may sleep for
 * a spinlock_t. Not where that takes a raw_spinlock_t, of which lockdep says "Invalid
 * wait context" without PREEMPT_RT, too: in handlers of smp_call_function(), in
 * interrupt handlers with IRQF_NO_THREAD, IRQF_PERCPU or IRQF_ONESHOT, in hrtimers
 * of a HRTIMER_MODE_*_HARD, in irq_work with IRQ_WORK_HARD_IRQ, in NMIs, under a
 * raw_spinlock_t; nor with interrupts or preemption turned off by other means than a
 * spinlock_t.
 */
#ifndef _SWAPVMA_DRIVER_H
#define _SWAPVMA_DRIVER_H

#include <linux/types.h>

struct module;
struct page;
struct swapvma_batch;
struct swapvma_read;

/**
 * SWAPVMA_ABI_VERSION - changes whenever the meaning of a field changes
 *
 * Not for a new function, of which older drivers know nothing, nor for a longer
 * structure, which its size tells.
 */
#define SWAPVMA_ABI_VERSION	2

/** SWAPVMA_SLOT_BITS - a slot is a driver's name for one stored page, below 2^56. */
#define SWAPVMA_SLOT_BITS	56

/**
 * enum swapvma_result - the driver's answer for one page of a batch
 * @SWAPVMA_FAILED: the write failed; also a page that got no answer
 * @SWAPVMA_STORED: the page is stored in the slot given with the answer
 * @SWAPVMA_KEPT: storing it would cost more than it frees, or memory is short
 * @SWAPVMA_RETRY: cannot now, ask again later
 * @SWAPVMA_NO_SPACE: the store is full
 *
 * Whatever is not SWAPVMA_STORED leaves the page resident and dirty. The
 * swapper backs off after SWAPVMA_KEPT and SWAPVMA_RETRY, and comes back sooner
 * to a page that is to be retried than to one that was kept. After
 * SWAPVMA_NO_SPACE and SWAPVMA_FAILED it turns to the next driver of the
 * region's list for a while; a driver whose writes fail %SWAPVMA_FAILURES_MAX
 * times in a row is quarantined: it gets no more batches until the
 * administrator says "recover" in debugfs.
 */
enum swapvma_result {
	SWAPVMA_FAILED = 0,
	SWAPVMA_STORED = 1,
	SWAPVMA_KEPT = 2,
	SWAPVMA_RETRY = 3,
	SWAPVMA_NO_SPACE = 4,
};

/** SWAPVMA_FAILURES_MAX - failed batches in a row that quarantine a driver. */
#define SWAPVMA_FAILURES_MAX	8

/**
 * SWAPVMA_DRIVER_STABLE - the driver needs pages that do not change
 *
 * swapvma_batch_page() then returns a copy, made before swapout().
 */
#define SWAPVMA_DRIVER_STABLE	(1U << 0)

/**
 * SWAPVMA_DRIVER_FILLS - the driver fills each page that it says it has read
 *
 * All swapvma_read_length() bytes of it, with what it stored and nothing else,
 * or it completes the read with an error. swapvma_read_page() then returns a page
 * of any content. Without the flag it returns one of zeroes, so that a mistake of
 * the driver shows no stale memory to user space.
 */
#define SWAPVMA_DRIVER_FILLS	(1U << 1)

/**
 * struct swapvma_attach - what a region tells its driver
 * @pages: size of the region in pages at that time
 * @algorithm: NUL-terminated, "" for the driver's default; valid during attach()
 * @options: NUL-terminated, "key=value,..." as the driver documents, "" for
 *	none; valid during attach()
 */
struct swapvma_attach {
	u64 pages;
	const char *algorithm;
	const char *options;
};

/**
 * struct swapvma_driver_ops - a driver; must live until unregistered
 * @size: sizeof(struct swapvma_driver_ops)
 * @version: SWAPVMA_ABI_VERSION
 * @name: what struct swapvma_create asks for; at most 31 bytes
 * @owner: THIS_MODULE; held while a region uses the driver
 * @deadline_ms: a batch not answered by then is abandoned, a read not
 *	completed by then fails, and the driver is quarantined; 0 stands for 30
 *	seconds
 * @flags: SWAPVMA_DRIVER_STABLE, SWAPVMA_DRIVER_FILLS, both or 0
 * @attach: a region was created. Stores the driver's handle for it, which all
 *	other callbacks get. Process context, may sleep and allocate; the
 *	device's open lock may be held. A negative errno refuses the region
 * @detach: the region is gone; every slot was discarded before. Process
 *	context, may sleep
 * @swapout: store the pages of a batch. Process context of the swapper, under
 *	memalloc_noreclaim: may sleep; allocates with swapvma_batch_alloc_page(),
 *	or with __GFP_NOMEMALLOC. Answers each page with swapvma_batch_answer(),
 *	then calls swapvma_batch_complete() exactly once, before it returns or
 *	later. May run for several batches at a time, of different regions
 * @swapin: read a page back from its slot. Process context of the faulting
 *	task, without its fault lock, of a reader thread, or of a request, which
 *	may hold the region's inode lock; may sleep and allocate with GFP_NOIO.
 *	Calls swapvma_read_complete() exactly once, before it returns or later.
 *	The task that calls it cannot go on before it returns, deadline or not: a
 *	driver that waits for a device completes later
 * @discard: @slot is not needed any more. Process context of the swapper, of a
 *	reader or of a request, which may hold the region's inode lock. May
 *	sleep, and allocate with __GFP_NOMEMALLOC; never runs while a swapin of the
 *	same slot does
 * @range_hint: how many pages that follow the one at @index, which is in
 *	@slot, are cheap to read along with it. Any context, must not sleep.
 *	Optional: none
 * @stored_bytes: bytes stored for the region, what was discarded not included: what
 *	limits count; any context, must not sleep.
 *	Optional
 * @vma_open: a mapping of @nr pages from @first appeared (mmap, fork, split, mremap).
 *	A driver that the region gets later hears of what is mapped from then on,
 *	and not of the mappings that are there nor of their copies. Under
 *	mmap_lock: may not sleep for long, may not fault. Optional
 * @vma_close: a mapping that @vma_open told of went away; delivered once for each
 *	VMA, after every batch that was in flight for it was answered. Not for
 *	mappings that are left when the region's pages were drained away from the
 *	driver, which hears @detach instead; nor for one whose ->mmap failed after
 *	swapvma_region_mmap(). Under mmap_lock. Optional
 *
 * What is allocated with __GFP_ACCOUNT in @attach, @swapout and @swapin, until they
 * return, is charged to the cgroup of the region's creator. In the swapper that may
 * exceed its limit: a driver that stores in memory stores less than the pages take.
 */
struct swapvma_driver_ops {
	u32 size;
	u32 version;
	const char *name;
	struct module *owner;
	u32 deadline_ms;
	u32 flags;
	int (*attach)(const struct swapvma_driver_ops *ops,
		      const struct swapvma_attach *args, void **handle);
	void (*detach)(void *handle);
	void (*swapout)(void *handle, struct swapvma_batch *batch);
	void (*swapin)(void *handle, struct swapvma_read *read);
	void (*discard)(void *handle, u64 slot);
	u32 (*range_hint)(void *handle, u64 index, u64 slot);
	u64 (*stored_bytes)(void *handle);
	void (*vma_open)(void *handle, u64 first, u64 nr);
	void (*vma_close)(void *handle, u64 first, u64 nr);
};

/**
 * swapvma_register_driver() - make a driver available by its name
 * @ops: the driver; stays where it is until swapvma_unregister_driver() returns
 *
 * Context: process context, may sleep and allocate.
 * Return: 0, -EINVAL (null table; missing callback or name; a name that is empty,
 * longer than 31 bytes or not of visible ASCII characters alone; an unknown flag; size
 * or version that this module was not built for, of which the log names both),
 * -EEXIST (name taken), -ENOMEM.
 */
int swapvma_register_driver(const struct swapvma_driver_ops *ops);

/**
 * swapvma_unregister_driver() - withdraw a driver
 * @ops: as registered; not used after the call
 *
 * Waits until no region uses the driver, which is so when @ops->owner is being
 * unloaded, because regions hold it; and for the driver's swapper to stop.
 * Context: process context, may sleep.
 */
void swapvma_unregister_driver(const struct swapvma_driver_ops *ops);

/**
 * swapvma_batch_len() - pages in a batch
 * @batch: what swapout() was called with, not yet complete
 *
 * Context: any.
 * Return: 1 to 64.
 */
u32 swapvma_batch_len(const struct swapvma_batch *batch);

/**
 * swapvma_batch_index() - where page @i is in its region
 * @batch: what swapout() was called with, not yet complete
 * @i: page of the batch, from 0
 *
 * Context: any.
 * Return: the offset in pages; 0 past the end of the batch.
 */
u64 swapvma_batch_index(const struct swapvma_batch *batch, u32 i);

/**
 * swapvma_batch_page() - what is to be stored as page @i
 * @batch: what swapout() was called with, not yet complete
 * @i: page of the batch, from 0
 *
 * The content may change while it is read: user space may write to the page,
 * which cancels its swapout. A driver that reads it twice, or computes over
 * it, works on a copy.
 * Context: any.
 * Return: the page, valid until swapvma_batch_complete(); NULL past the end of the
 * batch.
 */
struct page *swapvma_batch_page(const struct swapvma_batch *batch, u32 i);

/**
 * swapvma_batch_copy() - copy page @i of a batch
 * @batch: what swapout() was called with
 * @i: page of the batch, from 0
 * @to: PAGE_SIZE bytes
 *
 * As copy_mc_to_kernel(), or as copy_page() where that is the same and faster.
 * Context: any.
 * Return: 0, -EINVAL past the end of the batch, -EIO if a memory error hit the
 * page: answer SWAPVMA_FAILED then.
 */
int swapvma_batch_copy(const struct swapvma_batch *batch, u32 i, void *to);

/**
 * swapvma_batch_length() - bytes of page @i that matter
 * @batch: what swapout() was called with, not yet complete
 * @i: page of the batch, from 0
 *
 * The rest is zeroes, and swapin() need not return it. A driver that knows nothing
 * of lengths stores whole pages. One that does need not try to compress a page of
 * which less than PAGE_SIZE bytes matter.
 * Context: any.
 * Return: PAGE_SIZE, or less for a page of an encrypted region that was compressed
 * before; 0 past the end of the batch.
 */
u32 swapvma_batch_length(const struct swapvma_batch *batch, u32 i);

/**
 * swapvma_batch_answer() - answer page @i of a batch
 * @batch: what swapout() was called with, not yet complete
 * @i: page of the batch, from 0; past its end nothing happens
 * @result: what became of it; a later answer replaces an earlier one
 * @slot: where it is stored, below 2^SWAPVMA_SLOT_BITS; read only for
 *	SWAPVMA_STORED, for which the driver keeps it until discard()
 *
 * Context: any in which spin_lock_irqsave() is allowed, see the top of this file.
 */
void swapvma_batch_answer(struct swapvma_batch *batch, u32 i,
			  enum swapvma_result result, u64 slot);

/**
 * swapvma_batch_complete() - hand a batch back
 * @batch: what swapout() was called with, not yet complete
 *
 * The batch may not be touched afterwards. A batch that was abandoned at its
 * deadline is released; slots it stored are discarded.
 * Context: any in which spin_lock_irqsave() is allowed, see the top of this file.
 */
void swapvma_batch_complete(struct swapvma_batch *batch);

/**
 * swapvma_batch_frees() - whether storing a batch is worth the memory reserves
 * @batch: what swapout() was called with
 *
 * False for a batch that is written ahead, before anybody wants its memory: a
 * driver that stores in memory then uses no reserves and exceeds no limit, and
 * answers SWAPVMA_KEPT instead.
 * Context: any.
 * Return: whether it is.
 */
bool swapvma_batch_frees(const struct swapvma_batch *batch);

/**
 * swapvma_batch_alloc_page() - a page to store a batch in
 * @batch: what swapout() was called with, not yet complete
 *
 * From free memory, or else from the reserves: at most half as many as the
 * batch has pages, so that storing a batch frees more than it takes, and none
 * of a batch that does not free them (swapvma_batch_frees()). The
 * driver frees it with __free_page().
 * Context: swapout() itself, before the batch is complete.
 * Return: the page, or NULL if there is none; answer SWAPVMA_KEPT then.
 */
struct page *swapvma_batch_alloc_page(struct swapvma_batch *batch);

/**
 * swapvma_read_index() - where the page is in its region
 * @read: what swapin() was called with, not yet complete
 *
 * Context: any.
 * Return: the offset in pages.
 */
u64 swapvma_read_index(const struct swapvma_read *read);

/**
 * swapvma_read_slot() - where the page is stored
 * @read: what swapin() was called with, not yet complete
 *
 * Context: any.
 * Return: the slot that the page was answered with.
 */
u64 swapvma_read_slot(const struct swapvma_read *read);

/**
 * swapvma_read_length() - bytes of the page that matter
 * @read: what swapin() was called with, not yet complete
 *
 * Only so many bytes need be filled.
 * Context: any.
 * Return: what swapvma_batch_length() was when the page was stored.
 */
u32 swapvma_read_length(const struct swapvma_read *read);

/**
 * swapvma_read_page() - what to fill
 * @read: what swapin() was called with, not yet complete
 *
 * Nobody else can see it, and it holds zeroes unless the driver has
 * SWAPVMA_DRIVER_FILLS.
 * Context: any.
 * Return: the page, valid until swapvma_read_complete(), also after the deadline.
 */
struct page *swapvma_read_page(const struct swapvma_read *read);

/**
 * swapvma_read_fill() - fill the page of a read with a copy
 * @read: what swapin() was called with
 * @from: PAGE_SIZE bytes
 *
 * Context: any.
 */
void swapvma_read_fill(struct swapvma_read *read, const void *from);

/**
 * swapvma_read_complete() - hand a read back
 * @read: what swapin() was called with, not yet complete
 * @error: 0, or a negative errno: SIGBUS for that page only; the slot stays
 *
 * The read may not be touched afterwards.
 * Context: any in which spin_lock_irqsave() is allowed, see the top of this file.
 */
void swapvma_read_complete(struct swapvma_read *read, int error);

#endif /* _SWAPVMA_DRIVER_H */
