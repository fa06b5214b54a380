/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest behind a vIOMMU: translations that its frontend gives and takes back.
 *
 * A lcore that lacks one leaves the chain where it is and tells, once, what it and
 * the chains behind it lack; the frontend is asked for it over the backend's
 * channel, and answers with updates. A ring whose own parts are not all translated
 * does not run.
 *
 * An invalidation is answered when nobody uses the translation: rings that lie in
 * it have stopped, bursts that began with the view in which it was are over, and so
 * are the copies that touch its memory (weir_iotlb.h has the steps).
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>

#include <rte_cycles.h>

#include "deadline.h"
#include "port.h"
#include "port_conn.h"
#include "port_fence.h"
#include "port_mem.h"
#include "weir_errno.h"
#include "weir_fail.h"
#include "weir_log.h"

/*
 * How long an invalidation waits for bursts. They end as soon as their lcore runs, which
 * on a crowded machine may take a second; a refusal is worse than a wait, since guests'
 * kernels do not look at it.
 */
#define OUT_US 10000000u

/* What the frontend could not take, or could not give, is asked for again. */
#define FULL_US UINT64_C(10000)
#define FAILED_US UINT64_C(100000)

/* Views that may wait to be freed until somebody looks. */
#define OLD_VIEWS 16u

/* ---- what is asked for */

static void
miss_free(struct port_iotlb *t, struct port_miss *m)
{
	*m = t->miss[--t->nr_misses];
}

static struct port_miss *
miss_find(struct port_iotlb *t, uintptr_t serial)
{
	for (uint32_t i = 0; i < t->nr_misses; i++)
		if (t->miss[i].serial == serial)
			return &t->miss[i];
	return NULL;
}

static void
miss_later(struct weir_port *p, struct port_miss *m, uint64_t us)
{
	m->due = deadline_in(us);
	if (!p->iotlb.retry.armed)
		ctl_timer_set(&p->iotlb.retry, us);
}

/* A ring waits for an answer; @p or_later: or to ask again. */
static bool
ring_waits(const struct port_iotlb *t, uint32_t ring, bool or_later)
{
	for (uint32_t i = 0; i < t->nr_misses; i++) {
		const struct port_miss *m = &t->miss[i];

		if (m->ring == ring && (or_later || !m->sent || m->due == UINT64_MAX))
			return true;
	}
	return false;
}

/* The queue may tell of other misses. */
static void
asked_clear(struct weir_port *p, uint32_t ring)
{
	struct weir_queue *q = &p->ring[ring].q;

	atomic_store_explicit(&q->asked, false, memory_order_release);
	if (ring % 2 == 0)
		queue_scout_idle(q);
}

/* Something was answered: who waits for no answer any more may tell again. If all it
 * has to tell is to be asked for later, it has to wait for the next answer. */
static void
asked_again(struct weir_port *p)
{
	for (uint32_t i = 0; i < p->nr_rings; i++)
		if (atomic_load_explicit(&p->ring[i].q.asked, memory_order_acquire) &&
		    !ring_waits(&p->iotlb, i, false))
			asked_clear(p, i);
}

static bool
allows(const struct weir_gmem *table, uint64_t iova)
{
	uint32_t hint = 0;

	return weir_gmem_find(table, (struct weir_gpa){ iova }, &hint) != NULL;
}

static bool
translated(const struct weir_gmem *view, uint64_t iova, uint8_t perm)
{
	return ((perm & VHOST_ACCESS_RO) == 0 || allows(view->readable, iova)) &&
	       ((perm & VHOST_ACCESS_WO) == 0 || allows(view, iova));
}

/*
 * The frontend has no such translation. If it has one for the other direction the
 * driver has mixed them up, and its ring is broken; else it may be on its way.
 */
static void
miss_failed(struct weir_port *p, struct port_miss *m)
{
	const struct weir_gmem *view = p->iotlb.view;
	const bool other = translated(view, m->page, VHOST_ACCESS_RW & ~m->perm);

	if (m->ring < p->nr_rings && p->ring[m->ring].running && other &&
	    m->perm != VHOST_ACCESS_RW) {
		queue_break(&p->ring[m->ring].q, WEIR_VRING_ACCESS);
		return;
	}
	if (!p->iotlb.said)
		weir_log(WEIR_LOG_WARN,
			 "%s: ring %" PRIu32 " waits: iova %#" PRIx64
			 " is not mapped in the guest's IOMMU",
			 p->name, m->ring, m->page);
	p->iotlb.said = true;
}

static void
miss_done(struct weir_port *p, void *arg, int result)
{
	struct port_miss *m = miss_find(&p->iotlb, (uintptr_t)arg);

	/* an update came first */
	if (m == NULL)
		return;
	m->sent = true;
	if (result == -EIO)
		miss_failed(p, m);
	miss_later(p, m, FAILED_US);
	asked_again(p);
}

static void
miss_send(struct weir_port *p, struct port_miss *m)
{
	const struct vhost_iotlb_msg msg = {
		.iova = m->page,
		.perm = m->perm,
		.type = VHOST_IOTLB_MISS,
	};
	int ret;

	m->sent = true;
	m->due = UINT64_MAX;
	ret = port_backend_send(p, WEIR_VHOST_BACKEND_IOTLB_MSG, &msg, sizeof(msg),
				miss_done, (void *)m->serial);
	if (ret == 0)
		return;
	m->sent = ret != -EAGAIN;
	miss_later(p, m, m->sent ? FAILED_US : FULL_US);
}

/* Ask for a translation, once. */
static void
miss_note(struct weir_port *p, uint32_t ring, uint64_t iova, uint8_t perm)
{
	const uint64_t page = iova & ~(WEIR_IOTLB_PAGE - 1);
	struct port_iotlb *t = &p->iotlb;
	struct port_miss *m;

	if (translated(t->view, iova, perm))
		return;
	for (uint32_t i = 0; i < t->nr_misses; i++)
		if (t->miss[i].page == page && (perm & ~t->miss[i].perm) == 0)
			return;
	if (t->nr_misses == PORT_IOTLB_MISSES) {
		if (!t->retry.armed)
			ctl_timer_set(&t->retry, FULL_US);
		return;
	}
	m = &t->miss[t->nr_misses++];
	*m = (struct port_miss){
		.page = page,
		.perm = perm,
		.ring = ring,
		.serial = ++t->serial,
	};
	t->misses++;
	miss_send(p, m);
}

void
port_iotlb_look(struct weir_port *p)
{
	if (p->iotlb.cache == NULL)
		return;
	for (uint32_t i = 0; i < p->nr_rings; i++) {
		struct weir_queue *q = &p->ring[i].q;

		if (!p->ring[i].running ||
		    !atomic_load_explicit(&q->asked, memory_order_acquire))
			continue;
		for (uint32_t k = 0; k < q->nr_missing; k++)
			miss_note(p, i, q->missing[k].iova,
				  q->missing[k].write ? VHOST_ACCESS_WO
						      : VHOST_ACCESS_RO);
		/* once: what was used since is unmapped by now, and rightly */
		q->nr_missing = 0;
		/* all is there by now; or there was no room, see the timer */
		if (p->iotlb.nr_misses < PORT_IOTLB_MISSES &&
		    !ring_waits(&p->iotlb, i, true))
			asked_clear(p, i);
	}
}

void
port_iotlb_ctrl_misses(struct weir_port *p)
{
	const struct weir_vring *vr = &p->ctrl.vr;

	for (uint32_t i = 0; i < vr->nr_misses; i++)
		miss_note(p, UINT32_MAX, vr->miss[i].iova,
			  vr->miss[i].write ? VHOST_ACCESS_WO : VHOST_ACCESS_RO);
	p->ctrl.waits = true;
}

/* True if a part of a ring is translated; else what is not is asked for. */
static bool
part_ready(struct weir_port *p, uint32_t ring, const struct weir_vring_part *part)
{
	struct weir_range rest = part->at;
	bool ready = true;
	uint64_t at;

	while (weir_iotlb_gap(p->iotlb.view, rest, part->write, &at)) {
		ready = false;
		miss_note(p, ring, at, part->write ? VHOST_ACCESS_RW : VHOST_ACCESS_RO);
		at |= WEIR_IOTLB_PAGE - 1;
		if (at >= rest.last)
			break;
		rest.start = at + 1;
	}
	return ready;
}

bool
port_iotlb_ring_ready(struct weir_port *p, uint32_t i, const struct weir_vring_addr *addr)
{
	struct weir_vring_part part[WEIR_VRING_PARTS];
	bool ready = true;

	/* what is wrong is said by whoever starts it */
	if (p->iotlb.cache == NULL || weir_vring_parts(addr, part) != 0)
		return true;
	/* parts that are written first: another may share a page with them */
	for (unsigned int k = 0; k < 2 * WEIR_VRING_PARTS; k++)
		if (part[k % WEIR_VRING_PARTS].write == (k < WEIR_VRING_PARTS))
			ready &= part_ready(p, i, &part[k % WEIR_VRING_PARTS]);
	return ready;
}

void
port_iotlb_expired(struct ctl_timer *timer)
{
	struct port_iotlb *t =
		(struct port_iotlb *)((char *)timer - offsetof(struct port_iotlb, retry));
	struct weir_port *p =
		(struct weir_port *)((char *)t - offsetof(struct weir_port, iotlb));
	const uint64_t now = rte_get_timer_cycles();
	bool wait = false;
	int ret;

	if (p->state != PORT_CONNECTED)
		return;
	for (uint32_t i = 0; i < t->nr_misses;) {
		struct port_miss *m = &t->miss[i];

		if (m->due <= now && m->sent) {
			/* whoever still lacks it asks again */
			miss_free(t, m);
			continue;
		}
		if (m->due <= now)
			miss_send(p, m);
		wait |= m->due != UINT64_MAX;
		i++;
	}
	if (wait && !t->retry.armed)
		ctl_timer_set(&t->retry, FULL_US);
	asked_again(p);
	if (p->ctrl.waits && p->ctrl.running)
		ctl_timer_set(&p->ctrl.again, 0);
	/* rings ask for their own parts */
	ret = port_rings_sync(p);
	if (ret != 0)
		port_conn_close(p, "rings do not go on: %s", weir_strerror(ret));
}

/* An update has come: what it answers is asked for no more. */
static void
misses_answered(struct weir_port *p, const struct weir_iotlb_entry *e)
{
	struct port_iotlb *t = &p->iotlb;

	for (uint32_t i = 0; i < t->nr_misses;) {
		if (weir_range_has(e->iova, t->miss[i].page) &&
		    (t->miss[i].perm & ~e->prot) == 0)
			miss_free(t, &t->miss[i]);
		else
			i++;
	}
	t->said = false;
	asked_again(p);
	if (p->ctrl.waits && p->ctrl.running)
		ctl_timer_set(&p->ctrl.again, 0);
	p->ctrl.waits = false;
}

/* ---- what is translated */

const struct weir_gmem *
port_iotlb_table(const struct weir_port *p)
{
	return p->iotlb.cache != NULL ? p->iotlb.view : p->gmem;
}

/* Put the cache as it is now before the queues. The old view, in *old, may be in use.
 * 0; -ENOMEM. */
static int
view_exchange(struct weir_port *p, struct port_table *old)
{
	const struct weir_gmem *view;
	int ret = weir_iotlb_view(p->iotlb.cache, p->gmem, &view);

	if (ret != 0)
		return ret;
	old->g = &weir_gmem_empty;
	old->view = p->iotlb.view;
	p->iotlb.view = view;
	port_publish(p, view);
	return 0;
}

/* More is translated: nobody is waited for. */
static int
publish_more(struct weir_port *p)
{
	struct port_table *old = weir_zalloc(sizeof(*old));
	int ret = old != NULL ? view_exchange(p, old) : -ENOMEM;

	if (ret != 0) {
		free(old);
		return ret;
	}
	port_table_out(p, old);
	if (++p->iotlb.nr_old >= OLD_VIEWS) {
		p->iotlb.nr_old = 0;
		port_tables_reap(p);
	}
	return 0;
}

/* Copies that lead into what was revoked are over. */
static int
revoked_wait(struct weir_port *p, const struct weir_iotlb_entry **stuck,
	     struct weir_iotlb_entry *e)
{
	const uint64_t deadline = deadline_in(port_drain_us());
	uint32_t at = 0;
	int ret = 0;

	while (ret == 0 && weir_iotlb_revoked(p->iotlb.cache, &at, e)) {
		const uint64_t len = weir_range_len(e->iova);
		const uint64_t hva = (uintptr_t)weir_gmem_uva(p->gmem, e->uva, len);

		/* its memory has gone, and was waited for */
		if (hva == 0)
			continue;
		ret = port_wait_range(p, (struct weir_range){ hva, hva + (len - 1) },
				      deadline);
		*stuck = e;
	}
	return ret;
}

/* What was revoked is used by nobody any more, and forgotten. 0; -EBUSY; -ENOMEM. */
static int
take_back(struct weir_port *p)
{
	struct port_table *old = weir_zalloc(sizeof(*old));
	const struct weir_iotlb_entry *stuck = NULL;
	struct weir_iotlb_entry e;
	int ret = old != NULL ? view_exchange(p, old) : -ENOMEM;

	if (ret != 0) {
		free(old);
		return ret;
	}
	ret = port_wait_out(p, OUT_US);
	if (ret != 0) {
		port_table_out(p, old);
		weir_log(WEIR_LOG_WARN, "%s: a translation stays: a burst does not end",
			 p->name);
		return ret;
	}
	weir_iotlb_view_put(old->view);
	free(old);
	ret = revoked_wait(p, &stuck, &e);
	if (ret == 0)
		weir_iotlb_drop(p->iotlb.cache);
	else
		weir_log(WEIR_LOG_WARN,
			 "%s: iova %#" PRIx64 "-%#" PRIx64
			 " stays: copies under way do not end",
			 p->name, stuck->iova.start, stuck->iova.last);
	return ret;
}

/* Add a translation, after whatever is in its way: one of before, and then, as what is
 * left of that may be two, what the cache has too much. */
static int
update_add(struct weir_port *p, const struct weir_iotlb_entry *e)
{
	struct weir_iotlb *c = p->iotlb.cache;
	int ret = weir_iotlb_add(c, p->gmem, e);

	for (unsigned int i = 0; i < 2 && (ret == -EEXIST || ret == -ENOSPC); i++) {
		if (ret == -EEXIST)
			weir_iotlb_revoke(c, e->iova);
		else
			weir_iotlb_evict(c);
		ret = take_back(p);
		if (ret == 0)
			ret = weir_iotlb_add(c, p->gmem, e);
	}
	return ret;
}

int
port_iotlb_update(struct weir_port *p, const struct weir_vhost_iotlb *m)
{
	const struct weir_iotlb_entry e = {
		.iova = m->iova,
		.uva = m->user,
		.prot = m->perm,
	};
	int ret = update_add(p, &e);

	p->iotlb.updates++;
	if (ret == 0)
		ret = publish_more(p);
	if (ret == 0)
		ret = port_rings_moved(p, e.iova, OUT_US);
	if (ret == 0)
		misses_answered(p, &e);
	return ret;
}

int
port_iotlb_invalidate(struct weir_port *p, struct weir_range iova)
{
	int ret = port_rings_unmap(p, iova, OUT_US);

	p->iotlb.invalidations++;
	if (ret != 0 || !weir_iotlb_revoke(p->iotlb.cache, iova))
		return ret;
	return take_back(p);
}

int
port_iotlb_sync(struct weir_port *p)
{
	const bool want = p->session != NULL && weir_vhost_iotlb(p->session);
	struct port_iotlb *t = &p->iotlb;
	int ret;

	if (want == (t->cache != NULL))
		return 0;
	ret = port_rings_stop(p, port_drain_us());
	if (ret != 0)
		return ret;
	port_iotlb_clear(p);
	if (!want)
		return 0;
	ret = weir_iotlb_create(WEIR_IOTLB_ENTRIES, &t->cache);
	if (ret != 0)
		return ret;
	ret = weir_iotlb_view(t->cache, p->gmem, &t->view);
	if (ret != 0)
		port_iotlb_clear(p);
	return ret;
}

void
port_iotlb_rest(struct weir_port *p)
{
	for (uint32_t i = 0; i < weir_vhost_nr_rings(p->session); i++)
		if (weir_vhost_ring(p->session, i)->started)
			return;
	port_iotlb_clear(p);
}

void
port_iotlb_clear(struct weir_port *p)
{
	struct port_iotlb *t = &p->iotlb;

	ctl_timer_clear(&t->retry);
	weir_iotlb_view_put(t->view);
	weir_iotlb_destroy(t->cache);
	t->view = NULL;
	t->cache = NULL;
	t->nr_misses = 0;
	t->said = false;
	p->ctrl.waits = false;
}
