/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PORT_OFFLOAD_H
#define WEIR_PORT_OFFLOAD_H
/*
 * Between virtio's packet header (VIRTIO 1.3, 5.1.6) and mbuf offload flags.
 *
 * Both leave the pseudo-header's sum in the checksum field and name where the
 * sum begins, so that completing one in software is the same for either side.
 */
#include <stdbool.h>

#include <linux/virtio_net.h>
#include <rte_mbuf.h>

/* Flags of an mbuf that need more than a header of zeroes. One that is to be cut
 * into datagrams has RTE_MBUF_F_TX_UDP_CKSUM, too. */
#define OFFLOAD_TX_FLAGS                                                          \
	(RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_SEG | \
	 RTE_MBUF_F_TX_UDP_SEG)

/* Younger than some systems' headers (VIRTIO 1.3, 5.1.3 and 5.1.6). */
#ifndef VIRTIO_NET_F_GUEST_USO4
#define VIRTIO_NET_F_GUEST_USO4 54
#define VIRTIO_NET_F_GUEST_USO6 55
#define VIRTIO_NET_F_HOST_USO 56
#endif
#ifndef VIRTIO_NET_F_VQ_NOTF_COAL
#define VIRTIO_NET_F_VQ_NOTF_COAL 52
#define VIRTIO_NET_CTRL_NOTF_COAL_VQ_SET 2
#define VIRTIO_NET_CTRL_NOTF_COAL_VQ_GET 3
#endif
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

#define OFFLOAD_BIT(name) (UINT64_C(1) << VIRTIO_NET_F_##name)

/* Features by which a guest says what it takes as it is. */
#define OFFLOAD_GUEST                                                                  \
	(OFFLOAD_BIT(GUEST_CSUM) | OFFLOAD_BIT(GUEST_TSO4) | OFFLOAD_BIT(GUEST_TSO6) | \
	 OFFLOAD_BIT(GUEST_ECN) | OFFLOAD_BIT(GUEST_UFO) | OFFLOAD_BIT(GUEST_USO4) |   \
	 OFFLOAD_BIT(GUEST_USO6))

/* Features by which a port says what it takes to be segmented. */
#define OFFLOAD_HOST_SEGMENT                                                       \
	(OFFLOAD_BIT(HOST_TSO4) | OFFLOAD_BIT(HOST_TSO6) | OFFLOAD_BIT(HOST_ECN) | \
	 OFFLOAD_BIT(HOST_UFO) | OFFLOAD_BIT(HOST_USO))

/* Register WEIR_PORT_USO_FLAG; more than once does no harm. 0; -errno. */
int offload_init(void);

/* It has that flag. */
bool offload_is_uso(const struct rte_mbuf *m);

/* What is to be done for a guest to take a frame. */
enum offload_way {
	OFFLOAD_AS_IS,	  /* describe it: offload_tx_header() */
	OFFLOAD_COMPLETE, /* complete its sums first: offload_tx_software() */
	OFFLOAD_SEGMENT,  /* cut it: segment.h */
};

/* For a guest that has agreed to these of OFFLOAD_GUEST, and a frame that has one
 * of OFFLOAD_TX_FLAGS. */
enum offload_way offload_tx_way(const struct rte_mbuf *m, uint64_t guest);

/* Ones' complement sums, in the order of bytes in memory. */
uint16_t offload_sum_add(uint16_t a, uint16_t b);

/* Of a stretch of the frame, up to its end. Segments of odd lengths are summed
 * right, which rte_raw_cksum_mbuf() does not always do. */
uint16_t offload_sum(const struct rte_mbuf *m, uint32_t start, uint32_t len);

/* Of the pseudo-header of a TCP or UDP packet of that length. */
uint16_t offload_pseudo_sum(const uint8_t *ip, bool v6, uint8_t proto, uint32_t len);

/* Put it where the frame's flags and lengths say the checksum is.
 * 0; -EINVAL: they lead outside the first segment. */
int offload_pseudo_set(struct rte_mbuf *m);

/* Complete a checksum that has it. 0; -EINVAL as above. */
int offload_l4_complete(struct rte_mbuf *m);

/* Describe a frame that the guest takes as it is. */
void offload_tx_header(struct virtio_net_hdr *h, struct rte_mbuf *m);

/*
 * Complete a frame that it does not, and clear the flags.
 *
 * 0; -ENOTSUP: it would have to be segmented, or is SCTP; -EINVAL: the headers'
 * lengths lead outside the frame.
 */
int offload_tx_software(struct rte_mbuf *m);

/*
 * Set a received frame's flags. What a guest claims is checked against the
 * frame; a claim that makes no sense is no claim.
 *
 * sw_csum: the application did not ask for checksum offload: complete it here.
 * legacy: use the RTE_MBUF_F_TX_* flags, as DPDK's vhost did until 21.05.
 */
void offload_rx(struct rte_mbuf *m, const struct virtio_net_hdr *h, bool sw_csum,
		bool legacy);

#endif /* WEIR_PORT_OFFLOAD_H */
