/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_TEST_ETH_BENCH_H
#define WEIR_TEST_ETH_BENCH_H
/*
 * A net_weir device that is asked through ethdev's own functions, with the frontend of
 * frontend.h behind it, all in one process and one thread. Needs EAL. One at a time.
 */
#include <stdbool.h>
#include <stdint.h>

#include <rte_ethdev.h>
#include <rte_mempool.h>

#include "frontend.h"

#define ETH_NAME "net_weir_test"
#define ETH_BURST 32u

struct eth_bench {
	char path[108];
	uint16_t port, queues;
	struct fe fe;
};

struct eth_conf {
	const char *args; /* of the device, behind iface= and queues=; NULL: none */
	uint16_t queues;
	uint64_t rx_offloads;
	bool intr;
	bool deferred; /* the last queue of either direction */
};

/* All frames' mbufs, made by the first eth_open(). */
extern struct rte_mempool *eth_pool;

/* Set up all queues. 0; -errno. */
int eth_queues_setup(struct eth_bench *b, const struct eth_conf *c);

/* A started device. 0; -errno. */
int eth_open(struct eth_bench *b, const struct eth_conf *c);

/* 0 if no mbuf is left with anyone. */
unsigned int eth_close(struct eth_bench *b);

/* Wait for what the control thread does; 10 s are a failed test. */
bool eth_link_becomes(const struct eth_bench *b, bool up);

/* The guest sends a frame, and kicks if it was asked to. */
bool eth_guest_sends(struct eth_bench *b, unsigned int pair, uint8_t nr);

/* How many frames a queue has, all of which are freed. */
unsigned int eth_host_receives(const struct eth_bench *b, uint16_t q);

/* Send a frame of 60 bytes. */
bool eth_host_sends(const struct eth_bench *b, uint16_t q);

#endif /* WEIR_TEST_ETH_BENCH_H */
