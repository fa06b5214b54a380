/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>

#include "net_weir.h"

/* A counter of each queue, and which way it is shown. */
struct counter {
	const char *name;
	size_t offset; /* in struct weir_queue_stats */
	bool rx, tx;
};

#define COUNTER(field, r, t)                                           \
	{                                                              \
#field, offsetof(struct weir_queue_stats, field), r, t \
	}

static const struct counter counters[] = {
	COUNTER(packets, true, true),	 COUNTER(bytes, true, true),
	COUNTER(cpu_copies, true, true), COUNTER(dma_copies, true, true),
	COUNTER(dma_full, true, true),	 COUNTER(dma_threshold, true, true),
	COUNTER(dma_errors, true, true), COUNTER(in_flight, true, true),
	COUNTER(dropped, true, true),	 COUNTER(no_mbuf, true, false),
	COUNTER(calls, true, true),	 COUNTER(rewound, true, false),
};

/* Called for each counter of each queue that is set up, in the order shown. */
typedef void (*visit_t)(unsigned int at, const char *dir, uint16_t queue,
			const struct counter *c, const struct weir_queue_stats *st,
			void *arg);

static unsigned int
visit_queue(struct weir_queue *q, bool rx, uint16_t index, unsigned int at, visit_t fn,
	    void *arg)
{
	struct weir_queue_stats st;

	if (q == NULL)
		return at;
	weir_queue_stats_get(q, &st);
	for (size_t i = 0; i < RTE_DIM(counters); i++)
		if (rx ? counters[i].rx : counters[i].tx)
			fn(at++, rx ? "rx" : "tx", index, &counters[i], &st, arg);
	return at;
}

/* @return how many there are. */
static unsigned int
visit_all(struct rte_eth_dev *dev, visit_t fn, void *arg)
{
	struct weir_port *port = net_weir_port_hold(dev);
	unsigned int at = 0;

	for (uint16_t i = 0; port != NULL && i < WEIR_PORT_MAX_PAIRS; i++)
		at = visit_queue(weir_port_rxq(port, i), true, i, at, fn, arg);
	for (uint16_t i = 0; port != NULL && i < WEIR_PORT_MAX_PAIRS; i++)
		at = visit_queue(weir_port_txq(port, i), false, i, at, fn, arg);
	net_weir_port_release();
	return at;
}

struct names {
	struct rte_eth_xstat_name *names;
	unsigned int n;
};

static void
visit_name(unsigned int at, const char *dir, uint16_t queue, const struct counter *c,
	   const struct weir_queue_stats *st, void *arg)
{
	struct names *out = arg;

	RTE_SET_USED(st);
	if (out->names != NULL && at < out->n)
		snprintf(out->names[at].name, sizeof(out->names[at].name), "%s_q%u_%s",
			 dir, queue, c->name);
}

int
net_weir_xstats_names(struct rte_eth_dev *dev, struct rte_eth_xstat_name *names,
		      unsigned int n)
{
	struct names out = { names, n };

	return (int)visit_all(dev, visit_name, &out);
}

struct values {
	struct rte_eth_xstat *xstats;
	unsigned int n;
};

static void
visit_value(unsigned int at, const char *dir, uint16_t queue, const struct counter *c,
	    const struct weir_queue_stats *st, void *arg)
{
	struct values *out = arg;

	RTE_SET_USED(dir);
	RTE_SET_USED(queue);
	if (out->xstats == NULL || at >= out->n)
		return;
	out->xstats[at].id = at;
	out->xstats[at].value = *(const uint64_t *)((const char *)st + c->offset);
}

int
net_weir_xstats_get(struct rte_eth_dev *dev, struct rte_eth_xstat *xstats, unsigned int n)
{
	struct values out = { xstats, n };

	return (int)visit_all(dev, visit_value, &out);
}

/* One queue's share of the port's counters. */
struct totals {
	struct rte_eth_stats *stats;
#if RTE_VERSION >= RTE_VERSION_NUM(25, 11, 0, 0)
	struct eth_queue_stats *q;
#else
	struct rte_eth_stats *q; /* the same counters live in here */
#endif
};

static void
add_rx(const struct totals *t, uint16_t i, const struct weir_queue_stats *st)
{
	t->stats->ipackets += st->packets;
	t->stats->ibytes += st->bytes;
	t->stats->ierrors += st->dropped;
	t->stats->rx_nombuf += st->no_mbuf;
	if (t->q == NULL || i >= RTE_ETHDEV_QUEUE_STAT_CNTRS)
		return;
	t->q->q_ipackets[i] = st->packets;
	t->q->q_ibytes[i] = st->bytes;
	t->q->q_errors[i] = st->dropped;
}

static void
add_tx(const struct totals *t, uint16_t i, const struct weir_queue_stats *st)
{
	t->stats->opackets += st->packets;
	t->stats->obytes += st->bytes;
	t->stats->oerrors += st->dropped;
	if (t->q == NULL || i >= RTE_ETHDEV_QUEUE_STAT_CNTRS)
		return;
	t->q->q_opackets[i] = st->packets;
	t->q->q_obytes[i] = st->bytes;
}

static int
stats_sum(struct rte_eth_dev *dev, const struct totals *t)
{
	struct weir_port *port = net_weir_port_hold(dev);
	struct weir_queue_stats st;

	for (uint16_t i = 0; port != NULL && i < WEIR_PORT_MAX_PAIRS; i++) {
		struct weir_queue *rxq = weir_port_rxq(port, i);
		struct weir_queue *txq = weir_port_txq(port, i);

		if (rxq != NULL) {
			weir_queue_stats_get(rxq, &st);
			add_rx(t, i, &st);
		}
		if (txq != NULL) {
			weir_queue_stats_get(txq, &st);
			add_tx(t, i, &st);
		}
	}
	net_weir_port_release();
	return port != NULL ? 0 : -ENODEV;
}

#if RTE_VERSION >= RTE_VERSION_NUM(25, 11, 0, 0)
int
net_weir_stats_get(struct rte_eth_dev *dev, struct rte_eth_stats *stats,
		   struct eth_queue_stats *qstats)
{
	const struct totals t = { stats, qstats };

	return stats_sum(dev, &t);
}
#else
int
net_weir_stats_get(struct rte_eth_dev *dev, struct rte_eth_stats *stats)
{
	const struct totals t = { stats, stats };

	return stats_sum(dev, &t);
}
#endif

int
net_weir_stats_reset(struct rte_eth_dev *dev)
{
	struct weir_port *port = net_weir_port_hold(dev);

	for (uint16_t i = 0; port != NULL && i < WEIR_PORT_MAX_PAIRS; i++) {
		struct weir_queue *rxq = weir_port_rxq(port, i);
		struct weir_queue *txq = weir_port_txq(port, i);

		if (rxq != NULL)
			weir_queue_stats_reset(rxq);
		if (txq != NULL)
			weir_queue_stats_reset(txq);
	}
	net_weir_port_release();
	return port != NULL ? 0 : -ENODEV;
}
