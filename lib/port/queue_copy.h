/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PORT_QUEUE_COPY_H
#define WEIR_PORT_QUEUE_COPY_H
/*
 * Between an mbuf and the pieces of a packet in guest memory, either way. Always
 * inlined, so that the direction and the queue's mode cost nothing.
 */
#include <rte_memcpy.h>

#include "queue.h"
#include "queue_publish.h"

/*
 * Bytes from where to where copies go by libc, which looks once what the CPU has;
 * rte_memcpy() knows what it had to have when this was compiled. Below, a call
 * costs more than it gains. Above, it was seen to take a third longer for the
 * pieces of 2 KiB that a long frame is cut into.
 */
#define COPY_LIBC_FIRST 129u
#define COPY_LIBC_LAST 1599u

/* Bytes of the header before each packet. */
static __rte_always_inline uint32_t
queue_hdr_len(const struct weir_queue *q, unsigned int mode)
{
	return (mode & QUEUE_HDR12) != 0 ? sizeof(struct virtio_net_hdr_mrg_rxbuf)
					 : q->hdr_len;
}

/* 33 to 64 bytes: from either end, which meet or overlap. */
static __rte_always_inline void
copy_short(uint8_t *to, const uint8_t *from, uint32_t n)
{
	rte_mov16(to, from);
	rte_mov16(to + 16, from + 16);
	rte_mov16(to + n - 32, from + n - 32);
	rte_mov16(to + n - 16, from + n - 16);
}

/* Copy a plain frame: one of the shortest without another look at its length. Pieces
 * of long ones are copied better by rte_memcpy(). */
static __rte_always_inline void
copy_frame(void *to, const void *from, uint32_t n)
{
	if (n - 33 < 32)
		copy_short(to, from, n);
	else if (n >= COPY_LIBC_FIRST && n <= COPY_LIBC_LAST)
		memcpy(to, from, n);
	else
		rte_memcpy(to, from, n);
}

/* A burst of copies begins: lock the channel whose turn it is. */
static __rte_always_inline void
chan_begin(struct weir_queue *q)
{
	if (q->nr_chans > 1)
		queue_chan_turn(q);
	weir_copy_lock(q->chan);
	if (__builtin_expect(q->tuned, 0))
		queue_tune_begin(q);
}

/* Short frames may go by CPU without a look at the channel, unless this burst is one
 * to be measured. */
static __rte_always_inline bool
short_first(struct weir_queue *q)
{
	if (queue_in_flight(q) != 0)
		return false;
	if (__builtin_expect(!q->tuned, 1))
		return true;
	return q->tune.wait != 0 && q->tune.wait-- != 0;
}

/* A packet begins: all its copies go to one channel. @return its place. */
static __rte_always_inline uint8_t
chan_packet(struct weir_queue *q)
{
	if (__builtin_expect(weir_copy_room(q->chan) == 0, 0) && q->nr_chans > 1)
		queue_chan_full(q);
	return q->cur;
}

/* The burst's copies are all submitted. */
static __rte_always_inline void
chan_end(struct weir_queue *q)
{
	if (__builtin_expect(q->measured, 0))
		queue_tune_end(q);
	weir_copy_kick(q->chan);
	weir_copy_unlock(q->chan);
}

/* Take completions. */
static __rte_always_inline void
chans_poll(struct weir_queue *q)
{
	if (__builtin_expect(q->tuned && q->tune.poll, 0))
		queue_tune_poll(q);
	else
		queue_chans_poll(q);
}

/* Where the next byte of the packet is: a piece and an offset in it. */
struct cursor {
	struct weir_iov *v;
	uint64_t off;
};

static inline void
cursor_skip(struct cursor *c, uint64_t n)
{
	c->off += n;
	if (c->off == c->v->len) {
		c->v++;
		c->off = 0;
	}
}

/* n bytes that are contiguous on both sides. */
static __rte_always_inline struct weir_copy_piece
piece_at(const struct cursor *c, const struct rte_mbuf *m, uint32_t off, uint32_t n,
	 bool to_guest)
{
	char *guest = (char *)c->v->hva + c->off;
	char *host = rte_pktmbuf_mtod_offset(m, char *, off);
	uint64_t guest_iova = c->v->iova + c->off;
	uint64_t host_iova = rte_mbuf_data_iova(m) + off;

	return to_guest
		       ? (struct weir_copy_piece){ guest, host, guest_iova, host_iova, n }
		       : (struct weir_copy_piece){ host, guest, host_iova, guest_iova,
						   n };
}

/* Give a piece to the channel whose turn it is. @return the copy's number; 0: it was
 * not taken. */
static __rte_always_inline uint64_t
chan_copy(struct weir_queue *q, struct weir_copy_piece p)
{
	struct weir_copy_chan *c = q->chan;

	if (__builtin_expect(weir_copy_room(c) != 0, 1) &&
	    weir_copy_submit(c, p.dst, p.dst_iova, p.src, p.src_iova, p.len))
		return c->submitted;
	stat_add(&q->stats.dma_full, 1);
	return 0;
}

static __rte_always_inline void
copy_piece_cpu(struct weir_queue *q, struct weir_copy_piece p)
{
	rte_memcpy(p.dst, p.src, p.len);
	stat_add(&q->stats.cpu_copies, 1);
}

/* Copy it: by DMA if there is a channel that takes it. @return the copy's number; 0:
 * it is done. */
static __rte_always_inline uint64_t
copy_piece(struct weir_queue *q, unsigned int mode, struct weir_copy_piece p)
{
	uint64_t seq;

	if ((mode & QUEUE_CHAN) != 0 && __builtin_expect(q->measured, 0))
		return queue_tune_copy(q, &p, 1);
	if ((mode & QUEUE_CHAN) != 0 && p.len >= q->threshold) {
		seq = chan_copy(q, p);
		if (seq != 0) {
			stat_add(&q->stats.dma_copies, 1);
			return seq;
		}
	}
	copy_piece_cpu(q, p);
	return 0;
}

/* Used entries were published in the middle of a burst. The log goes over a ring
 * at most at a time, and a burst may go round further. */
static inline void
queue_log_run(struct weir_queue *q)
{
	if (__builtin_expect(q->log != NULL, 0))
		queue_log_published(q);
}

/* Pieces of one packet that are to be one job of the channel's device. */
struct gather {
	unsigned int nr;
	struct weir_copy_piece piece[WEIR_COPY_MAX_SG];
};

/* Copy what was gathered, at once if it can be. As copy_piece(). */
static inline uint64_t
gather_flush(struct weir_queue *q, struct gather *g)
{
	uint64_t last = 0;

	if (__builtin_expect(q->measured, 0) && g->nr > 1) {
		last = queue_tune_copy(q, g->piece, g->nr);
		g->nr = 0;
	}
	if (g->nr > 1 && weir_copy_room(q->chan) >= g->nr &&
	    weir_copy_submit_sg(q->chan, g->piece, g->nr)) {
		stat_add(&q->stats.dma_copies, g->nr);
		last = q->chan->submitted;
		g->nr = 0;
	}
	for (unsigned int i = 0; i < g->nr; i++)
		last = RTE_MAX(last, copy_piece(q, QUEUE_CHAN, g->piece[i]));
	g->nr = 0;
	return last;
}

/*
 * What plain frames come to in a burst, until its end.
 */
struct tally {
	uint64_t packets, bytes;
	uint64_t cpu_copies, dma_copies;
};

static __rte_always_inline void
tally_add(struct weir_queue *q, unsigned int mode, const struct tally *t)
{
	stat_add(&q->stats.packets, t->packets);
	stat_add(&q->stats.bytes, t->bytes);
	stat_add(&q->stats.cpu_copies, t->cpu_copies);
	if ((mode & QUEUE_CHAN) != 0)
		stat_add(&q->stats.dma_copies, t->dma_copies);
}

/*
 * The copy of a frame in one piece, packet @p p of the window, begins. True: it is
 * the CPU's, which makes it when the engine has been given what is its own.
 */
static __rte_always_inline bool
frame_submit(struct weir_queue *q, struct queue_pkt *p, struct weir_copy_piece piece,
	     bool to_guest, struct tally *t)
{
	p->chan = q->cur;
	p->seq = 0;
	if (__builtin_expect((p->m->ol_flags & RTE_MBUF_F_EXTERNAL) != 0, 0)) {
		p->chan = chan_packet(q);
		p->seq = queue_copy_ext(q, p->m, piece, to_guest);
		return false;
	}
	if (__builtin_expect(q->measured, 0)) {
		p->chan = chan_packet(q);
		p->seq = queue_tune_copy(q, &piece, 1);
		return false;
	}
	if (piece.len < q->threshold)
		return true;
	p->chan = chan_packet(q);
	p->seq = chan_copy(q, piece);
	if (__builtin_expect(p->seq == 0, 0))
		return true;
	t->dma_copies++;
	return false;
}

/*
 * Copy a whole packet, from the cursor on. The mbuf's lengths say how much; the
 * pieces hold at least that. @return its last DMA copy's number, 0: none.
 */
static __rte_always_inline uint64_t
copy_packet(struct weir_queue *q, unsigned int mode, struct cursor *c,
	    const struct rte_mbuf *m, bool to_guest)
{
	const unsigned int max = (mode & QUEUE_CHAN) != 0 ? q->chan->max_sg : 0;
	struct gather g;
	uint64_t last = 0;

	g.nr = 0; /* the rest as it is filled */
	for (; m != NULL; m = m->next) {
		uint32_t off = 0;

		while (off != m->data_len) {
			uint32_t n = (uint32_t)RTE_MIN((uint64_t)(m->data_len - off),
						       c->v->len - c->off);
			struct weir_copy_piece p = piece_at(c, m, off, n, to_guest);

			if ((mode & QUEUE_CHAN) != 0 &&
			    (m->ol_flags & RTE_MBUF_F_EXTERNAL) != 0)
				last = RTE_MAX(last, queue_copy_ext(q, m, p, to_guest));
			else if (max > 1 && (n >= q->threshold || q->measured))
				g.piece[g.nr++] = p;
			else
				last = RTE_MAX(last, copy_piece(q, mode, p));
			if (max > 1 && g.nr == max)
				last = RTE_MAX(last, gather_flush(q, &g));
			cursor_skip(c, n);
			off += n;
		}
	}
	return max > 1 ? RTE_MAX(last, gather_flush(q, &g)) : last;
}

#endif /* WEIR_PORT_QUEUE_COPY_H */
