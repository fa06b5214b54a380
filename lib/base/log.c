/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdatomic.h>
#include <stdio.h>

#include "weir_log.h"

static void
sink_stderr(enum weir_log_level level, const char *msg)
{
	static const char *const name[] = {
		[WEIR_LOG_ERR] = "error",   [WEIR_LOG_WARN] = "warning",
		[WEIR_LOG_NOTICE] = "note", [WEIR_LOG_INFO] = "info",
		[WEIR_LOG_DEBUG] = "debug",
	};

	/* without EAL there is no log level to set: keep the chatter out */
	if (level <= WEIR_LOG_WARN)
		fprintf(stderr, "weir: %s: %s\n", name[level], msg);
}

static _Atomic(weir_log_sink_t) log_sink = sink_stderr;

void
weir_log_set_sink(weir_log_sink_t sink)
{
	atomic_store(&log_sink, sink != NULL ? sink : sink_stderr);
}

void
weir_log(enum weir_log_level level, const char *fmt, ...)
{
	char msg[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	atomic_load (&log_sink)(level, msg);
}
