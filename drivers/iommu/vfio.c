/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vfio_impl.h"
#include "vfio_name.h"
#include "vfio_sys.h"
#include "weir_fail.h"

#define CONTAINER_PATH "/dev/vfio/vfio"
#define COMPAT_PATH "/dev/iommu"

static const struct vfio_type types[] = {
	[WEIR_VFIO_TYPE1_V1] = { "vfio/type1v1", VFIO_TYPE1_IOMMU, &vfio_type1_ops,
				 vfio_type1_begin },
	[WEIR_VFIO_TYPE1_V2] = { "vfio/type1v2", VFIO_TYPE1v2_IOMMU, &vfio_type1_ops,
				 vfio_type1_begin },
	[WEIR_VFIO_TYPE1] = { "vfio/type1", VFIO_TYPE1v2_IOMMU, &vfio_type1_ops,
			      vfio_type1_begin },
	[WEIR_VFIO_SPAPR] = { "vfio/spapr", VFIO_SPAPR_TCE_v2_IOMMU, &vfio_spapr_ops,
			      vfio_spapr_begin, vfio_spapr_end },
	[WEIR_VFIO_NOIOMMU] = { "vfio/noiommu", VFIO_NOIOMMU_IOMMU, &vfio_noiommu_ops,
				vfio_noiommu_begin },
};

/* What a container may become, the best first. */
static const enum weir_vfio_iommu preference[] = {
	WEIR_VFIO_TYPE1_V2,
	WEIR_VFIO_TYPE1_V1,
	WEIR_VFIO_SPAPR,
	WEIR_VFIO_NOIOMMU,
};

enum weir_vfio_iommu
weir_vfio_iommu(const struct weir_vfio *v)
{
	return v->iommu;
}

const struct weir_iommu_ops *
weir_vfio_ops(const struct weir_vfio *v)
{
	return types[v->iommu].ops;
}

int
weir_vfio_fd(const struct weir_vfio *v)
{
	return v->fd;
}

static bool
offers(int fd, unsigned long number)
{
	/* the argument is the number itself */
	return vfio_ioctl(fd, VFIO_CHECK_EXTENSION, (void *)number) > 0;
}

static bool
wanted(enum weir_vfio_iommu iommu, enum weir_vfio_iommu want)
{
	bool type1 = iommu == WEIR_VFIO_TYPE1_V1 || iommu == WEIR_VFIO_TYPE1_V2;

	return want == iommu || want == WEIR_VFIO_ANY ||
	       (want == WEIR_VFIO_TYPE1 && type1);
}

/*
 * Set the container's type: the best that is wanted and offered. A container
 * that had one, and lost its last group, gets the same again.
 */
static int
type_set(struct weir_vfio *v, enum weir_vfio_iommu want)
{
	int ret = -ENOTSUP;

	for (size_t i = 0; i < sizeof(preference) / sizeof(preference[0]); i++) {
		const struct vfio_type *t = &types[preference[i]];

		if (!wanted(preference[i], want) || !offers(v->fd, t->number))
			continue;
		ret = vfio_ioctl(v->fd, VFIO_SET_IOMMU, (void *)t->number);
		if (ret != 0)
			break;
		v->iommu = preference[i];
		ret = t->begin(v);
		if (ret == 0)
			v->type = t;
		break;
	}
	return ret;
}

static int
version_check(int fd)
{
	int ret = vfio_ioctl(fd, VFIO_GET_API_VERSION, NULL);

	if (ret < 0)
		return ret;
	return ret == VFIO_API_VERSION ? 0 : -EPROTO;
}

/* A group without an IOMMU has a node of another name. */
static int
group_open(unsigned int number)
{
	char path[VFIO_PATH_LEN];
	int fd;

	snprintf(path, sizeof(path), "/dev/vfio/%u", number);
	fd = vfio_open(path);
	if (fd != -ENOENT)
		return fd;
	snprintf(path, sizeof(path), "/dev/vfio/noiommu-%u", number);
	return vfio_open(path);
}

/* Put an open group into the container. */
static int
group_enter(const struct weir_vfio *v, int fd)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	int container = v->fd;
	int ret = vfio_ioctl(fd, VFIO_GROUP_GET_STATUS, &status);

	if (ret != 0)
		return ret;
	if ((status.flags & VFIO_GROUP_FLAGS_VIABLE) == 0)
		return -EPERM;
	if ((status.flags & VFIO_GROUP_FLAGS_CONTAINER_SET) != 0)
		return -EBUSY;
	return vfio_ioctl(fd, VFIO_GROUP_SET_CONTAINER, &container);
}

static struct vfio_group *
group_find(const struct weir_vfio *v, unsigned int number)
{
	struct vfio_group *g = v->groups;

	while (g != NULL && g->number != number)
		g = g->next;
	return g;
}

/* Bring a group in; the first of a container of our own sets its type. */
static int
group_attach(struct weir_vfio *v, unsigned int number, enum weir_vfio_iommu want)
{
	struct vfio_group *g = weir_zalloc(sizeof(*g));
	int ret;

	if (g == NULL)
		return -ENOMEM;
	g->number = number;
	g->fd = group_open(number);
	ret = g->fd;
	if (ret < 0)
		goto err_free;
	ret = group_enter(v, g->fd);
	if (ret != 0)
		goto err_close;
	if (v->type == NULL)
		ret = type_set(v, want);
	if (ret != 0)
		goto err_close;
	g->next = v->groups;
	v->groups = g;
	return 0;

err_close:
	vfio_close(g->fd); /* which takes it out of the container */
err_free:
	free(g);
	return ret;
}

static void
group_close(struct vfio_group *g)
{
	while (g->devices != NULL) {
		struct vfio_device *d = g->devices;

		g->devices = d->next;
		vfio_close(d->fd);
		free(d);
	}
	vfio_close(g->fd);
	free(g);
}

/* The kernel has forgotten the container's type and all that was mapped. */
static void
forget(struct weir_vfio *v)
{
	v->book.on_gone = NULL;
	vfio_book_clear(&v->book);
	if (v->type != NULL && v->type->end != NULL)
		v->type->end(v);
	v->type = NULL;
	v->mapped = 0;
}

static int
create(unsigned int number, enum weir_vfio_iommu want, struct weir_vfio *v)
{
	int ret;

	v->fd = vfio_open(v->compat ? COMPAT_PATH : CONTAINER_PATH);
	if (v->fd < 0)
		return v->fd;
	ret = version_check(v->fd);
	if (ret == 0)
		ret = group_attach(v, number, want);
	if (ret != 0)
		vfio_close(v->fd);
	return ret;
}

int
weir_vfio_create(const char *device, enum weir_vfio_iommu want, unsigned int flags,
		 struct weir_vfio **out)
{
	struct weir_vfio *v;
	unsigned int number;
	int ret;

	if (want > WEIR_VFIO_NOIOMMU || (flags & ~WEIR_VFIO_COMPAT) != 0)
		return -EINVAL;
	ret = vfio_name_group(device, &number);
	if (ret != 0)
		return ret;
	v = weir_zalloc(sizeof(*v));
	if (v == NULL)
		return -ENOMEM;
	v->compat = (flags & WEIR_VFIO_COMPAT) != 0;
	ret = create(number, want, v);
	if (ret != 0) {
		free(v);
		return ret;
	}
	*out = v;
	return 0;
}

/* The type of a container that has one. It offers nothing else then. */
static int
type_find(int fd, enum weir_vfio_iommu *iommu)
{
	if (offers(fd, VFIO_TYPE1_IOMMU) || offers(fd, VFIO_TYPE1v2_IOMMU))
		*iommu = vfio_type1_which(fd);
	else if (offers(fd, VFIO_SPAPR_TCE_v2_IOMMU))
		*iommu = WEIR_VFIO_SPAPR;
	else if (offers(fd, VFIO_NOIOMMU_IOMMU))
		*iommu = WEIR_VFIO_NOIOMMU;
	else
		return -ENOTSUP;
	return 0;
}

int
weir_vfio_adopt(int fd, struct weir_vfio **out)
{
	struct weir_vfio *v;
	int ret = version_check(fd);

	if (ret != 0)
		return ret;
	v = weir_zalloc(sizeof(*v));
	if (v == NULL)
		return -ENOMEM;
	v->fd = fd;
	v->adopted = true;
	v->book.kept = true;
	ret = type_find(fd, &v->iommu);
	if (ret != 0)
		goto err_free;
	v->type = &types[v->iommu];
	ret = v->type->begin(v);
	if (ret != 0)
		goto err_free;
	*out = v;
	return 0;

err_free:
	free(v);
	return ret;
}

/* Unmap what is ours, one entry after the other, where others' must stay. */
static void
entries_unmap(struct weir_vfio *v)
{
	const struct weir_iommu_ops *ops = weir_vfio_ops(v);
	struct weir_tree_node *n = weir_tree_find(&v->book.entries, 0);

	while (n != NULL) {
		uint64_t gone, start = n->key.start, last = n->key.last;

		(void)ops->unmap(v, start, weir_range_len(n->key), &gone);
		n = last != UINT64_MAX ? weir_tree_find(&v->book.entries, last + 1)
				       : NULL;
	}
}

void
weir_vfio_destroy(struct weir_vfio *v)
{
	if (v == NULL)
		return;
	if (v->type != NULL)
		entries_unmap(v);
	while (v->groups != NULL) {
		struct vfio_group *g = v->groups;

		v->groups = g->next;
		group_close(g);
	}
	forget(v);
	if (!v->adopted)
		vfio_close(v->fd);
	vfio_book_fini(&v->book);
	free(v);
}

int
weir_vfio_attach(struct weir_vfio *v, const char *device)
{
	unsigned int number;
	int ret = vfio_name_group(device, &number);

	if (ret != 0 || group_find(v, number) != NULL)
		return ret;
	return group_attach(v, number, v->iommu);
}

int
weir_vfio_detach(struct weir_vfio *v, const char *device)
{
	struct vfio_group **p = &v->groups, *g;
	unsigned int number;
	int ret = vfio_name_group(device, &number);

	if (ret != 0)
		return ret;
	while (*p != NULL && (*p)->number != number)
		p = &(*p)->next;
	if (*p == NULL)
		return -ENOENT;
	g = *p;
	*p = g->next;
	group_close(g);
	if (v->groups == NULL && !v->adopted)
		forget(v);
	return 0;
}

static int
device_open(struct vfio_group *g, const char *name, struct vfio_device **out)
{
	size_t len = strlen(name) + 1;
	struct vfio_device *d = weir_zalloc(sizeof(*d) + len);

	if (d == NULL)
		return -ENOMEM;
	memcpy(d->name, name, len);
	d->fd = vfio_ioctl(g->fd, VFIO_GROUP_GET_DEVICE_FD, d->name);
	if (d->fd < 0) {
		int ret = d->fd;

		free(d);
		return ret;
	}
	d->next = g->devices;
	g->devices = d;
	*out = d;
	return 0;
}

int
weir_vfio_device(struct weir_vfio *v, const char *device, int *fd)
{
	const char *name = vfio_name_base(device);
	struct vfio_device *d;
	struct vfio_group *g;
	unsigned int number;
	int ret = vfio_name_group(device, &number);

	if (ret != 0)
		return ret;
	g = group_find(v, number);
	if (g == NULL)
		return -ENOENT;
	for (d = g->devices; d != NULL && strcmp(d->name, name) != 0;)
		d = d->next;
	if (d == NULL)
		ret = device_open(g, name, &d);
	if (ret == 0)
		*fd = d->fd;
	return ret;
}
