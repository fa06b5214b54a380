/* SPDX-License-Identifier: BSD-3-Clause */
#include <sched.h>

#include "map_grace.h"

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

unsigned int
map_grace_enter(struct map_grace *g)
{
	unsigned int i = slot_first();

	for (unsigned int tries = 1;; tries++, i = (i + 1) % MAP_SLOTS) {
		unsigned int nr = atomic_load(&g->nr_slots);
		_Atomic uint64_t *ctr = &g->slot[i].ctr;
		uint64_t c = atomic_load_explicit(ctr, memory_order_relaxed);

		/* before the slot is taken, so that the writer looks at it */
		while (i >= nr && !atomic_compare_exchange_weak(&g->nr_slots, &nr, i + 1))
			;
		if ((c & 1) == 0 && atomic_compare_exchange_strong(ctr, &c, c + 1))
			return i;
		if (tries % MAP_SLOTS == 0)
			sched_yield();
	}
}

bool
map_grace_begin(struct map_grace *g)
{
	bool idle = true;

	g->nr_seen = atomic_load(&g->nr_slots);
	for (unsigned int i = 0; i < g->nr_seen; i++) {
		g->seen[i] = atomic_load(&g->slot[i].ctr);
		idle &= (g->seen[i] & 1) == 0;
	}
	return idle;
}

bool
map_grace_over(struct map_grace *g)
{
	for (unsigned int i = 0; i < g->nr_seen; i++)
		if ((g->seen[i] & 1) != 0 && atomic_load(&g->slot[i].ctr) == g->seen[i])
			return false;
	return true;
}
