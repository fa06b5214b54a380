/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_GMEM_FILE_H
#define WEIR_GMEM_FILE_H
/**
 * @file
 * A stretch of a peer's file, mapped: a log, an area for state.
 *
 * It is to the protocol's own areas what a slot is to guest memory. The file is
 * the peer's too, who may cut it short at any time: bytes that go away become
 * zeroes, as gmem_guard.h has it, weir_gmem_file_lost() says so, and an eventfd
 * is written if one is watched.
 *
 * Threads: the control plane maps and unmaps; whoever has the address reads and
 * writes there, and knows that the peer does, too.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gmem_guard;

/** A mapped stretch; zeroed: none. */
struct weir_gmem_file {
	void *addr;   /**< its first byte; NULL: none */
	uint64_t len; /**< bytes */
	void *map;    /**< what was mapped, whole pages */
	size_t map_len;
	struct gmem_guard *guard;
};

/**
 * Map a stretch of a file, shared, readable and writable.
 *
 * @param f       Written on success only.
 * @param offset  Bytes; any alignment.
 * @param len     Bytes, not 0.
 * @return 0; -EINVAL: @p len is 0; -EOVERFLOW: the end is beyond any file;
 *         -ERANGE: the file is shorter; -ENOMEM; -EBUSY: too many others handle
 *         SIGBUS; or what fstat(2) or mmap(2) answered.
 */
int weir_gmem_file_map(struct weir_gmem_file *f, int fd, uint64_t offset, uint64_t len);

/** Unmap it and zero @p f. One that is zeroed is allowed. */
void weir_gmem_file_unmap(struct weir_gmem_file *f);

/** Have an eventfd, which does not block, written when bytes are lost; -1: none. */
void weir_gmem_file_watch(struct weir_gmem_file *f, int event_fd);

/** True if some of its bytes were lost and read as zeroes. Any thread. */
bool weir_gmem_file_lost(const struct weir_gmem_file *f);

#ifdef __cplusplus
}
#endif
#endif /* WEIR_GMEM_FILE_H */
