/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The tracepoints of swapvma. report.c defines them, and has a function for each
 * that Rust calls.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM swapvma

#if !defined(_SWAPVMA_HELPERS_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _SWAPVMA_HELPERS_TRACE_H

#include <linux/tracepoint.h>

/* A page of a region with checksums or encryption is not what was stored. */
TRACE_EVENT(swapvma_corrupt,
	TP_PROTO(u64 region, u64 index, u64 slot, const char *driver),
	TP_ARGS(region, index, slot, driver),
	TP_STRUCT__entry(
		__field(unsigned long long, region)
		__field(unsigned long long, index)
		__field(unsigned long long, slot)
		__string(driver, driver)
	),
	TP_fast_assign(
		__entry->region = region;
		__entry->index = index;
		__entry->slot = slot;
		__assign_str(driver);
	),
	TP_printk("region=%llu index=%llu slot=%llu driver=%s", __entry->region,
		  __entry->index, __entry->slot, __get_str(driver))
);

/*
 * What takes time has a begin and an end. The end has what identifies the begin: of
 * the batches of a region, seq; of its reads, first and slot; the others end in the
 * task in which they began. A read does not.
 */

DECLARE_EVENT_CLASS(swapvma_batch_begin,
	TP_PROTO(u64 region, u64 seq, u64 first, u64 pages, u64 candidates, const char *driver),
	TP_ARGS(region, seq, first, pages, candidates, driver),
	TP_STRUCT__entry(
		__field(unsigned long long, region)
		__field(unsigned long long, seq)
		__field(unsigned long long, first)
		__field(unsigned long long, pages)
		__field(unsigned long long, candidates)
		__string(driver, driver)
	),
	TP_fast_assign(
		__entry->region = region;
		__entry->seq = seq;
		__entry->first = first;
		__entry->pages = pages;
		__entry->candidates = candidates;
		__assign_str(driver);
	),
	TP_printk("region=%llu seq=%llu first=%llu pages=%llu candidates=%llu driver=%s",
		  __entry->region, __entry->seq, __entry->first, __entry->pages,
		  __entry->candidates, __get_str(driver))
);

DECLARE_EVENT_CLASS(swapvma_batch_end,
	TP_PROTO(u64 region, u64 seq, u64 first, u64 pages, u64 done, u64 written,
		 u64 stored, u64 kept, u64 failed),
	TP_ARGS(region, seq, first, pages, done, written, stored, kept, failed),
	TP_STRUCT__entry(
		__field(unsigned long long, region)
		__field(unsigned long long, seq)
		__field(unsigned long long, first)
		__field(unsigned long long, pages)
		__field(unsigned long long, done)
		__field(unsigned long long, written)
		__field(unsigned long long, stored)
		__field(unsigned long long, kept)
		__field(unsigned long long, failed)
	),
	TP_fast_assign(
		__entry->region = region;
		__entry->seq = seq;
		__entry->first = first;
		__entry->pages = pages;
		__entry->done = done;
		__entry->written = written;
		__entry->stored = stored;
		__entry->kept = kept;
		__entry->failed = failed;
	),
	TP_printk("region=%llu seq=%llu first=%llu pages=%llu done=%llu written=%llu stored=%llu kept=%llu failed=%llu",
		  __entry->region, __entry->seq, __entry->first, __entry->pages, __entry->done,
		  __entry->written, __entry->stored, __entry->kept, __entry->failed)
);

/* A batch of pages is to leave memory. */
DEFINE_EVENT(swapvma_batch_begin, swapvma_swapout_begin,
	TP_PROTO(u64 region, u64 seq, u64 first, u64 pages, u64 candidates, const char *driver),
	TP_ARGS(region, seq, first, pages, candidates, driver));

DEFINE_EVENT(swapvma_batch_end, swapvma_swapout_end,
	TP_PROTO(u64 region, u64 seq, u64 first, u64 pages, u64 done, u64 written,
		 u64 stored, u64 kept, u64 failed),
	TP_ARGS(region, seq, first, pages, done, written, stored, kept, failed));

/* A batch of pages is to become clean where it is. */
DEFINE_EVENT(swapvma_batch_begin, swapvma_launder_begin,
	TP_PROTO(u64 region, u64 seq, u64 first, u64 pages, u64 candidates, const char *driver),
	TP_ARGS(region, seq, first, pages, candidates, driver));

DEFINE_EVENT(swapvma_batch_end, swapvma_launder_end,
	TP_PROTO(u64 region, u64 seq, u64 first, u64 pages, u64 done, u64 written,
		 u64 stored, u64 kept, u64 failed),
	TP_ARGS(region, seq, first, pages, done, written, stored, kept, failed));

/* A driver reads a page. */
TRACE_EVENT(swapvma_swapin_begin,
	TP_PROTO(u64 region, u64 first, u64 pages, u64 slot, const char *driver),
	TP_ARGS(region, first, pages, slot, driver),
	TP_STRUCT__entry(
		__field(unsigned long long, region)
		__field(unsigned long long, first)
		__field(unsigned long long, pages)
		__field(unsigned long long, slot)
		__string(driver, driver)
	),
	TP_fast_assign(
		__entry->region = region;
		__entry->first = first;
		__entry->pages = pages;
		__entry->slot = slot;
		__assign_str(driver);
	),
	TP_printk("region=%llu first=%llu pages=%llu slot=%llu driver=%s", __entry->region,
		  __entry->first, __entry->pages, __entry->slot, __get_str(driver))
);

TRACE_EVENT(swapvma_swapin_end,
	TP_PROTO(u64 region, u64 first, u64 pages, u64 slot, int error),
	TP_ARGS(region, first, pages, slot, error),
	TP_STRUCT__entry(
		__field(unsigned long long, region)
		__field(unsigned long long, first)
		__field(unsigned long long, pages)
		__field(unsigned long long, slot)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->region = region;
		__entry->first = first;
		__entry->pages = pages;
		__entry->slot = slot;
		__entry->error = error;
	),
	TP_printk("region=%llu first=%llu pages=%llu slot=%llu error=%d", __entry->region,
		  __entry->first, __entry->pages, __entry->slot, __entry->error)
);

/* A mapping goes away and waits for the batches in flight that overlap it. */
TRACE_EVENT(swapvma_munmap_wait_begin,
	TP_PROTO(u64 region, u64 first, u64 pages, u64 in_swapout),
	TP_ARGS(region, first, pages, in_swapout),
	TP_STRUCT__entry(
		__field(unsigned long long, region)
		__field(unsigned long long, first)
		__field(unsigned long long, pages)
		__field(unsigned long long, in_swapout)
	),
	TP_fast_assign(
		__entry->region = region;
		__entry->first = first;
		__entry->pages = pages;
		__entry->in_swapout = in_swapout;
	),
	TP_printk("region=%llu first=%llu pages=%llu in_swapout=%llu", __entry->region,
		  __entry->first, __entry->pages, __entry->in_swapout)
);

TRACE_EVENT(swapvma_munmap_wait_end,
	TP_PROTO(u64 region, u64 first, u64 pages, u64 waited_ns),
	TP_ARGS(region, first, pages, waited_ns),
	TP_STRUCT__entry(
		__field(unsigned long long, region)
		__field(unsigned long long, first)
		__field(unsigned long long, pages)
		__field(unsigned long long, waited_ns)
	),
	TP_fast_assign(
		__entry->region = region;
		__entry->first = first;
		__entry->pages = pages;
		__entry->waited_ns = waited_ns;
	),
	TP_printk("region=%llu first=%llu pages=%llu waited_ns=%llu", __entry->region,
		  __entry->first, __entry->pages, __entry->waited_ns)
);

/* Memory pressure asks for pages of a node and a cgroup, whatever region they are of. */
TRACE_EVENT(swapvma_shrink_begin,
	TP_PROTO(int nid, u64 cgroup, u64 pages, bool may_wait),
	TP_ARGS(nid, cgroup, pages, may_wait),
	TP_STRUCT__entry(
		__field(int, nid)
		__field(unsigned long long, cgroup)
		__field(unsigned long long, pages)
		__field(bool, may_wait)
	),
	TP_fast_assign(
		__entry->nid = nid;
		__entry->cgroup = cgroup;
		__entry->pages = pages;
		__entry->may_wait = may_wait;
	),
	TP_printk("nid=%d cgroup=%llu pages=%llu may_wait=%d", __entry->nid, __entry->cgroup,
		  __entry->pages, __entry->may_wait)
);

TRACE_EVENT(swapvma_shrink_end,
	TP_PROTO(int nid, u64 cgroup, u64 pages, u64 scanned, u64 dropped, u64 freed),
	TP_ARGS(nid, cgroup, pages, scanned, dropped, freed),
	TP_STRUCT__entry(
		__field(int, nid)
		__field(unsigned long long, cgroup)
		__field(unsigned long long, pages)
		__field(unsigned long long, scanned)
		__field(unsigned long long, dropped)
		__field(unsigned long long, freed)
	),
	TP_fast_assign(
		__entry->nid = nid;
		__entry->cgroup = cgroup;
		__entry->pages = pages;
		__entry->scanned = scanned;
		__entry->dropped = dropped;
		__entry->freed = freed;
	),
	TP_printk("nid=%d cgroup=%llu pages=%llu scanned=%llu dropped=%llu freed=%llu",
		  __entry->nid, __entry->cgroup, __entry->pages, __entry->scanned,
		  __entry->dropped, __entry->freed)
);

/* What a driver stores of a region moves elsewhere. */
TRACE_EVENT(swapvma_drain_begin,
	TP_PROTO(u64 region, u64 first, u64 pages, const char *driver),
	TP_ARGS(region, first, pages, driver),
	TP_STRUCT__entry(
		__field(unsigned long long, region)
		__field(unsigned long long, first)
		__field(unsigned long long, pages)
		__string(driver, driver)
	),
	TP_fast_assign(
		__entry->region = region;
		__entry->first = first;
		__entry->pages = pages;
		__assign_str(driver);
	),
	TP_printk("region=%llu first=%llu pages=%llu driver=%s", __entry->region,
		  __entry->first, __entry->pages, __get_str(driver))
);

TRACE_EVENT(swapvma_drain_end,
	TP_PROTO(u64 region, u64 first, u64 pages, u64 moved, int error),
	TP_ARGS(region, first, pages, moved, error),
	TP_STRUCT__entry(
		__field(unsigned long long, region)
		__field(unsigned long long, first)
		__field(unsigned long long, pages)
		__field(unsigned long long, moved)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->region = region;
		__entry->first = first;
		__entry->pages = pages;
		__entry->moved = moved;
		__entry->error = error;
	),
	TP_printk("region=%llu first=%llu pages=%llu moved=%llu error=%d", __entry->region,
		  __entry->first, __entry->pages, __entry->moved, __entry->error)
);

#endif /* _SWAPVMA_HELPERS_TRACE_H */

/* Outside the guard. */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
