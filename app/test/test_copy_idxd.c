/* SPDX-License-Identifier: BSD-3-Clause */
/* Which dmadevs are taken for DSA's work queues; net_weir_dsa_e2e has the rest. */
#include "copy_impl.h"
#include "test.h"

static enum test_result
idxd_names_are_known(void)
{
	static const struct {
		const char *name;
		bool idxd;
	} names[] = {
		{ "0000:6a:01.0-q0", true },
		{ "0000:00:05.7-q12", true },
		{ "wq0.3", true },
		{ "wq11.15", true },
		{ "0000:00:04.0", false },
		{ "0000:6a:01.0-q", false },
		{ "0000:6a:01.0-q0-ch1", false },
		{ "0000:6a:01.0-ch0", false },
		{ "dma_weir0", false },
		{ "wq0", false },
		{ "wq0.3x", false },
		{ "", false },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		TEST_EQ(copy_name_is_idxd(names[i].name), names[i].idxd);
	return TEST_OK;
}

static const struct test_case cases[] = {
	{ "idxd_names_are_known", idxd_names_are_known },
};
AUTOTEST(copy_idxd_autotest, cases);
