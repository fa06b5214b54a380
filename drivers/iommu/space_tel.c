/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * /weir/maps         the DMA address space, in the manner of /proc/PID/maps
 * /weir/maps,IOVA    the same from an address on
 * /weir/memory       the memory behind it: pages, backing, NUMA nodes
 * /weir/memory,IOVA  the same from an address on
 * /weir/space        what IOMMUs it is mapped in, and for which hardware engines;
 *                    its tables, and on which NUMA nodes they are
 *
 * A line is a region as weir_region_print() shows it; its owner is the number of
 * a port, 0 for EAL. The walk holds one region at a time and delays no one.
 *
 * As long as no queue has a dmadev there is no address space, and an answer says of
 * an empty one what it says of any.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include <rte_common.h>
#include <rte_eal.h>
#include <rte_telemetry.h>

#include "space_impl.h"
#include "tel.h"
#include "vfio_impl.h"
#include "weir_args.h"
#include "weir_map_memory.h"

/* An answer has 16 KiB, a line up to 130 bytes with its quotes. */
#define MAX_LINES 120

struct lines {
	struct rte_tel_data *array;
	unsigned int nr;
	uint64_t next; /* where to go on, if more is set */
	bool more;
};

/* Returns whether it was the last that goes into this answer. */
static bool
add_line(struct lines *l, const struct weir_region *r)
{
	char text[WEIR_REGION_PRINT_LEN];

	if (l->nr == MAX_LINES) {
		l->next = r->iova.start;
		l->more = true;
		return true;
	}
	weir_region_print(text, sizeof(text), r);
	rte_tel_data_add_array_string(l->array, text);
	l->nr++;
	return false;
}

/* The first region of either map from an iova on. @return 0; -ENOENT. */
static int
next_region(struct weir_space *s, uint64_t iova, struct weir_region *out)
{
	int ret = weir_mirror_lookup(s->mirror, iova, out);
	struct weir_region r;

	if (weir_mirror_lookup(s->eal, iova, &r) != 0)
		return ret;
	if (ret != 0 || r.iova.start < out->iova.start)
		*out = r;
	return 0;
}

static void
add_lines(struct lines *l, struct weir_space *s, uint64_t from)
{
	struct weir_region r;

	while (next_region(s, from, &r) == 0) {
		if (add_line(l, &r) || r.iova.last == UINT64_MAX)
			return;
		from = r.iova.last + 1;
	}
}

/* Where to go on, if there was more than an answer takes. */
static void
add_next(struct rte_tel_data *d, const struct lines *l)
{
	char next[2 + 16 + 1];

	if (!l->more)
		return;
	snprintf(next, sizeof(next), "0x%" PRIx64, l->next);
	rte_tel_data_add_dict_string(d, "next", next);
}

/* What is counted of a space, that of its IOMMU model first. */
struct figures {
	uint64_t entries, faults;
	uint64_t regions, broken, failures;
};

static struct figures
figures_of(struct weir_space *s)
{
	if (s == NULL)
		return (struct figures){ 0 };
	return (struct figures){
		.entries = weir_sim_entries(s->sim),
		.faults = weir_sim_faults(s->sim),
		.regions = weir_mirror_regions(s->mirror) + weir_mirror_regions(s->eal),
		.broken = weir_mirror_broken(s->mirror) + weir_mirror_broken(s->eal),
		.failures = weir_space_failures(s),
	};
}

static int
answer_maps(struct weir_space *s, uint64_t from, struct rte_tel_data *d)
{
	struct lines l = { .array = tel_new_array() };
	struct figures f;
	int ret;

	if (l.array == NULL)
		return -ENOMEM;
	if (s != NULL)
		add_lines(&l, s, from);
	f = figures_of(s);
	tel_add_u64(d, "regions", f.regions);
	tel_add_u64(d, "iommu_entries", f.entries);
	tel_add_u64(d, "iommu_faults", f.faults);
	tel_add_u64(d, "iommu_broken", f.broken);
	tel_add_u64(d, "eal_failures", f.failures);
	ret = tel_add_part(d, "maps", l.array);
	if (ret == 0)
		add_next(d, &l);
	return ret;
}

/* The same with the map that has the region. */
static int
next_memory(struct weir_space *s, uint64_t iova, struct weir_map_memory *out)
{
	struct weir_region r, eals;
	int ret = weir_mirror_lookup(s->mirror, iova, &r);
	struct weir_mirror *m = s->mirror;

	if (weir_mirror_lookup(s->eal, iova, &eals) == 0 &&
	    (ret != 0 || eals.iova.start < r.iova.start))
		m = s->eal;
	return weir_map_memory(weir_mirror_table(m), iova, out);
}

/* How many on each NUMA node: "0:64,1:3", or "-". */
#define NODES_LEN (WEIR_MAP_NODES * 14)

static void
nodes_print(char text[NODES_LEN], const uint32_t on_node[WEIR_MAP_NODES])
{
	int at = 0;

	snprintf(text, NODES_LEN, "-");
	for (unsigned int i = 0; i < WEIR_MAP_NODES; i++)
		if (on_node[i] != 0)
			at += snprintf(text + at, NODES_LEN - (size_t)at, "%s%u:%" PRIu32,
				       at != 0 ? "," : "", i, on_node[i]);
}

/* "7f1678000000-7f1680000000 200000 0:64 0/64 /memfd:name (deleted)" */
static void
add_memory(struct lines *l, const struct weir_map_memory *mem)
{
	char text[RTE_TEL_MAX_STRING_LEN], nodes[NODES_LEN];

	nodes_print(nodes, mem->on_node);
	/* on a machine of many nodes a name may not fit */
	if (snprintf(text, sizeof(text),
		     "%" PRIx64 "-%" PRIx64 " %" PRIx64 " %s %" PRIu32 "/%" PRIu32 " %s",
		     mem->iova.start, mem->iova.last + 1, mem->page_len, nodes,
		     mem->absent, mem->looked_at, mem->backing) >= (int)sizeof(text))
		text[sizeof(text) - 2] = '~';
	tel_array_add_text(l->array, text);
	l->nr++;
}

/* @return 0; what the kernel answered, where it ends. */
static int
add_memories(struct lines *l, struct weir_space *s, uint64_t from)
{
	struct weir_map_memory mem;
	int ret;

	while ((ret = next_memory(s, from, &mem)) == 0) {
		if (l->nr == MAX_LINES) {
			l->next = mem.iova.start;
			l->more = true;
			return 0;
		}
		add_memory(l, &mem);
		if (mem.iova.last == UINT64_MAX)
			return 0;
		from = mem.iova.last + 1;
	}
	return ret == -ENOENT ? 0 : ret;
}

static int
answer_memory(struct weir_space *s, uint64_t from, struct rte_tel_data *d)
{
	struct lines l = { .array = tel_new_array() };
	int ret = 0;

	if (l.array == NULL)
		return -ENOMEM;
	if (s != NULL)
		ret = add_memories(&l, s, from);
	if (ret != 0) {
		rte_tel_data_free(l.array);
		return ret;
	}
	ret = tel_add_part(d, "memory", l.array);
	if (ret == 0)
		add_next(d, &l);
	return ret;
}

/* Answer for the space, NULL if there is none, from the address in the parameters on. */
static int
from_address(const char *params, struct rte_tel_data *d,
	     int (*answer)(struct weir_space *s, uint64_t from, struct rte_tel_data *d))
{
	struct weir_space *s;
	uint64_t from = 0;
	int ret = 0;

	if (params != NULL && params[0] != '\0')
		ret = weir_arg_number(params, 0, UINT64_MAX, &from);
	if (ret != 0)
		return ret;
	rte_tel_data_start_dict(d);
	s = weir_space_peek();
	ret = answer(s, from, d);
	if (s != NULL)
		weir_space_put(s);
	return ret;
}

static int
memory(const char *cmd __rte_unused, const char *params, struct rte_tel_data *d)
{
	return from_address(params, d, answer_memory);
}

static int
maps(const char *cmd __rte_unused, const char *params, struct rte_tel_data *d)
{
	return from_address(params, d, answer_maps);
}

static int
add_engines(const struct weir_space_engine *engines, struct rte_tel_data *d)
{
	struct rte_tel_data *names = tel_new_array();

	if (names == NULL)
		return -ENOMEM;
	for (const struct weir_space_engine *e = engines; e != NULL; e = e->next)
		tel_array_add_text(names, e->name);
	return tel_add_part(d, "engines", names);
}

/* The tables of a map, and their nodes, "-" where the kernel does not tell. */
static void
add_tables(struct rte_tel_data *d, const char *kib, const char *nodes,
	   struct weir_mirror *m)
{
	struct weir_map_tables t;
	char text[NODES_LEN] = "-";

	if (weir_map_tables(weir_mirror_table(m), &t) == 0)
		nodes_print(text, t.on_node);
	tel_add_u64(d, kib, t.nodes * t.node_len / 1024);
	rte_tel_data_add_dict_string(d, nodes, text);
}

/* The kinds of backends that hold a map's regions: "model,type1", or "none". */
static void
add_backends(struct rte_tel_data *d, const char *key, struct weir_mirror *m)
{
	static const struct {
		uint32_t kind;
		const char *name;
	} kinds[] = {
		{ WEIR_BACKEND_MODEL, "model" }, { WEIR_BACKEND_TYPE1, "type1" },
		{ WEIR_BACKEND_SPAPR, "spapr" }, { WEIR_BACKEND_IOMMUFD, "iommufd" },
		{ WEIR_BACKEND_OTHER, "other" },
	};
	uint32_t follow = weir_map_backends(weir_mirror_table(m));
	char text[64] = "";
	size_t at = 0;

	for (size_t i = 0; i < RTE_DIM(kinds); i++)
		if ((follow & kinds[i].kind) != 0)
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s",
					       at != 0 ? "," : "", kinds[i].name);
	rte_tel_data_add_dict_string(d, key, at != 0 ? text : "none");
}

/* What answer_space() says, of a space that is not there. */
static int
answer_no_space(struct rte_tel_data *d)
{
	static const char *const texts[][2] = {
		{ "eal_backends", "none" },	{ "guest_backends", "none" },
		{ "eal_tables_on_nodes", "-" }, { "guest_tables_on_nodes", "-" },
		{ "container", "none" },
	};
	static const char *const zeros[] = {
		"eal_regions",	    "guest_regions",	 "eal_tables_kib",
		"guest_tables_kib", "model_eal_entries", "model_guest_entries",
		"model_faults",	    "container_lost",	 "container_guest_entries",
	};

	for (size_t i = 0; i < RTE_DIM(texts); i++)
		rte_tel_data_add_dict_string(d, texts[i][0], texts[i][1]);
	for (size_t i = 0; i < RTE_DIM(zeros); i++)
		tel_add_u64(d, zeros[i], 0);
	return add_engines(NULL, d);
}

static int
answer_space(struct weir_space *s, struct rte_tel_data *d)
{
	int ret;

	tel_add_u64(d, "eal_regions", weir_mirror_regions(s->eal));
	tel_add_u64(d, "guest_regions", weir_mirror_regions(s->mirror));
	add_backends(d, "eal_backends", s->eal);
	add_backends(d, "guest_backends", s->mirror);
	add_tables(d, "eal_tables_kib", "eal_tables_on_nodes", s->eal);
	add_tables(d, "guest_tables_kib", "guest_tables_on_nodes", s->mirror);
	tel_add_u64(d, "model_eal_entries", space_side_entries(&s->sim_eal_side));
	tel_add_u64(d, "model_guest_entries", space_side_entries(&s->sim_side));
	tel_add_u64(d, "model_faults", weir_sim_faults(s->sim));
	pthread_mutex_lock(&s->engines_lock);
	rte_tel_data_add_dict_string(d, "container",
				     s->vfio != NULL ? s->vfio_name : "none");
	tel_add_u64(d, "container_lost", s->vfio != NULL && s->vfio->lost);
	tel_add_u64(d, "container_guest_entries",
		    s->vfio != NULL ? atomic_load(&s->vfio_entries) : 0);
	ret = add_engines(s->engines, d);
	pthread_mutex_unlock(&s->engines_lock);
	return ret;
}

static int
space(const char *cmd __rte_unused, const char *params __rte_unused,
      struct rte_tel_data *d)
{
	struct weir_space *s = weir_space_peek();
	int ret;

	rte_tel_data_start_dict(d);
	rte_tel_data_add_dict_string(d, "iova_mode",
				     rte_eal_iova_mode() == RTE_IOVA_PA ? "pa" : "va");
	if (s == NULL)
		return answer_no_space(d);
	ret = answer_space(s, d);
	weir_space_put(s);
	return ret;
}

RTE_INIT(space_tel_init)
{
	rte_telemetry_register_cmd(
		"/weir/memory", memory,
		"The memory behind it: pages, NUMA nodes, backing; with an iova from "
		"there on.");
	rte_telemetry_register_cmd("/weir/space", space,
				   "What the DMA address space is made of.");
	rte_telemetry_register_cmd("/weir/maps", maps,
				   "The DMA address space; with an iova from there on.");
}
