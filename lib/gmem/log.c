/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "gmem_impl.h"
#include "weir_fail.h"
#include "weir_gmem_log.h"

#define WORD_BITS 64u

struct weir_gmem_log {
	uint32_t refs; /* tables that have its slot */
	uint64_t nr_pages;
	_Atomic uint64_t word[];
};

struct weir_gmem_log *
gmem_log_new(uint64_t nr_pages)
{
	uint64_t nr_words = nr_pages / WORD_BITS + 1;
	struct weir_gmem_log *l;

	l = weir_zalloc(sizeof(*l) + nr_words * sizeof(l->word[0]));
	if (l == NULL)
		return NULL;
	l->refs = 1;
	l->nr_pages = nr_pages;
	return l;
}

void
gmem_log_get(struct weir_gmem_log *l)
{
	if (l != NULL)
		l->refs++;
}

void
gmem_log_put(struct weir_gmem_log *l)
{
	if (l != NULL && --l->refs == 0)
		free(l);
}

/* Bits of the word at page @p at that are pages from @p at to @p end, not included. */
static uint64_t
word_mask(uint64_t at, uint64_t end)
{
	uint64_t mask = UINT64_MAX << at % WORD_BITS;
	uint64_t behind = at - at % WORD_BITS + WORD_BITS;

	return end < behind ? mask & ~(UINT64_MAX << end % WORD_BITS) : mask;
}

static void
log_mark(struct weir_gmem_log *l, uint64_t first, uint64_t end)
{
	for (uint64_t at = first; at < end; at += WORD_BITS - at % WORD_BITS)
		/*
		 * Also if the bits are set: whoever takes them at this moment has to
		 * see the bytes that were written before.
		 */
		atomic_fetch_or_explicit(&l->word[at / WORD_BITS], word_mask(at, end),
					 memory_order_release);
}

void
weir_gmem_mark_pages(const struct weir_gmem *g, struct weir_gpa gpa, uint64_t len)
{
	struct weir_range all;

	if (len == 0)
		return;
	/* what wraps ends where addresses do */
	if (weir_range_make(&all, gpa.v, len) != 0)
		all = (struct weir_range){ gpa.v, UINT64_MAX };
	for (uint32_t i = gmem_first(g, all.start); i < g->nr_slots; i++) {
		const struct weir_gmem_slot *s = &g->slot[i];
		struct weir_range in;

		if (s->gpa.start > all.last)
			break;
		if (s->log == NULL)
			continue;
		in = weir_range_intersect(s->gpa, all);
		log_mark(s->log, weir_range_offset(s->gpa, in.start) / WEIR_GMEM_LOG_PAGE,
			 weir_range_offset(s->gpa, in.last) / WEIR_GMEM_LOG_PAGE + 1);
	}
}

static int
log_check(const struct weir_gmem_slot *s, uint64_t first, uint64_t nr)
{
	if (s->log == NULL)
		return -ENOENT;
	if (first > s->log->nr_pages || nr > s->log->nr_pages - first)
		return -ERANGE;
	return 0;
}

static int
log_read(const struct weir_gmem_slot *s, uint64_t first, uint64_t nr, uint64_t *bits,
	 bool take)
{
	int ret = log_check(s, first, nr);

	if (ret != 0)
		return ret;
	if (first % WORD_BITS != 0)
		return -EINVAL;
	for (uint64_t at = first; at < first + nr; at += WORD_BITS) {
		_Atomic uint64_t *w = &s->log->word[at / WORD_BITS];
		uint64_t mask = word_mask(at, first + nr);

		if (take && atomic_load_explicit(w, memory_order_relaxed) != 0)
			*bits++ = mask & atomic_fetch_and_explicit(w, ~mask,
								   memory_order_acq_rel);
		else
			*bits++ = mask & atomic_load_explicit(w, memory_order_acquire);
	}
	return 0;
}

int
weir_gmem_log_get(const struct weir_gmem_slot *s, uint64_t first, uint64_t nr,
		  uint64_t *bits)
{
	return log_read(s, first, nr, bits, false);
}

int
weir_gmem_log_take(const struct weir_gmem_slot *s, uint64_t first, uint64_t nr,
		   uint64_t *bits)
{
	return log_read(s, first, nr, bits, true);
}

int
weir_gmem_log_clear(const struct weir_gmem_slot *s, uint64_t first, uint64_t nr)
{
	int ret = log_check(s, first, nr);

	if (ret != 0)
		return ret;
	for (uint64_t at = first; at < first + nr; at += WORD_BITS - at % WORD_BITS)
		atomic_fetch_and_explicit(&s->log->word[at / WORD_BITS],
					  ~word_mask(at, first + nr),
					  memory_order_acq_rel);
	return 0;
}
