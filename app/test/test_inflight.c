/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The in-flight area against a backend that gives chains back in any order and
 * dies after any store, as the specification has it done, and then against weir's
 * own, which dies as well and never writes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"
#include "weir_fail.h"
#include "weir_inflight.h"

#define SIZE 8u
#define ROUNDS 4000u
#define STEPS 40u

struct rig {
	struct weir_inflight *area;
	uint16_t used_idx;   /* of the used ring */
	uint16_t held[SIZE]; /* heads taken and not given back, the oldest first */
	uint16_t nr_held;
	uint64_t counter;
	unsigned int stores; /* that are left until it dies */
};

static struct rig rig;

static enum test_result
rig_make(void)
{
	free(rig.area);
	rig = (struct rig){ .stores = UINT32_MAX };
	rig.area = calloc(1, weir_inflight_len(SIZE, false));
	TEST_ASSERT(rig.area != NULL);
	return TEST_OK;
}

static int
take(uint16_t *heads, uint16_t *nr)
{
	return weir_inflight_take(rig.area, SIZE, rig.used_idx, SIZE, heads, nr);
}

/* One store of the backend's; false: it has died. */
static bool
alive(void)
{
	if (rig.stores == 0)
		return false;
	rig.stores--;
	return true;
}

static bool
is_held(uint16_t head)
{
	for (uint16_t i = 0; i < rig.nr_held; i++)
		if (rig.held[i] == head)
			return true;
	return false;
}

static void
fetch(uint16_t head)
{
	if (is_held(head) || !alive())
		return;
	rig.area->desc[head].counter = rig.counter++;
	if (!alive())
		return;
	rig.area->desc[head].inflight = 1;
	rig.held[rig.nr_held++] = head;
}

/* Give back the held ones whose bit is set, as one batch. */
static void
give(uint64_t which)
{
	uint16_t batch[SIZE], nr = 0, left = 0;

	for (uint16_t i = 0; i < rig.nr_held; i++)
		if ((which >> i & 1) != 0)
			batch[nr++] = rig.held[i];
	for (uint16_t i = 0; i < nr; i++) {
		if (!alive())
			return;
		rig.area->desc[batch[i]].next = rig.area->last_batch_head;
		if (!alive())
			return;
		rig.area->last_batch_head = batch[i];
	}
	if (!alive())
		return;
	rig.used_idx = (uint16_t)(rig.used_idx + nr);
	for (uint16_t i = 0; i < rig.nr_held; i++)
		if ((which >> i & 1) == 0)
			rig.held[left++] = rig.held[i];
	rig.nr_held = left;
	for (uint16_t i = 0; i < nr; i++) {
		if (!alive())
			return;
		rig.area->desc[batch[i]].inflight = 0;
	}
	if (alive())
		rig.area->used_idx = rig.used_idx;
}

/* As weir does: in order, and not a word to the area. */
static void
give_first(uint16_t nr)
{
	nr = nr < rig.nr_held ? nr : rig.nr_held;
	rig.used_idx = (uint16_t)(rig.used_idx + nr);
	rig.nr_held = (uint16_t)(rig.nr_held - nr);
	memmove(rig.held, rig.held + nr, rig.nr_held * sizeof(rig.held[0]));
}

static enum test_result
take_finds_what_is_held(void)
{
	uint16_t heads[SIZE], nr = UINT16_MAX;

	TEST_EQ(take(heads, &nr), 0);
	TEST_EQ(nr, rig.nr_held);
	for (uint16_t i = 0; i < nr; i++)
		TEST_EQ(heads[i], rig.held[i]);
	return TEST_OK;
}

static enum test_result
area_sizes_as_others_have_them(void)
{
	/* a part's head and its entries, rounded up to 64 bytes */
	TEST_EQ(weir_inflight_len(1, false), 64);
	TEST_EQ(weir_inflight_len(256, false), 256 * 16 + 64);
	TEST_EQ(weir_inflight_len(32768, false), 32768 * 16 + 64);
	TEST_EQ(weir_inflight_len(1, true), 64);
	TEST_EQ(weir_inflight_len(256, true), 256 * 32 + 64);
	return TEST_OK;
}

static enum test_result
area_fresh_is_initialised(void)
{
	TEST_EQ(rig_make(), TEST_OK);
	rig.used_idx = 77;
	TEST_EQ(take_finds_what_is_held(), TEST_OK);
	TEST_EQ(rig.area->version, WEIR_INFLIGHT_VERSION);
	TEST_EQ(rig.area->nr_desc, SIZE);
	TEST_EQ(rig.area->used_idx, 77);
	/* in use, dead at any time: nothing is in flight, wherever used.idx is */
	for (uint32_t i = 0; i <= UINT16_MAX; i += 7) {
		rig.used_idx = (uint16_t)i;
		TEST_EQ(take_finds_what_is_held(), TEST_OK);
	}
	return TEST_OK;
}

static enum test_result
area_that_makes_no_sense_refused(void)
{
	uint16_t heads[SIZE], nr;

	TEST_EQ(rig_make(), TEST_OK);
	TEST_EQ(take(heads, &nr), 0);
	rig.area->version = 2;
	TEST_EQ(take(heads, &nr), -EPROTO);
	rig.area->version = WEIR_INFLIGHT_VERSION;
	rig.area->nr_desc = SIZE + 1;
	TEST_EQ(take(heads, &nr), -EPROTO);
	rig.area->nr_desc = SIZE;
	for (uint16_t i = 0; i < SIZE; i++)
		rig.area->desc[i].inflight = 1;
	/* more than the guest has offered, and nothing was changed for it */
	TEST_EQ(weir_inflight_take(rig.area, SIZE, 3, SIZE - 2, heads, &nr), -EPROTO);
	TEST_EQ(rig.area->used_idx, 0);
	TEST_EQ(take(heads, &nr), 0);
	TEST_EQ(nr, SIZE);
	/* lists that lead outside, or in a circle */
	rig.area->last_batch_head = SIZE;
	rig.used_idx = 5;
	TEST_EQ(take(heads, &nr), 0);
	TEST_EQ(nr, SIZE);
	rig.area->last_batch_head = 1;
	rig.area->desc[1].next = 2;
	rig.area->desc[2].next = 1;
	rig.used_idx = 4;
	TEST_EQ(take(heads, &nr), 0);
	TEST_EQ(nr, SIZE - 2);
	return TEST_OK;
}

static enum test_result
area_without_memory_unchanged(void)
{
	uint16_t heads[SIZE], nr = 9;
	static uint8_t before[4096];
	unsigned int nth;

	TEST_EQ(rig_make(), TEST_OK);
	TEST_EQ(take(heads, &nr), 0);
	fetch(3);
	fetch(1);
	give(1);
	rig.area->used_idx = 0; /* it died just before */
	TEST_ASSERT(weir_inflight_len(SIZE, false) <= sizeof(before));
	memcpy(before, rig.area, weir_inflight_len(SIZE, false));
	for (nth = 1; nth < 10; nth++) {
		int ret;

		weir_fail_arm(nth);
		ret = take(heads, &nr);
		if (weir_fail_armed())
			break;
		TEST_EQ(ret, -ENOMEM);
		TEST_EQ(memcmp(before, rig.area, weir_inflight_len(SIZE, false)), 0);
	}
	weir_fail_arm(0);
	TEST_EQ(nth, 3);
	TEST_EQ(take_finds_what_is_held(), TEST_OK);
	return TEST_OK;
}

/* Both kinds of backend, one after the other, each of which dies. */
static enum test_result
area_survives_any_death(void)
{
	uint64_t seed = test_seed();

	for (unsigned int round = 0; round < ROUNDS; round++) {
		TEST_EQ(rig_make(), TEST_OK);
		rig.used_idx = (uint16_t)test_rand(&seed);
		for (unsigned int life = 0; life < 4; life++) {
			TEST_EQ(take_finds_what_is_held(), TEST_OK);
			if (test_rand(&seed) % 2 == 0) {
				give_first((uint16_t)(test_rand(&seed) % (SIZE + 1)));
				continue;
			}
			rig.stores = (unsigned int)(test_rand(&seed) % (STEPS * 3));
			for (unsigned int i = 0; i < STEPS; i++) {
				if (test_rand(&seed) % 3 != 0)
					fetch((uint16_t)(test_rand(&seed) % SIZE));
				else
					give(test_rand(&seed));
			}
		}
		TEST_EQ(take_finds_what_is_held(), TEST_OK);
	}
	free(rig.area);
	rig.area = NULL;
	return TEST_OK;
}

static const struct test_case inflight_cases[] = {
	{ "area_sizes_as_others_have_them", area_sizes_as_others_have_them },
	{ "area_fresh_is_initialised", area_fresh_is_initialised },
	{ "area_that_makes_no_sense_refused", area_that_makes_no_sense_refused },
	{ "area_without_memory_unchanged", area_without_memory_unchanged },
	{ "area_survives_any_death", area_survives_any_death },
};
AUTOTEST(inflight_autotest, inflight_cases);
