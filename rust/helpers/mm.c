// SPDX-License-Identifier: GPL-2.0
/* Inline functions of the memory manager that Rust cannot call. */
#include <linux/highmem.h>
#include <linux/interval_tree_generic.h>
#include <linux/irq_work.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/rmap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/semaphore.h>
#include <linux/shrinker.h>
#include <linux/swap.h>
#include <linux/vmstat.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include <swapvma/lockdep.h>

#include "mm.h"

static_assert(SWAPVMA_SHRINKER_FLAGS ==
	      (SHRINKER_NUMA_AWARE | SHRINKER_MEMCG_AWARE));
static_assert(SWAPVMA_RECLAIM_PAGES == SWAP_CLUSTER_MAX);

/* The cgroup of the innermost set_active_memcg() pays for it. */
struct folio *swapvma_folio_alloc(bool zero, enum swapvma_effort effort)
{
	gfp_t gfp = GFP_HIGHUSER | __GFP_ACCOUNT;

	if (zero)
		gfp |= __GFP_ZERO;
	switch (effort) {
	case SWAPVMA_EFFORT_QUICK:
		gfp &= ~__GFP_DIRECT_RECLAIM;
		gfp |= __GFP_NOWARN;
		break;
	case SWAPVMA_EFFORT_PATIENT:
		gfp |= __GFP_RETRY_MAYFAIL | __GFP_NOWARN;
		break;
	case SWAPVMA_EFFORT_FIRM:
		break;
	}
	return folio_alloc(gfp, 0);
}

/*
 * For the swapper, which runs under PF_MEMALLOC: it enters no reclaim, and may
 * use the memory reserves.
 */
struct page *swapvma_spare_page(bool reserves)
{
	gfp_t gfp = GFP_NOIO | __GFP_NOWARN;

	if (!reserves)
		gfp |= __GFP_NOMEMALLOC;
	return alloc_page(gfp);
}

/* The page is new: nobody else can see it, so it is locked without a wait. */
void swapvma_folio_set_locked(struct folio *folio)
{
	__folio_set_locked(folio);
}

void swapvma_folio_attach(struct folio *folio, struct address_space *mapping,
			  pgoff_t index)
{
	folio->mapping = mapping;
	folio->index = index;
}

void swapvma_folio_detach(struct folio *folio)
{
	VM_WARN_ON_FOLIO(!folio_test_locked(folio), folio);
	folio->mapping = NULL;
}

bool swapvma_folio_attached(const struct folio *folio,
			    const struct address_space *mapping)
{
	return folio->mapping == mapping;
}

void *swapvma_folio_address(struct folio *folio)
{
	return folio_address(folio);
}

struct folio *swapvma_page_folio(struct page *page)
{
	return page_folio(page);
}

struct page *swapvma_folio_page(struct folio *folio)
{
	return folio_page(folio, 0);
}

int swapvma_folio_nid(const struct folio *folio)
{
	return folio_nid(folio);
}

void swapvma_folio_get(struct folio *folio)
{
	folio_get(folio);
}

void swapvma_folio_put(struct folio *folio)
{
	folio_put(folio);
}

bool swapvma_folio_trylock(struct folio *folio)
{
	return folio_trylock(folio);
}

void swapvma_folio_lock(struct folio *folio)
{
	folio_lock(folio);
}

int swapvma_folio_lock_killable(struct folio *folio)
{
	return folio_lock_killable(folio);
}

bool swapvma_folio_ref_freeze(struct folio *folio, int count)
{
	return folio_ref_freeze(folio, count);
}

void swapvma_folio_ref_unfreeze(struct folio *folio, int count)
{
	folio_ref_unfreeze(folio, count);
}

bool swapvma_folio_test_dirty(const struct folio *folio)
{
	return folio_test_dirty(folio);
}

void swapvma_folio_set_dirty(struct folio *folio)
{
	folio_set_dirty(folio);
}

void swapvma_folio_clear_dirty(struct folio *folio)
{
	folio_clear_dirty(folio);
}

/* Others may write to the page meanwhile. */
bool swapvma_folio_may_repeat(const struct folio *folio)
{
	const unsigned long *words = folio_address(folio);
	unsigned long first = READ_ONCE(words[0]);

	return first == READ_ONCE(words[PAGE_SIZE / sizeof(*words) / 2]) &&
	       first == READ_ONCE(words[PAGE_SIZE / sizeof(*words) - 1]);
}

bool swapvma_folio_mapped(const struct folio *folio)
{
	return folio_mapped(folio);
}

/* Somebody asked for the page to stay: mlock, or a pin for I/O. */
bool swapvma_folio_unevictable(struct folio *folio)
{
	return folio_test_mlocked(folio) || folio_maybe_dma_pinned(folio);
}

/* More references than @expected besides those of page tables. */
bool swapvma_folio_held(const struct folio *folio, int expected)
{
	return folio_ref_count(folio) - folio_mapcount(folio) > expected;
}

static unsigned long swapvma_vma_first(const struct vm_area_struct *vma)
{
	return vma->vm_pgoff;
}

static unsigned long swapvma_vma_last(const struct vm_area_struct *vma)
{
	return vma->vm_pgoff + vma_pages(vma) - 1;
}

/* As mm/interval_tree.c, which exports none of it. */
INTERVAL_TREE_DEFINE(struct vm_area_struct, shared.rb, unsigned long,
		     shared.rb_subtree_last, swapvma_vma_first, swapvma_vma_last,
		     static __maybe_unused, swapvma_vma_tree)

/* In a writable private mapping, mlock makes anonymous copies. */
static bool swapvma_vma_locks(const struct vm_area_struct *vma)
{
	vm_flags_t flags = READ_ONCE(vma->vm_flags);

	return (flags & VM_LOCKED) && (flags & (VM_SHARED | VM_WRITE)) != VM_WRITE;
}

/*
 * Whether a mapping keeps pages from @first to @last with mlock. The folio's flag says so
 * only until the first of several munlocks: the core corrects that when it unmaps
 * a page of an LRU list, which ours are not.
 */
bool swapvma_mapping_locked(struct address_space *mapping, pgoff_t first,
			    pgoff_t last)
{
	struct vm_area_struct *vma;
	bool locked = false;

	i_mmap_lock_read(mapping);
	for (vma = swapvma_vma_tree_iter_first(&mapping->i_mmap, first, last);
	     vma && !locked; vma = swapvma_vma_tree_iter_next(vma, first, last))
		locked = swapvma_vma_locks(vma);
	i_mmap_unlock_read(mapping);
	return locked;
}

bool swapvma_folio_pinned(struct folio *folio)
{
	return folio_maybe_dma_pinned(folio);
}

/* As try_grab_folio() and gup_put_folio() do for a small folio. */
void swapvma_folio_pin(struct folio *folio)
{
	folio_ref_add(folio, GUP_PIN_COUNTING_BIAS);
}

void swapvma_folio_unpin(struct folio *folio)
{
	folio_put_refs(folio, GUP_PIN_COUNTING_BIAS);
}

pgoff_t swapvma_folio_index(const struct folio *folio)
{
	return folio->index;
}

bool swapvma_folio_hwpoison(const struct folio *folio)
{
	return folio_contain_hwpoisoned_page((struct folio *)folio);
}

/*
 * Whether copy_mc_to_kernel() is no more than memcpy(), than which copy_page() is
 * faster. On x86 it recovers from memory errors with fast strings, and on servers
 * that know a slower way, all of one vendor.
 */
static bool swapvma_copy_is_plain(void)
{
#if defined(CONFIG_X86)
	return !static_cpu_has(X86_FEATURE_ERMS) &&
	       boot_cpu_data.x86_vendor != X86_VENDOR_INTEL;
#else
	return !IS_ENABLED(CONFIG_ARCH_HAS_COPY_MC);
#endif
}

/* copy_page() is for pages. */
static void swapvma_copy(void *to, const void *from)
{
	if (PAGE_ALIGNED(to) && PAGE_ALIGNED(from))
		copy_page(to, (void *)from);
	else
		memcpy(to, from, PAGE_SIZE);
}

/* Bytes not copied, which is 0 unless a memory error hit the page. */
int swapvma_folio_copy(void *to, struct folio *folio)
{
	if (!swapvma_copy_is_plain())
		return copy_mc_to_kernel(to, folio_address(folio), PAGE_SIZE);
	swapvma_copy(to, folio_address(folio));
	return 0;
}

/* Nobody else can see the page. */
void swapvma_page_fill(struct page *page, const void *from)
{
	swapvma_copy(page_address(page), from);
}

void swapvma_folio_clear(struct folio *folio)
{
	clear_page(folio_address(folio));
}

void swapvma_folio_zero(struct folio *folio, size_t from, size_t to)
{
	folio_zero_segment(folio, from, to);
}

void swapvma_write_protect(struct address_space *mapping, pgoff_t index,
			   struct folio *folio)
{
	mapping_wrprotect_range(mapping, index, folio_pfn(folio), 1);
}

/* Bytes around a fault, as fault_around_bytes of mm/memory.c. */
#define AROUND	SZ_64K

/*
 * Pages near a fault: those @around it, if they are wanted, and @following ones, up
 * to 64; and which of them no page table of the VMA maps. The page table may go away
 * meanwhile, which RCU makes safe to look at.
 */
struct swapvma_near swapvma_vmf_near(const struct vm_fault *vmf, bool around,
				     unsigned int following)
{
	unsigned long block = ALIGN_DOWN(vmf->address, AROUND);
	unsigned long address = vmf->address + PAGE_SIZE;
	unsigned long end = address + following * PAGE_SIZE;
	struct swapvma_near near = { .first = vmf->pgoff + 1 };
	unsigned int i;
	pte_t *pte;
	pmd_t pmd;

	if (around) {
		address = max(block, vmf->vma->vm_start);
		end = max(end, block + AROUND);
	}
	/* What is mapped by one page table, and has a bit. */
	end = min3(end, vmf->vma->vm_end, ALIGN_DOWN(block, PMD_SIZE) + PMD_SIZE);
	end = min(end, address + 64 * PAGE_SIZE);
	if (address >= end)
		return near;
	near.first = vmf->pgoff + (long)(address - vmf->address) / (long)PAGE_SIZE;
	near.count = (end - address) >> PAGE_SHIFT;
	rcu_read_lock();
	pmd = pmdp_get_lockless(vmf->pmd);
	if (pmd_present(pmd) && !pmd_leaf(pmd) && !pmd_bad(pmd)) {
		pte = pte_offset_kernel(&pmd, address);
		for (i = 0; i < near.count; i++)
			near.unmapped |= (u64)pte_none(ptep_get_lockless(pte + i)) << i;
	}
	rcu_read_unlock();
	return near;
}

/*
 * Whether ->fault may map the page itself. A private mapping has its copies to
 * make; a page table entry that is not empty holds a marker that the core knows
 * how to keep.
 */
bool swapvma_vmf_may_insert(const struct vm_fault *vmf)
{
	if (!(vmf->vma->vm_flags & VM_SHARED))
		return false;
	return !(vmf->flags & FAULT_FLAG_ORIG_PTE_VALID) || pte_none(vmf->orig_pte);
}

/* The VMA may be gone on return. */
void swapvma_vmf_release_lock(struct vm_fault *vmf)
{
	release_fault_lock(vmf);
}

/*
 * Maps @page at @index in the VMA of @vmf. The fields of vm_fault that name the
 * address are const, so that a copy with another address needs an initialiser.
 */
vm_fault_t swapvma_vmf_insert_at(const struct vm_fault *vmf, struct page *page,
				 pgoff_t index, bool write)
{
	unsigned long address = vmf->address +
		(index - vmf->pgoff) * PAGE_SIZE;
	struct vm_fault at = {
		.vma = vmf->vma,
		.gfp_mask = vmf->gfp_mask,
		.pgoff = index,
		.address = address,
		.real_address = address,
		.flags = vmf->flags,
		.pmd = vmf->pmd,
		.pud = vmf->pud,
	};

	return vmf_insert_page_mkwrite(&at, page, write);
}

/* Maps @folio for loads, where it is in the VMA of @vmf, unless it is poisoned. */
bool swapvma_vmf_insert_neighbour(const struct vm_fault *vmf, struct folio *folio)
{
	if (folio_contain_hwpoisoned_page(folio))
		return false;
	return swapvma_vmf_insert_at(vmf, folio_page(folio, 0), folio->index,
				     false) == VM_FAULT_NOPAGE;
}

u64 swapvma_vma_pages(const struct vm_area_struct *vma)
{
	return vma_pages(vma);
}

static DEFINE_PER_CPU_ALIGNED(struct swapvma_front, swapvma_fronts);

/* That of this CPU, or of one on which the task ran. */
struct swapvma_front *swapvma_front_here(void)
{
	return raw_cpu_ptr(&swapvma_fronts);
}

/* That of a CPU, online or not; NULL if there never will be one of this number. */
struct swapvma_front *swapvma_front_of(unsigned int cpu)
{
	return cpu_possible(cpu) ? per_cpu_ptr(&swapvma_fronts, cpu) : NULL;
}

static struct lock_class_key swapvma_turn_key;

/* For one task at a time. The lock inside is the one that lockdep knows. */
void swapvma_semaphore_init(struct semaphore *semaphore)
{
	sema_init(semaphore, 1);
	lockdep_set_class_and_name(&semaphore->lock, &swapvma_turn_key, "swapvma_turn");
}

/*
 * Whoever waits is in the queue before it looks at what the caller changed. With
 * lockdep the lock is taken either way, for lockdep to see.
 */
void swapvma_wake_all(struct wait_queue_head *queue)
{
	if (IS_ENABLED(CONFIG_LOCKDEP) || wq_has_sleeper(queue))
		wake_up_all(queue);
}

struct workqueue_struct *swapvma_alloc_workqueue(const char *name)
{
	return alloc_workqueue("%s", WQ_UNBOUND | WQ_MEM_RECLAIM | WQ_FREEZABLE, 0, name);
}

void swapvma_cond_resched(void)
{
	cond_resched();
}

/* Frees what kmalloc() returned. May sleep; nobody holds a spinning lock. */
void swapvma_free_after_rcu(void *level)
{
	/* Should it be out of memory. */
	swapvma_remote_wait();
	kvfree_rcu_mightsleep(level);
}

unsigned long swapvma_irq_save(void)
{
	unsigned long flags;

	local_irq_save(flags);
	return flags;
}

void swapvma_irq_restore(unsigned long flags)
{
	local_irq_restore(flags);
}

#if IS_ENABLED(CONFIG_KUNIT)
struct swapvma_interrupt {
	struct irq_work work;
	void (*f)(void *arg);
	void *arg;
};

static void swapvma_interrupt(struct irq_work *work)
{
	struct swapvma_interrupt *interrupt =
		container_of(work, struct swapvma_interrupt, work);

	WARN_ON_ONCE(!in_hardirq());
	interrupt->f(interrupt->arg);
}

/* Calls @f in a hard interrupt and waits, for tests. */
void swapvma_run_in_interrupt(void (*f)(void *arg), void *arg)
{
	struct swapvma_interrupt interrupt = {
		.work = IRQ_WORK_INIT_HARD(swapvma_interrupt),
		.f = f,
		.arg = arg,
	};

	irq_work_queue(&interrupt.work);
	irq_work_sync(&interrupt.work);
}
#endif

bool swapvma_killed(void)
{
	return fatal_signal_pending(current);
}

/*
 * A direct reclaimer that may do I/O; neither kswapd nor a swapper of ours. Whoever
 * may not enter a file system may hold a lock of it that a driver needs to write.
 */
bool swapvma_reclaim_may_wait(gfp_t gfp)
{
	gfp_t all = __GFP_DIRECT_RECLAIM | __GFP_IO | __GFP_FS;

	return (gfp & all) == all && !(current->flags & PF_KTHREAD);
}

/* Names the calling task. */
u64 swapvma_task(void)
{
	return task_pid_nr(current);
}

void swapvma_account_reclaimed(unsigned long pages)
{
	mm_account_reclaimed_pages(pages);
}

/*
 * Pages that this task's reclaim has freed so far and the core did not count yet; -1 for
 * kswapd, and where nothing counts.
 */
long swapvma_task_reclaimed(void)
{
	if (!current->reclaim_state || current_is_kswapd())
		return -1;
	return current->reclaim_state->reclaimed;
}

unsigned int swapvma_noreclaim_save(void)
{
	return memalloc_noreclaim_save();
}

void swapvma_noreclaim_restore(unsigned int flags)
{
	memalloc_noreclaim_restore(flags);
}

/*
 * In a section of its own, a swapper is one task of many: what it allocates without
 * reclaim is charged to a cgroup only if that has room.
 */
unsigned int swapvma_memalloc_leave(void)
{
	unsigned int flags = current->flags & PF_MEMALLOC;

	current->flags &= ~PF_MEMALLOC;
	return flags;
}

void swapvma_memalloc_return(unsigned int flags)
{
	current->flags |= flags;
}

int swapvma_nr_nodes(void)
{
	return nr_node_ids;
}
