/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a driver can tell lockdep that lockdep cannot see by itself. Locks and the
 * callbacks of <swapvma/driver.h> need nothing of this: what swapvma calls, it
 * annotates.
 *
 * In a kernel without CONFIG_LOCKDEP nothing here does anything, except that
 * interrupts are turned off.
 */
#ifndef _SWAPVMA_LOCKDEP_H
#define _SWAPVMA_LOCKDEP_H

#include <linux/cleanup.h>

/**
 * enum swapvma_callback - what of a driver somebody may wait for
 * @SWAPVMA_IN_SWAPOUT: swapout(), and what follows until
 *	swapvma_batch_complete()
 * @SWAPVMA_IN_SWAPIN: swapin(), and what follows until swapvma_read_complete()
 * @SWAPVMA_IN_DISCARD: discard()
 * @SWAPVMA_IN_DETACH: detach(), for which swapvma_unregister_driver() waits
 */
enum swapvma_callback {
	SWAPVMA_IN_SWAPOUT,
	SWAPVMA_IN_SWAPIN,
	SWAPVMA_IN_DISCARD,
	SWAPVMA_IN_DETACH,
};

#ifdef CONFIG_LOCKDEP

/**
 * swapvma_remote_wait() - the caller is about to wait for other CPUs
 *
 * For whatever does not end before another CPU took an interrupt or came by a
 * quiescent state: smp_call_function() and whatever flushes TLBs or caches
 * everywhere, synchronize_rcu(), vunmap(). A lock that is held here, and that
 * somebody takes in a section of swapvma_irqs_off_save(), is a cycle that lockdep
 * reports when each of the two ran once, on one CPU.
 *
 * Called with the locks held that are held over the wait, whether or not it
 * comes to one.
 * Context: any but hard interrupt.
 */
void swapvma_remote_wait(void);

/**
 * swapvma_callback_begin() - what follows belongs to a callback
 * @callback: which one
 *
 * swapvma says so of the callbacks that it calls. A driver says so of what runs
 * elsewhere until the batch or the read is complete, in a work item or a thread:
 * somebody may wait for that as well.
 * Context: process context.
 */
void swapvma_callback_begin(enum swapvma_callback callback);

/**
 * swapvma_callback_end() - ends what swapvma_callback_begin() began
 * @callback: the same
 */
void swapvma_callback_end(enum swapvma_callback callback);

#else

static inline void swapvma_remote_wait(void) { }
static inline void swapvma_callback_begin(enum swapvma_callback callback) { }
static inline void swapvma_callback_end(enum swapvma_callback callback) { }

#endif /* CONFIG_LOCKDEP */

/**
 * swapvma_irqs_off_save() - turn interrupts off in order to take spinning locks
 *
 * While it spins for such a lock, the CPU answers no other CPU; lockdep is told.
 * Called before the first of these locks: instead of spin_lock_irqsave(), a
 * spin_lock() after this. Sections nest. In C, guard(swapvma_irqs_off)() ends by
 * itself.
 * Context: any. Of hard interrupts lockdep is told nothing, for it knows enough.
 * Return: what swapvma_irqs_off_restore() needs.
 */
unsigned long swapvma_irqs_off_save(void);

/**
 * swapvma_irqs_off_restore() - end what swapvma_irqs_off_save() began
 * @flags: what that returned
 */
void swapvma_irqs_off_restore(unsigned long flags);

DEFINE_LOCK_GUARD_0(swapvma_irqs_off, _T->flags = swapvma_irqs_off_save(),
		    swapvma_irqs_off_restore(_T->flags), unsigned long flags)

#endif /* _SWAPVMA_LOCKDEP_H */
