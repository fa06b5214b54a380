/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FAKE_VFIO_H
#define FAKE_VFIO_H
/*
 * A kernel with VFIO and iommufd, behind the backends' table of system calls.
 *
 * The model (weir_sim.h) answers for the IOMMU; what is here are containers,
 * groups and devices with the answers to calls in the wrong order. It has three
 * devices: two behind an IOMMU, each with a group of its own, and one without.
 * Descriptors are real ones, so that one that leaks, or is closed twice, is seen.
 */
#include <stdbool.h>
#include <stdint.h>

#include "weir_sim.h"

enum fake_vfio_device {
	FAKE_DEV0,
	FAKE_DEV1,
	FAKE_DEV_NOIOMMU,
	FAKE_DEV_UNBOUND, /* with a group, but no driver of VFIO's */
	FAKE_DEV_NR,
};

/* What a kernel can be like; all zero is an ordinary one. */
struct fake_vfio_config {
	int api_version;
	bool only_v1; /* does not offer type1 v2 */
	bool old;     /* tells no capabilities, knows no dirty tracking */
	bool spapr;
	bool one_window;	  /* sPAPR's first, and no other */
	unsigned int window_bits; /* sPAPR's largest other; 0: 46 */
	bool not_viable;	  /* part of a group is with another driver */
	unsigned int nr_ranges;	  /* apertures it reports, each larger; 0: the model's */
	bool loop;		  /* its chain of capabilities bites its own tail */
	uint64_t dma_avail;	  /* entries in a container; 0: 65535 */
};

/*
 * Be the kernel until fake_vfio_end().
 *
 * @return false: no temporary folder for the devices' entries in sysfs.
 */
bool fake_vfio_begin(const struct fake_vfio_config *config);

/* @return descriptors left open, which are closed then. */
unsigned int fake_vfio_end(void);

/* Descriptors open now. */
unsigned int fake_vfio_open_fds(void);

/* The path of a device's folder, to be used as its name. */
const char *fake_vfio_name(enum fake_vfio_device dev);

/* The model behind a container, or an iommufd's IOAS; NULL: no type set. */
struct weir_sim *fake_vfio_sim(int fd);

/* Answer the next call of UNMAP_DMA with success, so many bytes gone, and do nothing. */
void fake_vfio_lie(uint64_t gone);

#endif /* FAKE_VFIO_H */
