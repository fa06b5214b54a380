/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long a polling lcore stands still while a guest's memory changes.
 *
 *     weir-perf hotplug [-- --gib N] [--granule MIB]
 *
 * An lcore polls both queues of a port whose frontend is in this process, and
 * notes the longest time between two turns. Meanwhile, in turns:
 *
 *     add       ADD_MEM_REG of N GiB of memory that nobody has touched
 *     remove    REM_MEM_REG of it
 *     granules  the same mapped and unmapped in the IOMMU alone, in granules
 *     messages  the time that another port's frontend waits for an answer
 *
 * The peer of each is the same lcore and the same length of time with nothing
 * going on: on a machine that others use, or a virtual one, an lcore stands still
 * for reasons of its own. Of those, being put off its CPU for another thread is
 * told by the kernel (ru_nivcsw) and not counted on either side.
 */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>

#include "frontend.h"
#include "perf.h"
#include "weir_args.h"
#include "weir_port.h"
#include "weir_space.h"

#define ROUNDS 20u
#define BURST 32u
#define MEM_GPA UINT64_C(0x10000000000)

/* Longer than this is looked into. */
#define GAP_LOOK_US 5

struct bench {
	struct weir_space *space;
	struct weir_mirror *mirror;
	struct rte_mempool *pool;
	struct weir_port *port[2]; /* the lcore's, and another */
	struct fe f[2];
	struct fe_mem mem;
	uint64_t granule; /* bytes */

	char lcores[32]; /* for EAL */
	cpu_set_t lcore_cpu;
	pthread_t lcore;
	_Atomic bool end;
	_Atomic uint64_t longest; /* gap since it was last set to 0, in cycles */
};

/* The rows, in the order of what is done in a round. */
struct rows {
	struct perf_row *add, *remove, *map, *unmap, *answer;
};

static long
times_put_off(void)
{
	struct rusage u;

	return getrusage(RUSAGE_THREAD, &u) == 0 ? u.ru_nivcsw : 0;
}

static void *
lcore_main(void *arg)
{
	struct bench *b = arg;
	struct weir_queue *rxq = weir_port_rxq(b->port[0], 0);
	struct weir_queue *txq = weir_port_txq(b->port[0], 0);
	const uint64_t look = GAP_LOOK_US * rte_get_tsc_hz() / 1000000;
	uint64_t last = rte_rdtsc();
	long put_off = times_put_off();

	while (!atomic_load_explicit(&b->end, memory_order_relaxed)) {
		struct rte_mbuf *pkts[BURST];
		uint16_t n = weir_port_rx_burst(rxq, pkts, BURST), sent;
		uint64_t now;

		/* what the guest sends goes back to it */
		sent = weir_port_tx_burst(txq, pkts, n);
		rte_pktmbuf_free_bulk(pkts + sent, (unsigned int)(n - sent));
		now = rte_rdtsc();
		if (now - last > look) {
			long since = put_off;

			put_off = times_put_off();
			if (put_off == since && now - last > atomic_load(&b->longest))
				atomic_store(&b->longest, now - last);
			now = rte_rdtsc();
		}
		last = now;
	}
	return NULL;
}

static int
port_open(struct bench *b, unsigned int i)
{
	char name[16], path[64];
	const struct weir_port_conf conf = {
		.name = name,
		.path = path,
		.nr_pairs = 1,
		.mirror = b->mirror,
	};
	int ret;

	snprintf(name, sizeof(name), "perf%u", i);
	snprintf(path, sizeof(path), "/tmp/weir-perf.%d.%u", (int)getpid(), i);
	ret = weir_port_create(&conf, &b->port[i]);
	if (ret == 0)
		ret = weir_port_rxq_setup(b->port[i], 0, b->pool, NULL);
	if (ret == 0)
		ret = weir_port_txq_setup(b->port[i], 0, NULL);
	if (ret == 0)
		ret = weir_port_start(b->port[i]);
	if (ret == 0)
		ret = fe_open(&b->f[i], path, 1, UINT64_MAX);
	return ret;
}

static int
first_cpu(const cpu_set_t *set)
{
	int i = 0;

	while (!CPU_ISSET(i, set))
		i++;
	return i;
}

static int
eal_open(struct bench *b)
{
	char *argv[] = {
		(char *)(uintptr_t) "weir-perf",
		(char *)(uintptr_t) "--no-huge",
		(char *)(uintptr_t) "--no-pci",
		(char *)(uintptr_t) "--no-shconf",
		(char *)(uintptr_t) "--no-telemetry",
		(char *)(uintptr_t) "-m256",
		b->lcores,
		(char *)(uintptr_t) "--log-level=lib.eal:4",
	};

	if (rte_eal_init(RTE_DIM(argv), argv) < 0)
		return -rte_errno;
	b->pool =
		rte_pktmbuf_pool_create("perf", 1023, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	return b->pool != NULL ? 0 : -rte_errno;
}

/* The polling thread has the first CPU to itself, as lcores have; all others of the
 * process have the rest. EAL has put its control threads there already. */
static int
cpus_part(struct bench *b)
{
	cpu_set_t mine;
	int ret;

	if (sched_getaffinity(0, sizeof(mine), &mine) != 0)
		return -errno;
	if (CPU_COUNT(&mine) < 2) {
		puts("needs two CPUs: one polls, the other changes memory");
		return -ENOTSUP;
	}
	CPU_ZERO(&b->lcore_cpu);
	CPU_SET(first_cpu(&mine), &b->lcore_cpu);
	CPU_XOR(&mine, &mine, &b->lcore_cpu);
	snprintf(b->lcores, sizeof(b->lcores), "--lcores=0@%d", first_cpu(&b->lcore_cpu));
	ret = eal_open(b);
	if (ret == 0 && sched_setaffinity(0, sizeof(mine), &mine) != 0)
		ret = -errno;
	return ret;
}

static int
lcore_start(struct bench *b)
{
	int ret = -pthread_create(&b->lcore, NULL, lcore_main, b);

	if (ret == 0)
		ret = -pthread_setaffinity_np(b->lcore, sizeof(b->lcore_cpu),
					      &b->lcore_cpu);
	return ret;
}

static int
bench_open(struct bench *b, uint64_t len)
{
	int ret = cpus_part(b);

	if (ret == 0)
		ret = weir_space_get(&b->space);
	if (ret != 0)
		return ret;
	b->mirror = weir_space_mirror(b->space);
	for (unsigned int i = 0; i < 2 && ret == 0; i++)
		ret = port_open(b, i);
	if (ret == 0)
		ret = fe_mem_open(&b->mem, "weir-perf", MEM_GPA, len);
	if (ret == 0)
		ret = lcore_start(b);
	return ret;
}

static void
bench_close(struct bench *b)
{
	atomic_store(&b->end, true);
	if (b->lcore != 0)
		pthread_join(b->lcore, NULL);
	if (b->mem.mem != NULL)
		fe_mem_close(&b->mem);
	for (unsigned int i = 0; i < 2; i++) {
		if (b->f[i].nr_pairs != 0)
			fe_close(&b->f[i]);
		weir_port_destroy(b->port[i]);
	}
	weir_space_put(b->space);
}

static double
to_us(uint64_t cycles)
{
	return (double)cycles * 1e6 / (double)rte_get_tsc_hz();
}

/* The longest gap since the last call, us; at least what is looked into. */
static double
gap_take(struct bench *b)
{
	double us = to_us(atomic_exchange(&b->longest, 0));

	return us > GAP_LOOK_US ? us : GAP_LOOK_US;
}

/*
 * Do something, then nothing for as long; add the longest gaps. The order of the
 * two is the same in each round, what lasts longer than a round is in both.
 */
static int
gap_row(struct bench *b, struct perf_row *row, int (*fn)(struct bench *b))
{
	uint64_t begin = rte_rdtsc(), took;
	double gap, idle;
	int ret;

	gap_take(b);
	ret = fn(b);
	took = rte_rdtsc() - begin;
	gap = gap_take(b);
	usleep((useconds_t)to_us(took));
	idle = gap_take(b);
	return ret != 0 ? ret : perf_row_add(row, gap, idle);
}

static int
do_add(struct bench *b)
{
	return fe_mem_add(&b->f[0], &b->mem) == 0 ? 0 : -EIO;
}

static int
do_remove(struct bench *b)
{
	return fe_mem_del(&b->f[0], &b->mem) == 0 ? 0 : -EIO;
}

static struct weir_range
mem_iova(const struct bench *b)
{
	uint64_t start = (uintptr_t)b->mem.mem;

	return (struct weir_range){ start, start + b->mem.len - 1 };
}

static int
do_map(struct bench *b)
{
	const struct weir_region r = {
		.iova = mem_iova(b),
		.hva = (uintptr_t)b->mem.mem,
		.prot = WEIR_PROT_READ | WEIR_PROT_WRITE,
	};
	uint64_t granule = b->granule;

	return weir_mirror_map_fit(b->mirror, &r, &granule);
}

static int
do_unmap(struct bench *b)
{
	return weir_mirror_unmap(b->mirror, mem_iova(b));
}

/* Another frontend's question, until it is answered. */
static double
ask(struct bench *b)
{
	uint64_t begin = rte_rdtsc(), features;

	fe_msg(&b->f[1], WEIR_VHOST_GET_FEATURES, NULL, 0, NULL, 0, &features,
	       sizeof(features));
	return to_us(rte_rdtsc() - begin);
}

static void *
adder_main(void *arg)
{
	struct bench *b = arg;

	return (void *)(intptr_t)(fe_mem_add(&b->f[0], &b->mem) |
				  fe_mem_del(&b->f[0], &b->mem));
}

/* The longest wait for an answer while the memory comes and goes, and while not. */
static int
answer_row(struct bench *b, struct perf_row *row)
{
	double longest[2] = { 0, 0 }, us;
	uint64_t begin = rte_rdtsc(), took;
	pthread_t adder;
	void *failed;
	int ret;

	ret = -pthread_create(&adder, NULL, adder_main, b);
	if (ret != 0)
		return ret;
	while (pthread_tryjoin_np(adder, &failed) == EBUSY) {
		us = ask(b);
		longest[0] = us > longest[0] ? us : longest[0];
	}
	took = rte_rdtsc() - begin;
	for (begin = rte_rdtsc(); rte_rdtsc() - begin < took;) {
		us = ask(b);
		longest[1] = us > longest[1] ? us : longest[1];
	}
	return failed != NULL ? -EIO : perf_row_add(row, longest[0], longest[1]);
}

static int
rows_new(struct rows *rows, struct perf_report *report, uint64_t gib, uint64_t mib)
{
	char name[64];

	snprintf(name, sizeof(name), "gap while %llu GiB are added",
		 (unsigned long long)gib);
	rows->add = perf_row(report, name, "us");
	rows->remove = perf_row(report, "gap while they are removed", "us");
	snprintf(name, sizeof(name), "gap while they are mapped in %llu MiB",
		 (unsigned long long)mib);
	rows->map = perf_row(report, name, "us");
	rows->unmap = perf_row(report, "gap while they are unmapped", "us");
	rows->answer = perf_row(report, "answer to another port", "us");
	return rows->add != NULL && rows->remove != NULL && rows->map != NULL &&
			       rows->unmap != NULL && rows->answer != NULL
		       ? 0
		       : -ENOMEM;
}

static int
options(const struct perf_args *args, uint64_t *gib, uint64_t *mib)
{
	static const struct option long_options[] = {
		{ "gib", required_argument, NULL, 'g' },
		{ "granule", required_argument, NULL, 'm' },
		{ NULL, 0, NULL, 0 },
	};
	int opt;

	optind = 0;
	while ((opt = getopt_long(args->argc, args->argv, "", long_options, NULL)) !=
	       -1) {
		if (opt != 'g' && opt != 'm')
			return -EINVAL;
		if (weir_arg_number(optarg, 1, 1024, opt == 'g' ? gib : mib) != 0)
			return -EINVAL;
	}
	return optind == args->argc ? 0 : -EINVAL;
}

static int
run(const struct perf_args *args, struct perf_report *report)
{
	unsigned int rounds = args->rounds != 0 ? args->rounds : ROUNDS;
	uint64_t gib = 64, mib = 2;
	static struct bench b;
	struct rows rows;
	int ret = options(args, &gib, &mib);

	if (ret != 0)
		return ret;
	b.granule = mib << 20;
	ret = bench_open(&b, gib << 30);
	if (ret == 0)
		ret = rows_new(&rows, report, gib, mib);
	for (unsigned int i = 0; i < rounds && ret == 0; i++) {
		ret = gap_row(&b, rows.add, do_add);
		if (ret == 0)
			ret = gap_row(&b, rows.remove, do_remove);
		if (ret == 0)
			ret = gap_row(&b, rows.map, do_map);
		if (ret == 0)
			ret = gap_row(&b, rows.unmap, do_unmap);
		if (ret == 0)
			ret = answer_row(&b, rows.answer);
	}
	bench_close(&b);
	return ret;
}

PERF_COMMAND(hotplug, "an lcore's longest gap while memory comes and goes", run,
	     .options = "  --gib N      of memory that comes and goes, 1 to 1024 (64)\n"
			"  --granule N  MiB that it is mapped in, 1 to 1024 (2)\n");
