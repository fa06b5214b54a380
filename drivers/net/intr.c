/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Receive interrupts: each receive queue's wake descriptor (weir_port.h) is the
 * interrupt vector of its number.
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
