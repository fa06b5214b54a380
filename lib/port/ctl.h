/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PORT_CTL_H
#define WEIR_PORT_CTL_H
/*
 * The control thread: one a process, for all its ports.
 *
 * Everything that is not a packet happens on it: sockets, messages, mapping,
 * rings that start and stop. A port's control state belongs to it alone and
 * needs no lock. Other threads have it call a function of theirs and wait
 * (ctl_run). A function that runs on it may block for a bounded time.
 *
 * It runs where EAL runs its control threads, off the lcores, from the first
 * ctl_get() to the last ctl_put().
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A descriptor that is watched. Zero it but for these two. */
struct ctl_fd {
	int fd; /* -1: none */
	void (*ready)(struct ctl_fd *f);
	bool watched;
};

/* A timer that goes off once. */
struct ctl_timer {
	void (*expired)(struct ctl_timer *t);
	uint64_t due_us; /* CLOCK_MONOTONIC */
	struct ctl_timer *next;
	bool armed;
};

/* Start the thread, or count one more user. 0; -errno of what failed. */
int ctl_get(void);

/* One user less; the last one ends the thread. Not from the thread. */
void ctl_put(void);

/* Run fn(arg) on the thread and wait for it. On the thread: just call it. */
void ctl_run(void (*fn)(void *arg), void *arg);

/*
 * Microseconds for which the thread has been at a descriptor or a timer that lies in
 * the object; 0: it is not at one. Any thread.
 */
uint64_t ctl_busy_us(const void *obj, size_t len);

/* The rest is called on the thread. */

/* Watch f->fd for input, hang-up included. 0; -errno. */
int ctl_watch(struct ctl_fd *f);

/* Stop watching for a while. */
void ctl_unwatch(struct ctl_fd *f);

/* Stop watching, close the descriptor, set it to -1. */
void ctl_close(struct ctl_fd *f);

/* Arm a timer, or move it. */
void ctl_timer_set(struct ctl_timer *t, uint64_t delay_us);

void ctl_timer_clear(struct ctl_timer *t);

#endif /* WEIR_PORT_CTL_H */
