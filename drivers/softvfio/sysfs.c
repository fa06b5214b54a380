/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The part of sysfs that EAL and its PCI bus read. The tree is written beside
 * its place and then renamed, so that a process either finds all of it or makes
 * it; of two that make it at once one loses and takes its own away again.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sv_vfio.h"

static char shown[PATH_MAX + 16]; /* where the tree is; empty: there is none */

#define IORESOURCE_MEM 0x200u
#define IORESOURCE_PREFETCH_64 0x140000u /* MEM_64 and sized by its alignment */
#define NR_RESOURCES 13			 /* BARs, ROM, and a bridge's or VFs' */

/* A tree being written; the first error stays. */
struct tree {
	const char *root;
	int ret;
};

static bool
path_make(struct tree *t, char *path, const char *fmt, va_list ap)
{
	int at = snprintf(path, PATH_MAX, "%s/", t->root);
	int n = at > 0 && at < PATH_MAX
			? vsnprintf(path + at, (size_t)(PATH_MAX - at), fmt, ap)
			: -1;

	if (n < 0 || n >= PATH_MAX - at)
		t->ret = t->ret != 0 ? t->ret : -ENAMETOOLONG;
	return t->ret == 0;
}

__attribute__((format(printf, 2, 3))) static void
add_dir(struct tree *t, const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list ap;
	bool ok;

	va_start(ap, fmt);
	ok = path_make(t, path, fmt, ap);
	va_end(ap);
	for (char *p = path + strlen(t->root) + 1; ok && p != NULL;) {
		p = strchr(p, '/');
		if (p != NULL)
			*p = '\0';
		if (mkdir(path, 0755) != 0 && errno != EEXIST) {
			t->ret = -errno;
			return;
		}
		if (p != NULL)
			*p++ = '/';
	}
}

__attribute__((format(printf, 4, 5))) static void
add_file(struct tree *t, const void *data, size_t len, const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list ap;
	bool ok;
	int fd;

	va_start(ap, fmt);
	ok = path_make(t, path, fmt, ap);
	va_end(ap);
	if (!ok)
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, data, len) != (ssize_t)len)
		t->ret = errno != 0 ? -errno : -EIO;
	if (fd >= 0)
		close(fd);
}

static void
add_number(struct tree *t, const char *bdf, const char *name, const char *fmt, int value)
{
	char text[16];
	/* NOLINTNEXTLINE(clang-diagnostic-format-nonliteral) */
	int n = snprintf(text, sizeof(text), fmt, value);

	add_file(t, text, (size_t)n, "sys/bus/pci/devices/%s/%s", bdf, name);
}

__attribute__((format(printf, 3, 4))) static void
add_link(struct tree *t, const char *target, const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list ap;
	bool ok;

	va_start(ap, fmt);
	ok = path_make(t, path, fmt, ap);
	va_end(ap);
	if (ok && symlink(target, path) != 0)
		t->ret = -errno;
}

static void
add_resources(struct tree *t, const struct sv_spec *s)
{
	const uint64_t *len = s->model->pci.bar_len;
	char text[NR_RESOURCES * 60];
	size_t at = 0;

	for (unsigned int i = 0; i < NR_RESOURCES; i++) {
		uint64_t start = 0, last = 0, flags = 0;

		if (i < SV_NR_BARS && len[i] != 0) {
			start = sv_pci_bar_address(s, i);
			last = start + len[i] - 1;
			flags = IORESOURCE_MEM | IORESOURCE_PREFETCH_64;
		}
		at += (size_t)snprintf(text + at, sizeof(text) - at,
				       "0x%016" PRIx64 " 0x%016" PRIx64 " 0x%016" PRIx64
				       "\n",
				       start, last, flags);
	}
	add_file(t, text, at, "sys/bus/pci/devices/%s/resource", s->bdf);
}

static void
add_device(struct tree *t, const struct sv_spec *s)
{
	const struct sv_pci_id *id = &s->model->pci;
	uint8_t config[SV_CONFIG_LEN], mask[SV_CONFIG_LEN];
	char target[64];

	add_dir(t, "sys/bus/pci/devices/%s", s->bdf);
	add_number(t, s->bdf, "vendor", "0x%04x\n", id->vendor);
	add_number(t, s->bdf, "device", "0x%04x\n", id->device);
	add_number(t, s->bdf, "subsystem_vendor", "0x%04x\n", id->vendor);
	add_number(t, s->bdf, "subsystem_device", "0x%04x\n", 0);
	add_number(t, s->bdf, "class", "0x%06x\n", (int)id->class_code);
	add_number(t, s->bdf, "revision", "0x%02x\n", id->revision);
	add_number(t, s->bdf, "numa_node", "%d\n", s->numa_node);
	add_resources(t, s);
	sv_pci_layout(s, config, mask);
	add_file(t, config, sizeof(config), "sys/bus/pci/devices/%s/config", s->bdf);

	add_link(t, "../../drivers/vfio-pci", "sys/bus/pci/devices/%s/driver", s->bdf);
	snprintf(target, sizeof(target), "../../devices/%s", s->bdf);
	add_link(t, target, "sys/bus/pci/drivers/vfio-pci/%s", s->bdf);

	add_dir(t, "sys/kernel/iommu_groups/%u/devices", s->group);
	snprintf(target, sizeof(target), "../../../../kernel/iommu_groups/%u", s->group);
	add_link(t, target, "sys/bus/pci/devices/%s/iommu_group", s->bdf);
	snprintf(target, sizeof(target), "../../../../bus/pci/devices/%s", s->bdf);
	add_link(t, target, "sys/kernel/iommu_groups/%u/devices/%s", s->group, s->bdf);
}

static int
tree_write(const char *root, const struct sv_spec *spec, unsigned int nr)
{
	struct tree t = { .root = root };

	add_dir(&t, "sys/bus/pci/devices");
	add_dir(&t, "sys/bus/pci/drivers/vfio-pci");
	add_dir(&t, "sys/module/vfio/parameters");
	add_dir(&t, "sys/module/vfio_pci");
	add_dir(&t, "sys/module/vfio_iommu_type1");
	add_file(&t, "N\n", 2, "sys/module/vfio/parameters/enable_unsafe_noiommu_mode");
	for (unsigned int i = 0; i < nr && t.ret == 0; i++)
		add_device(&t, &spec[i]);
	return t.ret;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int
sv_sysfs_write(const char *root, const struct sv_spec *spec, unsigned int nr)
{
	char made[PATH_MAX], from[PATH_MAX], to[PATH_MAX];
	int ret;

	if (snprintf(made, sizeof(made), "%s/new-XXXXXX", root) >= PATH_MAX - 8)
		return -ENAMETOOLONG;
	snprintf(to, sizeof(to), "%s/sys", root);
	snprintf(shown, sizeof(shown), "%s/bus/pci", to);
	if (access(to, F_OK) == 0)
		return 0;
	if (mkdtemp(made) == NULL)
		return -errno;
	ret = tree_write(made, spec, nr);
	snprintf(from, sizeof(from), "%.*s/sys", PATH_MAX - 8, made);
	/* a folder that is not empty is not replaced: another one was first */
	if (ret == 0 && rename(from, to) != 0 && errno != ENOTEMPTY && errno != EEXIST)
		ret = -errno;
	/* unsafe with threads only where it changes folders; there are none yet */
	/* NOLINTNEXTLINE(concurrency-mt-unsafe) */
	nftw(made, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	return ret;
}

/* What is there of a device that is open, and cannot be taken out of the tree. */
static void
config_show(const struct sv_spec *spec, bool there)
{
	uint8_t config[SV_CONFIG_LEN], mask[SV_CONFIG_LEN];
	char path[sizeof(shown) + 48];
	int fd;

	sv_pci_layout(spec, config, mask);
	if (!there)
		memset(config, 0xff, sizeof(config));
	snprintf(path, sizeof(path), "%s/devices/%s/config", shown, spec->bdf);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	/* what cannot be shown is as if nobody looked */
	(void)!write(fd, config, sizeof(config));
	close(fd);
}

void
sv_sysfs_plug(const struct sv_spec *spec, bool there, bool is_open)
{
	char in[sizeof(shown) + 32], out[sizeof(shown) + 32];

	if (*shown == '\0')
		return;
	config_show(spec, there);
	if (is_open)
		return;
	snprintf(in, sizeof(in), "%s/devices/%s", shown, spec->bdf);
	snprintf(out, sizeof(out), "%s/unplugged-%s", shown, spec->bdf);
	/* it fails where it is so already */
	if (rename(there ? out : in, there ? in : out) != 0)
		return;
	config_show(spec, there);
}
