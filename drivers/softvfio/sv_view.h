/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SV_VIEW_H
#define SV_VIEW_H
/**
 * @file
 * The driver's mappings of registers, and the faults that stores to them make.
 *
 * A view is a stretch of the process's addresses that shows a part of a BAR. It
 * is readable only, as long as the device's registers are trapped: a store
 * faults, the handler of SIGSEGV finds the view, reads the instruction
 * (sv_insn.h), calls the model and steps over it. MOVDIR64B to a view on a
 * processor that lacks it comes by SIGILL. A fault anywhere else goes to whoever
 * handled the signal before, or has asked to since.
 *
 * A view has an owner, the device's file, which it keeps open as a mapping does
 * in the kernel: the owner is given back when its last view has gone.
 *
 * Threads: any. The handler takes no lock; a store to a view that is being
 * unmapped at that moment is the driver's bug.
 */
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sv_dev;

/** Views that can be there at once. */
#define SV_MAX_VIEWS 128

/** Called, outside any lock of ours, when an owner's last view is no more. */
extern void (*sv_view_closed)(void *owner);

/**
 * Map [off, off + len) of a BAR, which is page-aligned and within it.
 *
 * @param prot  What the driver asked for.
 * @return 0: it is the owner's first view; 1: it has others; -ENOSPC: too many
 *         views; or as mmap().
 */
int sv_view_map(struct sv_dev *d, unsigned int bar, uint64_t off, void *addr, size_t len,
		int prot, int flags, void *owner, void **out);

/** Addresses have been unmapped or mapped over: what was seen there is gone. */
void sv_views_forget(const void *addr, size_t len);

/** True if there is any view: what the hot path of munmap() asks. */
bool sv_views_any(void);

/** Make a device's views writable, or trap them again (sv_dev_regs_open()). */
void sv_views_open(struct sv_dev *d, bool open);

/**
 * sigaction() as the program sees it: once there has been a view, its handlers of
 * SIGSEGV and SIGILL stand behind ours.
 *
 * @return 1: pass the call on; 0: done.
 */
int sv_trap_sigaction(int sig, const struct sigaction *act, struct sigaction *old);

#endif /* SV_VIEW_H */
