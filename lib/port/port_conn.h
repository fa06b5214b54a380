/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PORT_PORT_CONN_H
#define WEIR_PORT_PORT_CONN_H
/*
 * Sockets and messages, see port_conn.c. Control thread.
 */
struct ctl_fd;
struct weir_port;

/* Begin to listen or to connect. */
int port_conn_open(struct weir_port *p);

/* Part with the peer; fmt says why, NULL if it is no fault of its own. */
void port_conn_close(struct weir_port *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* A queue was broken by its guest. */
void port_fault_ready(struct ctl_fd *f);

#endif /* WEIR_PORT_PORT_CONN_H */
