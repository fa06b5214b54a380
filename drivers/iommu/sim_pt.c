/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include "sim_pt.h"
#include "weir_fail.h"
#include "weir_map.h"

#define LEVEL_BITS 9u
#define TABLE_LEN 512u
#define ROOT_SHIFT (SIM_PT_BITS - LEVEL_BITS)
#define SHIFT_1G 30u
#define SHIFT_2M 21u
#define SHIFT_4K 12u

/*
 * An entry is 0, a leaf or a table. A leaf is its host address, which is
 * page-aligned, with WEIR_PROT_* and PTE_LEAF in the low bits; a table is its
 * address with PTE_TABLE.
 */
#define PTE_PROT ((uint64_t)(WEIR_PROT_READ | WEIR_PROT_WRITE))
#define PTE_LEAF UINT64_C(4)
#define PTE_TABLE UINT64_C(8)
#define PTE_ADDR (~(uint64_t)0xf)

struct sim_pt_table {
	_Alignas(64) _Atomic uint64_t pte[TABLE_LEN];
	unsigned int nr_used;	   /* entries that are not 0; the writer's */
	struct sim_pt_table *next; /* among the dead */
};

static uint64_t
offset_mask(unsigned int shift)
{
	return (UINT64_C(1) << shift) - 1;
}

static unsigned int
index_at(uint64_t iova, unsigned int shift)
{
	return (iova >> shift) & (TABLE_LEN - 1);
}

static struct sim_pt_table *
table_of(uint64_t pte)
{
	return (struct sim_pt_table *)(uintptr_t)(pte & PTE_ADDR);
}

static struct sim_pt_table *
table_alloc(void)
{
	return weir_zalloc_aligned(_Alignof(struct sim_pt_table),
				   sizeof(struct sim_pt_table));
}

static uint64_t
pte_get(const struct sim_pt_table *t, unsigned int i)
{
	return atomic_load_explicit(&t->pte[i], memory_order_relaxed);
}

/* Release: whoever finds the entry finds what it leads to initialised. */
static void
pte_set(struct sim_pt_table *t, unsigned int i, uint64_t pte)
{
	t->nr_used += pte != 0;
	t->nr_used -= pte_get(t, i) != 0;
	atomic_store_explicit(&t->pte[i], pte, memory_order_release);
}

int
sim_pt_init(struct sim_pt *pt)
{
	pt->dead = NULL;
	pt->root = table_alloc();
	return pt->root != NULL ? 0 : -ENOMEM;
}

void
sim_pt_fini(struct sim_pt *pt)
{
	sim_pt_clear(pt, (struct weir_range){ 0, offset_mask(SIM_PT_BITS) });
	sim_pt_reap(pt);
	free(pt->root);
	pt->root = NULL;
}

/* The table whose entries are 2^shift bytes each and one of which is iova's. */
static struct sim_pt_table *
table_for(struct sim_pt *pt, uint64_t iova, unsigned int shift)
{
	struct sim_pt_table *t = pt->root;

	for (unsigned int s = ROOT_SHIFT; s > shift; s -= LEVEL_BITS) {
		uint64_t pte = pte_get(t, index_at(iova, s));

		assert((pte & PTE_LEAF) == 0);
		if (pte == 0) {
			struct sim_pt_table *child = table_alloc();

			if (child == NULL)
				return NULL;
			pte = (uint64_t)(uintptr_t)child | PTE_TABLE;
			pte_set(t, index_at(iova, s), pte);
		}
		t = table_of(pte);
	}
	return t;
}

/* The largest leaf that may begin at iova and end by last. */
static unsigned int
leaf_shift(uint64_t iova, uint64_t last, bool small)
{
	static const unsigned int shifts[] = { SHIFT_1G, SHIFT_2M };

	for (size_t i = 0; !small && i < sizeof(shifts) / sizeof(shifts[0]); i++) {
		uint64_t mask = offset_mask(shifts[i]);

		if ((iova & mask) == 0 && (iova | mask) <= last)
			return shifts[i];
	}
	return SHIFT_4K;
}

int
sim_pt_map(struct sim_pt *pt, struct weir_range iova, uint64_t hva, uint32_t prot,
	   bool small)
{
	uint64_t at = iova.start, last;

	do {
		unsigned int shift = leaf_shift(at, iova.last, small);
		struct sim_pt_table *t = table_for(pt, at, shift);

		if (t == NULL) {
			sim_pt_clear(pt, iova);
			return -ENOMEM;
		}
		pte_set(t, index_at(at, shift),
			(hva + (at - iova.start)) | (prot & PTE_PROT) | PTE_LEAF);
		last = at | offset_mask(shift);
		at = last + 1;
	} while (last != iova.last);
	return 0;
}

/* base: the first iova of table t, whose entries are 2^shift bytes each. */
static void
table_clear(struct sim_pt *pt, struct sim_pt_table *t, unsigned int shift, uint64_t base,
	    struct weir_range r)
{
	uint64_t table_last = base | offset_mask(shift + LEVEL_BITS);
	unsigned int i = r.start > base ? index_at(r.start, shift) : 0;
	unsigned int last = r.last < table_last ? index_at(r.last, shift) : TABLE_LEN - 1;

	for (; i <= last && t->nr_used != 0; i++) {
		uint64_t pte = pte_get(t, i);
		uint64_t start = base | (uint64_t)i << shift;

		if (pte == 0)
			continue;
		if ((pte & PTE_TABLE) != 0) {
			struct sim_pt_table *child = table_of(pte);

			table_clear(pt, child, shift - LEVEL_BITS, start, r);
			if (child->nr_used != 0)
				continue;
			child->next = pt->dead;
			pt->dead = child;
		} else {
			assert(weir_range_contains(
				r, (struct weir_range){ start,
							start | offset_mask(shift) }));
		}
		pte_set(t, i, 0);
	}
}

void
sim_pt_clear(struct sim_pt *pt, struct weir_range iova)
{
	table_clear(pt, pt->root, ROOT_SHIFT, 0, iova);
}

void
sim_pt_reap(struct sim_pt *pt)
{
	while (pt->dead != NULL) {
		struct sim_pt_table *t = pt->dead;

		pt->dead = t->next;
		free(t);
	}
}

bool
sim_pt_walk(const struct sim_pt *pt, uint64_t iova, struct sim_pt_leaf *out)
{
	const struct sim_pt_table *t = pt->root;
	unsigned int shift = ROOT_SHIFT;
	uint64_t pte;

	if (iova > offset_mask(SIM_PT_BITS))
		return false;
	for (;; shift -= LEVEL_BITS) {
		pte = atomic_load_explicit(&t->pte[index_at(iova, shift)],
					   memory_order_acquire);
		if (pte == 0)
			return false;
		if ((pte & PTE_LEAF) != 0)
			break;
		t = table_of(pte);
	}
	out->iova.start = iova & ~offset_mask(shift);
	out->iova.last = iova | offset_mask(shift);
	out->hva = pte & ~(SIM_PT_PAGE - 1);
	out->prot = (uint32_t)(pte & PTE_PROT);
	return true;
}
