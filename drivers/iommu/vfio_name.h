/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VFIO_NAME_H
#define VFIO_NAME_H
/*
 * From a device's name to its nodes: "0000:00:04.0", or the path of its folder
 * in sysfs if the name has a slash. PCI devices are where EAL looks for them,
 * SYSFS_PCI_DEVICES or /sys/bus/pci/devices. Those that return an int: 0;
 * -ENODEV: sysfs does not say; -ENAMETOOLONG.
 */
#include <stdbool.h>
#include <stddef.h>

#define VFIO_PATH_LEN 256

/* The last component of a name: what the kernel calls the device. */
const char *vfio_name_base(const char *device);

/* The number of its IOMMU group. */
int vfio_name_group(const char *device, unsigned int *group);

/* True if it is bound to a driver of VFIO's: vfio-pci or a vendor's own. */
bool vfio_name_bound(const char *device);

/* "/dev/vfio/devices/vfio3", if it is bound to a VFIO driver; else -ENOENT. */
int vfio_name_cdev(const char *device, char path[VFIO_PATH_LEN]);

#endif /* VFIO_NAME_H */
