/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_IOMMU_SUITE_H
#define WEIR_IOMMU_SUITE_H
/*
 * What an IOMMU backend has to answer, case by case, as measured on Debian's
 * 6.1 and 6.12 kernels, POWER's as read in the kernel's source (doc/errors.md).
 * The suite knows struct weir_iommu_ops only, so that it runs over the model and
 * over the kernel itself, and shows where the two differ. A backend names the
 * column of expected answers that is its own; what was not measured for a column
 * is not asked of it.
 */
#include "test.h"
#include "weir_iommu.h"

enum iommu_column {
	COL_TYPE1_V1,
	COL_TYPE1_V2,
	COL_IOMMUFD,   /* an IOAS with a device attached */
	COL_COMPAT_V1, /* /dev/iommu as a VFIO container */
	COL_COMPAT_V2,
	COL_SPAPR,	/* POWER's interface, with the suite's own memory registered */
	COL_VFIO_SPAPR, /* the backend over it, which registers memory by itself */
	NR_COLUMNS,
};

/* A backend under test. A member that is NULL skips the cases that need it. */
struct iommu_suite {
	enum iommu_column column;
	/* Why it cannot be run on this machine; NULL: it can. May be NULL itself. */
	const char *(*missing)(void);
	const struct weir_iommu_ops *ops;
	/* A context with nothing mapped; ops->close() ends it. */
	int (*open)(void **ctx);
	/* Called with the memory that a case will map, all but what is odd about it. */
	int (*prepare)(void *ctx, void *mem, size_t len);
	/*
	 * Limit the entries, or the bytes locked, of a context with nothing mapped;
	 * the first may put another in its place, as a kernel that looks at its
	 * limit when a container is opened makes necessary.
	 */
	int (*limit_entries)(void **ctx, uint64_t nr);
	int (*limit_locked)(void *ctx, uint64_t bytes);
	/* The call that unmaps everything, whatever it is called there. */
	int (*unmap_all)(void *ctx, uint64_t *unmapped);
	/*
	 * True if a device that writes to the page reaches memory, which is
	 * somewhere in the @nr units of @unit bytes at @mem: of those it may change
	 * the first word.
	 */
	bool (*device_writes)(void *ctx, uint64_t iova, void *mem, size_t unit,
			      size_t nr);
};

/* Run one of those below, or skip it where the backend is not to be had. */
enum test_result iommu_suite_run(const struct iommu_suite *s,
				 enum test_result (*fn)(const struct iommu_suite *s));

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

/*
 * For a backend that has no IOMMU, and no column: every call that the cases above
 * make is answered with -ENOTTY, and so is attaching it to a mirror.
 */
enum test_result iommu_suite_refuses(const struct iommu_suite *s);

#define IOMMU_SUITE_CASE(nm, what)                                       \
	static enum test_result nm##_##what(void)                        \
	{                                                                \
		return iommu_suite_run(&nm##_suite, iommu_suite_##what); \
	}

/* Make functions that run the suite nm_suite, and then a table's rows of them. */
#define IOMMU_SUITE_CASES(nm)                 \
	IOMMU_SUITE_CASE(nm, caps)            \
	IOMMU_SUITE_CASE(nm, unmap)           \
	IOMMU_SUITE_CASE(nm, unmap_arguments) \
	IOMMU_SUITE_CASE(nm, unmap_all)       \
	IOMMU_SUITE_CASE(nm, unmap_2m)        \
	IOMMU_SUITE_CASE(nm, map)             \
	IOMMU_SUITE_CASE(nm, map_overlap)     \
	IOMMU_SUITE_CASE(nm, entry_limit)     \
	IOMMU_SUITE_CASE(nm, locked_limit)    \
	IOMMU_SUITE_CASE(nm, reopen)

#define IOMMU_SUITE_ROWS(nm)                                                      \
	{ #nm "_caps_as_measured", nm##_caps },                                   \
		{ #nm "_unmap_as_measured", nm##_unmap },                         \
		{ #nm "_unmap_bad_arguments_as_measured", nm##_unmap_arguments }, \
		{ #nm "_unmap_all_removes_all", nm##_unmap_all },                 \
		{ #nm "_unmap_2m_entry_as_measured", nm##_unmap_2m },             \
		{ #nm "_map_as_measured", nm##_map },                             \
		{ #nm "_map_overlap_refused", nm##_map_overlap },                 \
		{ #nm "_entry_limit_enospc_after_eexist", nm##_entry_limit },     \
		{ #nm "_locked_limit_enomem", nm##_locked_limit },                \
	{                                                                         \
#nm "_reopen_empty", nm##_reopen                                  \
	}

#endif /* WEIR_IOMMU_SUITE_H */
