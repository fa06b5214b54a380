/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "map_impl.h"

/* Attempts at a region before a reader takes the map's lock. */
#define HOLD_TRIES 4

/* Regions that a walk copies at a time: about a leaf's. */
#define WALK_BATCH 16

/* Attempts at a root before a reader looks at whichever there is. */
#define SEE_TRIES 4

/* Sequentially consistent: see map_slots.h. */
static struct map_node *
root_load(struct weir_map *m)
{
	return atomic_load(&m->root);
}

/*
 * The count is the same before its version is named in the slot and after the root was
 * loaded: so that root is of that version, and a writer that retires it sees the name.
 */
struct map_slot *
map_enter(struct weir_map *m, struct map_node **root, uint64_t *seq)
{
	struct map_slot *slot = map_slots_enter(&m->slots);
	uint64_t now = atomic_load(&m->seq);

	for (unsigned int i = 0; i < SEE_TRIES; i++) {
		*seq = now;
		map_slot_see(slot, now / 2);
		*root = root_load(m);
		now = atomic_load(&m->seq);
		if (now == *seq && now % 2 == 0)
			return slot;
	}
	map_slot_see(slot, SEEN_ANY);
	*root = root_load(m);
	*seq = SEQ_NEVER;
	return slot;
}

/* Find the first region that ends at @at or later. @return false: there is none. */
static bool
region_find(struct weir_map *m, uint64_t at, struct weir_region *out)
{
	struct map_node *root;
	uint64_t seq;
	struct map_slot *slot = map_enter(m, &root, &seq);
	bool found = map_tree_find(root, at, out);

	map_slot_leave(slot);
	return found;
}

static bool
region_same(const struct weir_region *a, const struct weir_region *b)
{
	return a->iova.start == b->iova.start && a->iova.last == b->iova.last &&
	       a->hva == b->hva && a->chunk == b->chunk && a->prot == b->prot &&
	       a->refs == b->refs && a->owner == b->owner;
}

/*
 * Find a region and name it in the slot, until a look at the root after it was
 * named finds the same: then a writer that takes it away sees the name, and
 * nothing has come into the gap before it. A root that is the same says so
 * without a look: inside, no root is used again for another tree.
 *
 * @return 0; -ENOENT: there is none; -EAGAIN: it was another one each time.
 */
static int
hold_try(struct weir_map *m, struct map_slot *slot, uint64_t at, struct weir_region *r)
{
	struct map_node *root = root_load(m), *seen;
	struct weir_region now;

	if (!map_tree_find(root, at, r))
		return -ENOENT;
	for (unsigned int i = 0; i < HOLD_TRIES; i++) {
		map_slot_hold(slot, r->iova.start);
		map_lock_pass(&m->lock);
		seen = root;
		root = root_load(m);
		if (root == seen)
			return 0;
		if (!map_tree_find(root, at, &now))
			return -ENOENT;
		if (region_same(r, &now))
			return 0;
		*r = now;
	}
	return -EAGAIN;
}

/* The same with the map's lock: no root is stored meanwhile, one look will do. */
static int
hold_locked(struct weir_map *m, struct map_slot *slot, uint64_t at, struct weir_region *r)
{
	bool found;

	map_lock_take(&m->lock);
	found = map_tree_find(root_load(m), at, r);
	if (found)
		map_slot_hold(slot, r->iova.start);
	map_lock_drop(&m->lock);
	return found ? 0 : -ENOENT;
}

int
weir_map_hold(struct weir_map *m, uint64_t iova, struct weir_map_held *h)
{
	struct map_slot *slot;
	int ret;

	if (!map_slots_may_hold(&m->slots))
		return -EBUSY;
	slot = map_slots_enter(&m->slots);
	map_slot_see(slot, SEEN_ANY);
	ret = hold_try(m, slot, iova, &h->region);
	if (ret == -EAGAIN)
		ret = hold_locked(m, slot, iova, &h->region);
	map_slot_stay(slot);
	h->map = m;
	h->slot = slot;
	if (ret != 0)
		weir_map_release(h);
	return ret;
}

void
weir_map_release(struct weir_map_held *h)
{
	map_slot_release(h->slot);
	map_slots_held(&h->map->slots);
}

/* Copy the regions that end at @at or later, up to @max of them. @return how many. */
static size_t
regions_copy(struct weir_map *m, uint64_t at, struct weir_region *r, size_t max)
{
	struct map_node *root;
	uint64_t seq;
	struct map_slot *slot = map_enter(m, &root, &seq);
	struct map_pos pos;
	size_t nr = 0;
	bool more = map_tree_seek(root, at, &pos, &r[0]);

	while (more && ++nr < max)
		more = map_tree_next(&pos, &r[nr]);
	map_slot_leave(slot);
	return nr;
}

int
weir_map_walk(struct weir_map *m, weir_map_walk_t fn, void *arg)
{
	struct weir_region r[WALK_BATCH];
	uint64_t at = 0;
	size_t nr;
	int ret = 0;

	do {
		nr = regions_copy(m, at, r, WALK_BATCH);
		for (size_t i = 0; i < nr && ret == 0; i++)
			ret = fn(&r[i], arg);
		if (nr == 0 || r[nr - 1].iova.last == UINT64_MAX)
			break;
		at = r[nr - 1].iova.last + 1;
	} while (ret == 0);
	return ret;
}

void
weir_map_set_backends(struct weir_map *m, uint32_t backends)
{
	atomic_store(&m->backends, backends);
}

uint32_t
weir_map_backends(struct weir_map *m)
{
	return atomic_load(&m->backends);
}

/*
 * A region that was in the map while a backend followed it is in the backend. So
 * they are asked for before the map is looked at, and once more behind that.
 */
static bool
backends_follow(struct weir_map *m, uint32_t backends)
{
	return backends == 0 || (atomic_load(&m->backends) & backends) == backends;
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

	while (backends_follow(m, q->backends) && region_find(m, at, &r)) {
		if (!q->next && r.iova.start > q->iova)
			break;
		if (query_passes(q, &r) && backends_follow(m, q->backends)) {
			*out = r;
			return 0;
		}
		if (!q->next || r.iova.last == UINT64_MAX)
			break;
		at = r.iova.last + 1;
	}
	return -ENOENT;
}

static int
lookup_slow(struct weir_map *m, uint64_t iova, struct weir_map_hint *h)
{
	struct map_node *root;
	uint64_t seq;
	struct map_slot *slot = map_enter(m, &root, &seq);
	bool hit = map_tree_find(root, iova, &h->region) && h->region.iova.start <= iova;

	h->map = m;
	h->seq = hit ? seq : SEQ_NEVER;
	map_slot_leave(slot);
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
