/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PORT_PORT_STEER_H
#define WEIR_PORT_PORT_STEER_H
/*
 * Frames' hashes, and the queues that they choose, see port_steer.c. Control thread.
 */
#include <stdint.h>

#include "hash.h"

struct weir_port;

/* How a guest has frames hashed. Those that are not in force wait in a list. */
struct port_hash {
	struct hash h; /* first */
	struct port_hash *next;
};

/* Put the driver's wish in force. 0; -ENOMEM: the old one is. */
int port_hash_set(struct weir_port *p, const struct hash_conf *conf);

/* What ring i, which is about to run, hashes by. */
void port_hash_begin(struct weir_port *p, uint32_t i);

/* The port is put away: nobody bursts any more. */
void port_hash_free(struct weir_port *p);

/* Rings have started or stopped: which of them frames can go to. */
void port_steer_sync(struct weir_port *p);

#endif /* WEIR_PORT_PORT_STEER_H */
