/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PORT_PORT_INFLIGHT_H
#define WEIR_PORT_PORT_INFLIGHT_H
/*
 * What was in flight when a backend died, see port_inflight.c. Control thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "weir_gmem_file.h"
#include "weir_vhost.h"

struct ctl_timer;
struct weir_port;
struct weir_vring;

/* The area of SET_INFLIGHT_FD, see weir_inflight.h. */
struct port_inflight {
	struct weir_gmem_file file;
	uint16_t nr_rings, size;
	bool packed;
};

/* Make the file of ev->inflight, ev->fd. 0; -errno. */
int port_inflight_make(struct weir_vhost_event *ev);

/* Put the session's area in force. Rings are stopped on success. 0; -errno: the
 * old one is. */
int port_inflight_set(struct weir_port *p);

/* Forget it. Rings are stopped. */
void port_inflight_clear(struct weir_port *p);

/* Ring i is about to run: it begins with what the area says. 0; -EINVAL: it has no
 * room for the ring; -EPROTO: it makes no sense; -ENOMEM. */
int port_inflight_begin(struct weir_port *p, uint32_t i);

/* The same of a packed ring, found as vr, and nothing but that: its place is kept in
 * the area, and is taken from there if it has not run in this session. Then its
 * frontend may know of an older one; later it knows better, a reset may have been. */
int port_inflight_keep(struct weir_port *p, uint32_t i, struct weir_vring *vr, bool ran);

/* Ring i has stopped. */
void port_inflight_end(struct weir_port *p, uint32_t i);

/* The timer's function. */
void port_resubmit_expired(struct ctl_timer *t);

#endif /* WEIR_PORT_PORT_INFLIGHT_H */
