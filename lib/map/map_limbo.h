/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAP_LIMBO_H
#define MAP_LIMBO_H
/*
 * Nodes that left the tree, until no reader sees them.
 *
 * Edits are numbered, and the number of the edit that made a tree is the tree's
 * version; it stands in the root, which every edit makes anew. A node is born in
 * one version and retired by a later one: it is in the trees of those in
 * between. A reader inside says which version it looks at (map_slots.h), and a
 * node is kept for those who look at one that has it. So a reader that the
 * scheduler stops in the middle of a lookup keeps one old version alive, not
 * whatever writers retire until it goes on.
 *
 * What is known of a node is kept here, beside it. A word written to the node
 * itself would be taken from the caches of all readers, who look at it just now.
 *
 * The writer's.
 */
#include <stddef.h>
#include <stdint.h>

#include "map_slab.h"
#include "map_slots.h"

struct map_node;

struct map_limbo {
	struct limbo_node {
		struct map_node *node;
		uint64_t birth, retired; /* edits */
	} * at;
	size_t nr, room;
	size_t full; /* nodes at which readers are looked at */
	/* the last look, by which the first todo nodes are sifted; how many it kept */
	struct map_view view[MAP_SLOTS];
	unsigned int nr_views;
	size_t todo, kept;
};

/* Have room for some more. @return 0; -ENOMEM. */
int map_limbo_reserve(struct map_limbo *l, size_t more);

/* Put a node in; there is room for it. */
static inline void
map_limbo_put(struct map_limbo *l, struct map_node *n, uint64_t birth, uint64_t retired)
{
	l->at[l->nr++] =
		(struct limbo_node){ .node = n, .birth = birth, .retired = retired };
}

/*
 * Give back to @nodes what nobody sees, as far as that is known by now.
 *
 * @version  The last edit: who comes in from now on sees nothing that was
 *           retired by then.
 * @return true if readers were inside when it was last looked.
 */
bool map_limbo_reclaim(struct map_limbo *l, struct map_slots *s, uint64_t version,
		       struct map_slab *nodes);

/* Give back all; there are no readers any more. */
void map_limbo_fini(struct map_limbo *l, struct map_slab *nodes);

#endif /* MAP_LIMBO_H */
