/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test.h"
#include "weir_fail.h"
#include "weir_gmem.h"

#define PAGE 4096u
#define FILE_PAGES 64u

static int
file_make(void)
{
	int fd = memfd_create("test_gmem", MFD_CLOEXEC);

	if (fd >= 0 && ftruncate(fd, FILE_PAGES * PAGE) != 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* Slot of nr_pages at gpa page, uva = gpa + 1 TiB, file offset = gpa. */
static int
add(const struct weir_gmem **g, int fd, uint64_t page, uint64_t nr_pages)
{
	const struct weir_gmem_region r = {
		.gpa = page * PAGE,
		.len = nr_pages * PAGE,
		.uva = (UINT64_C(1) << 40) + page * PAGE,
		.mmap_offset = page * PAGE,
	};
	struct weir_gmem *more;
	int ret = weir_gmem_add(*g, &r, fd, &more);

	if (ret == 0) {
		weir_gmem_put(*g);
		*g = more;
	}
	return ret;
}

static enum test_result
table_any_order_sorted(void)
{
	const struct weir_gmem *g = &weir_gmem_empty;
	int fd = file_make();

	TEST_ASSERT(fd >= 0);
	TEST_EQ(add(&g, fd, 8, 4), 0);
	TEST_EQ(add(&g, fd, 0, 4), 0);
	TEST_EQ(add(&g, fd, 4, 4), 0);
	TEST_EQ(g->nr_slots, 3);
	for (uint32_t i = 0; i < 3; i++)
		TEST_EQ(g->slot[i].gpa.start, i * 4 * PAGE);
	weir_gmem_put(g);
	close(fd);
	return TEST_OK;
}

static enum test_result
region_bad_refused_and_nothing_changed(void)
{
	const struct weir_gmem *g = &weir_gmem_empty, *was;
	int fd = file_make();
	struct weir_gmem *out;
	const struct {
		struct weir_gmem_region r;
		int ret;
	} bad[] = {
		{ { 0, 0, 0, 0 }, -EINVAL },
		{ { 1, PAGE, 0, 0 }, -EINVAL },
		{ { 0x100000, PAGE + 1, 0x100000, 0 }, -EINVAL },
		{ { 0x100000, PAGE, 0x100000, 7 }, -EINVAL },
		{ { UINT64_MAX - PAGE + 1, 2 * PAGE, 0, 0 }, -EOVERFLOW },
		{ { 0x100000, 2 * PAGE, UINT64_MAX - PAGE + 1, 0 }, -EOVERFLOW },
		{ { 0x100000, PAGE, 0x100000, UINT64_MAX - PAGE + 1 }, -EOVERFLOW },
		/* one page beyond the file */
		{ { 0x100000, 2 * PAGE, 0x100000, (FILE_PAGES - 1) * PAGE }, -ERANGE },
		/* the same gpa, another uva; and the other way round */
		{ { 2 * PAGE, PAGE, 0x100000, 0 }, -EEXIST },
		{ { 0x100000, PAGE, (UINT64_C(1) << 40) + 2 * PAGE, 0 }, -EEXIST },
	};

	TEST_ASSERT(fd >= 0);
	TEST_EQ(add(&g, fd, 0, 4), 0);
	was = g;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		TEST_EQ(weir_gmem_add(g, &bad[i].r, fd, &out), bad[i].ret);
		TEST_ASSERT(g == was && g->nr_slots == 1);
	}
	weir_gmem_put(g);
	close(fd);
	return TEST_OK;
}

static enum test_result
translate_cut_at_the_slot(void)
{
	const struct weir_gmem *g = &weir_gmem_empty;
	uint64_t len, iova;
	uint32_t hint = 77; /* any value is safe */
	int fd = file_make();
	char *p;

	TEST_ASSERT(fd >= 0);
	TEST_EQ(add(&g, fd, 0, 2), 0);
	TEST_EQ(add(&g, fd, 2, 2), 0);
	len = 3 * PAGE;
	p = weir_gmem_translate(g, (struct weir_gpa){ PAGE }, &len, &iova, &hint);
	TEST_ASSERT(p == (char *)(uintptr_t)g->slot[0].hva + PAGE);
	TEST_EQ(len, PAGE);
	TEST_EQ(iova, (uintptr_t)p);
	len = 1;
	TEST_ASSERT(weir_gmem_translate(g, (struct weir_gpa){ 4 * PAGE }, &len, &iova,
					&hint) == NULL);
	len = UINT64_MAX;
	p = weir_gmem_translate(g, (struct weir_gpa){ 4 * PAGE - 1 }, &len, &iova, &hint);
	TEST_ASSERT(p != NULL);
	TEST_EQ(len, 1);
	TEST_ASSERT(weir_gmem_uva(g, (UINT64_C(1) << 40) + PAGE, PAGE) != NULL);
	/* contiguous for the frontend, two mappings here */
	TEST_ASSERT(weir_gmem_uva(g, (UINT64_C(1) << 40) + PAGE, 2 * PAGE) == NULL);
	TEST_ASSERT(weir_gmem_uva(g, UINT64_MAX, 2) == NULL);
	weir_gmem_put(g);
	close(fd);
	return TEST_OK;
}

static enum test_result
tables_share_memory_until_the_last(void)
{
	const struct weir_gmem *g = &weir_gmem_empty;
	struct weir_gmem *less;
	unsigned char vec;
	int fd = file_make();
	void *kept, *gone;

	TEST_ASSERT(fd >= 0);
	TEST_EQ(add(&g, fd, 0, 1), 0);
	TEST_EQ(add(&g, fd, 1, 1), 0);
	gone = (void *)(uintptr_t)g->slot[0].hva;
	kept = (void *)(uintptr_t)g->slot[1].hva;
	TEST_EQ(weir_gmem_del(g, (struct weir_gpa){ PAGE / 2 }, &less), -ENOENT);
	TEST_EQ(weir_gmem_del(g, (struct weir_gpa){ 0 }, &less), 0);
	TEST_EQ(mincore(gone, PAGE, &vec), 0); /* the old table still has it */
	weir_gmem_put(g);
	TEST_EQ(mincore(kept, PAGE, &vec), 0);
	TEST_ASSERT(mincore(gone, PAGE, &vec) == -1 && errno == ENOMEM);
	memset(kept, 0x5a, PAGE);
	weir_gmem_put(less);
	close(fd);
	return TEST_OK;
}

static enum test_result
add_any_failure_rolled_back(void)
{
	const struct weir_gmem *g = &weir_gmem_empty, *was;
	int fd = file_make();
	unsigned int n;

	TEST_ASSERT(fd >= 0);
	TEST_EQ(add(&g, fd, 0, 1), 0);
	was = g;
	for (n = 1;; n++) {
		int ret;

		weir_fail_arm(n);
		ret = add(&g, fd, 1, 1);
		if (weir_fail_armed()) {
			weir_fail_arm(0);
			TEST_EQ(ret, 0);
			break;
		}
		TEST_EQ(ret, -ENOMEM);
		TEST_ASSERT(g == was && g->nr_slots == 1);
	}
	/* a table, a backing, a mapping */
	TEST_EQ(n, 4);
	weir_gmem_put(g);
	close(fd);
	return TEST_OK;
}

static enum test_result
find_random_as_a_linear_search(void)
{
	const struct weir_gmem *g = &weir_gmem_empty;
	uint64_t rnd = test_seed();
	uint32_t hint = 0;
	int fd = file_make();

	TEST_ASSERT(fd >= 0);
	for (uint64_t page = 0; page + 3 < FILE_PAGES; page += 3 + test_rand(&rnd) % 3)
		TEST_EQ(add(&g, fd, page, 1 + test_rand(&rnd) % 3), 0);
	for (int n = 0; n < 200000; n++) {
		uint64_t gpa = test_rand(&rnd) % ((FILE_PAGES + 1) * PAGE);
		const struct weir_gmem_slot *want = NULL;

		for (uint32_t i = 0; i < g->nr_slots; i++)
			if (weir_range_has(g->slot[i].gpa, gpa))
				want = &g->slot[i];
		TEST_ASSERT(weir_gmem_find(g, (struct weir_gpa){ gpa }, &hint) == want);
	}
	weir_gmem_put(g);
	close(fd);
	return TEST_OK;
}

static const struct test_case gmem_cases[] = {
	{ "table_any_order_sorted", table_any_order_sorted },
	{ "region_bad_refused_and_nothing_changed",
	  region_bad_refused_and_nothing_changed },
	{ "translate_cut_at_the_slot", translate_cut_at_the_slot },
	{ "tables_share_memory_until_the_last", tables_share_memory_until_the_last },
	{ "add_any_failure_rolled_back", add_any_failure_rolled_back },
	{ "find_random_as_a_linear_search", find_random_as_a_linear_search },
};
AUTOTEST(gmem_autotest, gmem_cases);
