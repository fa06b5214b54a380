/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vfio_bench.h"

#define ENTRY_LIMIT "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit"
#define ENTRIES_DEFAULT 65535u

static const struct {
	enum weir_vfio_iommu want;
	unsigned int flags;
} columns[] = {
	[COL_TYPE1_V1] = { WEIR_VFIO_TYPE1_V1, 0 },
	[COL_TYPE1_V2] = { WEIR_VFIO_TYPE1_V2, 0 },
	[COL_COMPAT_V1] = { WEIR_VFIO_TYPE1_V1, WEIR_VFIO_COMPAT },
	[COL_COMPAT_V2] = { WEIR_VFIO_TYPE1_V2, WEIR_VFIO_COMPAT },
};

const char *
vfio_bench_missing(enum iommu_column column)
{
	bool type1 = column == COL_TYPE1_V1 || column == COL_TYPE1_V2;

	if (edu_find() == NULL)
		return "no edu is bound to vfio-pci; see devtools/vm";
	if (access(type1 ? "/dev/vfio/vfio" : "/dev/iommu", F_OK) != 0)
		return type1 ? "this kernel has no VFIO containers"
			     : "this kernel has no iommufd";
	return NULL;
}

/* Add CAP_IPC_LOCK to what is in effect, or take it away. */
static int
lock_right(bool have)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };
	uint32_t *word = &data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective;

	if (syscall(SYS_capget, &head, data) != 0)
		return -errno;
	*word = have ? *word | CAP_TO_MASK(CAP_IPC_LOCK)
		     : *word & ~CAP_TO_MASK(CAP_IPC_LOCK);
	return syscall(SYS_capset, &head, data) == 0 ? 0 : -errno;
}

int
vfio_bench_limit_locked(uint64_t bytes)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_MEMLOCK, &lim) != 0)
		return -errno;
	lim.rlim_cur = bytes;
	if (setrlimit(RLIMIT_MEMLOCK, &lim) != 0)
		return -errno;
	return lock_right(false);
}

int
vfio_bench_limit_entries(uint64_t nr)
{
	FILE *f = fopen(ENTRY_LIMIT, "we");
	int ret;

	if (f == NULL)
		return -errno;
	ret = fprintf(f, "%llu", (unsigned long long)nr) < 0 ? -EIO : 0;
	return fclose(f) == 0 ? ret : -errno;
}

static int
backend_open(struct vfio_bench *b, enum iommu_column column, int *device_fd)
{
	const char *name = edu_find();
	int ret;

	if (name == NULL)
		return -ENODEV;
	if (column == COL_IOMMUFD) {
		ret = weir_iommufd_create(&b->iommufd);
		if (ret != 0)
			return ret;
		b->ops = &weir_iommufd_ops;
		b->ctx = b->iommufd;
		return weir_iommufd_attach(b->iommufd, name, device_fd);
	}
	ret = weir_vfio_create(name, columns[column].want, columns[column].flags,
			       &b->vfio);
	if (ret != 0)
		return ret;
	b->ops = weir_vfio_ops(b->vfio);
	b->ctx = b->vfio;
	return weir_vfio_device(b->vfio, name, device_fd);
}

int
vfio_bench_open(struct vfio_bench *b, enum iommu_column column)
{
	int fd = -1, ret = lock_right(true);

	*b = (struct vfio_bench){ NULL };
	if (ret != 0)
		return ret;
	if (column == COL_TYPE1_V1 || column == COL_TYPE1_V2)
		ret = vfio_bench_limit_entries(ENTRIES_DEFAULT);
	if (ret == 0)
		ret = backend_open(b, column, &fd);
	if (ret == 0 && !edu_open(&b->edu, fd))
		ret = -EIO;
	if (ret != 0)
		vfio_bench_close(b, true);
	return ret;
}

void
vfio_bench_close(struct vfio_bench *b, bool backend_too)
{
	edu_close(&b->edu);
	if (backend_too && b->ctx != NULL)
		b->ops->close(b->ctx);
	b->ctx = NULL;
}
