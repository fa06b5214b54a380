/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What meets in one guest: an in-flight area, a vIOMMU, a dirty log, a control queue,
 * engines, in backends that die one after the other.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/vhost_types.h>
#include <linux/virtio_net.h>

#include "port_bench.h"
#include "weir_inflight.h"

#define PF(f) WEIR_VHOST_BIT(WEIR_VHOST_PF_##f)
#define IOVA UINT64_C(0xffe00000)
#define PAGE 4096u
#define LEN 300u
#define LIVES 6u
#define FRAMES 9u

struct guest {
	struct bench b;
	struct fe f;
	int chan;
	int area_fd;
	struct weir_vhost_wire_inflight area;
	int log_fd;
	uint8_t *log;
	size_t log_len;
	bool ctrl; /* it hands over the control queue */
	uint32_t sent, got, to_guest;
};

static int
port_open(struct guest *g, const char *dma, bool iommu)
{
	struct weir_port_conf conf = {
		.name = "combo",
		.path = g->b.path,
		.nr_pairs = 1,
		.iommu = iommu,
		.ctrl_vq = g->ctrl,
	};
	int ret = dma != NULL ? weir_space_get(&g->b.space) : 0;

	snprintf(g->b.path, sizeof(g->b.path), "/tmp/weir-test.%d.combo", (int)getpid());
	if (ret == 0 && dma != NULL)
		conf.mirror = weir_space_mirror(g->b.space);
	if (ret == 0)
		ret = weir_port_create(&conf, &g->b.port);
	if (ret == 0)
		ret = weir_port_rxq_setup(g->b.port, 0, pool, dma);
	if (ret == 0)
		ret = weir_port_txq_setup(g->b.port, 0, dma);
	if (ret == 0)
		ret = weir_port_start(g->b.port);
	g->b.rxq = weir_port_rxq(g->b.port, 0);
	g->b.txq = weir_port_txq(g->b.port, 0);
	return ret;
}

static void
port_close(struct guest *g)
{
	weir_port_destroy(g->b.port);
	if (g->b.space != NULL)
		weir_space_put(g->b.space);
	g->b.space = NULL;
}

/* Serve what the port asks of the vIOMMU: all memory is mapped. */
static bool
serve(struct guest *g)
{
	struct pollfd p = { .fd = g->chan, .events = POLLIN };
	struct vhost_iotlb_msg m;
	struct weir_vhost_hdr h;
	int64_t ret;

	while (g->chan >= 0 && poll(&p, 1, 0) == 1) {
		if (fe_channel_recv(g->chan, &h, &m, sizeof(m)) != 0 ||
		    m.type != VHOST_IOTLB_MISS)
			return false;
		m = (struct vhost_iotlb_msg){
			.iova = m.iova,
			.size = PAGE,
			.uaddr = (uintptr_t)g->f.mem + (m.iova - IOVA),
			.perm = VHOST_ACCESS_RW,
			.type = VHOST_IOTLB_UPDATE,
		};
		ret = fe_msg_ack(&g->f, WEIR_VHOST_IOTLB_MSG, &m, sizeof(m), NULL, 0);
		if (ret != 0 || fe_channel_answer(g->chan, &h, 0) != 0)
			return false;
	}
	return true;
}

/* Take back a page's translation; it is asked for again. */
static int64_t
unmap(struct guest *g, uint32_t page)
{
	const struct vhost_iotlb_msg m = {
		.iova = IOVA + page * PAGE,
		.size = PAGE,
		.type = VHOST_IOTLB_INVALIDATE,
	};

	return fe_msg_ack(&g->f, WEIR_VHOST_IOTLB_MSG, &m, sizeof(m), NULL, 0);
}

static enum test_result
set_log(struct guest *g)
{
	const struct weir_vhost_wire_log l = { g->log_len, 0 };
	uint64_t answer;

	TEST_EQ(fe_msg(&g->f, WEIR_VHOST_SET_LOG_BASE, &l, sizeof(l), &g->log_fd, 1,
		       &answer, sizeof(answer)),
		0);
	return TEST_OK;
}

/* An area that the frontend has made, with a part for the control queue. */
static enum test_result
area_make(struct guest *g)
{
	g->area = (struct weir_vhost_wire_inflight){
		.len = 3 * weir_inflight_len(FE_RING, wanted != FE_SPLIT),
		.nr_rings = 3,
		.size = FE_RING,
	};
	g->area_fd = memfd_create("weir-test-area", MFD_CLOEXEC);
	TEST_ASSERT(g->area_fd >= 0);
	TEST_EQ(ftruncate(g->area_fd, (off_t)g->area.len), 0);
	return TEST_OK;
}

/* A backend begins, and knows of nothing. */
static enum test_result
begin(struct guest *g, bool first, bool iommu, bool log)
{
	uint64_t want = ALL_FEATURES;

	if (!log)
		want &= ~WEIR_VHOST_BIT(VHOST_F_LOG_ALL);
	if (!iommu)
		want &= ~WEIR_VHOST_BIT(VIRTIO_F_ACCESS_PLATFORM);
	if (first)
		TEST_EQ(fe_connect(&g->f, g->b.path, g->ctrl ? 2 : 1), 0);
	else
		TEST_EQ(fe_connect_again(&g->f, g->b.path), 0);
	g->f.iova = iommu ? IOVA : 0;
	g->f.log_used = log;
	TEST_EQ(fe_features(&g->f, want), 0);
	TEST_EQ(fe_protocol(&g->f, PF(INFLIGHT_SHMFD) | PF(BACKEND_REQ) | PF(LOG_SHMFD)),
		0);
	g->chan = iommu ? fe_channel(&g->f) : -1;
	TEST_ASSERT(!iommu || g->chan >= 0);
	TEST_EQ(fe_share(&g->f), 0);
	if (log)
		TEST_EQ(set_log(g), TEST_OK);
	if (first && g->ctrl)
		TEST_EQ(area_make(g), TEST_OK);
	else if (first)
		TEST_EQ(fe_inflight_get(&g->f, &g->area, &g->area_fd), 0);
	TEST_EQ(fe_msg_ack(&g->f, WEIR_VHOST_SET_INFLIGHT_FD, &g->area, sizeof(g->area),
			   &g->area_fd, 1),
		0);
	fe_post(&g->f, 0);
	for (unsigned int i = 0; i < (g->ctrl ? 3 : 2); i++)
		TEST_EQ(fe_ring_start(&g->f, i, FE_BASE_NEW), 0);
	for (int i = 0; i < 20000 && !weir_port_link(g->b.port); i++) {
		TEST_ASSERT(serve(g));
		usleep(1000);
	}
	TEST_ASSERT(weir_port_link(g->b.port));
	return TEST_OK;
}

/* A command, in three buffers, is carried out and answered, once. */
static enum test_result
command(struct guest *g)
{
	struct fe_ring *r = &g->f.ring[2];
	volatile uint8_t *answer = r->buf + FE_BUF;
	const uint8_t cmd[] = { VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1 };

	*answer = 0xff;
	memcpy(r->buf, cmd, sizeof(cmd));
	r->desc[0] =
		(struct vring_desc){ fe_gpa(&g->f, r->buf), 2, VRING_DESC_F_NEXT, 1 };
	r->desc[1] =
		(struct vring_desc){ fe_gpa(&g->f, r->buf + 2), 1, VRING_DESC_F_NEXT, 2 };
	r->desc[2] = (struct vring_desc){ fe_gpa(&g->f, r->buf + FE_BUF), 1,
					  VRING_DESC_F_WRITE, 0 };
	fe_offer(r, 0);
	(void)!write(r->kick, &(uint64_t){ 1 }, sizeof(uint64_t));
	for (int i = 0; *answer == 0xff; i++) {
		TEST_ASSERT(i < 20000);
		TEST_ASSERT(serve(g));
		usleep(1000);
	}
	TEST_EQ(*answer, VIRTIO_NET_OK);
	return TEST_OK;
}

/* Receive the next frame that the guest has sent. */
static enum test_result
receive(struct guest *g)
{
	struct rte_mbuf *m;

	for (int i = 0; weir_port_rx_burst(g->b.rxq, &m, 1) == 0; i++) {
		TEST_ASSERT(i < 20000);
		TEST_ASSERT(serve(g));
		usleep(1000);
	}
	TEST_EQ(m->pkt_len, LEN);
	TEST_ASSERT(filled(rte_pktmbuf_mtod(m, uint8_t *), LEN, g->got++));
	rte_pktmbuf_free(m);
	return TEST_OK;
}

/* Send the next frame to the guest, in one buffer or in several. */
static enum test_result
transmit(struct guest *g)
{
	static uint8_t buf[65536];
	const uint16_t len = sizes[g->to_guest % NR_SIZES];
	struct rte_mbuf *m = frame(len, g->to_guest);
	size_t come = 0;

	for (int i = 0; weir_port_tx_burst(g->b.txq, &m, 1) == 0; i++) {
		TEST_ASSERT(i < 20000);
		TEST_ASSERT(serve(g));
		usleep(1000);
	}
	for (int i = 0; come == 0; i++) {
		TEST_ASSERT(i < 20000);
		weir_port_tx_burst(g->b.txq, NULL, 0);
		come = fe_recv(&g->f, 0, buf);
		usleep(come == 0 ? 1000 : 0);
	}
	TEST_EQ(come, len);
	TEST_ASSERT(filled(buf, len, g->to_guest++));
	fe_post(&g->f, 0);
	return TEST_OK;
}

/* Some frames each way, of which some stay in the ring when it ends. */
static enum test_result
some_traffic(struct guest *g, uint32_t life, bool iommu)
{
	uint8_t buf[LEN];

	while (g->sent < g->got + FRAMES) {
		fill(buf, sizeof(buf), g->sent);
		TEST_ASSERT(fe_send(&g->f, 0, buf, sizeof(buf), g->sent % 4));
		g->sent++;
	}
	for (uint32_t i = 0; i < FRAMES - 1 - life % 3; i++) {
		if (iommu && i % 2 == 0) {
			/* any page, those of the rings too */
			TEST_EQ(unmap(g, (life * 7 + i * 13) % 64), 0);
		}
		TEST_EQ(receive(g), TEST_OK);
		TEST_EQ(transmit(g), TEST_OK);
		fe_reap(&g->f, 0);
	}
	return TEST_OK;
}

/* Each page of guest memory that is not as it was has its bit. */
static enum test_result
pages_are_logged(struct guest *g, const uint8_t *was)
{
	unsigned int changed = 0;

	for (size_t i = 0; i < g->f.mem_len / PAGE; i++) {
		const uint64_t page = FE_GPA / PAGE + i;

		if (memcmp(was + i * PAGE, g->f.mem + i * PAGE, PAGE) == 0)
			continue;
		TEST_ASSERT((g->log[page / 8] >> page % 8 & 1) != 0);
		changed++;
	}
	/* buffers, and the ring */
	TEST_ASSERT(changed >= 2);
	return TEST_OK;
}

static enum test_result
backends_die(const char *dma, bool iommu, bool log)
{
	struct bench first;
	struct guest g = { .chan = -1 };

	/* for the pool */
	TEST_EQ(bench_open(&first, NULL, 0), 0);
	g.log_len = 2 * (FE_GPA / PAGE / 8);
	g.log_fd = memfd_create("weir-test-log", MFD_CLOEXEC);
	TEST_ASSERT(g.log_fd >= 0 && ftruncate(g.log_fd, (off_t)g.log_len) == 0);
	g.log = mmap(NULL, g.log_len, PROT_READ | PROT_WRITE, MAP_SHARED, g.log_fd, 0);
	TEST_ASSERT(g.log != MAP_FAILED);
	for (uint32_t life = 0; life < LIVES; life++) {
		uint8_t *was;

		memset(g.log, 0, g.log_len);
		TEST_EQ(port_open(&g, dma, iommu), 0);
		TEST_EQ(begin(&g, life == 0, iommu, log), TEST_OK);
		TEST_EQ(some_traffic(&g, life, iommu), TEST_OK);
		/* nothing but the port writes from here on */
		was = mmap(NULL, g.f.mem_len, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		TEST_ASSERT(was != MAP_FAILED);
		memcpy(was, g.f.mem, g.f.mem_len);
		memset(g.log, 0, g.log_len);
		for (uint32_t i = 0; i < 3; i++) {
			struct rte_mbuf *m = frame(LEN, g.to_guest + i);

			for (int k = 0; weir_port_tx_burst(g.b.txq, &m, 1) == 0; k++) {
				TEST_ASSERT(k < 20000);
				TEST_ASSERT(serve(&g));
				usleep(1000);
			}
		}
		port_close(&g);
		if (log)
			TEST_EQ(pages_are_logged(&g, was), TEST_OK);
		munmap(was, g.f.mem_len);
		for (uint32_t i = 0; i < 3; i++, g.to_guest++) {
			static uint8_t buf[65536];

			TEST_EQ(fe_recv(&g.f, 0, buf), LEN);
			TEST_ASSERT(filled(buf, LEN, g.to_guest));
		}
		if (g.chan >= 0)
			close(g.chan);
	}
	close(g.area_fd);
	munmap(g.log, g.log_len);
	close(g.log_fd);
	fe_close(&g.f);
	TEST_EQ(bench_close(&first), 0);
	return TEST_OK;
}

/* Both formats of rings. */
static enum test_result
both(const char *dma, bool iommu, bool log)
{
	enum test_result r = backends_die(dma, iommu, log);

	wanted = UINT64_MAX;
	if (r == TEST_OK)
		r = backends_die(dma, iommu, log);
	wanted = FE_SPLIT;
	return r;
}

/* The same by an engine, of which each queue has several channels. */
static enum test_result
both_by_dma(bool iommu, bool log)
{
	enum test_result r;

	TEST_EQ(dma_open("mode=thread,delay_us=100"), 0);
	r = both("dma_weir_test,dma_weir_test,dma_weir_test", iommu, log);
	dma_close();
	return r;
}

/* Commands whose buffers and ring are unmapped between them, and are asked for. */
static enum test_result
commands(uint64_t format)
{
	struct bench first;
	struct guest g = { .chan = -1, .ctrl = true };

	wanted = format;
	TEST_EQ(bench_open(&first, NULL, 0), 0);
	for (uint32_t life = 0; life < LIVES; life++) {
		TEST_EQ(port_open(&g, NULL, true), 0);
		TEST_EQ(begin(&g, life == 0, true, false), TEST_OK);
		for (uint32_t i = 0; i < 3; i++) {
			TEST_EQ(command(&g), TEST_OK);
			for (uint32_t page = 0; page < 128; page++)
				TEST_EQ(unmap(&g, page), 0);
		}
		port_close(&g);
		close(g.chan);
	}
	close(g.area_fd);
	fe_close(&g.f);
	TEST_EQ(bench_close(&first), 0);
	wanted = FE_SPLIT;
	return TEST_OK;
}

static enum test_result
area_viommu_and_control_queue(void)
{
	TEST_EQ(commands(FE_SPLIT), TEST_OK);
	return commands(UINT64_MAX);
}

static enum test_result
area_and_viommu(void)
{
	return both(NULL, true, false);
}

static enum test_result
area_and_viommu_by_dma(void)
{
	return both_by_dma(true, false);
}

static enum test_result
area_and_log(void)
{
	return both(NULL, false, true);
}

static enum test_result
area_and_log_by_channels(void)
{
	return both_by_dma(false, true);
}

static enum test_result
area_log_and_viommu_by_channels(void)
{
	return both_by_dma(true, true);
}

static const struct test_case port_combos_cases[] = {
	{ "area_and_viommu", area_and_viommu },
	{ "area_and_viommu_by_dma", area_and_viommu_by_dma },
	{ "area_viommu_and_control_queue", area_viommu_and_control_queue },
	{ "area_and_log", area_and_log },
	{ "area_and_log_by_channels", area_and_log_by_channels },
	{ "area_log_and_viommu_by_channels", area_log_and_viommu_by_channels },
};
AUTOTEST_EAL(port_combos_autotest, port_combos_cases);
