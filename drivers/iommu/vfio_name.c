/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vfio_name.h"
#include "weir_args.h"

const char *
vfio_name_base(const char *device)
{
	const char *slash = strrchr(device, '/');

	return slash != NULL ? slash + 1 : device;
}

/* The folder that has the device's, "" if its name says. */
static const char *
sysfs_folder(const char *device)
{
	const char *folder;

	if (strchr(device, '/') != NULL)
		return "";
	/* nobody of ours changes the environment */
	folder = getenv("SYSFS_PCI_DEVICES"); // NOLINT(concurrency-mt-unsafe)
	return folder != NULL ? folder : "/sys/bus/pci/devices";
}

/* The path of something in the device's folder. */
static int
sysfs_path(const char *device, const char *what, char path[VFIO_PATH_LEN])
{
	const char *folder = sysfs_folder(device);
	int len = snprintf(path, VFIO_PATH_LEN, "%s%s%s/%s", folder,
			   folder[0] != '\0' ? "/" : "", device, what);

	if (*vfio_name_base(device) == '\0')
		return -ENODEV;
	return len < VFIO_PATH_LEN ? 0 : -ENAMETOOLONG;
}

/* What a link in the device's folder leads to. */
static int
sysfs_link(const char *device, const char *what, char link[VFIO_PATH_LEN])
{
	char path[VFIO_PATH_LEN];
	int ret = sysfs_path(device, what, path);
	ssize_t len;

	if (ret != 0)
		return ret;
	len = readlink(path, link, VFIO_PATH_LEN);
	if (len < 0)
		return -ENODEV;
	if (len == VFIO_PATH_LEN)
		return -ENAMETOOLONG;
	link[len] = '\0';
	return 0;
}

int
vfio_name_group(const char *device, unsigned int *group)
{
	char link[VFIO_PATH_LEN];
	uint64_t number;
	int ret = sysfs_link(device, "iommu_group", link);

	if (ret != 0)
		return ret;
	if (weir_arg_number(vfio_name_base(link), 0, INT32_MAX, &number) != 0)
		return -ENODEV;
	*group = (unsigned int)number;
	return 0;
}

bool
vfio_name_bound(const char *device)
{
	char link[VFIO_PATH_LEN];

	return sysfs_link(device, "driver", link) == 0 &&
	       strstr(vfio_name_base(link), "vfio") != NULL;
}

/* The one entry "vfioN" of a folder. */
static int
cdev_find(DIR *dir, char path[VFIO_PATH_LEN])
{
	const struct dirent *d;

	/* the stream is ours alone */
	while ((d = readdir(dir)) != NULL) { // NOLINT(concurrency-mt-unsafe)
		if (strncmp(d->d_name, "vfio", 4) != 0)
			continue;
		if (snprintf(path, VFIO_PATH_LEN, "/dev/vfio/devices/%s", d->d_name) >=
		    VFIO_PATH_LEN)
			return -ENAMETOOLONG;
		return 0;
	}
	return -ENOENT;
}

int
vfio_name_cdev(const char *device, char path[VFIO_PATH_LEN])
{
	int ret = sysfs_path(device, "vfio-dev", path);
	DIR *dir;

	if (ret != 0)
		return ret;
	dir = opendir(path);
	if (dir == NULL) {
		ret = sysfs_path(device, "", path);
		return ret != 0 || access(path, F_OK) == 0 ? -ENOENT : -ENODEV;
	}
	ret = cdev_find(dir, path);
	closedir(dir);
	return ret;
}
