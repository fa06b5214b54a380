/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weir_args.h"
#include "weir_fail.h"

/* Ends the argument at @p s with a NUL. Returns where the next one begins, NULL
 * after the last. A bracket that never closes takes the rest of the string. */
static char *
cut_argument(char *s)
{
	unsigned int depth = 0;

	for (; *s != '\0'; s++) {
		if (*s == '[') {
			depth++;
		} else if (*s == ']' && depth > 0) {
			depth--;
		} else if (*s == ',' && depth == 0) {
			*s = '\0';
			return s + 1;
		}
	}
	return NULL;
}

#define SHOWN 120

__attribute__((format(printf, 4, 5))) static int
refuse(char *why, size_t why_len, const char *arg, const char *fmt, ...)
{
	va_list ap;
	/* so much of a long one that what is wrong with it fits behind */
	int n = snprintf(why, why_len, "argument '%.*s%s': ", SHOWN, arg,
			 strlen(arg) > SHOWN ? "..." : "");

	if (n > 0 && (size_t)n < why_len) {
		va_start(ap, fmt);
		vsnprintf(why + n, why_len - (size_t)n, fmt, ap);
		va_end(ap);
	}
	return -EINVAL;
}

static const struct weir_arg *
find_argument(const struct weir_arg *table, size_t nr, const char *name, size_t name_len)
{
	for (size_t i = 0; i < nr; i++)
		if (strlen(table[i].name) == name_len &&
		    memcmp(table[i].name, name, name_len) == 0)
			return &table[i];
	return NULL;
}

int
weir_args_parse(const char *args, const struct weir_arg *table, size_t nr, void *ctx,
		char *why, size_t why_len)
{
	const struct weir_arg *a;
	uint64_t seen = 0;
	size_t len;
	char *copy, *arg, *next, *eq;
	int ret = 0;

	assert(nr <= WEIR_ARGS_MAX);
	if (args == NULL || *args == '\0')
		return 0;
	len = strlen(args) + 1;
	copy = weir_calloc(1, len);
	if (copy == NULL) {
		snprintf(why, why_len, "no memory for the arguments");
		return -ENOMEM;
	}
	memcpy(copy, args, len);
	for (arg = copy; arg != NULL && ret == 0; arg = next) {
		next = cut_argument(arg);
		if (arg[0] == '\0') {
			ret = refuse(why, why_len, arg, "there is a ',' too many");
			break;
		}
		eq = strchr(arg, '=');
		if (eq == NULL) {
			ret = refuse(why, why_len, arg, "has no value");
			break;
		}
		a = find_argument(table, nr, arg, (size_t)(eq - arg));
		if (a == NULL) {
			ret = refuse(why, why_len, arg, "no such argument");
			break;
		}
		if (seen & (UINT64_C(1) << (a - table))) {
			ret = refuse(why, why_len, arg, "given twice");
			break;
		}
		seen |= UINT64_C(1) << (a - table);
		ret = a->set(eq + 1, ctx);
		if (ret != 0)
			refuse(why, why_len, arg, "wants %s", a->wants);
	}
	free(copy);
	return ret;
}

int
weir_arg_number(const char *value, uint64_t min, uint64_t max, uint64_t *out)
{
	unsigned long long n;
	char *end;

	/* strtoull takes blanks and a minus sign; an argument does not */
	if (*value < '0' || *value > '9')
		return -EINVAL;
	errno = 0;
	n = strtoull(value, &end, value[0] == '0' && value[1] == 'x' ? 16 : 10);
	if (errno != 0 || *end != '\0' || n < min || n > max)
		return -EINVAL;
	*out = n;
	return 0;
}
