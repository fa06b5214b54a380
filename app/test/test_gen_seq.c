/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "gen_seq.h"
#include "test.h"

#define RUN 7

static enum test_result
seq_in_order_ok(void)
{
	static struct gen_seq s;

	memset(&s, 0, sizeof(s));
	/* more than the history, from a beginning that is not 0 */
	for (uint64_t i = 100; i < 100 + 3 * GEN_HISTORY; i++) {
		struct gen_seq_note n = gen_seq_take(&s, RUN, i);

		TEST_EQ(n.ok, 1);
		TEST_EQ(n.lost, 0);
		TEST_EQ(n.dup + n.reordered + n.restarted, 0);
		TEST_EQ(s.next, i + 1);
	}
	return TEST_OK;
}

static enum test_result
seq_from_before_the_beginning_not_lost(void)
{
	static struct gen_seq s;
	struct gen_seq_note n;

	memset(&s, 0, sizeof(s));
	gen_seq_take(&s, RUN, 10);
	n = gen_seq_take(&s, RUN, 9);
	TEST_EQ(n.ok, 1);
	TEST_EQ(n.reordered, 1);
	TEST_EQ(n.lost, 0);
	TEST_EQ(gen_seq_take(&s, RUN, 9).dup, 1);
	return TEST_OK;
}

static enum test_result
seq_of_another_run_begins_anew(void)
{
	static struct gen_seq s;
	struct gen_seq_note n;

	memset(&s, 0, sizeof(s));
	TEST_EQ(gen_seq_take(&s, RUN, 1000).restarted, 0);
	n = gen_seq_take(&s, RUN + 1, 0);
	TEST_EQ(n.restarted, 1);
	TEST_EQ(n.ok, 1);
	TEST_EQ(n.lost, 0);
	TEST_EQ(gen_seq_take(&s, RUN + 1, 2).lost, 1);
	return TEST_OK;
}

static enum test_result
seq_older_than_the_history_not_told_apart(void)
{
	static struct gen_seq s;
	struct gen_seq_note n;

	memset(&s, 0, sizeof(s));
	gen_seq_take(&s, RUN, 0);
	n = gen_seq_take(&s, RUN, GEN_HISTORY + 1);
	TEST_EQ(n.lost, GEN_HISTORY);
	TEST_EQ(gen_seq_take(&s, RUN, 1).dup, 1); /* 1 was lost, but who knows */
	n = gen_seq_take(&s, RUN, 2);
	TEST_EQ(n.ok, 1);
	TEST_EQ(n.lost, -1);
	return TEST_OK;
}

/* Against a model that remembers everything. */
static enum test_result
seq_at_random_as_the_model(void)
{
	enum { NR = 200000, SPAN = 3000 };
	static bool was[NR + SPAN];
	static struct gen_seq s;
	uint64_t rnd = test_seed(), at = 0, next = 0, missing = 0, ok = 0;
	int64_t lost = 0;

	memset(was, 0, sizeof(was));
	memset(&s, 0, sizeof(s));
	for (unsigned int i = 0; i < NR; i++) {
		uint64_t pick = test_rand(&rnd) % 100, seq = at;
		struct gen_seq_note n;

		/* mostly the next; some skipped, some from behind */
		if (pick < 10 && i > 0)
			seq = at - 1 - test_rand(&rnd) % (at < SPAN ? at : SPAN);
		else if (pick < 15)
			seq = at + test_rand(&rnd) % 20;
		if (seq >= NR)
			break;
		at = seq >= at ? seq + 1 : at;
		n = gen_seq_take(&s, RUN, seq);
		TEST_EQ(n.ok, i == 0 || !was[seq]);
		TEST_EQ(n.dup, was[seq]);
		TEST_EQ(n.reordered, !was[seq] && i != 0 && seq < next);
		was[seq] = true;
		next = seq >= next ? seq + 1 : next;
		lost += n.lost;
		ok += n.ok;
	}
	for (uint64_t i = s.first; i < next; i++)
		missing += !was[i];
	TEST_EQ(lost, missing);
	TEST_ASSERT(lost > 100 && ok > 100);
	return TEST_OK;
}

static const struct test_case gen_seq_cases[] = {
	{ "seq_in_order_ok", seq_in_order_ok },
	{ "seq_from_before_the_beginning_not_lost",
	  seq_from_before_the_beginning_not_lost },
	{ "seq_of_another_run_begins_anew", seq_of_another_run_begins_anew },
	{ "seq_older_than_the_history_not_told_apart",
	  seq_older_than_the_history_not_told_apart },
	{ "seq_at_random_as_the_model", seq_at_random_as_the_model },
};
AUTOTEST(gen_seq_autotest, gen_seq_cases);
