/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RUN_FOLDER_H
#define RUN_FOLDER_H
/*
 * A folder for the sockets and files of one run of weir-test, in TMPDIR or /tmp.
 *
 * Another process waits for our end, whatever that is, and removes it: a test that is
 * interrupted, or crashes, leaves nothing behind.
 */
#include <stddef.h>

/* Make it; to be called once, while there is one thread. 0, -errno. */
int run_folder_make(void);

/* The path that a name has in it. */
void run_folder_path(char *path, size_t len, const char *name);

#endif /* RUN_FOLDER_H */
