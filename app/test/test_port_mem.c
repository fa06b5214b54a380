/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory that comes and goes while a port's rings run: what a change waits
 * for, what it does not wait for, and what is left when it is refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <linux/virtio_net.h>
#include <rte_bus_vdev.h>
#include <rte_mbuf.h>

#include "ctl.h"
#include "frontend.h"
#include "port_lcore.h"
#include "queue.h"
#include "run_folder.h"
#include "test.h"
#include "weir_copy.h"
#include "weir_fail.h"
#include "weir_log.h"
#include "weir_port.h"
#include "weir_space.h"

#define DMA "dma_weir_mem"
#define LEN LCORE_LEN
#define MEM_NAME "weir-test-mem"
#define MEM_GPA UINT64_C(0x100000000)
#define MEM_LEN (FE_RING * FE_BUF)

/* A copy that takes longer than a change of memory waits, and the other way; and what
 * is not taken for an engine that hangs, for which the watch is off. */
#define STALL "mode=thread,delay_us=1500000"
#define QUICK "mode=thread,delay_us=20"

struct bench {
	char path[108];
	struct weir_port *port;
	struct weir_space *space;
	struct weir_queue *rxq, *txq;
	struct fe f;
	struct fe_mem mem; /* a region beside that of the rings */

	struct port_lcore lcore;

	/* the guest's */
	uint32_t sent, taken;
};

static struct rte_mempool *pool;
static char warnings[1024]; /* the last ones, the newest first */
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic unsigned int nr_queue_events;

static void
keep_warning(enum weir_log_level level, const char *msg)
{
	pthread_mutex_lock(&log_lock);
	if (level <= WEIR_LOG_WARN) {
		char before[sizeof(warnings)];

		snprintf(before, sizeof(before), "%s", warnings);
		snprintf(warnings, sizeof(warnings), "%.400s|%.600s", msg, before);
	}
	pthread_mutex_unlock(&log_lock);
}

static bool
warned(const char *words)
{
	bool found;

	pthread_mutex_lock(&log_lock);
	found = strstr(warnings, words) != NULL;
	/* once each */
	warnings[0] = '\0';
	pthread_mutex_unlock(&log_lock);
	return found;
}

static void
told(void *arg, enum weir_port_event event)
{
	(void)arg;
	if (event == WEIR_PORT_EV_QUEUE)
		atomic_fetch_add(&nr_queue_events, 1);
}

static int
port_open(struct bench *b, const char *rx_dma, const char *tx_dma)
{
	struct weir_port_conf conf = {
		.name = "w0",
		.path = b->path,
		.nr_pairs = 1,
		.notify = told,
	};
	int ret = weir_space_get(&b->space);

	if (ret != 0)
		return ret;
	conf.mirror = weir_space_mirror(b->space);
	ret = weir_port_create(&conf, &b->port);
	if (ret == 0)
		ret = weir_port_rxq_setup(b->port, 0, pool, rx_dma);
	if (ret == 0)
		ret = weir_port_txq_setup(b->port, 0, tx_dma);
	if (ret == 0)
		ret = weir_port_start(b->port);
	b->rxq = weir_port_rxq(b->port, 0);
	b->txq = weir_port_txq(b->port, 0);
	b->lcore = (struct port_lcore){
		.rxq = b->rxq,
		.txq = b->txq,
		.pool = pool,
		.to_give = UINT32_MAX,
	};
	return ret;
}

/* Both rings' start has been told of, which is after the answer; 5 s are a failed test.
 */
static int
starts_told(void)
{
	for (int i = 0; i < 5000 && atomic_load(&nr_queue_events) != 2; i++)
		usleep(1000);
	return atomic_load(&nr_queue_events) == 2 ? 0 : -ETIMEDOUT;
}

static int
bench_open(struct bench *b, const char *dma_args, bool rx_dma, bool tx_dma)
{
	int ret;

	memset(b, 0, sizeof(*b));
	run_folder_path(b->path, sizeof(b->path), "mem.sock");
	weir_log_set_sink(keep_warning);
	warnings[0] = '\0';
	atomic_store(&nr_queue_events, 0);
	weir_copy_set_watchdog(0);
	if (pool == NULL)
		pool = rte_pktmbuf_pool_create("test_port_mem", 1023, 0, 0,
					       RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	if (pool == NULL)
		return -ENOMEM;
	ret = dma_args != NULL ? rte_vdev_init(DMA, dma_args) : 0;
	if (ret == 0)
		ret = port_open(b, rx_dma ? DMA : NULL, tx_dma ? DMA : NULL);
	if (ret == 0)
		ret = fe_open(&b->f, b->path, 1, FE_SPLIT);
	if (ret == 0)
		ret = starts_told();
	if (ret == 0)
		ret = fe_mem_open(&b->mem, MEM_NAME, MEM_GPA, MEM_LEN);
	return ret;
}

/* @return mbufs that nobody gave back. */
static unsigned int
bench_close(struct bench *b, bool dma)
{
	fe_mem_close(&b->mem);
	fe_close(&b->f);
	weir_port_destroy(b->port);
	if (dma)
		rte_vdev_uninit(DMA);
	weir_space_put(b->space);
	weir_copy_set_watchdog(500000);
	weir_log_set_sink(NULL);
	return rte_mempool_in_use_count(pool);
}

/* The guest sends one frame, from this memory. @return false: its ring is full. */
static bool
guest_send(struct bench *b, uint8_t *mem, uint64_t gpa)
{
	struct fe_ring *r = &b->f.ring[1];
	uint16_t at = (uint16_t)(b->sent % FE_RING);

	fe_reap(&b->f, 0);
	if ((uint16_t)(r->avail_idx - r->used_idx) == FE_RING)
		return false;
	mem += at * FE_BUF;
	memset(mem, 0, FE_HDR);
	lcore_fill(mem + FE_HDR, b->sent);
	r->desc[at] = (struct vring_desc){ gpa + at * FE_BUF, FE_HDR + LEN, 0, 0 };
	fe_offer(r, at);
	b->sent++;
	return true;
}

static bool
guest_send_beside_rings(struct bench *b)
{
	uint8_t *buf = b->f.ring[1].buf;

	return guest_send(b, buf, fe_gpa(&b->f, buf));
}

static bool
guest_send_from_mem(struct bench *b)
{
	return guest_send(b, b->mem.mem, b->mem.gpa);
}

/* The guest takes what there is for it. @return false: it is not what was sent. */
static bool
guest_take(struct bench *b)
{
	static uint8_t buf[65536];
	size_t len;

	fe_post(&b->f, 0);
	while ((len = fe_recv(&b->f, 0, buf)) != 0) {
		if (len != LEN || !lcore_filled(buf, b->taken))
			return false;
		b->taken++;
	}
	return true;
}

/* Wait until what the guest sent is received; 10 s are a failed test. */
static bool
all_got(struct bench *b)
{
	for (int i = 0; i < 100000 && atomic_load(&b->lcore.got) != b->sent; i++) {
		if (!guest_take(b))
			return false;
		usleep(100);
	}
	return atomic_load(&b->lcore.got) == b->sent && !atomic_load(&b->lcore.spoilt);
}

/* How often the region is mapped, the test's own mapping included. */
static unsigned int
count_maps(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned int n = 0;
	char line[512];

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		n += strstr(line, MEM_NAME) != NULL;
	if (f != NULL)
		fclose(f);
	return n;
}

static bool
maps_become(unsigned int n)
{
	for (int i = 0; i < 5000 && count_maps() != n; i++)
		usleep(1000);
	return count_maps() == n;
}

static size_t
regions(const struct bench *b)
{
	return weir_mirror_regions(weir_space_mirror(b->space));
}

/* The region is added, used and removed; frames beside the rings all the while. */
static enum test_result
mem_comes_and_goes(const char *dma_args, unsigned int times)
{
	static struct bench b;
	unsigned int events;
	size_t before;

	TEST_EQ(bench_open(&b, dma_args, dma_args != NULL, dma_args != NULL), 0);
	before = regions(&b);
	events = atomic_load(&nr_queue_events);
	TEST_EQ(lcore_start(&b.lcore), 0);
	for (unsigned int i = 0; i < times; i++) {
		TEST_EQ(fe_mem_add(&b.f, &b.mem), 0);
		TEST_EQ(regions(&b), before + 1);
		for (int k = 0; k < 8; k++)
			if (k % 2 == 0)
				guest_send_beside_rings(&b);
			else
				guest_send_from_mem(&b);
		/* a guest takes memory out of use before it is removed */
		TEST_ASSERT(all_got(&b));
		for (int k = 0; k < 8; k++)
			guest_send_beside_rings(&b);
		TEST_EQ(fe_mem_del(&b.f, &b.mem), 0);
		/* who has the answer may take it for granted that nobody is there */
		TEST_EQ(count_maps(), 1);
		TEST_EQ(regions(&b), before);
		TEST_ASSERT(guest_take(&b));
	}
	TEST_ASSERT(all_got(&b));
	lcore_stop(&b.lcore);
	TEST_ASSERT(b.taken != 0);
	/* no ring was stopped for it */
	TEST_EQ(atomic_load(&nr_queue_events), events);
	TEST_EQ(bench_close(&b, dma_args != NULL), 0);
	return TEST_OK;
}

static enum test_result
mem_comes_and_goes_under_traffic(void)
{
	return mem_comes_and_goes(NULL, 200);
}

static enum test_result
mem_comes_and_goes_under_traffic_with_dma(void)
{
	return mem_comes_and_goes(QUICK, 200);
}

/* 5 s are a failed test. */
static bool
in_flight_becomes(const struct bench *b, uint64_t n)
{
	struct weir_queue_stats s;

	for (int i = 0; i < 50000; i++) {
		weir_queue_stats_get(b->rxq, &s);
		if (s.in_flight == n)
			return true;
		usleep(100);
	}
	return false;
}

/* A region with a copy under way stays, and everything else goes on. */
static enum test_result
mem_with_a_copy_under_way_stays(void)
{
	static struct bench b;
	struct fe_mem other;
	unsigned int events;
	uint32_t taken;

	TEST_EQ(bench_open(&b, STALL, true, false), 0);
	TEST_EQ(fe_mem_open(&other, "weir-test-other", MEM_GPA + MEM_LEN, MEM_LEN), 0);
	TEST_EQ(fe_mem_add(&b.f, &b.mem), 0);
	TEST_EQ(fe_mem_add(&b.f, &other), 0);
	events = atomic_load(&nr_queue_events);
	TEST_EQ(lcore_start(&b.lcore), 0);
	TEST_ASSERT(guest_send_from_mem(&b));
	TEST_ASSERT(in_flight_becomes(&b, 1));
	TEST_ASSERT(guest_take(&b));
	taken = b.taken;
	TEST_EQ(fe_mem_del(&b.f, &b.mem), 1);
	TEST_ASSERT(warned("guest memory 0x100000000-0x10001ffff stays"));
	TEST_EQ(atomic_load(&b.lcore.got), 0);
	TEST_EQ(count_maps(), 2);
	/* meanwhile: frames in other memory, and other memory goes */
	TEST_ASSERT(guest_take(&b));
	TEST_ASSERT(b.taken > taken);
	TEST_EQ(fe_mem_del(&b.f, &other), 0);
	TEST_EQ(atomic_load(&b.lcore.got), 0);
	/* nothing has changed: the frame arrives, and so does another */
	TEST_ASSERT(guest_send_from_mem(&b));
	TEST_ASSERT(all_got(&b));
	TEST_EQ(fe_mem_del(&b.f, &b.mem), 0);
	TEST_EQ(count_maps(), 1);
	lcore_stop(&b.lcore);
	TEST_EQ(atomic_load(&nr_queue_events), events);
	fe_mem_close(&other);
	TEST_EQ(bench_close(&b, true), 0);
	return TEST_OK;
}

/* An lcore that is held up in the middle of a burst may use the old table. */
static enum test_result
mem_stays_while_a_burst_is_under_way(void)
{
	static struct bench b;

	TEST_EQ(bench_open(&b, QUICK, true, false), 0);
	TEST_EQ(fe_mem_add(&b.f, &b.mem), 0);
	for (int i = 0; i < 2; i++) {
		if (i == 0)
			weir_epoch_enter(&b.txq->reader);
		else
			rte_spinlock_lock(&b.rxq->lock);
		TEST_EQ(fe_mem_del(&b.f, &b.mem), 1);
		TEST_ASSERT(warned("a burst does not end"));
		TEST_EQ(count_maps(), 2);
		if (i == 0)
			weir_epoch_leave(&b.txq->reader);
		else
			rte_spinlock_unlock(&b.rxq->lock);
		TEST_EQ(fe_mem_del(&b.f, &b.mem), 0);
		TEST_EQ(count_maps(), 1);
		TEST_EQ(fe_mem_add(&b.f, &b.mem), 0);
	}
	TEST_EQ(bench_close(&b, true), 0);
	return TEST_OK;
}

/* Somebody else unmaps the region through the mirror. */
static int
find_mem(const struct weir_region *r, void *arg)
{
	if (weir_range_len(r->iova) != MEM_LEN)
		return 0;
	*(struct weir_range *)arg = r->iova;
	return 1;
}

static enum test_result
mem_unmapped_by_others_waits_for_copies(void)
{
	static struct bench b;
	struct weir_mirror *m;
	struct weir_range iova;

	TEST_EQ(bench_open(&b, STALL, true, false), 0);
	m = weir_space_mirror(b.space);
	TEST_EQ(fe_mem_add(&b.f, &b.mem), 0);
	TEST_EQ(weir_mirror_walk(m, find_mem, &iova), 1);
	TEST_ASSERT(guest_send_from_mem(&b));
	lcore_receive(&b.lcore);
	weir_mirror_set_drain(m, 1000);
	TEST_EQ(weir_mirror_unmap(m, iova), -EBUSY);
	/* the time to wait is what was asked for; the copy is over within it */
	weir_mirror_set_drain(m, 60000000);
	TEST_EQ(weir_mirror_unmap(m, iova), 0);
	lcore_receive(&b.lcore);
	TEST_EQ(atomic_load(&b.lcore.got), 1);
	TEST_ASSERT(!atomic_load(&b.lcore.spoilt));
	weir_mirror_set_drain(m, 1000000);
	/* it is no mistake of the port's that it is gone already */
	TEST_EQ(fe_mem_del(&b.f, &b.mem), 0);
	TEST_EQ(count_maps(), 1);
	TEST_EQ(bench_close(&b, true), 0);
	return TEST_OK;
}

/* Both regions in a new table, or the rings' alone. */
static int64_t
set_table(struct bench *b, bool with_mem)
{
	const struct {
		uint32_t nr_regions, pad;
		struct weir_vhost_wire_region region[2];
	} t = {
		.nr_regions = with_mem ? 2 : 1,
		.region = { { FE_GPA, b->f.mem_len, (uintptr_t)b->f.mem, 0 },
			    { b->mem.gpa, b->mem.len, (uintptr_t)b->mem.mem, 0 } },
	};
	const int fds[2] = { b->f.mem_fd, b->mem.fd };

	return fe_msg_ack(&b->f, WEIR_VHOST_SET_MEM_TABLE, &t,
			  8 + t.nr_regions * (uint32_t)sizeof(t.region[0]), fds,
			  t.nr_regions);
}

/* A ring whose own memory goes stops, and goes on where it was when it is back. */
static enum test_result
ring_in_memory_that_goes_stops(void)
{
	static struct bench b;
	struct fe_mem rings;

	TEST_EQ(bench_open(&b, QUICK, true, true), 0);
	rings = (struct fe_mem){ FE_GPA, b.f.mem_len, b.f.mem, b.f.mem_fd };
	TEST_EQ(fe_mem_add(&b.f, &b.mem), 0);
	TEST_EQ(lcore_start(&b.lcore), 0);
	for (int i = 0; i < 20; i++) {
		for (int k = 0; k < 4; k++)
			guest_send_beside_rings(&b);
		TEST_EQ(fe_mem_del(&b.f, &rings), 0);
		TEST_ASSERT(!weir_port_link(b.port));
		TEST_EQ(fe_mem_add(&b.f, &rings), 0);
		TEST_ASSERT(weir_port_link(b.port));
		TEST_ASSERT(guest_take(&b));
	}
	TEST_ASSERT(all_got(&b));
	lcore_stop(&b.lcore);
	TEST_EQ(bench_close(&b, true), 0);
	return TEST_OK;
}

static void
arm(void *arg)
{
	weir_fail_arm(*(unsigned int *)arg);
}

static void
disarm(void *arg)
{
	*(bool *)arg = weir_fail_armed();
	weir_fail_arm(0);
}

/* Each allocation and each call of the IOMMU fails in turn while memory changes. */
static enum test_result
change_any_failure_leaves_the_old_table(void)
{
	static struct bench b;
	unsigned int nr_refused = 0;
	size_t before;

	TEST_EQ(bench_open(&b, QUICK, true, true), 0);
	TEST_EQ(lcore_start(&b.lcore), 0);
	before = regions(&b);
	for (unsigned int n = 1;; n++) {
		bool unused;
		int64_t ret;

		ctl_run(arm, &n);
		ret = set_table(&b, true);
		ctl_run(disarm, &unused);
		guest_send_beside_rings(&b);
		TEST_ASSERT(all_got(&b));
		if (unused)
			break;
		/* some failures can be made up for */
		TEST_EQ(regions(&b), ret == 0 ? before + 1 : before);
		nr_refused += ret != 0;
		TEST_EQ(set_table(&b, false), 0);
		TEST_ASSERT(maps_become(1));
	}
	TEST_ASSERT(nr_refused > 5);
	TEST_EQ(regions(&b), before + 1);
	guest_send_from_mem(&b);
	TEST_ASSERT(all_got(&b));
	lcore_stop(&b.lcore);
	TEST_EQ(bench_close(&b, true), 0);
	return TEST_OK;
}

/* Each fails in turn while memory comes back that a ring is in: what was refused can be
 * asked for again, else the frontend is parted with. */
static enum test_result
ring_memory_any_failure_is_as_told(void)
{
	static struct bench b;
	struct fe_mem rings;
	unsigned int nr_refused = 0, nr_parted = 0;
	bool unused = false;

	for (unsigned int n = 1; !unused; n++) {
		int64_t ret, again = 0;

		TEST_EQ(bench_open(&b, QUICK, true, true), 0);
		rings = (struct fe_mem){ FE_GPA, b.f.mem_len, b.f.mem, b.f.mem_fd };
		TEST_EQ(fe_mem_add(&b.f, &b.mem), 0);
		TEST_EQ(fe_mem_del(&b.f, &rings), 0);
		ctl_run(arm, &n);
		ret = fe_mem_add(&b.f, &rings);
		ctl_run(disarm, &unused);
		if (ret != 0)
			again = fe_mem_add(&b.f, &rings);
		TEST_ASSERT(again <= 0);
		nr_refused += ret != 0 && again == 0;
		nr_parted += again < 0;
		TEST_EQ(weir_port_link(b.port), again == 0);
		TEST_EQ(bench_close(&b, true), 0);
	}
	TEST_ASSERT(nr_refused != 0 && nr_parted != 0);
	return TEST_OK;
}

/* A table that has what the old one has: nothing of it is mapped anew, no ring stops. */
static enum test_result
table_that_shares_regions_keeps_them(void)
{
	static struct bench b;
	unsigned int events;

	TEST_EQ(bench_open(&b, STALL, true, false), 0);
	TEST_EQ(set_table(&b, true), 0);
	events = atomic_load(&nr_queue_events);
	TEST_EQ(lcore_start(&b.lcore), 0);
	guest_send_beside_rings(&b);
	TEST_ASSERT(in_flight_becomes(&b, 1));
	/* one less, and one more, while a copy beside the rings is under way */
	TEST_EQ(set_table(&b, false), 0);
	TEST_EQ(count_maps(), 1);
	TEST_EQ(set_table(&b, true), 0);
	TEST_EQ(count_maps(), 2);
	TEST_EQ(atomic_load(&b.lcore.got), 0);
	TEST_ASSERT(all_got(&b));
	/* its own memory is under way: the table it is in stays */
	guest_send_from_mem(&b);
	TEST_ASSERT(in_flight_becomes(&b, 1));
	TEST_EQ(set_table(&b, false), 1);
	TEST_EQ(count_maps(), 2);
	TEST_ASSERT(all_got(&b));
	lcore_stop(&b.lcore);
	TEST_EQ(atomic_load(&nr_queue_events), events);
	TEST_EQ(bench_close(&b, true), 0);
	return TEST_OK;
}

/* A region that cannot be mapped is named. */
static enum test_result
mem_that_cannot_be_mapped_is_named(void)
{
	static struct bench b;
	int file;

	TEST_EQ(bench_open(&b, NULL, false, false), 0);
	file = b.mem.fd;
	/* a descriptor that mmap() refuses: not to be written */
	b.mem.fd = open("/proc/self/exe", O_RDONLY);
	TEST_ASSERT(b.mem.fd >= 0);
	TEST_EQ(fe_mem_add(&b.f, &b.mem), 1);
	TEST_ASSERT(warned("guest memory 0x100000000-0x10001ffff, at 0 of its file"));
	TEST_EQ(set_table(&b, true), 1);
	TEST_ASSERT(warned("guest memory 0x100000000-0x10001ffff, at 0 of its file"));
	close(b.mem.fd);
	b.mem.fd = file;
	TEST_EQ(fe_mem_add(&b.f, &b.mem), 0);
	TEST_EQ(bench_close(&b, false), 0);
	return TEST_OK;
}

static const struct test_case port_mem_cases[] = {
	{ "mem_comes_and_goes_under_traffic", mem_comes_and_goes_under_traffic },
	{ "mem_comes_and_goes_under_traffic_with_dma",
	  mem_comes_and_goes_under_traffic_with_dma },
	{ "mem_with_a_copy_under_way_stays", mem_with_a_copy_under_way_stays },
	{ "mem_stays_while_a_burst_is_under_way", mem_stays_while_a_burst_is_under_way },
	{ "mem_unmapped_by_others_waits_for_copies",
	  mem_unmapped_by_others_waits_for_copies },
	{ "ring_in_memory_that_goes_stops", ring_in_memory_that_goes_stops },
	{ "ring_memory_any_failure_is_as_told", ring_memory_any_failure_is_as_told },
	{ "table_that_shares_regions_keeps_them", table_that_shares_regions_keeps_them },
	{ "mem_that_cannot_be_mapped_is_named", mem_that_cannot_be_mapped_is_named },
	{ "change_any_failure_leaves_the_old_table",
	  change_any_failure_leaves_the_old_table },
};
AUTOTEST_EAL(port_mem_autotest, port_mem_cases);
