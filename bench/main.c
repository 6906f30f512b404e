// SPDX-License-Identifier: GPL-2.0
/* The program: which rows to measure of which side. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"

static void explain(void)
{
	fputs("usage: bench RESULTS CORPORA NAME SIDE GROUP...\n"
	      "\n"
	      "Measures SIDE in instructions and adds a JSON object for each row, in which it\n"
	      "is called NAME, to RESULTS. CORPORA is a directory with the files c-source and\n"
	      "elf.\n"
	      "\n"
	      "  SIDE   swapvma:DRIVER:ALGORITHM:OPTIONS, anon, memfd, file:PATH, uffd\n"
	      "  GROUP  swap=CORPUS   swapout and swapin; CORPUS is zero, same-filled, c-source,\n"
	      "                       elf, random or mixed\n"
	      "         fault         faults, munmap, fork\n"
	      "         scale         many regions, mappings, pages\n"
	      "         limit         pages that come back at a limit\n"
	      "         bytes         metadata of swapvma\n"
	      "         cgroup=CORPUS memory.reclaim and memory.max\n"
	      "         buffer=CORPUS buffers of TTM, of the first device of DRM\n"
	      "         codec=CORPUS  the codec alone, with swapvma_codec.ko\n"
	      "         profile=CORPUS\n"
	      "         latency       beside anonymous memory, with two processors\n"
	      "         munmap        of the driver \"test\", with two processors\n", stderr);
	exit(2);
}

static void run(const struct maker *maker, const char *group)
{
	const char *corpus = strchr(group, '=');
	size_t length = corpus ? (size_t)(corpus++ - group) : strlen(group);
	bool latency = strcmp(group, "latency") == 0, wait = strcmp(group, "munmap") == 0;

	/* What was freed before goes now, and its cost with it. */
	usleep(200000);
	if (!latency && !wait && strcmp(group, "limit") != 0)
		check_clock();
	if (corpus && strncmp(group, "swap", length) == 0) {
		swap_rows(maker, corpus);
	} else if (corpus && strncmp(group, "codec", length) == 0) {
		codec_rows("lz4", corpus);
	} else if (corpus && strncmp(group, "profile", length) == 0) {
		profile_rows(maker, corpus);
	} else if (corpus && strncmp(group, "cgroup", length) == 0) {
		cgroup_rows(maker, corpus);
	} else if (corpus && strncmp(group, "buffer", length) == 0) {
		buffer_rows(maker, corpus);
	} else if (strcmp(group, "fault") == 0) {
		fault_rows(maker);
	} else if (strcmp(group, "scale") == 0) {
		scale_rows(maker);
	} else if (strcmp(group, "limit") == 0) {
		limit_rows(maker);
	} else if (strcmp(group, "bytes") == 0) {
		byte_rows(maker);
	} else if (latency) {
		const struct maker peer = parse_maker("anon, zram lz4", "anon");

		latency_rows(maker, &peer);
	} else if (wait) {
		munmap_rows(maker);
	} else {
		explain();
	}
}

int main(int argc, char **argv)
{
	struct maker maker;

	if (argc < 6)
		explain();
	open_results(argv[1]);
	load_corpora(argv[2]);
	maker = parse_maker(argv[3], argv[4]);
	/* No fault of this program's own later on. */
	if (mlockall(MCL_CURRENT) != 0)
		die("mlockall: %s", strerror(errno));
	for (int i = 5; i < argc; i++)
		run(&maker, argv[i]);
	close_results();
	return 0;
}
