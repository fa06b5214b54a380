/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "gen_packet.h"
#include "test.h"

#define MAX_SEGS 8

static const struct rte_ether_addr alice = { { 0x02, 0, 0, 0, 0, 0xa1 } };
static const struct rte_ether_addr bob = { { 0x02, 0, 0, 0, 0, 0xb0 } };

/* A packet in memory of our own, cut into segments as wanted. */
struct packet {
	uint8_t bytes[GEN_MAX_LEN + 64];
	struct rte_mbuf segs[MAX_SEGS];
};

static struct rte_mbuf *
cut(struct packet *p, uint32_t len, const uint32_t *lens, unsigned int nr)
{
	uint32_t off = 0;

	memset(p->segs, 0, sizeof(p->segs));
	for (unsigned int i = 0; i < nr; i++) {
		struct rte_mbuf *m = &p->segs[i];

		m->buf_addr = p->bytes + off;
		m->data_len = (uint16_t)(i == nr - 1 ? len - off : lens[i]);
		m->next = i == nr - 1 ? NULL : m + 1;
		off += m->data_len;
	}
	p->segs[0].pkt_len = len;
	p->segs[0].nb_segs = (uint16_t)nr;
	return &p->segs[0];
}

static struct rte_mbuf *
whole(struct packet *p, uint32_t len)
{
	return cut(p, len, NULL, 1);
}

static void
write_packet(struct packet *p, uint32_t len, uint64_t seq)
{
	struct gen_head head;

	gen_packet_init();
	gen_head_init(&head, 77, 0x1234, &alice);
	head.eth.dst_addr = bob;
	gen_packet_write(whole(p, len), &head, seq, 0x4321, 0xdeadbeef);
}

static enum test_result
packet_of_any_length_intact(void)
{
	static struct packet p;
	struct gen_info info;

	for (uint32_t len = GEN_MIN_LEN; len <= GEN_MAX_LEN; len++) {
		uint64_t seq = (uint64_t)len << 40 | len;

		write_packet(&p, len, seq);
		TEST_EQ(gen_packet_check(whole(&p, len), &bob, &info), GEN_INTACT);
		TEST_EQ(info.seq, seq);
		TEST_EQ(info.stream, 77);
		TEST_EQ(info.run, 0x1234);
		TEST_EQ(info.ack_run, 0x4321);
		TEST_EQ(info.ack, 0xdeadbeef);
		TEST_ASSERT(rte_is_same_ether_addr(&info.from, &alice));
	}
	return TEST_OK;
}

/* The headers are what the rest of the world takes for right. */
static enum test_result
packet_sums_as_dpdk_has_them(void)
{
	static const uint32_t lens[] = { 60, 61, 64, 590, 1513, 1514, 9000 };
	static struct packet p;
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(p.bytes + 14);
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(p.bytes + 34);
	uint16_t sum;

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		write_packet(&p, lens[i], i);
		TEST_EQ(rte_be_to_cpu_16(ip->total_length), lens[i] - 14);
		TEST_EQ(rte_be_to_cpu_16(udp->dgram_len), lens[i] - 34);
		sum = ip->hdr_checksum;
		ip->hdr_checksum = 0;
		TEST_EQ(rte_ipv4_cksum(ip), sum);
		sum = udp->dgram_cksum;
		udp->dgram_cksum = 0;
		TEST_EQ(rte_ipv4_udptcp_cksum(ip, udp), sum);
	}
	return TEST_OK;
}

static enum test_result
packet_in_segments_intact(void)
{
	static struct packet p, q;
	uint64_t rnd = test_seed();
	struct gen_head head;
	struct gen_info info;

	gen_packet_init();
	for (unsigned int i = 0; i < 2000; i++) {
		uint32_t lens[MAX_SEGS], len = 1600 + (uint32_t)(test_rand(&rnd) % 7000);
		unsigned int nr = 1 + (unsigned int)(test_rand(&rnd) % MAX_SEGS);

		/* written in segments the first of which has all the headers */
		for (unsigned int j = 0; j < MAX_SEGS; j++)
			lens[j] = 60 + (uint32_t)(test_rand(&rnd) % 140);
		gen_head_init(&head, 3, 9, &alice);
		gen_packet_write(cut(&p, len, lens, nr), &head, i, 0, 0);
		/* checked in others, empty ones and odd addresses among them */
		memcpy(q.bytes, p.bytes, len);
		for (unsigned int j = 0; j < MAX_SEGS; j++)
			lens[j] = (uint32_t)(test_rand(&rnd) % 50);
		TEST_EQ(gen_packet_check(cut(&q, len, lens, nr), &bob, &info),
			GEN_INTACT);
		TEST_EQ(info.seq, i);
		/* and a byte further back is seen whichever segment it is in */
		q.bytes[60 + test_rand(&rnd) % (len - 60)] ^= 1;
		TEST_EQ(gen_packet_check(cut(&q, len, lens, nr), &bob, &info),
			GEN_CORRUPT);
	}
	return TEST_OK;
}

static enum test_result
packet_with_a_bit_flipped_never_intact(void)
{
	static const uint32_t lens[] = { 60, 61, 1514 };
	static struct packet p;
	struct gen_info info;

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		write_packet(&p, lens[i], 5);
		for (uint32_t bit = 0; bit < 8 * lens[i]; bit++) {
			enum gen_verdict v;

			p.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
			v = gen_packet_check(whole(&p, lens[i]), &bob, &info);
			if (v == GEN_INTACT)
				printf("    bit %u of byte %u of %u\n", bit % 8, bit / 8,
				       lens[i]);
			TEST_ASSERT(v != GEN_INTACT);
			/* what is wrong behind the headers is ours, and corrupt */
			TEST_ASSERT(bit / 8 < 44 || v == GEN_CORRUPT);
			p.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
	}
	return TEST_OK;
}

/* Damage that a checksum does not see. */
static enum test_result
packet_with_words_moved_corrupt(void)
{
	static struct packet p, q;
	uint64_t rnd = test_seed();
	struct gen_info info;

	write_packet(&p, 1514, 8);
	for (unsigned int i = 0; i < 10000; i++) {
		uint32_t a = 60 + 2 * (uint32_t)(test_rand(&rnd) % 727);
		uint32_t b = 60 + 2 * (uint32_t)(test_rand(&rnd) % 727);

		if (memcmp(p.bytes + a, p.bytes + b, 2) == 0)
			continue;
		memcpy(q.bytes, p.bytes, 1514);
		memcpy(q.bytes + a, p.bytes + b, 2);
		memcpy(q.bytes + b, p.bytes + a, 2);
		TEST_EQ(gen_packet_check(whole(&q, 1514), &bob, &info), GEN_CORRUPT);
	}
	return TEST_OK;
}

/* An old packet's payload under a new one's headers: a copy that did not happen. */
static enum test_result
packet_with_stale_payload_corrupt(void)
{
	static struct packet p, q;
	unsigned int same = 0;
	struct gen_info info;

	write_packet(&p, 1514, 0);
	for (uint64_t seq = 1; seq <= 1000; seq++) {
		write_packet(&q, 1514, seq);
		memcpy(q.bytes + 60, p.bytes + 60, 1514 - 60);
		same += gen_packet_check(whole(&q, 1514), &bob, &info) == GEN_INTACT;
	}
	/* two sequence numbers in 8192 share their payload */
	TEST_ASSERT(same <= 3);
	return TEST_OK;
}

static enum test_result
packet_of_wrong_length_refused(void)
{
	static struct packet p;
	struct gen_info info;

	write_packet(&p, 1000, 8);
	TEST_EQ(gen_packet_check(whole(&p, 999), &bob, &info), GEN_CORRUPT);
	TEST_EQ(gen_packet_check(whole(&p, 1001), &bob, &info), GEN_CORRUPT);
	TEST_EQ(gen_packet_check(whole(&p, 60), &bob, &info), GEN_CORRUPT);
	for (uint32_t len = 0; len < 60; len++)
		TEST_EQ(gen_packet_check(whole(&p, len), &bob, &info), GEN_FOREIGN);
	/* the length field agrees, but nothing that long was made */
	TEST_EQ(gen_packet_check(whole(&p, GEN_MAX_LEN + 1), &bob, &info), GEN_CORRUPT);
	return TEST_OK;
}

static enum test_result
packet_for_others_foreign(void)
{
	static struct packet p;
	struct gen_info info;

	write_packet(&p, 100, 8);
	TEST_EQ(gen_packet_check(whole(&p, 100), &alice, &info), GEN_FOREIGN);
	memset(p.bytes, 0xff, 6);
	TEST_EQ(gen_packet_check(whole(&p, 100), &alice, &info), GEN_INTACT);
	memset(p.bytes, 0, 100);
	TEST_EQ(gen_packet_check(whole(&p, 100), &alice, &info), GEN_FOREIGN);
	return TEST_OK;
}

static const struct test_case gen_packet_cases[] = {
	{ "packet_of_any_length_intact", packet_of_any_length_intact },
	{ "packet_sums_as_dpdk_has_them", packet_sums_as_dpdk_has_them },
	{ "packet_in_segments_intact", packet_in_segments_intact },
	{ "packet_with_a_bit_flipped_never_intact",
	  packet_with_a_bit_flipped_never_intact },
	{ "packet_with_words_moved_corrupt", packet_with_words_moved_corrupt },
	{ "packet_with_stale_payload_corrupt", packet_with_stale_payload_corrupt },
	{ "packet_of_wrong_length_refused", packet_of_wrong_length_refused },
	{ "packet_for_others_foreign", packet_for_others_foreign },
};
AUTOTEST(gen_packet_autotest, gen_packet_cases);
