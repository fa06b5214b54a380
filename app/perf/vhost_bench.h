/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PERF_VHOST_BENCH_H
#define WEIR_PERF_VHOST_BENCH_H
/*
 * Both backends, net_weir and DPDK's net_vhost, as ethdev ports of this process,
 * each port with a guest of its own; and bursts over them, one at a time. With
 * dmadevs the peer is rte_vhost, which is called as an application would.
 *
 * A burst is one step of the backend, measured, between two of the guest, not
 * measured: the guest offers what the burst needs, the backend has its turn, and
 * the guest takes back what the backend has done. Guest and backend are one
 * thread, so the guest's writes are in this core's cache.
 *
 * Where a driver's own memory lies is chance, and matters: a store and a load that
 * have the last twelve bits of their addresses in common look dependent to a CPU,
 * and net_vhost has been seen to take half as long again for a short packet in one
 * place as in another. So each bench_open() leaves a random piece of DPDK's heap
 * out, and whoever measures should do so in several places.
 */
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "async_peer.h"
#include "guest.h"
#include "perf_dma.h"

#define BENCH_MAX_PORTS 8u
#define BENCH_MAX_SERIES 8u
#define BENCH_MAX_BURST 32u
#define BENCH_MAX_FRAME (65536u + 64u)

enum bench_side { BENCH_WEIR, BENCH_PEER, BENCH_NR_SIDES };

/* A backend waits so long for a ring, a guest or a frame. */
#define BENCH_WAIT_S 10u

enum bench_op {
	BENCH_ENQUEUE, /* tx burst: mbufs to the guest */
	BENCH_DEQUEUE, /* rx burst, which asks for 32: the guest's frames to mbufs */
	BENCH_POLL,    /* rx burst on an empty queue */
	BENCH_COPY,    /* the copies of a dequeue, and nothing else */
};

/* What is at the other end of a guest. */
struct bench_backend {
	const char *driver;    /* of an ethdev, unless it is */
	bool async;	       /* rte_vhost's asynchronous API */
	const char *dma;       /* dmadev of this program's that copies; NULL: none */
	const char *threshold; /* with one: net_weir's dma-threshold */
	unsigned int series;   /* ports of the same driver that differ in all this */
};

/* What the guests of a few rows have in common. */
struct bench_conf {
	const struct bench_backend *side[BENCH_NR_SIDES];
	uint64_t features;     /* of the guests */
	unsigned int nr_ports; /* of each side */
	bool tso;	       /* ports that offer it, and rings for long frames */
	bool huge;	       /* memory in huge pages */
};

/* What a burst does. */
struct bench_job {
	enum bench_op op;
	unsigned int nr_ports; /* which take their turns inside of the burst */
	uint16_t burst;	       /* frames for each */
	uint32_t len;	       /* of a frame, without virtio's header */
	uint16_t mss;	       /* 0: an ordinary frame; else one to be segmented */
};

struct bench_port {
	uint16_t id;		  /* of the ethdev, unless it is */
	struct async_peer *async; /* rte_vhost's */
	int16_t dma;		  /* of its dmadev, if it has one */
	uint16_t done;		  /* what the burst function said */
	uint32_t copied;	  /* frames, BENCH_COPY */
	void *spacer;		  /* of the heap, see above */
	struct guest guest;
	struct rte_mbuf *pkts[BENCH_MAX_BURST];
};

struct bench {
	struct rte_mempool *pool;
	struct bench_conf conf;
	struct bench_port port[BENCH_NR_SIDES][BENCH_MAX_PORTS];
	bool cold; /* a burst finds nothing of the guest's in the caches */
	struct async_peer *async[BENCH_MAX_PORTS];
	unsigned int nr_async;
	const char *dma[BENCH_MAX_SERIES]; /* what is plugged in */
	unsigned int nr_dma;
	const struct perf_dma_cost *dma_cost; /* of each; NULL: none */
	char folder[32];		      /* of the sockets */
};

/* What EAL may have: are there huge pages for it; a CPU that is not the first. */
bool bench_huge_pages(void);
unsigned int bench_last_cpu(void);

/* Start EAL on a CPU. 0; -ENOTSUP: it does not start here, which was printed. */
int bench_eal_start(unsigned int cpu, bool huge);

/* Mbufs, and a folder. EAL runs. @p cold: see struct bench. 0; -errno. */
int bench_start(struct bench *b, bool cold);
void bench_stop(struct bench *b);

/* Make the ports there are not yet, and connect a guest to each. 0; -ENOTSUP: a
 * backend does not offer a feature, which was printed; -errno. */
int bench_open(struct bench *b, const struct bench_conf *conf);
void bench_close(struct bench *b);

/* Prepare for a job: fill the guests' buffers, see frames go through whole, on
 * every place of the ring. 0; -EBADMSG: they do not, which was printed; -errno. */
int bench_verify(struct bench *b, const struct bench_job *j);

/* One burst of one side. @p cycles: what the backend took. 0; -EIO: it did not
 * do all of it; -ENOMEM. */
int bench_burst(struct bench *b, const struct bench_job *j, enum bench_side side,
		uint64_t *cycles);

/* The backend's functions, of an ethdev or of rte_vhost's. */
static inline uint16_t
bench_tx(struct bench_port *p, struct rte_mbuf **pkts, uint16_t n)
{
	return p->async != NULL ? async_peer_tx(p->async, pkts, n)
				: rte_eth_tx_burst(p->id, 0, pkts, n);
}

static inline uint16_t
bench_rx(struct bench *b, struct bench_port *p, struct rte_mbuf **pkts, uint16_t n)
{
	return p->async != NULL ? async_peer_rx(p->async, b->pool, pkts, n)
				: rte_eth_rx_burst(p->id, 0, pkts, n);
}

/* An mbuf as long as a job's frame, with whatever is in it. NULL: there is none. */
struct rte_mbuf *bench_mbuf(struct bench *b, const struct bench_job *j);

/* All that is measured; names of their own, for profilers that collect by name. */
void bench_measured_weir(struct bench *b, const struct bench_job *j);
void bench_measured_peer(struct bench *b, const struct bench_job *j);

#endif /* WEIR_PERF_VHOST_BENCH_H */
