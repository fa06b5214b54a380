/* SPDX-License-Identifier: BSD-3-Clause */
/* The DSA model as a driver meets it: registers, commands, descriptors that succeed. */
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "dsa_bench.h"

static enum test_result
dsa_power_on_as_documented_on(struct dsa_bench *b)
{
	TEST_EQ(GET(b, regs.version), 0x100);
	TEST_EQ(GET(b, regs.gencap) >> 16 & 0x1f, 31);
	TEST_EQ(GET(b, regs.gencap) >> 21 & 0xf, 10);
	TEST_EQ(GET(b, regs.wqcap) & 0xffff, 128);
	TEST_EQ(GET(b, regs.wqcap) >> 16 & 0xff, 8);
	TEST_EQ(GET(b, regs.wqcap) >> 48 & 3, 2); /* dedicated, not shared */
	TEST_EQ(GET(b, regs.grpcap), 4);
	TEST_EQ(GET(b, regs.engcap), 4);
	TEST_EQ(GET(b, regs.opcap[0]), 0x1f);
	TEST_EQ(GET(b, regs.cmdcap), 0x7fe);
	TEST_EQ(GET(b, regs.offsets[0]), UINT64_C(0x000600050004));
	TEST_EQ(GET(b, regs.gensts), DSA_DEV_DISABLED);
	TEST_EQ(GET(b, regs.cmdsts), 0);
	TEST_EQ(GET(b, regs.swerr[0]), 0);
	return TEST_OK;
}
DSA_CASE(dsa_power_on_as_documented)

static uint32_t
wq_state(struct dsa_bench *b, unsigned int i)
{
	return GET(b, wqcfg[i][DSA_WQ_STATE]) >> DSA_WQ_STATE_SHIFT;
}

/* Each command in the states in which it is refused, and in those in which not. */
static enum test_result
dsa_commands_follow_states_on(struct dsa_bench *b)
{
	static const enum dsa_cmd on_wqs[] = { DSA_CMD_DISABLE_WQ, DSA_CMD_DRAIN_WQ,
					       DSA_CMD_ABORT_WQ, DSA_CMD_RESET_WQ };

	TEST_EQ(dsa_command_on(b, DSA_CMD_DISABLE_DEV, 0), DSA_CMD_ERR_DISABLE_DEV);
	TEST_EQ(dsa_command_on(b, DSA_CMD_DRAIN_ALL, 0), DSA_CMD_ERR_WQ_DEV);
	TEST_EQ(dsa_command_on(b, DSA_CMD_ABORT_ALL, 0), DSA_CMD_ERR_WQ_DEV);
	TEST_EQ(dsa_command_on(b, DSA_CMD_ENABLE_WQ, 0), DSA_CMD_ERR_DEV_NOT_ENABLED);
	for (unsigned int i = 0; i < 4; i++)
		TEST_EQ(dsa_command_on(b, on_wqs[i], 1), DSA_CMD_ERR_WQ_DEV);
	TEST_EQ(dsa_command_on(b, (enum dsa_cmd)0, 0), DSA_CMD_ERR_CMD);
	TEST_EQ(dsa_command_on(b, (enum dsa_cmd)11, 0), DSA_CMD_ERR_CMD);
	dsa_configure(b, 2);
	TEST_EQ(dsa_command_on(b, DSA_CMD_ENABLE_DEV, 0), 0);
	TEST_EQ(GET(b, regs.gensts), DSA_DEV_ENABLED);
	TEST_EQ(dsa_command_on(b, DSA_CMD_ENABLE_DEV, 0), DSA_CMD_ERR_DEV_ENABLED);
	TEST_EQ(dsa_command_on(b, DSA_CMD_ENABLE_WQ, 8), DSA_CMD_ERR_WQ_INDEX);
	TEST_EQ(dsa_command_on(b, DSA_CMD_ENABLE_WQ, 2), DSA_CMD_ERR_WQ_SIZE);
	TEST_EQ(dsa_command_on(b, DSA_CMD_ENABLE_WQ, 1), 0);
	TEST_EQ(wq_state(b, 0), DSA_WQ_DISABLED);
	TEST_EQ(wq_state(b, 1), DSA_WQ_ENABLED);
	TEST_EQ(dsa_command_on(b, DSA_CMD_ENABLE_WQ, 1), DSA_CMD_ERR_WQ_ENABLED);
	for (unsigned int i = 0; i < 4; i++) {
		TEST_EQ(dsa_command_on(b, on_wqs[i], 0x100), DSA_CMD_ERR_WQ_INDEX);
		TEST_EQ(dsa_command_on(b, on_wqs[i], 0), DSA_CMD_ERR_WQ_INDEX);
		TEST_EQ(dsa_command_on(b, on_wqs[i], 3), 0);
	}
	TEST_EQ(wq_state(b, 1), DSA_WQ_DISABLED);
	/* the reset has taken all but its size */
	TEST_EQ(GET(b, wqcfg[1][DSA_WQ_MODE]), 0);
	TEST_EQ(GET(b, wqcfg[1][DSA_WQ_SIZE]), WQ_LEN);
	TEST_EQ(dsa_command_on(b, DSA_CMD_ENABLE_WQ, 1), DSA_CMD_ERR_WQ_PRIORITY);
	TEST_EQ(dsa_command_on(b, DSA_CMD_DISABLE_DEV, 0), 0);
	TEST_EQ(GET(b, regs.gensts), DSA_DEV_DISABLED);
	TEST_EQ(dsa_begin(b, 8), 0);
	TEST_EQ(dsa_command_on(b, DSA_CMD_RESET_DEV, 0), 0);
	TEST_EQ(wq_state(b, 7), DSA_WQ_DISABLED);
	TEST_EQ(GET(b, wqcfg[7][DSA_WQ_SIZE]), 0);
	TEST_EQ(GET(b, grpcfg[0].wqs[0]), 0);
	return TEST_OK;
}
DSA_CASE(dsa_commands_follow_states)

/* What of a work queue's configuration is refused, and how. */
static enum test_result
dsa_wq_configuration_checked_on(struct dsa_bench *b)
{
	static const struct {
		enum dsa_wqcfg_word word;
		uint32_t value, err;
	} bad[] = {
		{ DSA_WQ_MODE, DSA_WQ_MODE_DEDICATED, DSA_CMD_ERR_WQ_PRIORITY },
		{ DSA_WQ_MODE, 1 << 4, DSA_CMD_ERR_WQ_MODE },
		{ DSA_WQ_MODE, 1 << 4 | 3, DSA_CMD_ERR_WQ_BLOCK_ON_FAULT },
		{ DSA_WQ_MODE, 1 << 4 | 1 | DSA_WQ_MODE_PASID, DSA_CMD_ERR_WQ_PASID },
		{ DSA_WQ_MAXIMA, 20 | 11 << 5, DSA_CMD_ERR_WQ_MAX_BATCH },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		dsa_configure(b, 1);
		dsa_put32(b, offsetof(struct dsa_bar0, wqcfg[0]) + 4 * bad[i].word,
			  bad[i].value);
		TEST_EQ(dsa_command_on(b, DSA_CMD_ENABLE_DEV, 0), 0);
		TEST_EQ(dsa_command_on(b, DSA_CMD_ENABLE_WQ, 0), bad[i].err);
		TEST_EQ(dsa_command_on(b, DSA_CMD_DISABLE_DEV, 0), 0);
	}
	return TEST_OK;
}
DSA_CASE(dsa_wq_configuration_checked)

static enum test_result
dsa_groups_checked_on(struct dsa_bench *b)
{
	const size_t groups = offsetof(struct dsa_bar0, grpcfg);
	const size_t engines = offsetof(struct dsa_grpcfg, engines);

	/* too many entries; one in no group; in two; without an engine; engines twice */
	dsa_configure(b, 8);
	dsa_put32(b, offsetof(struct dsa_bar0, wqcfg[3][DSA_WQ_SIZE]), WQ_LEN + 1);
	TEST_EQ(dsa_command_on(b, DSA_CMD_ENABLE_DEV, 0), DSA_CMD_ERR_WQ_SIZES);
	dsa_configure(b, 8);
	dsa_put64(b, groups, 0x10);
	TEST_EQ(dsa_command_on(b, DSA_CMD_ENABLE_DEV, 0), DSA_CMD_ERR_GROUPS);
	dsa_put64(b, groups, 0x13);
	TEST_EQ(dsa_command_on(b, DSA_CMD_ENABLE_DEV, 0), DSA_CMD_ERR_GROUPS);
	dsa_put64(b, groups, 0x11);
	dsa_put64(b, groups + engines, 0);
	TEST_EQ(dsa_command_on(b, DSA_CMD_ENABLE_DEV, 0), DSA_CMD_ERR_GROUPS);
	dsa_put64(b, groups + engines, 3);
	TEST_EQ(dsa_command_on(b, DSA_CMD_ENABLE_DEV, 0), DSA_CMD_ERR_GROUPS);
	dsa_put64(b, groups + engines, 1);
	TEST_EQ(dsa_command_on(b, DSA_CMD_ENABLE_DEV, 0), 0);
	return TEST_OK;
}
DSA_CASE(dsa_groups_checked)

/* What is in use cannot be changed, what only reads never. */
static enum test_result
dsa_configuration_locked_in_use_on(struct dsa_bench *b)
{
	size_t wq0 = offsetof(struct dsa_bar0, wqcfg[0]);
	size_t wq1 = offsetof(struct dsa_bar0, wqcfg[1]);
	uint64_t cap = GET(b, regs.wqcap);

	TEST_EQ(dsa_begin(b, 1), 0);
	dsa_put64(b, offsetof(struct dsa_bar0, grpcfg[0]), 0);
	dsa_put32(b, wq0, 1);
	dsa_put32(b, wq0 + 4 * DSA_WQ_MODE, 0);
	dsa_put32(b, wq0 + 4 * DSA_WQ_STATE, 0);
	dsa_put32(b, wq1, 5);
	dsa_put32(b, wq1 + 4 * DSA_WQ_MODE, 0x11);
	dsa_put64(b, offsetof(struct dsa_regs, wqcap), 0);
	dsa_put32(b, offsetof(struct dsa_regs, gensts), 0);
	TEST_EQ(GET(b, grpcfg[0].wqs[0]), 1);
	TEST_EQ(GET(b, wqcfg[0][DSA_WQ_SIZE]), WQ_LEN);
	TEST_EQ(GET(b, wqcfg[0][DSA_WQ_MODE]), 0x11);
	TEST_EQ(wq_state(b, 0), DSA_WQ_ENABLED);
	TEST_EQ(GET(b, wqcfg[1][DSA_WQ_SIZE]), 0);
	TEST_EQ(GET(b, wqcfg[1][DSA_WQ_MODE]), 0x11);
	TEST_EQ(GET(b, regs.wqcap), cap);
	TEST_EQ(GET(b, regs.gensts), DSA_DEV_ENABLED);
	return TEST_OK;
}
DSA_CASE(dsa_configuration_locked_in_use)

/* Any length and alignment; a record only where one is asked for. */
static enum test_result
dsa_copies_arrive_on(struct dsa_bench *b)
{
	static const uint32_t lens[] = { 1, 7, 64, 4096, 65536, 1 << 20 };
	struct dsa_hw_desc d = dsa_copy(0);

	TEST_EQ(dsa_begin(b, 1), 0);
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		dsa_clear(b);
		memset(b->dst, 0, lens[i] + 64);
		d.flags |= IDXD_OP_FLAG_RCR;
		d.src_addr = SRC_IOVA + 3 * i;
		d.dst_addr = DST_IOVA + 5 * i;
		d.xfer_size = lens[i];
		dsa_submit(b, 0, &d);
		WAIT_FOR(dsa_status(b, 0) != 0);
		TEST_EQ(dsa_status(b, 0), DSA_COMP_SUCCESS);
		TEST_EQ(b->record[0].bytes_completed, lens[i]);
		TEST_ASSERT(memcmp(b->dst + 5 * i, b->src + 3 * i, lens[i]) == 0);
		TEST_EQ(b->dst[5 * i + lens[i]], 0);
	}
	/* success is not told unless it is asked for */
	d.flags &= ~(uint32_t)IDXD_OP_FLAG_RCR;
	dsa_clear(b);
	dsa_submit(b, 0, &d);
	TEST_EQ(dsa_command_on(b, DSA_CMD_DRAIN_WQ, 1), 0);
	TEST_EQ(dsa_status(b, 0), 0);
	TEST_EQ(atomic_load(&b->d->counters.work), 7);
	TEST_EQ(atomic_load(&b->d->counters.errors), 0);
	return TEST_OK;
}
DSA_CASE(dsa_copies_arrive)

static enum test_result
dsa_fill_repeats_pattern_on(struct dsa_bench *b)
{
	struct dsa_hw_desc d = dsa_copy(0);

	TEST_EQ(dsa_begin(b, 1), 0);
	d.opcode = DSA_OPCODE_MEMFILL;
	d.flags |= IDXD_OP_FLAG_RCR;
	d.src_addr = UINT64_C(0x8877665544332211);
	d.dst_addr = DST_IOVA + 1;
	d.xfer_size = 19;
	dsa_submit(b, 0, &d);
	WAIT_FOR(dsa_status(b, 0) == DSA_COMP_SUCCESS);
	for (unsigned int i = 0; i < 19; i++)
		TEST_EQ(b->dst[1 + i], 0x11 * (i % 8 + 1));
	TEST_EQ(b->dst[0], 0);
	TEST_EQ(b->dst[20], 0);
	return TEST_OK;
}
DSA_CASE(dsa_fill_repeats_pattern)

/* As DPDK does it: records of single ones lie where their descriptors are. */
static enum test_result
dsa_batch_completes_on(struct dsa_bench *b)
{
	struct dsa_hw_desc batch = dsa_batch_of(NR_LIST);

	TEST_EQ(dsa_begin(b, 1), 0);
	for (unsigned int i = 0; i < NR_LIST; i++) {
		b->list[i] = dsa_copy(i);
		b->list[i].completion_addr = LIST_IOVA + i * sizeof(b->list[0]);
	}
	dsa_submit(b, 0, &batch);
	WAIT_FOR(dsa_status(b, NR_LIST) != 0);
	TEST_EQ(dsa_status(b, NR_LIST), DSA_COMP_SUCCESS);
	TEST_EQ(b->record[NR_LIST].bytes_completed, NR_LIST);
	for (unsigned int i = 0; i < NR_LIST; i++) {
		TEST_ASSERT(dsa_arrived(b, i));
		TEST_EQ(b->list[i].opcode, DSA_OPCODE_MEMMOVE);
	}
	TEST_EQ(atomic_load(&b->d->counters.work), NR_LIST);
	return TEST_OK;
}
DSA_CASE(dsa_batch_completes)

/* Eight work queues at once, each in order: the last copy of each one wins. */
static enum test_result
dsa_wqs_work_side_by_side_on(struct dsa_bench *b)
{
	TEST_EQ(dsa_begin(b, 8), 0);
	for (unsigned int n = 0; n < WQ_LEN; n++) {
		for (unsigned int q = 0; q < 8; q++) {
			struct dsa_hw_desc d = dsa_copy(q);

			d.src_addr = SRC_IOVA + 4096 * n + 64 * q;
			dsa_submit(b, q, &d);
		}
	}
	TEST_EQ(dsa_command_on(b, DSA_CMD_DRAIN_ALL, 0), 0);
	for (unsigned int q = 0; q < 8; q++)
		TEST_ASSERT(memcmp(b->dst + 1024 * q,
				   b->src + 4096 * (WQ_LEN - 1) + 64 * q, 64) == 0);
	TEST_EQ(atomic_load(&b->d->counters.work), 8 * WQ_LEN);
	TEST_EQ(GET(b, regs.swerr[0]), 0);
	return TEST_OK;
}
DSA_CASE(dsa_wqs_work_side_by_side)

/* An eventfd for a vector; -1: refused. */
static int
vector_fd(struct dsa_bench *b, uint32_t vector)
{
	uint64_t buf[4];
	struct vfio_irq_set *set = (struct vfio_irq_set *)buf;
	int fd = eventfd(0, EFD_CLOEXEC);

	*set = (struct vfio_irq_set){ .argsz = sizeof(*set) + sizeof(fd),
				      .flags = VFIO_IRQ_SET_DATA_EVENTFD |
					       VFIO_IRQ_SET_ACTION_TRIGGER,
				      .index = VFIO_PCI_MSIX_IRQ_INDEX,
				      .start = vector,
				      .count = 1 };
	memcpy(set->data, &fd, sizeof(fd));
	if (sv_dev_ioctl(b->d, VFIO_DEVICE_SET_IRQS, set) == 0)
		return fd;
	close(fd);
	return -1;
}

static enum test_result
dsa_interrupts_on_request_on(struct dsa_bench *b)
{
	int misc = vector_fd(b, 0), done = vector_fd(b, 8);
	struct dsa_hw_desc d = dsa_copy(0);
	uint64_t n;

	TEST_ASSERT(misc >= 0 && done >= 0);
	TEST_EQ(dsa_begin(b, 1), 0);
	d.flags |= IDXD_OP_FLAG_RCI;
	d.int_handle = 8;
	dsa_submit(b, 0, &d);
	TEST_EQ(read(done, &n, sizeof(n)), sizeof(n));
	TEST_ASSERT(dsa_arrived(b, 0));
	dsa_put32(b, offsetof(struct dsa_regs, cmd),
		  DSA_CMD_INT | DSA_CMD_DRAIN_ALL << DSA_CMD_SHIFT);
	TEST_EQ(read(misc, &n, sizeof(n)), sizeof(n));
	TEST_EQ(GET(b, regs.intcause), DSA_INTCAUSE_CMD);
	dsa_put32(b, offsetof(struct dsa_regs, intcause), DSA_INTCAUSE_CMD);
	TEST_EQ(GET(b, regs.intcause), 0);
	dsa_put32(b, offsetof(struct dsa_regs, genctrl), DSA_GENCTRL_SWERR_INT);
	dsa_submit(b, 5, &d); /* not enabled */
	TEST_EQ(read(misc, &n, sizeof(n)), sizeof(n));
	TEST_EQ(n, 1);
	TEST_EQ(GET(b, regs.intcause), DSA_INTCAUSE_SWERR);
	close(misc);
	close(done);
	return TEST_OK;
}
DSA_CASE(dsa_interrupts_on_request)

static enum test_result
dsa_function_reset_forgets_on(struct dsa_bench *b)
{
	struct dsa_hw_desc d = dsa_copy(0);

	TEST_EQ(dsa_begin(b, 1), 0);
	TEST_EQ(dsa_plan(b, SV_FAULT_STALL, 1, 0), 0);
	dsa_submit(b, 0, &d);
	WAIT_FOR(atomic_load(&b->d->faults.stalled));
	TEST_EQ(dsa_command_on(b, DSA_CMD_DISABLE_DEV, 0), DSA_CMDSTS_ACTIVE);
	TEST_EQ(sv_dev_ioctl(b->d, VFIO_DEVICE_RESET, NULL), 0);
	TEST_EQ(GET(b, regs.gensts), DSA_DEV_DISABLED);
	TEST_EQ(GET(b, regs.cmdsts), 0);
	TEST_EQ(GET(b, wqcfg[0][DSA_WQ_SIZE]), 0);
	TEST_ASSERT(!dsa_arrived(b, 0));
	/* config space stays, so that it is still a bus master */
	TEST_EQ(dsa_begin(b, 1), 0);
	dsa_submit(b, 0, &d);
	TEST_EQ(dsa_command_on(b, DSA_CMD_DISABLE_WQ, 1), 0);
	TEST_ASSERT(dsa_arrived(b, 0));
	return TEST_OK;
}
DSA_CASE(dsa_function_reset_forgets)

static const struct test_case cases[] = {
	{ "dsa_power_on_as_documented", dsa_power_on_as_documented },
	{ "dsa_commands_follow_states", dsa_commands_follow_states },
	{ "dsa_wq_configuration_checked", dsa_wq_configuration_checked },
	{ "dsa_groups_checked", dsa_groups_checked },
	{ "dsa_configuration_locked_in_use", dsa_configuration_locked_in_use },
	{ "dsa_copies_arrive", dsa_copies_arrive },
	{ "dsa_fill_repeats_pattern", dsa_fill_repeats_pattern },
	{ "dsa_batch_completes", dsa_batch_completes },
	{ "dsa_wqs_work_side_by_side", dsa_wqs_work_side_by_side },
	{ "dsa_interrupts_on_request", dsa_interrupts_on_request },
	{ "dsa_function_reset_forgets", dsa_function_reset_forgets },
};
AUTOTEST(softvfio_dsa_autotest, cases);
