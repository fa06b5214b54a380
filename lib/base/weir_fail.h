/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_FAIL_H
#define WEIR_FAIL_H
/**
 * @file
 * Allocation for the control plane, each call of which can be made to fail.
 *
 * Every allocation of the lower rooms, and every call into a backend, passes a
 * fail point. A test arms the n-th one, runs an operation, and looks whether
 * the state afterwards is that before it; then n+1, until the operation
 * succeeds with the trigger unused. Disarmed, a fail point is one load of a
 * thread-local word. Nothing here belongs on a packet's path.
 *
 * The arming is per thread, so that a test does not disturb other threads.
 */
#include <stdbool.h>
#include <stddef.h>

/** Make the n-th fail point from now on (1 is the next) fail once; 0 disarms. */
void weir_fail_arm(unsigned int nth);

/** True if the armed failure has not happened yet. */
bool weir_fail_armed(void);

/** A fail point: true if the caller must behave as if its call had failed. */
bool weir_fail_point(void);

/** calloc() behind a fail point. @return zeroed memory, NULL if there is none. */
void *weir_zalloc(size_t len);

/** Array form, checked for overflow of @p nr times @p len. */
void *weir_calloc(size_t nr, size_t len);

/** realloc() behind a fail point; on failure @p old is as it was. */
void *weir_realloc(void *old, size_t len);

/** aligned_alloc() of zeroed memory behind a fail point; free() it. */
void *weir_zalloc_aligned(size_t align, size_t len);

#endif /* WEIR_FAIL_H */
