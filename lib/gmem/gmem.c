/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <linux/magic.h>

#include "gmem_guard.h"
#include "weir_fail.h"
#include "weir_gmem.h"

#define PAGE_4K UINT64_C(4096)

struct weir_gmem_backing {
	uint32_t refs; /* tables that have its slot; control plane only */
	void *addr;    /* what mmap() gave */
	size_t len;
	uint64_t page_size;
	struct gmem_guard *guard; /* against the file's getting shorter */
};

const struct weir_gmem weir_gmem_empty = { .nr_slots = 0 };

static uint64_t
file_page_size(int fd)
{
	struct statfs fs;

	/* hugetlbfs maps and unmaps whole huge pages only */
	if (fstatfs(fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC)
		return (uint64_t)fs.f_bsize;
	return PAGE_4K;
}

static void *
mmap_file(int fd, size_t len, off_t offset)
{
	if (weir_fail_point()) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	/*
	 * Not MAP_NORESERVE: huge pages that the guest has not touched yet are
	 * reserved now, or the mapping fails now, and not when the guest points a
	 * descriptor at one.
	 */
	return mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
}

/* Map [offset, offset + len) of the file; both ends lie inside it. */
static int
backing_map(int fd, uint64_t offset, uint64_t len, struct weir_gmem_backing **out,
	    uint64_t *hva)
{
	struct weir_gmem_backing *b;
	uint64_t in_page, end;
	struct stat st;
	int ret;

	if (__builtin_add_overflow(offset, len, &end))
		return -EOVERFLOW;
	if (fstat(fd, &st) != 0)
		return -errno;
	/* a page behind the end of the file would be SIGBUS; see gmem_guard.h */
	if (st.st_size < 0 || end > (uint64_t)st.st_size)
		return -ERANGE;
	b = weir_zalloc(sizeof(*b));
	if (b == NULL)
		return -ENOMEM;
	b->page_size = file_page_size(fd);
	in_page = offset & (b->page_size - 1);
	b->len = (in_page + len + b->page_size - 1) & ~(b->page_size - 1);
	b->addr = mmap_file(fd, b->len, (off_t)(offset - in_page));
	if (b->addr == MAP_FAILED) {
		ret = -errno;
		goto err_free;
	}
	ret = gmem_guard_add(b->addr, b->len, b->page_size, &b->guard);
	if (ret != 0)
		goto err_unmap;
	/* a core dump of ours need not carry the guest */
	madvise(b->addr, b->len, MADV_DONTDUMP);
	b->refs = 1;
	*hva = (uint64_t)(uintptr_t)b->addr + in_page;
	*out = b;
	return 0;

err_unmap:
	munmap(b->addr, b->len);
err_free:
	free(b);
	return ret;
}

static void
backing_put(struct weir_gmem_backing *b)
{
	if (--b->refs != 0)
		return;
	/* first: another's mapping may be at the address a moment later */
	gmem_guard_del(b->guard);
	munmap(b->addr, b->len);
	free(b);
}

static struct weir_gmem *
table_alloc(uint32_t nr_slots)
{
	struct weir_gmem *g =
		weir_zalloc(sizeof(*g) + (size_t)nr_slots * sizeof(g->slot[0]));

	if (g != NULL)
		g->nr_slots = nr_slots;
	return g;
}

/* Place of the first slot that begins at or behind @p gpa. */
static uint32_t
table_place(const struct weir_gmem *g, uint64_t gpa)
{
	uint32_t lo = 0, hi = g->nr_slots;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (g->slot[mid].gpa.start < gpa)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Did not wrap when the slot was made. */
static struct weir_range
slot_uva(const struct weir_gmem_slot *s)
{
	return (struct weir_range){ s->uva, s->uva + (s->gpa.last - s->gpa.start) };
}

static int
region_check(const struct weir_gmem *g, const struct weir_gmem_region *r,
	     struct weir_range *gpa)
{
	struct weir_range uva;
	int ret;

	ret = weir_range_make(gpa, r->gpa, r->len);
	if (ret != 0)
		return ret;
	ret = weir_range_make(&uva, r->uva, r->len);
	if (ret != 0)
		return ret;
	if (((r->gpa | r->len | r->mmap_offset) & (PAGE_4K - 1)) != 0)
		return -EINVAL;
	for (uint32_t i = 0; i < g->nr_slots; i++) {
		const struct weir_gmem_slot *s = &g->slot[i];

		if (weir_range_overlaps(s->gpa, *gpa) ||
		    weir_range_overlaps(slot_uva(s), uva))
			return -EEXIST;
	}
	return g->nr_slots < WEIR_GMEM_MAX_SLOTS ? 0 : -ENOSPC;
}

int
weir_gmem_add(const struct weir_gmem *old, const struct weir_gmem_region *r, int fd,
	      struct weir_gmem **out)
{
	struct weir_gmem_slot new = { .uva = r->uva };
	struct weir_gmem *g;
	uint32_t at;
	int ret;

	ret = region_check(old, r, &new.gpa);
	if (ret != 0)
		return ret;
	g = table_alloc(old->nr_slots + 1);
	if (g == NULL)
		return -ENOMEM;
	ret = backing_map(fd, r->mmap_offset, r->len, &new.backing, &new.hva);
	if (ret != 0) {
		free(g);
		return ret;
	}
	new.iova = new.hva;
	at = table_place(old, new.gpa.start);
	memcpy(g->slot, old->slot, at * sizeof(g->slot[0]));
	g->slot[at] = new;
	memcpy(&g->slot[at + 1], &old->slot[at],
	       (old->nr_slots - at) * sizeof(g->slot[0]));
	for (uint32_t i = 0; i < g->nr_slots; i++)
		if (i != at)
			g->slot[i].backing->refs++;
	*out = g;
	return 0;
}

int
weir_gmem_del(const struct weir_gmem *old, struct weir_gpa gpa, struct weir_gmem **out)
{
	uint32_t at = table_place(old, gpa.v);
	struct weir_gmem *g;

	if (at == old->nr_slots || old->slot[at].gpa.start != gpa.v)
		return -ENOENT;
	g = table_alloc(old->nr_slots - 1);
	if (g == NULL)
		return -ENOMEM;
	memcpy(g->slot, old->slot, at * sizeof(g->slot[0]));
	memcpy(&g->slot[at], &old->slot[at + 1], (g->nr_slots - at) * sizeof(g->slot[0]));
	for (uint32_t i = 0; i < g->nr_slots; i++)
		g->slot[i].backing->refs++;
	*out = g;
	return 0;
}

void
weir_gmem_put(const struct weir_gmem *g)
{
	if (g == NULL || g == &weir_gmem_empty)
		return;
	for (uint32_t i = 0; i < g->nr_slots; i++)
		backing_put(g->slot[i].backing);
	free((void *)(uintptr_t)g);
}

void
weir_gmem_watch(const struct weir_gmem *g, int event_fd)
{
	for (uint32_t i = 0; i < g->nr_slots; i++)
		gmem_guard_notify(g->slot[i].backing->guard, event_fd);
}

const struct weir_gmem_slot *
weir_gmem_lost(const struct weir_gmem *g)
{
	for (uint32_t i = 0; i < g->nr_slots; i++)
		if (gmem_guard_lost(g->slot[i].backing->guard))
			return &g->slot[i];
	return NULL;
}

uint64_t
weir_gmem_page_size(const struct weir_gmem_slot *s)
{
	return s->backing->page_size;
}

void *
weir_gmem_uva(const struct weir_gmem *g, uint64_t uva, uint64_t len)
{
	struct weir_range want;

	if (weir_range_make(&want, uva, len) != 0)
		return NULL;
	for (uint32_t i = 0; i < g->nr_slots; i++) {
		const struct weir_gmem_slot *s = &g->slot[i];

		if (weir_range_contains(slot_uva(s), want))
			return (void *)(uintptr_t)(s->hva + (uva - s->uva));
	}
	return NULL;
}
