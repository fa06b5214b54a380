/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PORT_PORT_H
#define WEIR_PORT_PORT_H
/*
 * The port's own state. All of it belongs to the control thread but for what
 * says otherwise; the public functions get there through ctl_run().
 *
 *     IDLE ------ start ----> WAITING --- peer ---> CONNECTED
 *                                ^                      |  peer gone, or broken
 *                                +---- settled ---- CLOSING
 *
 * IDLE       no socket yet.
 * WAITING    listening, or trying to connect.
 * CONNECTED  a session; rings run as it wants them.
 * CLOSING    the peer is gone, copies into its memory are not over: the memory
 *            stays mapped, a timer looks again. New peers wait in the backlog.
 */
#include "ctl.h"
#include "port_backend.h"
#include "port_ctrl.h"
#include "port_inflight.h"
#include "port_iotlb.h"
#include "port_postcopy.h"
#include "port_ring.h"
#include "weir_epoch.h"
#include "weir_gmem_file.h"
#include "weir_port.h"
#include "weir_vhost.h"

struct hash;
struct port_hash;
struct port_table;

enum port_state { PORT_IDLE, PORT_WAITING, PORT_CONNECTED, PORT_CLOSING };

struct weir_port {
	char name[64];
	char path[108];
	struct weir_port_conf conf;
	uint32_t id; /* owner of its regions in the mirror */
	enum port_state state;
	bool started;
	bool unplugged;	     /* weir_port_set_link() */
	bool closing;	     /* weir_port_destroy() waits: no new peer */
	int connect_error;   /* client: what was last logged of connecting */
	uint64_t connect_us; /* client: how long it waits before the next attempt */
	struct ctl_fd listen, conn, fault;
	struct ctl_timer retry; /* CLOSING: look again; WAITING: connect, accept again */
	struct ctl_timer idle;	/* collect for tx queues that nobody calls */
	struct ctl_timer discard;      /* look at tx rings that are off */
	struct ctl_timer reap;	       /* look again at `out` */
	struct ctl_timer inband_again; /* calls that could not be sent */
	struct ctl_timer resubmit;     /* chains of another backend's are under way */
	struct ctl_timer coal;	       /* calls that are held back */
	struct ctl_timer told;	       /* call conf.notify, with nothing half done */
	bool link_changed, queue_changed, filter_changed, mtu_changed; /* what of */
	struct ctl_timer config_again; /* say that the configuration has changed */
	uint8_t guest_mac[6];	       /* in the configuration space */
	bool announce_asked;	       /* there: the driver is to announce itself */
	bool announce;		 /* the next rx ring of the first pair that runs ... */
	uint8_t announce_mac[6]; /* ... this guest, which has come from elsewhere */
	struct weir_vhost_session *session;
	struct weir_vhost_msg rx, tx;
	const struct weir_gmem *gmem; /* in force */
	struct port_table *out;	      /* to be put away when nobody is at them */
	struct weir_epoch epoch;      /* of the queues */
	struct port_inflight inflight;
	struct port_ctrl ctrl;
	struct port_backend backend;
	struct port_postcopy postcopy;
	/* pages in the place of memory that has gone, see port_watch.c */
	struct weir_range stay[WEIR_PORT_MAX_PAIRS];
	uint32_t nr_stays;
	const struct hash *_Atomic hash; /* in force; NULL: none. lcores read it */
	struct port_hash *hash_out;	 /* to be freed when nobody is at them */
	_Atomic bool coal_dozes;	 /* its timer is not set; lcores read it */
	unsigned int coal_idle;		 /* looks that found nothing */
	_Atomic uint16_t nr_tx; /* tx queues that run, from 0 on. lcores read it */
	struct port_iotlb iotlb;
	struct weir_gmem_file log; /* SET_LOG_BASE's */
	int log_event_fd;	   /* SET_LOG_FD's, the port's own; -1: none */
	uint64_t connections;	   /* peers so far */
	uint64_t resets;	   /* peers disconnected for what they did */
	char last_error[256];	   /* why the last one was */
	_Atomic bool link;	   /* any thread reads it */
	_Atomic uint16_t peer_mtu;
	struct weir_port *next; /* of all ports; control thread */
	uint32_t nr_rings;
	struct port_ring ring[];
};

/* True if the application lets the port run. */
static inline bool
port_plugged(const struct weir_port *p)
{
	return p->started && !p->unplugged;
}

/* All ports of the process. Control thread. */
struct weir_port *port_first(void);

/* Have conf.notify called when the control thread is done with what it does: it
 * may stop the port, and then the session is no more. */
void port_notify(struct weir_port *p, enum weir_port_event event);

#endif /* WEIR_PORT_PORT_H */
