/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stddef.h>

#include <rte_ip.h>
#include <rte_net.h>
#include <rte_sctp.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "offload.h"

/* Offset of the checksum in its header, by RTE_MBUF_F_TX_*_CKSUM; 0: none. */
static uint16_t
l4_csum_offset(uint64_t flags)
{
	switch (flags & RTE_MBUF_F_TX_L4_MASK) {
	case RTE_MBUF_F_TX_TCP_CKSUM:
		return offsetof(struct rte_tcp_hdr, cksum);
	case RTE_MBUF_F_TX_UDP_CKSUM:
		return offsetof(struct rte_udp_hdr, dgram_cksum);
	case RTE_MBUF_F_TX_SCTP_CKSUM:
		return offsetof(struct rte_sctp_hdr, cksum);
	default:
		return (flags & RTE_MBUF_F_TX_TCP_SEG) != 0
			       ? offsetof(struct rte_tcp_hdr, cksum)
			       : 0;
	}
}

/* Sum from start on and put it where the pseudo-header's sum is. */
static int
csum_complete(struct rte_mbuf *m, uint32_t start, uint32_t offset)
{
	uint16_t *field, sum;

	/* the field in the first segment, which headers are in practice */
	if (start + offset + sizeof(sum) > m->data_len)
		return -EINVAL;
	if (rte_raw_cksum_mbuf(m, start, m->pkt_len - start, &sum) != 0)
		return -EINVAL;
	sum = (uint16_t)~sum;
	field = rte_pktmbuf_mtod_offset(m, uint16_t *, start + offset);
	/* UDP says "no checksum" with 0; the other zero is as good for all */
	*field = sum == 0 ? UINT16_MAX : sum;
	return 0;
}

static int
ipv4_csum(struct rte_mbuf *m)
{
	struct rte_ipv4_hdr *ip;

	if (m->l3_len < sizeof(*ip) || (uint32_t)m->l2_len + m->l3_len > m->data_len)
		return -EINVAL;
	ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, m->l2_len);
	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_ipv4_cksum(ip);
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
	struct rte_tcp_hdr *tcp;

	if (l4 + sizeof(*tcp) > m->data_len || m->pkt_len <= l4)
		return;
	tcp = rte_pktmbuf_mtod_offset(m, struct rte_tcp_hdr *, l4);
	sum = tcp->cksum;
	for (uint32_t len = m->pkt_len - l4; len != 0; len >>= 16)
		sum += rte_cpu_to_be_16((uint16_t)len);
	sum = (sum & 0xffff) + (sum >> 16);
	tcp->cksum = (uint16_t)((sum & 0xffff) + (sum >> 16));
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

	if ((m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0)
		return -ENOTSUP;
	if ((m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM) != 0)
		ret = ipv4_csum(m);
	if (ret == 0 && offset != 0)
		ret = csum_complete(m, m->l2_len + m->l3_len, offset);
	if (ret == 0)
		m->ol_flags &= ~OFFLOAD_TX_FLAGS;
	return ret;
}

static void
rx_lengths(struct rte_mbuf *m)
{
	struct rte_net_hdr_lens lens;

	m->packet_type = rte_net_get_ptype(m, &lens, RTE_PTYPE_ALL_MASK);
	m->l2_len = lens.l2_len;
	m->l3_len = lens.l3_len;
	m->l4_len = lens.l4_len;
}

static uint64_t
legacy_l4_flag(const struct rte_mbuf *m)
{
	switch (m->packet_type & RTE_PTYPE_L4_MASK) {
	case RTE_PTYPE_L4_TCP:
		return RTE_MBUF_F_TX_TCP_CKSUM;
	case RTE_PTYPE_L4_UDP:
		return RTE_MBUF_F_TX_UDP_CKSUM;
	case RTE_PTYPE_L4_SCTP:
		return RTE_MBUF_F_TX_SCTP_CKSUM;
	default:
		return 0;
	}
}

static void
rx_csum(struct rte_mbuf *m, const struct virtio_net_hdr *h, bool sw_csum, bool legacy)
{
	if ((uint32_t)h->csum_start + h->csum_offset + sizeof(uint16_t) > m->pkt_len)
		return;
	if (legacy)
		m->ol_flags |= legacy_l4_flag(m) |
			       (RTE_ETH_IS_IPV4_HDR(m->packet_type) ? RTE_MBUF_F_TX_IPV4
								    : RTE_MBUF_F_TX_IPV6);
	else if (!sw_csum)
		m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE;
	else if (csum_complete(m, h->csum_start, h->csum_offset) == 0)
		m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
}

void
offload_rx(struct rte_mbuf *m, const struct virtio_net_hdr *h, bool sw_csum, bool legacy)
{
	uint8_t gso = h->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
	bool tcp = gso == VIRTIO_NET_HDR_GSO_TCPV4 || gso == VIRTIO_NET_HDR_GSO_TCPV6;

	rx_lengths(m);
	if ((h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0)
		/* a frame still to be segmented has no checksum to complete */
		rx_csum(m, h, sw_csum && gso == VIRTIO_NET_HDR_GSO_NONE, legacy);
	else if ((h->flags & VIRTIO_NET_HDR_F_DATA_VALID) != 0)
		m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	if (tcp && h->gso_size != 0) {
		m->ol_flags |= legacy ? RTE_MBUF_F_TX_TCP_SEG : RTE_MBUF_F_RX_LRO;
		m->tso_segsz = h->gso_size;
	}
}
