/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_LOG_H
#define WEIR_LOG_H
/**
 * @file
 * Where the library's messages go.
 *
 * The lower rooms know nothing of DPDK, so they log through one function
 * pointer. It writes to stderr until somebody sets another sink; lib/port sets
 * one that hands everything to rte_log under the log type `weir`, where
 * `--log-level=weir:debug` works as for any DPDK library.
 *
 * An error is logged once, where it is handled; a function that returns an
 * error to its caller does not log it as well.
 *
 * Any thread. Not for a polling lcore's path: formatting allocates nothing but
 * the sink may block.
 */
#include <stdarg.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Severity; smaller is worse. */
enum weir_log_level {
	WEIR_LOG_ERR,	 /**< something asked for was not done */
	WEIR_LOG_WARN,	 /**< done, but the user should know */
	WEIR_LOG_NOTICE, /**< a change of state: link, peer, channel */
	WEIR_LOG_INFO,	 /**< what was agreed with a peer */
	WEIR_LOG_DEBUG,	 /**< every message */
};

/** A sink takes one formatted message, without a newline at its end. */
typedef void (*weir_log_sink_t)(enum weir_log_level level, const char *msg);

/**
 * Set the process's sink.
 *
 * @param sink  NULL: back to stderr.
 */
void weir_log_set_sink(weir_log_sink_t sink);

/** Log one message, printf-style, without a newline at its end. */
void weir_log(enum weir_log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif
#endif /* WEIR_LOG_H */
