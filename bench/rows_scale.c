// SPDX-License-Identifier: GPL-2.0
/*
 * Rows: what a page costs with few and with many regions, mappings and pages. The
 * pages are not all the same, yet compress to next to nothing, so that they go
 * through the driver and it is the way there that counts.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench.h"

#define OPERATIONS	256UL
#define CHUNK		4096UL	/* pages that are in memory at one time */
#define DENSE_PAGES	262144UL

static unsigned char pattern[PAGE];

/* Pages @i of what is measured, of @count. */
struct subject {
	size_t count;
	struct side *sides;	/* one for each, or one for all */
	bool one;
};

static unsigned char *address(struct subject *subject, size_t i)
{
	/* Every second page, so that mappings are apart. */
	return subject->one ? subject->sides->base + 2 * i * PAGE : subject->sides[i].base;
}

static void out_one(struct subject *subject, size_t i)
{
	struct side *side = subject->one ? subject->sides : &subject->sides[i];

	if (side->maker->kind == SWAPVMA)
		page_out_range(side, subject->one ? i * PAGE : 0, PAGE);
	else if (madvise(address(subject, i), PAGE, MADV_PAGEOUT) != 0)
		die("MADV_PAGEOUT: %s", strerror(errno));
}

static struct moved all_moved(struct subject *subject)
{
	struct moved all = { 0 };

	if (subject->one || subject->sides->maker->kind != SWAPVMA)
		return counters(subject->sides);
	for (size_t i = 0; i < subject->count; i++) {
		struct moved moved = counters(&subject->sides[i]);

		all.in += moved.in;
		all.out += moved.out;
	}
	return all;
}

/* Stores to, pages out and loads OPERATIONS pages, spread over all of them. */
static void operate(struct subject *subject, const char *row)
{
	const struct maker *maker = subject->sides->maker;
	struct moved before = all_moved(subject), after;
	uint64_t out = 0, in = 0, idle = idle_time();
	size_t step = subject->count > OPERATIONS ? subject->count / OPERATIONS : 1;
	char name[64];

	for (size_t op = 0; op < OPERATIONS; op++) {
		size_t i = op * step % subject->count;
		unsigned char *at = address(subject, i);
		uint64_t start;

		at[op % PAGE]++;
		start = now();
		out_one(subject, i);
		out += now() - start;
		start = now();
		(void)*(volatile unsigned char *)at;
		in += now() - start;
	}
	check_idle(maker->name, idle);
	after = all_moved(subject);
	expect(subject->sides, "paged out", after.out - before.out, OPERATIONS);
	snprintf(name, sizeof(name), "swapout, %zu %s", subject->count, row);
	emit(maker, name, "pattern", "insn/page", (double)out / OPERATIONS, OPERATIONS);
	snprintf(name, sizeof(name), "swapin, %zu %s", subject->count, row);
	emit(maker, name, "pattern", "insn/page", (double)in / OPERATIONS, OPERATIONS);
}

static void settle(struct subject *subject)
{
	/* One by one: all of them are more than the memory that there is. */
	for (size_t i = 0; i < subject->count; i++) {
		memcpy(address(subject, i), pattern, PAGE);
		out_one(subject, i);
		/* Once more, so that what a first swapout allocates is there. */
		(*(volatile unsigned char *)address(subject, i))++;
		out_one(subject, i);
	}
	for (size_t op = 0; op < OPERATIONS && op < subject->count; op++) {
		size_t step = subject->count > OPERATIONS ? subject->count / OPERATIONS : 1;

		(void)*(volatile unsigned char *)address(subject, op * step % subject->count);
	}
}

static void many_regions(const struct maker *maker, size_t count)
{
	struct subject subject = { .count = count };
	uint64_t start, idle;
	char name[64];

	subject.sides = calloc(count, sizeof(*subject.sides));
	if (!subject.sides)
		die("out of memory");
	for (size_t i = 0; i < count; i++)
		subject.sides[i] = open_side(maker, PAGE);
	settle(&subject);
	operate(&subject, "regions");
	/* Not before: rows were written, for which the guest waits. */
	idle = idle_time();
	start = now();
	for (size_t i = 0; i < count; i++)
		close_side(&subject.sides[i]);
	check_idle(maker->name, idle);
	snprintf(name, sizeof(name), "munmap and close, %zu regions", count);
	emit(maker, name, "pattern", "insn/region", (double)(now() - start) / count, count);
	free(subject.sides);
}

static void many_mappings(const struct maker *maker, size_t count)
{
	struct side side = create_side(maker, count * PAGE);
	struct subject subject = { .count = count, .sides = &side, .one = true };

	side.base = mmap(NULL, 2 * count * PAGE, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (side.base == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	for (size_t i = 0; i < count; i++) {
		if (mmap(address(&subject, i), PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, side.fd, i * PAGE) == MAP_FAILED)
			die("mmap of %zu mappings: %s", count, strerror(errno));
	}
	settle(&subject);
	operate(&subject, "mappings");
	munmap(side.base, 2 * count * PAGE);
	side.base = NULL;
	close_side(&side);
}

/* One mapping; CHUNK pages at a time are in memory before. */
static void many_pages(const struct maker *maker, size_t count)
{
	struct side side = open_side(maker, count * PAGE);
	size_t step = count > OPERATIONS ? count / OPERATIONS : 1;
	uint64_t out = 0, in = 0, idle;
	struct moved before, after;
	char name[64];

	for (size_t first = 0; first < count; first += CHUNK) {
		size_t pages = count - first < CHUNK ? count - first : CHUNK;

		for (size_t i = first; i < first + pages; i++)
			memcpy(side.base + i * PAGE, pattern, PAGE);
		page_out_range(&side, first * PAGE, pages * PAGE);
	}
	idle = idle_time();
	before = counters(&side);
	for (size_t op = 0; op < OPERATIONS; op++) {
		size_t offset = op * step % count * PAGE;
		uint64_t start = now();

		side.base[offset + op % PAGE]++;
		in += now() - start;
		start = now();
		page_out_range(&side, offset, PAGE);
		out += now() - start;
	}
	check_idle(maker->name, idle);
	after = counters(&side);
	expect(&side, "paged out", after.out - before.out, OPERATIONS);
	expect(&side, "paged in", after.in - before.in, OPERATIONS);
	snprintf(name, sizeof(name), "swapout, %zu pages", count);
	emit(maker, name, "pattern", "insn/page", (double)out / OPERATIONS, OPERATIONS);
	snprintf(name, sizeof(name), "swapin, %zu pages", count);
	emit(maker, name, "pattern", "insn/page", (double)in / OPERATIONS, OPERATIONS);
	if (maker->kind == SWAPVMA && count == DENSE_PAGES)
		emit(maker, "bytes of table, dense region", "pattern", "bytes/page",
		     (double)region_stats(&side).table_bytes / count, count);
	close_side(&side);
}

void scale_rows(const struct maker *maker)
{
	static const size_t counts[] = { 1, 10, 100, 1000, 10000, 100000 };
	static const size_t sizes[] = { 1, 16, 256, 4096, 65536, DENSE_PAGES };

	for (size_t i = 0; i < PAGE; i++)
		pattern[i] = i;
	for (size_t i = 0; maker->kind != ANON && i < sizeof(counts) / sizeof(*counts); i++) {
		progress(maker, "regions and mappings", i ? "more of them" : "one");
		many_regions(maker, counts[i]);
		many_mappings(maker, counts[i]);
	}
	for (size_t i = 0; maker->kind != MEMFD && i < sizeof(sizes) / sizeof(*sizes); i++) {
		progress(maker, "pages", i ? "more of them" : "one");
		many_pages(maker, sizes[i]);
	}
}
