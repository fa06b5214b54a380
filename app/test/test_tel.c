/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keys and texts of answers to telemetry commands: what DPDK takes, and what JSON can be
 * made of. The answers themselves are looked at end to end.
 */
#include <errno.h>
#include <string.h>

#include <rte_common.h>

#include "tel.h"
#include "test.h"

static enum test_result
key_of_any_name_is_taken(void)
{
	static const char *const names[][2] = {
		{ "dma_weir0", "dma_weir0" },
		{ "0000:00:04.0", "0000_00_04_0" },
		{ "net_weir-a/b", "net_weir_a/b" },
		{ "\xc3\xa4 \x7f\n\"", "______" },
	};
	struct rte_tel_data *d = tel_new_dict(), *part[RTE_DIM(names)];
	char key[RTE_TEL_MAX_STRING_LEN];

	TEST_ASSERT(d != NULL);
	for (size_t i = 0; i < RTE_DIM(names); i++) {
		tel_key(key, names[i][0]);
		TEST_EQ(strcmp(key, names[i][1]), 0);
		part[i] = tel_new_dict();
		TEST_ASSERT(part[i] != NULL);
		TEST_EQ(tel_add_named(d, names[i][0], part[i]), 0);
	}
	/* what DPDK does when it has sent them */
	for (size_t i = 0; i < RTE_DIM(names); i++)
		rte_tel_data_free(part[i]);
	rte_tel_data_free(d);
	return TEST_OK;
}

static enum test_result
text_of_any_bytes_is_ascii(void)
{
	char text[RTE_TEL_MAX_STRING_LEN];

	tel_text(text, "/tmp/\xc3\xa4 \"~\\\x7f\t.sock");
	TEST_EQ(strcmp(text, "/tmp/?? \"~\\??.sock"), 0);
	tel_text(text, "");
	TEST_EQ(text[0], '\0');
	return TEST_OK;
}

static enum test_result
long_ones_are_cut(void)
{
	char in[RTE_TEL_MAX_STRING_LEN + 1], out[RTE_TEL_MAX_STRING_LEN];

	memset(in, 'x', sizeof(in));
	in[sizeof(in) - 1] = '\0';
	tel_text(out, in);
	TEST_EQ(strlen(out), RTE_TEL_MAX_STRING_LEN - 1);
	tel_key(out, in);
	TEST_EQ(strlen(out), RTE_TEL_MAX_STRING_LEN - 1);
	return TEST_OK;
}

static enum test_result
dict_without_room_refuses_and_frees(void)
{
	static struct rte_tel_data *part[RTE_TEL_MAX_DICT_ENTRIES + 1];
	struct rte_tel_data *d = tel_new_dict();
	int ret = 0;

	TEST_ASSERT(d != NULL);
	for (unsigned int i = 0; i <= RTE_TEL_MAX_DICT_ENTRIES; i++) {
		TEST_EQ(ret, 0);
		part[i] = tel_new_dict();
		TEST_ASSERT(part[i] != NULL);
		ret = tel_add_part(d, "x", part[i]);
	}
	TEST_EQ(ret, -ENOSPC);
	/* the last one is gone */
	for (unsigned int i = 0; i < RTE_TEL_MAX_DICT_ENTRIES; i++)
		rte_tel_data_free(part[i]);
	rte_tel_data_free(d);
	return TEST_OK;
}

static const struct test_case cases[] = {
	{ "key_of_any_name_is_taken", key_of_any_name_is_taken },
	{ "text_of_any_bytes_is_ascii", text_of_any_bytes_is_ascii },
	{ "long_ones_are_cut", long_ones_are_cut },
	{ "dict_without_room_refuses_and_frees", dict_without_room_refuses_and_frees },
};

AUTOTEST(tel_autotest, cases);
