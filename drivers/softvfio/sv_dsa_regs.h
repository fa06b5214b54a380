/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SV_DSA_REGS_H
#define SV_DSA_REGS_H
/**
 * @file
 * Intel DSA 1.0: registers. Descriptors, completion records and their codes are
 * in <linux/idxd.h>. Numbers are the device's; where a table lies is told by
 * `offsets`, in units of DSA_TABLE_UNIT, and is ours to choose.
 */
#include <stddef.h>
#include <stdint.h>

#define DSA_BAR0_LEN 0x10000
#define DSA_MSIX_OFFSET 0x2000
#define DSA_TABLE_UNIT 0x100u
#define DSA_GRPCFG_OFFSET 0x400u
#define DSA_WQCFG_OFFSET 0x500u
#define DSA_MSIX_PERM_OFFSET 0x600u

#define DSA_NR_WQS 8u
#define DSA_ALL_WQS ((1u << DSA_NR_WQS) - 1) /**< a mask */
#define DSA_NR_GROUPS 4u
#define DSA_NR_ENGINES 4u
#define DSA_WQ_ENTRIES 128u /**< of all work queues together */
#define DSA_NR_VECTORS 9u   /**< 0: errors and commands; the others: descriptors */
#define DSA_MAX_XFER_SHIFT 31u
#define DSA_MAX_BATCH_SHIFT 10u

/** Portals: four pages a work queue. They tell kinds of interrupts apart. */
#define DSA_PORTAL_LEN 0x4000u
#define DSA_BAR2_LEN (DSA_NR_WQS * DSA_PORTAL_LEN)

/** BAR 0, up to the tables. */
struct dsa_regs {
	uint32_t version; /**< 0x00 */
	uint32_t reserved_04[3];
	uint64_t gencap; /**< 0x10 */
	uint64_t reserved_18;
	uint64_t wqcap; /**< 0x20 */
	uint64_t reserved_28;
	uint64_t grpcap;     /**< 0x30 */
	uint64_t engcap;     /**< 0x38 */
	uint64_t opcap[4];   /**< 0x40: a bit for each operation */
	uint64_t offsets[2]; /**< 0x60: of tables, 16 bits each */
	uint64_t reserved_70[2];
	uint32_t gencfg; /**< 0x80 */
	uint32_t reserved_84;
	uint32_t genctrl; /**< 0x88: which events interrupt */
	uint32_t reserved_8c;
	uint32_t gensts; /**< 0x90: state */
	uint32_t reserved_94;
	uint32_t intcause; /**< 0x98: write ones to clear */
	uint32_t reserved_9c;
	uint32_t cmd; /**< 0xa0 */
	uint32_t reserved_a4;
	uint32_t cmdsts; /**< 0xa8 */
	uint32_t reserved_ac;
	uint32_t cmdcap; /**< 0xb0: a bit for each command */
	uint32_t reserved_b4[3];
	uint64_t swerr[4]; /**< 0xc0: the first error, until it is acknowledged */
};

_Static_assert(offsetof(struct dsa_regs, opcap) == 0x40, "register layout");
_Static_assert(offsetof(struct dsa_regs, gensts) == 0x90, "register layout");
_Static_assert(offsetof(struct dsa_regs, cmdcap) == 0xb0, "register layout");
_Static_assert(sizeof(struct dsa_regs) == 0xe0, "register layout");

#define DSA_VERSION_1 0x100u

#define DSA_GENCAP_CACHE_MEM (UINT64_C(1) << 2)
#define DSA_GENCAP_CACHE_CTL (UINT64_C(1) << 3)
#define DSA_GENCAP_CMDCAP (UINT64_C(1) << 4)
#define DSA_GENCAP_XFER_SHIFT 16
#define DSA_GENCAP_BATCH_SHIFT 21
#define DSA_GENCAP_CONFIG (UINT64_C(1) << 31)

#define DSA_WQCAP_NR_SHIFT 16
#define DSA_WQCAP_DEDICATED (UINT64_C(1) << 49)
#define DSA_WQCAP_PRIORITY (UINT64_C(1) << 51)

#define DSA_GENCTRL_SWERR_INT (1u << 0)
#define DSA_INTCAUSE_SWERR (1u << 0)
#define DSA_INTCAUSE_CMD (1u << 1)

/** gensts, low bits. */
enum dsa_dev_state {
	DSA_DEV_DISABLED = 0,
	DSA_DEV_ENABLED = 1,
	DSA_DEV_DRAIN = 2,
};

#define DSA_CMD_SHIFT 20 /**< below it the operand */
#define DSA_CMD_OPERAND 0xfffffu
#define DSA_CMD_MASK 0x1fu
#define DSA_CMD_INT (1u << 31) /**< interrupt when it is done */

enum dsa_cmd {
	DSA_CMD_ENABLE_DEV = 1,
	DSA_CMD_DISABLE_DEV = 2,
	DSA_CMD_DRAIN_ALL = 3,
	DSA_CMD_ABORT_ALL = 4,
	DSA_CMD_RESET_DEV = 5,
	DSA_CMD_ENABLE_WQ = 6, /**< operand: its number; the others': a mask */
	DSA_CMD_DISABLE_WQ = 7,
	DSA_CMD_DRAIN_WQ = 8,
	DSA_CMD_ABORT_WQ = 9,
	DSA_CMD_RESET_WQ = 10,
};

#define DSA_CMDSTS_ACTIVE (1u << 31)

/** cmdsts, low byte. */
enum dsa_cmd_err {
	DSA_CMD_OK = 0,
	DSA_CMD_ERR_CMD = 0x01,
	DSA_CMD_ERR_WQ_INDEX = 0x02,
	DSA_CMD_ERR_DEV_ENABLED = 0x10,
	DSA_CMD_ERR_BUS_MASTER = 0x12,
	DSA_CMD_ERR_WQ_SIZES = 0x14,
	DSA_CMD_ERR_GROUPS = 0x15,
	DSA_CMD_ERR_DEV_NOT_ENABLED = 0x20,
	DSA_CMD_ERR_WQ_ENABLED = 0x21,
	DSA_CMD_ERR_WQ_SIZE = 0x22,
	DSA_CMD_ERR_WQ_PRIORITY = 0x23,
	DSA_CMD_ERR_WQ_MODE = 0x24,
	DSA_CMD_ERR_WQ_BLOCK_ON_FAULT = 0x25,
	DSA_CMD_ERR_WQ_PASID = 0x26,
	DSA_CMD_ERR_WQ_MAX_BATCH = 0x27,
	DSA_CMD_ERR_WQ_MAX_XFER = 0x28,
	DSA_CMD_ERR_DISABLE_DEV = 0x31,
	DSA_CMD_ERR_WQ_DEV = 0x32,
};

/** swerr, first word: bits, and the shifts of fields. */
#define DSA_SWERR_VALID (UINT64_C(1) << 0)
#define DSA_SWERR_OVERFLOW (UINT64_C(1) << 1)
#define DSA_SWERR_DESC_VALID (UINT64_C(1) << 2)
#define DSA_SWERR_WQ_VALID (UINT64_C(1) << 3)
#define DSA_SWERR_BATCH (UINT64_C(1) << 4)
#define DSA_SWERR_ERROR_SHIFT 8
#define DSA_SWERR_WQ_SHIFT 16
#define DSA_SWERR_OP_SHIFT 32

/** swerr's codes beyond those of completion records: a command under another. */
#define DSA_ERR_CMD_REG 0x52u
/** A store to a portal that leads nowhere. The specification has numbers for each
 * cause, which no public header tells; these are ours. */
#define DSA_ERR_PORTAL_DISABLED 0xf0u
#define DSA_ERR_PORTAL_FULL 0xf1u
#define DSA_ERR_PORTAL_STORE 0xf2u

/** A group's configuration. */
struct dsa_grpcfg {
	uint64_t wqs[4];
	uint64_t engines;
	uint32_t flags;
	uint32_t reserved[5];
};

_Static_assert(sizeof(struct dsa_grpcfg) == 64, "register layout");

/** A work queue's configuration, by words of 32 bits. */
enum dsa_wqcfg_word {
	DSA_WQ_SIZE,   /**< entries */
	DSA_WQ_LIMIT,  /**< of a shared one */
	DSA_WQ_MODE,   /**< bits below */
	DSA_WQ_MAXIMA, /**< log2 of bytes, and of descriptors in a batch */
	DSA_WQ_OCCUPANCY_INT,
	DSA_WQ_OCCUPANCY_LIMIT,
	DSA_WQ_STATE,
	DSA_WQ_RESERVED,
	DSA_WQCFG_WORDS
};

#define DSA_WQ_SIZE_MASK 0xffffu
#define DSA_WQ_MODE_DEDICATED (1u << 0)
#define DSA_WQ_MODE_BLOCK_ON_FAULT (1u << 1)
#define DSA_WQ_MODE_PRIORITY 0xf0u
#define DSA_WQ_MODE_PASID (1u << 28)
#define DSA_WQ_XFER_MASK 0x1fu
#define DSA_WQ_BATCH_SHIFT 5
#define DSA_WQ_BATCH_MASK 0xfu
#define DSA_WQ_STATE_SHIFT 30

/** Upper bits of DSA_WQ_STATE. */
enum dsa_wq_state {
	DSA_WQ_DISABLED = 0,
	DSA_WQ_ENABLED = 1,
	DSA_WQ_BUSY = 2, /**< being disabled, not yet empty */
};

/** BAR 0 as far as it has a function. */
struct dsa_bar0 {
	struct dsa_regs regs;
	uint8_t reserved_e0[DSA_GRPCFG_OFFSET - sizeof(struct dsa_regs)];
	struct dsa_grpcfg grpcfg[DSA_NR_GROUPS];
	uint32_t wqcfg[DSA_NR_WQS][DSA_WQCFG_WORDS];
	uint32_t msix_perm[DSA_NR_VECTORS];
};

_Static_assert(offsetof(struct dsa_bar0, wqcfg) == DSA_WQCFG_OFFSET, "register layout");
_Static_assert(offsetof(struct dsa_bar0, msix_perm) == DSA_MSIX_PERM_OFFSET,
	       "register layout");

#endif /* SV_DSA_REGS_H */
