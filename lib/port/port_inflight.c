/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The area that outlives this process, and the chains that another backend had
 * in its hands when it died.
 *
 * Those chains come first, and are no stretch of the guest's available ring, for
 * they were taken and given back in any order. So the ring is given an available
 * ring of its own: they, and behind them what the guest offers, copied by a timer.
 * An lcore sees a ring like any other. When they have been given back, the ring
 * starts anew with the guest's.
 *
 * A packed ring has nothing of the kind: they are put back into the guest's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "port.h"
#include "port_conn.h"
#include "port_log.h"
#include "weir_errno.h"
#include "weir_fail.h"
#include "weir_inflight.h"
#include "weir_log.h"

/* How often a ring with chains of another's is looked after. */
#define RESUBMIT_US UINT64_C(1000)

struct port_resubmit {
	const struct vring_avail *guest;
	uint16_t begin, nr; /* of used.idx; what was in flight */
	uint16_t told;	    /* used.idx when the guest was last called */
	struct vring_avail *own;
};

int
port_inflight_make(struct weir_vhost_event *ev)
{
	int fd, ret;

	fd = memfd_create("weir-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	/* sealed: whoever maps it need not fear that it gets shorter */
	if (ftruncate(fd, (off_t)ev->inflight.len) != 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
		ret = -errno;
		close(fd);
		return ret;
	}
	ev->fd = fd;
	return 0;
}

int
port_inflight_set(struct weir_port *p)
{
	const struct weir_vhost_inflight *want = weir_vhost_inflight(p->session);
	struct port_inflight new = {
		.nr_rings = want->nr_rings,
		.size = want->size,
		.packed = want->packed,
	};
	int ret;

	ret = port_rings_stop(p, port_drain_us());
	if (ret == 0)
		ret = weir_gmem_file_map(&new.file, want->fd, want->mmap_offset,
					 want->len);
	if (ret != 0)
		return ret;
	weir_gmem_file_watch(&new.file, p->fault.fd);
	port_inflight_clear(p);
	p->inflight = new;
	return 0;
}

void
port_inflight_clear(struct weir_port *p)
{
	weir_gmem_file_unmap(&p->inflight.file);
	p->inflight = (struct port_inflight){ 0 };
}

/* Ring i's part; NULL: it has none. */
static void *
part(const struct weir_port *p, uint32_t i)
{
	const struct port_inflight *a = &p->inflight;

	if (a->file.addr == NULL || i >= a->nr_rings)
		return NULL;
	return (char *)a->file.addr + i * weir_inflight_len(a->size, a->packed);
}

/* Whether the parts are of rings such as this one. */
static int
part_check(const struct weir_port *p, uint32_t i, const struct weir_vring *vr)
{
	if (vr->packed == p->inflight.packed && vr->size <= p->inflight.size)
		return 0;
	weir_log(WEIR_LOG_ERR,
		 "%s: ring %u: the in-flight area is of %s rings of %u entries", p->name,
		 i, p->inflight.packed ? "packed" : "split", p->inflight.size);
	return -EINVAL;
}

/* Chains come that another backend had in its hands. */
static void
told_again(const struct weir_port *p, uint32_t i, uint16_t nr)
{
	weir_log(WEIR_LOG_NOTICE, "%s: ring %u: %u chains were in flight and come again",
		 p->name, i, nr);
}

/* Put back into a packed ring, which may be one whose changes are logged. */
static void
log_ring(const struct weir_port *p, uint32_t i, const struct weir_vring *vr)
{
	struct queue_log_conf conf;

	if (port_log_conf(p, i, vr, &conf) && conf.used)
		log_mark(&conf, log_gpa(vr->gmem, vr->packed_desc, &(uint32_t){ 0 }),
			 sizeof(struct vring_packed_desc) * (uint64_t)vr->size);
}

int
port_inflight_keep(struct weir_port *p, uint32_t i, struct weir_vring *vr, bool ran)
{
	struct weir_inflight_packed *area = part(p, i);
	uint16_t nr;
	int ret;

	if (area == NULL)
		return 0;
	ret = part_check(p, i, vr);
	if (ret != 0)
		return ret;
	if (ran) {
		weir_inflight_packed_begin(area, p->inflight.size, vr);
		return 0;
	}
	ret = weir_inflight_packed_take(area, p->inflight.size, vr, &nr);
	if (ret != 0 || nr == 0)
		return ret;
	told_again(p, i, nr);
	log_ring(p, i, vr);
	return 0;
}

/* Take a part over. @param heads Written, to be freed. 0; -errno. */
static int
part_take(struct weir_port *p, uint32_t i, uint16_t **heads, uint16_t *nr)
{
	const struct weir_vring *vr = &p->ring[i].q.vr;
	const uint16_t idx = __atomic_load_n(&vr->avail->idx, __ATOMIC_RELAXED);
	uint16_t max = (uint16_t)(idx - vr->used_idx);
	int ret;

	*heads = weir_calloc(p->inflight.size, sizeof(**heads));
	if (*heads == NULL)
		return -ENOMEM;
	ret = weir_inflight_take(part(p, i), p->inflight.size, vr->used_idx,
				 max > vr->mask + 1 ? 0 : max, *heads, nr);
	if (ret == 0)
		return 0;
	free(*heads);
	return ret;
}

/* Give the ring an available ring that begins with these. 0; -ENOMEM. */
static int
resubmit_begin(struct port_ring *r, const uint16_t *heads, uint16_t nr)
{
	struct weir_vring *vr = &r->q.vr;
	/* flags, idx, ring, and the event index behind it */
	size_t len = sizeof(uint16_t) * (3 + (size_t)vr->mask + 1);
	struct port_resubmit *s = weir_zalloc(sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	s->own = weir_zalloc(len);
	if (s->own == NULL) {
		free(s);
		return -ENOMEM;
	}
	s->guest = vr->avail;
	s->begin = s->told = vr->used_idx;
	s->nr = nr;
	for (uint16_t i = 0; i < nr; i++)
		s->own->ring[(uint16_t)(s->begin + i) & vr->mask] = heads[i];
	s->own->idx = (uint16_t)(s->begin + nr);
	vr->avail = s->own;
	vr->last_avail = s->begin;
	r->resubmit = s;
	return 0;
}

int
port_inflight_begin(struct weir_port *p, uint32_t i)
{
	struct port_ring *r = &p->ring[i];
	uint16_t *heads, nr;
	int ret;

	if (r->q.vr.packed)
		return port_inflight_keep(p, i, &r->q.vr, r->ran);
	if (part(p, i) == NULL)
		return 0;
	ret = part_check(p, i, &r->q.vr);
	if (ret == 0)
		ret = part_take(p, i, &heads, &nr);
	if (ret != 0)
		return ret;
	if (nr != 0)
		ret = resubmit_begin(r, heads, nr);
	free(heads);
	if (ret != 0 || nr == 0)
		return ret;
	told_again(p, i, nr);
	ctl_timer_set(&p->resubmit, RESUBMIT_US);
	return 0;
}

void
port_inflight_end(struct weir_port *p, uint32_t i)
{
	struct port_ring *r = &p->ring[i];
	uint16_t *heads, nr;

	if (r->resubmit != NULL) {
		r->q.vr.avail = (struct vring_avail *)(uintptr_t)r->resubmit->guest;
		free(r->resubmit->own);
		free(r->resubmit);
		r->resubmit = NULL;
	}
	/* strike off what was given back, for whoever comes next; if not, he does. Of a
	 * packed ring that was done each time */
	if (part(p, i) != NULL && !r->q.vr.packed && part_take(p, i, &heads, &nr) == 0)
		free(heads);
}

/* Pass on what the guest has offered since. @return true: the old ones are over. */
static bool
resubmit_look(struct port_ring *r)
{
	const struct weir_vring *vr = &r->q.vr;
	struct port_resubmit *s = r->resubmit;
	const uint16_t used = __atomic_load_n(&vr->used->idx, __ATOMIC_ACQUIRE);
	const uint16_t idx = __atomic_load_n(&s->guest->idx, __ATOMIC_ACQUIRE);
	uint16_t at = s->own->idx;

	/* more than a ring ahead is a fault, which the next start finds */
	if ((uint16_t)(idx - used) <= vr->mask + 1)
		for (; at != idx; at++)
			__atomic_store_n(&s->own->ring[at & vr->mask],
					 __atomic_load_n(&s->guest->ring[at & vr->mask],
							 __ATOMIC_RELAXED),
					 __ATOMIC_RELAXED);
	__atomic_store_n(&s->own->idx, at, __ATOMIC_RELEASE);
	/* what the guest says of interrupts is in its own ring, which nobody reads */
	if (used != s->told && r->q.call_fd >= 0)
		(void)!eventfd_write(r->q.call_fd, 1);
	s->told = used;
	return (uint16_t)(used - s->begin) >= s->nr;
}

void
port_resubmit_expired(struct ctl_timer *t)
{
	struct weir_port *p =
		(struct weir_port *)((char *)t - offsetof(struct weir_port, resubmit));
	bool more = false, over = false;
	int ret;

	for (uint32_t i = 0; i < p->nr_rings; i++) {
		struct port_ring *r = &p->ring[i];

		if (!r->running || r->resubmit == NULL)
			continue;
		more = true;
		if (!resubmit_look(r))
			continue;
		/* of no generation that the session has: it starts anew */
		r->gen = UINT64_MAX;
		over = true;
	}
	if (more)
		ctl_timer_set(&p->resubmit, RESUBMIT_US);
	if (!over)
		return;
	ret = port_rings_sync(p);
	if (ret != 0)
		port_conn_close(p, "rings do not go on: %s", weir_strerror(ret));
}
