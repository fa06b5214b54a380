/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A port and the frontend of frontend.h in one process and one thread: each
 * step of one side is followed by a look at the other.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <rte_cycles.h>
#include <rte_ether.h>
#include <rte_mbuf.h>

#include "ctl.h"
#include "port_bench.h"
#include "weir_copy.h"

static enum test_result
traffic(const char *dma, uint32_t threshold, struct weir_queue_stats *rx,
	struct weir_queue_stats *tx)
{
	struct bench b;
	struct fe f;

	TEST_EQ(bench_open(&b, dma, threshold), 0);
	TEST_EQ(fe_open(&f, b.path, 1, ALL_FEATURES), 0);
	TEST_ASSERT(link_becomes(&b, true));
	if (to_host(&b, &f, 2000) != TEST_OK || to_guest(&b, &f, 2000) != TEST_OK)
		return TEST_FAILED;
	weir_queue_stats_get(b.rxq, rx);
	weir_queue_stats_get(b.txq, tx);
	TEST_EQ(rx->packets, 2000);
	TEST_EQ(tx->packets, 2000);
	TEST_EQ(rx->dropped + tx->dropped + rx->in_flight + tx->in_flight, 0);
	fe_close(&f);
	TEST_ASSERT(link_becomes(&b, false));
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

static enum test_result
cpu_every_shape_and_size_arrives(void)
{
	struct weir_queue_stats rx, tx;

	if (traffic(NULL, 0, &rx, &tx) != TEST_OK)
		return TEST_FAILED;
	TEST_ASSERT(rx.cpu_copies >= 2000 && tx.cpu_copies >= 2000);
	TEST_EQ(rx.dma_copies + tx.dma_copies, 0);
	return TEST_OK;
}

static enum test_result
dma_case(const char *args, uint32_t threshold, bool errors)
{
	struct weir_queue_stats rx, tx;

	TEST_EQ(dma_open(args), 0);
	if (traffic("dma_weir_test", threshold, &rx, &tx) != TEST_OK)
		return TEST_FAILED;
	dma_close();
	TEST_ASSERT(rx.dma_copies != 0 && tx.dma_copies != 0);
	if (threshold == 0)
		TEST_EQ(rx.cpu_copies + tx.cpu_copies, 0);
	else
		TEST_ASSERT(rx.cpu_copies != 0 && tx.cpu_copies != 0);
	TEST_EQ(rx.dma_errors != 0, errors);
	return TEST_OK;
}

static enum test_result
dma_inline_every_shape_and_size_arrives(void)
{
	return dma_case("mode=inline", 0, false);
}

static enum test_result
dma_thread_every_shape_and_size_arrives(void)
{
	return dma_case("mode=thread", 0, false);
}

static enum test_result
dma_and_cpu_mixed_in_order(void)
{
	return dma_case("mode=thread,delay_us=20", 500, false);
}

static enum test_result
dma_errors_copied_again_and_delivered(void)
{
	/* not so many that the engine is put aside */
	return dma_case("mode=thread,fail_nth=40", 0, true);
}

/* An engine that stops copying after so many jobs is reset, again and again. */
static enum test_result
dma_that_hangs_loses_nothing(void)
{
	struct weir_queue_stats rx, tx;
	enum test_result r;
	int run = 0;

	TEST_EQ(dma_open("mode=thread,stall_after=700"), 0);
	weir_copy_set_watchdog(20000);
	/* where this thread has a CPU and the control thread has none, the traffic may
	 * be over before the engine is back */
	do
		r = traffic("dma_weir_test", 0, &rx, &tx);
	while (r == TEST_OK && rx.dma_copies <= 700 && tx.dma_copies <= 700 &&
	       ++run < 20);
	dma_close();
	TEST_EQ(r, TEST_OK);
	TEST_ASSERT(rx.dma_copies > 700 || tx.dma_copies > 700);
	TEST_ASSERT(rx.cpu_copies + tx.cpu_copies != 0);
	return TEST_OK;
}

static enum test_result
dma_that_sees_no_guest_memory_refused(void)
{
	struct weir_copy_chan *c;
	int id;

	TEST_EQ(dma_open("mode=inline"), 0);
	id = rte_dma_get_dev_id_by_name("dma_weir_test");
	TEST_ASSERT(id >= 0);
	weir_copy_set_reach((int16_t)id, false);
	TEST_EQ(weir_copy_get("dma_weir_test", &c), -EXDEV);
	weir_copy_set_reach((int16_t)id, true);
	TEST_EQ(weir_copy_get("dma_weir_test", &c), 0);
	weir_copy_put(c);
	dma_close();
	TEST_EQ(weir_copy_get("dma_weir_test", &c), -ENODEV);
	return TEST_OK;
}

static unsigned int
count_dir(const char *path)
{
	DIR *d = opendir(path);
	unsigned int n = 0;

	while (d != NULL && readdir(d) != NULL)
		n++;
	if (d != NULL)
		closedir(d);
	return n;
}

/*
 * How often guests' memory is mapped. Not all mappings: malloc's come, go and merge
 * as the threads' work falls.
 */
static unsigned int
count_guest_maps(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned int n = 0;
	char line[512];

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		n += strstr(line, FE_MEM_NAME) != NULL;
	if (f != NULL)
		fclose(f);
	return n;
}

/* What a process holds that a guest could leave behind. */
struct held {
	unsigned int fds;
	unsigned int maps;
	size_t regions;
};

static struct held
held(const struct bench *b)
{
	return (struct held){
		.fds = count_dir("/proc/self/fd"),
		.maps = count_guest_maps(),
		.regions = b->space != NULL
				   ? weir_mirror_regions(weir_space_mirror(b->space))
				   : 0,
	};
}

/* The link goes down first; what copies may still reach is let go of after it. */
static bool
held_becomes(const struct bench *b, const struct held *was)
{
	for (int i = 0; i < 5000; i++) {
		struct held now = held(b);

		if (now.fds == was->fds && now.maps == was->maps &&
		    now.regions == was->regions)
			return true;
		usleep(1000);
	}
	return false;
}

/* A guest dies in the middle of things, again and again. */
static enum test_result
guests_killed(const char *dma, unsigned int times)
{
	struct held before;
	struct bench b;

	TEST_EQ(bench_open(&b, dma, 0), 0);
	before = held(&b);
	TEST_EQ(before.maps, 0);
	for (unsigned int i = 0; i < times; i++) {
		struct rte_mbuf *pkts[BURST];
		uint8_t buf[1500];
		struct fe f;
		uint16_t n;

		TEST_EQ(fe_open(&f, b.path, 1, ALL_FEATURES), 0);
		fe_post(&f, 0);
		TEST_ASSERT(count_guest_maps() != 0); /* its own at least */
		fill(buf, sizeof(buf), i);
		for (unsigned int k = 0; k < 10; k++)
			fe_send(&f, 0, buf, sizeof(buf), FE_TWO);
		n = weir_port_rx_burst(b.rxq, pkts, 5);
		rte_pktmbuf_free_bulk(pkts, n);
		for (unsigned int k = 0; k < 10; k++)
			pkts[k] = frame(sizes[k], k);
		n = weir_port_tx_burst(b.txq, pkts, 10);
		rte_pktmbuf_free_bulk(pkts + n, 10u - n);
		fe_close(&f);
		TEST_ASSERT(link_becomes(&b, false));
		TEST_EQ(weir_port_tx_burst(b.txq, pkts, 0), 0);
	}
	TEST_ASSERT(held_becomes(&b, &before));
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

static enum test_result
guest_killed_50_times_leaves_nothing(void)
{
	return guests_killed(NULL, 50);
}

static enum test_result
guest_killed_50_times_with_copies_under_way(void)
{
	enum test_result r;

	TEST_EQ(dma_open("mode=thread,delay_us=2000"), 0);
	r = guests_killed("dma_weir_test", 50);
	dma_close();
	return r;
}

/* GET_VRING_BASE with frames in the window: none is lost, none comes twice. */
static enum test_result
ring_stopped_in_flight_goes_on_where_it_was(void)
{
	const struct vhost_vring_state which = { 1, 0 };
	struct vhost_vring_state base;
	struct rte_mbuf *pkts[BURST];
	uint32_t got = 0;
	uint8_t buf[200];
	struct bench b;
	struct fe f;

	TEST_EQ(dma_open("mode=thread,delay_us=3000"), 0);
	TEST_EQ(bench_open(&b, "dma_weir_test", 0), 0);
	TEST_EQ(fe_open(&f, b.path, 1, ALL_FEATURES), 0);
	for (uint32_t i = 0; i < 12; i++) {
		fill(buf, sizeof(buf), i);
		TEST_ASSERT(fe_send(&f, 0, buf, sizeof(buf), FE_ONE));
	}
	for (int stop = 0; stop < 5; stop++) {
		uint16_t n = weir_port_rx_burst(b.rxq, pkts, 4);

		for (uint16_t i = 0; i < n; i++) {
			TEST_ASSERT(filled(rte_pktmbuf_mtod(pkts[i], uint8_t *),
					   sizeof(buf), got++));
			rte_pktmbuf_free(pkts[i]);
		}
		TEST_EQ(fe_msg(&f, WEIR_VHOST_GET_VRING_BASE, &which, sizeof(which), NULL,
			       0, &base, sizeof(base)),
			0);
		/* a packed one has two halves, and wrap counters that are 1 still */
		TEST_EQ(base.num, wanted == FE_SPLIT ? got : (0x8000u | got) * 0x10001u);
		fe_reap(&f, 0);
		TEST_EQ(f.ring[1].used_idx, got);
		TEST_EQ(fe_ring_start(&f, 1, base.num), 0);
	}
	for (uint32_t idle = 0; got < 12; idle++) {
		uint16_t n = weir_port_rx_burst(b.rxq, pkts, BURST);

		for (uint16_t i = 0; i < n; i++) {
			TEST_ASSERT(filled(rte_pktmbuf_mtod(pkts[i], uint8_t *),
					   sizeof(buf), got++));
			rte_pktmbuf_free(pkts[i]);
		}
		TEST_ASSERT(idle < 100000000);
	}
	fe_close(&f);
	TEST_EQ(bench_close(&b), 0);
	dma_close();
	return TEST_OK;
}

/* Nobody calls the transmit queue again; the control thread gives frames up. */
static enum test_result
frame_arrives_though_nobody_polls(void)
{
	static uint8_t buf[65536];
	struct rte_mbuf *m;
	struct bench b;
	size_t len = 0;
	struct fe f;

	TEST_EQ(dma_open("mode=thread,delay_us=5000"), 0);
	TEST_EQ(bench_open(&b, "dma_weir_test", 0), 0);
	TEST_EQ(fe_open(&f, b.path, 1, ALL_FEATURES), 0);
	fe_post(&f, 0);
	m = frame(300, 1);
	TEST_EQ(weir_port_tx_burst(b.txq, &m, 1), 1);
	for (int i = 0; i < 5000 && len == 0; i++) {
		len = fe_recv(&f, 0, buf);
		usleep(1000);
	}
	TEST_EQ(len, 300);
	TEST_ASSERT(filled(buf, len, 1));
	fe_close(&f);
	TEST_EQ(bench_close(&b), 0);
	dma_close();
	return TEST_OK;
}

/* One buffer a frame: one that does not fit is dropped, those behind it are not. */
static enum test_result
frame_too_long_without_mergeable_is_dropped(void)
{
	const uint64_t mrg = WEIR_VHOST_BIT(VIRTIO_NET_F_MRG_RXBUF);
	struct weir_queue_stats st;
	static uint8_t buf[65536];
	struct rte_mbuf *m[3];
	struct bench b;
	struct fe f;

	TEST_EQ(bench_open(&b, NULL, 0), 0);
	TEST_EQ(fe_open(&f, b.path, 1, ALL_FEATURES & ~mrg), 0);
	fe_post(&f, 0);
	m[0] = frame(100, 0);
	m[1] = frame(FE_BUF - FE_HDR + 1, 1);
	m[2] = frame(FE_BUF - FE_HDR, 2);
	TEST_EQ(weir_port_tx_burst(b.txq, m, 3), 3);
	TEST_EQ(fe_recv(&f, 0, buf), 100);
	TEST_EQ(fe_recv(&f, 0, buf), FE_BUF - FE_HDR);
	TEST_ASSERT(filled(buf, FE_BUF - FE_HDR, 2));
	TEST_EQ(fe_recv(&f, 0, buf), 0);
	weir_queue_stats_get(b.txq, &st);
	TEST_EQ(st.packets, 2);
	TEST_EQ(st.dropped, 1);
	fe_close(&f);
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

/* Frames no Ethernet has go back to the guest and nowhere else. */
static enum test_result
runt_and_giant_from_guest_are_dropped(void)
{
	struct weir_queue_stats st;
	struct rte_mbuf *m[4];
	struct fe_ring *r;
	uint8_t buf[64];
	struct bench b;
	struct fe f;

	TEST_EQ(bench_open(&b, NULL, 0), 0);
	TEST_EQ(fe_open(&f, b.path, 1, ALL_FEATURES), 0);
	r = &f.ring[1];
	fill(buf, sizeof(buf), 5);
	r->desc[40] = (struct vring_desc){ fe_gpa(&f, r->buf), FE_HDR - 1, 0, 0 };
	fe_offer(r, 40);
	r->desc[41] = (struct vring_desc){ fe_gpa(&f, r->buf), FE_HDR + 13, 0, 0 };
	fe_offer(r, 41);
	r->desc[42] = (struct vring_desc){ fe_gpa(&f, r->buf), 0, 0, 0 };
	fe_offer(r, 42);
	r->desc[43] = (struct vring_desc){ FE_GPA, 70000, 0, 0 };
	fe_offer(r, 43);
	TEST_EQ(weir_port_rx_burst(b.rxq, m, 4), 0);
	TEST_EQ(fe_reap(&f, 0), 4);
	weir_queue_stats_get(b.rxq, &st);
	TEST_EQ(st.dropped, 4);
	TEST_ASSERT(weir_port_link(b.port));
	fe_close(&f);
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

/* A second frontend is turned away and the first does not notice. */
static enum test_result
second_peer_turned_away(void)
{
	struct bench b;
	struct fe f, g;

	TEST_EQ(bench_open(&b, NULL, 0), 0);
	TEST_EQ(fe_open(&f, b.path, 1, ALL_FEATURES), 0);
	TEST_ASSERT(fe_open(&g, b.path, 1, ALL_FEATURES) != 0);
	TEST_ASSERT(said("second peer"));
	if (to_host(&b, &f, 20) != TEST_OK)
		return TEST_FAILED;
	fe_close(&f);
	TEST_EQ(fe_open(&g, b.path, 1, ALL_FEATURES), 0);
	fe_close(&g);
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

static _Atomic bool control_waits;

static void
do_wait(void *arg)
{
	(void)arg;
	atomic_store(&control_waits, true);
	usleep(200000);
}

static void *
control_wait(void *arg)
{
	ctl_run(do_wait, arg);
	return NULL;
}

/* A frontend that dies in the middle of what it had to say, and its successor: the
 * control thread finds both at once. */
static enum test_result
successor_of_one_that_was_not_heard_out_is_served(void)
{
	pthread_t control;
	struct bench b;
	struct fe f, g;

	TEST_EQ(bench_open(&b, NULL, 0), 0);
	TEST_EQ(fe_connect(&f, b.path, 1), 0);
	TEST_EQ(fe_features(&f, ALL_FEATURES), 0);
	atomic_store(&control_waits, false);
	TEST_EQ(pthread_create(&control, NULL, control_wait, NULL), 0);
	while (!atomic_load(&control_waits))
		usleep(100);
	for (int i = 0; i < 8; i++)
		TEST_EQ(fe_msg(&f, WEIR_VHOST_SET_OWNER, NULL, 0, NULL, 0, NULL, 0), 0);
	fe_close(&f);
	TEST_EQ(fe_open(&g, b.path, 1, ALL_FEATURES), 0);
	TEST_EQ(pthread_join(control, NULL), 0);
	TEST_ASSERT(!said("second peer"));
	TEST_EQ(to_host(&b, &g, 20), TEST_OK);
	fe_close(&g);
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

/* The guest's memory file is shorter than it says: touching it would be SIGBUS. */
static enum test_result
memory_beyond_its_file_refused(void)
{
	struct bench b;
	struct fe f;

	TEST_EQ(bench_open(&b, NULL, 0), 0);
	TEST_EQ(fe_connect(&f, b.path, 1), 0);
	TEST_EQ(fe_features(&f, ALL_FEATURES), 0);
	f.mem_len += 0x100000;
	TEST_ASSERT(fe_share(&f) != 0);
	f.mem_len -= 0x100000;
	TEST_ASSERT(said("SET_MEM_TABLE"));
	fe_close(&f);
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

/* A copy outlasts the wait for it: its ring is at no rest, so the guest goes, and
 * its memory only when the copy is over. */
static enum test_result
copies_that_outlast_a_stop_part_with_the_guest(void)
{
	const uint64_t idx = 1;
	struct rte_mbuf *pkts[BURST];
	uint8_t buf[100];
	unsigned int fds;
	struct bench b;
	struct fe f, next;

	TEST_EQ(dma_open("mode=thread,delay_us=2500000"), 0);
	TEST_EQ(bench_open(&b, "dma_weir_test", 0), 0);
	TEST_EQ(fe_open(&f, b.path, 1, ALL_FEATURES), 0);
	fe_close(&f);
	TEST_ASSERT(link_becomes(&b, false));
	fds = count_dir("/proc/self/fd");
	TEST_EQ(fe_open(&f, b.path, 1, ALL_FEATURES), 0);
	fill(buf, sizeof(buf), 0);
	for (unsigned int i = 0; i < 5; i++)
		fe_send(&f, 0, buf, sizeof(buf), FE_ONE);
	TEST_EQ(weir_port_rx_burst(b.rxq, pkts, BURST), 0);
	TEST_ASSERT(fe_msg_ack(&f, WEIR_VHOST_SET_VRING_CALL, &idx, sizeof(idx),
			       &f.ring[1].call, 1) != 0);
	/* taken when the last one's memory is free, not before */
	TEST_EQ(fe_open(&next, b.path, 1, ALL_FEATURES), 0);
	TEST_ASSERT(said("SET_VRING_CALL"));
	fe_close(&f);
	TEST_ASSERT(link_becomes(&b, true));
	fe_close(&next);
	TEST_ASSERT(link_becomes(&b, false));
	TEST_EQ(count_dir("/proc/self/fd"), fds);
	TEST_EQ(bench_close(&b), 0);
	dma_close();
	return TEST_OK;
}

/* A guest with copies under way that take longer than a stop waits. */
static int
slow_guest(struct bench *b, struct fe *f, const char *dma)
{
	struct rte_mbuf *pkts[BURST];
	uint8_t buf[100];
	int ret = dma_open(dma);

	if (ret == 0)
		ret = bench_open(b, "dma_weir_test", 0);
	if (ret == 0)
		ret = fe_open(f, b->path, 1, ALL_FEATURES);
	if (ret != 0)
		return ret;
	fill(buf, sizeof(buf), 0);
	fe_send(f, 0, buf, sizeof(buf), FE_ONE);
	return weir_port_rx_burst(b->rxq, pkts, BURST);
}

/* An engine hangs and a ring is to stop: the engine is reset first, and the guest stays.
 */
static enum test_result
engine_that_hangs_does_not_cost_the_guest(void)
{
	const uint64_t idx = 1;
	struct rte_mbuf *pkts[BURST];
	struct bench b;
	struct fe f;
	uint16_t n = 0;

	TEST_EQ(slow_guest(&b, &f, "mode=thread,delay_us=10000000"), 0);
	weir_copy_set_watchdog(500000);
	TEST_EQ(fe_msg_ack(&f, WEIR_VHOST_SET_VRING_CALL, &idx, sizeof(idx),
			   &f.ring[1].call, 1),
		0);
	TEST_ASSERT(weir_port_link(b.port));
	for (int i = 0; i < 10000 && n == 0; i++) {
		n = weir_port_rx_burst(b.rxq, pkts, BURST);
		usleep(1000);
	}
	TEST_EQ(n, 1);
	rte_pktmbuf_free_bulk(pkts, n);
	fe_close(&f);
	TEST_EQ(bench_close(&b), 0);
	dma_close();
	return TEST_OK;
}

/* The engine still writes to the mbufs of the queue that would be set up anew. */
static enum test_result
setup_with_copies_under_way_refused(void)
{
	struct bench b;
	struct fe f;
	int ret = -EBUSY;

	TEST_EQ(slow_guest(&b, &f, "mode=thread,delay_us=2500000"), 0);
	TEST_EQ(weir_port_stop(b.port), -EBUSY);
	TEST_EQ(weir_port_rxq_setup(b.port, 0, pool, NULL), -EBUSY);
	fe_close(&f);
	for (int i = 0; i < 5000 && ret == -EBUSY; i++) {
		usleep(1000);
		ret = weir_port_rxq_setup(b.port, 0, pool, NULL);
	}
	TEST_EQ(ret, 0);
	TEST_EQ(bench_close(&b), 0);
	dma_close();
	return TEST_OK;
}

/* The application stops the port when it is told of the first ring: the message
 * that stopped it has others to stop, and an answer to give. */
static enum test_result
told_of_a_queue_may_stop_the_port(void)
{
	struct bench b;
	struct fe f;

	TEST_EQ(slow_guest(&b, &f, "mode=thread,delay_us=1500000"), 0);
	atomic_store(&stop_when_told, b.port);
	fe_msg_ack(&f, WEIR_VHOST_RESET_OWNER, NULL, 0, NULL, 0);
	TEST_ASSERT(link_becomes(&b, false));
	fe_close(&f);
	TEST_EQ(weir_port_start(b.port), 0);
	TEST_EQ(fe_open(&f, b.path, 1, ALL_FEATURES), 0);
	TEST_ASSERT(atomic_load(&stop_when_told) == NULL);
	TEST_ASSERT(link_becomes(&b, true));
	fe_close(&f);
	TEST_EQ(bench_close(&b), 0);
	dma_close();
	return TEST_OK;
}

BENCH_PACKED(cpu_every_shape_and_size_arrives)
BENCH_PACKED(dma_inline_every_shape_and_size_arrives)
BENCH_PACKED(dma_and_cpu_mixed_in_order)
BENCH_PACKED(dma_errors_copied_again_and_delivered)
BENCH_PACKED(guest_killed_50_times_with_copies_under_way)
BENCH_PACKED(ring_stopped_in_flight_goes_on_where_it_was)
BENCH_PACKED(frame_arrives_though_nobody_polls)
BENCH_PACKED(frame_too_long_without_mergeable_is_dropped)
BENCH_PACKED(runt_and_giant_from_guest_are_dropped)

/* A frame's header fits an mbuf: runs of frames count on it. */
static enum test_result
pool_without_room_for_a_header_refused(void)
{
	struct rte_mempool *small;
	struct bench b;

	TEST_EQ(bench_open(&b, NULL, 0), 0);
	weir_port_stop(b.port);
	for (unsigned int room = 0; room < RTE_ETHER_HDR_LEN + 2; room++) {
		small = rte_pktmbuf_pool_create("test_port_small", 3, 0, 0,
						(uint16_t)(RTE_PKTMBUF_HEADROOM + room),
						0);
		TEST_ASSERT(small != NULL);
		TEST_EQ(weir_port_rxq_setup(b.port, 0, small, NULL),
			room < RTE_ETHER_HDR_LEN ? -EINVAL : 0);
		TEST_EQ(weir_port_rxq_setup(b.port, 0, pool, NULL), 0);
		rte_mempool_free(small);
	}
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

static const struct test_case port_packed_cases[] = {
	{ "cpu_every_shape_and_size_arrives", cpu_every_shape_and_size_arrives_packed },
	{ "dma_inline_every_shape_and_size_arrives",
	  dma_inline_every_shape_and_size_arrives_packed },
	{ "dma_and_cpu_mixed_in_order", dma_and_cpu_mixed_in_order_packed },
	{ "dma_errors_copied_again_and_delivered",
	  dma_errors_copied_again_and_delivered_packed },
	{ "guest_killed_50_times_with_copies_under_way",
	  guest_killed_50_times_with_copies_under_way_packed },
	{ "ring_stopped_in_flight_goes_on_where_it_was",
	  ring_stopped_in_flight_goes_on_where_it_was_packed },
	{ "frame_arrives_though_nobody_polls", frame_arrives_though_nobody_polls_packed },
	{ "frame_too_long_without_mergeable_is_dropped",
	  frame_too_long_without_mergeable_is_dropped_packed },
	{ "runt_and_giant_from_guest_are_dropped",
	  runt_and_giant_from_guest_are_dropped_packed },
};
AUTOTEST_EAL(port_packed_autotest, port_packed_cases);

static const struct test_case port_cases[] = {
	{ "cpu_every_shape_and_size_arrives", cpu_every_shape_and_size_arrives },
	{ "dma_inline_every_shape_and_size_arrives",
	  dma_inline_every_shape_and_size_arrives },
	{ "dma_thread_every_shape_and_size_arrives",
	  dma_thread_every_shape_and_size_arrives },
	{ "dma_and_cpu_mixed_in_order", dma_and_cpu_mixed_in_order },
	{ "dma_errors_copied_again_and_delivered",
	  dma_errors_copied_again_and_delivered },
	{ "dma_that_hangs_loses_nothing", dma_that_hangs_loses_nothing },
	{ "dma_that_sees_no_guest_memory_refused",
	  dma_that_sees_no_guest_memory_refused },
	{ "guest_killed_50_times_leaves_nothing", guest_killed_50_times_leaves_nothing },
	{ "guest_killed_50_times_with_copies_under_way",
	  guest_killed_50_times_with_copies_under_way },
	{ "ring_stopped_in_flight_goes_on_where_it_was",
	  ring_stopped_in_flight_goes_on_where_it_was },
	{ "frame_arrives_though_nobody_polls", frame_arrives_though_nobody_polls },
	{ "frame_too_long_without_mergeable_is_dropped",
	  frame_too_long_without_mergeable_is_dropped },
	{ "runt_and_giant_from_guest_are_dropped",
	  runt_and_giant_from_guest_are_dropped },
	{ "second_peer_turned_away", second_peer_turned_away },
	{ "successor_of_one_that_was_not_heard_out_is_served",
	  successor_of_one_that_was_not_heard_out_is_served },
	{ "memory_beyond_its_file_refused", memory_beyond_its_file_refused },
	{ "copies_that_outlast_a_stop_part_with_the_guest",
	  copies_that_outlast_a_stop_part_with_the_guest },
	{ "engine_that_hangs_does_not_cost_the_guest",
	  engine_that_hangs_does_not_cost_the_guest },
	{ "setup_with_copies_under_way_refused", setup_with_copies_under_way_refused },
	{ "pool_without_room_for_a_header_refused",
	  pool_without_room_for_a_header_refused },
	{ "told_of_a_queue_may_stop_the_port", told_of_a_queue_may_stop_the_port },
};
AUTOTEST_EAL(port_autotest, port_cases);
