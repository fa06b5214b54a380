/* SPDX-License-Identifier: BSD-3-Clause */
/* dma_weir while others change what it may touch. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "dma_bench.h"
#include "test.h"

#define RW (WEIR_PROT_READ | WEIR_PROT_WRITE)
#define P BENCH_PAGE
#define IOVA dma_bench_iova
#define SUBMIT RTE_DMA_OP_FLAG_SUBMIT
#define NR_JOBS 8
#define ROUNDS 200
#define BIG_LEN (UINT64_C(512) << 10)
#define BIG_IOVA (BENCH_IOVA << 1)

static struct weir_region
big_region(uint8_t *mem, unsigned int half)
{
	struct weir_region r = { .hva = (uintptr_t)mem + half * BIG_LEN, .prot = RW };

	weir_range_make(&r.iova, BIG_IOVA + half * BIG_LEN, BIG_LEN);
	return r;
}

/*
 * The second half of the memory is mapped, copied to, and unmapped at once.
 * From then on it is ours: whatever the engine still has to do, or was doing,
 * it may not write there. The copies are long, so that it mostly was.
 */
static enum test_result
unmap_under_copies(struct dma_bench *b, uint8_t *mem, uint8_t *own)
{
	struct weir_mirror *m = weir_space_mirror(b->space);
	const struct weir_region src = big_region(mem, 0), dst = big_region(mem, 1);
	unsigned int ok = 0, faults = 0;
	int status;

	memset(mem, 0xaa, BIG_LEN);
	memset(own, 0x55, BIG_LEN);
	TEST_EQ(weir_mirror_map(m, &src), 0);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		TEST_EQ(weir_mirror_map(m, &dst), 0);
		for (unsigned int i = 0; i < NR_JOBS; i++)
			rte_dma_copy(b->id, 0, src.iova.start, dst.iova.start, BIG_LEN,
				     SUBMIT);
		if (round % 2 == 0) {
			TEST_EQ(dma_bench_status(b, 0), RTE_DMA_STATUS_SUCCESSFUL);
			ok++;
		}
		TEST_EQ(weir_mirror_unmap(m, dst.iova), 0);
		memset(mem + BIG_LEN, 0x55, BIG_LEN);
		for (unsigned int i = round % 2 == 0; i < NR_JOBS; i++) {
			status = dma_bench_status(b, 0);
			ok += status == RTE_DMA_STATUS_SUCCESSFUL;
			faults += status == RTE_DMA_STATUS_INVALID_DST_ADDR;
		}
		TEST_EQ(memcmp(mem + BIG_LEN, own, BIG_LEN), 0);
	}
	TEST_EQ(ok + faults, ROUNDS * NR_JOBS);
	TEST_ASSERT(ok > 0 && faults > 0);
	TEST_EQ(weir_mirror_unmap(m, src.iova), 0);
	return TEST_OK;
}

static enum test_result
run_unmap_under_copies(const char *args)
{
	struct dma_bench b;
	enum test_result ret;
	uint8_t *mem, *own;

	TEST_EQ(dma_bench_open(&b, args, 1), 0);
	mem = aligned_alloc(BENCH_PAGE, 2 * BIG_LEN);
	own = malloc(BIG_LEN);
	ret = mem == NULL || own == NULL ? TEST_FAILED : unmap_under_copies(&b, mem, own);
	dma_bench_close(&b);
	free(own);
	free(mem);
	return ret;
}

static enum test_result
dma_thread_writes_nothing_after_unmap(void)
{
	return run_unmap_under_copies("mode=thread");
}

static enum test_result
dma_late_thread_writes_nothing_after_unmap(void)
{
	return run_unmap_under_copies("mode=thread,delay_us=20,reorder=1");
}

struct user {
	struct dma_bench *b;
	uint16_t vchan;
	_Atomic unsigned int ok, faults;
	_Atomic bool *stop;
};

/* One lcore's work: copies within its own page, and one into page 8. */
static void *
use_vchan(void *arg)
{
	struct user *u = arg;
	uint64_t own = u->vchan * P;
	int status;

	while (!atomic_load(u->stop)) {
		rte_dma_copy(u->b->id, u->vchan, IOVA(own), IOVA(own + P / 2), P / 2, 0);
		rte_dma_copy(u->b->id, u->vchan, IOVA(own), IOVA(8 * P + own), 64,
			     SUBMIT);
		u->ok += dma_bench_status(u->b, u->vchan) == RTE_DMA_STATUS_SUCCESSFUL;
		status = dma_bench_status(u->b, u->vchan);
		u->ok += status == RTE_DMA_STATUS_SUCCESSFUL;
		u->faults += status == RTE_DMA_STATUS_INVALID_DST_ADDR;
	}
	return NULL;
}

/* Two users with a vchan each, and a third thread that maps and unmaps. */
static enum test_result
dma_vchans_used_at_once(void)
{
	_Atomic bool stop = false;
	struct user u[2];
	pthread_t thread[2];
	struct dma_bench b;
	unsigned int rounds = 0;

	TEST_EQ(dma_bench_open(&b, "", 2), 0);
	TEST_EQ(dma_bench_map(&b, 0, 0, 2, RW), 0);
	for (uint16_t i = 0; i < 2; i++) {
		u[i] = (struct user){ .b = &b, .vchan = i, .stop = &stop };
		TEST_EQ(pthread_create(&thread[i], NULL, use_vchan, &u[i]), 0);
	}
	/* until both were seen at work, however the threads are scheduled */
	for (; rounds < 500 || u[0].ok < 100 || u[1].ok < 100; rounds++) {
		if (dma_bench_map(&b, 8, 8, 2, RW) != 0 || dma_bench_unmap(&b, 8, 2) != 0)
			break;
		/* nobody writes to what is not mapped: this would be a race */
		memset(b.mem + 8 * P, 0, 2 * P);
		sched_yield();
	}
	atomic_store(&stop, true);
	for (uint16_t i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	TEST_ASSERT(rounds >= 500 && u[0].ok >= 100 && u[1].ok >= 100);
	dma_bench_close(&b);
	return TEST_OK;
}

static const struct test_case dma_threads_cases[] = {
	{ "dma_thread_writes_nothing_after_unmap",
	  dma_thread_writes_nothing_after_unmap },
	{ "dma_late_thread_writes_nothing_after_unmap",
	  dma_late_thread_writes_nothing_after_unmap },
	{ "dma_vchans_used_at_once", dma_vchans_used_at_once },
};
AUTOTEST_EAL(dma_threads_autotest, dma_threads_cases);
