// SPDX-License-Identifier: GPL-2.0
/*
 * Measures swapvma beside anonymous and shared memory on zram, in one guest,
 * in instructions:
 *
 *   bench CORPUS RESULTS.json
 *
 * The guest runs under an emulator that counts instructions as time
 * (scripts/vm --icount), so the time stamp counter is the instruction counter;
 * the program refuses to run elsewhere. Every row says for both sides how many
 * pages moved according to their own counters, and ends the program if that is
 * not what was asked for.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/swapvma.h>

#define PAGE		4096UL
#define ROUNDS		3
#define FAULT_PAGES	4096UL
#define DENSE_PAGES	65536UL
#define IDLE_REGIONS	256
#define IDLE_PAGES	262144UL

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

static const unsigned char *corpus;
static size_t pages;
static uint32_t *shuffled;

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("bench: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static inline uint64_t now(void)
{
	uint32_t low, high;

	asm volatile("rdtsc" : "=a" (low), "=d" (high) :: "memory");
	return (uint64_t)high << 32 | low;
}

/* Two instructions a turn. */
static void check_clock(void)
{
	const uint64_t turns = 1000000;
	uint64_t left = turns, start = now(), ticks;

	asm volatile("1: dec %0; jnz 1b" : "+r" (left));
	ticks = now() - start;
	if (ticks < 2 * turns || ticks > 2 * turns + turns / 25)
		die("the clock does not count instructions: %" PRIu64 " for %" PRIu64
		    " (run me with scripts/vm --icount)", ticks, 2 * turns);
}

/* Returns the value after @name in a file of lines "name value". */
static uint64_t read_counter(const char *path, const char *name)
{
	char line[256];
	size_t length = strlen(name);
	uint64_t value = 0;
	bool found = false;
	FILE *file = fopen(path, "re");

	if (!file)
		die("%s: %s", path, strerror(errno));
	while (!found && fgets(line, sizeof(line), file)) {
		if (strncmp(line, name, length) == 0 &&
		    strchr(" :\t", line[length]) != NULL) {
			value = strtoull(line + length + 1, NULL, 10);
			found = true;
		}
	}
	fclose(file);
	if (!found)
		die("%s has no %s", path, name);
	return value;
}

/* Time without a task, during which the clock jumps, in units of 10^7. */
static uint64_t idle_time(void)
{
	unsigned long long user, nice, system, idle;
	FILE *file = fopen("/proc/stat", "re");

	if (!file || fscanf(file, "cpu %llu %llu %llu %llu", &user, &nice, &system, &idle) != 4)
		die("cannot read /proc/stat");
	fclose(file);
	return idle;
}

/* One kind of memory. */
struct side {
	const char *name;
	int fd;
	unsigned char *base;
	size_t length;
};

/* What a side says of itself. */
struct moved {
	uint64_t out, in, dropped;
};

enum { SWAPVMA, ANON, SHMEM, SIDES };

static const char *const side_names[SIDES] = { "swapvma", "anon+zram", "shmem+zram" };

static int device = -1;

static int create_region(size_t length)
{
	struct swapvma_create create = {
		.flags = SWAPVMA_CREATE_CLOEXEC,
		.size = length,
		.limit = SWAPVMA_LIMIT_NONE,
		.driver = "ram",
		.algorithm = "lz4",
	};
	int fd = ioctl(device, SWAPVMA_IOC_CREATE, &create);

	if (fd < 0)
		die("SWAPVMA_IOC_CREATE: %s", strerror(errno));
	return fd;
}

static void *map_side(const struct side *side)
{
	int flags = side->fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	void *base = mmap(NULL, side->length, PROT_READ | PROT_WRITE, flags, side->fd, 0);

	if (base == MAP_FAILED)
		die("mmap of %s: %s", side->name, strerror(errno));
	if (side->fd < 0 && madvise(base, side->length, MADV_NOHUGEPAGE) != 0 && errno != EINVAL)
		die("MADV_NOHUGEPAGE: %s", strerror(errno));
	return base;
}

static struct side open_side(int kind, size_t length)
{
	struct side side = { .name = side_names[kind], .fd = -1, .length = length };

	if (kind == SWAPVMA) {
		side.fd = create_region(length);
	} else if (kind == SHMEM) {
		side.fd = memfd_create("bench", MFD_CLOEXEC);
		if (side.fd < 0 || ftruncate(side.fd, length) != 0)
			die("memfd: %s", strerror(errno));
	}
	side.base = map_side(&side);
	return side;
}

static void close_side(struct side *side)
{
	munmap(side->base, side->length);
	if (side->fd >= 0)
		close(side->fd);
}

static struct swapvma_stats region_stats(int fd)
{
	struct swapvma_stats stats = { 0 };

	if (ioctl(fd, SWAPVMA_IOC_STATS, &stats) != 0)
		die("SWAPVMA_IOC_STATS: %s", strerror(errno));
	return stats;
}

static bool is_swapvma(const struct side *side)
{
	return side->name == side_names[SWAPVMA];
}

static struct moved counters(const struct side *side)
{
	struct moved moved = { 0 };

	if (is_swapvma(side)) {
		struct swapvma_stats stats = region_stats(side->fd);

		moved.out = stats.swapouts;
		moved.in = stats.swapins;
		moved.dropped = stats.clean_drops;
	} else {
		moved.out = read_counter("/proc/vmstat", "pswpout");
		moved.in = read_counter("/proc/vmstat", "pswpin");
	}
	return moved;
}

static void expect(const struct side *side, const char *what, uint64_t moved, uint64_t wanted)
{
	if (moved != wanted)
		die("%s: %s %" PRIu64 " of %" PRIu64 " pages", side->name, what, moved, wanted);
}

/* Instructions per page of what @work does, by @side to all of its pages. */
static double measure(struct side *side, void (*work)(struct side *))
{
	uint64_t idle = idle_time(), start = now(), ticks;

	work(side);
	ticks = now() - start;
	/* One unit may have been about to be full. */
	if (idle_time() - idle > 1)
		die("%s: the processor was idle, so the clock jumped", side->name);
	return (double)ticks / (side->length / PAGE);
}

static void page_out(struct side *side)
{
	if (is_swapvma(side)) {
		struct swapvma_range range = { .length = side->length };

		if (ioctl(side->fd, SWAPVMA_IOC_PAGEOUT, &range) != 0)
			die("SWAPVMA_IOC_PAGEOUT: %s", strerror(errno));
	} else if (madvise(side->base, side->length, MADV_PAGEOUT) != 0) {
		die("MADV_PAGEOUT: %s", strerror(errno));
	}
}

static void load_in_order(struct side *side)
{
	for (size_t at = 0; at < side->length; at += PAGE)
		(void)*(volatile unsigned char *)(side->base + at);
}

static void load_shuffled(struct side *side)
{
	for (size_t i = 0; i < pages; i++)
		(void)*(volatile unsigned char *)(side->base + shuffled[i] * PAGE);
}

static void store_in_order(struct side *side)
{
	for (size_t at = 0; at < side->length; at += PAGE)
		*(volatile unsigned char *)(side->base + at) = 1;
}

static void store_shuffled(struct side *side)
{
	for (size_t i = 0; i < pages; i++) {
		size_t at = shuffled[i] * PAGE;

		*(volatile unsigned char *)(side->base + at) = corpus[at];
	}
}

static void fill(struct side *side)
{
	memcpy(side->base, corpus, side->length);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare);
	return values[count / 2];
}

/* What one side costs. */
struct cost {
	double out, in_order, in_random, in_store, store_after, clean_out, p50, p99, stored;
};

static double timed_out(struct side *side, uint64_t dropped)
{
	struct moved before = counters(side), after;
	double cost = measure(side, page_out);

	after = counters(side);
	expect(side, "paged out", after.out - before.out, dropped ? 0 : pages);
	expect(side, "dropped", after.dropped - before.dropped, dropped);
	return cost;
}

static double timed_in(struct side *side, void (*touch)(struct side *))
{
	struct moved before = counters(side), after;
	double cost = measure(side, touch);

	after = counters(side);
	expect(side, "paged in", after.in - before.in, pages);
	return cost;
}

static double touch_cost[1 << 16];

static void load_each(struct side *side)
{
	for (size_t i = 0; i < pages; i++) {
		const unsigned char *at = side->base + shuffled[i] * PAGE;
		uint64_t start = now();

		(void)*(volatile const unsigned char *)at;
		touch_cost[i] = now() - start;
	}
}

/* The first round warms up caches and pools and is not counted. */
static struct cost swap_cost(int kind)
{
	double out[ROUNDS], order[ROUNDS], random[ROUNDS], store[ROUNDS], after[ROUNDS],
	       clean[ROUNDS];
	struct side side = open_side(kind, pages * PAGE);
	struct cost cost = { 0 };

	for (int round = -1; round < ROUNDS; round++) {
		int i = round < 0 ? 0 : round;

		fill(&side);
		out[i] = timed_out(&side, 0);
		order[i] = timed_in(&side, load_in_order);
		clean[i] = timed_out(&side, kind == SWAPVMA ? pages : 0);
		random[i] = timed_in(&side, load_shuffled);
		after[i] = measure(&side, store_shuffled);
		timed_out(&side, 0);
		store[i] = timed_in(&side, store_shuffled);
		if (memcmp(side.base, corpus, side.length) != 0)
			die("%s: wrong content", side.name);
	}
	cost.out = median(out, ROUNDS);
	cost.in_order = median(order, ROUNDS);
	cost.in_random = median(random, ROUNDS);
	cost.in_store = median(store, ROUNDS);
	cost.store_after = median(after, ROUNDS);
	cost.clean_out = median(clean, ROUNDS);

	timed_out(&side, 0);
	if (kind == SWAPVMA)
		cost.stored = (double)region_stats(side.fd).stored_bytes / pages;
	timed_in(&side, load_each);
	cost.p50 = median(touch_cost, pages);
	cost.p99 = touch_cost[pages * 99 / 100];
	close_side(&side);
	return cost;
}

/* Of @touch on each untouched page of a new mapping. */
static double fault_cost(int kind, void (*touch)(struct side *), bool again)
{
	double costs[ROUNDS];

	for (int round = -1; round < ROUNDS; round++) {
		struct side side = open_side(kind, FAULT_PAGES * PAGE);

		if (again) {
			store_in_order(&side);
			munmap(side.base, side.length);
			side.base = map_side(&side);
		}
		costs[round < 0 ? 0 : round] = measure(&side, touch);
		if (kind == SWAPVMA)
			expect(&side, "made", region_stats(side.fd).resident, FAULT_PAGES);
		close_side(&side);
	}
	return median(costs, ROUNDS);
}

/* Bytes of metadata per page. */
struct bytes {
	double table, record, idle_table, idle;
};

static struct bytes metadata(void)
{
	static int regions[IDLE_REGIONS];
	struct side side = open_side(SWAPVMA, DENSE_PAGES * PAGE);
	const char *debugfs = "/sys/kernel/debug/swapvma/stats";
	struct bytes bytes;
	uint64_t slab;

	store_in_order(&side);
	bytes.table = (double)region_stats(side.fd).table_bytes / DENSE_PAGES;
	expect(&side, "has records of", read_counter(debugfs, "records"), DENSE_PAGES);
	bytes.record = (double)read_counter(debugfs, "record_pages") * PAGE / DENSE_PAGES;
	close_side(&side);

	/* A region that nobody touched: its table, and all of its slab objects. */
	slab = read_counter("/proc/meminfo", "Slab");
	bytes.idle_table = 0;
	for (int i = 0; i < IDLE_REGIONS; i++) {
		regions[i] = create_region(IDLE_PAGES * PAGE);
		bytes.idle_table += region_stats(regions[i]).table_bytes;
	}
	bytes.idle_table /= IDLE_REGIONS * IDLE_PAGES;
	bytes.idle = 1024.0 * (int64_t)(read_counter("/proc/meminfo", "Slab") - slab) /
		     (IDLE_REGIONS * IDLE_PAGES);
	for (int i = 0; i < IDLE_REGIONS; i++)
		close(regions[i]);
	return bytes;
}

static FILE *results;
static bool first_row = true;
static int failures;

/*
 * One row: @peer is 0 if there is none. @goal is the most that the ratio may
 * be, or without a peer the value; 0 is no goal.
 */
static void show(const char *name, const char *unit, double value, const char *peer_name,
		 double peer, double goal)
{
	double ratio = peer != 0 ? value / peer : 0;
	double judged = peer != 0 ? ratio : value;
	const char *verdict = goal == 0 ? "" : judged <= goal ? "ok" : "MISSED";
	int digits = value < 1000 ? 2 : 0;

	printf("%-34s %-10s %10.*f", name, unit, digits, value);
	if (peer != 0)
		printf(" %10.*f %-10s %6.2f", peer < 1000 ? 2 : 0, peer, peer_name, ratio);
	else
		printf(" %10s %-10s %6s", "", "", "");
	if (goal != 0)
		printf(" %7.2f %s", goal, verdict);
	putchar('\n');
	failures += goal != 0 && judged > goal;

	fprintf(results, "%s\n  {\"name\": \"%s\", \"unit\": \"%s\", \"swapvma\": %.3f",
		first_row ? "[" : ",", name, unit, value);
	if (peer != 0)
		fprintf(results, ", \"peer\": \"%s\", \"value\": %.3f, \"ratio\": %.4f",
			peer_name, peer, ratio);
	if (goal != 0)
		fprintf(results, ", \"goal\": %.2f, \"met\": %s", goal,
			judged <= goal ? "true" : "false");
	fputc('}', results);
	first_row = false;
}

static void swap_rows(void)
{
	struct cost cost[SIDES];

	for (int kind = 0; kind < SIDES; kind++)
		cost[kind] = swap_cost(kind);
	for (int kind = ANON; kind < SIDES; kind++) {
		const char *name = side_names[kind];
		const struct cost *our = &cost[SWAPVMA], *peer = &cost[kind];

		show("swap out + in, sequential", "insn/page", our->out + our->in_order, name,
		     peer->out + peer->in_order, 1.0);
		show("swap out + in, random", "insn/page", our->out + our->in_random, name,
		     peer->out + peer->in_random, 1.0);
		show("  out", "insn/page", our->out, name, peer->out, 0);
		show("  in, sequential load", "insn/page", our->in_order, name, peer->in_order, 0);
		show("  in, random load", "insn/page", our->in_random, name, peer->in_random, 0);
		show("  in, random load, median", "insn", our->p50, name, peer->p50, 0);
		show("  in, random load, p99", "insn", our->p99, name, peer->p99, 0);
		show("  in, random store", "insn/page", our->in_store, name, peer->in_store, 0);
		show("  first store after a load in", "insn/page", our->store_after, name,
		     peer->store_after, 0);
		show("clean page out again", "insn/page", our->clean_out, name, peer->clean_out,
		     kind == ANON ? 0.1 : 0);
	}
	show("stored bytes", "bytes/page", cost[SWAPVMA].stored, "", 0, 0);
}

static void fault_rows(void)
{
	double cost[SIDES];

	for (int kind = 0; kind < SIDES; kind++)
		cost[kind] = fault_cost(kind, store_in_order, false);
	show("write fault, untouched page", "insn/page", cost[SWAPVMA], side_names[ANON],
	     cost[ANON], 1.2);
	show("write fault, untouched page", "insn/page", cost[SWAPVMA], side_names[SHMEM],
	     cost[SHMEM], 0);
	/* Anonymous memory maps the one page of zeroes here and makes none. */
	for (int kind = 0; kind < SIDES; kind++)
		cost[kind] = fault_cost(kind, load_in_order, false);
	show("read fault, untouched page", "insn/page", cost[SWAPVMA], side_names[ANON],
	     cost[ANON], 0);
	show("read fault, untouched page", "insn/page", cost[SWAPVMA], side_names[SHMEM],
	     cost[SHMEM], 0);
	for (int kind = 0; kind < SIDES; kind++)
		cost[kind] = kind == ANON ? 0 : fault_cost(kind, load_in_order, true);
	show("read fault, resident page", "insn/page", cost[SWAPVMA], side_names[SHMEM],
	     cost[SHMEM], 0);
}

static void byte_rows(void)
{
	struct bytes bytes = metadata();

	/* Eight for the entry, and its share of the upper levels. */
	show("table, dense region", "bytes/page", bytes.table, "", 0, 8.1);
	show("record, resident page", "bytes/page", bytes.record, "", 0, 0);
	show("table + record, resident page", "bytes/page", bytes.table + bytes.record, "", 0, 64);
	show("table, untouched region", "bytes/page", bytes.idle_table, "", 0, 0.1);
	show("all of an untouched GiB", "bytes/page", bytes.idle, "", 0, 0.1);
	show("all of an untouched region", "bytes", bytes.idle * IDLE_PAGES, "", 0, 0);
}

static void load_corpus(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned char *bytes;
	uint32_t seed = 1;
	struct stat stat;

	if (fd < 0 || fstat(fd, &stat) != 0)
		die("%s: %s", path, strerror(errno));
	pages = stat.st_size / PAGE;
	if (pages == 0 || pages > sizeof(touch_cost) / sizeof(*touch_cost))
		die("%s has %zu pages", path, pages);
	bytes = malloc(pages * PAGE);
	shuffled = calloc(pages, sizeof(*shuffled));
	if (!bytes || !shuffled)
		die("out of memory");
	for (size_t done = 0; done < pages * PAGE;) {
		ssize_t got = read(fd, bytes + done, pages * PAGE - done);

		if (got <= 0)
			die("%s: short", path);
		done += got;
	}
	close(fd);
	corpus = bytes;

	for (size_t i = 0; i < pages; i++) {
		size_t j;

		seed = seed * 1664525 + 1013904223;
		j = ((uint64_t)seed * (i + 1)) >> 32;
		shuffled[i] = shuffled[j];
		shuffled[j] = i;
	}
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: bench CORPUS RESULTS.json\n");
		return 2;
	}
	check_clock();
	load_corpus(argv[1]);
	device = open("/dev/swapvma", O_RDWR | O_CLOEXEC);
	if (device < 0)
		die("/dev/swapvma: %s", strerror(errno));
	results = fopen(argv[2], "we");
	if (!results)
		die("%s: %s", argv[2], strerror(errno));
	/* No fault of this program's own later on. */
	if (mlockall(MCL_CURRENT) != 0)
		die("mlockall: %s", strerror(errno));

	printf("%-34s %-10s %10s %10s %-10s %6s %7s\n", "", "", "swapvma", "peer", "", "ratio",
	       "goal");
	swap_rows();
	fault_rows();
	byte_rows();
	fputs("\n]\n", results);
	if (fclose(results) != 0)
		die("%s: %s", argv[2], strerror(errno));
	return failures != 0 ? 3 : 0;
}
