/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRING_SPLIT_H
#define VRING_SPLIT_H
/*
 * The operations of weir_vring_ops.h on a split ring. Places are running numbers
 * of entries of the available ring.
 */
#include "gmem_near.h"
#include "weir_vring.h"

WEIR_VRING_OP int
vring_split_open(const struct weir_vring *vr, struct weir_vring_at *at)
{
	uint16_t idx = __atomic_load_n(&vr->avail->idx, __ATOMIC_ACQUIRE);

	at->pos = vr->last_avail;
	at->left = (uint16_t)(idx - vr->last_avail);
	return __builtin_expect(at->left > vr->mask + 1, 0) ? -WEIR_VRING_AVAIL_IDX : 0;
}

WEIR_VRING_OP bool
vring_split_has(const struct weir_vring_at *at)
{
	return at->left != 0;
}

WEIR_VRING_OP uint16_t
vring_split_count(const struct weir_vring_at *at, uint16_t max)
{
	return at->left < max ? at->left : max;
}

/* Gather a chain of any shape. */
int vring_split_gather(struct weir_vring *vr, uint16_t head, uint16_t dir,
		       struct weir_iov *iov, unsigned int max, uint64_t *len);

WEIR_VRING_OP uint16_t
vring_split_run(struct weir_vring *vr, const struct weir_vring_at *at, uint16_t dir,
		uint32_t min, uint32_t max, struct weir_vring_run *run, uint64_t *iova,
		uint16_t n)
{
	const struct weir_gmem *const gmem = vr->gmem;
	const struct vring_avail *const avail = vr->avail;
	const struct vring_desc *const desc = vr->desc;
	const uint16_t mask = vr->mask;
	struct weir_gmem_near near = weir_gmem_near_first(gmem, vr->hint);
	struct weir_gpa gpa;
	uint16_t i = 0;
	uint32_t len;

	if (n > at->left)
		n = at->left;
	while (i < n) {
		/* nothing is called in here, so that the loop keeps its registers */
		for (;;) {
			uint16_t head = __atomic_load_n(
				&avail->ring[(uint16_t)(at->pos + i) & mask],
				__ATOMIC_RELAXED);
			const uint64_t *half;
			uint64_t word;

			if (__builtin_expect(head > mask, 0))
				return i;
			half = (const uint64_t *)(const void *)&desc[head];
			gpa.v = __atomic_load_n(&half[0], __ATOMIC_RELAXED);
			word = __atomic_load_n(&half[1], __ATOMIC_RELAXED);
			len = (uint32_t)word;
			if (__builtin_expect((uint16_t)(word >> 32) != dir ||
						     len - min > max - min,
					     0))
				return i;
			if (__builtin_expect(!weir_gmem_near_has(&near, gpa, len), 0))
				break;
			weir_vring_run_add(run, i, weir_gmem_near_hva(&near, gpa),
					   (uint64_t)head << 32 | len, dir);
			if (iova != NULL)
				iova[i] = weir_gmem_near_iova(&near, gpa);
			if (++i == n)
				return i;
		}
		/* then it is looked at anew */
		near = weir_gmem_near_find(gmem, gpa, &vr->hint);
		if (!weir_gmem_near_has(&near, gpa, len))
			return i;
	}
	return i;
}

/* A used entry has the id first. */
WEIR_VRING_OP struct vring_used_elem
vring_split_run_elem(uint64_t word, uint16_t dir)
{
	return (struct vring_used_elem){ .id = (uint32_t)(word >> 32),
					 .len = dir != 0 ? (uint32_t)word : 0 };
}

WEIR_VRING_OP void
vring_split_run_publish(struct weir_vring *vr, struct weir_vring_at *at, uint16_t dir,
			const struct weir_vring_run *run, uint16_t n)
{
	struct vring_used *const used = vr->used;
	const uint16_t mask = vr->mask, from = vr->used_idx;

	for (uint16_t i = 0; i < n; i++)
		used->ring[(uint16_t)(from + i) & mask] =
			vring_split_run_elem(run->word[i], dir);
	at->pos = (uint16_t)(at->pos + n);
	at->left = (uint16_t)(at->left - n);
	vr->used_idx = (uint16_t)(vr->used_idx + n);
	vr->used_next = vr->used_idx;
	__atomic_store_n(&vr->used->idx, vr->used_idx, __ATOMIC_RELEASE);
}

/* Take a chain. */
WEIR_VRING_OP int
vring_split_any(struct weir_vring *vr, const struct weir_vring_at *at, uint16_t dir,
		struct weir_iov *iov, unsigned int max, struct weir_chain *chain,
		uint64_t *len)
{
	uint16_t head =
		__atomic_load_n(&vr->avail->ring[at->pos & vr->mask], __ATOMIC_RELAXED);

	*chain = (struct weir_chain){ head, 1 };
	if (__builtin_expect(head > vr->mask, 0))
		return -WEIR_VRING_HEAD;
	return vring_split_gather(vr, head, dir, iov, max, len);
}

WEIR_VRING_OP void
vring_split_next(struct weir_vring_at *at, struct weir_chain chain)
{
	at->pos = (uint16_t)(at->pos + chain.nr);
	at->left = (uint16_t)(at->left - chain.nr);
}

WEIR_VRING_OP void
vring_split_use(struct weir_vring *vr, struct weir_chain chain, uint32_t len)
{
	struct vring_used_elem *e = &vr->used->ring[vr->used_next & vr->mask];

	e->id = chain.id;
	e->len = len;
	vr->used_next++;
}

WEIR_VRING_OP void
vring_split_publish(struct weir_vring *vr, uint16_t n)
{
	vr->used_idx = (uint16_t)(vr->used_idx + n);
	__atomic_store_n(&vr->used->idx, vr->used_idx, __ATOMIC_RELEASE);
}

/* VIRTIO 1.3, 2.7.7 and 2.7.10. */
WEIR_VRING_OP bool
vring_split_want_call(struct weir_vring *vr)
{
	uint16_t event, old = (uint16_t)vr->call_idx;

	if (!vr->event_idx)
		return (__atomic_load_n(&vr->avail->flags, __ATOMIC_RELAXED) &
			VRING_AVAIL_F_NO_INTERRUPT) == 0;
	event = __atomic_load_n(&vr->avail->ring[vr->mask + 1], __ATOMIC_RELAXED);
	vr->call_idx = vr->used_idx;
	if (__builtin_expect(vr->call_any, 0)) {
		vr->call_any = false;
		return true;
	}
	return vring_need_event(event, vr->used_idx, old);
}

/* VIRTIO 1.3, 2.7.10. With event indices a kick comes once, and cannot be
 * declined. */
WEIR_VRING_OP void
vring_split_want_kick(struct weir_vring *vr, bool on)
{
	/* avail_event lies behind the last used entry */
	uint16_t *event = (uint16_t *)(void *)&vr->used->ring[vr->mask + 1];

	if (!vr->event_idx)
		__atomic_store_n(&vr->used->flags, on ? 0 : VRING_USED_F_NO_NOTIFY,
				 __ATOMIC_RELAXED);
	else if (on)
		__atomic_store_n(event, vr->last_avail, __ATOMIC_RELAXED);
}

#endif /* VRING_SPLIT_H */
