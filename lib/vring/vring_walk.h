/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRING_WALK_H
#define VRING_WALK_H
/*
 * What walks over chains of either format have in common: the buffers gathered
 * so far, and the way into guest memory.
 */
#include "weir_vring.h"

/* What has been gathered of a chain. */
struct vring_walk {
	struct weir_iov *iov;
	unsigned int nr, max; /* pieces there are, and fit */
	uint16_t dir;	      /* VRING_DESC_F_WRITE, 0 or WEIR_VRING_BOTH */
	bool writes;	      /* BOTH: a buffer to be written was seen */
	bool empty;	      /* a buffer without bytes was seen */
	bool missed;	      /* a translation was not there */
	uint64_t len;
};

/* Add a buffer's pieces. 0 or a negated fault. */
int vring_walk_add(struct weir_vring *vr, struct vring_walk *w, uint64_t gpa,
		   uint32_t len, uint16_t flags);

/* Number of descriptors in an indirect table, or a negated fault. */
int vring_walk_table(uint64_t gpa, uint32_t len);

/* Copy a descriptor of an indirect table out of guest memory, even if it
 * straddles two slots. 0 or a negated fault, or -WEIR_VRING_MISS. */
int vring_walk_read(struct weir_vring *vr, uint64_t gpa, void *desc);

/* The chain is at its end. @return its pieces, or a negated fault. */
int vring_walk_end(const struct vring_walk *w, uint64_t *len);

#endif /* VRING_WALK_H */
