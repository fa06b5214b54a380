/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the guest's IOMMU translates, as the frontend tells it.
 */
#include <errno.h>
#include <inttypes.h>

#include <linux/virtio_config.h>

#include "vhost_priv.h"

/* A size of 0, or one that goes beyond the end, says "to the end": a frontend whose
 * guest has invalidated all of 2^64 bytes has no other number for it. */
static struct weir_range
invalid_range(const struct vhost_iotlb_msg *m)
{
	struct weir_range r;

	if (weir_range_make(&r, m->iova, m->size) != 0)
		r = (struct weir_range){ m->iova, UINT64_MAX };
	return r;
}

/* An update or an invalidation. @param out Written on success. */
static int
check(const struct vhost_iotlb_msg *m, bool *update, struct weir_vhost_iotlb *out,
      struct vhost_why *why)
{
	struct weir_range user;
	int ret;

	*out = (struct weir_vhost_iotlb){ .user = m->uaddr, .perm = m->perm };
	*update = m->type == VHOST_IOTLB_UPDATE;
	if (m->type == VHOST_IOTLB_INVALIDATE) {
		out->iova = invalid_range(m);
		return 0;
	}
	if (m->type != VHOST_IOTLB_UPDATE)
		return vhost_why(why, -EINVAL, "type %u is none of a frontend's",
				 m->type);
	ret = weir_range_make(&out->iova, m->iova, m->size);
	if (ret == 0)
		ret = weir_range_make(&user, m->uaddr, m->size);
	if (ret != 0)
		return vhost_why(why, ret,
				 "iova %#" PRIx64 ", user %#" PRIx64 ", size %#" PRIx64
				 ": empty, or wraps",
				 (uint64_t)m->iova, (uint64_t)m->uaddr,
				 (uint64_t)m->size);
	if (m->perm == 0 || (m->perm & ~VHOST_ACCESS_RW) != 0)
		return vhost_why(why, -EINVAL, "iova %#" PRIx64 ": permission %u",
				 (uint64_t)m->iova, m->perm);
	return 0;
}

int
vhost_iotlb_msg(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
		struct weir_vhost_event *ev)
{
	const uint64_t platform = WEIR_VHOST_BIT(VIRTIO_F_ACCESS_PLATFORM);
	struct weir_range user;
	bool update;
	int ret;

	if ((s->offer.features & platform) == 0)
		return vhost_why(&s->why, -EPROTONOSUPPORT,
				 "VIRTIO_F_ACCESS_PLATFORM was not offered");
	ret = check(&msg->payload.iotlb, &update, &ev->iotlb, &s->why);
	if (ret != 0)
		return ret;
	user.start = ev->iotlb.user;
	/* did not wrap when it was checked */
	user.last = user.start + (ev->iotlb.iova.last - ev->iotlb.iova.start);
	if (update && !vhost_mem_has_user(s, user))
		return vhost_why(&s->why, -EFAULT,
				 "iova %#" PRIx64 ": user %#" PRIx64 " to %#" PRIx64
				 " is in no region",
				 ev->iotlb.iova.start, user.start, user.last);
	/* before a frontend has features it may take back what it never gave */
	if (weir_vhost_iotlb(s))
		ev->type = update ? WEIR_VHOST_EV_IOTLB_UPDATE
				  : WEIR_VHOST_EV_IOTLB_INVALIDATE;
	return 0;
}
