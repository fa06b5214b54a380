/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdatomic.h>

#include <rte_eal_memconfig.h>
#include <rte_errno.h>
#include <rte_memory.h>

#include "space_impl.h"
#include "weir_errno.h"
#include "weir_log.h"

/* Pages of one list that follow each other in iova and in host memory. */
struct run {
	struct weir_space *space;
	int (*carry_out)(struct weir_space *s, const struct weir_region *r);
	const struct rte_memseg_list *msl; /* NULL: the run is empty */
	struct weir_region region;
	int ret; /* of what was carried out: the first failure */
};

static int
region_map(struct weir_space *s, const struct weir_region *r)
{
	return weir_mirror_map(s->eal, r);
}

/*
 * What could not be mapped when it came is not there to be unmapped: then take
 * page by page what there is, so that nothing stays that EAL gives back.
 */
static int
region_unmap(struct weir_space *s, const struct weir_region *r)
{
	int ret = weir_mirror_unmap(s->eal, r->iova);
	struct weir_range page = r->iova;

	if (ret != -ENOENT || r->chunk == 0)
		return ret == -ENOENT ? 0 : ret;
	for (ret = 0;; page.start = page.last + 1) {
		int err;

		page.last = page.start + (r->chunk - 1);
		err = weir_mirror_unmap(s->eal, page);
		if (err != 0 && err != -ENOENT)
			ret = err;
		if (page.last >= r->iova.last)
			return ret;
	}
}

static void
run_note(struct run *run, int ret)
{
	run->ret = run->ret != 0 ? run->ret : ret;
}

static int
run_end(struct run *run)
{
	if (run->msl != NULL)
		run_note(run, run->carry_out(run->space, &run->region));
	run->msl = NULL;
	return run->ret;
}

/* Add a page to the run, or end it and begin another. */
static void
run_add(struct run *run, const struct rte_memseg_list *msl, const struct rte_memseg *ms)
{
	struct weir_region *r = &run->region;
	struct weir_range iova;
	int ret;

	if (ms->iova == RTE_BAD_IOVA)
		return;
	ret = weir_range_make(&iova, ms->iova, ms->len);
	if (ret != 0) {
		run_note(run, ret);
		return;
	}
	if (run->msl == msl && weir_range_abuts(r->iova, iova) &&
	    ms->addr_64 - r->hva == iova.start - r->iova.start) {
		r->iova.last = iova.last;
		return;
	}
	run_end(run);
	run->msl = msl;
	*r = (struct weir_region){
		.iova = iova,
		.hva = ms->addr_64,
		.chunk = run->space->follows && !msl->external ? msl->page_sz : 0,
		.prot = WEIR_PROT_READ | WEIR_PROT_WRITE,
		.owner = WEIR_OWNER_NONE,
	};
}

static void
event_check(struct weir_space *s, enum rte_mem_event type, const void *addr, size_t len,
	    int ret)
{
	if (ret == 0)
		return;
	atomic_fetch_add_explicit(&s->failures, 1, memory_order_relaxed);
	weir_log(WEIR_LOG_ERR, "%s: %zu bytes of EAL's memory at %p not %s: %s",
		 SPACE_NAME, len, addr,
		 type == RTE_MEM_EVENT_ALLOC ? "mapped" : "unmapped", weir_strerror(ret));
}

/* EAL calls it after pages came and before pages go. */
static void
space_event(enum rte_mem_event type, const void *addr, size_t len, void *arg)
{
	const struct rte_memseg_list *msl = rte_mem_virt2memseg_list(addr);
	struct run run = {
		.space = arg,
		.carry_out = type == RTE_MEM_EVENT_ALLOC ? region_map : region_unmap,
	};

	if (msl == NULL)
		run_note(&run, -ENOENT);
	for (size_t off = 0; msl != NULL && off < len; off += msl->page_sz)
		run_add(&run, msl, rte_mem_virt2memseg((const char *)addr + off, msl));
	event_check(arg, type, addr, len, run_end(&run));
}

static int
walk_one(const struct rte_memseg_list *msl, const struct rte_memseg *ms, void *arg)
{
	struct run *run = arg;

	run_add(run, msl, ms);
	return run->ret;
}

/* @return 0, also where EAL's memory is static and nothing will be told. */
static int
space_subscribe(struct weir_space *s)
{
	s->follows = rte_mem_event_callback_register(SPACE_NAME, space_event, s) == 0;
	return s->follows || rte_errno == ENOTSUP ? 0 : -rte_errno;
}

void
space_eal_leave(struct weir_space *s)
{
	if (s->follows)
		rte_mem_event_callback_unregister(SPACE_NAME, s);
}

/*
 * With EAL's memory lock held for reading no page comes or goes between subscribing
 * and walking, to be mapped twice or not at all.
 */
int
space_eal_follow(struct weir_space *s)
{
	struct run run = { .space = s, .carry_out = region_map };
	int ret;

	rte_mcfg_mem_read_lock();
	ret = space_subscribe(s);
	if (ret == 0) {
		rte_memseg_walk_thread_unsafe(walk_one, &run);
		ret = run_end(&run);
		if (ret != 0)
			space_eal_leave(s);
	}
	rte_mcfg_mem_read_unlock();
	return ret;
}
