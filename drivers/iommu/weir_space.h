/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_SPACE_H
#define WEIR_SPACE_H
/**
 * @file
 * The process's DMA address space.
 *
 * All DMA engines of a process see one address space, as all devices in one
 * VFIO container do: EAL's memory (mbufs, rings) and every guest's. A space is
 * a mirror whose backend is an IOMMU, plus a subscription to EAL's memory, so
 * that pages EAL allocates or frees later come and go by themselves. Iovas of
 * EAL's memory are the ones EAL uses (rte_memseg.iova); guest memory takes its
 * host virtual address as iova, in either of EAL's IOVA modes: user addresses
 * and physical ones do not meet below 2^47 on the machines DPDK runs on, and if
 * they did the map would refuse it.
 *
 * Needs EAL. Control plane only.
 */
#include "weir_mirror.h"
#include "weir_sim.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_space;

/**
 * Take the process's space, made on its first use.
 *
 * @return 0; -ENOMEM; or why EAL's memory could not be mapped.
 */
int weir_space_get(struct weir_space **out);

/** Give it back; the last one unmaps EAL's memory and frees it. */
void weir_space_put(struct weir_space *s);

/** Its mirror, for mapping guest memory; valid until weir_space_put(). */
struct weir_mirror *weir_space_mirror(struct weir_space *s);

/** The model behind it, for software engines that have to translate. */
struct weir_sim *weir_space_sim(struct weir_space *s);

#ifdef __cplusplus
}
#endif
#endif /* WEIR_SPACE_H */
