// SPDX-License-Identifier: GPL-2.0
/*
 * What was measured, one JSON object a line; bench/report finds the two sides of
 * a row in them. And progress, and errors.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static FILE *results;
static const char *results_path;

void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("bench: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

void open_results(const char *path)
{
	results_path = path;
	results = fopen(path, "ae");
	if (!results)
		die("%s: %s", path, strerror(errno));
	setlinebuf(results);
}

void close_results(void)
{
	if (fclose(results) != 0)
		die("%s: %s", results_path, strerror(errno));
}

void emit(const struct maker *maker, const char *row, const char *corpus, const char *unit,
	  double value, uint64_t pages)
{
	fprintf(results, "{\"side\": \"%s\", \"row\": \"%s\", \"corpus\": \"%s\", ",
		maker->name, row, corpus);
	fprintf(results, "\"unit\": \"%s\", \"value\": %.4f, \"pages\": %" PRIu64 "}\n",
		unit, value, pages);
}

void progress(const struct maker *maker, const char *what, const char *corpus)
{
	fprintf(stderr, "bench: %s: %s%s%s\n", maker->name, what, *corpus ? ", " : "", corpus);
}
