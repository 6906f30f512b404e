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
	return (sv_slow() > 1 ? 20000 : 8000) * (sv_long() ? 10 : 1);
}

static void *use(void *arg)
{
	struct sv_user *user = arg;
	size_t i;

	while (!__atomic_load_n(&user->stop, __ATOMIC_ACQUIRE))
		for (i = 0; i < user->pages; i++)
			(void)*(volatile char *)(user->map + i * SV_PAGE);
	return NULL;
}

void sv_use(struct sv_user *user, char *map, size_t pages)
{
	*user = (struct sv_user){ .map = map, .pages = pages };
	errno = pthread_create(&user->thread, NULL, use, user);
	if (errno)
		sv_die("pthread_create: %s", strerror(errno));
}

void sv_use_end(struct sv_user *user)
{
	__atomic_store_n(&user->stop, true, __ATOMIC_RELEASE);
	pthread_join(user->thread, NULL);
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

int sv_munlock(const void *addr, size_t len)
{
	int ret = munlock(addr, len);

	/* lru_add_drain_all(), before anything is compacted. */
	if (!sv_write_file("/proc/sys/vm/compact_memory", "1"))
		sv_die("compact_memory: %s", strerror(errno));
	return ret;
}

bool sv_find_value(const char *text, const char *name, uint64_t *value)
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

	if (!sv_read_file("/proc/meminfo", text, sizeof(text)) || !sv_find_value(text, name, &value))
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
 * Kernel log.
 */

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

/*
 * Not through /proc/pid/stat, which holds a reference to the mm for a moment:
 * if that were the last, the reader would take the mappings down, and wait.
 */
static bool is_asleep(pid_t pid)
{
	char path[64], text[128];

	snprintf(path, sizeof(path), "/proc/%d/wchan", pid);
	return sv_read_file(path, text, sizeof(text)) && text[0] && strcmp(text, "0");
}

static bool has_ended(pid_t pid)
{
	siginfo_t info = { 0 };

	return !waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid == pid;
}

bool sv_wait_asleep(pid_t pid)
{
	uint64_t end = sv_now_ms() + sv_patience_ms();
	int asleep = 0;

	while (asleep < 20 && sv_now_ms() < end && !has_ended(pid)) {
		asleep = is_asleep(pid) ? asleep + 1 : 0;
		usleep(2000);
	}
	if (asleep < 20)
		fprintf(stderr, "# process %d %s\n", pid,
			has_ended(pid) ? "has ended" : "does not sleep");
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
