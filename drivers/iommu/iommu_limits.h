/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef IOMMU_LIMITS_H
#define IOMMU_LIMITS_H
/* What bounds a backend besides the IOMMU itself, and its apertures. */
#include "weir_iommu.h"

/*
 * Bytes that may be pinned in all by who has pinned @ours so far. Memory locked
 * by others in this process counts against the same RLIMIT_MEMLOCK; who has
 * CAP_IPC_LOCK has no limit.
 */
uint64_t iommu_locked_limit(uint64_t ours);

/*
 * Add an aperture. They come in order; if there are more than caps has room
 * for, the smallest is left out: nothing is mapped there then, which is right,
 * if not all that could be.
 */
void iommu_aperture_add(struct weir_iommu_caps *caps, struct weir_range r);

#endif /* IOMMU_LIMITS_H */
