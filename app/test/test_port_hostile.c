/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guests that break a port's rings, or take their memory from under it: they are parted
 * with for a reason that is named, and the next guest finds a port as new.
 */
#include <string.h>
#include <unistd.h>

#include <rte_mbuf.h>

#include "port_bench.h"

/* Chains no driver makes, and what the log must say of each. */
struct hostile {
	const char *says;
	void (*break_it)(struct fe *f, struct fe_ring *r);
	bool split_only;
};

static void
head_beyond_table(struct fe *f, struct fe_ring *r)
{
	(void)f;
	fe_offer(r, FE_RING);
}

static void
chain_loops(struct fe *f, struct fe_ring *r)
{
	r->desc[0] = (struct vring_desc){ fe_gpa(f, r->buf), 0,
					  r->desc[0].flags | VRING_DESC_F_NEXT, 0 };
	fe_offer(r, 0);
}

static void
next_beyond_table(struct fe *f, struct fe_ring *r)
{
	r->desc[0] = (struct vring_desc){ fe_gpa(f, r->buf), 16,
					  r->desc[0].flags | VRING_DESC_F_NEXT, 999 };
	fe_offer(r, 0);
}

static void
buffer_outside(struct fe *f, struct fe_ring *r)
{
	r->desc[0].addr = FE_GPA + f->mem_len - 10;
	r->desc[0].len = 1000;
	fe_offer(r, 0);
}

static void
buffer_wraps(struct fe *f, struct fe_ring *r)
{
	(void)f;
	r->desc[0].addr = UINT64_MAX - 10;
	r->desc[0].len = 1000;
	fe_offer(r, 0);
}

static void
wrong_direction(struct fe *f, struct fe_ring *r)
{
	(void)f;
	r->desc[0].flags ^= VRING_DESC_F_WRITE;
	fe_offer(r, 0);
}

static void
table_bad_length(struct fe *f, struct fe_ring *r)
{
	r->desc[0] =
		(struct vring_desc){ fe_gpa(f, r->buf), 17, VRING_DESC_F_INDIRECT, 0 };
	fe_offer(r, 0);
}

static void
table_nested(struct fe *f, struct fe_ring *r)
{
	struct vring_desc *t = (void *)r->buf;

	/* a packed descriptor's flags are where a split one's next is */
	*t = (struct vring_desc){ fe_gpa(f, r->buf), 16, VRING_DESC_F_INDIRECT,
				  VRING_DESC_F_INDIRECT };
	r->desc[0] =
		(struct vring_desc){ fe_gpa(f, r->buf), 16, VRING_DESC_F_INDIRECT, 0 };
	fe_offer(r, 0);
}

static void
avail_too_far(struct fe *f, struct fe_ring *r)
{
	(void)f;
	r->avail->idx = (uint16_t)(r->avail->idx + FE_RING + 1);
}

static const struct hostile hostile[] = {
	{ "head of a chain", head_beyond_table, true },
	{ "loops", chain_loops, false },
	{ "next is not in", next_beyond_table, true },
	{ "outside guest memory", buffer_outside, false },
	{ "outside guest memory", buffer_wraps, false },
	{ "wrong direction", wrong_direction, false },
	{ "bad length", table_bad_length, false },
	{ "inside an indirect", table_nested, false },
	{ "more than a ring ahead", avail_too_far, true },
};

static enum test_result
hostile_ring(const struct hostile *h, unsigned int ring, const char *dma)
{
	struct bench b;
	struct fe f;

	if (h->split_only && wanted != FE_SPLIT)
		return TEST_OK;
	TEST_EQ(bench_open(&b, dma, 0), 0);
	TEST_EQ(fe_open(&f, b.path, 1, ALL_FEATURES), 0);
	f.ring[ring].desc[0] = (struct vring_desc){
		fe_gpa(&f, f.ring[ring].buf),
		FE_BUF,
		ring == 0 ? VRING_DESC_F_WRITE : 0,
		0,
	};
	h->break_it(&f, &f.ring[ring]);
	if (ring == 0) {
		struct rte_mbuf *m = frame(100, 0);

		TEST_EQ(weir_port_tx_burst(b.txq, &m, 1), 0);
		rte_pktmbuf_free(m);
	} else {
		struct rte_mbuf *m;

		TEST_EQ(weir_port_rx_burst(b.rxq, &m, 1), 0);
	}
	TEST_ASSERT(link_becomes(&b, false));
	TEST_ASSERT(said(h->says));
	fe_close(&f);
	/* the next guest finds a port as new */
	TEST_EQ(fe_open(&f, b.path, 1, ALL_FEATURES), 0);
	if (to_host(&b, &f, 50) != TEST_OK || to_guest(&b, &f, 50) != TEST_OK)
		return TEST_FAILED;
	fe_close(&f);
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

static enum test_result
hostile_rings_reset_the_port_with_a_reason(void)
{
	for (size_t i = 0; i < RTE_DIM(hostile); i++)
		for (unsigned int ring = 0; ring < 2; ring++)
			if (hostile_ring(&hostile[i], ring, NULL) != TEST_OK) {
				printf("    case %zu, ring %u\n", i, ring);
				return TEST_FAILED;
			}
	return TEST_OK;
}

static enum test_result
hostile_rings_reset_the_port_with_dma(void)
{
	TEST_EQ(dma_open("mode=thread,delay_us=50"), 0);
	for (size_t i = 0; i < RTE_DIM(hostile); i++)
		for (unsigned int ring = 0; ring < 2; ring++)
			if (hostile_ring(&hostile[i], ring, "dma_weir_test") != TEST_OK)
				return TEST_FAILED;
	dma_close();
	return TEST_OK;
}

/* An lcore that never rests. */
struct poller {
	struct bench *b;
	_Atomic bool end;
	pthread_t thread;
};

static void *
poll_both(void *arg)
{
	struct poller *p = arg;

	while (!atomic_load(&p->end)) {
		struct rte_mbuf *pkts[BURST];
		uint16_t n = weir_port_rx_burst(p->b->rxq, pkts, BURST);

		rte_pktmbuf_free_bulk(pkts, n);
		pkts[0] = frame(1000, 1);
		if (weir_port_tx_burst(p->b->txq, pkts, 1) == 0)
			rte_pktmbuf_free(pkts[0]);
	}
	return NULL;
}

/* The frontend cuts its memory's file while an lcore works in it. */
static enum test_result
memory_cut_short(const char *dma, off_t left)
{
	struct poller p = { .end = false };
	struct bench b;
	uint8_t buf[1000];
	struct fe f;

	TEST_EQ(bench_open(&b, dma, 0), 0);
	TEST_EQ(fe_open(&f, b.path, 1, ALL_FEATURES), 0);
	fill(buf, sizeof(buf), 0);
	fe_post(&f, 0);
	for (int i = 0; i < 8; i++)
		fe_send(&f, 0, buf, sizeof(buf), FE_ONE);
	p.b = &b;
	TEST_EQ(pthread_create(&p.thread, NULL, poll_both, &p), 0);
	TEST_EQ(ftruncate(f.mem_fd, left), 0);
	TEST_ASSERT(link_becomes(&b, false));
	atomic_store(&p.end, true);
	pthread_join(p.thread, NULL);
	TEST_ASSERT(said("guest memory 0x40000000-"));
	fe_close(&f);
	/* everybody else goes on, and so does the next guest */
	TEST_EQ(fe_open(&f, b.path, 1, ALL_FEATURES), 0);
	if (to_host(&b, &f, 50) != TEST_OK || to_guest(&b, &f, 50) != TEST_OK)
		return TEST_FAILED;
	fe_close(&f);
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

static enum test_result
memory_cut_short_resets_the_port(void)
{
	if (memory_cut_short(NULL, 0) != TEST_OK)
		return TEST_FAILED;
	/* the rings stay, the second one's end is gone */
	return memory_cut_short(NULL, 0x4000 + FE_RING * FE_BUF);
}

static enum test_result
memory_cut_short_resets_the_port_with_dma(void)
{
	TEST_EQ(dma_open("mode=thread,delay_us=50"), 0);
	for (int i = 0; i < 5; i++)
		if (memory_cut_short("dma_weir_test", 0) != TEST_OK)
			return TEST_FAILED;
	dma_close();
	return TEST_OK;
}

BENCH_PACKED(hostile_rings_reset_the_port_with_a_reason)
BENCH_PACKED(hostile_rings_reset_the_port_with_dma)
BENCH_PACKED(memory_cut_short_resets_the_port_with_dma)

static const struct test_case cases[] = {
	{ "hostile_rings_reset_the_port_with_a_reason",
	  hostile_rings_reset_the_port_with_a_reason },
	{ "hostile_rings_reset_the_port_with_a_reason_packed",
	  hostile_rings_reset_the_port_with_a_reason_packed },
	{ "hostile_rings_reset_the_port_with_dma",
	  hostile_rings_reset_the_port_with_dma },
	{ "hostile_rings_reset_the_port_with_dma_packed",
	  hostile_rings_reset_the_port_with_dma_packed },
	{ "memory_cut_short_resets_the_port", memory_cut_short_resets_the_port },
	{ "memory_cut_short_resets_the_port_with_dma",
	  memory_cut_short_resets_the_port_with_dma },
	{ "memory_cut_short_resets_the_port_with_dma_packed",
	  memory_cut_short_resets_the_port_with_dma_packed },
};
AUTOTEST_EAL(port_hostile_autotest, cases);
