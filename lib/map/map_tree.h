/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAP_TREE_H
#define MAP_TREE_H
/*
 * A B+-tree of regions, keyed by the first iova, that is never changed in
 * place once readers can reach it.
 *
 * A writer opens an edit on a root. The first time the edit touches a node it
 * copies it; the copies are its own (node->edit is the edit's number) and it
 * changes those as often as it likes. So a change of many regions copies each
 * node once, all of it becomes visible with one store of the new root, and
 * dropping it is dropping the copies. A node of 512 bytes holds 30 keys: a
 * million regions are five levels, two hundred are two.
 *
 * Keys of an inner node are the exact smallest keys of its children, so the
 * floor of any address is found on one path.
 *
 * Readers hold a section of map_grace.h while they use a root. Writers: one.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "map_slab.h"
#include "weir_map.h"

#define MAP_FANOUT 30
#define MAP_MAX_LEVELS 16 /* 10^16 regions at the least fill */

/* A region in a map. All but the lock stays as it is while readers can see it. */
struct weir_map_held {
	struct weir_region r;
	_Atomic uint32_t lock;	    /* HELD_GONE, and how many readers hold it */
	struct weir_map_held *link; /* the writer's lists */
};

struct map_node {
	uint64_t edit;	       /* number of the edit that made it */
	struct map_node *link; /* the writer's lists */
	uint16_t nr;	       /* keys in use */
	uint16_t level;	       /* 0: a leaf, whose children are regions */
	uint64_t key[MAP_FANOUT];
	void *child[MAP_FANOUT];
};

/* An edit, and what goes if it is published. */
struct map_edit {
	struct map_slab *nodes;
	uint64_t nr;	       /* its number, never used before */
	struct map_node *root; /* of the new tree */
	struct map_node *old_root;
	struct map_node *old_nodes; /* copied or dropped, linked */
	struct weir_map_held *gone; /* regions removed or replaced, linked */
};

/* A place in a tree. */
struct map_pos {
	const struct map_node *node[MAP_MAX_LEVELS]; /* by level */
	unsigned int at[MAP_MAX_LEVELS];
};

void map_edit_begin(struct map_edit *e, struct map_slab *nodes, uint64_t nr,
		    struct map_node *root);

/* Insert a region whose start no other has. -ENOMEM: the edit must be dropped. */
int map_edit_insert(struct map_edit *e, struct weir_map_held *h);

/* Remove the region that starts at @start, which must be there. -ENOMEM as above. */
int map_edit_remove(struct map_edit *e, uint64_t start);

/* Put a region in the place of the one that starts where it does. As above. */
int map_edit_replace(struct map_edit *e, struct weir_map_held *h);

/* Call for each node that the edit made. @fn may free it. */
void map_edit_each_new(struct map_edit *e, struct map_node *n,
		       void (*fn)(void *arg, struct map_node *n), void *arg);

/* The first region that ends at @at or later; NULL: none. */
struct weir_map_held *map_tree_find(const struct map_node *root, uint64_t at);

/* As map_tree_find(), and remember where. */
struct weir_map_held *map_tree_seek(const struct map_node *root, uint64_t at,
				    struct map_pos *p);

/* The region after the one last returned; NULL: none. */
struct weir_map_held *map_tree_next(struct map_pos *p);

#endif /* MAP_TREE_H */
