/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PERF_GUEST_H
#define WEIR_PERF_GUEST_H
/*
 * A guest to measure a vhost-user backend with, in the backend's own process: a
 * frontend that has just the messages it takes to start two rings, and a
 * virtio-net driver that does as little as a driver can.
 *
 * One queue pair, split or packed rings, memory in one region. Buffers have fixed
 * places: what a frame holds is written once and offered many times, so that
 * between two measured bursts nothing but descriptors is written. Interrupts are
 * off, and nobody kicks: no burst makes a system call.
 *
 * One thread. Functions return 0 or -errno unless they say otherwise.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUEST_HDR 12u /* virtio_net_hdr with num_buffers */

/*
 * Room ahead of a frame's header, so that the frame begins on a cache line as in
 * DPDK's driver: an mbuf's headroom, the header being the end of it.
 */
#define GUEST_HEAD (128u - GUEST_HDR)

struct guest_conf {
	const char *path;  /* the backend's socket */
	uint64_t want;	   /* virtio features that have to be there */
	uint16_t size;	   /* entries of each ring, a power of two */
	uint16_t pieces;   /* descriptors of a frame to be sent, a power of two */
	uint32_t tx_piece; /* bytes from one of its pieces to the next */
	bool huge;	   /* memory in huge pages */
};

/* A ring; it is split unless `packed`. Counters run on for ever. */
struct guest_ring {
	bool packed;
	bool rx;
	uint16_t size;
	uint16_t pieces;  /* descriptors of a chain */
	uint32_t posted;  /* chains made available */
	uint32_t taken;	  /* chains taken back */
	uint32_t buf_len; /* bytes from buffer to buffer */
	uint8_t *buf;	  /* one for each descriptor */
	uint64_t buf_gpa;
	void *desc;   /* struct vring_desc, or vring_packed_desc */
	void *driver; /* struct vring_avail, or vring_packed_desc_event */
	void *device; /* struct vring_used, or vring_packed_desc_event */
	int kick, call;
};

struct guest {
	int sock;
	int mem_fd;
	uint8_t *mem;
	size_t mem_len;
	uint64_t features;
	struct guest_ring ring[2]; /* the guest's receive and transmit queue */
};

/*
 * Connect and start both rings. Blocks until the backend has taken each message.
 *
 * -ENOTSUP: a feature is not offered, and nothing is open; -ETIMEDOUT: no answer
 * within 10 s; -ENOMEM: not so much memory, or no huge pages.
 */
int guest_open(struct guest *g, const struct guest_conf *conf);

/* Leave without a good-bye. */
void guest_close(struct guest *g);

/* Chains that the ring holds at most. */
static inline unsigned int
guest_ring_chains(const struct guest_ring *r)
{
	return (unsigned int)r->size / r->pieces;
}

/* Offer all buffers for receiving that the backend has not got. */
void guest_rx_post(struct guest *g);

/* Take back all received buffers, unseen. @return how many. */
unsigned int guest_rx_drop(struct guest *g);

/*
 * Receive a frame. @p hdr gets the header.
 *
 * @return its length; 0: there is none; -EPROTO: the backend has broken the ring;
 *         -EMSGSIZE: more than @p room.
 */
int guest_rx_frame(struct guest *g, uint8_t *hdr, uint8_t *buf, size_t room);

/* Put a frame behind a header into the buffers of the @p nr-th chain from now. */
void guest_tx_write(struct guest *g, unsigned int nr, const void *hdr, const uint8_t *buf,
		    size_t len);

/* Offer the next @p n chains with what is in their buffers, each @p len bytes long
 * without header. The ring has room for them. */
void guest_tx_post(struct guest *g, unsigned int n, size_t len);

/* Throw @p n chains from the @p first on, their frames of @p len bytes and what the
 * ring holds about them, out of all caches. */
void guest_flush(const struct guest_ring *r, uint32_t first, unsigned int n, size_t len);

/* Take back what was sent. @return how many chains; -EPROTO as above. */
int guest_tx_take(struct guest *g);

/* The first byte of the frame in the @p nr-th chain's first buffer. */
static inline uint8_t *
guest_frame(const struct guest_ring *r, uint32_t nr)
{
	uint32_t at = nr * r->pieces & (r->size - 1u);

	return r->buf + (size_t)at * r->buf_len + GUEST_HEAD + GUEST_HDR;
}

#endif /* WEIR_PERF_GUEST_H */
