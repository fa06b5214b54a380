/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_STUB_DMA_H
#define WEIR_STUB_DMA_H
/*
 * A dmadev of a program's own, on no bus: all of it but what it does with copies. It
 * takes host addresses for iovas.
 */
#include <stdbool.h>
#include <stdint.h>

#include <rte_dmadev.h>
#include <rte_dmadev_core.h>

/* Its user's, who sets the first part before it is plugged in. */
struct stub_dma {
	const char *name; /* kept */
	/* what it says of itself: capabilities, vchans, descriptors, entries of a list */
	struct rte_dma_info info;
	/* its data plane, a function of which may be NULL, and what that is called with
	 */
	const struct rte_dma_fp_object *fp;
	void *priv;
	void (*configured)(void *priv); /* no copy is under way any more */
	int stop_ret;			/* what stopping answers; if not 0, it goes on */

	bool running;
	unsigned int starts; /* times it was started */
};

/* Plug it in, stopped. Its id goes to @p id. 0; -ENOMEM: EAL has no room for it. */
int stub_dma_plug(struct stub_dma *d, int16_t *id);

/* Take it away, whatever it does. */
void stub_dma_unplug(struct stub_dma *d);

#endif /* WEIR_STUB_DMA_H */
