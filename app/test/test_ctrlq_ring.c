/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control queue's ring, and a driver that acts while the port is at it.
 */
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "ctrlq_bench.h"
#include "test.h"
#include "weir_log.h"

/* Descriptors of a command, and commands that are offered ahead: nearly a ring. */
#define DESCS 3u
#define AHEAD (FE_RING / DESCS - 1)

/* Commands in all: they go round the ring, and the port serves as many in one go. */
#define COMMANDS 60u

static _Atomic bool offers;
static _Atomic unsigned int nr_served;

static void
offer(void)
{
	fe_offer(&ctrlq_bench.fe.ring[CTRL], 0);
}

/* On the control thread, for each command: those before have been given back, and the
 * last of them is offered again before the port looks for the next. */
static void
offer_again(enum weir_log_level level, const char *msg)
{
	unsigned int n;

	(void)level;
	if (!atomic_load(&offers) || strstr(msg, "control queue: class") == NULL)
		return;
	n = atomic_load(&nr_served);
	if (n != 0 && n + AHEAD <= COMMANDS)
		offer();
	atomic_store(&nr_served, n + 1);
}

static enum test_result
commands_offered_again_served(uint64_t features)
{
	const struct fe *fe = &ctrlq_bench.fe;
	struct weir_guest_filter filter;
	struct fe_ring *r;

	TEST_EQ(ctrlq_open(features, false), 0);
	TEST_ASSERT(BECOMES(weir_port_link(ctrlq_bench.port)));
	atomic_store(&nr_served, 0);
	weir_log_set_sink(offer_again);
	r = &ctrlq_bench.fe.ring[CTRL];
	memcpy(r->buf, (uint8_t[]){ 0, 0, 1 }, 3);
	r->desc[0] = (struct vring_desc){ fe_gpa(fe, r->buf), 2, VRING_DESC_F_NEXT, 1 };
	r->desc[1] =
		(struct vring_desc){ fe_gpa(fe, r->buf + 2), 1, VRING_DESC_F_NEXT, 2 };
	r->desc[2] = (struct vring_desc){ fe_gpa(fe, r->buf + FE_BUF), 1,
					  VRING_DESC_F_WRITE, 0 };
	for (unsigned int i = 0; i < AHEAD; i++)
		offer();
	atomic_store(&offers, true);
	TEST_EQ(write(r->kick, &(uint64_t){ 1 }, sizeof(uint64_t)), sizeof(uint64_t));
	TEST_ASSERT(BECOMES(atomic_load(&nr_served) == COMMANDS ||
			    !weir_port_link(ctrlq_bench.port)));
	/* the control thread is done with it */
	weir_port_guest_filter(ctrlq_bench.port, &filter);
	atomic_store(&offers, false);
	TEST_EQ(atomic_load(&nr_served), COMMANDS);
	TEST_ASSERT(weir_port_link(ctrlq_bench.port));
	ctrlq_close();
	return TEST_OK;
}

static enum test_result
commands_offered_again_served_split(void)
{
	return commands_offered_again_served(FE_SPLIT);
}

static enum test_result
commands_offered_again_served_packed(void)
{
	return commands_offered_again_served(UINT64_MAX);
}

static const struct test_case cases[] = {
	{ "commands_offered_again_served_split", commands_offered_again_served_split },
	{ "commands_offered_again_served_packed", commands_offered_again_served_packed },
};

AUTOTEST_EAL(ctrlq_ring_autotest, cases);
