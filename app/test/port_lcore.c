/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "port_lcore.h"

#define BURST 32u

void
lcore_fill(uint8_t *buf, uint32_t nr)
{
	for (uint32_t i = 0; i < LCORE_LEN; i++)
		buf[i] = (uint8_t)(nr * 31 + i * 7);
}

bool
lcore_filled(const uint8_t *buf, uint32_t nr)
{
	uint8_t want[LCORE_LEN];

	lcore_fill(want, nr);
	return memcmp(buf, want, LCORE_LEN) == 0;
}

void
lcore_receive(struct port_lcore *l)
{
	struct rte_mbuf *pkts[BURST];
	uint16_t n = weir_port_rx_burst(l->rxq, pkts, BURST);

	for (uint16_t i = 0; i < n; i++) {
		uint32_t nr = atomic_load(&l->got);

		if (pkts[i]->pkt_len != LCORE_LEN ||
		    !lcore_filled(rte_pktmbuf_mtod(pkts[i], uint8_t *), nr))
			atomic_store(&l->spoilt, true);
		rte_pktmbuf_free(pkts[i]);
		atomic_store(&l->got, nr + 1);
	}
}

void
lcore_transmit(struct port_lcore *l)
{
	const uint32_t given = atomic_load(&l->given);
	struct rte_mbuf *m;

	if (given == atomic_load(&l->to_give)) {
		weir_port_tx_burst(l->txq, NULL, 0);
		return;
	}
	m = rte_pktmbuf_alloc(l->pool);
	if (m == NULL)
		return;
	lcore_fill((uint8_t *)rte_pktmbuf_append(m, LCORE_LEN), given);
	if (weir_port_tx_burst(l->txq, &m, 1) == 1)
		atomic_store(&l->given, given + 1);
	else
		rte_pktmbuf_free(m);
}

static void *
lcore_main(void *arg)
{
	struct port_lcore *l = arg;

	while (!atomic_load(&l->end)) {
		lcore_receive(l);
		lcore_transmit(l);
	}
	return NULL;
}

int
lcore_start(struct port_lcore *l)
{
	return pthread_create(&l->thread, NULL, lcore_main, l);
}

void
lcore_stop(struct port_lcore *l)
{
	atomic_store(&l->end, true);
	pthread_join(l->thread, NULL);
}
