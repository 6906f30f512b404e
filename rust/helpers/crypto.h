/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SWAPVMA_HELPERS_CRYPTO_H
#define _SWAPVMA_HELPERS_CRYPTO_H

#include <linux/types.h>

struct crypto_acomp;
struct scatterlist;

struct crypto_acomp *swapvma_acomp_alloc(const char *name);
void swapvma_acomp_free(struct crypto_acomp *tfm);
int swapvma_acomp_compress(struct crypto_acomp *tfm, const u8 *src, u32 slen,
			   u8 *dst, u32 dlen);
int swapvma_acomp_decompress(struct crypto_acomp *tfm, struct scatterlist *src,
			     u32 slen, u8 *dst, u32 dlen);
int swapvma_acomp_decompress_bytes(struct crypto_acomp *tfm, const u8 *src,
				   u32 slen, u8 *dst, u32 dlen);
int swapvma_random(void *to, size_t len);
void swapvma_wipe(void *secret, size_t len);
unsigned long swapvma_direct_map(void);

#endif
