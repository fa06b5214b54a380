/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What DPDK's user memory maps get wrong (eal_vfio.c of 22.11 to 26.07, most of
 * it tried), done here with the model of the kernel that shows it best, type1
 * v1. Each case says what the defect was. Of the list that these numbers come
 * from, 11 (a failed map of memory that EAL tells of) and 12 (sPAPR's unmap) are no
 * matter of a map, and are tested with the drivers they concern: test_space.c
 * (space_lost_pages_are_counted) and test_vfio_spapr.c.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "fake_vfio.h"
#include "test.h"
#include "weir_mirror.h"
#include "weir_sim.h"
#include "weir_vfio.h"

#define PAGE WEIR_MAP_PAGE
#define NR_PAGES 1024
#define IOVA UINT64_C(0x100000)

/* A process, its memory, a container and a device in it. */
struct bench {
	struct weir_mirror *m;
	struct weir_sim *sim;
	struct weir_sim_dev dev;
	char *mem;
};

static struct bench b;

static enum test_result
setup(bool attached)
{
	TEST_EQ(weir_mirror_create("gaps", &b.m), 0);
	TEST_EQ(weir_sim_create(WEIR_SIM_TYPE1_V1, &b.sim), 0);
	weir_sim_attach(b.sim, &b.dev);
	b.mem = mmap(NULL, NR_PAGES * PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(b.mem != MAP_FAILED);
	if (attached)
		TEST_EQ(weir_mirror_attach(b.m, &weir_sim_ops, b.sim), 0);
	return TEST_OK;
}

#define SETUP(attached)                         \
	do {                                    \
		if (setup(attached) != TEST_OK) \
			return TEST_FAILED;     \
	} while (0)

static enum test_result
finish(void)
{
	TEST_EQ(weir_mirror_broken(b.m), 0);
	weir_sim_detach(&b.dev);
	weir_mirror_destroy(b.m);
	munmap(b.mem, NR_PAGES * PAGE);
	return TEST_OK;
}

static struct weir_range
pages(uint64_t from, uint64_t nr)
{
	return (struct weir_range){ IOVA + from * PAGE, IOVA + (from + nr) * PAGE - 1 };
}

/* Map pages to memory that begins at page @to, in entries of @chunk pages. */
static int
map(uint64_t from, uint64_t nr, uint64_t to, uint64_t chunk)
{
	struct weir_region r = { .iova = pages(from, nr),
				 .hva = (uintptr_t)b.mem + to * PAGE,
				 .chunk = chunk * PAGE,
				 .prot = WEIR_PROT_READ | WEIR_PROT_WRITE };

	return weir_mirror_map(b.m, &r);
}

static int
unmap(uint64_t from, uint64_t nr)
{
	return weir_mirror_unmap(b.m, pages(from, nr));
}

/* The page of memory that a device gets to; -1: a fault. */
static int64_t
dma(uint64_t page)
{
	uint64_t len = 1;
	char *at;

	weir_sim_enter(&b.dev);
	at = weir_sim_translate(&b.dev, IOVA + page * PAGE, WEIR_PROT_WRITE, &len);
	weir_sim_leave(&b.dev);
	return at != NULL ? (at - b.mem) / (int64_t)PAGE : -1;
}

/* 1: replay merged entries, so that a chunk could not be unmapped afterwards. */
static enum test_result
dpdk_gap_01_replay_keeps_chunks(void)
{
	SETUP(false);
	for (uint64_t i = 0; i < 4; i++)
		TEST_EQ(map(i * 2, 2, i * 2, 2), 0);
	TEST_EQ(weir_mirror_regions(b.m), 1);
	TEST_EQ(weir_mirror_attach(b.m, &weir_sim_ops, b.sim), 0);
	TEST_EQ(weir_sim_entries(b.sim), 4);
	TEST_EQ(unmap(6, 2), 0);
	TEST_EQ(unmap(0, 2), 0);
	for (uint64_t i = 0; i < 8; i++)
		TEST_EQ(dma(i), i >= 2 && i < 6 ? (int64_t)i : -1);
	return finish();
}

/* 2: a container that was destroyed kept its maps, and unmapping crashed. */
static enum test_result
dpdk_gap_02_unmap_after_the_container_left(void)
{
	SETUP(true);
	TEST_EQ(map(0, 4, 0, 2), 0);
	TEST_EQ(weir_mirror_detach(b.m, b.sim), 0);
	TEST_EQ(weir_sim_entries(b.sim), 0);
	TEST_EQ(unmap(0, 2), 0);
	TEST_EQ(weir_mirror_attach(b.m, &weir_sim_ops, b.sim), 0);
	TEST_EQ(dma(0), -1);
	TEST_EQ(dma(2), 2);
	return finish();
}

/* 3: EEXIST was success, so a map said one thing and the IOMMU did another. */
static enum test_result
dpdk_gap_03_other_memory_at_an_iova_refused(void)
{
	SETUP(true);
	TEST_EQ(map(0, 4, 0, 4), 0);
	TEST_EQ(map(0, 4, 8, 4), -EEXIST);
	TEST_EQ(map(3, 4, 11, 4), -EEXIST);
	TEST_EQ(dma(0), 0);
	TEST_EQ(weir_mirror_regions(b.m), 1);
	/* also where only the kernel knows of it: somebody else's map */
	TEST_EQ(weir_sim_ops.map(b.sim, IOVA + 16 * PAGE, (uintptr_t)b.mem, PAGE,
				 WEIR_PROT_READ),
		0);
	TEST_EQ(map(14, 4, 14, 1), -EEXIST);
	TEST_EQ(weir_sim_entries(b.sim), 2);
	TEST_EQ(dma(14), -1);
	return finish();
}

/* 3, second half: mapped twice and unmapped once, it was gone. */
static enum test_result
dpdk_gap_03_maps_are_counted(void)
{
	SETUP(true);
	TEST_EQ(map(0, 4, 0, 4), 0);
	TEST_EQ(map(0, 4, 0, 4), 0);
	TEST_EQ(unmap(0, 4), 0);
	TEST_EQ(dma(3), 3);
	TEST_EQ(unmap(0, 4), 0);
	TEST_EQ(dma(3), -1);
	TEST_EQ(unmap(0, 4), -ENOENT);
	return finish();
}

/* 4: an unmap across a hole went to the kernel, which unmapped both sides. */
static enum test_result
dpdk_gap_04_unmap_across_a_hole_refused(void)
{
	SETUP(true);
	TEST_EQ(map(0, 2, 0, 1), 0);
	TEST_EQ(map(3, 2, 3, 1), 0);
	TEST_EQ(unmap(0, 5), -ENOENT);
	TEST_EQ(unmap(1, 3), -ENOENT);
	TEST_EQ(dma(1), 1);
	TEST_EQ(dma(3), 3);
	TEST_EQ(weir_mirror_regions(b.m), 2);
	/* virtual addresses need not be contiguous, iovas do */
	TEST_EQ(map(2, 1, 100, 1), 0);
	TEST_EQ(unmap(0, 5), 0);
	TEST_EQ(weir_sim_entries(b.sim), 0);
	return finish();
}

/* 5: the caller was not told why the kernel refused. */
static enum test_result
dpdk_gap_05_the_kernels_errno_arrives(void)
{
	SETUP(true);
	TEST_EQ(map(0, 1, 0, 1), 0);
	munmap(b.mem + 512 * PAGE, PAGE);
	errno = 0;
	TEST_EQ(map(1, 1, 512, 1), -EFAULT);
	TEST_EQ(dma(1), -1);
	TEST_EQ(dma(0), 0);
	return finish();
}

/* 6: of a table's entries the first two never merged. */
static enum test_result
dpdk_gap_06_the_first_two_merge(void)
{
	SETUP(true);
	TEST_EQ(map(0, 1, 0, 1), 0);
	TEST_EQ(map(1, 1, 1, 1), 0);
	TEST_EQ(weir_mirror_regions(b.m), 1);
	TEST_EQ(map(3, 1, 3, 1), 0);
	TEST_EQ(map(2, 1, 2, 1), 0);
	TEST_EQ(weir_mirror_regions(b.m), 1);
	return finish();
}

/* 7: 256 entries, and a full table refused what would have merged. */
static enum test_result
dpdk_gap_07_no_table_to_fill(void)
{
	SETUP(true);
	for (uint64_t i = 0; i < NR_PAGES / 2; i++)
		TEST_EQ(map(i * 2, 1, i * 2, 1), 0);
	TEST_EQ(weir_mirror_regions(b.m), NR_PAGES / 2);
	for (uint64_t i = 0; i < NR_PAGES / 2; i++)
		TEST_EQ(map(i * 2 + 1, 1, i * 2 + 1, 1), 0);
	TEST_EQ(weir_mirror_regions(b.m), 1);
	TEST_EQ(unmap(0, NR_PAGES), 0);
	/* at the kernel's limit, what is mapped already is counted all the same */
	weir_sim_set_limit(b.sim, 2);
	TEST_EQ(map(0, 2, 0, 1), 0);
	TEST_EQ(map(2, 1, 2, 1), -ENOSPC);
	TEST_EQ(map(0, 2, 0, 1), 0);
	return finish();
}

/* A backend whose calls last as long as a test wants. */
struct slow {
	_Atomic bool inside;
	_Atomic bool go_on;
};

static int
slow_caps(void *ctx, struct weir_iommu_caps *caps)
{
	(void)ctx;
	*caps = (struct weir_iommu_caps){ .name = "slow",
					  .page_sizes = PAGE,
					  .max_entries = UINT64_MAX,
					  .max_locked = UINT64_MAX };
	return 0;
}

static int
slow_map(void *ctx, uint64_t iova, uint64_t hva, uint64_t len, uint32_t prot)
{
	struct slow *s = ctx;

	(void)iova;
	(void)hva;
	(void)len;
	(void)prot;
	atomic_store(&s->inside, true);
	while (!atomic_load(&s->go_on))
		;
	return 0;
}

static int
slow_unmap(void *ctx, uint64_t iova, uint64_t len, uint64_t *unmapped)
{
	(void)ctx;
	(void)iova;
	*unmapped = len;
	return 0;
}

static void
slow_close(void *ctx)
{
	(void)ctx;
}

static const struct weir_iommu_ops slow_ops = {
	.caps = slow_caps,
	.map = slow_map,
	.unmap = slow_unmap,
	.close = slow_close,
};

static void *
slow_mapper(void *arg)
{
	(void)arg;
	return (void *)(intptr_t)map(8, 4, 8, 4);
}

static int
count_region(const struct weir_region *r, void *arg)
{
	size_t *nr = arg;

	(void)r;
	(*nr)++;
	return 0;
}

/* 8: one lock was held while memory was pinned; whoever looked had to wait. */
static enum test_result
dpdk_gap_08_reading_does_not_wait_for_pinning(void)
{
	static struct slow slow;
	struct weir_map_hint hint = { .map = NULL };
	struct weir_map_held held;
	struct weir_region r;
	pthread_t thread;
	size_t nr = 0;
	void *ret;

	SETUP(true);
	atomic_store(&slow.go_on, true);
	TEST_EQ(weir_mirror_attach(b.m, &slow_ops, &slow), 0);
	TEST_EQ(map(0, 4, 0, 4), 0);
	atomic_store(&slow.go_on, false);
	atomic_store(&slow.inside, false);
	TEST_EQ(pthread_create(&thread, NULL, slow_mapper, NULL), 0);
	while (!atomic_load(&slow.inside))
		;
	TEST_EQ(weir_mirror_lookup(b.m, IOVA, &r), 0);
	TEST_EQ(weir_mirror_lookup(b.m, IOVA + 8 * PAGE, &r), -ENOENT);
	TEST_EQ(weir_mirror_walk(b.m, count_region, &nr), 0);
	TEST_EQ(nr, 1);
	TEST_EQ(weir_map_lookup(weir_mirror_table(b.m), IOVA, &hint), 0);
	TEST_EQ(weir_map_hold(weir_mirror_table(b.m), IOVA, &held), 0);
	weir_map_release(&held);
	TEST_EQ(weir_mirror_regions(b.m), 1);
	atomic_store(&slow.go_on, true);
	pthread_join(thread, &ret);
	TEST_EQ((intptr_t)ret, 0);
	TEST_EQ(weir_mirror_regions(b.m), 2);
	return finish();
}

/* 9: sums were not checked, and a chunk of 0 divided by zero in the replay. */
static enum test_result
dpdk_gap_09_sums_are_checked(void)
{
	struct weir_region r = { .iova = pages(0, 4), .prot = WEIR_PROT_READ };

	SETUP(false);
	r.hva = UINT64_MAX - PAGE + 1;
	TEST_EQ(weir_mirror_map(b.m, &r), -EOVERFLOW);
	TEST_EQ(weir_range_make(&r.iova, UINT64_MAX - PAGE + 1, 2 * PAGE), -EOVERFLOW);
	r.iova = (struct weir_range){ PAGE, PAGE - 1 };
	TEST_EQ(weir_mirror_map(b.m, &r), -EINVAL);
	TEST_EQ(weir_mirror_unmap(b.m, r.iova), -EINVAL);
	TEST_EQ(weir_mirror_unmap(b.m, (struct weir_range){ 0, UINT64_MAX }), -ENOENT);
	TEST_EQ(map(0, 3, 0, 0), 0);
	TEST_EQ(weir_mirror_attach(b.m, &weir_sim_ops, b.sim), 0);
	TEST_EQ(dma(2), 2);
	return finish();
}

/* 10: a replay that failed left the group attached, and the retry mapped nothing. */
static enum test_result
dpdk_gap_10_failed_attach_can_be_repeated(void)
{
	SETUP(false);
	TEST_EQ(map(0, 4, 0, 1), 0);
	munmap(b.mem + 2 * PAGE, PAGE);
	TEST_EQ(weir_mirror_attach(b.m, &weir_sim_ops, b.sim), -EFAULT);
	TEST_EQ(weir_sim_entries(b.sim), 0);
	TEST_EQ(unmap(2, 1), 0);
	TEST_EQ(weir_mirror_attach(b.m, &weir_sim_ops, b.sim), 0);
	TEST_EQ(weir_sim_entries(b.sim), 3);
	TEST_EQ(dma(3), 3);
	return finish();
}

/* 13: an entry a page, so 65535 entries ended at 128 GiB of 2 MiB pages. */
static enum test_result
dpdk_gap_13_a_large_guest_fits(void)
{
	uint64_t granule = PAGE;
	struct weir_region r = { .iova = pages(0, NR_PAGES),
				 .prot = WEIR_PROT_READ | WEIR_PROT_WRITE };

	/* in small: 1024 pages into 255 entries, as 256 GiB into 65535 */
	SETUP(true);
	weir_sim_set_limit(b.sim, 255);
	r.hva = (uintptr_t)b.mem;
	TEST_EQ(weir_mirror_map_fit(b.m, &r, &granule), 0);
	TEST_EQ(granule, 8 * PAGE);
	TEST_EQ(weir_sim_entries(b.sim), NR_PAGES / 8);
	TEST_EQ(unmap(8, 8), 0);
	TEST_EQ(dma(7), 7);
	TEST_EQ(dma(8), -1);
	TEST_EQ(dma(16), 16);
	return finish();
}

/* Map, in a container that somebody else has opened and set up. */
static enum test_result
gap_14_adopted(int fd, enum weir_vfio_iommu iommu)
{
	struct weir_sim_dev dev;
	struct weir_vfio *v;
	uint64_t len = 1;

	TEST_EQ(weir_vfio_adopt(fd, &v), 0);
	TEST_EQ(weir_vfio_iommu(v), iommu);
	TEST_EQ(weir_mirror_attach(b.m, weir_vfio_ops(v), v), 0);
	TEST_EQ(map(0, 4, 0, 1), 0);
	weir_sim_attach(fake_vfio_sim(fd), &dev);
	weir_sim_enter(&dev);
	TEST_ASSERT(weir_sim_translate(&dev, IOVA, WEIR_PROT_WRITE, &len) == b.mem);
	weir_sim_leave(&dev);
	weir_sim_detach(&dev);
	TEST_EQ(unmap(0, 4), 0);
	TEST_EQ(weir_mirror_detach(b.m, v), 0);
	weir_vfio_destroy(v);
	return TEST_OK;
}

/*
 * 14: a process that had not set the container's type itself, a secondary, knew of
 * none, and mapped nothing. The kernel knows it. (That a secondary is told that it
 * has no ports and no address space is shown by test_net_weir_args.py.)
 */
static enum test_result
dpdk_gap_14_type_is_asked_of_the_kernel(void)
{
	static const enum weir_vfio_iommu types[] = {
		WEIR_VFIO_TYPE1_V1,
		WEIR_VFIO_TYPE1_V2,
		WEIR_VFIO_SPAPR,
	};

	for (unsigned int i = 0; i < 3; i++) {
		struct weir_vfio *owner;
		struct weir_sim *unused;

		SETUP(false);
		unused = b.sim;
		TEST_ASSERT(fake_vfio_begin(&(struct fake_vfio_config){
			.spapr = types[i] == WEIR_VFIO_SPAPR }));
		TEST_EQ(weir_vfio_create(fake_vfio_name(FAKE_DEV0), types[i], 0, &owner),
			0);
		TEST_EQ(gap_14_adopted(weir_vfio_fd(owner), types[i]), TEST_OK);
		weir_vfio_destroy(owner);
		TEST_EQ(fake_vfio_end(), 0);
		TEST_EQ(finish(), TEST_OK);
		weir_sim_destroy(unused);
	}
	return TEST_OK;
}

#define CASE(name)          \
	{                   \
#name, name \
	}

static const struct test_case dpdk_gaps_cases[] = {
	CASE(dpdk_gap_01_replay_keeps_chunks),
	CASE(dpdk_gap_02_unmap_after_the_container_left),
	CASE(dpdk_gap_03_other_memory_at_an_iova_refused),
	CASE(dpdk_gap_03_maps_are_counted),
	CASE(dpdk_gap_04_unmap_across_a_hole_refused),
	CASE(dpdk_gap_05_the_kernels_errno_arrives),
	CASE(dpdk_gap_06_the_first_two_merge),
	CASE(dpdk_gap_07_no_table_to_fill),
	CASE(dpdk_gap_08_reading_does_not_wait_for_pinning),
	CASE(dpdk_gap_09_sums_are_checked),
	CASE(dpdk_gap_10_failed_attach_can_be_repeated),
	CASE(dpdk_gap_13_a_large_guest_fits),
	CASE(dpdk_gap_14_type_is_asked_of_the_kernel),
};
AUTOTEST(dpdk_gaps_autotest, dpdk_gaps_cases);
