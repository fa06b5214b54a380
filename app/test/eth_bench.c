/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <rte_bus_vdev.h>

#include "eth_bench.h"
#include "run_folder.h"
#include "weir_log.h"

#define EVENT_IDX (UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX)

struct rte_mempool *eth_pool;

static void
no_log(enum weir_log_level level, const char *msg)
{
	(void)level;
	(void)msg;
}

int
eth_queues_setup(struct eth_bench *b, const struct eth_conf *c)
{
	struct rte_eth_rxconf rx = { 0 };
	struct rte_eth_txconf tx = { 0 };
	int ret = 0;

	for (uint16_t i = 0; i < b->queues && ret == 0; i++) {
		rx.rx_deferred_start = c->deferred && i + 1 == b->queues;
		tx.tx_deferred_start = rx.rx_deferred_start;
		ret = rte_eth_rx_queue_setup(b->port, i, 128, 0, &rx, eth_pool);
		if (ret == 0)
			ret = rte_eth_tx_queue_setup(b->port, i, 64, 0, &tx);
	}
	return ret;
}

int
eth_open(struct eth_bench *b, const struct eth_conf *c)
{
	struct rte_eth_conf conf = {
		.intr_conf.rxq = c->intr,
		.rxmode.offloads = c->rx_offloads,
	};
	char args[256];
	int ret;

	*b = (struct eth_bench){ .queues = c->queues, .fe.sock = -1, .fe.mem_fd = -1 };
	weir_log_set_sink(no_log);
	/* what a failed case left behind is not the next one's fault */
	rte_vdev_uninit(ETH_NAME);
	run_folder_path(b->path, sizeof(b->path), "eth.sock");
	snprintf(args, sizeof(args), "iface=%s,queues=%u%s", b->path, c->queues,
		 c->args != NULL ? c->args : "");
	if (eth_pool == NULL)
		eth_pool = rte_pktmbuf_pool_create("test_net_weir", 2047, 0, 0,
						   RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	ret = eth_pool != NULL ? rte_vdev_init(ETH_NAME, args) : -ENOMEM;
	if (ret == 0)
		ret = rte_eth_dev_get_port_by_name(ETH_NAME, &b->port);
	if (ret == 0)
		ret = rte_eth_dev_configure(b->port, b->queues, b->queues, &conf);
	if (ret == 0)
		ret = eth_queues_setup(b, c);
	return ret == 0 ? rte_eth_dev_start(b->port) : ret;
}

unsigned int
eth_close(struct eth_bench *b)
{
	fe_close(&b->fe);
	rte_vdev_uninit(ETH_NAME);
	weir_log_set_sink(NULL);
	return rte_mempool_in_use_count(eth_pool);
}

bool
eth_link_becomes(const struct eth_bench *b, bool up)
{
	struct rte_eth_link link;

	for (int i = 0; i < 10000; i++) {
		if (rte_eth_link_get_nowait(b->port, &link) == 0 &&
		    (link.link_status == RTE_ETH_LINK_UP) == up)
			return true;
		usleep(1000);
	}
	return false;
}

/* The guest looks whether it was asked to kick, as a driver does. */
static bool
kick_wanted(const struct eth_bench *b, const struct fe_ring *r, uint16_t old)
{
	volatile uint16_t *avail_event;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (r->packed != NULL)
		return *(volatile uint16_t *)&r->device->flags !=
		       VRING_PACKED_EVENT_FLAG_DISABLE;
	if ((b->fe.features & EVENT_IDX) == 0)
		return (*(volatile uint16_t *)&r->used->flags & VRING_USED_F_NO_NOTIFY) ==
		       0;
	avail_event = (void *)&r->used->ring[FE_RING];
	return vring_need_event(*avail_event, r->avail_idx, old);
}

bool
eth_guest_sends(struct eth_bench *b, unsigned int pair, uint8_t nr)
{
	struct fe_ring *r = &b->fe.ring[2 * pair + 1];
	uint8_t frame[64];
	uint16_t old = r->avail_idx;

	memset(frame, nr, sizeof(frame));
	fe_reap(&b->fe, pair);
	if (!fe_send(&b->fe, pair, frame, sizeof(frame), FE_ONE))
		return false;
	if (kick_wanted(b, r, old))
		(void)!write(r->kick, &(uint64_t){ 1 }, sizeof(uint64_t));
	return true;
}

unsigned int
eth_host_receives(const struct eth_bench *b, uint16_t q)
{
	struct rte_mbuf *pkts[ETH_BURST];
	unsigned int n = 0, got;

	while ((got = rte_eth_rx_burst(b->port, q, pkts, ETH_BURST)) != 0) {
		rte_pktmbuf_free_bulk(pkts, got);
		n += got;
	}
	return n;
}

bool
eth_host_sends(const struct eth_bench *b, uint16_t q)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(eth_pool);

	if (m == NULL || rte_pktmbuf_append(m, 60) == NULL)
		return false;
	memset(rte_pktmbuf_mtod(m, void *), 0x55, 60);
	if (rte_eth_tx_burst(b->port, q, &m, 1) == 1)
		return true;
	rte_pktmbuf_free(m);
	return false;
}
