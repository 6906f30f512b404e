// SPDX-License-Identifier: GPL-2.0
/* The freezer, and whom the core asks before the system goes to sleep. */
#include <linux/freezer.h>
#include <linux/sched/signal.h>
#include <linux/suspend.h>

#include "sleep.h"

/* Inline in kernels that do not sleep. */
int swapvma_register_pm_notifier(struct notifier_block *block)
{
	return register_pm_notifier(block);
}

int swapvma_unregister_pm_notifier(struct notifier_block *block)
{
	return unregister_pm_notifier(block);
}

void swapvma_set_freezable(void)
{
	set_freezable();
}

void swapvma_freeze(void)
{
	try_to_freeze();
}

/* A task that is frozen or is to be; a kernel thread after all of user space. */
bool swapvma_task_freezing(struct task_struct *task)
{
	return freezing(task);
}

/*
 * Whether the freezer waits for the calling task to leave a system call that it may
 * enter again. Not that of somebody else, who would see the error.
 */
bool swapvma_leave_to_freeze(void)
{
	return freezing(current) && signal_pending(current) &&
	       !(current->flags & (PF_KTHREAD | PF_USER_WORKER));
}
