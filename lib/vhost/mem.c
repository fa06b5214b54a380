/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A frontend's memory. Each change makes a new table beside the old one; the
 * old one is kept until reply() knows whether the port could follow, and is
 * then freed or put back, with the descriptors that only it, or only the new
 * one, has.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vhost_priv.h"
#include "weir_fail.h"

static struct vhost_table *
table_alloc(uint32_t max)
{
	return weir_zalloc(sizeof(struct vhost_table) +
			   (size_t)max * sizeof(struct weir_vhost_region));
}

/* A copy with room for one more. @return NULL: no memory. */
static struct vhost_table *
table_copy(const struct vhost_table *old)
{
	const uint32_t nr = old != NULL ? old->nr : 0;
	struct vhost_table *t;

	t = table_alloc(nr + 1);
	if (t == NULL)
		return NULL;
	if (nr != 0)
		memcpy(t->region, old->region, nr * sizeof(t->region[0]));
	t->nr = nr;
	return t;
}

/* Put a region in its place, if it overlaps no other in either address space. */
static int
table_insert(struct vhost_table *t, const struct weir_vhost_region *r,
	     struct vhost_why *why)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < t->nr; i++) {
		const struct weir_vhost_region *o = &t->region[i];

		if (weir_range_overlaps(o->gpa, r->gpa))
			return vhost_why(why, -EEXIST,
					 "region at guest %#" PRIx64
					 " overlaps that at guest %#" PRIx64,
					 r->gpa.start, o->gpa.start);
		if (weir_range_overlaps(o->user, r->user))
			return vhost_why(why, -EEXIST,
					 "region at user %#" PRIx64
					 " overlaps that at user %#" PRIx64,
					 r->user.start, o->user.start);
		if (o->gpa.start < r->gpa.start)
			at = i + 1;
	}
	memmove(&t->region[at + 1], &t->region[at], (t->nr - at) * sizeof(t->region[0]));
	t->region[at] = *r;
	t->nr++;
	return 0;
}

/* A region off the wire, with its file. The descriptor stays the message's. */
static int
region_parse(const struct weir_vhost_wire_region *wire, int fd,
	     struct weir_vhost_region *r, struct vhost_why *why)
{
	struct stat st;
	int ret;

	ret = vhost_check_region(wire, r, why);
	if (ret != 0)
		return ret;
	ret = vhost_check_file(fd, wire->mmap_offset, wire->len, &st, why);
	if (ret != 0)
		return ret;
	r->fd = fd;
	r->dev = st.st_dev;
	r->ino = st.st_ino;
	r->nr_adds = 1;
	return 0;
}

static bool
table_same(const struct vhost_table *a, const struct vhost_table *b)
{
	if (a == NULL || a->nr != b->nr)
		return false;
	for (uint32_t i = 0; i < a->nr; i++)
		if (!weir_vhost_region_same(&a->region[i], &b->region[i]))
			return false;
	return true;
}

/* All of it together. What is mapped comes out of this process's addresses, 128 TiB of
 * them, and a file without a byte on disk can take them all. */
static int
table_check_len(struct weir_vhost_session *s, const struct vhost_table *t)
{
	uint64_t len = 0;

	/* regions do not overlap, so the sum does not wrap */
	for (uint32_t i = 0; i < t->nr; i++)
		len += weir_range_len(t->region[i].user);
	if (len <= s->offer.max_mem)
		return 0;
	return vhost_why(&s->why, -ENOSPC,
			 "%" PRIu64 " bytes of memory, more than %" PRIu64, len,
			 s->offer.max_mem);
}

/* Publish a table and remember how to take that back. */
static void
table_replace(struct weir_vhost_session *s, struct vhost_table *t,
	      enum vhost_undo_kind kind, int fd)
{
	s->undo = (struct vhost_undo){ .kind = kind, .old = s->mem, .fd = fd };
	s->mem = t;
}

int
vhost_set_mem_table(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
		    struct weir_vhost_event *ev)
{
	const struct weir_vhost_wire_table *wire = &msg->payload.table;
	struct weir_vhost_region r;
	struct vhost_table *t;
	int ret;

	ret = vhost_check_table(msg, &s->why);
	if (ret != 0)
		return ret;
	if (wire->nr_regions > s->offer.nr_mem_slots)
		return vhost_why(&s->why, -ENOSPC,
				 "%" PRIu32 " regions, more than %" PRIu16 " slots",
				 wire->nr_regions, s->offer.nr_mem_slots);
	t = table_alloc(wire->nr_regions);
	if (t == NULL)
		return vhost_why(&s->why, -ENOMEM, "no memory");
	for (uint32_t i = 0; i < wire->nr_regions; i++) {
		ret = region_parse(&wire->region[i], msg->fds[i], &r, &s->why);
		if (ret == 0)
			ret = table_insert(t, &r, &s->why);
		if (ret != 0)
			goto err_free;
	}
	ret = table_check_len(s, t);
	if (ret != 0)
		goto err_free;
	/* sent again, as virtio-user does: what is mapped stays mapped */
	if (table_same(s->mem, t)) {
		for (uint32_t i = 0; i < t->nr; i++)
			s->mem->region[i].nr_adds = 1;
		free(t);
		return 0;
	}
	msg->nr_fds = 0;
	table_replace(s, t, VHOST_UNDO_SET, -1);
	ev->type = WEIR_VHOST_EV_MEM_TABLE;
	return 0;

err_free:
	free(t);
	return ret;
}

/* The region that has just these addresses. */
static int
region_index(const struct vhost_table *t, const struct weir_vhost_region *r)
{
	for (uint32_t i = 0; t != NULL && i < t->nr; i++) {
		const struct weir_vhost_region *o = &t->region[i];

		if (o->gpa.start == r->gpa.start && o->gpa.last == r->gpa.last &&
		    o->user.start == r->user.start)
			return (int)i;
	}
	return -ENOENT;
}

/* Count a region that is there already, the very same. @return false: it is not. */
static bool
add_again(struct vhost_table *t, const struct weir_vhost_region *r)
{
	const int at = region_index(t, r);

	if (at < 0 || !weir_vhost_region_same(&t->region[at], r) ||
	    t->region[at].nr_adds == UINT32_MAX)
		return false;
	t->region[at].nr_adds++;
	return true;
}

int
vhost_add_mem_reg(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
		  struct weir_vhost_event *ev)
{
	struct weir_vhost_region r;
	struct vhost_table *t;
	int ret;

	ret = region_parse(&msg->payload.mem_reg.region, msg->fds[0], &r, &s->why);
	if (ret != 0)
		return ret;
	if (add_again(s->mem, &r))
		return 0;
	if (s->mem != NULL && s->mem->nr >= s->offer.nr_mem_slots)
		return vhost_why(&s->why, -ENOSPC, "all %" PRIu16 " slots are in use",
				 s->offer.nr_mem_slots);
	t = table_copy(s->mem);
	if (t == NULL)
		return vhost_why(&s->why, -ENOMEM, "no memory");
	ret = table_insert(t, &r, &s->why);
	if (ret == 0)
		ret = table_check_len(s, t);
	if (ret != 0)
		goto err_free;
	msg->nr_fds = 0;
	table_replace(s, t, VHOST_UNDO_ADD, r.fd);
	ev->type = WEIR_VHOST_EV_MEM_ADD;
	ev->region = r;
	return 0;

err_free:
	free(t);
	return ret;
}

int
vhost_rem_mem_reg(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
		  struct weir_vhost_event *ev)
{
	struct weir_vhost_wire_region wire = msg->payload.mem_reg.region;
	struct weir_vhost_region r;
	struct vhost_table *t;
	int at, ret;

	wire.mmap_offset = 0; /* not part of what names a region */
	ret = vhost_check_region(&wire, &r, &s->why);
	if (ret != 0)
		return ret;
	at = region_index(s->mem, &r);
	if (at < 0)
		return vhost_why(&s->why, at,
				 "no region at guest %#" PRIx64 ", user %#" PRIx64
				 ", size %#" PRIx64,
				 wire.gpa, wire.user, wire.len);
	if (s->mem->region[at].nr_adds > 1) {
		s->mem->region[at].nr_adds--;
		return 0;
	}
	t = table_copy(s->mem);
	if (t == NULL)
		return vhost_why(&s->why, -ENOMEM, "no memory");
	r = t->region[at];
	t->nr--;
	memmove(&t->region[at], &t->region[at + 1],
		(t->nr - (uint32_t)at) * sizeof(t->region[0]));
	table_replace(s, t, VHOST_UNDO_DEL, r.fd);
	ev->type = WEIR_VHOST_EV_MEM_DEL;
	ev->region = r;
	return 0;
}

void
vhost_mem_free(struct vhost_table *t)
{
	for (uint32_t i = 0; t != NULL && i < t->nr; i++)
		vhost_close(t->region[i].fd);
	free(t);
}

void
vhost_mem_settle(struct weir_vhost_session *s, bool keep)
{
	struct vhost_table *out = keep ? s->undo.old : s->mem;

	if (s->undo.kind == VHOST_UNDO_NONE)
		return;
	if (!keep)
		s->mem = s->undo.old;
	switch (s->undo.kind) {
	case VHOST_UNDO_SET:
		vhost_mem_free(out);
		break;
	case VHOST_UNDO_ADD:
	case VHOST_UNDO_DEL:
		if (keep == (s->undo.kind == VHOST_UNDO_DEL))
			vhost_close(s->undo.fd);
		free(out);
		break;
	case VHOST_UNDO_NONE:
		break;
	}
	s->undo = (struct vhost_undo){ .kind = VHOST_UNDO_NONE, .fd = -1 };
}

int
vhost_check_log(struct weir_vhost_session *s, uint64_t len)
{
	const uint64_t last = s->mem != NULL && s->mem->nr != 0
				      ? s->mem->region[s->mem->nr - 1].gpa.last
				      : 0;

	/* a bit a page, eight pages a byte */
	if (last / WEIR_VHOST_LOG_PAGE / 8 < len)
		return 0;
	return vhost_why(&s->why, -ERANGE,
			 "size %#" PRIx64 " does not reach guest address %#" PRIx64, len,
			 last);
}

static const struct weir_vhost_region *
mem_find_user(const struct weir_vhost_session *s, struct weir_range user)
{
	for (uint32_t i = 0; s->mem != NULL && i < s->mem->nr; i++)
		if (weir_range_contains(s->mem->region[i].user, user))
			return &s->mem->region[i];
	return NULL;
}

bool
vhost_mem_has_user(const struct weir_vhost_session *s, struct weir_range user)
{
	return mem_find_user(s, user) != NULL;
}

const struct weir_vhost_region *
weir_vhost_mem(const struct weir_vhost_session *s, uint32_t *nr)
{
	*nr = s->mem != NULL ? s->mem->nr : 0;
	return s->mem != NULL ? s->mem->region : NULL;
}

void
weir_vhost_mem_close_fds(struct weir_vhost_session *s)
{
	vhost_mem_settle(s, true);
	for (uint32_t i = 0; s->mem != NULL && i < s->mem->nr; i++) {
		vhost_close(s->mem->region[i].fd);
		s->mem->region[i].fd = -1;
	}
}

bool
weir_vhost_region_same(const struct weir_vhost_region *a,
		       const struct weir_vhost_region *b)
{
	return a->gpa.start == b->gpa.start && a->gpa.last == b->gpa.last &&
	       a->user.start == b->user.start && a->mmap_offset == b->mmap_offset &&
	       a->dev == b->dev && a->ino == b->ino;
}

int
weir_vhost_user_to_gpa(const struct weir_vhost_session *s, uint64_t user, uint64_t len,
		       uint64_t *gpa)
{
	const struct weir_vhost_region *r;
	struct weir_range range;
	int ret;

	ret = weir_range_make(&range, user, len);
	if (ret != 0)
		return ret;
	r = mem_find_user(s, range);
	if (r == NULL)
		return -EFAULT;
	/* no wrap: the region has both ends */
	*gpa = r->gpa.start + (user - r->user.start);
	return 0;
}
