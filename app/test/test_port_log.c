/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A frontend that migrates: it copies its memory by what the dirty log says, while
 * packets flow, and in the end the copy has to be the memory.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/vhost_types.h>

#include "port_bench.h"

#define LOG_PF WEIR_VHOST_BIT(WEIR_VHOST_PF_LOG_SHMFD)
#define LOG_ALL WEIR_VHOST_BIT(VHOST_F_LOG_ALL)
#define PAGE 4096u
/* the log begins here in its file, where no page does */
#define LOG_OFFSET 192u

struct migration {
	struct fe fe;
	int fd, event;
	uint8_t *file, *bits; /* the log's file, and the log in it */
	size_t len;	      /* bytes of the log */
	uint8_t *copy;	      /* of all guest memory */
	size_t moved;	      /* pages copied so far */
	struct vhost_vring_state base[2];
	pthread_t thread;
	_Atomic bool stop;
};

static uint64_t
nr_pages(const struct migration *m)
{
	return m->fe.mem_len / PAGE;
}

/* True if the bit of page @i of guest memory is set; it is cleared. */
static bool
bit_take(struct migration *m, uint64_t i)
{
	const uint64_t page = FE_GPA / PAGE + i;
	const uint8_t bit = (uint8_t)(1u << page % 8);

	if ((__atomic_load_n(&m->bits[page / 8], __ATOMIC_RELAXED) & bit) == 0)
		return false;
	__atomic_fetch_and(&m->bits[page / 8], (uint8_t)~bit, __ATOMIC_SEQ_CST);
	return true;
}

/* One pass over the log. */
static void
copy_dirty(struct migration *m)
{
	for (uint64_t i = 0; i < nr_pages(m); i++) {
		if (!bit_take(m, i))
			continue;
		memcpy(m->copy + i * PAGE, m->fe.mem + i * PAGE, PAGE);
		m->moved++;
	}
}

static void *
copy_all_the_time(void *arg)
{
	struct migration *m = arg;

	while (!atomic_load(&m->stop))
		copy_dirty(m);
	return NULL;
}

static int64_t
log_set(struct migration *m, uint64_t len)
{
	const struct weir_vhost_wire_log log = { len, LOG_OFFSET };
	uint64_t answer = 0;
	int ret;

	ret = fe_msg(&m->fe, WEIR_VHOST_SET_LOG_BASE, &log, sizeof(log), &m->fd, 1,
		     &answer, sizeof(answer));
	return ret != 0 ? ret : (int64_t)answer;
}

/* A guest with both rings, its memory, and a log of all that; nothing logs yet. */
static enum test_result
migration_open(struct migration *m, const struct bench *b)
{
	*m = (struct migration){ .fd = -1 };
	TEST_EQ(fe_connect(&m->fe, b->path, 1), 0);
	TEST_EQ(fe_features(&m->fe, ALL_FEATURES & ~LOG_ALL), 0);
	TEST_EQ(fe_protocol(&m->fe, LOG_PF), 0);
	TEST_EQ(fe_share(&m->fe), 0);
	TEST_EQ(fe_ring_start(&m->fe, 0, FE_BASE_NEW), 0);
	TEST_EQ(fe_ring_start(&m->fe, 1, FE_BASE_NEW), 0);
	m->len = (FE_GPA + m->fe.mem_len) / PAGE / 8;
	m->fd = memfd_create("weir-test-log", MFD_CLOEXEC);
	m->event = eventfd(0, EFD_CLOEXEC);
	TEST_ASSERT(m->fd >= 0 && m->event >= 0);
	TEST_EQ(ftruncate(m->fd, (off_t)(LOG_OFFSET + m->len)), 0);
	m->file = mmap(NULL, LOG_OFFSET + m->len, PROT_READ | PROT_WRITE, MAP_SHARED,
		       m->fd, 0);
	TEST_ASSERT(m->file != MAP_FAILED);
	m->bits = m->file + LOG_OFFSET;
	m->copy = malloc(m->fe.mem_len);
	TEST_ASSERT(m->copy != NULL);
	return TEST_OK;
}

/* As QEMU does: the log, all writes, and those to the used rings. */
static enum test_result
migration_begin(struct migration *m)
{
	const uint64_t features = m->fe.features | LOG_ALL;

	TEST_EQ(log_set(m, m->len), 0);
	TEST_EQ(fe_msg_ack(&m->fe, WEIR_VHOST_SET_LOG_FD, NULL, 0, &m->event, 1), 0);
	TEST_EQ(fe_msg_ack(&m->fe, WEIR_VHOST_SET_FEATURES, &features, sizeof(features),
			   NULL, 0),
		0);
	m->fe.log_used = true;
	for (unsigned int i = 0; i < 2; i++) {
		const struct vhost_vring_addr addr = fe_ring_addr(&m->fe, i);

		TEST_EQ(fe_msg_ack(&m->fe, WEIR_VHOST_SET_VRING_ADDR, &addr, sizeof(addr),
				   NULL, 0),
			0);
	}
	return TEST_OK;
}

static enum test_result
rings_stop(struct migration *m)
{
	for (uint32_t i = 0; i < 2; i++) {
		const struct vhost_vring_state which = { i, 0 };

		TEST_EQ(fe_msg(&m->fe, WEIR_VHOST_GET_VRING_BASE, &which, sizeof(which),
			       NULL, 0, &m->base[i], sizeof(m->base[i])),
			0);
	}
	return TEST_OK;
}

/* Where they were. */
static enum test_result
rings_start(struct migration *m)
{
	for (uint32_t i = 0; i < 2; i++)
		TEST_EQ(fe_ring_start(&m->fe, i, m->base[i].num), 0);
	return TEST_OK;
}

static void
migration_close(struct migration *m)
{
	fe_close(&m->fe);
	munmap(m->file, LOG_OFFSET + m->len);
	close(m->fd);
	close(m->event);
	free(m->copy);
}

/* What the backend alone writes: used rings, and buffers to receive into. */
static enum test_result
copy_is_whole(const struct migration *m)
{
	const uint8_t *rx = m->fe.ring[0].buf;

	/* descriptors of packed rings are the guest's, too */
	for (unsigned int i = 0; i < 2 && m->fe.ring[i].packed == NULL; i++) {
		size_t at = (size_t)((uint8_t *)m->fe.ring[i].used - m->fe.mem);

		TEST_EQ(memcmp(m->copy + at, m->fe.mem + at,
			       4 + FE_RING * sizeof(struct vring_used_elem)),
			0);
	}
	TEST_EQ(memcmp(m->copy + (rx - m->fe.mem), rx, FE_RING * FE_BUF), 0);
	return TEST_OK;
}

/* Where ring @i's used entries are: a page of its own. */
static const uint8_t *
used_page(const struct migration *m, unsigned int i)
{
	const struct fe_ring *r = &m->fe.ring[i];

	return r->packed != NULL ? (const uint8_t *)r->packed : (const uint8_t *)r->used;
}

/* Used rings were marked, and nothing else but them and buffers was. */
static enum test_result
marks_are_ours(struct migration *m)
{
	const uint8_t *rx = m->fe.ring[0].buf;
	unsigned int used = 0;

	for (uint64_t i = 0; i < nr_pages(m); i++) {
		const uint8_t *at = m->fe.mem + i * PAGE;
		bool is_used = at == used_page(m, 0) || at == used_page(m, 1);

		if (!bit_take(m, i))
			continue;
		used += is_used;
		if (is_used || (at >= rx && at < rx + FE_RING * FE_BUF))
			continue;
		/* a packed ring's wishes are written once, when it starts */
		if (m->fe.ring[0].packed != NULL &&
		    (at == (uint8_t *)m->fe.ring[0].device ||
		     at == (uint8_t *)m->fe.ring[1].device))
			continue;
		printf("    guest page %#" PRIx64 " was marked and not written\n",
		       FE_GPA + i * PAGE);
		return TEST_FAILED;
	}
	TEST_EQ(used, 2);
	return TEST_OK;
}

static enum test_result
migrated(const char *dma, uint32_t threshold)
{
	struct migration m;
	struct bench b;
	eventfd_t n;

	TEST_EQ(bench_open(&b, dma, threshold), 0);
	TEST_EQ(migration_open(&m, &b), TEST_OK);
	TEST_EQ(to_host(&b, &m.fe, 100), TEST_OK);
	TEST_EQ(to_guest(&b, &m.fe, 100), TEST_OK);
	for (size_t i = 0; i < m.len; i++)
		TEST_EQ(m.bits[i], 0);
	TEST_EQ(migration_begin(&m), TEST_OK);
	memcpy(m.copy, m.fe.mem, m.fe.mem_len);
	TEST_EQ(pthread_create(&m.thread, NULL, copy_all_the_time, &m), 0);
	TEST_EQ(to_host(&b, &m.fe, 1000), TEST_OK);
	TEST_EQ(to_guest(&b, &m.fe, 1000), TEST_OK);
	atomic_store(&m.stop, true);
	TEST_EQ(pthread_join(m.thread, NULL), 0);
	TEST_EQ(rings_stop(&m), TEST_OK);
	copy_dirty(&m);
	TEST_EQ(copy_is_whole(&m), TEST_OK);
	TEST_ASSERT(m.moved > FE_RING * FE_BUF / PAGE);
	TEST_EQ(read(m.event, &n, sizeof(n)), sizeof(n));
	/* again, without anybody who clears: nothing else is marked */
	TEST_EQ(rings_start(&m), TEST_OK);
	TEST_EQ(to_host(&b, &m.fe, 100), TEST_OK);
	TEST_EQ(to_guest(&b, &m.fe, 100), TEST_OK);
	TEST_EQ(marks_are_ours(&m), TEST_OK);
	migration_close(&m);
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

static enum test_result
copies_by_cpu_migrate_whole(void)
{
	return migrated(NULL, 0);
}

static enum test_result
migrated_by(const char *args, uint32_t threshold)
{
	enum test_result r;

	TEST_EQ(dma_open(args), 0);
	r = migrated("dma_weir_test", threshold);
	dma_close();
	return r;
}

static enum test_result
copies_by_dma_migrate_whole(void)
{
	return migrated_by("mode=thread,delay_us=100", 0);
}

static enum test_result
copies_by_both_migrate_whole(void)
{
	return migrated_by("mode=thread,delay_us=100,fail_nth=7", 500);
}

/* Of two engines one is late and one fails, in turns by the burst. */
static enum test_result
copies_by_two_engines_migrate_whole(void)
{
	enum test_result r;

	TEST_EQ(dma_open_two("mode=thread,delay_us=300",
			     "mode=thread,fail_nth=7,reorder=1"),
		0);
	r = migrated(TWO_DMAS, 0);
	wanted = UINT64_MAX;
	if (r == TEST_OK)
		r = migrated(TWO_DMAS, 500);
	wanted = FE_SPLIT;
	dma_close_two();
	return r;
}

static enum test_result
packed_rings_migrate_whole(void)
{
	enum test_result r;

	wanted = UINT64_MAX;
	r = migrated(NULL, 0);
	if (r == TEST_OK)
		r = migrated_by("mode=thread,delay_us=100", 500);
	wanted = FE_SPLIT;
	return r;
}

#define MSS 1000u
#define HEADERS 54u /* Ethernet, IPv4, TCP */

/* A TCP frame of so many payload bytes, to be cut. */
static struct rte_mbuf *
long_frame(size_t len, uint32_t nr)
{
	static const uint8_t eth_ip[] = { 2, 0, 0,    0, 0, 1, 2, 0, 0, 0, 0,  2,
					  8, 0, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6 };
	struct rte_mbuf *m = frame(HEADERS + len, nr);
	uint8_t *h = rte_pktmbuf_mtod(m, uint8_t *);

	memset(h, 0, HEADERS);
	memcpy(h, eth_ip, sizeof(eth_ip));
	h[16] = (uint8_t)((HEADERS - 14 + len) >> 8);
	h[17] = (uint8_t)(HEADERS - 14 + len);
	h[46] = 0x50;
	m->l2_len = 14;
	m->l3_len = 20;
	m->l4_len = 20;
	m->tso_segsz = MSS;
	m->ol_flags = RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_IPV4 |
		      RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM;
	return m;
}

/* Frames that are cut among those that are not; @return bytes that came, 0: wrong. */
static size_t
cut_frames(struct bench *b, struct fe *f, uint32_t rounds)
{
	static uint8_t buf[65536];
	size_t total = 0;

	for (uint32_t i = 0; i < rounds; i++) {
		struct rte_mbuf *pkts[3] = { frame(500, i), long_frame(4500, i),
					     frame(600, i) };
		uint16_t sent = 0;
		size_t got = 0, len;

		/* one comes after five pieces of 900, or of MSS and what is left */
		for (uint32_t idle = 0; got < 500 + 5 * HEADERS + 4500 + 600; idle++) {
			fe_post(f, 0);
			sent += weir_port_tx_burst(b->txq, pkts + sent, 3 - sent);
			while ((len = fe_recv(f, 0, buf)) != 0)
				got += len;
			if (idle > 2000000)
				return 0;
		}
		total += got;
	}
	return total;
}

/* Nothing is cut for a guest that cuts, and it does not. */
static enum test_result
cut_frames_migrated(const char *dma)
{
	struct migration m;
	struct bench b;

	TEST_EQ(bench_open(&b, dma, 0), 0);
	TEST_EQ(migration_open(&m, &b), TEST_OK);
	TEST_EQ(migration_begin(&m), TEST_OK);
	memcpy(m.copy, m.fe.mem, m.fe.mem_len);
	TEST_EQ(pthread_create(&m.thread, NULL, copy_all_the_time, &m), 0);
	TEST_EQ(cut_frames(&b, &m.fe, 300), 300 * (500 + 5 * HEADERS + 4500 + 600));
	atomic_store(&m.stop, true);
	TEST_EQ(pthread_join(m.thread, NULL), 0);
	TEST_EQ(rings_stop(&m), TEST_OK);
	copy_dirty(&m);
	TEST_EQ(copy_is_whole(&m), TEST_OK);
	TEST_EQ(rings_start(&m), TEST_OK);
	TEST_EQ(cut_frames(&b, &m.fe, 10), 10 * (500 + 5 * HEADERS + 4500 + 600));
	TEST_EQ(to_host(&b, &m.fe, 1), TEST_OK);
	TEST_EQ(marks_are_ours(&m), TEST_OK);
	migration_close(&m);
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

static enum test_result
frames_cut_in_the_ring_migrate_whole(void)
{
	enum test_result r = cut_frames_migrated(NULL);

	wanted = UINT64_MAX;
	if (r == TEST_OK)
		r = cut_frames_migrated(NULL);
	wanted = FE_SPLIT;
	return r;
}

static enum test_result
frames_cut_among_dma_migrate_whole(void)
{
	enum test_result r;

	TEST_EQ(dma_open("mode=thread,delay_us=100"), 0);
	r = cut_frames_migrated("dma_weir_test");
	wanted = UINT64_MAX;
	if (r == TEST_OK)
		r = cut_frames_migrated("dma_weir_test");
	wanted = FE_SPLIT;
	dma_close();
	return r;
}

/* With a copy under way the page is clean; its bit comes with the bytes. */
static enum test_result
page_marked_when_its_copy_is_over(void)
{
	static uint8_t buf[65536];
	struct migration m;
	struct rte_mbuf *f;
	struct bench b;
	bool marked = false;

	TEST_EQ(dma_open("mode=thread,delay_us=50000"), 0);
	TEST_EQ(bench_open(&b, "dma_weir_test", 0), 0);
	TEST_EQ(migration_open(&m, &b), TEST_OK);
	TEST_EQ(migration_begin(&m), TEST_OK);
	memset(m.bits, 0, m.len);
	fe_post(&m.fe, 0);
	f = frame(1000, 7);
	TEST_EQ(weir_port_tx_burst(b.txq, &f, 1), 1);
	for (int i = 0; i < 5000 && !marked; i++) {
		const uint64_t first = (uint64_t)(m.fe.ring[0].buf - m.fe.mem) / PAGE;

		/* looked at in this order: a bit that is set has its bytes */
		marked = bit_take(&m, first);
		if (marked)
			TEST_ASSERT(filled(m.fe.ring[0].buf + FE_HDR, 1000, 7));
		usleep(1000);
	}
	TEST_ASSERT(marked);
	TEST_EQ(fe_recv(&m.fe, 0, buf), 1000);
	migration_close(&m);
	TEST_EQ(bench_close(&b), 0);
	dma_close();
	return TEST_OK;
}

/* What tells the guest whether to kick is written too. */
static enum test_result
wishes_logged(void)
{
	struct migration m;
	struct bench b;
	int fd;

	TEST_EQ(bench_open(&b, NULL, 0), 0);
	weir_port_stop(b.port);
	TEST_EQ(weir_port_rxq_wake_fd(b.port, 0, &fd), 0);
	TEST_EQ(weir_port_start(b.port), 0);
	TEST_EQ(migration_open(&m, &b), TEST_OK);
	TEST_EQ(migration_begin(&m), TEST_OK);
	memset(m.bits, 0, m.len);
	for (int i = 0; i < 4; i++) {
		const struct fe_ring *r = &m.fe.ring[1];
		const void *wish =
			r->packed != NULL ? (void *)r->device : (void *)r->used;

		TEST_EQ(i % 2 == 0 ? weir_queue_wake_arm(b.rxq)
				   : weir_queue_wake_disarm(b.rxq),
			0);
		TEST_ASSERT(bit_take(&m, (fe_gpa(&m.fe, wish) - FE_GPA) / PAGE));
		for (size_t at = 0; at < m.len; at++)
			TEST_EQ(m.bits[at], 0);
	}
	migration_close(&m);
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

static enum test_result
wishes_are_logged(void)
{
	enum test_result r = wishes_logged();

	wanted = UINT64_MAX;
	if (r == TEST_OK)
		r = wishes_logged();
	wanted = FE_SPLIT;
	return r;
}

/* Logs that are too short, that go away, and used rings logged where no log is. */
static enum test_result
log_of_no_use_hurts_nobody(void)
{
	struct migration m;
	struct bench b;

	TEST_EQ(bench_open(&b, NULL, 0), 0);
	TEST_EQ(migration_open(&m, &b), TEST_OK);
	TEST_ASSERT(log_set(&m, m.len - 1) != 0);
	TEST_ASSERT(said("does not reach guest address"));
	migration_close(&m);
	TEST_EQ(migration_open(&m, &b), TEST_OK);
	TEST_EQ(migration_begin(&m), TEST_OK);
	for (unsigned int i = 0; i < 2; i++) {
		struct vhost_vring_addr addr = fe_ring_addr(&m.fe, i);

		addr.log_guest_addr = i == 0 ? UINT64_MAX - 3 : UINT64_C(1) << 62;

		TEST_EQ(fe_msg_ack(&m.fe, WEIR_VHOST_SET_VRING_ADDR, &addr, sizeof(addr),
				   NULL, 0),
			0);
	}
	TEST_EQ(to_host(&b, &m.fe, 100), TEST_OK);
	TEST_EQ(to_guest(&b, &m.fe, 100), TEST_OK);
	TEST_EQ(ftruncate(m.fd, 0), 0);
	to_guest(&b, &m.fe, 1);
	TEST_ASSERT(link_becomes(&b, false));
	TEST_ASSERT(said("the dirty log is gone"));
	munmap(m.file, LOG_OFFSET + m.len);
	m.file = NULL;
	migration_close(&m);
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

/* Another descriptor is refused while copies do not end: the one there was is told. */
static enum test_result
refused_descriptor_leaves_the_last_one(void)
{
	struct rte_mbuf *pkt;
	struct migration m;
	struct bench b;
	static uint8_t got[65536];
	eventfd_t n;
	int other;

	TEST_EQ(dma_open("mode=thread,delay_us=2500000"), 0);
	TEST_EQ(bench_open(&b, "dma_weir_test", 0), 0);
	TEST_EQ(migration_open(&m, &b), TEST_OK);
	TEST_EQ(migration_begin(&m), TEST_OK);
	TEST_EQ(fcntl(m.event, F_SETFL, O_NONBLOCK), 0);
	(void)!read(m.event, &n, sizeof(n));
	fe_post(&m.fe, 0);
	pkt = frame(100, 1);
	TEST_EQ(weir_port_tx_burst(b.txq, &pkt, 1), 1);
	other = eventfd(0, EFD_CLOEXEC);
	TEST_ASSERT(fe_msg_ack(&m.fe, WEIR_VHOST_SET_LOG_FD, NULL, 0, &other, 1) != 0);
	for (int i = 0; i < 10000 && fe_recv(&m.fe, 0, got) == 0; i++) {
		weir_port_tx_burst(b.txq, NULL, 0);
		usleep(1000);
	}
	TEST_EQ(read(m.event, &n, sizeof(n)), sizeof(n));
	close(other);
	migration_close(&m);
	TEST_EQ(bench_close(&b), 0);
	dma_close();
	return TEST_OK;
}

static const struct test_case port_log_cases[] = {
	{ "copies_by_cpu_migrate_whole", copies_by_cpu_migrate_whole },
	{ "copies_by_dma_migrate_whole", copies_by_dma_migrate_whole },
	{ "copies_by_both_migrate_whole", copies_by_both_migrate_whole },
	{ "packed_rings_migrate_whole", packed_rings_migrate_whole },
	{ "copies_by_two_engines_migrate_whole", copies_by_two_engines_migrate_whole },
	{ "frames_cut_in_the_ring_migrate_whole", frames_cut_in_the_ring_migrate_whole },
	{ "frames_cut_among_dma_migrate_whole", frames_cut_among_dma_migrate_whole },
	{ "page_marked_when_its_copy_is_over", page_marked_when_its_copy_is_over },
	{ "wishes_are_logged", wishes_are_logged },
	{ "log_of_no_use_hurts_nobody", log_of_no_use_hurts_nobody },
	{ "refused_descriptor_leaves_the_last_one",
	  refused_descriptor_leaves_the_last_one },
};
AUTOTEST_EAL(port_log_autotest, port_log_cases);
