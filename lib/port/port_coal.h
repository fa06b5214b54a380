/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PORT_PORT_COAL_H
#define WEIR_PORT_PORT_COAL_H
/*
 * Calls that are held back, see port_coal.c and queue_coal.h. Control thread.
 */
struct ctl_timer;
struct weir_port;

/* Put the driver's wishes in force. 0; -EBUSY: a lcore does not come out. */
int port_coal_set(struct weir_port *p);

/* A lcore holds a call, and may be the first. */
void port_coal_wake(struct weir_port *p);

/* The timer's function. */
void port_coal_expired(struct ctl_timer *t);

#endif /* WEIR_PORT_PORT_COAL_H */
