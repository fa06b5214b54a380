/* SPDX-License-Identifier: BSD-3-Clause */
#include <sched.h>

#include <rte_branch_prediction.h>
#include <rte_cycles.h>

#include "gen.h"

/* Calls in a row that found nothing to do before the core is given away. */
#define IDLE_CALLS 8

/* Frames of 60, 590 and 1514 bytes as 7 : 4 : 1. */
static const uint16_t imix[12] = { 60, 590, 60, 60, 590, 60, 1514, 60, 590, 60, 60, 590 };

/* xorshift64*; the state is not 0. */
static uint64_t
next_rand(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

static uint32_t
next_len(struct gen_rxq *q)
{
	const struct gen_conf *c = &q->dev->conf;

	if (c->imix)
		return imix[next_rand(&q->rand) % RTE_DIM(imix)];
	if (c->min_len == c->max_len)
		return c->min_len;
	return c->min_len +
	       (uint32_t)(next_rand(&q->rand) % (c->max_len - c->min_len + 1));
}

void
gen_rxq_rewind(struct gen_rxq *q, uint16_t id)
{
	q->turn = 0;
	q->made = 0;
	q->rand = q->dev->conf.seed + id;
	q->rand |= q->rand == 0;
	for (uint16_t i = 0; i < GEN_QUEUE_STREAMS; i++) {
		uint16_t stream = (uint16_t)(id * GEN_QUEUE_STREAMS + i);

		q->sources[i] = (struct gen_source){
			.stream = &q->dev->streams[stream],
		};
		gen_head_init(&q->sources[i].head, stream, q->dev->run, &q->dev->mac);
	}
}

/* Take in what the peer has acknowledged; how many are on the way? */
static uint64_t
on_the_way(const struct gen_dev *d, struct gen_source *s)
{
	uint64_t word = atomic_load_explicit(&s->stream->from_ack, memory_order_relaxed);
	uint64_t out = s->next - s->acked;
	uint32_t back = (uint32_t)s->next - (uint32_t)word;

	/* it may be of another run, stale, or not in the window at all */
	if (word >> 32 == d->run && back < out) {
		s->acked = s->next - back;
		s->progress = rte_rdtsc();
		out = back;
	}
	return out;
}

/* How many packets the stream may send now, at most @nr. */
static uint16_t
budget(const struct gen_dev *d, struct gen_rxq *q, struct gen_source *s, uint16_t nr)
{
	uint64_t window = d->conf.window, out;

	if (window == 0)
		return nr;
	out = on_the_way(d, s);
	if (out == 0)
		s->progress = rte_rdtsc();
	if (out < window)
		return window - out < nr ? (uint16_t)(window - out) : nr;
	if (out < 2 * window &&
	    s->told != atomic_load_explicit(&s->stream->to_ack, memory_order_relaxed))
		return 1;
	if (rte_rdtsc() - s->progress < d->timeout_tsc)
		return 0;
	gen_count(&q->counters, GEN_WINDOW_RESETS, 1);
	s->acked = s->next;
	s->progress = rte_rdtsc();
	return window < nr ? (uint16_t)window : nr;
}

/* A chain of segments for @len bytes; NULL if the pool is empty. */
static struct rte_mbuf *
alloc_chain(struct gen_rxq *q, uint32_t len)
{
	struct rte_mbuf *head = rte_pktmbuf_alloc(q->pool), *last = head;

	if (head == NULL)
		return NULL;
	head->pkt_len = len;
	for (;;) {
		last->data_len = (uint16_t)(len < q->room ? len : q->room);
		len -= last->data_len;
		if (len == 0)
			return head;
		last->next = rte_pktmbuf_alloc(q->pool);
		if (last->next == NULL)
			break;
		last = last->next;
		head->nb_segs++;
	}
	rte_pktmbuf_free(head);
	return NULL;
}

/* Mbufs with their lengths set. Returns how many there are. */
static uint16_t
alloc_packets(struct gen_rxq *q, struct rte_mbuf **pkts, uint16_t nr)
{
	uint16_t i;

	if (q->dev->conf.max_len <= q->room) {
		if (rte_pktmbuf_alloc_bulk(q->pool, pkts, nr) != 0)
			return 0;
		for (i = 0; i < nr; i++) {
			pkts[i]->pkt_len = next_len(q);
			pkts[i]->data_len = (uint16_t)pkts[i]->pkt_len;
		}
		return nr;
	}
	for (i = 0; i < nr; i++) {
		pkts[i] = alloc_chain(q, next_len(q));
		if (pkts[i] == NULL)
			break;
	}
	return i;
}

static void
aim_at_peer(struct gen_source *s, const struct gen_dev *d)
{
	uint64_t peer = atomic_load_explicit(&d->peer, memory_order_relaxed);

	memcpy(&s->head.eth.dst_addr, &peer, sizeof(s->head.eth.dst_addr));
}

static uint16_t
make_burst(struct gen_rxq *q, struct gen_source *s, struct rte_mbuf **pkts, uint16_t nr)
{
	uint64_t told = atomic_load_explicit(&s->stream->to_ack, memory_order_relaxed);
	uint16_t made = alloc_packets(q, pkts, nr);
	uint64_t bytes = 0;

	gen_count(&q->counters, GEN_NO_MBUF, (uint64_t)(nr - made));
	aim_at_peer(s, q->dev);
	for (uint16_t i = 0; i < made; i++) {
		pkts[i]->port = q->port;
		gen_packet_write(pkts[i], &s->head, s->next++, (uint16_t)(told >> 32),
				 (uint32_t)told);
		bytes += pkts[i]->pkt_len;
	}
	if (made != 0)
		s->told = told;
	q->made += made;
	gen_count(&q->counters, GEN_PACKETS, made);
	gen_count(&q->counters, GEN_BYTES, bytes);
	return made;
}

/* Nothing made. If nothing came to be checked either, others may want the core. */
static void
idle(struct gen_rxq *q)
{
	uint64_t checked = atomic_load_explicit(&q->dev->checked, memory_order_relaxed);

	if (!q->dev->conf.yield)
		return;
	if (checked != q->checked_before) {
		q->checked_before = checked;
		q->idle_calls = 0;
	} else if (++q->idle_calls >= IDLE_CALLS) {
		sched_yield();
	}
}

uint16_t
gen_rx_burst(void *rxq, struct rte_mbuf **pkts, uint16_t nr)
{
	struct gen_rxq *q = rxq;
	struct gen_dev *d = q->dev;
	uint16_t streams = (uint16_t)d->conf.streams, may, made;
	struct gen_source *s;

	if (unlikely(atomic_load_explicit(&d->paused, memory_order_relaxed)))
		streams = 0;
	if (d->conf.count != 0 && d->conf.count - q->made < nr)
		nr = (uint16_t)(d->conf.count - q->made);
	/* the next stream that may send; a burst is all of one stream */
	for (uint16_t i = 0; i < streams && nr != 0; i++) {
		s = &q->sources[q->turn];
		q->turn = (uint16_t)(q->turn + 1 == streams ? 0 : q->turn + 1);
		may = budget(d, q, s, nr);
		made = may != 0 ? make_burst(q, s, pkts, may) : 0;
		if (made != 0) {
			q->idle_calls = 0;
			return made;
		}
	}
	idle(q);
	return 0;
}
