/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_TEST_PORT_LCORE_H
#define WEIR_TEST_PORT_LCORE_H
/*
 * A thread that polls a pair of a port's queues while a test, on its own thread, is the
 * guest. Frames either way are numbered, and have LCORE_LEN bytes of their number's
 * pattern.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "weir_port.h"

#define LCORE_LEN 300u

/* The first three are set by who owns it; the rest is zeroed. */
struct port_lcore {
	struct weir_queue *rxq, *txq;
	struct rte_mempool *pool;
	pthread_t thread;
	_Atomic bool end;
	_Atomic bool spoilt;	  /* a frame was not as it should be */
	_Atomic uint32_t got;	  /* from the guest */
	_Atomic uint32_t given;	  /* to the guest */
	_Atomic uint32_t to_give; /* so many in all; UINT32_MAX: as many as it takes */
};

/* The bytes of frame number @nr, and whether they are. */
void lcore_fill(uint8_t *buf, uint32_t nr);
bool lcore_filled(const uint8_t *buf, uint32_t nr);

/* One round of the thread's. */
void lcore_receive(struct port_lcore *l);
void lcore_transmit(struct port_lcore *l);

/* 0; or what pthread_create() answers. */
int lcore_start(struct port_lcore *l);
void lcore_stop(struct port_lcore *l);

#endif /* WEIR_TEST_PORT_LCORE_H */
