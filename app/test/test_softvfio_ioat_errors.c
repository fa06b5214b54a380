/* SPDX-License-Identifier: BSD-3-Clause */
/* The I/OAT model when something goes wrong, by mistake or as planned. */
#include <string.h>
#include <sys/mman.h>

#include "ioat_bench.h"

/* Spoil the second of three descriptors. */
struct spoil {
	const char *what;
	uint64_t src, dst;
	uint32_t len, ctl;
	uint64_t next; /* of the first one; 0: as it should be */
	uint32_t err;
};

#define GOOD SRC_IOVA, DST_IOVA
static const struct spoil spoils[] = {
	{ "source not mapped", NOWHERE, DST_IOVA, 64, 0, 0, IOAT_CHANERR_SRC_ADDR },
	{ "source 0", 0, DST_IOVA, 64, 0, 0, IOAT_CHANERR_SRC_ADDR },
	{ "source ends", SRC_IOVA + BUF_LEN - 8, DST_IOVA, 64, 0, 0,
	  IOAT_CHANERR_SRC_ADDR },
	{ "source wraps", UINT64_MAX - 8, DST_IOVA, 64, 0, 0, IOAT_CHANERR_SRC_ADDR },
	{ "destination not mapped", SRC_IOVA, NOWHERE, 64, 0, 0, IOAT_CHANERR_DST_ADDR },
	{ "destination read-only", SRC_IOVA, RO_IOVA, 64, 0, 0, IOAT_CHANERR_DST_ADDR },
	{ "destination wraps", SRC_IOVA, UINT64_MAX, 64, 0, 0, IOAT_CHANERR_DST_ADDR },
	{ "fill, destination not mapped", 0, NOWHERE, 64,
	  IOAT_OP_FILL << IOAT_CTL_OP_SHIFT, 0, IOAT_CHANERR_DST_ADDR },
	{ "length 0", GOOD, 0, 0, 0, IOAT_CHANERR_LENGTH },
	{ "length over 1 MiB", GOOD, (1u << 20) + 1, 0, 0, IOAT_CHANERR_LENGTH },
	{ "operation", GOOD, 64, 0x87u << IOAT_CTL_OP_SHIFT, 0, IOAT_CHANERR_CONTROL },
	{ "descriptor not mapped", GOOD, 64, 0, NOWHERE, IOAT_CHANERR_READ_DATA },
	{ "descriptor unaligned", GOOD, 64, 0, RING_IOVA + 65, IOAT_CHANERR_NEXT_ALIGN },
};

static enum test_result
spoiled_run(struct bench *b, const struct spoil *s)
{
	uint64_t errors = atomic_load(&b->d->counters.errors);

	*b->status = 0;
	memset(b->dst, 0, 4 * KB);
	for (unsigned int i = 0; i < 3; i++)
		bench_desc(b, i, SRC_IOVA, DST_IOVA + 1024 * i, 64);
	bench_desc(b, 1, s->src, s->dst, s->len)->ctl |= s->ctl;
	if (s->next != 0)
		b->ring[0].next = s->next;
	bench_recover(b, 0);
	TEST_EQ(GET(b, chansts), IOAT_ARMED);
	bench_ring(b, 3);
	WAIT_FOR(status_of(b) == (desc_iova(0) | IOAT_HALTED));
	TEST_EQ(GET(b, chansts), desc_iova(0) | IOAT_HALTED);
	TEST_EQ(GET(b, chanerr), s->err);
	TEST_EQ(atomic_load(&b->d->counters.errors), errors + 1);
	TEST_EQ(b->dst[2048], 0);
	/* nothing but RESET helps */
	PUT(b, chainaddr, desc_iova(2));
	TEST_EQ(GET(b, chansts) & 7, IOAT_HALTED);
	/* and then the rest is done */
	bench_recover(b, 2);
	TEST_EQ(GET(b, chanerr), 0);
	TEST_EQ(GET(b, chansts), IOAT_ARMED);
	bench_ring(b, 1);
	WAIT_FOR(status_of(b) == (desc_iova(2) | IOAT_IDLE));
	TEST_ASSERT(memcmp(b->dst + 2048, b->src, 64) == 0);
	return TEST_OK;
}

static enum test_result
ioat_errors_halt_and_recover_on(struct bench *b)
{
	uint8_t *ro = bench_map(b, RO_IOVA, 4 * KB, WEIR_PROT_READ);

	for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
		if (spoiled_run(b, &spoils[i]) != TEST_OK) {
			printf("    where: %s\n", spoils[i].what);
			return TEST_FAILED;
		}
	}
	for (unsigned int i = 0; i < 64; i++)
		TEST_EQ(ro[i], 0);
	TEST_EQ(weir_sim_faults(b->sim), 7);
	munmap(ro, 4 * KB);
	return TEST_OK;
}
BENCH_CASES(ioat_errors_halt_and_recover)

/* The first one after arming: there is no last good descriptor. */
static enum test_result
ioat_first_error_names_none_on(struct bench *b)
{
	bench_desc(b, 5, 0, DST_IOVA, 64);
	bench_arm(b, 5);
	*b->status = UINT64_MAX;
	bench_ring(b, 1);
	WAIT_FOR(status_of(b) == IOAT_HALTED);
	PUT(b, chancmd, IOAT_CHANCMD_RESET);
	PUT(b, chainaddr, RING_IOVA + 8);
	PUT(b, dmacount, 1);
	WAIT_FOR(GET(b, chansts) == IOAT_HALTED);
	TEST_EQ(GET(b, chanerr), IOAT_CHANERR_CHAIN_ADDR);
	return TEST_OK;
}
BENCH_CASE(ioat_first_error_names_none)

static enum test_result
ioat_completion_address_checked_on(struct bench *b)
{
	static const uint64_t bad[] = { NOWHERE, STATUS_IOVA + 4, 0 };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		bench_desc(b, 0, SRC_IOVA, DST_IOVA, 64);
		bench_recover(b, 0);
		PUT(b, chancmp, bad[i]);
		*b->status = 7;
		bench_ring(b, 1);
		WAIT_FOR((GET(b, chansts) & 7) == IOAT_HALTED);
		TEST_EQ(GET(b, chanerr), IOAT_CHANERR_COMPLETION_ADDR);
		TEST_EQ(status_of(b), 7);
	}
	/* none is written where none is asked for, neither then nor on an error */
	bench_recover(b, 0);
	PUT(b, chanctrl, 0);
	b->ring[0].ctl = 0;
	bench_desc(b, 1, NOWHERE, DST_IOVA, 64);
	bench_ring(b, 2);
	WAIT_FOR(GET(b, chansts) == (desc_iova(0) | IOAT_HALTED));
	TEST_EQ(status_of(b), 7);
	return TEST_OK;
}
BENCH_CASE(ioat_completion_address_checked)

static enum test_result
ioat_without_bus_master_reaches_nothing_on(struct bench *b)
{
	bench_desc(b, 0, SRC_IOVA, DST_IOVA, 64);
	bench_arm(b, 0);
	*b->status = 7;
	bench_master(b, false);
	bench_ring(b, 1);
	WAIT_FOR(GET(b, chansts) == IOAT_HALTED);
	TEST_EQ(GET(b, chanerr), IOAT_CHANERR_READ_DATA | IOAT_CHANERR_COMPLETION_ADDR);
	TEST_EQ(status_of(b), 7);
	TEST_EQ(b->dst[0], 0);
	return TEST_OK;
}
BENCH_CASE(ioat_without_bus_master_reaches_nothing)

static int
plan(struct bench *b, enum sv_fault_kind kind, uint64_t at, uint64_t value)
{
	return sv_faults_add(&b->d->faults, &(struct sv_fault){ kind, at, value });
}

/* Every place in a burst, several codes: the ones in front arrive, it halts there. */
static enum test_result
ioat_planned_failures_halt_on(struct bench *b)
{
	static const uint32_t codes[] = { 1, 2, 0x100, 0x800, 0x8000 };

	for (unsigned int i = 0; i < 8; i++)
		bench_desc(b, i, SRC_IOVA, DST_IOVA + 1024 * i, 64);
	for (unsigned int n = 0; n < 40; n++) {
		unsigned int at = n % 8;
		uint32_t code = codes[n % 5];
		uint64_t last = at != 0 ? desc_iova(at - 1) : 0;

		memset(b->dst, 0, 8 * KB);
		bench_recover(b, 0);
		*b->status = UINT64_MAX;
		TEST_EQ(plan(b, SV_FAULT_FAIL, at + 1, code), 0);
		bench_ring(b, 8);
		WAIT_FOR(status_of(b) == (last | IOAT_HALTED));
		TEST_EQ(GET(b, chanerr), code);
		for (unsigned int i = 0; i < 8; i++)
			TEST_EQ(memcmp(b->dst + 1024 * i, b->src, 64) == 0, i < at);
	}
	return TEST_OK;
}
BENCH_CASES(ioat_planned_failures_halt)

static enum test_result
ioat_stall_ends_by_resume_or_reset_on(struct bench *b)
{
	for (unsigned int i = 0; i < 4; i++)
		bench_desc(b, i, SRC_IOVA, DST_IOVA + 1024 * i, 64);
	bench_arm(b, 0);
	TEST_EQ(plan(b, SV_FAULT_STALL, 2, 0), 0);
	TEST_EQ(plan(b, SV_FAULT_STALL, 3, 0), 0);
	bench_ring(b, 4);
	WAIT_FOR(atomic_load(&b->d->faults.stalled));
	TEST_EQ(status_of(b), desc_iova(0) | IOAT_ACTIVE);
	sv_faults_resume(&b->d->faults);
	sv_dev_kick(b->d);
	WAIT_FOR(status_of(b) == (desc_iova(1) | IOAT_ACTIVE));
	WAIT_FOR(atomic_load(&b->d->faults.stalled));
	TEST_EQ(b->dst[2048], 0);
	/* a driver that has lost patience */
	PUT(b, chancmd, IOAT_CHANCMD_RESET);
	WAIT_FOR(GET(b, chansts) == IOAT_HALTED);
	TEST_EQ(b->dst[2048], 0);
	bench_arm(b, 2);
	bench_ring(b, 2);
	WAIT_FOR(status_of(b) == (desc_iova(3) | IOAT_IDLE));
	TEST_ASSERT(memcmp(b->dst + 2048, b->src, 64) == 0);
	return TEST_OK;
}
BENCH_CASES(ioat_stall_ends_by_resume_or_reset)

/*
 * Unmapping while it copies: after the call no byte is written there any more,
 * and the channel halts instead. The page is unmapped for the process as well,
 * so that a copy that was too late would be a crash.
 */
static enum test_result
ioat_unmap_under_copies_halts_on(struct bench *b)
{
	for (unsigned int round = 0; round < 30; round++) {
		uint64_t gone = 0;
		uint8_t *page = bench_map(b, NOWHERE, 64 * KB, RW);

		for (unsigned int i = 0; i < RING; i++)
			bench_desc(b, i, SRC_IOVA, NOWHERE, 64 * KB);
		bench_recover(b, 0);
		*b->status = 0;
		bench_ring(b, 20000);
		WAIT_FOR(status_of(b) != 0);
		TEST_EQ(weir_sim_ops.unmap(b->sim, NOWHERE, 64 * KB, &gone), 0);
		TEST_EQ(gone, 64 * KB);
		munmap(page, 64 * KB);
		bench_ring(b, 1); /* it may have been through with all of them */
		WAIT_FOR((status_of(b) & 7) == IOAT_HALTED);
		TEST_EQ(GET(b, chanerr), IOAT_CHANERR_DST_ADDR);
	}
	TEST_EQ(weir_sim_faults(b->sim), 30);
	return TEST_OK;
}
BENCH_CASES(ioat_unmap_under_copies_halts)

static const struct test_case cases[] = {
	BOTH(ioat_errors_halt_and_recover),
	{ "ioat_first_error_names_none", ioat_first_error_names_none },
	{ "ioat_completion_address_checked", ioat_completion_address_checked },
	{ "ioat_without_bus_master_reaches_nothing",
	  ioat_without_bus_master_reaches_nothing },
	BOTH(ioat_planned_failures_halt),
	BOTH(ioat_stall_ends_by_resume_or_reset),
	BOTH(ioat_unmap_under_copies_halts),
};
AUTOTEST(softvfio_ioat_errors_autotest, cases);
