/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest that has come from elsewhere is announced to the network by a frame of
 * its own address, so that switches learn where it is now. A driver that knows
 * VIRTIO_NET_F_GUEST_ANNOUNCE does so itself; for one that does not the frontend
 * asks the backend to (SEND_RARP), and the frame is received as if the guest had
 * sent it.
 *
 * Once in a migration: so no burst looks for it. The queue gets a burst function
 * that makes the frame and puts the queue's own back.
 */
#include <string.h>

#include <rte_arp.h>
#include <rte_byteorder.h>
#include <rte_ether.h>

#include "queue.h"

/* As long as an Ethernet frame is at the least, without its checksum. */
#define FRAME_LEN (RTE_ETHER_MIN_LEN - RTE_ETHER_CRC_LEN)

/* Reverse ARP (RFC 903): whose address is mine? Nobody answers. */
static void
frame_write(char *frame, const uint8_t *mac)
{
	struct rte_ether_hdr eth = {
		.ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_RARP),
	};
	struct rte_arp_hdr arp = {
		.arp_hardware = rte_cpu_to_be_16(RTE_ARP_HRD_ETHER),
		.arp_protocol = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4),
		.arp_hlen = RTE_ETHER_ADDR_LEN,
		.arp_plen = sizeof(rte_be32_t),
		.arp_opcode = rte_cpu_to_be_16(RTE_ARP_OP_REVREQUEST),
	};

	memset(&eth.dst_addr, 0xff, sizeof(eth.dst_addr));
	memcpy(&eth.src_addr, mac, sizeof(eth.src_addr));
	memcpy(&arp.arp_data.arp_sha, mac, sizeof(arp.arp_data.arp_sha));
	memcpy(&arp.arp_data.arp_tha, mac, sizeof(arp.arp_data.arp_tha));
	memset(frame, 0, FRAME_LEN);
	memcpy(frame, &eth, sizeof(eth));
	memcpy(frame + sizeof(eth), &arp, sizeof(arp));
}

static uint16_t
rx_announce(struct weir_queue *q, struct rte_mbuf **pkts, uint16_t n)
{
	const queue_burst_t burst = queue_rx_select(q->mode);
	struct rte_mbuf *m;

	/* this function may have come in the place of the one that does so */
	queue_unwatch(q);
	if (n == 0)
		return 0;
	m = rte_pktmbuf_alloc(q->pool);
	if (m == NULL || rte_pktmbuf_tailroom(m) < FRAME_LEN) {
		/* the next burst tries again */
		rte_pktmbuf_free(m);
		stat_add(&q->stats.no_mbuf, 1);
		return burst(q, pkts, n);
	}
	frame_write(rte_pktmbuf_append(m, FRAME_LEN), q->announced);
	m->port = q->port_id;
	stat_add(&q->stats.packets, 1);
	stat_add(&q->stats.bytes, FRAME_LEN);
	pkts[0] = m;
	q->burst = burst;
	return (uint16_t)(1 + burst(q, pkts + 1, (uint16_t)(n - 1)));
}

bool
queue_announces(const struct weir_queue *q)
{
	return q->burst == rx_announce;
}

int
queue_announce(struct weir_queue *q, const uint8_t *mac, uint64_t timeout_us)
{
	int ret = queue_quiet(q, timeout_us);

	if (ret == 0) {
		memcpy(q->announced, mac, sizeof(q->announced));
		q->burst = rx_announce;
		queue_watch_wake(q);
	}
	queue_resume(q);
	return ret;
}
