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
		__field(u64, region)
		__field(u64, index)
		__field(u64, slot)
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

#endif /* _SWAPVMA_HELPERS_TRACE_H */

/* Outside the guard. */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
