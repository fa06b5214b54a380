/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kicks and calls as messages: a frontend without eventfds gets its calls over the
 * backend's channel, one at a time, and wakes who sleeps by a message.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "port_bench.h"
#include "run_folder.h"

#define PF(f) WEIR_VHOST_BIT(WEIR_VHOST_PF_##f)
#define INBAND (PF(BACKEND_REQ) | PF(INBAND_NOTIFICATIONS))
#define WAIT_MS 20000

struct guest {
	struct bench b;
	struct fe f;
	int chan;
};

static int
port_open(struct guest *g)
{
	const struct weir_port_conf conf = {
		.name = "inband",
		.path = g->b.path,
		.nr_pairs = 1,
		.inband = true,
	};
	int ret;

	run_folder_path(g->b.path, sizeof(g->b.path), "inband.sock");
	ret = weir_port_create(&conf, &g->b.port);
	if (ret == 0)
		ret = weir_port_rxq_setup(g->b.port, 0, pool, NULL);
	if (ret == 0)
		ret = weir_port_txq_setup(g->b.port, 0, NULL);
	g->b.rxq = weir_port_rxq(g->b.port, 0);
	g->b.txq = weir_port_txq(g->b.port, 0);
	return ret;
}

/* Start a ring without descriptors; it wants to be called. */
static enum test_result
ring_start(struct guest *g, unsigned int i)
{
	const uint64_t nofd = i | WEIR_VHOST_RING_NOFD;

	TEST_EQ(fe_ring_start(&g->f, i, FE_BASE_NEW), 0);
	TEST_EQ(fe_msg_ack(&g->f, WEIR_VHOST_SET_VRING_CALL, &nofd, sizeof(nofd), NULL,
			   0),
		0);
	TEST_EQ(fe_msg_ack(&g->f, WEIR_VHOST_SET_VRING_KICK, &nofd, sizeof(nofd), NULL,
			   0),
		0);
	g->f.ring[i].avail->flags = 0;
	return TEST_OK;
}

static enum test_result
guest_open(struct guest *g, bool channel)
{
	TEST_EQ(weir_port_start(g->b.port), 0);
	TEST_EQ(fe_connect(&g->f, g->b.path, 1), 0);
	TEST_EQ(fe_features(&g->f, FE_SPLIT & ~WEIR_VHOST_BIT(VIRTIO_RING_F_EVENT_IDX)),
		0);
	TEST_EQ(fe_protocol(&g->f, INBAND), 0);
	TEST_EQ(fe_share(&g->f), 0);
	g->chan = channel ? fe_channel(&g->f) : -1;
	TEST_ASSERT(!channel || g->chan >= 0);
	for (unsigned int i = 0; i < 2; i++)
		TEST_EQ(ring_start(g, i), TEST_OK);
	return TEST_OK;
}

static enum test_result
guest_close(struct guest *g)
{
	close(g->chan);
	fe_close(&g->f);
	TEST_ASSERT(link_becomes(&g->b, false));
	weir_port_destroy(g->b.port);
	return TEST_OK;
}

/* A call comes, of this ring. */
static enum test_result
call_comes(struct guest *g, uint32_t ring, struct weir_vhost_hdr *h)
{
	struct vhost_vring_state call;

	TEST_EQ(fe_channel_recv(g->chan, h, &call, sizeof(call)), 0);
	TEST_EQ(h->request, WEIR_VHOST_BACKEND_VRING_CALL);
	TEST_EQ(h->size, sizeof(call));
	TEST_ASSERT((h->flags & WEIR_VHOST_FLAG_NEED_REPLY) != 0);
	TEST_EQ(call.index, ring);
	TEST_EQ(call.num, 0);
	return TEST_OK;
}

/* A frame from the guest, received by the port. */
static enum test_result
one_frame(struct guest *g)
{
	static const uint8_t frame[100];
	struct rte_mbuf *m;

	TEST_ASSERT(fe_send(&g->f, 0, frame, sizeof(frame), FE_ONE));
	TEST_EQ(weir_port_rx_burst(g->b.rxq, &m, 1), 1);
	rte_pktmbuf_free(m);
	TEST_EQ(fe_reap(&g->f, 0), 1);
	return TEST_OK;
}

static enum test_result
calls_are_sent_one_at_a_time(void)
{
	struct weir_vhost_hdr h;
	struct bench first;
	struct guest g = { 0 };

	TEST_EQ(bench_open(&first, NULL, 0), 0);
	TEST_EQ(port_open(&g), 0);
	TEST_EQ(guest_open(&g, true), TEST_OK);
	TEST_EQ(one_frame(&g), TEST_OK);
	TEST_EQ(call_comes(&g, 1, &h), TEST_OK);
	/* what comes before the answer is one call more, whenever it was */
	for (unsigned int i = 0; i < 20; i++)
		TEST_EQ(one_frame(&g), TEST_OK);
	/* the port's thread has had its turn */
	TEST_EQ(fe_msg_ack(&g.f, WEIR_VHOST_SET_OWNER, NULL, 0, NULL, 0), 0);
	TEST_EQ(fe_channel_waiting(g.chan), 0);
	TEST_EQ(fe_channel_answer(g.chan, &h, 0), 0);
	TEST_EQ(call_comes(&g, 1, &h), TEST_OK);
	TEST_EQ(fe_channel_answer(g.chan, &h, 0), 0);
	/* a guest that wants no calls gets none */
	g.f.ring[1].avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	TEST_EQ(one_frame(&g), TEST_OK);
	TEST_EQ(fe_msg_ack(&g.f, WEIR_VHOST_SET_OWNER, NULL, 0, NULL, 0), 0);
	TEST_EQ(fe_channel_waiting(g.chan), 0);
	/* the other ring's are its own */
	fe_post(&g.f, 0);
	TEST_EQ(to_guest(&g.b, &g.f, 1), TEST_OK);
	TEST_EQ(call_comes(&g, 0, &h), TEST_OK);
	TEST_EQ(guest_close(&g), TEST_OK);
	TEST_EQ(bench_close(&first), 0);
	return TEST_OK;
}

static enum test_result
call_waits_for_the_channel(void)
{
	struct weir_vhost_hdr h;
	struct bench first;
	struct guest g = { 0 };

	TEST_EQ(bench_open(&first, NULL, 0), 0);
	TEST_EQ(port_open(&g), 0);
	TEST_EQ(guest_open(&g, false), TEST_OK);
	TEST_EQ(one_frame(&g), TEST_OK);
	TEST_EQ(fe_msg_ack(&g.f, WEIR_VHOST_SET_OWNER, NULL, 0, NULL, 0), 0);
	g.chan = fe_channel(&g.f);
	TEST_ASSERT(g.chan >= 0);
	TEST_EQ(call_comes(&g, 1, &h), TEST_OK);
	/* a channel that breaks takes the call with it, and nothing else */
	close(g.chan);
	TEST_EQ(one_frame(&g), TEST_OK);
	g.chan = fe_channel(&g.f);
	TEST_ASSERT(g.chan >= 0);
	TEST_EQ(one_frame(&g), TEST_OK);
	TEST_EQ(call_comes(&g, 1, &h), TEST_OK);
	TEST_EQ(guest_close(&g), TEST_OK);
	TEST_EQ(bench_close(&first), 0);
	return TEST_OK;
}

static enum test_result
kick_wakes_who_sleeps(void)
{
	const struct vhost_vring_state kick = { 1, 0 };
	static const uint8_t frame[100];
	struct rte_mbuf *m;
	struct bench first;
	struct pollfd p;
	struct guest g = { 0 };

	TEST_EQ(bench_open(&first, NULL, 0), 0);
	TEST_EQ(port_open(&g), 0);
	TEST_EQ(weir_port_rxq_wake_fd(g.b.port, 0, &p.fd), 0);
	p.events = POLLIN;
	TEST_EQ(guest_open(&g, true), TEST_OK);
	for (unsigned int i = 0; i < 5; i++) {
		/* what has happened until now */
		TEST_EQ(weir_queue_wake_arm(g.b.rxq), 0);
		TEST_EQ(weir_queue_wake_disarm(g.b.rxq), 0);
		TEST_EQ(weir_queue_wake_arm(g.b.rxq), 0);
		TEST_EQ(poll(&p, 1, 0), 0);
		TEST_ASSERT(fe_send(&g.f, 0, frame, sizeof(frame), FE_ONE));
		TEST_EQ(fe_msg(&g.f, WEIR_VHOST_VRING_KICK, &kick, sizeof(kick), NULL, 0,
			       NULL, 0),
			0);
		TEST_EQ(poll(&p, 1, WAIT_MS), 1);
		TEST_EQ(weir_queue_wake_disarm(g.b.rxq), 0);
		TEST_EQ(weir_port_rx_burst(g.b.rxq, &m, 1), 1);
		rte_pktmbuf_free(m);
		TEST_EQ(fe_reap(&g.f, 0), 1);
	}
	TEST_EQ(guest_close(&g), TEST_OK);
	TEST_EQ(bench_close(&first), 0);
	return TEST_OK;
}

static enum test_result
kick_of_no_sense_refused(void)
{
	struct vhost_vring_state kick = { 1, 0 };
	struct bench first;
	struct guest g = { 0 };
	uint64_t pf;

	TEST_EQ(bench_open(&first, NULL, 0), 0);
	/* a port that does not offer it */
	TEST_EQ(fe_connect(&g.f, first.path, 1), 0);
	TEST_EQ(fe_features(&g.f, FE_SPLIT), 0);
	TEST_ASSERT(fe_protocol(&g.f, INBAND) != 0);
	TEST_ASSERT(fe_msg_ack(&g.f, WEIR_VHOST_VRING_KICK, &kick, sizeof(kick), NULL,
			       0) > 0);
	TEST_ASSERT(said("INBAND_NOTIFICATIONS was not negotiated"));
	fe_close(&g.f);
	TEST_EQ(port_open(&g), 0);
	TEST_EQ(guest_open(&g, true), TEST_OK);
	kick.num = 1;
	TEST_ASSERT(fe_msg_ack(&g.f, WEIR_VHOST_VRING_KICK, &kick, sizeof(kick), NULL,
			       0) > 0);
	TEST_ASSERT(said("1 is not 0"));
	kick = (struct vhost_vring_state){ 2, 0 };
	TEST_ASSERT(fe_msg_ack(&g.f, WEIR_VHOST_VRING_KICK, &kick, sizeof(kick), NULL,
			       0) > 0);
	/* a ring that has stopped is not kicked, and nobody minds */
	kick.index = 1;
	TEST_EQ(fe_msg(&g.f, WEIR_VHOST_GET_VRING_BASE, &kick, sizeof(kick), NULL, 0,
		       &kick, sizeof(kick)),
		0);
	kick.num = 0;
	TEST_EQ(fe_msg_ack(&g.f, WEIR_VHOST_VRING_KICK, &kick, sizeof(kick), NULL, 0), 0);
	/* without a channel, or answers, it is of no use */
	pf = PF(INBAND_NOTIFICATIONS) | PF(REPLY_ACK);
	TEST_ASSERT(fe_msg_ack(&g.f, WEIR_VHOST_SET_PROTOCOL_FEATURES, &pf, sizeof(pf),
			       NULL, 0) > 0);
	TEST_ASSERT(said("INBAND_NOTIFICATIONS without BACKEND_REQ"));
	pf = INBAND;
	TEST_ASSERT(fe_msg_ack(&g.f, WEIR_VHOST_SET_PROTOCOL_FEATURES, &pf, sizeof(pf),
			       NULL, 0) > 0);
	TEST_ASSERT(said("INBAND_NOTIFICATIONS without REPLY_ACK"));
	TEST_EQ(guest_close(&g), TEST_OK);
	TEST_EQ(bench_close(&first), 0);
	return TEST_OK;
}

static const struct test_case port_inband_cases[] = {
	{ "calls_are_sent_one_at_a_time", calls_are_sent_one_at_a_time },
	{ "call_waits_for_the_channel", call_waits_for_the_channel },
	{ "kick_wakes_who_sleeps", kick_wakes_who_sleeps },
	{ "kick_of_no_sense_refused", kick_of_no_sense_refused },
};
AUTOTEST_EAL(port_inband_autotest, port_inband_cases);
