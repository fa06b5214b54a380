/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_spapr.h"
#include "fake_vfio.h"
#include "iommufd_abi.h"
#include "vfio_sys.h"
#include "weir_map.h"
#include "weir_sim_spapr.h"

#define MAX_OBJECTS 64
#define MAX_RANGES 128
#define RW (WEIR_PROT_READ | WEIR_PROT_WRITE)

enum object_kind { NOTHING, CONTAINER, GROUP, DEVICE, IOMMUFD, CDEV };

/* What is behind a descriptor. */
struct object {
	enum object_kind kind;
	int fd;
	/* a container or an iommufd: the space, its type, and groups or devices in it */
	bool compat;
	unsigned long type;
	struct weir_sim *sim;
	unsigned int nr_members;
	uint32_t ioas; /* 0: none */
	/* a group: its number; a group or device: what it is in */
	unsigned int number;
	struct object *in;
};

static struct {
	struct fake_vfio_config config;
	struct object objects[MAX_OBJECTS];
	char root[64];
	char name[FAKE_DEV_NR][96];
	bool lying;
	uint64_t lie;
} fake;

static const unsigned int group_of[FAKE_DEV_NR] = { 7, 8, 9, 10 };

static struct object *
object_of(int fd)
{
	for (unsigned int i = 0; fd >= 0 && i < MAX_OBJECTS; i++)
		if (fake.objects[i].kind != NOTHING && fake.objects[i].fd == fd)
			return &fake.objects[i];
	return NULL;
}

/* @return NULL: too many. */
static struct object *
object_new(enum object_kind kind)
{
	struct object *o = fake.objects;

	while (o->kind != NOTHING)
		if (++o == fake.objects + MAX_OBJECTS)
			return NULL;
	*o = (struct object){ .kind = kind, .fd = eventfd(0, EFD_CLOEXEC) };
	return o;
}

static int
group_new(struct object **out, unsigned int number)
{
	for (struct object *o = fake.objects; o < fake.objects + MAX_OBJECTS; o++)
		if (o->kind == GROUP && o->number == number)
			return -EBUSY;
	*out = object_new(GROUP);
	if (*out != NULL)
		(*out)->number = number;
	return 0;
}

static int
fake_open(const char *path, int flags)
{
	struct object *o = NULL;
	int ret = flags == (O_RDWR | O_CLOEXEC) ? 0 : -EINVAL;

	if (strcmp(path, "/dev/vfio/vfio") == 0) {
		o = object_new(CONTAINER);
	} else if (strcmp(path, "/dev/iommu") == 0) {
		o = object_new(IOMMUFD);
		if (o != NULL)
			o->compat = true;
	} else if (strcmp(path, "/dev/vfio/devices/vfio0") == 0) {
		o = object_new(CDEV);
	} else if (strcmp(path, "/dev/vfio/7") == 0) {
		ret = group_new(&o, 7);
	} else if (strcmp(path, "/dev/vfio/8") == 0) {
		ret = group_new(&o, 8);
	} else if (strcmp(path, "/dev/vfio/noiommu-9") == 0) {
		ret = group_new(&o, 9);
	} else {
		ret = -ENOENT;
	}
	if (ret == 0)
		ret = o != NULL ? o->fd : -EMFILE;
	return ret;
}

/* With the last one that leaves a container go its type and its entries. */
static void
member_leave(struct object *o)
{
	struct object *c = o->in;

	o->in = NULL;
	if (c == NULL || --c->nr_members != 0 || c->ioas != 0)
		return;
	weir_sim_destroy(c->sim);
	c->sim = NULL;
	c->type = 0;
}

static void
fake_close(int fd)
{
	struct object *o = object_of(fd);

	if (o == NULL)
		abort(); /* closed twice, or never opened */
	member_leave(o);
	if (o->nr_members != 0 && o->kind == CONTAINER)
		abort(); /* a container goes after its groups here */
	weir_sim_destroy(o->sim);
	*o = (struct object){ .kind = NOTHING };
	close(fd);
}

static int
check_extension(const struct object *c, unsigned long number)
{
	bool noiommu = c->nr_members != 0 && c->type == VFIO_NOIOMMU_IOMMU;

	if (number == VFIO_NOIOMMU_IOMMU)
		return noiommu || c->number == group_of[FAKE_DEV_NOIOMMU];
	if (noiommu || c->number == group_of[FAKE_DEV_NOIOMMU])
		return 0;
	if (fake.config.spapr)
		return number == VFIO_SPAPR_TCE_v2_IOMMU;
	return number == VFIO_TYPE1_IOMMU ||
	       (number == VFIO_TYPE1v2_IOMMU && !fake.config.only_v1);
}

static enum weir_sim_flavour
flavour_of(const struct object *c, unsigned long type)
{
	switch (type) {
	case VFIO_TYPE1_IOMMU:
		return c->compat ? WEIR_SIM_COMPAT_V1 : WEIR_SIM_TYPE1_V1;
	case VFIO_TYPE1v2_IOMMU:
		return c->compat ? WEIR_SIM_COMPAT_V2 : WEIR_SIM_TYPE1_V2;
	case VFIO_SPAPR_TCE_v2_IOMMU:
		return WEIR_SIM_SPAPR;
	default:
		return WEIR_SIM_NOIOMMU;
	}
}

static int
set_iommu(struct object *c, unsigned long type)
{
	unsigned int bits = fake.config.window_bits;
	int ret;

	if (c->nr_members == 0 || c->type != 0)
		return -EINVAL;
	if (check_extension(c, type) == 0)
		return -ENODEV;
	ret = weir_sim_create(flavour_of(c, type), &c->sim);
	if (ret != 0)
		return ret;
	if (fake.config.dma_avail != 0)
		weir_sim_set_limit(c->sim, fake.config.dma_avail);
	if (type == VFIO_SPAPR_TCE_v2_IOMMU)
		weir_sim_set_windows(c->sim, !fake.config.one_window,
				     bits != 0 ? bits : 46);
	c->type = type;
	return 0;
}

/* A capability at *off, whose end it becomes. */
static void *
cap_put(char *buf, uint32_t *off, uint16_t id, size_t len)
{
	struct vfio_info_cap_header head = { .id = id, .version = 1 };

	head.next = (uint32_t)(*off + len);
	memcpy(buf + *off, &head, sizeof(head));
	*off = head.next;
	return buf + *off - len;
}

static void
cap_put_ranges(char *buf, uint32_t *off, const struct weir_iommu_caps *caps)
{
	unsigned int odd = fake.config.nr_ranges,
		     nr = odd != 0 ? odd : caps->nr_apertures;
	struct vfio_iommu_type1_info_cap_iova_range cap;
	struct vfio_iova_range r;
	char *p = cap_put(buf, off, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
			  sizeof(cap) + nr * sizeof(r));

	memcpy(&cap, p, sizeof(cap));
	cap.nr_iovas = nr;
	memcpy(p, &cap, sizeof(cap));
	for (unsigned int i = 0; i < nr; i++) {
		uint64_t start = (uint64_t)(i + 1) << 30;

		r = odd != 0 ? (struct vfio_iova_range){ start, start + (i << 20) + 4095 }
			     : (struct vfio_iova_range){ caps->aperture[i].start,
							 caps->aperture[i].last };
		memcpy(p + sizeof(cap) + i * sizeof(r), &r, sizeof(r));
	}
}

/* As a kernel of 6.1 lays it out: the entry count leaves the ranges unaligned. */
static int
get_info(const struct object *c, struct vfio_iommu_type1_info *out)
{
	char buf[256 + MAX_RANGES * sizeof(struct vfio_iova_range)] = { 0 };
	struct vfio_iommu_type1_info_dma_avail avail;
	struct vfio_iommu_type1_info info;
	uint32_t off = sizeof(info), first = off, last;
	struct weir_iommu_caps caps;
	uint32_t room = out->argsz, next = fake.config.loop ? first : 0;
	int ret = weir_sim_ops.caps(c->sim, &caps);

	if (ret != 0)
		return ret;
	info = (struct vfio_iommu_type1_info){
		.argsz = room,
		.flags = VFIO_IOMMU_INFO_PGSIZES,
		.iova_pgsizes = caps.page_sizes,
	};
	if (!fake.config.old) {
		char *p = cap_put(buf, &off, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL,
				  sizeof(avail));

		memcpy(&avail, p, sizeof(avail));
		avail.avail =
			c->compat
				? UINT16_MAX
				: (uint32_t)(caps.max_entries - weir_sim_entries(c->sim));
		memcpy(p, &avail, sizeof(avail));
		last = off;
		cap_put_ranges(buf, &off, &caps);
		memcpy(buf + last + offsetof(struct vfio_info_cap_header, next), &next,
		       sizeof(next));
		info.flags |= VFIO_IOMMU_INFO_CAPS;
		info.cap_offset = first;
		if (room < off) {
			info.argsz = off;
			info.cap_offset = 0;
			off = sizeof(info);
		}
	}
	memcpy(buf, &info, sizeof(info));
	memcpy(out, buf, room < off ? room : off);
	return 0;
}

static int
map_dma(struct object *c, const struct vfio_iommu_type1_dma_map *m)
{
	/* the numbers of the two flags are weir's as well */
	return weir_sim_ops.map(c->sim, m->iova, m->vaddr, m->size, m->flags);
}

static int
unmap_dma(struct object *c, struct vfio_iommu_type1_dma_unmap *u)
{
	uint64_t gone;
	int ret = 0;

	if (fake.lying) {
		fake.lying = false;
		u->size = fake.lie;
		return 0;
	}
	if (u->flags == VFIO_DMA_UNMAP_FLAG_ALL)
		gone = weir_sim_unmap_all(c->sim);
	else
		ret = weir_sim_ops.unmap(c->sim, u->iova, u->size, &gone);
	if (ret == 0 || (ret == -ENOENT && c->compat))
		u->size = gone;
	return ret;
}

static int
typed_ioctl(struct object *c, unsigned long request, void *arg)
{
	if (c->type == 0)
		return -EINVAL;
	if (c->type == VFIO_SPAPR_TCE_v2_IOMMU)
		return fake_spapr_ioctl(c->sim, !fake.config.one_window, request, arg);
	switch (request) {
	case VFIO_IOMMU_GET_INFO:
		return get_info(c, arg);
	case VFIO_IOMMU_MAP_DMA:
		return map_dma(c, arg);
	case VFIO_IOMMU_UNMAP_DMA:
		return unmap_dma(c, arg);
	case VFIO_IOMMU_DIRTY_PAGES:
		if (fake.config.old || c->compat || c->type == VFIO_NOIOMMU_IOMMU)
			return -ENOTTY;
		return c->type == VFIO_TYPE1_IOMMU ? -EACCES : -EINVAL;
	default:
		return -ENOTTY;
	}
}

static int
container_ioctl(struct object *c, unsigned long request, void *arg)
{
	switch (request) {
	case VFIO_GET_API_VERSION:
		return fake.config.api_version;
	case VFIO_CHECK_EXTENSION:
		return check_extension(c, (unsigned long)arg);
	case VFIO_SET_IOMMU:
		return set_iommu(c, (unsigned long)arg);
	default:
		return typed_ioctl(c, request, arg);
	}
}

static int
group_ioctl(struct object *g, unsigned long request, void *arg)
{
	struct vfio_group_status *status = arg;
	struct object *c, *o;

	switch (request) {
	case VFIO_GROUP_GET_STATUS:
		status->flags = (fake.config.not_viable ? 0 : VFIO_GROUP_FLAGS_VIABLE) |
				(g->in != NULL ? VFIO_GROUP_FLAGS_CONTAINER_SET : 0);
		return 0;
	case VFIO_GROUP_SET_CONTAINER:
		c = object_of(*(int *)arg);
		if (c == NULL)
			return -EBADF;
		if (g->in != NULL || (c->kind != CONTAINER && c->kind != IOMMUFD))
			return -EINVAL;
		g->in = c;
		c->nr_members++;
		c->number = g->number;
		return 0;
	case VFIO_GROUP_GET_DEVICE_FD:
		if (g->in == NULL || g->in->type == 0)
			return -EINVAL;
		o = object_new(DEVICE);
		return o != NULL ? o->fd : -EMFILE;
	default:
		return -ENOTTY;
	}
}

static int
ioas_ranges(const struct object *f, struct iommu_ioas_iova_ranges *r)
{
	struct iommu_iova_range *out = (void *)(uintptr_t)r->allowed_iovas;
	unsigned int odd = fake.config.nr_ranges;
	uint32_t room = r->num_iovas;
	struct weir_iommu_caps caps;
	int ret = weir_sim_ops.caps(f->sim, &caps);

	if (ret != 0)
		return ret;
	r->out_iova_alignment = f->nr_members != 0 ? 4096 : 1;
	r->num_iovas = f->nr_members == 0 ? 1 : odd != 0 ? odd : caps.nr_apertures;
	if (r->num_iovas > room)
		return -EMSGSIZE;
	for (unsigned int i = 0; i < r->num_iovas; i++) {
		uint64_t start = (uint64_t)(i + 1) << 30;

		out[i] = (struct iommu_iova_range){ 0, UINT64_MAX };
		if (f->nr_members != 0)
			out[i] = (struct iommu_iova_range){
				odd != 0 ? start : caps.aperture[i].start,
				odd != 0 ? start + (i << 20) + 4095
					 : caps.aperture[i].last,
			};
	}
	return 0;
}

static int
ioas_ioctl(struct object *f, unsigned long request, void *arg)
{
	const struct iommu_ioas_map *m = arg;
	struct iommu_ioas_unmap *u = arg;
	uint64_t gone;
	int ret;

	switch (request) {
	case IOMMU_IOAS_IOVA_RANGES:
		return ioas_ranges(f, arg);
	case IOMMU_IOAS_MAP:
		if ((m->flags & IOMMU_IOAS_MAP_FIXED_IOVA) == 0)
			return -EOPNOTSUPP;
		return weir_sim_ops.map(
			f->sim, m->iova, m->user_va, m->length,
			(m->flags & IOMMU_IOAS_MAP_READABLE ? WEIR_PROT_READ : 0) |
				(m->flags & IOMMU_IOAS_MAP_WRITEABLE ? WEIR_PROT_WRITE
								     : 0));
	case IOMMU_IOAS_UNMAP:
		ret = weir_sim_ops.unmap(f->sim, u->iova, u->length, &gone);
		u->length = ret == 0 ? gone : u->length;
		return ret;
	default:
		return -ENOTTY;
	}
}

/* One IOAS an iommufd is enough; as a container it has none at first. */
static int
iommufd_ioctl(struct object *f, unsigned long request, void *arg)
{
	int ret;

	if (request == IOMMU_IOAS_ALLOC && f->type == 0 && f->ioas == 0) {
		ret = weir_sim_create(WEIR_SIM_IOMMUFD, &f->sim);
		f->ioas = 3;
		((struct iommu_ioas_alloc *)arg)->out_ioas_id = f->ioas;
		return ret;
	}
	if (request == IOMMU_DESTROY) {
		if (f->nr_members != 0)
			return -EBUSY;
		weir_sim_destroy(f->sim);
		f->sim = NULL;
		f->ioas = 0;
		return 0;
	}
	return f->ioas != 0 ? ioas_ioctl(f, request, arg)
			    : container_ioctl(f, request, arg);
}

static int
cdev_ioctl(struct object *d, unsigned long request, void *arg)
{
	const struct vfio_device_attach_iommufd_pt *attach = arg;
	struct vfio_device_bind_iommufd *bind = arg;

	switch (request) {
	case VFIO_DEVICE_BIND_IOMMUFD:
		if (d->in != NULL)
			return -EINVAL;
		d->in = object_of(bind->iommufd);
		if (d->in == NULL)
			return -EBADF;
		d->in->nr_members++;
		return 0;
	case VFIO_DEVICE_ATTACH_IOMMUFD_PT:
		return d->in != NULL && d->in->ioas == attach->pt_id ? 0 : -ENOENT;
	default:
		return -ENOTTY;
	}
}

static int
fake_ioctl(int fd, unsigned long request, void *arg)
{
	struct object *o = object_of(fd);

	if (o == NULL)
		return -EBADF;
	switch (o->kind) {
	case CONTAINER:
		return container_ioctl(o, request, arg);
	case GROUP:
		return group_ioctl(o, request, arg);
	case IOMMUFD:
		return iommufd_ioctl(o, request, arg);
	case CDEV:
		return cdev_ioctl(o, request, arg);
	default:
		return -ENOTTY;
	}
}

static const struct vfio_sys fake_sys = {
	.open = fake_open,
	.close = fake_close,
	.ioctl = fake_ioctl,
};

/* A device's folder: its group's link, and its character device's folder. */
static bool
sysfs_make(enum fake_vfio_device dev)
{
	char path[160], link[64];

	snprintf(fake.name[dev], sizeof(fake.name[dev]), "%s/dev%u", fake.root,
		 (unsigned int)dev);
	snprintf(link, sizeof(link), "../../kernel/iommu_groups/%u", group_of[dev]);
	if (mkdir(fake.name[dev], 0700) != 0)
		return false;
	snprintf(path, sizeof(path), "%.95s/iommu_group", fake.name[dev]);
	if (symlink(link, path) != 0)
		return false;
	if (dev != FAKE_DEV0)
		return true;
	snprintf(path, sizeof(path), "%.95s/vfio-dev", fake.name[dev]);
	if (mkdir(path, 0700) != 0)
		return false;
	snprintf(path, sizeof(path), "%.95s/vfio-dev/vfio0", fake.name[dev]);
	return mkdir(path, 0700) == 0;
}

static void
sysfs_remove(enum fake_vfio_device dev)
{
	static const char *const parts[] = { "/vfio-dev/vfio0", "/vfio-dev",
					     "/iommu_group", "" };
	char path[160];

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		snprintf(path, sizeof(path), "%.95s%s", fake.name[dev], parts[i]);
		remove(path);
	}
}

bool
fake_vfio_begin(const struct fake_vfio_config *config)
{
	const char *tmp = getenv("TMPDIR");
	bool ok;

	memset(&fake, 0, sizeof(fake));
	fake.config = *config;
	snprintf(fake.root, sizeof(fake.root), "%s/weir-vfio-XXXXXX",
		 tmp != NULL && strlen(tmp) < 40 ? tmp : "/tmp");
	ok = mkdtemp(fake.root) != NULL;
	for (unsigned int i = 0; ok && i < FAKE_DEV_NR; i++)
		ok = sysfs_make(i);
	vfio_sys_set(&fake_sys);
	return ok;
}

unsigned int
fake_vfio_end(void)
{
	unsigned int left = 0;

	for (unsigned int i = 0; i < MAX_OBJECTS; i++) {
		if (fake.objects[i].kind == NOTHING)
			continue;
		left++;
		weir_sim_destroy(fake.objects[i].sim);
		close(fake.objects[i].fd);
		fake.objects[i].kind = NOTHING;
	}
	for (unsigned int i = 0; i < FAKE_DEV_NR; i++)
		sysfs_remove(i);
	rmdir(fake.root);
	vfio_sys_set(NULL);
	return left;
}

unsigned int
fake_vfio_open_fds(void)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < MAX_OBJECTS; i++)
		nr += fake.objects[i].kind != NOTHING;
	return nr;
}

const char *
fake_vfio_name(enum fake_vfio_device dev)
{
	return fake.name[dev];
}

struct weir_sim *
fake_vfio_sim(int fd)
{
	return object_of(fd)->sim;
}

void
fake_vfio_lie(uint64_t gone)
{
	fake.lying = true;
	fake.lie = gone;
}
