/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_SPACE_H
#define WEIR_SPACE_H
/**
 * @file
 * The process's DMA address space.
 *
 * All DMA engines of a process see one address space, as all devices in one
 * VFIO container do: EAL's memory (mbufs, rings) and every guest's. A space is
 * an IOMMU and two mirrors, one for EAL's memory and one for all else, plus a
 * subscription to EAL's memory, so that pages EAL allocates or frees later come
 * and go by themselves; they do not wait for a guest that is being mapped. Iovas
 * of EAL's memory are the ones EAL uses (rte_memseg.iova); guest memory takes its
 * host virtual address as iova, in either of EAL's IOVA modes: user addresses
 * and physical ones do not meet below 2^47 on the machines DPDK runs on, and if
 * they did the IOMMU would refuse it.
 *
 * Pages that EAL may give back one by one are mapped one by one. Where EAL's
 * memory stays as it is (--no-huge, --legacy-mem) each run of iovas is one
 * entry, so that 4 KiB pages do not use up the entries of an IOMMU.
 *
 * External memory is mapped if it has iovas. A heap of it may be added or
 * removed at any time, if EAL's memory is not static; memory registered with
 * rte_extmem_register() must be there before the space is made, and stay, since
 * EAL tells nobody of it.
 *
 * Needs EAL. Control plane only; any thread, but not from a callback of EAL's
 * memory, nor inside a walk of it.
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
 * @return 0; -ENOTSUP: in a secondary process, which is logged: EAL's containers and
 *         devices are the primary's; -ENOMEM; or why EAL's memory could not be
 *         mapped. Nothing is left behind then.
 */
int weir_space_get(struct weir_space **out);

/**
 * Take the process's space if there is one; for those who only look.
 *
 * @return NULL: there is none. Any thread.
 */
struct weir_space *weir_space_peek(void);

/**
 * Give it back; the last one unmaps all and frees it. No device may be attached
 * to its model any more then. NULL is allowed.
 */
void weir_space_put(struct weir_space *s);

/**
 * Its mirror for guest memory, which does not hold EAL's; valid until
 * weir_space_put().
 */
struct weir_mirror *weir_space_mirror(struct weir_space *s);

/** The model behind it, for software engines that have to translate. */
struct weir_sim *weir_space_sim(struct weir_space *s);

/** A user of a dmadev that is allowed to reach the space. */
struct weir_space_engine;

/**
 * Let a dmadev reach what is mapped, before weir_copy_get() or a queue takes it.
 *
 * dma_weir translates through the model, and devices that use the process's own
 * addresses need nobody's leave: for these there is nothing to do. A device that
 * EAL drives through VFIO is in EAL's container, which has EAL's memory and lacks
 * the guests'. With the first such device the container is adopted (see
 * weir_vfio_adopt()), and guest memory, now and from then on, is mapped in it as
 * well as in the model: it costs what pinning costs, and has to fit both. With the
 * last one it is unmapped again. Memory of EAL's is never mapped or unmapped there.
 * Both is logged, and shown by telemetry, /weir/space.
 *
 * The device must stay until weir_space_engine_put(). One that the application
 * has put into a container of its own, while EAL's has others, is taken for one
 * of EAL's: its copies fault.
 *
 * Control plane, any thread; it blocks for as long as the guests that are there
 * take to be pinned.
 *
 * @param dma_name  As in rte_dma_get_dev_id_by_name().
 * @param out       NULL if there was nothing to do.
 * @return 0; -ENODEV: no dmadev of that name; -EXDEV: it sees no guest memory,
 *         because there is no IOMMU (VFIO's no-IOMMU mode: guest memory is not
 *         pinned, and has no addresses to give to a device), or it is not in
 *         EAL's container; -ENOMEM; or why the guests' memory could not be mapped
 *         there: -ERANGE (beyond the IOMMU's apertures), -ENOSPC, -EEXIST, as of
 *         weir_mirror_attach(). What it is is logged.
 */
int weir_space_engine_get(struct weir_space *s, const char *dma_name,
			  struct weir_space_engine **out);

/**
 * End that; before weir_space_put(), and after the device's last copy of ours is
 * done. NULL is allowed.
 */
void weir_space_engine_put(struct weir_space_engine *e);

/**
 * EAL's default VFIO container: the one that has the devices which EAL has probed.
 *
 * rte_vfio_get_container_fd() is that in some releases of DPDK (22.11.11, 25.11.2), and a
 * new container each time in others (24.11.4). There it is looked for among the process's
 * descriptors: a page is mapped and unmapped by EAL, which takes an entry of it for
 * that long. That wants an IOMMU of type1 whose kernel tells of entries (5.10). Needs
 * EAL. Any thread; not while another maps in a container of the process's, else it may
 * not be found.
 *
 * @return its descriptor, which stays EAL's; -ENODEV: EAL has no device that is
 *         bound to VFIO, or it was not found; -ENOMEM.
 */
int weir_space_eal_container(void);

/**
 * Times that EAL's memory changed and the mirror could not follow.
 *
 * EAL cannot be told so: what was not mapped faults when a device uses it. Each
 * is logged. 0 in a healthy process.
 */
uint64_t weir_space_failures(struct weir_space *s);

#ifdef __cplusplus
}
#endif
#endif /* WEIR_SPACE_H */
