/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "map_impl.h"
#include "weir_fail.h"

static_assert(MAP_NEAR >= 3, "a region and a neighbour on either side");

int
weir_map_create(struct weir_map **out)
{
	struct weir_map *m = weir_zalloc_aligned(_Alignof(struct weir_map), sizeof(*m));

	if (m == NULL)
		return -ENOMEM;
	map_slab_init(&m->nodes, sizeof(struct map_node));
	map_slots_init(&m->slots);
	*out = m;
	return 0;
}

static void
tree_free(struct weir_map *m, struct map_node *n)
{
	for (unsigned int i = 0; n->level > 0 && i < n->nr; i++)
		tree_free(m, n->inner.child[i]);
	map_slab_put(&m->nodes, n);
}

void
weir_map_destroy(struct weir_map *m)
{
	struct map_node *root;

	if (m == NULL)
		return;
	assert(!m->change.open);
	map_limbo_fini(&m->limbo, &m->nodes);
	root = atomic_load(&m->root);
	if (root != NULL)
		tree_free(m, root);
	map_slab_fini(&m->nodes);
	free(m);
}

/*
 * The end of every published change. Where readers are about, the next one will
 * write to what they have read: that is asked for in time.
 */
static void
reclaim(struct weir_map *m)
{
	if (map_limbo_reclaim(&m->limbo, &m->slots, m->nr_edits, &m->nodes))
		map_slab_warm(&m->nodes);
}

/* Open the change; its arrays are inline as long as they do. */
static struct weir_map_change *
change_open(struct weir_map *m)
{
	struct weir_map_change *c = &m->change;

	assert(!c->open);
	c->open = true;
	c->mem = NULL;
	c->near = c->near_inline;
	c->max_near = MAP_NEAR;
	c->nr_near = 0;
	c->plan.buf = c->buf_inline;
	map_edit_begin(&c->edit, &m->nodes, &m->limbo, ++m->nr_edits,
		       atomic_load(&m->root));
	return c;
}

static void
change_close(struct weir_map_change *c)
{
	free(c->mem);
	c->mem = NULL;
	c->open = false;
}

/* Room for twice as many regions, and for what can come in their place. */
static int
change_grow(struct weir_map_change *c)
{
	size_t max = c->max_near * 2;
	struct weir_region *mem = weir_calloc(max + WEIR_PLAN_MAX_ADD(max), sizeof(*mem));

	if (mem == NULL)
		return -ENOMEM;
	memcpy(mem, c->near, c->nr_near * sizeof(*mem));
	free(c->mem);
	c->mem = mem;
	c->near = mem;
	c->max_near = max;
	c->plan.buf = mem + max;
	return 0;
}

static int
change_near(struct weir_map_change *c, const struct weir_region *r)
{
	if (c->nr_near == c->max_near && change_grow(c) != 0)
		return -ENOMEM;
	c->near[c->nr_near++] = *r;
	return 0;
}

/* Gather the regions that share a byte with @iova or abut it. */
static int
change_gather(struct weir_map_change *c, struct weir_range iova)
{
	struct weir_range grown = weir_range_grow(iova);
	struct weir_region r;
	struct map_pos pos;
	bool more = map_tree_seek(c->edit.root, grown.start, &pos, &r);

	for (; more && r.iova.start <= grown.last; more = map_tree_next(&pos, &r))
		if (change_near(c, &r) != 0)
			return -ENOMEM;
	c->plan.old = c->near;
	c->plan.nr_old = c->nr_near;
	return 0;
}

static void
totals_count(struct weir_map_totals *t, const struct weir_region *r, int sign)
{
	uint64_t pages = (weir_range_len(r->iova) - 1) / WEIR_MAP_PAGE + 1;

	/* modulo 2^64, so that 0 - n is as good as - n */
	t->regions += (size_t)sign;
	t->pieces += (uint64_t)sign * weir_region_pieces(r);
	t->pages += (uint64_t)sign * pages;
}

/* Make the new tree out of the plan. */
static int
change_edit(struct weir_map *m, struct weir_map_change *c)
{
	const struct weir_plan *p = &c->plan;
	size_t d = 0, a = 0;
	int ret = 0;

	c->totals = m->totals;
	while (ret == 0 && (d < p->nr_del || a < p->nr_add)) {
		const struct weir_region *del = d < p->nr_del ? &p->del[d] : NULL;
		const struct weir_region *add = a < p->nr_add ? &p->add[a] : NULL;
		bool out = del != NULL &&
			   (add == NULL || del->iova.start <= add->iova.start);
		bool in = add != NULL &&
			  (del == NULL || add->iova.start <= del->iova.start);

		if (out)
			totals_count(&c->totals, del, -1);
		if (in)
			totals_count(&c->totals, add, 1);
		if (in && out)
			ret = map_edit_replace(&c->edit, add);
		else if (in)
			ret = map_edit_insert(&c->edit, add);
		else if (out)
			ret = map_edit_remove(&c->edit, del->iova.start);
		d += out;
		a += in;
	}
	return ret;
}

/* The last step of planning: make the tree, or drop it all. */
static int
change_planned(struct weir_map *m, struct weir_map_change *c, int ret,
	       struct weir_map_change **out)
{
	if (ret == 0)
		ret = change_edit(m, c);
	if (ret == 0)
		*out = c;
	else
		weir_map_abort(m, c);
	return ret;
}

int
weir_map_plan_map(struct weir_map *m, const struct weir_region *r,
		  struct weir_map_change **out)
{
	struct weir_map_change *c = change_open(m);
	int ret = weir_region_check(r);

	if (ret == 0)
		ret = change_gather(c, r->iova);
	if (ret == 0)
		ret = weir_plan_map(&c->plan, r);
	return change_planned(m, c, ret, out);
}

int
weir_map_plan_unmap(struct weir_map *m, struct weir_range iova,
		    struct weir_map_change **out)
{
	struct weir_map_change *c = change_open(m);
	int ret = iova.start <= iova.last ? change_gather(c, iova) : -EINVAL;

	if (ret == 0)
		ret = weir_plan_unmap(&c->plan, iova);
	return change_planned(m, c, ret, out);
}

int
weir_map_plan_harden(struct weir_map *m, struct weir_map_change **out)
{
	struct weir_map_change *c = change_open(m);
	struct weir_region r;
	struct map_pos pos;
	bool more = map_tree_seek(c->edit.root, 0, &pos, &r);
	int ret = 0;

	for (; more && ret == 0; more = map_tree_next(&pos, &r))
		if (r.chunk == 0)
			ret = change_near(c, &r);
	for (size_t i = 0; i < c->nr_near; i++) {
		c->plan.buf[i] = c->near[i];
		c->plan.buf[i].chunk = weir_range_len(c->near[i].iova);
	}
	c->plan.op = WEIR_PLAN_UNMAP;
	c->plan.old = NULL;
	c->plan.nr_old = 0;
	c->plan.del = c->near;
	c->plan.add = c->plan.buf;
	c->plan.nr_del = c->plan.nr_add = c->nr_near;
	return change_planned(m, c, ret, out);
}

const struct weir_plan *
weir_map_change_plan(const struct weir_map_change *c)
{
	return &c->plan;
}

struct weir_map_totals
weir_map_change_totals(const struct weir_map_change *c)
{
	return c->totals;
}

/* A set of regions, sorted. */
struct region_set {
	const struct weir_region *r;
	size_t nr;
};

static bool
region_set_has(const void *arg, uint64_t start)
{
	const struct region_set *set = arg;
	size_t from = 0, to = set->nr;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (set->r[mid].iova.start < start)
			from = mid + 1;
		else
			to = mid;
	}
	return from < set->nr && set->r[from].iova.start == start;
}

/* Store a root, of the last edit's version, and wait for those who hold a region that is
 * not in it. */
static void
publish(struct weir_map *m, struct map_node *root, struct region_set out,
	struct weir_map_totals totals)
{
	const uint64_t seq = 2 * m->nr_edits;

	map_lock_take(&m->lock);
	atomic_store_explicit(&m->seq, seq - 1, memory_order_relaxed);
	atomic_store_explicit(&m->root, root, memory_order_release);
	atomic_store_explicit(&m->seq, seq, memory_order_release);
	atomic_store_explicit(&m->nr_regions, totals.regions, memory_order_relaxed);
	map_lock_drop(&m->lock);
	m->totals = totals;
	map_slots_drain(&m->slots, region_set_has, &out);
}

void
weir_map_publish(struct weir_map *m, struct weir_map_change *c)
{
	struct region_set out = { c->plan.del, c->plan.nr_del };
	struct weir_map_totals before = m->totals;

	publish(m, c->edit.root, out, c->totals);
	c->totals = before; /* those that a revert restores */
}

void
weir_map_finish(struct weir_map *m, struct weir_map_change *c)
{
	reclaim(m);
	change_close(c);
}

void
weir_map_revert(struct weir_map *m, struct weir_map_change *c)
{
	struct region_set out = { c->plan.add, c->plan.nr_add };

	m->nr_edits++;
	publish(m, c->edit.old_root, out, c->totals);
	map_edit_revert(&c->edit, m->nr_edits);
	reclaim(m);
	change_close(c);
}

void
weir_map_abort(struct weir_map *m, struct weir_map_change *c)
{
	(void)m;
	map_edit_abort(&c->edit);
	change_close(c);
}

struct weir_map_totals
weir_map_totals(const struct weir_map *m)
{
	return m->totals;
}
