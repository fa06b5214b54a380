/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "sim_impl.h"
#include "weir_fail.h"
#include "weir_log.h"
#include "weir_map.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

#define FLUSH_WARN_US UINT64_C(1000000)
#define TLB_SHIFT 21

int
weir_sim_create(enum weir_sim_flavour flavour, struct weir_sim **out)
{
	const struct sim_rules *rules = sim_rules_of(flavour);
	struct weir_sim *s;
	int ret;

	if (rules == NULL)
		return -EINVAL;
	s = weir_zalloc_aligned(_Alignof(struct weir_sim), sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	ret = sim_pt_init(&s->pt);
	if (ret != 0)
		goto err_free;
	ret = weir_vma_open(&s->vmas);
	if (ret != 0)
		goto err_pt;
	s->rules = rules;
	s->max_entries = rules->max_entries;
	s->max_locked = UINT64_MAX;
	atomic_init(&s->gen, 1);
	pthread_mutex_init(&s->lock, NULL);
	weir_epoch_init(&s->devs);
	if (rules->begin != NULL)
		rules->begin(s);
	*out = s;
	return 0;

err_pt:
	sim_pt_fini(&s->pt);
err_free:
	free(s);
	return ret;
}

void
weir_sim_destroy(struct weir_sim *s)
{
	if (s == NULL)
		return;
	assert(s->nr_devs == 0);
	weir_sim_unmap_all(s);
	if (s->rules->end != NULL)
		s->rules->end(s);
	weir_vma_close(&s->vmas);
	sim_pt_fini(&s->pt);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void
weir_sim_set_limit(struct weir_sim *s, uint64_t max_entries)
{
	pthread_mutex_lock(&s->lock);
	s->max_entries = max_entries;
	pthread_mutex_unlock(&s->lock);
}

void
weir_sim_set_memlock(struct weir_sim *s, uint64_t max_bytes)
{
	pthread_mutex_lock(&s->lock);
	s->max_locked = max_bytes;
	pthread_mutex_unlock(&s->lock);
}

uint64_t
weir_sim_entries(struct weir_sim *s)
{
	return atomic_load_explicit(&s->nr_entries, memory_order_relaxed);
}

/* Lock held, after each change of the tree. */
static void
entries_count(struct weir_sim *s)
{
	atomic_store_explicit(&s->nr_entries, s->entries.nr_nodes, memory_order_relaxed);
}

/*
 * What was cleared is unreachable: outdate what devices keep, wait until each
 * has left the section it was in, free the tables. A device that never leaves
 * holds up the caller for ever, as hardware that does not answer an
 * invalidation does; say so.
 */
static void
sim_flush(struct weir_sim *s)
{
	atomic_fetch_add_explicit(&s->gen, 1, memory_order_release);
	while (s->nr_devs != 0 &&
	       weir_epoch_synchronize(&s->devs, FLUSH_WARN_US) == -EBUSY)
		weir_log(WEIR_LOG_WARN, "%s: unmap waits for a device's copy",
			 s->rules->name);
	sim_pt_reap(&s->pt);
}

void
sim_remove(struct weir_sim *s, struct sim_entry *e)
{
	sim_pt_clear(&s->pt, e->node.key);
	s->locked -= weir_range_len(e->node.key);
	weir_tree_erase(&s->entries, &e->node);
	free(e);
}

void
sim_remove_until(struct weir_sim *s, struct weir_tree_node *n, uint64_t last,
		 uint64_t *unmapped)
{
	while (n != NULL && n->key.start <= last) {
		struct weir_tree_node *next = weir_tree_next(n);

		*unmapped += weir_range_len(n->key);
		sim_remove(s, sim_entry_of(n));
		n = next;
	}
}

uint64_t
sim_remove_all(struct weir_sim *s)
{
	struct weir_tree_node *n;
	uint64_t gone = s->locked;

	while ((n = s->entries.root) != NULL)
		sim_remove(s, sim_entry_of(n));
	if (gone != 0)
		sim_flush(s);
	entries_count(s);
	return gone;
}

int
sim_cut(struct weir_sim *s, uint64_t last)
{
	struct weir_tree_node *n = weir_tree_find(&s->entries, last);
	struct sim_entry *e = sim_entry_of(n), *upper;

	/* not at its first byte either: a kernel takes it for its border */
	if (n == NULL || n->key.start >= last || n->key.last == last)
		return 0;
	if (((last + 1) & (SIM_PT_PAGE - 1)) != 0)
		return -EINVAL;
	upper = weir_zalloc(sizeof(*upper));
	if (upper == NULL)
		return -ENOMEM;
	upper->node.key = (struct weir_range){ last + 1, n->key.last };
	upper->hva = e->hva + (last + 1 - n->key.start);
	n->key.last = last;
	return weir_tree_insert(&s->entries, &upper->node);
}

/* A file may end inside its mapping: the last page of it there can be read. */
static bool
file_reaches(uint64_t last)
{
	void *page = (void *)(uintptr_t)(last & ~(SIM_PT_PAGE - 1));

	/* EINVAL: an older kernel, or device memory, which has no end */
	return madvise(page, SIM_PT_PAGE, MADV_POPULATE_READ) == 0 || errno == EINVAL;
}

int
sim_memory_check(struct weir_sim *s, const struct sim_request *req)
{
	int want = req->prot & WEIR_PROT_WRITE ? PROT_WRITE : PROT_READ;
	uint64_t at = req->hva.start;
	struct weir_vma v;

	for (;;) {
		int ret = weir_vma_find(&s->vmas, at, &v);

		if (ret != 0)
			return ret == -ENOENT ? -EFAULT : ret;
		if (!weir_range_has(v.hva, at) || (v.prot & want) == 0)
			return -EFAULT;
		v.hva = weir_range_intersect(v.hva, req->hva);
		if (v.file && !file_reaches(v.hva.last))
			return -EFAULT;
		if (v.hva.last == req->hva.last)
			return 0;
		at = v.hva.last + 1;
	}
}

/* Pin the memory of a map: is all of it there, and may it be locked? */
static int
memory_pin(struct weir_sim *s, const struct sim_request *req)
{
	uint64_t locked;
	int ret;

	if (s->rules->pins_ahead)
		return 0;
	ret = sim_memory_check(s, req);
	if (ret != 0)
		return ret;
	if (__builtin_add_overflow(s->locked, weir_range_len(req->iova), &locked) ||
	    locked > s->max_locked)
		return -ENOMEM;
	return 0;
}

static int
entry_add(struct weir_sim *s, const struct sim_request *req)
{
	struct sim_entry *e = weir_zalloc(sizeof(*e));
	int ret;

	if (e == NULL)
		return -ENOMEM;
	ret = sim_pt_map(&s->pt, req->iova, req->hva.start, req->prot, s->rules->splits);
	if (ret != 0)
		goto err_flush;
	e->node.key = req->iova;
	e->hva = req->hva.start;
	ret = weir_tree_insert(&s->entries, &e->node);
	assert(ret == 0);
	s->locked += weir_range_len(req->iova);
	return 0;

err_flush:
	/* a device may have met the leaves that were there for a moment */
	sim_flush(s);
	free(e);
	return ret;
}

static int
sim_map(void *ctx, uint64_t iova, uint64_t hva, uint64_t len, uint32_t prot)
{
	struct weir_sim *s = ctx;
	struct sim_request req;
	uint64_t locked;
	int ret;

	if (s->rules->refuse != 0)
		return s->rules->refuse;
	pthread_mutex_lock(&s->lock);
	locked = s->locked;
	ret = s->rules->map(s, iova, hva, len, prot, &req);
	if (s->locked != locked)
		sim_flush(s); /* it writes over what was there */
	if (ret == 0)
		ret = memory_pin(s, &req);
	if (ret == 0 && req.prot == 0)
		ret = -EINVAL; /* by rules that left it to the IOMMU */
	if (ret == 0)
		ret = entry_add(s, &req);
	entries_count(s);
	pthread_mutex_unlock(&s->lock);
	return ret == SIM_NOTHING ? 0 : ret;
}

static int
sim_unmap(void *ctx, uint64_t iova, uint64_t len, uint64_t *unmapped)
{
	struct weir_sim *s = ctx;
	uint64_t locked;
	int ret;

	*unmapped = 0;
	if (s->rules->refuse != 0)
		return s->rules->refuse;
	pthread_mutex_lock(&s->lock);
	locked = s->locked;
	ret = s->rules->unmap(s, iova, len, unmapped);
	if (s->locked != locked)
		sim_flush(s);
	entries_count(s);
	pthread_mutex_unlock(&s->lock);
	return ret;
}

uint64_t
weir_sim_unmap_all(struct weir_sim *s)
{
	uint64_t gone;

	pthread_mutex_lock(&s->lock);
	gone = sim_remove_all(s);
	pthread_mutex_unlock(&s->lock);
	return gone;
}

static int
sim_caps(void *ctx, struct weir_iommu_caps *caps)
{
	struct weir_sim *s = ctx;
	int ret = 0;

	if (s->rules->refuse != 0)
		return s->rules->refuse;
	pthread_mutex_lock(&s->lock);
	*caps = (struct weir_iommu_caps){
		.name = s->rules->name,
		.kind = WEIR_BACKEND_MODEL,
		.page_sizes = s->rules->page_sizes,
		.max_entries = s->max_entries,
		.max_locked = s->max_locked,
		.splits = s->rules->splits,
		.nr_apertures = 2,
		.aperture = { sim_apertures[0], sim_apertures[1] },
	};
	if (s->rules->caps != NULL)
		ret = s->rules->caps(s, caps);
	pthread_mutex_unlock(&s->lock);
	return ret;
}

static void
sim_close(void *ctx)
{
	weir_sim_destroy(ctx);
}

const struct weir_iommu_ops weir_sim_ops = {
	.caps = sim_caps,
	.map = sim_map,
	.unmap = sim_unmap,
	.close = sim_close,
};

void
weir_sim_attach(struct weir_sim *s, struct weir_sim_dev *d)
{
	*d = (struct weir_sim_dev){ .sim = s };
	pthread_mutex_lock(&s->lock);
	s->nr_devs++;
	weir_epoch_register(&s->devs, &d->reader);
	pthread_mutex_unlock(&s->lock);
}

void
weir_sim_detach(struct weir_sim_dev *d)
{
	struct weir_sim *s = d->sim;

	pthread_mutex_lock(&s->lock);
	weir_epoch_unregister(&s->devs, &d->reader);
	s->nr_devs--;
	pthread_mutex_unlock(&s->lock);
	d->sim = NULL;
}

/* Of several devices that fault at once one is noted; none waits. */
static void *
fault(struct weir_sim_dev *d, uint64_t iova, uint32_t prot)
{
	struct weir_sim *s = d->sim;

	d->faults++;
	d->last_fault = (struct weir_sim_fault){ iova, prot };
	atomic_fetch_add_explicit(&s->faults, 1, memory_order_relaxed);
	if (!atomic_flag_test_and_set_explicit(&s->noting, memory_order_acquire)) {
		s->last_fault = d->last_fault;
		atomic_flag_clear_explicit(&s->noting, memory_order_release);
	}
	return NULL;
}

uint64_t
weir_sim_faults(struct weir_sim *s)
{
	return atomic_load_explicit(&s->faults, memory_order_relaxed);
}

int
weir_sim_last_fault(struct weir_sim *s, struct weir_sim_fault *out)
{
	while (atomic_flag_test_and_set_explicit(&s->noting, memory_order_acquire))
		;
	*out = s->last_fault;
	atomic_flag_clear_explicit(&s->noting, memory_order_release);
	return out->prot != 0 ? 0 : -ENOENT;
}

/* Walk to iova, and on over leaves that go on in host memory, up to `last`. */
static bool
tlb_fill(const struct sim_pt *pt, struct weir_sim_tlb *t, uint64_t iova, uint64_t last,
	 uint32_t prot)
{
	struct sim_pt_leaf leaf;

	if (!sim_pt_walk(pt, iova, &leaf) || (leaf.prot & prot) != prot)
		return false;
	t->iova = leaf.iova;
	t->hva = leaf.hva;
	t->prot = leaf.prot;
	while (t->iova.last < last && sim_pt_walk(pt, t->iova.last + 1, &leaf) &&
	       leaf.hva == t->hva + weir_range_len(t->iova) &&
	       (leaf.prot & prot) == prot) {
		t->iova.last = leaf.iova.last;
		t->prot &= leaf.prot;
	}
	return true;
}

void *
weir_sim_translate(struct weir_sim_dev *d, uint64_t iova, uint32_t prot, uint64_t *len)
{
	struct weir_sim_tlb *t = &d->tlb[(iova >> TLB_SHIFT) % WEIR_SIM_TLB_LEN];
	struct weir_sim *s = d->sim;
	/* acquire: with the new number come the cleared leaves */
	uint64_t gen = atomic_load_explicit(&s->gen, memory_order_acquire);
	struct weir_range want;

	if (weir_range_make(&want, iova, *len) != 0)
		want = (struct weir_range){ iova, UINT64_MAX };
	if (t->gen != gen || !weir_range_contains(t->iova, want) ||
	    (t->prot & prot) != prot) {
		t->gen = 0;
		if (!tlb_fill(&s->pt, t, iova, want.last, prot)) {
			*len = 0;
			return fault(d, iova, prot);
		}
		t->gen = gen;
		want = weir_range_intersect(want, t->iova);
	}
	*len = weir_range_len(want);
	return (void *)(uintptr_t)(t->hva + (iova - t->iova.start));
}
