/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_ip.h>
#include <rte_mbuf_dyn.h>
#include <rte_net.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "offload.h"
#include "weir_port.h"

/* What a guest's claims are checked against; tunnels are none of virtio's. */
#define PTYPE_LAYERS (RTE_PTYPE_L2_MASK | RTE_PTYPE_L3_MASK | RTE_PTYPE_L4_MASK)

/* In a TCP header. */
#define TCP_FLAGS_OFFSET 13u
#define TCP_CWR 0x80u

/* What the bit-fields of an mbuf hold. */
#define L3_LEN_MAX 511u

/* RTE_MBUF_F_* of a frame to be cut into datagrams; 0: not registered. */
static uint64_t uso_flag;

int
offload_init(void)
{
	const struct rte_mbuf_dynflag desc = { .name = WEIR_PORT_USO_FLAG };
	int bit = rte_mbuf_dynflag_register(&desc);

	if (bit < 0)
		return -rte_errno;
	uso_flag = RTE_BIT64(bit);
	return 0;
}

bool
offload_is_uso(const struct rte_mbuf *m)
{
	return (m->ol_flags & uso_flag) != 0;
}

/* It asks to be segmented, in whichever way. */
static bool
is_segmented(const struct rte_mbuf *m)
{
	return (m->ol_flags &
		(RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_UDP_SEG | uso_flag)) != 0;
}

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
static void
field_set(struct rte_mbuf *m, uint32_t at, uint16_t v)
{
	memcpy(rte_pktmbuf_mtod_offset(m, char *, at), &v, sizeof(v));
}

uint16_t
offload_sum_add(uint16_t a, uint16_t b)
{
	uint32_t sum = (uint32_t)a + b;

	return (uint16_t)(sum + (sum >> 16));
}

uint16_t
offload_sum(const struct rte_mbuf *m, uint32_t start, uint32_t len)
{
	uint16_t sum = 0;
	bool odd = false;

	for (; m != NULL && len != 0; m = m->next) {
		uint32_t n = m->data_len;
		uint16_t part;

		if (start >= n) {
			start -= n;
			continue;
		}
		n = RTE_MIN(n - start, len);
		part = rte_raw_cksum(rte_pktmbuf_mtod_offset(m, const char *, start), n);
		sum = offload_sum_add(sum, odd ? rte_bswap16(part) : part);
		odd ^= n % 2 != 0;
		len -= n;
		start = 0;
	}
	return sum;
}

uint16_t
offload_pseudo_sum(const uint8_t *ip, bool v6, uint8_t proto, uint32_t len)
{
	/* the addresses: 2 of 16 bytes from 8 on, 2 of 4 from 12 on */
	uint16_t sum = v6 ? rte_raw_cksum(ip + 8, 32) : rte_raw_cksum(ip + 12, 8);

	sum = offload_sum_add(sum, rte_cpu_to_be_16(proto));
	sum = offload_sum_add(sum, rte_cpu_to_be_16((uint16_t)(len >> 16)));
	return offload_sum_add(sum, rte_cpu_to_be_16((uint16_t)len));
}

/* Sum from start on and put it where the pseudo-header's sum is. */
static int
csum_complete(struct rte_mbuf *m, uint32_t start, uint32_t offset)
{
	uint16_t sum;

	/* the field in the first segment, which headers are in practice */
	if (start + offset + sizeof(sum) > m->data_len)
		return -EINVAL;
	sum = (uint16_t)~offload_sum(m, start, m->pkt_len - start);
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

int
offload_pseudo_set(struct rte_mbuf *m)
{
	const bool v6 = (m->ol_flags & RTE_MBUF_F_TX_IPV6) != 0;
	const uint16_t offset = l4_csum_offset(m->ol_flags);
	const uint8_t proto =
		(m->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_UDP_CKSUM
			? IPPROTO_UDP
			: IPPROTO_TCP;
	uint32_t l4 = m->l2_len + m->l3_len;

	if (offset == 0 || l4 + offset + sizeof(uint16_t) > m->data_len ||
	    m->l3_len < (v6 ? sizeof(struct rte_ipv6_hdr) : sizeof(struct rte_ipv4_hdr)))
		return -EINVAL;
	field_set(m, l4 + offset,
		  offload_pseudo_sum(rte_pktmbuf_mtod_offset(m, uint8_t *, m->l2_len), v6,
				     proto, m->pkt_len - l4));
	return 0;
}

int
offload_l4_complete(struct rte_mbuf *m)
{
	return csum_complete(m, m->l2_len + m->l3_len, l4_csum_offset(m->ol_flags));
}

/* Its sender has been told of congestion and says so: the segments must not all. */
static bool
has_cwr(const struct rte_mbuf *m)
{
	const uint32_t at = (uint32_t)m->l2_len + m->l3_len + TCP_FLAGS_OFFSET;

	return at < m->data_len &&
	       (*rte_pktmbuf_mtod_offset(m, const uint8_t *, at) & TCP_CWR) != 0;
}

/* The features, all of them, that a guest needs to take the frame. */
static uint64_t
tx_needs(const struct rte_mbuf *m)
{
	const bool v6 = (m->ol_flags & RTE_MBUF_F_TX_IPV6) != 0;
	uint64_t needs = OFFLOAD_BIT(GUEST_CSUM);

	if ((m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0) {
		needs |= v6 ? OFFLOAD_BIT(GUEST_TSO6) : OFFLOAD_BIT(GUEST_TSO4);
		if (has_cwr(m))
			needs |= OFFLOAD_BIT(GUEST_ECN);
		return needs;
	}
	if (offload_is_uso(m))
		needs |= v6 ? OFFLOAD_BIT(GUEST_USO6) : OFFLOAD_BIT(GUEST_USO4);
	else if ((m->ol_flags & RTE_MBUF_F_TX_UDP_SEG) != 0)
		needs |= OFFLOAD_BIT(GUEST_UFO);
	return needs;
}

enum offload_way
offload_tx_way(const struct rte_mbuf *m, uint64_t guest)
{
	const uint64_t needs = tx_needs(m);
	const uint64_t l4 = m->ol_flags & RTE_MBUF_F_TX_L4_MASK;

	/* virtio has no segmentation without a partial checksum */
	if (is_segmented(m) &&
	    ((needs & ~guest) != 0 || l4_csum_offset(m->ol_flags) == 0))
		return OFFLOAD_SEGMENT;
	return (needs & ~guest) == 0 && l4 != RTE_MBUF_F_TX_SCTP_CKSUM ? OFFLOAD_AS_IS
								       : OFFLOAD_COMPLETE;
}

/* virtio's name for the way in which the frame is to be segmented. */
static uint8_t
gso_type(const struct rte_mbuf *m)
{
	uint8_t type;

	if (offload_is_uso(m))
		return VIRTIO_NET_HDR_GSO_UDP_L4;
	if ((m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) == 0)
		return VIRTIO_NET_HDR_GSO_UDP;
	type = (m->ol_flags & RTE_MBUF_F_TX_IPV6) != 0 ? VIRTIO_NET_HDR_GSO_TCPV6
						       : VIRTIO_NET_HDR_GSO_TCPV4;
	return has_cwr(m) ? type | VIRTIO_NET_HDR_GSO_ECN : type;
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
	if (!is_segmented(m))
		return;
	/* virtio's pseudo-header has the length in it; DPDK's may have or not */
	offload_pseudo_set(m);
	h->gso_type = gso_type(m);
	h->gso_size = m->tso_segsz;
	h->hdr_len =
		(uint16_t)(h->csum_start + ((m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0
						    ? m->l4_len
						    : sizeof(struct rte_udp_hdr)));
}

int
offload_tx_software(struct rte_mbuf *m)
{
	uint16_t offset = l4_csum_offset(m->ol_flags);
	int ret = 0;

	if (is_segmented(m) ||
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

/*
 * How a received frame can be segmented: as its guest says, if that fits the
 * frame. The RTE_MBUF_F_TX_* flag that would ask for it; 0: not at all.
 */
static uint64_t
rx_segmented(const struct rte_mbuf *m, const struct virtio_net_hdr *h)
{
	const uint32_t l4 = m->packet_type & RTE_PTYPE_L4_MASK;
	const bool v4 = RTE_ETH_IS_IPV4_HDR(m->packet_type);
	const bool v6 = RTE_ETH_IS_IPV6_HDR(m->packet_type);
	uint64_t flag = 0;

	switch (h->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		if (v4 && l4 == RTE_PTYPE_L4_TCP)
			flag = RTE_MBUF_F_TX_TCP_SEG;
		break;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		if (v6 && l4 == RTE_PTYPE_L4_TCP)
			flag = RTE_MBUF_F_TX_TCP_SEG;
		break;
	case VIRTIO_NET_HDR_GSO_UDP:
		if ((v4 || v6) && l4 == RTE_PTYPE_L4_UDP)
			flag = RTE_MBUF_F_TX_UDP_SEG;
		break;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		if ((v4 || v6) && l4 == RTE_PTYPE_L4_UDP)
			flag = uso_flag;
		break;
	}
	if (h->gso_size == 0 ||
	    m->l4_len < (l4 == RTE_PTYPE_L4_TCP ? sizeof(struct rte_tcp_hdr)
						: sizeof(struct rte_udp_hdr)) ||
	    m->pkt_len <= (uint32_t)m->l2_len + m->l3_len + m->l4_len)
		return 0;
	return flag;
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

/* A checksum is asked for. @return true: flags of old say so. */
static bool
rx_csum(struct rte_mbuf *m, const struct virtio_net_hdr *h, bool sw_csum, bool legacy)
{
	uint64_t flags = legacy ? legacy_flags(m, h) : 0;

	if ((uint32_t)h->csum_start + h->csum_offset + sizeof(uint16_t) > m->pkt_len)
		return false;
	m->ol_flags |= flags;
	if (flags != 0)
		return true;
	if (!legacy && !sw_csum)
		m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE;
	else if (csum_complete(m, h->csum_start, h->csum_offset) == 0)
		m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	return false;
}

void
offload_rx(struct rte_mbuf *m, const struct virtio_net_hdr *h, bool sw_csum, bool legacy)
{
	uint64_t segment = 0;
	bool flagged = false;

	rx_parse(m);
	if (h->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		segment = rx_segmented(m, h);
	/*
	 * A frame still to be segmented has no checksum to complete. That a checksum
	 * is valid, a device may tell a driver, not a driver a device.
	 */
	if ((h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0)
		flagged = rx_csum(m, h, sw_csum && segment == 0, legacy);
	/* who cuts by flags of old looks in those for the headers, and for the sum */
	if (segment != 0 && (flagged || !legacy)) {
		/* the way to cut UDP into datagrams has no flag but ours */
		m->ol_flags |=
			legacy ? segment : RTE_MBUF_F_RX_LRO | (segment & uso_flag);
		m->tso_segsz = h->gso_size;
	}
}
