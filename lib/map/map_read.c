/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "map_impl.h"

/* Attempts at a region before a reader takes the map's lock. */
#define HOLD_TRIES 4

/* A sequence count that no map gets to. */
#define SEQ_NEVER UINT64_MAX

/* Sequentially consistent: see map_grace.h. */
static struct map_node *
root_load(struct weir_map *m)
{
	return atomic_load(&m->root);
}

/* True if nothing was published since @seq was loaded. */
static bool
seq_same(struct weir_map *m, uint64_t seq)
{
	return (seq & 1) == 0 && atomic_load(&m->seq) == seq;
}

/*
 * One attempt to hold the first region that ends at @at or later, inside a
 * section. @return true: *@out is it, or NULL if there is none.
 *
 * A region that is held is in the map: the writer marks those that go before
 * it publishes. A gap in front of it is another matter: a region may have come
 * into it between the look at the tree and the lock. If the sequence count
 * has moved since, the gap is not believed.
 */
static bool
hold_try(struct weir_map *m, uint64_t at, struct weir_map_held **out)
{
	uint64_t seq = atomic_load(&m->seq);
	struct weir_map_held *h = map_tree_find(root_load(m), at);

	*out = h;
	if (h == NULL)
		return seq_same(m, seq);
	if (!held_try(&h->lock))
		return false;
	if (h->r.iova.start <= at || seq_same(m, seq))
		return true;
	held_drop(&h->lock);
	return false;
}

static struct weir_map_held *
hold(struct weir_map *m, uint64_t at)
{
	unsigned int slot = map_grace_enter(&m->grace);
	struct weir_map_held *h;
	bool ok = false;

	for (unsigned int i = 0; i < HOLD_TRIES && !ok; i++)
		ok = hold_try(m, at, &h);
	if (!ok) {
		/* nothing is published meanwhile: this attempt cannot fail */
		map_lock_take(&m->lock);
		hold_try(m, at, &h);
		map_lock_drop(&m->lock);
	}
	map_grace_leave(&m->grace, slot);
	return h;
}

struct weir_map_held *
weir_map_hold(struct weir_map *m, uint64_t iova, const struct weir_region **out)
{
	struct weir_map_held *h = hold(m, iova);

	if (h != NULL)
		*out = &h->r;
	return h;
}

void
weir_map_release(struct weir_map_held *h)
{
	held_drop(&h->lock);
}

/* Copy the first region that ends at @at or later. @return false: there is none. */
static bool
region_copy(struct weir_map *m, uint64_t at, struct weir_region *out)
{
	struct weir_map_held *h = hold(m, at);

	if (h == NULL)
		return false;
	*out = h->r;
	held_drop(&h->lock);
	return true;
}

int
weir_map_walk(struct weir_map *m, weir_map_walk_t fn, void *arg)
{
	struct weir_region r;
	uint64_t at = 0;
	int ret = 0;

	while (ret == 0 && region_copy(m, at, &r)) {
		ret = fn(&r, arg);
		if (r.iova.last == UINT64_MAX)
			break;
		at = r.iova.last + 1;
	}
	return ret;
}

static bool
query_passes(const struct weir_map_query *q, const struct weir_region *r)
{
	return (r->prot & q->prot) == q->prot && (!q->by_owner || r->owner == q->owner);
}

int
weir_map_query(struct weir_map *m, const struct weir_map_query *q,
	       struct weir_region *out)
{
	struct weir_region r;
	uint64_t at = q->iova;

	while (region_copy(m, at, &r)) {
		if (!q->next && r.iova.start > q->iova)
			break;
		if (query_passes(q, &r)) {
			*out = r;
			return 0;
		}
		if (!q->next || r.iova.last == UINT64_MAX)
			break;
		at = r.iova.last + 1;
	}
	return -ENOENT;
}

/* Look up without holding: regions do not change, and a hit is in the map. */
static int
lookup_slow(struct weir_map *m, uint64_t iova, struct weir_map_hint *h)
{
	unsigned int slot = map_grace_enter(&m->grace);
	uint64_t seq = atomic_load(&m->seq);
	const struct weir_map_held *e = map_tree_find(root_load(m), iova);
	bool hit = e != NULL && e->r.iova.start <= iova;

	if (hit) {
		h->map = m;
		/* an answer of a moment when the map changed is not remembered */
		h->seq = seq_same(m, seq) ? seq : SEQ_NEVER;
		h->region = e->r;
	}
	map_grace_leave(&m->grace, slot);
	return hit ? 0 : -ENOENT;
}

int
weir_map_lookup(struct weir_map *m, uint64_t iova, struct weir_map_hint *h)
{
	if (h->map == m &&
	    atomic_load_explicit(&m->seq, memory_order_acquire) == h->seq &&
	    weir_range_has(h->region.iova, iova))
		return 0;
	return lookup_slow(m, iova, h);
}

size_t
weir_map_regions(const struct weir_map *m)
{
	return atomic_load_explicit(&m->nr_regions, memory_order_relaxed);
}

int
weir_region_print(char *buf, size_t len, const struct weir_region *r)
{
	return snprintf(buf, len,
			"%" PRIx64 "-%" PRIx64 " %c%c %" PRIx64 " %" PRIx64 " %" PRIu32
			" %" PRIu32,
			r->iova.start, r->iova.last + 1,
			(r->prot & WEIR_PROT_READ) != 0 ? 'r' : '-',
			(r->prot & WEIR_PROT_WRITE) != 0 ? 'w' : '-', r->hva, r->chunk,
			r->refs, r->owner);
}
