/* SPDX-License-Identifier: BSD-3-Clause */
/* The model's translation half: devices, faults, flushing, roll-back. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "test.h"
#include "weir_fail.h"
#include "weir_map.h"
#include "weir_sim.h"

#define PAGE UINT64_C(0x1000)
#define MB (UINT64_C(1) << 20)
#define GB (UINT64_C(1) << 30)
#define BASE UINT64_C(0x1000000)
#define RW (WEIR_PROT_READ | WEIR_PROT_WRITE)

static char *
mem_get(uint64_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p != MAP_FAILED ? p : NULL;
}

static int
sim_map(struct weir_sim *s, uint64_t iova, const char *hva, uint64_t len, uint32_t prot)
{
	return weir_sim_ops.map(s, iova, (uint64_t)(uintptr_t)hva, len, prot);
}

static int
sim_unmap(struct weir_sim *s, uint64_t iova, uint64_t len)
{
	uint64_t gone = 0;
	int ret = weir_sim_ops.unmap(s, iova, len, &gone);

	return ret == 0 && gone != len ? -EPROTO : ret;
}

/* Translate in a section of its own. */
static char *
look(struct weir_sim_dev *d, uint64_t iova, uint32_t prot, uint64_t *len)
{
	char *p;

	weir_sim_enter(d);
	p = weir_sim_translate(d, iova, prot, len);
	weir_sim_leave(d);
	return p;
}

/* Each case gets a domain with a device and 8 MiB to map. */
struct bench {
	struct weir_sim_dev d;
	struct weir_sim *s;
	char *mem;
};
#define BENCH_LEN (8 * MB)

static enum test_result with_bench(enum test_result (*fn)(struct bench *b))
{
	struct bench b;
	enum test_result res;

	b.mem = mem_get(BENCH_LEN);
	TEST_ASSERT(b.mem != NULL);
	TEST_EQ(weir_sim_create(WEIR_SIM_TYPE1_V2, &b.s), 0);
	weir_sim_attach(b.s, &b.d);
	res = fn(&b);
	weir_sim_detach(&b.d);
	weir_sim_destroy(b.s);
	munmap(b.mem, BENCH_LEN);
	return res;
}

#define BENCH_CASE(name)                      \
	static enum test_result name(void)    \
	{                                     \
		return with_bench(name##_on); \
	}

static enum test_result
sim_create_unknown_flavour_refused(void)
{
	struct weir_sim *s = NULL;

	TEST_EQ(weir_sim_create((enum weir_sim_flavour)99, &s), -EINVAL);
	TEST_EQ(weir_sim_create((enum weir_sim_flavour) - 1, &s), -EINVAL);
	TEST_ASSERT(s == NULL);
	weir_sim_destroy(NULL);
	return TEST_OK;
}

static enum test_result
sim_noiommu_answers_enotty(void)
{
	struct weir_iommu_caps caps;
	struct weir_sim_dev d;
	struct weir_sim *s;
	uint64_t gone, len = 1;
	char page[1];

	TEST_EQ(weir_sim_create(WEIR_SIM_NOIOMMU, &s), 0);
	TEST_EQ(weir_sim_ops.caps(s, &caps), -ENOTTY);
	TEST_EQ(sim_map(s, BASE, page, PAGE, RW), -ENOTTY);
	TEST_EQ(weir_sim_ops.unmap(s, BASE, PAGE, &gone), -ENOTTY);
	weir_sim_attach(s, &d);
	TEST_ASSERT(look(&d, BASE, WEIR_PROT_READ, &len) == NULL);
	weir_sim_detach(&d);
	weir_sim_ops.close(s);
	return TEST_OK;
}

static enum test_result
sim_faults_counted_and_described_on(struct bench *b)
{
	struct weir_sim_fault f;
	struct weir_sim_dev other;
	uint64_t len = 1;

	TEST_EQ(weir_sim_last_fault(b->s, &f), -ENOENT);
	TEST_EQ(sim_map(b->s, BASE, b->mem, PAGE, WEIR_PROT_READ), 0);
	TEST_ASSERT(look(&b->d, BASE + 5, WEIR_PROT_READ, &len) == b->mem + 5);
	TEST_ASSERT(look(&b->d, BASE + 7, WEIR_PROT_WRITE, &len) == NULL);
	TEST_EQ(weir_sim_last_fault(b->s, &f), 0);
	TEST_ASSERT(f.iova == BASE + 7 && f.prot == WEIR_PROT_WRITE);
	weir_sim_attach(b->s, &other);
	len = 1;
	TEST_ASSERT(look(&other, UINT64_C(1) << 48, WEIR_PROT_READ, &len) == NULL);
	TEST_ASSERT(look(&other, UINT64_MAX, WEIR_PROT_READ, &len) == NULL);
	weir_sim_detach(&other);
	TEST_EQ(other.faults, 2);
	TEST_EQ(other.last_fault.iova, UINT64_MAX);
	TEST_EQ(b->d.faults, 1);
	TEST_EQ(weir_sim_faults(b->s), 3);
	return TEST_OK;
}
BENCH_CASE(sim_faults_counted_and_described)

static enum test_result
sim_translate_stops_where_host_memory_does_on(struct bench *b)
{
	uint64_t len = 3 * PAGE;

	TEST_EQ(sim_map(b->s, BASE, b->mem, PAGE, RW), 0);
	TEST_EQ(sim_map(b->s, BASE + PAGE, b->mem + PAGE, PAGE, RW), 0);
	TEST_EQ(sim_map(b->s, BASE + 2 * PAGE, b->mem + 5 * PAGE, PAGE, RW), 0);
	TEST_EQ(sim_map(b->s, BASE + 3 * PAGE, b->mem + 6 * PAGE, PAGE, WEIR_PROT_READ),
		0);
	TEST_ASSERT(look(&b->d, BASE + 16, WEIR_PROT_READ, &len) == b->mem + 16);
	TEST_EQ(len, 2 * PAGE - 16);
	/* a shorter look first: what it leaves behind must not shorten this one */
	len = 8;
	TEST_ASSERT(look(&b->d, BASE + 2 * PAGE, WEIR_PROT_READ, &len) != NULL);
	len = UINT64_MAX;
	TEST_ASSERT(look(&b->d, BASE + 2 * PAGE, WEIR_PROT_READ, &len) ==
		    b->mem + 5 * PAGE);
	TEST_EQ(len, 2 * PAGE);
	/* the same, but for writing it ends a page earlier, also on a second look */
	for (int i = 0; i < 2; i++) {
		len = 2 * PAGE;
		TEST_ASSERT(look(&b->d, BASE + 2 * PAGE, WEIR_PROT_WRITE, &len) != NULL);
		TEST_EQ(len, PAGE);
	}
	return TEST_OK;
}
BENCH_CASE(sim_translate_stops_where_host_memory_does)

/* What a device keeps must not outlive an unmap, nor hide a new map. */
static enum test_result
sim_unmap_forgets_what_devices_keep_on(struct bench *b)
{
	uint64_t len = 1;

	TEST_EQ(sim_map(b->s, BASE, b->mem, 2 * MB, RW), 0);
	TEST_ASSERT(look(&b->d, BASE, WEIR_PROT_READ, &len) == b->mem);
	TEST_EQ(sim_unmap(b->s, BASE, 2 * MB), 0);
	TEST_ASSERT(look(&b->d, BASE, WEIR_PROT_READ, &len) == NULL);
	TEST_EQ(sim_map(b->s, BASE, b->mem + 4 * MB, 2 * MB, RW), 0);
	len = 1;
	TEST_ASSERT(look(&b->d, BASE, WEIR_PROT_READ, &len) == b->mem + 4 * MB);
	TEST_EQ(weir_sim_unmap_all(b->s), 2 * MB);
	TEST_ASSERT(look(&b->d, BASE, WEIR_PROT_READ, &len) == NULL);
	return TEST_OK;
}
BENCH_CASE(sim_unmap_forgets_what_devices_keep)

/* 3 GiB from 5 GiB less a page on: leaves of every size, host memory skewed. */
static enum test_result
sim_translate_large_leaves(void)
{
	const uint64_t start = 5 * GB - PAGE, total = 3 * GB;
	struct weir_sim_dev d;
	struct weir_sim *s;
	uint64_t len, rnd = test_seed();
	char *mem = mem_get(total);

	if (mem == NULL)
		return test_skip("3 GiB of address space are not to be had");
	TEST_EQ(weir_sim_create(WEIR_SIM_TYPE1_V2, &s), 0);
	weir_sim_attach(s, &d);
	TEST_EQ(sim_map(s, start, mem, total, RW), 0);
	TEST_EQ(weir_sim_entries(s), 1);
	for (int i = 0; i < 10000; i++) {
		uint64_t off = test_rand(&rnd) % total;

		len = UINT64_MAX;
		TEST_ASSERT(look(&d, start + off, WEIR_PROT_READ, &len) == mem + off);
		TEST_EQ(len, total - off);
	}
	len = 1;
	TEST_ASSERT(look(&d, start - 1, WEIR_PROT_READ, &len) == NULL);
	TEST_ASSERT(look(&d, start + total, WEIR_PROT_READ, &len) == NULL);
	TEST_EQ(sim_unmap(s, start, total), 0);
	TEST_ASSERT(look(&d, 6 * GB, WEIR_PROT_READ, &len) == NULL);
	weir_sim_detach(&d);
	weir_sim_destroy(s);
	munmap(mem, total);
	return TEST_OK;
}

/* As many as the kernel allows, in an order that favours nobody. */
static enum test_result
sim_holds_65535_entries(void)
{
	const uint64_t nr = 65535;
	struct weir_sim *s;
	char *mem = mem_get(PAGE);

	TEST_ASSERT(mem != NULL);
	TEST_EQ(weir_sim_create(WEIR_SIM_TYPE1_V1, &s), 0);
	for (uint64_t i = 0; i < nr; i++)
		TEST_EQ(sim_map(s, i * 7919 % nr * PAGE, mem, PAGE, RW), 0);
	TEST_EQ(sim_map(s, nr * PAGE, mem, PAGE, RW), -ENOSPC);
	TEST_EQ(weir_sim_entries(s), nr);
	for (uint64_t i = 0; i < nr; i++)
		TEST_EQ(sim_unmap(s, i * 104729 % nr * PAGE, PAGE), 0);
	TEST_EQ(weir_sim_entries(s), 0);
	weir_sim_destroy(s);
	munmap(mem, PAGE);
	return TEST_OK;
}

/* Every allocation of a map fails once: nothing may be left of it. */
static enum test_result
sim_map_fail_nth_leaves_nothing_on(struct bench *b)
{
	unsigned int n;
	int ret;

	for (n = 1; n < 100; n++) {
		bool unused;
		uint64_t len = 1;

		weir_fail_arm(n);
		ret = sim_map(b->s, GB - MB, b->mem, 4 * MB + PAGE, RW);
		unused = weir_fail_armed();
		weir_fail_arm(0);
		if (unused)
			break;
		TEST_EQ(ret, -ENOMEM);
		TEST_EQ(weir_sim_entries(b->s), 0);
		for (uint64_t off = 0; off < 4 * MB + PAGE; off += MB)
			TEST_ASSERT(look(&b->d, GB - MB + off, WEIR_PROT_READ, &len) ==
				    NULL);
	}
	TEST_EQ(ret, 0);
	/* the entry; a table of GiBs, and each side of 1 GiB one of 2 MiB and 4 KiB */
	TEST_EQ(n, 1 + 6);
	TEST_EQ(sim_unmap(b->s, GB - MB, 4 * MB + PAGE), 0);
	return TEST_OK;
}
BENCH_CASE(sim_map_fail_nth_leaves_nothing)

static enum test_result
sim_create_fail_nth_leaves_nothing(void)
{
	struct weir_sim *s = NULL;

	for (unsigned int n = 1; n <= 2; n++) {
		weir_fail_arm(n);
		TEST_EQ(weir_sim_create(WEIR_SIM_TYPE1_V1, &s), -ENOMEM);
		TEST_ASSERT(!weir_fail_armed() && s == NULL);
	}
	weir_fail_arm(3);
	TEST_EQ(weir_sim_create(WEIR_SIM_TYPE1_V1, &s), 0);
	weir_fail_arm(0);
	weir_sim_destroy(s);
	return TEST_OK;
}

/* A cut that fails leaves everything mapped; the half done one cannot be seen. */
static enum test_result
sim_unmap_part_fail_nth_changes_nothing(void)
{
	struct weir_sim_dev d;
	struct weir_sim *s;
	uint64_t gone, len;
	char *mem = mem_get(4 * PAGE);

	TEST_ASSERT(mem != NULL);
	TEST_EQ(weir_sim_create(WEIR_SIM_COMPAT_V1, &s), 0);
	weir_sim_attach(s, &d);
	TEST_EQ(sim_map(s, BASE, mem, 4 * PAGE, RW), 0);
	for (unsigned int n = 1; n <= 2; n++) {
		weir_fail_arm(n);
		TEST_EQ(weir_sim_ops.unmap(s, BASE + PAGE, PAGE, &gone),
			n == 1 ? -ENOMEM : 0);
		TEST_EQ(gone, n == 1 ? 0 : PAGE);
		weir_fail_arm(0);
		len = 4 * PAGE;
		TEST_ASSERT(look(&d, BASE, WEIR_PROT_READ, &len) == mem);
		TEST_EQ(len, n == 1 ? 4 * PAGE : PAGE);
		if (n == 2)
			break;
		/* the upper cut succeeds, the lower one fails */
		weir_fail_arm(2);
		TEST_EQ(weir_sim_ops.unmap(s, BASE + PAGE, PAGE, &gone), -ENOMEM);
		weir_fail_arm(0);
		len = 4 * PAGE;
		TEST_ASSERT(look(&d, BASE, WEIR_PROT_READ, &len) == mem);
		TEST_EQ(len, 4 * PAGE);
	}
	weir_sim_detach(&d);
	weir_sim_destroy(s);
	munmap(mem, 4 * PAGE);
	return TEST_OK;
}

/*
 * Devices copy from slots to slots of their own while the control plane takes
 * slots away. What is unmapped is made inaccessible at once: a late access is a
 * SIGSEGV, and under ThreadSanitizer the memset() a race.
 */
#define NR_DEVS 2
#define NR_SLOTS 24u /* eight that all read, eight each that one device writes */
#define SLOT_LEN (4 * PAGE)

struct crowd {
	struct weir_sim *s;
	_Atomic bool stop;
	_Atomic uint64_t copies;
};

struct copier {
	struct crowd *crowd;
	unsigned int first; /* of the slots it writes to */
	uint64_t rnd;
	pthread_t thread;
};

static void
copy_once(struct weir_sim_dev *d, struct copier *c)
{
	uint64_t r = test_rand(&c->rnd), src_len = SLOT_LEN, dst_len = SLOT_LEN;
	uint64_t src = BASE + (r >> 8) % 8 * SLOT_LEN;
	uint64_t dst = BASE + (c->first + (r >> 16) % 8) * SLOT_LEN;
	char *from, *to;

	weir_sim_enter(d);
	from = weir_sim_translate(d, src, WEIR_PROT_READ, &src_len);
	to = weir_sim_translate(d, dst, WEIR_PROT_WRITE, &dst_len);
	if (from != NULL && to != NULL) {
		memcpy(to, from, SLOT_LEN);
		atomic_fetch_add_explicit(&c->crowd->copies, 1, memory_order_relaxed);
	}
	weir_sim_leave(d);
}

static void *
copier_run(void *arg)
{
	struct copier *c = arg;
	struct weir_sim_dev d;

	while (!atomic_load(&c->crowd->stop)) {
		weir_sim_attach(c->crowd->s, &d);
		for (int i = 0; i < 1000 && !atomic_load(&c->crowd->stop); i++)
			copy_once(&d, c);
		weir_sim_detach(&d);
	}
	return NULL;
}

static enum test_result
take_slots_away(struct crowd *crowd, char *mem)
{
	uint64_t rnd = test_seed();

	for (unsigned int i = 0; i < 4000 || atomic_load(&crowd->copies) == 0; i++) {
		unsigned int slot = (unsigned int)(test_rand(&rnd) % NR_SLOTS);
		char *p = mem + slot * SLOT_LEN;

		TEST_EQ(sim_unmap(crowd->s, BASE + slot * SLOT_LEN, SLOT_LEN), 0);
		memset(p, (int)i, SLOT_LEN);
		TEST_ASSERT(mprotect(p, SLOT_LEN, PROT_NONE) == 0);
		TEST_EQ(sim_map(crowd->s, BASE + slot * SLOT_LEN, p, SLOT_LEN, RW),
			-EFAULT);
		TEST_ASSERT(mprotect(p, SLOT_LEN, PROT_READ | PROT_WRITE) == 0);
		TEST_EQ(sim_map(crowd->s, BASE + slot * SLOT_LEN, p, SLOT_LEN, RW), 0);
	}
	return TEST_OK;
}

static enum test_result
sim_unmap_waits_for_copies(void)
{
	struct copier c[NR_DEVS];
	struct crowd crowd = { NULL };
	enum test_result res;
	char *mem = mem_get(NR_SLOTS * SLOT_LEN);

	TEST_ASSERT(mem != NULL);
	TEST_EQ(weir_sim_create(WEIR_SIM_TYPE1_V2, &crowd.s), 0);
	for (unsigned int i = 0; i < NR_SLOTS; i++)
		TEST_EQ(sim_map(crowd.s, BASE + i * SLOT_LEN, mem + i * SLOT_LEN,
				SLOT_LEN, RW),
			0);
	for (unsigned int i = 0; i < NR_DEVS; i++) {
		c[i] = (struct copier){ &crowd, 8 + 8 * i, test_seed() + i, 0 };
		TEST_EQ(pthread_create(&c[i].thread, NULL, copier_run, &c[i]), 0);
	}
	res = take_slots_away(&crowd, mem);
	atomic_store(&crowd.stop, true);
	for (unsigned int i = 0; i < NR_DEVS; i++)
		pthread_join(c[i].thread, NULL);
	weir_sim_destroy(crowd.s);
	munmap(mem, NR_SLOTS * SLOT_LEN);
	return res;
}

static const struct test_case sim_cases[] = {
	{ "sim_create_unknown_flavour_refused", sim_create_unknown_flavour_refused },
	{ "sim_create_fail_nth_leaves_nothing", sim_create_fail_nth_leaves_nothing },
	{ "sim_noiommu_answers_enotty", sim_noiommu_answers_enotty },
	{ "sim_faults_counted_and_described", sim_faults_counted_and_described },
	{ "sim_translate_stops_where_host_memory_does",
	  sim_translate_stops_where_host_memory_does },
	{ "sim_translate_large_leaves", sim_translate_large_leaves },
	{ "sim_unmap_forgets_what_devices_keep", sim_unmap_forgets_what_devices_keep },
	{ "sim_holds_65535_entries", sim_holds_65535_entries },
	{ "sim_map_fail_nth_leaves_nothing", sim_map_fail_nth_leaves_nothing },
	{ "sim_unmap_part_fail_nth_changes_nothing",
	  sim_unmap_part_fail_nth_changes_nothing },
	{ "sim_unmap_waits_for_copies", sim_unmap_waits_for_copies },
};
AUTOTEST(sim_autotest, sim_cases);
