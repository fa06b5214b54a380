/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <linux/vfio.h>

#include "fake_spapr.h"
#include "weir_sim_spapr.h"

static int
get_info(bool windows, struct vfio_iommu_spapr_tce_info *info)
{
	if (info->argsz < sizeof(*info))
		return -EINVAL;
	info->flags = windows ? VFIO_IOMMU_SPAPR_INFO_DDW : 0;
	info->dma32_window_start = 0;
	info->dma32_window_size = (uint32_t)WEIR_SIM_WINDOW_LEN;
	info->ddw.pgsizes = WEIR_SIM_WINDOW_PAGES;
	info->ddw.max_dynamic_windows_supported = 1;
	info->ddw.levels = WEIR_SIM_WINDOW_LEVELS;
	return 0;
}

static int
window_create(struct weir_sim *s, struct vfio_iommu_spapr_tce_create *c)
{
	uint64_t start = 0;
	int ret;

	if (c->argsz < sizeof(*c) || c->flags != 0)
		return -EINVAL;
	ret = weir_sim_window_create(s, c->page_shift, c->window_size, c->levels, &start);
	c->start_addr = start;
	return ret;
}

static int
window_remove(struct weir_sim *s, const struct vfio_iommu_spapr_tce_remove *r)
{
	if (r->argsz < sizeof(*r) || r->flags != 0)
		return -EINVAL;
	return weir_sim_window_remove(s, r->start_addr);
}

static int
memory_call(struct weir_sim *s, const struct vfio_iommu_spapr_register_memory *reg,
	    int (*call)(struct weir_sim *s, uint64_t hva, uint64_t len))
{
	if (reg->argsz < sizeof(*reg) || reg->flags != 0)
		return -EINVAL;
	return call(s, reg->vaddr, reg->size);
}

/* The numbers of the flags are weir's as well. */
static int
map_dma(struct weir_sim *s, const struct vfio_iommu_type1_dma_map *m)
{
	return weir_sim_ops.map(s, m->iova, m->vaddr, m->size, m->flags);
}

/* The size is left as it was. */
static int
unmap_dma(struct weir_sim *s, const struct vfio_iommu_type1_dma_unmap *u)
{
	uint64_t gone;

	return u->flags != 0 ? -EINVAL : weir_sim_ops.unmap(s, u->iova, u->size, &gone);
}

int
fake_spapr_ioctl(struct weir_sim *s, bool windows, unsigned long request, void *arg)
{
	switch (request) {
	case VFIO_IOMMU_SPAPR_TCE_GET_INFO:
		return get_info(windows, arg);
	case VFIO_IOMMU_SPAPR_TCE_CREATE:
		return window_create(s, arg);
	case VFIO_IOMMU_SPAPR_TCE_REMOVE:
		return window_remove(s, arg);
	case VFIO_IOMMU_SPAPR_REGISTER_MEMORY:
		return memory_call(s, arg, weir_sim_register);
	case VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY:
		return memory_call(s, arg, weir_sim_unregister);
	case VFIO_IOMMU_MAP_DMA:
		return map_dma(s, arg);
	case VFIO_IOMMU_UNMAP_DMA:
		return unmap_dma(s, arg);
	default:
		return -ENOTTY;
	}
}
