// SPDX-License-Identifier: GPL-2.0
/*
 * What lockdep has to know and cannot see: the entry bit, the time that a
 * driver spends in a callback, and the waits for either. The names below are what
 * a report prints.
 */
#include <linux/list_lru.h>
#include <linux/lockdep.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>

#include "lockdep.h"

#ifdef CONFIG_LOCKDEP
static struct lock_class_key swapvma_list_lru_key;

static struct lockdep_map swapvma_entry_map =
	STATIC_LOCKDEP_MAP_INIT("swapvma_entry", &swapvma_entry_map);
static struct lockdep_map swapvma_callback_maps[] = {
	[SWAPVMA_IN_SWAPOUT] = STATIC_LOCKDEP_MAP_INIT("swapvma_in_swapout",
			&swapvma_callback_maps[SWAPVMA_IN_SWAPOUT]),
	[SWAPVMA_IN_SWAPIN] = STATIC_LOCKDEP_MAP_INIT("swapvma_in_swapin",
			&swapvma_callback_maps[SWAPVMA_IN_SWAPIN]),
	[SWAPVMA_IN_DISCARD] = STATIC_LOCKDEP_MAP_INIT("swapvma_in_discard",
			&swapvma_callback_maps[SWAPVMA_IN_DISCARD]),
};
static struct lockdep_map swapvma_folio_map =
	STATIC_LOCKDEP_MAP_INIT("swapvma_folio", &swapvma_folio_map);
#endif

/* What is read here may be freed a grace period later. */
void swapvma_rcu_enter(void)
{
	rcu_read_lock_sched();
}

void swapvma_rcu_leave(void)
{
	rcu_read_unlock_sched();
}

/*
 * The entry bit is a spinning lock, of which nobody holds two. Preemption is off
 * from before the entry is looked up, so that it is not freed.
 */
void swapvma_entry_acquire(void)
{
	preempt_disable();
	lock_map_acquire(&swapvma_entry_map);
}

void swapvma_entry_release(void)
{
	lock_map_release(&swapvma_entry_map);
	preempt_enable();
}

/*
 * Whoever calls a driver holds the callback's map shared, whoever waits for the
 * callback acquires it exclusively, as include/linux/mmap_lock.h does for the
 * lock of a VMA: a lock that a driver takes in the callback and that somebody
 * holds over such a wait is a cycle that lockdep reports on first use.
 */
void swapvma_callback_acquire(enum swapvma_callback callback)
{
	lock_acquire_shared(&swapvma_callback_maps[callback], 0, 0, NULL, _RET_IP_);
}

void swapvma_callback_release(enum swapvma_callback callback)
{
	lock_map_release(&swapvma_callback_maps[callback]);
}

/* A wait begins, for munmap, the limit, a read, fsync or a request. */
void swapvma_callback_wait(enum swapvma_callback callback)
{
	lock_map_acquire(&swapvma_callback_maps[callback]);
	lock_map_release(&swapvma_callback_maps[callback]);
}

/*
 * A wait for a folio lock begins. Not held until the unlock: the core unlocks
 * what a fault returns with VM_FAULT_LOCKED.
 */
void swapvma_folio_wait_annotate(void)
{
	might_sleep();
	lock_map_acquire(&swapvma_folio_map);
	lock_map_release(&swapvma_folio_map);
}

/*
 * A driver allocates in swapout under PF_MEMALLOC, which hides it from the
 * reclaim map. Taking the two in order once makes a lock that is held over an
 * allocation and waited for in swapout a cycle without any race.
 */
void swapvma_lockdep_prime(void)
{
	fs_reclaim_acquire(GFP_KERNEL);
	swapvma_callback_acquire(SWAPVMA_IN_SWAPOUT);
	swapvma_callback_release(SWAPVMA_IN_SWAPOUT);
	swapvma_entry_acquire();
	swapvma_entry_release();
	fs_reclaim_release(GFP_KERNEL);
}

/*
 * All other list_lrus share a class; ours is taken under the entry bit, which
 * theirs are not.
 */
void swapvma_list_lru_set_key(struct list_lru *lru)
{
#ifdef CONFIG_LOCKDEP
	lru->key = &swapvma_list_lru_key;
#endif
}
