/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control queue: its commands one by one, then behind a port whose frontend
 * hands it over.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <linux/virtio_net.h>

#include "ctrlq.h"
#include "ctrlq_bench.h"
#include "offload.h"
#include "test.h"

#define ALL UINT64_MAX
#define F(name) OFFLOAD_BIT(name)

struct command {
	const char *what;
	uint8_t bytes[64];
	uint8_t len;
	uint64_t features;
	uint8_t answer;
	unsigned int changed;
};

#define OK(f, c) f, VIRTIO_NET_OK, c
#define ERR(f) f, VIRTIO_NET_ERR, 0

/* Up to the table: types, mask, unclassified. */
#define RSS(types, mask, other) 4, 1, types, 0, 0, 0, mask, 0, other, 0
#define RSS_CHANGED (CTRLQ_PAIRS | CTRLQ_HASH)

static const struct command commands[] = {
	{ "nothing", { 0 }, 0, ERR(ALL) },
	{ "a class only", { 0 }, 1, ERR(ALL) },
	{ "promisc", { 0, 0, 1 }, 3, OK(F(CTRL_RX), CTRLQ_FILTER) },
	{ "promisc, not negotiated", { 0, 0, 1 }, 3, ERR(~F(CTRL_RX)) },
	{ "promisc 2", { 0, 0, 2 }, 3, ERR(ALL) },
	{ "promisc, short", { 0, 0 }, 2, ERR(ALL) },
	{ "promisc, long", { 0, 0, 1, 0 }, 4, ERR(ALL) },
	{ "no broadcast", { 0, 5, 1 }, 3, OK(F(CTRL_RX_EXTRA), CTRLQ_FILTER) },
	{ "no broadcast, only CTRL_RX", { 0, 5, 1 }, 3, ERR(F(CTRL_RX)) },
	{ "rx command 6", { 0, 6, 1 }, 3, ERR(ALL) },
	{ "two empty tables", { 1, 0 }, 10, OK(F(CTRL_RX), CTRLQ_FILTER) },
	{ "one table", { 1, 0 }, 6, ERR(ALL) },
	{ "a table and bytes", { 1, 0 }, 11, ERR(ALL) },
	{ "a table of one, cut", { 1, 0, 1, 0, 0, 0, 2, 2, 2, 2, 2 }, 11, ERR(ALL) },
	{ "a table of 2^32 - 1", { 1, 0, 255, 255, 255, 255 }, 20, ERR(ALL) },
	{ "an address",
	  { 1, 1, 2, 0, 0, 0, 0, 9 },
	  8,
	  OK(F(CTRL_MAC_ADDR), CTRLQ_FILTER) },
	{ "an address, short", { 1, 1, 2, 0, 0, 0, 0 }, 7, ERR(ALL) },
	{ "an address of a group", { 1, 1, 3, 0, 0, 0, 0, 9 }, 8, ERR(ALL) },
	{ "an address, not negotiated", { 1, 1, 2, 0, 0, 0, 0, 9 }, 8, ERR(F(CTRL_RX)) },
	{ "VLAN 4095", { 2, 0, 0xff, 0x0f }, 4, OK(F(CTRL_VLAN), CTRLQ_FILTER) },
	{ "VLAN 4096", { 2, 0, 0, 0x10 }, 4, ERR(ALL) },
	{ "VLAN command 2", { 2, 2, 1, 0 }, 4, ERR(ALL) },
	{ "announced", { 3, 0 }, 2, OK(F(GUEST_ANNOUNCE), CTRLQ_ANNOUNCED) },
	{ "announced, long", { 3, 0, 0 }, 3, ERR(ALL) },
	{ "4 pairs", { 4, 0, 4, 0 }, 4, OK(F(MQ), CTRLQ_PAIRS) },
	{ "4 pairs, not negotiated", { 4, 0, 4, 0 }, 4, ERR(~F(MQ)) },
	{ "5 pairs", { 4, 0, 5, 0 }, 4, ERR(ALL) },
	{ "no pairs", { 4, 0, 0, 0 }, 4, ERR(ALL) },
	{ "RSS, cut", { 4, 1, 0, 0 }, 4, ERR(ALL) },
	{ "RSS", { RSS(0x3f, 0, 1), 1, 0, 3, 0, 0 }, 15, OK(F(RSS), RSS_CHANGED) },
	{ "RSS, not negotiated", { RSS(1, 0, 0), 1, 0, 3, 0, 0 }, 15, ERR(~F(RSS)) },
	{ "RSS by home address", { RSS(0x40, 0, 0), 1, 0, 3, 0, 0 }, 15, ERR(ALL) },
	{ "RSS, 3 entries", { RSS(1, 2, 0), 1, 0, 1, 0, 1, 0, 1, 0, 0 }, 19, ERR(ALL) },
	{ "RSS, 256 entries", { RSS(1, 0xff, 0) }, 24, ERR(ALL) },
	{ "RSS to pair 4", { RSS(1, 0, 0), 4, 0, 3, 0, 0 }, 15, ERR(ALL) },
	{ "RSS, unclassified to pair 4", { RSS(1, 0, 4), 0, 0, 3, 0, 0 }, 15, ERR(ALL) },
	{ "RSS, sends on no pair", { RSS(1, 0, 0), 1, 0, 0, 0, 0 }, 15, ERR(ALL) },
	{ "RSS, sends on 5 pairs", { RSS(1, 0, 0), 1, 0, 5, 0, 0 }, 15, ERR(ALL) },
	{ "RSS, a key of 41", { RSS(1, 0, 0), 1, 0, 3, 0, 41 }, 15 + 41, ERR(ALL) },
	{ "RSS, a key of 2 in 1", { RSS(1, 0, 0), 1, 0, 3, 0, 2, 7 }, 16, ERR(ALL) },
	{ "RSS, a key and bytes", { RSS(1, 0, 0), 1, 0, 3, 0, 1, 7, 7 }, 17, ERR(ALL) },
	{ "hashes", { 4, 2, 0x3f, 0 }, 15, OK(F(HASH_REPORT), CTRLQ_HASH) },
	{ "hashes, not negotiated", { 4, 2, 0x3f, 0 }, 15, ERR(~F(HASH_REPORT)) },
	{ "hashes by home address", { 4, 2, 0, 1 }, 15, ERR(ALL) },
	{ "hashes, short", { 4, 2, 0x3f, 0 }, 14, ERR(ALL) },
	{ "hashes, long", { 4, 2, 0x3f, 0 }, 16, ERR(ALL) },
	{ "multiqueue command 3", { 4, 3, 1, 0 }, 4, ERR(ALL) },
	{ "checksums",
	  { 5, 0, 2 },
	  10,
	  OK(F(CTRL_GUEST_OFFLOADS) | F(GUEST_CSUM), CTRLQ_OFFLOADS) },
	{ "checksums, not negotiated", { 5, 0, 2 }, 10, ERR(F(CTRL_GUEST_OFFLOADS)) },
	{ "what is no offload", { 5, 0, 0, 0, 2 }, 10, ERR(ALL) },
	{ "offloads, short", { 5, 0, 2 }, 9, ERR(ALL) },
	{ "calls by time", { 6, 1, 9, 0, 0, 0, 8 }, 10, OK(F(NOTF_COAL), CTRLQ_COAL) },
	{ "calls by time, not negotiated", { 6, 1, 9 }, 10, ERR(~F(NOTF_COAL)) },
	{ "calls by time, short", { 6, 0, 9 }, 9, ERR(ALL) },
	{ "calls by time, long", { 6, 0, 9 }, 11, ERR(ALL) },
	{ "calls of ring 7", { 6, 2, 7 }, 14, OK(F(VQ_NOTF_COAL), CTRLQ_COAL) },
	{ "calls of ring 8", { 6, 2, 8 }, 14, ERR(ALL) },
	{ "calls of ring 7, not negotiated", { 6, 2, 7 }, 14, ERR(F(NOTF_COAL)) },
	{ "calls of ring 7, asked", { 6, 3, 7 }, 6, OK(F(VQ_NOTF_COAL), 0) },
	{ "calls of ring 8, asked", { 6, 3, 8 }, 6, ERR(ALL) },
	{ "calls of ring 7, asked, long", { 6, 3, 7 }, 7, ERR(ALL) },
	{ "calls, command 4", { 6, 4, 7 }, 14, ERR(ALL) },
	{ "a class there is not", { 99, 0, 1 }, 3, ERR(ALL) },
};

static enum test_result
commands_checked_whole(void)
{
	for (size_t i = 0; i < RTE_DIM(commands); i++) {
		const struct command *cmd = &commands[i];
		struct ctrlq c, before;
		unsigned int changed = 77;
		uint8_t answer;

		ctrlq_reset(&c, cmd->features);
		before = c;
		answer = ctrlq_command(&c, cmd->features, 4, cmd->bytes, cmd->len,
				       &changed);
		if (answer != cmd->answer || changed != cmd->changed) {
			printf("    %s: %u, changed %u\n", cmd->what, answer, changed);
			return TEST_FAILED;
		}
		TEST_EQ(c.commands, 1);
		TEST_EQ(c.refused, answer == VIRTIO_NET_ERR);
		if (answer == VIRTIO_NET_OK)
			continue;
		c.commands = 0;
		c.refused = 0;
		TEST_ASSERT(memcmp(&c, &before, sizeof(c)) == 0);
	}
	return TEST_OK;
}

static enum test_result
wishes_kept(void)
{
	uint8_t cmd[2 + 4 + 70 * 6 + 4 + 6] = { 1, 0, 70 };
	struct ctrlq c;
	unsigned int changed;

	ctrlq_reset(&c, ALL);
	TEST_ASSERT(c.filter.promiscuous && !c.filter.all_vlans);
	memset(cmd + 6, 4, 70 * 6);
	cmd[6 + 70 * 6] = 1;
	memset(cmd + 10 + 70 * 6, 0x33, 6);
	TEST_EQ(ctrlq_command(&c, ALL, 4, cmd, sizeof(cmd), &changed), VIRTIO_NET_OK);
	TEST_ASSERT(c.filter.unicast.overflow && c.filter.unicast.nr == 0);
	TEST_ASSERT(!c.filter.multicast.overflow);
	TEST_EQ(c.filter.multicast.nr, 1);
	TEST_EQ(c.filter.multicast.mac[0][5], 0x33);
	TEST_EQ(ctrlq_command(&c, ALL, 4, (uint8_t[]){ 2, 0, 100, 0 }, 4, &changed), 0);
	TEST_EQ(c.filter.vlan[1], UINT64_C(1) << 36);
	TEST_EQ(ctrlq_command(&c, ALL, 4, (uint8_t[]){ 2, 1, 100, 0 }, 4, &changed), 0);
	TEST_EQ(c.filter.vlan[1], 0);
	TEST_EQ(ctrlq_command(&c, ALL, 4, (uint8_t[]){ 0, 0, 0 }, 3, &changed), 0);
	TEST_ASSERT(!c.filter.promiscuous);
	TEST_EQ(ctrlq_command(&c, ALL, 4, (uint8_t[]){ 4, 0, 3, 0 }, 4, &changed), 0);
	TEST_EQ(c.nr_pairs, 3);
	/* pairs are those that are sent on, and those that are received on */
	TEST_EQ(ctrlq_command(
			&c, ALL, 4,
			(uint8_t[]){ RSS(7, 1, 0), 3, 0, 1, 0, 2, 0, 2, 0xaa, 0xbb }, 19,
			&changed),
		0);
	TEST_EQ(c.nr_pairs, 4);
	TEST_EQ(c.hash.table_len, 2);
	TEST_EQ(c.hash.table[0], 3);
	TEST_EQ(c.hash.table[1], 1);
	TEST_EQ(c.hash.types, 7);
	TEST_ASSERT(c.hash.key[1] == 0xbb && c.hash.key[2] == 0);
	/* hashes without queues leave those as they are, */
	TEST_EQ(ctrlq_command(&c, ALL, 4, (uint8_t[15]){ 4, 2, 1 }, 15, &changed), 0);
	TEST_ASSERT(c.hash.types == 1 && c.hash.key[1] == 0 && c.hash.table_len == 2);
	/* pairs without hashes do not */
	TEST_EQ(ctrlq_command(&c, ALL, 4, (uint8_t[]){ 4, 0, 2, 0 }, 4, &changed), 0);
	TEST_EQ(changed, RSS_CHANGED);
	TEST_ASSERT(c.hash.table_len == 0 && c.nr_pairs == 2);
	return TEST_OK;
}

/* Any bytes at all: no crash, and what is refused changes nothing. */
static enum test_result
noise_survived(void)
{
	uint64_t seed = test_seed();
	uint8_t cmd[64];

	for (int i = 0; i < 200000; i++) {
		struct ctrlq c, before;
		unsigned int changed;
		size_t len = test_rand(&seed) % sizeof(cmd);

		for (size_t at = 0; at < len; at++)
			cmd[at] = (uint8_t)(test_rand(&seed) %
					    (at < 7 ? 8 : UINT64_C(256)));
		ctrlq_reset(&c, test_rand(&seed));
		before = c;
		if (ctrlq_command(&c, test_rand(&seed), 4, cmd, len, &changed) == 0)
			continue;
		c.commands = 0;
		c.refused = 0;
		TEST_ASSERT(memcmp(&c, &before, sizeof(c)) == 0);
	}
	return TEST_OK;
}

static enum test_result
driver_chooses_pairs(uint64_t features)
{
	TEST_EQ(ctrlq_open(features, false), 0);
	TEST_ASSERT(BECOMES(weir_port_link(ctrlq_bench.port)));
	/* a driver that has not asked uses one */
	TEST_ASSERT(ctrlq_pair_runs(0) && !ctrlq_pair_runs(1));
	for (int round = 0; round < 100; round++) {
		TEST_EQ(ctrlq_send((uint8_t[]){ 4, 0, 2, 0 }, 4), VIRTIO_NET_OK);
		TEST_ASSERT(ctrlq_pair_runs(0) && ctrlq_pair_runs(1));
		TEST_EQ(ctrlq_send((uint8_t[]){ 4, 0, 3, 0 }, 4), VIRTIO_NET_ERR);
		TEST_ASSERT(ctrlq_pair_runs(1));
		TEST_EQ(ctrlq_send((uint8_t[]){ 4, 0, 1, 0 }, 4), VIRTIO_NET_OK);
		TEST_ASSERT(ctrlq_pair_runs(0) && !ctrlq_pair_runs(1));
	}
	ctrlq_close();
	return TEST_OK;
}

static enum test_result
port_driver_chooses_pairs_split(void)
{
	return driver_chooses_pairs(~(UINT64_C(1) << VIRTIO_F_RING_PACKED));
}

static enum test_result
port_driver_chooses_pairs_packed(void)
{
	return driver_chooses_pairs(ALL);
}

/* A change of memory restarts the rings; the driver's wishes outlive it. */
static enum test_result
port_keeps_wishes_across_memory(void)
{
	TEST_EQ(ctrlq_open(ALL, false), 0);
	TEST_EQ(ctrlq_send((uint8_t[]){ 4, 0, 2, 0 }, 4), VIRTIO_NET_OK);
	TEST_EQ(fe_share(&ctrlq_bench.fe), 0);
	TEST_ASSERT(ctrlq_pair_runs(0) && ctrlq_pair_runs(1));
	TEST_EQ(ctrlq_send((uint8_t[]){ 4, 0, 1, 0 }, 4), VIRTIO_NET_OK);
	TEST_ASSERT(!ctrlq_pair_runs(1));
	weir_port_stop(ctrlq_bench.port);
	TEST_EQ(weir_port_start(ctrlq_bench.port), 0);
	TEST_ASSERT(ctrlq_pair_runs(0) && !ctrlq_pair_runs(1));
	TEST_EQ(ctrlq_send((uint8_t[]){ 4, 0, 2, 0 }, 4), VIRTIO_NET_OK);
	TEST_ASSERT(ctrlq_pair_runs(1));
	ctrlq_close();
	return TEST_OK;
}

/* Memory comes and goes: commands in it are answered while it is there. */
static enum test_result
memory_under_control_queue(uint64_t features)
{
	const uint8_t all[] = { 0, 0, 1 };
	struct fe_mem m;

	TEST_EQ(ctrlq_open(features, false), 0);
	TEST_ASSERT(BECOMES(weir_port_link(ctrlq_bench.port)));
	TEST_EQ(fe_mem_open(&m, "weir-test-ctrl", 0x200000000, 0x100000), 0);
	for (int round = 0; round < 20; round++) {
		TEST_EQ(ctrlq_send(all, sizeof(all)), VIRTIO_NET_OK);
		TEST_EQ(fe_mem_add(&ctrlq_bench.fe, &m), 0);
		TEST_EQ(ctrlq_send_to(m.mem, m.gpa, all, sizeof(all)), VIRTIO_NET_OK);
		TEST_EQ(ctrlq_send(all, sizeof(all)), VIRTIO_NET_OK);
		TEST_EQ(fe_mem_del(&ctrlq_bench.fe, &m), 0);
	}
	ctrlq_bench.last_error[0] = '\0';
	TEST_EQ(ctrlq_send_to(m.mem, m.gpa, all, sizeof(all)), 0xff);
	TEST_ASSERT(BECOMES(!weir_port_link(ctrlq_bench.port)));
	TEST_ASSERT(strstr(ctrlq_bench.last_error, "outside guest memory") != NULL);
	fe_mem_close(&m);
	ctrlq_close();
	return TEST_OK;
}

static enum test_result
port_serves_while_memory_changes(void)
{
	enum test_result r = memory_under_control_queue(FE_SPLIT);

	return r == TEST_OK ? memory_under_control_queue(ALL) : r;
}

/* A dirty log, in force. @return its bits, LOG_LEN bytes. */
#define LOG_LEN (FE_GPA / 4096 / 8 + 4096)
static uint8_t *
log_begin(void)
{
	const uint64_t pf = WEIR_VHOST_BIT(WEIR_VHOST_PF_LOG_SHMFD);
	const uint64_t features =
		ctrlq_bench.fe.features | WEIR_VHOST_BIT(VHOST_F_LOG_ALL);
	const struct weir_vhost_wire_log log = { LOG_LEN, 0 };
	int fd = memfd_create("weir-test-log", MFD_CLOEXEC);
	struct vhost_vring_addr addr;
	uint64_t answer = 1;
	uint8_t *bits;

	if (fd < 0 || ftruncate(fd, LOG_LEN) != 0 ||
	    fe_protocol(&ctrlq_bench.fe, pf) != 0 ||
	    fe_msg(&ctrlq_bench.fe, WEIR_VHOST_SET_LOG_BASE, &log, sizeof(log), &fd, 1,
		   &answer, sizeof(answer)) != 0 ||
	    answer != 0 ||
	    fe_msg_ack(&ctrlq_bench.fe, WEIR_VHOST_SET_FEATURES, &features,
		       sizeof(features), NULL, 0) != 0)
		return NULL;
	ctrlq_bench.fe.log_used = true;
	addr = fe_ring_addr(&ctrlq_bench.fe, CTRL);
	if (fe_msg_ack(&ctrlq_bench.fe, WEIR_VHOST_SET_VRING_ADDR, &addr, sizeof(addr),
		       NULL, 0) != 0)
		return NULL;
	bits = mmap(NULL, LOG_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return bits != MAP_FAILED ? bits : NULL;
}

/* The bit of the page of something in guest memory; it is cleared. */
static bool
bit_take(uint8_t *bits, const void *p)
{
	const uint64_t page = fe_gpa(&ctrlq_bench.fe, p) / 4096;
	const uint8_t bit = (uint8_t)(1u << page % 8);
	bool set = (bits[page / 8] & bit) != 0;

	bits[page / 8] &= (uint8_t)~bit;
	return set;
}

/* Answers and used entries are in the log, and nothing else is. */
static enum test_result
writes_logged(uint64_t features)
{
	struct weir_guest_filter filter;
	struct fe_ring *r;
	uint8_t *bits;

	TEST_EQ(ctrlq_open(features & ~WEIR_VHOST_BIT(VHOST_F_LOG_ALL), false), 0);
	TEST_ASSERT(BECOMES(weir_port_link(ctrlq_bench.port)));
	bits = log_begin();
	TEST_ASSERT(bits != NULL);
	r = &ctrlq_bench.fe.ring[CTRL];
	for (int round = 0; round < 3; round++) {
		uint8_t *answer = r->buf + (10 + round) * 2 * FE_BUF;

		TEST_EQ(ctrlq_send_to(answer, fe_gpa(&ctrlq_bench.fe, answer),
				      (uint8_t[]){ 0, 0, 1 }, 3),
			VIRTIO_NET_OK);
		/* the control thread is done with it */
		weir_port_guest_filter(ctrlq_bench.port, &filter);
		TEST_ASSERT(bit_take(bits, answer));
		TEST_ASSERT(bit_take(bits, r->packed != NULL ? (void *)r->packed
							     : (void *)r->used));
		if (r->packed != NULL)
			TEST_ASSERT(bit_take(bits, r->device));
		/* those of the other rings, which started anew */
		for (unsigned int i = 0; i < CTRL && r->packed != NULL; i++)
			bit_take(bits, ctrlq_bench.fe.ring[i].device);
		for (size_t i = 0; i < LOG_LEN; i++)
			TEST_EQ(bits[i], 0);
	}
	munmap(bits, LOG_LEN);
	ctrlq_close();
	return TEST_OK;
}

static enum test_result
port_logs_what_it_writes(void)
{
	enum test_result r = writes_logged(FE_SPLIT);

	return r == TEST_OK ? writes_logged(ALL) : r;
}

/* Have what is written into the control queue's ring logged, or not: it starts anew. */
static int64_t
log_used(bool on)
{
	struct vhost_vring_addr addr;

	ctrlq_bench.fe.log_used = on;
	addr = fe_ring_addr(&ctrlq_bench.fe, CTRL);
	return fe_msg_ack(&ctrlq_bench.fe, WEIR_VHOST_SET_VRING_ADDR, &addr, sizeof(addr),
			  NULL, 0);
}

/* A ring that starts is written to, whatever comes of the first command. */
static enum test_result
start_logged(uint64_t features)
{
	struct weir_guest_filter filter;
	struct fe_ring *r;
	uint8_t *bits;

	TEST_EQ(ctrlq_open(features & ~WEIR_VHOST_BIT(VHOST_F_LOG_ALL), false), 0);
	TEST_ASSERT(BECOMES(weir_port_link(ctrlq_bench.port)));
	bits = log_begin();
	TEST_ASSERT(bits != NULL);
	TEST_EQ(log_used(false), 0);
	TEST_EQ(ctrlq_send((uint8_t[]){ 0, 0, 1 }, 3), VIRTIO_NET_OK);
	weir_port_guest_filter(ctrlq_bench.port, &filter);
	memset(bits, 0, LOG_LEN);
	/* without a kick: it is come to when the ring has started */
	r = &ctrlq_bench.fe.ring[CTRL];
	r->desc[0] = (struct vring_desc){ 0, 2, 0, 0 };
	fe_offer(r, 0);
	TEST_EQ(log_used(true), 0);
	TEST_ASSERT(BECOMES(!weir_port_link(ctrlq_bench.port)));
	TEST_ASSERT(
		bit_take(bits, r->packed != NULL ? (void *)r->device : (void *)r->used));
	munmap(bits, LOG_LEN);
	ctrlq_close();
	return TEST_OK;
}

static enum test_result
port_logs_that_it_starts(void)
{
	enum test_result r = start_logged(FE_SPLIT);

	return r == TEST_OK ? start_logged(ALL) : r;
}

static enum test_result
port_tells_of_the_filter(void)
{
	struct weir_guest_filter f;

	TEST_EQ(ctrlq_open(ALL, false), 0);
	weir_port_guest_filter(ctrlq_bench.port, &f);
	TEST_ASSERT(f.promiscuous && !f.has_mac);
	TEST_EQ(ctrlq_send((uint8_t[]){ 0, 0, 0 }, 3), VIRTIO_NET_OK);
	TEST_EQ(ctrlq_send((uint8_t[]){ 1, 1, 2, 0, 0, 0, 0, 9 }, 8), VIRTIO_NET_OK);
	TEST_ASSERT(BECOMES(atomic_load(&ctrlq_bench.nr_told) != 0));
	weir_port_guest_filter(ctrlq_bench.port, &f);
	TEST_ASSERT(!f.promiscuous && f.has_mac);
	TEST_EQ(f.mac[5], 9);
	ctrlq_close();
	return TEST_OK;
}

/* A driver that switches checksums off gets frames whose sums are complete. */
static enum test_result
port_driver_switches_offloads(void)
{
	const uint8_t off[10] = { 5, 0 }, on[10] = { 5, 0, 2 };
	struct virtio_net_hdr h;
	const uint8_t *expect[] = { on, off, on };

	TEST_EQ(ctrlq_open(~(UINT64_C(1) << VIRTIO_F_RING_PACKED), false), 0);
	TEST_ASSERT(BECOMES(weir_port_link(ctrlq_bench.port)));
	fe_post(&ctrlq_bench.fe, 0);
	for (unsigned int i = 0; i < RTE_DIM(expect); i++) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(ctrlq_bench.pool);

		if (i != 0)
			TEST_EQ(ctrlq_send(expect[i], sizeof(on)), VIRTIO_NET_OK);
		memset(rte_pktmbuf_append(m, 60), 0, 60);
		m->l2_len = 14;
		m->l3_len = 20;
		m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM;
		TEST_EQ(weir_port_tx_burst(weir_port_txq(ctrlq_bench.port, 0), &m, 1), 1);
		memcpy(&h, ctrlq_bench.fe.ring[0].buf + i * FE_BUF, sizeof(h));
		TEST_EQ(h.flags, expect[i] == on ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0);
	}
	ctrlq_close();
	return TEST_OK;
}

/* Chains no driver makes: its peer is parted with, and the reason is said. */
static enum test_result
hostile(struct vring_desc d0, struct vring_desc d1, const char *says)
{
	struct fe_ring *r = &ctrlq_bench.fe.ring[CTRL];

	TEST_EQ(ctrlq_open(~(UINT64_C(1) << VIRTIO_F_RING_PACKED), false), 0);
	TEST_ASSERT(BECOMES(weir_port_link(ctrlq_bench.port)));
	ctrlq_bench.last_error[0] = '\0';
	d0.addr += fe_gpa(&ctrlq_bench.fe, r->buf);
	d1.addr += fe_gpa(&ctrlq_bench.fe, r->buf);
	r->desc[0] = d0;
	r->desc[1] = d1;
	fe_offer(r, 0);
	(void)!write(r->kick, &(uint64_t){ 1 }, sizeof(uint64_t));
	TEST_ASSERT(BECOMES(!weir_port_link(ctrlq_bench.port)));
	ctrlq_close();
	if (strstr(ctrlq_bench.last_error, says) == NULL) {
		printf("    '%s' does not say '%s'\n", ctrlq_bench.last_error, says);
		return TEST_FAILED;
	}
	return TEST_OK;
}

static enum test_result
port_breaks_with_the_hostile(void)
{
	const uint16_t next = VRING_DESC_F_NEXT, write = VRING_DESC_F_WRITE;
	const struct {
		struct vring_desc d[2];
		const char *says;
	} t[] = {
		{ { { 0, 4, 0, 0 } }, "wrong direction" },
		{ { { 0, 1, write | next, 1 }, { 4, 4, 0, 0 } }, "wrong direction" },
		{ { { 0, 4, next, 0 } }, "loops" },
		{ { { 0, 4, next, 1 }, { UINT64_C(1) << 50, 1, write, 0 } },
		  "outside guest memory" },
		{ { { 0, 4, next, 999 } }, "not in its table" },
	};

	for (size_t i = 0; i < RTE_DIM(t); i++)
		if (hostile(t[i].d[0], t[i].d[1], t[i].says) != TEST_OK)
			return TEST_FAILED;
	return TEST_OK;
}

/* A command as long as all memory: refused, not read. */
static enum test_result
port_refuses_what_is_too_long(void)
{
	struct fe_ring *r = &ctrlq_bench.fe.ring[CTRL];
	volatile uint8_t *answer;

	TEST_EQ(ctrlq_open(~(UINT64_C(1) << VIRTIO_F_RING_PACKED), false), 0);
	answer = r->buf;
	*answer = 0xff;
	r->desc[0] =
		(struct vring_desc){ FE_GPA, CTRLQ_CMD_MAX + 1, VRING_DESC_F_NEXT, 1 };
	r->desc[1] = (struct vring_desc){ fe_gpa(&ctrlq_bench.fe, r->buf), 1,
					  VRING_DESC_F_WRITE, 0 };
	fe_offer(r, 0);
	(void)!write(r->kick, &(uint64_t){ 1 }, sizeof(uint64_t));
	TEST_ASSERT(BECOMES(*answer != 0xff));
	TEST_EQ(*answer, VIRTIO_NET_ERR);
	ctrlq_close();
	return TEST_OK;
}

#define CONFIG_PF \
	(WEIR_VHOST_BIT(WEIR_VHOST_PF_CONFIG) | WEIR_VHOST_BIT(WEIR_VHOST_PF_BACKEND_REQ))

/* Ask for part of the configuration. @return bytes that came, -errno. */
static int
config_read(uint32_t offset, uint32_t len, void *out)
{
	struct weir_vhost_wire_config c = { .offset = offset, .len = len };
	const uint32_t size = offsetof(struct weir_vhost_wire_config, data) + len;
	int ret = fe_msg(&ctrlq_bench.fe, WEIR_VHOST_GET_CONFIG, &c, size, NULL, 0, &c,
			 size);

	if (ret != 0)
		return ret;
	memcpy(out, c.data, len);
	return c.offset == offset && c.len == len ? (int)len : -EPROTO;
}

static int64_t
config_write(uint32_t offset, const void *data, uint32_t len)
{
	struct weir_vhost_wire_config c = { .offset = offset, .len = len };

	memcpy(c.data, data, len);
	return fe_msg_ack(&ctrlq_bench.fe, WEIR_VHOST_SET_CONFIG, &c,
			  offsetof(struct weir_vhost_wire_config, data) + len, NULL, 0);
}

static enum test_result
port_shows_its_configuration(void)
{
	const uint64_t has = F(MAC) | F(STATUS) | F(MTU) | F(SPEED_DUPLEX);
	struct virtio_net_config c;
	const uint8_t mac[6] = { 2, 0, 0, 0, 0, 7 }, other[6] = { 2, 0, 0, 0, 0, 8 };
	uint8_t all[24] = { 0 };

	TEST_EQ(ctrlq_open(FE_SPLIT, false), 0);
	TEST_EQ(fe_protocol(&ctrlq_bench.fe, CONFIG_PF), 0);
	TEST_EQ(ctrlq_bench.fe.features & has, has);
	TEST_EQ(config_read(0, sizeof(all), all), sizeof(all));
	memcpy(&c, all, sizeof(all));
	TEST_ASSERT(memcmp(c.mac, mac, sizeof(mac)) == 0);
	TEST_EQ(c.status, VIRTIO_NET_S_LINK_UP);
	TEST_EQ(c.max_virtqueue_pairs, PAIRS);
	TEST_EQ(c.mtu, 9000);
	TEST_EQ(c.speed, 10000);
	TEST_EQ(c.duplex, 1);
	for (size_t i = 17; i < sizeof(all); i++)
		TEST_EQ(all[i], 0);
	TEST_EQ(config_read(4, 4, all), 4);
	TEST_EQ(all[1], 7);
	TEST_EQ(all[2], VIRTIO_NET_S_LINK_UP);
	/* an address may be written, what else there is may not be changed */
	TEST_EQ(config_write(0, other, sizeof(other)), 0);
	TEST_EQ(config_read(0, 6, all), 6);
	TEST_ASSERT(memcmp(all, other, sizeof(other)) == 0);
	TEST_ASSERT(config_write(6, &(uint16_t){ 0 }, 2) != 0);
	TEST_EQ(config_write(6, &(uint16_t){ VIRTIO_NET_S_LINK_UP }, 2), 0);
	TEST_ASSERT(config_write(5, "\x09\x00", 2) != 0);
	TEST_EQ(config_read(0, 6, all), 6);
	TEST_ASSERT(memcmp(all, other, sizeof(other)) == 0);
	TEST_ASSERT(config_write(22, all, 4) != 0);
	ctrlq_close();
	return TEST_OK;
}

/* What a driver may ask for with rss. */
static enum test_result
port_shows_limits_of_rss(void)
{
	struct virtio_net_config c;
	uint8_t all[24] = { 0 };

	TEST_EQ(ctrlq_open(FE_SPLIT, true), 0);
	TEST_EQ(fe_protocol(&ctrlq_bench.fe, CONFIG_PF), 0);
	TEST_EQ(config_read(0, sizeof(all), all), sizeof(all));
	memcpy(&c, all, sizeof(all));
	TEST_EQ(c.rss_max_key_size, 40);
	TEST_EQ(c.rss_max_indirection_table_length, 128);
	TEST_EQ(c.supported_hash_types, 0x3f);
	ctrlq_close();
	return TEST_OK;
}

/* The application stops, and the guest's link goes down; and comes back. */
static enum test_result
port_tells_of_its_link(void)
{
	struct weir_vhost_hdr h;
	int chan, waiting;
	uint16_t status = 0;

	TEST_EQ(ctrlq_open(FE_SPLIT, false), 0);
	TEST_EQ(fe_protocol(&ctrlq_bench.fe, CONFIG_PF), 0);
	chan = fe_channel(&ctrlq_bench.fe);
	TEST_ASSERT(chan >= 0);
	for (int round = 0; round < 3; round++) {
		weir_port_stop(ctrlq_bench.port);
		TEST_EQ(fe_channel_recv(chan, &h, NULL, 0), 0);
		TEST_EQ(h.request, WEIR_VHOST_BACKEND_CONFIG_CHANGE_MSG);
		TEST_EQ(h.flags, WEIR_VHOST_VERSION);
		TEST_EQ(config_read(6, 2, &status), 2);
		TEST_EQ(status, 0);
		TEST_EQ(weir_port_start(ctrlq_bench.port), 0);
		TEST_EQ(fe_channel_recv(chan, &h, NULL, 0), 0);
		TEST_EQ(config_read(6, 2, &status), 2);
		TEST_EQ(status, VIRTIO_NET_S_LINK_UP);
	}
	/* one that does not read is told as soon as it does */
	for (int round = 0; round < 2000; round++) {
		weir_port_stop(ctrlq_bench.port);
		TEST_EQ(weir_port_start(ctrlq_bench.port), 0);
	}
	weir_port_stop(ctrlq_bench.port);
	waiting = fe_channel_waiting(chan) / (int)sizeof(h);
	TEST_ASSERT(waiting > 0 && waiting < 4000);
	for (int i = 0; i <= waiting; i++)
		TEST_EQ(fe_channel_recv(chan, &h, NULL, 0), 0);
	TEST_EQ(config_read(6, 2, &status), 2);
	TEST_EQ(status, 0);
	close(chan);
	ctrlq_close();
	return TEST_OK;
}

/* The status as a driver reads it, behind the message that it has changed. */
static int
status_told(int chan)
{
	struct weir_vhost_hdr h;
	uint16_t status = 0;

	if (fe_channel_recv(chan, &h, NULL, 0) != 0 ||
	    h.request != WEIR_VHOST_BACKEND_CONFIG_CHANGE_MSG ||
	    config_read(6, 2, &status) != 2)
		return -1;
	return status;
}

/* The application pulls the plug: no carrier, and rings rest. */
static enum test_result
port_tells_that_it_is_unplugged(void)
{
	int chan;

	TEST_EQ(ctrlq_open(FE_SPLIT, false), 0);
	TEST_EQ(fe_protocol(&ctrlq_bench.fe, CONFIG_PF), 0);
	chan = fe_channel(&ctrlq_bench.fe);
	TEST_ASSERT(chan >= 0);
	for (int round = 0; round < 3; round++) {
		TEST_EQ(weir_port_set_link(ctrlq_bench.port, false), 0);
		TEST_ASSERT(!weir_port_link(ctrlq_bench.port));
		TEST_ASSERT(!ctrlq_pair_runs(0));
		TEST_EQ(status_told(chan), 0);
		/* no change, nothing to tell */
		TEST_EQ(weir_port_set_link(ctrlq_bench.port, false), 0);
		TEST_EQ(fe_channel_waiting(chan), 0);
		TEST_EQ(weir_port_set_link(ctrlq_bench.port, true), 0);
		TEST_ASSERT(weir_port_link(ctrlq_bench.port));
		TEST_ASSERT(ctrlq_pair_runs(0));
		TEST_EQ(status_told(chan), VIRTIO_NET_S_LINK_UP);
	}
	close(chan);
	ctrlq_close();
	return TEST_OK;
}

/* A guest that has moved here announces itself if it can, and is announced if not. */
static enum test_result
port_asks_the_driver_to_announce(void)
{
	const int both = VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE;
	const uint8_t mac[8] = { 2, 0, 0, 0, 0, 7 }, ack[] = { 3, 0 };
	struct weir_queue *rxq;
	uint16_t status = 0;
	int chan;

	TEST_EQ(ctrlq_open(FE_SPLIT, false), 0);
	rxq = weir_port_rxq(ctrlq_bench.port, 0);
	TEST_EQ(fe_protocol(&ctrlq_bench.fe,
			    CONFIG_PF | WEIR_VHOST_BIT(WEIR_VHOST_PF_RARP)),
		0);
	chan = fe_channel(&ctrlq_bench.fe);
	TEST_ASSERT(chan >= 0);
	for (int round = 0; round < 3; round++) {
		TEST_EQ(fe_msg_ack(&ctrlq_bench.fe, WEIR_VHOST_SEND_RARP, mac,
				   sizeof(mac), NULL, 0),
			0);
		TEST_EQ(status_told(chan), both);
		TEST_EQ(weir_queue_pending(rxq), 0);
		TEST_EQ(ctrlq_send(ack, sizeof(ack)), VIRTIO_NET_OK);
		TEST_EQ(config_read(6, 2, &status), 2);
		TEST_EQ(status, VIRTIO_NET_S_LINK_UP);
	}
	/* nobody to tell */
	close(chan);
	TEST_ASSERT(BECOMES(fe_msg_ack(&ctrlq_bench.fe, WEIR_VHOST_SEND_RARP, mac,
				       sizeof(mac), NULL, 0) == 0 &&
			    weir_queue_pending(rxq) == 1));
	ctrlq_close();
	return TEST_OK;
}

static enum test_result
port_refuses_pairs_without_a_ring_left(void)
{
	struct weir_port_conf conf = {
		.name = "w0",
		.path = "/tmp/weir-test-ctrl.none",
		.nr_pairs = WEIR_PORT_MAX_PAIRS,
		.ctrl_vq = true,
	};
	struct weir_port *p;

	TEST_EQ(weir_port_create(&conf, &p), -EINVAL);
	conf.nr_pairs--;
	conf.guest_mtu = 67;
	TEST_EQ(weir_port_create(&conf, &p), -EINVAL);
	conf.guest_mtu = 68;
	conf.guest_mac[0] = 1;
	TEST_EQ(weir_port_create(&conf, &p), -EINVAL);
	conf.guest_mac[0] = 2;
	TEST_EQ(weir_port_create(&conf, &p), 0);
	weir_port_destroy(p);
	return TEST_OK;
}

static const struct test_case cases[] = {
	{ "commands_checked_whole", commands_checked_whole },
	{ "wishes_kept", wishes_kept },
	{ "noise_survived", noise_survived },
	{ "port_driver_chooses_pairs_split", port_driver_chooses_pairs_split },
	{ "port_driver_chooses_pairs_packed", port_driver_chooses_pairs_packed },
	{ "port_keeps_wishes_across_memory", port_keeps_wishes_across_memory },
	{ "port_serves_while_memory_changes", port_serves_while_memory_changes },
	{ "port_logs_what_it_writes", port_logs_what_it_writes },
	{ "port_logs_that_it_starts", port_logs_that_it_starts },
	{ "port_tells_of_the_filter", port_tells_of_the_filter },
	{ "port_driver_switches_offloads", port_driver_switches_offloads },
	{ "port_breaks_with_the_hostile", port_breaks_with_the_hostile },
	{ "port_refuses_what_is_too_long", port_refuses_what_is_too_long },
	{ "port_tells_that_it_is_unplugged", port_tells_that_it_is_unplugged },
	{ "port_asks_the_driver_to_announce", port_asks_the_driver_to_announce },
	{ "port_shows_its_configuration", port_shows_its_configuration },
	{ "port_shows_limits_of_rss", port_shows_limits_of_rss },
	{ "port_tells_of_its_link", port_tells_of_its_link },
	{ "port_refuses_pairs_without_a_ring_left",
	  port_refuses_pairs_without_a_ring_left },
};

AUTOTEST_EAL(ctrlq_autotest, cases);
