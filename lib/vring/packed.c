/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "vring_packed.h"
#include "vring_walk.h"

/*
 * A table's descriptors follow each other; of their flags only WRITE counts, and
 * a buffer id they have none (VIRTIO 1.3, 2.8.7). In a chain to be read WRITE
 * does not count either: DPDK's driver has it on the header of frames it sends,
 * and reading what may be written harms nobody.
 */
static int
gather_table(struct weir_vring *vr, struct vring_walk *w, uint64_t gpa, uint32_t len,
	     uint32_t *nr_descs)
{
	int size = vring_walk_table(gpa, len), ret = 0;
	struct vring_packed_desc d;

	if (size < 0)
		return size;
	*nr_descs += (uint32_t)size;
	if (*nr_descs > WEIR_VRING_MAX_CHAIN)
		return -WEIR_VRING_CHAIN_TOO_LONG;
	for (int i = 0; i < size && ret == 0; i++) {
		ret = vring_walk_read(vr, gpa + (uint64_t)i * sizeof(d), &d);
		if (ret == 0 && (d.flags & VRING_DESC_F_INDIRECT) != 0)
			ret = -WEIR_VRING_INDIRECT_NESTED;
		if (ret == 0)
			ret = vring_walk_add(vr, w, d.addr, d.len, d.flags & w->dir);
	}
	if (ret != -WEIR_VRING_MISS)
		return ret;
	/* the walk goes on to the chain's end, which tells where the next begins */
	w->missed = true;
	return 0;
}

/* The next descriptor in the ring; the second half of the chain's first was read. */
static struct vring_packed_desc
desc_read(const struct weir_vring *vr, const struct weir_vring_at *at, uint16_t nr)
{
	uint16_t pos = vring_packed_pos(vr, at->pos, nr);
	struct vring_packed_desc d;

	d = *(volatile struct vring_packed_desc *)&vr
		     ->packed_desc[pos & WEIR_VRING_POS_IDX];
	if (nr == 0)
		memcpy(&d.len, &at->word, sizeof(at->word));
	return d;
}

int
vring_packed_gather(struct weir_vring *vr, const struct weir_vring_at *at, uint16_t dir,
		    struct weir_iov *iov, unsigned int max, struct weir_chain *chain,
		    uint64_t *len)
{
	struct vring_walk w = { .iov = iov, .max = max, .dir = dir };
	uint32_t nr_descs = 0;
	uint16_t nr = 0;

	for (;;) {
		struct vring_packed_desc d;
		int ret;

		/* behind them lie descriptors that were taken and not given back */
		if (nr == at->left)
			return at->left == vr->size ? -WEIR_VRING_LOOP
						    : -WEIR_VRING_OVERRUN;
		d = desc_read(vr, at, nr++);
		if ((d.flags & VRING_DESC_F_INDIRECT) != 0)
			ret = gather_table(vr, &w, d.addr, d.len, &nr_descs);
		else if (++nr_descs > WEIR_VRING_MAX_CHAIN)
			ret = -WEIR_VRING_CHAIN_TOO_LONG;
		else
			ret = vring_walk_add(vr, &w, d.addr, d.len, d.flags);
		if (ret != 0)
			return ret;
		if ((d.flags & VRING_DESC_F_NEXT) != 0)
			continue;
		/* the last one has the chain's id (2.8.6) */
		*chain = (struct weir_chain){ d.id, nr };
		return vring_walk_end(&w, len);
	}
}
