/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir-perf vhost: net_weir and net_vhost behind the same guest.
 * weir-perf async: net_weir and rte_vhost's asynchronous API, each with a dmadev that
 * completes at once and copies nothing.
 *
 * What is measured of a burst is the backend's function alone; see vhost_bench.h.
 * Rounds have a number of bursts of each side, in alternating order. A burst that
 * took twice as long as the round's median was interrupted and is left out. The
 * rounds of a row are spread over guests in several places.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <rte_eal.h>

#include "perf.h"
#include "vhost_bench.h"
#include "weir_args.h"

#define ROUNDS 200u
#define BURSTS 64u /* of a side in a round */
#define PLACES 8u  /* rounds permitting */

#define BIT(nr) (UINT64_C(1) << (nr))
#define FEATURES                                                 \
	(BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_NET_F_MRG_RXBUF) | \
	 BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM))
#define FEATURES_TSO (BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO4))

/* A long frame: 45 segments of a connection over Ethernet, and headers. */
#define TSO_MSS 1448u
#define TSO_LEN (14u + 20u + 32u + 45u * TSO_MSS)

struct options {
	const char *only;    /* rows whose names have it in them; NULL: all */
	unsigned long count; /* bursts a side instead of rounds; 0: rounds */
	unsigned int cpu;
	bool huge;
	bool control; /* net_vhost beside itself */
	bool dma;     /* copies are made by dmadevs */
	bool cold;
};

/* A row without its rings. */
struct row {
	const char *name;
	struct bench_job job;
};

#define PLAIN(text, o, l)                                                       \
	{                                                                       \
		text,                                                           \
		{                                                               \
			.op = BENCH_##o, .nr_ports = 1, .burst = 32, .len = (l) \
		}                                                               \
	}
static const struct row plain_rows[] = {
	PLAIN("enqueue 64 B", ENQUEUE, 64),
	PLAIN("enqueue 256 B", ENQUEUE, 256),
	PLAIN("enqueue 512 B", ENQUEUE, 512),
	PLAIN("enqueue 1518 B", ENQUEUE, 1518),
	PLAIN("dequeue 64 B", DEQUEUE, 64),
	PLAIN("dequeue 256 B", DEQUEUE, 256),
	PLAIN("dequeue 512 B", DEQUEUE, 512),
	PLAIN("dequeue 1518 B", DEQUEUE, 1518),
	PLAIN("idle poll", POLL, 64),
	{ "enqueue 8 ports 64 B",
	  { .op = BENCH_ENQUEUE, .nr_ports = 8, .burst = 4, .len = 64 } },
	{ "dequeue 8 ports 64 B",
	  { .op = BENCH_DEQUEUE, .nr_ports = 8, .burst = 4, .len = 64 } },
};
/* What it costs to let somebody else copy. */
static const struct row async_rows[] = {
	PLAIN("enqueue 64 B", ENQUEUE, 64),
	PLAIN("enqueue 1518 B", ENQUEUE, 1518),
	PLAIN("dequeue 64 B", DEQUEUE, 64),
	PLAIN("dequeue 1518 B", DEQUEUE, 1518),
};
static const struct row copy_rows[] = {
	PLAIN("64 B", COPY, 64),
	PLAIN("256 B", COPY, 256),
	PLAIN("512 B", COPY, 512),
	PLAIN("1518 B", COPY, 1518),
};
#define LONG(text, o)                                                               \
	{                                                                           \
		text,                                                               \
		{                                                                   \
			.op = BENCH_##o, .nr_ports = 1, .burst = 8, .len = TSO_LEN, \
			.mss = TSO_MSS                                              \
		}                                                                   \
	}
static const struct row tso_rows[] = {
	LONG("enqueue TSO 64 KiB", ENQUEUE),
	LONG("dequeue TSO 64 KiB", DEQUEUE),
};

/* Rows that have the same guests. */
struct group {
	const char *name;
	uint64_t features;
	const struct row *rows;
	unsigned int nr_rows;
};
/* Who is compared. */
static const struct bench_backend backends[] = {
	{ .driver = "net_weir" },
	{ .driver = "net_weir", .series = 1 },
	{ .driver = "net_vhost" },
	{ .driver = "net_vhost", .series = 1 },
	{ .driver = "net_vhost", .series = 2 },
	{ .driver = "net_vhost", .series = 3 },
	{ .driver = "net_weir", .series = 2, .dma = "perf_dma_weir", .threshold = "0" },
	{ .driver = "rte_vhost", .async = true, .dma = "perf_dma_peer" },
};
/* Ports that offer TSO are others: the next in line. */
enum { WEIR = 0, VHOST = 2, CONTROL = 4, WEIR_DMA = 6, VHOST_ASYNC = 7 };

static const struct group vhost_groups[] = {
	{ "split", FEATURES, plain_rows, RTE_DIM(plain_rows) },
	{ "split", FEATURES | FEATURES_TSO, tso_rows, RTE_DIM(tso_rows) },
	{ "packed", FEATURES | BIT(VIRTIO_F_RING_PACKED), plain_rows,
	  RTE_DIM(plain_rows) },
	{ "packed", FEATURES | FEATURES_TSO | BIT(VIRTIO_F_RING_PACKED), tso_rows,
	  RTE_DIM(tso_rows) },
	{ "bare copy", FEATURES, copy_rows, RTE_DIM(copy_rows) },
};
static const struct group async_groups[] = {
	{ "split", FEATURES, async_rows, RTE_DIM(async_rows) },
	{ "packed", FEATURES | BIT(VIRTIO_F_RING_PACKED), async_rows,
	  RTE_DIM(async_rows) },
};

#define MAX_ROWS RTE_DIM(plain_rows)
_Static_assert(RTE_DIM(copy_rows) <= MAX_ROWS && RTE_DIM(tso_rows) <= MAX_ROWS &&
		       RTE_DIM(async_rows) <= MAX_ROWS,
	       "rows of a group");

static struct bench bench;

static void
row_name(const struct group *g, const struct row *row, char *name, size_t len)
{
	snprintf(name, len, "%s %s%s", g->name, row->name, bench.cold ? " cold" : "");
}

static bool
row_wanted(const struct options *o, const struct group *g, const struct row *row)
{
	char name[64];

	row_name(g, row, name, sizeof(name));
	return o->only == NULL || strstr(name, o->only) != NULL;
}

/* A number of bursts of one side: cycles of each packet, or of each poll. */
static int
turn(const struct bench_job *j, enum bench_side side, double *result)
{
	double v[BURSTS], sum = 0, median;
	unsigned int nr = 0;
	uint64_t cycles;

	for (unsigned int i = 0; i < BURSTS; i++) {
		int ret = bench_burst(&bench, j, side, &cycles);

		if (ret != 0)
			return ret;
		v[i] = (double)cycles;
	}
	median = perf_quartiles(v, BURSTS).median;
	while (nr < BURSTS && v[nr] <= 2 * median)
		sum += v[nr++];
	*result = sum / nr;
	if (j->op != BENCH_POLL)
		*result /= (double)j->burst * j->nr_ports;
	return 0;
}

static int
row_measure(const struct bench_job *j, unsigned int rounds, struct perf_row *out)
{
	double v[BENCH_NR_SIDES];
	int ret = 0;

	for (unsigned int i = 0; i < rounds && ret == 0; i++) {
		for (unsigned int k = 0; k < BENCH_NR_SIDES && ret == 0; k++) {
			enum bench_side side = (i + k) % BENCH_NR_SIDES;

			ret = turn(j, side, &v[side]);
		}
		if (ret == 0)
			ret = perf_row_add(out, v[BENCH_WEIR], v[BENCH_PEER]);
	}
	return ret;
}

/* For a profiler: so many bursts of each side, and what to divide by. */
static int
row_count(const struct bench_job *j, unsigned long count, const char *name)
{
	uint64_t cycles;
	int ret = 0;

	for (unsigned long i = 0; i < 2 * count && ret == 0; i++)
		ret = bench_burst(&bench, j, i % BENCH_NR_SIDES, &cycles);
	if (ret == 0)
		printf("%s: %lu bursts, %lu packets of each side\n", name, count,
		       count * j->burst * j->nr_ports);
	return ret;
}

/* Rows and rounds of a group that are still to be done. */
struct plan {
	const struct options *o;
	const struct group *g;
	struct perf_report *report;
	unsigned int rounds; /* in each place */
	struct perf_row *out[MAX_ROWS];
};

static int
row_run(struct plan *p, unsigned int i)
{
	const struct bench_job *j = &p->g->rows[i].job;
	char name[64];
	int ret = bench_verify(&bench, j);

	row_name(p->g, &p->g->rows[i], name, sizeof(name));
	if (ret == 0 && p->o->count != 0)
		return row_count(j, p->o->count, name);
	if (ret == 0 && p->out[i] == NULL) {
		p->out[i] =
			perf_row(p->report, name,
				 j->op == BENCH_POLL ? "cycles/poll" : "cycles/packet");
		ret = p->out[i] == NULL ? -ENOMEM : 0;
	}
	if (ret == 0)
		ret = row_measure(j, p->rounds, p->out[i]);
	if (ret != 0)
		fprintf(stderr, "%s: a burst failed: %s\n", name, strerror(-ret));
	return ret;
}

/* All rows of a group that are wanted, with its guests in one place. */
static int
place_run(struct plan *p, const struct bench_conf *conf)
{
	int ret = bench_open(&bench, conf);

	if (ret != 0)
		return ret;
	for (unsigned int i = 0; i < p->g->nr_rows && ret == 0; i++)
		if (row_wanted(p->o, p->g, &p->g->rows[i]))
			ret = row_run(p, i);
	bench_close(&bench);
	return ret;
}

static int
group_run(const struct options *o, unsigned int rounds, const struct group *g,
	  struct perf_report *report)
{
	const unsigned int places = o->count != 0 ? 1 : RTE_MIN(rounds, PLACES);
	struct plan plan = {
		.o = o,
		.g = g,
		.report = report,
		.rounds = rounds / places,
	};
	struct bench_conf conf = {
		.features = g->features,
		.tso = (g->features & FEATURES_TSO) != 0,
		.huge = o->huge,
	};
	const unsigned int at = conf.tso ? 1 : 0;
	int ret = 0;

	conf.side[BENCH_WEIR] = &backends[o->dma       ? WEIR_DMA
					  : o->control ? CONTROL + at
						       : WEIR + at];
	conf.side[BENCH_PEER] = &backends[o->dma ? VHOST_ASYNC : VHOST + at];

	for (unsigned int i = 0; i < g->nr_rows; i++)
		if (row_wanted(o, g, &g->rows[i]) &&
		    g->rows[i].job.nr_ports > conf.nr_ports)
			conf.nr_ports = g->rows[i].job.nr_ports;
	if (conf.nr_ports == 0)
		return 0;
	for (unsigned int i = 0; i < places && ret == 0; i++)
		ret = place_run(&plan, &conf);
	if (ret != -ENOTSUP)
		return ret;
	printf("rows \"%s ...\"%s are left out\n", g->name, conf.tso ? " with TSO" : "");
	return 0;
}

#define OPTIONS                                                                     \
	"  --only TEXT  rows that have TEXT in their name\n"                        \
	"  --cpu N      run on this CPU (default: the last one)\n"                  \
	"  --no-huge    no huge pages\n"                                            \
	"  --control    vhost: net_vhost on both sides, how far from 1 a ratio is " \
	"by chance\n"                                                               \
	"  --cold       with nothing the guest wrote in the caches\n"               \
	"  --count N    N bursts a side and no timing, for a profiler that "        \
	"collects\n"                                                                \
	"               inside of bench_measured_weir() and "                       \
	"bench_measured_peer()\n"

static int
options_read(struct options *o, const struct perf_args *args)
{
	static const struct option known[] = {
		{ "only", required_argument, NULL, 'o' },
		{ "count", required_argument, NULL, 'c' },
		{ "cpu", required_argument, NULL, 'p' },
		{ "no-huge", no_argument, NULL, 'n' },
		{ "cold", no_argument, NULL, 'd' },
		{ "control", no_argument, NULL, 'a' },
		{ NULL, 0, NULL, 0 },
	};
	int opt, ret = 0;

	*o = (struct options){ .cpu = bench_last_cpu(), .huge = bench_huge_pages() };
	optind = 0;
	while (ret == 0 &&
	       (opt = getopt_long(args->argc, args->argv, "", known, NULL)) != -1) {
		if (opt == 'o')
			o->only = optarg;
		else if (opt == 'c')
			ret = weir_arg_number(optarg, 1, UINT32_MAX, &o->count);
		else if (opt == 'p')
			ret = perf_cpu(optarg, &o->cpu);
		else if (opt == 'n')
			o->huge = false;
		else if (opt == 'd')
			o->cold = true;
		else if (opt == 'a')
			o->control = true;
		else
			return -EINVAL;
	}
	return ret == 0 && optind == args->argc ? 0 : -EINVAL;
}

static int
run(const struct perf_args *args, struct perf_report *report, bool dma,
    const struct group *groups, unsigned int nr_groups)
{
	struct options o;
	int ret = options_read(&o, args);

	o.dma = dma;
	if (ret == 0 && dma && o.control)
		ret = -EINVAL;
	if (ret != 0)
		return ret;
	ret = bench_eal_start(o.cpu, o.huge);
	if (ret != 0)
		return ret;
	ret = bench_start(&bench, o.cold);
	if (ret != 0)
		goto err_eal;
	for (unsigned int i = 0; i < nr_groups && ret == 0; i++) {
		ret = group_run(&o, args->rounds != 0 ? args->rounds : ROUNDS, &groups[i],
				report);
		perf_report_print(report);
	}
	if (ret == 0 && o.count == 0)
		ret = perf_report_chosen(report, o.only);
	bench_stop(&bench);
err_eal:
	rte_eal_cleanup();
	return ret;
}

static int
run_vhost(const struct perf_args *args, struct perf_report *report)
{
	return run(args, report, false, vhost_groups, RTE_DIM(vhost_groups));
}

static int
run_async(const struct perf_args *args, struct perf_report *report)
{
	return run(args, report, true, async_groups, RTE_DIM(async_groups));
}

PERF_COMMAND(vhost, "cycles of a packet in net_weir and in DPDK's net_vhost", run_vhost,
	     .options = OPTIONS);
PERF_COMMAND(async, "cycles of a packet whose copies a dmadev makes, and rte_vhost's",
	     run_async, .options = OPTIONS);
