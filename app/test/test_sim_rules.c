/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The model's interface half: the conformance suite over each flavour, and a
 * random test against a list of pages that is searched from end to end.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "iommu_suite.h"
#include "weir_map.h"
#include "weir_sim_spapr.h"

static int
limit_entries(void **ctx, uint64_t nr)
{
	weir_sim_set_limit(*ctx, nr);
	return 0;
}

static int
limit_locked(void *ctx, uint64_t bytes)
{
	weir_sim_set_memlock(ctx, bytes);
	return 0;
}

static int
unmap_all(void *ctx, uint64_t *unmapped)
{
	*unmapped = weir_sim_unmap_all(ctx);
	return 0;
}

static bool
device_writes(void *ctx, uint64_t iova, void *mem, size_t unit, size_t nr)
{
	struct weir_sim_dev d;
	uint64_t len = 1;
	bool sees;

	weir_sim_attach(ctx, &d);
	(void)mem; /* translating tells, without a write */
	(void)unit;
	(void)nr;
	weir_sim_enter(&d);
	sees = weir_sim_translate(&d, iova, WEIR_PROT_WRITE, &len) != NULL;
	weir_sim_leave(&d);
	weir_sim_detach(&d);
	return sees;
}

/* The array model: which entry each page belongs to, and where it leads. */
#define NR_PAGES 2048u
#define PAGE UINT64_C(0x1000)
#define BASE (UINT64_C(0x40000000) - NR_PAGES / 2 * PAGE) /* across 1 GiB */
#define NR_HVA_PAGES (3 * NR_PAGES)

struct model {
	enum weir_sim_flavour flavour;
	unsigned int id[NR_PAGES + 2]; /* of page n - 1; 0: none; the ends stay 0 */
	uint64_t hva[NR_PAGES + 2];
	uint32_t prot[NR_PAGES + 2];
	unsigned int next_id;
	uint64_t mem;
	uint64_t rnd;
};

static unsigned int
below(struct model *m, unsigned int n)
{
	return (unsigned int)(test_rand(&m->rnd) % n);
}

/* Remove all of an entry. Returns its pages. */
static unsigned int
model_remove(struct model *m, unsigned int id)
{
	unsigned int nr = 0;

	for (unsigned int p = 1; p <= NR_PAGES; p++) {
		if (m->id[p] == id) {
			m->id[p] = 0;
			nr++;
		}
	}
	return nr;
}

static bool
starts_before(const struct model *m, unsigned int p)
{
	return m->id[p] != 0 && m->id[p - 1] == m->id[p];
}

static bool
ends_after(const struct model *m, unsigned int p)
{
	return m->id[p] != 0 && m->id[p + 1] == m->id[p];
}

static int
model_type1_unmap(struct model *m, unsigned int a, unsigned int z, unsigned int *gone)
{
	if (m->flavour == WEIR_SIM_TYPE1_V1 && starts_before(m, a))
		return 0;
	if (m->flavour == WEIR_SIM_TYPE1_V2 && (starts_before(m, a) || ends_after(m, z)))
		return -EINVAL;
	for (unsigned int p = a; p <= z; p++)
		if (m->id[p] != 0)
			*gone += model_remove(m, m->id[p]);
	return 0;
}

/* A cut: what is above page p gets a number of its own. */
static void
model_cut(struct model *m, unsigned int p)
{
	unsigned int id = m->id[p];

	if (!ends_after(m, p))
		return;
	m->next_id++;
	for (p++; m->id[p] == id; p++)
		m->id[p] = m->next_id;
}

/* What went before a failure is told by the container alone. */
static int
model_iommufd_unmap(struct model *m, unsigned int a, unsigned int z, unsigned int *gone)
{
	bool ioas = m->flavour == WEIR_SIM_IOMMUFD;
	unsigned int nr = 0;

	if (m->flavour == WEIR_SIM_COMPAT_V1 || m->flavour == WEIR_SIM_SPAPR) {
		model_cut(m, z);
		model_cut(m, a - 1);
	}
	for (unsigned int p = a; p <= z; p++) {
		unsigned int last = p;

		if (m->id[p] == 0)
			continue;
		while (ends_after(m, last))
			last++;
		if (starts_before(m, p) || last > z) {
			*gone = ioas ? 0 : nr;
			return -ENOENT;
		}
		nr += model_remove(m, m->id[p]);
	}
	*gone = nr;
	return nr == 0 && ioas ? -ENOENT : 0;
}

static enum test_result
random_unmap(struct model *m, struct weir_sim *s)
{
	unsigned int a = 1 + below(m, NR_PAGES), z, want_gone = 0;
	uint64_t gone = 0;
	int want, ret;

	/* half of the time what was mapped as one */
	if (below(m, 2) == 0)
		while (starts_before(m, a))
			a--;
	for (z = a; ends_after(m, z);)
		z++;
	if (below(m, 3) == 0)
		z = a + below(m, NR_PAGES + 1 - a);
	ret = weir_sim_ops.unmap(s, BASE + (a - 1) * PAGE, (z - a + 1) * PAGE, &gone);
	if (m->flavour == WEIR_SIM_TYPE1_V1 || m->flavour == WEIR_SIM_TYPE1_V2)
		want = model_type1_unmap(m, a, z, &want_gone);
	else
		want = model_iommufd_unmap(m, a, z, &want_gone);
	TEST_EQ(ret, want);
	TEST_EQ(gone, want_gone * PAGE);
	return TEST_OK;
}

static enum test_result
random_map(struct model *m, struct weir_sim *s)
{
	unsigned int a = 1 + below(m, NR_PAGES), nr = 1 + below(m, 8), from, want = 0;
	uint32_t prot = 1 + below(m, 3);

	if (below(m, 4) == 0) { /* room for large leaves */
		a = 1 + (a - 1) / 512 * 512;
		nr = 512 * (1 + below(m, 2)) + below(m, 3);
	}
	if (nr > NR_PAGES + 1 - a)
		nr = NR_PAGES + 1 - a;
	/* often the page that makes host memory go on from the left neighbour's */
	from = below(m, 2) == 0 ? a : below(m, NR_HVA_PAGES - nr);
	for (unsigned int p = a; p < a + nr; p++)
		want |= m->id[p];
	if (m->flavour == WEIR_SIM_SPAPR) { /* it writes over what is there */
		(void)model_iommufd_unmap(m, a, a + nr - 1, &want);
		want = 0;
	}
	TEST_EQ(weir_sim_ops.map(s, BASE + (a - 1) * PAGE, m->mem + from * PAGE,
				 nr * PAGE, prot),
		want != 0 ? -EEXIST : 0);
	m->next_id += want == 0;
	for (unsigned int p = a; want == 0 && p < a + nr; p++) {
		m->id[p] = m->next_id;
		m->hva[p] = m->mem + (from + p - a) * PAGE;
		m->prot[p] = prot;
	}
	return TEST_OK;
}

/* A translation says what the pages say, one after the other. */
static enum test_result
random_translate(struct model *m, struct weir_sim_dev *d)
{
	uint64_t off = below(m, NR_PAGES * PAGE), len = 1 + below(m, 64 * PAGE), want = 0;
	uint64_t asked = len, faults = d->faults;
	uint32_t prot = 1 + below(m, 2);
	unsigned int p = 1 + (unsigned int)(off / PAGE);
	char *hva;

	weir_sim_enter(d);
	hva = weir_sim_translate(d, BASE + off, prot, &len);
	weir_sim_leave(d);
	if (m->id[p] == 0 || (m->prot[p] & prot) == 0) {
		TEST_ASSERT(hva == NULL && len == 0);
		TEST_EQ(d->faults, faults + 1);
		return TEST_OK;
	}
	TEST_EQ((uintptr_t)hva, m->hva[p] + off % PAGE);
	want = PAGE - off % PAGE;
	while (m->id[p + 1] != 0 && m->hva[p + 1] == m->hva[p] + PAGE &&
	       (m->prot[p + 1] & prot) != 0) {
		want += PAGE;
		p++;
	}
	TEST_EQ(len, want < asked ? want : asked);
	return TEST_OK;
}

static enum test_result
random_steps(struct model *m, struct weir_sim *s, struct weir_sim_dev *d)
{
	for (unsigned int i = 0; i < 20000; i++) {
		enum test_result res =
			below(m, 2) ? random_map(m, s) : random_unmap(m, s);
		unsigned int ids = 0;

		for (unsigned int t = 0; res == TEST_OK && t < 8; t++)
			res = random_translate(m, d);
		if (res != TEST_OK) {
			printf("    at step %u\n", i);
			return res;
		}
		for (unsigned int p = 1; p <= NR_PAGES; p++)
			ids += m->id[p] != 0 && m->id[p] != m->id[p - 1];
		TEST_EQ(weir_sim_entries(s), ids);
	}
	return TEST_OK;
}

static enum test_result
random_agrees(enum weir_sim_flavour flavour)
{
	static struct model m;
	struct weir_sim_dev d;
	enum test_result res;
	struct weir_sim *s;
	void *mem = mmap(NULL, NR_HVA_PAGES * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	TEST_ASSERT(mem != MAP_FAILED);
	m = (struct model){ .flavour = flavour,
			    .mem = (uint64_t)(uintptr_t)mem,
			    .rnd = test_seed() };
	TEST_EQ(weir_sim_create(flavour, &s), 0);
	if (flavour == WEIR_SIM_SPAPR)
		TEST_EQ(weir_sim_register(s, m.mem, NR_HVA_PAGES * PAGE), 0);
	weir_sim_attach(s, &d);
	res = random_steps(&m, s, &d);
	weir_sim_detach(&d);
	weir_sim_destroy(s);
	munmap(mem, NR_HVA_PAGES * PAGE);
	return res;
}

/* What a case maps, where the flavour wants to know before. */
static int
prepare(void *ctx, void *mem, size_t len)
{
	return weir_sim_register(ctx, (uint64_t)(uintptr_t)mem, len);
}

#define ENTRIES 1u /* they can be limited */
#define LOCKED 2u  /* the bytes locked can be limited, when a map is asked for */
#define PREPARE 4u

/* The suite and the random test over one flavour, as cases named after it. */
#define FLAVOUR(nm, flavour, col, has)                                    \
	static int nm##_open(void **ctx)                                  \
	{                                                                 \
		return weir_sim_create(flavour, (struct weir_sim **)ctx); \
	}                                                                 \
	static const struct iommu_suite nm##_suite = {                    \
		.column = col,                                            \
		.ops = &weir_sim_ops,                                     \
		.open = nm##_open,                                        \
		.prepare = (has)&PREPARE ? prepare : NULL,                \
		.limit_entries = (has)&ENTRIES ? limit_entries : NULL,    \
		.limit_locked = (has)&LOCKED ? limit_locked : NULL,       \
		.unmap_all = unmap_all,                                   \
		.device_writes = device_writes,                           \
	};                                                                \
	IOMMU_SUITE_CASES(nm)                                             \
	static enum test_result nm##_random(void)                         \
	{                                                                 \
		return random_agrees(flavour);                            \
	}                                                                 \
	static const struct test_case nm##_cases[] = {                    \
		IOMMU_SUITE_ROWS(nm),                                     \
		{ #nm "_random_agrees_with_an_array", nm##_random },      \
	};                                                                \
	AUTOTEST(nm##_autotest, nm##_cases)

FLAVOUR(sim_type1v1, WEIR_SIM_TYPE1_V1, COL_TYPE1_V1, ENTRIES | LOCKED);
FLAVOUR(sim_type1v2, WEIR_SIM_TYPE1_V2, COL_TYPE1_V2, ENTRIES | LOCKED);
FLAVOUR(sim_iommufd, WEIR_SIM_IOMMUFD, COL_IOMMUFD, LOCKED);
FLAVOUR(sim_compatv1, WEIR_SIM_COMPAT_V1, COL_COMPAT_V1, LOCKED);
FLAVOUR(sim_compatv2, WEIR_SIM_COMPAT_V2, COL_COMPAT_V2, LOCKED);
FLAVOUR(sim_spapr, WEIR_SIM_SPAPR, COL_SPAPR, PREPARE);

static int
noiommu_open(void **ctx)
{
	return weir_sim_create(WEIR_SIM_NOIOMMU, (struct weir_sim **)ctx);
}

static enum test_result
sim_noiommu_refuses_every_call(void)
{
	static const struct iommu_suite suite = {
		.ops = &weir_sim_ops,
		.open = noiommu_open,
	};

	return iommu_suite_refuses(&suite);
}

static const struct test_case sim_noiommu_cases[] = {
	{ "sim_noiommu_refuses_every_call", sim_noiommu_refuses_every_call },
};
AUTOTEST(sim_noiommu_autotest, sim_noiommu_cases);
