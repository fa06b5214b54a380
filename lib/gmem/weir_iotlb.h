/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_IOTLB_H
#define WEIR_IOTLB_H
/**
 * @file
 * Translations of a guest's IOMMU, kept here: from the addresses that a driver
 * gives its device (iova) to guest memory.
 *
 * A frontend with a vIOMMU tells of a translation when it is asked for, and takes
 * it back when the guest unmaps it (vhost-user's IOTLB messages). The **cache** is
 * the control plane's list of those there are. It may forget any of them at any
 * time, as a TLB may, and is bounded: a frontend cannot make it grow.
 *
 * Lcores do not see the cache but a **view** of it, which is a struct weir_gmem
 * like a table of guest memory, so that the same code looks up either: an immutable
 * array of slots, whose `gpa` is the iova. It is two arrays, one of what a device
 * may write, which is the view, and one of what it may read, which is its
 * `readable`. The `memory` of both is the table they lead into; that is how a view
 * is told from one.
 *
 * **Taking a translation back** is not done when it has left the view, for somebody
 * may be using it. So it goes in three steps:
 *
 *     weir_iotlb_revoke()    it stays in the cache, and is in no further view
 *     weir_iotlb_view()      ... which is put before the lcores; whoever uses the
 *                            old one, and copies that touch what was revoked,
 *                            weir_iotlb_revoked(), are waited for
 *     weir_iotlb_drop()      it is no more
 *
 * If the wait is given up, what was revoked stays so: nobody uses it anew, and
 * whoever takes it back again waits again. To make room is the same with
 * weir_iotlb_evict().
 *
 * Threads: the cache belongs to the control plane, one at a time; a view may be
 * read by anyone.
 */
#include <stdbool.h>
#include <stdint.h>

#include "weir_gmem.h"
#include "weir_range.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Entries that are enough for the rings of a few queue pairs, all buffers mapped. */
#define WEIR_IOTLB_ENTRIES 4096u

/** The least that an IOMMU maps, as far as looking for what is missing goes. */
#define WEIR_IOTLB_PAGE UINT64_C(4096)

/** A device may read there, as VHOST_ACCESS_RO says in vhost's messages. */
#define WEIR_IOTLB_READ 1u
/** A device may write there, as VHOST_ACCESS_WO says in vhost's messages. */
#define WEIR_IOTLB_WRITE 2u

/** A translation. */
struct weir_iotlb_entry {
	struct weir_range iova;
	uint64_t uva; /**< the frontend's address of iova.start */
	uint8_t prot; /**< WEIR_IOTLB_*, not 0 */
};

struct weir_iotlb;

/**
 * Make an empty cache.
 *
 * @param max  Entries, 1 to 2^20. Neighbours that continue each other are one.
 * @return 0; -EINVAL: @p max; -ENOMEM.
 */
int weir_iotlb_create(uint32_t max, struct weir_iotlb **out);

/** NULL is allowed. Views stay. */
void weir_iotlb_destroy(struct weir_iotlb *c);

/** Entries there are, those revoked among them. */
uint32_t weir_iotlb_count(const struct weir_iotlb *c);

/**
 * Add a translation. One that is there already is none more.
 *
 * @param memory  What it has to lead into.
 * @return 0; -EINVAL: prot; -EOVERFLOW: uva wraps; -EFAULT: uva is not, or not all
 *         of it, in one slot; -EEXIST: something else is translated there, or is
 *         revoked and not dropped; -ENOSPC: the cache is full.
 */
int weir_iotlb_add(struct weir_iotlb *c, const struct weir_gmem *memory,
		   const struct weir_iotlb_entry *e);

/**
 * Revoke what is translated in a range. Entries are split at its ends; if there is
 * no room for the pieces the whole entry goes, for what is forgotten comes again.
 *
 * @return true: something there is revoked, now or from before.
 */
bool weir_iotlb_revoke(struct weir_iotlb *c, struct weir_range iova);

/** Revoke a part of all entries, of which one cannot tell the frontend which. */
void weir_iotlb_evict(struct weir_iotlb *c);

/**
 * Go through what is revoked.
 *
 * @param at  0 at first; the next one's place afterwards.
 * @return false: there is no more.
 */
bool weir_iotlb_revoked(const struct weir_iotlb *c, uint32_t *at,
			struct weir_iotlb_entry *e);

/** Forget what is revoked. */
void weir_iotlb_drop(struct weir_iotlb *c);

/** Forget what does not lead into @p memory. Nobody uses it any more. */
void weir_iotlb_prune(struct weir_iotlb *c, const struct weir_gmem *memory);

/**
 * Make a view of what is not revoked and leads into @p memory, which has to last
 * as long as the view.
 *
 * @return 0; -ENOMEM.
 */
int weir_iotlb_view(const struct weir_iotlb *c, const struct weir_gmem *memory,
		    const struct weir_gmem **out);

/** Free a view. NULL is allowed. */
void weir_iotlb_view_put(const struct weir_gmem *view);

/**
 * Translate a range, whole, for instance a ring's. Control plane.
 *
 * @param write  For a device that writes as well as reads.
 * @return the host address; NULL: some of it is not translated, or it is not
 *         contiguous in one slot of memory.
 */
void *weir_iotlb_find(const struct weir_gmem *view, struct weir_range iova, bool write);

/**
 * The first address in a range that is not translated.
 *
 * @return false: all are.
 */
bool weir_iotlb_gap(const struct weir_gmem *view, struct weir_range iova, bool write,
		    uint64_t *missing);

#ifdef __cplusplus
}
#endif
#endif /* WEIR_IOTLB_H */
