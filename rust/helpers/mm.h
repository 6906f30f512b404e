/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SWAPVMA_HELPERS_MM_H
#define _SWAPVMA_HELPERS_MM_H

#include <linux/mm.h>

struct semaphore;
struct wait_queue_head;
struct workqueue_struct;

/* A magazine of records and its lock, which are Rust's. */
struct swapvma_front {
	u64 space[144];
} ____cacheline_aligned;

/* Pages near a fault, and those of them that are not mapped, one bit each. */
struct swapvma_near {
	pgoff_t first;
	unsigned int count;
	u64 unmapped;
};

/* Flags that are built with BIT(), which bindgen does not see through. */
#define SWAPVMA_SHRINKER_FLAGS	12U
/* SWAP_CLUSTER_MAX, which no bindings have. */
#define SWAPVMA_RECLAIM_PAGES	32U

/* What an allocation of a page may do to get one. */
enum swapvma_effort {
	/* Take what is free. */
	SWAPVMA_EFFORT_QUICK,
	/* Reclaim, and fail rather than have a task killed. */
	SWAPVMA_EFFORT_PATIENT,
	/* Whatever helps. */
	SWAPVMA_EFFORT_FIRM,
};

struct folio *swapvma_folio_alloc(bool zero, enum swapvma_effort effort);
void swapvma_folio_set_locked(struct folio *folio);
void swapvma_folio_attach(struct folio *folio, struct address_space *mapping,
			  pgoff_t index);
void swapvma_folio_detach(struct folio *folio);
bool swapvma_folio_attached(const struct folio *folio,
			    const struct address_space *mapping);
void *swapvma_folio_address(struct folio *folio);
struct folio *swapvma_page_folio(struct page *page);
struct page *swapvma_folio_page(struct folio *folio);
int swapvma_folio_nid(const struct folio *folio);
void swapvma_folio_get(struct folio *folio);
void swapvma_folio_put(struct folio *folio);
bool swapvma_folio_trylock(struct folio *folio);
void swapvma_folio_lock(struct folio *folio);
int swapvma_folio_lock_killable(struct folio *folio);
bool swapvma_folio_ref_freeze(struct folio *folio, int count);
void swapvma_folio_ref_unfreeze(struct folio *folio, int count);
bool swapvma_folio_test_dirty(const struct folio *folio);
void swapvma_folio_set_dirty(struct folio *folio);
void swapvma_folio_clear_dirty(struct folio *folio);
bool swapvma_folio_mapped(const struct folio *folio);
bool swapvma_folio_may_repeat(const struct folio *folio);
struct page *swapvma_spare_page(bool reserves);
bool swapvma_folio_unevictable(struct folio *folio);
bool swapvma_folio_held(const struct folio *folio, int expected);
bool swapvma_mapping_locked(struct address_space *mapping, pgoff_t first,
			    pgoff_t last);
bool swapvma_folio_pinned(struct folio *folio);
void swapvma_folio_pin(struct folio *folio);
void swapvma_folio_unpin(struct folio *folio);
pgoff_t swapvma_folio_index(const struct folio *folio);
bool swapvma_folio_hwpoison(const struct folio *folio);
int swapvma_folio_copy(void *to, struct folio *folio);
void swapvma_page_fill(struct page *page, const void *from);
void swapvma_folio_clear(struct folio *folio);
void swapvma_folio_zero(struct folio *folio, size_t from, size_t to);
void swapvma_write_protect(struct address_space *mapping, pgoff_t index,
			   struct folio *folio);

struct swapvma_near swapvma_vmf_near(const struct vm_fault *vmf, bool around,
				     unsigned int following);
bool swapvma_vmf_may_insert(const struct vm_fault *vmf);
void swapvma_vmf_release_lock(struct vm_fault *vmf);
vm_fault_t swapvma_vmf_insert_at(const struct vm_fault *vmf, struct page *page,
				 pgoff_t index, bool write);
bool swapvma_vmf_insert_neighbour(const struct vm_fault *vmf, struct folio *folio);
u64 swapvma_vma_pages(const struct vm_area_struct *vma);

struct swapvma_front *swapvma_front_here(void);
struct swapvma_front *swapvma_front_of(unsigned int cpu);
void swapvma_semaphore_init(struct semaphore *semaphore);
void swapvma_wake_all(struct wait_queue_head *queue);
struct workqueue_struct *swapvma_alloc_workqueue(const char *name);
void swapvma_free_after_rcu(void *level);
unsigned long swapvma_irq_save(void);
void swapvma_irq_restore(unsigned long flags);
void swapvma_run_in_interrupt(void (*f)(void *arg), void *arg);
bool swapvma_killed(void);
void swapvma_cond_resched(void);
bool swapvma_reclaim_may_wait(gfp_t gfp);
u64 swapvma_task(void);
void swapvma_account_reclaimed(unsigned long pages);
long swapvma_task_reclaimed(void);
unsigned int swapvma_noreclaim_save(void);
void swapvma_noreclaim_restore(unsigned int flags);
unsigned int swapvma_memalloc_leave(void);
void swapvma_memalloc_return(unsigned int flags);
int swapvma_nr_nodes(void);

#endif
