/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_memory.h>

#include "queue_rig.h"

#define GUARD 0x1000u
#define SCATTER_IOVA UINT64_C(0x200000000000) /* of the first page */

/* Guest memory outlives each rig: mapping it anew would be most of a fuzzer's time. */
static uint8_t *slots[2];
static union {
	struct weir_gmem g;
	char room[sizeof(struct weir_gmem) + 2 * sizeof(struct weir_gmem_slot)];
} table;
static const uint16_t order[] = { 0, 1 };
static uint8_t *scattered;
static struct rte_dma_fp_object engine_ops;

static uint8_t *
slot_map(void)
{
	uint8_t *p = mmap(NULL, RIG_SLOT + 2 * GUARD, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || mprotect(p + GUARD, RIG_SLOT, PROT_READ | PROT_WRITE) != 0)
		return NULL;
	return p + GUARD;
}

static int
table_make(void)
{
	for (uint32_t i = 0; i < 2 && slots[i] == NULL; i++) {
		slots[i] = slot_map();
		if (slots[i] == NULL)
			return -ENOMEM;
		table.g.slot[i] = (struct weir_gmem_slot){
			.gpa = { i * RIG_SLOT, (i + 1) * RIG_SLOT - 1 },
			.hva = (uintptr_t)slots[i],
			.iova = RIG_IOVA + i * RIG_SLOT,
			.uva = RIG_UVA + i * RIG_SLOT,
		};
	}
	table.g.nr_slots = 2;
	table.g.by_uva = order;
	return 0;
}

void *
rig_mem(const struct rig *r, uint64_t gpa, uint64_t len)
{
	uint64_t off = gpa % RIG_SLOT;

	if (gpa >= RIG_MEM || off + len > RIG_SLOT)
		return NULL;
	return r->slot[gpa / RIG_SLOT] + off;
}

void
rig_poke(const struct rig *r, uint64_t gpa, const void *bytes, size_t len)
{
	const uint8_t *from = bytes;

	while (len != 0 && gpa < RIG_MEM) {
		size_t n = RTE_MIN(len, (size_t)(RIG_SLOT - gpa % RIG_SLOT));

		memcpy(rig_mem(r, gpa, n), from, n);
		from += n;
		gpa += n;
		len -= n;
	}
}

void
rig_desc(const struct rig *r, uint16_t i, uint64_t gpa, uint32_t len, uint16_t flags,
	 uint16_t next)
{
	if (r->packed)
		r->q.vr.packed_desc[i] =
			(struct vring_packed_desc){ gpa, len, next, flags };
	else
		r->q.vr.desc[i] = (struct vring_desc){ gpa, len, flags, next };
}

static void
offer_packed(struct rig *r)
{
	const uint16_t owner = VRING_PACKED_AVAIL | VRING_PACKED_USED;
	uint16_t i = r->offer_pos & WEIR_VRING_POS_IDX;
	uint16_t *flags = &r->q.vr.packed_desc[i].flags;

	*flags &= (uint16_t)~owner;
	*flags |= (r->offer_pos & WEIR_VRING_POS_WRAP) != 0 ? VRING_PACKED_AVAIL
							    : VRING_PACKED_USED;
	r->offer_pos = vring_packed_pos(&r->q.vr, r->offer_pos, 1);
}

void
rig_offer(struct rig *r, uint16_t head)
{
	struct vring_avail *a = r->q.vr.avail;

	if (r->packed) {
		offer_packed(r);
		return;
	}
	a->ring[a->idx % r->size] = head;
	a->idx++;
}

/* A page's place for an engine: no two of them meet. */
static rte_iova_t
scatter_iova(unsigned int page)
{
	return SCATTER_IOVA - 2 * page * RIG_SCATTER_PAGE;
}

uint8_t *
rig_scatter(void)
{
	const size_t len = RIG_SCATTER_PAGES * RIG_SCATTER_PAGE;
	rte_iova_t iova[RIG_SCATTER_PAGES];
	void *p;

	if (scattered != NULL)
		return scattered;
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	for (unsigned int i = 0; i < RIG_SCATTER_PAGES; i++)
		iova[i] = scatter_iova(i);
	if (rte_extmem_register(p, len, iova, RIG_SCATTER_PAGES, RIG_SCATTER_PAGE) != 0) {
		munmap(p, len);
		return NULL;
	}
	scattered = p;
	return p;
}

/* As the IOMMU: the guest's memory, what is scattered, and ours as it is. */
static void *
engine_translate(uint64_t iova, uint32_t len)
{
	uint64_t off = iova - RIG_IOVA;

	for (unsigned int i = 0; i < RIG_SCATTER_PAGES && off >= RIG_MEM; i++) {
		uint64_t at = iova - scatter_iova(i);

		if (at >= RIG_SCATTER_PAGE)
			continue;
		if (at + len > RIG_SCATTER_PAGE || scattered == NULL)
			abort();
		return scattered + i * RIG_SCATTER_PAGE + at;
	}
	if (off >= RIG_MEM)
		return (void *)(uintptr_t)iova;
	if (off % RIG_SLOT + len > RIG_SLOT)
		abort();
	return slots[off / RIG_SLOT] + off % RIG_SLOT;
}

static struct rig_engine *
engine_of(struct rig *r, uint16_t vchan)
{
	return vchan == 0 ? &r->engine : &r->engine2;
}

static int
engine_copy_sg(void *dev, uint16_t vchan, const struct rte_dma_sge *src,
	       const struct rte_dma_sge *dst, uint16_t nr, uint16_t nr_dst,
	       uint64_t flags)
{
	struct rig_engine *e = engine_of(dev, vchan);
	struct rig_op *op = &e->op[e->submitted % RTE_DIM(e->op)];

	RTE_SET_USED(flags);
	if (nr == 0 || nr != nr_dst || nr > RIG_SGES ||
	    e->submitted - e->done == RTE_DIM(e->op))
		abort();
	for (uint64_t end = rte_rdtsc() + e->cost; e->cost != 0 && rte_rdtsc() < end;)
		;
	op->nr = nr;
	for (uint16_t i = 0; i < nr; i++) {
		if (src[i].length == 0 || src[i].length != dst[i].length)
			abort();
		/* looked up now and again when it is done, as a device might */
		engine_translate(src[i].addr, src[i].length);
		engine_translate(dst[i].addr, dst[i].length);
		op->src[i] = src[i];
		op->dst[i] = dst[i];
	}
	return (uint16_t)e->submitted++;
}

static int
engine_copy(void *dev, uint16_t vchan, rte_iova_t src, rte_iova_t dst, uint32_t len,
	    uint64_t flags)
{
	const struct rte_dma_sge s = { src, len }, d = { dst, len };

	return engine_copy_sg(dev, vchan, &s, &d, 1, 1, flags);
}

static int
engine_submit(void *dev, uint16_t vchan)
{
	struct rig_engine *e = engine_of(dev, vchan);

	e->kicked = e->submitted;
	e->bells++;
	return 0;
}

/* Do the next job. @return false: it fails, nothing was copied. */
static bool
engine_step(struct rig_engine *e)
{
	const struct rig_op *op = &e->op[e->done % RTE_DIM(e->op)];

	if (e->credit != RIG_DMA_ALL)
		e->credit--;
	e->nr_done++;
	if (e->fail_nth != 0 && e->nr_done % e->fail_nth == 0)
		return false;
	for (uint16_t i = 0; i < op->nr; i++)
		memcpy(engine_translate(op->dst[i].addr, op->dst[i].length),
		       engine_translate(op->src[i].addr, op->src[i].length),
		       op->src[i].length);
	return true;
}

static uint16_t
engine_completed(void *dev, uint16_t vchan, const uint16_t max, uint16_t *last,
		 bool *error)
{
	struct rig_engine *e = engine_of(dev, vchan);
	uint16_t n = 0;

	while (n < max && e->done != e->kicked && e->credit != 0 && !e->failed) {
		e->failed = !engine_step(e);
		if (e->failed)
			break;
		e->done++;
		n++;
	}
	*error = e->failed;
	*last = (uint16_t)(e->done - 1);
	return n;
}

static uint16_t
engine_completed_status(void *dev, uint16_t vchan, const uint16_t max, uint16_t *last,
			enum rte_dma_status_code *status)
{
	struct rig_engine *e = engine_of(dev, vchan);
	uint16_t n = 0;

	while (n < max && e->done != e->kicked && (e->credit != 0 || e->failed)) {
		status[n++] = e->failed || !engine_step(e) ? RTE_DMA_STATUS_BUS_ERROR
							   : RTE_DMA_STATUS_SUCCESSFUL;
		e->failed = false;
		e->done++;
	}
	*last = (uint16_t)(e->done - 1);
	return n;
}

static void
engine_open(struct rig *r, bool two, bool sg)
{
	engine_ops = (struct rte_dma_fp_object){
		.dev_private = r,
		.copy = engine_copy,
		.copy_sg = engine_copy_sg,
		.submit = engine_submit,
		.completed = engine_completed,
		.completed_status = engine_completed_status,
	};
	r->saved = rte_dma_fp_objs;
	rte_dma_fp_objs = &engine_ops;
	r->engine = (struct rig_engine){ .credit = RIG_DMA_ALL };
	r->engine2 = r->engine;
	r->chan = (struct weir_copy_chan){
		.mask = RTE_DIM(r->chan_ring) - 1,
		.ring = r->chan_ring,
		.node = SOCKET_ID_ANY,
		.max_sg = sg ? RIG_SGES : 1,
	};
	r->chan2 = r->chan;
	r->chan2.vchan = 1;
	r->chan2.ring = r->chan2_ring;
	r->q.chan = &r->chan;
	r->q.chans[0] = &r->chan;
	r->q.chans[1] = &r->chan2;
	r->q.nr_chans = two ? 2 : 1;
	queue_lock_rule(&r->q);
}

int
rig_ring(struct rig *r, uint16_t base, bool event_idx)
{
	const uint32_t avail_len = r->packed ? 4 : sizeof(uint16_t) * (3u + r->size);
	const uint32_t used_len = r->packed ? 4 : sizeof(uint16_t) * 3u + 8u * r->size;
	const uint16_t pos =
		((base & WEIR_VRING_POS_IDX) % r->size) | (base & WEIR_VRING_POS_WRAP);
	const struct weir_vring_addr addr = {
		.desc_uva = RIG_UVA,
		.avail_uva = RIG_UVA + RIG_SLOT - avail_len,
		.used_uva = RIG_UVA + ((RIG_MEM - used_len) & ~3u),
		.size = r->size,
		.base = r->packed ? pos : base,
		.packed = r->packed,
		.shadow = r->q.shadow,
		.event_idx = event_idx,
	};

	return weir_vring_init(&r->q.vr, &table.g, &addr);
}

int
rig_start(struct rig *r, const struct rig_conf *conf)
{
	int ret = table_make();

	if (ret != 0)
		return ret;
	r->size = conf->size;
	r->packed = conf->packed;
	r->offer_pos = WEIR_VRING_POS_WRAP;
	memcpy(r->slot, slots, sizeof(slots));
	for (int i = 0; i < 2; i++)
		memset(slots[i], 0, RIG_SLOT);
	r->q.pool = conf->pool;
	r->q.threshold = conf->threshold;
	r->q.call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->q.fault_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rte_spinlock_init(&r->q.lock);
	if (conf->dma)
		engine_open(r, conf->two, conf->sg);
	ret = queue_alloc(&r->q, conf->size, conf->packed);
	if (ret == 0)
		ret = rig_ring(r, conf->packed ? WEIR_VRING_POS_WRAP : 0, false);
	if (ret == 0)
		queue_start(&r->q);
	else
		rig_stop(r);
	return ret;
}

void
rig_stop(struct rig *r)
{
	r->engine.credit = RIG_DMA_ALL;
	r->engine2.credit = RIG_DMA_ALL;
	if (queue_stop(&r->q, 1000000) != 0)
		abort();
	queue_free(&r->q);
	close(r->q.call_fd);
	close(r->q.fault_fd);
	if (r->q.chan != NULL)
		rte_dma_fp_objs = r->saved;
}

void
rig_send_frames(struct rig *r, uint16_t nr, uint16_t n)
{
	uint8_t bytes[RIG_HDR + 60] = { 0 };

	for (uint16_t i = nr; i < nr + n; i++) {
		memset(bytes + RIG_HDR, i + 1, sizeof(bytes) - RIG_HDR);
		rig_poke(r, RIG_DATA + i % 16u * 0x100u, bytes, sizeof(bytes));
		rig_desc(r, i % 16, RIG_DATA + i % 16u * 0x100u, sizeof(bytes), 0, 0);
		rig_offer(r, i % 16);
	}
}

enum test_result
rig_frames_come(struct rig *r, uint16_t nr, uint16_t n)
{
	struct rte_mbuf *m[16];

	TEST_EQ(queue_rx_burst(&r->q, m, 16), n);
	for (uint16_t i = 0; i < n; i++) {
		TEST_EQ(*rte_pktmbuf_mtod(m[i], uint8_t *), nr + i + 1);
		rte_pktmbuf_free(m[i]);
	}
	return TEST_OK;
}

int
rig_open(struct rig *r, struct rte_mempool **pool, bool tx, struct rig_conf conf)
{
	if (*pool == NULL)
		*pool = rte_mempool_lookup("queue_rig");
	if (*pool == NULL)
		*pool = rte_pktmbuf_pool_create("queue_rig", 511, 0, 0,
						RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	if (*pool == NULL)
		return -ENOMEM;
	conf.pool = tx ? NULL : *pool;
	memset(r, 0, sizeof(*r));
	r->q.hdr_len = RIG_HDR;
	r->q.mergeable = true;
	return rig_start(r, &conf);
}

unsigned int
rig_close(struct rig *r, const struct rte_mempool *pool)
{
	rig_stop(r);
	return rte_mempool_in_use_count(pool);
}
