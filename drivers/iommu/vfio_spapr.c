/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * POWER's IOMMU, version 2 of the interface.
 *
 * Never run on such a machine: written after the kernel's header and source,
 * tested against a model of these (sim_spapr.c).
 *
 * Memory is registered before it is mapped, once however often it is mapped,
 * and unregistered exactly as it was registered. Mapping is by page, in windows
 * on the bus; so any pages can be unmapped, and the kernel does not say how many
 * of them were mapped, nor does it mind if a map writes over another. The book
 * does both; of what others have mapped in an adopted container it does not know.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <unistd.h>

#include "iommu_limits.h"
#include "vfio_impl.h"
#include "vfio_sys.h"
#include "weir_fail.h"
#include "weir_log.h"
#include "weir_map.h"

/* Bits of the window tried for, to hold every user address if it can be had. */
#define WINDOW_BITS_MAX 47u
#define WINDOW_BITS_MIN 32u

/* Memory that is registered. */
struct spapr_memory {
	struct weir_tree_node node; /* key: host virtual addresses */
	uint64_t used;		    /* bytes mapped, each map counted */
};

static uint64_t
page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

static int
memory_call(const struct weir_vfio *v, unsigned long request, struct weir_range hva)
{
	struct vfio_iommu_spapr_register_memory reg = {
		.argsz = sizeof(reg),
		.vaddr = hva.start,
		.size = weir_range_len(hva),
	};

	return vfio_ioctl(v->fd, request, &reg);
}

static int
memory_register(struct weir_vfio *v, struct weir_range hva, struct weir_tree_node **out)
{
	struct spapr_memory *m = weir_zalloc(sizeof(*m));
	int ret;

	if (m == NULL)
		return -ENOMEM;
	ret = memory_call(v, VFIO_IOMMU_SPAPR_REGISTER_MEMORY, hva);
	if (ret != 0) {
		free(m);
		return ret;
	}
	m->node.key = hva;
	*out = &m->node;
	return weir_tree_insert(&v->memory, &m->node);
}

static int
memory_unregister(struct weir_vfio *v, struct spapr_memory *m)
{
	int ret = memory_call(v, VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY, m->node.key);

	if (ret != 0) {
		weir_log(WEIR_LOG_WARN, "%s: memory stays registered: error %d",
			 v->type->name, -ret);
		return ret;
	}
	weir_tree_erase(&v->memory, &m->node);
	free(m);
	return 0;
}

/*
 * Give a range of memory back, of which each byte was counted or none, and
 * unregister what nothing is mapped of any more. @return 0; -errno: some of that
 * is registered still.
 */
static int
memory_put(struct weir_vfio *v, struct weir_range hva, bool counted)
{
	struct weir_tree_node *n = weir_tree_overlap(&v->memory, hva);
	int ret = 0;

	while (n != NULL && n->key.start <= hva.last) {
		struct weir_tree_node *next = weir_tree_next(n);
		struct spapr_memory *m = (struct spapr_memory *)n;

		if (counted)
			m->used -= weir_range_len(weir_range_intersect(n->key, hva));
		if (m->used == 0) {
			int err = memory_unregister(v, m);

			ret = err != 0 ? err : ret;
		}
		n = next;
	}
	return ret;
}

/*
 * Have all of a range registered, and count it. The kernel refuses to register
 * what overlaps, and finds each page of a map for itself: so it is the gaps
 * between what is registered already that are. What could not be unregistered
 * has to be first: behind it may be pages that the process has given back since.
 */
static int
memory_get(struct weir_vfio *v, struct weir_range hva)
{
	struct weir_tree_node *n;
	struct weir_range rest = hva;
	int ret = memory_put(v, hva, false);

	if (ret != 0)
		return ret;
	for (;; rest = weir_range_after(hva, n->key.last)) {
		n = weir_tree_find(&v->memory, rest.start);
		if (n == NULL || n->key.start > rest.start) {
			if (n != NULL && n->key.start <= rest.last)
				rest = weir_range_before(rest, n->key.start);
			ret = memory_register(v, rest, &n);
			if (ret != 0)
				goto err_put;
		}
		if (n->key.last >= hva.last)
			break;
	}
	n = weir_tree_overlap(&v->memory, hva);
	for (; n != NULL && n->key.start <= hva.last; n = weir_tree_next(n))
		((struct spapr_memory *)n)->used +=
			weir_range_len(weir_range_intersect(n->key, hva));
	return 0;

err_put:
	(void)memory_put(v, hva, false);
	return ret;
}

/* The book's: what was mapped to it is not any more. */
static void
memory_gone(void *arg, uint64_t hva, uint64_t len)
{
	struct weir_vfio *v = arg;
	struct weir_range r;

	v->mapped -= len;
	if (weir_range_make(&r, hva, len) == 0)
		(void)memory_put(v, r, true);
}

/* A window of @bits that begins where the kernel puts it. */
static int
window_create(struct weir_vfio *v, const struct vfio_iommu_spapr_tce_ddw_info *ddw,
	      unsigned int bits)
{
	/* a page of the window may not be larger than the memory's */
	uint64_t pages = ddw->pgsizes & (page_size() | (page_size() - 1));
	int ret = -ENOTSUP;

	if (pages == 0)
		return ret;
	/* a flat table has to be contiguous; more levels lift that */
	for (uint32_t levels = 1; ret != 0 && levels <= ddw->levels; levels++) {
		struct vfio_iommu_spapr_tce_create create = {
			.argsz = sizeof(create),
			.page_shift = 63u - (uint32_t)__builtin_clzll(pages),
			.window_size = UINT64_C(1) << bits,
			.levels = levels,
		};

		ret = vfio_ioctl(v->fd, VFIO_IOMMU_SPAPR_TCE_CREATE, &create);
		if (ret == 0)
			ret = weir_range_make(&v->window, create.start_addr,
					      create.window_size);
	}
	return ret;
}

/*
 * The window there is at first is small and below 4 GiB, too low for a user
 * address as iova: give it up for the largest that can be had in its place.
 */
static int
window_set(struct weir_vfio *v, const struct vfio_iommu_spapr_tce_info *info)
{
	struct vfio_iommu_spapr_tce_remove old = {
		.argsz = sizeof(old),
		.start_addr = info->dma32_window_start,
	};
	int ret;

	v->windowed = true;
	if ((info->flags & VFIO_IOMMU_SPAPR_INFO_DDW) == 0)
		return weir_range_make(&v->window, info->dma32_window_start,
				       info->dma32_window_size);
	ret = vfio_ioctl(v->fd, VFIO_IOMMU_SPAPR_TCE_REMOVE, &old);
	if (ret != 0)
		return ret;
	ret = -ENOTSUP;
	for (unsigned int bits = WINDOW_BITS_MAX; ret != 0 && bits >= WINDOW_BITS_MIN;
	     bits--)
		ret = window_create(v, &info->ddw, bits);
	return ret;
}

int
vfio_spapr_begin(struct weir_vfio *v)
{
	struct vfio_iommu_spapr_tce_info info = { .argsz = sizeof(info) };
	int ret = vfio_ioctl(v->fd, VFIO_IOMMU_SPAPR_TCE_GET_INFO, &info);

	/* an adopted container has its owner's windows, which cannot be asked for */
	if (ret == 0 && !v->adopted)
		ret = window_set(v, &info);
	if (ret != 0)
		return ret;
	v->book.kept = true;
	v->book.on_gone = memory_gone;
	v->book.arg = v;
	return 0;
}

void
vfio_spapr_end(struct weir_vfio *v)
{
	struct weir_tree_node *n;

	while ((n = v->memory.root) != NULL) {
		weir_tree_erase(&v->memory, n);
		free(n);
	}
}

static int
spapr_caps(void *ctx, struct weir_iommu_caps *caps)
{
	struct weir_vfio *v = ctx;

	*caps = (struct weir_iommu_caps){
		.name = v->type->name,
		.kind = WEIR_BACKEND_SPAPR,
		.page_sizes = page_size(),
		.max_entries = UINT64_MAX,
		.max_locked = iommu_locked_limit(v->mapped),
		.splits = true,
	};
	if (v->windowed)
		iommu_aperture_add(caps, v->window);
	return 0;
}

static int
spapr_map(void *ctx, uint64_t iova, uint64_t hva, uint64_t len, uint32_t prot)
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
	struct weir_range r, mem;
	int ret;

	if ((prot & ~(WEIR_PROT_READ | WEIR_PROT_WRITE)) != 0 ||
	    weir_range_make(&r, iova, len) != 0 || weir_range_make(&mem, hva, len) != 0)
		return -EINVAL;
	if (vfio_book_covered(&v->book, r) != 0)
		return -EEXIST;
	ret = vfio_book_prepare(&v->book);
	if (ret == 0)
		ret = memory_get(v, mem);
	if (ret != 0)
		return ret;
	ret = vfio_ioctl(v->fd, VFIO_IOMMU_MAP_DMA, &m);
	if (ret != 0) {
		(void)memory_put(v, mem, true);
		return ret;
	}
	v->mapped += len;
	vfio_book_add(&v->book, r, hva);
	return 0;
}

static int
spapr_unmap(void *ctx, uint64_t iova, uint64_t len, uint64_t *unmapped)
{
	struct weir_vfio *v = ctx;
	struct vfio_iommu_type1_dma_unmap u = {
		.argsz = sizeof(u),
		.iova = iova,
		.size = len,
	};
	struct weir_range r;
	int ret;

	*unmapped = 0;
	if (weir_range_make(&r, iova, len) != 0)
		return -EINVAL;
	ret = vfio_book_prepare(&v->book);
	if (ret == 0)
		ret = vfio_ioctl(v->fd, VFIO_IOMMU_UNMAP_DMA, &u);
	if (ret != 0)
		return ret;
	*unmapped = vfio_book_covered(&v->book, r);
	vfio_book_del(&v->book, r, *unmapped);
	return 0;
}

static void
spapr_close(void *ctx)
{
	weir_vfio_destroy(ctx);
}

const struct weir_iommu_ops vfio_spapr_ops = {
	.caps = spapr_caps,
	.map = spapr_map,
	.unmap = spapr_unmap,
	.close = spapr_close,
};
