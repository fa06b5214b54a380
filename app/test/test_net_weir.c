/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_weir as an ethdev, asked through ethdev's own functions, with the frontend
 * of frontend.h behind it, all in one process and one thread.
 */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <linux/virtio_config.h>
#include <rte_bus_vdev.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_interrupts.h>

#include "eth_bench.h"
#include "test.h"
#include "weir_port.h"

#define EVENT_IDX (UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX)
#define PACKED (UINT64_C(1) << VIRTIO_F_RING_PACKED)

static enum test_result
queue_stopped_and_started_goes_on(void)
{
	const struct eth_conf conf = { .queues = 2 };
	struct rte_eth_rxq_info info;
	uint8_t buf[65536];
	struct eth_bench b;

	TEST_EQ(eth_open(&b, &conf), 0);
	TEST_EQ(fe_open(&b.fe, b.path, 2, UINT64_MAX), 0);
	TEST_ASSERT(eth_link_becomes(&b, true));
	for (unsigned int round = 0; round < 3; round++) {
		TEST_EQ(rte_eth_dev_rx_queue_stop(b.port, 0), 0);
		TEST_EQ(rte_eth_dev_tx_queue_stop(b.port, 0), 0);
		TEST_EQ(rte_eth_rx_queue_info_get(b.port, 0, &info), 0);
		TEST_EQ(info.queue_state, RTE_ETH_QUEUE_STATE_STOPPED);
		fe_post(&b.fe, 0);
		fe_post(&b.fe, 1);
		TEST_ASSERT(eth_guest_sends(&b, 0, 1) && eth_guest_sends(&b, 1, 2));
		/* the other pair goes on, and the guest's link does not flap */
		TEST_EQ(eth_host_receives(&b, 0), 0);
		TEST_EQ(eth_host_receives(&b, 1), 1);
		TEST_ASSERT(!eth_host_sends(&b, 0) && eth_host_sends(&b, 1));
		TEST_EQ(fe_recv(&b.fe, 1, buf), 60);
		TEST_ASSERT(eth_link_becomes(&b, true));
		TEST_EQ(rte_eth_dev_rx_queue_start(b.port, 0), 0);
		TEST_EQ(rte_eth_dev_tx_queue_start(b.port, 0), 0);
		TEST_EQ(rte_eth_rx_queue_info_get(b.port, 0, &info), 0);
		TEST_EQ(info.queue_state, RTE_ETH_QUEUE_STATE_STARTED);
		TEST_EQ(eth_host_receives(&b, 0), 1);
		TEST_ASSERT(eth_host_sends(&b, 0));
		TEST_EQ(fe_recv(&b.fe, 0, buf), 60);
	}
	TEST_EQ(eth_close(&b), 0);
	return TEST_OK;
}

static enum test_result
queue_deferred_waits_for_its_start(void)
{
	const struct eth_conf conf = { .queues = 2, .deferred = true };
	struct rte_eth_rxq_info rx;
	struct rte_eth_txq_info tx;
	struct eth_bench b;

	TEST_EQ(eth_open(&b, &conf), 0);
	TEST_EQ(fe_open(&b.fe, b.path, 2, UINT64_MAX), 0);
	TEST_ASSERT(eth_link_becomes(&b, true));
	fe_post(&b.fe, 1);
	TEST_ASSERT(eth_guest_sends(&b, 1, 1));
	TEST_EQ(eth_host_receives(&b, 1), 0);
	TEST_ASSERT(!eth_host_sends(&b, 1));
	TEST_EQ(rte_eth_rx_queue_info_get(b.port, 1, &rx), 0);
	TEST_EQ(rx.queue_state, RTE_ETH_QUEUE_STATE_STOPPED);
	TEST_ASSERT(rx.conf.rx_deferred_start && rx.mp == eth_pool && rx.scattered_rx);
	TEST_EQ(rx.nb_desc, 128);
	TEST_EQ(rte_eth_tx_queue_info_get(b.port, 1, &tx), 0);
	TEST_EQ(tx.queue_state, RTE_ETH_QUEUE_STATE_STOPPED);
	TEST_ASSERT(tx.conf.tx_deferred_start);
	TEST_EQ(tx.nb_desc, 64);
	TEST_EQ(rte_eth_dev_rx_queue_start(b.port, 1), 0);
	TEST_EQ(rte_eth_dev_tx_queue_start(b.port, 1), 0);
	TEST_EQ(eth_host_receives(&b, 1), 1);
	TEST_ASSERT(eth_host_sends(&b, 1));
	/* and again with the port's next start */
	TEST_EQ(rte_eth_dev_stop(b.port), 0);
	TEST_EQ(rte_eth_dev_start(b.port), 0);
	TEST_ASSERT(eth_guest_sends(&b, 1, 2));
	TEST_EQ(eth_host_receives(&b, 1), 0);
	TEST_EQ(eth_close(&b), 0);
	return TEST_OK;
}

/* Queues of an earlier configuration, which nobody polls, take nothing. */
static enum test_result
queue_beyond_the_configured_ones_rests(void)
{
	const struct eth_conf conf = { .queues = 2 };
	const struct rte_eth_conf eth = { 0 };
	struct rte_eth_link link;
	struct eth_bench b;

	TEST_EQ(eth_open(&b, &conf), 0);
	TEST_EQ(fe_open(&b.fe, b.path, 2, UINT64_MAX), 0);
	TEST_ASSERT(eth_link_becomes(&b, true));
	TEST_EQ(rte_eth_dev_stop(b.port), 0);
	TEST_EQ(rte_eth_link_get_nowait(b.port, &link), 0);
	TEST_EQ(link.link_status, RTE_ETH_LINK_DOWN);
	b.queues = 1;
	TEST_EQ(rte_eth_dev_configure(b.port, 1, 1, &eth), 0);
	TEST_EQ(eth_queues_setup(&b, &conf), 0);
	TEST_EQ(rte_eth_dev_start(b.port), 0);
	TEST_ASSERT(eth_link_becomes(&b, true));
	TEST_ASSERT(eth_guest_sends(&b, 0, 1) && eth_guest_sends(&b, 1, 1));
	TEST_EQ(eth_host_receives(&b, 0), 1);
	TEST_EQ(fe_reap(&b.fe, 0), 1);
	TEST_EQ(fe_reap(&b.fe, 1), 0);
	TEST_EQ(eth_close(&b), 0);
	return TEST_OK;
}

/* An epoll descriptor of ours with the interrupt of queue 0 in it. */
static int
sleeper(const struct eth_bench *b)
{
	int ep = rte_intr_tls_epfd();

	return rte_eth_dev_rx_intr_ctl_q(b->port, 0, ep, RTE_INTR_EVENT_ADD, NULL) == 0
		       ? ep
		       : -1;
}

/* True if a thread that sleeps now is woken; it looks for up to @p ms. */
static bool
wakes(int ep, int ms)
{
	struct rte_epoll_event e;

	return rte_epoll_wait(ep, &e, 1, ms) == 1;
}

static enum test_result
sleep_and_wake(uint64_t features)
{
	const struct eth_conf conf = { .queues = 1, .intr = true };
	struct eth_bench b;
	int ep;

	TEST_EQ(eth_open(&b, &conf), 0);
	ep = sleeper(&b);
	TEST_ASSERT(ep >= 0);
	/* a guest that comes wakes who sleeps before there is one */
	TEST_EQ(rte_eth_dev_rx_intr_enable(b.port, 0), 0);
	TEST_ASSERT(!wakes(ep, 0));
	TEST_EQ(fe_open(&b.fe, b.path, 1, features), 0);
	TEST_ASSERT(wakes(ep, 5000));
	TEST_ASSERT(eth_link_becomes(&b, true));
	for (unsigned int round = 0; round < 200; round++) {
		/* armed before the frame */
		TEST_EQ(rte_eth_dev_rx_intr_enable(b.port, 0), 0);
		TEST_ASSERT(!wakes(ep, 0));
		TEST_ASSERT(eth_guest_sends(&b, 0, 1));
		TEST_ASSERT(wakes(ep, 5000));
		TEST_EQ(rte_eth_dev_rx_intr_disable(b.port, 0), 0);
		TEST_EQ(rte_eth_rx_queue_count(b.port, 0), 1);
		TEST_EQ(eth_host_receives(&b, 0), 1);
		/* and after it, when no kick comes any more */
		TEST_ASSERT(eth_guest_sends(&b, 0, 2));
		TEST_EQ(rte_eth_dev_rx_intr_enable(b.port, 0), 0);
		TEST_ASSERT(wakes(ep, 5000));
		TEST_EQ(rte_eth_dev_rx_intr_disable(b.port, 0), 0);
		TEST_EQ(eth_host_receives(&b, 0), 1);
	}
	/* the next guest is as good */
	fe_close(&b.fe);
	TEST_ASSERT(eth_link_becomes(&b, false));
	TEST_EQ(rte_eth_dev_rx_intr_enable(b.port, 0), 0);
	TEST_ASSERT(!wakes(ep, 0));
	TEST_EQ(fe_open(&b.fe, b.path, 1, features), 0);
	TEST_ASSERT(wakes(ep, 5000));
	TEST_EQ(rte_eth_dev_rx_intr_enable(b.port, 0), 0);
	TEST_ASSERT(eth_guest_sends(&b, 0, 3));
	TEST_ASSERT(wakes(ep, 5000));
	TEST_EQ(eth_host_receives(&b, 0), 1);
	TEST_EQ(eth_close(&b), 0);
	return TEST_OK;
}

static enum test_result
sleeper_woken_by_flags(void)
{
	return sleep_and_wake(~(EVENT_IDX | PACKED));
}

static enum test_result
sleeper_woken_by_event_index(void)
{
	return sleep_and_wake(~PACKED);
}

static enum test_result
sleeper_woken_by_packed_ring(void)
{
	return sleep_and_wake(UINT64_MAX);
}

/* While it polls, the guest is spared its kicks. */
static enum test_result
poller_gets_no_kicks(void)
{
	const struct eth_conf conf = { .queues = 1, .intr = true };
	struct eth_bench b;
	struct pollfd p;

	TEST_EQ(eth_open(&b, &conf), 0);
	TEST_EQ(fe_open(&b.fe, b.path, 1, ~(EVENT_IDX | PACKED)), 0);
	TEST_ASSERT(eth_link_becomes(&b, true));
	TEST_EQ(rte_eth_dev_rx_intr_enable(b.port, 0), 0);
	TEST_EQ(rte_eth_dev_rx_intr_disable(b.port, 0), 0);
	TEST_ASSERT(eth_guest_sends(&b, 0, 1));
	p = (struct pollfd){ .fd = b.fe.ring[1].kick, .events = POLLIN };
	TEST_EQ(poll(&p, 1, 0), 0);
	TEST_EQ(eth_host_receives(&b, 0), 1);
	TEST_EQ(eth_close(&b), 0);
	return TEST_OK;
}

/* A guest that cannot kick: whoever relies on kicks must not fall asleep. */
static enum test_result
sleeper_without_kicks_stays_awake(void)
{
	const struct eth_conf conf = { .queues = 1, .intr = true };
	const uint64_t no_fd = 1 | WEIR_VHOST_RING_NOFD;
	struct eth_bench b;
	int ep;

	TEST_EQ(eth_open(&b, &conf), 0);
	TEST_EQ(fe_open(&b.fe, b.path, 1, UINT64_MAX), 0);
	TEST_ASSERT(eth_link_becomes(&b, true));
	TEST_EQ(fe_msg_ack(&b.fe, WEIR_VHOST_SET_VRING_KICK, &no_fd, sizeof(no_fd), NULL,
			   0),
		0);
	ep = sleeper(&b);
	TEST_ASSERT(ep >= 0);
	for (int i = 0; i < 3; i++) {
		TEST_EQ(rte_eth_dev_rx_intr_enable(b.port, 0), 0);
		TEST_ASSERT(wakes(ep, 5000));
		TEST_EQ(rte_eth_dev_rx_intr_disable(b.port, 0), 0);
	}
	TEST_EQ(eth_close(&b), 0);
	return TEST_OK;
}

/* What rte_power_monitor() asks before it sleeps. */
static bool
may_sleep(const struct rte_power_monitor_cond *pmc)
{
	return pmc->fn(*(volatile uint64_t *)pmc->addr, pmc->opaque) == 0;
}

static enum test_result
monitored_address_changes(void)
{
	const struct eth_conf conf = { .queues = 2 };
	struct rte_power_monitor_cond pmc;
	struct eth_bench b;

	TEST_EQ(eth_open(&b, &conf), 0);
	/* as rte_power_ethdev_pmgmt_queue_enable() asks whether there is one */
	TEST_EQ(rte_eth_dev_rx_queue_stop(b.port, 1), 0);
	TEST_EQ(rte_eth_get_monitor_addr(b.port, 1, &pmc), 0);
	TEST_EQ(pmc.size, sizeof(uint64_t));
	TEST_ASSERT(may_sleep(&pmc));
	TEST_EQ(rte_eth_dev_rx_queue_start(b.port, 1), 0);
	TEST_ASSERT(may_sleep(&pmc));
	for (unsigned int round = 0; round < 2; round++) {
		TEST_EQ(fe_open(&b.fe, b.path, 2, round == 0 ? ~PACKED : UINT64_MAX), 0);
		TEST_ASSERT(eth_link_becomes(&b, true));
		TEST_ASSERT(!may_sleep(&pmc));
		for (uint8_t i = 0; i < 100; i++) {
			TEST_EQ(rte_eth_get_monitor_addr(b.port, 1, &pmc), 0);
			TEST_ASSERT(may_sleep(&pmc));
			TEST_ASSERT(eth_guest_sends(&b, 0, i));
			TEST_EQ(eth_host_receives(&b, 0), 1);
			TEST_ASSERT(may_sleep(&pmc));
			TEST_ASSERT(eth_guest_sends(&b, 1, i));
			TEST_ASSERT(!may_sleep(&pmc));
			TEST_EQ(eth_host_receives(&b, 1), 1);
		}
		TEST_EQ(rte_eth_get_monitor_addr(b.port, 1, &pmc), 0);
		fe_close(&b.fe);
		TEST_ASSERT(eth_link_becomes(&b, false));
		/* there is still something to read */
		TEST_ASSERT(*(volatile uint64_t *)pmc.addr == 0);
	}
	TEST_EQ(eth_close(&b), 0);
	return TEST_OK;
}

/* What the callback was told, as bits. */
static _Atomic unsigned int told;

static int
queue_state_told(uint16_t port, enum rte_eth_event_type type, void *arg, void *ret)
{
	const struct weir_queue_event *ev = ret;

	RTE_SET_USED(port);
	RTE_SET_USED(type);
	RTE_SET_USED(arg);
	atomic_fetch_xor(&told, 1u << (2 * ev->pair + ev->rx));
	if (!ev->running)
		atomic_fetch_or(&told, 0x100u);
	return 0;
}

static bool
told_becomes(unsigned int want)
{
	for (int i = 0; i < 5000; i++) {
		if (atomic_load(&told) == want)
			return true;
		usleep(1000);
	}
	printf("    told %#x\n", atomic_load(&told));
	return false;
}

static enum test_result
queue_state_event_says_which(void)
{
	const struct eth_conf conf = { .queues = 2 };
	struct eth_bench b;

	atomic_store(&told, 0);
	TEST_EQ(eth_open(&b, &conf), 0);
	TEST_EQ(rte_eth_dev_callback_register(b.port, RTE_ETH_EVENT_QUEUE_STATE,
					      queue_state_told, NULL),
		0);
	TEST_EQ(fe_open(&b.fe, b.path, 2, UINT64_MAX), 0);
	TEST_ASSERT(told_becomes(0xf));
	TEST_EQ(rte_eth_dev_rx_queue_stop(b.port, 1), 0);
	TEST_ASSERT(told_becomes(0x107));
	fe_close(&b.fe);
	TEST_ASSERT(told_becomes(0x100));
	TEST_EQ(rte_eth_dev_callback_unregister(b.port, RTE_ETH_EVENT_QUEUE_STATE,
						queue_state_told, NULL),
		0);
	TEST_EQ(eth_close(&b), 0);
	return TEST_OK;
}

static enum test_result
device_says_what_it_is(void)
{
	const struct eth_conf conf = { .args = ",mac=02:11:22:33:44:55", .queues = 1 };
	const uint8_t mac[] = { 0x02, 0x11, 0x22, 0x33, 0x44, 0x55 };
	struct rte_ether_addr addr;
	struct rte_eth_burst_mode mode;
	struct rte_eth_dev_info info;
	uint16_t mtu;
	struct eth_bench b;

	TEST_EQ(eth_open(&b, &conf), 0);
	TEST_EQ(rte_eth_macaddr_get(b.port, &addr), 0);
	TEST_ASSERT(memcmp(&addr, mac, sizeof(mac)) == 0);
	addr.addr_bytes[5] = 0x66;
	TEST_EQ(rte_eth_dev_default_mac_addr_set(b.port, &addr), 0);
	TEST_EQ(rte_eth_dev_info_get(b.port, &info), 0);
	TEST_EQ(info.max_rx_pktlen, WEIR_PORT_MAX_FRAME);
	TEST_EQ(info.min_rx_bufsize, RTE_ETHER_HDR_LEN);
	TEST_EQ(info.max_rx_queues, 1);
	TEST_EQ(rte_eth_dev_set_mtu(b.port, 9000), 0);
	TEST_EQ(rte_eth_dev_get_mtu(b.port, &mtu), 0);
	TEST_EQ(mtu, 9000);
	TEST_EQ(rte_eth_dev_set_mtu(b.port, 65535), 0);
	TEST_EQ(rte_eth_dev_set_mtu(b.port, 60), -EINVAL);
	TEST_EQ(rte_eth_rx_burst_mode_get(b.port, 0, &mode), 0);
	TEST_ASSERT(strcmp(mode.info, "copies by CPU") == 0);
	TEST_EQ(rte_eth_tx_burst_mode_get(b.port, 0, &mode), 0);
	TEST_ASSERT(strcmp(mode.info, "copies by CPU") == 0);
	TEST_EQ(rte_eth_promiscuous_enable(b.port), 0);
	TEST_EQ(rte_eth_allmulticast_enable(b.port), 0);
	TEST_EQ(rte_eth_tx_done_cleanup(b.port, 0, 0), 0);
	TEST_EQ(eth_close(&b), 0);
	return TEST_OK;
}

/* Descriptors of both sides: kick and call of each ring, and copies of them. */
#define NR_FILES 4096u

/* As many queues as the protocol can number, the last of which work. */
static enum test_result
queues_as_many_as_there_can_be(void)
{
	const struct eth_conf conf = { .queues = WEIR_PORT_MAX_PAIRS };
	struct rte_eth_xstat_name names[8192];
	struct rlimit files;
	static struct eth_bench b;
	uint8_t buf[65536];
	uint64_t id, value;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_max < NR_FILES)
		return test_skip("4096 descriptors needed");
	files.rlim_cur = RTE_MAX(files.rlim_cur, (rlim_t)NR_FILES);
	TEST_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
	TEST_EQ(eth_open(&b, &conf), 0);
	TEST_EQ(fe_open(&b.fe, b.path, conf.queues, UINT64_MAX), 0);
	TEST_ASSERT(eth_link_becomes(&b, true));
	for (uint16_t q = 0; q < conf.queues; q++) {
		fe_post(&b.fe, q);
		TEST_ASSERT(eth_guest_sends(&b, q, 1) && eth_host_sends(&b, q));
		TEST_EQ(eth_host_receives(&b, q), 1);
		TEST_EQ(fe_recv(&b.fe, q, buf), 60);
	}
	TEST_EQ(rte_eth_xstats_get_id_by_name(b.port, "tx_q127_packets", &id), 0);
	TEST_EQ(rte_eth_xstats_get_by_id(b.port, &id, &value, 1), 1);
	TEST_EQ(value, 1);
	TEST_ASSERT(rte_eth_xstats_get_names(b.port, names, RTE_DIM(names)) >
		    18 * conf.queues);
	TEST_EQ(eth_close(&b), 0);
	return TEST_OK;
}

static enum test_result
xstats_asked_for_by_id(void)
{
	const struct eth_conf conf = { .queues = 1 };
	uint64_t id, value;
	struct eth_bench b;

	TEST_EQ(eth_open(&b, &conf), 0);
	TEST_EQ(fe_open(&b.fe, b.path, 1, UINT64_MAX), 0);
	TEST_ASSERT(eth_link_becomes(&b, true));
	for (int i = 0; i < 3; i++)
		TEST_ASSERT(eth_guest_sends(&b, 0, 1));
	TEST_EQ(eth_host_receives(&b, 0), 3);
	TEST_EQ(rte_eth_xstats_get_id_by_name(b.port, "rx_q0_packets", &id), 0);
	TEST_EQ(rte_eth_xstats_get_by_id(b.port, &id, &value, 1), 1);
	TEST_EQ(value, 3);
	TEST_EQ(rte_eth_xstats_reset(b.port), 0);
	TEST_EQ(rte_eth_xstats_get_by_id(b.port, &id, &value, 1), 1);
	TEST_EQ(value, 0);
	TEST_EQ(eth_close(&b), 0);
	return TEST_OK;
}

/* Taken out while its guest is there and sends. */
static enum test_result
device_removed_under_its_guest(void)
{
	const struct eth_conf conf = { .queues = 1, .intr = true };
	struct eth_bench b;

	for (int round = 0; round < 5; round++) {
		TEST_EQ(eth_open(&b, &conf), 0);
		TEST_ASSERT(sleeper(&b) >= 0);
		TEST_EQ(fe_open(&b.fe, b.path, 1, UINT64_MAX), 0);
		TEST_ASSERT(eth_link_becomes(&b, true));
		for (int i = 0; i < 10; i++)
			TEST_ASSERT(eth_guest_sends(&b, 0, 1));
		TEST_EQ(eth_host_receives(&b, 0), 10);
		TEST_EQ(rte_eth_dev_rx_intr_enable(b.port, 0), 0);
		TEST_ASSERT(eth_guest_sends(&b, 0, 1));
		TEST_EQ(rte_vdev_uninit(ETH_NAME), 0);
		TEST_EQ(rte_eth_dev_get_port_by_name(ETH_NAME, &b.port), -ENODEV);
		TEST_EQ(eth_close(&b), 0);
	}
	return TEST_OK;
}

static const struct test_case cases[] = {
	{ "queue_stopped_and_started_goes_on", queue_stopped_and_started_goes_on },
	{ "queue_deferred_waits_for_its_start", queue_deferred_waits_for_its_start },
	{ "queue_beyond_the_configured_ones_rests",
	  queue_beyond_the_configured_ones_rests },
	{ "queue_state_event_says_which", queue_state_event_says_which },
	{ "sleeper_woken_by_flags", sleeper_woken_by_flags },
	{ "sleeper_woken_by_event_index", sleeper_woken_by_event_index },
	{ "sleeper_woken_by_packed_ring", sleeper_woken_by_packed_ring },
	{ "sleeper_without_kicks_stays_awake", sleeper_without_kicks_stays_awake },
	{ "poller_gets_no_kicks", poller_gets_no_kicks },
	{ "monitored_address_changes", monitored_address_changes },
	{ "device_says_what_it_is", device_says_what_it_is },
	{ "queues_as_many_as_there_can_be", queues_as_many_as_there_can_be },
	{ "xstats_asked_for_by_id", xstats_asked_for_by_id },
	{ "device_removed_under_its_guest", device_removed_under_its_guest },
};

AUTOTEST_EAL(net_weir_autotest, cases);
