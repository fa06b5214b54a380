/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctrlq_bench.h"
#include "run_folder.h"
#include "weir_log.h"

struct ctrlq_bench ctrlq_bench;

static void
keep_errors(enum weir_log_level level, const char *msg)
{
	if (level <= WEIR_LOG_WARN)
		snprintf(ctrlq_bench.last_error, sizeof(ctrlq_bench.last_error), "%s",
			 msg);
}

static void
told(void *arg, enum weir_port_event event)
{
	(void)arg;
	if (event == WEIR_PORT_EV_FILTER)
		atomic_fetch_add(&ctrlq_bench.nr_told, 1);
}

int
ctrlq_open(uint64_t features, bool rss)
{
	struct ctrlq_bench *b = &ctrlq_bench;
	const struct weir_port_conf conf = {
		.name = "w0",
		.path = b->path,
		.nr_pairs = PAIRS,
		.ctrl_vq = true,
		.rss = rss,
		.tso = true,
		.guest_mac = { 2, 0, 0, 0, 0, 7 },
		.guest_mtu = 9000,
		.notify = told,
	};
	int ret;

	run_folder_path(b->path, sizeof(b->path), "ctrl.sock");
	weir_log_set_sink(keep_errors);
	atomic_store(&b->nr_told, 0);
	if (b->pool == NULL)
		b->pool = rte_pktmbuf_pool_create("ctrlq_bench", 511, 0, 0,
						  RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	ret = weir_port_create(&conf, &b->port);
	for (uint16_t i = 0; i < PAIRS && ret == 0; i++) {
		ret = weir_port_rxq_setup(b->port, i, b->pool, NULL);
		if (ret == 0)
			ret = weir_port_txq_setup(b->port, i, NULL);
	}
	if (ret == 0)
		ret = weir_port_start(b->port);
	/* of its rings, two a pair, the fifth is the control queue's */
	if (ret == 0)
		ret = fe_connect(&b->fe, b->path, PAIRS + 1);
	if (ret == 0)
		ret = fe_features(&b->fe, features);
	if (ret == 0)
		ret = fe_share(&b->fe);
	for (unsigned int i = 0; i <= CTRL && ret == 0; i++)
		ret = fe_ring_start(&b->fe, i, FE_BASE_NEW);
	return ret;
}

void
ctrlq_close(void)
{
	fe_close(&ctrlq_bench.fe);
	weir_port_destroy(ctrlq_bench.port);
	weir_log_set_sink(NULL);
}

int
ctrlq_send_to(volatile uint8_t *answer, uint64_t gpa, const uint8_t *bytes, uint32_t len)
{
	const struct fe *fe = &ctrlq_bench.fe;
	struct fe_ring *r = &ctrlq_bench.fe.ring[CTRL];

	*answer = 0xff;
	memcpy(r->buf, bytes, len);
	r->desc[0] = (struct vring_desc){ fe_gpa(fe, r->buf), 2, VRING_DESC_F_NEXT, 1 };
	r->desc[1] = (struct vring_desc){ fe_gpa(fe, r->buf + 2), len - 2,
					  VRING_DESC_F_NEXT, 2 };
	r->desc[2] = (struct vring_desc){ gpa, 1, VRING_DESC_F_WRITE, 0 };
	fe_offer(r, 0);
	(void)!write(r->kick, &(uint64_t){ 1 }, sizeof(uint64_t));
	return BECOMES(*answer != 0xff || !weir_port_link(ctrlq_bench.port)) ? *answer
									     : -1;
}

int
ctrlq_send(const uint8_t *bytes, uint32_t len)
{
	uint8_t *answer = ctrlq_bench.fe.ring[CTRL].buf + FE_BUF;

	return ctrlq_send_to(answer, fe_gpa(&ctrlq_bench.fe, answer), bytes, len);
}

bool
ctrlq_pair_runs(uint16_t pair)
{
	return weir_queue_running(weir_port_rxq(ctrlq_bench.port, pair)) &&
	       weir_queue_running(weir_port_txq(ctrlq_bench.port, pair));
}
