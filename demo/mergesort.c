// SPDX-License-Identifier: GPL-2.0
/*
 * mergesort - sort the lines of a text with all working memory in one region
 *
 * Sorts as "LC_ALL=C sort" does and prints nothing of the text but the result
 * that cksum(1) would print for it. The memory is one mapping: two texts, the
 * buffer a run is sorted in, and where each run begins. It is a region of
 * swapvma of which an eighth may be resident, or, with --memory, ordinary
 * anonymous memory. Every pass goes through it from the first byte to the last.
 *
 * With --check it only says whether it can sort the text.
 */
#include <endian.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../include/uapi/linux/swapvma.h"

#define PAGE		4096UL
#define RUNS		16UL	/* runs that a text of ordinary lines makes */
#define FAN_IN		4	/* runs that are merged into one */
#define SHARE		8	/* the part of the region that may be resident */

/* A line in the buffer of a run. */
struct line {
	uint32_t offset;
	uint32_t length;
};

/* The mapping, and what lies where in it. */
static struct {
	char *base;
	size_t size;
	int region;		/* -1: anonymous memory */
	char *text[2];		/* each pass reads one and writes the other */
	char *buffer;
	size_t buffer_size;
	struct line *lines[2];
	size_t max_lines;
	size_t *runs;		/* where the runs begin, and the end of the last */
	size_t max_runs;
} mem;

static size_t text_size, nr_runs;
static unsigned int passes;

static struct {
	bool terminal;
	const char *what;
	size_t done;
	double begun, shown;
} progress;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void get_stats(struct swapvma_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	if (mem.region >= 0 && ioctl(mem.region, SWAPVMA_IOC_STATS, stats))
		err(1, "SWAPVMA_IOC_STATS");
}

/* One line for each pass on a terminal, one each few seconds elsewhere. */
static void show(bool last)
{
	double seconds = now() - progress.begun;
	struct swapvma_stats stats;

	printf("%spass %u: %-10s %4zu of %zu MiB %4.0f s", progress.terminal ? "\r" : "",
	       passes, progress.what, progress.done >> 20, text_size >> 20, seconds);
	if (mem.region >= 0) {
		get_stats(&stats);
		printf("  resident %" PRIu64 " of %" PRIu64 " pages, swapped %" PRIu64,
		       (uint64_t)stats.resident, (uint64_t)(stats.limit / PAGE),
		       (uint64_t)stats.swapped);
	}
	if (progress.terminal)
		fputs("\033[K", stdout);
	if (last || !progress.terminal)
		putchar('\n');
	fflush(stdout);
	progress.shown = now();
}

static void pass(const char *what)
{
	passes++;
	progress.what = what;
	progress.done = 0;
	progress.begun = now();
	progress.shown = progress.begun;
}

static void advance(size_t bytes)
{
	size_t before = progress.done;

	progress.done += bytes;
	/* The clock is not free, either. */
	if (before >> 16 == progress.done >> 16)
		return;
	if (now() - progress.shown >= (progress.terminal ? 0.5 : 5))
		show(false);
}

static size_t round_up(size_t size)
{
	return (size + PAGE - 1) / PAGE * PAGE;
}

/* Takes the next @size bytes of the mapping, or counts them if there is none. */
static void *take(size_t size)
{
	char *at = mem.base ? mem.base + mem.size : NULL;

	mem.size += round_up(size);
	return at;
}

static void lay_out(void)
{
	size_t i;

	mem.size = 0;
	mem.buffer_size = text_size / RUNS + PAGE;
	mem.max_lines = mem.buffer_size / 16;
	mem.max_runs = 4096;
	for (i = 0; i < 2; i++) {
		/* A last line without an end gets one. */
		mem.text[i] = take(text_size + 1);
		mem.lines[i] = take(mem.max_lines * sizeof(struct line));
	}
	mem.buffer = take(mem.buffer_size);
	mem.runs = take((mem.max_runs + 1) * sizeof(size_t));
}

static void create_region(const char *algorithm)
{
	struct swapvma_create create = {
		.flags = SWAPVMA_CREATE_CLOEXEC,
		.size = mem.size,
		.limit = mem.size / SHARE / PAGE * PAGE,
	};
	int device = open("/dev/swapvma", O_RDWR | O_CLOEXEC);

	if (device < 0)
		err(1, "/dev/swapvma");
	snprintf(create.algorithm, sizeof(create.algorithm), "%s", algorithm);
	mem.region = ioctl(device, SWAPVMA_IOC_CREATE, &create);
	if (mem.region < 0)
		err(1, "SWAPVMA_IOC_CREATE");
	close(device);
}

static void map_memory(bool anonymous, const char *algorithm)
{
	mem.region = -1;
	lay_out();
	if (anonymous) {
		mem.base = mmap(NULL, mem.size, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	} else {
		create_region(algorithm);
		mem.base = mmap(NULL, mem.size, PROT_READ | PROT_WRITE, MAP_SHARED,
				mem.region, 0);
	}
	if (mem.base == MAP_FAILED)
		err(1, "mmap");
	lay_out();
}

/* As memcmp() and then the length; without vectors, which emulation is slow at. */
static int compare(const char *a, size_t a_length, const char *b, size_t b_length)
{
	size_t common = a_length < b_length ? a_length : b_length, i;

	for (i = 0; i + 8 <= common; i += 8) {
		uint64_t x, y;

		memcpy(&x, a + i, 8);
		memcpy(&y, b + i, 8);
		if (x != y)
			return be64toh(x) < be64toh(y) ? -1 : 1;
	}
	for (; i < common; i++)
		if (a[i] != b[i])
			return (unsigned char)a[i] < (unsigned char)b[i] ? -1 : 1;
	return (a_length > b_length) - (a_length < b_length);
}

/* Merges sorted lines from @from to @middle and from there to @end. */
static void merge_lines(const struct line *in, struct line *out, size_t from, size_t middle,
			size_t end)
{
	size_t i = from, j = middle, k;

	for (k = from; k < end; k++) {
		const struct line *a = &in[i], *b = &in[j];

		if (j == end || (i < middle &&
				 compare(mem.buffer + a->offset, a->length,
					 mem.buffer + b->offset, b->length) <= 0)) {
			out[k] = *a;
			i++;
		} else {
			out[k] = *b;
			j++;
		}
	}
}

/* Sorts the @nr lines of the buffer; returns where they are. */
static const struct line *sort_lines(size_t nr)
{
	unsigned int in = 0;
	size_t width, from;

	for (width = 1; width < nr; width *= 2) {
		for (from = 0; from < nr; from += 2 * width) {
			size_t middle = from + width < nr ? from + width : nr;
			size_t end = middle + width < nr ? middle + width : nr;

			merge_lines(mem.lines[in], mem.lines[!in], from, middle, end);
		}
		in = !in;
	}
	return mem.lines[in];
}

/* Finds whole lines in the @size bytes of the buffer; returns how many. */
static size_t split(size_t size)
{
	size_t nr = 0, at = 0;

	while (nr < mem.max_lines) {
		char *end = memchr(mem.buffer + at, '\n', size - at);

		if (!end)
			break;
		mem.lines[0][nr].offset = at;
		mem.lines[0][nr].length = end - (mem.buffer + at);
		at += mem.lines[0][nr++].length + 1;
	}
	return nr;
}

/* Reads until the buffer is full or the text ends, to which it adds an end. */
static size_t fill_buffer(int fd, size_t size, bool *end)
{
	while (!*end && size < mem.buffer_size) {
		ssize_t got = read(fd, mem.buffer + size, mem.buffer_size - size);

		if (got < 0)
			err(1, "read");
		*end = got == 0;
		size += got;
	}
	/* What is left of a buffer is the line after the last whole one. */
	if (*end && size && size < mem.buffer_size && mem.buffer[size - 1] != '\n')
		mem.buffer[size++] = '\n';
	return size;
}

/* The first pass: the text becomes sorted runs in mem.text[0]. */
static void form_runs(int fd)
{
	size_t left = 0, out = 0, nr, i;
	bool end = false;

	pass("sort runs");
	for (;;) {
		const struct line *lines;
		size_t used;

		left = fill_buffer(fd, left, &end);
		if (!left)
			break;
		nr = split(left);
		if (!nr)
			errx(1, "a line is longer than %zu bytes", mem.buffer_size);
		if (nr_runs == mem.max_runs)
			errx(1, "the lines are too short: more than %zu runs", mem.max_runs);
		used = mem.lines[0][nr - 1].offset + mem.lines[0][nr - 1].length + 1;
		if (out + used > text_size + 1)
			errx(1, "the text grows");
		mem.runs[nr_runs++] = out;
		lines = sort_lines(nr);
		for (i = 0; i < nr; i++) {
			memcpy(mem.text[0] + out, mem.buffer + lines[i].offset,
			       lines[i].length + 1);
			out += lines[i].length + 1;
			advance(lines[i].length + 1);
		}
		left -= used;
		memmove(mem.buffer, mem.buffer + used, left);
	}
	mem.runs[nr_runs] = out;
	text_size = out;
	show(true);
}

/* What is left of a run, and its first line. */
struct run {
	const char *at, *end;
	size_t length;
};

static void next_line(struct run *run)
{
	if (run->at < run->end)
		run->length = (char *)memchr(run->at, '\n', run->end - run->at) - run->at;
}

/* Merges @nr runs from number @first on into one at the same place. */
static void merge_runs(const char *in, char *out, size_t first, size_t nr)
{
	struct run runs[FAN_IN];
	size_t i;

	out += mem.runs[first];
	for (i = 0; i < nr; i++) {
		runs[i].at = in + mem.runs[first + i];
		runs[i].end = in + mem.runs[first + i + 1];
		next_line(&runs[i]);
	}
	for (;;) {
		struct run *least = NULL;

		for (i = 0; i < nr; i++) {
			if (runs[i].at == runs[i].end)
				continue;
			if (!least || compare(runs[i].at, runs[i].length, least->at,
					      least->length) < 0)
				least = &runs[i];
		}
		if (!least)
			break;
		memcpy(out, least->at, least->length + 1);
		out += least->length + 1;
		least->at += least->length + 1;
		advance(least->length + 1);
		next_line(least);
	}
}

/* A pass: each FAN_IN runs of one text become one of the other. */
static void merge_pass(unsigned int in)
{
	size_t first, nr, merged = 0;
	char what[32];

	snprintf(what, sizeof(what), "merge %zu", nr_runs);
	pass(what);
	for (first = 0; first < nr_runs; first += nr) {
		nr = nr_runs - first < FAN_IN ? nr_runs - first : FAN_IN;
		merge_runs(mem.text[in], mem.text[!in], first, nr);
		mem.runs[merged++] = mem.runs[first];
	}
	mem.runs[merged] = text_size;
	nr_runs = merged;
	show(true);
}

/* The last pass: the CRC of cksum(1), which is over the length, too. */
static uint32_t checksum(const char *text)
{
	uint32_t table[256], crc = 0;
	size_t i, length;

	pass("checksum");
	for (i = 0; i < 256; i++) {
		int bit;

		table[i] = i << 24;
		for (bit = 0; bit < 8; bit++)
			table[i] = table[i] << 1 ^ (table[i] >> 31 ? 0x04c11db7 : 0);
	}
	for (i = 0; i < text_size; i++) {
		crc = crc << 8 ^ table[crc >> 24 ^ (unsigned char)text[i]];
		advance(1);
	}
	for (length = text_size; length; length >>= 8)
		crc = crc << 8 ^ table[crc >> 24 ^ (length & 0xff)];
	show(true);
	return ~crc;
}

/* One "name=value" a line, for a shell. */
static void report(const char *path, uint32_t crc, double seconds)
{
	FILE *file = fopen(path, "w");
	struct swapvma_stats stats;

	if (!file)
		err(1, "%s", path);
	get_stats(&stats);
	fprintf(file, "cksum=%" PRIu32 "\nbytes=%zu\nseconds=%.0f\npasses=%u\n", crc, text_size,
		seconds, passes);
	fprintf(file, "pages=%zu\n", mem.size / PAGE);
#define REPORT(name) fprintf(file, #name "=%" PRIu64 "\n", (uint64_t)stats.name)
	REPORT(limit);
	REPORT(resident_peak);
	REPORT(swapped);
	REPORT(stored_bytes);
	REPORT(batches);
	REPORT(swapouts);
	REPORT(swapins);
	REPORT(clean_drops);
	REPORT(same_filled);
	REPORT(refaults);
	REPORT(cancelled);
	REPORT(kept);
	REPORT(write_failures);
	REPORT(read_failures);
	REPORT(limit_waits);
	REPORT(over_limit);
	REPORT(munmap_waits);
	REPORT(munmap_wait_ns);
	REPORT(abandoned);
	if (fclose(file))
		err(1, "%s", path);
}

/* All of the region to the driver, so that the report says what it takes there. */
static void page_out(void)
{
	struct swapvma_range range = { .length = mem.size };

	if (ioctl(mem.region, SWAPVMA_IOC_PAGEOUT, &range))
		err(1, "SWAPVMA_IOC_PAGEOUT");
}

/* A line has to fit into the buffer of a run, with its end. */
static void check_lines(int fd)
{
	const char *text = mmap(NULL, text_size, PROT_READ, MAP_PRIVATE, fd, 0);
	size_t at, length, nr = 1;

	if (text == MAP_FAILED)
		err(1, "mmap");
	lay_out();
	for (at = 0; at < text_size; at += length + 1, nr++) {
		const char *end = memchr(text + at, '\n', text_size - at);

		length = (end ? (size_t)(end - text) : text_size) - at;
		if (length >= mem.buffer_size)
			errx(1, "line %zu has %zu bytes, and in a text of this size a line may have %zu",
			     nr, length, mem.buffer_size - 1);
	}
}

static void die_of_usage(void)
{
	fputs("usage: mergesort --check TEXT\n"
	      "       mergesort [--memory] [--algorithm NAME] [--report FILE] [--terminal] TEXT\n",
	      stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "memory", no_argument, NULL, 'm' },
		{ "check", no_argument, NULL, 'c' },
		{ "algorithm", required_argument, NULL, 'a' },
		{ "report", required_argument, NULL, 'r' },
		{ "terminal", no_argument, NULL, 't' },
		{ 0 },
	};
	const char *algorithm = "", *report_path = NULL;
	double begun = now(), seconds;
	bool anonymous = false, check = false;
	unsigned int in = 0;
	struct stat st;
	uint32_t crc;
	int fd, c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'm':
			anonymous = true;
			break;
		case 'c':
			check = true;
			break;
		case 'a':
			algorithm = optarg;
			break;
		case 'r':
			report_path = optarg;
			break;
		case 't':
			progress.terminal = true;
			break;
		default:
			die_of_usage();
		}
	}
	if (argc - optind != 1)
		die_of_usage();
	fd = open(argv[optind], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		err(1, "%s", argv[optind]);
	text_size = st.st_size;
	if (check) {
		check_lines(fd);
		return 0;
	}
	map_memory(anonymous, algorithm);

	form_runs(fd);
	for (; nr_runs > 1; in = !in)
		merge_pass(in);
	crc = checksum(mem.text[in]);
	munmap(mem.base, mem.size);
	seconds = now() - begun;
	if (mem.region >= 0)
		page_out();
	if (report_path)
		report(report_path, crc, seconds);
	printf("%" PRIu32 " %zu\n", crc, text_size);
	return 0;
}
