/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SV_INSN_H
#define SV_INSN_H
/**
 * @file
 * What a store instruction would have stored (x86-64).
 *
 * A store to a write-protected page faults; instead of lifting the protection,
 * letting the instruction run and putting the protection back, which takes two
 * signals and two system calls and leaves the page open to other threads
 * meanwhile, the instruction is read and its value handed to the device. Where
 * the store goes is known from the fault, so only its value, its size and the
 * instruction's length have to be found out.
 *
 * What compilers and DPDK make of a store to a volatile register is known: MOV
 * in its forms, MOVNTI, MOVDIRI, and MOVDIR64B. Vector stores, and instructions
 * that read, change and write, no driver uses on registers; they are refused.
 *
 * A processor that lacks MOVDIR64B does not get as far as the store: it takes the
 * instruction for none. Then nothing but the instruction tells where it goes.
 */
#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>

/** What MOVDIR64B stores, at a multiple of it. */
#define SV_STORE_64 64u

/** A decoded store. */
struct sv_store {
	uint32_t insn_len; /**< bytes of the instruction */
	uint32_t len;	   /**< bytes it stores: 1, 2, 4, 8 or SV_STORE_64 */
	uint64_t value;	   /**< in the low bytes; not of SV_STORE_64 */
	uint64_t from, to; /**< addresses; of SV_STORE_64 only */
};

/**
 * Decode the store at @p ip.
 *
 * Reads no byte behind the instruction. Pure; any context.
 *
 * @param gregs  The registers it would run with.
 * @return true; false: it is none of those above.
 */
bool sv_insn_decode(const uint8_t *ip, const greg_t *gregs, struct sv_store *out);

#endif /* SV_INSN_H */
