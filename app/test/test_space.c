/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The process's space over EAL's memory, whichever kind EAL was started with:
 * the cases that want pages to come and go skip where EAL's memory is static,
 * and run under WEIR_TEST_EAL (test.h).
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_memory.h>

#include "space_impl.h"
#include "test.h"
#include "weir_fail.h"
#include "weir_log.h"
#include "weir_space.h"

#define MB (UINT64_C(1) << 20)
#define PAGE UINT64_C(0x1000)

/* What a device of the space makes of an iova. */
static void *
look(struct weir_space *s, uint64_t iova, uint64_t *len)
{
	struct weir_sim_dev d;
	void *p;

	weir_sim_attach(weir_space_sim(s), &d);
	weir_sim_enter(&d);
	p = weir_sim_translate(&d, iova, WEIR_PROT_WRITE, len);
	weir_sim_leave(&d);
	weir_sim_detach(&d);
	return p;
}

static int
memseg_reached(const struct rte_memseg_list *msl, const struct rte_memseg *ms, void *arg)
{
	uint64_t len = ms->len;

	(void)msl;
	if (ms->iova == RTE_BAD_IOVA)
		return 0;
	return look(arg, ms->iova, &len) == ms->addr && len == ms->len ? 0 : 1;
}

static enum test_result
space_maps_all_of_eals_memory(void)
{
	struct weir_space *s;
	uint64_t len = 1;
	char *p;

	TEST_EQ(weir_space_get(&s), 0);
	TEST_ASSERT(weir_sim_entries(weir_space_sim(s)) != 0);
	TEST_EQ(rte_memseg_walk(memseg_reached, s), 0);
	p = rte_malloc(NULL, 100, 64);
	TEST_ASSERT(p != NULL && look(s, rte_malloc_virt2iova(p), &len) == p);
	rte_free(p);
	TEST_EQ(weir_space_failures(s), 0);
	weir_space_put(s);
	return TEST_OK;
}

static enum test_result
space_is_one_until_the_last_put(void)
{
	struct weir_space *a, *b;
	uint64_t entries;

	TEST_EQ(weir_space_get(&a), 0);
	entries = weir_sim_entries(weir_space_sim(a));
	TEST_EQ(weir_space_get(&b), 0);
	TEST_ASSERT(a == b);
	TEST_EQ(weir_sim_entries(weir_space_sim(b)), entries);
	weir_space_put(a);
	TEST_EQ(weir_sim_entries(weir_space_sim(b)), entries);
	TEST_ASSERT(weir_space_mirror(b) != NULL);
	weir_space_put(b);
	weir_space_put(NULL);
	TEST_EQ(weir_space_get(&a), 0);
	TEST_EQ(weir_sim_entries(weir_space_sim(a)), entries);
	weir_space_put(a);
	return TEST_OK;
}

static void *
get_and_put(void *arg)
{
	uintptr_t failed = 0;

	(void)arg;
	for (int i = 0; i < 100; i++) {
		struct weir_space *s = NULL;

		if (weir_space_get(&s) != 0)
			failed++;
		else if (weir_sim_entries(weir_space_sim(s)) == 0)
			failed++;
		weir_space_put(s);
	}
	return (void *)failed;
}

static enum test_result
space_get_and_put_from_threads(void)
{
	pthread_t t[2];
	void *failed;

	for (int i = 0; i < 2; i++)
		TEST_EQ(pthread_create(&t[i], NULL, get_and_put, NULL), 0);
	for (int i = 0; i < 2; i++) {
		TEST_EQ(pthread_join(t[i], &failed), 0);
		TEST_ASSERT(failed == NULL);
	}
	return TEST_OK;
}

static enum test_result
space_get_fail_nth_leaves_nothing(void)
{
	struct weir_space *s;
	unsigned int n;
	int ret = -ENOMEM;

	for (n = 1; ret != 0 && n < 100000; n++) {
		s = NULL;
		weir_fail_arm(n);
		ret = weir_space_get(&s);
		/* memory, or the backend's call */
		if (ret != 0)
			TEST_ASSERT((ret == -ENOMEM || ret == -EIO) && s == NULL &&
				    !weir_fail_armed());
		weir_fail_arm(0);
		/* memory by huge pages has thousands of points, all alike */
		n += n > 200 ? 97 : 0;
	}
	TEST_EQ(ret, 0);
	TEST_ASSERT(n > 5);
	TEST_EQ(rte_memseg_walk(memseg_reached, s), 0);
	weir_space_put(s);
	return TEST_OK;
}

/*
 * Six pages with iovas in units from 2^46, 0 for none. The third's iova goes on
 * from the first's but its memory does not; the fifth is as far from the third
 * in both, but what is between has no iova; the sixth leaves one out.
 */
#define NR_EXT 6u
#define EXT_IOVA (UINT64_C(1) << 46)

static enum test_result
check_external(struct weir_space *s, const char *mem, const unsigned int *unit)
{
	uint64_t len;

	for (unsigned int i = 0; i < NR_EXT; i++) {
		len = 1;
		if (unit[i] != 0)
			TEST_ASSERT(look(s, EXT_IOVA + unit[i] * PAGE, &len) ==
				    mem + i * PAGE);
	}
	len = 1;
	TEST_ASSERT(look(s, EXT_IOVA + 3 * PAGE, &len) == NULL);
	return TEST_OK;
}

static enum test_result
space_maps_external_memory_with_iovas(void)
{
	static const unsigned int unit[NR_EXT] = { 1, 0, 2, 0, 4, 6 };
	rte_iova_t iova[NR_EXT];
	struct weir_space *s;
	enum test_result res;
	char *mem = mmap(NULL, NR_EXT * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	TEST_ASSERT(mem != MAP_FAILED);
	for (unsigned int i = 0; i < NR_EXT; i++)
		iova[i] = unit[i] != 0 ? EXT_IOVA + unit[i] * PAGE : RTE_BAD_IOVA;
	TEST_EQ(rte_extmem_register(mem, NR_EXT * PAGE, iova, NR_EXT, PAGE), 0);
	TEST_EQ(weir_space_get(&s), 0);
	res = check_external(s, mem, unit);
	weir_space_put(s);
	TEST_EQ(rte_extmem_unregister(mem, NR_EXT * PAGE), 0);
	munmap(mem, NR_EXT * PAGE);
	return res;
}

/* External memory that cannot be mapped: the space is refused, whole. */
static enum test_result
space_get_refused_over_bad_memory(void)
{
	rte_iova_t iova[1] = { UINT64_C(0xfee00000) };
	struct weir_space *s = NULL;
	char *mem = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);

	TEST_ASSERT(mem != MAP_FAILED);
	TEST_EQ(rte_extmem_register(mem, PAGE, iova, 1, PAGE), 0);
	TEST_ASSERT(weir_space_get(&s) < 0 && s == NULL);
	TEST_EQ(rte_extmem_unregister(mem, PAGE), 0);
	munmap(mem, PAGE);
	TEST_EQ(weir_space_get(&s), 0);
	weir_space_put(s);
	return TEST_OK;
}

static void
no_event(enum rte_mem_event type, const void *addr, size_t len, void *arg)
{
	(void)type, (void)addr, (void)len, (void)arg;
}

/* True if EAL tells of pages that come and go. */
static bool
eal_tells(void)
{
	if (rte_mem_event_callback_register("test_space", no_event, NULL) != 0)
		return false;
	rte_mem_event_callback_unregister("test_space", NULL);
	return true;
}

static enum test_result with_space(enum test_result (*fn)(struct weir_space *s))
{
	enum test_result res;
	struct weir_space *s;

	if (!eal_tells())
		return test_skip(
			"EAL's memory is static here; WEIR_TEST_EAL changes that");
	TEST_EQ(weir_space_get(&s), 0);
	res = fn(s);
	weir_space_put(s);
	return res;
}

/* More than EAL has at hand, so that it gets pages and gives them back. */
static char *
grow(uint64_t *len)
{
	struct rte_malloc_socket_stats st;

	if (rte_malloc_get_socket_stats((int)rte_socket_id(), &st) != 0)
		return NULL;
	*len = st.greatest_free_size + 24 * MB;
	return rte_malloc_socket(NULL, *len, 0, (int)rte_socket_id());
}

static enum test_result
follows_pages(struct weir_space *s)
{
	uint64_t entries = weir_sim_entries(weir_space_sim(s)), grown;

	for (int i = 0; i < 10; i++) {
		char *p = grow(&grown), *last;
		uint64_t iova, len = 1;

		TEST_ASSERT(p != NULL);
		last = p + grown - 1;
		iova = rte_mem_virt2iova(last);
		TEST_ASSERT(look(s, iova, &len) == last);
		TEST_ASSERT(weir_sim_entries(weir_space_sim(s)) > entries);
		TEST_EQ(rte_memseg_walk(memseg_reached, s), 0);
		rte_free(p);
		TEST_ASSERT(look(s, iova, &len) == NULL);
		TEST_EQ(weir_sim_entries(weir_space_sim(s)), entries);
	}
	TEST_EQ(weir_space_failures(s), 0);
	return TEST_OK;
}

static enum test_result
space_follows_pages_that_come_and_go(void)
{
	return with_space(follows_pages);
}

static void
no_log(enum weir_log_level level, const char *msg)
{
	(void)level, (void)msg;
}

/* What does not fit is counted; when it goes there is nothing left to do. */
static enum test_result
counts_what_is_lost(struct weir_space *s)
{
	uint64_t entries = weir_sim_entries(weir_space_sim(s)), failures, grown, len = 1;
	char *p;

	weir_log_set_sink(no_log);
	weir_sim_set_limit(weir_space_sim(s), entries + 2);
	p = grow(&grown);
	weir_log_set_sink(NULL);
	weir_sim_set_limit(weir_space_sim(s), 65535);
	TEST_ASSERT(p != NULL);
	failures = weir_space_failures(s);
	TEST_ASSERT(failures != 0);
	TEST_ASSERT(look(s, rte_mem_virt2iova(p + grown - 1), &len) == NULL);
	rte_free(p);
	TEST_EQ(weir_sim_entries(weir_space_sim(s)), entries);
	TEST_EQ(weir_space_failures(s), failures);
	return TEST_OK;
}

static enum test_result
space_lost_pages_are_counted(void)
{
	return with_space(counts_what_is_lost);
}

/* One page of many is not mapped when they go: the others have to go yet. */
static enum test_result
lost_in_part(struct weir_space *s)
{
	uint64_t entries = weir_sim_entries(weir_space_sim(s)), grown;
	struct weir_range page;
	char *p = grow(&grown);

	TEST_ASSERT(p != NULL);
	page.start = rte_mem_virt2iova(p + grown - 8 * MB) & ~(2 * MB - 1);
	page.last = page.start + (2 * MB - 1);
	if (rte_mem_virt2memseg_list(p)->page_sz != 2 * MB) {
		rte_free(p);
		return test_skip("EAL's pages are not of 2 MiB");
	}
	TEST_EQ(weir_mirror_unmap(s->eal, page), 0);
	rte_free(p);
	TEST_EQ(weir_sim_entries(weir_space_sim(s)), entries);
	TEST_EQ(weir_space_failures(s), 0);
	return TEST_OK;
}

static enum test_result
space_pages_lost_in_part_still_go(void)
{
	return with_space(lost_in_part);
}

static enum test_result
heap_steps(struct weir_space *s, char *mem)
{
	uint64_t len = 2 * MB;
	rte_iova_t iova = UINT64_C(1) << 46;

	TEST_EQ(rte_malloc_heap_create("space"), 0);
	TEST_EQ(rte_malloc_heap_memory_add("space", mem, 2 * MB, &iova, 1, 2 * MB), 0);
	TEST_ASSERT(look(s, iova, &len) == mem && len == 2 * MB);
	TEST_EQ(rte_malloc_heap_memory_remove("space", mem, 2 * MB), 0);
	TEST_ASSERT(look(s, iova, &len) == NULL);
	TEST_EQ(rte_malloc_heap_destroy("space"), 0);
	TEST_EQ(weir_space_failures(s), 0);
	return TEST_OK;
}

static enum test_result
follows_heaps(struct weir_space *s)
{
	char *mem = mmap(NULL, 4 * MB, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *aligned =
		(char *)(((uintptr_t)mem + 2 * MB - 1) & ~(uintptr_t)(2 * MB - 1));
	enum test_result res;

	TEST_ASSERT(mem != MAP_FAILED);
	res = heap_steps(s, aligned);
	munmap(mem, 4 * MB);
	return res;
}

static enum test_result
space_follows_external_heaps(void)
{
	return with_space(follows_heaps);
}

/* Get and put take EAL's lock while EAL holds it and calls back: no deadlock. */
static enum test_result
space_get_and_put_while_pages_come_and_go(void)
{
	enum test_result res = TEST_OK;
	uint64_t grown;
	void *failed;
	pthread_t t;

	if (!eal_tells())
		return test_skip(
			"EAL's memory is static here; WEIR_TEST_EAL changes that");
	TEST_EQ(pthread_create(&t, NULL, get_and_put, NULL), 0);
	for (int i = 0; i < 50; i++) {
		void *p = grow(&grown);

		if (p == NULL)
			res = TEST_FAILED;
		rte_free(p);
	}
	TEST_EQ(pthread_join(t, &failed), 0);
	TEST_ASSERT(failed == NULL);
	return res;
}

/* An IOMMU that takes its time over a map: until it is told to go on. */
struct slow_iommu {
	struct weir_space *space;
	_Atomic bool entered, go;
};

static int
slow_caps(void *ctx, struct weir_iommu_caps *caps)
{
	(void)ctx;
	*caps = (struct weir_iommu_caps){
		.name = "slow",
		.page_sizes = PAGE,
		.max_entries = UINT64_MAX,
		.max_locked = UINT64_MAX,
	};
	return 0;
}

static int
slow_map(void *ctx, uint64_t iova, uint64_t hva, uint64_t len, uint32_t prot)
{
	struct slow_iommu *slow = ctx;

	(void)iova, (void)hva, (void)len, (void)prot;
	slow->entered = true;
	while (!slow->go)
		sched_yield();
	return 0;
}

static int
slow_unmap(void *ctx, uint64_t iova, uint64_t len, uint64_t *unmapped)
{
	(void)ctx, (void)iova;
	*unmapped = len;
	return 0;
}

static const struct weir_iommu_ops slow_ops = {
	.caps = slow_caps,
	.map = slow_map,
	.unmap = slow_unmap,
};

static void *
map_slowly(void *arg)
{
	static _Alignas(0x1000) char guest[0x1000];
	struct slow_iommu *slow = arg;
	uint64_t hva = (uint64_t)(uintptr_t)guest;
	struct weir_region r = {
		.iova = { hva, hva + PAGE - 1 },
		.hva = hva,
		.prot = WEIR_PROT_READ | WEIR_PROT_WRITE,
		.owner = 1,
	};
	struct weir_mirror *m = weir_space_mirror(slow->space);
	int ret = weir_mirror_attach(m, &slow_ops, slow);

	if (ret == 0)
		ret = weir_mirror_map(m, &r);
	if (ret == 0)
		ret = weir_mirror_unmap(m, r.iova);
	weir_mirror_detach(m, slow);
	slow->entered = true; /* if it failed before */
	return (void *)(intptr_t)ret;
}

/* A guest is being mapped, which takes seconds; EAL gets its memory meanwhile. */
static enum test_result
grows_beside_a_guest(struct weir_space *s)
{
	struct slow_iommu slow = { .space = s };
	uint64_t grown, len = 1;
	enum test_result res = TEST_OK;
	pthread_t t;
	void *ret;
	char *p;

	TEST_EQ(pthread_create(&t, NULL, map_slowly, &slow), 0);
	while (!slow.entered)
		sched_yield();
	p = grow(&grown);
	if (p == NULL || look(s, rte_mem_virt2iova(p + grown - 1), &len) != p + grown - 1)
		res = TEST_FAILED;
	rte_free(p);
	slow.go = true;
	TEST_EQ(pthread_join(t, &ret), 0);
	TEST_ASSERT(ret == NULL);
	TEST_EQ(weir_space_failures(s), 0);
	return res;
}

static enum test_result
space_grows_while_a_guest_is_mapped(void)
{
	return with_space(grows_beside_a_guest);
}

/* What EAL's memory takes of the entries is not there for guests. */
static enum test_result
space_entries_are_shared(void)
{
	struct weir_iommu_caps caps;
	struct weir_space *s;
	uint64_t eals;

	TEST_EQ(weir_space_get(&s), 0);
	eals = weir_sim_entries(weir_space_sim(s));
	TEST_ASSERT(eals != 0 && eals == space_side_entries(&s->sim_eal_side));
	TEST_EQ(space_side_entries(&s->sim_side), 0);
	TEST_EQ(space_side_ops.caps(&s->sim_side, &caps), 0);
	TEST_EQ(caps.max_entries, 65535 - eals);
	TEST_EQ(space_side_ops.caps(&s->sim_eal_side, &caps), 0);
	TEST_EQ(caps.max_entries, 65535);
	weir_space_put(s);
	return TEST_OK;
}

static const struct test_case space_cases[] = {
	{ "space_maps_all_of_eals_memory", space_maps_all_of_eals_memory },
	{ "space_is_one_until_the_last_put", space_is_one_until_the_last_put },
	{ "space_get_and_put_from_threads", space_get_and_put_from_threads },
	{ "space_get_fail_nth_leaves_nothing", space_get_fail_nth_leaves_nothing },
	{ "space_maps_external_memory_with_iovas",
	  space_maps_external_memory_with_iovas },
	{ "space_get_refused_over_bad_memory", space_get_refused_over_bad_memory },
	{ "space_follows_pages_that_come_and_go", space_follows_pages_that_come_and_go },
	{ "space_lost_pages_are_counted", space_lost_pages_are_counted },
	{ "space_pages_lost_in_part_still_go", space_pages_lost_in_part_still_go },
	{ "space_follows_external_heaps", space_follows_external_heaps },
	{ "space_get_and_put_while_pages_come_and_go",
	  space_get_and_put_while_pages_come_and_go },
	{ "space_grows_while_a_guest_is_mapped", space_grows_while_a_guest_is_mapped },
	{ "space_entries_are_shared", space_entries_are_shared },
};
AUTOTEST_EAL(space_autotest, space_cases);
