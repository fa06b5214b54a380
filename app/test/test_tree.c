/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "test.h"
#include "weir_tree.h"

#define UNITS 512u

static uint64_t rnd;

static struct weir_range
units(unsigned int start, unsigned int nr)
{
	return (struct weir_range){ start * 16u, (start + nr) * 16u - 1 };
}

/* Balance, links, order. Returns the height, or -1. */
static int
check_node(const struct weir_tree_node *n, const struct weir_tree_node *parent)
{
	int lo, hi;

	if (n == NULL)
		return 0;
	lo = check_node(n->child[0], n);
	hi = check_node(n->child[1], n);
	if (lo < 0 || hi < 0 || lo > hi + 1 || hi > lo + 1 || n->parent != parent)
		return -1;
	if (n->child[0] != NULL && n->child[0]->key.last >= n->key.start)
		return -1;
	if (n->child[1] != NULL && n->child[1]->key.start <= n->key.last)
		return -1;
	return (int)n->height == 1 + (lo > hi ? lo : hi) ? (int)n->height : -1;
}

/* The model: which node owns each unit, by number; 0 is none. */
static enum test_result
check_model(const struct weir_tree *t, const struct weir_tree_node *nodes,
	    const unsigned short *owner)
{
	const struct weir_tree_node *n = weir_tree_find(t, 0);
	size_t seen = 0;

	TEST_ASSERT(check_node(t->root, NULL) >= 0);
	for (unsigned int u = 0; u < UNITS; u++) {
		const struct weir_tree_node *f = weir_tree_find(t, u * 16u + 7);
		unsigned int v = u;

		while (v < UNITS && owner[v] == 0)
			v++;
		TEST_ASSERT(f == (v < UNITS ? &nodes[owner[v]] : NULL));
		if (owner[u] != 0 && (u == 0 || owner[u - 1] != owner[u])) {
			TEST_ASSERT(n == &nodes[owner[u]]);
			n = weir_tree_next(n);
			seen++;
		}
	}
	TEST_ASSERT(n == NULL);
	TEST_EQ(seen, t->nr_nodes);
	return TEST_OK;
}

/* A range in the tree reaches across the border before unit @u. */
static bool
crosses(const unsigned short *owner, unsigned int u)
{
	return u > 0 && u < UNITS && owner[u] != 0 && owner[u - 1] == owner[u];
}

/* Insert or erase at random; the model says what each must answer. */
static enum test_result
tree_random_agrees_with_an_array(void)
{
	static struct weir_tree_node nodes[UNITS + 1];
	static unsigned short owner[UNITS];
	struct weir_tree t = { NULL, 0 };

	rnd = test_seed();
	memset(owner, 0, sizeof(owner));
	for (unsigned int i = 0; i < 20000; i++) {
		unsigned int u = (unsigned int)(test_rand(&rnd) % UNITS);
		unsigned int nr = 1 + (unsigned int)(test_rand(&rnd) % 4);
		bool empty = true;

		if (nr > UNITS - u)
			nr = UNITS - u;
		for (unsigned int v = u; v < u + nr; v++)
			empty = empty && owner[v] == 0;
		TEST_ASSERT((weir_tree_overlap(&t, units(u, nr)) == NULL) == empty);
		TEST_EQ(weir_tree_bisects(&t, units(u, nr)),
			crosses(owner, u) || crosses(owner, u + nr));
		if (owner[u] != 0 && test_rand(&rnd) % 2 == 0) {
			unsigned short id = owner[u];

			weir_tree_erase(&t, &nodes[id]);
			for (unsigned int v = 0; v < UNITS; v++)
				owner[v] = owner[v] == id ? 0 : owner[v];
		} else {
			/* a node's number is its first unit's plus one: free if empty */
			struct weir_tree_node spare = { .key = units(u, nr) };
			struct weir_tree_node *n = empty ? &nodes[u + 1] : &spare;

			n->key = units(u, nr);
			TEST_EQ(weir_tree_insert(&t, n), empty ? 0 : -EEXIST);
			for (unsigned int v = u; empty && v < u + nr; v++)
				owner[v] = (unsigned short)(u + 1);
		}
		if (i % 64 == 0 && check_model(&t, nodes, owner) != TEST_OK)
			return TEST_FAILED;
	}
	return check_model(&t, nodes, owner);
}

static enum test_result
tree_ends_of_the_address_space(void)
{
	struct weir_tree t = { NULL, 0 };
	struct weir_tree_node low = { .key = { 0, 0 } };
	struct weir_tree_node top = { .key = { UINT64_MAX, UINT64_MAX } };
	struct weir_tree_node all = { .key = { 0, UINT64_MAX } };

	TEST_EQ(weir_tree_insert(&t, &top), 0);
	TEST_EQ(weir_tree_insert(&t, &low), 0);
	TEST_EQ(weir_tree_insert(&t, &all), -EEXIST);
	TEST_ASSERT(weir_tree_find(&t, 1) == &top);
	TEST_ASSERT(weir_tree_overlap(&t, (struct weir_range){ 1, UINT64_MAX - 1 }) ==
		    NULL);
	weir_tree_erase(&t, &low);
	weir_tree_erase(&t, &top);
	TEST_ASSERT(weir_tree_find(&t, 0) == NULL);
	TEST_EQ(weir_tree_insert(&t, &all), 0);
	TEST_ASSERT(weir_tree_find(&t, UINT64_MAX) == &all);
	return TEST_OK;
}

static enum test_result
tree_ascending_inserts_stay_flat(void)
{
	enum { NR = 4095 };
	static struct weir_tree_node nodes[NR];
	struct weir_tree t = { NULL, 0 };

	for (unsigned int i = 0; i < NR; i++) {
		nodes[i].key = units(i, 1);
		TEST_EQ(weir_tree_insert(&t, &nodes[i]), 0);
	}
	TEST_EQ(check_node(t.root, NULL), 12);
	for (unsigned int i = 0; i < NR - 1; i++)
		TEST_ASSERT(weir_tree_next(&nodes[i]) == &nodes[i + 1]);
	return TEST_OK;
}

static const struct test_case tree_cases[] = {
	{ "tree_random_agrees_with_an_array", tree_random_agrees_with_an_array },
	{ "tree_ends_of_the_address_space", tree_ends_of_the_address_space },
	{ "tree_ascending_inserts_stay_flat", tree_ascending_inserts_stay_flat },
};
AUTOTEST(tree_autotest, tree_cases);
