/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include <rte_bus_vdev.h>
#include <rte_cycles.h>

#include "dma_bench.h"

#define NAME "dma_weir_bench"
#define TIMEOUT_S 10

static int
start(int16_t id, uint16_t nr_vchans)
{
	const struct rte_dma_conf conf = { .nb_vchans = nr_vchans };
	const struct rte_dma_vchan_conf vconf = {
		.direction = RTE_DMA_DIR_MEM_TO_MEM,
		.nb_desc = 64,
	};
	int ret = rte_dma_configure(id, &conf);

	for (uint16_t i = 0; i < nr_vchans && ret == 0; i++)
		ret = rte_dma_vchan_setup(id, i, &vconf);
	return ret == 0 ? rte_dma_start(id) : ret;
}

int
dma_bench_open(struct dma_bench *b, const char *args, uint16_t nr_vchans)
{
	int ret = weir_space_get(&b->space);

	if (ret != 0)
		return ret;
	b->mem = mmap(NULL, BENCH_PAGES * BENCH_PAGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (b->mem == MAP_FAILED) {
		ret = -errno;
		goto err_space;
	}
	ret = rte_vdev_init(NAME, args);
	if (ret != 0)
		goto err_memory;
	b->id = (int16_t)rte_dma_get_dev_id_by_name(NAME);
	ret = start(b->id, nr_vchans);
	if (ret != 0)
		goto err_device;
	return 0;

err_device:
	rte_vdev_uninit(NAME);
err_memory:
	munmap(b->mem, BENCH_PAGES * BENCH_PAGE);
err_space:
	weir_space_put(b->space);
	return ret;
}

void
dma_bench_close(struct dma_bench *b)
{
	rte_vdev_uninit(NAME);
	dma_bench_unmap(b, 0, BENCH_PAGES);
	munmap(b->mem, BENCH_PAGES * BENCH_PAGE);
	weir_space_put(b->space);
}

int
dma_bench_map(struct dma_bench *b, unsigned int to, unsigned int from, unsigned int nr,
	      uint32_t prot)
{
	struct weir_region r = {
		.hva = (uintptr_t)(b->mem + from * BENCH_PAGE),
		.prot = prot,
		.chunk = BENCH_PAGE,
	};

	weir_range_make(&r.iova, BENCH_IOVA + to * BENCH_PAGE, nr * BENCH_PAGE);
	return weir_mirror_map(weir_space_mirror(b->space), &r);
}

int
dma_bench_unmap(struct dma_bench *b, unsigned int to, unsigned int nr)
{
	struct weir_range r;
	int ret = 0;

	/* page by page: there may be holes */
	for (unsigned int i = to; i < to + nr; i++) {
		ret = weir_range_make(&r, BENCH_IOVA + i * BENCH_PAGE, BENCH_PAGE);
		if (ret == 0)
			ret = weir_mirror_unmap(weir_space_mirror(b->space), r);
	}
	return ret;
}

int
dma_bench_status(const struct dma_bench *b, uint16_t vchan)
{
	uint64_t end = rte_get_timer_cycles() + TIMEOUT_S * rte_get_timer_hz();
	enum rte_dma_status_code status;

	while (rte_dma_completed_status(b->id, vchan, 1, NULL, &status) == 0) {
		if (rte_get_timer_cycles() > end)
			return -ETIMEDOUT;
		sched_yield();
	}
	return (int)status;
}

int
dma_bench_copy(const struct dma_bench *b, uint64_t src, uint64_t dst, uint32_t len)
{
	int ret = rte_dma_copy(b->id, 0, src, dst, len, RTE_DMA_OP_FLAG_SUBMIT);

	return ret < 0 ? ret : dma_bench_status(b, 0);
}
