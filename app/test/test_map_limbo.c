/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a map keeps for a reader that is stopped in the middle of a lookup: the
 * version it looks at, whole, and little else.
 */
#include <errno.h>

#include "map_impl.h"
#include "test.h"

#define PAGE WEIR_MAP_PAGE
#define REGIONS 500
#define CHANGES 20000
#define NODES_KEPT 2000 /* of 1 KiB: far more than a version has, far less than all */

static struct weir_range
page_of(uint64_t i)
{
	return (struct weir_range){ 2 * i * PAGE, 2 * i * PAGE + PAGE - 1 };
}

static int
change(struct weir_map *m, uint64_t i, uint64_t hva, bool keep)
{
	struct weir_region r = {
		.iova = page_of(i), .hva = hva, .chunk = PAGE, .prot = WEIR_PROT_READ
	};
	struct weir_map_change *c;
	int ret = hva != 0 ? weir_map_plan_map(m, &r, &c)
			   : weir_map_plan_unmap(m, r.iova, &c);

	if (ret != 0)
		return ret;
	weir_map_publish(m, c);
	if (keep)
		weir_map_finish(m, c);
	else
		weir_map_revert(m, c);
	return 0;
}

static enum test_result
map_make(struct weir_map **m)
{
	TEST_EQ(weir_map_create(m), 0);
	for (uint64_t i = 0; i < REGIONS; i++)
		TEST_EQ(change(*m, i, (i + 1) * PAGE, true), 0);
	return TEST_OK;
}

/* Move regions to other memory, one after the other, and back. */
static enum test_result
map_change(struct weir_map *m, unsigned int nr)
{
	for (unsigned int n = 0; n < nr; n++) {
		uint64_t i = n * 7 % REGIONS;

		TEST_EQ(change(m, i, 0, true), 0);
		TEST_EQ(change(m, i, (i + 1 + REGIONS * (n % 3)) * PAGE, true), 0);
		/* a change that is not kept leaves nothing behind either */
		TEST_EQ(change(m, i, 0, false), 0);
	}
	return TEST_OK;
}

/* True if a tree is the one that map_make() made. */
static bool
tree_is_first(const struct map_node *root)
{
	struct weir_region r;
	struct map_pos pos;
	uint64_t i = 0;

	for (bool more = map_tree_seek(root, 0, &pos, &r); more;
	     more = map_tree_next(&pos, &r), i++)
		if (r.iova.start != page_of(i).start || r.hva != (i + 1) * PAGE)
			return false;
	return i == REGIONS;
}

static enum test_result
limbo_reader_that_says_its_version_keeps_that_one(void)
{
	struct map_slot *slot;
	struct map_node *root;
	struct weir_map *m;

	if (map_make(&m) != TEST_OK)
		return TEST_FAILED;
	slot = map_slots_enter(&m->slots);
	root = atomic_load(&m->root);
	map_slot_see(slot, root->edit);
	if (map_change(m, CHANGES) != TEST_OK)
		return TEST_FAILED;
	TEST_ASSERT(tree_is_first(root));
	TEST_ASSERT(m->nodes.nr_used < NODES_KEPT);
	map_slot_leave(slot);
	/* one more look than the readers were due for */
	if (map_change(m, NODES_KEPT) != TEST_OK)
		return TEST_FAILED;
	TEST_EQ(m->limbo.nr, 0);
	weir_map_destroy(m);
	return TEST_OK;
}

static enum test_result
limbo_reader_that_does_not_say_keeps_what_it_may_see(void)
{
	struct map_slot *slot;
	struct map_node *root;
	struct weir_map *m;

	if (map_make(&m) != TEST_OK)
		return TEST_FAILED;
	slot = map_slots_enter(&m->slots);
	map_slot_see(slot, SEEN_ANY);
	root = atomic_load(&m->root);
	if (map_change(m, CHANGES / 10) != TEST_OK)
		return TEST_FAILED;
	TEST_ASSERT(tree_is_first(root));
	/* it could look at any of these versions */
	TEST_ASSERT(m->nodes.nr_used > CHANGES / 10);
	map_slot_leave(slot);
	if (map_change(m, CHANGES) != TEST_OK)
		return TEST_FAILED;
	TEST_ASSERT(m->nodes.nr_used < NODES_KEPT);
	weir_map_destroy(m);
	return TEST_OK;
}

/* One that was stopped before it had a root. */
static enum test_result
limbo_reader_that_sees_nothing_keeps_nothing(void)
{
	struct map_slot *slot;
	struct weir_map *m;

	if (map_make(&m) != TEST_OK)
		return TEST_FAILED;
	slot = map_slots_enter(&m->slots);
	if (map_change(m, CHANGES / 10) != TEST_OK)
		return TEST_FAILED;
	TEST_EQ(m->limbo.nr, 0);
	map_slot_leave(slot);
	weir_map_destroy(m);
	return TEST_OK;
}

/* What a reader has come in to is the version that it says. */
static enum test_result
limbo_reader_says_what_it_sees(void)
{
	struct map_slot *slot;
	struct map_node *root;
	struct weir_map *m;
	uint64_t seq;

	if (map_make(&m) != TEST_OK)
		return TEST_FAILED;
	/* a change that was taken back is a version of its own */
	TEST_EQ(change(m, 0, 0, false), 0);
	slot = map_enter(m, &root, &seq);
	TEST_EQ(seq, atomic_load(&m->seq));
	TEST_EQ(atomic_load(&slot->seen), m->nr_edits);
	TEST_EQ(root == atomic_load(&m->root), true);
	if (map_change(m, CHANGES / 10) != TEST_OK)
		return TEST_FAILED;
	TEST_ASSERT(tree_is_first(root));
	TEST_ASSERT(m->limbo.nr != 0 && m->limbo.nr < NODES_KEPT);
	map_slot_leave(slot);
	/* a writer that stays in the middle of publishing: who comes does not wait for it
	 */
	atomic_fetch_add(&m->seq, 1);
	slot = map_enter(m, &root, &seq);
	atomic_fetch_sub(&m->seq, 1);
	TEST_EQ(seq, SEQ_NEVER);
	TEST_EQ(atomic_load(&slot->seen), SEEN_ANY);
	map_slot_leave(slot);
	weir_map_destroy(m);
	return TEST_OK;
}

/* Readers come and go, but there is always one inside: what is old goes. */
static enum test_result
limbo_readers_in_turn_keep_little(void)
{
	struct map_slot *slot, *next;
	struct weir_map *m;

	if (map_make(&m) != TEST_OK)
		return TEST_FAILED;
	slot = map_slots_enter(&m->slots);
	for (unsigned int i = 0; i < 100; i++) {
		if (map_change(m, CHANGES / 100) != TEST_OK)
			return TEST_FAILED;
		next = map_slots_enter(&m->slots);
		map_slot_leave(slot);
		slot = next;
	}
	TEST_ASSERT(m->nodes.nr_used < 3 * NODES_KEPT);
	map_slot_leave(slot);
	weir_map_destroy(m);
	return TEST_OK;
}

static const struct test_case map_limbo_cases[] = {
	{ "limbo_reader_that_says_its_version_keeps_that_one",
	  limbo_reader_that_says_its_version_keeps_that_one },
	{ "limbo_reader_that_does_not_say_keeps_what_it_may_see",
	  limbo_reader_that_does_not_say_keeps_what_it_may_see },
	{ "limbo_reader_that_sees_nothing_keeps_nothing",
	  limbo_reader_that_sees_nothing_keeps_nothing },
	{ "limbo_reader_says_what_it_sees", limbo_reader_says_what_it_sees },
	{ "limbo_readers_in_turn_keep_little", limbo_readers_in_turn_keep_little },
};
AUTOTEST(map_limbo_autotest, map_limbo_cases);
