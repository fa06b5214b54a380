/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames cut for a guest that cannot: each segment is taken apart again and held
 * against the frame it came from.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf_dyn.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "offload.h"
#include "queue_rig.h"
#include "segment.h"
#include "test.h"
#include "weir_port.h"

#define ETH 14u
#define SEQ 0xfffffff0u /* wraps */
#define ID 0xfffeu	/* so does this */

static struct rte_mempool *pool;
static struct rig rig;

struct shape {
	enum segment_kind kind;
	bool v6;
	uint32_t payload, size;
	uint16_t piece;	 /* bytes in each mbuf but the first */
	uint8_t options; /* words of TCP options */
};

static uint8_t
pattern(uint32_t i)
{
	return (uint8_t)(i * 13 + (i >> 7));
}

static struct rte_mbuf *
chain(const uint8_t *bytes, uint32_t len, uint32_t first, uint16_t piece)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool), *last = m;
	uint32_t n = RTE_MIN(len, first);

	memcpy(rte_pktmbuf_append(m, (uint16_t)n), bytes, n);
	for (uint32_t off = n; off < len; off += n) {
		n = RTE_MIN(len - off, piece);
		last->next = rte_pktmbuf_alloc(pool);
		last = last->next;
		memcpy(rte_pktmbuf_mtod(last, void *), bytes + off, n);
		last->data_len = (uint16_t)n;
		m->nb_segs++;
		m->pkt_len += n;
	}
	return m;
}

/* A frame with headers and the flags that ask for it to be cut. */
static struct rte_mbuf *
frame(const struct shape *sh)
{
	static uint8_t b[ETH + 40 + 60 + 65536];
	const bool tcp = sh->kind == SEGMENT_TCP;
	const uint32_t l3_len = sh->v6 ? 40 : 20;
	const uint32_t l4_len = tcp ? 20u + 4u * sh->options : 8;
	const uint32_t hdr = ETH + l3_len + l4_len, l4 = ETH + l3_len;
	struct rte_mbuf *m;

	if (pool == NULL)
		pool = rte_pktmbuf_pool_create("test_segment", 2047, 0, 0,
					       RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	memset(b, 0, hdr);
	if (sh->v6) {
		b[12] = 0x86;
		b[13] = 0xdd;
		b[ETH] = 0x60;
		b[ETH + 6] = tcp ? IPPROTO_TCP : IPPROTO_UDP;
		memset(b + ETH + 8, 0x31, 32);
	} else {
		b[12] = 0x08;
		b[ETH] = 0x45;
		b[ETH + 4] = ID >> 8;
		b[ETH + 5] = ID & 0xff;
		b[ETH + 8] = 64;
		b[ETH + 9] = tcp ? IPPROTO_TCP : IPPROTO_UDP;
		memset(b + ETH + 12, 0x9a, 8);
	}
	b[l4 + 1] = 77;
	if (tcp) {
		const uint32_t seq = rte_cpu_to_be_32(SEQ);

		memcpy(b + l4 + 4, &seq, sizeof(seq));
		b[l4 + 12] = (uint8_t)(l4_len / 4 << 4);
		b[l4 + 13] = 0x80 | 0x10 | 0x08 | 0x01; /* CWR, ACK, PSH, FIN */
	} else {
		b[l4 + 4] = (uint8_t)((8 + sh->payload) >> 8);
		b[l4 + 5] = (uint8_t)(8 + sh->payload);
	}
	for (uint32_t i = 0; i < sh->payload; i++)
		b[hdr + i] = pattern(i);
	m = chain(b, hdr + sh->payload, hdr + 5, sh->piece);
	m->l2_len = ETH;
	m->l3_len = l3_len & 0x1ff;
	m->l4_len = l4_len & 0xff;
	m->tso_segsz = (uint16_t)sh->size;
	m->ol_flags = sh->v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4;
	if (tcp)
		m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM;
	else if (sh->kind == SEGMENT_FRAGMENT)
		m->ol_flags |= RTE_MBUF_F_TX_UDP_SEG | RTE_MBUF_F_TX_UDP_CKSUM;
	else if (offload_init() == 0)
		m->ol_flags |=
			RTE_MBUF_F_TX_UDP_CKSUM |
			RTE_BIT64(rte_mbuf_dynflag_lookup(WEIR_PORT_USO_FLAG, NULL));
	return m;
}

/* A segment as it goes to the guest. */
struct seen {
	uint8_t b[SEGMENT_HDR_MAX + 65536];
	uint32_t len;
};

static struct seen seen;

static void
collect(const struct segmenter *s)
{
	memcpy(seen.b, s->hdr, s->hdr_len);
	seen.len = s->hdr_len + s->len;
	for (uint32_t i = 0; i < s->len; i++)
		rte_memcpy(&seen.b[s->hdr_len + i],
			   rte_pktmbuf_read(s->m, s->off + i, 1, &seen.b[s->hdr_len + i]),
			   1);
}

/* DPDK's own opinion of the sums. */
static bool
sums_good(const struct shape *sh, uint32_t l4)
{
	const void *ip = seen.b + ETH;

	return sh->v6 ? rte_ipv6_udptcp_cksum_verify(ip, seen.b + l4) == 0
		      : rte_ipv4_udptcp_cksum_verify(ip, seen.b + l4) == 0;
}

/* What a guest that completes sums does. */
static void
guest_completes(const struct virtio_net_hdr *h)
{
	uint16_t sum = (uint16_t)~rte_raw_cksum(seen.b + h->csum_start,
						seen.len - h->csum_start);

	memcpy(seen.b + h->csum_start + h->csum_offset, &sum, sizeof(sum));
}

static uint16_t
word(uint32_t at)
{
	return (uint16_t)(seen.b[at] << 8 | seen.b[at + 1]);
}

static enum test_result
ip_good(const struct shape *sh, uint32_t nr)
{
	if (sh->v6) {
		TEST_EQ(word(ETH + 4), seen.len - ETH - 40);
		return TEST_OK;
	}
	TEST_EQ(word(ETH + 2), seen.len - ETH);
	TEST_EQ(word(ETH + 4), (uint16_t)(ID + (sh->kind == SEGMENT_FRAGMENT ? 0 : nr)));
	TEST_EQ(rte_raw_cksum(seen.b + ETH, 20), UINT16_MAX);
	return TEST_OK;
}

static enum test_result
tcp_good(uint32_t l4, uint32_t off, bool first, bool last)
{
	TEST_EQ((uint32_t)word(l4 + 4) << 16 | word(l4 + 6), SEQ + off);
	TEST_EQ(seen.b[l4 + 13], (first ? 0x80 : 0) | 0x10 | (last ? 0x09 : 0));
	return TEST_OK;
}

static enum test_result
segments_good(const struct shape *sh, bool partial)
{
	const uint32_t l4 = ETH + (sh->v6 ? 40 : 20);
	const uint32_t l4_len = sh->kind == SEGMENT_TCP ? 20u + 4u * sh->options : 8;
	struct rte_mbuf *m = frame(sh);
	struct segmenter s;
	uint32_t off = 0, nr = 0;

	TEST_EQ(segment_begin(&s, m, partial), 0);
	TEST_EQ(s.nr, (sh->payload + sh->size - 1) / sh->size);
	for (; segment_next(&s); nr++) {
		struct virtio_net_hdr h = { 0 };
		const uint32_t n = RTE_MIN(sh->payload - off, sh->size);

		segment_header(&s, &h);
		collect(&s);
		TEST_EQ(seen.len, l4 + l4_len + n);
		if (ip_good(sh, nr) != TEST_OK)
			return TEST_FAILED;
		if (sh->kind == SEGMENT_TCP &&
		    tcp_good(l4, off, off == 0, off + n == sh->payload) != TEST_OK)
			return TEST_FAILED;
		if (sh->kind == SEGMENT_DATAGRAM)
			TEST_EQ(word(l4 + 4), 8 + n);
		TEST_EQ(h.flags, partial ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0);
		TEST_EQ(h.gso_type, 0);
		if (partial)
			guest_completes(&h);
		TEST_ASSERT(sums_good(sh, l4));
		for (uint32_t i = 0; i < n; i++)
			TEST_EQ(seen.b[l4 + l4_len + i], pattern(off + i));
		off += n;
	}
	TEST_EQ(off, sh->payload);
	TEST_EQ(nr, s.nr);
	rte_pktmbuf_free(m);
	return TEST_OK;
}

static const struct shape shapes[] = {
	{ SEGMENT_TCP, false, 5000, 1448, 700, 0 },
	{ SEGMENT_TCP, true, 5000, 1428, 333, 3 },
	{ SEGMENT_TCP, false, 1000, 1448, 100, 10 }, /* one is enough */
	{ SEGMENT_TCP, false, 301, 7, 3, 0 },
	{ SEGMENT_TCP, true, 65000, 1460, 2000, 0 },
	{ SEGMENT_TCP, false, 2 * 1448, 1448, 1448, 3 },
	{ SEGMENT_DATAGRAM, false, 5001, 1200, 501, 0 },
	{ SEGMENT_DATAGRAM, true, 5001, 1201, 77, 0 },
	{ SEGMENT_DATAGRAM, true, 1, 1, 1, 0 },
};

static enum test_result
segments_with_sums_of_ours(void)
{
	for (size_t i = 0; i < RTE_DIM(shapes); i++)
		if (segments_good(&shapes[i], false) != TEST_OK)
			return TEST_FAILED;
	TEST_EQ(rte_mempool_in_use_count(pool), 0);
	return TEST_OK;
}

static enum test_result
segments_with_sums_of_the_guests(void)
{
	for (size_t i = 0; i < RTE_DIM(shapes); i++)
		if (segments_good(&shapes[i], true) != TEST_OK)
			return TEST_FAILED;
	TEST_EQ(rte_mempool_in_use_count(pool), 0);
	return TEST_OK;
}

/* Put fragments together as a guest does, and look at the datagram's sum. */
static enum test_result
fragments_good(const struct shape *sh)
{
	static uint8_t whole[65536 + 100];
	const uint32_t l4 = ETH + (sh->v6 ? 40 : 20), hdr = l4 + (sh->v6 ? 8 : 0);
	const uint32_t len = 8 + sh->payload;
	struct rte_mbuf *m = frame(sh);
	struct segmenter s;
	uint32_t off = 0;

	TEST_EQ(segment_begin(&s, m, true), 0);
	while (segment_next(&s)) {
		struct virtio_net_hdr h = { 0 };
		uint32_t field, last;

		segment_header(&s, &h);
		collect(&s);
		TEST_EQ(h.flags, 0);
		if (ip_good(sh, 0) != TEST_OK)
			return TEST_FAILED;
		field = sh->v6 ? word(l4 + 2) : word(ETH + 6);
		last = off + seen.len - hdr == len;
		TEST_EQ(field, sh->v6 ? (off | !last) : (off / 8 | (last ? 0 : 0x2000u)));
		TEST_ASSERT(last || (seen.len - hdr) % 8 == 0);
		if (sh->v6)
			TEST_EQ(seen.b[ETH + 6], 44);
		memcpy(whole + off, seen.b + hdr, seen.len - hdr);
		off += seen.len - hdr;
	}
	TEST_EQ(off, len);
	/* as one packet again */
	memcpy(seen.b + l4, whole, len);
	seen.len = l4 + len;
	if (sh->v6) {
		seen.b[ETH + 4] = (uint8_t)(len >> 8);
		seen.b[ETH + 5] = (uint8_t)len;
		seen.b[ETH + 6] = IPPROTO_UDP;
	} else {
		seen.b[ETH + 2] = (uint8_t)((len + 20) >> 8);
		seen.b[ETH + 3] = (uint8_t)(len + 20);
	}
	TEST_ASSERT(sums_good(sh, l4));
	for (uint32_t i = 0; i < sh->payload; i++)
		TEST_EQ(whole[8 + i], pattern(i));
	rte_pktmbuf_free(m);
	return TEST_OK;
}

static enum test_result
fragments_make_the_datagram(void)
{
	const struct shape sh[] = {
		{ SEGMENT_FRAGMENT, false, 5000, 1480, 600, 0 },
		{ SEGMENT_FRAGMENT, true, 5001, 1448, 77, 0 },
		{ SEGMENT_FRAGMENT, false, 100, 15, 9, 0 },
	};

	for (size_t i = 0; i < RTE_DIM(sh); i++)
		if (fragments_good(&sh[i]) != TEST_OK)
			return TEST_FAILED;
	TEST_EQ(rte_mempool_in_use_count(pool), 0);
	return TEST_OK;
}

/* What an mbuf claims and its bytes do not bear out. */
struct lie {
	uint32_t at; /* of a byte that is changed */
	uint8_t to;
	void (*tell)(struct rte_mbuf *m);
};

static void
no_size(struct rte_mbuf *m)
{
	m->tso_segsz = 0;
}

static void
long_l2(struct rte_mbuf *m)
{
	m->l2_len = 127;
}

static void
long_l3(struct rte_mbuf *m)
{
	m->l3_len = 511;
}

static void
no_l3(struct rte_mbuf *m)
{
	m->l3_len = 0;
}

static void
short_l4(struct rte_mbuf *m)
{
	m->l4_len = 16;
}

static void
odd_l4(struct rte_mbuf *m)
{
	m->l4_len = 21;
}

static void
other_family(struct rte_mbuf *m)
{
	m->ol_flags ^= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IPV6;
}

static void
headers_only(struct rte_mbuf *m)
{
	rte_pktmbuf_free(m->next);
	m->next = NULL;
	m->nb_segs = 1;
	m->data_len = ETH + 40;
	m->pkt_len = m->data_len;
}

static void
nothing(struct rte_mbuf *m)
{
	RTE_SET_USED(m);
}

static enum test_result
lies_refused(void)
{
	const struct shape sh = { SEGMENT_TCP, false, 3000, 500, 500, 0 };
	const struct lie lies[] = {
		{ 0, 0, no_size },
		{ 0, 0, long_l2 },
		{ 0, 0, long_l3 },
		{ 0, 0, no_l3 },
		{ 0, 0, short_l4 },
		{ 0, 0, odd_l4 },
		{ 0, 0, other_family },
		{ 0, 0, headers_only },
		{ ETH, 0x46, nothing },
		{ ETH, 0x55, nothing },
		{ ETH + 9, 17, nothing },
		{ ETH + 6, 0x20, nothing },
		{ ETH + 7, 1, nothing },
		{ ETH + 20 + 12, 0x60, nothing },
		{ ETH + 20 + 12, 0, nothing },
	};
	struct segmenter s;

	for (size_t i = 0; i < RTE_DIM(lies); i++) {
		struct rte_mbuf *m = frame(&sh);

		if (lies[i].at != 0)
			*rte_pktmbuf_mtod_offset(m, uint8_t *, lies[i].at) = lies[i].to;
		lies[i].tell(m);
		if (segment_begin(&s, m, true) != -EINVAL) {
			printf("    lie %zu\n", i);
			return TEST_FAILED;
		}
		rte_pktmbuf_free(m);
	}
	TEST_EQ(rte_mempool_in_use_count(pool), 0);
	return TEST_OK;
}

#define HDR RIG_HDR
#define BUF 0x200u

#define RIG(with_dma) ((struct rig_conf){ .size = 16, .dma = (with_dma) })

static void
offer(uint16_t from, uint16_t to)
{
	for (uint16_t i = from; i < to; i++) {
		rig_desc(&rig, i, RIG_DATA + i * BUF, BUF, VRING_DESC_F_WRITE, 0);
		rig_offer(&rig, i);
	}
}

/* The ring has room for some of the segments: none goes, and later all do. */
static enum test_result
ring_gets_all_segments_or_none(bool dma)
{
	const struct shape sh = { SEGMENT_TCP, false, 5 * 400 - 3, 400, 300, 0 };
	struct virtio_net_hdr_mrg_rxbuf *h;
	struct rte_mbuf *m = frame(&sh);

	TEST_EQ(rig_open(&rig, &pool, true, RIG(dma)), 0);
	atomic_store(&rig.q.guest_offloads, OFFLOAD_BIT(GUEST_CSUM));
	offer(0, 4);
	TEST_EQ(queue_tx_burst(&rig.q, &m, 1), 0);
	TEST_EQ(rig.q.vr.used->idx, 0);
	TEST_EQ(rig.q.stats.packets, 0);
	offer(4, 5);
	TEST_EQ(queue_tx_burst(&rig.q, &m, 1), 1);
	TEST_EQ(queue_tx_burst(&rig.q, NULL, 0), 0);
	TEST_EQ(rig.q.vr.used->idx, 5);
	TEST_EQ(rig.q.stats.packets, 5);
	TEST_EQ(rig.q.stats.bytes, 5 * 400 - 3 + 5 * (ETH + 40));
	for (uint16_t i = 0; i < 5; i++) {
		h = rig_mem(&rig, RIG_DATA + i * BUF, sizeof(*h));
		TEST_EQ(h->num_buffers, 1);
		TEST_EQ(h->hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
		TEST_EQ(h->hdr.gso_type, 0);
		TEST_EQ(rig.q.vr.used->ring[i].len,
			HDR + ETH + 40 + (i == 4 ? 397 : 400));
		TEST_EQ(((uint8_t *)h)[HDR + ETH + 40 + 7], pattern(i * 400u + 7));
	}
	TEST_EQ(rig_close(&rig, pool), 0);
	return TEST_OK;
}

static enum test_result
ring_gets_all_segments_or_none_by_cpu(void)
{
	return ring_gets_all_segments_or_none(false);
}

static enum test_result
ring_gets_all_segments_or_none_beside_dma(void)
{
	return ring_gets_all_segments_or_none(true);
}

/* More segments than the ring will ever have: dropped, and the next one goes. */
static enum test_result
ring_too_small_for_its_segments_drops(void)
{
	const struct shape many = { SEGMENT_TCP, false, 17 * 10, 10, 300, 0 };
	const struct shape wide = { SEGMENT_TCP, false, 6 * 1400, 1400, 300, 0 };
	const struct shape fits = { SEGMENT_TCP, false, 16 * 10, 10, 300, 0 };
	struct rte_mbuf *m[3] = { frame(&many), frame(&wide), frame(&fits) };

	TEST_EQ(rig_open(&rig, &pool, true, RIG(false)), 0);
	offer(0, 16);
	TEST_EQ(queue_tx_burst(&rig.q, m, 3), 3);
	TEST_EQ(rig.q.stats.dropped, 2);
	TEST_EQ(rig.q.stats.packets, 16);
	TEST_EQ(rig.q.vr.used->idx, 16);
	TEST_EQ(rig_close(&rig, pool), 0);
	return TEST_OK;
}

/* A guest that takes frames to be segmented gets them whole. */
static enum test_result
ring_gets_a_frame_whole_if_it_may(void)
{
	const struct shape sh = { SEGMENT_TCP, false, 1000, 400, 300, 0 };
	struct virtio_net_hdr_mrg_rxbuf *h;
	struct rte_mbuf *m = frame(&sh);

	TEST_EQ(rig_open(&rig, &pool, true, RIG(false)), 0);
	atomic_store(&rig.q.guest_offloads, OFFLOAD_GUEST);
	offer(0, 16);
	TEST_EQ(queue_tx_burst(&rig.q, &m, 1), 1);
	TEST_EQ(rig.q.stats.packets, 1);
	h = rig_mem(&rig, RIG_DATA, sizeof(*h));
	TEST_EQ(h->num_buffers, 3);
	TEST_EQ(h->hdr.gso_type, VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN);
	TEST_EQ(h->hdr.gso_size, 400);
	TEST_EQ(rig_close(&rig, pool), 0);
	return TEST_OK;
}

/* UDP behind as many headers as there may be: of the bytes behind its own nothing
 * is looked at, nor are they there. */
static enum test_result
udp_at_the_end_of_the_headers_room(void)
{
	static const struct shape sh = { SEGMENT_DATAGRAM, true, 300, 10, 300, 0 };
	static const uint16_t l4[] = { 243, 248, 249 };

	for (size_t i = 0; i < RTE_DIM(l4); i++) {
		const bool fits = l4[i] + 8u <= SEGMENT_HDR_MAX;
		struct rte_mbuf *m = frame(&sh);
		struct segmenter s;

		m->l3_len = (l4[i] - ETH) & 0x1ff;
		memset(&s, 0x77, sizeof(s));
		TEST_EQ(segment_begin(&s, m, true), fits ? 0 : -EINVAL);
		TEST_ASSERT(!fits || (s.flags == 0 && s.seq == 0));
		rte_pktmbuf_free(m);
	}
	return TEST_OK;
}

static const struct test_case cases[] = {
	{ "segments_with_sums_of_ours", segments_with_sums_of_ours },
	{ "segments_with_sums_of_the_guests", segments_with_sums_of_the_guests },
	{ "fragments_make_the_datagram", fragments_make_the_datagram },
	{ "lies_refused", lies_refused },
	{ "udp_at_the_end_of_the_headers_room", udp_at_the_end_of_the_headers_room },
	{ "ring_gets_all_segments_or_none_by_cpu",
	  ring_gets_all_segments_or_none_by_cpu },
	{ "ring_gets_all_segments_or_none_beside_dma",
	  ring_gets_all_segments_or_none_beside_dma },
	{ "ring_too_small_for_its_segments_drops",
	  ring_too_small_for_its_segments_drops },
	{ "ring_gets_a_frame_whole_if_it_may", ring_gets_a_frame_whole_if_it_may },
};

AUTOTEST_EAL(segment_autotest, cases);
