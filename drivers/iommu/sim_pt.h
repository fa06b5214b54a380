/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_SIM_PT_H
#define WEIR_SIM_PT_H
/**
 * @file
 * The page table of the model: iova to host address, walked without a lock.
 *
 * Four levels of 512 entries translate 48 bits, as an IOMMU's table does. A
 * leaf stands at the highest of the 4 KiB, 2 MiB and 1 GiB levels that its
 * iova and length allow. It holds a host virtual address, so unlike in hardware
 * only the iova has to be aligned to the leaf's size, the host address to 4 KiB.
 *
 * One writer at a time; any number of walkers beside it. A walker finds a leaf
 * as it was or as it is. A table that became empty is unlinked at once but only
 * freed by sim_pt_reap(), which the writer calls when every walker has left the
 * section (weir_epoch.h) it was in.
 */
#include <stdbool.h>
#include <stdint.h>

#include "weir_range.h"

/** Iovas that can be translated are below 2^48. */
#define SIM_PT_BITS 48u
/** The smallest leaf, and what every iova, hva and length is a multiple of. */
#define SIM_PT_PAGE UINT64_C(0x1000)

struct sim_pt_table;

/** A page table. Walkers read `root`, which never changes. */
struct sim_pt {
	struct sim_pt_table *root;
	struct sim_pt_table *dead; /**< unlinked, not freed yet; the writer's */
};

/** What one leaf says. */
struct sim_pt_leaf {
	struct weir_range iova;
	uint64_t hva;  /**< behind iova.start */
	uint32_t prot; /**< WEIR_PROT_* */
};

/** Make an empty table. @return 0; -ENOMEM. */
int sim_pt_init(struct sim_pt *pt);

/** Free it all. No walker may be left. */
void sim_pt_fini(struct sim_pt *pt);

/**
 * Map a range that has no leaf yet.
 *
 * @param small  Use 4 KiB leaves only, so that any of it can be cleared later.
 * @return 0; -ENOMEM: nothing of it is mapped, but the caller has to reap.
 */
int sim_pt_map(struct sim_pt *pt, struct weir_range iova, uint64_t hva, uint32_t prot,
	       bool small);

/** Clear every leaf in the range; none may reach beyond it. */
void sim_pt_clear(struct sim_pt *pt, struct weir_range iova);

/** Free the tables unlinked since the last call. */
void sim_pt_reap(struct sim_pt *pt);

/** Find the leaf that has @p iova; inside a section. @return false: none. */
bool sim_pt_walk(const struct sim_pt *pt, uint64_t iova, struct sim_pt_leaf *out);

#endif /* WEIR_SIM_PT_H */
