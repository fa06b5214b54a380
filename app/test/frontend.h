/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_TEST_FRONTEND_H
#define WEIR_TEST_FRONTEND_H
/*
 * A small vhost-user frontend and virtio-net driver for tests: one region of
 * guest memory, split or packed rings, everything within reach so that a test
 * can break it. It is a peer, so it knows nothing of weir's headers but the protocol's
 * numbers.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vhost_proto.h"

#define FE_MAX_PAIRS 128
#define FE_RING 64u	   /* entries of each ring */
#define FE_BUF 2048u	   /* bytes of each buffer */
#define FE_GPA 0x40000000u /* where guest memory begins */
/* Features: all but packed rings. */
#define FE_SPLIT (~(UINT64_C(1) << VIRTIO_F_RING_PACKED))
#define FE_HDR 12u /* virtio_net_hdr with num_buffers */

/* Guest memory, as /proc/self/maps names it. */
#define FE_MEM_NAME "weir-test-fe"

/* How a packet is laid out in descriptors. */
enum fe_shape { FE_ONE, FE_TWO, FE_INDIRECT, FE_SCATTERED };

/*
 * Chains are always made in a table of split descriptors. With split rings that
 * is the ring's own; with packed ones the driver's, and fe_offer() writes the
 * chain into the ring.
 */
struct fe_ring {
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint8_t *buf;	    /* FE_RING buffers */
	uint16_t avail_idx; /* chains offered, running */
	uint16_t used_idx;  /* chains taken back, running */
	int kick, call;

	/* packed only */
	struct vring_packed_desc *packed; /* NULL: split */
	struct vring_packed_desc_event *driver, *device;
	struct vring_desc table[FE_RING];
	uint16_t avail_pos, used_pos; /* index, and the wrap counter in bit 15 */
	uint16_t nr[FE_RING];	      /* descriptors of the chain of that id */
};

struct fe {
	int sock;
	int mem_fd;
	uint8_t *mem;
	size_t mem_len;
	uint64_t features;
	unsigned int nr_pairs;
	uint64_t iova; /* not 0: a vIOMMU's address of memory's first byte, which rings
			  and buffers are given by */
	bool log_used; /* fe_ring_start() asks for what is written to be logged */
	struct fe_ring ring[2 * FE_MAX_PAIRS];
};

/* A region of guest memory more. */
struct fe_mem {
	uint64_t gpa;
	size_t len;
	uint8_t *mem;
	int fd;
};

/* Everything below returns 0 (or what it says) or -errno. */

/* Connect, agree on features (those of @p want that are offered), share memory,
 * start all rings. @p ring_base: where the rings go on. */
int fe_open(struct fe *f, const char *path, unsigned int nr_pairs, uint64_t want);

/* As a guest that was killed: no good-bye. */
void fe_close(struct fe *f);

/* One message; wait for its answer if reply is not NULL or ack is asked for. */
int fe_msg(struct fe *f, uint32_t request, const void *payload, uint32_t len,
	   const int *fds, unsigned int nr_fds, void *reply, uint32_t reply_len);

/* The same with REPLY_ACK: the answer's value, 0 if the backend took it. */
int64_t fe_msg_ack(struct fe *f, uint32_t request, const void *payload, uint32_t len,
		   const int *fds, unsigned int nr_fds);

/* Only connect and map; fe_open() in its parts. */
int fe_connect(struct fe *f, const char *path, unsigned int nr_pairs);
/* The same with a connection that the backend made. */
int fe_adopt(struct fe *f, int sock, unsigned int nr_pairs);
int fe_features(struct fe *f, uint64_t want);
int fe_share(struct fe *f);

/* Start a ring where @p base says; FE_BASE_NEW: at its beginning. */
#define FE_BASE_NEW UINT32_MAX
int fe_ring_start(struct fe *f, unsigned int i, uint32_t base);

/* A ring as a driver makes it anew: empty, and nothing was offered. Not running. */
void fe_ring_clear(struct fe_ring *r);

/* What fe_ring_start() says of a ring's addresses. */
struct vhost_vring_addr fe_ring_addr(const struct fe *f, unsigned int i);

/* Make memory, of which the backend is told with fe_mem_add(), at @p gpa; name: as
 * /proc/self/maps has it. */
int fe_mem_open(struct fe_mem *m, const char *name, uint64_t gpa, size_t len);
void fe_mem_close(struct fe_mem *m);

/* ADD_MEM_REG and REM_MEM_REG, as fe_msg_ack(). */
int64_t fe_mem_add(struct fe *f, const struct fe_mem *m);
int64_t fe_mem_del(struct fe *f, const struct fe_mem *m);

/* Agree on protocol features once more: these, and what fe_features() asked for. */
int fe_protocol(struct fe *f, uint64_t more);

/* SET_BACKEND_REQ_FD. @return our end of the channel, or -errno. */
int fe_channel(struct fe *f);

/* The next message of the backend's on it: its payload, and in hdr the rest. */
int fe_channel_recv(int chan, struct weir_vhost_hdr *hdr, void *payload, uint32_t room);

/* Bytes that wait on it. */
int fe_channel_waiting(int chan);

/* Answer it. */
int fe_channel_answer(int chan, const struct weir_vhost_hdr *hdr, uint64_t result);

/* The answer to GET_INFLIGHT_FD for all rings, and the descriptor beside it. */
int fe_inflight_get(struct fe *f, struct weir_vhost_wire_inflight *area, int *fd);

/* As after the backend's death: a new connection, the same memory and rings. */
int fe_connect_again(struct fe *f, const char *path);

/* Memory and rings as fe_connect() makes them, split ones, for another guest. */
void fe_rings_anew(struct fe *f);

/* Offer buffers for receiving until the ring is full. */
void fe_post(struct fe *f, unsigned int pair);

/* Receive one packet into @p buf, room for 65536. @return its length, 0: none. */
size_t fe_recv(struct fe *f, unsigned int pair, uint8_t *buf);

/* Offer a packet for sending. @return false: no descriptor is free. */
bool fe_send(struct fe *f, unsigned int pair, const uint8_t *data, size_t len,
	     enum fe_shape shape);

/* Take back what was sent. @return how many. */
unsigned int fe_reap(struct fe *f, unsigned int pair);

/* Make one chain available as it stands in the descriptor table. */
void fe_offer(struct fe_ring *r, uint16_t head);

/* The address of something in guest memory that a driver gives its device. */
uint64_t fe_gpa(const struct fe *f, const void *p);

#endif /* WEIR_TEST_FRONTEND_H */
