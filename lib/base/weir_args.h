/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_ARGS_H
#define WEIR_ARGS_H
/**
 * @file
 * Device arguments: "mode=thread,lcore=3,dmas=[txq0@dma0;rxq0@dma1]".
 *
 * A driver says in a table which arguments it has and what each wants; the
 * parser goes through the string and calls one setter a value. What is wrong is
 * said in words that name the argument, so that a typing error on a long
 * command line is found at once:
 *
 *     argument 'lcor=3': no such argument
 *     argument 'lcore=x': wants a CPU number
 *
 * Commas within brackets belong to the value. An argument without a value, one
 * that is unknown and one given twice are refused. Setters run in the order of
 * the string; after an error some have run, and the caller throws away what
 * they filled in.
 *
 * Any thread; no locks; control plane.
 */
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Most arguments a table may have. */
#define WEIR_ARGS_MAX 64

/** One argument that a driver knows. */
struct weir_arg {
	const char *name;  /**< what stands before the '=' */
	const char *wants; /**< completes "argument 'x=y': wants ..." */

	/**
	 * Take a value.
	 *
	 * @param value  What stands after the '='; may be empty, never NULL;
	 *               gone when the setter returns.
	 * @return 0; -EINVAL: not what it wants; -ENOMEM.
	 */
	int (*set)(const char *value, void *ctx);
};

/**
 * Parse a string of arguments.
 *
 * @param args     NULL or "" has none.
 * @param nr       Entries of @p table, at most WEIR_ARGS_MAX.
 * @param ctx      Handed to the setters.
 * @param why      On failure, what is wrong and with which argument.
 * @param why_len  Bytes there; longer words are cut.
 * @return 0; -EINVAL: see @p why; -ENOMEM; or what a setter returned.
 */
int weir_args_parse(const char *args, const struct weir_arg *table, size_t nr, void *ctx,
		    char *why, size_t why_len);

/**
 * A number, decimal or with 0x, all of @p value.
 *
 * @return 0 and @p out; -EINVAL: no number, or not within @p min to @p max.
 */
int weir_arg_number(const char *value, uint64_t min, uint64_t max, uint64_t *out);

#ifdef __cplusplus
}
#endif
#endif /* WEIR_ARGS_H */
