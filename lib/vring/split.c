/* SPDX-License-Identifier: BSD-3-Clause */
#include "vring_split.h"
#include "vring_walk.h"

/* Where the walk over a chain is: in the ring's table or in an indirect one. */
struct place {
	struct vring_desc desc; /* the current one, read once */
	uint64_t table_gpa;	/* of the indirect table, if indirect */
	uint32_t table_size;	/* descriptors in the table */
	uint32_t left;		/* descriptors that the chain may still have */
	bool indirect;
};

/* Go on in a table of @p size descriptors. */
static void
place_table(struct place *p, uint32_t size, uint32_t limit)
{
	p->table_size = size;
	p->left = size < limit ? size : limit;
	if (p->left > WEIR_VRING_MAX_CHAIN)
		p->left = WEIR_VRING_MAX_CHAIN;
}

static int
place_read(struct weir_vring *vr, struct place *p, uint16_t at)
{
	if (p->left-- == 0)
		return p->table_size > WEIR_VRING_MAX_CHAIN ? -WEIR_VRING_CHAIN_TOO_LONG
							    : -WEIR_VRING_LOOP;
	if (at >= p->table_size)
		return -WEIR_VRING_NEXT;
	if (!p->indirect) {
		p->desc = *(volatile struct vring_desc *)&vr->desc[at];
		return 0;
	}
	return vring_walk_read(vr, p->table_gpa + (uint64_t)at * sizeof(p->desc),
			       &p->desc);
}

/* The current descriptor refers to a table: go on at its first descriptor. */
static int
place_enter_table(struct weir_vring *vr, struct place *p)
{
	int size;

	if (p->indirect)
		return -WEIR_VRING_INDIRECT_NESTED;
	size = vring_walk_table(p->desc.addr, p->desc.len);
	if (size < 0)
		return size;
	p->table_gpa = p->desc.addr;
	/* no chain is longer than the ring, in a table neither (2.7.5.3.1) */
	place_table(p, (uint32_t)size, vr->size);
	p->indirect = true;
	return place_read(vr, p, 0);
}

int
vring_split_gather(struct weir_vring *vr, uint16_t head, uint16_t dir,
		   struct weir_iov *iov, unsigned int max, uint64_t *len)
{
	struct vring_walk w = { .iov = iov, .max = max, .dir = dir };
	struct place p = { 0 };
	int ret;

	place_table(&p, vr->size, vr->size);
	ret = place_read(vr, &p, head);
	while (ret == 0) {
		if ((p.desc.flags & VRING_DESC_F_INDIRECT) != 0) {
			ret = place_enter_table(vr, &p);
			continue;
		}
		ret = vring_walk_add(vr, &w, p.desc.addr, p.desc.len, p.desc.flags);
		if (ret != 0)
			break;
		if ((p.desc.flags & VRING_DESC_F_NEXT) == 0)
			return vring_walk_end(&w, len);
		ret = place_read(vr, &p, p.desc.next);
	}
	return ret;
}
