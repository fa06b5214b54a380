/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PERF_DMA_H
#define WEIR_PERF_DMA_H
/*
 * Dmadevs to measure with. A device without a cost does as little as a driver can,
 * completes at once, and copies nothing: what is left is what it costs to use it.
 * One with a cost completes when an engine of that bandwidth and latency would, by a
 * clock of its own that runs only while its user is measured. While frames are
 * verified both copy.
 *
 * Devices are this program's own, not EAL's. One thread uses a vchan at a time.
 */
#include <stdbool.h>
#include <stdint.h>

#define PERF_DMA_VCHANS 2u
#define PERF_DMA_RING 1024u /* copies under way on each */

/* What copies cost, in cycles. All vchans share the engine. */
struct perf_dma_cost {
	uint64_t latency;  /* from a copy's end to when it can be seen */
	uint64_t per_copy; /* of the engine's time */
	uint64_t per_kib;  /* the same, for 1024 bytes */
	uint64_t doorbell; /* of the CPU's, each time that the engine is told */
};

/*
 * Plug a device in. @p name and @p cost are kept; NULL: it has none. Its id goes to
 * @p id.
 *
 * 0; -ENOMEM: EAL has no room for it.
 */
int perf_dma_plug(const char *name, const struct perf_dma_cost *cost, int16_t *id);

/* Stop it and take it out. */
void perf_dma_unplug(const char *name);

/* Make the copies of all devices, by CPU, when they are submitted; or make none. */
void perf_dma_set_copies(bool copies);

/* Let a device's clock run, as it does at first, or stop it, from cycle @p now on, so
 * that it has moved by just what its user is found to have taken. */
void perf_dma_clock(int16_t id, bool run, uint64_t now);

/* Put a clock that is stopped forward to when all copies are done. */
void perf_dma_clock_skip(int16_t id);

#endif /* WEIR_PERF_DMA_H */
