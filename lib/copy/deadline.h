/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_DEADLINE_H
#define WEIR_DEADLINE_H
/*
 * Times in timer cycles; one bound on several waits that follow each other. Not
 * installed.
 */
#include <stdint.h>

#include <rte_cycles.h>

static inline uint64_t
cycles_of_us(uint64_t us)
{
	return us * rte_get_timer_hz() / 1000000;
}

/* The end of so many microseconds. */
static inline uint64_t
deadline_in(uint64_t timeout_us)
{
	return rte_get_timer_cycles() + cycles_of_us(timeout_us);
}

/* Microseconds until then; 0: it is past. */
static inline uint64_t
deadline_left_us(uint64_t deadline)
{
	uint64_t now = rte_get_timer_cycles();

	return now < deadline ? (deadline - now) * 1000000 / rte_get_timer_hz() : 0;
}

#endif /* WEIR_DEADLINE_H */
