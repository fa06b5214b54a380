/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A queue and a guest that means harm, step by step: what the fuzzer and the
 * review found, so that it does not come back.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include <linux/virtio_net.h>
#include <rte_cycles.h>
#include <rte_lcore.h>

#include "offload.h"
#include "queue_rig.h"
#include "test.h"

#define HDR RIG_HDR

#define TWO_ENGINES ((struct rig_conf){ .size = 16, .dma = true, .two = true })

static struct rte_mempool *pool;
static struct rig rig;

/* A frame of one segment. */
static struct rte_mbuf *
frame(uint16_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	memset(rte_pktmbuf_append(m, len), 0x5a, len);
	return m;
}

/* Chains that leave the scratch just full, and one more of a single buffer. */
static enum test_result
tx_scratch_full_is_a_fault(void)
{
	struct vring_desc table[16];
	struct rte_mbuf *m;

	TEST_EQ(rig_open(&rig, &pool, true, (struct rig_conf){ .size = 16 }), 0);
	for (uint16_t i = 0; i < 16; i++)
		table[i] = (struct vring_desc){ RIG_DATA, 1,
						VRING_DESC_F_WRITE | VRING_DESC_F_NEXT,
						(uint16_t)(i + 1) };
	table[15].flags = VRING_DESC_F_WRITE;
	rig_poke(&rig, 0x2000, table, sizeof(table));
	rig_desc(&rig, 0, 0x2000, sizeof(table), VRING_DESC_F_INDIRECT, 0);
	rig_desc(&rig, 1, RIG_DATA, 2000, VRING_DESC_F_WRITE, 0);
	TEST_EQ(rig.q.max_iov % 16, 0);
	for (uint32_t i = 0; i < rig.q.max_iov / 16; i++)
		rig_offer(&rig, 0);
	rig_offer(&rig, 1);
	m = frame(1000);
	TEST_EQ(queue_tx_burst(&rig.q, &m, 1), 0);
	TEST_EQ(rig.q.fault, WEIR_VRING_CHAIN_TOO_LONG);
	rte_pktmbuf_free(m);
	TEST_EQ(rig_close(&rig, pool), 0);
	return TEST_OK;
}

static void *
enter_as_no_lcore(void *arg)
{
	struct trail **t = arg;

	*t = trail_enter(0);
	trail_leave(*t, 0, t, t);
	return NULL;
}

/* What is left behind a queue lies where the lcore was before it. */
static enum test_result
trail_leads_to_the_queue_that_came_next(void)
{
	const struct vring_avail *avail;
	struct trail *t = trail_enter(5), *none = t;
	const char line[4] = { 0 };
	struct rte_mbuf *m;
	pthread_t thread;

	TEST_ASSERT(t != NULL && t == trail_here);
	trail_leave(t, 5, &line[0], &line[1]);
	TEST_ASSERT(trail_enter(7) == t);
	trail_leave(t, 7, &line[2], &line[3]);
	TEST_ASSERT(t->place[5].line[0] == &line[2] && t->place[5].line[1] == &line[3]);

	TEST_EQ(rig_open(&rig, &pool, false, (struct rig_conf){ .size = 16 }), 0);
	rig.q.place = 9;
	rig_desc(&rig, 0, RIG_DATA, 100, 0, 0);
	rig_offer(&rig, 0);
	avail = rig.q.vr.avail;
	TEST_EQ(queue_rx_burst(&rig.q, &m, 1), 1);
	rte_pktmbuf_free(m);
	TEST_ASSERT(t->place[7].line[0] == &avail->idx);
	TEST_ASSERT(t->place[7].line[1] ==
		    &avail->ring[rig.q.vr.last_avail & rig.q.vr.mask]);
	TEST_EQ(t->last, 9);
	/* neither one that has nothing nor one that is not live leaves a trace */
	rig.q.place = 10;
	TEST_EQ(queue_rx_burst(&rig.q, &m, 1), 0);
	TEST_EQ(t->last, 9);
	TEST_EQ(queue_quiet(&rig.q, 0), 0);
	rig.q.place = 11;
	TEST_EQ(queue_rx_burst(&rig.q, &m, 1), 0);
	TEST_EQ(t->last, 9);
	TEST_EQ(rig_close(&rig, pool), 0);

	TEST_EQ(pthread_create(&thread, NULL, enter_as_no_lcore, &none), 0);
	TEST_EQ(pthread_join(thread, NULL), 0);
	TEST_ASSERT(none == NULL);
	return TEST_OK;
}

#define LONG_PIECES 40u
#define LONG_PIECE 300u
#define LONG_FRAME (LONG_PIECES * LONG_PIECE - HDR)

/* Offer a frame in many pieces, more than are taken out of a pool at once. */
static void
long_frame_offer(void)
{
	struct vring_desc table[LONG_PIECES];
	uint8_t bytes[LONG_PIECES * LONG_PIECE] = { 0 };

	for (uint32_t i = HDR; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + (i >> 8));
	for (uint16_t i = 0; i < LONG_PIECES; i++) {
		uint16_t flags = i + 1u < LONG_PIECES ? VRING_DESC_F_NEXT : 0;
		uint64_t gpa = RIG_DATA + i * LONG_PIECE;

		rig_poke(&rig, gpa, &bytes[i * LONG_PIECE], LONG_PIECE);
		table[i] =
			(struct vring_desc){ gpa, LONG_PIECE, flags, (uint16_t)(i + 1) };
	}
	/* behind the pieces, before the next slot */
	rig_poke(&rig, RIG_DATA + sizeof(bytes), table, sizeof(table));
	rig_desc(&rig, 0, RIG_DATA + sizeof(bytes), sizeof(table), VRING_DESC_F_INDIRECT,
		 0);
	rig_offer(&rig, 0);
}

static bool
long_frame_is(const struct rte_mbuf *m)
{
	uint32_t at = HDR;

	if (m->pkt_len != LONG_FRAME ||
	    rte_mbuf_check(m, 1, &(const char *){ NULL }) != 0)
		return false;
	for (; m != NULL; m = m->next)
		for (uint32_t i = 0; i < m->data_len; i++, at++)
			if (*rte_pktmbuf_mtod_offset(m, uint8_t *, i) !=
			    (uint8_t)(at * 7 + (at >> 8)))
				return false;
	return true;
}

/* A frame of 94 mbufs comes when there are as many, and not one is lost before. */
static enum test_result
rx_long_frame_waits_for_mbufs(void)
{
	const uint16_t segs = (LONG_FRAME + 127) / 128;
	struct rte_mempool *usual = pool;
	struct rte_mbuf *m, *all[127];

	pool = rte_pktmbuf_pool_create("test_queue_short", RTE_DIM(all), 0, 0,
				       RTE_PKTMBUF_HEADROOM + 128, 0);
	TEST_ASSERT(pool != NULL);
	TEST_EQ(rig_open(&rig, &pool, false, (struct rig_conf){ .size = RIG_SIZE_MAX }),
		0);
	long_frame_offer();
	for (uint16_t left = 0; left <= segs; left++) {
		const unsigned int taken = RTE_DIM(all) - left;

		TEST_EQ(rte_pktmbuf_alloc_bulk(pool, all, taken), 0);
		TEST_EQ(queue_rx_burst(&rig.q, &m, 1), left == segs);
		TEST_EQ(rig.q.stats.no_mbuf, left == segs ? segs : left + 1u);
		rte_pktmbuf_free_bulk(all, taken);
		TEST_EQ(rte_mempool_in_use_count(pool), left == segs ? segs : 0);
	}
	TEST_EQ(m->nb_segs, segs);
	TEST_ASSERT(long_frame_is(m));
	rte_pktmbuf_free(m);
	TEST_EQ(rig_close(&rig, pool), 0);
	rte_mempool_free(pool);
	pool = usual;
	return TEST_OK;
}

/* One leaves and another is there before anybody can look. */
static void *
pass_turn(void *arg)
{
	struct weir_queue *q = arg;

	usleep(20000);
	atomic_fetch_add(&q->turns, 1);
	return NULL;
}

/* Somebody holds it whenever one looks; those who may be at the old table have left. */
static enum test_result
wait_out_of_a_queue_that_is_always_held(void)
{
	pthread_t passer;

	TEST_EQ(rig_open(&rig, &pool, true, (struct rig_conf){ .size = 16, .dma = true }),
		0);
	TEST_EQ(queue_wait_out(&rig.q, 0), 0);
	TEST_ASSERT(queue_enter(&rig.q));
	TEST_EQ(queue_wait_out(&rig.q, 1000), -EBUSY);
	TEST_EQ(pthread_create(&passer, NULL, pass_turn, &rig.q), 0);
	TEST_EQ(queue_wait_out(&rig.q, 10000000), 0);
	TEST_EQ(pthread_join(passer, NULL), 0);
	queue_leave(&rig.q);
	TEST_EQ(queue_quiet(&rig.q, 0), 0);
	TEST_EQ(rig_close(&rig, pool), 0);
	return TEST_OK;
}

/* More than all of the guest's buffers: it may not stay in the way for ever. */
static enum test_result
tx_frame_longer_than_a_full_ring_dropped(void)
{
	struct rte_mbuf *m[2];

	TEST_EQ(rig_open(&rig, &pool, true, (struct rig_conf){ .size = 4 }), 0);
	for (uint16_t i = 0; i < 4; i++)
		rig_desc(&rig, i, RIG_DATA, 100, VRING_DESC_F_WRITE, 0);
	for (uint16_t i = 0; i < 3; i++)
		rig_offer(&rig, i);
	m[0] = frame(400);
	m[1] = frame(60);
	TEST_EQ(queue_tx_burst(&rig.q, m, 2), 0);
	rig_offer(&rig, 3);
	TEST_EQ(queue_tx_burst(&rig.q, m, 2), 2);
	TEST_EQ(rig.q.stats.dropped, 1);
	TEST_EQ(rig.q.stats.packets, 1);
	TEST_EQ(rig.q.vr.used->idx, 1);
	TEST_EQ(rig_close(&rig, pool), 0);
	return TEST_OK;
}

/* An lcore has read a counter when it is reset, and writes it back. */
static enum test_result
counters_reset_while_one_is_written_stay_reset(void)
{
	struct weir_queue_stats st;
	uint64_t packets;

	TEST_EQ(rig_open(&rig, &pool, true, (struct rig_conf){ .size = 4 }), 0);
	stat_add(&rig.q.stats.packets, 1000);
	stat_add(&rig.q.stats.rewound, 5);
	packets = rig.q.stats.packets;
	weir_queue_stats_reset(&rig.q);
	rig.q.stats.packets = packets + 1;
	weir_queue_stats_get(&rig.q, &st);
	TEST_EQ(st.packets, 1);
	TEST_EQ(st.rewound, 0);
	TEST_EQ(rig_close(&rig, pool), 0);
	return TEST_OK;
}

/* A burst has begun when memory comes, and the guest offers a buffer there. */
static enum test_result
memory_that_comes_in_mid_burst_is_no_fault(void)
{
	static struct weir_gmem none;
	const struct weir_gmem *now;
	struct rte_mbuf *m;

	TEST_EQ(rig_open(&rig, &pool, true, (struct rig_conf){ .size = 4 }), 0);
	rig_desc(&rig, 0, RIG_DATA, 2000, VRING_DESC_F_WRITE, 0);
	rig_offer(&rig, 0);
	m = frame(100);
	now = rig.q.gmem;
	/* the one this burst took when it began */
	rig.q.vr.gmem = &none;
	TEST_EQ(rig.q.burst(&rig.q, &m, 1), 0);
	TEST_EQ(rig.q.fault, WEIR_VRING_OK);
	TEST_ASSERT(rig.q.live);
	TEST_EQ(queue_tx_burst(&rig.q, &m, 1), 1);
	/* it is one by the table in force */
	rig_offer(&rig, 0);
	m = frame(100);
	rig.q.gmem = &none;
	TEST_EQ(queue_tx_burst(&rig.q, &m, 1), 0);
	TEST_EQ(rig.q.fault, WEIR_VRING_ADDRESS);
	rig.q.gmem = now;
	rte_pktmbuf_free(m);
	TEST_EQ(rig_close(&rig, pool), 0);
	return TEST_OK;
}

/* A guest's buffers in both slots; those in slot @p slot begin at 0x2000 there. */
static void
offer_in_slot(uint16_t i, unsigned int slot)
{
	rig_desc(&rig, i, slot * RIG_SLOT + 0x2000 + i * 0x100u, 0x100,
		 VRING_DESC_F_WRITE, 0);
	rig_offer(&rig, i);
}

static struct weir_range
slot_hva(unsigned int slot)
{
	uint64_t at = (uintptr_t)rig.slot[slot];

	return (struct weir_range){ at, at + RIG_SLOT - 1 };
}

/* Copies into slot 0, 0, 1, 1, of which the engine does one at a time. */
static enum test_result
copies_touching_a_slot_are_told_from_others(void)
{
	const struct weir_range elsewhere = { 0x1000, 0x1fff };
	struct rte_mbuf *m[4];

	TEST_EQ(rig_open(&rig, &pool, true, (struct rig_conf){ .size = 16, .dma = true }),
		0);
	TEST_EQ(weir_copy_touching(&rig.chan, slot_hva(0)), 0);
	rig.engine.credit = 0;
	for (uint16_t i = 0; i < 4; i++) {
		offer_in_slot(i, i / 2);
		m[i] = frame(100);
	}
	TEST_EQ(queue_tx_burst(&rig.q, m, 4), 4);
	TEST_EQ(rig.chan.submitted, 4);
	TEST_EQ(weir_copy_touching(&rig.chan, slot_hva(0)), 2);
	TEST_EQ(weir_copy_touching(&rig.chan, slot_hva(1)), 4);
	TEST_EQ(weir_copy_touching(&rig.chan, elsewhere), 0);
	/* what is read is touched as well as what is written */
	TEST_EQ(weir_copy_touching(
			&rig.chan,
			(struct weir_range){ rte_pktmbuf_mtod(m[2], uintptr_t) + 99,
					     rte_pktmbuf_mtod(m[2], uintptr_t) + 99 }),
		3);
	TEST_EQ(weir_copy_drain(&rig.chan, 2, 1000), -EBUSY);
	rig.engine.credit = 2;
	TEST_EQ(weir_copy_drain(&rig.chan, 2, 1000), 0);
	TEST_EQ(weir_copy_touching(&rig.chan, slot_hva(0)), 0);
	TEST_EQ(weir_copy_touching(&rig.chan, slot_hva(1)), 4);
	TEST_EQ(rig_close(&rig, pool), 0);
	return TEST_OK;
}

/* Fewer mbufs than frames: as many as there are come, and the rest when there are. */
static enum test_result
frames_come_as_mbufs_do(void)
{
	static const struct rig_conf ways[] = {
		{ .size = 16 },
		{ .size = 16, .packed = true },
		{ .size = 16, .dma = true },
		{ .size = 16, .dma = true, .threshold = 1000 },
	};
	struct rte_mbuf *m[16];

	for (size_t i = 0; i < RTE_DIM(ways); i++) {
		struct rig_conf conf = ways[i];
		uint64_t no_mbuf;

		conf.pool = rte_pktmbuf_pool_create("test_queue_few", 5, 0, 0,
						    RTE_MBUF_DEFAULT_BUF_SIZE, 0);
		TEST_ASSERT(conf.pool != NULL);
		memset(&rig, 0, sizeof(rig));
		rig.q.hdr_len = HDR;
		TEST_EQ(rig_start(&rig, &conf), 0);
		rig_send_frames(&rig, 0, 8);
		TEST_EQ(queue_rx_burst(&rig.q, m, 16), 5);
		no_mbuf = rig.q.stats.no_mbuf;
		TEST_ASSERT(no_mbuf != 0);
		rte_pktmbuf_free_bulk(m, 5);
		TEST_EQ(rig_frames_come(&rig, 5, 3), TEST_OK);
		TEST_EQ(rig.q.stats.no_mbuf, no_mbuf);
		rig_stop(&rig);
		TEST_EQ(rte_mempool_in_use_count(conf.pool), 0);
		rte_mempool_free(conf.pool);
	}
	return TEST_OK;
}

/* The second engine is done first: nothing is handed on before its turn. */
static enum test_result
two_engines_frames_in_the_rings_order(void)
{
	struct rig_engine *first, *second;

	TEST_EQ(rig_open(&rig, &pool, false, TWO_ENGINES), 0);
	rig.engine.credit = 0;
	rig.engine2.credit = 0;
	for (uint16_t i = 0; i < 4; i++) {
		rig_send_frames(&rig, (uint16_t)(4 * i), 4);
		TEST_EQ(rig_frames_come(&rig, 0, 0), TEST_OK);
	}
	TEST_EQ(rig.chan.submitted, 8);
	TEST_EQ(rig.chan2.submitted, 8);
	/* whose turn was first is no matter: the other one ends first */
	first = rig.q.win[0].chan == 0 ? &rig.engine : &rig.engine2;
	second = first == &rig.engine ? &rig.engine2 : &rig.engine;
	second->credit = 8;
	TEST_EQ(rig_frames_come(&rig, 0, 0), TEST_OK);
	first->credit = 3;
	TEST_EQ(rig_frames_come(&rig, 0, 3), TEST_OK);
	first->credit = 1;
	TEST_EQ(rig_frames_come(&rig, 3, 5), TEST_OK);
	first->credit = 4;
	TEST_EQ(rig_frames_come(&rig, 8, 8), TEST_OK);
	TEST_EQ(rig_close(&rig, pool), 0);
	return TEST_OK;
}

/* No room in one: the rest of the burst is the other's. In none: the CPU's. */
static enum test_result
engine_full_passes_its_turn_on(void)
{
	TEST_EQ(rig_open(&rig, &pool, false, TWO_ENGINES), 0);
	rig.engine.credit = 0;
	rig.engine2.credit = 0;
	rig.chan.mask = 1;
	rig.chan2.mask = 3;
	rig_send_frames(&rig, 0, 16);
	TEST_EQ(rig_frames_come(&rig, 0, 0), TEST_OK);
	TEST_EQ(rig.chan.submitted, 2);
	TEST_EQ(rig.chan2.submitted, 4);
	TEST_EQ(rig.q.stats.dma_copies, 6);
	TEST_EQ(rig.q.stats.cpu_copies, 10);
	rig.engine.credit = RIG_DMA_ALL;
	rig.engine2.credit = RIG_DMA_ALL;
	TEST_EQ(rig_frames_come(&rig, 0, 16), TEST_OK);
	TEST_EQ(rig_close(&rig, pool), 0);
	return TEST_OK;
}

/* One is down: the other has every turn, and what the first has stays its own. */
static enum test_result
engine_down_is_passed_over(void)
{
	TEST_EQ(rig_open(&rig, &pool, false, TWO_ENGINES), 0);
	rig.chan2.down = true;
	for (uint16_t i = 0; i < 4; i++) {
		rig_send_frames(&rig, (uint16_t)(4 * i), 4);
		TEST_EQ(rig_frames_come(&rig, (uint16_t)(4 * i), 4), TEST_OK);
	}
	TEST_EQ(rig.chan.submitted, 16);
	TEST_EQ(rig.chan2.submitted, 0);
	rig.chan.down = true;
	rig_send_frames(&rig, 0, 4);
	TEST_EQ(rig_frames_come(&rig, 0, 4), TEST_OK);
	TEST_EQ(rig.q.stats.cpu_copies, 4);
	TEST_EQ(rig_close(&rig, pool), 0);
	return TEST_OK;
}

/* The lcore's own node first; another one's if there is no room. */
static enum test_result
engine_near_the_lcore_is_preferred(void)
{
	TEST_EQ(rig_open(&rig, &pool, false, TWO_ENGINES), 0);
	rig.q.near = true;
	rig.chan.node = (int16_t)(rte_socket_id() + 1);
	rig.chan2.node = (int16_t)rte_socket_id();
	rig.chan2.mask = 7;
	rig.engine2.credit = 0;
	for (uint16_t i = 0; i < 4; i++) {
		rig_send_frames(&rig, (uint16_t)(4 * i), 4);
		TEST_EQ(rig_frames_come(&rig, 0, 0), TEST_OK);
		TEST_EQ(rig.chan2.submitted, RTE_MIN(8, 4 * (i + 1)));
	}
	TEST_EQ(rig.chan.submitted, 8);
	rig.engine2.credit = RIG_DMA_ALL;
	TEST_EQ(rig_frames_come(&rig, 0, 16), TEST_OK);
	TEST_EQ(rig_close(&rig, pool), 0);
	return TEST_OK;
}

/* A stop waits for the copies of each. */
static enum test_result
stop_waits_for_both_engines(void)
{
	for (int i = 0; i < 2; i++) {
		struct rig_engine *slow = i == 0 ? &rig.engine : &rig.engine2;

		TEST_EQ(rig_open(&rig, &pool, false, TWO_ENGINES), 0);
		rig.engine.credit = 0;
		rig.engine2.credit = 0;
		for (uint16_t k = 0; k < 2; k++) {
			rig_send_frames(&rig, (uint16_t)(4 * k), 4);
			TEST_EQ(rig_frames_come(&rig, 0, 0), TEST_OK);
		}
		TEST_EQ(queue_stop(&rig.q, 0), -EBUSY);
		rig.engine.credit = RIG_DMA_ALL;
		rig.engine2.credit = RIG_DMA_ALL;
		slow->credit = 3;
		TEST_EQ(queue_stop(&rig.q, 0), -EBUSY);
		slow->credit = RIG_DMA_ALL;
		TEST_EQ(queue_stop(&rig.q, 1000000), 0);
		TEST_EQ(rig.q.stats.rewound, 8);
		TEST_EQ(rig_close(&rig, pool), 0);
	}
	return TEST_OK;
}

/* Short frames and long ones in turn, both ways: the engine is told once a burst. */
static enum test_result
mixed_burst_rings_once(void)
{
	const struct rig_conf conf = { .size = 16, .dma = true, .threshold = 500 };
	struct rte_mbuf *m[8];

	TEST_EQ(rig_open(&rig, &pool, true, conf), 0);
	for (uint16_t i = 0; i < 8; i++) {
		rig_desc(&rig, i, RIG_DATA + i * 0x400u, 0x400, VRING_DESC_F_WRITE, 0);
		rig_offer(&rig, i);
		m[i] = frame(i % 2 != 0 ? 1000 : 60);
	}
	TEST_EQ(queue_tx_burst(&rig.q, m, 8), 8);
	TEST_EQ(rig.engine.bells, 1);
	TEST_EQ(rig.q.stats.dma_copies, 4);
	TEST_EQ(rig.q.stats.cpu_copies, 4);
	for (uint16_t i = 0; i < 8; i++) {
		const uint8_t *to = rig_mem(&rig, RIG_DATA + i * 0x400u, 0x400);
		const uint32_t len = i % 2 != 0 ? 1000 : 60;

		TEST_EQ(rig.q.vr.used->ring[i].len, HDR + len);
		TEST_EQ(to[HDR - 2], 1);
		TEST_ASSERT(to[HDR] == 0x5a && to[HDR + len - 1] == 0x5a);
		TEST_EQ(to[HDR + len], 0);
	}
	TEST_EQ(rig_close(&rig, pool), 0);

	TEST_EQ(rig_open(&rig, &pool, false, conf), 0);
	for (uint16_t i = 0; i < 8; i++) {
		rig_desc(&rig, i, RIG_DATA + i * 0x400u, HDR + (i % 2 != 0 ? 1000 : 60),
			 0, 0);
		memset(rig_mem(&rig, RIG_DATA + i * 0x400u + HDR, 1000), i + 1, 1000);
		rig_offer(&rig, i);
	}
	TEST_EQ(rig_frames_come(&rig, 0, 8), TEST_OK);
	TEST_EQ(rig.engine.bells, 1);
	TEST_EQ(rig.q.stats.dma_copies, 4);
	TEST_EQ(rig_close(&rig, pool), 0);
	return TEST_OK;
}

/* Fill a pipe, so that whoever writes to it waits until somebody reads. */
static int
pipe_fill(int fds[2])
{
	static const char junk[4096];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0)
		return -errno;
	while (write(fds[1], junk, sizeof(junk)) > 0)
		;
	return fcntl(fds[1], F_SETFL, 0) == 0 ? 0 : -errno;
}

static void
pipe_drain(int fd)
{
	static char junk[4096];

	while (read(fd, junk, sizeof(junk)) > 0)
		;
}

/* The driver, on another CPU: fills the first buffer that it gets back again, while
 * the queue is in the middle of telling it. */
static void *
refill(void *arg)
{
	const uint16_t owner = VRING_PACKED_AVAIL | VRING_PACKED_USED;
	uint16_t *flags = &rig.q.vr.packed_desc[0].flags;

	for (int i = 0; i < 10000; i++) {
		if ((__atomic_load_n(flags, __ATOMIC_ACQUIRE) & owner) == owner) {
			rig_desc(&rig, 0, RIG_DATA, 200, 0, 0);
			rig_offer(&rig, 0);
			break;
		}
		usleep(1000);
	}
	pipe_drain(*(int *)arg);
	return NULL;
}

/* The window holds the whole ring; what it gives back is filled at once, and is no
 * more than the driver may offer. */
static enum test_result
rx_buffers_filled_in_mid_burst_taken(void)
{
	struct rte_mbuf *m[16];
	pthread_t driver;
	int fds[2], event_fd;

	TEST_EQ(rig_open(&rig, &pool, false,
			 (struct rig_conf){ .size = 16,
					    .packed = true,
					    .dma = true,
					    .threshold = 1 }),
		0);
	rig.engine.credit = 0;
	for (uint16_t i = 0; i < 16; i++) {
		rig_desc(&rig, i, RIG_DATA, 200, 0, i);
		rig_offer(&rig, i);
	}
	TEST_EQ(queue_rx_burst(&rig.q, m, 16), 0);
	TEST_EQ(queue_in_flight(&rig.q), 16);
	TEST_EQ(pipe_fill(fds), 0);
	event_fd = rig.q.call_fd;
	rig.q.call_fd = fds[1];
	TEST_EQ(pthread_create(&driver, NULL, refill, &fds[0]), 0);
	rig.engine.credit = 4;
	TEST_EQ(queue_rx_burst(&rig.q, m, 16), 4);
	TEST_EQ(pthread_join(driver, NULL), 0);
	TEST_EQ(rig.q.fault, WEIR_VRING_OK);
	TEST_EQ(queue_in_flight(&rig.q), 13);
	rig.q.call_fd = event_fd;
	close(fds[0]);
	close(fds[1]);
	rte_pktmbuf_free_bulk(m, 4);
	TEST_EQ(rig_close(&rig, pool), 0);
	return TEST_OK;
}

static const struct test_case queue_cases[] = {
	{ "counters_reset_while_one_is_written_stay_reset",
	  counters_reset_while_one_is_written_stay_reset },
	{ "frames_come_as_mbufs_do", frames_come_as_mbufs_do },
	{ "two_engines_frames_in_the_rings_order",
	  two_engines_frames_in_the_rings_order },
	{ "mixed_burst_rings_once", mixed_burst_rings_once },
	{ "rx_buffers_filled_in_mid_burst_taken", rx_buffers_filled_in_mid_burst_taken },
	{ "engine_full_passes_its_turn_on", engine_full_passes_its_turn_on },
	{ "engine_down_is_passed_over", engine_down_is_passed_over },
	{ "engine_near_the_lcore_is_preferred", engine_near_the_lcore_is_preferred },
	{ "stop_waits_for_both_engines", stop_waits_for_both_engines },
	{ "wait_out_of_a_queue_that_is_always_held",
	  wait_out_of_a_queue_that_is_always_held },
	{ "trail_leads_to_the_queue_that_came_next",
	  trail_leads_to_the_queue_that_came_next },
	{ "rx_long_frame_waits_for_mbufs", rx_long_frame_waits_for_mbufs },
	{ "tx_scratch_full_is_a_fault", tx_scratch_full_is_a_fault },
	{ "tx_frame_longer_than_a_full_ring_dropped",
	  tx_frame_longer_than_a_full_ring_dropped },
	{ "memory_that_comes_in_mid_burst_is_no_fault",
	  memory_that_comes_in_mid_burst_is_no_fault },
	{ "copies_touching_a_slot_are_told_from_others",
	  copies_touching_a_slot_are_told_from_others },
};
AUTOTEST_EAL(queue_autotest, queue_cases);
