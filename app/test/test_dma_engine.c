/* SPDX-License-Identifier: BSD-3-Clause */
/* When and in which order dma_weir does its jobs, and how it reports them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

#include "dma_bench.h"
#include "test.h"
#include "weir_fail.h"

#define RW (WEIR_PROT_READ | WEIR_PROT_WRITE)
#define P BENCH_PAGE
#define IOVA dma_bench_iova
#define RING 64
#define SUBMIT RTE_DMA_OP_FLAG_SUBMIT
#define FENCE RTE_DMA_OP_FLAG_FENCE

static int
open_mapped(struct dma_bench *b, const char *args, uint16_t nr_vchans)
{
	int ret = dma_bench_open(b, args, nr_vchans);

	return ret == 0 ? dma_bench_map(b, 0, 0, BENCH_PAGES, RW) : ret;
}

/* A copy of one byte, not submitted. */
static int
enqueue(const struct dma_bench *b, uint64_t src, uint64_t dst, uint64_t flags)
{
	return rte_dma_copy(b->id, 0, IOVA(src), IOVA(dst), 1, flags);
}

static int
enqueue_bad(const struct dma_bench *b, uint64_t flags)
{
	return rte_dma_copy(b->id, 0, 0, IOVA(0), 1, flags);
}

static enum test_result
dma_ring_full_refused(void)
{
	struct dma_bench b;
	uint16_t last = 0;
	bool error;

	TEST_EQ(open_mapped(&b, "", 1), 0);
	/* twice around the indexes */
	for (unsigned int n = 0; n < 2 * 65536; n += RING) {
		for (unsigned int i = 0; i < RING; i++) {
			TEST_EQ(rte_dma_burst_capacity(b.id, 0), RING - i);
			TEST_EQ(enqueue(&b, 0, 1, 0), (uint16_t)(n + i));
		}
		TEST_EQ(rte_dma_burst_capacity(b.id, 0), 0);
		TEST_EQ(enqueue(&b, 0, 1, SUBMIT), -ENOSPC);
		TEST_EQ(rte_dma_completed(b.id, 0, RING, &last, &error), 0);
		TEST_EQ(last, (uint16_t)(n - 1));
		TEST_EQ(rte_dma_submit(b.id, 0), 0);
		TEST_EQ(rte_dma_completed(b.id, 0, RING, &last, &error), RING);
		TEST_EQ(last, (uint16_t)(n + RING - 1));
		TEST_ASSERT(!error);
	}
	dma_bench_close(&b);
	return TEST_OK;
}

/* Jobs that fail here and there, reported by either call, against a list. */
static enum test_result
dma_reports_at_random_as_the_model(void)
{
	bool bad[RING * 4], error;
	uint64_t rnd = test_seed(), nr_bad = 0;
	unsigned int head = 0, tail = 0;
	enum rte_dma_status_code status[RING];
	struct rte_dma_stats stats;
	struct dma_bench b;
	uint16_t last, n;

	TEST_EQ(open_mapped(&b, "", 1), 0);
	for (unsigned int i = 0; i < 20000; i++) {
		for (n = (uint16_t)(test_rand(&rnd) % 8); n > 0 && head - tail < RING;
		     n--) {
			bool *is_bad = &bad[head++ % (RING * 4)];

			*is_bad = test_rand(&rnd) % 6 == 0;
			nr_bad += *is_bad;
			TEST_ASSERT((*is_bad ? enqueue_bad(&b, 0)
					     : enqueue(&b, 0, 1, 0)) >= 0);
		}
		rte_dma_submit(b.id, 0);
		n = (uint16_t)(1 + test_rand(&rnd) % 8);
		if (test_rand(&rnd) % 2 == 0) {
			n = rte_dma_completed_status(b.id, 0, n, &last, status);
			for (unsigned int j = 0; j < n; j++)
				TEST_EQ(status[j] != RTE_DMA_STATUS_SUCCESSFUL,
					bad[(tail + j) % (RING * 4)]);
			TEST_ASSERT(n != 0 || head == tail);
		} else {
			n = rte_dma_completed(b.id, 0, n, &last, &error);
			for (unsigned int j = 0; j < n; j++)
				TEST_ASSERT(!bad[(tail + j) % (RING * 4)]);
			if (error)
				TEST_ASSERT(bad[(tail + n) % (RING * 4)]);
			TEST_ASSERT(n != 0 || error || head == tail);
		}
		tail += n;
		TEST_EQ(last, (uint16_t)(tail - 1));
	}
	while (tail != head)
		tail += rte_dma_completed_status(b.id, 0, RING, NULL, status);
	TEST_EQ(rte_dma_stats_get(b.id, 0, &stats), 0);
	TEST_EQ(stats.submitted, head);
	TEST_EQ(stats.completed, head);
	TEST_EQ(stats.errors, nr_bad);
	dma_bench_close(&b);
	return TEST_OK;
}

static enum test_result
dma_fence_after_failure_skips_the_batch(void)
{
	static const int want[] = {
		RTE_DMA_STATUS_SUCCESSFUL,    RTE_DMA_STATUS_INVALID_SRC_ADDR,
		RTE_DMA_STATUS_SUCCESSFUL,    RTE_DMA_STATUS_NOT_ATTEMPTED,
		RTE_DMA_STATUS_NOT_ATTEMPTED, RTE_DMA_STATUS_SUCCESSFUL,
		RTE_DMA_STATUS_SUCCESSFUL
	};
	enum rte_dma_status_code status[7];
	struct dma_bench b;

	TEST_EQ(open_mapped(&b, "", 1), 0);
	memcpy(b.mem, "0123456789", 10);
	enqueue(&b, 0, 1, 0);
	enqueue_bad(&b, 0);
	enqueue(&b, 0, 2, 0);
	enqueue(&b, 0, 3, FENCE);
	enqueue(&b, 0, 4, 0);
	rte_dma_submit(b.id, 0);
	/* another batch, whose fence has nothing to fear */
	enqueue(&b, 0, 5, 0);
	enqueue(&b, 0, 6, FENCE | SUBMIT);
	TEST_EQ(rte_dma_completed_status(b.id, 0, 7, NULL, status), 7);
	for (unsigned int i = 0; i < 7; i++)
		TEST_EQ(status[i], want[i]);
	TEST_EQ(memcmp(b.mem, "0003400789", 10), 0);
	dma_bench_close(&b);
	return TEST_OK;
}

static enum test_result
dma_reorder_turns_jobs_between_fences(void)
{
	struct dma_bench b;

	TEST_EQ(open_mapped(&b, "reorder=1", 1), 0);
	/* a chain of copies moves one step a round when it runs backwards */
	memcpy(b.mem, "abcd", 4);
	enqueue(&b, 0, 1, 0);
	enqueue(&b, 1, 2, 0);
	enqueue(&b, 2, 3, SUBMIT);
	TEST_EQ(memcmp(b.mem, "aabc", 4), 0);
	/* and the whole way when fences keep its order */
	memcpy(b.mem, "abcd", 4);
	enqueue(&b, 0, 1, 0);
	enqueue(&b, 1, 2, FENCE);
	enqueue(&b, 2, 3, FENCE | SUBMIT);
	TEST_EQ(memcmp(b.mem, "aaaa", 4), 0);
	/* reported in order all the same */
	for (unsigned int i = 0; i < 6; i++)
		TEST_EQ(dma_bench_status(&b, 0), RTE_DMA_STATUS_SUCCESSFUL);
	dma_bench_close(&b);
	return TEST_OK;
}

static enum test_result
dma_told_to_fail_fails_every_nth(void)
{
	struct dma_bench b;

	TEST_EQ(open_mapped(&b, "fail_nth=3", 1), 0);
	for (unsigned int i = 1; i <= 12; i++) {
		b.mem[1] = 0;
		b.mem[0] = (uint8_t)i;
		TEST_EQ(dma_bench_copy(&b, IOVA(0), IOVA(1), 1),
			i % 3 == 0 ? RTE_DMA_STATUS_BUS_ERROR
				   : RTE_DMA_STATUS_SUCCESSFUL);
		TEST_EQ(b.mem[1], i % 3 == 0 ? 0 : i);
	}
	dma_bench_close(&b);
	return TEST_OK;
}

/* What was not executed is reported as aborted, also after the stop. */
static enum test_result
check_aborted(struct dma_bench *b, unsigned int nr_done, unsigned int nr)
{
	enum rte_dma_status_code status[RING];

	TEST_EQ(rte_dma_stop(b->id), 0);
	TEST_EQ(rte_dma_completed_status(b->id, 0, RING, NULL, status), nr);
	for (unsigned int i = 0; i < nr; i++)
		TEST_EQ(status[i], i < nr_done ? RTE_DMA_STATUS_SUCCESSFUL
					       : RTE_DMA_STATUS_USER_ABORT);
	/* nothing more can be asked of it */
	TEST_EQ(enqueue(b, 0, 1, SUBMIT), -EINVAL);
	TEST_EQ(rte_dma_submit(b->id, 0), -EINVAL);
	TEST_EQ(rte_dma_burst_capacity(b->id, 0), 0);
	return TEST_OK;
}

static enum test_result
stalled_engine(const char *args)
{
	enum rte_dma_vchan_status status;
	struct dma_bench b;

	TEST_EQ(open_mapped(&b, args, 1), 0);
	memset(b.mem, 'a', 10);
	for (unsigned int round = 0; round < 2; round++) {
		memset(b.mem + 1, 0, 10);
		for (unsigned int i = 1; i <= 8; i++)
			enqueue(&b, 0, i, SUBMIT);
		enqueue(&b, 0, 9, 0);
		/* time for a worker to get that far, also on a busy machine; what it
		 * writes cannot be looked at before, that would be a race */
		rte_delay_us_sleep(300000);
		TEST_EQ(rte_dma_vchan_status(b.id, 0, &status), 0);
		TEST_EQ(status, RTE_DMA_VCHAN_ACTIVE);
		if (check_aborted(&b, 5, 9) != TEST_OK)
			return TEST_FAILED;
		TEST_EQ(memcmp(b.mem, "aaaaaa\0\0\0\0", 10), 0);
		/* started again it is as new: the next job is number 0 */
		TEST_EQ(rte_dma_start(b.id), 0);
		TEST_EQ(enqueue(&b, 0, 1, SUBMIT), 0);
		TEST_EQ(dma_bench_status(&b, 0), RTE_DMA_STATUS_SUCCESSFUL);
		TEST_EQ(rte_dma_stop(b.id), 0);
		TEST_EQ(rte_dma_start(b.id), 0);
	}
	dma_bench_close(&b);
	return TEST_OK;
}

static enum test_result
dma_stalled_in_line_stops_and_starts(void)
{
	return stalled_engine("stall_after=5");
}

static enum test_result
dma_stalled_in_thread_stops_and_starts(void)
{
	return stalled_engine("stall_after=5,mode=thread");
}

static enum test_result
late_engine(const char *args)
{
	struct dma_bench b;

	TEST_EQ(open_mapped(&b, args, 1), 0);
	memcpy(b.mem, "ab", 2);
	TEST_EQ(enqueue(&b, 0, 1, SUBMIT), 0);
	rte_delay_us_sleep(1000);
	TEST_EQ(rte_dma_completed(b.id, 0, 1, NULL, NULL), 0);
	TEST_EQ(memcmp(b.mem, "ab", 2), 0);
	if (check_aborted(&b, 0, 1) != TEST_OK)
		return TEST_FAILED;
	TEST_EQ(memcmp(b.mem, "ab", 2), 0);
	dma_bench_close(&b);
	return TEST_OK;
}

static enum test_result
dma_late_job_never_runs_after_stop(void)
{
	if (late_engine("delay_us=10000000") != TEST_OK)
		return TEST_FAILED;
	return late_engine("delay_us=10000000,mode=thread");
}

static enum test_result
dma_late_job_done_in_the_end(void)
{
	struct dma_bench b;

	TEST_EQ(open_mapped(&b, "delay_us=2000", 1), 0);
	memcpy(b.mem, "ab", 2);
	TEST_EQ(dma_bench_copy(&b, IOVA(0), IOVA(1), 1), RTE_DMA_STATUS_SUCCESSFUL);
	TEST_EQ(memcmp(b.mem, "aa", 2), 0);
	dma_bench_close(&b);
	return TEST_OK;
}

static enum test_result
dma_vchans_counted_apart(void)
{
	struct rte_dma_stats stats;
	struct dma_bench b;
	char *text = NULL;
	size_t len = 0;
	FILE *f;

	TEST_EQ(open_mapped(&b, "", 64), 0);
	for (uint16_t i = 0; i < 64; i++)
		for (uint16_t j = 0; j <= i; j++)
			TEST_ASSERT(rte_dma_copy(b.id, i, j == 0 ? 0 : IOVA(0), IOVA(1),
						 10, SUBMIT) >= 0);
	TEST_EQ(rte_dma_copy(b.id, 64, IOVA(0), IOVA(1), 10, SUBMIT), -EINVAL);
	for (uint16_t i = 0; i < 64; i++) {
		TEST_EQ(dma_bench_status(&b, i), RTE_DMA_STATUS_INVALID_SRC_ADDR);
		TEST_EQ(rte_dma_stats_get(b.id, i, &stats), 0);
		TEST_EQ(stats.submitted, i + 1);
		TEST_EQ(stats.completed, 1);
		TEST_EQ(stats.errors, 1);
	}
	TEST_EQ(rte_dma_stats_reset(b.id, 63), 0);
	TEST_EQ(rte_dma_stats_get(b.id, RTE_DMA_ALL_VCHAN, &stats), 0);
	TEST_EQ(stats.submitted, 63 * 64 / 2);
	TEST_EQ(stats.errors, 63);
	f = open_memstream(&text, &len);
	TEST_ASSERT(f != NULL);
	TEST_EQ(rte_dma_dump(b.id, f), 0);
	fclose(f);
	TEST_ASSERT(strstr(text,
			   "vchan 63: descriptors 64 submitted 64 executed 64 "
			   "completed 1 in_flight 63 errors 1 bytes 630 faults 1") !=
		    NULL);
	free(text);
	dma_bench_close(&b);
	return TEST_OK;
}

static enum test_result
dma_bad_arguments_refused(void)
{
	static const char *const bad[] = {
		"mode=both",	     "lcore=0",	    "mode=thread,lcore=x",
		"delay_us=10000001", "fail_nth=-1", "reorder=yes",
		"stall_after=",	     "speed=9",	    "mode=thread,lcore=1023",
	};
	struct dma_bench b;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (dma_bench_open(&b, bad[i], 1) == 0)
			printf("    took %s\n", bad[i]);
		else
			continue;
		dma_bench_close(&b);
		return TEST_FAILED;
	}
	TEST_EQ(rte_dma_count_avail(), 0);
	return TEST_OK;
}

/* Whichever allocation fails, nothing is left and the next try works. */
static enum test_result
dma_start_without_memory_undone(void)
{
	struct weir_space *hold;
	struct dma_bench b;
	unsigned int n;
	int ret = -1;

	/* the space's own allocations are another test's */
	TEST_EQ(weir_space_get(&hold), 0);
	for (n = 1; ret != 0; n++) {
		TEST_ASSERT(n < 100);
		weir_fail_arm(n);
		ret = dma_bench_open(&b, "delay_us=1", 2);
		TEST_ASSERT(ret == 0 || ret == -ENOMEM);
		if (ret != 0)
			TEST_EQ(rte_dma_count_avail(), 0);
	}
	weir_fail_arm(0);
	TEST_ASSERT(n > 7); /* the arguments, the vchans, three for each of them */
	dma_bench_close(&b);
	weir_space_put(hold);
	return TEST_OK;
}

static const struct test_case dma_engine_cases[] = {
	{ "dma_ring_full_refused", dma_ring_full_refused },
	{ "dma_reports_at_random_as_the_model", dma_reports_at_random_as_the_model },
	{ "dma_fence_after_failure_skips_the_batch",
	  dma_fence_after_failure_skips_the_batch },
	{ "dma_reorder_turns_jobs_between_fences",
	  dma_reorder_turns_jobs_between_fences },
	{ "dma_told_to_fail_fails_every_nth", dma_told_to_fail_fails_every_nth },
	{ "dma_stalled_in_line_stops_and_starts", dma_stalled_in_line_stops_and_starts },
	{ "dma_stalled_in_thread_stops_and_starts",
	  dma_stalled_in_thread_stops_and_starts },
	{ "dma_late_job_never_runs_after_stop", dma_late_job_never_runs_after_stop },
	{ "dma_late_job_done_in_the_end", dma_late_job_done_in_the_end },
	{ "dma_vchans_counted_apart", dma_vchans_counted_apart },
	{ "dma_bad_arguments_refused", dma_bad_arguments_refused },
	{ "dma_start_without_memory_undone", dma_start_without_memory_undone },
};
AUTOTEST_EAL(dma_engine_autotest, dma_engine_cases);
