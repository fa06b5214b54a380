/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include <rte_bus_vdev.h>

#include "port_bench.h"
#include "run_folder.h"
#include "weir_copy.h"
#include "weir_log.h"

uint64_t wanted = FE_SPLIT;

const uint16_t sizes[NR_SIZES] = { 60, 64, 65, 127, 512, 1514, 2036, 2037, 4096, 9000 };

struct rte_mempool *pool;
static char last_error[512];
static pthread_mutex_t last_error_lock = PTHREAD_MUTEX_INITIALIZER;
struct weir_port *_Atomic stop_when_told;

/* What is expected to go wrong is not shown, but looked at. */
static void
keep_errors(enum weir_log_level level, const char *msg)
{
	pthread_mutex_lock(&last_error_lock);
	if (level <= WEIR_LOG_WARN)
		snprintf(last_error, sizeof(last_error), "%s", msg);
	pthread_mutex_unlock(&last_error_lock);
}

bool
said(const char *words)
{
	bool found;

	pthread_mutex_lock(&last_error_lock);
	found = strstr(last_error, words) != NULL;
	if (!found)
		printf("    '%s' does not say '%s'\n", last_error, words);
	pthread_mutex_unlock(&last_error_lock);
	return found;
}

static void
told(void *arg, enum weir_port_event event)
{
	struct weir_port *p = atomic_load(&stop_when_told);

	(void)arg;
	atomic_store(&stop_when_told, NULL);
	if (event == WEIR_PORT_EV_QUEUE && p != NULL)
		weir_port_stop(p);
}

static int
open_with(struct bench *b, const char *dma, uint32_t threshold, bool postcopy)
{
	struct weir_port_conf conf = {
		.name = "w0",
		.path = b->path,
		.nr_pairs = 1,
		.dma_threshold = threshold,
		/* what could tempt it to use an engine where there is to be none */
		.dma_auto = postcopy,
		.postcopy = postcopy,
		.iommu = postcopy, /* such a guest can have one as well */
		.notify = told,
	};
	int ret = 0;

	*b = (struct bench){ 0 };
	run_folder_path(b->path, sizeof(b->path), "w0.sock");
	weir_log_set_sink(keep_errors);
	last_error[0] = '\0';
	if (pool == NULL)
		pool = rte_pktmbuf_pool_create("test_port", 4095, 0, 0,
					       RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	if (pool == NULL)
		return -ENOMEM;
	if (dma != NULL)
		ret = weir_space_get(&b->space);
	if (ret == 0 && dma != NULL)
		conf.mirror = weir_space_mirror(b->space);
	if (ret == 0)
		ret = weir_port_create(&conf, &b->port);
	if (ret == 0)
		ret = weir_port_rxq_setup(b->port, 0, pool, dma);
	if (ret == 0)
		ret = weir_port_txq_setup(b->port, 0, dma);
	if (ret == 0)
		ret = weir_port_start(b->port);
	b->rxq = weir_port_rxq(b->port, 0);
	b->txq = weir_port_txq(b->port, 0);
	return ret;
}

int
bench_open(struct bench *b, const char *dma, uint32_t threshold)
{
	return open_with(b, dma, threshold, false);
}

int
bench_open_postcopy(struct bench *b, const char *dma)
{
	return open_with(b, dma, 0, true);
}

unsigned int
bench_close(struct bench *b)
{
	weir_port_destroy(b->port);
	if (b->space != NULL)
		weir_space_put(b->space);
	weir_log_set_sink(NULL);
	return rte_mempool_in_use_count(pool);
}

bool
link_becomes(const struct bench *b, bool up)
{
	for (int i = 0; i < 5000; i++) {
		if (weir_port_link(b->port) == up)
			return true;
		usleep(1000);
	}
	return false;
}

/* Byte @p i of frame number @p nr. */
static uint8_t
pattern(uint32_t nr, size_t i)
{
	return (uint8_t)(nr * 31 + i * 7 + (i >> 8));
}

void
fill(uint8_t *buf, size_t len, uint32_t nr)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = pattern(nr, i);
}

bool
filled(const uint8_t *buf, size_t len, uint32_t nr)
{
	for (size_t i = 0; i < len; i++)
		if (buf[i] != pattern(nr, i))
			return false;
	return true;
}

struct rte_mbuf *
frame(size_t len, uint32_t nr)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool), *last = m;
	uint8_t buf[9000];
	size_t off = 0;

	fill(buf, len, nr);
	while (last != NULL) {
		size_t n = RTE_MIN(len - off, (size_t)rte_pktmbuf_tailroom(last));

		memcpy(rte_pktmbuf_mtod(last, void *), buf + off, n);
		last->data_len = (uint16_t)n;
		m->pkt_len += (uint32_t)n;
		off += n;
		if (off == len)
			break;
		last->next = rte_pktmbuf_alloc(pool);
		last = last->next;
		m->nb_segs++;
	}
	return m;
}

enum test_result
to_host(struct bench *b, struct fe *f, uint32_t rounds)
{
	uint8_t buf[9000], *flat;
	uint32_t sent = 0, got = 0;

	for (uint32_t idle = 0; got < rounds; idle++) {
		struct rte_mbuf *pkts[BURST];
		size_t len = sizes[sent % NR_SIZES];
		uint16_t n;

		len = RTE_MIN(len, (size_t)8000);
		fill(buf, len, sent);
		if (sent < rounds && fe_send(f, 0, buf, len, sent / 3 % 4))
			sent++;
		n = weir_port_rx_burst(b->rxq, pkts, BURST);
		for (uint16_t i = 0; i < n; i++, got++, idle = 0) {
			len = RTE_MIN(sizes[got % NR_SIZES], 8000);
			TEST_EQ(pkts[i]->pkt_len, len);
			flat = (uint8_t *)(uintptr_t)rte_pktmbuf_read(pkts[i], 0,
								      (uint32_t)len, buf);
			TEST_ASSERT(flat != NULL && filled(flat, len, got));
			rte_pktmbuf_free(pkts[i]);
		}
		fe_reap(f, 0);
		TEST_ASSERT(idle < 2000000);
	}
	return TEST_OK;
}

enum test_result
to_guest(struct bench *b, struct fe *f, uint32_t rounds)
{
	static uint8_t buf[65536];
	uint32_t sent = 0, got = 0;

	for (uint32_t idle = 0; got < rounds; idle++) {
		struct rte_mbuf *m;
		size_t len;

		fe_post(f, 0);
		if (sent < rounds) {
			m = frame(sizes[sent % NR_SIZES], sent);
			if (weir_port_tx_burst(b->txq, &m, 1) == 1)
				sent++;
			else
				rte_pktmbuf_free(m);
		} else {
			weir_port_tx_burst(b->txq, NULL, 0);
		}
		while ((len = fe_recv(f, 0, buf)) != 0) {
			TEST_EQ(len, sizes[got % NR_SIZES]);
			TEST_ASSERT(filled(buf, len, got));
			got++;
			idle = 0;
		}
		TEST_ASSERT(idle < 2000000);
	}
	return TEST_OK;
}

enum test_result bench_packed(enum test_result (*run)(void))
{
	enum test_result r;

	wanted = UINT64_MAX;
	r = run();
	wanted = FE_SPLIT;
	return r;
}

int
dma_open(const char *args)
{
	weir_copy_set_watchdog(0);
	return rte_vdev_init("dma_weir_test", args);
}

void
dma_close(void)
{
	rte_vdev_uninit("dma_weir_test");
	weir_copy_set_watchdog(500000);
}

int
dma_open_two(const char *first, const char *second)
{
	int ret = dma_open(first);

	if (ret != 0)
		return ret;
	ret = rte_vdev_init("dma_weir_other", second);
	if (ret != 0)
		dma_close();
	return ret;
}

void
dma_close_two(void)
{
	rte_vdev_uninit("dma_weir_other");
	dma_close();
}
