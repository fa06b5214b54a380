/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "map_tree.h"

/* A node with so few keys gets more from a sibling, or merges, before one goes. */
#define NODE_LOW (MAP_FANOUT / 4)

static_assert(sizeof(struct map_node) <= 512, "eight cache lines a node");
static_assert(sizeof(struct weir_map_held) <= 64, "one cache line a region");

/* Keys that are at most @key. Branchless: its outcome is random by nature. */
static unsigned int
node_rank(const struct map_node *n, uint64_t key)
{
	const uint64_t *base = n->key;
	unsigned int len = n->nr;

	while (len > 1) {
		unsigned int half = len / 2;

		base = base[half - 1] <= key ? base + half : base;
		len -= half;
	}
	return (unsigned int)(base - n->key) + (len == 1 && *base <= key);
}

/* The child to descend to: the last that begins at or before @key, or the first. */
static unsigned int
node_floor(const struct map_node *n, uint64_t key)
{
	unsigned int rank = node_rank(n, key);

	return rank > 0 ? rank - 1 : 0;
}

struct weir_map_held *
map_tree_find(const struct map_node *n, uint64_t at)
{
	const struct map_node *right = NULL;
	struct weir_map_held *h;
	unsigned int i;

	if (n == NULL)
		return NULL;
	for (; n->level > 0; n = n->child[i]) {
		i = node_floor(n, at);
		if (i + 1 < n->nr)
			right = n->child[i + 1];
	}
	i = node_floor(n, at);
	h = n->child[i];
	if (h->r.iova.last >= at)
		return h;
	if (i + 1 < n->nr)
		return n->child[i + 1];
	if (right == NULL)
		return NULL;
	while (right->level > 0)
		right = right->child[0];
	return right->child[0];
}

struct weir_map_held *
map_tree_seek(const struct map_node *n, uint64_t at, struct map_pos *p)
{
	struct weir_map_held *h;

	p->node[0] = NULL;
	if (n == NULL)
		return NULL;
	if (n->level + 1 < MAP_MAX_LEVELS)
		p->node[n->level + 1] = NULL;
	for (;; n = n->child[p->at[n->level]]) {
		p->node[n->level] = n;
		p->at[n->level] = node_floor(n, at);
		if (n->level == 0)
			break;
	}
	h = n->child[p->at[0]];
	return h->r.iova.last >= at ? h : map_tree_next(p);
}

struct weir_map_held *
map_tree_next(struct map_pos *p)
{
	unsigned int level = 0;
	const struct map_node *n;

	if (p->node[0] == NULL)
		return NULL;
	while (++p->at[level] == p->node[level]->nr) {
		if (++level == MAP_MAX_LEVELS || p->node[level] == NULL) {
			p->node[0] = NULL;
			return NULL;
		}
	}
	for (n = p->node[level]; level > 0; level--) {
		n = n->child[p->at[level]];
		p->node[level - 1] = n;
		p->at[level - 1] = 0;
	}
	return n->child[p->at[0]];
}

void
map_edit_begin(struct map_edit *e, struct map_slab *nodes, uint64_t nr,
	       struct map_node *root)
{
	*e = (struct map_edit){
		.nodes = nodes, .nr = nr, .root = root, .old_root = root
	};
}

static struct map_node *
node_new(struct map_edit *e, uint16_t level)
{
	struct map_node *n = map_slab_get(e->nodes);

	if (n == NULL)
		return NULL;
	n->edit = e->nr;
	n->link = NULL;
	n->nr = 0;
	n->level = level;
	return n;
}

/* The edit has no more use for a node. */
static void
node_drop(struct map_edit *e, struct map_node *n)
{
	if (n->edit == e->nr) {
		map_slab_put(e->nodes, n);
		return;
	}
	n->link = e->old_nodes;
	e->old_nodes = n;
}

/* Make *@slot the edit's own. NULL: no memory, nothing has changed. */
static struct map_node *
node_own(struct map_edit *e, void **slot)
{
	struct map_node *old = *slot, *n;

	if (old->edit == e->nr)
		return old;
	n = map_slab_get(e->nodes);
	if (n == NULL)
		return NULL;
	memcpy(n, old, sizeof(*n));
	n->edit = e->nr;
	n->link = NULL;
	node_drop(e, old);
	*slot = n;
	return n;
}

/* As node_own(), of the root. */
static struct map_node *
root_own(struct map_edit *e)
{
	void *slot = e->root;
	struct map_node *n = node_own(e, &slot);

	if (n != NULL)
		e->root = n;
	return n;
}

static void
node_insert(struct map_node *n, unsigned int at, uint64_t key, void *child)
{
	memmove(&n->key[at + 1], &n->key[at], (n->nr - at) * sizeof(n->key[0]));
	memmove(&n->child[at + 1], &n->child[at], (n->nr - at) * sizeof(n->child[0]));
	n->key[at] = key;
	n->child[at] = child;
	n->nr++;
}

static void
node_remove(struct map_node *n, unsigned int at)
{
	n->nr--;
	memmove(&n->key[at], &n->key[at + 1], (n->nr - at) * sizeof(n->key[0]));
	memmove(&n->child[at], &n->child[at + 1], (n->nr - at) * sizeof(n->child[0]));
}

/* Move the last @nr keys of @left before the first of @right. */
static void
node_shift_right(struct map_node *left, struct map_node *right, unsigned int nr)
{
	memmove(&right->key[nr], right->key, right->nr * sizeof(right->key[0]));
	memmove(&right->child[nr], right->child, right->nr * sizeof(right->child[0]));
	memcpy(right->key, &left->key[left->nr - nr], nr * sizeof(right->key[0]));
	memcpy(right->child, &left->child[left->nr - nr], nr * sizeof(right->child[0]));
	left->nr -= nr;
	right->nr += nr;
}

/* Move the first @nr keys of @right behind the last of @left. */
static void
node_shift_left(struct map_node *left, struct map_node *right, unsigned int nr)
{
	memcpy(&left->key[left->nr], right->key, nr * sizeof(left->key[0]));
	memcpy(&left->child[left->nr], right->child, nr * sizeof(left->child[0]));
	left->nr += nr;
	right->nr -= nr;
	memmove(right->key, &right->key[nr], right->nr * sizeof(right->key[0]));
	memmove(right->child, &right->child[nr], right->nr * sizeof(right->child[0]));
}

/*
 * Split the full child @at of @n, both the edit's own. A key beyond all others
 * leaves the left half nearly full: maps are often filled in order of iova.
 */
static int
child_split(struct map_edit *e, struct map_node *n, unsigned int at, uint64_t key)
{
	struct map_node *left = n->child[at], *right = node_new(e, left->level);
	bool append = at + 1u == n->nr && key > left->key[MAP_FANOUT - 1];

	if (right == NULL)
		return -ENOMEM;
	node_shift_right(left, right, append ? NODE_LOW + 1 : MAP_FANOUT / 2);
	node_insert(n, at + 1, right->key[0], right);
	return 0;
}

/* Give the tree one more level if its root is full. */
static int
root_grow(struct map_edit *e, uint64_t key)
{
	struct map_node *n;

	if (e->root->nr < MAP_FANOUT)
		return 0;
	assert(e->root->level + 1 < MAP_MAX_LEVELS);
	n = node_new(e, e->root->level + 1);
	if (n == NULL)
		return -ENOMEM;
	node_insert(n, 0, e->root->key[0], e->root);
	e->root = n;
	return child_split(e, n, 0, key);
}

int
map_edit_insert(struct map_edit *e, struct weir_map_held *h)
{
	uint64_t key = h->r.iova.start;
	struct map_node *n, *c;

	if (e->root == NULL && (e->root = node_new(e, 0)) == NULL)
		return -ENOMEM;
	if (root_own(e) == NULL || root_grow(e, key) != 0)
		return -ENOMEM;
	/* every node on the way has room: a split below fits without going back */
	for (n = e->root; n->level > 0; n = c) {
		unsigned int i = node_floor(n, key);

		if (key < n->key[i])
			n->key[i] = key;
		c = node_own(e, &n->child[i]);
		if (c == NULL)
			return -ENOMEM;
		if (c->nr == MAP_FANOUT) {
			if (child_split(e, n, i, key) != 0)
				return -ENOMEM;
			c = n->child[node_floor(n, key)];
		}
	}
	node_insert(n, node_rank(n, key), key, h);
	return 0;
}

/* Give the child @at of @n, which has few keys, some of a sibling's, or all. */
static int
child_fill(struct map_edit *e, struct map_node *n, unsigned int at)
{
	unsigned int i = at > 0 ? at - 1 : at;
	struct map_node *left = node_own(e, &n->child[i]), *right = n->child[i + 1];
	unsigned int half;

	if (left == NULL)
		return -ENOMEM;
	if (left->nr + right->nr <= MAP_FANOUT) {
		memcpy(&left->key[left->nr], right->key,
		       right->nr * sizeof(left->key[0]));
		memcpy(&left->child[left->nr], right->child,
		       right->nr * sizeof(left->child[0]));
		left->nr += right->nr;
		node_drop(e, right);
		node_remove(n, i + 1);
		return 0;
	}
	right = node_own(e, &n->child[i + 1]);
	if (right == NULL)
		return -ENOMEM;
	half = (left->nr + right->nr) / 2u;
	if (left->nr > half)
		node_shift_right(left, right, left->nr - half);
	else
		node_shift_left(left, right, half - left->nr);
	n->key[i + 1] = right->key[0];
	return 0;
}

/* Inner roots with one child, and a leaf with none, are not kept. */
static void
root_shrink(struct map_edit *e)
{
	while (e->root->level > 0 && e->root->nr == 1) {
		struct map_node *n = e->root;

		e->root = n->child[0];
		node_drop(e, n);
	}
	if (e->root->nr == 0) {
		node_drop(e, e->root);
		e->root = NULL;
	}
}

static void
edit_gone(struct map_edit *e, struct weir_map_held *h)
{
	h->link = e->gone;
	e->gone = h;
}

int
map_edit_remove(struct map_edit *e, uint64_t start)
{
	struct map_node *path[MAP_MAX_LEVELS], *n = root_own(e), *c;
	unsigned int at[MAP_MAX_LEVELS], i, level;

	if (n == NULL)
		return -ENOMEM;
	for (; n->level > 0; n = c) {
		i = node_floor(n, start);
		c = node_own(e, &n->child[i]);
		if (c == NULL)
			return -ENOMEM;
		if (c->nr <= NODE_LOW && n->nr > 1) {
			if (child_fill(e, n, i) != 0)
				return -ENOMEM;
			i = node_floor(n, start);
			c = n->child[i];
		}
		path[n->level] = n;
		at[n->level] = i;
	}
	i = node_floor(n, start);
	assert(n->key[i] == start);
	edit_gone(e, n->child[i]);
	node_remove(n, i);
	for (level = 1; i == 0 && n->nr > 0 && level <= e->root->level; level++) {
		i = at[level];
		path[level]->key[i] = n->key[0];
	}
	root_shrink(e);
	return 0;
}

int
map_edit_replace(struct map_edit *e, struct weir_map_held *h)
{
	uint64_t start = h->r.iova.start;
	struct map_node *n = root_own(e);
	unsigned int i;

	while (n != NULL && n->level > 0)
		n = node_own(e, &n->child[node_floor(n, start)]);
	if (n == NULL)
		return -ENOMEM;
	i = node_floor(n, start);
	assert(n->key[i] == start);
	edit_gone(e, n->child[i]);
	n->child[i] = h;
	return 0;
}

void
map_edit_each_new(struct map_edit *e, struct map_node *n,
		  void (*fn)(void *arg, struct map_node *n), void *arg)
{
	if (n == NULL || n->edit != e->nr)
		return;
	for (unsigned int i = 0; n->level > 0 && i < n->nr; i++)
		map_edit_each_new(e, n->child[i], fn, arg);
	fn(arg, n);
}
