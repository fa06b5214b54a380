/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest behind a vIOMMU: a port has to ask for each translation, and may use none
 * any more when an invalidation has been answered.
 *
 * The frontend's memory is mapped page by page. What is unmapped is scribbled over:
 * a frame that is read too late is not as it was sent, and bytes that are written
 * too late spoil the scribble.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/vhost_types.h>
#include <linux/virtio_net.h>
#include <rte_bus_vdev.h>
#include <rte_mbuf.h>

#include "frontend.h"
#include "port.h"
#include "port_lcore.h"
#include "test.h"
#include "weir_copy.h"
#include "weir_fail.h"
#include "weir_log.h"
#include "weir_port.h"
#include "weir_space.h"

#define DMA "dma_weir_iotlb"
#define PAGE 4096u
#define MAX_PAGES 256u
#define IOVA UINT64_C(0xffe00000)
#define LEN LCORE_LEN
#define SCRIBBLE 0xa5
#define RO VHOST_ACCESS_RO
#define WO VHOST_ACCESS_WO
#define RW VHOST_ACCESS_RW

#define SPLIT (FE_SPLIT)
#define PACKED UINT64_MAX

struct bench {
	char path[64];
	struct weir_port *port;
	struct weir_space *space;
	struct weir_queue *rxq, *txq;
	struct fe f;
	int chan;
	uint8_t perm[MAX_PAGES]; /* the page table */
	bool mute;		 /* misses are answered, and not served */
	unsigned int misses, refused;

	struct port_lcore lcore;

	/* the guest's */
	uint32_t sent, taken, reaped;
};

static struct rte_mempool *pool;
static char messages[4096]; /* the newest first */
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

static void
keep_message(enum weir_log_level level, const char *msg)
{
	const size_t len = strlen(msg) + 1;

	pthread_mutex_lock(&log_lock);
	if (level <= WEIR_LOG_WARN && len < sizeof(messages) - 1) {
		memmove(messages + len, messages, sizeof(messages) - len - 1);
		memcpy(messages, msg, len);
		messages[len - 1] = '|';
	}
	pthread_mutex_unlock(&log_lock);
}

static bool
was_said(const char *words)
{
	bool found;

	pthread_mutex_lock(&log_lock);
	found = strstr(messages, words) != NULL;
	pthread_mutex_unlock(&log_lock);
	return found;
}

/* ---- the vIOMMU */

static int64_t
iotlb(struct bench *b, uint64_t iova, uint64_t len, uint64_t uva, uint8_t perm,
      uint8_t type)
{
	const struct vhost_iotlb_msg m = { iova, len, uva, perm, type };

	return fe_msg_ack(&b->f, WEIR_VHOST_IOTLB_MSG, &m, sizeof(m), NULL, 0);
}

static int64_t
update(struct bench *b, uint32_t page, uint32_t nr)
{
	return iotlb(b, IOVA + page * PAGE, nr * PAGE, (uintptr_t)b->f.mem + page * PAGE,
		     b->perm[page], VHOST_IOTLB_UPDATE);
}

static int64_t
unmap(struct bench *b, uint32_t page, uint32_t nr)
{
	memset(&b->perm[page], 0, nr);
	return iotlb(b, IOVA + page * PAGE, nr * PAGE, 0, 0, VHOST_IOTLB_INVALIDATE);
}

static void
map(struct bench *b, uint32_t page, uint32_t nr, uint8_t perm)
{
	memset(&b->perm[page], perm, nr);
}

static uint32_t
page_of(const struct bench *b, const void *p)
{
	return (uint32_t)((const uint8_t *)p - b->f.mem) / PAGE;
}

/* Serve the misses there are. False: the channel or an answer is not as it should be. */
static bool
serve(struct bench *b)
{
	struct pollfd p = { .fd = b->chan, .events = POLLIN };

	while (poll(&p, 1, 0) == 1) {
		struct vhost_iotlb_msg m;
		struct weir_vhost_hdr h;
		uint64_t page, result = 1;

		if (fe_channel_recv(b->chan, &h, &m, sizeof(m)) != 0)
			return false;
		page = (m.iova - IOVA) / PAGE;
		if (h.request != WEIR_VHOST_BACKEND_IOTLB_MSG || h.size != sizeof(m) ||
		    m.type != VHOST_IOTLB_MISS || m.perm == 0 || m.iova % PAGE != 0)
			return false;
		b->misses++;
		if (page < MAX_PAGES && (m.perm & ~b->perm[page]) == 0) {
			if (b->mute)
				result = 0;
			else
				result = (uint64_t)update(b, (uint32_t)page, 1);
			if (result != 0)
				return false;
		}
		b->refused += result != 0;
		if ((h.flags & WEIR_VHOST_FLAG_NEED_REPLY) == 0 ||
		    fe_channel_answer(b->chan, &h, result) != 0)
			return false;
	}
	return true;
}

/* ---- the bench */

static int
port_open(struct bench *b, bool dma)
{
	struct weir_port_conf conf = {
		.name = "w0",
		.path = b->path,
		.nr_pairs = 1,
		.iommu = true,
	};
	int ret = weir_space_get(&b->space);

	if (ret != 0)
		return ret;
	conf.mirror = weir_space_mirror(b->space);
	ret = weir_port_create(&conf, &b->port);
	if (ret == 0)
		ret = weir_port_rxq_setup(b->port, 0, pool, dma ? DMA : NULL);
	if (ret == 0)
		ret = weir_port_txq_setup(b->port, 0, dma ? DMA : NULL);
	if (ret == 0)
		ret = weir_port_start(b->port);
	b->rxq = weir_port_rxq(b->port, 0);
	b->txq = weir_port_txq(b->port, 0);
	b->lcore = (struct port_lcore){
		.rxq = b->rxq,
		.txq = b->txq,
		.pool = pool,
	};
	return ret;
}

static int
frontend_open(struct bench *b, uint64_t features)
{
	int ret = fe_connect(&b->f, b->path, 1);

	if (ret != 0)
		return ret;
	b->f.iova = IOVA;
	ret = fe_features(&b->f, features);
	if (ret == 0)
		ret = fe_protocol(&b->f, WEIR_VHOST_BIT(WEIR_VHOST_PF_BACKEND_REQ) |
						 WEIR_VHOST_BIT(WEIR_VHOST_PF_LOG_SHMFD));
	if (ret == 0)
		ret = fe_share(&b->f);
	if (ret != 0)
		return ret;
	b->chan = fe_channel(&b->f);
	if (b->chan < 0)
		return b->chan;
	for (unsigned int i = 0; i < 2 && ret == 0; i++)
		ret = fe_ring_start(&b->f, i, FE_BASE_NEW);
	return ret;
}

/* Rings are mapped, and none of the buffers. */
static int
bench_open(struct bench *b, uint64_t features, const char *dma_args)
{
	int ret;

	memset(b, 0, sizeof(*b));
	snprintf(b->path, sizeof(b->path), "/tmp/weir-test-iotlb.%d.sock", (int)getpid());
	weir_log_set_sink(keep_message);
	memset(messages, 0, sizeof(messages));
	weir_copy_set_watchdog(0);
	if (pool == NULL)
		pool = rte_pktmbuf_pool_create("test_port_iotlb", 1023, 0, 0,
					       RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	if (pool == NULL)
		return -ENOMEM;
	ret = dma_args != NULL ? rte_vdev_init(DMA, dma_args) : 0;
	if (ret == 0)
		ret = port_open(b, dma_args != NULL);
	if (ret == 0)
		ret = frontend_open(b, features);
	if (ret != 0)
		return ret;
	for (unsigned int i = 0; i < 2; i++)
		map(b, page_of(b, b->f.ring[i].buf) - 4, 4, RW);
	return 0;
}

/* @return mbufs that nobody gave back. */
static unsigned int
bench_close(struct bench *b, bool dma)
{
	fe_close(&b->f);
	close(b->chan);
	weir_port_destroy(b->port);
	if (dma)
		rte_vdev_uninit(DMA);
	weir_space_put(b->space);
	weir_copy_set_watchdog(500000);
	weir_log_set_sink(NULL);
	return rte_mempool_in_use_count(pool);
}

/* Serve until both rings run; 10 s are a failed test. */
static bool
rings_run(struct bench *b)
{
	for (int i = 0; i < 10000; i++) {
		if (!serve(b))
			return false;
		if (weir_queue_running(b->rxq) && weir_queue_running(b->txq))
			return true;
		usleep(1000);
	}
	return false;
}

/* The guest's buffer of number @p nr, of one ring: a page has two of them. */
static uint8_t *
buffer(struct bench *b, unsigned int ring, uint32_t nr)
{
	return b->f.ring[ring].buf + nr % FE_RING * FE_BUF;
}

/* The guest sends a frame from one page, mapped for it; a page has one at a time. */
static bool
guest_send(struct bench *b, uint8_t perm)
{
	struct fe_ring *r = &b->f.ring[1];
	uint8_t *buf = buffer(b, 1, 2 * b->sent);
	uint16_t at = (uint16_t)(b->sent % FE_RING);

	if (b->sent - b->reaped == FE_RING / 2)
		return false;
	memset(buf, 0, FE_HDR);
	lcore_fill(buf + FE_HDR, b->sent);
	map(b, page_of(b, buf), 1, perm);
	r->desc[at] = (struct vring_desc){ fe_gpa(&b->f, buf), FE_HDR + LEN, 0, 0 };
	fe_offer(r, at);
	b->sent++;
	return true;
}

/* The guest gets a buffer back: it is unmapped, and used for something else. */
static bool
guest_reap(struct bench *b)
{
	for (unsigned int n = fe_reap(&b->f, 0); n != 0; n--, b->reaped++) {
		uint8_t *buf = buffer(b, 1, 2 * b->reaped);

		if (unmap(b, page_of(b, buf), 1) != 0)
			return false;
		memset(buf, SCRIBBLE, FE_BUF);
	}
	return true;
}

static bool
scribbled(const uint8_t *buf)
{
	for (unsigned int i = 0; i < FE_BUF; i++)
		if (buf[i] != SCRIBBLE)
			return false;
	return true;
}

/* The guest offers a buffer to receive in, on a page of its own. */
static bool
guest_offer(struct bench *b, uint32_t nr)
{
	struct fe_ring *r = &b->f.ring[0];
	uint8_t *buf = buffer(b, 0, 2 * nr);
	/* fe_recv() finds it by its head */
	uint16_t at = (uint16_t)(2 * nr % FE_RING);
	bool whole = nr < FE_RING / 2 || scribbled(buf);

	map(b, page_of(b, buf), 1, WO);
	r->desc[at] =
		(struct vring_desc){ fe_gpa(&b->f, buf), FE_BUF, VRING_DESC_F_WRITE, 0 };
	fe_offer(r, at);
	return whole;
}

/* Take what came, in order; offer the buffers anew, after a while of their own. */
static bool
guest_take(struct bench *b)
{
	struct fe_ring *r = &b->f.ring[0];
	static uint8_t buf[65536];
	size_t len;

	while ((uint16_t)(r->avail_idx - r->used_idx) < FE_RING / 4)
		if (!guest_offer(b, r->avail_idx))
			return false;
	while ((len = fe_recv(&b->f, 0, buf)) != 0) {
		uint8_t *at = buffer(b, 0, 2 * b->taken);

		if (len != LEN || !lcore_filled(buf, b->taken) ||
		    unmap(b, page_of(b, at), 1) != 0)
			return false;
		memset(at, SCRIBBLE, FE_BUF);
		b->taken++;
	}
	return true;
}

/* ---- cases */

/* Frames both ways, each from and into a page that is mapped for it alone. */
static enum test_result
pages_come_and_go(uint64_t features, const char *dma_args)
{
	const uint32_t frames = 1500;
	static struct bench b;

	TEST_EQ(bench_open(&b, features, dma_args), 0);
	TEST_ASSERT(rings_run(&b));
	atomic_store(&b.lcore.to_give, frames);
	TEST_EQ(lcore_start(&b.lcore), 0);
	for (int i = 0;
	     i < 2000000 && (atomic_load(&b.lcore.got) < frames || b.taken < frames);
	     i++) {
		if (b.sent < frames)
			guest_send(&b, RO);
		TEST_ASSERT(serve(&b));
		TEST_ASSERT(guest_reap(&b));
		TEST_ASSERT(guest_take(&b));
		TEST_ASSERT(!atomic_load(&b.lcore.spoilt));
	}
	lcore_stop(&b.lcore);
	TEST_EQ(atomic_load(&b.lcore.got), frames);
	TEST_EQ(b.taken, frames);
	TEST_ASSERT(b.misses >= 2 * frames);
	/* a page may have come and gone before it was asked for */
	TEST_ASSERT(b.refused < frames / 100);
	TEST_EQ(bench_close(&b, dma_args != NULL), 0);
	return TEST_OK;
}

static enum test_result
pages_come_and_go_split(void)
{
	return pages_come_and_go(SPLIT, NULL);
}

static enum test_result
pages_come_and_go_packed(void)
{
	return pages_come_and_go(PACKED, NULL);
}

static enum test_result
pages_come_and_go_split_dma(void)
{
	return pages_come_and_go(SPLIT, "mode=thread,delay_us=20");
}

static enum test_result
pages_come_and_go_packed_dma(void)
{
	return pages_come_and_go(PACKED, "mode=thread,delay_us=20");
}

/* Serve, receive, until so many were got; 5 s are a failed test. */
static bool
got_becomes(struct bench *b, uint32_t n)
{
	for (int i = 0; i < 5000 && atomic_load(&b->lcore.got) != n; i++) {
		if (!serve(b))
			return false;
		lcore_receive(&b->lcore);
		usleep(1000);
	}
	return atomic_load(&b->lcore.got) == n && !atomic_load(&b->lcore.spoilt);
}

/* Serve until a copy is under way. */
static bool
copy_begins(struct bench *b)
{
	struct weir_queue_stats s = { 0 };

	for (int i = 0; i < 5000 && s.in_flight == 0; i++) {
		if (!serve(b))
			return false;
		lcore_receive(&b->lcore);
		weir_queue_stats_get(b->rxq, &s);
		usleep(1000);
	}
	return s.in_flight == 1;
}

/* The answer to an invalidation comes when the copy is over, not before. */
static enum test_result
invalidation_waits_for_a_copy(void)
{
	static struct bench b;
	uint8_t *buf;

	TEST_EQ(bench_open(&b, SPLIT, "mode=thread,delay_us=300000"), 0);
	TEST_ASSERT(rings_run(&b));
	TEST_ASSERT(guest_send(&b, RO));
	TEST_ASSERT(copy_begins(&b));
	buf = buffer(&b, 1, 0);
	/* elsewhere: nothing to wait for, and the copy is still under way */
	TEST_EQ(unmap(&b, 200, 1), 0);
	TEST_EQ(queue_in_flight(b.rxq), 1);
	TEST_ASSERT(!weir_copy_done(b.rxq->chan, b.rxq->chan->submitted));
	TEST_EQ(unmap(&b, page_of(&b, buf), 1), 0);
	memset(buf, SCRIBBLE, FE_BUF);
	TEST_ASSERT(weir_copy_done(b.rxq->chan, 1));
	TEST_ASSERT(got_becomes(&b, 1));
	TEST_EQ(bench_close(&b, true), 0);
	return TEST_OK;
}

/* A copy that does not end: the answer says no, and says so again until it does. */
static enum test_result
invalidation_gives_up(void)
{
	static struct bench b;
	uint32_t page;

	TEST_EQ(bench_open(&b, SPLIT, "mode=thread,delay_us=1800000"), 0);
	TEST_ASSERT(rings_run(&b));
	TEST_ASSERT(guest_send(&b, RO));
	TEST_ASSERT(copy_begins(&b));
	page = page_of(&b, buffer(&b, 1, 0));
	TEST_EQ(unmap(&b, page, 1), 1);
	TEST_ASSERT(was_said("stays: copies under way do not end"));
	/* nobody uses it anew meanwhile, but whoever asks again waits again */
	TEST_EQ(weir_iotlb_gap(
			b.port->iotlb.view,
			(struct weir_range){ IOVA + page * PAGE, IOVA + page * PAGE },
			false, &(uint64_t){ 0 }),
		true);
	TEST_EQ(unmap(&b, page, 1), 0);
	memset(buffer(&b, 1, 0), SCRIBBLE, FE_BUF);
	TEST_ASSERT(got_becomes(&b, 1));
	TEST_EQ(bench_close(&b, true), 0);
	return TEST_OK;
}

/* What is not mapped yet is waited for; what is refused is asked for again. */
static enum test_result
unmapped_buffer_waits(void)
{
	static struct bench b;
	uint32_t page;

	TEST_EQ(bench_open(&b, SPLIT, NULL), 0);
	TEST_ASSERT(rings_run(&b));
	TEST_ASSERT(guest_send(&b, RO));
	page = page_of(&b, buffer(&b, 1, 0));
	b.perm[page] = 0;
	for (int i = 0; i < 5000 && b.refused < 2; i++) {
		TEST_ASSERT(serve(&b));
		lcore_receive(&b.lcore);
		usleep(1000);
	}
	TEST_ASSERT(b.refused >= 2);
	TEST_ASSERT(was_said("is not mapped in the guest's IOMMU"));
	TEST_EQ(atomic_load(&b.lcore.got), 0);
	b.perm[page] = RO;
	TEST_ASSERT(got_becomes(&b, 1));
	/* no storm: some a second */
	TEST_ASSERT(b.refused < 60);
	TEST_EQ(bench_close(&b, false), 0);
	return TEST_OK;
}

/* Serve until the port has parted with its peer. */
static bool
disconnected(struct bench *b)
{
	for (int i = 0; i < 5000; i++) {
		if (!serve(b))
			return true;
		lcore_receive(&b->lcore);
		if (!weir_queue_running(b->rxq) && was_said("peer disconnected"))
			return true;
		usleep(1000);
	}
	return false;
}

/* A buffer to be sent that is mapped for writing: no driver's doing. */
static enum test_result
wrong_direction_is_a_fault(void)
{
	static struct bench b;

	TEST_EQ(bench_open(&b, SPLIT, NULL), 0);
	TEST_ASSERT(rings_run(&b));
	TEST_ASSERT(guest_send(&b, WO));
	TEST_EQ(update(&b, page_of(&b, buffer(&b, 1, 0)), 1), 0);
	TEST_ASSERT(disconnected(&b));
	TEST_ASSERT(was_said("a buffer is mapped for the other direction only"));
	TEST_EQ(atomic_load(&b.lcore.got), 0);
	TEST_EQ(bench_close(&b, false), 0);
	return TEST_OK;
}

/* A ring whose own pages go stops, and goes on where it was when they are back. */
static enum test_result
ring_unmapped_stops(uint64_t features)
{
	static struct bench b;
	uint32_t first;

	TEST_EQ(bench_open(&b, features, NULL), 0);
	TEST_ASSERT(!weir_queue_running(b.rxq));
	TEST_ASSERT(rings_run(&b));
	first = page_of(&b, b.f.ring[1].buf) - 4;
	for (uint32_t i = 0; i < 20; i++) {
		const uint32_t part = first + i % 3;

		TEST_ASSERT(guest_send(&b, RO));
		TEST_ASSERT(got_becomes(&b, b.sent));
		TEST_ASSERT(guest_reap(&b));
		TEST_EQ(unmap(&b, part, 1), 0);
		TEST_ASSERT(!weir_queue_running(b.rxq));
		TEST_ASSERT(weir_queue_running(b.txq));
		TEST_ASSERT(guest_send(&b, RO));
		lcore_receive(&b.lcore);
		map(&b, part, 1, RW);
		TEST_ASSERT(rings_run(&b));
		TEST_ASSERT(got_becomes(&b, b.sent));
	}
	/* all there is: both rings */
	TEST_EQ(iotlb(&b, 0, 0, 0, 0, VHOST_IOTLB_INVALIDATE), 0);
	TEST_ASSERT(!weir_queue_running(b.rxq) && !weir_queue_running(b.txq));
	TEST_EQ(weir_iotlb_count(b.port->iotlb.cache), 0);
	TEST_ASSERT(rings_run(&b));
	TEST_ASSERT(guest_send(&b, RO));
	TEST_ASSERT(got_becomes(&b, b.sent));
	TEST_EQ(bench_close(&b, false), 0);
	return TEST_OK;
}

static enum test_result
ring_unmapped_stops_split(void)
{
	return ring_unmapped_stops(SPLIT);
}

static enum test_result
ring_unmapped_stops_packed(void)
{
	return ring_unmapped_stops(PACKED);
}

/* A frontend that maps without end, one page over many. */
static enum test_result
cache_is_bounded(void)
{
	static struct bench b;

	TEST_EQ(bench_open(&b, SPLIT, NULL), 0);
	TEST_ASSERT(rings_run(&b));
	for (uint64_t i = 0; i < 3 * WEIR_IOTLB_ENTRIES; i++)
		TEST_EQ(iotlb(&b, i * 2 * PAGE, PAGE, (uintptr_t)b.f.mem, RW,
			      VHOST_IOTLB_UPDATE),
			0);
	TEST_ASSERT(weir_iotlb_count(b.port->iotlb.cache) <= WEIR_IOTLB_ENTRIES);
	/* elsewhere now, without an invalidation in between; and to nowhere */
	TEST_EQ(iotlb(&b, 0, PAGE, (uintptr_t)b.f.mem + PAGE, RO, VHOST_IOTLB_UPDATE), 0);
	TEST_EQ(iotlb(&b, PAGE, PAGE, (uintptr_t)b.f.mem - PAGE, RO, VHOST_IOTLB_UPDATE),
		1);
	TEST_ASSERT(guest_send(&b, RO));
	TEST_ASSERT(got_becomes(&b, 1));
	TEST_EQ(bench_close(&b, false), 0);
	return TEST_OK;
}

/* Memory that goes takes its translations along, and the rings in it. */
static enum test_result
memory_goes_with_its_translations(void)
{
	static struct bench b;
	struct fe_mem rings, other;

	TEST_EQ(bench_open(&b, SPLIT, NULL), 0);
	TEST_ASSERT(rings_run(&b));
	TEST_EQ(fe_mem_open(&other, "weir-test-iotlb", UINT64_C(1) << 40, 16 * PAGE), 0);
	TEST_EQ(fe_mem_add(&b.f, &other), 0);
	TEST_EQ(iotlb(&b, 0, 16 * PAGE, (uintptr_t)other.mem, RW, VHOST_IOTLB_UPDATE), 0);
	TEST_ASSERT(weir_queue_running(b.rxq));
	TEST_EQ(fe_mem_del(&b.f, &other), 0);
	TEST_ASSERT(weir_queue_running(b.rxq));
	TEST_EQ(weir_iotlb_gap(b.port->iotlb.view, (struct weir_range){ 0, 0 }, false,
			       &(uint64_t){ 0 }),
		true);
	TEST_EQ(iotlb(&b, 0, PAGE, (uintptr_t)other.mem, RW, VHOST_IOTLB_UPDATE), 1);
	rings = (struct fe_mem){ FE_GPA, b.f.mem_len, b.f.mem, b.f.mem_fd };
	TEST_EQ(fe_mem_del(&b.f, &rings), 0);
	TEST_ASSERT(!weir_queue_running(b.rxq) && !weir_queue_running(b.txq));
	TEST_EQ(weir_iotlb_count(b.port->iotlb.cache), 0);
	TEST_EQ(fe_mem_add(&b.f, &rings), 0);
	TEST_ASSERT(rings_run(&b));
	TEST_ASSERT(guest_send(&b, RO));
	TEST_ASSERT(got_becomes(&b, 1));
	fe_mem_close(&other);
	TEST_EQ(bench_close(&b, false), 0);
	return TEST_OK;
}

/* The dirty log counts in guest addresses, whatever the driver's are. */
static enum test_result
log_is_of_guest_addresses(uint64_t features)
{
	static struct bench b;
	const uint64_t log_len = (FE_GPA / PAGE + MAX_PAGES) / 8 + 1;
	struct weir_vhost_wire_log log = { .len = log_len };
	uint64_t with_log, answer;
	uint8_t *bits;
	int fd = memfd_create("test-iotlb-log", MFD_CLOEXEC);

	TEST_ASSERT(fd >= 0 && ftruncate(fd, (off_t)log_len) == 0);
	bits = mmap(NULL, log_len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	TEST_EQ(bench_open(&b, features, NULL), 0);
	TEST_ASSERT(rings_run(&b));
	TEST_EQ(fe_msg(&b.f, WEIR_VHOST_SET_LOG_BASE, &log, sizeof(log), &fd, 1, &answer,
		       sizeof(answer)),
		0);
	with_log = b.f.features | WEIR_VHOST_BIT(VHOST_F_LOG_ALL);
	TEST_EQ(fe_msg_ack(&b.f, WEIR_VHOST_SET_FEATURES, &with_log, sizeof(with_log),
			   NULL, 0),
		0);
	b.f.log_used = true;
	for (unsigned int i = 0; i < 2; i++) {
		const struct vhost_vring_addr a = fe_ring_addr(&b.f, i);

		TEST_EQ(fe_msg_ack(&b.f, WEIR_VHOST_SET_VRING_ADDR, &a, sizeof(a), NULL,
				   0),
			0);
	}
	TEST_ASSERT(rings_run(&b));
	atomic_store(&b.lcore.to_give, 1);
	for (int i = 0; i < 5000 && b.taken == 0; i++) {
		TEST_ASSERT(serve(&b) && guest_take(&b));
		lcore_transmit(&b.lcore);
		usleep(1000);
	}
	TEST_EQ(b.taken, 1);
	for (uint32_t page = 0; page < MAX_PAGES; page++) {
		const uint64_t at = FE_GPA / PAGE + page;
		const bool set = (bits[at / 8] >> at % 8 & 1) != 0;
		const uint32_t first = page_of(&b, b.f.ring[0].buf);
		const uint32_t used = first - 4 + (b.f.ring[0].packed != NULL ? 0 : 2);

		if (page == first || page == used)
			TEST_ASSERT(set);
		/* nothing of the page behind the first buffer's, nor of the table */
		if (page == first + 1 || page == first - 1)
			TEST_ASSERT(!set);
	}
	TEST_EQ(bench_close(&b, false), 0);
	munmap(bits, log_len);
	close(fd);
	return TEST_OK;
}

static enum test_result
log_is_of_guest_addresses_split(void)
{
	return log_is_of_guest_addresses(SPLIT & ~WEIR_VHOST_BIT(VHOST_F_LOG_ALL));
}

static enum test_result
log_is_of_guest_addresses_packed(void)
{
	return log_is_of_guest_addresses(PACKED & ~WEIR_VHOST_BIT(VHOST_F_LOG_ALL));
}

/* A frontend without a channel uses guest addresses, whatever it has agreed to. */
static enum test_result
no_channel_no_iotlb(void)
{
	static struct bench b;

	TEST_EQ(bench_open(&b, SPLIT, NULL), 0);
	TEST_ASSERT(rings_run(&b));
	fe_close(&b.f);
	close(b.chan);
	for (int i = 0; i < 5000 && weir_queue_running(b.rxq); i++)
		usleep(1000);
	TEST_EQ(fe_open(&b.f, b.path, 1, SPLIT), 0);
	b.chan = -1;
	TEST_ASSERT((b.f.features & WEIR_VHOST_BIT(VIRTIO_F_ACCESS_PLATFORM)) != 0);
	TEST_ASSERT(weir_queue_running(b.rxq));
	TEST_ASSERT(guest_send(&b, RO));
	for (int i = 0; i < 5000 && atomic_load(&b.lcore.got) == 0; i++)
		lcore_receive(&b.lcore);
	TEST_EQ(atomic_load(&b.lcore.got), 1);
	TEST_EQ(bench_close(&b, false), 0);
	return TEST_OK;
}

static const struct test_case cases[] = {
	{ "pages_come_and_go_split", pages_come_and_go_split },
	{ "pages_come_and_go_packed", pages_come_and_go_packed },
	{ "pages_come_and_go_split_dma", pages_come_and_go_split_dma },
	{ "pages_come_and_go_packed_dma", pages_come_and_go_packed_dma },
	{ "invalidation_waits_for_a_copy", invalidation_waits_for_a_copy },
	{ "invalidation_gives_up", invalidation_gives_up },
	{ "unmapped_buffer_waits", unmapped_buffer_waits },
	{ "wrong_direction_is_a_fault", wrong_direction_is_a_fault },
	{ "ring_unmapped_stops_split", ring_unmapped_stops_split },
	{ "ring_unmapped_stops_packed", ring_unmapped_stops_packed },
	{ "cache_is_bounded", cache_is_bounded },
	{ "memory_goes_with_its_translations", memory_goes_with_its_translations },
	{ "log_is_of_guest_addresses_split", log_is_of_guest_addresses_split },
	{ "log_is_of_guest_addresses_packed", log_is_of_guest_addresses_packed },
	{ "no_channel_no_iotlb", no_channel_no_iotlb },
};

AUTOTEST_EAL(port_iotlb_autotest, cases);
