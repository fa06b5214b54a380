/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PERF_RESULT_H
#define WEIR_PERF_RESULT_H
/* Reports that perf_report_json() has written, read again. */
#include <stddef.h>

#include "perf.h"

struct perf_result {
	char *name;
	struct perf_quartiles ratio;
	double rounds; /* 0: the report does not say */
	struct perf_result *next;
};

/*
 * Read a report's rows, in their order.
 *
 * @return 0; -ENOMEM; -EBADMSG: not such a report, a message said where; or what
 *         opening and reading it failed with.
 */
int perf_results_read(const char *path, struct perf_result **out);
void perf_results_free(struct perf_result *r);

const struct perf_result *perf_result_find(const struct perf_result *r, const char *name);

#endif /* WEIR_PERF_RESULT_H */
