/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PORT_PORT_WAKE_H
#define WEIR_PORT_PORT_WAKE_H
/*
 * Sleep until a guest has sent something, see port_wake.c. Control thread.
 */
struct port_ring;

/* The ring starts: have its kicks wake who sleeps on the queue. 0; -errno. */
int port_wake_start(struct port_ring *r, int kick_fd);

/* It runs: wake who went to sleep before it did. */
void port_wake_started(struct port_ring *r);

/* The ring stopped. */
void port_wake_stop(struct port_ring *r);

/* The queue is put away. */
void port_wake_free(struct port_ring *r);

#endif /* WEIR_PORT_PORT_WAKE_H */
