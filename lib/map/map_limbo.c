/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "map_limbo.h"
#include "weir_fail.h"

/*
 * Nodes between two looks at readers' slots. Where readers come and go all the
 * time a look is a wait for each of those lines; some thirty changes share one.
 * More of them would make looks rarer, and the nodes that are written to next
 * colder: of a change among two readers the p99 was a fifth to a third higher with
 * 512 than with 64, and no lower with 24.
 */
#define LIMBO_BATCH 64

#define LIMBO_ROOM 1024 /* entries kept for good */

static_assert(LIMBO_BATCH < SLAB_STACK, "what comes back at once is not a burst");

int
map_limbo_reserve(struct map_limbo *l, size_t more)
{
	size_t room = l->room == 0 ? LIMBO_ROOM : l->room;
	void *at;

	if (more <= l->room - l->nr)
		return 0;
	while (room - l->nr < more)
		room *= 2;
	at = weir_realloc(l->at, room * sizeof(*l->at));
	if (at == NULL)
		return -ENOMEM;
	l->at = at;
	l->room = room;
	return 0;
}

static bool
is_seen(const struct limbo_node *n, const struct map_view *view, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		if (n->birth <= view[i].to && n->retired > view[i].from)
			return true;
	return false;
}

bool
map_limbo_reclaim(struct map_limbo *l, struct map_slots *s, uint64_t version,
		  struct map_slab *nodes)
{
	struct map_view view[MAP_SLOTS];
	unsigned int nr_views;

	if (l->nr < l->full)
		return true;
	nr_views = map_slots_look(s, version, view);
	/* the last first: a node that was a root tends to be one again, a leaf a leaf */
	for (size_t i = l->nr; i-- > 0;) {
		if (is_seen(&l->at[i], view, nr_views))
			continue;
		map_slab_put(nodes, l->at[i].node);
		l->at[i] = l->at[--l->nr];
	}
	/* many that stay are not looked through for every few that come */
	l->full = l->nr + (l->nr > LIMBO_BATCH ? l->nr : LIMBO_BATCH);
	if (nr_views == 0)
		l->full = 0;
	if (l->nr == 0 && l->room > LIMBO_ROOM) {
		free(l->at);
		l->at = NULL;
		l->room = 0;
	}
	return nr_views != 0;
}

void
map_limbo_fini(struct map_limbo *l, struct map_slab *nodes)
{
	while (l->nr > 0)
		map_slab_put(nodes, l->at[--l->nr].node);
	free(l->at);
}
