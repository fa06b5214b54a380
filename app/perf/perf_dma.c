/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_malloc.h>

#include "perf_dma.h"
#include "stub_dma.h"

/* As hardware's: a line each, which the driver writes. */
struct desc {
	uint64_t src, dst;
	uint64_t due; /* by the device's clock */
	uint32_t len;
} __rte_cache_aligned;

/* Indices of copies: the next, the next to be told of, the next to be done. */
struct vchan {
	uint16_t head, bell, tail;
	struct desc *ring; /* with a cost */
} __rte_cache_aligned;

/*
 * The clock is the time stamp counter less `behind`, or stands at `stands`. A thread
 * that looks for completions meanwhile sees the one or the other.
 */
struct perf_dma {
	struct stub_dma stub;
	const struct perf_dma_cost *cost;
	uint64_t free_at; /* when the engine has made all it was told of */
	_Atomic uint64_t behind;
	_Atomic uint64_t stands; /* 0: it runs */
	struct vchan vchan[PERF_DMA_VCHANS];
};

static bool makes_copies;

static int
dma_copy(void *priv, uint16_t v, rte_iova_t src, rte_iova_t dst, uint32_t len,
	 uint64_t flags)
{
	struct vchan *vc = &((struct perf_dma *)priv)->vchan[v];

	if (__builtin_expect((uint16_t)(vc->head - vc->tail) == PERF_DMA_RING, 0))
		return -ENOSPC;
	if (makes_copies)
		memcpy((void *)(uintptr_t)dst, (const void *)(uintptr_t)src, len);
	vc->head++;
	if ((flags & RTE_DMA_OP_FLAG_SUBMIT) != 0)
		vc->bell = vc->head;
	return (uint16_t)(vc->head - 1);
}

static int
dma_submit(void *priv, uint16_t v)
{
	struct vchan *vc = &((struct perf_dma *)priv)->vchan[v];

	vc->bell = vc->head;
	return 0;
}

static uint16_t
dma_completed(void *priv, uint16_t v, uint16_t max, uint16_t *last, bool *error)
{
	struct vchan *vc = &((struct perf_dma *)priv)->vchan[v];
	uint16_t n = RTE_MIN((uint16_t)(vc->bell - vc->tail), max);

	vc->tail = (uint16_t)(vc->tail + n);
	*last = (uint16_t)(vc->tail - 1);
	*error = false;
	return n;
}

static uint16_t
dma_completed_status(void *priv, uint16_t v, uint16_t max, uint16_t *last,
		     enum rte_dma_status_code *status)
{
	bool error;
	uint16_t n = dma_completed(priv, v, max, last, &error);

	for (uint16_t i = 0; i < n; i++)
		status[i] = RTE_DMA_STATUS_SUCCESSFUL;
	return n;
}

static uint16_t
dma_burst_capacity(const void *priv, uint16_t v)
{
	const struct vchan *vc = &((const struct perf_dma *)priv)->vchan[v];

	return (uint16_t)(PERF_DMA_RING - (uint16_t)(vc->head - vc->tail));
}

static uint64_t
clock_now(struct perf_dma *d)
{
	uint64_t stands = atomic_load_explicit(&d->stands, memory_order_acquire);

	return stands != 0 ? stands
			   : rte_rdtsc() - atomic_load_explicit(&d->behind,
								memory_order_relaxed);
}

void
perf_dma_clock(int16_t id, bool run, uint64_t now)
{
	struct perf_dma *d = rte_dma_fp_objs[id].dev_private;
	uint64_t stands = atomic_load_explicit(&d->stands, memory_order_relaxed);
	uint64_t behind = atomic_load_explicit(&d->behind, memory_order_relaxed);

	/* by plain stores: it is measured */
	if (run && stands != 0) {
		atomic_store_explicit(&d->behind, now - stands, memory_order_relaxed);
		atomic_store_explicit(&d->stands, 0, memory_order_release);
	} else if (!run && stands == 0) {
		atomic_store_explicit(&d->stands, now - behind, memory_order_release);
	}
}

void
perf_dma_clock_skip(int16_t id)
{
	struct perf_dma *d = rte_dma_fp_objs[id].dev_private;
	uint64_t done = d->free_at + d->cost->latency;

	if (atomic_load(&d->stands) < done)
		atomic_store(&d->stands, done);
}

static int
timed_submit(void *priv, uint16_t v)
{
	struct perf_dma *d = priv;
	const struct perf_dma_cost *cost = d->cost;
	struct vchan *vc = &d->vchan[v];
	const uint64_t began = rte_rdtsc(), now = clock_now(d);

	for (; vc->bell != vc->head; vc->bell++) {
		struct desc *desc = &vc->ring[vc->bell % PERF_DMA_RING];

		d->free_at = RTE_MAX(d->free_at, now) + cost->per_copy +
			     desc->len * cost->per_kib / 1024;
		desc->due = d->free_at + cost->latency;
	}
	while (rte_rdtsc() - began < cost->doorbell)
		;
	return 0;
}

static int
timed_copy(void *priv, uint16_t v, rte_iova_t src, rte_iova_t dst, uint32_t len,
	   uint64_t flags)
{
	struct vchan *vc = &((struct perf_dma *)priv)->vchan[v];
	int ret = dma_copy(priv, v, src, dst, len, flags & ~RTE_DMA_OP_FLAG_SUBMIT);

	if (ret < 0)
		return ret;
	vc->ring[(uint16_t)ret % PERF_DMA_RING] =
		(struct desc){ .src = src, .dst = dst, .len = len };
	if ((flags & RTE_DMA_OP_FLAG_SUBMIT) != 0)
		timed_submit(priv, v);
	return ret;
}

static uint16_t
timed_completed(void *priv, uint16_t v, uint16_t max, uint16_t *last, bool *error)
{
	struct vchan *vc = &((struct perf_dma *)priv)->vchan[v];
	const uint64_t now = clock_now(priv);
	uint16_t n = 0;

	while (n < max && vc->tail != vc->bell &&
	       vc->ring[vc->tail % PERF_DMA_RING].due <= now) {
		vc->tail++;
		n++;
	}
	*last = (uint16_t)(vc->tail - 1);
	*error = false;
	return n;
}

static uint16_t
timed_completed_status(void *priv, uint16_t v, uint16_t max, uint16_t *last,
		       enum rte_dma_status_code *status)
{
	bool error;
	uint16_t n = timed_completed(priv, v, max, last, &error);

	for (uint16_t i = 0; i < n; i++)
		status[i] = RTE_DMA_STATUS_SUCCESSFUL;
	return n;
}

static void
dma_configured(void *priv)
{
	struct perf_dma *d = priv;

	for (unsigned int v = 0; v < PERF_DMA_VCHANS; v++)
		d->vchan[v].head = d->vchan[v].bell = d->vchan[v].tail = 0;
}

static const struct rte_dma_fp_object at_once = {
	.copy = dma_copy,
	.submit = dma_submit,
	.completed = dma_completed,
	.completed_status = dma_completed_status,
	.burst_capacity = dma_burst_capacity,
};

static const struct rte_dma_fp_object timed = {
	.copy = timed_copy,
	.submit = timed_submit,
	.completed = timed_completed,
	.completed_status = timed_completed_status,
	.burst_capacity = dma_burst_capacity,
};

static void
rings_free(struct perf_dma *d)
{
	for (unsigned int v = 0; v < PERF_DMA_VCHANS; v++)
		rte_free(d->vchan[v].ring);
}

static int
rings_make(struct perf_dma *d)
{
	for (unsigned int v = 0; v < PERF_DMA_VCHANS; v++) {
		d->vchan[v].ring = rte_zmalloc(NULL, PERF_DMA_RING * sizeof(struct desc),
					       RTE_CACHE_LINE_SIZE);
		if (d->vchan[v].ring == NULL) {
			rings_free(d);
			return -ENOMEM;
		}
	}
	return 0;
}

int
perf_dma_plug(const char *name, const struct perf_dma_cost *cost, int16_t *id)
{
	struct perf_dma *d = rte_zmalloc(NULL, sizeof(*d), RTE_CACHE_LINE_SIZE);
	int ret = -ENOMEM;

	if (d == NULL)
		return -ENOMEM;
	d->cost = cost;
	d->stub = (struct stub_dma){
		.name = name,
		.info = {
			.dev_capa = RTE_DMA_CAPA_MEM_TO_MEM | RTE_DMA_CAPA_OPS_COPY,
			.max_vchans = PERF_DMA_VCHANS,
			.min_desc = PERF_DMA_RING,
			.max_desc = PERF_DMA_RING,
		},
		.fp = cost != NULL ? &timed : &at_once,
		.priv = d,
		.configured = dma_configured,
	};
	if (cost != NULL && rings_make(d) != 0)
		goto err_free;
	ret = stub_dma_plug(&d->stub, id);
	if (ret != 0)
		goto err_rings;
	return 0;

err_rings:
	rings_free(d);
err_free:
	rte_free(d);
	return ret;
}

void
perf_dma_unplug(const char *name)
{
	struct perf_dma *d =
		rte_dma_fp_objs[rte_dma_get_dev_id_by_name(name)].dev_private;

	stub_dma_unplug(&d->stub);
	rings_free(d);
	rte_free(d);
}

void
perf_dma_set_copies(bool copies)
{
	makes_copies = copies;
}
