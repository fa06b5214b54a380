/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <rte_ip.h>
#include <rte_net.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "offload.h"

/* What a guest's claims are checked against; tunnels are none of virtio's. */
#define PTYPE_LAYERS (RTE_PTYPE_L2_MASK | RTE_PTYPE_L3_MASK | RTE_PTYPE_L4_MASK)

/* What the bit-fields of an mbuf hold. */
#define L3_LEN_MAX 511u

/*
 * Offset of the checksum in its header, by RTE_MBUF_F_TX_*_CKSUM; 0: none.
 * Not SCTP's, which is a CRC: virtio knows of no other sum than IP's.
 */
static uint16_t
l4_csum_offset(uint64_t flags)
{
	if ((flags & RTE_MBUF_F_TX_TCP_SEG) != 0)
		return offsetof(struct rte_tcp_hdr, cksum);
	switch (flags & RTE_MBUF_F_TX_L4_MASK) {
	case RTE_MBUF_F_TX_TCP_CKSUM:
		return offsetof(struct rte_tcp_hdr, cksum);
	case RTE_MBUF_F_TX_UDP_CKSUM:
		return offsetof(struct rte_udp_hdr, dgram_cksum);
	default:
		return 0;
	}
}

/* A field of the first segment, wherever it lies: a guest's headers need not
 * be aligned. */
static uint16_t
field_get(const struct rte_mbuf *m, uint32_t at)
{
	uint16_t v;

	memcpy(&v, rte_pktmbuf_mtod_offset(m, const char *, at), sizeof(v));
	return v;
}

static void
field_set(struct rte_mbuf *m, uint32_t at, uint16_t v)
{
	memcpy(rte_pktmbuf_mtod_offset(m, char *, at), &v, sizeof(v));
}

/*
 * Ones' complement sum of the frame from start on. Segments of odd lengths are
 * summed right, which rte_raw_cksum_mbuf() does not always do.
 */
static uint16_t
frame_sum(const struct rte_mbuf *m, uint32_t start)
{
	uint32_t sum = 0;
	bool odd = false;

	for (; m != NULL; m = m->next) {
		uint32_t len = m->data_len;
		uint16_t part;

		if (start >= len) {
			start -= len;
			continue;
		}
		len -= start;
		part = rte_raw_cksum(rte_pktmbuf_mtod_offset(m, const char *, start),
				     len);
		sum += odd ? rte_bswap16(part) : part;
		odd ^= len % 2 != 0;
		start = 0;
	}
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/* Sum from start on and put it where the pseudo-header's sum is. */
static int
csum_complete(struct rte_mbuf *m, uint32_t start, uint32_t offset)
{
	uint16_t sum;

	/* the field in the first segment, which headers are in practice */
	if (start + offset + sizeof(sum) > m->data_len)
		return -EINVAL;
	sum = (uint16_t)~frame_sum(m, start);
	/* UDP says "no checksum" with 0; the other zero is as good for all */
	field_set(m, start + offset, sum == 0 ? UINT16_MAX : sum);
	return 0;
}

static int
ipv4_csum(struct rte_mbuf *m)
{
	uint32_t at = m->l2_len + offsetof(struct rte_ipv4_hdr, hdr_checksum);

	if (m->l3_len < sizeof(struct rte_ipv4_hdr) ||
	    (uint32_t)m->l2_len + m->l3_len > m->data_len)
		return -EINVAL;
	field_set(m, at, 0);
	/* the length the mbuf has, which was checked, not the one in the packet */
	field_set(
		m, at,
		(uint16_t)~rte_raw_cksum(
			rte_pktmbuf_mtod_offset(m, const char *, m->l2_len), m->l3_len));
	return 0;
}

/*
 * DPDK's pseudo-header sum of a frame to be segmented leaves the length out,
 * virtio's has it in.
 */
static void
tso_csum_fix(struct rte_mbuf *m)
{
	uint32_t l4 = m->l2_len + m->l3_len, sum;
	uint32_t at = l4 + offsetof(struct rte_tcp_hdr, cksum);

	if (l4 + sizeof(struct rte_tcp_hdr) > m->data_len || m->pkt_len <= l4)
		return;
	sum = field_get(m, at);
	for (uint32_t len = m->pkt_len - l4; len != 0; len >>= 16)
		sum += rte_cpu_to_be_16((uint16_t)len);
	sum = (sum & 0xffff) + (sum >> 16);
	field_set(m, at, (uint16_t)((sum & 0xffff) + (sum >> 16)));
}

bool
offload_tx_taken(const struct rte_mbuf *m, uint64_t guest)
{
	if ((guest & OFFLOAD_BIT(GUEST_CSUM)) == 0)
		return false;
	if ((m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0)
		return (guest & ((m->ol_flags & RTE_MBUF_F_TX_IPV6) != 0
					 ? OFFLOAD_BIT(GUEST_TSO6)
					 : OFFLOAD_BIT(GUEST_TSO4))) != 0;
	return (m->ol_flags & RTE_MBUF_F_TX_L4_MASK) != RTE_MBUF_F_TX_SCTP_CKSUM;
}

void
offload_tx_header(struct virtio_net_hdr *h, struct rte_mbuf *m)
{
	uint16_t offset = l4_csum_offset(m->ol_flags);

	if ((m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM) != 0)
		ipv4_csum(m);
	if (offset == 0)
		return;
	h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	h->csum_start = (uint16_t)(m->l2_len + m->l3_len);
	h->csum_offset = offset;
	if ((m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) == 0)
		return;
	tso_csum_fix(m);
	h->gso_type = (m->ol_flags & RTE_MBUF_F_TX_IPV6) != 0 ? VIRTIO_NET_HDR_GSO_TCPV6
							      : VIRTIO_NET_HDR_GSO_TCPV4;
	h->gso_size = m->tso_segsz;
	h->hdr_len = (uint16_t)(m->l2_len + m->l3_len + m->l4_len);
}

int
offload_tx_software(struct rte_mbuf *m)
{
	uint16_t offset = l4_csum_offset(m->ol_flags);
	int ret = 0;

	if ((m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0 ||
	    (m->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_SCTP_CKSUM)
		return -ENOTSUP;
	if ((m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM) != 0)
		ret = ipv4_csum(m);
	if (ret == 0 && offset != 0)
		ret = csum_complete(m, m->l2_len + m->l3_len, offset);
	if (ret == 0)
		m->ol_flags &= ~OFFLOAD_TX_FLAGS;
	return ret;
}

/* What the frame is. Lengths that an mbuf cannot tell are those of a frame with
 * nothing known behind its L2 header. */
static void
rx_parse(struct rte_mbuf *m)
{
	struct rte_net_hdr_lens lens = { 0 };

	m->packet_type = rte_net_get_ptype(m, &lens, PTYPE_LAYERS);
	if (lens.l3_len > L3_LEN_MAX) {
		m->packet_type &= RTE_PTYPE_L2_MASK;
		lens.l3_len = 0;
		lens.l4_len = 0;
	}
	m->l2_len = lens.l2_len;
	m->l3_len = lens.l3_len;
	m->l4_len = lens.l4_len;
}

/* True if the frame is one that can be segmented as the guest says. */
static bool
rx_can_segment(const struct rte_mbuf *m, uint8_t gso, uint16_t size)
{
	bool ip = gso == VIRTIO_NET_HDR_GSO_TCPV4 ? RTE_ETH_IS_IPV4_HDR(m->packet_type)
						  : RTE_ETH_IS_IPV6_HDR(m->packet_type);

	return ip && (m->packet_type & RTE_PTYPE_L4_MASK) == RTE_PTYPE_L4_TCP &&
	       size != 0 && m->l4_len >= sizeof(struct rte_tcp_hdr) &&
	       m->pkt_len > (uint32_t)m->l2_len + m->l3_len + m->l4_len;
}

/* The flags that say what the guest says, for an application that knows of
 * these only; 0: there are none that fit. */
static uint64_t
legacy_flags(const struct rte_mbuf *m, const struct virtio_net_hdr *h)
{
	uint64_t flags;

	switch (m->packet_type & RTE_PTYPE_L4_MASK) {
	case RTE_PTYPE_L4_TCP:
		flags = RTE_MBUF_F_TX_TCP_CKSUM;
		break;
	case RTE_PTYPE_L4_UDP:
		flags = RTE_MBUF_F_TX_UDP_CKSUM;
		break;
	default:
		return 0;
	}
	/* whoever acts on them looks where the lengths say */
	if (h->csum_start != m->l2_len + m->l3_len ||
	    h->csum_offset != l4_csum_offset(flags))
		return 0;
	if (RTE_ETH_IS_IPV4_HDR(m->packet_type))
		return flags | RTE_MBUF_F_TX_IPV4;
	return RTE_ETH_IS_IPV6_HDR(m->packet_type) ? flags | RTE_MBUF_F_TX_IPV6 : 0;
}

static void
rx_csum(struct rte_mbuf *m, const struct virtio_net_hdr *h, bool sw_csum, bool legacy)
{
	uint64_t flags = legacy ? legacy_flags(m, h) : 0;

	if ((uint32_t)h->csum_start + h->csum_offset + sizeof(uint16_t) > m->pkt_len)
		return;
	if (legacy && flags != 0)
		m->ol_flags |= flags;
	else if (!legacy && !sw_csum)
		m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE;
	else if (csum_complete(m, h->csum_start, h->csum_offset) == 0)
		m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
}

void
offload_rx(struct rte_mbuf *m, const struct virtio_net_hdr *h, bool sw_csum, bool legacy)
{
	uint8_t gso = h->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
	bool segment = false;

	rx_parse(m);
	if (gso == VIRTIO_NET_HDR_GSO_TCPV4 || gso == VIRTIO_NET_HDR_GSO_TCPV6)
		segment = rx_can_segment(m, gso, h->gso_size);
	/*
	 * A frame still to be segmented has no checksum to complete. That a checksum
	 * is valid, a device may tell a driver, not a driver a device.
	 */
	if ((h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0)
		rx_csum(m, h, sw_csum && !segment, legacy);
	if (segment) {
		m->ol_flags |= legacy ? RTE_MBUF_F_TX_TCP_SEG : RTE_MBUF_F_RX_LRO;
		m->tso_segsz = h->gso_size;
	}
}
