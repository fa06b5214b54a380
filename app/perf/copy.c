/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir-perf copy: net_weir with and without a dmadev.
 *
 * Three ports: one whose copies are all the CPU's, one whose are all the engine's,
 * and a hybrid with a threshold. Two at a time take turns. The engine is the model
 * of perf_dma.h, with the bandwidth and the latency that are asked for.
 *
 * Of each pair there are two rows: the time that a packet takes on a lcore that does
 * nothing else, which says how many there are in a second, and the lcore's work for it
 * if it never has to wait for the engine.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <rte_cycles.h>
#include <rte_eal.h>

#include "flow.h"
#include "perf.h"
#include "weir_copy.h"

#define ROUNDS 240u
#define PACKETS 1024u /* of a side in a round */
#define PLACES 24u    /* rounds permitting: each has its own luck with the caches */

#define BIT(nr) (UINT64_C(1) << (nr))
#define FEATURES                                                 \
	(BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_NET_F_MRG_RXBUF) | \
	 BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM))

struct options {
	const char *only;
	const char *threshold;
	unsigned int cpu;
	bool huge;
	double latency_ns, copy_ns, doorbell_ns, gbyte_s;
};

static const struct row {
	const char *name;
	struct flow_job job;
	bool mixed;
} rows[] = {
	{ "enqueue 64 B", { BENCH_ENQUEUE, 1, { 64 } }, false },
	{ "enqueue 256 B", { BENCH_ENQUEUE, 1, { 256 } }, false },
	{ "enqueue 512 B", { BENCH_ENQUEUE, 1, { 512 } }, false },
	{ "enqueue 768 B", { BENCH_ENQUEUE, 1, { 768 } }, false },
	{ "enqueue 1024 B", { BENCH_ENQUEUE, 1, { 1024 } }, false },
	{ "enqueue 1518 B", { BENCH_ENQUEUE, 1, { 1518 } }, false },
	{ "enqueue mixed", { BENCH_ENQUEUE, 2, { 64, 1518 } }, true },
	{ "dequeue 64 B", { BENCH_DEQUEUE, 1, { 64 } }, false },
	{ "dequeue 256 B", { BENCH_DEQUEUE, 1, { 256 } }, false },
	{ "dequeue 512 B", { BENCH_DEQUEUE, 1, { 512 } }, false },
	{ "dequeue 768 B", { BENCH_DEQUEUE, 1, { 768 } }, false },
	{ "dequeue 1024 B", { BENCH_DEQUEUE, 1, { 1024 } }, false },
	{ "dequeue 1518 B", { BENCH_DEQUEUE, 1, { 1518 } }, false },
	{ "dequeue mixed", { BENCH_DEQUEUE, 2, { 64, 1518 } }, true },
};

enum kind { CPU, DMA, HYBRID, NR_KINDS };
static struct bench_backend kinds[NR_KINDS] = {
	[CPU] = { .driver = "net_weir", .series = CPU },
	[DMA] = { .driver = "net_weir",
		  .series = DMA,
		  .dma = "perf_dma_all",
		  .threshold = "0" },
	[HYBRID] = { .driver = "net_weir", .series = HYBRID, .dma = "perf_dma_hybrid" },
};

/* Who is beside whom, first weir's column, then the peer's. */
static const struct pair {
	const char *name;
	enum kind side[BENCH_NR_SIDES];
	bool mixed_only;
} pairs[] = {
	{ "hybrid beside CPU", { HYBRID, CPU }, false },
	{ "DMA beside CPU", { DMA, CPU }, false },
	{ "hybrid beside DMA", { HYBRID, DMA }, true },
};

static struct bench bench;
static struct perf_dma_cost cost;

/* A row's time and work in the report. */
struct rows_out {
	struct perf_row *time, *work;
};

static int
rows_begin(struct perf_report *report, const struct row *row, const struct pair *pair,
	   struct rows_out *out)
{
	char name[96];

	if (out->time != NULL)
		return 0;
	snprintf(name, sizeof(name), "%s, %s", row->name, pair->name);
	out->time = perf_row(report, name, "ns/packet");
	snprintf(name, sizeof(name), "%s, %s: work", row->name, pair->name);
	out->work = perf_row(report, name, "cycles/packet");
	return out->time != NULL && out->work != NULL ? 0 : -ENOMEM;
}

/* Both sides' cycles of a packet. */
static int
round_run(struct flow f[BENCH_NR_SIDES], bool first, bool waits, double v[BENCH_NR_SIDES])
{
	struct flow_took t;
	int ret = 0;

	for (unsigned int k = 0; k < BENCH_NR_SIDES && ret == 0; k++) {
		unsigned int s = (k + first) % BENCH_NR_SIDES;

		ret = flow_run(&f[s], PACKETS, waits, &t);
		if (ret == 0)
			v[s] = (double)t.cycles / (double)t.packets;
	}
	return ret;
}

static int
rounds_run(struct flow f[BENCH_NR_SIDES], unsigned int rounds, struct rows_out *out)
{
	const double to_ns = 1e9 / (double)rte_get_tsc_hz();
	double v[BENCH_NR_SIDES];
	int ret = 0;

	for (unsigned int i = 0; i < rounds && ret == 0; i++) {
		ret = round_run(f, i % 2 != 0, true, v);
		if (ret == 0)
			ret = perf_row_add(out->time, v[BENCH_WEIR] * to_ns,
					   v[BENCH_PEER] * to_ns);
		if (ret == 0)
			ret = round_run(f, i % 2 != 0, false, v);
		if (ret == 0)
			ret = perf_row_add(out->work, v[BENCH_WEIR], v[BENCH_PEER]);
	}
	return ret;
}

/* A row of a pair, on ports of its own that have carried frames. */
static int
place_run(const struct row *row, const struct bench_conf *conf, unsigned int rounds,
	  struct rows_out *out)
{
	struct flow f[BENCH_NR_SIDES];
	struct flow_took warm;
	int ret = bench_open(&bench, conf);

	if (ret != 0)
		return ret;
	for (unsigned int i = 0; i < row->job.nr_lens && ret == 0; i++) {
		const struct bench_job j = {
			.op = row->job.op,
			.nr_ports = 1,
			.len = row->job.len[i],
		};

		ret = bench_verify(&bench, &j);
	}
	for (unsigned int s = 0; s < BENCH_NR_SIDES; s++)
		flow_open(&f[s], &bench, s, &row->job);
	for (unsigned int s = 0; s < BENCH_NR_SIDES && ret == 0; s++)
		ret = flow_run(&f[s], PACKETS, true, &warm);
	if (ret == 0)
		ret = rounds_run(f, rounds, out);
	for (unsigned int s = 0; s < BENCH_NR_SIDES; s++)
		flow_close(&f[s]);
	bench_close(&bench);
	return ret;
}

static int
row_run(const struct options *o, struct perf_report *report, const struct row *row,
	const struct pair *pair, unsigned int rounds)
{
	const unsigned int places = RTE_MIN(rounds, PLACES);
	const struct bench_conf conf = {
		.side = { &kinds[pair->side[BENCH_WEIR]],
			  &kinds[pair->side[BENCH_PEER]] },
		.features = FEATURES,
		.nr_ports = 1,
		.huge = o->huge,
	};
	struct rows_out out = { NULL, NULL };
	int ret = rows_begin(report, row, pair, &out);

	for (unsigned int i = 0; i < places && ret == 0; i++)
		ret = place_run(row, &conf, rounds / places, &out);
	if (ret != 0)
		fprintf(stderr, "%s, %s: %s\n", row->name, pair->name, strerror(-ret));
	return ret;
}

#define OPTIONS                                                         \
	"  --only TEXT     rows that have TEXT in their name\n"         \
	"  --cpu N         run on this CPU (default: the last one)\n"   \
	"  --no-huge       no huge pages\n"                             \
	"  --threshold V   the hybrid's dma-threshold (default: 768)\n" \
	"  --latency NS    of the engine (1000)\n"                      \
	"  --bandwidth G   in Gbyte/s (30)\n"                           \
	"  --copy NS       what it takes for each copy besides (20)\n"  \
	"  --doorbell NS   what it takes the CPU to tell it (50)\n"

/* A number that is not below 0. */
static int
number(const char *text, double *out)
{
	char *end;

	*out = strtod(text, &end);
	return *end == '\0' && end != text && *out >= 0 ? 0 : -EINVAL;
}

static int
option_set(struct options *o, int opt)
{
	switch (opt) {
	case 'o':
		o->only = optarg;
		return 0;
	case 'p':
		return perf_cpu(optarg, &o->cpu);
	case 'n':
		o->huge = false;
		return 0;
	case 't':
		o->threshold = optarg;
		return 0;
	case 'l':
		return number(optarg, &o->latency_ns);
	case 'b':
		return number(optarg, &o->gbyte_s) == 0 && o->gbyte_s > 0 ? 0 : -EINVAL;
	case 'c':
		return number(optarg, &o->copy_ns);
	case 'd':
		return number(optarg, &o->doorbell_ns);
	default:
		return -EINVAL;
	}
}

static int
options_read(struct options *o, const struct perf_args *args)
{
	static const struct option known[] = {
		{ "only", required_argument, NULL, 'o' },
		{ "cpu", required_argument, NULL, 'p' },
		{ "no-huge", no_argument, NULL, 'n' },
		{ "threshold", required_argument, NULL, 't' },
		{ "latency", required_argument, NULL, 'l' },
		{ "bandwidth", required_argument, NULL, 'b' },
		{ "copy", required_argument, NULL, 'c' },
		{ "doorbell", required_argument, NULL, 'd' },
		{ NULL, 0, NULL, 0 },
	};
	int opt, ret = 0;

	*o = (struct options){
		.threshold = "768",
		.cpu = bench_last_cpu(),
		.huge = bench_huge_pages(),
		.latency_ns = 1000,
		.copy_ns = 20,
		.doorbell_ns = 50,
		.gbyte_s = 30,
	};
	optind = 0;
	while (ret == 0 &&
	       (opt = getopt_long(args->argc, args->argv, "", known, NULL)) != -1)
		ret = option_set(o, opt);
	return ret == 0 && optind == args->argc ? 0 : -EINVAL;
}

static void
cost_set(const struct options *o)
{
	const double per_ns = (double)rte_get_tsc_hz() / 1e9;

	cost = (struct perf_dma_cost){
		.latency = (uint64_t)(o->latency_ns * per_ns),
		.per_copy = (uint64_t)(o->copy_ns * per_ns),
		.per_kib = (uint64_t)(1024 / o->gbyte_s * per_ns),
		.doorbell = (uint64_t)(o->doorbell_ns * per_ns),
	};
}

static int
all_run(const struct options *o, unsigned int rounds, struct perf_report *report)
{
	int ret = 0;

	for (unsigned int i = 0; i < RTE_DIM(rows); i++)
		for (unsigned int k = 0; k < RTE_DIM(pairs) && ret == 0; k++) {
			if ((pairs[k].mixed_only && !rows[i].mixed) ||
			    (o->only != NULL && strstr(rows[i].name, o->only) == NULL))
				continue;
			ret = row_run(o, report, &rows[i], &pairs[k], rounds);
			perf_report_print(report);
		}
	return ret == 0 ? perf_report_chosen(report, o->only) : ret;
}

static int
run(const struct perf_args *args, struct perf_report *report)
{
	struct options o;
	int ret = options_read(&o, args);

	if (ret != 0)
		return ret;
	kinds[HYBRID].threshold = o.threshold;
	ret = bench_eal_start(o.cpu, o.huge);
	if (ret != 0)
		return ret;
	ret = bench_start(&bench, false);
	if (ret != 0)
		goto err_eal;
	cost_set(&o);
	bench.dma_cost = &cost;
	/* an engine whose clock stands is not one that hangs */
	weir_copy_set_watchdog(0);
	ret = all_run(&o, args->rounds != 0 ? args->rounds : ROUNDS, report);
	bench_stop(&bench);
err_eal:
	rte_eal_cleanup();
	return ret;
}

PERF_COMMAND(copy, "net_weir whose copies are the CPU's, a dmadev's, or both's", run,
	     .options = OPTIONS);
