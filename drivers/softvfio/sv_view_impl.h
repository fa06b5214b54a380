/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SV_VIEW_IMPL_H
#define SV_VIEW_IMPL_H
/**
 * @file
 * What the list of views (view.c) and the handler of faults (trap.c) share.
 */
#include "sv_dev.h"
#include "weir_range.h"

/** One view; `dev` is stored last and cleared first, for the handler. */
struct sv_view {
	struct sv_dev *_Atomic dev; /**< NULL: free */
	struct weir_range hva;
	uint64_t off; /**< in the BAR, behind hva.start */
	unsigned int bar;
	int prot; /**< what the driver asked for */
	void *owner;
};

/** The view that shows @p addr; NULL: none does. Lock-free. */
const struct sv_view *sv_view_find(uint64_t addr);

/** Have the signals come to us. @return 0; or as sigaction(). */
int sv_trap_install(void);

#endif /* SV_VIEW_IMPL_H */
