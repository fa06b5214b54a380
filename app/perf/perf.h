/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PERF_H
#define WEIR_PERF_H
/*
 * weir-perf: weir beside a peer, in one process and one run.
 *
 *     weir-perf COMMAND [--rounds N] [--json FILE] [command's own options]
 *
 * The machine's speed changes while a program runs, by more than what is to be
 * measured. So a command measures in many short rounds, in each of which both
 * sides have their turn, and the ratio of the two is taken round by round:
 * whatever lasts longer than a round is in both. A row of the report is the
 * medians of both sides, the median of the ratios and their quartiles.
 *
 * A command is a function in a file of its own, registered by PERF_COMMAND().
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct perf_report;

/** What main() has read from the command line. */
struct perf_args {
	unsigned int rounds; /**< 0: the command's own choice */
	int argc;	     /**< the rest: argv[0] is the command's name */
	char **argv;
};

struct perf_command {
	const char *name;
	const char *summary; /**< a line for the list of commands */
	const char *options; /**< its own ones, a line each; NULL: it has none */
	const char *usage;   /**< what comes behind its name; NULL: as of all */
	/** @return 0; 1: it ran, and what it says is not good, which it has printed;
	 * -ENOTSUP: cannot run here, the reason was printed; -EINVAL: its options are
	 * wrong, and are shown; -errno. */
	int (*run)(const struct perf_args *args, struct perf_report *report);
	struct perf_command *next;
};

void perf_command_register(struct perf_command *c);

#define PERF_COMMAND(nm, text, fn, ...)                                       \
	static struct perf_command perf_command_##nm = {                      \
		.name = #nm, .summary = text, .run = fn, ##__VA_ARGS__        \
	};                                                                    \
	__attribute__((constructor)) static void perf_command_ctor_##nm(void) \
	{                                                                     \
		perf_command_register(&perf_command_##nm);                    \
	}                                                                     \
	struct perf_command_semicolon_##nm

/**
 * Measured values of one row, a pair a round. The memory is the row's own.
 */
struct perf_row;

/**
 * Begin a row.
 *
 * @param name  What is measured, with its parameters: "enqueue split 64 B".
 * @param unit  Of both sides: "cycles/packet", "ns". The smaller is the better.
 * @return NULL: no memory.
 */
struct perf_row *perf_row(struct perf_report *r, const char *name, const char *unit);

/** Add a round. @return 0, -ENOMEM; -EINVAL: not a positive number. */
int perf_row_add(struct perf_row *row, double weir, double peer);

/* Medians and quartiles. */
struct perf_quartiles {
	double q1, median, q3;
};

/** Sorts @p v. @param n at least 1. */
struct perf_quartiles perf_quartiles(double *v, size_t n);

/** The value that a share of @p q, 0 to 1, does not exceed. Sorts @p v, at least one. */
double perf_quantile(double *v, size_t n, double q);

struct perf_report *perf_report_new(const char *command);
void perf_report_free(struct perf_report *r);

/** Print the rows that were not printed yet, those of a table that goes on. */
void perf_report_print(struct perf_report *r);

/**
 * A CPU's number, as a command's option has it: one that we may run on.
 *
 * @return 0; -EINVAL: it is none, which was said.
 */
int perf_cpu(const char *text, unsigned int *cpu);

/**
 * Whether rows that were chosen by a part of their names are there; says so if not.
 *
 * @param only  That part; NULL: all were chosen.
 * @return 0; -ENOENT.
 */
int perf_report_chosen(const struct perf_report *r, const char *only);

/** Write {command, rows: [{name, unit, weir, peer, ratio, spread}]}. @return 0, -errno.
 */
int perf_report_json(const struct perf_report *r, const char *path);

/** Cycles, ordered after what came before. */
static inline uint64_t
perf_cycles(void)
{
	uint32_t lo, hi, cpu;

	__asm__ volatile("rdtscp" : "=a"(lo), "=d"(hi), "=c"(cpu)::"memory");
	return (uint64_t)hi << 32 | lo;
}

#endif /* WEIR_PERF_H */
