/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_GMEM_IMPL_H
#define WEIR_GMEM_IMPL_H
/*
 * Tables are in gmem.c. What is behind their slots: memory (backing.c) and dirty
 * logs (log.c), both counted by the tables that have the slot. Counts belong to the
 * control plane.
 */
#include <stdbool.h>

#include "weir_gmem.h"

/*
 * Map a region of a file; both ends lie inside it. It has one user.
 *
 * hva: where the region begins. 0; -EOVERFLOW; -ERANGE; -ENOMEM; -EBUSY; -errno.
 */
int gmem_backing_map(int fd, uint64_t offset, uint64_t len, bool lazy,
		     struct weir_gmem_backing **out, uint64_t *hva);

/* True if that region of that file is what is mapped, and none of it was lost. */
bool gmem_backing_is(const struct weir_gmem_backing *b, int fd, uint64_t offset,
		     uint64_t len);

void gmem_backing_get(struct weir_gmem_backing *b);

/* One user less; at the last, as weir_gmem_put_watched(). */
void gmem_backing_put(struct weir_gmem_backing *b, struct weir_range *watched,
		      unsigned int nr);

/* A clean log; it has one user. NULL: no memory. */
struct weir_gmem_log *gmem_log_new(uint64_t nr_pages);

/* NULL is allowed. */
void gmem_log_get(struct weir_gmem_log *l);
void gmem_log_put(struct weir_gmem_log *l);

/* Index of the first slot that ends at or behind @p gpa; nr_slots: none does. */
uint32_t gmem_first(const struct weir_gmem *g, uint64_t gpa);

/* The slot that has all of @p uva; NULL: none has. */
const struct weir_gmem_slot *gmem_find_uva(const struct weir_gmem *g,
					   struct weir_range uva);

#endif /* WEIR_GMEM_IMPL_H */
