/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include <rte_dmadev_pmd.h>

#include "perf_dma.h"
#include "weir_copy.h"

/* Indices of copies: the next, the next to be told of, the next to be done. */
struct vchan {
	uint16_t head, bell, tail;
} __rte_cache_aligned;

struct perf_dma {
	bool running;
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

static int
dma_info(const struct rte_dma_dev *dev, struct rte_dma_info *info, uint32_t size)
{
	(void)dev;
	(void)size;
	info->dev_capa = RTE_DMA_CAPA_MEM_TO_MEM | RTE_DMA_CAPA_OPS_COPY;
	info->max_vchans = PERF_DMA_VCHANS;
	info->min_desc = PERF_DMA_RING;
	info->max_desc = PERF_DMA_RING;
	return 0;
}

static int
dma_configure(struct rte_dma_dev *dev, const struct rte_dma_conf *conf, uint32_t size)
{
	(void)conf;
	(void)size;
	memset(dev->data->dev_private, 0, sizeof(struct perf_dma));
	return 0;
}

static int
dma_vchan_setup(struct rte_dma_dev *dev, uint16_t vchan,
		const struct rte_dma_vchan_conf *conf, uint32_t size)
{
	(void)dev;
	(void)vchan;
	(void)conf;
	(void)size;
	return 0;
}

static int
dma_start(struct rte_dma_dev *dev)
{
	((struct perf_dma *)dev->data->dev_private)->running = true;
	return 0;
}

static int
dma_stop(struct rte_dma_dev *dev)
{
	((struct perf_dma *)dev->data->dev_private)->running = false;
	return 0;
}

static int
dma_close(struct rte_dma_dev *dev)
{
	(void)dev;
	return 0;
}

static const struct rte_dma_dev_ops dma_ops = {
	.dev_info_get = dma_info,
	.dev_configure = dma_configure,
	.dev_start = dma_start,
	.dev_stop = dma_stop,
	.dev_close = dma_close,
	.vchan_setup = dma_vchan_setup,
};

int
perf_dma_plug(const char *name, int16_t *id)
{
	static struct rte_device device = { .name = "perf_dma" };
	struct rte_dma_dev *dev = rte_dma_pmd_allocate(name, 0, sizeof(struct perf_dma));

	if (dev == NULL)
		return -ENOMEM;
	dev->device = &device;
	dev->dev_ops = &dma_ops;
	dev->fp_obj->dev_private = dev->data->dev_private;
	dev->fp_obj->copy = dma_copy;
	dev->fp_obj->submit = dma_submit;
	dev->fp_obj->completed = dma_completed;
	dev->fp_obj->completed_status = dma_completed_status;
	dev->fp_obj->burst_capacity = dma_burst_capacity;
	dev->state = RTE_DMA_DEV_READY;
	*id = dev->data->dev_id;
	weir_copy_set_reach(*id, true);
	return 0;
}

void
perf_dma_unplug(const char *name)
{
	const int16_t id = (int16_t)rte_dma_get_dev_id_by_name(name);

	weir_copy_set_reach(id, false);
	if (((struct perf_dma *)rte_dma_fp_objs[id].dev_private)->running)
		rte_dma_stop(id);
	rte_dma_pmd_release(name);
}

void
perf_dma_set_copies(bool copies)
{
	makes_copies = copies;
}
