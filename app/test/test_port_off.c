/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rings that a guest has turned off while its device runs: what it has sent there is
 * given back unread.
 */
#include <string.h>

#include <linux/virtio_net.h>
#include <rte_cycles.h>

#include "ctrlq_bench.h"
#include "port_bench.h"
#include "test.h"

#define LEN 200u
#define PERIODS_US 100000u /* of looking after rings that are off: some */

static const uint8_t one_pair[] = { 4, 0, 1, 0 }, two_pairs[] = { 4, 0, 2, 0 };

static struct fe *const fe = &ctrlq_bench.fe;

static enum test_result
enable(uint32_t first, uint32_t last, bool on)
{
	for (uint32_t i = first; i <= last; i++) {
		const struct vhost_vring_state state = { i, on };

		TEST_EQ(fe_msg_ack(fe, WEIR_VHOST_SET_VRING_ENABLE, &state, sizeof(state),
				   NULL, 0),
			0);
	}
	return TEST_OK;
}

/* Two pairs that run. */
static enum test_result
guest_open(uint64_t features)
{
	TEST_EQ(ctrlq_open(features, false), 0);
	TEST_ASSERT(BECOMES(weir_port_link(ctrlq_bench.port)));
	TEST_EQ(ctrlq_send(two_pairs, sizeof(two_pairs)), VIRTIO_NET_OK);
	TEST_ASSERT(BECOMES(ctrlq_pair_runs(1)));
	return TEST_OK;
}

/* Frames in all shapes, on the second pair. */
static enum test_result
send(uint32_t first, uint32_t nr)
{
	static const enum fe_shape shapes[] = { FE_ONE, FE_TWO, FE_SCATTERED,
						FE_INDIRECT };
	uint8_t buf[LEN];

	for (uint32_t i = 0; i < nr; i++) {
		fill(buf, sizeof(buf), first + i);
		TEST_ASSERT(fe_send(fe, 1, buf, sizeof(buf), shapes[i % 4]));
	}
	return TEST_OK;
}

static enum test_result
receive(uint32_t first, uint32_t nr)
{
	struct weir_queue *rxq = weir_port_rxq(ctrlq_bench.port, 1);
	struct rte_mbuf *m;

	for (uint32_t i = 0; i < nr; i++) {
		m = NULL;
		TEST_ASSERT(BECOMES(m != NULL || weir_port_rx_burst(rxq, &m, 1) == 1));
		TEST_EQ(m->pkt_len, LEN);
		TEST_ASSERT(filled(rte_pktmbuf_mtod(m, uint8_t *), LEN, first + i));
		rte_pktmbuf_free(m);
	}
	return TEST_OK;
}

static enum test_result
given_back(uint32_t nr, uint64_t dropped)
{
	struct weir_queue *rxq = weir_port_rxq(ctrlq_bench.port, 1);
	struct weir_queue_stats stats;
	struct rte_mbuf *m;
	uint32_t got = 0;

	TEST_ASSERT(BECOMES((got += fe_reap(fe, 1)) == nr));
	TEST_EQ(weir_port_rx_burst(rxq, &m, 1), 0);
	/* it is counted behind the guest's back */
	TEST_ASSERT(
		BECOMES((weir_queue_stats_get(rxq, &stats), stats.dropped == dropped)));
	return TEST_OK;
}

static enum test_result
turn(bool by_command, bool on)
{
	if (!by_command)
		return enable(2, 3, on);
	TEST_EQ(on ? ctrlq_send(two_pairs, sizeof(two_pairs))
		   : ctrlq_send(one_pair, sizeof(one_pair)),
		VIRTIO_NET_OK);
	return TEST_OK;
}

static enum test_result
pair_off(uint64_t features, bool by_command)
{
	TEST_EQ(guest_open(features), TEST_OK);
	for (uint32_t round = 0; round < 3; round++) {
		TEST_EQ(send(0, 6), TEST_OK);
		TEST_EQ(turn(by_command, false), TEST_OK);
		TEST_EQ(given_back(6, 16 * round + 6), TEST_OK);
		/* it has not noticed */
		TEST_EQ(send(0, 10), TEST_OK);
		TEST_EQ(given_back(10, 16 * round + 16), TEST_OK);
		TEST_EQ(turn(by_command, true), TEST_OK);
		TEST_ASSERT(BECOMES(ctrlq_pair_runs(1)));
		TEST_EQ(send(100 * round, 8), TEST_OK);
		TEST_EQ(receive(100 * round, 8), TEST_OK);
		TEST_EQ(fe_reap(fe, 1), 8);
	}
	ctrlq_close();
	return TEST_OK;
}

static enum test_result
pair_disabled_is_emptied(void)
{
	return pair_off(FE_SPLIT, false);
}

static enum test_result
pair_disabled_is_emptied_packed(void)
{
	return pair_off(UINT64_MAX, false);
}

static enum test_result
pair_out_of_use_is_emptied(void)
{
	return pair_off(FE_SPLIT, true);
}

static enum test_result
pair_out_of_use_is_emptied_packed(void)
{
	return pair_off(UINT64_MAX, true);
}

/* All rings are off: it goes on later, and nothing is lost. */
static enum test_result
device_stopped_keeps_what_it_has(void)
{
	TEST_EQ(guest_open(FE_SPLIT), TEST_OK);
	TEST_EQ(send(0, 6), TEST_OK);
	TEST_EQ(enable(0, 3, false), TEST_OK);
	rte_delay_us_sleep(PERIODS_US);
	TEST_EQ(fe_reap(fe, 1), 0);
	TEST_EQ(enable(0, 3, true), TEST_OK);
	TEST_EQ(receive(0, 6), TEST_OK);
	ctrlq_close();
	return TEST_OK;
}

/* What the application has stopped is not the guest's doing. */
static enum test_result
queue_held_keeps_what_it_has(void)
{
	struct weir_port *p;

	TEST_EQ(guest_open(FE_SPLIT), TEST_OK);
	p = ctrlq_bench.port;
	TEST_EQ(weir_port_rxq_enable(p, 1, false), 0);
	TEST_EQ(send(0, 6), TEST_OK);
	rte_delay_us_sleep(PERIODS_US);
	TEST_EQ(fe_reap(fe, 1), 0);
	TEST_EQ(weir_port_rxq_enable(p, 1, true), 0);
	TEST_EQ(receive(0, 6), TEST_OK);
	ctrlq_close();
	return TEST_OK;
}

/* A ring that is broken stays for the burst that finds it. */
static enum test_result
ring_that_is_wrong_stays(void)
{
	TEST_EQ(guest_open(FE_SPLIT), TEST_OK);
	TEST_EQ(send(0, 3), TEST_OK);
	TEST_EQ(enable(2, 3, false), TEST_OK);
	TEST_EQ(given_back(3, 3), TEST_OK);
	fe->ring[3].avail->idx = (uint16_t)(fe->ring[3].avail->idx + 2 * FE_RING);
	rte_delay_us_sleep(PERIODS_US);
	TEST_EQ(fe_reap(fe, 1), 0);
	TEST_ASSERT(weir_port_link(ctrlq_bench.port));
	TEST_EQ(enable(2, 3, true), TEST_OK);
	TEST_ASSERT(BECOMES((weir_port_rx_burst(weir_port_rxq(ctrlq_bench.port, 1),
						(struct rte_mbuf *[1]){ NULL }, 1),
			     !weir_port_link(ctrlq_bench.port))));
	ctrlq_close();
	return TEST_OK;
}

static const struct test_case port_off_cases[] = {
	{ "pair_disabled_is_emptied", pair_disabled_is_emptied },
	{ "pair_disabled_is_emptied_packed", pair_disabled_is_emptied_packed },
	{ "pair_out_of_use_is_emptied", pair_out_of_use_is_emptied },
	{ "pair_out_of_use_is_emptied_packed", pair_out_of_use_is_emptied_packed },
	{ "device_stopped_keeps_what_it_has", device_stopped_keeps_what_it_has },
	{ "queue_held_keeps_what_it_has", queue_held_keeps_what_it_has },
	{ "ring_that_is_wrong_stays", ring_that_is_wrong_stays },
};
AUTOTEST_EAL(port_off_autotest, port_off_cases);
