/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PERF_FLOW_H
#define WEIR_PERF_FLOW_H
/*
 * A stream of frames through a port of vhost_bench.h, burst after burst, where the
 * backend need not be done with a burst when its function returns.
 *
 * The other end keeps up: a guest's receive ring has all buffers that are not used,
 * its transmit ring is full, and the application has always a burst of frames. The
 * frames' places in guest memory are in no cache, as if the guest had a core of its
 * own. A dmadev's clock runs while the backend's function does: a lcore that does
 * nothing else has to wait for the engine. Or the lcore comes back when the engine is
 * done, as one with many ports does: then its work alone is measured.
 */
#include "vhost_bench.h"

#define FLOW_MAX_LENS 4u

struct flow_job {
	enum bench_op op; /* BENCH_ENQUEUE, BENCH_DEQUEUE */
	unsigned int nr_lens;
	uint32_t len[FLOW_MAX_LENS]; /* of frames, in turn */
};

/* What a number of packets took, in cycles. */
struct flow_took {
	uint64_t packets;
	uint64_t cycles; /* in the backend */
};

struct flow {
	struct bench *b;
	struct bench_port *port;
	const struct flow_job *job;
	bool has_dma;
	uint32_t at;	  /* the next frame's number */
	uint32_t nr_pkts; /* in port->pkts, not taken yet */
};

/* Begin a stream on a port that is idle. */
void flow_open(struct flow *f, struct bench *b, enum bench_side side,
	       const struct flow_job *j);

/* Free what the application has left, and let the clock run. */
void flow_close(struct flow *f);

/* At least @p packets more, behind some that are not counted; with @p waits a lcore that
 * does nothing else. 0; -ENOMEM; -ETIMEDOUT: the backend stands still; -EPROTO: it broke
 * the ring. */
int flow_run(struct flow *f, uint64_t packets, bool waits, struct flow_took *took);

#endif /* WEIR_PERF_FLOW_H */
