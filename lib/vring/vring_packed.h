/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRING_PACKED_H
#define VRING_PACKED_H
/*
 * The operations of weir_vring_ops.h on a packed ring. Places are indices of
 * descriptors with the wrap counter in bit 15; one of 1 is where a round that
 * began with avail = 1 is under way (VIRTIO 1.3, 2.8.1).
 */
#include "weir_vring.h"

#define VRING_PACKED_AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define VRING_PACKED_USED (1u << VRING_PACKED_DESC_F_USED)

/* The place n descriptors, up to a ring, behind another. */
WEIR_VRING_OP uint16_t
vring_packed_pos(const struct weir_vring *vr, uint16_t pos, uint16_t n)
{
	uint32_t idx = (pos & WEIR_VRING_POS_IDX) + (uint32_t)n;
	uint16_t wrap = pos & WEIR_VRING_POS_WRAP;

	if (__builtin_expect(idx >= vr->size, 0)) {
		idx -= vr->size;
		wrap ^= WEIR_VRING_POS_WRAP;
	}
	return (uint16_t)(idx | wrap);
}

/* Descriptors from one place to another, which is up to a ring behind it. */
WEIR_VRING_OP uint16_t
vring_packed_distance(const struct weir_vring *vr, uint16_t from, uint16_t to)
{
	uint32_t n = (to & WEIR_VRING_POS_IDX) - (uint32_t)(from & WEIR_VRING_POS_IDX);

	return (uint16_t)(((from ^ to) & WEIR_VRING_POS_WRAP) != 0 ? n + vr->size : n);
}

WEIR_VRING_OP int
vring_packed_open(const struct weir_vring *vr, struct weir_vring_at *at)
{
	at->pos = vr->last_avail;
	at->left = (uint16_t)(vr->size -
			      vring_packed_distance(vr, vr->used_pos, vr->last_avail));
	return 0;
}

/* Read a descriptor's flags. @return true: it is offered. */
WEIR_VRING_OP bool
vring_packed_offered(const struct weir_vring *vr, uint16_t pos, uint16_t *flags)
{
	const struct vring_packed_desc *d = &vr->packed_desc[pos & WEIR_VRING_POS_IDX];
	uint16_t want =
		(pos & WEIR_VRING_POS_WRAP) != 0 ? VRING_PACKED_AVAIL : VRING_PACKED_USED;

	*flags = __atomic_load_n(&d->flags, __ATOMIC_ACQUIRE);
	return (*flags & (VRING_PACKED_AVAIL | VRING_PACKED_USED)) == want;
}

WEIR_VRING_OP bool
vring_packed_has(const struct weir_vring *vr, struct weir_vring_at *at)
{
	return vring_packed_offered(vr, at->pos, &at->flags);
}

WEIR_VRING_OP uint16_t
vring_packed_count(const struct weir_vring *vr, const struct weir_vring_at *at,
		   uint16_t max)
{
	uint16_t n = 0, pos = at->pos, flags;

	while (n < max && n < at->left && vring_packed_offered(vr, pos, &flags)) {
		pos = vring_packed_pos(vr, pos, 1);
		n++;
	}
	return n;
}

/* The slow half of vring_packed_take(), for chains of every shape. */
int vring_packed_gather(struct weir_vring *vr, const struct weir_vring_at *at,
			uint16_t dir, struct weir_iov *iov, unsigned int max,
			struct weir_chain *chain, uint64_t *len);

WEIR_VRING_OP int
vring_packed_take(struct weir_vring *vr, const struct weir_vring_at *at, uint16_t dir,
		  struct weir_iov *iov, unsigned int max, struct weir_chain *chain,
		  uint64_t *len)
{
	const uint16_t owner = VRING_PACKED_AVAIL | VRING_PACKED_USED;
	struct vring_packed_desc d;

	if (__builtin_expect((at->flags & ~owner) == dir && at->left != 0 && max != 0,
			     1)) {
		d = *(volatile struct vring_packed_desc *)&vr
			     ->packed_desc[at->pos & WEIR_VRING_POS_IDX];
		*chain = (struct weir_chain){ d.id, 1 };
		*len = d.len;
		iov->len = d.len;
		iov->hva = d.len == 0 ? NULL
				      : weir_gmem_translate(
						vr->gmem, (struct weir_gpa){ d.addr },
						&iov->len, &iov->iova, &vr->hint);
		if (__builtin_expect(iov->hva != NULL && iov->len == d.len, 1))
			return 1;
	}
	return vring_packed_gather(vr, at, dir, iov, max, chain, len);
}

WEIR_VRING_OP void
vring_packed_next(const struct weir_vring *vr, struct weir_vring_at *at,
		  struct weir_chain chain)
{
	at->pos = vring_packed_pos(vr, at->pos, chain.nr);
	at->left = (uint16_t)(at->left - chain.nr);
}

WEIR_VRING_OP void
vring_packed_use(struct weir_vring *vr, struct weir_chain chain, uint32_t len)
{
	vr->shadow[vr->used_next++ & vr->mask] =
		(struct weir_vring_used){ .chain = chain, .len = len };
}

/* Write a used entry but for its flags. @return those. */
WEIR_VRING_OP uint16_t
vring_packed_write(struct vring_packed_desc *d, const struct weir_vring_used *u,
		   uint16_t pos)
{
	const uint16_t owner = VRING_PACKED_AVAIL | VRING_PACKED_USED;
	uint16_t flags = (pos & WEIR_VRING_POS_WRAP) != 0 ? owner : 0;

	d->id = u->chain.id;
	d->len = u->len;
	/* the length means something only with this flag (2.8.4) */
	return u->len != 0 ? flags | VRING_DESC_F_WRITE : flags;
}

WEIR_VRING_OP void
vring_packed_publish(struct weir_vring *vr, uint16_t n)
{
	uint16_t pos = vr->used_pos, first_flags = 0, flags;
	struct vring_packed_desc *first, *d;

	first = &vr->packed_desc[pos & WEIR_VRING_POS_IDX];
	for (uint16_t i = 0; i < n; i++) {
		const struct weir_vring_used *u = &vr->shadow[vr->used_idx++ & vr->mask];

		d = &vr->packed_desc[pos & WEIR_VRING_POS_IDX];
		flags = vring_packed_write(d, u, pos);
		if (i == 0)
			first_flags = flags;
		else
			__atomic_store_n(&d->flags, flags, __ATOMIC_RELAXED);
		pos = vring_packed_pos(vr, pos, u->chain.nr);
		vr->call_idx = (uint16_t)(vr->call_idx + u->chain.nr);
	}
	vr->used_pos = pos;
	/* the guest looks here first, and nowhere else before it has found this */
	if (n != 0)
		__atomic_store_n(&first->flags, first_flags, __ATOMIC_RELEASE);
}

/* VIRTIO 1.3, 2.8.10. */
WEIR_VRING_OP bool
vring_packed_want_call(struct weir_vring *vr)
{
	uint16_t off, flags, now, nr = vr->call_idx;
	uint32_t wish;

	/* both fields at once, so that they belong together */
	wish = __atomic_load_n((const uint32_t *)(const void *)vr->driver,
			       __ATOMIC_RELAXED);
	flags = (uint16_t)(wish >> 16) & 3u;
	vr->call_idx = 0;
	if (flags != VRING_PACKED_EVENT_FLAG_DESC || !vr->event_idx)
		return flags != VRING_PACKED_EVENT_FLAG_DISABLE;
	if (__builtin_expect(vr->call_any, 0)) {
		vr->call_any = false;
		return true;
	}
	now = vr->used_pos & WEIR_VRING_POS_IDX;
	off = (uint16_t)wish & WEIR_VRING_POS_IDX;
	/* it was asked for in the round before */
	if (((wish ^ vr->used_pos) & WEIR_VRING_POS_WRAP) != 0)
		off = (uint16_t)(off - vr->size);
	return vring_need_event(off, now, (uint16_t)(now - nr));
}

/* VIRTIO 1.3, 2.8.10. */
WEIR_VRING_OP void
vring_packed_want_kick(struct weir_vring *vr, bool on)
{
	__atomic_store_n(&vr->device->flags,
			 on ? VRING_PACKED_EVENT_FLAG_ENABLE
			    : VRING_PACKED_EVENT_FLAG_DISABLE,
			 __ATOMIC_RELAXED);
}

#endif /* VRING_PACKED_H */
