// SPDX-License-Identifier: GPL-2.0
/*
 * What is held over a wait for other CPUs, while they may spin for it with
 * interrupts off.
 */
#include <linux/completion.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/timer.h>

#include <swapvma/lockdep.h>

#include "scenario.h"

static DEFINE_SPINLOCK(sample_page_table_lock);
static DEFINE_SPINLOCK(sample_pgd_lock);
static unsigned int sample_flushes;

static void flush(void *unused)
{
}

/* Interrupts every CPU and waits for it, as flushing a TLB does. */
static void flush_everywhere(void)
{
	swapvma_remote_wait();
	on_each_cpu(flush, NULL, 1);
}

/*
 * The deadlock of 2011. One CPU clears a page table entry under page_table_lock
 * and flushes the TLBs of the others; another one goes through all page tables
 * under pgd_lock, interrupts off, and spins for page_table_lock.
 */
static void clear_and_flush_locked(void)
{
	spin_lock(&sample_page_table_lock);
	sample_flushes++;
	flush_everywhere();
	spin_unlock(&sample_page_table_lock);
}

static void clear_then_flush(void)
{
	spin_lock(&sample_page_table_lock);
	sample_flushes++;
	spin_unlock(&sample_page_table_lock);
	flush_everywhere();
}

static void sync_all(void)
{
	guard(swapvma_irqs_off)();
	spin_lock(&sample_pgd_lock);
	spin_lock(&sample_page_table_lock);
	sample_flushes = 0;
	spin_unlock(&sample_page_table_lock);
	spin_unlock(&sample_pgd_lock);
}

static void remote_ipi_wrong(void)
{
	clear_and_flush_locked();
	sync_all();
}

static void remote_ipi_right(void)
{
	clear_then_flush();
	sync_all();
}

/*
 * The same in a soft interrupt: with soft interrupts off, as is right for a lock
 * that these take, the CPU that waits is safe from itself, not from the others.
 */
static DECLARE_COMPLETION(softirq_done);

static void softirq_spins(struct timer_list *timer)
{
	scoped_guard(swapvma_irqs_off) {
		spin_lock(&sample_pgd_lock);
		sample_flushes = 0;
		spin_unlock(&sample_pgd_lock);
	}
	complete(&softirq_done);
}

static void run_softirq(void)
{
	struct timer_list timer;

	timer_setup_on_stack(&timer, softirq_spins, 0);
	mod_timer(&timer, jiffies + 1);
	wait_for_completion(&softirq_done);
	timer_delete_sync(&timer);
	timer_destroy_on_stack(&timer);
}

static void remote_softirq_wrong(void)
{
	run_softirq();
	spin_lock_bh(&sample_pgd_lock);
	flush_everywhere();
	spin_unlock_bh(&sample_pgd_lock);
}

static void remote_softirq_right(void)
{
	run_softirq();
	spin_lock_bh(&sample_pgd_lock);
	sample_flushes++;
	spin_unlock_bh(&sample_pgd_lock);
	flush_everywhere();
}

const struct scenario remote_scenarios[] = {
	{
		.name = "remote_ipi",
		.wrong = { .elsewhere = remote_ipi_wrong },
		.right = { .elsewhere = remote_ipi_right },
	},
	{
		.name = "remote_softirq",
		.wrong = { .elsewhere = remote_softirq_wrong },
		.right = { .elsewhere = remote_softirq_right },
	},
	{
		/* Of swapvma itself: "second_reservation" in its debugfs file "flaw". */
		.name = "second_reservation",
		.driver = "ram",
	},
	{ }
};
