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
 *
 * size: the port is one structure; what follows are the calls between its files.
 */
#include "ctl.h"
#include "ctrlq.h"
#include "hash.h"
#include "port_backend.h"
#include "port_postcopy.h"
#include "queue.h"
#include "weir_gmem_file.h"
#include "weir_iotlb.h"
#include "weir_port.h"
#include "weir_vhost.h"

enum port_state { PORT_IDLE, PORT_WAITING, PORT_CONNECTED, PORT_CLOSING };

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
	uint32_t base; /* as on the wire: where it is while it is at rest */
	uint64_t gen;  /* of the session's ring when it was started */
	/* where its parts are, as the frontend says, and here */
	struct weir_vring_part part[WEIR_VRING_PARTS];
	const void *at[WEIR_VRING_PARTS];
	struct port_resubmit *resubmit; /* chains of another backend's; NULL: none */
};

/* A table of guest memory, or a view of a vIOMMU's translations, that is not in
 * force, and that somebody may be at. */
struct port_table {
	const struct weir_gmem *g;    /* &weir_gmem_empty: none */
	const struct weir_gmem *view; /* NULL: none */
	struct port_table *next;
};

/* How a guest has frames hashed. Those that are not in force wait in a list. */
struct port_hash {
	struct hash h; /* first */
	struct port_hash *next;
};

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

/* The area of SET_INFLIGHT_FD, see weir_inflight.h. */
struct port_inflight {
	struct weir_gmem_file file;
	uint16_t nr_rings, size;
	bool packed;
};

/* The control queue, if its frontend hands it over. */
struct port_ctrl {
	struct ctrlq q; /* what the driver has asked for */
	struct weir_vring vr;
	struct weir_vring_used *shadow; /* packed: for the ring */
	struct ctl_fd kick;		/* epoll(7) of the guest's */
	struct ctl_timer again;		/* there is more */
	int kick_fd, call_fd;
	struct weir_vring_part part[WEIR_VRING_PARTS];
	bool running;
	bool waits;    /* for a translation */
	bool own_base; /* base says where to go on, not the session's */
	uint32_t base;
	uint64_t gen; /* of the session's ring when it was started */
	struct queue_log_conf log;
	bool logs;	 /* the guest migrates */
	uint16_t logged; /* used_idx, or used_pos: what is before is logged */
};

struct weir_port {
	char name[64];
	char path[108];
	struct weir_port_conf conf;
	uint32_t id; /* owner of its regions in the mirror */
	enum port_state state;
	bool started;
	bool closing;	   /* weir_port_destroy() waits: no new peer */
	int connect_error; /* client: what was last logged of connecting */
	struct ctl_fd listen, conn, fault;
	struct ctl_timer retry; /* CLOSING: look again; WAITING: connect, accept again */
	struct ctl_timer idle;	/* collect for tx queues that nobody calls */
	struct ctl_timer reap;	/* look again at `out` */
	struct ctl_timer resubmit; /* chains of another backend's are under way */
	struct ctl_timer coal;	   /* calls that are held back */
	struct ctl_timer told;	   /* call conf.notify, with nothing half done */
	bool link_changed, queue_changed, filter_changed, mtu_changed; /* what of */
	struct ctl_timer config_again; /* say that the configuration has changed */
	uint8_t guest_mac[6];	       /* in the configuration space */
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
	const struct hash *_Atomic hash; /* in force; NULL: none. lcores read it */
	struct port_hash *hash_out;	 /* to be freed when nobody is at them */
	_Atomic bool coal_dozes;	 /* its timer is not set; lcores read it */
	unsigned int coal_idle;		 /* looks that found nothing */
	_Atomic uint16_t nr_tx; /* tx queues that run, from 0 on. lcores read it */
	struct port_iotlb iotlb;
	struct weir_gmem_file log; /* SET_LOG_BASE's */
	uint64_t connections;	   /* peers so far */
	uint64_t resets;	   /* peers disconnected for what they did */
	char last_error[256];	   /* why the last one was */
	_Atomic bool link;	   /* any thread reads it */
	_Atomic uint16_t peer_mtu;
	struct weir_port *next; /* of all ports; control thread */
	uint32_t nr_rings;
	struct port_ring ring[];
};

/* All ports of the process. Control thread. */
struct weir_port *port_first(void);

/* telemetry.c: register the commands, once. */
void port_telemetry_init(void);

/* How long a stop waits for copies before it is given up, to be tried again. */
#define PORT_DRAIN_US 200000u

/* How often tx queues with a channel are looked at, in case nobody calls them. */
#define PORT_IDLE_US 2000u

/* Have conf.notify called when the control thread is done with what it does: it
 * may stop the port, and then the session is no more. */
void port_notify(struct weir_port *p, enum weir_port_event event);

/* port_mem.c: guest memory. */

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

/* port_fence.c: another table while rings run. */

/* Have the next burst of each ring translate by @p g, a table or a view. */
void port_publish(struct weir_port *p, const struct weir_gmem *g);

/* Wait until each burst that was under way is over. 0; -EBUSY. */
int port_wait_out(struct weir_port *p, uint64_t timeout_us);

/*
 * Wait for the copies that touch slots of @p g which are not in @p keep.
 *
 * 0; -EBUSY: those that touch *stuck do not end within timeout_us in all.
 */
int port_wait_copies(struct weir_port *p, const struct weir_gmem *g,
		     const struct weir_gmem *keep, uint64_t timeout_us,
		     const struct weir_gmem_slot **stuck);

/* Give a ring, at rest, other channels, which it takes over; nr 0: none. */
void port_ring_set_chans(struct weir_port *p, struct port_ring *r,
			 struct weir_copy_chan *const *chans, unsigned int nr);

/* Wait for the copies that touch host memory. deadline: rte_get_timer_cycles().
 * 0; -EBUSY. */
int port_wait_range(struct weir_port *p, struct weir_range hva, uint64_t deadline);

/* port_ring.c: rings follow the session. */

/* Stop one; all. 0; -EBUSY: not within the time, call it again. */
int port_ring_stop(struct weir_port *p, uint32_t i, uint64_t timeout_us);
int port_rings_stop(struct weir_port *p, uint64_t timeout_us);

/*
 * Stop the rings of whose parts one is not where it was in @p table, of memory or
 * a view; those of which one is among addresses that are invalidated; those of
 * which one is and is elsewhere now.
 *
 * 0; -EBUSY: not within the time. Those that did not stop run on; those that did
 * wait for port_rings_sync().
 */
int port_rings_leave(struct weir_port *p, const struct weir_gmem *table);
int port_rings_unmap(struct weir_port *p, struct weir_range iova);
int port_rings_moved(struct weir_port *p, struct weir_range iova);

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

/* port_ctrl.c: the control queue. */

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

/* port_config.c: the configuration space, if it is ours. */

/* What of struct virtio_net_config a driver can see. */
#define PORT_CONFIG_LEN 24u

/* The features of what is in it. */
uint64_t port_config_features(const struct weir_port *p);

/* A new session: as it was made. */
void port_config_reset(struct weir_port *p);

/* Answer GET_CONFIG; take SET_CONFIG, whose ranges the session has checked. 0;
 * -EINVAL: it writes what no driver may. */
void port_config_get(const struct weir_port *p, struct weir_vhost_wire_config *c);
int port_config_set(struct weir_port *p, const struct weir_vhost_wire_config *c);

/* The port was started or stopped: tell the driver. */
void port_config_changed(struct weir_port *p);

/* The timer's function. */
void port_config_expired(struct ctl_timer *t);

/* port_coal.c: calls that are held back, see queue_coal.h. */

/* Put the driver's wishes in force. 0; -EBUSY: a lcore does not come out. */
int port_coal_set(struct weir_port *p);

/* A lcore holds a call, and may be the first. */
void port_coal_wake(struct weir_port *p);

/* The timer's function. */
void port_coal_expired(struct ctl_timer *t);

/* port_steer.c: frames' hashes, and the queues that they choose. */

/* Put the driver's wish in force. 0; -ENOMEM: the old one is. */
int port_hash_set(struct weir_port *p, const struct hash_conf *conf);

/* What ring i, which is about to run, hashes by. */
void port_hash_begin(struct weir_port *p, uint32_t i);

/* The port is put away: nobody bursts any more. */
void port_hash_free(struct weir_port *p);

/* Rings have started or stopped: which of them frames can go to. */
void port_steer_sync(struct weir_port *p);

/* port_wake.c: sleep until a guest has sent something. */

/* The ring starts: have its kicks wake who sleeps on the queue. 0; -errno. */
int port_wake_start(struct port_ring *r, int kick_fd);

/* It runs: wake who went to sleep before it did. */
void port_wake_started(struct port_ring *r);

/* The ring stopped. */
void port_wake_stop(struct port_ring *r);

/* The queue is put away. */
void port_wake_free(struct port_ring *r);
/* port_inflight.c: what was in flight when a backend died. */

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

/* Ring i has stopped. */
void port_inflight_end(struct weir_port *p, uint32_t i);

/* The timer's function. */
void port_resubmit_expired(struct ctl_timer *t);

/* port_log.c: the dirty log. */

/* Put the session's log in force. Rings are stopped on success. 0; -errno: the old
 * one is. */
int port_log_set(struct weir_port *p);

/* Forget it. Rings are stopped. */
void port_log_clear(struct weir_port *p);

/* What ring i, found as vr, is to log. False: nothing. */
bool port_log_conf(const struct weir_port *p, uint32_t i, const struct weir_vring *vr,
		   struct queue_log_conf *out);

/* Ring i is about to run: it logs what the session says. 0; -ENOMEM. */
int port_log_begin(struct weir_port *p, uint32_t i);

/* port_iotlb.c: guests behind a vIOMMU. */

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

/* port_conn.c: sockets and messages. */

/* Begin to listen or to connect. */
int port_conn_open(struct weir_port *p);

/* Part with the peer; fmt says why, NULL if it is no fault of its own. */
void port_conn_close(struct weir_port *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* A queue was broken by its guest. */
void port_fault_ready(struct ctl_fd *f);

/* The timers' functions. */
void port_idle_expired(struct ctl_timer *t);
void port_reap_expired(struct ctl_timer *t);

#endif /* WEIR_PORT_PORT_H */
