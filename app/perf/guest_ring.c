/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <emmintrin.h>
#include <linux/virtio_ring.h>

#include "guest_ring.h"

void
guest_ring_init(struct guest_ring *r, uint8_t *area)
{
	const size_t table = (size_t)r->size * sizeof(struct vring_desc);

	r->desc = area;
	r->driver = area + ((table + 0xfff) & ~(size_t)0xfff);
	r->device = (uint8_t *)r->driver +
		    (((size_t)r->size * sizeof(uint16_t) + 0x1fff) & ~(size_t)0xfff);
	r->posted = 0;
	r->taken = 0;
	if (r->packed)
		((struct vring_packed_desc_event *)r->driver)->flags =
			VRING_PACKED_EVENT_FLAG_DISABLE;
	else
		((struct vring_avail *)r->driver)->flags = VRING_AVAIL_F_NO_INTERRUPT;
}

/* Where the n-th descriptor from the start of the chain is, and its length. */
static uint64_t
piece(const struct guest_ring *r, uint32_t at, uint16_t i, uint32_t *left, uint32_t *len)
{
	const uint32_t head = i == 0 ? GUEST_HEAD : 0, room = r->buf_len - head;

	*len = i + 1 == r->pieces || *left < room ? *left : room;
	*left -= *len;
	return r->buf_gpa + (uint64_t)(at + i) * r->buf_len + head;
}

static void
split_post(struct guest_ring *r, uint32_t at, uint32_t left)
{
	struct vring_desc *desc = r->desc;
	struct vring_avail *avail = r->driver;
	uint32_t len;

	for (uint16_t i = 0; i < r->pieces; i++) {
		uint64_t gpa = piece(r, at, i, &left, &len);

		desc[at + i] = (struct vring_desc){
			.addr = gpa,
			.len = len,
			.flags = (uint16_t)((r->rx ? VRING_DESC_F_WRITE : 0) |
					    (i + 1 < r->pieces ? VRING_DESC_F_NEXT : 0)),
			.next = (uint16_t)(at + i + 1),
		};
	}
	avail->ring[r->posted & (r->size - 1u)] = (uint16_t)at;
	__atomic_store_n(&avail->idx, (uint16_t)(r->posted + 1), __ATOMIC_RELEASE);
}

/* Which way round the ring the n-th chain is: odd laps have the flags inverted. */
static bool
packed_wrap(const struct guest_ring *r, uint32_t nr)
{
	return (nr * r->pieces & r->size) == 0;
}

static void
packed_post(struct guest_ring *r, uint32_t at, uint32_t left)
{
	const uint16_t lap = packed_wrap(r, r->posted) ? 1u << VRING_PACKED_DESC_F_AVAIL
						       : 1u << VRING_PACKED_DESC_F_USED;
	struct vring_packed_desc *desc = r->desc;
	uint16_t first = 0;
	uint32_t len;

	for (uint16_t i = 0; i < r->pieces; i++) {
		struct vring_packed_desc *d = &desc[at + i];
		uint16_t flags = (uint16_t)(lap | (r->rx ? VRING_DESC_F_WRITE : 0) |
					    (i + 1 < r->pieces ? VRING_DESC_F_NEXT : 0));

		d->addr = piece(r, at, i, &left, &len);
		d->len = len;
		d->id = (uint16_t)at;
		if (i == 0)
			first = flags;
		else
			d->flags = flags;
	}
	/* the head's flags show the whole chain */
	__atomic_store_n(&desc[at].flags, first, __ATOMIC_RELEASE);
}

void
guest_ring_post(struct guest_ring *r, uint32_t len)
{
	const uint32_t at = r->posted * r->pieces & (r->size - 1u);

	if (r->packed)
		packed_post(r, at, len);
	else
		split_post(r, at, len);
	r->posted++;
}

static int
split_take(const struct guest_ring *r, uint32_t *id, uint32_t *len)
{
	const struct vring_used *used = r->device;
	const struct vring_used_elem *e = &used->ring[r->taken & (r->size - 1u)];

	if (__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE) == (uint16_t)r->taken)
		return 0;
	*id = e->id;
	*len = e->len;
	return 1;
}

static int
packed_take(const struct guest_ring *r, uint32_t at, uint32_t *id, uint32_t *len)
{
	const struct vring_packed_desc *d =
		&((const struct vring_packed_desc *)r->desc)[at];
	const uint16_t flags = __atomic_load_n(&d->flags, __ATOMIC_ACQUIRE);
	const bool wrap = packed_wrap(r, r->taken);

	if (((flags >> VRING_PACKED_DESC_F_AVAIL & 1) != 0) != wrap ||
	    ((flags >> VRING_PACKED_DESC_F_USED & 1) != 0) != wrap)
		return 0;
	*id = d->id;
	*len = d->len;
	return 1;
}

int
guest_ring_take(struct guest_ring *r, uint32_t *at, uint32_t *len)
{
	uint32_t id = 0;
	int ret;

	*at = r->taken * r->pieces & (r->size - 1u);
	if (r->taken == r->posted)
		return 0;
	ret = r->packed ? packed_take(r, *at, &id, len) : split_take(r, &id, len);
	if (ret == 0)
		return 0;
	r->taken++;
	/* backends that copy at once use chains in order */
	return id == *at ? 1 : -EPROTO;
}

void
guest_lines_flush(const void *p, size_t len)
{
	const uintptr_t line = 64, first = (uintptr_t)p & ~(line - 1);

	for (uintptr_t at = first; at < (uintptr_t)p + len; at += line)
		_mm_clflush((const void *)at);
}

static void
split_flush(const struct guest_ring *r, uint32_t entry, uint32_t at)
{
	const struct vring_avail *avail = r->driver;
	const struct vring_used *used = r->device;

	guest_lines_flush((const struct vring_desc *)r->desc + at,
			  r->pieces * sizeof(struct vring_desc));
	guest_lines_flush(&avail->ring[entry], sizeof(avail->ring[0]));
	guest_lines_flush(&used->ring[entry], sizeof(used->ring[0]));
}

void
guest_ring_flush(const struct guest_ring *r, uint32_t first, unsigned int n)
{
	for (uint32_t nr = first; nr != first + n; nr++) {
		uint32_t at = nr * r->pieces & (r->size - 1u);

		if (r->packed)
			guest_lines_flush((const struct vring_packed_desc *)r->desc + at,
					  r->pieces * sizeof(struct vring_packed_desc));
		else
			split_flush(r, nr & (r->size - 1u), at);
	}
	/* the indices, or the event suppression structures */
	guest_lines_flush(r->driver, 4);
	guest_lines_flush(r->device, 4);
	_mm_mfence();
}
