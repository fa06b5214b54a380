/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dma-threshold=auto: what copies are found to cost, and what follows from it.
 */
#include <errno.h>
#include <string.h>

#include <rte_cycles.h>

#include "queue_rig.h"
#include "test.h"

#define HDR RIG_HDR

static struct rte_mempool *pool;
static struct rig rig;

/* Costs of classes 6, 9 and 11, of a copy by DMA, and what follows from them. */
static const struct tune_case {
	uint64_t cpu6, cpu9, cpu11, dma;
	uint32_t now, then;
} tune_cases[] = {
	{ 100, 200, 400, 0, 512, 512 },	    /* nothing is known of DMA */
	{ 100, 200, 400, 300, 512, 1024 },  /* 2 KiB are worth it, 512 bytes are not */
	{ 100, 200, 400, 50, 512, 0 },	    /* all are */
	{ 100, 200, 400, 1000, 512, 4096 }, /* none of those that came */
	{ 100, 200, 400, 410, 4096, 4096 }, /* alike: as it was, */
	{ 100, 200, 400, 410, 1024, 1024 }, /* ... either way */
	{ 100, 200, 400, 360, 4096, 4096 }, /* not for a little, */
	{ 100, 200, 400, 350, 4096, 1024 }, /* but for more */
	{ 100, 200, 400, 450, 1024, 1024 }, { 100, 200, 400, 460, 1024, 4096 },
	{ 0, 200, 0, 100, 4096, 0 },
};

static enum test_result
threshold_follows_costs_with_hysteresis(void)
{
	for (size_t i = 0; i < RTE_DIM(tune_cases); i++) {
		const struct tune_case *c = &tune_cases[i];
		struct queue_tune t = { .submit = c->dma / 2,
					.complete = c->dma - c->dma / 2 };

		t.cpu[6] = c->cpu6;
		t.cpu[9] = c->cpu9;
		t.cpu[11] = c->cpu11;
		if (tune_threshold(&t, c->now) != c->then) {
			printf("    case %zu: %u\n", i, tune_threshold(&t, c->now));
			return TEST_FAILED;
		}
	}
	return TEST_OK;
}

static enum test_result
cost_is_averaged_and_outliers_are_not_believed(void)
{
	uint64_t average = 0;

	tune_sample(&average, 100);
	TEST_EQ(average, 1600);
	for (int i = 0; i < 100; i++)
		tune_sample(&average, 100);
	TEST_ASSERT(average > 1400 && average < 1800);
	tune_sample(&average, 1000000);
	TEST_ASSERT(average < 2600);
	for (int i = 0; i < 100; i++)
		tune_sample(&average, 1000);
	TEST_ASSERT(average > 14000 && average < 18000);
	for (int i = 0; i < 100; i++)
		tune_sample(&average, 0);
	TEST_ASSERT(average < 200);
	return TEST_OK;
}

/* An engine to which it costs a millisecond to give a copy: the CPU has them all,
 * but for those that are measured, and they arrive in order either way. */
static enum test_result
engine_that_is_dear_is_seldom_used(void)
{
	TEST_EQ(rig_open(&rig, &pool, false,
			 (struct rig_conf){ .size = 16, .dma = true }),
		0);
	rig.q.tuned = true;
	rig.q.threshold = TUNE_FIRST;
	rig.engine.cost = rte_get_tsc_hz() / 1000;
	for (unsigned int i = 0; i < 200; i++) {
		rig_send_frames(&rig, (uint16_t)(4 * i % 200), 4);
		TEST_EQ(rig_frames_come(&rig, (uint16_t)(4 * i % 200), 4), TEST_OK);
	}
	TEST_ASSERT(rig.q.stats.dma_copies != 0);
	TEST_EQ(rig.q.stats.dma_copies + rig.q.stats.cpu_copies, 800);
	TEST_EQ(rig.q.threshold, 64);
	/* 32 bursts at first and one in 64 then, two copies of four */
	TEST_ASSERT(rig.q.stats.dma_copies <= 2 * (32 + 3));
	TEST_EQ(rig_close(&rig, pool), 0);
	return TEST_OK;
}

/* A frame of four pieces, which is what engines with lists take as one. */
static void
send_frame_in_pieces(uint16_t nr)
{
	const uint8_t hdr[HDR] = { 0 };
	uint8_t bytes[100];

	memset(bytes, nr + 1, sizeof(bytes));
	rig_poke(&rig, RIG_DATA, hdr, sizeof(hdr));
	rig_desc(&rig, 0, RIG_DATA, HDR, VRING_DESC_F_NEXT, 1);
	for (uint16_t i = 1; i <= 4; i++) {
		rig_poke(&rig, RIG_DATA + i * 0x100u, bytes, sizeof(bytes));
		rig_desc(&rig, i, RIG_DATA + i * 0x100u, sizeof(bytes),
			 i < 4 ? VRING_DESC_F_NEXT : 0, (uint16_t)(i + 1));
	}
	rig_offer(&rig, 0);
}

/* What giving a piece is found to cost where it costs so much to give a job; it
 * has to become less than @p want. */
static enum test_result
cost_of_a_piece_becomes(bool sg, uint64_t job, uint64_t want)
{
	const uint64_t end = rte_get_timer_cycles() + 20 * rte_get_timer_hz();
	const struct rig_conf conf = { .size = 16, .dma = true, .sg = sg };
	uint64_t found;

	TEST_EQ(rig_open(&rig, &pool, false, conf), 0);
	rig.q.tuned = true;
	rig.q.threshold = TUNE_FIRST;
	rig.engine.cost = job;
	for (uint16_t i = 0;; i++) {
		send_frame_in_pieces(i % 200);
		TEST_EQ(rig_frames_come(&rig, i % 200, 1), TEST_OK);
		found = rig.q.tune.submit / 16;
		if (found != 0 && i >= 8 && found < want)
			break;
		TEST_ASSERT(rte_get_timer_cycles() < end);
	}
	TEST_ASSERT(found >= job / (sg ? 5 : 2));
	TEST_EQ(rig_close(&rig, pool), 0);
	return TEST_OK;
}

/* The pieces of a frame that are one job share its cost. */
static enum test_result
list_is_measured_as_what_it_is(void)
{
	const uint64_t ms = rte_get_tsc_hz() / 1000;

	TEST_EQ(cost_of_a_piece_becomes(true, ms, ms / 2), TEST_OK);
	TEST_EQ(cost_of_a_piece_becomes(false, ms, 2 * ms), TEST_OK);
	return TEST_OK;
}

static const struct test_case queue_tune_cases[] = {
	{ "threshold_follows_costs_with_hysteresis",
	  threshold_follows_costs_with_hysteresis },
	{ "cost_is_averaged_and_outliers_are_not_believed",
	  cost_is_averaged_and_outliers_are_not_believed },
	{ "engine_that_is_dear_is_seldom_used", engine_that_is_dear_is_seldom_used },
	{ "list_is_measured_as_what_it_is", list_is_measured_as_what_it_is },
};
AUTOTEST_EAL(queue_tune_autotest, queue_tune_cases);
