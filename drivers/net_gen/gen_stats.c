/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include "gen.h"

static uint64_t
since_reset(const struct gen_counters *c, enum gen_counter which)
{
	return atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)&c->now[which],
				    memory_order_relaxed) -
	       c->base[which];
}

static uint64_t
rx_sum(const struct gen_dev *d, enum gen_counter which)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < GEN_MAX_QUEUES; i++)
		if (d->rxq[i] != NULL)
			sum += since_reset(&d->rxq[i]->counters, which);
	return sum;
}

static uint64_t
tx_sum(const struct gen_dev *d, enum gen_counter which)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < GEN_MAX_QUEUES; i++)
		if (d->txq[i] != NULL)
			sum += since_reset(&d->txq[i]->counters, which);
	return sum;
}

/* The names say what happened to the generator's packets: made, then received. */
static const struct gen_xstat {
	const char *name;
	enum gen_counter which;
	uint64_t (*sum)(const struct gen_dev *d, enum gen_counter which);
} gen_xstat[] = {
	{ "gen_tx", GEN_PACKETS, rx_sum },
	{ "gen_window_resets", GEN_WINDOW_RESETS, rx_sum },
	{ "gen_rx_ok", GEN_RX_OK, tx_sum },
	{ "gen_rx_corrupt", GEN_RX_CORRUPT, tx_sum },
	{ "gen_rx_foreign", GEN_RX_FOREIGN, tx_sum },
	{ "gen_rx_lost", GEN_RX_LOST, tx_sum },
	{ "gen_rx_dup", GEN_RX_DUP, tx_sum },
	{ "gen_rx_reordered", GEN_RX_REORDERED, tx_sum },
	{ "gen_rx_restarts", GEN_RX_RESTARTS, tx_sum },
};

static void
fill_stats(const struct gen_dev *d, struct rte_eth_stats *stats)
{
	stats->ipackets = rx_sum(d, GEN_PACKETS);
	stats->ibytes = rx_sum(d, GEN_BYTES);
	stats->rx_nombuf = rx_sum(d, GEN_NO_MBUF);
	stats->opackets = tx_sum(d, GEN_PACKETS);
	stats->obytes = tx_sum(d, GEN_BYTES);
	stats->oerrors = tx_sum(d, GEN_RX_CORRUPT);
}

#if RTE_VERSION >= RTE_VERSION_NUM(25, 11, 0, 0)
int
gen_stats_get(struct rte_eth_dev *dev, struct rte_eth_stats *stats,
	      struct eth_queue_stats *queues __rte_unused)
{
	fill_stats(dev->data->dev_private, stats);
	return 0;
}
#else
int
gen_stats_get(struct rte_eth_dev *dev, struct rte_eth_stats *stats)
{
	fill_stats(dev->data->dev_private, stats);
	return 0;
}
#endif

/* The lcores go on counting: what they have counted so far is taken off. */
static void
reset(struct gen_counters *c)
{
	for (unsigned int i = 0; i < GEN_NR_COUNTERS; i++)
		c->base[i] = atomic_load_explicit(&c->now[i], memory_order_relaxed);
}

int
gen_stats_reset(struct rte_eth_dev *dev)
{
	struct gen_dev *d = dev->data->dev_private;

	for (unsigned int i = 0; i < GEN_MAX_QUEUES; i++) {
		if (d->rxq[i] != NULL)
			reset(&d->rxq[i]->counters);
		if (d->txq[i] != NULL)
			reset(&d->txq[i]->counters);
	}
	return 0;
}

int
gen_xstats_get(struct rte_eth_dev *dev, struct rte_eth_xstat *xstats, unsigned int n)
{
	if (xstats == NULL || n < RTE_DIM(gen_xstat))
		return RTE_DIM(gen_xstat);
	for (unsigned int i = 0; i < RTE_DIM(gen_xstat); i++) {
		xstats[i].id = i;
		xstats[i].value =
			gen_xstat[i].sum(dev->data->dev_private, gen_xstat[i].which);
	}
	return RTE_DIM(gen_xstat);
}

int
gen_xstats_names(struct rte_eth_dev *dev __rte_unused, struct rte_eth_xstat_name *names,
		 unsigned int n)
{
	if (names == NULL || n < RTE_DIM(gen_xstat))
		return RTE_DIM(gen_xstat);
	for (unsigned int i = 0; i < RTE_DIM(gen_xstat); i++)
		snprintf(names[i].name, sizeof(names[i].name), "%s", gen_xstat[i].name);
	return RTE_DIM(gen_xstat);
}
