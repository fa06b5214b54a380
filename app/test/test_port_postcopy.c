/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest that arrives by postcopy. Its memory is in a copy, the source; the file that
 * the port maps is empty, and each page is fetched when the port touches it. The
 * frontend's own mapping is not the port's: what it reads and writes it fetches first.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/userfaultfd.h>
#include <linux/vhost_types.h>

#include "port_bench.h"
#include "queue.h"

#define PAGE 4096u
#define PF (WEIR_VHOST_BIT(WEIR_VHOST_PF_PAGEFAULT))
#define NR_MAX 1024u /* pages of guest memory */
#define IOVA UINT64_C(0xffe00000)

/* How a guest arrives: its memory told of by slots and not by a table; behind a vIOMMU.
 */
#define SLOTS 1u
#define VIOMMU 2u

struct arrival {
	struct fe fe;
	unsigned int how;
	int chan; /* the port asks for translations there */
	unsigned int nr_misses;
	uint8_t *source;
	_Atomic bool there[NR_MAX];
	pthread_mutex_t lock; /* of fetching */
	int uffd;
	uint64_t base; /* of guest memory, in the port */
	pthread_t thread;
	_Atomic bool stop, deaf, slow;
	_Atomic unsigned int nr_faults;
};

/* Get a page into the file. */
static void
fetch(struct arrival *a, size_t page)
{
	pthread_mutex_lock(&a->lock);
	if (!atomic_load(&a->there[page])) {
		memcpy(a->fe.mem + page * PAGE, a->source + page * PAGE, PAGE);
		atomic_store(&a->there[page], true);
	}
	pthread_mutex_unlock(&a->lock);
}

static void
fetch_range(struct arrival *a, const void *p, size_t len)
{
	const size_t at = (size_t)((const uint8_t *)p - a->fe.mem);

	for (size_t i = at / PAGE; i <= (at + len - 1) / PAGE; i++)
		fetch(a, i);
}

static void
serve_fault(struct arrival *a, const struct uffd_msg *m)
{
	const uint64_t at = m->arg.pagefault.address & ~(uint64_t)(PAGE - 1);
	struct uffdio_range r = { at, PAGE };

	if (atomic_load(&a->slow))
		usleep(100000);
	fetch(a, (at - a->base) / PAGE);
	atomic_fetch_add(&a->nr_faults, 1);
	(void)!ioctl(a->uffd, UFFDIO_WAKE, &r);
}

static void *
serve_faults(void *arg)
{
	struct arrival *a = arg;
	struct pollfd p = { .fd = a->uffd, .events = POLLIN };
	struct uffd_msg m;

	while (!atomic_load(&a->stop)) {
		if (poll(&p, 1, 10) != 1 || atomic_load(&a->deaf))
			continue;
		if (read(a->uffd, &m, sizeof(m)) == sizeof(m) &&
		    m.event == UFFD_EVENT_PAGEFAULT)
			serve_fault(a, &m);
	}
	return NULL;
}

/* POSTCOPY_ADVISE: the answer is a descriptor and nothing else. */
static int
advise(struct arrival *a)
{
	const struct weir_vhost_hdr ask = { WEIR_VHOST_POSTCOPY_ADVISE, 1, 0 };
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct weir_vhost_hdr h;
	struct iovec iov = { &h, sizeof(h) };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };

	if (send(a->fe.sock, &ask, sizeof(ask), 0) != sizeof(ask) ||
	    recvmsg(a->fe.sock, &m, MSG_CMSG_CLOEXEC) != sizeof(h) || h.size != 0)
		return -EPROTO;
	if (CMSG_FIRSTHDR(&m) == NULL)
		return -ENOENT;
	memcpy(&a->uffd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	return 0;
}

/* Share memory by a table, or by slots; learn where the port has it; be ready. */
static int
share(struct arrival *a)
{
	const bool slots = (a->how & SLOTS) != 0;
	struct {
		uint32_t nr, pad;
		struct weir_vhost_wire_region r;
	} t = { 1, 0, { FE_GPA, a->fe.mem_len, (uintptr_t)a->fe.mem, 0 } };
	struct weir_vhost_wire_mem_reg s = { 0, t.r };
	const uint64_t zero = 0;
	int ret;

	if (slots)
		ret = fe_msg(&a->fe, WEIR_VHOST_ADD_MEM_REG, &s, sizeof(s), &a->fe.mem_fd,
			     1, &s, sizeof(s));
	else
		ret = fe_msg(&a->fe, WEIR_VHOST_SET_MEM_TABLE, &t, sizeof(t),
			     &a->fe.mem_fd, 1, &t, sizeof(t));
	a->base = slots ? s.region.user : t.r.user;
	if (ret != 0 || a->base == 0 || a->base == (uintptr_t)a->fe.mem)
		return -EPROTO;
	if (pthread_create(&a->thread, NULL, serve_faults, a) != 0)
		return -EAGAIN;
	return fe_msg(&a->fe, slots ? WEIR_VHOST_ADD_MEM_REG : WEIR_VHOST_SET_MEM_TABLE,
		      &zero, sizeof(zero), NULL, 0, NULL, 0);
}

/* What a driver left in its memory when it was stopped: rings that are in use. */
static int
leave(struct arrival *a)
{
	const size_t len = a->fe.mem_len;

	a->source = malloc(len);
	if (a->source == NULL || len / PAGE > NR_MAX)
		return -ENOMEM;
	memcpy(a->source, a->fe.mem, len);
	for (size_t i = 0; i < NR_MAX; i++)
		atomic_store(&a->there[i], false);
	return fallocate(a->fe.mem_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			 (off_t)len) == 0
		       ? 0
		       : -errno;
}

/* Frames that the guest had sent, and buffers it had posted, before it left. */
#define NR_SENT 12u

static enum test_result
arrive(struct arrival *a, struct bench *b, unsigned int how)
{
	const uint64_t platform =
		(how & VIOMMU) != 0 ? 0 : WEIR_VHOST_BIT(VIRTIO_F_ACCESS_PLATFORM);
	static uint8_t buf[8000];

	*a = (struct arrival){
		.how = how, .chan = -1, .uffd = -1, .lock = PTHREAD_MUTEX_INITIALIZER
	};
	TEST_EQ(fe_connect(&a->fe, b->path, 1), 0);
	a->fe.iova = (how & VIOMMU) != 0 ? IOVA : 0;
	TEST_EQ(fe_features(&a->fe, ALL_FEATURES & ~platform), 0);
	for (uint32_t i = 0; i < NR_SENT; i++) {
		fill(buf, sizes[i % NR_SIZES] % 8000, i);
		TEST_ASSERT(fe_send(&a->fe, 0, buf, sizes[i % NR_SIZES] % 8000, i % 4));
	}
	fe_post(&a->fe, 0);
	TEST_EQ(leave(a), 0);
	TEST_EQ(fe_protocol(&a->fe, PF | WEIR_VHOST_BIT(WEIR_VHOST_PF_BACKEND_REQ)), 0);
	TEST_EQ(advise(a), 0);
	TEST_EQ(fe_msg_ack(&a->fe, WEIR_VHOST_POSTCOPY_LISTEN, NULL, 0, NULL, 0), 0);
	TEST_EQ(share(a), 0);
	if ((how & VIOMMU) != 0)
		a->chan = fe_channel(&a->fe);
	TEST_ASSERT((how & VIOMMU) == 0 || a->chan >= 0);
	return TEST_OK;
}

static bool
translate(struct arrival *a, uint64_t at, uint64_t len)
{
	const struct vhost_iotlb_msg m = { .iova = IOVA + at,
					   .size = len,
					   .uaddr = (uintptr_t)a->fe.mem + at,
					   .perm = VHOST_ACCESS_RW,
					   .type = VHOST_IOTLB_UPDATE };

	return fe_msg_ack(&a->fe, WEIR_VHOST_IOTLB_MSG, &m, sizeof(m), NULL, 0) == 0;
}

/* The vIOMMU: a page is translated when the port asks for it. */
static bool
serve_misses(struct arrival *a)
{
	struct pollfd p = { .fd = a->chan, .events = POLLIN };

	while (poll(&p, 1, 0) == 1) {
		struct vhost_iotlb_msg m;
		struct weir_vhost_hdr h;

		if (fe_channel_recv(a->chan, &h, &m, sizeof(m)) != 0 ||
		    m.type != VHOST_IOTLB_MISS || m.iova - IOVA >= a->fe.mem_len)
			return false;
		a->nr_misses++;
		if (!translate(a, m.iova - IOVA, PAGE) ||
		    fe_channel_answer(a->chan, &h, 0) != 0)
			return false;
	}
	return true;
}

/* Behind a vIOMMU rings run when they have been translated; 10 s are a failed test. */
static bool
rings_run(struct arrival *a, struct bench *b)
{
	for (int i = 0; i < 10000 && serve_misses(a); i++) {
		if (weir_queue_running(b->rxq) && weir_queue_running(b->txq))
			return true;
		usleep(1000);
	}
	return false;
}

static int
start_rings(struct arrival *a)
{
	int ret = 0;

	for (unsigned int i = 0; i < 2 && ret == 0; i++) {
		struct fe_ring *r = &a->fe.ring[i];

		/* the frontend looks at the ring, too */
		fetch_range(a, r->packed != NULL ? (void *)r->driver : (void *)r->avail,
			    4);
		ret = fe_ring_start(&a->fe, i, FE_BASE_NEW);
	}
	return ret;
}

static enum test_result
depart(struct arrival *a, struct bench *b)
{
	fe_close(&a->fe);
	TEST_ASSERT(link_becomes(b, false));
	atomic_store(&a->stop, true);
	TEST_EQ(pthread_join(a->thread, NULL), 0);
	close(a->uffd);
	if (a->chan >= 0)
		close(a->chan);
	free(a->source);
	return TEST_OK;
}

/* What the guest had sent comes, whole, out of pages that were not there. */
static enum test_result
sent_before_is_received(struct arrival *a, struct bench *b)
{
	struct rte_mbuf *pkts[BURST];
	uint8_t flat[8000];
	uint32_t got = 0;

	for (int idle = 0; got < NR_SENT && idle < 2000000; idle++) {
		uint16_t n = weir_port_rx_burst(b->rxq, pkts, BURST);

		TEST_ASSERT(serve_misses(a));
		for (uint16_t i = 0; i < n; i++, got++) {
			uint32_t len = sizes[got % NR_SIZES] % 8000;
			const uint8_t *p = rte_pktmbuf_read(pkts[i], 0, len, flat);

			TEST_EQ(pkts[i]->pkt_len, len);
			TEST_ASSERT(p != NULL && filled(p, len, got));
			rte_pktmbuf_free(pkts[i]);
		}
	}
	TEST_EQ(got, NR_SENT);
	return TEST_OK;
}

static uint64_t
dma_copies(const struct bench *b)
{
	struct weir_queue_stats rx, tx;

	weir_queue_stats_get(b->rxq, &rx);
	weir_queue_stats_get(b->txq, &tx);
	return rx.dma_copies + tx.dma_copies;
}

/* A page that is there and was not fetched is one of zeroes where the guest's was. */
static bool
pages_are_the_guests(struct arrival *a)
{
	static unsigned char in[NR_MAX];
	bool good = true;

	if (mincore(a->fe.mem, a->fe.mem_len, in) != 0)
		return false;
	for (size_t i = 0; i < a->fe.mem_len / PAGE; i++) {
		if ((in[i] & 1) == 0 || atomic_load(&a->there[i]))
			continue;
		printf("    page %zu was made up\n", i);
		good = false;
	}
	return good;
}

static enum test_result
arrives(const char *dma, unsigned int how)
{
	struct arrival a;
	struct bench b;
	unsigned int early;

	TEST_EQ(bench_open_postcopy(&b, dma), 0);
	TEST_EQ(arrive(&a, &b, how), TEST_OK);
	TEST_EQ(start_rings(&a), 0);
	TEST_ASSERT(rings_run(&a, &b));
	TEST_ASSERT(pages_are_the_guests(&a));
	early = atomic_load(&a.nr_faults);
	TEST_ASSERT(early > 0);
	TEST_EQ(sent_before_is_received(&a, &b), TEST_OK);
	TEST_ASSERT(pages_are_the_guests(&a));
	TEST_ASSERT(atomic_load(&a.nr_faults) > early);
	TEST_EQ(dma_copies(&b), 0);
	if (dma != NULL)
		TEST_EQ(weir_mirror_regions(weir_space_mirror(b.space)), 0);
	/* all of it is there */
	fetch_range(&a, a.fe.mem, a.fe.mem_len);
	TEST_EQ(fe_reap(&a.fe, 0), NR_SENT);
	TEST_EQ(fe_msg_ack(&a.fe, WEIR_VHOST_POSTCOPY_END, NULL, 0, NULL, 0), 0);
	TEST_EQ(a.nr_misses > 0, (how & VIOMMU) != 0);
	if ((how & VIOMMU) != 0)
		TEST_ASSERT(translate(&a, 0, a.fe.mem_len));
	TEST_EQ(to_host(&b, &a.fe, 100), TEST_OK);
	TEST_EQ(to_guest(&b, &a.fe, 100), TEST_OK);
	if (dma != NULL) {
		TEST_ASSERT(dma_copies(&b) > 0);
		TEST_EQ(weir_mirror_regions(weir_space_mirror(b.space)), 1);
	}
	TEST_EQ(depart(&a, &b), TEST_OK);
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

/* Why not, on a machine that has none. */
static enum test_result
no_userfaultfd(void)
{
	long fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return test_skip("userfaultfd: %s", strerror(errno));
	close((int)fd);
	return TEST_OK;
}

static enum test_result
guest_arrives_by_cpu(void)
{
	enum test_result r = no_userfaultfd();

	if (r == TEST_OK)
		r = arrives(NULL, 0);
	wanted = UINT64_MAX;
	if (r == TEST_OK)
		r = arrives(NULL, SLOTS);
	wanted = FE_SPLIT;
	return r;
}

/* With an engine: not before the end. */
static enum test_result
guest_arrives_before_dma(void)
{
	enum test_result r = no_userfaultfd();

	if (r != TEST_OK)
		return r;
	TEST_EQ(dma_open("mode=thread"), 0);
	r = arrives("dma_weir_test", SLOTS);
	wanted = UINT64_MAX;
	if (r == TEST_OK)
		r = arrives("dma_weir_test", 0);
	wanted = FE_SPLIT;
	dma_close();
	return r;
}

/* Each access has a translation that is asked for, and a page that is fetched. */
static enum test_result
guest_arrives_behind_a_viommu(void)
{
	enum test_result r = no_userfaultfd();

	if (r == TEST_OK)
		r = arrives(NULL, VIOMMU);
	wanted = UINT64_MAX;
	if (r == TEST_OK)
		r = arrives(NULL, SLOTS | VIOMMU);
	wanted = FE_SPLIT;
	if (r != TEST_OK)
		return r;
	TEST_EQ(dma_open("mode=thread"), 0);
	r = arrives("dma_weir_test", VIOMMU);
	dma_close();
	return r;
}

/* testpmd locks all memory it has and will have. */
static enum test_result
guest_arrives_where_memory_is_locked(void)
{
	enum test_result r = no_userfaultfd();

	if (r != TEST_OK)
		return r;
	if (mlockall(MCL_FUTURE) != 0)
		return test_skip("mlockall: %s", strerror(errno));
	r = arrives(NULL, 0);
	if (r == TEST_OK)
		r = arrives(NULL, SLOTS);
	munlockall();
	return r;
}

static void *
receive_one(void *arg)
{
	struct bench *b = arg;
	struct rte_mbuf *m[1];

	if (weir_port_rx_burst(b->rxq, m, 1) == 1)
		rte_pktmbuf_free(m[0]);
	return NULL;
}

static bool
waits_for_fault(const struct arrival *a)
{
	struct pollfd p = { .fd = a->uffd, .events = POLLIN };

	return poll(&p, 1, 10000) == 1;
}

/* The frontend dies, its faults unserved, and somebody keeps the userfaultfd open:
 * an lcore that slept goes on. */
static enum test_result
lcore_wakes_when_its_frontend_dies(void)
{
	enum test_result r = no_userfaultfd();
	struct arrival a;
	struct bench b;
	pthread_t lcore;

	if (r != TEST_OK)
		return r;
	TEST_EQ(bench_open_postcopy(&b, NULL), 0);
	TEST_EQ(arrive(&a, &b, 0), TEST_OK);
	TEST_EQ(start_rings(&a), 0);
	TEST_ASSERT(link_becomes(&b, true));
	atomic_store(&a.deaf, true);
	TEST_EQ(pthread_create(&lcore, NULL, receive_one, &b), 0);
	TEST_ASSERT(waits_for_fault(&a));
	close(a.fe.sock);
	a.fe.sock = -1;
	TEST_EQ(pthread_join(lcore, NULL), 0);
	TEST_ASSERT(link_becomes(&b, false));
	TEST_EQ(depart(&a, &b), TEST_OK);
	/* and the next guest is served */
	TEST_EQ(arrive(&a, &b, SLOTS), TEST_OK);
	TEST_EQ(start_rings(&a), 0);
	TEST_EQ(sent_before_is_received(&a, &b), TEST_OK);
	TEST_EQ(depart(&a, &b), TEST_OK);
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

/* A frontend that lives and does not serve its faults: the control thread waits for a
 * page of its guest's, and others' messages with it, for 10 s; then it parts with it. */
static enum test_result
others_do_not_wait_for_a_page(void)
{
	const struct weir_vhost_hdr ask = { WEIR_VHOST_GET_FEATURES, 1, 0 };
	const struct timeval soon = { .tv_sec = 1 };
	enum test_result r = no_userfaultfd();
	struct weir_port_conf conf = { .name = "other", .path = "", .nr_pairs = 1 };
	struct bench b;
	char path[sizeof(b.path) + sizeof(".other")];
	struct pollfd answer = { .events = POLLIN };
	struct weir_port *other;
	struct arrival a;
	struct fe fe;

	if (r != TEST_OK)
		return r;
	TEST_EQ(bench_open_postcopy(&b, NULL), 0);
	snprintf(path, sizeof(path), "%s.other", b.path);
	conf.path = path;
	TEST_EQ(weir_port_create(&conf, &other), 0);
	TEST_EQ(weir_port_start(other), 0);
	TEST_EQ(fe_connect(&fe, path, 1), 0);
	TEST_EQ(arrive(&a, &b, 0), TEST_OK);
	atomic_store(&a.deaf, true);
	/* the ring is looked at when it starts: there is no answer, soon or late */
	TEST_EQ(setsockopt(a.fe.sock, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)), 0);
	TEST_ASSERT(start_rings(&a) != 0);
	TEST_ASSERT(waits_for_fault(&a));
	TEST_EQ(send(fe.sock, &ask, sizeof(ask), 0), sizeof(ask));
	answer.fd = fe.sock;
	TEST_EQ(poll(&answer, 1, 60000), 1);
	for (int i = 0; i < 100 && !said("does not come"); i++)
		usleep(200000);
	TEST_ASSERT(said("a page of the guest's does not come"));
	fe_close(&fe);
	TEST_EQ(depart(&a, &b), TEST_OK);
	/* the next guest finds it well */
	TEST_EQ(arrive(&a, &b, SLOTS), TEST_OK);
	TEST_EQ(start_rings(&a), 0);
	TEST_EQ(sent_before_is_received(&a, &b), TEST_OK);
	TEST_EQ(depart(&a, &b), TEST_OK);
	weir_port_destroy(other);
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

/* A ring breaks while an lcore sleeps: the port parts with the guest, which lives on,
 * and does not spoil its memory by that. */
static enum test_result
peer_parted_with_keeps_its_pages(void)
{
	enum test_result r = no_userfaultfd();
	struct rte_mbuf *m;
	struct arrival a;
	struct bench b;
	pthread_t lcore;

	if (r != TEST_OK)
		return r;
	TEST_EQ(bench_open_postcopy(&b, NULL), 0);
	TEST_EQ(arrive(&a, &b, 0), TEST_OK);
	TEST_EQ(start_rings(&a), 0);
	TEST_ASSERT(link_becomes(&b, true));
	a.fe.ring[0].avail->idx += 1000;
	atomic_store(&a.slow, true);
	TEST_EQ(pthread_create(&lcore, NULL, receive_one, &b), 0);
	m = frame(100, 0);
	while (weir_port_link(b.port))
		TEST_EQ(weir_port_tx_burst(b.txq, &m, 1), 0);
	rte_pktmbuf_free(m);
	TEST_EQ(pthread_join(lcore, NULL), 0);
	TEST_ASSERT(pages_are_the_guests(&a));
	TEST_EQ(depart(&a, &b), TEST_OK);
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

/* The same while the control thread sleeps, which nobody but the watcher notices. */
static enum test_result
control_thread_wakes_when_its_frontend_dies(void)
{
	enum test_result r = no_userfaultfd();
	struct vhost_vring_addr addr;
	const struct vhost_vring_state num = { 0, FE_RING }, on = { 0, 1 };
	const uint64_t nofd = WEIR_VHOST_RING_NOFD;
	struct arrival a;
	struct bench b;

	if (r != TEST_OK)
		return r;
	TEST_EQ(bench_open_postcopy(&b, NULL), 0);
	TEST_EQ(arrive(&a, &b, 0), TEST_OK);
	atomic_store(&a.deaf, true);
	addr = fe_ring_addr(&a.fe, 0);
	TEST_EQ(fe_msg_ack(&a.fe, WEIR_VHOST_SET_VRING_NUM, &num, sizeof(num), NULL, 0),
		0);
	TEST_EQ(fe_msg_ack(&a.fe, WEIR_VHOST_SET_VRING_ADDR, &addr, sizeof(addr), NULL,
			   0),
		0);
	TEST_EQ(fe_msg_ack(&a.fe, WEIR_VHOST_SET_VRING_KICK, &nofd, sizeof(nofd), NULL,
			   0),
		0);
	TEST_EQ(fe_msg(&a.fe, WEIR_VHOST_SET_VRING_ENABLE, &on, sizeof(on), NULL, 0, NULL,
		       0),
		0);
	TEST_ASSERT(waits_for_fault(&a));
	TEST_EQ(depart(&a, &b), TEST_OK);
	TEST_EQ(arrive(&a, &b, SLOTS), TEST_OK);
	TEST_EQ(start_rings(&a), 0);
	TEST_EQ(sent_before_is_received(&a, &b), TEST_OK);
	TEST_EQ(depart(&a, &b), TEST_OK);
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

/* Rings wait until faults are served; memory that goes is forgotten. */
static enum test_result
rings_wait_until_faults_are_served(void)
{
	enum test_result r = no_userfaultfd();
	struct weir_vhost_wire_mem_reg reg;
	struct arrival a;
	struct bench b;
	struct fe_mem m;

	if (r != TEST_OK)
		return r;
	TEST_EQ(bench_open_postcopy(&b, NULL), 0);
	a = (struct arrival){ .uffd = -1 };
	TEST_EQ(fe_connect(&a.fe, b.path, 1), 0);
	TEST_EQ(fe_features(&a.fe, ALL_FEATURES), 0);
	TEST_EQ(fe_protocol(&a.fe, PF), 0);
	TEST_ASSERT(fe_msg_ack(&a.fe, WEIR_VHOST_POSTCOPY_LISTEN, NULL, 0, NULL, 0) > 0);
	TEST_ASSERT(said("without POSTCOPY_ADVISE"));
	TEST_EQ(advise(&a), 0);
	close(a.uffd);
	TEST_EQ(advise(&a), 0);
	TEST_EQ(fe_msg_ack(&a.fe, WEIR_VHOST_POSTCOPY_LISTEN, NULL, 0, NULL, 0), 0);
	for (unsigned int i = 0; i < 2; i++)
		TEST_EQ(fe_ring_start(&a.fe, i, FE_BASE_NEW), 0);
	reg = (struct weir_vhost_wire_mem_reg){
		.region = { FE_GPA, a.fe.mem_len, (uintptr_t)a.fe.mem, 0 },
	};
	TEST_EQ(fe_msg(&a.fe, WEIR_VHOST_ADD_MEM_REG, &reg, sizeof(reg), &a.fe.mem_fd, 1,
		       &reg, sizeof(reg)),
		0);
	/* its pages are there, and the frontend has not said so */
	for (size_t i = 0; i < a.fe.mem_len; i += PAGE)
		(void)*(volatile uint8_t *)(a.fe.mem + i);
	TEST_ASSERT(!weir_port_link(b.port));
	TEST_EQ(fe_msg_ack(&a.fe, WEIR_VHOST_ADD_MEM_REG, &(uint64_t){ 0 }, 8, NULL, 0),
		0);
	TEST_ASSERT(weir_port_link(b.port));
	TEST_EQ(fe_mem_open(&m, "weir-test-mem", 0x200000000, 0x100000), 0);
	for (int round = 0; round < 20; round++) {
		reg.region = (struct weir_vhost_wire_region){ m.gpa, m.len,
							      (uintptr_t)m.mem, 0 };
		TEST_EQ(fe_msg(&a.fe, WEIR_VHOST_ADD_MEM_REG, &reg, sizeof(reg), &m.fd, 1,
			       &reg, sizeof(reg)),
			0);
		TEST_ASSERT(reg.region.user != 0);
		TEST_EQ(fe_mem_del(&a.fe, &m), 0);
	}
	fe_mem_close(&m);
	TEST_EQ(fe_msg_ack(&a.fe, WEIR_VHOST_POSTCOPY_END, NULL, 0, NULL, 0), 0);
	TEST_EQ(fe_msg_ack(&a.fe, WEIR_VHOST_POSTCOPY_END, NULL, 0, NULL, 0), 0);
	close(a.uffd);
	fe_close(&a.fe);
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

/* The port cannot listen, with no descriptor left: it parts with a frontend that would
 * take it for one that does. */
static enum test_result
failed_listen_parts_with_the_frontend(void)
{
	struct rlimit was, none;
	struct pollfd fd = { .events = POLLIN };
	struct arrival a;
	struct bench b;
	int64_t answer;

	TEST_EQ(bench_open_postcopy(&b, NULL), 0);
	TEST_EQ(fe_connect(&a.fe, b.path, 1), 0);
	TEST_EQ(fe_features(&a.fe, ALL_FEATURES), 0);
	TEST_EQ(fe_protocol(&a.fe, PF), 0);
	TEST_EQ(advise(&a), 0);
	TEST_EQ(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = (struct rlimit){ 0, was.rlim_max };
	TEST_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
	answer = fe_msg_ack(&a.fe, WEIR_VHOST_POSTCOPY_LISTEN, NULL, 0, NULL, 0);
	TEST_EQ(setrlimit(RLIMIT_NOFILE, &was), 0);
	TEST_ASSERT(answer != 0);
	/* nothing more is said, but good-bye */
	fd.fd = a.fe.sock;
	TEST_EQ(poll(&fd, 1, 10000), 1);
	TEST_EQ(recv(a.fe.sock, &answer, 1, 0), 0);
	TEST_ASSERT(said("POSTCOPY_LISTEN"));
	close(a.uffd);
	fe_close(&a.fe);
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

static const struct test_case cases[] = {
	{ "guest_arrives_by_cpu", guest_arrives_by_cpu },
	{ "guest_arrives_before_dma", guest_arrives_before_dma },
	{ "guest_arrives_behind_a_viommu", guest_arrives_behind_a_viommu },
	{ "guest_arrives_where_memory_is_locked", guest_arrives_where_memory_is_locked },
	{ "lcore_wakes_when_its_frontend_dies", lcore_wakes_when_its_frontend_dies },
	{ "peer_parted_with_keeps_its_pages", peer_parted_with_keeps_its_pages },
	{ "control_thread_wakes_when_its_frontend_dies",
	  control_thread_wakes_when_its_frontend_dies },
	{ "others_do_not_wait_for_a_page", others_do_not_wait_for_a_page },
	{ "rings_wait_until_faults_are_served", rings_wait_until_faults_are_served },
	{ "failed_listen_parts_with_the_frontend",
	  failed_listen_parts_with_the_frontend },
};

AUTOTEST_EAL(port_postcopy_autotest, cases);
