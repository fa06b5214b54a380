/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VFIO_IMPL_H
#define VFIO_IMPL_H
/*
 * A container's inside. vfio.c has what all containers have in common: finding
 * out the type, groups, devices. What a map is to each type is in a file of
 * its own, behind a struct vfio_type.
 */
#include <stdatomic.h>

#include "vfio_book.h"
#include "weir_vfio.h"

/* A device that we opened. */
struct vfio_device {
	struct vfio_device *next;
	int fd;
	char name[]; /* the kernel's, without a path */
};

/* A group that we brought in. */
struct vfio_group {
	struct vfio_group *next;
	struct vfio_device *devices;
	unsigned int number;
	int fd;
};

struct weir_vfio {
	const struct vfio_type *type; /* NULL: not set yet */
	enum weir_vfio_iommu iommu;
	int fd;
	bool adopted; /* fd is somebody else's */
	bool compat;  /* known to be iommufd's stand-in */
	/* adopted, and its last group has left: nothing of ours is mapped any more */
	_Atomic bool lost;
	struct vfio_group *groups;

	uint64_t max_entries; /* of a container of our own, from its first group on */
	uint64_t mapped;      /* bytes of ours, by the kernel's word */
	struct vfio_book book;

	/* sPAPR's */
	struct weir_tree memory; /* what is registered: struct spapr_memory */
	struct weir_range window;
	bool windowed; /* `window` is valid, and bounds what can be mapped */
};

/* What a container of some type does. */
struct vfio_type {
	const char *name;     /* as weir_iommu_caps.name */
	unsigned long number; /* of VFIO_CHECK_EXTENSION and VFIO_SET_IOMMU */
	const struct weir_iommu_ops *ops;
	/*
	 * The type was just set, or the container adopted: nothing of ours is
	 * mapped. @return 0; -errno, and the container is given up.
	 */
	int (*begin)(struct weir_vfio *v);
	/* The kernel has forgotten it all; the book is empty. NULL: nothing to do. */
	void (*end)(struct weir_vfio *v);
};

extern const struct weir_iommu_ops vfio_type1_ops;
extern const struct weir_iommu_ops vfio_spapr_ops;
extern const struct weir_iommu_ops vfio_noiommu_ops;

int vfio_type1_begin(struct weir_vfio *v);
int vfio_spapr_begin(struct weir_vfio *v);
int vfio_noiommu_begin(struct weir_vfio *v);

void vfio_spapr_end(struct weir_vfio *v);

/* Which of v1 and v2 an adopted container is, WEIR_VFIO_TYPE1 if unknown. */
enum weir_vfio_iommu vfio_type1_which(int fd);

#endif /* VFIO_IMPL_H */
