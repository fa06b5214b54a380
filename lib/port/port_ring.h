/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PORT_PORT_RING_H
#define WEIR_PORT_PORT_RING_H
/*
 * Rings follow the session, see port_ring.c. Control thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "port_inband.h"
#include "queue.h"
#include "weir_mirror.h"
#include "weir_vhost.h"
#include "weir_vring.h"

struct ctl_timer;
struct port_resubmit;
struct weir_port;

/* A ring: the queue, and how the control thread runs it. */
struct port_ring {
	struct weir_queue q;	      /* first: epoch readers are cache-aligned */
	struct weir_mirror_user user; /* if it has channels, and the port a mirror */
	bool set_up;		      /* by weir_port_rxq_setup() or _txq_setup() */
	bool held;		      /* weir_port_rxq_enable(): not to run */
	bool running;
	bool told;     /* running, as weir_port_queue_event() last said */
	bool overdue;  /* to be stopped, copies do not end; it was said */
	bool own_base; /* base says where to go on, not the session's */
	bool ran;      /* in this session */
	uint32_t base; /* as on the wire: where it is while it is at rest */
	uint64_t gen;  /* of the session's ring when it was started */
	/* where its parts are, as the frontend says, and here */
	struct weir_vring_part part[WEIR_VRING_PARTS];
	const void *at[WEIR_VRING_PARTS];
	struct port_inband inband;
	struct port_resubmit *resubmit; /* chains of another backend's; NULL: none */
};

/*
 * How long a stop waits for bursts and copies before it is given up: longer than it takes
 * to find that an engine hangs and to copy what it has by CPU, if that is a second or
 * two.
 */
uint64_t port_drain_us(void);

/* How often tx queues with a channel are looked at, in case nobody calls them. */
#define PORT_IDLE_US 2000u

/*
 * A descriptor of one's own for one of the session's, or -1 for -1: the session closes
 * its when another comes or the peer goes, which may be before a queue that hangs has let
 * go of it. 0; -errno.
 */
int port_fd_take(int fd, int *own);

/* Stop one; all. 0; -EBUSY: not within the time, call it again. */
int port_ring_stop(struct weir_port *p, uint32_t i, uint64_t timeout_us);
int port_rings_stop(struct weir_port *p, uint64_t timeout_us);

/*
 * Stop the rings of whose parts one is not where it was in @p table, of memory or
 * a view; those of which one is among addresses that are invalidated; those of
 * which one is and is elsewhere now.
 *
 * out_us: how long to wait for a burst that is under way.
 *
 * 0; -EBUSY: not within the time. Those that did not stop run on; those that did
 * wait for port_rings_sync().
 */
int port_rings_leave(struct weir_port *p, const struct weir_gmem *table);
int port_rings_unmap(struct weir_port *p, struct weir_range iova, uint64_t out_us);
int port_rings_moved(struct weir_port *p, struct weir_range iova, uint64_t out_us);

/*
 * Find a ring and all that its queue works with, and put that away; the queue is not
 * live. 0; -errno, and nothing is kept.
 */
int port_ring_get(struct weir_port *p, uint32_t i, const struct weir_vhost_ring *want,
		  struct weir_vring_addr *addr);
void port_ring_put(struct weir_port *p, uint32_t i);

/* The guest has started a ring, but turned it off: by SET_VRING_ENABLE, or by its number
 * of pairs. */
bool port_ring_off(const struct weir_port *p, uint32_t i);

/* How a ring of the session's is to be found. @p base: as on the wire. */
struct weir_vring_addr port_ring_addr(const struct weir_port *p,
				      const struct weir_vhost_ring *want, uint32_t base);

/* The base of a ring at rest, as a frontend is told: what was taken has been
 * given back. */
uint32_t port_ring_base(const struct weir_vring *vr);

/* Stop, start and restart rings until they are as the session has them.
 * 0; -EBUSY: one cannot be stopped, and neither runs nor is at rest; -errno: why
 * one does not start. */
int port_rings_sync(struct weir_port *p);

/* Announce p->announce_mac, now or when there is a ring to receive that from. */
void port_announce(struct weir_port *p);

/* Tell of the link if it has changed. */
void port_link_sync(struct weir_port *p);

/* The timer's function: collect for tx queues that nobody calls. */
void port_idle_expired(struct ctl_timer *t);

#endif /* WEIR_PORT_PORT_RING_H */
