/* SPDX-License-Identifier: BSD-3-Clause */
/* POWER's backend, over the model of its IOMMU. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fake_vfio.h"
#include "test.h"
#include "weir_fail.h"
#include "weir_map.h"
#include "weir_mirror.h"
#include "weir_sim_spapr.h"
#include "weir_vfio.h"

#define PAGE UINT64_C(0x1000)
#define BASE UINT64_C(0x1000000)
#define NR_PAGES 64u
#define RW (WEIR_PROT_READ | WEIR_PROT_WRITE)

static _Alignas(4096) char mem[NR_PAGES * 4096];

/* What the kernel has: pages mapped, and stretches of memory registered. */
static uint64_t
pages_mapped(const struct weir_vfio *v)
{
	struct weir_sim_spapr state = { .registered = 0 };

	(void)weir_sim_spapr_state(fake_vfio_sim(weir_vfio_fd(v)), &state);
	return state.mapped_bytes / PAGE;
}

static uint64_t
registered(const struct weir_vfio *v)
{
	struct weir_sim_spapr state = { .registered = 0 };

	(void)weir_sim_spapr_state(fake_vfio_sim(weir_vfio_fd(v)), &state);
	return state.registered;
}

static int
map(struct weir_vfio *v, uint64_t iova_page, uint64_t mem_page, uint64_t nr)
{
	return weir_vfio_ops(v)->map(v, BASE + iova_page * PAGE,
				     (uint64_t)(uintptr_t)mem + mem_page * PAGE,
				     nr * PAGE, RW);
}

static int
unmap(struct weir_vfio *v, uint64_t page, uint64_t nr, uint64_t *gone)
{
	int ret = weir_vfio_ops(v)->unmap(v, BASE + page * PAGE, nr * PAGE, gone);

	*gone /= PAGE;
	return ret;
}

/* Run a case with an open container. */
static enum test_result
with_spapr(bool one_window, unsigned int bits,
	   enum test_result (*fn)(struct weir_vfio *v))
{
	struct fake_vfio_config config = {
		.spapr = true,
		.one_window = one_window,
		.window_bits = bits,
	};
	enum test_result res;
	struct weir_vfio *v;

	if (sysconf(_SC_PAGESIZE) != (long)PAGE)
		return test_skip("the model has pages of 4 KiB");
	TEST_ASSERT(fake_vfio_begin(&config));
	TEST_EQ(weir_vfio_create(fake_vfio_name(FAKE_DEV0), WEIR_VFIO_ANY, 0, &v), 0);
	TEST_EQ(weir_vfio_iommu(v), WEIR_VFIO_SPAPR);
	res = fn(v);
	weir_vfio_destroy(v);
	TEST_EQ(fake_vfio_end(), 0);
	return res;
}

static enum test_result
window_large_steps(struct weir_vfio *v)
{
	struct weir_iommu_caps caps;

	TEST_EQ(weir_vfio_ops(v)->caps(v, &caps), 0);
	TEST_EQ(caps.page_sizes, PAGE);
	TEST_EQ(caps.splits, true);
	TEST_EQ(caps.max_entries, UINT64_MAX);
	TEST_EQ(caps.nr_apertures, 1);
	TEST_EQ(caps.aperture[0].start, 0);
	TEST_EQ(caps.aperture[0].last, (UINT64_C(1) << 46) - 1);
	return TEST_OK;
}

static enum test_result
spapr_window_is_the_largest_there_is(void)
{
	return with_spapr(false, 46, window_large_steps);
}

static enum test_result
window_first_steps(struct weir_vfio *v)
{
	struct weir_iommu_caps caps;

	TEST_EQ(weir_vfio_ops(v)->caps(v, &caps), 0);
	TEST_EQ(caps.nr_apertures, 1);
	TEST_EQ(caps.aperture[0].last, 0x7fffffff);
	return TEST_OK;
}

static enum test_result
spapr_window_stays_where_no_other_can_be_had(void)
{
	return with_spapr(true, 0, window_first_steps);
}

/* Any pages can go; how many there were is told though the kernel does not. */
static enum test_result
unmap_steps(struct weir_vfio *v)
{
	uint64_t gone = 99;

	TEST_EQ(map(v, 0, 0, 8), 0);
	TEST_EQ(map(v, 12, 12, 4), 0);
	TEST_EQ(unmap(v, 2, 1, &gone), 0);
	TEST_EQ(gone, 1);
	TEST_EQ(unmap(v, 0, 14, &gone), 0);
	TEST_EQ(gone, 9);
	TEST_EQ(pages_mapped(v), 2);
	TEST_EQ(registered(v), 1);
	TEST_EQ(unmap(v, 0, 8, &gone), 0);
	TEST_EQ(gone, 0);
	TEST_EQ(unmap(v, 0, 0, &gone), -EINVAL);
	return TEST_OK;
}

static enum test_result
spapr_unmap_counts_what_was_there(void)
{
	return with_spapr(false, 46, unmap_steps);
}

/* Mapped twice, registered once; unregistered with its last map, as registered. */
static enum test_result
register_steps(struct weir_vfio *v)
{
	uint64_t gone;

	TEST_EQ(map(v, 0, 0, 8), 0);
	TEST_EQ(map(v, 16, 0, 8), 0);
	TEST_EQ(map(v, 32, 2, 2), 0);
	TEST_EQ(registered(v), 1);
	/* half of it is registered, the other half becomes so */
	TEST_EQ(map(v, 48, 6, 4), 0);
	TEST_EQ(registered(v), 2);
	TEST_EQ(unmap(v, 48, 4, &gone), 0);
	TEST_EQ(gone, 4);
	TEST_EQ(registered(v), 1);
	TEST_EQ(unmap(v, 0, 8, &gone), 0);
	TEST_EQ(unmap(v, 16, 8, &gone), 0);
	TEST_EQ(registered(v), 1);
	TEST_EQ(unmap(v, 33, 1, &gone), 0);
	TEST_EQ(registered(v), 1);
	TEST_EQ(unmap(v, 32, 1, &gone), 0);
	TEST_EQ(registered(v), 0);
	TEST_EQ(map(v, 48, 6, 4), 0);
	return TEST_OK;
}

/* A range over two that are registered, and three gaps; one that cannot be. */
static enum test_result
gaps_steps(struct weir_vfio *v)
{
	uint64_t gone;

	TEST_EQ(map(v, 0, 2, 2), 0);
	TEST_EQ(map(v, 4, 6, 2), 0);
	TEST_EQ(map(v, 16, 0, 12), 0);
	TEST_EQ(registered(v), 5);
	TEST_EQ(unmap(v, 0, 2, &gone), 0);
	TEST_EQ(unmap(v, 4, 2, &gone), 0);
	TEST_EQ(registered(v), 5);
	TEST_EQ(unmap(v, 17, 11, &gone), 0);
	TEST_EQ(registered(v), 1);
	TEST_EQ(unmap(v, 16, 1, &gone), 0);
	TEST_EQ(registered(v), 0);
	/* memory that ends in the middle: nothing stays registered */
	TEST_EQ(map(v, 0, 4, 2), 0);
	TEST_EQ(mprotect(mem + 10 * PAGE, PAGE, PROT_READ), 0);
	TEST_EQ(map(v, 16, 0, 12), -EFAULT);
	TEST_EQ(mprotect(mem + 10 * PAGE, PAGE, PROT_READ | PROT_WRITE), 0);
	TEST_EQ(registered(v), 1);
	TEST_EQ(pages_mapped(v), 2);
	return TEST_OK;
}

static enum test_result
spapr_gaps_are_registered(void)
{
	return with_spapr(false, 46, gaps_steps);
}

/* The kernel would write over it. */
static enum test_result
overlap_steps(struct weir_vfio *v)
{
	TEST_EQ(map(v, 4, 0, 4), 0);
	TEST_EQ(map(v, 4, 0, 4), -EEXIST);
	TEST_EQ(map(v, 7, 20, 4), -EEXIST);
	TEST_EQ(map(v, 2, 20, 3), -EEXIST);
	TEST_EQ(registered(v), 1);
	TEST_EQ(pages_mapped(v), 4);
	return TEST_OK;
}

static enum test_result
spapr_map_over_another_refused(void)
{
	return with_spapr(false, 46, overlap_steps);
}

/* What could not be unregistered is, before the memory is used again. */
static enum test_result
stays_steps(struct weir_vfio *v)
{
	uint64_t gone;

	TEST_EQ(map(v, 0, 0, 8), 0);
	TEST_EQ(unmap(v, 0, 8, &gone), 0);
	TEST_EQ(map(v, 0, 0, 8), 0);
	weir_fail_arm(3); /* the book's spare, to unmap, to unregister */
	TEST_EQ(unmap(v, 0, 8, &gone), 0);
	TEST_ASSERT(!weir_fail_armed());
	TEST_EQ(gone, 8);
	TEST_EQ(pages_mapped(v), 0);
	TEST_EQ(registered(v), 1);
	weir_fail_arm(1);
	TEST_EQ(map(v, 0, 4, 8), -EIO);
	TEST_ASSERT(!weir_fail_armed());
	TEST_EQ(pages_mapped(v), 0);
	TEST_EQ(map(v, 0, 4, 8), 0);
	TEST_EQ(registered(v), 1);
	TEST_EQ(unmap(v, 0, 8, &gone), 0);
	TEST_EQ(registered(v), 0);
	return TEST_OK;
}

static enum test_result
spapr_memory_that_stays_is_not_used_again(void)
{
	return with_spapr(false, 46, stays_steps);
}

static enum test_result
spapr_memory_registered_while_mapped(void)
{
	return with_spapr(false, 46, register_steps);
}

static enum test_result
fail_nth_steps(struct weir_vfio *v)
{
	unsigned int nth = 0;
	bool used = true;
	uint64_t gone;

	/* so that the book has its spares, and each round meets the same calls */
	TEST_EQ(map(v, 0, 0, 8), 0);
	TEST_EQ(unmap(v, 0, 8, &gone), 0);
	while (used) {
		int ret;

		weir_fail_arm(++nth);
		ret = map(v, 0, 0, 8);
		used = !weir_fail_armed();
		weir_fail_arm(0);
		TEST_EQ(ret == 0, !used);
		TEST_EQ(pages_mapped(v), used ? 0 : 8);
		TEST_EQ(registered(v), used ? 0 : 1);
	}
	/* the node, to register, to map, and what the kernel's model does for these */
	TEST_ASSERT(nth > 4);
	/* refused by the kernel: not registered either */
	TEST_EQ(weir_vfio_ops(v)->map(v, UINT64_C(1) << 60,
				      (uint64_t)(uintptr_t)mem + 16 * PAGE, PAGE, RW),
		-ENXIO);
	TEST_EQ(registered(v), 1);
	return TEST_OK;
}

static enum test_result
spapr_map_fail_nth_leaves_nothing(void)
{
	return with_spapr(false, 46, fail_nth_steps);
}

static enum test_result
mirror_steps(struct weir_vfio *v)
{
	struct weir_region r = {
		.iova = { BASE, BASE + 32 * PAGE - 1 },
		.hva = (uint64_t)(uintptr_t)mem,
		.prot = RW,
	};
	struct weir_range middle = { BASE + 5 * PAGE, BASE + 9 * PAGE - 1 };
	struct weir_mirror *m;

	TEST_EQ(weir_mirror_create("power", &m), 0);
	TEST_EQ(weir_mirror_attach(m, weir_vfio_ops(v), v), 0);
	TEST_EQ(weir_mirror_map(m, &r), 0);
	TEST_EQ(weir_mirror_unmap(m, middle), 0);
	TEST_EQ(pages_mapped(v), 28);
	TEST_EQ(weir_mirror_broken(m), 0);
	TEST_EQ(weir_mirror_detach(m, v), 0);
	TEST_EQ(pages_mapped(v), 0);
	weir_mirror_destroy(m);
	return TEST_OK;
}

static enum test_result
spapr_mirror_unmaps_any_page(void)
{
	return with_spapr(false, 46, mirror_steps);
}

/* The last group has gone: the kernel has let go of it all, and so have we. */
static enum test_result
group_gone_steps(struct weir_vfio *v)
{
	TEST_EQ(map(v, 0, 0, 8), 0);
	TEST_EQ(weir_vfio_detach(v, fake_vfio_name(FAKE_DEV0)), 0);
	TEST_EQ(weir_vfio_attach(v, fake_vfio_name(FAKE_DEV0)), 0);
	TEST_EQ(map(v, 0, 0, 8), 0);
	TEST_EQ(registered(v), 1);
	return TEST_OK;
}

static enum test_result
spapr_group_gone_starts_afresh(void)
{
	return with_spapr(false, 46, group_gone_steps);
}

/* The owner's windows and memory stay. */
static enum test_result
adopt_steps(struct weir_vfio *v)
{
	struct weir_iommu_caps caps;
	struct weir_vfio *guest;

	TEST_EQ(map(v, 0, 0, 8), 0);
	TEST_EQ(weir_vfio_adopt(weir_vfio_fd(v), &guest), 0);
	TEST_EQ(weir_vfio_iommu(guest), WEIR_VFIO_SPAPR);
	TEST_EQ(weir_vfio_ops(guest)->caps(guest, &caps), 0);
	TEST_EQ(caps.nr_apertures, 0);
	TEST_EQ(map(guest, 16, 16, 8), 0);
	TEST_EQ(pages_mapped(v), 16);
	weir_vfio_destroy(guest);
	TEST_EQ(pages_mapped(v), 8);
	TEST_EQ(registered(v), 1);
	return TEST_OK;
}

static enum test_result
spapr_adopt_leaves_the_owners(void)
{
	return with_spapr(false, 46, adopt_steps);
}

static const struct test_case vfio_spapr_cases[] = {
	{ "spapr_window_is_the_largest_there_is", spapr_window_is_the_largest_there_is },
	{ "spapr_window_stays_where_no_other_can_be_had",
	  spapr_window_stays_where_no_other_can_be_had },
	{ "spapr_unmap_counts_what_was_there", spapr_unmap_counts_what_was_there },
	{ "spapr_memory_registered_while_mapped", spapr_memory_registered_while_mapped },
	{ "spapr_gaps_are_registered", spapr_gaps_are_registered },
	{ "spapr_map_over_another_refused", spapr_map_over_another_refused },
	{ "spapr_memory_that_stays_is_not_used_again",
	  spapr_memory_that_stays_is_not_used_again },
	{ "spapr_map_fail_nth_leaves_nothing", spapr_map_fail_nth_leaves_nothing },
	{ "spapr_mirror_unmaps_any_page", spapr_mirror_unmaps_any_page },
	{ "spapr_group_gone_starts_afresh", spapr_group_gone_starts_afresh },
	{ "spapr_adopt_leaves_the_owners", spapr_adopt_leaves_the_owners },
};
AUTOTEST(vfio_spapr_autotest, vfio_spapr_cases);
