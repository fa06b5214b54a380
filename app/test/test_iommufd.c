/* SPDX-License-Identifier: BSD-3-Clause */
/* iommufd, over a kernel that is a test's: devices, limits, descriptors. */
#include <errno.h>

#include "fake_vfio.h"
#include "test.h"
#include "vfio_sys.h"
#include "weir_fail.h"
#include "weir_iommufd.h"
#include "weir_map.h"
#include "weir_mirror.h"

#define PAGE UINT64_C(0x1000)
#define BASE UINT64_C(0x1000000)
#define RW (WEIR_PROT_READ | WEIR_PROT_WRITE)
#define DEV0 fake_vfio_name(FAKE_DEV0)

static _Alignas(4096) char mem[16 * 4096];

static enum test_result
in_kernel(const struct fake_vfio_config *config, enum test_result (*fn)(void))
{
	enum test_result res;

	TEST_ASSERT(fake_vfio_begin(config));
	res = fn();
	TEST_EQ(fake_vfio_end(), 0);
	return res;
}

static enum test_result
attach_steps(void)
{
	struct weir_iommu_caps caps;
	struct weir_iommufd *f;
	int fd = -1, again = -2;

	TEST_EQ(weir_iommufd_create(&f), 0);
	TEST_EQ(weir_iommufd_ops.caps(f, &caps), 0);
	TEST_EQ(caps.nr_apertures, 1);
	TEST_EQ(caps.aperture[0].last, UINT64_MAX);
	TEST_EQ(caps.page_sizes, PAGE);
	TEST_EQ(weir_iommufd_attach(f, "0000:ff:1f.7", &fd), -ENODEV);
	TEST_EQ(weir_iommufd_attach(f, fake_vfio_name(FAKE_DEV1), &fd), -ENOENT);
	TEST_EQ(weir_iommufd_attach(f, DEV0, &fd), 0);
	TEST_EQ(weir_iommufd_attach(f, DEV0, &again), 0);
	TEST_EQ(fd, again);
	TEST_EQ(weir_iommufd_ops.caps(f, &caps), 0);
	TEST_EQ(caps.nr_apertures, 2);
	TEST_EQ(weir_iommufd_detach(f, fake_vfio_name(FAKE_DEV1)), -ENOENT);
	TEST_EQ(weir_iommufd_detach(f, DEV0), 0);
	TEST_EQ(weir_iommufd_detach(f, DEV0), -ENOENT);
	TEST_EQ(weir_iommufd_attach(f, DEV0, NULL), 0);
	weir_iommufd_destroy(f);
	weir_iommufd_destroy(NULL);
	return TEST_OK;
}

static enum test_result
iommufd_devices_come_and_go(void)
{
	return in_kernel(&(struct fake_vfio_config){ 0 }, attach_steps);
}

static enum test_result
ranges_steps(void)
{
	struct weir_iommu_caps caps;
	struct weir_iommufd *f;

	TEST_EQ(weir_iommufd_create(&f), 0);
	TEST_EQ(weir_iommufd_attach(f, DEV0, NULL), 0);
	TEST_EQ(weir_iommufd_ops.caps(f, &caps), 0);
	TEST_EQ(caps.nr_apertures, WEIR_IOMMU_MAX_APERTURES);
	TEST_EQ(caps.aperture[WEIR_IOMMU_MAX_APERTURES - 1].start, UINT64_C(100) << 30);
	weir_iommufd_destroy(f);
	return TEST_OK;
}

static enum test_result
iommufd_caps_ask_again_with_more_room(void)
{
	return in_kernel(&(struct fake_vfio_config){ .nr_ranges = 100 }, ranges_steps);
}

/* The IOAS is ours and goes; the iommufd is its owner's and stays. */
static enum test_result
adopt_steps(void)
{
	struct weir_iommufd *f;
	int fd = vfio_open("/dev/iommu"), other = vfio_open("/dev/vfio/vfio");

	TEST_EQ(weir_iommufd_adopt(-1, &f), -EBADF);
	TEST_ASSERT(weir_iommufd_adopt(other, &f) != 0);
	TEST_EQ(weir_iommufd_adopt(fd, &f), 0);
	TEST_EQ(weir_iommufd_fd(f), fd);
	TEST_ASSERT(weir_iommufd_ioas(f) != 0);
	TEST_EQ(weir_iommufd_attach(f, DEV0, NULL), 0);
	weir_iommufd_destroy(f);
	TEST_EQ(weir_iommufd_adopt(fd, &f), 0);
	weir_iommufd_destroy(f);
	vfio_close(fd);
	vfio_close(other);
	return TEST_OK;
}

static enum test_result
iommufd_adopted_stays_open(void)
{
	return in_kernel(&(struct fake_vfio_config){ 0 }, adopt_steps);
}

static int
build(struct weir_iommufd **out)
{
	struct weir_iommu_caps caps;
	int ret = weir_iommufd_create(out);

	if (ret != 0)
		return ret;
	ret = weir_iommufd_attach(*out, DEV0, NULL);
	if (ret == 0)
		ret = weir_iommufd_ops.caps(*out, &caps);
	if (ret != 0)
		weir_iommufd_destroy(*out);
	return ret;
}

static enum test_result
fail_nth_steps(void)
{
	struct weir_iommufd *f;
	unsigned int nth = 0;
	bool used = true;

	while (used) {
		int ret;

		weir_fail_arm(++nth);
		ret = build(&f);
		used = !weir_fail_armed();
		weir_fail_arm(0);
		TEST_EQ(ret == 0, !used);
		if (ret != 0)
			TEST_EQ(fake_vfio_open_fds(), 0);
	}
	TEST_ASSERT(nth > 8);
	weir_iommufd_destroy(f);
	return TEST_OK;
}

static enum test_result
iommufd_create_fail_nth_leaves_nothing(void)
{
	return in_kernel(&(struct fake_vfio_config){ 0 }, fail_nth_steps);
}

/* A chunk is an entry: so it can go by itself, and a part of it cannot. */
static enum test_result
mirror_steps(void)
{
	struct weir_region r = {
		.iova = { BASE, BASE + 8 * PAGE - 1 },
		.hva = (uint64_t)(uintptr_t)mem,
		.chunk = 2 * PAGE,
		.prot = RW,
	};
	struct weir_iommufd *f;
	struct weir_mirror *m;

	TEST_EQ(build(&f), 0);
	TEST_EQ(weir_mirror_create("iommufd", &m), 0);
	TEST_EQ(weir_mirror_attach(m, &weir_iommufd_ops, f), 0);
	TEST_EQ(weir_mirror_map(m, &r), 0);
	r.iova = (struct weir_range){ BASE + 2 * PAGE, BASE + 4 * PAGE - 1 };
	TEST_EQ(weir_mirror_unmap(m, r.iova), 0);
	TEST_EQ(weir_sim_entries(fake_vfio_sim(weir_iommufd_fd(f))), 3);
	r.iova = (struct weir_range){ BASE, BASE + PAGE - 1 };
	TEST_EQ(weir_mirror_unmap(m, r.iova), -ENOTSUP);
	weir_mirror_destroy(m);
	return TEST_OK;
}

static enum test_result
iommufd_mirror_unmaps_by_chunk(void)
{
	return in_kernel(&(struct fake_vfio_config){ 0 }, mirror_steps);
}

static const struct test_case iommufd_cases[] = {
	{ "iommufd_devices_come_and_go", iommufd_devices_come_and_go },
	{ "iommufd_caps_ask_again_with_more_room",
	  iommufd_caps_ask_again_with_more_room },
	{ "iommufd_adopted_stays_open", iommufd_adopted_stays_open },
	{ "iommufd_create_fail_nth_leaves_nothing",
	  iommufd_create_fail_nth_leaves_nothing },
	{ "iommufd_mirror_unmaps_by_chunk", iommufd_mirror_unmaps_by_chunk },
};
AUTOTEST(iommufd_autotest, iommufd_cases);
