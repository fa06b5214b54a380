/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes as a hostile guest's memory, and as what happens to its queue.
 *
 *     conf     8 bytes, see struct conf
 *     memory   conf.memory * 16 bytes, from guest address 0: descriptors first
 *     steps    8 bytes each, see struct step, at most 128
 *
 * With a packed ring an offer is that of the next descriptor, as it stands.
 *
 * Between two steps nothing runs, so that a step which changes memory is the
 * guest that changes it between two bursts. What a burst reads twice it reads
 * from the same memory: a double fetch is for the review to find.
 *
 * After each step: used entries and heads taken go together, a broken queue
 * touches nothing, and frames received are frames; with an in-flight area, it says
 * where the ring is. At the end: every mbuf is back, and with a dirty log each page
 * that was written has its bit. Guest memory and the DMA engine are those of queue_rig.h,
 * which die of an address that is not the guest's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include <rte_ether.h>

#include "fuzz.h"
#include "hash.h"
#include "offload.h"
#include "queue_rig.h"
#include "weir_inflight.h"

#define STEPS_MAX 128u
#define FRAME_MAX 9000u
#define BURST 32u
#define NR_MBUFS 1023u
#define POOL_SMALL 64u /* bytes of data in an mbuf: long chains */

enum {
	CONF_TX = 1,
	CONF_DMA = 2,
	CONF_MERGEABLE = 4,
	CONF_CSUM = 8,
	CONF_TSO = 16,
	CONF_PACKED = 32,
	CONF_TWO = 64,	/* DMA engines */
	CONF_HASH = 128 /* the header has the frame's hash */
};
enum {
	CONF_SIZE = 15, /* log2, modulo 7 */
	CONF_KEPT = 16, /* packed: with an in-flight area */
	CONF_LOG = 32	/* with a dirty log */
};
enum {
	CONF_LINEAR = 1,
	CONF_EXT_BUF = 2,
	CONF_LEGACY = 4,
	CONF_EVENT_IDX = 8,
	CONF_SHORT_HDR = 16,
	CONF_SMALL_MBUFS = 32,
	CONF_FAILS = 64,
	CONF_ANY_MODE = 128 /* the burst function that looks the mode up */
};

struct conf {
	uint8_t size; /* and what else CONF_SIZE leaves room for */
	uint8_t flags, flags2;
	uint8_t threshold; /* times 16 */
	uint16_t base;
	uint16_t memory;
};

enum op {
	OP_BURST,   /* a frames of c bytes each, with offload flags b */
	OP_OFFER,   /* head b; each of those up to b + a too, modulo size */
	OP_POKE,    /* b: address; c and d are written there */
	OP_DESC,    /* a: which; b: address; c: length; d: flags, next in its high byte */
	OP_IDX,	    /* avail.idx += b; packed: flags of descriptor b */
	OP_RESTART, /* stop and start; c: base if a is odd; if a has 2 the area says
		       where, in another process */
	OP_CREDIT,  /* the engine has b more; all if a is 0xff */
	OP_COLLECT, /* as a thread that is not the owner */
	OP_AREA,    /* b: offset in the in-flight area; c and d are written there */
	OP_NR,
};

struct step {
	uint8_t op, a;
	uint16_t b, c, d;
};

static struct rte_mempool *pool, *pool_small;

/* What an input has chosen for as long as it is played. */
struct game {
	struct rig r;
	bool event_idx, any_mode, kept, log;
	bool poked; /* the in-flight area, since the queue was started */
};

/* The in-flight area: of the longest ring, and of another backend's that is longer. */
#define AREA_SIZE (RIG_SIZE_MAX + 1)
static union {
	struct weir_inflight_packed part;
	uint8_t bytes[32 + AREA_SIZE * sizeof(struct weir_inflight_packed_desc)];
} area __attribute__((aligned(64)));

/* The dirty log, and the pages that were written. */
static uint8_t log_bits, written;
_Static_assert(RIG_MEM / QUEUE_LOG_PAGE == 8, "a bit each");

static struct hash hash;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_eal_start();
	pool = rte_pktmbuf_pool_create("big", NR_MBUFS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
				       0);
	pool_small = rte_pktmbuf_pool_create("small", NR_MBUFS, 0, 0,
					     RTE_PKTMBUF_HEADROOM + POOL_SMALL, 0);
	if (pool == NULL || pool_small == NULL)
		abort();
	hash_init(&hash, &(struct hash_conf){ .types = HASH_TYPES, .key = { 1, 2, 3 } });
	return 0;
}

/* How far used entries are behind the heads that were taken; packed: behind the
 * descriptors that are not given back. */
static uint16_t
backlog(const struct weir_queue *q)
{
	const struct weir_vring *vr = &q->vr;
	uint16_t n;

	if (vr->packed) {
		n = vring_packed_distance(vr, vr->used_pos, vr->last_avail);
		for (uint16_t i = vr->used_idx; i != vr->used_next; i++)
			n = (uint16_t)(n - vr->shadow[i & vr->mask].chain.nr);
		return n;
	}
	return (uint16_t)(q->vr.last_avail - q->vr.used_next);
}

/* Guest memory as it was, to see what touches it. */
static uint8_t was[2][RIG_SLOT];

static void
memory_keep(const struct rig *r)
{
	memcpy(was[0], r->slot[0], RIG_SLOT);
	memcpy(was[1], r->slot[1], RIG_SLOT);
}

/* Pages that are not as they were, a bit each. */
static uint8_t
memory_changed(const struct rig *r)
{
	const uint32_t per_slot = RIG_SLOT / QUEUE_LOG_PAGE;
	uint8_t pages = 0;

	for (uint32_t i = 0; i < 2 * per_slot; i++) {
		const uint32_t at = i % per_slot * QUEUE_LOG_PAGE;

		if (memcmp(was[i / per_slot] + at, r->slot[i / per_slot] + at,
			   QUEUE_LOG_PAGE) != 0)
			pages |= (uint8_t)(1u << i);
	}
	return pages;
}

/* What came out must be a frame, within its mbufs. */
static void
frame_check(const struct rte_mbuf *m)
{
	uint32_t len = 0, segs = 0;
	const char *why;

	FUZZ_CHECK(rte_mbuf_check(m, 1, &why) == 0, why);
	for (const struct rte_mbuf *s = m; s != NULL; s = s->next, segs++) {
		FUZZ_CHECK((uint32_t)s->data_off + s->data_len <= s->buf_len,
			   "a segment is longer than its buffer");
		len += s->data_len;
	}
	FUZZ_CHECK(len == m->pkt_len && segs == m->nb_segs, "a frame's lengths");
	FUZZ_CHECK(len >= RTE_ETHER_HDR_LEN && len <= QUEUE_MAX_FRAME,
		   "a frame that is none");
	if ((m->ol_flags & (RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_RX_LRO)) != 0)
		FUZZ_CHECK(m->tso_segsz != 0 && m->l4_len != 0 &&
				   m->pkt_len > m->l2_len + m->l3_len + m->l4_len,
			   "a frame to be segmented that cannot be");
}

static void
burst_rx(struct rig *r, uint16_t n)
{
	struct rte_mbuf *pkts[BURST];

	n = queue_rx_burst(&r->q, pkts, n);
	for (uint16_t i = 0; i < n; i++)
		frame_check(pkts[i]);
	rte_pktmbuf_free_bulk(pkts, n);
}

/* A frame of @p len bytes, which are guest memory: as if forwarded. */
static struct rte_mbuf *
frame_make(const struct rig *r, struct rte_mempool *from, uint32_t len, uint16_t flags)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(from), *last = m;
	uint32_t off = 0;

	while (last != NULL) {
		uint32_t n = RTE_MIN(len - off, (uint32_t)rte_pktmbuf_tailroom(last));

		memcpy(rte_pktmbuf_mtod(last, void *), rig_mem(r, RIG_DATA + off, n), n);
		last->data_len = (uint16_t)n;
		off += n;
		if (off == len)
			break;
		last->next = rte_pktmbuf_alloc(from);
		last = last->next;
		m->nb_segs++;
	}
	if (last == NULL) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	m->pkt_len = len;
	m->ol_flags = (uint64_t)(flags & 3) << 52 | (uint64_t)(flags >> 2 & 7) << 54;
	if ((flags & 0x20) != 0)
		m->ol_flags = RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_IPV4;
	m->l2_len = (flags & 0x40) != 0 ? 18 : 14;
	m->l3_len = (flags & 0x80) != 0 ? flags >> 8 : 20;
	m->l4_len = 20;
	m->tso_segsz = (uint16_t)(len / 2);
	return m;
}

static void
burst_tx(struct rig *r, uint16_t n, uint16_t flags, uint16_t len)
{
	struct rte_mempool *from = (len & 1) != 0 ? pool_small : pool;
	struct rte_mbuf *pkts[BURST];
	uint16_t made, sent;

	for (made = 0; made < n; made++) {
		pkts[made] = frame_make(r, from, len % FRAME_MAX + made, flags);
		if (pkts[made] == NULL)
			break;
	}
	sent = queue_tx_burst(&r->q, pkts, made);
	FUZZ_CHECK(sent <= made, "more frames sent than there are");
	rte_pktmbuf_free_bulk(&pkts[sent], (unsigned int)(made - sent));
}

static void
burst(struct rig *r, const struct step *s)
{
	bool was_live = r->q.live;

	if (r->q.pool != NULL)
		burst_rx(r, s->a % (BURST + 1));
	else
		burst_tx(r, s->a % (BURST + 1), s->b, s->c);
	if (!was_live)
		FUZZ_CHECK(memory_changed(r) == 0, "a broken queue touched memory");
}

/* Find the ring, and start with what the input wants. @param take  The area says
 * where, if it makes sense. */
static void
start(struct game *g, uint16_t base, bool take)
{
	struct queue_log_conf log = {
		.bits = &log_bits,
		.len = sizeof(log_bits),
		.data = true,
		.used = true,
		.event_fd = -1,
	};
	struct rig *r = &g->r;
	uint16_t nr = 0;

	FUZZ_CHECK(rig_ring(r, base, g->event_idx) == 0, "the ring was there");
	if (g->kept && (!take || weir_inflight_packed_take(&area.part, AREA_SIZE,
							   &r->q.vr, &nr) != 0))
		weir_inflight_packed_begin(&area.part, AREA_SIZE, &r->q.vr);
	else if (g->kept && nr != 0)
		/* put back; it is the port that logs it */
		log_bits |= 1;
	g->poked = false;
	if (g->log) {
		log.used_gpa = log_gpa(r->q.vr.gmem, r->q.vr.used, &(uint32_t){ 0 });
		FUZZ_CHECK(queue_log_start(&r->q, &log) == 0, "no memory for a log");
	}
	r->offer_pos = r->q.vr.last_avail;
	queue_start(&r->q);
	if (g->any_mode)
		r->q.burst = r->q.pool != NULL ? queue_rx_any : queue_tx_any;
}

/* Whether the area says where the ring is. */
static bool
area_says(const struct weir_vring *vr)
{
	const union weir_inflight_place p = area.part.place;

	return p.used_idx == p.old_used_idx &&
	       p.used_wrap_counter == p.old_used_wrap_counter &&
	       p.used_idx == (vr->used_pos & WEIR_VRING_POS_IDX) &&
	       p.used_wrap_counter == vr->used_pos >> 15;
}

static void
restart(struct game *g, const struct step *s)
{
	struct rig *r = &g->r;
	uint16_t base;

	if (queue_stop(&r->q, 0) != 0) {
		FUZZ_CHECK(r->q.chan != NULL, "a stop that has nothing to wait for");
		r->engine.credit = RIG_DMA_ALL;
		r->engine2.credit = RIG_DMA_ALL;
		FUZZ_CHECK(queue_stop(&r->q, 1000000) == 0, "a stop that is never done");
	}
	FUZZ_CHECK(queue_in_flight(&r->q) == 0,
		   "frames in the window of a stopped queue");
	FUZZ_CHECK(r->q.vr.used_next == r->q.vr.used_idx, "used entries not given back");
	base = (s->a & 1) != 0 ? s->c : r->q.vr.last_avail;
	queue_log_stop(&r->q);
	start(g, base, (s->a & 2) != 0);
}

/* The guest moves its index; packed: says of a descriptor that it is offered, or
 * used. */
static void
shift(struct rig *r, uint16_t by)
{
	struct weir_vring *vr = &r->q.vr;

	if (r->packed)
		vr->packed_desc[by % r->size].flags ^= (uint16_t)(by & 0x8080);
	else
		vr->avail->idx = (uint16_t)(vr->avail->idx + by);
}

static void
step_run(struct game *g, const struct step *s)
{
	struct rig *r = &g->r;

	switch ((enum op)(s->op % OP_NR)) {
	case OP_BURST:
		burst(r, s);
		break;
	case OP_OFFER:
		for (uint16_t i = 0; i <= s->a % RIG_SIZE_MAX; i++)
			rig_offer(r, i == 0 ? s->b : (uint16_t)(s->b + i) % r->size);
		break;
	case OP_POKE:
		rig_poke(r, s->b, &s->c, 4);
		break;
	case OP_DESC:
		rig_desc(r, s->a % r->size, s->b, s->c, s->d & 0xff, s->d >> 8);
		break;
	case OP_IDX:
		shift(r, s->b);
		break;
	case OP_RESTART:
		restart(g, s);
		break;
	case OP_CREDIT:
		r->engine.credit = s->a == 0xff ? RIG_DMA_ALL : s->b % 64u;
		r->engine2.credit = s->a == 0xff ? RIG_DMA_ALL : s->c % 64u;
		break;
	case OP_COLLECT:
		if (r->q.chan != NULL && r->q.pool == NULL)
			queue_collect_idle(&r->q);
		break;
	case OP_AREA:
		if (s->b < sizeof(area) - 4)
			memcpy(area.bytes + s->b, &s->c, 4);
		g->poked = true;
		break;
	case OP_NR:
		break;
	}
}

static void
queue_conf(struct weir_queue *q, const struct conf *c)
{
	uint64_t guest = 0;

	q->mergeable = (c->flags & CONF_MERGEABLE) != 0;
	q->hdr_len = (c->flags2 & CONF_SHORT_HDR) != 0 && !q->mergeable ? 10 : 12;
	if ((c->flags & CONF_HASH) != 0) {
		q->hdr_len = sizeof(struct virtio_net_hdr_v1_hash);
		atomic_store(&q->hash, &hash);
	}
	q->rx_offload = (c->flags & CONF_CSUM) != 0;
	if ((c->flags & CONF_CSUM) != 0)
		guest |= OFFLOAD_BIT(GUEST_CSUM);
	if ((c->flags & CONF_TSO) != 0)
		guest |= OFFLOAD_GUEST & ~OFFLOAD_BIT(GUEST_CSUM);
	atomic_store(&q->guest_offloads, guest);
	q->sw_csum = (c->flags & CONF_CSUM) == 0;
	q->linear = (c->flags2 & CONF_LINEAR) != 0;
	q->ext_buf = (c->flags2 & CONF_EXT_BUF) != 0;
	q->legacy_flags = (c->flags2 & CONF_LEGACY) != 0;
}

/* What the device does, not its guest. */
static bool
is_ours(const struct step *s)
{
	const enum op op = s->op % OP_NR;

	return op == OP_BURST || op == OP_RESTART || op == OP_COLLECT;
}

static void
play(struct game *g, struct fuzz_input *in)
{
	struct rig *r = &g->r;
	uint16_t behind = backlog(&r->q);
	struct step s;

	for (unsigned int i = 0; i < STEPS_MAX && fuzz_take(in, &s, sizeof(s)); i++) {
		memory_keep(r);
		step_run(g, &s);
		if (is_ours(&s))
			written |= memory_changed(r);
		if (g->kept && !g->poked)
			FUZZ_CHECK(area_says(&r->q.vr), "the area says another place");
		if (s.op % OP_NR == OP_RESTART)
			behind = backlog(&r->q);
		FUZZ_CHECK(backlog(&r->q) == behind,
			   "heads taken and used entries differ");
		FUZZ_CHECK(r->q.live || r->q.fault != WEIR_VRING_OK, "stopped by nobody");
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	static struct game g;
	struct rig *r = &g.r;
	struct conf c;
	size_t len;

	if (!fuzz_take(&in, &c, sizeof(c)))
		return 0;
	memset(&g, 0, sizeof(g));
	memset(&area, 0, sizeof(area));
	log_bits = written = 0;
	queue_conf(&r->q, &c);
	const struct rig_conf conf = {
		.size = (uint16_t)(1u << (c.size & CONF_SIZE) % 7),
		.packed = (c.flags & CONF_PACKED) != 0,
		.dma = (c.flags & CONF_DMA) != 0,
		.two = (c.flags & CONF_TWO) != 0,
		.threshold = c.threshold * 16u,
		.pool = (c.flags & CONF_TX) != 0	     ? NULL
			: (c.flags2 & CONF_SMALL_MBUFS) != 0 ? pool_small
							     : pool,
	};

	g.any_mode = (c.flags2 & CONF_ANY_MODE) != 0;
	g.event_idx = (c.flags2 & CONF_EVENT_IDX) != 0;
	g.kept = conf.packed && (c.size & CONF_KEPT) != 0;
	g.log = (c.size & CONF_LOG) != 0;
	if (rig_start(r, &conf) != 0)
		abort();
	r->engine.fail_nth = (c.flags2 & CONF_FAILS) != 0 ? 3 : 0;
	r->engine2.fail_nth = (c.flags2 & CONF_FAILS) != 0 ? 5 : 0;
	len = RTE_MIN((size_t)c.memory * 16 % RIG_MEM, in.left);
	rig_poke(r, 0, in.at, len);
	in.at += len;
	in.left -= len;
	/* the ring may begin anywhere */
	if (!r->packed) {
		r->q.vr.used->idx = c.base;
		r->q.vr.avail->idx = c.base;
	}
	start(&g, c.base, false);
	play(&g, &in);
	memory_keep(r);
	rig_stop(r);
	written |= memory_changed(r);
	FUZZ_CHECK(!g.log || (written & ~log_bits) == 0, "a page that was not logged");
	queue_log_stop(&r->q);
	FUZZ_CHECK(rte_mempool_in_use_count(pool) == 0 &&
			   rte_mempool_in_use_count(pool_small) == 0,
		   "an mbuf is lost");
	return 0;
}
