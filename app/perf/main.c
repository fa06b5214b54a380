/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "perf.h"

#include "weir_args.h"

#define EXIT_ERROR 2
#define EXIT_SKIPPED 77
#define MAX_ROUNDS 1000000

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

static void
command_usage(FILE *out, const struct perf_command *c)
{
	fprintf(out, "usage: weir-perf %s %s\n%s\n%s", c->name,
		c->usage != NULL     ? c->usage
		: c->options != NULL ? "[--rounds N] [--json FILE] [-- OPTIONS]"
				     : "[--rounds N] [--json FILE]",
		c->summary, c->options != NULL ? c->options : "");
}

static const struct perf_command *
command_find(const char *name)
{
	const struct perf_command *c = commands;

	while (c != NULL && strcmp(c->name, name) != 0)
		c = c->next;
	return c;
}

/* Whether a report can be written there, asked before it takes minutes to make it. */
static int
can_write(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), made;

	if (fd < 0 && errno == ENOENT) {
		made = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		if (made >= 0)
			unlink(path);
		fd = made;
	}
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static int
run(const struct perf_command *c, const struct perf_args *args, const char *json)
{
	struct perf_report *report;
	int ret = json != NULL ? can_write(json) : 0;

	if (ret != 0) {
		fprintf(stderr, "weir-perf %s: --json %s: %s\n", c->name, json,
			strerror(-ret));
		return EXIT_ERROR;
	}
	report = perf_report_new(c->name);
	ret = report == NULL ? -ENOMEM : c->run(args, report);
	if (ret == 0)
		perf_report_print(report);
	if (ret == 0 && json != NULL)
		ret = perf_report_json(report, json);
	if (ret < 0 && ret != -ENOTSUP)
		fprintf(stderr, "weir-perf %s: %s\n", c->name, strerror(-ret));
	if (ret == -EINVAL)
		command_usage(stderr, c);
	if (report != NULL)
		perf_report_free(report);
	if (ret == -ENOTSUP)
		return EXIT_SKIPPED;
	return ret < 0 ? EXIT_ERROR : ret;
}

/* Without a command: the list of them, which was asked for or not. */
static int
no_command(int argc, char **argv)
{
	bool asked = argc > 1 &&
		     (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);

	if (argc > 1 && !asked)
		fprintf(stderr, "weir-perf: there is no command '%s'\n", argv[1]);
	usage(asked ? stdout : stderr);
	return asked ? EXIT_SUCCESS : EXIT_ERROR;
}

int
perf_cpu(const char *text, unsigned int *cpu)
{
	cpu_set_t allowed;
	uint64_t v;

	if (weir_arg_number(text, 0, CPU_SETSIZE - 1, &v) != 0 ||
	    sched_getaffinity(0, sizeof(allowed), &allowed) != 0 ||
	    !CPU_ISSET(v, &allowed)) {
		fprintf(stderr, "weir-perf: --cpu %s: no CPU that may be used\n", text);
		return -EINVAL;
	}
	*cpu = (unsigned int)v;
	return 0;
}

static bool
rounds_read(const char *text, unsigned int *rounds)
{
	uint64_t v;

	if (weir_arg_number(text, 1, MAX_ROUNDS, &v) != 0) {
		fprintf(stderr, "weir-perf: --rounds %s: wants a number from 1 to %d\n",
			text, MAX_ROUNDS);
		return false;
	}
	*rounds = (unsigned int)v;
	return true;
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

	if (c == NULL)
		return no_command(argc, argv);
	argc--;
	argv++;
	while ((opt = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		switch (opt) {
		case 'r':
			if (!rounds_read(optarg, &args.rounds))
				return EXIT_ERROR;
			break;
		case 'j':
			json = optarg;
			break;
		default:
			command_usage(opt == 'h' ? stdout : stderr, c);
			return opt == 'h' ? EXIT_SUCCESS : EXIT_ERROR;
		}
	}
	/* what follows "--" is the command's, behind its name as argv[0] */
	args.argc = argc - optind + 1;
	args.argv = argv + optind - 1;
	args.argv[0] = (char *)(uintptr_t)c->name;
	if (args.argc > 1 && c->options == NULL && c->usage == NULL) {
		fprintf(stderr, "weir-perf %s: takes no '%s'\n", c->name, args.argv[1]);
		return EXIT_ERROR;
	}
	return run(c, &args, json);
}
