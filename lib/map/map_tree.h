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
 * dropping it is dropping the copies. Whoever has a root has the whole map as
 * it was at one moment.
 *
 * Every node has 1 KiB. An inner node holds 62 children, a leaf 25 regions,
 * packed: what a lookup touches decides how fast it is, and a region that is an
 * object of its own would be one more wait for memory and twice the space. A
 * million regions are four levels, of which all but the leaves fit a second-level
 * cache; two hundred are two.
 *
 * Keys of an inner node are the exact smallest keys of its children, so the
 * floor of any address is found on one path.
 *
 * Readers hold a slot of map_slots.h while they use a root. Writers: one.
 */
#include <stdbool.h>
#include <stdint.h>

#include "map_limbo.h"
#include "map_slab.h"
#include "weir_map.h"

#define MAP_FANOUT 62
#define MAP_LEAF 25
#define MAP_MAX_LEVELS 16 /* more than 2^64 pages at the least fill */

/* A region in a leaf; its start is the key. */
struct map_entry {
	uint64_t last;
	uint64_t hva_prot; /* prot is in the bits that a page-aligned hva has free */
	uint64_t chunk;
	uint32_t refs;
	uint32_t owner;
};

struct map_node {
	uint64_t edit;	/* number of the edit that made it */
	uint16_t nr;	/* keys in use */
	uint16_t level; /* 0: a leaf */
	union {
		uint64_t key[1]; /* of either kind */
		struct {
			uint64_t key[MAP_FANOUT];
			struct map_node *child[MAP_FANOUT];
		} inner;
		struct {
			uint64_t key[MAP_LEAF];
			struct map_entry entry[MAP_LEAF];
		} leaf;
	};
};

/* An edit, and what goes if it is published. */
struct map_edit {
	struct map_slab *nodes;
	struct map_limbo *limbo; /* what it copied or dropped is put there */
	size_t limbo_nr;	 /* what was there before */
	size_t nr_new;		 /* nodes of its own */
	uint64_t nr;		 /* its number, never used before */
	struct map_node *root;	 /* of the new tree */
	struct map_node *old_root;
};

/* A place in a tree. */
struct map_pos {
	const struct map_node *node[MAP_MAX_LEVELS]; /* by level */
	unsigned int at[MAP_MAX_LEVELS];
};

void map_edit_begin(struct map_edit *e, struct map_slab *nodes, struct map_limbo *limbo,
		    uint64_t nr, struct map_node *root);

/* Insert a region whose start no other has. -ENOMEM: the edit must be dropped. */
int map_edit_insert(struct map_edit *e, const struct weir_region *r);

/* Remove the region that starts at @start, which must be there. -ENOMEM as above. */
int map_edit_remove(struct map_edit *e, uint64_t start);

/* Put a region in the place of the one that starts where it does. As above. */
int map_edit_replace(struct map_edit *e, const struct weir_region *r);

/* Drop an edit that was not published. */
void map_edit_abort(struct map_edit *e);

/*
 * Drop one whose old root was published again: what it made is put in limbo,
 * retired by @retired, a number that is no edit's, in place of what was there.
 */
void map_edit_revert(struct map_edit *e, uint64_t retired);

/* Find the first region that ends at @at or later. @return false: none. */
bool map_tree_find(const struct map_node *root, uint64_t at, struct weir_region *out);

/* As map_tree_find(), and remember where. */
bool map_tree_seek(const struct map_node *root, uint64_t at, struct map_pos *p,
		   struct weir_region *out);

/* The region after the one last found. @return false: none. */
bool map_tree_next(struct map_pos *p, struct weir_region *out);

#endif /* MAP_TREE_H */
