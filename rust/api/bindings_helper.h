/* SPDX-License-Identifier: GPL-2.0 */
/* What bindgen reads for the crate swapvma_driver. */
#include <swapvma/driver.h>
#include <swapvma/lockdep.h>
#include <swapvma/region.h>
