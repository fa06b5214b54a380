/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Translation of guest addresses: weir_gmem_translate() beside a search of the
 * regions from the first to the last, which is what vhost libraries of 8 regions do.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "perf.h"
#include "weir_gmem.h"

#define PAGE 4096u
#define LOOKUPS 8192u
#define ROUNDS 200u

/* A region as the peer has it. */
struct peer_region {
	uint64_t gpa, len, hva;
};

struct bench {
	struct weir_gmem *g;
	struct peer_region *peer;
	uint64_t gpa[LOOKUPS];
};

static uint64_t sink; /* so that no lookup is optimised away */

static double
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void
bench_free(struct bench *b)
{
	weir_gmem_put(b->g);
	free(b->peer);
	free(b);
}

/* Slots of 16 pages with holes between them, all of the same file. */
static int
table_make(struct bench *b, uint32_t nr)
{
	struct weir_gmem_region *r = calloc(nr, sizeof(*r));
	int *fds = calloc(nr, sizeof(*fds));
	int fd = memfd_create("weir-perf", MFD_CLOEXEC), ret = -ENOMEM;
	uint32_t bad;

	b->peer = calloc(nr, sizeof(*b->peer));
	if (r == NULL || fds == NULL || b->peer == NULL)
		goto out;
	ret = fd < 0 || ftruncate(fd, 16 * PAGE) != 0 ? -errno : 0;
	for (uint64_t i = 0; i < nr; i++) {
		r[i] = (struct weir_gmem_region){ i * 32 * PAGE, 16 * PAGE,
						  (i + 1) * 32 * PAGE, 0 };
		fds[i] = fd;
	}
	if (ret == 0)
		ret = weir_gmem_replace(&weir_gmem_empty, r, fds, nr, &b->g, &bad);
	for (uint32_t i = 0; i < nr && ret == 0; i++)
		b->peer[i] = (struct peer_region){ b->g->slot[i].gpa.start, 16 * PAGE,
						   b->g->slot[i].hva };
out:
	free(r);
	free(fds);
	if (fd >= 0)
		close(fd);
	return ret;
}

static int
bench_new(struct bench **out, uint32_t nr, bool random)
{
	struct bench *b = calloc(1, sizeof(*b));
	uint64_t rnd = 0x9e3779b97f4a7c15;
	int ret = b == NULL ? -ENOMEM : table_make(b, nr);

	if (ret != 0) {
		if (b != NULL)
			bench_free(b);
		return ret;
	}
	for (uint32_t i = 0; i < LOOKUPS; i++) {
		uint64_t slot = nr / 2;

		rnd = rnd * UINT64_C(6364136223846793005) + 1442695040888963407;
		if (random)
			slot = (rnd >> 33) % nr;
		b->gpa[i] = slot * 32 * PAGE + (rnd >> 20) % (15 * PAGE);
	}
	*out = b;
	return 0;
}

static __attribute__((noinline)) void
run_weir(const struct bench *b)
{
	uint64_t sum = 0, iova = 0;
	uint32_t hint = 0;

	for (uint32_t i = 0; i < LOOKUPS; i++) {
		uint64_t len = 1500;

		sum += (uintptr_t)weir_gmem_translate(
			b->g, (struct weir_gpa){ b->gpa[i] }, &len, &iova, &hint);
		sum += len + iova;
	}
	sink += sum;
}

static __attribute__((noinline)) void
run_peer(const struct bench *b)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < LOOKUPS; i++) {
		uint64_t gpa = b->gpa[i], len = 1500, hva = 0;

		for (uint32_t k = 0; k < b->g->nr_slots; k++) {
			const struct peer_region *r = &b->peer[k];

			if (gpa < r->gpa || gpa >= r->gpa + r->len)
				continue;
			if (len > r->gpa + r->len - gpa)
				len = r->gpa + r->len - gpa;
			hva = gpa - r->gpa + r->hva;
			break;
		}
		sum += hva + len;
	}
	sink += sum;
}

static int
row_run(struct perf_report *report, const struct perf_args *args, uint32_t nr,
	bool random)
{
	unsigned int rounds = args->rounds != 0 ? args->rounds : ROUNDS;
	struct perf_row *row;
	struct bench *b;
	char name[64];
	int ret = bench_new(&b, nr, random);

	if (ret != 0)
		return ret;
	snprintf(name, sizeof(name), "translate %s in %u slots",
		 random ? "at random" : "at the hint", nr);
	row = perf_row(report, name, "ns");
	ret = row != NULL ? 0 : -ENOMEM;
	for (unsigned int i = 0; i < rounds && ret == 0; i++) {
		double begin = now_ns(), middle, end;

		run_weir(b);
		middle = now_ns();
		run_peer(b);
		end = now_ns();
		ret = perf_row_add(row, (middle - begin) / LOOKUPS,
				   (end - middle) / LOOKUPS);
	}
	bench_free(b);
	return ret;
}

static int
run(const struct perf_args *args, struct perf_report *report)
{
	static const uint32_t sizes[] = { 1, 8, 64, 509 };
	int ret = 0;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && ret == 0; i++) {
		ret = row_run(report, args, sizes[i], false);
		if (ret == 0 && sizes[i] > 1)
			ret = row_run(report, args, sizes[i], true);
	}
	return ret;
}

PERF_COMMAND(gmem, "guest addresses: a table of slots beside a linear search", run);
