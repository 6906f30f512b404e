// SPDX-License-Identifier: GPL-2.0
/* What the swapvma selftests share; see swapvma_util.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "kselftest.h"
#include "swapvma_util.h"

void sv_die(const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "# ");
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\n");
	abort();
}

/*
 * Environment.
 */

bool sv_long(void)
{
	const char *value = getenv("SWAPVMA_LONG");

	return value && !strcmp(value, "1");
}

static bool emulated(void)
{
#if defined(__x86_64__)
	unsigned int eax, name[4] = { 0 };

	__cpuid(1, eax, name[0], name[1], name[2]);
	if (!(name[1] & (1u << 31)))
		return false;
	__cpuid(0x40000000, eax, name[0], name[1], name[2]);
	name[3] = 0;
	return !strncmp((char *)name, "TCG", 3);
#else
	return false;
#endif
}

unsigned int sv_slow(void)
{
	const char *value = getenv("KSFT_MACHINE_SLOW");

	if (value && !strcmp(value, "yes"))
		return 10;
	return emulated() ? 10 : 1;
}

/* Long enough for anything that ends, and less than the harness waits (30 s). */
unsigned int sv_patience_ms(void)
{
	return sv_slow() > 1 ? 20000 : 8000;
}

uint64_t sv_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ULL + now.tv_nsec / 1000000;
}

bool sv_read_file(const char *path, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t n = -1;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	while (len < size - 1 && (n = read(fd, buf + len, size - 1 - len)) > 0)
		len += n;
	close(fd);
	buf[len] = 0;
	return n >= 0;
}

bool sv_write_file(const char *path, const char *text)
{
	ssize_t n;
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	n = write(fd, text, strlen(text));
	if (close(fd))
		return false;
	return n == (ssize_t)strlen(text);
}

/* The number after "@name<separators>" at the start of a line. */
static bool find_value(const char *text, const char *name, uint64_t *value)
{
	size_t len = strlen(name);
	const char *line;

	for (line = text; line && *line; line = strchr(line, '\n'), line += !!line) {
		if (strncmp(line, name, len) || !strchr(" :\t", line[len]))
			continue;
		return sscanf(line + len, "%*[: \t]%" SCNu64, value) == 1;
	}
	return false;
}

uint64_t sv_meminfo_kb(const char *name)
{
	static char text[8192];
	uint64_t value;

	if (!sv_read_file("/proc/meminfo", text, sizeof(text)) || !find_value(text, name, &value))
		sv_die("no %s in /proc/meminfo", name);
	return value;
}

/* The sum of the lines of /proc/vmstat that start with @prefix. */
uint64_t sv_vmstat(const char *prefix)
{
	static char text[32768];
	uint64_t value, sum = 0;
	char *line, *save;

	if (!sv_read_file("/proc/vmstat", text, sizeof(text)))
		sv_die("cannot read /proc/vmstat");
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (!strncmp(line, prefix, strlen(prefix)) &&
		    sscanf(line, "%*s %" SCNu64, &value) == 1)
			sum += value;
	return sum;
}

/*
 * Modules.
 */

static const char *module_dir(void)
{
	static char dir[PATH_MAX];
	const char *env = getenv("SWAPVMA_KO_DIR");
	ssize_t len;

	if (env)
		return env;
	len = readlink("/proc/self/exe", dir, sizeof(dir) - 1);
	if (len < 0)
		return ".";
	dir[len] = 0;
	return dirname(dir);
}

static bool loaded(const char *module)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/module/%s", module);
	return !access(path, F_OK);
}

int sv_load(const char *module, const char *params)
{
	char path[PATH_MAX];
	int fd, ret = 0;

	snprintf(path, sizeof(path), "%s/%s.ko", module_dir(), module);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (syscall(SYS_finit_module, fd, params, 0))
		ret = -errno;
	close(fd);
	return ret;
}

int sv_unload(const char *module)
{
	return syscall(SYS_delete_module, module, O_NONBLOCK) ? -errno : 0;
}

void sv_reload_test(const char *params)
{
	int ret;

	if (!sv_wait_for(!loaded("swapvma_test") || !sv_unload("swapvma_test")))
		sv_die("rmmod swapvma_test: %s", strerror(errno));
	ret = sv_load("swapvma_test", params);
	if (ret)
		sv_die("insmod swapvma_test %s: %s", params, strerror(-ret));
}

static void need(const char *module)
{
	int ret;

	if (loaded(module))
		return;
	ret = sv_load(module, "");
	if (ret)
		ksft_exit_fail_msg("%s is not loaded, and %s/%s.ko: %s\n", module,
				   module_dir(), module, strerror(-ret));
}

void sv_init(void)
{
	if (sysconf(_SC_PAGESIZE) != SV_PAGE)
		ksft_exit_fail_msg("the page size is not %lu\n", SV_PAGE);
	if (access("/sys/kernel/debug/sleep_time", F_OK) &&
	    access("/sys/kernel/debug/sched", F_OK) && access(SV_DEBUG, F_OK))
		mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	need("swapvma");
	need("swapvma_test");
	if (access(SV_DEVICE, R_OK | W_OK))
		ksft_exit_fail_msg("%s: %s\n", SV_DEVICE, strerror(errno));
	if (access(SV_DEBUG "stats", R_OK))
		ksft_exit_fail_msg("%s: %s\n", SV_DEBUG "stats", strerror(errno));
	if (access(SV_KNOBS "block", R_OK | W_OK))
		ksft_exit_fail_msg("%s: %s\n", SV_KNOBS "block", strerror(errno));
}

/*
 * Regions.
 */

int sv_try_create(const char *driver, const char *algorithm, size_t pages, size_t limit)
{
	struct swapvma_create create = {
		.flags = SWAPVMA_CREATE_CLOEXEC,
		.size = pages * SV_PAGE,
		.limit = limit == SV_NO_LIMIT ? SWAPVMA_LIMIT_NONE : limit * SV_PAGE,
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

int sv_create(const char *driver, const char *algorithm, size_t pages, size_t limit)
{
	int fd = sv_try_create(driver, algorithm, pages, limit);

	if (fd < 0)
		sv_die("create %zu pages, driver %s %s: %s", pages, driver, algorithm,
		       strerror(-fd));
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

int sv_set_limit(int fd, size_t limit)
{
	struct swapvma_limit arg = {
		.limit = limit == SV_NO_LIMIT ? SWAPVMA_LIMIT_NONE : limit * SV_PAGE,
	};

	return ioctl(fd, SWAPVMA_IOC_SET_LIMIT, &arg) ? -errno : 0;
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
		"block", "block_read", "delay_ms", "fail_write", "fail_read",
	};
	size_t i;

	sv_set_word("answer", "stored");
	sv_set_word("complete", "sync");
	sv_set_word("lock", "N");
	sv_set_word("hold_account", "N");
	sv_set("bad_read", UINT64_MAX);
	for (i = 0; i < ARRAY_SIZE(zero); i++)
		sv_set(zero[i], 0);
	sv_set("release", 1);
}

uint64_t sv_debug(const char *name)
{
	char text[8192];
	uint64_t value;

	if (!sv_read_file(SV_DEBUG "stats", text, sizeof(text)) || !find_value(text, name, &value))
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

/*
 * Leaks.
 */

static const char * const baseline_names[SV_BASELINE] = {
	"regions", "records", "resident_pages", "batches", "table_bytes",
	"slots stored", "mappings open", "violations",
};

static void read_baseline(struct sv_baseline *base)
{
	size_t i;

	for (i = 0; i < 5; i++)
		base->value[i] = sv_debug(baseline_names[i]);
	base->value[5] = sv_get("stored");
	base->value[6] = sv_get("vma_opens") - sv_get("vma_closes");
	base->value[7] = sv_get("violations");
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

int sv_kmsg_open(void)
{
	int kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (kmsg < 0 || lseek(kmsg, 0, SEEK_END) < 0)
		sv_die("/dev/kmsg: %s", strerror(errno));
	return kmsg;
}

unsigned int sv_kmsg_count(int kmsg, const char *text)
{
	unsigned int count = 0;
	char line[8192];
	ssize_t n;

	for (;;) {
		n = read(kmsg, line, sizeof(line) - 1);
		if (n < 0 && errno == EPIPE)
			continue;
		if (n <= 0)
			return count;
		line[n] = 0;
		count += strstr(line, text) != NULL;
	}
}

/*
 * Processes and signals.
 */

pid_t sv_fork(void)
{
	pid_t parent = getpid(), pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		sv_die("fork: %s", strerror(errno));
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(127);
	}
	return pid;
}

int sv_reap(pid_t pid)
{
	int status = 0;

	if (!sv_wait_for(waitpid(pid, &status, WNOHANG) == pid))
		sv_die("process %d does not end", pid);
	return status;
}

static char task_state(pid_t pid)
{
	char path[64], text[512], *paren;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (!sv_read_file(path, text, sizeof(text)))
		return '?';
	paren = strrchr(text, ')');
	return paren && paren[1] ? paren[2] : '?';
}

bool sv_wait_asleep(pid_t pid)
{
	int asleep = 0;
	uint64_t end = sv_now_ms() + sv_patience_ms();

	while (asleep < 20 && sv_now_ms() < end) {
		char state = task_state(pid);

		asleep = state == 'D' || state == 'S' ? asleep + 1 : 0;
		usleep(2000);
	}
	return asleep >= 20;
}

void *sv_shared(size_t size)
{
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED)
		sv_die("mmap of shared memory: %s", strerror(errno));
	return map;
}

__thread int sv_si_code;
static __thread sigjmp_buf touch_env;
static __thread volatile sig_atomic_t touching;

static void touch_handler(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (!touching) {
		signal(sig, SIG_DFL);
		return;
	}
	sv_si_code = info->si_code;
	siglongjmp(touch_env, sig);
}

static void catch_faults(void)
{
	struct sigaction action = {
		.sa_sigaction = touch_handler,
		.sa_flags = SA_SIGINFO | SA_NODEFER,
	};

	if (sigaction(SIGBUS, &action, NULL) || sigaction(SIGSEGV, &action, NULL))
		sv_die("sigaction: %s", strerror(errno));
}

int sv_touch_read(const void *addr)
{
	int sig;

	catch_faults();
	sv_si_code = 0;
	sig = sigsetjmp(touch_env, 1);
	if (!sig) {
		touching = 1;
		(void)*(const volatile char *)addr;
	}
	touching = 0;
	return sig;
}

int sv_touch_write(void *addr, char value)
{
	int sig;

	catch_faults();
	sv_si_code = 0;
	sig = sigsetjmp(touch_env, 1);
	if (!sig) {
		touching = 1;
		*(volatile char *)addr = value;
	}
	touching = 0;
	return sig;
}
