/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a ring that a reset stopped goes on: what GET_VRING_BASE says of it then.
 */
#include <string.h>

#include "port_bench.h"

#define LEN 200u
#define NR_FRAMES 12u
#define STATUS_PF WEIR_VHOST_BIT(WEIR_VHOST_PF_STATUS)

static enum test_result
guest_open(struct fe *f, const struct bench *b)
{
	TEST_EQ(fe_connect(f, b->path, 1), 0);
	TEST_EQ(fe_features(f, ALL_FEATURES), 0);
	TEST_EQ(fe_protocol(f, STATUS_PF), 0);
	TEST_EQ(fe_share(f), 0);
	for (unsigned int i = 0; i < 2; i++)
		TEST_EQ(fe_ring_start(f, i, FE_BASE_NEW), 0);
	TEST_ASSERT(link_becomes(b, true));
	return TEST_OK;
}

static enum test_result
set_status(struct fe *f, uint64_t status)
{
	TEST_EQ(fe_msg_ack(f, WEIR_VHOST_SET_STATUS, &status, sizeof(status), NULL, 0),
		0);
	return TEST_OK;
}

static enum test_result
get_base(struct fe *f, uint32_t ring, uint32_t *base)
{
	const struct vhost_vring_state which = { ring, 0 };
	struct vhost_vring_state answer;

	TEST_EQ(fe_msg(f, WEIR_VHOST_GET_VRING_BASE, &which, sizeof(which), NULL, 0,
		       &answer, sizeof(answer)),
		0);
	TEST_EQ(answer.index, ring);
	*base = answer.num;
	return TEST_OK;
}

/* What a base is after so many chains of one descriptor, in the first lap. */
static uint32_t
base_after(uint32_t nr)
{
	return wanted == FE_SPLIT ? nr : (0x8000u | nr) * 0x10001u;
}

/* Receive frames up to number @until; @got is the next one. */
static enum test_result
receive(struct bench *b, uint32_t *got, uint32_t until)
{
	struct rte_mbuf *m;

	for (uint32_t idle = 0; *got < until; idle++) {
		TEST_ASSERT(idle < 100000000);
		if (weir_port_rx_burst(b->rxq, &m, 1) == 0)
			continue;
		TEST_EQ(m->pkt_len, LEN);
		TEST_ASSERT(filled(rte_pktmbuf_mtod(m, uint8_t *), LEN, (*got)++));
		rte_pktmbuf_free(m);
	}
	return TEST_OK;
}

/* As QEMU 7.2 stops a guest and lets it go on: the status first, then the bases. */
static enum test_result
stopped_by_status(const char *dma)
{
	uint32_t got = 0, base[2];
	uint8_t buf[LEN];
	struct bench b;
	struct fe f;

	TEST_EQ(bench_open(&b, dma, 0), 0);
	TEST_EQ(guest_open(&f, &b), TEST_OK);
	for (uint32_t i = 0; i < NR_FRAMES; i++) {
		fill(buf, sizeof(buf), i);
		TEST_ASSERT(fe_send(&f, 0, buf, sizeof(buf), FE_ONE));
	}
	for (uint32_t stop = 0; stop < NR_FRAMES / 3; stop++) {
		TEST_EQ(set_status(&f, 0xf), TEST_OK);
		TEST_EQ(receive(&b, &got, got + 3), TEST_OK);
		TEST_EQ(set_status(&f, 0), TEST_OK);
		TEST_ASSERT(link_becomes(&b, false));
		for (unsigned int i = 0; i < 2; i++)
			TEST_EQ(get_base(&f, i, &base[i]), TEST_OK);
		TEST_EQ(base[0], base_after(0));
		TEST_EQ(base[1], base_after(got));
		/* and the same again */
		TEST_EQ(get_base(&f, 1, &base[1]), TEST_OK);
		TEST_EQ(base[1], base_after(got));
		TEST_EQ(fe_msg_ack(&f, WEIR_VHOST_SET_FEATURES, &f.features,
				   sizeof(f.features), NULL, 0),
			0);
		for (unsigned int i = 0; i < 2; i++)
			TEST_EQ(fe_ring_start(&f, i, base[i]), 0);
		TEST_ASSERT(link_becomes(&b, true));
	}
	TEST_EQ(fe_reap(&f, 0), NR_FRAMES);
	TEST_EQ(to_host(&b, &f, 20), TEST_OK);
	TEST_EQ(to_guest(&b, &f, 20), TEST_OK);
	fe_close(&f);
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

static enum test_result
ring_stopped_by_status_says_where_it_was(void)
{
	return stopped_by_status(NULL);
}

static enum test_result
ring_stopped_by_status_in_flight_says_where_it_was(void)
{
	enum test_result r;

	TEST_EQ(dma_open("mode=thread,delay_us=1000"), 0);
	r = stopped_by_status("dma_weir_test");
	dma_close();
	return r;
}

static enum test_result
packed_ring_stopped_by_status_says_where_it_was(void)
{
	enum test_result r;

	wanted = UINT64_MAX;
	r = stopped_by_status(NULL);
	wanted = FE_SPLIT;
	return r;
}

/* What was said after the reset counts, though the ring has run before. */
static enum test_result
base_set_after_a_reset_is_the_answer(void)
{
	const struct vhost_vring_state set = { 1, 7 };
	uint8_t buf[LEN] = { 0 };
	uint32_t got = 0, base;
	struct bench b;
	struct fe f;

	TEST_EQ(bench_open(&b, NULL, 0), 0);
	TEST_EQ(guest_open(&f, &b), TEST_OK);
	fill(buf, sizeof(buf), 0);
	TEST_ASSERT(fe_send(&f, 0, buf, sizeof(buf), FE_ONE));
	TEST_EQ(receive(&b, &got, 1), TEST_OK);
	TEST_EQ(set_status(&f, 0), TEST_OK);
	TEST_EQ(fe_msg_ack(&f, WEIR_VHOST_SET_VRING_BASE, &set, sizeof(set), NULL, 0), 0);
	TEST_EQ(get_base(&f, 1, &base), TEST_OK);
	TEST_EQ(base, 7);
	/* reset again without having run: it is there still */
	TEST_EQ(set_status(&f, 0), TEST_OK);
	TEST_EQ(get_base(&f, 1, &base), TEST_OK);
	TEST_EQ(base, 7);
	fe_close(&f);
	TEST_ASSERT(link_becomes(&b, false));
	/* the next guest's rings have not been anywhere */
	TEST_EQ(fe_connect(&f, b.path, 1), 0);
	TEST_EQ(fe_features(&f, ALL_FEATURES), 0);
	TEST_EQ(get_base(&f, 1, &base), TEST_OK);
	TEST_EQ(base, 0);
	fe_close(&f);
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

static const struct test_case port_base_cases[] = {
	{ "ring_stopped_by_status_says_where_it_was",
	  ring_stopped_by_status_says_where_it_was },
	{ "ring_stopped_by_status_in_flight_says_where_it_was",
	  ring_stopped_by_status_in_flight_says_where_it_was },
	{ "packed_ring_stopped_by_status_says_where_it_was",
	  packed_ring_stopped_by_status_says_where_it_was },
	{ "base_set_after_a_reset_is_the_answer", base_set_after_a_reset_is_the_answer },
};
AUTOTEST_EAL(port_base_autotest, port_base_cases);
