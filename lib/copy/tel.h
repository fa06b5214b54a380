/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_TEL_H
#define WEIR_TEL_H
/*
 * What DPDK's telemetry calls by different names in the versions we build with.
 * For every file that answers a telemetry command; not installed.
 */
#include <stdint.h>

#include <rte_telemetry.h>
#include <rte_version.h>

/* Add a number to a dictionary; where there is no room it is left out. */
static inline void
tel_add_u64(struct rte_tel_data *d, const char *name, uint64_t v)
{
#if RTE_VERSION >= RTE_VERSION_NUM(23, 3, 0, 0)
	rte_tel_data_add_dict_uint(d, name, v);
#else
	rte_tel_data_add_dict_u64(d, name, v);
#endif
}

#endif /* WEIR_TEL_H */
