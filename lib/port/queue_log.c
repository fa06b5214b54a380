/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "queue.h"
#include "queue_log.h"
#include "weir_fail.h"

void
log_mark(const struct queue_log_conf *c, uint64_t gpa, uint64_t len)
{
	struct weir_range r;

	if (weir_range_make(&r, gpa, len) != 0)
		return;
	for (uint64_t page = r.start / QUEUE_LOG_PAGE;
	     page <= r.last / QUEUE_LOG_PAGE && page / 8 < c->len; page++)
		/*
		 * Also if it is set: whoever takes it at this moment has to see the
		 * bytes that were written before.
		 */
		__atomic_fetch_or(&c->bits[page / 8], (uint8_t)(1u << page % 8),
				  __ATOMIC_SEQ_CST);
}

uint64_t
log_gpa(const struct weir_gmem *g, const void *p, uint32_t *hint)
{
	const uint64_t hva = (uintptr_t)p;

	/* behind a vIOMMU the log counts in guest addresses all the same */
	if (g->memory != NULL)
		g = g->memory;
	/* the table may have become shorter since the last hit */
	*hint = *hint < g->nr_slots ? *hint : 0;
	for (uint32_t i = 0; i < g->nr_slots; i++) {
		uint32_t at = (*hint + i) % g->nr_slots;
		const struct weir_gmem_slot *s = &g->slot[at];

		if (hva - s->hva <= s->gpa.last - s->gpa.start) {
			*hint = at;
			return s->gpa.start + (hva - s->hva);
		}
	}
	return UINT64_MAX;
}

/* Entries from one to another that may lie on both sides of the ring's end. */
static void
mark_entries(const struct queue_log_conf *c, uint64_t gpa, uint32_t from, uint32_t n,
	     uint32_t size, uint32_t entry)
{
	while (n != 0) {
		uint32_t run = RTE_MIN(n, size - from);

		log_mark(c, gpa + from * entry, run * entry);
		n -= run;
		from = 0;
	}
}

/*
 * Packed: descriptors are written over where they are, in guest memory. The
 * address that the frontend gives is that of the device's wishes.
 */
static uint16_t
mark_packed(const struct queue_log_conf *c, const struct weir_vring *vr, uint16_t from,
	    uint32_t *hint)
{
	const uint32_t first = from & WEIR_VRING_POS_IDX;
	const uint32_t to = vr->used_pos & WEIR_VRING_POS_IDX;
	const bool wrapped = ((from ^ vr->used_pos) & WEIR_VRING_POS_WRAP) != 0;

	mark_entries(c, log_gpa(vr->gmem, vr->packed_desc, hint), first,
		     wrapped ? vr->size - first + to : to - first, vr->size,
		     sizeof(struct vring_packed_desc));
	return vr->used_pos;
}

uint16_t
log_mark_used(const struct queue_log_conf *c, const struct weir_vring *vr, uint16_t from,
	      uint32_t *hint)
{
	const uint32_t head = offsetof(struct vring_used, ring);

	if (vr->packed)
		return mark_packed(c, vr, from, hint);
	log_mark(c, c->used_gpa, head);
	mark_entries(c, c->used_gpa + head, from & vr->mask,
		     (uint16_t)(vr->used_idx - from), vr->size,
		     sizeof(struct vring_used_elem));
	return vr->used_idx;
}

void
log_mark_wishes(const struct queue_log_conf *c, const struct weir_vring *vr)
{
	const uint64_t event = offsetof(struct vring_used, ring) +
			       vr->size * sizeof(struct vring_used_elem);

	log_mark(c, c->used_gpa, sizeof(struct vring_packed_desc_event));
	if (!vr->packed && vr->event_idx)
		log_mark(c, c->used_gpa + event, sizeof(uint16_t));
}

/* As the others, and the frontend is to be told of it. */
static void
mark(struct queue_log *l, uint64_t gpa, uint64_t len)
{
	log_mark(&l->conf, gpa, len);
	l->marked = true;
}

static void
span_add(struct queue_log *l, uint64_t gpa, uint32_t len, uint32_t pkt)
{
	struct queue_log_span *last = &l->span[(l->head - 1) & l->mask];

	if (l->head != l->tail && last->pkt == pkt && last->gpa + last->len == gpa) {
		last->len += len;
		return;
	}
	l->span[l->head++ & l->mask] = (struct queue_log_span){ gpa, len, pkt };
}

bool
queue_log_room(const struct weir_queue *q)
{
	const struct queue_log *l = q->log;

	return l->mask + 1 - (l->head - l->tail) >= q->max_iov;
}

void
queue_log_written(struct weir_queue *q, uint64_t len)
{
	struct queue_log *l = q->log;

	if (!l->conf.data)
		return;
	for (const struct weir_iov *v = q->iov; len != 0; v++) {
		/* at most QUEUE_MAX_FRAME and a header */
		uint32_t n = (uint32_t)RTE_MIN(len, v->len);

		/* a piece lies in one slot */
		mark(l, log_gpa(q->vr.gmem, v->hva, &l->hint), n);
		len -= n;
	}
}

void
queue_log_packet(struct weir_queue *q, uint64_t len, uint32_t pkt)
{
	struct queue_log *l = q->log;

	if (!l->conf.data)
		return;
	for (const struct weir_iov *v = q->iov; len != 0; v++) {
		uint32_t n = (uint32_t)RTE_MIN(len, v->len);

		span_add(l, log_gpa(q->vr.gmem, v->hva, &l->hint), n, pkt);
		len -= n;
	}
}

void
queue_log_wishes(struct weir_queue *q)
{
	if (q->log != NULL && q->log->conf.used)
		log_mark_wishes(&q->log->conf, &q->vr);
}

void
queue_log_published(struct weir_queue *q)
{
	const uint32_t over = atomic_load_explicit(&q->win_tail, memory_order_relaxed);
	struct queue_log *l = q->log;

	/* packets of the window are numbered on: those before its tail are over */
	while (l->tail != l->head) {
		const struct queue_log_span *s = &l->span[l->tail & l->mask];

		if ((int32_t)(s->pkt - over) >= 0)
			break;
		mark(l, s->gpa, s->len);
		l->tail++;
	}
	if (l->conf.used) {
		l->used = log_mark_used(&l->conf, &q->vr, l->used, &l->hint);
		l->marked = true;
	}
	if (l->marked && l->conf.event_fd >= 0)
		(void)!eventfd_write(l->conf.event_fd, 1);
	l->marked = false;
}

int
queue_log_start(struct weir_queue *q, const struct queue_log_conf *conf)
{
	/* a packet that takes all there is, and a small one for each entry */
	uint32_t nr = rte_align32pow2(2 * q->max_iov + q->vr.size);
	struct queue_log *l = weir_zalloc(sizeof(*l) + nr * sizeof(l->span[0]));

	if (l == NULL)
		return -ENOMEM;
	l->conf = *conf;
	l->mask = nr - 1;
	l->used = q->vr.packed ? q->vr.used_pos : q->vr.used_idx;
	q->log = l;
	/* they were written when the ring was found */
	queue_log_wishes(q);
	return 0;
}

void
queue_log_stop(struct weir_queue *q)
{
	free(q->log);
	q->log = NULL;
}
