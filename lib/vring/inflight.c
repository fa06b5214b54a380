/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include "weir_fail.h"
#include "weir_inflight.h"

_Static_assert(sizeof(struct weir_inflight_desc) == 16, "as the specification has it");
_Static_assert(offsetof(struct weir_inflight, desc) == 16, "as the specification has it");

/* A chain in flight, on its way into order. */
struct taken {
	uint64_t counter;
	uint16_t head;
};

/* Shared memory is read once. */
#define ONCE(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define PUT(x, v) __atomic_store_n(&(x), v, __ATOMIC_RELAXED)

uint64_t
weir_inflight_len(uint16_t size, bool packed)
{
	const uint64_t len =
		packed ? sizeof(struct weir_inflight_packed) +
				 size * sizeof(struct weir_inflight_packed_desc)
		       : sizeof(struct weir_inflight) +
				 size * sizeof(struct weir_inflight_desc);

	return (len + WEIR_INFLIGHT_ALIGN - 1) & ~(uint64_t)(WEIR_INFLIGHT_ALIGN - 1);
}

static int
taken_order(const void *a, const void *b)
{
	const struct taken *x = a, *y = b;

	if (x->counter != y->counter)
		return x->counter < y->counter ? -1 : 1;
	return x->head < y->head ? -1 : 1;
}

/* Chains of the last batch, which were given back: nothing is in flight of them. */
static void
batch_mark(const struct weir_inflight *area, uint16_t size, uint16_t batch, bool *given)
{
	uint16_t at = ONCE(area->last_batch_head);

	/* a batch is never longer than the ring, whatever used_idx says */
	for (uint32_t i = 0; i < batch && i < size && at < size; i++) {
		given[at] = true;
		at = ONCE(area->desc[at].next);
	}
}

/* Those in flight, in order. @return how many. */
static uint16_t
area_read(const struct weir_inflight *area, uint16_t size, const bool *given,
	  struct taken *t)
{
	uint16_t nr = 0;

	for (uint16_t i = 0; i < size; i++) {
		if (given[i] || ONCE(area->desc[i].inflight) == 0)
			continue;
		t[nr].counter = ONCE(area->desc[i].counter);
		t[nr++].head = i;
	}
	qsort(t, nr, sizeof(*t), taken_order);
	return nr;
}

/*
 * Make the area true for as long as they are given back in this order. At no
 * moment in between is it wrong: as long as used_idx is the old one the old list
 * counts, and then, nothing having been given back, none does.
 */
static void
area_write(struct weir_inflight *area, uint16_t size, uint16_t used_idx,
	   const bool *given, const struct taken *t, uint16_t nr)
{
	for (uint16_t i = 0; i < size; i++)
		if (given[i])
			PUT(area->desc[i].inflight, 0);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	PUT(area->used_idx, used_idx);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	/* the last leads to itself: a walk that goes on strikes off nothing more */
	for (uint16_t i = 0; i < nr; i++)
		PUT(area->desc[t[i].head].next, t[i + 1 < nr ? i + 1 : i].head);
	if (nr != 0)
		PUT(area->last_batch_head, t[0].head);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

int
weir_inflight_take(struct weir_inflight *area, uint16_t size, uint16_t used_idx,
		   uint16_t max, uint16_t *heads, uint16_t *nr)
{
	const uint16_t version = ONCE(area->version);
	struct taken *t;
	bool *given;
	uint16_t n;
	int ret = 0;

	if (version == 0) {
		PUT(area->nr_desc, size);
		PUT(area->used_idx, used_idx);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		PUT(area->version, WEIR_INFLIGHT_VERSION);
		*nr = 0;
		return 0;
	}
	if (version != WEIR_INFLIGHT_VERSION || ONCE(area->nr_desc) != size)
		return -EPROTO;
	t = weir_calloc(size, sizeof(*t));
	given = weir_calloc(size, sizeof(*given));
	if (t == NULL || given == NULL) {
		ret = -ENOMEM;
		goto out;
	}
	batch_mark(area, size, (uint16_t)(used_idx - ONCE(area->used_idx)), given);
	n = area_read(area, size, given, t);
	if (n > max) {
		ret = -EPROTO;
		goto out;
	}
	area_write(area, size, used_idx, given, t, n);
	for (uint16_t i = 0; i < n; i++)
		heads[i] = t[i].head;
	*nr = n;
out:
	free(given);
	free(t);
	return ret;
}
