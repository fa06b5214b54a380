/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "iommu_limits.h"
#include "iommufd_abi.h"
#include "vfio_name.h"
#include "vfio_sys.h"
#include "weir_fail.h"
#include "weir_iommufd.h"
#include "weir_map.h"

#define IOMMUFD_PATH "/dev/iommu"

/* Room for apertures at first, and how often more is asked for. */
#define RANGES_FIRST 64u
#define RANGES_ROUNDS 8u

/* A device that we attached. */
struct iommufd_device {
	struct iommufd_device *next;
	int fd;
	char name[]; /* the kernel's, without a path */
};

struct weir_iommufd {
	int fd;
	bool adopted; /* fd is somebody else's */
	uint32_t ioas;
	struct iommufd_device *devices;
};

int
weir_iommufd_fd(const struct weir_iommufd *f)
{
	return f->fd;
}

uint32_t
weir_iommufd_ioas(const struct weir_iommufd *f)
{
	return f->ioas;
}

/* Make a context around a descriptor, which it does not own yet. */
static int
ioas_make(int fd, struct weir_iommufd **out)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct weir_iommufd *f = weir_zalloc(sizeof(*f));
	int ret;

	if (f == NULL)
		return -ENOMEM;
	ret = vfio_ioctl(fd, IOMMU_IOAS_ALLOC, &alloc);
	if (ret != 0) {
		free(f);
		return ret;
	}
	f->fd = fd;
	f->adopted = true;
	f->ioas = alloc.out_ioas_id;
	*out = f;
	return 0;
}

int
weir_iommufd_create(struct weir_iommufd **out)
{
	int fd = vfio_open(IOMMUFD_PATH);
	int ret;

	if (fd < 0)
		return fd;
	ret = ioas_make(fd, out);
	if (ret != 0)
		vfio_close(fd);
	else
		(*out)->adopted = false;
	return ret;
}

int
weir_iommufd_adopt(int fd, struct weir_iommufd **out)
{
	return ioas_make(fd, out);
}

/* Closing a device detaches it, and closing the iommufd frees what is in it. */
static void
device_close(struct iommufd_device *d)
{
	vfio_close(d->fd);
	free(d);
}

void
weir_iommufd_destroy(struct weir_iommufd *f)
{
	struct iommu_destroy destroy = { .size = sizeof(destroy) };

	if (f == NULL)
		return;
	while (f->devices != NULL) {
		struct iommufd_device *d = f->devices;

		f->devices = d->next;
		device_close(d);
	}
	destroy.id = f->ioas;
	(void)vfio_ioctl(f->fd, IOMMU_DESTROY, &destroy);
	if (!f->adopted)
		vfio_close(f->fd);
	free(f);
}

/* The device with a name, or the end of the list. */
static struct iommufd_device **
device_find(struct weir_iommufd *f, const char *name)
{
	struct iommufd_device **p = &f->devices;

	while (*p != NULL && strcmp((*p)->name, name) != 0)
		p = &(*p)->next;
	return p;
}

static int
device_join(const struct weir_iommufd *f, int fd)
{
	struct vfio_device_bind_iommufd bind = {
		.argsz = sizeof(bind),
		.iommufd = f->fd,
	};
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
		.pt_id = f->ioas,
	};
	int ret = vfio_ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &bind);

	return ret != 0 ? ret : vfio_ioctl(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);
}

static int
device_open(struct weir_iommufd *f, const char *device, struct iommufd_device **out)
{
	const char *name = vfio_name_base(device);
	size_t len = strlen(name) + 1;
	char path[VFIO_PATH_LEN];
	struct iommufd_device *d;
	int ret = vfio_name_cdev(device, path);

	if (ret != 0)
		return ret;
	d = weir_zalloc(sizeof(*d) + len);
	if (d == NULL)
		return -ENOMEM;
	memcpy(d->name, name, len);
	d->fd = vfio_open(path);
	ret = d->fd;
	if (ret < 0)
		goto err_free;
	ret = device_join(f, d->fd);
	if (ret != 0)
		goto err_close;
	d->next = f->devices;
	f->devices = d;
	*out = d;
	return 0;

err_close:
	vfio_close(d->fd);
err_free:
	free(d);
	return ret;
}

int
weir_iommufd_attach(struct weir_iommufd *f, const char *device, int *fd)
{
	struct iommufd_device *d = *device_find(f, vfio_name_base(device));
	int ret = 0;

	if (d == NULL)
		ret = device_open(f, device, &d);
	if (ret == 0 && fd != NULL)
		*fd = d->fd;
	return ret;
}

int
weir_iommufd_detach(struct weir_iommufd *f, const char *device)
{
	struct iommufd_device **p = device_find(f, vfio_name_base(device)), *d = *p;

	if (d == NULL)
		return -ENOENT;
	*p = d->next;
	device_close(d);
	return 0;
}

/* Fetch the apertures, *nr of them, to be freed; the alignment beside them. */
static int
ranges_get(const struct weir_iommufd *f, struct iommu_iova_range **out, uint32_t *nr,
	   uint64_t *align)
{
	struct iommu_iova_range *r = NULL;
	uint32_t room = RANGES_FIRST;
	int ret = -EMSGSIZE;

	for (unsigned int i = 0; ret == -EMSGSIZE && i < RANGES_ROUNDS; i++) {
		struct iommu_ioas_iova_ranges ask = {
			.size = sizeof(ask),
			.ioas_id = f->ioas,
			.num_iovas = room,
		};

		free(r);
		r = weir_calloc(room, sizeof(*r));
		if (r == NULL)
			return -ENOMEM;
		ask.allowed_iovas = (uint64_t)(uintptr_t)r;
		ret = vfio_ioctl(f->fd, IOMMU_IOAS_IOVA_RANGES, &ask);
		*nr = ask.num_iovas < room ? ask.num_iovas : room;
		*align = ask.out_iova_alignment;
		room = ask.num_iovas;
	}
	if (ret != 0)
		free(r);
	else
		*out = r;
	return ret;
}

static int
iommufd_caps(void *ctx, struct weir_iommu_caps *caps)
{
	struct weir_iommufd *f = ctx;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), align;
	struct iommu_iova_range *r;
	uint32_t nr;
	int ret = ranges_get(f, &r, &nr, &align);

	if (ret != 0)
		return ret;
	*caps = (struct weir_iommu_caps){
		.name = "iommufd",
		.kind = WEIR_BACKEND_IOMMUFD,
		/* before a device is there the kernel would take a single byte */
		.page_sizes = align > page ? align : page,
		.max_entries = UINT64_MAX,
		/* counted by user, which cannot be asked for: the limit itself */
		.max_locked = iommu_locked_limit(UINT64_MAX),
	};
	for (uint32_t i = 0; i < nr; i++)
		iommu_aperture_add(caps, (struct weir_range){ r[i].start, r[i].last });
	free(r);
	return 0;
}

static int
iommufd_map(void *ctx, uint64_t iova, uint64_t hva, uint64_t len, uint32_t prot)
{
	struct weir_iommufd *f = ctx;
	struct iommu_ioas_map m = {
		.size = sizeof(m),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA |
			 (prot & WEIR_PROT_READ ? IOMMU_IOAS_MAP_READABLE : 0) |
			 (prot & WEIR_PROT_WRITE ? IOMMU_IOAS_MAP_WRITEABLE : 0),
		.ioas_id = f->ioas,
		.user_va = hva,
		.length = len,
		.iova = iova,
	};

	/* as the kernel says to a flag it does not know */
	if ((prot & ~(WEIR_PROT_READ | WEIR_PROT_WRITE)) != 0)
		return -EOPNOTSUPP;
	return vfio_ioctl(f->fd, IOMMU_IOAS_MAP, &m);
}

static int
iommufd_unmap(void *ctx, uint64_t iova, uint64_t len, uint64_t *unmapped)
{
	struct weir_iommufd *f = ctx;
	struct iommu_ioas_unmap u = {
		.size = sizeof(u),
		.ioas_id = f->ioas,
		.iova = iova,
		.length = len,
	};
	int ret = vfio_ioctl(f->fd, IOMMU_IOAS_UNMAP, &u);

	/* after a failure entries may be gone, but the kernel does not say which */
	*unmapped = ret == 0 ? u.length : 0;
	return ret;
}

static void
iommufd_close(void *ctx)
{
	weir_iommufd_destroy(ctx);
}

const struct weir_iommu_ops weir_iommufd_ops = {
	.caps = iommufd_caps,
	.map = iommufd_map,
	.unmap = iommufd_unmap,
	.close = iommufd_close,
};
