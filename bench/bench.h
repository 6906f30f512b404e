/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of the benchmark share. A part is one file: clock, corpus,
 * side (a kind of memory), output, and the groups of rows.
 */
#ifndef SWAPVMA_BENCH_H
#define SWAPVMA_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/swapvma.h>

#define PAGE		4096UL
#define BENCH_PAGES	2048UL

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* Clock: the time stamp counter, which counts instructions under --icount. */

static inline uint64_t now(void)
{
	uint32_t low, high;

	asm volatile("rdtsc" : "=a" (low), "=d" (high) :: "memory");
	return (uint64_t)high << 32 | low;
}

/* Ends the program unless the counter counts instructions. */
void check_clock(void);

/* Time without a task, during which the clock jumps, in units of 10^7. */
uint64_t idle_time(void);

/* Ends the program if there was such time since @idle. */
void check_idle(const char *what, uint64_t idle);

/*
 * What has to wait at times: from busy_begin() to busy_end() a thread spins when there
 * is nothing else to do, and busy_now() is now() less what it spun.
 */
void busy_begin(void);
void busy_end(void);
uint64_t busy_now(void);

/* Corpora: the content of BENCH_PAGES pages. */

extern const char * const corpus_names[];
extern uint32_t shuffled[BENCH_PAGES];	/* each page once */
extern uint32_t zipf[BENCH_PAGES];	/* some pages often, exponent 1.1 */
extern size_t zipf_pages;		/* different ones in zipf */

/* Another such page; the same ones in each program. */
uint32_t draw_zipf(void);

/* @directory has the corpora that are files. */
void load_corpora(const char *directory);

/* NULL if there is none of that name. */
const unsigned char *find_corpus(const char *name);

/* Sides. */

enum kind { SWAPVMA, ANON, MEMFD, FILE_MAP, UFFD };

/* A kind of memory, as "KIND[:ARGUMENT]..." names it, and its store. */
struct maker {
	const char *name;	/* in the results */
	enum kind kind;
	char driver[SWAPVMA_NAME_MAX];
	char algorithm[SWAPVMA_NAME_MAX];
	char options[256];	/* of the driver; the path of a file */
};

struct side {
	const struct maker *maker;
	int fd;
	unsigned char *base;
	size_t length;
	struct uffd *uffd;
};

/* Pages that a side says it moved. */
struct moved {
	uint64_t out, in;
};

struct maker parse_maker(const char *name, const char *text);

/* Without a mapping. */
struct side create_side(const struct maker *maker, size_t length);
struct side open_side(const struct maker *maker, size_t length);
void map_side(struct side *side);
void unmap_side(struct side *side);
/* Unmaps and closes; what a region holds is gone then. */
void close_side(struct side *side);

struct moved counters(const struct side *side);
struct swapvma_stats region_stats(const struct side *side);

/* @run pages a call. */
void page_out(struct side *side, size_t run);
void page_out_range(struct side *side, size_t offset, size_t length);

/* Ends the program if the pages that moved are others than wanted. */
void expect(const struct side *side, const char *what, uint64_t got, uint64_t wanted);

/* The value of "name value" in a file. */
uint64_t read_counter(const char *path, const char *name);
void write_file(const char *path, const char *text);

/* The handler of userfaultfd. */
struct uffd *uffd_start(unsigned char *base, size_t length);
void uffd_stop(struct uffd *uffd);
void uffd_page_out(struct uffd *uffd, size_t offset, size_t length);
struct moved uffd_moved(const struct uffd *uffd);

/* Instructions of @work on @side. */
typedef void (*work_fn)(struct side *side, size_t argument);
uint64_t measure(struct side *side, work_fn work, size_t argument);

/* The same by busy_now(). */
uint64_t measure_busy(struct side *side, work_fn work, size_t argument);

/* What to do with pages; the argument of most is not used. */
void load_in_order(struct side *side, size_t unused);
void load_shuffled(struct side *side, size_t unused);
void load_zipf(struct side *side, size_t unused);
void store_in_order(struct side *side, size_t unused);
void store_shuffled(struct side *side, size_t unused);

/* A cgroup: create it with this process in it, go back to the root, remove it. */
void enter_cgroup(void);
void leave_cgroup(void);
void remove_cgroup(void);

/* Writes a number of pages, as bytes, to a file of it. Returns errno, or dies. */
int ask_cgroup(const char *name, uint64_t pages);
void set_cgroup(const char *name, uint64_t pages);

/* Output. */

void open_results(const char *path);
void close_results(void);
void emit(const struct maker *maker, const char *row, const char *corpus, const char *unit,
	  double value, uint64_t pages);
void progress(const struct maker *maker, const char *what, const char *corpus);

/* Groups of rows. */

void swap_rows(const struct maker *maker, const char *corpus);
void fault_rows(const struct maker *maker);
void cgroup_rows(const struct maker *maker, const char *corpus);
void buffer_rows(const struct maker *maker, const char *corpus);
void scale_rows(const struct maker *maker);
void limit_rows(const struct maker *maker);
void byte_rows(const struct maker *maker);
void codec_rows(const char *codec, const char *corpus);
void latency_rows(const struct maker *ours, const struct maker *peer);
void munmap_rows(const struct maker *maker);
void profile_rows(const struct maker *maker, const char *corpus);

double percentile(double *sorted, size_t count, double share);
void sort_values(double *values, size_t count);

#endif /* SWAPVMA_BENCH_H */
