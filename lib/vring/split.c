/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "weir_vring.h"

/* Where the walk over a chain is: in the ring's table or in an indirect one. */
struct walk {
	struct vring_desc desc; /* the current one, read once */
	uint64_t table_gpa;	/* of the indirect table, if indirect */
	uint32_t table_size;	/* descriptors in the table */
	uint32_t left;		/* descriptors that the chain may still have */
	bool indirect;
};

int
weir_vring_init(struct weir_vring *vr, const struct weir_gmem *gmem,
		const struct weir_vring_addr *a)
{
	uint64_t avail_len, used_len;
	uint16_t avail_idx;
	struct weir_vring new = { .gmem = gmem, .event_idx = a->event_idx };

	if (a->size == 0 || a->size > WEIR_VRING_MAX_SIZE ||
	    (a->size & (a->size - 1)) != 0)
		return -EINVAL;
	if (a->desc_uva % VRING_DESC_ALIGN_SIZE != 0 ||
	    a->avail_uva % VRING_AVAIL_ALIGN_SIZE != 0 ||
	    a->used_uva % VRING_USED_ALIGN_SIZE != 0)
		return -EINVAL;
	/* flags, idx, ring[size], and the event field, which lies there anyway */
	avail_len = sizeof(uint16_t) * (3 + (uint64_t)a->size);
	used_len =
		sizeof(uint16_t) * 3 + sizeof(struct vring_used_elem) * (uint64_t)a->size;
	new.desc = weir_gmem_uva(gmem, a->desc_uva, sizeof(struct vring_desc) * a->size);
	new.avail = weir_gmem_uva(gmem, a->avail_uva, avail_len);
	new.used = weir_gmem_uva(gmem, a->used_uva, used_len);
	if (new.desc == NULL || new.avail == NULL || new.used == NULL)
		return -EFAULT;
	new.mask = (uint16_t)(a->size - 1);
	new.used_idx = __atomic_load_n(&new.used->idx, __ATOMIC_RELAXED);
	/*
	 * Chains are used in ring order here, so used.idx says where to go on. What
	 * lies between it and a base ahead of it was taken by whoever ran the ring
	 * before and never given back: it is taken again. A base behind it comes
	 * from a frontend that outlived its backend and has nobody to ask, such as
	 * virtio-user, which says 0. The base stands where used.idx cannot be right,
	 * because avail.idx is more than a ring ahead of it.
	 */
	avail_idx = __atomic_load_n(&new.avail->idx, __ATOMIC_RELAXED);
	new.last_avail =
		(uint16_t)(avail_idx - new.used_idx) <= a->size ? new.used_idx : a->base;
	new.used_next = new.used_idx;
	new.call_idx = new.used_idx;
	new.call_any = true;
	/*
	 * Without event indices a flag says "do not kick". With them there is no
	 * such flag; the event index stays where it is and the guest kicks once in
	 * 65536 chains.
	 */
	__atomic_store_n(&new.used->flags, a->event_idx ? 0 : VRING_USED_F_NO_NOTIFY,
			 __ATOMIC_RELAXED);
	*vr = new;
	return 0;
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
	};

	return (unsigned int)f < WEIR_VRING_NR_FAULTS ? name[f] : "unknown fault";
}

/* Copy a descriptor out of guest memory, even if it straddles two slots. */
static int
table_read(struct weir_vring *vr, uint64_t gpa, struct vring_desc *out)
{
	uint64_t done = 0, iova;

	while (done < sizeof(*out)) {
		uint64_t len = sizeof(*out) - done;
		void *p = weir_gmem_translate(vr->gmem, (struct weir_gpa){ gpa + done },
					      &len, &iova, &vr->hint);

		if (p == NULL)
			return -WEIR_VRING_INDIRECT_TABLE;
		memcpy((char *)out + done, p, len);
		done += len;
	}
	/* the compiler may not go back to shared memory for a second look */
	__asm__ volatile("" : "+m"(*out));
	return 0;
}

/* Go on in a table of @p size descriptors. */
static void
walk_table(struct walk *w, uint32_t size, uint32_t limit)
{
	w->table_size = size;
	w->left = size < limit ? size : limit;
	if (w->left > WEIR_VRING_MAX_CHAIN)
		w->left = WEIR_VRING_MAX_CHAIN;
}

static int
walk_read(struct weir_vring *vr, struct walk *w, uint16_t at)
{
	if (w->left-- == 0)
		return w->table_size > WEIR_VRING_MAX_CHAIN ? -WEIR_VRING_CHAIN_TOO_LONG
							    : -WEIR_VRING_LOOP;
	if (at >= w->table_size)
		return -WEIR_VRING_NEXT;
	if (!w->indirect) {
		w->desc = *(volatile struct vring_desc *)&vr->desc[at];
		return 0;
	}
	return table_read(vr, w->table_gpa + (uint64_t)at * sizeof(w->desc), &w->desc);
}

/* The current descriptor refers to a table: go on at its first descriptor. */
static int
walk_enter_table(struct weir_vring *vr, struct walk *w)
{
	uint64_t last;

	if (w->indirect)
		return -WEIR_VRING_INDIRECT_NESTED;
	if (w->desc.len == 0 || w->desc.len % sizeof(w->desc) != 0 ||
	    __builtin_add_overflow(w->desc.addr, (uint64_t)w->desc.len - 1, &last))
		return -WEIR_VRING_INDIRECT_TABLE;
	w->table_gpa = w->desc.addr;
	/* no chain is longer than the ring, in a table neither (2.7.5.3.1) */
	walk_table(w, w->desc.len / sizeof(w->desc), vr->mask + 1u);
	w->indirect = true;
	return walk_read(vr, w, 0);
}

/* Add the current buffer's pieces to iov. */
static int
walk_add(struct weir_vring *vr, const struct walk *w, struct weir_iov *iov,
	 unsigned int nr, unsigned int max)
{
	uint64_t gpa = w->desc.addr, left = w->desc.len, end;

	if (__builtin_add_overflow(gpa, left, &end))
		return -WEIR_VRING_ADDRESS;
	while (left != 0) {
		struct weir_iov *v = &iov[nr];

		if (nr == max)
			return -WEIR_VRING_CHAIN_TOO_LONG;
		v->len = left;
		v->hva = weir_gmem_translate(vr->gmem, (struct weir_gpa){ gpa }, &v->len,
					     &v->iova, &vr->hint);
		if (v->hva == NULL)
			return -WEIR_VRING_ADDRESS;
		gpa += v->len;
		left -= v->len;
		nr++;
	}
	return (int)nr;
}

int
weir_vring_gather(struct weir_vring *vr, const struct weir_vring_at *at, uint16_t dir,
		  struct weir_iov *iov, unsigned int max, struct weir_chain *chain,
		  uint64_t *len)
{
	struct walk w = { 0 };
	uint64_t total = 0;
	bool empty = false;
	int nr = 0, ret;

	(void)at; /* the head was read once */
	walk_table(&w, vr->mask + 1u, vr->mask + 1u);
	ret = walk_read(vr, &w, chain->id);
	while (ret == 0) {
		if ((w.desc.flags & VRING_DESC_F_INDIRECT) != 0) {
			ret = walk_enter_table(vr, &w);
			continue;
		}
		if ((w.desc.flags & VRING_DESC_F_WRITE) != dir)
			return -WEIR_VRING_DIRECTION;
		nr = walk_add(vr, &w, iov, (unsigned int)nr, max);
		if (nr < 0)
			return nr;
		total += w.desc.len;
		empty |= w.desc.len == 0;
		if ((w.desc.flags & VRING_DESC_F_NEXT) == 0)
			break;
		ret = walk_read(vr, &w, w.desc.next);
	}
	if (ret == 0 && empty && dir != 0)
		ret = -WEIR_VRING_EMPTY;
	if (ret != 0)
		return ret;
	*len = total;
	return nr;
}

void
weir_vring_rewind(struct weir_vring *vr)
{
	vr->last_avail = (uint16_t)(vr->last_avail - weir_vring_unpublished(vr));
	vr->used_next = vr->used_idx;
}
