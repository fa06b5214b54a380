/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PERF_MAP_H
#define PERF_MAP_H
/*
 * Parts of `weir-perf map`. What is compared, and why so, is in
 * doc/performance.md.
 */
#include <stdbool.h>
#include <stdint.h>

#include "perf.h"
#include "weir_mirror.h"

/*
 * Regions of one page lie in slots of four pages: neighbours do not abut, and a
 * page between two of them is free for a pair of map and unmap.
 */
#define MAP_SLOT (4 * WEIR_MAP_PAGE)
#define MAP_PAIR_OFFSET (2 * WEIR_MAP_PAGE)

/** A region of one page at @p iova, to memory at @p hva. */
static inline struct weir_region
map_region(uint64_t iova, uint64_t hva)
{
	struct weir_region r = { .hva = hva,
				 .chunk = WEIR_MAP_PAGE,
				 .prot = WEIR_PROT_READ | WEIR_PROT_WRITE };

	/* it cannot wrap: slots are far from the end */
	(void)weir_range_make(&r.iova, iova, WEIR_MAP_PAGE);
	return r;
}

/** Numbers that differ; state is not 0. */
static inline uint64_t
map_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/**
 * A thing that maps and unmaps pages: EAL's container, or a mirror with a
 * backend.
 */
struct map_side {
	int (*map)(struct map_side *s, uint64_t iova);
	int (*unmap)(struct map_side *s, uint64_t iova);
	struct weir_mirror *mirror; /**< NULL: EAL */
	uint64_t base;		    /**< iova of slot 0 */
	uint64_t slots;		    /**< regions it has, in as many slots */
};

/** The page for a pair, behind one of the regions. */
static inline uint64_t
map_pair_iova(const struct map_side *s, uint64_t *random)
{
	return s->base + map_random(random) % s->slots * MAP_SLOT + MAP_PAIR_OFFSET;
}

/**
 * EAL with a VFIO device in its default container, and memory for regions.
 *
 * @param cpu  Where the caller goes on.
 * @return 0; -ENOTSUP: cannot run here, which has been said; -errno.
 */
int map_bench_open(int cpu);
void map_bench_close(void);

/** EAL's side. */
int map_side_eal(struct map_side *s);

/** A mirror with a container of its own, around the i-th device of it, from 1. */
int map_side_own(struct map_side *s, unsigned int device);

/** A mirror in EAL's container, as a backend beside EAL's own maps. */
int map_side_adopted(struct map_side *s);

/** Map regions in slots from 0 on. */
int map_side_fill(struct map_side *s, uint64_t slots);

/** Check that it holds what it was filled with; free it. @return 0; -EPROTO. */
int map_side_close(struct map_side *s);

/**
 * While it is set, VFIO_IOMMU_MAP_DMA and _UNMAP_DMA answer at once, whoever
 * calls: what is left is the caller's own work.
 */
extern bool map_calls_instant;

/** The thread's own time: what the machine does meanwhile for others is not in it. */
double map_now_ns(void);

/* Rows about reading (map_read.c). */

int map_lookup_rows(struct perf_report *r, unsigned int rounds);

/** @param side  The writer's, a mirror. @param cpu  The readers'. */
int map_reader_rows(struct map_side *side, struct perf_report *r, unsigned int rounds,
		    int cpu);

#endif /* PERF_MAP_H */
