/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Type 1, in both versions, and iommufd where it stands in for them: x86's,
 * Arm's. The calls are the same; what they do to part of an entry is not, and
 * is the kernel's business (doc/errors.md has the table).
 */
#include <errno.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>

#include "iommu_limits.h"
#include "vfio_impl.h"
#include "vfio_sys.h"
#include "weir_fail.h"
#include "weir_map.h"

/* What a kernel that does not say how many entries are left has by default. */
#define ENTRIES_DEFAULT 65535u

/* What is asked again with more room is not asked for ever. */
#define INFO_ROUNDS 8

/*
 * The kernel appends what it has to tell, says how much there is in all, and
 * leaves out what there was no room for.
 *
 * @out, to be freed, is at least as long as the plain structure and as its argsz.
 */
static int
info_get(const struct weir_vfio *v, struct vfio_iommu_type1_info **out)
{
	struct vfio_iommu_type1_info *info = NULL;
	size_t len = 512;

	for (unsigned int i = 0; i < INFO_ROUNDS; i++) {
		int ret;

		free(info);
		info = weir_zalloc(len);
		if (info == NULL)
			return -ENOMEM;
		info->argsz = (uint32_t)len;
		ret = vfio_ioctl(v->fd, VFIO_IOMMU_GET_INFO, info);
		if (ret != 0) {
			free(info);
			return ret;
		}
		if (info->argsz <= len) {
			*out = info;
			return 0;
		}
		len = info->argsz;
	}
	free(info);
	return -EPROTO;
}

/* Copy `len` bytes at an offset; some kernels do not align what is there. */
static bool
info_copy(const struct vfio_iommu_type1_info *info, uint64_t off, void *dst, size_t len)
{
	if (off < sizeof(*info) || info->argsz < len || off > info->argsz - len)
		return false;
	memcpy(dst, (const char *)info + off, len);
	return true;
}

static void
cap_ranges(const struct vfio_iommu_type1_info *info, uint32_t off,
	   struct weir_iommu_caps *caps)
{
	struct vfio_iommu_type1_info_cap_iova_range cap;
	struct vfio_iova_range r;
	uint64_t at = off + sizeof(cap);

	if (!info_copy(info, off, &cap, sizeof(cap)))
		return;
	for (uint32_t i = 0; i < cap.nr_iovas && info_copy(info, at, &r, sizeof(r));
	     i++) {
		iommu_aperture_add(caps, (struct weir_range){ r.start, r.end });
		at += sizeof(r);
	}
}

/*
 * Read the container's page sizes, apertures and entries left.
 *
 * The chain's offsets only grow here: a kernel that links backwards is not
 * followed round in circles.
 */
static int
info_read(const struct weir_vfio *v, struct weir_iommu_caps *caps, uint64_t *left)
{
	struct vfio_iommu_type1_info_dma_avail avail;
	struct vfio_iommu_type1_info *info;
	struct vfio_info_cap_header cap;
	uint32_t off;
	int ret = info_get(v, &info);

	if (ret != 0)
		return ret;
	caps->page_sizes = (info->flags & VFIO_IOMMU_INFO_PGSIZES) != 0
				   ? info->iova_pgsizes
				   : WEIR_MAP_PAGE;
	*left = ENTRIES_DEFAULT;
	off = (info->flags & VFIO_IOMMU_INFO_CAPS) != 0 ? info->cap_offset : 0;
	while (off != 0 && info_copy(info, off, &cap, sizeof(cap))) {
		if (cap.id == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE)
			cap_ranges(info, off, caps);
		if (cap.id == VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL &&
		    info_copy(info, off, &avail, sizeof(avail)))
			*left = avail.avail;
		off = cap.next > off ? cap.next : 0;
	}
	free(info);
	return 0;
}

int
vfio_type1_begin(struct weir_vfio *v)
{
	struct weir_iommu_caps caps = { .name = NULL };

	/* nothing of ours is mapped yet, so what is left is what we may have */
	return info_read(v, &caps, &v->max_entries);
}

enum weir_vfio_iommu
vfio_type1_which(int fd)
{
	struct vfio_iommu_type1_dirty_bitmap none = { .argsz = 0 };

	/*
	 * Dirty tracking is refused to v1 before the arguments are looked at;
	 * v2 finds fault with these. Older kernels (before 5.8), and iommufd,
	 * know nothing of it.
	 */
	switch (vfio_ioctl(fd, VFIO_IOMMU_DIRTY_PAGES, &none)) {
	case -EACCES:
		return WEIR_VFIO_TYPE1_V1;
	case -EINVAL:
		return WEIR_VFIO_TYPE1_V2;
	default:
		return WEIR_VFIO_TYPE1;
	}
}

/* iommufd counts no entries, though it answers as if. */
static uint64_t
entries_limit(const struct weir_vfio *v, uint64_t left)
{
	if (v->compat)
		return UINT64_MAX;
	return v->adopted ? left + v->book.entries.nr_nodes : v->max_entries;
}

static int
type1_caps(void *ctx, struct weir_iommu_caps *caps)
{
	struct weir_vfio *v = ctx;
	bool v1 = v->iommu == WEIR_VFIO_TYPE1_V1;
	uint64_t left;
	int ret;

	*caps = (struct weir_iommu_caps){ .name = NULL };
	ret = info_read(v, caps, &left);
	if (ret != 0)
		return ret;
	caps->name = !v->compat ? v->type->name
		     : v1	? "vfio/iommufd-compat-v1"
				: "vfio/iommufd-compat-v2";
	caps->kind = WEIR_BACKEND_TYPE1;
	caps->max_entries = entries_limit(v, left);
	caps->max_locked = iommu_locked_limit(v->mapped);
	caps->splits = v->compat && v1;
	return 0;
}

/*
 * The owner of an adopted container has closed its last group, and the kernel
 * has forgotten all that was mapped. It stays so also if a group comes back: what
 * we had mapped does not.
 */
static bool
container_lost(struct weir_vfio *v, int ret)
{
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };

	if (ret != -EINVAL || !v->adopted)
		return v->lost;
	if (vfio_ioctl(v->fd, VFIO_IOMMU_GET_INFO, &info) == -EINVAL) {
		v->lost = true;
		v->mapped = 0;
		vfio_book_clear(&v->book);
	}
	return v->lost;
}

static int
type1_map(void *ctx, uint64_t iova, uint64_t hva, uint64_t len, uint32_t prot)
{
	struct weir_vfio *v = ctx;
	struct vfio_iommu_type1_dma_map m = {
		.argsz = sizeof(m),
		.flags = (prot & WEIR_PROT_READ ? VFIO_DMA_MAP_FLAG_READ : 0) |
			 (prot & WEIR_PROT_WRITE ? VFIO_DMA_MAP_FLAG_WRITE : 0),
		.vaddr = hva,
		.iova = iova,
		.size = len,
	};
	struct weir_range r;
	int ret;

	if ((prot & ~(WEIR_PROT_READ | WEIR_PROT_WRITE)) != 0)
		return -EINVAL; /* another bit is another call to the kernel */
	if (v->lost)
		return -ENODEV;
	ret = vfio_book_prepare(&v->book);
	if (ret == 0)
		ret = vfio_ioctl(v->fd, VFIO_IOMMU_MAP_DMA, &m);
	if (ret != 0)
		return container_lost(v, ret) ? -ENODEV : ret;
	v->mapped += len;
	if (weir_range_make(&r, iova, len) == 0) {
		/* what the book has there the kernel had lost */
		v->mapped -= vfio_book_covered(&v->book, r);
		vfio_book_add(&v->book, r, hva);
	}
	return 0;
}

/*
 * Bytes gone by what the kernel wrote. After a failure the size is as it was
 * passed and means nothing, but that iommufd says what it had removed before it
 * came to an entry that it does not split.
 */
static uint64_t
bytes_gone(const struct weir_vfio *v, int ret, const struct vfio_iommu_type1_dma_unmap *u)
{
	return ret == 0 || (ret == -ENOENT && v->compat) ? u->size : 0;
}

static int
type1_unmap(void *ctx, uint64_t iova, uint64_t len, uint64_t *unmapped)
{
	struct weir_vfio *v = ctx;
	struct vfio_iommu_type1_dma_unmap u = {
		.argsz = sizeof(u),
		.iova = iova,
		.size = len,
	};
	struct weir_range r;
	bool valid = weir_range_make(&r, iova, len) == 0;
	int ret;

	*unmapped = v->lost ? len : 0;
	if (v->lost)
		return 0;
	/* it may be iommufd, which would remove what comes before such an entry */
	if (v->iommu == WEIR_VFIO_TYPE1 && valid &&
	    weir_tree_bisects(&v->book.entries, r))
		return -EINVAL;
	ret = vfio_book_prepare(&v->book);
	if (ret != 0)
		return ret;
	ret = vfio_ioctl(v->fd, VFIO_IOMMU_UNMAP_DMA, &u);
	if (container_lost(v, ret)) {
		*unmapped = len;
		return 0;
	}
	*unmapped = bytes_gone(v, ret, &u);
	v->mapped -= *unmapped < v->mapped ? *unmapped : v->mapped;
	if (valid)
		vfio_book_del(&v->book, r, *unmapped);
	return ret;
}

static void
type1_close(void *ctx)
{
	weir_vfio_destroy(ctx);
}

const struct weir_iommu_ops vfio_type1_ops = {
	.caps = type1_caps,
	.map = type1_map,
	.unmap = type1_unmap,
	.close = type1_close,
};
