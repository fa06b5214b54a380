/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPACE_IMPL_H
#define SPACE_IMPL_H
/*
 * A space's inside: the process's one (space.c), EAL's memory (space_eal.c), and
 * what a mirror sees of an IOMMU that it has not for itself (space_side.c).
 *
 * There are two mirrors, so that EAL, which waits for its memory to be mapped with
 * all of its allocations held up, does not wait for a guest to be pinned.
 *
 * Locks, outermost first: the process's (space.c); EAL's memory hotplug lock; EAL's
 * lock of its callbacks; a mirror's. EAL tells of memory with the second (for
 * writing) and third held, so that what is called then takes no lock of the
 * process's, and walks nothing that would take the second.
 */
#include <stdatomic.h>

#include "weir_space.h"

/* An IOMMU as one of the mirrors sees it. */
struct space_side {
	const struct weir_iommu_ops *ops;
	void *ctx;			/* the IOMMU, which is not the mirror's */
	const struct space_side *other; /* shares it; NULL: nobody does */
	_Atomic uint64_t entries;	/* of this side */
};

struct weir_space {
	struct weir_mirror *mirror; /* guests' memory, and what else is not EAL's */
	struct weir_mirror *eal;    /* EAL's memory */
	struct weir_sim *sim;
	struct space_side sim_side, sim_eal_side;
	bool follows; /* subscribed; otherwise EAL's memory is static */
	_Atomic uint64_t failures;
};

/* Calls of a side; the context is the struct space_side. Closing does nothing. */
extern const struct weir_iommu_ops space_side_ops;

/* Entries that a side has. Any thread. */
uint64_t space_side_entries(const struct space_side *side);

/*
 * Map EAL's memory as it is and subscribe to what becomes of it.
 *
 * @return 0; -ENOMEM; or why it could not be mapped. What was mapped may stay then.
 */
int space_eal_follow(struct weir_space *s);

/* Be told no more; what is mapped stays. */
void space_eal_leave(struct weir_space *s);

#endif /* SPACE_IMPL_H */
