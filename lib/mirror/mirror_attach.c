/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stddef.h>

#include "mirror_impl.h"
#include "weir_fail.h"
#include "weir_log.h"

struct fit_walk {
	struct mirror_backend *b;
	struct weir_map_totals totals;
};

static int
fit_walk_region(const struct weir_region *r, void *arg)
{
	struct fit_walk *w = arg;

	return budget_check(w->b, r, &w->totals);
}

/*
 * Make the map one that the backend can follow, and the backend follow it. A
 * backend that cannot split gets a region of chunk 0 as one entry, so the map
 * has to say from now on that it is one; that is prepared first, since it can
 * fail, and published last.
 */
static int
backend_join(struct weir_mirror *m, struct mirror_backend *b)
{
	struct fit_walk w = { .b = b, .totals = weir_map_totals(m->map) };
	struct weir_map_change *c;
	int ret = weir_map_walk(m->map, fit_walk_region, &w);

	if (ret != 0)
		return ret;
	if (b->caps.splits)
		return backend_replay(b, m->map);
	ret = weir_map_plan_harden(m->map, &c);
	if (ret != 0)
		return ret;
	ret = backend_replay(b, m->map);
	if (ret != 0) {
		weir_map_abort(m->map, c);
		return ret;
	}
	weir_map_publish(m->map, c);
	weir_map_finish(m->map, c);
	return 0;
}

static struct mirror_backend *
backend_find(struct weir_mirror *m, const void *ctx)
{
	for (size_t i = 0; i < m->nr_backends; i++)
		if (m->backend[i].ctx == ctx)
			return &m->backend[i];
	return NULL;
}

static int
attach_locked(struct weir_mirror *m, const struct weir_iommu_ops *ops, void *ctx)
{
	struct mirror_backend *all, *b;
	int ret;

	if (backend_find(m, ctx) != NULL)
		return -EEXIST;
	all = weir_realloc(m->backend, (m->nr_backends + 1) * sizeof(*all));
	if (all == NULL)
		return -ENOMEM;
	m->backend = all;
	b = &all[m->nr_backends];
	*b = (struct mirror_backend){ .ops = ops, .ctx = ctx, .mirror = m->name };
	ret = backend_caps(b);
	if (ret == 0)
		ret = backend_join(m, b);
	if (ret != 0)
		return ret;
	m->nr_backends++;
	mirror_tell_backends(m, NULL);
	if (m->said_alone)
		weir_log(WEIR_LOG_NOTICE, "%s: %s: has all that was mapped before",
			 m->name, b->caps.name);
	m->said_alone = false;
	return 0;
}

int
weir_mirror_attach(struct weir_mirror *m, const struct weir_iommu_ops *ops, void *ctx)
{
	int ret;

	pthread_mutex_lock(&m->lock);
	ret = attach_locked(m, ops, ctx);
	pthread_mutex_unlock(&m->lock);
	return ret;
}

static int
detach_locked(struct weir_mirror *m, const void *ctx)
{
	struct mirror_backend *b = backend_find(m, ctx), *end;

	if (b == NULL)
		return -ENOENT;
	mirror_tell_backends(m, b);
	if (b->broken)
		atomic_fetch_sub(&m->nr_broken, 1);
	else
		backend_clear(b, m->map);
	end = &m->backend[--m->nr_backends];
	for (; b < end; b++)
		b[0] = b[1];
	return 0;
}

int
weir_mirror_refill(struct weir_mirror *m, const void *ctx, uint64_t *nr)
{
	struct mirror_backend *b;
	int ret;

	*nr = 0;
	pthread_mutex_lock(&m->lock);
	b = backend_find(m, ctx);
	if (b == NULL)
		ret = -ENOENT;
	else
		ret = b->broken ? -EIO : backend_refill(b, m->map, nr);
	pthread_mutex_unlock(&m->lock);
	return ret;
}

int
weir_mirror_detach(struct weir_mirror *m, void *ctx)
{
	int ret;

	pthread_mutex_lock(&m->lock);
	ret = detach_locked(m, ctx);
	pthread_mutex_unlock(&m->lock);
	return ret;
}
