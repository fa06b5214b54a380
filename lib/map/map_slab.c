/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <numaif.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "map_slab.h"
#include "weir_fail.h"

#define SMALL_LEN ((size_t)16 << 10)
#define LARGE_LEN ((size_t)2 << 20)
#define LARGE_FROM ((size_t)64 << 10) /* bytes in blocks */
#define OBJ_ALIGN ((size_t)64)

/* A free object is a link to the next one. */
struct slab_obj {
	struct slab_obj *next;
};

/*
 * The head of a block. Blocks of either size are aligned to 16 KiB; so that an
 * object finds its block, a large one is cut into stretches of 16 KiB, each of
 * which begins with a head of its own that names the first.
 */
struct slab_head {
	struct slab_block *block;
};

struct slab_block {
	struct slab_head head;
	struct slab_block *next, *prev; /* in map_slab.partial */
	struct slab_obj *free;		/* objects that came back */
	uint32_t len;
	uint32_t nr_used;
	uint32_t nr_fresh; /* objects that were never handed out, at the end */
	uint32_t capacity;
	bool placed; /* mapped for itself, on a node */
};

static_assert(sizeof(struct slab_block) <= OBJ_ALIGN, "one line before the objects");

static uint32_t
per_stretch(const struct map_slab *s)
{
	return (uint32_t)((SMALL_LEN - OBJ_ALIGN) / s->obj_len);
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

static bool
block_is_full(const struct slab_block *b)
{
	return b->free == NULL && b->nr_fresh == 0;
}

void
map_slab_init(struct map_slab *s, size_t obj_len)
{
	*s = (struct map_slab){ .obj_len =
					(obj_len + OBJ_ALIGN - 1) / OBJ_ALIGN * OBJ_ALIGN,
				.node = -1 };
}

/*
 * Memory of a node's, aligned to its length: in a mapping of its own, since what
 * malloc() gives has others' memory beside it. Where the node has none left it is
 * another's, and where the kernel does not let us choose it is as it comes.
 */
static void *
placed_alloc(size_t len, int node)
{
	enum { BITS = 8 * sizeof(unsigned long) };
	unsigned long nodes[SLAB_MAX_NODES / BITS] = { 0 };
	char *all = mmap(NULL, 2 * len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t before;

	if (all == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)all & (len - 1);
	if (before != 0)
		munmap(all, before);
	munmap(all + before + len, len - before);
	nodes[node / BITS] = 1UL << node % BITS;
	(void)mbind(all + before, len, MPOL_PREFERRED, nodes, SLAB_MAX_NODES + 1, 0);
	return all + before;
}

static void *
block_alloc(size_t len, int node)
{
	void *mem;

	if (weir_fail_point())
		return NULL;
	if (node >= 0)
		return placed_alloc(len, node);
	return posix_memalign(&mem, len, len) == 0 ? mem : NULL;
}

static void
block_release(struct slab_block *b)
{
	if (b->placed)
		munmap(b, b->len);
	else
		free(b);
}

static struct slab_block *
block_new(struct map_slab *s)
{
	bool large = s->blocks_len >= LARGE_FROM;
	size_t len = large ? LARGE_LEN : SMALL_LEN;
	int node = atomic_load_explicit(&s->node, memory_order_relaxed);
	struct slab_block *b = block_alloc(len, node);

	if (b == NULL)
		return NULL;
	if (large)
		(void)madvise(b, len, MADV_HUGEPAGE); /* a wish, not a condition */
	*b = (struct slab_block){ .len = (uint32_t)len, .placed = node >= 0 };
	b->capacity = b->nr_fresh = (uint32_t)(len / SMALL_LEN) * per_stretch(s);
	for (size_t at = 0; at < len; at += SMALL_LEN)
		((struct slab_head *)((char *)b + at))->block = b;
	s->blocks_len += len;
	s->nr_empty++;
	partial_add(s, b);
	return b;
}

static void
block_free(struct map_slab *s, struct slab_block *b)
{
	partial_del(s, b);
	s->nr_empty--;
	s->blocks_len -= b->len;
	block_release(b);
}

/* Take a fresh object: they are handed out in order of address. */
static void *
block_fresh(struct map_slab *s, struct slab_block *b)
{
	uint32_t nr = b->capacity - b->nr_fresh--;
	uint32_t per = per_stretch(s);

	return (char *)b + nr / per * SMALL_LEN + OBJ_ALIGN + nr % per * s->obj_len;
}

static void *
block_get(struct map_slab *s)
{
	struct slab_block *b = s->partial != NULL ? s->partial : block_new(s);
	void *obj;

	if (b == NULL)
		return NULL;
	obj = b->free;
	if (obj != NULL)
		b->free = b->free->next;
	else
		obj = block_fresh(s, b);
	s->nr_empty -= b->nr_used++ == 0;
	if (block_is_full(b))
		partial_del(s, b);
	return obj;
}

static void
block_put(struct map_slab *s, void *obj)
{
	uintptr_t stretch = (uintptr_t)obj & ~(uintptr_t)(SMALL_LEN - 1);
	struct slab_block *b = ((struct slab_head *)stretch)->block;
	struct slab_obj *o = obj;

	if (block_is_full(b))
		partial_add(s, b);
	o->next = b->free;
	b->free = o;
	if (--b->nr_used == 0 && s->nr_empty++ > 0)
		block_free(s, b);
}

void *
map_slab_get(struct map_slab *s)
{
	void *obj;

	if (weir_fail_point())
		return NULL;
	obj = s->nr_stack > 0 ? s->stack[--s->nr_stack] : block_get(s);
	s->nr_used += obj != NULL;
	return obj;
}

void
map_slab_put(struct map_slab *s, void *obj)
{
	/* half of it goes at a time, so that the next ones find room */
	if (s->nr_stack == SLAB_STACK)
		while (s->nr_stack > SLAB_STACK / 2)
			block_put(s, s->stack[--s->nr_stack]);
	s->stack[s->nr_stack++] = obj;
	s->nr_used--;
}

void
map_slab_fini(struct map_slab *s)
{
	struct slab_block *b, *next;

	assert(s->nr_used == 0);
	while (s->nr_stack > 0)
		block_put(s, s->stack[--s->nr_stack]);
	for (b = s->partial; b != NULL; b = next) {
		next = b->next;
		block_release(b);
	}
}
