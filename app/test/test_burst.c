/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every burst function against the one that looks the mode up: the same random
 * ring, the same frames, and everything that came of it the same, down to the
 * last byte of guest memory.
 */
#include <errno.h>
#include <string.h>

#include "queue_rig.h"
#include "test.h"

#define ROUNDS 300u
#define STEPS 12u
#define BURST 32u
#define FRAME_MAX 3000u

static struct rte_mempool *pool;

/* FNV-1a over words: what happened so far, in a number. */
static void
digest(uint64_t *d, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	uint64_t word;

	for (; len != 0;
	     p += RTE_MIN(len, sizeof(word)), len -= RTE_MIN(len, sizeof(word))) {
		word = 0;
		memcpy(&word, p, RTE_MIN(len, sizeof(word)));
		*d = (*d ^ word) * UINT64_C(0x100000001b3);
	}
}

static void
digest_number(uint64_t *d, uint64_t n)
{
	digest(d, &n, sizeof(n));
}

/* Descriptors that mostly make sense: a few chains, tables, and mistakes. */
static void
fill(struct rig *r, uint64_t *rnd, bool tx)
{
	const uint16_t dir = tx ? VRING_DESC_F_WRITE : 0;
	uint64_t word;

	for (uint32_t at = RIG_DATA; at < RIG_DATA + 0x2000; at += 8) {
		word = test_rand(rnd);
		/* headers that claim little, so that offloads are looked at now and then
		 */
		rig_poke(r, at, &word, sizeof(word));
	}
	for (uint16_t i = 0; i < r->size; i++) {
		uint32_t len = (uint32_t)(60 + test_rand(rnd) % 1900);
		uint64_t gpa = RIG_DATA + test_rand(rnd) % 0x1000;
		uint16_t flags = dir;

		switch (test_rand(rnd) % 64) {
		case 0:
			flags ^= VRING_DESC_F_WRITE;
			break;
		case 1:
			gpa = RIG_MEM - 20;
			break;
		case 2:
			len = 0;
			break;
		case 3:
		case 4:
			/* a table, of what lies among the descriptors */
			flags = VRING_DESC_F_INDIRECT;
			gpa = (uint64_t)(i % (r->size - 2)) * 16;
			len = 32;
			break;
		case 5:
		case 6:
			gpa = RIG_SLOT - 40;
			len = 80;
			break;
		default:
			if (test_rand(rnd) % 8 == 0)
				flags |= VRING_DESC_F_NEXT;
			break;
		}
		rig_desc(r, i, gpa, len, flags, (uint16_t)((i + 1) % r->size));
	}
}

static struct rte_mbuf *
frame(uint64_t *rnd)
{
	uint32_t len = (uint32_t)(60 + test_rand(rnd) % FRAME_MAX), off = 0;
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool), *last = m;

	while (last != NULL) {
		uint16_t n = (uint16_t)RTE_MIN(len - off, 1000u);

		memset(rte_pktmbuf_append(last, n), (int)(test_rand(rnd) & 0xff), n);
		off += n;
		if (off == len)
			break;
		last->next = rte_pktmbuf_alloc(pool);
		last = last->next;
		m->nb_segs++;
	}
	m->pkt_len = len;
	return m;
}

static void
burst_rx(struct rig *r, uint64_t *d, uint16_t n)
{
	struct rte_mbuf *pkts[BURST];

	n = queue_rx_burst(&r->q, pkts, n);
	digest_number(d, n);
	for (uint16_t i = 0; i < n; i++) {
		digest_number(d, pkts[i]->pkt_len);
		digest_number(d, pkts[i]->nb_segs);
		digest_number(d, pkts[i]->ol_flags);
		digest_number(d, pkts[i]->port);
		digest_number(d, pkts[i]->tx_offload);
		digest_number(d, pkts[i]->packet_type);
		for (struct rte_mbuf *m = pkts[i]; m != NULL; m = m->next)
			digest(d, rte_pktmbuf_mtod(m, void *), m->data_len);
		rte_pktmbuf_free(pkts[i]);
	}
}

static void
burst_tx(struct rig *r, uint64_t *d, uint16_t n, uint64_t *rnd)
{
	struct rte_mbuf *pkts[BURST];
	uint16_t sent;

	for (uint16_t i = 0; i < n; i++)
		pkts[i] = frame(rnd);
	sent = queue_tx_burst(&r->q, pkts, n);
	digest_number(d, sent);
	rte_pktmbuf_free_bulk(&pkts[sent], (unsigned int)(n - sent));
}

static void
digest_queue(uint64_t *d, struct rig *r)
{
	struct weir_queue *q = &r->q;

	digest(d, r->slot[0], RIG_SLOT);
	digest(d, r->slot[1], RIG_SLOT);
	digest_number(d, (uint64_t)q->fault);
	digest_number(d, q->vr.last_avail);
	digest_number(d, q->vr.used_next);
	digest_number(d, q->vr.used_idx);
	digest_number(d, q->vr.used_pos);
	for (size_t i = 0; i < sizeof(q->stats) / sizeof(uint64_t); i++)
		digest_number(d, ((_Atomic uint64_t *)&q->stats)[i]);
}

/* Play a seed's round with a mode. @return its digest; *live: it came to its end
 * unbroken. */
static int
play(uint64_t rnd, unsigned int mode, bool tx, bool any, uint64_t *d, bool *live)
{
	const struct rig_conf conf = {
		.size = (uint16_t)(8u << test_rand(&rnd) % 4),
		.packed = (mode & QUEUE_PACKED) != 0,
		.dma = (mode & QUEUE_CHAN) != 0,
		.threshold = (uint32_t)(test_rand(&rnd) % 500),
		.pool = tx ? NULL : pool,
	};
	static struct rig r;

	memset(&r, 0, sizeof(r));
	r.q.hdr_len = (mode & QUEUE_HDR12) != 0 ? 12 : 10;
	r.q.mergeable = tx && (mode & QUEUE_MERGE) != 0;
	r.q.rx_offload = !tx && (mode & QUEUE_OFFLOAD) != 0;
	r.q.sw_csum = true;
	*d = UINT64_C(0xcbf29ce484222325);
	if (rig_start(&r, &conf) != 0)
		return -ENOMEM;
	if (r.q.mode != mode)
		return -EINVAL;
	if (any)
		r.q.burst = tx ? queue_tx_any : queue_rx_any;
	fill(&r, &rnd, tx);
	for (unsigned int i = 0; i < STEPS; i++) {
		uint16_t n = (uint16_t)(test_rand(&rnd) % r.size);

		for (uint16_t k = 0; k < n; k++)
			rig_offer(&r, (uint16_t)(test_rand(&rnd) % r.size));
		r.engine.credit =
			test_rand(&rnd) % 3 == 0 ? RIG_DMA_ALL : test_rand(&rnd) % 40;
		n = (uint16_t)(test_rand(&rnd) % (BURST + 1));
		if (tx)
			burst_tx(&r, d, n, &rnd);
		else
			burst_rx(&r, d, n);
		digest_queue(d, &r);
	}
	*live = r.q.live;
	rig_stop(&r);
	digest_queue(d, &r);
	return 0;
}

static enum test_result
modes_equal(bool tx)
{
	uint64_t rnd = test_seed(), a, b;
	unsigned int nr_live = 0;
	bool live;

	if (pool == NULL)
		pool = rte_pktmbuf_pool_create("test_burst", 1023, 0, 0,
					       RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	TEST_ASSERT(pool != NULL);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		unsigned int mode = i % QUEUE_NR_MODES | QUEUE_HDR12;
		uint64_t seed = test_rand(&rnd);

		TEST_EQ(play(seed, mode, tx, false, &a, &live), 0);
		TEST_EQ(play(seed, mode, tx, true, &b, &live), 0);
		if (a != b)
			printf("    mode %#x, round %u\n", mode, i);
		TEST_ASSERT(a == b);
		TEST_EQ(rte_mempool_in_use_count(pool), 0);
		nr_live += live;
	}
	/* most of it should be work, not faults, and faults there should be */
	TEST_ASSERT(nr_live > ROUNDS / 20 && nr_live < ROUNDS);
	return TEST_OK;
}

static enum test_result
rx_every_mode_as_the_general_one(void)
{
	return modes_equal(false);
}

static enum test_result
tx_every_mode_as_the_general_one(void)
{
	return modes_equal(true);
}

static enum test_result
select_short_header_is_general(void)
{
	TEST_ASSERT(queue_rx_select(QUEUE_PACKED) == queue_rx_any);
	TEST_ASSERT(queue_tx_select(QUEUE_MERGE) == queue_tx_any);
	for (unsigned int i = 0; i < QUEUE_NR_MODES; i++) {
		TEST_ASSERT(queue_rx_select(i | QUEUE_HDR12) != queue_rx_any);
		TEST_ASSERT(queue_tx_select(i | QUEUE_HDR12) != queue_tx_any);
	}
	return TEST_OK;
}

static const struct test_case burst_cases[] = {
	{ "rx_every_mode_as_the_general_one", rx_every_mode_as_the_general_one },
	{ "tx_every_mode_as_the_general_one", tx_every_mode_as_the_general_one },
	{ "select_short_header_is_general", select_short_header_is_general },
};
AUTOTEST_EAL(burst_autotest, burst_cases);
