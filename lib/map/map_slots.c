/* SPDX-License-Identifier: BSD-3-Clause */
#include <stddef.h>

#include "map_lock.h"
#include "map_slots.h"

void
map_slots_init(struct map_slots *s)
{
	for (unsigned int i = 0; i < MAP_SLOTS; i++)
		atomic_init(&s->slot[i].held, HELD_NONE);
}

/* Threads begin at slots of their own, in the order they first come. */
static unsigned int
slot_first(void)
{
	static _Atomic unsigned int nr_threads;
	static _Thread_local unsigned int mine;

	if (mine == 0)
		mine = atomic_fetch_add(&nr_threads, 1) % MAP_SLOTS + 1;
	return mine - 1;
}

static bool
slot_take(struct map_slots *s, unsigned int i)
{
	unsigned int nr = atomic_load(&s->nr_used);
	_Atomic uint64_t *state = &s->slot[i].state;
	uint64_t c = atomic_load_explicit(state, memory_order_relaxed);

	if ((c & SLOT_MASK) != SLOT_FREE)
		return false;
	/* before the slot is taken, so that the writer looks at it */
	while (i >= nr && !atomic_compare_exchange_weak(&s->nr_used, &nr, i + 1))
		;
	return atomic_compare_exchange_strong(state, &c, c + SLOT_INSIDE);
}

struct map_slot *
map_slots_enter(struct map_slots *s)
{
	unsigned int i = slot_first(), spins = 0;

	while (!slot_take(s, i)) {
		i = (i + 1) % MAP_SLOTS;
		map_lock_pause(&spins);
	}
	return &s->slot[i];
}

bool
map_slots_may_hold(struct map_slots *s)
{
	if (atomic_fetch_add_explicit(&s->nr_holds, 1, memory_order_relaxed) < MAP_HOLDS)
		return true;
	atomic_fetch_sub_explicit(&s->nr_holds, 1, memory_order_relaxed);
	return false;
}

/*
 * The state is loaded before what is seen: so that is of this use of the slot,
 * or of a later one, which began after the roots that matter were stored.
 */
unsigned int
map_slots_look(struct map_slots *s, uint64_t version, struct map_view view[MAP_SLOTS])
{
	unsigned int nr, inside = 0;

	atomic_thread_fence(memory_order_seq_cst);
	nr = atomic_load(&s->nr_used);
	for (unsigned int i = 0; i < nr; i++) {
		uint64_t state = atomic_load(&s->slot[i].state), seen;

		if ((state & SLOT_MASK) != SLOT_INSIDE)
			continue;
		seen = atomic_load(&s->slot[i].seen);
		if (state != s->state[i]) {
			/* it came in after the last look */
			s->state[i] = state;
			s->from[i] = s->version;
		}
		if (seen == SEEN_ANY)
			view[inside++] = (struct map_view){ s->from[i], UINT64_MAX };
		else if (seen != SEEN_NONE)
			view[inside++] = (struct map_view){ seen, seen };
	}
	s->version = version;
	return inside;
}

/* Wait until the one that held a region in @slot has let go; not for others. */
static void
slot_drain(struct map_slot *slot, uint64_t start)
{
	uint64_t use = atomic_load(&slot->state) & ~(uint64_t)SLOT_MASK;
	unsigned int spins = 0;

	while (atomic_load(&slot->held) == start &&
	       (atomic_load(&slot->state) & ~(uint64_t)SLOT_MASK) == use)
		map_lock_pause(&spins);
}

void
map_slots_drain(struct map_slots *s, bool (*is)(const void *arg, uint64_t start),
		const void *arg)
{
	unsigned int nr = atomic_load(&s->nr_used);

	if (atomic_load(&s->nr_holds) == 0)
		return;
	for (unsigned int i = 0; i < nr; i++) {
		uint64_t start = atomic_load(&s->slot[i].held);

		if (start != HELD_NONE && is(arg, start))
			slot_drain(&s->slot[i], start);
	}
}
