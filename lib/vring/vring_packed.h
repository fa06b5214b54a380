/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRING_PACKED_H
#define VRING_PACKED_H
/*
 * The operations of weir_vring_ops.h on a packed ring. Places are indices of
 * descriptors with the wrap counter in bit 15; one of 1 is where a round that
 * began with avail = 1 is under way (VIRTIO 1.3, 2.8.1).
 */
#include "gmem_near.h"
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

/* A descriptor's second half: length, id and flags. */
WEIR_VRING_OP uint64_t *
vring_packed_half(const struct weir_vring *vr, uint16_t pos)
{
	return (uint64_t *)(void *)&vr->packed_desc[pos & WEIR_VRING_POS_IDX] + 1;
}

/* The flags that say of a descriptor at a place that it is offered. */
WEIR_VRING_OP uint16_t
vring_packed_offer(uint16_t pos)
{
	return (pos & WEIR_VRING_POS_WRAP) != 0 ? VRING_PACKED_AVAIL : VRING_PACKED_USED;
}

WEIR_VRING_OP bool
vring_packed_has(const struct weir_vring *vr, struct weir_vring_at *at)
{
	const uint16_t owner = VRING_PACKED_AVAIL | VRING_PACKED_USED;

	at->word = __atomic_load_n(vring_packed_half(vr, at->pos), __ATOMIC_ACQUIRE);
	return ((uint16_t)(at->word >> 48) & owner) == vring_packed_offer(at->pos);
}

WEIR_VRING_OP uint16_t
vring_packed_count(const struct weir_vring *vr, const struct weir_vring_at *at,
		   uint16_t max)
{
	const uint16_t owner = VRING_PACKED_AVAIL | VRING_PACKED_USED;
	uint16_t want = vring_packed_offer(at->pos), n;
	uint32_t idx = at->pos & WEIR_VRING_POS_IDX;

	if (max > at->left)
		max = at->left;
	for (n = 0; n < max; n++, idx++) {
		if (__builtin_expect(idx == vr->size, 0)) {
			idx = 0;
			want ^= owner;
		}
		if ((__atomic_load_n(&vr->packed_desc[idx].flags, __ATOMIC_RELAXED) &
		     owner) != want)
			break;
	}
	return n;
}

/* Gather a chain of any shape. */
int vring_packed_gather(struct weir_vring *vr, const struct weir_vring_at *at,
			uint16_t dir, struct weir_iov *iov, unsigned int max,
			struct weir_chain *chain, uint64_t *len);

/* Up to the ring's end: there the flags change. */
WEIR_VRING_OP uint16_t
vring_packed_run(struct weir_vring *vr, const struct weir_vring_at *at, uint16_t dir,
		 uint32_t min, uint32_t max, struct weir_vring_run *run, uint64_t *iova,
		 uint16_t n)
{
	const struct weir_gmem *const gmem = vr->gmem;
	const uint16_t offer = vring_packed_offer(at->pos) | dir;
	const uint64_t *half = vring_packed_half(vr, at->pos);
	uint32_t end = vr->size - (at->pos & WEIR_VRING_POS_IDX);
	struct weir_gmem_near near = weir_gmem_near_first(gmem, vr->hint);
	struct weir_gpa gpa;
	uint16_t i = 0;
	uint32_t len;

	if (n > at->left)
		n = at->left;
	if (n > end)
		n = (uint16_t)end;
	/* wanted last, and nowhere near */
	__builtin_prefetch(vr->driver);
	while (i < n) {
		/* nothing is called in here, so that the loop keeps its registers */
		for (;;) {
			uint64_t word = __atomic_load_n(half, __ATOMIC_ACQUIRE);

			len = (uint32_t)word;
			if (__builtin_expect(word >> 48 != offer || len - min > max - min,
					     0))
				return i;
			gpa.v = __atomic_load_n(half - 1, __ATOMIC_RELAXED);
			if (__builtin_expect(!weir_gmem_near_has(&near, gpa, len), 0))
				break;
			weir_vring_run_add(run, i, weir_gmem_near_hva(&near, gpa), word,
					   dir);
			if (iova != NULL)
				iova[i] = weir_gmem_near_iova(&near, gpa);
			if (++i == n)
				return i;
			half += 2;
		}
		/* then it is looked at anew */
		near = weir_gmem_near_find(gmem, gpa, &vr->hint);
		if (!weir_gmem_near_has(&near, gpa, len))
			return i;
	}
	return i;
}

/* What has been given back the guest may have filled again. */
WEIR_VRING_OP void
vring_packed_again(const struct weir_vring *vr, struct weir_vring_at *at)
{
	at->left =
		(uint16_t)(vr->size - vring_packed_distance(vr, vr->used_pos, at->pos));
}

/* From a descriptor's second half as it was offered: what differs in a used one is a
 * flag, in either round. What was written means something only with the WRITE flag
 * (2.8.4). */
WEIR_VRING_OP uint64_t
vring_packed_run_word(uint64_t offered, uint16_t dir)
{
	return (dir != 0 ? offered : offered >> 32 << 32) ^ (uint64_t)VRING_PACKED_USED
								    << 48;
}

/* Nothing waits in the shadow: the run begins where used_pos is. */
WEIR_VRING_OP void
vring_packed_run_publish(struct weir_vring *vr, struct weir_vring_at *at, uint16_t dir,
			 const struct weir_vring_run *run, uint16_t n)
{
	uint64_t *half = vring_packed_half(vr, at->pos);

	for (uint16_t i = 1; i < n; i++)
		__atomic_store_n(&half[2 * i], vring_packed_run_word(run->word[i], dir),
				 __ATOMIC_RELAXED);
	/* the guest looks here first, and nowhere else before it has found this */
	__atomic_store_n(half, vring_packed_run_word(run->word[0], dir),
			 __ATOMIC_RELEASE);
	at->pos = vring_packed_pos(vr, at->pos, n);
	vr->used_pos = at->pos;
	vr->used_idx = (uint16_t)(vr->used_idx + n);
	vr->used_next = vr->used_idx;
	vr->call_idx += n;
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
	const struct weir_vring_used u = { .len = len, .chain = chain };

	vr->shadow[vr->used_next++ & vr->mask] = u;
}

/* A used entry as a descriptor's second half. The length means something only
 * with the WRITE flag (2.8.4). */
WEIR_VRING_OP uint64_t
vring_packed_word(const struct weir_vring_used *u, uint16_t pos)
{
	const uint16_t owner = VRING_PACKED_AVAIL | VRING_PACKED_USED;
	uint16_t flags = (pos & WEIR_VRING_POS_WRAP) != 0 ? owner : 0;

	flags |= u->len != 0 ? VRING_DESC_F_WRITE : 0;
	return u->len | (uint64_t)u->chain.id << 32 | (uint64_t)flags << 48;
}

WEIR_VRING_OP void
vring_packed_publish(struct weir_vring *vr, uint16_t n)
{
	const uint16_t from = vr->used_pos;
	const struct weir_vring_used *u = &vr->shadow[vr->used_idx & vr->mask];
	uint64_t first;
	uint16_t pos;

	if (n == 0)
		return;
	first = vring_packed_word(u, from);
	pos = vring_packed_pos(vr, from, u->chain.nr);
	for (uint16_t i = 1; i < n; i++) {
		u = &vr->shadow[(uint16_t)(vr->used_idx + i) & vr->mask];
		__atomic_store_n(vring_packed_half(vr, pos), vring_packed_word(u, pos),
				 __ATOMIC_RELAXED);
		pos = vring_packed_pos(vr, pos, u->chain.nr);
	}
	vr->used_idx = (uint16_t)(vr->used_idx + n);
	vr->used_pos = pos;
	vr->call_idx += vring_packed_distance(vr, from, pos);
	/* the guest looks here first, and nowhere else before it has found this */
	__atomic_store_n(vring_packed_half(vr, from), first, __ATOMIC_RELEASE);
}

/* VIRTIO 1.3, 2.8.10. */
WEIR_VRING_OP bool
vring_packed_want_call(struct weir_vring *vr)
{
	uint32_t wish, nr = vr->call_idx;
	uint16_t off, flags, now;

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
	/* wherever it was asked for has been passed */
	if (__builtin_expect(nr >= vr->size, 0))
		return true;
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
