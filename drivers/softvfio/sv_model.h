/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SV_MODEL_H
#define SV_MODEL_H
/**
 * @file
 * What a device model is: registers, and work that goes on by itself.
 *
 * A model is a PCI function at the level at which a driver meets it: bytes in
 * its BARs, addresses in its descriptors. It knows nothing of VFIO, of file
 * descriptors or of signals. The device around it (sv_dev.h) gives it register
 * memory that the driver has mapped too, a thread, and translated access to the
 * driver's memory.
 *
 * A driver's load needs nobody: it reads what the model has left in register
 * memory. A driver's store arrives in store(), which decides what it changes.
 * With regs=poll a model may open its registers for a while, so that stores go
 * to memory without a word; it then has to look for them in run().
 *
 * Threads: store() is called by whichever thread of the driver stores, in a
 * signal handler: no allocation, no stdio, and no lock that is held for longer
 * than a burst of descriptors takes. run() is called by the device's own
 * thread; reset() by any. They may meet: a model has its own lock.
 */
#include <stdint.h>

struct sv_dev;

#define SV_NR_BARS 6

/** run(): nothing to do before the next sv_dev_kick(). */
#define SV_IDLE UINT64_MAX

/** What config space says of a function. */
struct sv_pci_id {
	uint16_t vendor, device;
	uint32_t class_code;	      /**< 24 bits: class, subclass, interface */
	uint8_t revision;	      /**< as in config space */
	uint64_t bar_len[SV_NR_BARS]; /**< memory BARs of 64 bits, so even ones only;
					   powers of two, a page at least; 0: none */
	uint32_t nr_vectors;	      /**< MSI-X vectors, 1 at least */
	uint32_t msix_offset;	      /**< of the MSI-X table in BAR 0; the pending
					   bits follow a page later */
};

/** A kind of device. */
struct sv_model {
	const char *name; /**< as in WEIR_SOFTVFIO */
	struct sv_pci_id pci;

	/** Make one, registers as after power-on. @return 0; -ENOMEM. */
	int (*create)(struct sv_dev *d, void **ctx);

	/** Free it. Its thread has ended. */
	void (*destroy)(void *ctx);

	/** Function-level reset: as after power-on, registers closed; what was under
	 * way has ended. */
	void (*reset)(void *ctx);

	/**
	 * A driver stores @p len bytes at @p off of a BAR; within the BAR, any
	 * alignment. Register memory has not been changed.
	 */
	void (*store)(void *ctx, unsigned int bar, uint64_t off, const void *data,
		      uint32_t len);

	/**
	 * Work for a while, a burst of descriptors at most.
	 *
	 * @return nanoseconds until it wants to be called again unless there is a
	 *         kick before; 0: at once; SV_IDLE: on a kick only.
	 */
	uint64_t (*run)(void *ctx);
};

/** Intel I/OAT (CBDMA) 3.4, one channel. */
extern const struct sv_model sv_ioat;

/** Intel DSA 1.0, eight dedicated work queues. */
extern const struct sv_model sv_dsa;

#endif /* SV_MODEL_H */
