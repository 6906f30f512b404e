// SPDX-License-Identifier: GPL-2.0
/*
 * Inline functions and macros of the compression API that Rust cannot call.
 *
 * A request lives on the stack: nothing is allocated for a page.
 */
#include <crypto/acompress.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/scatterlist.h>
#include <linux/string.h>

#include "crypto.h"

/*
 * Only codecs that finish before they return and that take any kernel address:
 * the others would copy, or allocate a request.
 */
struct crypto_acomp *swapvma_acomp_alloc(const char *name)
{
	return crypto_alloc_acomp(name, CRYPTO_ALG_REQ_VIRT,
				  CRYPTO_ALG_REQ_VIRT | CRYPTO_ALG_ASYNC);
}

void swapvma_acomp_free(struct crypto_acomp *tfm)
{
	crypto_free_acomp(tfm);
}

/*
 * As ACOMP_REQUEST_ON_STACK(), but kernels that clear what is on the stack do not
 * clear it first: what the codecs read is set below.
 */
#define REQUEST_ON_STACK(name, tfm)						\
	char __##name##_req[sizeof(struct acomp_req) + MAX_SYNC_COMP_REQSIZE]	\
		CRYPTO_MINALIGN_ATTR __uninitialized;				\
	struct acomp_req *name =						\
		acomp_request_on_stack_init(__##name##_req, (tfm))

/* Returns the bytes written to @dst, or a negative errno. */
int swapvma_acomp_compress(struct crypto_acomp *tfm, const u8 *src, u32 slen,
			   u8 *dst, u32 dlen)
{
	REQUEST_ON_STACK(req, tfm);
	int err;

	acomp_request_set_src_nondma(req, src, slen);
	acomp_request_set_dst_nondma(req, dst, dlen);
	err = crypto_acomp_compress(req);
	return err ? err : req->dlen;
}

/* Returns the bytes written to @dst, or a negative errno. */
int swapvma_acomp_decompress(struct crypto_acomp *tfm, struct scatterlist *src,
			     u32 slen, u8 *dst, u32 dlen)
{
	REQUEST_ON_STACK(req, tfm);
	int err;

	acomp_request_set_src_sg(req, src, slen);
	acomp_request_set_dst_nondma(req, dst, dlen);
	err = crypto_acomp_decompress(req);
	return err ? err : req->dlen;
}

/* As above, from @slen bytes that follow one another. */
int swapvma_acomp_decompress_bytes(struct crypto_acomp *tfm, const u8 *src,
				   u32 slen, u8 *dst, u32 dlen)
{
	REQUEST_ON_STACK(req, tfm);
	int err;

	acomp_request_set_src_nondma(req, src, slen);
	acomp_request_set_dst_nondma(req, dst, dlen);
	err = crypto_acomp_decompress(req);
	return err ? err : req->dlen;
}

/* May sleep until the kernel has gathered entropy; 0 or -ERESTARTSYS. */
int swapvma_random(void *to, size_t len)
{
	return get_random_bytes_wait(to, len);
}

void swapvma_wipe(void *secret, size_t len)
{
	memzero_explicit(secret, len);
}

/* Where the mapping of all memory begins; fixed at boot. */
unsigned long swapvma_direct_map(void)
{
	return PAGE_OFFSET;
}
