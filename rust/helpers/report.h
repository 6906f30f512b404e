/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SWAPVMA_HELPERS_REPORT_H
#define _SWAPVMA_HELPERS_REPORT_H

#include <linux/types.h>

struct mem_cgroup;

void swapvma_report_corrupt(u64 region, u64 index, u64 slot, const char *driver);

/* Of a batch, as far as it got; see trace.h. */
struct swapvma_traced_batch {
	u64 region, seq, first, pages, candidates;
	u64 done, written, stored, kept, failed;
};

/* Each a call and a static key while its event is off. */
void swapvma_trace_batch_begin(bool launder, const struct swapvma_traced_batch *batch,
			       const char *driver);
void swapvma_trace_batch_end(bool launder, const struct swapvma_traced_batch *batch);
void swapvma_trace_swapin_begin(u64 region, u64 index, u64 slot, const char *driver);
void swapvma_trace_swapin_end(u64 region, u64 index, u64 slot, int error);
void swapvma_trace_munmap_wait_begin(u64 region, u64 first, u64 pages, u64 in_swapout);
void swapvma_trace_munmap_wait_end(u64 region, u64 first, u64 pages, u64 waited_ns);
void swapvma_trace_shrink_begin(int nid, struct mem_cgroup *memcg, u64 pages, bool may_wait);
void swapvma_trace_shrink_end(int nid, struct mem_cgroup *memcg, u64 pages, u64 scanned,
			      u64 dropped, u64 freed);
void swapvma_trace_drain_begin(u64 region, u64 pages, const char *driver);
void swapvma_trace_drain_end(u64 region, u64 pages, u64 moved, int error);

#endif
