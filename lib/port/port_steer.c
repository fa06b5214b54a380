/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a guest has its frames go (RSS), and the hash that it is told of.
 *
 * An application sends on the queue of its lcore. A guest that has configured
 * RSS wants each frame on the queue that the frame's hash says, so its queues
 * belong to no lcore: each takes the queue's lock for what it puts there. A
 * port is made for that or not; the queues of one that is not have no lock.
 *
 * What a guest has asked for is immutable once it is made. A sending lcore looks
 * it up inside the section of its own queue's epoch reader, or inside a queue;
 * the control thread publishes another, waits until all who may have the old one
 * are out, and frees that.
 */
#include <stdlib.h>

#include "offload.h"
#include "port.h"
#include "port_fence.h"
#include "port_steer.h"
#include "weir_fail.h"

/* Frames that are looked at together; their queues are kept on the stack. */
#define CHUNK 64u

static void
free_out(struct weir_port *p)
{
	while (p->hash_out != NULL) {
		struct port_hash *h = p->hash_out;

		p->hash_out = h->next;
		free(h);
	}
}

void
port_hash_begin(struct weir_port *p, uint32_t i)
{
	bool report = (weir_vhost_features(p->session) & OFFLOAD_BIT(HASH_REPORT)) != 0;

	atomic_store(&p->ring[i].q.hash, report ? atomic_load(&p->hash) : NULL);
}

int
port_hash_set(struct weir_port *p, const struct hash_conf *conf)
{
	struct port_hash *new = NULL, *old;

	if (conf->types != 0 || conf->table_len != 0) {
		new = weir_zalloc(sizeof(*new));
		if (new == NULL)
			return -ENOMEM;
		hash_init(&new->h, conf);
	}
	old = (struct port_hash *)(uintptr_t)atomic_exchange(
		&p->hash, new != NULL ? &new->h : NULL);
	for (uint32_t i = 0; i < p->nr_rings; i += 2)
		if (p->ring[i].running)
			port_hash_begin(p, i);
	if (old == NULL)
		return 0;
	old->next = p->hash_out;
	p->hash_out = old;
	/* a lcore that does not come out keeps them until the next time */
	if (port_wait_out(p, port_drain_us()) == 0)
		free_out(p);
	return 0;
}

void
port_hash_free(struct weir_port *p)
{
	free((void *)(uintptr_t)atomic_load(&p->hash));
	free_out(p);
}

void
port_steer_sync(struct weir_port *p)
{
	uint16_t n = 0;

	while (2u * n < p->nr_rings && p->ring[2 * n].running)
		n++;
	atomic_store(&p->nr_tx, n);
}

/* The pair of each frame. */
static void
choose(const struct weir_queue *q, struct rte_mbuf *const *pkts, uint16_t n, uint16_t *to)
{
	struct weir_port *p = q->steer;
	const struct hash *h = atomic_load_explicit(&p->hash, memory_order_acquire);
	const uint16_t own = q->index / 2;
	uint16_t nr = atomic_load_explicit(&p->nr_tx, memory_order_relaxed);

	for (uint16_t i = 0; i < n; i++) {
		if (h != NULL && h->conf.table_len != 0)
			to[i] = hash_pair(h, pkts[i]);
		else
			/* the guest leaves it to us, and may not use as many */
			to[i] = nr != 0 ? own % nr : own;
	}
}

/*
 * Send up to CHUNK frames, each where it belongs. What has no room goes behind
 * what was taken, in its order. @return frames taken.
 */
static uint16_t
steer_chunk(struct weir_queue *q, struct rte_mbuf **pkts, uint16_t n)
{
	struct rte_mbuf *part[CHUNK], *rest[CHUNK];
	uint16_t to[CHUNK], nr, sent, nr_rest = 0;
	uint64_t todo = n < 64 ? (UINT64_C(1) << n) - 1 : UINT64_MAX, left = 0;

	choose(q, pkts, n, to);
	while (todo != 0) {
		const uint16_t pair = to[__builtin_ctzll(todo)];
		uint8_t at[CHUNK];

		nr = 0;
		for (uint64_t bits = todo; bits != 0; bits &= bits - 1) {
			unsigned int i = (unsigned int)__builtin_ctzll(bits);

			if (to[i] != pair)
				continue;
			at[nr] = (uint8_t)i;
			part[nr++] = pkts[i];
			todo &= ~(UINT64_C(1) << i);
		}
		sent = queue_tx_burst(&q->steer->ring[2 * pair].q, part, nr);
		for (uint16_t i = sent; i < nr; i++)
			left |= UINT64_C(1) << at[i];
	}
	for (; left != 0; left &= left - 1)
		rest[nr_rest++] = pkts[__builtin_ctzll(left)];
	for (uint16_t i = 0; i < nr_rest; i++)
		pkts[n - nr_rest + i] = rest[i];
	return (uint16_t)(n - nr_rest);
}

uint16_t
weir_port_tx_steer(struct weir_queue *q, struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t sent = 0;

	if (q->steer == NULL)
		return queue_tx_burst(q, pkts, n);
	weir_epoch_enter(&q->reader);
	while (sent != n) {
		uint16_t want = (uint16_t)RTE_MIN((unsigned int)(n - sent), CHUNK);
		uint16_t got = steer_chunk(q, pkts + sent, want);

		sent = (uint16_t)(sent + got);
		/* what goes behind it must not overtake what was left */
		if (got != want)
			break;
	}
	weir_epoch_leave(&q->reader);
	return sent;
}
