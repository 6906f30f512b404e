/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the swapvma selftests share: regions, page patterns, the knobs of the
 * test driver, the state of the module, waiting and signals.
 *
 * A helper whose failure would make a test meaningless aborts the process with
 * a message; the harness reports that as a failed assertion.
 */
#ifndef SWAPVMA_UTIL_H
#define SWAPVMA_UTIL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/types.h>
#include <unistd.h>

#include "../include/uapi/linux/swapvma.h"

#define SV_PAGE		4096UL
#define SV_BATCH	((size_t)SWAPVMA_BATCH_PAGES)
#define SV_NO_LIMIT	SIZE_MAX
#define SV_DEVICE	"/dev/swapvma"
#define SV_DEBUG	"/sys/kernel/debug/swapvma/"
#define SV_KNOBS	"/sys/kernel/debug/swapvma_test/"

/* Not in the C library of every build machine. */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

/*
 * Start-up. sv_init() loads swapvma.ko and swapvma_test.ko from the directory
 * of the program or from $SWAPVMA_KO_DIR if they are not loaded; a module that
 * is neither loaded nor found is a failure, never a skip.
 */
void sv_init(void);

#define SV_TEST_MAIN						\
	int main(int argc, char **argv)				\
	{							\
		sv_init();					\
		return test_harness_run(argc, argv);		\
	}

/* True with SWAPVMA_LONG=1: more pages, more rounds. */
bool sv_long(void);

/*
 * How much slower than a machine of its own this one is: 10 under emulation
 * (CPUID says TCG, or KSFT_MACHINE_SLOW=yes), otherwise 1. Only time limits
 * scale with it.
 */
unsigned int sv_slow(void);

/* Seconds for a test that SWAPVMA_LONG=1 makes longer; a test has 30 otherwise. */
#define SV_LONG_TIMEOUT	900

/* @n, or 16 times that with SWAPVMA_LONG=1. */
static inline size_t sv_scale(size_t n)
{
	return sv_long() ? 16 * n : n;
}

void sv_die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* Modules: 0 or -errno. @params as for insmod. */
int sv_load(const char *module, const char *params);
int sv_unload(const char *module);

/* Unloads the test driver (all its regions are gone) and loads it with @params. */
void sv_reload_test(const char *params);

/* Regions. @limit in pages or SV_NO_LIMIT. A descriptor, or -errno. */
int sv_try_create(const char *driver, const char *algorithm, size_t pages, size_t limit);
int sv_try_create_with(const char *driver, const char *options, size_t pages, size_t limit);
int sv_try_create_flags(uint64_t flags, const char *driver, const char *options, size_t pages,
			size_t limit);
int sv_create(const char *driver, const char *algorithm, size_t pages, size_t limit);
int sv_create_flags(uint64_t flags, const char *driver, size_t pages, size_t limit);
char *sv_map(int fd, size_t pages, int prot, int flags);
char *sv_map_rw(int fd, size_t pages);
void sv_unmap(char *map, size_t pages);

void sv_stats(int fd, struct swapvma_stats *stats);

#define SV_STAT(fd, field)					\
	({							\
		struct swapvma_stats __stats;			\
								\
		sv_stats(fd, &__stats);				\
		__stats.field;					\
	})

/* The ioctls in pages: the pages moved, or -errno. */
long sv_pageout(int fd, size_t first, size_t nr);
long sv_prefetch(int fd, size_t first, size_t nr);
int sv_set_limit(int fd, size_t limit);
int sv_set_stored_limit(int fd, size_t limit);
int sv_set_low(int fd, size_t low);
int sv_set_priority(int fd, int64_t priority);
int sv_add_driver(int fd, const char *driver, const char *algorithm);
int sv_punch(int fd, size_t first, size_t nr);

/* Pages out again and again until nothing of the region is resident. */
bool sv_pageout_all(int fd);

/* A page-out in a thread of its own, for drivers that make it wait. */
struct sv_pageout_thread {
	unsigned long thread;
	int fd;
	size_t first, nr;
	long result;
	bool done;
};

void sv_pageout_start(struct sv_pageout_thread *t, int fd, size_t first, size_t nr);
long sv_pageout_join(struct sv_pageout_thread *t);

/* Content: what a page holds is a function of its kind, index and generation. */
enum sv_kind {
	SV_TEXT,	/* compresses well */
	SV_RANDOM,	/* does not compress */
	SV_SAME,	/* one word, repeated */
	SV_ZERO,	/* the word 0 */
	SV_KINDS,
};

void sv_fill(void *page, enum sv_kind kind, uint64_t index, uint64_t gen);
bool sv_check(const void *page, enum sv_kind kind, uint64_t index, uint64_t gen);

/* Pages @first to @first + @nr - 1 of a mapping that starts at page 0. */
void sv_fill_range(char *map, size_t first, size_t nr, enum sv_kind kind, uint64_t gen);

/* Number of wrong pages; the first few are printed. */
size_t sv_check_range(const char *map, size_t first, size_t nr, enum sv_kind kind, uint64_t gen);
size_t sv_check_zero(const char *map, size_t first, size_t nr);

/* The same with the kinds by turns. */
void sv_fill_kinds(char *map, size_t nr, uint64_t gen);
size_t sv_check_kinds(const char *map, size_t nr, uint64_t gen);

/* A generator with its state in the caller's hand. Never returns the same twice. */
uint64_t sv_random(uint64_t *state);

/* The knobs and counters of the test driver. */
void sv_set(const char *knob, uint64_t value);
void sv_set_word(const char *knob, const char *word);
uint64_t sv_get(const char *knob);
void sv_reset_knobs(void);

/* debugfs of the module: a line of "stats", a field of a line of "drivers". */
uint64_t sv_debug(const char *name);
uint64_t sv_driver_count(const char *driver, const char *field);
bool sv_quarantined(const char *driver);

/* What the administrator asks for: 0 or -errno. */
int sv_control(const char *line);

/*
 * Bugs that are put back into the module, by name: "" for none, "hold_swapper" to
 * hold it up, "hold_window" to hold up whoever opens a sealed page. False if the kernel has no such thing. The tasks that are held up.
 */
bool sv_put_back(const char *flaws);
uint64_t sv_held(void);

/* Whether "mappings" shows a region as being in a swapout. */
bool sv_shown_in_swapout(void);

/* The kernel thread that swaps out for @driver. */
pid_t sv_swapper(const char *driver);

/*
 * Leaks. sv_begin() resets the knobs and notes what exists; sv_end() is false,
 * with the difference printed, unless all of it is back within sv_patience_ms()
 * and the test driver saw no broken promise. What one test leaves behind fails
 * that test and no later one.
 */
#define SV_BASELINE	9

struct sv_baseline {
	uint64_t value[SV_BASELINE];
};

void sv_begin(struct sv_baseline *base);
bool sv_end(const struct sv_baseline *base);

/* The same for a test after which the test driver may be quarantined. */
bool sv_end_quarantined(const struct sv_baseline *base);

/* A region of the test driver, mapped and filled with SV_TEXT, generation 1. */
struct sv_region {
	struct sv_baseline base;
	char *map;
	int fd;
};

/* Loads the test driver anew with @params and makes a region of it. */
void sv_set_up(struct sv_region *region, size_t pages, const char *params);

/* A thread that reads each page of a mapping again and again. */
struct sv_user {
	pthread_t thread;
	char *map;
	size_t pages;
	bool stop;
};

void sv_use(struct sv_user *user, char *map, size_t pages);
void sv_use_end(struct sv_user *user);

/* Time. */
uint64_t sv_now_ms(void);
unsigned int sv_patience_ms(void);

/* Waits until @cond holds, at most sv_patience_ms(); whether it does. */
#define sv_wait_for(cond)						\
	({								\
		uint64_t __end = sv_now_ms() + sv_patience_ms();	\
		bool __ok;						\
									\
		while (!(__ok = (cond)) && sv_now_ms() < __end)		\
			usleep(1000);					\
		__ok;							\
	})

/* Processes. A forked child dies with its parent. */
pid_t sv_fork(void);

/* The wait status of @pid, which must end within sv_patience_ms(). */
int sv_reap(pid_t pid);

/* Waits until @pid has been asleep in the kernel for a while. */
bool sv_wait_asleep(pid_t pid);

/* Memory that parent and child share and that is not of the subsystem. */
void *sv_shared(size_t size);

/*
 * munlock(), and then what the processors still have in their batches of pages that
 * were locked or unlocked: until they are drained they hold references.
 */
int sv_munlock(const void *addr, size_t len);

/* The signal that an access raises: 0, SIGBUS or SIGSEGV; sv_si_code says why. */
extern __thread int sv_si_code;
int sv_touch_read(const void *addr);
int sv_touch_write(void *addr, char value);

/* Kernel log from here on: lines with @text. */
int sv_kmsg_open(void);
unsigned int sv_kmsg_count(int kmsg, const char *text);

/* Small files. The number after "@name" and separators at the start of a line. */
bool sv_find_value(const char *text, const char *name, uint64_t *value);
bool sv_write_file(const char *path, const char *text);
bool sv_read_file(const char *path, char *buf, size_t size);
uint64_t sv_meminfo_kb(const char *name);
uint64_t sv_vmstat(const char *prefix);

#endif /* SWAPVMA_UTIL_H */
