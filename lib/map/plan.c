/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "weir_plan.h"

#define PROT_KNOWN (WEIR_PROT_READ | WEIR_PROT_WRITE)

int
weir_region_check(const struct weir_region *r)
{
	struct weir_range hva;

	if (r->iova.start > r->iova.last || !weir_range_aligned(r->iova, WEIR_MAP_PAGE) ||
	    r->hva % WEIR_MAP_PAGE != 0 || r->chunk % WEIR_MAP_PAGE != 0)
		return -EINVAL;
	if (r->prot == 0 || (r->prot & ~PROT_KNOWN) != 0)
		return -EINVAL;
	/* a length of 2^64 reads as 0 and is refused here too */
	return weir_range_make(&hva, r->hva, weir_range_len(r->iova)) == 0 ? 0
									   : -EOVERFLOW;
}

uint64_t
weir_region_pieces(const struct weir_region *r)
{
	return r->chunk == 0 ? 1 : (weir_range_len(r->iova) - 1) / r->chunk + 1;
}

/* The part of a region that is behind @iova, which lies in it. */
static struct weir_region
region_part(const struct weir_region *r, struct weir_range iova)
{
	struct weir_region part = *r;

	part.iova = iova;
	part.hva += weir_range_offset(r->iova, iova.start);
	return part;
}

bool
weir_region_cut(struct weir_region *rest, struct weir_piece *piece)
{
	struct weir_range first;
	bool more = rest->chunk != 0 && rest->chunk < weir_range_len(rest->iova) &&
		    weir_range_make(&first, rest->iova.start, rest->chunk) == 0;

	piece->iova = more ? first : rest->iova;
	piece->hva = rest->hva;
	piece->prot = rest->prot;
	if (more)
		*rest = region_part(rest, weir_range_after(rest->iova, first.last));
	return more;
}

/* True if a piece of @r begins at @addr. */
static bool
piece_begins(const struct weir_region *r, uint64_t addr)
{
	return r->chunk == 0 || weir_range_offset(r->iova, addr) % r->chunk == 0;
}

/* True if a piece of @r ends with @last. */
static bool
piece_ends(const struct weir_region *r, uint64_t last)
{
	return last == r->iova.last || piece_begins(r, last + 1);
}

/* True if @r's pieces that touch @range are all inside it. */
static bool
pieces_fit(const struct weir_region *r, struct weir_range range)
{
	return piece_begins(r, range.start) && piece_ends(r, range.last);
}

/* True if both lead the same iovas to the same memory in the same way. */
static bool
region_agrees(const struct weir_region *a, const struct weir_region *b)
{
	return a->hva - a->iova.start == b->hva - b->iova.start && a->prot == b->prot &&
	       a->chunk == b->chunk;
}

/* True if left and right say no more than one region would. */
static bool
region_merges(const struct weir_region *left, const struct weir_region *right)
{
	return weir_range_abuts(left->iova, right->iova) && region_agrees(left, right) &&
	       left->owner == right->owner && left->refs == right->refs &&
	       (left->chunk == 0 || weir_range_len(left->iova) % left->chunk == 0) &&
	       /* the length of all there is does not fit in 64 bits */
	       !(left->iova.start == 0 && right->iova.last == UINT64_MAX);
}

static void
plan_start(struct weir_plan *p, enum weir_plan_op op)
{
	p->op = op;
	p->del = p->old;
	p->nr_del = p->nr_old;
	p->add = p->buf;
	p->nr_add = 0;
}

/* Append a region to those that come, or to the last of them if they merge. */
static void
plan_emit(struct weir_plan *p, struct weir_region r)
{
	struct weir_region *tail = p->nr_add > 0 ? &p->buf[p->nr_add - 1] : NULL;

	if (tail != NULL && region_merges(tail, &r))
		tail->iova.last = r.iova.last;
	else
		p->buf[p->nr_add++] = r;
}

/* Neighbours that merged with nothing stay: they neither go nor come. */
static void
plan_trim(struct weir_plan *p)
{
	if (p->nr_del > 0 && p->del[0].iova.last < p->req.iova.start &&
	    p->add[0].iova.last == p->del[0].iova.last) {
		p->del++;
		p->nr_del--;
		p->add++;
		p->nr_add--;
	}
	if (p->nr_del > 0 && p->del[p->nr_del - 1].iova.start > p->req.iova.last &&
	    p->add[p->nr_add - 1].iova.start == p->del[p->nr_del - 1].iova.start) {
		p->nr_del--;
		p->nr_add--;
	}
}

/* What is left of an old region on either side of what is changed of it. */
static void
emit_around(struct weir_plan *p, const struct weir_region *o, struct weir_range both,
	    const struct weir_region *changed)
{
	if (o->iova.start < both.start)
		plan_emit(p, region_part(o, weir_range_before(o->iova, both.start)));
	if (changed->refs != 0)
		plan_emit(p, *changed);
	if (both.last < o->iova.last)
		plan_emit(p, region_part(o, weir_range_after(o->iova, both.last)));
}

/* Count once more what of @o is asked for again. */
static int
map_count(struct weir_plan *p, const struct weir_region *o)
{
	struct weir_range both = weir_range_intersect(o->iova, p->req.iova);
	struct weir_region more = region_part(o, both);

	if (!region_agrees(o, &p->req) || !pieces_fit(o, both) ||
	    !pieces_fit(&p->req, both))
		return -EEXIST;
	if (__builtin_add_overflow(more.refs, 1, &more.refs))
		return -EOVERFLOW;
	emit_around(p, o, both, &more);
	return 0;
}

int
weir_plan_map(struct weir_plan *p, const struct weir_region *r)
{
	struct weir_range todo = r->iova;
	bool done = false;
	size_t i = 0;
	int ret = weir_region_check(r);

	if (ret != 0)
		return ret;
	plan_start(p, WEIR_PLAN_MAP);
	p->req = *r;
	p->req.refs = 1;
	for (; i < p->nr_old && p->old[i].iova.last < r->iova.start; i++)
		plan_emit(p, p->old[i]);
	for (; i < p->nr_old && p->old[i].iova.start <= r->iova.last; i++) {
		const struct weir_region *o = &p->old[i];

		if (todo.start < o->iova.start)
			plan_emit(p, region_part(&p->req,
						 weir_range_before(todo, o->iova.start)));
		ret = map_count(p, o);
		if (ret != 0)
			return ret;
		done = o->iova.last >= todo.last;
		if (!done)
			todo = weir_range_after(todo, o->iova.last);
	}
	if (!done)
		plan_emit(p, region_part(&p->req, todo));
	for (; i < p->nr_old; i++)
		plan_emit(p, p->old[i]);
	plan_trim(p);
	return 0;
}

int
weir_plan_unmap(struct weir_plan *p, struct weir_range iova)
{
	struct weir_range todo = iova;
	bool done = false, splits = false;

	if (iova.start > iova.last || !weir_range_aligned(iova, WEIR_MAP_PAGE))
		return -EINVAL;
	plan_start(p, WEIR_PLAN_UNMAP);
	p->req = (struct weir_region){ .iova = iova };
	for (size_t i = 0; i < p->nr_old; i++) {
		const struct weir_region *o = &p->old[i];
		struct weir_region less;
		struct weir_range both;

		if (!weir_range_overlaps(o->iova, iova)) {
			plan_emit(p, *o);
			continue;
		}
		if (o->iova.start > todo.start)
			return -ENOENT;
		both = weir_range_intersect(o->iova, iova);
		splits |= !pieces_fit(o, both);
		less = region_part(o, both);
		less.refs--;
		emit_around(p, o, both, &less);
		done = o->iova.last >= todo.last;
		if (!done)
			todo = weir_range_after(todo, o->iova.last);
	}
	if (!done)
		return -ENOENT;
	if (splits)
		return -ENOTSUP;
	plan_trim(p);
	return 0;
}

void
weir_plan_begin(const struct weir_plan *p, struct weir_plan_iter *it)
{
	*it = (struct weir_plan_iter){ .plan = p, .todo = p->req.iova, .has_todo = true };
}

/* The next stretch of a map that nothing covers yet. */
static bool
next_gap(struct weir_plan_iter *it, struct weir_region *run)
{
	const struct weir_plan *p = it->plan;

	while (it->has_todo) {
		struct weir_range todo = it->todo;
		const struct weir_region *o;

		while (it->next < p->nr_old && p->old[it->next].iova.last < todo.start)
			it->next++;
		o = it->next < p->nr_old ? &p->old[it->next] : NULL;
		if (o == NULL || o->iova.start > todo.last) {
			it->has_todo = false;
			*run = region_part(&p->req, todo);
			return true;
		}
		it->has_todo = o->iova.last < todo.last;
		if (it->has_todo)
			it->todo = weir_range_after(todo, o->iova.last);
		if (todo.start < o->iova.start) {
			*run = region_part(&p->req,
					   weir_range_before(todo, o->iova.start));
			return true;
		}
	}
	return false;
}

/* The next stretch of an unmap whose last count goes. */
static bool
next_last(struct weir_plan_iter *it, struct weir_region *run)
{
	const struct weir_plan *p = it->plan;

	for (; it->next < p->nr_old; it->next++) {
		const struct weir_region *o = &p->old[it->next];

		if (o->refs != 1 || !weir_range_overlaps(o->iova, p->req.iova))
			continue;
		*run = region_part(o, weir_range_intersect(o->iova, p->req.iova));
		it->next++;
		return true;
	}
	return false;
}

bool
weir_plan_next_run(struct weir_plan_iter *it, struct weir_region *run)
{
	return it->plan->op == WEIR_PLAN_MAP ? next_gap(it, run) : next_last(it, run);
}

bool
weir_plan_next(struct weir_plan_iter *it, struct weir_piece *piece)
{
	if (!it->has_rest && !weir_plan_next_run(it, &it->rest))
		return false;
	it->has_rest = weir_region_cut(&it->rest, piece);
	return true;
}
