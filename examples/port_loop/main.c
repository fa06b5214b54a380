/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Port loop: one vhost-user port in an application's own loop.
 *
 *     port_loop [EAL arguments] -- SOCKET
 *
 * Listens on SOCKET and sends every frame that a guest sends back to it, with
 * the Ethernet addresses exchanged. The port's control thread speaks vhost-user;
 * this one polls. Ends on Ctrl-C or SIGTERM, and prints the port's counters.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_eal.h>
#include <rte_ether.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_pause.h>

#include <weir_errno.h>
#include <weir_port.h>

#define BURST 32
#define NR_MBUFS 8191
#define MBUF_CACHE 256

static volatile sig_atomic_t ended;

static void
end(int number)
{
	(void)number;
	ended = 1;
}

static void
signals_catch(void)
{
	struct sigaction sa = { .sa_handler = end };

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
}

/* On the control thread, when a guest comes or goes. */
static void
notify(void *arg, enum weir_port_event event)
{
	struct weir_port *const *port = arg;

	if (event == WEIR_PORT_EV_LINK)
		printf("link %s\n", weir_port_link(*port) ? "up" : "down");
}

static void
swap_addresses(struct rte_mbuf *m)
{
	struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	struct rte_ether_addr from = eth->src_addr;

	/* a frame that was received has its whole Ethernet header in one piece */
	eth->src_addr = eth->dst_addr;
	eth->dst_addr = from;
}

/* Echo until the end. Returns frames that the guest left no room for. */
static uint64_t
loop(struct weir_queue *rxq, struct weir_queue *txq)
{
	struct rte_mbuf *pkts[BURST];
	uint64_t no_room = 0;

	while (!ended) {
		uint16_t n = weir_port_rx_burst(rxq, pkts, BURST), sent;

		if (n == 0) {
			rte_pause();
			continue;
		}
		for (uint16_t i = 0; i < n; i++)
			swap_addresses(pkts[i]);
		sent = weir_port_tx_burst(txq, pkts, n);
		/* what was not taken is still ours */
		rte_pktmbuf_free_bulk(pkts + sent, (unsigned int)(n - sent));
		no_room += (uint64_t)(n - sent);
	}
	return no_room;
}

static void
print_stats(const struct weir_queue *rxq, const struct weir_queue *txq, uint64_t no_room)
{
	struct weir_queue_stats rx, tx;

	weir_queue_stats_get(rxq, &rx);
	weir_queue_stats_get(txq, &tx);
	printf("received %" PRIu64 " frames, %" PRIu64 " bytes, dropped %" PRIu64 "\n",
	       rx.packets, rx.bytes, rx.dropped);
	printf("sent %" PRIu64 " frames, %" PRIu64 " bytes, dropped %" PRIu64
	       ", no room %" PRIu64 "\n",
	       tx.packets, tx.bytes, tx.dropped, no_room);
}

/* Set the queues up, start, and echo. 0 or -errno. */
static int
port_run(struct weir_port *port, const char *path, struct rte_mempool *pool)
{
	struct weir_queue *rxq, *txq;
	uint64_t no_room;
	int ret;

	/* NULL instead of a dmadev's name: the CPU copies */
	ret = weir_port_rxq_setup(port, 0, pool, NULL);
	if (ret == 0)
		ret = weir_port_txq_setup(port, 0, NULL);
	if (ret == 0)
		ret = weir_port_start(port);
	if (ret != 0)
		return ret;
	rxq = weir_port_rxq(port, 0);
	txq = weir_port_txq(port, 0);
	printf("listening on %s\n", path);
	no_room = loop(rxq, txq);
	weir_port_stop(port);
	print_stats(rxq, txq, no_room);
	return 0;
}

static int
run(const char *path)
{
	struct weir_port *port = NULL;
	const struct weir_port_conf conf = {
		.name = "port_loop",
		.path = path,
		.nr_pairs = 1,
		.notify = notify,
		.notify_arg = &port,
	};
	struct rte_mempool *pool;
	int ret;

	pool = rte_pktmbuf_pool_create("port_loop", NR_MBUFS, MBUF_CACHE, 0,
				       RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (pool == NULL) {
		fprintf(stderr, "port_loop: no memory for %d mbufs\n", NR_MBUFS);
		return EXIT_FAILURE;
	}
	ret = weir_port_create(&conf, &port);
	if (ret == 0)
		ret = port_run(port, path, pool);
	weir_port_destroy(port);
	rte_mempool_free(pool);
	if (ret != 0)
		fprintf(stderr, "port_loop: %s: %s\n", path, weir_strerror(ret));
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
	int nr_eal = rte_eal_init(argc, argv), ret = EXIT_FAILURE;

	if (nr_eal < 0) {
		fprintf(stderr, "port_loop: EAL does not start\n");
		return EXIT_FAILURE;
	}
	signals_catch();
	if (argc - nr_eal == 2)
		ret = run(argv[nr_eal + 1]);
	else
		fprintf(stderr, "usage: port_loop [EAL arguments] -- SOCKET\n");
	rte_eal_cleanup();
	return ret;
}
