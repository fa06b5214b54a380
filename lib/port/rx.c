/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest to host: chains of the guest's transmit queue into mbufs.
 *
 * What is `always_inline` here is a template: `mode` is a constant where it is
 * called from a burst function made for one mode, and the choices fall away.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include <linux/virtio_net.h>
#include <rte_ether.h>
#include <rte_malloc.h>

#include "offload.h"
#include "queue.h"
#include "queue_copy.h"

static __rte_always_inline void
get_header(struct weir_queue *q, unsigned int mode, struct cursor *c,
	   struct virtio_net_hdr *h)
{
	char buf[sizeof(struct virtio_net_hdr_v1_hash)];
	const uint32_t hdr_len = queue_hdr_len(q, mode);
	uint32_t got = 0;

	while (got != hdr_len) {
		uint32_t n =
			(uint32_t)RTE_MIN((uint64_t)(hdr_len - got), c->v->len - c->off);

		memcpy(buf + got, (const char *)c->v->hva + c->off, n);
		cursor_skip(c, n);
		got += n;
	}
	memcpy(h, buf, sizeof(*h));
}

/*
 * The fields that are the same in each received mbuf are written at once rather
 * than one by one. Whose data an mbuf has is for its pool to say: an external
 * buffer that is pinned to it stays.
 */
void
queue_rx_mbuf_init(struct weir_queue *q)
{
	struct rte_mbuf m = {
		.data_off = RTE_PKTMBUF_HEADROOM,
		.refcnt = 1,
		.nb_segs = 1,
		.port = q->port_id,
	};
	uint32_t pinned =
		rte_pktmbuf_priv_flags(q->pool) & RTE_PKTMBUF_POOL_F_PINNED_EXT_BUF;

	m.ol_flags = pinned != 0 ? RTE_MBUF_F_EXTERNAL : 0;
	memcpy(&q->mbuf_rearm, (const char *)&m + offsetof(struct rte_mbuf, data_off),
	       sizeof(q->mbuf_rearm));
	q->mbuf_room = rte_pktmbuf_data_room_size(q->pool) - RTE_PKTMBUF_HEADROOM;
}

static_assert(offsetof(struct rte_mbuf, ol_flags) + sizeof(uint64_t) ==
		      offsetof(struct rte_mbuf, data_off) + sizeof(struct queue_rearm),
	      "its fields follow each other");

/* An mbuf as the pool has it, made ready for a frame but for its lengths. */
static __rte_always_inline void
mbuf_rearm(struct rte_mbuf *m, struct queue_rearm rearm)
{
	memcpy((char *)m + offsetof(struct rte_mbuf, data_off), &rearm, sizeof(rearm));
	m->packet_type = 0;
	m->pkt_len = 0;
	m->data_len = 0;
	m->vlan_tci = 0;
	m->vlan_tci_outer = 0;
	m->tx_offload = 0;
}

static void
ext_buf_free(void *addr, void *arg)
{
	RTE_SET_USED(addr);
	rte_free(arg);
}

/* Give an mbuf a buffer that holds the whole frame. */
static int
ext_buf_attach(struct rte_mbuf *m, uint32_t len)
{
	struct rte_mbuf_ext_shared_info *info;
	uint32_t total = len + RTE_PKTMBUF_HEADROOM + sizeof(*info) + sizeof(uintptr_t);
	uint16_t buf_len;
	void *buf;

	if (total > UINT16_MAX)
		return -EMSGSIZE;
	buf_len = (uint16_t)total;
	buf = rte_malloc(NULL, buf_len, RTE_CACHE_LINE_SIZE);
	if (buf == NULL)
		return -ENOMEM;
	info = rte_pktmbuf_ext_shinfo_init_helper(buf, &buf_len, ext_buf_free, buf);
	if (info == NULL) {
		rte_free(buf);
		return -EMSGSIZE;
	}
	rte_pktmbuf_attach_extbuf(m, buf, rte_malloc_virt2iova(buf), buf_len, info);
	rte_pktmbuf_reset_headroom(m);
	return 0;
}

/* Mbufs that are taken out of the pool at once. */
#define CHAIN_TAKE 32u

/* Chain mbufs for so many bytes more behind one that is full. */
static int
mbuf_chain(const struct weir_queue *q, struct rte_mbuf *m, uint32_t left)
{
	struct rte_mbuf *last = m, *more[CHAIN_TAKE];

	if (left / q->mbuf_room >= RTE_MBUF_MAX_NB_SEGS - 1)
		return -EMSGSIZE;
	while (left != 0) {
		const uint32_t want = (left - 1) / q->mbuf_room + 1;
		const unsigned int n = RTE_MIN(want, CHAIN_TAKE);

		if (rte_mempool_get_bulk(q->pool, (void **)more, n) != 0)
			goto err_chain;
		for (unsigned int i = 0; i < n; i++) {
			mbuf_rearm(more[i], q->mbuf_rearm);
			more[i]->data_len = (uint16_t)RTE_MIN(left, q->mbuf_room);
			left -= more[i]->data_len;
			last->next = more[i];
			last = more[i];
		}
		m->nb_segs = (uint16_t)(m->nb_segs + n);
	}
	return 0;

err_chain:
	rte_pktmbuf_free(m->next);
	m->next = NULL;
	m->nb_segs = 1;
	return -ENOMEM;
}

/* Make the mbuf, or a chain behind it, as long as the frame. */
static int
mbuf_grow(const struct weir_queue *q, struct rte_mbuf *m, uint32_t len)
{
	uint32_t room = rte_pktmbuf_tailroom(m);
	int ret = 0;

	if (len > room && q->ext_buf && ext_buf_attach(m, len) == 0)
		room = rte_pktmbuf_tailroom(m);
	if (len > room && q->linear)
		return -EMSGSIZE;
	m->data_len = (uint16_t)RTE_MIN(len, room);
	if (len > room)
		ret = mbuf_chain(q, m, len - room);
	m->pkt_len = len;
	return ret;
}

/* What a chain came to. */
enum rx_result {
	RX_TAKEN,   /* the mbuf is the frame, once its copies are done */
	RX_DROPPED, /* the chain goes back; the mbuf was not used */
	RX_LATER,   /* no mbufs for so long a frame: leave the chain */
	RX_ENDS,    /* the ring is broken, or waits for a translation */
};

/* A frame that is not of the usual kind. Not inlined: one for all modes. */
static __rte_noinline enum rx_result
rx_shape(struct weir_queue *q, const struct weir_vring_at *at, struct rte_mbuf *m,
	 struct virtio_net_hdr *hdr, struct weir_chain *chain, uint64_t *seq)
{
	const unsigned int mode = q->mode;
	const uint32_t hdr_len = q->hdr_len;
	struct cursor c = { .v = q->iov };
	uint64_t len;
	int ret;

	*seq = 0;
	ret = weir_vring_take(&q->vr, mode & QUEUE_PACKED, at, 0, q->iov, q->max_iov,
			      chain, &len);
	if (ret < 0) {
		queue_untaken(q, at, -ret);
		return RX_ENDS;
	}
	if (len < hdr_len + (uint64_t)RTE_ETHER_HDR_LEN || len > QUEUE_MAX_FRAME)
		return RX_DROPPED;
	get_header(q, mode, &c, hdr);
	ret = mbuf_grow(q, m, (uint32_t)len - hdr_len);
	if (ret != 0)
		return ret == -ENOMEM ? RX_LATER : RX_DROPPED;
	*seq = copy_packet(q, mode, &c, m, false);
	return RX_TAKEN;
}

/* The frame's bytes are all there: the flags that depend on them. */
static __rte_always_inline void
rx_finish(struct weir_queue *q, unsigned int mode, struct rte_mbuf *m,
	  const struct virtio_net_hdr *hdr)
{
	m->port = q->port_id;
	if ((mode & QUEUE_OFFLOAD) != 0 &&
	    __builtin_expect((hdr->flags | hdr->gso_type) != 0, 0))
		offload_rx(m, hdr, q->sw_csum, q->legacy_flags);
}

/* Offloads of a frame whose header lies behind its first two bytes, flags and
 * gso_type, which were read. Not inlined: rare. */
static __rte_noinline void
rx_offload(struct weir_queue *q, struct rte_mbuf *m, const void *header, uint16_t first)
{
	struct virtio_net_hdr h;

	memcpy(&h, header, sizeof(h));
	memcpy(&h, &first, sizeof(first));
	/* the guest may look on, but not what the header said change */
	__asm__ volatile("" : : : "memory");
	offload_rx(m, &h, q->sw_csum, q->legacy_flags);
}

/* How a header begins, wherever the guest put it: flags and the kind of segments. */
struct head {
	uint16_t first;
} __attribute__((packed));

/* Copy frames out of chains that are one piece into mbufs of one segment. */
static __rte_always_inline void
rx_run(struct weir_queue *q, unsigned int mode, const struct weir_vring_run *run,
       struct rte_mbuf **pkts, uint16_t n, struct tally *t)
{
	const uint32_t hdr_len = queue_hdr_len(q, mode);
	const struct queue_rearm rearm = q->mbuf_rearm;

	for (uint16_t i = 0; i < n; i++) {
		const char *from = run->hva[i];
		uint32_t len = weir_vring_run_len(run, i) - hdr_len;
		struct rte_mbuf *m = pkts[i];

		mbuf_rearm(m, rearm);
		m->pkt_len = len;
		m->data_len = (uint16_t)len;
		copy_frame(rte_pktmbuf_mtod(m, void *), from + hdr_len, len);
		t->bytes += len;
		if ((mode & QUEUE_OFFLOAD) != 0) {
			uint16_t first = ((const volatile struct head *)from)->first;

			if (__builtin_expect(first != 0, 0))
				rx_offload(q, m, from, first);
		}
	}
	t->packets += n;
	t->cpu_copies += n;
}

/* The chain at @p at, of which weir_vring_has() spoke, whatever it is. 1: *m is a frame;
 * 0: it was none; or -EAGAIN: the burst ends here. */
static __rte_noinline int
rx_odd(struct weir_queue *q, struct weir_vring_at *at, struct rte_mbuf **m)
{
	const unsigned int mode = q->mode;
	struct virtio_net_hdr hdr;
	struct weir_chain chain;
	enum rx_result r;
	uint64_t seq;

	*m = rte_pktmbuf_alloc(q->pool);
	r = *m == NULL ? RX_LATER : rx_shape(q, at, *m, &hdr, &chain, &seq);
	if (r == RX_LATER)
		stat_add(&q->stats.no_mbuf, 1);
	if (r != RX_TAKEN)
		rte_pktmbuf_free(*m);
	if (r == RX_LATER || r == RX_ENDS)
		return -EAGAIN;
	weir_vring_next(&q->vr, mode & QUEUE_PACKED, at, chain);
	weir_vring_use(&q->vr, mode & QUEUE_PACKED, chain, 0);
	publish_frame(q, mode, 1);
	weir_vring_again(&q->vr, mode & QUEUE_PACKED, at);
	queue_log_run(q);
	if (r == RX_DROPPED) {
		stat_add(&q->stats.dropped, 1);
		return 0;
	}
	rx_finish(q, mode, *m, &hdr);
	stat_add(&q->stats.packets, 1);
	stat_add(&q->stats.bytes, (*m)->pkt_len);
	return 1;
}

/*
 * All bytes by CPU, of frames up to a length; what was taken is over, and given back,
 * when this returns. The guest is not interrupted yet. A chain that is none of them
 * ends it, or with @p odd is seen to.
 */
static __rte_always_inline uint16_t
rx_cpu(struct weir_queue *q, unsigned int mode, struct weir_vring_at *at,
       struct rte_mbuf **pkts, uint16_t n, uint32_t longest, bool odd)
{
	const uint32_t hdr_len = queue_hdr_len(q, mode);
	struct tally t = { 0 };
	struct weir_vring_run run;
	uint16_t got = 0, left = n, nr;

	while (left != 0) {
		nr = weir_vring_run(&q->vr, mode & QUEUE_PACKED, at, 0,
				    hdr_len + RTE_ETHER_HDR_LEN, hdr_len + longest, &run,
				    RTE_MIN(left, WEIR_VRING_RUN));
		/* mbufs in a pool have no next and no user but their taker; where there
		 * are fewer than that they are taken one by one */
		if (nr == 0 ||
		    rte_mempool_get_bulk(q->pool, (void **)&pkts[got], nr) != 0) {
			/* a copy, so that what all others use needs no memory */
			struct weir_vring_at odd_at = *at;
			int ret = odd ? rx_odd(q, &odd_at, &pkts[got]) : -EAGAIN;

			*at = odd_at;
			if (ret < 0)
				break;
			got = (uint16_t)(got + ret);
			nr = 1;
		} else {
			rx_run(q, mode, &run, &pkts[got], nr, &t);
			publish_run(q, mode, at, 0, &run, nr);
			queue_log_run(q);
			got = (uint16_t)(got + nr);
		}
		left = (uint16_t)(left - nr);
		if (left != 0 && !weir_vring_has(&q->vr, mode & QUEUE_PACKED, at))
			break;
	}
	tally_add(q, mode, &t);
	return got;
}

static __rte_always_inline uint16_t
rx_burst_cpu(struct weir_queue *q, unsigned int mode, struct weir_vring_at *at,
	     struct rte_mbuf **pkts, uint16_t n)
{
	const uint16_t began = q->vr.used_idx;
	uint16_t got;

	got = rx_cpu(q, mode, at, pkts, n, q->mbuf_room, true);
	weir_vring_close(&q->vr, at);
	if (q->vr.used_idx != began)
		queue_call(q);
	return got;
}

/*
 * With a channel and nothing in the window: frames ahead of the first that is long
 * enough for it. They are handed on at once, as on a queue without.
 */
static __rte_always_inline uint16_t
rx_short(struct weir_queue *q, unsigned int mode, struct weir_vring_at *at,
	 struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t got = 0;

	if (q->threshold > RTE_ETHER_HDR_LEN)
		got = rx_cpu(q, mode & ~QUEUE_CHAN, at, pkts, n,
			     RTE_MIN(q->mbuf_room, q->threshold - 1), false);
	if (got != 0)
		queue_call(q);
	return got;
}

/* Give the window's next place to a frame. */
static __rte_always_inline struct queue_pkt *
rx_window_add(struct weir_queue *q, uint32_t *head, struct rte_mbuf *m)
{
	struct queue_pkt *p = &q->win[(*head)++ & q->win_mask];

	p->m = m;
	p->nr_used = 1;
	return p;
}

/*
 * Chains that are one piece, into the window. The engine is given its copies first,
 * and told if all that is left of the burst is here; headers and short frames are
 * read while it works, and while they come. @return chains taken.
 */
static __rte_always_inline uint16_t
rx_window_run(struct weir_queue *q, unsigned int mode, struct weir_vring_at *at,
	      uint16_t n, uint32_t *head, struct tally *t)
{
	const uint32_t hdr_len = queue_hdr_len(q, mode), first = *head;
	const struct queue_rearm rearm = q->mbuf_rearm;
	struct rte_mbuf *pkts[WEIR_VRING_RUN];
	uint64_t iova[WEIR_VRING_RUN];
	struct weir_vring_run run;
	uint32_t by_cpu = 0;
	uint16_t nr;

	nr = weir_vring_run_dma(&q->vr, mode & QUEUE_PACKED, at, 0,
				hdr_len + RTE_ETHER_HDR_LEN, hdr_len + q->mbuf_room, &run,
				iova, RTE_MIN(n, (uint16_t)WEIR_VRING_RUN));
	/* where there are fewer mbufs they are taken one by one */
	if (nr == 0 || rte_mempool_get_bulk(q->pool, (void **)pkts, nr) != 0)
		return 0;
	for (uint16_t i = 0; i < nr; i++) {
		const uint32_t len = weir_vring_run_len(&run, i) - hdr_len;
		struct rte_mbuf *m = pkts[i];
		struct queue_pkt *p = rx_window_add(q, head, m);
		struct weir_copy_piece piece;

		mbuf_rearm(m, rearm);
		m->pkt_len = len;
		m->data_len = (uint16_t)len;
		piece = (struct weir_copy_piece){
			.dst = rte_pktmbuf_mtod(m, void *),
			.src = (const char *)run.hva[i] + hdr_len,
			.dst_iova = rte_mbuf_data_iova(m),
			.src_iova = iova[i] + hdr_len,
			.len = len,
		};
		by_cpu |= (uint32_t)frame_submit(q, p, piece, false, t) << i;
		if (p->seq != 0)
			q->win_dma = *head;
	}
	weir_vring_next(&q->vr, mode & QUEUE_PACKED, at, (struct weir_chain){ .nr = nr });
	if ((nr == n || !weir_vring_has(&q->vr, mode & QUEUE_PACKED, at)) && !q->measured)
		weir_copy_kick(q->chan);
	for (uint16_t i = 0; i < nr; i++) {
		if ((mode & QUEUE_OFFLOAD) != 0)
			memcpy(&q->win[(first + i) & q->win_mask].hdr, run.hva[i],
			       sizeof(struct virtio_net_hdr));
		if ((by_cpu & 1u << i) != 0)
			copy_frame(rte_pktmbuf_mtod(pkts[i], void *),
				   (const char *)run.hva[i] + hdr_len, pkts[i]->data_len);
		weir_vring_use(&q->vr, mode & QUEUE_PACKED,
			       (struct weir_chain){ weir_vring_run_id(&run, i), 1 }, 0);
	}
	t->cpu_copies += (unsigned int)__builtin_popcount(by_cpu);
	return nr;
}

/* The chain at @p at, whatever it is, into the window. 1: taken; 0: the burst ends. */
static __rte_noinline uint16_t
rx_window_odd(struct weir_queue *q, struct weir_vring_at *at, uint32_t *head)
{
	const unsigned int mode = q->mode;
	struct rte_mbuf *m = rte_pktmbuf_alloc(q->pool);
	const uint8_t chan = chan_packet(q);
	struct virtio_net_hdr hdr;
	struct weir_chain chain;
	struct queue_pkt *p;
	enum rx_result r;
	uint64_t seq = 0;

	r = m == NULL ? RX_LATER : rx_shape(q, at, m, &hdr, &chain, &seq);
	if (r == RX_LATER)
		stat_add(&q->stats.no_mbuf, 1);
	if (r != RX_TAKEN) {
		rte_pktmbuf_free(m);
		m = NULL;
	}
	if (r == RX_LATER || r == RX_ENDS)
		return 0;
	if (r == RX_DROPPED)
		stat_add(&q->stats.dropped, 1);
	p = rx_window_add(q, head, m);
	p->seq = seq;
	p->chan = chan;
	p->hdr = hdr;
	weir_vring_next(&q->vr, mode & QUEUE_PACKED, at, chain);
	weir_vring_use(&q->vr, mode & QUEUE_PACKED, chain, 0);
	if (seq != 0)
		q->win_dma = *head;
	return 1;
}

/* Take up to n chains into the window. */
static __rte_always_inline void
rx_submit(struct weir_queue *q, unsigned int mode, struct weir_vring_at *at, uint16_t n)
{
	uint32_t head = q->win_head, room = q->win_mask + 1 - queue_in_flight(q);
	struct tally t = { 0 };
	uint16_t i, nr;

	if (n > room)
		n = (uint16_t)room;
	chan_begin(q);
	for (i = 0; i < n && weir_vring_has(&q->vr, mode & QUEUE_PACKED, at);
	     i = (uint16_t)(i + nr)) {
		nr = rx_window_run(q, mode, at, (uint16_t)(n - i), &head, &t);
		if (nr == 0)
			nr = rx_window_odd(q, at, &head);
		if (nr == 0)
			break;
	}
	chan_end(q);
	weir_vring_close(&q->vr, at);
	tally_add(q, mode, &t);
	atomic_store_explicit(&q->win_head, head, memory_order_relaxed);
}

/* Hand on what is over at the window's tail. */
static __rte_always_inline uint16_t
rx_collect(struct weir_queue *q, unsigned int mode, struct rte_mbuf **pkts, uint16_t n)
{
	uint32_t tail = q->win_tail, head = q->win_head;
	uint16_t got = 0, used = 0;
	struct tally t = { 0 };

	if (tail == head || n == 0)
		return 0;
	chans_poll(q);
	while (tail != head && got < n) {
		struct queue_pkt *p = &q->win[tail & q->win_mask];

		if (!weir_copy_done(q->chans[p->chan], p->seq))
			break;
		if (p->m != NULL) {
			rx_finish(q, mode, p->m, &p->hdr);
			t.bytes += p->m->pkt_len;
			pkts[got++] = p->m;
		}
		used++;
		tail++;
	}
	atomic_store_explicit(&q->win_tail, tail, memory_order_relaxed);
	t.packets = got;
	tally_add(q, mode, &t);
	if (used != 0) {
		publish_each(q, mode, used);
		queue_call(q);
	}
	return got;
}

/* The window has packets, and none of their bytes go by DMA. */
static __rte_always_inline bool
rx_all_short(const struct weir_queue *q)
{
	return queue_in_flight(q) != 0 && (int32_t)(q->win_dma - q->win_tail) <= 0;
}

static __rte_always_inline uint16_t
rx_burst_dma(struct weir_queue *q, unsigned int mode, struct weir_vring_at *at,
	     struct rte_mbuf **pkts, uint16_t n)
{
	bool all_short = rx_all_short(q);
	uint16_t got = rx_collect(q, mode, pkts, n), more;

	/* the guest may have filled already what that has given back */
	weir_vring_again(&q->vr, mode & QUEUE_PACKED, at);
	if (!weir_vring_has(&q->vr, mode & QUEUE_PACKED, at))
		return got;
	if (short_first(q)) {
		q->win_dma = q->win_tail;
		more = rx_short(q, mode, at, pkts + got, (uint16_t)(n - got));
		all_short |= more != 0;
		got = (uint16_t)(got + more);
	}
	/* what is taken beyond the burst is for copies that end meanwhile */
	if ((got == n && all_short) || !weir_vring_has(&q->vr, mode & QUEUE_PACKED, at)) {
		weir_vring_close(&q->vr, at);
		return got;
	}
	rx_submit(q, mode, at, n);
	/* an engine that copies at once is over already */
	return (uint16_t)(got + rx_collect(q, mode, pkts + got, (uint16_t)(n - got)));
}

/* Open the ring. False: there is nothing for a burst. */
static __rte_always_inline bool
rx_open(struct weir_queue *q, unsigned int mode, struct weir_vring_at *at)
{
	int ret = weir_vring_open(&q->vr, mode & QUEUE_PACKED, at);

	if (__builtin_expect(ret < 0, 0)) {
		queue_break(q, -ret);
		return false;
	}
	/* with a channel there may be copies that have ended */
	return (mode & QUEUE_CHAN) != 0 ||
	       weir_vring_has(&q->vr, mode & QUEUE_PACKED, at);
}

QUEUE_BURST uint16_t
rx_burst(struct weir_queue *q, struct rte_mbuf **pkts, uint16_t n, unsigned int mode,
	 struct weir_vring_at at)
{
	if ((mode & QUEUE_CHAN) != 0)
		return rx_burst_dma(q, mode, &at, pkts, n);
	return rx_burst_cpu(q, mode, &at, pkts, n);
}

/* To find nothing takes no more registers than that needs. */
#define RX_BURST(name, mode)                                                           \
	static __rte_noinline uint16_t name##_from(struct weir_queue *q,               \
						   struct rte_mbuf **pkts, uint16_t n, \
						   struct weir_vring_at at)            \
	{                                                                              \
		return rx_burst(q, pkts, n, (mode) | QUEUE_HDR12, at);                 \
	}                                                                              \
                                                                                       \
	static uint16_t name(struct weir_queue *q, struct rte_mbuf **pkts, uint16_t n) \
	{                                                                              \
		struct weir_vring_at at;                                               \
                                                                                       \
		return rx_open(q, mode, &at) ? name##_from(q, pkts, n, at) : 0;        \
	}

RX_BURST(rx_split, 0)
RX_BURST(rx_packed, QUEUE_PACKED)
RX_BURST(rx_split_dma, QUEUE_CHAN)
RX_BURST(rx_packed_dma, QUEUE_PACKED | QUEUE_CHAN)
RX_BURST(rx_split_offload, QUEUE_OFFLOAD)
RX_BURST(rx_packed_offload, QUEUE_OFFLOAD | QUEUE_PACKED)
RX_BURST(rx_split_dma_offload, QUEUE_OFFLOAD | QUEUE_CHAN)
RX_BURST(rx_packed_dma_offload, QUEUE_OFFLOAD | QUEUE_PACKED | QUEUE_CHAN)

uint16_t
queue_rx_any(struct weir_queue *q, struct rte_mbuf **pkts, uint16_t n)
{
	struct weir_vring_at at;

	return rx_open(q, q->mode, &at) ? rx_burst(q, pkts, n, q->mode, at) : 0;
}

queue_burst_t
queue_rx_select(unsigned int mode)
{
	static const queue_burst_t made[QUEUE_NR_MODES] = {
		[0] = rx_split,
		[QUEUE_PACKED] = rx_packed,
		[QUEUE_CHAN] = rx_split_dma,
		[QUEUE_PACKED | QUEUE_CHAN] = rx_packed_dma,
		[QUEUE_OFFLOAD] = rx_split_offload,
		[QUEUE_OFFLOAD | QUEUE_PACKED] = rx_packed_offload,
		[QUEUE_OFFLOAD | QUEUE_CHAN] = rx_split_dma_offload,
		[QUEUE_OFFLOAD | QUEUE_PACKED | QUEUE_CHAN] = rx_packed_dma_offload,
	};

	if ((mode & (QUEUE_HDR12 | QUEUE_KEPT)) != QUEUE_HDR12)
		return queue_rx_any;
	return made[mode % QUEUE_NR_MODES];
}

uint16_t
queue_rx_burst(struct weir_queue *q, struct rte_mbuf **pkts, uint16_t n)
{
	struct trail *t;
	uint16_t got;

	if (!queue_burst_enter(q, &t)) {
		queue_unwatch(q);
		return 0;
	}
	got = q->burst(q, pkts, n);
	/* inside: the port is not put away, nor the pair, while we are */
	if (q->pair != NULL)
		queue_collect_idle(q->pair);
	if (got != 0)
		queue_burst_leave(q, t);
	else
		queue_leave(q);
	return got;
}
