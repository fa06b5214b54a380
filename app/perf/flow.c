/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include <rte_cycles.h>

#include "flow.h"
#include "guest_ring.h"
#include "perf.h"

/* Bursts in a row that count for nothing, of a backend that works. */
#define MAX_IDLE 1000000u

/* A burst that took so long was interrupted, and is left out with its packets. */
#define INTERRUPTED_US 30u

static uint32_t
frame_len(const struct flow *f, uint32_t nr)
{
	return f->job->len[nr % f->job->nr_lens];
}

void
flow_open(struct flow *f, struct bench *b, enum bench_side side, const struct flow_job *j)
{
	struct bench_port *p = &b->port[side][0];

	*f = (struct flow){
		.b = b,
		.port = p,
		.job = j,
		.has_dma = b->conf.side[side]->dma != NULL,
		.at = p->guest.ring[j->op == BENCH_ENQUEUE ? 0 : 1].taken,
	};
	if (f->has_dma)
		perf_dma_clock(p->dma, false, perf_cycles());
}

void
flow_close(struct flow *f)
{
	rte_pktmbuf_free_bulk(f->port->pkts, f->nr_pkts);
	f->nr_pkts = 0;
	if (f->has_dma)
		perf_dma_clock(f->port->dma, true, perf_cycles());
}

/* The application has frames, the guest room for them. */
static int
ready_enqueue(struct flow *f)
{
	struct bench_port *p = f->port;
	struct guest *g = &p->guest;

	while (f->nr_pkts < BENCH_MAX_BURST) {
		const struct bench_job j = { .len = frame_len(f, f->at + f->nr_pkts) };
		struct rte_mbuf *m = bench_mbuf(f->b, &j);

		if (m == NULL)
			return -ENOMEM;
		guest_flush(&g->ring[0], f->at + f->nr_pkts, 1, j.len);
		p->pkts[f->nr_pkts++] = m;
	}
	guest_rx_drop(g);
	guest_rx_post(g);
	return 0;
}

/* The guest has frames. */
static int
ready_dequeue(struct flow *f)
{
	struct guest *g = &f->port->guest;
	struct guest_ring *r = &g->ring[1];
	int ret = guest_tx_take(g);

	while (ret >= 0 && r->posted - r->taken < r->size) {
		const uint32_t at = r->posted, len = frame_len(f, at);

		guest_tx_post(g, 1, len);
		guest_flush(r, at, 1, len);
	}
	return ret < 0 ? ret : 0;
}

static uint16_t
burst(struct flow *f, uint64_t *cycles)
{
	struct bench_port *p = f->port;
	uint64_t began, ended;
	uint16_t n;

	/* what came before is over, flushes too, before the engine goes on */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	began = perf_cycles();
	if (f->has_dma)
		perf_dma_clock(p->dma, true, began);
	n = f->job->op == BENCH_ENQUEUE ? bench_tx(p, p->pkts, (uint16_t)f->nr_pkts)
					: bench_rx(f->b, p, p->pkts, BENCH_MAX_BURST);
	ended = perf_cycles();
	if (f->has_dma)
		perf_dma_clock(p->dma, false, ended);
	*cycles = ended - began;
	return n;
}

static int
packets_run(struct flow *f, uint64_t packets, bool waits, struct flow_took *took)
{
	const uint64_t limit = rte_get_tsc_hz() / 1000000 * INTERRUPTED_US;
	struct bench_port *p = f->port;
	unsigned int idle = 0;

	*took = (struct flow_took){ 0 };
	while (took->packets < packets) {
		int ret =
			f->job->op == BENCH_ENQUEUE ? ready_enqueue(f) : ready_dequeue(f);
		uint64_t cycles;
		uint16_t n;

		if (ret != 0)
			return ret;
		if (f->has_dma && !waits)
			perf_dma_clock_skip(p->dma);
		n = burst(f, &cycles);
		idle = n == 0 || cycles >= limit ? idle + 1 : 0;
		if (idle == MAX_IDLE)
			return -ETIMEDOUT;
		f->at += n;
		if (cycles < limit) {
			took->packets += n;
			took->cycles += cycles;
		}
		if (f->job->op == BENCH_DEQUEUE) {
			rte_pktmbuf_free_bulk(p->pkts, n);
			continue;
		}
		f->nr_pkts -= n;
		memmove(p->pkts, p->pkts + n, f->nr_pkts * sizeof(struct rte_mbuf *));
	}
	return 0;
}

int
flow_run(struct flow *f, uint64_t packets, bool waits, struct flow_took *took)
{
	/* as many as may be under way: the first of them wait for nobody */
	int ret = packets_run(f, f->port->guest.ring[0].size, waits, took);

	return ret != 0 ? ret : packets_run(f, packets, waits, took);
}
