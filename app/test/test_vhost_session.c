/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frontends as they should not be. Whatever is refused leaves the session as it
 * was, no descriptor behind, and a reason that names the message.
 *
 * size: most of it is one table of messages and reasons.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "test.h"
#include "vhost_talk.h"
#include "weir_fail.h"

#define NR(a) (sizeof(a) / sizeof((a)[0]))
#define KEEP (TALK_PF | BIT(VIRTIO_F_VERSION_1))
#define G4 UINT64_C(0x100000000)
#define PACKED BIT(VIRTIO_F_RING_PACKED)

/* Where a session is when the refused message comes. */
enum level { FRESH, AGREED, RUNNING, PACKED_SET, IOMMU, LISTENING };

/* Ring 0 runs, ring 1 is configured and not started. */
static const struct talk to_agreed[] = {
	SAY(SET_OWNER, NONE),
	SAY(SET_PROTOCOL_FEATURES, NONE, U64(WEIR_VHOST_PF_SUPPORTED)),
	SAY(SET_FEATURES, FEATURES, U64(KEEP)),
};
static const struct talk to_running[] = {
	SAY(SET_MEM_TABLE, MEM_TABLE, TABLE1),
	SAY(SET_VRING_NUM, RING, STATE(0, 256)),
	SAY(SET_VRING_ADDR, RING, ADDR(0, 0)),
	SAY(SET_VRING_CALL, RING, U64(0), EVENT),
	SAY(SET_VRING_KICK, RING, U64(0), EVENT),
	SAY(SET_VRING_ENABLE, RING, STATE(0, 1)),
	SAY(SET_VRING_NUM, RING, STATE(1, 256)),
	SAY(SET_VRING_ADDR, RING, ADDR(1, 0)),
	SAY(SET_BACKEND_REQ_FD, BACKEND_REQ, CHANNEL),
	READY(0x1),
};
static const struct talk to_packed[] = {
	SAY(SET_PROTOCOL_FEATURES, NONE, U64(WEIR_VHOST_PF_SUPPORTED)),
	SAY(SET_FEATURES, FEATURES, U64(KEEP | PACKED)),
	SAY(SET_VRING_NUM, RING, STATE(0, 100)),
};

static const struct talk to_iommu[] = {
	SAY(SET_PROTOCOL_FEATURES, NONE, U64(WEIR_VHOST_PF_SUPPORTED)),
	SAY(SET_FEATURES, FEATURES, U64(KEEP | BIT(VIRTIO_F_ACCESS_PLATFORM))),
	SAY(SET_MEM_TABLE, MEM_TABLE, TABLE1),
};

static const struct talk to_listening[] = {
	SAY(POSTCOPY_ADVISE, POSTCOPY_ADVISE),
	SAY(POSTCOPY_LISTEN, POSTCOPY_LISTEN),
};

static bool
session_at(enum level level, struct weir_vhost_session **s)
{
	if (weir_vhost_session_create(&talk_offer, s) != 0)
		return false;
	if (level >= AGREED && talk_run(*s, to_agreed, NR(to_agreed)) >= 0)
		return false;
	if (level == RUNNING && talk_run(*s, to_running, NR(to_running)) >= 0)
		return false;
	if (level == IOMMU && talk_run(*s, to_iommu, NR(to_iommu)) >= 0)
		return false;
	if (level == LISTENING && talk_run(*s, to_listening, NR(to_listening)) >= 0)
		return false;
	return level != PACKED_SET || talk_run(*s, to_packed, NR(to_packed)) < 0;
}

/* A message that is to be refused. */
struct bad {
	enum level level;
	int err;
	const char *text; /* part of the reason, after the message's name */
	struct talk say;
};
#define BAD(l, e, t, req, ...)                       \
	{                                            \
		l, e, t, SAY(req, NONE, __VA_ARGS__) \
	}

#define R(g, l, u, o)      \
	{                  \
		g, l, u, o \
	}
#define TABLE2(a, b) DATA(struct talk_table2, 2, 0, { a, b }), FILES(2)
#define ONE(r) DATA(struct talk_table1, 1, 0, { r }), FILES(1)
#define REG(...) DATA(struct weir_vhost_wire_mem_reg, 0, { __VA_ARGS__ })
#define ADDRS(i, f, d, u, a, l) DATA(struct vhost_vring_addr, i, f, d, u, a, l)
#define LOG(len, off) DATA(struct weir_vhost_wire_log, len, off)
#define AREA(...) DATA(struct weir_vhost_wire_inflight, __VA_ARGS__)
#define CONF(...) DATA(struct conf4, __VA_ARGS__)
#define U TALK_USER

struct conf4 {
	uint32_t offset, len, flags;
	uint8_t data[4];
};

static const struct bad bad[] = {
	/* lengths and descriptors */
	BAD(FRESH, -EPROTO, "payload of 8 bytes", GET_FEATURES, U64(0)),
	BAD(FRESH, -EPROTO, "1 descriptors", GET_FEATURES, EVENT),
	BAD(FRESH, -EPROTO, "payload of 0 bytes", SET_FEATURES, EVENT),
	BAD(FRESH, -EPROTO, "1 descriptors", SET_FEATURES, U64(0), EVENT),
	BAD(FRESH, -EPROTO, "payload of 8 bytes", SET_VRING_ADDR, U64(0)),
	BAD(FRESH, -EPROTO, "payload of 0 bytes", SET_VRING_KICK, EVENT),
	BAD(FRESH, -EPROTO, "0 descriptors, not 1", SET_VRING_KICK, U64(0)),
	BAD(FRESH, -EPROTO, "1 descriptors, not 0", SET_VRING_CALL,
	    U64(WEIR_VHOST_RING_NOFD), EVENT),
	BAD(FRESH, -EPROTO, "2 descriptors", SET_VRING_ERR, U64(0), .fds = TALK_EVENT,
	    .nr_fds = 2),
	BAD(FRESH, -EPROTO, "0 descriptors", SET_BACKEND_REQ_FD),
	BAD(FRESH, -EBADF, "no UNIX stream socket", SET_BACKEND_REQ_FD, EVENT),
	BAD(FRESH, -EBADF, "no UNIX stream socket", SET_BACKEND_REQ_FD, FILES(1)),
	BAD(AGREED, -EPROTO, "0 descriptors", ADD_MEM_REG, REG(0, 4096, U, 0)),
	BAD(AGREED, -EPROTO, "2 descriptors", REM_MEM_REG, REG(0, 4096, U, 0), FILES(2)),
	BAD(AGREED, -EPROTO, "0 descriptors", SET_LOG_BASE, LOG(4096, 0)),
	BAD(AGREED, -EPROTO, "payload of 8 bytes", SET_LOG_BASE, U64(0), FILES(1)),

	/* not known, not there, not offered, not negotiated */
	{ FRESH, -EPROTO, "0 is not known", { 0 } },
	{ FRESH, -EPROTO, "45 is not known", { 45 } },
	{ FRESH, -EPROTO, "4294967295 is not known", { UINT32_MAX } },
	BAD(AGREED, -EPROTONOSUPPORT, "CROSS_ENDIAN was not offered", SET_VRING_ENDIAN),
	BAD(FRESH, -EPROTONOSUPPORT, "PAGEFAULT was not negotiated", POSTCOPY_ADVISE),
	BAD(AGREED, -EINVAL, "without POSTCOPY_ADVISE", POSTCOPY_LISTEN),
	BAD(RUNNING, -EINVAL, "without POSTCOPY_ADVISE", POSTCOPY_LISTEN),
	BAD(LISTENING, -EINVAL, "without POSTCOPY_ADVISE", POSTCOPY_LISTEN),
	BAD(LISTENING, -EBUSY, "a postcopy is under way", POSTCOPY_ADVISE),
	BAD(LISTENING, -EPROTO, "payload of 8 bytes", ADD_MEM_REG, U64(1)),
	BAD(LISTENING, -EPROTO, "payload of 8 bytes", ADD_MEM_REG, U64(0), FILES(1)),
	{ LISTENING, -EPROTO, "0 is not known", { 0, DATA(uint64_t, 1) } },
	BAD(AGREED, -EPROTONOSUPPORT, "not supported", GPU_SET_SOCKET, EVENT),
	BAD(AGREED, -EPROTONOSUPPORT, "SHMEM_MAP was not offered", GET_SHMEM_CONFIG),
	BAD(FRESH, -EPROTONOSUPPORT, "STATUS was not negotiated", GET_STATUS),
	BAD(FRESH, -EPROTONOSUPPORT, "STATUS was not negotiated", SET_STATUS, U64(1)),
	BAD(FRESH, -EPROTONOSUPPORT, "SLOTS was not negotiated", ADD_MEM_REG,
	    REG(0, 4096, U, 0), FILES(1)),
	BAD(FRESH, -EPROTONOSUPPORT, "SLOTS was not negotiated", GET_MAX_MEM_SLOTS),
	BAD(FRESH, -EPROTONOSUPPORT, "LOG_SHMFD was not negotiated", SET_LOG_BASE,
	    LOG(4096, 0), FILES(1)),
	BAD(FRESH, -EPROTONOSUPPORT, "CONFIG was not negotiated", SET_CONFIG,
	    CONF(0, 4, 0, { 0 })),
	BAD(FRESH, -EPROTONOSUPPORT, "0x1 was not offered", SET_FEATURES, U64(1)),
	BAD(FRESH, -EPROTONOSUPPORT, "was not offered", SET_FEATURES, U64(UINT64_MAX)),
	BAD(FRESH, -EPROTONOSUPPORT, "0x40 was not offered", SET_PROTOCOL_FEATURES,
	    U64(BIT(WEIR_VHOST_PF_CROSS_ENDIAN))),

	BAD(FRESH, -EPROTONOSUPPORT, "INFLIGHT_SHMFD was not negotiated", SET_INFLIGHT_FD,
	    AREA(4096, 0, 1, 8), FILES(1)),
	BAD(FRESH, -EINVAL, "GET_VRING_BASE_INFLIGHT without INFLIGHT_SHMFD",
	    SET_PROTOCOL_FEATURES, U64(BIT(WEIR_VHOST_PF_GET_VRING_BASE_INFLIGHT))),

	/* whom nobody is */
	BAD(AGREED, -EINVAL, "0d:0c:0b:0a:09:08 is no station", SEND_RARP,
	    U64(0x08090a0b0c0d)),
	BAD(AGREED, -EINVAL, "00:00:00:00:00:00 is no station", SEND_RARP,
	    U64(UINT64_C(0xffff) << 48)),

	/* a vIOMMU's translations */
	BAD(IOMMU, -EPROTO, "payload of 8 bytes", IOTLB_MSG, U64(0)),
	BAD(IOMMU, -EINVAL, "type 1 is none", IOTLB_MSG,
	    IOTLB(0, 4096, U, VHOST_ACCESS_RW, VHOST_IOTLB_MISS)),
	BAD(IOMMU, -EINVAL, "type 4 is none", IOTLB_MSG,
	    IOTLB(0, 4096, U, VHOST_ACCESS_RW, VHOST_IOTLB_ACCESS_FAIL)),
	BAD(IOMMU, -EINVAL, "empty, or wraps", IOTLB_MSG,
	    IOTLB(0, 0, U, VHOST_ACCESS_RW, VHOST_IOTLB_UPDATE)),
	BAD(IOMMU, -EOVERFLOW, "empty, or wraps", IOTLB_MSG,
	    IOTLB(4096, UINT64_MAX, 0, VHOST_ACCESS_RW, VHOST_IOTLB_UPDATE)),
	BAD(IOMMU, -EOVERFLOW, "empty, or wraps", IOTLB_MSG,
	    IOTLB(0, 8192, UINT64_MAX - 4095, VHOST_ACCESS_RW, VHOST_IOTLB_UPDATE)),
	BAD(IOMMU, -EINVAL, "permission 0", IOTLB_MSG,
	    IOTLB(0, 4096, U, 0, VHOST_IOTLB_UPDATE)),
	BAD(IOMMU, -EINVAL, "permission 4", IOTLB_MSG,
	    IOTLB(0, 4096, U, 4, VHOST_IOTLB_UPDATE)),
	BAD(IOMMU, -EFAULT, "is in no region", IOTLB_MSG,
	    IOTLB(0, 4096, U - 4096, VHOST_ACCESS_RW, VHOST_IOTLB_UPDATE)),
	BAD(IOMMU, -EFAULT, "is in no region", IOTLB_MSG,
	    IOTLB(0, TALK_MEM_LEN + 1, U, VHOST_ACCESS_RW, VHOST_IOTLB_UPDATE)),

	/* rings that are not there */
	BAD(RUNNING, -ERANGE, "ring 4: only 4", SET_VRING_NUM, STATE(4, 256)),
	BAD(RUNNING, -ERANGE, "ring 4294967295", SET_VRING_BASE, STATE(UINT32_MAX, 0)),
	BAD(RUNNING, -ERANGE, "ring 256", GET_VRING_BASE, STATE(256, 0)),
	BAD(RUNNING, -ERANGE, "ring 4", SET_VRING_ENABLE, STATE(4, 1)),
	BAD(RUNNING, -ERANGE, "ring 4", SET_VRING_ADDR, ADDR(4, 0)),
	BAD(RUNNING, -ERANGE, "ring 255", SET_VRING_KICK, U64(255), EVENT),
	BAD(RUNNING, -ERANGE, "ring 4", SET_VRING_CALL, U64(4), EVENT),

	/* rings */
	BAD(AGREED, -EINVAL, "ring 3: 0 is not 1 to 32768", SET_VRING_NUM, STATE(3, 0)),
	BAD(AGREED, -EINVAL, "ring 3: 1000 is not a power of two", SET_VRING_NUM,
	    STATE(3, 1000)),
	BAD(AGREED, -EINVAL, "65536 is not 1 to 32768", SET_VRING_NUM, STATE(0, 65536)),
	BAD(PACKED_SET, -EINVAL, "32769 is not 1", SET_VRING_NUM, STATE(1, 32769)),
	BAD(PACKED_SET, -EINVAL, "not below the size, 100", SET_VRING_BASE,
	    STATE(0, 0x8064)),
	BAD(PACKED_SET, -EINVAL, "not below the size, 100", SET_VRING_BASE,
	    STATE(0, 0x00648000)),
	BAD(PACKED_SET, -EINVAL, "available ring", SET_VRING_ADDR,
	    ADDRS(0, 0, U, U + 4, U + 2, 0)),
	BAD(AGREED, -EINVAL, "more than 16 bits", SET_VRING_BASE, STATE(0, 0x10000)),
	BAD(AGREED, -EINVAL, "2 is neither 0 nor 1", SET_VRING_ENABLE, STATE(0, 2)),
	BAD(AGREED, -EINVAL, "unknown bits", SET_VRING_KICK, U64(0x200), EVENT),
	BAD(AGREED, -EINVAL, "unknown bits", SET_VRING_CALL, U64(G4), EVENT),
	/* a write into it ends at once, and raises no signal */
	BAD(AGREED, -EBADF, "not an eventfd", SET_VRING_CALL, U64(0), .fds = TALK_SOCK,
	    .nr_fds = 1),
	BAD(AGREED, -EBADF, "not an eventfd", SET_VRING_ERR, U64(0), .fds = TALK_FILE,
	    .nr_fds = 1),
	BAD(AGREED, -EBADF, "not an eventfd", SET_VRING_KICK, U64(0), .fds = TALK_SOCK,
	    .nr_fds = 1),
	BAD(AGREED, -EBADF, "not an eventfd", SET_LOG_FD, .fds = TALK_SOCK, .nr_fds = 1),
	BAD(AGREED, -EINVAL, "descriptors", SET_VRING_ADDR, ADDRS(0, 0, U + 8, U, U, 0)),
	BAD(AGREED, -EINVAL, "available", SET_VRING_ADDR, ADDRS(0, 0, U, U, U + 1, 0)),
	BAD(AGREED, -EINVAL, "used ring", SET_VRING_ADDR, ADDRS(0, 0, U, U + 2, U, 0)),
	BAD(AGREED, -EINVAL, "log at", SET_VRING_ADDR, ADDRS(0, 1, U, U, U, 2)),
	BAD(AGREED, -EINVAL, "flags 0x2", SET_VRING_ADDR, ADDRS(0, 2, U, U, U, 0)),
	BAD(RUNNING, -EBUSY, "ring 0 runs", SET_VRING_NUM, STATE(0, 512)),
	BAD(RUNNING, -EBUSY, "ring 0 runs", SET_VRING_BASE, STATE(0, 0)),
	BAD(RUNNING, -EBUSY, "while rings run", SET_FEATURES, U64(TALK_PF)),

	/* memory */
	BAD(RUNNING, -EPROTO, "for 2 regions", SET_MEM_TABLE,
	    DATA(struct talk_table1, 2, 0, { R(0, 4096, U, 0) }), FILES(2)),
	BAD(RUNNING, -EPROTO, "for 4294967295 regions", SET_MEM_TABLE,
	    DATA(struct talk_table1, UINT32_MAX, 0, { R(0, 4096, U, 0) }), FILES(1)),
	BAD(RUNNING, -EPROTO, "2 descriptors for 1", SET_MEM_TABLE,
	    DATA(struct talk_table1, 1, 0, { R(0, 4096, U, 0) }), FILES(2)),
	BAD(RUNNING, -EPROTO, "0 descriptors for 1", SET_MEM_TABLE,
	    DATA(struct talk_table1, 1, 0, { R(0, 4096, U, 0) })),
	BAD(RUNNING, -EPROTO, "payload of 4 bytes", SET_MEM_TABLE, DATA(uint32_t, 0),
	    FILES(1)),
	BAD(RUNNING, -EINVAL, "size is 0", SET_MEM_TABLE, ONE(R(0, 0, U, 0))),
	BAD(RUNNING, -EINVAL, "not aligned", SET_MEM_TABLE, ONE(R(1, 4096, U, 0))),
	BAD(RUNNING, -EINVAL, "not aligned", SET_MEM_TABLE, ONE(R(0, 4097, U, 0))),
	BAD(RUNNING, -EINVAL, "not aligned", SET_MEM_TABLE, ONE(R(0, 4096, U + 8, 0))),
	BAD(RUNNING, -EINVAL, "not aligned", SET_MEM_TABLE, ONE(R(0, 4096, U, 16))),
	BAD(RUNNING, -EOVERFLOW, "guest 0xfffffffffffff000", SET_MEM_TABLE,
	    ONE(R(UINT64_MAX - 4095, 8192, U, 0))),
	BAD(RUNNING, -EOVERFLOW, "user 0xfffffffffffff000", SET_MEM_TABLE,
	    ONE(R(0, 8192, UINT64_MAX - 4095, 0))),
	BAD(RUNNING, -EOVERFLOW, "no file is that long", SET_MEM_TABLE,
	    ONE(R(0, 4096, U, UINT64_MAX - 4095))),
	BAD(RUNNING, -EOVERFLOW, "no file is that long", SET_MEM_TABLE,
	    ONE(R(0, 8192, U, UINT64_MAX - 4095))),
	BAD(RUNNING, -ERANGE, "file has only", SET_MEM_TABLE,
	    ONE(R(0, TALK_MEM_LEN + 4096, U, 0))),
	BAD(RUNNING, -ERANGE, "file has only", SET_MEM_TABLE,
	    ONE(R(0, 4096, U, TALK_MEM_LEN))),
	BAD(RUNNING, -EBADF, "nothing to map", SET_MEM_TABLE,
	    DATA(struct talk_table1, 1, 0, { R(0, 4096, U, 0) }), EVENT),
	BAD(RUNNING, -EEXIST, "guest 0x1000 overlaps that at guest 0", SET_MEM_TABLE,
	    TABLE2(R(0, 8192, U, 0), R(4096, 4096, U + G4, 0))),
	BAD(RUNNING, -EEXIST, "overlaps that at user", SET_MEM_TABLE,
	    TABLE2(R(0, 8192, U, 0), R(G4, 4096, U + 4096, 0))),
	BAD(RUNNING, -EEXIST, "overlaps", SET_MEM_TABLE,
	    TABLE2(R(G4, 4096, U, 0), R(G4, 4096, U, 0))),
	BAD(RUNNING, -EEXIST, "overlaps that at guest", ADD_MEM_REG,
	    REG(0x1000, 4096, U + G4, 0), FILES(1)),
	BAD(RUNNING, -EEXIST, "overlaps that at user", ADD_MEM_REG, REG(G4, 4096, U, 0),
	    FILES(1)),
	BAD(RUNNING, -EBADF, "nothing to map", ADD_MEM_REG, REG(G4, 4096, U + G4, 0),
	    EVENT),
	BAD(RUNNING, -ENOENT, "no region", REM_MEM_REG, REG(0, 4096, U, 0)),
	BAD(RUNNING, -ENOENT, "no region", REM_MEM_REG,
	    REG(0, TALK_MEM_LEN, U + 4096, 0)),
	BAD(RUNNING, -ENOENT, "no region", REM_MEM_REG, REG(4096, TALK_MEM_LEN, U, 0),
	    FILES(1)),
	BAD(RUNNING, -EINVAL, "size is 0", REM_MEM_REG, REG(0, 0, U, 0)),

	/* the area that outlives a backend: 2 rings of 256 take 8320 bytes */
	BAD(AGREED, -EPROTO, "0 descriptors", SET_INFLIGHT_FD, AREA(8320, 0, 2, 256)),
	BAD(AGREED, -EPROTO, "payload of 8 bytes", SET_INFLIGHT_FD, U64(0), FILES(1)),
	BAD(AGREED, -ERANGE, "0 rings", SET_INFLIGHT_FD, AREA(8320, 0, 0, 256), FILES(1)),
	BAD(AGREED, -ERANGE, "5 rings, not 1 to the 4", SET_INFLIGHT_FD,
	    AREA(1 << 20, 0, 5, 256), FILES(1)),
	BAD(AGREED, -EINVAL, "0 entries", SET_INFLIGHT_FD, AREA(8320, 0, 2, 0), FILES(1)),
	BAD(AGREED, -EINVAL, "32769 entries", SET_INFLIGHT_FD, AREA(G4, 0, 2, 32769),
	    FILES(1)),
	BAD(AGREED, -EINVAL, "8319 bytes; 2 rings of 256 entries take 8320",
	    SET_INFLIGHT_FD, AREA(8319, 0, 2, 256), FILES(1)),
	BAD(PACKED_SET, -EINVAL, "take 16512", SET_INFLIGHT_FD, AREA(8320, 0, 2, 256),
	    FILES(1)),
	BAD(AGREED, -EINVAL, "not aligned to 64", SET_INFLIGHT_FD, AREA(8320, 8, 2, 256),
	    FILES(1)),
	BAD(AGREED, -ERANGE, "file has only", SET_INFLIGHT_FD,
	    AREA(8320, TALK_MEM_LEN - 4096, 2, 256), FILES(1)),
	BAD(AGREED, -EOVERFLOW, "no file", SET_INFLIGHT_FD,
	    AREA(8320, UINT64_MAX - 63, 2, 256), FILES(1)),
	BAD(AGREED, -EBADF, "nothing to map", SET_INFLIGHT_FD, AREA(8320, 0, 2, 256),
	    EVENT),

	/* the rest */
	BAD(AGREED, -EINVAL, "size is 0", SET_LOG_BASE, LOG(0, 0), FILES(1)),
	BAD(AGREED, -ERANGE, "file has only", SET_LOG_BASE, LOG(TALK_MEM_LEN, 1),
	    FILES(1)),
	BAD(RUNNING, -ERANGE, "size 0x1ff does not reach guest address 0xffffff",
	    SET_LOG_BASE, LOG(511, 0), FILES(1)),
	BAD(AGREED, -EOVERFLOW, "no file", SET_LOG_BASE, LOG(UINT64_MAX, 2), FILES(1)),
	BAD(AGREED, -EINVAL, "67 is not 68 to 65535", NET_SET_MTU, U64(67)),
	BAD(AGREED, -EINVAL, "65536 is not", NET_SET_MTU, U64(65536)),
	BAD(AGREED, -EINVAL, "0x100 is more than 8 bits", SET_STATUS, U64(256)),
	BAD(AGREED, -EPROTO, "for a size of 3", SET_CONFIG, CONF(0, 3, 0, { 0 })),
	BAD(AGREED, -EPROTO, "for a size of 4294967295", SET_CONFIG,
	    CONF(0, UINT32_MAX, 0, { 0 })),
	BAD(AGREED, -ERANGE, "has 12 bytes", SET_CONFIG, CONF(9, 4, 0, { 0 })),
	BAD(AGREED, -ERANGE, "has 12 bytes", SET_CONFIG, CONF(UINT32_MAX, 4, 0, { 0 })),
	BAD(AGREED, -EINVAL, "flags 0x2", SET_CONFIG, CONF(0, 4, 2, { 0 })),
};

/* One of them, asked to be told or not. */
static enum test_result
refused(const struct bad *b, bool ack)
{
	static struct vhost_snapshot then, now;
	static struct weir_vhost_msg msg, reply;
	struct weir_vhost_session *s;
	struct talk say = b->say;
	struct weir_vhost_event ev;
	const char *name = weir_vhost_request_name(say.request);
	unsigned int before;
	bool due;
	int ret;

	TEST_ASSERT(session_at(b->level, &s));
	vhost_snapshot(s, &then);
	before = open_fds();
	say.ack = ack;
	talk_build(&say, &msg);
	ret = weir_vhost_session_input(s, &msg, &ev);
	TEST_EQ(ret, b->err);
	TEST_EQ(ev.type, WEIR_VHOST_EV_NONE);
	TEST_EQ(strncmp(weir_vhost_session_error(s), name, strlen(name)), 0);
	TEST_ASSERT(strstr(weir_vhost_session_error(s), b->text) != NULL);
	due = weir_vhost_session_reply(s, &ev, ret, &reply);
	TEST_EQ(due, ack);
	TEST_EQ(ev.close, !ack);
	if (due)
		TEST_EQ(reply.payload.u64, 1);
	vhost_snapshot(s, &now);
	TEST_EQ(memcmp(&then, &now, sizeof(now)), 0);
	TEST_EQ(open_fds(), before);
	weir_vhost_session_destroy(s);
	return TEST_OK;
}

static enum test_result
session_refusal_changes_nothing(void)
{
	close(talk_file());
	for (size_t i = 0; i < 2 * NR(bad); i++) {
		enum test_result r = refused(&bad[i / 2], i % 2 != 0);

		if (r != TEST_OK) {
			printf("    %s: \"%s\"\n",
			       weir_vhost_request_name(bad[i / 2].say.request),
			       bad[i / 2].text);
			return r;
		}
	}
	return TEST_OK;
}

/* Give one message to a session. @return input()'s answer. */
static int
say(struct weir_vhost_session *s, struct talk t, struct weir_vhost_event *ev)
{
	static struct weir_vhost_msg msg;

	talk_build(&t, &msg);
	return weir_vhost_session_input(s, &msg, ev);
}

static enum test_result
session_garbage_header_closes(void)
{
	static struct weir_vhost_msg msg, reply;
	static const uint32_t flags[] = { 0, 2, 3, 5, 0x11, UINT32_MAX };
	struct weir_vhost_session *s;
	struct weir_vhost_event ev;

	TEST_ASSERT(session_at(FRESH, &s));
	for (size_t i = 0; i < NR(flags); i++) {
		msg_make(&msg, WEIR_VHOST_GET_FEATURES, 0, NULL, 0);
		msg.hdr.flags = flags[i];
		TEST_EQ(weir_vhost_session_input(s, &msg, &ev), -EPROTO);
		TEST_ASSERT(strstr(weir_vhost_session_error(s), "header") != NULL);
		weir_vhost_session_reply(s, &ev, -EPROTO, &reply);
		TEST_ASSERT(ev.close);
	}
	weir_vhost_session_destroy(s);
	return TEST_OK;
}

/* The one failure that has an answer of its own: no bytes of configuration. */
static enum test_result
session_config_out_of_range_answers_empty(void)
{
	static struct weir_vhost_msg reply;
	struct weir_vhost_session *s;
	struct weir_vhost_event ev;
	struct talk t = SAY(GET_CONFIG, NONE, CONF(10, 4, 0, { 0 }));

	TEST_ASSERT(session_at(AGREED, &s));
	TEST_EQ(say(s, t, &ev), -ERANGE);
	TEST_ASSERT(weir_vhost_session_reply(s, &ev, -ERANGE, &reply));
	TEST_EQ(reply.hdr.size, 0);
	TEST_ASSERT(!ev.close);
	weir_vhost_session_destroy(s);
	return TEST_OK;
}

/* The other one: an area of no bytes, as long as it was asked for. */
static enum test_result
session_area_not_to_be_had_answers_zeroes(void)
{
	static const struct weir_vhost_wire_inflight zero;
	static const uint32_t lens[][2] = { { 20, 20 }, { 24, 24 }, { 4, 24 } };
	static struct weir_vhost_msg msg, reply;
	struct weir_vhost_session *s;
	struct weir_vhost_event ev;
	struct talk t = SAY(GET_INFLIGHT_FD, GET_INFLIGHT, AREA(0, 0, 5, 256));

	TEST_ASSERT(session_at(AGREED, &s));
	for (size_t i = 0; i < NR(lens); i++) {
		talk_build(&t, &msg);
		msg.hdr.size = lens[i][0];
		TEST_ASSERT(weir_vhost_session_input(s, &msg, &ev) != 0);
		memset(&reply, 0xee, sizeof(reply));
		TEST_ASSERT(weir_vhost_session_reply(s, &ev, -ERANGE, &reply));
		TEST_EQ(reply.hdr.size, lens[i][1]);
		TEST_EQ(memcmp(&reply.payload, &zero, reply.hdr.size), 0);
		TEST_EQ(reply.nr_fds, 0);
		TEST_ASSERT(!ev.close);
	}
	weir_vhost_session_destroy(s);
	return TEST_OK;
}

/* A port that cannot map, or cannot let go, takes the table back. */
static enum test_result
session_memory_that_port_refuses_is_undone(void)
{
	const struct talk changes[] = {
		SAY(SET_MEM_TABLE, MEM_TABLE, ONE(R(G4, 4096, U + G4, 0)), ACK),
		SAY(SET_MEM_TABLE, MEM_TABLE, DATA(uint64_t, 0), ACK),
		SAY(ADD_MEM_REG, MEM_ADD, REG(G4, 4096, U + G4, 0), FILES(1), ACK),
		SAY(REM_MEM_REG, MEM_DEL, REG(0, TALK_MEM_LEN, U, 0), ACK),
	};
	static struct vhost_snapshot then, now;
	static struct weir_vhost_msg reply;
	struct weir_vhost_session *s;
	struct weir_vhost_event ev;
	unsigned int before;

	close(talk_file());
	TEST_ASSERT(session_at(RUNNING, &s));
	vhost_snapshot(s, &then);
	before = open_fds();
	for (size_t i = 0; i < NR(changes); i++) {
		TEST_EQ(say(s, changes[i], &ev), 0);
		TEST_EQ(ev.type, changes[i].ev);
		vhost_snapshot(s, &now);
		TEST_ASSERT(memcmp(&then, &now, sizeof(now)) != 0);
		TEST_ASSERT(weir_vhost_session_reply(s, &ev, -EBUSY, &reply));
		TEST_EQ(reply.payload.u64, 1);
		TEST_ASSERT(!ev.close);
		vhost_snapshot(s, &now);
		TEST_EQ(memcmp(&then, &now, sizeof(now)), 0);
		TEST_EQ(open_fds(), before);
	}
	weir_vhost_session_destroy(s);
	return TEST_OK;
}

/* QEMU 7.2 adds and removes memory for each of a device's queue pairs. */
static enum test_result
session_region_added_again_is_counted(void)
{
	const struct talk add[] = {
		SAY(ADD_MEM_REG, MEM_ADD, REG(G4, 4096, U + G4, 0), FILES(1), ACK),
		SAY(ADD_MEM_REG, NONE, REG(G4, 4096, U + G4, 0), FILES(1), ACK),
		SAY(ADD_MEM_REG, NONE, REG(G4, 4096, U + G4, 0), FILES(1), ACK),
	};
	const struct talk rem[] = {
		SAY(REM_MEM_REG, NONE, REG(G4, 4096, U + G4, 0), ACK),
		SAY(REM_MEM_REG, NONE, REG(G4, 4096, U + G4, 0), ACK),
		SAY(REM_MEM_REG, MEM_DEL, REG(G4, 4096, U + G4, 0), ACK),
	};
	/* the same addresses of other memory */
	const struct talk other =
		SAY(ADD_MEM_REG, NONE, REG(G4, 4096, U + G4, 4096), FILES(1), ACK);
	struct weir_vhost_session *s;
	struct weir_vhost_event ev;
	unsigned int before;
	uint32_t nr;

	close(talk_file());
	TEST_ASSERT(session_at(RUNNING, &s));
	before = open_fds();
	TEST_EQ(talk_run(s, add, NR(add)), -1);
	weir_vhost_mem(s, &nr);
	TEST_EQ(nr, 2);
	TEST_EQ(open_fds(), before + 1);
	TEST_EQ(say(s, other, &ev), -EEXIST);
	TEST_EQ(talk_run(s, rem, NR(rem)), -1);
	weir_vhost_mem(s, &nr);
	TEST_EQ(nr, 1);
	TEST_EQ(open_fds(), before);
	TEST_EQ(say(s, rem[0], &ev), -ENOENT);
	weir_vhost_session_destroy(s);
	return TEST_OK;
}

/* Until reply(), a polling lcore may still write to what was replaced. */
static enum test_result
session_replaced_descriptor_lives_until_reply(void)
{
	static struct weir_vhost_msg reply;
	struct weir_vhost_session *s;
	struct weir_vhost_event ev;
	struct talk call = SAY(SET_VRING_CALL, RING, U64(0), EVENT);
	struct talk del = SAY(REM_MEM_REG, MEM_DEL, REG(0, TALK_MEM_LEN, U, 0));
	unsigned int before = open_fds();
	uint64_t gen;
	int old;

	TEST_ASSERT(session_at(RUNNING, &s));
	old = weir_vhost_ring(s, 0)->call_fd;
	gen = weir_vhost_ring(s, 0)->gen;
	TEST_EQ(say(s, call, &ev), 0);
	TEST_ASSERT(weir_vhost_ring(s, 0)->call_fd != old);
	TEST_ASSERT(weir_vhost_ring(s, 0)->gen != gen);
	TEST_ASSERT((fcntl(weir_vhost_ring(s, 0)->call_fd, F_GETFL) & O_NONBLOCK) != 0);
	TEST_EQ(fcntl(old, F_GETFD), FD_CLOEXEC);
	TEST_ASSERT(!weir_vhost_session_reply(s, &ev, 0, &reply));
	TEST_EQ(fcntl(old, F_GETFD), -1);

	TEST_EQ(say(s, del, &ev), 0);
	old = ev.region.fd;
	TEST_EQ(fcntl(old, F_GETFD), FD_CLOEXEC);
	/* a second message without a reply to the first: as if it had been 0 */
	TEST_EQ(say(s, call, &ev), 0);
	TEST_EQ(fcntl(old, F_GETFD), -1);
	TEST_ASSERT(!weir_vhost_ring_ready(s, 0));
	weir_vhost_session_destroy(s);
	TEST_EQ(open_fds(), before);
	return TEST_OK;
}

/* A ring told to start outside memory; and one that memory is taken from. */
static enum test_result
session_ring_outside_memory_not_ready(void)
{
	static struct weir_vhost_msg reply;
	const struct talk kick = SAY(SET_VRING_KICK, RING, U64(1), EVENT);
	const struct {
		struct talk addr;
		const char *text;
	} cases[] = {
		{ SAY(SET_VRING_ADDR, RING, ADDRS(1, 0, U - 16, U, U, 0)),
		  "descriptors" },
		{ SAY(SET_VRING_ADDR, RING,
		      ADDRS(1, 0, U + TALK_MEM_LEN - 16 * 256 + 16, U, U, 0)),
		  "descriptors" },
		{ SAY(SET_VRING_ADDR, RING, ADDRS(1, 0, U, U, U + TALK_MEM_LEN - 4, 0)),
		  "available ring" },
		{ SAY(SET_VRING_ADDR, RING, ADDRS(1, 0, U, 0, U, 0)), "used ring" },
		{ SAY(SET_VRING_ADDR, RING, ADDRS(1, 0, UINT64_MAX - 15, U, U, 0)),
		  "wraps" },
		{ SAY(SET_VRING_ADDR, RING, ADDRS(1, 0, U, UINT64_MAX - 3, U, 0)),
		  "wraps" },
	};
	struct weir_vhost_session *s;
	struct weir_vhost_event ev;

	TEST_ASSERT(session_at(RUNNING, &s));
	for (size_t i = 0; i < NR(cases); i++) {
		TEST_EQ(say(s, cases[i].addr, &ev), 0);
		TEST_EQ(say(s, kick, &ev), -EFAULT);
		TEST_ASSERT(strstr(weir_vhost_session_error(s), cases[i].text) != NULL);
		TEST_ASSERT(!weir_vhost_ring(s, 1)->started);
	}
	/* the last 16 bytes and not one more */
	TEST_EQ(say(s,
		    (struct talk)SAY(SET_VRING_ADDR, RING,
				     ADDRS(1, 0, U + TALK_MEM_LEN - 16 * 256, U, U, 0)),
		    &ev),
		0);
	TEST_EQ(say(s, kick, &ev), 0);
	TEST_ASSERT(strcmp(weir_vhost_ring_waits_for(s, 1), "SET_VRING_ENABLE") == 0);
	TEST_EQ(say(s, (struct talk)SAY(SET_MEM_TABLE, MEM_TABLE, ONE(R(0, 4096, U, 0))),
		    &ev),
		0);
	TEST_ASSERT(!weir_vhost_session_reply(s, &ev, 0, &reply));
	TEST_ASSERT(strcmp(weir_vhost_ring_waits_for(s, 0), "memory at its addresses") ==
		    0);
	weir_vhost_session_destroy(s);
	return TEST_OK;
}

/* What was right for a packed ring is looked at again for a split one. */
static enum test_result
session_ring_of_other_layout_not_ready(void)
{
	const struct talk steps[] = {
		SAY(SET_FEATURES, FEATURES, U64(KEEP | PACKED)),
		SAY(SET_MEM_TABLE, MEM_TABLE, TABLE1),
		SAY(SET_VRING_BASE, RING, STATE(0, 0x80058005)),
		SAY(SET_VRING_NUM, RING, STATE(0, 100)),
		SAY(SET_FEATURES, FEATURES, U64(KEEP)),
		SAY(SET_VRING_ADDR, RING, ADDR(0, 0)),
		SAY(SET_VRING_KICK, RING, U64(0), EVENT),
		SAY(SET_VRING_ENABLE, RING, STATE(0, 1)),
	};
	const struct talk again[] = {
		SAY(GET_VRING_BASE, RING_STOP, STATE(0, 0)),
		SAY(SET_VRING_NUM, RING, STATE(0, 128)),
		SAY(SET_VRING_KICK, RING, U64(0), EVENT),
		READY(1),
	};
	struct weir_vhost_session *s;

	TEST_ASSERT(session_at(AGREED, &s));
	TEST_EQ(talk_run(s, steps, NR(steps)), -1);
	TEST_EQ(strcmp(weir_vhost_ring_waits_for(s, 0), "a size that is a power of two"),
		0);
	TEST_EQ(talk_run(s, again, NR(again)), -1);
	weir_vhost_session_destroy(s);
	return TEST_OK;
}

static enum test_result
session_every_slot_filled_then_no_more(void)
{
	static struct weir_vhost_msg reply;
	struct weir_vhost_wire_mem_reg reg = { 0, { 0, 4096, U, 0 } };
	struct talk add = { WEIR_VHOST_ADD_MEM_REG, .data = &reg, .size = sizeof(reg),
			    FILES(1) };
	const struct weir_vhost_region *r;
	struct weir_vhost_session *s;
	struct weir_vhost_event ev;
	unsigned int before;
	uint32_t nr;

	TEST_ASSERT(session_at(AGREED, &s));
	before = open_fds();
	/* from the middle outwards, so that insertion has to sort */
	for (uint32_t i = 0; i < WEIR_VHOST_MEM_SLOTS; i++) {
		uint64_t at = i % 2 != 0 ? 4096 - i : 4096 + i;

		reg.region.gpa = at * 8192;
		reg.region.user = U + i * UINT64_C(4096);
		TEST_EQ(say(s, add, &ev), 0);
		TEST_ASSERT(!weir_vhost_session_reply(s, &ev, 0, &reply));
		/* as a port does that has mapped it */
		weir_vhost_mem_close_fds(s);
	}
	TEST_EQ(open_fds(), before);
	TEST_ASSERT(vhost_invariant(s, &talk_offer) == NULL);
	r = weir_vhost_mem(s, &nr);
	TEST_EQ(nr, WEIR_VHOST_MEM_SLOTS);
	TEST_ASSERT(weir_vhost_region_same(&r[7], &r[7]));
	TEST_ASSERT(!weir_vhost_region_same(&r[7], &r[8]));
	reg.region.gpa = 0;
	reg.region.user = U + G4;
	TEST_EQ(say(s, add, &ev), -ENOSPC);
	weir_vhost_session_destroy(s);
	TEST_EQ(open_fds(), before);
	return TEST_OK;
}

/* There are slots left, and no more memory: neither one by one nor as a table. */
static enum test_result
session_memory_beyond_its_bound_refused(void)
{
	static struct weir_vhost_msg reply;
	struct weir_vhost_wire_mem_reg reg = { 0, { 0, TALK_MEM_LEN, 0, 0 } };
	struct talk add = { WEIR_VHOST_ADD_MEM_REG, .data = &reg, .size = sizeof(reg),
			    FILES(1) };
	struct weir_vhost_session *s;
	struct weir_vhost_event ev;
	uint32_t nr;
	int ret = 0;

	TEST_ASSERT(session_at(AGREED, &s));
	for (uint32_t i = 0; i <= TALK_MEM_MAX / TALK_MEM_LEN; i++) {
		TEST_EQ(ret, 0);
		reg.region.gpa = i * TALK_MEM_LEN;
		reg.region.user = U + i * TALK_MEM_LEN;
		ret = say(s, add, &ev);
		weir_vhost_session_reply(s, &ev, ret, &reply);
		weir_vhost_mem_close_fds(s);
	}
	TEST_EQ(ret, -ENOSPC);
	TEST_ASSERT(strstr(weir_vhost_session_error(s), "bytes of memory") != NULL);
	weir_vhost_mem(s, &nr);
	TEST_EQ(nr, TALK_MEM_MAX / TALK_MEM_LEN);
	weir_vhost_session_destroy(s);
	return TEST_OK;
}

static enum test_result
session_offer_out_of_limits_refused(void)
{
	static const struct {
		struct weir_vhost_config offer;
		int err;
	} cases[] = {
		{ { .nr_queue_pairs = 0 }, -EINVAL },
		{ { .nr_queue_pairs = 129 }, -EINVAL },
		{ { .nr_queue_pairs = 1, .nr_mem_slots = 7 }, -EINVAL },
		{ { .nr_queue_pairs = 1, .nr_mem_slots = 32765 }, -EINVAL },
		{ { .nr_queue_pairs = 1, .config_len = 257 }, -EINVAL },
		{ { .nr_queue_pairs = 1, .protocol_features = 1 }, -EINVAL },
		{ { .nr_queue_pairs = 1,
		    .features = TALK_PF,
		    .protocol_features = BIT(WEIR_VHOST_PF_CROSS_ENDIAN) },
		  -EPROTONOSUPPORT },
		{ { .nr_queue_pairs = 1, .features = BIT(VIRTIO_F_ACCESS_PLATFORM) },
		  -EINVAL },
		{ { .nr_queue_pairs = 1,
		    .features = TALK_PF | BIT(VIRTIO_F_ACCESS_PLATFORM),
		    .protocol_features = BIT(WEIR_VHOST_PF_BACKEND_REQ) },
		  -EINVAL },
		{ { .nr_queue_pairs = 128, .nr_mem_slots = 32764, .config_len = 256 },
		  0 },
	};
	struct weir_vhost_session *s;

	for (size_t i = 0; i < NR(cases); i++) {
		s = NULL;
		TEST_EQ(weir_vhost_session_create(&cases[i].offer, &s), cases[i].err);
		weir_vhost_session_destroy(s);
	}
	return TEST_OK;
}

static const struct talk iotlb_update =
	SAY(IOTLB_MSG, NONE,
	    IOTLB(UINT64_MAX - 4095, 4096, U, VHOST_ACCESS_WO, VHOST_IOTLB_UPDATE));
static const struct talk iotlb_one =
	SAY(IOTLB_MSG, NONE, IOTLB(8192, 4096, 0, 0, VHOST_IOTLB_INVALIDATE));
/* of 2^64 bytes, and of more than there are */
static const struct talk iotlb_all =
	SAY(IOTLB_MSG, NONE, IOTLB(0, 0, 0, 0, VHOST_IOTLB_INVALIDATE));
static const struct talk iotlb_rest =
	SAY(IOTLB_MSG, NONE, IOTLB(4096, UINT64_MAX, 0, 0, VHOST_IOTLB_INVALIDATE));
static const struct talk iotlb_ring[] = {
	SAY(SET_VRING_NUM, RING, STATE(0, 256)),
	SAY(SET_VRING_ADDR, RING, ADDRS(0, 0, 0xfff00000, 0xfff10000, 0xfff20000, 0)),
	SAY(SET_VRING_KICK, RING, U64(0), EVENT),
	SAY(SET_VRING_ENABLE, RING, STATE(0, 1)),
	READY(0x1),
};

/* An event's range. */
static bool
iotlb_is(struct weir_vhost_session *s, const struct talk *t,
	 enum weir_vhost_event_type type, uint64_t start, uint64_t last)
{
	static struct weir_vhost_msg msg, reply;
	struct weir_vhost_event ev;
	int ret;

	talk_build(t, &msg);
	ret = weir_vhost_session_input(s, &msg, &ev);
	weir_vhost_session_reply(s, &ev, ret, &reply);
	return ret == 0 && ev.type == type &&
	       (type == WEIR_VHOST_EV_NONE ||
		(ev.iotlb.iova.start == start && ev.iotlb.iova.last == last));
}

static enum test_result
session_iotlb_ranges(void)
{
	struct weir_vhost_session *s;

	TEST_ASSERT(session_at(IOMMU, &s));
	TEST_ASSERT(weir_vhost_iotlb(s));
	TEST_ASSERT(iotlb_is(s, &iotlb_update, WEIR_VHOST_EV_IOTLB_UPDATE,
			     UINT64_MAX - 4095, UINT64_MAX));
	TEST_ASSERT(iotlb_is(s, &iotlb_one, WEIR_VHOST_EV_IOTLB_INVALIDATE, 8192,
			     8192 + 4095));
	TEST_ASSERT(
		iotlb_is(s, &iotlb_all, WEIR_VHOST_EV_IOTLB_INVALIDATE, 0, UINT64_MAX));
	TEST_ASSERT(iotlb_is(s, &iotlb_rest, WEIR_VHOST_EV_IOTLB_INVALIDATE, 4096,
			     UINT64_MAX));
	/* where its rings are in memory nobody has said */
	TEST_EQ(talk_run(s, iotlb_ring, NR(iotlb_ring)), -1);
	weir_vhost_session_destroy(s);

	/* who has no channel to be asked over has no IOTLB */
	TEST_ASSERT(session_at(AGREED, &s));
	TEST_ASSERT(!weir_vhost_iotlb(s));
	TEST_ASSERT(iotlb_is(s, &iotlb_all, WEIR_VHOST_EV_NONE, 0, 0));
	weir_vhost_session_destroy(s);
	return TEST_OK;
}

static enum test_result
base_splits_and_joins(void)
{
	struct weir_vhost_base b = weir_vhost_base_split(0x8000, true);

	/* DPDK's short form: the used half is the other */
	TEST_EQ(b.avail_idx | b.used_idx, 0);
	TEST_ASSERT(b.avail_wrap && b.used_wrap);
	TEST_EQ(weir_vhost_base_join(b, true), 0x80008000);
	b = weir_vhost_base_split(0x00058007, true);
	TEST_EQ(b.avail_idx, 7);
	TEST_EQ(b.used_idx, 5);
	TEST_ASSERT(b.avail_wrap && !b.used_wrap);
	TEST_EQ(weir_vhost_base_join(b, true), 0x00058007);
	b = weir_vhost_base_split(0xffff, false);
	TEST_EQ(b.avail_idx, 0xffff);
	TEST_EQ(weir_vhost_base_join(b, false), 0xffff);
	return TEST_OK;
}

/* Each allocation of each message that allocates made to fail in turn. */
static enum test_result
session_allocation_failure_changes_nothing(void)
{
	const struct talk changes[] = {
		SAY(SET_MEM_TABLE, MEM_TABLE, ONE(R(G4, 4096, U + G4, 0))),
		SAY(ADD_MEM_REG, MEM_ADD, REG(0, 4096, U, 0), FILES(1)),
		SAY(REM_MEM_REG, MEM_DEL, REG(0, 4096, U, 0)),
	};
	static struct vhost_snapshot then, now;
	struct weir_vhost_session *s = NULL;
	struct weir_vhost_event ev;
	unsigned int before, nth = 0, failed = 0;
	int ret;

	close(talk_file());
	do {
		weir_fail_arm(++nth);
		ret = weir_vhost_session_create(&talk_offer, &s);
		failed += ret == -ENOMEM;
	} while (!weir_fail_armed());
	weir_fail_arm(0);
	TEST_EQ(ret, 0);
	TEST_EQ(failed, 2);
	TEST_EQ(talk_run(s, to_agreed, NR(to_agreed)), -1);
	for (size_t i = 0; i < NR(changes); i++) {
		before = open_fds();
		vhost_snapshot(s, &then);
		weir_fail_arm(1);
		TEST_EQ(say(s, changes[i], &ev), -ENOMEM);
		weir_fail_arm(0);
		vhost_snapshot(s, &now);
		TEST_EQ(memcmp(&then, &now, sizeof(now)), 0);
		TEST_EQ(open_fds(), before);
		weir_fail_arm(2);
		TEST_EQ(say(s, changes[i], &ev), 0);
		TEST_ASSERT(weir_fail_armed());
		weir_fail_arm(0);
	}
	weir_vhost_session_destroy(s);
	return TEST_OK;
}

static const struct test_case vhost_cases[] = {
	{ "session_refusal_changes_nothing", session_refusal_changes_nothing },
	{ "session_garbage_header_closes", session_garbage_header_closes },
	{ "session_area_not_to_be_had_answers_zeroes",
	  session_area_not_to_be_had_answers_zeroes },
	{ "session_config_out_of_range_answers_empty",
	  session_config_out_of_range_answers_empty },
	{ "session_memory_that_port_refuses_is_undone",
	  session_memory_that_port_refuses_is_undone },
	{ "session_region_added_again_is_counted",
	  session_region_added_again_is_counted },
	{ "session_replaced_descriptor_lives_until_reply",
	  session_replaced_descriptor_lives_until_reply },
	{ "session_ring_outside_memory_not_ready",
	  session_ring_outside_memory_not_ready },
	{ "session_ring_of_other_layout_not_ready",
	  session_ring_of_other_layout_not_ready },
	{ "session_memory_beyond_its_bound_refused",
	  session_memory_beyond_its_bound_refused },
	{ "session_every_slot_filled_then_no_more",
	  session_every_slot_filled_then_no_more },
	{ "session_offer_out_of_limits_refused", session_offer_out_of_limits_refused },
	{ "session_iotlb_ranges", session_iotlb_ranges },
	{ "base_splits_and_joins", base_splits_and_joins },
	{ "session_allocation_failure_changes_nothing",
	  session_allocation_failure_changes_nothing },
};
AUTOTEST(vhost_session_autotest, vhost_cases);
