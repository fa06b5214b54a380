/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_SIM_SPAPR_H
#define WEIR_SIM_SPAPR_H
/**
 * @file
 * What POWER's interface has beside map and unmap, for a model of that flavour.
 *
 * Memory has to be registered before any of it can be mapped: that is what pins
 * it, and what counts against the locked memory. It is mapped by page into a
 * window of the bus. There is one window at a time; the first is small, and may
 * be given up for a larger one where the platform allows that.
 *
 * All of this was read in the kernel's source; nobody has compared it to a
 * machine. Where the kernel does not look whether a range ends inside the
 * window, and nobody knows what follows, the model answers -EINVAL.
 *
 * Threads: any. Each call answers -ENOTTY if the model is of another flavour.
 */
#include "weir_sim.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The window there is at first: from 0 on, of pages of 4 KiB. */
#define WEIR_SIM_WINDOW_LEN UINT64_C(0x80000000)

/** Pages that a window may have, as weir_iommu_caps.page_sizes. */
#define WEIR_SIM_WINDOW_PAGES (UINT64_C(1) << 12 | UINT64_C(1) << 16 | UINT64_C(1) << 24)

/** Levels that a window's table may have. */
#define WEIR_SIM_WINDOW_LEVELS 5u

/** What an IOMMU of this kind holds. */
struct weir_sim_spapr {
	uint64_t registered;	   /**< stretches of memory */
	uint64_t registered_bytes; /**< in them */
	uint64_t mapped_bytes;
};

/**
 * Register memory.
 *
 * @return 0; -EINVAL: empty, not of whole pages, or part of it is registered;
 *         -EBUSY: it is registered, as it is; -ENOMEM: more than may be locked,
 *         or no memory; -EFAULT: not all of it is there, and writable.
 */
int weir_sim_register(struct weir_sim *s, uint64_t hva, uint64_t len);

/**
 * Unregister memory, exactly as it was registered.
 *
 * @return 0; -EINVAL: not of whole pages; -ENOENT: no such stretch; -EBUSY: some
 *         of it is mapped.
 */
int weir_sim_unregister(struct weir_sim *s, uint64_t hva, uint64_t len);

/**
 * Make a window.
 *
 * @param page_shift  Its pages have 2^page_shift bytes. Memory is of 4 KiB pages
 *                    here, and can be mapped into windows of such pages only.
 * @param len         A power of two.
 * @param levels      From 1 to WEIR_SIM_WINDOW_LEVELS; a table of less than all
 *                    levels has room for 2^36 bytes.
 * @param start       Where it begins.
 * @return 0; -EPERM: the platform has the first window only; -ENOSPC: there is one;
 *         -EINVAL: no such window can be had.
 */
int weir_sim_window_create(struct weir_sim *s, unsigned int page_shift, uint64_t len,
			   unsigned int levels, uint64_t *start);

/**
 * Remove the window that has @p start, and all that is mapped in it.
 *
 * @return 0; -EPERM: the platform does not allow it; -EINVAL: there is none.
 */
int weir_sim_window_remove(struct weir_sim *s, uint64_t start);

/**
 * Say what windows the platform has: other than the first, and of 2^bits bytes at
 * most. At first they can be had with 46 bits.
 *
 * @return 0; -EINVAL: @p bits is more than an iova of the model has (48).
 */
int weir_sim_set_windows(struct weir_sim *s, bool others, unsigned int bits);

/** What it holds now. */
int weir_sim_spapr_state(struct weir_sim *s, struct weir_sim_spapr *out);

#ifdef __cplusplus
}
#endif
#endif /* WEIR_SIM_SPAPR_H */
