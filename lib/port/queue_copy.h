/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PORT_QUEUE_COPY_H
#define WEIR_PORT_QUEUE_COPY_H
/*
 * Between an mbuf and the pieces of a packet in guest memory, either way. Always
 * inlined, so that the direction and the queue's mode cost nothing.
 */
#include <rte_memcpy.h>

#include "queue.h"

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

static __rte_always_inline void
copy_bytes(void *to, const void *from, uint32_t n)
{
	if (n >= COPY_LIBC_FIRST && n <= COPY_LIBC_LAST)
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
	weir_copy_kick(q->chan);
	weir_copy_unlock(q->chan);
}

/* Take the completions of all channels that have some to come. */
static __rte_always_inline void
chans_poll(struct weir_queue *q)
{
	for (unsigned int i = 0; i < q->nr_chans; i++) {
		struct weir_copy_chan *c = q->chans[i];

		if (weir_copy_idle(c))
			continue;
		weir_copy_lock(c);
		weir_copy_poll(c);
		weir_copy_unlock(c);
	}
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

/*
 * Copy n bytes that are contiguous on both sides: by DMA if there is a channel
 * that takes them. @return the copy's number; 0: it is done.
 */
static __rte_always_inline uint64_t
copy_piece(struct weir_queue *q, unsigned int mode, const struct cursor *c,
	   const struct rte_mbuf *m, uint32_t off, uint32_t n, bool to_guest)
{
	char *guest = (char *)c->v->hva + c->off;
	char *host = rte_pktmbuf_mtod_offset(m, char *, off);
	uint64_t guest_iova = c->v->iova + c->off;
	uint64_t host_iova = rte_mbuf_data_iova(m) + off;
	bool taken;

	if ((mode & QUEUE_CHAN) != 0 && n >= q->threshold) {
		taken = weir_copy_room(q->chan) != 0 &&
			(to_guest ? weir_copy_submit(q->chan, guest, guest_iova, host,
						     host_iova, n)
				  : weir_copy_submit(q->chan, host, host_iova, guest,
						     guest_iova, n));
		if (taken) {
			stat_add(&q->stats.dma_copies, 1);
			return q->chan->submitted;
		}
		stat_add(&q->stats.dma_full, 1);
	}
	if (to_guest)
		copy_bytes(guest, host, n);
	else
		copy_bytes(host, guest, n);
	stat_add(&q->stats.cpu_copies, 1);
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

/*
 * What plain frames come to in a burst, until its end.
 */
struct tally {
	uint64_t packets, bytes;
	uint64_t cpu_copies; /* without a channel only */
};

static __rte_always_inline void
tally_add(struct weir_queue *q, unsigned int mode, const struct tally *t)
{
	stat_add(&q->stats.packets, t->packets);
	stat_add(&q->stats.bytes, t->bytes);
	if ((mode & QUEUE_CHAN) == 0)
		stat_add(&q->stats.cpu_copies, t->cpu_copies);
}

/*
 * Copy a whole packet, from the cursor on. The mbuf's lengths say how much; the
 * pieces hold at least that. @return its last DMA copy's number, 0: none.
 */
static __rte_always_inline uint64_t
copy_packet(struct weir_queue *q, unsigned int mode, struct cursor *c,
	    const struct rte_mbuf *m, bool to_guest)
{
	uint64_t last = 0;

	for (; m != NULL; m = m->next) {
		uint32_t off = 0;

		while (off != m->data_len) {
			uint32_t n = (uint32_t)RTE_MIN((uint64_t)(m->data_len - off),
						       c->v->len - c->off);
			uint64_t seq = copy_piece(q, mode, c, m, off, n, to_guest);

			if (seq != 0)
				last = seq;
			cursor_skip(c, n);
			off += n;
		}
	}
	return last;
}

#endif /* WEIR_PORT_QUEUE_COPY_H */
