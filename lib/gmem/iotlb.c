/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cache is an array sorted by iova, whose entries do not overlap; neighbours
 * that continue each other are one. A revoked entry has no prot.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gmem_impl.h"
#include "weir_fail.h"
#include "weir_iotlb.h"

#define MAX_ENTRIES (1u << 20)

/* Revoking the middle of an entry makes three of it. */
#define SPLIT_ROOM 2u

/* One in so many entries is revoked to make room. */
#define EVICT_SHARE 4u

struct weir_iotlb {
	uint32_t nr;
	uint32_t max;	/* there is room for SPLIT_ROOM more */
	uint32_t evict; /* where the next eviction begins, below EVICT_SHARE */
	struct weir_iotlb_entry entry[];
};

int
weir_iotlb_create(uint32_t max, struct weir_iotlb **out)
{
	struct weir_iotlb *c;

	if (max == 0 || max > MAX_ENTRIES)
		return -EINVAL;
	c = weir_zalloc(sizeof(*c) + ((size_t)max + SPLIT_ROOM) * sizeof(c->entry[0]));
	if (c == NULL)
		return -ENOMEM;
	c->max = max;
	*out = c;
	return 0;
}

void
weir_iotlb_destroy(struct weir_iotlb *c)
{
	free(c);
}

uint32_t
weir_iotlb_count(const struct weir_iotlb *c)
{
	return c->nr;
}

/* Place of the first entry that ends at or behind an address. */
static uint32_t
place(const struct weir_iotlb *c, uint64_t iova)
{
	uint32_t lo = 0, hi = c->nr;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (c->entry[mid].iova.last < iova)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void
entry_insert(struct weir_iotlb *c, uint32_t at, const struct weir_iotlb_entry *e)
{
	memmove(&c->entry[at + 1], &c->entry[at], (c->nr - at) * sizeof(*e));
	c->entry[at] = *e;
	c->nr++;
}

/* The frontend's addresses of an entry; did not wrap when it was added. */
static struct weir_range
entry_uva(const struct weir_iotlb_entry *e)
{
	return (struct weir_range){ e->uva,
				    e->uva + weir_range_offset(e->iova, e->iova.last) };
}

/* What an entry becomes that begins at a later address of its own. */
static struct weir_iotlb_entry
entry_from(const struct weir_iotlb_entry *e, uint64_t iova)
{
	struct weir_iotlb_entry out = *e;

	out.uva += weir_range_offset(e->iova, iova);
	out.iova.start = iova;
	return out;
}

/* The same translation, where both have one. */
static bool
entry_agrees(const struct weir_iotlb_entry *a, const struct weir_iotlb_entry *b)
{
	return a->prot == b->prot && a->uva - a->iova.start == b->uva - b->iova.start;
}

/* Both are one, right behind left, and all of it in a slot. */
static bool
entry_continues(const struct weir_gmem *memory, const struct weir_iotlb_entry *left,
		const struct weir_iotlb_entry *right)
{
	struct weir_range uva = { left->uva, entry_uva(right).last };

	return weir_range_abuts(left->iova, right->iova) && entry_agrees(left, right) &&
	       left->uva <= right->uva && gmem_find_uva(memory, uva) != NULL;
}

/* The entry at @p at and the one behind it, if there are both. */
static void
merge(struct weir_iotlb *c, const struct weir_gmem *memory, uint32_t at)
{
	struct weir_iotlb_entry *e = &c->entry[at];

	if (at + 1 >= c->nr || !entry_continues(memory, e, e + 1))
		return;
	e->iova.last = e[1].iova.last;
	memmove(e + 1, e + 2, (c->nr - at - 2) * sizeof(*e));
	c->nr--;
}

/* Entries that overlap a new one say the same. @return false: one does not. */
static bool
agrees_all(const struct weir_iotlb *c, uint32_t at, const struct weir_iotlb_entry *e)
{
	for (; at < c->nr && c->entry[at].iova.start <= e->iova.last; at++)
		if (!entry_agrees(&c->entry[at], e))
			return false;
	return true;
}

int
weir_iotlb_add(struct weir_iotlb *c, const struct weir_gmem *memory,
	       const struct weir_iotlb_entry *e)
{
	struct weir_iotlb_entry new = *e;
	uint32_t at = place(c, e->iova.start), end = at;
	struct weir_range uva;

	if (e->prot == 0 || (e->prot & ~(WEIR_IOTLB_READ | WEIR_IOTLB_WRITE)) != 0)
		return -EINVAL;
	uva.start = e->uva;
	if (__builtin_add_overflow(e->uva, weir_range_offset(e->iova, e->iova.last),
				   &uva.last))
		return -EOVERFLOW;
	if (gmem_find_uva(memory, uva) == NULL)
		return -EFAULT;
	if (!agrees_all(c, at, e))
		return -EEXIST;
	while (end < c->nr && c->entry[end].iova.start <= e->iova.last)
		end++;
	if (end != at) {
		const struct weir_iotlb_entry *first = &c->entry[at];

		/* they share a byte of memory with it, so all are of one slot */
		if (first->iova.start < new.iova.start) {
			new.uva = first->uva;
			new.iova.start = first->iova.start;
		}
		if (c->entry[end - 1].iova.last > new.iova.last)
			new.iova.last = c->entry[end - 1].iova.last;
	} else if (c->nr >= c->max) {
		return -ENOSPC;
	}
	memmove(&c->entry[at], &c->entry[end], (c->nr - end) * sizeof(*e));
	c->nr -= end - at;
	entry_insert(c, at, &new);
	merge(c, memory, at);
	if (at != 0)
		merge(c, memory, at - 1);
	return 0;
}

/* Split the entry at @p at so that one begins at an address inside it. */
static bool
split(struct weir_iotlb *c, uint32_t at, uint64_t iova)
{
	struct weir_iotlb_entry right;

	if (c->nr == c->max + SPLIT_ROOM)
		return false;
	right = entry_from(&c->entry[at], iova);
	c->entry[at].iova.last = iova - 1;
	entry_insert(c, at + 1, &right);
	return true;
}

bool
weir_iotlb_revoke(struct weir_iotlb *c, struct weir_range iova)
{
	uint32_t at = place(c, iova.start);
	bool any = false;

	for (; at < c->nr && c->entry[at].iova.start <= iova.last; at++) {
		if (c->entry[at].iova.start < iova.start && c->entry[at].prot != 0 &&
		    split(c, at, iova.start))
			continue;
		if (c->entry[at].iova.last > iova.last && c->entry[at].prot != 0)
			split(c, at, iova.last + 1);
		c->entry[at].prot = 0;
		any = true;
	}
	return any;
}

void
weir_iotlb_evict(struct weir_iotlb *c)
{
	for (uint32_t i = c->evict; i < c->nr; i += EVICT_SHARE)
		c->entry[i].prot = 0;
	/* if there are fewer than that, the first goes */
	if (c->nr <= c->evict && c->nr != 0)
		c->entry[0].prot = 0;
	c->evict = (c->evict + 1) % EVICT_SHARE;
}

bool
weir_iotlb_revoked(const struct weir_iotlb *c, uint32_t *at, struct weir_iotlb_entry *e)
{
	while (*at < c->nr && c->entry[*at].prot != 0)
		++*at;
	if (*at >= c->nr)
		return false;
	*e = c->entry[(*at)++];
	return true;
}

/* Keep the entries that lead into a table and are not revoked; NULL: into any. */
static void
keep(struct weir_iotlb *c, const struct weir_gmem *memory)
{
	uint32_t to = 0;

	for (uint32_t i = 0; i < c->nr; i++) {
		const struct weir_iotlb_entry e = c->entry[i];

		if (memory == NULL ? e.prot != 0
				   : gmem_find_uva(memory, entry_uva(&e)) != NULL)
			c->entry[to++] = e;
	}
	c->nr = to;
}

void
weir_iotlb_drop(struct weir_iotlb *c)
{
	keep(c, NULL);
}

void
weir_iotlb_prune(struct weir_iotlb *c, const struct weir_gmem *memory)
{
	keep(c, memory);
}

/* Fill a table with what allows @p prot; only count if it is NULL. @return slots. */
static uint32_t
fill(const struct weir_iotlb *c, const struct weir_gmem *memory, uint8_t prot,
     struct weir_gmem *to)
{
	const struct weir_gmem_slot *s = NULL;
	uint32_t nr = 0;

	for (uint32_t i = 0; i < c->nr; i++) {
		const struct weir_iotlb_entry *e = &c->entry[i];
		const struct weir_range uva = entry_uva(e);

		if ((e->prot & prot) == 0)
			continue;
		/* most are in the slot of the one before */
		if (s == NULL || uva.start < s->uva ||
		    uva.last - s->uva > s->gpa.last - s->gpa.start)
			s = gmem_find_uva(memory, uva);
		if (s == NULL)
			continue;
		if (to != NULL)
			to->slot[nr] = (struct weir_gmem_slot){
				.gpa = e->iova,
				.hva = s->hva + (e->uva - s->uva),
				.iova = s->iova + (e->uva - s->uva),
				.uva = e->uva,
			};
		nr++;
	}
	return nr;
}

/* Bytes of a table, so that another may lie behind it. */
static size_t
table_len(uint32_t nr)
{
	return sizeof(struct weir_gmem) + (size_t)nr * sizeof(struct weir_gmem_slot);
}

int
weir_iotlb_view(const struct weir_iotlb *c, const struct weir_gmem *memory,
		const struct weir_gmem **out)
{
	const uint32_t nr_write = fill(c, memory, WEIR_IOTLB_WRITE, NULL);
	const uint32_t nr_read = fill(c, memory, WEIR_IOTLB_READ, NULL);
	struct weir_gmem *write, *read;

	_Static_assert(sizeof(struct weir_gmem_slot) % _Alignof(struct weir_gmem) == 0,
		       "one table may lie behind another");
	write = weir_zalloc_aligned(_Alignof(struct weir_gmem),
				    table_len(nr_write) + table_len(nr_read));
	if (write == NULL)
		return -ENOMEM;
	read = (struct weir_gmem *)(void *)((char *)write + table_len(nr_write));
	write->nr_slots = nr_write;
	read->nr_slots = nr_read;
	write->memory = read->memory = memory;
	write->readable = read->readable = read;
	fill(c, memory, WEIR_IOTLB_WRITE, write);
	fill(c, memory, WEIR_IOTLB_READ, read);
	*out = write;
	return 0;
}

void
weir_iotlb_view_put(const struct weir_gmem *view)
{
	free((void *)(uintptr_t)view);
}

/* One table says of a range: the host address of its beginning; NULL: there is a gap,
 * at *missing, or it is not contiguous. */
static void *
table_find(const struct weir_gmem *g, struct weir_range iova, uint64_t *missing)
{
	uint64_t at = iova.start, first = 0;
	bool contiguous = true;

	for (uint32_t hint = 0;;) {
		const struct weir_gmem_slot *s =
			weir_gmem_find(g, (struct weir_gpa){ at }, &hint);
		uint64_t hva;

		*missing = at;
		if (s == NULL)
			return NULL;
		hva = s->hva + (at - s->gpa.start);
		if (at == iova.start)
			first = hva;
		contiguous &= hva - first == at - iova.start;
		if (s->gpa.last >= iova.last)
			break;
		at = s->gpa.last + 1;
	}
	*missing = iova.last;
	return contiguous ? (void *)(uintptr_t)first : NULL;
}

/* True if one slot of memory has all of a stretch of host memory. */
static bool
in_one_slot(const struct weir_gmem *memory, uint64_t hva, uint64_t last_off)
{
	for (uint32_t i = 0; i < memory->nr_slots; i++) {
		const struct weir_gmem_slot *s = &memory->slot[i];
		const uint64_t slot_last = s->gpa.last - s->gpa.start;

		if (hva - s->hva <= slot_last && last_off <= slot_last - (hva - s->hva))
			return true;
	}
	return false;
}

void *
weir_iotlb_find(const struct weir_gmem *view, struct weir_range iova, bool write)
{
	uint64_t missing;
	void *p = table_find(view->readable, iova, &missing);

	if (p == NULL || (write && table_find(view, iova, &missing) != p))
		return NULL;
	return in_one_slot(view->memory, (uintptr_t)p, iova.last - iova.start) ? p : NULL;
}

bool
weir_iotlb_gap(const struct weir_gmem *view, struct weir_range iova, bool write,
	       uint64_t *missing)
{
	table_find(view->readable, iova, missing);
	if (weir_gmem_find(view->readable, (struct weir_gpa){ *missing },
			   &(uint32_t){ 0 }) == NULL)
		return true;
	if (!write)
		return false;
	table_find(view, iova, missing);
	return weir_gmem_find(view, (struct weir_gpa){ *missing }, &(uint32_t){ 0 }) ==
	       NULL;
}
