/* SPDX-License-Identifier: BSD-3-Clause */
/* The algebra of maps and unmaps, with plain arrays. All numbers are pages. */
#include "test.h"
#include "weir_plan.h"

#define PAGE WEIR_MAP_PAGE
#define MAX 6

/* Pages [from, from + nr) lead to hva; prot 0 ends a list. */
struct reg {
	uint64_t from, nr, hva, chunk;
	uint32_t refs, prot, owner;
};

struct span {
	uint64_t from, nr;
};

/* A request against what is there, and all that must come of it. */
struct plan_case {
	struct reg old[MAX]; /* overlap or abut the request */
	struct reg req;	     /* prot 0: an unmap */
	int ret;
	unsigned int del_first, nr_del;
	struct reg add[MAX];
	struct span piece[MAX]; /* nr 0 ends the list */
};

#define RW (WEIR_PROT_READ | WEIR_PROT_WRITE)
/* A region whose hva is 100 pages above its iova, or elsewhere. */
#define R(from_, nr_, chunk_, refs_)                                                   \
	{                                                                              \
		.from = (from_), .nr = (nr_), .hva = 100 + (from_), .chunk = (chunk_), \
		.refs = (refs_), .prot = RW                                            \
	}
#define AT(from_, nr_, chunk_, refs_, hva_)                                     \
	{                                                                       \
		.from = (from_), .nr = (nr_), .hva = (hva_), .chunk = (chunk_), \
		.refs = (refs_), .prot = RW                                     \
	}
#define UNMAP(from_, nr_)                     \
	{                                     \
		.from = (from_), .nr = (nr_), \
	}

static struct weir_region
region_of(const struct reg *r)
{
	return (struct weir_region){
		.iova = { r->from * PAGE, (r->from + r->nr) * PAGE - 1 },
		.hva = r->hva * PAGE,
		.chunk = r->chunk * PAGE,
		.prot = r->prot,
		.refs = r->refs,
		.owner = r->owner,
	};
}

static bool
region_is(const struct weir_region *r, const struct reg *want)
{
	struct weir_region w = region_of(want);

	return r->iova.start == w.iova.start && r->iova.last == w.iova.last &&
	       r->hva == w.hva && r->chunk == w.chunk && r->prot == w.prot &&
	       r->refs == w.refs && r->owner == w.owner;
}

static enum test_result
check_pieces(const struct weir_plan *p, const struct plan_case *c)
{
	struct weir_plan_iter it;
	struct weir_piece pc;
	size_t nr = 0;

	weir_plan_begin(p, &it);
	for (; weir_plan_next(&it, &pc); nr++) {
		TEST_ASSERT(nr < MAX);
		TEST_EQ(pc.iova.start, c->piece[nr].from * PAGE);
		TEST_EQ(weir_range_len(pc.iova), c->piece[nr].nr * PAGE);
		if (c->req.prot != 0)
			TEST_EQ(pc.hva - pc.iova.start,
				(c->req.hva - c->req.from) * PAGE);
	}
	TEST_ASSERT(nr == MAX || c->piece[nr].nr == 0);
	return TEST_OK;
}

static enum test_result
check(const struct plan_case *c)
{
	struct weir_region old[MAX], buf[WEIR_PLAN_MAX_ADD(MAX)];
	struct weir_region req = region_of(&c->req);
	struct weir_plan p = { .old = old, .buf = buf };
	int ret;

	while (p.nr_old < MAX && c->old[p.nr_old].prot != 0) {
		old[p.nr_old] = region_of(&c->old[p.nr_old]);
		p.nr_old++;
	}
	ret = c->req.prot != 0 ? weir_plan_map(&p, &req) : weir_plan_unmap(&p, req.iova);
	TEST_EQ(ret, c->ret);
	if (ret != 0)
		return TEST_OK;
	TEST_EQ(p.nr_del, c->nr_del);
	if (p.nr_del > 0)
		TEST_EQ(p.del - old, c->del_first);
	for (size_t i = 0; i < p.nr_add; i++)
		TEST_ASSERT(i < MAX && region_is(&p.add[i], &c->add[i]));
	TEST_ASSERT(p.nr_add == MAX || c->add[p.nr_add].prot == 0);
	return check_pieces(&p, c);
}

#define PLAN_CASE(name, ...)                                       \
	static enum test_result name(void)                         \
	{                                                          \
		static const struct plan_case c = { __VA_ARGS__ }; \
                                                                   \
		return check(&c);                                  \
	}

PLAN_CASE(map_nothing_there_adds_one, .req = R(4, 4, 2, 0), .add = { R(4, 4, 2, 1) },
	  .piece = { { 4, 2 }, { 6, 2 } })
PLAN_CASE(map_short_tail_is_a_piece, .req = R(4, 5, 2, 0), .add = { R(4, 5, 2, 1) },
	  .piece = { { 4, 2 }, { 6, 2 }, { 8, 1 } })
PLAN_CASE(map_chunk_beyond_length_is_one_piece, .req = R(4, 3, 8, 0),
	  .add = { R(4, 3, 8, 1) }, .piece = { { 4, 3 } })
PLAN_CASE(map_chunk_0_is_one_piece, .req = R(4, 5, 0, 0), .add = { R(4, 5, 0, 1) },
	  .piece = { { 4, 5 } })

PLAN_CASE(map_between_equals_merges, .old = { R(0, 4, 2, 1), R(8, 3, 2, 1) },
	  .req = R(4, 4, 2, 0), .nr_del = 2, .add = { R(0, 11, 2, 1) },
	  .piece = { { 4, 2 }, { 6, 2 } })
PLAN_CASE(map_chunk_0_merges_at_any_length, .old = { R(0, 3, 0, 1) },
	  .req = R(3, 4, 0, 0), .nr_del = 1, .add = { R(0, 7, 0, 1) },
	  .piece = { { 3, 4 } })
PLAN_CASE(map_beside_short_tail_stays_apart, .old = { R(0, 3, 2, 1) },
	  .req = R(3, 2, 2, 0), .add = { R(3, 2, 2, 1) }, .piece = { { 3, 2 } })
PLAN_CASE(map_beside_other_chunk_stays_apart, .old = { R(0, 4, 4, 1) },
	  .req = R(4, 4, 2, 0), .add = { R(4, 4, 2, 1) }, .piece = { { 4, 2 }, { 6, 2 } })
PLAN_CASE(map_beside_other_va_stays_apart, .old = { R(0, 4, 4, 1) },
	  .req = AT(4, 4, 4, 0, 200), .add = { AT(4, 4, 4, 1, 200) },
	  .piece = { { 4, 4 } })
PLAN_CASE(map_beside_more_refs_stays_apart, .old = { R(0, 4, 4, 2) },
	  .req = R(4, 4, 4, 0), .add = { R(4, 4, 4, 1) }, .piece = { { 4, 4 } })
PLAN_CASE(map_beside_other_prot_stays_apart,
	  .old = { { 0, 4, 100, 4, 1, WEIR_PROT_READ, 0 } }, .req = R(4, 4, 4, 0),
	  .add = { R(4, 4, 4, 1) }, .piece = { { 4, 4 } })
PLAN_CASE(map_beside_other_owner_stays_apart, .old = { { 0, 4, 100, 4, 1, RW, 9 } },
	  .req = R(4, 4, 4, 0), .add = { R(4, 4, 4, 1) }, .piece = { { 4, 4 } })

PLAN_CASE(map_identical_is_counted, .old = { R(4, 4, 2, 1) }, .req = R(4, 4, 2, 0),
	  .nr_del = 1, .add = { R(4, 4, 2, 2) })
PLAN_CASE(map_identical_of_other_owner_keeps_the_first,
	  .old = { { 4, 4, 104, 2, 1, RW, 9 } }, .req = R(4, 4, 2, 0), .nr_del = 1,
	  .add = { { 4, 4, 104, 2, 2, RW, 9 } })
PLAN_CASE(map_part_at_chunks_counts_that_part, .old = { R(0, 8, 2, 1) },
	  .req = R(2, 4, 2, 0), .nr_del = 1,
	  .add = { R(0, 2, 2, 1), R(2, 4, 2, 2), R(6, 2, 2, 1) })
PLAN_CASE(map_more_than_is_there_maps_the_rest, .old = { R(2, 2, 2, 1), R(6, 2, 2, 1) },
	  .req = R(0, 10, 2, 0), .nr_del = 2,
	  .add = { R(0, 2, 2, 1), R(2, 2, 2, 2), R(4, 2, 2, 1), R(6, 2, 2, 2),
		   R(8, 2, 2, 1) },
	  .piece = { { 0, 2 }, { 4, 2 }, { 8, 2 } })
PLAN_CASE(map_count_merges_with_equal_neighbour, .old = { R(0, 4, 4, 2), R(4, 4, 4, 1) },
	  .req = R(4, 4, 4, 0), .nr_del = 2, .add = { R(0, 8, 4, 2) })
PLAN_CASE(map_other_va_refused, .old = { R(4, 4, 4, 1) }, .req = AT(4, 4, 4, 0, 200),
	  .ret = -EEXIST)
PLAN_CASE(map_other_va_at_last_page_refused, .old = { AT(7, 4, 0, 1, 50) },
	  .req = R(4, 4, 0, 0), .ret = -EEXIST)
PLAN_CASE(map_other_prot_refused, .old = { { 4, 4, 104, 4, 1, WEIR_PROT_READ, 0 } },
	  .req = R(4, 4, 4, 0), .ret = -EEXIST)
PLAN_CASE(map_other_chunk_refused, .old = { R(4, 4, 4, 1) }, .req = R(4, 4, 2, 0),
	  .ret = -EEXIST)
PLAN_CASE(map_other_borders_refused, .old = { R(4, 4, 2, 1) }, .req = R(3, 6, 2, 0),
	  .ret = -EEXIST)
PLAN_CASE(map_part_of_a_chunk_refused, .old = { R(4, 4, 4, 1) }, .req = R(4, 2, 4, 0),
	  .ret = -EEXIST)
PLAN_CASE(map_over_short_tail_refused, .old = { R(0, 3, 2, 1) }, .req = R(0, 4, 2, 0),
	  .ret = -EEXIST)
PLAN_CASE(map_too_often_refused, .old = { R(4, 4, 4, UINT32_MAX) }, .req = R(4, 4, 4, 0),
	  .ret = -EOVERFLOW)

PLAN_CASE(unmap_all_of_one, .old = { R(4, 4, 2, 1) }, .req = UNMAP(4, 4), .nr_del = 1,
	  .piece = { { 4, 2 }, { 6, 2 } })
PLAN_CASE(unmap_head_leaves_tail, .old = { R(4, 5, 2, 1) }, .req = UNMAP(4, 2),
	  .nr_del = 1, .add = { R(6, 3, 2, 1) }, .piece = { { 4, 2 } })
PLAN_CASE(unmap_middle_leaves_both_ends, .old = { R(4, 8, 2, 1) }, .req = UNMAP(6, 4),
	  .nr_del = 1, .add = { R(4, 2, 2, 1), R(10, 2, 2, 1) },
	  .piece = { { 6, 2 }, { 8, 2 } })
PLAN_CASE(unmap_short_tail_alone, .old = { R(4, 5, 2, 1) }, .req = UNMAP(8, 1),
	  .nr_del = 1, .add = { R(4, 4, 2, 1) }, .piece = { { 8, 1 } })
PLAN_CASE(unmap_chunk_0_anywhere, .old = { R(4, 8, 0, 1) }, .req = UNMAP(5, 3),
	  .nr_del = 1, .add = { R(4, 1, 0, 1), R(8, 4, 0, 1) }, .piece = { { 5, 3 } })
PLAN_CASE(unmap_over_three_regions,
	  .old = { R(0, 4, 2, 1), R(4, 3, 3, 1), AT(7, 4, 2, 1, 50) }, .req = UNMAP(2, 7),
	  .nr_del = 3, .add = { R(0, 2, 2, 1), AT(9, 2, 2, 1, 52) },
	  .piece = { { 2, 2 }, { 4, 3 }, { 7, 2 } })
PLAN_CASE(unmap_leaves_neighbours_alone,
	  .old = { R(0, 4, 4, 1), R(4, 4, 2, 1), R(8, 4, 4, 1) }, .req = UNMAP(4, 4),
	  .del_first = 1, .nr_del = 1, .piece = { { 4, 2 }, { 6, 2 } })
PLAN_CASE(unmap_counted_stays_mapped, .old = { R(4, 4, 2, 2) }, .req = UNMAP(4, 4),
	  .nr_del = 1, .add = { R(4, 4, 2, 1) })
PLAN_CASE(unmap_part_of_counted_splits_the_count, .old = { R(4, 4, 2, 3) },
	  .req = UNMAP(6, 2), .nr_del = 1, .add = { R(4, 2, 2, 3), R(6, 2, 2, 2) })
PLAN_CASE(unmap_count_merges_with_equal_neighbour,
	  .old = { R(0, 4, 4, 1), R(4, 4, 4, 2) }, .req = UNMAP(4, 4), .nr_del = 2,
	  .add = { R(0, 8, 4, 1) })
PLAN_CASE(unmap_last_and_counted_maps_only_the_last,
	  .old = { R(0, 4, 4, 1), R(4, 4, 4, 2) }, .req = UNMAP(0, 8), .nr_del = 2,
	  .add = { R(4, 4, 4, 1) }, .piece = { { 0, 4 } })
PLAN_CASE(unmap_inside_a_chunk_refused, .old = { R(4, 4, 2, 1) }, .req = UNMAP(4, 1),
	  .ret = -ENOTSUP)
PLAN_CASE(unmap_from_inside_a_chunk_refused, .old = { R(4, 4, 2, 1) }, .req = UNMAP(5, 3),
	  .ret = -ENOTSUP)
PLAN_CASE(unmap_inside_a_counted_chunk_refused, .old = { R(4, 4, 4, 2) },
	  .req = UNMAP(4, 2), .ret = -ENOTSUP)
PLAN_CASE(unmap_nothing_there_refused, .old = { R(0, 4, 4, 1), R(5, 4, 4, 1) },
	  .req = UNMAP(4, 1), .ret = -ENOENT)
PLAN_CASE(unmap_across_a_hole_refused, .old = { R(0, 4, 2, 1), R(6, 4, 2, 1) },
	  .req = UNMAP(2, 6), .ret = -ENOENT)
PLAN_CASE(unmap_beyond_the_end_refused, .old = { R(0, 4, 2, 1) }, .req = UNMAP(2, 3),
	  .ret = -ENOENT)
PLAN_CASE(unmap_hole_and_split_is_a_hole, .old = { R(0, 4, 4, 1) }, .req = UNMAP(2, 4),
	  .ret = -ENOENT)

static enum test_result
region_malformed_refused(void)
{
	const struct weir_region good = { { 0x1000, 0x4fff }, 0x10000, 0x2000, RW, 0, 0 };
	struct weir_region r = good;

	TEST_EQ(weir_region_check(&good), 0);
	r.iova.start++;
	TEST_EQ(weir_region_check(&r), -EINVAL);
	r = good;
	r.iova.last--;
	TEST_EQ(weir_region_check(&r), -EINVAL);
	r.iova.last = r.iova.start - 1;
	TEST_EQ(weir_region_check(&r), -EINVAL);
	r = good;
	r.hva++;
	TEST_EQ(weir_region_check(&r), -EINVAL);
	r = good;
	r.chunk = 1;
	TEST_EQ(weir_region_check(&r), -EINVAL);
	r = good;
	r.prot = 0;
	TEST_EQ(weir_region_check(&r), -EINVAL);
	r.prot = 4 | RW;
	TEST_EQ(weir_region_check(&r), -EINVAL);
	r = good;
	r.hva = UINT64_MAX - 0x2fff;
	TEST_EQ(weir_region_check(&r), -EOVERFLOW);
	r.hva -= 0x1000;
	TEST_EQ(weir_region_check(&r), 0);
	r.iova = (struct weir_range){ 0, UINT64_MAX };
	r.hva = 0;
	TEST_EQ(weir_region_check(&r), -EOVERFLOW);
	return TEST_OK;
}

static enum test_result
unmap_malformed_refused(void)
{
	struct weir_region buf[WEIR_PLAN_MAX_ADD(0)];
	struct weir_plan p = { .buf = buf };

	TEST_EQ(weir_plan_unmap(&p, (struct weir_range){ 0x1000, 0xfff }), -EINVAL);
	TEST_EQ(weir_plan_unmap(&p, (struct weir_range){ 0x1001, 0x2fff }), -EINVAL);
	TEST_EQ(weir_plan_unmap(&p, (struct weir_range){ 0x1000, 0x2ffe }), -EINVAL);
	TEST_EQ(weir_plan_unmap(&p, (struct weir_range){ 0x1000, 0x2fff }), -ENOENT);
	return TEST_OK;
}

/* The last page of the address space is as good as any other. */
static enum test_result
map_last_page_of_all(void)
{
	const uint64_t top = UINT64_MAX - (4 * PAGE - 1);
	struct weir_region r = { { top, UINT64_MAX }, top, 2 * PAGE, RW, 1, 0 };
	struct weir_region buf[WEIR_PLAN_MAX_ADD(1)];
	struct weir_plan p = { .buf = buf };
	struct weir_plan_iter it;
	struct weir_piece pc;

	TEST_EQ(weir_plan_map(&p, &r), 0);
	TEST_EQ(p.nr_add, 1);
	weir_plan_begin(&p, &it);
	TEST_ASSERT(weir_plan_next(&it, &pc) && weir_plan_next(&it, &pc));
	TEST_EQ(pc.iova.last, UINT64_MAX);
	TEST_ASSERT(!weir_plan_next(&it, &pc));
	p.old = &r;
	p.nr_old = 1;
	TEST_EQ(weir_plan_map(&p, &r), 0);
	TEST_EQ(p.add[0].refs, 2);
	TEST_EQ(weir_plan_unmap(&p, (struct weir_range){ top + 2 * PAGE, UINT64_MAX }),
		0);
	TEST_EQ(p.nr_add, 1);
	TEST_EQ(p.add[0].iova.last, top + 2 * PAGE - 1);
	return TEST_OK;
}

/* Two halves of the address space would be one region of 2^64 bytes. */
static enum test_result
map_all_there_is_stays_in_two(void)
{
	const uint64_t half = UINT64_C(1) << 63;
	struct weir_region low = { { 0, half - 1 }, 0, 0, RW, 1, 0 };
	struct weir_region high = { { half, UINT64_MAX }, half, 0, RW, 1, 0 };
	struct weir_region buf[WEIR_PLAN_MAX_ADD(1)];
	struct weir_plan p = { .buf = buf, .old = &low, .nr_old = 1 };

	TEST_EQ(weir_plan_map(&p, &high), 0);
	TEST_EQ(p.nr_del, 0);
	TEST_EQ(p.nr_add, 1);
	TEST_EQ(p.add[0].iova.start, half);
	return TEST_OK;
}

/* 256 GiB in chunks of 2 MiB: counted, not stored. */
static enum test_result
map_large_region_streams_its_pieces(void)
{
	struct weir_region r = {
		{ 0, (UINT64_C(256) << 30) - 1 }, UINT64_C(1) << 40, 2 << 20, RW, 1, 0
	};
	struct weir_region buf[WEIR_PLAN_MAX_ADD(0)];
	struct weir_plan p = { .buf = buf };
	struct weir_plan_iter it;
	struct weir_piece pc;
	uint64_t nr = 0, bytes = 0;

	TEST_EQ(weir_region_pieces(&r), 131072);
	TEST_EQ(weir_plan_map(&p, &r), 0);
	for (weir_plan_begin(&p, &it); weir_plan_next(&it, &pc); nr++) {
		TEST_EQ(pc.iova.start, bytes);
		bytes += weir_range_len(pc.iova);
	}
	TEST_EQ(nr, 131072);
	TEST_EQ(bytes, UINT64_C(256) << 30);
	return TEST_OK;
}

#define CASE(name)          \
	{                   \
#name, name \
	}

static const struct test_case plan_cases[] = {
	CASE(map_nothing_there_adds_one),
	CASE(map_short_tail_is_a_piece),
	CASE(map_chunk_beyond_length_is_one_piece),
	CASE(map_chunk_0_is_one_piece),
	CASE(map_between_equals_merges),
	CASE(map_chunk_0_merges_at_any_length),
	CASE(map_beside_short_tail_stays_apart),
	CASE(map_beside_other_chunk_stays_apart),
	CASE(map_beside_other_va_stays_apart),
	CASE(map_beside_more_refs_stays_apart),
	CASE(map_beside_other_prot_stays_apart),
	CASE(map_beside_other_owner_stays_apart),
	CASE(map_identical_is_counted),
	CASE(map_identical_of_other_owner_keeps_the_first),
	CASE(map_part_at_chunks_counts_that_part),
	CASE(map_more_than_is_there_maps_the_rest),
	CASE(map_count_merges_with_equal_neighbour),
	CASE(map_other_va_refused),
	CASE(map_other_va_at_last_page_refused),
	CASE(map_other_prot_refused),
	CASE(map_other_chunk_refused),
	CASE(map_other_borders_refused),
	CASE(map_part_of_a_chunk_refused),
	CASE(map_over_short_tail_refused),
	CASE(map_too_often_refused),
	CASE(unmap_all_of_one),
	CASE(unmap_head_leaves_tail),
	CASE(unmap_middle_leaves_both_ends),
	CASE(unmap_short_tail_alone),
	CASE(unmap_chunk_0_anywhere),
	CASE(unmap_over_three_regions),
	CASE(unmap_leaves_neighbours_alone),
	CASE(unmap_counted_stays_mapped),
	CASE(unmap_part_of_counted_splits_the_count),
	CASE(unmap_count_merges_with_equal_neighbour),
	CASE(unmap_last_and_counted_maps_only_the_last),
	CASE(unmap_inside_a_chunk_refused),
	CASE(unmap_from_inside_a_chunk_refused),
	CASE(unmap_inside_a_counted_chunk_refused),
	CASE(unmap_nothing_there_refused),
	CASE(unmap_across_a_hole_refused),
	CASE(unmap_beyond_the_end_refused),
	CASE(unmap_hole_and_split_is_a_hole),
	CASE(region_malformed_refused),
	CASE(unmap_malformed_refused),
	CASE(map_last_page_of_all),
	CASE(map_all_there_is_stays_in_two),
	CASE(map_large_region_streams_its_pieces),
};
AUTOTEST(plan_autotest, plan_cases);
