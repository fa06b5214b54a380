/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VHOST_TALK_H
#define VHOST_TALK_H
/*
 * Conversations with a vhost-user session, written down as tables: what the
 * frontend sends and what is to come of it. The memory they speak of is one
 * file of 16 MiB that the guest sees at 0 and the frontend at TALK_USER, with
 * ring i at 64 KiB times i in it.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>

#include "vhost_peer.h"

#define TALK_USER UINT64_C(0x7f0000000000)
#define TALK_MEM_LEN UINT64_C(0x1000000)
/* all of it that the session takes */
#define TALK_MEM_MAX (200 * TALK_MEM_LEN)
#define TALK_BASE 77 /* what a ring is said to have reached when it is stopped */
#define TALK_FD 1000 /* what is said to be sent along, and is not looked at */

#define BIT(nr) WEIR_VHOST_BIT(nr)
#define TALK_PF BIT(WEIR_VHOST_F_PROTOCOL_FEATURES)
#define TALK_FEATURES                                                    \
	(TALK_PF | BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_RING_PACKED) | \
	 BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_MQ) |            \
	 BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VHOST_F_LOG_ALL) |           \
	 BIT(VIRTIO_F_ACCESS_PLATFORM))

/* Descriptors that a message takes along. */
enum talk_fds { TALK_NO_FD, TALK_EVENT, TALK_FILE, TALK_SOCK };

/* One message, and what is to come of it. */
struct talk {
	uint32_t request; /* 0: look which rings are ready, .answer is the mask */
	bool ack;	  /* NEED_REPLY */
	const void *data;
	size_t size;
	enum talk_fds fds;
	uint32_t nr_fds;
	enum weir_vhost_event_type ev;
	uint64_t answer; /* where the message is a question */
};

/* A session's message without payload, with a u64, about a ring. */
#define SAY(req, e, ...)                                               \
	{                                                              \
		WEIR_VHOST_##req, .ev = WEIR_VHOST_EV_##e, __VA_ARGS__ \
	}
#define DATA(type, ...) .data = &(const type){ __VA_ARGS__ }, .size = sizeof(type)
#define U64(v) DATA(uint64_t, v)
#define STATE(i, n) DATA(struct vhost_vring_state, i, n)
#define ADDR(i, fl)                                                   \
	DATA(struct vhost_vring_addr, i, fl, TALK_USER + (i)*0x10000, \
	     TALK_USER + (i)*0x10000 + 0x8000, TALK_USER + (i)*0x10000 + 0x4000, 0)
#define IOTLB(iova, len, user, perm, type) \
	DATA(struct vhost_iotlb_msg, iova, len, user, perm, type)
#define EVENT .fds = TALK_EVENT, .nr_fds = 1
#define CHANNEL .fds = TALK_SOCK, .nr_fds = 1
#define FILES(n) .fds = TALK_FILE, .nr_fds = n
#define ACK .ack = true
#define IS(v) .answer = v
#define READY(mask)               \
	{                         \
		0, .answer = mask \
	}

struct talk_table2 {
	uint32_t nr, pad;
	struct weir_vhost_wire_region r[2];
};
struct talk_table1 {
	uint32_t nr, pad;
	struct weir_vhost_wire_region r[1];
};
#define TABLE1 \
	DATA(struct talk_table1, 1, 0, { { 0, TALK_MEM_LEN, TALK_USER, 0 } }), FILES(1)

/* The default offer: everything there is, two queue pairs. */
extern const struct weir_vhost_config talk_offer;

/* The file that is the guest's memory, one more descriptor of it. */
int talk_file(void);

/* A descriptor of a kind, TALK_EVENT unless said otherwise. */
int talk_fd(enum talk_fds kind);

/* Build the message of a step, with descriptors of its own. */
void talk_build(const struct talk *t, struct weir_vhost_msg *msg);

/* Send a table through a session. @return -1, or the index of the first step
 * that did not do what the table says, with the reason printed. */
int talk_run(struct weir_vhost_session *s, const struct talk *t, size_t nr);

#endif /* VHOST_TALK_H */
