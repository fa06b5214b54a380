/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_MIRROR_H
#define WEIR_MIRROR_H
/**
 * @file
 * A map and the backends that are kept equal to it.
 *
 * weir_mirror_map() and weir_mirror_unmap() are transactions: the plan is made,
 * checked against every backend's budget (entries, apertures, page sizes,
 * locked memory), and carried out backend by backend in the order they were
 * attached, unmaps in the reverse order. A map is published when all backends
 * have it; an unmap is published first, so that nobody is handed a region that
 * is on its way out, and whoever may still use it is waited for (see struct
 * weir_mirror_user) before the first backend is asked. If a backend fails, what
 * was done is undone, and the map is as it was; if a backend cannot be brought
 * back, the mirror asks no more of it, says so in the log, and
 * weir_mirror_broken() counts it.
 *
 * A backend may answer otherwise than it should: unmap less than asked, more,
 * or say that nothing was there. The mirror finds out what is the case, brings
 * the backend to where the map is, says so in the log, and counts it
 * (weir_mirror_stats.settled).
 *
 * A map may be filled before any backend is attached, which is logged, once;
 * attaching replays it, entry by entry at the original granule, so that chunk unmaps
 * work afterwards. weir_map_backends() tells whether anything follows.
 * A region whose chunk is left open is then mapped as for a backend that cannot
 * split, so what can be unmapped later does not depend on the order of calls.
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

/** What a mirror has done since it was made. */
struct weir_mirror_stats {
	uint64_t maps;	  /**< calls that succeeded */
	uint64_t unmaps;  /**< the same */
	uint64_t refused; /**< calls that failed, for whatever reason */
	uint64_t settled; /**< backends' answers that had to be looked into */
};

/**
 * Make a mirror with an empty map and no backend.
 *
 * @param name  Copied; shown by telemetry. At most 31 characters.
 * @return 0; -EINVAL: name empty; -ENAMETOOLONG; -ENOMEM.
 */
int weir_mirror_create(const char *name, struct weir_mirror **out);

/** Unmap everything, close the backends, free the mirror. NULL is allowed. */
void weir_mirror_destroy(struct weir_mirror *m);

/**
 * Attach a backend and replay the map into it.
 *
 * On success the mirror owns @p ctx and closes it; on failure it is the
 * caller's still, and nothing is left mapped in it. Regions of chunk 0 become
 * single pieces if the backend cannot split.
 *
 * @return 0; -EEXIST: @p ctx is attached already; -ENOSPC, -EINVAL, -ERANGE, -ENOMEM: the
 * map does not fit the backend (see weir_mirror_map()); or what the backend answered.
 */
int weir_mirror_attach(struct weir_mirror *m, const struct weir_iommu_ops *ops,
		       void *ctx);

/**
 * Unmap everything from a backend, as far as it lets us, and forget it. @p ctx
 * is the caller's again and is not closed. A container that has lost its last
 * device, or one that is broken, comes back by detaching and attaching it.
 *
 * @return 0; -ENOENT: not attached.
 */
int weir_mirror_detach(struct weir_mirror *m, void *ctx);

/**
 * Map again what a backend may have lost without a call that said so: a container that
 * lost its last device and got another, which the kernel tells nobody. What it has stays
 * as it is, so that devices that use it go on.
 *
 * @param nr  Entries that it did not have, and has now; also on failure.
 * @return 0; -ENOENT: not attached; -EIO: it is broken; or what the backend answered:
 *         then what comes behind is as it was, and the call may be made again.
 */
int weir_mirror_refill(struct weir_mirror *m, const void *ctx, uint64_t *nr);

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
 * Map a region at a granule that every backend has room for.
 *
 * 256 GiB in entries of 2 MiB are 131072; the kernel's type1 takes 65535. So
 * the granule is doubled until a backend that cannot split keeps a quarter of
 * its free entries; a region that is mapped already is counted at the granule
 * it has.
 *
 * @param r        As for weir_mirror_map(), with chunk 0.
 * @param granule  In: bytes the caller would like to unmap at a time; 0: all.
 *                 Out, on success: bytes it can unmap at a time.
 * @return as weir_mirror_map(); -EINVAL also: r->chunk is not 0, or @p granule
 *         is no multiple of WEIR_MAP_PAGE.
 */
int weir_mirror_map_fit(struct weir_mirror *m, const struct weir_region *r,
			uint64_t *granule);

/**
 * Unmap a range of iovas, over any number of regions.
 *
 * @return 0; -EINVAL: empty or unaligned; -ENOENT: not every byte of it is
 *         mapped; -ENOTSUP: it would split a chunk; -EBUSY: a user is still
 *         at it after the bound; -ENOMEM; or what a backend answered. Nothing
 *         has changed then, or the backend is broken, see above.
 */
int weir_mirror_unmap(struct weir_mirror *m, struct weir_range iova);

/**
 * Somebody who may have DMA in flight to regions that were in the map: a channel
 * of an engine, a device.
 *
 * An unmap that takes away part of @p iova asks it to wait, for each stretch that
 * goes and for what is left of the time. DMA elsewhere is none of its business,
 * so only a user that can tell one from the other lets traffic to other regions
 * go on.
 */
struct weir_mirror_user {
	/**
	 * Wait until no DMA submitted before the call is under way to or from @p r.
	 *
	 * On the thread that unmaps, whichever that is, with the mirror locked: it
	 * calls nothing of the mirror but weir_mirror_lookup() and _walk(), and
	 * waits for nobody who might.
	 *
	 * @param r           What goes: iova and hva; nothing else of it counts.
	 * @param timeout_us  Microseconds; 0: look once.
	 * @return 0; -EBUSY: it still is.
	 */
	int (*drain)(struct weir_mirror_user *u, const struct weir_region *r,
		     uint64_t timeout_us);
	struct weir_range iova;	       /**< what it may touch */
	struct weir_mirror_user *next; /**< the mirror's */
};

/** Add a user; its memory stays the caller's. */
void weir_mirror_user_add(struct weir_mirror *m, struct weir_mirror_user *u);

/** Take a user out; nothing happens if it is not there. */
void weir_mirror_user_del(struct weir_mirror *m, struct weir_mirror_user *u);

/** Microseconds that an unmap waits for all its users together; 1 s at first. */
void weir_mirror_set_drain(struct weir_mirror *m, uint64_t timeout_us);

/**
 * The region that covers @p iova, or else the next one.
 *
 * @return 0; -ENOENT: none there nor after.
 */
int weir_mirror_lookup(struct weir_mirror *m, uint64_t iova, struct weir_region *out);

/** Called for each region in order of iova; anything but 0 ends the walk. */
typedef weir_map_walk_t weir_mirror_walk_t;

/** Walk the map, see weir_map_walk(). @return 0, or what @p fn ended it with. */
int weir_mirror_walk(struct weir_mirror *m, weir_mirror_walk_t fn, void *arg);

/** The map itself, for reading: weir_map_query(), _lookup(), _hold(). */
struct weir_map *weir_mirror_table(struct weir_mirror *m);

/** What it has done so far. */
void weir_mirror_stats(struct weir_mirror *m, struct weir_mirror_stats *out);

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
