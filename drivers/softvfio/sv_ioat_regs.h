/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SV_IOAT_REGS_H
#define SV_IOAT_REGS_H
/**
 * @file
 * Intel I/OAT (CBDMA) 3.4: registers and descriptors of a function with one
 * channel. Numbers are the device's.
 */
#include <stddef.h>
#include <stdint.h>

#define IOAT_BAR_LEN 0x4000
#define IOAT_MSIX_OFFSET 0x2000

/** BAR 0, as far as there are registers. */
struct ioat_regs {
	uint8_t chancnt;	/**< 0x00: channels */
	uint8_t xfercap;	/**< 0x01: log2 of the longest transfer */
	uint8_t genctrl;	/**< 0x02 */
	uint8_t intrctrl;	/**< 0x03 */
	uint32_t attnstatus;	/**< 0x04: channels that want attention */
	uint8_t cbver;		/**< 0x08: major, minor */
	uint8_t reserved_09[3]; /**< */
	uint16_t intrdelay;	/**< 0x0c */
	uint16_t cs_status;	/**< 0x0e */
	uint32_t dmacap;	/**< 0x10 */
	uint8_t reserved_14[0x6c];
	uint16_t chanctrl; /**< 0x80: channel 0 from here on */
	uint16_t dma_comp; /**< 0x82 */
	uint8_t chancmd;   /**< 0x84 */
	uint8_t reserved_85;
	uint16_t dmacount;  /**< 0x86: doorbell, descriptors since armed */
	uint64_t chansts;   /**< 0x88: last descriptor and state */
	uint64_t chainaddr; /**< 0x90: first descriptor */
	uint64_t chancmp;   /**< 0x98: where chansts is written to */
	uint64_t reserved_a0;
	uint32_t chanerr;     /**< 0xa8: write ones to clear */
	uint32_t chanerrmask; /**< 0xac */
};

_Static_assert(offsetof(struct ioat_regs, chanctrl) == 0x80, "register layout");
_Static_assert(offsetof(struct ioat_regs, dmacount) == 0x86, "register layout");
_Static_assert(offsetof(struct ioat_regs, chancmp) == 0x98, "register layout");
_Static_assert(sizeof(struct ioat_regs) == 0xb0, "register layout");

#define IOAT_CBVER_3_4 0x34
#define IOAT_XFERCAP 20 /* 1 MiB */

#define IOAT_DMACAP_PAGE_BREAK (1u << 0)
#define IOAT_DMACAP_FILL (1u << 6)

#define IOAT_INTRCTRL_MASTER_EN 0x01

#define IOAT_CHANCTRL_ERR_INT_EN 0x0010
#define IOAT_CHANCTRL_ERR_COMPLETION_EN 0x0004

#define IOAT_CHANCMD_RESET 0x20
#define IOAT_CHANCMD_RESUME 0x10
#define IOAT_CHANCMD_SUSPEND 0x04

/** Low bits of chansts. */
enum ioat_state {
	IOAT_ACTIVE = 0,
	IOAT_IDLE = 1,
	IOAT_SUSPENDED = 2,
	IOAT_HALTED = 3,
	IOAT_ARMED = 4,
};

#define IOAT_CHANERR_SRC_ADDR (1u << 0)
#define IOAT_CHANERR_DST_ADDR (1u << 1)
#define IOAT_CHANERR_NEXT_ALIGN (1u << 3)
#define IOAT_CHANERR_CHAIN_ADDR (1u << 4)
#define IOAT_CHANERR_READ_DATA (1u << 8)
#define IOAT_CHANERR_CONTROL (1u << 10)
#define IOAT_CHANERR_LENGTH (1u << 11)
#define IOAT_CHANERR_COMPLETION_ADDR (1u << 12)

/** A descriptor, aligned to its size. */
struct ioat_desc {
	uint32_t len;
	uint32_t ctl;
	uint64_t src; /**< an address, or a fill's pattern */
	uint64_t dst;
	uint64_t next; /**< address of the next one */
	uint64_t reserved[4];
};

_Static_assert(sizeof(struct ioat_desc) == 64, "descriptor layout");

#define IOAT_DESC_ALIGN (sizeof(struct ioat_desc) - 1)
#define IOAT_CTL_INT (1u << 0)
#define IOAT_CTL_COMPLETION (1u << 3)
#define IOAT_CTL_NULL (1u << 5)
#define IOAT_CTL_OP_SHIFT 24
#define IOAT_OP_COPY 0u
#define IOAT_OP_FILL 1u

#endif /* SV_IOAT_REGS_H */
