/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <linux/capability.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sv_vfio.h"
#include "weir_fail.h"
#include "weir_map.h"

#ifndef VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL
#define VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL 3 /* Linux 5.10 */
#endif

struct sv_container *
sv_container_create(void)
{
	struct sv_container *c = weir_zalloc(sizeof(*c));

	if (c != NULL)
		c->refs = 1;
	return c;
}

void
sv_container_put(struct sv_container *c)
{
	if (--c->refs != 0)
		return;
	weir_sim_destroy(c->sim);
	free(c);
}

void
sv_container_join(struct sv_container *c, struct sv_group *g)
{
	c->refs++;
	c->nr_groups++;
	g->container = c;
}

void
sv_container_leave(struct sv_container *c, struct sv_group *g)
{
	g->container = NULL;
	if (--c->nr_groups == 0) {
		weir_sim_destroy(c->sim);
		c->sim = NULL;
	}
	sv_container_put(c);
}

static int
check_extension(uint64_t extension)
{
	return extension == VFIO_TYPE1_IOMMU || extension == VFIO_TYPE1v2_IOMMU ||
	       extension == VFIO_UNMAP_ALL;
}

static int
set_iommu(struct sv_container *c, uint64_t type)
{
	enum weir_sim_flavour flavour =
		type == VFIO_TYPE1_IOMMU ? WEIR_SIM_TYPE1_V1 : WEIR_SIM_TYPE1_V2;
	int ret;

	if (c->nr_groups == 0 || c->sim != NULL)
		return -EINVAL;
	if (type != VFIO_TYPE1_IOMMU && type != VFIO_TYPE1v2_IOMMU)
		return -ENODEV;
	ret = weir_sim_create(flavour, &c->sim);
	if (ret == 0 && sv_entry_limit != 0)
		weir_sim_set_limit(c->sim, sv_entry_limit);
	return ret;
}

/* A ring of ranges and a number, behind the fixed part. */
struct type1_caps {
	struct {
		struct vfio_info_cap_header header;
		uint32_t nr_iovas;
		uint32_t reserved;
		struct vfio_iova_range iova[2];
	} ranges;
	struct {
		struct vfio_info_cap_header header;
		uint32_t avail;
		uint32_t reserved;
	} dma;
};

_Static_assert(sizeof(struct type1_caps) == 64, "as the kernel lays them out");

static void
caps_fill(struct weir_sim *sim, const struct weir_iommu_caps *caps,
	  struct type1_caps *out)
{
	uint64_t used = weir_sim_entries(sim);
	uint32_t base = sizeof(struct vfio_iommu_type1_info);

	*out = (struct type1_caps){
		.ranges.header = { .id = VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
				   .version = 1,
				   .next = base + sizeof(out->ranges) },
		.ranges.nr_iovas = 2,
		.dma.header = { .id = VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, .version = 1 },
		.dma.avail =
			(uint32_t)(used < caps->max_entries ? caps->max_entries - used
							    : 0),
	};
	for (unsigned int i = 0; i < 2; i++) {
		out->ranges.iova[i].start = caps->aperture[i].start;
		out->ranges.iova[i].end = caps->aperture[i].last;
	}
}

static int
get_info(struct weir_sim *sim, void *arg)
{
	struct vfio_iommu_type1_info *info = arg;
	struct weir_iommu_caps caps;
	struct type1_caps all;
	int ret;

	/* as old as the page sizes a caller may be, and not know of the rest */
	if (info->argsz < offsetof(struct vfio_iommu_type1_info, iova_pgsizes) +
				  sizeof(info->iova_pgsizes))
		return -EINVAL;
	ret = weir_sim_ops.caps(sim, &caps);
	if (ret != 0)
		return ret;
	caps_fill(sim, &caps, &all);
	info->flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
	info->iova_pgsizes = caps.page_sizes;
	if (info->argsz < sizeof(*info) + sizeof(all)) {
		if (info->argsz >= offsetof(struct vfio_iommu_type1_info, cap_offset) +
					   sizeof(info->cap_offset))
			info->cap_offset = 0;
		info->argsz = sizeof(*info) + sizeof(all);
		return 0;
	}
	memcpy((uint8_t *)arg + sizeof(*info), &all, sizeof(all));
	info->cap_offset = sizeof(*info);
	return 0;
}

/* What the kernel lets this process pin, now: privileges and limits may change. */
static uint64_t
memlock_now(void)
{
	struct __user_cap_header_struct header = { .version =
							   _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	struct rlimit limit;

	if (syscall(SYS_capget, &header, data) == 0 &&
	    (data[0].effective & 1U << CAP_IPC_LOCK) != 0)
		return UINT64_MAX;
	if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_cur;
}

static int
map_dma(struct weir_sim *sim, const void *arg)
{
	const struct vfio_iommu_type1_dma_map *map = arg;
	uint32_t prot = 0;

	if (map->argsz < sizeof(*map) ||
	    (map->flags & ~(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)) != 0)
		return -EINVAL;
	if (map->flags & VFIO_DMA_MAP_FLAG_READ)
		prot |= WEIR_PROT_READ;
	if (map->flags & VFIO_DMA_MAP_FLAG_WRITE)
		prot |= WEIR_PROT_WRITE;
	weir_sim_set_memlock(sim, memlock_now());
	return weir_sim_ops.map(sim, map->iova, map->vaddr, map->size, prot);
}

static int
unmap_dma(struct weir_sim *sim, void *arg)
{
	struct vfio_iommu_type1_dma_unmap *unmap = arg;
	uint64_t gone = 0;
	int ret = 0;

	if (unmap->argsz < sizeof(*unmap) ||
	    (unmap->flags & ~VFIO_DMA_UNMAP_FLAG_ALL) != 0)
		return -EINVAL;
	if (unmap->flags & VFIO_DMA_UNMAP_FLAG_ALL) {
		if (unmap->iova != 0 || unmap->size != 0)
			return -EINVAL;
		gone = weir_sim_unmap_all(sim);
	} else {
		ret = weir_sim_ops.unmap(sim, unmap->iova, unmap->size, &gone);
	}
	if (ret == 0)
		unmap->size = gone;
	return ret;
}

int
sv_container_ioctl(struct sv_container *c, unsigned long cmd, void *arg)
{
	switch (cmd) {
	case VFIO_GET_API_VERSION:
		return VFIO_API_VERSION;
	case VFIO_CHECK_EXTENSION:
		return check_extension((uintptr_t)arg);
	case VFIO_SET_IOMMU:
		return set_iommu(c, (uintptr_t)arg);
	}
	/* the rest is the IOMMU driver's, if there is one yet */
	if (c->sim == NULL)
		return -EINVAL;
	switch (cmd) {
	case VFIO_IOMMU_GET_INFO:
		return arg != NULL ? get_info(c->sim, arg) : -EFAULT;
	case VFIO_IOMMU_MAP_DMA:
		return arg != NULL ? map_dma(c->sim, arg) : -EFAULT;
	case VFIO_IOMMU_UNMAP_DMA:
		return arg != NULL ? unmap_dma(c->sim, arg) : -EFAULT;
	default:
		return -ENOTTY;
	}
}
