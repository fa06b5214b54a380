/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NET_WEIR_H
#define NET_WEIR_H
/*
 * net_weir: a vhost-user port as an ethdev.
 *
 * The driver is thin: it turns device arguments into a weir_port, and what
 * ethdev asks for into calls of lib/port. Its arguments are those of net_vhost
 * with their meaning, and `dmas` and `dma-threshold`.
 */
#include <stdint.h>

#include <rte_version.h>

#include <ethdev_driver.h>

#include "weir_port.h"
#include "weir_space.h"

/* Arguments of one device. */
struct net_weir_args {
	char *iface;
	uint16_t queues;
	bool client;
	bool split_only;
	bool tso;
	bool linear;
	bool ext_buf;
	bool legacy_flags;
	uint32_t dma_threshold;
	char *dma_rx[WEIR_PORT_MAX_PAIRS]; /* dmadev of each queue, NULL: CPU */
	char *dma_tx[WEIR_PORT_MAX_PAIRS];
};

/* A device. */
struct net_weir {
	struct rte_eth_dev *dev;
	struct weir_port *port;
	struct weir_space *space; /* NULL: no queue has a dmadev */
	struct rte_ether_addr mac;
	struct net_weir_args args;
};

/* args.c: 0; -errno, logged with the argument's name. Free the args in any case. */
int net_weir_args_parse(const char *name, const char *str, struct net_weir_args *a);
void net_weir_args_free(struct net_weir_args *a);

/* stats.c */
int net_weir_xstats_names(struct rte_eth_dev *dev, struct rte_eth_xstat_name *names,
			  unsigned int n);
int net_weir_xstats_get(struct rte_eth_dev *dev, struct rte_eth_xstat *xstats,
			unsigned int n);
int net_weir_stats_reset(struct rte_eth_dev *dev);
#if RTE_VERSION >= RTE_VERSION_NUM(25, 11, 0, 0)
int net_weir_stats_get(struct rte_eth_dev *dev, struct rte_eth_stats *stats,
		       struct eth_queue_stats *qstats);
#else
int net_weir_stats_get(struct rte_eth_dev *dev, struct rte_eth_stats *stats);
#endif

#endif /* NET_WEIR_H */
