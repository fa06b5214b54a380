/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes as a guest behind a vIOMMU: translations that come, go and are wrong, between
 * bursts on a port that has no others.
 *
 *     conf     1 byte, see CONF_*
 *     steps    8 bytes each, see struct step, at most 96
 *
 * What must hold: memory that no translation lets the device write is as the guest
 * left it, from the answer to an invalidation on; no copy of the engine leads to where
 * its IOMMU has nothing; frames received are frames; and when the guest has gone every
 * mbuf is back.
 *
 * The port, its control thread and its engine outlive an input. A step waits for the
 * answer to its message, so that what follows it does.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/vhost_types.h>
#include <rte_bus_vdev.h>
#include <rte_ether.h>
#include <rte_mbuf.h>

#include "frontend.h"
#include "fuzz.h"
#include "weir_copy.h"
#include "weir_log.h"
#include "weir_port.h"
#include "weir_space.h"

#define STEPS_MAX 96u
#define BURST 32u
#define NR_MBUFS 1023u
#define FRAME_MAX 5000u
#define PAGE 4096u
#define PAGES 256u /* of guest memory, and of the IOMMU's window onto it */
#define IOVA UINT64_C(0xffe00000)
#define MORE_GPA UINT64_C(0x80000000)
#define WAIT_MS 10000

enum { CONF_PACKED = 1, CONF_DMA = 2, CONF_ALL = 4 /* all is mapped at first */ };

enum op {
	OP_MAP,	    /* a + 1 pages from b on lead to c on, as d allows */
	OP_UNMAP,   /* a + 1 pages from b on */
	OP_MESSAGE, /* any: type a, b: iova, c: address in memory, d: length; 16 bytes
		       each */
	OP_SERVE,   /* what is asked for: a 1: map it, 2: say so and do not, 0: refuse */
	OP_RX,	    /* a burst of a */
	OP_TX,	    /* a frames of c bytes */
	OP_SEND,    /* a frame of c bytes in shape a */
	OP_POST,    /* buffers to receive, as many as there is room for */
	OP_OFFER,   /* ring a: b: iova in 16 bytes, c: length, d: flags, and head */
	OP_POKE,    /* b: address in 16 bytes; c and d are written there */
	OP_RESTART, /* ring a, bit 1: its driver begins anew, bit 2: at c */
	OP_MEMORY,  /* a region more, or it goes */
	OP_NR,
};

struct step {
	uint8_t op, a;
	uint16_t b, c, d;
};

struct bench {
	char path[64];
	struct weir_port *port;
	struct weir_queue *rxq, *txq;
};

/* A guest, for one input. */
static struct {
	struct bench *b;
	int chan;
	bool lost;	       /* the port has parted with it */
	bool more;	       /* it has the second region */
	uint8_t perm[PAGES];   /* of the window */
	uint16_t leads[PAGES]; /* to which page of memory */
	bool loose[PAGES];     /* of memory: who may write it is not followed up */
} guest;

static struct fe fe;
static struct fe_mem more;
static uint8_t *was; /* guest memory, where nobody but its guest may write it */
static struct rte_mempool *pool;
static struct weir_space *space;
static uint64_t faults;
static struct bench bench[2];

static void
swallow(enum weir_log_level level, const char *msg)
{
	(void)level;
	(void)msg;
}

static int
bench_open(struct bench *b, const char *name, const char *dma)
{
	const struct weir_port_conf conf = {
		.name = name,
		.path = b->path,
		.nr_pairs = 1,
		.iommu = true,
		.tso = true,
		.mirror = weir_space_mirror(space),
	};
	int ret;

	snprintf(b->path, sizeof(b->path), "/tmp/weir-fuzz.%d.%s", (int)getpid(), name);
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

static void
benches_close(void)
{
	for (size_t i = 0; i < RTE_DIM(bench); i++)
		weir_port_destroy(bench[i].port);
	weir_space_put(space);
	rte_vdev_uninit("dma_weir_fuzz");
	fe_close(&fe);
	fe_mem_close(&more);
	free(was);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_eal_start();
	weir_log_set_sink(swallow);
	/* an engine that is slow because the machine is does not hang */
	weir_copy_set_watchdog(0);
	pool = rte_pktmbuf_pool_create("fuzz", NR_MBUFS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
				       0);
	if (pool == NULL || weir_space_get(&space) != 0 ||
	    rte_vdev_init("dma_weir_fuzz", "mode=inline,delay_us=5") != 0)
		abort();
	if (bench_open(&bench[0], "cpu", NULL) != 0 ||
	    bench_open(&bench[1], "dma", "dma_weir_fuzz") != 0)
		abort();
	if (fe_connect(&fe, bench[0].path, 1) != 0 || fe.mem_len != PAGES * PAGE)
		abort();
	if (fe_mem_open(&more, "fuzz-more", MORE_GPA, 16 * PAGE) != 0)
		abort();
	was = malloc(fe.mem_len);
	if (was == NULL)
		abort();
	atexit(benches_close);
	return 0;
}

/* ---- what the device may write */

/* A page of memory that some translation lets it write. */
static bool
is_open(uint32_t page)
{
	if (guest.loose[page])
		return true;
	for (uint32_t i = 0; i < PAGES; i++)
		if (guest.leads[i] == page && (guest.perm[i] & VHOST_ACCESS_WO) != 0)
			return true;
	return false;
}

static void
memory_check(void)
{
	for (uint32_t i = 0; i < PAGES; i++)
		FUZZ_CHECK(memcmp(fe.mem + i * PAGE, was + i * PAGE, PAGE) == 0 ||
				   is_open(i),
			   "memory was written that is not mapped");
}

/* What the guest is about to write, it has written. */
static void
memory_keep(void)
{
	memcpy(was, fe.mem, fe.mem_len);
}

/* ---- messages */

/* The answer to one. */
static int64_t
answer(int64_t ret)
{
	guest.lost |= ret < 0;
	return ret;
}

static int64_t
iotlb(uint64_t iova, uint64_t len, uint64_t uva, uint8_t perm, uint8_t type)
{
	const struct vhost_iotlb_msg m = { iova, len, uva, perm, type };

	return answer(fe_msg_ack(&fe, WEIR_VHOST_IOTLB_MSG, &m, sizeof(m), NULL, 0));
}

static int64_t
map(uint32_t page, uint32_t nr, uint32_t to, uint8_t perm)
{
	int64_t ret;

	page %= PAGES;
	to %= PAGES;
	nr = RTE_MIN(nr, PAGES - RTE_MAX(page, to));
	for (uint32_t i = 0; i < nr; i++) {
		/* what was there before goes with the answer; a refusal leaves it */
		if (guest.perm[page + i] != 0)
			guest.loose[guest.leads[page + i]] = true;
		guest.perm[page + i] = perm;
		guest.leads[page + i] = (uint16_t)(to + i);
	}
	ret = iotlb(IOVA + page * PAGE, nr * (uint64_t)PAGE,
		    (uintptr_t)fe.mem + to * PAGE, perm, VHOST_IOTLB_UPDATE);
	for (uint32_t i = 0; i < nr && ret != 0; i++) {
		guest.loose[to + i] = true;
		guest.perm[page + i] = 0;
	}
	return ret;
}

static void
unmap(uint32_t page, uint32_t nr)
{
	int64_t ret;

	page %= PAGES;
	nr = RTE_MIN(nr, PAGES - page);
	ret = iotlb(IOVA + page * PAGE, nr * (uint64_t)PAGE, 0, 0,
		    VHOST_IOTLB_INVALIDATE);
	if (ret != 0)
		return;
	memset(&guest.perm[page], 0, nr);
	memory_keep();
}

static void
message(const struct step *s)
{
	const uint32_t first = s->c * 16u / PAGE, last = (s->c + s->d) * 16u / PAGE;

	for (uint32_t i = first; i <= last && i < PAGES; i++)
		guest.loose[i] = true;
	iotlb(IOVA + s->b * 16u, s->d * 16u, (uintptr_t)fe.mem + s->c * 16u, s->a >> 4,
	      s->a & 7);
}

static void
serve(uint8_t how)
{
	struct pollfd p = { .fd = guest.chan, .events = POLLIN };

	while (!guest.lost && poll(&p, 1, 0) == 1) {
		struct vhost_iotlb_msg m;
		struct weir_vhost_hdr h;
		uint64_t page, result;

		if (fe_channel_recv(guest.chan, &h, &m, sizeof(m)) != 0) {
			guest.lost = true;
			return;
		}
		FUZZ_CHECK(h.request == WEIR_VHOST_BACKEND_IOTLB_MSG &&
				   h.size == sizeof(m) && m.type == VHOST_IOTLB_MISS &&
				   m.perm != 0 && m.perm <= VHOST_ACCESS_RW &&
				   m.iova % PAGE == 0,
			   "a question of no sense");
		page = (m.iova - IOVA) / PAGE;
		result = how % 3 == 0;
		if (how % 3 == 1)
			result = page >= PAGES || map((uint32_t)page, 1, (uint32_t)page,
						      VHOST_ACCESS_RW) != 0;
		if ((h.flags & WEIR_VHOST_FLAG_NEED_REPLY) != 0)
			fe_channel_answer(guest.chan, &h, result);
	}
}

/* ---- bursts */

static void
burst_rx(uint16_t n)
{
	struct rte_mbuf *pkts[BURST];
	const char *why;

	n = weir_port_rx_burst(guest.b->rxq, pkts, n % (BURST + 1));
	for (uint16_t i = 0; i < n; i++) {
		FUZZ_CHECK(rte_mbuf_check(pkts[i], 1, &why) == 0, why);
		FUZZ_CHECK(pkts[i]->pkt_len >= RTE_ETHER_HDR_LEN &&
				   pkts[i]->pkt_len <= WEIR_PORT_MAX_FRAME,
			   "a frame that is none");
		rte_pktmbuf_free(pkts[i]);
	}
}

static struct rte_mbuf *
frame_make(uint32_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool), *last = m;

	while (last != NULL) {
		uint32_t n = RTE_MIN(len - m->pkt_len, rte_pktmbuf_tailroom(last));

		memset(rte_pktmbuf_mtod(last, void *), (int)(len & 0xff), n);
		last->data_len = (uint16_t)n;
		m->pkt_len += n;
		if (m->pkt_len == len)
			return m;
		last->next = rte_pktmbuf_alloc(pool);
		last = last->next;
		m->nb_segs++;
	}
	abort();
}

static void
burst_tx(uint16_t n, uint32_t len)
{
	struct rte_mbuf *pkts[BURST];
	uint16_t sent;

	n = n % (BURST + 1);
	for (uint16_t i = 0; i < n; i++)
		pkts[i] = frame_make(RTE_ETHER_HDR_LEN + len % FRAME_MAX + i);
	sent = weir_port_tx_burst(guest.b->txq, pkts, n);
	FUZZ_CHECK(sent <= n, "more frames sent than there are");
	rte_pktmbuf_free_bulk(&pkts[sent], (unsigned int)(n - sent));
}

/* ---- the driver */

static void
offer(const struct step *s)
{
	struct fe_ring *r = &fe.ring[s->a % 2];
	const uint16_t head = (uint16_t)(s->d >> 4) % FE_RING;

	/* a ring that is full has no room for more, whatever its driver thinks */
	if ((uint16_t)(r->avail_idx - r->used_idx) >= FE_RING)
		return;
	r->desc[head] = (struct vring_desc){
		.addr = IOVA + s->b * 16u,
		.len = s->c,
		.flags = s->d &
			 (VRING_DESC_F_NEXT | VRING_DESC_F_WRITE | VRING_DESC_F_INDIRECT),
		.next = (uint16_t)((head + 1) % FE_RING),
	};
	fe_offer(r, head);
}

static void
send_frame(const struct step *s)
{
	static uint8_t buf[FRAME_MAX + RTE_ETHER_HDR_LEN];

	fe_reap(&fe, 0);
	fe_send(&fe, 0, buf, RTE_ETHER_HDR_LEN + s->c % FRAME_MAX,
		(enum fe_shape)(s->a % 4));
}

static void
restart(const struct step *s)
{
	const uint32_t ring = s->a % 2;
	struct vhost_vring_state at = { ring, 0 };

	if (fe_msg(&fe, WEIR_VHOST_GET_VRING_BASE, &at, sizeof(at), NULL, 0, &at,
		   sizeof(at)) != 0) {
		guest.lost = true;
		return;
	}
	memory_check();
	if ((s->a & 2) != 0) {
		fe_ring_clear(&fe.ring[ring]);
		at.num = FE_BASE_NEW;
	}
	if ((s->a & 4) != 0)
		at.num = s->c;
	if (fe_ring_start(&fe, ring, at.num) != 0)
		guest.lost = true;
	memory_keep();
}

static void
memory_change(void)
{
	int64_t ret =
		answer(guest.more ? fe_mem_del(&fe, &more) : fe_mem_add(&fe, &more));

	if (ret == 0)
		guest.more = !guest.more;
}

/* ---- an input */

static void
step_guest(const struct step *s)
{
	memory_check();
	switch ((enum op)(s->op % OP_NR)) {
	case OP_SEND:
		send_frame(s);
		break;
	case OP_POST:
		fe_post(&fe, 0);
		break;
	case OP_OFFER:
		offer(s);
		break;
	case OP_POKE:
		memcpy(fe.mem + s->b * 16u % fe.mem_len, &s->c, 4);
		break;
	default:
		break;
	}
	memory_keep();
}

static void
step_run(const struct step *s)
{
	switch ((enum op)(s->op % OP_NR)) {
	case OP_MAP:
		map(s->b, s->a + 1u, s->c, s->d % 4);
		break;
	case OP_UNMAP:
		memory_check();
		unmap(s->b, s->a + 1u);
		break;
	case OP_MESSAGE:
		message(s);
		break;
	case OP_SERVE:
		serve(s->a);
		break;
	case OP_RX:
		burst_rx(s->a);
		break;
	case OP_TX:
		burst_tx(s->a, s->c);
		break;
	case OP_RESTART:
		restart(s);
		break;
	case OP_MEMORY:
		memory_change();
		break;
	default:
		step_guest(s);
		break;
	}
}

/* Connect, and start both rings of fresh memory. */
static void
guest_begin(uint8_t conf)
{
	const uint64_t all = (conf & CONF_PACKED) != 0 ? UINT64_MAX : FE_SPLIT;

	memset(&guest, 0, sizeof(guest));
	guest.b = &bench[(conf & CONF_DMA) != 0];
	fe_rings_anew(&fe);
	FUZZ_CHECK(fe_connect_again(&fe, guest.b->path) == 0, "nobody listens");
	fe.iova = IOVA;
	FUZZ_CHECK(fe_features(&fe, all) == 0 &&
			   fe_protocol(&fe, WEIR_VHOST_BIT(WEIR_VHOST_PF_BACKEND_REQ)) ==
				   0,
		   "features");
	guest.chan = fe_channel(&fe);
	FUZZ_CHECK(guest.chan >= 0 && fe_share(&fe) == 0, "memory");
	for (unsigned int i = 0; i < 2; i++) {
		fe_ring_clear(&fe.ring[i]);
		FUZZ_CHECK(fe_ring_start(&fe, i, FE_BASE_NEW) == 0, "a ring");
	}
	if ((conf & CONF_ALL) != 0)
		FUZZ_CHECK(map(0, PAGES, 0, VHOST_ACCESS_RW) == 0, "a translation");
	memory_keep();
}

/* It goes, without a word; all that it had comes back. */
static void
guest_end(void)
{
	int ms = 0;

	close(fe.sock);
	fe.sock = -1;
	close(guest.chan);
	while (weir_queue_running(guest.b->rxq) || weir_queue_running(guest.b->txq) ||
	       weir_port_link(guest.b->port) || rte_mempool_in_use_count(pool) != 0) {
		FUZZ_CHECK(ms++ < WAIT_MS, "an mbuf is lost, or a ring that runs on");
		usleep(1000);
	}
	memory_check();
	FUZZ_CHECK(weir_sim_faults(weir_space_sim(space)) == faults,
		   "a copy to where nothing is mapped");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct step s;
	uint8_t conf;

	if (!fuzz_take(&in, &conf, sizeof(conf)))
		return 0;
	guest_begin(conf);
	for (unsigned int i = 0;
	     i < STEPS_MAX && !guest.lost && fuzz_take(&in, &s, sizeof(s)); i++) {
		step_run(&s);
		memory_check();
	}
	guest_end();
	return 0;
}
