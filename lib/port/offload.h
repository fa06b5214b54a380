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

/* Flags of an mbuf that need more than a header of zeroes. */
#define OFFLOAD_TX_FLAGS \
	(RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_SEG)

#define OFFLOAD_BIT(name) (UINT64_C(1) << VIRTIO_NET_F_##name)

/* Features by which a guest says what it takes as it is. */
#define OFFLOAD_GUEST \
	(OFFLOAD_BIT(GUEST_CSUM) | OFFLOAD_BIT(GUEST_TSO4) | OFFLOAD_BIT(GUEST_TSO6))

/*
 * True if a guest that has agreed to these of OFFLOAD_GUEST can be given the
 * frame as it is, with a header that describes it.
 */
bool offload_tx_taken(const struct rte_mbuf *m, uint64_t guest);

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
