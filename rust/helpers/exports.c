// SPDX-License-Identifier: GPL-2.0
/* What drivers in other modules link to; see include/swapvma/. */
#include <linux/export.h>
#include <swapvma/driver.h>
#include <swapvma/lockdep.h>
#include <swapvma/region.h>

EXPORT_SYMBOL_GPL(swapvma_register_driver);
EXPORT_SYMBOL_GPL(swapvma_unregister_driver);
EXPORT_SYMBOL_GPL(swapvma_batch_len);
EXPORT_SYMBOL_GPL(swapvma_batch_index);
EXPORT_SYMBOL_GPL(swapvma_batch_page);
EXPORT_SYMBOL_GPL(swapvma_batch_copy);
EXPORT_SYMBOL_GPL(swapvma_batch_length);
EXPORT_SYMBOL_GPL(swapvma_batch_answer);
EXPORT_SYMBOL_GPL(swapvma_batch_complete);
EXPORT_SYMBOL_GPL(swapvma_batch_alloc_page);
EXPORT_SYMBOL_GPL(swapvma_batch_frees);
EXPORT_SYMBOL_GPL(swapvma_read_index);
EXPORT_SYMBOL_GPL(swapvma_read_slot);
EXPORT_SYMBOL_GPL(swapvma_read_length);
EXPORT_SYMBOL_GPL(swapvma_read_page);
EXPORT_SYMBOL_GPL(swapvma_read_fill);
EXPORT_SYMBOL_GPL(swapvma_read_complete);
EXPORT_SYMBOL_GPL(swapvma_region_create);
EXPORT_SYMBOL_GPL(swapvma_region_put);
EXPORT_SYMBOL_GPL(swapvma_region_mmap);
EXPORT_SYMBOL_GPL(swapvma_region_pin);
EXPORT_SYMBOL_GPL(swapvma_region_unpin);

EXPORT_SYMBOL_GPL(swapvma_irqs_off_save);
EXPORT_SYMBOL_GPL(swapvma_irqs_off_restore);
#ifdef CONFIG_LOCKDEP
EXPORT_SYMBOL_GPL(swapvma_remote_wait);
EXPORT_SYMBOL_GPL(swapvma_callback_begin);
EXPORT_SYMBOL_GPL(swapvma_callback_end);
#endif
