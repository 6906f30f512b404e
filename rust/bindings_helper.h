/* SPDX-License-Identifier: GPL-2.0 */
/* What the module's own run of bindgen reads. */
#include <linux/fs.h>
#include <linux/fadvise.h>
#include <linux/falloc.h>
#include <linux/mm.h>
#include <linux/list_lru.h>
#include <linux/zsmalloc.h>

#include <swapvma/driver.h>
#include <linux/swapvma.h>

#include "helpers/crypto.h"
#include "helpers/fs.h"
#include "helpers/lockdep.h"
#include "helpers/mm.h"
