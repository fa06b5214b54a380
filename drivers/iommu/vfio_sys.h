/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VFIO_SYS_H
#define VFIO_SYS_H
/*
 * The three system calls that the kernel's backends are made of, behind a
 * table, so that a test can be the kernel: one that has an IOMMU, one for
 * another processor, one that answers oddly.
 *
 * Each call is a fail point (weir_fail.h) but for vfio_close(), which cannot
 * fail.
 */

struct vfio_sys {
	/* @return a descriptor; -errno */
	int (*open)(const char *path, int flags);
	void (*close)(int fd);
	/* @return what the kernel answers, 0 or more; -errno */
	int (*ioctl)(int fd, unsigned long request, void *arg);
};

/*
 * Use @other instead of the kernel; NULL: the kernel again. For tests; no other
 * thread may be in a backend.
 */
void vfio_sys_set(const struct vfio_sys *other);

/* Open a device node for reading and writing, closed on exec. */
int vfio_open(const char *path);
void vfio_close(int fd);
int vfio_ioctl(int fd, unsigned long request, void *arg);

#endif /* VFIO_SYS_H */
