/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include <rte_dmadev_pmd.h>

#include "stub_dma.h"
#include "weir_copy.h"

static struct stub_dma *
stub_of(const struct rte_dma_dev *dev)
{
	return *(struct stub_dma **)dev->data->dev_private;
}

static int
stub_info(const struct rte_dma_dev *dev, struct rte_dma_info *info, uint32_t size)
{
	(void)size;
	*info = stub_of(dev)->info;
	return 0;
}

static int
stub_configure(struct rte_dma_dev *dev, const struct rte_dma_conf *conf, uint32_t size)
{
	struct stub_dma *d = stub_of(dev);

	(void)conf;
	(void)size;
	d->configured(d->priv);
	return 0;
}

static int
stub_vchan_setup(struct rte_dma_dev *dev, uint16_t vchan,
		 const struct rte_dma_vchan_conf *conf, uint32_t size)
{
	(void)dev;
	(void)vchan;
	(void)conf;
	(void)size;
	return 0;
}

static int
stub_start(struct rte_dma_dev *dev)
{
	struct stub_dma *d = stub_of(dev);

	d->running = true;
	d->starts++;
	return 0;
}

static int
stub_stop(struct rte_dma_dev *dev)
{
	struct stub_dma *d = stub_of(dev);

	if (d->stop_ret == 0)
		d->running = false;
	return d->stop_ret;
}

static int
stub_close(struct rte_dma_dev *dev)
{
	(void)dev;
	return 0;
}

static const struct rte_dma_dev_ops stub_ops = {
	.dev_info_get = stub_info,
	.dev_configure = stub_configure,
	.dev_start = stub_start,
	.dev_stop = stub_stop,
	.dev_close = stub_close,
	.vchan_setup = stub_vchan_setup,
};

int
stub_dma_plug(struct stub_dma *d, int16_t *id)
{
	static struct rte_device device = { .name = "stub_dma" };
	struct rte_dma_dev *dev =
		rte_dma_pmd_allocate(d->name, 0, sizeof(struct stub_dma *));

	if (dev == NULL)
		return -ENOMEM;
	*(struct stub_dma **)dev->data->dev_private = d;
	dev->device = &device;
	dev->dev_ops = &stub_ops;
	dev->fp_obj->dev_private = d->priv;
	dev->fp_obj->copy = d->fp->copy;
	dev->fp_obj->submit = d->fp->submit;
	dev->fp_obj->completed = d->fp->completed;
	dev->fp_obj->completed_status = d->fp->completed_status;
	if (d->fp->copy_sg != NULL)
		dev->fp_obj->copy_sg = d->fp->copy_sg;
	if (d->fp->burst_capacity != NULL)
		dev->fp_obj->burst_capacity = d->fp->burst_capacity;
	dev->state = RTE_DMA_DEV_READY;
	*id = dev->data->dev_id;
	weir_copy_set_reach(*id, true);
	return 0;
}

void
stub_dma_unplug(struct stub_dma *d)
{
	const int16_t id = (int16_t)rte_dma_get_dev_id_by_name(d->name);

	weir_copy_set_reach(id, false);
	d->stop_ret = 0;
	if (d->running)
		rte_dma_stop(id);
	rte_dma_pmd_release(d->name);
}
