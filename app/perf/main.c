/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "perf.h"

#define EXIT_SKIPPED 77

static struct perf_command *commands;

void
perf_command_register(struct perf_command *c)
{
	struct perf_command **p = &commands;

	while (*p != NULL && strcmp((*p)->name, c->name) < 0)
		p = &(*p)->next;
	c->next = *p;
	*p = c;
}

static void
usage(FILE *out)
{
	fputs("usage: weir-perf COMMAND [--rounds N] [--json FILE] [-- COMMAND'S "
	      "OPTIONS]\n",
	      out);
	for (const struct perf_command *c = commands; c != NULL; c = c->next)
		fprintf(out, "  %-10s %s\n", c->name, c->summary);
}

static const struct perf_command *
command_find(const char *name)
{
	const struct perf_command *c = commands;

	while (c != NULL && strcmp(c->name, name) != 0)
		c = c->next;
	return c;
}

static int
run(const struct perf_command *c, const struct perf_args *args, const char *json)
{
	struct perf_report *report = perf_report_new(c->name);
	int ret = report == NULL ? -ENOMEM : c->run(args, report);

	if (ret == 0)
		perf_report_print(report);
	if (ret == 0 && json != NULL)
		ret = perf_report_json(report, json);
	if (ret < 0 && ret != -ENOTSUP)
		fprintf(stderr, "weir-perf %s: %s\n", c->name, strerror(-ret));
	if (report != NULL)
		perf_report_free(report);
	if (ret == -ENOTSUP)
		return EXIT_SKIPPED;
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "rounds", required_argument, NULL, 'r' },
		{ "json", required_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const struct perf_command *c = argc > 1 ? command_find(argv[1]) : NULL;
	struct perf_args args = { 0 };
	const char *json = NULL;
	int opt;

	if (c == NULL) {
		usage(argc > 1 && strcmp(argv[1], "--help") == 0 ? stdout : stderr);
		return argc > 1 && strcmp(argv[1], "--help") == 0 ? EXIT_SUCCESS
								  : EXIT_FAILURE;
	}
	argc--;
	argv++;
	while ((opt = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		switch (opt) {
		case 'r':
			args.rounds = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'j':
			json = optarg;
			break;
		default:
			usage(opt == 'h' ? stdout : stderr);
			return opt == 'h' ? EXIT_SUCCESS : EXIT_FAILURE;
		}
	}
	/* what follows "--" is the command's, behind its name as argv[0] */
	args.argc = argc - optind + 1;
	args.argv = argv + optind - 1;
	args.argv[0] = (char *)(uintptr_t)c->name;
	return run(c, &args, json);
}
