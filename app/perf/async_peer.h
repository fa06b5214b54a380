/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PERF_ASYNC_PEER_H
#define WEIR_PERF_ASYNC_PEER_H
/*
 * A port of rte_vhost's whose copies are a dmadev's, as an application has to drive
 * it; no ethdev of DPDK's does. One queue pair.
 */
#include <rte_mbuf.h>

struct async_peer;

/*
 * Listen on a path. @p dma is a device with two vchans, configured and started;
 * all peers may have the same. @p path is copied.
 *
 * 0; -ENOMEM; -EIO: the library refuses, and has said why.
 */
int async_peer_listen(const char *path, int16_t dma, struct async_peer **out);

/* Nobody is connected. */
void async_peer_close(struct async_peer *p);

const char *async_peer_path(const struct async_peer *p);

/* True while a guest's rings run. */
bool async_peer_up(const struct async_peer *p);

/* Mbufs to the guest: submit, and free those that are complete. @return how many it
 * took. */
uint16_t async_peer_tx(struct async_peer *p, struct rte_mbuf **pkts, uint16_t n);

/* The guest's frames: submit, and hand on those that are complete. */
uint16_t async_peer_rx(struct async_peer *p, struct rte_mempool *pool,
		       struct rte_mbuf **pkts, uint16_t n);

#endif /* WEIR_PERF_ASYNC_PEER_H */
