/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SWAPVMA_HELPERS_MEMCG_H
#define _SWAPVMA_HELPERS_MEMCG_H

#include <linux/types.h>

struct list_lru;
struct mem_cgroup;
struct shrinker;

struct mem_cgroup *swapvma_memcg_of_current(void);
struct mem_cgroup *swapvma_memcg_charged(void);
void swapvma_memcg_get(struct mem_cgroup *memcg);
void swapvma_memcg_put(struct mem_cgroup *memcg);
struct mem_cgroup *swapvma_memcg_get_parent(struct mem_cgroup *memcg);
struct mem_cgroup *swapvma_memcg_find(u64 id, const char *path);
bool swapvma_memcg_is_removed(struct mem_cgroup *memcg);
u64 swapvma_memcg_id(struct mem_cgroup *memcg);
bool swapvma_memcg_is_root(struct mem_cgroup *memcg);
bool swapvma_memcg_is_short(struct mem_cgroup *memcg, unsigned long pages, bool of_high);
struct mem_cgroup *swapvma_memcg_enter(struct mem_cgroup *memcg);

u32 swapvma_user_of_current(void);
int swapvma_user_find(u32 uid, u32 *user);
bool swapvma_may_exceed_resources(void);

int swapvma_anchors_init(unsigned int size);
void swapvma_anchors_exit(void);
void *swapvma_anchors_alloc(struct list_lru *lru);
void swapvma_anchors_free(void *anchors);

int swapvma_list_lru_init(struct list_lru *lru, struct shrinker *shrinker);
void swapvma_count_reclaimable(int nid, long pages);
unsigned long swapvma_stall_begin(void);
void swapvma_stall_end(unsigned long flags);

#endif
