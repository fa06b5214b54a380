/* SPDX-License-Identifier: BSD-3-Clause */
/* The DSA model when something goes wrong, by mistake, as planned, or at random. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/mman.h>

#include "dsa_bench.h"

static uint32_t
swerr_code(struct dsa_bench *b)
{
	uint64_t first = GET(b, regs.swerr[0]);

	return first & DSA_SWERR_VALID ? first >> DSA_SWERR_ERROR_SHIFT & 0xff : 0;
}

static void
swerr_clear(struct dsa_bench *b)
{
	dsa_put64(b, offsetof(struct dsa_regs, swerr),
		  DSA_SWERR_VALID | DSA_SWERR_OVERFLOW);
}

#define CRAV IDXD_OP_FLAG_CRAV
#define COPY DSA_OPCODE_MEMMOVE
#define MIB UINT64_C(1048576)

/* A descriptor in place of a good one, and its record. */
struct spoil {
	const char *what;
	uint8_t opcode;
	uint32_t flags;
	uint64_t src, dst;
	uint32_t len;
	uint8_t status;
	uint64_t fault;
	uint32_t done;
};

#define GOOD SRC_IOVA, DST_IOVA
#define END (SRC_IOVA + BUF_LEN - 8)
#define WRITE_FAULT (DSA_COMP_PAGE_FAULT_NOBOF | DSA_COMP_STATUS_WRITE)

static const struct spoil spoils[] = {
	{ "source not mapped", COPY, CRAV, NOWHERE, DST_IOVA, 64,
	  DSA_COMP_PAGE_FAULT_NOBOF, NOWHERE, 0 },
	{ "source 0", COPY, CRAV, 0, DST_IOVA, 64, DSA_COMP_PAGE_FAULT_NOBOF, 0, 0 },
	{ "source ends", COPY, CRAV, END, DST_IOVA, 64, DSA_COMP_PAGE_FAULT_NOBOF,
	  END + 8, 8 },
	{ "source wraps", COPY, CRAV, UINT64_MAX - 8, DST_IOVA, 64,
	  DSA_COMP_PAGE_FAULT_NOBOF, UINT64_MAX - 8, 0 },
	{ "destination not mapped", COPY, CRAV, SRC_IOVA, NOWHERE, 64, WRITE_FAULT,
	  NOWHERE, 0 },
	{ "destination read-only", COPY, CRAV, SRC_IOVA, RO_IOVA, 64, WRITE_FAULT,
	  RO_IOVA, 0 },
	{ "destination ends", COPY, CRAV, SRC_IOVA, DST_IOVA + BUF_LEN - 4, 64,
	  WRITE_FAULT, DST_IOVA + BUF_LEN, 4 },
	{ "fill, destination not mapped", DSA_OPCODE_MEMFILL, CRAV, 1, NOWHERE, 64,
	  WRITE_FAULT, NOWHERE, 0 },
	{ "length 0", COPY, CRAV, GOOD, 0, DSA_COMP_XFER_ERANGE, 0, 0 },
	{ "longer than configured", COPY, CRAV, GOOD, MIB + 1, DSA_COMP_XFER_ERANGE, 0,
	  0 },
	{ "overlap", COPY, CRAV, DST_IOVA + 63, DST_IOVA, 64, DSA_COMP_OVERLAP_BUFFERS, 0,
	  0 },
	{ "operation", DSA_OPCODE_COMPARE, CRAV, GOOD, 64, DSA_COMP_BAD_OPCODE, 0, 0 },
	{ "operation 255", 0xff, CRAV, GOOD, 64, DSA_COMP_BAD_OPCODE, 0, 0 },
	{ "block on fault", COPY, CRAV | IDXD_OP_FLAG_BOF, GOOD, 64,
	  DSA_COMP_INVALID_FLAGS, 0, 0 },
	{ "interrupt handle", COPY, CRAV | IDXD_OP_FLAG_RCI, GOOD, 64,
	  DSA_COMP_INT_HANDLE_INVAL, 0, 0 },
	{ "batch of one", DSA_OPCODE_BATCH, CRAV, LIST_IOVA, 0, 1,
	  DSA_COMP_DESC_CNT_ERANGE, 0, 0 },
	{ "batch too long", DSA_OPCODE_BATCH, CRAV, LIST_IOVA, 0, 1025,
	  DSA_COMP_DESC_CNT_ERANGE, 0, 0 },
	{ "batch unaligned", DSA_OPCODE_BATCH, CRAV, LIST_IOVA + 32, 0, 2,
	  DSA_COMP_DESCLIST_ALIGN, 0, 0 },
	{ "batch not mapped", DSA_OPCODE_BATCH, CRAV, NOWHERE, 0, 2,
	  DSA_COMP_BATCH_PAGE_FAULT, NOWHERE, 0 },
	{ "batch with a fence", DSA_OPCODE_BATCH, CRAV | IDXD_OP_FLAG_FENCE, LIST_IOVA, 0,
	  2, DSA_COMP_INVALID_FLAGS, 0, 0 },
};

static enum test_result
spoiled_run(struct dsa_bench *b, const struct spoil *s)
{
	struct dsa_hw_desc bad = dsa_copy(0), good = dsa_copy(1);
	uint64_t errors = atomic_load(&b->d->counters.errors);

	dsa_clear(b);
	bad.opcode = s->opcode;
	bad.flags = s->flags;
	bad.src_addr = s->src;
	bad.dst_addr = s->dst;
	bad.xfer_size = s->len;
	good.flags |= IDXD_OP_FLAG_RCR;
	dsa_submit(b, 0, &bad);
	dsa_submit(b, 0, &good);
	WAIT_FOR(dsa_status(b, 1) != 0);
	TEST_EQ(dsa_status(b, 0), s->status);
	TEST_EQ(b->record[0].fault_addr, s->fault);
	TEST_EQ(b->record[0].bytes_completed, s->done);
	/* and what comes behind it is done all the same */
	TEST_EQ(dsa_status(b, 1), DSA_COMP_SUCCESS);
	TEST_ASSERT(dsa_arrived(b, 1));
	TEST_EQ(atomic_load(&b->d->counters.errors), errors + 1);
	TEST_EQ(swerr_code(b), 0);
	return TEST_OK;
}

static enum test_result
dsa_errors_are_recorded_on(struct dsa_bench *b)
{
	TEST_EQ(dsa_begin(b, 1), 0);
	for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
		if (spoiled_run(b, &spoils[i]) != TEST_OK) {
			printf("    where: %s\n", spoils[i].what);
			return TEST_FAILED;
		}
	}
	for (unsigned int i = 0; i < 64; i++)
		TEST_EQ(b->ro[i], 0);
	return TEST_OK;
}
DSA_CASE(dsa_errors_are_recorded)

/* Flags are told; reserved fields and privilege are looked at. */
static enum test_result
dsa_fields_are_checked_on(struct dsa_bench *b)
{
	struct dsa_hw_desc d[3];

	TEST_EQ(dsa_begin(b, 1), 0);
	for (unsigned int i = 0; i < 3; i++)
		d[i] = dsa_copy(i);
	d[0].flags |= IDXD_OP_FLAG_DRDBK | IDXD_OP_FLAG_BOF;
	d[1].op_specific[23] = 1;
	d[2].priv = 1;
	for (unsigned int i = 0; i < 3; i++)
		dsa_submit(b, 0, &d[i]);
	WAIT_FOR(dsa_status(b, 2) != 0);
	TEST_EQ(dsa_status(b, 0), DSA_COMP_INVALID_FLAGS);
	TEST_EQ(b->record[0].invalid_flags, IDXD_OP_FLAG_DRDBK | IDXD_OP_FLAG_BOF);
	TEST_EQ(dsa_status(b, 1), DSA_COMP_NOZERO_RESERVE);
	TEST_EQ(dsa_status(b, 2), DSA_COMP_PRIV_BAD);
	for (unsigned int i = 0; i < 3; i++)
		TEST_ASSERT(!dsa_arrived(b, i));
	return TEST_OK;
}
DSA_CASE(dsa_fields_are_checked)

/* Where there is no record to tell it, swerr does; once, until acknowledged. */
static enum test_result
dsa_swerr_tells_what_records_cannot_on(struct dsa_bench *b)
{
	static const struct {
		uint64_t record;
		uint32_t flags, code;
	} bad[] = {
		{ NOWHERE, CRAV | IDXD_OP_FLAG_RCR, DSA_COMP_CRA_XLAT },
		{ RO_IOVA, CRAV | IDXD_OP_FLAG_RCR, DSA_COMP_CRA_XLAT },
		{ RECORD_IOVA + 16, CRAV | IDXD_OP_FLAG_RCR, DSA_COMP_CRA_ALIGN },
		{ RECORD_IOVA, IDXD_OP_FLAG_RCR, DSA_COMP_INVALID_FLAGS },
		{ RECORD_IOVA, IDXD_OP_FLAG_BOF, DSA_COMP_INVALID_FLAGS },
	};
	struct dsa_hw_desc d = dsa_copy(0);

	TEST_EQ(dsa_begin(b, 2), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		d.completion_addr = bad[i].record;
		d.flags = bad[i].flags;
		dsa_submit(b, 1, &d);
		WAIT_FOR(swerr_code(b) != 0);
		TEST_EQ(swerr_code(b), bad[i].code);
		TEST_EQ(GET(b, regs.swerr[0]) >> DSA_SWERR_WQ_SHIFT & 0xff, 1);
		TEST_EQ(GET(b, regs.swerr[0]) >> DSA_SWERR_OP_SHIFT & 0xff, COPY);
		TEST_EQ(GET(b, regs.swerr[0]) & DSA_SWERR_OVERFLOW, 0);
		TEST_EQ(dsa_status(b, 0), 0);
		dsa_submit(b, 1, &d);
		WAIT_FOR((GET(b, regs.swerr[0]) & DSA_SWERR_OVERFLOW) != 0);
		swerr_clear(b);
		TEST_EQ(GET(b, regs.swerr[0]) & 3, 0);
	}
	return TEST_OK;
}
DSA_CASE(dsa_swerr_tells_what_records_cannot)

/* A portal takes as many as its work queue has entries, and nothing but descriptors. */
static enum test_result
dsa_portal_refuses_too_much_on(struct dsa_bench *b)
{
	struct dsa_hw_desc d[WQ_LEN + 1];

	TEST_EQ(dsa_begin(b, 1), 0);
	TEST_EQ(dsa_plan(b, SV_FAULT_STALL, 1, 0), 0);
	for (unsigned int i = 0; i <= WQ_LEN; i++) {
		TEST_EQ(swerr_code(b), 0);
		d[i] = dsa_copy(i);
		dsa_submit(b, 0, &d[i]);
	}
	TEST_EQ(swerr_code(b), DSA_ERR_PORTAL_FULL);
	swerr_clear(b);
	WAIT_FOR(atomic_load(&b->d->faults.stalled));
	sv_faults_resume(&b->d->faults);
	TEST_EQ(dsa_command_on(b, DSA_CMD_DRAIN_WQ, 1), 0);
	for (unsigned int i = 0; i <= WQ_LEN; i++)
		TEST_EQ(dsa_arrived(b, i), i < WQ_LEN);
	*(volatile uint64_t *)b->portals = 1;
	TEST_EQ(swerr_code(b), DSA_ERR_PORTAL_STORE);
	swerr_clear(b);
	TEST_EQ(dsa_command_on(b, DSA_CMD_DISABLE_WQ, 1), 0);
	dsa_submit(b, 0, &d[WQ_LEN]);
	TEST_EQ(swerr_code(b), DSA_ERR_PORTAL_DISABLED);
	TEST_ASSERT(!dsa_arrived(b, WQ_LEN));
	return TEST_OK;
}
DSA_CASE(dsa_portal_refuses_too_much)

/* Every place in a batch, several codes: the others are done, the record counts. */
static enum test_result
dsa_planned_failures_fail_one_on(struct dsa_bench *b)
{
	static const uint8_t codes[] = {
		DSA_COMP_PAGE_FAULT_NOBOF, WRITE_FAULT,	     DSA_COMP_BAD_OPCODE,
		DSA_COMP_XFER_ERANGE,	   DSA_COMP_HW_ERR1, DSA_COMP_TRANSLATION_FAIL
	};
	struct dsa_hw_desc batch = dsa_batch_of(8);

	TEST_EQ(dsa_begin(b, 1), 0);
	for (unsigned int i = 0; i < 8; i++)
		b->list[i] = dsa_copy(i);
	for (unsigned int n = 0; n < 48; n++) {
		unsigned int at = n % 8;
		uint8_t code = codes[n % sizeof(codes)];

		dsa_clear(b);
		/* the batch itself is the first */
		TEST_EQ(dsa_plan(b, SV_FAULT_FAIL, at + 2, code), 0);
		dsa_submit(b, 0, &batch);
		WAIT_FOR(dsa_status(b, NR_LIST) != 0);
		TEST_EQ(dsa_status(b, NR_LIST), DSA_COMP_BATCH_FAIL);
		TEST_EQ(b->record[NR_LIST].bytes_completed, 8);
		for (unsigned int i = 0; i < 8; i++) {
			TEST_EQ(dsa_status(b, i), i == at ? code : 0);
			TEST_EQ(dsa_arrived(b, i), i != at);
		}
	}
	TEST_EQ(atomic_load(&b->d->counters.errors), 48);
	return TEST_OK;
}
DSA_CASE(dsa_planned_failures_fail_one)

/* Behind a fence nothing is done if anything in front of it failed. */
static enum test_result
dsa_fence_ends_failed_batch_on(struct dsa_bench *b)
{
	struct dsa_hw_desc batch = dsa_batch_of(8);

	TEST_EQ(dsa_begin(b, 1), 0);
	for (unsigned int at = 0; at < 8; at++) {
		bool cut = at < 4;

		for (unsigned int i = 0; i < 8; i++)
			b->list[i] = dsa_copy(i);
		b->list[4].flags |= IDXD_OP_FLAG_FENCE;
		b->list[at].src_addr = NOWHERE;
		dsa_clear(b);
		dsa_submit(b, 0, &batch);
		WAIT_FOR(dsa_status(b, NR_LIST) != 0);
		TEST_EQ(dsa_status(b, NR_LIST), DSA_COMP_BATCH_FAIL);
		TEST_EQ(b->record[NR_LIST].bytes_completed, cut ? 4 : 8);
		for (unsigned int i = 0; i < 8; i++)
			TEST_EQ(dsa_arrived(b, i), i != at && (i < 4 || !cut));
	}
	/* a batch that is refused as a whole does none of it */
	for (unsigned int i = 0; i < 8; i++)
		b->list[i] = dsa_copy(i);
	dsa_clear(b);
	TEST_EQ(dsa_plan(b, SV_FAULT_FAIL, 1, DSA_COMP_BATCH_PAGE_FAULT), 0);
	dsa_submit(b, 0, &batch);
	WAIT_FOR(dsa_status(b, NR_LIST) == DSA_COMP_BATCH_PAGE_FAULT);
	TEST_EQ(b->record[NR_LIST].bytes_completed, 0);
	TEST_ASSERT(!dsa_arrived(b, 0));
	/* nor does one that leads to a batch */
	b->list[1].opcode = DSA_OPCODE_BATCH;
	b->list[2].opcode = DSA_OPCODE_DRAIN;
	dsa_clear(b);
	dsa_submit(b, 0, &batch);
	WAIT_FOR(dsa_status(b, NR_LIST) == DSA_COMP_BATCH_FAIL);
	TEST_EQ(dsa_status(b, 1), DSA_COMP_BAD_OPCODE);
	TEST_EQ(dsa_status(b, 2), DSA_COMP_BAD_OPCODE);
	TEST_ASSERT(dsa_arrived(b, 3));
	return TEST_OK;
}
DSA_CASE(dsa_fence_ends_failed_batch)

/* A list that ends: those that could be read are done. */
static enum test_result
dsa_batch_list_ends_on(struct dsa_bench *b)
{
	struct dsa_hw_desc batch = dsa_batch_of(8);

	TEST_EQ(dsa_begin(b, 1), 0);
	for (unsigned int i = 0; i < 5; i++)
		b->list[NR_LIST - 5 + i] = dsa_copy(i);
	batch.desc_list_addr = LIST_IOVA + (NR_LIST - 5) * sizeof(b->list[0]);
	dsa_submit(b, 0, &batch);
	WAIT_FOR(dsa_status(b, NR_LIST) == DSA_COMP_BATCH_PAGE_FAULT);
	TEST_EQ(b->record[NR_LIST].bytes_completed, 5);
	TEST_EQ(b->record[NR_LIST].fault_addr, LIST_IOVA + 4 * KB);
	for (unsigned int i = 0; i < 5; i++)
		TEST_ASSERT(dsa_arrived(b, i));
	return TEST_OK;
}
DSA_CASE(dsa_batch_list_ends)

/* A work queue that is being disabled is so when what it has is done. */
static enum test_result
dsa_disable_waits_for_stalled_on(struct dsa_bench *b)
{
	struct dsa_hw_desc d[4];

	TEST_EQ(dsa_begin(b, 1), 0);
	TEST_EQ(dsa_plan(b, SV_FAULT_STALL, 2, 0), 0);
	for (unsigned int i = 0; i < 4; i++) {
		d[i] = dsa_copy(i);
		dsa_submit(b, 0, &d[i]);
	}
	WAIT_FOR(atomic_load(&b->d->faults.stalled));
	TEST_EQ(dsa_command_on(b, DSA_CMD_DISABLE_WQ, 1), DSA_CMDSTS_ACTIVE);
	TEST_EQ(GET(b, wqcfg[0][DSA_WQ_STATE]) >> DSA_WQ_STATE_SHIFT, DSA_WQ_BUSY);
	TEST_EQ(dsa_command_on(b, DSA_CMD_RESET_WQ, 1), DSA_CMDSTS_ACTIVE);
	TEST_EQ(swerr_code(b), DSA_ERR_CMD_REG);
	swerr_clear(b);
	dsa_submit(b, 0, &d[0]);
	TEST_EQ(swerr_code(b), DSA_ERR_PORTAL_DISABLED);
	TEST_ASSERT(!dsa_arrived(b, 1));
	sv_faults_resume(&b->d->faults);
	sv_dev_kick(b->d);
	WAIT_FOR(GET(b, regs.cmdsts) == 0);
	TEST_EQ(GET(b, wqcfg[0][DSA_WQ_STATE]), 0);
	for (unsigned int i = 0; i < 4; i++)
		TEST_ASSERT(dsa_arrived(b, i));
	return TEST_OK;
}
DSA_CASE(dsa_disable_waits_for_stalled)

/* What is abandoned is not done, nobody is told, and other work queues go on. */
static enum test_result
dsa_abort_abandons_on(struct dsa_bench *b)
{
	static const enum dsa_cmd ways[] = { DSA_CMD_ABORT_WQ, DSA_CMD_RESET_WQ };
	struct dsa_hw_desc batch = dsa_batch_of(4), other = dsa_copy(5);

	other.flags |= IDXD_OP_FLAG_RCR;
	for (unsigned int n = 0; n < 2; n++) {
		TEST_EQ(dsa_begin(b, 2), 0);
		dsa_clear(b);
		for (unsigned int i = 0; i < 4; i++)
			b->list[i] = dsa_copy(i);
		TEST_EQ(dsa_plan(b, SV_FAULT_STALL, 3, 0), 0);
		dsa_submit(b, 0, &batch);
		WAIT_FOR(atomic_load(&b->d->faults.stalled));
		TEST_ASSERT(dsa_arrived(b, 0));
		dsa_submit(b, 1, &other);
		TEST_EQ(dsa_command_on(b, ways[n], 1), 0);
		WAIT_FOR(dsa_status(b, 5) == DSA_COMP_SUCCESS);
		TEST_ASSERT(!atomic_load(&b->d->faults.stalled));
		TEST_ASSERT(!dsa_arrived(b, 1));
		TEST_EQ(dsa_status(b, NR_LIST), 0);
		/* aborted, it takes new ones at once; reset, it takes none */
		dsa_submit(b, 0, &batch);
		TEST_EQ(dsa_command_on(b, DSA_CMD_DRAIN_ALL, 0), 0);
		TEST_EQ(dsa_status(b, NR_LIST), n == 0 ? DSA_COMP_SUCCESS : 0);
		TEST_EQ(swerr_code(b), n == 0 ? 0 : DSA_ERR_PORTAL_DISABLED);
		TEST_EQ(dsa_command_on(b, DSA_CMD_RESET_DEV, 0), 0);
	}
	return TEST_OK;
}
DSA_CASE(dsa_abort_abandons)

static enum test_result
dsa_without_bus_master_reaches_nothing_on(struct dsa_bench *b)
{
	uint16_t off = 0;
	struct dsa_hw_desc d = dsa_copy(0);

	TEST_EQ(dsa_begin(b, 1), 0);
	sv_pci_write(b->d, PCI_COMMAND, &off, 2);
	dsa_submit(b, 0, &d);
	WAIT_FOR(swerr_code(b) != 0);
	TEST_EQ(swerr_code(b), DSA_COMP_CRA_XLAT);
	TEST_ASSERT(!dsa_arrived(b, 0));
	TEST_EQ(dsa_command_on(b, DSA_CMD_RESET_DEV, 0), 0);
	dsa_configure(b, 1);
	TEST_EQ(dsa_command_on(b, DSA_CMD_ENABLE_DEV, 0), DSA_CMD_ERR_BUS_MASTER);
	return TEST_OK;
}
DSA_CASE(dsa_without_bus_master_reaches_nothing)

/*
 * Unmapping while it copies: after the call no byte is written there any more.
 * The page is unmapped for the process as well, so that a copy that was too late
 * would be a crash.
 */
static enum test_result
dsa_unmap_under_copies_faults_on(struct dsa_bench *b)
{
	struct dsa_hw_desc batch = dsa_batch_of(NR_LIST);

	TEST_EQ(dsa_begin(b, 1), 0);
	for (unsigned int round = 0; round < 30; round++) {
		uint64_t gone = 0;
		uint8_t *page = mmap(NULL, 64 * KB, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		TEST_ASSERT(page != MAP_FAILED);
		TEST_EQ(weir_sim_ops.map(b->sim, NOWHERE, (uint64_t)(uintptr_t)page,
					 64 * KB, RW),
			0);
		for (unsigned int i = 0; i < NR_LIST; i++) {
			b->list[i] = dsa_copy(i);
			b->list[i].dst_addr = NOWHERE;
			b->list[i].xfer_size = 64 * KB;
		}
		dsa_clear(b);
		dsa_submit(b, 0, &batch);
		TEST_EQ(weir_sim_ops.unmap(b->sim, NOWHERE, 64 * KB, &gone), 0);
		TEST_EQ(gone, 64 * KB);
		munmap(page, 64 * KB);
		dsa_submit(b, 0, &b->list[0]);
		TEST_EQ(dsa_command_on(b, DSA_CMD_DRAIN_WQ, 1), 0);
		TEST_EQ(dsa_status(b, 0), WRITE_FAULT);
	}
	return TEST_OK;
}
DSA_CASE(dsa_unmap_under_copies_faults)

/* An address that is one of ours more often than not. */
static uint64_t
random_iova(uint64_t *r)
{
	static const uint64_t base[] = { LIST_IOVA, RECORD_IOVA, SRC_IOVA, DST_IOVA,
					 RO_IOVA,   NOWHERE,	 0,	   UINT64_MAX };
	uint64_t v = test_rand(r);

	return base[v % 8] + (v >> 8 & 1 ? v >> 16 & 0xfff : v >> 16 & 0xfe0);
}

static void
random_desc(uint64_t *r, struct dsa_hw_desc *d)
{
	uint64_t v = test_rand(r);

	*d = dsa_copy(v % NR_LIST);
	if (v >> 8 & 1)
		d->opcode = v >> 16 & 7;
	if (v >> 9 & 1)
		d->flags = v >> 24 & 0x1ff;
	if (v >> 10 & 1)
		d->src_addr = random_iova(r);
	if (v >> 11 & 1)
		d->dst_addr = random_iova(r);
	if (v >> 12 & 1)
		d->completion_addr = random_iova(r);
	if (v >> 13 & 1)
		d->xfer_size = (uint32_t)(test_rand(r) >> (v >> 58));
	if ((v >> 40 & 0xf) == 0)
		d->op_specific[v >> 44 & 7] = 1;
}

/*
 * Anything to anywhere: stores, commands, descriptors, faults. It answers all of
 * it, writes nothing that it may not, and after a reset it is as good as new.
 */
static enum test_result
dsa_random_driver_harms_nobody_on(struct dsa_bench *b)
{
	uint64_t r = test_seed() | 1;
	struct dsa_hw_desc d;

	for (unsigned int n = 0; n < 20000; n++) {
		uint64_t v = test_rand(&r);

		switch (v % 8) {
		case 0:
			dsa_put32(b, v >> 8 & 0x7fc, (uint32_t)test_rand(&r));
			break;
		case 1:
			dsa_command_on(b, v >> 8 & 0xf, v >> 16 & 0x1ff);
			break;
		case 2:
			dsa_plan(b, v >> 8 & 1 ? SV_FAULT_FAIL : SV_FAULT_STALL,
				 (v >> 16 & 0xf) + 1, v >> 24 & 0xff);
			break;
		case 3:
			sv_faults_resume(&b->d->faults);
			sv_dev_kick(b->d);
			break;
		default:
			random_desc(&r, &b->list[v >> 8 & (NR_LIST - 1)]);
			random_desc(&r, &d);
			dsa_submit(b, v >> 16 & 7, &d);
			break;
		}
		if (n % 256 != 0)
			continue;
		sv_faults_clear(&b->d->faults);
		TEST_EQ(sv_dev_ioctl(b->d, VFIO_DEVICE_RESET, NULL), 0);
		TEST_EQ(dsa_begin(b, 8), 0);
		dsa_clear(b);
		d = dsa_copy(3);
		dsa_submit(b, 7, &d);
		TEST_EQ(dsa_command_on(b, DSA_CMD_DRAIN_ALL, 0), 0);
		TEST_ASSERT(dsa_arrived(b, 3));
	}
	for (unsigned int i = 0; i < 4 * KB; i++)
		TEST_EQ(b->ro[i], 0);
	return TEST_OK;
}
DSA_CASE(dsa_random_driver_harms_nobody)

static const struct test_case cases[] = {
	{ "dsa_errors_are_recorded", dsa_errors_are_recorded },
	{ "dsa_fields_are_checked", dsa_fields_are_checked },
	{ "dsa_swerr_tells_what_records_cannot", dsa_swerr_tells_what_records_cannot },
	{ "dsa_portal_refuses_too_much", dsa_portal_refuses_too_much },
	{ "dsa_planned_failures_fail_one", dsa_planned_failures_fail_one },
	{ "dsa_fence_ends_failed_batch", dsa_fence_ends_failed_batch },
	{ "dsa_batch_list_ends", dsa_batch_list_ends },
	{ "dsa_disable_waits_for_stalled", dsa_disable_waits_for_stalled },
	{ "dsa_abort_abandons", dsa_abort_abandons },
	{ "dsa_without_bus_master_reaches_nothing",
	  dsa_without_bus_master_reaches_nothing },
	{ "dsa_unmap_under_copies_faults", dsa_unmap_under_copies_faults },
	{ "dsa_random_driver_harms_nobody", dsa_random_driver_harms_nobody },
};
AUTOTEST(softvfio_dsa_errors_autotest, cases);
