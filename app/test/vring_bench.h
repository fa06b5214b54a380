/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_TEST_VRING_BENCH_H
#define WEIR_TEST_VRING_BENCH_H
/*
 * Guest memory for tests of rings: two slots, adjacent in gpa and for the frontend.
 */
#include "weir_gmem.h"

#define SLOT 0x10000u /* bytes of each */
#define UVA UINT64_C(0x7f0000000000)

/* Make it, at gpa 0; NULL: it cannot be had. Free it with weir_gmem_put(). */
const struct weir_gmem *vring_bench_memory(void);

#endif /* WEIR_TEST_VRING_BENCH_H */
