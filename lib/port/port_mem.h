/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PORT_PORT_MEM_H
#define WEIR_PORT_PORT_MEM_H
/*
 * The port's guest memory, see port_mem.c. Control thread.
 */
#include <stdbool.h>

#include "weir_gmem.h"
#include "weir_vhost.h"

struct ctl_timer;
struct weir_port;

/* A table of guest memory, or a view of a vIOMMU's translations, that is not in
 * force, and that somebody may be at. */
struct port_table {
	const struct weir_gmem *g;    /* &weir_gmem_empty: none */
	const struct weir_gmem *view; /* NULL: none */
	struct port_table *next;
};

/*
 * Take over the session's whole table, or one region more or less. Rings go on,
 * but for those that lie in a region which goes: they are at rest afterwards.
 *
 * 0; -EBUSY: copies that touch a region which goes do not end; -errno. The old
 * table is in force then.
 */
int port_mem_table(struct weir_port *p);
int port_mem_add(struct weir_port *p, const struct weir_vhost_region *r);
int port_mem_del(struct weir_port *p, const struct weir_vhost_region *r);

/* Map all there is for DMA. 0; -errno: nothing is. */
int port_mem_map(struct weir_port *p);

/* Forget all guest memory. Rings are stopped. */
void port_mem_clear(struct weir_port *p);

/* Put away what nobody is at; take over what somebody may be at. */
void port_tables_reap(struct weir_port *p);
void port_table_out(struct weir_port *p, struct port_table *t);

/* True if the memory behind a slot is that of a slot of @p g. */
bool port_table_has(const struct weir_gmem *g, const struct weir_gmem_slot *s);

/* The timer's function: look again at what somebody may have been at. */
void port_reap_expired(struct ctl_timer *t);

#endif /* WEIR_PORT_PORT_MEM_H */
