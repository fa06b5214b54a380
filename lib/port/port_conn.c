/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The port's socket, its one peer, and the messages between them.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>

#include "offload.h"
#include "port.h"
#include "port_discard.h"
#include "port_coal.h"
#include "port_config.h"
#include "port_conn.h"
#include "port_log.h"
#include "port_mem.h"
#include "weir_errno.h"
#include "weir_log.h"

#define BIT(nr) (UINT64_C(1) << (nr))
#define PORT_OF(f, member) \
	((struct weir_port *)((char *)(f)-offsetof(struct weir_port, member)))

/*
 * Try again to connect: soon, for most who are not there are being restarted, and
 * then each time after twice as long. Whoever had a ring running is not of those that
 * come, break and come again: for him it begins anew.
 */
#define CONNECT_FIRST_US UINT64_C(10000)
#define CONNECT_MAX_US UINT64_C(1000000)
/* Try again to accept when descriptors ran out. */
#define ACCEPT_US UINT64_C(500000)
/* Copies into a lost peer's memory: wait for them, then look again and again. */
#define SETTLE_FIRST_US 200000u
#define SETTLE_US UINT64_C(10000)

static uint64_t
offered_features(const struct weir_port *p)
{
	uint64_t f = BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_ANY_LAYOUT) |
		     BIT(VIRTIO_F_IN_ORDER) | BIT(VIRTIO_F_RING_RESET) |
		     BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VIRTIO_RING_F_EVENT_IDX) |
		     BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_CTRL_VQ) |
		     BIT(VIRTIO_NET_F_CTRL_RX) | BIT(VIRTIO_NET_F_GUEST_ANNOUNCE) |
		     BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_CSUM) |
		     BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VHOST_F_LOG_ALL) |
		     BIT(WEIR_VHOST_F_PROTOCOL_FEATURES) | port_config_features(p);

	if (!p->conf.split_only)
		f |= BIT(VIRTIO_F_RING_PACKED);
	if (p->conf.ctrl_vq)
		f |= BIT(VIRTIO_NET_F_CTRL_RX_EXTRA) | BIT(VIRTIO_NET_F_CTRL_VLAN) |
		     BIT(VIRTIO_NET_F_CTRL_MAC_ADDR) |
		     BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) | BIT(VIRTIO_NET_F_NOTF_COAL) |
		     BIT(VIRTIO_NET_F_VQ_NOTF_COAL);
	if (p->conf.rss)
		f |= BIT(VIRTIO_NET_F_RSS) | BIT(VIRTIO_NET_F_HASH_REPORT);
	if (p->conf.iommu)
		f |= BIT(VIRTIO_F_ACCESS_PLATFORM);
	if (p->conf.tso)
		f |= OFFLOAD_HOST_SEGMENT | OFFLOAD_GUEST;
	return f;
}

static int
session_open(struct weir_port *p)
{
	const struct weir_vhost_config conf = {
		.features = offered_features(p),
		.protocol_features =
			BIT(WEIR_VHOST_PF_MQ) | BIT(WEIR_VHOST_PF_REPLY_ACK) |
			BIT(WEIR_VHOST_PF_NET_MTU) | BIT(WEIR_VHOST_PF_STATUS) |
			BIT(WEIR_VHOST_PF_BACKEND_REQ) | BIT(WEIR_VHOST_PF_RARP) |
			BIT(WEIR_VHOST_PF_LOG_SHMFD) | BIT(WEIR_VHOST_PF_INFLIGHT_SHMFD) |
			BIT(WEIR_VHOST_PF_GET_VRING_BASE_INFLIGHT) |
			BIT(WEIR_VHOST_PF_RESET_DEVICE) |
			BIT(WEIR_VHOST_PF_CONFIGURE_MEM_SLOTS) |
			(p->conf.ctrl_vq ? BIT(WEIR_VHOST_PF_CONFIG) : 0) |
			(p->conf.inband ? BIT(WEIR_VHOST_PF_INBAND_NOTIFICATIONS) : 0) |
			(p->conf.postcopy ? BIT(WEIR_VHOST_PF_PAGEFAULT) : 0),
		.nr_queue_pairs = p->conf.nr_pairs,
		.ctrl_queue = p->conf.ctrl_vq,
		.config_len = p->conf.ctrl_vq ? PORT_CONFIG_LEN : 0,
	};

	return weir_vhost_session_create(&conf, &p->session);
}

static void
retry_later(struct weir_port *p, uint64_t delay_us)
{
	ctl_timer_set(&p->retry, delay_us);
}

static void
connect_later(struct weir_port *p)
{
	retry_later(p, p->connect_us);
	p->connect_us = RTE_MIN(2 * p->connect_us, CONNECT_MAX_US);
}

/* Copies into the lost peer's memory are over: forget the peer. 0; -EBUSY. */
static int
settle(struct weir_port *p, uint64_t timeout_us)
{
	int ret = port_rings_stop(p, timeout_us);

	if (ret != 0)
		return ret;
	/* not before: what is touched then and is not there becomes zeroes, also in the
	 * guest of a frontend that we part with */
	port_postcopy_close(p);
	p->postcopy.by_cpu = false;
	for (uint32_t i = 0; i < p->nr_rings; i++) {
		p->ring[i].own_base = false;
		p->ring[i].base = 0;
		if (p->ring[i].ran)
			p->connect_us = CONNECT_FIRST_US;
		p->ring[i].ran = false;
	}
	p->ctrl.base = 0;
	p->ctrl.ran = false;
	weir_vhost_session_destroy(p->session);
	p->session = NULL;
	weir_vhost_msg_reset(&p->rx);
	port_inflight_clear(p);
	port_inband_clear(p);
	port_log_clear(p);
	port_iotlb_clear(p);
	port_mem_clear(p);
	atomic_store(&p->peer_mtu, 0);
	p->announce = false;
	p->state = PORT_WAITING;
	/* last: whoever sees that the link is down finds nothing left of the peer */
	port_rings_sync(p);
	return 0;
}

static void
conn_lost(struct weir_port *p)
{
	ctl_close(&p->conn);
	p->state = PORT_CLOSING;
	port_backend_close(p);
	if (settle(p, SETTLE_FIRST_US) != 0) {
		port_link_sync(p);
		/* the next peer waits in the backlog until the memory is free */
		ctl_unwatch(&p->listen);
		retry_later(p, SETTLE_US);
	} else if (p->conf.client && !p->closing) {
		connect_later(p);
	}
}

void
port_conn_close(struct weir_port *p, const char *fmt, ...)
{
	va_list ap;

	if (p->state != PORT_CONNECTED)
		return;
	if (fmt != NULL) {
		va_start(ap, fmt);
		vsnprintf(p->last_error, sizeof(p->last_error), fmt, ap);
		va_end(ap);
		p->resets++;
		weir_log(WEIR_LOG_ERR, "%s: peer disconnected: %s", p->name,
			 p->last_error);
	} else {
		weir_log(WEIR_LOG_NOTICE, "%s: the peer has gone", p->name);
	}
	conn_lost(p);
}

/*
 * Stop the ring of the event and say where it stopped: now, or when a reset stopped
 * it, after which the session knows of no base. 0; -EBUSY.
 */
static int
ring_stop(struct weir_port *p, struct weir_vhost_event *ev)
{
	const bool asked = weir_vhost_ring(p->session, ev->ring)->has_base;
	int ret;

	if (ev->ring == port_ctrl_index(p)) {
		port_ctrl_stop(p);
		if (p->ctrl.own_base || !asked)
			ev->base = p->ctrl.base;
		return 0;
	}
	/* a control queue that was not negotiated has never run */
	if (ev->ring >= p->nr_rings)
		return 0;
	ret = port_ring_stop(p, ev->ring, port_drain_us());
	if (ret == 0 && (p->ring[ev->ring].own_base || !asked))
		ev->base = p->ring[ev->ring].base;
	return ret;
}

/* What the frontend says, or no longer says. */
static void
mtu_set(struct weir_port *p)
{
	const uint16_t mtu = weir_vhost_mtu(p->session);

	if (atomic_exchange(&p->peer_mtu, mtu) != mtu)
		port_notify(p, WEIR_PORT_EV_MTU);
}

/* A guest has come from elsewhere. */
static void
announce(struct weir_port *p, const uint8_t *mac)
{
	memcpy(p->announce_mac, mac, sizeof(p->announce_mac));
	/* its driver has more to announce: VLANs, IP addresses */
	if (!port_config_announce(p))
		port_announce(p);
}

/* The port acts on what a message changed. 0; -errno, for the answer. */
static int
act(struct weir_port *p, struct weir_vhost_event *ev)
{
	int ret = port_iotlb_sync(p);

	if (ret != 0) {
		/* the session has closed the one there was */
		if (ev->type == WEIR_VHOST_EV_BACKEND_REQ)
			port_backend_close(p);
		return ret;
	}
	switch (ev->type) {
	case WEIR_VHOST_EV_MEM_TABLE:
		ret = port_mem_table(p);
		break;
	case WEIR_VHOST_EV_MEM_ADD:
		ret = port_mem_add(p, &ev->region);
		break;
	case WEIR_VHOST_EV_MEM_DEL:
		ret = port_mem_del(p, &ev->region);
		break;
	case WEIR_VHOST_EV_RING_STOP:
		ret = ring_stop(p, ev);
		break;
	case WEIR_VHOST_EV_FEATURES:
	case WEIR_VHOST_EV_RESET:
		port_ctrl_reset(p);
		mtu_set(p);
		break;
	case WEIR_VHOST_EV_LOG:
		ret = port_log_set(p);
		break;
	case WEIR_VHOST_EV_GET_INFLIGHT:
		ret = port_inflight_make(ev);
		break;
	case WEIR_VHOST_EV_RING_KICK:
		port_inband_kick(p, ev->ring);
		break;
	case WEIR_VHOST_EV_INFLIGHT:
		ret = port_inflight_set(p);
		break;
	case WEIR_VHOST_EV_IOTLB_UPDATE:
		ret = port_iotlb_update(p, &ev->iotlb);
		break;
	case WEIR_VHOST_EV_IOTLB_INVALIDATE:
		ret = port_iotlb_invalidate(p, ev->iotlb.iova);
		break;
	case WEIR_VHOST_EV_BACKEND_REQ:
		ret = port_backend_open(p);
		break;
	case WEIR_VHOST_EV_MTU:
		mtu_set(p);
		break;
	case WEIR_VHOST_EV_POSTCOPY_ADVISE:
		ret = port_postcopy_advise(p, ev);
		break;
	case WEIR_VHOST_EV_POSTCOPY_LISTEN:
		ret = port_postcopy_listen(p);
		break;
	case WEIR_VHOST_EV_POSTCOPY_READY:
		port_postcopy_ready(p);
		break;
	case WEIR_VHOST_EV_POSTCOPY_END:
		ret = port_postcopy_end(p);
		break;
	case WEIR_VHOST_EV_GET_CONFIG:
		port_config_get(p, &ev->config);
		break;
	case WEIR_VHOST_EV_SET_CONFIG:
		ret = port_config_set(p, &ev->config);
		break;
	case WEIR_VHOST_EV_RARP:
		announce(p, ev->mac);
		break;
	default:
		break;
	}
	return ret;
}

/* A message that was accepted so far (ret 0) has a ring if its name says so. */
static void
message_show(const struct weir_port *p, const struct weir_vhost_event *ev, int ret)
{
	const char *name = weir_vhost_request_name(ev->request);
	char ring[24] = "";

	if (ret == 0 && strstr(name, "VRING") != NULL)
		snprintf(ring, sizeof(ring), ", ring %" PRIu32, ev->ring);
	weir_log(WEIR_LOG_DEBUG, "%s: %s%s, %" PRIu32 " bytes", p->name, name, ring,
		 ev->len);
}

static bool
is_of_memory(enum weir_vhost_event_type type)
{
	return type == WEIR_VHOST_EV_MEM_TABLE || type == WEIR_VHOST_EV_MEM_ADD ||
	       type == WEIR_VHOST_EV_MEM_DEL;
}

static void
message(struct weir_port *p)
{
	struct weir_vhost_event ev;
	char why[sizeof(p->last_error)];
	bool stuck = false, answer;
	int ret, sent = 0;

	ret = weir_vhost_session_input(p->session, &p->rx, &ev);
	snprintf(why, sizeof(why), "%s", weir_vhost_session_error(p->session));
	message_show(p, &ev, ret);
	if (ret == 0) {
		ret = act(p, &ev);
		/* a ring that neither runs nor is at rest is of no use to anyone */
		stuck = ret == -EBUSY && ev.type == WEIR_VHOST_EV_RING_STOP;
		/* the session listens, and memory that comes would be touched at once */
		stuck |= ret != 0 && ev.type == WEIR_VHOST_EV_POSTCOPY_LISTEN;
		/*
		 * Before the answer: whoever is told that a ring was enabled may
		 * count on it.
		 */
		if (ret == 0) {
			ret = port_rings_sync(p);
			/* nor is one that does not start with memory that was taken */
			stuck = ret == -EBUSY || (ret != 0 && is_of_memory(ev.type));
		}
		if (ret == 0 && ev.type == WEIR_VHOST_EV_RING_STOP)
			port_iotlb_rest(p);
		if (ret != 0)
			snprintf(why, sizeof(why), "%s: %s",
				 weir_vhost_request_name(ev.request), weir_strerror(ret));
	}
	weir_log(WEIR_LOG_DEBUG, "%s: %s: %s", p->name,
		 weir_vhost_request_name(ev.request), weir_strerror(ret));
	answer = weir_vhost_session_reply(p->session, &ev, ret, &p->tx);
	if (ret == 0 && ev.answer == WEIR_VHOST_ANSWER_REGIONS)
		port_postcopy_answer(p, &p->rx, &p->tx);
	/* a change of memory that was undone may have stopped rings */
	if (ret != 0 && !ev.close && !stuck)
		port_rings_sync(p);
	/* said before the peer can know */
	if (ret != 0 && !ev.close && !stuck)
		weir_log(WEIR_LOG_ERR, "%s: refused: %s", p->name, why);
	if (answer)
		sent = weir_vhost_msg_send(p->conn.fd, &p->tx);
	if (ev.fd >= 0)
		close(ev.fd);
	if (ev.close || stuck)
		port_conn_close(p, "%s", why);
	if (sent != 0)
		port_conn_close(p, "no answer can be sent: %s", weir_strerror(sent));
}

static void
conn_ready(struct ctl_fd *f)
{
	struct weir_port *p = PORT_OF(f, conn);
	int ret = weir_vhost_msg_recv(f->fd, &p->rx);

	if (ret == 0)
		message(p);
	else if (ret == -ECONNRESET)
		port_conn_close(p, NULL);
	else if (ret != -EAGAIN)
		port_conn_close(p, "%s", p->rx.why);
}

/* The port's peer has hung up, which was not noticed yet: there may be messages of its
 * that were not read, and it may have left some of ours. */
static bool
conn_dead(struct weir_port *p)
{
	struct pollfd fd = { .fd = p->conn.fd, .events = POLLRDHUP };

	return poll(&fd, 1, 0) == 1;
}

static void
conn_begin(struct weir_port *p, int fd)
{
	int ret = session_open(p);

	p->conn.fd = fd;
	if (ret == 0)
		ret = ctl_watch(&p->conn);
	if (ret != 0) {
		weir_log(WEIR_LOG_ERR, "%s: no session for a peer: %s", p->name,
			 weir_strerror(ret));
		weir_vhost_session_destroy(p->session);
		p->session = NULL;
		ctl_close(&p->conn);
		if (p->conf.client)
			connect_later(p);
		return;
	}
	port_ctrl_reset(p);
	port_config_reset(p);
	weir_vhost_msg_init(&p->rx);
	p->state = PORT_CONNECTED;
	p->connections++;
	weir_log(WEIR_LOG_NOTICE, "%s: a peer on %s", p->name, p->path);
}

static void
listen_ready(struct ctl_fd *f)
{
	struct weir_port *p = PORT_OF(f, listen);
	int fd, ret;

	/* a guest that was killed and started again may be here before its end */
	if (p->state == PORT_CONNECTED && conn_dead(p))
		port_conn_close(p, NULL);
	/* it waits in the backlog */
	if (p->state == PORT_CLOSING)
		return;
	ret = weir_vhost_accept(f->fd, &fd);
	if (ret == -EAGAIN)
		return;
	if (ret != 0) {
		weir_log(WEIR_LOG_ERR, "%s: cannot accept a peer: %s", p->name,
			 weir_strerror(ret));
		ctl_unwatch(f);
		retry_later(p, ACCEPT_US);
		return;
	}
	if (p->state == PORT_WAITING) {
		conn_begin(p, fd);
		return;
	}
	weir_log(WEIR_LOG_ERR, "%s: a second peer on %s was turned away", p->name,
		 p->path);
	close(fd);
}

static void
connect_now(struct weir_port *p)
{
	int fd, ret = weir_vhost_connect(p->path, &fd);

	if (ret == 0) {
		p->connect_error = 0;
		conn_begin(p, fd);
		return;
	}
	/* once, not each time */
	if (ret != p->connect_error)
		weir_log(WEIR_LOG_NOTICE, "%s: waiting for a peer on %s: %s", p->name,
			 p->path, weir_strerror(ret));
	p->connect_error = ret;
	connect_later(p);
}

static void
retry_expired(struct ctl_timer *t)
{
	struct weir_port *p = PORT_OF(t, retry);

	if (p->state == PORT_CLOSING && settle(p, 0) != 0) {
		port_postcopy_tire(p);
		retry_later(p, SETTLE_US);
		return;
	}
	if (p->closing)
		return;
	if (!p->conf.client && !p->listen.watched && ctl_watch(&p->listen) != 0)
		retry_later(p, ACCEPT_US);
	if (p->conf.client && p->state == PORT_WAITING)
		connect_now(p);
}

int
port_conn_open(struct weir_port *p)
{
	int ret = 0;

	p->conn.ready = conn_ready;
	p->listen.ready = listen_ready;
	p->retry.expired = retry_expired;
	p->idle.expired = port_idle_expired;
	p->discard.expired = port_discard_expired;
	p->resubmit.expired = port_resubmit_expired;
	if (!p->conf.client) {
		ret = weir_vhost_listen(p->path, &p->listen.fd);
		if (ret == 0)
			ret = ctl_watch(&p->listen);
		if (ret != 0) {
			ctl_close(&p->listen);
			return ret;
		}
	}
	p->state = PORT_WAITING;
	p->connect_us = CONNECT_FIRST_US;
	weir_log(WEIR_LOG_INFO, "%s: %s %s", p->name,
		 p->conf.client ? "connecting to" : "listening on", p->path);
	if (p->conf.client)
		connect_now(p);
	return 0;
}

void
port_fault_ready(struct ctl_fd *f)
{
	struct weir_port *p = PORT_OF(f, fault);
	const struct weir_gmem_slot *lost = weir_gmem_lost(p->gmem);
	eventfd_t n;

	(void)!eventfd_read(f->fd, &n);
	port_coal_wake(p);
	/* first: zeroes in place of a ring may be a fault of the ring, too */
	if (lost != NULL) {
		port_conn_close(p,
				"guest memory %#" PRIx64 "-%#" PRIx64
				" is gone: its file was cut short, or has no pages left",
				lost->gpa.start, lost->gpa.last);
		return;
	}
	if (weir_gmem_file_lost(&p->inflight.file)) {
		port_conn_close(p, "the in-flight area is gone: its file was cut short");
		return;
	}
	if (weir_gmem_file_lost(&p->log)) {
		port_conn_close(p, "the dirty log is gone: its file was cut short");
		return;
	}
	if (atomic_exchange(&p->postcopy.tired, false)) {
		port_conn_close(p, "a page of the guest's does not come");
		return;
	}
	port_iotlb_look(p);
	for (uint32_t i = 0; i < p->nr_rings; i++) {
		int fault = atomic_load(&p->ring[i].q.fault);

		if (!p->ring[i].running || fault == WEIR_VRING_OK)
			continue;
		port_conn_close(p, "ring %u: %s", i, weir_vring_fault_name(fault));
		return;
	}
}
