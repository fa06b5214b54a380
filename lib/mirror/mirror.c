/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mirror_impl.h"
#include "weir_fail.h"
#include "weir_log.h"

/* In-flight DMA is done in far less; longer is a device that hangs. */
#define DRAIN_DEFAULT_US 1000000

int
weir_mirror_create(const char *name, struct weir_mirror **out)
{
	size_t len = strnlen(name, MIRROR_NAME_LEN);
	struct weir_mirror *m;
	int ret;

	if (len == 0)
		return -EINVAL;
	if (len == MIRROR_NAME_LEN)
		return -ENAMETOOLONG;
	m = weir_zalloc(sizeof(*m));
	if (m == NULL)
		return -ENOMEM;
	memcpy(m->name, name, len);
	m->drain_us = DRAIN_DEFAULT_US;
	ret = weir_map_create(&m->map);
	if (ret != 0) {
		free(m);
		return ret;
	}
	pthread_mutex_init(&m->lock, NULL);
	*out = m;
	return 0;
}

void
weir_mirror_destroy(struct weir_mirror *m)
{
	if (m == NULL)
		return;
	while (m->nr_backends > 0) {
		struct mirror_backend *b = &m->backend[--m->nr_backends];

		if (!b->broken)
			backend_clear(b, m->map);
		b->ops->close(b->ctx);
	}
	weir_map_destroy(m->map);
	pthread_mutex_destroy(&m->lock);
	free(m->backend);
	free(m);
}

void
mirror_tell_backends(struct weir_mirror *m, const struct mirror_backend *leaving)
{
	uint32_t kinds = 0;

	for (size_t i = 0; i < m->nr_backends; i++) {
		const struct mirror_backend *b = &m->backend[i];

		if (b != leaving && !b->broken)
			kinds |= b->caps.kind != 0 ? b->caps.kind : WEIR_BACKEND_OTHER;
	}
	if (kinds != weir_map_backends(m->map))
		weir_map_set_backends(m->map, kinds);
}

/* Every operation ends here: repair what lost more than was asked, count. */
static void
mirror_settle(struct weir_mirror *m, uint64_t *stat)
{
	unsigned int nr_broken = 0;

	(*stat)++;
	for (size_t i = 0; i < m->nr_backends; i++) {
		struct mirror_backend *b = &m->backend[i];

		if (b->excess && !b->broken)
			backend_repair(b, m->map);
		m->stats.settled += b->nr_settled;
		b->nr_settled = 0;
		nr_broken += b->broken;
	}
	if (nr_broken != atomic_load(&m->nr_broken)) {
		mirror_tell_backends(m, NULL);
		atomic_store(&m->nr_broken, nr_broken);
	}
}

static bool
plan_has_pieces(const struct weir_plan *p)
{
	struct weir_plan_iter it;
	struct weir_region run;

	weir_plan_begin(p, &it);
	return weir_plan_next_run(&it, &run);
}

static int
fits_all(struct weir_mirror *m, const struct weir_map_change *c)
{
	const struct weir_plan *p = weir_map_change_plan(c);
	struct weir_map_totals after = weir_map_change_totals(c);
	int ret = 0;

	if (!plan_has_pieces(p))
		return 0;
	for (size_t i = 0; i < m->nr_backends && ret == 0; i++)
		if (!m->backend[i].broken)
			ret = budget_check(&m->backend[i], &p->req, &after);
	return ret;
}

/* Map in all backends, or in none. */
static int
map_all(struct weir_mirror *m, const struct weir_plan *p)
{
	size_t i;
	int ret = 0;

	for (i = 0; i < m->nr_backends; i++) {
		if (!m->backend[i].broken)
			ret = backend_map(&m->backend[i], p);
		if (ret != 0)
			break;
	}
	while (ret != 0 && i-- > 0)
		if (!m->backend[i].broken)
			backend_undo(&m->backend[i], p);
	return ret;
}

/* Unmap in all backends, the last attached first, or in none. */
static int
unmap_all(struct weir_mirror *m, const struct weir_plan *p)
{
	size_t i;
	int ret = 0;

	for (i = m->nr_backends; i > 0; i--) {
		if (!m->backend[i - 1].broken)
			ret = backend_unmap(&m->backend[i - 1], p);
		if (ret != 0)
			break;
	}
	for (; ret != 0 && i < m->nr_backends; i++)
		if (!m->backend[i].broken)
			backend_undo(&m->backend[i], p);
	return ret;
}

/* The chunk for a region of which the caller said none. */
static uint64_t
chunk_choose(struct weir_mirror *m, const struct weir_region *r, uint64_t granule)
{
	struct weir_map_query q = { .iova = r->iova.start };
	struct weir_region there;

	/* mapped already: as it was, so that it is counted */
	if (weir_map_query(m->map, &q, &there) == 0)
		return there.chunk;
	return budget_chunk(m, weir_range_len(r->iova), granule);
}

static int
map_locked(struct weir_mirror *m, const struct weir_region *r)
{
	struct weir_map_change *c;
	int ret = weir_map_plan_map(m->map, r, &c);

	if (ret != 0)
		return ret;
	ret = fits_all(m, c);
	if (ret == 0)
		ret = map_all(m, weir_map_change_plan(c));
	if (ret != 0) {
		weir_map_abort(m->map, c);
		return ret;
	}
	weir_map_publish(m->map, c);
	weir_map_finish(m->map, c);
	if (m->nr_backends == 0 && !m->said_alone) {
		m->said_alone = true;
		weir_log(WEIR_LOG_NOTICE,
			 "%s: no backend is attached: what is mapped is kept for the "
			 "first that is",
			 m->name);
	}
	return 0;
}

int
weir_mirror_map_fit(struct weir_mirror *m, const struct weir_region *r, uint64_t *granule)
{
	struct weir_region fit = *r;
	int ret = weir_region_check(r);

	if (ret == 0 && (*granule % WEIR_MAP_PAGE != 0 || r->chunk != 0))
		ret = -EINVAL;
	if (ret != 0)
		return ret;
	pthread_mutex_lock(&m->lock);
	fit.chunk = chunk_choose(m, r, *granule);
	ret = map_locked(m, &fit);
	mirror_settle(m, ret == 0 ? &m->stats.maps : &m->stats.refused);
	pthread_mutex_unlock(&m->lock);
	if (ret == 0 && fit.chunk != 0)
		*granule = fit.chunk;
	return ret;
}

int
weir_mirror_map(struct weir_mirror *m, const struct weir_region *r)
{
	uint64_t none = 0;
	int ret;

	if (r->chunk == 0)
		return weir_mirror_map_fit(m, r, &none);
	pthread_mutex_lock(&m->lock);
	ret = map_locked(m, r);
	mirror_settle(m, ret == 0 ? &m->stats.maps : &m->stats.refused);
	pthread_mutex_unlock(&m->lock);
	return ret;
}

static uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* Ask one user about every stretch that goes. */
static int
user_drain(struct weir_mirror_user *u, const struct weir_plan *p, uint64_t deadline_us)
{
	struct weir_plan_iter it;
	struct weir_region run;
	int ret = 0;

	weir_plan_begin(p, &it);
	while (ret == 0 && weir_plan_next_run(&it, &run)) {
		uint64_t now = now_us();

		if (weir_range_overlaps(u->iova, run.iova))
			ret = u->drain(u, &run,
				       now < deadline_us ? deadline_us - now : 0);
	}
	return ret;
}

/* Wait until whoever may have seen a region that goes has let go of it. */
static int
users_drain(struct weir_mirror *m, const struct weir_plan *p)
{
	uint64_t deadline_us = m->users != NULL ? now_us() + m->drain_us : 0;
	int ret = 0;

	for (struct weir_mirror_user *u = m->users; u != NULL && ret == 0; u = u->next)
		ret = user_drain(u, p, deadline_us);
	return ret;
}

static int
unmap_locked(struct weir_mirror *m, struct weir_range iova)
{
	struct weir_map_change *c;
	int ret = weir_map_plan_unmap(m->map, iova, &c);

	if (ret != 0)
		return ret;
	weir_map_publish(m->map, c);
	ret = users_drain(m, weir_map_change_plan(c));
	if (ret == 0)
		ret = unmap_all(m, weir_map_change_plan(c));
	if (ret == 0) {
		weir_map_finish(m->map, c);
		return 0;
	}
	/* one that broke does not hold what is shown again */
	mirror_tell_backends(m, NULL);
	weir_map_revert(m->map, c);
	return ret;
}

int
weir_mirror_unmap(struct weir_mirror *m, struct weir_range iova)
{
	int ret;

	pthread_mutex_lock(&m->lock);
	ret = unmap_locked(m, iova);
	mirror_settle(m, ret == 0 ? &m->stats.unmaps : &m->stats.refused);
	pthread_mutex_unlock(&m->lock);
	return ret;
}

void
weir_mirror_user_add(struct weir_mirror *m, struct weir_mirror_user *u)
{
	pthread_mutex_lock(&m->lock);
	u->next = m->users;
	m->users = u;
	pthread_mutex_unlock(&m->lock);
}

void
weir_mirror_user_del(struct weir_mirror *m, struct weir_mirror_user *u)
{
	struct weir_mirror_user **p;

	pthread_mutex_lock(&m->lock);
	for (p = &m->users; *p != NULL; p = &(*p)->next) {
		if (*p == u) {
			*p = u->next;
			break;
		}
	}
	pthread_mutex_unlock(&m->lock);
}

void
weir_mirror_set_drain(struct weir_mirror *m, uint64_t timeout_us)
{
	pthread_mutex_lock(&m->lock);
	m->drain_us = timeout_us;
	pthread_mutex_unlock(&m->lock);
}

int
weir_mirror_lookup(struct weir_mirror *m, uint64_t iova, struct weir_region *out)
{
	struct weir_map_query q = { .iova = iova, .next = true };

	return weir_map_query(m->map, &q, out);
}

int
weir_mirror_walk(struct weir_mirror *m, weir_mirror_walk_t fn, void *arg)
{
	return weir_map_walk(m->map, fn, arg);
}

struct weir_map *
weir_mirror_table(struct weir_mirror *m)
{
	return m->map;
}

size_t
weir_mirror_regions(struct weir_mirror *m)
{
	return weir_map_regions(m->map);
}

unsigned int
weir_mirror_broken(struct weir_mirror *m)
{
	return atomic_load(&m->nr_broken);
}

void
weir_mirror_stats(struct weir_mirror *m, struct weir_mirror_stats *out)
{
	pthread_mutex_lock(&m->lock);
	*out = m->stats;
	pthread_mutex_unlock(&m->lock);
}

const char *
weir_mirror_name(const struct weir_mirror *m)
{
	return m->name;
}
