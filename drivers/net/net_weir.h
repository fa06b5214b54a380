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
#include <rte_ether.h>

#include "weir_port.h"
#include "weir_space.h"

/* Addresses that an application may give to a port, which has no use for them. */
#define NET_WEIR_MACS 64u

/* Arguments of one device. */
struct net_weir_args {
	char *iface;
	uint16_t queues;
	bool client;
	bool split_only;
	bool ctrl_vq;
	bool postcopy;
	bool rss;
	bool tso;
	bool iommu;
	bool inband;
	bool linear;
	bool ext_buf;
	bool legacy_flags;
	struct rte_ether_addr mac; /* zeroes: none was given */
	struct rte_ether_addr guest_mac;
	uint16_t guest_mtu; /* 0: none was given */
	uint32_t dma_threshold;
	bool dma_near;
	bool dma_auto;
	uint64_t dma_watchdog_us; /* UINT64_MAX: as it is */
	/* dmadevs of each queue, ',' between them; NULL: CPU */
	char *dma_rx[WEIR_PORT_MAX_PAIRS];
	char *dma_tx[WEIR_PORT_MAX_PAIRS];
};

/* What a queue was set up with, to be told again. */
struct net_weir_queue {
	struct rte_mempool *pool; /* rx */
	uint64_t offloads;
	uint16_t nb_desc;
	bool deferred; /* not started with the port */
};

/* A device. */
struct net_weir {
	struct rte_eth_dev *dev;
	/* The application's, while it configures, starts or closes; for others who come
	 * uncalled, telemetry first, see net_weir_port_hold(). NULL: closed. */
	struct weir_port *_Atomic port;
	struct weir_space *space; /* NULL: no queue has a dmadev */
	/* hardware's leave to reach guest memory, from a queue's first set-up on */
	struct weir_space_engine *engine_rx[WEIR_PORT_MAX_PAIRS][WEIR_PORT_MAX_DMAS];
	struct weir_space_engine *engine_tx[WEIR_PORT_MAX_PAIRS][WEIR_PORT_MAX_DMAS];
	struct rte_ether_addr mac[NET_WEIR_MACS];
	struct net_weir_args args;
	struct net_weir_queue rxq[WEIR_PORT_MAX_PAIRS], txq[WEIR_PORT_MAX_PAIRS];
};

/* The checksum offloads that leave partial checksums to the application. */
#define NET_WEIR_RX_CSUM (RTE_ETH_RX_OFFLOAD_UDP_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM)

/*
 * The device's port, which is not put away until net_weir_port_release(), to be called in
 * any case. NULL: there is none. Nothing that waits for the control thread is called
 * between the two. Any thread but that one, on which the port is there anyhow.
 */
struct weir_port *net_weir_port_hold(const struct rte_eth_dev *dev);
void net_weir_port_release(void);

/* args.c: 0; -errno, logged with the argument's name. Free the args in any case. */
int net_weir_args_parse(const char *name, const char *str, struct net_weir_args *a);
void net_weir_args_free(struct net_weir_args *a);

/* burst.c: the functions that the application's lcores call. */
void net_weir_set_bursts(struct rte_eth_dev *dev);
int net_weir_rx_burst_mode(struct rte_eth_dev *dev, uint16_t q,
			   struct rte_eth_burst_mode *mode);
int net_weir_tx_burst_mode(struct rte_eth_dev *dev, uint16_t q,
			   struct rte_eth_burst_mode *mode);
int net_weir_vlan_offload(struct rte_eth_dev *dev, int mask);
int net_weir_tx_cleanup(void *txq, uint32_t n);

/* queue.c */

/* Give hardware's leave back, once the port is gone. */
void net_weir_engines_put(struct net_weir *w);

int net_weir_rxq_setup(struct rte_eth_dev *dev, uint16_t q, uint16_t nb_desc,
		       unsigned int socket, const struct rte_eth_rxconf *conf,
		       struct rte_mempool *pool);
int net_weir_txq_setup(struct rte_eth_dev *dev, uint16_t q, uint16_t nb_desc,
		       unsigned int socket, const struct rte_eth_txconf *conf);
int net_weir_rxq_start(struct rte_eth_dev *dev, uint16_t q);
int net_weir_rxq_stop(struct rte_eth_dev *dev, uint16_t q);
int net_weir_txq_start(struct rte_eth_dev *dev, uint16_t q);
int net_weir_txq_stop(struct rte_eth_dev *dev, uint16_t q);
void net_weir_rxq_info(struct rte_eth_dev *dev, uint16_t q, struct rte_eth_rxq_info *i);
void net_weir_txq_info(struct rte_eth_dev *dev, uint16_t q, struct rte_eth_txq_info *i);

/* Before the port starts: which queues start with it, and who can sleep.
 * 0; -errno. */
int net_weir_queues_prepare(struct rte_eth_dev *dev);

/* The port is about to go: no queue is set up any more. */
void net_weir_queues_forget(struct rte_eth_dev *dev);

/* The port has started, or stopped: so have its queues. */
void net_weir_queues_started(struct rte_eth_dev *dev);
void net_weir_queues_stopped(struct rte_eth_dev *dev);

/* intr.c: receive interrupts, and sleep until a word of memory changes. */

/* Make the descriptors that an application sleeps on. 0; -errno. */
int net_weir_intr_make(struct rte_eth_dev *dev);
void net_weir_intr_free(struct rte_eth_dev *dev);
int net_weir_rxq_intr_enable(struct rte_eth_dev *dev, uint16_t q);
int net_weir_rxq_intr_disable(struct rte_eth_dev *dev, uint16_t q);
int net_weir_monitor_addr(void *rxq, struct rte_power_monitor_cond *pmc);

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
