/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/mman.h>

#include "sv_dev.h"
#include "sv_view.h"
#include "weir_range.h"

#define REGION_SHIFT 40
#define PAGE_MASK UINT64_C(0xfff)

/* Bytes of a region; 0: there is none. */
static uint64_t
region_len(const struct sv_dev *d, uint64_t index)
{
	if (index < SV_NR_BARS)
		return d->spec.model->pci.bar_len[index];
	return index == VFIO_PCI_CONFIG_REGION_INDEX ? SV_CONFIG_LEN : 0;
}

/* The part [off, off + len) of a descriptor's address space, if it is in one region. */
static int
region_locate(const struct sv_dev *d, uint64_t off, uint64_t len, unsigned int *index,
	      uint64_t *at)
{
	struct weir_range want, region;
	uint64_t base;

	*index = (unsigned int)(off >> REGION_SHIFT);
	*at = off & ((UINT64_C(1) << REGION_SHIFT) - 1);
	base = off - *at;
	if (weir_range_make(&region, base, region_len(d, *index)) != 0 ||
	    weir_range_make(&want, off, len) != 0 || !weir_range_contains(region, want))
		return -EINVAL;
	return 0;
}

static int
device_info(void *arg)
{
	struct vfio_device_info *info = arg;

	if (info->argsz <
	    offsetof(struct vfio_device_info, num_irqs) + sizeof(info->num_irqs))
		return -EINVAL;
	info->flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
	info->num_regions = VFIO_PCI_NUM_REGIONS;
	info->num_irqs = VFIO_PCI_NUM_IRQS;
	return 0;
}

/*
 * The kernel's way with capabilities: a caller whose buffer is too small learns
 * how large it has to be, and gets everything else.
 */
static int
region_info(struct sv_dev *d, void *arg)
{
	struct vfio_region_info *info = arg;
	struct vfio_info_cap_header cap = { .id = VFIO_REGION_INFO_CAP_MSIX_MAPPABLE,
					    .version = 1 };
	bool has_cap;

	if (info->argsz < sizeof(*info) || info->index >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	info->offset = (uint64_t)info->index << REGION_SHIFT;
	info->size = region_len(d, info->index);
	info->flags = info->size != 0
			      ? VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE
			      : 0;
	info->cap_offset = 0;
	if (info->index < SV_NR_BARS && info->size != 0)
		info->flags |= VFIO_REGION_INFO_FLAG_MMAP;
	has_cap = info->index == 0 && info->size != 0;
	if (!has_cap)
		return 0;
	info->flags |= VFIO_REGION_INFO_FLAG_CAPS;
	if (info->argsz < sizeof(*info) + sizeof(cap)) {
		info->argsz = sizeof(*info) + sizeof(cap);
		return 0;
	}
	memcpy((uint8_t *)arg + sizeof(*info), &cap, sizeof(cap));
	info->cap_offset = sizeof(*info);
	return 0;
}

int
sv_dev_ioctl(struct sv_dev *d, unsigned long cmd, void *arg)
{
	switch (cmd) {
	case VFIO_DEVICE_GET_INFO:
		return arg != NULL ? device_info(arg) : -EFAULT;
	case VFIO_DEVICE_GET_REGION_INFO:
		return arg != NULL ? region_info(d, arg) : -EFAULT;
	case VFIO_DEVICE_GET_IRQ_INFO:
		return arg != NULL ? sv_irqs_info(d, arg) : -EFAULT;
	case VFIO_DEVICE_SET_IRQS:
		return arg != NULL ? sv_irqs_set(d, arg) : -EFAULT;
	case VFIO_DEVICE_RESET:
		sv_dev_reset(d);
		return 0;
	default:
		return -ENOTTY;
	}
}

ssize_t
sv_dev_pread(struct sv_dev *d, void *buf, size_t len, uint64_t off)
{
	unsigned int index;
	uint64_t at;
	int ret = region_locate(d, off, len, &index, &at);

	if (ret != 0)
		return ret;
	if (index == VFIO_PCI_CONFIG_REGION_INDEX)
		sv_pci_read(d, (uint32_t)at, buf, (uint32_t)len);
	else
		memcpy(buf, (uint8_t *)sv_dev_bar(d, index) + at, len);
	return (ssize_t)len;
}

ssize_t
sv_dev_pwrite(struct sv_dev *d, const void *buf, size_t len, uint64_t off)
{
	unsigned int index;
	uint64_t at;
	int ret = region_locate(d, off, len, &index, &at);

	if (ret != 0)
		return ret;
	if (index == VFIO_PCI_CONFIG_REGION_INDEX)
		sv_pci_write(d, (uint32_t)at, buf, (uint32_t)len);
	else
		sv_dev_store(d, index, at, buf, (uint32_t)len);
	return (ssize_t)len;
}

int
sv_dev_mmap(struct sv_dev *d, void *addr, size_t len, int prot, int flags, uint64_t off,
	    void *owner, void **out)
{
	unsigned int index;
	uint64_t at, pages;
	int ret;

	if (__builtin_add_overflow(len, PAGE_MASK, &pages))
		return -EINVAL;
	ret = region_locate(d, off, pages & ~PAGE_MASK, &index, &at);
	if (ret != 0 || index >= SV_NR_BARS || (at & PAGE_MASK) != 0 ||
	    (flags & MAP_TYPE) == MAP_PRIVATE)
		return -EINVAL;
	return sv_view_map(d, index, at, addr, pages & ~PAGE_MASK, prot, flags, owner,
			   out);
}
