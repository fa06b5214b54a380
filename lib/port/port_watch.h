/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PORT_PORT_WATCH_H
#define WEIR_PORT_PORT_WATCH_H
/*
 * Sleep until a word of guest memory changes, see port_watch.c. Control thread.
 */
#include "weir_gmem.h"

struct weir_port;

/* Put a table away, under those who may be looking at it. */
void port_watch_put(struct weir_port *p, const struct weir_gmem *g);

/* The port is put away: nobody looks at anything any more. */
void port_watch_free(struct weir_port *p);

#endif /* WEIR_PORT_PORT_WATCH_H */
