/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who sleeps until a word of guest memory changes: what ends the sleep, and what is
 * there when the memory has gone.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "frontend.h"
#include "port.h"
#include "port_bench.h"
#include "test.h"
#include "weir_copy.h"

#define LEN 100u

/* Its page may become another at this moment, which for TSan is a write. */
static __attribute__((noinline, no_sanitize("thread"))) uint64_t
word_of(const struct weir_queue_watch *w)
{
	return *w->word;
}

/* As the instruction's user looks before it sleeps. */
static bool
over(const struct weir_queue_watch *w)
{
	return weir_queue_watch_over(w, word_of(w));
}

static bool
guest_sends(struct fe *f, uint32_t nr)
{
	uint8_t buf[LEN];

	fill(buf, sizeof(buf), nr);
	fe_reap(f, 0);
	return fe_send(f, 0, buf, sizeof(buf), FE_ONE);
}

static uint16_t
host_receives(struct bench *b)
{
	struct rte_mbuf *pkts[BURST];
	uint16_t n = weir_port_rx_burst(b->rxq, pkts, BURST);

	rte_pktmbuf_free_bulk(pkts, n);
	return n;
}

/* The guest sends while somebody sleeps, in each place of the ring. */
static enum test_result
frames_end_the_watch(uint64_t features)
{
	struct weir_queue_watch w;
	struct bench b;
	struct fe f;

	TEST_EQ(bench_open(&b, NULL, 0), 0);
	TEST_EQ(fe_open(&f, b.path, 1, features), 0);
	for (uint32_t i = 0; i < 3 * FE_RING; i++) {
		weir_queue_watch(b.rxq, &w);
		TEST_EQ((uintptr_t)w.word % sizeof(*w.word), 0);
		TEST_ASSERT(!over(&w));
		TEST_ASSERT(guest_sends(&f, i));
		TEST_ASSERT(over(&w));
		/* what has been sent already is no reason to sleep either */
		weir_queue_watch(b.rxq, &w);
		TEST_ASSERT(over(&w));
		TEST_EQ(host_receives(&b), 1);
		TEST_EQ(atomic_load(&b.rxq->watched), 0);
	}
	fe_close(&f);
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

static enum test_result
frames_end_the_watch_split(void)
{
	return frames_end_the_watch(FE_SPLIT);
}

static enum test_result
frames_end_the_watch_packed(void)
{
	return frames_end_the_watch(UINT64_MAX);
}

/* A sleep that begins before there is a guest, and one that a ring's new start ends
 * though the word says nothing. */
static enum test_result
start_of_a_ring_ends_the_watch(void)
{
	struct vhost_vring_state at = { 1, 0 };
	struct weir_queue_watch w;
	struct bench b;
	struct fe f;

	TEST_EQ(bench_open(&b, NULL, 0), 0);
	weir_queue_watch(b.rxq, &w);
	TEST_ASSERT(!over(&w));
	TEST_EQ(fe_open(&f, b.path, 1, FE_SPLIT), 0);
	TEST_ASSERT(link_becomes(&b, true));
	TEST_ASSERT(over(&w));
	weir_queue_watch(b.rxq, &w);
	TEST_ASSERT(!over(&w));
	TEST_EQ(fe_msg(&f, WEIR_VHOST_GET_VRING_BASE, &at, sizeof(at), NULL, 0, &at,
		       sizeof(at)),
		0);
	TEST_ASSERT(!over(&w));
	TEST_EQ(fe_ring_start(&f, 1, at.num), 0);
	TEST_ASSERT(over(&w));
	/* and the queue is as it was */
	TEST_ASSERT(guest_sends(&f, 0));
	TEST_EQ(host_receives(&b), 1);
	TEST_EQ(atomic_load(&b.rxq->watched), 0);
	fe_close(&f);
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

/* The frame that announces a guest comes from nobody's ring. */
static enum test_result
announcement_ends_the_watch(void)
{
	const uint8_t mac[8] = { 0x52, 0x54, 0, 0, 0, 1 };
	struct weir_queue_watch w;
	struct bench b;
	struct fe f;

	TEST_EQ(bench_open(&b, NULL, 0), 0);
	TEST_EQ(fe_open(&f, b.path, 1, FE_SPLIT), 0);
	TEST_EQ(fe_protocol(&f, WEIR_VHOST_BIT(WEIR_VHOST_PF_RARP)), 0);
	weir_queue_watch(b.rxq, &w);
	TEST_ASSERT(!over(&w));
	TEST_EQ(fe_msg_ack(&f, WEIR_VHOST_SEND_RARP, mac, sizeof(mac), NULL, 0), 0);
	TEST_ASSERT(over(&w));
	weir_queue_watch(b.rxq, &w);
	TEST_ASSERT(over(&w));
	TEST_EQ(host_receives(&b), 1);
	TEST_EQ(atomic_load(&b.rxq->watched), 0);
	weir_queue_watch(b.rxq, &w);
	TEST_ASSERT(!over(&w));
	fe_close(&f);
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

/* Completions are polled: who waits for them does not sleep. */
static enum test_result
copies_under_way_keep_awake(void)
{
	struct weir_queue_watch w;
	struct bench b;
	struct fe f;
	int n = 0;

	TEST_EQ(dma_open("mode=thread,delay_us=20000"), 0);
	TEST_EQ(bench_open(&b, "dma_weir_test", 0), 0);
	TEST_EQ(fe_open(&f, b.path, 1, FE_SPLIT), 0);
	weir_queue_watch(b.rxq, &w);
	TEST_ASSERT(!over(&w));
	TEST_ASSERT(guest_sends(&f, 0));
	TEST_EQ(host_receives(&b), 0);
	weir_queue_watch(b.rxq, &w);
	TEST_ASSERT(over(&w));
	for (int i = 0; i < 100000 && n == 0; i++) {
		n = host_receives(&b);
		usleep(100);
	}
	TEST_EQ(n, 1);
	weir_queue_watch(b.rxq, &w);
	TEST_ASSERT(!over(&w));
	fe_close(&f);
	TEST_EQ(bench_close(&b), 0);
	dma_close();
	return TEST_OK;
}

/* True if there is memory at an address. */
static bool
mapped(const volatile void *p)
{
	void *page = (void *)((uintptr_t)p & ~UINT64_C(4095));

	return msync(page, 4096, MS_ASYNC) == 0;
}

/* The word can be used until the next burst, whatever becomes of the guest. */
static enum test_result
word_outlives_its_guest(void)
{
	struct weir_queue_watch w;
	uint64_t old = 0;
	struct bench b;
	struct fe f;

	TEST_EQ(bench_open(&b, NULL, 0), 0);
	for (int i = 0; i < 3; i++) {
		TEST_EQ(fe_open(&f, b.path, 1, FE_SPLIT), 0);
		TEST_ASSERT(guest_sends(&f, 0));
		TEST_EQ(host_receives(&b), 1);
		weir_queue_watch(b.rxq, &w);
		TEST_ASSERT(*w.word != 0 && !over(&w));
		fe_close(&f);
		TEST_ASSERT(link_becomes(&b, false));
		TEST_EQ(b.port->nr_stays, 1);
		TEST_ASSERT(mapped(w.word));
		TEST_EQ(*w.word, 0);
		/* as who wakes an lcore does */
		TEST_ASSERT(__atomic_compare_exchange_n(
			w.word, &old, old, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
		/* a sleep that goes on across a guest, of which that word says nothing */
		TEST_EQ(fe_open(&f, b.path, 1, FE_SPLIT), 0);
		TEST_ASSERT(over(&w));
		fe_close(&f);
		TEST_ASSERT(link_becomes(&b, false));
		TEST_ASSERT(mapped(w.word));
		TEST_EQ(host_receives(&b), 0);
	}
	/* the last is let go of when memory goes the next time */
	TEST_EQ(fe_open(&f, b.path, 1, FE_SPLIT), 0);
	fe_close(&f);
	TEST_ASSERT(link_becomes(&b, false));
	TEST_EQ(b.port->nr_stays, 0);
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

struct watcher {
	struct bench *b;
	_Atomic bool end;
	_Atomic uint32_t watches;
};

/* An lcore that sleeps whenever it may, with a loop for the instruction. */
static void *
watcher_main(void *arg)
{
	struct watcher *s = arg;

	while (!atomic_load(&s->end)) {
		struct weir_queue_watch w;

		weir_queue_watch(s->b->rxq, &w);
		for (int i = 0; i < 1000 && !over(&w) && !atomic_load(&s->end); i++)
			;
		host_receives(s->b);
		atomic_fetch_add(&s->watches, 1);
	}
	return NULL;
}

static enum test_result
guests_go_from_under_the_watch(void)
{
	struct watcher s = { 0 };
	pthread_t lcore;
	struct bench b;
	struct fe f;

	TEST_EQ(bench_open(&b, NULL, 0), 0);
	s.b = &b;
	TEST_EQ(pthread_create(&lcore, NULL, watcher_main, &s), 0);
	for (int i = 0; i < 100; i++) {
		uint32_t before = atomic_load(&s.watches);

		TEST_EQ(fe_open(&f, b.path, 1, i % 2 == 0 ? FE_SPLIT : UINT64_MAX), 0);
		guest_sends(&f, 0);
		for (int k = 0; k < 100000 && atomic_load(&s.watches) == before; k++)
			usleep(100);
		TEST_ASSERT(atomic_load(&s.watches) != before);
		fe_close(&f);
		TEST_ASSERT(link_becomes(&b, false));
		TEST_ASSERT(b.port->nr_stays <= 1);
	}
	atomic_store(&s.end, true);
	pthread_join(lcore, NULL);
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

static const struct test_case cases[] = {
	{ "frames_end_the_watch_split", frames_end_the_watch_split },
	{ "frames_end_the_watch_packed", frames_end_the_watch_packed },
	{ "start_of_a_ring_ends_the_watch", start_of_a_ring_ends_the_watch },
	{ "announcement_ends_the_watch", announcement_ends_the_watch },
	{ "copies_under_way_keep_awake", copies_under_way_keep_awake },
	{ "word_outlives_its_guest", word_outlives_its_guest },
	{ "guests_go_from_under_the_watch", guests_go_from_under_the_watch },
};

AUTOTEST_EAL(port_watch_autotest, cases);
