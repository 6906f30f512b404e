// SPDX-License-Identifier: GPL-2.0
/*
 * Locks that live in a region: process-shared futexes, mutexes, semaphores and
 * robust mutexes keep working while their pages are paged out all the time.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "swapvma_util.h"

#define PAGES	8UL
#define ROUNDS	(sv_long() ? 20000U : 300U)

/* Each on a page of its own. */
struct shared {
	union {
		uint32_t word;
		char page0[SV_PAGE];
	};
	union {
		pthread_mutex_t mutex;
		char page1[SV_PAGE];
	};
	union {
		sem_t ping;
		char page2[SV_PAGE];
	};
	union {
		sem_t pong;
		char page3[SV_PAGE];
	};
	union {
		uint64_t counter;
		char page4[SV_PAGE];
	};
};

FIXTURE(futex)
{
	struct sv_baseline base;
	struct shared *shared;
	pid_t storm;
	int fd;
};

FIXTURE_VARIANT(futex)
{
	const char *driver;
};

FIXTURE_VARIANT_ADD(futex, ram)
{
	.driver = "ram",
};

FIXTURE_VARIANT_ADD(futex, test)
{
	.driver = "test",
};

FIXTURE_SETUP(futex)
{
	sv_begin(&self->base);
	self->fd = sv_create(variant->driver, "", PAGES, SV_NO_LIMIT);
	self->shared = (struct shared *)sv_map_rw(self->fd, PAGES);
	/* Not the same word all over the page. */
	sv_fill_range((char *)self->shared, 0, PAGES, SV_RANDOM, 1);
	memset(self->shared, 0, 64);
}

FIXTURE_TEARDOWN_PARENT(futex)
{
	EXPECT_TRUE(sv_end(&self->base));
}

static long futex(uint32_t *word, int op, uint32_t val, const struct timespec *timeout)
{
	return syscall(SYS_futex, word, op, val, timeout, NULL, 0);
}

/* A process that pages everything out, over and over. */
static void start_storm(FIXTURE_DATA(futex) *self)
{
	pid_t pid = sv_fork();

	if (pid) {
		self->storm = pid;
		return;
	}
	for (;;) {
		sv_pageout(self->fd, 0, PAGES);
		usleep(200);
	}
}

static void end_storm(struct __test_metadata *_metadata, FIXTURE_DATA(futex) *self)
{
	size_t first = sizeof(struct shared) / SV_PAGE + 1, bad = 0;

	/* The pages of the locks may be too hot to leave; the others are not. */
	ASSERT_TRUE(sv_wait_for((bad += sv_check_range((char *)self->shared, first,
						       PAGES - first, SV_RANDOM, 1),
				 SV_STAT(self->fd, swapins))));
	ASSERT_EQ(0, bad);
	ASSERT_EQ(0, kill(self->storm, SIGKILL));
	ASSERT_EQ(SIGKILL, sv_reap(self->storm));
	ASSERT_LT(0, SV_STAT(self->fd, swapouts));
}

/* The futex is named by region and offset, not by the page that holds it. */
TEST_F(futex, wake_after_pageout)
{
	struct timespec timeout = { sv_patience_ms() / 1000, 0 };
	uint32_t *word = &self->shared->word;
	pid_t child;

	*word = 7;
	child = sv_fork();
	if (!child)
		_exit(futex(word, FUTEX_WAIT, 7, &timeout) || *word != 8);
	ASSERT_TRUE(sv_wait_asleep(child));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	*word = 8;
	ASSERT_EQ(1, futex(word, FUTEX_WAKE, 1, NULL));
	ASSERT_EQ(0, sv_reap(child));
}

/* A waiter in another mapping of the region, at another address. */
TEST_F(futex, wake_through_another_mapping)
{
	struct timespec timeout = { sv_patience_ms() / 1000, 0 };
	struct shared *other = (struct shared *)sv_map_rw(self->fd, PAGES);
	pid_t child;

	ASSERT_NE(self->shared, other);
	self->shared->word = 7;
	child = sv_fork();
	if (!child)
		_exit(futex(&self->shared->word, FUTEX_WAIT, 7, &timeout) != 0);
	ASSERT_TRUE(sv_wait_asleep(child));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	other->word = 8;
	ASSERT_EQ(1, futex(&other->word, FUTEX_WAKE, 1, NULL));
	ASSERT_EQ(0, sv_reap(child));
}

/* Nobody waits on a page that is out: no error, and nobody woken. */
TEST_F(futex, wake_nobody)
{
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(0, futex(&self->shared->word, FUTEX_WAKE, 1, NULL));
	ASSERT_TRUE(sv_pageout_all(self->fd));
	ASSERT_EQ(-1, futex(&self->shared->word, FUTEX_WAIT, 1, NULL));
	ASSERT_EQ(EAGAIN, errno);
}

static void make_mutex(FIXTURE_DATA(futex) *self, int robust)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, robust);
	pthread_mutex_init(&self->shared->mutex, &attr);
}

/* How often, at least ROUNDS times and for as long as nothing was paged out. */
static uint64_t count_under_mutex(struct shared *shared, int fd)
{
	uint64_t count;

	for (count = 0; count < ROUNDS || !SV_STAT(fd, swapouts); count++) {
		pthread_mutex_lock(&shared->mutex);
		shared->counter++;
		pthread_mutex_unlock(&shared->mutex);
	}
	return count;
}

TEST_F_TIMEOUT(futex, mutex, SV_LONG_TIMEOUT)
{
	uint64_t *of_child = sv_shared(sizeof(*of_child)), own;
	pid_t child;

	make_mutex(self, PTHREAD_MUTEX_STALLED);
	self->shared->counter = 0;
	start_storm(self);
	child = sv_fork();
	if (!child) {
		*of_child = count_under_mutex(self->shared, self->fd);
		_exit(0);
	}
	own = count_under_mutex(self->shared, self->fd);
	ASSERT_EQ(0, sv_reap(child));
	end_storm(_metadata, self);
	ASSERT_EQ(own + *of_child, self->shared->counter);
}

/* The kernel walks the list of a dead owner: its mutex is on a page that is out. */
TEST_F(futex, robust_mutex_of_a_dead_owner)
{
	pid_t child;

	make_mutex(self, PTHREAD_MUTEX_ROBUST);
	child = sv_fork();
	if (!child) {
		bool ok = !pthread_mutex_lock(&self->shared->mutex) && sv_pageout_all(self->fd);

		kill(getpid(), SIGKILL);
		_exit(ok);
	}
	ASSERT_EQ(SIGKILL, sv_reap(child));
	ASSERT_EQ(EOWNERDEAD, pthread_mutex_lock(&self->shared->mutex));
	ASSERT_EQ(0, pthread_mutex_consistent(&self->shared->mutex));
	ASSERT_EQ(0, pthread_mutex_unlock(&self->shared->mutex));
}

TEST_F_TIMEOUT(futex, semaphores, SV_LONG_TIMEOUT)
{
	struct shared *shared = self->shared;
	unsigned int i;
	pid_t child;

	ASSERT_EQ(0, sem_init(&shared->ping, 1, 0));
	ASSERT_EQ(0, sem_init(&shared->pong, 1, 0));
	shared->counter = 0;
	start_storm(self);
	child = sv_fork();
	if (!child) {
		for (i = 0; i < ROUNDS; i++) {
			if (sem_wait(&shared->ping))
				_exit(1);
			shared->counter++;
			sem_post(&shared->pong);
		}
		_exit(0);
	}
	ASSERT_TRUE(sv_wait_for(SV_STAT(self->fd, swapouts)));
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, sem_post(&shared->ping));
		ASSERT_EQ(0, sem_wait(&shared->pong));
		ASSERT_EQ(i + 1, shared->counter);
	}
	ASSERT_EQ(0, sv_reap(child));
	end_storm(_metadata, self);
}

SV_TEST_MAIN
