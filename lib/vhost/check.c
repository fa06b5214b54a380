/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "vhost_priv.h"
#include "weir_inflight.h"

/* What guest memory is made of at the least, and the dirty log counts in. */
#define PAGE_LEN UINT64_C(4096)

int
vhost_why(struct vhost_why *why, int err, const char *fmt, ...)
{
	va_list ap;
	int n;

	n = snprintf(why->text, sizeof(why->text), "%s: ", why->name);
	va_start(ap, fmt);
	vsnprintf(why->text + n, sizeof(why->text) - (size_t)n, fmt, ap);
	va_end(ap);
	return err;
}

int
vhost_check_shape(const struct vhost_desc *d, const struct weir_vhost_msg *msg,
		  struct vhost_why *why)
{
	if (msg->hdr.size < d->len_min || msg->hdr.size > d->len_max)
		return vhost_why(why, -EPROTO,
				 "payload of %" PRIu32 " bytes, not %" PRIu16 "%s",
				 msg->hdr.size, d->len_min,
				 d->len_min != d->len_max ? " or more" : "");
	if (msg->nr_fds < d->fds_min || msg->nr_fds > d->fds_max)
		return vhost_why(why, -EPROTO,
				 "%" PRIu32 " descriptors, not %" PRIu8 " to %" PRIu8,
				 msg->nr_fds, d->fds_min, d->fds_max);
	return 0;
}

int
vhost_check_table(const struct weir_vhost_msg *msg, struct vhost_why *why)
{
	const struct weir_vhost_wire_table *t = &msg->payload.table;
	const uint64_t fixed = offsetof(struct weir_vhost_wire_table, region);

	if (msg->hdr.size != fixed + (uint64_t)t->nr_regions * sizeof(t->region[0]))
		return vhost_why(why, -EPROTO,
				 "payload of %" PRIu32 " bytes for %" PRIu32 " regions",
				 msg->hdr.size, t->nr_regions);
	if (msg->nr_fds != t->nr_regions)
		return vhost_why(why, -EPROTO,
				 "%" PRIu32 " descriptors for %" PRIu32 " regions",
				 msg->nr_fds, t->nr_regions);
	return 0;
}

int
vhost_check_region(const struct weir_vhost_wire_region *wire,
		   struct weir_vhost_region *out, struct vhost_why *why)
{
	struct weir_range gpa, user;
	int ret;

	if (wire->len == 0)
		return vhost_why(why, -EINVAL, "region at guest %#" PRIx64 ": size is 0",
				 wire->gpa);
	if (((wire->gpa | wire->len | wire->user | wire->mmap_offset) % PAGE_LEN) != 0)
		return vhost_why(why, -EINVAL,
				 "region at guest %#" PRIx64 ", user %#" PRIx64
				 ", size %#" PRIx64 ", offset %#" PRIx64
				 ": not aligned to 4096",
				 wire->gpa, wire->user, wire->len, wire->mmap_offset);
	ret = weir_range_make(&gpa, wire->gpa, wire->len);
	if (ret != 0)
		return vhost_why(why, ret,
				 "region at guest %#" PRIx64 ": size %#" PRIx64 " wraps",
				 wire->gpa, wire->len);
	ret = weir_range_make(&user, wire->user, wire->len);
	if (ret != 0)
		return vhost_why(why, ret,
				 "region at user %#" PRIx64 ": size %#" PRIx64 " wraps",
				 wire->user, wire->len);
	*out = (struct weir_vhost_region){
		.gpa = gpa,
		.user = user,
		.mmap_offset = wire->mmap_offset,
		.fd = -1,
	};
	return 0;
}

/*
 * A page past the end of its file is SIGBUS for whoever touches it. Files that
 * have a length are held to it; devices (DAX, udmabuf) have none to tell, and
 * mmap(2) decides.
 */
int
vhost_check_file(int fd, uint64_t offset, uint64_t len, struct stat *st,
		 struct vhost_why *why)
{
	struct weir_range r;

	if (weir_range_make(&r, offset, len) != 0 || r.last > INT64_MAX)
		return vhost_why(why, -EOVERFLOW,
				 "offset %#" PRIx64 ", size %#" PRIx64
				 ": no file is that long",
				 offset, len);
	if (fstat(fd, st) != 0)
		return vhost_why(why, -EBADF, "descriptor cannot be examined");
	if (!S_ISREG(st->st_mode) && !S_ISCHR(st->st_mode) && !S_ISBLK(st->st_mode))
		return vhost_why(why, -EBADF, "descriptor is nothing to map");
	if (S_ISREG(st->st_mode) && r.last >= (uint64_t)st->st_size)
		return vhost_why(why, -ERANGE,
				 "offset %#" PRIx64 ", size %#" PRIx64
				 ": file has only %#" PRIx64 " bytes",
				 offset, len, (uint64_t)st->st_size);
	return 0;
}

int
vhost_check_channel(int fd, struct vhost_why *why)
{
	int domain, type;
	socklen_t len = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) != 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 || domain != AF_UNIX ||
	    type != SOCK_STREAM)
		return vhost_why(why, -EBADF, "descriptor is no UNIX stream socket");
	return 0;
}

int
vhost_check_ring_fd(const struct weir_vhost_msg *msg, struct vhost_why *why)
{
	const uint64_t u64 = msg->payload.u64;
	const uint32_t idx = u64 & WEIR_VHOST_RING_IDX_MASK;
	const uint32_t want = (u64 & WEIR_VHOST_RING_NOFD) != 0 ? 0 : 1;

	if ((u64 & ~(uint64_t)(WEIR_VHOST_RING_IDX_MASK | WEIR_VHOST_RING_NOFD)) != 0)
		return vhost_why(why, -EINVAL, "%#" PRIx64 ": unknown bits", u64);
	if (msg->nr_fds != want)
		return vhost_why(why, -EPROTO,
				 "ring %" PRIu32 ": %" PRIu32
				 " descriptors, not %" PRIu32,
				 idx, msg->nr_fds, want);
	return 0;
}

int
vhost_check_ring_num(uint32_t idx, uint32_t num, bool packed, struct vhost_why *why)
{
	if (num == 0 || num > WEIR_VHOST_RING_NUM_MAX)
		return vhost_why(why, -EINVAL,
				 "ring %" PRIu32 ": %" PRIu32 " is not 1 to %u", idx, num,
				 WEIR_VHOST_RING_NUM_MAX);
	if (!packed && (num & (num - 1)) != 0)
		return vhost_why(why, -EINVAL,
				 "ring %" PRIu32 ": %" PRIu32 " is not a power of two",
				 idx, num);
	return 0;
}

int
vhost_check_ring_base(uint32_t idx, uint32_t base, uint32_t num, bool packed,
		      struct vhost_why *why)
{
	struct weir_vhost_base b = weir_vhost_base_split(base, packed);

	if (!packed && base > UINT16_MAX)
		return vhost_why(why, -EINVAL,
				 "ring %" PRIu32 ": %#" PRIx32 " is more than 16 bits",
				 idx, base);
	if (packed && num != 0 && (b.avail_idx >= num || b.used_idx >= num))
		return vhost_why(why, -EINVAL,
				 "ring %" PRIu32 ": %#" PRIx32
				 " is not below the size, %" PRIu32,
				 idx, base, num);
	return 0;
}

int
vhost_check_ring_addr(const struct vhost_vring_addr *addr, bool packed,
		      struct vhost_why *why)
{
	const uint32_t log = UINT32_C(1) << VHOST_VRING_F_LOG;

	if ((addr->flags & ~log) != 0)
		return vhost_why(why, -EINVAL, "ring %u: flags %#x: unknown ones",
				 addr->index, addr->flags);
	if (addr->desc_user_addr % VRING_DESC_ALIGN_SIZE != 0)
		return vhost_why(why, -EINVAL,
				 "ring %u: descriptors at %#" PRIx64
				 ": not aligned to 16",
				 addr->index, (uint64_t)addr->desc_user_addr);
	if (addr->avail_user_addr % (packed ? 4 : VRING_AVAIL_ALIGN_SIZE) != 0)
		return vhost_why(why, -EINVAL,
				 "ring %u: available ring at %#" PRIx64
				 ": not aligned to %d",
				 addr->index, (uint64_t)addr->avail_user_addr,
				 packed ? 4 : VRING_AVAIL_ALIGN_SIZE);
	if (addr->used_user_addr % VRING_USED_ALIGN_SIZE != 0)
		return vhost_why(why, -EINVAL,
				 "ring %u: used ring at %#" PRIx64 ": not aligned to 4",
				 addr->index, (uint64_t)addr->used_user_addr);
	if ((addr->flags & log) != 0 && addr->log_guest_addr % 4 != 0)
		return vhost_why(why, -EINVAL,
				 "ring %u: log at %#" PRIx64 ": not aligned to 4",
				 addr->index, (uint64_t)addr->log_guest_addr);
	return 0;
}

int
vhost_check_config(const struct weir_vhost_msg *msg, uint32_t len, struct vhost_why *why)
{
	const struct weir_vhost_wire_config *c = &msg->payload.config;
	const uint64_t fixed = offsetof(struct weir_vhost_wire_config, data);
	struct weir_range r;

	if (msg->hdr.size != fixed + c->len)
		return vhost_why(why, -EPROTO,
				 "payload of %" PRIu32 " bytes for a size of %" PRIu32,
				 msg->hdr.size, c->len);
	if (weir_range_make(&r, c->offset, c->len) != 0 || r.last >= len)
		return vhost_why(why, -ERANGE,
				 "offset %" PRIu32 ", size %" PRIu32
				 ": configuration has %" PRIu32 " bytes",
				 c->offset, c->len, len);
	if (c->flags != WEIR_VHOST_CONFIG_WRITABLE &&
	    c->flags != WEIR_VHOST_CONFIG_MIGRATION)
		return vhost_why(why, -EINVAL, "flags %#" PRIx32 ": neither 0 nor 1",
				 c->flags);
	return 0;
}

int
vhost_check_inflight(const struct weir_vhost_msg *msg, uint32_t nr_rings, bool packed,
		     struct weir_vhost_inflight *out, struct vhost_why *why)
{
	const struct weir_vhost_wire_inflight *w = &msg->payload.inflight;

	if (w->nr_rings == 0 || w->nr_rings > nr_rings)
		return vhost_why(why, -ERANGE,
				 "%" PRIu16 " rings, not 1 to the %" PRIu32 " offered",
				 w->nr_rings, nr_rings);
	if (w->size == 0 || w->size > WEIR_VHOST_RING_NUM_MAX)
		return vhost_why(why, -EINVAL, "%" PRIu16 " entries are not 1 to %u",
				 w->size, WEIR_VHOST_RING_NUM_MAX);
	*out = (struct weir_vhost_inflight){
		/* no overflow: 256 times a megabyte */
		.len = w->nr_rings * weir_inflight_len(w->size, packed),
		.fd = -1,
		.nr_rings = w->nr_rings,
		.size = w->size,
		.packed = packed,
	};
	return 0;
}

int
vhost_ring_areas(const struct weir_vhost_ring *r, uint64_t features,
		 struct vhost_areas *a)
{
	const uint64_t event =
		(features & WEIR_VHOST_BIT(VIRTIO_RING_F_EVENT_IDX)) != 0 ? 2 : 0;
	uint64_t avail_len = 4 + 2 * (uint64_t)r->num + event;
	uint64_t used_len = 4 + 8 * (uint64_t)r->num + event;

	if ((features & WEIR_VHOST_BIT(VIRTIO_F_RING_PACKED)) != 0)
		avail_len = used_len = sizeof(struct vring_packed_desc_event);
	if (weir_range_make(&a->desc, r->desc, 16 * (uint64_t)r->num) != 0 ||
	    weir_range_make(&a->avail, r->avail, avail_len) != 0 ||
	    weir_range_make(&a->used, r->used, used_len) != 0)
		return -EOVERFLOW;
	return 0;
}
