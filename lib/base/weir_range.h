/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_RANGE_H
#define WEIR_RANGE_H
/**
 * @file
 * Checked address ranges.
 *
 * A range is {start, last}, both inclusive, so that one that ends at 2^64-1 is
 * as ordinary as any other. The wire and the kernel speak {addr, len}; that is
 * turned into a range once, at the edge, by weir_range_make(), which is where
 * an empty or a wrapping range is refused. After that no comparison can
 * overflow. Every range in the library is made here; nobody adds a length to
 * an address elsewhere.
 *
 * Pure functions: any thread, no locks, no errno.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Bytes [start, last]; a valid range has start <= last. */
struct weir_range {
	uint64_t start; /**< first byte */
	uint64_t last;	/**< last byte, inclusive */
};

/**
 * Make a range out of an address and a length.
 *
 * @param r      Written only on success.
 * @param start  First byte.
 * @param len    Bytes, 1 to 2^64-1.
 * @return 0; -EINVAL: len is 0; -EOVERFLOW: start + len - 1 does not fit in
 *         64 bits.
 */
static inline int
weir_range_make(struct weir_range *r, uint64_t start, uint64_t len)
{
	uint64_t last;

	if (len == 0)
		return -EINVAL;
	if (__builtin_add_overflow(start, len - 1, &last))
		return -EOVERFLOW;
	r->start = start;
	r->last = last;
	return 0;
}

/** Length in bytes. 0 stands for 2^64, the whole address space. */
static inline uint64_t
weir_range_len(struct weir_range r)
{
	return r.last - r.start + 1;
}

/** True if the two share at least one byte. */
static inline bool
weir_range_overlaps(struct weir_range a, struct weir_range b)
{
	return a.start <= b.last && b.start <= a.last;
}

/** True if every byte of @p in is in @p out. */
static inline bool
weir_range_contains(struct weir_range out, struct weir_range in)
{
	return out.start <= in.start && in.last <= out.last;
}

/** True if @p addr is one of the range's bytes. */
static inline bool
weir_range_has(struct weir_range r, uint64_t addr)
{
	return r.start <= addr && addr <= r.last;
}

/** True if @p right begins at the byte after @p left, without wrapping. */
static inline bool
weir_range_abuts(struct weir_range left, struct weir_range right)
{
	return left.last != UINT64_MAX && left.last + 1 == right.start;
}

/** The bytes that both have; call it only where weir_range_overlaps(). */
static inline struct weir_range
weir_range_intersect(struct weir_range a, struct weir_range b)
{
	return (struct weir_range){
		.start = a.start > b.start ? a.start : b.start,
		.last = a.last < b.last ? a.last : b.last,
	};
}

/** How far @p addr, one of the range's bytes, is from its start. */
static inline uint64_t
weir_range_offset(struct weir_range r, uint64_t addr)
{
	return addr - r.start;
}

/** What lies before @p addr; call it only with r.start < addr <= r.last. */
static inline struct weir_range
weir_range_before(struct weir_range r, uint64_t addr)
{
	return (struct weir_range){ .start = r.start, .last = addr - 1 };
}

/** What lies after @p addr; call it only with r.start <= addr < r.last. */
static inline struct weir_range
weir_range_after(struct weir_range r, uint64_t addr)
{
	return (struct weir_range){ .start = addr + 1, .last = r.last };
}

/** The range and one byte more on either side, where there is one. */
static inline struct weir_range
weir_range_grow(struct weir_range r)
{
	return (struct weir_range){
		.start = r.start - (r.start != 0),
		.last = r.last + (r.last != UINT64_MAX),
	};
}

/** True if start and length are multiples of @p align, a power of two. */
static inline bool
weir_range_aligned(struct weir_range r, uint64_t align)
{
	return ((r.start | (r.last + 1)) & (align - 1)) == 0;
}

#ifdef __cplusplus
}
#endif
#endif /* WEIR_RANGE_H */
