/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_GMEM_H
#define WEIR_GMEM_H
/**
 * @file
 * Guest memory: where a guest-physical address is in this process.
 *
 * A guest's memory is a few slots, each a stretch of guest-physical addresses
 * (gpa) backed by a file that the frontend shared. A slot has four addresses:
 * gpa, the frontend's own user address (uva, only used to find the rings), the
 * address in this process (hva) and the one a DMA engine uses (iova).
 *
 * A table of slots (struct weir_gmem) is **immutable**: adding or removing a
 * slot makes a new table, sorted by gpa, as long as the slots in use. The
 * control plane publishes the new table, waits until no polling lcore is still
 * in the old one (weir_epoch.h), and puts the old one away. Tables share the
 * memory behind their slots by reference count, so that a slot which is in both
 * is not mapped twice and not unmapped early.
 *
 * Translation looks at the slot of the last hit first and then searches by
 * halves. It is the guest that chooses the addresses: nothing is assumed of
 * them, and a range that leaves its slot is cut there.
 *
 * **Memory may go away** under a table: the file is the peer's too, who can cut
 * it short. What would be a SIGBUS, and the end of the process, becomes pages of
 * zeroes instead; weir_gmem_lost() says so, and weir_gmem_watch() has an eventfd
 * written. The first slot made installs a handler for SIGBUS, which hands on
 * what is none of its business to the handler that was there before.
 *
 * Threads: building and putting away belong to the control plane; a published
 * table may be read by anyone.
 */
#include <stddef.h>
#include <stdint.h>

#include "weir_range.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A guest-physical address; a type of its own so that it is no iova by mistake. */
struct weir_gpa {
	uint64_t v;
};

/** The memory behind a slot: one mmap(), shared by the tables that use it. */
struct weir_gmem_backing;

/** A slot as it is looked up: 48 bytes, most of them used by a translation. */
struct weir_gmem_slot {
	struct weir_range gpa; /**< guest-physical */
	uint64_t hva;	       /**< this process's address of gpa.start */
	uint64_t iova;	       /**< DMA address of gpa.start */
	uint64_t uva;	       /**< the frontend's address of gpa.start */
	struct weir_gmem_backing *backing;
};

/** An immutable table of slots. */
struct weir_gmem {
	uint32_t nr_slots;
	struct weir_gmem_slot slot[]; /**< sorted by gpa, no two overlap */
};

/** What a frontend says of a slot (a vhost-user memory region). */
struct weir_gmem_region {
	uint64_t gpa;	      /**< guest-physical address */
	uint64_t len;	      /**< bytes */
	uint64_t uva;	      /**< the frontend's address */
	uint64_t mmap_offset; /**< where it begins in the file */
};

/** Slots that a table may have at most; what KVM on x86-64 offers. */
#define WEIR_GMEM_MAX_SLOTS 32764

/** A table without slots; never fails to exist, is never freed. */
extern const struct weir_gmem weir_gmem_empty;

/**
 * Make the table that has one slot more than @p old, and map its memory.
 *
 * The file is mapped shared, readable and writable, from the page that holds
 * its first byte; a hugetlbfs file in its own page size. The slot's iova is its
 * hva.
 *
 * @param old  Not changed.
 * @param r    Checked here in full, as a peer sent it.
 * @param fd   The memory's file; stays the caller's.
 * @param out  The new table; free it with weir_gmem_put().
 * @return 0; -EINVAL: length 0, or addresses not aligned to 4 KiB;
 *         -EOVERFLOW: gpa, uva or file range wraps; -EEXIST: overlaps a slot in
 *         gpa or uva; -ENOSPC: WEIR_GMEM_MAX_SLOTS; -ERANGE: the file is
 *         shorter than the region; -ENOMEM; -EBUSY: too many others
 *         handle SIGBUS; or mmap()'s or fstat()'s error.
 */
int weir_gmem_add(const struct weir_gmem *old, const struct weir_gmem_region *r, int fd,
		  struct weir_gmem **out);

/**
 * Make the table that lacks the slot which begins at @p gpa.
 *
 * @return 0; -ENOENT: no slot begins there; -ENOMEM.
 */
int weir_gmem_del(const struct weir_gmem *old, struct weir_gpa gpa,
		  struct weir_gmem **out);

/**
 * Put a table away. Memory that no other table uses is unmapped.
 *
 * @param g  NULL and &weir_gmem_empty are allowed.
 */
void weir_gmem_put(const struct weir_gmem *g);

/**
 * Have an eventfd written when memory behind a table's slots is lost.
 *
 * It holds for the memory, in whichever table; the last call counts.
 *
 * @param event_fd  Not blocking; stays open until the memory is unmapped or
 *                  another is set. -1: none.
 */
void weir_gmem_watch(const struct weir_gmem *g, int event_fd);

/** A slot some of whose memory was lost and reads as zeroes; NULL: none. Any thread. */
const struct weir_gmem_slot *weir_gmem_lost(const struct weir_gmem *g);

/** Page size of the memory behind a slot, bytes: 4 KiB, or hugetlbfs's. */
uint64_t weir_gmem_page_size(const struct weir_gmem_slot *s);

/**
 * The slot that holds a gpa. Data plane.
 *
 * @param hint  Index of the last hit, of one thread; any value is safe.
 * @return NULL: no slot holds it.
 */
static inline const struct weir_gmem_slot *
weir_gmem_find(const struct weir_gmem *g, struct weir_gpa gpa, uint32_t *hint)
{
	uint32_t lo = 0, hi = g->nr_slots, h = *hint;

	if (__builtin_expect(h < hi && weir_range_has(g->slot[h].gpa, gpa.v), 1))
		return &g->slot[h];
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (gpa.v > g->slot[mid].gpa.last)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == g->nr_slots || gpa.v < g->slot[lo].gpa.start)
		return NULL;
	*hint = lo;
	return &g->slot[lo];
}

/**
 * Translate a stretch of guest memory. Data plane.
 *
 * @param len   In: bytes wanted, not 0. Out: bytes that are contiguous here,
 *              from 1 up to those wanted.
 * @param iova  The DMA address; may not be NULL.
 * @return the host address; NULL: nothing there.
 */
static inline void *
weir_gmem_translate(const struct weir_gmem *g, struct weir_gpa gpa, uint64_t *len,
		    uint64_t *iova, uint32_t *hint)
{
	const struct weir_gmem_slot *s = weir_gmem_find(g, gpa, hint);
	uint64_t off, room;

	if (__builtin_expect(s == NULL, 0))
		return NULL;
	off = gpa.v - s->gpa.start;
	room = s->gpa.last - gpa.v;
	/* room is one less than the bytes there are: no overflow at 2^64 */
	if (__builtin_expect(*len - 1 > room, 0))
		*len = room + 1;
	*iova = s->iova + off;
	return (void *)(uintptr_t)(s->hva + off);
}

/**
 * Translate a stretch of the frontend's own addresses, whole. Control plane.
 *
 * @return the host address; NULL: not every byte is in one slot.
 */
void *weir_gmem_uva(const struct weir_gmem *g, uint64_t uva, uint64_t len);

#ifdef __cplusplus
}
#endif
#endif /* WEIR_GMEM_H */
