// SPDX-License-Identifier: GPL-2.0
/**
 * DOC: swapvma_test - a swap driver that misbehaves on request
 *
 * The driver "test" keeps cold pages in memory that it allocated when the
 * module was loaded, so its swapout never allocates. What it does with a batch
 * is set in debugfs; the selftests use it to put every answer, delay and
 * failure of a real driver at a chosen point. It also watches the core: what
 * breaks the promises of <swapvma/driver.h> is logged and counted in
 * "violations".
 *
 * ::
 *
 *	# insmod swapvma.ko; insmod swapvma_test.ko pages=4096 deadline_ms=3000
 *	# cat /sys/kernel/debug/swapvma/drivers
 *	test state=running regions=0 batches=0 abandoned=0
 *	# cd /sys/kernel/debug/swapvma_test
 *	# echo no_space >answer; cat answer
 *	stored kept retry [no_space]
 *	# echo stored >answer; echo 1 >block
 *	(page out a region of this driver: the ioctl does not return)
 *	# cat blocked
 *	1
 *	# echo 0 >block
 *	# cat violations
 *	0
 *
 * Files: block, delay_ms and lock hold swapouts up, close_ms vma_close,
 * block_read swapins; fail_write and fail_read fail the next N pages; bad_read
 * fails every read of one page offset; answer, complete and complete_read choose what is answered
 * and from which context; release completes the batches and reads that "never"
 * keeps; short leaves all but the first N pages of a batch without an answer;
 * alloc allocates with GFP_KERNEL in swapout, as a careless driver would; hint is
 * how many neighbours are said to be cheap to read; drained says that regions may
 * leave the driver while they are mapped. Of the page offset "watch", the files
 * stored_now and stored_before have what was stored last and before that, and
 * corrupt chooses what is wrong with it: a bit (flip_bit) of what is stored or
 * returned is flipped, another page of the region is returned, what was stored
 * before. With "keep" what is returned is right, but the driver keeps a reference to
 * the page that it filled, and writes to it when told to with "scribble". With
 * "empty" no page at all is filled.
 * hold_alloc and hold_touch do, under the lock that "lock = 1" makes every
 * swapout take, what a driver author is told never to do. The others are
 * counters.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitmap.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/highmem.h>
#include <linux/hrtimer.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include <swapvma/driver.h>

/* Batches that can be away from test_swapout() at one time. */
#define TEST_JOBS	64

/* Pages in the largest batch (SWAPVMA_BATCH_PAGES of the UAPI header). */
#define TEST_BATCH_MAX	64

static unsigned int pages = 2048;
module_param(pages, uint, 0444);
MODULE_PARM_DESC(pages, "pages of the store (default 2048)");

static unsigned int deadline_ms = 3000;
module_param(deadline_ms, uint, 0444);
MODULE_PARM_DESC(deadline_ms, "deadline of a batch in ms (default 3000)");

static bool stable;
module_param(stable, bool, 0444);
MODULE_PARM_DESC(stable, "ask for pages that do not change, and check that they do not");

/**
 * struct test_region - the driver's handle
 * @pages: size of the region when it was created
 * @stored: slots it owns
 * @vmas: mappings that were opened and not closed
 */
struct test_region {
	u64 pages;
	atomic_t stored;
	atomic_t vmas;
};

/**
 * struct test_slot - one page of the store; slot number = array index + 1
 * @page: allocated at load
 * @owner: region it is stored for, NULL if free
 * @index: page offset in @owner
 * @readers: swapins under way
 *
 * All but @page under test_slot_lock.
 */
struct test_slot {
	struct page *page;
	struct test_region *owner;
	u64 index;
	unsigned int readers;
};

/** struct test_job - a batch or a read that is completed outside its callback */
struct test_job {
	struct swapvma_batch *batch;
	struct swapvma_read *read;
	struct test_region *region;
	struct work_struct work;
	struct hrtimer timer;
	struct list_head leaked;
};

static struct test_slot *test_slots;
static unsigned long *test_slots_used;
static DEFINE_SPINLOCK(test_slot_lock);

static struct test_job test_jobs[TEST_JOBS];
static DECLARE_BITMAP(test_jobs_used, TEST_JOBS);
static LIST_HEAD(test_leaked);
static DEFINE_SPINLOCK(test_leaked_lock);
static struct workqueue_struct *test_wq;

/*
 * The lock L of the A/B/L scenario. "hold_alloc" and "hold_touch" break the
 * rule of <swapvma/driver.h> on purpose: they hold a lock that swapout waits
 * for over an allocation and over a user access. Lockdep would rightly report
 * that and switch itself off; it must not see this one lock.
 */
static DEFINE_MUTEX(test_lock);

/* What callbacks do; plain words, set from debugfs, read with READ_ONCE(). */
static u32 test_delay_ms;
static bool test_use_lock;
static bool test_block;
static bool test_block_read;
static bool test_drained;
static u64 test_bad_read = U64_MAX;
static DECLARE_WAIT_QUEUE_HEAD(test_gate);

static const char * const test_answers[] = { "stored", "kept", "retry", "no_space", NULL };
static const enum swapvma_result test_results[] = {
	SWAPVMA_STORED, SWAPVMA_KEPT, SWAPVMA_RETRY, SWAPVMA_NO_SPACE,
};

static int test_answer;

enum test_complete { TEST_SYNC, TEST_LATE, TEST_IRQ, TEST_NEVER };
static const char * const test_completes[] = { "sync", "late", "irq", "never", NULL };
static int test_complete, test_complete_read;
static u32 test_hint, test_short;
static bool test_alloc;

static atomic_t test_fail_write, test_fail_read;
static atomic_t test_blocked, test_blocked_reads, test_leaks;
static atomic_t test_batches, test_swapouts, test_swapins, test_discards, test_stored;
static atomic_t test_vma_opens, test_vma_closes, test_attaches, test_detaches;
static atomic_t test_violations, test_closing;
static u32 test_close_ms;
static u32 test_hold_ms, test_hold_pages;

static void test_violation(const char *what, u64 value)
{
	atomic_inc(&test_violations);
	pr_err("violation: %s (%llu)\n", what, value);
}

#define test_expect(cond, value)				\
	do {							\
		if (!(cond))					\
			test_violation(#cond, value);		\
	} while (0)

/* Takes one from a count of failures to inject. */
static bool test_take(atomic_t *count)
{
	return atomic_dec_if_positive(count) >= 0;
}

/*
 * Corruption. What is wrong is so of the page at test_watch alone.
 */

enum test_corrupt {
	TEST_INTACT, TEST_STORE, TEST_FLIP, TEST_OTHER, TEST_STALE, TEST_EMPTY, TEST_KEEP,
};

static const char * const test_corrupts[] = {
	"intact", "store", "flip", "other", "stale", "empty", "keep", NULL,
};

static int test_corrupt;
static u64 test_watch = U64_MAX;
static u32 test_flip_bit;

/* The page that was filled last, with a reference. */
static struct page *test_kept;

/* What was stored of it last, and before that. */
static struct page *test_watched[2];
static struct debugfs_blob_wrapper test_blobs[2];

static void test_flip(struct page *page)
{
	u32 bit = READ_ONCE(test_flip_bit) % (PAGE_SIZE * BITS_PER_BYTE);
	u8 *bytes = kmap_local_page(page);

	bytes[bit / BITS_PER_BYTE] ^= BIT(bit % BITS_PER_BYTE);
	kunmap_local(bytes);
}

static void test_scribble_page(void)
{
	struct page *page = xchg(&test_kept, NULL);

	if (!page)
		return;
	memset(page_address(page), 0xee, PAGE_SIZE);
	put_page(page);
}

/* Keeps the page to fill, as a device does whose mapping of it is stale. */
static void test_keep_page(struct page *page)
{
	get_page(page);
	page = xchg(&test_kept, page);
	if (page)
		put_page(page);
}

static void test_corrupt_store(u64 index, struct page *page)
{
	if (index != READ_ONCE(test_watch))
		return;
	copy_highpage(test_watched[1], test_watched[0]);
	copy_highpage(test_watched[0], page);
	if (READ_ONCE(test_corrupt) == TEST_STORE)
		test_flip(page);
}

static void test_corrupt_read(struct test_region *region, u64 index, struct page *page)
{
	int corrupt = READ_ONCE(test_corrupt);
	unsigned long flags;
	unsigned int i;

	if (index != READ_ONCE(test_watch))
		return;
	if (corrupt == TEST_FLIP)
		test_flip(page);
	if (corrupt == TEST_KEEP)
		test_keep_page(page);
	if (corrupt == TEST_STALE)
		copy_highpage(page, test_watched[1]);
	if (corrupt != TEST_OTHER)
		return;
	spin_lock_irqsave(&test_slot_lock, flags);
	for (i = 0; i < pages; i++) {
		if (test_slots[i].owner == region && test_slots[i].index != index) {
			copy_highpage(page, test_slots[i].page);
			break;
		}
	}
	spin_unlock_irqrestore(&test_slot_lock, flags);
}

/*
 * The store. A slot is found, filled and freed in any context.
 */

static enum swapvma_result test_store(struct test_region *region, u64 index,
				      struct page *page, u64 *slot)
{
	enum swapvma_result result = test_results[READ_ONCE(test_answer)];
	unsigned long flags, nr;

	if (test_take(&test_fail_write))
		return SWAPVMA_FAILED;
	if (result != SWAPVMA_STORED)
		return result;

	spin_lock_irqsave(&test_slot_lock, flags);
	nr = find_first_zero_bit(test_slots_used, pages);
	if (nr < pages) {
		__set_bit(nr, test_slots_used);
		test_slots[nr].owner = region;
		test_slots[nr].index = index;
	}
	spin_unlock_irqrestore(&test_slot_lock, flags);
	if (nr >= pages)
		return SWAPVMA_NO_SPACE;

	copy_highpage(test_slots[nr].page, page);
	test_corrupt_store(index, test_slots[nr].page);
	atomic_inc(&region->stored);
	atomic_inc(&test_stored);
	atomic_inc(&test_swapouts);
	*slot = nr + 1;
	return SWAPVMA_STORED;
}

static void test_answer_batch(struct test_region *region, struct swapvma_batch *batch)
{
	u32 i, len = swapvma_batch_len(batch), most = READ_ONCE(test_short);

	if (most)
		len = min(len, most);
	for (i = 0; i < len; i++) {
		u64 slot = 0;
		enum swapvma_result result;

		result = test_store(region, swapvma_batch_index(batch, i),
				    swapvma_batch_page(batch, i), &slot);
		swapvma_batch_answer(batch, i, result, slot);
	}
	swapvma_batch_complete(batch);
}

/* Returns the slot with a reader added, NULL if @nr is not @index of @region. */
static struct test_slot *test_get_slot(struct test_region *region, u64 index, u64 nr)
{
	struct test_slot *slot = NULL;
	unsigned long flags;

	spin_lock_irqsave(&test_slot_lock, flags);
	if (nr - 1 < pages && test_slots[nr - 1].owner == region &&
	    test_slots[nr - 1].index == index) {
		slot = &test_slots[nr - 1];
		slot->readers++;
	}
	spin_unlock_irqrestore(&test_slot_lock, flags);
	return slot;
}

static void test_put_slot(struct test_slot *slot)
{
	unsigned long flags;

	spin_lock_irqsave(&test_slot_lock, flags);
	slot->readers--;
	spin_unlock_irqrestore(&test_slot_lock, flags);
}

static void test_answer_read(struct test_region *region, struct swapvma_read *read)
{
	u64 index = swapvma_read_index(read), nr = swapvma_read_slot(read);
	struct test_slot *slot = test_get_slot(region, index, nr);
	int error = 0;

	if (!slot) {
		test_violation("swapin of a slot that does not hold this page", index);
		swapvma_read_complete(read, -EIO);
		return;
	}
	if (index == READ_ONCE(test_bad_read) || test_take(&test_fail_read)) {
		error = -EIO;
	} else {
		if (READ_ONCE(test_corrupt) != TEST_EMPTY)
			copy_highpage(swapvma_read_page(read), slot->page);
		test_corrupt_read(region, index, swapvma_read_page(read));
	}
	test_put_slot(slot);
	swapvma_read_complete(read, error);
}

/*
 * Completion from other contexts.
 */

static struct test_job *test_get_job(struct test_region *region, struct swapvma_batch *batch,
				     struct swapvma_read *read)
{
	unsigned int i;

	for (i = 0; i < TEST_JOBS; i++) {
		if (test_and_set_bit(i, test_jobs_used))
			continue;
		test_jobs[i].batch = batch;
		test_jobs[i].read = read;
		test_jobs[i].region = region;
		return &test_jobs[i];
	}
	return NULL;
}

static void test_leak(struct test_job *job)
{
	unsigned long flags;

	spin_lock_irqsave(&test_leaked_lock, flags);
	list_add_tail(&job->leaked, &test_leaked);
	spin_unlock_irqrestore(&test_leaked_lock, flags);
	atomic_inc(&test_leaks);
}

/* The job is free again before the batch is handed back: it may be reused then. */
static void test_finish_job(struct test_job *job)
{
	struct swapvma_batch *batch = job->batch;
	struct swapvma_read *read = job->read;
	struct test_region *region = job->region;

	clear_bit_unlock(job - test_jobs, test_jobs_used);
	if (batch)
		test_answer_batch(region, batch);
	else
		test_answer_read(region, read);
}

/* Has a job finish in the context that was chosen. */
static void test_start_job(struct test_job *job, int complete)
{
	if (complete == TEST_LATE)
		queue_work(test_wq, &job->work);
	else if (complete == TEST_IRQ)
		hrtimer_start(&job->timer, ms_to_ktime(1), HRTIMER_MODE_REL);
	else
		test_leak(job);
}

static void test_work(struct work_struct *work)
{
	usleep_range(1000, 2000);
	test_finish_job(container_of(work, struct test_job, work));
}

static enum hrtimer_restart test_timer(struct hrtimer *timer)
{
	test_finish_job(container_of(timer, struct test_job, timer));
	return HRTIMER_NORESTART;
}

static void test_release_leaked(void)
{
	struct test_job *job, *next;
	unsigned long flags;
	LIST_HEAD(list);

	spin_lock_irqsave(&test_leaked_lock, flags);
	list_splice_init(&test_leaked, &list);
	spin_unlock_irqrestore(&test_leaked_lock, flags);

	list_for_each_entry_safe(job, next, &list, leaked) {
		list_del(&job->leaked);
		test_finish_job(job);
		atomic_dec(&test_leaks);
	}
}

/*
 * The callbacks.
 */

static int test_attach(const struct swapvma_driver_ops *ops,
		       const struct swapvma_attach *args, void **handle)
{
	struct test_region *region;

	if (args->algorithm[0] || args->options[0])
		return -EINVAL;
	region = kzalloc_obj(*region);
	if (!region)
		return -ENOMEM;
	region->pages = args->pages;
	atomic_inc(&test_attaches);
	*handle = region;
	return 0;
}

/* A callback that may sleep is called in a task that holds nothing. */
static void test_expect_free(void)
{
	test_expect(!in_interrupt() && !irqs_disabled(), in_interrupt());
#ifdef CONFIG_LOCKDEP
	test_expect(!current->mm || !lockdep_is_held(&current->mm->mmap_lock), 0);
#endif
	might_sleep();
}

static void test_detach(void *handle)
{
	struct test_region *region = handle;

	test_expect(!atomic_read(&region->stored), atomic_read(&region->stored));
	test_expect_free();
	/* Of a driver that is drained, the mappings live on. */
	if (READ_ONCE(test_drained))
		atomic_add(atomic_read(&region->vmas), &test_vma_closes);
	else
		test_expect(!atomic_read(&region->vmas), atomic_read(&region->vmas));
	atomic_inc(&test_detaches);
	kfree(region);
}

static void test_check_batch(struct swapvma_batch *batch)
{
	u32 i, len = swapvma_batch_len(batch);

	test_expect(len >= 1 && len <= TEST_BATCH_MAX, len);
	for (i = 0; i < len; i++)
		test_expect(swapvma_batch_page(batch, i), i);
	for (i = 1; i < len; i++)
		test_expect(swapvma_batch_index(batch, i) > swapvma_batch_index(batch, i - 1), i);
	test_expect(!swapvma_batch_page(batch, len), len);
	test_expect(current->flags & PF_MEMALLOC, current->flags);
	test_expect(current->flags & PF_KTHREAD, current->flags);
}

/* The swapper runs under PF_MEMALLOC: this enters no reclaim. */
static void test_alloc_and_free(void)
{
	void *memory = kmalloc(PAGE_SIZE, GFP_KERNEL);

	if (!memory)
		test_violation("no memory in swapout", 0);
	kfree(memory);
}

/* A sum of all pages of a batch. */
static u64 test_sum(struct swapvma_batch *batch)
{
	u32 i, len = swapvma_batch_len(batch);
	u64 sum = 0;
	size_t j;

	for (i = 0; i < len; i++) {
		u64 *words = kmap_local_page(swapvma_batch_page(batch, i));

		for (j = 0; j < PAGE_SIZE / sizeof(*words); j++)
			sum = sum * 31 + READ_ONCE(words[j]);
		kunmap_local(words);
	}
	return sum;
}

static void test_wait_gate(void)
{
	if (!READ_ONCE(test_block))
		return;
	atomic_inc(&test_blocked);
	wait_event_idle(test_gate, !READ_ONCE(test_block));
	atomic_dec(&test_blocked);
}

static void test_swapout(void *handle, struct swapvma_batch *batch)
{
	struct test_job *job = NULL;
	bool use_lock;
	int complete;
	u64 sum = 0;

	might_sleep();
	test_check_batch(batch);
	atomic_inc(&test_batches);
	if (stable)
		sum = test_sum(batch);
	test_wait_gate();
	if (READ_ONCE(test_delay_ms))
		msleep(READ_ONCE(test_delay_ms));
	if (stable)
		test_expect(test_sum(batch) == sum, sum);
	if (READ_ONCE(test_alloc))
		test_alloc_and_free();
	use_lock = READ_ONCE(test_use_lock);
	if (use_lock)
		mutex_lock(&test_lock);

	complete = READ_ONCE(test_complete);
	if (complete != TEST_SYNC) {
		job = test_get_job(handle, batch, NULL);
		if (!job)
			pr_warn_once("no job free, answering at once\n");
	}
	if (job)
		test_start_job(job, complete);
	else
		test_answer_batch(handle, batch);

	if (use_lock)
		mutex_unlock(&test_lock);
}

static int test_wait_read_gate(void)
{
	int ret;

	if (!READ_ONCE(test_block_read))
		return 0;
	atomic_inc(&test_blocked_reads);
	ret = wait_event_killable(test_gate, !READ_ONCE(test_block_read));
	atomic_dec(&test_blocked_reads);
	return ret ? -EINTR : 0;
}

static void test_swapin(void *handle, struct swapvma_read *read)
{
	int complete = READ_ONCE(test_complete_read);
	struct test_job *job = NULL;

	might_sleep();
	atomic_inc(&test_swapins);
	if (test_wait_read_gate()) {
		swapvma_read_complete(read, -EINTR);
		return;
	}
	if (complete != TEST_SYNC)
		job = test_get_job(handle, NULL, read);
	if (job)
		test_start_job(job, complete);
	else
		test_answer_read(handle, read);
}

static u32 test_range_hint(void *handle, u64 index, u64 slot)
{
	return READ_ONCE(test_hint);
}

static void test_discard(void *handle, u64 nr)
{
	struct test_region *region = handle;
	unsigned int readers = 0;
	bool found = false;
	unsigned long flags;

	might_sleep();
	spin_lock_irqsave(&test_slot_lock, flags);
	if (nr - 1 < pages && test_slots[nr - 1].owner == region) {
		found = true;
		readers = test_slots[nr - 1].readers;
		test_slots[nr - 1].owner = NULL;
		__clear_bit(nr - 1, test_slots_used);
	}
	spin_unlock_irqrestore(&test_slot_lock, flags);

	test_expect(!readers, nr);
	if (!found) {
		test_violation("discard of a slot that the region does not own", nr);
		return;
	}
	atomic_dec(&region->stored);
	atomic_dec(&test_stored);
	atomic_inc(&test_discards);
}

static u64 test_stored_bytes(void *handle)
{
	struct test_region *region = handle;

	return (u64)atomic_read(&region->stored) * PAGE_SIZE;
}

static void test_vma_open(void *handle, u64 first, u64 nr)
{
	struct test_region *region = handle;

	test_expect(nr, first);
	atomic_inc(&region->vmas);
	atomic_inc(&test_vma_opens);
}

static void test_vma_close(void *handle, u64 first, u64 nr)
{
	struct test_region *region = handle;

	test_expect(nr, first);
	test_expect(atomic_dec_return(&region->vmas) >= 0, first);
	atomic_inc(&test_closing);
	msleep(READ_ONCE(test_close_ms));
	atomic_dec(&test_closing);
	atomic_inc(&test_vma_closes);
}

static struct swapvma_driver_ops test_ops = {
	.size = sizeof(struct swapvma_driver_ops),
	.version = SWAPVMA_ABI_VERSION,
	.name = "test",
	.owner = THIS_MODULE,
	.attach = test_attach,
	.detach = test_detach,
	.swapout = test_swapout,
	.swapin = test_swapin,
	.discard = test_discard,
	.range_hint = test_range_hint,
	.stored_bytes = test_stored_bytes,
	.vma_open = test_vma_open,
	.vma_close = test_vma_close,
};

/*
 * debugfs: what is set.
 */

static int test_gate_set(void *data, u64 val)
{
	WRITE_ONCE(*(bool *)data, val);
	wake_up_all(&test_gate);
	return 0;
}

static int test_gate_get(void *data, u64 *val)
{
	*val = READ_ONCE(*(bool *)data);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(test_gate_fops, test_gate_get, test_gate_set, "%llu\n");

static int test_release_set(void *data, u64 val)
{
	test_release_leaked();
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(test_release_fops, NULL, test_release_set, "%llu\n");

static int test_scribble_set(void *data, u64 val)
{
	test_scribble_page();
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(test_scribble_fops, NULL, test_scribble_set, "%llu\n");

/* One word out of a NULL-terminated list; the one chosen is shown in brackets. */
struct test_choice {
	const char * const *names;
	int *value;
};

static const struct test_choice test_answer_choice = { test_answers, &test_answer };
static const struct test_choice test_complete_choice = { test_completes, &test_complete };
static const struct test_choice test_corrupt_choice = { test_corrupts, &test_corrupt };
static const struct test_choice test_complete_read_choice = {
	test_completes, &test_complete_read,
};

static int test_choice_show(struct seq_file *m, void *unused)
{
	const struct test_choice *choice = m->private;
	int i;

	for (i = 0; choice->names[i]; i++)
		seq_printf(m, i == READ_ONCE(*choice->value) ? "%s[%s]" : "%s%s",
			   i ? " " : "", choice->names[i]);
	seq_putc(m, '\n');
	return 0;
}

static int test_choice_open(struct inode *inode, struct file *file)
{
	return single_open(file, test_choice_show, inode->i_private);
}

static ssize_t test_choice_write(struct file *file, const char __user *buf,
				 size_t len, loff_t *ppos)
{
	const struct test_choice *choice = file_inode(file)->i_private;
	char word[16] = "";
	int i;

	if (len >= sizeof(word))
		return -EINVAL;
	if (copy_from_user(word, buf, len))
		return -EFAULT;
	i = __sysfs_match_string(choice->names, -1, word);
	if (i < 0)
		return i;
	WRITE_ONCE(*choice->value, i);
	return len;
}

static const struct file_operations test_choice_fops = {
	.owner = THIS_MODULE,
	.open = test_choice_open,
	.read = seq_read,
	.write = test_choice_write,
	.llseek = seq_lseek,
	.release = single_release,
};

/*
 * debugfs: what a driver author must not do, done under the lock L.
 */

static void test_note_ms(ktime_t start)
{
	u32 ms = ktime_ms_delta(ktime_get(), start);

	if (ms > test_hold_ms)
		test_hold_ms = ms;
}

/* Holds L and allocates @nr pages one by one, until 16 failed in a row. */
static int test_hold_alloc(void *data, u64 nr)
{
	gfp_t gfp = GFP_KERNEL | __GFP_RETRY_MAYFAIL | __GFP_NOWARN;
	struct page *page, *next;
	unsigned int failed = 0;
	LIST_HEAD(list);

	if (mutex_lock_killable(&test_lock))
		return -EINTR;
	test_hold_ms = 0;
	test_hold_pages = 0;
	for (; nr && failed < 16 && !fatal_signal_pending(current); nr--) {
		ktime_t start = ktime_get();

		page = alloc_page(gfp);
		test_note_ms(start);
		if (!page) {
			failed++;
			continue;
		}
		failed = 0;
		list_add(&page->lru, &list);
		test_hold_pages++;
		cond_resched();
	}
	list_for_each_entry_safe(page, next, &list, lru) {
		list_del(&page->lru);
		__free_page(page);
	}
	mutex_unlock(&test_lock);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(test_hold_alloc_fops, NULL, test_hold_alloc, "%llu\n");

/* Holds L, reads one byte of user memory at @addr and writes it back. */
static int test_hold_touch(void *data, u64 addr)
{
	char __user *user = (char __user *)(unsigned long)addr;
	ktime_t start;
	int ret = 0;
	char byte;

	if (mutex_lock_killable(&test_lock))
		return -EINTR;
	test_hold_ms = 0;
	start = ktime_get();
	if (copy_from_user(&byte, user, 1) || copy_to_user(user, &byte, 1))
		ret = -EFAULT;
	test_note_ms(start);
	mutex_unlock(&test_lock);
	return ret;
}
DEFINE_DEBUGFS_ATTRIBUTE(test_hold_touch_fops, NULL, test_hold_touch, "%llu\n");

static struct dentry *test_dir;

static void test_create_counters(void)
{
	static const struct {
		const char *name;
		umode_t mode;
		atomic_t *value;
	} files[] = {
		{ "fail_write", 0600, &test_fail_write },
		{ "fail_read", 0600, &test_fail_read },
		{ "blocked", 0400, &test_blocked },
		{ "blocked_reads", 0400, &test_blocked_reads },
		{ "leaked", 0400, &test_leaks },
		{ "batches", 0400, &test_batches },
		{ "swapouts", 0400, &test_swapouts },
		{ "swapins", 0400, &test_swapins },
		{ "discards", 0400, &test_discards },
		{ "stored", 0400, &test_stored },
		{ "vma_opens", 0400, &test_vma_opens },
		{ "vma_closes", 0400, &test_vma_closes },
		{ "closing", 0400, &test_closing },
		{ "attaches", 0400, &test_attaches },
		{ "detaches", 0400, &test_detaches },
		{ "violations", 0400, &test_violations },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(files); i++)
		debugfs_create_atomic_t(files[i].name, files[i].mode, test_dir, files[i].value);
}

static void test_create_corruption(void)
{
	unsigned int i;

	debugfs_create_file("corrupt", 0600, test_dir, (void *)&test_corrupt_choice,
			    &test_choice_fops);
	debugfs_create_u64("watch", 0600, test_dir, &test_watch);
	debugfs_create_u32("flip_bit", 0600, test_dir, &test_flip_bit);
	debugfs_create_file_unsafe("scribble", 0200, test_dir, NULL, &test_scribble_fops);
	for (i = 0; i < ARRAY_SIZE(test_blobs); i++) {
		test_blobs[i].data = page_address(test_watched[i]);
		test_blobs[i].size = PAGE_SIZE;
		debugfs_create_blob(i ? "stored_before" : "stored_now", 0400, test_dir,
				    &test_blobs[i]);
	}
}

static void test_create_debugfs(void)
{
	test_dir = debugfs_create_dir(KBUILD_MODNAME, NULL);
	test_create_corruption();
	debugfs_create_u32("delay_ms", 0600, test_dir, &test_delay_ms);
	debugfs_create_u32("close_ms", 0600, test_dir, &test_close_ms);
	debugfs_create_bool("lock", 0600, test_dir, &test_use_lock);
	debugfs_create_bool("alloc", 0600, test_dir, &test_alloc);
	debugfs_create_u32("short", 0600, test_dir, &test_short);
	debugfs_create_bool("drained", 0600, test_dir, &test_drained);
	debugfs_create_u64("bad_read", 0600, test_dir, &test_bad_read);
	debugfs_create_file_unsafe("block", 0600, test_dir, &test_block, &test_gate_fops);
	debugfs_create_file_unsafe("block_read", 0600, test_dir, &test_block_read,
				   &test_gate_fops);
	debugfs_create_file_unsafe("release", 0200, test_dir, NULL, &test_release_fops);
	debugfs_create_file("answer", 0600, test_dir, (void *)&test_answer_choice,
			    &test_choice_fops);
	debugfs_create_file("complete", 0600, test_dir, (void *)&test_complete_choice,
			    &test_choice_fops);
	debugfs_create_file("complete_read", 0600, test_dir, (void *)&test_complete_read_choice,
			    &test_choice_fops);
	debugfs_create_u32("hint", 0600, test_dir, &test_hint);
	debugfs_create_file_unsafe("hold_alloc", 0200, test_dir, NULL, &test_hold_alloc_fops);
	debugfs_create_file_unsafe("hold_touch", 0200, test_dir, NULL, &test_hold_touch_fops);
	debugfs_create_u32("hold_ms", 0400, test_dir, &test_hold_ms);
	debugfs_create_u32("hold_pages", 0400, test_dir, &test_hold_pages);
	test_create_counters();
}

/*
 * Load and unload.
 */

static void test_free_store(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(test_watched); i++)
		if (test_watched[i])
			__free_page(test_watched[i]);
	for (i = 0; test_slots && i < pages; i++)
		if (test_slots[i].page)
			__free_page(test_slots[i].page);
	vfree(test_slots);
	bitmap_free(test_slots_used);
}

static int test_alloc_store(void)
{
	unsigned int i;

	test_slots = vcalloc(pages, sizeof(*test_slots));
	test_slots_used = bitmap_zalloc(pages, GFP_KERNEL);
	if (!test_slots || !test_slots_used)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(test_watched); i++) {
		test_watched[i] = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!test_watched[i])
			return -ENOMEM;
	}
	for (i = 0; i < pages; i++) {
		test_slots[i].page = alloc_page(GFP_HIGHUSER);
		if (!test_slots[i].page)
			return -ENOMEM;
	}
	return 0;
}

static void test_init_jobs(void)
{
	unsigned int i;

	for (i = 0; i < TEST_JOBS; i++) {
		INIT_WORK(&test_jobs[i].work, test_work);
		hrtimer_setup(&test_jobs[i].timer, test_timer, CLOCK_MONOTONIC,
			      HRTIMER_MODE_REL);
	}
}

static int __init swapvma_test_init(void)
{
	int ret;

	if (!pages)
		return -EINVAL;
	lockdep_set_notrack_class(&test_lock);
	test_init_jobs();
	test_wq = alloc_workqueue("swapvma_test", WQ_MEM_RECLAIM | WQ_UNBOUND, 0);
	if (!test_wq)
		return -ENOMEM;
	ret = test_alloc_store();
	if (ret)
		goto err_store;
	test_ops.deadline_ms = deadline_ms;
	test_ops.flags = stable ? SWAPVMA_DRIVER_STABLE : 0;
	ret = swapvma_register_driver(&test_ops);
	if (ret)
		goto err_store;
	test_create_debugfs();
	return 0;

err_store:
	test_free_store();
	destroy_workqueue(test_wq);
	return ret;
}

static void __exit swapvma_test_exit(void)
{
	unsigned int i;

	debugfs_remove(test_dir);
	swapvma_unregister_driver(&test_ops);
	/* The last completion may still be running in a work item or a timer. */
	destroy_workqueue(test_wq);
	for (i = 0; i < TEST_JOBS; i++)
		hrtimer_cancel(&test_jobs[i].timer);
	WARN(atomic_read(&test_stored), "%d slots remain stored\n", atomic_read(&test_stored));
	WARN_ON(!list_empty(&test_leaked));
	test_scribble_page();
	test_free_store();
}

module_init(swapvma_test_init);
module_exit(swapvma_test_exit);

MODULE_DESCRIPTION("swapvma driver for the selftests");
MODULE_LICENSE("GPL");
