/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "fake_dma.h"

struct job {
	struct rte_dma_sge src[FAKE_DMA_SGES], dst[FAKE_DMA_SGES];
	uint16_t nr;
};

struct vchan {
	struct job ring[FAKE_DMA_RING];
	uint16_t head, bell, tail;
};

static struct fake_dma fake;
static struct vchan vchans[FAKE_DMA_VCHANS];

static int
fake_copy_sg(void *priv, uint16_t v, const struct rte_dma_sge *src,
	     const struct rte_dma_sge *dst, uint16_t nr, uint16_t nr_dst, uint64_t flags)
{
	struct vchan *vc = &vchans[v];
	struct job *j = &vc->ring[vc->head % FAKE_DMA_RING];

	(void)priv;
	(void)nr_dst;
	fake.calls += !fake.stub.running;
	if ((uint16_t)(vc->head - vc->tail) == FAKE_DMA_RING)
		return -ENOSPC;
	memcpy(j->src, src, nr * sizeof(*src));
	memcpy(j->dst, dst, nr * sizeof(*dst));
	j->nr = nr;
	fake.jobs++;
	vc->head++;
	if ((flags & RTE_DMA_OP_FLAG_SUBMIT) != 0)
		vc->bell = vc->head;
	return (uint16_t)(vc->head - 1);
}

static int
fake_copy(void *priv, uint16_t v, rte_iova_t src, rte_iova_t dst, uint32_t len,
	  uint64_t flags)
{
	const struct rte_dma_sge s = { src, len }, d = { dst, len };

	return fake_copy_sg(priv, v, &s, &d, 1, 1, flags);
}

static int
fake_submit(void *priv, uint16_t v)
{
	(void)priv;
	fake.calls += !fake.stub.running;
	vchans[v].bell = vchans[v].head;
	return 0;
}

/* Make the next copy, if it is allowed. */
static bool
fake_step(struct vchan *vc)
{
	const struct job *j = &vc->ring[vc->tail % FAKE_DMA_RING];

	if (vc->tail == vc->bell || fake.credit == 0)
		return false;
	fake.credit--;
	for (uint16_t i = 0; i < j->nr && !fake.fails && !fake.wrong; i++)
		memcpy((void *)(uintptr_t)j->dst[i].addr,
		       (const void *)(uintptr_t)j->src[i].addr, j->src[i].length);
	vc->tail++;
	return true;
}

static uint16_t
fake_completed(void *priv, uint16_t v, uint16_t max, uint16_t *last, bool *error)
{
	struct vchan *vc = &vchans[v];
	uint16_t n = 0;

	(void)priv;
	fake.calls += !fake.stub.running;
	*error = fake.fails && vc->tail != vc->bell && fake.credit != 0;
	while (!*error && n < max && fake_step(vc))
		n++;
	*last = (uint16_t)(vc->tail - 1);
	return n;
}

static uint16_t
fake_completed_status(void *priv, uint16_t v, uint16_t max, uint16_t *last,
		      enum rte_dma_status_code *status)
{
	struct vchan *vc = &vchans[v];
	uint16_t n = 0;

	(void)priv;
	fake.calls += !fake.stub.running;
	while (n < max && fake_step(vc))
		status[n++] =
			fake.fails ? RTE_DMA_STATUS_BUS_ERROR : RTE_DMA_STATUS_SUCCESSFUL;
	*last = (uint16_t)(vc->tail - 1);
	return n;
}

static void
fake_configured(void *priv)
{
	(void)priv;
	memset(vchans, 0, sizeof(vchans));
}

static const struct rte_dma_fp_object fake_fp = {
	.copy = fake_copy,
	.copy_sg = fake_copy_sg,
	.submit = fake_submit,
	.completed = fake_completed,
	.completed_status = fake_completed_status,
};

struct fake_dma *
fake_dma_plug(void)
{
	int16_t id;

	fake = (struct fake_dma){
		.credit = UINT64_MAX,
		.stub = {
			.name = FAKE_DMA_NAME,
			.info = {
				.dev_capa = RTE_DMA_CAPA_MEM_TO_MEM |
					    RTE_DMA_CAPA_OPS_COPY,
				.max_sges = FAKE_DMA_SGES,
				.max_vchans = FAKE_DMA_VCHANS,
				.max_desc = FAKE_DMA_RING,
				.min_desc = FAKE_DMA_RING,
			},
			.fp = &fake_fp,
			.configured = fake_configured,
		},
	};
	return stub_dma_plug(&fake.stub, &id) == 0 ? &fake : NULL;
}

void
fake_dma_unplug(void)
{
	stub_dma_unplug(&fake.stub);
}
