/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir-perf map: what a map of user memory costs, beside EAL's own.
 *
 * A row about pairs maps and unmaps one page between two of the regions present,
 * at random. What the kernel would do meanwhile is the same for both sides and
 * no matter of bookkeeping: there both calls answer at once. One row has the
 * software VFIO carry them out, for what a pair is in all.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "map.h"
#include "softvfio.h"

#define ROUNDS 21

#define FEW 200
#define MANY 1000000

/* Pairs a round: some milliseconds of each side. */
#define PAIRS_EAL 200
#define PAIRS_FEW 4000
#define PAIRS_MANY 4000
#define PAIRS_CARRIED 200

enum { EAL, OWN, ADOPTED, LARGE, NR_SIDES };

struct bench {
	struct map_side side[NR_SIDES];
	unsigned int nr_open;
	uint64_t random;
};

double
map_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* Nanoseconds a pair, of @nr. Both sides of a row get pages in the same order. */
static int
pairs(struct map_side *s, uint64_t random, unsigned int nr, double *ns)
{
	double begin = map_now_ns();
	int ret = 0;

	for (unsigned int i = 0; i < nr && ret == 0; i++) {
		uint64_t iova = map_pair_iova(s, &random);

		ret = s->map(s, iova);
		if (ret == 0)
			ret = s->unmap(s, iova);
	}
	*ns = (map_now_ns() - begin) / nr;
	return ret;
}

/* A row of pairs, and who takes part. */
struct pair_row {
	const char *name;
	unsigned int weir, peer; /* sides */
	unsigned int nr_weir, nr_peer;
	bool carried; /* the calls are carried out */
};

static const struct pair_row pair_rows[] = {
	{ "map and unmap, 200 regions", OWN, EAL, PAIRS_FEW, PAIRS_EAL, false },
	{ "map and unmap, 200 regions, EAL's container", ADOPTED, EAL, PAIRS_FEW,
	  PAIRS_EAL, false },
	{ "map and unmap, 200 regions, calls carried out", OWN, EAL, PAIRS_CARRIED,
	  PAIRS_CARRIED, true },
	{ "map and unmap, 1000000 regions, to weir's 200", LARGE, OWN, PAIRS_MANY,
	  PAIRS_FEW, false },
};

static int
pair_round(struct bench *b, const struct pair_row *p, struct perf_row *row)
{
	double weir, peer;
	int ret;

	map_calls_instant = !p->carried;
	map_random(&b->random);
	ret = pairs(&b->side[p->weir], b->random, p->nr_weir, &weir);
	if (ret == 0)
		ret = pairs(&b->side[p->peer], b->random, p->nr_peer, &peer);
	map_calls_instant = false;
	return ret == 0 ? perf_row_add(row, weir, peer) : ret;
}

static int
run_pairs(struct bench *b, struct perf_report *r, unsigned int rounds)
{
	struct perf_row *row[sizeof(pair_rows) / sizeof(pair_rows[0])];
	size_t nr = sizeof(row) / sizeof(row[0]);
	int ret = 0;

	for (size_t i = 0; i < nr; i++) {
		row[i] = perf_row(r, pair_rows[i].name, "ns");
		if (row[i] == NULL)
			return -ENOMEM;
	}
	for (unsigned int round = 0; round < rounds && ret == 0; round++)
		for (size_t i = 0; i < nr && ret == 0; i++)
			ret = pair_round(b, &pair_rows[i], row[i]);
	return ret;
}

/* Make all sides, each with its regions. */
static int
sides_open(struct bench *b)
{
	struct map_side *s = b->side;
	int ret = map_side_eal(&s[EAL]);

	if (ret == 0)
		ret = map_side_fill(&s[b->nr_open++], FEW);
	if (ret == 0)
		ret = map_side_own(&s[OWN], 1);
	if (ret == 0)
		ret = map_side_fill(&s[b->nr_open++], FEW);
	if (ret == 0)
		ret = map_side_adopted(&s[ADOPTED]);
	if (ret == 0)
		ret = map_side_fill(&s[b->nr_open++], FEW);
	if (ret == 0)
		ret = map_side_own(&s[LARGE], 2);
	if (ret == 0) {
		map_calls_instant = true;
		ret = map_side_fill(&s[b->nr_open++], MANY);
		map_calls_instant = false;
	}
	return ret;
}

static int
sides_close(struct bench *b)
{
	int ret = 0, one;

	while (b->nr_open > 0) {
		b->nr_open--;
		/* what was mapped by calls that were not carried out */
		map_calls_instant = b->nr_open == LARGE;
		one = map_side_close(&b->side[b->nr_open]);
		map_calls_instant = false;
		if (one != 0) {
			fputs("a map is not what it was filled with\n", stderr);
			ret = one;
		}
	}
	return ret;
}

/* A processor for what is measured, and one for others; the same if there is one. */
static int
cpus_choose(int *mine, int *others)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return -errno;
	*mine = *others = -1;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &set))
			continue;
		if (*mine < 0)
			*mine = cpu;
		*others = cpu;
	}
	return 0;
}

static int
run_all(struct perf_report *r, unsigned int rounds, int others)
{
	struct bench b = { .random = 1 };
	int ret = sides_open(&b), closed;

	perf_softvfio_found();
	if (ret == 0)
		ret = run_pairs(&b, r, rounds);
	if (ret == 0)
		ret = map_reader_rows(&b.side[OWN], r, rounds, others);
	closed = sides_close(&b);
	if (ret == 0)
		ret = closed;
	return ret == 0 ? map_lookup_rows(r, rounds) : ret;
}

static int
run(const struct perf_args *args, struct perf_report *r)
{
	int mine = 0, others = 0, ret = cpus_choose(&mine, &others);

	if (ret == 0)
		ret = map_bench_open(mine);
	if (ret != 0)
		return ret;
	ret = run_all(r, args->rounds != 0 ? args->rounds : ROUNDS, others);
	map_bench_close();
	return ret;
}

PERF_COMMAND(map, "maps of user memory beside EAL's, on the software VFIO", run);
