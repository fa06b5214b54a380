/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What each message needs, and the handlers of those that are neither about
 * memory nor about a ring.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "vhost_priv.h"

/* What IPv4 asks of a link at the least (RFC 791), and all that 16 bits say. */
#define MTU_MIN 68
#define MTU_MAX UINT16_MAX

static int
get_features(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
	     struct weir_vhost_event *ev)
{
	(void)msg;
	ev->u64 = s->offer.features;
	return 0;
}

static bool
any_ring_runs(const struct weir_vhost_session *s)
{
	for (uint32_t i = 0; i < s->nr_rings; i++)
		if (vhost_ring_runs(&s->ring[i]))
			return true;
	return false;
}

static int
set_features(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
	     struct weir_vhost_event *ev)
{
	const uint64_t want = msg->payload.u64, alien = want & ~s->offer.features;
	const uint64_t changed = (s->features ^ want) & ~WEIR_VHOST_BIT(VHOST_F_LOG_ALL);
	const uint64_t protocol = WEIR_VHOST_BIT(WEIR_VHOST_F_PROTOCOL_FEATURES);

	if (alien != 0)
		return vhost_why(&s->why, -EPROTONOSUPPORT,
				 "%#" PRIx64 " was not offered", alien);
	if (s->has_features && changed != 0 && any_ring_runs(s))
		return vhost_why(&s->why, -EBUSY,
				 "%#" PRIx64 " would change while rings run", changed);
	if (!s->has_features || want != s->features)
		ev->type = WEIR_VHOST_EV_FEATURES;
	if (((s->features ^ want) & WEIR_VHOST_BIT(VHOST_F_LOG_ALL)) != 0)
		vhost_rings_touch(s);
	s->features = want;
	s->has_features = true;
	if ((want & protocol) == 0 && vhost_rings_enable(s, true))
		ev->type = WEIR_VHOST_EV_FEATURES;
	return 0;
}

static int
set_owner(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
	  struct weir_vhost_event *ev)
{
	/* the connection is the owner; a frontend that reconnects may not say so */
	(void)s;
	(void)msg;
	(void)ev;
	return 0;
}

static int
reset_owner(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
	    struct weir_vhost_event *ev)
{
	(void)msg;
	vhost_rings_enable(s, false);
	ev->type = WEIR_VHOST_EV_RESET;
	return 0;
}

/* Back to the start but for what the frontend will not send again. */
static void
device_reset(struct weir_vhost_session *s, struct weir_vhost_event *ev, bool keep_call)
{
	for (uint32_t i = 0; i < s->nr_rings; i++)
		vhost_ring_reset(s, &s->ring[i], keep_call);
	s->features = 0;
	s->has_features = false;
	s->mtu = 0;
	s->status = 0;
	ev->type = WEIR_VHOST_EV_RESET;
}

static int
reset_device(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
	     struct weir_vhost_event *ev)
{
	(void)msg;
	device_reset(s, ev, false);
	return 0;
}

static int
get_protocol_features(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
		      struct weir_vhost_event *ev)
{
	(void)msg;
	ev->u64 = s->offer.protocol_features;
	return 0;
}

/* Protocol features that are of no use without another. */
static const struct {
	enum weir_vhost_pf pf, needs;
} pf_needs[] = {
	{ WEIR_VHOST_PF_GET_VRING_BASE_INFLIGHT, WEIR_VHOST_PF_INFLIGHT_SHMFD },
	{ WEIR_VHOST_PF_INBAND_NOTIFICATIONS, WEIR_VHOST_PF_BACKEND_REQ },
	{ WEIR_VHOST_PF_INBAND_NOTIFICATIONS, WEIR_VHOST_PF_REPLY_ACK },
};

static int
set_protocol_features(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
		      struct weir_vhost_event *ev)
{
	const uint64_t want = msg->payload.u64,
		       alien = want & ~s->offer.protocol_features;

	(void)ev;
	if (alien != 0)
		return vhost_why(&s->why, -EPROTONOSUPPORT,
				 "%#" PRIx64 " was not offered", alien);
	for (size_t i = 0; i < sizeof(pf_needs) / sizeof(pf_needs[0]); i++)
		if ((want & WEIR_VHOST_BIT(pf_needs[i].pf)) != 0 &&
		    (want & WEIR_VHOST_BIT(pf_needs[i].needs)) == 0)
			return vhost_why(&s->why, -EINVAL, "%s without %s",
					 weir_vhost_pf_name(pf_needs[i].pf),
					 weir_vhost_pf_name(pf_needs[i].needs));
	s->protocol_features = want;
	return 0;
}

static int
get_queue_num(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
	      struct weir_vhost_event *ev)
{
	(void)msg;
	ev->u64 = s->offer.nr_queue_pairs;
	return 0;
}

static int
get_max_mem_slots(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
		  struct weir_vhost_event *ev)
{
	(void)msg;
	ev->u64 = s->offer.nr_mem_slots;
	return 0;
}

static int
set_log_base(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
	     struct weir_vhost_event *ev)
{
	const struct weir_vhost_wire_log *log = &msg->payload.log;
	struct stat st;
	int ret;

	if (log->len == 0)
		return vhost_why(&s->why, -EINVAL, "size is 0");
	ret = vhost_check_file(msg->fds[0], log->mmap_offset, log->len, &st, &s->why);
	if (ret == 0)
		ret = vhost_check_log(s, log->len);
	if (ret != 0)
		return ret;
	vhost_retire(s, s->log.fd);
	s->log.fd = vhost_take_fd(msg);
	s->log.len = log->len;
	s->log.mmap_offset = log->mmap_offset;
	ev->type = WEIR_VHOST_EV_LOG;
	return 0;
}

static int
set_log_fd(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
	   struct weir_vhost_event *ev)
{
	int ret = vhost_check_event(msg, &s->why);

	if (ret != 0)
		return ret;
	vhost_retire(s, s->log.event_fd);
	s->log.event_fd = vhost_take_fd(msg);
	ev->type = WEIR_VHOST_EV_LOG;
	return 0;
}

static int
send_rarp(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
	  struct weir_vhost_event *ev)
{
	static const uint8_t none[sizeof(ev->mac)];
	const uint8_t *mac = (const uint8_t *)&msg->payload.u64;

	if ((mac[0] & 1) != 0 || memcmp(mac, none, sizeof(none)) == 0)
		return vhost_why(&s->why, -EINVAL,
				 "%02x:%02x:%02x:%02x:%02x:%02x is no station's address",
				 mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	memcpy(ev->mac, mac, sizeof(ev->mac));
	ev->type = WEIR_VHOST_EV_RARP;
	return 0;
}

static int
net_set_mtu(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
	    struct weir_vhost_event *ev)
{
	const uint64_t mtu = msg->payload.u64;

	if (mtu < MTU_MIN || mtu > MTU_MAX)
		return vhost_why(&s->why, -EINVAL, "%" PRIu64 " is not %d to %d", mtu,
				 MTU_MIN, MTU_MAX);
	s->mtu = (uint16_t)mtu;
	ev->mtu = s->mtu;
	ev->type = WEIR_VHOST_EV_MTU;
	return 0;
}

static int
set_backend_req_fd(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
		   struct weir_vhost_event *ev)
{
	int ret = vhost_check_channel(msg->fds[0], &s->why);

	if (ret != 0)
		return ret;
	vhost_retire(s, s->backend_fd);
	s->backend_fd = vhost_take_fd(msg);
	ev->type = WEIR_VHOST_EV_BACKEND_REQ;
	return 0;
}

static int
get_config(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
	   struct weir_vhost_event *ev)
{
	const struct weir_vhost_wire_config *c = &msg->payload.config;
	int ret;

	ret = vhost_check_config(msg, s->offer.config_len, &s->why);
	if (ret != 0)
		return ret;
	ev->config.offset = c->offset;
	ev->config.len = c->len;
	ev->config.flags = c->flags;
	ev->type = WEIR_VHOST_EV_GET_CONFIG;
	return 0;
}

static int
set_config(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
	   struct weir_vhost_event *ev)
{
	const struct weir_vhost_wire_config *c = &msg->payload.config;
	int ret;

	ret = vhost_check_config(msg, s->offer.config_len, &s->why);
	if (ret != 0)
		return ret;
	memcpy(&ev->config, c, msg->hdr.size);
	ev->type = WEIR_VHOST_EV_SET_CONFIG;
	return 0;
}

static int
set_status(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
	   struct weir_vhost_event *ev)
{
	const uint64_t status = msg->payload.u64;

	if (status > UINT8_MAX)
		return vhost_why(&s->why, -EINVAL, "%#" PRIx64 " is more than 8 bits",
				 status);
	if (status == 0) {
		device_reset(s, ev, true);
		return 0;
	}
	s->status = (uint8_t)status;
	ev->status = s->status;
	ev->type = WEIR_VHOST_EV_STATUS;
	return 0;
}

static int
get_status(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
	   struct weir_vhost_event *ev)
{
	(void)msg;
	ev->u64 = s->status;
	return 0;
}

#define U64 .len_min = 8, .len_max = 8
#define STATE .len_min = 8, .len_max = 8, .index = VHOST_INDEX_STATE
#define RING_FD .len_min = 8, .len_max = 8, .fds_max = 1, .index = VHOST_INDEX_FD
#define CONFIG                                                    \
	.len_min = offsetof(struct weir_vhost_wire_config, data), \
	.len_max = sizeof(struct weir_vhost_wire_config)
#define TABLE                                                      \
	.len_min = offsetof(struct weir_vhost_wire_table, region), \
	.len_max = sizeof(struct weir_vhost_wire_table), .fds_max = WEIR_VHOST_FDS_MAX
#define MEM_REG                                            \
	.len_min = sizeof(struct weir_vhost_wire_mem_reg), \
	.len_max = sizeof(struct weir_vhost_wire_mem_reg), .fds_max = 1
#define INFLIGHT                                                   \
	.len_min = offsetof(struct weir_vhost_wire_inflight, pad), \
	.len_max = sizeof(struct weir_vhost_wire_inflight),        \
	IF_NEGOTIATED(INFLIGHT_SHMFD)
#define IF_OFFERED(f) .gate = VHOST_GATE_OFFERED, .pf = WEIR_VHOST_PF_##f
#define IF_NEGOTIATED(f) .gate = VHOST_GATE_NEGOTIATED, .pf = WEIR_VHOST_PF_##f
#define GIVES(what) .answer = WEIR_VHOST_ANSWER_##what

/*
 * Where the specification says that a protocol feature must be among those
 * offered, that is enough; where it says negotiated, it must have been set.
 */
static const struct vhost_desc descs[WEIR_VHOST_REQUEST_COUNT] = {
	[WEIR_VHOST_GET_FEATURES] = { "GET_FEATURES", GIVES(U64),
				      .handle = get_features },
	[WEIR_VHOST_SET_FEATURES] = { "SET_FEATURES", U64, .handle = set_features },
	[WEIR_VHOST_SET_OWNER] = { "SET_OWNER", .handle = set_owner },
	[WEIR_VHOST_RESET_OWNER] = { "RESET_OWNER", .handle = reset_owner },
	[WEIR_VHOST_SET_MEM_TABLE] = { "SET_MEM_TABLE", TABLE,
				       .handle = vhost_set_mem_table },
	/* the one message that is not a question and is answered all the same */
	[WEIR_VHOST_SET_LOG_BASE] = { "SET_LOG_BASE", IF_NEGOTIATED(LOG_SHMFD),
				      .len_min = sizeof(struct weir_vhost_wire_log),
				      .len_max = sizeof(struct weir_vhost_wire_log),
				      .fds_min = 1, .fds_max = 1, GIVES(U64),
				      .handle = set_log_base },
	[WEIR_VHOST_SET_LOG_FD] = { "SET_LOG_FD", IF_NEGOTIATED(LOG_SHMFD), .len_max = 8,
				    .fds_min = 1, .fds_max = 1, .handle = set_log_fd },
	[WEIR_VHOST_SET_VRING_NUM] = { "SET_VRING_NUM", STATE,
				       .handle = vhost_set_vring_num },
	[WEIR_VHOST_SET_VRING_ADDR] = { "SET_VRING_ADDR",
					.len_min = sizeof(struct vhost_vring_addr),
					.len_max = sizeof(struct vhost_vring_addr),
					.index = VHOST_INDEX_ADDR,
					.handle = vhost_set_vring_addr },
	[WEIR_VHOST_SET_VRING_BASE] = { "SET_VRING_BASE", STATE,
					.handle = vhost_set_vring_base },
	[WEIR_VHOST_GET_VRING_BASE] = { "GET_VRING_BASE", STATE, GIVES(BASE),
					.handle = vhost_get_vring_base },
	[WEIR_VHOST_SET_VRING_KICK] = { "SET_VRING_KICK", RING_FD,
					.handle = vhost_set_vring_kick },
	[WEIR_VHOST_SET_VRING_CALL] = { "SET_VRING_CALL", RING_FD,
					.handle = vhost_set_vring_call },
	[WEIR_VHOST_SET_VRING_ERR] = { "SET_VRING_ERR", RING_FD,
				       .handle = vhost_set_vring_err },
	[WEIR_VHOST_GET_PROTOCOL_FEATURES] = { "GET_PROTOCOL_FEATURES",
					       .gate = VHOST_GATE_PROTOCOL, GIVES(U64),
					       .handle = get_protocol_features },
	[WEIR_VHOST_SET_PROTOCOL_FEATURES] = { "SET_PROTOCOL_FEATURES", U64,
					       .gate = VHOST_GATE_PROTOCOL,
					       .handle = set_protocol_features },
	[WEIR_VHOST_GET_QUEUE_NUM] = { "GET_QUEUE_NUM", IF_OFFERED(MQ), GIVES(U64),
				       .handle = get_queue_num },
	/* QEMU sends it ahead of the SET_FEATURES that would permit it */
	[WEIR_VHOST_SET_VRING_ENABLE] = { "SET_VRING_ENABLE", STATE,
					  .gate = VHOST_GATE_PROTOCOL,
					  .handle = vhost_set_vring_enable },
	[WEIR_VHOST_SEND_RARP] = { "SEND_RARP", U64, IF_OFFERED(RARP),
				   .handle = send_rarp },
	[WEIR_VHOST_NET_SET_MTU] = { "NET_SET_MTU", U64, IF_OFFERED(NET_MTU),
				     .handle = net_set_mtu },
	[WEIR_VHOST_SET_BACKEND_REQ_FD] = { "SET_BACKEND_REQ_FD", IF_OFFERED(BACKEND_REQ),
					    .fds_min = 1, .fds_max = 1,
					    .handle = set_backend_req_fd },
	/* REPLY_ACK says when: it is answered like any other */
	[WEIR_VHOST_IOTLB_MSG] = { "IOTLB_MSG", IF_OFFERED(BACKEND_REQ),
				   .len_min = WEIR_VHOST_IOTLB_LEN,
				   .len_max = WEIR_VHOST_IOTLB_LEN,
				   .handle = vhost_iotlb_msg },
	[WEIR_VHOST_SET_VRING_ENDIAN] = { "SET_VRING_ENDIAN", IF_OFFERED(CROSS_ENDIAN) },
	[WEIR_VHOST_GET_CONFIG] = { "GET_CONFIG", CONFIG, IF_NEGOTIATED(CONFIG),
				    GIVES(CONFIG), .handle = get_config },
	[WEIR_VHOST_SET_CONFIG] = { "SET_CONFIG", CONFIG, IF_NEGOTIATED(CONFIG),
				    .handle = set_config },
	[WEIR_VHOST_CREATE_CRYPTO_SESSION] = { "CREATE_CRYPTO_SESSION",
					       IF_OFFERED(CRYPTO_SESSION) },
	[WEIR_VHOST_CLOSE_CRYPTO_SESSION] = { "CLOSE_CRYPTO_SESSION",
					      IF_OFFERED(CRYPTO_SESSION) },
	[WEIR_VHOST_POSTCOPY_ADVISE] = { "POSTCOPY_ADVISE", IF_NEGOTIATED(PAGEFAULT),
					 GIVES(FD), .handle = vhost_postcopy_advise },
	[WEIR_VHOST_POSTCOPY_LISTEN] = { "POSTCOPY_LISTEN", IF_NEGOTIATED(PAGEFAULT),
					 .handle = vhost_postcopy_listen },
	[WEIR_VHOST_POSTCOPY_END] = { "POSTCOPY_END", IF_NEGOTIATED(PAGEFAULT),
				      GIVES(U64), .handle = vhost_postcopy_end },
	[WEIR_VHOST_GET_INFLIGHT_FD] = { "GET_INFLIGHT_FD", INFLIGHT, GIVES(INFLIGHT),
					 .handle = vhost_get_inflight_fd },
	[WEIR_VHOST_SET_INFLIGHT_FD] = { "SET_INFLIGHT_FD", INFLIGHT, .fds_min = 1,
					 .fds_max = 1, .handle = vhost_set_inflight_fd },
	[WEIR_VHOST_GPU_SET_SOCKET] = { "GPU_SET_SOCKET" },
	[WEIR_VHOST_RESET_DEVICE] = { "RESET_DEVICE", IF_OFFERED(RESET_DEVICE),
				      .handle = reset_device },
	[WEIR_VHOST_VRING_KICK] = { "VRING_KICK", STATE,
				    IF_NEGOTIATED(INBAND_NOTIFICATIONS),
				    .handle = vhost_vring_kick },
	[WEIR_VHOST_GET_MAX_MEM_SLOTS] = { "GET_MAX_MEM_SLOTS",
					   IF_NEGOTIATED(CONFIGURE_MEM_SLOTS), GIVES(U64),
					   .handle = get_max_mem_slots },
	[WEIR_VHOST_ADD_MEM_REG] = { "ADD_MEM_REG", MEM_REG, .fds_min = 1,
				     IF_NEGOTIATED(CONFIGURE_MEM_SLOTS),
				     .handle = vhost_add_mem_reg },
	/* old frontends pass a descriptor that says nothing */
	[WEIR_VHOST_REM_MEM_REG] = { "REM_MEM_REG", MEM_REG,
				     IF_NEGOTIATED(CONFIGURE_MEM_SLOTS),
				     .handle = vhost_rem_mem_reg },
	[WEIR_VHOST_SET_STATUS] = { "SET_STATUS", U64, IF_NEGOTIATED(STATUS),
				    .handle = set_status },
	[WEIR_VHOST_GET_STATUS] = { "GET_STATUS", IF_NEGOTIATED(STATUS), GIVES(U64),
				    .handle = get_status },
	[WEIR_VHOST_GET_SHARED_OBJECT] = { "GET_SHARED_OBJECT",
					   IF_OFFERED(SHARED_OBJECT) },
	[WEIR_VHOST_SET_DEVICE_STATE_FD] = { "SET_DEVICE_STATE_FD",
					     IF_OFFERED(DEVICE_STATE) },
	[WEIR_VHOST_CHECK_DEVICE_STATE] = { "CHECK_DEVICE_STATE",
					    IF_OFFERED(DEVICE_STATE) },
	[WEIR_VHOST_GET_SHMEM_CONFIG] = { "GET_SHMEM_CONFIG", IF_OFFERED(SHMEM_MAP) },
};

const struct vhost_desc *
vhost_desc_find(uint32_t request)
{
	if (request >= WEIR_VHOST_REQUEST_COUNT || descs[request].name == NULL)
		return NULL;
	return &descs[request];
}

const char *
weir_vhost_request_name(uint32_t request)
{
	const struct vhost_desc *d = vhost_desc_find(request);

	return d != NULL ? d->name : "request";
}
