/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cache of translations: cases, and random changes beside a page table that
 * knows of each page what it is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test.h"
#include "weir_fail.h"
#include "weir_iotlb.h"

#define PAGE WEIR_IOTLB_PAGE
#define UVA UINT64_C(0x7f0000000000)
#define SLOT_PAGES 32u
#define RW (WEIR_IOTLB_READ | WEIR_IOTLB_WRITE)

/* Two slots, neighbours for the frontend and not for the guest. */
static struct weir_gmem *
memory_make(uint32_t nr_slots)
{
	struct weir_gmem *g = NULL, *next;

	for (uint32_t i = 0; i < nr_slots; i++) {
		const struct weir_gmem_region r = {
			.gpa = UINT64_C(0x100000000) * i,
			.len = SLOT_PAGES * PAGE,
			.uva = UVA + i * SLOT_PAGES * PAGE,
		};
		int fd = memfd_create("test-iotlb", MFD_CLOEXEC);

		if (fd < 0 || ftruncate(fd, SLOT_PAGES * PAGE) != 0 ||
		    weir_gmem_create(g != NULL ? g : &weir_gmem_empty, (uint16_t)i, &r,
				     fd, &next) != 0)
			abort();
		close(fd);
		weir_gmem_put(g);
		g = next;
	}
	return g;
}

static int
add(struct weir_iotlb *c, const struct weir_gmem *g, uint64_t iova, uint64_t len,
    uint64_t uva, uint8_t prot)
{
	struct weir_iotlb_entry e = { .uva = uva, .prot = prot };

	return weir_range_make(&e.iova, iova, len) == 0 ? weir_iotlb_add(c, g, &e)
							: -EDOM;
}

/* What a view says of an address; NULL: nothing. */
static void *
look(const struct weir_gmem *table, uint64_t iova)
{
	uint64_t len = 1, dma = 0;
	uint32_t hint = (uint32_t)iova;
	char *p =
		weir_gmem_translate(table, (struct weir_gpa){ iova }, &len, &dma, &hint);

	return p == NULL || dma == (uintptr_t)p ? p : NULL;
}

static enum test_result
iotlb_add_wrong_refused(void)
{
	struct weir_gmem *g = memory_make(2);
	struct weir_iotlb *c;

	TEST_EQ(weir_iotlb_create(0, &c), -EINVAL);
	TEST_EQ(weir_iotlb_create(UINT32_MAX, &c), -EINVAL);
	TEST_EQ(weir_iotlb_create(2, &c), 0);
	TEST_EQ(add(c, g, 0, PAGE, UVA, 0), -EINVAL);
	TEST_EQ(add(c, g, 0, PAGE, UVA, 4), -EINVAL);
	TEST_EQ(add(c, g, 0, PAGE, UVA - PAGE, RW), -EFAULT);
	TEST_EQ(add(c, g, 0, PAGE, UVA + 2 * SLOT_PAGES * PAGE, RW), -EFAULT);
	/* from one slot into the next */
	TEST_EQ(add(c, g, 0, 2 * PAGE, UVA + (SLOT_PAGES - 1) * PAGE, RW), -EFAULT);
	TEST_EQ(add(c, g, 0, UINT64_MAX, UINT64_MAX, RW), -EOVERFLOW);
	TEST_EQ(weir_iotlb_count(c), 0);
	/* the last page there is, and the first */
	TEST_EQ(add(c, g, UINT64_MAX - PAGE + 1, PAGE, UVA, RW), 0);
	TEST_EQ(add(c, g, 0, PAGE, UVA + PAGE, RW), 0);
	TEST_EQ(weir_iotlb_count(c), 2);
	TEST_EQ(add(c, g, 5 * PAGE, PAGE, UVA, RW), -ENOSPC);
	/* one that is there is none more; one that is another is not */
	TEST_EQ(add(c, g, 0, PAGE, UVA + PAGE, RW), 0);
	TEST_EQ(add(c, g, 0, PAGE, UVA + PAGE, WEIR_IOTLB_READ), -EEXIST);
	TEST_EQ(add(c, g, 0, PAGE, UVA, RW), -EEXIST);
	TEST_EQ(weir_iotlb_count(c), 2);
	weir_iotlb_destroy(c);
	weir_gmem_put(g);
	return TEST_OK;
}

static enum test_result
iotlb_neighbours_are_one(void)
{
	struct weir_gmem *g = memory_make(2);
	const struct weir_gmem *v;
	struct weir_iotlb *c;

	TEST_EQ(weir_iotlb_create(4, &c), 0);
	TEST_EQ(add(c, g, 0x10000, PAGE, UVA, RW), 0);
	TEST_EQ(add(c, g, 0x12000, PAGE, UVA + 2 * PAGE, RW), 0);
	TEST_EQ(weir_iotlb_count(c), 2);
	TEST_EQ(add(c, g, 0x11000, PAGE, UVA + PAGE, RW), 0);
	TEST_EQ(weir_iotlb_count(c), 1);
	/* one that overlaps both ends, and one that lies within */
	TEST_EQ(add(c, g, 0xf000 + PAGE, 5 * PAGE, UVA, RW), 0);
	TEST_EQ(add(c, g, 0x11000, PAGE, UVA + PAGE, RW), 0);
	TEST_EQ(weir_iotlb_count(c), 1);
	/* the same direction only, and of one slot only */
	TEST_EQ(add(c, g, 0x15000, PAGE, UVA + 5 * PAGE, WEIR_IOTLB_READ), 0);
	TEST_EQ(weir_iotlb_count(c), 2);
	TEST_EQ(add(c, g, 0x40000 - PAGE, PAGE, UVA + (SLOT_PAGES - 1) * PAGE, RW), 0);
	TEST_EQ(add(c, g, 0x40000, PAGE, UVA + SLOT_PAGES * PAGE, RW), 0);
	TEST_EQ(weir_iotlb_count(c), 4);
	TEST_EQ(weir_iotlb_view(c, g, &v), 0);
	TEST_EQ(v->nr_slots, 3);
	TEST_EQ(v->readable->nr_slots, 4);
	TEST_ASSERT(look(v, 0x15000) == NULL);
	TEST_ASSERT(look(v->readable, 0x15000) == weir_gmem_uva(g, UVA + 5 * PAGE, 1));
	weir_iotlb_view_put(v);
	weir_iotlb_destroy(c);
	weir_gmem_put(g);
	return TEST_OK;
}

static enum test_result
iotlb_revoked_waits_to_be_dropped(void)
{
	struct weir_gmem *g = memory_make(1);
	const struct weir_gmem *v;
	struct weir_iotlb_entry e;
	struct weir_iotlb *c;
	uint32_t at = 0;

	TEST_EQ(weir_iotlb_create(1, &c), 0);
	TEST_EQ(add(c, g, 0x10000, 8 * PAGE, UVA, RW), 0);
	TEST_ASSERT(!weir_iotlb_revoke(c, (struct weir_range){ 0, 0xffff }));
	TEST_ASSERT(!weir_iotlb_revoke(c, (struct weir_range){ 0x18000, UINT64_MAX }));
	TEST_ASSERT(weir_iotlb_revoke(c, (struct weir_range){ 0x12000, 0x12fff }));
	TEST_EQ(weir_iotlb_count(c), 3);
	TEST_ASSERT(weir_iotlb_revoked(c, &at, &e));
	TEST_EQ(e.iova.start, 0x12000);
	TEST_EQ(e.iova.last, 0x12fff);
	TEST_EQ(e.uva, UVA + 2 * PAGE);
	TEST_ASSERT(!weir_iotlb_revoked(c, &at, &e));
	TEST_EQ(weir_iotlb_view(c, g, &v), 0);
	TEST_EQ(v->nr_slots, 2);
	TEST_ASSERT(look(v, 0x12000) == NULL && look(v, 0x11fff) != NULL);
	TEST_ASSERT(look(v, 0x13000) == weir_gmem_uva(g, UVA + 3 * PAGE, 1));
	weir_iotlb_view_put(v);
	/* until it is dropped it cannot come back, and is found again */
	TEST_EQ(add(c, g, 0x12000, PAGE, UVA + 2 * PAGE, RW), -EEXIST);
	TEST_ASSERT(weir_iotlb_revoke(c, (struct weir_range){ 0x12000, 0x12000 }));
	/* no room to split: all of it goes */
	TEST_ASSERT(weir_iotlb_revoke(c, (struct weir_range){ 0x16000, 0x16fff }));
	TEST_EQ(weir_iotlb_view(c, g, &v), 0);
	TEST_ASSERT(look(v, 0x17000) == NULL && look(v, 0x10000) != NULL);
	weir_iotlb_view_put(v);
	weir_iotlb_drop(c);
	TEST_EQ(weir_iotlb_count(c), 1);
	TEST_ASSERT(weir_iotlb_revoke(c, (struct weir_range){ 0, UINT64_MAX }));
	weir_iotlb_drop(c);
	TEST_EQ(weir_iotlb_count(c), 0);
	TEST_ASSERT(!weir_iotlb_revoke(c, (struct weir_range){ 0, UINT64_MAX }));
	weir_iotlb_destroy(c);
	weir_gmem_put(g);
	return TEST_OK;
}

static enum test_result
iotlb_evict_makes_room(void)
{
	struct weir_gmem *g = memory_make(1);
	struct weir_iotlb *c;

	TEST_EQ(weir_iotlb_create(8, &c), 0);
	for (unsigned int round = 0; round < 100; round++) {
		/* two pages apart, so that none are one */
		int ret = add(c, g, 2 * round * PAGE, PAGE, UVA, RW);

		if (ret == -ENOSPC) {
			weir_iotlb_evict(c);
			weir_iotlb_drop(c);
			TEST_ASSERT(weir_iotlb_count(c) < 8);
			TEST_EQ(add(c, g, 2 * round * PAGE, PAGE, UVA, RW), 0);
		} else {
			TEST_EQ(ret, 0);
		}
	}
	while (weir_iotlb_count(c) != 0) {
		weir_iotlb_evict(c);
		weir_iotlb_drop(c);
	}
	weir_iotlb_evict(c);
	weir_iotlb_destroy(c);
	weir_gmem_put(g);
	return TEST_OK;
}

static enum test_result
iotlb_memory_goes(void)
{
	struct weir_gmem *g = memory_make(2), *one;
	const struct weir_gmem *v;
	struct weir_iotlb *c;

	TEST_EQ(weir_iotlb_create(8, &c), 0);
	TEST_EQ(add(c, g, 0, PAGE, UVA, RW), 0);
	TEST_EQ(add(c, g, PAGE, PAGE, UVA + SLOT_PAGES * PAGE, RW), 0);
	TEST_EQ(weir_gmem_delete(g, 0, &one), 0);
	/* not yet forgotten, for it may yet stay */
	TEST_EQ(weir_iotlb_view(c, one, &v), 0);
	TEST_EQ(v->nr_slots, 1);
	TEST_ASSERT(look(v, 0) == NULL && look(v, PAGE) != NULL);
	TEST_ASSERT(v->memory == one);
	weir_iotlb_view_put(v);
	TEST_EQ(weir_iotlb_count(c), 2);
	weir_iotlb_prune(c, one);
	TEST_EQ(weir_iotlb_count(c), 1);
	weir_iotlb_destroy(c);
	weir_gmem_put(one);
	weir_gmem_put(g);
	return TEST_OK;
}

static enum test_result
iotlb_find_whole_ranges(void)
{
	struct weir_gmem *g = memory_make(2);
	const struct weir_gmem *v;
	struct weir_iotlb *c;
	uint64_t gap;

	TEST_EQ(weir_iotlb_create(8, &c), 0);
	TEST_EQ(add(c, g, 0x10000, 2 * PAGE, UVA, RW), 0);
	TEST_EQ(add(c, g, 0x12000, PAGE, UVA + 2 * PAGE, WEIR_IOTLB_READ), 0);
	/* not contiguous */
	TEST_EQ(add(c, g, 0x13000, PAGE, UVA + 8 * PAGE, WEIR_IOTLB_READ), 0);
	TEST_EQ(weir_iotlb_view(c, g, &v), 0);
#define FIND(first, end, write) \
	weir_iotlb_find(v, (struct weir_range){ first, (end)-1 }, write)
	TEST_ASSERT(FIND(0x10010, 0x12000, true) == weir_gmem_uva(g, UVA + 0x10, 1));
	TEST_ASSERT(FIND(0x10010, 0x13000, false) == weir_gmem_uva(g, UVA + 0x10, 1));
	TEST_ASSERT(FIND(0x10010, 0x12001, true) == NULL);
	TEST_ASSERT(FIND(0x12000, 0x13001, false) == NULL);
	TEST_ASSERT(FIND(0xffff, 0x10001, false) == NULL);
	TEST_ASSERT(FIND(0x13fff, 0x14001, false) == NULL);
#define GAP(first, end, write) \
	weir_iotlb_gap(v, (struct weir_range){ first, (end)-1 }, write, &gap)
	TEST_ASSERT(!GAP(0x10000, 0x14000, false));
	TEST_ASSERT(GAP(0x10000, 0x14001, false));
	TEST_EQ(gap, 0x14000);
	TEST_ASSERT(GAP(0x11000, 0x14000, true));
	TEST_EQ(gap, 0x12000);
	TEST_ASSERT(GAP(0xf800, 0x11000, true));
	TEST_EQ(gap, 0xf800);
	weir_iotlb_view_put(v);
	weir_iotlb_destroy(c);
	weir_gmem_put(g);
	return TEST_OK;
}

static enum test_result
iotlb_out_of_memory_changes_nothing(void)
{
	struct weir_gmem *g = memory_make(1);
	const struct weir_gmem *v;
	struct weir_iotlb *c;

	weir_fail_arm(1);
	TEST_EQ(weir_iotlb_create(8, &c), -ENOMEM);
	weir_fail_arm(0);
	TEST_EQ(weir_iotlb_create(8, &c), 0);
	TEST_EQ(add(c, g, 0, PAGE, UVA, RW), 0);
	weir_fail_arm(1);
	TEST_EQ(weir_iotlb_view(c, g, &v), -ENOMEM);
	weir_fail_arm(0);
	TEST_EQ(weir_iotlb_view(c, g, &v), 0);
	TEST_EQ(v->nr_slots, 1);
	weir_iotlb_view_put(v);
	weir_iotlb_destroy(c);
	weir_gmem_put(g);
	return TEST_OK;
}

/* ---- beside a page table */

#define MODEL_PAGES 64u
#define MODEL_MAX 24u

struct model {
	struct {
		uint64_t uva;
		uint8_t prot;
		bool revoked; /* and not dropped */
	} page[MODEL_PAGES];
};

static bool
model_is(const struct model *m, const struct weir_gmem *view, const struct weir_gmem *g,
	 uint32_t i)
{
	const uint64_t off = (i * 37) % PAGE, iova = i * PAGE + off;
	void *hva =
		m->page[i].prot != 0 ? weir_gmem_uva(g, m->page[i].uva + off, 1) : NULL;

	return look(view, iova) ==
		       ((m->page[i].prot & WEIR_IOTLB_WRITE) != 0 ? hva : NULL) &&
	       look(view->readable, iova) ==
		       ((m->page[i].prot & WEIR_IOTLB_READ) != 0 ? hva : NULL);
}

/* What a cache may forget it may: the model learns it from the view. */
static void
model_forget(struct model *m, const struct weir_gmem *view)
{
	for (uint32_t i = 0; i < MODEL_PAGES; i++)
		if (m->page[i].prot != 0 && look(view, i * PAGE) == NULL &&
		    look(view->readable, i * PAGE) == NULL) {
			m->page[i].prot = 0;
			m->page[i].revoked = true;
		}
}

static int
model_add(const struct model *m, uint32_t first, uint32_t nr, uint64_t uva, uint8_t prot)
{
	for (uint32_t i = 0; i < nr; i++) {
		const uint8_t is = m->page[first + i].prot;

		if (m->page[first + i].revoked ||
		    (is != 0 && (is != prot || m->page[first + i].uva != uva + i * PAGE)))
			return -EEXIST;
	}
	return 0;
}

static enum test_result
random_add(struct model *m, struct weir_iotlb *c, const struct weir_gmem *g,
	   uint64_t *rand)
{
	uint32_t first = (uint32_t)(test_rand(rand) % MODEL_PAGES);
	uint32_t nr = 1 + (uint32_t)(test_rand(rand) % 6);
	/* often what continues the neighbour */
	uint64_t uva = UVA + (test_rand(rand) % 2 ? first % (2 * SLOT_PAGES)
						  : test_rand(rand) % (2 * SLOT_PAGES)) *
				     PAGE;
	uint8_t prot = 1 + (uint8_t)(test_rand(rand) % 3);
	int ret, want;

	if (first + nr > MODEL_PAGES)
		nr = MODEL_PAGES - first;
	want = model_add(m, first, nr, uva, prot);
	if (weir_gmem_uva(g, uva, nr * PAGE) == NULL)
		want = -EFAULT;
	ret = add(c, g, first * PAGE, nr * PAGE, uva, prot);
	if (ret == -ENOSPC && weir_iotlb_count(c) >= MODEL_MAX)
		return TEST_OK;
	TEST_EQ(ret, want);
	for (uint32_t i = 0; i < nr && ret == 0; i++) {
		m->page[first + i].uva = uva + i * PAGE;
		m->page[first + i].prot = prot;
	}
	return TEST_OK;
}

static enum test_result
random_revoke(struct model *m, struct weir_iotlb *c, const struct weir_gmem *g,
	      uint64_t *rand)
{
	uint32_t first = (uint32_t)(test_rand(rand) % MODEL_PAGES);
	uint32_t last = first + (uint32_t)(test_rand(rand) % (MODEL_PAGES - first));
	const struct weir_gmem *v;
	bool any = false;

	for (uint32_t i = first; i <= last; i++)
		any |= m->page[i].revoked || m->page[i].prot != 0;
	TEST_EQ(weir_iotlb_revoke(
			c, (struct weir_range){ first * PAGE, last * PAGE + PAGE - 1 }),
		any);
	TEST_EQ(weir_iotlb_view(c, g, &v), 0);
	for (uint32_t i = first; i <= last; i++)
		TEST_ASSERT(look(v, i * PAGE) == NULL &&
			    look(v->readable, i * PAGE) == NULL);
	/* beside it only what had no room to be split */
	if (weir_iotlb_count(c) < MODEL_MAX)
		for (uint32_t i = 0; i < MODEL_PAGES; i++)
			TEST_ASSERT((i >= first && i <= last) || model_is(m, v, g, i));
	model_forget(m, v);
	weir_iotlb_view_put(v);
	return TEST_OK;
}

static enum test_result
random_check(const struct model *m, const struct weir_iotlb *c, const struct weir_gmem *g)
{
	struct weir_iotlb_entry e;
	const struct weir_gmem *v;
	uint64_t revoked = 0;
	uint32_t at = 0;

	TEST_EQ(weir_iotlb_view(c, g, &v), 0);
	for (uint32_t i = 0; i < MODEL_PAGES; i++)
		TEST_ASSERT(model_is(m, v, g, i));
	weir_iotlb_view_put(v);
	while (weir_iotlb_revoked(c, &at, &e))
		for (uint64_t i = e.iova.start / PAGE; i <= e.iova.last / PAGE; i++)
			revoked |= UINT64_C(1) << i;
	for (uint32_t i = 0; i < MODEL_PAGES; i++)
		TEST_EQ(revoked >> i & 1, m->page[i].revoked);
	return TEST_OK;
}

static enum test_result
iotlb_random_is_a_page_table(void)
{
	struct weir_gmem *g = memory_make(2);
	uint64_t rand = test_seed();
	struct model m = { 0 };
	struct weir_iotlb *c;

	TEST_EQ(weir_iotlb_create(MODEL_MAX, &c), 0);
	for (unsigned int i = 0; i < 30000; i++) {
		uint64_t what = test_rand(&rand) % 16;

		if (what < 9)
			TEST_EQ(random_add(&m, c, g, &rand), TEST_OK);
		else if (what < 12)
			TEST_EQ(random_revoke(&m, c, g, &rand), TEST_OK);
		else if (what < 15)
			weir_iotlb_drop(c);
		else
			weir_iotlb_evict(c);
		if (what >= 12 && what < 15) {
			for (uint32_t p = 0; p < MODEL_PAGES; p++)
				m.page[p].revoked = false;
		} else if (what == 15) {
			const struct weir_gmem *v;

			TEST_EQ(weir_iotlb_view(c, g, &v), 0);
			model_forget(&m, v);
			weir_iotlb_view_put(v);
		}
		TEST_EQ(random_check(&m, c, g), TEST_OK);
		TEST_ASSERT(weir_iotlb_count(c) <= MODEL_MAX + 2);
	}
	weir_iotlb_destroy(c);
	weir_gmem_put(g);
	return TEST_OK;
}

static const struct test_case cases[] = {
	{ "iotlb_add_wrong_refused", iotlb_add_wrong_refused },
	{ "iotlb_neighbours_are_one", iotlb_neighbours_are_one },
	{ "iotlb_revoked_waits_to_be_dropped", iotlb_revoked_waits_to_be_dropped },
	{ "iotlb_evict_makes_room", iotlb_evict_makes_room },
	{ "iotlb_memory_goes", iotlb_memory_goes },
	{ "iotlb_find_whole_ranges", iotlb_find_whole_ranges },
	{ "iotlb_out_of_memory_changes_nothing", iotlb_out_of_memory_changes_nothing },
	{ "iotlb_random_is_a_page_table", iotlb_random_is_a_page_table },
};

AUTOTEST(iotlb_autotest, cases);
