/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "weir_map_memory.h"
#include "weir_vma.h"

#define MAX_LOOKS 512u

_Static_assert(WEIR_MAP_BACKING_LEN == WEIR_VMA_NAME_LEN, "names are copied");

/* Look at pages at equal distances, at all of them if they are few. */
static int
nodes_count(struct weir_map_memory *mem)
{
	uint64_t len = weir_range_len(mem->iova);
	uint64_t pages = (len - 1) / mem->page_len + 1;
	uint64_t step = ((pages - 1) / MAX_LOOKS + 1) * mem->page_len;
	uint64_t addr[MAX_LOOKS];
	int node[MAX_LOOKS], ret;

	for (uint64_t off = 0; off < len; off += step)
		addr[mem->looked_at++] = mem->hva + off;
	ret = weir_vma_nodes(addr, node, mem->looked_at);
	for (unsigned int i = 0; ret == 0 && i < mem->looked_at; i++) {
		if (node[i] < 0)
			mem->absent++;
		else if (node[i] < WEIR_MAP_NODES)
			mem->on_node[node[i]]++;
		else
			mem->on_node[WEIR_MAP_NODES - 1]++;
	}
	return ret;
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
	return nodes_count(mem);
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
