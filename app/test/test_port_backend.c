/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages of the port's own, to a frontend that answers them, or does not.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "port.h"
#include "port_bench.h"

#define REQUEST WEIR_VHOST_BACKEND_CONFIG_CHANGE_MSG
#define OTHER WEIR_VHOST_BACKEND_IOTLB_MSG

/* A message on its way to the control thread, and what became of it. */
struct sent {
	struct weir_port *p;
	uint32_t request, len;
	bool ask;
	int ret;
	_Atomic int nr_done, result;
};

static void
done(struct weir_port *p, void *arg, int result)
{
	struct sent *s = arg;

	(void)p;
	atomic_store(&s->result, result);
	atomic_fetch_add(&s->nr_done, 1);
}

static void
do_send(void *arg)
{
	static const uint8_t payload[64] = { 1, 2, 3 };
	struct sent *s = arg;

	s->ret = port_backend_send(s->p, s->request, payload, s->len,
				   s->ask ? done : NULL, s);
}

static int
send_one(struct sent *s, struct bench *b, uint32_t request, uint32_t len, bool ask)
{
	*s = (struct sent){ .p = b->port, .request = request, .len = len, .ask = ask };
	ctl_run(do_send, s);
	return s->ret;
}

static bool
done_with(struct sent *s, int result)
{
	for (int i = 0; i < 5000 && atomic_load(&s->nr_done) == 0; i++)
		usleep(1000);
	if (s->nr_done != 1 || s->result != result)
		printf("    done %d times, with %d\n", s->nr_done, s->result);
	return s->nr_done == 1 && s->result == result;
}

/* A frontend with both rings; @return its end of the channel. */
static int
open_both(struct bench *b, struct fe *f)
{
	int ret = bench_open(b, NULL, 0);

	if (ret == 0)
		ret = fe_open(f, b->path, 1, ALL_FEATURES);
	if (ret == 0)
		ret = fe_protocol(f, WEIR_VHOST_BIT(WEIR_VHOST_PF_BACKEND_REQ));
	return ret != 0 ? ret : fe_channel(f);
}

static enum test_result
close_both(struct bench *b, struct fe *f, int chan)
{
	fe_close(f);
	TEST_ASSERT(link_becomes(b, false));
	TEST_EQ(bench_close(b), 0);
	if (chan >= 0)
		close(chan);
	return TEST_OK;
}

static enum test_result
backend_message_is_answered(void)
{
	struct weir_vhost_hdr h[3];
	uint8_t payload[64];
	struct sent s[3];
	struct bench b;
	struct fe f;
	int chan;

	chan = open_both(&b, &f);
	TEST_ASSERT(chan >= 0);
	TEST_EQ(send_one(&s[0], &b, REQUEST, 0, false), 0);
	TEST_EQ(send_one(&s[1], &b, OTHER, 32, true), 0);
	TEST_EQ(send_one(&s[2], &b, REQUEST, 0, true), 0);
	for (int i = 0; i < 3; i++)
		TEST_EQ(fe_channel_recv(chan, &h[i], payload, sizeof(payload)), 0);
	TEST_EQ(h[0].request, REQUEST);
	TEST_EQ(h[0].flags, WEIR_VHOST_VERSION);
	TEST_EQ(h[0].size, 0);
	TEST_EQ(h[1].request, OTHER);
	TEST_EQ(h[1].flags, WEIR_VHOST_VERSION | WEIR_VHOST_FLAG_NEED_REPLY);
	TEST_EQ(h[1].size, 32);
	TEST_EQ(payload[2], 3);
	TEST_EQ(fe_channel_answer(chan, &h[1], 1), 0);
	TEST_ASSERT(done_with(&s[1], -EIO));
	TEST_EQ(s[2].nr_done, 0);
	TEST_EQ(fe_channel_answer(chan, &h[2], 0), 0);
	TEST_ASSERT(done_with(&s[2], 0));
	TEST_EQ(send_one(&s[0], &b, REQUEST, sizeof(union weir_vhost_payload) + 1, true),
		-EMSGSIZE);
	return close_both(&b, &f, chan);
}

static enum test_result
backend_without_reply_ack_is_done_when_sent(void)
{
	const uint64_t pf = WEIR_VHOST_BIT(WEIR_VHOST_PF_BACKEND_REQ);
	struct weir_vhost_hdr h;
	struct bench b;
	struct sent s;
	struct fe f;
	int chan;

	chan = open_both(&b, &f);
	TEST_ASSERT(chan >= 0);
	TEST_EQ(fe_msg_ack(&f, WEIR_VHOST_SET_PROTOCOL_FEATURES, &pf, sizeof(pf), NULL,
			   0),
		0);
	TEST_EQ(send_one(&s, &b, REQUEST, 0, true), 0);
	TEST_ASSERT(done_with(&s, 0));
	TEST_EQ(fe_channel_recv(chan, &h, NULL, 0), 0);
	TEST_EQ(h.flags, WEIR_VHOST_VERSION);
	return close_both(&b, &f, chan);
}

static enum test_result
backend_without_channel_says_so(void)
{
	struct bench b;
	struct sent s;
	struct fe f;
	int chan;

	chan = open_both(&b, &f);
	TEST_ASSERT(chan >= 0);
	close(chan);
	/* the end of the channel is seen before what comes after it */
	for (int i = 0; i < 5000 && send_one(&s, &b, REQUEST, 0, true) != -ENOENT; i++)
		usleep(1000);
	TEST_EQ(s.ret, -ENOENT);
	TEST_ASSERT(link_becomes(&b, true));
	fe_close(&f);
	TEST_ASSERT(link_becomes(&b, false));
	TEST_EQ(send_one(&s, &b, REQUEST, 0, true), -ENOENT);
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

/* Whoever waits for an answer learns that none will come. */
static enum test_result
backend_channel_replaced_or_lost_is_told(void)
{
	struct weir_vhost_hdr h;
	struct sent s[2];
	struct bench b;
	struct fe f;
	int old, chan;

	old = open_both(&b, &f);
	TEST_ASSERT(old >= 0);
	TEST_EQ(send_one(&s[0], &b, REQUEST, 0, true), 0);
	chan = fe_channel(&f);
	TEST_ASSERT(chan >= 0);
	TEST_ASSERT(done_with(&s[0], -ECONNRESET));
	TEST_EQ(fe_channel_recv(old, &h, NULL, 0), 0);
	TEST_EQ(fe_channel_recv(old, &h, NULL, 0), -ECONNRESET);
	close(old);
	TEST_EQ(send_one(&s[1], &b, OTHER, 4, true), 0);
	TEST_EQ(fe_channel_recv(chan, &h, (uint8_t[4]){ 0 }, 4), 0);
	TEST_EQ(h.request, OTHER);
	fe_close(&f);
	TEST_ASSERT(done_with(&s[1], -ECONNRESET));
	return close_both(&b, &f, chan);
}

/* One that does not read, one that reads and does not answer. */
static enum test_result
backend_to_deaf_frontend_does_not_wait(void)
{
	struct sent s[PORT_BACKEND_CALLS + 1];
	struct bench b;
	unsigned int i;
	struct fe f;
	int chan;

	chan = open_both(&b, &f);
	TEST_ASSERT(chan >= 0);
	for (i = 0; i < PORT_BACKEND_CALLS; i++)
		TEST_EQ(send_one(&s[i], &b, REQUEST, 0, true), 0);
	TEST_EQ(send_one(&s[i], &b, REQUEST, 0, true), -EAGAIN);
	for (i = 0; i < 1000000; i++)
		if (send_one(&s[PORT_BACKEND_CALLS], &b, REQUEST, 0, false) != 0)
			break;
	TEST_EQ(s[PORT_BACKEND_CALLS].ret, -EAGAIN);
	TEST_ASSERT(to_host(&b, &f, 100) == TEST_OK);
	fe_close(&f);
	for (i = 0; i < PORT_BACKEND_CALLS; i++)
		TEST_ASSERT(done_with(&s[i], -ECONNRESET));
	TEST_EQ(s[PORT_BACKEND_CALLS].nr_done, 0);
	return close_both(&b, &f, chan);
}

/* What breaks the channel's rules, and what the log says then. */
static const struct {
	struct weir_vhost_hdr hdr;
	bool sent_one;
	const char *says;
} broken[] = {
	{ { REQUEST, 5, 8 }, false, "an answer to nothing" },
	{ { REQUEST, 1, 8 }, true, "no answer's" },
	{ { REQUEST, 6, 8 }, true, "no answer's" },
	{ { OTHER, 5, 8 }, true, "to another message" },
	{ { REQUEST, 5, 4 }, true, "of the wrong length" },
	{ { REQUEST, 5, UINT32_MAX }, true, "longer than any" },
};

/* Its channel is closed, its rings go on. */
static enum test_result
backend_bad_answer_closes_channel(void)
{
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		struct {
			struct weir_vhost_hdr hdr;
			uint8_t payload[8];
		} m = { broken[i].hdr, { 0 } };
		struct weir_vhost_hdr h;
		struct bench b;
		struct sent s;
		struct fe f;
		int chan;

		chan = open_both(&b, &f);
		TEST_ASSERT(chan >= 0);
		if (broken[i].sent_one) {
			TEST_EQ(send_one(&s, &b, REQUEST, 0, true), 0);
			TEST_EQ(fe_channel_recv(chan, &h, NULL, 0), 0);
		}
		TEST_EQ(send(chan, &m, sizeof(m.hdr) + RTE_MIN(m.hdr.size, 8u), 0),
			sizeof(m.hdr) + RTE_MIN(m.hdr.size, 8u));
		if (broken[i].sent_one)
			TEST_ASSERT(done_with(&s, -ECONNRESET));
		else
			while (send_one(&s, &b, REQUEST, 0, false) != -ENOENT)
				usleep(1000);
		TEST_ASSERT(said(broken[i].says));
		TEST_ASSERT(to_guest(&b, &f, 50) == TEST_OK);
		TEST_ASSERT(close_both(&b, &f, chan) == TEST_OK);
	}
	return TEST_OK;
}

static const struct test_case cases[] = {
	{ "backend_message_is_answered", backend_message_is_answered },
	{ "backend_without_reply_ack_is_done_when_sent",
	  backend_without_reply_ack_is_done_when_sent },
	{ "backend_without_channel_says_so", backend_without_channel_says_so },
	{ "backend_channel_replaced_or_lost_is_told",
	  backend_channel_replaced_or_lost_is_told },
	{ "backend_to_deaf_frontend_does_not_wait",
	  backend_to_deaf_frontend_does_not_wait },
	{ "backend_bad_answer_closes_channel", backend_bad_answer_closes_channel },
};

AUTOTEST_EAL(port_backend_autotest, cases);
