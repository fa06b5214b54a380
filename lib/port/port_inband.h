/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PORT_PORT_INBAND_H
#define WEIR_PORT_PORT_INBAND_H
/*
 * Kicks and calls as messages (INBAND_NOTIFICATIONS), see port_inband.c. Control
 * thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "ctl.h"

struct weir_port;
struct weir_vhost_ring;

/* A ring's calls on their way to the frontend. */
struct port_inband {
	struct ctl_fd call; /* what is written to it is to be sent */
	bool on;	    /* something is */
	struct weir_port *p;
	uint32_t ring;
	bool sent; /* one is, and not answered */
	bool more; /* another is to be sent */
};

/* Ring i is about to run: send what is written to its call descriptor, if its frontend
 * wants that. 0; -errno. */
int port_inband_start(struct weir_port *p, struct port_inband *b, uint32_t i,
		      const struct weir_vhost_ring *want);

/* It has stopped. A call that it owes is sent. */
void port_inband_stop(struct port_inband *b);

/* The peer has gone. */
void port_inband_clear(struct weir_port *p);

/* VRING_KICK of ring i. */
void port_inband_kick(struct weir_port *p, uint32_t i);

/* The timer's function: send what could not be sent. */
void port_inband_expired(struct ctl_timer *t);

#endif /* WEIR_PORT_PORT_INBAND_H */
