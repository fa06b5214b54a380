/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PORT_SEGMENT_H
#define WEIR_PORT_SEGMENT_H
/*
 * Cut a frame that its guest cannot cut by itself: TCP into segments, UDP into
 * datagrams (USO) or IP fragments (UFO).
 *
 * No mbuf is made: a segment is a header, rewritten here for each, and a stretch
 * of the frame. Whoever sends them writes both into the guest's buffers.
 *
 *     ret = segment_begin(&s, m, guest_sums);
 *     while (segment_next(&s))
 *             s.hdr, s.hdr_len bytes; then s.len bytes of m from s.off on
 *
 * What the mbuf says of its headers is checked against the frame, which may
 * come from a guest.
 */
#include <stdbool.h>

#include <linux/virtio_net.h>
#include <rte_mbuf.h>

/* Longest headers that are rewritten: tunnels are none of virtio's. */
#define SEGMENT_HDR_MAX 256u

enum segment_kind {
	SEGMENT_TCP,
	SEGMENT_DATAGRAM, /* each with a UDP header of its own */
	SEGMENT_FRAGMENT, /* of one datagram */
};

struct segmenter {
	const struct rte_mbuf *m;
	enum segment_kind kind;
	bool v6;
	bool partial;	   /* the guest completes sums */
	uint16_t l3, l4;   /* where the headers begin */
	uint16_t hdr_len;  /* bytes of hdr */
	uint32_t size;	   /* payload of each but the last */
	uint32_t nr;	   /* how many there are */
	uint32_t begin;	   /* of all payload, in the frame */
	uint32_t off, len; /* of this one's */
	uint32_t seq;	   /* TCP: this one's number */
	uint16_t id;	   /* IPv4: this one's identification */
	uint8_t flags;	   /* TCP: the frame's */
	uint8_t hdr[SEGMENT_HDR_MAX];
};

/*
 * Begin with a frame that has RTE_MBUF_F_TX_TCP_SEG, _UDP_SEG or the flag of
 * offload_uso_flag(). A datagram to be fragmented gets its checksum completed
 * in place, and loses RTE_MBUF_F_TX_UDP_CKSUM.
 *
 * partial: leave the pseudo-header's sum for the guest to complete.
 *
 * 0; -EINVAL: no segment size, no payload, or headers that are not what the
 * mbuf says; -ENOTSUP: IPv6 extensions in front of fragments.
 */
int segment_begin(struct segmenter *s, struct rte_mbuf *m, bool partial);

/* Go on to the first, the next. False: there is none. */
bool segment_next(struct segmenter *s);

/* Describe this one to the guest. */
void segment_header(const struct segmenter *s, struct virtio_net_hdr *h);

#endif /* WEIR_PORT_SEGMENT_H */
