/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdatomic.h>

#include <rte_lcore.h>

#include "trail.h"

__thread struct trail *trail_here __attribute__((tls_model("initial-exec")));

static struct trail trails[RTE_MAX_LCORE];

struct trail *
trail_find(void)
{
	const unsigned int id = rte_lcore_id();

	/* a thread may be registered as an lcore later */
	if (id < RTE_MAX_LCORE)
		trail_here = &trails[id];
	return trail_here;
}

uint8_t
trail_place(void)
{
	static atomic_uint queues;

	return (uint8_t)(atomic_fetch_add(&queues, 1) % TRAIL_QUEUES);
}
