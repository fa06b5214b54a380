/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_ip.h>
#include <rte_random.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "offload.h"
#include "segment.h"

#define TCP_FIN 0x01u
#define TCP_PSH 0x08u
#define TCP_CWR 0x80u

#define IP4_MORE 0x2000u
#define IP4_FRAGMENT 0x3fffu /* more to come, or not the first */
#define IP6_LEN 40u
#define IP6_FRAG_LEN 8u
#define IP6_FRAG_NEXT 44u
#define FRAG_UNIT 8u /* bytes that a fragment's offset counts in */

/* Headers lie at any address: words go in and out by memcpy(). */
static void
put16(uint8_t *at, uint32_t v)
{
	const uint16_t be = rte_cpu_to_be_16((uint16_t)v);

	memcpy(at, &be, sizeof(be));
}

static void
put32(uint8_t *at, uint32_t v)
{
	const uint32_t be = rte_cpu_to_be_32(v);

	memcpy(at, &be, sizeof(be));
}

static uint16_t
get16(const uint8_t *at)
{
	uint16_t be;

	memcpy(&be, at, sizeof(be));
	return rte_be_to_cpu_16(be);
}

static uint32_t
get32(const uint8_t *at)
{
	uint32_t be;

	memcpy(&be, at, sizeof(be));
	return rte_be_to_cpu_32(be);
}

/* The IP header is one, of the length that the mbuf says. */
static int
ip_check(const struct segmenter *s)
{
	const uint8_t *ip = s->hdr + s->l3;
	const uint8_t proto = s->kind == SEGMENT_TCP ? IPPROTO_TCP : IPPROTO_UDP;
	const uint16_t len = (uint16_t)(s->l4 - s->l3);

	if (s->v6)
		return ip[0] >> 4 == 6 && len >= IP6_LEN &&
				       (len > IP6_LEN || ip[6] == proto)
			       ? 0
			       : -EINVAL;
	if (ip[0] >> 4 != 4 || (ip[0] & 0xfu) * 4u != len ||
	    len < sizeof(struct rte_ipv4_hdr) || ip[9] != proto)
		return -EINVAL;
	/* a fragment's rest is none of TCP's or UDP's */
	return (get16(ip + 6) & IP4_FRAGMENT) == 0 ? 0 : -EINVAL;
}

/* Datagram to fragments: the sum is one of the whole, and the UDP header is
 * payload. */
static int
fragment_begin(struct segmenter *s, struct rte_mbuf *m)
{
	uint8_t *h = s->hdr + s->l4;

	if (s->v6 && s->l4 - s->l3 != IP6_LEN)
		return -ENOTSUP;
	if (s->size < FRAG_UNIT)
		return -EINVAL;
	s->size &= ~(FRAG_UNIT - 1);
	if ((m->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_UDP_CKSUM) {
		if (offload_pseudo_set(m) != 0 || offload_l4_complete(m) != 0)
			return -EINVAL;
		m->ol_flags &= ~RTE_MBUF_F_TX_L4_MASK;
	}
	s->begin = s->l4;
	s->hdr_len = s->l4;
	if (!s->v6)
		return 0;
	s->hdr[s->l3 + 6] = IP6_FRAG_NEXT;
	h[0] = IPPROTO_UDP;
	h[1] = 0;
	put32(h + 4, (uint32_t)rte_rand());
	s->hdr_len = (uint16_t)(s->hdr_len + IP6_FRAG_LEN);
	return 0;
}

int
segment_begin(struct segmenter *s, struct rte_mbuf *m, bool partial)
{
	const uint8_t *hdr;
	uint32_t l4_len;
	int ret;

	s->m = m;
	s->kind = SEGMENT_TCP;
	if ((m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) == 0)
		s->kind = offload_is_uso(m) ? SEGMENT_DATAGRAM : SEGMENT_FRAGMENT;
	s->v6 = (m->ol_flags & RTE_MBUF_F_TX_IPV6) != 0;
	s->partial = partial;
	l4_len = s->kind == SEGMENT_TCP ? m->l4_len : sizeof(struct rte_udp_hdr);
	s->l3 = m->l2_len;
	s->l4 = (uint16_t)(m->l2_len + m->l3_len);
	s->hdr_len = (uint16_t)(s->l4 + l4_len);
	s->begin = s->hdr_len;
	s->size = m->tso_segsz;
	if (s->size == 0 || s->hdr_len > SEGMENT_HDR_MAX || m->pkt_len <= s->hdr_len ||
	    m->l3_len < sizeof(struct rte_ipv4_hdr) ||
	    (s->kind == SEGMENT_TCP && l4_len < sizeof(struct rte_tcp_hdr)))
		return -EINVAL;
	hdr = rte_pktmbuf_read(m, 0, s->hdr_len, s->hdr);
	if (hdr != s->hdr)
		memcpy(s->hdr, hdr, s->hdr_len);
	if (s->kind == SEGMENT_TCP && (s->hdr[s->l4 + 12] >> 4) * 4u != l4_len)
		return -EINVAL;
	ret = ip_check(s);
	if (ret == 0 && s->kind == SEGMENT_FRAGMENT)
		ret = fragment_begin(s, m);
	if (ret != 0)
		return ret;
	/* a UDP header has neither, and may end where the room for headers does */
	s->seq = s->kind == SEGMENT_TCP ? get32(s->hdr + s->l4 + 4) : 0;
	s->flags = s->kind == SEGMENT_TCP ? s->hdr[s->l4 + 13] : 0;
	s->id = get16(s->hdr + s->l3 + 4);
	s->off = s->begin;
	s->len = 0;
	s->nr = (m->pkt_len - s->begin + s->size - 1) / s->size;
	return 0;
}

/* Length, identification, place in the datagram, checksum. */
static void
ip_write(struct segmenter *s, bool last)
{
	const uint32_t unit = (s->off - s->begin) / FRAG_UNIT;
	const uint32_t len = s->hdr_len - s->l3 + s->len;
	uint8_t *ip = s->hdr + s->l3;
	uint16_t sum;

	if (s->v6) {
		put16(ip + 4, len - IP6_LEN);
		if (s->kind == SEGMENT_FRAGMENT)
			put16(s->hdr + s->l4 + 2, unit << 3 | (last ? 0 : 1));
		return;
	}
	put16(ip + 2, len);
	put16(ip + 4, s->id);
	if (s->kind == SEGMENT_FRAGMENT)
		put16(ip + 6, unit | (last ? 0 : IP4_MORE));
	else
		s->id++;
	put16(ip + 10, 0);
	sum = (uint16_t)~rte_raw_cksum(ip, (size_t)(s->l4 - s->l3));
	memcpy(ip + 10, &sum, sizeof(sum));
}

/* Where the sum is in its header. */
static uint16_t
sum_offset(const struct segmenter *s)
{
	return s->kind == SEGMENT_TCP ? offsetof(struct rte_tcp_hdr, cksum)
				      : offsetof(struct rte_udp_hdr, dgram_cksum);
}

static void
l4_write(struct segmenter *s, bool last)
{
	const uint16_t l4_len = (uint16_t)(s->hdr_len - s->l4);
	uint8_t *h = s->hdr + s->l4, *at = h + sum_offset(s);
	uint16_t sum;

	if (s->kind == SEGMENT_TCP) {
		put32(h + 4, s->seq);
		s->seq += s->len;
		h[13] = s->flags;
		/* told once: at the end; and of congestion in the beginning */
		if (!last)
			h[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
		if (s->off != s->begin)
			h[13] &= (uint8_t)~TCP_CWR;
	} else {
		put16(h + 4, l4_len + s->len);
	}
	sum = offload_pseudo_sum(s->hdr + s->l3, s->v6,
				 s->kind == SEGMENT_TCP ? IPPROTO_TCP : IPPROTO_UDP,
				 l4_len + s->len);
	if (!s->partial) {
		memset(at, 0, sizeof(sum));
		sum = offload_sum_add(sum, rte_raw_cksum(h, l4_len));
		sum = offload_sum_add(sum, offload_sum(s->m, s->off, s->len));
		sum = (uint16_t)~sum;
		if (sum == 0)
			sum = UINT16_MAX;
	}
	memcpy(at, &sum, sizeof(sum));
}

bool
segment_next(struct segmenter *s)
{
	uint32_t left;
	bool last;

	s->off += s->len;
	left = s->m->pkt_len - s->off;
	if (left == 0)
		return false;
	s->len = RTE_MIN(left, s->size);
	last = s->len == left;
	ip_write(s, last);
	if (s->kind != SEGMENT_FRAGMENT)
		l4_write(s, last);
	return true;
}

void
segment_header(const struct segmenter *s, struct virtio_net_hdr *h)
{
	if (!s->partial || s->kind == SEGMENT_FRAGMENT)
		return;
	h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	h->csum_start = s->l4;
	h->csum_offset = sum_offset(s);
}
