/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SWAPVMA_HELPERS_LOCKDEP_H
#define _SWAPVMA_HELPERS_LOCKDEP_H

#include <linux/types.h>

struct list_lru;

/* What of a driver somebody may wait for. */
enum swapvma_callback {
	SWAPVMA_IN_SWAPOUT,
	SWAPVMA_IN_SWAPIN,
	SWAPVMA_IN_DISCARD,
};

void swapvma_rcu_enter(void);
void swapvma_rcu_leave(void);
void swapvma_entry_acquire(void);
void swapvma_entry_release(void);
void swapvma_callback_acquire(enum swapvma_callback callback);
void swapvma_callback_release(enum swapvma_callback callback);
void swapvma_callback_wait(enum swapvma_callback callback);
void swapvma_folio_wait_annotate(void);
void swapvma_lockdep_prime(void);
void swapvma_list_lru_set_key(struct list_lru *lru);

#endif
