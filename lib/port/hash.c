/* SPDX-License-Identifier: BSD-3-Clause */
#include <stddef.h>
#include <string.h>

#include <rte_ip.h>
#include <rte_net.h>

#include "hash.h"

#define PTYPE_LAYERS (RTE_PTYPE_L2_MASK | RTE_PTYPE_L3_MASK | RTE_PTYPE_L4_MASK)

#define PORTS_LEN 4u /* source and destination, where TCP's and UDP's headers begin */

/* The 32 bits of the key that begin at a bit. Behind its end are zeroes. */
static uint32_t
key_window(const uint8_t *key, unsigned int bit)
{
	uint64_t w = 0;

	for (unsigned int i = 0; i < 5; i++) {
		unsigned int at = bit / 8 + i;

		w = w << 8 | (at < HASH_KEY_MAX ? key[at] : 0);
	}
	return (uint32_t)(w >> (8 - bit % 8));
}

void
hash_init(struct hash *h, const struct hash_conf *conf)
{
	h->conf = *conf;
	for (unsigned int at = 0; at < RTE_DIM(h->part); at++) {
		h->part[at][0] = 0;
		/* the highest bit of each value, and what the others come to */
		for (unsigned int v = 1; v < 16; v++) {
			unsigned int top = 31u - (unsigned int)__builtin_clz(v);

			h->part[at][v] = h->part[at][v & ~(1u << top)] ^
					 key_window(conf->key, 4 * at + 3 - top);
		}
	}
}

uint32_t
hash_bytes(const struct hash *h, const uint8_t *input, unsigned int len)
{
	uint32_t sum = 0;

	for (unsigned int i = 0; i < len; i++)
		sum ^= h->part[2 * i][input[i] >> 4] ^ h->part[2 * i + 1][input[i] & 15];
	return sum;
}

/* What a frame is hashed by. */
struct input {
	uint8_t bytes[HASH_INPUT_MAX];
	unsigned int len;
};

/* Add bytes of the frame. False: it has not so many. */
static bool
input_add(struct input *in, const struct rte_mbuf *m, uint32_t off, uint32_t len)
{
	const void *p = rte_pktmbuf_read(m, off, len, in->bytes + in->len);

	if (p == NULL)
		return false;
	if (p != in->bytes + in->len)
		memcpy(in->bytes + in->len, p, len);
	in->len += len;
	return true;
}

/* The report of a frame with ports, the one without, and the types they belong to. */
struct kind {
	uint32_t ip, tcp, udp;
	uint16_t report_ip, report_tcp, report_udp;
};

static const struct kind kind_v4 = {
	.ip = VIRTIO_NET_RSS_HASH_TYPE_IPv4,
	.tcp = VIRTIO_NET_RSS_HASH_TYPE_TCPv4,
	.udp = VIRTIO_NET_RSS_HASH_TYPE_UDPv4,
	.report_ip = VIRTIO_NET_HASH_REPORT_IPv4,
	.report_tcp = VIRTIO_NET_HASH_REPORT_TCPv4,
	.report_udp = VIRTIO_NET_HASH_REPORT_UDPv4,
};

static const struct kind kind_v6 = {
	.ip = VIRTIO_NET_RSS_HASH_TYPE_IPv6,
	.tcp = VIRTIO_NET_RSS_HASH_TYPE_TCPv6,
	.udp = VIRTIO_NET_RSS_HASH_TYPE_UDPv6,
	.report_ip = VIRTIO_NET_HASH_REPORT_IPv6,
	.report_tcp = VIRTIO_NET_HASH_REPORT_TCPv6,
	.report_udp = VIRTIO_NET_HASH_REPORT_UDPv6,
};

/* How a frame of that transport is hashed; NONE: it is not. */
static uint16_t
kind_report(const struct kind *k, uint32_t l4, uint32_t types)
{
	if (l4 == RTE_PTYPE_L4_TCP && (types & k->tcp) != 0)
		return k->report_tcp;
	if (l4 == RTE_PTYPE_L4_UDP && (types & k->udp) != 0)
		return k->report_udp;
	return (types & k->ip) != 0 ? k->report_ip : VIRTIO_NET_HASH_REPORT_NONE;
}

uint32_t
hash_frame(const struct hash *h, const struct rte_mbuf *m, uint32_t types,
	   uint16_t *report)
{
	struct rte_net_hdr_lens lens = { 0 };
	uint32_t ptype, addrs, addrs_len;
	struct input in = { .len = 0 };
	const struct kind *k;

	*report = VIRTIO_NET_HASH_REPORT_NONE;
	types &= h->conf.types;
	if (types == 0)
		return 0;
	ptype = rte_net_get_ptype(m, &lens, PTYPE_LAYERS);
	if (RTE_ETH_IS_IPV4_HDR(ptype)) {
		k = &kind_v4;
		addrs = offsetof(struct rte_ipv4_hdr, src_addr);
		addrs_len = 2 * sizeof(uint32_t);
	} else if (RTE_ETH_IS_IPV6_HDR(ptype)) {
		k = &kind_v6;
		addrs = offsetof(struct rte_ipv6_hdr, src_addr);
		addrs_len = 2 * 16;
	} else {
		return 0;
	}
	/* all fragments of a datagram alike: they are none of TCP's or UDP's there */
	*report = kind_report(k, ptype & RTE_PTYPE_L4_MASK, types);
	if (*report == VIRTIO_NET_HASH_REPORT_NONE)
		return 0;
	if (!input_add(&in, m, lens.l2_len + addrs, addrs_len) ||
	    (*report != k->report_ip &&
	     !input_add(&in, m, (uint32_t)lens.l2_len + lens.l3_len, PORTS_LEN))) {
		*report = VIRTIO_NET_HASH_REPORT_NONE;
		return 0;
	}
	return hash_bytes(h, in.bytes, in.len);
}

uint16_t
hash_pair(const struct hash *h, const struct rte_mbuf *m)
{
	uint16_t report;
	uint32_t hash = hash_frame(h, m, HASH_TYPES, &report);

	return report == VIRTIO_NET_HASH_REPORT_NONE
		       ? h->conf.unclassified
		       : h->conf.table[hash & (h->conf.table_len - 1u)];
}
