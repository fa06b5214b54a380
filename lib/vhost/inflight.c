/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The area that outlives a backend: asked for, and given back.
 */
#include <errno.h>
#include <inttypes.h>

#include <linux/virtio_config.h>

#include "vhost_priv.h"
#include "weir_inflight.h"

static bool
is_packed(const struct weir_vhost_session *s)
{
	return (s->features & WEIR_VHOST_BIT(VIRTIO_F_RING_PACKED)) != 0;
}

int
vhost_get_inflight_fd(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
		      struct weir_vhost_event *ev)
{
	int ret;

	ret = vhost_check_inflight(msg, s->nr_rings, is_packed(s), &ev->inflight,
				   &s->why);
	if (ret == 0)
		ev->type = WEIR_VHOST_EV_GET_INFLIGHT;
	return ret;
}

/*
 * The parts of an area lie one behind the other; what is longer than they are has
 * room to spare. A part has fields of eight bytes, which no part may straddle.
 */
int
vhost_set_inflight_fd(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
		      struct weir_vhost_event *ev)
{
	const struct weir_vhost_wire_inflight *w = &msg->payload.inflight;
	struct weir_vhost_inflight want;
	struct stat st;
	int ret;

	ret = vhost_check_inflight(msg, s->nr_rings, is_packed(s), &want, &s->why);
	if (ret != 0)
		return ret;
	if (w->len < want.len)
		return vhost_why(&s->why, -EINVAL,
				 "%" PRIu64 " bytes; %" PRIu16 " rings of %" PRIu16
				 " entries take %" PRIu64,
				 w->len, want.nr_rings, want.size, want.len);
	if (w->mmap_offset % WEIR_INFLIGHT_ALIGN != 0)
		return vhost_why(&s->why, -EINVAL,
				 "offset %#" PRIx64 ": not aligned to %u", w->mmap_offset,
				 WEIR_INFLIGHT_ALIGN);
	ret = vhost_check_file(msg->fds[0], w->mmap_offset, want.len, &st, &s->why);
	if (ret != 0)
		return ret;
	want.mmap_offset = w->mmap_offset;
	vhost_retire(s, s->inflight.fd);
	want.fd = vhost_take_fd(msg);
	s->inflight = want;
	ev->type = WEIR_VHOST_EV_INFLIGHT;
	return 0;
}
