/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir-perf compare: what a change has done, from a report before and one after.
 *
 * Two runs are never compared by their times, as the machine is another one each
 * time, but by their ratios to the peer, which had the same machine. A row has
 * changed if the quartiles of the ratios do not overlap and the medians differ by
 * more than NOISE, which is what a peer beside itself differs by.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "result.h"

#define NOISE 0.02

/* Quartiles of fewer say nothing of how far values lie apart. */
#define ENOUGH_ROUNDS 8

enum verdict { SAME, FASTER, SLOWER, UNKNOWN, NR_VERDICTS };

static const char *const verdict_name[NR_VERDICTS] = {
	[SAME] = "same",
	[FASTER] = "faster",
	[SLOWER] = "slower",
	[UNKNOWN] = "too few rounds",
};

static enum verdict
judge(const struct perf_result *o, const struct perf_result *n)
{
	const struct perf_quartiles *old = &o->ratio, *new = &n->ratio;

	if (o->rounds < ENOUGH_ROUNDS || n->rounds < ENOUGH_ROUNDS)
		return UNKNOWN;
	if (new->q3 < old->q1 &&new->median < old->median *(1 - NOISE))
		return FASTER;
	if (new->q1 > old->q3 &&new->median > old->median *(1 + NOISE))
		return SLOWER;
	return SAME;
}

static void
row_print(const struct perf_result *o, const struct perf_result *n, enum verdict v)
{
	printf("%-44s %6.3f (%.3f-%.3f)  %6.3f (%.3f-%.3f)  %+6.1f %%  %s\n", n->name,
	       o->ratio.median, o->ratio.q1, o->ratio.q3, n->ratio.median, n->ratio.q1,
	       n->ratio.q3, (n->ratio.median / o->ratio.median - 1) * 100,
	       verdict_name[v]);
}

/* @return 1: a row has become slower; 0: none has. */
static int
compare(const struct perf_result *old, const struct perf_result *new)
{
	unsigned int count[NR_VERDICTS] = { 0 };

	printf("%-44s %-21s  %-21s  %8s\n", "weir/peer", "before", "after", "change");
	for (const struct perf_result *n = new; n != NULL; n = n->next) {
		const struct perf_result *o = perf_result_find(old, n->name);
		enum verdict v;

		if (o == NULL) {
			printf("%-44s only after\n", n->name);
			continue;
		}
		v = judge(o, n);
		count[v]++;
		row_print(o, n, v);
	}
	for (const struct perf_result *o = old; o != NULL; o = o->next)
		if (perf_result_find(new, o->name) == NULL)
			printf("%-44s only before\n", o->name);
	printf("%u faster, %u slower, %u same", count[FASTER], count[SLOWER],
	       count[SAME]);
	if (count[UNKNOWN] != 0)
		printf(", %u of fewer than %d rounds", count[UNKNOWN], ENOUGH_ROUNDS);
	putchar('\n');
	return count[SLOWER] != 0;
}

static int
run(const struct perf_args *args, struct perf_report *report)
{
	struct perf_result *old, *new;
	int ret;

	(void)report;
	if (args->argc != 3)
		return -EINVAL;
	ret = perf_results_read(args->argv[1], &old);
	if (ret != 0)
		return ret;
	ret = perf_results_read(args->argv[2], &new);
	if (ret == 0)
		ret = compare(old, new);
	perf_results_free(old);
	perf_results_free(new);
	return ret;
}

PERF_COMMAND(compare, "two reports: OLD.json NEW.json", run, .usage = "OLD.json NEW.json",
	     .options = "Exit code 1: a row has become slower by more than the noise.\n");
