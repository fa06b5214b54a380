/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_VRING_OPS_H
#define WEIR_VRING_OPS_H
/**
 * @file
 * What a burst does to a virtqueue, one set of operations for both formats.
 *
 *     weir_vring_open(vr, packed, &at);
 *     while (weir_vring_has(vr, packed, &at)) {
 *             nr = weir_vring_take(vr, packed, &at, dir, iov, max, &chain, &len);
 *             ... nr < 0: the ring is broken; else use the pieces ...
 *             weir_vring_use(vr, packed, chain, bytes_written);
 *             weir_vring_next(vr, packed, &at, chain);
 *     }
 *     weir_vring_close(vr, &at);
 *     weir_vring_publish(vr, packed, n);        now, or when copies are done
 *     if (weir_vring_want_call(vr, packed))
 *             ... interrupt the guest ...
 *
 * and before a sleep:
 *
 *     weir_vring_want_kick(vr, packed, true);
 *     if (weir_vring_open(vr, packed, &at) == 0 && !weir_vring_has(vr, packed, &at))
 *             ... sleep until it kicks ...
 *
 * @p packed is the ring's own. Where the compiler knows it, as in a burst
 * function that is made for one format, nothing is left of the choice.
 *
 * Data plane, all of it. One thread at a time.
 */
#include "vring_packed.h"
#include "vring_split.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Look what the guest offers, before a burst.
 *
 * @return 0; -WEIR_VRING_AVAIL_IDX.
 */
WEIR_VRING_OP int
weir_vring_open(const struct weir_vring *vr, bool packed, struct weir_vring_at *at)
{
	return packed ? vring_packed_open(vr, at) : vring_split_open(vr, at);
}

/** True if there is a chain at @p at. */
WEIR_VRING_OP bool
weir_vring_has(const struct weir_vring *vr, bool packed, struct weir_vring_at *at)
{
	return packed ? vring_packed_has(vr, at) : vring_split_has(at);
}

/** At least as many as there are chains from @p at on, up to @p max. */
WEIR_VRING_OP uint16_t
weir_vring_count(const struct weir_vring *vr, bool packed, const struct weir_vring_at *at,
		 uint16_t max)
{
	return packed ? vring_packed_count(vr, at, max) : vring_split_count(at, max);
}

/**
 * Take the chain at @p at, whatever its shape.
 *
 * weir_vring_has() has just been true. Neither @p at nor the ring move: see
 * weir_vring_next().
 *
 * @param dir    VRING_DESC_F_WRITE: the device writes it; 0: reads it;
 *               WEIR_VRING_BOTH: pieces to read first, then those to write.
 * @param iov    Room for @p max pieces.
 * @param chain  Written on success.
 * @param len    Bytes of the whole chain, of WEIR_VRING_BOTH those to read,
 *               which end where a piece does. Written on success.
 * @return pieces, none of length 0, up to @p max; 0: an empty chain, which only
 *         one to be read can be; or a negated enum weir_vring_fault. With
 *         -WEIR_VRING_MISS @p chain is written, so that one can look behind it.
 */
WEIR_VRING_OP int
weir_vring_take(struct weir_vring *vr, bool packed, const struct weir_vring_at *at,
		uint16_t dir, struct weir_iov *iov, unsigned int max,
		struct weir_chain *chain, uint64_t *len)
{
	return packed ? vring_packed_gather(vr, at, dir, iov, max, chain, len)
		      : vring_split_any(vr, at, dir, iov, max, chain, len);
}

/** Go on behind a chain. */
WEIR_VRING_OP void
weir_vring_next(const struct weir_vring *vr, bool packed, struct weir_vring_at *at,
		struct weir_chain chain)
{
	if (packed)
		vring_packed_next(vr, at, chain);
	else
		vring_split_next(at, chain);
}

/** What was passed is taken: the next burst begins at @p at. */
WEIR_VRING_OP void
weir_vring_close(struct weir_vring *vr, const struct weir_vring_at *at)
{
	vr->last_avail = at->pos;
}

/** Where the next burst looks first: two addresses to ask for ahead, whatever is there.
 */
WEIR_VRING_OP void
weir_vring_ahead(const struct weir_vring *vr, const void *line[2])
{
	if (vr->packed) {
		line[0] = vring_packed_half(vr, vr->last_avail);
		line[1] = (const void *)((uintptr_t)line[0] + 64);
	} else {
		line[0] = &vr->avail->idx;
		line[1] = &vr->avail->ring[vr->last_avail & vr->mask];
	}
}

/** Note the next used entry; the guest does not see it yet. */
WEIR_VRING_OP void
weir_vring_use(struct weir_vring *vr, bool packed, struct weir_chain chain, uint32_t len)
{
	if (packed)
		vring_packed_use(vr, chain, len);
	else
		vring_split_use(vr, chain, len);
}

/**
 * Look at chains from @p at on, up to @p n, as far as each is one direct buffer
 * in one piece, of @p min to @p max bytes. Neither @p at nor the ring move.
 *
 * @param dir  VRING_DESC_F_WRITE: the device writes them; 0: reads them.
 * @param min  Not 0.
 * @param n    Up to WEIR_VRING_RUN.
 * @return chains in @p run. Fewer than asked for are not the last: ask again
 *         behind them, and if that is 0, see weir_vring_has().
 */
WEIR_VRING_OP uint16_t
weir_vring_run(struct weir_vring *vr, bool packed, const struct weir_vring_at *at,
	       uint16_t dir, uint32_t min, uint32_t max, struct weir_vring_run *run,
	       uint16_t n)
{
	return packed ? vring_packed_run(vr, at, dir, min, max, run, NULL, n)
		      : vring_split_run(vr, at, dir, min, max, run, NULL, n);
}

/**
 * As weir_vring_run(), and where each chain is for a DMA engine.
 *
 * @param iova  Room for WEIR_VRING_RUN; written as far as there are chains.
 */
WEIR_VRING_OP uint16_t
weir_vring_run_dma(struct weir_vring *vr, bool packed, const struct weir_vring_at *at,
		   uint16_t dir, uint32_t min, uint32_t max, struct weir_vring_run *run,
		   uint64_t *iova, uint16_t n)
{
	return packed ? vring_packed_run(vr, at, dir, min, max, run, iova, n)
		      : vring_split_run(vr, at, dir, min, max, run, iova, n);
}

/**
 * Take the first @p n chains of a run, give them back and let the guest see it.
 * No used entry is noted and unpublished.
 *
 * @param n  Not 0.
 */
WEIR_VRING_OP void
weir_vring_run_publish(struct weir_vring *vr, bool packed, struct weir_vring_at *at,
		       uint16_t dir, const struct weir_vring_run *run, uint16_t n)
{
	if (packed)
		vring_packed_run_publish(vr, at, dir, run, n);
	else
		vring_split_run_publish(vr, at, dir, run, n);
}

/** Used entries that were noted and not published. */
WEIR_VRING_OP uint16_t
weir_vring_unpublished(const struct weir_vring *vr)
{
	return (uint16_t)(vr->used_next - vr->used_idx);
}

/** Let the guest see @p n more used entries. */
WEIR_VRING_OP void
weir_vring_publish(struct weir_vring *vr, bool packed, uint16_t n)
{
	if (packed)
		vring_packed_publish(vr, n);
	else
		vring_split_publish(vr, n);
}

/** Used entries were published in the middle of a burst, which goes on at @p at. */
WEIR_VRING_OP void
weir_vring_again(const struct weir_vring *vr, bool packed, struct weir_vring_at *at)
{
	if (packed)
		vring_packed_again(vr, at);
}

/**
 * True if the guest wants to be called for what was published since the last
 * call. Contains a full fence.
 */
WEIR_VRING_OP bool
weir_vring_want_call(struct weir_vring *vr, bool packed)
{
	/* what was published must be visible before the guest's wish is read */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return packed ? vring_packed_want_call(vr) : vring_split_want_call(vr);
}

/** The guest will be called, whether it wants it or not: what was published until now
 * is not asked about again. */
WEIR_VRING_OP void
weir_vring_will_call(struct weir_vring *vr)
{
	vr->call_idx = vr->packed ? 0 : vr->used_idx;
}

/**
 * Ask the guest to kick for what it makes available from now on, or not to. It
 * may kick nevertheless. Contains a full fence: a look at the ring behind this
 * finds what the guest added before it saw the wish.
 */
WEIR_VRING_OP void
weir_vring_want_kick(struct weir_vring *vr, bool packed, bool on)
{
	if (packed)
		vring_packed_want_kick(vr, on);
	else
		vring_split_want_kick(vr, on);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

#ifdef __cplusplus
}
#endif
#endif /* WEIR_VRING_OPS_H */
