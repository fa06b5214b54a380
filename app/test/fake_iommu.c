/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "fake_iommu.h"
#include "weir_plan.h"

#define PAGE WEIR_MAP_PAGE

void
fake_iommu_init(struct fake_iommu *f, const char *name)
{
	memset(f, 0, sizeof(*f));
	f->caps = (struct weir_iommu_caps){ .name = name,
					    .page_sizes = PAGE,
					    .max_entries = UINT64_MAX,
					    .max_locked = UINT64_MAX };
}

static int
fake_caps(void *ctx, struct weir_iommu_caps *caps)
{
	struct fake_iommu *f = ctx;

	*caps = f->caps;
	return f->deaf ? f->fail_err : 0;
}

static bool
fits(uint64_t iova, uint64_t len)
{
	return len != 0 && iova % PAGE == 0 && len % PAGE == 0 &&
	       iova / PAGE < FAKE_PAGES && len / PAGE <= FAKE_PAGES - iova / PAGE;
}

static int
fake_map(void *ctx, uint64_t iova, uint64_t hva, uint64_t len, uint32_t prot)
{
	struct fake_iommu *f = ctx;

	f->nr_calls++;
	if (f->deaf || (f->fail_map_at != 0 && --f->fail_map_at == 0))
		return f->fail_err;
	if (!fits(iova, len)) {
		f->nr_mistakes++;
		return -EINVAL;
	}
	for (uint64_t i = iova / PAGE; i < (iova + len) / PAGE; i++)
		if (f->page[i].entry != 0)
			return -EEXIST;
	f->last_entry++;
	f->nr_entries++;
	for (uint64_t i = 0; i < len / PAGE; i++)
		f->page[iova / PAGE + i] = (struct fake_page){ .entry = f->last_entry,
							       .hva = hva + i * PAGE,
							       .prot = prot };
	return 0;
}

static void
forget(struct fake_iommu *f, uint64_t page, uint64_t nr)
{
	for (uint64_t i = page; i < page + nr; i++) {
		uint32_t entry = f->page[i].entry;

		f->page[i].entry = 0;
		/* its last page: entries are stretches, so look at the sides */
		if (entry != 0 && (i == 0 || f->page[i - 1].entry != entry) &&
		    (i + 1 == FAKE_PAGES || f->page[i + 1].entry != entry))
			f->nr_entries--;
	}
}

/* True if [page, page + nr) is whole entries. */
static bool
whole(const struct fake_iommu *f, uint64_t page, uint64_t nr)
{
	uint64_t end = page + nr;

	for (uint64_t i = page; i < end; i++)
		if (f->page[i].entry == 0)
			return false;
	return (page == 0 || f->page[page - 1].entry != f->page[page].entry) &&
	       (end == FAKE_PAGES || f->page[end].entry != f->page[end - 1].entry);
}

static int
lie(struct fake_iommu *f, uint64_t page, uint64_t nr, uint64_t *unmapped)
{
	switch (f->lie) {
	case FAKE_REFUSES:
		return f->fail_err;
	case FAKE_SAYS_NOTHING:
		return 0;
	case FAKE_GONE:
	case FAKE_GONE_ENOENT:
		forget(f, page, nr);
		return f->lie == FAKE_GONE ? 0 : -ENOENT;
	case FAKE_HALF:
	case FAKE_TORN:
		forget(f, page, nr / 2);
		*unmapped = nr / 2 * PAGE;
		f->deaf = f->lie == FAKE_TORN;
		return 0;
	case FAKE_NEIGHBOUR:
		for (uint64_t end = page + nr, e = f->page[end].entry;
		     end + 1 < FAKE_PAGES && e != 0 && f->page[end].entry == e; end++)
			nr++;
		break;
	case FAKE_HONEST:
		break;
	}
	forget(f, page, nr);
	*unmapped = nr * PAGE;
	return 0;
}

static int
fake_unmap(void *ctx, uint64_t iova, uint64_t len, uint64_t *unmapped)
{
	struct fake_iommu *f = ctx;
	bool second = f->lie == FAKE_HALF && f->lie_at == 0;

	f->nr_calls++;
	*unmapped = 0;
	if (f->deaf)
		return f->fail_err;
	if (!fits(iova, len)) {
		f->nr_mistakes++;
		return -EINVAL;
	}
	if (f->lie_at != 0 && --f->lie_at == 0)
		return lie(f, iova / PAGE, len / PAGE, unmapped);
	if (second || f->caps.splits) {
		for (uint64_t i = iova / PAGE; i < (iova + len) / PAGE; i++)
			*unmapped += f->page[i].entry != 0 ? PAGE : 0;
		forget(f, iova / PAGE, len / PAGE);
		f->lie = second ? FAKE_HONEST : f->lie;
		return 0;
	}
	if (!whole(f, iova / PAGE, len / PAGE)) {
		for (uint64_t i = iova / PAGE; i < (iova + len) / PAGE; i++)
			f->nr_mistakes += f->page[i].entry != 0;
		return -ENOENT;
	}
	forget(f, iova / PAGE, len / PAGE);
	*unmapped = len;
	return 0;
}

static void
fake_close(void *ctx)
{
	struct fake_iommu *f = ctx;

	forget(f, 0, FAKE_PAGES);
	f->closed = true;
}

const struct weir_iommu_ops fake_iommu_ops = {
	.caps = fake_caps,
	.map = fake_map,
	.unmap = fake_unmap,
	.close = fake_close,
};

struct follow {
	const struct fake_iommu *f;
	uint64_t next; /* page not yet compared */
};

static bool
none_mapped(const struct fake_iommu *f, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i < to; i++)
		if (f->page[i].entry != 0)
			return false;
	return true;
}

static int
follow_region(const struct weir_region *r, void *arg)
{
	struct follow *w = arg;
	const struct fake_iommu *f = w->f;
	struct weir_region rest = *r;
	struct weir_piece pc;
	bool more = true;

	if (!none_mapped(f, w->next, r->iova.start / PAGE))
		return -EIO;
	while (more) {
		more = weir_region_cut(&rest, &pc);
		if (!f->caps.splits &&
		    !whole(f, pc.iova.start / PAGE, weir_range_len(pc.iova) / PAGE))
			return -EIO;
		for (uint64_t a = pc.iova.start; a < pc.iova.last; a += PAGE) {
			const struct fake_page *p = &f->page[a / PAGE];

			if (p->entry == 0 || p->prot != r->prot ||
			    p->hva != pc.hva + (a - pc.iova.start))
				return -EIO;
		}
	}
	w->next = (r->iova.last + 1) / PAGE;
	return 0;
}

bool
fake_iommu_follows(const struct fake_iommu *f, struct weir_map *m)
{
	struct follow w = { .f = f };

	return weir_map_walk(m, follow_region, &w) == 0 &&
	       none_mapped(f, w.next, FAKE_PAGES);
}
