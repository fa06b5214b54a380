/* SPDX-License-Identifier: BSD-3-Clause */
/* Frontends as they are: what each sends, in its order. */
#include <unistd.h>

#include "test.h"
#include "vhost_talk.h"

#define FEATURES_SPLIT (TALK_PF | BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_NET_F_MRG_RXBUF))
#define FEATURES_PACKED (FEATURES_SPLIT | BIT(VIRTIO_F_RING_PACKED))

#define VIRTIO_USER_PF \
	(BIT(WEIR_VHOST_PF_MQ) | BIT(WEIR_VHOST_PF_REPLY_ACK) | BIT(WEIR_VHOST_PF_STATUS))

#define S_DRIVER (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)
#define S_FEATURES (S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)
#define S_OK (S_FEATURES | VIRTIO_CONFIG_S_DRIVER_OK)

struct part {
	const struct talk *steps;
	size_t nr;
};
#define PART(t)                               \
	{                                     \
		t, sizeof(t) / sizeof((t)[0]) \
	}

/* Run the parts through one session; at the end nothing is left open. */
static enum test_result
converse(const struct weir_vhost_config *offer, const struct part *parts, size_t nr)
{
	struct weir_vhost_session *s;
	unsigned int before;

	close(talk_file()); /* open it before counting */
	before = open_fds();
	TEST_EQ(weir_vhost_session_create(offer, &s), 0);
	for (size_t i = 0; i < nr; i++) {
		int at = talk_run(s, parts[i].steps, parts[i].nr);

		if (at >= 0)
			printf("    part %zu, step %d\n", i, at);
		TEST_EQ(at, -1);
		TEST_EQ(open_fds(), before + vhost_held_fds(s));
	}
	weir_vhost_session_destroy(s);
	TEST_EQ(open_fds(), before);
	return TEST_OK;
}
#define CONVERSE(offer, parts) converse(offer, parts, sizeof(parts) / sizeof((parts)[0]))

/* DPDK's virtio-user: when the device is made ... */
static const struct talk user_init[] = {
	SAY(SET_OWNER, NONE),
	SAY(GET_FEATURES, NONE, IS(TALK_FEATURES)),
	SAY(GET_PROTOCOL_FEATURES, NONE, IS(WEIR_VHOST_PF_SUPPORTED)),
	SAY(SET_PROTOCOL_FEATURES, NONE, U64(VIRTIO_USER_PF)),
	READY(0),
};

/* ... started, one pair of queues ... */
static const struct talk user_start[] = {
	SAY(SET_VRING_CALL, RING, U64(0), EVENT),
	SAY(SET_VRING_CALL, RING, U64(1), EVENT),
	SAY(SET_FEATURES, FEATURES, U64(FEATURES_SPLIT)),
	SAY(SET_STATUS, STATUS, U64(S_FEATURES), ACK),
	SAY(SET_MEM_TABLE, MEM_TABLE, TABLE1, ACK),
	SAY(SET_VRING_NUM, RING, STATE(0, 256)),
	SAY(SET_VRING_BASE, RING, STATE(0, 0)),
	SAY(SET_VRING_ADDR, RING, ADDR(0, 0)),
	SAY(SET_VRING_KICK, RING, U64(0), EVENT),
	SAY(SET_VRING_NUM, RING, STATE(1, 256)),
	SAY(SET_VRING_BASE, RING, STATE(1, 0)),
	SAY(SET_VRING_ADDR, RING, ADDR(1, 0)),
	SAY(SET_VRING_KICK, RING, U64(1), EVENT),
	READY(0),
	SAY(SET_VRING_ENABLE, RING, STATE(0, 1)),
	READY(0x1),
	SAY(SET_VRING_ENABLE, RING, STATE(1, 1)),
	SAY(SET_STATUS, STATUS, U64(S_OK), ACK),
	READY(0x3),
	/* some memory event that changes nothing */
	SAY(SET_MEM_TABLE, NONE, TABLE1, ACK),
	READY(0x3),
};

/* ... and stopped; the num of GET_VRING_BASE is whatever was on its stack. */
static const struct talk user_stop[] = {
	SAY(SET_VRING_ENABLE, RING, STATE(0, 0)),
	SAY(SET_VRING_ENABLE, RING, STATE(1, 0)),
	READY(0),
	SAY(GET_VRING_BASE, RING_STOP, STATE(0, 0xdeadbeef)),
	SAY(GET_VRING_BASE, RING_STOP, STATE(1, 0xdeadbeef)),
	READY(0),
};

/* The same again; features and memory are no news. */
static const struct talk user_restart[] = {
	SAY(SET_VRING_CALL, RING, U64(0), EVENT),
	SAY(SET_VRING_CALL, RING, U64(1), EVENT),
	SAY(SET_FEATURES, NONE, U64(FEATURES_SPLIT)),
	SAY(SET_MEM_TABLE, NONE, TABLE1, ACK),
	SAY(SET_VRING_NUM, NONE, STATE(0, 256)),
	SAY(SET_VRING_BASE, RING, STATE(0, 0)),
	SAY(SET_VRING_ADDR, NONE, ADDR(0, 0)),
	SAY(SET_VRING_KICK, RING, U64(0), EVENT),
	SAY(SET_VRING_ENABLE, RING, STATE(0, 1)),
	SAY(SET_VRING_ENABLE, RING, STATE(1, 1)),
	READY(0x1),
	SAY(SET_VRING_KICK, RING, U64(1), EVENT),
	READY(0x3),
	SAY(GET_STATUS, NONE, IS(S_OK)),
};

static enum test_result
talk_virtio_user_starts_stops_restarts(void)
{
	static const struct part parts[] = { PART(user_init), PART(user_start),
					     PART(user_stop), PART(user_restart),
					     PART(user_stop) };

	return CONVERSE(&talk_offer, parts);
}

/* As a server that a backend comes back to: it stops what it believes runs. */
static const struct talk user_server[] = {
	SAY(SET_VRING_ENABLE, NONE, STATE(0, 0)),
	SAY(SET_VRING_ENABLE, NONE, STATE(1, 0)),
	SAY(GET_VRING_BASE, RING_STOP, STATE(0, 0)),
	SAY(GET_VRING_BASE, RING_STOP, STATE(1, 0)),
	SAY(GET_FEATURES, NONE, IS(TALK_FEATURES)),
	SAY(GET_PROTOCOL_FEATURES, NONE, IS(WEIR_VHOST_PF_SUPPORTED)),
	SAY(SET_PROTOCOL_FEATURES, NONE, U64(VIRTIO_USER_PF)),
};

static enum test_result
talk_virtio_user_server_reconnects(void)
{
	static const struct part parts[] = { PART(user_server), PART(user_start) };

	return CONVERSE(&talk_offer, parts);
}

static const struct talk user_packed[] = {
	SAY(SET_VRING_CALL, RING, U64(0), EVENT),
	SAY(SET_VRING_CALL, RING, U64(1), EVENT),
	SAY(SET_FEATURES, FEATURES, U64(FEATURES_PACKED)),
	SAY(SET_MEM_TABLE, MEM_TABLE, TABLE1),
	SAY(SET_VRING_NUM, RING, STATE(0, 1000)),
	SAY(SET_VRING_BASE, RING, STATE(0, 0x8000)),
	SAY(SET_VRING_ADDR, RING, ADDR(0, 0)),
	SAY(SET_VRING_KICK, RING, U64(0 | WEIR_VHOST_RING_NOFD)),
	SAY(SET_VRING_ENABLE, RING, STATE(0, 1)),
	READY(0x1),
	SAY(GET_VRING_BASE, RING_STOP, STATE(0, 0)),
	SAY(SET_VRING_BASE, RING, STATE(0, 0x80058005)),
	SAY(SET_VRING_KICK, RING, U64(0), EVENT),
	READY(0x1),
};

static enum test_result
talk_virtio_user_packed_starts(void)
{
	static const struct part parts[] = { PART(user_init), PART(user_packed) };

	return CONVERSE(&talk_offer, parts);
}

/* QEMU: at connection, for the first queue pair and then the second ... */
static const struct talk qemu_init[] = {
	SAY(GET_FEATURES, NONE, IS(TALK_FEATURES)),
	SAY(GET_PROTOCOL_FEATURES, NONE, IS(WEIR_VHOST_PF_SUPPORTED)),
	SAY(SET_PROTOCOL_FEATURES, NONE, U64(WEIR_VHOST_PF_SUPPORTED)),
	SAY(GET_QUEUE_NUM, NONE, IS(2)),
	SAY(GET_MAX_MEM_SLOTS, NONE, IS(WEIR_VHOST_MEM_SLOTS)),
	SAY(SET_BACKEND_REQ_FD, BACKEND_REQ, CHANNEL, ACK),
	SAY(SET_OWNER, NONE),
	SAY(GET_FEATURES, NONE, IS(TALK_FEATURES)),
	SAY(SET_VRING_ERR, RING, U64(0), EVENT),
	SAY(SET_VRING_CALL, RING, U64(0), EVENT),
	SAY(SET_VRING_ERR, RING, U64(1), EVENT),
	SAY(SET_VRING_CALL, RING, U64(1), EVENT),
	SAY(GET_FEATURES, NONE, IS(TALK_FEATURES)),
	SAY(GET_PROTOCOL_FEATURES, NONE, IS(WEIR_VHOST_PF_SUPPORTED)),
	SAY(SET_PROTOCOL_FEATURES, NONE, U64(WEIR_VHOST_PF_SUPPORTED)),
	SAY(GET_QUEUE_NUM, NONE, IS(2)),
	SAY(GET_FEATURES, NONE, IS(TALK_FEATURES)),
	SAY(SET_VRING_CALL, RING, U64(2), EVENT),
	SAY(SET_VRING_CALL, RING, U64(3), EVENT),
};

struct talk_config8 {
	uint32_t offset, len, flags;
	uint8_t data[8];
};

#define SLOT(g, off) \
	DATA(struct weir_vhost_wire_mem_reg, 0, { g, 0x800000, TALK_USER + (off), off })

/* ... when the guest's driver is there: enabled first, memory in slots ... */
static const struct talk qemu_start[] = {
	SAY(NET_SET_MTU, MTU, U64(1500), ACK),
	SAY(SET_VRING_ENABLE, RING, STATE(0, 1)),
	SAY(SET_VRING_ENABLE, RING, STATE(1, 1)),
	SAY(SET_FEATURES, FEATURES, U64(FEATURES_SPLIT)),
	SAY(ADD_MEM_REG, MEM_ADD, SLOT(0x100000000, 0x800000), FILES(1), ACK),
	SAY(ADD_MEM_REG, MEM_ADD, SLOT(0, 0), FILES(1), ACK),
	SAY(SET_VRING_NUM, RING, STATE(0, 1024)),
	SAY(SET_VRING_BASE, RING, STATE(0, 0xffff)),
	SAY(SET_VRING_ADDR, RING, ADDR(0, 0)),
	SAY(SET_VRING_KICK, RING, U64(0), EVENT),
	SAY(SET_VRING_CALL, RING, U64(0), EVENT),
	READY(0x1),
	SAY(SET_VRING_NUM, RING, STATE(1, 1024)),
	SAY(SET_VRING_BASE, RING, STATE(1, 0)),
	SAY(SET_VRING_ADDR, RING, ADDR(1, 0)),
	SAY(SET_VRING_KICK, RING, U64(1), EVENT),
	SAY(SET_VRING_CALL, RING, U64(1 | WEIR_VHOST_RING_NOFD)),
	READY(0x3),
	SAY(SET_VRING_ENABLE, RING, STATE(2, 1)),
	SAY(SET_FEATURES, NONE, U64(FEATURES_SPLIT)),
	SAY(SET_VRING_NUM, RING, STATE(2, 1024)),
	SAY(SET_VRING_ADDR, RING, ADDR(2, 0)),
	SAY(SET_VRING_KICK, RING, U64(2), EVENT),
	SAY(GET_STATUS, NONE, IS(0)),
	SAY(SET_STATUS, STATUS, U64(S_OK), ACK),
	READY(0x7),
};

/* ... while it migrates: the log, then each ring's, then all of it ... */
static const struct talk qemu_migrate[] = {
	SAY(SET_LOG_BASE, LOG, DATA(struct weir_vhost_wire_log, 0x20100, 0), FILES(1)),
	SAY(SET_LOG_FD, LOG, EVENT),
	SAY(SET_VRING_ADDR, RING, ADDR(0, 1)),
	SAY(SET_VRING_ADDR, RING, ADDR(1, 1)),
	SAY(SET_FEATURES, FEATURES, U64(FEATURES_SPLIT | BIT(VHOST_F_LOG_ALL))),
	READY(0x7),
	SAY(SET_LOG_BASE, LOG, DATA(struct weir_vhost_wire_log, 0x30000, 0), FILES(1)),
	SAY(SEND_RARP, RARP, U64(0x665544332212)),
	SAY(SET_FEATURES, FEATURES, U64(FEATURES_SPLIT)),
	READY(0x7),
};

/* ... an area to recover from, without and with padding, given back at each start,
 * with features of packed rings another one ... */
#define AREA(len, nr, size) DATA(struct weir_vhost_wire_inflight, len, 0, nr, size, { 0 })
#define AREA20(nr, size) DATA(uint32_t[5], 0, 0, 0, 0, (uint32_t)(size) << 16 | (nr))

static const struct talk qemu_recover[] = {
	SAY(GET_INFLIGHT_FD, GET_INFLIGHT, AREA(0, 4, 256), IS(4 * 4160)),
	SAY(SET_INFLIGHT_FD, INFLIGHT, AREA(4 * 4160, 4, 256), FILES(1)),
	SAY(GET_INFLIGHT_FD, GET_INFLIGHT, AREA20(1, 32768), IS(32768 * 16 + 64)),
	SAY(SET_INFLIGHT_FD, INFLIGHT, AREA(1 << 20, 4, 1024), FILES(1), ACK),
	SAY(RESET_DEVICE, RESET, ACK),
	SAY(SET_FEATURES, FEATURES, U64(FEATURES_PACKED)),
	SAY(GET_INFLIGHT_FD, GET_INFLIGHT, AREA(0, 4, 256), IS(4 * 8256)),
	SAY(SET_INFLIGHT_FD, INFLIGHT, AREA(4 * 8256, 4, 256), FILES(1)),
};

/* ... memory is taken away under a running ring, and given back ... */
static const struct talk qemu_unplug[] = {
	SAY(REM_MEM_REG, MEM_DEL, SLOT(0x100000000, 0x800000), ACK),
	READY(0x7),
	SAY(REM_MEM_REG, MEM_DEL, SLOT(0, 0), FILES(1), ACK),
	READY(0),
	SAY(ADD_MEM_REG, MEM_ADD, SLOT(0, 0), FILES(1), ACK),
	READY(0x7),
	SAY(GET_CONFIG, GET_CONFIG, DATA(struct talk_config8, 4, 8, 0, { 0 }), IS(0x5a)),
	SAY(SET_CONFIG, SET_CONFIG, DATA(struct talk_config8, 0, 8, 1, { 0 }), ACK),
};

/* ... and when the guest resets the device. */
static const struct talk qemu_reset[] = {
	SAY(GET_VRING_BASE, RING_STOP, STATE(0, 0)),
	SAY(GET_VRING_BASE, RING_STOP, STATE(1, 0)),
	SAY(GET_VRING_BASE, RING_STOP, STATE(2, 0)),
	SAY(SET_STATUS, RESET, U64(0)),
	SAY(GET_STATUS, NONE, IS(0)),
	READY(0),
	SAY(SET_VRING_ENABLE, RING, STATE(0, 1)),
	SAY(SET_FEATURES, FEATURES, U64(FEATURES_PACKED)),
	SAY(SET_VRING_NUM, RING, STATE(0, 1000)),
	SAY(SET_VRING_BASE, RING, STATE(0, 0x00050007)),
	SAY(SET_VRING_ADDR, RING, ADDR(0, 0)),
	SAY(SET_VRING_KICK, RING, U64(0), EVENT),
	READY(0x1),
	SAY(RESET_OWNER, RESET),
	READY(0),
	SAY(SET_VRING_ENABLE, RING, STATE(0, 1)),
	READY(0x1),
	SAY(RESET_DEVICE, RESET, ACK),
	READY(0),
};

static enum test_result
talk_qemu_lives_a_whole_life(void)
{
	static const struct part parts[] = { PART(qemu_init),	 PART(qemu_start),
					     PART(qemu_migrate), PART(qemu_unplug),
					     PART(qemu_reset),	 PART(qemu_recover) };

	return CONVERSE(&talk_offer, parts);
}

/* A guest that arrives by postcopy: advised, then moved before it; then a hop more. */
#define HOP_SLOT(g) \
	DATA(struct weir_vhost_wire_mem_reg, 0, { g, TALK_MEM_LEN, TALK_USER + (g), 0 })

static const struct talk postcopy_all[] = {
	SAY(SET_PROTOCOL_FEATURES, NONE, U64(WEIR_VHOST_PF_SUPPORTED)),
	SAY(POSTCOPY_ADVISE, POSTCOPY_ADVISE),
	SAY(SET_MEM_TABLE, MEM_TABLE, TABLE1, ACK),
	SAY(SET_MEM_TABLE, MEM_TABLE, U64(0), ACK),
	SAY(POSTCOPY_ADVISE, POSTCOPY_ADVISE),
	SAY(POSTCOPY_LISTEN, POSTCOPY_LISTEN, ACK),
	SAY(SET_FEATURES, FEATURES, U64(FEATURES_SPLIT)),
	/* answered with addresses, whatever it brings; then with nothing */
	SAY(SET_MEM_TABLE, MEM_TABLE, TABLE1),
	SAY(SET_MEM_TABLE, NONE, TABLE1, ACK),
	SAY(SET_MEM_TABLE, POSTCOPY_READY, U64(0)),
	SAY(SET_MEM_TABLE, POSTCOPY_READY, ACK),
	SAY(ADD_MEM_REG, MEM_ADD, HOP_SLOT(UINT64_C(1) << 32), FILES(1)),
	SAY(ADD_MEM_REG, NONE, HOP_SLOT(UINT64_C(1) << 32), FILES(1)),
	SAY(ADD_MEM_REG, POSTCOPY_READY, U64(0)),
	SAY(REM_MEM_REG, NONE, HOP_SLOT(UINT64_C(1) << 32), ACK),
	SAY(REM_MEM_REG, MEM_DEL, HOP_SLOT(UINT64_C(1) << 32), ACK),
	SAY(REM_MEM_REG, POSTCOPY_READY, U64(0), ACK),
	SAY(POSTCOPY_END, POSTCOPY_END, ACK, IS(0)),
	SAY(SET_MEM_TABLE, MEM_TABLE, U64(0), ACK),
	SAY(POSTCOPY_ADVISE, POSTCOPY_ADVISE),
	SAY(POSTCOPY_LISTEN, POSTCOPY_LISTEN, ACK),
	SAY(POSTCOPY_END, POSTCOPY_END, IS(0)),
};

static enum test_result
talk_postcopy_comes_and_ends(void)
{
	static const struct part parts[] = { PART(postcopy_all) };

	return CONVERSE(&talk_offer, parts);
}

/* One that knows no protocol features: rings are enabled as they start. */
static const struct talk old_all[] = {
	SAY(SET_OWNER, NONE),
	SAY(GET_FEATURES, NONE, IS(BIT(VIRTIO_F_VERSION_1))),
	SAY(SET_FEATURES, FEATURES, U64(0)),
	SAY(SET_MEM_TABLE, MEM_TABLE, TABLE1),
	SAY(SET_VRING_KICK, RING, U64(1), EVENT),
	SAY(SET_VRING_ADDR, RING, ADDR(1, 0)),
	READY(0),
	SAY(SET_VRING_NUM, RING, STATE(1, 32768)),
	READY(0x2),
	SAY(GET_VRING_BASE, RING_STOP, STATE(1, 0)),
	SAY(SET_VRING_NUM, RING, STATE(1, 1)),
	SAY(SET_VRING_KICK, RING, U64(1), EVENT),
	READY(0x2),
	SAY(RESET_OWNER, RESET),
	READY(0),
	SAY(SET_FEATURES, FEATURES, U64(0)),
	READY(0x2),
};

static enum test_result
talk_old_frontend_needs_no_enable(void)
{
	static const struct weir_vhost_config old = { .features = BIT(VIRTIO_F_VERSION_1),
						      .nr_queue_pairs = 1,
						      .nr_mem_slots = 8 };
	static const struct part parts[] = { PART(old_all) };

	return CONVERSE(&old, parts);
}

static const struct test_case talk_cases[] = {
	{ "talk_virtio_user_starts_stops_restarts",
	  talk_virtio_user_starts_stops_restarts },
	{ "talk_virtio_user_server_reconnects", talk_virtio_user_server_reconnects },
	{ "talk_virtio_user_packed_starts", talk_virtio_user_packed_starts },
	{ "talk_qemu_lives_a_whole_life", talk_qemu_lives_a_whole_life },
	{ "talk_postcopy_comes_and_ends", talk_postcopy_comes_and_ends },
	{ "talk_old_frontend_needs_no_enable", talk_old_frontend_needs_no_enable },
};
AUTOTEST(vhost_talk_autotest, talk_cases);
