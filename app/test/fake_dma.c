/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include <rte_dmadev_pmd.h>

#include "fake_dma.h"
#include "weir_copy.h"

struct job {
	struct rte_dma_sge src[FAKE_DMA_SGES], dst[FAKE_DMA_SGES];
	uint16_t nr;
};

struct vchan {
	struct job ring[FAKE_DMA_RING];
	uint16_t head, bell, tail;
};

static struct fake_dma fake;
static struct vchan vchans[FAKE_DMA_VCHANS];

static int
fake_copy_sg(void *priv, uint16_t v, const struct rte_dma_sge *src,
	     const struct rte_dma_sge *dst, uint16_t nr, uint16_t nr_dst, uint64_t flags)
{
	struct vchan *vc = &vchans[v];
	struct job *j = &vc->ring[vc->head % FAKE_DMA_RING];

	(void)priv;
	(void)nr_dst;
	fake.calls += !fake.running;
	if ((uint16_t)(vc->head - vc->tail) == FAKE_DMA_RING)
		return -ENOSPC;
	memcpy(j->src, src, nr * sizeof(*src));
	memcpy(j->dst, dst, nr * sizeof(*dst));
	j->nr = nr;
	fake.jobs++;
	vc->head++;
	if ((flags & RTE_DMA_OP_FLAG_SUBMIT) != 0)
		vc->bell = vc->head;
	return (uint16_t)(vc->head - 1);
}

static int
fake_copy(void *priv, uint16_t v, rte_iova_t src, rte_iova_t dst, uint32_t len,
	  uint64_t flags)
{
	const struct rte_dma_sge s = { src, len }, d = { dst, len };

	return fake_copy_sg(priv, v, &s, &d, 1, 1, flags);
}

static int
fake_submit(void *priv, uint16_t v)
{
	(void)priv;
	fake.calls += !fake.running;
	vchans[v].bell = vchans[v].head;
	return 0;
}

/* Make the next copy, if it is allowed. */
static bool
fake_step(struct vchan *vc)
{
	const struct job *j = &vc->ring[vc->tail % FAKE_DMA_RING];

	if (vc->tail == vc->bell || fake.credit == 0)
		return false;
	fake.credit--;
	for (uint16_t i = 0; i < j->nr && !fake.fails && !fake.wrong; i++)
		memcpy((void *)(uintptr_t)j->dst[i].addr,
		       (const void *)(uintptr_t)j->src[i].addr, j->src[i].length);
	vc->tail++;
	return true;
}

static uint16_t
fake_completed(void *priv, uint16_t v, uint16_t max, uint16_t *last, bool *error)
{
	struct vchan *vc = &vchans[v];
	uint16_t n = 0;

	(void)priv;
	fake.calls += !fake.running;
	*error = fake.fails && vc->tail != vc->bell && fake.credit != 0;
	while (!*error && n < max && fake_step(vc))
		n++;
	*last = (uint16_t)(vc->tail - 1);
	return n;
}

static uint16_t
fake_completed_status(void *priv, uint16_t v, uint16_t max, uint16_t *last,
		      enum rte_dma_status_code *status)
{
	struct vchan *vc = &vchans[v];
	uint16_t n = 0;

	(void)priv;
	fake.calls += !fake.running;
	while (n < max && fake_step(vc))
		status[n++] =
			fake.fails ? RTE_DMA_STATUS_BUS_ERROR : RTE_DMA_STATUS_SUCCESSFUL;
	*last = (uint16_t)(vc->tail - 1);
	return n;
}

static int
fake_info(const struct rte_dma_dev *dev, struct rte_dma_info *info, uint32_t size)
{
	(void)dev;
	(void)size;
	info->dev_capa = RTE_DMA_CAPA_MEM_TO_MEM | RTE_DMA_CAPA_OPS_COPY;
	if (fake.sg)
		info->dev_capa |= RTE_DMA_CAPA_OPS_COPY_SG;
	info->max_sges = FAKE_DMA_SGES;
	info->max_vchans = FAKE_DMA_VCHANS;
	info->max_desc = FAKE_DMA_RING;
	info->min_desc = FAKE_DMA_RING;
	return 0;
}

static int
fake_configure(struct rte_dma_dev *dev, const struct rte_dma_conf *conf, uint32_t size)
{
	(void)dev;
	(void)conf;
	(void)size;
	memset(vchans, 0, sizeof(vchans));
	return 0;
}

static int
fake_vchan_setup(struct rte_dma_dev *dev, uint16_t vchan,
		 const struct rte_dma_vchan_conf *conf, uint32_t size)
{
	(void)dev;
	(void)vchan;
	(void)conf;
	(void)size;
	return 0;
}

static int
fake_start(struct rte_dma_dev *dev)
{
	(void)dev;
	fake.running = true;
	fake.starts++;
	return 0;
}

static int
fake_stop(struct rte_dma_dev *dev)
{
	(void)dev;
	if (fake.stop_ret == 0)
		fake.running = false;
	return fake.stop_ret;
}

static int
fake_close(struct rte_dma_dev *dev)
{
	(void)dev;
	return 0;
}

static const struct rte_dma_dev_ops fake_ops = {
	.dev_info_get = fake_info,
	.dev_configure = fake_configure,
	.dev_start = fake_start,
	.dev_stop = fake_stop,
	.dev_close = fake_close,
	.vchan_setup = fake_vchan_setup,
};

struct fake_dma *
fake_dma_plug(void)
{
	static struct rte_device device = { .name = FAKE_DMA_NAME };
	struct rte_dma_dev *dev = rte_dma_pmd_allocate(FAKE_DMA_NAME, 0, 8);

	if (dev == NULL)
		return NULL;
	fake = (struct fake_dma){ .credit = UINT64_MAX };
	dev->device = &device;
	dev->dev_ops = &fake_ops;
	dev->fp_obj->dev_private = dev->data->dev_private;
	dev->fp_obj->copy = fake_copy;
	dev->fp_obj->copy_sg = fake_copy_sg;
	dev->fp_obj->submit = fake_submit;
	dev->fp_obj->completed = fake_completed;
	dev->fp_obj->completed_status = fake_completed_status;
	dev->state = RTE_DMA_DEV_READY;
	weir_copy_set_reach(dev->data->dev_id, true);
	return &fake;
}

void
fake_dma_unplug(void)
{
	int id = rte_dma_get_dev_id_by_name(FAKE_DMA_NAME);

	weir_copy_set_reach((int16_t)id, false);
	fake.stop_ret = 0;
	if (fake.running)
		rte_dma_stop((int16_t)id);
	rte_dma_pmd_release(FAKE_DMA_NAME);
}
