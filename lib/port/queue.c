/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include <rte_cycles.h>
#include <rte_lcore.h>

#include "deadline.h"
#include "queue.h"
#include "weir_fail.h"

/* Pieces of one packet: the longest chain, cut at slot borders. */
#define IOV_SLACK 64u

void
queue_call(struct weir_queue *q)
{
	if (__builtin_expect(q->log != NULL, 0))
		queue_log_published(q);
	if (q->call_fd < 0)
		return;
	if (__builtin_expect(
		    atomic_load_explicit(&q->coal_cycles, memory_order_relaxed) != 0,
		    0)) {
		queue_coal_call(q);
		return;
	}
	if (!weir_vring_want_call(&q->vr, q->vr.packed))
		return;
	stat_add(&q->stats.calls, 1);
	/* full only if 2^64 - 2 interrupts wait: the guest will not miss one */
	(void)!eventfd_write(q->call_fd, 1);
}

void
queue_break(struct weir_queue *q, int fault)
{
	/* memory that came in mid burst: the guest knows of it, this burst does not */
	if (atomic_load(&q->gmem) != q->vr.gmem)
		return;
	atomic_store(&q->fault, fault);
	atomic_store(&q->live, false);
	(void)!eventfd_write(q->fault_fd, 1);
}

int
queue_alloc(struct weir_queue *q, uint32_t size, bool packed)
{
	/* a packed ring's indirect tables may be longer than the ring */
	uint32_t max_chain = packed ? WEIR_VRING_MAX_CHAIN
				    : RTE_MIN(size, (uint32_t)WEIR_VRING_MAX_CHAIN);
	uint32_t nr_used = weir_vring_shadow_size(size);
	struct weir_vring_used *shadow = NULL;
	struct queue_pkt *win = NULL;
	struct weir_iov *iov;

	iov = weir_calloc(max_chain + IOV_SLACK, sizeof(*iov));
	if (iov == NULL)
		return -ENOMEM;
	if (packed) {
		shadow = weir_calloc(nr_used, sizeof(*shadow));
		if (shadow == NULL)
			goto err_iov;
	}
	if (q->chan != NULL) {
		win = weir_calloc(nr_used, sizeof(*win));
		if (win == NULL)
			goto err_shadow;
	}
	queue_free(q);
	q->iov = iov;
	q->max_iov = max_chain + IOV_SLACK;
	q->shadow = shadow;
	q->win = win;
	q->win_mask = nr_used - 1;
	return 0;

err_shadow:
	free(shadow);
err_iov:
	free(iov);
	return -ENOMEM;
}

void
queue_free(struct weir_queue *q)
{
	free(q->iov);
	free(q->shadow);
	free(q->win);
	q->iov = NULL;
	q->shadow = NULL;
	q->win = NULL;
}

static unsigned int
queue_mode(const struct weir_queue *q)
{
	bool rx = q->pool != NULL;

	return (q->vr.packed ? QUEUE_PACKED : 0) | (q->chan != NULL ? QUEUE_CHAN : 0) |
	       (rx && q->rx_offload ? QUEUE_OFFLOAD : 0) |
	       (!rx && q->mergeable ? QUEUE_MERGE : 0) |
	       (!rx && q->log != NULL ? QUEUE_LOG : 0) |
	       (!rx && q->vr.gmem->memory != NULL ? QUEUE_IOTLB : 0) |
	       (q->vr.kept != NULL ? QUEUE_KEPT : 0) |
	       (q->hdr_len == sizeof(struct virtio_net_hdr_mrg_rxbuf) ? QUEUE_HDR12 : 0);
}

void
queue_start(struct weir_queue *q)
{
	q->mode = queue_mode(q);
	if (q->pool != NULL)
		queue_rx_mbuf_init(q);
	q->burst = q->pool != NULL ? queue_rx_select(q->mode) : queue_tx_select(q->mode);
	if (atomic_load_explicit(&q->watched, memory_order_relaxed) != 0)
		q->burst = queue_rx_unwatch;
	atomic_store(&q->fault, WEIR_VRING_OK);
	atomic_store(&q->gmem, q->vr.gmem);
	atomic_store(&q->asked, false);
	q->scout = q->vr.last_avail;
	atomic_store(&q->live, true);
	/* last: who has seen that it is not live looks whether this number is another */
	queue_watch_wake(q);
}

void
queue_resume(struct weir_queue *q)
{
	/* a guest that broke the ring meanwhile is not let in again */
	if (atomic_load(&q->fault) != WEIR_VRING_OK)
		return;
	atomic_store(&q->live, true);
	queue_watch_wake(q);
}

/* Looks before a waiting thread gives up its core: a burst is over by then. */
#define OUT_SPINS 256u

int
queue_wait_out(struct weir_queue *q, uint64_t timeout_us)
{
	uint64_t deadline = deadline_in(timeout_us);
	uint32_t turns;

	/*
	 * Taking a lock is a full fence, and so is this: whoever takes it later sees
	 * what was stored before. So one who leaves from now on was the last that may
	 * not have, however soon the next one comes.
	 */
	atomic_thread_fence(memory_order_seq_cst);
	turns = atomic_load_explicit(&q->turns, memory_order_acquire);
	for (unsigned int spins = 0;
	     rte_spinlock_is_locked(&q->lock) &&
	     atomic_load_explicit(&q->turns, memory_order_acquire) == turns;
	     spins++) {
		if (rte_get_timer_cycles() > deadline)
			return -EBUSY;
		if (spins < OUT_SPINS)
			rte_pause();
		else
			sched_yield();
	}
	return 0;
}

int
queue_quiet(struct weir_queue *q, uint64_t timeout_us)
{
	atomic_store(&q->live, false);
	if (!q->locked)
		return weir_epoch_wait(&q->reader, timeout_us) == 0 ? 0 : -EBUSY;
	/* whoever comes later leaves at once */
	return queue_wait_out(q, timeout_us);
}

static void
rewind_rx(struct weir_queue *q)
{
	uint32_t n = queue_in_flight(q);

	for (uint32_t i = q->win_tail; i != q->win_head; i++)
		rte_pktmbuf_free(q->win[i & q->win_mask].m);
	/* one chain a packet, none of it shown as used yet */
	weir_vring_rewind(&q->vr);
	q->win_tail = q->win_head;
	stat_add(&q->stats.rewound, n);
}

void
queue_chan_turn(struct weir_queue *q)
{
	const int node = q->near ? (int)rte_socket_id() : SOCKET_ID_ANY;
	unsigned int next = q->nr_chans;

	for (unsigned int n = 1; n <= q->nr_chans; n++) {
		unsigned int i = (q->cur + n) % q->nr_chans;
		const struct weir_copy_chan *c = q->chans[i];
		const int home = __atomic_load_n(&c->node, __ATOMIC_RELAXED);

		if (!weir_copy_has_room(c))
			continue;
		if (node == SOCKET_ID_ANY || home == SOCKET_ID_ANY || home == node) {
			next = i;
			break;
		}
		if (next == q->nr_chans)
			next = i;
	}
	if (next == q->nr_chans)
		return;
	q->cur = (uint8_t)next;
	q->chan = q->chans[next];
}

void
queue_chan_full(struct weir_queue *q)
{
	weir_copy_kick(q->chan);
	weir_copy_unlock(q->chan);
	queue_chan_turn(q);
	weir_copy_lock(q->chan);
}

/* The last copy of the window on a channel; packets all by CPU have none. */
static uint64_t
window_last_copy(const struct weir_queue *q, unsigned int chan)
{
	uint64_t last = 0;

	for (uint32_t i = q->win_tail; i != q->win_head; i++) {
		const struct queue_pkt *p = &q->win[i & q->win_mask];

		if (p->chan == chan && p->seq > last)
			last = p->seq;
	}
	return last;
}

/* All copies of the window are over. */
static int
window_drain(struct weir_queue *q, uint64_t timeout_us)
{
	const uint64_t deadline = deadline_in(timeout_us);
	int ret = 0;

	for (unsigned int i = 0; i < q->nr_chans && ret == 0; i++)
		ret = weir_copy_drain(q->chans[i], window_last_copy(q, i),
				      deadline_left_us(deadline));
	return ret;
}

int
queue_stop(struct weir_queue *q, uint64_t timeout_us)
{
	if (queue_quiet(q, timeout_us) != 0)
		return -EBUSY;
	if (queue_in_flight(q) == 0)
		return 0;
	queue_refresh(q);
	if (window_drain(q, timeout_us) != 0)
		return -EBUSY;
	if (q->pool != NULL)
		rewind_rx(q);
	else
		queue_collect_tx(q);
	return 0;
}
