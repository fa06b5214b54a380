/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_IOMMU_H
#define WEIR_IOMMU_H
/**
 * @file
 * What a backend of a mirror is: an IOMMU, a hypervisor, or a model of one.
 *
 * A backend is told of entries, one call an entry, and answers as the kernel
 * would. It takes no decision: no merging, no splitting, no retry. What it can
 * do is data (struct weir_iommu_caps), read when it is attached, and again when a
 * plan would not fit; lib/mirror checks every plan against it before the first
 * call.
 *
 * Calls for one backend are serialised by the mirror. They may block (pinning
 * a large guest takes seconds); never call them from a polling lcore.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir_map.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Most apertures that a backend reports. */
#define WEIR_IOMMU_MAX_APERTURES 16

/** What a backend can do. */
struct weir_iommu_caps {
	const char *name;     /**< for messages: "sim/type1v1" */
	uint32_t kind;	      /**< one of WEIR_BACKEND_*; 0: WEIR_BACKEND_OTHER */
	uint64_t page_sizes;  /**< bit n: pages of 2^n bytes; smallest is the alignment */
	uint64_t max_entries; /**< entries of ours it may hold; UINT64_MAX: no limit */
	uint64_t max_locked;  /**< bytes of ours it may pin; UINT64_MAX: no limit */
	bool splits;	      /**< an entry can be unmapped in part */
	unsigned int nr_apertures; /**< 0: every iova can be mapped */
	struct weir_range aperture[WEIR_IOMMU_MAX_APERTURES]; /**< iovas that can be
								 mapped, sorted */
};

/** A backend's calls. All return 0 or -errno as the kernel gave it. */
struct weir_iommu_ops {
	/** Fill in @p caps; limits as they are now. */
	int (*caps)(void *ctx, struct weir_iommu_caps *caps);

	/** Map one entry: [iova, iova + len) to memory at @p hva. */
	int (*map)(void *ctx, uint64_t iova, uint64_t hva, uint64_t len, uint32_t prot);

	/**
	 * Unmap [iova, iova + len).
	 *
	 * @param unmapped  Bytes that are gone now, also on failure as far as
	 *                  the backend knows.
	 */
	int (*unmap)(void *ctx, uint64_t iova, uint64_t len, uint64_t *unmapped);

	/** Give up the backend; all its entries go. */
	void (*close)(void *ctx);
};

#ifdef __cplusplus
}
#endif
#endif /* WEIR_IOMMU_H */
