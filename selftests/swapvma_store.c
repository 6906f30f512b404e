// SPDX-License-Identifier: GPL-2.0
/* Devices and files to keep pages in; see swapvma_store.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/loop.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "kselftest.h"
#include "swapvma_store.h"
#include "swapvma_util.h"

#define CONFIGFS	"/sys/kernel/config"
#define NBD_DEVICE	"/dev/nbd0"
#define ARGS_MAX	16
/* mkfs.xfs makes none that is smaller. */
#define XFS_MEGABYTES	300

static const char *const module_of[] = {
	[SV_LOOP] = "swapvma_block",
	[SV_NULL] = "swapvma_block",
	[SV_HOLE] = "swapvma_block",
	[SV_VIRTIO] = "swapvma_block",
	[SV_NBD] = "swapvma_block",
	[SV_EXT4] = "swapvma_file",
	[SV_EXT4_1K] = "swapvma_file",
	[SV_XFS] = "swapvma_file",
	[SV_SHMEM] = "swapvma_shmem",
};

static pid_t spawn(char *const argv[])
{
	pid_t pid = sv_fork();

	if (!pid) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		execvp(argv[0], argv);
		_exit(127);
	}
	return pid;
}

int sv_run(const char *program, ...)
{
	char *argv[ARGS_MAX] = { (char *)program };
	va_list args;
	int i, status;

	va_start(args, program);
	for (i = 1; i < ARGS_MAX - 1 && (argv[i] = va_arg(args, char *)); i++)
		;
	va_end(args);
	status = sv_reap(spawn(argv));
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void sv_make_file(const char *path, size_t megabytes, bool sparse)
{
	static const char zeroes[1 << 20];
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	size_t i;

	if (fd < 0 || ftruncate(fd, sparse ? megabytes << 20 : 0))
		sv_die("%s: %s", path, strerror(errno));
	for (i = 0; i < megabytes && !sparse; i++)
		if (write(fd, zeroes, sizeof(zeroes)) != (ssize_t)sizeof(zeroes))
			sv_die("%s: %s", path, strerror(errno));
	close(fd);
}

static void make_loop(struct sv_store *store, size_t megabytes)
{
	struct loop_config config = { 0 };
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), fd, file, nr;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%.4000s/loop", store->under);
	sv_make_file(path, megabytes, true);
	nr = ioctl(control, LOOP_CTL_GET_FREE);
	if (nr < 0)
		sv_die("loop: %s", strerror(errno));
	close(control);
	snprintf(store->loop, sizeof(store->loop), "/dev/loop%d", nr);
	fd = open(store->loop, O_RDWR | O_CLOEXEC);
	file = open(path, O_RDWR | O_CLOEXEC);
	config.fd = file;
	if (fd < 0 || file < 0 || ioctl(fd, LOOP_CONFIGURE, &config))
		sv_die("%s: %s", store->loop, strerror(errno));
	close(file);
	close(fd);
}

static bool end_loop(struct sv_store *store)
{
	int fd = open(store->loop, O_RDWR | O_CLOEXEC), ret;

	if (fd < 0)
		return false;
	ret = ioctl(fd, LOOP_CLR_FD);
	close(fd);
	return !ret;
}

void sv_null_set(const struct sv_store *store, const char *name, const char *value)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/%s", store->null, name);
	if (!sv_write_file(path, value))
		sv_die("%s: %s", path, strerror(errno));
}

static void make_null(struct sv_store *store, size_t megabytes)
{
	char text[32];

	if (access(CONFIGFS "/nullb", F_OK))
		mount("configfs", CONFIGFS, "configfs", 0, NULL);
	snprintf(store->null, sizeof(store->null), CONFIGFS "/nullb/swapvma%d", getpid());
	if (mkdir(store->null, 0700))
		sv_die("%s: %s", store->null, strerror(errno));
	snprintf(text, sizeof(text), "%zu", megabytes);
	sv_null_set(store, "size", text);
	if (store->kind == SV_NULL) {
		sv_null_set(store, "memory_backed", "1");
		sv_null_set(store, "discard", "1");
	}
	/* A batch fits into one request. */
	sv_null_set(store, "max_sectors", "1024");
	/* Completes from a timer, in hard interrupt context. */
	sv_null_set(store, "irqmode", "2");
	sv_null_set(store, "completion_nsec", store->kind == SV_NULL ? "100000" : "150000000");
	sv_null_set(store, "power", "1");
	/* The device is called as the directory is. */
	snprintf(store->path, sizeof(store->path), "/dev%.64s", strrchr(store->null, '/'));
}

/* A disk with this serial number is there to be written to. */
static bool find_virtio(char *path, size_t size)
{
	char attribute[64], serial[32];
	int letter;

	for (letter = 'a'; letter <= 'z'; letter++) {
		snprintf(attribute, sizeof(attribute), "/sys/block/vd%c/serial", letter);
		if (sv_read_file(attribute, serial, sizeof(serial)) &&
		    !strncmp(serial, "swapvma", strlen("swapvma"))) {
			snprintf(path, size, "/dev/vd%c", letter);
			return true;
		}
	}
	return false;
}

static bool has_filesystem(const char *name)
{
	char text[4096];

	return sv_read_file("/proc/filesystems", text, sizeof(text)) && strstr(text, name);
}

const char *sv_store_missing(enum sv_store_kind kind)
{
	char path[32];

	switch (kind) {
	case SV_VIRTIO:
		return find_virtio(path, sizeof(path)) ? NULL : "scripts/vm --disk is needed";
	case SV_NBD:
		if (sv_run("nbdkit", "--version", NULL) || sv_run("nbd-client", "-V", NULL) ||
		    access(NBD_DEVICE, F_OK))
			return "nbdkit, nbd-client and " NBD_DEVICE " are needed";
		return NULL;
	case SV_XFS:
		if (sv_run("mkfs.xfs", "-V", NULL) || !has_filesystem("xfs"))
			return "mkfs.xfs and a kernel with XFS are needed";
		return NULL;
	default:
		return NULL;
	}
}

/* io_flusher lies beside the test. */
static void make_nbd(struct sv_store *store, size_t megabytes)
{
	char socket[PATH_MAX], size[32], flusher[PATH_MAX], path[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", flusher, sizeof(flusher) - 1);
	char *const server[] = {
		path, "nbdkit", "-f", "--swap", "-U", socket, "memory", size, NULL,
	};

	if (len < 0)
		sv_die("/proc/self/exe: %s", strerror(errno));
	flusher[len] = 0;
	snprintf(path, sizeof(path), "%.4000s/io_flusher", dirname(flusher));
	snprintf(socket, sizeof(socket), "%.4000s/socket", store->under);
	snprintf(size, sizeof(size), "%zuM", megabytes);
	store->server = spawn(server);
	if (!sv_wait_for(!access(socket, F_OK)))
		sv_die("nbdkit does not start");
	if (sv_run("nbd-client", "-unix", socket, NBD_DEVICE, "-b", "4096", NULL))
		sv_die("nbd-client fails");
	snprintf(store->path, sizeof(store->path), NBD_DEVICE);
}

static bool end_nbd(struct sv_store *store)
{
	int ret = sv_run("nbd-client", "-d", NBD_DEVICE, NULL);

	/* Not a child of ours, and it went along with the test that started it. */
	kill(store->server, SIGKILL);
	return !ret;
}

/* Two files that grow by turns are in pieces, none of them of whole clusters. */
static void make_pieces(const char *path, size_t megabytes)
{
	static const char zeroes[100 << 10];
	size_t left = megabytes << 20, n;
	char other[PATH_MAX + 8];
	int fds[2], i;

	snprintf(other, sizeof(other), "%s.other", path);
	fds[0] = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	fds[1] = open(other, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	for (; left; left -= n) {
		n = left < sizeof(zeroes) ? left : sizeof(zeroes);
		for (i = 0; i < 2; i++)
			if (write(fds[i], zeroes, n) != (ssize_t)n || fsync(fds[i]))
				sv_die("%s: %s", path, strerror(errno));
	}
	close(fds[0]);
	close(fds[1]);
}

static const char *filesystem_of(const struct sv_store *store)
{
	return store->kind == SV_XFS ? "xfs" : "ext4";
}

static int make_filesystem(const struct sv_store *store)
{
	const char *block = store->kind == SV_EXT4_1K ? "1024" : "4096";

	if (store->kind == SV_XFS)
		return sv_run("mkfs.xfs", "-q", store->loop, NULL);
	return sv_run("mkfs.ext4", "-q", "-b", block, store->loop, NULL);
}

static void mount_file(struct sv_store *store, size_t megabytes)
{
	const char *type = filesystem_of(store);
	char dir[PATH_MAX];

	make_loop(store, store->kind == SV_XFS ? XFS_MEGABYTES : 2 * megabytes + 16);
	snprintf(dir, sizeof(dir), "%.4000s/mount", store->under);
	snprintf(store->path, sizeof(store->path), "%.4000s/mount/cold", store->under);
	if (mkdir(dir, 0700) || make_filesystem(store) || mount(store->loop, dir, type, 0, NULL))
		sv_die("%s on %s: %s", type, store->loop, strerror(errno));
	make_pieces(store->path, megabytes);
}

static bool unmount_file(struct sv_store *store)
{
	char dir[PATH_MAX];

	snprintf(dir, sizeof(dir), "%.4000s/mount", store->under);
	/* The last reference to the file may be put in a work item. */
	return sv_wait_for(!umount(dir)) && !rmdir(dir) && end_loop(store);
}

void sv_store_make(struct sv_store *store, enum sv_store_kind kind, size_t megabytes)
{
	int ret = sv_load(module_of[kind], "");

	/* One that failed to set up left it. */
	if (ret && ret != -EEXIST)
		sv_die("%s: %s", module_of[kind], strerror(-ret));
	memset(store, 0, sizeof(*store));
	store->kind = kind;
	store->driver = module_of[kind] + strlen("swapvma_");
	snprintf(store->under, sizeof(store->under), "/tmp/swapvma-XXXXXX");
	if (!mkdtemp(store->under))
		sv_die("%s: %s", store->under, strerror(errno));
	switch (kind) {
	case SV_LOOP:
		make_loop(store, megabytes);
		snprintf(store->path, sizeof(store->path), "%s", store->loop);
		break;
	case SV_NULL:
	case SV_HOLE:
		make_null(store, megabytes);
		break;
	case SV_VIRTIO:
		find_virtio(store->path, sizeof(store->path));
		break;
	case SV_NBD:
		make_nbd(store, megabytes);
		break;
	case SV_EXT4:
	case SV_EXT4_1K:
	case SV_XFS:
		mount_file(store, megabytes);
		break;
	case SV_SHMEM:
		snprintf(store->options, sizeof(store->options), "size=%zuM", megabytes);
		return;
	}
	snprintf(store->options, sizeof(store->options), "path=%s", store->path);
}

bool sv_store_end(struct sv_store *store)
{
	char path[PATH_MAX];
	bool ok = true;

	/* What a server that went first was to do is over then. */
	if (store->kind == SV_NBD)
		ok &= end_nbd(store);
	ok &= sv_wait_for(!sv_unload(module_of[store->kind]));
	switch (store->kind) {
	case SV_LOOP:
		ok &= end_loop(store);
		break;
	case SV_NULL:
	case SV_HOLE:
		ok &= !rmdir(store->null);
		break;
	case SV_EXT4:
	case SV_EXT4_1K:
	case SV_XFS:
		ok &= unmount_file(store);
		break;
	case SV_VIRTIO:
	case SV_NBD:
	case SV_SHMEM:
		break;
	}
	snprintf(path, sizeof(path), "%.4000s/loop", store->under);
	unlink(path);
	snprintf(path, sizeof(path), "%.4000s/socket", store->under);
	unlink(path);
	return !rmdir(store->under) && ok;
}
