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
 * nothing; a plan that cannot be carried out is refused whole. weir_plan.h has
 * that algebra, with no table behind it.
 *
 * **The table.** A struct weir_map holds the regions in a B+-tree whose nodes
 * are never changed once readers can see them: a writer builds the nodes that
 * differ beside it and publishes them with one store of the root. A change is
 * made in steps, so that whoever keeps a backend equal to the map can put its
 * own calls between them:
 *
 *     weir_map_plan_map() or _unmap()   all that can fail, nothing is changed
 *     weir_map_publish()                readers see the new map
 *     weir_map_finish()                 the old one is freed, or
 *     weir_map_revert()                 readers see the old map again
 *
 * or weir_map_abort() instead of publishing. One writer at a time: whoever
 * plans holds a lock of its own from the plan to its finish, revert or abort.
 *
 * **Reading.** Lookup, query and walk take no lock. Each looks at one root, that
 * is at the whole map as it was at one moment: no region is torn, no gap is
 * seen that was not there. A walk takes a new root every few regions, so that
 * it keeps no old one alive, however long it is.
 *
 * Whoever wants to use the memory behind a region holds it (weir_map_hold()):
 * that is the region's read lock. The reader names the region and looks at the
 * root again; if the map has changed meanwhile it looks the region up again,
 * for it may have gone, or another one may have come into the gap before it.
 * After a few attempts that met a writer it takes the map's lock, which a
 * writer holds only while it stores a root. So a reader always gets on, and a
 * writer waits for a reader in one case only: the region that it takes away is
 * the one that the reader holds just then.
 *
 * Any number of threads may read, without registering.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir_range.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_PROT_READ 0x1u  /**< a device may read */
#define WEIR_PROT_WRITE 0x2u /**< a device may write */

/** Regions begin and end at multiples of this. */
#define WEIR_MAP_PAGE UINT64_C(4096)

/** Regions whose owner nobody asked for. */
#define WEIR_OWNER_NONE 0u

/*
 * Kinds of backends. A map is one thing and so has all of its regions in each
 * backend that follows it, or in none: which ones follow is told of the map.
 */
#define WEIR_BACKEND_MODEL 0x1u	  /**< the model that software engines translate by */
#define WEIR_BACKEND_TYPE1 0x2u	  /**< a VFIO container of type1 */
#define WEIR_BACKEND_SPAPR 0x4u	  /**< a VFIO container on POWER */
#define WEIR_BACKEND_IOMMUFD 0x8u /**< an IOAS */
#define WEIR_BACKEND_OTHER 0x80000000u /**< of somebody else's making */

/** A stretch of iovas that leads to a stretch of host memory. */
struct weir_region {
	struct weir_range iova; /**< page-aligned at both ends */
	uint64_t hva;		/**< host virtual address behind iova.start */
	uint64_t chunk;		/**< bytes between borders, from iova.start; 0: any */
	uint32_t prot;		/**< WEIR_PROT_*, not 0 */
	uint32_t refs;		/**< times mapped, at least 1 in a map */
	uint32_t owner;		/**< who mapped it: a port's id, or WEIR_OWNER_NONE */
};

struct weir_map;

/** A change of a map that is under way; from weir_map_plan_map() or _unmap(). */
struct weir_map_change;

/** What a map holds. */
struct weir_map_totals {
	size_t regions;
	uint64_t pieces; /**< entries of a backend that cannot split */
	uint64_t pages;	 /**< of WEIR_MAP_PAGE bytes */
};

/** Make an empty map. @return 0; -ENOMEM. */
int weir_map_create(struct weir_map **out);

/** Free a map that nobody reads any more and no change is open on. NULL is allowed. */
void weir_map_destroy(struct weir_map *m);

/**
 * Plan to map a region; see weir_plan_map() for what it refuses, and why.
 *
 * @param out  On success the writer's, until finish, revert or abort.
 * @return 0; -EINVAL, -EOVERFLOW, -EEXIST; -ENOMEM.
 */
int weir_map_plan_map(struct weir_map *m, const struct weir_region *r,
		      struct weir_map_change **out);

/**
 * Plan to unmap a range; see weir_plan_unmap() for what it refuses, and why.
 *
 * @return 0; -EINVAL, -ENOENT, -ENOTSUP; -ENOMEM.
 */
int weir_map_plan_unmap(struct weir_map *m, struct weir_range iova,
			struct weir_map_change **out);

/**
 * Plan to make a single piece of every region whose chunk is 0, for a backend
 * that cannot split. The change has no pieces for backends.
 *
 * @return 0; -ENOMEM.
 */
int weir_map_plan_harden(struct weir_map *m, struct weir_map_change **out);

/** The algebra's plan of a change: pieces for the backends (weir_plan.h). */
const struct weir_plan *weir_map_change_plan(const struct weir_map_change *c);

/** What the map holds with the change. */
struct weir_map_totals weir_map_change_totals(const struct weir_map_change *c);

/**
 * Let readers see a change.
 *
 * Returns when no reader holds a region that goes or changes: it may wait as
 * long as one is held, see weir_map_hold(). It cannot fail.
 */
void weir_map_publish(struct weir_map *m, struct weir_map_change *c);

/** Keep a published change for good. It cannot fail. */
void weir_map_finish(struct weir_map *m, struct weir_map_change *c);

/** Let readers see the map as it was before a published change. It cannot fail. */
void weir_map_revert(struct weir_map *m, struct weir_map_change *c);

/** Drop a change that was not published. */
void weir_map_abort(struct weir_map *m, struct weir_map_change *c);

/** What the map holds now. For the writer; others get each figure by itself. */
struct weir_map_totals weir_map_totals(const struct weir_map *m);

/** Regions in the map now. Any thread. */
size_t weir_map_regions(const struct weir_map *m);

/** A question to a map, in the manner of PROCMAP_QUERY. */
struct weir_map_query {
	uint64_t iova; /**< the region that covers it, */
	bool next;     /**< or else the next one */
	uint32_t prot; /**< only regions with all of these permissions; 0: any */
	bool by_owner; /**< only regions of owner */
	uint32_t owner;
	/** Only regions that backends of all of these kinds hold: WEIR_BACKEND_*; 0:
	 * whether or not any does. */
	uint32_t backends;
};

/**
 * Ask for a region.
 *
 * An answer by backend is true at one moment of the call. Where backends come and
 * go meanwhile a region may be passed over that has just got into one.
 *
 * @return 0; -ENOENT: none there that passes the filters (nor after, if next).
 */
int weir_map_query(struct weir_map *m, const struct weir_map_query *q,
		   struct weir_region *out);

/**
 * Say which kinds of backends follow the map from now on (WEIR_BACKEND_*): hold all
 * of its regions. For who keeps them equal to it, lib/mirror: to be called when a
 * backend has got the last region, and before it loses the first.
 */
void weir_map_set_backends(struct weir_map *m, uint32_t backends);

/** The kinds of backends that follow the map now. Any thread. */
uint32_t weir_map_backends(struct weir_map *m);

/** What a caller remembers of its last lookup. Zero it before its first use. */
struct weir_map_hint {
	const struct weir_map *map;
	uint64_t seq;
	struct weir_region region; /**< the answer */
};

/**
 * The region that covers @p iova, in h->region.
 *
 * As long as the map has not changed, a hit on the last answer costs one load
 * of the sequence count and no lock of any kind.
 *
 * @param h  The caller's own; one thread at a time.
 * @return 0; -ENOENT: not mapped.
 */
int weir_map_lookup(struct weir_map *m, uint64_t iova, struct weir_map_hint *h);

/** A region that a reader holds; the reader's own memory. */
struct weir_map_held {
	struct weir_region region;
	struct weir_map *map;
	void *slot;
};

/**
 * Hold the region that covers @p iova, or else the next one.
 *
 * Until weir_map_release() it does not go away: a writer that takes it away, or
 * changes it, waits in weir_map_publish(). All other changes go on. When this
 * returns, the region is in the map and there is nothing between @p iova and
 * it. Whoever holds a region must not change the map.
 *
 * @param h  h->region is the answer. Not to be copied while it is held.
 * @return 0; -ENOENT: none there nor after; -EBUSY: 48 regions are held.
 */
int weir_map_hold(struct weir_map *m, uint64_t iova, struct weir_map_held *h);

/** Let go of a region; any thread may. */
void weir_map_release(struct weir_map_held *h);

/** Called for each region in order of iova; anything but 0 ends the walk. */
typedef int (*weir_map_walk_t)(const struct weir_region *r, void *arg);

/**
 * Walk a map. Nothing is held while @p fn runs: it may do as it likes, also
 * change the map, and it delays no writer.
 *
 * The walk sees each region that is there from its begin to its end. Of those
 * that come, go, split or merge meanwhile it sees some; never one that did not
 * exist, never a gap where there was none. Each one ends beyond the one before;
 * it begins before that one's end only if the two have merged meanwhile.
 *
 * @return 0, or what @p fn ended it with.
 */
int weir_map_walk(struct weir_map *m, weir_map_walk_t fn, void *arg);

/** Bytes that weir_region_print() needs at most. */
#define WEIR_REGION_PRINT_LEN 112

/**
 * One line about a region in the manner of /proc/pid/maps, without a newline:
 * `start-end prot hva chunk refs owner`, end exclusive as there.
 *
 * @return characters written, as snprintf() counts.
 */
int weir_region_print(char *buf, size_t len, const struct weir_region *r);

#ifdef __cplusplus
}
#endif
#endif /* WEIR_MAP_H */
