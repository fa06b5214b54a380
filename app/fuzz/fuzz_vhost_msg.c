/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes as messages of a frontend, and as what the port answers to each.
 *
 * Two bytes choose what is offered. Then, for each message:
 *
 *     request  u8   0xff: a request of 32 bits follows
 *     flags    u8   of the header, as they are
 *     fds      u8   how many descriptors (low nibble) of which kind (high)
 *     result   u8   below 0xe0: the port succeeds
 *     size     u8   bytes of payload that follow; 0xff: 16 bits follow
 *
 * A payload that is cut off by the end of the input is filled with zeros.
 *
 * Or else, if the first byte has 0x20, what follows is a stream, written to a
 * socket in pieces, and read as a port reads it until it breaks:
 *
 *     fds      u8   as above
 *     len      u8   bytes of the piece that follow
 *
 * For each message: what must always hold, a refusal that changes nothing, a reply
 * that fits the message. At the end: no descriptor more than before.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "fuzz.h"
#include "vhost_peer.h"

#define FDS_LOOKED_AT 256
#define FILE_LEN (UINT64_C(1) << 40)

static int files[5] = { -1 };

static void
take(struct fuzz_input *in, void *to, size_t len)
{
	size_t n = len < in->left ? len : in->left;

	memset(to, 0, len);
	memcpy(to, in->at, n);
	in->at += n;
	in->left -= n;
}

static uint8_t
take_u8(struct fuzz_input *in)
{
	uint8_t v;

	take(in, &v, sizeof(v));
	return v;
}

/* One call instead of a walk through /proc: fuzzing lives on speed. */
static unsigned int
fds_open(void)
{
	static struct pollfd p[FDS_LOOKED_AT];
	unsigned int nr = 0;

	for (int i = 0; i < FDS_LOOKED_AT; i++)
		p[i] = (struct pollfd){ .fd = i };
	if (poll(p, FDS_LOOKED_AT, 0) < 0)
		abort();
	for (int i = 0; i < FDS_LOOKED_AT; i++)
		nr += (p[i].revents & POLLNVAL) == 0;
	return nr;
}

/* Two files that a region may be in, one that is too short, no file, a socket. */
static void
files_open(void)
{
	if (files[0] >= 0)
		return;
	files[0] = file_fd(FILE_LEN);
	files[1] = file_fd(FILE_LEN);
	files[2] = file_fd(4096);
	files[3] = eventfd(0, EFD_CLOEXEC);
	files[4] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static struct weir_vhost_config
take_offer(struct fuzz_input *in)
{
	uint8_t a = take_u8(in), b = take_u8(in);
	struct weir_vhost_config offer = {
		.features = WEIR_VHOST_BIT(VIRTIO_F_VERSION_1) |
			    WEIR_VHOST_BIT(VIRTIO_RING_F_EVENT_IDX) |
			    WEIR_VHOST_BIT(VHOST_F_LOG_ALL),
		.nr_queue_pairs = (uint16_t)(1 + b % 3),
		.nr_mem_slots = (a & 4) != 0 ? 8 : 20,
		.config_len = (a & 8) != 0 ? WEIR_VHOST_CONFIG_MAX : b,
	};

	if ((a & 1) == 0) {
		offer.features |= WEIR_VHOST_BIT(WEIR_VHOST_F_PROTOCOL_FEATURES);
		offer.protocol_features = WEIR_VHOST_PF_SUPPORTED;
	}
	if ((a & 0x11) == 0x10)
		offer.features |= WEIR_VHOST_BIT(VIRTIO_F_ACCESS_PLATFORM);
	if ((a & 2) == 0)
		offer.features |= WEIR_VHOST_BIT(VIRTIO_F_RING_PACKED);
	return offer;
}

/* Descriptors for a message, as the byte says. @return how many. */
static uint32_t
take_fds(struct fuzz_input *in, int *fds)
{
	uint8_t what = take_u8(in);
	uint32_t nr = what & 0xf;

	for (uint32_t i = 0; i < nr; i++) {
		fds[i] = fcntl(files[(what >> 4) % 5], F_DUPFD_CLOEXEC, 0);
		FUZZ_CHECK(fds[i] >= 0, "no descriptor to pass");
	}
	return nr;
}

/* @return what the port answers */
static int
take_msg(struct fuzz_input *in, struct weir_vhost_msg *msg)
{
	uint8_t result, small;
	uint16_t size;

	weir_vhost_msg_init(msg);
	msg->hdr.request = take_u8(in);
	if (msg->hdr.request == 0xff)
		take(in, &msg->hdr.request, sizeof(msg->hdr.request));
	msg->hdr.flags = take_u8(in);
	msg->nr_fds = take_fds(in, msg->fds);
	result = take_u8(in);
	size = small = take_u8(in);
	if (small == 0xff)
		take(in, &size, sizeof(size));
	msg->hdr.size = size < sizeof(msg->payload) ? size : sizeof(msg->payload);
	take(in, &msg->payload, msg->hdr.size);
	return result < 0xe0 ? 0 : -EBUSY;
}

static void
check_reply(const struct weir_vhost_event *ev, bool due, int result,
	    const struct weir_vhost_msg *reply)
{
	if (!due) {
		FUZZ_CHECK(ev->close || result == 0, "a failure that nobody learns of");
		FUZZ_CHECK(!ev->need_reply, "no reply where one was asked for");
		return;
	}
	FUZZ_CHECK(reply->hdr.request == ev->request, "a reply to another message");
	FUZZ_CHECK(reply->hdr.flags == (WEIR_VHOST_VERSION | WEIR_VHOST_FLAG_REPLY),
		   "a reply's flags");
	FUZZ_CHECK(reply->hdr.size <= (ev->answer == WEIR_VHOST_ANSWER_REGIONS
					       ? ev->len
					       : sizeof(reply->payload.config)),
		   "a reply's size");
	FUZZ_CHECK(reply->nr_fds == (result == 0 && ev->fd >= 0),
		   "a reply's descriptors");
	FUZZ_CHECK(reply->nr_fds == 0 || reply->fds[0] == ev->fd,
		   "a descriptor of somebody else's");
	if (result != 0 && reply->hdr.size == sizeof(reply->payload.u64))
		FUZZ_CHECK(reply->payload.u64 != 0, "a failure answered with success");
}

/* @return true: the session asks to close the connection. */
static bool
one_message(struct weir_vhost_session *s, const struct weir_vhost_config *offer,
	    struct weir_vhost_msg *msg, int port, bool answered)
{
	static struct weir_vhost_msg reply;
	static struct vhost_snapshot then, now;
	struct weir_vhost_event ev;
	const char *broken;
	bool due;
	int ret;

	vhost_snapshot(s, &then);
	ret = weir_vhost_session_input(s, msg, &ev);
	FUZZ_CHECK(msg->nr_fds == 0, "descriptors left to the caller");
	if (ret != 0) {
		FUZZ_CHECK(ev.type == WEIR_VHOST_EV_NONE, "an event of a refusal");
		FUZZ_CHECK(weir_vhost_session_error(s)[0] != '\0', "no reason");
		port = ret;
	}
	if (ev.type == WEIR_VHOST_EV_IOTLB_UPDATE) {
		uint64_t gpa;

		FUZZ_CHECK(ev.iotlb.iova.start <= ev.iotlb.iova.last &&
				   weir_vhost_user_to_gpa(s, ev.iotlb.user,
							  weir_range_len(ev.iotlb.iova),
							  &gpa) == 0,
			   "a translation to nowhere");
	}
	if (!answered)
		return false;
	/* what the port makes is the port's: nobody may close it */
	if (ret == 0 && (ev.type == WEIR_VHOST_EV_GET_INFLIGHT ||
			 ev.type == WEIR_VHOST_EV_POSTCOPY_ADVISE))
		ev.fd = files[0];
	due = weir_vhost_session_reply(s, &ev, port, &reply);
	check_reply(&ev, due, port, &reply);
	if (ret != 0) {
		vhost_snapshot(s, &now);
		FUZZ_CHECK(memcmp(&then, &now, sizeof(now)) == 0,
			   "a refusal that changed");
	}
	broken = vhost_invariant(s, offer);
	FUZZ_CHECK(broken == NULL, broken);
	return ev.close;
}

static void
run_messages(struct weir_vhost_session *s, const struct weir_vhost_config *offer,
	     struct fuzz_input *in, unsigned int base_fds)
{
	static struct weir_vhost_msg msg;

	while (in->left != 0) {
		int port = take_msg(in, &msg);
		/* the port may not have answered when the next one comes */
		bool answered = in->left % 16 != 7;

		one_message(s, offer, &msg, port, answered);
		FUZZ_CHECK(!answered || fds_open() == base_fds + vhost_held_fds(s),
			   "descriptors and state");
	}
}

static void
send_piece(int sock, struct fuzz_input *in)
{
	char ctl[CMSG_SPACE(16 * sizeof(int))] = { 0 };
	uint8_t buf[256], len;
	struct iovec iov = { .iov_base = buf };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fds[16];
	uint32_t nr;

	nr = take_fds(in, fds);
	len = take_u8(in);
	iov.iov_len = len < in->left ? len : in->left;
	take(in, buf, iov.iov_len);
	if (nr != 0) {
		mh.msg_control = ctl;
		mh.msg_controllen = CMSG_SPACE(nr * sizeof(int));
		CMSG_FIRSTHDR(&mh)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&mh)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&mh)->cmsg_len = CMSG_LEN(nr * sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&mh)), fds, nr * sizeof(int));
	}
	FUZZ_CHECK(sendmsg(sock, &mh, 0) == (ssize_t)iov.iov_len, "the socket is full");
	while (nr != 0)
		close(fds[--nr]);
}

static void
run_stream(struct weir_vhost_session *s, const struct weir_vhost_config *offer,
	   struct fuzz_input *in)
{
	static struct weir_vhost_msg msg;
	int sv[2], ret = -EAGAIN;
	bool ended = false;

	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == 0,
		   "no pair");
	weir_vhost_msg_init(&msg);
	while (!ended) {
		if (in->left != 0)
			send_piece(sv[0], in);
		else
			ended = shutdown(sv[0], SHUT_WR) == 0;
		while ((ret = weir_vhost_msg_recv(sv[1], &msg)) == 0)
			ended |= one_message(s, offer, &msg, 0, true);
		FUZZ_CHECK(ret == -EAGAIN || (msg.why != NULL && msg.nr_fds == 0),
			   "a broken stream without a reason");
		ended |= ret != -EAGAIN;
	}
	weir_vhost_msg_reset(&msg);
	close(sv[0]);
	close(sv[1]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct weir_vhost_config offer;
	struct weir_vhost_session *s;
	unsigned int base_fds;

	files_open();
	base_fds = fds_open();
	offer = take_offer(&in);
	FUZZ_CHECK(weir_vhost_session_create(&offer, &s) == 0, "no session");
	if (size != 0 && (data[0] & 0x20) != 0)
		run_stream(s, &offer, &in);
	else
		run_messages(s, &offer, &in, base_fds);
	weir_vhost_session_destroy(s);
	FUZZ_CHECK(fds_open() == base_fds, "descriptors left at the end");
	return 0;
}
