/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A mirror and backends that run out, fail and lie. Whatever happens, the map
 * and what backends hold are equal afterwards, or the backend is said to be
 * broken; fake_iommu.h counts calls that a correct mirror never makes.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "fake_iommu.h"
#include "test.h"
#include "weir_epoch.h"
#include "weir_fail.h"
#include "weir_log.h"
#include "weir_mirror.h"

#define PAGE WEIR_MAP_PAGE
#define HVA UINT64_C(0x7f0000000000)

/* A mirror with two backends, and what has been logged. */
struct fixture {
	struct weir_mirror *m;
	struct fake_iommu f[2];
};

static struct fixture fx;
static char last_log[512];

static void
keep_log(enum weir_log_level level, const char *msg)
{
	(void)level;
	snprintf(last_log, sizeof(last_log), "%s", msg);
}

static enum test_result
setup(unsigned int nr_backends)
{
	weir_log_set_sink(keep_log);
	last_log[0] = '\0';
	TEST_EQ(weir_mirror_create("test", &fx.m), 0);
	for (unsigned int i = 0; i < 2; i++)
		fake_iommu_init(&fx.f[i], i == 0 ? "first" : "second");
	for (unsigned int i = 0; i < nr_backends; i++)
		TEST_EQ(weir_mirror_attach(fx.m, &fake_iommu_ops, &fx.f[i]), 0);
	return TEST_OK;
}

#define SETUP(nr)                           \
	do {                                \
		if (setup(nr) != TEST_OK)   \
			return TEST_FAILED; \
	} while (0)

/* The map is well, and so are the backends, or @nr_broken of them are not. */
static enum test_result
finish(unsigned int nr_broken)
{
	TEST_EQ(weir_mirror_broken(fx.m), nr_broken);
	for (unsigned int i = 0; i < 2; i++)
		TEST_EQ(fx.f[i].nr_mistakes, 0);
	weir_mirror_destroy(fx.m);
	weir_log_set_sink(NULL);
	return TEST_OK;
}

static struct weir_range
pages(uint64_t from, uint64_t nr)
{
	return (struct weir_range){ from * PAGE, (from + nr) * PAGE - 1 };
}

static struct weir_region
region(uint64_t from, uint64_t nr, uint64_t chunk)
{
	return (struct weir_region){ .iova = pages(from, nr),
				     .hva = HVA + from * PAGE,
				     .chunk = chunk * PAGE,
				     .prot = WEIR_PROT_READ | WEIR_PROT_WRITE };
}

static int
map(uint64_t from, uint64_t nr, uint64_t chunk)
{
	struct weir_region r = region(from, nr, chunk);

	return weir_mirror_map(fx.m, &r);
}

static int
unmap(uint64_t from, uint64_t nr)
{
	return weir_mirror_unmap(fx.m, pages(from, nr));
}

static bool
follows(unsigned int i)
{
	return fake_iommu_follows(&fx.f[i], weir_mirror_table(fx.m));
}

static bool
all_follow(void)
{
	return follows(0) && follows(1);
}

static enum test_result
create_bad_name_refused(void)
{
	struct weir_mirror *m;

	TEST_EQ(weir_mirror_create("", &m), -EINVAL);
	TEST_EQ(weir_mirror_create("a name of thirty-two characters.", &m),
		-ENAMETOOLONG);
	TEST_EQ(weir_mirror_create("a name of thirty-one characters", &m), 0);
	weir_mirror_destroy(m);
	weir_mirror_destroy(NULL);
	return TEST_OK;
}

static enum test_result
map_chunks_unmap_chunks(void)
{
	SETUP(2);
	TEST_EQ(map(8, 9, 2), 0);
	TEST_EQ(fx.f[0].nr_entries, 5);
	TEST_ASSERT(all_follow());
	TEST_EQ(unmap(10, 4), 0);
	TEST_ASSERT(all_follow());
	TEST_EQ(weir_mirror_regions(fx.m), 2);
	TEST_EQ(unmap(9, 1), -ENOTSUP);
	TEST_EQ(unmap(8, 9), -ENOENT);
	TEST_EQ(unmap(8, 2), 0);
	TEST_EQ(unmap(14, 3), 0);
	TEST_EQ(fx.f[1].nr_entries, 0);
	return finish(0);
}

static enum test_result
map_chunk_0_depends_on_who_can_split(void)
{
	struct weir_region r;

	/* nobody attached, or one that cannot split: one entry */
	SETUP(0);
	TEST_EQ(map(0, 8, 0), 0);
	TEST_EQ(weir_mirror_lookup(fx.m, 0, &r), 0);
	TEST_EQ(r.chunk, 8 * PAGE);
	TEST_EQ(unmap(0, 4), -ENOTSUP);
	TEST_EQ(unmap(0, 8), 0);
	/* one that can: anywhere */
	fx.f[0].caps.splits = true;
	TEST_EQ(weir_mirror_attach(fx.m, &fake_iommu_ops, &fx.f[0]), 0);
	TEST_EQ(map(0, 8, 0), 0);
	TEST_EQ(unmap(3, 2), 0);
	TEST_ASSERT(follows(0));
	/* one that cannot comes later: what is left becomes single pieces */
	TEST_EQ(weir_mirror_attach(fx.m, &fake_iommu_ops, &fx.f[1]), 0);
	TEST_ASSERT(all_follow());
	TEST_EQ(fx.f[1].nr_entries, 2);
	TEST_EQ(unmap(0, 1), -ENOTSUP);
	TEST_EQ(unmap(0, 3), 0);
	TEST_EQ(map(16, 4, 0), 0);
	TEST_EQ(map(16, 4, 0), 0);
	TEST_EQ(unmap(16, 4), 0);
	TEST_EQ(unmap(17, 1), -ENOTSUP);
	TEST_ASSERT(all_follow());
	return finish(0);
}

static enum test_result
attach_replays_at_the_granule(void)
{
	SETUP(0);
	TEST_EQ(map(0, 4, 2), 0);
	TEST_EQ(map(4, 3, 2), 0);
	TEST_EQ(map(20, 4, 4), 0);
	TEST_EQ(weir_mirror_attach(fx.m, &fake_iommu_ops, &fx.f[0]), 0);
	TEST_EQ(fx.f[0].nr_entries, 5);
	TEST_ASSERT(follows(0));
	TEST_EQ(unmap(2, 4), 0);
	TEST_ASSERT(follows(0));
	TEST_EQ(weir_mirror_attach(fx.m, &fake_iommu_ops, &fx.f[0]), -EEXIST);
	return finish(0);
}

/* Maps that wait for a backend say so, once, and that they are there. */
static enum test_result
map_with_no_backend_says_so(void)
{
	SETUP(0);
	TEST_EQ(map(0, 4, 2), 0);
	TEST_ASSERT(strstr(last_log, "no backend is attached") != NULL);
	last_log[0] = '\0';
	TEST_EQ(map(8, 4, 2), 0);
	TEST_EQ(last_log[0], '\0');
	TEST_EQ(weir_map_backends(weir_mirror_table(fx.m)), 0);
	fx.f[0].fail_map_at = 3;
	fx.f[0].fail_err = -EFAULT;
	TEST_EQ(weir_mirror_attach(fx.m, &fake_iommu_ops, &fx.f[0]), -EFAULT);
	TEST_ASSERT(strstr(last_log, "has all") == NULL);
	TEST_EQ(weir_mirror_attach(fx.m, &fake_iommu_ops, &fx.f[0]), 0);
	TEST_ASSERT(strstr(last_log, "first: has all that was mapped before") != NULL);
	TEST_ASSERT(follows(0));
	last_log[0] = '\0';
	TEST_EQ(weir_mirror_attach(fx.m, &fake_iommu_ops, &fx.f[1]), 0);
	TEST_EQ(map(16, 4, 2), 0);
	TEST_EQ(last_log[0], '\0');
	return finish(0);
}

static enum test_result
attach_that_fails_leaves_nothing(void)
{
	for (uint64_t nth = 1; nth <= 5; nth++) {
		SETUP(1);
		TEST_EQ(map(0, 10, 2), 0);
		fx.f[1].fail_map_at = nth;
		fx.f[1].fail_err = -EFAULT;
		TEST_EQ(weir_mirror_attach(fx.m, &fake_iommu_ops, &fx.f[1]), -EFAULT);
		TEST_EQ(fx.f[1].nr_entries, 0);
		TEST_EQ(weir_mirror_attach(fx.m, &fake_iommu_ops, &fx.f[1]), 0);
		TEST_ASSERT(all_follow());
		if (finish(0) != TEST_OK)
			return TEST_FAILED;
	}
	return TEST_OK;
}

static enum test_result
attach_too_small_refused(void)
{
	SETUP(0);
	TEST_EQ(map(4, 6, 2), 0);
	fx.f[0].caps.max_entries = 2;
	TEST_EQ(weir_mirror_attach(fx.m, &fake_iommu_ops, &fx.f[0]), -ENOSPC);
	fx.f[0].caps.max_entries = 3;
	fx.f[0].caps.page_sizes = 4 * PAGE;
	TEST_EQ(weir_mirror_attach(fx.m, &fake_iommu_ops, &fx.f[0]), -EINVAL);
	fx.f[0].caps.page_sizes = PAGE;
	fx.f[0].caps.nr_apertures = 1;
	fx.f[0].caps.aperture[0] = pages(5, 100);
	TEST_EQ(weir_mirror_attach(fx.m, &fake_iommu_ops, &fx.f[0]), -ERANGE);
	fx.f[0].caps.aperture[0] = pages(4, 6);
	fx.f[0].caps.max_locked = 6 * PAGE - 1;
	TEST_EQ(weir_mirror_attach(fx.m, &fake_iommu_ops, &fx.f[0]), -ENOMEM);
	TEST_EQ(fx.f[0].nr_calls, 0);
	fx.f[0].caps.max_locked = 6 * PAGE;
	TEST_EQ(weir_mirror_attach(fx.m, &fake_iommu_ops, &fx.f[0]), 0);
	TEST_ASSERT(follows(0));
	return finish(0);
}

static enum test_result
detach_gives_back_an_empty_backend(void)
{
	SETUP(2);
	TEST_EQ(map(4, 6, 2), 0);
	TEST_EQ(weir_mirror_detach(fx.m, &fx.f[0]), 0);
	TEST_EQ(weir_mirror_detach(fx.m, &fx.f[0]), -ENOENT);
	TEST_EQ(fx.f[0].nr_entries, 0);
	TEST_ASSERT(!fx.f[0].closed);
	TEST_EQ(unmap(4, 2), 0);
	TEST_ASSERT(follows(1));
	TEST_EQ(weir_mirror_attach(fx.m, &fake_iommu_ops, &fx.f[0]), 0);
	TEST_ASSERT(all_follow());
	return finish(0);
}

/* A plan that does not fit is refused before the first call, with a reason. */
static enum test_result
budget_exceeded_refused_without_a_call(void)
{
	SETUP(2);
	fx.f[1].caps.max_entries = 4;
	fx.f[1].caps.max_locked = 32 * PAGE;
	fx.f[1].caps.page_sizes = 2 * PAGE;
	fx.f[1].caps.nr_apertures = 2;
	fx.f[1].caps.aperture[0] = pages(0, 64);
	fx.f[1].caps.aperture[1] = pages(66, 64);
	TEST_EQ(weir_mirror_detach(fx.m, &fx.f[1]), 0);
	TEST_EQ(weir_mirror_attach(fx.m, &fake_iommu_ops, &fx.f[1]), 0);
	TEST_EQ(map(3, 2, 2), -EINVAL);
	TEST_EQ(map(4, 3, 2), -EINVAL);
	TEST_EQ(map(4, 6, 3), -EINVAL);
	TEST_EQ(map(62, 4, 2), -ERANGE);
	TEST_ASSERT(strstr(last_log, "second") != NULL);
	TEST_EQ(map(4, 10, 2), -ENOSPC);
	TEST_ASSERT(strstr(last_log, "entries it may have 4") != NULL);
	TEST_EQ(map(4, 34, 34), -ENOMEM);
	TEST_EQ(fx.f[0].nr_calls + fx.f[1].nr_calls, 0);
	TEST_EQ(map(4, 8, 2), 0);
	TEST_EQ(map(66, 2, 2), -ENOSPC);
	/* counting what is mapped needs nothing */
	TEST_EQ(map(4, 8, 2), 0);
	TEST_EQ(unmap(4, 8), 0);
	/* others have left room by now: limits are looked at again */
	fx.f[1].caps.max_entries = 5;
	TEST_EQ(map(66, 2, 2), 0);
	TEST_ASSERT(all_follow());
	return finish(0);
}

static enum test_result
map_fit_doubles_the_granule_until_it_fits(void)
{
	const uint64_t gib = UINT64_C(1) << 30, mib = 1 << 20;
	struct weir_region r = { .prot = WEIR_PROT_READ, .hva = HVA };
	uint64_t granule = 2 * mib;

	/* beyond what the fake can hold, so with no backend: 65535 are expected */
	SETUP(0);
	TEST_EQ(weir_range_make(&r.iova, 0, 256 * gib), 0);
	TEST_EQ(weir_mirror_map_fit(fx.m, &r, &granule), 0);
	TEST_EQ(granule, 8 * mib);
	TEST_EQ(weir_mirror_unmap(fx.m, (struct weir_range){ 8 * mib, 16 * mib - 1 }), 0);
	/* what is left of it counts */
	TEST_EQ(weir_range_make(&r.iova, 256 * gib, 64 * gib), 0);
	granule = 2 * mib;
	TEST_EQ(weir_mirror_map_fit(fx.m, &r, &granule), 0);
	TEST_EQ(granule, 4 * mib);
	/* mapped again it is counted at the granule it has */
	granule = 2 * mib;
	TEST_EQ(weir_mirror_map_fit(fx.m, &r, &granule), 0);
	TEST_EQ(granule, 4 * mib);
	granule = PAGE / 2;
	TEST_EQ(weir_mirror_map_fit(fx.m, &r, &granule), -EINVAL);
	return finish(0);
}

static enum test_result
map_fit_uses_the_smallest_backend(void)
{
	struct weir_region r = region(0, 64, 0);
	uint64_t granule = PAGE;

	SETUP(1);
	fx.f[1].caps.max_entries = 12;
	TEST_EQ(weir_mirror_attach(fx.m, &fake_iommu_ops, &fx.f[1]), 0);
	TEST_EQ(weir_mirror_map_fit(fx.m, &r, &granule), 0);
	TEST_EQ(granule, 8 * PAGE);
	TEST_EQ(fx.f[1].nr_entries, 8);
	r = region(100, 7, 0);
	granule = PAGE;
	TEST_EQ(weir_mirror_map_fit(fx.m, &r, &granule), 0);
	TEST_EQ(granule, 4 * PAGE);
	/* one entry where there is room for no more */
	r = region(200, 3, 0);
	granule = PAGE;
	TEST_EQ(weir_mirror_map_fit(fx.m, &r, &granule), 0);
	TEST_EQ(granule, 2 * PAGE);
	r = region(300, 3, 0);
	TEST_EQ(weir_mirror_map_fit(fx.m, &r, &granule), -ENOSPC);
	TEST_ASSERT(all_follow());
	return finish(0);
}

/* Every call of a map fails in turn: all or nothing, in both backends. */
static enum test_result
map_any_call_fails_is_undone(void)
{
	for (unsigned int i = 0; i < 2; i++)
		for (uint64_t nth = 1; nth <= 4; nth++) {
			SETUP(2);
			TEST_EQ(map(0, 4, 2), 0);
			fx.f[i].fail_map_at = nth;
			fx.f[i].fail_err = -ENOSPC;
			TEST_EQ(map(4, 8, 2), -ENOSPC);
			TEST_EQ(weir_mirror_regions(fx.m), 1);
			TEST_ASSERT(all_follow());
			TEST_EQ(map(4, 8, 2), 0);
			TEST_ASSERT(all_follow());
			if (finish(0) != TEST_OK)
				return TEST_FAILED;
		}
	return TEST_OK;
}

static enum test_result
unmap_any_call_refused_is_undone(void)
{
	for (unsigned int i = 0; i < 2; i++)
		for (uint64_t nth = 1; nth <= 4; nth++) {
			SETUP(2);
			TEST_EQ(map(0, 12, 2), 0);
			fx.f[i].lie_at = nth;
			fx.f[i].lie = FAKE_REFUSES;
			fx.f[i].fail_err = -EBUSY;
			TEST_EQ(unmap(2, 8), -EBUSY);
			TEST_EQ(weir_mirror_regions(fx.m), 1);
			TEST_ASSERT(all_follow());
			TEST_EQ(unmap(2, 8), 0);
			TEST_ASSERT(all_follow());
			if (finish(0) != TEST_OK)
				return TEST_FAILED;
		}
	return TEST_OK;
}

/* Every lie at every place. */
static enum test_result
unmap_lies_are_settled(void)
{
	static const struct {
		enum fake_lie lie;
		int ret;
		unsigned int nr_broken;
	} want[] = {
		{ FAKE_SAYS_NOTHING, -EIO, 0 }, { FAKE_GONE, 0, 0 },
		{ FAKE_GONE_ENOENT, 0, 0 },	{ FAKE_HALF, 0, 0 },
		{ FAKE_TORN, -EIO, 1 },		{ FAKE_NEIGHBOUR, 0, 0 },
	};

	for (unsigned int i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		for (uint64_t nth = 1; nth <= 4; nth++) {
			struct weir_mirror_stats stats;

			SETUP(2);
			TEST_EQ(map(0, 12, 2), 0);
			fx.f[1].lie_at = nth;
			fx.f[1].lie = want[i].lie;
			fx.f[1].fail_err = -EIO;
			TEST_EQ(unmap(2, 8), want[i].ret);
			weir_mirror_stats(fx.m, &stats);
			TEST_ASSERT(want[i].ret != 0 || stats.settled != 0);
			TEST_ASSERT(last_log[0] != '\0' || want[i].ret != 0);
			TEST_EQ(weir_mirror_regions(fx.m), want[i].ret == 0 ? 2 : 1);
			TEST_ASSERT(follows(0));
			TEST_ASSERT(want[i].nr_broken != 0 || follows(1));
			if (finish(want[i].nr_broken) != TEST_OK)
				return TEST_FAILED;
		}
	return TEST_OK;
}

/* A backend that cannot be brought back is left alone, and others go on. */
static enum test_result
broken_backend_is_asked_no_more(void)
{
	uint64_t nr;

	SETUP(2);
	TEST_EQ(map(0, 4, 2), 0);
	fx.f[0].lie_at = 1;
	fx.f[0].lie = FAKE_TORN;
	fx.f[0].fail_err = -EIO;
	TEST_EQ(unmap(0, 4), -EIO);
	TEST_EQ(weir_mirror_broken(fx.m), 1);
	TEST_ASSERT(strstr(last_log, "first") != NULL);
	TEST_ASSERT(follows(1));
	nr = fx.f[0].nr_calls;
	TEST_EQ(map(8, 4, 2), 0);
	TEST_EQ(unmap(0, 4), 0);
	TEST_EQ(fx.f[0].nr_calls, nr);
	TEST_ASSERT(follows(1));
	/* it comes back as a new one */
	TEST_EQ(weir_mirror_detach(fx.m, &fx.f[0]), 0);
	TEST_EQ(weir_mirror_broken(fx.m), 0);
	fake_iommu_init(&fx.f[0], "first");
	TEST_EQ(weir_mirror_attach(fx.m, &fake_iommu_ops, &fx.f[0]), 0);
	TEST_ASSERT(all_follow());
	return finish(0);
}

/* An undo that fails as well: the backend is broken, the map as it was. */
static enum test_result
map_undo_fails_breaks_the_backend(void)
{
	SETUP(2);
	fx.f[1].fail_map_at = 2;
	fx.f[1].fail_err = -ENOMEM;
	fx.f[0].lie_at = 1;
	fx.f[0].lie = FAKE_REFUSES;
	fx.f[0].fail_err = -EIO;
	TEST_EQ(map(0, 4, 2), -ENOMEM);
	TEST_EQ(weir_mirror_broken(fx.m), 1);
	TEST_EQ(weir_mirror_regions(fx.m), 0);
	TEST_ASSERT(follows(1));
	return finish(1);
}

/* One of the operations that the fail-nth test runs, and its undoing. */
struct fail_op {
	int (*run)(void);
	int (*undo)(void);
};

static int
op_map(void)
{
	return map(40, 6, 2);
}

static int
op_map_undo(void)
{
	return unmap(40, 6);
}

static int
op_map_count(void)
{
	return map(0, 400, 2);
}

static int
op_map_count_undo(void)
{
	return unmap(0, 400);
}

static int
op_unmap(void)
{
	return unmap(402, 6);
}

static int
op_unmap_undo(void)
{
	return map(402, 6, 2);
}

static int
op_attach(void)
{
	return weir_mirror_attach(fx.m, &fake_iommu_ops, &fx.f[1]);
}

static int
op_attach_undo(void)
{
	return weir_mirror_detach(fx.m, &fx.f[1]);
}

/* All that can fail fails in turn; before it is the same as after. */
static enum test_result
run_fail_nth(const struct fail_op *op)
{
	unsigned int nth = 0;
	size_t before;
	int ret;

	SETUP(1);
	/* enough regions for a tree of three levels, and for arrays to grow */
	for (uint64_t i = 0; i < 400; i += 4)
		TEST_EQ(map(i, 2, 2), 0);
	TEST_EQ(map(400, 10, 2), 0);
	fx.f[1].caps.splits = true;
	before = weir_mirror_regions(fx.m);
	do {
		weir_fail_arm(++nth);
		ret = op->run();
		if (!weir_fail_armed()) {
			/* the failure may be one that the mirror got over */
			TEST_ASSERT(ret == 0 || ret == -ENOMEM || ret == -EIO);
			if (ret != 0)
				TEST_EQ(weir_mirror_regions(fx.m), before);
		} else {
			weir_fail_arm(0);
			TEST_EQ(ret, 0);
			ret = 1;
		}
		TEST_EQ(weir_mirror_broken(fx.m), 0);
		TEST_ASSERT(follows(0));
		if (ret >= 0) {
			TEST_EQ(op->undo(), 0);
			TEST_EQ(weir_mirror_regions(fx.m), before);
		}
	} while (ret != 1);
	printf("    %u fail points\n", nth - 1);
	TEST_ASSERT(nth > 3);
	return finish(0);
}

static enum test_result
map_fail_nth_is_undone(void)
{
	static const struct fail_op op = { op_map, op_map_undo };

	return run_fail_nth(&op);
}

static enum test_result
map_count_fail_nth_is_undone(void)
{
	static const struct fail_op op = { op_map_count, op_map_count_undo };

	return run_fail_nth(&op);
}

static enum test_result
unmap_fail_nth_is_undone(void)
{
	static const struct fail_op op = { op_unmap, op_unmap_undo };

	return run_fail_nth(&op);
}

static enum test_result
attach_fail_nth_is_undone(void)
{
	static const struct fail_op op = { op_attach, op_attach_undo };

	return run_fail_nth(&op);
}

static enum test_result
create_fail_nth_leaks_nothing(void)
{
	struct weir_mirror *m;

	for (unsigned int nth = 1; nth <= 2; nth++) {
		weir_fail_arm(nth);
		TEST_EQ(weir_mirror_create("fail", &m), -ENOMEM);
	}
	weir_fail_arm(3);
	TEST_EQ(weir_mirror_create("fail", &m), 0);
	weir_fail_arm(0);
	weir_mirror_destroy(m);
	return TEST_OK;
}

/* A user whose DMA is under way while its reader is inside. */
struct user {
	struct weir_mirror_user u; /* first */
	struct weir_epoch_reader reader;
	struct weir_region asked; /* about what, last */
};

static int
user_drain(struct weir_mirror_user *u, const struct weir_region *r, uint64_t timeout_us)
{
	struct user *me = (struct user *)u;

	me->asked = *r;
	return weir_epoch_wait(&me->reader, timeout_us);
}

/* Whoever has DMA in flight is waited for; elsewhere nobody is. */
static enum test_result
unmap_waits_for_users_of_the_region(void)
{
	static struct user u;
	uint64_t nr;

	memset(&u, 0, sizeof(u));
	u.u = (struct weir_mirror_user){ .drain = user_drain, .iova = pages(0, 8) };

	SETUP(2);
	TEST_EQ(map(0, 16, 2), 0);
	weir_mirror_user_add(fx.m, &u.u);
	weir_mirror_set_drain(fx.m, 1000);
	weir_epoch_enter(&u.reader);
	nr = fx.f[0].nr_calls;
	TEST_EQ(unmap(4, 2), -EBUSY);
	TEST_EQ(u.asked.iova.start, pages(4, 2).start);
	TEST_EQ(u.asked.iova.last, pages(4, 2).last);
	TEST_EQ(u.asked.hva, HVA + 4 * PAGE);
	TEST_EQ(fx.f[0].nr_calls, nr);
	TEST_EQ(weir_mirror_regions(fx.m), 1);
	TEST_ASSERT(all_follow());
	TEST_EQ(unmap(8, 2), 0);
	TEST_EQ(map(8, 2, 2), 0);
	/* a count that goes takes nothing away */
	TEST_EQ(map(0, 4, 2), 0);
	TEST_EQ(unmap(0, 4), 0);
	weir_epoch_leave(&u.reader);
	TEST_EQ(unmap(4, 2), 0);
	weir_epoch_enter(&u.reader);
	weir_mirror_user_del(fx.m, &u.u);
	weir_mirror_user_del(fx.m, &u.u);
	TEST_EQ(unmap(0, 4), 0);
	weir_epoch_leave(&u.reader);
	TEST_ASSERT(all_follow());
	return finish(0);
}

struct late {
	_Atomic bool seen;
	struct user user;
};

/* A queue that is done with its DMA once it sees that the region has gone. */
static void *
late_user(void *arg)
{
	struct late *l = arg;
	struct weir_region r;

	weir_epoch_enter(&l->user.reader);
	atomic_store(&l->seen, true);
	while (weir_mirror_lookup(fx.m, 0, &r) == 0)
		;
	weir_epoch_leave(&l->user.reader);
	return NULL;
}

static enum test_result
unmap_is_published_before_it_waits(void)
{
	static struct late l;
	struct weir_mirror_user *u = &l.user.u;
	pthread_t thread;

	SETUP(1);
	memset(&l, 0, sizeof(l));
	*u = (struct weir_mirror_user){ .drain = user_drain, .iova = pages(0, 8) };
	TEST_EQ(map(0, 8, 2), 0);
	weir_mirror_user_add(fx.m, u);
	weir_mirror_set_drain(fx.m, 60000000);
	TEST_EQ(pthread_create(&thread, NULL, late_user, &l), 0);
	while (!atomic_load(&l.seen))
		;
	TEST_EQ(unmap(0, 8), 0);
	pthread_join(thread, NULL);
	weir_mirror_user_del(fx.m, u);
	return finish(0);
}

static enum test_result
stats_count_what_was_done(void)
{
	struct weir_mirror_stats s;

	SETUP(1);
	TEST_EQ(map(0, 8, 2), 0);
	TEST_EQ(map(0, 8, 4), -EEXIST);
	TEST_EQ(map(16, 8, 0), 0);
	TEST_EQ(unmap(0, 8), 0);
	TEST_EQ(unmap(0, 8), -ENOENT);
	weir_mirror_stats(fx.m, &s);
	TEST_EQ(s.maps, 2);
	TEST_EQ(s.unmaps, 1);
	TEST_EQ(s.refused, 2);
	TEST_EQ(s.settled, 0);
	TEST_EQ(strcmp(weir_mirror_name(fx.m), "test"), 0);
	return finish(0);
}

#define CASE(name)          \
	{                   \
#name, name \
	}

/* A container that lost all, of which guests that came later are not part. */
static enum test_result
refill_maps_what_was_lost(void)
{
	const struct weir_region old = region(0, 8, 2), later = region(16, 4, 4);
	uint64_t nr;

	SETUP(2);
	TEST_EQ(weir_mirror_map(fx.m, &old), 0);
	TEST_EQ(weir_mirror_refill(fx.m, &fx.f[1], &nr), 0);
	TEST_EQ(nr, 0);
	memset(fx.f[1].page, 0, sizeof(fx.f[1].page));
	fx.f[1].nr_entries = 0;
	TEST_EQ(weir_mirror_map(fx.m, &later), 0);
	fx.f[1].fail_map_at = 3;
	fx.f[1].fail_err = -ENOMEM;
	TEST_EQ(weir_mirror_refill(fx.m, &fx.f[1], &nr), -ENOMEM);
	TEST_EQ(nr, 2);
	TEST_EQ(weir_mirror_refill(fx.m, &fx.f[1], &nr), 0);
	TEST_EQ(nr, 2);
	TEST_ASSERT(fake_iommu_follows(&fx.f[1], weir_mirror_table(fx.m)));
	TEST_EQ(weir_mirror_refill(fx.m, &fx, &nr), -ENOENT);
	return finish(0);
}

static const struct test_case mirror_cases[] = {
	CASE(refill_maps_what_was_lost),
	CASE(create_bad_name_refused),
	CASE(map_chunks_unmap_chunks),
	CASE(map_chunk_0_depends_on_who_can_split),
	CASE(attach_replays_at_the_granule),
	CASE(map_with_no_backend_says_so),
	CASE(attach_that_fails_leaves_nothing),
	CASE(attach_too_small_refused),
	CASE(detach_gives_back_an_empty_backend),
	CASE(budget_exceeded_refused_without_a_call),
	CASE(map_fit_doubles_the_granule_until_it_fits),
	CASE(map_fit_uses_the_smallest_backend),
	CASE(map_any_call_fails_is_undone),
	CASE(unmap_any_call_refused_is_undone),
	CASE(unmap_lies_are_settled),
	CASE(broken_backend_is_asked_no_more),
	CASE(map_undo_fails_breaks_the_backend),
	CASE(map_fail_nth_is_undone),
	CASE(map_count_fail_nth_is_undone),
	CASE(unmap_fail_nth_is_undone),
	CASE(attach_fail_nth_is_undone),
	CASE(create_fail_nth_leaks_nothing),
	CASE(unmap_waits_for_users_of_the_region),
	CASE(unmap_is_published_before_it_waits),
	CASE(stats_count_what_was_done),
};
AUTOTEST(mirror_autotest, mirror_cases);
