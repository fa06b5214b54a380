/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The conformance suite over the kernel's backends with a kernel in their place
 * that answers by the model's rules: what they make of its answers, and what it
 * is asked. test_vfio_kernel.c has the same over the kernel itself.
 */
#include <linux/vfio.h>

#include "fake_vfio.h"
#include "iommu_suite.h"
#include "vfio_impl.h"
#include "vfio_sys.h"
#include "weir_iommufd.h"
#include "weir_map.h"
#include "weir_vfio.h"

/* One column: how its context is opened, and what goes with it. */
#define VFIO_COLUMN(nm, col, want, flags)                                       \
	static int nm##_open(void **ctx)                                        \
	{                                                                       \
		return weir_vfio_create(fake_vfio_name(FAKE_DEV0), want, flags, \
					(struct weir_vfio **)ctx);              \
	}                                                                       \
	static const struct iommu_suite nm##_suite = {                          \
		.column = col,                                                  \
		.ops = &container_ops,                                          \
		.open = nm##_open,                                              \
		.limit_entries = (flags) == 0 && (col) != COL_VFIO_SPAPR        \
					 ? vfio_limit_entries                   \
					 : NULL,                                \
		.limit_locked = vfio_limit_locked,                              \
		.unmap_all = (col) != COL_VFIO_SPAPR ? vfio_unmap_all : NULL,   \
		.device_writes = vfio_device_writes,                            \
	}

static int
container_caps(void *ctx, struct weir_iommu_caps *caps)
{
	return weir_vfio_ops(ctx)->caps(ctx, caps);
}

static int
container_map(void *ctx, uint64_t iova, uint64_t hva, uint64_t len, uint32_t prot)
{
	return weir_vfio_ops(ctx)->map(ctx, iova, hva, len, prot);
}

static int
container_unmap(void *ctx, uint64_t iova, uint64_t len, uint64_t *unmapped)
{
	return weir_vfio_ops(ctx)->unmap(ctx, iova, len, unmapped);
}

static void
container_close(void *ctx)
{
	weir_vfio_ops(ctx)->close(ctx);
}

/* A container's calls are known when it is open, the suite wants them before. */
static const struct weir_iommu_ops container_ops = {
	.caps = container_caps,
	.map = container_map,
	.unmap = container_unmap,
	.close = container_close,
};

static int
vfio_limit_entries(void **ctx, uint64_t nr)
{
	weir_sim_set_limit(fake_vfio_sim(weir_vfio_fd(*ctx)), nr);
	return 0;
}

static int
vfio_limit_locked(void *ctx, uint64_t bytes)
{
	weir_sim_set_memlock(fake_vfio_sim(weir_vfio_fd(ctx)), bytes);
	return 0;
}

static int
vfio_unmap_all(void *ctx, uint64_t *unmapped)
{
	struct vfio_iommu_type1_dma_unmap u = {
		.argsz = sizeof(u),
		.flags = VFIO_DMA_UNMAP_FLAG_ALL,
	};
	int ret = vfio_ioctl(weir_vfio_fd(ctx), VFIO_IOMMU_UNMAP_DMA, &u);

	*unmapped = u.size;
	return ret;
}

static bool
sim_writes(struct weir_sim *s, uint64_t iova)
{
	struct weir_sim_dev d;
	uint64_t len = 1;
	bool sees;

	weir_sim_attach(s, &d);
	weir_sim_enter(&d);
	sees = weir_sim_translate(&d, iova, WEIR_PROT_WRITE, &len) != NULL;
	weir_sim_leave(&d);
	weir_sim_detach(&d);
	return sees;
}

static bool
vfio_device_writes(void *ctx, uint64_t iova, void *mem, size_t unit, size_t nr)
{
	(void)mem;
	(void)unit;
	(void)nr;
	return sim_writes(fake_vfio_sim(weir_vfio_fd(ctx)), iova);
}

static bool
iommufd_device_writes(void *ctx, uint64_t iova, void *mem, size_t unit, size_t nr)
{
	(void)mem;
	(void)unit;
	(void)nr;
	return sim_writes(fake_vfio_sim(weir_iommufd_fd(ctx)), iova);
}

static int
iommufd_open(void **ctx)
{
	struct weir_iommufd *f;
	int ret = weir_iommufd_create(&f);

	if (ret != 0)
		return ret;
	ret = weir_iommufd_attach(f, fake_vfio_name(FAKE_DEV0), NULL);
	if (ret != 0)
		weir_iommufd_destroy(f);
	*ctx = f;
	return ret;
}

static int
iommufd_limit_locked(void *ctx, uint64_t bytes)
{
	weir_sim_set_memlock(fake_vfio_sim(weir_iommufd_fd(ctx)), bytes);
	return 0;
}

static int
iommufd_unmap_all(void *ctx, uint64_t *unmapped)
{
	return weir_iommufd_ops.unmap(ctx, 0, UINT64_MAX, unmapped);
}

VFIO_COLUMN(v1, COL_TYPE1_V1, WEIR_VFIO_TYPE1_V1, 0);
VFIO_COLUMN(v2, COL_TYPE1_V2, WEIR_VFIO_ANY, 0);
VFIO_COLUMN(compat1, COL_COMPAT_V1, WEIR_VFIO_TYPE1_V1, WEIR_VFIO_COMPAT);
VFIO_COLUMN(compat2, COL_COMPAT_V2, WEIR_VFIO_TYPE1, WEIR_VFIO_COMPAT);
VFIO_COLUMN(spapr, COL_VFIO_SPAPR, WEIR_VFIO_ANY, 0);

static const struct iommu_suite iommufd_suite = {
	.column = COL_IOMMUFD,
	.ops = &weir_iommufd_ops,
	.open = iommufd_open,
	.limit_locked = iommufd_limit_locked,
	.unmap_all = iommufd_unmap_all,
	.device_writes = iommufd_device_writes,
};

typedef enum test_result (*suite_fn_t)(const struct iommu_suite *s);

/* A case of the suite over every column, each in a kernel of its own. */
static enum test_result
all_columns(suite_fn_t fn)
{
	static const struct iommu_suite *const suites[] = {
		&v1_suite,	&v2_suite,	&compat1_suite,
		&compat2_suite, &iommufd_suite, &spapr_suite,
	};

	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
		enum test_result res;

		TEST_ASSERT(fake_vfio_begin(&(struct fake_vfio_config){
			.spapr = suites[i]->column == COL_VFIO_SPAPR }));
		res = fn(suites[i]);
		TEST_EQ(fake_vfio_end(), 0);
		if (res == TEST_FAILED) {
			printf("    in column %u\n", (unsigned int)suites[i]->column);
			return res;
		}
	}
	return TEST_OK;
}

#define ALL_COLUMNS(what)                               \
	static enum test_result all_##what(void)        \
	{                                               \
		return all_columns(iommu_suite_##what); \
	}
ALL_COLUMNS(caps)
ALL_COLUMNS(unmap)
ALL_COLUMNS(unmap_arguments)
ALL_COLUMNS(unmap_all)
ALL_COLUMNS(unmap_2m)
ALL_COLUMNS(map)
ALL_COLUMNS(map_overlap)
ALL_COLUMNS(entry_limit)
ALL_COLUMNS(locked_limit)
ALL_COLUMNS(reopen)

static int
noiommu_open(void **ctx)
{
	return weir_vfio_create(fake_vfio_name(FAKE_DEV_NOIOMMU), WEIR_VFIO_NOIOMMU, 0,
				(struct weir_vfio **)ctx);
}

static enum test_result
vfio_noiommu_refuses_every_call(void)
{
	static const struct iommu_suite suite = {
		.ops = &vfio_noiommu_ops,
		.open = noiommu_open,
	};
	enum test_result res;

	TEST_ASSERT(fake_vfio_begin(&(struct fake_vfio_config){ 0 }));
	res = iommu_suite_refuses(&suite);
	TEST_EQ(fake_vfio_end(), 0);
	return res;
}

static const struct test_case vfio_suite_cases[] = {
	{ "vfio_caps_as_measured", all_caps },
	{ "vfio_unmap_as_measured", all_unmap },
	{ "vfio_unmap_bad_arguments_as_measured", all_unmap_arguments },
	{ "vfio_unmap_all_removes_all", all_unmap_all },
	{ "vfio_unmap_2m_entry_as_measured", all_unmap_2m },
	{ "vfio_map_as_measured", all_map },
	{ "vfio_map_overlap_refused", all_map_overlap },
	{ "vfio_entry_limit_enospc_after_eexist", all_entry_limit },
	{ "vfio_locked_limit_enomem", all_locked_limit },
	{ "vfio_reopen_empty", all_reopen },
	{ "vfio_noiommu_refuses_every_call", vfio_noiommu_refuses_every_call },
};
AUTOTEST(vfio_suite_autotest, vfio_suite_cases);
