/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GMEM_NEAR_H
#define GMEM_NEAR_H
/*
 * Translations of many addresses in a loop, most of them in the same slot.
 */
#include "weir_gmem.h"

/** A slot as a loop holds it, in registers. */
struct weir_gmem_near {
	uint64_t start; /**< its first gpa */
	uint64_t room;	/**< its bytes; 0: no slot */
	uint64_t hva;	/**< of its first byte */
	uint64_t iova;	/**< the same, for a DMA engine */
};

/** A slot, to begin with. */
static inline struct weir_gmem_near
weir_gmem_near(const struct weir_gmem_slot *s)
{
	/* it is memory of this process, so its length does not wrap */
	return (struct weir_gmem_near){ s->gpa.start, weir_range_len(s->gpa), s->hva,
					s->iova };
}

/** The slot of the last hit: what a loop begins with. Any hint is safe. */
static inline struct weir_gmem_near
weir_gmem_near_first(const struct weir_gmem *g, uint32_t hint)
{
	if (__builtin_expect(hint >= g->nr_slots, 0))
		return (struct weir_gmem_near){ 0 };
	return weir_gmem_near(&g->slot[hint]);
}

/** The slot that holds an address, or none. Not inlined: it would take a loop's
 * registers. Data plane. */
struct weir_gmem_near weir_gmem_near_find(const struct weir_gmem *g, struct weir_gpa gpa,
					  uint32_t *hint);

/** True if all of a stretch, of @p len bytes, not 0, is in the slot. */
static inline __attribute__((always_inline)) bool
weir_gmem_near_has(const struct weir_gmem_near *near, struct weir_gpa gpa, uint64_t len)
{
	uint64_t off = gpa.v - near->start;

	return off < near->room && len <= near->room - off;
}

/** Where a stretch is that is all in the slot. */
static inline __attribute__((always_inline)) void *
weir_gmem_near_hva(const struct weir_gmem_near *near, struct weir_gpa gpa)
{
	return (void *)(uintptr_t)(near->hva + (gpa.v - near->start));
}

/** The same for a DMA engine. */
static inline __attribute__((always_inline)) uint64_t
weir_gmem_near_iova(const struct weir_gmem_near *near, struct weir_gpa gpa)
{
	return near->iova + (gpa.v - near->start);
}

#endif /* GMEM_NEAR_H */
