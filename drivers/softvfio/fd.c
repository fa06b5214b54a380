/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptors of ours are empty memfds, so that the kernel gives them numbers
 * and everything that works on any descriptor works on them; a table says what
 * they stand for.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sv_vfio.h"
#include "sv_view.h"
#include "weir_fail.h"

/* A descriptor with a higher number cannot be ours. */
#define MAX_FDS 65536

static struct sv_file *_Atomic table[MAX_FDS];
/* guards all that can be reached from the table, and changes of it */
static pthread_mutex_t vfio_lock = PTHREAD_MUTEX_INITIALIZER;

bool
sv_fd_is_ours(int fd)
{
	return fd >= 0 && fd < MAX_FDS &&
	       atomic_load_explicit(&table[fd], memory_order_relaxed) != NULL;
}

/* With the lock. */
static struct sv_file *
file_of(int fd)
{
	return fd >= 0 && fd < MAX_FDS ? atomic_load(&table[fd]) : NULL;
}

/* Give a file, which has one reference, a descriptor; that takes the reference. */
static int
fd_give(struct sv_file *f, const char *name, bool cloexec)
{
	int fd = memfd_create(name, cloexec ? MFD_CLOEXEC : 0);

	if (fd < 0)
		return -errno;
	if (fd >= MAX_FDS) {
		close(fd);
		return -EMFILE;
	}
	atomic_store(&table[fd], f);
	return fd;
}

static struct sv_file *
file_create(enum sv_kind kind)
{
	struct sv_file *f = weir_zalloc(sizeof(*f));

	if (f != NULL) {
		f->kind = kind;
		f->refs = 1;
	}
	return f;
}

void
sv_file_put(struct sv_file *f)
{
	struct sv_file *group_file = f->group_file;

	if (--f->refs != 0)
		return;
	switch (f->kind) {
	case SV_CONTAINER:
		sv_container_put(f->container);
		break;
	case SV_GROUP:
		sv_group_release(f->group);
		break;
	case SV_DEVICE:
		sv_group_close_dev(group_file->group, f->dev);
		break;
	}
	free(f);
	if (group_file != NULL)
		sv_file_put(group_file);
}

/* A device file's last view has gone. */
static void
view_closed(void *owner)
{
	pthread_mutex_lock(&vfio_lock);
	sv_file_put(owner);
	pthread_mutex_unlock(&vfio_lock);
}

static int
open_container(bool cloexec)
{
	struct sv_file *f = file_create(SV_CONTAINER);
	int fd;

	if (f == NULL)
		return -ENOMEM;
	f->container = sv_container_create();
	if (f->container == NULL) {
		free(f);
		return -ENOMEM;
	}
	fd = fd_give(f, "vfio-container", cloexec);
	if (fd < 0)
		sv_file_put(f);
	return fd;
}

static int
open_group(const char *name, bool cloexec)
{
	char *end;
	unsigned long nr = strtoul(name, &end, 10);
	struct sv_group *g = *end == '\0' && end != name && nr <= INT_MAX
				     ? sv_machine_group((unsigned int)nr)
				     : NULL;
	struct sv_file *f;
	int fd;

	if (g == NULL)
		return -ENOENT;
	if (g->file != NULL)
		return -EBUSY;
	f = file_create(SV_GROUP);
	if (f == NULL)
		return -ENOMEM;
	f->group = g;
	fd = fd_give(f, "vfio-group", cloexec);
	if (fd < 0)
		free(f);
	else
		g->file = f;
	return fd;
}

int
sv_fd_open(const char *name, int flags)
{
	bool cloexec = (flags & O_CLOEXEC) != 0;
	int ret = sv_machine_start();

	if (ret != 0)
		return ret;
	pthread_mutex_lock(&vfio_lock);
	sv_view_closed = view_closed;
	if (strcmp(name, "vfio") == 0)
		ret = open_container(cloexec);
	else
		ret = open_group(name, cloexec);
	pthread_mutex_unlock(&vfio_lock);
	return ret;
}

/* With the lock: the number does not refer to anything of ours any more. */
static void
fd_clear(int fd)
{
	struct sv_file *f = fd >= 0 && fd < MAX_FDS
				    ? atomic_exchange(&table[fd], (struct sv_file *)NULL)
				    : NULL;

	if (f != NULL)
		sv_file_put(f);
}

void
sv_fd_closing(int fd)
{
	pthread_mutex_lock(&vfio_lock);
	fd_clear(fd);
	pthread_mutex_unlock(&vfio_lock);
}

void
sv_fd_copied(int fd, int copy)
{
	struct sv_file *f;

	if (fd == copy)
		return;
	pthread_mutex_lock(&vfio_lock);
	f = file_of(fd);
	if (f != NULL)
		f->refs++;
	fd_clear(copy);
	if (f != NULL && copy < MAX_FDS)
		atomic_store(&table[copy], f);
	else if (f != NULL)
		sv_file_put(f);
	pthread_mutex_unlock(&vfio_lock);
}

struct sv_container *
sv_fd_container(int fd)
{
	const struct sv_file *f = file_of(fd);

	return f != NULL && f->kind == SV_CONTAINER ? f->container : NULL;
}

static int
get_device_fd(struct sv_file *group_file, const char *bdf)
{
	struct sv_group *g = group_file->group;
	struct sv_file *f = file_create(SV_DEVICE);
	int ret;

	if (f == NULL)
		return -ENOMEM;
	ret = sv_group_open_dev(g, bdf, &f->dev);
	if (ret != 0)
		goto err_free;
	ret = fd_give(f, bdf, true);
	if (ret < 0)
		goto err_close;
	f->group_file = group_file;
	group_file->refs++;
	return ret;

err_close:
	sv_group_close_dev(g, f->dev);
err_free:
	free(f);
	return ret;
}

static int
file_ioctl(struct sv_file *f, unsigned long cmd, void *arg)
{
	switch (f->kind) {
	case SV_CONTAINER:
		return sv_container_ioctl(f->container, cmd, arg);
	case SV_GROUP:
		if (cmd != VFIO_GROUP_GET_DEVICE_FD)
			return sv_group_ioctl(f->group, cmd, arg);
		return arg != NULL ? get_device_fd(f, arg) : -EFAULT;
	case SV_DEVICE:
		return sv_dev_ioctl(f->dev, cmd, arg);
	}
	return -ENOTTY;
}

int
sv_fd_ioctl(int fd, unsigned long cmd, void *arg)
{
	struct sv_file *f;
	int ret;

	pthread_mutex_lock(&vfio_lock);
	f = file_of(fd);
	ret = f != NULL ? file_ioctl(f, cmd, arg) : -EBADF;
	pthread_mutex_unlock(&vfio_lock);
	return ret;
}

/* With the lock. */
static struct sv_dev *
dev_of(int fd)
{
	const struct sv_file *f = file_of(fd);

	return f != NULL && f->kind == SV_DEVICE ? f->dev : NULL;
}

int
sv_fd_plug(struct sv_dev *d, bool there)
{
	int ret = 0;

	pthread_mutex_lock(&vfio_lock);
	if (there && d->nr_open != 0) {
		ret = -EBUSY;
	} else if (there) {
		sv_dev_plug(d);
	} else {
		sv_dev_unplug(d);
		sv_dev_request(d);
	}
	sv_sysfs_plug(&d->spec, there, d->nr_open != 0);
	pthread_mutex_unlock(&vfio_lock);
	return ret;
}

ssize_t
sv_fd_pread(int fd, void *buf, size_t len, uint64_t off)
{
	struct sv_dev *d;
	ssize_t ret;

	pthread_mutex_lock(&vfio_lock);
	d = dev_of(fd);
	ret = d != NULL ? sv_dev_pread(d, buf, len, off) : -EINVAL;
	pthread_mutex_unlock(&vfio_lock);
	return ret;
}

ssize_t
sv_fd_pwrite(int fd, const void *buf, size_t len, uint64_t off)
{
	struct sv_dev *d;
	ssize_t ret;

	pthread_mutex_lock(&vfio_lock);
	d = dev_of(fd);
	ret = d != NULL ? sv_dev_pwrite(d, buf, len, off) : -EINVAL;
	pthread_mutex_unlock(&vfio_lock);
	return ret;
}

int
sv_fd_mmap(int fd, void *addr, size_t len, int prot, int flags, uint64_t off, void **out)
{
	struct sv_file *f;
	int ret = -EINVAL;

	pthread_mutex_lock(&vfio_lock);
	f = file_of(fd);
	if (f != NULL && f->kind == SV_DEVICE)
		ret = sv_dev_mmap(f->dev, addr, len, prot, flags, off, f, out);
	if (ret == 0)
		f->refs++;
	pthread_mutex_unlock(&vfio_lock);
	return ret > 0 ? 0 : ret;
}
