/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <numa.h>
#include <string.h>

#include "map_impl.h"
#include "weir_map_memory.h"
#include "weir_vma.h"

#define MAX_LOOKS 512u

_Static_assert(WEIR_MAP_BACKING_LEN == WEIR_VMA_NAME_LEN, "names are copied");

/* Count the NUMA nodes of the pages at some addresses. */
static int
nodes_count(const uint64_t *addr, uint32_t nr, uint32_t *absent,
	    uint32_t on_node[WEIR_MAP_NODES])
{
	int node[MAX_LOOKS];
	int ret = weir_vma_nodes(addr, node, nr);

	for (unsigned int i = 0; ret == 0 && i < nr; i++) {
		if (node[i] < 0)
			(*absent)++;
		else if (node[i] < WEIR_MAP_NODES)
			on_node[node[i]]++;
		else
			on_node[WEIR_MAP_NODES - 1]++;
	}
	return ret;
}

/* Look at pages at equal distances, at all of them if they are few. */
static int
pages_count(struct weir_map_memory *mem)
{
	uint64_t len = weir_range_len(mem->iova);
	uint64_t pages = (len - 1) / mem->page_len + 1;
	uint64_t step = ((pages - 1) / MAX_LOOKS + 1) * mem->page_len;
	uint64_t addr[MAX_LOOKS];

	for (uint64_t off = 0; off < len; off += step)
		addr[mem->looked_at++] = mem->hva + off;
	return nodes_count(addr, mem->looked_at, &mem->absent, mem->on_node);
}

/* The part of the region from an iova on that is of one mapping. */
static int
memory_find(struct weir_vma_reader *reader, const struct weir_region *r, uint64_t iova,
	    struct weir_map_memory *mem)
{
	struct weir_range rest = { iova, r->iova.last }, hva;
	struct weir_vma_backing backing;
	struct weir_vma vma;
	int ret;

	mem->hva = r->hva + weir_range_offset(r->iova, iova);
	ret = weir_range_make(&hva, mem->hva, weir_range_len(rest));
	if (ret == 0)
		ret = weir_vma_backing(reader, mem->hva, &vma, &backing);
	if (ret != 0)
		return ret == -ENOENT ? -EFAULT : ret;
	hva = weir_range_intersect(hva, vma.hva);
	ret = weir_range_make(&mem->iova, iova, weir_range_len(hva));
	if (ret != 0 || backing.page_len == 0)
		return -EPROTO;
	mem->page_len = backing.page_len;
	mem->file = vma.file;
	memcpy(mem->backing, backing.name, sizeof(mem->backing));
	return pages_count(mem);
}

int
weir_map_memory(struct weir_map *m, uint64_t iova, struct weir_map_memory *out)
{
	struct weir_vma_reader reader;
	struct weir_map_held held;
	int ret = weir_map_hold(m, iova, &held);

	*out = (struct weir_map_memory){ .page_len = 0 };
	if (ret != 0)
		return ret;
	if (iova < held.region.iova.start)
		iova = held.region.iova.start;
	ret = weir_vma_open(&reader);
	if (ret == 0) {
		ret = memory_find(&reader, &held.region, iova, out);
		weir_vma_close(&reader);
	}
	weir_map_release(&held);
	return ret;
}

int
weir_map_set_node(struct weir_map *m, int node)
{
	if (node >= 0 && numa_available() < 0)
		return -ENOSYS;
	if (node < -1 || node >= SLAB_MAX_NODES ||
	    (node >= 0 && !numa_bitmask_isbitset(numa_all_nodes_ptr, (unsigned int)node)))
		return -ENODEV;
	atomic_store_explicit(&m->nodes.node, node, memory_order_relaxed);
	return 0;
}

/* A tree's nodes, each @step-th of which is looked at. */
struct tables_look {
	size_t nr, step;
	uint32_t looked_at;
	uint64_t *addr; /* MAX_LOOKS of them; NULL: only count */
};

static void
tables_visit(struct tables_look *l, const struct map_node *n)
{
	if (l->addr != NULL && l->nr % l->step == 0)
		l->addr[l->looked_at++] = (uintptr_t)n;
	l->nr++;
}

/* Leaves are not read: their parents say where they are. */
static void
tables_walk(struct tables_look *l, const struct map_node *n)
{
	const struct map_node *path[MAP_MAX_LEVELS];
	unsigned int at[MAP_MAX_LEVELS] = { 0 }, level = n->level;

	path[level] = n;
	tables_visit(l, n);
	while (n->level > 0) {
		const struct map_node *here = path[level];

		if (at[level] == here->nr) {
			if (level++ == n->level)
				return;
			continue;
		}
		here = here->inner.child[at[level]++];
		tables_visit(l, here);
		if (level == 1)
			continue;
		level--;
		path[level] = here;
		at[level] = 0;
	}
}

int
weir_map_tables(struct weir_map *m, struct weir_map_tables *out)
{
	struct map_node *root;
	uint64_t seq;
	struct map_slot *slot = map_enter(m, &root, &seq);
	struct tables_look l = { .nr = 0 };
	uint64_t addr[MAX_LOOKS];

	*out = (struct weir_map_tables){ .node_len = sizeof(*root) };
	if (root != NULL) {
		tables_walk(&l, root);
		out->nodes = l.nr;
		l = (struct tables_look){
			.step = (l.nr - 1) / MAX_LOOKS + 1,
			.addr = addr,
		};
		tables_walk(&l, root);
	}
	map_slot_leave(slot);
	out->looked_at = l.looked_at;
	/* a node that has gone meanwhile has left its page there, or it is absent */
	return l.looked_at == 0
		       ? 0
		       : nodes_count(addr, l.looked_at, &out->absent, out->on_node);
}
