/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FAKE_IOMMU_H
#define FAKE_IOMMU_H
/*
 * A backend for tests of lib/mirror: an array of pages, each of which knows
 * which entry it is part of. It is strict (anything but a whole entry is an
 * error the mirror must never make), and can be told to fail or to lie.
 */
#include <string.h>

#include "weir_iommu.h"
#include "weir_map.h"

#define FAKE_PAGES 1024 /* iovas from 0 to 4 MiB */

/* How the fake answers an unmap, once armed. */
enum fake_lie {
	FAKE_HONEST,
	FAKE_REFUSES,	   /* nothing is done, and the error says so */
	FAKE_SAYS_NOTHING, /* 0 bytes and no error; it stays mapped */
	FAKE_GONE,	   /* it was gone before: 0 bytes, no error */
	FAKE_GONE_ENOENT,  /* the same, with -ENOENT */
	FAKE_HALF,	   /* the first half goes, the rest with the next call */
	FAKE_TORN,	   /* the first half goes, and never the rest */
	FAKE_NEIGHBOUR,	   /* the entry after it goes too */
};

struct fake_page {
	uint32_t entry; /* 0: not mapped */
	uint64_t hva;
	uint32_t prot;
};

struct fake_iommu {
	struct weir_iommu_caps caps;
	struct fake_page page[FAKE_PAGES];
	uint32_t last_entry;
	uint64_t nr_entries;
	uint64_t nr_calls;    /* of map and unmap */
	uint64_t nr_mistakes; /* calls that no correct mirror makes */
	bool closed;

	uint64_t fail_map_at; /* that map call from now on (1: the next) fails */
	int fail_err;
	uint64_t lie_at; /* that unmap call from now on lies */
	enum fake_lie lie;
	bool deaf; /* every call fails with fail_err from now on */
};

extern const struct weir_iommu_ops fake_iommu_ops;

/* A backend that cannot split, has no limits, and holds nothing. */
void fake_iommu_init(struct fake_iommu *f, const char *name);

/* True if what it has mapped is what @m has, page by page and entry by entry. */
bool fake_iommu_follows(const struct fake_iommu *f, struct weir_map *m);

#endif /* FAKE_IOMMU_H */
