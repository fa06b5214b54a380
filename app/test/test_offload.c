/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Virtio's packet header against mbuf flags: what a guest claims, and what is
 * completed here because a guest cannot.
 */
#include <errno.h>
#include <string.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf_dyn.h>
#include <rte_tcp.h>

#include "offload.h"
#include "test.h"
#include "weir_port.h"

#define ETH 14u
#define L4 34u /* behind Ethernet and IPv4 */
#define PAYLOAD 100u

static struct rte_mempool *pool;

static struct rte_mbuf *
mbuf_new(const uint8_t *bytes, uint16_t len)
{
	struct rte_mbuf *m;

	if (pool == NULL)
		pool = rte_pktmbuf_pool_create("test_offload", 63, 0, 0,
					       RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	m = rte_pktmbuf_alloc(pool);
	memcpy(rte_pktmbuf_append(m, len), bytes, len);
	return m;
}

/* Ethernet, IPv4 of that protocol, room for a TCP header, payload. */
static struct rte_mbuf *
frame(uint8_t proto)
{
	uint8_t b[L4 + 20 + PAYLOAD] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08 };

	b[ETH] = 0x45;
	b[ETH + 3] = sizeof(b) - ETH;
	b[ETH + 8] = 64;
	b[ETH + 9] = proto;
	b[L4 + 12] = 0x50;
	for (unsigned int i = 0; i < PAYLOAD; i++)
		b[L4 + 20 + i] = (uint8_t)(i * 37);
	return mbuf_new(b, sizeof(b));
}

static uint16_t
word_at(const struct rte_mbuf *m, uint32_t at)
{
	uint16_t v;

	memcpy(&v, rte_pktmbuf_mtod_offset(m, const char *, at), sizeof(v));
	return v;
}

struct claim {
	uint8_t proto;
	struct virtio_net_hdr h;
	bool legacy;
	uint64_t flags; /* what is to come of it */
};

#define CSUM(start, off) VIRTIO_NET_HDR_F_NEEDS_CSUM, 0, 0, 0, start, off
#define TSO(type, size) VIRTIO_NET_HDR_F_NEEDS_CSUM, type, 54, size, L4, 16
#define TX4(l4) (RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_##l4##_CKSUM)

static const struct claim claims[] = {
	{ 6, { CSUM(L4, 16) }, false, RTE_MBUF_F_RX_L4_CKSUM_NONE },
	{ 6, { CSUM(60000, 16) }, false, 0 },
	{ 6, { CSUM(L4, 60000) }, false, 0 },
	/* that a sum is valid is not a driver's to say */
	{ 6, { VIRTIO_NET_HDR_F_DATA_VALID, 0, 0, 0, 0, 0 }, false, 0 },
	{ 6,
	  { TSO(VIRTIO_NET_HDR_GSO_TCPV4, 50) },
	  false,
	  RTE_MBUF_F_RX_LRO | RTE_MBUF_F_RX_L4_CKSUM_NONE },
	/* no size, the other protocols, a type there is not */
	{ 6, { TSO(VIRTIO_NET_HDR_GSO_TCPV4, 0) }, false, RTE_MBUF_F_RX_L4_CKSUM_NONE },
	{ 6, { TSO(VIRTIO_NET_HDR_GSO_TCPV6, 50) }, false, RTE_MBUF_F_RX_L4_CKSUM_NONE },
	{ 17, { TSO(VIRTIO_NET_HDR_GSO_TCPV4, 50) }, false, RTE_MBUF_F_RX_L4_CKSUM_NONE },
	{ 6, { TSO(77, 50) }, false, RTE_MBUF_F_RX_L4_CKSUM_NONE },
	{ 6, { CSUM(L4, 16) }, true, TX4(TCP) },
	{ 17, { CSUM(L4, 6) }, true, TX4(UDP) },
	/* a device told to sum by these flags would sum elsewhere: it is done here */
	{ 17, { CSUM(L4, 16) }, true, RTE_MBUF_F_RX_L4_CKSUM_GOOD },
	{ 6, { CSUM(L4 + 1, 16) }, true, RTE_MBUF_F_RX_L4_CKSUM_GOOD },
	{ 99, { CSUM(L4, 16) }, true, RTE_MBUF_F_RX_L4_CKSUM_GOOD },
	{ 6,
	  { TSO(VIRTIO_NET_HDR_GSO_TCPV4, 50) },
	  true,
	  RTE_MBUF_F_TX_TCP_SEG | TX4(TCP) },
	{ 17, { TSO(VIRTIO_NET_HDR_GSO_TCPV4, 50) }, true, RTE_MBUF_F_RX_L4_CKSUM_GOOD },
	/* to be cut, and no sum, or one elsewhere: no flags say where the headers are */
	{ 6, { 0, VIRTIO_NET_HDR_GSO_TCPV4, 54, 50, L4, 16 }, true, 0 },
	{ 6, { 1, VIRTIO_NET_HDR_GSO_TCPV4, 54, 50, 60000, 16 }, true, 0 },
	{ 6,
	  { 1, VIRTIO_NET_HDR_GSO_TCPV4, 54, 50, L4 + 1, 16 },
	  true,
	  RTE_MBUF_F_RX_L4_CKSUM_GOOD },
};

static enum test_result
rx_claims_checked_against_the_frame(void)
{
	for (size_t i = 0; i < RTE_DIM(claims); i++) {
		struct rte_mbuf *m = frame(claims[i].proto);

		offload_rx(m, &claims[i].h, false, claims[i].legacy);
		if (m->ol_flags != claims[i].flags) {
			printf("    claim %zu\n", i);
			TEST_EQ(m->ol_flags, claims[i].flags);
		}
		rte_pktmbuf_free(m);
	}
	return TEST_OK;
}

/* A claim to be segmented that is none does not keep the sum from being done. */
static enum test_result
rx_false_segment_is_completed(void)
{
	const struct virtio_net_hdr h = { TSO(VIRTIO_NET_HDR_GSO_TCPV6, 50) };
	struct rte_mbuf *m = frame(6);
	uint16_t sum;

	offload_rx(m, &h, true, false);
	TEST_EQ(m->ol_flags, RTE_MBUF_F_RX_L4_CKSUM_GOOD);
	TEST_EQ(rte_raw_cksum_mbuf(m, L4, m->pkt_len - L4, &sum), 0);
	TEST_EQ(sum, UINT16_MAX);
	rte_pktmbuf_free(m);
	return TEST_OK;
}

/* The sum begins at an odd address, and nothing minds. */
static enum test_result
rx_unaligned_field_is_completed(void)
{
	const struct virtio_net_hdr h = { CSUM(L4 + 1, 16) };
	struct rte_mbuf *m = frame(6);
	uint16_t sum;

	offload_rx(m, &h, true, false);
	TEST_EQ(rte_raw_cksum_mbuf(m, L4 + 1, m->pkt_len - L4 - 1, &sum), 0);
	TEST_EQ(sum, UINT16_MAX);
	rte_pktmbuf_free(m);
	return TEST_OK;
}

static enum test_result
rx_lengths_of_what_is_not_ip(void)
{
	const uint8_t arp[42] = { [12] = 0x08, [13] = 0x06 };
	const struct virtio_net_hdr h = { CSUM(20, 2) };
	struct rte_mbuf *m = mbuf_new(arp, sizeof(arp));

	offload_rx(m, &h, false, false);
	TEST_EQ(m->l2_len, ETH);
	TEST_EQ(m->l3_len, 0);
	TEST_EQ(m->l4_len, 0);
	rte_pktmbuf_free(m);
	return TEST_OK;
}

/* IPv6 with more extensions than an mbuf can tell of: l3_len must not wrap. */
static enum test_result
rx_headers_longer_than_an_mbuf_tells(void)
{
	static uint8_t b[ETH + 40 + 600 + 40] = { [12] = 0x86, [13] = 0xdd };
	const struct virtio_net_hdr h = { TSO(VIRTIO_NET_HDR_GSO_TCPV6, 10) };
	struct rte_mbuf *m;

	b[ETH] = 0x60;
	b[ETH + 6] = 0;	 /* hop by hop */
	b[ETH + 40] = 6; /* then TCP */
	b[ETH + 41] = 600 / 8 - 1;
	b[ETH + 640 + 12] = 0x50;
	m = mbuf_new(b, sizeof(b));
	offload_rx(m, &h, false, false);
	TEST_EQ(m->ol_flags, RTE_MBUF_F_RX_L4_CKSUM_NONE);
	TEST_EQ(m->l3_len, 0);
	rte_pktmbuf_free(m);
	return TEST_OK;
}

#define G(name) OFFLOAD_BIT(GUEST_##name)
#define SEG(l3) (RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_##l3)
#define UDP(l3) (RTE_MBUF_F_TX_UDP_CKSUM | RTE_MBUF_F_TX_##l3)
#define UFO(l3) (UDP(l3) | RTE_MBUF_F_TX_UDP_SEG)

static const struct {
	uint64_t flags, guest;
	bool uso, cwr;
	enum offload_way way;
} ways[] = {
	{ RTE_MBUF_F_TX_TCP_CKSUM, G(TSO4) | G(TSO6), false, false, OFFLOAD_COMPLETE },
	{ RTE_MBUF_F_TX_TCP_CKSUM, G(CSUM), false, false, OFFLOAD_AS_IS },
	{ RTE_MBUF_F_TX_IP_CKSUM, G(CSUM), false, false, OFFLOAD_AS_IS },
	{ RTE_MBUF_F_TX_SCTP_CKSUM, OFFLOAD_GUEST, false, false, OFFLOAD_COMPLETE },
	{ SEG(IPV4), G(TSO4), false, false, OFFLOAD_SEGMENT },
	{ SEG(IPV4), G(CSUM) | G(TSO6), false, false, OFFLOAD_SEGMENT },
	{ SEG(IPV4), G(CSUM) | G(TSO4), false, false, OFFLOAD_AS_IS },
	{ SEG(IPV6), G(CSUM) | G(TSO4), false, false, OFFLOAD_SEGMENT },
	{ SEG(IPV6), G(CSUM) | G(TSO6), false, false, OFFLOAD_AS_IS },
	{ SEG(IPV4), G(CSUM) | G(TSO4), false, true, OFFLOAD_SEGMENT },
	{ SEG(IPV4), G(CSUM) | G(TSO4) | G(ECN), false, true, OFFLOAD_AS_IS },
	{ UFO(IPV4), G(CSUM) | G(USO4), false, false, OFFLOAD_SEGMENT },
	{ UFO(IPV4), G(CSUM) | G(UFO), false, false, OFFLOAD_AS_IS },
	/* virtio has no fragmentation without a sum to complete */
	{ RTE_MBUF_F_TX_UDP_SEG, OFFLOAD_GUEST, false, false, OFFLOAD_SEGMENT },
	{ UDP(IPV4), G(CSUM) | G(UFO), true, false, OFFLOAD_SEGMENT },
	{ UDP(IPV4), G(CSUM) | G(USO4), true, false, OFFLOAD_AS_IS },
	{ UDP(IPV6), G(CSUM) | G(USO4), true, false, OFFLOAD_SEGMENT },
	{ UDP(IPV6), G(CSUM) | G(USO6), true, false, OFFLOAD_AS_IS },
};

static uint64_t
uso_flag(void)
{
	if (offload_init() != 0)
		return 0;
	return RTE_BIT64(rte_mbuf_dynflag_lookup(WEIR_PORT_USO_FLAG, NULL));
}

static enum test_result
tx_way_as_negotiated(void)
{
	for (size_t i = 0; i < RTE_DIM(ways); i++) {
		struct rte_mbuf *m = frame(6);

		m->l2_len = ETH;
		m->l3_len = 20;
		if (ways[i].cwr)
			*rte_pktmbuf_mtod_offset(m, uint8_t *, L4 + 13) = 0x80;
		m->ol_flags = ways[i].flags | (ways[i].uso ? uso_flag() : 0);
		if (offload_tx_way(m, ways[i].guest) != ways[i].way) {
			printf("    way %zu\n", i);
			TEST_EQ(offload_tx_way(m, ways[i].guest), ways[i].way);
		}
		rte_pktmbuf_free(m);
	}
	return TEST_OK;
}

/* What a guest is told of a frame that it is to segment. */
static enum test_result
tx_segmented_frame_described(void)
{
	struct rte_mbuf *m = frame(6);
	struct virtio_net_hdr h = { 0 };

	m->l2_len = ETH;
	m->l3_len = 20;
	m->l4_len = 20;
	m->tso_segsz = 30;
	m->ol_flags = SEG(IPV4);
	*rte_pktmbuf_mtod_offset(m, uint8_t *, L4 + 13) = 0x80;
	offload_tx_header(&h, m);
	TEST_EQ(h.gso_type, VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN);
	TEST_EQ(h.gso_size, 30);
	TEST_EQ(h.hdr_len, L4 + 20);
	TEST_EQ(h.csum_start, L4);
	TEST_EQ(h.csum_offset, 16);
	/* the length is in the pseudo-header's sum: addresses are zeroes */
	TEST_EQ(rte_be_to_cpu_16(word_at(m, L4 + 16)), 6 + 20 + PAYLOAD);
	/* and once only, however often it is described */
	offload_tx_header(&h, m);
	TEST_EQ(rte_be_to_cpu_16(word_at(m, L4 + 16)), 6 + 20 + PAYLOAD);
	m->ol_flags = UFO(IPV6);
	m->l3_len = 40;
	offload_tx_header(&h, m);
	TEST_EQ(h.gso_type, VIRTIO_NET_HDR_GSO_UDP);
	TEST_EQ(h.hdr_len, ETH + 40 + 8);
	m->ol_flags = UDP(IPV4) | uso_flag();
	m->l3_len = 20;
	offload_tx_header(&h, m);
	TEST_EQ(h.gso_type, VIRTIO_NET_HDR_GSO_UDP_L4);
	TEST_EQ(h.csum_offset, 6);
	rte_pktmbuf_free(m);
	return TEST_OK;
}

static enum test_result
rx_datagrams_have_a_flag_of_their_own(void)
{
	const struct virtio_net_hdr uso = { TSO(VIRTIO_NET_HDR_GSO_UDP_L4, 50) };
	const struct virtio_net_hdr ufo = { TSO(VIRTIO_NET_HDR_GSO_UDP, 48) };
	struct rte_mbuf *m = frame(17), *tcp = frame(6);

	TEST_ASSERT(uso_flag() != 0);
	offload_rx(m, &uso, false, false);
	TEST_EQ(m->ol_flags,
		RTE_MBUF_F_RX_LRO | RTE_MBUF_F_RX_L4_CKSUM_NONE | uso_flag());
	TEST_EQ(m->tso_segsz, 50);
	m->ol_flags = 0;
	offload_rx(m, &ufo, false, false);
	TEST_EQ(m->ol_flags, RTE_MBUF_F_RX_LRO | RTE_MBUF_F_RX_L4_CKSUM_NONE);
	TEST_EQ(m->tso_segsz, 48);
	offload_rx(tcp, &uso, false, false);
	TEST_EQ(tcp->ol_flags, RTE_MBUF_F_RX_L4_CKSUM_NONE);
	rte_pktmbuf_free(m);
	rte_pktmbuf_free(tcp);
	return TEST_OK;
}

/* What cannot be completed keeps its flags, and its bytes. */
static enum test_result
tx_what_has_no_ip_sum_refused(void)
{
	struct rte_mbuf *m = frame(132);

	m->l2_len = ETH;
	m->l3_len = 20;
	m->ol_flags = RTE_MBUF_F_TX_SCTP_CKSUM;
	TEST_EQ(offload_tx_software(m), -ENOTSUP);
	TEST_EQ(m->ol_flags, RTE_MBUF_F_TX_SCTP_CKSUM);
	TEST_EQ(word_at(m, L4 + 8), 0);
	m->ol_flags = RTE_MBUF_F_TX_TCP_SEG;
	TEST_EQ(offload_tx_software(m), -ENOTSUP);
	m->ol_flags = RTE_MBUF_F_TX_TCP_CKSUM;
	m->l3_len = 500;
	TEST_EQ(offload_tx_software(m), -EINVAL);
	rte_pktmbuf_free(m);
	return TEST_OK;
}

/* The packet says its header is longer than the mbuf says, and than it is. */
static enum test_result
tx_ip_sum_within_the_mbufs_length(void)
{
	struct rte_mbuf *m = frame(6);
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, ETH);

	rte_pktmbuf_trim(m, (uint16_t)(m->pkt_len - L4));
	ip->version_ihl = 0x4f;
	m->l2_len = ETH;
	m->l3_len = 20;
	m->ol_flags = RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_IPV4;
	TEST_EQ(offload_tx_software(m), 0);
	TEST_EQ(rte_raw_cksum(ip, 20), UINT16_MAX);
	rte_pktmbuf_free(m);
	return TEST_OK;
}

/* The same frame whole and in segments of odd lengths has the same sum. */
static enum test_result
tx_odd_segments_summed_right(void)
{
	struct rte_mbuf *whole = frame(6), *m = frame(6), *last = m;
	uint16_t at = 55, sum;

	for (uint32_t len = m->pkt_len - at; len != 0;) {
		uint16_t n = (uint16_t)RTE_MIN(len, 7u);

		last->next = mbuf_new(rte_pktmbuf_mtod_offset(whole, uint8_t *, at), n);
		last = last->next;
		m->nb_segs++;
		at = (uint16_t)(at + n);
		len -= n;
	}
	m->data_len = 55;
	m->l2_len = whole->l2_len = ETH;
	m->l3_len = whole->l3_len = 20;
	m->ol_flags = whole->ol_flags = RTE_MBUF_F_TX_TCP_CKSUM;
	TEST_EQ(offload_tx_software(whole), 0);
	TEST_EQ(offload_tx_software(m), 0);
	TEST_EQ(rte_raw_cksum_mbuf(whole, L4, whole->pkt_len - L4, &sum), 0);
	TEST_EQ(sum, UINT16_MAX);
	TEST_EQ(word_at(m, L4 + 16), word_at(whole, L4 + 16));
	rte_pktmbuf_free(whole);
	rte_pktmbuf_free(m);
	TEST_EQ(rte_mempool_in_use_count(pool), 0);
	return TEST_OK;
}

static const struct test_case offload_cases[] = {
	{ "rx_claims_checked_against_the_frame", rx_claims_checked_against_the_frame },
	{ "rx_false_segment_is_completed", rx_false_segment_is_completed },
	{ "rx_unaligned_field_is_completed", rx_unaligned_field_is_completed },
	{ "rx_lengths_of_what_is_not_ip", rx_lengths_of_what_is_not_ip },
	{ "rx_headers_longer_than_an_mbuf_tells", rx_headers_longer_than_an_mbuf_tells },
	{ "rx_datagrams_have_a_flag_of_their_own",
	  rx_datagrams_have_a_flag_of_their_own },
	{ "tx_way_as_negotiated", tx_way_as_negotiated },
	{ "tx_segmented_frame_described", tx_segmented_frame_described },
	{ "tx_what_has_no_ip_sum_refused", tx_what_has_no_ip_sum_refused },
	{ "tx_ip_sum_within_the_mbufs_length", tx_ip_sum_within_the_mbufs_length },
	{ "tx_odd_segments_summed_right", tx_odd_segments_summed_right },
};
AUTOTEST_EAL(offload_autotest, offload_cases);
