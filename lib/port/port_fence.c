/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tables of guest memory under traffic: queues are given another one while they
 * run, and what only the old one has is waited for.
 *
 * A queue takes the table once, when a burst begins. So when every lcore has
 * been seen outside since the new table was put before its queue, nobody
 * translates by the old one any more, and none of the copies that come can lead
 * into what it alone has. The copies that do are under way already; a channel
 * knows of each where it leads, and the last of them is waited for. Copies that
 * lead elsewhere, bursts, and rings go on.
 */
#include <errno.h>

#include <rte_cycles.h>

#include "port.h"

static uint64_t
deadline_in(uint64_t timeout_us)
{
	return rte_get_timer_cycles() + timeout_us * rte_get_timer_hz() / 1000000;
}

static uint64_t
left_us(uint64_t deadline)
{
	uint64_t now = rte_get_timer_cycles();

	return now < deadline ? (deadline - now) * 1000000 / rte_get_timer_hz() : 0;
}

void
port_publish(struct weir_port *p, const struct weir_gmem *g)
{
	for (uint32_t i = 0; i < p->nr_rings; i++)
		if (p->ring[i].running)
			atomic_store(&p->ring[i].q.gmem, g);
	p->ctrl.vr.gmem = g;
}

int
port_wait_out(struct weir_port *p, uint64_t timeout_us)
{
	uint64_t deadline = deadline_in(timeout_us);
	int ret = weir_epoch_synchronize(&p->epoch, timeout_us);

	for (uint32_t i = 0; i < p->nr_rings && ret == 0; i++)
		if (p->ring[i].running && p->ring[i].q.chan != NULL)
			ret = queue_wait_out(&p->ring[i].q, left_us(deadline));
	return ret;
}

static struct weir_range
slot_hva(const struct weir_gmem_slot *s)
{
	return (struct weir_range){ s->hva, s->hva + (s->gpa.last - s->gpa.start) };
}

/* Copies of this port's that touch a slot are over. */
static int
slot_wait(struct weir_port *p, const struct weir_gmem_slot *s, uint64_t deadline)
{
	const struct weir_range hva = slot_hva(s);
	int ret = 0;

	for (uint32_t i = 0; i < p->nr_rings && ret == 0; i++) {
		struct weir_copy_chan *chan = p->ring[i].q.chan;
		uint64_t seq;

		if (!p->ring[i].running || chan == NULL)
			continue;
		seq = weir_copy_touching(chan, hva);
		ret = weir_copy_drain(chan, seq, left_us(deadline));
	}
	return ret;
}

int
port_wait_copies(struct weir_port *p, const struct weir_gmem *g,
		 const struct weir_gmem *keep, uint64_t timeout_us,
		 const struct weir_gmem_slot **stuck)
{
	uint64_t deadline = deadline_in(timeout_us);
	int ret = 0;

	for (uint32_t i = 0; i < g->nr_slots && ret == 0; i++) {
		if (port_table_has(keep, &g->slot[i]))
			continue;
		ret = slot_wait(p, &g->slot[i], deadline);
		*stuck = &g->slot[i];
	}
	return ret;
}

/* The mirror asks: EAL's memory goes, or a guest's is unmapped by somebody else. */
static int
user_drain(struct weir_mirror_user *u, const struct weir_region *r, uint64_t timeout_us)
{
	struct port_ring *ring =
		(struct port_ring *)((char *)u - offsetof(struct port_ring, user));
	struct weir_range hva;
	uint64_t seq;

	/* did not wrap when it was mapped */
	if (weir_range_make(&hva, r->hva, weir_range_len(r->iova)) != 0)
		return 0;
	seq = weir_copy_touching(ring->q.chan, hva);
	return weir_copy_wait(ring->q.chan, seq, timeout_us);
}

void
port_ring_set_chan(struct weir_port *p, struct port_ring *r, struct weir_copy_chan *chan)
{
	if (r->q.chan != NULL) {
		if (p->conf.mirror != NULL)
			weir_mirror_user_del(p->conf.mirror, &r->user);
		weir_copy_put(r->q.chan);
	}
	r->q.chan = chan;
	if (chan == NULL || p->conf.mirror == NULL)
		return;
	r->user = (struct weir_mirror_user){
		.drain = user_drain,
		.iova = { 0, UINT64_MAX },
	};
	weir_mirror_user_add(p->conf.mirror, &r->user);
}
