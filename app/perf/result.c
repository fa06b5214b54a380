/* SPDX-License-Identifier: BSD-3-Clause */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "result.h"

/*
 * JSON as far as reports need it: objects, lists, numbers, and strings without
 * escapes. What a row has beyond the three members that count is passed over.
 */

/* Nobody nests deeper, and what does is not let onto the stack. */
#define MAX_DEPTH 8

static void
space(const char **p)
{
	while (isspace((unsigned char)**p))
		++*p;
}

/* @return true, and the character is behind us. */
static bool
take(const char **p, char c)
{
	space(p);
	if (**p != c)
		return false;
	++*p;
	return true;
}

/* @param out  Where in the text it is, without quotes. @return its length, -1: none. */
static int
string(const char **p, const char **out)
{
	size_t len;

	if (!take(p, '"'))
		return -1;
	len = strcspn(*p, "\"\\\n");
	if ((*p)[len] != '"' || len > 4096)
		return -1;
	*out = *p;
	*p += len + 1;
	return (int)len;
}

static bool
number(const char **p, double *v)
{
	char *end;

	space(p);
	*v = strtod(*p, &end);
	if (end == *p || !isfinite(*v))
		return false;
	*p = end;
	return true;
}

/* A key and the colon behind it. */
static bool
key(const char **p, const char *name)
{
	const char *at = *p, *s;
	int len = string(&at, &s);

	if (len < 0 || (size_t)len != strlen(name) || memcmp(s, name, (size_t)len) != 0 ||
	    !take(&at, ':'))
		return false;
	*p = at;
	return true;
}

/* Pass over a value. */
static bool
skip(const char **p, unsigned int depth)
{
	const char *s;
	double v;
	bool object;

	space(p);
	if (**p == '"')
		return string(p, &s) >= 0;
	if (**p != '{' && **p != '[')
		return number(p, &v);
	object = **p == '{';
	++*p;
	if (depth == MAX_DEPTH)
		return false;
	if (take(p, object ? '}' : ']'))
		return true;
	do {
		if (object && (string(p, &s) < 0 || !take(p, ':')))
			return false;
		if (!skip(p, depth + 1))
			return false;
	} while (take(p, ','));
	return take(p, object ? '}' : ']');
}

static bool
skip_member(const char **p)
{
	const char *s;

	return string(p, &s) >= 0 && take(p, ':') && skip(p, 0);
}

/* @return 0, -EBADMSG, -ENOMEM. */
static int
row_read(const char **p, struct perf_result *r)
{
	const char *name = NULL;
	bool ratio = false, spread = false, good = take(p, '{');
	int len = 0;

	while (good) {
		if (key(p, "name")) {
			len = string(p, &name);
			good = len >= 0;
		} else if (key(p, "ratio")) {
			good = ratio = number(p, &r->ratio.median);
		} else if (key(p, "rounds")) {
			good = number(p, &r->rounds);
		} else if (key(p, "spread")) {
			good = spread = take(p, '[') && number(p, &r->ratio.q1) &&
					take(p, ',') && number(p, &r->ratio.q3) &&
					take(p, ']');
		} else {
			good = skip_member(p);
		}
		if (good && !take(p, ','))
			break;
	}
	if (!good || !take(p, '}') || name == NULL || !ratio || !spread ||
	    r->ratio.q1 <= 0 || r->ratio.median < r->ratio.q1 ||
	    r->ratio.q3 < r->ratio.median)
		return -EBADMSG;
	r->name = strndup(name, (size_t)len);
	return r->name != NULL ? 0 : -ENOMEM;
}

static int
rows_read(const char **p, struct perf_result **out)
{
	struct perf_result **last = out;
	int ret = 0;

	while (*last != NULL)
		last = &(*last)->next;
	if (!take(p, '['))
		return -EBADMSG;
	if (take(p, ']'))
		return 0;
	do {
		struct perf_result *r = calloc(1, sizeof(*r));

		if (r == NULL)
			return -ENOMEM;
		*last = r;
		last = &r->next;
		ret = row_read(p, r);
	} while (ret == 0 && take(p, ','));
	return ret == 0 && !take(p, ']') ? -EBADMSG : ret;
}

static int
report_read(const char **p, struct perf_result **out)
{
	int ret = take(p, '{') ? 0 : -EBADMSG;
	bool rows = false;

	while (ret == 0) {
		if (key(p, "rows")) {
			ret = rows_read(p, out);
			rows = true;
		} else if (!skip_member(p)) {
			ret = -EBADMSG;
		}
		if (ret == 0 && !take(p, ','))
			break;
	}
	if (ret == 0 && (!take(p, '}') || !rows))
		ret = -EBADMSG;
	space(p);
	return ret == 0 && **p != '\0' ? -EBADMSG : ret;
}

/* The whole file as a string; a byte that no text has ends it. */
static int
file_read(const char *path, char **out)
{
	FILE *f = fopen(path, "r");
	size_t room = 0;
	ssize_t len;
	int ret = 0;

	if (f == NULL)
		return -errno;
	*out = NULL;
	len = getdelim(out, &room, '\0', f);
	if (ferror(f))
		ret = -errno;
	else if (len <= 0 || fgetc(f) != EOF)
		ret = -EBADMSG;
	fclose(f);
	if (ret != 0)
		free(*out);
	return ret;
}

int
perf_results_read(const char *path, struct perf_result **out)
{
	char *text = NULL;
	const char *p;
	int ret = file_read(path, &text);

	*out = NULL;
	if (ret != 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(-ret));
		return ret;
	}
	p = text;
	ret = p != NULL ? report_read(&p, out) : -EBADMSG;
	if (ret == -EBADMSG)
		fprintf(stderr, "%s: byte %td: not what weir-perf --json writes\n", path,
			p - text);
	free(text);
	if (ret != 0) {
		perf_results_free(*out);
		*out = NULL;
	}
	return ret;
}

void
perf_results_free(struct perf_result *r)
{
	while (r != NULL) {
		struct perf_result *next = r->next;

		free(r->name);
		free(r);
		r = next;
	}
}

const struct perf_result *
perf_result_find(const struct perf_result *r, const char *name)
{
	while (r != NULL && strcmp(r->name, name) != 0)
		r = r->next;
	return r;
}
