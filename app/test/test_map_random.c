/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The map and its mirror against a page table that could not be simpler
 * (map_model.h). Random maps and unmaps go to both; after each one, the answer, the
 * regions and what the backends hold must agree.
 *
 * Backends, of which each has cases of its own: two strict fakes; the model of each
 * kernel interface; the kernel's backends over a kernel that answers by that model;
 * and none, which is what a map has where there is no IOMMU. A device tells what the
 * IOMMU would let through, page by page.
 *
 * Of the random operations one in eight meets a failure: of an allocation or of a
 * backend's call, wherever that is. In the cases named fail_nth every operation is
 * begun again and again until each of its allocations and calls has failed once.
 * Either way, what failed has changed nothing.
 *
 * WEIR_TEST_OPS sets the operations of each random case (300000 at first over the
 * fakes, a third of that over the others), and not those of the others.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "fake_iommu.h"
#include "fake_vfio.h"
#include "map_model.h"
#include "test.h"
#include "weir_fail.h"
#include "weir_iommufd.h"
#include "weir_log.h"
#include "weir_mirror.h"
#include "weir_sim_spapr.h"
#include "weir_vfio.h"

#define PAGE WEIR_MAP_PAGE
#define OPS_FAKES 300000
#define OPS_SIM 100000
#define OPS_FAIL_NTH 500
#define NR_FAKES 2

/* Who follows the map. */
enum backend {
	FAKES, /* NR_FAKES of them */
	SIM,   /* the model itself */
	VFIO,  /* a container over it */
	IOMMUFD,
	NONE, /* an IOMMU that is none does not even attach */
};

struct flavour {
	enum backend backend;
	bool splits;		   /* FAKES */
	enum weir_sim_flavour sim; /* SIM */
	enum weir_vfio_iommu vfio; /* VFIO */
	unsigned int flags;
};

/* A mirror under test, and what it mirrors to. */
struct target {
	const struct flavour *flavour;
	struct weir_mirror *mirror;
	bool splits;
	struct fake_iommu *fake; /* NR_FAKES, or NULL */
	struct weir_sim *sim;	 /* or NULL */
	struct weir_sim_dev dev;
	char *mem;
	uint64_t hva[2]; /* memory that requests may name */

	struct map_model model;
	uint64_t rnd;
	uint64_t done, refused, failed; /* operations */
};

/* A request that meets what is mapped often enough to be counted or refused. */
static struct weir_region
random_request(struct target *t)
{
	uint64_t from = test_rand(&t->rnd) % MODEL_PAGES;
	uint64_t len = test_rand(&t->rnd) % 12 + 1;
	uint64_t chunk = test_rand(&t->rnd) % 4;
	uint64_t align = test_rand(&t->rnd) % 4 + 1;
	struct weir_region r = { .prot = test_rand(&t->rnd) % 16 ? 3 : 1 };

	from -= from % align;
	if (from + len > MODEL_PAGES)
		len = MODEL_PAGES - from;
	if (chunk == 0 && !t->splits)
		chunk = 2;
	r.iova.start = from * PAGE;
	r.iova.last = (from + len) * PAGE - 1;
	r.chunk = chunk * PAGE;
	r.hva = r.iova.start + t->hva[test_rand(&t->rnd) % 16 == 0];
	r.owner = test_rand(&t->rnd) % 32 == 0;
	return r;
}

/* A device gets to what is mapped, as it is mapped, and to nothing else. */
static enum test_result
sim_agrees(struct target *t)
{
	struct weir_map_totals totals = weir_map_totals(weir_mirror_table(t->mirror));
	bool follows = t->flavour->backend != NONE;

	weir_sim_enter(&t->dev);
	for (uint64_t i = 0; i < MODEL_PAGES; i++) {
		const struct model_page *p = &t->model.page[i];
		bool mapped = p->refs != 0 && follows;
		uint64_t len = 1;
		void *at = weir_sim_translate(&t->dev, i * PAGE, WEIR_PROT_READ, &len);

		TEST_EQ((uintptr_t)at, mapped ? p->delta + i * PAGE : 0);
		len = 1;
		at = weir_sim_translate(&t->dev, i * PAGE, WEIR_PROT_WRITE, &len);
		TEST_EQ(at != NULL, mapped && (p->prot & WEIR_PROT_WRITE) != 0);
	}
	weir_sim_leave(&t->dev);
	if (follows && !t->splits)
		TEST_EQ(weir_sim_entries(t->sim), totals.pieces);
	return TEST_OK;
}

static enum test_result
backends_agree(struct target *t)
{
	if (t->sim != NULL)
		return sim_agrees(t);
	for (int i = 0; i < NR_FAKES; i++) {
		TEST_EQ(t->fake[i].nr_mistakes, 0);
		TEST_ASSERT(
			fake_iommu_follows(&t->fake[i], weir_mirror_table(t->mirror)));
	}
	return TEST_OK;
}

/* Do the same to mirror and model. @return what the mirror answered. */
static int
both_do(struct target *t, int *want)
{
	struct weir_region r = random_request(t), there;

	if (test_rand(&t->rnd) % 2 == 0) {
		/* half of the time what is there, all of it */
		if (test_rand(&t->rnd) % 2 == 0 &&
		    weir_mirror_lookup(t->mirror, r.iova.start, &there) == 0)
			r.iova = there.iova;
		*want = map_model_unmap(&t->model, r.iova);
		return weir_mirror_unmap(t->mirror, r.iova);
	}
	/* chunk 0 at what is there takes what is there */
	if (r.chunk == 0 && t->model.page[r.iova.start / PAGE].refs != 0)
		r.chunk = t->model.page[r.iova.start / PAGE].chunk;
	*want = map_model_map(&t->model, &r);
	return weir_mirror_map(t->mirror, &r);
}

/*
 * One operation, of which the nth thing that can fail does; 0: none.
 *
 * @param failed  Whether that was so, and the operation failed of it.
 */
static enum test_result
random_step(struct target *t, unsigned int nth, bool *failed)
{
	struct map_model before = t->model;
	int want, ret;

	weir_fail_arm(nth);
	ret = both_do(t, &want);
	*failed = nth != 0 && !weir_fail_armed() && ret != want;
	weir_fail_arm(0);
	if (*failed) {
		TEST_ASSERT(ret == -ENOMEM || ret == -EIO);
		t->model = before;
		t->failed++;
	} else {
		TEST_EQ(ret, want);
		t->done += ret == 0;
		t->refused += ret != 0;
	}
	TEST_ASSERT(map_model_agrees(&t->model, t->mirror));
	return backends_agree(t);
}

static enum test_result
target_healthy(struct target *t)
{
	struct weir_mirror_stats stats;

	printf("    %" PRIu64 " done, %" PRIu64 " refused, %" PRIu64 " made to fail\n",
	       t->done, t->refused, t->failed);
	TEST_EQ(weir_mirror_broken(t->mirror), 0);
	weir_mirror_stats(t->mirror, &stats);
	TEST_EQ(stats.settled, 0);
	return TEST_OK;
}

static enum test_result
random_steps(struct target *t)
{
	const char *env = getenv("WEIR_TEST_OPS");
	uint64_t nr_ops = t->sim != NULL ? OPS_SIM : OPS_FAKES;
	bool failed;

	if (env != NULL)
		nr_ops = strtoull(env, NULL, 0);
	for (uint64_t op = 0; op < nr_ops; op++) {
		unsigned int nth = 0;

		if (test_rand(&t->rnd) % 8 == 0)
			nth = (unsigned int)(1 + test_rand(&t->rnd) % 24);
		if (random_step(t, nth, &failed) != TEST_OK) {
			printf("    operation %" PRIu64 "\n", op);
			return TEST_FAILED;
		}
	}
	return target_healthy(t);
}

static enum test_result
fail_nth_steps(struct target *t)
{
	for (uint64_t op = 0; op < OPS_FAIL_NTH; op++) {
		uint64_t same = t->rnd;
		unsigned int nth = 0;
		bool failed;

		do {
			t->rnd = same;
			if (random_step(t, ++nth, &failed) != TEST_OK) {
				printf("    operation %" PRIu64 ", failure %u\n", op,
				       nth);
				return TEST_FAILED;
			}
		} while (failed);
	}
	TEST_ASSERT(t->failed > t->done / 2);
	return target_healthy(t);
}

static int
fakes_attach(struct target *t)
{
	static struct fake_iommu fake[NR_FAKES];
	int ret = 0;

	t->fake = fake;
	t->splits = t->flavour->splits;
	for (int i = 0; i < NR_FAKES && ret == 0; i++) {
		fake_iommu_init(&fake[i], "fake");
		fake[i].caps.splits = t->splits;
		ret = weir_mirror_attach(t->mirror, &fake_iommu_ops, &fake[i]);
	}
	return ret;
}

static int
sim_open(struct target *t, const struct weir_iommu_ops **ops, void **ctx)
{
	int ret = weir_sim_create(t->flavour->sim, &t->sim);

	if (ret == 0 && t->flavour->sim == WEIR_SIM_SPAPR)
		ret = weir_sim_register(t->sim, t->hva[0], 2 * MODEL_PAGES * PAGE);
	*ops = &weir_sim_ops;
	*ctx = t->sim;
	return ret;
}

static int
vfio_open_fake(struct target *t, const struct weir_iommu_ops **ops, void **ctx)
{
	struct weir_vfio *v;
	int ret = weir_vfio_create(fake_vfio_name(FAKE_DEV0), t->flavour->vfio,
				   t->flavour->flags, &v);

	if (ret != 0)
		return ret;
	t->sim = fake_vfio_sim(weir_vfio_fd(v));
	*ops = weir_vfio_ops(v);
	*ctx = v;
	return 0;
}

static int
iommufd_open_fake(struct target *t, const struct weir_iommu_ops **ops, void **ctx)
{
	struct weir_iommufd *f;
	int ret = weir_iommufd_create(&f);

	if (ret == 0)
		ret = weir_iommufd_attach(f, fake_vfio_name(FAKE_DEV0), NULL);
	if (ret != 0)
		return ret;
	t->sim = fake_vfio_sim(weir_iommufd_fd(f));
	*ops = &weir_iommufd_ops;
	*ctx = f;
	return 0;
}

/* Open the one backend of a target that has a device. */
static int
backend_open(struct target *t, const struct weir_iommu_ops **ops, void **ctx)
{
	switch (t->flavour->backend) {
	case VFIO:
		return vfio_open_fake(t, ops, ctx);
	case IOMMUFD:
		return iommufd_open_fake(t, ops, ctx);
	default:
		return sim_open(t, ops, ctx);
	}
}

static enum test_result
backend_attach(struct target *t)
{
	const struct weir_iommu_ops *ops = NULL;
	struct weir_iommu_caps caps;
	void *ctx = NULL;

	TEST_EQ(backend_open(t, &ops, &ctx), 0);
	weir_sim_attach(t->sim, &t->dev);
	if (t->flavour->backend == NONE) {
		TEST_EQ(weir_mirror_attach(t->mirror, ops, ctx), -ENOTTY);
		return TEST_OK;
	}
	TEST_EQ(ops->caps(ctx, &caps), 0);
	t->splits = caps.splits;
	TEST_EQ(weir_mirror_attach(t->mirror, ops, ctx), 0);
	return TEST_OK;
}

static enum test_result
target_run(struct target *t, enum test_result (*steps)(struct target *t))
{
	enum test_result res = TEST_OK;

	TEST_EQ(weir_mirror_create("random", &t->mirror), 0);
	if (t->flavour->backend == FAKES)
		TEST_EQ(fakes_attach(t), 0);
	else
		res = backend_attach(t);
	if (res == TEST_OK)
		res = steps(t);
	if (t->sim != NULL)
		weir_sim_detach(&t->dev);
	weir_mirror_destroy(t->mirror);
	if (t->flavour->backend == NONE)
		weir_sim_destroy(t->sim);
	for (int i = 0; t->fake != NULL && i < NR_FAKES; i++)
		TEST_ASSERT(t->fake[i].closed);
	return res;
}

/* Failures by the hundred are what is wanted. */
static void
drop_log(enum weir_log_level level, const char *msg)
{
	(void)level;
	(void)msg;
}

static enum test_result
with_target(const struct flavour *f, enum test_result (*steps)(struct target *t))
{
	static struct target t;
	size_t len = MODEL_PAGES * PAGE;
	bool kernel = f->backend == VFIO || f->backend == IOMMUFD;
	struct fake_vfio_config config = { .spapr = f->vfio == WEIR_VFIO_SPAPR };
	enum test_result res;

	t = (struct target){ .flavour = f, .rnd = test_seed() };
	t.mem = mmap(NULL, 2 * len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		     -1, 0);
	TEST_ASSERT(t.mem != MAP_FAILED);
	t.hva[0] = (uint64_t)(uintptr_t)t.mem;
	t.hva[1] = t.hva[0] + len;
	if (kernel)
		TEST_ASSERT(fake_vfio_begin(&config));
	weir_log_set_sink(drop_log);
	res = target_run(&t, steps);
	weir_log_set_sink(NULL);
	if (kernel)
		TEST_EQ(fake_vfio_end(), 0);
	munmap(t.mem, 2 * len);
	return res;
}

/* Two cases of a flavour, and then a table's rows of them. */
#define FLAVOUR(nm, ...)                                           \
	static const struct flavour nm##_flavour = __VA_ARGS__;    \
	static enum test_result random_##nm(void)                  \
	{                                                          \
		return with_target(&nm##_flavour, random_steps);   \
	}                                                          \
	static enum test_result fail_nth_##nm(void)                \
	{                                                          \
		return with_target(&nm##_flavour, fail_nth_steps); \
	}

#define ROWS(nm)                                            \
	{ "random_" #nm "_as_page_table", random_##nm },    \
	{                                                   \
		"fail_nth_" #nm "_is_undone", fail_nth_##nm \
	}

FLAVOUR(chunks, { .backend = FAKES })
FLAVOUR(splits, { .backend = FAKES, .splits = true })
FLAVOUR(type1_v1, { .backend = SIM, .sim = WEIR_SIM_TYPE1_V1 })
FLAVOUR(type1_v2, { .backend = SIM, .sim = WEIR_SIM_TYPE1_V2 })
FLAVOUR(iommufd, { .backend = SIM, .sim = WEIR_SIM_IOMMUFD })
FLAVOUR(compat_v1, { .backend = SIM, .sim = WEIR_SIM_COMPAT_V1 })
FLAVOUR(compat_v2, { .backend = SIM, .sim = WEIR_SIM_COMPAT_V2 })
FLAVOUR(spapr, { .backend = SIM, .sim = WEIR_SIM_SPAPR })
FLAVOUR(noiommu, { .backend = NONE, .sim = WEIR_SIM_NOIOMMU })
FLAVOUR(vfio_type1_v1, { .backend = VFIO, .vfio = WEIR_VFIO_TYPE1_V1 })
FLAVOUR(vfio_type1_v2, { .backend = VFIO, .vfio = WEIR_VFIO_TYPE1_V2 })
FLAVOUR(vfio_compat_v1,
	{ .backend = VFIO, .vfio = WEIR_VFIO_TYPE1_V1, .flags = WEIR_VFIO_COMPAT })
FLAVOUR(vfio_compat_v2,
	{ .backend = VFIO, .vfio = WEIR_VFIO_TYPE1, .flags = WEIR_VFIO_COMPAT })
FLAVOUR(vfio_spapr, { .backend = VFIO, .vfio = WEIR_VFIO_SPAPR })
FLAVOUR(vfio_iommufd, { .backend = IOMMUFD })

static const struct test_case map_random_cases[] = {
	ROWS(chunks),	      ROWS(splits),	   ROWS(type1_v1),
	ROWS(type1_v2),	      ROWS(iommufd),	   ROWS(compat_v1),
	ROWS(compat_v2),      ROWS(spapr),	   ROWS(noiommu),
	ROWS(vfio_type1_v1),  ROWS(vfio_type1_v2), ROWS(vfio_compat_v1),
	ROWS(vfio_compat_v2), ROWS(vfio_spapr),	   ROWS(vfio_iommufd),
};
AUTOTEST(map_random_autotest, map_random_cases);
