// SPDX-License-Identifier: GPL-2.0
/* Memory cgroups, and the shrinker's files; see swapvma_cgroup.h. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "swapvma_cgroup.h"
#include "swapvma_util.h"

#define ROOT	"/tmp/swapvma_cgroup"

static bool cg_path(char *path, const char *group, const char *file)
{
	return snprintf(path, PATH_MAX, ROOT "/%s/%s", group, file) < PATH_MAX;
}

/* The errno of the write. */
int cg_try_set(const char *group, const char *file, const char *value)
{
	char path[PATH_MAX];

	cg_path(path, group, file);
	errno = 0;
	return sv_write_file(path, value) ? 0 : errno;
}

void cg_set(const char *group, const char *file, const char *value)
{
	int error = cg_try_set(group, file, value);

	if (error)
		sv_die("%s/%s <- %s: %s", group, file, value, strerror(error));
}

void cg_set_bytes(const char *group, const char *file, long bytes)
{
	char value[32];

	snprintf(value, sizeof(value), "%ld", bytes);
	cg_set(group, file, value);
}

static char *cg_text(const char *group, const char *file)
{
	static char text[8192];
	char path[PATH_MAX];

	cg_path(path, group, file);
	if (!sv_read_file(path, text, sizeof(text)))
		sv_die("%s: %s", path, strerror(errno));
	return text;
}

long cg_bytes(const char *group, const char *file)
{
	return atol(cg_text(group, file));
}

long cg_usage(const char *group)
{
	return cg_bytes(group, "memory.current");
}

/* A line of memory.events or memory.stat. */
uint64_t cg_line(const char *group, const char *file, const char *name)
{
	uint64_t value;

	if (!sv_find_value(cg_text(group, file), name, &value))
		sv_die("no %s in %s/%s", name, group, file);
	return value;
}

uint64_t cg_events(const char *group, const char *name)
{
	return cg_line(group, "memory.events.local", name);
}

/* Microseconds for which tasks of the group waited for memory. */
uint64_t cg_stalled_us(const char *group)
{
	const char *total = strstr(cg_text(group, "memory.pressure"), "total=");

	return total ? strtoull(total + strlen("total="), NULL, 10) : 0;
}

void cg_join(const char *group)
{
	cg_set(group, "cgroup.procs", "0");
}

void cg_make(const char *group)
{
	char path[PATH_MAX];

	cg_path(path, group, "");
	if (mkdir(path, 0755))
		sv_die("mkdir %s: %s", path, strerror(errno));
}

int cg_gone(const char *group)
{
	char path[PATH_MAX];

	cg_path(path, group, "");
	return rmdir(path) && errno != ENOENT ? errno : 0;
}

/* A region of a group, created by a process in it. The caller stays in the root. */
int cg_create_region(const char *group, const char *driver, size_t pages, size_t limit)
{
	int fd;

	cg_join(group);
	fd = sv_create(driver, "", pages, limit);
	cg_join("");
	return fd;
}

pid_t cg_start(const char *group, void (*run)(void *arg), void *arg)
{
	pid_t pid = sv_fork();

	if (!pid) {
		cg_join(group);
		run(arg);
		_exit(0);
	}
	return pid;
}

/* Seconds are what reclaim that finds nothing takes. */
int cg_wait(pid_t pid)
{
	int status = -1;

	if (waitpid(pid, &status, 0) != pid)
		sv_die("waitpid: %s", strerror(errno));
	return status;
}

const char *cg_begin(void)
{
	mkdir(ROOT, 0755);
	if (access(ROOT "/cgroup.procs", F_OK) &&
	    mount("none", ROOT, "cgroup2", 0, NULL))
		return "no cgroup2";
	if (cg_try_set("", "cgroup.subtree_control", "+memory"))
		return "no memory controller";
	cg_gone("a/c");
	cg_gone("a/d");
	cg_gone("a");
	cg_gone("b");
	cg_make("a");
	cg_make("b");
	return NULL;
}

const char *cg_begin_charged(void)
{
	char line[4096] = "";

	if (sv_read_file("/proc/cmdline", line, sizeof(line)) && strstr(line, "nokmem"))
		return "kernel memory is not charged";
	return cg_begin();
}

bool cg_end(void)
{
	cg_gone("a/c");
	cg_gone("a/d");
	return !cg_gone("a") & !cg_gone("b");
}

void cg_neighbour_begin(struct cg_neighbour *n)
{
	char *map;

	n->fd = cg_create_region("b", "ram", CG_NEIGHBOUR, SV_NO_LIMIT);
	map = sv_map_rw(n->fd, CG_NEIGHBOUR);
	sv_fill_range(map, 0, CG_NEIGHBOUR, SV_TEXT, 7);
	n->usage = cg_usage("b");
}

bool cg_neighbour_untouched(const struct cg_neighbour *n)
{
	struct swapvma_stats stats;

	sv_stats(n->fd, &stats);
	if (stats.resident == CG_NEIGHBOUR && !stats.swapped && !stats.swapouts &&
	    !stats.clean_drops && labs(cg_usage("b") - n->usage) < SLACK)
		return true;
	fprintf(stderr, "# neighbour: %" PRIu64 " resident, %" PRIu64 " swapped, usage %ld\n",
		(uint64_t)stats.resident, (uint64_t)stats.swapped, cg_usage("b") - n->usage);
	return false;
}

/* The directory of the shrinker in debugfs. */
bool cg_shrinker(char *path, const char *file)
{
	static const char top[] = "/sys/kernel/debug/shrinker";
	struct dirent *entry;
	DIR *dir = opendir(top);
	bool found = false;

	if (!dir)
		return false;
	while (!found && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "swapvma-", 8) || strchr(entry->d_name, ':'))
			continue;
		snprintf(path, PATH_MAX, "%s/%s/%s", top, entry->d_name, file);
		found = true;
	}
	closedir(dir);
	return found;
}

uint64_t cg_id(const char *group)
{
	char path[PATH_MAX];
	struct stat stat_of;

	cg_path(path, group, "");
	if (stat(path, &stat_of))
		sv_die("%s: %s", path, strerror(errno));
	return stat_of.st_ino;
}

/* What the shrinker counts for the group on a node. */
uint64_t cg_counted(const char *group, int node)
{
	char path[PATH_MAX], text[4096], name[32], *line, *at;
	uint64_t value = 0;

	if (!cg_shrinker(path, "count") || !sv_read_file(path, text, sizeof(text)))
		sv_die("no shrinker in debugfs");
	snprintf(name, sizeof(name), "%" PRIu64 " ", cg_id(group));
	for (line = text; line && *line; line = strchr(line, '\n'), line += !!line) {
		if (strncmp(line, name, strlen(name)))
			continue;
		at = line + strlen(name) - 1;
		while (*at == ' ' && node-- >= 0)
			value = strtoull(at, &at, 10);
		return node < 0 ? value : 0;
	}
	return 0;
}

static void scan(uint64_t cgroup, int node, size_t pages)
{
	char path[PATH_MAX], text[64];

	cg_shrinker(path, "scan");
	snprintf(text, sizeof(text), "%" PRIu64 " %d %zu", cgroup, node, pages);
	if (!sv_write_file(path, text))
		sv_die("%s <- %s: %s", path, text, strerror(errno));
}

void cg_scan(const char *group, int node, size_t pages)
{
	scan(cg_id(group), node, pages);
}

bool cg_scan_own(size_t least, size_t pages, uint64_t *cgroup)
{
	char path[PATH_MAX], lines[4096], *line, *save;
	uint64_t id, count;

	if (!cg_shrinker(path, "count"))
		return false;
	if (!sv_read_file(path, lines, sizeof(lines)))
		sv_die("%s: %s", path, strerror(errno));
	for (line = strtok_r(lines, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (sscanf(line, "%" SCNu64 " %" SCNu64, &id, &count) != 2 || count < least)
			continue;
		scan(id, 0, pages);
		*cgroup = id;
		return true;
	}
	sv_die("%s: no cgroup with %zu pages", path, least);
}
