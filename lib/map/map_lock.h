/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAP_LOCK_H
#define MAP_LOCK_H
/*
 * A map's own lock: first come, first served, so that a reader which had to
 * fall back to it gets its turn however fast writers come. It is held to look
 * up one region, or to store a root: nobody waits for anything inside.
 */
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

struct map_lock {
	_Atomic uint32_t next;	/* the ticket that the next to come gets */
	_Atomic uint32_t owner; /* the ticket whose turn it is */
};

/* Spin a little, then give the core away: the holder may need it. */
static inline void
map_lock_pause(unsigned int *spins)
{
	if (++*spins % 64 == 0)
		sched_yield();
}

static inline void
map_lock_take(struct map_lock *l)
{
	uint32_t mine = atomic_fetch_add_explicit(&l->next, 1, memory_order_relaxed);
	unsigned int spins = 0;

	while (atomic_load_explicit(&l->owner, memory_order_acquire) != mine)
		map_lock_pause(&spins);
}

static inline void
map_lock_drop(struct map_lock *l)
{
	uint32_t mine = atomic_load_explicit(&l->owner, memory_order_relaxed);

	atomic_store_explicit(&l->owner, mine + 1, memory_order_release);
}

/* Take it and drop it: what others did under it before, or will do, is in order. */
static inline void
map_lock_pass(struct map_lock *l)
{
	map_lock_take(l);
	map_lock_drop(l);
}

#endif /* MAP_LOCK_H */
