/* SPDX-License-Identifier: BSD-3-Clause */
/* size: its cases share a frontend that plays a vIOMMU. */
/*
 * A guest behind a vIOMMU: a port has to ask for each translation, and may use none
 * any more when an invalidation has been answered.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/virtio_net.h>

#include "iotlb_bench.h"
#include "port.h"
#include "test.h"
#include "weir_copy.h"
#include "weir_fail.h"

#define SPLIT (FE_SPLIT)
#define PACKED UINT64_MAX
#define ONE_LATE "mode=thread,delay_us=100"

/* A dirty log, as long as guest memory. */
struct dirty_log {
	uint8_t *bits;
	uint64_t len;
	int fd;
};

/* The frontend sets a log and has all that is written logged; rings run again. */
static enum test_result
log_begin(struct iotlb_bench *b, struct dirty_log *l)
{
	struct weir_vhost_wire_log log;
	uint64_t with_log, answer;

	l->len = (FE_GPA / IOTLB_PAGE + IOTLB_MAX_PAGES) / 8 + 1;
	l->fd = memfd_create("test-iotlb-log", MFD_CLOEXEC);
	TEST_ASSERT(l->fd >= 0 && ftruncate(l->fd, (off_t)l->len) == 0);
	l->bits = mmap(NULL, l->len, PROT_READ | PROT_WRITE, MAP_SHARED, l->fd, 0);
	TEST_ASSERT(l->bits != MAP_FAILED);
	log = (struct weir_vhost_wire_log){ .len = l->len };
	TEST_EQ(fe_msg(&b->f, WEIR_VHOST_SET_LOG_BASE, &log, sizeof(log), &l->fd, 1,
		       &answer, sizeof(answer)),
		0);
	with_log = b->f.features | WEIR_VHOST_BIT(VHOST_F_LOG_ALL);
	TEST_EQ(fe_msg_ack(&b->f, WEIR_VHOST_SET_FEATURES, &with_log, sizeof(with_log),
			   NULL, 0),
		0);
	b->f.log_used = true;
	for (unsigned int i = 0; i < 2; i++) {
		const struct vhost_vring_addr a = fe_ring_addr(&b->f, i);

		TEST_EQ(fe_msg_ack(&b->f, WEIR_VHOST_SET_VRING_ADDR, &a, sizeof(a), NULL,
				   0),
			0);
	}
	TEST_ASSERT(iotlb_rings_run(b));
	return TEST_OK;
}

static void
log_end(struct dirty_log *l)
{
	munmap(l->bits, l->len);
	close(l->fd);
}

static bool
log_has(const struct dirty_log *l, uint32_t page)
{
	const uint64_t at = FE_GPA / IOTLB_PAGE + page;

	return (l->bits[at / 8] >> at % 8 & 1) != 0;
}

/* Frames both ways, each from and into a page that is mapped for it alone. */
static enum test_result
pages_come_and_go(uint64_t features, const char *dma_args, bool logs)
{
	const uint32_t frames = 1500;
	struct dirty_log l = { 0 };
	static struct iotlb_bench b;

	TEST_EQ(iotlb_open(&b, features, dma_args), 0);
	TEST_ASSERT(iotlb_rings_run(&b));
	if (logs)
		TEST_EQ(log_begin(&b, &l), TEST_OK);
	atomic_store(&b.lcore.to_give, frames);
	TEST_EQ(lcore_start(&b.lcore), 0);
	for (int i = 0;
	     i < 2000000 && (atomic_load(&b.lcore.got) < frames || b.taken < frames);
	     i++) {
		if (b.sent < frames)
			iotlb_guest_send(&b, RO);
		TEST_ASSERT(iotlb_serve(&b));
		TEST_ASSERT(iotlb_guest_reap(&b));
		TEST_ASSERT(iotlb_guest_take(&b));
		TEST_ASSERT(!atomic_load(&b.lcore.spoilt));
	}
	lcore_stop(&b.lcore);
	TEST_EQ(atomic_load(&b.lcore.got), frames);
	TEST_EQ(b.taken, frames);
	TEST_ASSERT(b.misses >= 2 * frames);
	/* a page may have come and gone before it was asked for */
	TEST_ASSERT(b.refused < frames / 100);
	/* each buffer to receive into has been written to, none to send from has */
	for (uint32_t i = 0; i < FE_RING * FE_BUF / IOTLB_PAGE && logs; i++) {
		TEST_ASSERT(log_has(&l, iotlb_page_of(&b, b.f.ring[0].buf) + i));
		TEST_ASSERT(!log_has(&l, iotlb_page_of(&b, b.f.ring[1].buf) + i));
	}
	TEST_EQ(iotlb_close(&b, dma_args != NULL), 0);
	if (logs)
		log_end(&l);
	return TEST_OK;
}

static enum test_result
pages_come_and_go_split(void)
{
	return pages_come_and_go(SPLIT, NULL, false);
}

static enum test_result
pages_come_and_go_packed(void)
{
	return pages_come_and_go(PACKED, NULL, false);
}

static enum test_result
pages_come_and_go_split_dma(void)
{
	return pages_come_and_go(SPLIT, "mode=thread,delay_us=20", false);
}

static enum test_result
pages_come_and_go_packed_dma(void)
{
	return pages_come_and_go(PACKED, "mode=thread,delay_us=20", false);
}

/* All at once: pages that come and go, two engines of which one is late and one fails
 * now and then, a log. */
static enum test_result
pages_come_and_go_two_engines_log(void)
{
	const uint64_t log = WEIR_VHOST_BIT(VHOST_F_LOG_ALL);
	const char *args = ONE_LATE "/mode=thread,fail_nth=40,reorder=1";

	TEST_EQ(pages_come_and_go(SPLIT & ~log, args, true), TEST_OK);
	return pages_come_and_go(PACKED & ~log, args, true);
}

/* Serve, receive, until so many were got; 5 s are a failed test. */
static bool
got_becomes(struct iotlb_bench *b, uint32_t n)
{
	for (int i = 0; i < 5000 && atomic_load(&b->lcore.got) != n; i++) {
		if (!iotlb_serve(b))
			return false;
		lcore_receive(&b->lcore);
		usleep(1000);
	}
	return atomic_load(&b->lcore.got) == n && !atomic_load(&b->lcore.spoilt);
}

/* Serve until a copy is under way. */
static bool
copy_begins(struct iotlb_bench *b)
{
	struct weir_queue_stats s = { 0 };

	for (int i = 0; i < 5000 && s.in_flight == 0; i++) {
		if (!iotlb_serve(b))
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
	static struct iotlb_bench b;
	uint8_t *buf;

	TEST_EQ(iotlb_open(&b, SPLIT, "mode=thread,delay_us=300000"), 0);
	TEST_ASSERT(iotlb_rings_run(&b));
	TEST_ASSERT(iotlb_guest_send(&b, RO));
	TEST_ASSERT(copy_begins(&b));
	buf = iotlb_buffer(&b, 1, 0);
	/* elsewhere: nothing to wait for, and the copy is still under way */
	TEST_EQ(iotlb_unmap(&b, 200, 1), 0);
	TEST_EQ(queue_in_flight(b.rxq), 1);
	TEST_ASSERT(!weir_copy_done(b.rxq->chan, b.rxq->chan->submitted));
	TEST_EQ(iotlb_unmap(&b, iotlb_page_of(&b, buf), 1), 0);
	memset(buf, IOTLB_SCRIBBLE, FE_BUF);
	TEST_ASSERT(weir_copy_done(b.rxq->chan, 1));
	TEST_ASSERT(got_becomes(&b, 1));
	TEST_EQ(iotlb_close(&b, true), 0);
	return TEST_OK;
}

/* A ring's own memory is waited for as long as a buffer's. */
static enum test_result
ring_unmapped_waits_for_a_copy(void)
{
	static struct iotlb_bench b;
	uint32_t page;

	TEST_EQ(iotlb_open(&b, SPLIT, "mode=thread,delay_us=500000"), 0);
	TEST_ASSERT(iotlb_rings_run(&b));
	TEST_ASSERT(iotlb_guest_send(&b, RO));
	TEST_ASSERT(copy_begins(&b));
	page = iotlb_page_of(&b, b.f.ring[1].desc);
	TEST_EQ(iotlb_unmap(&b, page, 1), 0);
	TEST_ASSERT(!weir_queue_running(b.rxq));
	TEST_ASSERT(weir_copy_done(b.rxq->chan, 1));
	iotlb_map(&b, page, 1, RW);
	TEST_ASSERT(iotlb_rings_run(&b));
	TEST_ASSERT(got_becomes(&b, 1));
	TEST_EQ(iotlb_close(&b, true), 0);
	return TEST_OK;
}

/* An lcore that is not scheduled for a time, in the middle of a burst. */
static void *
burst_ends(void *arg)
{
	usleep(1500000);
	rte_spinlock_unlock(arg);
	return NULL;
}

static enum test_result
invalidation_waits_for_a_burst(void)
{
	static struct iotlb_bench b;
	pthread_t thread;
	uint32_t page;

	TEST_EQ(iotlb_open(&b, SPLIT, NULL), 0);
	TEST_ASSERT(iotlb_rings_run(&b));
	TEST_ASSERT(iotlb_guest_send(&b, RO));
	TEST_ASSERT(got_becomes(&b, 1));
	/* in a buffer, in the ring */
	for (int i = 0; i < 2; i++) {
		page = iotlb_page_of(&b, i == 0 ? (void *)iotlb_buffer(&b, 1, 0)
						: (void *)b.f.ring[1].desc);
		rte_spinlock_lock(&b.rxq->lock);
		TEST_EQ(pthread_create(&thread, NULL, burst_ends, &b.rxq->lock), 0);
		TEST_EQ(iotlb_unmap(&b, page, 1), 0);
		pthread_join(thread, NULL);
	}
	TEST_ASSERT(!weir_queue_running(b.rxq));
	TEST_EQ(iotlb_close(&b, false), 0);
	return TEST_OK;
}

/* A copy that does not end: the answer says no, and says so again until it does. */
static enum test_result
invalidation_gives_up(void)
{
	static struct iotlb_bench b;
	uint32_t page;

	TEST_EQ(iotlb_open(&b, SPLIT, "mode=thread,delay_us=1800000"), 0);
	TEST_ASSERT(iotlb_rings_run(&b));
	TEST_ASSERT(iotlb_guest_send(&b, RO));
	TEST_ASSERT(copy_begins(&b));
	page = iotlb_page_of(&b, iotlb_buffer(&b, 1, 0));
	TEST_EQ(iotlb_unmap(&b, page, 1), 1);
	TEST_ASSERT(iotlb_said("stays: copies under way do not end"));
	/* nobody uses it anew meanwhile, but whoever asks again waits again */
	TEST_EQ(weir_iotlb_gap(b.port->iotlb.view,
			       (struct weir_range){ IOTLB_IOVA + page * IOTLB_PAGE,
						    IOTLB_IOVA + page * IOTLB_PAGE },
			       false, &(uint64_t){ 0 }),
		true);
	TEST_EQ(iotlb_unmap(&b, page, 1), 0);
	memset(iotlb_buffer(&b, 1, 0), IOTLB_SCRIBBLE, FE_BUF);
	TEST_ASSERT(got_becomes(&b, 1));
	TEST_EQ(iotlb_close(&b, true), 0);
	return TEST_OK;
}

/* What is not mapped yet is waited for; what is refused is asked for again. */
static enum test_result
unmapped_buffer_waits(void)
{
	static struct iotlb_bench b;
	uint32_t page;

	TEST_EQ(iotlb_open(&b, SPLIT, NULL), 0);
	TEST_ASSERT(iotlb_rings_run(&b));
	TEST_ASSERT(iotlb_guest_send(&b, RO));
	page = iotlb_page_of(&b, iotlb_buffer(&b, 1, 0));
	b.perm[page] = 0;
	for (int i = 0; i < 5000 && b.refused < 2; i++) {
		TEST_ASSERT(iotlb_serve(&b));
		lcore_receive(&b.lcore);
		usleep(1000);
	}
	TEST_ASSERT(b.refused >= 2);
	TEST_ASSERT(iotlb_said("is not mapped in the guest's IOMMU"));
	TEST_EQ(atomic_load(&b.lcore.got), 0);
	b.perm[page] = RO;
	TEST_ASSERT(got_becomes(&b, 1));
	/* no storm: some a second */
	TEST_ASSERT(b.refused < 60);
	TEST_EQ(iotlb_close(&b, false), 0);
	return TEST_OK;
}

/* Serve until the port has parted with its peer. */
static bool
disconnected(struct iotlb_bench *b)
{
	for (int i = 0; i < 5000; i++) {
		if (!iotlb_serve(b))
			return true;
		lcore_receive(&b->lcore);
		if (!weir_queue_running(b->rxq) && iotlb_said("peer disconnected"))
			return true;
		usleep(1000);
	}
	return false;
}

/* A buffer to be sent that is mapped for writing: no driver's doing. */
static enum test_result
wrong_direction_is_a_fault(void)
{
	static struct iotlb_bench b;

	TEST_EQ(iotlb_open(&b, SPLIT, NULL), 0);
	TEST_ASSERT(iotlb_rings_run(&b));
	TEST_ASSERT(iotlb_guest_send(&b, WO));
	TEST_EQ(iotlb_update(&b, iotlb_page_of(&b, iotlb_buffer(&b, 1, 0)), 1), 0);
	TEST_ASSERT(disconnected(&b));
	TEST_ASSERT(iotlb_said("a buffer is mapped for the other direction only"));
	TEST_EQ(atomic_load(&b.lcore.got), 0);
	TEST_EQ(iotlb_close(&b, false), 0);
	return TEST_OK;
}

/* A ring whose own pages go stops, and goes on where it was when they are back. */
static enum test_result
ring_unmapped_stops(uint64_t features)
{
	static struct iotlb_bench b;
	uint32_t first;

	TEST_EQ(iotlb_open(&b, features, NULL), 0);
	TEST_ASSERT(!weir_queue_running(b.rxq));
	TEST_ASSERT(iotlb_rings_run(&b));
	first = iotlb_page_of(&b, b.f.ring[1].buf) - 4;
	for (uint32_t i = 0; i < 20; i++) {
		const uint32_t part = first + i % 3;

		TEST_ASSERT(iotlb_guest_send(&b, RO));
		TEST_ASSERT(got_becomes(&b, b.sent));
		TEST_ASSERT(iotlb_guest_reap(&b));
		TEST_EQ(iotlb_unmap(&b, part, 1), 0);
		TEST_ASSERT(!weir_queue_running(b.rxq));
		TEST_ASSERT(weir_queue_running(b.txq));
		TEST_ASSERT(iotlb_guest_send(&b, RO));
		lcore_receive(&b.lcore);
		iotlb_map(&b, part, 1, RW);
		TEST_ASSERT(iotlb_rings_run(&b));
		TEST_ASSERT(got_becomes(&b, b.sent));
	}
	/* all there is: both rings */
	TEST_EQ(iotlb_msg(&b, 0, 0, 0, 0, VHOST_IOTLB_INVALIDATE), 0);
	TEST_ASSERT(!weir_queue_running(b.rxq) && !weir_queue_running(b.txq));
	TEST_EQ(weir_iotlb_count(b.port->iotlb.cache), 0);
	TEST_ASSERT(iotlb_rings_run(&b));
	TEST_ASSERT(iotlb_guest_send(&b, RO));
	TEST_ASSERT(got_becomes(&b, b.sent));
	TEST_EQ(iotlb_close(&b, false), 0);
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
	static struct iotlb_bench b;

	TEST_EQ(iotlb_open(&b, SPLIT, NULL), 0);
	TEST_ASSERT(iotlb_rings_run(&b));
	for (uint64_t i = 0; i < 3 * WEIR_IOTLB_ENTRIES; i++)
		TEST_EQ(iotlb_msg(&b, i * 2 * IOTLB_PAGE, IOTLB_PAGE, (uintptr_t)b.f.mem,
				  RW, VHOST_IOTLB_UPDATE),
			0);
	TEST_ASSERT(weir_iotlb_count(b.port->iotlb.cache) <= WEIR_IOTLB_ENTRIES);
	/* full, and a page in the middle of many is elsewhere now: what was one is three
	 */
	TEST_EQ(iotlb_msg(&b, 0x100000, 16 * IOTLB_PAGE, (uintptr_t)b.f.mem, RW,
			  VHOST_IOTLB_UPDATE),
		0);
	for (uint64_t i = 1; weir_iotlb_count(b.port->iotlb.cache) < WEIR_IOTLB_ENTRIES;
	     i++)
		TEST_EQ(iotlb_msg(&b, (UINT64_C(1) << 40) + i * 2 * IOTLB_PAGE,
				  IOTLB_PAGE, (uintptr_t)b.f.mem, RW, VHOST_IOTLB_UPDATE),
			0);
	TEST_EQ(iotlb_msg(&b, 0x100000 + 8 * IOTLB_PAGE, IOTLB_PAGE, (uintptr_t)b.f.mem,
			  RW, VHOST_IOTLB_UPDATE),
		0);
	TEST_ASSERT(weir_iotlb_count(b.port->iotlb.cache) <= WEIR_IOTLB_ENTRIES);
	/* elsewhere now, without an invalidation in between; and to nowhere */
	TEST_EQ(iotlb_msg(&b, 0, IOTLB_PAGE, (uintptr_t)b.f.mem + IOTLB_PAGE, RO,
			  VHOST_IOTLB_UPDATE),
		0);
	TEST_EQ(iotlb_msg(&b, IOTLB_PAGE, IOTLB_PAGE, (uintptr_t)b.f.mem - IOTLB_PAGE, RO,
			  VHOST_IOTLB_UPDATE),
		1);
	TEST_ASSERT(iotlb_guest_send(&b, RO));
	TEST_ASSERT(got_becomes(&b, 1));
	TEST_EQ(iotlb_close(&b, false), 0);
	return TEST_OK;
}

/* Memory that goes takes its translations along, and the rings in it. */
static enum test_result
memory_goes_with_its_translations(void)
{
	static struct iotlb_bench b;
	struct fe_mem rings, other;

	TEST_EQ(iotlb_open(&b, SPLIT, NULL), 0);
	TEST_ASSERT(iotlb_rings_run(&b));
	TEST_EQ(fe_mem_open(&other, "weir-test-iotlb", UINT64_C(1) << 40,
			    16 * IOTLB_PAGE),
		0);
	TEST_EQ(fe_mem_add(&b.f, &other), 0);
	TEST_EQ(iotlb_msg(&b, 0, 16 * IOTLB_PAGE, (uintptr_t)other.mem, RW,
			  VHOST_IOTLB_UPDATE),
		0);
	TEST_ASSERT(weir_queue_running(b.rxq));
	TEST_EQ(fe_mem_del(&b.f, &other), 0);
	TEST_ASSERT(weir_queue_running(b.rxq));
	TEST_EQ(weir_iotlb_gap(b.port->iotlb.view, (struct weir_range){ 0, 0 }, false,
			       &(uint64_t){ 0 }),
		true);
	TEST_EQ(iotlb_msg(&b, 0, IOTLB_PAGE, (uintptr_t)other.mem, RW,
			  VHOST_IOTLB_UPDATE),
		1);
	rings = (struct fe_mem){ FE_GPA, b.f.mem_len, b.f.mem, b.f.mem_fd };
	TEST_EQ(fe_mem_del(&b.f, &rings), 0);
	TEST_ASSERT(!weir_queue_running(b.rxq) && !weir_queue_running(b.txq));
	TEST_EQ(weir_iotlb_count(b.port->iotlb.cache), 0);
	TEST_EQ(fe_mem_add(&b.f, &rings), 0);
	TEST_ASSERT(iotlb_rings_run(&b));
	TEST_ASSERT(iotlb_guest_send(&b, RO));
	TEST_ASSERT(got_becomes(&b, 1));
	fe_mem_close(&other);
	TEST_EQ(iotlb_close(&b, false), 0);
	return TEST_OK;
}

/* The dirty log counts in guest addresses, whatever the driver's are. */
static enum test_result
log_is_of_guest_addresses(uint64_t features, const char *dma_args)
{
	static struct iotlb_bench b;
	struct dirty_log l;

	TEST_EQ(iotlb_open(&b, features & ~WEIR_VHOST_BIT(VHOST_F_LOG_ALL), dma_args), 0);
	TEST_ASSERT(iotlb_rings_run(&b));
	TEST_EQ(log_begin(&b, &l), TEST_OK);
	atomic_store(&b.lcore.to_give, 1);
	for (int i = 0; i < 5000 && b.taken == 0; i++) {
		TEST_ASSERT(iotlb_serve(&b) && iotlb_guest_take(&b));
		lcore_transmit(&b.lcore);
		usleep(1000);
	}
	TEST_EQ(b.taken, 1);
	for (uint32_t page = 0; page < IOTLB_MAX_PAGES; page++) {
		const uint32_t first = iotlb_page_of(&b, b.f.ring[0].buf);
		const uint32_t used = first - 4 + (b.f.ring[0].packed != NULL ? 0 : 2);

		if (page == first || page == used)
			TEST_ASSERT(log_has(&l, page));
		/* nothing of the page behind the first buffer's, nor of the table */
		if (page == first + 1 || page == first - 1)
			TEST_ASSERT(!log_has(&l, page));
	}
	TEST_EQ(iotlb_close(&b, dma_args != NULL), 0);
	log_end(&l);
	return TEST_OK;
}

static enum test_result
log_is_of_guest_addresses_split(void)
{
	return log_is_of_guest_addresses(SPLIT, NULL);
}

static enum test_result
log_is_of_guest_addresses_packed(void)
{
	return log_is_of_guest_addresses(PACKED, NULL);
}

static enum test_result
log_is_of_guest_addresses_split_dma(void)
{
	return log_is_of_guest_addresses(SPLIT, ONE_LATE);
}

static enum test_result
log_is_of_guest_addresses_packed_dma(void)
{
	return log_is_of_guest_addresses(PACKED, ONE_LATE);
}

/* A frontend without a channel uses guest addresses, whatever it has agreed to. */
static enum test_result
no_channel_no_iotlb(void)
{
	static struct iotlb_bench b;

	TEST_EQ(iotlb_open(&b, SPLIT, NULL), 0);
	TEST_ASSERT(iotlb_rings_run(&b));
	fe_close(&b.f);
	close(b.chan);
	for (int i = 0; i < 5000 && weir_queue_running(b.rxq); i++)
		usleep(1000);
	TEST_EQ(fe_open(&b.f, b.path, 1, SPLIT), 0);
	b.chan = -1;
	TEST_ASSERT((b.f.features & WEIR_VHOST_BIT(VIRTIO_F_ACCESS_PLATFORM)) != 0);
	TEST_ASSERT(weir_queue_running(b.rxq));
	TEST_ASSERT(iotlb_guest_send(&b, RO));
	for (int i = 0; i < 5000 && atomic_load(&b.lcore.got) == 0; i++)
		lcore_receive(&b.lcore);
	TEST_EQ(atomic_load(&b.lcore.got), 1);
	TEST_EQ(iotlb_close(&b, false), 0);
	return TEST_OK;
}

#define TABLES 8u
#define PIECES 3u

/* A chain to receive in, of pages of its own, in an indirect table of its own. */
static void
table_offer(struct iotlb_bench *b, unsigned int nr)
{
	struct fe_ring *r = &b->f.ring[0];
	uint8_t *table = b->f.ring[1].buf + nr * IOTLB_PAGE;
	struct vring_desc *d = (void *)table;

	for (unsigned int i = 0; i < PIECES; i++) {
		uint8_t *buf = r->buf + (nr * PIECES + i) * IOTLB_PAGE;
		uint16_t more = i + 1 < PIECES ? VRING_DESC_F_NEXT : 0;

		iotlb_map(b, iotlb_page_of(b, buf), 1, WO);
		/* a packed descriptor's flags are where a split one's next is */
		d[i] = (struct vring_desc){ fe_gpa(&b->f, buf), IOTLB_PAGE, 0,
					    VRING_DESC_F_WRITE };
		if (r->packed == NULL) {
			d[i].flags = VRING_DESC_F_WRITE | more;
			d[i].next = (uint16_t)(i + 1);
		}
	}
	iotlb_map(b, iotlb_page_of(b, table), 1, RO);
	r->desc[nr] = (struct vring_desc){ fe_gpa(&b->f, table), PIECES * sizeof(*d),
					   VRING_DESC_F_INDIRECT, 0 };
	fe_offer(r, (uint16_t)nr);
}

/* Nothing is missing of the buffers that a guest offers by the time there is a frame
 * for it, though only their tables say where they are. */
static enum test_result
tables_are_looked_behind(uint64_t features)
{
	static struct iotlb_bench b;
	const unsigned int all = TABLES * (1 + PIECES);
	unsigned int before;

	TEST_EQ(iotlb_open(&b, features, NULL), 0);
	TEST_ASSERT(iotlb_rings_run(&b));
	before = b.misses;
	for (unsigned int i = 0; i < TABLES; i++)
		table_offer(&b, i);
	for (int i = 0; i < 10000 && b.misses != before + all; i++) {
		TEST_ASSERT(iotlb_serve(&b));
		usleep(1000);
	}
	/* each once */
	TEST_EQ(b.misses, before + all);
	TEST_EQ(b.refused, 0);
	atomic_store(&b.lcore.to_give, TABLES);
	for (unsigned int i = 0; i < TABLES; i++) {
		lcore_transmit(&b.lcore);
		TEST_EQ(atomic_load(&b.lcore.given), i + 1);
	}
	TEST_EQ(iotlb_close(&b, false), 0);
	return TEST_OK;
}

static enum test_result
tables_are_looked_behind_split(void)
{
	return tables_are_looked_behind(SPLIT);
}

static enum test_result
tables_are_looked_behind_packed(void)
{
	return tables_are_looked_behind(PACKED);
}

static const struct test_case cases[] = {
	{ "pages_come_and_go_split", pages_come_and_go_split },
	{ "pages_come_and_go_packed", pages_come_and_go_packed },
	{ "pages_come_and_go_split_dma", pages_come_and_go_split_dma },
	{ "pages_come_and_go_packed_dma", pages_come_and_go_packed_dma },
	{ "pages_come_and_go_two_engines_log", pages_come_and_go_two_engines_log },
	{ "invalidation_waits_for_a_copy", invalidation_waits_for_a_copy },
	{ "ring_unmapped_waits_for_a_copy", ring_unmapped_waits_for_a_copy },
	{ "invalidation_waits_for_a_burst", invalidation_waits_for_a_burst },
	{ "invalidation_gives_up", invalidation_gives_up },
	{ "unmapped_buffer_waits", unmapped_buffer_waits },
	{ "wrong_direction_is_a_fault", wrong_direction_is_a_fault },
	{ "ring_unmapped_stops_split", ring_unmapped_stops_split },
	{ "ring_unmapped_stops_packed", ring_unmapped_stops_packed },
	{ "cache_is_bounded", cache_is_bounded },
	{ "memory_goes_with_its_translations", memory_goes_with_its_translations },
	{ "log_is_of_guest_addresses_split", log_is_of_guest_addresses_split },
	{ "log_is_of_guest_addresses_packed", log_is_of_guest_addresses_packed },
	{ "log_is_of_guest_addresses_split_dma", log_is_of_guest_addresses_split_dma },
	{ "log_is_of_guest_addresses_packed_dma", log_is_of_guest_addresses_packed_dma },
	{ "tables_are_looked_behind_split", tables_are_looked_behind_split },
	{ "tables_are_looked_behind_packed", tables_are_looked_behind_packed },
	{ "no_channel_no_iotlb", no_channel_no_iotlb },
};

AUTOTEST_EAL(port_iotlb_autotest, cases);
