/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_MAP_MEMORY_H
#define WEIR_MAP_MEMORY_H
/**
 * @file
 * What memory is behind a map: pages, backing, NUMA nodes.
 *
 * A map knows of addresses; what is there the kernel says, at the moment it is
 * asked. For somebody who wonders why a device is slow, not for a data path: a
 * question costs some microseconds and system calls, more on kernels before 6.11
 * (see weir_vma.h of lib/base).
 */
#include "weir_map.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Bytes of a backing's name, with its NUL. */
#define WEIR_MAP_BACKING_LEN 64

/** Nodes that are told apart; the last stands for all from it on. */
#define WEIR_MAP_NODES 16

/** Part of a region, or all of it, that is of one mapping. */
struct weir_map_memory {
	struct weir_range iova;
	uint64_t hva;	   /**< behind iova.start */
	uint64_t page_len; /**< bytes of a page: 4096, or a huge page's */
	bool file;	   /**< of a file, a memfd, or huge pages */
	/** A file's path, "/memfd:name (deleted)", "[heap]"; "" if it has none. Of a
	 * longer one the end. */
	char backing[WEIR_MAP_BACKING_LEN];
	/** Pages that were looked at: all, or 512 at most at equal distances. */
	uint32_t looked_at;
	uint32_t absent; /**< of these, not there: never touched, or swapped out */
	uint32_t on_node[WEIR_MAP_NODES]; /**< of these, on each node */
};

/**
 * The memory behind @p iova, or behind the next iova that is mapped, and as far as
 * region and mapping go on. Call it again from out->iova.last + 1 on for the rest.
 *
 * The region is held meanwhile (weir_map_hold()): whoever takes it away waits.
 * No page is touched. Control plane, any thread.
 *
 * @return 0; -ENOENT: nothing is mapped there nor after; -EFAULT: a region is, and
 *         the process has no memory at its address any more; -EBUSY: 48 regions are
 *         held; -ENOMEM; -EPROTO: the kernel's answer makes no sense; or what the
 *         kernel answered: -ENOSYS or -EPERM where nodes are not told.
 */
int weir_map_memory(struct weir_map *m, uint64_t iova, struct weir_map_memory *out);

/** Where a map's own tables are. */
struct weir_map_tables {
	size_t nodes;	    /**< of the tree */
	size_t node_len;    /**< bytes of each */
	uint32_t looked_at; /**< nodes: all, or 512 at most at equal distances */
	uint32_t absent;    /**< of these, whose page was not there any more */
	uint32_t on_node[WEIR_MAP_NODES]; /**< of these, on each NUMA node */
};

/**
 * Put what a map's tables grow by on a NUMA node: the one of those who read it, where
 * these have a choice.
 *
 * What there is already stays where it is, so that this is for a map that is empty
 * yet. Where the node has no memory left another one's is taken. Control plane, any
 * thread.
 *
 * @param node  -1: the node of the thread that makes the table grow, as at first.
 * @return 0; -ENODEV: there is no such node; -ENOSYS: this kernel has none.
 */
int weir_map_set_node(struct weir_map *m, int node);

/**
 * Tell where a map's tables are: on the node that weir_map_set_node() has named, or
 * else on those of the threads that changed it.
 *
 * Delays no writer and no reader. Control plane, any thread.
 *
 * @return 0, also for an empty map; or what the kernel answered: -ENOSYS or -EPERM
 *         where nodes are not told.
 */
int weir_map_tables(struct weir_map *m, struct weir_map_tables *out);

#ifdef __cplusplus
}
#endif
#endif /* WEIR_MAP_MEMORY_H */
