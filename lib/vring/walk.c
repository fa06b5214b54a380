/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "vring_walk.h"
#include "weir_iotlb.h"

#define DESC_LEN 16u

_Static_assert(sizeof(struct vring_desc) == DESC_LEN &&
		       sizeof(struct vring_packed_desc) == DESC_LEN,
	       "a descriptor is 16 bytes in either format");

/* The table for a buffer of that direction: a view has two. */
static const struct weir_gmem *
table_for(const struct weir_vring *vr, bool write)
{
	return write || vr->gmem->memory == NULL ? vr->gmem : vr->gmem->readable;
}

/* Nothing is there. @return true: a translation may come, and is noted. */
static bool
miss_note(struct weir_vring *vr, uint64_t iova, bool write)
{
	if (vr->gmem->memory == NULL)
		return false;
	if (vr->nr_misses < WEIR_VRING_MISSES)
		vr->miss[vr->nr_misses++] = (struct weir_vring_miss){ iova, write };
	return true;
}

/* Bytes from an address to the end of its page, up to @p len. */
static uint64_t
page_rest(uint64_t iova, uint64_t len)
{
	const uint64_t rest = WEIR_IOTLB_PAGE - iova % WEIR_IOTLB_PAGE;

	return rest < len ? rest : len;
}

int
vring_walk_add(struct weir_vring *vr, struct vring_walk *w, uint64_t gpa, uint32_t len,
	       uint16_t flags)
{
	const bool write = (flags & VRING_DESC_F_WRITE) != 0;
	const struct weir_gmem *g = table_for(vr, write);
	uint64_t left = len, end;

	/* what is read comes before what is written (VIRTIO 1.3, 2.7.4.2) */
	if (w->dir == WEIR_VRING_BOTH ? w->writes && !write
				      : write != (w->dir == VRING_DESC_F_WRITE))
		return -WEIR_VRING_DIRECTION;
	w->writes = write;
	if (__builtin_add_overflow(gpa, left, &end))
		return -WEIR_VRING_ADDRESS;
	while (left != 0) {
		struct weir_iov *v = &w->iov[w->nr];

		if (w->nr == w->max)
			return -WEIR_VRING_CHAIN_TOO_LONG;
		v->len = left;
		v->hva = weir_gmem_translate(g, (struct weir_gpa){ gpa }, &v->len,
					     &v->iova, &vr->hint);
		if (v->hva == NULL) {
			if (!miss_note(vr, gpa, write))
				return -WEIR_VRING_ADDRESS;
			w->missed = true;
			/* go on as long as more can be noted, to be asked for at once;
			 * how far that is is not for the guest to say */
			if (vr->nr_misses == WEIR_VRING_MISSES)
				break;
			v->len = page_rest(gpa, left);
		} else {
			w->nr++;
		}
		gpa += v->len;
		left -= v->len;
	}
	if (w->dir != WEIR_VRING_BOTH || !write)
		w->len += len;
	w->empty |= len == 0;
	return 0;
}

int
vring_walk_table(uint64_t gpa, uint32_t len)
{
	uint64_t last;

	if (len == 0 || len % DESC_LEN != 0 ||
	    __builtin_add_overflow(gpa, (uint64_t)len - 1, &last))
		return -WEIR_VRING_INDIRECT_TABLE;
	return (int)(len / DESC_LEN);
}

int
vring_walk_read(struct weir_vring *vr, uint64_t gpa, void *desc)
{
	const struct weir_gmem *g = table_for(vr, false);
	uint64_t done = 0, iova;

	while (done < DESC_LEN) {
		uint64_t len = DESC_LEN - done;
		void *p = weir_gmem_translate(g, (struct weir_gpa){ gpa + done }, &len,
					      &iova, &vr->hint);

		if (p == NULL)
			return miss_note(vr, gpa + done, false)
				       ? -WEIR_VRING_MISS
				       : -WEIR_VRING_INDIRECT_TABLE;
		memcpy((char *)desc + done, p, len);
		done += len;
	}
	/* the compiler may not go back to shared memory for a second look */
	__asm__ volatile("" : : : "memory");
	return 0;
}

int
vring_walk_end(const struct vring_walk *w, uint64_t *len)
{
	if (w->empty && w->dir == VRING_DESC_F_WRITE)
		return -WEIR_VRING_EMPTY;
	if (w->missed)
		return -WEIR_VRING_MISS;
	*len = w->len;
	return (int)w->nr;
}
