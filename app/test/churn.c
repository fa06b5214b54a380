/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loaded into an application of EAL's that forwards packets between devices in
 * EAL's VFIO container (`dpdk-testpmd -d libweir_churn.so`): adopts that
 * container, and maps and unmaps beside EAL's own maps while packets go on. An
 * `edu` in the same container shows that what is mapped is there.
 *
 * It waits until two ports have received, does its work, and ends the
 * application with SIGINT; if anything was not as it should be, with exit code 1.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_ethdev.h>

#include "edu.h"
#include "test.h"
#include "weir_map.h"
#include "weir_mirror.h"
#include "weir_space.h"
#include "weir_vfio.h"

#define NR_PORTS 2u
#define CHUNK UINT64_C(0x10000)
#define NR_CHUNKS 16u
#define LEN (NR_CHUNKS * CHUNK)
#define BASE UINT64_C(0x8000000) /* where edu reaches, and EAL maps nothing */
#define ROUNDS 300u
#define PACKETS_MORE 256u /* a port, while rounds go on */
#define WAIT_MS 90000u
#define DEVICE_WORD UINT32_C(0) /* edu's memory as it is at first */
#define OUR_WORD UINT32_C(0x77e1da7a)

/* What is under test, and what there was before. */
struct churn {
	struct weir_vfio *vfio; /* the mirror's, once that is made */
	struct weir_mirror *mirror;
	struct edu edu;
	char *mem;
	uint64_t rnd;
	uint64_t max_entries;
	bool mapped[NR_CHUNKS];
};

static atomic_bool passed;

static uint64_t
received(uint16_t port)
{
	struct rte_eth_stats stats;

	return rte_eth_stats_get(port, &stats) == 0 ? stats.ipackets : 0;
}

/* Wait until each port has received so many. */
static bool
packets_wait(const uint64_t want[NR_PORTS])
{
	for (unsigned int ms = 0; ms < WAIT_MS; ms += 10) {
		bool all = rte_eth_dev_count_avail() == NR_PORTS;

		for (uint16_t p = 0; all && p < NR_PORTS; p++)
			all = received(p) >= want[p];
		if (all)
			return true;
		usleep(10000);
	}
	printf("    the ports do not receive\n");
	return false;
}

static enum test_result
container_adopted(struct churn *c)
{
	struct weir_iommu_caps caps;

	TEST_EQ(weir_vfio_adopt(weir_space_eal_container(), &c->vfio), 0);
	/* EAL's choice, and the reason for chunks */
	TEST_EQ(weir_vfio_iommu(c->vfio), WEIR_VFIO_TYPE1_V1);
	TEST_EQ(weir_vfio_ops(c->vfio)->caps(c->vfio, &caps), 0);
	TEST_ASSERT(caps.max_entries < 65535); /* EAL has some of them */
	c->max_entries = caps.max_entries;
	return TEST_OK;
}

static enum test_result
device_joins(struct churn *c)
{
	const char *name = edu_find();
	int fd;

	TEST_ASSERT(name != NULL);
	TEST_EQ(weir_vfio_attach(c->vfio, name), 0);
	TEST_EQ(weir_vfio_device(c->vfio, name, &fd), 0);
	TEST_ASSERT(edu_open(&c->edu, fd));
	return TEST_OK;
}

static int
chunk_toggle(struct churn *c, unsigned int i)
{
	uint64_t off = i * CHUNK;
	struct weir_region r = {
		.iova = { BASE + off, BASE + off + CHUNK - 1 },
		.hva = (uint64_t)(uintptr_t)c->mem + off,
		.chunk = CHUNK,
		.prot = WEIR_PROT_READ | WEIR_PROT_WRITE,
	};
	int ret = c->mapped[i] ? weir_mirror_unmap(c->mirror, r.iova)
			       : weir_mirror_map(c->mirror, &r);

	c->mapped[i] = ret == 0 ? !c->mapped[i] : c->mapped[i];
	return ret;
}

/* True if edu's write to a chunk that is mapped is there. */
static bool
device_reaches(struct churn *c, unsigned int i)
{
	uint32_t word = OUR_WORD;

	memcpy(c->mem + i * CHUNK, &word, sizeof(word));
	if (!edu_write(&c->edu, BASE + i * CHUNK, sizeof(word)))
		return false;
	memcpy(&word, c->mem + i * CHUNK, sizeof(word));
	return word == DEVICE_WORD;
}

/* One round: some chunks come, some go, and now and then a device looks. */
static enum test_result
round_run(struct churn *c, unsigned int n)
{
	for (unsigned int k = 0; k < 8; k++)
		TEST_EQ(chunk_toggle(c, (unsigned int)(test_rand(&c->rnd) % NR_CHUNKS)),
			0);
	for (unsigned int i = 0; n % 50 == 0 && i < NR_CHUNKS; i++) {
		if (c->mapped[i]) {
			TEST_ASSERT(device_reaches(c, i));
			break;
		}
	}
	return TEST_OK;
}

/* A plain region is split by its chunks: the middle goes, the rest stays. */
static enum test_result
middle_goes(struct churn *c)
{
	struct weir_region all = {
		.iova = { BASE, BASE + LEN - 1 },
		.hva = (uint64_t)(uintptr_t)c->mem,
		.chunk = CHUNK,
		.prot = WEIR_PROT_READ | WEIR_PROT_WRITE,
	};
	struct weir_range middle = { BASE + 4 * CHUNK, BASE + 12 * CHUNK - 1 };

	for (unsigned int i = 0; i < NR_CHUNKS; i++)
		if (c->mapped[i])
			TEST_EQ(chunk_toggle(c, i), 0);
	TEST_EQ(weir_mirror_map(c->mirror, &all), 0);
	TEST_EQ(weir_mirror_unmap(c->mirror, middle), 0);
	TEST_ASSERT(device_reaches(c, 3));
	TEST_ASSERT(device_reaches(c, 12));
	return TEST_OK;
}

/* What we have done EAL's maps, entries and packets do not notice. */
static enum test_result
packets_go_on(struct churn *c)
{
	uint64_t want[NR_PORTS];

	for (uint16_t p = 0; p < NR_PORTS; p++)
		want[p] = received(p) + PACKETS_MORE;
	for (unsigned int n = 0; n < ROUNDS; n++)
		if (round_run(c, n) != TEST_OK)
			return TEST_FAILED;
	TEST_ASSERT(packets_wait(want));
	return TEST_OK;
}

static enum test_result
mirror_is_whole(struct churn *c)
{
	struct weir_mirror_stats stats;
	struct weir_iommu_caps caps;

	weir_mirror_stats(c->mirror, &stats);
	TEST_EQ(stats.refused, 0);
	TEST_EQ(stats.settled, 0);
	TEST_EQ(weir_mirror_broken(c->mirror), 0);
	TEST_EQ(weir_mirror_detach(c->mirror, c->vfio), 0);
	TEST_EQ(weir_vfio_ops(c->vfio)->caps(c->vfio, &caps), 0);
	TEST_EQ(caps.max_entries, c->max_entries);
	return TEST_OK;
}

static enum test_result
leaves_nothing(struct churn *c)
{
	struct weir_vfio *again;
	struct weir_iommu_caps caps;
	uint64_t want[NR_PORTS];

	edu_close(&c->edu);
	weir_vfio_destroy(c->vfio);
	c->vfio = NULL;
	TEST_EQ(weir_vfio_adopt(weir_space_eal_container(), &again), 0);
	TEST_EQ(weir_vfio_ops(again)->caps(again, &caps), 0);
	weir_vfio_destroy(again);
	TEST_EQ(caps.max_entries, c->max_entries);
	for (uint16_t p = 0; p < NR_PORTS; p++)
		want[p] = received(p) + PACKETS_MORE;
	TEST_ASSERT(packets_wait(want));
	return TEST_OK;
}

static enum test_result
mirror_made(struct churn *c)
{
	c->rnd = 1;
	c->mem = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	TEST_ASSERT(c->mem != MAP_FAILED);
	TEST_EQ(weir_mirror_create("churn", &c->mirror), 0);
	TEST_EQ(weir_mirror_attach(c->mirror, weir_vfio_ops(c->vfio), c->vfio), 0);
	return TEST_OK;
}

/* In this order; what comes after a failure has nothing to stand on. */
static const struct {
	const char *name;
	enum test_result (*run)(struct churn *c);
} steps[] = {
	{ "churn_container_of_eal_adopted", container_adopted },
	{ "churn_device_joins_the_container", device_joins },
	{ "churn_mirror_made", mirror_made },
	{ "churn_packets_go_on_beside_maps_and_unmaps", packets_go_on },
	{ "churn_middle_goes_and_the_rest_stays", middle_goes },
	{ "churn_mirror_is_whole", mirror_is_whole },
	{ "churn_leaves_nothing_behind", leaves_nothing },
};
#define NR_STEPS (sizeof(steps) / sizeof(steps[0]))

static void *
churn_run(void *arg)
{
	static struct churn c;
	size_t done = 0;

	(void)arg;
	if (packets_wait((const uint64_t[NR_PORTS]){ 1, 1 })) {
		printf("churn\n");
		while (done < NR_STEPS && steps[done].run(&c) == TEST_OK)
			printf("  %-9s %s\n", "ok", steps[done++].name);
		if (done < NR_STEPS)
			printf("  %-9s %s\n", "FAILED", steps[done].name);
	}
	printf("churn: %zu passed, %zu failed, 0 skipped\n", done, NR_STEPS - done);
	fflush(stdout);
	atomic_store(&passed, done == NR_STEPS);
	kill(getpid(), SIGINT);
	return NULL;
}

__attribute__((constructor)) static void
churn_start(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, churn_run, NULL) == 0)
		pthread_detach(thread);
}

/* The application knows nothing of us, so its exit code does not either. */
__attribute__((destructor)) static void
churn_verdict(void)
{
	fflush(stdout);
	if (!atomic_load(&passed))
		_exit(1);
}
