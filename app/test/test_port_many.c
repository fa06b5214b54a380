/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Many ports on one control thread, half of them clients: guests come and go, one of
 * them never stops sending messages, and nobody waits for another.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "port_bench.h"
#include "run_folder.h"

#define NR_PORTS 64u
#define NR_STEADY 6u /* guests that stay */
#define ROUNDS 3u
#define FRAMES 6u
#define WAIT_MS 20000

struct end {
	struct bench b;
	struct fe fe;
	char name[16];
	int listen_fd; /* -1: the port listens */
	bool open;
};

static struct end ends[NR_PORTS];

/* Where a port in client mode finds its frontend. */
static int
listen_at(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	unlink(path);
	if (s < 0 || bind(s, (struct sockaddr *)&a, sizeof(a)) != 0 || listen(s, 4) != 0)
		return -errno;
	return s;
}

static int
port_open(struct end *e, unsigned int i)
{
	const bool client = i % 2 == 1;
	struct weir_port_conf conf = {
		.name = e->name,
		.path = e->b.path,
		.nr_pairs = 1,
		.client = client,
	};
	int ret;

	snprintf(e->name, sizeof(e->name), "w%u", i);
	run_folder_path(e->b.path, sizeof(e->b.path), e->name);
	e->listen_fd = -1;
	ret = weir_port_create(&conf, &e->b.port);
	if (ret == 0)
		ret = weir_port_rxq_setup(e->b.port, 0, pool, NULL);
	if (ret == 0)
		ret = weir_port_txq_setup(e->b.port, 0, NULL);
	if (ret == 0)
		ret = weir_port_start(e->b.port);
	/* nobody is there yet: it tries again */
	if (ret == 0 && client)
		e->listen_fd = listen_at(e->b.path);
	e->b.rxq = weir_port_rxq(e->b.port, 0);
	e->b.txq = weir_port_txq(e->b.port, 0);
	return ret != 0 ? ret : client && e->listen_fd < 0 ? e->listen_fd : 0;
}

static void
port_close(struct end *e)
{
	weir_port_destroy(e->b.port);
	if (e->listen_fd < 0)
		return;
	close(e->listen_fd);
	unlink(e->b.path);
}

/* A guest comes, by whichever side connects. */
static int
guest_connect(struct end *e)
{
	struct pollfd p = { .fd = e->listen_fd, .events = POLLIN };

	if (e->listen_fd < 0)
		return fe_connect(&e->fe, e->b.path, 1);
	if (poll(&p, 1, WAIT_MS) != 1)
		return -ETIMEDOUT;
	return fe_adopt(&e->fe, accept4(e->listen_fd, NULL, NULL, SOCK_CLOEXEC), 1);
}

static enum test_result
traffic(struct end *e)
{
	TEST_EQ(to_host(&e->b, &e->fe, FRAMES), TEST_OK);
	TEST_EQ(to_guest(&e->b, &e->fe, FRAMES), TEST_OK);
	return TEST_OK;
}

static enum test_result
guest_open(struct end *e)
{
	TEST_EQ(guest_connect(e), 0);
	TEST_EQ(fe_features(&e->fe, ALL_FEATURES), 0);
	TEST_EQ(fe_share(&e->fe), 0);
	for (unsigned int i = 0; i < 2; i++)
		TEST_EQ(fe_ring_start(&e->fe, i, FE_BASE_NEW), 0);
	TEST_ASSERT(weir_port_link(e->b.port));
	e->open = true;
	return TEST_OK;
}

/* Goes without a word, or after some that make no sense. */
static enum test_result
guest_close(struct end *e, bool rude)
{
	static const char noise[100];

	if (rude)
		(void)!send(e->fe.sock, noise, sizeof(noise), MSG_NOSIGNAL);
	fe_close(&e->fe);
	TEST_ASSERT(link_becomes(&e->b, false));
	e->open = false;
	return TEST_OK;
}

/* One that sends as fast as it can what needs no answer, and reads nothing. */
static _Atomic bool flood_ends;
static _Atomic uint64_t flooded;

static void *
flood(void *arg)
{
	const struct weir_vhost_hdr h = { WEIR_VHOST_SET_OWNER, WEIR_VHOST_VERSION, 0 };
	const struct fe *f = arg;

	while (!atomic_load(&flood_ends) &&
	       send(f->sock, &h, sizeof(h), MSG_NOSIGNAL) == sizeof(h))
		atomic_fetch_add(&flooded, 1);
	return NULL;
}

/* All others come, some go, those that are there have traffic. */
static enum test_result
round_of_guests(uint64_t *rnd)
{
	for (unsigned int n = 0; n < 3 * NR_PORTS; n++) {
		struct end *e = &ends[1 + test_rand(rnd) % (NR_PORTS - 1)];
		struct end *s = &ends[1 + test_rand(rnd) % NR_STEADY];

		if (!e->open)
			TEST_EQ(guest_open(e), TEST_OK);
		else if (e > &ends[NR_STEADY])
			TEST_EQ(guest_close(e, test_rand(rnd) % 4 == 0), TEST_OK);
		if (e->open)
			TEST_EQ(traffic(e), TEST_OK);
		if (s->open)
			TEST_EQ(traffic(s), TEST_OK);
	}
	return TEST_OK;
}

static enum test_result
guests_come_and_go(void)
{
	uint64_t rnd = test_seed(), before;
	struct bench first;
	pthread_t flooder;

	/* for the pool of mbufs */
	TEST_EQ(bench_open(&first, NULL, 0), 0);
	for (unsigned int i = 0; i < NR_PORTS; i++)
		TEST_EQ(port_open(&ends[i], i), 0);
	TEST_EQ(guest_open(&ends[0]), TEST_OK);
	atomic_store(&flood_ends, false);
	TEST_EQ(pthread_create(&flooder, NULL, flood, &ends[0].fe), 0);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		before = atomic_load(&flooded);
		TEST_EQ(round_of_guests(&rnd), TEST_OK);
		/* it has its turns as well */
		TEST_ASSERT(atomic_load(&flooded) != before);
	}
	/* all at once */
	for (unsigned int i = 1; i < NR_PORTS; i++)
		if (!ends[i].open)
			TEST_EQ(guest_open(&ends[i]), TEST_OK);
	for (unsigned int i = 1; i < NR_PORTS; i++)
		TEST_EQ(traffic(&ends[i]), TEST_OK);
	atomic_store(&flood_ends, true);
	shutdown(ends[0].fe.sock, SHUT_RDWR);
	pthread_join(flooder, NULL);
	for (unsigned int i = 0; i < NR_PORTS; i++) {
		TEST_EQ(guest_close(&ends[i], false), TEST_OK);
		port_close(&ends[i]);
	}
	TEST_EQ(bench_close(&first), 0);
	return TEST_OK;
}

/* A peer that comes and breaks is left alone for longer each time; one that had its
 * rings running is not. */
static enum test_result
client_waits_longer_each_time(void)
{
	struct end *e = &ends[1];
	struct timespec begin, now;
	struct bench first;
	long came = 0;

	TEST_EQ(bench_open(&first, NULL, 0), 0);
	TEST_EQ(port_open(e, 1), 0);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		struct pollfd p = { .fd = e->listen_fd, .events = POLLIN };

		if (poll(&p, 1, 10) == 1) {
			close(accept4(e->listen_fd, NULL, NULL, SOCK_CLOEXEC));
			came++;
		}
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - begin.tv_sec < 2 || came == 0);
	/* after 10, 20, 40 ... ms, a hundred in the first second without that; seven
	 * until it is a second, and then as many as there are */
	TEST_ASSERT(came <= 8 + (now.tv_sec - begin.tv_sec));
	TEST_EQ(guest_open(e), TEST_OK);
	TEST_EQ(guest_close(e, false), TEST_OK);
	TEST_EQ(guest_open(e), TEST_OK);
	TEST_EQ(traffic(e), TEST_OK);
	TEST_EQ(guest_close(e, false), TEST_OK);
	port_close(e);
	TEST_EQ(bench_close(&first), 0);
	return TEST_OK;
}

static const struct test_case port_many_cases[] = {
	{ "guests_come_and_go", guests_come_and_go },
	{ "client_waits_longer_each_time", client_waits_longer_each_time },
};
AUTOTEST_EAL(port_many_autotest, port_many_cases);
