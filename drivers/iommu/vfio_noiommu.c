/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * No IOMMU: the device reaches all memory at its physical address, and the
 * kernel answers every call about mapping with ENOTTY. So do we; who asks for
 * the limits finds out before anything is promised to a guest.
 */
#include <errno.h>

#include "vfio_impl.h"

int
vfio_noiommu_begin(struct weir_vfio *v)
{
	v->max_entries = 0;
	return 0;
}

static int
noiommu_caps(void *ctx, struct weir_iommu_caps *caps)
{
	(void)ctx;
	*caps = (struct weir_iommu_caps){ .name = "vfio/noiommu" };
	return -ENOTTY;
}

static int
noiommu_map(void *ctx, uint64_t iova, uint64_t hva, uint64_t len, uint32_t prot)
{
	(void)ctx;
	(void)iova;
	(void)hva;
	(void)len;
	(void)prot;
	return -ENOTTY;
}

static int
noiommu_unmap(void *ctx, uint64_t iova, uint64_t len, uint64_t *unmapped)
{
	(void)ctx;
	(void)iova;
	(void)len;
	*unmapped = 0;
	return -ENOTTY;
}

static void
noiommu_close(void *ctx)
{
	weir_vfio_destroy(ctx);
}

const struct weir_iommu_ops vfio_noiommu_ops = {
	.caps = noiommu_caps,
	.map = noiommu_map,
	.unmap = noiommu_unmap,
	.close = noiommu_close,
};
