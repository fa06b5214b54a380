/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include <rte_bus_vdev.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "test.h"

#define BURST 32

static struct rte_mempool *pool;

/* One queue each way. Returns the port, or -errno with nothing left behind. */
static int
port_open(const char *name, const char *args)
{
	struct rte_eth_conf conf = {
		.rxmode.offloads = RTE_ETH_RX_OFFLOAD_SCATTER,
	};
	uint16_t port;
	int ret;

	if (pool == NULL)
		pool = rte_pktmbuf_pool_create("gen_test", 1023, 0, 0,
					       RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (pool == NULL)
		return -ENOMEM;
	ret = rte_vdev_init(name, args);
	if (ret != 0)
		return ret;
	ret = rte_eth_dev_get_port_by_name(name, &port);
	if (ret == 0)
		ret = rte_eth_dev_configure(port, 1, 1, &conf);
	if (ret == 0)
		ret = rte_eth_rx_queue_setup(port, 0, 64, SOCKET_ID_ANY, NULL, pool);
	if (ret == 0)
		ret = rte_eth_tx_queue_setup(port, 0, 64, SOCKET_ID_ANY, NULL);
	if (ret == 0)
		ret = rte_eth_dev_start(port);
	if (ret != 0) {
		rte_vdev_uninit(name);
		return ret;
	}
	return port;
}

static void
port_close(int port)
{
	char name[RTE_ETH_NAME_MAX_LEN];

	rte_eth_dev_get_name_by_port((uint16_t)port, name);
	rte_eth_dev_stop((uint16_t)port);
	rte_vdev_uninit(name);
}

static uint64_t
xstat(int port, const char *name)
{
	uint64_t id, value;

	if (rte_eth_xstats_get_id_by_name((uint16_t)port, name, &id) != 0 ||
	    rte_eth_xstats_get_by_id((uint16_t)port, &id, &value, 1) != 1)
		return UINT64_MAX;
	return value;
}

static uint16_t
receive(int port, struct rte_mbuf **pkts)
{
	return rte_eth_rx_burst((uint16_t)port, 0, pkts, BURST);
}

static void
deliver(int port, struct rte_mbuf **pkts, uint16_t nr)
{
	rte_eth_tx_burst((uint16_t)port, 0, pkts, nr);
}

static enum test_result
gen_window_full_waits_for_ack(void)
{
	struct rte_mbuf *pkts[BURST];
	int port = port_open("net_wgen0", "window=8,timeout_ms=60000");

	TEST_ASSERT(port >= 0);
	TEST_EQ(receive(port, pkts), 8);
	TEST_EQ(rte_mempool_in_use_count(pool), 8);
	/* its own peer: what it sent is acknowledged by what it sends next */
	deliver(port, pkts, 8);
	TEST_EQ(receive(port, pkts), 1); /* there is news, beyond the window */
	deliver(port, pkts, 1);
	TEST_EQ(receive(port, pkts), 7); /* 8 are known to have arrived */
	deliver(port, pkts, 7);
	TEST_EQ(xstat(port, "gen_tx"), 16);
	TEST_EQ(xstat(port, "gen_rx_ok"), 16);
	TEST_EQ(xstat(port, "gen_window_resets"), 0);
	port_close(port);
	TEST_EQ(rte_mempool_in_use_count(pool), 0);
	return TEST_OK;
}

/* Both fill their windows before either hears of the other. */
static enum test_result
gen_two_full_windows_go_on(void)
{
	struct rte_mbuf *a_pkts[BURST], *b_pkts[BURST];
	int a = port_open("net_wgen0", "window=8,timeout_ms=60000");
	int b = port_open("net_wgen1", "window=8,timeout_ms=60000,size=imix");

	TEST_ASSERT(a >= 0 && b >= 0);
	for (unsigned int i = 0; i < 1000; i++) {
		uint16_t nr_a = receive(a, a_pkts), nr_b = receive(b, b_pkts);

		TEST_ASSERT(nr_a != 0 && nr_b != 0);
		deliver(b, a_pkts, nr_a);
		deliver(a, b_pkts, nr_b);
	}
	TEST_EQ(xstat(a, "gen_rx_ok"), xstat(b, "gen_tx"));
	TEST_EQ(xstat(b, "gen_rx_ok"), xstat(a, "gen_tx"));
	TEST_ASSERT(xstat(a, "gen_tx") > 4000);
	TEST_EQ(xstat(a, "gen_window_resets") + xstat(b, "gen_window_resets"), 0);
	port_close(a);
	port_close(b);
	return TEST_OK;
}

static enum test_result
gen_lost_window_given_up(void)
{
	struct rte_mbuf *pkts[BURST];
	int port = port_open("net_wgen0", "window=8,timeout_ms=1");

	TEST_ASSERT(port >= 0);
	TEST_EQ(receive(port, pkts), 8);
	rte_pktmbuf_free_bulk(pkts, 8);
	rte_delay_us_sleep(2000);
	TEST_EQ(receive(port, pkts), 8);
	TEST_EQ(xstat(port, "gen_window_resets"), 1);
	deliver(port, pkts, 8);
	TEST_EQ(xstat(port, "gen_rx_ok"), 8);
	port_close(port);
	return TEST_OK;
}

static enum test_result
gen_mishaps_counted_apart(void)
{
	struct rte_mbuf *pkts[BURST];
	int port = port_open("net_wgen0", "window=0,size=200");

	TEST_ASSERT(port >= 0);
	TEST_EQ(receive(port, pkts), BURST);
	/* 0 to 9 as they are; 10 and 11 lost; 13 before 12; 14 twice */
	deliver(port, pkts, 10);
	rte_pktmbuf_free_bulk(pkts + 10, 2);
	deliver(port, pkts + 13, 1);
	TEST_EQ(xstat(port, "gen_rx_lost"), 3);
	deliver(port, pkts + 12, 1);
	TEST_EQ(xstat(port, "gen_rx_lost"), 2);
	rte_mbuf_refcnt_update(pkts[14], 1);
	deliver(port, pkts + 14, 1);
	deliver(port, pkts + 14, 1);
	/* 15 damaged, 16 something else, the rest good */
	rte_pktmbuf_mtod(pkts[15], uint8_t *)[199] ^= 0x80;
	memset(rte_pktmbuf_mtod(pkts[16], void *), 0xff, 200);
	deliver(port, pkts + 15, BURST - 15);
	TEST_EQ(xstat(port, "gen_tx"), BURST);
	TEST_EQ(xstat(port, "gen_rx_ok"), BURST - 4);
	TEST_EQ(xstat(port, "gen_rx_lost"), 4);
	TEST_EQ(xstat(port, "gen_rx_reordered"), 1);
	TEST_EQ(xstat(port, "gen_rx_dup"), 1);
	TEST_EQ(xstat(port, "gen_rx_corrupt"), 1);
	TEST_EQ(xstat(port, "gen_rx_foreign"), 1);
	TEST_EQ(xstat(port, "gen_rx_restarts"), 0);
	TEST_EQ(rte_eth_xstats_reset((uint16_t)port), 0);
	TEST_EQ(xstat(port, "gen_rx_ok") + xstat(port, "gen_tx"), 0);
	port_close(port);
	return TEST_OK;
}

/* Paused it makes nothing, and still checks what comes. */
static enum test_result
gen_paused_drains(void)
{
	struct rte_mbuf *pkts[BURST], *more[BURST];
	int port = port_open("net_wgen0", "window=0,start=0");

	TEST_ASSERT(port >= 0);
	TEST_EQ(receive(port, pkts), 0);
	TEST_EQ(rte_eth_dev_set_link_up((uint16_t)port), 0);
	TEST_EQ(receive(port, pkts), BURST);
	TEST_EQ(rte_eth_dev_set_link_down((uint16_t)port), 0);
	TEST_EQ(receive(port, more), 0);
	deliver(port, pkts, BURST);
	TEST_EQ(xstat(port, "gen_rx_ok"), BURST);
	TEST_EQ(xstat(port, "gen_tx"), BURST);
	port_close(port);
	return TEST_OK;
}

static enum test_result
gen_count_reached_stops(void)
{
	struct rte_mbuf *pkts[BURST];
	int port = port_open("net_wgen0", "window=0,count=40,streams=3,size=9000");

	TEST_ASSERT(port >= 0);
	TEST_EQ(receive(port, pkts), 32);
	for (unsigned int i = 0; i < 32; i++) {
		TEST_EQ(pkts[i]->pkt_len, 9000);
		TEST_EQ(pkts[i]->nb_segs, 5);
		TEST_EQ(rte_mbuf_check(pkts[i], 1, &(const char *){ NULL }), 0);
	}
	deliver(port, pkts, 32);
	TEST_EQ(receive(port, pkts), 8);
	deliver(port, pkts, 8);
	TEST_EQ(receive(port, pkts), 0);
	TEST_EQ(xstat(port, "gen_rx_ok"), 40);
	port_close(port);
	TEST_EQ(rte_mempool_in_use_count(pool), 0);
	return TEST_OK;
}

/* Chains for which the pool does not suffice are given back whole. */
static enum test_result
gen_pool_empty_counted(void)
{
	struct rte_mbuf *pkts[1023], *hold[1023];
	int port = port_open("net_wgen0", "window=0,size=9000");
	struct rte_eth_stats stats;

	TEST_ASSERT(port >= 0);
	TEST_EQ(rte_pktmbuf_alloc_bulk(pool, hold, 1010), 0);
	TEST_EQ(receive(port, pkts), 2);
	TEST_EQ(rte_mempool_avail_count(pool), 3);
	TEST_EQ(rte_eth_stats_get((uint16_t)port, &stats), 0);
	TEST_EQ(stats.rx_nombuf, BURST - 2);
	rte_pktmbuf_free_bulk(hold, 1010);
	deliver(port, pkts, 2);
	TEST_EQ(xstat(port, "gen_rx_ok"), 2);
	port_close(port);
	return TEST_OK;
}

static enum test_result
gen_bad_arguments_refused(void)
{
	static const char *const bad[] = {
		"size=59",   "size=9001",  "size=100-99", "size=60-", "size=big",
		"streams=0", "streams=17", "yield=2",	  "window",   "nonsense=1",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int port = port_open("net_wgen0", bad[i]);

		if (port >= 0)
			printf("    took %s\n", bad[i]);
		TEST_ASSERT(port < 0);
	}
	TEST_EQ(rte_eth_dev_count_avail(), 0);
	return TEST_OK;
}

static const struct test_case gen_dev_cases[] = {
	{ "gen_window_full_waits_for_ack", gen_window_full_waits_for_ack },
	{ "gen_two_full_windows_go_on", gen_two_full_windows_go_on },
	{ "gen_lost_window_given_up", gen_lost_window_given_up },
	{ "gen_mishaps_counted_apart", gen_mishaps_counted_apart },
	{ "gen_paused_drains", gen_paused_drains },
	{ "gen_count_reached_stops", gen_count_reached_stops },
	{ "gen_pool_empty_counted", gen_pool_empty_counted },
	{ "gen_bad_arguments_refused", gen_bad_arguments_refused },
};
AUTOTEST_EAL(gen_dev_autotest, gen_dev_cases);
