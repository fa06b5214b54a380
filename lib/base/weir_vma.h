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

#ifdef __cplusplus
}
#endif
#endif /* WEIR_VMA_H */
