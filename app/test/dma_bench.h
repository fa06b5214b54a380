/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DMA_BENCH_H
#define DMA_BENCH_H
/*
 * A dma_weir engine on a bench: started, with memory of its own that the space
 * leads to at iovas that are not its addresses.
 */
#include <stdint.h>

#include <rte_dmadev.h>

#include "weir_space.h"

#define BENCH_PAGE UINT64_C(0x1000)
#define BENCH_PAGES 16
/* Far from any host address; page n of the memory is at page n from here. */
#define BENCH_IOVA (UINT64_C(1) << 40)

struct dma_bench {
	int16_t id;
	struct weir_space *space;
	uint8_t *mem; /* BENCH_PAGES pages, of which nothing is mapped at first */
};

/*
 * Start an engine with so many vchans of 64 descriptors each. 0 or -errno; on
 * failure nothing is left behind.
 */
int dma_bench_open(struct dma_bench *b, const char *args, uint16_t nr_vchans);

/* Stop and remove it; what is mapped in the bench's memory is unmapped. */
void dma_bench_close(struct dma_bench *b);

/* Map @nr pages at page @to of the iovas to page @from of the memory. */
int dma_bench_map(struct dma_bench *b, unsigned int to, unsigned int from,
		  unsigned int nr, uint32_t prot);

int dma_bench_unmap(struct dma_bench *b, unsigned int to, unsigned int nr);

/* The iova of a byte, counted from the bench's first. */
static inline uint64_t
dma_bench_iova(uint64_t off)
{
	return BENCH_IOVA + off;
}

/*
 * Wait for one job of a vchan, at most some seconds. Its status, or -ETIMEDOUT.
 */
int dma_bench_status(const struct dma_bench *b, uint16_t vchan);

/* Enqueue and submit a copy, and wait for it: its status, or -errno. */
int dma_bench_copy(const struct dma_bench *b, uint64_t src, uint64_t dst, uint32_t len);

#endif /* DMA_BENCH_H */
