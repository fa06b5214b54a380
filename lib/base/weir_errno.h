/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_ERRNO_H
#define WEIR_ERRNO_H
/**
 * @file
 * Words for the errors that the library returns; doc/errors.md has their
 * meaning here.
 */

#ifdef __cplusplus
extern "C" {
#endif

/**
 * What an error number is called, in English: "No such device".
 *
 * @param err  An errno, or its negative as functions return it.
 * @return a string that lives for ever. Any thread.
 */
const char *weir_strerror(int err);

#ifdef __cplusplus
}
#endif
#endif /* WEIR_ERRNO_H */
