/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <rte_version.h>

#include <bus_vdev_driver.h>
#include <ethdev_driver.h>
#include <ethdev_vdev.h>

#include "net_weir.h"
#include "weir_copy.h"
#include "weir_errno.h"
#include "weir_log.h"

/* Frames a burst from which on the cost of a burst does not show. */
#define BURST 32

/* Those who read of a port against who puts it away. */
static pthread_mutex_t port_lock = PTHREAD_MUTEX_INITIALIZER;

struct weir_port *
net_weir_port_hold(const struct rte_eth_dev *dev)
{
	const struct net_weir *w;

	pthread_mutex_lock(&port_lock);
	w = dev->data != NULL ? dev->data->dev_private : NULL;
	return w != NULL ? w->port : NULL;
}

void
net_weir_port_release(void)
{
	pthread_mutex_unlock(&port_lock);
}

/* Give a device another port, or none. @return the old one, which nobody reads. */
static struct weir_port *
port_exchange(struct net_weir *w, struct weir_port *port)
{
	struct weir_port *old;

	pthread_mutex_lock(&port_lock);
	old = w->port;
	w->port = port;
	pthread_mutex_unlock(&port_lock);
	return old;
}

static int
link_set(struct rte_eth_dev *dev, bool up)
{
	const struct rte_eth_link link = {
		.link_speed = RTE_ETH_SPEED_NUM_10G,
		.link_duplex = RTE_ETH_LINK_FULL_DUPLEX,
		.link_autoneg = RTE_ETH_LINK_FIXED,
		.link_status = up ? RTE_ETH_LINK_UP : RTE_ETH_LINK_DOWN,
	};

	return rte_eth_linkstatus_set(dev, &link);
}

static int
link_update(struct rte_eth_dev *dev, int wait)
{
	const struct weir_port *port = net_weir_port_hold(dev);
	bool up = port != NULL && weir_port_link(port);

	net_weir_port_release();
	RTE_SET_USED(wait);
	return link_set(dev, up);
}

/* On the control thread, or one that has it wait. */
static void
notify(void *arg, enum weir_port_event event)
{
	struct net_weir *w = arg;
	struct weir_port *port = w->port;
	struct weir_queue_event ev;

	/* it is being put away, or not made yet */
	if (port == NULL)
		return;
	if (event == WEIR_PORT_EV_LINK) {
		link_set(w->dev, weir_port_link(port));
		rte_eth_dev_callback_process(w->dev, RTE_ETH_EVENT_INTR_LSC, NULL);
		return;
	}
	/* as net_vhost has it: the guest's counts once it is known */
	if (event == WEIR_PORT_EV_MTU && weir_port_peer_mtu(port) != 0)
		w->dev->data->mtu = weir_port_peer_mtu(port);
	while (event == WEIR_PORT_EV_QUEUE && weir_port_queue_event(port, &ev))
		rte_eth_dev_callback_process(w->dev, RTE_ETH_EVENT_QUEUE_STATE, &ev);
}

static int
dev_configure(struct rte_eth_dev *dev)
{
	const struct rte_eth_conf *conf = &dev->data->dev_conf;
	struct net_weir *w = dev->data->dev_private;

	net_weir_set_bursts(dev);
	weir_port_set_sw_csum(w->port, (conf->rxmode.offloads & NET_WEIR_RX_CSUM) == 0);
	return 0;
}

static int
dev_start(struct rte_eth_dev *dev)
{
	struct net_weir *w = dev->data->dev_private;
	int ret = net_weir_queues_prepare(dev);

	/* as with a network card: it comes up with its link */
	if (ret == 0)
		ret = weir_port_set_link(w->port, true);
	if (ret != 0) {
		weir_log(WEIR_LOG_ERR, "%s: %s", dev->data->name, weir_strerror(ret));
		return ret;
	}
	ret = weir_port_start(w->port);
	if (ret != 0) {
		weir_log(WEIR_LOG_ERR, "%s: argument 'iface=%s': %s", dev->data->name,
			 w->args.iface, weir_strerror(ret));
		return ret;
	}
	net_weir_queues_started(dev);
	return 0;
}

static int
dev_stop(struct rte_eth_dev *dev)
{
	struct net_weir *w = dev->data->dev_private;
	int ret = weir_port_stop(w->port);

	/* ethdev has it started then, and asks again when it is asked to */
	if (ret != 0) {
		weir_log(WEIR_LOG_ERR,
			 "%s: copies into its mbufs do not end: not stopped yet",
			 dev->data->name);
		return ret;
	}
	net_weir_queues_stopped(dev);
	return 0;
}

static int
dev_infos_get(struct rte_eth_dev *dev, struct rte_eth_dev_info *info)
{
	struct net_weir *w = dev->data->dev_private;

	info->max_mac_addrs = NET_WEIR_MACS;
	info->min_mtu = RTE_ETHER_MIN_MTU;
	info->max_rx_pktlen = WEIR_PORT_MAX_FRAME;
	info->min_rx_bufsize = RTE_ETHER_HDR_LEN;
	info->default_rxportconf.burst_size = BURST;
	info->default_txportconf.burst_size = BURST;
	info->max_rx_queues = w->args.queues;
	info->max_tx_queues = w->args.queues;
	info->tx_offload_capa =
		RTE_ETH_TX_OFFLOAD_MULTI_SEGS | RTE_ETH_TX_OFFLOAD_VLAN_INSERT;
	info->rx_offload_capa =
		RTE_ETH_RX_OFFLOAD_VLAN_STRIP | RTE_ETH_RX_OFFLOAD_SCATTER;
	if (w->args.legacy_flags)
		return 0;
	info->tx_offload_capa |= RTE_ETH_TX_OFFLOAD_IPV4_CKSUM |
				 RTE_ETH_TX_OFFLOAD_UDP_CKSUM |
				 RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
	info->rx_offload_capa |= NET_WEIR_RX_CSUM;
	if (w->args.tso) {
		info->tx_offload_capa |=
			RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_UDP_TSO;
		info->rx_offload_capa |= RTE_ETH_RX_OFFLOAD_TCP_LRO;
		info->max_lro_pkt_size = UINT16_MAX;
	}
	return 0;
}

/* The guest decides how long its frames are; nothing here depends on it. */
static int
mtu_set(struct rte_eth_dev *dev, uint16_t mtu)
{
	RTE_SET_USED(dev);
	RTE_SET_USED(mtu);
	return 0;
}

/* A port to one guest has no other frames than that guest's. */
static int
rx_mode_set(struct rte_eth_dev *dev)
{
	RTE_SET_USED(dev);
	return 0;
}

static int
mac_addr_set(struct rte_eth_dev *dev, struct rte_ether_addr *mac)
{
	RTE_SET_USED(dev);
	RTE_SET_USED(mac);
	return 0;
}

static int
mac_addr_add(struct rte_eth_dev *dev, struct rte_ether_addr *mac, uint32_t index,
	     uint32_t vmdq)
{
	RTE_SET_USED(dev);
	RTE_SET_USED(mac);
	RTE_SET_USED(index);
	RTE_SET_USED(vmdq);
	return 0;
}

static void
mac_addr_remove(struct rte_eth_dev *dev, uint32_t index)
{
	RTE_SET_USED(dev);
	RTE_SET_USED(index);
}

static int
mc_addr_list_set(struct rte_eth_dev *dev, struct rte_ether_addr *list, uint32_t nr)
{
	RTE_SET_USED(dev);
	RTE_SET_USED(list);
	RTE_SET_USED(nr);
	return 0;
}

static int
dev_close(struct rte_eth_dev *dev)
{
	struct net_weir *w = dev->data->dev_private;

	net_weir_intr_free(dev);
	weir_port_destroy(port_exchange(w, NULL));
	net_weir_engines_put(w);
	if (w->space != NULL)
		weir_space_put(w->space);
	w->space = NULL;
	net_weir_args_free(&w->args);
	/* part of dev_private: ethdev must not free it by itself */
	dev->data->mac_addrs = NULL;
	return 0;
}

static int
port_create(struct net_weir *w, struct weir_port **out)
{
	struct weir_port_conf conf = {
		.name = w->dev->data->name,
		.path = w->args.iface,
		.client = w->args.client,
		.nr_pairs = w->args.queues,
		.mbuf_port = w->dev->data->port_id,
		.split_only = w->args.split_only,
		.ctrl_vq = w->args.ctrl_vq,
		.postcopy = w->args.postcopy,
		.rss = w->args.rss,
		.tso = w->args.tso,
		.iommu = w->args.iommu,
		.inband = w->args.inband,
		.linear = w->args.linear,
		.ext_buf = w->args.ext_buf,
		.legacy_flags = w->args.legacy_flags,
		.guest_mtu = w->args.guest_mtu,
		.dma_threshold = w->args.dma_threshold,
		.dma_auto = w->args.dma_auto,
		.dma_near = w->args.dma_near,
		.notify = notify,
		.notify_arg = w,
	};

	memcpy(conf.guest_mac, &w->args.guest_mac, sizeof(conf.guest_mac));
	if (w->space != NULL)
		conf.mirror = weir_space_mirror(w->space);
	return weir_port_create(&conf, out);
}

/*
 * A port as it was made, to be configured and set up anew; the guest has to come
 * again. If it cannot be made the old one stays.
 */
static int
dev_reset(struct rte_eth_dev *dev)
{
	struct net_weir *w = dev->data->dev_private;
	struct weir_port *fresh;
	int ret = port_create(w, &fresh);

	if (ret != 0) {
		weir_log(WEIR_LOG_ERR, "%s: %s", dev->data->name, weir_strerror(ret));
		return ret;
	}
	net_weir_intr_free(dev);
	net_weir_queues_forget(dev);
	weir_port_destroy(port_exchange(w, fresh));
	/* also if it could not be stopped: what it waited for is over */
	dev->data->dev_started = 0;
	net_weir_engines_put(w);
	link_update(dev, 0);
	return 0;
}

static int
link_up(struct rte_eth_dev *dev)
{
	struct net_weir *w = dev->data->dev_private;

	return weir_port_set_link(w->port, true);
}

static int
link_down(struct rte_eth_dev *dev)
{
	struct net_weir *w = dev->data->dev_private;

	return weir_port_set_link(w->port, false);
}

static const struct eth_dev_ops net_weir_ops = {
	.dev_configure = dev_configure,
	.dev_start = dev_start,
	.dev_stop = dev_stop,
	.dev_close = dev_close,
	.dev_reset = dev_reset,
	.dev_set_link_up = link_up,
	.dev_set_link_down = link_down,
	.dev_infos_get = dev_infos_get,
	.rx_queue_setup = net_weir_rxq_setup,
	.tx_queue_setup = net_weir_txq_setup,
	.rx_queue_start = net_weir_rxq_start,
	.rx_queue_stop = net_weir_rxq_stop,
	.tx_queue_start = net_weir_txq_start,
	.tx_queue_stop = net_weir_txq_stop,
	.rxq_info_get = net_weir_rxq_info,
	.txq_info_get = net_weir_txq_info,
	.rx_burst_mode_get = net_weir_rx_burst_mode,
	.tx_burst_mode_get = net_weir_tx_burst_mode,
	.rx_queue_intr_enable = net_weir_rxq_intr_enable,
	.rx_queue_intr_disable = net_weir_rxq_intr_disable,
	.get_monitor_addr = net_weir_monitor_addr,
	.tx_done_cleanup = net_weir_tx_cleanup,
	.link_update = link_update,
	.vlan_offload_set = net_weir_vlan_offload,
	.mtu_set = mtu_set,
	.mac_addr_set = mac_addr_set,
	.mac_addr_add = mac_addr_add,
	.mac_addr_remove = mac_addr_remove,
	.set_mc_addr_list = mc_addr_list_set,
	.promiscuous_enable = rx_mode_set,
	.promiscuous_disable = rx_mode_set,
	.allmulticast_enable = rx_mode_set,
	.allmulticast_disable = rx_mode_set,
	.stats_get = net_weir_stats_get,
	.stats_reset = net_weir_stats_reset,
	.xstats_get = net_weir_xstats_get,
	.xstats_get_names = net_weir_xstats_names,
	.xstats_reset = net_weir_stats_reset,
};

static void
dev_fill(struct rte_eth_dev *dev, struct net_weir *w)
{
	w->mac[0] = w->args.mac;
	if (rte_is_zero_ether_addr(&w->mac[0]))
		/* locally administered, "WEIR", and the port's number */
		w->mac[0] = (struct rte_ether_addr){
			.addr_bytes = { 0x02, 'W', 'E', 'I', 'R',
					(uint8_t)dev->data->port_id },
		};
	w->dev = dev;
	dev->data->mac_addrs = w->mac;
	dev->data->dev_flags |= RTE_ETH_DEV_INTR_LSC;
	dev->data->dev_link = (struct rte_eth_link){
		.link_speed = RTE_ETH_SPEED_NUM_10G,
		.link_duplex = RTE_ETH_LINK_FULL_DUPLEX,
		.link_status = RTE_ETH_LINK_DOWN,
		.link_autoneg = RTE_ETH_LINK_FIXED,
	};
	dev->dev_ops = &net_weir_ops;
	net_weir_set_bursts(dev);
}

static bool
has_dma(const struct net_weir_args *a)
{
	for (unsigned int i = 0; i < a->queues; i++)
		if (a->dma_rx[i] != NULL || a->dma_tx[i] != NULL)
			return true;
	return false;
}

static int
probe(struct rte_vdev_device *vdev)
{
	const char *name = rte_vdev_device_name(vdev);
	struct net_weir_args args;
	struct weir_port *port;
	struct rte_eth_dev *dev;
	struct net_weir *w;
	int ret;

	/* no failure: EAL would take the device from the primary, too */
	if (rte_eal_process_type() != RTE_PROC_PRIMARY) {
		weir_log(WEIR_LOG_NOTICE,
			 "%s: a secondary process cannot have vhost-user ports", name);
		return 0;
	}
	ret = net_weir_args_parse(name, rte_vdev_device_args(vdev), &args);
	if (ret != 0)
		goto err_args;
	dev = rte_eth_vdev_allocate(vdev, sizeof(*w));
	if (dev == NULL) {
		ret = -ENOMEM;
		goto err_args;
	}
	w = dev->data->dev_private;
	w->args = args;
	dev_fill(dev, w);
	if (args.dma_watchdog_us != UINT64_MAX)
		weir_copy_set_watchdog(args.dma_watchdog_us);
	/* no engine, no address space: memory that no device uses is not mapped */
	ret = has_dma(&args) ? weir_space_get(&w->space) : 0;
	if (ret != 0)
		goto err_dev;
	ret = port_create(w, &port);
	if (ret != 0)
		goto err_space;
	w->port = port;
	rte_eth_dev_probing_finish(dev);
	return 0;

err_space:
	if (w->space != NULL)
		weir_space_put(w->space);
err_dev:
	weir_log(WEIR_LOG_ERR, "%s: %s", name, weir_strerror(ret));
	dev->data->mac_addrs = NULL;
	rte_eth_dev_release_port(dev);
err_args:
	net_weir_args_free(&args);
	return ret;
}

static int
rem(struct rte_vdev_device *vdev)
{
	struct rte_eth_dev *dev = rte_eth_dev_allocated(rte_vdev_device_name(vdev));

	if (dev == NULL || rte_eal_process_type() != RTE_PROC_PRIMARY)
		return 0;
	if (((struct net_weir *)dev->data->dev_private)->port != NULL)
		dev_close(dev);
	return rte_eth_dev_release_port(dev);
}

static struct rte_vdev_driver net_weir_driver = {
	.probe = probe,
	.remove = rem,
};

RTE_PMD_REGISTER_VDEV(net_weir, net_weir_driver);
RTE_PMD_REGISTER_PARAM_STRING(net_weir, "iface=<path> "
					"queues=<1-128> "
					"mac=<xx:xx:xx:xx:xx:xx> "
					"guest-mac=<xx:xx:xx:xx:xx:xx> "
					"guest-mtu=<68-65535> "
					"client=<0|1> "
					"ctrl-vq=<0|1> "
					"postcopy-support=<0|1> "
					"iommu-support=<0|1> "
					"inband-notifications=<0|1> "
					"rss=<0|1> "
					"tso=<0|1> "
					"packed=<0|1> "
					"linear-buffer=<0|1> "
					"ext-buffer=<0|1> "
					"legacy-ol-flags=<0|1> "
					"dmas=[<txq|rxq><n>@<dmadev>;...] "
					"dma-policy=<turn|near> "
					"dma-watchdog=<ms> "
					"dma-threshold=<bytes|auto>");
