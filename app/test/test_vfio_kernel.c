/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The conformance suite over the kernel itself, for each of its interfaces, with
 * a device that shows whether what the interface says is so. devtools/vm runs it
 * where there is such a device; anywhere else it is skipped.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vfio_bench.h"
#include "vfio_impl.h"
#include "weir_map.h"

#define PAGE UINT64_C(0x1000)
#define BASE UINT64_C(0x1000000)
#define RW (WEIR_PROT_READ | WEIR_PROT_WRITE)
#define UNTOUCHED UINT32_C(0x57e1da7a)

/* edu's memory holds zeros at first, and nothing here writes UNTOUCHED to it. */
static bool
device_writes(void *ctx, uint64_t iova, void *mem, size_t unit, size_t nr)
{
	struct vfio_bench *b = ctx;
	bool changed = false;

	for (size_t i = 0; i < nr; i++)
		memcpy((char *)mem + i * unit, &(uint32_t){ UNTOUCHED },
		       sizeof(uint32_t));
	if (!edu_write(&b->edu, iova, sizeof(uint32_t)))
		printf("    edu does not finish\n");
	for (size_t i = 0; i < nr; i++) {
		uint32_t word;

		memcpy(&word, (const char *)mem + i * unit, sizeof(word));
		changed |= word != UNTOUCHED;
	}
	return changed;
}

static int
bench_caps(void *ctx, struct weir_iommu_caps *caps)
{
	struct vfio_bench *b = ctx;

	return b->ops->caps(b->ctx, caps);
}

static int
bench_map(void *ctx, uint64_t iova, uint64_t hva, uint64_t len, uint32_t prot)
{
	struct vfio_bench *b = ctx;

	return b->ops->map(b->ctx, iova, hva, len, prot);
}

static int
bench_unmap(void *ctx, uint64_t iova, uint64_t len, uint64_t *unmapped)
{
	struct vfio_bench *b = ctx;

	return b->ops->unmap(b->ctx, iova, len, unmapped);
}

static void
bench_close(void *ctx)
{
	vfio_bench_close(ctx, true);
	free(ctx);
}

static const struct weir_iommu_ops bench_ops = {
	.caps = bench_caps,
	.map = bench_map,
	.unmap = bench_unmap,
	.close = bench_close,
};

static int
bench_open(void **ctx, enum iommu_column column)
{
	struct vfio_bench *b = malloc(sizeof(*b));
	int ret = b != NULL ? vfio_bench_open(b, column) : -ENOMEM;

	if (ret != 0) {
		printf("    error %d\n", -ret);
		free(b);
		return ret;
	}
	*ctx = b;
	return 0;
}

/* The kernel looks at its limit when a container is opened. */
static int
bench_limit_entries(void **ctx, uint64_t nr)
{
	struct vfio_bench *b = *ctx;
	const char *name = edu_find();
	enum weir_vfio_iommu iommu = weir_vfio_iommu(b->vfio);
	int ret = vfio_bench_limit_entries(nr);

	if (ret != 0)
		return ret;
	vfio_bench_close(b, true);
	ret = weir_vfio_create(name, iommu, 0, &b->vfio);
	b->ctx = ret == 0 ? b->vfio : NULL;
	return ret;
}

static int
bench_limit_locked(void *ctx, uint64_t bytes)
{
	(void)ctx;
	return vfio_bench_limit_locked(bytes);
}

static int
bench_unmap_all(void *ctx, uint64_t *unmapped)
{
	struct vfio_bench *b = ctx;
	struct vfio_iommu_type1_dma_unmap u = {
		.argsz = sizeof(u),
		.flags = VFIO_DMA_UNMAP_FLAG_ALL,
	};
	int ret;

	if (b->vfio == NULL)
		return b->ops->unmap(b->ctx, 0, UINT64_MAX, unmapped);
	ret = ioctl(weir_vfio_fd(b->vfio), VFIO_IOMMU_UNMAP_DMA, &u);
	*unmapped = u.size;
	return ret == 0 ? 0 : -errno;
}

/* An adopted container's type and entries, beside an owner of either version. */
static enum test_result
adopt_steps(struct vfio_bench *b, enum weir_vfio_iommu type)
{
	static _Alignas(4096) char mem[4 * 4096];
	uint64_t hva = (uint64_t)(uintptr_t)mem, gone;
	struct weir_iommu_caps caps;
	struct weir_vfio *guest;

	TEST_EQ(b->ops->map(b->ctx, BASE, hva, PAGE, RW), 0);
	TEST_EQ(weir_vfio_adopt(weir_vfio_fd(b->vfio), &guest), 0);
	TEST_EQ(weir_vfio_iommu(guest), type);
	TEST_EQ(weir_vfio_ops(guest)->map(guest, BASE, hva, PAGE, RW), -EEXIST);
	TEST_EQ(weir_vfio_ops(guest)->map(guest, BASE + PAGE, hva, PAGE, RW), 0);
	TEST_EQ(weir_vfio_ops(guest)->caps(guest, &caps), 0);
	if (type != WEIR_VFIO_TYPE1)
		TEST_EQ(caps.max_entries, 65534);
	weir_vfio_destroy(guest);
	/* the owner's is there still, ours is not */
	TEST_EQ(b->ops->map(b->ctx, BASE + PAGE, hva, PAGE, RW), 0);
	TEST_EQ(b->ops->unmap(b->ctx, BASE, 2 * PAGE, &gone), 0);
	TEST_EQ(gone, 2 * PAGE);
	return TEST_OK;
}

static enum test_result
adopt(enum iommu_column column, enum weir_vfio_iommu type)
{
	struct vfio_bench b;
	enum test_result res;

	TEST_EQ(vfio_bench_open(&b, column), 0);
	res = adopt_steps(&b, type);
	vfio_bench_close(&b, true);
	return res;
}

/* With the last group all entries go, and the container can be set up again. */
static enum test_result
group_gone_steps(struct vfio_bench *b, const char *edu, const char *other)
{
	static _Alignas(4096) char mem[4096];
	uint64_t hva = (uint64_t)(uintptr_t)mem;

	TEST_EQ(weir_vfio_attach(b->vfio, other), 0);
	TEST_EQ(b->ops->map(b->ctx, BASE, hva, PAGE, RW), 0);
	edu_close(&b->edu);
	TEST_EQ(weir_vfio_detach(b->vfio, edu), 0);
	TEST_EQ(b->ops->map(b->ctx, BASE, hva, PAGE, RW), -EEXIST);
	TEST_EQ(weir_vfio_detach(b->vfio, other), 0);
	TEST_EQ(b->ops->map(b->ctx, BASE, hva, PAGE, RW), -EINVAL);
	TEST_EQ(weir_vfio_attach(b->vfio, edu), 0);
	TEST_EQ(b->ops->map(b->ctx, BASE, hva, PAGE, RW), 0);
	return TEST_OK;
}

static enum test_result
group_gone(enum iommu_column column, enum weir_vfio_iommu type)
{
	struct vfio_bench b;
	enum test_result res;
	char other[32];

	if (!vfio_pci_find("0x8086", "0x10d3", 0, other))
		return test_skip("no e1000e is bound to vfio-pci, to be a second group");
	TEST_EQ(vfio_bench_open(&b, column), 0);
	res = group_gone_steps(&b, edu_find(), other);
	if (res == TEST_OK)
		TEST_EQ(weir_vfio_iommu(b.vfio), type);
	vfio_bench_close(&b, true);
	return res;
}

/* The suite over a column, as an autotest; `...` are cases of a container's. */
#define COLUMN(nm, col, limits, ...)                                         \
	static int nm##_open(void **ctx)                                     \
	{                                                                    \
		return bench_open(ctx, col);                                 \
	}                                                                    \
	static const char *nm##_missing(void)                                \
	{                                                                    \
		return vfio_bench_missing(col);                              \
	}                                                                    \
	static const struct iommu_suite nm##_suite = {                       \
		.column = col,                                               \
		.missing = nm##_missing,                                     \
		.ops = &bench_ops,                                           \
		.open = nm##_open,                                           \
		.limit_entries = (limits) ? bench_limit_entries : NULL,      \
		.limit_locked = bench_limit_locked,                          \
		.unmap_all = bench_unmap_all,                                \
		.device_writes = device_writes,                              \
	};                                                                   \
	IOMMU_SUITE_CASES(nm)                                                \
	static const struct test_case nm##_cases[] = { IOMMU_SUITE_ROWS(nm), \
						       __VA_ARGS__ };        \
	AUTOTEST(nm##_autotest, nm##_cases)

/* A case of a container's, for one column. */
#define CONTAINER_CASE(nm, what, col, type)                                  \
	static enum test_result nm##_##what(void)                            \
	{                                                                    \
		const char *why = vfio_bench_missing(col);                   \
                                                                             \
		return why != NULL ? test_skip("%s", why) : what(col, type); \
	}

CONTAINER_CASE(vfio_type1v1, adopt, COL_TYPE1_V1, WEIR_VFIO_TYPE1_V1)
CONTAINER_CASE(vfio_type1v1, group_gone, COL_TYPE1_V1, WEIR_VFIO_TYPE1_V1)
COLUMN(vfio_type1v1, COL_TYPE1_V1, true,
       { "vfio_type1v1_adopt_finds_type_and_place", vfio_type1v1_adopt },
       { "vfio_type1v1_last_group_takes_entries_along", vfio_type1v1_group_gone });

CONTAINER_CASE(vfio_type1v2, adopt, COL_TYPE1_V2, WEIR_VFIO_TYPE1_V2)
CONTAINER_CASE(vfio_type1v2, group_gone, COL_TYPE1_V2, WEIR_VFIO_TYPE1_V2)
COLUMN(vfio_type1v2, COL_TYPE1_V2, true,
       { "vfio_type1v2_adopt_finds_type_and_place", vfio_type1v2_adopt },
       { "vfio_type1v2_last_group_takes_entries_along", vfio_type1v2_group_gone });

CONTAINER_CASE(vfio_compatv1, adopt, COL_COMPAT_V1, WEIR_VFIO_TYPE1)
COLUMN(vfio_compatv1, COL_COMPAT_V1, false,
       { "vfio_compatv1_adopt_finds_type_and_place", vfio_compatv1_adopt });

CONTAINER_CASE(vfio_compatv2, adopt, COL_COMPAT_V2, WEIR_VFIO_TYPE1)
COLUMN(vfio_compatv2, COL_COMPAT_V2, false,
       { "vfio_compatv2_adopt_finds_type_and_place", vfio_compatv2_adopt });

/* What is mapped stays when the last device has left, unlike in a container. */
static enum test_result
device_gone_steps(struct vfio_bench *b)
{
	static _Alignas(4096) char mem[4096];
	uint64_t gone;

	TEST_EQ(b->ops->map(b->ctx, BASE, (uint64_t)(uintptr_t)mem, PAGE, RW), 0);
	edu_close(&b->edu);
	TEST_EQ(weir_iommufd_detach(b->iommufd, edu_find()), 0);
	TEST_EQ(b->ops->map(b->ctx, BASE, (uint64_t)(uintptr_t)mem, PAGE, RW), -EEXIST);
	TEST_EQ(weir_iommufd_attach(b->iommufd, edu_find(), NULL), 0);
	TEST_EQ(b->ops->unmap(b->ctx, BASE, PAGE, &gone), 0);
	TEST_EQ(gone, PAGE);
	return TEST_OK;
}

static enum test_result
vfio_iommufd_device_gone(void)
{
	const char *why = vfio_bench_missing(COL_IOMMUFD);
	struct vfio_bench b;
	enum test_result res;

	if (why != NULL)
		return test_skip("%s", why);
	TEST_EQ(vfio_bench_open(&b, COL_IOMMUFD), 0);
	res = device_gone_steps(&b);
	vfio_bench_close(&b, true);
	return res;
}
COLUMN(vfio_iommufd, COL_IOMMUFD, false,
       { "vfio_iommufd_entries_stay_without_a_device", vfio_iommufd_device_gone });

/* The kernel has no IOMMU for the device, says so to every call, and so do we. */
static enum test_result
noiommu_steps(struct weir_vfio *v)
{
	static _Alignas(4096) char mem[4096];
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };
	struct vfio_iommu_type1_dma_map m = { .argsz = sizeof(m),
					      .flags = VFIO_DMA_MAP_FLAG_READ,
					      .vaddr = (uint64_t)(uintptr_t)mem,
					      .iova = BASE,
					      .size = PAGE };
	const struct weir_iommu_ops *ops = weir_vfio_ops(v);
	int container = weir_vfio_fd(v), fd;
	struct weir_iommu_caps caps;
	uint64_t gone = 1;

	TEST_EQ(weir_vfio_iommu(v), WEIR_VFIO_NOIOMMU);
	TEST_EQ(ioctl(container, VFIO_IOMMU_GET_INFO, &info) == 0 ? 0 : errno, ENOTTY);
	TEST_EQ(ioctl(container, VFIO_IOMMU_MAP_DMA, &m) == 0 ? 0 : errno, ENOTTY);
	TEST_EQ(ops->caps(v, &caps), -ENOTTY);
	TEST_EQ(ops->map(v, m.iova, m.vaddr, m.size, RW), -ENOTTY);
	TEST_EQ(ops->unmap(v, m.iova, m.size, &gone), -ENOTTY);
	TEST_EQ(gone, 0);
	TEST_EQ(weir_vfio_device(v, edu_find(), &fd), 0);
	return TEST_OK;
}

static enum test_result
vfio_noiommu_as_measured(void)
{
	const char *edu = edu_find();
	struct weir_vfio *v;
	enum test_result res;
	int ret;

	if (edu == NULL)
		return test_skip("no edu is bound to vfio-pci; see devtools/vm");
	ret = weir_vfio_create(edu, WEIR_VFIO_NOIOMMU, 0, &v);
	if (ret == -ENOTSUP)
		return test_skip("there is an IOMMU here");
	TEST_EQ(ret, 0);
	res = noiommu_steps(v);
	weir_vfio_destroy(v);
	TEST_EQ(weir_vfio_create(edu, WEIR_VFIO_TYPE1, 0, &v), -ENOTSUP);
	return res;
}

static int
noiommu_open(void **ctx)
{
	return weir_vfio_create(edu_find(), WEIR_VFIO_NOIOMMU, 0,
				(struct weir_vfio **)ctx);
}

static enum test_result
vfio_noiommu_refuses_every_call(void)
{
	static const struct iommu_suite suite = {
		.ops = &vfio_noiommu_ops,
		.open = noiommu_open,
	};
	const char *edu = edu_find();
	struct weir_vfio *v;
	int ret;

	if (edu == NULL)
		return test_skip("no edu is bound to vfio-pci; see devtools/vm");
	ret = weir_vfio_create(edu, WEIR_VFIO_NOIOMMU, 0, &v);
	if (ret == -ENOTSUP)
		return test_skip("there is an IOMMU here");
	TEST_EQ(ret, 0);
	weir_vfio_destroy(v);
	return iommu_suite_refuses(&suite);
}

static const struct test_case vfio_noiommu_cases[] = {
	{ "vfio_noiommu_as_measured", vfio_noiommu_as_measured },
	{ "vfio_noiommu_refuses_every_call", vfio_noiommu_refuses_every_call },
};
AUTOTEST(vfio_noiommu_autotest, vfio_noiommu_cases);
