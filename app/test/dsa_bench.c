/* SPDX-License-Identifier: BSD-3-Clause */
#include <linux/pci_regs.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "dsa_bench.h"
#include "sv_view.h"

#define STEP 1024u /* from one copy's bytes to the next one's */
#define BAR2_REGION (UINT64_C(2) << 40)

static void *
mapped(struct dsa_bench *b, uint64_t iova, uint64_t len, uint32_t prot)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);

	if (p == MAP_FAILED ||
	    weir_sim_ops.map(b->sim, iova, (uint64_t)(uintptr_t)p, len, prot) != 0)
		abort();
	return p;
}

void
dsa_put32(struct dsa_bench *b, size_t off, uint32_t v)
{
	atomic_thread_fence(memory_order_release);
	*(volatile uint32_t *)(b->regs + off) = v;
}

void
dsa_put64(struct dsa_bench *b, size_t off, uint64_t v)
{
	atomic_thread_fence(memory_order_release);
	*(volatile uint64_t *)(b->regs + off) = v;
}

uint32_t
dsa_command_on(struct dsa_bench *b, enum dsa_cmd cmd, uint32_t operand)
{
	dsa_put32(b, offsetof(struct dsa_regs, cmd),
		  (uint32_t)cmd << DSA_CMD_SHIFT | operand);
	return GET(b, regs.cmdsts);
}

void
dsa_configure(struct dsa_bench *b, unsigned int nr_wqs)
{
	for (unsigned int g = 0; g < DSA_NR_GROUPS; g++) {
		size_t at = offsetof(struct dsa_bar0, grpcfg[g]);
		uint64_t wqs = (UINT64_C(0x11) << g) & ((UINT64_C(1) << nr_wqs) - 1);

		dsa_put64(b, at, wqs);
		dsa_put64(b, at + offsetof(struct dsa_grpcfg, engines), UINT64_C(1) << g);
	}
	for (unsigned int i = 0; i < nr_wqs; i++) {
		size_t at = offsetof(struct dsa_bar0, wqcfg[i]);

		dsa_put32(b, at + 4 * DSA_WQ_SIZE, WQ_LEN);
		dsa_put32(b, at + 4 * DSA_WQ_MODE, 1 << 4 | DSA_WQ_MODE_DEDICATED);
		dsa_put32(b, at + 4 * DSA_WQ_MAXIMA,
			  20 | DSA_MAX_BATCH_SHIFT << DSA_WQ_BATCH_SHIFT);
	}
}

uint32_t
dsa_begin(struct dsa_bench *b, unsigned int nr_wqs)
{
	uint32_t err;

	dsa_configure(b, nr_wqs);
	err = dsa_command_on(b, DSA_CMD_ENABLE_DEV, 0);
	for (unsigned int i = 0; i < nr_wqs && err == 0; i++)
		err = dsa_command_on(b, DSA_CMD_ENABLE_WQ, i);
	return err;
}

struct dsa_hw_desc
dsa_copy(unsigned int i)
{
	return (struct dsa_hw_desc){ .opcode = DSA_OPCODE_MEMMOVE,
				     .flags = IDXD_OP_FLAG_CRAV | IDXD_OP_FLAG_CC,
				     .completion_addr = record_iova(i),
				     .src_addr = SRC_IOVA + (uint64_t)i * STEP,
				     .dst_addr = DST_IOVA + (uint64_t)i * STEP,
				     .xfer_size = 64 };
}

struct dsa_hw_desc
dsa_batch_of(unsigned int nr)
{
	return (struct dsa_hw_desc){ .opcode = DSA_OPCODE_BATCH,
				     .flags = IDXD_OP_FLAG_CRAV | IDXD_OP_FLAG_RCR,
				     .completion_addr = record_iova(NR_LIST),
				     .desc_list_addr = LIST_IOVA,
				     .desc_count = nr };
}

void
dsa_submit(struct dsa_bench *b, unsigned int wq, const struct dsa_hw_desc *d)
{
	uint8_t *to = b->portals + (size_t)wq * DSA_PORTAL_LEN;

	/* MOVDIR64B (RDX), RAX: not every assembler knows it */
	__asm__ volatile("sfence\n.byte 0x66, 0x0f, 0x38, 0xf8, 0x02"
			 :
			 : "a"(to), "d"(d)
			 : "memory");
}

uint8_t
dsa_status(const struct dsa_bench *b, unsigned int i)
{
	return __atomic_load_n((const uint8_t *)&b->record[i], __ATOMIC_ACQUIRE);
}

void
dsa_clear(struct dsa_bench *b)
{
	memset((void *)b->record, 0, (NR_LIST + 1) * sizeof(*b->record));
	memset(b->dst, 0, (size_t)NR_LIST * STEP);
}

int
dsa_plan(struct dsa_bench *b, enum sv_fault_kind kind, uint64_t at, uint64_t value)
{
	return sv_faults_add(&b->d->faults, &(struct sv_fault){ kind, at, value });
}

bool
dsa_arrived(const struct dsa_bench *b, unsigned int i)
{
	size_t at = (size_t)i * STEP;

	return memcmp(b->dst + at, b->src + at, 64) == 0;
}

static int
bench_open(struct dsa_bench *b)
{
	static const struct sv_spec spec = { .model = &sv_dsa,
					     .bdf = "0000:00:05.0",
					     .cpu = -1 };
	uint16_t command = PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY;
	void *regs = NULL, *portals = NULL;

	*b = (struct dsa_bench){ 0 };
	if (weir_sim_create(WEIR_SIM_TYPE1_V2, &b->sim) != 0 ||
	    sv_dev_create(&spec, &b->d) != 0 || sv_dev_open(b->d, b->sim) != 0 ||
	    sv_dev_mmap(b->d, NULL, DSA_BAR0_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, 0,
			b, &regs) != 0 ||
	    sv_dev_mmap(b->d, NULL, DSA_BAR2_LEN, PROT_READ | PROT_WRITE, MAP_SHARED,
			BAR2_REGION, b, &portals) != 1)
		return -1;
	b->regs = regs;
	b->portals = portals;
	b->list = mapped(b, LIST_IOVA, 4 * KB, RW);
	b->record = mapped(b, RECORD_IOVA, 4 * KB, RW);
	b->src = mapped(b, SRC_IOVA, BUF_LEN, RW);
	b->dst = mapped(b, DST_IOVA, BUF_LEN, RW);
	b->ro = mapped(b, RO_IOVA, 4 * KB, WEIR_PROT_READ);
	sv_pci_write(b->d, PCI_COMMAND, &command, 2);
	for (uint64_t i = 0; i < BUF_LEN; i++)
		b->src[i] = (uint8_t)(i * 7 + (i >> 8) + 1);
	return 0;
}

static void
bench_close(struct dsa_bench *b)
{
	sv_views_forget(b->regs, DSA_BAR0_LEN);
	sv_views_forget(b->portals, DSA_BAR2_LEN);
	munmap(b->regs, DSA_BAR0_LEN);
	munmap(b->portals, DSA_BAR2_LEN);
	sv_dev_close(b->d);
	sv_dev_destroy(b->d);
	weir_sim_destroy(b->sim);
	munmap(b->list, 4 * KB);
	munmap((void *)b->record, 4 * KB);
	munmap(b->src, BUF_LEN);
	munmap(b->dst, BUF_LEN);
	munmap(b->ro, 4 * KB);
}

enum test_result dsa_bench_run(enum test_result (*fn)(struct dsa_bench *b))
{
	enum test_result res;
	struct dsa_bench b;

	TEST_EQ(bench_open(&b), 0);
	res = fn(&b);
	bench_close(&b);
	return res;
}
