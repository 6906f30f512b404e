// SPDX-License-Identifier: GPL-2.0
/* Rows: bytes of metadata, and instructions of the codec alone. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define DENSE_PAGES	16384UL
#define IDLE_REGIONS	256
#define IDLE_PAGES	262144UL

void byte_rows(const struct maker *maker)
{
	static struct side regions[IDLE_REGIONS];
	struct side side = open_side(maker, DENSE_PAGES * PAGE);
	const char *debugfs = "/sys/kernel/debug/swapvma/stats";
	double table = 0;
	uint64_t slab;
	int64_t grown;

	progress(maker, "metadata", "");
	store_in_order(&side, 0);
	expect(&side, "has records of", read_counter(debugfs, "records"), DENSE_PAGES);
	emit(maker, "bytes of record, resident page", "-", "bytes/page",
	     (double)read_counter(debugfs, "record_pages") * PAGE / DENSE_PAGES, DENSE_PAGES);
	close_side(&side);

	/* Regions that nobody touched: their tables, and all of their slab objects. */
	slab = read_counter("/proc/meminfo", "Slab");
	for (int i = 0; i < IDLE_REGIONS; i++) {
		regions[i] = create_side(maker, IDLE_PAGES * PAGE);
		table += region_stats(&regions[i]).table_bytes;
	}
	grown = 1024 * (int64_t)(read_counter("/proc/meminfo", "Slab") - slab);
	emit(maker, "bytes of table, untouched region", "-", "bytes/page",
	     table / IDLE_REGIONS / IDLE_PAGES, 0);
	emit(maker, "all bytes of an untouched region", "-", "bytes/page",
	     (double)grown / IDLE_REGIONS / IDLE_PAGES, 0);
	for (int i = 0; i < IDLE_REGIONS; i++)
		close_side(&regions[i]);
}

/* swapvma_codec.ko runs the codec over what is written to its file. */
void codec_rows(const char *codec, const char *corpus)
{
	const unsigned char *content = find_corpus(corpus);
	const struct maker maker = { .name = "codec" };
	uint64_t compress, decompress, idle;
	char row[64], path[128];
	FILE *file;
	int fd;

	if (!content)
		die("no corpus %s", corpus);
	progress(&maker, codec, corpus);
	snprintf(path, sizeof(path), "/sys/kernel/debug/swapvma_codec/%s", codec);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	idle = idle_time();
	/* The first time is to warm up. */
	for (int round = 0; round < 2; round++) {
		if (pwrite(fd, content, BENCH_PAGES * PAGE, 0) != BENCH_PAGES * PAGE)
			die("%s: %s", path, strerror(errno));
	}
	check_idle("codec", idle);
	close(fd);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%" SCNu64 " %" SCNu64, &compress, &decompress) != 2)
		die("%s: no result", path);
	fclose(file);
	snprintf(row, sizeof(row), "%s, compress", codec);
	emit(&maker, row, corpus, "insn/page", (double)compress / BENCH_PAGES, BENCH_PAGES);
	snprintf(row, sizeof(row), "%s, decompress", codec);
	emit(&maker, row, corpus, "insn/page", (double)decompress / BENCH_PAGES, BENCH_PAGES);
}
