/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAP_SLAB_H
#define MAP_SLAB_H
/*
 * Objects of one size out of large blocks.
 *
 * A map of a million regions is a million objects of 64 bytes: malloc() would
 * spend half as much again on them, and scatter them. The first blocks have 16
 * KiB; once a slab has 64 KiB they have 2 MiB and ask for huge pages,
 * without which a random access to a large map costs more in the page tables
 * than in the tree. Blocks whose last object comes back are freed, one
 * excepted, so a map that shrinks gives its memory back. A block is on the NUMA
 * node of the thread that first writes to it, or, if the slab has been given one, on
 * that node as long as it has memory.
 *
 * In front of the blocks is a stack of objects, so that changes that take as many
 * as they give touch no block's head. Every object begins a
 * cache line. One thread at a time; each allocation is a fail point.
 */
#include <stddef.h>

#define SLAB_STACK 640

/* Nodes that a slab can be put on. */
#define SLAB_MAX_NODES 1024

#define SLAB_WARM 4

struct slab_block;

struct map_slab {
	size_t obj_len;		    /* bytes, a multiple of 64 */
	struct slab_block *partial; /* blocks with a free object */
	size_t nr_empty;	    /* of them, those with no object in use */
	size_t blocks_len;	    /* bytes in all blocks */
	size_t nr_used;		    /* objects in use */
	_Atomic int node;	    /* of blocks from now on; -1: as it comes */
	size_t nr_stack;
	void *stack[SLAB_STACK]; /* objects that came back last */
};

void map_slab_init(struct map_slab *s, size_t obj_len);

/* All objects must be back. */
void map_slab_fini(struct map_slab *s);

/* Not zeroed. NULL: no memory. */
void *map_slab_get(struct map_slab *s);

void map_slab_put(struct map_slab *s, void *obj);

/*
 * Ask for the lines of the objects that are got next, to write to them. They are
 * in the caches of those who read what was there before; to wait for them later
 * is what the next writer would do.
 */
static inline void
map_slab_warm(const struct map_slab *s)
{
	for (size_t i = 0; i < SLAB_WARM && i < s->nr_stack; i++) {
		const char *obj = s->stack[s->nr_stack - 1 - i];

		for (size_t at = 0; at < s->obj_len; at += 64)
#if defined(__x86_64__)
			/* compilers make a read of it where they know no more */
			__asm__ volatile("prefetchw %0" : : "m"(obj[at]));
#else
			__builtin_prefetch(obj + at, 1);
#endif
	}
}

#endif /* MAP_SLAB_H */
