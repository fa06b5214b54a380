/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VFIO_BENCH_H
#define VFIO_BENCH_H
/*
 * A backend of the real kernel with an `edu` behind it: in a machine that has
 * both, devtools/vm's.
 */
#include "edu.h"
#include "iommu_suite.h"
#include "weir_iommufd.h"
#include "weir_vfio.h"

struct vfio_bench {
	struct weir_vfio *vfio;		  /* or */
	struct weir_iommufd *iommufd;	  /* NULL */
	const struct weir_iommu_ops *ops; /* with ctx, what a mirror wants */
	void *ctx;
	struct edu edu;
};

/*
 * Open one for a column of the suite, with all rights and limits of the process
 * as they were at first.
 *
 * @return 0; -ENODEV: no edu is bound to vfio-pci; or what the backend answered.
 */
int vfio_bench_open(struct vfio_bench *b, enum iommu_column column);

/* Close it, with the backend but if a mirror owns that. */
void vfio_bench_close(struct vfio_bench *b, bool backend_too);

/*
 * Why there is nothing to test here.
 *
 * @return NULL: there is; else words.
 */
const char *vfio_bench_missing(enum iommu_column column);

/* The process may lock so many bytes from now on, whoever it is. */
int vfio_bench_limit_locked(uint64_t bytes);

/* Containers opened from now on hold so many entries. @return 0; -errno. */
int vfio_bench_limit_entries(uint64_t nr);

#endif /* VFIO_BENCH_H */
