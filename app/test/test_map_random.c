/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The map and its mirror against a page table that could not be simpler: an
 * array with an element a page. Random maps and unmaps go to both; after each
 * one, the answer, the regions and what the backends hold must agree: two strict
 * fakes, or the model of each kernel interface with a device that translates.
 *
 * WEIR_TEST_OPS sets the operations of each case (300000 at first, of which the
 * models do a fifth).
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "fake_iommu.h"
#include "test.h"
#include "weir_mirror.h"
#include "weir_sim.h"

#define PAGE WEIR_MAP_PAGE
#define NR_PAGES 96

/* A page of the model. */
struct page {
	uint32_t refs;
	uint32_t prot;
	uint32_t owner;
	uint64_t delta; /* hva - iova */
	uint64_t chunk;
	bool begins; /* a piece begins here */
};

struct model {
	struct page page[NR_PAGES + 1]; /* the last one is never mapped */
};

static bool
req_begins(const struct weir_region *r, uint64_t page)
{
	return r->chunk == 0 || (page * PAGE - r->iova.start) % r->chunk == 0;
}

/* Map pages [from, to). */
static int
model_map(struct model *m, const struct weir_region *r, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i < to; i++) {
		const struct page *p = &m->page[i], *q = &m->page[i + 1];
		bool cut = i + 1 == to || req_begins(r, i + 1);

		if (p->refs == 0)
			continue;
		if (p->delta != r->hva - r->iova.start || p->prot != r->prot ||
		    p->chunk != r->chunk || p->begins != req_begins(r, i))
			return -EEXIST;
		/* both must cut behind it, or neither */
		if (cut != (q->refs == 0 || q->begins))
			return -EEXIST;
	}
	for (uint64_t i = from; i < to; i++) {
		struct page *p = &m->page[i];

		if (p->refs++ == 0)
			*p = (struct page){ .refs = 1,
					    .prot = r->prot,
					    .owner = r->owner,
					    .delta = r->hva - r->iova.start,
					    .chunk = r->chunk,
					    .begins = req_begins(r, i) };
	}
	return 0;
}

static int
model_unmap(struct model *m, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i < to; i++)
		if (m->page[i].refs == 0)
			return -ENOENT;
	if (!m->page[from].begins || (m->page[to].refs != 0 && !m->page[to].begins))
		return -ENOTSUP;
	for (uint64_t i = from; i < to; i++)
		m->page[i].refs--;
	return 0;
}

/* A walk that compares regions with the model. */
struct compare {
	const struct model *m;
	uint64_t next;
	struct weir_region prev;
	size_t nr;
};

static int
compare_region(const struct weir_region *r, void *arg)
{
	struct compare *c = arg;
	uint64_t from = r->iova.start / PAGE, to = (r->iova.last + 1) / PAGE;

	for (; c->next < from; c->next++)
		if (c->m->page[c->next].refs != 0)
			return 1;
	for (; c->next < to; c->next++) {
		const struct page *p = &c->m->page[c->next];

		if (p->refs != r->refs || p->prot != r->prot || p->owner != r->owner ||
		    p->delta != r->hva - r->iova.start || p->chunk != r->chunk ||
		    p->begins != req_begins(r, c->next))
			return 2;
	}
	/* what could be one region is one */
	if (c->nr > 0 && weir_range_abuts(c->prev.iova, r->iova) &&
	    c->prev.hva - c->prev.iova.start == r->hva - r->iova.start &&
	    c->prev.prot == r->prot && c->prev.chunk == r->chunk &&
	    c->prev.owner == r->owner && c->prev.refs == r->refs &&
	    (r->chunk == 0 || weir_range_len(c->prev.iova) % r->chunk == 0))
		return 3;
	c->prev = *r;
	c->nr++;
	return 0;
}

static bool
model_agrees(const struct model *m, struct weir_mirror *mirror)
{
	struct compare c = { .m = m };
	int ret = weir_mirror_walk(mirror, compare_region, &c);

	for (; ret == 0 && c.next < NR_PAGES; c.next++)
		if (m->page[c.next].refs != 0)
			ret = 4;
	if (ret == 0 && c.nr != weir_mirror_regions(mirror))
		ret = 5;
	if (ret != 0)
		printf("    page %" PRIu64 ": difference %d\n", c.next, ret);
	return ret == 0;
}

/* What the mirror under test mirrors to. */
struct target {
	struct weir_mirror *mirror;
	bool splits;
	struct fake_iommu *fake; /* two of them, or NULL */
	struct weir_sim *sim;
	struct weir_sim_dev *dev;
	uint64_t hva[2]; /* memory that requests may name */
};

/* A request that meets what is mapped often enough to be counted or refused. */
static struct weir_region
random_request(const struct target *t, uint64_t *rnd)
{
	uint64_t from = test_rand(rnd) % NR_PAGES;
	uint64_t len = test_rand(rnd) % 12 + 1;
	uint64_t chunk = test_rand(rnd) % 4;
	uint64_t align = test_rand(rnd) % 4 + 1;
	struct weir_region r = { .prot = test_rand(rnd) % 16 ? 3 : 1 };

	from -= from % align;
	if (from + len > NR_PAGES)
		len = NR_PAGES - from;
	if (chunk == 0 && !t->splits)
		chunk = 2;
	r.iova.start = from * PAGE;
	r.iova.last = (from + len) * PAGE - 1;
	r.chunk = chunk * PAGE;
	r.hva = r.iova.start + t->hva[test_rand(rnd) % 16 == 0];
	r.owner = test_rand(rnd) % 32 == 0;
	return r;
}

/* A device gets to what is mapped, as it is mapped, and to nothing else. */
static enum test_result
sim_agrees(const struct target *t, const struct model *m)
{
	struct weir_map_totals totals = weir_map_totals(weir_mirror_table(t->mirror));

	weir_sim_enter(t->dev);
	for (uint64_t i = 0; i < NR_PAGES; i++) {
		const struct page *p = &m->page[i];
		uint64_t len = 1;
		void *at = weir_sim_translate(t->dev, i * PAGE, WEIR_PROT_READ, &len);

		TEST_EQ((uintptr_t)at, p->refs != 0 ? p->delta + i * PAGE : 0);
		len = 1;
		at = weir_sim_translate(t->dev, i * PAGE, WEIR_PROT_WRITE, &len);
		TEST_EQ(at != NULL, p->refs != 0 && (p->prot & WEIR_PROT_WRITE) != 0);
	}
	weir_sim_leave(t->dev);
	if (!t->splits)
		TEST_EQ(weir_sim_entries(t->sim), totals.pieces);
	return TEST_OK;
}

static enum test_result
random_step(const struct target *t, struct model *model, uint64_t *rnd, uint64_t *done)
{
	struct weir_region r = random_request(t, rnd);
	uint64_t from = r.iova.start / PAGE, to = (r.iova.last + 1) / PAGE;
	int want, ret;

	if (test_rand(rnd) % 2) {
		/* chunk 0 at what is there takes what is there */
		if (r.chunk == 0 && model->page[from].refs != 0)
			r.chunk = model->page[from].chunk;
		want = model_map(model, &r, from, to);
		ret = weir_mirror_map(t->mirror, &r);
	} else {
		want = model_unmap(model, from, to);
		ret = weir_mirror_unmap(t->mirror, r.iova);
	}
	TEST_EQ(ret, want);
	done[ret == 0]++;
	TEST_ASSERT(model_agrees(model, t->mirror));
	if (t->sim != NULL)
		return sim_agrees(t, model);
	for (int i = 0; i < 2; i++) {
		TEST_EQ(t->fake[i].nr_mistakes, 0);
		TEST_ASSERT(
			fake_iommu_follows(&t->fake[i], weir_mirror_table(t->mirror)));
	}
	return TEST_OK;
}

static enum test_result
run_random(struct target *t, uint64_t nr_ops)
{
	const char *env = getenv("WEIR_TEST_OPS");
	uint64_t rnd = test_seed(), done[2] = { 0, 0 };
	struct weir_mirror_stats stats;
	struct model model;

	memset(&model, 0, sizeof(model));
	if (env != NULL)
		nr_ops = strtoull(env, NULL, 0);
	for (uint64_t op = 0; op < nr_ops; op++)
		if (random_step(t, &model, &rnd, done) != TEST_OK) {
			printf("    operation %" PRIu64 "\n", op);
			return TEST_FAILED;
		}
	printf("    %" PRIu64 " done, %" PRIu64 " refused\n", done[1], done[0]);
	TEST_EQ(weir_mirror_broken(t->mirror), 0);
	weir_mirror_stats(t->mirror, &stats);
	TEST_EQ(stats.settled, 0);
	return TEST_OK;
}

static enum test_result
random_fakes(bool splits)
{
	static struct fake_iommu fake[2];
	struct target t = { .splits = splits,
			    .fake = fake,
			    .hva = { 0x10000000, 0x20000000 } };
	enum test_result ret;

	TEST_EQ(weir_mirror_create("random", &t.mirror), 0);
	for (int i = 0; i < 2; i++) {
		fake_iommu_init(&fake[i], "fake");
		fake[i].caps.splits = splits;
		TEST_EQ(weir_mirror_attach(t.mirror, &fake_iommu_ops, &fake[i]), 0);
	}
	ret = run_random(&t, 300000);
	weir_mirror_destroy(t.mirror);
	TEST_ASSERT(fake[0].closed && fake[1].closed);
	return ret;
}

static enum test_result
random_sim(enum weir_sim_flavour flavour)
{
	size_t len = NR_PAGES * PAGE;
	char *mem = mmap(NULL, 2 * len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct target t = { .hva = { (uintptr_t)mem, (uintptr_t)mem + len } };
	struct weir_sim_dev dev;
	struct weir_iommu_caps caps;
	enum test_result ret;

	TEST_ASSERT(mem != MAP_FAILED);
	TEST_EQ(weir_mirror_create("random", &t.mirror), 0);
	TEST_EQ(weir_sim_create(flavour, &t.sim), 0);
	TEST_EQ(weir_sim_ops.caps(t.sim, &caps), 0);
	t.splits = caps.splits;
	t.dev = &dev;
	TEST_EQ(weir_mirror_attach(t.mirror, &weir_sim_ops, t.sim), 0);
	weir_sim_attach(t.sim, &dev);
	ret = run_random(&t, 60000);
	weir_sim_detach(&dev);
	weir_mirror_destroy(t.mirror);
	munmap(mem, 2 * len);
	return ret;
}

static enum test_result
random_chunks_as_page_table(void)
{
	return random_fakes(false);
}

static enum test_result
random_splits_as_page_table(void)
{
	return random_fakes(true);
}

static enum test_result
random_type1_v1_as_page_table(void)
{
	return random_sim(WEIR_SIM_TYPE1_V1);
}

static enum test_result
random_type1_v2_as_page_table(void)
{
	return random_sim(WEIR_SIM_TYPE1_V2);
}

static enum test_result
random_iommufd_as_page_table(void)
{
	return random_sim(WEIR_SIM_IOMMUFD);
}

static enum test_result
random_compat_v1_as_page_table(void)
{
	return random_sim(WEIR_SIM_COMPAT_V1);
}

static enum test_result
random_compat_v2_as_page_table(void)
{
	return random_sim(WEIR_SIM_COMPAT_V2);
}

#define CASE(name)          \
	{                   \
#name, name \
	}

static const struct test_case map_random_cases[] = {
	CASE(random_chunks_as_page_table),    CASE(random_splits_as_page_table),
	CASE(random_type1_v1_as_page_table),  CASE(random_type1_v2_as_page_table),
	CASE(random_iommufd_as_page_table),   CASE(random_compat_v1_as_page_table),
	CASE(random_compat_v2_as_page_table),
};
AUTOTEST(map_random_autotest, map_random_cases);
