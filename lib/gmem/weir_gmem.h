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
 * A table of slots (struct weir_gmem) is **immutable**. An operation makes a new
 * one that differs in one slot: it is created, deleted, moved, or has other
 * flags; or in all (weir_gmem_replace()). The control plane publishes the new
 * table, waits until no polling lcore is still in the old one (weir_epoch.h),
 * and puts the old one away. Tables share the memory behind their slots by
 * reference count, so that a slot which is in both is not mapped twice and not
 * unmapped early.
 *
 * A table has as many places as slots are in use, sorted by gpa, and the order of
 * the slots by id and by uva beside it. Every operation carries over each place
 * once, to its new index; nothing is sorted again. An **id** is the caller's
 * number for a slot; one that is not in use has no slot, not an empty one.
 *
 * Translation looks at the slot of the last hit first and then searches by
 * halves, without a branch that depends on the address. It is the guest that
 * chooses the addresses: nothing is assumed of them, and a range that leaves its
 * slot is cut there.
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

/** The bits of a slot's dirty log; shared by the tables that have the slot. */
struct weir_gmem_log;

/** Slot flag: keep a dirty log (weir_gmem_log.h). */
#define WEIR_GMEM_LOG 1u

/** A slot as it is looked up: a cache line. */
struct weir_gmem_slot {
	struct weir_range gpa; /**< guest-physical */
	uint64_t hva;	       /**< this process's address of gpa.start */
	uint64_t iova;	       /**< DMA address of gpa.start */
	uint64_t uva;	       /**< the frontend's address of gpa.start */
	struct weir_gmem_backing *backing;
	struct weir_gmem_log *log; /**< NULL: it has none */
	uint16_t id;		   /**< below WEIR_GMEM_MAX_SLOTS */
	uint16_t flags;		   /**< WEIR_GMEM_LOG */
};

/** An immutable table of slots. */
struct weir_gmem {
	uint32_t nr_slots;
	uint32_t nr_logged;	/**< slots with a dirty log */
	const uint16_t *by_id;	/**< indices of slots, in order of id */
	const uint16_t *by_uva; /**< the same, in order of uva */
	/** NULL; or it is a view of translations into this (weir_iotlb.h), which
	 * has no orders, and whose slots hold neither memory nor logs */
	const struct weir_gmem *memory;
	const struct weir_gmem *readable; /**< view: what a device may read */
	/** sorted by gpa, no two overlap in gpa nor uva */
	struct weir_gmem_slot slot[] __attribute__((aligned(64)));
};

/** What a frontend says of a slot (a vhost-user memory region). */
struct weir_gmem_region {
	uint64_t gpa;	      /**< guest-physical address */
	uint64_t len;	      /**< bytes */
	uint64_t uva;	      /**< the frontend's address */
	uint64_t mmap_offset; /**< where it begins in the file */
	bool lazy;	      /**< make no page that is not there, nor lock any: whatever
				 mlockall(2) says; somebody else fetches them */
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
 * hva, its flags are 0.
 *
 * @param old  Not changed.
 * @param id   The slot's, below WEIR_GMEM_MAX_SLOTS.
 * @param r    Checked here in full, as a peer sent it.
 * @param fd   The memory's file; stays the caller's.
 * @param out  The new table; free it with weir_gmem_put().
 * @return 0; -EINVAL: the id; length 0, or addresses not aligned to 4 KiB;
 *         -EOVERFLOW: gpa, uva or file range wraps; -EEXIST: the id is in use, or
 *         it overlaps a slot in gpa or uva; -ERANGE: the file is shorter than the
 *         region; -ENOMEM; -EBUSY: too many others handle SIGBUS; or mmap()'s or
 *         fstat()'s error.
 */
int weir_gmem_create(const struct weir_gmem *old, uint16_t id,
		     const struct weir_gmem_region *r, int fd, struct weir_gmem **out);

/**
 * Make the table that lacks slot @p id.
 *
 * @return 0; -ENOENT: there is no such slot; -ENOMEM.
 */
int weir_gmem_delete(const struct weir_gmem *old, uint16_t id, struct weir_gmem **out);

/**
 * Make the table in which slot @p id begins at @p gpa. Its memory, uva, flags and
 * dirty log are the same.
 *
 * @return 0; -ENOENT: there is no such slot; -EINVAL: not aligned to 4 KiB;
 *         -EOVERFLOW: it would wrap; -EEXIST: it would overlap another; -ENOMEM.
 */
int weir_gmem_move(const struct weir_gmem *old, uint16_t id, struct weir_gpa gpa,
		   struct weir_gmem **out);

/**
 * Make the table in which slot @p id has these flags. A dirty log that it did not
 * have is all clean; one that it has goes with the flag.
 *
 * @return 0; -ENOENT: there is no such slot; -EINVAL: unknown flags; -ENOMEM.
 */
int weir_gmem_set_flags(const struct weir_gmem *old, uint16_t id, uint16_t flags,
			struct weir_gmem **out);

/**
 * Make a table of just these regions. A region that @p old has, of the same uva,
 * length and place in the same file, is not mapped anew, wherever it is for the
 * guest; it keeps its flags and dirty log. Slots get their number in @p r as id.
 *
 * @param r    @p nr regions, in any order, each as for weir_gmem_create().
 * @param fd   Their files; they stay the caller's.
 * @param bad  On failure: the region that is at fault; @p nr: none is.
 * @return as weir_gmem_create(); -ENOSPC: more than WEIR_GMEM_MAX_SLOTS.
 */
int weir_gmem_replace(const struct weir_gmem *old, const struct weir_gmem_region *r,
		      const int *fd, uint32_t nr, struct weir_gmem **out, uint32_t *bad);

/**
 * weir_gmem_create() with the lowest id that is not in use.
 *
 * @return as weir_gmem_create(); -ENOSPC: WEIR_GMEM_MAX_SLOTS are.
 */
int weir_gmem_add(const struct weir_gmem *old, const struct weir_gmem_region *r, int fd,
		  struct weir_gmem **out);

/**
 * weir_gmem_delete() of the slot which begins at @p gpa.
 *
 * @return 0; -ENOENT: no slot begins there; -ENOMEM.
 */
int weir_gmem_del(const struct weir_gmem *old, struct weir_gpa gpa,
		  struct weir_gmem **out);

/** The slot of that id. @return NULL: there is none. Control plane. */
const struct weir_gmem_slot *weir_gmem_slot(const struct weir_gmem *g, uint16_t id);

/** What of this process's addresses is mapped for a slot: whole pages of its file. */
struct weir_range weir_gmem_mapping(const struct weir_gmem_slot *s);

/**
 * Put a table away. Memory that no other table uses is unmapped.
 *
 * @param g  NULL and &weir_gmem_empty are allowed.
 */
void weir_gmem_put(const struct weir_gmem *g);

/**
 * weir_gmem_put() while somebody may be reading, or writing as they are, words of
 * that memory, without being told that it goes: an lcore that sleeps until one of
 * them changes.
 *
 * Where memory with such a word is unmapped, zeroes of our own are in its place the
 * same moment, 4 KiB of them, for the caller to munmap(2) when nobody looks at the
 * word any more.
 *
 * @param watched  In: words, each as the range of its first byte. Out: the pages
 *                 that stay, of words whose memory was unmapped; words that share
 *                 one have the same.
 */
void weir_gmem_put_watched(const struct weir_gmem *g, struct weir_range *watched,
			   unsigned int nr);

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
	const struct weir_gmem_slot *s = g->slot;
	uint32_t n = g->nr_slots, h = *hint;

	if (__builtin_expect(h < n && weir_range_has(s[h].gpa, gpa.v), 1))
		return &s[h];
	if (n == 0)
		return NULL;
	/* the last that begins at or below gpa, or the first */
	for (uint32_t half; n > 1; n -= half) {
		const struct weir_gmem_slot *mid;

		half = n / 2;
		mid = s + half;
		/* chosen, not branched on: a guest's addresses are not predicted */
		s = mid->gpa.start <= gpa.v ? mid : s;
	}
	if (!weir_range_has(s->gpa, gpa.v))
		return NULL;
	*hint = (uint32_t)(s - g->slot);
	return s;
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
