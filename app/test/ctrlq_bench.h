/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_TEST_CTRLQ_BENCH_H
#define WEIR_TEST_CTRLQ_BENCH_H
/*
 * A port of two pairs, copied by CPU, and a frontend that hands over the control
 * queue. Needs EAL. One at a time.
 */
#include <stdatomic.h>
#include <unistd.h>

#include <rte_mbuf.h>

#include "frontend.h"
#include "weir_port.h"

#define PAIRS 2u
#define CTRL (2 * PAIRS) /* number of its ring */

struct ctrlq_bench {
	struct rte_mempool *pool;
	struct weir_port *port;
	struct fe fe;
	char path[108];
	_Atomic unsigned int nr_told; /* changes of the filter */
	char last_error[256];	      /* that was logged */
};

extern struct ctrlq_bench ctrlq_bench;

/* Make them, with those features of @p features that are offered. 0; -errno. */
int ctrlq_open(uint64_t features, bool rss);
void ctrlq_close(void);

/* Offer a command in three buffers, kick, and wait for its answer at @p gpa; -1: none
 * comes. */
int ctrlq_send_to(volatile uint8_t *answer, uint64_t gpa, const uint8_t *bytes,
		  uint32_t len);

/* The same, with the answer in a buffer of the ring's. */
int ctrlq_send(const uint8_t *bytes, uint32_t len);

/* Both queues of a pair run. */
bool ctrlq_pair_runs(uint16_t pair);

/* What comes to be on another thread; 5 s are a failed test. */
#define BECOMES(cond)                           \
	({                                      \
		int left_ = 5000;               \
		while (!(cond) && left_-- != 0) \
			usleep(1000);           \
		(cond);                         \
	})

#endif /* WEIR_TEST_CTRLQ_BENCH_H */
