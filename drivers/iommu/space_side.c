/* SPDX-License-Identifier: BSD-3-Clause */
#include "space_impl.h"

uint64_t
space_side_entries(const struct space_side *side)
{
	return atomic_load_explicit(&side->entries, memory_order_relaxed);
}

/* What the other side has is not to be had. */
static int
side_caps(void *ctx, struct weir_iommu_caps *caps)
{
	const struct space_side *side = ctx;
	uint64_t others;
	int ret = side->ops->caps(side->ctx, caps);

	if (ret != 0 || side->other == NULL || caps->max_entries == UINT64_MAX)
		return ret;
	others = space_side_entries(side->other);
	caps->max_entries -= others < caps->max_entries ? others : caps->max_entries;
	return 0;
}

static int
side_map(void *ctx, uint64_t iova, uint64_t hva, uint64_t len, uint32_t prot)
{
	struct space_side *side = ctx;
	int ret = side->ops->map(side->ctx, iova, hva, len, prot);

	if (ret == 0)
		atomic_fetch_add_explicit(&side->entries, 1, memory_order_relaxed);
	return ret;
}

/* A mirror unmaps entry by entry, each as it was mapped. */
static int
side_unmap(void *ctx, uint64_t iova, uint64_t len, uint64_t *unmapped)
{
	struct space_side *side = ctx;
	int ret = side->ops->unmap(side->ctx, iova, len, unmapped);

	if (*unmapped != 0)
		atomic_fetch_sub_explicit(&side->entries, 1, memory_order_relaxed);
	return ret;
}

static void
side_close(void *ctx)
{
	(void)ctx;
}

const struct weir_iommu_ops space_side_ops = {
	.caps = side_caps,
	.map = side_map,
	.unmap = side_unmap,
	.close = side_close,
};
