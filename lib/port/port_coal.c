/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control thread's part in calls that are held back, see queue_coal.h.
 */
#include <errno.h>
#include <stddef.h>

#include <rte_cycles.h>

#include "port.h"
#include "port_coal.h"
#include "port_fence.h"

/* No guest's application waits longer than that for a call. */
#define MAX_US 60000000u

/* Nor for more packets: used entries are counted in 16 bits, and a burst may add a
 * ring, which is as many. */
#define MAX_PACKETS 32768u

/* The control thread does not look more often than that. */
#define MIN_US 20u

/* Looks that find nothing, one after the other, before it dozes off. */
#define IDLE_LOOKS 16u

int
port_coal_set(struct weir_port *p)
{
	const uint64_t hz = rte_get_tsc_hz();

	for (uint32_t i = 0; i < p->nr_rings; i++) {
		const struct ctrlq_coal *want = &p->ctrl.q.coal[i];
		uint64_t us = RTE_MIN(want->usecs, MAX_US);

		atomic_store(&p->ring[i].q.coal.fresh, true);
		atomic_store(&p->ring[i].q.coal.packets,
			     RTE_MIN(want->packets, MAX_PACKETS));
		/* a call that waits for no second packet need not wait */
		atomic_store(&p->ring[i].q.coal_cycles,
			     want->packets > 1 ? us * hz / 1000000 : 0);
	}
	/* a burst may hold a call yet by what was asked for before */
	if (port_wait_out(p, port_drain_us()) != 0)
		return -EBUSY;
	for (uint32_t i = 0; i < p->nr_rings; i++)
		if (p->ring[i].running && atomic_load(&p->ring[i].q.coal_cycles) == 0)
			queue_coal_release(&p->ring[i].q);
	return 0;
}

/* What a look at all queues finds. */
struct look {
	uint64_t next; /* cycles until the next call is due; UINT64_MAX: none is held */
	uint64_t wait; /* shortest time that a call may be held */
};

static void
look_at(struct weir_queue *q, uint64_t now, struct look *l)
{
	uint64_t cycles = atomic_load(&q->coal_cycles), due;

	if (cycles != 0 && cycles < l->wait)
		l->wait = cycles;
	if (!atomic_load(&q->coal.held))
		return;
	due = atomic_load(&q->coal.due);
	if (due <= now)
		queue_coal_release(q);
	l->next = RTE_MIN(l->next, due <= now ? 0 : due - now);
}

static struct look
look_at_all(struct weir_port *p)
{
	struct look l = { UINT64_MAX, UINT64_MAX };
	uint64_t now = rte_rdtsc();

	for (uint32_t i = 0; i < p->nr_rings; i++)
		if (p->ring[i].running)
			look_at(&p->ring[i].q, now, &l);
	return l;
}

void
port_coal_expired(struct ctl_timer *t)
{
	struct weir_port *p =
		(struct weir_port *)((char *)t - offsetof(struct weir_port, coal));
	struct look l = look_at_all(p);
	uint64_t cycles;

	p->coal_idle = l.next == UINT64_MAX ? p->coal_idle + 1 : 0;
	if (p->coal_idle > IDLE_LOOKS || l.wait == UINT64_MAX) {
		atomic_store(&p->coal_dozes, true);
		/* what was held before that could be seen */
		l = look_at_all(p);
		if (l.next == UINT64_MAX)
			return;
		atomic_store(&p->coal_dozes, false);
	}
	cycles = RTE_MIN(l.next, l.wait);
	ctl_timer_set(t, RTE_MAX(cycles / (rte_get_tsc_hz() / 1000000 + 1), MIN_US));
}

void
port_coal_wake(struct weir_port *p)
{
	if (!atomic_exchange(&p->coal_dozes, false))
		return;
	p->coal_idle = 0;
	port_coal_expired(&p->coal);
}
