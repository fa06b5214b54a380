/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>

#include "sv_vfio.h"

static int
get_status(const struct sv_group *g, void *arg)
{
	struct vfio_group_status *status = arg;

	if (status->argsz < sizeof(*status))
		return -EINVAL;
	status->flags = VFIO_GROUP_FLAGS_VIABLE;
	if (g->container != NULL)
		status->flags |= VFIO_GROUP_FLAGS_CONTAINER_SET;
	return 0;
}

static int
set_container(struct sv_group *g, int fd)
{
	struct sv_container *c;

	if (fcntl(fd, F_GETFD) < 0)
		return -EBADF;
	c = sv_fd_container(fd);
	if (c == NULL || g->container != NULL)
		return -EINVAL;
	sv_container_join(c, g);
	return 0;
}

static int
unset_container(struct sv_group *g)
{
	if (g->container == NULL)
		return -EINVAL;
	if (g->nr_users != 0)
		return -EBUSY;
	sv_container_leave(g->container, g);
	return 0;
}

int
sv_group_ioctl(struct sv_group *g, unsigned long cmd, void *arg)
{
	switch (cmd) {
	case VFIO_GROUP_GET_STATUS:
		return arg != NULL ? get_status(g, arg) : -EFAULT;
	case VFIO_GROUP_SET_CONTAINER:
		return arg != NULL ? set_container(g, *(const int *)arg) : -EFAULT;
	case VFIO_GROUP_UNSET_CONTAINER:
		return unset_container(g);
	default:
		return -ENOTTY;
	}
}

void
sv_group_release(struct sv_group *g)
{
	g->file = NULL;
	if (g->container != NULL)
		sv_container_leave(g->container, g);
}

int
sv_group_open_dev(struct sv_group *g, const char *bdf, struct sv_dev **out)
{
	struct sv_dev *d = sv_machine_dev(bdf, g);
	int ret;

	if (d == NULL || atomic_load(&d->gone))
		return -ENODEV;
	if (g->container == NULL || g->container->sim == NULL)
		return -EINVAL;
	ret = sv_dev_open(d, g->container->sim);
	if (ret != 0)
		return ret;
	g->nr_users++;
	*out = d;
	return 0;
}

void
sv_group_close_dev(struct sv_group *g, struct sv_dev *d)
{
	sv_dev_close(d);
	g->nr_users--;
	/* the kernel takes a device out of sysfs when its driver has let go of it */
	if (atomic_load(&d->gone) && d->nr_open == 0)
		sv_sysfs_plug(&d->spec, false, false);
}
