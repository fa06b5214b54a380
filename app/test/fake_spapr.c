/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <linux/vfio.h>
#include <string.h>

#include "fake_spapr.h"
#include "weir_range.h"

#define PAGE UINT64_C(4096)
#define MAX_PAGES 1024u
#define MAX_MEMORIES 16u
#define LEVELS 5u

/* Four levels hold 2^36 bytes here, five whatever is allowed. */
#define FLAT_BITS 36u

static struct {
	bool windows;
	unsigned int bits;
	bool window_there;
	struct weir_range window;
	uint64_t page[MAX_PAGES]; /* iovas that are mapped */
	unsigned int nr_pages;
	struct weir_range memory[MAX_MEMORIES];
	unsigned int nr_memories;
} tce = { .windows = true, .bits = 46 };

void
fake_spapr_limit(bool windows, unsigned int bits)
{
	tce.windows = windows;
	tce.bits = bits;
}

void
fake_spapr_reset(void)
{
	tce.window_there = true;
	tce.window = (struct weir_range){ 0, 0x7fffffff };
	tce.nr_pages = 0;
	tce.nr_memories = 0;
}

unsigned int
fake_spapr_pages(void)
{
	return tce.nr_pages;
}

unsigned int
fake_spapr_registered(void)
{
	return tce.nr_memories;
}

static int
get_info(struct vfio_iommu_spapr_tce_info *info)
{
	if (info->argsz < sizeof(*info))
		return -EINVAL;
	info->flags = tce.windows ? VFIO_IOMMU_SPAPR_INFO_DDW : 0;
	info->dma32_window_start = 0;
	info->dma32_window_size = 0x80000000;
	info->ddw.pgsizes = 1 << 12 | 1 << 16 | 1 << 24;
	info->ddw.max_dynamic_windows_supported = 2;
	info->ddw.levels = LEVELS;
	return 0;
}

static int
window_create(struct vfio_iommu_spapr_tce_create *c)
{
	unsigned int bits = 63u - (unsigned int)__builtin_clzll(c->window_size | 1);

	if (tce.window_there)
		return -ENOSPC;
	/* a page may not be larger than the memory's, 4 KiB */
	if (c->page_shift != 12 || c->levels == 0 || c->levels > LEVELS ||
	    bits > tce.bits || (bits > FLAT_BITS && c->levels < LEVELS))
		return -EINVAL;
	c->start_addr = 0;
	tce.window_there = true;
	tce.window = (struct weir_range){ 0, c->window_size - 1 };
	return 0;
}

static int
window_remove(const struct vfio_iommu_spapr_tce_remove *r)
{
	if (!tce.window_there || r->start_addr != tce.window.start)
		return -EINVAL;
	tce.window_there = false;
	return 0;
}

static int
memory_register(const struct vfio_iommu_spapr_register_memory *reg)
{
	struct weir_range r;

	if (reg->flags != 0 || weir_range_make(&r, reg->vaddr, reg->size) != 0 ||
	    !weir_range_aligned(r, PAGE))
		return -EINVAL;
	for (unsigned int i = 0; i < tce.nr_memories; i++) {
		if (!weir_range_overlaps(tce.memory[i], r))
			continue;
		return memcmp(&tce.memory[i], &r, sizeof(r)) == 0 ? -EBUSY : -EINVAL;
	}
	if (tce.nr_memories == MAX_MEMORIES)
		return -ENOMEM;
	tce.memory[tce.nr_memories++] = r;
	return 0;
}

static int
memory_unregister(const struct vfio_iommu_spapr_register_memory *reg)
{
	struct weir_range r;

	if (weir_range_make(&r, reg->vaddr, reg->size) != 0)
		return -EINVAL;
	for (unsigned int i = 0; i < tce.nr_memories; i++) {
		if (memcmp(&tce.memory[i], &r, sizeof(r)) == 0) {
			tce.memory[i] = tce.memory[--tce.nr_memories];
			return 0;
		}
	}
	return -ENOENT;
}

static bool
registered(struct weir_range hva)
{
	for (unsigned int i = 0; i < tce.nr_memories; i++)
		if (weir_range_contains(tce.memory[i], hva))
			return true;
	return false;
}

static int
map_dma(const struct vfio_iommu_type1_dma_map *m)
{
	struct weir_range iova, hva;

	if (m->flags == 0 || weir_range_make(&iova, m->iova, m->size) != 0 ||
	    weir_range_make(&hva, m->vaddr, m->size) != 0 ||
	    !weir_range_aligned(iova, PAGE) || m->vaddr % PAGE != 0)
		return -EINVAL;
	if (!tce.window_there || !weir_range_contains(tce.window, iova))
		return -ENXIO;
	if (tce.nr_memories == 0)
		return -EPERM;
	if (!registered(hva))
		return -EINVAL;
	for (unsigned int i = 0; i < tce.nr_pages; i++)
		if (weir_range_has(iova, tce.page[i]))
			return -EBUSY;
	if (m->size / PAGE > MAX_PAGES - tce.nr_pages)
		return -ENOMEM;
	for (uint64_t off = 0; off < m->size; off += PAGE)
		tce.page[tce.nr_pages++] = m->iova + off;
	return 0;
}

/* Whatever is mapped there goes; the size is left as it was. */
static int
unmap_dma(const struct vfio_iommu_type1_dma_unmap *u)
{
	struct weir_range iova;

	if (u->flags != 0 || weir_range_make(&iova, u->iova, u->size) != 0 ||
	    !weir_range_aligned(iova, PAGE))
		return -EINVAL;
	if (!tce.window_there || !weir_range_contains(tce.window, iova))
		return -ENXIO;
	for (unsigned int i = tce.nr_pages; i-- > 0;)
		if (weir_range_has(iova, tce.page[i]))
			tce.page[i] = tce.page[--tce.nr_pages];
	return 0;
}

int
fake_spapr_ioctl(unsigned long request, void *arg)
{
	switch (request) {
	case VFIO_IOMMU_SPAPR_TCE_GET_INFO:
		return get_info(arg);
	case VFIO_IOMMU_SPAPR_TCE_CREATE:
		return window_create(arg);
	case VFIO_IOMMU_SPAPR_TCE_REMOVE:
		return window_remove(arg);
	case VFIO_IOMMU_SPAPR_REGISTER_MEMORY:
		return memory_register(arg);
	case VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY:
		return memory_unregister(arg);
	case VFIO_IOMMU_MAP_DMA:
		return map_dma(arg);
	case VFIO_IOMMU_UNMAP_DMA:
		return unmap_dma(arg);
	default:
		return -ENOTTY;
	}
}
