/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a secondary process of EAL's is told. It takes a primary: an end-to-end test
 * (test_net_weir_args.py) starts this autotest beside one.
 */
#include <errno.h>
#include <string.h>

#include <rte_bus_vdev.h>
#include <rte_dmadev.h>
#include <rte_eal.h>

#include "test.h"
#include "weir_log.h"
#include "weir_space.h"

static char last_log[512];

static void
keep_log(enum weir_log_level level, const char *msg)
{
	(void)level;
	snprintf(last_log, sizeof(last_log), "%s", msg);
}

static bool
is_primary(void)
{
	return rte_eal_process_type() == RTE_PROC_PRIMARY;
}

static enum test_result
secondary_has_no_space(void)
{
	struct weir_space *s = NULL;
	int ret;

	if (is_primary())
		return test_skip("this is a primary process");
	weir_log_set_sink(keep_log);
	ret = weir_space_get(&s);
	weir_log_set_sink(NULL);
	TEST_EQ(ret, -ENOTSUP);
	TEST_ASSERT(s == NULL && weir_space_peek() == NULL);
	TEST_ASSERT(strstr(last_log, "secondary process") != NULL);
	return TEST_OK;
}

static enum test_result
secondary_has_no_engine(void)
{
	if (is_primary())
		return test_skip("this is a primary process");
	/* no failure, as the primary, which may have one of that name, would lose it */
	TEST_EQ(rte_vdev_init("dma_weir9", NULL), 0);
	TEST_ASSERT(rte_dma_get_dev_id_by_name("dma_weir9") < 0);
	TEST_EQ(rte_vdev_uninit("dma_weir9"), 0);
	return TEST_OK;
}

static const struct test_case secondary_cases[] = {
	{ "secondary_has_no_space", secondary_has_no_space },
	{ "secondary_has_no_engine", secondary_has_no_engine },
};
AUTOTEST_EAL(secondary_autotest, secondary_cases);
