/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a frontend may ask of a port beside memory and rings: announcements,
 * resets, MTU, status.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "port_bench.h"

#define PF(f) WEIR_VHOST_BIT(WEIR_VHOST_PF_##f)
#define ALL_PF (PF(RARP) | PF(NET_MTU) | PF(STATUS) | PF(RESET_DEVICE))
#define RARP_LEN 60u

static const uint8_t guest_mac[8] = { 0x52, 0x54, 0, 1, 2, 3 };

static int
open_both(struct bench *b, struct fe *f, const char *dma)
{
	int ret = bench_open(b, dma, 0);

	if (ret == 0)
		ret = fe_open(f, b->path, 1, ALL_FEATURES);
	return ret == 0 ? fe_protocol(f, ALL_PF) : ret;
}

static enum test_result
close_both(struct bench *b, struct fe *f)
{
	fe_close(f);
	TEST_ASSERT(link_becomes(b, false));
	TEST_EQ(bench_close(b), 0);
	return TEST_OK;
}

static int64_t
ask_u64(struct fe *f, uint32_t request, uint64_t value)
{
	return fe_msg_ack(f, request, &value, sizeof(value), NULL, 0);
}

static int64_t
ask(struct fe *f, uint32_t request)
{
	return fe_msg_ack(f, request, NULL, 0, NULL, 0);
}

static int64_t
announce(struct fe *f)
{
	return fe_msg_ack(f, WEIR_VHOST_SEND_RARP, guest_mac, sizeof(guest_mac), NULL, 0);
}

/* Both rings, stopped in the midst, go on elsewhere: where they were, or anew. */
static enum test_result
ring_restart(struct fe *f, unsigned int i, bool anew)
{
	const struct vhost_vring_state which = { i, 0 };
	struct vhost_vring_state base;
	struct fe_ring *r = &f->ring[i];

	TEST_EQ(fe_msg(f, WEIR_VHOST_GET_VRING_BASE, &which, sizeof(which), NULL, 0,
		       &base, sizeof(base)),
		0);
	if (anew)
		fe_ring_clear(r);
	TEST_EQ(fe_ring_start(f, i, anew ? FE_BASE_NEW : base.num), 0);
	return TEST_OK;
}

/* The next frame, and only that, is the announcement. */
static enum test_result
announced(struct bench *b)
{
	struct rte_mbuf *pkts[2] = { NULL, NULL };
	const uint8_t *p;

	TEST_EQ(weir_queue_pending(b->rxq), 1);
	TEST_EQ(weir_port_rx_burst(b->rxq, pkts, 0), 0);
	TEST_EQ(weir_port_rx_burst(b->rxq, pkts, 2), 1);
	TEST_EQ(pkts[0]->pkt_len, RARP_LEN);
	p = rte_pktmbuf_mtod(pkts[0], const uint8_t *);
	TEST_ASSERT(memcmp(p, "\xff\xff\xff\xff\xff\xff\x52\x54\0\1\2\3\x80\x35", 14) ==
		    0);
	TEST_ASSERT(memcmp(p + 14, "\0\1\x08\0\6\4\0\3\x52\x54\0\1\2\3\0\0\0\0", 18) ==
		    0);
	TEST_ASSERT(memcmp(p + 32, "\x52\x54\0\1\2\3\0\0\0\0\0\0\0\0\0\0", 16) == 0);
	rte_pktmbuf_free(pkts[0]);
	TEST_EQ(weir_port_rx_burst(b->rxq, pkts, 2), 0);
	TEST_EQ(weir_queue_pending(b->rxq), 0);
	return TEST_OK;
}

static enum test_result
guest_announced(const char *dma)
{
	struct bench b;
	struct fe f;

	TEST_EQ(open_both(&b, &f, dma), 0);
	TEST_EQ(to_host(&b, &f, 50), TEST_OK);
	TEST_EQ(announce(&f), 0);
	TEST_EQ(announced(&b), TEST_OK);
	TEST_EQ(to_host(&b, &f, 50), TEST_OK);
	/* asked for, and the ring starts anew before anybody receives */
	TEST_EQ(announce(&f), 0);
	TEST_EQ(ring_restart(&f, 1, false), TEST_OK);
	TEST_EQ(announced(&b), TEST_OK);
	/* asked for while nothing runs */
	weir_port_stop(b.port);
	TEST_EQ(announce(&f), 0);
	TEST_EQ(announce(&f), 0);
	TEST_EQ(weir_port_start(b.port), 0);
	TEST_EQ(announced(&b), TEST_OK);
	TEST_EQ(to_host(&b, &f, 50), TEST_OK);
	/* the next guest is another */
	TEST_EQ(announce(&f), 0);
	fe_close(&f);
	TEST_ASSERT(link_becomes(&b, false));
	TEST_EQ(fe_open(&f, b.path, 1, ALL_FEATURES), 0);
	TEST_EQ(to_host(&b, &f, 50), TEST_OK);
	return close_both(&b, &f);
}

static enum test_result
rarp_is_received(void)
{
	enum test_result r = guest_announced(NULL);

	TEST_EQ(dma_open("mode=thread"), 0);
	if (r == TEST_OK)
		r = guest_announced("dma_weir_test");
	wanted = UINT64_MAX;
	if (r == TEST_OK)
		r = guest_announced("dma_weir_test");
	wanted = FE_SPLIT;
	dma_close();
	return r;
}

static enum test_result
rarp_wakes_who_sleeps(void)
{
	struct pollfd p = { .events = POLLIN };
	struct bench b;
	struct fe f;

	TEST_EQ(bench_open(&b, NULL, 0), 0);
	weir_port_stop(b.port);
	TEST_EQ(weir_port_rxq_wake_fd(b.port, 0, &p.fd), 0);
	TEST_EQ(weir_port_start(b.port), 0);
	TEST_EQ(fe_open(&f, b.path, 1, ALL_FEATURES), 0);
	TEST_EQ(fe_protocol(&f, ALL_PF), 0);
	TEST_EQ(weir_queue_wake_arm(b.rxq), 0);
	TEST_EQ(poll(&p, 1, 0), 0);
	TEST_EQ(announce(&f), 0);
	TEST_EQ(poll(&p, 1, 5000), 1);
	TEST_EQ(weir_queue_wake_disarm(b.rxq), 0);
	/* it is there already: nobody falls asleep */
	TEST_EQ(weir_queue_wake_arm(b.rxq), 0);
	TEST_EQ(poll(&p, 1, 5000), 1);
	TEST_EQ(weir_queue_wake_disarm(b.rxq), 0);
	TEST_EQ(announced(&b), TEST_OK);
	return close_both(&b, &f);
}

/* No mbuf is left: the announcement waits for one. */
static enum test_result
rarp_waits_for_an_mbuf(void)
{
	static struct rte_mbuf *all[8192], *m[2];
	struct weir_queue_stats stats;
	unsigned int nr = 0;
	struct bench b;
	struct fe f;

	TEST_EQ(open_both(&b, &f, NULL), 0);
	TEST_EQ(announce(&f), 0);
	while (nr < RTE_DIM(all) && (all[nr] = rte_pktmbuf_alloc(pool)) != NULL)
		nr++;
	TEST_EQ(weir_port_rx_burst(b.rxq, m, 2), 0);
	rte_pktmbuf_free_bulk(all, nr);
	weir_queue_stats_get(b.rxq, &stats);
	TEST_ASSERT(stats.no_mbuf > 0);
	TEST_EQ(announced(&b), TEST_OK);
	return close_both(&b, &f);
}

static bool
mtu_becomes(const struct bench *b, uint16_t mtu)
{
	for (int i = 0; i < 5000 && weir_port_peer_mtu(b->port) != mtu; i++)
		usleep(1000);
	return weir_port_peer_mtu(b->port) == mtu;
}

static enum test_result
mtu_lasts_until_a_reset(void)
{
	struct bench b;
	struct fe f;

	TEST_EQ(open_both(&b, &f, NULL), 0);
	TEST_EQ(weir_port_peer_mtu(b.port), 0);
	TEST_EQ(ask_u64(&f, WEIR_VHOST_NET_SET_MTU, 9000), 0);
	TEST_EQ(weir_port_peer_mtu(b.port), 9000);
	TEST_ASSERT(ask_u64(&f, WEIR_VHOST_NET_SET_MTU, 67) != 0);
	TEST_ASSERT(ask_u64(&f, WEIR_VHOST_NET_SET_MTU, 65536) != 0);
	TEST_EQ(weir_port_peer_mtu(b.port), 9000);
	TEST_EQ(ask(&f, WEIR_VHOST_RESET_DEVICE), 0);
	TEST_EQ(weir_port_peer_mtu(b.port), 0);
	TEST_EQ(ask_u64(&f, WEIR_VHOST_NET_SET_MTU, 1500), 0);
	fe_close(&f);
	TEST_ASSERT(mtu_becomes(&b, 0));
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

/* What a driver does after it has reset its device. */
static enum test_result
begin_anew(struct fe *f)
{
	for (unsigned int i = 0; i < 2; i++)
		fe_ring_clear(&f->ring[i]);
	TEST_EQ(ask_u64(f, WEIR_VHOST_SET_FEATURES, f->features), 0);
	for (unsigned int i = 0; i < 2; i++)
		TEST_EQ(fe_ring_start(f, i, FE_BASE_NEW), 0);
	return TEST_OK;
}

/* How a device is reset, and what that leaves. */
static int64_t
reset_by(struct fe *f, int how)
{
	uint64_t status = 1;
	int64_t ret;

	if (how == 0)
		return ask(f, WEIR_VHOST_RESET_DEVICE);
	ret = ask_u64(f, WEIR_VHOST_SET_STATUS, 15);
	if (ret == 0)
		ret = fe_msg(f, WEIR_VHOST_GET_STATUS, NULL, 0, NULL, 0, &status,
			     sizeof(status));
	if (ret != 0 || status != 15)
		return -EPROTO;
	ret = ask_u64(f, WEIR_VHOST_SET_STATUS, 0);
	if (ret == 0)
		ret = fe_msg(f, WEIR_VHOST_GET_STATUS, NULL, 0, NULL, 0, &status,
			     sizeof(status));
	return ret == 0 && status == 0 ? 0 : -EPROTO;
}

/* Frames are under way in both directions when it comes. */
static enum test_result
reset_and_go_on(const char *dma)
{
	struct rte_mbuf *pkts[4];
	struct bench b;
	struct fe f;

	TEST_EQ(open_both(&b, &f, dma), 0);
	for (int round = 0; round < 10; round++) {
		TEST_EQ(to_host(&b, &f, 60), TEST_OK);
		TEST_EQ(to_guest(&b, &f, 60), TEST_OK);
		/* on a loaded machine the last of these came all at once */
		fe_post(&f, 0);
		for (uint32_t i = 0; i < RTE_DIM(pkts); i++)
			pkts[i] = frame(1000, i);
		TEST_EQ(weir_port_tx_burst(b.txq, pkts, 4), 4);
		TEST_ASSERT(fe_send(&f, 0, (uint8_t[60]){ 0 }, 60, FE_ONE));
		weir_port_rx_burst(b.rxq, pkts, 0);
		TEST_EQ(reset_by(&f, round % 2), 0);
		TEST_ASSERT(!weir_port_link(b.port));
		TEST_EQ(weir_port_rx_burst(b.rxq, pkts, 4), 0);
		TEST_EQ(begin_anew(&f), TEST_OK);
		TEST_ASSERT(weir_port_link(b.port));
	}
	TEST_EQ(to_host(&b, &f, 60), TEST_OK);
	return close_both(&b, &f);
}

static enum test_result
device_reset_begins_anew(void)
{
	enum test_result r = reset_and_go_on(NULL);

	TEST_EQ(dma_open("mode=thread,delay_us=500"), 0);
	wanted = UINT64_MAX;
	if (r == TEST_OK)
		r = reset_and_go_on("dma_weir_test");
	wanted = FE_SPLIT;
	if (r == TEST_OK)
		r = reset_and_go_on("dma_weir_test");
	dma_close();
	return r;
}

/* Old frontends: rings are disabled and go on where they were. */
static enum test_result
owner_reset_holds_rings(void)
{
	struct bench b;
	struct fe f;

	TEST_EQ(open_both(&b, &f, NULL), 0);
	TEST_EQ(to_host(&b, &f, 50), TEST_OK);
	TEST_EQ(ask(&f, WEIR_VHOST_RESET_OWNER), 0);
	TEST_ASSERT(!weir_port_link(b.port));
	for (uint32_t i = 0; i < 2; i++) {
		const struct vhost_vring_state on = { i, 1 };

		TEST_EQ(fe_msg_ack(&f, WEIR_VHOST_SET_VRING_ENABLE, &on, sizeof(on), NULL,
				   0),
			0);
	}
	TEST_ASSERT(weir_port_link(b.port));
	TEST_EQ(to_host(&b, &f, 50), TEST_OK);
	TEST_EQ(to_guest(&b, &f, 50), TEST_OK);
	return close_both(&b, &f);
}

/* VIRTIO_F_RING_RESET: one ring begins anew while the other has traffic. */
static enum test_result
rings_reset_apart(const char *dma)
{
	struct bench b;
	struct fe f;

	TEST_EQ(open_both(&b, &f, dma), 0);
	TEST_ASSERT((f.features & WEIR_VHOST_BIT(VIRTIO_F_RING_RESET)) != 0);
	for (int round = 0; round < 10; round++) {
		TEST_EQ(to_host(&b, &f, 70), TEST_OK);
		TEST_EQ(ring_restart(&f, 0, true), TEST_OK);
		TEST_EQ(to_host(&b, &f, 30), TEST_OK);
		TEST_EQ(to_guest(&b, &f, 70), TEST_OK);
		TEST_EQ(ring_restart(&f, 1, true), TEST_OK);
		TEST_EQ(to_guest(&b, &f, 30), TEST_OK);
	}
	return close_both(&b, &f);
}

static enum test_result
ring_reset_leaves_the_other(void)
{
	enum test_result r = rings_reset_apart(NULL);

	TEST_EQ(dma_open("mode=thread,delay_us=500"), 0);
	if (r == TEST_OK)
		r = rings_reset_apart("dma_weir_test");
	wanted = UINT64_MAX;
	if (r == TEST_OK)
		r = rings_reset_apart("dma_weir_test");
	wanted = FE_SPLIT;
	dma_close();
	return r;
}

/* Messages of what is not offered are answered so, and nothing else happens. */
static enum test_result
what_is_not_offered_is_refused(void)
{
	const struct {
		uint32_t request;
		const char *says;
	} t[] = {
		{ WEIR_VHOST_SET_VRING_ENDIAN, "CROSS_ENDIAN was not offered" },
		{ WEIR_VHOST_CREATE_CRYPTO_SESSION, "CRYPTO_SESSION was not offered" },
		{ WEIR_VHOST_GET_SHARED_OBJECT, "SHARED_OBJECT was not offered" },
		{ WEIR_VHOST_SET_DEVICE_STATE_FD, "DEVICE_STATE was not offered" },
		{ WEIR_VHOST_GET_SHMEM_CONFIG, "SHMEM_MAP was not offered" },
		{ WEIR_VHOST_GPU_SET_SOCKET, "not supported" },
	};
	struct bench b;
	struct fe f;

	TEST_EQ(open_both(&b, &f, NULL), 0);
	for (size_t i = 0; i < RTE_DIM(t); i++) {
		TEST_ASSERT(ask_u64(&f, t[i].request, 0) > 0);
		TEST_ASSERT(said(t[i].says));
	}
	TEST_EQ(to_host(&b, &f, 50), TEST_OK);
	return close_both(&b, &f);
}

static const struct test_case cases[] = {
	{ "rarp_is_received", rarp_is_received },
	{ "rarp_wakes_who_sleeps", rarp_wakes_who_sleeps },
	{ "rarp_waits_for_an_mbuf", rarp_waits_for_an_mbuf },
	{ "mtu_lasts_until_a_reset", mtu_lasts_until_a_reset },
	{ "device_reset_begins_anew", device_reset_begins_anew },
	{ "owner_reset_holds_rings", owner_reset_holds_rings },
	{ "ring_reset_leaves_the_other", ring_reset_leaves_the_other },
	{ "what_is_not_offered_is_refused", what_is_not_offered_is_refused },
};

AUTOTEST_EAL(port_proto_autotest, cases);
