/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>

#include <linux/virtio_config.h>

#include "vhost_priv.h"
#include "weir_fd.h"

#define BASE_IDX_MASK 0x7fffu
#define BASE_WRAP 0x8000u

static bool
is_packed(const struct weir_vhost_session *s)
{
	return (s->features & WEIR_VHOST_BIT(VIRTIO_F_RING_PACKED)) != 0;
}

void
vhost_ring_init(struct weir_vhost_ring *r)
{
	*r = (struct weir_vhost_ring){ .kick_fd = -1, .call_fd = -1, .err_fd = -1 };
}

bool
vhost_ring_runs(const struct weir_vhost_ring *r)
{
	return r->started && r->num != 0 && r->has_addr;
}

void
vhost_ring_reset(struct weir_vhost_session *s, struct weir_vhost_ring *r, bool keep_call)
{
	struct weir_vhost_ring old = *r;

	vhost_ring_init(r);
	r->gen = old.gen + 1;
	vhost_retire(s, old.kick_fd);
	if (keep_call) {
		r->call_fd = old.call_fd;
		r->call_inband = old.call_inband;
		r->err_fd = old.err_fd;
	} else {
		vhost_retire(s, old.call_fd);
		vhost_retire(s, old.err_fd);
	}
}

bool
vhost_rings_enable(struct weir_vhost_session *s, bool enable)
{
	bool changed = false;

	for (uint32_t i = 0; i < s->nr_rings; i++) {
		if (s->ring[i].enabled == enable)
			continue;
		s->ring[i].enabled = enable;
		s->ring[i].gen++;
		changed = true;
	}
	return changed;
}

void
vhost_rings_touch(struct weir_vhost_session *s)
{
	for (uint32_t i = 0; i < s->nr_rings; i++)
		s->ring[i].gen++;
}

/*
 * What is called is written to: nothing else ends a write at once. A pipe that nobody
 * reads raises SIGPIPE, a socket or a file may block. So may an eventfd that is full,
 * if whoever has it too takes O_NONBLOCK away again: no write(2) is told otherwise, and
 * doc/guides/vhost_user.md says so.
 */
static bool
is_eventfd(int fd)
{
	char name[sizeof(WEIR_FD_EVENTFD) + 1]; /* a longer one is not cut to it */

	return weir_fd_name(fd, name, sizeof(name)) == 0 &&
	       strcmp(name, WEIR_FD_EVENTFD) == 0;
}

int
vhost_check_event(const struct weir_vhost_msg *msg, struct vhost_why *why)
{
	int flags;

	if (msg->nr_fds == 0)
		return 0;
	if (!is_eventfd(msg->fds[0]))
		return vhost_why(why, -EBADF, "descriptor is not an eventfd");
	flags = fcntl(msg->fds[0], F_GETFL);
	if (flags < 0 || fcntl(msg->fds[0], F_SETFL, flags | O_NONBLOCK) != 0)
		return vhost_why(why, -EBADF, "descriptor cannot be made non-blocking");
	return 0;
}

static void
ring_changed(struct weir_vhost_session *s, struct weir_vhost_event *ev)
{
	s->ring[ev->ring].gen++;
	ev->type = WEIR_VHOST_EV_RING;
}

/* Name the area of a ring that is in no region. @return NULL: all are in one. */
static const char *
ring_outside(const struct weir_vhost_session *s, const struct weir_vhost_ring *r,
	     struct weir_range *where)
{
	struct vhost_areas a;

	*where = (struct weir_range){ r->desc, UINT64_MAX };
	if (vhost_ring_areas(r, s->features, &a) != 0)
		return "a range that wraps";
	/* where they are in memory comes by and by */
	if (weir_vhost_iotlb(s))
		return NULL;
	*where = a.desc;
	if (!vhost_mem_has_user(s, a.desc))
		return "descriptors";
	*where = a.avail;
	if (!vhost_mem_has_user(s, a.avail))
		return "available ring";
	*where = a.used;
	if (!vhost_mem_has_user(s, a.used))
		return "used ring";
	return NULL;
}

int
vhost_set_vring_num(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
		    struct weir_vhost_event *ev)
{
	struct weir_vhost_ring *r = &s->ring[ev->ring];
	const uint32_t num = msg->payload.state.num;
	int ret;

	ret = vhost_check_ring_num(ev->ring, num, is_packed(s), &s->why);
	if (ret != 0)
		return ret;
	if (r->num == num)
		return 0;
	if (vhost_ring_runs(r))
		return vhost_why(&s->why, -EBUSY, "ring %" PRIu32 " runs", ev->ring);
	r->num = num;
	ring_changed(s, ev);
	return 0;
}

static bool
ring_same_addr(const struct weir_vhost_ring *a, const struct weir_vhost_ring *b)
{
	return a->has_addr == b->has_addr && a->desc == b->desc && a->avail == b->avail &&
	       a->used == b->used && a->log_gpa == b->log_gpa &&
	       a->log_used == b->log_used;
}

int
vhost_set_vring_addr(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
		     struct weir_vhost_event *ev)
{
	const struct vhost_vring_addr *addr = &msg->payload.addr;
	struct weir_vhost_ring *r = &s->ring[ev->ring];
	struct weir_vhost_ring want = *r;
	int ret;

	ret = vhost_check_ring_addr(addr, is_packed(s), &s->why);
	if (ret != 0)
		return ret;
	want.desc = addr->desc_user_addr;
	want.avail = addr->avail_user_addr;
	want.used = addr->used_user_addr;
	want.log_gpa = addr->log_guest_addr;
	want.log_used = (addr->flags & (1u << VHOST_VRING_F_LOG)) != 0;
	want.has_addr = true;
	if (ring_same_addr(r, &want))
		return 0;
	*r = want;
	ring_changed(s, ev);
	return 0;
}

int
vhost_set_vring_base(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
		     struct weir_vhost_event *ev)
{
	struct weir_vhost_ring *r = &s->ring[ev->ring];
	const uint32_t base = msg->payload.state.num;
	int ret;

	ret = vhost_check_ring_base(ev->ring, base, r->num, is_packed(s), &s->why);
	if (ret != 0)
		return ret;
	if (vhost_ring_runs(r))
		return vhost_why(&s->why, -EBUSY, "ring %" PRIu32 " runs", ev->ring);
	r->base = base;
	r->has_base = true;
	ring_changed(s, ev);
	return 0;
}

int
vhost_get_vring_base(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
		     struct weir_vhost_event *ev)
{
	struct weir_vhost_ring *r = &s->ring[ev->ring];

	(void)msg; /* its num is to be 0, and with virtio-user is not */
	ev->type = WEIR_VHOST_EV_RING_STOP;
	ev->base = r->base;
	vhost_retire(s, r->kick_fd);
	r->kick_fd = -1;
	r->kick_inband = false;
	r->started = false;
	r->gen++;
	return 0;
}

/* Where there is none it is one of our own, for what comes and goes as messages.
 * 0; -EMFILE, -ENFILE, -ENOMEM. */
static int
ring_own_fd(struct weir_vhost_session *s, struct weir_vhost_msg *msg, bool *inband)
{
	const uint64_t pf = WEIR_VHOST_BIT(WEIR_VHOST_PF_INBAND_NOTIFICATIONS);
	int fd;

	*inband = msg->nr_fds == 0 && (s->protocol_features & pf) != 0;
	if (!*inband)
		return 0;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return vhost_why(&s->why, -errno, "no eventfd");
	msg->fds[msg->nr_fds++] = fd;
	return 0;
}

static int
ring_check_fd(struct weir_vhost_session *s, struct weir_vhost_msg *msg)
{
	int ret = vhost_check_ring_fd(msg, &s->why);

	return ret != 0 ? ret : vhost_check_event(msg, &s->why);
}

/* Put the message's descriptor in place of another. */
static void
ring_put_fd(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
	    struct weir_vhost_event *ev, int *slot)
{
	vhost_retire(s, *slot);
	*slot = vhost_take_fd(msg);
	ring_changed(s, ev);
}

/* The same, or one of our own where the frontend wants messages. */
static int
ring_replace_fd(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
		struct weir_vhost_event *ev, int *slot, bool *inband)
{
	bool own = false;
	int ret = ring_check_fd(s, msg);

	if (ret == 0)
		ret = ring_own_fd(s, msg, &own);
	if (ret != 0)
		return ret;
	ring_put_fd(s, msg, ev, slot);
	*inband = own;
	return 0;
}

int
vhost_set_vring_kick(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
		     struct weir_vhost_event *ev)
{
	struct weir_vhost_ring *r = &s->ring[ev->ring];
	struct weir_range where;
	const char *what;
	int ret;

	/* with nothing left to come, say it now rather than never start */
	if (s->has_features && s->mem != NULL && r->num != 0 && r->has_addr) {
		what = ring_outside(s, r, &where);
		if (what != NULL)
			return vhost_why(&s->why, -EFAULT,
					 "ring %" PRIu32 ": %s, %#" PRIx64 " to %#" PRIx64
					 ", in no region",
					 ev->ring, what, where.start, where.last);
	}
	ret = ring_replace_fd(s, msg, ev, &r->kick_fd, &r->kick_inband);
	if (ret == 0)
		r->started = true;
	return ret;
}

int
vhost_vring_kick(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
		 struct weir_vhost_event *ev)
{
	const struct weir_vhost_ring *r = &s->ring[ev->ring];

	if (msg->payload.state.num != 0)
		return vhost_why(&s->why, -EINVAL,
				 "ring %" PRIu32 ": %" PRIu32 " is not 0", ev->ring,
				 msg->payload.state.num);
	/* a ring without, or with a descriptor of the frontend's, is not sent for */
	if (r->kick_inband)
		ev->type = WEIR_VHOST_EV_RING_KICK;
	return 0;
}

int
vhost_set_vring_call(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
		     struct weir_vhost_event *ev)
{
	struct weir_vhost_ring *r = &s->ring[ev->ring];

	return ring_replace_fd(s, msg, ev, &r->call_fd, &r->call_inband);
}

int
vhost_set_vring_err(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
		    struct weir_vhost_event *ev)
{
	int ret = ring_check_fd(s, msg);

	if (ret == 0)
		ring_put_fd(s, msg, ev, &s->ring[ev->ring].err_fd);
	return ret;
}

int
vhost_set_vring_enable(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
		       struct weir_vhost_event *ev)
{
	struct weir_vhost_ring *r = &s->ring[ev->ring];
	const uint32_t num = msg->payload.state.num;

	if (num > 1)
		return vhost_why(&s->why, -EINVAL,
				 "ring %" PRIu32 ": %" PRIu32 " is neither 0 nor 1",
				 ev->ring, num);
	if (r->enabled == (num == 1))
		return 0;
	r->enabled = num == 1;
	ring_changed(s, ev);
	return 0;
}

uint32_t
weir_vhost_nr_rings(const struct weir_vhost_session *s)
{
	return s->nr_rings;
}

const struct weir_vhost_ring *
weir_vhost_ring(const struct weir_vhost_session *s, uint32_t idx)
{
	return idx < s->nr_rings ? &s->ring[idx] : NULL;
}

/*
 * Size and base are looked at again: they may have come before the features
 * that say what they mean.
 */
static const char *
ring_waits_for(const struct weir_vhost_session *s, uint32_t idx, bool enabled)
{
	struct vhost_why scratch = { .name = "" };
	const struct weir_vhost_ring *r;
	struct weir_range where;

	if (idx >= s->nr_rings)
		return "a ring of that number";
	r = &s->ring[idx];
	if (!s->has_features)
		return "SET_FEATURES";
	if (r->num == 0)
		return "SET_VRING_NUM";
	if (!r->has_addr)
		return "SET_VRING_ADDR";
	if (!r->started)
		return "SET_VRING_KICK";
	if (enabled && !r->enabled)
		return "SET_VRING_ENABLE";
	if (vhost_check_ring_num(idx, r->num, is_packed(s), &scratch) != 0)
		return "a size that is a power of two";
	if (vhost_check_ring_base(idx, r->base, r->num, is_packed(s), &scratch) != 0)
		return "a base below its size";
	if (ring_outside(s, r, &where) != NULL)
		return "memory at its addresses";
	return NULL;
}

const char *
weir_vhost_ring_waits_for(const struct weir_vhost_session *s, uint32_t idx)
{
	return ring_waits_for(s, idx, true);
}

bool
weir_vhost_ring_ready(const struct weir_vhost_session *s, uint32_t idx)
{
	return weir_vhost_ring_waits_for(s, idx) == NULL;
}

bool
weir_vhost_ring_started(const struct weir_vhost_session *s, uint32_t idx)
{
	return ring_waits_for(s, idx, false) == NULL;
}

struct weir_vhost_base
weir_vhost_base_split(uint32_t base, bool packed)
{
	uint32_t used = base >> 16;

	if (!packed)
		return (struct weir_vhost_base){ .avail_idx = base & UINT16_MAX };
	if (used == 0)
		used = base;
	return (struct weir_vhost_base){
		.avail_idx = base & BASE_IDX_MASK,
		.avail_wrap = (base & BASE_WRAP) != 0,
		.used_idx = used & BASE_IDX_MASK,
		.used_wrap = (used & BASE_WRAP) != 0,
	};
}

uint32_t
weir_vhost_base_join(struct weir_vhost_base base, bool packed)
{
	uint32_t avail = base.avail_idx, used = base.used_idx;

	if (!packed)
		return avail;
	avail |= base.avail_wrap ? BASE_WRAP : 0;
	used |= base.used_wrap ? BASE_WRAP : 0;
	return avail | used << 16;
}
