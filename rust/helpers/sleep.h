/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SWAPVMA_HELPERS_SLEEP_H
#define _SWAPVMA_HELPERS_SLEEP_H

#include <linux/types.h>

struct notifier_block;
struct task_struct;

int swapvma_register_pm_notifier(struct notifier_block *block);
int swapvma_unregister_pm_notifier(struct notifier_block *block);
void swapvma_set_freezable(void);
void swapvma_freeze(void);
bool swapvma_task_freezing(struct task_struct *task);
bool swapvma_leave_to_freeze(void);

#endif
