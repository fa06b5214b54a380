/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A port that takes over rings from a backend that has died: what that one had in
 * its hands, in whichever order it worked, comes again, once, and first.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "port_bench.h"
#include "weir_inflight.h"

#define LEN 300u
#define INFLIGHT_PF WEIR_VHOST_BIT(WEIR_VHOST_PF_INFLIGHT_SHMFD)

/* A frontend with an area, and its part of each ring. */
struct guest {
	struct fe fe;
	int fd;
	struct weir_vhost_wire_inflight wire;
	uint8_t *area;
};

/* Whether it has packed rings. */
static bool
is_packed(void)
{
	return wanted != FE_SPLIT;
}

static void *
part_at(struct guest *g, unsigned int ring)
{
	return g->area + ring * weir_inflight_len(FE_RING, is_packed());
}

static struct weir_inflight *
part(struct guest *g, unsigned int ring)
{
	return part_at(g, ring);
}

static int64_t
area_set(struct guest *g)
{
	return fe_msg_ack(&g->fe, WEIR_VHOST_SET_INFLIGHT_FD, &g->wire, sizeof(g->wire),
			  &g->fd, 1);
}

/* Connect, share memory, ask for an area; no ring runs. */
static enum test_result
guest_open(struct guest *g, const struct bench *b)
{
	TEST_EQ(fe_connect(&g->fe, b->path, 1), 0);
	TEST_EQ(fe_features(&g->fe, ALL_FEATURES), 0);
	TEST_EQ(fe_protocol(&g->fe, INFLIGHT_PF), 0);
	TEST_EQ(fe_share(&g->fe), 0);
	TEST_EQ(fe_inflight_get(&g->fe, &g->wire, &g->fd), 0);
	TEST_EQ(g->wire.len, 2 * weir_inflight_len(FE_RING, is_packed()));
	g->area = mmap(NULL, g->wire.len, PROT_READ | PROT_WRITE, MAP_SHARED, g->fd,
		       (off_t)g->wire.mmap_offset);
	TEST_ASSERT(g->area != MAP_FAILED);
	return TEST_OK;
}

static void
guest_close(struct guest *g)
{
	munmap(g->area, g->wire.len);
	close(g->fd);
	fe_close(&g->fe);
}

/* The backend before took @nr chains and gave back those whose bit is set in @used,
 * the last one first. */
static void
took(struct guest *g, unsigned int ring, uint16_t nr, uint64_t used)
{
	struct weir_inflight *a = part(g, ring);
	struct fe_ring *r = &g->fe.ring[ring];

	a->version = WEIR_INFLIGHT_VERSION;
	a->nr_desc = FE_RING;
	for (uint16_t i = nr; i-- > 0;) {
		const uint16_t head = r->avail->ring[i];

		a->desc[head].counter = 1000u + i;
		a->desc[head].inflight = (used >> i & 1) == 0;
		if ((used >> i & 1) != 0)
			r->used->ring[r->used->idx++ % FE_RING].id = head;
	}
	a->used_idx = r->used->idx;
	/* what the guest offers where those entries were is of no concern */
	for (uint16_t i = 0; i < nr; i++)
		r->avail->ring[i] = UINT16_MAX;
}

/* The same with packed rings and chains of two descriptors. */
static void
took_packed(struct guest *g, unsigned int ring, uint16_t nr, uint64_t used)
{
	struct weir_inflight_packed *a = part_at(g, ring);
	struct fe_ring *r = &g->fe.ring[ring];
	uint16_t pos = 0, free_head = FE_RING;

	for (uint16_t i = FE_RING; i-- > 0;) {
		const struct vring_packed_desc *d = &r->packed[i];
		const bool held = i / 2 < nr && (used >> i / 2 & 1) == 0;

		a->desc[i] = (struct weir_inflight_packed_desc){
			.inflight = held && i % 2 == 0,
			.next = held ? i + 1 : free_head,
			.last = i + 1,
			.num = 2,
			.counter = 1000u + i,
			.id = d->id,
			.flags = d->flags,
			.len = d->len,
			.addr = d->addr,
		};
		if (!held)
			free_head = i;
	}
	for (uint16_t i = nr; i-- > 0;) {
		if ((used >> i & 1) == 0)
			continue;
		r->packed[pos].id = a->desc[2 * i].id;
		r->packed[pos].flags =
			1u << VRING_PACKED_DESC_F_AVAIL | 1u << VRING_PACKED_DESC_F_USED;
		pos = (uint16_t)(pos + 2);
	}
	a->version = WEIR_INFLIGHT_VERSION;
	a->nr_desc = FE_RING;
	a->heads.free_head = a->heads.old_free_head = free_head;
	a->place.used_idx = a->place.old_used_idx = pos;
	a->place.used_wrap_counter = a->place.old_used_wrap_counter = 1;
}

static enum test_result
send_one(struct guest *g, uint32_t nr)
{
	uint8_t buf[LEN];

	fill(buf, sizeof(buf), nr);
	TEST_ASSERT(fe_send(&g->fe, 0, buf, sizeof(buf), FE_TWO));
	return TEST_OK;
}

/* Receive frame @nr next. */
static enum test_result
comes(struct bench *b, uint32_t nr)
{
	struct rte_mbuf *m;

	for (int i = 0; weir_port_rx_burst(b->rxq, &m, 1) == 0; i++) {
		TEST_ASSERT(i < 5000);
		usleep(1000);
	}
	TEST_EQ(m->pkt_len, LEN);
	if (!filled(rte_pktmbuf_mtod(m, uint8_t *), LEN, nr))
		printf("    not frame %u\n", nr);
	TEST_ASSERT(filled(rte_pktmbuf_mtod(m, uint8_t *), LEN, nr));
	rte_pktmbuf_free(m);
	return TEST_OK;
}

static enum test_result
received_again(const char *dma)
{
	static const uint32_t left[] = { 0, 2, 3, 6 };
	struct guest g;
	struct bench b;
	eventfd_t n;

	TEST_EQ(bench_open(&b, dma, 0), 0);
	TEST_EQ(guest_open(&g, &b), TEST_OK);
	for (uint32_t i = 0; i < 8; i++)
		TEST_EQ(send_one(&g, i), TEST_OK);
	/* 1, 4 and 5 were given back, 7 was not taken */
	(is_packed() ? took_packed : took)(&g, 1, 7, 0x32);
	TEST_EQ(area_set(&g), 0);
	TEST_EQ(fe_ring_start(&g.fe, 0, FE_BASE_NEW), 0);
	TEST_EQ(fe_ring_start(&g.fe, 1, is_packed() ? FE_BASE_NEW : 3), 0);
	for (size_t i = 0; i < 2; i++)
		TEST_EQ(comes(&b, left[i]), TEST_OK);
	/* it dies as well, and so does the next; the area says what is left */
	TEST_EQ(fe_reap(&g.fe, 0), 5);
	TEST_EQ(bench_close(&b), 0);
	for (size_t i = 2; i < 4; i++) {
		TEST_EQ(bench_open(&b, dma, 0), 0);
		TEST_EQ(fe_connect_again(&g.fe, b.path), 0);
		TEST_EQ(fe_features(&g.fe, ALL_FEATURES), 0);
		TEST_EQ(fe_protocol(&g.fe, INFLIGHT_PF), 0);
		TEST_EQ(fe_share(&g.fe), 0);
		TEST_EQ(area_set(&g), 0);
		/* a base of long ago */
		TEST_EQ(fe_ring_start(&g.fe, 0, FE_BASE_NEW), 0);
		TEST_EQ(fe_ring_start(&g.fe, 1, FE_BASE_NEW), 0);
		TEST_EQ(comes(&b, left[i]), TEST_OK);
		if (i == 2)
			TEST_EQ(bench_close(&b), 0);
	}
	/* what was not in anybody's hands, and what comes after */
	TEST_EQ(comes(&b, 7), TEST_OK);
	TEST_EQ(fe_reap(&g.fe, 0), 3);
	/* what a split ring's guest says of calls nobody has read meanwhile */
	TEST_EQ(eventfd_read(g.fe.ring[1].call, &n), is_packed() ? -1 : 0);
	for (uint32_t i = 8; i < 300; i++) {
		TEST_EQ(send_one(&g, i), TEST_OK);
		TEST_EQ(comes(&b, i), TEST_OK);
		TEST_EQ(fe_reap(&g.fe, 0), 1);
	}
	guest_close(&g);
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

static enum test_result
frames_in_flight_received_again(void)
{
	return received_again(NULL);
}

static enum test_result
frames_in_flight_received_again_by_dma(void)
{
	enum test_result r;

	TEST_EQ(dma_open("mode=thread,delay_us=100"), 0);
	r = received_again("dma_weir_test");
	dma_close();
	return r;
}

/* Run a test with packed rings. */
static enum test_result packed(enum test_result (*run)(void))
{
	enum test_result r;

	wanted = UINT64_MAX;
	r = run();
	wanted = FE_SPLIT;
	return r;
}

static enum test_result
packed_in_flight_received_again(void)
{
	return packed(frames_in_flight_received_again);
}

static enum test_result
packed_in_flight_received_again_by_dma(void)
{
	return packed(frames_in_flight_received_again_by_dma);
}

/* A guest whose backends die, one after the other, and which knows of no base. */
static enum test_result
place_kept(const char *dma)
{
	static uint8_t buf[65536];
	uint32_t sent = 0, got = 0, to_guest = 0;
	struct guest g;
	struct bench b;

	TEST_EQ(bench_open(&b, dma, 0), 0);
	TEST_EQ(guest_open(&g, &b), TEST_OK);
	for (unsigned int life = 0; life < 40; life++) {
		if (life != 0) {
			TEST_EQ(bench_open(&b, dma, 0), 0);
			TEST_EQ(fe_connect_again(&g.fe, b.path), 0);
			TEST_EQ(fe_features(&g.fe, ALL_FEATURES), 0);
			TEST_EQ(fe_protocol(&g.fe, INFLIGHT_PF), 0);
			TEST_EQ(fe_share(&g.fe), 0);
		}
		TEST_EQ(area_set(&g), 0);
		fe_post(&g.fe, 0);
		TEST_EQ(fe_ring_start(&g.fe, 0, FE_BASE_NEW), 0);
		TEST_EQ(fe_ring_start(&g.fe, 1, FE_BASE_NEW), 0);
		/* the same again in one connection, where the base is known */
		for (unsigned int i = 0; life % 4 == 1 && i < 2; i++) {
			struct vhost_vring_state at = { i, 0 };

			TEST_EQ(fe_msg(&g.fe, WEIR_VHOST_GET_VRING_BASE, &at, sizeof(at),
				       NULL, 0, &at, sizeof(at)),
				0);
			TEST_EQ(fe_ring_start(&g.fe, i, at.num), 0);
		}
		while (sent < got + 8)
			TEST_EQ(send_one(&g, sent++), TEST_OK);
		for (unsigned int i = 0; i < 5 + life % 3; i++)
			TEST_EQ(comes(&b, got++), TEST_OK);
		fe_reap(&g.fe, 0);
		/* of one buffer and of several */
		for (unsigned int i = 0; i < 7; i++) {
			const uint16_t len = sizes[to_guest % NR_SIZES];
			struct rte_mbuf *m = frame(len, to_guest);
			size_t come = 0;

			TEST_EQ(weir_port_tx_burst(b.txq, &m, 1), 1);
			for (int j = 0; come == 0 && j < 10000; j++) {
				weir_port_tx_burst(b.txq, NULL, 0);
				come = fe_recv(&g.fe, 0, buf);
				if (come == 0)
					usleep(1000);
			}
			TEST_EQ(come, len);
			TEST_ASSERT(filled(buf, len, to_guest++));
			fe_post(&g.fe, 0);
		}
		TEST_EQ(bench_close(&b), 0);
	}
	guest_close(&g);
	return TEST_OK;
}

static enum test_result
place_kept_by_cpu(void)
{
	return place_kept(NULL);
}

static enum test_result
packed_place_kept(void)
{
	return packed(place_kept_by_cpu);
}

static enum test_result
place_kept_by_dma(void)
{
	enum test_result r;

	TEST_EQ(dma_open("mode=thread,delay_us=100"), 0);
	r = place_kept("dma_weir_test");
	dma_close();
	return r;
}

static enum test_result
packed_place_kept_by_dma(void)
{
	return packed(place_kept_by_dma);
}

/* A driver begins anew, and the area stays: what it says is of the time before. */
static enum test_result
packed_reset_begins_anew(void)
{
	uint64_t status = 0;
	struct guest g;
	struct bench b;

	wanted = UINT64_MAX;
	TEST_EQ(bench_open(&b, NULL, 0), 0);
	TEST_EQ(guest_open(&g, &b), TEST_OK);
	TEST_EQ(fe_protocol(&g.fe, INFLIGHT_PF | WEIR_VHOST_BIT(WEIR_VHOST_PF_STATUS)),
		0);
	for (uint32_t round = 0; round < 4; round++) {
		TEST_EQ(area_set(&g), 0);
		TEST_EQ(fe_ring_start(&g.fe, 0, FE_BASE_NEW), 0);
		TEST_EQ(fe_ring_start(&g.fe, 1, FE_BASE_NEW), 0);
		for (uint32_t i = 0; i < 5; i++)
			TEST_EQ(send_one(&g, i), TEST_OK);
		for (uint32_t i = 0; i < 5; i++)
			TEST_EQ(comes(&b, i), TEST_OK);
		TEST_EQ(fe_msg_ack(&g.fe, WEIR_VHOST_SET_STATUS, &status, sizeof(status),
				   NULL, 0),
			0);
		fe_ring_clear(&g.fe.ring[0]);
		fe_ring_clear(&g.fe.ring[1]);
		TEST_EQ(fe_features(&g.fe, ALL_FEATURES), 0);
		TEST_EQ(fe_protocol(&g.fe,
				    INFLIGHT_PF | WEIR_VHOST_BIT(WEIR_VHOST_PF_STATUS)),
			0);
	}
	guest_close(&g);
	TEST_EQ(bench_close(&b), 0);
	wanted = FE_SPLIT;
	return TEST_OK;
}

static enum test_result
frames_in_flight_received_again_by_two(void)
{
	enum test_result r;

	TEST_EQ(dma_open_two("mode=thread,delay_us=300", "mode=thread,delay_us=20"), 0);
	r = received_again(TWO_DMAS);
	dma_close_two();
	return r;
}

/* Buffers that were taken come first, then the guest's others; a frame takes both. */
static enum test_result
filled_first(const char *dma)
{
	static uint8_t buf[65536];
	struct fe_ring *r;
	struct guest g;
	struct bench b;
	uint16_t first;

	TEST_EQ(bench_open(&b, dma, 0), 0);
	TEST_EQ(guest_open(&g, &b), TEST_OK);
	r = &g.fe.ring[0];
	fe_post(&g.fe, 0);
	took(&g, 0, 5, 0x6); /* 0, 3 and 4 are in flight */
	first = r->used->idx;
	r->used_idx = first;
	fe_post(&g.fe, 0); /* over the entries of some of them */
	TEST_EQ(area_set(&g), 0);
	TEST_EQ(fe_ring_start(&g.fe, 0, 0), 0);
	TEST_EQ(fe_ring_start(&g.fe, 1, 0), 0);
	for (uint32_t nr = 0; nr < 200; nr++) {
		struct rte_mbuf *m = frame(sizes[9], nr);

		for (int i = 0; weir_port_tx_burst(b.txq, &m, 1) == 0; i++) {
			TEST_ASSERT(i < 5000);
			usleep(1000);
		}
		for (int i = 0; r->used->idx == r->used_idx; i++) {
			TEST_ASSERT(i < 5000);
			usleep(1000);
			weir_port_tx_burst(b.txq, NULL, 0);
		}
		if (nr == 0) {
			TEST_EQ(r->used->ring[first].id, 0);
			TEST_EQ(r->used->ring[first + 1].id, 3);
			TEST_EQ(r->used->ring[first + 2].id, 4);
			TEST_EQ(r->used->ring[first + 3].id, 5);
		}
		TEST_EQ(fe_recv(&g.fe, 0, buf), sizes[9]);
		TEST_ASSERT(filled(buf, sizes[9], nr));
		if (nr > 1)
			fe_post(&g.fe, 0);
	}
	guest_close(&g);
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

static enum test_result
buffers_in_flight_filled_first(void)
{
	return filled_first(NULL);
}

static enum test_result
buffers_in_flight_filled_first_by_two(void)
{
	enum test_result r;

	TEST_EQ(dma_open_two("mode=thread,delay_us=300", "mode=thread,delay_us=20"), 0);
	r = filled_first(TWO_DMAS);
	dma_close_two();
	return r;
}

/* Areas that do not fit, or make no sense, and one that goes away. */
static enum test_result
area_of_no_use_refused(void)
{
	struct guest g;
	struct bench b;
	int64_t ret;

	TEST_EQ(bench_open(&b, NULL, 0), 0);
	TEST_EQ(guest_open(&g, &b), TEST_OK);
	g.wire.size = FE_RING / 2;
	TEST_EQ(area_set(&g), 0);
	ret = fe_ring_start(&g.fe, 0, 0);
	TEST_ASSERT(ret != 0);
	TEST_ASSERT(said("Invalid argument"));
	g.wire.size = FE_RING;
	part(&g, 0)->version = 2;
	TEST_ASSERT(area_set(&g) != 0);
	TEST_ASSERT(said("Protocol error"));
	part(&g, 0)->version = 0;
	TEST_EQ(area_set(&g), 0);
	TEST_ASSERT(weir_queue_running(b.txq));
	guest_close(&g);
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

static enum test_result
area_cut_short_resets_the_port(void)
{
	struct guest g;
	struct bench b;

	TEST_EQ(bench_open(&b, NULL, 0), 0);
	TEST_EQ(guest_open(&g, &b), TEST_OK);
	/* ours is sealed: one of the frontend's own */
	TEST_EQ(ftruncate(g.fd, 0), -1);
	close(g.fd);
	g.fd = memfd_create("weir-test-area", MFD_CLOEXEC);
	TEST_ASSERT(g.fd >= 0);
	TEST_EQ(ftruncate(g.fd, (off_t)g.wire.len), 0);
	TEST_EQ(area_set(&g), 0);
	TEST_EQ(ftruncate(g.fd, 0), 0);
	fe_ring_start(&g.fe, 0, 0);
	fe_ring_start(&g.fe, 1, 0);
	for (int i = 0; i < 5000 && !said("in-flight area is gone"); i++)
		usleep(1000);
	TEST_ASSERT(said("in-flight area is gone"));
	TEST_ASSERT(link_becomes(&b, false));
	guest_close(&g);
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

static const struct test_case port_recover_cases[] = {
	{ "frames_in_flight_received_again", frames_in_flight_received_again },
	{ "frames_in_flight_received_again_by_dma",
	  frames_in_flight_received_again_by_dma },
	{ "packed_in_flight_received_again", packed_in_flight_received_again },
	{ "packed_in_flight_received_again_by_dma",
	  packed_in_flight_received_again_by_dma },
	{ "packed_place_kept", packed_place_kept },
	{ "packed_place_kept_by_dma", packed_place_kept_by_dma },
	{ "packed_reset_begins_anew", packed_reset_begins_anew },
	{ "frames_in_flight_received_again_by_two",
	  frames_in_flight_received_again_by_two },
	{ "buffers_in_flight_filled_first", buffers_in_flight_filled_first },
	{ "buffers_in_flight_filled_first_by_two",
	  buffers_in_flight_filled_first_by_two },
	{ "area_of_no_use_refused", area_of_no_use_refused },
	{ "area_cut_short_resets_the_port", area_cut_short_resets_the_port },
};
AUTOTEST_EAL(port_recover_autotest, port_recover_cases);
