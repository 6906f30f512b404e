// SPDX-License-Identifier: GPL-2.0
/* Inline functions of the memory manager that Rust cannot call. */
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/rmap.h>
#include <linux/sched/mm.h>
#include <linux/shrinker.h>
#include <linux/uaccess.h>

#include "mm.h"

static_assert(SWAPVMA_SHRINKER_FLAGS == SHRINKER_NUMA_AWARE);

struct folio *swapvma_folio_alloc(bool zero)
{
	return folio_alloc(GFP_HIGHUSER | (zero ? __GFP_ZERO : 0), 0);
}

/* The page is new: nobody else can see it, so it is locked without a wait. */
void swapvma_folio_attach(struct folio *folio, struct address_space *mapping,
			  pgoff_t index)
{
	__folio_set_locked(folio);
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

bool swapvma_folio_mapped(const struct folio *folio)
{
	return folio_mapped(folio);
}

/* Somebody asked for the page to stay: mlock, or a pin for I/O. */
bool swapvma_folio_unevictable(struct folio *folio)
{
	return folio_test_mlocked(folio) || folio_maybe_dma_pinned(folio);
}

bool swapvma_folio_hwpoison(const struct folio *folio)
{
	return folio_contain_hwpoisoned_page((struct folio *)folio);
}

/* Bytes not copied, which is 0 unless a memory error hit the page. */
int swapvma_folio_copy(void *to, struct folio *folio)
{
	return copy_mc_to_kernel(to, folio_address(folio), PAGE_SIZE);
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

/*
 * Which of @count pages from @first no page table maps, one bit each; none if
 * there is no page table. Under RCU, which keeps the table; the bits are stale
 * on return, so they say where to look and no more.
 */
u64 swapvma_vmf_unmapped(const struct vm_fault *vmf, pgoff_t first,
			 unsigned int count)
{
	unsigned long address = vmf->address + (first - vmf->pgoff) * PAGE_SIZE;
	pmd_t pmd = pmdp_get_lockless(vmf->pmd);
	u64 unmapped = 0;
	unsigned int i;
	pte_t *pte;

	if (pmd_none(pmd) || pmd_leaf(pmd) || pmd_bad(pmd))
		return 0;
	pte = pte_offset_kernel(&pmd, address);
	for (i = 0; i < count; i++)
		unmapped |= (u64)pte_none(ptep_get_lockless(pte + i)) << i;
	return unmapped;
}

bool swapvma_vmf_shared(const struct vm_fault *vmf)
{
	return vmf->vma->vm_flags & VM_SHARED;
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

u64 swapvma_vma_pages(const struct vm_area_struct *vma)
{
	return vma_pages(vma);
}

unsigned int swapvma_noreclaim_save(void)
{
	return memalloc_noreclaim_save();
}

void swapvma_noreclaim_restore(unsigned int flags)
{
	memalloc_noreclaim_restore(flags);
}

int swapvma_nr_nodes(void)
{
	return nr_node_ids;
}
