/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PLAN_H
#define WEIR_PLAN_H
/**
 * @file
 * The algebra of the region map: what a map or an unmap would change.
 *
 * The caller gathers the regions that the request overlaps or abuts, and gives
 * them as an array; weir_plan_map() and weir_plan_unmap() answer with the
 * regions that go (a stretch of that array) and those that come instead, or
 * refuse. Nothing is changed, locked, allocated or logged here, so the whole
 * of chunk splitting, merging and counting is tested with plain arrays.
 *
 * What backends have to do is not an array: 256 GiB in chunks of 2 MiB are
 * 131072 pieces. weir_plan_begin() and weir_plan_next() cut them one at a time
 * out of the stretches whose count goes from 0 to 1 (map) or from 1 to 0
 * (unmap), at the borders of the chunks. They can be run any number of times,
 * so undoing the first n pieces is the same loop, ended after n.
 *
 * Pure functions: any thread.
 */
#include <stdbool.h>

#include "weir_map.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What a plan is of. */
enum weir_plan_op {
	WEIR_PLAN_MAP,	 /**< pieces are to be mapped */
	WEIR_PLAN_UNMAP, /**< pieces are to be unmapped */
};

/** Regions that can come in the place of @p nr_old at most. */
#define WEIR_PLAN_MAX_ADD(nr_old) (2 * (nr_old) + 3)

/** A request, and what it changes. */
struct weir_plan {
	enum weir_plan_op op;
	struct weir_region req; /**< what was asked; of an unmap only iova counts */

	/** In: the regions that share a byte with req.iova or abut it, sorted. */
	const struct weir_region *old;
	size_t nr_old;
	/** In: room for WEIR_PLAN_MAX_ADD(nr_old) regions. */
	struct weir_region *buf;

	const struct weir_region *del; /**< regions that go, in order of iova */
	size_t nr_del;
	const struct weir_region *add; /**< regions that come, in order of iova */
	size_t nr_add;
};

/** One entry that a backend is asked to map or unmap. */
struct weir_piece {
	struct weir_range iova;
	uint64_t hva;
	uint32_t prot; /**< WEIR_PROT_* */
};

/** Where an iteration over a plan's pieces is. Any value; do not look inside. */
struct weir_plan_iter {
	const struct weir_plan *plan;
	size_t next;		 /* of plan->old */
	struct weir_range todo;	 /* of the request, not looked at yet */
	struct weir_region rest; /* of the current stretch */
	bool has_todo;
	bool has_rest;
};

/**
 * Check a region as such: what holds for it whatever is mapped.
 *
 * @return 0; -EINVAL: iova, hva, length or chunk are no multiples of
 *         WEIR_MAP_PAGE, iova is empty, or prot is 0 or has unknown bits;
 *         -EOVERFLOW: hva wraps, or the length does not fit in 64 bits.
 */
int weir_region_check(const struct weir_region *r);

/** Entries that a region is for a backend: chunks, 1 where chunk is 0. */
uint64_t weir_region_pieces(const struct weir_region *r);

/**
 * Cut the first piece off a region.
 *
 * @param rest   In: a region. Out: what is left of it.
 * @return true if something is left; else @p rest is not touched.
 */
bool weir_region_cut(struct weir_region *rest, struct weir_piece *piece);

/**
 * Plan to map @p r.
 *
 * @param p  In: old, nr_old, buf. Out, on success: everything else.
 * @return 0; what weir_region_check() says;
 *         -EEXIST: part of it leads elsewhere, or has another prot or chunk, or
 *         borders of its pieces elsewhere;
 *         -EOVERFLOW: it was mapped 2^32-1 times already.
 */
int weir_plan_map(struct weir_plan *p, const struct weir_region *r);

/**
 * Plan to unmap @p iova.
 *
 * @param p  In: old, nr_old, buf. Out, on success: everything else.
 * @return 0; -EINVAL: the range is empty or unaligned; -ENOENT: not every byte
 *         is mapped; -ENOTSUP: it begins or ends inside a chunk.
 */
int weir_plan_unmap(struct weir_plan *p, struct weir_range iova);

/** Begin to iterate over the pieces of a plan that succeeded. */
void weir_plan_begin(const struct weir_plan *p, struct weir_plan_iter *it);

/** Take the next piece. @return false: there is none. */
bool weir_plan_next(struct weir_plan_iter *it, struct weir_piece *piece);

/**
 * Take the next stretch whose pieces are to be mapped or unmapped whole.
 *
 * Not to be mixed with weir_plan_next() in one iteration.
 * @return false: there is none.
 */
bool weir_plan_next_run(struct weir_plan_iter *it, struct weir_region *run);

#ifdef __cplusplus
}
#endif
#endif /* WEIR_PLAN_H */
