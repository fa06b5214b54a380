/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GEN_PACKET_H
#define GEN_PACKET_H
/*
 * The generator's packets: made so that a checker who knows nothing but the
 * packet can tell whether every byte of it is right.
 *
 *      0  Ethernet   14 bytes
 *     14  IPv4       20, with checksum; 198.18.0.1 to 198.18.0.2 (RFC 2544);
 *                    the id is a sum of the Ethernet source, which nothing else
 *                    covers (the destination is the checker's or broadcast)
 *     34  UDP         8, with checksum; the source port names the stream
 *     42  our own    18, struct gen_tag
 *     60  pattern    to the end
 *
 * The pattern is a window of one fixed pseudo-random table; where the window
 * begins follows from run, stream and sequence number. So making a packet is a
 * copy and checking it a comparison, and the pattern's share of the UDP
 * checksum is the difference of two prefix sums. Lengths are those of a frame
 * without FCS.
 *
 * Pure functions over mbufs; any thread, after gen_packet_init().
 */
#include <assert.h>
#include <stdint.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_udp.h>

#define GEN_MIN_LEN 60
#define GEN_MAX_LEN 9000
#define GEN_MAX_STREAMS 256
#define GEN_UDP_STREAM0 0x4000 /* source port of stream 0 */
#define GEN_UDP_PORT 9	       /* destination port: discard */
#define GEN_MAGIC 0x5747

/* Little-endian, except where it is a network header. */
struct gen_tag {
	uint16_t magic;
	uint16_t run;	  /* the sender's, drawn when it started */
	uint16_t ack_run; /* the run whose packets it has seen */
	uint64_t seq;
	uint32_t ack; /* low bits of the next one it expects of ack_run */
} __attribute__((packed));

struct gen_head {
	struct rte_ether_hdr eth;
	struct rte_ipv4_hdr ip;
	struct rte_udp_hdr udp;
	struct gen_tag tag;
} __attribute__((packed, aligned(2)));
static_assert(sizeof(struct gen_head) == GEN_MIN_LEN, "the shortest packet is all head");

/* What a packet says, in the machine's byte order. */
struct gen_info {
	uint16_t stream; /* below GEN_MAX_STREAMS */
	uint16_t run;
	uint64_t seq;
	uint16_t ack_run;
	uint32_t ack;
	struct rte_ether_addr from;
};

enum gen_verdict {
	GEN_INTACT,
	GEN_FOREIGN, /* not one of ours, or not for us */
	GEN_CORRUPT, /* ours, but something in it is wrong */
};

/* Compute the table. Before anything else; again does no harm. */
void gen_packet_init(void);

/* What all packets of a stream have in common. */
void gen_head_init(struct gen_head *head, uint16_t stream, uint16_t run,
		   const struct rte_ether_addr *from);

/*
 * Write a packet of m->pkt_len bytes, GEN_MIN_LEN to GEN_MAX_LEN, into the
 * segments of m, the first of which holds the head. @head gets this packet's
 * lengths, sums, sequence number and acknowledgement.
 */
void gen_packet_write(struct rte_mbuf *m, struct gen_head *head, uint64_t seq,
		      uint16_t ack_run, uint32_t ack);

/*
 * Check every byte of a packet for @me; @info is set where it is intact. The
 * packet may be anything, in segments of any length.
 */
enum gen_verdict gen_packet_check(const struct rte_mbuf *m,
				  const struct rte_ether_addr *me, struct gen_info *info);

#endif /* GEN_PACKET_H */
