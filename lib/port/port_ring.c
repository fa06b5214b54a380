/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rings follow the session: after each message every ring is compared with what
 * the frontend wants of it now, and stopped, started, or restarted.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <linux/virtio_config.h>
#include <linux/virtio_net.h>

#include <rte_common.h>

#include "offload.h"
#include "port.h"
#include "port_discard.h"
#include "port_log.h"
#include "port_steer.h"
#include "port_wake.h"
#include "weir_copy.h"
#include "weir_errno.h"
#include "weir_log.h"

/* What a reset and the copies by CPU take; no more, so that no other port waits for long.
 */
#define DRAIN_SLACK_US 500000u
#define DRAIN_MIN_US 1000000u
#define DRAIN_MAX_US 2000000u

uint64_t
port_drain_us(void)
{
	return RTE_MIN(RTE_MAX(weir_copy_watchdog() + DRAIN_SLACK_US, DRAIN_MIN_US),
		       DRAIN_MAX_US);
}

static void
call_fd_close(struct port_ring *r)
{
	if (r->q.call_fd >= 0)
		close(r->q.call_fd);
	r->q.call_fd = -1;
}

uint32_t
port_ring_base(const struct weir_vring *vr)
{
	const bool wrap = (vr->last_avail & WEIR_VRING_POS_WRAP) != 0;
	const uint16_t idx =
		vr->packed ? vr->last_avail & WEIR_VRING_POS_IDX : vr->last_avail;

	return weir_vhost_base_join((struct weir_vhost_base){ idx, idx, wrap, wrap },
				    vr->packed);
}

void
port_ring_put(struct weir_port *p, uint32_t i)
{
	struct port_ring *r = &p->ring[i];

	queue_coal_release(&r->q);
	call_fd_close(r);
	port_inband_stop(&r->inband);
	port_wake_stop(r);
	queue_log_stop(&r->q);
	port_inflight_end(p, i);
	r->base = port_ring_base(&r->q.vr);
	r->own_base = true;
}

int
port_ring_stop(struct weir_port *p, uint32_t i, uint64_t timeout_us)
{
	struct port_ring *r = &p->ring[i];
	int ret;

	if (!r->running)
		return 0;
	/* it had its time: the others on this thread do not wait for it twice */
	ret = queue_stop(&r->q, r->overdue ? 0 : timeout_us);
	if (ret != 0) {
		if (!r->overdue)
			weir_log(WEIR_LOG_WARN,
				 "%s: ring %u: copies under way do not end", p->name, i);
		r->overdue = true;
		return ret;
	}
	r->overdue = false;
	p->announce |= queue_announces(&r->q);
	r->running = false;
	port_ring_put(p, i);
	port_notify(p, WEIR_PORT_EV_QUEUE);
	return 0;
}

int
port_rings_stop(struct weir_port *p, uint64_t timeout_us)
{
	int ret = 0;

	port_ctrl_stop(p);
	/* keep all lcores out first: what can end then ends at the same time */
	for (uint32_t i = 0; i < p->nr_rings; i++)
		if (p->ring[i].running)
			atomic_store(&p->ring[i].q.live, false);
	for (uint32_t i = 0; i < p->nr_rings; i++) {
		/* one that hangs has had its time; not as many as there are rings */
		int one = port_ring_stop(p, i, ret == 0 ? timeout_us : 0);

		if (one != 0)
			ret = one;
	}
	return ret;
}

/* All its parts are where they were. */
static bool
ring_stays(const struct port_ring *r, const struct weir_gmem *table)
{
	for (unsigned int i = 0; i < WEIR_VRING_PARTS; i++)
		if (weir_vring_part_find(table, &r->part[i]) != r->at[i])
			return false;
	return true;
}

static bool
parts_overlap(const struct weir_vring_part *part, struct weir_range iova)
{
	for (unsigned int i = 0; i < WEIR_VRING_PARTS; i++)
		if (weir_range_overlaps(part[i].at, iova))
			return true;
	return false;
}

/* Stop a ring, or let it run on; out_us: how long to wait for a burst that is under
 * way. */
static int
ring_leave(struct weir_port *p, uint32_t i, uint64_t out_us)
{
	int ret = queue_quiet(&p->ring[i].q, out_us);

	if (ret == 0)
		ret = port_ring_stop(p, i, port_drain_us());
	if (ret != 0) {
		p->ring[i].overdue = false;
		queue_resume(&p->ring[i].q);
	}
	return ret;
}

int
port_rings_leave(struct weir_port *p, const struct weir_gmem *table)
{
	int ret = 0;

	/* costs nothing to find again */
	port_ctrl_stop(p);
	for (uint32_t i = 0; i < p->nr_rings && ret == 0; i++)
		if (p->ring[i].running && !ring_stays(&p->ring[i], table))
			ret = ring_leave(p, i, port_drain_us());
	return ret;
}

int
port_rings_unmap(struct weir_port *p, struct weir_range iova, uint64_t out_us)
{
	int ret = 0;

	if (p->ctrl.running && parts_overlap(p->ctrl.part, iova))
		port_ctrl_stop(p);
	for (uint32_t i = 0; i < p->nr_rings && ret == 0; i++)
		if (p->ring[i].running && parts_overlap(p->ring[i].part, iova))
			ret = ring_leave(p, i, out_us);
	return ret;
}

int
port_rings_moved(struct weir_port *p, struct weir_range iova, uint64_t out_us)
{
	int ret = 0;

	if (p->ctrl.running && parts_overlap(p->ctrl.part, iova))
		port_ctrl_stop(p);
	for (uint32_t i = 0; i < p->nr_rings && ret == 0; i++)
		if (p->ring[i].running && parts_overlap(p->ring[i].part, iova) &&
		    !ring_stays(&p->ring[i], port_iotlb_table(p)))
			ret = ring_leave(p, i, out_us);
	return ret;
}

/* What was negotiated decides how the queue works. */
static void
queue_features(struct port_ring *r, uint64_t features)
{
	const uint64_t mrg = UINT64_C(1) << VIRTIO_NET_F_MRG_RXBUF;
	const uint64_t v1 = UINT64_C(1) << VIRTIO_F_VERSION_1;

	r->q.mergeable = (features & mrg) != 0;
	r->q.hdr_len = (features & (mrg | v1)) != 0
			       ? sizeof(struct virtio_net_hdr_mrg_rxbuf)
			       : sizeof(struct virtio_net_hdr);
	if ((features & OFFLOAD_BIT(HASH_REPORT)) != 0)
		r->q.hdr_len = sizeof(struct virtio_net_hdr_v1_hash);
	r->q.rx_offload = (features & (UINT64_C(1) << VIRTIO_NET_F_CSUM |
				       UINT64_C(1) << VIRTIO_NET_F_HOST_TSO4 |
				       UINT64_C(1) << VIRTIO_NET_F_HOST_TSO6)) != 0;
}

int
port_fd_take(int fd, int *own)
{
	*own = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return fd < 0 || *own >= 0 ? 0 : -errno;
}

/* Where a ring goes on that has this base. What lies between the two halves of a
 * packed one was taken and not given back, and is taken again: weir gives back in
 * ring order. */
static uint16_t
ring_place(uint32_t base, bool packed)
{
	struct weir_vhost_base b = weir_vhost_base_split(base, packed);

	if (!packed)
		return b.avail_idx;
	return b.used_idx | (b.used_wrap ? WEIR_VRING_POS_WRAP : 0);
}

int
port_ring_get(struct weir_port *p, uint32_t i, const struct weir_vhost_ring *want,
	      struct weir_vring_addr *addr)
{
	struct port_ring *r = &p->ring[i];
	int ret;

	ret = queue_alloc(&r->q, want->num, addr->packed);
	addr->shadow = r->q.shadow;
	if (ret == 0)
		ret = weir_vring_init(&r->q.vr, port_iotlb_table(p), addr);
	if (ret == 0)
		ret = port_fd_take(want->call_fd, &r->q.call_fd);
	if (ret != 0)
		return ret;
	r->q.vr.gmem = queue_table(&r->q, r->q.vr.gmem);
	weir_vring_parts(addr, r->part);
	r->at[0] = r->q.vr.desc;
	r->at[1] = r->q.vr.avail;
	r->at[2] = r->q.vr.used;
	ret = port_inband_start(p, &r->inband, i, want);
	if (ret != 0)
		goto err_call;
	ret = port_wake_start(r, want->kick_fd);
	if (ret != 0)
		goto err_inband;
	ret = port_inflight_begin(p, i);
	if (ret != 0)
		goto err_wake;
	ret = port_log_begin(p, i);
	if (ret != 0)
		goto err_inflight;
	return 0;

err_inflight:
	port_inflight_end(p, i);
err_wake:
	port_wake_stop(r);
err_inband:
	port_inband_stop(&r->inband);
err_call:
	call_fd_close(r);
	return ret;
}

struct weir_vring_addr
port_ring_addr(const struct weir_port *p, const struct weir_vhost_ring *want,
	       uint32_t base)
{
	const uint64_t features = weir_vhost_features(p->session);
	const bool packed = (features & UINT64_C(1) << VIRTIO_F_RING_PACKED) != 0;

	return (struct weir_vring_addr){
		.desc_uva = want->desc,
		.avail_uva = want->avail,
		.used_uva = want->used,
		.size = want->num,
		.base = ring_place(base, packed),
		.packed = packed,
		.event_idx = (features & UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX) != 0,
	};
}

/* From which length on the engine copies; what was found to pay does so still. */
static void
threshold_begin(const struct weir_port *p, struct weir_queue *q)
{
	const uint32_t never = UINT32_MAX; /* no piece is so long */

	q->tuned = p->conf.dma_auto && q->nr_chans != 0 && !p->postcopy.by_cpu;
	if (p->postcopy.by_cpu)
		q->threshold = never;
	else if (!q->tuned)
		q->threshold = p->conf.dma_threshold;
	else if (q->threshold == never)
		q->threshold = TUNE_FIRST;
}

static int
ring_start(struct weir_port *p, uint32_t i, const struct weir_vhost_ring *want)
{
	const uint64_t features = weir_vhost_features(p->session);
	struct port_ring *r = &p->ring[i];
	struct weir_vring_addr addr =
		port_ring_addr(p, want, r->own_base ? r->base : want->base);
	int ret;

	/* not yet: it starts with the update that is the last one */
	if (!port_iotlb_ring_ready(p, i, &addr))
		return 0;
	ret = port_ring_get(p, i, want, &addr);
	if (ret != 0) {
		weir_log(WEIR_LOG_ERR, "%s: ring %u does not start: %s", p->name, i,
			 weir_strerror(ret));
		return ret;
	}
	queue_features(r, features);
	threshold_begin(p, &r->q);
	atomic_store(&r->q.guest_offloads, port_ctrl_offloads(p));
	port_hash_begin(p, i);
	atomic_store(&r->q.coal.fresh, true);
	r->gen = want->gen;
	r->running = true;
	r->ran = true;
	weir_log(WEIR_LOG_INFO, "%s: ring %u runs: %s, %u entries from %u", p->name, i,
		 addr.packed ? "packed" : "split", want->num,
		 r->q.vr.last_avail & (addr.packed ? WEIR_VRING_POS_IDX : UINT16_MAX));
	queue_start(&r->q);
	port_wake_started(r);
	port_notify(p, WEIR_PORT_EV_QUEUE);
	if (p->announce && i == 1)
		port_announce(p);
	return 0;
}

void
port_announce(struct weir_port *p)
{
	struct port_ring *r = &p->ring[1];

	p->announce = true;
	if (!r->running || queue_announce(&r->q, p->announce_mac, port_drain_us()) != 0)
		return;
	p->announce = false;
	/* who sleeps has something to receive */
	port_wake_started(r);
}

/* The guest has started it, and it can be run. */
static bool
ring_there(const struct weir_port *p, uint32_t i)
{
	return p->state == PORT_CONNECTED && port_plugged(p) && p->ring[i].set_up &&
	       !port_postcopy_holds(p) && weir_vhost_ring_started(p->session, i);
}

/* Both sides want it to run, whether or not it is held. */
static bool
ring_wanted(const struct weir_port *p, uint32_t i)
{
	return ring_there(p, i) && port_ctrl_wants(p, i) &&
	       weir_vhost_ring_ready(p->session, i);
}

bool
port_ring_off(const struct weir_port *p, uint32_t i)
{
	return ring_there(p, i) && !ring_wanted(p, i);
}

static int
ring_sync(struct weir_port *p, uint32_t i, uint64_t timeout_us)
{
	const struct weir_vhost_ring *want = weir_vhost_ring(p->session, i);
	struct port_ring *r = &p->ring[i];
	bool ready = ring_wanted(p, i) && !r->held;
	int ret = 0;

	if (r->running && (!ready || r->gen != want->gen)) {
		ret = port_ring_stop(p, i, timeout_us);
	} else if (r->overdue) {
		/* it was to stop, could not, and need not any more */
		r->overdue = false;
		queue_resume(&r->q);
	}
	/* a ring that the frontend stopped goes on where it says */
	if (!want->started)
		r->own_base = false;
	if (!r->own_base && want->has_base)
		r->base = want->base;
	if (ret == 0 && ready && !r->running)
		ret = ring_start(p, i, want);
	return ret;
}

void
port_link_sync(struct weir_port *p)
{
	bool up = p->state == PORT_CONNECTED;

	/* a guest that flushes its IOTLB stops rings for a moment, many times a second */
	for (uint32_t i = 0; i < 2 && up; i++)
		up = p->ring[i].running ||
		     (ring_wanted(p, i) &&
		      (p->ring[i].held || (p->iotlb.cache != NULL && p->link)));
	if (atomic_exchange(&p->link, up) == up)
		return;
	weir_log(WEIR_LOG_NOTICE, "%s: link %s", p->name, up ? "up" : "down");
	port_notify(p, WEIR_PORT_EV_LINK);
}

/* Somebody has to look at engines, and at tx queues that nobody calls. */
static void
idle_sync(struct weir_port *p)
{
	for (uint32_t i = 0; i < p->nr_rings; i++) {
		if (p->ring[i].running &&
		    (p->ring[i].q.chan != NULL || p->iotlb.cache != NULL)) {
			if (!p->idle.armed)
				ctl_timer_set(&p->idle, PORT_IDLE_US);
			return;
		}
	}
	ctl_timer_clear(&p->idle);
}

int
port_rings_sync(struct weir_port *p)
{
	/* first: it says which of the others are wanted */
	int ret = port_ctrl_sync(p);

	for (uint32_t i = 0; i < p->nr_rings && p->session != NULL; i++) {
		int one = ring_sync(p, i, ret == 0 ? port_drain_us() : 0);

		if (one != 0 && ret != -EBUSY)
			ret = one;
	}
	port_steer_sync(p);
	port_link_sync(p);
	idle_sync(p);
	port_discard_sync(p);
	return ret;
}

void
port_idle_expired(struct ctl_timer *t)
{
	struct weir_port *p =
		(struct weir_port *)((char *)t - offsetof(struct weir_port, idle));

	for (uint32_t i = 0; i < p->nr_rings; i += 2) {
		struct weir_queue *q = &p->ring[i].q;
		uint32_t tail = atomic_load_explicit(&q->win_tail, memory_order_relaxed);

		/* it has not moved since the last look: nobody else collects */
		if (p->ring[i].running && q->chan != NULL && tail == q->seen_tail)
			queue_collect_idle(q);
		if (p->ring[i].running && p->iotlb.cache != NULL)
			queue_scout_idle(q);
		q->seen_tail = tail;
	}
	weir_copy_tend();
	idle_sync(p);
}
