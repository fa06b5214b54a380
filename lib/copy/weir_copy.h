/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_COPY_H
#define WEIR_COPY_H
/**
 * @file
 * Copies by DMA engines, over DPDK's dmadev.
 *
 * A *channel* is one virtual channel (vchan) of a dmadev. Copies submitted to
 * it are numbered, 1, 2, 3...; a channel completes in that order, so that one
 * number, `done`, says of each copy whether it is done. A user keeps the number
 * of its last copy and compares. That works for several users of one channel
 * too: whoever polls it moves `done` for all.
 *
 *     weir_copy_lock(c);
 *     seq = weir_copy_submit(c, ...);    any number of copies
 *     weir_copy_kick(c);                 once a burst
 *     weir_copy_poll(c);                 at once, or in a later burst
 *     weir_copy_unlock(c);
 *     if (weir_copy_done(c, seq)) ...
 *
 * **A copy that was submitted is done in the end.** If the engine reports an
 * error, the channel copies those bytes again by CPU and counts it; the user
 * sees a copy that is done. For that the channel keeps both host addresses until
 * the copy is done, and the user keeps the memory.
 *
 * **A device is watched** (weir_copy_tend()). One whose oldest copy does not end,
 * or that fails more than one copy in 16, is stopped; what it had under way is
 * copied by CPU; then it is configured anew, tried with test copies, and taken
 * back when they arrive. Until then its channels have no room, so that its users
 * copy by CPU. Memory is not given back to its users before the device has
 * stopped: one that does not let itself be stopped keeps its copies under way.
 *
 * Channels are found by the dmadev's name and shared by reference count: a
 * device with many vchans gives each user one of its own, a device with few
 * lets them share. The first user configures and starts the device, the last
 * one stops it.
 *
 * Threads: weir_copy_get() and weir_copy_put() belong to the control plane, any
 * thread. All else is the data plane's, under the channel's lock, which is
 * contended only where lcores share a channel.
 */
#include <stdbool.h>
#include <stdint.h>

#include "weir_copy_chan.h"
#include "weir_range.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Say of a dmadev that it sees the memory that is copied.
 *
 * A driver whose device translates through weir's address space (weir_space.h)
 * says so when it is probed, which also says that it is a new device, and takes it back
 * when it is closed. weir_space_engine_get() says it of hardware that EAL drives through
 * VFIO. It is said of the dmadev that has the id now, not of the next one. Any thread.
 */
void weir_copy_set_reach(int16_t dev_id, bool reaches);

/**
 * Says that a dmadev that was out of use sees the memory that is copied, or sees to it.
 *
 * @return 0; -ENODEV: nothing is known of it; or why it does not.
 */
typedef int (*weir_copy_rejoin_t)(void *ctx, const char *dma_name);

/**
 * Have @p fn called for each dmadev that is about to be used again; NULL: nobody. One at
 * a time. When this returns, what was set before is not being called any more. @p fn may
 * not call what is here. Any thread.
 */
void weir_copy_set_rejoin(weir_copy_rejoin_t fn, void *ctx);

/**
 * Let go of a dmadev that is about to be removed.
 *
 * When this returns 0 no lcore is in a call to the device, and none will be; it is
 * stopped; what it had under way has been copied by CPU. Its users go on with
 * other channels or by CPU. When a dmadev of that name is plugged in again they
 * have it back, once test copies have arrived; so they have this one if it is
 * still there after 10 s.
 *
 * dma_weir does this itself when it is removed or closed. For other drivers it
 * happens when EAL tells of a removal (RTE_DEV_EVENT_REMOVE); an application that
 * removes a device by rte_dev_remove() or the like, of which EAL tells nobody,
 * calls this first. A dmadev that is not in use is no error. Any thread but an
 * lcore's.
 *
 * @return 0; what the device answered to being stopped: it may still write, and
 *         must not be removed.
 */
int weir_copy_unplug(const char *dma_name);

/**
 * Take a channel of a dmadev.
 *
 * A device that nobody of ours uses is configured and started; one that is
 * started already, by the application, is refused. So is one that would not see
 * guest memory where the CPU does: a device behind an IOMMU that was not told of
 * that memory faults, and one that takes physical addresses would write anywhere.
 * What is taken: devices of which weir_copy_set_reach() was said, and those that
 * use the process's own addresses (RTE_DMA_CAPA_SVA, and EAL in IOVA=VA mode).
 *
 * @param dma_name  The dmadev's name, as in rte_dma_get_dev_id_by_name().
 * @return 0; -ENODEV: no dmadev of that name; -ENOTSUP: it lacks what it takes to
 *         copy from memory to memory, the log says what; -EXDEV: it does not see guest
 * memory; -EBUSY: the application has started it; -ENOMEM; or what the device answered to
 *         being configured.
 */
int weir_copy_get(const char *dma_name, struct weir_copy_chan **out);

/**
 * Take a channel for each name of a list that ',' separates, all or none.
 *
 * @param out  Room for @p max channels; *nr are taken.
 * @return 0; -EINVAL: an empty name; -E2BIG: more than @p max; or as
 *         weir_copy_get() answers, and the log says of which of several names.
 */
int weir_copy_get_all(const char *dma_names, struct weir_copy_chan **out,
		      unsigned int max, unsigned int *nr);

/** Give @p nr channels back, as weir_copy_put(). */
void weir_copy_put_all(struct weir_copy_chan *const *c, unsigned int nr);

/** Give a channel back; nothing of the caller's may be under way. */
void weir_copy_put(struct weir_copy_chan *c);

/**
 * Look after all devices in use: find what hangs or fails, and bring it back.
 *
 * To be called every few milliseconds by a thread that may block, as stopping a
 * device does; more often costs nothing. weir_port.h's ports do it while a ring of
 * theirs has a channel. Control plane, any thread.
 */
void weir_copy_tend(void);

/**
 * Set how old a device's oldest copy may become.
 *
 * @param timeout_us  Microseconds, at most 10^9; 500000 at first. Too short, and a
 *                    device that is merely busy is reset, which costs speed and
 *                    loses nothing. 0: as long as it likes. For all devices. Time
 *                    between two looks of weir_copy_tend() counts for a quarter of
 *                    this at most: a machine that stood still accuses no device.
 */
void weir_copy_set_watchdog(uint64_t timeout_us);

/** @return what weir_copy_set_watchdog() set last, microseconds. */
uint64_t weir_copy_watchdog(void);

/**
 * Find the last copy under way that reads or writes host memory in @p hva.
 *
 * Memory that goes away is waited for by this number and weir_copy_drain(), and
 * copies elsewhere, submitted later, go on. What is submitted during the call may
 * be missed: the caller has seen to it that nothing new leads there. Control
 * plane; takes no lock and delays nobody.
 *
 * @return its number; 0: none touches it, nor will one that was submitted.
 */
uint64_t weir_copy_touching(const struct weir_copy_chan *c, struct weir_range hva);

/**
 * Wait until copy number @p seq is done. Control plane; lcores that use the
 * channel are not kept from it.
 *
 * @param timeout_us  Microseconds; 0 looks once.
 * @return 0; -EBUSY: not done at the bound; the memory may still be written.
 */
int weir_copy_drain(struct weir_copy_chan *c, uint64_t seq, uint64_t timeout_us);

/**
 * weir_copy_drain() without looking after the devices, which stops one that hangs
 * and sets it up anew: for a thread that holds what a driver may wait for then, a
 * mirror's lock or EAL's. Any thread.
 */
int weir_copy_wait(struct weir_copy_chan *c, uint64_t seq, uint64_t timeout_us);

#ifdef __cplusplus
}
#endif
#endif /* WEIR_COPY_H */
