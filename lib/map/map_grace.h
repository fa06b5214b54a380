/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAP_GRACE_H
#define MAP_GRACE_H
/*
 * When what readers may still see can be freed.
 *
 * A reader takes one of 64 slots for as long as it looks at the tree, a few
 * hundred nanoseconds: a compare-and-swap that makes the slot's counter odd,
 * and a store that makes it even. No thread registers, none has to come back
 * later to report, and the writer needs no membarrier(2), whose interrupts
 * would hit every polling lcore at every change of a map. (weir_epoch.h is the
 * other bargain: readers that pay nothing, writers that pay.)
 *
 * The swap, the loads of the root, the writer's store of the root and its
 * loads of the counters are all sequentially consistent, so either the reader
 * sees the new root or the writer sees the odd counter.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define MAP_SLOTS 64

struct map_slot {
	_Alignas(64) _Atomic uint64_t ctr; /* odd: in use */
};

struct map_grace {
	struct map_slot slot[MAP_SLOTS];
	_Atomic unsigned int nr_slots; /* that were ever used */
	/* the writer's */
	unsigned int nr_seen;
	uint64_t seen[MAP_SLOTS];
};

/* Take a slot. It waits only if 64 other threads are inside. */
unsigned int map_grace_enter(struct map_grace *g);

static inline void
map_grace_leave(struct map_grace *g, unsigned int slot)
{
	_Atomic uint64_t *ctr = &g->slot[slot].ctr;

	atomic_store_explicit(ctr, atomic_load_explicit(ctr, memory_order_relaxed) + 1,
			      memory_order_release);
}

/* Writer: note who is inside now. @return true if nobody is. */
bool map_grace_begin(struct map_grace *g);

/* Writer: true if everybody noted has been outside since. */
bool map_grace_over(struct map_grace *g);

#endif /* MAP_GRACE_H */
