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
 * the old memory. A device keeps the translations it used last, and checks in
 * one load that no unmap has been since.
 *
 * Mapping asks the kernel whether the process has the memory and may access it
 * so, and touches one page of each file mapping to see whether the file reaches
 * that far. It does not pin: unlike in hardware, memory given back behind the
 * model's back (munmap() before unmap) is a crash of the copying thread, and
 * memory never touched is not populated.
 *
 * Threads: every call from any thread, except what is said of a device.
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
	WEIR_SIM_TYPE1_V1,  /**< VFIO_TYPE1_IOMMU */
	WEIR_SIM_TYPE1_V2,  /**< VFIO_TYPE1v2_IOMMU */
	WEIR_SIM_IOMMUFD,   /**< an IOAS with a device attached */
	WEIR_SIM_COMPAT_V1, /**< /dev/iommu as a container, VFIO_TYPE1_IOMMU */
	WEIR_SIM_COMPAT_V2, /**< /dev/iommu as a container, VFIO_TYPE1v2_IOMMU */
	WEIR_SIM_NOIOMMU,   /**< VFIO_NOIOMMU_IOMMU: there is nothing to map */
	WEIR_SIM_SPAPR,	    /**< VFIO_SPAPR_TCE_v2_IOMMU; see weir_sim_spapr.h */
};

struct weir_sim;

/** The model as a backend of a mirror; the context is a struct weir_sim. */
extern const struct weir_iommu_ops weir_sim_ops;

/**
 * Make a domain with nothing mapped.
 *
 * @return 0; -EINVAL: no such flavour; -ENOMEM; or why /proc/self/maps could
 *         not be opened.
 */
int weir_sim_create(enum weir_sim_flavour flavour, struct weir_sim **out);

/** Free it. No device may be attached any more. NULL is allowed. */
void weir_sim_destroy(struct weir_sim *s);

/**
 * Set how many entries it may hold.
 *
 * At first type1 has 65535, the kernel's default of dma_entry_limit, and
 * iommufd no limit. Entries above a lowered limit stay.
 */
void weir_sim_set_limit(struct weir_sim *s, uint64_t max_entries);

/**
 * Set how many bytes may be mapped in all, as RLIMIT_MEMLOCK does for a process
 * without CAP_IPC_LOCK. An address mapped twice counts twice. UINT64_MAX at
 * first: no limit.
 */
void weir_sim_set_memlock(struct weir_sim *s, uint64_t max_bytes);

/**
 * Unmap all, as VFIO_DMA_UNMAP_FLAG_ALL and an IOAS unmap of 0 to 2^64-1 do.
 *
 * @return bytes that are gone now; it cannot fail, also where nothing is mapped.
 */
uint64_t weir_sim_unmap_all(struct weir_sim *s);

/** A translation that was refused. */
struct weir_sim_fault {
	uint64_t iova;
	uint32_t prot; /**< what was wanted: WEIR_PROT_READ or WEIR_PROT_WRITE */
};

/** Translations that a device keeps. */
#define WEIR_SIM_TLB_LEN 16

/** One of them; valid while `gen` is the domain's. */
struct weir_sim_tlb {
	uint64_t gen; /**< 0: none */
	struct weir_range iova;
	uint64_t hva;  /**< behind iova.start */
	uint32_t prot; /**< what all of it allows */
};

/** A device's view of a domain. One thread at a time. */
struct weir_sim_dev {
	struct weir_epoch_reader reader __attribute__((aligned(64)));
	struct weir_sim *sim;
	uint64_t faults; /**< translations refused; its owner's to read */
	struct weir_sim_fault last_fault;	   /**< valid if faults is not 0 */
	struct weir_sim_tlb tlb[WEIR_SIM_TLB_LEN]; /**< by iova, 2 MiB a slot */
};

/**
 * Attach a device.
 *
 * The memory is the caller's until weir_sim_detach(), and whatever was in it is
 * overwritten. Blocks while an unmap waits for another device.
 */
void weir_sim_attach(struct weir_sim *s, struct weir_sim_dev *d);

/** Detach it; it must be outside a section. Its counters may still be read. */
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
 * Data plane: no lock, no system call. A few nanoseconds if the device has used
 * the address lately.
 *
 * @param prot  WEIR_PROT_READ or WEIR_PROT_WRITE.
 * @param len   In: bytes wanted, not 0. Out: bytes that go on contiguously in
 *              host memory, at most those wanted; 0 after a fault.
 * @return the host address, NULL: a fault at the first byte, counted.
 */
void *weir_sim_translate(struct weir_sim_dev *d, uint64_t iova, uint32_t prot,
			 uint64_t *len);

/** Faults of all its devices since it was made, those detached included. */
uint64_t weir_sim_faults(struct weir_sim *s);

/**
 * The last of them that was noted; of two at once one is.
 *
 * @return 0; -ENOENT: there has been none.
 */
int weir_sim_last_fault(struct weir_sim *s, struct weir_sim_fault *out);

/** Entries it holds now. Does not wait for an unmap under way. */
uint64_t weir_sim_entries(struct weir_sim *s);

#ifdef __cplusplus
}
#endif
#endif /* WEIR_SIM_H */
