/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VFIO_BOOK_H
#define VFIO_BOOK_H
/*
 * A book of what we have mapped in a container, for where the kernel keeps none
 * that is of use: in a container that is another's too, ours have to be told
 * from its owner's; and sPAPR does not say how much an unmap removed.
 *
 * Entering cannot fail once vfio_book_prepare() has not: it is called before the
 * kernel is asked, so that book and kernel agree whatever happens.
 */
#include <stdbool.h>

#include "weir_tree.h"

/* An entry, or what is left of one. */
struct vfio_book_entry {
	struct weir_tree_node node; /* key: its iovas */
	uint64_t hva;
};

#define VFIO_BOOK_SPARES 2

/* All zero is an empty book that is not kept: every call does nothing. */
struct vfio_book {
	bool kept;
	struct weir_tree entries;
	struct vfio_book_entry *spare[VFIO_BOOK_SPARES];
	/* Told of what leaves the book; NULL: nobody wants to know. */
	void (*on_gone)(void *arg, uint64_t hva, uint64_t len);
	void *arg;
};

/* Make room for what one map or unmap may enter. @return 0; -ENOMEM. */
int vfio_book_prepare(struct vfio_book *b);

/*
 * Enter a map that succeeded. What the book has there already the kernel has
 * lost; it is struck out.
 */
void vfio_book_add(struct vfio_book *b, struct weir_range iova, uint64_t hva);

/* Bytes of the range that are in the book. */
uint64_t vfio_book_covered(const struct vfio_book *b, struct weir_range iova);

/*
 * Strike out what an unmap of @iova removed, @gone bytes by the kernel's word.
 * If that is all the book has there it is cut out, to the byte; else it was
 * whole entries that begin there, as far as the bytes go (type1 v1).
 */
void vfio_book_del(struct vfio_book *b, struct weir_range iova, uint64_t gone);

/* Strike out everything. The book is kept on, or not, as before. */
void vfio_book_clear(struct vfio_book *b);

/* Free it all; clear it first. */
void vfio_book_fini(struct vfio_book *b);

#endif /* VFIO_BOOK_H */
