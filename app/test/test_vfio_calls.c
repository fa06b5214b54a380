/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VFIO's calls in every order, as a program makes them: by open() and ioctl().
 * The answers are those of Debian's 6.1 and 6.12 kernels. The same binary runs
 * over the kernel, in a machine that has a device bound to vfio-pci, and over
 * the software VFIO, preloaded by devtools/softvfio; which one it is it does not
 * know. WEIR_TEST_VFIO names the device, 0000:00:04.0; without it all is skipped.
 *
 * What an IOMMU answers to maps and unmaps is iommu_suite.c's; here is what
 * depends on the state of container, group and device.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test.h"

#define IOVA UINT64_C(0x1000000)
#define UNIT UINT64_C(0x10000)
#define PAGE UINT64_C(0x1000)
#define UNKNOWN _IO(VFIO_TYPE, VFIO_BASE + 80)

/* Descriptors of a case; -1: none. */
struct calls {
	const char *bdf;
	char group_path[64];
	int container, group, device;
	void *mem; /* a UNIT of it */
};

/* What a call answers: 0 or more, or the negative errno. */
static long
answer(long ret)
{
	return ret < 0 ? -errno : ret;
}

/* The number at the end of the link from the device to its group. */
static int
find_group(struct calls *c)
{
	const char *sysfs = getenv("SYSFS_PCI_DEVICES");
	char link[512], target[512];
	const char *name;
	ssize_t n;

	snprintf(link, sizeof(link), "%s/%s/iommu_group",
		 sysfs != NULL ? sysfs : "/sys/bus/pci/devices", c->bdf);
	n = readlink(link, target, sizeof(target) - 1);
	if (n <= 0)
		return -ENODEV;
	target[n] = '\0';
	name = strrchr(target, '/');
	snprintf(c->group_path, sizeof(c->group_path), "/dev/vfio/%.40s",
		 name != NULL ? name + 1 : target);
	return 0;
}

static long
set_container(struct calls *c, int fd)
{
	return answer(ioctl(c->group, VFIO_GROUP_SET_CONTAINER, &fd));
}

static long
set_iommu(struct calls *c, unsigned long type)
{
	return answer(ioctl(c->container, VFIO_SET_IOMMU, type));
}

static long
get_device(struct calls *c, const char *name)
{
	return answer(ioctl(c->group, VFIO_GROUP_GET_DEVICE_FD, name));
}

static long
map_dma(int fd, uint64_t iova, void *mem, uint64_t len)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uint64_t)(uintptr_t)mem,
		.iova = iova,
		.size = len,
	};

	return answer(ioctl(fd, VFIO_IOMMU_MAP_DMA, &map));
}

/* The size that comes back, or the negative errno. */
static int64_t
unmap_dma(int fd, uint64_t iova, uint64_t len, uint32_t flags)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.flags = flags,
		.iova = iova,
		.size = len,
	};

	return ioctl(fd, VFIO_IOMMU_UNMAP_DMA, &unmap) != 0 ? -errno
							    : (int64_t)unmap.size;
}

static long
get_info(int fd)
{
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };

	return answer(ioctl(fd, VFIO_IOMMU_GET_INFO, &info));
}

static uint32_t
group_flags(struct calls *c)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };

	return ioctl(c->group, VFIO_GROUP_GET_STATUS, &status) == 0 ? status.flags : 0;
}

static void
drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static enum test_result with_calls(enum test_result (*fn)(struct calls *c))
{
	struct calls c = { .bdf = getenv("WEIR_TEST_VFIO"),
			   .container = -1,
			   .group = -1,
			   .device = -1 };
	enum test_result res;

	if (c.bdf == NULL)
		return test_skip("WEIR_TEST_VFIO does not name a device");
	TEST_EQ(find_group(&c), 0);
	c.mem = mmap(NULL, UNIT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		     0);
	TEST_ASSERT(c.mem != MAP_FAILED);
	TEST_ASSERT((c.container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC)) >= 0);
	TEST_ASSERT((c.group = open(c.group_path, O_RDWR | O_CLOEXEC)) >= 0);
	res = fn(&c);
	drop(&c.device);
	drop(&c.group);
	drop(&c.container);
	munmap(c.mem, UNIT);
	return res;
}

#define CALLS_CASE(name)                      \
	static enum test_result name(void)    \
	{                                     \
		return with_calls(name##_on); \
	}

/* From a container and a group to maps and a device. */
static long
set_up(struct calls *c, unsigned long type)
{
	long ret = set_container(c, c->container);

	if (ret == 0)
		ret = set_iommu(c, type);
	if (ret == 0)
		ret = get_device(c, c->bdf);
	c->device = (int)ret;
	return ret < 0 ? ret : 0;
}

static enum test_result
container_without_group_answers_einval_on(struct calls *c)
{
	int fd = c->container;

	TEST_EQ(answer(ioctl(fd, VFIO_GET_API_VERSION)), VFIO_API_VERSION);
	TEST_EQ(answer(ioctl(fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU)), 1);
	TEST_EQ(answer(ioctl(fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU)), 1);
	TEST_EQ(answer(ioctl(fd, VFIO_CHECK_EXTENSION, VFIO_UNMAP_ALL)), 1);
	TEST_EQ(answer(ioctl(fd, VFIO_CHECK_EXTENSION, VFIO_SPAPR_TCE_IOMMU)), 0);
	TEST_EQ(answer(ioctl(fd, VFIO_CHECK_EXTENSION, 9999)), 0);
	TEST_EQ(set_iommu(c, VFIO_TYPE1v2_IOMMU), -EINVAL);
	TEST_EQ(set_iommu(c, 99), -EINVAL);
	TEST_EQ(map_dma(fd, IOVA, c->mem, UNIT), -EINVAL);
	TEST_EQ(unmap_dma(fd, IOVA, UNIT, 0), -EINVAL);
	TEST_EQ(get_info(fd), -EINVAL);
	TEST_EQ(answer(ioctl(fd, UNKNOWN, 0)), -EINVAL);
	return TEST_OK;
}
CALLS_CASE(container_without_group_answers_einval)

static enum test_result
group_without_container_refuses_on(struct calls *c)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	long ret;

	TEST_EQ(open(c->group_path, O_RDWR | O_CLOEXEC), -1);
	TEST_EQ(errno, EBUSY);
	TEST_EQ(open("/dev/vfio/987654", O_RDWR | O_CLOEXEC), -1);
	TEST_EQ(errno, ENOENT);
	TEST_EQ(group_flags(c), VFIO_GROUP_FLAGS_VIABLE);
	TEST_EQ(get_device(c, c->bdf), -EINVAL);
	TEST_EQ(answer(ioctl(c->group, VFIO_GROUP_UNSET_CONTAINER)), -EINVAL);
	TEST_EQ(set_container(c, -1), -EBADF);
	ret = set_container(c, null);
	TEST_ASSERT(ret == -EINVAL || ret == -EBADFD); /* 6.1, 6.12 */
	TEST_EQ(answer(ioctl(c->group, UNKNOWN, 0)), -ENOTTY);
	close(null);
	return TEST_OK;
}
CALLS_CASE(group_without_container_refuses)

static enum test_result
group_in_container_without_iommu_refuses_on(struct calls *c)
{
	TEST_EQ(set_container(c, c->container), 0);
	TEST_EQ(group_flags(c), VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET);
	TEST_EQ(set_container(c, c->container), -EINVAL);
	TEST_EQ(get_device(c, c->bdf), -EINVAL);
	TEST_EQ(map_dma(c->container, IOVA, c->mem, UNIT), -EINVAL);
	TEST_EQ(get_info(c->container), -EINVAL);
	TEST_EQ(set_iommu(c, 99), -ENODEV);
	TEST_EQ(set_iommu(c, VFIO_NOIOMMU_IOMMU), -ENODEV);
	TEST_EQ(set_iommu(c, VFIO_TYPE1v2_IOMMU), 0);
	TEST_EQ(set_iommu(c, VFIO_TYPE1v2_IOMMU), -EINVAL);
	TEST_EQ(set_iommu(c, VFIO_TYPE1_IOMMU), -EINVAL);
	TEST_EQ(get_info(c->container), 0);
	return TEST_OK;
}
CALLS_CASE(group_in_container_without_iommu_refuses)

static enum test_result
device_open_keeps_group_in_container_on(struct calls *c)
{
	int second;

	TEST_EQ(set_up(c, VFIO_TYPE1v2_IOMMU), 0);
	TEST_EQ(get_device(c, "0000:00:99.0"), -ENODEV);
	second = (int)get_device(c, c->bdf);
	TEST_ASSERT(second >= 0);
	TEST_EQ(answer(ioctl(c->group, VFIO_GROUP_UNSET_CONTAINER)), -EBUSY);
	drop(&c->device);
	TEST_EQ(answer(ioctl(c->group, VFIO_GROUP_UNSET_CONTAINER)), -EBUSY);
	close(second);
	TEST_EQ(map_dma(c->container, IOVA, c->mem, UNIT), 0);
	TEST_EQ(answer(ioctl(c->group, VFIO_GROUP_UNSET_CONTAINER)), 0);
	TEST_EQ(group_flags(c), VFIO_GROUP_FLAGS_VIABLE);
	TEST_EQ(map_dma(c->container, IOVA, c->mem, UNIT), -EINVAL);
	TEST_EQ(answer(ioctl(c->container, UNKNOWN, 0)), -EINVAL);
	/* what was mapped has gone with the group */
	TEST_EQ(set_container(c, c->container), 0);
	TEST_EQ(set_iommu(c, VFIO_TYPE1_IOMMU), 0);
	TEST_EQ(unmap_dma(c->container, IOVA, UNIT, 0), 0);
	TEST_EQ(map_dma(c->container, IOVA, c->mem, UNIT), 0);
	return TEST_OK;
}
CALLS_CASE(device_open_keeps_group_in_container)

/* Files live as long as what refers to them, whatever is closed first. */
static enum test_result
files_closed_in_any_order_on(struct calls *c)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	int copy;

	TEST_EQ(set_up(c, VFIO_TYPE1v2_IOMMU), 0);
	copy = dup(c->device);
	TEST_ASSERT(copy >= 0);
	drop(&c->container);
	drop(&c->group);
	drop(&c->device);
	TEST_EQ(answer(ioctl(copy, VFIO_DEVICE_GET_INFO, &info)), 0);
	/* the device keeps its group's file open */
	TEST_EQ(open(c->group_path, O_RDWR | O_CLOEXEC), -1);
	TEST_EQ(errno, EBUSY);
	close(copy);
	TEST_ASSERT((c->group = open(c->group_path, O_RDWR | O_CLOEXEC)) >= 0);
	TEST_EQ(group_flags(c), VFIO_GROUP_FLAGS_VIABLE);
	TEST_ASSERT((c->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC)) >= 0);
	TEST_EQ(set_container(c, c->container), 0);
	TEST_EQ(set_iommu(c, VFIO_TYPE1v2_IOMMU), 0);
	return TEST_OK;
}
CALLS_CASE(files_closed_in_any_order)

static enum test_result
descriptors_copied_are_the_same_file_on(struct calls *c)
{
	int copy = fcntl(c->container, F_DUPFD_CLOEXEC, 100);
	int other = open("/dev/null", O_RDWR | O_CLOEXEC);

	TEST_ASSERT(copy >= 100);
	TEST_EQ(set_container(c, copy), 0);
	TEST_EQ(set_iommu(c, VFIO_TYPE1v2_IOMMU), 0);
	TEST_EQ(map_dma(copy, IOVA, c->mem, UNIT), 0);
	TEST_EQ(map_dma(c->container, IOVA, c->mem, UNIT), -EEXIST);
	TEST_EQ(dup2(copy, other), other);
	drop(&copy);
	TEST_EQ(map_dma(other, IOVA, c->mem, UNIT), -EEXIST);
	/* another file over a descriptor of ours */
	copy = open("/dev/null", O_RDWR | O_CLOEXEC);
	TEST_EQ(dup3(copy, other, O_CLOEXEC), other);
	TEST_EQ(map_dma(other, IOVA, c->mem, UNIT), -ENOTTY);
	TEST_EQ(map_dma(c->container, IOVA, c->mem, UNIT), -EEXIST);
	close(copy);
	close(other);
	return TEST_OK;
}
CALLS_CASE(descriptors_copied_are_the_same_file)

/* The maps are the group's, not the descriptor's: the container outlives its file. */
static enum test_result
container_new_is_empty_on(struct calls *c)
{
	TEST_EQ(set_container(c, c->container), 0);
	TEST_EQ(set_iommu(c, VFIO_TYPE1_IOMMU), 0);
	TEST_EQ(map_dma(c->container, IOVA, c->mem, UNIT), 0);
	drop(&c->group);
	drop(&c->container);
	TEST_ASSERT((c->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC)) >= 0);
	TEST_ASSERT((c->group = open(c->group_path, O_RDWR | O_CLOEXEC)) >= 0);
	TEST_EQ(set_container(c, c->container), 0);
	TEST_EQ(set_iommu(c, VFIO_TYPE1_IOMMU), 0);
	TEST_EQ(unmap_dma(c->container, IOVA, UNIT, 0), 0);
	return TEST_OK;
}
CALLS_CASE(container_new_is_empty)

static enum test_result
maps_checked_before_the_iommu_on(struct calls *c)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ,
		.vaddr = (uint64_t)(uintptr_t)c->mem,
		.iova = IOVA,
		.size = UNIT,
	};
	struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof(unmap) - 1,
						    .iova = IOVA,
						    .size = UNIT };

	TEST_EQ(set_container(c, c->container), 0);
	TEST_EQ(set_iommu(c, VFIO_TYPE1v2_IOMMU), 0);
	map.argsz--;
	TEST_EQ(answer(ioctl(c->container, VFIO_IOMMU_MAP_DMA, &map)), -EINVAL);
	map.argsz = sizeof(map) + 64;
	map.flags |= 0x10;
	TEST_EQ(answer(ioctl(c->container, VFIO_IOMMU_MAP_DMA, &map)), -EINVAL);
	map.flags = 0;
	TEST_EQ(answer(ioctl(c->container, VFIO_IOMMU_MAP_DMA, &map)), -EINVAL);
	map.flags = VFIO_DMA_MAP_FLAG_READ;
	TEST_EQ(answer(ioctl(c->container, VFIO_IOMMU_MAP_DMA, &map)), 0);
	TEST_EQ(answer(ioctl(c->container, VFIO_IOMMU_UNMAP_DMA, &unmap)), -EINVAL);
	TEST_EQ(unmap_dma(c->container, IOVA, UNIT, 8), -EINVAL);
	TEST_EQ(unmap_dma(c->container, IOVA, UNIT, VFIO_DMA_UNMAP_FLAG_ALL), -EINVAL);
	TEST_EQ(unmap_dma(c->container, IOVA, PAGE, 0), -EINVAL); /* v2 cuts nothing */
	TEST_EQ(unmap_dma(c->container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL), UNIT);
	TEST_EQ(unmap_dma(c->container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL), 0);
	TEST_EQ(answer(ioctl(c->container, UNKNOWN, 0)), -ENOTTY);
	return TEST_OK;
}
CALLS_CASE(maps_checked_before_the_iommu)

/* v1 takes a whole entry away with its head, and nothing with its tail. */
static enum test_result
flavour_is_what_was_set_on(struct calls *c)
{
	TEST_EQ(set_container(c, c->container), 0);
	TEST_EQ(set_iommu(c, VFIO_TYPE1_IOMMU), 0);
	TEST_EQ(map_dma(c->container, IOVA, c->mem, UNIT), 0);
	TEST_EQ(unmap_dma(c->container, IOVA + UNIT - PAGE, PAGE, 0), 0);
	TEST_EQ(map_dma(c->container, IOVA, c->mem, UNIT), -EEXIST);
	TEST_EQ(unmap_dma(c->container, IOVA, PAGE, 0), UNIT);
	return TEST_OK;
}
CALLS_CASE(flavour_is_what_was_set)

/* A capability's place in the chain; NULL: it is not there. */
static const struct vfio_info_cap_header *
find_cap(const struct vfio_iommu_type1_info *info, uint16_t id)
{
	uint32_t at = info->cap_offset;

	while (at != 0 && at + sizeof(struct vfio_info_cap_header) <= info->argsz) {
		const struct vfio_info_cap_header *h =
			(const void *)((const uint8_t *)info + at);

		if (h->id == id)
			return h;
		at = h->next;
	}
	return NULL;
}

static enum test_result
info_tells_ranges_and_room_on(struct calls *c)
{
	uint64_t buf[128];
	struct vfio_iommu_type1_info *info = (struct vfio_iommu_type1_info *)buf;
	const struct vfio_iommu_type1_info_cap_iova_range *ranges;
	const struct vfio_iommu_type1_info_dma_avail *avail;
	uint32_t before;

	TEST_EQ(set_container(c, c->container), 0);
	TEST_EQ(set_iommu(c, VFIO_TYPE1v2_IOMMU), 0);
	*info = (struct vfio_iommu_type1_info){ .argsz = 15 };
	TEST_EQ(answer(ioctl(c->container, VFIO_IOMMU_GET_INFO, info)), -EINVAL);
	info->argsz = sizeof(*info);
	TEST_EQ(answer(ioctl(c->container, VFIO_IOMMU_GET_INFO, info)), 0);
	TEST_ASSERT(info->flags & VFIO_IOMMU_INFO_PGSIZES);
	TEST_ASSERT(info->iova_pgsizes & PAGE);
	TEST_ASSERT(info->flags & VFIO_IOMMU_INFO_CAPS);
	TEST_EQ(info->cap_offset, 0);
	TEST_ASSERT(info->argsz > sizeof(*info) && info->argsz <= sizeof(buf));
	info->argsz = sizeof(buf);
	TEST_EQ(answer(ioctl(c->container, VFIO_IOMMU_GET_INFO, info)), 0);
	ranges = (const void *)find_cap(info, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
	avail = (const void *)find_cap(info, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL);
	TEST_ASSERT(ranges != NULL && avail != NULL);
	TEST_ASSERT(ranges->nr_iovas >= 1);
	TEST_ASSERT(ranges->iova_ranges[0].start < ranges->iova_ranges[0].end);
	before = avail->avail;
	TEST_EQ(map_dma(c->container, IOVA, c->mem, UNIT), 0);
	TEST_EQ(answer(ioctl(c->container, VFIO_IOMMU_GET_INFO, info)), 0);
	TEST_EQ(avail->avail, before - 1);
	return TEST_OK;
}
CALLS_CASE(info_tells_ranges_and_room)

static enum test_result
device_config_space_follows_commands_on(struct calls *c)
{
	struct vfio_region_info info = { .argsz = sizeof(info),
					 .index = VFIO_PCI_CONFIG_REGION_INDEX };
	uint16_t id = 0, command = 0, got;

	TEST_EQ(set_up(c, VFIO_TYPE1v2_IOMMU), 0);
	TEST_EQ(answer(ioctl(c->device, VFIO_DEVICE_GET_REGION_INFO, &info)), 0);
	TEST_ASSERT(info.size >= 256);
	TEST_EQ(info.flags & 7, VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE);
	TEST_EQ(pread(c->device, &id, 2, (off_t)info.offset + PCI_VENDOR_ID), 2);
	TEST_ASSERT(id != 0 && id != 0xffff);
	TEST_EQ(pread(c->device, &command, 2, (off_t)info.offset + PCI_COMMAND), 2);
	TEST_EQ(command & PCI_COMMAND_MASTER, 0);
	command |= PCI_COMMAND_MASTER;
	TEST_EQ(pwrite(c->device, &command, 2, (off_t)info.offset + PCI_COMMAND), 2);
	TEST_EQ(pread(c->device, &got, 2, (off_t)info.offset + PCI_COMMAND), 2);
	TEST_EQ(got, command);
	/* the last close takes it back */
	drop(&c->device);
	c->device = (int)get_device(c, c->bdf);
	TEST_EQ(pread(c->device, &got, 2, (off_t)info.offset + PCI_COMMAND), 2);
	TEST_EQ(got & PCI_COMMAND_MASTER, 0);
	return TEST_OK;
}
CALLS_CASE(device_config_space_follows_commands)

static enum test_result
device_mapping_keeps_it_open_on(struct calls *c)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = 0 };
	void *bar;

	TEST_EQ(set_up(c, VFIO_TYPE1v2_IOMMU), 0);
	TEST_EQ(answer(ioctl(c->device, VFIO_DEVICE_GET_REGION_INFO, &info)), 0);
	if ((info.flags & VFIO_REGION_INFO_FLAG_MMAP) == 0)
		return test_skip("BAR 0 of %s cannot be mapped", c->bdf);
	TEST_ASSERT(mmap(NULL, info.size, PROT_READ, MAP_PRIVATE, c->device,
			 (off_t)info.offset) == MAP_FAILED);
	TEST_EQ(errno, EINVAL);
	TEST_ASSERT(mmap(NULL, info.size + PAGE, PROT_READ, MAP_SHARED, c->device,
			 (off_t)info.offset) == MAP_FAILED);
	TEST_EQ(errno, EINVAL);
	bar = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, c->device,
		   (off_t)info.offset);
	TEST_ASSERT(bar != MAP_FAILED);
	drop(&c->device);
	TEST_EQ(answer(ioctl(c->group, VFIO_GROUP_UNSET_CONTAINER)), -EBUSY);
	TEST_EQ(munmap(bar, info.size), 0);
	TEST_EQ(answer(ioctl(c->group, VFIO_GROUP_UNSET_CONTAINER)), 0);
	return TEST_OK;
}
CALLS_CASE(device_mapping_keeps_it_open)

static enum test_result
device_describes_itself_on(struct calls *c)
{
	struct vfio_device_info info = { .argsz = 4 };
	struct vfio_irq_info irq = { .argsz = sizeof(irq) };

	TEST_EQ(set_up(c, VFIO_TYPE1v2_IOMMU), 0);
	TEST_EQ(fcntl(c->device, F_GETFD), FD_CLOEXEC);
	TEST_EQ(answer(ioctl(c->device, VFIO_DEVICE_GET_INFO, &info)), -EINVAL);
	info.argsz = sizeof(info);
	TEST_EQ(answer(ioctl(c->device, VFIO_DEVICE_GET_INFO, &info)), 0);
	TEST_ASSERT(info.flags & VFIO_DEVICE_FLAGS_PCI);
	TEST_ASSERT(info.num_regions >= VFIO_PCI_NUM_REGIONS);
	TEST_EQ(info.num_irqs, VFIO_PCI_NUM_IRQS);
	irq.index = VFIO_PCI_REQ_IRQ_INDEX;
	TEST_EQ(answer(ioctl(c->device, VFIO_DEVICE_GET_IRQ_INFO, &irq)), 0);
	TEST_EQ(irq.count, 1);
	TEST_ASSERT(irq.flags & VFIO_IRQ_INFO_EVENTFD);
	irq.index = VFIO_PCI_NUM_IRQS;
	TEST_EQ(answer(ioctl(c->device, VFIO_DEVICE_GET_IRQ_INFO, &irq)), -EINVAL);
	TEST_EQ(answer(ioctl(c->device, UNKNOWN, 0)), -ENOTTY);
	return TEST_OK;
}
CALLS_CASE(device_describes_itself)

static const struct test_case cases[] = {
	{ "container_without_group_answers_einval",
	  container_without_group_answers_einval },
	{ "group_without_container_refuses", group_without_container_refuses },
	{ "group_in_container_without_iommu_refuses",
	  group_in_container_without_iommu_refuses },
	{ "device_open_keeps_group_in_container", device_open_keeps_group_in_container },
	{ "files_closed_in_any_order", files_closed_in_any_order },
	{ "descriptors_copied_are_the_same_file", descriptors_copied_are_the_same_file },
	{ "container_new_is_empty", container_new_is_empty },
	{ "maps_checked_before_the_iommu", maps_checked_before_the_iommu },
	{ "flavour_is_what_was_set", flavour_is_what_was_set },
	{ "info_tells_ranges_and_room", info_tells_ranges_and_room },
	{ "device_config_space_follows_commands", device_config_space_follows_commands },
	{ "device_mapping_keeps_it_open", device_mapping_keeps_it_open },
	{ "device_describes_itself", device_describes_itself },
};
AUTOTEST(vfio_calls_autotest, cases);
