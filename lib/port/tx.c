/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Host to guest: mbufs into chains that the guest's receive queue offers.
 *
 * What is `always_inline` here is a template, as in rx.c.
 */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <linux/virtio_net.h>

#include "hash.h"
#include "offload.h"
#include "queue.h"
#include "queue_copy.h"
#include "segment.h"

/* Room for one packet: the first nr_iov pieces of q->iov. */
struct room {
	unsigned int nr_iov;
	uint16_t nr_heads;
};

/*
 * Take chains until they hold need bytes; note their used entries.
 *
 * 0; -ENOBUFS: the guest has not offered enough yet; -EMSGSIZE: it takes one
 * chain a packet and this one is too short, or it has filled its ring and that
 * is not enough; -EAGAIN: a translation is not there yet; -EPROTO: the ring is
 * broken. Nothing is taken on failure.
 */
static __rte_always_inline int
room_take(struct weir_queue *q, unsigned int mode, uint64_t need,
	  struct weir_vring_at *at, struct room *room)
{
	const struct weir_vring_at before = *at;
	struct weir_vring *vr = &q->vr;
	uint16_t used = vr->used_next;
	struct weir_chain chain;
	uint64_t have = 0, len;
	int nr, ret;

	*room = (struct room){ 0 };
	while (have < need) {
		/* a ring that is full will not offer more */
		ret = before.left - at->left == (int)vr->size ? -EMSGSIZE : -ENOBUFS;
		if (!weir_vring_has(&q->vr, mode & QUEUE_PACKED, at))
			goto err_untake;
		/* chains before this one may have filled the scratch to its end */
		nr = weir_vring_take(vr, mode & QUEUE_PACKED, at, VRING_DESC_F_WRITE,
				     &q->iov[room->nr_iov], q->max_iov - room->nr_iov,
				     &chain, &len);
		if (__builtin_expect(nr < 0, 0)) {
			queue_untaken(q, at, -nr);
			ret = nr == -WEIR_VRING_MISS ? -EAGAIN : -EPROTO;
			goto err_untake;
		}
		ret = -EMSGSIZE;
		if ((mode & QUEUE_MERGE) == 0 && len < need)
			goto err_untake;
		weir_vring_use(vr, mode & QUEUE_PACKED, chain,
			       (uint32_t)RTE_MIN(len, need - have));
		weir_vring_next(&q->vr, mode & QUEUE_PACKED, at, chain);
		have += len;
		room->nr_iov += (unsigned int)nr;
		room->nr_heads++;
	}
	return 0;

err_untake:
	vr->used_next = used;
	*at = before;
	return ret;
}

static __rte_always_inline void
put_bytes(struct cursor *c, const void *from, uint32_t left)
{
	const char *p = from;

	while (left != 0) {
		uint32_t n = (uint32_t)RTE_MIN((uint64_t)left, c->v->len - c->off);

		memcpy((char *)c->v->hva + c->off, p, n);
		cursor_skip(c, n);
		p += n;
		left -= n;
	}
}

/* The longest header there is; of most guests' it is the beginning. */
struct header {
	struct virtio_net_hdr_mrg_rxbuf mrg;
	uint32_t hash;
	uint16_t report, padding;
};

static_assert(sizeof(struct header) == sizeof(struct virtio_net_hdr_v1_hash) &&
		      offsetof(struct header, report) ==
			      offsetof(struct virtio_net_hdr_v1_hash, hash_report),
	      "it is virtio's");

/* The guest wants to know a frame's hash. */
static void
header_hash(const struct weir_queue *q, struct header *h, const struct rte_mbuf *m,
	    uint32_t types)
{
	const struct hash *hash = atomic_load_explicit(&q->hash, memory_order_acquire);

	if (hash != NULL)
		h->hash = hash_frame(hash, m, types, &h->report);
}

static void
put_header(struct weir_queue *q, struct cursor *c, struct rte_mbuf *m, uint16_t nr_heads)
{
	struct header h = { .mrg.num_buffers = nr_heads };

	if (__builtin_expect((m->ol_flags & OFFLOAD_TX_FLAGS) != 0, 0))
		offload_tx_header(&h.mrg.hdr, m);
	if (q->hdr_len == sizeof(h))
		header_hash(q, &h, m, HASH_TYPES);
	put_bytes(c, &h, q->hdr_len);
}

static void
put_segment(struct weir_queue *q, const struct segmenter *s, uint16_t nr_heads)
{
	struct header h = { .mrg.num_buffers = nr_heads };
	struct cursor c = { .v = q->iov };
	uint32_t off = s->off, left = s->len;

	segment_header(s, &h.mrg.hdr);
	if (q->hdr_len == sizeof(h))
		header_hash(q, &h, s->m,
			    s->kind == SEGMENT_FRAGMENT ? HASH_TYPES_IP : HASH_TYPES);
	put_bytes(&c, &h, q->hdr_len);
	put_bytes(&c, s->hdr, s->hdr_len);
	for (const struct rte_mbuf *m = s->m; left != 0; m = m->next) {
		uint32_t n;

		if (off >= m->data_len) {
			off -= m->data_len;
			continue;
		}
		n = RTE_MIN(left, m->data_len - off);
		put_bytes(&c, rte_pktmbuf_mtod_offset(m, const char *, off), n);
		stat_add(&q->stats.cpu_copies, 1);
		left -= n;
		off = 0;
	}
}

/*
 * Cut a frame for a guest that cannot: all of it, or nothing. By CPU, whatever
 * the queue has: chains are given up again if they do not suffice, and a copy
 * under way could not be called back. Returns as room_take().
 */
static __rte_noinline int
tx_segments(struct weir_queue *q, struct rte_mbuf *m, uint64_t guest,
	    struct weir_vring_at *at, struct room *total)
{
	const struct weir_vring_at before = *at;
	const uint16_t used = q->vr.used_next;
	struct segmenter s;
	struct room room;
	uint64_t bytes = 0;
	int ret;

	*total = (struct room){ 0 };
	if (segment_begin(&s, m, (guest & OFFLOAD_BIT(GUEST_CSUM)) != 0) != 0 ||
	    s.nr > q->vr.size)
		return -EMSGSIZE;
	while (segment_next(&s)) {
		ret = room_take(q, q->mode, (uint64_t)q->hdr_len + s.hdr_len + s.len, at,
				&room);
		if (ret != 0)
			goto err_untake;
		put_segment(q, &s, room.nr_heads);
		if (q->log != NULL)
			queue_log_written(q, (uint64_t)q->hdr_len + s.hdr_len + s.len);
		total->nr_heads = (uint16_t)(total->nr_heads + room.nr_heads);
		bytes += s.hdr_len + s.len;
	}
	stat_add(&q->stats.packets, s.nr);
	stat_add(&q->stats.bytes, bytes);
	return 0;

err_untake:
	q->vr.used_next = used;
	*at = before;
	/* a ring that is full will not offer more */
	if (ret == -ENOBUFS && weir_vring_count(&q->vr, q->vr.packed, at,
						(uint16_t)q->vr.size) == q->vr.size)
		ret = -EMSGSIZE;
	return ret;
}

/* A frame that is not of the usual kind. Not inlined: one for all modes. As
 * tx_one(). */
static __rte_noinline int
tx_shape(struct weir_queue *q, struct rte_mbuf *m, struct weir_vring_at *at,
	 uint64_t *seq, struct room *room)
{
	const unsigned int mode = q->mode;
	struct cursor c = { .v = q->iov };
	enum offload_way way = OFFLOAD_AS_IS;
	uint64_t guest = 0;
	int ret;

	*seq = 0;
	if ((m->ol_flags & OFFLOAD_TX_FLAGS) != 0) {
		guest = atomic_load_explicit(&q->guest_offloads, memory_order_relaxed);
		way = offload_tx_way(m, guest);
	}
	if (way == OFFLOAD_SEGMENT) {
		ret = tx_segments(q, m, guest, at, room);
		if (ret == 0)
			return 1;
	} else if (way == OFFLOAD_COMPLETE && offload_tx_software(m) != 0) {
		ret = -EMSGSIZE;
	} else {
		ret = room_take(q, mode, (uint64_t)m->pkt_len + q->hdr_len, at, room);
	}
	if (ret == -EMSGSIZE) {
		*room = (struct room){ 0 };
		stat_add(&q->stats.dropped, 1);
		return 1;
	}
	if (ret != 0)
		return 0;
	put_header(q, &c, m, room->nr_heads);
	*seq = copy_packet(q, mode, &c, m, true);
	stat_add(&q->stats.packets, 1);
	stat_add(&q->stats.bytes, m->pkt_len);
	return 1;
}

/* One segment, nothing to be done to it. */
static __rte_always_inline bool
tx_is_plain(const struct rte_mbuf *m)
{
	return __builtin_expect((m->ol_flags & OFFLOAD_TX_FLAGS) == 0 &&
					m->nb_segs == 1 && m->data_len != 0,
				1);
}

/* Plain frames up to a length at the beginning of pkts. *raw: each is its pool's to
 * take back as it is, all the same pool. */
static __rte_always_inline uint16_t
tx_count_plain(struct rte_mbuf **pkts, uint16_t n, uint32_t longest, bool *raw)
{
	const uint64_t lent = RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
	const uintptr_t pool = (uintptr_t)pkts[0]->pool;
	uint64_t other = 0;
	uint16_t i;

	/* gathered, not branched on */
	for (i = 0; i < n && tx_is_plain(pkts[i]) && pkts[i]->data_len <= longest; i++)
		other |= (pkts[i]->ol_flags & lent) | ((uintptr_t)pkts[i]->pool ^ pool) |
			 (rte_mbuf_refcnt_read(pkts[i]) ^ 1u);
	*raw = other == 0;
	return i;
}

/* Copy plain frames into chains that are one piece. @return those that fit. */
static __rte_always_inline uint16_t
tx_run(struct weir_queue *q, unsigned int mode, struct weir_vring_run *run,
       struct rte_mbuf **pkts, uint16_t n, struct tally *t)
{
	const struct virtio_net_hdr_mrg_rxbuf h = { .num_buffers = 1 };
	const uint32_t hdr_len = queue_hdr_len(q, mode);
	uint16_t i;

	for (i = 0; i < n; i++) {
		const uint32_t len = pkts[i]->data_len;
		char *to = run->hva[i];

		if (__builtin_expect(weir_vring_run_len(run, i) < len + hdr_len, 0))
			break;
		weir_vring_run_wrote(run, i, len + hdr_len);
		memcpy(to, &h, hdr_len);
		copy_frame(to + hdr_len, rte_pktmbuf_mtod(pkts[i], void *), len);
		t->bytes += len;
		if ((mode & QUEUE_LOG) != 0) {
			q->iov[0] = (struct weir_iov){ .hva = to, .len = len + hdr_len };
			queue_log_written(q, len + hdr_len);
		}
	}
	t->packets += i;
	t->cpu_copies += i;
	return i;
}

/* Plain frames up to a length into plain chains. @return frames sent, which are freed. */
static __rte_always_inline uint16_t
tx_runs(struct weir_queue *q, unsigned int mode, struct weir_vring_at *at,
	struct rte_mbuf **pkts, uint16_t n, uint32_t longest, struct tally *t)
{
	struct weir_vring_run run;
	bool raw;

	/* as in tx_plain() */
	if (queue_hdr_len(q, mode) > sizeof(struct virtio_net_hdr_mrg_rxbuf))
		return 0;
	n = tx_count_plain(pkts, n, longest, &raw);
	n = weir_vring_run(&q->vr, mode & QUEUE_PACKED, at, VRING_DESC_F_WRITE, 1,
			   UINT32_MAX, &run, n);
	n = tx_run(q, mode, &run, pkts, n, t);
	if (__builtin_expect(n == 0, 0))
		return 0;
	publish_run(q, mode, at, VRING_DESC_F_WRITE, &run, n);
	if ((mode & QUEUE_LOG) != 0)
		queue_log_run(q);
	if (__builtin_expect(raw, 1))
		rte_mempool_put_bulk(pkts[0]->pool, (void *const *)pkts, n);
	else
		rte_pktmbuf_free_bulk(pkts, n);
	return n;
}

/* A frame, or a chain, that is not plain. 1: taken, and freed; 0: as tx_shape(). */
static __rte_noinline uint16_t
tx_odd(struct weir_queue *q, struct weir_vring_at *at, struct rte_mbuf *m)
{
	struct room room;
	uint64_t seq;

	if (tx_shape(q, m, at, &seq, &room) == 0)
		return 0;
	/* segments have been logged one by one */
	if (q->log != NULL && room.nr_iov != 0)
		queue_log_written(q, (uint64_t)m->pkt_len + q->hdr_len);
	if (room.nr_heads != 0) {
		publish_frame(q, q->mode, weir_vring_unpublished(&q->vr));
		weir_vring_again(&q->vr, q->vr.packed, at);
		queue_log_run(q);
	}
	rte_pktmbuf_free(m);
	return 1;
}

/* All bytes by CPU, of plain frames up to a length: what was taken is over, and given
 * back, when this returns. The guest is not interrupted yet. Any other frame ends it,
 * or with @p odd is seen to. */
static __rte_always_inline uint16_t
tx_cpu(struct weir_queue *q, unsigned int mode, struct rte_mbuf **pkts, uint16_t n,
       struct weir_vring_at *at, uint32_t longest, bool odd)
{
	struct tally t = { 0 };
	uint16_t i, nr;

	for (i = 0; i < n; i = (uint16_t)(i + nr)) {
		nr = tx_runs(q, mode, at, &pkts[i],
			     RTE_MIN((uint16_t)(n - i), (uint16_t)WEIR_VRING_RUN),
			     longest, &t);
		if (nr == 0 && odd)
			nr = tx_odd(q, at, pkts[i]);
		if (nr == 0)
			break;
	}
	tally_add(q, mode, &t);
	return i;
}

static __rte_always_inline uint16_t
tx_burst_cpu(struct weir_queue *q, unsigned int mode, struct rte_mbuf **pkts, uint16_t n,
	     struct weir_vring_at *at)
{
	const uint16_t began = q->vr.used_idx;
	uint16_t sent = tx_cpu(q, mode, pkts, n, at, UINT32_MAX, true);

	weir_vring_close(&q->vr, at);
	if (q->vr.used_idx != began)
		queue_call(q);
	return sent;
}

/*
 * With a channel and nothing in the window: frames ahead of the first that is long
 * enough for it. They are given back at once, as on a queue without.
 */
static __rte_always_inline uint16_t
tx_short(struct weir_queue *q, unsigned int mode, struct rte_mbuf **pkts, uint16_t n,
	 struct weir_vring_at *at)
{
	uint16_t sent;

	if (q->threshold == 0)
		return 0;
	sent = tx_cpu(q, mode & ~QUEUE_CHAN, pkts, n, at, q->threshold - 1, false);
	if (sent != 0)
		queue_call(q);
	return sent;
}

/* Give the window's next place to a frame. */
static __rte_always_inline struct queue_pkt *
tx_window_add(struct weir_queue *q, uint32_t *head, struct rte_mbuf *m)
{
	struct queue_pkt *p = &q->win[(*head)++ & q->win_mask];

	p->m = m;
	p->nr_used = 1;
	return p;
}

/*
 * Plain frames into plain chains, into the window. The engine is given its copies
 * first, and told if all that is left of the burst is here; headers and the CPU's
 * copies are written while it works, and while the guest's memory comes that was
 * asked for. @return frames taken.
 */
static __rte_always_inline uint16_t
tx_window_run(struct weir_queue *q, unsigned int mode, struct weir_vring_at *at,
	      struct rte_mbuf **pkts, uint16_t n, uint32_t *head, struct tally *t)
{
	const struct virtio_net_hdr_mrg_rxbuf h = { .num_buffers = 1 };
	const uint32_t hdr_len = queue_hdr_len(q, mode);
	uint64_t iova[WEIR_VRING_RUN];
	struct weir_vring_run run;
	uint32_t by_cpu = 0;
	uint16_t nr, i;

	/* a hash is reported, which is not the same for all */
	if (hdr_len > sizeof(h))
		return 0;
	for (nr = 0; nr < RTE_MIN(n, WEIR_VRING_RUN) && tx_is_plain(pkts[nr]); nr++)
		;
	nr = weir_vring_run_dma(&q->vr, mode & QUEUE_PACKED, at, VRING_DESC_F_WRITE, 1,
				UINT32_MAX, &run, iova, nr);
	for (i = 0; i < nr; i++) {
		struct rte_mbuf *m = pkts[i];
		const uint32_t len = m->data_len;
		const struct weir_copy_piece piece = {
			.dst = (char *)run.hva[i] + hdr_len,
			.src = rte_pktmbuf_mtod(m, void *),
			.dst_iova = iova[i] + hdr_len,
			.src_iova = rte_mbuf_data_iova(m),
			.len = len,
		};

		if (__builtin_expect(weir_vring_run_len(&run, i) < len + hdr_len, 0) ||
		    ((mode & QUEUE_LOG) != 0 && !queue_log_room(q)))
			break;
		weir_vring_run_wrote(&run, i, len + hdr_len);
		if ((mode & QUEUE_LOG) != 0) {
			q->iov[0] =
				(struct weir_iov){ run.hva[i], iova[i], len + hdr_len };
			queue_log_packet(q, len + hdr_len, *head);
		}
		t->bytes += len;
		by_cpu |= (uint32_t)frame_submit(q, tx_window_add(q, head, m), piece,
						 true, t)
			  << i;
	}
	nr = i;
	if (nr == n && !q->measured)
		weir_copy_kick(q->chan);
	for (i = 0; i < nr; i++) {
		memcpy(run.hva[i], &h, hdr_len);
		if ((by_cpu & 1u << i) != 0)
			copy_frame((char *)run.hva[i] + hdr_len,
				   rte_pktmbuf_mtod(pkts[i], void *), pkts[i]->data_len);
		weir_vring_use(&q->vr, mode & QUEUE_PACKED,
			       (struct weir_chain){ weir_vring_run_id(&run, i), 1 },
			       weir_vring_run_len(&run, i));
	}
	if (nr != 0)
		weir_vring_next(&q->vr, mode & QUEUE_PACKED, at,
				(struct weir_chain){ .nr = nr });
	t->packets += nr;
	t->cpu_copies += (unsigned int)__builtin_popcount(by_cpu);
	return nr;
}

/* A frame, or a chain, that is not plain, into the window. 1: taken; 0: as
 * tx_shape(). */
static __rte_noinline uint16_t
tx_window_odd(struct weir_queue *q, struct weir_vring_at *at, struct rte_mbuf *m,
	      uint32_t *head)
{
	struct queue_pkt *p;
	struct room room;
	uint8_t chan;
	uint64_t seq;

	if (q->log != NULL && !queue_log_room(q))
		return 0;
	chan = chan_packet(q);
	if (tx_shape(q, m, at, &seq, &room) == 0)
		return 0;
	if (q->log != NULL && room.nr_iov != 0)
		queue_log_packet(q, (uint64_t)m->pkt_len + q->hdr_len, *head);
	p = tx_window_add(q, head, m);
	p->seq = seq;
	p->chan = chan;
	p->nr_used = room.nr_heads;
	return 1;
}

static __rte_always_inline uint16_t
tx_burst_dma(struct weir_queue *q, unsigned int mode, struct rte_mbuf **pkts, uint16_t n,
	     struct weir_vring_at *at)
{
	uint32_t head = q->win_head, room = q->win_mask + 1 - queue_in_flight(q);
	struct tally t = { 0 };
	uint16_t i, nr;

	if (n > room)
		n = (uint16_t)room;
	chan_begin(q);
	for (i = 0; i < n; i = (uint16_t)(i + nr)) {
		nr = tx_window_run(q, mode, at, &pkts[i], (uint16_t)(n - i), &head, &t);
		if (nr == 0)
			nr = tx_window_odd(q, at, pkts[i], &head);
		if (nr == 0)
			break;
	}
	chan_end(q);
	weir_vring_close(&q->vr, at);
	tally_add(q, mode, &t);
	atomic_store_explicit(&q->win_head, head, memory_order_relaxed);
	return i;
}

void
queue_collect_tx(struct weir_queue *q)
{
	uint32_t tail = q->win_tail, head = q->win_head;
	struct rte_mbuf *done[64];
	uint16_t used = 0;
	unsigned int nr = 0;

	if (tail == head)
		return;
	chans_poll(q);
	while (tail != head) {
		struct queue_pkt *p = &q->win[tail & q->win_mask];

		if (!weir_copy_done(q->chans[p->chan], p->seq))
			break;
		used = (uint16_t)(used + p->nr_used);
		/* frames that take several chains: one after the other */
		if ((q->mode & QUEUE_KEPT) != 0)
			weir_vring_publish_kept(&q->vr, p->nr_used);
		done[nr++] = p->m;
		tail++;
		if (nr == RTE_DIM(done)) {
			rte_pktmbuf_free_bulk(done, nr);
			nr = 0;
		}
	}
	atomic_store_explicit(&q->win_tail, tail, memory_order_relaxed);
	if (used != 0) {
		if ((q->mode & QUEUE_KEPT) == 0)
			weir_vring_publish(&q->vr, q->vr.packed, used);
		queue_call(q);
	}
	rte_pktmbuf_free_bulk(done, nr);
}

void
queue_collect_idle(struct weir_queue *q)
{
	if (queue_in_flight(q) == 0 || !queue_enter_idle(q))
		return;
	queue_collect_tx(q);
	queue_leave(q);
}

QUEUE_BURST uint16_t
tx_burst(struct weir_queue *q, struct rte_mbuf **pkts, uint16_t n, unsigned int mode)
{
	struct weir_vring_at at;
	uint16_t sent = 0;
	int ret;

	if ((mode & QUEUE_CHAN) != 0)
		queue_collect_tx(q);
	ret = weir_vring_open(&q->vr, mode & QUEUE_PACKED, &at);
	if (__builtin_expect(ret < 0, 0)) {
		queue_break(q, -ret);
		return 0;
	}
	if ((mode & QUEUE_CHAN) == 0) {
		sent = tx_burst_cpu(q, mode, pkts, n, &at);
	} else {
		if (short_first(q))
			sent = tx_short(q, mode, pkts, n, &at);
		if (sent == n)
			weir_vring_close(&q->vr, &at);
		else
			sent = (uint16_t)(sent + tx_burst_dma(q, mode, &pkts[sent],
							      (uint16_t)(n - sent), &at));
		/* an engine that copies at once is over already */
		queue_collect_tx(q);
	}
	if ((mode & QUEUE_IOTLB) != 0)
		queue_scout(q);
	return sent;
}

#define TX_BURST(name, mode)                                                           \
	static uint16_t name(struct weir_queue *q, struct rte_mbuf **pkts, uint16_t n) \
	{                                                                              \
		return tx_burst(q, pkts, n, (mode) | QUEUE_HDR12);                     \
	}

TX_BURST(tx_split, 0)
TX_BURST(tx_packed, QUEUE_PACKED)
TX_BURST(tx_split_dma, QUEUE_CHAN)
TX_BURST(tx_packed_dma, QUEUE_PACKED | QUEUE_CHAN)
TX_BURST(tx_split_merge, QUEUE_MERGE)
TX_BURST(tx_packed_merge, QUEUE_MERGE | QUEUE_PACKED)
TX_BURST(tx_split_dma_merge, QUEUE_MERGE | QUEUE_CHAN)
TX_BURST(tx_packed_dma_merge, QUEUE_MERGE | QUEUE_PACKED | QUEUE_CHAN)

uint16_t
queue_tx_any(struct weir_queue *q, struct rte_mbuf **pkts, uint16_t n)
{
	return tx_burst(q, pkts, n, q->mode);
}

queue_burst_t
queue_tx_select(unsigned int mode)
{
	static const queue_burst_t made[QUEUE_NR_MODES] = {
		[0] = tx_split,
		[QUEUE_PACKED] = tx_packed,
		[QUEUE_CHAN] = tx_split_dma,
		[QUEUE_PACKED | QUEUE_CHAN] = tx_packed_dma,
		[QUEUE_MERGE] = tx_split_merge,
		[QUEUE_MERGE | QUEUE_PACKED] = tx_packed_merge,
		[QUEUE_MERGE | QUEUE_CHAN] = tx_split_dma_merge,
		[QUEUE_MERGE | QUEUE_PACKED | QUEUE_CHAN] = tx_packed_dma_merge,
	};

	if ((mode & (QUEUE_HDR12 | QUEUE_LOG | QUEUE_IOTLB | QUEUE_KEPT)) != QUEUE_HDR12)
		return queue_tx_any;
	return made[mode % QUEUE_NR_MODES];
}

uint16_t
queue_tx_burst(struct weir_queue *q, struct rte_mbuf **pkts, uint16_t n)
{
	struct trail *t;
	uint16_t sent;

	if (!queue_burst_enter(q, &t))
		return 0;
	sent = q->burst(q, pkts, n);
	if (sent != 0)
		queue_burst_leave(q, t);
	else
		queue_leave(q);
	return sent;
}
