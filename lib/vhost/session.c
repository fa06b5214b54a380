/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/virtio_config.h>

#include "vhost_priv.h"
#include "weir_fail.h"

#define QUEUE_PAIRS_MAX (WEIR_VHOST_RINGS_MAX / 2)
#define MEM_SLOTS_MAX 32764u

static bool
has_bit(uint64_t mask, unsigned int bit)
{
	return (mask & WEIR_VHOST_BIT(bit)) != 0;
}

void
vhost_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

void
vhost_retire(struct weir_vhost_session *s, int fd)
{
	if (fd >= 0)
		s->retired[s->nr_retired++] = fd;
}

int
vhost_take_fd(struct weir_vhost_msg *msg)
{
	if (msg->nr_fds == 0)
		return -1;
	msg->nr_fds = 0;
	return msg->fds[0];
}

/* Finish the last message. */
static void
session_settle(struct weir_vhost_session *s, bool keep)
{
	vhost_mem_settle(s, keep);
	while (s->nr_retired != 0)
		close(s->retired[--s->nr_retired]);
}

static int
config_check(const struct weir_vhost_config *c)
{
	if (c->nr_queue_pairs == 0 ||
	    c->nr_queue_pairs > QUEUE_PAIRS_MAX - (c->ctrl_queue ? 1 : 0))
		return -EINVAL;
	if (c->nr_mem_slots != 0 && (c->nr_mem_slots < WEIR_VHOST_REGIONS_BASE ||
				     c->nr_mem_slots > MEM_SLOTS_MAX))
		return -EINVAL;
	if (c->config_len > WEIR_VHOST_CONFIG_MAX)
		return -EINVAL;
	if (c->protocol_features != 0 &&
	    !has_bit(c->features, WEIR_VHOST_F_PROTOCOL_FEATURES))
		return -EINVAL;
	if (has_bit(c->features, VIRTIO_F_ACCESS_PLATFORM) &&
	    (!has_bit(c->protocol_features, WEIR_VHOST_PF_REPLY_ACK) ||
	     !has_bit(c->protocol_features, WEIR_VHOST_PF_BACKEND_REQ)))
		return -EINVAL;
	return (c->protocol_features & ~WEIR_VHOST_PF_SUPPORTED) != 0 ? -EPROTONOSUPPORT
								      : 0;
}

int
weir_vhost_session_create(const struct weir_vhost_config *config,
			  struct weir_vhost_session **out)
{
	const uint32_t nr_rings =
		2 * (uint32_t)config->nr_queue_pairs + (config->ctrl_queue ? 1 : 0);
	struct weir_vhost_session *s;
	int ret;

	ret = config_check(config);
	if (ret != 0)
		return ret;
	s = weir_zalloc(sizeof(*s) + nr_rings * sizeof(s->ring[0]));
	if (s == NULL)
		return -ENOMEM;
	/* a reset lets go of three a ring; no other message of more than one */
	s->retired = weir_calloc(3 * (size_t)nr_rings, sizeof(s->retired[0]));
	if (s->retired == NULL) {
		ret = -ENOMEM;
		goto err_free;
	}
	s->offer = *config;
	if (s->offer.nr_mem_slots == 0)
		s->offer.nr_mem_slots = WEIR_VHOST_MEM_SLOTS;
	if (s->offer.max_mem == 0)
		s->offer.max_mem = WEIR_VHOST_MEM_BYTES;
	s->backend_fd = -1;
	s->log.fd = -1;
	s->log.event_fd = -1;
	s->inflight.fd = -1;
	s->undo.fd = -1;
	s->nr_rings = nr_rings;
	for (uint32_t i = 0; i < nr_rings; i++)
		vhost_ring_init(&s->ring[i]);
	*out = s;
	return 0;

err_free:
	free(s);
	return ret;
}

void
weir_vhost_session_destroy(struct weir_vhost_session *s)
{
	if (s == NULL)
		return;
	session_settle(s, true);
	for (uint32_t i = 0; i < s->nr_rings; i++) {
		vhost_close(s->ring[i].kick_fd);
		vhost_close(s->ring[i].call_fd);
		vhost_close(s->ring[i].err_fd);
	}
	vhost_close(s->backend_fd);
	vhost_close(s->log.fd);
	vhost_close(s->log.event_fd);
	vhost_close(s->inflight.fd);
	vhost_mem_free(s->mem);
	free(s->retired);
	free(s);
}

/* Whether the frontend may send this message at all. */
static int
gate_check(const struct weir_vhost_session *s, const struct vhost_desc *d,
	   struct vhost_why *why)
{
	switch (d->gate) {
	case VHOST_GATE_NONE:
		return 0;
	case VHOST_GATE_PROTOCOL:
		if (has_bit(s->offer.features, WEIR_VHOST_F_PROTOCOL_FEATURES))
			return 0;
		return vhost_why(why, -EPROTONOSUPPORT,
				 "protocol features were not offered");
	case VHOST_GATE_OFFERED:
		if (has_bit(s->offer.protocol_features, d->pf))
			return 0;
		return vhost_why(why, -EPROTONOSUPPORT, "%s was not offered",
				 weir_vhost_pf_name(d->pf));
	case VHOST_GATE_NEGOTIATED:
		if (has_bit(s->protocol_features, d->pf))
			return 0;
		return vhost_why(why, -EPROTONOSUPPORT, "%s was not negotiated",
				 weir_vhost_pf_name(d->pf));
	}
	return -EPROTO;
}

/* Which ring the message is about, if it is about one. */
static int
index_check(const struct weir_vhost_session *s, const struct vhost_desc *d,
	    const struct weir_vhost_msg *msg, uint32_t *idx, struct vhost_why *why)
{
	switch (d->index) {
	case VHOST_INDEX_NONE:
		return 0;
	case VHOST_INDEX_STATE:
		*idx = msg->payload.state.index;
		break;
	case VHOST_INDEX_ADDR:
		*idx = msg->payload.addr.index;
		break;
	case VHOST_INDEX_FD:
		*idx = msg->payload.u64 & WEIR_VHOST_RING_IDX_MASK;
		break;
	}
	if (*idx >= s->nr_rings)
		return vhost_why(why, -ERANGE,
				 "ring %" PRIu32 ": only %" PRIu32 " are offered", *idx,
				 s->nr_rings);
	return 0;
}

static int
session_dispatch(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
		 struct weir_vhost_event *ev)
{
	const struct vhost_desc *d = vhost_desc_find(msg->hdr.request);
	const char *bad = weir_vhost_msg_check(&msg->hdr);
	int ret;

	s->why.name = weir_vhost_request_name(msg->hdr.request);
	if (bad != NULL) {
		ev->close = true;
		return vhost_why(&s->why, -EPROTO, "%s: %#" PRIx32, bad, msg->hdr.flags);
	}
	if (vhost_is_postcopy_ready(s, msg)) {
		ev->type = WEIR_VHOST_EV_POSTCOPY_READY;
		return 0;
	}
	if (d == NULL)
		return vhost_why(&s->why, -EPROTO, "%" PRIu32 " is not known",
				 msg->hdr.request);
	ev->answer = d->answer;
	ret = gate_check(s, d, &s->why);
	if (ret != 0)
		return ret;
	if (d->handle == NULL)
		return vhost_why(&s->why, -EPROTONOSUPPORT, "not supported");
	ret = vhost_check_shape(d, msg, &s->why);
	if (ret == 0)
		ret = index_check(s, d, msg, &ev->ring, &s->why);
	if (ret == 0)
		ret = d->handle(s, msg, ev);
	/* the frontend has to find a fault's page by its address */
	if (ret == 0 && s->postcopy == VHOST_POSTCOPY_LISTENING &&
	    (msg->hdr.request == WEIR_VHOST_SET_MEM_TABLE ||
	     msg->hdr.request == WEIR_VHOST_ADD_MEM_REG))
		ev->answer = WEIR_VHOST_ANSWER_REGIONS;
	return ret;
}

int
weir_vhost_session_input(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
			 struct weir_vhost_event *ev)
{
	int ret;

	session_settle(s, true);
	s->why.text[0] = '\0';
	memset(ev, 0, sizeof(*ev));
	ev->request = msg->hdr.request;
	ev->need_reply = (msg->hdr.flags & WEIR_VHOST_FLAG_NEED_REPLY) != 0;
	ev->len = msg->hdr.size;
	ev->fd = -1;
	ev->region.fd = -1;
	ret = session_dispatch(s, msg, ev);
	/* what the handler did not take, nobody will */
	while (msg->nr_fds != 0)
		close(msg->fds[--msg->nr_fds]);
	return ret;
}

static void
reply_config(const struct weir_vhost_event *ev, bool failed, struct weir_vhost_msg *reply)
{
	const size_t fixed = offsetof(struct weir_vhost_wire_config, data);

	/* an empty payload says that it failed */
	if (failed)
		return;
	reply->payload.config = ev->config;
	reply->hdr.size = (uint32_t)(fixed + ev->config.len);
}

/* As long as it was asked for; all zeroes say that there is none. */
static void
reply_inflight(const struct weir_vhost_event *ev, bool failed,
	       struct weir_vhost_msg *reply)
{
	reply->hdr.size = ev->len >= offsetof(struct weir_vhost_wire_inflight, pad) &&
					  ev->len <= sizeof(reply->payload.inflight)
				  ? ev->len
				  : sizeof(reply->payload.inflight);
	reply->payload.inflight = (struct weir_vhost_wire_inflight){ 0 };
	if (failed)
		return;
	reply->payload.inflight.len = ev->inflight.len;
	reply->payload.inflight.mmap_offset = ev->inflight.mmap_offset;
	reply->payload.inflight.nr_rings = ev->inflight.nr_rings;
	reply->payload.inflight.size = ev->inflight.size;
}

bool
weir_vhost_session_reply(struct weir_vhost_session *s, struct weir_vhost_event *ev,
			 int result, struct weir_vhost_msg *reply)
{
	const bool failed = result != 0;

	session_settle(s, !failed);
	weir_vhost_msg_init(reply);
	reply->hdr.request = ev->request;
	reply->hdr.flags = WEIR_VHOST_VERSION | WEIR_VHOST_FLAG_REPLY;
	if (!failed && ev->type == WEIR_VHOST_EV_RING_STOP) {
		s->ring[ev->ring].base = ev->base;
		s->ring[ev->ring].has_base = true;
	}
	if (ev->answer == WEIR_VHOST_ANSWER_CONFIG) {
		reply_config(ev, failed, reply);
	} else if (ev->answer == WEIR_VHOST_ANSWER_INFLIGHT) {
		reply_inflight(ev, failed, reply);
	} else if (!failed && ev->answer == WEIR_VHOST_ANSWER_REGIONS) {
		reply->hdr.size = ev->len;
	} else if (ev->answer == WEIR_VHOST_ANSWER_FD && ev->type != WEIR_VHOST_EV_NONE) {
		/* a descriptor, or none if the port has none, is all it says */
	} else if (!failed && ev->answer == WEIR_VHOST_ANSWER_BASE) {
		reply->payload.state.index = ev->ring;
		reply->payload.state.num = ev->base;
		reply->hdr.size = sizeof(reply->payload.state);
	} else if (!failed && ev->answer == WEIR_VHOST_ANSWER_U64) {
		reply->payload.u64 = ev->u64;
		reply->hdr.size = sizeof(reply->payload.u64);
	} else if (ev->need_reply) {
		reply->payload.u64 = failed;
		reply->hdr.size = sizeof(reply->payload.u64);
	} else {
		ev->close |= failed;
		return false;
	}
	if (!failed && ev->fd >= 0)
		reply->fds[reply->nr_fds++] = ev->fd;
	return true;
}

const char *
weir_vhost_session_error(const struct weir_vhost_session *s)
{
	return s->why.text;
}

uint64_t
weir_vhost_features(const struct weir_vhost_session *s)
{
	return s->features;
}

uint64_t
weir_vhost_protocol_features(const struct weir_vhost_session *s)
{
	return s->protocol_features;
}

bool
weir_vhost_iotlb(const struct weir_vhost_session *s)
{
	return has_bit(s->features, VIRTIO_F_ACCESS_PLATFORM) &&
	       has_bit(s->protocol_features, WEIR_VHOST_PF_BACKEND_REQ);
}

const struct weir_vhost_log *
weir_vhost_log(const struct weir_vhost_session *s)
{
	return &s->log;
}

const struct weir_vhost_inflight *
weir_vhost_inflight(const struct weir_vhost_session *s)
{
	return &s->inflight;
}

int
weir_vhost_backend_fd(const struct weir_vhost_session *s)
{
	return s->backend_fd;
}

uint16_t
weir_vhost_mtu(const struct weir_vhost_session *s)
{
	return s->mtu;
}

uint8_t
weir_vhost_status(const struct weir_vhost_session *s)
{
	return s->status;
}
