/* SPDX-License-Identifier: BSD-3-Clause */
#include <sys/eventfd.h>

#include <rte_cycles.h>

#include "queue.h"

void
queue_coal_release(struct weir_queue *q)
{
	if (!atomic_exchange(&q->coal.held, false))
		return;
	/* the other thread that may be here counts as well */
	atomic_fetch_add_explicit(&q->stats.calls, 1, memory_order_relaxed);
	(void)!eventfd_write(q->call_fd, 1);
}

/* Hold the call that the guest wants for what was published since the last look. */
static bool
hold(struct weir_queue *q, uint64_t now)
{
	struct queue_coal *c = &q->coal;

	/* of what came before nobody kept count: it is one packet at least */
	if (atomic_load_explicit(&c->fresh, memory_order_relaxed)) {
		atomic_store_explicit(&c->fresh, false, memory_order_relaxed);
		c->seen = (uint16_t)(q->vr.used_idx - 1);
	}
	if (!weir_vring_want_call(&q->vr, q->vr.packed))
		return false;
	c->base = c->seen;
	atomic_store_explicit(
		&c->due,
		now + atomic_load_explicit(&q->coal_cycles, memory_order_relaxed),
		memory_order_relaxed);
	atomic_store(&c->held, true);
	if (atomic_load(c->dozes))
		(void)!eventfd_write(q->fault_fd, 1);
	return true;
}

/* A call is held, since before or from now on. One that was is for what has been
 * published since as well: the guest's next wish counts from here on, and not from
 * where 16 bits may have gone round. */
static bool
is_held(struct weir_queue *q, uint64_t now)
{
	if (!atomic_load(&q->coal.held))
		return hold(q, now);
	weir_vring_will_call(&q->vr);
	return true;
}

void
queue_coal_call(struct weir_queue *q)
{
	struct queue_coal *c = &q->coal;
	const uint64_t now = rte_rdtsc();
	const uint16_t used = q->vr.used_idx;

	/* what was published is visible before a call that is seen held is made */
	atomic_thread_fence(memory_order_seq_cst);
	if (is_held(q, now) &&
	    ((uint16_t)(used - c->base) >=
		     atomic_load_explicit(&c->packets, memory_order_relaxed) ||
	     now >= atomic_load_explicit(&c->due, memory_order_relaxed)))
		queue_coal_release(q);
	c->seen = used;
}
