/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <linux/magic.h>

#include "gmem_guard.h"
#include "gmem_impl.h"
#include "weir_fail.h"

#define PAGE_4K UINT64_C(4096)

struct weir_gmem_backing {
	uint32_t refs; /* tables that have its slot */
	void *addr;    /* what mmap() gave */
	size_t len;
	uint64_t page_size;
	struct gmem_guard *guard; /* against the file's getting shorter */

	/* what was mapped */
	dev_t dev;
	ino_t ino;
	uint64_t offset, asked; /* bytes */
};

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
mmap_file(int fd, size_t len, off_t offset, int prot)
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
	return mmap(NULL, len, prot, MAP_SHARED, fd, offset);
}

/*
 * With MCL_FUTURE a mapping that may be accessed has all of its pages the moment it is
 * made: so one that may not is made, taken out of what is locked, and opened then.
 */
static void *
mmap_lazily(int fd, size_t len, off_t offset)
{
	void *p = mmap_file(fd, len, offset, PROT_NONE);
	int err;

	if (p == MAP_FAILED ||
	    (munlock(p, len) == 0 && mprotect(p, len, PROT_READ | PROT_WRITE) == 0))
		return p;
	err = errno;
	munmap(p, len);
	errno = err;
	return MAP_FAILED;
}

int
gmem_backing_map(int fd, uint64_t offset, uint64_t len, bool lazy,
		 struct weir_gmem_backing **out, uint64_t *hva)
{
	struct weir_gmem_backing *b;
	uint64_t in_page, end;
	struct stat st;
	int ret;

	if (__builtin_add_overflow(offset, len, &end))
		return -EOVERFLOW;
	if (fstat(fd, &st) != 0)
		return -errno;
	/* a page behind the end of the file would be SIGBUS; see gmem_guard.h. Devices,
	 * such as persistent memory's, have no length that stat(2) tells: mmap(2) knows
	 */
	if (S_ISREG(st.st_mode) && (st.st_size < 0 || end > (uint64_t)st.st_size))
		return -ERANGE;
	b = weir_zalloc(sizeof(*b));
	if (b == NULL)
		return -ENOMEM;
	b->page_size = file_page_size(fd);
	in_page = offset & (b->page_size - 1);
	b->len = (in_page + len + b->page_size - 1) & ~(b->page_size - 1);
	b->addr = lazy ? mmap_lazily(fd, b->len, (off_t)(offset - in_page))
		       : mmap_file(fd, b->len, (off_t)(offset - in_page),
				   PROT_READ | PROT_WRITE);
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
	b->dev = st.st_dev;
	b->ino = st.st_ino;
	b->offset = offset;
	b->asked = len;
	*hva = (uint64_t)(uintptr_t)b->addr + in_page;
	*out = b;
	return 0;

err_unmap:
	munmap(b->addr, b->len);
err_free:
	free(b);
	return ret;
}

bool
gmem_backing_is(const struct weir_gmem_backing *b, int fd, uint64_t offset, uint64_t len)
{
	struct stat st;

	/* what was cut off is zeroes of ours, and the file's again in a new mapping */
	return b->offset == offset && b->asked == len && !gmem_guard_lost(b->guard) &&
	       fstat(fd, &st) == 0 && st.st_dev == b->dev && st.st_ino == b->ino;
}

void
gmem_backing_get(struct weir_gmem_backing *b)
{
	b->refs++;
}

/* The page of an address, a power of two long. */
static struct weir_range
page_of(uint64_t addr, uint64_t size)
{
	const uint64_t start = addr & ~(size - 1);

	return (struct weir_range){ start, start + (size - 1) };
}

/*
 * Put zeroes in the place of pages. What locks its memory (mlockall(2)) has them all
 * for a moment, of a huge page as well. If they cannot be had the page stays as it is:
 * better than none.
 */
static void
zero_over(struct weir_range r)
{
	(void)!mmap((void *)(uintptr_t)r.start, weir_range_len(r), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
}

static void
unmap(struct weir_range r)
{
	munmap((void *)(uintptr_t)r.start, weir_range_len(r));
}

/* The first of some pages in a range; NULL: none begins there. */
static const struct weir_range *
first_in(struct weir_range in, const struct weir_range *page, unsigned int nr)
{
	const struct weir_range *first = NULL;

	for (unsigned int i = 0; i < nr; i++)
		if (weir_range_has(in, page[i].start) &&
		    (first == NULL || page[i].start < first->start))
			first = &page[i];
	return first;
}

/* Unmap all but the pages of words. A huge page is replaced whole, and then cut. */
static void
unmap_watched(const struct weir_gmem_backing *b, struct weir_range *watched,
	      unsigned int nr)
{
	const uint64_t start = (uintptr_t)b->addr;
	struct weir_range rest = { start, start + (b->len - 1) };
	const struct weir_range *stays;

	for (unsigned int i = 0; i < nr; i++) {
		if (!weir_range_has(rest, watched[i].start))
			continue;
		zero_over(page_of(watched[i].start, b->page_size));
		watched[i] = page_of(watched[i].start, PAGE_4K);
	}
	while ((stays = first_in(rest, watched, nr)) != NULL) {
		if (stays->start != rest.start)
			unmap(weir_range_before(rest, stays->start));
		if (stays->last == rest.last)
			return;
		rest = weir_range_after(rest, stays->last);
	}
	unmap(rest);
}

void
gmem_backing_put(struct weir_gmem_backing *b, struct weir_range *watched, unsigned int nr)
{
	if (--b->refs != 0)
		return;
	/* first: another's mapping may be at the address a moment later */
	gmem_guard_del(b->guard);
	unmap_watched(b, watched, nr);
	free(b);
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

struct weir_range
weir_gmem_mapping(const struct weir_gmem_slot *s)
{
	const uint64_t start = (uintptr_t)s->backing->addr;

	return (struct weir_range){ start, start + s->backing->len - 1 };
}

uint64_t
weir_gmem_page_size(const struct weir_gmem_slot *s)
{
	return s->backing->page_size;
}
