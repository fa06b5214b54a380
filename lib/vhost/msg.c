/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "weir_vhost_msg.h"

#define HDR_LEN sizeof(struct weir_vhost_hdr)
#define HDR_FLAGS \
	(WEIR_VHOST_VERSION_MASK | WEIR_VHOST_FLAG_REPLY | WEIR_VHOST_FLAG_NEED_REPLY)

_Static_assert(sizeof(struct weir_vhost_hdr) == 12, "header as on the wire");
_Static_assert(sizeof(struct weir_vhost_wire_region) == 32, "region as on the wire");
_Static_assert(sizeof(struct weir_vhost_wire_mem_reg) == 40, "ADD_MEM_REG's payload");
_Static_assert(sizeof(struct vhost_iotlb_msg) == WEIR_VHOST_IOTLB_LEN,
	       "IOTLB_MSG's payload");
_Static_assert(sizeof(struct vhost_vring_addr) == 40, "SET_VRING_ADDR's payload");
_Static_assert(offsetof(struct weir_vhost_wire_config, data) == 12, "config's head");

/* Room for all the descriptors that the kernel passes at once. */
union fd_ctl {
	char buf[CMSG_SPACE(WEIR_VHOST_FDS_MAX * sizeof(int))];
	struct cmsghdr align;
};

void
weir_vhost_msg_init(struct weir_vhost_msg *msg)
{
	msg->hdr = (struct weir_vhost_hdr){ 0 };
	msg->nr_fds = 0;
	msg->got = 0;
	msg->why = NULL;
}

void
weir_vhost_msg_reset(struct weir_vhost_msg *msg)
{
	for (uint32_t i = 0; i < msg->nr_fds; i++)
		close(msg->fds[i]);
	weir_vhost_msg_init(msg);
}

const char *
weir_vhost_msg_check(const struct weir_vhost_hdr *hdr)
{
	if ((hdr->flags & WEIR_VHOST_VERSION_MASK) != WEIR_VHOST_VERSION)
		return "the header's version is not 1";
	if ((hdr->flags & WEIR_VHOST_FLAG_REPLY) != 0)
		return "the header says reply, not request";
	if ((hdr->flags & ~HDR_FLAGS) != 0)
		return "the header has unknown flags";
	return NULL;
}

/* An answer's flags. @return NULL, or why not. */
static const char *
answer_check(const struct weir_vhost_hdr *hdr)
{
	if ((hdr->flags & ~WEIR_VHOST_FLAG_NEED_REPLY) !=
	    (WEIR_VHOST_VERSION | WEIR_VHOST_FLAG_REPLY))
		return "the header is no answer's";
	return NULL;
}

static int
msg_fail(struct weir_vhost_msg *msg, int err, const char *why)
{
	weir_vhost_msg_reset(msg);
	msg->why = why;
	return err;
}

/* Take what descriptors came. @return false: more than a message may have. */
static bool
msg_take_fds(struct weir_vhost_msg *msg, struct msghdr *mh)
{
	struct cmsghdr *c;
	bool fits = true;

	for (c = CMSG_FIRSTHDR(mh); c != NULL; c = CMSG_NXTHDR(mh, c)) {
		size_t nr;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		nr = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < nr; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (msg->nr_fds < WEIR_VHOST_FDS_MAX) {
				msg->fds[msg->nr_fds++] = fd;
			} else {
				close(fd);
				fits = false;
			}
		}
	}
	return fits;
}

/* Read up to @len bytes more of the message, at @to. @return 0: at least one. */
static int
msg_read(int fd, struct weir_vhost_msg *msg, void *to, size_t len)
{
	struct iovec iov = { .iov_base = to, .iov_len = len };
	union fd_ctl ctl;
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = ctl.buf,
		.msg_controllen = sizeof(ctl.buf),
	};
	ssize_t n;

	do {
		n = recvmsg(fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return -EAGAIN;
	if (n < 0)
		return msg_fail(msg, -errno, "the socket failed");
	if (!msg_take_fds(msg, &mh))
		return msg_fail(msg, -EPROTO, "more descriptors than a message may have");
	if ((mh.msg_flags & MSG_CTRUNC) != 0)
		return msg_fail(msg, -EMFILE,
				"descriptors were lost: this process has too many open; "
				"raise its limit (ulimit -n)");
	if (n == 0 && msg->got != 0)
		return msg_fail(msg, -EPROTO,
				"the peer closed in the middle of a message");
	if (n == 0)
		return msg_fail(msg, -ECONNRESET, "the peer closed");
	msg->got += (uint32_t)n;
	return 0;
}

/* One that @check finds no fault with. */
static int
msg_recv(int fd, struct weir_vhost_msg *msg,
	 const char *(*check)(const struct weir_vhost_hdr *hdr))
{
	const char *why;
	int ret;

	if (msg->got >= HDR_LEN && msg->got == HDR_LEN + msg->hdr.size)
		weir_vhost_msg_reset(msg);
	while (msg->got < HDR_LEN) {
		ret = msg_read(fd, msg, (char *)&msg->hdr + msg->got, HDR_LEN - msg->got);
		if (ret != 0)
			return ret;
	}
	/* before waiting for a payload that garbage promises */
	why = check(&msg->hdr);
	if (why != NULL)
		return msg_fail(msg, -EPROTO, why);
	if (msg->hdr.size > sizeof(msg->payload))
		return msg_fail(msg, -EMSGSIZE,
				"the payload is longer than any message's");
	while (msg->got < HDR_LEN + msg->hdr.size) {
		size_t at = msg->got - HDR_LEN;

		ret = msg_read(fd, msg, (char *)&msg->payload + at, msg->hdr.size - at);
		if (ret != 0)
			return ret;
	}
	return 0;
}

int
weir_vhost_msg_recv(int fd, struct weir_vhost_msg *msg)
{
	return msg_recv(fd, msg, weir_vhost_msg_check);
}

int
weir_vhost_msg_recv_answer(int fd, struct weir_vhost_msg *msg)
{
	return msg_recv(fd, msg, answer_check);
}

int
weir_vhost_msg_send(int fd, const struct weir_vhost_msg *msg)
{
	struct iovec iov[2] = {
		{ .iov_base = (void *)(uintptr_t)&msg->hdr, .iov_len = HDR_LEN },
		{ .iov_base = (void *)(uintptr_t)&msg->payload,
		  .iov_len = msg->hdr.size },
	};
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = 2 };
	union fd_ctl ctl;
	ssize_t n;

	if (msg->hdr.size > sizeof(msg->payload) || msg->nr_fds > WEIR_VHOST_FDS_MAX)
		return -EMSGSIZE;
	if (msg->nr_fds != 0) {
		const size_t len = msg->nr_fds * sizeof(int);

		memset(&ctl, 0, sizeof(ctl));
		ctl.align.cmsg_level = SOL_SOCKET;
		ctl.align.cmsg_type = SCM_RIGHTS;
		ctl.align.cmsg_len = CMSG_LEN(len);
		memcpy(CMSG_DATA(&ctl.align), msg->fds, len);
		mh.msg_control = ctl.buf;
		mh.msg_controllen = CMSG_SPACE(len);
	}
	do {
		n = sendmsg(fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	/* part of it was taken: the rest has no place in a socket that is full */
	return (size_t)n == HDR_LEN + msg->hdr.size ? 0 : -EAGAIN;
}
