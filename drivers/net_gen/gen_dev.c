/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <bus_vdev_driver.h>
#include <ethdev_vdev.h>

#include "gen.h"
#include "weir_fail.h"

RTE_LOG_REGISTER(gen_logtype, pmd.net.weir_gen, NOTICE);

#define BROADCAST UINT64_C(0xffffffffffff)

/* Any end gets a run, and an address, that the other has not met. */
static int
draw(void *out, size_t len)
{
	return getrandom(out, len, 0) == (ssize_t)len ? 0 : -errno;
}

static int
gen_configure(struct rte_eth_dev *dev __rte_unused)
{
	return 0;
}

static int
gen_infos_get(struct rte_eth_dev *dev __rte_unused, struct rte_eth_dev_info *info)
{
	info->max_rx_pktlen = GEN_MAX_LEN;
	info->min_rx_bufsize = sizeof(struct gen_head);
	info->min_mtu = RTE_ETHER_MIN_MTU;
	info->max_mtu = GEN_MAX_LEN - RTE_ETHER_HDR_LEN;
	info->max_rx_queues = GEN_MAX_QUEUES;
	info->max_tx_queues = GEN_MAX_QUEUES;
	info->max_mac_addrs = 1;
	info->rx_offload_capa = RTE_ETH_RX_OFFLOAD_SCATTER;
	info->tx_offload_capa = RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	return 0;
}

static void
set_link(struct rte_eth_dev *dev, bool up)
{
	const struct rte_eth_link link = {
		.link_speed = RTE_ETH_SPEED_NUM_100G,
		.link_duplex = RTE_ETH_LINK_FULL_DUPLEX,
		.link_autoneg = RTE_ETH_LINK_FIXED,
		.link_status = up ? RTE_ETH_LINK_UP : RTE_ETH_LINK_DOWN,
	};

	rte_eth_linkstatus_set(dev, &link);
}

static int
gen_start(struct rte_eth_dev *dev)
{
	struct gen_dev *d = dev->data->dev_private;
	int ret = draw(&d->run, sizeof(d->run));

	if (ret != 0)
		return ret;
	d->run |= d->run == 0; /* 0 stands for none */
	for (uint16_t i = 0; i < dev->data->nb_rx_queues; i++)
		gen_rxq_rewind(d->rxq[i], i);
	atomic_store(&d->paused, !d->conf.start);
	/*
	 * With start=0 the link is up all the same: applications wait for it,
	 * and nothing keeps the device from receiving.
	 */
	set_link(dev, true);
	return 0;
}

static int
gen_stop(struct rte_eth_dev *dev)
{
	struct gen_dev *d = dev->data->dev_private;

	atomic_store(&d->paused, true);
	set_link(dev, false);
	return 0;
}

static int
gen_set_link_down(struct rte_eth_dev *dev)
{
	struct gen_dev *d = dev->data->dev_private;

	atomic_store(&d->paused, true);
	set_link(dev, false);
	return 0;
}

static int
gen_set_link_up(struct rte_eth_dev *dev)
{
	struct gen_dev *d = dev->data->dev_private;

	atomic_store(&d->paused, false);
	set_link(dev, true);
	return 0;
}

/* set_link() keeps the status; there is no cable to look at. */
static int
gen_link_update(struct rte_eth_dev *dev __rte_unused, int wait __rte_unused)
{
	return 0;
}

static void
gen_rxq_release(struct rte_eth_dev *dev, uint16_t id)
{
	struct gen_dev *d = dev->data->dev_private;

	free(d->rxq[id]);
	d->rxq[id] = NULL;
	dev->data->rx_queues[id] = NULL;
}

static void
gen_txq_release(struct rte_eth_dev *dev, uint16_t id)
{
	struct gen_dev *d = dev->data->dev_private;

	free(d->txq[id]);
	d->txq[id] = NULL;
	dev->data->tx_queues[id] = NULL;
}

static int
gen_rxq_setup(struct rte_eth_dev *dev, uint16_t id, uint16_t nr_desc __rte_unused,
	      unsigned int socket __rte_unused, const struct rte_eth_rxconf *conf,
	      struct rte_mempool *pool)
{
	struct gen_dev *d = dev->data->dev_private;
	uint64_t offloads = conf->offloads | dev->data->dev_conf.rxmode.offloads;
	uint32_t room = rte_pktmbuf_data_room_size(pool);
	struct gen_rxq *q;

	room -= RTE_MIN(room, (uint32_t)RTE_PKTMBUF_HEADROOM);
	if (room < sizeof(struct gen_head)) {
		GEN_LOG(ERR, "%s: queue %u: buffers of %u bytes do not hold the headers",
			dev->data->name, id, room);
		return -EINVAL;
	}
	if (room < d->conf.max_len && !(offloads & RTE_ETH_RX_OFFLOAD_SCATTER)) {
		GEN_LOG(ERR,
			"%s: queue %u: packets of %u bytes in buffers of %u need "
			"scattered receive (testpmd: --enable-scatter)",
			dev->data->name, id, d->conf.max_len, room);
		return -EINVAL;
	}
	q = weir_zalloc_aligned(_Alignof(struct gen_rxq), sizeof(*q));
	if (q == NULL)
		return -ENOMEM;
	q->dev = d;
	q->pool = pool;
	q->room = room;
	q->port = dev->data->port_id;
	d->rxq[id] = q;
	dev->data->rx_queues[id] = q;
	return 0;
}

static int
gen_txq_setup(struct rte_eth_dev *dev, uint16_t id, uint16_t nr_desc __rte_unused,
	      unsigned int socket __rte_unused,
	      const struct rte_eth_txconf *conf __rte_unused)
{
	struct gen_dev *d = dev->data->dev_private;
	struct gen_txq *q = weir_zalloc_aligned(_Alignof(struct gen_txq), sizeof(*q));

	if (q == NULL)
		return -ENOMEM;
	q->dev = d;
	d->txq[id] = q;
	dev->data->tx_queues[id] = q;
	return 0;
}

/* It takes whatever it is given, and makes what its arguments say. */
static int
gen_accept(struct rte_eth_dev *dev __rte_unused)
{
	return 0;
}

static int
gen_mtu_set(struct rte_eth_dev *dev __rte_unused, uint16_t mtu __rte_unused)
{
	return 0;
}

static int
gen_close(struct rte_eth_dev *dev)
{
	struct gen_dev *d = dev->data->dev_private;

	if (rte_eal_process_type() != RTE_PROC_PRIMARY)
		return 0;
	for (uint16_t i = 0; i < GEN_MAX_QUEUES; i++) {
		free(d->rxq[i]);
		free(d->txq[i]);
		d->rxq[i] = NULL;
		d->txq[i] = NULL;
	}
	free(d->streams);
	d->streams = NULL;
	dev->data->mac_addrs = NULL; /* part of the private data */
	return 0;
}

static const struct eth_dev_ops gen_ops = {
	.dev_configure = gen_configure,
	.dev_start = gen_start,
	.dev_stop = gen_stop,
	.dev_close = gen_close,
	.dev_infos_get = gen_infos_get,
	.dev_set_link_up = gen_set_link_up,
	.dev_set_link_down = gen_set_link_down,
	.link_update = gen_link_update,
	.promiscuous_enable = gen_accept,
	.promiscuous_disable = gen_accept,
	.allmulticast_enable = gen_accept,
	.allmulticast_disable = gen_accept,
	.mtu_set = gen_mtu_set,
	.rx_queue_setup = gen_rxq_setup,
	.rx_queue_release = gen_rxq_release,
	.tx_queue_setup = gen_txq_setup,
	.tx_queue_release = gen_txq_release,
	.stats_get = gen_stats_get,
	.stats_reset = gen_stats_reset,
	.xstats_get = gen_xstats_get,
	.xstats_get_names = gen_xstats_names,
	.xstats_reset = gen_stats_reset,
};

static int
gen_init(struct gen_dev *d)
{
	int ret = draw(&d->mac, sizeof(d->mac));

	if (ret != 0)
		return ret;
	/* locally administered, unicast */
	d->mac.addr_bytes[0] = (uint8_t)((d->mac.addr_bytes[0] & ~1u) | 2u);
	d->streams = weir_zalloc_aligned(_Alignof(struct gen_stream),
					 GEN_MAX_STREAMS * sizeof(*d->streams));
	if (d->streams == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; i < GEN_MAX_STREAMS; i++)
		rte_spinlock_init(&d->streams[i].lock);
	d->timeout_tsc = rte_get_tsc_hz() / 1000 * d->conf.timeout_ms;
	atomic_store(&d->peer, BROADCAST);
	return 0;
}

static int
gen_probe(struct rte_vdev_device *vdev)
{
	const char *name = rte_vdev_device_name(vdev);
	struct rte_eth_dev *dev;
	struct gen_conf conf;
	struct gen_dev *d;
	int ret;

	if (rte_eal_process_type() != RTE_PROC_PRIMARY) {
		GEN_LOG(ERR, "%s: works in a primary process only", name);
		return -ENOTSUP;
	}
	ret = gen_args_parse(name, rte_vdev_device_args(vdev), &conf);
	if (ret != 0)
		return ret;
	dev = rte_eth_vdev_allocate(vdev, sizeof(*d));
	if (dev == NULL) {
		GEN_LOG(ERR, "%s: no ethdev to be had", name);
		return -ENOMEM;
	}
	gen_packet_init();
	d = dev->data->dev_private;
	d->conf = conf;
	ret = gen_init(d);
	if (ret != 0) {
		GEN_LOG(ERR, "%s: %s", name, rte_strerror(-ret));
		rte_eth_dev_release_port(dev);
		return ret;
	}
	dev->data->mac_addrs = &d->mac;
	dev->dev_ops = &gen_ops;
	dev->rx_pkt_burst = gen_rx_burst;
	dev->tx_pkt_burst = gen_tx_burst;
	set_link(dev, false);
	rte_eth_dev_probing_finish(dev);
	return 0;
}

static int
gen_remove(struct rte_vdev_device *vdev)
{
	struct rte_eth_dev *dev = rte_eth_dev_allocated(rte_vdev_device_name(vdev));

	if (dev == NULL)
		return 0; /* closed by the application */
	gen_close(dev);
	return rte_eth_dev_release_port(dev);
}

static struct rte_vdev_driver net_wgen_drv = {
	.probe = gen_probe,
	.remove = gen_remove,
};

RTE_PMD_REGISTER_VDEV(net_wgen, net_wgen_drv);
RTE_PMD_REGISTER_PARAM_STRING(net_wgen,
			      "size=60..9000|A-B|imix|random window=<packets> "
			      "count=<packets> streams=1..16 seed=<n> timeout_ms=<ms> "
			      "yield=0|1 start=0|1");
