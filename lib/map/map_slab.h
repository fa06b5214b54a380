/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAP_SLAB_H
#define MAP_SLAB_H
/*
 * Objects of one size out of blocks of 16 KiB.
 *
 * A map of a million regions is a million objects of 64 bytes: malloc() would
 * spend half as much again on them, and scatter them. Blocks whose last object
 * comes back are freed, one excepted, so a map that shrinks gives its memory
 * back. Every object begins a cache line.
 *
 * One thread at a time; each allocation is a fail point (weir_fail.h).
 */
#include <stddef.h>

struct slab_block;

struct map_slab {
	size_t obj_len;		    /* bytes, a multiple of 64 */
	struct slab_block *partial; /* blocks with a free object */
	size_t nr_empty;	    /* of them, those with no object in use */
	size_t nr_used;		    /* objects in use */
};

void map_slab_init(struct map_slab *s, size_t obj_len);

/* All objects must be back. */
void map_slab_fini(struct map_slab *s);

/* Not zeroed. NULL: no memory. */
void *map_slab_get(struct map_slab *s);

void map_slab_put(struct map_slab *s, void *obj);

#endif /* MAP_SLAB_H */
