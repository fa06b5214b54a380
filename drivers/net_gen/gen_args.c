/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "gen.h"
#include "weir_args.h"

#define RANDOM_MAX_LEN 1514

static int
set_range(struct gen_conf *c, const char *from, const char *to)
{
	uint64_t min, max;

	if (weir_arg_number(from, GEN_MIN_LEN, GEN_MAX_LEN, &min) != 0 ||
	    weir_arg_number(to, min, GEN_MAX_LEN, &max) != 0)
		return -EINVAL;
	c->min_len = (uint32_t)min;
	c->max_len = (uint32_t)max;
	return 0;
}

static int
set_size(const char *value, void *ctx)
{
	const char *dash = strchr(value, '-');
	struct gen_conf *c = ctx;
	char from[8];

	if (strcmp(value, "imix") == 0 || strcmp(value, "random") == 0) {
		c->imix = *value == 'i';
		c->min_len = GEN_MIN_LEN;
		c->max_len = RANDOM_MAX_LEN;
		return 0;
	}
	if (dash == NULL)
		return set_range(c, value, value);
	if ((size_t)(dash - value) >= sizeof(from))
		return -EINVAL;
	memcpy(from, value, (size_t)(dash - value));
	from[dash - value] = '\0';
	return set_range(c, from, dash + 1);
}

static int
set_window(const char *value, void *ctx)
{
	struct gen_conf *c = ctx;
	uint64_t n;
	int ret = weir_arg_number(value, 0, 1 << 20, &n);

	if (ret == 0)
		c->window = (uint32_t)n;
	return ret;
}

static int
set_count(const char *value, void *ctx)
{
	return weir_arg_number(value, 0, UINT64_MAX, &((struct gen_conf *)ctx)->count);
}

static int
set_streams(const char *value, void *ctx)
{
	return weir_arg_number(value, 1, GEN_QUEUE_STREAMS,
			       &((struct gen_conf *)ctx)->streams);
}

static int
set_seed(const char *value, void *ctx)
{
	return weir_arg_number(value, 0, UINT64_MAX, &((struct gen_conf *)ctx)->seed);
}

static int
set_timeout(const char *value, void *ctx)
{
	return weir_arg_number(value, 1, 60000, &((struct gen_conf *)ctx)->timeout_ms);
}

static int
set_bool(const char *value, bool *out)
{
	uint64_t n;
	int ret = weir_arg_number(value, 0, 1, &n);

	if (ret == 0)
		*out = n != 0;
	return ret;
}

static int
set_yield(const char *value, void *ctx)
{
	return set_bool(value, &((struct gen_conf *)ctx)->yield);
}

static int
set_start(const char *value, void *ctx)
{
	return set_bool(value, &((struct gen_conf *)ctx)->start);
}

static const struct weir_arg gen_args[] = {
	{ "size", "60 to 9000, a range as 60-9000, 'imix' or 'random'", set_size },
	{ "window", "packets on the way, at most 2^20; 0: no limit", set_window },
	{ "count", "a number of packets; 0: no end", set_count },
	{ "streams", "a number from 1 to 16", set_streams },
	{ "seed", "a number", set_seed },
	{ "timeout_ms", "milliseconds, 1 to 60000", set_timeout },
	{ "yield", "0 or 1", set_yield },
	{ "start", "0 or 1", set_start },
};

int
gen_args_parse(const char *name, const char *args, struct gen_conf *conf)
{
	char why[160];
	int ret;

	*conf = (struct gen_conf){
		.min_len = GEN_MIN_LEN,
		.max_len = GEN_MIN_LEN,
		.window = 256,
		.streams = 1,
		.seed = 1,
		.timeout_ms = 20,
		.start = true,
	};
	ret = weir_args_parse(args, gen_args, RTE_DIM(gen_args), conf, why, sizeof(why));
	if (ret != 0)
		GEN_LOG(ERR, "%s: %s", name, why);
	return ret;
}
