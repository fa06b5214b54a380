/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls that a guest has asked to be held back, behind a port whose frontend
 * hands over the control queue.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <linux/virtio_net.h>

#include "ctrlq_bench.h"
#include "ctrlq.h"
#include "offload.h"
#include "test.h"

#define ALL UINT64_MAX
#define F(name) OFFLOAD_BIT(name)
#define EVENT_IDX (UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX)

/* A call for all that is published. */
#define SIMPLE (FE_SPLIT & ~EVENT_IDX)

#define LE32(v) (v) & 0xff, (v) >> 8 & 0xff, (v) >> 16 & 0xff, (v) >> 24 & 0xff
#define TX_SET 0
#define RX_SET 1
#define NEVER 60000000u /* microseconds: no test waits for it */

/* Which rings, and their wishes. */
static int
wish(uint8_t cmd, uint32_t packets, uint32_t usecs)
{
	return ctrlq_send((uint8_t[]){ 6, cmd, LE32(packets), LE32(usecs) }, 10);
}

/* The guest was called on a ring, or is within so many milliseconds. */
static bool
called(unsigned int ring, int ms)
{
	struct pollfd p = { .fd = ctrlq_bench.fe.ring[ring].call, .events = POLLIN };
	uint64_t n;

	return poll(&p, 1, ms) == 1 && read(p.fd, &n, sizeof(n)) == sizeof(n);
}

static bool
host_sends(uint16_t n)
{
	struct rte_mbuf *m[32];

	for (uint16_t i = 0; i < n; i++) {
		m[i] = rte_pktmbuf_alloc(ctrlq_bench.pool);
		memset(rte_pktmbuf_append(m[i], 60), 0, 60);
	}
	return weir_port_tx_burst(weir_port_txq(ctrlq_bench.port, 0), m, n) == n;
}

static bool
guest_sends(void)
{
	const uint8_t frame[60] = { 0 };
	struct rte_mbuf *m;

	fe_reap(&ctrlq_bench.fe, 0);
	if (!fe_send(&ctrlq_bench.fe, 0, frame, sizeof(frame), FE_ONE) ||
	    weir_port_rx_burst(weir_port_rxq(ctrlq_bench.port, 0), &m, 1) != 1)
		return false;
	rte_pktmbuf_free(m);
	return true;
}

static int
bench(uint64_t features)
{
	int ret = ctrlq_open(features, false);

	/* of the pair under test, calls are wanted */
	for (unsigned int i = 0; i < 2; i++) {
		struct fe_ring *r = &ctrlq_bench.fe.ring[i];

		if (ret == 0 && r->packed != NULL)
			r->driver->flags = VRING_PACKED_EVENT_FLAG_ENABLE;
		else if (ret == 0)
			r->avail->flags = 0;
	}
	if (ret == 0 && !BECOMES(weir_port_link(ctrlq_bench.port)))
		ret = -ETIMEDOUT;
	if (ret == 0)
		fe_post(&ctrlq_bench.fe, 0);
	return ret;
}

static enum test_result
calls_come_by_packets(void)
{
	TEST_EQ(bench(SIMPLE), 0);
	TEST_ASSERT(host_sends(1) && called(0, 0));
	TEST_ASSERT(guest_sends() && called(1, 0));
	TEST_EQ(wish(RX_SET, 10, NEVER), VIRTIO_NET_OK);
	for (unsigned int round = 0; round < 3; round++) {
		TEST_ASSERT(host_sends(1) && host_sends(8));
		TEST_ASSERT(!called(0, 0));
		TEST_ASSERT(host_sends(1));
		TEST_ASSERT(called(0, 0));
		/* the other way was not asked about */
		TEST_ASSERT(guest_sends() && called(1, 0));
	}
	TEST_EQ(wish(TX_SET, 3, NEVER), VIRTIO_NET_OK);
	TEST_ASSERT(guest_sends() && guest_sends() && !called(1, 0));
	TEST_ASSERT(guest_sends() && called(1, 0));
	/* one ring by itself, and then all of them again */
	TEST_EQ(ctrlq_send((uint8_t[]){ 6, 2, 0, 0, 0, 0, LE32(2), LE32(NEVER) }, 14),
		VIRTIO_NET_OK);
	TEST_ASSERT(host_sends(1) && !called(0, 0));
	TEST_ASSERT(host_sends(1) && called(0, 0));
	TEST_EQ(wish(RX_SET, 1, NEVER), VIRTIO_NET_OK);
	TEST_ASSERT(host_sends(1) && called(0, 0));
	TEST_EQ(wish(RX_SET, 100, 0), VIRTIO_NET_OK);
	TEST_ASSERT(host_sends(1) && called(0, 0));
	ctrlq_close();
	return TEST_OK;
}

/* More than used entries are counted in. */
static enum test_result
calls_come_by_any_number_of_packets(void)
{
	static uint8_t buf[65536];
	unsigned int sent = 0;

	TEST_EQ(bench(SIMPLE), 0);
	TEST_EQ(wish(RX_SET, UINT32_MAX, NEVER), VIRTIO_NET_OK);
	while (!called(0, 0)) {
		TEST_ASSERT(sent < 40000);
		TEST_ASSERT(host_sends(32));
		sent += 32;
		while (fe_recv(&ctrlq_bench.fe, 0, buf) != 0)
			;
		fe_post(&ctrlq_bench.fe, 0);
	}
	TEST_ASSERT(sent > 30000);
	ctrlq_close();
	return TEST_OK;
}

/* A call is held for so many descriptors that their count is 0 again. The guest has it,
 * and asks for the next: that is not lost. */
static enum test_result
call_behind_one_held_long_is_wanted(void)
{
	const unsigned int packets = 65536 / 4;
	const uint8_t frame[60] = { 0 };
	struct fe_ring *r = &ctrlq_bench.fe.ring[1];
	struct rte_mbuf *m;

	TEST_EQ(bench(ALL), 0);
	TEST_ASSERT((ctrlq_bench.fe.features & EVENT_IDX) != 0);
	/* the first wish of a ring is granted wherever it lies: it is not the one here */
	r->driver->off_wrap = r->used_pos;
	r->driver->flags = VRING_PACKED_EVENT_FLAG_DESC;
	TEST_EQ(wish(TX_SET, packets, NEVER), VIRTIO_NET_OK);
	for (unsigned int i = 0; i <= packets; i++) {
		TEST_ASSERT(
			fe_send(&ctrlq_bench.fe, 0, frame, sizeof(frame), FE_SCATTERED));
		TEST_EQ(weir_port_rx_burst(weir_port_rxq(ctrlq_bench.port, 0), &m, 1), 1);
		rte_pktmbuf_free(m);
		TEST_EQ(fe_reap(&ctrlq_bench.fe, 0), 1);
		if (i + 1 < packets)
			continue;
		/* the last but one is called for, the last is held */
		TEST_EQ(called(1, 0), i + 1 == packets);
		r->driver->off_wrap = r->used_pos;
	}
	TEST_EQ(wish(TX_SET, 1, NEVER), VIRTIO_NET_OK);
	TEST_ASSERT(called(1, 5000));
	ctrlq_close();
	return TEST_OK;
}

static enum test_result
calls_come_by_time(void)
{
	uint8_t buf[65536];

	TEST_EQ(bench(SIMPLE), 0);
	TEST_EQ(wish(RX_SET, 1000, 300), VIRTIO_NET_OK);
	TEST_EQ(wish(TX_SET, 1000, 3000), VIRTIO_NET_OK);
	for (unsigned int round = 0; round < 50; round++) {
		TEST_ASSERT(host_sends(1) && guest_sends());
		TEST_ASSERT(called(0, 5000) && called(1, 5000));
		while (fe_recv(&ctrlq_bench.fe, 0, buf) != 0)
			;
		fe_post(&ctrlq_bench.fe, 0);
		/* now and then long enough for the control thread to doze off */
		if (round % 10 == 9)
			usleep(100000);
	}
	ctrlq_close();
	return TEST_OK;
}

static enum test_result
calls_held_go_when_they_cannot_be(void)
{
	TEST_EQ(bench(SIMPLE), 0);
	TEST_EQ(wish(RX_SET, 1000, NEVER), VIRTIO_NET_OK);
	TEST_ASSERT(host_sends(1) && !called(0, 0));
	TEST_EQ(wish(RX_SET, 0, 0), VIRTIO_NET_OK);
	TEST_ASSERT(called(0, 0));
	/* the ring stops */
	TEST_EQ(wish(RX_SET, 1000, NEVER), VIRTIO_NET_OK);
	TEST_ASSERT(host_sends(1) && !called(0, 0));
	weir_port_stop(ctrlq_bench.port);
	TEST_ASSERT(called(0, 0));
	/* and goes on, with the same wish */
	TEST_EQ(weir_port_start(ctrlq_bench.port), 0);
	TEST_ASSERT(host_sends(1) && !called(0, 0));
	TEST_EQ(wish(RX_SET, 2, NEVER), VIRTIO_NET_OK);
	TEST_ASSERT(host_sends(1) && called(0, 0));
	ctrlq_close();
	return TEST_OK;
}

/* A result goes behind the answer, over whatever buffers there are. */
static enum test_result
wish_is_told_again(void)
{
	const uint8_t cmd[] = { 6, 3, 2, 0, 0, 0 };
	const uint8_t want[] = { VIRTIO_NET_OK, LE32(77), LE32(1234) };
	struct fe_ring *r = &ctrlq_bench.fe.ring[CTRL];
	volatile uint8_t *answer;
	uint64_t gpa;

	TEST_EQ(bench(FE_SPLIT), 0);
	TEST_EQ(ctrlq_send((uint8_t[]){ 6, 2, 2, 0, 0, 0, LE32(77), LE32(1234) }, 14),
		VIRTIO_NET_OK);
	gpa = fe_gpa(&ctrlq_bench.fe, r->buf);
	answer = r->buf + 100;
	memset(r->buf, 0xff, 200);
	memcpy(r->buf, cmd, sizeof(cmd));
	r->desc[0] = (struct vring_desc){ gpa, sizeof(cmd), VRING_DESC_F_NEXT, 1 };
	r->desc[1] = (struct vring_desc){ gpa + 100, 3,
					  VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 2 };
	r->desc[2] = (struct vring_desc){ gpa + 103, 50, VRING_DESC_F_WRITE, 0 };
	fe_offer(r, 0);
	(void)!write(r->kick, &(uint64_t){ 1 }, sizeof(uint64_t));
	TEST_ASSERT(BECOMES(answer[8] != 0xff));
	TEST_ASSERT(memcmp((const uint8_t *)answer, want, sizeof(want)) == 0);
	TEST_EQ(answer[9], 0xff);
	TEST_EQ(r->used->ring[1].len, 9);
	/* a driver that has room for the answer alone gets that */
	TEST_EQ(ctrlq_send(cmd, sizeof(cmd)), VIRTIO_NET_OK);
	ctrlq_close();
	return TEST_OK;
}

/* Frames that the guest has taken, and the last round that the host has sent. */
static _Atomic unsigned int nr_taken, nr_sent;
static _Atomic bool gave_up;

/* Sends more only when all was taken: a call that is lost stops both. */
static void *
careful_host(void *arg)
{
	uint64_t rnd = *(uint64_t *)arg;

	for (unsigned int round = 0; round < 1500 && !atomic_load(&gave_up); round++) {
		uint16_t n = (uint16_t)(1 + test_rand(&rnd) % 8);

		while (atomic_load(&nr_taken) != atomic_load(&nr_sent) &&
		       !atomic_load(&gave_up))
			sched_yield();
		for (uint16_t i = 0; i < n && !atomic_load(&gave_up); i++)
			if (host_sends(1))
				atomic_fetch_add(&nr_sent, 1);
		if (round % 300 == 0)
			usleep(20000);
	}
	return NULL;
}

/* As a driver that sleeps: take all, ask for a call, look again, sleep. */
static bool
guest_takes(unsigned int total)
{
	struct fe_ring *r = &ctrlq_bench.fe.ring[0];
	uint8_t buf[65536];

	for (;;) {
		while (fe_recv(&ctrlq_bench.fe, 0, buf) != 0) {
			fe_post(&ctrlq_bench.fe, 0);
			total++;
			atomic_store(&nr_taken, total);
		}
		if (r->packed == NULL)
			*(volatile uint16_t *)&r->avail->ring[FE_RING] = r->used_idx;
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (fe_recv(&ctrlq_bench.fe, 0, buf) == 0)
			return true;
		fe_post(&ctrlq_bench.fe, 0);
		total++;
		atomic_store(&nr_taken, total);
	}
}

static enum test_result
no_call_lost(uint64_t features, uint32_t packets, uint32_t usecs)
{
	uint64_t seed = test_seed();
	pthread_t t;
	int left = 100;

	TEST_EQ(bench(features), 0);
	TEST_EQ(wish(RX_SET, packets, usecs), VIRTIO_NET_OK);
	atomic_store(&nr_taken, 0);
	atomic_store(&nr_sent, 0);
	atomic_store(&gave_up, false);
	guest_takes(0);
	TEST_EQ(pthread_create(&t, NULL, careful_host, &seed), 0);
	while (pthread_tryjoin_np(t, NULL) != 0) {
		if (called(0, 100)) {
			guest_takes(atomic_load(&nr_taken));
			left = 100;
		} else if (--left == 0) {
			atomic_store(&gave_up, true);
		}
	}
	TEST_ASSERT(!atomic_load(&gave_up));
	ctrlq_close();
	return TEST_OK;
}

static enum test_result
no_call_lost_split(void)
{
	return no_call_lost(FE_SPLIT, 4, 100);
}

static enum test_result
no_call_lost_split_by_time(void)
{
	return no_call_lost(FE_SPLIT, 10000, 50);
}

static enum test_result
no_call_lost_packed(void)
{
	return no_call_lost(ALL, 4, 100);
}

static const struct test_case cases[] = {
	{ "calls_come_by_packets", calls_come_by_packets },
	{ "calls_come_by_any_number_of_packets", calls_come_by_any_number_of_packets },
	{ "call_behind_one_held_long_is_wanted", call_behind_one_held_long_is_wanted },
	{ "calls_come_by_time", calls_come_by_time },
	{ "calls_held_go_when_they_cannot_be", calls_held_go_when_they_cannot_be },
	{ "wish_is_told_again", wish_is_told_again },
	{ "no_call_lost_split", no_call_lost_split },
	{ "no_call_lost_split_by_time", no_call_lost_split_by_time },
	{ "no_call_lost_packed", no_call_lost_packed },
};

AUTOTEST_EAL(coal_autotest, cases);
