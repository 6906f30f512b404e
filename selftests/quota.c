// SPDX-License-Identifier: GPL-2.0
/*
 * How much may be stored of all regions of a cgroup, and of all that a user created:
 * it is never exceeded, whatever driver stores it and whatever is written at the same
 * time, and counts for nobody else.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "swapvma_cgroup.h"
#include "swapvma_util.h"

#define PAGES	(4 * SV_BATCH)
#define MOST	(SV_BATCH + 7)
#define NONE	UINT64_MAX

struct account {
	uint64_t stored, limit, refused;
};

/* The line of "accounts" that begins with @name; zeroes if there is none. */
static struct account account(const char *name)
{
	struct account found = { .limit = NONE };
	char text[8192], start[64], limit[32], *line;

	if (!sv_read_file(SV_DEBUG "accounts", text, sizeof(text)))
		sv_die("accounts: %s", strerror(errno));
	snprintf(start, sizeof(start), "%s stored=", name);
	for (line = text; line && *line; line = strchr(line, '\n'), line += !!line) {
		if (strncmp(line, start, strlen(start)))
			continue;
		if (sscanf(line + strlen(name), " stored=%" SCNu64 " limit=%31s refused=%" SCNu64,
			   &found.stored, limit, &found.refused) != 3)
			sv_die("accounts: %s", line);
		if (strcmp(limit, "none"))
			found.limit = strtoull(limit, NULL, 10);
	}
	return found;
}

static struct account of_cgroup(const char *group)
{
	char name[64];

	snprintf(name, sizeof(name), "cgroup %" PRIu64, cg_id(group));
	return account(name);
}

/* The group @child of "a", which has nobody in it. */
static void make_child(const char *child)
{
	cg_set("a", "cgroup.subtree_control", "+memory");
	cg_make(child);
}

/* In pages. */
static int limit_cgroup(const char *group, size_t pages)
{
	char line[64];

	snprintf(line, sizeof(line), "stored-limit cgroup /%s %zu", group, pages * SV_PAGE);
	return sv_control(line);
}

/* Those of the cgroups that were limited are gone, or have been said to be so. */
static bool no_accounts(void)
{
	char text[64];

	return sv_wait_for(sv_read_file(SV_DEBUG "accounts", text, sizeof(text)) && !*text);
}

FIXTURE(quota)
{
	struct sv_baseline base;
};

FIXTURE_VARIANT(quota)
{
	const char *driver;
};

FIXTURE_VARIANT_ADD(quota, ram)
{
	.driver = "ram",
};

FIXTURE_VARIANT_ADD(quota, test)
{
	.driver = "test",
};

FIXTURE_SETUP(quota)
{
	const char *missing;

	sv_begin(&self->base);
	missing = cg_begin();
	if (missing)
		SKIP(return, "%s", missing);
}

FIXTURE_TEARDOWN_PARENT(quota)
{
	sv_put_back("");
	EXPECT_TRUE(cg_end());
	EXPECT_TRUE(no_accounts());
	EXPECT_TRUE(sv_end(&self->base));
}

/* A region of @group with pages that no driver makes smaller. */
static int region_of(const char *group, const char *driver, char **map)
{
	int fd = cg_create_region(group, driver, PAGES, SV_NO_LIMIT);

	*map = sv_map_rw(fd, PAGES);
	sv_fill_range(*map, 0, PAGES, SV_RANDOM, 1);
	return fd;
}

TEST_F(quota, cgroup)
{
	int fd, other;
	char *map, *others;

	ASSERT_EQ(0, limit_cgroup("a", MOST));
	fd = region_of("a", variant->driver, &map);
	other = region_of("b", variant->driver, &others);
	ASSERT_EQ(MOST, sv_pageout(fd, 0, PAGES));
	ASSERT_EQ(MOST * SV_PAGE, SV_STAT(fd, stored_bytes));
	ASSERT_EQ(MOST * SV_PAGE, of_cgroup("a").stored);
	ASSERT_EQ(MOST * SV_PAGE, of_cgroup("a").limit);
	ASSERT_LT(0, of_cgroup("a").refused);
	/* The neighbour has as much as it likes. */
	ASSERT_TRUE(sv_pageout_all(other));
	ASSERT_EQ(PAGES * SV_PAGE, of_cgroup("b").stored);
	ASSERT_EQ(NONE, of_cgroup("b").limit);
	ASSERT_EQ(0, of_cgroup("b").refused);
	/* Faults do not wait for room that cannot come. */
	ASSERT_EQ(0, sv_set_limit(fd, SV_BATCH));
	ASSERT_EQ(0, sv_check_range(map, 0, PAGES, SV_RANDOM, 1));
	ASSERT_LT(0, SV_STAT(fd, over_limit));
	ASSERT_GE(MOST * SV_PAGE, of_cgroup("a").stored);
	/* Copies of pages that are written to make room for others. */
	sv_fill_range(map, 0, PAGES, SV_RANDOM, 2);
	ASSERT_LE(0, sv_pageout(fd, 0, PAGES));
	ASSERT_EQ(MOST, SV_STAT(fd, swapped));
	ASSERT_EQ(MOST * SV_PAGE, of_cgroup("a").stored);
	/* So do holes, of which the swapper hears at once. */
	ASSERT_EQ(0, sv_punch(fd, 0, PAGES / 2));
	ASSERT_TRUE(sv_wait_for(SV_STAT(fd, stored_bytes) == of_cgroup("a").stored));
	/* Raised and lifted. */
	ASSERT_EQ(0, limit_cgroup("a", 2 * MOST));
	ASSERT_LE(0, sv_pageout(fd, 0, PAGES));
	ASSERT_TRUE(sv_wait_for(SV_STAT(fd, stored_bytes) == of_cgroup("a").stored));
	ASSERT_GE(2 * MOST * SV_PAGE, of_cgroup("a").stored);
	ASSERT_EQ(0, sv_control("stored-limit cgroup /a none"));
	ASSERT_TRUE(sv_pageout_all(fd));
	ASSERT_EQ(0, sv_check_range(map, PAGES / 2, PAGES / 2, SV_RANDOM, 2));
	ASSERT_EQ(0, sv_check_zero(map, 0, PAGES / 2));
	ASSERT_EQ(0, sv_check_range(others, 0, PAGES, SV_RANDOM, 1));
}

/* What is stored of a cgroup is stored of those that it is in. */
TEST_F(quota, nested)
{
	char *maps[2];
	int fds[2];

	make_child("a/c");
	make_child("a/d");
	ASSERT_EQ(0, limit_cgroup("a", 2 * SV_BATCH));
	ASSERT_EQ(0, limit_cgroup("a/c", SV_BATCH / 2));
	fds[0] = region_of("a/c", variant->driver, &maps[0]);
	fds[1] = region_of("a/d", variant->driver, &maps[1]);
	ASSERT_EQ(SV_BATCH / 2, sv_pageout(fds[0], 0, PAGES));
	ASSERT_EQ(0, of_cgroup("a").refused);
	ASSERT_EQ(SV_BATCH / 2 + SV_BATCH, sv_pageout(fds[1], 0, PAGES));
	ASSERT_EQ(SV_BATCH / 2 * SV_PAGE, of_cgroup("a/c").stored);
	ASSERT_EQ(3 * SV_BATCH / 2 * SV_PAGE, of_cgroup("a/d").stored);
	ASSERT_EQ(2 * SV_BATCH * SV_PAGE, of_cgroup("a").stored);
	ASSERT_LT(0, of_cgroup("a").refused);
	ASSERT_EQ(0, of_cgroup("a/d").refused);
	ASSERT_EQ(0, limit_cgroup("a/c", PAGES));
	/* There is no more room above. */
	ASSERT_EQ(0, sv_pageout(fds[0], 0, PAGES));
	sv_unmap(maps[1], PAGES);
	close(fds[1]);
	ASSERT_TRUE(sv_wait_for(of_cgroup("a").stored == SV_BATCH / 2 * SV_PAGE));
	ASSERT_EQ(3 * SV_BATCH / 2, sv_pageout(fds[0], 0, PAGES));
	ASSERT_EQ(2 * SV_BATCH * SV_PAGE, of_cgroup("a/c").stored);
	ASSERT_EQ(0, sv_check_range(maps[0], 0, PAGES, SV_RANDOM, 1));
}

/* The cgroup is removed: its limit goes with it, that of its parent holds. */
TEST_F(quota, removed)
{
	char *map, name[64];
	int fd;

	make_child("a/c");
	snprintf(name, sizeof(name), "cgroup %" PRIu64, cg_id("a/c"));
	ASSERT_EQ(0, limit_cgroup("a/c", SV_BATCH / 2));
	fd = region_of("a/c", variant->driver, &map);
	ASSERT_EQ(SV_BATCH / 2, sv_pageout(fd, 0, PAGES));
	ASSERT_EQ(0, cg_gone("a/c"));
	ASSERT_EQ(SV_BATCH / 2 * SV_PAGE, of_cgroup("a").stored);
	/* It is removed for good a little later. */
	ASSERT_EQ(0, limit_cgroup("a", MOST));
	ASSERT_TRUE(sv_wait_for(account(name).limit == NONE));
	ASSERT_EQ(MOST - SV_BATCH / 2, sv_pageout(fd, 0, PAGES));
	ASSERT_EQ(MOST * SV_PAGE, of_cgroup("a").stored);
	ASSERT_EQ(0, sv_check_range(map, 0, PAGES, SV_RANDOM, 1));
	sv_unmap(map, PAGES);
	close(fd);
	ASSERT_TRUE(sv_wait_for(!of_cgroup("a").stored));
	ASSERT_EQ(MOST * SV_PAGE, of_cgroup("a").limit);
}

static const char *const hog_drivers[] = { "ram", "test" };

/* Writes to all pages and pages them out, again and again. */
static void hog(void *arg)
{
	int round, fd = sv_create(arg, "", PAGES, SV_NO_LIMIT);
	char *map = sv_map_rw(fd, PAGES);

	for (round = 1; round <= (sv_long() ? 50 : 8); round++) {
		sv_fill_range(map, 0, PAGES, round % 2 ? SV_RANDOM : SV_TEXT, round);
		CHECK(sv_pageout(fd, 0, PAGES) >= 0);
		CHECK(!sv_punch(fd, 0, round % 3 ? PAGES / 4 : PAGES));
	}
}

/* Two swappers write for one limit, and somebody looks all the time. */
TEST_F_TIMEOUT(quota, never_exceeded, SV_LONG_TIMEOUT)
{
	uint64_t samples = 0, most = 0, stored;
	int i, status, left = 2;
	pid_t pids[2];

	if (strcmp(variant->driver, "ram"))
		SKIP(return, "it takes both drivers");
	make_child("a/c");
	make_child("a/d");
	ASSERT_EQ(0, limit_cgroup("a", MOST));
	for (i = 0; i < 2; i++)
		pids[i] = cg_start(i ? "a/d" : "a/c", hog, (void *)hog_drivers[i]);
	while (left) {
		stored = of_cgroup("a").stored;
		most = stored > most ? stored : most;
		samples++;
		for (i = 0; i < 2; i++) {
			if (!pids[i] || waitpid(pids[i], &status, WNOHANG) != pids[i])
				continue;
			EXPECT_EQ(0, status);
			pids[i] = 0;
			left--;
		}
	}
	ASSERT_LT(10, samples);
	ASSERT_LT(MOST / 2 * SV_PAGE, most);
	ASSERT_GE(MOST * SV_PAGE, most);
	ASSERT_LT(0, of_cgroup("a").refused);
	ASSERT_TRUE(sv_wait_for(!of_cgroup("a").stored));
}

/*
 * A batch is with its driver for long, which may store all of it yet: meanwhile another
 * driver gets what room is left besides.
 */
static uint64_t stored_beside_a_batch(struct __test_metadata *_metadata)
{
	struct sv_pageout_thread thread;
	char *slow_map, *map;
	int slow, fd;
	uint64_t stored;

	ASSERT_EQ(0, limit_cgroup("a", MOST));
	slow = region_of("a", "test", &slow_map);
	fd = region_of("a", "ram", &map);
	sv_set("block", 1);
	sv_pageout_start(&thread, slow, 0, SV_BATCH);
	ASSERT_TRUE(sv_wait_for(sv_get("blocked") == 1));
	ASSERT_LE(0, sv_pageout(fd, 0, PAGES));
	sv_set("block", 0);
	ASSERT_EQ(SV_BATCH, sv_pageout_join(&thread));
	stored = SV_STAT(slow, stored_bytes) + SV_STAT(fd, stored_bytes);
	ASSERT_TRUE(sv_wait_for(of_cgroup("a").stored == stored));
	ASSERT_EQ(0, sv_check_range(slow_map, 0, PAGES, SV_RANDOM, 1));
	ASSERT_EQ(0, sv_check_range(map, 0, PAGES, SV_RANDOM, 1));
	sv_unmap(slow_map, PAGES);
	sv_unmap(map, PAGES);
	close(slow);
	close(fd);
	EXPECT_TRUE(sv_wait_for(!of_cgroup("a").stored));
	return stored;
}

TEST_F(quota, beside_a_batch)
{
	if (strcmp(variant->driver, "ram"))
		SKIP(return, "it takes both drivers");
	ASSERT_EQ(MOST * SV_PAGE, stored_beside_a_batch(_metadata));
	/* Without a reservation both find room. */
	if (!sv_put_back("late_charge"))
		SKIP(return, "no flaws in this kernel");
	ASSERT_LT(MOST * SV_PAGE, stored_beside_a_batch(_metadata));
}

FIXTURE(user)
{
	struct sv_baseline base;
};

FIXTURE_SETUP(user)
{
	sv_begin(&self->base);
}

FIXTURE_TEARDOWN_PARENT(user)
{
	EXPECT_TRUE(no_accounts());
	EXPECT_TRUE(sv_end(&self->base));
}

#define SOMEBODY	4242

/* The creator counts, who pages out does not. */
TEST_F(user, creator)
{
	int fd, other;
	char *map, *others;

	ASSERT_EQ(0, setreuid(SOMEBODY, -1));
	fd = sv_create("test", "", PAGES, SV_NO_LIMIT);
	ASSERT_EQ(0, setreuid(0, -1));
	other = sv_create("test", "", PAGES, SV_NO_LIMIT);
	map = sv_map_rw(fd, PAGES);
	others = sv_map_rw(other, PAGES);
	sv_fill_range(map, 0, PAGES, SV_RANDOM, 1);
	sv_fill_range(others, 0, PAGES, SV_RANDOM, 2);
	ASSERT_EQ(0, sv_control("stored-limit user 4242 81920"));
	ASSERT_EQ(20, sv_pageout(fd, 0, PAGES));
	ASSERT_TRUE(sv_pageout_all(other));
	ASSERT_EQ(20 * SV_PAGE, account("user 4242").stored);
	ASSERT_EQ(20 * SV_PAGE, account("user 4242").limit);
	ASSERT_LT(0, account("user 4242").refused);
	ASSERT_EQ(PAGES * SV_PAGE, account("user 0").stored);
	ASSERT_EQ(0, account("user 0").refused);
	ASSERT_EQ(0, sv_control("stored-limit user 4242 none"));
	ASSERT_TRUE(sv_pageout_all(fd));
	ASSERT_EQ(PAGES * SV_PAGE, account("user 4242").stored);
	ASSERT_EQ(0, sv_check_range(map, 0, PAGES, SV_RANDOM, 1));
	ASSERT_EQ(0, sv_check_range(others, 0, PAGES, SV_RANDOM, 2));
}

TEST_F(user, control_is_checked)
{
	static const char * const bad[] = {
		"stored-limit", "stored-limit user", "stored-limit user 1", "stored-limit user x 1",
		"stored-limit user -1 1", "stored-limit user 4294967295 1",
		"stored-limit user 4294967296 1", "stored-limit user 1 x", "stored-limit user 1 -1",
		"stored-limit user 1 1 1", "stored-limit group 1 1", "stored-limit cgroup 1",
		"stored-limit cgroup a 1", "stored-limit cgroup /a x",
	};
	bool has_memcg = !cg_begin();
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ASSERT_EQ(-EINVAL, sv_control(bad[i]));
	EXPECT_TRUE(no_accounts());
	if (!has_memcg) {
		EXPECT_EQ(-ENODEV, sv_control("stored-limit cgroup / 1"));
		EXPECT_EQ(-ENODEV, sv_control("stored-limit cgroup 1 none"));
		return;
	}
	EXPECT_EQ(-ENOENT, sv_control("stored-limit cgroup /no_such_group 1"));
	EXPECT_EQ(-ENOENT, sv_control("stored-limit cgroup 123456789 1"));
	/* A cgroup without a memory controller. */
	cg_make("a/c");
	EXPECT_EQ(-ENODEV, sv_control("stored-limit cgroup /a/c 1"));
	EXPECT_TRUE(no_accounts());
	/* By its id, and with 0. */
	EXPECT_EQ(0, sv_control("stored-limit cgroup 1 0"));
	EXPECT_EQ(0, account("cgroup 1").limit);
	EXPECT_EQ(0, sv_control("stored-limit cgroup / none"));
	EXPECT_TRUE(cg_end());
}

SV_TEST_MAIN
