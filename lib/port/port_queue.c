/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an application may ask of one queue, besides its bursts.
 */
#include <assert.h>
#include <errno.h>

#include "port.h"

static_assert(WEIR_PORT_MAX_FRAME + sizeof(struct virtio_net_hdr_mrg_rxbuf) ==
		      QUEUE_MAX_FRAME,
	      "what is said of a frame's length holds");

/* A queue to be held or let go, on its way to the control thread. */
struct hold {
	struct weir_port *p;
	uint32_t ring;
	bool on;
	int ret;
};

static void
do_hold(void *arg)
{
	struct hold *h = arg;

	struct port_ring *r = &h->p->ring[h->ring];

	r->held = !h->on;
	h->ret = h->p->session != NULL ? port_rings_sync(h->p) : 0;
	/* of the others nobody has asked */
	if (r->running == h->on)
		h->ret = 0;
}

static int
queue_enable(struct weir_port *p, uint32_t i, bool on)
{
	struct hold h = { .p = p, .ring = i, .on = on };

	if (i >= p->nr_rings)
		return -ERANGE;
	if (!p->ring[i].set_up)
		return -ENOENT;
	ctl_run(do_hold, &h);
	return h.ret;
}

int
weir_port_rxq_enable(struct weir_port *p, uint16_t pair, bool on)
{
	return queue_enable(p, 2u * pair + 1, on);
}

int
weir_port_txq_enable(struct weir_port *p, uint16_t pair, bool on)
{
	return queue_enable(p, 2u * pair, on);
}

/* A question for the control thread. */
struct question {
	struct weir_port *p;
	struct weir_queue_event ev;
	bool found;
};

static void
do_queue_event(void *arg)
{
	struct question *q = arg;

	for (uint32_t i = 0; i < q->p->nr_rings; i++) {
		struct port_ring *r = &q->p->ring[i];

		if (r->running == r->told)
			continue;
		r->told = r->running;
		q->ev = (struct weir_queue_event){
			.pair = (uint16_t)(i / 2),
			.rx = i % 2 != 0,
			.running = r->running,
		};
		q->found = true;
		return;
	}
}

bool
weir_port_queue_event(struct weir_port *p, struct weir_queue_event *ev)
{
	struct question q = { .p = p };

	ctl_run(do_queue_event, &q);
	if (q.found)
		*ev = q.ev;
	return q.found;
}

uint32_t
weir_queue_pending(struct weir_queue *q)
{
	struct weir_vring_at at;
	uint32_t n = 0;

	if (!queue_enter(q))
		return 0;
	if (weir_vring_open(&q->vr, q->vr.packed, &at) == 0)
		n = weir_vring_count(&q->vr, q->vr.packed, &at, UINT16_MAX);
	if (q->chan != NULL)
		n += queue_in_flight(q);
	n += queue_announces(q);
	queue_leave(q);
	return n;
}

uint32_t
weir_queue_tx_cleanup(struct weir_queue *q)
{
	uint32_t before;

	if (q->chan == NULL || !queue_enter(q))
		return 0;
	before = queue_in_flight(q);
	queue_collect_tx(q);
	before -= queue_in_flight(q);
	queue_leave(q);
	return before;
}
