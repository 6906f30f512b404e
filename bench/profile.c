// SPDX-License-Identifier: GPL-2.0
/*
 * Where the instructions go: a software event whose timer counts instructions, as
 * the clock of the guest does, takes a sample every PERIOD of them. A section with
 * interrupts off is charged to where they go on again.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"

#define PERIOD		50000
#define RING_PAGES	256UL
#define ROUNDS		4

struct symbol {
	uint64_t address;
	char name[160];
	uint64_t samples;
};

static struct symbol *symbols;
static size_t symbol_count;

static int by_address(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	return (x->address > y->address) - (x->address < y->address);
}

static int by_samples(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	return (x->samples < y->samples) - (x->samples > y->samples);
}

/* The first one is user space. */
static void read_symbols(void)
{
	FILE *file = fopen("/proc/kallsyms", "re");
	char line[1024], name[160], type;
	uint64_t address;
	size_t room = 0;

	if (!file)
		die("/proc/kallsyms: %s", strerror(errno));
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%" SCNx64 " %c %159s", &address, &type, name) != 3 ||
		    !strchr("tTwW", type))
			continue;
		if (symbol_count + 1 >= room) {
			room = room ? 2 * room : 65536;
			symbols = realloc(symbols, room * sizeof(*symbols));
			if (!symbols)
				die("out of memory");
		}
		if (symbol_count == 0)
			symbols[symbol_count++] = (struct symbol){ .name = "user space" };
		symbols[symbol_count] = (struct symbol){ .address = address };
		memcpy(symbols[symbol_count++].name, name, sizeof(name));
	}
	fclose(file);
	qsort(symbols, symbol_count, sizeof(*symbols), by_address);
}

static void count_sample(uint64_t address)
{
	size_t low = 0, high = symbol_count - 1;

	/* The last one that is not behind it. */
	while (low < high) {
		size_t middle = (low + high + 1) / 2;

		if (symbols[middle].address <= address)
			low = middle;
		else
			high = middle - 1;
	}
	symbols[low].samples++;
}

static struct perf_event_mmap_page *open_event(int *fd)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = PERIOD,
		.sample_type = PERF_SAMPLE_IP,
		.disabled = 1,
	};
	void *ring;

	*fd = syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (*fd < 0)
		die("perf_event_open: %s", strerror(errno));
	ring = mmap(NULL, (1 + RING_PAGES) * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (ring == MAP_FAILED)
		die("mmap of the samples: %s", strerror(errno));
	return ring;
}

static uint64_t drain(struct perf_event_mmap_page *ring)
{
	unsigned char *data = (unsigned char *)ring + PAGE;
	uint64_t head = __atomic_load_n(&ring->data_head, __ATOMIC_ACQUIRE);
	uint64_t tail = ring->data_tail, samples = 0;

	while (tail < head) {
		struct perf_event_header *header = (void *)(data + tail % (RING_PAGES * PAGE));

		if (header->type == PERF_RECORD_SAMPLE) {
			uint64_t address;

			memcpy(&address, header + 1, sizeof(address));
			count_sample(address);
			samples++;
		} else if (header->type == PERF_RECORD_LOST) {
			die("samples were lost");
		}
		tail += header->size;
	}
	__atomic_store_n(&ring->data_tail, tail, __ATOMIC_RELEASE);
	return samples;
}

/* One row for each function that has more than a thousandth. */
static void emit_profile(const struct maker *maker, const char *what, const char *corpus,
			 uint64_t samples, double per_page)
{
	char row[256];

	qsort(symbols, symbol_count, sizeof(*symbols), by_samples);
	for (size_t i = 0; i < symbol_count && symbols[i].samples * 1000 > samples; i++) {
		snprintf(row, sizeof(row), "profile, %s, %s", what, symbols[i].name);
		emit(maker, row, corpus, "insn/page", per_page * symbols[i].samples / samples,
		     symbols[i].samples);
	}
	for (size_t i = 0; i < symbol_count; i++)
		symbols[i].samples = 0;
	qsort(symbols, symbol_count, sizeof(*symbols), by_address);
}

/* What @work costs, of all of @side, after @prepare. */
static void profile(struct side *side, const char *what, const char *corpus, work_fn prepare,
		    size_t argument, work_fn work, size_t work_argument)
{
	struct perf_event_mmap_page *ring;
	uint64_t samples = 0, cost = 0;
	int fd;

	ring = open_event(&fd);
	for (int round = 0; round < ROUNDS; round++) {
		prepare(side, argument);
		ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
		cost += measure(side, work, work_argument);
		ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
		samples += drain(ring);
	}
	munmap(ring, (1 + RING_PAGES) * PAGE);
	close(fd);
	if (samples == 0)
		die("%s: no samples", what);
	emit_profile(side->maker, what, corpus, samples, (double)cost / ROUNDS / BENCH_PAGES);
}

static const unsigned char *content;

static void fill(struct side *side, size_t unused)
{
	(void)unused;
	memcpy(side->base, content, side->length);
}

static void unmap_pages(struct side *side, size_t unused)
{
	(void)unused;
	if (madvise(side->base, side->length, MADV_DONTNEED) != 0)
		die("MADV_DONTNEED: %s", strerror(errno));
}

void profile_rows(const struct maker *maker, const char *corpus)
{
	struct side side = open_side(maker, BENCH_PAGES * PAGE);

	content = find_corpus(corpus);
	if (!content)
		die("no corpus %s", corpus);
	progress(maker, "profile", corpus);
	if (!symbols)
		read_symbols();
	fill(&side, 0);
	page_out(&side, 512);
	fill(&side, 0);
	profile(&side, "swapout", corpus, fill, 0, page_out, 512);
	profile(&side, "swapout in runs of 1", corpus, fill, 0, page_out, 1);
	profile(&side, "swapin", corpus, page_out, 512, load_shuffled, 0);
	if (maker->kind != ANON && strcmp(corpus, "c-source") == 0)
		profile(&side, "fault-around", corpus, unmap_pages, 0, load_in_order, 0);
	close_side(&side);
}
