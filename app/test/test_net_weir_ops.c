/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an application does to a net_weir device while its guest is there: the link is
 * unplugged, the device reset, VLAN tags stripped, queues stopped with copies under way.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <linux/virtio_net.h>
#include <ethdev_driver.h>
#include <rte_bus_vdev.h>
#include <rte_ether.h>

#include "eth_bench.h"
#include "test.h"
#include "weir_copy.h"

#define SPLIT FE_SPLIT
#define DMA "dma_weir_ops"

/* Frames pass both ways on queue 0. */
static bool
frames_pass(struct eth_bench *b)
{
	static uint8_t buf[65536];

	fe_post(&b->fe, 0);
	return eth_guest_sends(b, 0, 1) && eth_host_receives(b, 0) == 1 &&
	       eth_host_sends(b, 0) && fe_recv(&b->fe, 0, buf) == 60;
}

static enum test_result
link_unplugged_and_plugged_in(void)
{
	const struct eth_conf conf = { .queues = 1 };
	struct eth_bench b;

	TEST_EQ(eth_open(&b, &conf), 0);
	/* before there is a guest, too */
	TEST_EQ(rte_eth_dev_set_link_down(b.port), 0);
	TEST_EQ(fe_open(&b.fe, b.path, 1, SPLIT), 0);
	TEST_ASSERT(eth_link_becomes(&b, false));
	for (int round = 0; round < 3; round++) {
		fe_post(&b.fe, 0);
		TEST_ASSERT(eth_guest_sends(&b, 0, 1));
		TEST_EQ(eth_host_receives(&b, 0), 0);
		TEST_ASSERT(!eth_host_sends(&b, 0));
		TEST_EQ(rte_eth_dev_set_link_up(b.port), 0);
		TEST_ASSERT(eth_link_becomes(&b, true));
		/* the frame has waited */
		TEST_EQ(eth_host_receives(&b, 0), 1);
		TEST_ASSERT(frames_pass(&b));
		TEST_EQ(rte_eth_dev_set_link_down(b.port), 0);
		TEST_ASSERT(eth_link_becomes(&b, false));
	}
	/* a device comes up with its link */
	TEST_EQ(rte_eth_dev_stop(b.port), 0);
	TEST_EQ(rte_eth_dev_start(b.port), 0);
	TEST_ASSERT(eth_link_becomes(&b, true));
	TEST_ASSERT(frames_pass(&b));
	TEST_EQ(eth_close(&b), 0);
	return TEST_OK;
}

static enum test_result
device_reset_serves_the_next_guest(void)
{
	const struct eth_conf conf = { .queues = 2, .intr = true };
	const struct rte_eth_conf eth = { .intr_conf.rxq = 1 };
	struct rte_eth_stats stats;
	struct eth_bench b;

	TEST_EQ(eth_open(&b, &conf), 0);
	for (int round = 0; round < 3; round++) {
		TEST_EQ(fe_open(&b.fe, b.path, 2, SPLIT), 0);
		TEST_ASSERT(eth_link_becomes(&b, true));
		TEST_ASSERT(frames_pass(&b));
		TEST_EQ(rte_eth_dev_reset(b.port), 0);
		fe_close(&b.fe);
		TEST_ASSERT(eth_link_becomes(&b, false));
		/* nothing is left of what was set up */
		TEST_EQ(rte_eth_dev_start(b.port), -EINVAL);
		TEST_EQ(rte_eth_dev_configure(b.port, 2, 2, &eth), 0);
		TEST_EQ(eth_queues_setup(&b, &conf), 0);
		TEST_EQ(rte_eth_dev_start(b.port), 0);
		TEST_EQ(rte_eth_stats_get(b.port, &stats), 0);
		TEST_EQ(stats.ipackets, 0);
		TEST_EQ(rte_eth_dev_rx_intr_enable(b.port, 1), 0);
	}
	TEST_EQ(fe_open(&b.fe, b.path, 2, SPLIT), 0);
	TEST_ASSERT(eth_link_becomes(&b, true));
	TEST_ASSERT(frames_pass(&b));
	TEST_EQ(eth_close(&b), 0);
	return TEST_OK;
}

/* A tagged frame from the guest: its length here, and the tag if it was taken out. */
static bool
tagged_comes(struct eth_bench *b, uint32_t len, bool stripped)
{
	uint8_t frame[64] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0x21, 0x23 };
	const uint64_t flags = RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
	struct rte_mbuf *m;
	bool good;

	fe_reap(&b->fe, 0);
	if (!fe_send(&b->fe, 0, frame, sizeof(frame), FE_ONE) ||
	    rte_eth_rx_burst(b->port, 0, &m, 1) != 1)
		return false;
	good = m->pkt_len == len && (m->ol_flags & flags) == (stripped ? flags : 0) &&
	       (!stripped || m->vlan_tci == 0x2123);
	rte_pktmbuf_free(m);
	return good;
}

static enum test_result
vlan_strip_switched_under_traffic(void)
{
	const struct eth_conf conf = { .queues = 1 };
	struct rte_eth_burst_mode mode;
	struct eth_bench b;

	TEST_EQ(eth_open(&b, &conf), 0);
	TEST_EQ(fe_open(&b.fe, b.path, 1, SPLIT), 0);
	TEST_ASSERT(eth_link_becomes(&b, true));
	TEST_ASSERT(tagged_comes(&b, 64, false));
	for (int round = 0; round < 2; round++) {
		TEST_EQ(rte_eth_dev_set_vlan_offload(b.port, RTE_ETH_VLAN_STRIP_OFFLOAD),
			0);
		TEST_EQ(rte_eth_dev_get_vlan_offload(b.port), RTE_ETH_VLAN_STRIP_OFFLOAD);
		TEST_ASSERT(tagged_comes(&b, 60, true));
		TEST_EQ(rte_eth_rx_burst_mode_get(b.port, 0, &mode), 0);
		TEST_ASSERT(strstr(mode.info, "VLAN strip") != NULL);
		/* it stays across a stop */
		TEST_EQ(rte_eth_dev_stop(b.port), 0);
		TEST_EQ(rte_eth_dev_start(b.port), 0);
		TEST_ASSERT(tagged_comes(&b, 60, true));
		TEST_EQ(rte_eth_dev_set_vlan_offload(b.port, 0), 0);
		TEST_ASSERT(tagged_comes(&b, 64, false));
	}
	/* what there is not */
	TEST_EQ(rte_eth_dev_set_vlan_offload(b.port, RTE_ETH_VLAN_FILTER_OFFLOAD),
		-EINVAL);
	TEST_EQ(eth_close(&b), 0);
	return TEST_OK;
}

/* A queue whose copies outlast its stop, and which is started before they end. */
static enum test_result
queue_started_before_its_stop_came_about(void)
{
	const struct eth_conf conf = { .args = ",dmas=[rxq0@" DMA "]", .queues = 1 };
	struct eth_bench b;
	unsigned int n = 0;

	TEST_EQ(rte_vdev_init(DMA, "mode=thread,delay_us=2500000"), 0);
	weir_copy_set_watchdog(0);
	TEST_EQ(eth_open(&b, &conf), 0);
	TEST_EQ(fe_open(&b.fe, b.path, 1, SPLIT), 0);
	TEST_ASSERT(eth_link_becomes(&b, true));
	TEST_ASSERT(eth_guest_sends(&b, 0, 1));
	TEST_EQ(eth_host_receives(&b, 0), 0);
	TEST_EQ(rte_eth_dev_rx_queue_stop(b.port, 0), 0);
	TEST_EQ(eth_host_receives(&b, 0), 0);
	TEST_EQ(rte_eth_dev_rx_queue_start(b.port, 0), 0);
	TEST_ASSERT(eth_guest_sends(&b, 0, 2));
	for (int i = 0; i < 20000 && n != 2; i++) {
		n += eth_host_receives(&b, 0);
		usleep(1000);
	}
	TEST_EQ(n, 2);
	TEST_EQ(eth_close(&b), 0);
	rte_vdev_uninit(DMA);
	weir_copy_set_watchdog(500000);
	return TEST_OK;
}

/* A stop whose copies do not end says so, until no mbuf is in anybody's hands. */
static enum test_result
device_is_not_stopped_before_its_copies(void)
{
	const struct eth_conf conf = {
		.args = ",dmas=[rxq0@" DMA ";txq0@" DMA "]",
		.queues = 1,
	};
	struct eth_bench b;
	int ret = -EBUSY;

	TEST_EQ(rte_vdev_init(DMA, "mode=thread,delay_us=4000000"), 0);
	weir_copy_set_watchdog(0);
	TEST_EQ(eth_open(&b, &conf), 0);
	TEST_EQ(fe_open(&b.fe, b.path, 1, SPLIT), 0);
	TEST_ASSERT(eth_link_becomes(&b, true));
	fe_post(&b.fe, 0);
	TEST_ASSERT(eth_guest_sends(&b, 0, 1));
	TEST_EQ(eth_host_receives(&b, 0), 0);
	TEST_ASSERT(eth_host_sends(&b, 0));
	TEST_ASSERT(rte_mempool_in_use_count(eth_pool) >= 2);
	TEST_EQ(rte_eth_dev_stop(b.port), -EBUSY);
	TEST_ASSERT(rte_mempool_in_use_count(eth_pool) >= 2);
	for (int i = 0; i < 20000 && ret == -EBUSY; i++) {
		ret = rte_eth_dev_stop(b.port);
		usleep(1000);
	}
	TEST_EQ(ret, 0);
	TEST_EQ(rte_mempool_in_use_count(eth_pool), 0);
	TEST_EQ(eth_close(&b), 0);
	rte_vdev_uninit(DMA);
	weir_copy_set_watchdog(500000);
	return TEST_OK;
}

/* Telemetry asks a device that is on its way out, without asking whether it is. */
static enum test_result
device_closed_is_asked_all_the_same(void)
{
	const struct eth_conf conf = { .queues = 2 };
	struct rte_eth_xstat_name names[64];
	struct rte_eth_xstat values[64];
	struct rte_eth_stats stats;
	struct eth_bench b;

	TEST_EQ(eth_open(&b, &conf), 0);
	TEST_EQ(fe_open(&b.fe, b.path, 2, SPLIT), 0);
	TEST_ASSERT(eth_link_becomes(&b, true));
	TEST_EQ(rte_eth_dev_stop(b.port), 0);
	TEST_EQ(rte_eth_devices[b.port].dev_ops->dev_close(&rte_eth_devices[b.port]), 0);
	TEST_EQ(rte_eth_stats_get(b.port, &stats), -ENODEV);
	TEST_EQ(rte_eth_stats_reset(b.port), -ENODEV);
	rte_eth_xstats_get_names(b.port, names, 64);
	rte_eth_xstats_get(b.port, values, 64);
	TEST_ASSERT(eth_link_becomes(&b, false));
	TEST_EQ(eth_close(&b), 0);
	return TEST_OK;
}

/* What a guest reads of its device, whose frontend leaves that to the port. */
static bool
config_read(struct fe *f, struct virtio_net_config *out)
{
	struct weir_vhost_wire_config c = { .len = 24 };
	const uint32_t size = offsetof(struct weir_vhost_wire_config, data) + c.len;

	if (fe_msg(f, WEIR_VHOST_GET_CONFIG, &c, size, NULL, 0, &c, size) != 0)
		return false;
	memcpy(out, c.data, c.len);
	return c.len == 24;
}

static enum test_result
guest_has_the_address_and_mtu_given(void)
{
	const struct eth_conf conf = {
		.args = ",ctrl-vq=1,guest-mac=02:11:22:33:44:55,guest-mtu=4000",
		.queues = 1,
	};
	const uint8_t mac[6] = { 0x02, 0x11, 0x22, 0x33, 0x44, 0x55 };
	const uint64_t has =
		UINT64_C(1) << VIRTIO_NET_F_MAC | UINT64_C(1) << VIRTIO_NET_F_MTU;
	struct virtio_net_config c;
	struct eth_bench b;

	TEST_EQ(eth_open(&b, &conf), 0);
	TEST_EQ(fe_open(&b.fe, b.path, 1, SPLIT), 0);
	TEST_EQ(b.fe.features & has, has);
	TEST_EQ(fe_protocol(&b.fe, WEIR_VHOST_BIT(WEIR_VHOST_PF_CONFIG)), 0);
	TEST_ASSERT(config_read(&b.fe, &c));
	TEST_ASSERT(memcmp(c.mac, mac, sizeof(mac)) == 0);
	TEST_EQ(c.mtu, 4000);
	TEST_EQ(c.status, VIRTIO_NET_S_LINK_UP);
	TEST_EQ(rte_eth_dev_set_link_down(b.port), 0);
	TEST_ASSERT(config_read(&b.fe, &c));
	TEST_EQ(c.status, 0);
	TEST_EQ(eth_close(&b), 0);
	return TEST_OK;
}

static const struct test_case cases[] = {
	{ "link_unplugged_and_plugged_in", link_unplugged_and_plugged_in },
	{ "device_reset_serves_the_next_guest", device_reset_serves_the_next_guest },
	{ "vlan_strip_switched_under_traffic", vlan_strip_switched_under_traffic },
	{ "queue_started_before_its_stop_came_about",
	  queue_started_before_its_stop_came_about },
	{ "device_is_not_stopped_before_its_copies",
	  device_is_not_stopped_before_its_copies },
	{ "device_closed_is_asked_all_the_same", device_closed_is_asked_all_the_same },
	{ "guest_has_the_address_and_mtu_given", guest_has_the_address_and_mtu_given },
};

AUTOTEST_EAL(net_weir_ops_autotest, cases);
