/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel against the model of it: the same random calls to both, good ones
 * and bad ones, at the places where rules change. Where they differ the model is
 * wrong. devtools/vm runs it.
 */
#include <string.h>
#include <sys/mman.h>

#include "vfio_bench.h"
#include "weir_map.h"
#include "weir_sim.h"

#define PAGE UINT64_C(0x1000)
#define NR_PAGES 16u
#define ROUNDS 4000u
#define NR_CALLS 24u /* before everything is unmapped */

/* Memory: good, then read-only, then a hole, NR_PAGES each. */
#define MEM_LEN (3 * NR_PAGES * PAGE)

static const enum weir_sim_flavour flavours[] = {
	[COL_TYPE1_V1] = WEIR_SIM_TYPE1_V1,   [COL_TYPE1_V2] = WEIR_SIM_TYPE1_V2,
	[COL_IOMMUFD] = WEIR_SIM_IOMMUFD,     [COL_COMPAT_V1] = WEIR_SIM_COMPAT_V1,
	[COL_COMPAT_V2] = WEIR_SIM_COMPAT_V2,
};

/* Where windows of NR_PAGES are: inside, and across each border there is. */
static const uint64_t bases[] = {
	UINT64_C(0x1000000),
	UINT64_C(0x1000000),
	UINT64_C(0x1000000),
	0,
	UINT64_C(0xfee00000) - 8 * PAGE,
	UINT64_C(0xfeefffff) + 1 - 8 * PAGE,
	(UINT64_C(1) << 48) - 8 * PAGE,
	UINT64_MAX - 16 * PAGE + 1,
};

/* One call, as both get it. */
struct call {
	bool map;
	uint64_t iova, hva, len;
	uint32_t prot;
};

struct pair {
	struct vfio_bench bench;
	struct weir_sim *sim;
	char *mem;
	uint64_t rnd;
};

static uint64_t
below(struct pair *p, uint64_t n)
{
	return test_rand(&p->rnd) % n;
}

/* Seldom something that is not a multiple of a page. */
static uint64_t
spoil(struct pair *p, uint64_t value)
{
	switch (below(p, 60)) {
	case 0:
		return value + 1;
	case 1:
		return value + 512;
	default:
		return value;
	}
}

static void
call_make(struct pair *p, struct call *c)
{
	uint64_t base = bases[below(p, sizeof(bases) / sizeof(bases[0]))];
	uint64_t at = below(p, NR_PAGES), from = below(p, MEM_LEN / PAGE);

	c->map = below(p, 2) != 0;
	c->iova = spoil(p, base + at * PAGE);
	/* length 0 is rare, and most are short */
	c->len = spoil(p, (1 + below(p, below(p, 4) == 0 ? NR_PAGES : 4)) * PAGE);
	if (below(p, 80) == 0)
		c->len = 0;
	if (below(p, 3) != 0)
		from %= NR_PAGES;
	c->hva = spoil(p, (uint64_t)(uintptr_t)p->mem + from * PAGE);
	if (below(p, 100) == 0)
		c->hva = UINT64_MAX - 2 * PAGE + 1;
	c->prot = below(p, 16) == 0
			  ? 0
			  : (uint32_t)(1 + below(p, WEIR_PROT_READ | WEIR_PROT_WRITE));
}

static int
call_do(const struct weir_iommu_ops *ops, void *ctx, const struct call *c, uint64_t *gone)
{
	*gone = 0;
	if (c->map)
		return ops->map(ctx, c->iova, c->hva, c->len, c->prot);
	return ops->unmap(ctx, c->iova, c->len, gone);
}

static enum test_result
call_compare(struct pair *p, const struct call *c)
{
	uint64_t real_gone, sim_gone;
	int real = call_do(p->bench.ops, p->bench.ctx, c, &real_gone);
	int sim = call_do(&weir_sim_ops, p->sim, c, &sim_gone);

	if (real == sim && real_gone == sim_gone)
		return TEST_OK;
	printf("    %s iova %#" PRIx64 " len %#" PRIx64, c->map ? "map" : "unmap",
	       c->iova, c->len);
	if (c->map)
		printf(" hva %#" PRIx64 " (mem %p) prot %u", c->hva, (void *)p->mem,
		       c->prot);
	printf(": kernel %d, %#" PRIx64 " gone; model %d, %#" PRIx64 " gone\n", real,
	       real_gone, sim, sim_gone);
	return TEST_FAILED;
}

/* Unmap it all, window by window: what each says must agree, too. */
static enum test_result
all_unmap(struct pair *p)
{
	for (size_t i = 2; i < sizeof(bases) / sizeof(bases[0]); i++) {
		for (unsigned int at = 0; at < 2 * NR_PAGES; at++) {
			struct call c = { .iova = bases[i] + at * PAGE,
					  .len = (2 * NR_PAGES - at) * PAGE };

			if (call_compare(p, &c) != TEST_OK)
				return TEST_FAILED;
		}
	}
	TEST_EQ(weir_sim_entries(p->sim), 0);
	return TEST_OK;
}

static enum test_result
random_steps(struct pair *p)
{
	for (unsigned int i = 0; i < ROUNDS; i++) {
		struct call c;

		call_make(p, &c);
		if (call_compare(p, &c) != TEST_OK) {
			printf("    in call %u\n", i);
			return TEST_FAILED;
		}
		if (i % NR_CALLS == NR_CALLS - 1 && all_unmap(p) != TEST_OK)
			return TEST_FAILED;
	}
	return TEST_OK;
}

static bool
memory_make(struct pair *p)
{
	p->mem = mmap(NULL, MEM_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	if (p->mem == MAP_FAILED)
		return false;
	memset(p->mem, 1, MEM_LEN);
	return mprotect(p->mem + NR_PAGES * PAGE, NR_PAGES * PAGE, PROT_READ) == 0 &&
	       mprotect(p->mem + 2 * NR_PAGES * PAGE, NR_PAGES * PAGE, PROT_NONE) == 0;
}

static enum test_result
random_agrees(enum iommu_column column)
{
	const char *why = vfio_bench_missing(column);
	enum test_result res;
	struct pair p = { .rnd = test_seed() };

	if (why != NULL)
		return test_skip("%s", why);
	TEST_ASSERT(memory_make(&p));
	TEST_EQ(weir_sim_create(flavours[column], &p.sim), 0);
	TEST_EQ(vfio_bench_open(&p.bench, column), 0);
	res = random_steps(&p);
	vfio_bench_close(&p.bench, true);
	weir_sim_destroy(p.sim);
	munmap(p.mem, MEM_LEN);
	return res;
}

#define RANDOM_CASE(nm, col)               \
	static enum test_result nm(void)   \
	{                                  \
		return random_agrees(col); \
	}
RANDOM_CASE(random_type1v1, COL_TYPE1_V1)
RANDOM_CASE(random_type1v2, COL_TYPE1_V2)
RANDOM_CASE(random_compatv1, COL_COMPAT_V1)
RANDOM_CASE(random_compatv2, COL_COMPAT_V2)
RANDOM_CASE(random_iommufd, COL_IOMMUFD)

static const struct test_case vfio_random_cases[] = {
	{ "kernel_type1v1_agrees_with_the_model", random_type1v1 },
	{ "kernel_type1v2_agrees_with_the_model", random_type1v2 },
	{ "kernel_compatv1_agrees_with_the_model", random_compatv1 },
	{ "kernel_compatv2_agrees_with_the_model", random_compatv2 },
	{ "kernel_iommufd_agrees_with_the_model", random_iommufd },
};
AUTOTEST(vfio_random_autotest, vfio_random_cases);
