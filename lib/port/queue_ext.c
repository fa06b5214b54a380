/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames in external buffers (rte_pktmbuf_attach_extbuf()), on a queue with a channel.
 *
 * An mbuf of a pool is contiguous for an engine, since the pool is made that way. An
 * external buffer is what its owner gave, with the address of its first byte: it may
 * be longer than a page, and pages next to each other need not be so for an engine
 * that takes physical addresses. So its copies are cut where EAL says that a page ends,
 * and what has no address is the CPU's.
 */
#include <rte_memory.h>

#include "queue.h"
#include "queue_copy.h"

/*
 * An engine's address of bytes of ours, and in *len how many it is good for.
 * RTE_BAD_IOVA: it has none. @p said: by their owner, for the first of them.
 */
static rte_iova_t
stretch(const void *p, rte_iova_t said, uint32_t *len)
{
	const struct rte_memseg_list *msl;
	const struct rte_memseg *ms;
	uint64_t off;

	/* iovas are virtual addresses, and as contiguous as these */
	if (said == (uintptr_t)p)
		return said;
	msl = rte_mem_virt2memseg_list(p);
	/* of memory that EAL does not know only its owner knows more */
	if (msl == NULL)
		return said;
	ms = rte_mem_virt2memseg(p, msl);
	if (ms == NULL || ms->iova == RTE_BAD_IOVA)
		return RTE_BAD_IOVA;
	off = (uintptr_t)p - ms->addr_64;
	*len = (uint32_t)RTE_MIN((uint64_t)*len, ms->len - off);
	return ms->iova + off;
}

uint64_t
queue_copy_ext(struct weir_queue *q, const struct rte_mbuf *m, struct weir_copy_piece p,
	       bool to_guest)
{
	const bool known = rte_mbuf_iova_get(m) != RTE_BAD_IOVA;
	uint64_t last = 0;

	while (p.len != 0) {
		struct weir_copy_piece part = p;
		rte_iova_t *host = to_guest ? &part.src_iova : &part.dst_iova;

		*host = stretch(to_guest ? p.src : p.dst, known ? *host : RTE_BAD_IOVA,
				&part.len);
		if (*host != RTE_BAD_IOVA)
			last = RTE_MAX(last, copy_piece(q, QUEUE_CHAN, part));
		else
			copy_piece_cpu(q, part);
		p.dst = (char *)p.dst + part.len;
		p.src = (const char *)p.src + part.len;
		p.dst_iova += part.len;
		p.src_iova += part.len;
		p.len -= part.len;
	}
	return last;
}
