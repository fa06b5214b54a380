/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "weir_vhost_msg.h"

/* Frontends that may wait to be accepted; a port has one, and one to come. */
#define BACKLOG 8

static int
sock_addr(const char *path, struct sockaddr_un *sa)
{
	const size_t len = strlen(path);

	if (len == 0)
		return -EINVAL;
	if (len >= sizeof(sa->sun_path))
		return -ENAMETOOLONG;
	*sa = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(sa->sun_path, path, len + 1);
	return 0;
}

/* A socket, connected if somebody listens there. */
static int
sock_connect(const struct sockaddr_un *sa, int type, int *out)
{
	int fd, ret;

	fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) != 0) {
		ret = -errno;
		close(fd);
		return ret;
	}
	*out = fd;
	return 0;
}

/*
 * Remove a socket that nobody has bound. By asking for datagrams, which a socket for
 * streams refuses itself: whoever listens there is told of nobody who came and went.
 */
static int
sock_clear(const struct sockaddr_un *sa)
{
	struct stat st;
	int fd = -1, ret;

	if (lstat(sa->sun_path, &st) != 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	ret = sock_connect(sa, SOCK_DGRAM, &fd);
	if (ret == 0)
		close(fd);
	if (ret == 0 || ret == -EPROTOTYPE)
		return -EADDRINUSE;
	if (ret != -ECONNREFUSED)
		return ret;
	return unlink(sa->sun_path) == 0 || errno == ENOENT ? 0 : -errno;
}

int
weir_vhost_listen(const char *path, int *out)
{
	struct sockaddr_un sa;
	int fd, ret;

	ret = sock_addr(path, &sa);
	if (ret != 0)
		return ret;
	ret = sock_clear(&sa);
	if (ret != 0)
		return ret;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&sa, sizeof(sa)) != 0) {
		ret = -errno;
		goto err_close;
	}
	if (listen(fd, BACKLOG) != 0) {
		ret = -errno;
		goto err_unlink;
	}
	*out = fd;
	return 0;

err_unlink:
	unlink(sa.sun_path);
err_close:
	close(fd);
	return ret;
}

int
weir_vhost_accept(int listen_fd, int *out)
{
	int fd;

	do {
		fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return errno == ECONNABORTED ? -EAGAIN : -errno;
	*out = fd;
	return 0;
}

int
weir_vhost_connect(const char *path, int *out)
{
	struct sockaddr_un sa;
	int ret;

	ret = sock_addr(path, &sa);
	return ret != 0 ? ret : sock_connect(&sa, SOCK_STREAM, out);
}
