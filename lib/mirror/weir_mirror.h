/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_MIRROR_H
#define WEIR_MIRROR_H
/**
 * @file
 * A map and the backends that are kept equal to it.
 *
 * weir_mirror_map() and weir_mirror_unmap() are transactions: the plan is made,
 * checked against every backend's budget (entries, apertures, page sizes,
 * locked memory), carried out backend by backend in the order they were
 * attached (unmaps in the reverse order), and only then entered in the map. If
 * a backend fails, what was done is undone, and the map is as it was; if a
 * backend cannot be brought back, the mirror asks no more of it, says so in
 * the log, and weir_mirror_broken() counts it.
 *
 * A map may be filled before any backend is attached; attaching replays it,
 * entry by entry at the original granule, so that chunk unmaps work afterwards.
 *
 * Threads: any; calls on one mirror serialise on its lock and may block for as
 * long as the backends do. Not from a polling lcore. Reading, weir_mirror_walk()
 * and weir_mirror_lookup(), does not wait for backends.
 */
#include "weir_iommu.h"
#include "weir_map.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_mirror;

/**
 * Make a mirror with an empty map and no backend.
 *
 * @param name  Copied; shown by telemetry. At most 31 characters.
 * @return 0; -EINVAL: name empty or too long; -ENOMEM.
 */
int weir_mirror_create(const char *name, struct weir_mirror **out);

/** Unmap everything, close the backends, free the mirror. NULL is allowed. */
void weir_mirror_destroy(struct weir_mirror *m);

/**
 * Attach a backend and replay the map into it.
 *
 * On success the mirror owns @p ctx and closes it; on failure it is the
 * caller's still, and nothing is left mapped in it.
 *
 * @return 0; -ENOSPC, -EINVAL, -ERANGE, -ENOMEM: the map does not fit the
 *         backend (see weir_mirror_map()); or what the backend answered.
 */
int weir_mirror_attach(struct weir_mirror *m, const struct weir_iommu_ops *ops,
		       void *ctx);

/**
 * Map a region.
 *
 * @param r  iova, hva, chunk, prot and owner; refs is ignored. chunk 0 lets
 *           the mirror choose: one entry where no backend splits.
 * @return 0, also if the same was mapped already (it is counted);
 *         -EINVAL: unaligned iova, hva, length or chunk, no or unknown prot;
 *         -EOVERFLOW: the hva range wraps;
 *         -EEXIST: part of the iovas lead elsewhere, or with another prot or chunk;
 *         -ERANGE: outside a backend's apertures;
 *         -ENOSPC: a backend would run out of entries;
 *         -ENOMEM: no memory, or more locked memory than a backend may have;
 *         or what a backend answered. Nothing has changed then.
 */
int weir_mirror_map(struct weir_mirror *m, const struct weir_region *r);

/**
 * Unmap a range of iovas, over any number of regions.
 *
 * @return 0; -ENOENT: not every byte of it is mapped; -ENOTSUP: it would split
 *         a chunk; -ENOMEM; or what a backend answered. Nothing has changed
 *         then, or the backend is broken, see above.
 */
int weir_mirror_unmap(struct weir_mirror *m, struct weir_range iova);

/**
 * The region that covers @p iova, or else the next one.
 *
 * @return 0; -ENOENT: none there nor after.
 */
int weir_mirror_lookup(struct weir_mirror *m, uint64_t iova, struct weir_region *out);

/** Called for each region in order of iova; anything but 0 ends the walk. */
typedef int (*weir_mirror_walk_t)(const struct weir_region *r, void *arg);

/** Walk the map. @return 0, or what @p fn ended it with. */
int weir_mirror_walk(struct weir_mirror *m, weir_mirror_walk_t fn, void *arg);

/** Regions in the map. */
size_t weir_mirror_regions(struct weir_mirror *m);

/** Backends that no longer follow the map. 0 in a healthy process. */
unsigned int weir_mirror_broken(struct weir_mirror *m);

/** The name it was created with. */
const char *weir_mirror_name(const struct weir_mirror *m);

#ifdef __cplusplus
}
#endif
#endif /* WEIR_MIRROR_H */
