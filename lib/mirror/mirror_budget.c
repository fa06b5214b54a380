/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>

#include "mirror_impl.h"
#include "weir_log.h"

/*
 * Entries that a backend which is yet to come is expected to hold: the default
 * of the kernel's vfio_iommu_type1.dma_entry_limit.
 */
#define ENTRIES_EXPECTED UINT64_C(65535)

/* A quarter of the entries left is kept for regions that come later. */
#define ENTRIES_KEPT(left) ((left) / 4)

static int
refuse(const struct mirror_backend *b, const struct weir_region *r, int err,
       const char *what, uint64_t limit)
{
	weir_log(WEIR_LOG_NOTICE,
		 "%s: %s cannot hold [%" PRIx64 "-%" PRIx64 "]: %s %" PRIu64, b->mirror,
		 b->caps.name, r->iova.start, r->iova.last, what, limit);
	return err;
}

/* Limits that stay as they are while the backend lives. */
static int
shape_check(const struct mirror_backend *b, const struct weir_region *r)
{
	const struct weir_iommu_caps *caps = &b->caps;
	uint64_t page = caps->page_sizes & -caps->page_sizes;

	if (!weir_range_aligned(r->iova, page) || r->hva % page != 0 ||
	    r->chunk % page != 0)
		return refuse(b, r, -EINVAL, "not a multiple of its page size", page);
	for (unsigned int i = 0; i < caps->nr_apertures; i++)
		if (weir_range_contains(caps->aperture[i], r->iova))
			return 0;
	return caps->nr_apertures == 0
		       ? 0
		       : refuse(b, r, -ERANGE, "outside its apertures, of which it has",
				caps->nr_apertures);
}

static bool
totals_fit(const struct mirror_backend *b, const struct weir_map_totals *after)
{
	return after->pieces <= b->caps.max_entries &&
	       after->pages <= b->caps.max_locked / WEIR_MAP_PAGE;
}

int
budget_check(struct mirror_backend *b, const struct weir_region *r,
	     const struct weir_map_totals *after)
{
	int ret = shape_check(b, r);

	if (ret != 0 || totals_fit(b, after))
		return ret;
	/* entries and locked memory are shared with others, and may be free by now */
	ret = backend_caps(b);
	if (ret != 0 || totals_fit(b, after))
		return ret;
	if (after->pieces > b->caps.max_entries)
		return refuse(b, r, -ENOSPC, "entries it may have", b->caps.max_entries);
	return refuse(b, r, -ENOMEM, "bytes it may pin", b->caps.max_locked);
}

/* Entries left in the backend that has the fewest. 0 also stands for: all split. */
static uint64_t
entries_left(struct weir_mirror *m, bool *all_split)
{
	uint64_t used = weir_map_totals(m->map).pieces, left = UINT64_MAX;
	bool any = false;

	*all_split = true;
	for (size_t i = 0; i < m->nr_backends; i++) {
		struct mirror_backend *b = &m->backend[i];
		uint64_t max;

		if (b->broken)
			continue;
		any = true;
		if (b->caps.splits)
			continue;
		*all_split = false;
		/* others take entries too; if it does not say, what it said before */
		(void)backend_caps(b);
		max = b->caps.max_entries;
		if (max != UINT64_MAX)
			max = max > used ? max - used : 0;
		left = max < left ? max : left;
	}
	if (any)
		return left;
	*all_split = false;
	return used < ENTRIES_EXPECTED ? ENTRIES_EXPECTED - used : 0;
}

uint64_t
budget_chunk(struct weir_mirror *m, uint64_t len, uint64_t granule)
{
	bool all_split;
	uint64_t left = entries_left(m, &all_split);

	if (all_split)
		return 0;
	if (granule == 0)
		return len;
	left -= ENTRIES_KEPT(left);
	while (granule < len && (len - 1) / granule >= left)
		if (__builtin_mul_overflow(granule, 2, &granule))
			return len;
	return granule < len ? granule : len;
}
