/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queues of a guest behind a vIOMMU: what is missing is told to the control thread,
 * and looked for before it is missed.
 *
 * A burst that comes to a chain whose buffers are not translated ends there. On the
 * receiving side frames wait in the ring meanwhile, and what is missing is told for
 * some chains at once. On the transmitting side the application may have to throw
 * away what the guest does not take. So there the chains that the guest offers are
 * looked at ahead of time: behind each burst, and by the control thread, as a guest
 * with nothing to receive offers its buffers all the same. A chain is looked at until
 * it lacks nothing: what an indirect table leads to is not known before the table is
 * translated, and a long chain lacks more than is noted at a time.
 */
#include <string.h>
#include <sys/eventfd.h>

#include "queue.h"

/* Chains that are looked at in one go, and ahead of a transmitting queue. A guest may
 * flush all its translations before it comes to use more. */
#define LOOK_AHEAD 64u

/* Notes that are enough to be told; the rest is for a chain of many pages. */
#define ENOUGH (WEIR_VRING_MISSES / 2)

/* Look at up to @p max chains from a place on. It becomes that of the first which lacks
 * something. */
static void
look(struct weir_queue *q, struct weir_vring_at *at, uint16_t max)
{
	const bool packed = q->vr.packed;
	const uint16_t dir = q->pool != NULL ? 0 : VRING_DESC_F_WRITE;
	struct weir_vring *vr = &q->vr;
	struct weir_vring_at next = *at;

	vr->nr_misses = 0;
	for (unsigned int i = 0; i < max && vr->nr_misses < ENOUGH && next.left != 0 &&
				 weir_vring_has(vr, packed, &next);
	     i++) {
		struct weir_chain chain;
		uint64_t len;
		int nr = weir_vring_take(vr, packed, &next, dir, q->iov, q->max_iov,
					 &chain, &len);

		/* a fault is for the burst that comes there */
		if (nr < 0 && nr != -WEIR_VRING_MISS)
			break;
		weir_vring_next(vr, packed, &next, chain);
		if (vr->nr_misses == 0)
			*at = next;
	}
}

/* The control thread has done with what it was told before. */
static bool
may_tell(struct weir_queue *q)
{
	return !atomic_load_explicit(&q->asked, memory_order_acquire);
}

static void
tell(struct weir_queue *q)
{
	const struct weir_vring *vr = &q->vr;

	if (vr->nr_misses == 0)
		return;
	q->nr_missing = vr->nr_misses;
	memcpy(q->missing, vr->miss, vr->nr_misses * sizeof(q->missing[0]));
	atomic_store_explicit(&q->asked, true, memory_order_release);
	(void)!eventfd_write(q->fault_fd, 1);
}

void
queue_untaken(struct weir_queue *q, const struct weir_vring_at *at, int fault)
{
	struct weir_vring_at from = *at;

	if (fault != WEIR_VRING_MISS) {
		queue_break(q, fault);
		return;
	}
	if (!may_tell(q))
		return;
	look(q, &from, LOOK_AHEAD);
	tell(q);
}

void
queue_scout(struct weir_queue *q)
{
	const struct weir_vring *vr = &q->vr;
	struct weir_vring_at at;
	uint16_t ahead;

	if (!may_tell(q) || weir_vring_open(vr, vr->packed, &at) != 0)
		return;
	ahead = vr->packed ? vring_packed_distance(vr, at.pos, q->scout)
			   : (uint16_t)(q->scout - at.pos);
	if (ahead > at.left) {
		/* bursts have overtaken it */
		ahead = 0;
	} else {
		at.pos = q->scout;
		at.left = (uint16_t)(at.left - ahead);
	}
	if (ahead >= LOOK_AHEAD)
		return;
	look(q, &at, (uint16_t)(LOOK_AHEAD - ahead));
	q->scout = at.pos;
	tell(q);
}

void
queue_scout_idle(struct weir_queue *q)
{
	if (!queue_enter_idle(q))
		return;
	queue_scout(q);
	queue_leave(q);
}
