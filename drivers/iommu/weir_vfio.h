/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_VFIO_H
#define WEIR_VFIO_H
/**
 * @file
 * The kernel's VFIO containers as backends of a mirror.
 *
 * A container is one DMA address space; devices come into it by their IOMMU
 * group. There are two ways to one. weir_vfio_create() makes a container of our
 * own around a first device. weir_vfio_adopt() takes one that somebody else
 * has, EAL's above all (weir_space_eal_container()), and lives beside its
 * owner's maps: it counts against the same limit of entries, gets -EEXIST where
 * the owner has mapped the iova, and takes away its own entries alone when it is
 * closed. Either way:
 *
 *     weir_vfio_create("0000:00:04.0", WEIR_VFIO_ANY, 0, &v);
 *     weir_mirror_attach(m, weir_vfio_ops(v), v);     now v is the mirror's
 *     weir_vfio_device(v, "0000:00:04.0", &fd);       for its registers
 *
 * What the kernel forgets: with the last group that leaves a container go all
 * of its entries, without a word, and its type with them. Detach the backend
 * from the mirror before the last device goes, and attach it again when one has
 * come back; the mirror then replays the map. An adopted container whose owner
 * has taken the last device out notices with the next call: from then on every
 * unmap succeeds, every map is refused with -ENODEV, and it is to be destroyed
 * and adopted anew when there is a device again.
 *
 * What the kernel pins: the pages as they are. Of private memory that nobody has
 * touched, a map that a device may only read pins the zero page (Linux 6.1): what
 * is written there later goes to another page, and the device reads zeros. Touch
 * such memory before it is mapped. Shared memory, as guests have, has no such page.
 *
 * A device is named as on the PCI bus ("0000:00:04.0") or, if it is on another
 * bus, by the path of its folder in sysfs; it must be bound to a VFIO driver.
 *
 * Threads: any, one call for a container at a time; a mirror sees to that for
 * its own calls. All of them may block. Control plane only.
 */
#include <stdint.h>

#include "weir_iommu.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The kernel's interfaces; they differ in what an unmap does to an entry. */
enum weir_vfio_iommu {
	WEIR_VFIO_ANY,	    /**< the best the container offers: v2, v1, sPAPR, none */
	WEIR_VFIO_TYPE1_V1, /**< unmapping the head of an entry unmaps all of it */
	WEIR_VFIO_TYPE1_V2, /**< refuses to unmap part of an entry */
	WEIR_VFIO_TYPE1, /**< an adopted one, of which the kernel does not tell; as v2 */
	WEIR_VFIO_SPAPR, /**< POWER, version 2; never run on such a machine */
	WEIR_VFIO_NOIOMMU, /**< no IOMMU: devices use physical addresses */
};

/** For weir_vfio_create(): the container is /dev/iommu, iommufd's stand-in. */
#define WEIR_VFIO_COMPAT (1u << 0)

struct weir_vfio;

/**
 * Make a container of our own with one device's group in it.
 *
 * @param device  Its name; see above.
 * @param want    What it must be. WEIR_VFIO_TYPE1 asks for either, v2 preferred.
 * @param flags   0 or WEIR_VFIO_COMPAT.
 * @return 0; -ENODEV: no such device, or it has no IOMMU group; -ENOENT: no
 *         VFIO in this kernel, or the device is bound to no VFIO driver;
 *         -EBUSY: the group is open elsewhere; -EPERM: not all of the group is
 *         with VFIO drivers, or no right to go without an IOMMU; -EACCES: no right
 *         to the files; -ENOTSUP: the container does not offer @p want; -EPROTO:
 *         another version of VFIO; -EINVAL: unknown @p want or flag; -ENAMETOOLONG;
 *         -EMFILE; -ENOMEM. Nothing is left open then.
 */
int weir_vfio_create(const char *device, enum weir_vfio_iommu want, unsigned int flags,
		     struct weir_vfio **out);

/**
 * Use a container that somebody else has opened.
 *
 * @param fd  Stays its owner's, who must keep it open until weir_vfio_destroy().
 * @return 0; -EINVAL: no group is in it yet, or its type is not set; -EBADF,
 *         -ENOTTY: no container at all; -EPROTO; -ENOTSUP: of a type unknown
 *         here; -ENOMEM.
 */
int weir_vfio_adopt(int fd, struct weir_vfio **out);

/**
 * Take every entry of ours away, close the groups and devices that we opened,
 * and the container if it is our own. The backend's close() is this. NULL is
 * allowed.
 */
void weir_vfio_destroy(struct weir_vfio *v);

/** What the container is; never WEIR_VFIO_ANY. */
enum weir_vfio_iommu weir_vfio_iommu(const struct weir_vfio *v);

/**
 * The calls that go with it; the context is the struct weir_vfio.
 *
 * Without an IOMMU all of them answer -ENOTTY, as the kernel does, and so does
 * attaching to a mirror: there is nothing to map, devices see all memory at
 * its physical address.
 */
const struct weir_iommu_ops *weir_vfio_ops(const struct weir_vfio *v);

/** The container's descriptor, which stays the container's. */
int weir_vfio_fd(const struct weir_vfio *v);

/**
 * Bring another device's group in.
 *
 * @return 0, also if the group is in already by us; else as weir_vfio_create().
 *         -EINVAL also: the group's IOMMU does not go with the container.
 */
int weir_vfio_attach(struct weir_vfio *v, const char *device);

/**
 * Take a device's group out, with all of its devices, whose descriptors are
 * closed. With the last group of a container go its entries.
 *
 * @return 0; -ENODEV: no such device; -ENOENT: its group was not attached by us.
 */
int weir_vfio_detach(struct weir_vfio *v, const char *device);

/**
 * Open a device of an attached group, or find it open.
 *
 * @param fd  The device's descriptor, which stays the container's: closed by
 *            weir_vfio_detach() and weir_vfio_destroy().
 * @return 0; -ENODEV: no such device; -ENOENT: its group was not attached by us;
 *         -EMFILE; -ENOMEM; or why its driver could not enable it.
 */
int weir_vfio_device(struct weir_vfio *v, const char *device, int *fd);

#ifdef __cplusplus
}
#endif
#endif /* WEIR_VFIO_H */
