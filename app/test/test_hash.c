/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames' hashes: against published values, against DPDK's, and what of a frame
 * goes into them.
 */
#include <string.h>

#include <rte_byteorder.h>
#include <rte_thash.h>

#include "hash.h"
#include "test.h"

#define ALL HASH_TYPES
#define T(name) VIRTIO_NET_RSS_HASH_TYPE_##name
#define R(name) VIRTIO_NET_HASH_REPORT_##name

/* The key that everybody's examples are made with. */
static const uint8_t key[HASH_KEY_MAX] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
	0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
	0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
	0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

static struct rte_mempool *pool;

static void
made(struct hash *h, uint32_t types)
{
	struct hash_conf c = { .types = types, .table_len = 4, .unclassified = 9 };

	memcpy(c.key, key, sizeof(key));
	for (uint16_t i = 0; i < 4; i++)
		c.table[i] = (uint16_t)(10 + i);
	hash_init(h, &c);
}

/* A frame of a few words: what it is, and which hash it has with which types. */
struct frame {
	const char *what;
	uint16_t ether;
	uint8_t bytes[80]; /* from the network header on */
	uint8_t len;
	uint32_t types;
	uint16_t report;
	uint32_t hash;
};

/* 66.9.149.187:2794 to 161.142.100.80:1766 */
#define V4(frag, proto)                                                              \
	0x45, 0, 0, 40, 0, 0, (frag) >> 8, (frag)&0xff, 64, proto, 0, 0, 66, 9, 149, \
		187, 161, 142, 100, 80
#define PORTS 0x0a, 0xea, 0x06, 0xe6
/* 3ffe:2501:200:1fff::7 to 3ffe:2501:200:3::1 */
#define V6(next)                                                                        \
	0x60, 0, 0, 0, 0, 28, next, 64, 0x3f, 0xfe, 0x25, 0x01, 2, 0, 0x1f, 0xff, 0, 0, \
		0, 0, 0, 0, 0, 7, 0x3f, 0xfe, 0x25, 0x01, 2, 0, 0, 3, 0, 0, 0, 0, 0, 0, \
		0, 1

static const struct frame frames[] = {
	{ "TCP", 0x800, { V4(0, 6), PORTS }, 40, ALL, R(TCPv4), 0x51ccc178 },
	{ "UDP", 0x800, { V4(0, 17), PORTS }, 28, ALL, R(UDPv4), 0x51ccc178 },
	{ "ICMP", 0x800, { V4(0, 1), PORTS }, 28, ALL, R(IPv4), 0x323e8fc2 },
	{ "TCP by address",
	  0x800,
	  { V4(0, 6), PORTS },
	  40,
	  T(IPv4) | T(UDPv4),
	  R(IPv4),
	  0x323e8fc2 },
	{ "TCP, asked for UDP", 0x800, { V4(0, 6), PORTS }, 40, T(UDPv4), R(NONE), 0 },
	{ "TCP, asked for IPv6", 0x800, { V4(0, 6), PORTS }, 40, T(TCPv6), R(NONE), 0 },
	{ "first fragment",
	  0x800,
	  { V4(0x2000, 6), PORTS },
	  40,
	  ALL,
	  R(IPv4),
	  0x323e8fc2 },
	{ "last fragment", 0x800, { V4(1, 6), PORTS }, 40, ALL, R(IPv4), 0x323e8fc2 },
	{ "a fragment, asked for TCP", 0x800, { V4(1, 6) }, 40, T(TCPv4), R(NONE), 0 },
	{ "a VLAN",
	  0x8100,
	  { 0, 5, 0x08, 0, V4(0, 17), PORTS },
	  32,
	  ALL,
	  R(UDPv4),
	  0x51ccc178 },
	{ "IPv4, cut", 0x800, { V4(0, 6) }, 19, ALL, R(NONE), 0 },
	{ "TCP, cut", 0x800, { V4(0, 6), PORTS }, 22, ALL, R(IPv4), 0x323e8fc2 },
	{ "TCP over IPv6", 0x86dd, { V6(6), PORTS }, 60, ALL, R(TCPv6), 0x40207d3d },
	{ "UDP over IPv6", 0x86dd, { V6(17), PORTS }, 48, ALL, R(UDPv6), 0x40207d3d },
	{ "IPv6", 0x86dd, { V6(59) }, 40, ALL, R(IPv6), 0x2cc18cd5 },
	{ "IPv6 by address", 0x86dd, { V6(6), PORTS }, 60, T(IPv6), R(IPv6), 0x2cc18cd5 },
	{ "behind an extension",
	  0x86dd,
	  { V6(60), 6, 0, 1, 4, 0, 0, 0, 0, PORTS },
	  68,
	  ALL,
	  R(TCPv6),
	  0x40207d3d },
	{ "an IPv6 fragment",
	  0x86dd,
	  { V6(44), 6, 0, 0, 1, 0, 0, 0, 1, PORTS },
	  68,
	  ALL,
	  R(IPv6),
	  0x2cc18cd5 },
	{ "ARP", 0x806, { 0, 1, 8, 0 }, 28, ALL, R(NONE), 0 },
	{ "nothing", 0x800, { 0 }, 0, ALL, R(NONE), 0 },
};

static struct rte_mbuf *
frame_make(const struct frame *f, uint16_t first)
{
	uint8_t bytes[14 + sizeof(f->bytes)] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2 };
	const uint16_t len = (uint16_t)(14 + f->len);
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool), *rest;

	bytes[12] = (uint8_t)(f->ether >> 8);
	bytes[13] = (uint8_t)f->ether;
	memcpy(bytes + 14, f->bytes, f->len);
	if (first > len)
		first = len;
	memcpy(rte_pktmbuf_append(m, first), bytes, first);
	if (first != len) {
		rest = rte_pktmbuf_alloc(pool);
		memcpy(rte_pktmbuf_append(rest, (uint16_t)(len - first)), bytes + first,
		       len - first);
		rte_pktmbuf_chain(m, rest);
	}
	return m;
}

static enum test_result
frames_hashed_as_asked_for(void)
{
	struct hash h;

	if (pool == NULL)
		pool = rte_pktmbuf_pool_create("test_hash", 63, 0, 0,
					       RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	TEST_ASSERT(pool != NULL);
	for (size_t i = 0; i < RTE_DIM(frames); i++) {
		const struct frame *f = &frames[i];

		/* in one segment, and in two, cut anywhere */
		for (uint16_t first = 14; first < 100; first++) {
			struct rte_mbuf *m = frame_make(f, first);
			uint16_t report, pair;
			uint32_t hash;

			made(&h, f->types);
			hash = hash_frame(&h, m, ALL, &report);
			pair = hash_pair(&h, m);
			rte_pktmbuf_free(m);
			if (report != f->report || hash != f->hash)
				printf("    %s, %u: report %u, hash %#x\n", f->what,
				       first, report, hash);
			TEST_ASSERT(report == f->report && hash == f->hash);
			TEST_EQ(pair, report == R(NONE) ? 9 : 10 + hash % 4);
		}
	}
	return TEST_OK;
}

static enum test_result
bytes_as_rte_softrss(void)
{
	uint64_t rnd = test_seed();
	struct hash h;

	for (int round = 0; round < 20000; round++) {
		struct hash_conf c = { .types = ALL };
		uint8_t in[HASH_INPUT_MAX];
		uint32_t words[HASH_INPUT_MAX / 4];
		unsigned int len = 4 * (1 + (unsigned int)(test_rand(&rnd) % 9));

		for (size_t i = 0; i < sizeof(c.key); i++)
			c.key[i] = (uint8_t)test_rand(&rnd);
		for (size_t i = 0; i < sizeof(in); i++)
			in[i] = (uint8_t)test_rand(&rnd);
		memcpy(words, in, sizeof(in));
		for (size_t i = 0; i < RTE_DIM(words); i++)
			words[i] = rte_be_to_cpu_32(words[i]);
		hash_init(&h, &c);
		TEST_EQ(hash_bytes(&h, in, len), rte_softrss(words, len / 4, c.key));
	}
	return TEST_OK;
}

static const struct test_case cases[] = {
	{ "frames_hashed_as_asked_for", frames_hashed_as_asked_for },
	{ "bytes_as_rte_softrss", bytes_as_rte_softrss },
};

AUTOTEST_EAL(hash_autotest, cases);
