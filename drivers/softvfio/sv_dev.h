/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SV_DEV_H
#define SV_DEV_H
/**
 * @file
 * A PCI function: config space, register memory, interrupts, a thread, and the
 * faults that are planned for it; its behaviour is a model's (sv_model.h).
 *
 * Register memory is a memfd, all BARs behind each other, mapped once for the
 * model, writable, and once for each mapping that the driver makes. The
 * driver's mappings are views (sv_view.h): write-protected, so that a store
 * faults and becomes a call of the model, while loads cost what loads cost.
 *
 * A device exists for as long as the process. It is *open* between a driver's
 * first GET_DEVICE_FD and its last close: then it is attached to the domain of
 * its group's container and its thread runs. The last close resets it.
 *
 * It can be unplugged at any time, whether it is open or not: then its registers
 * and config space are all ones, stores to them are lost, it reaches no memory and
 * does no work. What is open stays so; it can be plugged in again once that is
 * closed, and is as after power-on then.
 *
 * Threads: the functions here from any thread but where something else is said;
 * sv_dev_open() and sv_dev_close() are serialised by the caller.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "sv_fault.h"
#include "sv_spec.h"
#include "weir_sim.h"

#define SV_CONFIG_LEN 4096

/** What a device has done; read any time. */
struct sv_counters {
	_Atomic uint64_t work;	 /**< descriptors carried out */
	_Atomic uint64_t bytes;	 /**< bytes they moved */
	_Atomic uint64_t errors; /**< descriptors that failed */
	_Atomic uint64_t resets; /**< by command or as a function */
	_Atomic uint64_t stores; /**< register stores that came as a call */
	_Atomic uint64_t faults; /**< addresses that could not be reached */
};

/** Event descriptors of one kind of interrupt. */
struct sv_irqs {
	int *fd; /**< -1: none */
	uint32_t nr;
};

/** Kinds of interrupt: VFIO_PCI_INTX_IRQ_INDEX to VFIO_PCI_REQ_IRQ_INDEX. */
#define SV_NR_IRQ_KINDS 5

struct sv_dev {
	struct sv_spec spec;
	void *ctx; /**< the model's */

	int regs_fd;
	uint8_t *regs; /**< our own view of all BARs */
	size_t regs_len;
	uint64_t bar_off[SV_NR_BARS]; /**< in the memfd, and in regs */
	_Atomic bool regs_open;	      /**< views are writable; guarded as they are */

	pthread_mutex_t config_lock; /**< guards config */
	uint8_t config[SV_CONFIG_LEN];
	uint8_t config_mask[SV_CONFIG_LEN]; /**< bits a driver can change; constant */
	_Atomic bool bus_master;	    /**< as the command register says */

	pthread_mutex_t irq_lock; /**< guards irqs */
	struct sv_irqs irqs[SV_NR_IRQ_KINDS];

	unsigned int nr_open;	 /**< guarded by the caller of open and close */
	struct weir_sim_dev dma; /**< attached while open; its thread's */
	pthread_t thread;
	_Atomic uint32_t kicks;	 /**< what the thread sleeps on */
	_Atomic uint32_t asleep; /**< it does, or is about to */
	_Atomic bool stop;
	_Atomic bool gone; /**< unplugged */

	struct sv_faults faults;
	struct sv_counters counters;
};

/** CPUs that a device's thread may run on unless it is told otherwise. */
extern cpu_set_t sv_home_cpus;

/** Make a device. @return 0; -ENOMEM; or why register memory cannot be had. */
int sv_dev_create(const struct sv_spec *spec, struct sv_dev **out);

/** Free it; not open, no views. NULL is allowed. */
void sv_dev_destroy(struct sv_dev *d);

/**
 * Open it once more; the first time it comes to life in @p sim.
 *
 * @return 0; -EAGAIN, -ENOMEM: no thread.
 */
int sv_dev_open(struct sv_dev *d, struct weir_sim *sim);

/** Close it; the last one ends its thread, detaches and resets it. */
void sv_dev_close(struct sv_dev *d);

/** Function-level reset as VFIO_DEVICE_RESET does it: config space stays. */
void sv_dev_reset(struct sv_dev *d);

/** Wake its thread. May be called in a signal handler. */
void sv_dev_kick(struct sv_dev *d);

/**
 * A store to a BAR: calls the model. @p off and @p len lie within the BAR. May
 * be called in a signal handler.
 */
void sv_dev_store(struct sv_dev *d, unsigned int bar, uint64_t off, const void *data,
		  uint32_t len);

/** The model's own view of a BAR. */
static inline void *
sv_dev_bar(struct sv_dev *d, unsigned int bar)
{
	return d->regs + d->bar_off[bar];
}

/**
 * Let stores to its registers pass without a call, or trap them again. When the
 * call to trap returns, every store before it is in register memory.
 */
void sv_dev_regs_open(struct sv_dev *d, bool open);

/** Fire an MSI-X vector, if the driver has asked for it. */
void sv_dev_interrupt(struct sv_dev *d, uint32_t vector);

/** Ask the driver to let go of the device (VFIO's request interrupt). */
void sv_dev_request(struct sv_dev *d);

/** Unplug it; when this returns it writes to no memory. Again: nothing happens. */
void sv_dev_unplug(struct sv_dev *d);

/** Plug it in again. Not open. */
void sv_dev_plug(struct sv_dev *d);

/*
 * DMA, on the device's thread. Between enter and leave, addresses that were
 * translated hold; a section is short and never sleeps.
 */

static inline void
sv_dma_enter(struct sv_dev *d)
{
	weir_sim_enter(&d->dma);
}

static inline void
sv_dma_leave(struct sv_dev *d)
{
	weir_sim_leave(&d->dma);
}

/**
 * Translate as weir_sim_translate() does. A function that is no bus master
 * reaches nothing.
 */
static inline void *
sv_dma(struct sv_dev *d, uint64_t iova, uint32_t prot, uint64_t *len)
{
	void *p = NULL;

	if (atomic_load_explicit(&d->bus_master, memory_order_relaxed))
		p = weir_sim_translate(&d->dma, iova, prot, len);
	if (p == NULL)
		atomic_fetch_add_explicit(&d->counters.faults, 1, memory_order_relaxed);
	return p;
}

/* Config space (pci.c). */

/** Fill in config space as after power-on, and the bits a driver can change. */
void sv_pci_layout(const struct sv_spec *spec, uint8_t *config, uint8_t *mask);

/** The bus address that a BAR is given. */
uint64_t sv_pci_bar_address(const struct sv_spec *spec, unsigned int bar);

/** Give a device its config space. */
void sv_pci_init(struct sv_dev *d);

/** Read or write a part of it that lies within SV_CONFIG_LEN. */
void sv_pci_read(struct sv_dev *d, uint32_t off, void *buf, uint32_t len);
void sv_pci_write(struct sv_dev *d, uint32_t off, const void *buf, uint32_t len);

/** Take its command register back to what it is when nobody drives it. */
void sv_pci_disable(struct sv_dev *d);

/** Config space is not there, or is there as after power-on. */
void sv_pci_plug(struct sv_dev *d, bool there);

/* Interrupts (irq.c). */

/** @return 0; -ENOMEM. */
int sv_irqs_init(struct sv_dev *d);
void sv_irqs_fini(struct sv_dev *d);

/** Let go of all event descriptors. */
void sv_irqs_disable(struct sv_dev *d);

/** VFIO_DEVICE_GET_IRQ_INFO and VFIO_DEVICE_SET_IRQS. */
int sv_irqs_info(struct sv_dev *d, void *arg);
int sv_irqs_set(struct sv_dev *d, void *arg);

/* What a driver does to a device through its descriptor (region.c). */

/** An ioctl on it. @return 0 or -errno. */
int sv_dev_ioctl(struct sv_dev *d, unsigned long cmd, void *arg);

/** pread() and pwrite(). @return bytes or -errno. */
ssize_t sv_dev_pread(struct sv_dev *d, void *buf, size_t len, uint64_t off);
ssize_t sv_dev_pwrite(struct sv_dev *d, const void *buf, size_t len, uint64_t off);

/**
 * mmap() of a region.
 *
 * @param owner  The view's, see sv_view.h.
 * @param out    The address.
 * @return as sv_view_map(); -EINVAL: no such region, or not within it, or private.
 */
int sv_dev_mmap(struct sv_dev *d, void *addr, size_t len, int prot, int flags,
		uint64_t off, void *owner, void **out);

#endif /* SV_DEV_H */
