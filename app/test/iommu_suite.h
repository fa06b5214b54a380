/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_IOMMU_SUITE_H
#define WEIR_IOMMU_SUITE_H
/*
 * What an IOMMU backend has to answer, case by case, as measured on Debian's
 * 6.1 and 6.12 kernels (doc/errors.md). The suite knows struct weir_iommu_ops
 * only, so that it runs over the model and over the kernel itself, and shows
 * where the two differ. A backend names the column of expected answers that is
 * its own; what was not measured for a column is not asked of it.
 */
#include "test.h"
#include "weir_iommu.h"

enum iommu_column {
	COL_TYPE1_V1,
	COL_TYPE1_V2,
	COL_IOMMUFD,   /* an IOAS with a device attached */
	COL_COMPAT_V1, /* /dev/iommu as a VFIO container */
	COL_COMPAT_V2,
	NR_COLUMNS,
};

/* A backend under test. A member that is NULL skips the cases that need it. */
struct iommu_suite {
	enum iommu_column column;
	const struct weir_iommu_ops *ops;
	/* A context with nothing mapped; ops->close() ends it. */
	int (*open)(void **ctx);
	/* Limit the entries, or the bytes locked, of a context. */
	int (*limit_entries)(void *ctx, uint64_t nr);
	int (*limit_locked)(void *ctx, uint64_t bytes);
	/* The call that unmaps everything, whatever it is called there. */
	int (*unmap_all)(void *ctx, uint64_t *unmapped);
	/* True if a device that writes to the page reaches memory. */
	bool (*device_writes)(void *ctx, uint64_t iova);
};

enum test_result iommu_suite_caps(const struct iommu_suite *s);
enum test_result iommu_suite_unmap(const struct iommu_suite *s);
enum test_result iommu_suite_unmap_arguments(const struct iommu_suite *s);
enum test_result iommu_suite_unmap_all(const struct iommu_suite *s);
enum test_result iommu_suite_unmap_2m(const struct iommu_suite *s);
enum test_result iommu_suite_map(const struct iommu_suite *s);
enum test_result iommu_suite_map_overlap(const struct iommu_suite *s);
enum test_result iommu_suite_entry_limit(const struct iommu_suite *s);
enum test_result iommu_suite_locked_limit(const struct iommu_suite *s);
enum test_result iommu_suite_reopen(const struct iommu_suite *s);

#endif /* WEIR_IOMMU_SUITE_H */
