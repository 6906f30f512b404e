// SPDX-License-Identifier: GPL-2.0
/* What the pages contain, and in which order they are used. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"

#define BYTES	(BENCH_PAGES * PAGE)

enum { ZERO, SAME, SOURCE, ELF, RANDOM, MIXED, CORPORA };

const char * const corpus_names[] = {
	"zero", "same-filled", "c-source", "elf", "random", "mixed", NULL,
};

static unsigned char *corpora[CORPORA];
uint32_t shuffled[BENCH_PAGES];
uint32_t zipf[BENCH_PAGES];
size_t zipf_pages;

static uint64_t state = 88172645463325252;

static uint64_t random_word(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void read_corpus(const char *directory, int which)
{
	char path[512];
	size_t done = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, corpus_names[which]);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	while (done < BYTES) {
		ssize_t got = read(fd, corpora[which] + done, BYTES - done);

		if (got <= 0)
			die("%s has less than %lu bytes", path, BYTES);
		done += got;
	}
	close(fd);
}

static void shuffle(uint32_t *order)
{
	for (size_t i = 0; i < BENCH_PAGES; i++) {
		size_t j = random_word() % (i + 1);

		order[i] = order[j];
		order[j] = i;
	}
}

static double likelihood[BENCH_PAGES];	/* of the pages up to a rank */
static uint32_t ranked[BENCH_PAGES];

/* The page of rank r is used with a likelihood of r^-1.1. */
static void rank_pages(void)
{
	double all = 0;

	shuffle(ranked);
	for (size_t i = 0; i < BENCH_PAGES; i++) {
		all += pow(i + 1, -1.1);
		likelihood[i] = all;
	}
}

uint32_t draw_zipf(void)
{
	double wanted = likelihood[BENCH_PAGES - 1] * (random_word() >> 11) /
			(double)(1ULL << 53);
	size_t low = 0, high = BENCH_PAGES - 1;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (likelihood[middle] < wanted)
			low = middle + 1;
		else
			high = middle;
	}
	return ranked[low];
}

static void draw_pages(void)
{
	static bool used[BENCH_PAGES];

	rank_pages();
	for (size_t i = 0; i < BENCH_PAGES; i++) {
		zipf[i] = draw_zipf();
		zipf_pages += !used[zipf[i]];
		used[zipf[i]] = true;
	}
}

void load_corpora(const char *directory)
{
	for (int i = 0; i < CORPORA; i++) {
		/* Not in the child of the row that forks. */
		corpora[i] = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (corpora[i] == MAP_FAILED || madvise(corpora[i], BYTES, MADV_DONTFORK) != 0)
			die("out of memory");
	}
	memset(corpora[SAME], 0xa5, BYTES);
	read_corpus(directory, SOURCE);
	read_corpus(directory, ELF);
	for (size_t at = 0; at < BYTES; at += sizeof(uint64_t)) {
		uint64_t word = random_word();

		memcpy(corpora[RANDOM] + at, &word, sizeof(word));
	}
	/* A page of each of the others in turn. */
	for (size_t i = 0; i < BENCH_PAGES; i++)
		memcpy(corpora[MIXED] + i * PAGE, corpora[i % MIXED] + i * PAGE, PAGE);
	shuffle(shuffled);
	draw_pages();
}

const unsigned char *find_corpus(const char *name)
{
	for (int i = 0; i < CORPORA; i++) {
		if (strcmp(corpus_names[i], name) == 0)
			return corpora[i];
	}
	return NULL;
}
