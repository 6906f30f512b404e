// SPDX-License-Identifier: GPL-2.0
/* What is reported: tracepoints, and log lines that may come in numbers. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/printk.h>
#include <linux/ratelimit.h>

#include "memcg.h"
#include "report.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

void swapvma_report_corrupt(u64 region, u64 index, u64 slot, const char *driver)
{
	trace_swapvma_corrupt(region, index, slot, driver);
	pr_err_ratelimited("region %llu: page %llu is not what driver %s was given to store: SIGBUS; drain the driver, check what it stores to\n",
			   region, index, driver);
}

void swapvma_trace_batch_begin(bool launder, const struct swapvma_traced_batch *batch,
			       const char *driver)
{
	if (launder)
		trace_swapvma_launder_begin(batch->region, batch->seq, batch->first, batch->pages,
					    batch->candidates, driver);
	else
		trace_swapvma_swapout_begin(batch->region, batch->seq, batch->first, batch->pages,
					    batch->candidates, driver);
}

void swapvma_trace_batch_end(bool launder, const struct swapvma_traced_batch *batch)
{
	if (launder)
		trace_swapvma_launder_end(batch->region, batch->seq, batch->first, batch->pages,
					  batch->done, batch->written, batch->stored, batch->kept,
					  batch->failed);
	else
		trace_swapvma_swapout_end(batch->region, batch->seq, batch->first, batch->pages,
					  batch->done, batch->written, batch->stored, batch->kept,
					  batch->failed);
}

void swapvma_trace_swapin_begin(u64 region, u64 index, u64 slot, const char *driver)
{
	trace_swapvma_swapin_begin(region, index, 1, slot, driver);
}

void swapvma_trace_swapin_end(u64 region, u64 index, u64 slot, int error)
{
	trace_swapvma_swapin_end(region, index, 1, slot, error);
}

void swapvma_trace_munmap_wait_begin(u64 region, u64 first, u64 pages, u64 in_swapout)
{
	trace_swapvma_munmap_wait_begin(region, first, pages, in_swapout);
}

void swapvma_trace_munmap_wait_end(u64 region, u64 first, u64 pages, u64 waited_ns)
{
	trace_swapvma_munmap_wait_end(region, first, pages, waited_ns);
}

void swapvma_trace_shrink_begin(int nid, struct mem_cgroup *memcg, u64 pages, bool may_wait)
{
	trace_swapvma_shrink_begin(nid, swapvma_memcg_id(memcg), pages, may_wait);
}

void swapvma_trace_shrink_end(int nid, struct mem_cgroup *memcg, u64 pages, u64 scanned,
			      u64 dropped, u64 freed)
{
	trace_swapvma_shrink_end(nid, swapvma_memcg_id(memcg), pages, scanned, dropped, freed);
}

void swapvma_trace_drain_begin(u64 region, u64 pages, const char *driver)
{
	trace_swapvma_drain_begin(region, 0, pages, driver);
}

void swapvma_trace_drain_end(u64 region, u64 pages, u64 moved, int error)
{
	trace_swapvma_drain_end(region, 0, pages, moved, error);
}
