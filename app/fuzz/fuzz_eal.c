/* SPDX-License-Identifier: BSD-3-Clause */
#include <rte_common.h>
#include <rte_eal.h>
#include <rte_log.h>

#include "fuzz.h"

void
fuzz_eal_start(void)
{
	static char arg[][20] = { "fuzz",
				  "--no-huge",
				  "--no-pci",
				  "--no-shconf",
				  "--no-telemetry",
				  "--lcores=0",
				  "--iova-mode=va",
				  "-m",
				  "64" };
	char *args[RTE_DIM(arg)];

	for (size_t i = 0; i < RTE_DIM(arg); i++)
		args[i] = arg[i];
	rte_log_set_global_level(RTE_LOG_ERR);
	if (rte_eal_init((int)RTE_DIM(args), args) < 0)
		abort();
}
