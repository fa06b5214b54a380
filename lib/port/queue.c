/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include <rte_cycles.h>

#include "queue.h"
#include "weir_fail.h"

/* Pieces of one packet: the longest chain, cut at slot borders. */
#define IOV_SLACK 64u

void
queue_call(struct weir_queue *q)
{
	if (q->call_fd < 0 || !weir_vring_want_call(&q->vr, q->vr.packed))
		return;
	stat_add(&q->stats.calls, 1);
	/* full only if 2^64 - 2 interrupts wait: the guest will not miss one */
	(void)!eventfd_write(q->call_fd, 1);
}

void
queue_break(struct weir_queue *q, int fault)
{
	atomic_store(&q->fault, fault);
	atomic_store(&q->live, false);
	(void)!eventfd_write(q->fault_fd, 1);
}

int
queue_alloc(struct weir_queue *q, uint32_t size)
{
	uint32_t max_iov = RTE_MIN(size, WEIR_VRING_MAX_CHAIN) + IOV_SLACK;
	struct weir_iov *iov = weir_calloc(max_iov, sizeof(*iov));
	struct queue_pkt *win = NULL;

	if (iov == NULL)
		return -ENOMEM;
	if (q->chan != NULL) {
		win = weir_calloc(size, sizeof(*win));
		if (win == NULL) {
			free(iov);
			return -ENOMEM;
		}
	}
	queue_free(q);
	q->iov = iov;
	q->max_iov = max_iov;
	q->win = win;
	q->win_mask = size - 1;
	return 0;
}

void
queue_free(struct weir_queue *q)
{
	free(q->iov);
	free(q->win);
	q->iov = NULL;
	q->win = NULL;
}

void
queue_start(struct weir_queue *q)
{
	atomic_store(&q->fault, WEIR_VRING_OK);
	atomic_store(&q->live, true);
}

/* The lcore is out and stays out. @return true when it is so. */
static bool
queue_quiet(struct weir_queue *q, uint64_t timeout_us)
{
	atomic_store(&q->live, false);
	if (q->chan == NULL)
		return weir_epoch_wait(&q->reader, timeout_us) == 0;
	/* whoever holds it leaves at the end of his burst */
	rte_spinlock_lock(&q->lock);
	rte_spinlock_unlock(&q->lock);
	return true;
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

/* The last copy of the window; packets all by CPU have none. */
static uint64_t
window_last_copy(const struct weir_queue *q)
{
	uint64_t last = 0;

	for (uint32_t i = q->win_tail; i != q->win_head; i++)
		if (q->win[i & q->win_mask].seq > last)
			last = q->win[i & q->win_mask].seq;
	return last;
}

int
queue_stop(struct weir_queue *q, uint64_t timeout_us)
{
	if (!queue_quiet(q, timeout_us))
		return -EBUSY;
	if (queue_in_flight(q) == 0)
		return 0;
	if (weir_copy_drain(q->chan, window_last_copy(q), timeout_us) != 0)
		return -EBUSY;
	if (q->pool != NULL)
		rewind_rx(q);
	else
		queue_collect_tx(q);
	return 0;
}
