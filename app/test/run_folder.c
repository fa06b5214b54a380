/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run_folder.h"

/* So long that a socket's path, of up to 107 bytes, has room for a name behind it. */
#define TMPDIR_MAX 64

static char folder[TMPDIR_MAX + sizeof("/weir-test-XXXXXX")];

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* In a session of its own, where no Ctrl-C reaches it, until our end of the pipe is
 * closed. */
static void
wait_and_remove(int fd)
{
	char c;

	setsid();
	while (read(fd, &c, 1) < 0 && errno == EINTR)
		;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	_exit(0);
}

int
run_folder_make(void)
{
	const char *tmp = getenv("TMPDIR");
	int fds[2], ret;
	pid_t pid;

	if (tmp == NULL || strlen(tmp) > TMPDIR_MAX)
		tmp = "/tmp";
	snprintf(folder, sizeof(folder), "%s/weir-test-XXXXXX", tmp);
	/* the writing end is closed by our end, and by nothing else */
	if (pipe2(fds, O_CLOEXEC) != 0)
		return -errno;
	if (mkdtemp(folder) == NULL) {
		ret = -errno;
		goto err_close;
	}
	pid = fork();
	if (pid < 0) {
		ret = -errno;
		rmdir(folder);
		goto err_close;
	}
	if (pid == 0) {
		close(fds[1]);
		wait_and_remove(fds[0]);
	}
	close(fds[0]);
	return 0;

err_close:
	close(fds[0]);
	close(fds[1]);
	return ret;
}

void
run_folder_path(char *path, size_t len, const char *name)
{
	snprintf(path, len, "%s/%s", folder, name);
}
