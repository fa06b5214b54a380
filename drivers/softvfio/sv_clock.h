/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SV_CLOCK_H
#define SV_CLOCK_H
/**
 * @file
 * Time as a device sees it, and time as a driver spends it.
 *
 * A device that is slower than its driver by so many microseconds is easily
 * modelled on a machine where both always run, and impossible to model with a
 * wall clock on one where the driver's thread can be taken off its core at any
 * point: however long the device waits, the driver may not have run at all. So
 * a device can wait for the driver's *thread* to have run for a time. A thread
 * that sleeps is waited for no longer, since it has nothing to do before the
 * device has.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/** CLOCK_MONOTONIC in nanoseconds. */
static inline uint64_t
sv_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

/** A moment in a thread's own time. */
struct sv_moment {
	clockid_t clock; /**< the thread's CPU time */
	pid_t tid;
	uint64_t ns;
};

/** Note the calling thread's moment. May be called in a signal handler. */
void sv_moment_note(struct sv_moment *m);

/** True if the thread has run for @p ns since, sleeps now, or has ended. */
bool sv_moment_passed(const struct sv_moment *m, uint64_t ns);

#endif /* SV_CLOCK_H */
