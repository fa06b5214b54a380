/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MIRROR_IMPL_H
#define MIRROR_IMPL_H
/*
 * A mirror's parts: transactions over backends (mirror.c), what fits a backend
 * (mirror_budget.c), and one backend's calls with what their answers mean
 * (mirror_backend.c).
 */
#include <pthread.h>
#include <stdatomic.h>

#include "weir_mirror.h"
#include "weir_plan.h"

#define MIRROR_NAME_LEN 32

/* A backend and what is known of it. Guarded by weir_mirror.lock. */
struct mirror_backend {
	const struct weir_iommu_ops *ops;
	void *ctx;
	struct weir_iommu_caps caps;
	const char *mirror;  /* name, for messages */
	bool broken;	     /* does not follow the map, is asked no more */
	bool excess;	     /* unmapped more than asked: neighbours may be gone */
	uint64_t nr_settled; /* answers that did not say what they should have */
};

struct weir_mirror {
	char name[MIRROR_NAME_LEN];
	struct weir_map *map;

	pthread_mutex_t lock;		/* from a plan to its end; guards all below */
	struct mirror_backend *backend; /* in the order they were attached */
	size_t nr_backends;
	struct weir_mirror_user *users;
	uint64_t drain_us;
	struct weir_mirror_stats stats;
	bool said_alone; /* that maps wait for a backend, since the last one left */

	_Atomic unsigned int nr_broken;
};

/* Tell the map which kinds of backends follow it, but for @leaving (or NULL). */
void mirror_tell_backends(struct weir_mirror *m, const struct mirror_backend *leaving);

/* Ask for the backend's limits as they are now. Also a fail point. */
int backend_caps(struct mirror_backend *b);

/*
 * Map the pieces of a plan. On failure those mapped before are unmapped again,
 * and the backend is as it was, or broken.
 */
int backend_map(struct mirror_backend *b, const struct weir_plan *p);

/* Unmap the pieces of a plan; the same on failure. */
int backend_unmap(struct mirror_backend *b, const struct weir_plan *p);

/* Undo backend_map() or backend_unmap() that succeeded. May leave it broken. */
void backend_undo(struct mirror_backend *b, const struct weir_plan *p);

/* Map every piece of a map; on failure nothing of it is left. */
int backend_replay(struct mirror_backend *b, struct weir_map *map);

/* Unmap every piece of a map, whatever the backend answers. */
void backend_clear(struct mirror_backend *b, struct weir_map *map);

/* Map again what the map has and the backend has not. May leave it broken. */
void backend_repair(struct mirror_backend *b, struct weir_map *map);

/* As backend_repair(), and it is nobody's fault: say nothing, count in *nr. 0; -errno:
 * the first piece that is not mapped, nor was before. */
int backend_refill(struct mirror_backend *b, struct weir_map *map, uint64_t *nr);

/*
 * Check that @r, in a map of @after, fits. @return 0; -EINVAL, -ERANGE, -ENOSPC,
 * -ENOMEM as weir_mirror_map() says, after a message that names the limit.
 */
int budget_check(struct mirror_backend *b, const struct weir_region *r,
		 const struct weir_map_totals *after);

/*
 * The chunk for @len bytes of which @granule shall be unmapped at a time, such
 * that every backend that cannot split has room for the entries.
 */
uint64_t budget_chunk(struct weir_mirror *m, uint64_t len, uint64_t granule);

#endif /* MIRROR_IMPL_H */
