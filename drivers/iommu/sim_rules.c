/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What each kernel interface answers. The order of the checks is the kernel's,
 * since it decides which errno a call with two faults gets: type1 finds an
 * overlap before it finds the table full, and both before an iova outside the
 * apertures; iommufd finds the aperture first.
 */
#include "sim_impl.h"
#include "weir_map.h"

#define PAGE_SIZES (UINT64_C(1) << 12 | UINT64_C(1) << 21 | UINT64_C(1) << 30)
#define PROT_ANY (WEIR_PROT_READ | WEIR_PROT_WRITE)

const struct weir_range sim_apertures[2] = {
	{ 0, UINT64_C(0xfedfffff) },
	{ UINT64_C(0xfef00000), (UINT64_C(1) << SIM_PT_BITS) - 1 },
};

static bool
aligned(uint64_t bits)
{
	return (bits & (SIM_PT_PAGE - 1)) == 0;
}

static bool
in_apertures(struct weir_range iova)
{
	return weir_range_contains(sim_apertures[0], iova) ||
	       weir_range_contains(sim_apertures[1], iova);
}

static int
type1_map(struct weir_sim *s, uint64_t iova, uint64_t hva, uint64_t len, uint32_t prot,
	  struct sim_request *req)
{
	if (prot == 0 || (prot & ~PROT_ANY) != 0 || !aligned(iova | hva | len))
		return -EINVAL;
	if (weir_range_make(&req->iova, iova, len) != 0 ||
	    weir_range_make(&req->hva, hva, len) != 0)
		return -EINVAL;
	if (weir_tree_overlap(&s->entries, req->iova) != NULL)
		return -EEXIST;
	if (s->entries.nr_nodes >= s->max_entries)
		return -ENOSPC;
	if (!in_apertures(req->iova))
		return -EINVAL;
	req->prot = prot;
	return 0;
}

static int
type1_unmap_range(uint64_t iova, uint64_t len, struct weir_range *r)
{
	if (!aligned(iova | len) || weir_range_make(r, iova, len) != 0)
		return -EINVAL;
	return 0;
}

/*
 * v1 does not look where entries end: the first one may not begin before the
 * range, else nothing is done and the answer is yes; all that begin inside it
 * go whole, also the last one that reaches beyond it.
 */
static int
type1v1_unmap(struct weir_sim *s, uint64_t iova, uint64_t len, uint64_t *unmapped)
{
	struct weir_tree_node *n;
	struct weir_range r;
	int ret = type1_unmap_range(iova, len, &r);

	if (ret != 0)
		return ret;
	n = weir_tree_overlap(&s->entries, r);
	if (n != NULL && n->key.start >= r.start)
		sim_remove_until(s, n, r.last, unmapped);
	return 0;
}

/* v2 refuses to split an entry, before it has removed any. */
static int
type1v2_unmap(struct weir_sim *s, uint64_t iova, uint64_t len, uint64_t *unmapped)
{
	struct weir_range r;
	int ret = type1_unmap_range(iova, len, &r);

	if (ret != 0)
		return ret;
	if (weir_tree_bisects(&s->entries, r))
		return -EINVAL;
	sim_remove_until(s, weir_tree_overlap(&s->entries, r), r.last, unmapped);
	return 0;
}

static int
iommufd_map_checks(const struct weir_sim *s, uint64_t iova, uint64_t hva, uint64_t len,
		   struct sim_request *req)
{
	if (len == 0)
		return -EINVAL;
	/* the byte after the last has to have an address, too */
	if (weir_range_make(&req->hva, hva, len) != 0 || req->hva.last == UINT64_MAX)
		return -EOVERFLOW;
	if (!aligned(iova | len))
		return -EINVAL;
	if (weir_range_make(&req->iova, iova, len) != 0)
		return -EOVERFLOW;
	if (!in_apertures(req->iova))
		return -EINVAL;
	if (weir_tree_overlap(&s->entries, req->iova) != NULL)
		return -EEXIST;
	if (!aligned(hva))
		return -EINVAL;
	return s->entries.nr_nodes >= s->max_entries ? -ENOSPC : 0;
}

static int
iommufd_map(struct weir_sim *s, uint64_t iova, uint64_t hva, uint64_t len, uint32_t prot,
	    struct sim_request *req)
{
	if ((prot & ~PROT_ANY) != 0)
		return -EOPNOTSUPP;
	if (iova == UINT64_MAX || len == UINT64_MAX)
		return -EOVERFLOW;
	if (prot == 0)
		return -EINVAL;
	req->prot = prot;
	return iommufd_map_checks(s, iova, hva, len, req);
}

static int
compat_map(struct weir_sim *s, uint64_t iova, uint64_t hva, uint64_t len, uint32_t prot,
	   struct sim_request *req)
{
	if ((prot & ~PROT_ANY) != 0)
		return -EINVAL;
	req->prot = prot; /* 0 is refused by the IOMMU, when all else is done */
	return iommufd_map_checks(s, iova, hva, len, req);
}

/*
 * iommufd removes entry after entry and stops at the first that reaches out of
 * the range. What went before stays gone.
 */
static int
iommufd_remove(struct weir_sim *s, struct weir_range r, uint64_t *unmapped)
{
	struct weir_tree_node *n = weir_tree_overlap(&s->entries, r);

	while (n != NULL && n->key.start <= r.last) {
		struct weir_tree_node *next = weir_tree_next(n);

		if (!weir_range_contains(r, n->key))
			return -ENOENT;
		*unmapped += weir_range_len(n->key);
		sim_remove(s, sim_entry_of(n));
		n = next;
	}
	return 0;
}

/* Of what went before a failure the caller is told by the container alone. */
static int
iommufd_unmap(struct weir_sim *s, uint64_t iova, uint64_t len, uint64_t *unmapped)
{
	struct weir_range r;
	int ret;

	if (iova == 0 && len == UINT64_MAX) {
		r = (struct weir_range){ 0, UINT64_MAX };
		return iommufd_remove(s, r, unmapped);
	}
	if (iova == UINT64_MAX || len == UINT64_MAX)
		return -EOVERFLOW;
	ret = weir_range_make(&r, iova, len);
	if (ret == 0)
		ret = iommufd_remove(s, r, unmapped);
	if (ret != 0)
		*unmapped = 0;
	return ret == 0 && *unmapped == 0 ? -ENOENT : ret;
}

static int
compatv2_unmap(struct weir_sim *s, uint64_t iova, uint64_t len, uint64_t *unmapped)
{
	struct weir_range r;
	int ret = weir_range_make(&r, iova, len);

	return ret == 0 ? iommufd_remove(s, r, unmapped) : ret;
}

/*
 * v1's promise that any part can be unmapped: cut entries at both ends first. It
 * does so before it looks at the range, so that one that wraps cuts at what its
 * sum has become.
 */
static int
compatv1_unmap(struct weir_sim *s, uint64_t iova, uint64_t len, uint64_t *unmapped)
{
	struct weir_range r;
	int ret = sim_cut(s, iova + len - 1);

	if (ret == 0 && iova != 0)
		ret = sim_cut(s, iova - 1);
	if (ret == 0)
		ret = weir_range_make(&r, iova, len);
	return ret == 0 ? iommufd_remove(s, r, unmapped) : ret;
}

static const struct sim_rules rules[] = {
	[WEIR_SIM_TYPE1_V1] = {
		.name = "sim/type1v1",
		.page_sizes = PAGE_SIZES,
		.max_entries = 65535,
		.map = type1_map,
		.unmap = type1v1_unmap,
	},
	[WEIR_SIM_TYPE1_V2] = {
		.name = "sim/type1v2",
		.page_sizes = PAGE_SIZES,
		.max_entries = 65535,
		.map = type1_map,
		.unmap = type1v2_unmap,
	},
	[WEIR_SIM_IOMMUFD] = {
		.name = "sim/iommufd",
		.page_sizes = SIM_PT_PAGE, /* it tells its alignment only */
		.max_entries = UINT64_MAX,
		.map = iommufd_map,
		.unmap = iommufd_unmap,
	},
	[WEIR_SIM_COMPAT_V1] = {
		.name = "sim/iommufd-compat-v1",
		.page_sizes = PAGE_SIZES,
		.max_entries = UINT64_MAX,
		.splits = true,
		.map = compat_map,
		.unmap = compatv1_unmap,
	},
	[WEIR_SIM_COMPAT_V2] = {
		.name = "sim/iommufd-compat-v2",
		.page_sizes = PAGE_SIZES,
		.max_entries = UINT64_MAX,
		.map = compat_map,
		.unmap = compatv2_unmap,
	},
	[WEIR_SIM_NOIOMMU] = {
		.name = "sim/noiommu",
		.refuse = -ENOTTY,
	},
};

const struct sim_rules *
sim_rules_of(enum weir_sim_flavour flavour)
{
	if (flavour == WEIR_SIM_SPAPR)
		return &sim_rules_spapr;
	if ((size_t)flavour >= sizeof(rules) / sizeof(rules[0]))
		return NULL;
	return &rules[flavour];
}
