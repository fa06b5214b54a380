/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PORT_QUEUE_COAL_H
#define WEIR_PORT_QUEUE_COAL_H
/*
 * Calls that are held back (VIRTIO 1.3, 5.1.6.5.9): a guest may ask for fewer of
 * them, one in so many packets or so many microseconds.
 *
 * A lcore that owes the guest a call marks it as held, with the time by which it
 * has to go, and makes it when enough packets have come together. The control
 * thread makes those whose time is over, so no call waits for another burst. It
 * looks as often as the guest's times ask for while calls are held, and dozes
 * otherwise; the lcore that holds the first one wakes it.
 *
 * Who takes the mark away makes the call, lcore or control thread, so that it is
 * made once. Who marks looks whether the control thread dozes; who dozes off
 * looks for marks behind it. One of the two sees the other.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct weir_queue;

struct queue_coal {
	_Atomic uint32_t packets; /* that make it go before */
	_Atomic bool held;
	_Atomic uint64_t due; /* held: by then, of the TSC */
	_Atomic bool fresh;   /* seen is of an earlier time */
	uint16_t seen;	      /* used entries at the lcore's last look, running on */
	uint16_t base;	      /* held: of them, those that it is not about */
	_Atomic bool *dozes;  /* the control thread, as to the port's calls */
};

/* Used entries were published, of a queue with a call descriptor whose calls may
 * wait: make the call, or hold it. From inside. */
void queue_coal_call(struct weir_queue *q);

/* Make the call that is held, if there is one. From inside, or control thread. */
void queue_coal_release(struct weir_queue *q);

#endif /* WEIR_PORT_QUEUE_COAL_H */
