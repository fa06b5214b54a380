/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PORT_HASH_H
#define WEIR_PORT_HASH_H
/*
 * A frame's hash as virtio-net defines it (VIRTIO 1.3, 5.1.6.4.3), by which a
 * guest has its frames spread over queues (RSS) and by which it tells flows
 * apart (hash reports): Toeplitz over addresses and ports, with the guest's key.
 *
 * A network card's hash (rte_mbuf.hash.rss) is of no use for it: its key is
 * another, and frames of the same flow may come from a card and from a guest.
 *
 * No threads; a struct hash does not change once it is made.
 */
#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_net.h>
#include <rte_mbuf.h>

/* Limits that a driver is told of: those that the specification asks for at
 * least. */
#define HASH_KEY_MAX 40u
#define HASH_TABLE_MAX 128u

/* Two IPv6 addresses and two ports. */
#define HASH_INPUT_MAX 36u

/* What is told apart. Not by home addresses (the _EX types): what lies behind
 * extension headers counts as if there were none. */
#define HASH_TYPES                                                                   \
	((uint32_t)(VIRTIO_NET_RSS_HASH_TYPE_IPv4 | VIRTIO_NET_RSS_HASH_TYPE_TCPv4 | \
		    VIRTIO_NET_RSS_HASH_TYPE_UDPv4 | VIRTIO_NET_RSS_HASH_TYPE_IPv6 | \
		    VIRTIO_NET_RSS_HASH_TYPE_TCPv6 | VIRTIO_NET_RSS_HASH_TYPE_UDPv6))

/* Those that do not look behind the IP header. */
#define HASH_TYPES_IP \
	((uint32_t)(VIRTIO_NET_RSS_HASH_TYPE_IPv4 | VIRTIO_NET_RSS_HASH_TYPE_IPv6))

/* What a driver has asked for. */
struct hash_conf {
	uint32_t types;			/* of HASH_TYPES; 0: no frame has a hash */
	uint16_t table_len;		/* a power of 2; 0: no RSS */
	uint16_t unclassified;		/* pair of frames without a hash */
	uint16_t table[HASH_TABLE_MAX]; /* pair by the hash's low bits */
	uint8_t key[HASH_KEY_MAX];	/* a shorter one is filled up with zeroes */
};

struct hash {
	struct hash_conf conf;
	/* what a half byte of the input comes to, by its place and value */
	uint32_t part[2 * HASH_INPUT_MAX][16];
};

void hash_init(struct hash *h, const struct hash_conf *conf);

/* Of bytes as they stand in a frame, up to HASH_INPUT_MAX. */
uint32_t hash_bytes(const struct hash *h, const uint8_t *input, unsigned int len);

/*
 * Of a frame, which is parsed and may be anybody's, by @p types of the driver's.
 *
 * report: VIRTIO_NET_HASH_REPORT_*, _NONE for a frame that has no hash, which is 0.
 */
uint32_t hash_frame(const struct hash *h, const struct rte_mbuf *m, uint32_t types,
		    uint16_t *report);

/* The pair that the driver wants a frame on. There is a table. */
uint16_t hash_pair(const struct hash *h, const struct rte_mbuf *m);

#endif /* WEIR_PORT_HASH_H */
