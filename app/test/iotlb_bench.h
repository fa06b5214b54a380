/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_TEST_IOTLB_BENCH_H
#define WEIR_TEST_IOTLB_BENCH_H
/*
 * A port, and a frontend that plays a vIOMMU: guest memory is mapped page by page. What
 * is unmapped is scribbled over: a frame that is read too late is not as it was sent,
 * and bytes that are written too late spoil the scribble. Needs EAL; one at a time.
 */
#include <stdbool.h>
#include <stdint.h>

#include <linux/vhost_types.h>

#include "frontend.h"
#include "port_lcore.h"
#include "weir_port.h"
#include "weir_space.h"

#define IOTLB_PAGE 4096u
#define IOTLB_MAX_PAGES 256u
#define IOTLB_IOVA UINT64_C(0xffe00000)
#define IOTLB_SCRIBBLE 0xa5
#define LEN LCORE_LEN
#define RO VHOST_ACCESS_RO
#define WO VHOST_ACCESS_WO
#define RW VHOST_ACCESS_RW

struct iotlb_bench {
	char path[108];
	struct weir_port *port;
	struct weir_space *space;
	struct weir_queue *rxq, *txq;
	struct fe f;
	int chan;
	uint8_t perm[IOTLB_MAX_PAGES]; /* the page table */
	bool mute;		       /* misses are answered, and not served */
	unsigned int misses, refused;

	struct port_lcore lcore;

	/* the guest's */
	uint32_t sent, taken, reaped;
};

/* True if an error or a warning had these words. */
bool iotlb_said(const char *words);

/* An IOTLB message; the answer's value. */
int64_t iotlb_msg(struct iotlb_bench *b, uint64_t iova, uint64_t len, uint64_t uva,
		  uint8_t perm, uint8_t type);

/* Tell of pages as they are mapped. */
int64_t iotlb_update(struct iotlb_bench *b, uint32_t page, uint32_t nr);

/* Unmap pages, and tell of it; map them, of which is told when it is asked for. */
int64_t iotlb_unmap(struct iotlb_bench *b, uint32_t page, uint32_t nr);
void iotlb_map(struct iotlb_bench *b, uint32_t page, uint32_t nr, uint8_t perm);

/* Number of the page of something in guest memory. */
uint32_t iotlb_page_of(const struct iotlb_bench *b, const void *p);

/* Serve the misses there are. False: the channel or an answer is not as it should be. */
bool iotlb_serve(struct iotlb_bench *b);

/* Rings are mapped, and none of the buffers. @dma_args: of the engine that copies, or of
 * two, with '/' between them; NULL: the CPU does. 0; -errno. */
int iotlb_open(struct iotlb_bench *b, uint64_t features, const char *dma_args);

/* @return mbufs that nobody gave back. */
unsigned int iotlb_close(struct iotlb_bench *b, bool dma);

/* Serve until both rings run; 10 s are a failed test. */
bool iotlb_rings_run(struct iotlb_bench *b);

/* The guest's buffer of number @nr, of one ring: a page has two of them. */
uint8_t *iotlb_buffer(struct iotlb_bench *b, unsigned int ring, uint32_t nr);

/* The guest sends a frame from one page, mapped for it; a page has one at a time. */
bool iotlb_guest_send(struct iotlb_bench *b, uint8_t perm);

/* The guest gets a buffer back: it is unmapped, and used for something else. */
bool iotlb_guest_reap(struct iotlb_bench *b);

/* Take what came, in order; offer the buffers anew, after a while of their own. */
bool iotlb_guest_take(struct iotlb_bench *b);

#endif /* WEIR_TEST_IOTLB_BENCH_H */
