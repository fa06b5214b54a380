/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PORT_BENCH_H
#define PORT_BENCH_H
/*
 * A port for tests, which talk to it as the frontend of frontend.h and take and
 * give its frames as an application, in one process and one thread. Needs EAL.
 */
#include <stdatomic.h>

#include <rte_mbuf.h>

#include "frontend.h"
#include "test.h"
#include "weir_port.h"
#include "weir_space.h"

#define BURST 32u
/* What guests ask for: all, but the format of rings is the test's choice. */
#define ALL_FEATURES wanted
#define NR_SIZES 10u

struct bench {
	char path[108];
	struct weir_port *port;
	struct weir_space *space;
	struct weir_queue *rxq, *txq;
};

/* FE_SPLIT, or UINT64_MAX for packed rings. */
extern uint64_t wanted;

/* Frame sizes, the last one of several mbufs and several buffers. */
extern const uint16_t sizes[NR_SIZES];

/* All frames' mbufs, made by the first bench_open(). */
extern struct rte_mempool *pool;

/* The port that is stopped when it tells of a queue; NULL: none. */
extern struct weir_port *_Atomic stop_when_told;

/* True if the last error or warning has these words; if not, it is shown. */
bool said(const char *words);

/* A port of one pair that listens; @dma NULL: the CPU copies. 0; -errno. */
int bench_open(struct bench *b, const char *dma, uint32_t threshold);

/* The same, offering postcopy. */
int bench_open_postcopy(struct bench *b, const char *dma);

/* 0 if no mbuf is left with anyone. */
unsigned int bench_close(struct bench *b);

/* Wait for what another thread does; 5 s are a failed test. */
bool link_becomes(const struct bench *b, bool up);

/* The bytes of frame number @nr, and whether they are. */
void fill(uint8_t *buf, size_t len, uint32_t nr);
bool filled(const uint8_t *buf, size_t len, uint32_t nr);

/* Frame number @nr, of several mbufs if it is long. */
struct rte_mbuf *frame(size_t len, uint32_t nr);

/* So many frames of all sizes and shapes one way, each looked at. */
enum test_result to_host(struct bench *b, struct fe *f, uint32_t rounds);
enum test_result to_guest(struct bench *b, struct fe *f, uint32_t rounds);

/* A case of the test's, with packed rings. */
enum test_result bench_packed(enum test_result (*run)(void));

#define BENCH_PACKED(name)                          \
	static enum test_result name##_packed(void) \
	{                                           \
		return bench_packed(name);          \
	}

/* A dmadev "dma_weir_test" of ours for one test. 0; -errno. */
int dma_open(const char *args);
void dma_close(void);

/* Two of them, for a port that is opened with TWO_DMAS. 0; -errno. */
#define TWO_DMAS "dma_weir_test,dma_weir_other"
int dma_open_two(const char *first, const char *second);
void dma_close_two(void);

#endif /* PORT_BENCH_H */
