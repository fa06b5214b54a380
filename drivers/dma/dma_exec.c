/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Carrying jobs out. A job first has every one of its addresses translated and
 * only then writes, so that a fault anywhere in it means that nothing of it was
 * done. Where the pieces are not contiguous in host memory they are translated
 * a second time as they are copied; an unmap that comes in between makes the
 * second time fail, and the job ends there: what it wrote until then it wrote
 * to memory that could not go away before the section ends.
 */
#include <string.h>

#include <rte_cycles.h>

#include "dma_weir.h"
#include "weir_map.h"
#include "weir_range.h"

/* Jobs in one section: an unmap waits for so many copies at most. */
#define SECTION_JOBS 32

/* A place in a list of entries. */
struct walk {
	const struct rte_dma_sge *sge;
	unsigned int nr; /* entries left, the present one included */
	uint64_t off;	 /* into the present one */
};

static void *
translate(struct wdma_vchan *vc, uint64_t iova, uint32_t prot, uint64_t *len)
{
	void *p = weir_sim_translate(&vc->sim, iova, prot, len);

	if (unlikely(p == NULL)) {
		wdma_count(&vc->faults, 1);
		atomic_store_explicit(&vc->fault_iova, iova, memory_order_relaxed);
	}
	return p;
}

static uint16_t
fault_status(uint32_t prot)
{
	return prot == WEIR_PROT_READ ? RTE_DMA_STATUS_INVALID_SRC_ADDR
				      : RTE_DMA_STATUS_INVALID_DST_ADDR;
}

static void
walk_forward(struct walk *w, uint64_t len)
{
	w->off += len;
	while (w->nr > 0 && w->off == w->sge->length) {
		w->sge++;
		w->nr--;
		w->off = 0;
	}
}

static struct walk
walk_start(const struct rte_dma_sge *sge, unsigned int nr)
{
	struct walk w = { .sge = sge, .nr = nr };

	walk_forward(&w, 0); /* past empty entries */
	return w;
}

/* The host memory at the walk's place, and how far it goes on. */
static void *
walk_piece(struct wdma_vchan *vc, const struct walk *w, uint32_t prot, uint64_t *len)
{
	*len = w->sge->length - w->off;
	return translate(vc, w->sge->addr + w->off, prot, len);
}

/* Is every byte of the entries mapped with this permission? */
static uint16_t
check_entries(struct wdma_vchan *vc, const struct rte_dma_sge *sge, unsigned int nr,
	      uint32_t prot)
{
	struct weir_range r;
	struct walk w;
	uint64_t len;

	for (unsigned int i = 0; i < nr; i++)
		if (sge[i].length != 0 &&
		    weir_range_make(&r, sge[i].addr, sge[i].length) != 0)
			return fault_status(prot);
	for (w = walk_start(sge, nr); w.nr > 0; walk_forward(&w, len))
		if (walk_piece(vc, &w, prot, &len) == NULL)
			return fault_status(prot);
	return RTE_DMA_STATUS_SUCCESSFUL;
}

/* Both lists have the same length in all. */
static uint16_t
copy_entries(struct wdma_vchan *vc, const struct rte_dma_sge *src, unsigned int nr_src,
	     const struct rte_dma_sge *dst, unsigned int nr_dst)
{
	uint64_t src_len, dst_len, len;
	struct walk s, d;
	void *from, *to;
	uint16_t status;

	status = check_entries(vc, src, nr_src, WEIR_PROT_READ);
	if (status == RTE_DMA_STATUS_SUCCESSFUL)
		status = check_entries(vc, dst, nr_dst, WEIR_PROT_WRITE);
	if (status != RTE_DMA_STATUS_SUCCESSFUL)
		return status;
	s = walk_start(src, nr_src);
	d = walk_start(dst, nr_dst);
	while (s.nr > 0 && d.nr > 0) {
		from = walk_piece(vc, &s, WEIR_PROT_READ, &src_len);
		if (from == NULL)
			return RTE_DMA_STATUS_INVALID_SRC_ADDR;
		to = walk_piece(vc, &d, WEIR_PROT_WRITE, &dst_len);
		if (to == NULL)
			return RTE_DMA_STATUS_INVALID_DST_ADDR;
		len = src_len < dst_len ? src_len : dst_len;
		/* whoever gave the addresses may have made them overlap */
		memmove(to, from, len);
		walk_forward(&s, len);
		walk_forward(&d, len);
	}
	return RTE_DMA_STATUS_SUCCESSFUL;
}

static uint16_t
copy_pieces(struct wdma_vchan *vc, const struct wdma_desc *desc)
{
	const struct rte_dma_sge src = { .addr = desc->src, .length = desc->len };
	const struct rte_dma_sge dst = { .addr = desc->dst, .length = desc->len };

	return copy_entries(vc, &src, 1, &dst, 1);
}

/* The usual copy: one piece each, translated once. */
static uint16_t
copy(struct wdma_vchan *vc, const struct wdma_desc *desc)
{
	uint64_t src_len = desc->len, dst_len = desc->len;
	void *from, *to;

	if (unlikely(desc->len == 0))
		return RTE_DMA_STATUS_INVALID_LENGTH;
	from = translate(vc, desc->src, WEIR_PROT_READ, &src_len);
	if (unlikely(from == NULL))
		return RTE_DMA_STATUS_INVALID_SRC_ADDR;
	to = translate(vc, desc->dst, WEIR_PROT_WRITE, &dst_len);
	if (unlikely(to == NULL))
		return RTE_DMA_STATUS_INVALID_DST_ADDR;
	if (unlikely(src_len != desc->len || dst_len != desc->len))
		return copy_pieces(vc, desc);
	memmove(to, from, desc->len);
	return RTE_DMA_STATUS_SUCCESSFUL;
}

static uint16_t
copy_sg(struct wdma_vchan *vc, const struct wdma_desc *desc)
{
	const struct rte_dma_sge *sge =
		&vc->sges[(size_t)(desc - vc->ring) * 2 * WDMA_MAX_SGES];

	if (desc->len == 0)
		return RTE_DMA_STATUS_INVALID_LENGTH;
	return copy_entries(vc, sge, desc->nr_src, sge + WDMA_MAX_SGES, desc->nr_dst);
}

/* Byte i of the memory gets byte (phase + i) % 8 of the pattern. */
static void
fill_piece(uint8_t *to, uint64_t len, uint64_t pattern, uint64_t phase)
{
	uint8_t bytes[sizeof(pattern)], turned[sizeof(pattern)];

	memcpy(bytes, &pattern, sizeof(pattern));
	for (unsigned int i = 0; i < sizeof(pattern); i++)
		turned[i] = bytes[(phase + i) % sizeof(pattern)];
	for (; len >= sizeof(pattern); len -= sizeof(pattern), to += sizeof(pattern))
		memcpy(to, turned, sizeof(pattern));
	memcpy(to, turned, len);
}

static uint16_t
fill(struct wdma_vchan *vc, const struct wdma_desc *desc)
{
	const struct rte_dma_sge dst = { .addr = desc->dst, .length = desc->len };
	uint64_t len, phase = 0;
	struct walk w;
	uint16_t status;
	void *to;

	if (desc->len == 0)
		return RTE_DMA_STATUS_INVALID_LENGTH;
	status = check_entries(vc, &dst, 1, WEIR_PROT_WRITE);
	if (status != RTE_DMA_STATUS_SUCCESSFUL)
		return status;
	for (w = walk_start(&dst, 1); w.nr > 0; walk_forward(&w, len), phase += len) {
		to = walk_piece(vc, &w, WEIR_PROT_WRITE, &len);
		if (to == NULL)
			return RTE_DMA_STATUS_INVALID_DST_ADDR;
		fill_piece(to, len, desc->src, phase);
	}
	return RTE_DMA_STATUS_SUCCESSFUL;
}

/* True if the job is one that is to fail. */
static bool
is_injected(const struct wdma_vchan *vc, const struct wdma_desc *desc)
{
	const struct wdma_conf *c = vc->conf;

	return desc->pos == (c->fail_turn ? vc->batch % 32 : c->fail_at) ||
	       (c->fail_nth != 0 && wdma_read(&vc->executed) % c->fail_nth == 0);
}

static uint16_t
execute(struct wdma_vchan *vc, const struct wdma_desc *desc)
{
	wdma_count(&vc->executed, 1);
	if (unlikely(vc->skip))
		return RTE_DMA_STATUS_NOT_ATTEMPTED;
	if (unlikely(vc->conf->fail_code != 0) && is_injected(vc, desc)) {
		wdma_count(&vc->injected, 1);
		vc->skip = vc->conf->halt;
		return vc->conf->fail_code;
	}
	switch ((enum wdma_op)desc->op) {
	case WDMA_COPY:
		return copy(vc, desc);
	case WDMA_COPY_SG:
		return copy_sg(vc, desc);
	case WDMA_FILL:
		return fill(vc, desc);
	}
	return RTE_DMA_STATUS_INVALID_OPCODE;
}

static void
execute_one(struct wdma_vchan *vc, uint16_t idx)
{
	struct wdma_desc *desc = &vc->ring[idx & vc->mask];

	desc->status = execute(vc, desc);
	if (likely(desc->status == RTE_DMA_STATUS_SUCCESSFUL)) {
		wdma_count(&vc->bytes, desc->len);
		return;
	}
	vc->failed = true;
	wdma_count(&vc->errors_done, 1);
}

/* A new batch forgets the failures of the last; a fence acts on them. */
static void
pass_marks(struct wdma_vchan *vc, uint8_t flags)
{
	if (flags & WDMA_DESC_BATCH) {
		vc->failed = false;
		vc->skip = false;
		vc->batch++;
	}
	if (flags & WDMA_DESC_FENCE)
		vc->skip |= vc->failed;
}

static void
execute_in_order(struct wdma_vchan *vc, uint16_t first, uint16_t end)
{
	for (uint16_t i = first; i != end; i++) {
		pass_marks(vc, vc->ring[i & vc->mask].flags);
		execute_one(vc, i);
	}
}

/* From each batch or fence to the next: the last job first. */
static void
execute_backwards(struct wdma_vchan *vc, uint16_t first, uint16_t end)
{
	uint16_t stop, i;

	for (; first != end; first = stop) {
		pass_marks(vc, vc->ring[first & vc->mask].flags);
		stop = first + 1;
		while (stop != end && vc->ring[stop & vc->mask].flags == 0)
			stop++;
		for (i = stop; i != first;)
			execute_one(vc, --i);
	}
}

/* How many of the next @nr jobs may run now. */
static unsigned int
allowed(const struct wdma_vchan *vc, uint16_t first, unsigned int nr)
{
	uint64_t limit = vc->conf->stall_after, now, executed;
	unsigned int n;

	if (unlikely(limit != 0)) {
		executed = wdma_read(&vc->executed);
		if (executed >= limit)
			return 0;
		nr = limit - executed < nr ? (unsigned int)(limit - executed) : nr;
	}
	if (likely(vc->due == NULL))
		return nr;
	now = rte_rdtsc();
	for (n = 0; n < nr; n++)
		if (vc->due[(uint16_t)(first + n) & vc->mask] > now)
			break;
	return n;
}

unsigned int
wdma_run(struct wdma_vchan *vc, unsigned int max)
{
	uint16_t done = atomic_load_explicit(&vc->done, memory_order_relaxed);
	uint16_t bell = atomic_load_explicit(&vc->doorbell, memory_order_acquire);
	unsigned int nr = (uint16_t)(bell - done), left, n;

	nr = allowed(vc, done, nr < max ? nr : max);
	for (left = nr; left > 0; left -= n) {
		n = left < SECTION_JOBS ? left : SECTION_JOBS;
		weir_sim_enter(&vc->sim);
		if (unlikely(vc->conf->reorder))
			execute_backwards(vc, done, (uint16_t)(done + n));
		else
			execute_in_order(vc, done, (uint16_t)(done + n));
		weir_sim_leave(&vc->sim);
		done = (uint16_t)(done + n);
		atomic_store_explicit(&vc->done, done, memory_order_release);
	}
	return nr;
}
