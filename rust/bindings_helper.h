/* SPDX-License-Identifier: GPL-2.0 */
/* What the module's own run of bindgen reads. */
#include <linux/fs.h>
#include <linux/fadvise.h>
#include <linux/falloc.h>
#include <linux/mm.h>
#include <linux/list_lru.h>
#include <linux/oom.h>
#include <linux/xxhash.h>
#include <linux/zsmalloc.h>

#include <crypto/chacha20poly1305.h>

#include <swapvma/driver.h>
#include <swapvma/region.h>
#include <linux/swapvma.h>

#include "helpers/crypto.h"
#include "helpers/fs.h"
#include "helpers/lockdep.h"
#include "helpers/memcg.h"
#include "helpers/mm.h"
#include "helpers/report.h"
#include "helpers/sleep.h"

/* bindgen cannot evaluate macros that contain sizeof. */
const u32 SWAPVMA_CMD_CREATE = SWAPVMA_IOC_CREATE;
const u32 SWAPVMA_CMD_SET_LIMIT = SWAPVMA_IOC_SET_LIMIT;
const u32 SWAPVMA_CMD_PAGEOUT = SWAPVMA_IOC_PAGEOUT;
const u32 SWAPVMA_CMD_PREFETCH = SWAPVMA_IOC_PREFETCH;
const u32 SWAPVMA_CMD_STATS = SWAPVMA_IOC_STATS;
const u32 SWAPVMA_CMD_ADD_DRIVER = SWAPVMA_IOC_ADD_DRIVER;
