/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_IOMMUFD_H
#define WEIR_IOMMUFD_H
/**
 * @file
 * The kernel's iommufd as a backend of a mirror.
 *
 * An IOAS is one DMA address space, and here always one of our own. A device
 * comes into it by itself, through its own character device (Linux 6.6), not by
 * its group; what is mapped stays when the last one has left. Before a device is
 * there the kernel checks next to nothing; what does not fit the device's IOMMU
 * makes weir_iommufd_attach() fail then.
 *
 *     weir_iommufd_create(&f);
 *     weir_iommufd_attach(f, "0000:00:04.0", &fd);
 *     weir_mirror_attach(m, &weir_iommufd_ops, f);    now f is the mirror's
 *
 * A device is named as in weir_vfio.h. For iommufd behind VFIO's old interface
 * see WEIR_VFIO_COMPAT there.
 *
 * Threads: any, one call for a context at a time; a mirror sees to that for its
 * own calls. All of them may block. Control plane only.
 */
#include <stdint.h>

#include "weir_iommu.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_iommufd;

/** An IOAS as a backend; the context is a struct weir_iommufd. */
extern const struct weir_iommu_ops weir_iommufd_ops;

/**
 * Open /dev/iommu and make an IOAS.
 *
 * @return 0; -ENOENT: this kernel has no iommufd; -EACCES: no right to it;
 *         -EMFILE; -ENOMEM.
 */
int weir_iommufd_create(struct weir_iommufd **out);

/**
 * Make an IOAS in an iommufd that somebody else has opened.
 *
 * @param fd  Stays its owner's, who must keep it open until
 *            weir_iommufd_destroy(), and attaches no device to our IOAS.
 * @return 0; -EBADF, -ENOTTY: no iommufd; -ENOMEM.
 */
int weir_iommufd_adopt(int fd, struct weir_iommufd **out);

/**
 * Close the devices that we opened, free the IOAS with all its entries, and
 * close the iommufd if it is our own. The backend's close() is this. NULL is
 * allowed.
 */
void weir_iommufd_destroy(struct weir_iommufd *f);

/**
 * Open a device and attach it to the IOAS, or find it attached.
 *
 * @param fd  The device's descriptor, which stays the context's: closed by
 *            weir_iommufd_detach() and weir_iommufd_destroy(). NULL: not wanted.
 * @return 0; -ENODEV: no such device; -ENOENT: it is bound to no VFIO driver, or
 *         the kernel has no character devices for VFIO; -EACCES: no right to it;
 *         -EBUSY: it is open elsewhere; -ENAMETOOLONG; -EMFILE; -ENOMEM; or why
 *         it cannot be attached: -EINVAL, -EADDRINUSE: an entry is outside its
 *         IOMMU's apertures. Nothing is left open then.
 */
int weir_iommufd_attach(struct weir_iommufd *f, const char *device, int *fd);

/** Detach a device and close it. @return 0; -ENOENT: not attached by us. */
int weir_iommufd_detach(struct weir_iommufd *f, const char *device);

/** The iommufd's descriptor, which stays the context's. */
int weir_iommufd_fd(const struct weir_iommufd *f);

/** The number of the IOAS in it. */
uint32_t weir_iommufd_ioas(const struct weir_iommufd *f);

#ifdef __cplusplus
}
#endif
#endif /* WEIR_IOMMUFD_H */
