/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fault campaign: engines that fail, stand still, answer late and out of order
 * and go away, alone and side by side, under traffic on both queues of a port. Of
 * each frame every byte is looked at, and its place in the order; the IOMMU model
 * counts what would have been written elsewhere.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include <rte_bus_vdev.h>
#include <rte_dmadev.h>

#include "port_bench.h"
#include "weir_copy.h"

#define FIRST "dma_weir_test"
#define SECOND "dma_weir_other"
#define BATCH 32u /* frames a burst, and so copies between two doorbells */

/* The last status that a device can report, but for the unknown one. */
#define LAST_CODE RTE_DMA_STATUS_PAGE_FAULT

/* One copy a frame, so that a copy's place is its frame's. */
static const uint16_t lengths[] = { 60, 64, 65, 127, 512, 1514, 2036 };

/* Which way has its bursts first. */
static bool host_first;

/* Traffic one way: frames made, and frames that came. */
struct way {
	uint32_t made, came;
	struct rte_mbuf *waiting[BATCH];
	uint16_t nr_waiting;
};

static uint16_t
length(uint32_t nr)
{
	return lengths[nr % RTE_DIM(lengths)];
}

/* The guest sends one frame from one buffer. @return false: its ring is full. */
static bool
guest_send(struct fe *f, uint32_t nr)
{
	struct fe_ring *r = &f->ring[1];
	const uint16_t at = (uint16_t)(r->avail_idx % FE_RING);
	uint8_t *mem = r->buf + at * FE_BUF;

	if ((uint16_t)(r->avail_idx - r->used_idx) == FE_RING)
		return false;
	memset(mem, 0, FE_HDR);
	fill(mem + FE_HDR, length(nr), nr);
	r->desc[at] = (struct vring_desc){ fe_gpa(f, mem), FE_HDR + length(nr), 0, 0 };
	fe_offer(r, at);
	return true;
}

/* The guest sends what is still to be sent, as far as its ring has room. */
static enum test_result
guest_to_host(struct bench *b, struct fe *f, struct way *w, uint32_t rounds)
{
	struct rte_mbuf *pkts[BATCH];
	uint16_t n;

	for (uint32_t i = 0; i < BATCH && w->made < rounds; i++, w->made++)
		if (!guest_send(f, w->made))
			break;
	n = weir_port_rx_burst(b->rxq, pkts, BATCH);
	for (uint16_t i = 0; i < n; i++, w->came++) {
		TEST_EQ(pkts[i]->pkt_len, length(w->came));
		TEST_ASSERT(filled(rte_pktmbuf_mtod(pkts[i], uint8_t *), length(w->came),
				   w->came));
		rte_pktmbuf_free(pkts[i]);
	}
	fe_reap(f, 0);
	return TEST_OK;
}

static enum test_result
host_to_guest(struct bench *b, struct fe *f, struct way *w, uint32_t rounds)
{
	static uint8_t buf[65536];
	uint16_t n;
	size_t len;

	fe_post(f, 0);
	while (w->nr_waiting < BATCH && w->made < rounds) {
		w->waiting[w->nr_waiting++] = frame(length(w->made), w->made);
		w->made++;
	}
	n = weir_port_tx_burst(b->txq, w->waiting, w->nr_waiting);
	w->nr_waiting = (uint16_t)(w->nr_waiting - n);
	memmove(w->waiting, w->waiting + n, w->nr_waiting * sizeof(struct rte_mbuf *));
	while ((len = fe_recv(f, 0, buf)) != 0) {
		TEST_EQ(len, length(w->came));
		TEST_ASSERT(filled(buf, len, w->came));
		w->came++;
	}
	return TEST_OK;
}

/* So many frames both ways. What happens meanwhile, if anything, is @p meddle's. */
static enum test_result
both_ways(struct bench *b, struct fe *f, uint32_t rounds,
	  enum test_result (*meddle)(struct bench *b, uint32_t came))
{
	struct way up = { 0 }, down = { 0 };
	uint32_t came = 0;

	for (uint32_t idle = 0; up.came < rounds || down.came < rounds; idle++) {
		if (!host_first && guest_to_host(b, f, &up, rounds) != TEST_OK)
			return TEST_FAILED;
		if (host_to_guest(b, f, &down, rounds) != TEST_OK)
			return TEST_FAILED;
		if (host_first && guest_to_host(b, f, &up, rounds) != TEST_OK)
			return TEST_FAILED;
		if (meddle != NULL && meddle(b, up.came) != TEST_OK)
			return TEST_FAILED;
		if (came != up.came + down.came)
			idle = 0;
		came = up.came + down.came;
		TEST_ASSERT(idle < 20000000);
	}
	return TEST_OK;
}

/* What a case came to. */
struct outcome {
	struct weir_queue_stats rx, tx;
};

/* One or two engines, with these arguments, and a port that has them both. */
static enum test_result
engines_run(const char *first, const char *second, uint32_t rounds,
	    enum test_result (*meddle)(struct bench *b, uint32_t came),
	    struct outcome *out)
{
	enum test_result ret;
	struct bench b;
	struct fe f;

	TEST_EQ(dma_open(first), 0);
	if (second != NULL)
		TEST_EQ(rte_vdev_init(SECOND, second), 0);
	weir_copy_set_watchdog(20000);
	TEST_EQ(bench_open(&b, second != NULL ? FIRST "," SECOND : FIRST, 0), 0);
	TEST_EQ(fe_open(&f, b.path, 1, ALL_FEATURES), 0);
	TEST_ASSERT(link_becomes(&b, true));
	ret = both_ways(&b, &f, rounds, meddle);
	TEST_EQ(ret, TEST_OK);
	weir_queue_stats_get(b.rxq, &out->rx);
	weir_queue_stats_get(b.txq, &out->tx);
	TEST_EQ(out->rx.packets, rounds);
	TEST_EQ(out->tx.packets, rounds);
	TEST_EQ(out->rx.dropped + out->tx.dropped, 0);
	fe_close(&f);
	TEST_ASSERT(link_becomes(&b, false));
	TEST_EQ(weir_sim_faults(weir_space_sim(b.space)), 0);
	TEST_EQ(bench_close(&b), 0);
	if (second != NULL)
		rte_vdev_uninit(SECOND);
	dma_close();
	return TEST_OK;
}

/* Each status, at each place of a burst in turn. */
static enum test_result
any_error_anywhere_in_a_burst(void)
{
	char args[64];

	for (unsigned int code = 1; code <= LAST_CODE + 1; code++) {
		struct outcome o;

		snprintf(args, sizeof(args), "fail_at=turn,fail_code=%u,reorder=%u",
			 code > LAST_CODE ? RTE_DMA_STATUS_ERROR_UNKNOWN : code,
			 code % 2);
		/* not so many that the engine is put aside: each of 32 places twice */
		if (engines_run(args, NULL, 64 * BATCH, NULL, &o) != TEST_OK ||
		    o.rx.dma_errors < 32 || o.tx.dma_errors < 32) {
			printf("    %s\n", args);
			return TEST_FAILED;
		}
	}
	return TEST_OK;
}

/* The device gives up at any place: what is behind is not attempted. */
static enum test_result
any_place_to_halt_at(void)
{
	char args[64];

	for (unsigned int at = 0; at < BATCH; at++) {
		struct outcome o;

		snprintf(args, sizeof(args), "fail_at=%u,fail_code=%u,halt=1", at,
			 1 + at % LAST_CODE);
		/* it may be put aside before the other way has had a burst */
		host_first = at % 2 != 0;
		if (engines_run(args, NULL, 4 * BATCH, NULL, &o) != TEST_OK ||
		    o.rx.dma_errors + o.tx.dma_errors < BATCH - at) {
			printf("    %s\n", args);
			return TEST_FAILED;
		}
	}
	return TEST_OK;
}

/* Kinds of standing still, and of being late. */
static const char *const stalls[] = {
	"stall_after=1",
	"stall_after=100",
	"mode=thread,stall_after=7",
	"mode=thread,stall_after=333",
	"mode=thread,stall_after=333,delay_us=500,reorder=1",
	"mode=thread,stall_after=50,fail_nth=40",
	"mode=thread,delay_us=30000", /* each copy outlives the watchdog */
	"mode=thread,fail_nth=1",
	"mode=thread,fail_nth=2,halt=1",
};

static enum test_result
any_stall_is_survived(void)
{
	for (size_t i = 0; i < RTE_DIM(stalls); i++) {
		struct outcome o;

		if (engines_run(stalls[i], NULL, 3000, NULL, &o) != TEST_OK) {
			printf("    %s\n", stalls[i]);
			return TEST_FAILED;
		}
		TEST_ASSERT(o.rx.cpu_copies + o.rx.dma_errors != 0);
	}
	return TEST_OK;
}

/* Two engines at once, each with a fault or a pace of its own. */
static const char *const pairs[][2] = {
	{ "mode=inline", "mode=thread,delay_us=300" },
	{ "mode=thread,delay_us=20,reorder=1", "mode=thread,delay_us=700,reorder=1" },
	{ "mode=thread", "mode=thread,stall_after=100" },
	{ "mode=thread,fail_at=0,halt=1", "mode=thread,delay_us=200,reorder=1" },
	{ "mode=thread,fail_nth=3", "mode=thread,stall_after=33,reorder=1" },
	{ "stall_after=1", "stall_after=1" },
};

static enum test_result
any_two_engines_keep_the_order(void)
{
	for (size_t i = 0; i < RTE_DIM(pairs); i++) {
		struct outcome o;

		if (engines_run(pairs[i][0], pairs[i][1], 5000, NULL, &o) != TEST_OK) {
			printf("    %s and %s\n", pairs[i][0], pairs[i][1]);
			return TEST_FAILED;
		}
		TEST_ASSERT(o.rx.dma_copies != 0 && o.tx.dma_copies != 0);
	}
	return TEST_OK;
}

/* The engine is taken away and put back, every so many frames, by another thread:
 * what that thread finds is in `plug_ret`. */
static struct plug {
	pthread_t thread;
	_Atomic bool end;
	unsigned int times;
	int ret;
} plug;

static void *
plug_main(void *arg)
{
	struct plug *p = arg;

	while (!atomic_load(&p->end) && p->ret == 0) {
		usleep(3000);
		p->ret = rte_vdev_uninit(FIRST);
		usleep(1000);
		if (p->ret == 0)
			p->ret = rte_vdev_init(FIRST, "mode=thread,delay_us=50");
		p->times++;
		usleep(20000);
	}
	return NULL;
}

/* The first frames are waited for by nobody; from then on the engine comes and goes. */
static enum test_result
plug_begin(struct bench *b, uint32_t came)
{
	(void)b;
	if (came == 0 || plug.thread != 0)
		return TEST_OK;
	return pthread_create(&plug.thread, NULL, plug_main, &plug) == 0 ? TEST_OK
									 : TEST_FAILED;
}

static enum test_result
engine_unplugged_and_back(const char *other)
{
	struct outcome o;
	struct bench b;
	struct fe f;

	plug = (struct plug){ 0 };
	TEST_EQ(dma_open("mode=thread,delay_us=50"), 0);
	if (other != NULL)
		TEST_EQ(rte_vdev_init(SECOND, other), 0);
	TEST_EQ(bench_open(&b, other != NULL ? FIRST "," SECOND : FIRST, 0), 0);
	TEST_EQ(fe_open(&f, b.path, 1, ALL_FEATURES), 0);
	TEST_ASSERT(link_becomes(&b, true));
	TEST_EQ(both_ways(&b, &f, 64, plug_begin), TEST_OK);
	for (int i = 0; i < 200 && plug.times < 5; i++)
		TEST_EQ(both_ways(&b, &f, 2000, NULL), TEST_OK);
	atomic_store(&plug.end, true);
	pthread_join(plug.thread, NULL);
	TEST_EQ(plug.ret, 0);
	TEST_ASSERT(plug.times >= 5);
	/* it has come back for good, so copies do */
	weir_queue_stats_get(b.rxq, &o.rx);
	for (int i = 0; i < 500; i++) {
		TEST_EQ(both_ways(&b, &f, 200, NULL), TEST_OK);
		weir_queue_stats_get(b.txq, &o.tx);
		weir_queue_stats_get(b.rxq, &o.tx);
		if (o.tx.dma_copies > o.rx.dma_copies + 400)
			break;
		usleep(1000);
	}
	TEST_ASSERT(o.tx.dma_copies > o.rx.dma_copies + 400);
	TEST_ASSERT(o.tx.cpu_copies != 0 || other != NULL);
	fe_close(&f);
	TEST_ASSERT(link_becomes(&b, false));
	TEST_EQ(weir_sim_faults(weir_space_sim(b.space)), 0);
	TEST_EQ(bench_close(&b), 0);
	if (other != NULL)
		rte_vdev_uninit(SECOND);
	dma_close();
	return TEST_OK;
}

static enum test_result
engine_unplugged_under_traffic_comes_back(void)
{
	return engine_unplugged_and_back(NULL);
}

static enum test_result
engine_unplugged_beside_another_comes_back(void)
{
	return engine_unplugged_and_back("mode=thread,delay_us=200,reorder=1");
}

static const struct test_case fault_cases[] = {
	{ "any_error_anywhere_in_a_burst", any_error_anywhere_in_a_burst },
	{ "any_place_to_halt_at", any_place_to_halt_at },
	{ "any_stall_is_survived", any_stall_is_survived },
	{ "any_two_engines_keep_the_order", any_two_engines_keep_the_order },
	{ "engine_unplugged_under_traffic_comes_back",
	  engine_unplugged_under_traffic_comes_back },
	{ "engine_unplugged_beside_another_comes_back",
	  engine_unplugged_beside_another_comes_back },
};
AUTOTEST_EAL(copy_faults_autotest, fault_cases);
