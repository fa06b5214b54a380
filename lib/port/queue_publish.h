/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PORT_QUEUE_PUBLISH_H
#define WEIR_PORT_QUEUE_PUBLISH_H
/*
 * Giving chains back to the guest: with a frontend that keeps an area for packed rings
 * in steps that each leave the ring in order (lib/vring/weir_inflight.h), else at once.
 */
#include "queue.h"
#include "weir_inflight.h"

/* Give back the next n chains, a frame's: all or none, whenever this process dies. */
static __rte_always_inline void
publish_frame(struct weir_queue *q, unsigned int mode, uint16_t n)
{
	if ((mode & QUEUE_KEPT) != 0)
		weir_vring_publish_kept(&q->vr, n);
	else
		weir_vring_publish(&q->vr, mode & QUEUE_PACKED, n);
}

/* Give back the next n chains, a frame each. */
static __rte_always_inline void
publish_each(struct weir_queue *q, unsigned int mode, uint16_t n)
{
	if ((mode & QUEUE_KEPT) == 0)
		weir_vring_publish(&q->vr, mode & QUEUE_PACKED, n);
	for (; (mode & QUEUE_KEPT) != 0 && n != 0; n--)
		weir_vring_publish_kept(&q->vr, 1);
}

/* Give back chains of a run. */
static __rte_always_inline void
publish_run(struct weir_queue *q, unsigned int mode, struct weir_vring_at *at,
	    uint16_t dir, const struct weir_vring_run *run, uint16_t n)
{
	if ((mode & QUEUE_KEPT) != 0)
		weir_vring_run_publish_kept(&q->vr, at, dir, run, n);
	else
		weir_vring_run_publish(&q->vr, mode & QUEUE_PACKED, at, dir, run, n);
}

#endif /* WEIR_PORT_QUEUE_PUBLISH_H */
