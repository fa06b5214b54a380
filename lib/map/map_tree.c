/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "map_tree.h"

static_assert(sizeof(struct map_node) <= 1024, "sixteen cache lines a node");
static_assert(sizeof(struct map_entry) == 32, "two entries a cache line");

/* Nodes that a step of an edit makes, or drops, at most: three on each level. */
#define STEP_NODES (3 * MAP_MAX_LEVELS + 2)

/* Keys that are compared one after the other. */
#define RANK_GROUP 8u

static unsigned int
node_max(const struct map_node *n)
{
	return n->level > 0 ? MAP_FANOUT : MAP_LEAF;
}

/* A node with so few keys gets more from a sibling, or merges, before one goes. */
static unsigned int
node_low(const struct map_node *n)
{
	return node_max(n) / 4;
}

/* Bytes of what belongs to a key. */
static size_t
slot_len(const struct map_node *n)
{
	return n->level > 0 ? sizeof(n->inner.child) / MAP_FANOUT
			    : sizeof(n->leaf.entry[0]);
}

/* What belongs to key @i: a child or an entry. */
static char *
slot_at(struct map_node *n, unsigned int i)
{
	return n->level > 0 ? (char *)&n->inner.child[i] : (char *)&n->leaf.entry[i];
}

static struct map_entry
entry_pack(const struct weir_region *r)
{
	return (struct map_entry){ .last = r->iova.last,
				   .hva_prot = r->hva | r->prot,
				   .chunk = r->chunk,
				   .refs = r->refs,
				   .owner = r->owner };
}

static void
entry_unpack(const struct map_node *n, unsigned int i, struct weir_region *r)
{
	const struct map_entry *e = &n->leaf.entry[i];

	r->iova.start = n->leaf.key[i];
	r->iova.last = e->last;
	r->hva = e->hva_prot & ~(WEIR_MAP_PAGE - 1);
	r->prot = (uint32_t)(e->hva_prot & (WEIR_MAP_PAGE - 1));
	r->chunk = e->chunk;
	r->refs = e->refs;
	r->owner = e->owner;
}

/* Ask for all of a node at once: one wait for memory instead of one a line. */
static const struct map_node *
node_fetch(const struct map_node *n)
{
	for (size_t at = 0; at < sizeof(*n); at += 64)
		__builtin_prefetch((const char *)n + at);
	return n;
}

/*
 * Keys that are at most @key: first the groups of RANK_GROUP that are so to their
 * last, then those in the group behind. Each comparison is a coin toss that no branch
 * predictor can learn, so they are counted; and none of them waits for the one
 * before, as it would when halving.
 */
static unsigned int
node_rank(const struct map_node *n, uint64_t key)
{
	unsigned int nr = n->nr, rank = 0, end;

	for (unsigned int i = RANK_GROUP; i <= nr; i += RANK_GROUP)
		rank += n->key[i - 1] <= key;
	rank *= RANK_GROUP;
	end = rank + RANK_GROUP < nr ? rank + RANK_GROUP : nr;
	for (unsigned int i = rank; i < end; i++)
		rank += n->key[i] <= key;
	return rank;
}

/* The last key that is at most @key, or the first of all. */
static unsigned int
node_floor(const struct map_node *n, uint64_t key)
{
	unsigned int rank = node_rank(n, key);

	return rank > 0 ? rank - 1 : 0;
}

bool
map_tree_find(const struct map_node *root, uint64_t at, struct weir_region *out)
{
	const struct map_node *n = root, *right = NULL;
	unsigned int i;

	if (n == NULL)
		return false;
	for (; n->level > 0; n = node_fetch(n->inner.child[i])) {
		i = node_floor(n, at);
		if (i + 1 < n->nr)
			right = n->inner.child[i + 1];
	}
	i = node_floor(n, at);
	if (n->leaf.entry[i].last < at && ++i == n->nr) {
		if (right == NULL)
			return false;
		for (n = right; n->level > 0;)
			n = n->inner.child[0];
		i = 0;
	}
	entry_unpack(n, i, out);
	return true;
}

bool
map_tree_seek(const struct map_node *root, uint64_t at, struct map_pos *p,
	      struct weir_region *out)
{
	const struct map_node *n = root;

	p->node[0] = NULL;
	if (n == NULL)
		return false;
	if (n->level + 1 < MAP_MAX_LEVELS)
		p->node[n->level + 1] = NULL;
	for (;; n = node_fetch(n->inner.child[p->at[n->level]])) {
		p->node[n->level] = n;
		p->at[n->level] = node_floor(n, at);
		if (n->level == 0)
			break;
	}
	if (n->leaf.entry[p->at[0]].last < at)
		return map_tree_next(p, out);
	entry_unpack(n, p->at[0], out);
	return true;
}

bool
map_tree_next(struct map_pos *p, struct weir_region *out)
{
	unsigned int level = 0;
	const struct map_node *n;

	if (p->node[0] == NULL)
		return false;
	while (++p->at[level] == p->node[level]->nr) {
		if (++level == MAP_MAX_LEVELS || p->node[level] == NULL) {
			p->node[0] = NULL;
			return false;
		}
	}
	for (n = p->node[level]; level > 0; level--) {
		n = n->inner.child[p->at[level]];
		p->node[level - 1] = n;
		p->at[level - 1] = 0;
	}
	entry_unpack(n, p->at[0], out);
	return true;
}

void
map_edit_begin(struct map_edit *e, struct map_slab *nodes, struct map_limbo *limbo,
	       uint64_t nr, struct map_node *root)
{
	*e = (struct map_edit){ .nodes = nodes,
				.limbo = limbo,
				.limbo_nr = limbo->nr,
				.nr = nr,
				.root = root,
				.old_root = root };
}

/*
 * Before a step that may fail: room in limbo for what it drops, and for all that
 * the edit has made then, if it is reverted.
 */
static int
edit_reserve(struct map_edit *e)
{
	return map_limbo_reserve(e->limbo, e->nr_new + 2 * STEP_NODES);
}

static struct map_node *
node_new(struct map_edit *e, unsigned int level)
{
	struct map_node *n = map_slab_get(e->nodes);

	if (n == NULL)
		return NULL;
	e->nr_new++;
	n->edit = e->nr;
	n->nr = 0;
	n->level = (uint16_t)level;
	return n;
}

/* The edit has no more use for a node. */
static void
node_drop(struct map_edit *e, struct map_node *n)
{
	if (n->edit == e->nr) {
		e->nr_new--;
		map_slab_put(e->nodes, n);
	} else {
		map_limbo_put(e->limbo, n, n->edit, e->nr);
	}
}

/* Copy the first @nr keys of @right behind the last of @left. */
static void
node_append(struct map_node *left, struct map_node *right, unsigned int nr)
{
	memcpy(&left->key[left->nr], right->key, nr * sizeof(left->key[0]));
	memcpy(slot_at(left, left->nr), slot_at(right, 0), nr * slot_len(left));
	left->nr = (uint16_t)(left->nr + nr);
}

/* Make *@slot the edit's own. NULL: no memory, nothing has changed. */
static struct map_node *
node_own(struct map_edit *e, struct map_node **slot)
{
	struct map_node *old = *slot, *n;

	if (old->edit == e->nr)
		return old;
	n = node_new(e, old->level);
	if (n == NULL)
		return NULL;
	node_append(n, old, old->nr);
	node_drop(e, old);
	*slot = n;
	return n;
}

/* Make room at @i for a key; the caller fills in what belongs to it. */
static char *
node_insert(struct map_node *n, unsigned int i, uint64_t key)
{
	memmove(&n->key[i + 1], &n->key[i], (n->nr - i) * sizeof(n->key[0]));
	memmove(slot_at(n, i + 1), slot_at(n, i), (n->nr - i) * slot_len(n));
	n->key[i] = key;
	n->nr++;
	return slot_at(n, i);
}

static void
child_insert(struct map_node *n, unsigned int i, struct map_node *child)
{
	node_insert(n, i, child->key[0]);
	n->inner.child[i] = child;
}

static void
node_remove(struct map_node *n, unsigned int i)
{
	n->nr--;
	memmove(&n->key[i], &n->key[i + 1], (n->nr - i) * sizeof(n->key[0]));
	memmove(slot_at(n, i), slot_at(n, i + 1), (n->nr - i) * slot_len(n));
}

/* Move the last @nr keys of @left before the first of @right. */
static void
node_shift_right(struct map_node *left, struct map_node *right, unsigned int nr)
{
	unsigned int from = left->nr - nr;

	memmove(&right->key[nr], right->key, right->nr * sizeof(right->key[0]));
	memmove(slot_at(right, nr), slot_at(right, 0), right->nr * slot_len(right));
	memcpy(right->key, &left->key[from], nr * sizeof(right->key[0]));
	memcpy(slot_at(right, 0), slot_at(left, from), nr * slot_len(right));
	left->nr = (uint16_t)from;
	right->nr = (uint16_t)(right->nr + nr);
}

/* Move the first @nr keys of @right behind the last of @left. */
static void
node_shift_left(struct map_node *left, struct map_node *right, unsigned int nr)
{
	node_append(left, right, nr);
	right->nr = (uint16_t)(right->nr - nr);
	memmove(right->key, &right->key[nr], right->nr * sizeof(right->key[0]));
	memmove(slot_at(right, 0), slot_at(right, nr), right->nr * slot_len(right));
}

/*
 * Split the full child @i of @n, both the edit's own. If @key is beyond all
 * others the left one stays full but for one: maps are often filled in order.
 */
static int
child_split(struct map_edit *e, struct map_node *n, unsigned int i, uint64_t key)
{
	struct map_node *left = n->inner.child[i], *right = node_new(e, left->level);
	bool append = i + 1u == n->nr && key > left->key[left->nr - 1];

	if (right == NULL)
		return -ENOMEM;
	node_shift_right(left, right, append ? 1 : left->nr / 2u);
	child_insert(n, i + 1, right);
	return 0;
}

/* Give the tree one more level if its root is full. */
static int
root_grow(struct map_edit *e, uint64_t key)
{
	struct map_node *n;

	if (e->root->nr < node_max(e->root))
		return 0;
	assert(e->root->level + 1 < MAP_MAX_LEVELS);
	n = node_new(e, e->root->level + 1u);
	if (n == NULL)
		return -ENOMEM;
	child_insert(n, 0, e->root);
	e->root = n;
	return child_split(e, n, 0, key);
}

int
map_edit_insert(struct map_edit *e, const struct weir_region *r)
{
	uint64_t key = r->iova.start;
	struct map_node *n, *c;
	unsigned int i;

	if (edit_reserve(e) != 0)
		return -ENOMEM;
	if (e->root == NULL && (e->root = node_new(e, 0)) == NULL)
		return -ENOMEM;
	if (node_own(e, &e->root) == NULL || root_grow(e, key) != 0)
		return -ENOMEM;
	/* every node on the way has room: a split below fits without going back */
	for (n = e->root; n->level > 0; n = c) {
		i = node_floor(n, key);
		if (key < n->key[i])
			n->key[i] = key;
		c = node_own(e, &n->inner.child[i]);
		if (c == NULL)
			return -ENOMEM;
		if (c->nr == node_max(c)) {
			if (child_split(e, n, i, key) != 0)
				return -ENOMEM;
			c = n->inner.child[node_floor(n, key)];
		}
	}
	i = node_rank(n, key);
	node_insert(n, i, key);
	n->leaf.entry[i] = entry_pack(r);
	return 0;
}

/* Give the child @at of @n, which has few keys, some of a sibling's, or all. */
static int
child_fill(struct map_edit *e, struct map_node *n, unsigned int at)
{
	unsigned int i = at > 0 ? at - 1 : at, half;
	struct map_node *left = node_own(e, &n->inner.child[i]), *right;

	if (left == NULL)
		return -ENOMEM;
	right = n->inner.child[i + 1];
	if (left->nr + right->nr <= (int)node_max(left)) {
		node_append(left, right, right->nr);
		node_drop(e, right);
		node_remove(n, i + 1);
		return 0;
	}
	right = node_own(e, &n->inner.child[i + 1]);
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

		e->root = n->inner.child[0];
		node_drop(e, n);
	}
	if (e->root->nr == 0) {
		node_drop(e, e->root);
		e->root = NULL;
	}
}

/* The smallest key of a leaf has changed: so it does in the nodes above it. */
static void
keys_above(struct map_edit *e, uint64_t old, uint64_t now)
{
	struct map_node *n;
	unsigned int i;

	for (n = e->root; n->level > 0; n = n->inner.child[i]) {
		i = node_floor(n, old);
		if (n->key[i] == old)
			n->key[i] = now;
	}
}

int
map_edit_remove(struct map_edit *e, uint64_t start)
{
	struct map_node *n, *c;
	unsigned int i;

	if (edit_reserve(e) != 0 || (n = node_own(e, &e->root)) == NULL)
		return -ENOMEM;
	for (; n->level > 0; n = c) {
		i = node_floor(n, start);
		c = node_own(e, &n->inner.child[i]);
		if (c == NULL)
			return -ENOMEM;
		if (c->nr <= node_low(c) && n->nr > 1) {
			if (child_fill(e, n, i) != 0)
				return -ENOMEM;
			c = n->inner.child[node_floor(n, start)];
		}
	}
	i = node_floor(n, start);
	assert(n->key[i] == start);
	node_remove(n, i);
	if (i == 0 && n->nr > 0)
		keys_above(e, start, n->key[0]);
	root_shrink(e);
	return 0;
}

int
map_edit_replace(struct map_edit *e, const struct weir_region *r)
{
	uint64_t start = r->iova.start;
	struct map_node *n;
	unsigned int i;

	if (edit_reserve(e) != 0)
		return -ENOMEM;
	n = node_own(e, &e->root);
	while (n != NULL && n->level > 0)
		n = node_own(e, &n->inner.child[node_floor(n, start)]);
	if (n == NULL)
		return -ENOMEM;
	i = node_floor(n, start);
	assert(n->key[i] == start);
	n->leaf.entry[i] = entry_pack(r);
	return 0;
}

/* Call for each node below @n that the edit made. @fn may free it. */
static void
each_new(const struct map_edit *e, struct map_node *n,
	 void (*fn)(const struct map_edit *e, struct map_node *n, uint64_t arg),
	 uint64_t arg)
{
	if (n == NULL || n->edit != e->nr)
		return;
	for (unsigned int i = 0; n->level > 0 && i < n->nr; i++)
		each_new(e, n->inner.child[i], fn, arg);
	fn(e, n, arg);
}

static void
abort_node(const struct map_edit *e, struct map_node *n, uint64_t arg)
{
	(void)arg;
	map_slab_put(e->nodes, n);
}

void
map_edit_abort(struct map_edit *e)
{
	e->limbo->nr = e->limbo_nr;
	each_new(e, e->root, abort_node, 0);
}

static void
revert_node(const struct map_edit *e, struct map_node *n, uint64_t retired)
{
	map_limbo_put(e->limbo, n, e->nr, retired);
}

void
map_edit_revert(struct map_edit *e, uint64_t retired)
{
	e->limbo->nr = e->limbo_nr;
	each_new(e, e->root, revert_node, retired);
}
