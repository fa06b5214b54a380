/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_VMA_H
#define WEIR_VMA_H
/**
 * @file
 * What this process has mapped at an address.
 *
 * The kernel answers from its own list: by PROCMAP_QUERY (Linux 6.11) in about
 * a microsecond however many mappings there are, otherwise by the text of
 * /proc/self/maps, whose cost grows with it. Nothing is cached, since memory
 * comes and goes without a word to us; the answer is true at one moment.
 *
 * A reader may be used by one thread at a time.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "weir_range.h"

#ifdef __cplusplus
extern "C" {
#endif

/** One mapping, as mmap() made it and mprotect() left it. */
struct weir_vma {
	struct weir_range hva;
	int prot;  /**< PROT_READ | PROT_WRITE | PROT_EXEC */
	bool file; /**< backed by a file, a memfd or huge pages: it has an end */
};

/** Bytes of a name, with its NUL. */
#define WEIR_VMA_NAME_LEN 64

/** What a mapping is made of. */
struct weir_vma_backing {
	uint64_t page_len; /**< bytes of its pages: 4096, or a huge page's */
	/** A file's path, "/memfd:name (deleted)", "[heap]"; "" if it has none. Of a
	 * longer one the end. */
	char name[WEIR_VMA_NAME_LEN];
};

/** An open list of mappings. */
struct weir_vma_reader {
	int fd;
	pid_t pid;  /**< whose list it is; a forked child opens its own */
	bool query; /**< PROCMAP_QUERY works */
};

/** Open this process's list. @return 0; or what open(2) answered. */
int weir_vma_open(struct weir_vma_reader *r);

/** Close it. */
void weir_vma_close(struct weir_vma_reader *r);

/**
 * The mapping that covers @p addr, or else the next higher one.
 *
 * @return 0; -ENOENT: none there nor after; or what the kernel answered.
 */
int weir_vma_find(struct weir_vma_reader *r, uint64_t addr, struct weir_vma *out);

/**
 * The mapping that covers @p addr, and what it is made of.
 *
 * Without PROCMAP_QUERY the kernel counts the pages of all mappings up to that one
 * (/proc/self/smaps): for somebody who looks, not for a program's work.
 *
 * @return 0; -ENOENT: there is none; -EPROTO: the kernel's text is not understood;
 *         -ENOMEM; or what the kernel answered.
 */
int weir_vma_backing(struct weir_vma_reader *r, uint64_t addr, struct weir_vma *out,
		     struct weir_vma_backing *backing);

/**
 * NUMA nodes of the pages at some addresses. No page is touched or moved.
 *
 * @param node  Of each: the node's number; below 0: no page is there.
 * @return 0; or what move_pages(2) answered.
 */
int weir_vma_nodes(const uint64_t *addr, int *node, unsigned int nr);

#ifdef __cplusplus
}
#endif
#endif /* WEIR_VMA_H */
