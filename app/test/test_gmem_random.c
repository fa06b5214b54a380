/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random operations on a table of slots against a list that is searched from one
 * end to the other, and old tables, which nothing may change.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test.h"
#include "weir_gmem_log.h"

#define PAGE 4096u
#define SPACE 4096u /* pages of guest-physical and of user addresses, and of the file */
#define LONGEST 150u
#define IDS 48u
#define UVA UINT64_C(0x7f5500000000)
#define OLD 4u
#define OPS 20000u

/* A slot of the model; all in pages. */
struct model_slot {
	bool used, logged;
	uint32_t gpa, len, uva, off;
	bool dirty[LONGEST];
};

struct model {
	struct model_slot slot[IDS]; /* by id */
};

struct old {
	const struct weir_gmem *g;
	uint32_t nr;
	struct weir_gmem_slot slot[IDS];
};

static struct model model;
static const struct weir_gmem *table;
static struct old olds[OLD];
static int file;
static uint64_t rnd;

static uint32_t
below(uint32_t n)
{
	return (uint32_t)(test_rand(&rnd) >> 32) % n;
}

/* Page n of the file says n. */
static int
file_open(void)
{
	file = memfd_create("test_gmem_random", MFD_CLOEXEC);
	if (file < 0 || ftruncate(file, SPACE * PAGE) != 0)
		return -errno;
	for (uint64_t i = 0; i < SPACE; i++)
		if (pwrite(file, &i, sizeof(i), (off_t)(i * PAGE)) != sizeof(i))
			return -errno;
	return 0;
}

static bool
meet(uint32_t a, uint32_t a_len, uint32_t b, uint32_t b_len)
{
	return a < b + b_len && b < a + a_len;
}

/* A slot other than @p but is in the way. */
static bool
gpa_taken(const struct model *m, uint32_t gpa, uint32_t len, uint32_t but)
{
	for (uint32_t i = 0; i < IDS; i++)
		if (m->slot[i].used && i != but &&
		    meet(m->slot[i].gpa, m->slot[i].len, gpa, len))
			return true;
	return false;
}

static bool
uva_taken(const struct model *m, uint32_t uva, uint32_t len)
{
	for (uint32_t i = 0; i < IDS; i++)
		if (m->slot[i].used && meet(m->slot[i].uva, m->slot[i].len, uva, len))
			return true;
	return false;
}

static struct model_slot
slot_any(void)
{
	struct model_slot s = { .used = true, .len = 1 + below(LONGEST) };

	s.gpa = below(SPACE - s.len);
	s.uva = below(SPACE - s.len);
	s.off = below(SPACE - s.len);
	return s;
}

static struct weir_gmem_region
region_of(const struct model_slot *s)
{
	return (struct weir_gmem_region){
		.gpa = (uint64_t)s->gpa * PAGE,
		.len = (uint64_t)s->len * PAGE,
		.uva = UVA + (uint64_t)s->uva * PAGE,
		.mmap_offset = (uint64_t)s->off * PAGE,
	};
}

/* Each operation: do it, and say what the model answers. */
static int
op_create(struct weir_gmem **out, int *want)
{
	struct model_slot s = slot_any();
	const struct weir_gmem_region r = region_of(&s);
	uint16_t id = (uint16_t)below(IDS);

	*want = model.slot[id].used || gpa_taken(&model, s.gpa, s.len, IDS) ||
				uva_taken(&model, s.uva, s.len)
			? -EEXIST
			: 0;
	if (*want == 0)
		model.slot[id] = s;
	return weir_gmem_create(table, id, &r, file, out);
}

static int
op_delete(struct weir_gmem **out, int *want)
{
	uint16_t id = (uint16_t)below(IDS);

	*want = model.slot[id].used ? 0 : -ENOENT;
	model.slot[id].used = false;
	return weir_gmem_delete(table, id, out);
}

static int
op_move(struct weir_gmem **out, int *want)
{
	uint16_t id = (uint16_t)below(IDS);
	struct model_slot *s = &model.slot[id];
	/* near is as good as far: over itself, next to others */
	uint32_t to = below(2) ? below(SPACE - LONGEST) : (s->gpa + below(32)) % SPACE;

	*want = !s->used ? -ENOENT : gpa_taken(&model, to, s->len, id) ? -EEXIST : 0;
	if (*want == 0)
		s->gpa = to;
	return weir_gmem_move(table, id, (struct weir_gpa){ (uint64_t)to * PAGE }, out);
}

static int
op_flags(struct weir_gmem **out, int *want)
{
	uint16_t id = (uint16_t)below(IDS), flags = (uint16_t)below(3);
	struct model_slot *s = &model.slot[id];

	*want = !s->used ? -ENOENT : flags > WEIR_GMEM_LOG ? -EINVAL : 0;
	if (*want == 0) {
		if (!s->logged)
			memset(s->dirty, 0, sizeof(s->dirty));
		s->logged = flags == WEIR_GMEM_LOG;
	}
	return weir_gmem_set_flags(table, id, flags, out);
}

/* Some of what is there, some of it elsewhere, and something new. */
static int
op_replace(struct weir_gmem **out, int *want)
{
	struct weir_gmem_region r[IDS];
	struct model next = { 0 };
	uint32_t nr = 0, bad;
	int fd[IDS];

	*want = 0;
	for (uint32_t i = 0; i < IDS; i++) {
		struct model_slot s = below(8) == 0 ? slot_any() : model.slot[i];

		if (!s.used || below(8) == 0)
			continue;
		if (below(8) == 0)
			s.gpa = below(SPACE - s.len);
		if (gpa_taken(&next, s.gpa, s.len, IDS) ||
		    uva_taken(&next, s.uva, s.len)) {
			/* seldom let it be a mistake */
			if (below(16) != 0)
				continue;
			*want = -EEXIST;
		}
		r[nr] = region_of(&s);
		fd[nr] = file;
		next.slot[nr++] = s;
	}
	if (*want == 0)
		model = next;
	return weir_gmem_replace(table, r, fd, nr, out, &bad);
}

static void
mark_somewhere(void)
{
	uint32_t gpa = below(SPACE), len = 1 + below(300);

	weir_gmem_mark(table, (struct weir_gpa){ (uint64_t)gpa * PAGE + below(PAGE) },
		       (uint64_t)(len - 1) * PAGE + 1);
	/* from anywhere in a page to the same place in another */
	for (uint32_t i = 0; i < IDS; i++) {
		struct model_slot *s = &model.slot[i];

		for (uint32_t k = 0; s->used && s->logged && k < s->len; k++)
			s->dirty[k] |= s->gpa + k >= gpa && s->gpa + k < gpa + len;
	}
}

static bool
log_same(const struct weir_gmem_slot *s, struct model_slot *m)
{
	uint32_t first = below(m->len / 64 + 1) * 64, nr = below(m->len - first + 1);
	uint64_t bits[LONGEST / 64 + 1] = { 0 };
	uint32_t how = below(4);
	int ret;

	if (!m->logged)
		return weir_gmem_log_get(s, first, nr, bits) == -ENOENT;
	if (weir_gmem_log_get(s, first, m->len - first + 1, bits) != -ERANGE)
		return false;
	if (how == 0) {
		first = below(m->len);
		nr = below(m->len - first + 1);
		memset(&m->dirty[first], 0, nr);
		return weir_gmem_log_clear(s, first, nr) == 0;
	}
	ret = how == 1 ? weir_gmem_log_take(s, first, nr, bits)
		       : weir_gmem_log_get(s, first, nr, bits);
	for (uint32_t k = 0; k < (nr + 63) / 64 * 64; k++) {
		bool want = k < nr && m->dirty[first + k];

		if ((bits[k / 64] >> k % 64 & 1) != want)
			return false;
		if (how == 1 && k < nr)
			m->dirty[first + k] = false;
	}
	return ret == 0;
}

static bool
slot_same(const struct weir_gmem_slot *s, struct model_slot *m)
{
	uint64_t page = below(m->len);

	return s != NULL && s->gpa.start == (uint64_t)m->gpa * PAGE &&
	       weir_range_len(s->gpa) == (uint64_t)m->len * PAGE &&
	       s->uva == UVA + (uint64_t)m->uva * PAGE && s->iova == s->hva &&
	       s->flags == (m->logged ? WEIR_GMEM_LOG : 0) &&
	       *(uint64_t *)(uintptr_t)(s->hva + page * PAGE) == m->off + page &&
	       log_same(s, m);
}

static enum test_result
table_same(void)
{
	uint32_t nr = 0, nr_logged = 0, hint = below(IDS);
	uint32_t gpa = below(SPACE + 1);
	const struct weir_gmem_slot *found = NULL;

	for (uint16_t i = 0; i < IDS; i++) {
		struct model_slot *m = &model.slot[i];
		const struct weir_gmem_slot *s = weir_gmem_slot(table, i);

		TEST_EQ(s != NULL, m->used);
		if (!m->used)
			continue;
		TEST_ASSERT(slot_same(s, m));
		TEST_EQ(s->id, i);
		if (gpa >= m->gpa && gpa < m->gpa + m->len)
			found = s;
		nr++;
		nr_logged += m->logged;
	}
	TEST_EQ(table->nr_slots, nr);
	TEST_EQ(table->nr_logged, nr_logged);
	for (uint32_t i = 1; i < nr; i++) {
		TEST_ASSERT(table->slot[i - 1].gpa.last < table->slot[i].gpa.start);
		TEST_ASSERT(table->slot[table->by_uva[i - 1]].uva <
			    table->slot[table->by_uva[i]].uva);
	}
	TEST_ASSERT(weir_gmem_find(table, (struct weir_gpa){ (uint64_t)gpa * PAGE },
				   &hint) == found);
	return TEST_OK;
}

/* An old table is as it was, and what is behind its slots is there. */
static bool
old_same(const struct old *o)
{
	uint32_t i = below(IDS);

	if (o->g == NULL || o->g->nr_slots != o->nr ||
	    memcmp(o->g->slot, o->slot, o->nr * sizeof(o->slot[0])) != 0)
		return o->g == NULL;
	return i >= o->nr || *(volatile uint64_t *)(uintptr_t)o->slot[i].hva < SPACE;
}

/* The new table is in force; the old one is kept for a while, or put away. */
static void
table_exchange(const struct weir_gmem *g)
{
	struct old *o = &olds[below(OLD)];

	if (below(4) != 0) {
		weir_gmem_put(table);
	} else {
		weir_gmem_put(o->g);
		o->g = table;
		o->nr = table->nr_slots;
		memcpy(o->slot, table->slot, o->nr * sizeof(o->slot[0]));
	}
	table = g;
}

static enum test_result
ops_random_as_a_list(void)
{
	static int (*const ops[])(struct weir_gmem * *out, int *want) = {
		op_create, op_create, op_create, op_delete,
		op_move,   op_move,   op_flags,	 op_flags,
	};
	const char *nr = getenv("WEIR_TEST_OPS");
	uint64_t todo = nr != NULL ? strtoull(nr, NULL, 10) : OPS;

	rnd = test_seed();
	table = &weir_gmem_empty;
	TEST_EQ(file_open(), 0);
	for (uint64_t i = 0; i < todo; i++) {
		uint32_t which = below(128);
		struct weir_gmem *out;
		int want, ret;

		mark_somewhere();
		ret = which == 0 ? op_replace(&out, &want) : ops[which % 8](&out, &want);
		TEST_EQ(ret, want);
		if (ret == 0)
			table_exchange(out);
		if (table_same() != TEST_OK)
			return TEST_FAILED;
		TEST_ASSERT(old_same(&olds[below(OLD)]));
	}
	weir_gmem_put(table);
	for (uint32_t i = 0; i < OLD; i++) {
		weir_gmem_put(olds[i].g);
		olds[i].g = NULL;
	}
	close(file);
	return TEST_OK;
}

static const struct test_case gmem_random_cases[] = {
	{ "ops_random_as_a_list", ops_random_as_a_list },
};
AUTOTEST(gmem_random_autotest, gmem_random_cases);
