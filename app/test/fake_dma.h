/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FAKE_DMA_H
#define FAKE_DMA_H
/*
 * A dmadev that does what a test tells it: copies when it is allowed to, fails,
 * stands still, does not let itself be stopped. It takes host addresses for iovas.
 */
#include <stdbool.h>
#include <stdint.h>

#include "stub_dma.h"

#define FAKE_DMA_NAME "fake_dma"
#define FAKE_DMA_RING 64u
#define FAKE_DMA_VCHANS 2u
#define FAKE_DMA_SGES 4u

struct fake_dma {
	/* the test's to set */
	uint64_t credit; /* copies it may still make; they fail if `fails` */
	bool fails;	 /* every copy, with an error */
	bool wrong;	 /* copies are reported and not made */
	/* the test's to read */
	unsigned int jobs;  /* that it was given */
	unsigned int calls; /* data plane calls while it was stopped */
	struct stub_dma stub;
};

/* Plug it in, stopped. @return NULL: no dmadev to be had. */
struct fake_dma *fake_dma_plug(void);

/* Take it away, whatever it does. */
void fake_dma_unplug(void);

#endif /* FAKE_DMA_H */
