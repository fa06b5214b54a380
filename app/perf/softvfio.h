/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PERF_SOFTVFIO_H
#define PERF_SOFTVFIO_H
/*
 * VFIO for a benchmark on a machine that has none: weir-perf starts itself again
 * with libweir_softvfio preloaded (drivers/softvfio), so that its user need not
 * know of it.
 *
 * The library is looked for where the build puts it, then where it is installed,
 * both as seen from the program.
 */

/**
 * Be on the software VFIO.
 *
 * The first call starts the program again, with the same arguments, and does not
 * return; in the new one it returns. What was done before is done again.
 *
 * @param devices  As WEIR_SOFTVFIO takes them (sv_spec.h).
 * @param entries  How many a container may hold, in decimal.
 * @return 0; -ENOTSUP: there is no such library, which has been said; -errno.
 */
int perf_softvfio_enter(const char *devices, const char *entries);

/** Where the devices' folders are, as /sys/bus/pci/devices. */
const char *perf_softvfio_sysfs(void);

/** Nobody looks for devices any more: remove that tree. */
void perf_softvfio_found(void);

#endif /* PERF_SOFTVFIO_H */
