/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PERF_DMA_H
#define WEIR_PERF_DMA_H
/*
 * A dmadev to measure with what it costs to use one: it does as little as a driver
 * can, completes at once, and copies nothing. While frames are verified it copies.
 *
 * Devices are this program's own, not EAL's. One thread uses a vchan at a time.
 */
#include <stdbool.h>
#include <stdint.h>

#define PERF_DMA_VCHANS 2u
#define PERF_DMA_RING 1024u /* copies under way on each */

/*
 * Plug a device in. @p name is kept. Its id goes to @p id.
 *
 * 0; -ENOMEM: EAL has no room for it.
 */
int perf_dma_plug(const char *name, int16_t *id);

/* Stop it and take it out. */
void perf_dma_unplug(const char *name);

/* Make the copies of all devices, by CPU, when they are submitted; or make none. */
void perf_dma_set_copies(bool copies);

#endif /* WEIR_PERF_DMA_H */
