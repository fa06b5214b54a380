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
 * flushing are the same for all (sim.c).
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

/** A flavour. The functions run under the domain's lock. */
struct sim_rules {
	const char *name;     /**< as weir_iommu_caps.name */
	uint64_t max_entries; /**< at first */
	uint64_t page_sizes;  /**< as weir_iommu_caps.page_sizes */
	bool splits;	      /**< an entry can be unmapped in part; 4 KiB leaves */
	int refuse; /**< not 0: the answer to every call, as there is no IOMMU */

	/** Judge a map call, all but the memory behind it, and fill in @p req. */
	int (*map)(const struct weir_sim *s, uint64_t iova, uint64_t hva, uint64_t len,
		   uint32_t prot, struct sim_request *req);
	/** Carry out an unmap; *unmapped is 0 at first. */
	int (*unmap)(struct weir_sim *s, uint64_t iova, uint64_t len, uint64_t *unmapped);
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
	unsigned int nr_devs;
	struct weir_epoch devs;
};

/** The rules of a flavour. @return NULL: no such flavour. */
const struct sim_rules *sim_rules_of(enum weir_sim_flavour flavour);

/** Iovas that can be mapped: 48 bits but for the MSI window. */
extern const struct weir_range sim_apertures[2];

/** Remove one entry; devices may use it until sim.c has flushed. */
void sim_remove(struct weir_sim *s, struct sim_entry *e);

/** Make two entries of the one that has @p last, unless it ends there. */
int sim_cut(struct weir_sim *s, uint64_t last);

/** The entry a tree node is in; NULL for NULL. */
static inline struct sim_entry *
sim_entry_of(struct weir_tree_node *n)
{
	return (struct sim_entry *)n;
}

#endif /* WEIR_SIM_IMPL_H */
