// SPDX-License-Identifier: GPL-2.0
/*
 * For module_load.sh: holds something of swapvma until standard input ends.
 *
 *	hold device|region|mapping <driver>
 *
 * Makes the file $SWAPVMA_READY when it holds it. Exits with 0 if the content
 * was right all along.
 *
 *	hold rounds <number>
 *
 * Loads the modules, uses them and unloads them that often.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "swapvma_util.h"

#define PAGES	(2 * SV_BATCH)

static void wait_for_the_end(void)
{
	const char *ready = getenv("SWAPVMA_READY");
	char byte;

	if (ready)
		close(open(ready, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
}

/* A region of @driver that is paged out. */
static char *make(const char *driver)
{
	int fd = sv_create(driver, "", PAGES, SV_BATCH);
	char *map = sv_map_rw(fd, PAGES);

	sv_fill_range(map, 0, PAGES, SV_TEXT, 1);
	if (!sv_pageout_all(fd))
		sv_die("the region does not page out");
	close(fd);
	return map;
}

/* Reads a region back and lets it go. */
static void check(char *map)
{
	if (sv_check_range(map, 0, PAGES, SV_TEXT, 1))
		sv_die("the content is wrong");
	sv_unmap(map, PAGES);
}

static bool nothing_exists(void)
{
	return !sv_debug("regions") && !sv_debug("records") && !sv_debug("resident_pages") &&
	       !sv_debug("batches") && !sv_debug("table_bytes");
}

static void load(const char *module)
{
	int ret = sv_load(module, "");

	if (ret)
		sv_die("insmod %s: %s", module, strerror(-ret));
}

static void unload(const char *module)
{
	if (!sv_wait_for(!sv_unload(module)))
		sv_die("rmmod %s: %s", module, strerror(errno));
}

/* A drained driver goes before the regions whose pages it had. */
static int rounds(unsigned long number)
{
	unsigned long i;
	char *map[2];
	int ret;

	for (i = 0; i < number; i++) {
		load("swapvma");
		load("swapvma_test");
		sv_set_word("drained", "Y");
		map[0] = make("ram");
		map[1] = make("test");
		ret = sv_control("drain test ram");
		if (ret)
			sv_die("drain: %s", strerror(-ret));
		unload("swapvma_test");
		check(map[0]);
		check(map[1]);
		if (!sv_wait_for(nothing_exists()))
			sv_die("something exists that nobody uses");
		unload("swapvma");
		if (!access(SV_DEVICE, F_OK) || !access(SV_DEBUG, F_OK))
			sv_die("the device or its debugfs directory is still there");
	}
	return 0;
}

int main(int argc, char **argv)
{
	int device, fd;
	char *map;

	if (argc != 3)
		sv_die("usage: hold device|region|mapping <driver> | rounds <number>");
	if (!strcmp(argv[1], "rounds"))
		return rounds(strtoul(argv[2], NULL, 0));
	device = open(SV_DEVICE, O_RDWR | O_CLOEXEC);
	if (device < 0)
		sv_die(SV_DEVICE ": %s", strerror(errno));
	if (!strcmp(argv[1], "device")) {
		wait_for_the_end();
		return 0;
	}
	close(device);

	fd = sv_create(argv[2], "", PAGES, SV_BATCH);
	if (!strcmp(argv[1], "region")) {
		wait_for_the_end();
		return 0;
	}
	map = sv_map_rw(fd, PAGES);
	sv_fill_range(map, 0, PAGES, SV_TEXT, 1);
	close(fd);
	wait_for_the_end();
	return sv_check_range(map, 0, PAGES, SV_TEXT, 1) != 0;
}
