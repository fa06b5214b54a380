/* SPDX-License-Identifier: BSD-3-Clause */
/* Containers of our own and adopted ones, over a kernel that is a test's. */
#include <errno.h>
#include <linux/vfio.h>
#include <string.h>

#include "fake_vfio.h"
#include "test.h"
#include "vfio_sys.h"
#include "weir_fail.h"
#include "weir_map.h"
#include "weir_mirror.h"
#include "weir_vfio.h"

#define PAGE UINT64_C(0x1000)
#define BASE UINT64_C(0x1000000)
#define RW (WEIR_PROT_READ | WEIR_PROT_WRITE)
#define DEV0 fake_vfio_name(FAKE_DEV0)
#define DEV1 fake_vfio_name(FAKE_DEV1)

static _Alignas(4096) char mem[16 * 4096];

/* Run a case in a kernel, and see that it leaves no descriptor open. */
static enum test_result
in_kernel(const struct fake_vfio_config *config, enum test_result (*fn)(void))
{
	enum test_result res;

	TEST_ASSERT(fake_vfio_begin(config));
	res = fn();
	TEST_EQ(fake_vfio_end(), 0);
	return res;
}

#define IN_KERNEL(name, ...)                                                            \
	static enum test_result name(void)                                              \
	{                                                                               \
		return in_kernel(&(struct fake_vfio_config){ __VA_ARGS__ }, name##_in); \
	}

static int
map(struct weir_vfio *v, uint64_t page, uint64_t nr)
{
	return weir_vfio_ops(v)->map(v, BASE + page * PAGE,
				     (uint64_t)(uintptr_t)mem + page * PAGE, nr * PAGE,
				     RW);
}

static int
unmap(struct weir_vfio *v, uint64_t page, uint64_t nr, uint64_t *gone)
{
	int ret = weir_vfio_ops(v)->unmap(v, BASE + page * PAGE, nr * PAGE, gone);

	*gone /= PAGE;
	return ret;
}

static uint64_t
entries(const struct weir_vfio *v)
{
	return weir_sim_entries(fake_vfio_sim(weir_vfio_fd(v)));
}

static int
create(enum weir_vfio_iommu want, unsigned int flags, struct weir_vfio **out)
{
	return weir_vfio_create(DEV0, want, flags, out);
}

static enum test_result
vfio_create_takes_best_offered_in(void)
{
	struct weir_vfio *v;

	TEST_EQ(create(WEIR_VFIO_ANY, 0, &v), 0);
	TEST_EQ(weir_vfio_iommu(v), WEIR_VFIO_TYPE1_V2);
	weir_vfio_destroy(v);
	TEST_EQ(create(WEIR_VFIO_TYPE1, WEIR_VFIO_COMPAT, &v), 0);
	TEST_EQ(weir_vfio_iommu(v), WEIR_VFIO_TYPE1_V2);
	weir_vfio_destroy(v);
	TEST_EQ(create(WEIR_VFIO_TYPE1_V1, 0, &v), 0);
	TEST_EQ(weir_vfio_iommu(v), WEIR_VFIO_TYPE1_V1);
	weir_vfio_destroy(v);
	TEST_EQ(create(WEIR_VFIO_NOIOMMU, 0, &v), -ENOTSUP);
	return TEST_OK;
}
IN_KERNEL(vfio_create_takes_best_offered, 0)

static enum test_result
vfio_create_falls_back_to_v1_in(void)
{
	struct weir_vfio *v;

	TEST_EQ(create(WEIR_VFIO_ANY, 0, &v), 0);
	TEST_EQ(weir_vfio_iommu(v), WEIR_VFIO_TYPE1_V1);
	weir_vfio_destroy(v);
	TEST_EQ(create(WEIR_VFIO_TYPE1_V2, 0, &v), -ENOTSUP);
	return TEST_OK;
}
IN_KERNEL(vfio_create_falls_back_to_v1, .only_v1 = true)

static enum test_result
vfio_create_errors_tell_why_in(void)
{
	static char deep[400];
	struct weir_vfio *v, *other;

	memset(deep, 'x', sizeof(deep) - 1);
	deep[0] = '/';
	TEST_EQ(create(99, 0, &v), -EINVAL);
	TEST_EQ(create(WEIR_VFIO_ANY, 2, &v), -EINVAL);
	TEST_EQ(weir_vfio_create("0000:ff:1f.7", WEIR_VFIO_ANY, 0, &v), -ENODEV);
	TEST_EQ(weir_vfio_create("", WEIR_VFIO_ANY, 0, &v), -ENODEV);
	TEST_EQ(weir_vfio_create(deep, WEIR_VFIO_ANY, 0, &v), -ENAMETOOLONG);
	TEST_EQ(weir_vfio_create(fake_vfio_name(FAKE_DEV_UNBOUND), WEIR_VFIO_ANY, 0, &v),
		-ENOENT);
	TEST_EQ(create(WEIR_VFIO_ANY, 0, &v), 0);
	TEST_EQ(create(WEIR_VFIO_ANY, 0, &other), -EBUSY);
	weir_vfio_destroy(v);
	weir_vfio_destroy(NULL);
	return TEST_OK;
}
IN_KERNEL(vfio_create_errors_tell_why, 0)

static enum test_result
vfio_create_group_not_viable_refused_in(void)
{
	struct weir_vfio *v;

	TEST_EQ(create(WEIR_VFIO_ANY, 0, &v), -EPERM);
	return TEST_OK;
}
IN_KERNEL(vfio_create_group_not_viable_refused, .not_viable = true)

static enum test_result
vfio_create_other_version_refused_in(void)
{
	struct weir_vfio *v;

	TEST_EQ(create(WEIR_VFIO_ANY, 0, &v), -EPROTO);
	return TEST_OK;
}
IN_KERNEL(vfio_create_other_version_refused, .api_version = 1)

/* A container with two groups and a device, or nothing. */
static int
build(struct weir_vfio **out)
{
	int fd, ret = create(WEIR_VFIO_TYPE1_V2, 0, out);

	if (ret != 0)
		return ret;
	ret = weir_vfio_attach(*out, DEV1);
	if (ret == 0)
		ret = weir_vfio_device(*out, DEV1, &fd);
	if (ret != 0)
		weir_vfio_destroy(*out);
	return ret;
}

static enum test_result
vfio_create_fail_nth_leaves_nothing_in(void)
{
	struct weir_vfio *v;
	unsigned int nth = 0;
	bool used = true;

	while (used) {
		int ret;

		weir_fail_arm(++nth);
		ret = build(&v);
		used = !weir_fail_armed();
		weir_fail_arm(0);
		TEST_EQ(ret == 0, !used);
		if (ret != 0)
			TEST_EQ(fake_vfio_open_fds(), 0);
	}
	TEST_ASSERT(nth > 15);
	weir_vfio_destroy(v);
	return TEST_OK;
}
IN_KERNEL(vfio_create_fail_nth_leaves_nothing, 0)

static enum test_result
vfio_device_opened_once_in(void)
{
	struct weir_vfio *v;
	int fd = -1, again = -2;

	TEST_EQ(create(WEIR_VFIO_ANY, 0, &v), 0);
	TEST_EQ(weir_vfio_device(v, DEV0, &fd), 0);
	TEST_EQ(weir_vfio_device(v, DEV0, &again), 0);
	TEST_EQ(fd, again);
	TEST_EQ(weir_vfio_device(v, DEV1, &fd), -ENOENT);
	TEST_EQ(weir_vfio_device(v, "none", &fd), -ENODEV);
	weir_vfio_destroy(v);
	return TEST_OK;
}
IN_KERNEL(vfio_device_opened_once, 0)

/* What is mapped goes with the last group, not with the first of two. */
static enum test_result
vfio_last_group_takes_entries_along_in(void)
{
	struct weir_iommu_caps caps;
	struct weir_vfio *v;
	uint64_t gone;

	TEST_EQ(create(WEIR_VFIO_TYPE1_V1, 0, &v), 0);
	TEST_EQ(weir_vfio_attach(v, DEV0), 0);
	TEST_EQ(weir_vfio_attach(v, DEV1), 0);
	TEST_EQ(map(v, 0, 4), 0);
	TEST_EQ(weir_vfio_detach(v, DEV0), 0);
	TEST_EQ(weir_vfio_detach(v, DEV0), -ENOENT);
	TEST_EQ(entries(v), 1);
	TEST_EQ(weir_vfio_detach(v, DEV1), 0);
	TEST_EQ(map(v, 0, 4), -EINVAL);
	TEST_EQ(unmap(v, 0, 4, &gone), -EINVAL);
	TEST_EQ(weir_vfio_ops(v)->caps(v, &caps), -EINVAL);
	TEST_EQ(weir_vfio_attach(v, DEV1), 0);
	TEST_EQ(weir_vfio_iommu(v), WEIR_VFIO_TYPE1_V1);
	TEST_EQ(entries(v), 0);
	TEST_EQ(map(v, 0, 4), 0);
	weir_vfio_destroy(v);
	return TEST_OK;
}
IN_KERNEL(vfio_last_group_takes_entries_along, 0)

/* So the mirror lets go of it before, and replays when a device is back. */
static enum test_result
vfio_mirror_replays_when_a_device_is_back_in(void)
{
	struct weir_region r = {
		.iova = { BASE, BASE + 8 * PAGE - 1 },
		.hva = (uint64_t)(uintptr_t)mem,
		.chunk = 2 * PAGE,
		.prot = RW,
	};
	struct weir_mirror *m;
	struct weir_vfio *v;

	TEST_EQ(create(WEIR_VFIO_ANY, 0, &v), 0);
	TEST_EQ(weir_mirror_create("vfio", &m), 0);
	TEST_EQ(weir_mirror_attach(m, weir_vfio_ops(v), v), 0);
	TEST_EQ(weir_mirror_map(m, &r), 0);
	TEST_EQ(entries(v), 4);
	TEST_EQ(weir_mirror_detach(m, v), 0);
	TEST_EQ(weir_vfio_detach(v, DEV0), 0);
	TEST_EQ(weir_vfio_attach(v, DEV1), 0);
	TEST_EQ(weir_mirror_attach(m, weir_vfio_ops(v), v), 0);
	TEST_EQ(entries(v), 4);
	TEST_EQ(weir_mirror_unmap(
			m, (struct weir_range){ BASE + 2 * PAGE, BASE + 4 * PAGE - 1 }),
		0);
	TEST_EQ(entries(v), 3);
	TEST_EQ(weir_mirror_broken(m), 0);
	weir_mirror_destroy(m);
	return TEST_OK;
}
IN_KERNEL(vfio_mirror_replays_when_a_device_is_back, 0)

/* A kernel that says nothing of its limits, but for the page sizes. */
static enum test_result
vfio_caps_of_an_old_kernel_in(void)
{
	struct weir_iommu_caps caps;
	struct weir_vfio *v, *guest;

	TEST_EQ(create(WEIR_VFIO_ANY, 0, &v), 0);
	TEST_EQ(weir_vfio_ops(v)->caps(v, &caps), 0);
	TEST_EQ(caps.page_sizes, 0x40201000);
	TEST_EQ(caps.max_entries, 65535);
	TEST_EQ(caps.nr_apertures, 0);
	TEST_EQ(weir_vfio_adopt(weir_vfio_fd(v), &guest), 0);
	TEST_EQ(weir_vfio_iommu(guest), WEIR_VFIO_TYPE1);
	weir_vfio_destroy(guest);
	weir_vfio_destroy(v);
	return TEST_OK;
}
IN_KERNEL(vfio_caps_of_an_old_kernel, .old = true)

/* More apertures than there is room for, more than one call's worth: the largest. */
static enum test_result
vfio_caps_keep_the_largest_apertures_in(void)
{
	struct weir_iommu_caps caps;
	struct weir_vfio *v;

	TEST_EQ(create(WEIR_VFIO_ANY, 0, &v), 0);
	TEST_EQ(weir_vfio_ops(v)->caps(v, &caps), 0);
	TEST_EQ(caps.nr_apertures, WEIR_IOMMU_MAX_APERTURES);
	for (unsigned int i = 0; i < WEIR_IOMMU_MAX_APERTURES; i++)
		TEST_EQ(caps.aperture[i].start,
			(uint64_t)(100 - WEIR_IOMMU_MAX_APERTURES + i + 1) << 30);
	weir_vfio_destroy(v);
	return TEST_OK;
}
IN_KERNEL(vfio_caps_keep_the_largest_apertures, .nr_ranges = 100)

static enum test_result
vfio_caps_circular_chain_ends_in(void)
{
	struct weir_iommu_caps caps;
	struct weir_vfio *v;

	TEST_EQ(create(WEIR_VFIO_ANY, 0, &v), 0);
	TEST_EQ(weir_vfio_ops(v)->caps(v, &caps), 0);
	TEST_EQ(caps.nr_apertures, 2);
	weir_vfio_destroy(v);
	return TEST_OK;
}
IN_KERNEL(vfio_caps_circular_chain_ends, .loop = true)

/* What the kernel says it unmapped is passed on, however odd. */
static enum test_result
vfio_unmapped_size_is_the_kernels_in(void)
{
	static const uint64_t odd[] = { 0, 1, 2, 6, 1000 };
	struct weir_vfio *v;

	TEST_EQ(create(WEIR_VFIO_ANY, 0, &v), 0);
	TEST_EQ(map(v, 0, 4), 0);
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		uint64_t gone = 77;

		fake_vfio_lie(odd[i] * PAGE);
		TEST_EQ(unmap(v, 0, 4, &gone), 0);
		TEST_EQ(gone, odd[i]);
	}
	weir_vfio_destroy(v);
	return TEST_OK;
}
IN_KERNEL(vfio_unmapped_size_is_the_kernels, 0)

static enum test_result
vfio_adopt_finds_the_type_in(void)
{
	static const enum weir_vfio_iommu own[] = { WEIR_VFIO_TYPE1_V1,
						    WEIR_VFIO_TYPE1_V2 };
	struct weir_vfio *v, *guest;
	int fd = vfio_open("/dev/vfio/vfio");

	TEST_EQ(weir_vfio_adopt(-1, &guest), -EBADF);
	TEST_EQ(weir_vfio_adopt(fd, &guest), -EINVAL);
	vfio_close(fd);
	for (unsigned int i = 0; i < 2; i++) {
		TEST_EQ(create(own[i], 0, &v), 0);
		TEST_EQ(weir_vfio_adopt(weir_vfio_fd(v), &guest), 0);
		TEST_EQ(weir_vfio_iommu(guest), own[i]);
		weir_vfio_destroy(guest);
		weir_vfio_destroy(v);
	}
	TEST_EQ(create(WEIR_VFIO_TYPE1_V1, WEIR_VFIO_COMPAT, &v), 0);
	TEST_EQ(weir_vfio_adopt(weir_vfio_fd(v), &guest), 0);
	TEST_EQ(weir_vfio_iommu(guest), WEIR_VFIO_TYPE1);
	weir_vfio_destroy(guest);
	weir_vfio_destroy(v);
	return TEST_OK;
}
IN_KERNEL(vfio_adopt_finds_the_type, 0)

/* Beside an owner's entries: the same limit, and only ours go when we go. */
static enum test_result
vfio_adopt_lives_beside_the_owner_in(void)
{
	struct weir_iommu_caps caps;
	struct weir_vfio *v, *guest;
	uint64_t gone;

	TEST_EQ(create(WEIR_VFIO_TYPE1_V1, 0, &v), 0);
	TEST_EQ(map(v, 0, 1), 0);
	TEST_EQ(map(v, 1, 1), 0);
	TEST_EQ(weir_vfio_adopt(weir_vfio_fd(v), &guest), 0);
	TEST_EQ(weir_vfio_ops(guest)->caps(guest, &caps), 0);
	TEST_EQ(caps.max_entries, 98);
	TEST_EQ(map(guest, 0, 1), -EEXIST);
	TEST_EQ(map(guest, 2, 2), 0);
	TEST_EQ(map(guest, 4, 2), 0);
	TEST_EQ(map(guest, 6, 2), 0);
	TEST_EQ(weir_vfio_ops(guest)->caps(guest, &caps), 0);
	TEST_EQ(caps.max_entries, 98);
	TEST_EQ(map(v, 8, 1), 0);
	TEST_EQ(weir_vfio_ops(guest)->caps(guest, &caps), 0);
	TEST_EQ(caps.max_entries, 97);
	/* the head of one takes all of it; the tail of another nothing */
	TEST_EQ(unmap(guest, 2, 1, &gone), 0);
	TEST_EQ(gone, 2);
	TEST_EQ(unmap(guest, 5, 1, &gone), 0);
	TEST_EQ(gone, 0);
	TEST_EQ(map(v, 2, 2), 0); /* the owner's now, and not to be taken away */
	weir_vfio_destroy(guest);
	TEST_EQ(entries(v), 4);
	TEST_EQ(map(v, 4, 4), 0);
	weir_vfio_destroy(v);
	return TEST_OK;
}
IN_KERNEL(vfio_adopt_lives_beside_the_owner, .dma_avail = 100)

/* It might do half of it and say nothing, so it is not asked to split an entry. */
static enum test_result
vfio_adopt_of_unknown_type_splits_nothing_in(void)
{
	struct weir_iommu_caps caps;
	struct weir_vfio *v, *guest;
	uint64_t gone = 1;

	TEST_EQ(create(WEIR_VFIO_TYPE1_V2, WEIR_VFIO_COMPAT, &v), 0);
	TEST_EQ(weir_vfio_adopt(weir_vfio_fd(v), &guest), 0);
	TEST_EQ(weir_vfio_ops(guest)->caps(guest, &caps), 0);
	TEST_EQ(caps.splits, false);
	TEST_EQ(map(guest, 0, 2), 0);
	TEST_EQ(map(guest, 2, 2), 0);
	TEST_EQ(unmap(guest, 0, 3, &gone), -EINVAL);
	TEST_EQ(gone, 0);
	TEST_EQ(unmap(guest, 1, 1, &gone), -EINVAL);
	TEST_EQ(entries(v), 2);
	TEST_EQ(unmap(guest, 0, 4, &gone), 0);
	TEST_EQ(gone, 4);
	weir_vfio_destroy(guest);
	weir_vfio_destroy(v);
	return TEST_OK;
}
IN_KERNEL(vfio_adopt_of_unknown_type_splits_nothing, 0)

/* Less is gone than was asked for: whole entries in order, as far as it goes. */
static enum test_result
vfio_adopt_believes_the_kernel_in(void)
{
	struct weir_vfio *v, *guest;
	uint64_t gone;

	TEST_EQ(create(WEIR_VFIO_TYPE1_V1, 0, &v), 0);
	TEST_EQ(weir_vfio_adopt(weir_vfio_fd(v), &guest), 0);
	TEST_EQ(map(guest, 0, 2), 0);
	TEST_EQ(map(guest, 2, 2), 0);
	fake_vfio_lie(2 * PAGE);
	TEST_EQ(unmap(guest, 0, 4, &gone), 0);
	TEST_EQ(gone, 2);
	weir_vfio_destroy(guest);
	TEST_EQ(entries(v), 1);
	TEST_EQ(map(v, 2, 2), 0);
	weir_vfio_destroy(v);
	return TEST_OK;
}
IN_KERNEL(vfio_adopt_believes_the_kernel, 0)

/* The owner's last device leaves, and one comes back: ours is gone, and stays so. */
static enum test_result
vfio_adopt_outlives_the_last_device_in(void)
{
	struct weir_vfio *v, *guest;
	uint64_t gone;
	int ret;

	TEST_EQ(create(WEIR_VFIO_TYPE1_V1, 0, &v), 0);
	TEST_EQ(weir_vfio_adopt(weir_vfio_fd(v), &guest), 0);
	for (uint64_t page = 0; page < 3; page++)
		TEST_EQ(map(guest, page, 1), 0);
	/* an answer that is no loss: the kernel is asked, and has its type */
	TEST_EQ(weir_vfio_ops(guest)->unmap(guest, BASE + 1, PAGE, &gone), -EINVAL);
	TEST_EQ(weir_vfio_detach(v, DEV0), 0);
	TEST_EQ(map(guest, 3, 1), -ENODEV);
	TEST_EQ(unmap(guest, 0, 1, &gone), 0);
	TEST_EQ(gone, 1);
	TEST_EQ(weir_vfio_attach(v, DEV0), 0);
	TEST_EQ(map(guest, 3, 1), -ENODEV);
	ret = unmap(guest, 1, 2, &gone);
	TEST_ASSERT(ret == 0 && gone == 2);
	TEST_EQ(entries(v), 0);
	weir_vfio_destroy(guest);
	TEST_EQ(weir_vfio_adopt(weir_vfio_fd(v), &guest), 0);
	TEST_EQ(map(guest, 0, 1), 0);
	TEST_EQ(weir_vfio_detach(v, DEV0), 0);
	/* found out by an unmap this time */
	TEST_EQ(unmap(guest, 0, 1, &gone), 0);
	TEST_EQ(gone, 1);
	weir_vfio_destroy(guest);
	weir_vfio_destroy(v);
	return TEST_OK;
}
IN_KERNEL(vfio_adopt_outlives_the_last_device, 0)

/* Random maps and unmaps, of our own and the owner's; then we go. */
static enum test_result
vfio_adopt_random_leaves_the_owners_in(void)
{
	static const enum weir_vfio_iommu own[] = { WEIR_VFIO_TYPE1_V1,
						    WEIR_VFIO_TYPE1_V2 };
	uint64_t rnd = test_seed(), gone, nr_owners = 0;

	for (unsigned int i = 0; i < 400; i++) {
		unsigned int flags = test_rand(&rnd) % 2 != 0 ? WEIR_VFIO_COMPAT : 0;
		struct weir_vfio *v, *guest;

		TEST_EQ(create(own[test_rand(&rnd) % 2], flags, &v), 0);
		TEST_EQ(weir_vfio_adopt(weir_vfio_fd(v), &guest), 0);
		for (unsigned int k = 0; k < 40; k++) {
			uint64_t page = test_rand(&rnd) % 12;
			uint64_t nr = 1 + test_rand(&rnd) % (12 - page);

			if (test_rand(&rnd) % 2 == 0)
				(void)map(guest, page, nr);
			else
				(void)unmap(guest, page, nr, &gone);
		}
		/* pages that the owner can still map are his; all others are ours */
		for (uint64_t page = 0; page < 12; page++)
			nr_owners += map(v, page, 1) == 0;
		nr_owners += map(v, 13, 1) == 0;
		weir_vfio_destroy(guest);
		TEST_EQ(entries(v), nr_owners);
		weir_vfio_destroy(v);
		nr_owners = 0;
	}
	return TEST_OK;
}
IN_KERNEL(vfio_adopt_random_leaves_the_owners, 0)

/* Whatever fails, a call that failed has changed nothing, and one that did is kept. */
static enum test_result
vfio_adopt_fail_nth_agrees_with_the_kernel_in(void)
{
	struct weir_vfio *v, *guest;
	unsigned int nth = 0;
	bool used = true;
	uint64_t gone;

	TEST_EQ(create(WEIR_VFIO_TYPE1_V1, 0, &v), 0);
	while (used) {
		nth++;
		TEST_EQ(weir_vfio_adopt(weir_vfio_fd(v), &guest), 0);
		weir_fail_arm(nth);
		TEST_EQ(map(guest, 0, 8) == 0, weir_fail_armed());
		used = !weir_fail_armed();
		weir_fail_arm(0);
		TEST_EQ(entries(v), used ? 0 : 1);
		TEST_EQ(map(guest, 0, 8), used ? 0 : -EEXIST);
		weir_fail_arm(nth);
		TEST_EQ(unmap(guest, 0, 8, &gone) == 0, weir_fail_armed());
		TEST_EQ(entries(v), weir_fail_armed() ? 0 : 1);
		weir_fail_arm(0);
		weir_vfio_destroy(guest);
		TEST_EQ(entries(v), 0);
	}
	TEST_ASSERT(nth > 3);
	weir_vfio_destroy(v);
	return TEST_OK;
}
IN_KERNEL(vfio_adopt_fail_nth_agrees_with_the_kernel, 0)

static enum test_result
vfio_noiommu_answers_enotty_in(void)
{
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };
	struct weir_iommu_caps caps;
	struct weir_vfio *v, *guest;
	struct weir_mirror *m;
	uint64_t gone = 1;

	TEST_EQ(weir_vfio_create(fake_vfio_name(FAKE_DEV_NOIOMMU), WEIR_VFIO_TYPE1, 0,
				 &v),
		-ENOTSUP);
	TEST_EQ(weir_vfio_create(fake_vfio_name(FAKE_DEV_NOIOMMU), WEIR_VFIO_ANY, 0, &v),
		0);
	TEST_EQ(weir_vfio_iommu(v), WEIR_VFIO_NOIOMMU);
	TEST_EQ(weir_vfio_ops(v)->caps(v, &caps), -ENOTTY);
	TEST_EQ(vfio_ioctl(weir_vfio_fd(v), VFIO_IOMMU_GET_INFO, &info), -ENOTTY);
	TEST_EQ(map(v, 0, 1), -ENOTTY);
	TEST_EQ(unmap(v, 0, 1, &gone), -ENOTTY);
	TEST_EQ(gone, 0);
	TEST_EQ(weir_vfio_adopt(weir_vfio_fd(v), &guest), 0);
	TEST_EQ(weir_vfio_iommu(guest), WEIR_VFIO_NOIOMMU);
	weir_vfio_destroy(guest);
	TEST_EQ(weir_mirror_create("none", &m), 0);
	TEST_EQ(weir_mirror_attach(m, weir_vfio_ops(v), v), -ENOTTY);
	weir_mirror_destroy(m);
	weir_vfio_destroy(v);
	return TEST_OK;
}
IN_KERNEL(vfio_noiommu_answers_enotty, 0)

static const struct test_case vfio_cases[] = {
	{ "vfio_create_takes_best_offered", vfio_create_takes_best_offered },
	{ "vfio_create_falls_back_to_v1", vfio_create_falls_back_to_v1 },
	{ "vfio_create_errors_tell_why", vfio_create_errors_tell_why },
	{ "vfio_create_group_not_viable_refused", vfio_create_group_not_viable_refused },
	{ "vfio_create_other_version_refused", vfio_create_other_version_refused },
	{ "vfio_create_fail_nth_leaves_nothing", vfio_create_fail_nth_leaves_nothing },
	{ "vfio_device_opened_once", vfio_device_opened_once },
	{ "vfio_last_group_takes_entries_along", vfio_last_group_takes_entries_along },
	{ "vfio_mirror_replays_when_a_device_is_back",
	  vfio_mirror_replays_when_a_device_is_back },
	{ "vfio_caps_of_an_old_kernel", vfio_caps_of_an_old_kernel },
	{ "vfio_caps_keep_the_largest_apertures", vfio_caps_keep_the_largest_apertures },
	{ "vfio_caps_circular_chain_ends", vfio_caps_circular_chain_ends },
	{ "vfio_unmapped_size_is_the_kernels", vfio_unmapped_size_is_the_kernels },
	{ "vfio_adopt_finds_the_type", vfio_adopt_finds_the_type },
	{ "vfio_adopt_lives_beside_the_owner", vfio_adopt_lives_beside_the_owner },
	{ "vfio_adopt_of_unknown_type_splits_nothing",
	  vfio_adopt_of_unknown_type_splits_nothing },
	{ "vfio_adopt_believes_the_kernel", vfio_adopt_believes_the_kernel },
	{ "vfio_adopt_outlives_the_last_device", vfio_adopt_outlives_the_last_device },
	{ "vfio_adopt_random_leaves_the_owners", vfio_adopt_random_leaves_the_owners },
	{ "vfio_adopt_fail_nth_agrees_with_the_kernel",
	  vfio_adopt_fail_nth_agrees_with_the_kernel },
	{ "vfio_noiommu_answers_enotty", vfio_noiommu_answers_enotty },
};
AUTOTEST(vfio_autotest, vfio_cases);
