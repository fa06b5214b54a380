/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames in external buffers on a queue with an engine, whose pages follow each other
 * for us and not for the engine.
 */
#include <errno.h>
#include <string.h>

#include <rte_memory.h>

#include "queue_rig.h"
#include "test.h"

#define HDR RIG_HDR
#define ENGINE ((struct rig_conf){ .size = 16, .dma = true })

static struct rte_mempool *pool;
static struct rig rig;

/* A frame of one segment. */
static struct rte_mbuf *
frame(uint16_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	memset(rte_pktmbuf_append(m, len), 0x5a, len);
	return m;
}

static void
ext_nothing(void *addr, void *arg)
{
	(void)addr;
	(void)arg;
}

/* An mbuf whose buffer is scattered memory, from an offset on. */
static struct rte_mbuf *
ext_frame(uint8_t *mem, uint32_t off, uint16_t len, rte_iova_t iova)
{
	static struct rte_mbuf_ext_shared_info info = { .free_cb = ext_nothing };
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	rte_mbuf_ext_refcnt_set(&info, 1);
	rte_pktmbuf_attach_extbuf(m, mem + off, iova, len, &info);
	m->data_off = 0;
	m->data_len = len;
	m->pkt_len = len;
	for (uint32_t i = 0; i < len; i++)
		mem[off + i] = (uint8_t)(i * 7 + off);
	return m;
}

/* Frames that cross pages, alone and behind another segment; with an address that
 * holds to the end of the first page, and with none. */
static enum test_result
tx_external_buffer_is_cut_at_pages(void)
{
	static uint8_t got[5 * 2048];
	uint8_t *mem = rig_scatter();

	TEST_ASSERT(mem != NULL);
	for (unsigned int i = 0; i < 8; i++) {
		const uint32_t off = i % 2 != 0 ? 0x1000 : 0xe00;
		const uint16_t len = i % 2 != 0 ? 3000 : 9000;
		const uint16_t before = (i & 2) != 0 ? 60 : 0;
		const struct rte_memseg *ms = rte_mem_virt2memseg(mem + off, NULL);
		const rte_iova_t iova =
			(i & 4) != 0 ? RTE_BAD_IOVA : ms->iova + off % RIG_SCATTER_PAGE;
		struct rte_mbuf *m, *seg;

		TEST_EQ(rig_open(&rig, &pool, true, ENGINE), 0);
		for (uint16_t k = 0; k < 5; k++) {
			rig_desc(&rig, k, RIG_DATA + k * 2048u, 2048, VRING_DESC_F_WRITE,
				 0);
			rig_offer(&rig, k);
		}
		m = ext_frame(mem, off, len, iova);
		if (before != 0) {
			seg = m;
			m = frame(before);
			m->next = seg;
			m->nb_segs = 2;
			m->pkt_len += len;
		}
		TEST_EQ(queue_tx_burst(&rig.q, &m, 1), 1);
		/* five pieces for the guest; some are cut once more */
		TEST_ASSERT(rig.chan.submitted > (i % 2 != 0 ? 1 : 5));
		TEST_EQ(rig.q.stats.cpu_copies, 0);
		TEST_EQ(rig.q.vr.used->idx, i % 2 != 0 ? 2 : 5);
		memcpy(got, rig_mem(&rig, RIG_DATA, sizeof(got)), sizeof(got));
		for (uint32_t k = 0; k < before; k++)
			TEST_EQ(got[HDR + k], 0x5a);
		for (uint32_t k = 0; k < len; k++)
			TEST_EQ(got[HDR + before + k], (uint8_t)(k * 7 + off));
		TEST_EQ(rig_close(&rig, pool), 0);
	}
	return TEST_OK;
}

/* Memory that EAL does not know, and of which its owner knows no address: the CPU's. */
static enum test_result
tx_external_buffer_without_address_by_cpu(void)
{
	static uint8_t mem[1000];
	struct rte_mbuf *m;

	TEST_EQ(rig_open(&rig, &pool, true, ENGINE), 0);
	rig_desc(&rig, 0, RIG_DATA, 2000, VRING_DESC_F_WRITE, 0);
	rig_offer(&rig, 0);
	m = ext_frame(mem, 0, sizeof(mem), RTE_BAD_IOVA);
	TEST_EQ(queue_tx_burst(&rig.q, &m, 1), 1);
	TEST_EQ(rig.q.stats.cpu_copies, 1);
	TEST_EQ(rig.chan.submitted, 0);
	TEST_EQ(memcmp(rig_mem(&rig, RIG_DATA + HDR, 1000), mem, 1000), 0);
	TEST_EQ(rig_close(&rig, pool), 0);
	return TEST_OK;
}

/* A pool whose mbufs have their data in scattered memory. */
static enum test_result
rx_external_buffers_are_cut_at_pages(void)
{
	const uint16_t elt = 0xd00; /* so that one crosses */
	const struct rte_pktmbuf_extmem ext = {
		.buf_ptr = rig_scatter(),
		.buf_iova = rig_scatter() != NULL
				    ? rte_mem_virt2memseg(rig_scatter(), NULL)->iova
				    : 0,
		.buf_len = RIG_SCATTER_PAGES * RIG_SCATTER_PAGE,
		.elt_size = elt,
	};
	struct rig_conf conf = { .size = 16, .dma = true };
	struct rte_mbuf *m[16];

	TEST_ASSERT(ext.buf_ptr != NULL);
	conf.pool = rte_pktmbuf_pool_create_extbuf("test_queue_ext", 4, 0, 0, elt, 0,
						   &ext, 1);
	TEST_ASSERT(conf.pool != NULL);
	memset(&rig, 0, sizeof(rig));
	rig.q.hdr_len = HDR;
	TEST_EQ(rig_start(&rig, &conf), 0);
	for (uint16_t i = 0; i < 4; i++) {
		uint8_t bytes[HDR + 2900] = { 0 };

		for (uint32_t k = HDR; k < sizeof(bytes); k++)
			bytes[k] = (uint8_t)(k * 7 + i);
		rig_poke(&rig, RIG_DATA + i * 0xc00u, bytes, sizeof(bytes));
		rig_desc(&rig, i, RIG_DATA + i * 0xc00u, sizeof(bytes), 0, 0);
		rig_offer(&rig, i);
	}
	TEST_EQ(queue_rx_burst(&rig.q, m, 16), 4);
	TEST_ASSERT(rig.chan.submitted > 4);
	for (uint16_t i = 0; i < 4; i++) {
		TEST_EQ(m[i]->pkt_len, 2900);
		for (uint32_t k = 0; k < 2900; k++)
			TEST_EQ(rte_pktmbuf_mtod(m[i], uint8_t *)[k],
				(uint8_t)((HDR + k) * 7 + i));
		rte_pktmbuf_free(m[i]);
	}
	rig_stop(&rig);
	TEST_EQ(rte_mempool_in_use_count(conf.pool), 0);
	rte_mempool_free(conf.pool);
	return TEST_OK;
}

static const struct test_case queue_ext_cases[] = {
	{ "tx_external_buffer_is_cut_at_pages", tx_external_buffer_is_cut_at_pages },
	{ "tx_external_buffer_without_address_by_cpu",
	  tx_external_buffer_without_address_by_cpu },
	{ "rx_external_buffers_are_cut_at_pages", rx_external_buffers_are_cut_at_pages },
};
AUTOTEST_EAL(queue_ext_autotest, queue_ext_cases);
