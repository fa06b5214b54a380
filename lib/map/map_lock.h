/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAP_LOCK_H
#define MAP_LOCK_H
/*
 * The two locks of a map.
 *
 * The map's own is a ticket lock: first come, first served, so that a reader
 * which had to fall back to it gets its turn however fast writers come. It is
 * held for a lookup, or to mark regions and store a root: no waiting inside.
 *
 * A region's lock counts the readers that hold it, and says whether the region
 * is out of the map. It is a lock for the writer's sake: it marks the region
 * gone, after which nobody new can hold it, and waits until the last reader
 * has let go.
 */
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
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

#define HELD_GONE (UINT32_C(1) << 31)

/* Reader: hold a region. @return false: it is not in the map any more. */
static inline bool
held_try(_Atomic uint32_t *lock)
{
	uint32_t c = atomic_load_explicit(lock, memory_order_relaxed);

	while ((c & HELD_GONE) == 0)
		if (atomic_compare_exchange_weak_explicit(
			    lock, &c, c + 1, memory_order_acquire, memory_order_relaxed))
			return true;
	return false;
}

static inline void
held_drop(_Atomic uint32_t *lock)
{
	atomic_fetch_sub_explicit(lock, 1, memory_order_release);
}

/* Writer: nobody new may hold it. */
static inline void
held_mark(_Atomic uint32_t *lock)
{
	atomic_fetch_or(lock, HELD_GONE);
}

/* Writer: it is in the map again. */
static inline void
held_unmark(_Atomic uint32_t *lock)
{
	atomic_fetch_and(lock, ~HELD_GONE);
}

/* Writer: wait until nobody holds a region that is marked. */
static inline void
held_drain(_Atomic uint32_t *lock)
{
	unsigned int spins = 0;

	while (atomic_load_explicit(lock, memory_order_acquire) != HELD_GONE)
		map_lock_pause(&spins);
}

#endif /* MAP_LOCK_H */
