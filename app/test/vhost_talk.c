/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vhost_talk.h"

const struct weir_vhost_config talk_offer = {
	.features = TALK_FEATURES,
	.protocol_features = WEIR_VHOST_PF_SUPPORTED,
	.nr_queue_pairs = 2,
	.nr_mem_slots = WEIR_VHOST_MEM_SLOTS,
	.config_len = 12,
	.max_mem = TALK_MEM_MAX,
};

/* Always the same file, so that a table that is sent again names the same one. */
int
talk_file(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = file_fd(TALK_MEM_LEN);
	return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

int
talk_fd(enum talk_fds kind)
{
	switch (kind) {
	case TALK_FILE:
		return talk_file();
	case TALK_SOCK:
		return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	default:
		return eventfd(0, EFD_CLOEXEC);
	}
}

void
talk_build(const struct talk *t, struct weir_vhost_msg *msg)
{
	msg_make(msg, t->request, t->ack ? WEIR_VHOST_FLAG_NEED_REPLY : 0, t->data,
		 t->size);
	for (uint32_t i = 0; i < t->nr_fds; i++) {
		msg->fds[i] = talk_fd(t->fds);
		if (msg->fds[i] < 0)
			abort();
		msg->nr_fds++;
	}
}

static bool
ready_is(const struct weir_vhost_session *s, uint64_t mask)
{
	for (uint32_t i = 0; i < weir_vhost_nr_rings(s) && i < 64; i++) {
		const char *what = weir_vhost_ring_waits_for(s, i);
		bool want = (mask & BIT(i)) != 0;

		if (want == (what == NULL))
			continue;
		printf("    ring %" PRIu32 " waits for %s\n", i,
		       what != NULL ? what : "nothing");
		return false;
	}
	return true;
}

/* Whether the answer is what the message asks for and nothing else. */
static bool
reply_is(const struct talk *t, const struct weir_vhost_event *ev, bool due,
	 const struct weir_vhost_msg *reply)
{
	const union weir_vhost_payload *p = &reply->payload;

	if (due && (reply->hdr.request != t->request ||
		    reply->hdr.flags != (WEIR_VHOST_VERSION | WEIR_VHOST_FLAG_REPLY) ||
		    reply->nr_fds != (ev->fd >= 0)))
		return false;
	switch (ev->answer) {
	case WEIR_VHOST_ANSWER_ACK:
		return due == t->ack && (!due || (reply->hdr.size == 8 && p->u64 == 0));
	case WEIR_VHOST_ANSWER_U64:
		return due && reply->hdr.size == 8 && p->u64 == t->answer;
	case WEIR_VHOST_ANSWER_BASE:
		return due && reply->hdr.size == 8 && p->state.index == ev->ring &&
		       p->state.num == TALK_BASE;
	case WEIR_VHOST_ANSWER_CONFIG:
		return due && reply->hdr.size == t->size &&
		       p->config.data[0] == t->answer;
	case WEIR_VHOST_ANSWER_FD:
		return due && reply->hdr.size == 0 && reply->fds[0] == TALK_FD;
	case WEIR_VHOST_ANSWER_REGIONS:
		return due && reply->hdr.size == t->size && reply->nr_fds == 0;
	case WEIR_VHOST_ANSWER_INFLIGHT:
		return due && reply->hdr.size == t->size &&
		       p->inflight.len == t->answer && reply->fds[0] == TALK_FD;
	}
	return false;
}

static bool
talk_step(struct weir_vhost_session *s, const struct talk *t)
{
	static struct weir_vhost_msg msg, reply;
	struct weir_vhost_event ev;
	bool due;
	int ret;

	if (t->request == 0)
		return ready_is(s, t->answer);
	talk_build(t, &msg);
	ret = weir_vhost_session_input(s, &msg, &ev);
	if (ret != 0) {
		printf("    %s\n", weir_vhost_session_error(s));
		return false;
	}
	if (ev.type != t->ev) {
		printf("    %s: event %d, not %d\n", weir_vhost_request_name(t->request),
		       ev.type, t->ev);
		return false;
	}
	if (ev.type == WEIR_VHOST_EV_RING_STOP)
		ev.base = TALK_BASE;
	if (ev.type == WEIR_VHOST_EV_GET_CONFIG)
		ev.config.data[0] = (uint8_t)t->answer;
	if (ev.type == WEIR_VHOST_EV_GET_INFLIGHT ||
	    ev.type == WEIR_VHOST_EV_POSTCOPY_ADVISE)
		ev.fd = TALK_FD;
	due = weir_vhost_session_reply(s, &ev, 0, &reply);
	if (!reply_is(t, &ev, due, &reply) || ev.close) {
		printf("    %s: reply %d, size %" PRIu32 ", u64 %#" PRIx64 "\n",
		       weir_vhost_request_name(t->request), due, reply.hdr.size,
		       reply.payload.u64);
		return false;
	}
	return true;
}

int
talk_run(struct weir_vhost_session *s, const struct talk *t, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		const char *broken;

		if (!talk_step(s, &t[i]))
			return (int)i;
		broken = vhost_invariant(s, &talk_offer);
		if (broken != NULL) {
			printf("    %s\n", broken);
			return (int)i;
		}
	}
	return -1;
}
