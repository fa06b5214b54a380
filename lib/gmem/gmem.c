/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gmem_impl.h"
#include "gmem_near.h"
#include "weir_fail.h"
#include "weir_gmem_log.h"

#define PAGE_4K UINT64_C(4096)

/* The index of no slot. */
#define NOWHERE UINT32_MAX

const struct weir_gmem weir_gmem_empty = { .nr_slots = 0 };

/* How a table becomes another: a slot leaves an index, or comes to one, or both. */
struct change {
	const struct weir_gmem *old;
	uint32_t from;		    /* index in the old table; NOWHERE: a new slot */
	uint32_t to;		    /* index in the new table; NOWHERE: it goes */
	uint32_t at_id, at_uva;	    /* if it is new: its places in the orders */
	struct weir_gmem_slot slot; /* what it is now, with what is behind it */
};

/* The table, its slots, and both orders in one piece. */
static struct weir_gmem *
table_alloc(uint32_t nr)
{
	const size_t slots =
		sizeof(struct weir_gmem) + (size_t)nr * sizeof(struct weir_gmem_slot);
	struct weir_gmem *g;
	uint16_t *order;

	g = weir_zalloc_aligned(_Alignof(struct weir_gmem),
				slots + 2 * (size_t)nr * sizeof(*order));
	if (g == NULL)
		return NULL;
	order = (uint16_t *)(void *)((char *)g + slots);
	g->nr_slots = nr;
	g->by_id = order;
	g->by_uva = order + nr;
	return g;
}

static uint16_t *
order_of(const uint16_t *order)
{
	/* ours until the table is handed out */
	return (uint16_t *)(uintptr_t)order;
}

/* Where slot @p i of the old table is in the new one, if it is not the one. */
static uint32_t
shifted(const struct change *c, uint32_t i)
{
	i -= i > c->from;
	return i + (i >= c->to);
}

/* Carry an order over; a new slot comes to place @p at. */
static void
order_carry(uint16_t *new, const uint16_t *old, const struct change *c, uint32_t at)
{
	for (uint32_t i = 0; i < c->old->nr_slots; i++) {
		if (c->from == NOWHERE && i == at)
			*new ++ = (uint16_t)c->to;
		if (old[i] != c->from)
			*new ++ = (uint16_t)shifted(c, old[i]);
		else if (c->to != NOWHERE)
			*new ++ = (uint16_t)c->to;
	}
	if (c->from == NOWHERE && at == c->old->nr_slots)
		*new = (uint16_t)c->to;
}

static struct weir_gmem *
table_change(const struct change *c)
{
	uint32_t nr = c->old->nr_slots - (c->from != NOWHERE) + (c->to != NOWHERE);
	struct weir_gmem *g = table_alloc(nr);

	if (g == NULL)
		return NULL;
	for (uint32_t i = 0; i < c->old->nr_slots; i++) {
		const struct weir_gmem_slot *s = &c->old->slot[i];

		if (i == c->from)
			continue;
		g->slot[shifted(c, i)] = *s;
		gmem_backing_get(s->backing);
		gmem_log_get(s->log);
		g->nr_logged += s->log != NULL;
	}
	if (c->to != NOWHERE) {
		g->slot[c->to] = c->slot;
		g->nr_logged += c->slot.log != NULL;
	}
	order_carry(order_of(g->by_id), c->old->by_id, c, c->at_id);
	order_carry(order_of(g->by_uva), c->old->by_uva, c, c->at_uva);
	return g;
}

/* Place of the first slot that begins at or behind @p gpa. */
static uint32_t
place_gpa(const struct weir_gmem *g, uint64_t gpa)
{
	uint32_t lo = 0, hi = g->nr_slots;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (g->slot[mid].gpa.start < gpa)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

uint32_t
gmem_first(const struct weir_gmem *g, uint64_t gpa)
{
	uint32_t at = place_gpa(g, gpa);

	return at > 0 && weir_range_has(g->slot[at - 1].gpa, gpa) ? at - 1 : at;
}

/* Place in the order by uva of the first that begins at or behind @p uva. */
static uint32_t
place_uva(const struct weir_gmem *g, uint64_t uva)
{
	uint32_t lo = 0, hi = g->nr_slots;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (g->slot[g->by_uva[mid]].uva < uva)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Place in the order by id of the first whose id is not below @p id. */
static uint32_t
place_id(const struct weir_gmem *g, uint16_t id)
{
	uint32_t lo = 0, hi = g->nr_slots;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (g->slot[g->by_id[mid]].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static uint32_t
index_of(const struct weir_gmem *g, uint16_t id)
{
	uint32_t at = place_id(g, id);

	if (at == g->nr_slots || g->slot[g->by_id[at]].id != id)
		return NOWHERE;
	return g->by_id[at];
}

/* Did not wrap when the slot was made. */
static struct weir_range
slot_uva(const struct weir_gmem_slot *s)
{
	return (struct weir_range){ s->uva, s->uva + (s->gpa.last - s->gpa.start) };
}

/* @p gpa overlaps no slot but that at index @p but. */
static bool
gpa_free(const struct weir_gmem *g, struct weir_range gpa, uint32_t but)
{
	uint32_t i = gmem_first(g, gpa.start);

	i += i == but;
	return i == g->nr_slots || g->slot[i].gpa.start > gpa.last;
}

static bool
uva_free(const struct weir_gmem *g, struct weir_range uva)
{
	uint32_t at = place_uva(g, uva.start);

	if (at < g->nr_slots && g->slot[g->by_uva[at]].uva <= uva.last)
		return false;
	return at == 0 ||
	       !weir_range_overlaps(slot_uva(&g->slot[g->by_uva[at - 1]]), uva);
}

static int
region_check(const struct weir_gmem_region *r, struct weir_range *gpa,
	     struct weir_range *uva)
{
	int ret = weir_range_make(gpa, r->gpa, r->len);

	if (ret == 0)
		ret = weir_range_make(uva, r->uva, r->len);
	if (ret == 0 && ((r->gpa | r->len | r->mmap_offset) & (PAGE_4K - 1)) != 0)
		ret = -EINVAL;
	return ret;
}

int
weir_gmem_create(const struct weir_gmem *old, uint16_t id,
		 const struct weir_gmem_region *r, int fd, struct weir_gmem **out)
{
	struct change c = { .old = old, .from = NOWHERE };
	struct weir_range uva;
	int ret;

	if (id >= WEIR_GMEM_MAX_SLOTS)
		return -EINVAL;
	ret = region_check(r, &c.slot.gpa, &uva);
	if (ret != 0)
		return ret;
	if (index_of(old, id) != NOWHERE || !gpa_free(old, c.slot.gpa, NOWHERE) ||
	    !uva_free(old, uva))
		return -EEXIST;
	ret = gmem_backing_map(fd, r->mmap_offset, r->len, r->lazy, &c.slot.backing,
			       &c.slot.hva);
	if (ret != 0)
		return ret;
	c.slot.iova = c.slot.hva;
	c.slot.uva = r->uva;
	c.slot.id = id;
	c.to = place_gpa(old, r->gpa);
	c.at_id = place_id(old, id);
	c.at_uva = place_uva(old, r->uva);
	*out = table_change(&c);
	if (*out != NULL)
		return 0;
	gmem_backing_put(c.slot.backing, NULL, 0);
	return -ENOMEM;
}

static int
table_without(const struct weir_gmem *old, uint32_t from, struct weir_gmem **out)
{
	const struct change c = { .old = old, .from = from, .to = NOWHERE };

	if (from == NOWHERE)
		return -ENOENT;
	*out = table_change(&c);
	return *out != NULL ? 0 : -ENOMEM;
}

int
weir_gmem_delete(const struct weir_gmem *old, uint16_t id, struct weir_gmem **out)
{
	return table_without(old, index_of(old, id), out);
}

int
weir_gmem_del(const struct weir_gmem *old, struct weir_gpa gpa, struct weir_gmem **out)
{
	uint32_t at = place_gpa(old, gpa.v);
	bool there = at < old->nr_slots && old->slot[at].gpa.start == gpa.v;

	return table_without(old, there ? at : NOWHERE, out);
}

/* The table in which slot @p from is what the change says, with what is behind it. */
static int
table_with(struct change *c, struct weir_gmem **out)
{
	*out = table_change(c);
	if (*out == NULL)
		return -ENOMEM;
	gmem_backing_get(c->slot.backing);
	return 0;
}

int
weir_gmem_move(const struct weir_gmem *old, uint16_t id, struct weir_gpa gpa,
	       struct weir_gmem **out)
{
	struct change c = { .old = old, .from = index_of(old, id) };
	struct weir_range to;
	int ret;

	if (c.from == NOWHERE)
		return -ENOENT;
	if ((gpa.v & (PAGE_4K - 1)) != 0)
		return -EINVAL;
	c.slot = old->slot[c.from];
	ret = weir_range_make(&to, gpa.v, weir_range_len(c.slot.gpa));
	if (ret != 0)
		return ret;
	if (!gpa_free(old, to, c.from))
		return -EEXIST;
	c.to = place_gpa(old, gpa.v);
	c.to -= c.to > c.from;
	c.slot.gpa = to;
	ret = table_with(&c, out);
	if (ret == 0)
		gmem_log_get(c.slot.log);
	return ret;
}

int
weir_gmem_set_flags(const struct weir_gmem *old, uint16_t id, uint16_t flags,
		    struct weir_gmem **out)
{
	struct change c = { .old = old, .from = index_of(old, id) };
	int ret;

	if (c.from == NOWHERE)
		return -ENOENT;
	if ((flags & ~WEIR_GMEM_LOG) != 0)
		return -EINVAL;
	c.to = c.from;
	c.slot = old->slot[c.from];
	c.slot.flags = flags;
	if ((flags & WEIR_GMEM_LOG) == 0) {
		c.slot.log = NULL;
	} else if (c.slot.log != NULL) {
		gmem_log_get(c.slot.log);
	} else {
		c.slot.log = gmem_log_new(weir_gmem_pages(&c.slot));
		if (c.slot.log == NULL)
			return -ENOMEM;
	}
	ret = table_with(&c, out);
	if (ret != 0)
		gmem_log_put(c.slot.log);
	return ret;
}

int
weir_gmem_add(const struct weir_gmem *old, const struct weir_gmem_region *r, int fd,
	      struct weir_gmem **out)
{
	uint32_t lo = 0, hi = old->nr_slots;

	/* ids differ: the first that is above its place leaves one free before it */
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (old->slot[old->by_id[mid]].id == mid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < WEIR_GMEM_MAX_SLOTS ? weir_gmem_create(old, (uint16_t)lo, r, fd, out)
					: -ENOSPC;
}

static void
slot_put(const struct weir_gmem_slot *s, struct weir_range *watched, unsigned int nr)
{
	gmem_backing_put(s->backing, watched, nr);
	gmem_log_put(s->log);
}

/* Compare slots by gpa. */
static int
compare_gpa(const void *a, const void *b)
{
	uint64_t x = ((const struct weir_gmem_slot *)a)->gpa.start;
	uint64_t y = ((const struct weir_gmem_slot *)b)->gpa.start;

	return (x > y) - (x < y);
}

static int
compare_id(const void *a, const void *b, void *arg)
{
	const struct weir_gmem *g = arg;

	return g->slot[*(const uint16_t *)a].id - g->slot[*(const uint16_t *)b].id;
}

static int
compare_uva(const void *a, const void *b, void *arg)
{
	const struct weir_gmem *g = arg;
	uint64_t x = g->slot[*(const uint16_t *)a].uva;
	uint64_t y = g->slot[*(const uint16_t *)b].uva;

	return (x > y) - (x < y);
}

/* Sort a table that was filled in any order. @return 0; -EEXIST: slots overlap, and
 * the id of one of them. */
static int
table_sort(struct weir_gmem *g, uint32_t *bad)
{
	uint16_t *id = order_of(g->by_id), *uva = order_of(g->by_uva);

	qsort(g->slot, g->nr_slots, sizeof(g->slot[0]), compare_gpa);
	for (uint32_t i = 0; i < g->nr_slots; i++)
		id[i] = uva[i] = (uint16_t)i;
	qsort_r(id, g->nr_slots, sizeof(*id), compare_id, g);
	qsort_r(uva, g->nr_slots, sizeof(*uva), compare_uva, g);
	for (uint32_t i = 1; i < g->nr_slots; i++) {
		const struct weir_gmem_slot *a = &g->slot[uva[i - 1]];
		const struct weir_gmem_slot *b = &g->slot[uva[i]];

		*bad = g->slot[i].id;
		if (weir_range_overlaps(g->slot[i - 1].gpa, g->slot[i].gpa))
			return -EEXIST;
		*bad = b->id;
		if (weir_range_overlaps(slot_uva(a), slot_uva(b)))
			return -EEXIST;
	}
	return 0;
}

/* What @p old has of the region, shared; or what is mapped now. */
static int
slot_make(const struct weir_gmem *old, const struct weir_gmem_region *r, int fd,
	  struct weir_gmem_slot *s)
{
	uint32_t at = place_uva(old, r->uva);
	struct weir_range uva;
	int ret = region_check(r, &s->gpa, &uva);

	if (ret != 0)
		return ret;
	s->uva = r->uva;
	if (at < old->nr_slots) {
		const struct weir_gmem_slot *o = &old->slot[old->by_uva[at]];

		if (o->uva == r->uva &&
		    gmem_backing_is(o->backing, fd, r->mmap_offset, r->len)) {
			s->hva = o->hva;
			s->iova = o->iova;
			s->flags = o->flags;
			s->backing = o->backing;
			s->log = o->log;
			gmem_backing_get(s->backing);
			gmem_log_get(s->log);
			return 0;
		}
	}
	ret = gmem_backing_map(fd, r->mmap_offset, r->len, r->lazy, &s->backing, &s->hva);
	s->iova = s->hva;
	return ret;
}

int
weir_gmem_replace(const struct weir_gmem *old, const struct weir_gmem_region *r,
		  const int *fd, uint32_t nr, struct weir_gmem **out, uint32_t *bad)
{
	struct weir_gmem *g;
	uint32_t i;
	int ret = 0;

	*bad = nr;
	if (nr > WEIR_GMEM_MAX_SLOTS)
		return -ENOSPC;
	g = table_alloc(nr);
	if (g == NULL)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		*bad = i;
		g->slot[i].id = (uint16_t)i;
		ret = slot_make(old, &r[i], fd[i], &g->slot[i]);
		if (ret != 0)
			goto err_slots;
		g->nr_logged += g->slot[i].log != NULL;
	}
	ret = table_sort(g, bad);
	if (ret != 0)
		goto err_slots;
	*out = g;
	return 0;

err_slots:
	while (i-- > 0)
		slot_put(&g->slot[i], NULL, 0);
	free(g);
	return ret;
}

void
weir_gmem_put_watched(const struct weir_gmem *g, struct weir_range *watched,
		      unsigned int nr)
{
	if (g == NULL || g == &weir_gmem_empty)
		return;
	for (uint32_t i = 0; i < g->nr_slots; i++)
		slot_put(&g->slot[i], watched, nr);
	free((void *)(uintptr_t)g);
}

void
weir_gmem_put(const struct weir_gmem *g)
{
	weir_gmem_put_watched(g, NULL, 0);
}

const struct weir_gmem_slot *
weir_gmem_slot(const struct weir_gmem *g, uint16_t id)
{
	uint32_t i = index_of(g, id);

	return i != NOWHERE ? &g->slot[i] : NULL;
}

const struct weir_gmem_slot *
gmem_find_uva(const struct weir_gmem *g, struct weir_range uva)
{
	const uint32_t at = place_uva(g, uva.start);
	const struct weir_gmem_slot *s;

	/* the one that begins there, or the last before it */
	if (at < g->nr_slots && g->slot[g->by_uva[at]].uva == uva.start)
		s = &g->slot[g->by_uva[at]];
	else if (at != 0)
		s = &g->slot[g->by_uva[at - 1]];
	else
		return NULL;
	return weir_range_contains(slot_uva(s), uva) ? s : NULL;
}

struct weir_gmem_near
weir_gmem_near_find(const struct weir_gmem *g, struct weir_gpa gpa, uint32_t *hint)
{
	const struct weir_gmem_slot *s = weir_gmem_find(g, gpa, hint);

	return s != NULL ? weir_gmem_near(s) : (struct weir_gmem_near){ 0 };
}

void *
weir_gmem_uva(const struct weir_gmem *g, uint64_t uva, uint64_t len)
{
	const struct weir_gmem_slot *s;
	struct weir_range want;

	if (weir_range_make(&want, uva, len) != 0)
		return NULL;
	s = gmem_find_uva(g, want);
	return s != NULL ? (void *)(uintptr_t)(s->hva + (uva - s->uva)) : NULL;
}
