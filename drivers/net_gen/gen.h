/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GEN_H
#define GEN_H
/*
 * net_wgen: an ethdev that makes packets and checks those it is given.
 *
 * What an application receives from it is generated; what the application
 * sends to it is verified, every byte, and counted as intact, corrupt, lost,
 * duplicated or reordered. A stock dpdk-testpmd that forwards between it and a
 * port under test is thereby a generator and a checker. Two such applications
 * at the two ends of a path check both directions.
 *
 * Streams: each receive queue generates `streams` streams with their own
 * sequence numbers, 16 ids to a queue, whether used or not. Whatever transmit
 * queue a packet arrives on, its stream's state is the device's.
 *
 * Closed loop: with window=N no more than N packets of a stream are on the way.
 * Every packet acknowledges what was seen of the same stream the other way, so
 * both ends need the same queues and streams. An end that may not send but has
 * news for the other sends one packet beyond its window, up to twice the
 * window; without that, two ends that fill their windows at the same time would
 * wait for each other for ever. If nothing was acknowledged for timeout_ms
 * while the window was full, what is on the way is taken for lost.
 *
 * Pausing: rte_eth_dev_set_link_down() stops generation and nothing else, so
 * that what is on the way can be drained and counted; set_link_up() goes on.
 *
 * Threads: a queue is one lcore's at a time, as for any ethdev. The two
 * directions meet in a few atomic words; several transmit queues share a
 * stream's tracker under its lock.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_log.h>
#include <rte_spinlock.h>
#include <rte_version.h>
#include <ethdev_driver.h>

#include "gen_packet.h"
#include "gen_seq.h"

#define GEN_MAX_QUEUES 16
#define GEN_QUEUE_STREAMS 16 /* ids a queue has */
static_assert(GEN_MAX_QUEUES * GEN_QUEUE_STREAMS == GEN_MAX_STREAMS,
	      "each queue's streams have ids");

extern int gen_logtype;
#define GEN_LOG(level, fmt, ...) \
	rte_log(RTE_LOG_##level, gen_logtype, "net_wgen: " fmt "\n", ##__VA_ARGS__)

/* What is counted, a queue each. */
enum gen_counter {
	GEN_PACKETS, /* made, or given to check */
	GEN_BYTES,
	GEN_NO_MBUF,	   /* not made: the pool was empty */
	GEN_WINDOW_RESETS, /* windows taken for lost */
	GEN_RX_OK,
	GEN_RX_CORRUPT,
	GEN_RX_FOREIGN,
	GEN_RX_LOST,
	GEN_RX_DUP,
	GEN_RX_REORDERED,
	GEN_RX_RESTARTS,
	GEN_NR_COUNTERS
};

/* Written by the queue's lcore, read by anybody. */
struct gen_counters {
	_Atomic uint64_t now[GEN_NR_COUNTERS];
	uint64_t base[GEN_NR_COUNTERS]; /* at the last reset; control plane's */
};

static inline void
gen_count(struct gen_counters *c, enum gen_counter which, uint64_t nr)
{
	uint64_t old = atomic_load_explicit(&c->now[which], memory_order_relaxed);

	atomic_store_explicit(&c->now[which], old + nr, memory_order_relaxed);
}

struct gen_conf {
	uint32_t min_len, max_len; /* of packets */
	bool imix;
	uint32_t window;     /* 0: open loop */
	uint64_t count;	     /* packets a queue makes in all; 0: no end */
	uint64_t streams;    /* a queue */
	uint64_t seed;	     /* of the sizes */
	uint64_t timeout_ms; /* until a full window is taken for lost */
	bool yield;	     /* give the core away when there is nothing to do */
	bool start;	     /* generate from dev_start on, not only from link-up */
};

/* A run and a sequence number's low bits in one word, passed between lcores. */
static inline uint64_t
gen_ack_pack(uint16_t run, uint32_t next)
{
	return (uint64_t)run << 32 | next;
}

/* The checker's end of a stream. */
struct gen_stream {
	_Alignas(64) rte_spinlock_t lock; /* guards seq */
	struct gen_seq seq;
	_Atomic uint64_t to_ack;   /* of the peer's packets, for ours to carry */
	_Atomic uint64_t from_ack; /* of our packets, as the peer's last said */
};

/* The generator's end, its lcore's alone. */
struct gen_source {
	_Alignas(64) struct gen_head head;
	uint64_t next;	   /* sequence number of the next packet */
	uint64_t acked;	   /* all below were seen by the peer, or given up */
	uint64_t told;	   /* to_ack as the last packet carried it */
	uint64_t progress; /* TSC when the window last moved */
	struct gen_stream *stream;
};

struct gen_dev;

struct gen_rxq {
	_Alignas(64) struct gen_dev *dev;
	struct rte_mempool *pool;
	uint32_t room; /* bytes of a segment */
	uint16_t port;
	uint16_t turn;		 /* the stream that goes next */
	unsigned int idle_calls; /* in a row */
	uint64_t rand;		 /* of the sizes */
	uint64_t made;		 /* since start, for count */
	uint64_t checked_before; /* the device's, when this queue last idled */
	struct gen_source sources[GEN_QUEUE_STREAMS];
	struct gen_counters counters;
};

struct gen_txq {
	_Alignas(64) struct gen_dev *dev;
	struct gen_counters counters;
};

struct gen_dev {
	struct gen_conf conf;
	struct rte_ether_addr mac;
	uint16_t run;
	_Atomic bool paused;
	_Atomic uint64_t peer;	  /* its MAC address, once heard; else broadcast */
	_Atomic uint64_t checked; /* bumped by each burst that brought packets */
	uint64_t timeout_tsc;
	struct gen_stream *streams; /* GEN_MAX_STREAMS */
	struct gen_rxq *rxq[GEN_MAX_QUEUES];
	struct gen_txq *txq[GEN_MAX_QUEUES];
};

/* gen_args.c: 0 or -EINVAL, -ENOMEM, with the argument named in the log. */
int gen_args_parse(const char *name, const char *args, struct gen_conf *conf);

/* gen_make.c: an application's receive. */
uint16_t gen_rx_burst(void *rxq, struct rte_mbuf **pkts, uint16_t nr);
void gen_rxq_rewind(struct gen_rxq *q, uint16_t id);

/* gen_check.c: an application's transmit. */
uint16_t gen_tx_burst(void *txq, struct rte_mbuf **pkts, uint16_t nr);

/* gen_stats.c */
#if RTE_VERSION >= RTE_VERSION_NUM(25, 11, 0, 0)
int gen_stats_get(struct rte_eth_dev *dev, struct rte_eth_stats *stats,
		  struct eth_queue_stats *queues);
#else
int gen_stats_get(struct rte_eth_dev *dev, struct rte_eth_stats *stats);
#endif
int gen_stats_reset(struct rte_eth_dev *dev);
int gen_xstats_get(struct rte_eth_dev *dev, struct rte_eth_xstat *xstats, unsigned int n);
int gen_xstats_names(struct rte_eth_dev *dev, struct rte_eth_xstat_name *names,
		     unsigned int n);

#endif /* GEN_H */
