/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "test.h"
#include "weir_args.h"
#include "weir_fail.h"

struct got {
	char iface[64];
	uint64_t queues;
	unsigned int nr_set;
};

static int
set_iface(const char *value, void *ctx)
{
	struct got *g = ctx;

	if (*value == '\0' || strlen(value) >= sizeof(g->iface))
		return -EINVAL;
	memcpy(g->iface, value, strlen(value) + 1);
	g->nr_set++;
	return 0;
}

static int
set_queues(const char *value, void *ctx)
{
	struct got *g = ctx;

	g->nr_set++;
	return weir_arg_number(value, 1, 8, &g->queues);
}

static const struct weir_arg table[] = {
	{ "iface", "a path", set_iface },
	{ "queues", "a number from 1 to 8", set_queues },
};

static int
parse(const char *args, struct got *g, char *why, size_t why_len)
{
	memset(g, 0, sizeof(*g));
	return weir_args_parse(args, table, 2, g, why, why_len);
}

static enum test_result
args_well_formed_set(void)
{
	struct got g;
	char why[80];

	TEST_EQ(parse(NULL, &g, why, sizeof(why)), 0);
	TEST_EQ(parse("", &g, why, sizeof(why)), 0);
	TEST_EQ(g.nr_set, 0);
	TEST_EQ(parse("queues=0x8,iface=[a,b;[c,d],e]", &g, why, sizeof(why)), 0);
	TEST_EQ(g.nr_set, 2);
	TEST_EQ(g.queues, 8);
	TEST_ASSERT(strcmp(g.iface, "[a,b;[c,d],e]") == 0);
	/* the value may have an equals sign of its own */
	TEST_EQ(parse("iface=/tmp/a=b", &g, why, sizeof(why)), 0);
	TEST_ASSERT(strcmp(g.iface, "/tmp/a=b") == 0);
	return TEST_OK;
}

static enum test_result
args_malformed_named(void)
{
	static const struct {
		const char *args, *why;
	} bad[] = {
		{ "queues=0", "argument 'queues=0': wants a number from 1 to 8" },
		{ "queues=9", "argument 'queues=9': wants a number from 1 to 8" },
		{ "queues=-1", "argument 'queues=-1': wants a number from 1 to 8" },
		{ "queues= 1", "argument 'queues= 1': wants a number from 1 to 8" },
		{ "queues=1x", "argument 'queues=1x': wants a number from 1 to 8" },
		{ "queues=", "argument 'queues=': wants a number from 1 to 8" },
		{ "queues=18446744073709551617",
		  "argument 'queues=18446744073709551617': wants a number from 1 to 8" },
		{ "iface=a,queue=1", "argument 'queue=1': no such argument" },
		{ "iface=a,queuesx=1", "argument 'queuesx=1': no such argument" },
		{ "=1", "argument '=1': no such argument" },
		{ "iface", "argument 'iface': has no value" },
		{ "iface=a,", "argument '': there is a ',' too many" },
		{ "iface=a,,queues=1", "argument '': there is a ',' too many" },
		{ "queues=1,queues=2", "argument 'queues=2': given twice" },
		{ "iface=[a,queues=1", NULL },
		{ "iface=a],queues=x",
		  "argument 'queues=x': wants a number from 1 to 8" },
	};
	struct got g;
	char why[80];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		why[0] = '\0';
		TEST_EQ(parse(bad[i].args, &g, why, sizeof(why)),
			bad[i].why != NULL ? -EINVAL : 0);
		if (bad[i].why != NULL && strcmp(why, bad[i].why) != 0) {
			printf("    '%s', not '%s'\n", why, bad[i].why);
			return TEST_FAILED;
		}
	}
	return TEST_OK;
}

static enum test_result
args_long_words_cut(void)
{
	struct got g;
	char why[8];

	for (size_t len = 1; len <= sizeof(why); len++) {
		memset(why, 'x', sizeof(why));
		TEST_EQ(parse("nonsense=1", &g, why, len), -EINVAL);
		TEST_EQ(strlen(why), len - 1);
	}
	return TEST_OK;
}

/* However long the argument is, what is wrong with it is said. */
static enum test_result
args_long_argument_cut(void)
{
	static const char wants[] = "...': wants a path";
	char arg[400] = "iface=", why[256];
	struct got g;

	memset(arg + 6, 'x', sizeof(arg) - 7);
	TEST_EQ(parse(arg, &g, why, sizeof(why)), -EINVAL);
	TEST_ASSERT(strlen(why) > sizeof(wants));
	TEST_EQ(strcmp(why + strlen(why) - strlen(wants), wants), 0);
	return TEST_OK;
}

static enum test_result
args_no_memory_reported(void)
{
	struct got g;
	char why[80] = "";

	weir_fail_arm(1);
	TEST_EQ(parse("queues=1", &g, why, sizeof(why)), -ENOMEM);
	TEST_ASSERT(!weir_fail_armed());
	TEST_ASSERT(*why != '\0');
	TEST_EQ(g.nr_set, 0);
	return TEST_OK;
}

static const struct test_case args_cases[] = {
	{ "args_well_formed_set", args_well_formed_set },
	{ "args_malformed_named", args_malformed_named },
	{ "args_long_words_cut", args_long_words_cut },
	{ "args_long_argument_cut", args_long_argument_cut },
	{ "args_no_memory_reported", args_no_memory_reported },
};
AUTOTEST(args_autotest, args_cases);
