/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VHOST_PEER_H
#define VHOST_PEER_H
/*
 * What the tests of the vhost-user session and its fuzz target share: a look at
 * all of a session's state, what must always be true of it, and the counting of
 * descriptors. Needs neither EAL nor the test program.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir_vhost.h"

/* All that a session shows, to be compared with memcmp(). */
struct vhost_snapshot {
	uint64_t features, protocol_features;
	uint32_t nr_regions;
	uint16_t mtu;
	uint8_t status;
	int backend_fd;
	struct weir_vhost_log log;
	struct weir_vhost_inflight inflight;
	struct weir_vhost_region region[32]; /* the first ones */
	struct weir_vhost_ring ring[WEIR_VHOST_RINGS_MAX];
};

void vhost_snapshot(const struct weir_vhost_session *s, struct vhost_snapshot *out);

/* What is wrong with the session; NULL: nothing. @offer: what it was made with. */
const char *vhost_invariant(const struct weir_vhost_session *s,
			    const struct weir_vhost_config *offer);

/* Descriptors that the session shows as its own. */
unsigned int vhost_held_fds(const struct weir_vhost_session *s);

/* Descriptors that this process has open. */
unsigned int open_fds(void);

/* A file of @len bytes without a name; aborts if there is none to be had. */
int file_fd(uint64_t len);

/* A message with @size bytes of @payload and no descriptors. */
void msg_make(struct weir_vhost_msg *msg, uint32_t request, uint32_t flags,
	      const void *payload, size_t size);

#endif /* VHOST_PEER_H */
