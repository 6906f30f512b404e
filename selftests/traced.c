// SPDX-License-Identifier: GPL-2.0
/*
 * traced: has everything happen that is traced, again and again, until it is killed;
 * for who looks at tracepoints with other means than this suite. It loads and removes no
 * module meanwhile.
 */
#include <pthread.h>

#include "swapvma_util.h"

#define PAGES	(2 * SV_BATCH)

static void *answer_soon(void *unused)
{
	usleep(20000);
	sv_set("block", 0);
	return unused;
}

/* Waits for a batch whose driver takes its time. */
static void unmap_in_swapout(struct sv_region *region)
{
	struct sv_pageout_thread pageout;
	pthread_t thread;

	sv_set("block", 1);
	sv_pageout_start(&pageout, region->fd, 0, SV_BATCH);
	if (!sv_wait_for(sv_get("blocked") == 1))
		sv_die("no batch is in flight");
	if (pthread_create(&thread, NULL, answer_soon, NULL))
		sv_die("no thread");
	sv_unmap(region->map, PAGES);
	pthread_join(thread, NULL);
	sv_pageout_join(&pageout);
	region->map = sv_map_rw(region->fd, PAGES);
}

int main(void)
{
	sv_init();
	/* Whatever the machine is busy with, the driver answers in time. */
	if (sv_control("deadline test 600000"))
		sv_die("no deadline");
	for (uint64_t round = 1;; round++) {
		struct sv_region region;

		region.fd = sv_create("test", "", PAGES, SV_NO_LIMIT);
		region.map = sv_map_rw(region.fd, PAGES);
		sv_fill_range(region.map, 0, PAGES, SV_TEXT, round);
		if (!sv_pageout_all(region.fd) ||
		    sv_check_range(region.map, 0, PAGES, SV_TEXT, round))
			sv_die("pages are wrong");
		sv_fill_range(region.map, 0, PAGES, SV_TEXT, round);
		if (fsync(region.fd))
			sv_die("fsync failed");
		if (!sv_write_file("/proc/sys/vm/drop_caches", "2"))
			sv_die("no shrinkers");
		sv_fill_range(region.map, 0, PAGES, SV_TEXT, round);
		unmap_in_swapout(&region);
		sv_set_word("drained", "Y");
		if (!sv_pageout_all(region.fd) || sv_control("drain test"))
			sv_die("not drained");
		sv_set_word("drained", "N");
		sv_unmap(region.map, PAGES);
		close(region.fd);
	}
}
