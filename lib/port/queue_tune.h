/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PORT_QUEUE_TUNE_H
#define WEIR_PORT_QUEUE_TUNE_H
/*
 * From how many bytes on a copy is given to a channel: measured, not guessed.
 *
 * Of every so many bursts one is measured: its pieces go by CPU and by DMA in turn,
 * whatever the threshold says, and are timed. By CPU a copy costs what its size
 * class costs; by DMA what submitting it costs, its share of the doorbell, and its
 * share of taking completions, whatever its size. The pieces of a packet that are one
 * job of the device share what it takes to submit it, and go one way together. What the
 * device needs for it is no cost of the lcore's. The threshold is where the former
 * becomes more than the latter.
 *
 * It has hysteresis: a class that goes by DMA leaves when that costs 8/7 of the
 * CPU's copy, one that does not goes when the CPU's copy costs 9/8.
 *
 * Costs are TSC cycles times 16, averaged over about 8 samples. One outlier, of an
 * lcore that was interrupted, counts for at most 4 times the average.
 */
#include <stdbool.h>
#include <stdint.h>

/* Class k is of 2^k bytes to twice as many. The last holds the longest piece. */
#define TUNE_CLASSES 18u

/* Where it begins, until something was measured. */
#define TUNE_FIRST 512u

/* Above any piece: all goes by CPU. */
#define TUNE_NEVER (1u << TUNE_CLASSES)

struct queue_tune {
	uint32_t wait;			 /* bursts until one is measured */
	uint32_t warm;			 /* bursts measured so far, up to some */
	uint32_t pieces;		 /* of the burst that is measured */
	bool by_dma;			 /* the last one's way */
	bool poll;			 /* completions are yet to be measured */
	uint64_t poll_cycles;		 /* spent looking for them so far, no average */
	uint64_t cpu[TUNE_CLASSES];	 /* a copy; 0: not measured */
	uint64_t submit, kick, complete; /* a copy's share; 0: not measured */
};

/* One more sample of so many cycles. */
void tune_sample(uint64_t *average, uint64_t cycles);

/* The threshold for what was measured, @p now being in force. */
uint32_t tune_threshold(const struct queue_tune *t, uint32_t now);

#endif /* WEIR_PORT_QUEUE_TUNE_H */
