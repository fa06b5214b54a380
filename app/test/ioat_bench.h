/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef IOAT_BENCH_H
#define IOAT_BENCH_H
/*
 * A driver of the I/OAT model, for its tests: registers by their offsets, a ring
 * of descriptors in mapped memory, a completion address.
 */
#include <stddef.h>
#include <stdint.h>

#include "sv_bench.h"
#include "sv_dev.h"
#include "sv_ioat_regs.h"

#define RING 64u

/* Where things are mapped; the gap behind each is not. */
#define RING_IOVA UINT64_C(0x100000)
#define STATUS_IOVA UINT64_C(0x200000)
#define SRC_IOVA UINT64_C(0x400000)
#define DST_IOVA UINT64_C(0x800000)
#define RO_IOVA UINT64_C(0xc00000)
#define NOWHERE UINT64_C(0xf00000)
#define BUF_LEN (2048 * KB)

/* A device, its domain, and the driver's side of it. */
struct bench {
	struct weir_sim *sim;
	struct sv_dev *d;
	uint8_t *regs; /* as the driver has them mapped */
	struct ioat_desc *ring;
	uint64_t *status; /* what the channel writes */
	uint8_t *src, *dst;
	uint16_t rung;
};

/* Run a case on a bench of its own. arm_ns as in struct sv_spec. */
enum test_result bench_run(enum test_result (*fn)(struct bench *b),
			   enum sv_regs_mode mode, uint64_t arm_ns);

/* The same with polled registers; skipped where TSan watches. */
enum test_result bench_run_polled(enum test_result (*fn)(struct bench *b));

/* Memory of len bytes at an iova; munmap() it. Aborts without any. */
uint8_t *bench_map(struct bench *b, uint64_t iova, uint64_t len, uint32_t prot);

/* Make it a bus master, or none. */
void bench_master(struct bench *b, bool on);

/* A store to a register as drivers do it. */
void bench_put(struct bench *b, size_t off, uint64_t v, int len);

/* A copy in place i of the ring, which has no end. */
struct ioat_desc *bench_desc(struct bench *b, unsigned int i, uint64_t src, uint64_t dst,
			     uint32_t len);

/* Hand vector 0 an eventfd, which is returned; close() it. -1: refused. */
int bench_vector(struct bench *b);

/* Give the channel its first descriptor and its completion address. */
void bench_arm(struct bench *b, unsigned int first);

/* The doorbell, for so many more. */
void bench_ring(struct bench *b, unsigned int more);

/*
 * What DPDK's driver does after an error. A channel that runs with open registers
 * sees the command when it looks, so that the state is waited for.
 */
void bench_recover(struct bench *b, unsigned int from);

#define PUT(b, name, v)                                   \
	bench_put(b, offsetof(struct ioat_regs, name), v, \
		  sizeof(((struct ioat_regs *)0)->name))

/* By the model's address of them: TSan does not know that it is the same memory. */
#define GET(b, name)                                                        \
	__atomic_load_n(&((struct ioat_regs *)sv_dev_bar((b)->d, 0))->name, \
			__ATOMIC_ACQUIRE)

static inline uint64_t
status_of(struct bench *b)
{
	return __atomic_load_n(b->status, __ATOMIC_ACQUIRE);
}

static inline uint64_t
desc_iova(unsigned int i)
{
	return RING_IOVA + (uint64_t)(i % RING) * sizeof(struct ioat_desc);
}

/* A case in either mode; the second one's name ends in _polled. */
#define BENCH_CASE(name)                                      \
	static enum test_result name(void)                    \
	{                                                     \
		return bench_run(name##_on, SV_REGS_TRAP, 0); \
	}
#define BENCH_CASES(name)                           \
	BENCH_CASE(name)                            \
	static enum test_result name##_polled(void) \
	{                                           \
		return bench_run_polled(name##_on); \
	}
#define BOTH(name)                             \
	{ #name, name },                       \
	{                                      \
#name "_polled", name##_polled \
	}

#endif /* IOAT_BENCH_H */
