/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include <rte_cycles.h>

#include "dma_weir.h"

/* NULL where there is no such vchan, or the device is stopped. */
static inline struct wdma_vchan *
open_vchan(void *dev_private, uint16_t vchan)
{
	struct wdma_dev *d = dev_private;

	return likely(vchan < d->nr_open) ? &d->vchans[vchan] : NULL;
}

static inline uint16_t
free_slots(const struct wdma_vchan *vc)
{
	return (uint16_t)(vc->mask + 1 - (uint16_t)(vc->head - vc->tail));
}

static void
ring_doorbell(struct wdma_vchan *vc)
{
	uint16_t bell = atomic_load_explicit(&vc->doorbell, memory_order_relaxed);

	wdma_count(&vc->submitted, (uint16_t)(vc->head - bell));
	if (unlikely(vc->due != NULL)) {
		uint64_t due = rte_rdtsc() + vc->delay_tsc;

		for (; bell != vc->head; bell++)
			vc->due[bell & vc->mask] = due;
	}
	atomic_store_explicit(&vc->doorbell, vc->head, memory_order_release);
	if (likely(vc->run_at == WDMA_RUN_AT_DOORBELL))
		wdma_run(vc, WDMA_MAX_DESC);
}

static int
ring_submit(void *dev_private, uint16_t vchan)
{
	struct wdma_vchan *vc = open_vchan(dev_private, vchan);

	if (unlikely(vc == NULL))
		return -EINVAL;
	ring_doorbell(vc);
	return 0;
}

/* The next slot, filled but for its operands. The caller has seen it is free. */
static inline struct wdma_desc *
next_slot(struct wdma_vchan *vc, enum wdma_op op, uint32_t len, uint64_t flags)
{
	struct wdma_desc *desc = &vc->ring[vc->head & vc->mask];

	desc->op = op;
	desc->len = len;
	desc->pos = (uint16_t)(vc->head -
			       atomic_load_explicit(&vc->doorbell, memory_order_relaxed));
	desc->flags = desc->pos == 0 ? WDMA_DESC_BATCH : 0;
	if (flags & RTE_DMA_OP_FLAG_FENCE)
		desc->flags |= WDMA_DESC_FENCE;
	return desc;
}

/* The slot is filled: count it in. Returns the job's index. */
static inline int
push_slot(struct wdma_vchan *vc, uint64_t flags)
{
	uint16_t idx = vc->head++;

	if (flags & RTE_DMA_OP_FLAG_SUBMIT)
		ring_doorbell(vc);
	return idx;
}

static int
ring_copy(void *dev_private, uint16_t vchan, rte_iova_t src, rte_iova_t dst,
	  uint32_t length, uint64_t flags)
{
	struct wdma_vchan *vc = open_vchan(dev_private, vchan);
	struct wdma_desc *desc;

	if (unlikely(vc == NULL))
		return -EINVAL;
	if (unlikely(free_slots(vc) == 0))
		return -ENOSPC;
	desc = next_slot(vc, WDMA_COPY, length, flags);
	desc->src = src;
	desc->dst = dst;
	return push_slot(vc, flags);
}

static int
ring_fill(void *dev_private, uint16_t vchan, uint64_t pattern, rte_iova_t dst,
	  uint32_t length, uint64_t flags)
{
	struct wdma_vchan *vc = open_vchan(dev_private, vchan);
	struct wdma_desc *desc;

	if (unlikely(vc == NULL))
		return -EINVAL;
	if (unlikely(free_slots(vc) == 0))
		return -ENOSPC;
	desc = next_slot(vc, WDMA_FILL, length, flags);
	desc->src = pattern;
	desc->dst = dst;
	return push_slot(vc, flags);
}

static uint64_t
total_len(const struct rte_dma_sge *sge, uint16_t nr)
{
	uint64_t len = 0;

	for (uint16_t i = 0; i < nr; i++)
		len += sge[i].length; /* at most 2^5 times 2^32 */
	return len;
}

static int
ring_copy_sg(void *dev_private, uint16_t vchan, const struct rte_dma_sge *src,
	     const struct rte_dma_sge *dst, uint16_t nb_src, uint16_t nb_dst,
	     uint64_t flags)
{
	struct wdma_vchan *vc = open_vchan(dev_private, vchan);
	struct wdma_desc *desc;
	struct rte_dma_sge *sge;
	uint64_t len;

	if (unlikely(vc == NULL || nb_src > WDMA_MAX_SGES || nb_dst > WDMA_MAX_SGES))
		return -EINVAL;
	len = total_len(src, nb_src);
	if (unlikely(len > UINT32_MAX || len != total_len(dst, nb_dst)))
		return -EINVAL;
	if (unlikely(free_slots(vc) == 0))
		return -ENOSPC;
	desc = next_slot(vc, WDMA_COPY_SG, (uint32_t)len, flags);
	desc->nr_src = nb_src;
	desc->nr_dst = nb_dst;
	sge = &vc->sges[(size_t)(vc->head & vc->mask) * 2 * WDMA_MAX_SGES];
	memcpy(sge, src, nb_src * sizeof(*src));
	memcpy(sge + WDMA_MAX_SGES, dst, nb_dst * sizeof(*dst));
	return push_slot(vc, flags);
}

/* Jobs that may be reported, at most @max. A stopped device still reports. */
static inline uint16_t
reportable(struct wdma_vchan *vc, uint16_t max)
{
	uint16_t nr;

	if (unlikely(vc->run_at == WDMA_RUN_AT_POLL))
		wdma_run(vc, WDMA_MAX_DESC);
	nr = (uint16_t)(atomic_load_explicit(&vc->done, memory_order_acquire) - vc->tail);
	return nr < max ? nr : max;
}

static uint16_t
ring_completed(void *dev_private, uint16_t vchan, const uint16_t nb_cpls,
	       uint16_t *last_idx, bool *has_error)
{
	struct wdma_dev *d = dev_private;
	struct wdma_vchan *vc;
	uint16_t nr, i;

	if (unlikely(vchan >= d->nr_vchans))
		return 0;
	vc = &d->vchans[vchan];
	nr = reportable(vc, nb_cpls);
	/* statuses are looked at only while an error is yet to be reported */
	if (unlikely(wdma_read(&vc->errors_done) != vc->errors_seen)) {
		for (i = 0; i < nr; i++)
			if (vc->ring[(uint16_t)(vc->tail + i) & vc->mask].status !=
			    RTE_DMA_STATUS_SUCCESSFUL)
				break;
		*has_error = i < nr;
		nr = i;
	}
	vc->tail = (uint16_t)(vc->tail + nr);
	*last_idx = (uint16_t)(vc->tail - 1);
	wdma_count(&vc->completed, nr);
	return nr;
}

static uint16_t
ring_completed_status(void *dev_private, uint16_t vchan, const uint16_t nb_cpls,
		      uint16_t *last_idx, enum rte_dma_status_code *status)
{
	struct wdma_dev *d = dev_private;
	unsigned int errors = 0;
	struct wdma_vchan *vc;
	uint16_t nr;

	if (unlikely(vchan >= d->nr_vchans))
		return 0;
	vc = &d->vchans[vchan];
	nr = reportable(vc, nb_cpls);
	for (uint16_t i = 0; i < nr; i++, vc->tail++) {
		status[i] =
			(enum rte_dma_status_code)vc->ring[vc->tail & vc->mask].status;
		errors += status[i] != RTE_DMA_STATUS_SUCCESSFUL;
	}
	*last_idx = (uint16_t)(vc->tail - 1);
	vc->errors_seen += errors;
	wdma_count(&vc->errors, errors);
	wdma_count(&vc->completed, nr);
	return nr;
}

static uint16_t
ring_burst_capacity(const void *dev_private, uint16_t vchan)
{
	const struct wdma_dev *d = dev_private;

	return likely(vchan < d->nr_open) ? free_slots(&d->vchans[vchan]) : 0;
}

void
wdma_ring_abort(struct wdma_vchan *vc)
{
	uint16_t done = atomic_load_explicit(&vc->done, memory_order_relaxed);
	uint16_t bell = atomic_load_explicit(&vc->doorbell, memory_order_relaxed);

	/* a job without a doorbell was never submitted, but will be reported */
	wdma_count(&vc->submitted, (uint16_t)(vc->head - bell));
	for (; done != vc->head; done++) {
		vc->ring[done & vc->mask].status = RTE_DMA_STATUS_USER_ABORT;
		wdma_count(&vc->errors_done, 1);
	}
	atomic_store_explicit(&vc->doorbell, done, memory_order_relaxed);
	atomic_store_explicit(&vc->done, done, memory_order_release);
}

void
wdma_ring_set_fp(struct rte_dma_fp_object *fp)
{
	fp->copy = ring_copy;
	fp->copy_sg = ring_copy_sg;
	fp->fill = ring_fill;
	fp->submit = ring_submit;
	fp->completed = ring_completed;
	fp->completed_status = ring_completed_status;
	fp->burst_capacity = ring_burst_capacity;
}
