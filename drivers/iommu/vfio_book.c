/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <stdlib.h>

#include "vfio_book.h"
#include "weir_fail.h"

static struct vfio_book_entry *
entry_of(struct weir_tree_node *n)
{
	return (struct vfio_book_entry *)n;
}

int
vfio_book_prepare(struct vfio_book *b)
{
	for (unsigned int i = 0; b->kept && i < VFIO_BOOK_SPARES; i++) {
		if (b->spare[i] == NULL)
			b->spare[i] = weir_zalloc(sizeof(*b->spare[i]));
		if (b->spare[i] == NULL)
			return -ENOMEM;
	}
	return 0;
}

static struct vfio_book_entry *
spare_take(struct vfio_book *b)
{
	unsigned int i = b->spare[0] != NULL ? 0 : 1;
	struct vfio_book_entry *e = b->spare[i];

	assert(e != NULL);
	b->spare[i] = NULL;
	return e;
}

static void
entry_insert(struct vfio_book *b, struct weir_range iova, uint64_t hva)
{
	struct vfio_book_entry *e = spare_take(b);
	int ret;

	e->node.key = iova;
	e->hva = hva;
	ret = weir_tree_insert(&b->entries, &e->node);
	assert(ret == 0);
	(void)ret;
}

static void
entry_remove(struct vfio_book *b, struct vfio_book_entry *e)
{
	weir_tree_erase(&b->entries, &e->node);
	if (b->on_gone != NULL)
		b->on_gone(b->arg, e->hva, weir_range_len(e->node.key));
	free(e);
}

/* Make two entries of the one that has both addr - 1 and addr. */
static void
entry_cut(struct vfio_book *b, uint64_t addr)
{
	struct weir_tree_node *n = weir_tree_find(&b->entries, addr);
	struct weir_range all;

	if (n == NULL || n->key.start >= addr)
		return;
	all = n->key;
	n->key = weir_range_before(all, addr);
	entry_insert(b, weir_range_after(all, addr - 1),
		     entry_of(n)->hva + weir_range_offset(all, addr));
}

void
vfio_book_add(struct vfio_book *b, struct weir_range iova, uint64_t hva)
{
	struct weir_tree_node *n;

	if (!b->kept)
		return;
	while ((n = weir_tree_overlap(&b->entries, iova)) != NULL)
		entry_remove(b, entry_of(n));
	entry_insert(b, iova, hva);
}

uint64_t
vfio_book_covered(const struct vfio_book *b, struct weir_range iova)
{
	struct weir_tree_node *n = weir_tree_overlap(&b->entries, iova);
	uint64_t len = 0;

	for (; n != NULL && n->key.start <= iova.last; n = weir_tree_next(n))
		len += weir_range_len(weir_range_intersect(n->key, iova));
	return len;
}

/* Remove entries that begin in the range, in order, `gone` bytes at most. */
static void
remove_whole(struct vfio_book *b, struct weir_range iova, uint64_t gone)
{
	struct weir_tree_node *n = weir_tree_overlap(&b->entries, iova);

	while (n != NULL && n->key.start <= iova.last) {
		struct weir_tree_node *next = weir_tree_next(n);
		uint64_t len = weir_range_len(n->key);

		if (n->key.start >= iova.start && len <= gone) {
			gone -= len;
			entry_remove(b, entry_of(n));
		}
		n = next;
	}
}

void
vfio_book_del(struct vfio_book *b, struct weir_range iova, uint64_t gone)
{
	if (!b->kept || gone == 0)
		return;
	if (gone == vfio_book_covered(b, iova)) {
		entry_cut(b, iova.start);
		if (iova.last != UINT64_MAX)
			entry_cut(b, iova.last + 1);
	}
	remove_whole(b, iova, gone);
}

void
vfio_book_clear(struct vfio_book *b)
{
	while (b->entries.root != NULL)
		entry_remove(b, entry_of(b->entries.root));
}

void
vfio_book_fini(struct vfio_book *b)
{
	assert(b->entries.root == NULL);
	for (unsigned int i = 0; i < VFIO_BOOK_SPARES; i++)
		free(b->spare[i]);
}
