/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lookups, in a map that no backend follows, and a writer among readers.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "map.h"

#define LOOKUP_REGIONS 65536
#define LOOKUPS 65536 /* a round */

#define NR_READERS 2

/* A round, at either end: some scheduling periods of the readers. */
#define WRITES 40000

#define MEMORY UINT64_C(0x100000000) /* never touched */

static int
mirror_fill(uint64_t nr, struct weir_mirror **out)
{
	struct weir_mirror *m;
	int ret = weir_mirror_create("perf", &m);

	if (ret != 0)
		return ret;
	for (uint64_t i = 0; i < nr && ret == 0; i++) {
		/* no two of them are one in memory */
		struct weir_region r = map_region(i * MAP_SLOT, MEMORY + i * MAP_SLOT);

		ret = weir_mirror_map(m, &r);
	}
	if (ret == 0)
		*out = m;
	else
		weir_mirror_destroy(m);
	return ret;
}

/* The peer of a lookup: regions in an array, found by halving. */
struct sorted {
	size_t nr;
	struct {
		struct weir_range iova;
		uint64_t hva;
	} at[];
};

static struct sorted *
sorted_make(uint64_t nr)
{
	struct sorted *s = malloc(sizeof(*s) + nr * sizeof(s->at[0]));

	if (s == NULL)
		return NULL;
	s->nr = nr;
	for (uint64_t i = 0; i < nr; i++) {
		struct weir_region r = map_region(i * MAP_SLOT, MEMORY + i * MAP_SLOT);

		s->at[i].iova = r.iova;
		s->at[i].hva = r.hva;
	}
	return s;
}

static uint64_t
sorted_find(const struct sorted *s, uint64_t iova)
{
	size_t from = 0, to = s->nr;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (iova < s->at[mid].iova.start)
			to = mid;
		else if (iova > s->at[mid].iova.last)
			from = mid + 1;
		else
			return s->at[mid].hva + weir_range_offset(s->at[mid].iova, iova);
	}
	return 0;
}

struct lookups {
	struct weir_map *map;
	struct weir_map_hint hint;
	struct sorted *sorted;
	uint64_t *iova; /* LOOKUPS of them */
	uint64_t none;	/* 0, which the compiler does not know */
};

/*
 * Each lookup waits for the answer of the one before, as a program does that
 * goes on to use it; else several of them would be under way at once.
 */
static uint64_t
lookups_weir(struct lookups *l)
{
	uint64_t hva = 0;

	for (size_t i = 0; i < LOOKUPS; i++) {
		uint64_t iova = l->iova[i] + (hva & l->none);

		if (weir_map_lookup(l->map, iova, &l->hint) != 0)
			return 0;
		hva = l->hint.region.hva + weir_range_offset(l->hint.region.iova, iova);
	}
	return hva;
}

static uint64_t
lookups_peer(struct lookups *l)
{
	uint64_t hva = 0;

	for (size_t i = 0; i < LOOKUPS; i++)
		hva = sorted_find(l->sorted, l->iova[i] + (hva & l->none));
	return hva;
}

/* A row of lookups: in @regions of the regions, at random. */
static int
lookup_row(struct lookups *l, struct perf_row *row, uint64_t regions, unsigned int rounds)
{
	uint64_t random = 1, expect;
	int ret = 0;

	for (unsigned int round = 0; round < rounds && ret == 0; round++) {
		double begin, middle;

		for (size_t i = 0; i < LOOKUPS; i++)
			l->iova[i] = map_random(&random) % regions * MAP_SLOT +
				     map_random(&random) % WEIR_MAP_PAGE;
		expect = MEMORY + l->iova[LOOKUPS - 1];
		begin = map_now_ns();
		if (lookups_weir(l) != expect)
			return -EPROTO;
		middle = map_now_ns();
		if (lookups_peer(l) != expect)
			return -EPROTO;
		ret = perf_row_add(row, (middle - begin) / LOOKUPS,
				   (map_now_ns() - middle) / LOOKUPS);
	}
	return ret;
}

static int
lookup_rows(struct lookups *l, struct perf_report *r, unsigned int rounds)
{
	struct perf_row *far = perf_row(r, "lookup at random, 65536 regions", "ns");
	struct perf_row *same = perf_row(r, "lookup in the last region again", "ns");
	int ret;

	if (far == NULL || same == NULL)
		return -ENOMEM;
	ret = lookup_row(l, far, LOOKUP_REGIONS, rounds);
	return ret == 0 ? lookup_row(l, same, 1, rounds) : ret;
}

int
map_lookup_rows(struct perf_report *r, unsigned int rounds)
{
	struct lookups l = { .map = NULL };
	struct weir_mirror *m;
	volatile uint64_t none = 0;
	int ret = mirror_fill(LOOKUP_REGIONS, &m);

	if (ret != 0)
		return ret;
	l.map = weir_mirror_table(m);
	l.none = none;
	l.sorted = sorted_make(LOOKUP_REGIONS);
	l.iova = malloc(LOOKUPS * sizeof(*l.iova));
	ret = l.sorted != NULL && l.iova != NULL ? lookup_rows(&l, r, rounds) : -ENOMEM;
	free(l.iova);
	free(l.sorted);
	weir_mirror_destroy(m);
	return ret;
}

/* Two readers, which sleep or walk a map. */
struct readers {
	pthread_t thread[NR_READERS];
	unsigned int nr;
	sem_t go;			/* once for each that shall walk */
	_Atomic(struct weir_map *) map; /* that they walk; NULL: sleep */
	_Atomic bool quit;
	_Atomic unsigned int nr_walking;
	_Atomic uint64_t nr_walks;
};

static int
walk_one(const struct weir_region *r, void *arg)
{
	*(uint64_t *)arg += r->hva;
	return 0;
}

static void *
reader(void *arg)
{
	struct readers *rs = arg;
	uint64_t sum = 0;

	for (;;) {
		struct weir_map *m;

		sem_wait(&rs->go);
		if (atomic_load(&rs->quit))
			return NULL;
		atomic_fetch_add(&rs->nr_walking, 1);
		while ((m = atomic_load_explicit(&rs->map, memory_order_acquire)) !=
		       NULL) {
			weir_map_walk(m, walk_one, &sum);
			atomic_fetch_add_explicit(&rs->nr_walks, 1, memory_order_relaxed);
		}
		atomic_fetch_sub(&rs->nr_walking, 1);
	}
}

static void
readers_wake(struct readers *rs)
{
	for (unsigned int i = 0; i < rs->nr; i++)
		sem_post(&rs->go);
}

static void
readers_set(struct readers *rs, struct weir_map *m)
{
	unsigned int want = m != NULL ? rs->nr : 0;

	atomic_store(&rs->map, m);
	if (m != NULL)
		readers_wake(rs);
	while (atomic_load(&rs->nr_walking) != want)
		sched_yield();
}

static void
readers_stop(struct readers *rs)
{
	atomic_store(&rs->quit, true);
	readers_wake(rs);
	while (rs->nr > 0)
		pthread_join(rs->thread[--rs->nr], NULL);
	sem_destroy(&rs->go);
}

static int
readers_start(struct readers *rs, int cpu)
{
	pthread_attr_t attr;
	cpu_set_t set;
	int ret;

	sem_init(&rs->go, 0, 0);
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	pthread_attr_init(&attr);
	ret = -pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	for (; rs->nr < NR_READERS && ret == 0; rs->nr += ret == 0)
		ret = -pthread_create(&rs->thread[rs->nr], &attr, reader, rs);
	pthread_attr_destroy(&attr);
	if (ret != 0)
		readers_stop(rs);
	return ret;
}

struct writer {
	struct map_side *side;
	uint64_t random;
	double *cycles; /* of each of WRITES calls */
};

/* The time that 99 of 100 calls do not exceed. */
static int
writer_p99(struct writer *w, double *p99)
{
	int ret = 0;

	for (size_t i = 0; i < WRITES && ret == 0; i += 2) {
		uint64_t iova = map_pair_iova(w->side, &w->random);
		uint64_t begin = perf_cycles(), middle;

		ret = w->side->map(w->side, iova);
		middle = perf_cycles();
		if (ret == 0)
			ret = w->side->unmap(w->side, iova);
		w->cycles[i] = (double)(middle - begin);
		w->cycles[i + 1] = (double)(perf_cycles() - middle);
	}
	*p99 = perf_quantile(w->cycles, WRITES, 0.99);
	return ret;
}

/* A round of a row: the writer alone, then among readers. */
static int
reader_round(struct writer *w, struct readers *rs, struct perf_row *row)
{
	uint64_t before = atomic_load(&rs->nr_walks);
	double with, without;
	int ret = writer_p99(w, &without);

	readers_set(rs, weir_mirror_table(w->side->mirror));
	if (ret == 0)
		ret = writer_p99(w, &with);
	readers_set(rs, NULL);
	if (ret != 0)
		return ret;
	if (atomic_load(&rs->nr_walks) == before)
		return -EPROTO;
	return perf_row_add(row, with, without);
}

static int
reader_rounds(struct writer *w, struct readers *rs, struct perf_report *r,
	      unsigned int rounds)
{
	struct perf_row *carried =
		perf_row(r, "p99 of a change, 2 readers to none", "cycles");
	struct perf_row *instant =
		perf_row(r, "p99 of its bookkeeping, 2 readers to none", "cycles");
	int ret = carried != NULL && instant != NULL ? 0 : -ENOMEM;

	for (unsigned int i = 0; i < rounds && ret == 0; i++) {
		ret = reader_round(w, rs, carried);
		map_calls_instant = true;
		if (ret == 0)
			ret = reader_round(w, rs, instant);
		map_calls_instant = false;
	}
	return ret;
}

int
map_reader_rows(struct map_side *side, struct perf_report *r, unsigned int rounds,
		int cpu)
{
	struct writer w = { .side = side, .random = 1 };
	struct readers rs = { .nr = 0 };
	int ret;

	w.cycles = malloc(WRITES * sizeof(*w.cycles));
	ret = w.cycles != NULL ? readers_start(&rs, cpu) : -ENOMEM;
	if (ret == 0) {
		ret = reader_rounds(&w, &rs, r, rounds);
		readers_stop(&rs);
	}
	free(w.cycles);
	return ret;
}
