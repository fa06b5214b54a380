/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PORT_QUEUE_LOG_H
#define WEIR_PORT_QUEUE_LOG_H
/*
 * The dirty log of a migration: a bit for each 4 KiB of guest memory, which the
 * frontend takes and clears while the guest goes on.
 *
 * A page's bit is set when its bytes have been written, not when they are about
 * to be: who takes the bit first and reads the page then would miss them. By CPU
 * that is at the end of a copy. By DMA it is when the copy is over, so what a
 * packet's copies write to is kept until then, as spans of guest addresses: the
 * table of slots may be another by that time.
 *
 * A queue has a log while its port's frontend migrates, and a burst function that
 * knows it. Else there is a NULL, which is looked at once a burst.
 *
 * Written by whoever is inside the queue; made and freed by the control thread
 * while nobody is.
 */
#include <stdbool.h>
#include <stdint.h>

#include "weir_vring.h"

struct weir_queue;

#define QUEUE_LOG_PAGE 4096u

/* What the frontend asked for. */
struct queue_log_conf {
	uint8_t *bits;	   /* the mapped log */
	uint64_t len;	   /* bytes of it */
	bool data;	   /* VHOST_F_LOG_ALL: what is written into buffers */
	bool used;	   /* VHOST_VRING_F_LOG: what is written into the used ring */
	uint64_t used_gpa; /* where those writes are logged */
	int event_fd;	   /* -1, or to be written when bits were set */
};

/* Bytes that copies under way write to. */
struct queue_log_span {
	uint64_t gpa;
	uint32_t len;
	uint32_t pkt; /* of which packet of the window */
};

struct queue_log {
	struct queue_log_conf conf;
	uint32_t hint; /* slot of the last hit */
	uint16_t used; /* the ring's used_idx, or used_pos: what is before is logged */
	bool marked;   /* a bit was set since the frontend was told */
	uint32_t mask, head, tail;
	struct queue_log_span span[]; /* from tail to head, oldest first */
};

/*
 * Bits and addresses, for whoever writes to guest memory. What the log does not
 * reach has no bit.
 */

/* Where something in guest memory is for the guest. hint: the slot of the last hit. */
uint64_t log_gpa(const struct weir_gmem *g, const void *p, uint32_t *hint);

/* Set the bits of [gpa, gpa + len). */
void log_mark(const struct queue_log_conf *c, uint64_t gpa, uint64_t len);

/* Set those of used entries that were published since the ring's used_idx, packed:
 * used_pos, was `from`. @return what it is now. */
uint16_t log_mark_used(const struct queue_log_conf *c, const struct weir_vring *vr,
		       uint16_t from, uint32_t *hint);

/* Set those of the device's wishes: when it is to be kicked. */
void log_mark_wishes(const struct queue_log_conf *c, const struct weir_vring *vr);

/* Control thread: make the queue's log; the ring is found. 0; -ENOMEM. */
int queue_log_start(struct weir_queue *q, const struct queue_log_conf *conf);

/* Control thread: free it. Nothing is under way. NULL is allowed. */
void queue_log_stop(struct weir_queue *q);

/* From inside, with a channel: there is room for one packet more. */
bool queue_log_room(const struct weir_queue *q);

/* From inside: the first len bytes of q->iov were written. */
void queue_log_written(struct weir_queue *q, uint64_t len);

/* From inside: the first len bytes of q->iov are written by the copies of packet
 * number pkt of the window. */
void queue_log_packet(struct weir_queue *q, uint64_t len, uint32_t pkt);

/* From inside: the device's wishes were written. */
void queue_log_wishes(struct weir_queue *q);

/* From inside: packets have left the window, used entries were published. */
void queue_log_published(struct weir_queue *q);

#endif /* WEIR_PORT_QUEUE_LOG_H */
