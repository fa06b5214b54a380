/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_TREE_H
#define WEIR_TREE_H
/**
 * @file
 * Ranges in order: a balanced tree of ranges that do not overlap.
 *
 * The tree is intrusive: a node sits inside the object it stands for, so that
 * inserting and erasing allocate nothing and cannot fail half way. It is
 * height-balanced (AVL); every operation is O(log n), stepping to the next node
 * O(1) on average.
 *
 * No locks: whoever owns the tree serialises its callers. The key of a node
 * that is in a tree may change only so that the order stays the same.
 */
#include <stddef.h>

#include "weir_range.h"

#ifdef __cplusplus
extern "C" {
#endif

/** One range. Embed it; weir_tree_insert() fills in all but the key. */
struct weir_tree_node {
	struct weir_range key;
	struct weir_tree_node *child[2]; /**< lower, higher */
	struct weir_tree_node *parent;	 /**< NULL at the root */
	unsigned int height;		 /**< of the subtree; a leaf's is 1 */
};

/** A tree; all zero is an empty one. */
struct weir_tree {
	struct weir_tree_node *root;
	size_t nr_nodes;
};

/**
 * Insert a node with its key set.
 *
 * @return 0; -EEXIST: a range in the tree shares a byte with it.
 */
int weir_tree_insert(struct weir_tree *t, struct weir_tree_node *n);

/** Take out a node that is in the tree. Its memory is the caller's. */
void weir_tree_erase(struct weir_tree *t, struct weir_tree_node *n);

/** The range that covers @p addr, or else the next higher one; NULL: neither. */
struct weir_tree_node *weir_tree_find(const struct weir_tree *t, uint64_t addr);

/** The lowest range that shares a byte with @p r; NULL: none does. */
struct weir_tree_node *weir_tree_overlap(const struct weir_tree *t, struct weir_range r);

/** True if a range in the tree has bytes in @p r and bytes outside of it. */
bool weir_tree_bisects(const struct weir_tree *t, struct weir_range r);

/** The next higher range; NULL after the last. */
struct weir_tree_node *weir_tree_next(const struct weir_tree_node *n);

#ifdef __cplusplus
}
#endif
#endif /* WEIR_TREE_H */
