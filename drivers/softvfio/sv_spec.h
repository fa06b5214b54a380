/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SV_SPEC_H
#define SV_SPEC_H
/**
 * @file
 * Which devices there are: the text of WEIR_SOFTVFIO.
 *
 *     ioat@0000:00:04.0;ioat@0000:00:04.1,regs=poll,fail=3:0x2;dsa@0000:00:05.0
 *
 * Devices are separated by semicolons. Each is a model's name and a PCI
 * address, then arguments:
 *
 *     group=N      number of its IOMMU group; at first its place in the list, from
 *                  1. Devices that name the same one share it.
 *     numa=N       its NUMA node, 0 at first
 *     regs=trap    every store to a register faults and is carried out by the
 *                  model before the driver's next instruction: the default
 *     regs=poll    while a channel runs, its doorbell and commands are looked at
 *                  by its thread; all else is trapped
 *     arm=US       microseconds of the driver's own time that a channel takes from
 *                  armed to its first descriptor, 500 at first
 *     cpu=N        where its thread runs; at first wherever the process could run
 *                  when it began
 *     cost=US      what every descriptor takes, besides the copy
 *     fail=N:CODE  the N-th descriptor fails with the model's error code; several:
 *                  fail=3:0x1+9:0x2
 *     delay=N:US   the N-th is held back
 *     stall=N      the device stops in front of the N-th
 *                  @N in place of N: the first that is the N-th from 0 of what the
 *                  device was given at once
 *
 * regs= and arm= say something of ioat only: dsa has no register that is polled,
 * and nothing to arm.
 */
#include <stddef.h>
#include <stdint.h>

#include "sv_fault.h"
#include "sv_model.h"

#define SV_MAX_DEVICES 32
/** "0000:00:04.0" and its NUL. */
#define SV_BDF_LEN 13

/** How a device notices stores to its registers. */
enum sv_regs_mode { SV_REGS_TRAP, SV_REGS_POLL };

/** One device as asked for. */
struct sv_spec {
	const struct sv_model *model;
	char bdf[SV_BDF_LEN];
	unsigned int group;
	int numa_node;
	int cpu; /**< -1: any */
	enum sv_regs_mode regs;
	uint64_t arm_ns;
	uint64_t cost_ns;
	unsigned int nr_faults;
	struct sv_fault fault[SV_MAX_FAULTS];
};

/**
 * Parse the text.
 *
 * @param out      SV_MAX_DEVICES of them.
 * @param why      On failure, what is wrong and where.
 * @param why_len  Bytes there.
 * @return devices, 1 at least; -EINVAL: see @p why; -ENOMEM.
 */
int sv_spec_parse(const char *text, struct sv_spec *out, char *why, size_t why_len);

/**
 * One planned fault or several: "3:0x1+9:0x2", times in microseconds.
 *
 * @param kind  Of all of them. A stall has no ":value".
 * @return 0; -EINVAL: malformed; -ENOSPC: more than @p out takes.
 */
int sv_spec_faults(const char *text, enum sv_fault_kind kind, struct sv_fault *out,
		   unsigned int *nr, unsigned int max);

#endif /* SV_SPEC_H */
