// SPDX-License-Identifier: GPL-2.0
/* What drivers in other modules link to; see include/swapvma/driver.h. */
#include <linux/export.h>
#include <swapvma/driver.h>

EXPORT_SYMBOL_GPL(swapvma_register_driver);
EXPORT_SYMBOL_GPL(swapvma_unregister_driver);
EXPORT_SYMBOL_GPL(swapvma_batch_len);
EXPORT_SYMBOL_GPL(swapvma_batch_index);
EXPORT_SYMBOL_GPL(swapvma_batch_page);
EXPORT_SYMBOL_GPL(swapvma_batch_answer);
EXPORT_SYMBOL_GPL(swapvma_batch_complete);
