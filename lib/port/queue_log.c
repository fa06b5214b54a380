/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "queue.h"
#include "queue_log.h"
#include "weir_fail.h"

/* Set the bits of [gpa, gpa + len); what the log does not reach has none. */
static void
mark(struct queue_log *l, uint64_t gpa, uint64_t len)
{
	struct weir_range r;

	if (weir_range_make(&r, gpa, len) != 0)
		return;
	for (uint64_t page = r.start / QUEUE_LOG_PAGE;
	     page <= r.last / QUEUE_LOG_PAGE && page / 8 < l->conf.len; page++)
		/*
		 * Also if it is set: whoever takes it at this moment has to see the
		 * bytes that were written before.
		 */
		__atomic_fetch_or(&l->conf.bits[page / 8], (uint8_t)(1u << page % 8),
				  __ATOMIC_SEQ_CST);
	l->marked = true;
}

/* Where something in guest memory is for the guest. */
static uint64_t
find_gpa(const struct weir_queue *q, struct queue_log *l, const void *p)
{
	const struct weir_gmem *g = q->vr.gmem;
	const uint64_t hva = (uintptr_t)p;

	/* the table may have become shorter since the last hit */
	l->hint = l->hint < g->nr_slots ? l->hint : 0;
	for (uint32_t i = 0; i < g->nr_slots; i++) {
		uint32_t at = (l->hint + i) % g->nr_slots;
		const struct weir_gmem_slot *s = &g->slot[at];

		if (hva - s->hva <= s->gpa.last - s->gpa.start) {
			l->hint = at;
			return s->gpa.start + (hva - s->hva);
		}
	}
	return UINT64_MAX;
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
		mark(l, find_gpa(q, l, v->hva), n);
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

		span_add(l, find_gpa(q, l, v->hva), n, pkt);
		len -= n;
	}
}

/* Entries from one to another that may lie on both sides of the ring's end. */
static void
mark_entries(struct queue_log *l, uint64_t gpa, uint32_t from, uint32_t n, uint32_t size,
	     uint32_t entry)
{
	while (n != 0) {
		uint32_t run = RTE_MIN(n, size - from);

		mark(l, gpa + from * entry, run * entry);
		n -= run;
		from = 0;
	}
}

/* Split: entries of the used ring, and its index. */
static void
mark_used(const struct weir_queue *q, struct queue_log *l)
{
	const struct weir_vring *vr = &q->vr;
	const uint32_t head = offsetof(struct vring_used, ring);

	mark(l, l->conf.used_gpa, head);
	mark_entries(l, l->conf.used_gpa + head, l->used & vr->mask,
		     (uint16_t)(vr->used_idx - l->used), vr->size,
		     sizeof(struct vring_used_elem));
	l->used = vr->used_idx;
}

/*
 * Packed: descriptors are written over where they are, in guest memory. The
 * address that the frontend gives is that of the device's wishes, which stay.
 */
static void
mark_packed(const struct weir_queue *q, struct queue_log *l)
{
	const struct weir_vring *vr = &q->vr;
	const uint32_t from = l->used & WEIR_VRING_POS_IDX;
	const uint32_t to = vr->used_pos & WEIR_VRING_POS_IDX;
	const bool wrapped = ((l->used ^ vr->used_pos) & WEIR_VRING_POS_WRAP) != 0;

	mark_entries(l, find_gpa(q, l, vr->packed_desc), from,
		     wrapped ? vr->size - from + to : to - from, vr->size,
		     sizeof(struct vring_packed_desc));
	l->used = vr->used_pos;
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
	if (l->conf.used && q->vr.packed)
		mark_packed(q, l);
	else if (l->conf.used)
		mark_used(q, l);
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
	/* its flags were written when the ring was found */
	if (conf->used)
		mark(l, conf->used_gpa, offsetof(struct vring_used, ring));
	return 0;
}

void
queue_log_stop(struct weir_queue *q)
{
	free(q->log);
	q->log = NULL;
}
