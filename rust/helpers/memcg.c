// SPDX-License-Identifier: GPL-2.0
/* Memory cgroups, and what else is inline or a macro of accounting. */
#include <linux/capability.h>
#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/list_lru.h>
#include <linux/memcontrol.h>
#include <linux/page_counter.h>
#include <linux/psi.h>
#include <linux/sched/mm.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>
#include <linux/vmstat.h>

#include "lockdep.h"
#include "memcg.h"

struct mem_cgroup *swapvma_memcg_of_current(void)
{
	return get_mem_cgroup_from_mm(current->mm);
}

struct mem_cgroup *swapvma_memcg_charged(void)
{
	return get_mem_cgroup_from_mm(NULL);
}

void swapvma_memcg_get(struct mem_cgroup *memcg)
{
#ifdef CONFIG_MEMCG
	if (memcg)
		css_get(&memcg->css);
#endif
}

void swapvma_memcg_put(struct mem_cgroup *memcg)
{
	mem_cgroup_put(memcg);
}

/* With a reference, or NULL. */
struct mem_cgroup *swapvma_memcg_get_parent(struct mem_cgroup *memcg)
{
	struct mem_cgroup *parent = NULL;

#ifdef CONFIG_MEMCG
	if (memcg)
		parent = parent_mem_cgroup(memcg);
#endif
	swapvma_memcg_get(parent);
	return parent;
}

/*
 * The cgroup at @path, or if that is NULL the one with that id, with a reference;
 * ENOENT, and ENODEV for one that has no memory controller.
 */
struct mem_cgroup *swapvma_memcg_find(u64 id, const char *path)
{
#ifdef CONFIG_MEMCG
	struct cgroup_subsys_state *css;
	struct cgroup *cgroup;
	bool has_own;

	if (mem_cgroup_disabled())
		return ERR_PTR(-ENODEV);
	cgroup = path ? cgroup_get_from_path(path) : cgroup_get_from_id(id);
	if (IS_ERR(cgroup))
		return ERR_CAST(cgroup);
	css = cgroup_get_e_css(cgroup, &memory_cgrp_subsys);
	has_own = css->cgroup == cgroup;
	cgroup_put(cgroup);
	if (has_own)
		return mem_cgroup_from_css(css);
	css_put(css);
#endif
	return ERR_PTR(-ENODEV);
}

bool swapvma_memcg_is_removed(struct mem_cgroup *memcg)
{
	return memcg && !mem_cgroup_online(memcg);
}

/* Users as the initial user namespace calls them. */
u32 swapvma_user_of_current(void)
{
	return from_kuid(&init_user_ns, current_uid());
}

int swapvma_user_find(u32 uid, u32 *user)
{
	kuid_t kuid = make_kuid(current_user_ns(), uid);

	if (!uid_valid(kuid))
		return -EINVAL;
	*user = from_kuid(&init_user_ns, kuid);
	return 0;
}

bool swapvma_may_exceed_resources(void)
{
	return capable(CAP_SYS_RESOURCE);
}

u64 swapvma_memcg_id(struct mem_cgroup *memcg)
{
	return mem_cgroup_disabled() ? 0 : mem_cgroup_id(memcg);
}

bool swapvma_memcg_is_root(struct mem_cgroup *memcg)
{
	return mem_cgroup_disabled() || !memcg || mem_cgroup_is_root(memcg);
}

bool swapvma_memcg_is_short(struct mem_cgroup *memcg, unsigned long pages, bool of_high)
{
#ifdef CONFIG_MEMCG
	if (mem_cgroup_disabled())
		return false;
	for (; memcg; memcg = parent_mem_cgroup(memcg)) {
		unsigned long limit = READ_ONCE(memcg->memory.max);

		if (of_high)
			limit = min(limit, READ_ONCE(memcg->memory.high));
		if (page_counter_read(&memcg->memory) + pages > limit)
			return true;
	}
#endif
	return false;
}

struct mem_cgroup *swapvma_memcg_enter(struct mem_cgroup *memcg)
{
	return set_active_memcg(memcg);
}

/*
 * What a cgroup has in a list_lru are lists that memcg_list_lru_alloc() allocates,
 * which is not exported. An object that is to be on such a list has them allocated
 * when it is allocated itself, on behalf of the cgroup that pays for it.
 */
static struct kmem_cache *swapvma_anchors;

int swapvma_anchors_init(unsigned int size)
{
	swapvma_anchors = kmem_cache_create("swapvma_anchors", size, 0, SLAB_ACCOUNT, NULL);
	return swapvma_anchors ? 0 : -ENOMEM;
}

void swapvma_anchors_exit(void)
{
	kmem_cache_destroy(swapvma_anchors);
}

void *swapvma_anchors_alloc(struct list_lru *lru)
{
	return kmem_cache_alloc_lru(swapvma_anchors, lru, GFP_KERNEL | __GFP_ZERO);
}

void swapvma_anchors_free(void *anchors)
{
	kmem_cache_free(swapvma_anchors, anchors);
}

/*
 * Lists of each cgroup, which @shrinker looks at. Where the core made it one that
 * does not know of cgroups, it has no id that a list could set a bit for.
 */
int swapvma_list_lru_init(struct list_lru *lru, struct shrinker *shrinker)
{
	int error;

#ifdef CONFIG_LOCKDEP
	lru->key = swapvma_list_lru_key();
#endif
	if (shrinker->flags & SHRINKER_MEMCG_AWARE)
		error = list_lru_init_memcg(lru, shrinker);
	else
		error = list_lru_init(lru);
	if (!error)
		swapvma_list_lru_set_class(lru, SWAPVMA_LRU_OWNERS);
	return error;
}

/* Pages of the node that reclaim may free, as in MemAvailable. */
void swapvma_count_reclaimable(int nid, long pages)
{
	mod_node_page_state(NODE_DATA(nid), NR_KERNEL_MISC_RECLAIMABLE, pages);
}

unsigned long swapvma_stall_begin(void)
{
	unsigned long flags;

	psi_memstall_enter(&flags);
	return flags;
}

void swapvma_stall_end(unsigned long flags)
{
	psi_memstall_leave(&flags);
}
