/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_eal.h>
#include <rte_errno.h>

#include "run_folder.h"
#include "test.h"

#define EXIT_SKIPPED 77

static struct autotest *tests;
static char skip_reason[256];

void
autotest_register(struct autotest *t)
{
	struct autotest **p = &tests;

	while (*p != NULL && strcmp((*p)->name, t->name) < 0)
		p = &(*p)->next;
	t->next = *p;
	*p = t;
}

enum test_result
test_skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(skip_reason, sizeof(skip_reason), fmt, ap);
	va_end(ap);
	return TEST_SKIPPED;
}

uint64_t
test_seed(void)
{
	static uint64_t seed;
	const char *env = getenv("WEIR_TEST_SEED");

	if (seed == 0) {
		seed = env != NULL ? strtoull(env, NULL, 0)
				   : (uint64_t)time(NULL) * UINT64_C(0x9e3779b97f4a7c15);
		seed |= seed == 0;
		printf("    WEIR_TEST_SEED=%" PRIu64 "\n", seed);
	}
	return seed;
}

/* No huge pages, no devices, no files: an EAL that runs anywhere. */
static const char eal_default[] =
	"--no-huge --no-pci -m 256 --no-shconf --no-telemetry --lcores=0 --iova-mode=va "
	"--log-level=lib.eal:4";

#define EAL_MAX_ARGS 32

static int
eal_start(void)
{
	static char name[] = "weir-test", args[512];
	static char *argv[EAL_MAX_ARGS] = { name };
	static int ret = 1;
	const char *env = getenv("WEIR_TEST_EAL");
	char *save = NULL;
	int argc = 1;

	if (ret != 1)
		return ret;
	snprintf(args, sizeof(args), "%s", env != NULL ? env : eal_default);
	for (char *p = strtok_r(args, " ", &save); p != NULL && argc < EAL_MAX_ARGS - 1;
	     p = strtok_r(NULL, " ", &save))
		argv[argc++] = p;
	ret = rte_eal_init(argc, argv) < 0 ? -rte_errno : 0;
	if (ret != 0)
		printf("    EAL does not start with \"%s\": %s\n",
		       env != NULL ? env : eal_default, rte_strerror(-ret));
	return ret;
}

static enum test_result
autotest_run(const struct autotest *t)
{
	static const char *const word[] = {
		[TEST_OK] = "ok",
		[TEST_FAILED] = "FAILED",
		[TEST_SKIPPED] = "skipped",
	};
	size_t count[3] = { 0 };

	printf("%s\n", t->name);
	if (t->needs_eal && eal_start() != 0)
		return getenv("WEIR_TEST_EAL") != NULL ? TEST_SKIPPED : TEST_FAILED;
	for (size_t i = 0; i < t->nr_cases; i++) {
		enum test_result r = t->cases[i].run();

		count[r]++;
		printf("  %-9s %s%s%s\n", word[r], t->cases[i].name,
		       r == TEST_SKIPPED ? ": " : "",
		       r == TEST_SKIPPED ? skip_reason : "");
		fflush(stdout);
	}
	printf("%s: %zu passed, %zu failed, %zu skipped\n", t->name, count[TEST_OK],
	       count[TEST_FAILED], count[TEST_SKIPPED]);
	if (count[TEST_FAILED] != 0)
		return TEST_FAILED;
	return count[TEST_OK] == 0 ? TEST_SKIPPED : TEST_OK;
}

static bool
wanted(const struct autotest *t, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "all") == 0 || strcmp(argv[i], t->name) == 0)
			return true;
	return false;
}

static bool
known(const char *name)
{
	for (const struct autotest *t = tests; t != NULL; t = t->next)
		if (strcmp(t->name, name) == 0)
			return true;
	return strcmp(name, "all") == 0;
}

static void
usage(FILE *out)
{
	fputs("usage: weir-test            lists the autotests\n"
	      "       weir-test NAME...    runs them; `all` runs all\n"
	      "Exit code: 0 passed, 1 failed, 77 all skipped. WEIR_TEST_SEED repeats a\n"
	      "random test, WEIR_TEST_EAL has other arguments for EAL; files are in\n"
	      "TMPDIR, and go with the process.\n",
	      out);
}

int
main(int argc, char **argv)
{
	unsigned int run = 0, skipped = 0, failed = 0;
	int ret;

	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		usage(stdout);
		return EXIT_SUCCESS;
	}
	for (int i = 1; i < argc; i++) {
		if (!known(argv[i])) {
			fprintf(stderr,
				"weir-test: no autotest '%s'; without arguments it lists "
				"them\n",
				argv[i]);
			return EXIT_FAILURE;
		}
	}
	ret = argc > 1 ? run_folder_make() : 0;
	if (ret != 0) {
		fprintf(stderr, "weir-test: no folder for files: %s\n",
			rte_strerror(-ret));
		return EXIT_FAILURE;
	}
	for (struct autotest *t = tests; t != NULL; t = t->next) {
		if (argc == 1)
			printf("%s\n", t->name);
		if (!wanted(t, argc, argv))
			continue;
		enum test_result r = autotest_run(t);

		run++;
		failed += r == TEST_FAILED;
		skipped += r == TEST_SKIPPED;
	}
	if (failed != 0)
		return EXIT_FAILURE;
	return run != 0 && run == skipped ? EXIT_SKIPPED : EXIT_SUCCESS;
}
