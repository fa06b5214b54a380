/* SPDX-License-Identifier: BSD-3-Clause */
/* The software VFIO's small parts: WEIR_SOFTVFIO's text, planned faults, config
 * space, commands. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "sv_dev.h"
#include "sv_fault.h"
#include "sv_spec.h"
#include "test.h"

static struct sv_spec specs[SV_MAX_DEVICES];
static char why[160];

static int
parse(const char *text)
{
	why[0] = '\0';
	return sv_spec_parse(text, specs, why, sizeof(why));
}

static enum test_result
spec_defaults_filled_in(void)
{
	TEST_EQ(parse("ioat@0000:00:04.0;ioat@00FF:a0:1F.7"), 2);
	TEST_ASSERT(specs[0].model == &sv_ioat);
	TEST_ASSERT(strcmp(specs[0].bdf, "0000:00:04.0") == 0);
	TEST_ASSERT(strcmp(specs[1].bdf, "00ff:a0:1f.7") == 0);
	TEST_EQ(specs[0].group, 1);
	TEST_EQ(specs[1].group, 2);
	TEST_EQ(specs[0].regs, SV_REGS_TRAP);
	TEST_EQ(specs[0].cpu, -1);
	TEST_EQ(specs[0].arm_ns, 500000);
	TEST_EQ(specs[0].nr_faults, 0);
	return TEST_OK;
}

static enum test_result
spec_arguments_set(void)
{
	const struct sv_spec *s = &specs[0];

	TEST_EQ(parse("ioat@0000:00:04.0,group=7,numa=1,cpu=3,regs=poll,arm=2,cost=5,"
		      "fail=3:0x2+9:256,delay=4:10,stall=0x5+@0"),
		1);
	TEST_EQ(s->group, 7);
	TEST_EQ(s->numa_node, 1);
	TEST_EQ(s->cpu, 3);
	TEST_EQ(s->regs, SV_REGS_POLL);
	TEST_EQ(s->arm_ns, 2000);
	TEST_EQ(s->cost_ns, 5000);
	TEST_EQ(s->nr_faults, 5);
	TEST_EQ(s->fault[0].at, 3);
	TEST_EQ(s->fault[0].value, 2);
	TEST_EQ(s->fault[1].at, 9);
	TEST_EQ(s->fault[1].value, 256);
	TEST_EQ(s->fault[2].kind, SV_FAULT_DELAY);
	TEST_EQ(s->fault[2].value, 10000);
	TEST_EQ(s->fault[3].kind, SV_FAULT_STALL);
	TEST_EQ(s->fault[3].at, 5);
	TEST_ASSERT(!s->fault[3].placed);
	TEST_EQ(s->fault[4].at, 0);
	TEST_ASSERT(s->fault[4].placed);
	return TEST_OK;
}

static enum test_result
spec_malformed_refused(void)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "", "no device" },
		{ ";", "no device" },
		{ "ioat", "MODEL@" },
		{ "ioat,x@0000:00:04.0", "MODEL@" },
		{ "qat@0000:00:04.0", "no such model" },
		{ "@0000:00:04.0", "no such model" },
		{ "ioat@", "wants an address" },
		{ "ioat@00:04.0", "wants an address" },
		{ "ioat@0000:00:20.0", "wants an address" },
		{ "ioat@0000:00:04.8", "wants an address" },
		{ "ioat@0000:00:04.x", "wants an address" },
		{ "ioat@0000:00:04.0;ioat@0000:00:04.0", "twice" },
		{ "ioat@0000:00:04.0,regs=fast", "'regs=fast'" },
		{ "ioat@0000:00:04.0,nonsense=1", "nonsense" },
		{ "ioat@0000:00:04.0,group=-1", "group" },
		{ "ioat@0000:00:04.0,fail=3", "fail" },
		{ "ioat@0000:00:04.0,fail=3:0", "fail" },
		{ "ioat@0000:00:04.0,fail=0:1", "fail" },
		{ "ioat@0000:00:04.0,fail=1:1+", "fail" },
		{ "ioat@0000:00:04.0,fail=1:0x100000000", "fail" },
		{ "ioat@0000:00:04.0,stall=1:1", "stall" },
		{ "ioat@0000:00:04.0,stall=@64", "stall" },
		{ "ioat@0000:00:04.0,fail=@:1", "fail" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int ret = parse(bad[i].text);

		if (ret != -EINVAL || strstr(why, bad[i].says) == NULL)
			printf("    '%s': %d, \"%s\"\n", bad[i].text, ret, why);
		TEST_EQ(ret, -EINVAL);
		TEST_ASSERT(strstr(why, bad[i].says) != NULL);
	}
	return TEST_OK;
}

static enum test_result
spec_too_many_refused(void)
{
	char text[64 * (SV_MAX_DEVICES + 1)], *at = text;

	for (int i = 0; i <= SV_MAX_DEVICES; i++)
		at += sprintf(at, "ioat@0000:%02x:00.0;", i);
	TEST_EQ(parse(text), -EINVAL);
	TEST_ASSERT(strstr(why, "more than") != NULL);
	*strrchr(text, 'i') = '\0';
	TEST_EQ(parse(text), SV_MAX_DEVICES);
	return TEST_OK;
}

/* Two bursts of three, then what is planned for a fourth place. */
static enum test_result
faults_at_a_place_wait_for_a_burst(void)
{
	const enum sv_verdict want[] = { SV_GO, SV_FAIL, SV_GO, SV_GO, SV_GO, SV_GO };
	uint32_t code = 0;
	struct sv_faults f;
	uint64_t wait;

	sv_faults_init(&f);
	TEST_EQ(sv_faults_add(&f, &(struct sv_fault){ SV_FAULT_FAIL, 1, 4, true }), 0);
	TEST_EQ(sv_faults_add(&f, &(struct sv_fault){ SV_FAULT_FAIL, 3, 8, true }), 0);
	TEST_EQ(sv_faults_add(
			&f, &(struct sv_fault){ SV_FAULT_FAIL, SV_MAX_PLACES, 8, true }),
		-EINVAL);
	for (uint32_t i = 0; i < 6; i++)
		TEST_EQ(sv_faults_next(&f, i % 3, &code, &wait), want[i]);
	TEST_EQ(code, 4);
	TEST_EQ(sv_faults_next(&f, SV_MAX_PLACES, &code, &wait), SV_GO);
	TEST_EQ(sv_faults_next(&f, 3, &code, &wait), SV_FAIL);
	TEST_EQ(code, 8);
	TEST_EQ(atomic_load(&f.places), 0);
	return TEST_OK;
}

static enum test_result
faults_planned_happen_once(void)
{
	struct sv_faults f;
	uint64_t wait = 0;
	uint32_t code = 0;

	sv_faults_init(&f);
	TEST_EQ(sv_faults_add(&f, &(struct sv_fault){ SV_FAULT_FAIL, 0, 1 }), -EINVAL);
	TEST_EQ(sv_faults_add(&f, &(struct sv_fault){ SV_FAULT_FAIL, 1, 0 }), -EINVAL);
	TEST_EQ(sv_faults_add(&f, &(struct sv_fault){ SV_FAULT_FAIL, 3, 4 }), 0);
	TEST_EQ(sv_faults_add(&f, &(struct sv_fault){ SV_FAULT_FAIL, 2, 8 }), 0);
	TEST_EQ(sv_faults_next(&f, 0, &code, &wait), SV_GO);
	/* from here on counted anew */
	TEST_EQ(sv_faults_add(&f, &(struct sv_fault){ SV_FAULT_FAIL, 2, 16 }), 0);
	TEST_EQ(sv_faults_next(&f, 0, &code, &wait), SV_FAIL);
	TEST_EQ(code, 8);
	TEST_EQ(sv_faults_next(&f, 0, &code, &wait), SV_FAIL);
	TEST_EQ(code, 4 | 16);
	for (int i = 0; i < 10; i++)
		TEST_EQ(sv_faults_next(&f, 0, &code, &wait), SV_GO);
	TEST_EQ(f.nr, 0);
	return TEST_OK;
}

static enum test_result
faults_stall_holds_until_resumed(void)
{
	struct sv_faults f;
	uint64_t wait = 0;
	uint32_t code = 0;

	sv_faults_init(&f);
	TEST_EQ(sv_faults_add(&f, &(struct sv_fault){ SV_FAULT_STALL, 1, 0 }), 0);
	TEST_EQ(sv_faults_add(&f, &(struct sv_fault){ SV_FAULT_FAIL, 1, 2 }), 0);
	TEST_EQ(sv_faults_add(&f, &(struct sv_fault){ SV_FAULT_STALL, 2, 0 }), 0);
	for (int i = 0; i < 3; i++) {
		TEST_EQ(sv_faults_next(&f, 0, &code, &wait), SV_HOLD);
		TEST_ASSERT(wait == SV_IDLE);
	}
	sv_faults_resume(&f);
	TEST_EQ(sv_faults_next(&f, 0, &code, &wait), SV_FAIL);
	TEST_EQ(code, 2);
	TEST_EQ(sv_faults_next(&f, 0, &code, &wait), SV_HOLD);
	sv_faults_forget(&f); /* a reset: the next one is another descriptor */
	TEST_EQ(sv_faults_next(&f, 0, &code, &wait), SV_GO);
	TEST_EQ(f.count, 3);
	return TEST_OK;
}

static enum test_result
faults_delay_and_cost_wait(void)
{
	struct sv_faults f;
	uint64_t wait = 0;
	uint32_t code = 0;

	sv_faults_init(&f);
	TEST_EQ(sv_faults_add(&f, &(struct sv_fault){ SV_FAULT_DELAY, 1,
						      UINT64_C(3600000000000) }),
		0);
	TEST_EQ(sv_faults_next(&f, 0, &code, &wait), SV_HOLD);
	TEST_ASSERT(wait > UINT64_C(3500000000000) && wait <= UINT64_C(3600000000000));
	sv_faults_forget(&f);
	atomic_store(&f.each_ns, UINT64_C(1000000));
	do
		TEST_ASSERT(wait != 0);
	while (sv_faults_next(&f, 0, &code, &wait) == SV_HOLD);
	TEST_EQ(f.count, 2);
	sv_faults_clear(&f);
	TEST_EQ(sv_faults_next(&f, 0, &code, &wait), SV_GO);
	return TEST_OK;
}

static enum test_result
faults_full_list_refused(void)
{
	struct sv_faults f;

	sv_faults_init(&f);
	for (uint64_t i = 1; i <= SV_MAX_FAULTS; i++)
		TEST_EQ(sv_faults_add(&f, &(struct sv_fault){ SV_FAULT_FAIL, i, 1 }), 0);
	TEST_EQ(sv_faults_add(&f, &(struct sv_fault){ SV_FAULT_FAIL, 1, 1 }), -ENOSPC);
	return TEST_OK;
}

static uint32_t
config_get(struct sv_dev *d, uint32_t off, uint32_t len)
{
	uint32_t v = 0;

	sv_pci_read(d, off, &v, len);
	return v;
}

static enum test_result
config_space_masks_writes_on(struct sv_dev *d)
{
	uint32_t ones = UINT32_MAX, bar = config_get(d, PCI_BASE_ADDRESS_0, 4);
	uint32_t cap;

	TEST_EQ(config_get(d, PCI_VENDOR_ID, 4), 0x0b008086);
	sv_pci_write(d, PCI_VENDOR_ID, &ones, 4);
	TEST_EQ(config_get(d, PCI_VENDOR_ID, 4), 0x0b008086);
	/* a BAR answers to being sized, and takes its address back */
	sv_pci_write(d, PCI_BASE_ADDRESS_0, &ones, 4);
	TEST_EQ(config_get(d, PCI_BASE_ADDRESS_0, 4),
		(uint32_t)~0x3fff | PCI_BASE_ADDRESS_MEM_TYPE_64);
	sv_pci_write(d, PCI_BASE_ADDRESS_0, &bar, 4);
	TEST_EQ(config_get(d, PCI_BASE_ADDRESS_0, 4), bar);
	/* the command register has effect */
	TEST_ASSERT(!atomic_load(&d->bus_master));
	sv_pci_write(d, PCI_COMMAND, &ones, 2);
	TEST_EQ(config_get(d, PCI_COMMAND, 2), 0x406);
	TEST_ASSERT(atomic_load(&d->bus_master));
	sv_pci_disable(d);
	TEST_ASSERT(!atomic_load(&d->bus_master));
	/* the list of capabilities ends, and MSI-X is on it */
	cap = config_get(d, PCI_CAPABILITY_LIST, 1);
	TEST_EQ(config_get(d, cap, 1), PCI_CAP_ID_MSIX);
	TEST_EQ(config_get(d, cap + PCI_MSIX_TABLE, 4), 0x2000);
	cap = config_get(d, cap + 1, 1);
	TEST_EQ(config_get(d, cap, 1), PCI_CAP_ID_EXP);
	TEST_EQ(config_get(d, cap + 1, 1), 0);
	return TEST_OK;
}

static enum test_result
config_space_masks_writes(void)
{
	enum test_result res;
	struct sv_dev *d;

	TEST_EQ(parse("ioat@0000:00:04.0"), 1);
	TEST_EQ(sv_dev_create(&specs[0], &d), 0);
	res = config_space_masks_writes_on(d);
	sv_dev_destroy(d);
	return res;
}

static const struct test_case cases[] = {
	{ "spec_defaults_filled_in", spec_defaults_filled_in },
	{ "spec_arguments_set", spec_arguments_set },
	{ "spec_malformed_refused", spec_malformed_refused },
	{ "spec_too_many_refused", spec_too_many_refused },
	{ "faults_at_a_place_wait_for_a_burst", faults_at_a_place_wait_for_a_burst },
	{ "faults_planned_happen_once", faults_planned_happen_once },
	{ "faults_stall_holds_until_resumed", faults_stall_holds_until_resumed },
	{ "faults_delay_and_cost_wait", faults_delay_and_cost_wait },
	{ "faults_full_list_refused", faults_full_list_refused },
	{ "config_space_masks_writes", config_space_masks_writes },
};
AUTOTEST(softvfio_spec_autotest, cases);
