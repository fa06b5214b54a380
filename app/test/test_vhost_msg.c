/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "run_folder.h"
#include "test.h"
#include "weir_vhost_msg.h"
#include "vhost_peer.h"

#define U64_LEN sizeof(uint64_t)
#define HDR_LEN sizeof(struct weir_vhost_hdr)

static int
pair(int sv[2])
{
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv);
}

/* Send bytes with descriptors, as a peer would that knows no protocol. */
static bool
send_raw(int sock, const void *buf, size_t len, const int *fds, size_t nr_fds)
{
	char ctl[CMSG_SPACE(WEIR_VHOST_FDS_MAX * sizeof(int))] = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nr_fds != 0) {
		mh.msg_control = ctl;
		mh.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
		CMSG_FIRSTHDR(&mh)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&mh)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&mh)->cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&mh)), fds, nr_fds * sizeof(int));
	}
	return sendmsg(sock, &mh, 0) == (ssize_t)len;
}

static enum test_result
msg_sent_arrives_with_descriptors(void)
{
	static struct weir_vhost_msg tx, rx;
	const uint64_t value = UINT64_C(0x1122334455667788);
	unsigned int before = open_fds();
	struct stat a, b;
	int sv[2];

	TEST_EQ(pair(sv), 0);
	weir_vhost_msg_init(&rx);
	msg_make(&tx, WEIR_VHOST_SET_VRING_KICK, WEIR_VHOST_FLAG_NEED_REPLY, &value,
		 sizeof(value));
	tx.nr_fds = 2;
	tx.fds[0] = file_fd(4096);
	tx.fds[1] = file_fd(8192);
	TEST_EQ(weir_vhost_msg_recv(sv[1], &rx), -EAGAIN);
	TEST_EQ(weir_vhost_msg_send(sv[0], &tx), 0);
	TEST_EQ(weir_vhost_msg_recv(sv[1], &rx), 0);
	TEST_EQ(rx.hdr.request, tx.hdr.request);
	TEST_EQ(rx.hdr.flags, tx.hdr.flags);
	TEST_ASSERT(rx.payload.u64 == value);
	TEST_EQ(rx.nr_fds, 2);
	TEST_EQ(fstat(tx.fds[1], &a) | fstat(rx.fds[1], &b), 0);
	TEST_EQ(a.st_ino, b.st_ino);
	TEST_EQ(fcntl(rx.fds[0], F_GETFD), FD_CLOEXEC);
	/* the next call closes what nobody took */
	TEST_EQ(weir_vhost_msg_recv(sv[1], &rx), -EAGAIN);
	weir_vhost_msg_reset(&tx);
	close(sv[0]);
	TEST_EQ(weir_vhost_msg_recv(sv[1], &rx), -ECONNRESET);
	close(sv[1]);
	TEST_EQ(open_fds(), before);
	return TEST_OK;
}

/* Byte by byte, with nothing but -EAGAIN before the last of each. */
static enum test_result
msg_in_pieces_is_put_together(void)
{
	static struct weir_vhost_msg tx, rx;
	unsigned char wire[2 * (HDR_LEN + U64_LEN)];
	const size_t one = HDR_LEN + U64_LEN;
	uint64_t value = 1;
	int sv[2];

	TEST_EQ(pair(sv), 0);
	weir_vhost_msg_init(&rx);
	for (size_t i = 0; i < 2; i++, value++) {
		msg_make(&tx, WEIR_VHOST_SET_FEATURES, 0, &value, sizeof(value));
		memcpy(wire + i * one, &tx.hdr, HDR_LEN);
		memcpy(wire + i * one + HDR_LEN, &value, sizeof(value));
	}
	for (size_t i = 0; i < sizeof(wire); i++) {
		TEST_ASSERT(send_raw(sv[0], wire + i, 1, NULL, 0));
		TEST_EQ(weir_vhost_msg_recv(sv[1], &rx),
			(i + 1) % one != 0 ? -EAGAIN : 0);
		if ((i + 1) % one == 0)
			TEST_EQ(rx.payload.u64, (i + 1) / one);
	}
	/* both at once: one a call */
	TEST_ASSERT(send_raw(sv[0], wire, sizeof(wire), NULL, 0));
	TEST_EQ(weir_vhost_msg_recv(sv[1], &rx), 0);
	TEST_EQ(rx.payload.u64, 1);
	TEST_EQ(weir_vhost_msg_recv(sv[1], &rx), 0);
	TEST_EQ(rx.payload.u64, 2);
	TEST_EQ(weir_vhost_msg_recv(sv[1], &rx), -EAGAIN);
	weir_vhost_msg_reset(&rx);
	close(sv[0]);
	close(sv[1]);
	return TEST_OK;
}

/* Send bytes and close; what does the receiver say, and does it keep anything? */
static enum test_result
expect_refused(const void *buf, size_t len, const int *fds, size_t nr_fds, int err,
	       const char *why)
{
	static struct weir_vhost_msg rx;
	unsigned int before = open_fds();
	int sv[2], ret;

	TEST_EQ(pair(sv), 0);
	weir_vhost_msg_init(&rx);
	if (len != 0)
		TEST_ASSERT(send_raw(sv[0], buf, len, fds, nr_fds));
	close(sv[0]);
	ret = weir_vhost_msg_recv(sv[1], &rx);
	close(sv[1]);
	TEST_EQ(ret, err);
	TEST_ASSERT(rx.why != NULL && strstr(rx.why, why) != NULL);
	TEST_EQ(rx.nr_fds, 0);
	TEST_EQ(open_fds(), before);
	return TEST_OK;
}

static enum test_result
msg_malformed_refused(void)
{
	static const struct {
		struct weir_vhost_hdr hdr;
		size_t len;
		int err;
		const char *why;
	} cases[] = {
		{ { 0 }, 0, -ECONNRESET, "closed" },
		{ { 1, 1, 0 }, 5, -EPROTO, "middle" },
		{ { 2, 1, 8 }, sizeof(struct weir_vhost_hdr), -EPROTO, "middle" },
		{ { 1, 0, 0 }, sizeof(struct weir_vhost_hdr), -EPROTO, "version" },
		{ { 1, 2, 0 }, sizeof(struct weir_vhost_hdr), -EPROTO, "version" },
		{ { 1, 5, 0 }, sizeof(struct weir_vhost_hdr), -EPROTO, "reply" },
		{ { 1, 0x11, 0 }, sizeof(struct weir_vhost_hdr), -EPROTO, "unknown" },
		{ { 5, 1, sizeof(union weir_vhost_payload) + 1 },
		  sizeof(struct weir_vhost_hdr),
		  -EMSGSIZE,
		  "longer" },
		{ { 5, 1, UINT32_MAX },
		  sizeof(struct weir_vhost_hdr),
		  -EMSGSIZE,
		  "longer" },
	};
	int fd = file_fd(4096);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum test_result r = expect_refused(&cases[i].hdr, cases[i].len, &fd, 1,
						    cases[i].err, cases[i].why);

		if (r != TEST_OK) {
			printf("    case %zu\n", i);
			return r;
		}
	}
	close(fd);
	return TEST_OK;
}

/* Descriptors with each half, more than fit in all. */
static enum test_result
msg_too_many_descriptors_refused(void)
{
	static struct weir_vhost_msg rx;
	const struct weir_vhost_hdr hdr = { 5, 1, 8 };
	int fds[WEIR_VHOST_FDS_MAX], sv[2], fd = file_fd(4096);
	unsigned int before = open_fds();
	uint64_t value = 0;

	for (size_t i = 0; i < WEIR_VHOST_FDS_MAX; i++)
		fds[i] = fd;
	TEST_EQ(pair(sv), 0);
	weir_vhost_msg_init(&rx);
	TEST_ASSERT(send_raw(sv[0], &hdr, sizeof(hdr), fds, WEIR_VHOST_FDS_MAX));
	TEST_EQ(weir_vhost_msg_recv(sv[1], &rx), -EAGAIN);
	TEST_EQ(rx.nr_fds, WEIR_VHOST_FDS_MAX);
	TEST_ASSERT(send_raw(sv[0], &value, sizeof(value), fds, 1));
	TEST_EQ(weir_vhost_msg_recv(sv[1], &rx), -EPROTO);
	TEST_ASSERT(strstr(rx.why, "more descriptors") != NULL);
	close(sv[0]);
	close(sv[1]);
	TEST_EQ(open_fds(), before);
	close(fd);
	return TEST_OK;
}

/* At the limit of open files the kernel drops descriptors: say so, keep none. */
static enum test_result
msg_lost_descriptors_refused(void)
{
	struct rlimit lim, few;
	enum test_result r;
	int fds[4], free_nr[4];
	struct weir_vhost_hdr hdr = { 3, 1, 0 };

	TEST_EQ(getrlimit(RLIMIT_NOFILE, &lim), 0);
	for (size_t i = 0; i < 4; i++)
		fds[i] = file_fd(4096);
	/* four numbers are left: a pair of sockets, of which one is closed by then */
	for (size_t i = 0; i < 4; i++)
		free_nr[i] = dup(fds[0]);
	for (size_t i = 0; i < 4; i++)
		close(free_nr[i]);
	few = lim;
	few.rlim_cur = (rlim_t)free_nr[3] + 1;
	TEST_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
	r = expect_refused(&hdr, sizeof(hdr), fds, 4, -EMFILE, "lost");
	TEST_EQ(setrlimit(RLIMIT_NOFILE, &lim), 0);
	for (size_t i = 0; i < 4; i++)
		close(fds[i]);
	return r;
}

/* A peer that never reads what it asks for. */
static enum test_result
msg_send_to_full_socket_again(void)
{
	static struct weir_vhost_msg tx;
	uint64_t value = 0;
	int sv[2], ret = 0;

	TEST_EQ(pair(sv), 0);
	msg_make(&tx, WEIR_VHOST_GET_FEATURES, WEIR_VHOST_FLAG_REPLY, &value,
		 sizeof(value));
	for (unsigned int i = 0; i < 1000000 && ret == 0; i++)
		ret = weir_vhost_msg_send(sv[0], &tx);
	TEST_EQ(ret, -EAGAIN);
	close(sv[1]);
	TEST_EQ(weir_vhost_msg_send(sv[0], &tx), -EPIPE);
	close(sv[0]);
	tx.hdr.size = sizeof(tx.payload) + 1;
	TEST_EQ(weir_vhost_msg_send(-1, &tx), -EMSGSIZE);
	return TEST_OK;
}

/* A folder of its own for each test of sockets. */
static bool
folder_make(char *dir, size_t len, char *path, size_t path_len)
{
	run_folder_path(dir, len, "XXXXXX");
	if (mkdtemp(dir) == NULL)
		return false;
	snprintf(path, path_len, "%s/sock", dir);
	return true;
}

static enum test_result
sock_listen_connect_accept(void)
{
	static struct weir_vhost_msg tx, rx;
	unsigned int before = open_fds();
	char dir[96], path[108];
	int l, c, a;

	TEST_ASSERT(folder_make(dir, sizeof(dir), path, sizeof(path)));
	TEST_EQ(weir_vhost_connect(path, &c), -ENOENT);
	TEST_EQ(weir_vhost_listen(path, &l), 0);
	TEST_EQ(weir_vhost_accept(l, &a), -EAGAIN);
	TEST_EQ(weir_vhost_connect(path, &c), 0);
	TEST_EQ(weir_vhost_accept(l, &a), 0);
	for (size_t i = 0; i < 3; i++) {
		int fd = (const int[]){ l, c, a }[i];

		TEST_ASSERT((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
		TEST_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	}
	weir_vhost_msg_init(&rx);
	msg_make(&tx, WEIR_VHOST_SET_OWNER, 0, NULL, 0);
	TEST_EQ(weir_vhost_msg_send(c, &tx), 0);
	TEST_EQ(weir_vhost_msg_recv(a, &rx), 0);
	TEST_EQ(rx.hdr.request, WEIR_VHOST_SET_OWNER);
	close(a);
	close(c);
	close(l);
	TEST_EQ(unlink(path) | rmdir(dir), 0);
	TEST_EQ(open_fds(), before);
	return TEST_OK;
}

static enum test_result
sock_stale_removed_live_kept(void)
{
	unsigned int before = open_fds();
	char dir[96], path[108];
	int l, other, fd;

	TEST_ASSERT(folder_make(dir, sizeof(dir), path, sizeof(path)));
	TEST_EQ(weir_vhost_listen(path, &l), 0);
	TEST_EQ(weir_vhost_listen(path, &other), -EADDRINUSE);
	/* and did not notice */
	TEST_EQ(weir_vhost_accept(l, &other), -EAGAIN);
	close(l); /* its owner died: the name stays */
	TEST_EQ(weir_vhost_connect(path, &other), -ECONNREFUSED);
	TEST_EQ(weir_vhost_listen(path, &l), 0);
	close(l);
	TEST_EQ(unlink(path), 0);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	TEST_ASSERT(fd >= 0);
	close(fd);
	TEST_EQ(weir_vhost_listen(path, &l), -EEXIST);
	TEST_EQ(access(path, F_OK), 0);
	TEST_EQ(unlink(path) | rmdir(dir), 0);
	TEST_EQ(weir_vhost_listen(path, &l), -ENOENT);
	TEST_EQ(open_fds(), before);
	return TEST_OK;
}

static enum test_result
sock_bad_path_refused(void)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
	int fd = -2;

	memset(path, 'a', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	TEST_EQ(weir_vhost_listen(path, &fd), -ENAMETOOLONG);
	TEST_EQ(weir_vhost_connect(path, &fd), -ENAMETOOLONG);
	TEST_EQ(weir_vhost_listen("", &fd), -EINVAL);
	TEST_EQ(weir_vhost_connect("", &fd), -EINVAL);
	TEST_EQ(fd, -2);
	return TEST_OK;
}

static const struct test_case vhost_msg_cases[] = {
	{ "msg_sent_arrives_with_descriptors", msg_sent_arrives_with_descriptors },
	{ "msg_in_pieces_is_put_together", msg_in_pieces_is_put_together },
	{ "msg_malformed_refused", msg_malformed_refused },
	{ "msg_too_many_descriptors_refused", msg_too_many_descriptors_refused },
	{ "msg_lost_descriptors_refused", msg_lost_descriptors_refused },
	{ "msg_send_to_full_socket_again", msg_send_to_full_socket_again },
	{ "sock_listen_connect_accept", sock_listen_connect_accept },
	{ "sock_stale_removed_live_kept", sock_stale_removed_live_kept },
	{ "sock_bad_path_refused", sock_bad_path_refused },
};
AUTOTEST(vhost_msg_autotest, vhost_msg_cases);
