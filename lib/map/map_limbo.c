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
 * colder.
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

/* Nodes that are looked through after a change, or a part of those there are: all at
 * once would be the slowest of thirty changes. */
#define LIMBO_STEP 4
#define LIMBO_PART 16

static bool
is_seen(const struct map_limbo *l, const struct limbo_node *n)
{
	for (unsigned int i = 0; i < l->nr_views; i++)
		if (n->birth <= l->view[i].to && n->retired > l->view[i].from)
			return true;
	return false;
}

/* Look at readers: what is here now is seen by none who comes later. */
static void
limbo_look(struct map_limbo *l, struct map_slots *s, uint64_t version)
{
	l->nr_views = map_slots_look(s, version, l->view);
	l->todo = l->nr;
	l->kept = 0;
}

/* How many to sift after this change. */
static size_t
limbo_share(const struct map_limbo *l)
{
	size_t part = l->todo / LIMBO_PART;

	if (l->nr_views == 0)
		return l->todo;
	return part > LIMBO_STEP ? part : LIMBO_STEP;
}

/* The last first: a node that was a root tends to be one again, a leaf a leaf. */
static void
limbo_sift(struct map_limbo *l, size_t nr, struct map_slab *nodes)
{
	for (; nr > 0 && l->todo > 0; nr--) {
		struct limbo_node *n = &l->at[--l->todo];

		if (is_seen(l, n)) {
			l->kept++;
			continue;
		}
		map_slab_put(nodes, n->node);
		*n = l->at[--l->nr];
	}
}

bool
map_limbo_reclaim(struct map_limbo *l, struct map_slots *s, uint64_t version,
		  struct map_slab *nodes)
{
	if (l->todo == 0) {
		if (l->nr < l->full)
			return true;
		limbo_look(l, s, version);
	}
	limbo_sift(l, limbo_share(l), nodes);
	if (l->todo > 0)
		return true;
	/* many that stay are not looked through for every few that come */
	l->full = l->kept + (l->kept > LIMBO_BATCH ? l->kept : LIMBO_BATCH);
	if (l->nr_views == 0)
		l->full = 0;
	if (l->nr == 0 && l->room > LIMBO_ROOM) {
		free(l->at);
		l->at = NULL;
		l->room = 0;
	}
	return l->nr_views != 0;
}

void
map_limbo_fini(struct map_limbo *l, struct map_slab *nodes)
{
	while (l->nr > 0)
		map_slab_put(nodes, l->at[--l->nr].node);
	free(l->at);
}
