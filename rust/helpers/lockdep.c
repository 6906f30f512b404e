// SPDX-License-Identifier: GPL-2.0
/*
 * What lockdep has to know and cannot see: the entry bit, the time that a
 * driver spends in a callback, the waits for either, and waits for other CPUs.
 * The names below are what a report prints.
 */
#include <linux/fs.h>
#include <linux/irqflags.h>
#include <linux/list_lru.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>

#include "lockdep.h"

#ifdef CONFIG_PREEMPT_RT
#error "The entry bit spins with preemption off, and the LRU lock is taken under it."
#endif

static struct lock_class_key swapvma_lru_key[3], swapvma_inode_key;

#ifdef CONFIG_LOCKDEP
static struct lockdep_map swapvma_entry_map =
	STATIC_LOCKDEP_MAP_INIT("swapvma_entry", &swapvma_entry_map);
static struct lockdep_map swapvma_callback_maps[] = {
	[SWAPVMA_IN_SWAPOUT] = STATIC_LOCKDEP_MAP_INIT("swapvma_in_swapout",
			&swapvma_callback_maps[SWAPVMA_IN_SWAPOUT]),
	[SWAPVMA_IN_SWAPIN] = STATIC_LOCKDEP_MAP_INIT("swapvma_in_swapin",
			&swapvma_callback_maps[SWAPVMA_IN_SWAPIN]),
	[SWAPVMA_IN_DISCARD] = STATIC_LOCKDEP_MAP_INIT("swapvma_in_discard",
			&swapvma_callback_maps[SWAPVMA_IN_DISCARD]),
	[SWAPVMA_IN_DETACH] = STATIC_LOCKDEP_MAP_INIT("swapvma_in_detach",
			&swapvma_callback_maps[SWAPVMA_IN_DETACH]),
};
static struct lockdep_map swapvma_folio_map =
	STATIC_LOCKDEP_MAP_INIT("swapvma_folio", &swapvma_folio_map);
static struct lockdep_map swapvma_remote_map =
	STATIC_LOCKDEP_MAP_INIT("swapvma_remote", &swapvma_remote_map);
static struct lockdep_map swapvma_reservation_maps[] = {
	[SWAPVMA_RESERVED_BY_TASK] = STATIC_LOCKDEP_MAP_INIT("swapvma_reservation",
			&swapvma_reservation_maps[SWAPVMA_RESERVED_BY_TASK]),
	[SWAPVMA_RESERVED_BY_SWAPPER] = STATIC_LOCKDEP_MAP_INIT("swapvma_reservation_swapper",
			&swapvma_reservation_maps[SWAPVMA_RESERVED_BY_SWAPPER]),
	[SWAPVMA_RESERVED_BY_RAM] = STATIC_LOCKDEP_MAP_INIT("swapvma_reservation_ram",
			&swapvma_reservation_maps[SWAPVMA_RESERVED_BY_RAM]),
};
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
#ifdef CONFIG_LOCKDEP
void swapvma_callback_begin(enum swapvma_callback callback)
{
	lock_acquire_shared(&swapvma_callback_maps[callback], 0, 0, NULL, _RET_IP_);
}

void swapvma_callback_end(enum swapvma_callback callback)
{
	lock_release(&swapvma_callback_maps[callback], _RET_IP_);
}
#endif

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
void swapvma_folio_wait(void)
{
	might_sleep();
	lock_map_acquire(&swapvma_folio_map);
	lock_map_release(&swapvma_folio_map);
}

/* For priming: what the holder of a folio lock takes. */
void swapvma_folio_begin(void)
{
	lock_map_acquire(&swapvma_folio_map);
}

void swapvma_folio_end(void)
{
	lock_map_release(&swapvma_folio_map);
}

/*
 * Whoever waits for windows waits for those who have some. The map is held
 * exclusively from before that wait until they are given back, so that an
 * operation that asks twice is reported when it does so for the first time,
 * however many windows are free. That the swapper has windows of its own helps
 * others against tasks, not an operation against itself.
 */
void swapvma_reservation_acquire(enum swapvma_reservation who)
{
#ifdef CONFIG_LOCKDEP
	enum swapvma_reservation other = who == SWAPVMA_RESERVED_BY_TASK ?
		SWAPVMA_RESERVED_BY_SWAPPER : SWAPVMA_RESERVED_BY_TASK;

	lock_map_acquire(&swapvma_reservation_maps[who]);
	if (who == SWAPVMA_RESERVED_BY_RAM ||
	    !lock_is_held(&swapvma_reservation_maps[other]))
		return;
	lock_map_acquire(&swapvma_reservation_maps[other]);
	lock_map_release(&swapvma_reservation_maps[other]);
#endif
}

void swapvma_reservation_release(enum swapvma_reservation who)
{
#ifdef CONFIG_LOCKDEP
	lock_map_release(&swapvma_reservation_maps[who]);
#endif
}

/*
 * A CPU that spins with interrupts off answers no other CPU. If what it spins for
 * is held by somebody who waits for that answer, neither goes on. The wait is
 * exclusive, the section shared and recursive, so that sections never wait for
 * each other; a lock that is found on both sides closes the cycle.
 *
 * lock_sync() makes no section of the wait, and the other section has interrupts
 * off, so that interrupts say nothing about either. What a section takes in a soft interrupt must not be held to the rules
 * of what it takes in a task, so soft interrupts have a class of their own; a lock
 * that hard interrupts take, and that is held with interrupts on, is reported by
 * lockdep without our help.
 */
#ifdef CONFIG_LOCKDEP
enum { SWAPVMA_REMOTE_TASK, SWAPVMA_REMOTE_SOFTIRQ };

void swapvma_remote_wait(void)
{
	lock_sync(&swapvma_remote_map, SWAPVMA_REMOTE_TASK, 0, 1, NULL, _RET_IP_);
	lock_sync(&swapvma_remote_map, SWAPVMA_REMOTE_SOFTIRQ, 0, 1, NULL, _RET_IP_);
}

#endif

unsigned long swapvma_irqs_off_save(void)
{
	unsigned long flags;

	local_irq_save(flags);
#ifdef CONFIG_LOCKDEP
	if (!in_hardirq())
		lock_acquire_shared_recursive(&swapvma_remote_map,
					      in_serving_softirq() ? SWAPVMA_REMOTE_SOFTIRQ :
								     SWAPVMA_REMOTE_TASK,
					      0, NULL, _RET_IP_);
#endif
	return flags;
}

void swapvma_irqs_off_restore(unsigned long flags)
{
#ifdef CONFIG_LOCKDEP
	if (!in_hardirq())
		lock_release(&swapvma_remote_map, _RET_IP_);
#endif
	local_irq_restore(flags);
}

/*
 * For priming: mmap_lock of the task that loads the module, and the lock of one of
 * its VMAs, as far as lockdep knows of it: the map of its readers.
 */
bool swapvma_fault_lock(bool vma)
{
	if (!current->mm)
		return false;
	mmap_read_lock(current->mm);
#if defined(CONFIG_PER_VMA_LOCK) && defined(CONFIG_LOCKDEP)
	if (vma)
		__vma_lockdep_acquire_read(find_vma(current->mm, 0));
#endif
	return true;
}

void swapvma_fault_unlock(bool vma)
{
#if defined(CONFIG_PER_VMA_LOCK) && defined(CONFIG_LOCKDEP)
	if (vma)
		__vma_lockdep_release_read(find_vma(current->mm, 0));
#endif
	mmap_read_unlock(current->mm);
}

/* For priming: what an allocation holds when it reclaims. */
void swapvma_reclaim_begin(void)
{
	fs_reclaim_acquire(GFP_KERNEL);
}

void swapvma_reclaim_end(void)
{
	fs_reclaim_release(GFP_KERNEL);
}

/*
 * All other list_lrus share a class; ours are taken under the entry bit, which
 * theirs are not.
 */
void swapvma_list_lru_set_class(struct list_lru *lru, enum swapvma_lru which)
{
	int nid;

	for_each_node(nid) {
		spinlock_t __maybe_unused *lock = &lru->node[nid].lru.lock;

		switch (which) {
		case SWAPVMA_LRU_RECORDS:
			lockdep_set_class_and_name(lock, &swapvma_lru_key[which],
						   "swapvma_lru");
			break;
		case SWAPVMA_LRU_REGIONS:
			lockdep_set_class_and_name(lock, &swapvma_lru_key[which],
						   "swapvma_region_lru");
			break;
		case SWAPVMA_LRU_OWNERS:
			lockdep_set_class_and_name(lock, &swapvma_lru_key[which],
						   "swapvma_owner_lru");
			break;
		}
	}
}

#ifdef CONFIG_LOCKDEP
/* For the lists of a cgroup, which the core makes and calls "lru->key". */
struct lock_class_key *swapvma_list_lru_key(void)
{
	static struct lock_class_key key;

	return &key;
}
#endif

/* Inodes have a class for each type of file system, whose name does not say which. */
void swapvma_inode_set_class(struct inode *inode)
{
	lockdep_set_class_and_name(&inode->i_rwsem, &swapvma_inode_key, "swapvma_inode");
}
