/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_TEST_H
#define WEIR_TEST_H
/*
 * Autotests in the manner of dpdk-test: each has a name and is a table of
 * cases. `weir-test` without arguments lists them, `weir-test NAME...` runs
 * some, `weir-test all` runs all; exit code 0 passed, 1 failed, 77 skipped.
 * A case returns TEST_OK, TEST_FAILED (the macros below print why) or
 * TEST_SKIPPED through test_skip(), which takes the reason.
 *
 * WEIR_TEST_SEED=n repeats a random test, which prints the seed it used.
 * WEIR_TEST_EAL="args" starts EAL with other arguments than main.c's; where EAL
 * does not start with them, for want of huge pages say, what needs it is skipped.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum test_result { TEST_OK, TEST_FAILED, TEST_SKIPPED };

struct test_case {
	const char *name; /* <object>_<situation>_<result> */
	enum test_result (*run)(void);
};

struct autotest {
	const char *name;
	const struct test_case *cases;
	size_t nr_cases;
	bool needs_eal; /* EAL is initialised, once, before its first case */
	struct autotest *next;
};

void autotest_register(struct autotest *t);

/* Prints the reason, which the caller must not leave empty. */
enum test_result test_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The run's seed: WEIR_TEST_SEED or the clock; printed by the first call. */
uint64_t test_seed(void);

/* xorshift64*: small, seeded, the same everywhere. The state must not be 0. */
static inline uint64_t
test_rand(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

#define AUTOTEST_(nm, tbl, eal)                                                          \
	static struct autotest autotest_##nm = { .name = #nm,                            \
						 .cases = tbl,                           \
						 .nr_cases =                             \
							 sizeof(tbl) / sizeof((tbl)[0]), \
						 .needs_eal = eal };                     \
	__attribute__((constructor)) static void autotest_ctor_##nm(void)                \
	{                                                                                \
		autotest_register(&autotest_##nm);                                       \
	}                                                                                \
	struct autotest_semicolon_##nm

/* Register the case table under a name that ends in _autotest. */
#define AUTOTEST(nm, tbl) AUTOTEST_(nm, tbl, false)
#define AUTOTEST_EAL(nm, tbl) AUTOTEST_(nm, tbl, true)

#define TEST_ASSERT(cond)                                                         \
	do {                                                                      \
		if (!(cond)) {                                                    \
			printf("    %s:%d: not %s\n", __FILE__, __LINE__, #cond); \
			return TEST_FAILED;                                       \
		}                                                                 \
	} while (0)

/* Compare two integers and print both. */
#define TEST_EQ(a, b)                                                                    \
	do {                                                                             \
		long long test_a_ = (long long)(a), test_b_ = (long long)(b);            \
		if (test_a_ != test_b_) {                                                \
			printf("    %s:%d: %s is %lld (%#llx), not %s = %lld (%#llx)\n", \
			       __FILE__, __LINE__, #a, test_a_,                          \
			       (unsigned long long)test_a_, #b, test_b_,                 \
			       (unsigned long long)test_b_);                             \
			return TEST_FAILED;                                              \
		}                                                                        \
	} while (0)

#endif /* WEIR_TEST_H */
