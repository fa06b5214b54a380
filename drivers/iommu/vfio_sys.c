/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vfio_sys.h"
#include "weir_fail.h"

static int
kernel_open(const char *path, int flags)
{
	int fd = open(path, flags);

	return fd < 0 ? -errno : fd;
}

static void
kernel_close(int fd)
{
	close(fd);
}

static int
kernel_ioctl(int fd, unsigned long request, void *arg)
{
	int ret = ioctl(fd, request, arg);

	return ret < 0 ? -errno : ret;
}

static const struct vfio_sys kernel = {
	.open = kernel_open,
	.close = kernel_close,
	.ioctl = kernel_ioctl,
};

static const struct vfio_sys *sys = &kernel;

void
vfio_sys_set(const struct vfio_sys *other)
{
	sys = other != NULL ? other : &kernel;
}

int
vfio_open(const char *path)
{
	return weir_fail_point() ? -EIO : sys->open(path, O_RDWR | O_CLOEXEC);
}

void
vfio_close(int fd)
{
	sys->close(fd);
}

int
vfio_ioctl(int fd, unsigned long request, void *arg)
{
	return weir_fail_point() ? -EIO : sys->ioctl(fd, request, arg);
}
