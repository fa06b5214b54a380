/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * POWER's rules, version 2 of the interface; weir_sim_spapr.h says what they are
 * from. What is unlike the other kernels' interfaces: a map looks at what was
 * registered and not at the memory; it writes page by page over what was mapped
 * there, and if it fails half way those pages are empty afterwards; an unmap
 * clears whatever is in its range. A length of 0 is a range without a page, which
 * is no error.
 */
#include <stdlib.h>

#include "sim_impl.h"
#include "weir_fail.h"
#include "weir_map.h"
#include "weir_sim_spapr.h"

#define PAGE_SHIFT 12u
#define PROT_ANY (WEIR_PROT_READ | WEIR_PROT_WRITE)

/* A table of one level has to be contiguous: it holds this many bytes' pages. */
#define FLAT_BITS 36u

/* Memory that is registered: the key is its host addresses. */
struct spapr_memory {
	struct weir_tree_node node;
};

static void
spapr_begin(struct weir_sim *s)
{
	s->spapr = (struct sim_spapr){
		.others = true,
		.bits = 46,
		.windowed = true,
		.window = { 0, WEIR_SIM_WINDOW_LEN - 1 },
		.page_shift = PAGE_SHIFT,
	};
}

static void
spapr_end(struct weir_sim *s)
{
	struct weir_tree_node *n;

	while ((n = s->spapr.memory.root) != NULL) {
		weir_tree_erase(&s->spapr.memory, n);
		free(n);
	}
}

static int
spapr_caps(const struct weir_sim *s, struct weir_iommu_caps *caps)
{
	if (!s->spapr.windowed)
		return -ENXIO; /* as a map answers, wherever it is */
	caps->page_sizes = UINT64_C(1) << s->spapr.page_shift;
	caps->nr_apertures = 1;
	caps->aperture[0] = s->spapr.window;
	return 0;
}

/* Clear the pages of a range. @return 0; -ENOMEM, and nothing is cleared. */
static int
spapr_clear(struct weir_sim *s, struct weir_range r, uint64_t *cleared)
{
	int ret = sim_cut(s, r.last);

	if (ret == 0 && r.start != 0)
		ret = sim_cut(s, r.start - 1);
	if (ret == 0)
		sim_remove_until(s, weir_tree_overlap(&s->entries, r), r.last, cleared);
	return ret;
}

/* Bytes from the start of a range on that are registered without a gap. */
static uint64_t
spapr_registered(const struct weir_sim *s, struct weir_range hva)
{
	const struct weir_tree_node *n = weir_tree_find(&s->spapr.memory, hva.start);
	uint64_t at = hva.start;

	while (n != NULL && weir_range_has(n->key, at)) {
		if (n->key.last >= hva.last)
			return weir_range_len(hva);
		at = n->key.last + 1;
		n = weir_tree_next(n);
	}
	return weir_range_offset(hva, at);
}

/* What is asked of a range in the window before anything is done. */
static int
spapr_range(const struct weir_sim *s, uint64_t iova, uint64_t len, struct weir_range *r)
{
	uint64_t page = UINT64_C(1) << s->spapr.page_shift;

	if (!s->spapr.windowed || !weir_range_has(s->spapr.window, iova))
		return -ENXIO;
	if (((iova | len) & (page - 1)) != 0)
		return -EINVAL;
	if (len == 0)
		return SIM_NOTHING;
	if (weir_range_make(r, iova, len) != 0 ||
	    !weir_range_contains(s->spapr.window, *r))
		return -EINVAL;
	return 0;
}

static int
spapr_map(struct weir_sim *s, uint64_t iova, uint64_t hva, uint64_t len, uint32_t prot,
	  struct sim_request *req)
{
	uint64_t page = UINT64_C(1) << s->spapr.page_shift, there, cleared = 0;
	int ret;

	if (!s->spapr.enabled)
		return -EPERM;
	if ((prot & ~PROT_ANY) != 0)
		return -EINVAL;
	ret = spapr_range(s, iova, len, &req->iova);
	if (ret < 0)
		return ret;
	if ((hva & (page - 1)) != 0 || prot == 0)
		return -EINVAL;
	if (ret == SIM_NOTHING)
		return ret;
	if (weir_range_make(&req->hva, hva, len) != 0)
		return -EINVAL;
	req->prot = prot;
	there = spapr_registered(s, req->hva);
	if (there != 0 && s->spapr.page_shift > PAGE_SHIFT)
		return -EPERM;
	if (there == len)
		return spapr_clear(s, req->iova, &cleared);
	/* those before it were written, and are taken back */
	if (there != 0 && weir_range_make(&req->iova, iova, there) == 0)
		ret = spapr_clear(s, req->iova, &cleared);
	return ret != 0 ? ret : -EINVAL;
}

/*
 * The kernel says 0 and no more. How much went is for the tests of vfio_spapr,
 * which keeps a book to know it.
 */
static int
spapr_unmap(struct weir_sim *s, uint64_t iova, uint64_t len, uint64_t *unmapped)
{
	struct weir_range r;
	int ret;

	if (!s->spapr.enabled)
		return -EPERM;
	ret = spapr_range(s, iova, len, &r);
	if (ret != 0)
		return ret == SIM_NOTHING ? 0 : ret;
	return spapr_clear(s, r, unmapped);
}

const struct sim_rules sim_rules_spapr = {
	.name = "sim/spapr",
	.max_entries = UINT64_MAX,
	.splits = true,
	.pins_ahead = true,
	.map = spapr_map,
	.unmap = spapr_unmap,
	.caps = spapr_caps,
	.begin = spapr_begin,
	.end = spapr_end,
};

static int
memory_register(struct weir_sim *s, const struct sim_request *req)
{
	struct weir_tree_node *n = weir_tree_overlap(&s->spapr.memory, req->hva);
	uint64_t len = weir_range_len(req->hva), locked;
	struct spapr_memory *m;
	int ret;

	if (n != NULL && n->key.start == req->hva.start && n->key.last == req->hva.last)
		return -EBUSY;
	if (__builtin_add_overflow(s->spapr.registered, len, &locked) ||
	    locked > s->max_locked)
		return -ENOMEM;
	ret = sim_memory_check(s, req);
	if (ret != 0)
		return ret;
	if (n != NULL)
		return -EINVAL;
	m = weir_zalloc(sizeof(*m));
	if (m == NULL)
		return -ENOMEM;
	m->node.key = req->hva;
	s->spapr.registered = locked;
	s->spapr.enabled = true; /* and stays so */
	return weir_tree_insert(&s->spapr.memory, &m->node);
}

int
weir_sim_register(struct weir_sim *s, uint64_t hva, uint64_t len)
{
	struct sim_request req = { .prot = PROT_ANY };
	int ret;

	if (!s->rules->pins_ahead)
		return -ENOTTY;
	if (((hva | len) & (SIM_PT_PAGE - 1)) != 0 ||
	    weir_range_make(&req.hva, hva, len) != 0)
		return -EINVAL;
	pthread_mutex_lock(&s->lock);
	ret = memory_register(s, &req);
	pthread_mutex_unlock(&s->lock);
	return ret;
}

static bool
memory_is_mapped(const struct weir_sim *s, struct weir_range hva)
{
	struct weir_tree_node *n = weir_tree_find(&s->entries, 0);

	for (; n != NULL; n = weir_tree_next(n)) {
		struct weir_range to;

		if (weir_range_make(&to, sim_entry_of(n)->hva, weir_range_len(n->key)) ==
			    0 &&
		    weir_range_overlaps(to, hva))
			return true;
	}
	return false;
}

static int
memory_unregister(struct weir_sim *s, struct weir_range hva)
{
	struct weir_tree_node *n = weir_tree_find(&s->spapr.memory, hva.start);

	if (n == NULL || n->key.start != hva.start || n->key.last != hva.last)
		return -ENOENT;
	if (memory_is_mapped(s, hva))
		return -EBUSY;
	s->spapr.registered -= weir_range_len(hva);
	weir_tree_erase(&s->spapr.memory, n);
	free(n);
	return 0;
}

int
weir_sim_unregister(struct weir_sim *s, uint64_t hva, uint64_t len)
{
	struct weir_range r;
	int ret;

	if (!s->rules->pins_ahead)
		return -ENOTTY;
	if (((hva | len) & (SIM_PT_PAGE - 1)) != 0)
		return -EINVAL;
	if (weir_range_make(&r, hva, len) != 0)
		return -ENOENT;
	pthread_mutex_lock(&s->lock);
	ret = memory_unregister(s, r);
	pthread_mutex_unlock(&s->lock);
	return ret;
}

static bool
window_possible(const struct sim_spapr *p, unsigned int page_shift, uint64_t len,
		unsigned int levels)
{
	unsigned int bits;

	if (page_shift > 63 || (WEIR_SIM_WINDOW_PAGES & UINT64_C(1) << page_shift) == 0 ||
	    len == 0 || (len & (len - 1)) != 0 || levels == 0 ||
	    levels > WEIR_SIM_WINDOW_LEVELS)
		return false;
	bits = (unsigned int)__builtin_ctzll(len);
	return bits >= page_shift && bits <= p->bits &&
	       (bits <= FLAT_BITS || levels == WEIR_SIM_WINDOW_LEVELS);
}

int
weir_sim_window_create(struct weir_sim *s, unsigned int page_shift, uint64_t len,
		       unsigned int levels, uint64_t *start)
{
	struct sim_spapr *p = &s->spapr;
	int ret = 0;

	if (!s->rules->pins_ahead)
		return -ENOTTY;
	pthread_mutex_lock(&s->lock);
	if (p->windowed)
		ret = -ENOSPC;
	else if (!window_possible(p, page_shift, len, levels))
		ret = -EINVAL;
	else if (!p->others)
		ret = -EPERM;
	if (ret == 0) {
		p->windowed = true;
		p->window = (struct weir_range){ 0, len - 1 };
		p->page_shift = page_shift;
		*start = 0;
	}
	pthread_mutex_unlock(&s->lock);
	return ret;
}

int
weir_sim_window_remove(struct weir_sim *s, uint64_t start)
{
	struct sim_spapr *p = &s->spapr;
	int ret = 0;

	if (!s->rules->pins_ahead)
		return -ENOTTY;
	pthread_mutex_lock(&s->lock);
	if (!p->windowed || !weir_range_has(p->window, start))
		ret = -EINVAL;
	else if (!p->others)
		ret = -EPERM;
	if (ret == 0) {
		p->windowed = false;
		sim_remove_all(s);
	}
	pthread_mutex_unlock(&s->lock);
	return ret;
}

int
weir_sim_set_windows(struct weir_sim *s, bool others, unsigned int bits)
{
	if (!s->rules->pins_ahead)
		return -ENOTTY;
	if (bits > SIM_PT_BITS)
		return -EINVAL;
	pthread_mutex_lock(&s->lock);
	s->spapr.others = others;
	s->spapr.bits = bits;
	pthread_mutex_unlock(&s->lock);
	return 0;
}

int
weir_sim_spapr_state(struct weir_sim *s, struct weir_sim_spapr *out)
{
	if (!s->rules->pins_ahead)
		return -ENOTTY;
	pthread_mutex_lock(&s->lock);
	*out = (struct weir_sim_spapr){
		.registered = s->spapr.memory.nr_nodes,
		.registered_bytes = s->spapr.registered,
		.mapped_bytes = s->locked,
	};
	pthread_mutex_unlock(&s->lock);
	return 0;
}
