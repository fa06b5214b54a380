/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_vhost.h>
#include <rte_vhost_async.h>

#include "async_peer.h"

/* The guest's queues, and the vchan of each. */
#define GUEST_RXQ 0
#define GUEST_TXQ 1
#define NR_QUEUES 2

#define MAX_DONE 64

struct async_peer {
	struct async_peer *next;
	_Atomic int vid; /* -1: no guest */
	int16_t dma;
	char path[108];
};

/* Changed only while nobody is connected; read on the library's thread. */
static struct async_peer *peers;

static struct async_peer *
peer_of(int vid)
{
	char path[PATH_MAX];
	struct async_peer *p = peers;

	if (rte_vhost_get_ifname(vid, path, sizeof(path)) != 0)
		return NULL;
	while (p != NULL && strcmp(p->path, path) != 0)
		p = p->next;
	return p;
}

static int
guest_came(int vid)
{
	struct async_peer *p = peer_of(vid);

	for (uint16_t q = 0; q < NR_QUEUES; q++)
		if (p == NULL || rte_vhost_async_channel_register(vid, q) != 0)
			return -1;
	atomic_store(&p->vid, vid);
	return 0;
}

static void
guest_left(int vid)
{
	struct async_peer *p = peer_of(vid);

	if (p == NULL)
		return;
	for (uint16_t q = 0; q < NR_QUEUES; q++)
		rte_vhost_async_channel_unregister(vid, q);
	atomic_store(&p->vid, -1);
}

static const struct rte_vhost_device_ops ops = {
	.new_device = guest_came,
	.destroy_device = guest_left,
};

int
async_peer_listen(const char *path, int16_t dma, struct async_peer **out)
{
	struct async_peer *p = calloc(1, sizeof(*p));
	int ret = 0;

	if (p == NULL)
		return -ENOMEM;
	p->dma = dma;
	p->vid = -1;
	snprintf(p->path, sizeof(p->path), "%s", path);
	for (uint16_t q = 0; q < NR_QUEUES && ret == 0; q++)
		ret = rte_vhost_async_dma_configure(dma, q);
	if (ret == 0)
		ret = rte_vhost_driver_register(
			p->path, RTE_VHOST_USER_ASYNC_COPY |
					 RTE_VHOST_USER_NET_COMPLIANT_OL_FLAGS);
	if (ret != 0)
		goto err_free;
	if (rte_vhost_driver_callback_register(p->path, &ops) != 0)
		goto err_unregister;
	p->next = peers;
	peers = p;
	if (rte_vhost_driver_start(p->path) != 0)
		goto err_unlink;
	*out = p;
	return 0;

err_unlink:
	peers = p->next;
err_unregister:
	rte_vhost_driver_unregister(p->path);
err_free:
	free(p);
	return -EIO;
}

void
async_peer_close(struct async_peer *p)
{
	struct async_peer **at = &peers;

	rte_vhost_driver_unregister(p->path);
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	free(p);
}

const char *
async_peer_path(const struct async_peer *p)
{
	return p->path;
}

bool
async_peer_up(const struct async_peer *p)
{
	return atomic_load(&p->vid) >= 0;
}

uint16_t
async_peer_tx(struct async_peer *p, struct rte_mbuf **pkts, uint16_t n)
{
	const int vid = atomic_load_explicit(&p->vid, memory_order_relaxed);
	struct rte_mbuf *done[MAX_DONE];
	uint16_t sent, nr;

	sent = rte_vhost_submit_enqueue_burst(vid, GUEST_RXQ, pkts, n, p->dma, GUEST_RXQ);
	nr = rte_vhost_poll_enqueue_completed(vid, GUEST_RXQ, done, MAX_DONE, p->dma,
					      GUEST_RXQ);
	rte_pktmbuf_free_bulk(done, nr);
	return sent;
}

uint16_t
async_peer_rx(struct async_peer *p, struct rte_mempool *pool, struct rte_mbuf **pkts,
	      uint16_t n)
{
	const int vid = atomic_load_explicit(&p->vid, memory_order_relaxed);
	int in_flight;

	return rte_vhost_async_try_dequeue_burst(vid, GUEST_TXQ, pool, pkts, n,
						 &in_flight, p->dma, GUEST_TXQ);
}
