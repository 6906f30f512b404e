// SPDX-License-Identifier: GPL-2.0
/*
 * For module_load.sh: holds something of swapvma until standard input ends.
 *
 *	hold device|region|mapping <driver>
 *	hold use <driver>	fill a region, page it out, read it back, end
 *
 * Makes the file $SWAPVMA_READY when it holds it. Exits with 0 if the content
 * was right all along.
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

int main(int argc, char **argv)
{
	int device, fd;
	char *map;

	if (argc != 3)
		sv_die("usage: hold device|region|mapping|use <driver>");
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
	if (!strcmp(argv[1], "use") && !sv_pageout_all(fd))
		sv_die("the region does not page out");
	close(fd);
	if (!strcmp(argv[1], "mapping"))
		wait_for_the_end();
	return sv_check_range(map, 0, PAGES, SV_TEXT, 1) != 0;
}
