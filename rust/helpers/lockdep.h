/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SWAPVMA_HELPERS_LOCKDEP_H
#define _SWAPVMA_HELPERS_LOCKDEP_H

#include <linux/types.h>

struct list_lru;

void swapvma_entry_acquire(void);
void swapvma_entry_release(void);
void swapvma_swapout_acquire(void);
void swapvma_swapout_release(void);
void swapvma_wait_annotate(void);
void swapvma_folio_wait_annotate(void);
void swapvma_lockdep_prime(void);
void swapvma_list_lru_set_key(struct list_lru *lru);

#endif
