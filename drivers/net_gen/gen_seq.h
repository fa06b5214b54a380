/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GEN_SEQ_H
#define GEN_SEQ_H
/*
 * Which packets of a stream have been seen.
 *
 * A stream is a sender's run (a number it draws when it starts) and a sequence
 * that begins at 0. The tracker takes the first packet it sees of a run as the
 * beginning: what was sent before, to nobody, is not lost. From then on a gap
 * counts as lost until it is filled, late packets as reordered, and a packet
 * that comes again as a duplicate. It remembers the last GEN_HISTORY packets;
 * one that is older could be either and counts as a duplicate.
 *
 * Pure functions; no locks; one thread at a time for each tracker.
 */
#include <stdbool.h>
#include <stdint.h>

#define GEN_HISTORY 4096 /* a power of two */

struct gen_seq {
	bool started;
	uint16_t run;
	uint64_t first;			 /* where the tracker began */
	uint64_t next;			 /* one past the highest seen */
	uint64_t seen[GEN_HISTORY / 64]; /* of [next - GEN_HISTORY, next) */
};

/* What a packet meant; the counters it adds to. */
struct gen_seq_note {
	uint64_t ok;	    /* 1: seen for the first time */
	uint64_t dup;	    /* 1: seen before, or too old to tell */
	uint64_t reordered; /* 1: ok, but after its successor */
	uint64_t restarted; /* 1: the first of another run than the last */
	int64_t lost;	    /* packets that are missing now: more, or -1 */
};

struct gen_seq_note gen_seq_take(struct gen_seq *s, uint16_t run, uint64_t seq);

#endif /* GEN_SEQ_H */
