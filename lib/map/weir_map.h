/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_MAP_H
#define WEIR_MAP_H
/**
 * @file
 * The region map: which iova leads to which host memory.
 *
 * A region is a stretch of iovas that leads to a stretch of host virtual
 * addresses. A map is a set of regions that do not overlap in iova. What a map
 * says is what the backends (an IOMMU, a hypervisor) have been told; lib/mirror
 * keeps the two equal.
 *
 * **Chunks.** An IOMMU that cannot split an entry can only unmap what was once
 * mapped as one entry. So a region carries the size of its entries, `chunk`:
 * the region was, or will be, given to the backend in pieces of that size, the
 * last one shorter if the length is no multiple. It can be split at a piece's
 * border and nowhere else. `chunk` 0 means that the backend splits anywhere.
 * Two adjacent regions are one region if iova and hva both go on, chunk,
 * permissions, owner and count are equal, and the border between them stays a
 * border of the merged region's pieces.
 *
 * **Counts.** Mapping what is mapped already, with the same hva, permissions
 * and chunk, counts it once more; it goes away with its last unmap. The same
 * iova with anything else different is refused with -EEXIST.
 *
 * **All or nothing.** An operation is planned first: which regions go, which
 * come, which pieces the backends have to map or unmap. Planning changes
 * nothing; a plan that cannot be carried out is refused whole.
 */
#include <stddef.h>
#include <stdint.h>

#include "weir_range.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_PROT_READ 0x1u  /**< a device may read */
#define WEIR_PROT_WRITE 0x2u /**< a device may write */

/** Regions whose owner nobody asked for. */
#define WEIR_OWNER_NONE 0u

/** A stretch of iovas that leads to a stretch of host memory. */
struct weir_region {
	struct weir_range iova; /**< page-aligned at both ends */
	uint64_t hva;		/**< host virtual address behind iova.start */
	uint64_t chunk;		/**< bytes between borders, from iova.start; 0: any */
	uint32_t prot;		/**< WEIR_PROT_*, not 0 */
	uint32_t refs;		/**< times mapped, at least 1 in a map */
	uint32_t owner;		/**< who mapped it: a port's id, or WEIR_OWNER_NONE */
};

#ifdef __cplusplus
}
#endif
#endif /* WEIR_MAP_H */
