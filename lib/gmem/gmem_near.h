/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GMEM_NEAR_H
#define GMEM_NEAR_H
/*
 * Translations of many addresses in a loop, most of them in the same slot.
 */
#include "weir_gmem.h"

/** A slot as a loop holds it, in registers: what follows is always inlined. */
struct weir_gmem_near {
	struct weir_range gpa;
	uint64_t hva;  /**< of gpa.start */
	uint64_t iova; /**< the same, for a DMA engine */
};

/** What to begin such a loop with: no slot. */
#define WEIR_GMEM_NEAR_NONE ((struct weir_gmem_near){ .gpa = { 1, 0 } })

/**
 * Translate a stretch of guest memory that is whole in this process, of many in a
 * loop. Data plane.
 *
 * @param near  The last one's slot, of the same table.
 * @param len   Bytes, not 0.
 * @return the host address; NULL: not every byte is in one slot.
 */
static inline __attribute__((always_inline)) void *
weir_gmem_whole(const struct weir_gmem *g, struct weir_gmem_near *near,
		struct weir_gpa gpa, uint64_t len, uint32_t *hint)
{
	if (__builtin_expect(!weir_range_has(near->gpa, gpa.v), 0)) {
		const struct weir_gmem_slot *s = weir_gmem_find(g, gpa, hint);

		if (s == NULL)
			return NULL;
		near->gpa = s->gpa;
		near->hva = s->hva;
		near->iova = s->iova;
	}
	if (__builtin_expect(len - 1 > near->gpa.last - gpa.v, 0))
		return NULL;
	return (void *)(uintptr_t)(near->hva + (gpa.v - near->gpa.start));
}

/** The DMA address of what was translated last. Data plane. */
static inline __attribute__((always_inline)) uint64_t
weir_gmem_near_iova(const struct weir_gmem_near *near, struct weir_gpa gpa)
{
	return near->iova + (gpa.v - near->gpa.start);
}

#endif /* GMEM_NEAR_H */
