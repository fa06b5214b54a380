/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"
#include "weir_range.h"

static enum test_result
range_make_empty_refused(void)
{
	struct weir_range r = { 1, 2 };

	TEST_EQ(weir_range_make(&r, 0x1000, 0), -EINVAL);
	TEST_EQ(r.start, 1);
	return TEST_OK;
}

static enum test_result
range_make_wrap_refused(void)
{
	struct weir_range r;

	TEST_EQ(weir_range_make(&r, UINT64_MAX, 1), 0);
	TEST_EQ(r.last, UINT64_MAX);
	TEST_EQ(weir_range_make(&r, UINT64_MAX, 2), -EOVERFLOW);
	TEST_EQ(weir_range_make(&r, 0x1000, UINT64_MAX), -EOVERFLOW);
	TEST_EQ(weir_range_make(&r, 1, UINT64_MAX), 0);
	return TEST_OK;
}

static enum test_result
range_relations_at_the_borders(void)
{
	const struct weir_range a = { 0x1000, 0x1fff }, b = { 0x2000, 0x2fff };
	const struct weir_range top = { UINT64_MAX - 0xfff, UINT64_MAX };
	const struct weir_range all = { 0, UINT64_MAX };

	TEST_ASSERT(!weir_range_overlaps(a, b));
	TEST_ASSERT(weir_range_abuts(a, b));
	TEST_ASSERT(!weir_range_abuts(b, a));
	TEST_ASSERT(!weir_range_abuts(top, (struct weir_range){ 0, 1 }));
	TEST_ASSERT(weir_range_contains(all, top));
	TEST_ASSERT(!weir_range_contains(top, all));
	TEST_ASSERT(weir_range_has(top, UINT64_MAX));
	TEST_ASSERT(!weir_range_has(a, 0x2000));
	TEST_EQ(weir_range_len(all), 0);
	TEST_EQ(weir_range_len(a), 0x1000);
	TEST_ASSERT(weir_range_aligned(all, 0x1000));
	TEST_ASSERT(!weir_range_aligned((struct weir_range){ 0x1000, 0x1ffe }, 0x1000));
	TEST_EQ(weir_range_intersect(all, b).last, b.last);
	return TEST_OK;
}

static const struct test_case range_cases[] = {
	{ "range_make_empty_refused", range_make_empty_refused },
	{ "range_make_wrap_refused", range_make_wrap_refused },
	{ "range_relations_at_the_borders", range_relations_at_the_borders },
};
AUTOTEST(range_autotest, range_cases);
