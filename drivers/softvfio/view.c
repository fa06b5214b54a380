/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sv_view.h"
#include "sv_view_impl.h"

static struct sv_view views[SV_MAX_VIEWS];
static _Atomic unsigned int nr_views;
static pthread_mutex_t views_lock = PTHREAD_MUTEX_INITIALIZER; /* guards changes */

static void
closed_nobody(void *owner)
{
	(void)owner;
}

void (*sv_view_closed)(void *owner) = closed_nobody;

bool
sv_views_any(void)
{
	return atomic_load_explicit(&nr_views, memory_order_relaxed) != 0;
}

const struct sv_view *
sv_view_find(uint64_t addr)
{
	for (unsigned int i = 0; i < SV_MAX_VIEWS; i++)
		if (atomic_load(&views[i].dev) != NULL &&
		    weir_range_has(views[i].hva, addr))
			return &views[i];
	return NULL;
}

/* The protection that a view has now. With the lock. */
static int
view_prot(const struct sv_dev *d, int prot)
{
	return atomic_load(&d->regs_open) ? prot : prot & ~PROT_WRITE;
}

/* Put a view on a free place. With the lock. */
static int
view_add(struct sv_dev *d, const struct sv_view *v)
{
	for (unsigned int i = 0; i < SV_MAX_VIEWS; i++) {
		struct sv_view *at = &views[i];

		if (atomic_load(&at->dev) != NULL)
			continue;
		at->hva = v->hva;
		at->off = v->off;
		at->bar = v->bar;
		at->prot = v->prot;
		at->owner = v->owner;
		atomic_store(&at->dev, d);
		atomic_fetch_add(&nr_views, 1);
		return 0;
	}
	return -ENOSPC;
}

static void
view_del(struct sv_view *v)
{
	atomic_store(&v->dev, NULL);
	atomic_fetch_sub(&nr_views, 1);
}

/* With the lock: does any view have this owner? */
static bool
owner_has_view(const void *owner)
{
	for (unsigned int i = 0; i < SV_MAX_VIEWS; i++)
		if (atomic_load(&views[i].dev) != NULL && views[i].owner == owner)
			return true;
	return false;
}

/*
 * mmap() would be our own, which asks for the lock to see whether a view is being
 * mapped over. Here the caller has made sure of that.
 */
static void *
map_directly(void *addr, size_t len, int prot, int flags, int fd, uint64_t off)
{
	/* NOLINTNEXTLINE(performance-no-int-to-ptr) */
	return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, off);
}

int
sv_view_map(struct sv_dev *d, unsigned int bar, uint64_t off, void *addr, size_t len,
	    int prot, int flags, void *owner, void **out)
{
	struct sv_view v = { .off = off, .bar = bar, .prot = prot, .owner = owner };
	int ret = sv_trap_install();
	bool more;
	void *p;

	if (ret != 0)
		return ret;
	pthread_mutex_lock(&views_lock);
	/* two places: unmapping the middle makes two views of one */
	if (atomic_load(&nr_views) + 2 > SV_MAX_VIEWS) {
		ret = -ENOSPC;
		goto out;
	}
	p = map_directly(addr, len, view_prot(d, prot), flags, d->regs_fd,
			 d->bar_off[bar] + off);
	if (p == MAP_FAILED) {
		ret = -errno;
		goto out;
	}
	more = owner_has_view(owner);
	ret = weir_range_make(&v.hva, (uint64_t)(uintptr_t)p, len);
	if (ret == 0)
		ret = view_add(d, &v);
	if (ret == 0)
		ret = more;
	*out = p;
out:
	pthread_mutex_unlock(&views_lock);
	return ret;
}

/*
 * Cut `gone` out of a view: nothing, one or two pieces are left of it. With the
 * lock. True if its owner is not needed any more.
 */
static bool
view_cut(struct sv_view *v, struct weir_range gone)
{
	struct sv_dev *d = atomic_load(&v->dev);
	struct sv_view low = { .hva = v->hva,
			       .off = v->off,
			       .bar = v->bar,
			       .prot = v->prot,
			       .owner = v->owner };
	struct sv_view high = low;
	bool has_low = v->hva.start < gone.start, has_high = gone.last < v->hva.last;

	view_del(v);
	if (has_low) {
		low.hva.last = gone.start - 1;
		view_add(d, &low);
	}
	if (has_high) {
		high.hva.start = gone.last + 1;
		high.off += high.hva.start - low.hva.start;
		view_add(d, &high);
	}
	return !has_low && !has_high;
}

void
sv_views_forget(const void *addr, size_t len)
{
	void *closed[SV_MAX_VIEWS];
	struct weir_range gone;
	unsigned int nr = 0;

	if (weir_range_make(&gone, (uint64_t)(uintptr_t)addr, len) != 0)
		return;
	/* the kernel unmaps whole pages */
	gone.last |= 0xfff;
	pthread_mutex_lock(&views_lock);
	for (unsigned int i = 0; i < SV_MAX_VIEWS; i++) {
		struct sv_view *v = &views[i];
		void *owner = v->owner;

		if (atomic_load(&v->dev) != NULL && weir_range_overlaps(v->hva, gone) &&
		    view_cut(v, weir_range_intersect(v->hva, gone)) &&
		    !owner_has_view(owner))
			closed[nr++] = owner;
	}
	pthread_mutex_unlock(&views_lock);
	while (nr > 0)
		sv_view_closed(closed[--nr]);
}

void
sv_views_open(struct sv_dev *d, bool open)
{
	pthread_mutex_lock(&views_lock);
	atomic_store(&d->regs_open, open);
	for (unsigned int i = 0; i < SV_MAX_VIEWS; i++) {
		const struct sv_view *v = &views[i];

		if (atomic_load(&v->dev) == d)
			mprotect((void *)(uintptr_t)v->hva.start, weir_range_len(v->hva),
				 view_prot(d, v->prot));
	}
	pthread_mutex_unlock(&views_lock);
}
