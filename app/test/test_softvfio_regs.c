/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Registers of a software device as a driver maps them: every store instruction
 * that is understood is carried out by the processor on a page that traps, and
 * the model that notes what it was told is asked.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sv_dev.h"
#include "sv_insn.h"
#include "sv_view.h"
#include "test.h"
#include "weir_fail.h"

#define PAGE 0x1000u
#define BAR0_LEN 0x4000u
#define BAR2_LEN 0x1000u
#define REGION(n) ((uint64_t)(n) << 40)
#define RW (PROT_READ | PROT_WRITE)

/* A model that notes the last store, and copies it to where it belongs. */
struct note {
	struct sv_dev *dev;
	unsigned int nr, bar;
	uint64_t off, value;
	uint32_t len;
};

static struct note noted;

static int
note_create(struct sv_dev *d, void **ctx)
{
	noted = (struct note){ .dev = d };
	*ctx = &noted;
	return 0;
}

static void
note_nothing(void *ctx)
{
	(void)ctx;
}

static void
note_store(void *ctx, unsigned int bar, uint64_t off, const void *data, uint32_t len)
{
	struct note *n = ctx;

	n->nr++;
	n->bar = bar;
	n->off = off;
	n->len = len;
	n->value = 0;
	memcpy(&n->value, data, len < 8 ? len : 8);
	memcpy((uint8_t *)sv_dev_bar(n->dev, bar) + off, data, len);
}

static uint64_t
note_run(void *ctx)
{
	(void)ctx;
	return SV_IDLE;
}

static const struct sv_model note_model = {
	.name = "note",
	.pci = { .vendor = 0x1234,
		 .device = 1,
		 .bar_len = { BAR0_LEN, 0, BAR2_LEN },
		 .nr_vectors = 3,
		 .msix_offset = 0x2000 },
	.create = note_create,
	.destroy = note_nothing,
	.reset = note_nothing,
	.store = note_store,
	.run = note_run,
};

static const struct sv_spec note_spec = {
	.model = &note_model,
	.bdf = "0000:00:1e.0",
	.cpu = -1,
};

static unsigned int nr_closed;
static const void *last_closed;

static void
count_closed(void *owner)
{
	nr_closed++;
	last_closed = owner;
}

static enum test_result with_dev(enum test_result (*fn)(struct sv_dev *d))
{
	void (*closed)(void *owner) = sv_view_closed;
	enum test_result res;
	struct sv_dev *d;

	TEST_EQ(sv_dev_create(&note_spec, &d), 0);
	nr_closed = 0;
	sv_view_closed = count_closed;
	res = fn(d);
	sv_view_closed = closed;
	sv_dev_destroy(d);
	return res;
}

#define DEV_CASE(name)                      \
	static enum test_result name(void)  \
	{                                   \
		return with_dev(name##_on); \
	}

static int
map(struct sv_dev *d, uint64_t off, size_t len, int prot, uint8_t **out)
{
	void *p = NULL;
	int ret = sv_dev_mmap(d, NULL, len, prot, MAP_SHARED, off, d, &p);

	*out = p;
	return ret;
}

/* What munmap() does in a program that the library is preloaded to. */
static void
unmap(uint8_t *p, size_t len)
{
	sv_views_forget(p, len);
	munmap(p, len);
}

/* The last store was this one, and memory has it. */
#define NOTED(nth, b, o, l, v)                   \
	do {                                     \
		TEST_EQ(noted.nr, nth);          \
		TEST_EQ(noted.bar, b);           \
		TEST_EQ(noted.off, o);           \
		TEST_EQ(noted.len, l);           \
		TEST_ASSERT(noted.value == (v)); \
	} while (0)

/* A store that changes what the model has noted, which no compiler can know. */
static void
poke(uint8_t *p, uint32_t v)
{
	*(volatile uint32_t *)p = v;
	__asm__ volatile("" : : : "memory");
}

#define RAX UINT64_C(0x8877665544332211)

static enum test_result
store_moves_reach_model_on(struct sv_dev *d)
{
	uint64_t v = RAX;
	uint8_t *p;

	TEST_EQ(map(d, REGION(0), BAR0_LEN, RW, &p), 0);
	__asm__ volatile("movb %%al, 1(%0)" : : "r"(p), "a"(v) : "memory");
	NOTED(1, 0, 1, 1, UINT64_C(0x11));
	__asm__ volatile("movb %%ah, 2(%0)" : : "D"(p), "a"(v) : "memory");
	NOTED(2, 0, 2, 1, UINT64_C(0x22));
	__asm__ volatile("movw %%ax, 0x86(%0)" : : "r"(p), "a"(v) : "memory");
	NOTED(3, 0, 0x86, 2, UINT64_C(0x2211));
	__asm__ volatile("movl %%eax, 0x1234(%0)" : : "r"(p), "a"(v) : "memory");
	NOTED(4, 0, 0x1234, 4, UINT64_C(0x44332211));
	__asm__ volatile("movq %%rax, 0x90(%0)" : : "r"(p), "a"(v) : "memory");
	NOTED(5, 0, 0x90, 8, RAX);
	TEST_ASSERT(memcmp(p + 0x90, &v, 8) == 0);
	TEST_EQ(atomic_load(&d->counters.stores), 5);
	unmap(p, BAR0_LEN);
	return TEST_OK;
}
DEV_CASE(store_moves_reach_model)

static enum test_result
store_addressing_forms_understood_on(struct sv_dev *d)
{
	register uint64_t r12 __asm__("r12") = 0x1212;
	register uint64_t r13 __asm__("r13");
	uint64_t index = 0x10;
	uint8_t *p;

	TEST_EQ(map(d, REGION(0), BAR0_LEN, RW, &p), 0);
	/* no displacement, SIB with index and scale, a base that needs a byte of it */
	__asm__ volatile("movl %1, (%0)" : : "r"(p), "r"(7) : "memory");
	NOTED(1, 0, 0, 4, UINT64_C(7));
	__asm__ volatile("movl %1, 0x20(%0,%2,8)"
			 :
			 : "r"(p), "r"(8), "r"(index)
			 : "memory");
	NOTED(2, 0, 0xa0, 4, UINT64_C(8));
	r13 = (uint64_t)(uintptr_t)p;
	__asm__ volatile("movq %1, (%0)" : : "r"(r13), "r"(r12) : "memory");
	NOTED(3, 0, 0, 8, UINT64_C(0x1212));
	__asm__ volatile("movb %%r12b, (%0)" : : "r"(r13), "r"(r12) : "memory");
	NOTED(4, 0, 0, 1, UINT64_C(0x12));
	r12 = (uint64_t)(uintptr_t)p;
	__asm__ volatile("movw %w1, 0x1000(%0)" : : "r"(r12), "r"(5) : "memory");
	NOTED(5, 0, 0x1000, 2, UINT64_C(5));
	/* an absolute index without a base */
	index = (uint64_t)(uintptr_t)p / 2 - 0x20;
	__asm__ volatile("movl %1, 0x40(,%0,2)" : : "r"(index), "r"(6) : "memory");
	NOTED(6, 0, 0, 4, UINT64_C(6));
	/* with REX, byte register 6 is SIL */
	__asm__ volatile("movb %%sil, 3(%0)" : : "r"(p), "S"(0x99) : "memory");
	NOTED(7, 0, 3, 1, UINT64_C(0x99));
	__asm__ volatile("movb %%dh, 4(%0)" : : "a"(p), "d"(0xabcd) : "memory");
	NOTED(8, 0, 4, 1, UINT64_C(0xab));
	unmap(p, BAR0_LEN);
	return TEST_OK;
}
DEV_CASE(store_addressing_forms_understood)

static enum test_result
store_immediates_and_others_understood_on(struct sv_dev *d)
{
	uint64_t v = RAX;
	uint8_t *p;

	TEST_EQ(map(d, REGION(0), BAR0_LEN, RW, &p), 0);
	__asm__ volatile("movb $0x20, 0x84(%0)" : : "r"(p) : "memory");
	NOTED(1, 0, 0x84, 1, UINT64_C(0x20));
	__asm__ volatile("movw $0x1234, 0x84(%0)" : : "r"(p) : "memory");
	NOTED(2, 0, 0x84, 2, UINT64_C(0x1234));
	__asm__ volatile("movl $0x89abcdef, 0x84(%0)" : : "r"(p) : "memory");
	NOTED(3, 0, 0x84, 4, UINT64_C(0x89abcdef));
	__asm__ volatile("movq $-2, 0x88(%0)" : : "r"(p) : "memory");
	NOTED(4, 0, 0x88, 8, UINT64_MAX - 1);
	__asm__ volatile("movnti %1, 0x88(%0)" : : "r"(p), "r"(v) : "memory");
	NOTED(5, 0, 0x88, 8, RAX);
	/* behind a segment's prefix, DS having base 0 */
	__asm__ volatile("movl $1, %%ds:(%0)" : : "r"(p) : "memory");
	NOTED(6, 0, 0, 4, UINT64_C(1));
	unmap(p, BAR0_LEN);
	return TEST_OK;
}
DEV_CASE(store_immediates_and_others_understood)

/* MOVABS and MOVDIRI: the processor may lack the latter, the decoder need not. */
static enum test_result
insn_lengths_found(void)
{
	static const struct {
		uint8_t code[16];
		uint32_t insn_len, len;
	} good[] = {
		{ { 0xa3, 1, 2, 3, 4, 5, 6, 7, 8 }, 9, 4 },
		{ { 0x48, 0xa3, 1, 2, 3, 4, 5, 6, 7, 8 }, 10, 8 },
		{ { 0x67, 0xa2, 1, 2, 3, 4 }, 6, 1 },
		{ { 0x0f, 0x38, 0xf9, 0x02 }, 4, 4 },
		{ { 0x48, 0x0f, 0x38, 0xf9, 0x42, 0x10 }, 6, 8 },
		{ { 0x66, 0xc7, 0x05, 1, 2, 3, 4, 5, 6 }, 9, 2 },
		{ { 0x48, 0xc7, 0x84, 0x24, 1, 2, 3, 4, 5, 6, 7, 8 }, 12, 8 },
		{ { 0x66, 0x0f, 0x38, 0xf8, 0x02 }, 5, 64 },
		{ { 0x67, 0x66, 0x48, 0x0f, 0x38, 0xf8, 0x84, 0x88, 1, 2, 3, 4 },
		  12,
		  64 },
	};
	static const uint8_t bad[][16] = {
		{ 0x8b, 0x00 },		    /* a load */
		{ 0x89, 0xc0 },		    /* to a register */
		{ 0x01, 0x00 },		    /* ADD m, r */
		{ 0x0f, 0x11, 0x00 },	    /* MOVUPS */
		{ 0xc7, 0xf8, 0, 0, 0, 0 }, /* XBEGIN */
		{ 0xc6, 0x48, 0, 0 },	    /* no MOV: reg is not 0 */
		{ 0x0f, 0x38, 0xf0, 0x00 }, /* MOVBE, a load */
		{ 0xf3, 0xa4 },		    /* REP MOVSB */
		{ 0x0f, 0x38, 0xf8, 0x02 },
		{ 0xf2, 0x0f, 0x38, 0xf8, 0x02 },	/* ENQCMD */
		{ 0x66, 0x0f, 0x38, 0xf8, 0xc2 },	/* MOVDIR64B, of a register */
		{ 0x64, 0x66, 0x0f, 0x38, 0xf8, 0x02 }, /* of a thread's memory */
		{ 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
		  0x66, 0x66, 0x66, 0x66 },
	};
	greg_t gregs[NGREG] = { 0 };
	struct sv_store s;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		TEST_ASSERT(sv_insn_decode(good[i].code, gregs, &s));
		TEST_EQ(s.insn_len, good[i].insn_len);
		TEST_EQ(s.len, good[i].len);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		TEST_ASSERT(!sv_insn_decode(bad[i], gregs, &s));
	return TEST_OK;
}

/* Where MOVDIR64B reads and writes, by the address forms that there are. */
static enum test_result
insn_movdir64b_addresses_found(void)
{
	static const struct {
		uint8_t code[16];
		uint64_t from, to;
	} good[] = {
		/* (RDX) to RAX, with a displacement of 8 and of 32 bits */
		{ { 0x66, 0x0f, 0x38, 0xf8, 0x02 }, 0x3002, 0x1000 },
		{ { 0x66, 0x0f, 0x38, 0xf8, 0x42, 0xf0 }, 0x2ff2, 0x1000 },
		{ { 0x66, 0x0f, 0x38, 0xf8, 0x82, 0, 0, 1, 0 }, 0x13002, 0x1000 },
		/* base and index with scale; neither; RSP, which is no index; R12, which
		   is */
		{ { 0x66, 0x0f, 0x38, 0xf8, 0x44, 0x91, 0x10 }, 0xe019, 0x1000 },
		{ { 0x66, 0x0f, 0x38, 0xf8, 0x04, 0x25, 5, 0, 0, 0x80 },
		  UINT64_C(0xffffffff80000005),
		  0x1000 },
		{ { 0x66, 0x0f, 0x38, 0xf8, 0x04, 0x24 }, 0x5004, 0x1000 },
		{ { 0x66, 0x42, 0x0f, 0x38, 0xf8, 0x04, 0x22 }, 0x1000e, 0x1000 },
		/* R8 is where to; RBP and R13 have a displacement always */
		{ { 0x66, 0x44, 0x0f, 0x38, 0xf8, 0x45, 0 }, 0x6005, 0x9000 },
		{ { 0x66, 0x45, 0x0f, 0x38, 0xf8, 0x45, 1 }, 0xe00e, 0x9000 },
		/* addresses of 32 bits */
		{ { 0x67, 0x66, 0x0f, 0x38, 0xf8, 0x42, 0x80 }, 0x2f82, 0x1000 },
		{ { 0x67, 0x66, 0x0f, 0x38, 0xf8, 0x04, 0x25, 5, 0, 0, 0x80 },
		  UINT64_C(0x80000005),
		  0x1000 },
	};
	static const int order[] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
				     REG_RSI, REG_RDI, REG_R8,	REG_R9,	 REG_R10, REG_R11,
				     REG_R12, REG_R13, REG_R14, REG_R15 };
	greg_t gregs[NGREG] = { 0 };
	struct sv_store s;

	for (int i = 0; i < 16; i++)
		gregs[order[i]] = 0x1000 * (i + 1) + i;
	gregs[REG_R8] = 0x9000;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		TEST_ASSERT(sv_insn_decode(good[i].code, gregs, &s));
		TEST_EQ(s.from, good[i].from);
		TEST_EQ(s.to, good[i].to);
	}
	/* where to must be aligned */
	gregs[REG_RAX] += 32;
	TEST_ASSERT(!sv_insn_decode(good[0].code, gregs, &s));
	return TEST_OK;
}

/* By its bytes: not every assembler knows it, nor every processor. */
#define MOVDIR64B(to, from)                                             \
	__asm__ volatile(".byte 0x66, 0x0f, 0x38, 0xf8, 0x02"           \
			 :                                              \
			 : "a"((void *)(to)), "d"((const void *)(from)) \
			 : "memory")

static enum test_result
store_of_64_bytes_reaches_model_on(struct sv_dev *d)
{
	uint8_t block[SV_STORE_64 + 1], *p;

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (uint8_t)(i + 1);
	TEST_EQ(map(d, REGION(2), BAR2_LEN, RW, &p), 0);
	MOVDIR64B(p + 0x40, block);
	NOTED(1, 2, 0x40, 64, UINT64_C(0x0807060504030201));
	TEST_ASSERT(memcmp(p + 0x40, block, SV_STORE_64) == 0);
	/* what is stored need not be aligned; up to the end */
	MOVDIR64B(p + BAR2_LEN - SV_STORE_64, block + 1);
	NOTED(2, 2, BAR2_LEN - SV_STORE_64, 64, UINT64_C(0x0908070605040302));
	TEST_EQ(p[BAR2_LEN - 1], 65);
	/* of what stands behind the next instruction */
	__asm__ volatile(".byte 0x66, 0x0f, 0x38, 0xf8, 0x05\n"
			 ".long 1f - (. + 4)\n"
			 "jmp 2f\n"
			 "1: .fill 64, 1, 0x5a\n"
			 "2:"
			 :
			 : "a"(p)
			 : "memory");
	NOTED(3, 2, 0, 64, UINT64_C(0x5a5a5a5a5a5a5a5a));
	unmap(p, BAR2_LEN);
	return TEST_OK;
}
DEV_CASE(store_of_64_bytes_reaches_model)

static sigjmp_buf jump;
static volatile sig_atomic_t nr_faults;

static void
count_fault(int sig)
{
	(void)sig;
	nr_faults++;
	siglongjmp(jump, 1);
}

/* True if a store there is a fault that reaches the program's own handler. */
static bool
faults(uint8_t *p)
{
	nr_faults = 0;
	if (sigsetjmp(jump, 1) == 0)
		*(volatile uint32_t *)p = 1;
	return nr_faults == 1;
}

/* The same of MOVDIR64B, whichever of the two signals it is. */
static bool
faults64(uint8_t *p)
{
	static const uint8_t block[SV_STORE_64];

	nr_faults = 0;
	if (sigsetjmp(jump, 1) == 0)
		MOVDIR64B(p, block);
	return nr_faults == 1;
}

static enum test_result
fault_elsewhere_reaches_program_on(struct sv_dev *d)
{
	struct sigaction act = { .sa_handler = count_fault }, old, ill, now;
	uint8_t *p, *ro, *none;

	TEST_EQ(map(d, REGION(0), BAR0_LEN, RW, &p), 0);
	TEST_EQ(map(d, REGION(0), BAR0_LEN, PROT_READ, &ro), 1);
	none = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(none != MAP_FAILED);
	TEST_EQ(sv_trap_sigaction(SIGSEGV, &act, &old), 0);
	TEST_ASSERT(faults(none));
	TEST_ASSERT(faults(ro));
	TEST_ASSERT(!faults(p));
	TEST_EQ(noted.nr, 1);
	TEST_EQ(sv_trap_sigaction(SIGILL, &act, &ill), 0);
	TEST_ASSERT(faults64(none));
	TEST_ASSERT(faults64(ro));
	TEST_EQ(noted.nr, 1);
	TEST_EQ(sv_trap_sigaction(SIGILL, &ill, &now), 0);
	TEST_ASSERT(now.sa_handler == count_fault);
	TEST_EQ(sv_trap_sigaction(SIGSEGV, &old, &now), 0);
	TEST_ASSERT(now.sa_handler == count_fault);
	TEST_EQ(sv_trap_sigaction(SIGUSR1, NULL, &now), 1);
	munmap(none, PAGE);
	unmap(ro, BAR0_LEN);
	unmap(p, BAR0_LEN);
	return TEST_OK;
}
DEV_CASE(fault_elsewhere_reaches_program)

static enum test_result
view_opened_stores_pass_on(struct sv_dev *d)
{
	uint8_t *p;

	TEST_EQ(map(d, REGION(0), BAR0_LEN, RW, &p), 0);
	sv_dev_regs_open(d, true);
	poke(p + 0x80, 5);
	TEST_EQ(noted.nr, 0);
	TEST_EQ(*(volatile uint32_t *)((uint8_t *)sv_dev_bar(d, 0) + 0x80), 5);
	sv_dev_regs_open(d, false);
	poke(p + 0x80, 6);
	NOTED(1, 0, 0x80, 4, UINT64_C(6));
	unmap(p, BAR0_LEN);
	return TEST_OK;
}
DEV_CASE(view_opened_stores_pass)

/* A page in front and three behind are reserved, since they are unmapped as well. */
static enum test_result
view_cut_keeps_offsets_on(struct sv_dev *d)
{
	uint8_t *all = mmap(NULL, (size_t)8 * PAGE, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *p = all + PAGE;
	void *at;

	TEST_ASSERT(all != MAP_FAILED);
	TEST_EQ(sv_dev_mmap(d, p, BAR0_LEN, RW, MAP_SHARED | MAP_FIXED, REGION(0), d,
			    &at),
		0);
	TEST_ASSERT(at == p);
	unmap(p + PAGE, PAGE);
	TEST_EQ(nr_closed, 0);
	poke(p, 1);
	NOTED(1, 0, 0, 4, UINT64_C(1));
	poke(p + 2 * PAGE + 8, 2);
	NOTED(2, 0, 2 * PAGE + 8, 4, UINT64_C(2));
	unmap(all, 3 * PAGE);
	TEST_EQ(nr_closed, 0);
	poke(p + 3 * PAGE, 3);
	NOTED(3, 0, 3 * PAGE, 4, UINT64_C(3));
	unmap(p + 2 * PAGE, 5 * PAGE);
	TEST_EQ(nr_closed, 1);
	TEST_ASSERT(last_closed == d);
	TEST_ASSERT(!sv_views_any());
	return TEST_OK;
}
DEV_CASE(view_cut_keeps_offsets)

static enum test_result
view_wrong_part_refused_on(struct sv_dev *d)
{
	uint8_t *p;
	void *q;

	TEST_EQ(map(d, REGION(0), BAR0_LEN + 1, RW, &p), -EINVAL);
	TEST_EQ(map(d, REGION(0) + PAGE, BAR0_LEN, RW, &p), -EINVAL);
	TEST_EQ(map(d, REGION(0) + 1, PAGE, RW, &p), -EINVAL);
	TEST_EQ(map(d, REGION(0), 0, RW, &p), -EINVAL);
	TEST_EQ(map(d, REGION(0), SIZE_MAX, RW, &p), -EINVAL);
	TEST_EQ(map(d, REGION(1), PAGE, RW, &p), -EINVAL);
	TEST_EQ(map(d, REGION(VFIO_PCI_CONFIG_REGION_INDEX), PAGE, RW, &p), -EINVAL);
	TEST_EQ(map(d, REGION(40), PAGE, RW, &p), -EINVAL);
	TEST_EQ(sv_dev_mmap(d, NULL, PAGE, RW, MAP_PRIVATE, REGION(0), d, &q), -EINVAL);
	TEST_ASSERT(!sv_views_any());
	TEST_EQ(map(d, REGION(2), 1, RW, &p), 0);
	poke(p + 8, 9);
	NOTED(1, 2, 8, 4, UINT64_C(9));
	unmap(p, 1);
	TEST_ASSERT(!sv_views_any());
	return TEST_OK;
}
DEV_CASE(view_wrong_part_refused)

static enum test_result
region_read_and_written_on(struct sv_dev *d)
{
	uint32_t v = 0x01020304, got = 0;

	TEST_EQ(sv_dev_pwrite(d, &v, 4, REGION(0) + 0x10), 4);
	NOTED(1, 0, 0x10, 4, UINT64_C(0x01020304));
	TEST_EQ(sv_dev_pread(d, &got, 4, REGION(0) + 0x10), 4);
	TEST_EQ(got, v);
	TEST_EQ(sv_dev_pread(d, &got, 2, REGION(VFIO_PCI_CONFIG_REGION_INDEX)), 2);
	TEST_EQ(got & 0xffff, 0x1234);
	TEST_EQ(sv_dev_pread(d, &got, 4, REGION(0) + BAR0_LEN - 3), -EINVAL);
	TEST_EQ(sv_dev_pwrite(d, &v, 4, REGION(1)), -EINVAL);
	TEST_EQ(sv_dev_pread(d, &got, 4, REGION(VFIO_PCI_CONFIG_REGION_INDEX) + 4094),
		-EINVAL);
	return TEST_OK;
}
DEV_CASE(region_read_and_written)

/* Set the vectors from `start` on of a kind. */
static int
set_irqs(struct sv_dev *d, uint32_t index, uint32_t flags, uint32_t start, uint32_t count,
	 const void *data, uint32_t data_len)
{
	uint64_t buf[8];
	struct vfio_irq_set *set = (struct vfio_irq_set *)buf;

	*set = (struct vfio_irq_set){ .argsz = (uint32_t)sizeof(*set) + data_len,
				      .flags = flags,
				      .index = index,
				      .start = start,
				      .count = count };
	if (data_len != 0)
		memcpy(set->data, data, data_len);
	return sv_dev_ioctl(d, VFIO_DEVICE_SET_IRQS, set);
}

static uint64_t
fired(int fd)
{
	uint64_t n = 0;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

#define MSIX VFIO_PCI_MSIX_IRQ_INDEX
#define SET_FD (VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER)
#define SET_BOOL (VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_ACTION_TRIGGER)
#define SET_NONE (VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER)

static enum test_result
irqs_fire_as_asked_for_on(struct sv_dev *d)
{
	int32_t fd[3];
	uint8_t third[3] = { 0, 0, 1 };

	for (int i = 0; i < 3; i++)
		TEST_ASSERT((fd[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) >= 0);
	sv_dev_interrupt(d, 0); /* nobody has asked */
	TEST_EQ(set_irqs(d, MSIX, SET_FD, 0, 3, fd, sizeof(fd)), 0);
	sv_dev_interrupt(d, 1);
	sv_dev_interrupt(d, 7);
	TEST_EQ(fired(fd[0]), 0);
	TEST_EQ(fired(fd[1]), 1);
	TEST_EQ(set_irqs(d, MSIX, SET_BOOL, 0, 3, third, sizeof(third)), 0);
	TEST_EQ(fired(fd[0]), 0);
	TEST_EQ(fired(fd[2]), 1);
	TEST_EQ(set_irqs(d, MSIX, SET_NONE, 0, 2, NULL, 0), 0);
	TEST_EQ(fired(fd[0]), 1);
	TEST_EQ(fired(fd[1]), 1);
	TEST_EQ(fired(fd[2]), 0);
	TEST_EQ(set_irqs(d, MSIX, SET_FD, 1, 1, &(int32_t){ -1 }, 4), 0);
	sv_dev_interrupt(d, 1);
	TEST_EQ(fired(fd[1]), 0);
	TEST_EQ(set_irqs(d, MSIX, SET_NONE, 0, 0, NULL, 0), 0);
	sv_dev_interrupt(d, 0);
	TEST_EQ(fired(fd[0]), 0);
	TEST_EQ(set_irqs(d, VFIO_PCI_REQ_IRQ_INDEX, SET_FD, 0, 1, fd, 4), 0);
	sv_dev_request(d);
	TEST_EQ(fired(fd[0]), 1);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
	return TEST_OK;
}
DEV_CASE(irqs_fire_as_asked_for)

static enum test_result
irqs_malformed_refused_on(struct sv_dev *d)
{
	int32_t fd[4] = { -1, -1, -1, -1 }, null = open("/dev/null", O_RDWR | O_CLOEXEC);

	TEST_EQ(set_irqs(d, VFIO_PCI_NUM_IRQS, SET_NONE, 0, 0, NULL, 0), -EINVAL);
	TEST_EQ(set_irqs(d, MSIX, SET_FD, 0, 4, fd, 16), -EINVAL);
	TEST_EQ(set_irqs(d, MSIX, SET_FD, 3, 0, NULL, 0), -EINVAL);
	TEST_EQ(set_irqs(d, MSIX, SET_FD, UINT32_MAX, 2, fd, 8), -EINVAL);
	TEST_EQ(set_irqs(d, MSIX, SET_FD, 0, 2, fd, 4), -EINVAL);
	TEST_EQ(set_irqs(d, MSIX, SET_FD | VFIO_IRQ_SET_DATA_BOOL, 0, 1, fd, 4), -EINVAL);
	TEST_EQ(set_irqs(d, MSIX, VFIO_IRQ_SET_DATA_NONE, 0, 1, NULL, 0), -EINVAL);
	TEST_EQ(set_irqs(d, MSIX, SET_FD | 1u << 20, 0, 1, fd, 4), -EINVAL);
	TEST_EQ(set_irqs(d, VFIO_PCI_MSI_IRQ_INDEX, SET_FD, 0, 1, fd, 4), -EINVAL);
	fd[1] = 60000;
	TEST_EQ(set_irqs(d, MSIX, SET_FD, 0, 2, fd, 8), -EBADF);
	fd[1] = null;
	TEST_EQ(set_irqs(d, MSIX, SET_FD, 0, 2, fd, 8), -EINVAL);
	TEST_EQ(set_irqs(d, MSIX, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_MASK, 0, 1,
			 NULL, 0),
		-ENOTTY);
	close(null);
	return TEST_OK;
}
DEV_CASE(irqs_malformed_refused)

static enum test_result
info_capability_needs_room_on(struct sv_dev *d)
{
	uint64_t buf[16];
	struct vfio_region_info *info = (struct vfio_region_info *)buf;
	const struct vfio_info_cap_header *cap;

	*info = (struct vfio_region_info){ .argsz = sizeof(*info), .index = 0 };
	TEST_EQ(sv_dev_ioctl(d, VFIO_DEVICE_GET_REGION_INFO, info), 0);
	TEST_EQ(info->size, BAR0_LEN);
	TEST_EQ(info->flags & 7, 7);
	TEST_ASSERT(info->flags & VFIO_REGION_INFO_FLAG_CAPS);
	TEST_EQ(info->cap_offset, 0);
	TEST_ASSERT(info->argsz > sizeof(*info) && info->argsz <= sizeof(buf));
	TEST_EQ(sv_dev_ioctl(d, VFIO_DEVICE_GET_REGION_INFO, info), 0);
	cap = (const void *)((const uint8_t *)info + info->cap_offset);
	TEST_EQ(cap->id, VFIO_REGION_INFO_CAP_MSIX_MAPPABLE);
	TEST_EQ(cap->next, 0);
	*info = (struct vfio_region_info){ .argsz = sizeof(*info), .index = 1 };
	TEST_EQ(sv_dev_ioctl(d, VFIO_DEVICE_GET_REGION_INFO, info), 0);
	TEST_EQ(info->size, 0);
	TEST_EQ(info->flags, 0);
	info->argsz--;
	TEST_EQ(sv_dev_ioctl(d, VFIO_DEVICE_GET_REGION_INFO, info), -EINVAL);
	*info = (struct vfio_region_info){ .argsz = sizeof(*info),
					   .index = VFIO_PCI_NUM_REGIONS };
	TEST_EQ(sv_dev_ioctl(d, VFIO_DEVICE_GET_REGION_INFO, info), -EINVAL);
	TEST_EQ(sv_dev_ioctl(d, VFIO_DEVICE_GET_REGION_INFO, NULL), -EFAULT);
	TEST_EQ(sv_dev_ioctl(d, _IO(';', 180), info), -ENOTTY);
	return TEST_OK;
}
DEV_CASE(info_capability_needs_room)

/* All ones, and nothing that is stored or asked for arrives, until it is back. */
static enum test_result
device_unplugged_is_all_ones_on(struct sv_dev *d)
{
	uint32_t id = 0, ones = UINT32_MAX;
	uint8_t *p;

	TEST_EQ(map(d, REGION(0), BAR0_LEN, RW, &p), 0);
	poke(p, 7);
	TEST_EQ(noted.nr, 1);
	sv_dev_plug(d);
	TEST_EQ(*(volatile uint32_t *)p, 7);
	for (unsigned int i = 0; i < 2; i++) {
		sv_dev_unplug(d);
		poke(p, 8);
		TEST_EQ(noted.nr, 1);
		TEST_EQ(*(volatile uint32_t *)p, ones);
		sv_pci_write(d, PCI_COMMAND, &ones, 2);
		sv_pci_read(d, PCI_VENDOR_ID, &id, sizeof(id));
		TEST_EQ(id, ones);
		TEST_ASSERT(!atomic_load(&d->bus_master));
		TEST_EQ(sv_dev_ioctl(d, VFIO_DEVICE_RESET, NULL), 0);
		TEST_EQ(*(volatile uint32_t *)p, ones);
	}
	sv_dev_plug(d);
	sv_pci_read(d, PCI_VENDOR_ID, &id, sizeof(id));
	TEST_EQ(id, 0x11234);
	TEST_EQ(*(volatile uint32_t *)p, 0);
	poke(p, 9);
	TEST_EQ(noted.nr, 2);
	TEST_EQ(*(volatile uint32_t *)p, 9);
	unmap(p, BAR0_LEN);
	return TEST_OK;
}
DEV_CASE(device_unplugged_is_all_ones)

static enum test_result
device_no_memory_rolled_back(void)
{
	struct sv_dev *d = NULL;
	unsigned int n = 0;
	int ret;

	do {
		weir_fail_arm(++n);
		ret = sv_dev_create(&note_spec, &d);
		TEST_ASSERT(ret == 0 || ret == -ENOMEM);
	} while (ret != 0);
	TEST_ASSERT(weir_fail_armed());
	weir_fail_arm(0);
	TEST_ASSERT(n > SV_NR_IRQ_KINDS);
	sv_dev_destroy(d);
	return TEST_OK;
}

static const struct test_case cases[] = {
	{ "store_moves_reach_model", store_moves_reach_model },
	{ "store_addressing_forms_understood", store_addressing_forms_understood },
	{ "store_immediates_and_others_understood",
	  store_immediates_and_others_understood },
	{ "store_of_64_bytes_reaches_model", store_of_64_bytes_reaches_model },
	{ "insn_lengths_found", insn_lengths_found },
	{ "insn_movdir64b_addresses_found", insn_movdir64b_addresses_found },
	{ "fault_elsewhere_reaches_program", fault_elsewhere_reaches_program },
	{ "view_opened_stores_pass", view_opened_stores_pass },
	{ "view_cut_keeps_offsets", view_cut_keeps_offsets },
	{ "view_wrong_part_refused", view_wrong_part_refused },
	{ "region_read_and_written", region_read_and_written },
	{ "irqs_fire_as_asked_for", irqs_fire_as_asked_for },
	{ "irqs_malformed_refused", irqs_malformed_refused },
	{ "info_capability_needs_room", info_capability_needs_room },
	{ "device_unplugged_is_all_ones", device_unplugged_is_all_ones },
	{ "device_no_memory_rolled_back", device_no_memory_rolled_back },
};
AUTOTEST(softvfio_regs_autotest, cases);
