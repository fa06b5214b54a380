/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory: session's regions -> gmem slots -> the mirror's regions.
 *
 * Growing: the mirror maps, then the new table is put in force; nobody is waited
 * for, and the old table is put away when nobody is at it any more. Shrinking:
 * the new table is put before the queues, bursts that may have the old one and
 * copies that touch what goes are waited for (port_fence.c), then the mirror
 * unmaps, then the memory is unmapped here. If the copies do not end, the queues
 * get the old table back, and it is the new one that is put away.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "port.h"
#include "port_fence.h"
#include "port_mem.h"
#include "port_watch.h"
#include "weir_errno.h"
#include "weir_fail.h"
#include "weir_log.h"

/* How often it is looked whether tables can be put away, and for how long. */
#define REAP_US 10000u
#define REAP_WAIT_US 200u

bool
port_table_has(const struct weir_gmem *g, const struct weir_gmem_slot *s)
{
	for (uint32_t i = 0; i < g->nr_slots; i++)
		if (g->slot[i].backing == s->backing)
			return true;
	return false;
}

static struct weir_range
slot_iova(const struct weir_gmem_slot *s)
{
	return (struct weir_range){ s->iova, s->iova + (s->gpa.last - s->gpa.start) };
}

/* Unmap what is in @p g and not in @p keep, or was never mapped. */
static int
mirror_unmap(struct weir_port *p, const struct weir_gmem *g, const struct weir_gmem *keep)
{
	int ret, first = 0;

	for (uint32_t i = 0; i < g->nr_slots && p->conf.mirror != NULL; i++) {
		if (port_table_has(keep, &g->slot[i]))
			continue;
		ret = weir_mirror_unmap(p->conf.mirror, slot_iova(&g->slot[i]));
		if (ret != 0 && ret != -ENOENT && first == 0)
			first = ret;
	}
	return first;
}

/* Map what is in @p g and not in @p old, up to the first that fails. */
static int
mirror_map(struct weir_port *p, const struct weir_gmem *g, const struct weir_gmem *old)
{
	/* pages that are missing cannot be pinned */
	if (p->conf.mirror == NULL || p->postcopy.by_cpu)
		return 0;
	for (uint32_t i = 0; i < g->nr_slots; i++) {
		const struct weir_gmem_slot *s = &g->slot[i];
		struct weir_region r = {
			.iova = slot_iova(s),
			.hva = s->hva,
			.prot = WEIR_PROT_READ | WEIR_PROT_WRITE,
			.owner = p->id,
		};
		int ret;

		if (port_table_has(old, s))
			continue;
		ret = weir_mirror_map(p->conf.mirror, &r);
		if (ret == 0)
			continue;
		weir_log(WEIR_LOG_ERR,
			 "%s: cannot map guest memory %#llx-%#llx for DMA: %s", p->name,
			 (unsigned long long)s->gpa.start,
			 (unsigned long long)s->gpa.last, weir_strerror(ret));
		return ret;
	}
	return 0;
}

/* Put a table away that is not in force, unless the IOMMU still leads there. */
static void
table_retire(struct weir_port *p, const struct weir_gmem *g, const struct weir_gmem *keep)
{
	int ret = mirror_unmap(p, g, keep);

	port_postcopy_leave(p, g, keep);
	if (ret == 0) {
		port_watch_put(p, g);
		return;
	}
	/*
	 * A device could still write there: better lose the memory than reuse it.
	 * It outlives the port, and with it the descriptor that is told of it.
	 */
	weir_gmem_watch(g, -1);
	weir_gmem_watch(p->gmem, p->fault.fd);
	weir_log(WEIR_LOG_ERR,
		 "%s: guest memory stays mapped, the IOMMU did not let go: %s", p->name,
		 weir_strerror(ret));
}

static void
table_free(struct weir_port *p, struct port_table *t, const struct weir_gmem *keep)
{
	weir_iotlb_view_put(t->view);
	table_retire(p, t->g, keep);
	free(t);
}

void
port_tables_reap(struct weir_port *p)
{
	struct port_table **at = &p->out, *t;
	const struct weir_gmem_slot *stuck;

	if (p->out != NULL && port_wait_out(p, REAP_WAIT_US) == 0) {
		while ((t = *at) != NULL) {
			if (port_wait_copies(p, t->g, p->gmem, 0, &stuck) != 0) {
				at = &t->next;
				continue;
			}
			*at = t->next;
			table_free(p, t, p->gmem);
		}
	}
	if (p->out != NULL)
		ctl_timer_set(&p->reap, REAP_US);
}

void
port_reap_expired(struct ctl_timer *t)
{
	port_tables_reap(
		(struct weir_port *)((char *)t - offsetof(struct weir_port, reap)));
}

void
port_table_out(struct weir_port *p, struct port_table *t)
{
	t->next = p->out;
	p->out = t;
	if (!p->reap.armed)
		ctl_timer_set(&p->reap, REAP_US);
}

static bool
table_within(const struct weir_gmem *g, const struct weir_gmem *in)
{
	for (uint32_t i = 0; i < g->nr_slots; i++)
		if (!port_table_has(in, &g->slot[i]))
			return false;
	return true;
}

/* Nobody is at what @p old has and @p new has not. 0; -EBUSY: somebody is. */
static int
table_leave(struct weir_port *p, const struct weir_gmem *old, const struct weir_gmem *new)
{
	const struct weir_gmem_slot *stuck;
	int ret = port_wait_out(p, port_drain_us());

	if (ret != 0) {
		weir_log(WEIR_LOG_WARN, "%s: memory stays: a burst does not end",
			 p->name);
		return ret;
	}
	ret = port_wait_copies(p, old, new, port_drain_us(), &stuck);
	if (ret != 0)
		weir_log(
			WEIR_LOG_WARN,
			"%s: guest memory %#llx-%#llx stays: copies under way do not end",
			p->name, (unsigned long long)stuck->gpa.start,
			(unsigned long long)stuck->gpa.last);
	return ret;
}

/*
 * Put @p new, and what it comes to behind a vIOMMU, in force. What is put out in
 * return is in @p t. 0; -EBUSY: it is @p new, though somebody may be at it.
 */
static int
table_exchange(struct weir_port *p, const struct weir_gmem *new,
	       const struct weir_gmem *view, struct port_table *t, bool shrinks)
{
	const struct weir_gmem *old = p->gmem, *old_view = p->iotlb.view;
	int ret = shrinks ? port_rings_leave(p, view != NULL ? view : new) : 0;

	if (ret == 0) {
		weir_gmem_watch(new, p->fault.fd);
		port_publish(p, view != NULL ? view : new);
		if (shrinks)
			ret = table_leave(p, old, new);
		if (ret != 0)
			port_publish(p, port_iotlb_table(p));
	}
	t->g = ret == 0 ? old : new;
	t->view = ret == 0 ? old_view : view;
	if (ret != 0)
		return ret;
	p->gmem = new;
	p->iotlb.view = view;
	if (view != NULL)
		weir_iotlb_prune(p->iotlb.cache, new);
	return 0;
}

/* Put @p new, which this takes over, in force; or put it away. */
static int
table_replace(struct weir_port *p, const struct weir_gmem *new)
{
	struct port_table *t = weir_zalloc(sizeof(*t));
	const struct weir_gmem *old = p->gmem, *view = NULL;
	bool shrinks = !table_within(old, new);
	int ret = t != NULL ? 0 : -ENOMEM;

	if (ret == 0 && p->iotlb.cache != NULL)
		ret = weir_iotlb_view(p->iotlb.cache, new, &view);
	if (ret == 0)
		ret = mirror_map(p, new, old);
	if (ret == 0)
		ret = port_postcopy_enter(p, new, old);
	if (ret != 0)
		goto err_retire;
	ret = table_exchange(p, new, view, t, shrinks);
	if (ret == 0 && shrinks)
		table_free(p, t, new);
	else
		port_table_out(p, t);
	return ret;

err_retire:
	weir_iotlb_view_put(view);
	table_retire(p, new, old);
	free(t);
	return ret;
}

static struct weir_gmem_region
region_of(const struct weir_port *p, const struct weir_vhost_region *r)
{
	return (struct weir_gmem_region){
		.gpa = r->gpa.start,
		.len = weir_range_len(r->gpa),
		.uva = r->user.start,
		.mmap_offset = r->mmap_offset,
		.lazy = p->postcopy.listening,
	};
}

/* The session has found the region sound; it cannot be mapped here all the same. */
static void
say_unmapped(struct weir_port *p, const struct weir_vhost_region *r, int ret)
{
	weir_log(WEIR_LOG_ERR,
		 "%s: guest memory %#llx-%#llx, at %#llx of its file, not mapped: %s",
		 p->name, (unsigned long long)r->gpa.start,
		 (unsigned long long)r->gpa.last, (unsigned long long)r->mmap_offset,
		 weir_strerror(ret));
}

int
port_mem_table(struct weir_port *p)
{
	const struct weir_vhost_region *r;
	struct weir_gmem_region *region;
	struct weir_gmem *g;
	uint32_t nr, bad;
	int *fd, ret;

	r = weir_vhost_mem(p->session, &nr);
	region = weir_calloc(nr + 1, sizeof(*region));
	fd = weir_calloc(nr + 1, sizeof(*fd));
	ret = region != NULL && fd != NULL ? 0 : -ENOMEM;
	for (uint32_t i = 0; i < nr && ret == 0; i++) {
		region[i] = region_of(p, &r[i]);
		fd[i] = r[i].fd;
	}
	if (ret == 0) {
		ret = weir_gmem_replace(p->gmem, region, fd, nr, &g, &bad);
		if (ret != 0 && bad < nr)
			say_unmapped(p, &r[bad], ret);
	}
	free(region);
	free(fd);
	return ret != 0 ? ret : table_replace(p, g);
}

int
port_mem_add(struct weir_port *p, const struct weir_vhost_region *r)
{
	const struct weir_gmem_region region = region_of(p, r);
	struct weir_gmem *g;
	int ret = weir_gmem_add(p->gmem, &region, r->fd, &g);

	if (ret != 0) {
		say_unmapped(p, r, ret);
		return ret;
	}
	return table_replace(p, g);
}

int
port_mem_del(struct weir_port *p, const struct weir_vhost_region *r)
{
	struct weir_gmem *g;
	int ret = weir_gmem_del(p->gmem, (struct weir_gpa){ r->gpa.start }, &g);

	return ret != 0 ? ret : table_replace(p, g);
}

int
port_mem_map(struct weir_port *p)
{
	int ret = mirror_map(p, p->gmem, &weir_gmem_empty);

	if (ret != 0)
		mirror_unmap(p, p->gmem, &weir_gmem_empty);
	return ret;
}

void
port_mem_clear(struct weir_port *p)
{
	const struct weir_gmem *old = p->gmem;
	struct port_table *t;

	p->gmem = &weir_gmem_empty;
	table_retire(p, old, &weir_gmem_empty);
	while ((t = p->out) != NULL) {
		p->out = t->next;
		table_free(p, t, &weir_gmem_empty);
	}
	ctl_timer_clear(&p->reap);
}
