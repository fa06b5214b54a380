/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "vring_packed.h"
#include "vring_split.h"
#include "weir_iotlb.h"

int
weir_vring_parts(const struct weir_vring_addr *a,
		 struct weir_vring_part part[WEIR_VRING_PARTS])
{
	const uint64_t avail_align = a->packed ? 4 : VRING_AVAIL_ALIGN_SIZE;
	/* split: flags, idx, ring[size], and the event field, which lies there anyway */
	uint64_t avail_len = sizeof(uint16_t) * (3 + (uint64_t)a->size);
	uint64_t used_len =
		sizeof(uint16_t) * 3 + sizeof(struct vring_used_elem) * (uint64_t)a->size;

	if (a->size == 0 || a->size > WEIR_VRING_MAX_SIZE ||
	    (!a->packed && (a->size & (a->size - 1)) != 0) ||
	    a->desc_uva % VRING_DESC_ALIGN_SIZE != 0 || a->avail_uva % avail_align != 0 ||
	    a->used_uva % VRING_USED_ALIGN_SIZE != 0)
		return -EINVAL;
	if (a->packed)
		avail_len = used_len = sizeof(struct vring_packed_desc_event);
	part[0].write = a->packed;
	part[1].write = false;
	part[2].write = true;
	if (weir_range_make(&part[0].at, a->desc_uva,
			    sizeof(struct vring_desc) * (uint64_t)a->size) != 0 ||
	    weir_range_make(&part[1].at, a->avail_uva, avail_len) != 0 ||
	    weir_range_make(&part[2].at, a->used_uva, used_len) != 0)
		return -EOVERFLOW;
	return 0;
}

void *
weir_vring_part_find(const struct weir_gmem *g, const struct weir_vring_part *p)
{
	return g->memory != NULL ? weir_iotlb_find(g, p->at, p->write)
				 : weir_gmem_uva(g, p->at.start, weir_range_len(p->at));
}

/* Find the three parts. 0; -EINVAL; -EOVERFLOW; -EFAULT. */
static int
parts_find(struct weir_vring *vr, const struct weir_vring_addr *a)
{
	struct weir_vring_part part[WEIR_VRING_PARTS];
	int ret = weir_vring_parts(a, part);

	if (ret != 0)
		return ret;
	vr->desc = weir_vring_part_find(vr->gmem, &part[0]);
	vr->avail = weir_vring_part_find(vr->gmem, &part[1]);
	vr->used = weir_vring_part_find(vr->gmem, &part[2]);
	return vr->desc != NULL && vr->avail != NULL && vr->used != NULL ? 0 : -EFAULT;
}

static void
split_begin(struct weir_vring *vr, const struct weir_vring_addr *a)
{
	uint16_t avail_idx;

	vr->mask = (uint16_t)(a->size - 1);
	vr->used_idx = __atomic_load_n(&vr->used->idx, __ATOMIC_RELAXED);
	/*
	 * Chains are used in ring order here, so used.idx says where to go on. What
	 * lies between it and a base ahead of it was taken by whoever ran the ring
	 * before and never given back: it is taken again. A base behind it comes
	 * from a frontend that outlived its backend and has nobody to ask, such as
	 * virtio-user, which says 0. The base stands where used.idx cannot be right,
	 * because avail.idx is more than a ring ahead of it.
	 */
	avail_idx = __atomic_load_n(&vr->avail->idx, __ATOMIC_RELAXED);
	vr->last_avail =
		(uint16_t)(avail_idx - vr->used_idx) <= a->size ? vr->used_idx : a->base;
	vr->used_next = vr->used_idx;
	vr->call_idx = vr->used_idx;
	/*
	 * Without event indices a flag says "do not kick". With them there is no
	 * such flag; the event index stays where it is and the guest kicks once in
	 * 65536 chains.
	 */
	__atomic_store_n(&vr->used->flags, a->event_idx ? 0 : VRING_USED_F_NO_NOTIFY,
			 __ATOMIC_RELAXED);
}

static void
packed_begin(struct weir_vring *vr, const struct weir_vring_addr *a)
{
	vr->mask = (uint16_t)(weir_vring_shadow_size(a->size) - 1);
	vr->shadow = a->shadow;
	vr->last_avail = a->base;
	vr->used_pos = a->base;
	__atomic_store_n(&vr->device->flags, VRING_PACKED_EVENT_FLAG_DISABLE,
			 __ATOMIC_RELAXED);
}

int
weir_vring_init(struct weir_vring *vr, const struct weir_gmem *gmem,
		const struct weir_vring_addr *a)
{
	struct weir_vring new = {
		.gmem = gmem,
		.size = a->size,
		.packed = a->packed,
		.event_idx = a->event_idx,
		.call_any = true,
	};
	int ret;

	if (a->packed && (a->base & WEIR_VRING_POS_IDX) >= a->size)
		return -EINVAL;
	ret = parts_find(&new, a);
	if (ret != 0)
		return ret;
	if (a->packed)
		packed_begin(&new, a);
	else
		split_begin(&new, a);
	*vr = new;
	return 0;
}

void
weir_vring_rewind(struct weir_vring *vr)
{
	uint16_t n = (uint16_t)(vr->used_next - vr->used_idx);

	vr->last_avail = vr->packed ? vr->used_pos : (uint16_t)(vr->last_avail - n);
	vr->used_next = vr->used_idx;
}

const char *
weir_vring_fault_name(enum weir_vring_fault f)
{
	static const char *const name[WEIR_VRING_NR_FAULTS] = {
		[WEIR_VRING_OK] = "no fault",
		[WEIR_VRING_AVAIL_IDX] = "avail.idx is more than a ring ahead",
		[WEIR_VRING_HEAD] = "the head of a chain is not in the descriptor table",
		[WEIR_VRING_NEXT] = "a descriptor's next is not in its table",
		[WEIR_VRING_LOOP] = "a chain loops",
		[WEIR_VRING_ADDRESS] = "a buffer is outside guest memory",
		[WEIR_VRING_DIRECTION] = "a buffer has the wrong direction",
		[WEIR_VRING_INDIRECT_TABLE] =
			"an indirect table has a bad length or address",
		[WEIR_VRING_INDIRECT_NESTED] =
			"an indirect table inside an indirect table",
		[WEIR_VRING_CHAIN_TOO_LONG] = "a chain has too many pieces",
		[WEIR_VRING_EMPTY] = "a buffer to be written has no bytes",
		[WEIR_VRING_OVERRUN] = "descriptors are offered that are in use",
		[WEIR_VRING_ACCESS] = "a buffer is mapped for the other direction only",
		[WEIR_VRING_MISS] = "a translation is not there yet",
	};

	return (unsigned int)f < WEIR_VRING_NR_FAULTS ? name[f] : "unknown fault";
}
