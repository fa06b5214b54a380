/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "map_slab.h"
#include "weir_fail.h"

#define BLOCK_LEN ((size_t)16384)
#define OBJ_ALIGN 64

/* A free object is a link to the next one. */
struct slab_obj {
	struct slab_obj *next;
};

/* The head of a block, aligned to its size so that an object finds it. */
struct slab_block {
	struct slab_block *next, *prev; /* in map_slab.partial */
	struct slab_obj *free;		/* objects that came back */
	size_t nr_used;
	size_t nr_fresh; /* objects that were never handed out, at the end */
};

static_assert(sizeof(struct slab_block) <= OBJ_ALIGN, "one line before the objects");

static size_t
block_capacity(const struct map_slab *s)
{
	return (BLOCK_LEN - OBJ_ALIGN) / s->obj_len;
}

static void
partial_add(struct map_slab *s, struct slab_block *b)
{
	b->prev = NULL;
	b->next = s->partial;
	if (b->next != NULL)
		b->next->prev = b;
	s->partial = b;
}

static void
partial_del(struct map_slab *s, struct slab_block *b)
{
	if (b->prev != NULL)
		b->prev->next = b->next;
	else
		s->partial = b->next;
	if (b->next != NULL)
		b->next->prev = b->prev;
}

void
map_slab_init(struct map_slab *s, size_t obj_len)
{
	*s = (struct map_slab){ .obj_len = (obj_len + OBJ_ALIGN - 1) / OBJ_ALIGN *
					   OBJ_ALIGN };
}

void
map_slab_fini(struct map_slab *s)
{
	assert(s->nr_used == 0);
	while (s->partial != NULL) {
		struct slab_block *b = s->partial;

		partial_del(s, b);
		free(b);
	}
}

static struct slab_block *
block_new(struct map_slab *s)
{
	struct slab_block *b = weir_zalloc_aligned(BLOCK_LEN, BLOCK_LEN);

	if (b == NULL)
		return NULL;
	b->nr_fresh = block_capacity(s);
	partial_add(s, b);
	s->nr_empty++;
	return b;
}

void *
map_slab_get(struct map_slab *s)
{
	struct slab_block *b = s->partial;
	void *obj;

	if (weir_fail_point())
		return NULL;
	if (b == NULL && (b = block_new(s)) == NULL)
		return NULL;
	if (b->free != NULL) {
		obj = b->free;
		b->free = b->free->next;
	} else {
		obj = (char *)b + OBJ_ALIGN +
		      (block_capacity(s) - b->nr_fresh) * s->obj_len;
		b->nr_fresh--;
	}
	s->nr_empty -= b->nr_used == 0;
	b->nr_used++;
	s->nr_used++;
	if (b->free == NULL && b->nr_fresh == 0)
		partial_del(s, b);
	return obj;
}

void
map_slab_put(struct map_slab *s, void *obj)
{
	struct slab_block *b = (void *)((uintptr_t)obj & ~(uintptr_t)(BLOCK_LEN - 1));
	struct slab_obj *o = obj;

	if (b->free == NULL && b->nr_fresh == 0)
		partial_add(s, b);
	o->next = b->free;
	b->free = o;
	b->nr_used--;
	s->nr_used--;
	if (b->nr_used != 0)
		return;
	if (s->nr_empty++ > 0) {
		s->nr_empty--;
		partial_del(s, b);
		free(b);
	}
}
