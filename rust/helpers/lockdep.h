/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SWAPVMA_HELPERS_LOCKDEP_H
#define _SWAPVMA_HELPERS_LOCKDEP_H

#include <linux/types.h>
#include <swapvma/lockdep.h>

struct inode;
struct list_lru;
struct lock_class_key;

/* What is on the lists of a list_lru. */
enum swapvma_lru {
	SWAPVMA_LRU_RECORDS,
	SWAPVMA_LRU_REGIONS,
	SWAPVMA_LRU_OWNERS,
};

/* Whose windows are reserved, and who asks: a class each. */
enum swapvma_reservation {
	SWAPVMA_RESERVED_BY_TASK,
	SWAPVMA_RESERVED_BY_SWAPPER,
	SWAPVMA_RESERVED_BY_RAM,
};

void swapvma_rcu_enter(void);
void swapvma_rcu_leave(void);
void swapvma_entry_acquire(void);
void swapvma_entry_release(void);
void swapvma_callback_wait(enum swapvma_callback callback);
void swapvma_reservation_acquire(enum swapvma_reservation who);
void swapvma_reservation_release(enum swapvma_reservation who);
void swapvma_folio_wait(void);
void swapvma_folio_begin(void);
void swapvma_folio_end(void);
bool swapvma_fault_lock(bool vma);
void swapvma_fault_unlock(bool vma);
void swapvma_reclaim_begin(void);
void swapvma_reclaim_end(void);
void swapvma_list_lru_set_class(struct list_lru *lru, enum swapvma_lru which);
struct lock_class_key *swapvma_list_lru_key(void);
void swapvma_inode_set_class(struct inode *inode);

#endif
