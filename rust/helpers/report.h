/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SWAPVMA_HELPERS_REPORT_H
#define _SWAPVMA_HELPERS_REPORT_H

#include <linux/types.h>

void swapvma_report_corrupt(u64 region, u64 index, u64 slot, const char *driver);

#endif
