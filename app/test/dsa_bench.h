/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DSA_BENCH_H
#define DSA_BENCH_H
/*
 * A driver of the DSA model, for its tests: registers and portals as a driver maps
 * them, a list of descriptors and completion records in mapped memory.
 */
#include <linux/idxd.h>
#include <stddef.h>
#include <stdint.h>

#include "sv_bench.h"
#include "sv_dev.h"
#include "sv_dsa_regs.h"

/* Where things are mapped; the gap behind each is not. */
#define LIST_IOVA UINT64_C(0x100000)
#define RECORD_IOVA UINT64_C(0x200000)
#define SRC_IOVA UINT64_C(0x400000)
#define DST_IOVA UINT64_C(0x800000)
#define RO_IOVA UINT64_C(0xc00000)
#define NOWHERE UINT64_C(0xf00000)
#define BUF_LEN (2048 * KB)
#define NR_LIST 64u
#define WQ_LEN 16u

/* A device, its domain, and the driver's side of it. */
struct dsa_bench {
	struct weir_sim *sim;
	struct sv_dev *d;
	uint8_t *regs, *portals;
	struct dsa_hw_desc *list;
	struct dsa_completion_record *record; /* NR_LIST, then one more for a batch */
	uint8_t *src, *dst, *ro;
};

/* Run a case on a bench of its own: powered on, a bus master. */
enum test_result dsa_bench_run(enum test_result (*fn)(struct dsa_bench *b));

/* A register, by the model's address of it: TSan does not know it is one memory. */
#define BAR0(b) ((struct dsa_bar0 *)sv_dev_bar((b)->d, 0))
#define GET(b, name) __atomic_load_n(&BAR0(b)->name, __ATOMIC_ACQUIRE)

/* Stores to registers as drivers do them. */
void dsa_put32(struct dsa_bench *b, size_t off, uint32_t v);
void dsa_put64(struct dsa_bench *b, size_t off, uint64_t v);

/* A command; what cmdsts says when the store has ended. */
uint32_t dsa_command_on(struct dsa_bench *b, enum dsa_cmd cmd, uint32_t operand);

/* Configure so many work queues of WQ_LEN as DPDK does, in one group each. */
void dsa_configure(struct dsa_bench *b, unsigned int nr_wqs);

/* The same, and enable all. 0, or what a command answered. */
uint32_t dsa_begin(struct dsa_bench *b, unsigned int nr_wqs);

/* A copy of 64 bytes from the i-th place to the i-th place, with a record of its
 * own if it fails. */
struct dsa_hw_desc dsa_copy(unsigned int i);

/* A batch of the first nr in the list, with the last record. */
struct dsa_hw_desc dsa_batch_of(unsigned int nr);

/* Store a descriptor to a portal of a work queue, in one instruction. */
void dsa_submit(struct dsa_bench *b, unsigned int wq, const struct dsa_hw_desc *d);

/* A record's status. */
uint8_t dsa_status(const struct dsa_bench *b, unsigned int i);

/* Forget records and what has been copied. */
void dsa_clear(struct dsa_bench *b);

/* Plan a fault, counted from the next descriptor; 0 or -errno. */
int dsa_plan(struct dsa_bench *b, enum sv_fault_kind kind, uint64_t at, uint64_t value);

/* Has the i-th copy arrived? */
bool dsa_arrived(const struct dsa_bench *b, unsigned int i);

static inline uint64_t
record_iova(unsigned int i)
{
	return RECORD_IOVA + (uint64_t)i * sizeof(struct dsa_completion_record);
}

#define DSA_CASE(name)                           \
	static enum test_result name(void)       \
	{                                        \
		return dsa_bench_run(name##_on); \
	}

#endif /* DSA_BENCH_H */
