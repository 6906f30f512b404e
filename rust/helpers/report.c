// SPDX-License-Identifier: GPL-2.0
/* What is reported: tracepoints, and log lines that may come in numbers. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/printk.h>
#include <linux/ratelimit.h>

#include "report.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

void swapvma_report_corrupt(u64 region, u64 index, u64 slot, const char *driver)
{
	trace_swapvma_corrupt(region, index, slot, driver);
	pr_err_ratelimited("region %llu: page %llu is not what driver %s was given to store: SIGBUS; drain the driver, check what it stores to\n",
			   region, index, driver);
}
