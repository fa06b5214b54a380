/* SPDX-License-Identifier: BSD-3-Clause */
/* The library's messages go to rte_log, type "weir": --log-level=weir:debug. */
#include <rte_log.h>

#include "weir_log.h"

RTE_LOG_REGISTER(weir_logtype, weir, NOTICE);

static void
log_to_rte(enum weir_log_level level, const char *msg)
{
	static const uint32_t rte_level[] = {
		[WEIR_LOG_ERR] = RTE_LOG_ERR,	    [WEIR_LOG_WARN] = RTE_LOG_WARNING,
		[WEIR_LOG_NOTICE] = RTE_LOG_NOTICE, [WEIR_LOG_INFO] = RTE_LOG_INFO,
		[WEIR_LOG_DEBUG] = RTE_LOG_DEBUG,
	};

	rte_log(rte_level[level], (uint32_t)weir_logtype, "WEIR: %s\n", msg);
}

__attribute__((constructor)) static void
log_ctor(void)
{
	weir_log_set_sink(log_to_rte);
}
