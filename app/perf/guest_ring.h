/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PERF_GUEST_RING_H
#define WEIR_PERF_GUEST_RING_H
/* The driver's side of a ring, of either kind. */
#include "guest.h"

/* Bytes of a buffer for receiving: what an mbuf of DPDK's default size has. */
#define GUEST_RX_LEN (GUEST_HDR + 2048u)

/* Bytes of guest memory that a ring's three parts take. */
#define GUEST_RING_AREA(size) ((size_t)(size)*32 + 0x3000)

/* Lay the ring out at @p area, zeroed, and tell the device not to interrupt. */
void guest_ring_init(struct guest_ring *r, uint8_t *area);

/* Offer the next chain, @p len bytes long with its header. */
void guest_ring_post(struct guest_ring *r, uint32_t len);

/*
 * Take back the next chain.
 *
 * @return 1: @p at is its first descriptor and @p len what was written; 0: the
 *         device has not used it yet; -EPROTO: it gave back another one.
 */
int guest_ring_take(struct guest_ring *r, uint32_t *at, uint32_t *len);

/* Throw what the ring holds about @p n chains from the @p first on out of all caches:
 * descriptors and entries, not buffers. */
void guest_ring_flush(const struct guest_ring *r, uint32_t first, unsigned int n);

/* The same for a stretch of memory. */
void guest_lines_flush(const void *p, size_t len);

#endif /* WEIR_PERF_GUEST_RING_H */
