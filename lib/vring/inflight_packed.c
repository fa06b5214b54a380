/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A packed ring whose place outlives this process.
 *
 * The area is at rest when no entry is marked, both places are the same, both
 * heads are 0 and entry i leads to entry i + 1: all of them are free. To publish
 * one chain moves the place only. To publish several at once,
 *
 *     their descriptors are copied to the first entries, and those behind them
 *     become the list of the free ones, old_free_head;
 *     the chains are marked                        nothing was written to the ring
 *     the place is about to move                   they count: they are put back
 *     their used entries are written, the first one last
 *                                                  they do not: free_head is 0, so
 *     the marks are taken away                     all entries are free, marked or not
 *     heads and place are at rest
 *
 * A store is seen if those before it are, which a process that is killed cannot
 * break; so what is ordered here is ordered for the compiler and for guests.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "vring_packed.h"
#include "weir_fail.h"
#include "weir_inflight.h"

_Static_assert(sizeof(struct weir_inflight_packed_desc) == 32,
	       "as the specification has it");
_Static_assert(offsetof(struct weir_inflight_packed, heads.free_head) == 12 &&
		       offsetof(struct weir_inflight_packed, place.used_idx) == 16 &&
		       offsetof(struct weir_inflight_packed,
				place.old_used_wrap_counter) == 21 &&
		       offsetof(struct weir_inflight_packed, desc) == 32,
	       "likewise");

/* Shared memory is read once. */
#define ONCE(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define PUT(x, v) __atomic_store_n(&(x), v, __ATOMIC_RELAXED)
#define PUT_AFTER(x, v) __atomic_store_n(&(x), v, __ATOMIC_RELEASE)

/* Behind all that was stored before. */
static void
place_put(struct weir_inflight_packed *a, uint16_t used, uint16_t old)
{
	const union weir_inflight_place p = {
		.used_idx = used & WEIR_VRING_POS_IDX,
		.old_used_idx = old & WEIR_VRING_POS_IDX,
		.used_wrap_counter = (used & WEIR_VRING_POS_WRAP) != 0,
		.old_used_wrap_counter = (old & WEIR_VRING_POS_WRAP) != 0,
	};

	PUT_AFTER(a->place.word, p.word);
}

static void
heads_put(struct weir_inflight_packed *a, uint16_t free_head, uint16_t old)
{
	const union weir_inflight_heads h = { .free_head = free_head,
					      .old_free_head = old };

	PUT_AFTER(a->heads.word, h.word);
}

static uint16_t
place_join(uint16_t idx, uint8_t wrap)
{
	return (uint16_t)(idx | (wrap != 0 ? WEIR_VRING_POS_WRAP : 0));
}

/* A chain that was in flight, on its way into order. */
struct taken {
	uint64_t counter;
	uint16_t head, num, last;
};

/* What an area says, read once. */
struct reading {
	uint16_t place;
	uint16_t free_head;
	uint16_t nr;	  /* chains in flight */
	uint16_t nr_desc; /* their descriptors */
	bool *free;
	struct taken *chain;
	struct vring_packed_desc *desc;
};

static int
taken_order(const void *a, const void *b)
{
	const struct taken *x = a, *y = b;

	if (x->counter != y->counter)
		return x->counter < y->counter ? -1 : 1;
	return x->head < y->head ? -1 : 1;
}

/* Whether the last batch came about: then its first used entry was written. */
static bool
batch_published(const struct weir_vring *vr, uint16_t old)
{
	const uint16_t owner = VRING_PACKED_AVAIL | VRING_PACKED_USED;
	uint16_t flags = ONCE(vr->packed_desc[old & WEIR_VRING_POS_IDX].flags);

	return (flags & owner) != vring_packed_offer(old);
}

/* Places, and the free entries. */
static int
read_place(const struct weir_inflight_packed *a, uint16_t size,
	   const struct weir_vring *vr, struct reading *r)
{
	const union weir_inflight_heads h = { .word = ONCE(a->heads.word) };
	const union weir_inflight_place p = { .word = ONCE(a->place.word) };
	uint16_t used = place_join(p.used_idx, p.used_wrap_counter);
	uint16_t old = place_join(p.old_used_idx, p.old_used_wrap_counter);
	uint16_t at;

	if (p.used_idx >= vr->size || p.old_used_idx >= vr->size)
		return -EPROTO;
	/* also if all descriptors were used at once, and only the counters differ */
	if (used != old && batch_published(vr, old)) {
		r->place = used;
		r->free_head = h.free_head;
	} else {
		r->place = old;
		r->free_head = h.old_free_head;
	}
	at = r->free_head;
	for (uint32_t i = 0; i < size && at < size; i++) {
		r->free[at] = true;
		at = ONCE(a->desc[at].next);
	}
	return 0;
}

/* The descriptors of a chain in flight. */
static int
read_chain(const struct weir_inflight_packed *a, uint16_t size,
	   const struct weir_vring *vr, struct reading *r, struct taken *t)
{
	uint16_t at = t->head;

	if (t->num == 0 || t->num > vr->size - r->nr_desc)
		return -EPROTO;
	for (uint16_t i = 0; i < t->num; i++) {
		const struct weir_inflight_packed_desc *d;

		if (at >= size)
			return -EPROTO;
		d = &a->desc[at];
		r->desc[r->nr_desc++] = (struct vring_packed_desc){
			.addr = ONCE(d->addr),
			.len = ONCE(d->len),
			.id = ONCE(d->id),
			.flags = ONCE(d->flags),
		};
		t->last = at;
		at = ONCE(d->next);
	}
	return 0;
}

static int
read_chains(const struct weir_inflight_packed *a, uint16_t size,
	    const struct weir_vring *vr, struct reading *r)
{
	int ret = 0;

	for (uint16_t i = 0; i < size; i++)
		if (!r->free[i] && ONCE(a->desc[i].inflight) != 0)
			r->chain[r->nr++] = (struct taken){
				.counter = ONCE(a->desc[i].counter),
				.head = i,
				.num = ONCE(a->desc[i].num),
			};
	qsort(r->chain, r->nr, sizeof(r->chain[0]), taken_order);
	for (uint16_t i = 0; i < r->nr && ret == 0; i++)
		ret = read_chain(a, size, vr, r, &r->chain[i]);
	return ret;
}

/*
 * Write the chains into the ring, from its place on. The area says the same until
 * all of them are there; then that none is in flight, by one store: all are added to
 * the list of the free entries.
 */
static void
put_back(struct weir_inflight_packed *a, const struct weir_vring *vr,
	 const struct reading *r)
{
	const uint16_t owner = VRING_PACKED_AVAIL | VRING_PACKED_USED;
	uint16_t pos = r->place;

	for (uint16_t i = 0; i < r->nr_desc; i++) {
		struct vring_packed_desc *d = &vr->packed_desc[pos & WEIR_VRING_POS_IDX];

		PUT(d->addr, r->desc[i].addr);
		PUT(d->len, r->desc[i].len);
		PUT(d->id, r->desc[i].id);
		PUT(d->flags,
		    (uint16_t)((r->desc[i].flags & ~owner) | vring_packed_offer(pos)));
		pos = vring_packed_pos(vr, pos, 1);
	}
	for (uint16_t i = 0; i < r->nr; i++)
		PUT(a->desc[r->chain[i].last].next,
		    i + 1 < r->nr ? r->chain[i + 1].head : r->free_head);
	heads_put(a, r->chain[0].head, r->chain[0].head);
}

/* No chain is in flight, whatever is marked: all entries are free. */
static void
area_rest(struct weir_inflight_packed *a, uint16_t size, uint16_t place)
{
	for (uint16_t i = 0; i < size; i++)
		PUT(a->desc[i].inflight, 0);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (uint16_t i = 0; i < size; i++)
		PUT(a->desc[i].next, (uint16_t)(i + 1));
	heads_put(a, 0, 0);
	place_put(a, place, place);
}

void
weir_inflight_packed_begin(struct weir_inflight_packed *area, uint16_t size,
			   struct weir_vring *vr)
{
	PUT(area->nr_desc, size);
	area_rest(area, size, vr->used_pos);
	PUT_AFTER(area->version, WEIR_INFLIGHT_VERSION);
	vr->kept = area;
}

static int
reading_alloc(struct reading *r, uint16_t size, const struct weir_vring *vr)
{
	r->free = weir_calloc(size, sizeof(*r->free));
	r->chain = weir_calloc(size, sizeof(*r->chain));
	r->desc = weir_calloc(vr->size, sizeof(*r->desc));
	return r->free != NULL && r->chain != NULL && r->desc != NULL ? 0 : -ENOMEM;
}

static void
reading_free(struct reading *r)
{
	free(r->free);
	free(r->chain);
	free(r->desc);
}

int
weir_inflight_packed_take(struct weir_inflight_packed *area, uint16_t size,
			  struct weir_vring *vr, uint16_t *nr)
{
	const uint16_t version = ONCE(area->version);
	struct reading r = { 0 };
	int ret;

	if (version == 0) {
		weir_inflight_packed_begin(area, size, vr);
		*nr = 0;
		return 0;
	}
	if (version != WEIR_INFLIGHT_VERSION || ONCE(area->nr_desc) != size)
		return -EPROTO;
	ret = reading_alloc(&r, size, vr);
	if (ret == 0)
		ret = read_place(area, size, vr, &r);
	if (ret == 0)
		ret = read_chains(area, size, vr, &r);
	if (ret != 0)
		goto out;
	/* from here on it does not matter what the ring's flags say */
	heads_put(area, r.free_head, r.free_head);
	place_put(area, r.place, r.place);
	if (r.nr != 0)
		put_back(area, vr, &r);
	area_rest(area, size, r.place);
	vr->used_pos = r.place;
	vr->last_avail = r.place;
	vr->kept = area;
	*nr = r.nr;
out:
	reading_free(&r);
	return ret;
}

/* Publish a chain. @return the place behind it. */
static uint16_t
publish_one(struct weir_vring *vr, uint16_t pos, uint16_t nr, uint64_t word)
{
	const uint16_t to = vring_packed_pos(vr, pos, nr);

	place_put(vr->kept, to, pos);
	PUT_AFTER(*vring_packed_half(vr, pos), word);
	return to;
}

/* Keep the next n chains, all of whose descriptors the ring still has.
 * @return their descriptors. */
static uint16_t
unit_keep(struct weir_vring *vr, uint16_t n)
{
	struct weir_inflight_packed_desc *desc = vr->kept->desc;
	uint16_t pos = vr->used_pos, at = 0, head = 0;

	for (uint16_t i = 0; i < n; i++) {
		const uint16_t nr =
			vr->shadow[(uint16_t)(vr->used_idx + i) & vr->mask].chain.nr;

		PUT(desc[at].counter, i);
		PUT(desc[at].num, nr);
		PUT(desc[at].last, (uint16_t)(at + nr - 1));
		for (uint16_t j = 0; j < nr; j++, at++) {
			const struct vring_packed_desc *d =
				&vr->packed_desc[pos & WEIR_VRING_POS_IDX];

			PUT(desc[at].addr, ONCE(d->addr));
			PUT(desc[at].len, ONCE(d->len));
			PUT(desc[at].id, ONCE(d->id));
			PUT(desc[at].flags, ONCE(d->flags));
			PUT(desc[at].next, (uint16_t)(at + 1));
			pos = vring_packed_pos(vr, pos, 1);
		}
	}
	heads_put(vr->kept, 0, at);
	for (uint16_t i = 0; i < n; i++) {
		PUT_AFTER(desc[head].inflight, 1);
		head = (uint16_t)(head +
				  vr->shadow[(uint16_t)(vr->used_idx + i) & vr->mask]
					  .chain.nr);
	}
	return at;
}

/* The guest has seen them. */
static void
unit_drop(struct weir_vring *vr, uint16_t n)
{
	uint16_t head = 0;

	for (uint16_t i = 0; i < n; i++) {
		PUT_AFTER(vr->kept->desc[head].inflight, 0);
		head = (uint16_t)(head +
				  vr->shadow[(uint16_t)(vr->used_idx + i) & vr->mask]
					  .chain.nr);
	}
	heads_put(vr->kept, 0, 0);
}

/* Publish several chains at once. @return the place behind them. */
static uint16_t
publish_unit(struct weir_vring *vr, uint16_t n)
{
	const uint16_t from = vr->used_pos;
	uint16_t pos = from, to = vring_packed_pos(vr, from, unit_keep(vr, n));

	place_put(vr->kept, to, from);
	for (uint16_t i = 0; i < n; i++) {
		const struct weir_vring_used *u =
			&vr->shadow[(uint16_t)(vr->used_idx + i) & vr->mask];

		if (i != 0)
			PUT(*vring_packed_half(vr, pos), vring_packed_word(u, pos));
		pos = vring_packed_pos(vr, pos, u->chain.nr);
	}
	PUT_AFTER(*vring_packed_half(vr, from),
		  vring_packed_word(&vr->shadow[vr->used_idx & vr->mask], from));
	unit_drop(vr, n);
	return to;
}

/* What was published ends at @p to. */
static void
published(struct weir_vring *vr, uint16_t to, uint16_t n)
{
	place_put(vr->kept, to, to);
	vr->call_idx += vring_packed_distance(vr, vr->used_pos, to);
	vr->used_pos = to;
	vr->used_idx = (uint16_t)(vr->used_idx + n);
}

void
weir_vring_publish_kept(struct weir_vring *vr, uint16_t n)
{
	const struct weir_vring_used *u = &vr->shadow[vr->used_idx & vr->mask];
	uint16_t to;

	if (n == 0)
		return;
	if (n == 1)
		to = publish_one(vr, vr->used_pos, u->chain.nr,
				 vring_packed_word(u, vr->used_pos));
	else
		to = publish_unit(vr, n);
	published(vr, to, n);
}

void
weir_vring_run_publish_kept(struct weir_vring *vr, struct weir_vring_at *at, uint16_t dir,
			    const struct weir_vring_run *run, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++)
		at->pos = publish_one(vr, at->pos, 1,
				      vring_packed_run_word(run->word[i], dir));
	published(vr, at->pos, n);
	vr->used_next = vr->used_idx;
}
