/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdbool.h>
#include <string.h>

#include <rte_byteorder.h>

#include "gen_packet.h"

#define NR_WINDOWS 8192 /* where a pattern may begin: every even byte of 16 KiB */
#define TABLE_LEN (2 * NR_WINDOWS + GEN_MAX_LEN)

static struct {
	uint8_t bytes[TABLE_LEN];
	uint32_t sums[TABLE_LEN / 2 + 1]; /* of the 16-bit words before */
} table;

/* splitmix64: every bit of the result depends on every bit of @x. */
static uint64_t
mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

void
gen_packet_init(void)
{
	uint16_t word;

	for (size_t i = 0; i < TABLE_LEN; i++)
		table.bytes[i] = (uint8_t)mix(i);
	for (size_t i = 0; i < TABLE_LEN / 2; i++) {
		memcpy(&word, &table.bytes[2 * i], sizeof(word));
		table.sums[i + 1] = table.sums[i] + word;
	}
}

/* The pattern of a packet; it goes on for GEN_MAX_LEN bytes. */
static const uint8_t *
pattern(uint16_t run, uint16_t stream, uint64_t seq)
{
	uint64_t key = mix(seq ^ (uint64_t)run << 48 ^ (uint64_t)stream << 32);

	return &table.bytes[2 * (key % NR_WINDOWS)];
}

/* Sum of the 16-bit words of the pattern's first @len bytes. */
static uint32_t
pattern_sum(const uint8_t *p, uint32_t len)
{
	size_t first = (size_t)(p - table.bytes) / 2;
	uint32_t sum = table.sums[first + len / 2] - table.sums[first];

	if (len % 2 != 0) {
		/* the last byte is the first of a word whose other is 0 */
		uint8_t last[2] = { p[len - 1], 0 };
		uint16_t word;

		memcpy(&word, last, sizeof(word));
		sum += word;
	}
	return sum;
}

/* Sum of the 16-bit words of a structure of even length. */
static uint32_t
words_sum(const void *p, size_t len)
{
	const uint8_t *bytes = p;
	uint32_t sum = 0;
	uint16_t word;

	for (size_t i = 0; i < len; i += sizeof(word)) {
		memcpy(&word, bytes + i, sizeof(word));
		sum += word;
	}
	return sum;
}

static uint16_t
fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)(sum + (sum >> 16));
}

static uint32_t
udp_sum(const struct gen_head *h, const uint8_t *p, uint32_t pattern_len)
{
	/* the pseudo header: addresses, protocol, length */
	uint32_t sum =
		words_sum(&h->ip.src_addr, 8) + RTE_BE16(IPPROTO_UDP) + h->udp.dgram_len;

	sum += words_sum(&h->udp, sizeof(h->udp) + sizeof(h->tag));
	/* the pattern's sum alone takes up to 29 bits */
	return sum + pattern_sum(p, pattern_len);
}

void
gen_head_init(struct gen_head *head, uint16_t stream, uint16_t run,
	      const struct rte_ether_addr *from)
{
	memset(head, 0, sizeof(*head));
	memset(&head->eth.dst_addr, 0xff, sizeof(head->eth.dst_addr));
	head->eth.src_addr = *from;
	head->eth.ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	head->ip.version_ihl = RTE_IPV4_VHL_DEF;
	head->ip.packet_id = fold(words_sum(from, sizeof(*from)));
	head->ip.fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG);
	head->ip.time_to_live = 64;
	head->ip.next_proto_id = IPPROTO_UDP;
	/* 198.18.0.1 and .2; DPDK's macro for addresses shifts into the sign */
	head->ip.src_addr = RTE_BE32(UINT32_C(0xc6120001));
	head->ip.dst_addr = RTE_BE32(UINT32_C(0xc6120002));
	head->udp.src_port = rte_cpu_to_be_16((uint16_t)(GEN_UDP_STREAM0 + stream));
	head->udp.dst_port = RTE_BE16(GEN_UDP_PORT);
	head->tag.magic = RTE_LE16(GEN_MAGIC);
	head->tag.run = rte_cpu_to_le_16(run);
}

static void
write_pattern(struct rte_mbuf *m, const uint8_t *p)
{
	uint32_t skip = sizeof(struct gen_head), len;

	for (; m != NULL; m = m->next, skip = 0) {
		len = m->data_len - skip;
		memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, skip), p, len);
		p += len;
	}
}

void
gen_packet_write(struct rte_mbuf *m, struct gen_head *head, uint64_t seq,
		 uint16_t ack_run, uint32_t ack)
{
	uint16_t stream =
		(uint16_t)(rte_be_to_cpu_16(head->udp.src_port) - GEN_UDP_STREAM0);
	const uint8_t *p = pattern(rte_le_to_cpu_16(head->tag.run), stream, seq);
	uint16_t ip_len = (uint16_t)(m->pkt_len - sizeof(head->eth)), sum;

	head->ip.total_length = rte_cpu_to_be_16(ip_len);
	head->ip.hdr_checksum = 0;
	head->ip.hdr_checksum = (uint16_t)~fold(words_sum(&head->ip, sizeof(head->ip)));
	head->udp.dgram_len = rte_cpu_to_be_16((uint16_t)(ip_len - sizeof(head->ip)));
	head->udp.dgram_cksum = 0;
	head->tag.seq = rte_cpu_to_le_64(seq);
	head->tag.ack_run = rte_cpu_to_le_16(ack_run);
	head->tag.ack = rte_cpu_to_le_32(ack);
	sum = (uint16_t)~fold(udp_sum(head, p, m->pkt_len - sizeof(*head)));
	head->udp.dgram_cksum = sum != 0 ? sum : 0xffff;
	memcpy(rte_pktmbuf_mtod(m, void *), head, sizeof(*head));
	if (m->pkt_len > sizeof(*head))
		write_pattern(m, p);
}

static bool
same_pattern(const struct rte_mbuf *m, const uint8_t *p)
{
	uint32_t skip = sizeof(struct gen_head), len;

	for (; m != NULL; m = m->next) {
		if (skip >= m->data_len) {
			skip -= m->data_len;
			continue;
		}
		len = m->data_len - skip;
		if (memcmp(rte_pktmbuf_mtod_offset(m, const uint8_t *, skip), p, len) !=
		    0)
			return false;
		p += len;
		skip = 0;
	}
	return true;
}

static bool
ours(const struct gen_head *h, const struct rte_ether_addr *me)
{
	return h->eth.ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV4) &&
	       h->ip.next_proto_id == IPPROTO_UDP &&
	       h->udp.dst_port == RTE_BE16(GEN_UDP_PORT) &&
	       h->tag.magic == RTE_LE16(GEN_MAGIC) &&
	       (rte_is_same_ether_addr(&h->eth.dst_addr, me) ||
		rte_is_broadcast_ether_addr(&h->eth.dst_addr));
}

/* Constant fields, lengths and the IP header's sum. */
static bool
head_intact(const struct gen_head *h, uint32_t pkt_len)
{
	uint16_t ip_len = (uint16_t)(pkt_len - sizeof(h->eth));

	return pkt_len <= GEN_MAX_LEN && rte_is_unicast_ether_addr(&h->eth.src_addr) &&
	       h->ip.version_ihl == RTE_IPV4_VHL_DEF && h->ip.type_of_service == 0 &&
	       h->ip.packet_id ==
		       fold(words_sum(&h->eth.src_addr, sizeof(h->eth.src_addr))) &&
	       h->ip.time_to_live == 64 &&
	       h->ip.fragment_offset == RTE_BE16(RTE_IPV4_HDR_DF_FLAG) &&
	       rte_be_to_cpu_16(h->ip.total_length) == ip_len &&
	       rte_be_to_cpu_16(h->udp.dgram_len) == ip_len - sizeof(h->ip) &&
	       fold(words_sum(&h->ip, sizeof(h->ip))) == 0xffff;
}

enum gen_verdict
gen_packet_check(const struct rte_mbuf *m, const struct rte_ether_addr *me,
		 struct gen_info *info)
{
	struct gen_head copy, *h = &copy;
	const void *head = rte_pktmbuf_read(m, 0, sizeof(copy), &copy);
	const uint8_t *p;

	if (head == NULL)
		return GEN_FOREIGN;
	if (head != &copy)
		memcpy(&copy, head, sizeof(copy)); /* it may lie at an odd address */
	if (!ours(h, me))
		return GEN_FOREIGN;
	if (!head_intact(h, m->pkt_len))
		return GEN_CORRUPT;
	info->stream = (uint16_t)(rte_be_to_cpu_16(h->udp.src_port) - GEN_UDP_STREAM0);
	info->run = rte_le_to_cpu_16(h->tag.run);
	info->seq = rte_le_to_cpu_64(h->tag.seq);
	info->ack_run = rte_le_to_cpu_16(h->tag.ack_run);
	info->ack = rte_le_to_cpu_32(h->tag.ack);
	info->from = h->eth.src_addr;
	if (info->stream >= GEN_MAX_STREAMS)
		return GEN_CORRUPT;
	p = pattern(info->run, info->stream, info->seq);
	if (fold(udp_sum(h, p, m->pkt_len - sizeof(*h))) != 0xffff || !same_pattern(m, p))
		return GEN_CORRUPT;
	return GEN_INTACT;
}
