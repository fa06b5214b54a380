/* SPDX-License-Identifier: BSD-3-Clause */
/* The backends' ports, their dmadevs, and a guest for each. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_bus_vdev.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_dmadev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <rte_random.h>

#include "perf_dma.h"
#include "vhost_bench.h"

#define RING_SIZE 256u
#define RING_SIZE_TSO 1024u
#define TX_PIECE 2368u
#define TX_PIECE_TSO 4096u
#define PIECES_TSO 16u

/* What is left out of the heap at random, in cache lines. */
#define SPACER_MAX 1024u

bool
bench_huge_pages(void)
{
	FILE *f = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "r");
	char line[32] = "";

	if (f == NULL)
		return false;
	/* no line is no page */
	(void)!fgets(line, sizeof(line), f);
	fclose(f);
	return strtoul(line, NULL, 10) >= 128;
}

int
bench_eal_start(unsigned int cpu, bool huge)
{
	static char program[] = "weir-perf";
	static char in_memory[] = "--in-memory", no_huge[] = "--no-huge";
	char lcores[32], *pages = huge ? in_memory : no_huge;
	/* the drivers that are measured are linked in, DPDK's come as it builds them */
	char *argv[] = { program,
			 lcores,
			 (char[]){ "--no-pci" },
			 (char[]){ "--no-telemetry" },
			 (char[]){ "--iova-mode=va" },
			 (char[]){ "--log-level=4" },
			 (char[]){ "-m128" },
			 (char[]){ "-dlibrte_net_vhost.so." PERF_PMD_ABI },
			 (char[]){ "-dlibrte_mempool_ring.so." PERF_PMD_ABI },
			 pages,
			 (char[]){ "--no-shconf" },
			 NULL };

	snprintf(lcores, sizeof(lcores), "--lcores=0@%u", cpu);
	if (rte_eal_init(RTE_DIM(argv) - 1, argv) >= 0)
		return 0;
	printf("EAL does not start: %s; DPDK's net_vhost has to be installed\n",
	       rte_strerror(rte_errno));
	return -ENOTSUP;
}

unsigned int
bench_last_cpu(void)
{
	cpu_set_t set;
	unsigned int last = 0;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return 0;
	for (unsigned int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &set))
			last = i;
	return last;
}

int
bench_start(struct bench *b, bool cold)
{
	static const char template[] = "/tmp/weir-perf-XXXXXX";

	*b = (struct bench){ .cold = cold };
	b->pool = rte_pktmbuf_pool_create("bench", 4095, RTE_MEMPOOL_CACHE_MAX_SIZE, 0,
					  RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (b->pool == NULL)
		return -rte_errno;
	memcpy(b->folder, template, sizeof(template));
	if (mkdtemp(b->folder) == NULL) {
		rte_mempool_free(b->pool);
		return -errno;
	}
	return 0;
}

void
bench_stop(struct bench *b)
{
	uint16_t id;

	RTE_ETH_FOREACH_DEV(id)
	{
		rte_eth_dev_stop(id);
		rte_eth_dev_close(id);
	}
	while (b->nr_async != 0)
		async_peer_close(b->async[--b->nr_async]);
	while (b->nr_dma != 0)
		perf_dma_unplug(b->dma[--b->nr_dma]);
	rmdir(b->folder);
	rte_mempool_free(b->pool);
}

/* Find the dmadev, or plug it in. */
static int
dma_make(struct bench *b, const char *name, int16_t *id)
{
	int known = rte_dma_get_dev_id_by_name(name), ret;

	if (known >= 0) {
		*id = (int16_t)known;
		return 0;
	}
	if (b->nr_dma == BENCH_MAX_SERIES)
		return -ENOSPC;
	ret = perf_dma_plug(name, b->dma_cost, id);
	if (ret == 0)
		b->dma[b->nr_dma++] = name;
	return ret;
}

/* What weir does by itself. */
static int
dma_start(int16_t id)
{
	const struct rte_dma_conf conf = { .nb_vchans = PERF_DMA_VCHANS };
	const struct rte_dma_vchan_conf vconf = {
		.direction = RTE_DMA_DIR_MEM_TO_MEM,
		.nb_desc = PERF_DMA_RING,
	};
	int ret = rte_dma_configure(id, &conf);

	for (uint16_t v = 0; v < PERF_DMA_VCHANS && ret == 0; v++)
		ret = rte_dma_vchan_setup(id, v, &vconf);
	return ret == 0 ? rte_dma_start(id) : ret;
}

/* A port's name, and the path of its socket. */
struct port_name {
	char name[32], path[64];
};

static struct port_name
port_name(const struct bench *b, enum bench_side side, unsigned int i)
{
	const struct bench_backend *k = b->conf.side[side];
	struct port_name n;

	snprintf(n.name, sizeof(n.name), "%s%u", k->driver,
		 k->series * BENCH_MAX_PORTS + i);
	snprintf(n.path, sizeof(n.path), "%s/%s", b->folder, n.name);
	return n;
}

static int
ethdev_start(struct bench *b, uint16_t id)
{
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf = { 0 };
	int ret = rte_eth_dev_info_get(id, &info);

	if (ret != 0)
		return ret;
	/* whatever a port can leave to the application it shall: no sums in software */
	conf.rxmode.offloads = info.rx_offload_capa &
			       (RTE_ETH_RX_OFFLOAD_CHECKSUM | RTE_ETH_RX_OFFLOAD_TCP_LRO |
				RTE_ETH_RX_OFFLOAD_SCATTER);
	conf.txmode.offloads = info.tx_offload_capa & (RTE_ETH_TX_OFFLOAD_TCP_TSO |
						       RTE_ETH_TX_OFFLOAD_MULTI_SEGS);
	if ((conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_TCP_LRO) != 0)
		conf.rxmode.max_lro_pkt_size = info.max_lro_pkt_size;
	ret = rte_eth_dev_configure(id, 1, 1, &conf);
	if (ret == 0)
		ret = rte_eth_rx_queue_setup(id, 0, RING_SIZE, SOCKET_ID_ANY, NULL,
					     b->pool);
	if (ret == 0)
		ret = rte_eth_tx_queue_setup(id, 0, RING_SIZE, SOCKET_ID_ANY, NULL);
	return ret == 0 ? rte_eth_dev_start(id) : ret;
}

/* Find the ethdev, or make it. */
static int
ethdev_make(struct bench *b, const struct bench_backend *k, const struct port_name *n,
	    struct bench_port *p)
{
	char args[256], dmas[128] = "";
	int ret = 0;

	p->async = NULL;
	if (k->dma != NULL)
		ret = dma_make(b, k->dma, &p->dma);
	if (ret != 0 || rte_eth_dev_get_port_by_name(n->name, &p->id) == 0)
		return ret;
	if (k->dma != NULL)
		snprintf(dmas, sizeof(dmas), ",dmas=[txq0@%s;rxq0@%s],dma-threshold=%s",
			 k->dma, k->dma, k->threshold);
	snprintf(args, sizeof(args), "iface=%s,queues=1,tso=%d%s", n->path, b->conf.tso,
		 dmas);
	/* rte_eal_hotplug_add() of DPDK 25.11.4 takes 127 characters */
	ret = rte_vdev_init(n->name, args);
	if (ret == 0)
		ret = rte_eth_dev_get_port_by_name(n->name, &p->id);
	return ret == 0 ? ethdev_start(b, p->id) : ret;
}

/* The same for rte_vhost's. */
static int
async_make(struct bench *b, const struct bench_backend *k, const struct port_name *n,
	   struct bench_port *p)
{
	const bool known = rte_dma_get_dev_id_by_name(k->dma) >= 0;
	int ret;

	for (unsigned int i = 0; i < b->nr_async; i++)
		if (strcmp(async_peer_path(b->async[i]), n->path) == 0) {
			p->async = b->async[i];
			return 0;
		}
	ret = b->nr_async == BENCH_MAX_PORTS ? -ENOSPC : dma_make(b, k->dma, &p->dma);
	if (ret == 0 && !known)
		ret = dma_start(p->dma);
	if (ret == 0)
		ret = async_peer_listen(n->path, p->dma, &p->async);
	if (ret == 0)
		b->async[b->nr_async++] = p->async;
	return ret;
}

static int
link_wait(const struct bench_port *p, uint16_t status)
{
	const uint64_t end = rte_get_timer_cycles() + BENCH_WAIT_S * rte_get_timer_hz();
	struct rte_eth_link link;
	int ret = 0;

	do {
		if (p->async != NULL)
			link.link_status = async_peer_up(p->async);
		else
			ret = rte_eth_link_get_nowait(p->id, &link);
		if (ret != 0 || link.link_status == status)
			return ret;
		usleep(1000);
	} while (rte_get_timer_cycles() < end);
	return -ETIMEDOUT;
}

static int
port_open(struct bench *b, enum bench_side side, unsigned int i)
{
	const struct bench_backend *k = b->conf.side[side];
	struct bench_port *p = &b->port[side][i];
	struct port_name n = port_name(b, side, i);
	const struct guest_conf conf = {
		.path = n.path,
		.want = b->conf.features,
		.size = b->conf.tso ? RING_SIZE_TSO : RING_SIZE,
		.pieces = b->conf.tso ? PIECES_TSO : 1,
		.tx_piece = b->conf.tso ? TX_PIECE_TSO : TX_PIECE,
		.huge = b->conf.huge,
	};
	int ret = k->async ? async_make(b, k, &n, p) : ethdev_make(b, k, &n, p);

	if (ret != 0) {
		fprintf(stderr, "%s: no port: %s\n", n.name, rte_strerror(-ret));
		return ret;
	}
	/* the driver allocates what a guest needs when it connects */
	p->spacer = rte_malloc(NULL, RTE_CACHE_LINE_SIZE * (1 + rte_rand_max(SPACER_MAX)),
			       RTE_CACHE_LINE_SIZE);
	ret = guest_open(&p->guest, &conf);
	if (ret == -ENOTSUP)
		printf("%s does not offer what these rings need (features %#llx)\n",
		       k->driver, (unsigned long long)conf.want);
	else if (ret != 0)
		fprintf(stderr, "%s: no guest: %s\n", n.name, strerror(-ret));
	if (ret != 0)
		goto err_spacer;
	p->copied = 0;
	ret = link_wait(p, RTE_ETH_LINK_UP);
	if (ret != 0) {
		fprintf(stderr, "%s: the link does not come up\n", n.name);
		goto err_guest;
	}
	return 0;

err_guest:
	guest_close(&p->guest);
err_spacer:
	rte_free(p->spacer);
	return ret;
}

/* Close so many guests, which were opened side by side. */
static void
guests_close(struct bench *b, unsigned int nr)
{
	while (nr-- != 0) {
		struct bench_port *p = &b->port[nr % BENCH_NR_SIDES][nr / BENCH_NR_SIDES];

		guest_close(&p->guest);
		rte_free(p->spacer);
		/* whoever comes next on this port shall not meet this one */
		if (link_wait(p, RTE_ETH_LINK_DOWN) != 0)
			fprintf(stderr, "port %u does not notice that its guest left\n",
				p->id);
	}
}

int
bench_open(struct bench *b, const struct bench_conf *conf)
{
	int ret;

	b->conf = *conf;
	for (unsigned int i = 0; i < BENCH_NR_SIDES * conf->nr_ports; i++) {
		ret = port_open(b, i % BENCH_NR_SIDES, i / BENCH_NR_SIDES);
		if (ret != 0) {
			guests_close(b, i);
			return ret;
		}
	}
	return 0;
}

void
bench_close(struct bench *b)
{
	guests_close(b, BENCH_NR_SIDES * b->conf.nr_ports);
}
