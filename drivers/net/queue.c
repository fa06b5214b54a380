/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device's queues, outside of their bursts.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "net_weir.h"
#include "weir_errno.h"
#include "weir_log.h"

/* Log why a queue cannot have the dmadev it was given, or cannot be. */
static void
queue_error(const struct rte_eth_dev *dev, const char *dir, uint16_t q, const char *dma,
	    int err)
{
	const char *why = weir_strerror(err);

	if (err == -EXDEV)
		why = "the device does not see guest memory: it is neither behind an "
		      "IOMMU of weir's or EAL's, nor does it use the process's addresses "
		      "(SVA, iova=va)";
	weir_log(WEIR_LOG_ERR, "%s: %sq%u%s%s: %s", dev->data->name, dir, q,
		 dma != NULL ? "@" : "", dma != NULL ? dma : "", why);
}

/* Hardware that a queue is given has to be let into the address space. */
static int
engines_get(struct net_weir *w, const char *dma, struct weir_space_engine **engine)
{
	char name[RTE_DEV_NAME_MAX_LEN];
	size_t len;
	int ret = 0;

	for (const char *s = dma; s != NULL && ret == 0; engine++) {
		len = strcspn(s, ",");
		snprintf(name, sizeof(name), "%.*s", (int)len, s);
		if (*engine == NULL)
			ret = weir_space_engine_get(w->space, name, engine);
		s = s[len] == ',' ? s + len + 1 : NULL;
	}
	return ret;
}

void
net_weir_engines_put(struct net_weir *w)
{
	for (unsigned int q = 0; q < w->args.queues; q++) {
		for (unsigned int i = 0; i < WEIR_PORT_MAX_DMAS; i++) {
			weir_space_engine_put(w->engine_rx[q][i]);
			weir_space_engine_put(w->engine_tx[q][i]);
		}
	}
}

int
net_weir_rxq_setup(struct rte_eth_dev *dev, uint16_t q, uint16_t nb_desc,
		   unsigned int socket, const struct rte_eth_rxconf *conf,
		   struct rte_mempool *pool)
{
	struct net_weir *w = dev->data->dev_private;
	const char *dma = w->args.dma_rx[q];
	int ret = engines_get(w, dma, w->engine_rx[q]);

	RTE_SET_USED(socket);
	if (ret == 0)
		ret = weir_port_rxq_setup(w->port, q, pool, dma);
	if (ret != 0) {
		queue_error(dev, "rx", q, dma, ret);
		return ret;
	}
	weir_port_set_sw_csum(
		w->port, (dev->data->dev_conf.rxmode.offloads & NET_WEIR_RX_CSUM) == 0);
	w->rxq[q] = (struct net_weir_queue){
		.pool = pool,
		.offloads = conf->offloads,
		.nb_desc = nb_desc,
		.deferred = conf->rx_deferred_start != 0,
	};
	dev->data->rx_queues[q] = weir_port_rxq(w->port, q);
	return 0;
}

int
net_weir_txq_setup(struct rte_eth_dev *dev, uint16_t q, uint16_t nb_desc,
		   unsigned int socket, const struct rte_eth_txconf *conf)
{
	struct net_weir *w = dev->data->dev_private;
	const char *dma = w->args.dma_tx[q];
	int ret = engines_get(w, dma, w->engine_tx[q]);

	RTE_SET_USED(socket);
	if (ret == 0)
		ret = weir_port_txq_setup(w->port, q, dma);
	if (ret != 0) {
		queue_error(dev, "tx", q, dma, ret);
		return ret;
	}
	w->txq[q] = (struct net_weir_queue){
		.offloads = conf->offloads,
		.nb_desc = nb_desc,
		.deferred = conf->tx_deferred_start != 0,
	};
	dev->data->tx_queues[q] = weir_port_txq(w->port, q);
	return 0;
}

/*
 * Let a queue run, or hold it. One whose copies do not end is not in the hands
 * of the application any more, which is all it asked for.
 */
static int
queue_enable(struct rte_eth_dev *dev, bool rx, uint16_t q, bool on)
{
	struct net_weir *w = dev->data->dev_private;
	int ret = rx ? weir_port_rxq_enable(w->port, q, on)
		     : weir_port_txq_enable(w->port, q, on);
	uint8_t *state = rx ? dev->data->rx_queue_state : dev->data->tx_queue_state;

	if (ret != 0 && (on || ret != -EBUSY))
		return ret;
	state[q] = on ? RTE_ETH_QUEUE_STATE_STARTED : RTE_ETH_QUEUE_STATE_STOPPED;
	return 0;
}

int
net_weir_rxq_start(struct rte_eth_dev *dev, uint16_t q)
{
	return queue_enable(dev, true, q, true);
}

int
net_weir_rxq_stop(struct rte_eth_dev *dev, uint16_t q)
{
	return queue_enable(dev, true, q, false);
}

int
net_weir_txq_start(struct rte_eth_dev *dev, uint16_t q)
{
	return queue_enable(dev, false, q, true);
}

int
net_weir_txq_stop(struct rte_eth_dev *dev, uint16_t q)
{
	return queue_enable(dev, false, q, false);
}

void
net_weir_rxq_info(struct rte_eth_dev *dev, uint16_t q, struct rte_eth_rxq_info *i)
{
	const struct net_weir *w = dev->data->dev_private;

	i->mp = w->rxq[q].pool;
	i->conf.offloads = w->rxq[q].offloads;
	i->conf.rx_deferred_start = w->rxq[q].deferred;
	i->scattered_rx = !w->args.linear;
	i->nb_desc = w->rxq[q].nb_desc;
	i->rx_buf_size =
		(uint16_t)(rte_pktmbuf_data_room_size(i->mp) - RTE_PKTMBUF_HEADROOM);
}

void
net_weir_txq_info(struct rte_eth_dev *dev, uint16_t q, struct rte_eth_txq_info *i)
{
	const struct net_weir *w = dev->data->dev_private;

	i->conf.offloads = w->txq[q].offloads;
	i->conf.tx_deferred_start = w->txq[q].deferred;
	i->nb_desc = w->txq[q].nb_desc;
}

/* Each queue that was asked for is there: after a reset none is. */
static bool
all_set_up(const struct rte_eth_dev *dev)
{
	for (uint16_t i = 0; i < dev->data->nb_rx_queues; i++)
		if (dev->data->rx_queues[i] == NULL)
			return false;
	for (uint16_t i = 0; i < dev->data->nb_tx_queues; i++)
		if (dev->data->tx_queues[i] == NULL)
			return false;
	return true;
}

void
net_weir_queues_forget(struct rte_eth_dev *dev)
{
	for (uint16_t i = 0; i < dev->data->nb_rx_queues; i++)
		dev->data->rx_queues[i] = NULL;
	for (uint16_t i = 0; i < dev->data->nb_tx_queues; i++)
		dev->data->tx_queues[i] = NULL;
}

int
net_weir_queues_prepare(struct rte_eth_dev *dev)
{
	struct net_weir *w = dev->data->dev_private;

	if (!all_set_up(dev))
		return -EINVAL;

	/* those of an earlier configuration, too: nobody polls them now */
	for (uint16_t i = 0; i < w->args.queues; i++) {
		bool rx = i < dev->data->nb_rx_queues && !w->rxq[i].deferred;
		bool tx = i < dev->data->nb_tx_queues && !w->txq[i].deferred;

		if (weir_port_rxq(w->port, i) != NULL)
			weir_port_rxq_enable(w->port, i, rx);
		if (weir_port_txq(w->port, i) != NULL)
			weir_port_txq_enable(w->port, i, tx);
	}
	return dev->data->dev_conf.intr_conf.rxq != 0 ? net_weir_intr_make(dev) : 0;
}

static void
queue_states_set(struct rte_eth_dev *dev, uint8_t state)
{
	const struct net_weir *w = dev->data->dev_private;

	for (uint16_t i = 0; i < dev->data->nb_rx_queues; i++)
		dev->data->rx_queue_state[i] =
			w->rxq[i].deferred ? RTE_ETH_QUEUE_STATE_STOPPED : state;
	for (uint16_t i = 0; i < dev->data->nb_tx_queues; i++)
		dev->data->tx_queue_state[i] =
			w->txq[i].deferred ? RTE_ETH_QUEUE_STATE_STOPPED : state;
}

void
net_weir_queues_started(struct rte_eth_dev *dev)
{
	queue_states_set(dev, RTE_ETH_QUEUE_STATE_STARTED);
}

void
net_weir_queues_stopped(struct rte_eth_dev *dev)
{
	queue_states_set(dev, RTE_ETH_QUEUE_STATE_STOPPED);
}
