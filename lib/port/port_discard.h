/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PORT_PORT_DISCARD_H
#define WEIR_PORT_PORT_DISCARD_H
/*
 * Transmit rings that the guest has turned off.
 *
 * What it had put there before, or puts there until it has noticed, nobody carries any
 * more. The vhost-user specification ("Ring states") has the backend discard it: else it
 * lies there until the ring is turned on again, which may be never, and a guest's TCP
 * sends nothing again that its own device has not let go of.
 */
struct ctl_timer;
struct weir_port;

/* Look after the rings that are off, from now on, or do not if there is none. */
void port_discard_sync(struct weir_port *p);

/* The timer's function. */
void port_discard_expired(struct ctl_timer *t);

#endif /* WEIR_PORT_PORT_DISCARD_H */
