/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PORT_PORT_CTRL_H
#define WEIR_PORT_PORT_CTRL_H
/*
 * The control queue, see port_ctrl.c. Control thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "ctl.h"
#include "ctrlq.h"
#include "port_inband.h"
#include "queue_log.h"
#include "weir_vring.h"

struct weir_port;

/* The control queue, if its frontend hands it over. */
struct port_ctrl {
	struct ctrlq q; /* what the driver has asked for */
	struct weir_vring vr;
	struct weir_vring_used *shadow; /* packed: for the ring */
	struct ctl_fd kick;		/* epoll(7) of the guest's */
	struct ctl_timer again;		/* there is more */
	int kick_fd, call_fd;
	struct port_inband inband;
	struct weir_vring_part part[WEIR_VRING_PARTS];
	bool running;
	bool waits;    /* for a translation */
	bool own_base; /* base says where to go on, not the session's */
	bool ran;      /* in this session */
	uint32_t base;
	uint64_t gen; /* of the session's ring when it was started */
	struct queue_log_conf log;
	bool logs;	 /* the guest migrates */
	uint16_t logged; /* used_idx, or used_pos: what is before is logged */
};

/* Number of its ring; UINT32_MAX: it is not ours to serve. */
uint32_t port_ctrl_index(const struct weir_port *p);

/* True if the driver uses ring i for packets, for all the control queue says. */
bool port_ctrl_wants(const struct weir_port *p, uint32_t i);

/* What the driver takes now: OFFLOAD_GUEST bits. */
uint64_t port_ctrl_offloads(const struct weir_port *p);

/* There is a new session, or its features have changed: forget what a driver has
 * asked for, unless it is still there. */
void port_ctrl_reset(struct weir_port *p);

/* Start, stop or restart it as the session has it. 0; -errno: it does not start. */
int port_ctrl_sync(struct weir_port *p);
void port_ctrl_stop(struct weir_port *p);

#endif /* WEIR_PORT_PORT_CTRL_H */
