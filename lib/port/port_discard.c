/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdatomic.h>
#include <stddef.h>

#include <rte_common.h>

#include "port.h"
#include "port_discard.h"
#include "port_iotlb.h"
#include "queue_publish.h"

/* How often, and how many chains of a port: this thread has others to look after. */
#define DISCARD_US 20000u
#define DISCARD_CHAINS 256u

/*
 * A device that is stopped has all its rings off, and goes on where it was; a ring that
 * never ran is about to be turned on. And while pages are elsewhere this thread touches
 * none.
 */
static bool
ring_discards(const struct weir_port *p, uint32_t i)
{
	const struct port_ring *r = &p->ring[i];

	return atomic_load(&p->link) && !p->postcopy.listening && r->ran && !r->running &&
	       port_ring_off(p, i);
}

/* Give back up to so many chains, unread; and up to one that is wrong, which is for
 * whoever finds it when the ring is on. */
static uint32_t
queue_discard(struct weir_queue *q, uint32_t max)
{
	const bool packed = q->vr.packed;
	const unsigned int mode =
		(packed ? QUEUE_PACKED : 0) | (q->vr.kept != NULL ? QUEUE_KEPT : 0);
	struct weir_vring_at at;
	struct weir_chain chain;
	uint32_t nr = 0;
	uint64_t len;

	if (weir_vring_open(&q->vr, packed, &at) < 0)
		return 0;
	for (; nr < RTE_MIN(max, q->vr.size) && weir_vring_has(&q->vr, packed, &at);
	     nr++) {
		int ret = weir_vring_take(&q->vr, packed, &at, 0, q->iov, q->max_iov,
					  &chain, &len);

		if (ret < 0 && ret != -WEIR_VRING_MISS)
			break;
		weir_vring_next(&q->vr, packed, &at, chain);
		weir_vring_use(&q->vr, packed, chain, 0);
		publish_frame(q, mode, 1);
		weir_vring_again(&q->vr, packed, &at);
	}
	weir_vring_close(&q->vr, &at);
	return nr;
}

static uint32_t
ring_discard(struct weir_port *p, uint32_t i, uint32_t max)
{
	struct port_ring *r = &p->ring[i];
	/* nobody is to be woken by what it kicks */
	struct weir_vhost_ring want = *weir_vhost_ring(p->session, i);
	struct weir_vring_addr addr =
		port_ring_addr(p, &want, r->own_base ? r->base : want.base);
	uint32_t nr;

	want.kick_fd = -1;
	if (!port_iotlb_ring_ready(p, i, &addr) || port_ring_get(p, i, &want, &addr) != 0)
		return 0;
	nr = queue_discard(&r->q, max);
	if (nr != 0) {
		stat_add(&r->q.stats.dropped, nr);
		queue_call(&r->q);
	}
	port_ring_put(p, i);
	return nr;
}

void
port_discard_sync(struct weir_port *p)
{
	/* a guest's transmit rings have the odd numbers */
	for (uint32_t i = 1; i < p->nr_rings; i += 2) {
		if (p->session == NULL || !ring_discards(p, i))
			continue;
		if (!p->discard.armed)
			ctl_timer_set(&p->discard, DISCARD_US);
		return;
	}
	ctl_timer_clear(&p->discard);
}

void
port_discard_expired(struct ctl_timer *t)
{
	struct weir_port *p =
		(struct weir_port *)((char *)t - offsetof(struct weir_port, discard));

	uint32_t left = DISCARD_CHAINS;

	for (uint32_t i = 1; i < p->nr_rings && p->session != NULL; i += 2)
		if (left != 0 && ring_discards(p, i))
			left -= ring_discard(p, i, left);
	port_discard_sync(p);
}
