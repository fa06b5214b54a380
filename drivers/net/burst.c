/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>

#include "net_weir.h"

static uint16_t
rx_burst(void *rxq, struct rte_mbuf **pkts, uint16_t n)
{
	return weir_port_rx_burst(rxq, pkts, n);
}

static uint16_t
tx_burst(void *txq, struct rte_mbuf **pkts, uint16_t n)
{
	return weir_port_tx_burst(txq, pkts, n);
}

/* virtio has no VLAN offload: with these two it looks as if it had. */
static uint16_t
rx_burst_vlan_strip(void *rxq, struct rte_mbuf **pkts, uint16_t n)
{
	n = weir_port_rx_burst(rxq, pkts, n);
	for (uint16_t i = 0; i < n; i++)
		rte_vlan_strip(pkts[i]);
	return n;
}

/* @return how many can be sent: one whose tag cannot be inserted is not, nor any
 * behind it. */
static uint16_t
vlan_insert(struct rte_mbuf **pkts, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		if ((pkts[i]->ol_flags & RTE_MBUF_F_TX_VLAN) != 0 &&
		    rte_vlan_insert(&pkts[i]) != 0)
			n = i;
	}
	return n;
}

static uint16_t
tx_burst_vlan_insert(void *txq, struct rte_mbuf **pkts, uint16_t n)
{
	return weir_port_tx_burst(txq, pkts, vlan_insert(pkts, n));
}

/* The guest chooses the queue. */
static uint16_t
tx_burst_steer(void *txq, struct rte_mbuf **pkts, uint16_t n)
{
	return weir_port_tx_steer(txq, pkts, n);
}

static uint16_t
tx_burst_steer_vlan_insert(void *txq, struct rte_mbuf **pkts, uint16_t n)
{
	return weir_port_tx_steer(txq, pkts, vlan_insert(pkts, n));
}

static bool
inserts_vlan(const struct rte_eth_dev *dev)
{
	return (dev->data->dev_conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_VLAN_INSERT) !=
	       0;
}

#if RTE_VERSION >= RTE_VERSION_NUM(25, 11, 0, 0)
static int
#else
static uint32_t
#endif
rx_queue_count(void *rxq)
{
	return weir_queue_pending(rxq);
}

static int
rx_descriptor_status(void *rxq, uint16_t offset)
{
	return offset < weir_queue_pending(rxq) ? RTE_ETH_RX_DESC_DONE
						: RTE_ETH_RX_DESC_AVAIL;
}

void
net_weir_set_bursts(struct rte_eth_dev *dev)
{
	const struct rte_eth_conf *conf = &dev->data->dev_conf;
	const struct net_weir *w = dev->data->dev_private;

	dev->rx_pkt_burst = (conf->rxmode.offloads & RTE_ETH_RX_OFFLOAD_VLAN_STRIP) != 0
				    ? rx_burst_vlan_strip
				    : rx_burst;
	if (w->args.rss)
		dev->tx_pkt_burst =
			inserts_vlan(dev) ? tx_burst_steer_vlan_insert : tx_burst_steer;
	else
		dev->tx_pkt_burst = inserts_vlan(dev) ? tx_burst_vlan_insert : tx_burst;
	dev->rx_queue_count = rx_queue_count;
	dev->rx_descriptor_status = rx_descriptor_status;
}

/*
 * VLAN strip on or off while lcores poll. What they call is a copy of the device's
 * function; both functions take the same queue, so that it does not matter which one
 * is called in a moment like this.
 */
int
net_weir_vlan_offload(struct rte_eth_dev *dev, int mask)
{
	struct rte_eth_fp_ops *ops = &rte_eth_fp_ops[dev->data->port_id];

	if ((mask & RTE_ETH_VLAN_STRIP_MASK) == 0)
		return 0;
	net_weir_set_bursts(dev);
	if (dev->data->dev_started)
		__atomic_store_n(&ops->rx_pkt_burst, dev->rx_pkt_burst, __ATOMIC_RELEASE);
	return 0;
}

/* Who copies, and what is done besides. */
static int
burst_mode(struct rte_eth_burst_mode *mode, const char *dma, const char *more)
{
	snprintf(mode->info, sizeof(mode->info), "copies by %s%s",
		 dma != NULL ? dma : "CPU", more);
	return 0;
}

int
net_weir_rx_burst_mode(struct rte_eth_dev *dev, uint16_t q,
		       struct rte_eth_burst_mode *mode)
{
	const struct net_weir *w = dev->data->dev_private;

	return burst_mode(mode, w->args.dma_rx[q],
			  dev->rx_pkt_burst == rx_burst ? "" : ", VLAN strip by CPU");
}

int
net_weir_tx_burst_mode(struct rte_eth_dev *dev, uint16_t q,
		       struct rte_eth_burst_mode *mode)
{
	const struct net_weir *w = dev->data->dev_private;

	return burst_mode(mode, w->args.dma_tx[q],
			  inserts_vlan(dev) ? ", VLAN insert by CPU" : "");
}

int
net_weir_tx_cleanup(void *txq, uint32_t n)
{
	/* all that is over: to leave some of it would gain nobody anything */
	RTE_SET_USED(n);
	return (int)weir_queue_tx_cleanup(txq);
}
