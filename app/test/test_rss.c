/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest chooses its frames' queues, and is told their hashes: behind a port
 * whose frontend hands over the control queue.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <linux/virtio_net.h>

#include "ctl.h"
#include "ctrlq_bench.h"
#include "hash.h"
#include "offload.h"
#include "test.h"
#include "weir_fail.h"

#define ALL UINT64_MAX
#define F(name) OFFLOAD_BIT(name)
/* Up to the table: types, mask, unclassified. */
#define RSS(types, mask, other) 4, 1, types, 0, 0, 0, mask, 0, other, 0

/* RSS by UDP ports over two entries, and hashes by the same. */
#define KEY                                                                           \
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, \
		0xa3, 0x8f, 0xb0
static const uint8_t rss_on[] = { RSS(0x3f, 1, 1), 0, 0, 1, 0, 2, 0, 16, KEY };

/* A datagram from a port of its sender's, marked with a number. */
static struct rte_mbuf *
datagram(uint8_t from, uint8_t mark)
{
	const uint8_t head[] = { 2,  0,	 0,    0,    0,	 1, 2,	0, 0,  0,   0,
				 2,  8,	 0,    0x45, 0,	 0, 32, 0, 0,  0,   0,
				 64, 17, 0,    0,    10, 0, 0,	1, 10, 0,   0,
				 2,  0,	 from, 0,    9,	 0, 12, 0, 0,  mark };
	struct rte_mbuf *m = rte_pktmbuf_alloc(ctrlq_bench.pool);

	memset(rte_pktmbuf_append(m, 60), 0, 60);
	memcpy(rte_pktmbuf_mtod(m, void *), head, sizeof(head));
	return m;
}

/* What of a datagram the specification hashes. */
static uint32_t
datagram_hash(uint8_t from)
{
	const uint8_t in[] = { 10, 0, 0, 1, 10, 0, 0, 2, 0, from, 0, 9 };
	struct hash_conf c = { .types = HASH_TYPES, .key = { KEY } };
	static struct hash h;

	hash_init(&h, &c);
	return hash_bytes(&h, in, sizeof(in));
}

/* The driver's header and frame of the n-th buffer of a split receive ring. */
static const struct virtio_net_hdr_v1_hash *
buffer(unsigned int pair, unsigned int n, const uint8_t **data)
{
	const uint8_t *buf = ctrlq_bench.fe.ring[2 * pair].buf + (size_t)n * FE_BUF;

	*data = buf + sizeof(struct virtio_net_hdr_v1_hash);
	return (const void *)buf;
}

/* Behind the header without it; newer systems' headers have two halves there. */
static uint32_t
hash_of(const struct virtio_net_hdr_v1_hash *h)
{
	uint32_t hash;

	memcpy(&hash, (const uint8_t *)h + sizeof(h->hdr), sizeof(hash));
	return hash;
}

static enum test_result
port_spreads_by_rss(void)
{
	const uint8_t frame[80] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 }, *data;
	unsigned int n[PAIRS] = { 0 };
	struct rte_mbuf *pkts[48];

	TEST_EQ(ctrlq_open(FE_SPLIT, true), 0);
	TEST_ASSERT(BECOMES(weir_port_link(ctrlq_bench.port)));
	fe_post(&ctrlq_bench.fe, 0);
	fe_post(&ctrlq_bench.fe, 1);
	TEST_EQ(ctrlq_send(rss_on, sizeof(rss_on)), VIRTIO_NET_OK);
	TEST_ASSERT(ctrlq_pair_runs(1));
	for (uint32_t i = 0; i < RTE_DIM(pkts); i++)
		pkts[i] = datagram((uint8_t)i, (uint8_t)i);
	/* all on one queue: the guest chooses */
	TEST_EQ(weir_port_tx_steer(weir_port_txq(ctrlq_bench.port, 0), pkts,
				   RTE_DIM(pkts)),
		RTE_DIM(pkts));
	for (uint32_t i = 0; i < RTE_DIM(pkts); i++) {
		const uint32_t hash = datagram_hash((uint8_t)i);
		const struct virtio_net_hdr_v1_hash *h =
			buffer(hash & 1, n[hash & 1]++, &data);

		TEST_EQ(data[42], i);
		TEST_EQ(hash_of(h), hash);
		TEST_EQ(h->hash_report, VIRTIO_NET_HASH_REPORT_UDPv4);
		TEST_EQ(h->hdr.num_buffers, 1);
	}
	TEST_ASSERT(n[0] > 10 && n[1] > 10);
	/* a frame without a hash: where the driver wants those */
	pkts[0] = datagram(1, 99);
	rte_pktmbuf_mtod(pkts[0], uint8_t *)[12] = 0x99;
	TEST_EQ(weir_port_tx_steer(weir_port_txq(ctrlq_bench.port, 0), pkts, 1), 1);
	TEST_EQ(buffer(1, n[1], &data)->hash_report, VIRTIO_NET_HASH_REPORT_NONE);
	TEST_EQ(data[42], 99);
	/* the driver's own frames have the long header as well: 8 bytes of these */
	TEST_ASSERT(fe_send(&ctrlq_bench.fe, 0, frame, sizeof(frame), FE_SCATTERED));
	TEST_EQ(weir_port_rx_burst(weir_port_rxq(ctrlq_bench.port, 0), pkts, 1), 1);
	TEST_EQ(pkts[0]->pkt_len, sizeof(frame) - 8);
	TEST_EQ(*rte_pktmbuf_mtod(pkts[0], uint8_t *), 9);
	rte_pktmbuf_free(pkts[0]);
	ctrlq_close();
	return TEST_OK;
}

/* A queue that is full holds up no other; what is left is the caller's, in order. */
static enum test_result
port_leaves_what_has_no_room(void)
{
	struct rte_mbuf *pkts[60], *all[60];
	unsigned int nr_a = 0;
	uint16_t sent;

	TEST_EQ(ctrlq_open(FE_SPLIT, true), 0);
	TEST_ASSERT(BECOMES(weir_port_link(ctrlq_bench.port)));
	fe_post(&ctrlq_bench.fe, 0);
	TEST_EQ(ctrlq_send(rss_on, sizeof(rss_on)), VIRTIO_NET_OK);
	for (uint32_t i = 0; i < RTE_DIM(pkts); i++) {
		all[i] = pkts[i] = datagram((uint8_t)i, (uint8_t)i);
		nr_a += (datagram_hash((uint8_t)i) & 1) == 0;
	}
	/* pair 1 has no buffers */
	sent = weir_port_tx_steer(weir_port_txq(ctrlq_bench.port, 1), pkts,
				  RTE_DIM(pkts));
	TEST_EQ(sent, nr_a);
	for (uint32_t i = 0; i < RTE_DIM(pkts); i++) {
		if ((datagram_hash((uint8_t)i) & 1) == 0)
			continue;
		TEST_ASSERT(pkts[sent] == all[i]);
		rte_pktmbuf_free(pkts[sent++]);
	}
	ctrlq_close();
	TEST_EQ(rte_mempool_in_use_count(ctrlq_bench.pool), 0);
	return TEST_OK;
}

/* Without RSS the sender's queue stands, if the guest uses it. */
static enum test_result
port_sends_on_a_queue_that_is_used(void)
{
	const uint8_t *data;
	struct rte_mbuf *m;

	TEST_EQ(ctrlq_open(FE_SPLIT & ~F(HASH_REPORT), true), 0);
	TEST_ASSERT(BECOMES(weir_port_link(ctrlq_bench.port)));
	fe_post(&ctrlq_bench.fe, 0);
	fe_post(&ctrlq_bench.fe, 1);
	m = datagram(1, 1);
	TEST_EQ(weir_port_tx_steer(weir_port_txq(ctrlq_bench.port, 1), &m, 1), 1);
	/* a header of 12 bytes */
	buffer(0, 0, &data);
	TEST_EQ(data[42 - 8], 1);
	TEST_EQ(ctrlq_send((uint8_t[]){ 4, 0, 2, 0 }, 4), VIRTIO_NET_OK);
	m = datagram(1, 2);
	TEST_EQ(weir_port_tx_steer(weir_port_txq(ctrlq_bench.port, 1), &m, 1), 1);
	buffer(1, 0, &data);
	TEST_EQ(data[42 - 8], 2);
	ctrlq_close();
	return TEST_OK;
}

/* A driver that starts anew has asked for nothing. */
static enum test_result
port_forgets_rss_with_its_driver(void)
{
	const uint8_t *data;
	struct rte_mbuf *m;

	TEST_EQ(ctrlq_open(FE_SPLIT, true), 0);
	TEST_EQ(ctrlq_send(rss_on, sizeof(rss_on)), VIRTIO_NET_OK);
	fe_close(&ctrlq_bench.fe);
	TEST_ASSERT(BECOMES(!weir_port_link(ctrlq_bench.port)));
	TEST_EQ(fe_connect(&ctrlq_bench.fe, ctrlq_bench.path, PAIRS + 1), 0);
	TEST_EQ(fe_features(&ctrlq_bench.fe, FE_SPLIT), 0);
	TEST_EQ(fe_share(&ctrlq_bench.fe), 0);
	for (unsigned int i = 0; i <= CTRL; i++)
		TEST_EQ(fe_ring_start(&ctrlq_bench.fe, i, FE_BASE_NEW), 0);
	fe_post(&ctrlq_bench.fe, 0);
	m = datagram(1, 1);
	TEST_EQ(weir_port_tx_steer(weir_port_txq(ctrlq_bench.port, 0), &m, 1), 1);
	TEST_EQ(buffer(0, 0, &data)->hash_report, VIRTIO_NET_HASH_REPORT_NONE);
	ctrlq_close();
	return TEST_OK;
}

static void
do_arm(void *nth)
{
	weir_fail_arm(*(unsigned int *)nth);
}

static void
do_armed(void *armed)
{
	*(bool *)armed = weir_fail_armed();
}

/* Whatever cannot be had: the command is refused, and all is as before. */
static enum test_result
port_refuses_rss_without_memory(void)
{
	const uint8_t *data;
	unsigned int nth, refused = 0;
	struct rte_mbuf *m;

	TEST_EQ(ctrlq_open(FE_SPLIT, true), 0);
	TEST_ASSERT(BECOMES(weir_port_link(ctrlq_bench.port)));
	fe_post(&ctrlq_bench.fe, 0);
	for (nth = 1;; nth++) {
		bool armed;
		int answer;

		/* fail points are each thread's own */
		ctl_run(do_arm, &nth);
		answer = ctrlq_send(rss_on, sizeof(rss_on));
		ctl_run(do_armed, &armed);
		if (armed) {
			TEST_EQ(answer, VIRTIO_NET_OK);
			break;
		}
		TEST_EQ(answer, VIRTIO_NET_ERR);
		TEST_ASSERT(ctrlq_pair_runs(0) && !ctrlq_pair_runs(1));
		m = datagram(1, 1);
		TEST_EQ(weir_port_tx_steer(weir_port_txq(ctrlq_bench.port, 0), &m, 1), 1);
		TEST_EQ(buffer(0, refused++, &data)->hash_report, 0);
	}
	ctl_run(do_arm, &(unsigned int){ 0 });
	TEST_ASSERT(ctrlq_pair_runs(1));
	/* two rings, and what is hashed by */
	TEST_ASSERT(refused >= 3);
	ctrlq_close();
	return TEST_OK;
}

/* Two lcores that send on each other's queues while the driver changes its mind. */
static _Atomic bool senders_end;

static void *
sender(void *arg)
{
	struct weir_queue *q = arg;
	uint8_t mark = 0;

	while (!atomic_load(&senders_end)) {
		struct rte_mbuf *pkts[8];
		uint16_t sent;

		for (unsigned int i = 0; i < RTE_DIM(pkts); i++, mark++)
			pkts[i] = datagram(mark, mark);
		sent = weir_port_tx_steer(q, pkts, RTE_DIM(pkts));
		rte_pktmbuf_free_bulk(&pkts[sent], RTE_DIM(pkts) - sent);
	}
	return NULL;
}

static enum test_result
steer_under_changes(uint64_t features)
{
	pthread_t t[PAIRS];
	unsigned int got = 0;
	uint8_t buf[65536];

	TEST_EQ(ctrlq_open(features, true), 0);
	TEST_ASSERT(BECOMES(weir_port_link(ctrlq_bench.port)));
	atomic_store(&senders_end, false);
	for (uint16_t i = 0; i < PAIRS; i++)
		TEST_EQ(pthread_create(&t[i], NULL, sender,
				       weir_port_txq(ctrlq_bench.port, i)),
			0);
	for (unsigned int round = 0; round < 200; round++) {
		for (unsigned int i = 0; i < PAIRS; i++) {
			while (fe_recv(&ctrlq_bench.fe, i, buf) != 0)
				got++;
			fe_post(&ctrlq_bench.fe, i);
		}
		TEST_EQ(ctrlq_send(round % 2 == 0 ? rss_on : (uint8_t[]){ 4, 0, 2, 0 },
				   round % 2 == 0 ? sizeof(rss_on) : 4),
			VIRTIO_NET_OK);
	}
	atomic_store(&senders_end, true);
	for (uint16_t i = 0; i < PAIRS; i++)
		pthread_join(t[i], NULL);
	ctrlq_close();
	TEST_EQ(rte_mempool_in_use_count(ctrlq_bench.pool), 0);
	TEST_ASSERT(got > 100);
	return TEST_OK;
}

static enum test_result
port_steers_while_wishes_change_split(void)
{
	return steer_under_changes(FE_SPLIT);
}

static enum test_result
port_steers_while_wishes_change_packed(void)
{
	return steer_under_changes(ALL);
}

static const struct test_case cases[] = {
	{ "port_spreads_by_rss", port_spreads_by_rss },
	{ "port_leaves_what_has_no_room", port_leaves_what_has_no_room },
	{ "port_sends_on_a_queue_that_is_used", port_sends_on_a_queue_that_is_used },
	{ "port_forgets_rss_with_its_driver", port_forgets_rss_with_its_driver },
	{ "port_refuses_rss_without_memory", port_refuses_rss_without_memory },
	{ "port_steers_while_wishes_change_split",
	  port_steers_while_wishes_change_split },
	{ "port_steers_while_wishes_change_packed",
	  port_steers_while_wishes_change_packed },
};

AUTOTEST_EAL(rss_autotest, cases);
