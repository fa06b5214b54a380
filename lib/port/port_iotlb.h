/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PORT_PORT_IOTLB_H
#define WEIR_PORT_PORT_IOTLB_H
/*
 * Guests behind a vIOMMU, see port_iotlb.c. Control thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "ctl.h"
#include "weir_iotlb.h"
#include "weir_vhost.h"
#include "weir_vring.h"

struct weir_port;

/* Translations that are asked for at a time. */
#define PORT_IOTLB_MISSES 128u

/* One of them. */
struct port_miss {
	uint64_t page;	  /* iova */
	uint64_t due;	  /* cycles: to be looked at again; UINT64_MAX: it is answered */
	uintptr_t serial; /* what the answer is known by */
	uint32_t ring;	  /* that lacks it; UINT32_MAX: the control queue */
	uint8_t perm;	  /* VHOST_ACCESS_* */
	bool sent;	  /* else the channel was full */
};

/* What a vIOMMU translates. */
struct port_iotlb {
	struct weir_iotlb *cache;     /* NULL: the guest has none */
	const struct weir_gmem *view; /* in force */
	struct port_miss miss[PORT_IOTLB_MISSES];
	uint32_t nr_misses;
	uint32_t nr_old; /* views put out since somebody looked */
	uintptr_t serial;
	bool said; /* that something is not mapped */
	struct ctl_timer retry;
	uint64_t misses, updates, invalidations;
};

/* Have a cache if the session wants one, before its message is acted on; rings stop
 * if that changes. 0; -EBUSY: they do not; -ENOMEM. */
int port_iotlb_sync(struct weir_port *p);

/* Forget all translations. Rings are stopped. */
void port_iotlb_clear(struct weir_port *p);

/* The same if no ring is started: nobody invalidates then. */
void port_iotlb_rest(struct weir_port *p);

/* What rings are found in: the view, or guest memory itself. */
const struct weir_gmem *port_iotlb_table(const struct weir_port *p);

/* Take in a translation; take one back. 0; -errno, for the answer; -EBUSY: somebody
 * uses what was there and does not end. */
int port_iotlb_update(struct weir_port *p, const struct weir_vhost_iotlb *m);
int port_iotlb_invalidate(struct weir_port *p, struct weir_range iova);

/* True if a ring's parts are translated; else they are asked for. */
bool port_iotlb_ring_ready(struct weir_port *p, uint32_t i,
			   const struct weir_vring_addr *addr);

/* Ask for what lcores lack, if any has told; for what the control queue lacks. */
void port_iotlb_look(struct weir_port *p);
void port_iotlb_ctrl_misses(struct weir_port *p);

/* The timer's function. */
void port_iotlb_expired(struct ctl_timer *t);

#endif /* WEIR_PORT_PORT_IOTLB_H */
