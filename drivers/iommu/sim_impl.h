/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_SIM_IMPL_H
#define WEIR_SIM_IMPL_H
/**
 * @file
 * The model's inside: the domain, and what a flavour is.
 *
 * A flavour is data and two functions that judge a request: one says whether an
 * entry may be mapped, the other which entries an unmap removes. They change
 * nothing but through sim_remove() and sim_cut(); translating, accounting and
 * flushing are the same for all (sim.c). POWER's has some state and calls of its
 * own (sim_spapr.c).
 */
#include <pthread.h>
#include <stdatomic.h>

#include "sim_pt.h"
#include "weir_sim.h"
#include "weir_tree.h"
#include "weir_vma.h"

/** One entry: what one map call made, or a cut left of it. */
struct sim_entry {
	struct weir_tree_node node; /**< key: its iovas */
	uint64_t hva;
};

/** What a map call asks for, checked and made into ranges. */
struct sim_request {
	struct weir_range iova, hva;
	uint32_t prot;
};

/** A map that asks for nothing, which is done. */
#define SIM_NOTHING 1

/** A flavour. The functions run under the domain's lock. */
struct sim_rules {
	const char *name;     /**< as weir_iommu_caps.name */
	uint64_t max_entries; /**< at first */
	uint64_t page_sizes;  /**< as weir_iommu_caps.page_sizes */
	bool splits;	      /**< an entry can be unmapped in part; 4 KiB leaves */
	int refuse;	 /**< not 0: the answer to every call, as there is no IOMMU */
	bool pins_ahead; /**< memory is looked at, and locked, before it is mapped */

	/** Judge a map call, all but the memory behind it, and fill in @p req. May
	 * answer SIM_NOTHING. */
	int (*map)(struct weir_sim *s, uint64_t iova, uint64_t hva, uint64_t len,
		   uint32_t prot, struct sim_request *req);
	/** Carry out an unmap; *unmapped is 0 at first. */
	int (*unmap)(struct weir_sim *s, uint64_t iova, uint64_t len, uint64_t *unmapped);
	/** Apertures and page sizes, where they are not those of all. */
	int (*caps)(const struct weir_sim *s, struct weir_iommu_caps *caps);
	void (*begin)(struct weir_sim *s); /**< NULL: nothing to do; so with end */
	void (*end)(struct weir_sim *s);
};

/** What POWER's flavour has beside entries; guarded by the domain's lock. */
struct sim_spapr {
	bool enabled;		 /**< memory was registered, if only once */
	struct weir_tree memory; /**< that is registered: struct spapr_memory */
	uint64_t registered;	 /**< bytes of it */
	bool others;		 /**< windows but the first can be had, */
	unsigned int bits;	 /**< of so many bits at most */
	bool windowed;		 /**< there is a window: the next two are valid */
	struct weir_range window;
	unsigned int page_shift;
};

/** A domain. */
struct weir_sim {
	/* read by devices, and what seldom changes */
	struct sim_pt pt;
	_Atomic uint64_t
		gen; /**< unmaps so far and one: what a TLB entry is checked by */
	const struct sim_rules *rules;
	uint64_t max_entries; /**< guarded by lock, and so are the next two */
	uint64_t max_locked;
	struct weir_vma_reader vmas;

	/* written by devices, on faults */
	_Alignas(64) _Atomic uint64_t faults;
	atomic_flag noting;		  /**< held by who writes or reads last_fault */
	struct weir_sim_fault last_fault; /**< prot 0: none yet */

	/* the control plane's */
	_Alignas(64)
		pthread_mutex_t lock; /**< guards what follows but nr_entries' reading */
	struct weir_tree entries;
	_Atomic uint64_t nr_entries; /**< entries.nr_nodes, for who does not lock */
	uint64_t locked;	     /**< bytes mapped, each entry counted */
	struct sim_spapr spapr;
	unsigned int nr_devs;
	struct weir_epoch devs;
};

/** The rules of a flavour. @return NULL: no such flavour. */
const struct sim_rules *sim_rules_of(enum weir_sim_flavour flavour);

/** POWER's. */
extern const struct sim_rules sim_rules_spapr;

/** Iovas that can be mapped: 48 bits but for the MSI window. */
extern const struct weir_range sim_apertures[2];

/** Remove one entry; devices may use it until sim.c has flushed. */
void sim_remove(struct weir_sim *s, struct sim_entry *e);

/** Remove those from @p n on (NULL: none) that begin up to @p last, and count bytes. */
void sim_remove_until(struct weir_sim *s, struct weir_tree_node *n, uint64_t last,
		      uint64_t *unmapped);

/** Remove all, and flush. @return bytes that were mapped. */
uint64_t sim_remove_all(struct weir_sim *s);

/** What pinning would find. @return 0; -EFAULT: not all there, or no permission. */
int sim_memory_check(struct weir_sim *s, const struct sim_request *req);

/** Make two entries of the one that has @p last, unless it ends there. */
int sim_cut(struct weir_sim *s, uint64_t last);

/** The entry a tree node is in; NULL for NULL. */
static inline struct sim_entry *
sim_entry_of(struct weir_tree_node *n)
{
	return (struct sim_entry *)n;
}

#endif /* WEIR_SIM_IMPL_H */
