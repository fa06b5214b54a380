/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading a map while it changes, after the kernel's tests for tearing in
 * /proc/pid/maps: one thread splits, resizes or remaps regions as fast as it
 * can, others walk, query, look up and hold. Each region that a reader sees must
 * be one that existed, and each gap one that was there.
 *
 * WEIR_TEST_OPS sets the changes a case makes (100000 at first).
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "fake_iommu.h"
#include "test.h"
#include "weir_mirror.h"

#define PAGE WEIR_MAP_PAGE
#define HVA UINT64_C(0x700000000000)
#define OTHER_HVA UINT64_C(0x600000000000)
#define NR_READERS 2
#define NR_PAGES 64

/* A region in pages: those of [from, to), at HVA + iova unless it is moved. */
struct line {
	unsigned int from, to;
	uint32_t refs;
	bool moved;
};

/* One way to change the map, and what readers may see meanwhile. */
struct scene {
	struct line begin[4]; /* mapped before the readers start; to 0: the end */
	void (*change)(const struct scene *s, struct weir_mirror *m);
	struct line seen[8];	       /* every region there is at any time */
	unsigned int from, to;	       /* pages that are mapped all the time */
	unsigned int gap_from, gap_to; /* of them, those that are not always */
};

struct run {
	const struct scene *scene;
	struct weir_mirror *m;
	_Atomic bool stop;
	_Atomic uint64_t nr_walks;
	_Atomic unsigned int nr_errors;
	/* what is behind a page: set while it is mapped, cleared when it is not */
	uint32_t cell[NR_PAGES];
};

static struct weir_region
line_region(struct line l)
{
	struct weir_region r = { .prot = WEIR_PROT_READ | WEIR_PROT_WRITE };

	r.iova.start = l.from * PAGE;
	r.iova.last = l.to * PAGE - 1;
	r.hva = (l.moved ? OTHER_HVA : HVA) + r.iova.start;
	r.chunk = PAGE;
	return r;
}

static bool
line_is(struct line l, const struct weir_region *r)
{
	struct weir_region want = line_region(l);

	return r->iova.start == want.iova.start && r->iova.last == want.iova.last &&
	       r->hva == want.hva && r->refs == l.refs && r->chunk == want.chunk &&
	       r->prot == want.prot;
}

static void
complain(struct run *run, const char *what, const struct weir_region *r)
{
	char buf[WEIR_REGION_PRINT_LEN];

	weir_region_print(buf, sizeof(buf), r);
	if (atomic_fetch_add(&run->nr_errors, 1) < 5)
		printf("    %s: %s\n", what, buf);
}

static void
check_seen(struct run *run, const struct weir_region *r)
{
	const struct scene *s = run->scene;

	for (const struct line *l = s->seen; l->to != 0; l++)
		if (line_is(*l, r))
			return;
	complain(run, "never was", r);
}

/* A gap [from, to) before @r must be no more than the scene has. */
static void
check_gap(struct run *run, uint64_t from, uint64_t to, const struct weir_region *r)
{
	const struct scene *s = run->scene;

	for (uint64_t i = from; i < to; i++)
		if (i >= s->from && i < s->to && !(i >= s->gap_from && i < s->gap_to)) {
			complain(run, "no gap before", r);
			return;
		}
}

struct walk {
	struct run *run;
	uint64_t next; /* page */
};

static int
walk_region(const struct weir_region *r, void *arg)
{
	struct walk *w = arg;

	check_seen(w->run, r);
	check_gap(w->run, w->next, r->iova.start / PAGE, r);
	w->next = (r->iova.last + 1) / PAGE;
	return 0;
}

static void
read_walk(struct run *run)
{
	static const struct weir_region end = {
		{ NR_PAGES * PAGE, NR_PAGES * PAGE }, 0, 0, 0, 0, 0
	};
	struct walk w = { .run = run };

	weir_mirror_walk(run->m, walk_region, &w);
	check_gap(run, w.next, NR_PAGES, &end);
}

static void
read_one(struct run *run, uint64_t at, uint64_t *rnd, struct weir_map_hint *hint)
{
	struct weir_map *map = weir_mirror_table(run->m);
	struct weir_map_query q = { .iova = at * PAGE, .next = test_rand(rnd) % 2 };
	struct weir_region r;

	if (weir_map_query(map, &q, &r) == 0) {
		check_seen(run, &r);
		check_gap(run, at, r.iova.start / PAGE, &r);
	}
	if (weir_map_lookup(map, at * PAGE, hint) == 0) {
		check_seen(run, &hint->region);
		if (!weir_range_has(hint->region.iova, at * PAGE))
			complain(run, "does not cover what was asked", &hint->region);
	} else {
		r = line_region((struct line){ (unsigned int)at, NR_PAGES, 0, false });
		check_gap(run, at, at + 1, &r);
	}
}

/* What is behind a region that is held stays there: the writer waits. */
static void
read_held(struct run *run, uint64_t at)
{
	struct weir_map_held h;

	if (weir_map_hold(weir_mirror_table(run->m), at * PAGE, &h) != 0)
		return;
	check_seen(run, &h.region);
	check_gap(run, at, h.region.iova.start / PAGE, &h.region);
	for (uint64_t i = h.region.iova.start / PAGE; i <= h.region.iova.last / PAGE; i++)
		if (run->cell[i] == 0)
			complain(run, "gone while it was held", &h.region);
	weir_map_release(&h);
}

static void *
reader(void *arg)
{
	struct run *run = arg;
	struct weir_map_hint hint = { .map = NULL };
	uint64_t rnd = test_seed() ^ (uintptr_t)&hint;

	while (!atomic_load(&run->stop)) {
		read_walk(run);
		for (int i = 0; i < 8; i++) {
			read_one(run, test_rand(&rnd) % NR_PAGES, &rnd, &hint);
			read_held(run, test_rand(&rnd) % NR_PAGES);
		}
		atomic_fetch_add(&run->nr_walks, 1);
	}
	return NULL;
}

static struct run *current; /* the writer's */

static void
scene_map(struct weir_mirror *m, struct line l)
{
	struct weir_region r = line_region(l);

	for (unsigned int i = l.from; i < l.to; i++)
		if (l.refs == 1)
			current->cell[i] = 1;
	if (weir_mirror_map(m, &r) != 0)
		complain(current, "not mapped", &r);
}

static void
scene_unmap(struct weir_mirror *m, struct line l)
{
	struct weir_region r = line_region(l);

	if (weir_mirror_unmap(m, r.iova) != 0)
		complain(current, "not unmapped", &r);
	for (unsigned int i = l.from; i < l.to; i++)
		if (l.refs == 1)
			current->cell[i] = 0;
}

static uint64_t
nr_changes(void)
{
	const char *env = getenv("WEIR_TEST_OPS");

	return env != NULL ? strtoull(env, NULL, 0) : 100000;
}

static enum test_result
run_scene(const struct scene *s)
{
	static struct run run;
	pthread_t thread[NR_READERS];

	memset(&run, 0, sizeof(run));
	run.scene = s;
	(void)test_seed(); /* its first call is not for two threads at once */
	TEST_EQ(weir_mirror_create("scene", &run.m), 0);
	current = &run;
	for (const struct line *l = s->begin; l->to != 0; l++)
		scene_map(run.m, *l);
	for (int i = 0; i < NR_READERS; i++)
		TEST_EQ(pthread_create(&thread[i], NULL, reader, &run), 0);
	for (uint64_t i = nr_changes(); i > 0 || atomic_load(&run.nr_walks) < 100;
	     i -= i > 0)
		s->change(s, run.m);
	atomic_store(&run.stop, true);
	for (int i = 0; i < NR_READERS; i++)
		pthread_join(thread[i], NULL);
	printf("    %" PRIu64 " walks\n", atomic_load(&run.nr_walks));
	TEST_EQ(atomic_load(&run.nr_errors), 0);
	weir_mirror_destroy(run.m);
	return TEST_OK;
}

/* Count the middle twice: three regions where there was one, and never a gap. */
static void
change_split(const struct scene *s, struct weir_mirror *m)
{
	struct line middle = { 24, 40, 2, false };

	(void)s;
	scene_map(m, middle);
	scene_unmap(m, middle);
}

static enum test_result
walk_while_split_sees_what_was(void)
{
	static const struct scene s = {
		.begin = { { 8, 56, 1, false } },
		.change = change_split,
		.seen = { { 8, 56, 1, false },
			  { 8, 24, 1, false },
			  { 24, 40, 2, false },
			  { 40, 56, 1, false } },
		.from = 8,
		.to = 56,
	};

	return run_scene(&s);
}

/* The border between two regions wanders: counts move from one to the other. */
static void
change_resize(const struct scene *s, struct weir_mirror *m)
{
	(void)s;
	scene_map(m, (struct line){ 32, 40, 2, false });
	scene_map(m, (struct line){ 40, 48, 2, false });
	scene_unmap(m, (struct line){ 40, 48, 2, false });
	scene_unmap(m, (struct line){ 32, 40, 2, false });
	scene_unmap(m, (struct line){ 48, 56, 1, false });
	scene_map(m, (struct line){ 48, 56, 1, false });
}

static enum test_result
walk_while_resized_sees_what_was(void)
{
	static const struct scene s = {
		.begin = { { 8, 56, 1, false }, { 8, 32, 2, false } },
		.change = change_resize,
		.seen = { { 8, 32, 2, false },
			  { 32, 56, 1, false },
			  { 8, 40, 2, false },
			  { 40, 56, 1, false },
			  { 8, 48, 2, false },
			  { 48, 56, 1, false },
			  { 32, 48, 1, false } },
		.from = 8,
		.to = 56,
		.gap_from = 48,
		.gap_to = 56,
	};

	return run_scene(&s);
}

/* The middle goes and comes back somewhere else, with nothing in between. */
static void
change_remap(const struct scene *s, struct weir_mirror *m)
{
	(void)s;
	scene_unmap(m, (struct line){ 24, 40, 1, false });
	scene_map(m, (struct line){ 24, 40, 1, true });
	scene_unmap(m, (struct line){ 24, 40, 1, true });
	scene_map(m, (struct line){ 24, 40, 1, false });
}

static enum test_result
walk_while_remapped_sees_what_was(void)
{
	static const struct scene s = {
		.begin = { { 8, 56, 1, false } },
		.change = change_remap,
		.seen = { { 8, 56, 1, false },
			  { 8, 24, 1, false },
			  { 40, 56, 1, false },
			  { 24, 40, 1, true } },
		.from = 8,
		.to = 56,
		.gap_from = 24,
		.gap_to = 40,
	};

	return run_scene(&s);
}

/* Thousands of regions with gaps between them, so that the tree grows and shrinks. */
enum { GROW_NR = 3000, GROW_STAYS = 50 };

static struct weir_region
grow_region(uint64_t i)
{
	unsigned int from = (unsigned int)i * 2;

	return line_region((struct line){ from, from + 1, 1, false });
}

struct grow {
	struct weir_mirror *m;
	_Atomic bool stop;
	_Atomic unsigned int nr_errors;
	_Atomic unsigned int nr_walks;
};

struct grow_walk {
	struct grow *g;
	uint64_t stays; /* the next of those that are always there */
};

static int
grow_see(const struct weir_region *r, void *arg)
{
	struct grow_walk *w = arg;
	struct line l = { .from = (unsigned int)(r->iova.start / PAGE), .refs = 1 };

	l.to = l.from + 1;
	if (!line_is(l, r) || r->iova.start > w->stays * 2 * PAGE)
		atomic_fetch_add(&w->g->nr_errors, 1);
	if (r->iova.start == w->stays * 2 * PAGE)
		w->stays += GROW_STAYS;
	return 0;
}

static void *
grow_reader(void *arg)
{
	struct grow *g = arg;

	while (!atomic_load(&g->stop)) {
		struct grow_walk w = { .g = g };

		weir_mirror_walk(g->m, grow_see, &w);
		if (w.stays < GROW_NR)
			atomic_fetch_add(&g->nr_errors, 1);
		atomic_fetch_add(&g->nr_walks, 1);
	}
	return NULL;
}

/* All that do not stay, in another order each time. @return what went wrong. */
static unsigned int
grow_round(struct grow *g, uint64_t step, bool map)
{
	unsigned int nr_errors = 0;

	for (uint64_t n = 0, i = 0; n < GROW_NR; n++, i = (i + step) % GROW_NR) {
		struct weir_region r = grow_region(i);

		if (i % GROW_STAYS != 0)
			nr_errors += (map ? weir_mirror_map(g->m, &r)
					  : weir_mirror_unmap(g->m, r.iova)) != 0;
	}
	return nr_errors;
}

static enum test_result
walk_while_tree_grows_sees_all_that_stays(void)
{
	/* in order, backwards, and jumping; none divides the number of regions */
	static const uint64_t step[] = { 1, GROW_NR - 1, 1009 };
	struct grow g = { .stop = false };
	pthread_t thread;

	TEST_EQ(weir_mirror_create("grow", &g.m), 0);
	for (uint64_t i = 0; i < GROW_NR; i += GROW_STAYS) {
		struct weir_region r = grow_region(i);

		TEST_EQ(weir_mirror_map(g.m, &r), 0);
	}
	TEST_EQ(pthread_create(&thread, NULL, grow_reader, &g), 0);
	for (unsigned int i = 0; i < 9 || atomic_load(&g.nr_walks) < 5; i++) {
		TEST_EQ(grow_round(&g, step[i % 3], true), 0);
		TEST_EQ(weir_mirror_regions(g.m), GROW_NR);
		TEST_EQ(grow_round(&g, step[i / 3 % 3], false), 0);
		TEST_EQ(weir_mirror_regions(g.m), GROW_NR / GROW_STAYS);
	}
	atomic_store(&g.stop, true);
	pthread_join(thread, NULL);
	TEST_EQ(atomic_load(&g.nr_errors), 0);
	weir_mirror_destroy(g.m);
	return TEST_OK;
}

/* Whoever holds a region delays neither readers nor other changes. */
static enum test_result
hold_delays_only_who_takes_it(void)
{
	struct weir_mirror *m;
	struct weir_map_held h;
	struct weir_region r = line_region((struct line){ 8, 16, 1, false });
	struct weir_region other = line_region((struct line){ 32, 40, 1, false });
	struct weir_range iova = other.iova;

	TEST_EQ(weir_mirror_create("hold", &m), 0);
	TEST_EQ(weir_map_hold(weir_mirror_table(m), 0, &h), -ENOENT);
	TEST_EQ(weir_mirror_map(m, &r), 0);
	TEST_EQ(weir_map_hold(weir_mirror_table(m), 0, &h), 0);
	TEST_EQ(h.region.iova.start, r.iova.start);
	TEST_EQ(weir_mirror_map(m, &other), 0);
	TEST_EQ(weir_mirror_unmap(m, iova), 0);
	TEST_EQ(weir_mirror_lookup(m, 0, &other), 0);
	weir_map_release(&h);
	TEST_EQ(weir_mirror_unmap(m, r.iova), 0);
	weir_mirror_destroy(m);
	return TEST_OK;
}

struct unmapper {
	struct weir_mirror *m;
	struct weir_range iova;
	_Atomic bool done;
};

static void *
unmapper(void *arg)
{
	struct unmapper *u = arg;

	if (weir_mirror_unmap(u->m, u->iova) == 0)
		atomic_store(&u->done, true);
	return NULL;
}

static enum test_result
hold_keeps_region_until_release(void)
{
	struct weir_region r = line_region((struct line){ 8, 16, 1, false });
	struct unmapper u = { .iova = r.iova };
	struct weir_map_held h;
	struct weir_region seen;
	pthread_t thread;

	TEST_EQ(weir_mirror_create("hold", &u.m), 0);
	TEST_EQ(weir_mirror_map(u.m, &r), 0);
	TEST_EQ(weir_map_hold(weir_mirror_table(u.m), 0, &h), 0);
	TEST_EQ(pthread_create(&thread, NULL, unmapper, &u), 0);
	/* it is published, so others do not see it, and then it is waited for */
	while (weir_mirror_lookup(u.m, 0, &seen) == 0)
		;
	for (int i = 0; i < 1000; i++)
		TEST_ASSERT(!atomic_load(&u.done));
	weir_map_release(&h);
	pthread_join(thread, NULL);
	TEST_ASSERT(atomic_load(&u.done));
	weir_mirror_destroy(u.m);
	return TEST_OK;
}

static enum test_result
hold_too_many_refused(void)
{
	enum { MAX = 48 };
	struct weir_map_held h[MAX + 1];
	struct weir_region r = line_region((struct line){ 8, 16, 1, false });
	struct weir_mirror *m;
	struct weir_map_hint hint = { .map = NULL };

	TEST_EQ(weir_mirror_create("hold", &m), 0);
	TEST_EQ(weir_mirror_map(m, &r), 0);
	for (int i = 0; i < MAX; i++)
		TEST_EQ(weir_map_hold(weir_mirror_table(m), 0, &h[i]), 0);
	TEST_EQ(weir_map_hold(weir_mirror_table(m), 0, &h[MAX]), -EBUSY);
	TEST_EQ(weir_map_lookup(weir_mirror_table(m), 8 * PAGE, &hint), 0);
	for (int i = 0; i < MAX; i++)
		weir_map_release(&h[i]);
	TEST_EQ(weir_map_hold(weir_mirror_table(m), 0, &h[0]), 0);
	weir_map_release(&h[0]);
	weir_mirror_destroy(m);
	return TEST_OK;
}

static enum test_result
query_filters_as_asked(void)
{
	struct weir_mirror *m;
	struct weir_map *map;
	struct weir_region r = { .prot = WEIR_PROT_READ, .owner = 1, .chunk = PAGE };
	struct weir_map_query q = { .iova = 0 };

	TEST_EQ(weir_mirror_create("query", &m), 0);
	map = weir_mirror_table(m);
	TEST_EQ(weir_map_query(map, &q, &r), -ENOENT);
	for (uint64_t i = 1; i <= 4; i++) {
		TEST_EQ(weir_range_make(&r.iova, i * 2 * PAGE, PAGE), 0);
		r.hva = i * 16 * PAGE;
		r.prot = i == 3 ? 3 : i == 4 ? 2 : 1;
		r.owner = (uint32_t)i;
		TEST_EQ(weir_mirror_map(m, &r), 0);
	}
	TEST_EQ(weir_map_query(map, &q, &r), -ENOENT);
	q.next = true;
	TEST_EQ(weir_map_query(map, &q, &r), 0);
	TEST_EQ(r.iova.start, 2 * PAGE);
	TEST_EQ(r.refs, 1);
	q.prot = WEIR_PROT_WRITE;
	TEST_EQ(weir_map_query(map, &q, &r), 0);
	TEST_EQ(r.iova.start, 6 * PAGE);
	q.by_owner = true;
	q.owner = 4;
	TEST_EQ(weir_map_query(map, &q, &r), 0);
	TEST_EQ(r.iova.start, 8 * PAGE);
	q.owner = 2;
	TEST_EQ(weir_map_query(map, &q, &r), -ENOENT);
	q = (struct weir_map_query){ .iova = 6 * PAGE + 1 };
	TEST_EQ(weir_map_query(map, &q, &r), 0);
	TEST_EQ(r.owner, 3);
	q.iova = 9 * PAGE;
	q.next = true;
	TEST_EQ(weir_map_query(map, &q, &r), -ENOENT);
	weir_mirror_destroy(m);
	return TEST_OK;
}

/* A backend that looks whether the map says too early, or too long, that it follows. */
struct watcher {
	struct weir_map *map;
	bool joins_or_leaves;
	unsigned int nr_calls, nr_early;
};

static void
watch(struct watcher *w)
{
	w->nr_calls++;
	if (w->joins_or_leaves && (weir_map_backends(w->map) & WEIR_BACKEND_TYPE1) != 0)
		w->nr_early++;
}

static int
watcher_caps(void *ctx, struct weir_iommu_caps *caps)
{
	watch(ctx);
	*caps = (struct weir_iommu_caps){
		.name = "watcher",
		.kind = WEIR_BACKEND_TYPE1,
		.page_sizes = PAGE,
		.max_entries = UINT64_MAX,
		.max_locked = UINT64_MAX,
	};
	return 0;
}

static int
watcher_map(void *ctx, uint64_t iova, uint64_t hva, uint64_t len, uint32_t prot)
{
	(void)iova;
	(void)hva;
	(void)len;
	(void)prot;
	watch(ctx);
	return 0;
}

static int
watcher_unmap(void *ctx, uint64_t iova, uint64_t len, uint64_t *unmapped)
{
	(void)iova;
	watch(ctx);
	*unmapped = len;
	return 0;
}

static void
watcher_close(void *ctx)
{
	(void)ctx;
}

static const struct weir_iommu_ops watcher_ops = {
	.caps = watcher_caps,
	.map = watcher_map,
	.unmap = watcher_unmap,
	.close = watcher_close,
};

/* Which kinds of backends the region at 8 is said to be in. */
static uint32_t
backends_of_8(struct weir_map *map)
{
	static const uint32_t kinds[] = { WEIR_BACKEND_MODEL, WEIR_BACKEND_TYPE1,
					  WEIR_BACKEND_OTHER };
	uint32_t in = 0;

	for (unsigned int i = 0; i < 3; i++) {
		struct weir_map_query q = { .next = true, .backends = kinds[i] };
		struct weir_region r;

		if (weir_map_query(map, &q, &r) == 0 && r.iova.start == 8 * PAGE)
			in |= kinds[i];
	}
	return in;
}

static enum test_result
query_by_backend_of_who_follows(void)
{
	static struct fake_iommu fake;
	struct weir_region r = line_region((struct line){ 8, 16, 1, false });
	struct weir_map_query both = { .next = true };
	struct watcher w = { .joins_or_leaves = true };
	struct weir_mirror *m;

	fake_iommu_init(&fake, "fake");
	TEST_EQ(weir_mirror_create("backends", &m), 0);
	w.map = weir_mirror_table(m);
	TEST_EQ(weir_mirror_map(m, &r), 0);
	TEST_EQ(backends_of_8(w.map), 0);
	TEST_EQ(weir_mirror_attach(m, &watcher_ops, &w), 0);
	w.joins_or_leaves = false;
	TEST_EQ(backends_of_8(w.map), WEIR_BACKEND_TYPE1);
	TEST_EQ(weir_mirror_attach(m, &fake_iommu_ops, &fake), 0);
	TEST_EQ(backends_of_8(w.map), WEIR_BACKEND_TYPE1 | WEIR_BACKEND_OTHER);
	both.backends = WEIR_BACKEND_TYPE1 | WEIR_BACKEND_OTHER;
	TEST_EQ(weir_map_query(w.map, &both, &r), 0);
	both.backends |= WEIR_BACKEND_IOMMUFD;
	TEST_EQ(weir_map_query(w.map, &both, &r), -ENOENT);
	/* one that cannot be brought back holds nothing that could be told */
	fake.lie_at = 1;
	fake.lie = FAKE_TORN;
	fake.fail_err = -EIO;
	TEST_EQ(weir_mirror_unmap(m, r.iova), -EIO);
	TEST_EQ(weir_mirror_broken(m), 1);
	TEST_EQ(backends_of_8(w.map), WEIR_BACKEND_TYPE1);
	TEST_EQ(weir_mirror_detach(m, &fake), 0);
	w.joins_or_leaves = true;
	TEST_EQ(weir_mirror_detach(m, &w), 0);
	TEST_EQ(backends_of_8(w.map), 0);
	TEST_ASSERT(w.nr_calls > 2);
	TEST_EQ(w.nr_early, 0);
	weir_mirror_destroy(m);
	return TEST_OK;
}

static enum test_result
lookup_hint_does_not_outlive_a_change(void)
{
	struct weir_region r = line_region((struct line){ 8, 16, 1, false });
	struct weir_mirror *m;
	struct weir_map *map;
	struct weir_map_hint h = { .map = NULL };

	TEST_EQ(weir_mirror_create("hint", &m), 0);
	map = weir_mirror_table(m);
	TEST_EQ(weir_map_lookup(map, 8 * PAGE, &h), -ENOENT);
	TEST_EQ(weir_mirror_map(m, &r), 0);
	TEST_EQ(weir_map_lookup(map, 8 * PAGE, &h), 0);
	TEST_EQ(weir_map_lookup(map, 9 * PAGE, &h), 0);
	TEST_EQ(weir_map_lookup(map, 16 * PAGE, &h), -ENOENT);
	TEST_EQ(weir_map_lookup(map, 7 * PAGE, &h), -ENOENT);
	TEST_EQ(weir_map_lookup(map, 9 * PAGE, &h), 0);
	TEST_EQ(weir_mirror_unmap(m, r.iova), 0);
	TEST_EQ(weir_map_lookup(map, 9 * PAGE, &h), -ENOENT);
	weir_mirror_destroy(m);
	return TEST_OK;
}

static enum test_result
region_print_as_proc_maps(void)
{
	struct weir_region r = line_region((struct line){ 8, 16, 1, false });
	char buf[WEIR_REGION_PRINT_LEN];

	r.refs = 2;
	r.owner = 7;
	weir_region_print(buf, sizeof(buf), &r);
	TEST_EQ(strcmp(buf, "8000-10000 rw 700000008000 1000 2 7"), 0);
	r = (struct weir_region){ { 0, UINT64_MAX }, UINT64_MAX, UINT64_MAX, 3,
				  UINT32_MAX,	     UINT32_MAX };
	TEST_ASSERT(weir_region_print(buf, sizeof(buf), &r) < WEIR_REGION_PRINT_LEN);
	return TEST_OK;
}

static const struct test_case map_read_cases[] = {
	{ "walk_while_split_sees_what_was", walk_while_split_sees_what_was },
	{ "walk_while_resized_sees_what_was", walk_while_resized_sees_what_was },
	{ "walk_while_remapped_sees_what_was", walk_while_remapped_sees_what_was },
	{ "walk_while_tree_grows_sees_all_that_stays",
	  walk_while_tree_grows_sees_all_that_stays },
	{ "hold_delays_only_who_takes_it", hold_delays_only_who_takes_it },
	{ "hold_keeps_region_until_release", hold_keeps_region_until_release },
	{ "hold_too_many_refused", hold_too_many_refused },
	{ "query_filters_as_asked", query_filters_as_asked },
	{ "query_by_backend_of_who_follows", query_by_backend_of_who_follows },
	{ "lookup_hint_does_not_outlive_a_change",
	  lookup_hint_does_not_outlive_a_change },
	{ "region_print_as_proc_maps", region_print_as_proc_maps },
};
AUTOTEST(map_read_autotest, map_read_cases);
