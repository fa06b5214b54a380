/* SPDX-License-Identifier: BSD-3-Clause */
/* What dma_weir makes of addresses: every job against what it may touch. */
#include <errno.h>
#include <string.h>

#include "dma_bench.h"
#include "test.h"

#define RW (WEIR_PROT_READ | WEIR_PROT_WRITE)
#define P BENCH_PAGE
#define IOVA dma_bench_iova

static void
fill_memory(struct dma_bench *b)
{
	for (uint64_t i = 0; i < BENCH_PAGES * P; i++)
		b->mem[i] = (uint8_t)(i * 7 + i / P);
}

/* Open one with pages [0, nr) mapped to themselves and all memory written. */
static int
open_plain(struct dma_bench *b, const char *args, unsigned int nr)
{
	int ret = dma_bench_open(b, args, 1);

	if (ret != 0)
		return ret;
	fill_memory(b);
	return dma_bench_map(b, 0, 0, nr, RW);
}

static enum test_result
dma_copy_mapped_copied(void)
{
	struct dma_bench b;

	TEST_EQ(open_plain(&b, "", 8), 0);
	TEST_EQ(dma_bench_copy(&b, IOVA(3), IOVA(5 * P - 50), 99),
		RTE_DMA_STATUS_SUCCESSFUL);
	TEST_EQ(memcmp(b.mem + 3, b.mem + 5 * P - 50, 99), 0);
	TEST_EQ(b.mem[5 * P + 49], (uint8_t)((5 * P + 49) * 7 + 5));
	/* overlapping: as if the source were read first */
	TEST_EQ(dma_bench_copy(&b, IOVA(100), IOVA(101), 50), RTE_DMA_STATUS_SUCCESSFUL);
	for (unsigned int i = 0; i < 50; i++)
		TEST_EQ(b.mem[101 + i], (uint8_t)((100 + i) * 7));
	dma_bench_close(&b);
	return TEST_OK;
}

static enum test_result
dma_copy_unmapped_faults(void)
{
	static const struct {
		uint64_t src, dst;
		uint32_t len;
		int status;
	} bad[] = {
		{ 9 * P, 0, 1, RTE_DMA_STATUS_INVALID_SRC_ADDR },
		{ 0, 9 * P, 1, RTE_DMA_STATUS_INVALID_DST_ADDR },
		/* the first page is there, the last is not */
		{ 7 * P, 0, 2 * P, RTE_DMA_STATUS_INVALID_SRC_ADDR },
		{ 0, 7 * P, 2 * P, RTE_DMA_STATUS_INVALID_DST_ADDR },
		{ 0, 8 * P - 1, 2, RTE_DMA_STATUS_INVALID_DST_ADDR },
	};
	struct dma_bench b;
	uint8_t before[BENCH_PAGES * P];
	uint64_t faults;

	TEST_EQ(open_plain(&b, "", 8), 0);
	memcpy(before, b.mem, sizeof(before));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		faults = weir_sim_faults(weir_space_sim(b.space));
		TEST_EQ(dma_bench_copy(&b, IOVA(bad[i].src), IOVA(bad[i].dst),
				       bad[i].len),
			bad[i].status);
		TEST_EQ(weir_sim_faults(weir_space_sim(b.space)), faults + 1);
		TEST_EQ(memcmp(before, b.mem, sizeof(before)), 0);
	}
	dma_bench_close(&b);
	return TEST_OK;
}

static enum test_result
dma_copy_without_permission_faults(void)
{
	struct dma_bench b;

	TEST_EQ(dma_bench_open(&b, "", 1), 0);
	fill_memory(&b);
	TEST_EQ(dma_bench_map(&b, 0, 0, 1, WEIR_PROT_READ), 0);
	TEST_EQ(dma_bench_map(&b, 1, 1, 1, WEIR_PROT_WRITE), 0);
	TEST_EQ(dma_bench_copy(&b, IOVA(0), IOVA(P), 8), RTE_DMA_STATUS_SUCCESSFUL);
	TEST_EQ(dma_bench_copy(&b, IOVA(0), IOVA(8), 8), RTE_DMA_STATUS_INVALID_DST_ADDR);
	TEST_EQ(dma_bench_copy(&b, IOVA(P), IOVA(P + 8), 8),
		RTE_DMA_STATUS_INVALID_SRC_ADDR);
	TEST_EQ(b.mem[8], (uint8_t)(8 * 7));
	dma_bench_close(&b);
	return TEST_OK;
}

static enum test_result
dma_copy_wrapping_or_empty_refused(void)
{
	struct dma_bench b;

	TEST_EQ(open_plain(&b, "", 8), 0);
	TEST_EQ(dma_bench_copy(&b, UINT64_MAX - 5, IOVA(0), 100),
		RTE_DMA_STATUS_INVALID_SRC_ADDR);
	TEST_EQ(dma_bench_copy(&b, IOVA(0), UINT64_MAX - 5, 100),
		RTE_DMA_STATUS_INVALID_DST_ADDR);
	TEST_EQ(dma_bench_copy(&b, 0, IOVA(0), 1), RTE_DMA_STATUS_INVALID_SRC_ADDR);
	TEST_EQ(dma_bench_copy(&b, IOVA(0), IOVA(P), 0), RTE_DMA_STATUS_INVALID_LENGTH);
	TEST_EQ(rte_dma_fill(b.id, 0, 1, UINT64_MAX - 5, 100, RTE_DMA_OP_FLAG_SUBMIT), 4);
	TEST_EQ(dma_bench_status(&b, 0), RTE_DMA_STATUS_INVALID_DST_ADDR);
	dma_bench_close(&b);
	return TEST_OK;
}

/* Iovas that go on where the memory does not: every other page, backwards. */
static int
map_scattered(struct dma_bench *b)
{
	int ret = 0;

	for (unsigned int i = 0; i < 8 && ret == 0; i++)
		ret = dma_bench_map(b, i, 14 - 2 * i, 1, RW);
	return ret;
}

static uint8_t *
scattered(struct dma_bench *b, uint64_t off)
{
	return b->mem + (14 - 2 * (off / P)) * P + off % P;
}

static enum test_result
dma_copy_scattered_memory_copied(void)
{
	struct dma_bench b;
	uint64_t rnd = test_seed();
	uint8_t model[8 * P];

	TEST_EQ(dma_bench_open(&b, "", 1), 0);
	TEST_EQ(map_scattered(&b), 0);
	fill_memory(&b);
	for (uint64_t i = 0; i < sizeof(model); i++)
		model[i] = *scattered(&b, i);
	for (unsigned int n = 0; n < 2000; n++) {
		uint32_t len = 1 + (uint32_t)(test_rand(&rnd) % (3 * P));
		uint64_t src = test_rand(&rnd) % (4 * P - len);
		uint64_t dst = 4 * P + test_rand(&rnd) % (4 * P - len);

		if (n % 2 != 0) {
			src += 4 * P;
			dst -= 4 * P;
		}
		TEST_EQ(dma_bench_copy(&b, IOVA(src), IOVA(dst), len),
			RTE_DMA_STATUS_SUCCESSFUL);
		memcpy(model + dst, model + src, len);
	}
	for (uint64_t i = 0; i < sizeof(model); i++)
		TEST_EQ(*scattered(&b, i), model[i]);
	dma_bench_close(&b);
	return TEST_OK;
}

static enum test_result
dma_fill_pattern_goes_on_over_pieces(void)
{
	const uint64_t pattern = UINT64_C(0xfedcba9876543210);
	struct dma_bench b;
	uint8_t bytes[8];

	memcpy(bytes, &pattern, sizeof(bytes));
	TEST_EQ(dma_bench_open(&b, "", 1), 0);
	TEST_EQ(map_scattered(&b), 0);
	for (uint64_t start = P - 13; start < P - 5; start++) {
		fill_memory(&b);
		TEST_ASSERT(rte_dma_fill(b.id, 0, pattern, IOVA(start), 2 * P,
					 RTE_DMA_OP_FLAG_SUBMIT) >= 0);
		TEST_EQ(dma_bench_status(&b, 0), RTE_DMA_STATUS_SUCCESSFUL);
		for (uint64_t i = 0; i < 2 * P; i++)
			TEST_EQ(*scattered(&b, start + i), bytes[i % 8]);
	}
	/* the last byte has no place: nothing of it is written */
	fill_memory(&b);
	TEST_ASSERT(rte_dma_fill(b.id, 0, pattern, IOVA(7 * P), P + 1,
				 RTE_DMA_OP_FLAG_SUBMIT) >= 0);
	TEST_EQ(dma_bench_status(&b, 0), RTE_DMA_STATUS_INVALID_DST_ADDR);
	TEST_EQ(*scattered(&b, 7 * P), 0);
	dma_bench_close(&b);
	return TEST_OK;
}

/* Cut @len bytes from @off on into at most @max entries, some of them empty. */
static uint16_t
cut_entries(struct rte_dma_sge *sge, uint16_t max, uint64_t off, uint32_t len,
	    uint64_t *rnd)
{
	uint16_t nr = 0;

	while (nr < max - 1 && len > 0 && test_rand(rnd) % 8 != 0) {
		sge[nr].addr = IOVA(off);
		sge[nr].length = (uint32_t)(test_rand(rnd) % (len + 1));
		off += sge[nr].length;
		len -= sge[nr++].length;
	}
	sge[nr] = (struct rte_dma_sge){ .addr = IOVA(off), .length = len };
	return (uint16_t)(nr + 1);
}

static enum test_result
dma_copy_sg_as_one_copy(void)
{
	struct rte_dma_sge src[32], dst[32];
	uint64_t rnd = test_seed();
	struct dma_bench b;
	uint8_t want[2 * P];

	TEST_EQ(dma_bench_open(&b, "", 1), 0);
	TEST_EQ(map_scattered(&b), 0);
	for (unsigned int n = 0; n < 2000; n++) {
		uint32_t len = 1 + (uint32_t)(test_rand(&rnd) % (2 * P));
		uint64_t from = test_rand(&rnd) % (2 * P);
		uint64_t to = 4 * P + test_rand(&rnd) % (2 * P);
		uint16_t nr_src = cut_entries(src, 32, from, len, &rnd);
		uint16_t nr_dst = cut_entries(dst, 32, to, len, &rnd);

		fill_memory(&b);
		for (uint32_t i = 0; i < len; i++)
			want[i] = *scattered(&b, from + i);
		TEST_ASSERT(rte_dma_copy_sg(b.id, 0, src, dst, nr_src, nr_dst,
					    RTE_DMA_OP_FLAG_SUBMIT) >= 0);
		TEST_EQ(dma_bench_status(&b, 0), RTE_DMA_STATUS_SUCCESSFUL);
		for (uint32_t i = 0; i < len; i++)
			TEST_EQ(*scattered(&b, to + i), want[i]);
	}
	dma_bench_close(&b);
	return TEST_OK;
}

static enum test_result
dma_copy_sg_malformed_refused(void)
{
	struct rte_dma_sge src[33] = { { .addr = IOVA(0), .length = 64 } };
	struct rte_dma_sge dst[33] = { { .addr = IOVA(P), .length = 63 } };
	struct dma_bench b;
	uint8_t before;

	TEST_EQ(open_plain(&b, "", 8), 0);
	before = b.mem[P];
	TEST_EQ(rte_dma_copy_sg(b.id, 0, src, dst, 1, 1, RTE_DMA_OP_FLAG_SUBMIT),
		-EINVAL);
	TEST_EQ(rte_dma_copy_sg(b.id, 0, src, dst, 33, 1, RTE_DMA_OP_FLAG_SUBMIT),
		-EINVAL);
	/* the last entry is bad: the first is not copied either */
	dst[1] = (struct rte_dma_sge){ .addr = IOVA(9 * P), .length = 1 };
	TEST_EQ(rte_dma_copy_sg(b.id, 0, src, dst, 1, 2, RTE_DMA_OP_FLAG_SUBMIT), 0);
	TEST_EQ(dma_bench_status(&b, 0), RTE_DMA_STATUS_INVALID_DST_ADDR);
	TEST_EQ(b.mem[P], before);
	dst[1].addr = IOVA(2 * P);
	src[1] = (struct rte_dma_sge){ .addr = UINT64_MAX, .length = 2 };
	dst[1].length = 3;
	TEST_EQ(rte_dma_copy_sg(b.id, 0, src, dst, 2, 2, RTE_DMA_OP_FLAG_SUBMIT), 1);
	TEST_EQ(dma_bench_status(&b, 0), RTE_DMA_STATUS_INVALID_SRC_ADDR);
	dma_bench_close(&b);
	return TEST_OK;
}

static const struct test_case dma_cases[] = {
	{ "dma_copy_mapped_copied", dma_copy_mapped_copied },
	{ "dma_copy_unmapped_faults", dma_copy_unmapped_faults },
	{ "dma_copy_without_permission_faults", dma_copy_without_permission_faults },
	{ "dma_copy_wrapping_or_empty_refused", dma_copy_wrapping_or_empty_refused },
	{ "dma_copy_scattered_memory_copied", dma_copy_scattered_memory_copied },
	{ "dma_fill_pattern_goes_on_over_pieces", dma_fill_pattern_goes_on_over_pieces },
	{ "dma_copy_sg_as_one_copy", dma_copy_sg_as_one_copy },
	{ "dma_copy_sg_malformed_refused", dma_copy_sg_malformed_refused },
};
AUTOTEST_EAL(dma_autotest, dma_cases);
