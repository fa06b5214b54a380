/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAP_IMPL_H
#define MAP_IMPL_H
/* What lib/map's writer and readers share. */
#include "map_limbo.h"
#include "map_lock.h"
#include "map_slots.h"
#include "map_tree.h"
#include "weir_map.h"
#include "weir_plan.h"

/* Regions near a request that are kept without an allocation. */
#define MAP_NEAR 8

/* A change under way. There is one at a time, so it is part of the map. */
struct weir_map_change {
	bool open;
	struct weir_plan plan;
	struct map_edit edit;
	struct weir_map_totals totals; /* with the change; published: without it */

	struct weir_region *near; /* what the plan is made of */
	size_t nr_near, max_near;
	struct weir_region *mem; /* near and plan.buf, where they are not inline */
	struct weir_region near_inline[MAP_NEAR];
	struct weir_region buf_inline[WEIR_PLAN_MAX_ADD(MAP_NEAR)];
};

struct weir_map {
	/* stored when something is published; on a line of their own, since a writer
	 * waits for each line that a reader has looked at meanwhile */
	_Alignas(64) _Atomic(struct map_node *) root;
	_Atomic uint64_t seq; /* twice root's version; odd: just being published */

	/* held to store a root, and by readers that hold a region: map_slots.h */
	_Alignas(64) struct map_lock lock;
	_Atomic size_t nr_regions;
	_Atomic uint32_t backends; /* that follow: WEIR_BACKEND_* */

	struct map_slots slots; /* of readers */

	/* the writer's */
	_Alignas(64) struct weir_map_totals totals;
	struct map_slab nodes;
	uint64_t nr_edits;
	struct map_limbo limbo;
	struct weir_map_change change;
};

/* A sequence count that no map gets to. */
#define SEQ_NEVER UINT64_MAX

/*
 * Come in to look at a root, until map_slot_leave(). @p seq: the sequence count that it
 * belongs to, or SEQ_NEVER: it is not known, writers were too quick.
 */
struct map_slot *map_enter(struct weir_map *m, struct map_node **root, uint64_t *seq);

#endif /* MAP_IMPL_H */
