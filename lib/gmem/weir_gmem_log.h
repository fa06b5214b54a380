/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_GMEM_LOG_H
#define WEIR_GMEM_LOG_H
/**
 * @file
 * Dirty logs: which pages of guest memory were written.
 *
 * A slot with the flag WEIR_GMEM_LOG has a bit for each 4 KiB of it, counted from
 * its first byte. Whoever writes guest memory sets them, after the write; the
 * control plane reads, takes or clears them while others are set. A log belongs to
 * the slot, not to the table: tables that share the slot share it, and it moves
 * with the slot.
 *
 *     lcore                                control plane
 *     copy into the guest                  weir_gmem_set_flags(.., WEIR_GMEM_LOG, ..)
 *     weir_gmem_mark(g, gpa, len);         publish, then send every page once
 *                                          weir_gmem_log_take(slot, 0, nr, bits);
 *                                          send those that are set; again
 *
 * Where no slot of the table has a log, marking is one load and one branch.
 *
 * Threads: any, for as long as the table is not put away.
 */
#include "weir_gmem.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Bytes that a bit stands for. */
#define WEIR_GMEM_LOG_PAGE 4096u

/** The slow half of weir_gmem_mark(). */
void weir_gmem_mark_pages(const struct weir_gmem *g, struct weir_gpa gpa, uint64_t len);

/**
 * Say that guest memory was written: its pages' bits are set in the dirty logs of
 * the slots that have one. Whoever then takes the bits sees what was written
 * before. What is in no slot is passed over. Data plane.
 *
 * @param len  Bytes; 0: nothing happens.
 */
static inline void
weir_gmem_mark(const struct weir_gmem *g, struct weir_gpa gpa, uint64_t len)
{
	if (__builtin_expect(g->nr_logged != 0, 0))
		weir_gmem_mark_pages(g, gpa, len);
}

/** Pages of a slot, of WEIR_GMEM_LOG_PAGE: bits of its dirty log. */
static inline uint64_t
weir_gmem_pages(const struct weir_gmem_slot *s)
{
	return (s->gpa.last - s->gpa.start) / WEIR_GMEM_LOG_PAGE + 1;
}

/**
 * Read a slot's dirty log.
 *
 * Bits that are set meanwhile may be missed, and are found next time.
 *
 * @param first  Page of the slot, a multiple of 64.
 * @param nr     Pages.
 * @param bits   (nr + 63) / 64 words; bit 0 of the first is page @p first. Bits
 *               behind the last page are 0.
 * @return 0; -ENOENT: the slot has no dirty log; -EINVAL: @p first; -ERANGE: the
 *         slot has not so many pages.
 */
int weir_gmem_log_get(const struct weir_gmem_slot *s, uint64_t first, uint64_t nr,
		      uint64_t *bits);

/** As weir_gmem_log_get(), and clear what was read: no bit is lost between the two. */
int weir_gmem_log_take(const struct weir_gmem_slot *s, uint64_t first, uint64_t nr,
		       uint64_t *bits);

/**
 * Clear pages of it.
 *
 * @param first, nr  Pages, of any alignment.
 * @return 0; -ENOENT: the slot has no dirty log; -ERANGE: it has not so many pages.
 */
int weir_gmem_log_clear(const struct weir_gmem_slot *s, uint64_t first, uint64_t nr);

#ifdef __cplusplus
}
#endif
#endif /* WEIR_GMEM_LOG_H */
