/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SV_BENCH_H
#define SV_BENCH_H
/* What the tests of device models share. */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "test.h"
#include "weir_map.h"

#define KB UINT64_C(1024)
#define RW (WEIR_PROT_READ | WEIR_PROT_WRITE)
#define PATIENCE_NS UINT64_C(20000000000)

static inline uint64_t
now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

/* Wait for what must come; the time is only there so that a failure ends. */
#define WAIT_FOR(cond)                                                              \
	do {                                                                        \
		uint64_t end_ = now_ns(CLOCK_MONOTONIC) + PATIENCE_NS;              \
		while (!(cond)) {                                                   \
			if (now_ns(CLOCK_MONOTONIC) > end_) {                       \
				printf("    %s:%d: never %s\n", __FILE__, __LINE__, \
				       #cond);                                      \
				return TEST_FAILED;                                 \
			}                                                           \
		}                                                                   \
	} while (0)

#endif /* SV_BENCH_H */
