/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One backend's calls, and what their answers mean.
 *
 * Mapping is simple: it was done or it was not. Unmapping is not. Kernels
 * answer "0 bytes" both where nothing was mapped and where they would not split
 * an entry (type1 v1), unmap a whole entry when its head is asked for (v1
 * again), say ENOENT and have unmapped something all the same (iommufd). An
 * answer other than "exactly this piece" is settled by asking for the map of
 * the piece: if that works, nothing was mapped there, and it is unmapped again;
 * EEXIST says that it is still there.
 */
#include <errno.h>
#include <inttypes.h>

#include "mirror_impl.h"
#include "weir_fail.h"
#include "weir_log.h"

int
backend_caps(struct mirror_backend *b)
{
	struct weir_iommu_caps caps = { .name = NULL };
	int ret = weir_fail_point() ? -EIO : b->ops->caps(b->ctx, &caps);

	if (ret == 0 &&
	    (caps.nr_apertures > WEIR_IOMMU_MAX_APERTURES || caps.page_sizes == 0))
		ret = -EPROTO;
	if (ret == 0)
		b->caps = caps;
	return ret;
}

static int
call_map(struct mirror_backend *b, const struct weir_piece *pc)
{
	if (weir_fail_point())
		return -EIO;
	return b->ops->map(b->ctx, pc->iova.start, pc->hva, weir_range_len(pc->iova),
			   pc->prot);
}

static int
call_unmap(struct mirror_backend *b, const struct weir_piece *pc, uint64_t *done)
{
	*done = 0;
	if (weir_fail_point())
		return -EIO;
	return b->ops->unmap(b->ctx, pc->iova.start, weir_range_len(pc->iova), done);
}

static void
backend_break(struct mirror_backend *b, const struct weir_piece *pc, const char *what,
	      int err)
{
	b->broken = true;
	weir_log(WEIR_LOG_ERR,
		 "%s: %s: %s [%" PRIx64 "-%" PRIx64 "]: error %d; it does not follow the "
		 "map any more",
		 b->mirror, b->caps.name, what, pc->iova.start, pc->iova.last, -err);
}

static void
backend_note(struct mirror_backend *b, const struct weir_piece *pc, const char *what)
{
	b->nr_settled++;
	weir_log(WEIR_LOG_WARN, "%s: %s: [%" PRIx64 "-%" PRIx64 "] %s", b->mirror,
		 b->caps.name, pc->iova.start, pc->iova.last, what);
}

/* The piece was said to be gone in part: unmap what is left, or give up. */
static int
settle_part(struct mirror_backend *b, const struct weir_piece *pc, uint64_t done)
{
	uint64_t more;
	int ret = call_unmap(b, pc, &more);

	if (more == weir_range_len(pc->iova) - done) {
		backend_note(b, pc, "was unmapped in two steps");
		return 0;
	}
	backend_break(b, pc, "unmapped in part", ret);
	return ret != 0 ? ret : -EIO;
}

/*
 * The backend says it unmapped nothing. @return 0: there was nothing, and is
 * nothing; -errno: it is mapped still.
 */
static int
settle_none(struct mirror_backend *b, const struct weir_piece *pc, int err)
{
	uint64_t done;
	int ret = call_map(b, pc);

	if (ret == -EEXIST)
		return err != 0 ? err : -EIO;
	if (ret == 0) {
		ret = call_unmap(b, pc, &done);
		if (done != weir_range_len(pc->iova)) {
			backend_break(b, pc, "unmap", ret);
			return ret != 0 ? ret : -EIO;
		}
	}
	/* also if the map failed: the memory behind it may be gone as well */
	backend_note(b, pc, "was gone already");
	return 0;
}

/* Unmap one piece. @return 0: it is gone; -errno: it is there, or b->broken. */
static int
piece_unmap(struct mirror_backend *b, const struct weir_piece *pc)
{
	uint64_t len = weir_range_len(pc->iova), done;
	int ret = call_unmap(b, pc, &done);

	if (done == len)
		return 0;
	if (done > len) {
		backend_note(b, pc, "took neighbours with it");
		b->excess = true;
		return 0;
	}
	if (done > 0)
		return settle_part(b, pc, done);
	if (ret == 0 || ret == -ENOENT)
		return settle_none(b, pc, ret);
	return ret;
}

/* Unmap the first @nr pieces of a plan that were mapped just now. */
static void
undo_map(struct mirror_backend *b, const struct weir_plan *p, uint64_t nr)
{
	struct weir_plan_iter it;
	struct weir_piece pc;
	int ret;

	weir_plan_begin(p, &it);
	while (nr-- > 0 && !b->broken && weir_plan_next(&it, &pc)) {
		ret = piece_unmap(b, &pc);
		if (ret != 0 && !b->broken)
			backend_break(b, &pc, "undo of a map", ret);
	}
}

/* Map the first @nr pieces of a plan that were unmapped just now. */
static void
undo_unmap(struct mirror_backend *b, const struct weir_plan *p, uint64_t nr)
{
	struct weir_plan_iter it;
	struct weir_piece pc;
	int ret;

	weir_plan_begin(p, &it);
	while (nr-- > 0 && !b->broken && weir_plan_next(&it, &pc)) {
		ret = call_map(b, &pc);
		if (ret != 0)
			backend_break(b, &pc, "undo of an unmap", ret);
	}
}

int
backend_map(struct mirror_backend *b, const struct weir_plan *p)
{
	struct weir_plan_iter it;
	struct weir_piece pc;
	uint64_t nr = 0;
	int ret = 0;

	weir_plan_begin(p, &it);
	while (weir_plan_next(&it, &pc)) {
		ret = call_map(b, &pc);
		if (ret != 0)
			break;
		nr++;
	}
	if (ret != 0)
		undo_map(b, p, nr);
	return ret;
}

int
backend_unmap(struct mirror_backend *b, const struct weir_plan *p)
{
	struct weir_plan_iter it;
	struct weir_piece pc;
	uint64_t nr = 0;
	int ret = 0;

	weir_plan_begin(p, &it);
	while (weir_plan_next(&it, &pc)) {
		ret = piece_unmap(b, &pc);
		if (ret != 0)
			break;
		nr++;
	}
	if (ret != 0)
		undo_unmap(b, p, nr);
	return ret;
}

void
backend_undo(struct mirror_backend *b, const struct weir_plan *p)
{
	if (p->op == WEIR_PLAN_MAP)
		undo_map(b, p, UINT64_MAX);
	else
		undo_unmap(b, p, UINT64_MAX);
}

/* A walk over the pieces of a map. */
struct piece_walk {
	struct mirror_backend *b;
	int (*fn)(struct mirror_backend *b, const struct weir_piece *pc);
	uint64_t nr;  /* pieces done */
	uint64_t max; /* to do */
};

static int
piece_walk_region(const struct weir_region *r, void *arg)
{
	struct piece_walk *w = arg;
	struct weir_region rest = *r;
	struct weir_piece pc;
	bool more = true;
	int ret = 0;

	for (; more && ret == 0 && w->nr < w->max; w->nr += ret == 0) {
		more = weir_region_cut(&rest, &pc);
		ret = w->fn(w->b, &pc);
	}
	return ret;
}

int
backend_replay(struct mirror_backend *b, struct weir_map *map)
{
	struct piece_walk w = { .b = b, .fn = call_map, .max = UINT64_MAX };
	struct piece_walk undo = { .b = b, .fn = piece_unmap };
	int ret = weir_map_walk(map, piece_walk_region, &w);

	if (ret != 0) {
		undo.max = w.nr;
		weir_map_walk(map, piece_walk_region, &undo);
	}
	return ret;
}

static int
piece_clear(struct mirror_backend *b, const struct weir_piece *pc)
{
	uint64_t done;

	(void)call_unmap(b, pc, &done); /* the backend is given up next */
	return 0;
}

void
backend_clear(struct mirror_backend *b, struct weir_map *map)
{
	struct piece_walk w = { .b = b, .fn = piece_clear, .max = UINT64_MAX };

	weir_map_walk(map, piece_walk_region, &w);
}

static int
piece_repair(struct mirror_backend *b, const struct weir_piece *pc)
{
	int ret = call_map(b, pc);

	if (ret == 0)
		backend_note(b, pc, "was gone and is mapped again");
	else if (ret != -EEXIST)
		backend_break(b, pc, "map of what was lost", ret);
	return b->broken ? -EIO : 0;
}

void
backend_repair(struct mirror_backend *b, struct weir_map *map)
{
	struct piece_walk w = { .b = b, .fn = piece_repair, .max = UINT64_MAX };

	b->excess = false;
	weir_map_walk(map, piece_walk_region, &w);
}

/* A walk that counts what was missing. */
struct refill {
	struct mirror_backend *b;
	uint64_t *nr;
};

static int
refill_region(const struct weir_region *r, void *arg)
{
	const struct refill *w = arg;
	struct weir_region rest = *r;
	struct weir_piece pc;
	bool more = true;

	while (more) {
		int ret;

		more = weir_region_cut(&rest, &pc);
		ret = call_map(w->b, &pc);
		if (ret != 0 && ret != -EEXIST)
			return ret;
		*w->nr += ret == 0;
	}
	return 0;
}

int
backend_refill(struct mirror_backend *b, struct weir_map *map, uint64_t *nr)
{
	struct refill w = { b, nr };

	return weir_map_walk(map, refill_region, &w);
}
