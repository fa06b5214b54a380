/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "perf.h"

struct perf_row {
	char *name;
	const char *unit;
	double *weir, *peer;
	size_t nr, room;
	struct perf_row *next;
};

struct perf_report {
	const char *command;
	struct perf_row *rows, **last;
	struct perf_row *
		*shown; /* where the first row is, or will be, that was not printed */
};

/* A row's figures, ready to be shown. */
struct figures {
	struct perf_quartiles weir, peer, ratio;
};

struct perf_report *
perf_report_new(const char *command)
{
	struct perf_report *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->command = command;
	r->last = &r->rows;
	r->shown = &r->rows;
	return r;
}

void
perf_report_free(struct perf_report *r)
{
	struct perf_row *next;

	for (struct perf_row *row = r->rows; row != NULL; row = next) {
		next = row->next;
		free(row->name);
		free(row->weir);
		free(row->peer);
		free(row);
	}
	free(r);
}

struct perf_row *
perf_row(struct perf_report *r, const char *name, const char *unit)
{
	struct perf_row *row = calloc(1, sizeof(*row));

	if (row == NULL)
		return NULL;
	row->name = strdup(name);
	if (row->name == NULL) {
		free(row);
		return NULL;
	}
	row->unit = unit;
	*r->last = row;
	r->last = &row->next;
	return row;
}

static int
row_grow(struct perf_row *row)
{
	size_t room = row->room == 0 ? 64 : 2 * row->room;
	double *weir = realloc(row->weir, room * sizeof(*weir)), *peer;

	if (weir == NULL)
		return -ENOMEM;
	row->weir = weir;
	peer = realloc(row->peer, room * sizeof(*peer));
	if (peer == NULL)
		return -ENOMEM;
	row->peer = peer;
	row->room = room;
	return 0;
}

int
perf_row_add(struct perf_row *row, double weir, double peer)
{
	if (!isfinite(weir) || !isfinite(peer) || weir <= 0 || peer <= 0)
		return -EINVAL;
	if (row->nr == row->room && row_grow(row) != 0)
		return -ENOMEM;
	row->weir[row->nr] = weir;
	row->peer[row->nr++] = peer;
	return 0;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Between the values on either side of the place. */
static double
quantile(const double *v, size_t n, double q)
{
	double at = q * (double)(n - 1);
	size_t i = (size_t)at;

	return i + 1 < n ? v[i] + (at - (double)i) * (v[i + 1] - v[i]) : v[i];
}

struct perf_quartiles
perf_quartiles(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), compare);
	return (struct perf_quartiles){ quantile(v, n, 0.25), quantile(v, n, 0.5),
					quantile(v, n, 0.75) };
}

double
perf_quantile(double *v, size_t n, double q)
{
	qsort(v, n, sizeof(*v), compare);
	return quantile(v, n, q);
}

static struct perf_quartiles
sorted(const double *v, size_t n, double *scratch)
{
	memcpy(scratch, v, n * sizeof(*v));
	return perf_quartiles(scratch, n);
}

/* @return false: the row is empty, or there is no memory. */
static bool
row_figures(const struct perf_row *row, struct figures *f)
{
	double *scratch = row->nr == 0 ? NULL : malloc(row->nr * sizeof(*scratch));

	if (scratch == NULL)
		return false;
	f->weir = sorted(row->weir, row->nr, scratch);
	f->peer = sorted(row->peer, row->nr, scratch);
	for (size_t i = 0; i < row->nr; i++)
		scratch[i] = row->weir[i] / row->peer[i];
	f->ratio = perf_quartiles(scratch, row->nr);
	free(scratch);
	return true;
}

void
perf_report_print(struct perf_report *r)
{
	if (*r->shown == NULL)
		return;
	if (r->shown == &r->rows)
		printf("%-44s %10s %10s  %-14s %s\n", r->command, "weir", "peer", "unit",
		       "weir/peer (quartiles)");
	for (; *r->shown != NULL; r->shown = &(*r->shown)->next) {
		const struct perf_row *row = *r->shown;
		struct figures f;

		if (row_figures(row, &f))
			printf("%-44s %10.2f %10.2f  %-14s %.3f (%.3f-%.3f)\n", row->name,
			       f.weir.median, f.peer.median, row->unit, f.ratio.median,
			       f.ratio.q1, f.ratio.q3);
	}
	fflush(stdout);
}

int
perf_report_chosen(const struct perf_report *r, const char *only)
{
	if (only == NULL || r->rows != NULL)
		return 0;
	fprintf(stderr, "weir-perf %s: no row has '%s' in its name\n", r->command, only);
	return -ENOENT;
}

/* Names are ours: letters, digits and spaces, so that nothing is to be escaped. */
static void
json_row(FILE *out, const struct perf_row *row, const struct figures *f)
{
	fprintf(out,
		"  {\"name\": \"%s\", \"unit\": \"%s\", \"rounds\": %zu, "
		"\"weir\": %.6g, \"peer\": %.6g, \"ratio\": %.6g, "
		"\"spread\": [%.6g, %.6g]}",
		row->name, row->unit, row->nr, f->weir.median, f->peer.median,
		f->ratio.median, f->ratio.q1, f->ratio.q3);
}

int
perf_report_json(const struct perf_report *r, const char *path)
{
	const char *comma = "";
	FILE *out = fopen(path, "w");

	if (out == NULL)
		return -errno;
	fprintf(out, "{\"command\": \"%s\", \"rows\": [\n", r->command);
	for (const struct perf_row *row = r->rows; row != NULL; row = row->next) {
		struct figures f;

		if (!row_figures(row, &f))
			continue;
		fputs(comma, out);
		json_row(out, row, &f);
		comma = ",\n";
	}
	fputs("\n]}\n", out);
	return fclose(out) != 0 ? -errno : 0;
}
