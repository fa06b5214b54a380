/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_SIM_H
#define WEIR_SIM_H
/**
 * @file
 * A model of the kernel's IOMMU interface that also translates.
 *
 * Two halves, as in a machine. The *interface* half answers map and unmap as a
 * kernel does, case by case (doc/errors.md lists them; measured on Debian's 6.1
 * and 6.12 kernels), including what is odd in them: type1 v1 frees a whole
 * entry when its head is unmapped and nothing when its tail is. The
 * *translation* half is a page table of four levels that devices walk without a
 * lock. An address that is not there, or without the permission, is a fault: it
 * is counted and no memory is touched.
 *
 * A device is a reader (weir_epoch.h): it translates and copies inside one
 * section, and unmap returns only when every device has left the section it
 * was in. That is the IOTLB flush of a real IOMMU: after unmap no copy reaches
 * the old memory.
 */
#include <stdbool.h>
#include <stdint.h>

#include "weir_epoch.h"
#include "weir_iommu.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Whose rules the interface half follows. */
enum weir_sim_flavour {
	WEIR_SIM_TYPE1_V1, /**< VFIO_TYPE1_IOMMU */
	WEIR_SIM_TYPE1_V2, /**< VFIO_TYPE1v2_IOMMU */
};

struct weir_sim;

/** The model as a backend of a mirror; the context is a struct weir_sim. */
extern const struct weir_iommu_ops weir_sim_ops;

/**
 * Make a domain with nothing mapped.
 *
 * @return 0; -EINVAL: no such flavour; -ENOMEM.
 */
int weir_sim_create(enum weir_sim_flavour flavour, struct weir_sim **out);

/** Free it. No device may be attached any more. */
void weir_sim_destroy(struct weir_sim *s);

/** Set how many entries it may hold; 65535 at first, as the kernel's default. */
void weir_sim_set_limit(struct weir_sim *s, uint64_t max_entries);

/** A device's view of a domain. One thread at a time. */
struct weir_sim_dev {
	struct weir_epoch_reader reader;
	struct weir_sim *sim;
	uint64_t faults; /**< translations refused; its owner's to read */
};

/** Attach a device. The memory is the caller's until weir_sim_detach(). */
void weir_sim_attach(struct weir_sim *s, struct weir_sim_dev *d);

/** Detach it; it must be outside a section. */
void weir_sim_detach(struct weir_sim_dev *d);

/** Enter a section: translations made in it hold until weir_sim_leave(). */
static inline void
weir_sim_enter(struct weir_sim_dev *d)
{
	weir_epoch_enter(&d->reader);
}

/** Leave the section: what was translated in it may go away. */
static inline void
weir_sim_leave(struct weir_sim_dev *d)
{
	weir_epoch_leave(&d->reader);
}

/**
 * Translate, inside a section.
 *
 * @param prot  WEIR_PROT_READ or WEIR_PROT_WRITE.
 * @param len   In: bytes wanted, not 0. Out: bytes that go on contiguously in
 *              host memory, at most those wanted.
 * @return the host address, NULL: a fault at the first byte, counted.
 */
void *weir_sim_translate(struct weir_sim_dev *d, uint64_t iova, uint32_t prot,
			 uint64_t *len);

/** Faults of all its devices since it was made, those detached included. */
uint64_t weir_sim_faults(struct weir_sim *s);

/** Entries it holds now. */
uint64_t weir_sim_entries(struct weir_sim *s);

#ifdef __cplusplus
}
#endif
#endif /* WEIR_SIM_H */
