/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory: session's regions -> gmem slots -> the mirror's regions.
 *
 * Growing: the mirror maps, then the new table is put in force. Shrinking: the
 * new table is put in force (with the rings stopped and their copies over),
 * then the mirror unmaps, then the memory is unmapped here.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "port.h"
#include "weir_errno.h"
#include "weir_log.h"

static bool
table_has(const struct weir_gmem *g, const struct weir_gmem_slot *s)
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
		if (table_has(keep, &g->slot[i]))
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
	for (uint32_t i = 0; i < g->nr_slots && p->conf.mirror != NULL; i++) {
		const struct weir_gmem_slot *s = &g->slot[i];
		struct weir_region r = {
			.iova = slot_iova(s),
			.hva = s->hva,
			.prot = WEIR_PROT_READ | WEIR_PROT_WRITE,
			.owner = p->id,
		};
		int ret;

		if (table_has(old, s))
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

	if (ret == 0) {
		weir_gmem_put(g);
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

/* Put @p new, which this takes over, in force; or put it away. */
static int
table_replace(struct weir_port *p, const struct weir_gmem *new)
{
	const struct weir_gmem *old = p->gmem;
	int ret = mirror_map(p, new, old);

	if (ret == 0)
		ret = port_rings_stop(p, PORT_DRAIN_US);
	if (ret != 0) {
		table_retire(p, new, old);
		return ret;
	}
	p->gmem = new;
	weir_gmem_watch(new, p->fault.fd);
	table_retire(p, old, new);
	return 0;
}

static int
region_add(const struct weir_gmem *old, const struct weir_vhost_region *r,
	   struct weir_gmem **out)
{
	const struct weir_gmem_region g = {
		.gpa = r->gpa.start,
		.len = weir_range_len(r->gpa),
		.uva = r->user.start,
		.mmap_offset = r->mmap_offset,
	};

	return weir_gmem_add(old, &g, r->fd, out);
}

int
port_mem_table(struct weir_port *p)
{
	const struct weir_gmem *g = &weir_gmem_empty;
	const struct weir_vhost_region *r;
	uint32_t nr;
	int ret = 0;

	r = weir_vhost_mem(p->session, &nr);
	for (uint32_t i = 0; i < nr && ret == 0; i++) {
		struct weir_gmem *more;

		ret = region_add(g, &r[i], &more);
		if (ret == 0) {
			weir_gmem_put(g);
			g = more;
		}
	}
	if (ret == 0)
		return table_replace(p, g);
	weir_gmem_put(g);
	return ret;
}

int
port_mem_add(struct weir_port *p, const struct weir_vhost_region *r)
{
	struct weir_gmem *g;
	int ret = region_add(p->gmem, r, &g);

	return ret != 0 ? ret : table_replace(p, g);
}

int
port_mem_del(struct weir_port *p, const struct weir_vhost_region *r)
{
	struct weir_gmem *g;
	int ret = weir_gmem_del(p->gmem, (struct weir_gpa){ r->gpa.start }, &g);

	return ret != 0 ? ret : table_replace(p, g);
}

void
port_mem_clear(struct weir_port *p)
{
	const struct weir_gmem *old = p->gmem;

	p->gmem = &weir_gmem_empty;
	table_retire(p, old, &weir_gmem_empty);
}
