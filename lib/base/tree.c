/* SPDX-License-Identifier: BSD-3-Clause */
#include "weir_tree.h"

static unsigned int
height(const struct weir_tree_node *n)
{
	return n != NULL ? n->height : 0;
}

static void
height_update(struct weir_tree_node *n)
{
	unsigned int lower = height(n->child[0]), higher = height(n->child[1]);

	n->height = 1 + (lower > higher ? lower : higher);
}

/* The link that leads to n: its parent's, or the root's. */
static struct weir_tree_node **
link_to(struct weir_tree *t, const struct weir_tree_node *n)
{
	if (n->parent == NULL)
		return &t->root;
	return &n->parent->child[n->parent->child[1] == n];
}

/* Put n where old is. Only the links between it and old's parent change. */
static void
replace(struct weir_tree *t, const struct weir_tree_node *old, struct weir_tree_node *n)
{
	*link_to(t, old) = n;
	if (n != NULL)
		n->parent = old->parent;
}

static void
adopt(struct weir_tree_node *n, int side, struct weir_tree_node *child)
{
	n->child[side] = child;
	if (child != NULL)
		child->parent = n;
}

/* n's child on the other side takes n's place, n becomes its child on `side`. */
static struct weir_tree_node *
rotate(struct weir_tree *t, struct weir_tree_node *n, int side)
{
	struct weir_tree_node *up = n->child[!side];

	replace(t, n, up);
	adopt(n, !side, up->child[side]);
	adopt(up, side, n);
	height_update(n);
	height_update(up);
	return up;
}

/* Restore heights and balance from n up to the root. */
static void
rebalance(struct weir_tree *t, struct weir_tree_node *n)
{
	for (; n != NULL; n = n->parent) {
		unsigned int lower = height(n->child[0]), higher = height(n->child[1]);
		int heavy = higher > lower;
		struct weir_tree_node *c = n->child[heavy];

		if (lower <= higher + 1 && higher <= lower + 1) {
			height_update(n);
			continue;
		}
		if (height(c->child[!heavy]) > height(c->child[heavy]))
			rotate(t, c, heavy);
		n = rotate(t, n, !heavy);
	}
}

int
weir_tree_insert(struct weir_tree *t, struct weir_tree_node *n)
{
	struct weir_tree_node **link = &t->root, *parent = NULL;

	while (*link != NULL) {
		parent = *link;
		if (weir_range_overlaps(parent->key, n->key))
			return -EEXIST;
		link = &parent->child[n->key.start > parent->key.start];
	}
	n->child[0] = NULL;
	n->child[1] = NULL;
	n->parent = parent;
	n->height = 1;
	*link = n;
	t->nr_nodes++;
	rebalance(t, parent);
	return 0;
}

void
weir_tree_erase(struct weir_tree *t, struct weir_tree_node *n)
{
	struct weir_tree_node *from = n->parent, *next;

	t->nr_nodes--;
	if (n->child[0] == NULL || n->child[1] == NULL) {
		replace(t, n, n->child[n->child[0] == NULL]);
		rebalance(t, from);
		return;
	}
	/* two children: the next higher node, which has no lower child, moves up */
	for (next = n->child[1]; next->child[0] != NULL;)
		next = next->child[0];
	from = next;
	if (next->parent != n) {
		from = next->parent;
		replace(t, next, next->child[1]);
		adopt(next, 1, n->child[1]);
	}
	adopt(next, 0, n->child[0]);
	replace(t, n, next);
	rebalance(t, from);
}

struct weir_tree_node *
weir_tree_find(const struct weir_tree *t, uint64_t addr)
{
	struct weir_tree_node *n = t->root, *best = NULL;

	while (n != NULL) {
		if (n->key.last < addr) {
			n = n->child[1];
			continue;
		}
		best = n;
		if (n->key.start <= addr)
			break;
		n = n->child[0];
	}
	return best;
}

struct weir_tree_node *
weir_tree_overlap(const struct weir_tree *t, struct weir_range r)
{
	struct weir_tree_node *n = weir_tree_find(t, r.start);

	return n != NULL && n->key.start <= r.last ? n : NULL;
}

bool
weir_tree_bisects(const struct weir_tree *t, struct weir_range r)
{
	const struct weir_tree_node *lo = weir_tree_find(t, r.start);
	const struct weir_tree_node *hi = weir_tree_find(t, r.last);

	return (lo != NULL && lo->key.start < r.start) ||
	       (hi != NULL && hi->key.start <= r.last && hi->key.last > r.last);
}

struct weir_tree_node *
weir_tree_next(const struct weir_tree_node *n)
{
	struct weir_tree_node *up;

	if (n->child[1] != NULL) {
		for (up = n->child[1]; up->child[0] != NULL;)
			up = up->child[0];
		return up;
	}
	for (up = n->parent; up != NULL && up->child[1] == n; up = up->parent)
		n = up;
	return up;
}
