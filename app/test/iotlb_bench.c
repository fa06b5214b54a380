/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_bus_vdev.h>
#include <rte_dmadev.h>
#include <rte_mbuf.h>

#include "iotlb_bench.h"
#include "run_folder.h"
#include "weir_copy.h"
#include "weir_log.h"

#define DMA "dma_weir_iotlb"
#define DMA2 "dma_weir_iotlb2"

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

bool
iotlb_said(const char *words)
{
	bool found;

	pthread_mutex_lock(&log_lock);
	found = strstr(messages, words) != NULL;
	pthread_mutex_unlock(&log_lock);
	return found;
}

/* ---- the vIOMMU */

int64_t
iotlb_msg(struct iotlb_bench *b, uint64_t iova, uint64_t len, uint64_t uva, uint8_t perm,
	  uint8_t type)
{
	const struct vhost_iotlb_msg m = { iova, len, uva, perm, type };

	return fe_msg_ack(&b->f, WEIR_VHOST_IOTLB_MSG, &m, sizeof(m), NULL, 0);
}

int64_t
iotlb_update(struct iotlb_bench *b, uint32_t page, uint32_t nr)
{
	return iotlb_msg(b, IOTLB_IOVA + page * IOTLB_PAGE, nr * IOTLB_PAGE,
			 (uintptr_t)b->f.mem + page * IOTLB_PAGE, b->perm[page],
			 VHOST_IOTLB_UPDATE);
}

int64_t
iotlb_unmap(struct iotlb_bench *b, uint32_t page, uint32_t nr)
{
	memset(&b->perm[page], 0, nr);
	return iotlb_msg(b, IOTLB_IOVA + page * IOTLB_PAGE, nr * IOTLB_PAGE, 0, 0,
			 VHOST_IOTLB_INVALIDATE);
}

void
iotlb_map(struct iotlb_bench *b, uint32_t page, uint32_t nr, uint8_t perm)
{
	memset(&b->perm[page], perm, nr);
}

uint32_t
iotlb_page_of(const struct iotlb_bench *b, const void *p)
{
	return (uint32_t)((const uint8_t *)p - b->f.mem) / IOTLB_PAGE;
}

bool
iotlb_serve(struct iotlb_bench *b)
{
	struct pollfd p = { .fd = b->chan, .events = POLLIN };

	while (poll(&p, 1, 0) == 1) {
		struct vhost_iotlb_msg m;
		struct weir_vhost_hdr h;
		uint64_t page, result = 1;

		if (fe_channel_recv(b->chan, &h, &m, sizeof(m)) != 0)
			return false;
		page = (m.iova - IOTLB_IOVA) / IOTLB_PAGE;
		if (h.request != WEIR_VHOST_BACKEND_IOTLB_MSG || h.size != sizeof(m) ||
		    m.type != VHOST_IOTLB_MISS || m.perm == 0 || m.iova % IOTLB_PAGE != 0)
			return false;
		b->misses++;
		if (page < IOTLB_MAX_PAGES && (m.perm & ~b->perm[page]) == 0) {
			if (b->mute)
				result = 0;
			else
				result = (uint64_t)iotlb_update(b, (uint32_t)page, 1);
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
port_open(struct iotlb_bench *b, const char *dmas)
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
		ret = weir_port_rxq_setup(b->port, 0, pool, dmas);
	if (ret == 0)
		ret = weir_port_txq_setup(b->port, 0, dmas);
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

/* One engine, or two with '/' between their arguments; @return the port's dmas. */
static const char *
engines_open(const char *args)
{
	const char *second = strchr(args, '/');
	char first[64];

	snprintf(first, sizeof(first), "%.*s", (int)strcspn(args, "/"), args);
	if (rte_vdev_init(DMA, first) != 0)
		return NULL;
	if (second == NULL)
		return DMA;
	return rte_vdev_init(DMA2, second + 1) == 0 ? DMA "," DMA2 : NULL;
}

static int
frontend_open(struct iotlb_bench *b, uint64_t features)
{
	int ret = fe_connect(&b->f, b->path, 1);

	if (ret != 0)
		return ret;
	b->f.iova = IOTLB_IOVA;
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

int
iotlb_open(struct iotlb_bench *b, uint64_t features, const char *dma_args)
{
	const char *dmas = NULL;
	int ret;

	memset(b, 0, sizeof(*b));
	run_folder_path(b->path, sizeof(b->path), "iotlb.sock");
	weir_log_set_sink(keep_message);
	memset(messages, 0, sizeof(messages));
	weir_copy_set_watchdog(0);
	if (pool == NULL)
		pool = rte_pktmbuf_pool_create("test_port_iotlb", 1023, 0, 0,
					       RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	if (pool == NULL)
		return -ENOMEM;
	if (dma_args != NULL)
		dmas = engines_open(dma_args);
	ret = dma_args == NULL || dmas != NULL ? port_open(b, dmas) : -ENODEV;
	if (ret == 0)
		ret = frontend_open(b, features);
	if (ret != 0)
		return ret;
	for (unsigned int i = 0; i < 2; i++)
		iotlb_map(b, iotlb_page_of(b, b->f.ring[i].buf) - 4, 4, RW);
	return 0;
}

unsigned int
iotlb_close(struct iotlb_bench *b, bool dma)
{
	fe_close(&b->f);
	close(b->chan);
	weir_port_destroy(b->port);
	if (dma)
		rte_vdev_uninit(DMA);
	if (dma && rte_dma_get_dev_id_by_name(DMA2) >= 0)
		rte_vdev_uninit(DMA2);
	weir_space_put(b->space);
	weir_copy_set_watchdog(500000);
	weir_log_set_sink(NULL);
	return rte_mempool_in_use_count(pool);
}

bool
iotlb_rings_run(struct iotlb_bench *b)
{
	for (int i = 0; i < 10000; i++) {
		if (!iotlb_serve(b))
			return false;
		if (weir_queue_running(b->rxq) && weir_queue_running(b->txq))
			return true;
		usleep(1000);
	}
	return false;
}

uint8_t *
iotlb_buffer(struct iotlb_bench *b, unsigned int ring, uint32_t nr)
{
	return b->f.ring[ring].buf + nr % FE_RING * FE_BUF;
}

bool
iotlb_guest_send(struct iotlb_bench *b, uint8_t perm)
{
	struct fe_ring *r = &b->f.ring[1];
	uint8_t *buf = iotlb_buffer(b, 1, 2 * b->sent);
	uint16_t at = (uint16_t)(b->sent % FE_RING);

	if (b->sent - b->reaped == FE_RING / 2)
		return false;
	memset(buf, 0, FE_HDR);
	lcore_fill(buf + FE_HDR, b->sent);
	iotlb_map(b, iotlb_page_of(b, buf), 1, perm);
	r->desc[at] = (struct vring_desc){ fe_gpa(&b->f, buf), FE_HDR + LEN, 0, 0 };
	fe_offer(r, at);
	b->sent++;
	return true;
}

bool
iotlb_guest_reap(struct iotlb_bench *b)
{
	for (unsigned int n = fe_reap(&b->f, 0); n != 0; n--, b->reaped++) {
		uint8_t *buf = iotlb_buffer(b, 1, 2 * b->reaped);

		if (iotlb_unmap(b, iotlb_page_of(b, buf), 1) != 0)
			return false;
		memset(buf, IOTLB_SCRIBBLE, FE_BUF);
	}
	return true;
}

static bool
scribbled(const uint8_t *buf)
{
	for (unsigned int i = 0; i < FE_BUF; i++)
		if (buf[i] != IOTLB_SCRIBBLE)
			return false;
	return true;
}

/* The guest offers a buffer to receive in, on a page of its own. */
static bool
guest_offer(struct iotlb_bench *b, uint32_t nr)
{
	struct fe_ring *r = &b->f.ring[0];
	uint8_t *buf = iotlb_buffer(b, 0, 2 * nr);
	/* fe_recv() finds it by its head */
	uint16_t at = (uint16_t)(2 * nr % FE_RING);
	bool whole = nr < FE_RING / 2 || scribbled(buf);

	iotlb_map(b, iotlb_page_of(b, buf), 1, WO);
	r->desc[at] =
		(struct vring_desc){ fe_gpa(&b->f, buf), FE_BUF, VRING_DESC_F_WRITE, 0 };
	fe_offer(r, at);
	return whole;
}

bool
iotlb_guest_take(struct iotlb_bench *b)
{
	struct fe_ring *r = &b->f.ring[0];
	static uint8_t buf[65536];
	size_t len;

	while ((uint16_t)(r->avail_idx - r->used_idx) < FE_RING / 4)
		if (!guest_offer(b, r->avail_idx))
			return false;
	while ((len = fe_recv(&b->f, 0, buf)) != 0) {
		uint8_t *at = iotlb_buffer(b, 0, 2 * b->taken);

		if (len != LEN || !lcore_filled(buf, b->taken) ||
		    iotlb_unmap(b, iotlb_page_of(b, at), 1) != 0)
			return false;
		memset(at, IOTLB_SCRIBBLE, FE_BUF);
		b->taken++;
	}
	return true;
}
