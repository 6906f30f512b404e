// SPDX-License-Identifier: GPL-2.0
/* Regions, their content, and the state of module and test driver. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kselftest.h"
#include "swapvma_util.h"

/*
 * Regions.
 */

static int try_create(uint64_t flags, const char *driver, const char *algorithm,
		      const char *options, size_t pages, size_t limit)
{
	struct swapvma_create create = {
		.flags = SWAPVMA_CREATE_CLOEXEC | flags,
		.size = pages * SV_PAGE,
		.limit = limit == SV_NO_LIMIT ? SWAPVMA_LIMIT_NONE : limit * SV_PAGE,
		.options = (uintptr_t)options,
	};
	int device = open(SV_DEVICE, O_RDWR | O_CLOEXEC);
	int fd;

	if (device < 0)
		return -errno;
	snprintf(create.driver, sizeof(create.driver), "%s", driver);
	snprintf(create.algorithm, sizeof(create.algorithm), "%s", algorithm);
	fd = ioctl(device, SWAPVMA_IOC_CREATE, &create);
	if (fd < 0)
		fd = -errno;
	close(device);
	return fd;
}

int sv_try_create(const char *driver, const char *algorithm, size_t pages, size_t limit)
{
	return try_create(0, driver, algorithm, NULL, pages, limit);
}

int sv_try_create_with(const char *driver, const char *options, size_t pages, size_t limit)
{
	return try_create(0, driver, "", options, pages, limit);
}

int sv_try_create_flags(uint64_t flags, const char *driver, const char *options, size_t pages,
			size_t limit)
{
	return try_create(flags, driver, "", options, pages, limit);
}

int sv_create(const char *driver, const char *algorithm, size_t pages, size_t limit)
{
	int fd = sv_try_create(driver, algorithm, pages, limit);

	if (fd < 0)
		sv_die("create %zu pages, driver %s %s: %s", pages, driver, algorithm,
		       strerror(-fd));
	return fd;
}

int sv_create_flags(uint64_t flags, const char *driver, size_t pages, size_t limit)
{
	int fd = sv_try_create_flags(flags, driver, NULL, pages, limit);

	if (fd < 0)
		sv_die("a region with flags %#llx: %s", (unsigned long long)flags, strerror(-fd));
	return fd;
}

char *sv_map(int fd, size_t pages, int prot, int flags)
{
	char *map = mmap(NULL, pages * SV_PAGE, prot, flags, fd, 0);

	if (map == MAP_FAILED)
		sv_die("mmap of %zu pages: %s", pages, strerror(errno));
	return map;
}

char *sv_map_rw(int fd, size_t pages)
{
	return sv_map(fd, pages, PROT_READ | PROT_WRITE, MAP_SHARED);
}

void sv_unmap(char *map, size_t pages)
{
	if (munmap(map, pages * SV_PAGE))
		sv_die("munmap: %s", strerror(errno));
}

void sv_stats(int fd, struct swapvma_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	if (ioctl(fd, SWAPVMA_IOC_STATS, stats))
		sv_die("SWAPVMA_IOC_STATS: %s", strerror(errno));
}

static long range_ioctl(int fd, unsigned long request, size_t first, size_t nr)
{
	struct swapvma_range range = {
		.offset = first * SV_PAGE,
		.length = nr * SV_PAGE,
	};

	if (ioctl(fd, request, &range))
		return -errno;
	return range.pages;
}

long sv_pageout(int fd, size_t first, size_t nr)
{
	return range_ioctl(fd, SWAPVMA_IOC_PAGEOUT, first, nr);
}

long sv_prefetch(int fd, size_t first, size_t nr)
{
	return range_ioctl(fd, SWAPVMA_IOC_PREFETCH, first, nr);
}

static int set_limit(int fd, uint64_t which, size_t limit)
{
	struct swapvma_limit arg = {
		.flags = which,
		.limit = limit == SV_NO_LIMIT ? SWAPVMA_LIMIT_NONE : limit * SV_PAGE,
	};

	return ioctl(fd, SWAPVMA_IOC_SET_LIMIT, &arg) ? -errno : 0;
}

int sv_set_limit(int fd, size_t limit)
{
	return set_limit(fd, 0, limit);
}

int sv_set_stored_limit(int fd, size_t limit)
{
	return set_limit(fd, SWAPVMA_LIMIT_STORED, limit);
}

int sv_set_low(int fd, size_t low)
{
	return set_limit(fd, SWAPVMA_LIMIT_LOW, low);
}

int sv_set_priority(int fd, int64_t priority)
{
	struct swapvma_limit arg = { .flags = SWAPVMA_LIMIT_PRIORITY, .limit = priority };

	return ioctl(fd, SWAPVMA_IOC_SET_LIMIT, &arg) ? -errno : 0;
}

int sv_add_driver(int fd, const char *driver, const char *algorithm)
{
	struct swapvma_add_driver arg = { 0 };

	snprintf(arg.driver, sizeof(arg.driver), "%s", driver);
	snprintf(arg.algorithm, sizeof(arg.algorithm), "%s", algorithm);
	return ioctl(fd, SWAPVMA_IOC_ADD_DRIVER, &arg) ? -errno : 0;
}

int sv_punch(int fd, size_t first, size_t nr)
{
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	return fallocate(fd, mode, first * SV_PAGE, nr * SV_PAGE) ? -errno : 0;
}

/* One round: false as long as something is resident. The size may be unaligned. */
static bool pageout_round(int fd)
{
	struct swapvma_stats stats;
	long ret;

	sv_stats(fd, &stats);
	if (!stats.resident)
		return true;
	ret = sv_pageout(fd, 0, stats.size / SV_PAGE);
	if (ret < 0)
		sv_die("SWAPVMA_IOC_PAGEOUT: %s", strerror(-ret));
	sv_stats(fd, &stats);
	return !stats.resident;
}

bool sv_pageout_all(int fd)
{
	return sv_wait_for(pageout_round(fd));
}

static void *pageout_main(void *arg)
{
	struct sv_pageout_thread *t = arg;

	t->result = sv_pageout(t->fd, t->first, t->nr);
	__atomic_store_n(&t->done, true, __ATOMIC_RELEASE);
	return NULL;
}

void sv_pageout_start(struct sv_pageout_thread *t, int fd, size_t first, size_t nr)
{
	*t = (struct sv_pageout_thread){ .fd = fd, .first = first, .nr = nr };
	if (pthread_create((pthread_t *)&t->thread, NULL, pageout_main, t))
		sv_die("pthread_create");
}

long sv_pageout_join(struct sv_pageout_thread *t)
{
	if (!sv_wait_for(__atomic_load_n(&t->done, __ATOMIC_ACQUIRE)))
		sv_die("SWAPVMA_IOC_PAGEOUT does not return");
	pthread_join((pthread_t)t->thread, NULL);
	return t->result;
}

/*
 * Content.
 */

uint64_t sv_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void make_page(uint64_t *out, enum sv_kind kind, uint64_t index, uint64_t gen)
{
	uint64_t word = (gen << 40 | index) * 0x9e3779b97f4a7c15ULL;
	uint64_t seed = word | 1;
	size_t i;

	for (i = 0; i < SV_PAGE / sizeof(*out); i++) {
		switch (kind) {
		case SV_TEXT:
			out[i] = i % 64 ? 0x2079726f6d656d20ULL + i % 8 : word + i;
			break;
		case SV_RANDOM:
			out[i] = sv_random(&seed);
			break;
		case SV_SAME:
			out[i] = (word & 0xffffffff) * 0x100000001ULL;
			break;
		default:
			out[i] = 0;
			break;
		}
	}
}

void sv_fill(void *page, enum sv_kind kind, uint64_t index, uint64_t gen)
{
	uint64_t want[SV_PAGE / sizeof(uint64_t)];

	make_page(want, kind, index, gen);
	memcpy(page, want, SV_PAGE);
}

bool sv_check(const void *page, enum sv_kind kind, uint64_t index, uint64_t gen)
{
	uint64_t want[SV_PAGE / sizeof(uint64_t)], got[SV_PAGE / sizeof(uint64_t)];
	size_t i;

	make_page(want, kind, index, gen);
	memcpy(got, page, SV_PAGE);
	for (i = 0; i < SV_PAGE / sizeof(uint64_t); i++) {
		if (got[i] == want[i])
			continue;
		fprintf(stderr, "# page %" PRIu64 " generation %" PRIu64 ": word %zu is %#" PRIx64
			", expected %#" PRIx64 "\n", index, gen, i, got[i], want[i]);
		return false;
	}
	return true;
}

void sv_fill_range(char *map, size_t first, size_t nr, enum sv_kind kind, uint64_t gen)
{
	size_t i;

	for (i = first; i < first + nr; i++)
		sv_fill(map + i * SV_PAGE, kind, i, gen);
}

size_t sv_check_range(const char *map, size_t first, size_t nr, enum sv_kind kind, uint64_t gen)
{
	size_t i, bad = 0;

	for (i = first; i < first + nr && bad < 8; i++)
		bad += !sv_check(map + i * SV_PAGE, kind, i, gen);
	return bad;
}

void sv_fill_kinds(char *map, size_t nr, uint64_t gen)
{
	size_t i;

	for (i = 0; i < nr; i++)
		sv_fill(map + i * SV_PAGE, i % SV_KINDS, i, gen);
}

size_t sv_check_kinds(const char *map, size_t nr, uint64_t gen)
{
	size_t i, bad = 0;

	for (i = 0; i < nr && bad < 8; i++)
		bad += !sv_check(map + i * SV_PAGE, i % SV_KINDS, i, gen);
	return bad;
}

size_t sv_check_zero(const char *map, size_t first, size_t nr)
{
	return sv_check_range(map, first, nr, SV_ZERO, 0);
}

/*
 * debugfs.
 */

void sv_set_word(const char *knob, const char *word)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), SV_KNOBS "%s", knob);
	if (!sv_write_file(path, word))
		sv_die("%s <- %s: %s", path, word, strerror(errno));
}

void sv_set(const char *knob, uint64_t value)
{
	char word[24];

	snprintf(word, sizeof(word), "%" PRIu64, value);
	sv_set_word(knob, word);
}

uint64_t sv_get(const char *knob)
{
	char path[PATH_MAX], text[64];

	snprintf(path, sizeof(path), SV_KNOBS "%s", knob);
	if (!sv_read_file(path, text, sizeof(text)))
		sv_die("%s: %s", path, strerror(errno));
	return strtoull(text, NULL, 0);
}

void sv_reset_knobs(void)
{
	static const char * const zero[] = {
		"block", "block_read", "delay_ms", "close_ms", "fail_write", "fail_read",
	};
	size_t i;

	sv_set_word("answer", "stored");
	sv_set_word("corrupt", "intact");
	sv_set("watch", UINT64_MAX);
	sv_set("flip_bit", 0);
	sv_set_word("complete", "sync");
	sv_set_word("complete_read", "sync");
	sv_set("hint", 0);
	sv_set("short", 0);
	sv_set_word("alloc", "N");
	sv_set_word("drained", "N");
	sv_set_word("lock", "N");
	sv_set("bad_read", UINT64_MAX);
	for (i = 0; i < ARRAY_SIZE(zero); i++)
		sv_set(zero[i], 0);
	sv_set("release", 1);
	sv_put_back("");
}

bool sv_shown_in_swapout(void)
{
	char text[65536];

	if (!sv_read_file(SV_DEBUG "mappings", text, sizeof(text)))
		sv_die(SV_DEBUG "mappings: %s", strerror(errno));
	return strstr(text, " in_swapout=1 ");
}

uint64_t sv_debug(const char *name)
{
	char text[8192];
	uint64_t value;

	if (!sv_read_file(SV_DEBUG "stats", text, sizeof(text)) || !sv_find_value(text, name, &value))
		sv_die("no %s in " SV_DEBUG "stats", name);
	return value;
}

static void driver_line(const char *driver, char *line, size_t size)
{
	char text[8192], *one, *save;
	size_t len = strlen(driver);

	if (!sv_read_file(SV_DEBUG "drivers", text, sizeof(text)))
		sv_die(SV_DEBUG "drivers: %s", strerror(errno));
	for (one = strtok_r(text, "\n", &save); one; one = strtok_r(NULL, "\n", &save)) {
		if (strncmp(one, driver, len) || one[len] != ' ')
			continue;
		snprintf(line, size, "%s", one);
		return;
	}
	sv_die("no driver %s in " SV_DEBUG "drivers", driver);
}

uint64_t sv_driver_count(const char *driver, const char *field)
{
	char line[1024], name[64], *found;

	driver_line(driver, line, sizeof(line));
	snprintf(name, sizeof(name), " %s=", field);
	found = strstr(line, name);
	if (!found)
		sv_die("no %s in the line of %s in " SV_DEBUG "drivers", field, driver);
	return strtoull(found + strlen(name), NULL, 0);
}

bool sv_quarantined(const char *driver)
{
	char line[1024];

	driver_line(driver, line, sizeof(line));
	return strstr(line, " state=quarantined");
}

int sv_control(const char *line)
{
	int fd = open(SV_DEBUG "control", O_WRONLY | O_CLOEXEC);
	ssize_t ret;

	if (fd < 0)
		sv_die(SV_DEBUG "control: %s", strerror(errno));
	ret = write(fd, line, strlen(line));
	ret = ret < 0 ? -errno : 0;
	close(fd);
	return ret;
}

bool sv_put_back(const char *flaws)
{
	char line[128];

	snprintf(line, sizeof(line), "%s\n", flaws);
	return sv_write_file(SV_DEBUG "flaw", line);
}

uint64_t sv_held(void)
{
	char text[256], *held;
	uint64_t value = 0;

	if (!sv_read_file(SV_DEBUG "flaw", text, sizeof(text)))
		sv_die(SV_DEBUG "flaw: %s", strerror(errno));
	held = strstr(text, "held ");
	return held && sscanf(held, "held %" SCNu64, &value) == 1 ? value : 0;
}

pid_t sv_swapper(const char *driver)
{
	char path[PATH_MAX], comm[64], want[64];
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	pid_t pid = 0;

	if (!proc)
		sv_die("/proc: %s", strerror(errno));
	snprintf(want, sizeof(want), "swapvma/%s\n", driver);
	while (!pid && (entry = readdir(proc))) {
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
		    sv_read_file(path, comm, sizeof(comm)) && !strcmp(comm, want))
			pid = atoi(entry->d_name);
	}
	closedir(proc);
	if (!pid)
		sv_die("no swapper of driver %s", driver);
	return pid;
}

/*
 * Leaks.
 */

static const char * const baseline_names[SV_BASELINE] = {
	"regions", "records", "resident_pages", "batches", "table_bytes",
	"slots stored", "mappings open", "violations", "seal_bytes",
};

static void read_baseline(struct sv_baseline *base)
{
	size_t i;

	for (i = 0; i < 5; i++)
		base->value[i] = sv_debug(baseline_names[i]);
	base->value[5] = sv_get("stored");
	base->value[6] = sv_get("vma_opens") - sv_get("vma_closes");
	base->value[7] = sv_get("violations");
	base->value[8] = sv_debug("seal_bytes");
}

static bool at_baseline(const struct sv_baseline *base)
{
	struct sv_baseline now;

	read_baseline(&now);
	return !memcmp(&now, base, sizeof(now));
}

void sv_begin(struct sv_baseline *base)
{
	sv_reset_knobs();
	read_baseline(base);
}

bool sv_end_quarantined(const struct sv_baseline *base)
{
	struct sv_baseline now;
	size_t i;

	sv_reset_knobs();
	if (sv_wait_for(at_baseline(base)))
		return true;
	read_baseline(&now);
	for (i = 0; i < SV_BASELINE; i++)
		if (now.value[i] != base->value[i])
			fprintf(stderr, "# %s: %" PRId64 " left over\n", baseline_names[i],
				(int64_t)(now.value[i] - base->value[i]));
	return false;
}

bool sv_end(const struct sv_baseline *base)
{
	bool running = !sv_quarantined("test");

	if (!running)
		fprintf(stderr, "# the test driver is quarantined\n");
	return sv_end_quarantined(base) && running;
}

void sv_set_up(struct sv_region *region, size_t pages, const char *params)
{
	sv_reload_test(params);
	sv_begin(&region->base);
	region->fd = sv_create("test", "", pages, SV_NO_LIMIT);
	region->map = sv_map_rw(region->fd, pages);
	sv_fill_range(region->map, 0, pages, SV_TEXT, 1);
}
