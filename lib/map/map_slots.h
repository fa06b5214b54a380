/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAP_SLOTS_H
#define MAP_SLOTS_H
/*
 * Where readers say what they look at, so that writers know what to wait for.
 *
 * A reader takes one of 64 slots with a compare-and-swap, and is *inside*. There it
 * says which version of the tree it looks at, or that it may be any from then on; for
 * the few hundred nanoseconds of a lookup no node of those is freed (map_limbo.h). It
 * looks at none before, and names the version before it has its root, so that a reader
 * which the scheduler stops, wherever that is, keeps no more than one. It can leave, or
 * keep the slot and *hold* one
 * region: the slot then names the region's start. That is the region's read lock; it is
 * kept with the reader and not with the region, so that regions stay small and an unmap
 * does not touch a lock a region. A writer that takes regions away looks through the
 * slots once for those that name one of them.
 *
 * No thread registers or has to report later, and the writer needs no
 * membarrier(2), whose interrupts would hit every polling lcore at every
 * change of a map. (weir_epoch.h is the other bargain: readers pay nothing,
 * writers pay.)
 *
 * Two orders matter. *Inside*: the reader's store of what it sees and its load of the
 * root are sequentially consistent, and the writer fences between its store of the root
 * and its look at the slots, so either the reader sees the new root or the
 * writer sees what it says; it looks at them once for many changes. *Holding*: after
 * it has named a region the reader takes and drops the map's lock, under which
 * roots are stored, before it looks at the root again; so either it sees the
 * new root, or the writer sees the name. A writer whose map nobody holds
 * anything of pays one load of a line that is in its cache.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define MAP_SLOTS 64
#define MAP_HOLDS 48 /* slots that may hold; the others stay for lookups */

/* The low bits of a slot's state; the others count its uses. */
#define SLOT_FREE 0u
#define SLOT_INSIDE 1u
#define SLOT_HOLDS 2u
#define SLOT_MASK 3u

/* slot.held of a slot that holds nothing; no region starts at an odd address. */
#define HELD_NONE UINT64_C(1)

#define SEEN_NONE UINT64_C(0) /* no tree; version 0 has none */
#define SEEN_ANY UINT64_MAX   /* that was in force since */

struct map_slot {
	_Alignas(64) _Atomic uint64_t state;
	_Atomic uint64_t held; /* start of the region that is held */
	_Atomic uint64_t seen; /* inside: the version looked at, or SEEN_* */
};

/* Versions of the tree, one of which a reader inside may look at. */
struct map_view {
	uint64_t from, to;
};

struct map_slots {
	struct map_slot slot[MAP_SLOTS];
	_Alignas(64) _Atomic unsigned int nr_used; /* slots that were ever used */
	_Atomic unsigned int nr_holds;		   /* that hold, or are about to */
	/* the writer's */
	_Alignas(64) uint64_t version; /* when it last looked */
	uint64_t state[MAP_SLOTS];     /* of those inside then, */
	uint64_t from[MAP_SLOTS];      /* and the oldest version they may see */
};

void map_slots_init(struct map_slots *s);

/* Take a slot and be inside, looking at nothing yet. It waits only if more than 15 others
 * are inside. */
struct map_slot *map_slots_enter(struct map_slots *s);

/* Ask for leave to hold, before entering. @return false: too many do. */
bool map_slots_may_hold(struct map_slots *s);

/* Give that leave back: what was done while it was held comes before. */
static inline void
map_slots_held(struct map_slots *s)
{
	atomic_fetch_sub_explicit(&s->nr_holds, 1, memory_order_release);
}

/* Say which version is looked at from now on, inside: before its root is loaded. */
static inline void
map_slot_see(struct map_slot *s, uint64_t version)
{
	atomic_store(&s->seen, version);
}

/* Give a slot back, from inside. */
static inline void
map_slot_leave(struct map_slot *s)
{
	uint64_t c = atomic_load_explicit(&s->state, memory_order_relaxed);

	atomic_store_explicit(&s->seen, SEEN_NONE, memory_order_release);
	atomic_store_explicit(&s->state, c - SLOT_INSIDE + SLOT_MASK + 1,
			      memory_order_release);
}

/* Say which region is held, still inside. */
static inline void
map_slot_hold(struct map_slot *s, uint64_t start)
{
	atomic_store_explicit(&s->held, start, memory_order_release);
}

/* Go outside and keep the slot with what it holds. */
static inline void
map_slot_stay(struct map_slot *s)
{
	uint64_t c = atomic_load_explicit(&s->state, memory_order_relaxed);

	atomic_store_explicit(&s->seen, SEEN_NONE, memory_order_release);
	atomic_store_explicit(&s->state, c - SLOT_INSIDE + SLOT_HOLDS,
			      memory_order_release);
}

/* Give a slot back that holds a region. */
static inline void
map_slot_release(struct map_slot *s)
{
	uint64_t c = atomic_load_explicit(&s->state, memory_order_relaxed);

	atomic_store_explicit(&s->held, HELD_NONE, memory_order_release);
	atomic_store_explicit(&s->state, c - SLOT_HOLDS + SLOT_MASK + 1,
			      memory_order_release);
}

/*
 * Writer: what those inside may look at, and take note of them.
 *
 * @version  Who comes in from now on looks at this version or a later one.
 * @return how many are inside.
 */
unsigned int map_slots_look(struct map_slots *s, uint64_t version,
			    struct map_view view[MAP_SLOTS]);

/* Writer: wait until no slot holds a region for which @is says true. */
void map_slots_drain(struct map_slots *s, bool (*is)(const void *arg, uint64_t start),
		     const void *arg);

#endif /* MAP_SLOTS_H */
