/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SWAPVMA_LOCKDEP_SCENARIO_H
#define _SWAPVMA_LOCKDEP_SCENARIO_H

#include <linux/types.h>
#include <linux/workqueue.h>

struct file;
struct mm_struct;
struct page;
struct swapvma_region;

/**
 * struct way - one way to write a driver
 * @elsewhere: what the driver does outside of its callbacks, in a system call
 *	for instance. Runs once, before the first callback
 * @swapout: what it does for a page besides storing it
 * @swapin: what it does for a page besides reading it
 * @discard: what it does besides freeing the slot
 * @vma_close: what it does when a mapping goes
 * @deferred: batches are stored by a work item
 *
 * All may be NULL.
 */
struct way {
	void (*elsewhere)(void);
	void (*swapout)(u64 index, struct page *page);
	void (*swapin)(u64 index);
	void (*discard)(void);
	void (*vma_close)(void);
	bool deferred;
};

/**
 * struct scenario - the wrong way, which lockdep reports, and the right one
 * @name: what it is called
 * @driver: whose region is touched, if the mistake is not this module's
 * @wrong: the wrong way
 * @right: the right one
 */
struct scenario {
	const char *name;
	const char *driver;
	struct way wrong, right;
};

extern const struct scenario callback_scenarios[], remote_scenarios[];

/* What the driver was careless enough to keep, for the scenarios to use. */
extern struct mm_struct *careless_mm;
extern struct file *careless_file;
extern struct swapvma_region *careless_region;
extern struct file *careless_store;
/* A page of user memory of the task that loads the module, and one that is fresh. */
extern unsigned long careless_user, careless_fresh;
/* Pins a page of @careless_region. */
extern struct work_struct pin_work;

#endif
