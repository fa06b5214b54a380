/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control queue of a port whose frontend hands it over.
 *
 * Most frontends keep it: QEMU and DPDK's virtio-user answer the driver
 * themselves and tell a backend what comes of it by vhost-user messages. Those
 * that do not, such as crosvm, pass it on as one ring more, behind the last one
 * that the guest could use. It is served here, on the control thread, when its
 * guest kicks; it is never polled. Until its ring is ready nothing of this
 * counts.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <linux/virtio_config.h>
#include <linux/virtio_net.h>

#include "offload.h"
#include "port.h"
#include "port_coal.h"
#include "port_conn.h"
#include "port_log.h"
#include "port_steer.h"
#include "weir_errno.h"
#include "weir_fail.h"
#include "weir_inflight.h"
#include "weir_log.h"
#include "weir_vring_ops.h"

/* Commands that are carried out before others get their turn. */
#define BATCH 64u

/* Pieces that a command may be in. */
#define MAX_IOV 64u

#define PORT_OF(f, member) \
	((struct weir_port *)((char *)(f)-offsetof(struct weir_port, member)))

uint32_t
port_ctrl_index(const struct weir_port *p)
{
	uint64_t features;

	if (!p->conf.ctrl_vq || p->session == NULL)
		return UINT32_MAX;
	features = weir_vhost_features(p->session);
	if ((features & OFFLOAD_BIT(CTRL_VQ)) == 0)
		return UINT32_MAX;
	/* behind all pairs there are, or behind the only one (5.1.2) */
	return (features & (OFFLOAD_BIT(MQ) | OFFLOAD_BIT(RSS))) != 0
		       ? 2u * p->conf.nr_pairs
		       : 2u;
}

bool
port_ctrl_wants(const struct weir_port *p, uint32_t i)
{
	const uint32_t ctrl = port_ctrl_index(p);

	if (i == ctrl)
		return false;
	return ctrl == UINT32_MAX || !weir_vhost_ring_ready(p->session, ctrl) ||
	       i / 2 < p->ctrl.q.nr_pairs;
}

uint64_t
port_ctrl_offloads(const struct weir_port *p)
{
	const uint64_t features = weir_vhost_features(p->session) & OFFLOAD_GUEST;

	return p->ctrl.running ? features & p->ctrl.q.offloads : features;
}

void
port_ctrl_reset(struct weir_port *p)
{
	const struct weir_vhost_ring *r = weir_vhost_ring(p->session, port_ctrl_index(p));

	/* features that change while it runs are the dirty log's, not the driver's */
	if (r != NULL && r->started)
		return;
	ctrlq_reset(&p->ctrl.q, weir_vhost_features(p->session));
	/* none needs no memory */
	(void)port_hash_set(p, &p->ctrl.q.hash);
	(void)port_coal_set(p);
}

static void
fds_close(struct port_ctrl *c)
{
	ctl_close(&c->kick);
	close(c->kick_fd);
	if (c->call_fd >= 0)
		close(c->call_fd);
}

void
port_ctrl_stop(struct weir_port *p)
{
	struct port_ctrl *c = &p->ctrl;

	if (!c->running)
		return;
	ctl_timer_clear(&c->again);
	fds_close(c);
	port_inband_stop(&c->inband);
	free(c->shadow);
	c->shadow = NULL;
	c->running = false;
	c->base = port_ring_base(&c->vr);
	c->own_base = true;
}

/* Copy the pieces that the guest wrote, @p len bytes in all. */
static void
read_pieces(const struct weir_iov *iov, uint64_t len, uint8_t *out)
{
	for (; len != 0; len -= iov->len, out += iov->len, iov++)
		memcpy(out, iov->hva, iov->len);
}

/* The first of the pieces that the guest wants written; NULL: there is none. */
static const struct weir_iov *
answer_at(const struct weir_iov *iov, int nr, uint64_t len)
{
	for (int i = 0; i < nr; i++) {
		if (len == 0)
			return &iov[i];
		len -= iov[i].len;
	}
	return NULL;
}

/* An answer, and behind it as much of a result as the guest has room for. */
struct answer {
	uint8_t bytes[1 + sizeof(((struct ctrlq *)0)->result)];
	uint32_t len;
};

/* Write it over the pieces up to @p end. @return how much was written. */
static uint32_t
write_pieces(const struct weir_iov *iov, const struct weir_iov *end,
	     const struct answer *a)
{
	uint32_t done = 0;

	for (; iov != end && done != a->len; iov++) {
		uint32_t n = (uint32_t)RTE_MIN((uint64_t)(a->len - done), iov->len);

		memcpy(iov->hva, a->bytes + done, n);
		done += n;
	}
	return done;
}

/* The wish is granted before it is answered. 0; -errno: it cannot be. */
static int
apply(struct weir_port *p, unsigned int changed)
{
	int ret = 0;

	if ((changed & CTRLQ_PAIRS) != 0)
		ret = port_rings_sync(p);
	/* behind the rings that it chooses */
	if (ret == 0 && (changed & CTRLQ_HASH) != 0)
		ret = port_hash_set(p, &p->ctrl.q.hash);
	if (ret == 0 && (changed & CTRLQ_COAL) != 0)
		ret = port_coal_set(p);
	if ((changed & CTRLQ_OFFLOADS) != 0)
		for (uint32_t i = 0; i < p->nr_rings; i += 2)
			atomic_store(&p->ring[i].q.guest_offloads, port_ctrl_offloads(p));
	if ((changed & CTRLQ_ANNOUNCED) != 0)
		p->announce_asked = false;
	if ((changed & CTRLQ_FILTER) != 0)
		port_notify(p, WEIR_PORT_EV_FILTER);
	return ret;
}

static struct answer
carry_out(struct weir_port *p, const struct weir_iov *iov, uint64_t len)
{
	const struct ctrlq before = p->ctrl.q;
	uint8_t cmd[CTRLQ_CMD_MAX], answer;
	struct answer all;
	unsigned int changed;

	/* what is too long for any command is one that is not known */
	if (len > sizeof(cmd))
		len = 0;
	read_pieces(iov, len, cmd);
	answer = ctrlq_command(&p->ctrl.q, weir_vhost_features(p->session),
			       p->conf.nr_pairs, cmd, len, &changed);
	if (apply(p, changed) != 0) {
		p->ctrl.q.nr_pairs = before.nr_pairs;
		p->ctrl.q.hash = before.hash;
		memcpy(p->ctrl.q.coal, before.coal, sizeof(before.coal));
		port_rings_sync(p);
		(void)port_coal_set(p);
		answer = VIRTIO_NET_ERR;
	}
	weir_log(WEIR_LOG_DEBUG, "%s: control queue: class %u command %u: %s", p->name,
		 len > 0 ? cmd[0] : UINT8_MAX, len > 1 ? cmd[1] : UINT8_MAX,
		 answer == VIRTIO_NET_OK ? "done" : "refused");
	all.bytes[0] = answer;
	all.len = 1u + p->ctrl.q.result_len;
	memcpy(all.bytes + 1, p->ctrl.q.result, p->ctrl.q.result_len);
	return all;
}

/* An answer was written, and its chain published. */
static void
log_answer(struct port_ctrl *c, const struct weir_iov *iov, uint32_t len)
{
	uint32_t hint = 0;

	for (; c->log.data && len != 0; iov++) {
		uint32_t n = (uint32_t)RTE_MIN((uint64_t)len, iov->len);

		log_mark(&c->log, log_gpa(c->vr.gmem, iov->hva, &hint), n);
		len -= n;
	}
	if (c->log.used)
		c->logged = log_mark_used(&c->log, &c->vr, c->logged, &hint);
	if (c->log.event_fd >= 0)
		(void)!eventfd_write(c->log.event_fd, 1);
}

/* Up to BATCH commands. 0; a negated fault, or -WEIR_VRING_MISS; -ENODATA: one wants no
 * answer. */
static int
serve(struct weir_port *p)
{
	struct weir_vring *vr = &p->ctrl.vr;
	struct weir_iov iov[MAX_IOV];
	struct weir_vring_at at;
	unsigned int n;
	int ret = weir_vring_open(vr, vr->packed, &at);

	for (n = 0; ret == 0 && n < BATCH && weir_vring_has(vr, vr->packed, &at); n++) {
		const struct weir_iov *out;
		struct weir_chain chain;
		struct answer answer;
		uint32_t written;
		uint64_t len;
		int nr;

		vr->nr_misses = 0;
		nr = weir_vring_take(vr, vr->packed, &at, WEIR_VRING_BOTH, iov, MAX_IOV,
				     &chain, &len);
		if (nr < 0 && nr != -WEIR_VRING_MISS)
			return nr;
		ret = nr < 0 ? nr : 0;
		if (ret != 0)
			break;
		out = answer_at(iov, nr, len);
		if (out == NULL)
			return -WEIR_VRING_DIRECTION;
		answer = carry_out(p, iov, len);
		written = write_pieces(out, iov + nr, &answer);
		weir_vring_use(vr, vr->packed, chain, written);
		weir_vring_next(vr, vr->packed, &at, chain);
		weir_vring_close(vr, &at);
		if (vr->kept != NULL)
			weir_vring_publish_kept(vr, 1);
		else
			weir_vring_publish(vr, vr->packed, 1);
		weir_vring_again(vr, vr->packed, &at);
		if (p->ctrl.logs)
			log_answer(&p->ctrl, out, written);
	}
	if (n != 0 && weir_vring_want_call(vr, vr->packed) && p->ctrl.call_fd >= 0)
		(void)!eventfd_write(p->ctrl.call_fd, 1);
	return ret;
}

static void
serve_all(struct weir_port *p)
{
	struct weir_vring *vr = &p->ctrl.vr;
	struct weir_vring_at at;
	int ret = serve(p);

	if (ret == -WEIR_VRING_MISS) {
		port_iotlb_ctrl_misses(p);
		return;
	}
	if (ret != 0) {
		port_conn_close(p, "control queue: %s", weir_vring_fault_name(-ret));
		return;
	}
	weir_vring_want_kick(vr, vr->packed, true);
	if (p->ctrl.logs && p->ctrl.log.used)
		log_mark_wishes(&p->ctrl.log, vr);
	/* what came meanwhile brings no kick; what is left over neither */
	if (weir_vring_open(vr, vr->packed, &at) != 0 ||
	    weir_vring_has(vr, vr->packed, &at))
		ctl_timer_set(&p->ctrl.again, 0);
}

static void
kick_ready(struct ctl_fd *f)
{
	struct epoll_event e;

	/* the guest's descriptor is not read: that could be made to block */
	(void)!epoll_wait(f->fd, &e, 1, 0);
	serve_all(PORT_OF(f, ctrl.kick));
}

static void
again_expired(struct ctl_timer *t)
{
	serve_all(PORT_OF(t, ctrl.again));
}

/* Descriptors of its own, and in an epoll descriptor the guest's kicks. */
static int
fds_open(struct port_ctrl *c, const struct weir_vhost_ring *want)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLET };
	int ret;

	ret = port_fd_take(want->call_fd, &c->call_fd);
	if (ret != 0)
		return ret;
	ret = port_fd_take(want->kick_fd, &c->kick_fd);
	if (ret != 0)
		goto err_call;
	c->kick = (struct ctl_fd){ .fd = epoll_create1(EPOLL_CLOEXEC),
				   .ready = kick_ready };
	c->again.expired = again_expired;
	if (c->kick.fd < 0) {
		ret = -errno;
		goto err_kick;
	}
	ret = epoll_ctl(c->kick.fd, EPOLL_CTL_ADD, c->kick_fd, &e) == 0 ? 0 : -errno;
	if (ret == 0)
		ret = ctl_watch(&c->kick);
	if (ret == 0)
		return 0;
	ctl_close(&c->kick);
err_kick:
	close(c->kick_fd);
err_call:
	if (c->call_fd >= 0)
		close(c->call_fd);
	return ret;
}

static int
ctrl_start(struct weir_port *p, const struct weir_vhost_ring *want)
{
	struct port_ctrl *c = &p->ctrl;
	struct weir_vring_addr addr =
		port_ring_addr(p, want, c->own_base ? c->base : want->base);
	int ret;

	/* not yet, as with the others */
	if (!port_iotlb_ring_ready(p, UINT32_MAX, &addr))
		return 0;
	if (addr.packed) {
		c->shadow = weir_calloc(weir_vring_shadow_size(want->num),
					sizeof(*c->shadow));
		if (c->shadow == NULL)
			return -ENOMEM;
		addr.shadow = c->shadow;
	}
	ret = weir_vring_init(&c->vr, port_iotlb_table(p), &addr);
	if (ret == 0)
		ret = weir_vring_parts(&addr, c->part);
	if (ret == 0 && addr.packed)
		ret = port_inflight_keep(p, port_ctrl_index(p), &c->vr, c->ran);
	if (ret == 0)
		ret = fds_open(c, want);
	if (ret != 0)
		goto err_shadow;
	ret = port_inband_start(p, &c->inband, port_ctrl_index(p), want);
	if (ret != 0)
		goto err_fds;
	c->logs = port_log_conf(p, port_ctrl_index(p), &c->vr, &c->log);
	c->logged = addr.packed ? c->vr.used_pos : c->vr.used_idx;
	/* they were written when the ring was found, and a command may wait long */
	if (c->logs && c->log.used)
		log_mark_wishes(&c->log, &c->vr);
	c->gen = want->gen;
	c->running = true;
	c->ran = true;
	/* what the guest has asked for before there was anyone to kick */
	ctl_timer_set(&c->again, 0);
	return 0;

err_fds:
	fds_close(c);
err_shadow:
	free(c->shadow);
	c->shadow = NULL;
	return ret;
}

int
port_ctrl_sync(struct weir_port *p)
{
	const uint32_t i = port_ctrl_index(p);
	const struct weir_vhost_ring *want =
		p->session != NULL ? weir_vhost_ring(p->session, i) : NULL;
	bool ready = want != NULL && p->state == PORT_CONNECTED && p->started &&
		     !port_postcopy_holds(p) && weir_vhost_ring_ready(p->session, i);
	int ret;

	if (p->ctrl.running && (!ready || p->ctrl.gen != want->gen))
		port_ctrl_stop(p);
	if (want == NULL || !want->started)
		p->ctrl.own_base = false;
	if (want != NULL && want->has_base && !p->ctrl.own_base)
		p->ctrl.base = want->base;
	/* without kicks it would have to be polled, and nobody does */
	if (!ready || p->ctrl.running || want->kick_fd < 0)
		return 0;
	ret = ctrl_start(p, want);
	if (ret != 0)
		weir_log(WEIR_LOG_ERR, "%s: control queue, ring %u, does not start: %s",
			 p->name, i, weir_strerror(ret));
	else if (p->ctrl.running)
		weir_log(WEIR_LOG_INFO, "%s: control queue, ring %u, runs", p->name, i);
	return ret;
}

/* A question for the control thread. */
struct question {
	struct weir_port *p;
	struct weir_guest_filter *out;
};

static void
do_filter(void *arg)
{
	struct question *q = arg;

	*q->out = q->p->ctrl.q.filter;
}

void
weir_port_guest_filter(struct weir_port *p, struct weir_guest_filter *out)
{
	struct question q = { p, out };

	ctl_run(do_filter, &q);
}
