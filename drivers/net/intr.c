/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sleep until there is something to receive.
 *
 * Receive interrupts: each receive queue's wake descriptor (weir_port.h) is the
 * interrupt vector of its number. An address to be monitored: what weir_queue_watch()
 * says is packed into the condition's opaque words.
 */
#include <errno.h>

#include <rte_interrupts.h>

#include "net_weir.h"

static int
intr_alloc(struct rte_eth_dev *dev)
{
	const struct net_weir *w = dev->data->dev_private;
	struct rte_intr_handle *h = rte_intr_instance_alloc(RTE_INTR_INSTANCE_F_PRIVATE);

	if (h == NULL)
		return -ENOMEM;
	/* EXT: what EAL must not read after a wake-up */
	if (rte_intr_vec_list_alloc(h, NULL, w->args.queues) != 0 ||
	    rte_intr_type_set(h, RTE_INTR_HANDLE_EXT) != 0 ||
	    rte_intr_fd_set(h, -1) != 0) {
		rte_intr_vec_list_free(h);
		rte_intr_instance_free(h);
		return -ENOMEM;
	}
	dev->intr_handle = h;
	return 0;
}

int
net_weir_intr_make(struct rte_eth_dev *dev)
{
	struct net_weir *w = dev->data->dev_private;
	int ret = 0, fd;

	/* kept until the port is closed: who sleeps on it need not ask again */
	if (dev->intr_handle == NULL)
		ret = intr_alloc(dev);
	for (uint16_t i = 0; i < dev->data->nb_rx_queues && ret == 0; i++) {
		ret = weir_port_rxq_wake_fd(w->port, i, &fd);
		if (ret == 0 &&
		    (rte_intr_efds_index_set(dev->intr_handle, i, fd) != 0 ||
		     rte_intr_vec_list_index_set(dev->intr_handle, i,
						 RTE_INTR_VEC_RXTX_OFFSET + i) != 0))
			ret = -ENOSPC;
	}
	if (ret == 0 && rte_intr_nb_efd_set(dev->intr_handle, dev->data->nb_rx_queues))
		ret = -ENOSPC;
	return ret;
}

void
net_weir_intr_free(struct rte_eth_dev *dev)
{
	if (dev->intr_handle == NULL)
		return;
	/* the descriptors themselves are the port's */
	rte_intr_free_epoll_fd(dev->intr_handle);
	rte_intr_vec_list_free(dev->intr_handle);
	rte_intr_instance_free(dev->intr_handle);
	dev->intr_handle = NULL;
}

int
net_weir_rxq_intr_enable(struct rte_eth_dev *dev, uint16_t q)
{
	return weir_queue_wake_arm(dev->data->rx_queues[q]);
}

int
net_weir_rxq_intr_disable(struct rte_eth_dev *dev, uint16_t q)
{
	return weir_queue_wake_disarm(dev->data->rx_queues[q]);
}

enum { OPAQUE_MASK, OPAQUE_VALUE, OPAQUE_RUN, OPAQUE_QUEUE };

static int
monitor_over(const uint64_t val, const uint64_t opaque[RTE_POWER_MONITOR_OPAQUE_SZ])
{
	const struct weir_queue_watch w = {
		.mask = opaque[OPAQUE_MASK],
		.value = opaque[OPAQUE_VALUE],
		.run = (uint32_t)(opaque[OPAQUE_RUN] >> 1),
		.until_equal = (opaque[OPAQUE_RUN] & 1) != 0,
		.rxq = (const struct weir_queue *)(uintptr_t)opaque[OPAQUE_QUEUE],
	};

	return weir_queue_watch_over(&w, val) ? -1 : 0;
}

int
net_weir_monitor_addr(void *rxq, struct rte_power_monitor_cond *pmc)
{
	struct weir_queue_watch w;

	if (rxq == NULL)
		return -EINVAL;
	weir_queue_watch(rxq, &w);
	*pmc = (struct rte_power_monitor_cond){
		.addr = w.word,
		.size = sizeof(*w.word),
		.fn = monitor_over,
		.opaque = {
			[OPAQUE_MASK] = w.mask,
			[OPAQUE_VALUE] = w.value,
			[OPAQUE_RUN] = (uint64_t)w.run << 1 | w.until_equal,
			[OPAQUE_QUEUE] = (uintptr_t)w.rxq,
		},
	};
	return 0;
}
