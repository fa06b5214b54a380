/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <linux/virtio_net.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_memcpy.h>
#include <rte_tcp.h>

#include "perf.h"
#include "perf_dma.h"
#include "vhost_bench.h"

/* Polls of BENCH_POLL: one is too short to be measured. */
#define POLLS 256u

/* A frame's headers: Ethernet, IPv4, TCP with timestamps as everybody has them. */
#define L2_LEN sizeof(struct rte_ether_hdr)
#define L3_LEN sizeof(struct rte_ipv4_hdr)
#define L4_LEN (sizeof(struct rte_tcp_hdr) + 12u)

static uint8_t frame[BENCH_MAX_FRAME], got[BENCH_MAX_FRAME];

/* A frame of TCP over IPv4 whose other bytes depend on the seed. */
static void
frame_make(const struct bench_job *j, uint32_t seed)
{
	struct rte_ipv4_hdr ip = {
		.version_ihl = RTE_IPV4_VHL_DEF,
		.total_length = rte_cpu_to_be_16((uint16_t)(j->len - L2_LEN)),
		.time_to_live = 64,
		.next_proto_id = IPPROTO_TCP,
		.src_addr = RTE_BE32(0xc6120001),
		.dst_addr = RTE_BE32(0xc6120002),
	};
	struct rte_ether_hdr eth = { .ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4) };
	struct rte_tcp_hdr tcp = { .data_off = L4_LEN / 4 << 4 };

	for (uint32_t i = 0; i < j->len; i++)
		frame[i] = (uint8_t)(seed * 29 + i * 7 + (i >> 8));
	ip.hdr_checksum = rte_ipv4_cksum(&ip);
	memcpy(frame, &eth, sizeof(eth));
	memcpy(frame + L2_LEN, &ip, sizeof(ip));
	if (j->mss != 0)
		memcpy(frame + L2_LEN + L3_LEN, &tcp, sizeof(tcp));
}

/* Does what came equal the frame? The checksum of one that is still to be
 * segmented is the sum of a pseudo-header, of which there are two kinds. */
static bool
frame_equal(const struct bench_job *j, const uint8_t *what)
{
	const size_t sum = L2_LEN + L3_LEN + offsetof(struct rte_tcp_hdr, cksum);
	const size_t skip = j->mss != 0 ? 2 : 0;

	return memcmp(what, frame, sum) == 0 &&
	       memcmp(what + sum + skip, frame + sum + skip, j->len - sum - skip) == 0;
}

/* The mbuf of a frame; with what is in `frame`, if it has to be so. */
static struct rte_mbuf *
mbuf_make(struct bench *b, const struct bench_job *j, bool fill)
{
	struct rte_mbuf *first = rte_pktmbuf_alloc(b->pool), *m = first;
	uint32_t done = 0;

	if (first == NULL)
		return NULL;
	first->pkt_len = j->len;
	for (;;) {
		m->data_len = (uint16_t)RTE_MIN(j->len - done, RTE_MBUF_DEFAULT_DATAROOM);
		if (fill)
			memcpy(rte_pktmbuf_mtod(m, void *), frame + done, m->data_len);
		done += m->data_len;
		if (done == j->len)
			break;
		m->next = rte_pktmbuf_alloc(b->pool);
		if (m->next == NULL) {
			rte_pktmbuf_free(first);
			return NULL;
		}
		m = m->next;
		first->nb_segs++;
	}
	if (j->mss != 0) {
		first->ol_flags = RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_IPV4;
		first->l2_len = L2_LEN;
		first->l3_len = L3_LEN;
		first->l4_len = L4_LEN;
		first->tso_segsz = j->mss;
	}
	return first;
}

struct rte_mbuf *
bench_mbuf(struct bench *b, const struct bench_job *j)
{
	return mbuf_make(b, j, false);
}

/* Fill every buffer of the guest's transmit ring. */
static void
tx_fill(struct bench_port *p, const struct bench_job *j)
{
	const unsigned int chains = guest_ring_chains(&p->guest.ring[1]);
	struct virtio_net_hdr_mrg_rxbuf h = { 0 };

	if (j->mss != 0)
		h.hdr = (struct virtio_net_hdr){
			.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
			.hdr_len = L2_LEN + L3_LEN + L4_LEN,
			.gso_size = j->mss,
			.csum_start = L2_LEN + L3_LEN,
			.csum_offset = offsetof(struct rte_tcp_hdr, cksum),
		};
	for (unsigned int i = 0; i < chains; i++) {
		frame_make(j, (p->guest.ring[1].posted + i) % chains);
		guest_tx_write(&p->guest, i, &h, frame, j->len);
	}
}

static inline __attribute__((always_inline)) void
measured(struct bench *b, struct bench_port *p, const struct bench_job *j)
{
	switch (j->op) {
	case BENCH_ENQUEUE:
		for (unsigned int i = 0; i < j->nr_ports; i++)
			p[i].done = bench_tx(&p[i], p[i].pkts, j->burst);
		break;
	case BENCH_DEQUEUE:
		for (unsigned int i = 0; i < j->nr_ports; i++)
			p[i].done = bench_rx(b, &p[i], p[i].pkts, BENCH_MAX_BURST);
		break;
	case BENCH_POLL:
		for (unsigned int i = 0; i < POLLS; i++)
			p->done = bench_rx(b, p, p->pkts, BENCH_MAX_BURST);
		break;
	case BENCH_COPY:
		for (unsigned int i = 0; i < j->burst; i++)
			rte_memcpy(rte_pktmbuf_mtod(p->pkts[i], void *),
				   guest_frame(&p->guest.ring[1], p->copied++), j->len);
		p->done = j->burst;
		break;
	}
}

__attribute__((noinline)) void
bench_measured_weir(struct bench *b, const struct bench_job *j)
{
	measured(b, b->port[BENCH_WEIR], j);
}

__attribute__((noinline)) void
bench_measured_peer(struct bench *b, const struct bench_job *j)
{
	measured(b, b->port[BENCH_PEER], j);
}

/* What the guest, or the application, does ahead of a burst. */
static int
before(struct bench *b, struct bench_port *p, const struct bench_job *j)
{
	if (j->op == BENCH_POLL)
		return 0;
	if (j->op == BENCH_DEQUEUE) {
		guest_tx_post(&p->guest, j->burst, j->len);
		return 0;
	}
	for (unsigned int i = 0; i < j->burst; i++) {
		p->pkts[i] = bench_mbuf(b, j);
		if (p->pkts[i] == NULL) {
			rte_pktmbuf_free_bulk(p->pkts, i);
			return -ENOMEM;
		}
	}
	if (j->op == BENCH_ENQUEUE)
		guest_rx_post(&p->guest);
	return 0;
}

/* ... and behind it. */
static int
after(struct bench_port *p, const struct bench_job *j)
{
	if (j->op == BENCH_ENQUEUE) {
		rte_pktmbuf_free_bulk(&p->pkts[p->done], j->burst - p->done);
		return guest_rx_drop(&p->guest) >= j->burst ? 0 : -EIO;
	}
	rte_pktmbuf_free_bulk(p->pkts, p->done);
	if (j->op == BENCH_POLL)
		return p->done == 0 ? 0 : -EIO;
	if (j->op == BENCH_DEQUEUE && guest_tx_take(&p->guest) != j->burst)
		return -EIO;
	return p->done == j->burst ? 0 : -EIO;
}

/* As if the guest had been at work on another CPU, but worse: what it wrote would
 * be in that one's cache, here it is in memory. */
static void
chill(const struct bench_port *p, const struct bench_job *j)
{
	const struct guest_ring *r = &p->guest.ring[j->op == BENCH_ENQUEUE ? 0 : 1];
	/* a long frame has so many buffers of a receive ring */
	const uint32_t chains = r->rx ? j->len / RTE_MBUF_DEFAULT_DATAROOM + 1 : 1;

	guest_flush(r, j->op == BENCH_COPY ? p->copied : r->taken, j->burst * chains,
		    j->len / chains);
}

int
bench_burst(struct bench *b, const struct bench_job *j, enum bench_side side,
	    uint64_t *cycles)
{
	struct bench_port *p = b->port[side];
	int ret = 0, one;
	uint64_t began;

	for (unsigned int i = 0; i < j->nr_ports; i++) {
		ret = before(b, &p[i], j);
		if (ret != 0)
			return ret;
		if (b->cold)
			chill(&p[i], j);
	}
	began = perf_cycles();
	if (side == BENCH_WEIR)
		bench_measured_weir(b, j);
	else
		bench_measured_peer(b, j);
	*cycles = perf_cycles() - began;
	for (unsigned int i = 0; i < j->nr_ports; i++) {
		one = after(&p[i], j);
		if (one != 0)
			ret = one;
	}
	if (j->op == BENCH_POLL)
		*cycles /= POLLS;
	return ret;
}

/* A packet to the guest, looked at there. The first may have to wait for the
 * ring, which the backend's thread has yet to start. */
static int
verify_enqueue(struct bench *b, struct bench_port *p, const struct bench_job *j,
	       uint32_t seed)
{
	const uint64_t end = rte_get_timer_cycles() + BENCH_WAIT_S * rte_get_timer_hz();
	uint8_t hdr[GUEST_HDR];
	struct rte_mbuf *m;
	int len;

	guest_rx_post(&p->guest);
	frame_make(j, seed);
	m = mbuf_make(b, j, true);
	if (m == NULL)
		return -ENOMEM;
	while (bench_tx(p, &m, 1) == 0) {
		if (rte_get_timer_cycles() > end) {
			rte_pktmbuf_free(m);
			return -ETIMEDOUT;
		}
	}
	/* copies may be under way, and are looked for in a burst */
	while ((len = guest_rx_frame(&p->guest, hdr, got, sizeof(got))) == 0 &&
	       rte_get_timer_cycles() <= end)
		bench_tx(p, NULL, 0);
	if (len < 0)
		return len;
	if ((uint32_t)len != j->len || !frame_equal(j, got))
		return -EBADMSG;
	return (hdr[1] != VIRTIO_NET_HDR_GSO_NONE) == (j->mss != 0) ? 0 : -EBADMSG;
}

static int
verify_dequeue(struct bench *b, struct bench_port *p, const struct bench_job *j)
{
	const uint64_t end = rte_get_timer_cycles() + BENCH_WAIT_S * rte_get_timer_hz();
	const struct guest_ring *r = &p->guest.ring[1];
	const void *data;
	struct rte_mbuf *m;
	bool equal;

	frame_make(j, r->posted % guest_ring_chains(r));
	guest_tx_post(&p->guest, 1, j->len);
	while (bench_rx(b, p, &m, 1) == 0)
		if (rte_get_timer_cycles() > end)
			return -ETIMEDOUT;
	data = rte_pktmbuf_read(m, 0, m->pkt_len, got);
	equal = m->pkt_len == j->len && data != NULL && frame_equal(j, data);
	rte_pktmbuf_free(m);
	if (guest_tx_take(&p->guest) != 1)
		return -EPROTO;
	return equal ? 0 : -EBADMSG;
}

/* Every place of the ring twice, as the second lap differs in a packed one. */
static int
verify_port(struct bench *b, struct bench_port *p, const struct bench_job *j)
{
	const struct guest_ring *r = &p->guest.ring[j->op == BENCH_ENQUEUE ? 0 : 1];
	const unsigned int rounds = 2 * guest_ring_chains(r);
	int ret = 0;

	tx_fill(p, j);
	perf_dma_set_copies(true);
	for (unsigned int i = 0; i < rounds && ret == 0; i++) {
		if (j->op == BENCH_ENQUEUE)
			ret = verify_enqueue(b, p, j, i);
		else
			ret = verify_dequeue(b, p, j);
	}
	perf_dma_set_copies(false);
	return ret;
}

int
bench_verify(struct bench *b, const struct bench_job *j)
{
	for (unsigned int side = 0; side < BENCH_NR_SIDES; side++) {
		for (unsigned int i = 0; i < j->nr_ports; i++) {
			int ret = verify_port(b, &b->port[side][i], j);

			if (ret != 0) {
				fprintf(stderr, "%s: frames do not come through: %s\n",
					b->conf.side[side]->driver, strerror(-ret));
				return ret;
			}
		}
	}
	return 0;
}
