/* SPDX-License-Identifier: BSD-3-Clause */
/* The I/OAT model as a driver sees it while all goes well. */
#include <linux/vfio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ioat_bench.h"

static enum test_result
ioat_power_on_as_documented_on(struct bench *b)
{
	TEST_EQ(GET(b, chancnt), 1);
	TEST_EQ(GET(b, cbver), 0x34);
	TEST_EQ(GET(b, xfercap), 20);
	TEST_EQ(GET(b, chansts), IOAT_HALTED);
	TEST_EQ(GET(b, chanerr), 0);
	TEST_EQ(GET(b, dmacap), 0x41);
	/* read-only registers stay as they are, others keep what is stored */
	PUT(b, cbver, 0x55);
	PUT(b, chansts, 0x55);
	PUT(b, chanctrl, 0x1c);
	TEST_EQ(GET(b, cbver), 0x34);
	TEST_EQ(GET(b, chansts), IOAT_HALTED);
	TEST_EQ(GET(b, chanctrl), 0x1c);
	/* a halted channel does not care for its doorbell */
	PUT(b, dmacount, 3);
	PUT(b, chancmd, IOAT_CHANCMD_SUSPEND);
	TEST_EQ(GET(b, chansts), IOAT_HALTED);
	TEST_EQ(GET(b, chancmd), 0);
	PUT(b, chancmd, IOAT_CHANCMD_RESET);
	TEST_EQ(GET(b, dmacount), 0);
	return TEST_OK;
}
BENCH_CASE(ioat_power_on_as_documented)

static enum test_result
ioat_copies_arrive_on(struct bench *b)
{
	static const uint32_t len[] = { 1, 64, 1500, 4096, 4097, 65536, 1u << 20 };
	unsigned int n = 0;

	bench_arm(b, 0);
	TEST_EQ(GET(b, chansts), IOAT_ARMED);
	for (size_t i = 0; i < sizeof(len) / sizeof(len[0]); i++) {
		memset(b->dst, 0, BUF_LEN);
		bench_desc(b, n, SRC_IOVA + 3, DST_IOVA + 5, len[i]);
		bench_ring(b, 1);
		WAIT_FOR(status_of(b) == (desc_iova(n) | IOAT_IDLE));
		TEST_EQ(GET(b, chansts), desc_iova(n) | IOAT_IDLE);
		TEST_ASSERT(memcmp(b->dst + 5, b->src + 3, len[i]) == 0);
		TEST_EQ(b->dst[4], 0);
		TEST_EQ(b->dst[5 + len[i]], 0);
		n++;
	}
	TEST_EQ(atomic_load(&b->d->counters.work), n);
	TEST_EQ(atomic_load(&b->d->counters.faults), 0);
	return TEST_OK;
}
BENCH_CASES(ioat_copies_arrive)

static enum test_result
ioat_fill_repeats_pattern_on(struct bench *b)
{
	struct ioat_desc *d =
		bench_desc(b, 0, UINT64_C(0x8877665544332211), DST_IOVA + 1, 21);

	d->ctl |= IOAT_OP_FILL << IOAT_CTL_OP_SHIFT;
	/* then one that does nothing, and does not look at its addresses */
	d = bench_desc(b, 1, NOWHERE, NOWHERE, 0);
	d->ctl |= IOAT_CTL_NULL;
	bench_arm(b, 0);
	bench_ring(b, 2);
	WAIT_FOR(status_of(b) == (desc_iova(1) | IOAT_IDLE));
	for (unsigned int i = 0; i < 21; i++)
		TEST_EQ(b->dst[1 + i], 0x11 * (i % 8 + 1));
	TEST_EQ(b->dst[22], 0);
	return TEST_OK;
}
BENCH_CASE(ioat_fill_repeats_pattern)

/* More than the doorbell's 16 bits, many rounds of the ring, bursts of all sizes. */
static enum test_result
ioat_doorbell_wraps_on(struct bench *b)
{
	unsigned int done = 0, burst = 1;

	for (unsigned int i = 0; i < RING; i++)
		bench_desc(b, i, SRC_IOVA + 64 * i, DST_IOVA + 64 * i, 64);
	bench_arm(b, 0);
	while (done < 70000) {
		bench_ring(b, burst);
		done += burst;
		WAIT_FOR(status_of(b) == (desc_iova(done - 1) | IOAT_IDLE));
		burst = burst % (RING - 1) + 1;
	}
	TEST_EQ(atomic_load(&b->d->counters.work), done);
	TEST_ASSERT(memcmp(b->dst, b->src, (size_t)64 * RING) == 0);
	return TEST_OK;
}
BENCH_CASES(ioat_doorbell_wraps)

static enum test_result
ioat_copy_over_two_maps_arrives_on(struct bench *b)
{
	/* the page in front goes on at another host address */
	uint8_t *front = bench_map(b, SRC_IOVA - 4 * KB, 4 * KB, RW);

	memset(front, 0x5a, 4 * KB);
	bench_desc(b, 0, SRC_IOVA - 100, DST_IOVA, 300);
	bench_arm(b, 0);
	bench_ring(b, 1);
	WAIT_FOR(status_of(b) == (desc_iova(0) | IOAT_IDLE));
	TEST_ASSERT(memcmp(b->dst, front + 4 * KB - 100, 100) == 0);
	TEST_ASSERT(memcmp(b->dst + 100, b->src, 200) == 0);
	munmap(front, 4 * KB);
	return TEST_OK;
}
BENCH_CASE(ioat_copy_over_two_maps_arrives)

static enum test_result
ioat_suspend_holds_on(struct bench *b)
{
	for (unsigned int i = 0; i < 4; i++)
		bench_desc(b, i, SRC_IOVA, DST_IOVA + 1024 * i, 64);
	bench_arm(b, 0);
	bench_ring(b, 1);
	WAIT_FOR(status_of(b) == (desc_iova(0) | IOAT_IDLE));
	PUT(b, chancmd, IOAT_CHANCMD_SUSPEND);
	WAIT_FOR(GET(b, chansts) == (desc_iova(0) | IOAT_SUSPENDED));
	bench_ring(b, 1);
	PUT(b, chancmd, IOAT_CHANCMD_RESUME);
	WAIT_FOR(status_of(b) == (desc_iova(1) | IOAT_IDLE));
	/* a suspended channel that is armed anew has forgotten what it was at */
	PUT(b, chancmd, IOAT_CHANCMD_SUSPEND);
	WAIT_FOR((GET(b, chansts) & 7) == IOAT_SUSPENDED);
	bench_ring(b, 5);
	bench_arm(b, 3);
	TEST_EQ(GET(b, chansts), IOAT_ARMED);
	TEST_EQ(GET(b, dmacount), 0);
	bench_ring(b, 1);
	WAIT_FOR(status_of(b) == (desc_iova(3) | IOAT_IDLE));
	TEST_EQ(b->dst[2048], 0);
	TEST_ASSERT(memcmp(b->dst + 3072, b->src, 64) == 0);
	return TEST_OK;
}
BENCH_CASES(ioat_suspend_holds)

static enum test_result
ioat_registers_take_halves_on(struct bench *b)
{
	bench_desc(b, 0, SRC_IOVA, DST_IOVA, 64);
	PUT(b, chanctrl, IOAT_CHANCTRL_ERR_COMPLETION_EN);
	bench_put(b, offsetof(struct ioat_regs, chancmp), STATUS_IOVA, 4);
	bench_put(b, offsetof(struct ioat_regs, chancmp) + 4, 0, 4);
	bench_put(b, offsetof(struct ioat_regs, chainaddr), RING_IOVA, 4);
	TEST_EQ(GET(b, chansts), IOAT_HALTED);
	bench_put(b, offsetof(struct ioat_regs, chainaddr) + 4, 0, 4);
	TEST_EQ(GET(b, chansts), IOAT_ARMED);
	TEST_EQ(GET(b, chainaddr), RING_IOVA);
	bench_ring(b, 1);
	WAIT_FOR(status_of(b) == (desc_iova(0) | IOAT_IDLE));
	return TEST_OK;
}
BENCH_CASE(ioat_registers_take_halves)

static enum test_result
ioat_interrupts_on_request_on(struct bench *b)
{
	int fd = bench_vector(b);
	uint64_t n = 0;

	TEST_ASSERT(fd >= 0);
	bench_desc(b, 0, SRC_IOVA, DST_IOVA, 64)->ctl |= IOAT_CTL_INT;
	bench_desc(b, 1, SRC_IOVA, DST_IOVA, 64);
	bench_desc(b, 2, NOWHERE, DST_IOVA, 64);
	bench_arm(b, 0);
	PUT(b, chanctrl, IOAT_CHANCTRL_ERR_COMPLETION_EN | IOAT_CHANCTRL_ERR_INT_EN);
	PUT(b, intrctrl, IOAT_INTRCTRL_MASTER_EN);
	bench_ring(b, 1);
	TEST_EQ(read(fd, &n, sizeof(n)), (ssize_t)sizeof(n)); /* waits for it */
	TEST_EQ(n, 1);
	TEST_EQ(GET(b, attnstatus), 1);
	PUT(b, attnstatus, 1);
	TEST_EQ(GET(b, attnstatus), 0);
	bench_ring(b, 1);
	WAIT_FOR(status_of(b) == (desc_iova(1) | IOAT_IDLE));
	TEST_EQ(GET(b, attnstatus), 0);
	bench_ring(b, 1);
	TEST_EQ(read(fd, &n, sizeof(n)), (ssize_t)sizeof(n));
	TEST_EQ(n, 1);
	close(fd);
	return TEST_OK;
}
BENCH_CASE(ioat_interrupts_on_request)

static enum test_result
ioat_function_reset_forgets_on(struct bench *b)
{
	for (unsigned int i = 0; i < RING; i++)
		bench_desc(b, i, SRC_IOVA, DST_IOVA, 65536);
	bench_arm(b, 0);
	bench_ring(b, RING);
	TEST_EQ(sv_dev_ioctl(b->d, VFIO_DEVICE_RESET, NULL), 0);
	TEST_EQ(GET(b, chansts), IOAT_HALTED);
	TEST_EQ(GET(b, chainaddr), 0);
	TEST_EQ(GET(b, chancmp), 0);
	TEST_EQ(GET(b, dmacount), 0);
	/* config space stays, so that it is still a bus master */
	bench_arm(b, 1);
	bench_ring(b, 1);
	WAIT_FOR(status_of(b) == (desc_iova(1) | IOAT_IDLE));
	return TEST_OK;
}
BENCH_CASES(ioat_function_reset_forgets)

#define ARM_NS UINT64_C(20000000)

/*
 * The channel waits for this thread to have run for a time. The thread only
 * looks at its clock, so that it is running or wants to, for half of it.
 */
static enum test_result
ioat_armed_waits_for_drivers_time_on(struct bench *b)
{
	uint64_t began;

	bench_desc(b, 0, SRC_IOVA, DST_IOVA, 64);
	bench_arm(b, 0);
	began = now_ns(CLOCK_THREAD_CPUTIME_ID);
	bench_ring(b, 1);
	while (now_ns(CLOCK_THREAD_CPUTIME_ID) - began < ARM_NS / 2)
		TEST_EQ(GET(b, chansts), IOAT_ARMED);
	WAIT_FOR(status_of(b) == (desc_iova(0) | IOAT_IDLE));
	TEST_ASSERT(now_ns(CLOCK_THREAD_CPUTIME_ID) - began >= ARM_NS / 2);
	return TEST_OK;
}

static enum test_result
ioat_armed_waits_for_drivers_time(void)
{
	return bench_run(ioat_armed_waits_for_drivers_time_on, SV_REGS_TRAP, ARM_NS);
}

/* Who sleeps has nothing to do before the device has. */
static enum test_result
ioat_armed_does_not_wait_for_sleeper_on(struct bench *b)
{
	uint64_t n = 0;
	int fd = bench_vector(b);

	TEST_ASSERT(fd >= 0);
	bench_desc(b, 0, SRC_IOVA, DST_IOVA, 64)->ctl |= IOAT_CTL_INT;
	bench_arm(b, 0);
	PUT(b, intrctrl, IOAT_INTRCTRL_MASTER_EN);
	bench_ring(b, 1);
	TEST_EQ(read(fd, &n, sizeof(n)), (ssize_t)sizeof(n));
	TEST_EQ(status_of(b), desc_iova(0) | IOAT_IDLE);
	close(fd);
	return TEST_OK;
}

static enum test_result
ioat_armed_does_not_wait_for_sleeper(void)
{
	/* an hour of running, which a thread that sleeps never gets together */
	return bench_run(ioat_armed_does_not_wait_for_sleeper_on, SV_REGS_TRAP,
			 UINT64_C(3600000000000));
}

/* An idle channel with open registers closes them; the next doorbell still counts. */
static enum test_result
ioat_idle_registers_close_on(struct bench *b)
{
	for (unsigned int i = 0; i < RING; i++)
		bench_desc(b, i, SRC_IOVA, DST_IOVA, 64);
	bench_arm(b, 0);
	for (unsigned int i = 0; i < 50; i++) {
		bench_ring(b, 1);
		WAIT_FOR(status_of(b) == (desc_iova(i) | IOAT_IDLE));
		if (i % 5 == 0)
			WAIT_FOR(!atomic_load(&b->d->regs_open));
	}
	return TEST_OK;
}

static enum test_result
ioat_idle_registers_close(void)
{
	return bench_run_polled(ioat_idle_registers_close_on);
}

static const struct test_case cases[] = {
	{ "ioat_power_on_as_documented", ioat_power_on_as_documented },
	BOTH(ioat_copies_arrive),
	{ "ioat_fill_repeats_pattern", ioat_fill_repeats_pattern },
	BOTH(ioat_doorbell_wraps),
	{ "ioat_copy_over_two_maps_arrives", ioat_copy_over_two_maps_arrives },
	BOTH(ioat_suspend_holds),
	{ "ioat_registers_take_halves", ioat_registers_take_halves },
	{ "ioat_interrupts_on_request", ioat_interrupts_on_request },
	BOTH(ioat_function_reset_forgets),
	{ "ioat_armed_waits_for_drivers_time", ioat_armed_waits_for_drivers_time },
	{ "ioat_armed_does_not_wait_for_sleeper", ioat_armed_does_not_wait_for_sleeper },
	{ "ioat_idle_registers_close", ioat_idle_registers_close },
};
AUTOTEST(softvfio_ioat_autotest, cases);
