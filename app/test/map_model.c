/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "map_model.h"

#define PAGE WEIR_MAP_PAGE

static bool
req_begins(const struct weir_region *r, uint64_t page)
{
	return r->chunk == 0 || (page * PAGE - r->iova.start) % r->chunk == 0;
}

int
map_model_map(struct map_model *m, const struct weir_region *r)
{
	uint64_t from = r->iova.start / PAGE, to = (r->iova.last + 1) / PAGE;

	for (uint64_t i = from; i < to; i++) {
		const struct model_page *p = &m->page[i], *q = &m->page[i + 1];
		bool cut = i + 1 == to || req_begins(r, i + 1);

		if (p->refs == 0)
			continue;
		if (p->delta != r->hva - r->iova.start || p->prot != r->prot ||
		    p->chunk != r->chunk || p->begins != req_begins(r, i))
			return -EEXIST;
		/* both must cut behind it, or neither */
		if (cut != (q->refs == 0 || q->begins))
			return -EEXIST;
	}
	for (uint64_t i = from; i < to; i++) {
		struct model_page *p = &m->page[i];

		if (p->refs++ == 0)
			*p = (struct model_page){ .refs = 1,
						  .prot = r->prot,
						  .owner = r->owner,
						  .delta = r->hva - r->iova.start,
						  .chunk = r->chunk,
						  .begins = req_begins(r, i) };
	}
	return 0;
}

int
map_model_unmap(struct map_model *m, struct weir_range iova)
{
	uint64_t from = iova.start / PAGE, to = (iova.last + 1) / PAGE;

	for (uint64_t i = from; i < to; i++)
		if (m->page[i].refs == 0)
			return -ENOENT;
	if (!m->page[from].begins || (m->page[to].refs != 0 && !m->page[to].begins))
		return -ENOTSUP;
	for (uint64_t i = from; i < to; i++)
		m->page[i].refs--;
	return 0;
}

/* A walk that compares regions with the model. */
struct compare {
	const struct map_model *m;
	uint64_t next;
	struct weir_region prev;
	size_t nr;
};

static int
compare_region(const struct weir_region *r, void *arg)
{
	struct compare *c = arg;
	uint64_t from = r->iova.start / PAGE, to = (r->iova.last + 1) / PAGE;

	for (; c->next < from; c->next++)
		if (c->m->page[c->next].refs != 0)
			return 1;
	for (; c->next < to; c->next++) {
		const struct model_page *p = &c->m->page[c->next];

		if (p->refs != r->refs || p->prot != r->prot || p->owner != r->owner ||
		    p->delta != r->hva - r->iova.start || p->chunk != r->chunk ||
		    p->begins != req_begins(r, c->next))
			return 2;
	}
	/* what could be one region is one */
	if (c->nr > 0 && weir_range_abuts(c->prev.iova, r->iova) &&
	    c->prev.hva - c->prev.iova.start == r->hva - r->iova.start &&
	    c->prev.prot == r->prot && c->prev.chunk == r->chunk &&
	    c->prev.owner == r->owner && c->prev.refs == r->refs &&
	    (r->chunk == 0 || weir_range_len(c->prev.iova) % r->chunk == 0))
		return 3;
	c->prev = *r;
	c->nr++;
	return 0;
}

bool
map_model_agrees(const struct map_model *m, struct weir_mirror *mirror)
{
	struct compare c = { .m = m };
	int ret = weir_mirror_walk(mirror, compare_region, &c);

	for (; ret == 0 && c.next < MODEL_PAGES; c.next++)
		if (m->page[c.next].refs != 0)
			ret = 4;
	if (ret == 0 && c.nr != weir_mirror_regions(mirror))
		ret = 5;
	if (ret != 0)
		printf("    page %" PRIu64 ": difference %d\n", c.next, ret);
	return ret == 0;
}
