/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_FD_H
#define WEIR_FD_H
/**
 * @file
 * What a descriptor is open on, as proc(5) has it. Control plane; any thread.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/** What an eventfd(2) is open on. */
#define WEIR_FD_EVENTFD "anon_inode:[eventfd]"

/**
 * Name it: a path, or "anon_inode:[...]".
 *
 * @param name  Gets it, cut to @p len - 1 bytes, and a 0.
 * @return 0; -EBADF: it is not open.
 */
static inline int
weir_fd_name(int fd, char *name, size_t len)
{
	char path[32];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, name, len - 1);
	if (n < 0)
		return -EBADF;
	name[n] = '\0';
	return 0;
}

#endif /* WEIR_FD_H */
