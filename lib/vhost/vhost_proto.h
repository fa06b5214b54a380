/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VHOST_PROTO_H
#define VHOST_PROTO_H
/**
 * @file
 * The numbers and layouts of the vhost-user protocol.
 *
 * A message is a header of twelve bytes and a payload, in the byte order of
 * the machine, with file descriptors as SCM_RIGHTS beside it. What the kernel's
 * vhost has as well (vring state and addresses, feature bits of virtio) comes
 * from <linux/vhost_types.h> and <linux/virtio_*.h>; here is the rest.
 *
 * Only facts: no function, nothing of weir's own but the sizes of its arrays.
 */
#include <linux/vhost_types.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A mask out of a bit's number. */
#define WEIR_VHOST_BIT(nr) (UINT64_C(1) << (nr))

/** Virtio feature bit that virtio never uses: protocol features can be asked for. */
#define WEIR_VHOST_F_PROTOCOL_FEATURES 30

/** Protocol features, bit numbers of GET_PROTOCOL_FEATURES. */
enum weir_vhost_pf {
	WEIR_VHOST_PF_MQ = 0,
	WEIR_VHOST_PF_LOG_SHMFD = 1,
	WEIR_VHOST_PF_RARP = 2,
	WEIR_VHOST_PF_REPLY_ACK = 3,
	WEIR_VHOST_PF_NET_MTU = 4,
	WEIR_VHOST_PF_BACKEND_REQ = 5,
	WEIR_VHOST_PF_CROSS_ENDIAN = 6,
	WEIR_VHOST_PF_CRYPTO_SESSION = 7,
	WEIR_VHOST_PF_PAGEFAULT = 8,
	WEIR_VHOST_PF_CONFIG = 9,
	WEIR_VHOST_PF_BACKEND_SEND_FD = 10,
	WEIR_VHOST_PF_HOST_NOTIFIER = 11,
	WEIR_VHOST_PF_INFLIGHT_SHMFD = 12,
	WEIR_VHOST_PF_RESET_DEVICE = 13,
	WEIR_VHOST_PF_INBAND_NOTIFICATIONS = 14,
	WEIR_VHOST_PF_CONFIGURE_MEM_SLOTS = 15,
	WEIR_VHOST_PF_STATUS = 16,
	WEIR_VHOST_PF_XEN_MMAP = 17,
	WEIR_VHOST_PF_SHARED_OBJECT = 18,
	WEIR_VHOST_PF_DEVICE_STATE = 19,
	WEIR_VHOST_PF_GET_VRING_BASE_INFLIGHT = 20,
	WEIR_VHOST_PF_GPA_ADDRESSES = 21,
	WEIR_VHOST_PF_SHMEM_MAP = 22,
	WEIR_VHOST_PF_COUNT
};

/** Requests of a frontend. */
enum weir_vhost_request {
	WEIR_VHOST_GET_FEATURES = 1,
	WEIR_VHOST_SET_FEATURES = 2,
	WEIR_VHOST_SET_OWNER = 3,
	WEIR_VHOST_RESET_OWNER = 4,
	WEIR_VHOST_SET_MEM_TABLE = 5,
	WEIR_VHOST_SET_LOG_BASE = 6,
	WEIR_VHOST_SET_LOG_FD = 7,
	WEIR_VHOST_SET_VRING_NUM = 8,
	WEIR_VHOST_SET_VRING_ADDR = 9,
	WEIR_VHOST_SET_VRING_BASE = 10,
	WEIR_VHOST_GET_VRING_BASE = 11,
	WEIR_VHOST_SET_VRING_KICK = 12,
	WEIR_VHOST_SET_VRING_CALL = 13,
	WEIR_VHOST_SET_VRING_ERR = 14,
	WEIR_VHOST_GET_PROTOCOL_FEATURES = 15,
	WEIR_VHOST_SET_PROTOCOL_FEATURES = 16,
	WEIR_VHOST_GET_QUEUE_NUM = 17,
	WEIR_VHOST_SET_VRING_ENABLE = 18,
	WEIR_VHOST_SEND_RARP = 19,
	WEIR_VHOST_NET_SET_MTU = 20,
	WEIR_VHOST_SET_BACKEND_REQ_FD = 21,
	WEIR_VHOST_IOTLB_MSG = 22,
	WEIR_VHOST_SET_VRING_ENDIAN = 23,
	WEIR_VHOST_GET_CONFIG = 24,
	WEIR_VHOST_SET_CONFIG = 25,
	WEIR_VHOST_CREATE_CRYPTO_SESSION = 26,
	WEIR_VHOST_CLOSE_CRYPTO_SESSION = 27,
	WEIR_VHOST_POSTCOPY_ADVISE = 28,
	WEIR_VHOST_POSTCOPY_LISTEN = 29,
	WEIR_VHOST_POSTCOPY_END = 30,
	WEIR_VHOST_GET_INFLIGHT_FD = 31,
	WEIR_VHOST_SET_INFLIGHT_FD = 32,
	WEIR_VHOST_GPU_SET_SOCKET = 33,
	WEIR_VHOST_RESET_DEVICE = 34,
	WEIR_VHOST_VRING_KICK = 35,
	WEIR_VHOST_GET_MAX_MEM_SLOTS = 36,
	WEIR_VHOST_ADD_MEM_REG = 37,
	WEIR_VHOST_REM_MEM_REG = 38,
	WEIR_VHOST_SET_STATUS = 39,
	WEIR_VHOST_GET_STATUS = 40,
	WEIR_VHOST_GET_SHARED_OBJECT = 41,
	WEIR_VHOST_SET_DEVICE_STATE_FD = 42,
	WEIR_VHOST_CHECK_DEVICE_STATE = 43,
	WEIR_VHOST_GET_SHMEM_CONFIG = 44,
	WEIR_VHOST_REQUEST_COUNT /**< one past the last known */
};

/** Requests of a backend, over the channel of SET_BACKEND_REQ_FD. */
enum weir_vhost_backend_request {
	WEIR_VHOST_BACKEND_IOTLB_MSG = 1,
	WEIR_VHOST_BACKEND_CONFIG_CHANGE_MSG = 2,
	WEIR_VHOST_BACKEND_VRING_HOST_NOTIFIER_MSG = 3,
	WEIR_VHOST_BACKEND_VRING_CALL = 4,
	WEIR_VHOST_BACKEND_VRING_ERR = 5,
	WEIR_VHOST_BACKEND_SHARED_OBJECT_ADD = 6,
	WEIR_VHOST_BACKEND_SHARED_OBJECT_REMOVE = 7,
	WEIR_VHOST_BACKEND_SHARED_OBJECT_LOOKUP = 8,
	WEIR_VHOST_BACKEND_SHMEM_MAP = 9,
	WEIR_VHOST_BACKEND_SHMEM_UNMAP = 10,
};

/** Header flags. */
#define WEIR_VHOST_VERSION_MASK 0x3u
#define WEIR_VHOST_VERSION 0x1u
#define WEIR_VHOST_FLAG_REPLY 0x4u	/**< backend to frontend */
#define WEIR_VHOST_FLAG_NEED_REPLY 0x8u /**< REPLY_ACK: answer 0 or not 0 */

/** SET_VRING_KICK, _CALL, _ERR: the ring's number, and "no descriptor, poll". */
#define WEIR_VHOST_RING_IDX_MASK 0xffu
#define WEIR_VHOST_RING_NOFD 0x100u

/** The eight bits above leave room for so many rings, whatever MQ says. */
#define WEIR_VHOST_RINGS_MAX 256u

/** Entries of a ring, split or packed; a split ring's are a power of two. */
#define WEIR_VHOST_RING_NUM_MAX 32768u

/** Regions that any frontend may send at once without CONFIGURE_MEM_SLOTS. */
#define WEIR_VHOST_REGIONS_BASE 8u

/** Descriptors that the kernel passes in one go (SCM_MAX_FD). */
#define WEIR_VHOST_FDS_MAX 253u

/** Bytes of device configuration that one message carries. */
#define WEIR_VHOST_CONFIG_MAX 256u

/** Guest memory that a bit of the dirty log stands for. */
#define WEIR_VHOST_LOG_PAGE UINT64_C(4096)

/** SET_CONFIG's flags: by a guest's write, or by migration. */
#define WEIR_VHOST_CONFIG_WRITABLE 0u
#define WEIR_VHOST_CONFIG_MIGRATION 1u

/** Ahead of every payload. */
struct weir_vhost_hdr {
	uint32_t request; /**< enum weir_vhost_request */
	uint32_t flags;	  /**< version and WEIR_VHOST_FLAG_* */
	uint32_t size;	  /**< bytes of payload that follow */
};

/** A stretch of guest memory, as SET_MEM_TABLE and ADD_MEM_REG describe it. */
struct weir_vhost_wire_region {
	uint64_t gpa;	      /**< where the guest sees it */
	uint64_t len;	      /**< bytes */
	uint64_t user;	      /**< where the frontend sees it; rings are given so */
	uint64_t mmap_offset; /**< where it begins in the file */
};

/** SET_MEM_TABLE: as many descriptors as regions, in the same order. */
struct weir_vhost_wire_table {
	uint32_t nr_regions;
	uint32_t pad;
	struct weir_vhost_wire_region region[WEIR_VHOST_FDS_MAX];
};

/** ADD_MEM_REG (one descriptor) and REM_MEM_REG. */
struct weir_vhost_wire_mem_reg {
	uint64_t pad;
	struct weir_vhost_wire_region region;
};

/** SET_LOG_BASE with LOG_SHMFD. */
struct weir_vhost_wire_log {
	uint64_t len;	      /**< bytes of bitmap */
	uint64_t mmap_offset; /**< where guest address 0 is logged */
};

/** GET_CONFIG and SET_CONFIG; only `len` bytes of `data` are sent. */
struct weir_vhost_wire_config {
	uint32_t offset;
	uint32_t len;
	uint32_t flags;
	uint8_t data[WEIR_VHOST_CONFIG_MAX];
};

/**
 * GET_INFLIGHT_FD (the answer has the descriptor) and SET_INFLIGHT_FD. Some send
 * the padding, some do not.
 */
struct weir_vhost_wire_inflight {
	uint64_t len;	      /**< bytes of the area; a question leaves it open */
	uint64_t mmap_offset; /**< where the area begins in the file */
	uint16_t nr_rings;    /**< that have a part of it, from ring 0 on */
	uint16_t size;	      /**< entries that each part has room for */
	uint8_t pad[4];
};

/**
 * IOTLB_MSG, either way: VHOST_IOTLB_UPDATE and _INVALIDATE from the frontend,
 * _MISS and _ACCESS_FAIL from the backend. As struct vhost_iotlb_msg, whose padding
 * the wire has too.
 */
#define WEIR_VHOST_IOTLB_LEN 32u

/** A payload, by request. */
union weir_vhost_payload {
	uint64_t u64;
	struct vhost_vring_state state;
	struct vhost_vring_addr addr;
	struct weir_vhost_wire_table table;
	struct weir_vhost_wire_mem_reg mem_reg;
	struct weir_vhost_wire_log log;
	struct weir_vhost_wire_config config;
	struct weir_vhost_wire_inflight inflight;
	struct vhost_iotlb_msg iotlb;
};

#ifdef __cplusplus
}
#endif
#endif /* VHOST_PROTO_H */
