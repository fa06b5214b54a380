/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPACE_IMPL_H
#define SPACE_IMPL_H
/*
 * A space's inside: the process's one (space.c), EAL's memory (space_eal.c),
 * hardware engines (space_engine.c), EAL's VFIO container (space_container.c), which
 * may have to be found (space_fd.c), and what a mirror sees of an IOMMU that it has not
 * for itself (space_side.c).
 *
 * There are two mirrors, so that EAL, which waits for its memory to be mapped with
 * all of its allocations held up, does not wait for a guest to be pinned.
 *
 * Locks, outermost first: the process's (space.c); EAL's memory hotplug lock; EAL's
 * lock of its callbacks; a mirror's. EAL tells of memory with the second (for
 * writing) and third held, so that what is called then takes no lock of the
 * process's, and walks nothing that would take the second.
 */
#include <pthread.h>
#include <stdatomic.h>

#include <rte_dev.h>

#include "weir_space.h"

/* An IOMMU as one of the mirrors sees it. */
struct space_side {
	const struct weir_iommu_ops *ops;
	void *ctx;			/* the IOMMU, which is not the mirror's */
	const struct space_side *other; /* shares it; NULL: nobody does */
	_Atomic uint64_t entries;	/* of this side */
};

/* A user of a dmadev that is in EAL's container. */
struct weir_space_engine {
	struct weir_space_engine *next;
	struct weir_space *space;
	int16_t dev_id;
	char name[RTE_DEV_NAME_MAX_LEN]; /* the dmadev's */
};

struct weir_space {
	struct weir_mirror *mirror; /* guests' memory, and what else is not EAL's */
	struct weir_mirror *eal;    /* EAL's memory */
	struct weir_sim *sim;
	struct space_side sim_side, sim_eal_side;
	bool follows; /* subscribed; otherwise EAL's memory is static */
	_Atomic uint64_t failures;

	pthread_mutex_t engines_lock; /* outside of a mirror's; guards all below */
	struct weir_space_engine *engines;
	struct weir_vfio *vfio; /* EAL's container; NULL: not adopted */
	const char *vfio_name;	/* as weir_iommu_caps.name */

	/* EAL's container as the guests' mirror has it, whose lock guards the first */
	struct weir_iommu_caps vfio_caps; /* as it said last */
	_Atomic uint64_t vfio_entries;	  /* of guests' memory */
};

#define SPACE_NAME "weir_space" /* in messages */

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

/*
 * Adopt EAL's container, if there is one with devices behind an IOMMU.
 *
 * @param fd   As of weir_space_eal_container(); below 0: there is none.
 * @param why  On failure, words for it.
 * @return 0; -EXDEV: devices in it, or not in it, do not see guest memory; or as
 *         weir_vfio_adopt().
 */
int space_container_adopt(int fd, struct weir_vfio **out, const char **why);

/*
 * See to it that guest memory is in EAL's container, whatever has become of that since
 * the last device came. Engines' lock held, as in the next.
 *
 * @param why  On failure, words for it.
 * @return 0; -EXDEV: as space_container_adopt(); or why it cannot be mapped there.
 */
int space_container_join(struct weir_space *s, const char **why);

/* Take guest memory out of it. */
void space_container_leave(struct weir_space *s);

/* A device in EAL's container is back: so is guest memory there. weir_copy_rejoin_t. */
int space_engine_rejoin(void *space, const char *dma_name);

/* Be told no more; what is mapped stays. */
void space_eal_leave(struct weir_space *s);

#endif /* SPACE_IMPL_H */
