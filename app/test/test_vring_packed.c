/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A packed ring whose size is no power of two, so that nothing works because of
 * a mask, and a driver that does what VIRTIO 1.3, 2.8 says.
 */
#include <errno.h>
#include <string.h>

#include "test.h"
#include "vring_bench.h"
#include "weir_vring_ops.h"

#define SIZE 7u /* of the ring */
#define DESC 0x0u
#define DRIVER 0x1000u
#define DEVICE 0x2000u
#define TABLE 0x3000u /* for indirect descriptors */
#define DATA 0x4000u
#define MAX_IOV 16u

#define START 0x8000u /* the first place of a new ring: index 0, wrap counter 1 */
#define NX VRING_DESC_F_NEXT
#define WR VRING_DESC_F_WRITE
#define IND VRING_DESC_F_INDIRECT

static const struct weir_gmem *gmem;
static struct weir_vring vr;
static struct weir_vring_used shadow[8];
static struct weir_iov iov[MAX_IOV];
static struct weir_chain chain;
static uint64_t len;

static const struct weir_vring_addr good = {
	.desc_uva = UVA + DESC,
	.avail_uva = UVA + DRIVER,
	.used_uva = UVA + DEVICE,
	.size = SIZE,
	.base = START,
	.packed = true,
	.shadow = shadow,
};

static int
ring_make(void)
{
	gmem = vring_bench_memory();
	return gmem != NULL ? weir_vring_init(&vr, gmem, &good) : -ENOMEM;
}

static void
ring_free(void)
{
	weir_gmem_put(gmem);
}

/* Flags of a descriptor that is offered at a place. */
static uint16_t
offered(uint16_t pos)
{
	return (pos & WEIR_VRING_POS_WRAP) != 0 ? VRING_PACKED_AVAIL : VRING_PACKED_USED;
}

/* Write a descriptor and offer it. */
static void
desc_set(uint16_t pos, uint64_t addr, uint32_t n, uint16_t id, uint16_t flags)
{
	vr.packed_desc[pos & WEIR_VRING_POS_IDX] =
		(struct vring_packed_desc){ addr, n, id,
					    (uint16_t)(flags | offered(pos)) };
}

static void
table_set(unsigned int i, uint64_t addr, uint32_t n, uint16_t flags)
{
	struct vring_packed_desc *t = (void *)((char *)vr.packed_desc + TABLE);

	t[i] = (struct vring_packed_desc){ addr, n, 0xdead, flags };
}

static int
take_at(struct weir_vring_at *at, uint16_t dir, unsigned int max)
{
	return weir_vring_take(&vr, true, at, dir, iov, max, &chain, &len);
}

/* Take the chain at the ring's place, to be read or written. */
static int
take(uint16_t dir, unsigned int max)
{
	struct weir_vring_at at;

	if (weir_vring_open(&vr, true, &at) != 0 || !weir_vring_has(&vr, true, &at))
		return -WEIR_VRING_NR_FAULTS;
	return take_at(&at, dir, max);
}

/* Take a chain and keep it. */
static int
take_on(uint16_t dir, uint32_t written)
{
	struct weir_vring_at at;
	int ret;

	if (weir_vring_open(&vr, true, &at) != 0 || !weir_vring_has(&vr, true, &at))
		return -WEIR_VRING_NR_FAULTS;
	ret = take_at(&at, dir, MAX_IOV);
	if (ret < 0)
		return ret;
	weir_vring_use(&vr, true, chain, written);
	weir_vring_next(&vr, true, &at, chain);
	weir_vring_close(&vr, &at);
	return ret;
}

static enum test_result
init_bad_refused(void)
{
	struct weir_vring_addr a;
	struct weir_vring untouched;

	TEST_EQ(ring_make(), 0);
	TEST_EQ(vr.device->flags, VRING_PACKED_EVENT_FLAG_DISABLE);
	untouched = vr;
#define BAD(member, value, ret)                                        \
	do {                                                           \
		a = good;                                              \
		a.member = value;                                      \
		TEST_EQ(weir_vring_init(&vr, gmem, &a), ret);          \
		TEST_ASSERT(memcmp(&vr, &untouched, sizeof(vr)) == 0); \
	} while (0)
	BAD(size, 0, -EINVAL);
	BAD(size, 32769, -EINVAL);
	BAD(base, SIZE, -EINVAL);
	BAD(base, START | SIZE, -EINVAL);
	BAD(desc_uva, UVA + 8, -EINVAL);
	BAD(avail_uva, UVA + DRIVER + 2, -EINVAL);
	BAD(used_uva, UVA + DEVICE + 2, -EINVAL);
	BAD(desc_uva, UVA - 16, -EFAULT);
	BAD(desc_uva, UVA + SLOT - 16, -EFAULT);
	BAD(avail_uva, UVA + 2 * SLOT, -EFAULT);
	BAD(used_uva, UVA + 2 * SLOT, -EFAULT);
#undef BAD
	ring_free();
	return TEST_OK;
}

static enum test_result
shadow_holds_the_ring(void)
{
	TEST_EQ(weir_vring_shadow_size(1), 1);
	TEST_EQ(weir_vring_shadow_size(2), 2);
	TEST_EQ(weir_vring_shadow_size(7), 8);
	TEST_EQ(weir_vring_shadow_size(8), 8);
	TEST_EQ(weir_vring_shadow_size(9), 16);
	TEST_EQ(weir_vring_shadow_size(WEIR_VRING_MAX_SIZE), WEIR_VRING_MAX_SIZE);
	return TEST_OK;
}

static enum test_result
take_nothing_that_is_not_offered(void)
{
	TEST_EQ(ring_make(), 0);
	/* both flags clear, both set, those of the round before */
	TEST_EQ(take(0, MAX_IOV), -WEIR_VRING_NR_FAULTS);
	desc_set(START, DATA, 10, 1, VRING_PACKED_USED);
	TEST_EQ(take(0, MAX_IOV), -WEIR_VRING_NR_FAULTS);
	desc_set(0, DATA, 10, 1, 0);
	TEST_EQ(take(0, MAX_IOV), -WEIR_VRING_NR_FAULTS);
	desc_set(START, DATA, 10, 1, 0);
	TEST_EQ(take(0, MAX_IOV), 1);
	ring_free();
	return TEST_OK;
}

static enum test_result
take_good_chains(void)
{
	struct weir_vring_addr a = good;

	TEST_EQ(ring_make(), 0);
	/* one buffer */
	desc_set(START, DATA, 1500, 77, WR);
	TEST_EQ(take(WR, 1), 1);
	TEST_EQ(len, 1500);
	TEST_EQ(chain.id, 77);
	TEST_EQ(chain.nr, 1);
	/* three, the second across the slots' border, one empty, over the wrap */
	a.base = START | 5;
	TEST_EQ(weir_vring_init(&vr, gmem, &a), 0);
	desc_set(START | 5, DATA, 100, 1, NX);
	desc_set(START | 6, SLOT - 10, 30, 2, NX);
	desc_set(0, DATA, 0, 3, NX);
	desc_set(1, DATA + 0x1000, 5, 4, 0);
	TEST_EQ(take(0, MAX_IOV), 4);
	TEST_EQ(len, 135);
	TEST_EQ(iov[1].len, 10);
	TEST_ASSERT(iov[2].hva == (void *)(uintptr_t)gmem->slot[1].hva);
	TEST_EQ(chain.id, 4);
	TEST_EQ(chain.nr, 4);
	/* a table behind a direct buffer; the id is the ring's, not the table's */
	desc_set(START | 5, DATA, 12, 1, NX | WR);
	desc_set(START | 6, TABLE, 2 * 16, 9, IND);
	table_set(0, DATA, 1000, WR);
	table_set(1, DATA + 0x1000, 1, WR | NX);
	TEST_EQ(take(WR, MAX_IOV), 3);
	TEST_EQ(len, 1013);
	TEST_EQ(chain.id, 9);
	TEST_EQ(chain.nr, 2);
	/* a table whose first buffer may be written, as DPDK's driver sends one */
	desc_set(START | 5, TABLE, 2 * 16, 9, IND);
	table_set(0, DATA, 12, WR);
	table_set(1, DATA, 60, 0);
	TEST_EQ(take(0, MAX_IOV), 2);
	TEST_EQ(take(WR, MAX_IOV), -WEIR_VRING_DIRECTION);
	/* nothing at all */
	desc_set(START | 5, DATA, 0, 1, 0);
	TEST_EQ(take(0, MAX_IOV), 0);
	TEST_EQ(len, 0);
	ring_free();
	return TEST_OK;
}

static enum test_result
take_bad_chains_named(void)
{
	TEST_EQ(ring_make(), 0);
	desc_set(START, 2 * SLOT, 1, 0, 0);
	TEST_EQ(take(0, 4), -WEIR_VRING_ADDRESS);
	desc_set(START, 2 * SLOT - 1, 2, 0, 0);
	TEST_EQ(take(0, 4), -WEIR_VRING_ADDRESS);
	desc_set(START, UINT64_MAX, 2, 0, 0);
	TEST_EQ(take(0, 4), -WEIR_VRING_ADDRESS);
	desc_set(START, DATA, UINT32_MAX, 0, 0);
	TEST_EQ(take(0, 4), -WEIR_VRING_ADDRESS);
	desc_set(START, DATA, 1, 0, WR);
	TEST_EQ(take(0, 4), -WEIR_VRING_DIRECTION);
	desc_set(START, DATA, 0, 0, WR);
	TEST_EQ(take(WR, 4), -WEIR_VRING_EMPTY);
	desc_set(START, TABLE, 0, 0, IND);
	TEST_EQ(take(0, 4), -WEIR_VRING_INDIRECT_TABLE);
	desc_set(START, TABLE, 17, 0, IND);
	TEST_EQ(take(0, 4), -WEIR_VRING_INDIRECT_TABLE);
	desc_set(START, UINT64_MAX - 3, 16, 0, IND);
	TEST_EQ(take(0, 4), -WEIR_VRING_INDIRECT_TABLE);
	desc_set(START, 2 * SLOT, 16, 0, IND);
	TEST_EQ(take(0, 4), -WEIR_VRING_INDIRECT_TABLE);
	desc_set(START, TABLE, (WEIR_VRING_MAX_CHAIN + 1) * 16, 0, IND);
	TEST_EQ(take(0, 4), -WEIR_VRING_CHAIN_TOO_LONG);
	desc_set(START, TABLE, 16, 0, IND);
	table_set(0, TABLE, 16, IND);
	TEST_EQ(take(0, 4), -WEIR_VRING_INDIRECT_NESTED);
	/* more pieces than fit, and a chain without an end */
	for (uint16_t i = 0; i < SIZE; i++)
		desc_set(START | i, DATA, 1, 0, NX);
	TEST_EQ(take(0, 4), -WEIR_VRING_CHAIN_TOO_LONG);
	TEST_EQ(take(0, MAX_IOV), -WEIR_VRING_LOOP);
	ring_free();
	return TEST_OK;
}

static enum test_result
table_across_slots_is_read(void)
{
	struct vring_packed_desc d = { DATA, 77, 0, 0 };
	uint64_t at = SLOT - 8;

	TEST_EQ(ring_make(), 0);
	memcpy((char *)(uintptr_t)gmem->slot[0].hva + at, &d, 8);
	memcpy((char *)(uintptr_t)gmem->slot[1].hva, (char *)&d + 8, 8);
	desc_set(START, at, sizeof(d), 0, IND);
	TEST_EQ(take(0, MAX_IOV), 1);
	TEST_EQ(len, 77);
	ring_free();
	return TEST_OK;
}

/* A ring that is all taken offers nothing, whatever its flags say. */
static enum test_result
overrun_is_a_fault(void)
{
	TEST_EQ(ring_make(), 0);
	for (uint16_t i = 0; i < SIZE; i++)
		desc_set(START | i, DATA, 1, i, 0);
	for (uint16_t i = 0; i < SIZE; i++)
		TEST_EQ(take_on(0, 0), 1);
	TEST_EQ(take_on(0, 0), -WEIR_VRING_NR_FAULTS);
	desc_set(0, DATA, 1, 0, 0);
	TEST_EQ(take_on(0, 0), -WEIR_VRING_OVERRUN);
	/* a chain into what was not given back */
	weir_vring_publish(&vr, true, 1);
	desc_set(0, DATA, 1, 0, NX);
	desc_set(1, DATA, 1, 0, 0);
	TEST_EQ(take_on(0, 0), -WEIR_VRING_OVERRUN);
	weir_vring_publish(&vr, true, 1);
	/* the first two places are the guest's again */
	desc_set(0, DATA, 1, 0, NX);
	desc_set(1, DATA, 1, 0, 0);
	TEST_EQ(take_on(0, 0), 2);
	ring_free();
	return TEST_OK;
}

static enum test_result
count_stops_at_the_first_not_offered(void)
{
	struct weir_vring_at at;

	TEST_EQ(ring_make(), 0);
	TEST_EQ(weir_vring_open(&vr, true, &at), 0);
	TEST_EQ(weir_vring_count(&vr, true, &at, 32), 0);
	for (uint16_t i = 0; i < 3; i++)
		desc_set(START | i, DATA, 1, i, 0);
	desc_set(START | 4, DATA, 1, 4, 0);
	TEST_EQ(weir_vring_count(&vr, true, &at, 32), 3);
	TEST_EQ(weir_vring_count(&vr, true, &at, 2), 2);
	for (uint16_t i = 0; i < SIZE; i++)
		desc_set(START | i, DATA, 1, i, 0);
	TEST_EQ(weir_vring_count(&vr, true, &at, 32), SIZE);
	ring_free();
	return TEST_OK;
}

static enum test_result
used_entries_hidden_until_published(void)
{
	const uint16_t owner = VRING_PACKED_AVAIL | VRING_PACKED_USED;

	TEST_EQ(ring_make(), 0);
	desc_set(START, DATA, 10, 40, NX | WR);
	desc_set(START | 1, DATA, 10, 41, WR);
	desc_set(START | 2, DATA, 10, 42, WR);
	TEST_EQ(take_on(WR, 15), 2);
	TEST_EQ(take_on(WR, 0), 1);
	TEST_EQ(vr.packed_desc[0].id, 40);
	TEST_EQ(vr.packed_desc[0].len, 10);
	TEST_EQ(weir_vring_unpublished(&vr), 2);
	weir_vring_publish(&vr, true, 2);
	/* where the chains began, with the last descriptor's id */
	TEST_EQ(vr.packed_desc[0].id, 41);
	TEST_EQ(vr.packed_desc[0].len, 15);
	TEST_EQ(vr.packed_desc[0].flags, owner | WR);
	TEST_EQ(vr.packed_desc[1].flags, VRING_PACKED_AVAIL | WR);
	TEST_EQ(vr.packed_desc[2].id, 42);
	TEST_EQ(vr.packed_desc[2].flags, owner);
	TEST_EQ(vr.used_pos, START | 3);
	TEST_EQ(vr.last_avail, START | 3);
	ring_free();
	return TEST_OK;
}

/* A run of chains from the ring's place on, of 10 to 20 bytes. */
static uint16_t
run_from(struct weir_vring_at *at, uint16_t dir, struct weir_vring_run *run, uint16_t n)
{
	return weir_vring_open(&vr, true, at) == 0
		       ? weir_vring_run(&vr, true, at, dir, 10, 20, run, n)
		       : UINT16_MAX;
}

static enum test_result
run_stops_at_what_is_not_plain(void)
{
	static const struct {
		uint64_t gpa;
		uint32_t len;
		uint16_t flags;
	} odd[] = {
		{ DATA, 10, NX },    { DATA, 10, WR },	   { DATA, 10, IND },
		{ DATA, 9, 0 },	     { DATA, 21, 0 },	   { DATA, 0, 0 },
		{ 2 * SLOT, 10, 0 }, { 0, UINT32_MAX, 0 }, { UINT64_MAX - 5, 10, 0 },
		{ SLOT - 5, 10, 0 },
	};
	struct weir_vring_run run;
	struct weir_vring_at at;

	TEST_EQ(ring_make(), 0);
	TEST_EQ(run_from(&at, 0, &run, 4), 0);
	for (uint16_t i = 0; i < 3; i++)
		desc_set(START | i, DATA + i, 10u + 5u * i, 40 + i, 0);
	for (unsigned int i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		desc_set(START | 3, odd[i].gpa, odd[i].len, 43, odd[i].flags);
		TEST_EQ(run_from(&at, 0, &run, 4), 3);
	}
	TEST_EQ(run_from(&at, 0, &run, 2), 2);
	TEST_EQ(run_from(&at, WR, &run, 4), 0);
	for (uint16_t i = 0; i < 2; i++) {
		TEST_EQ(weir_vring_run_len(&run, i), 10u + 5u * i);
		TEST_EQ((uint16_t)(run.word[i] >> 32), 40 + i);
		TEST_ASSERT((char *)run.hva[i] == (char *)vr.packed_desc + DATA + i);
	}
	ring_free();
	return TEST_OK;
}

static enum test_result
run_given_back_in_every_lap(void)
{
	const uint16_t owner = VRING_PACKED_AVAIL | VRING_PACKED_USED;
	struct weir_vring_run run;
	struct weir_vring_at at;

	TEST_EQ(ring_make(), 0);
	for (uint16_t i = 0; i < SIZE; i++)
		desc_set(START | i, DATA, 15, i, WR);
	TEST_EQ(run_from(&at, WR, &run, 2), 2);
	weir_vring_run_wrote(&run, 1, 7);
	weir_vring_run_publish(&vr, true, &at, WR, &run, 2);
	TEST_EQ(vr.packed_desc[0].flags, owner | WR);
	TEST_EQ(vr.packed_desc[0].len, 15);
	TEST_EQ(vr.packed_desc[1].flags, owner | WR);
	TEST_EQ(vr.packed_desc[1].len, 7);
	/* the guest fills these again while the burst goes on */
	desc_set(0, DATA, 16, 30, WR);
	desc_set(1, DATA, 17, 31, NX | WR);
	TEST_EQ(at.left, SIZE);
	/* up to the end, and from the start on */
	TEST_EQ(weir_vring_run(&vr, true, &at, WR, 10, 20, &run, 32), SIZE - 2);
	weir_vring_run_publish(&vr, true, &at, WR, &run, SIZE - 2);
	desc_set(2, DATA, 18, 32, WR);
	TEST_EQ(at.pos, 0);
	TEST_EQ(weir_vring_run(&vr, true, &at, WR, 10, 20, &run, 32), 1);
	weir_vring_run_publish(&vr, true, &at, WR, &run, 1);
	TEST_EQ(vr.packed_desc[0].flags, WR);
	TEST_EQ(vr.packed_desc[0].id, 30);
	/* a chain in between, which goes the other way */
	TEST_ASSERT(weir_vring_has(&vr, true, &at));
	TEST_EQ(weir_vring_take(&vr, true, &at, WR, iov, MAX_IOV, &chain, &len), 2);
	weir_vring_next(&vr, true, &at, chain);
	weir_vring_use(&vr, true, chain, 5);
	TEST_EQ(at.left, SIZE - 2);
	weir_vring_publish(&vr, true, 1);
	weir_vring_again(&vr, true, &at);
	TEST_EQ(at.left, SIZE);
	weir_vring_close(&vr, &at);
	TEST_EQ(vr.used_pos, 3);
	TEST_EQ(vr.last_avail, 3);
	TEST_EQ(vr.packed_desc[1].id, 32);
	TEST_EQ(weir_vring_unpublished(&vr), 0);
	TEST_EQ(run_from(&at, WR, &run, 32), 0);
	ring_free();
	return TEST_OK;
}

static enum test_result
run_read_says_nothing_written(void)
{
	const uint16_t owner = VRING_PACKED_AVAIL | VRING_PACKED_USED;
	struct weir_vring_run run;
	struct weir_vring_at at;

	TEST_EQ(ring_make(), 0);
	desc_set(START, DATA, 15, 9, 0);
	TEST_EQ(run_from(&at, 0, &run, 32), 1);
	weir_vring_run_publish(&vr, true, &at, 0, &run, 1);
	TEST_EQ(vr.packed_desc[0].flags, owner);
	TEST_EQ(vr.packed_desc[0].len, 0);
	TEST_EQ(vr.packed_desc[0].id, 9);
	ring_free();
	return TEST_OK;
}

static enum test_result
rewind_takes_the_same_again(void)
{
	TEST_EQ(ring_make(), 0);
	for (uint16_t i = 0; i < 4; i++)
		desc_set(START | i, DATA, 10u + i, i, 0);
	for (uint16_t i = 0; i < 4; i++)
		TEST_EQ(take_on(0, 0), 1);
	weir_vring_publish(&vr, true, 1);
	weir_vring_rewind(&vr);
	TEST_EQ(vr.last_avail, START | 1);
	TEST_EQ(weir_vring_unpublished(&vr), 0);
	for (uint16_t i = 1; i < 4; i++) {
		TEST_EQ(take_on(0, 0), 1);
		TEST_EQ(chain.id, i);
		TEST_EQ(len, 10u + i);
	}
	ring_free();
	return TEST_OK;
}

/* Use and publish chains of one descriptor each. */
static void
give_back(uint16_t n)
{
	for (uint16_t i = 0; i < n; i++)
		weir_vring_use(&vr, true, (struct weir_chain){ i, 1 }, 0);
	weir_vring_publish(&vr, true, n);
}

/* The driver's wish: what to do, and for DESC the place. */
static bool
called(uint16_t flags, uint16_t off_wrap)
{
	vr.driver->flags = flags;
	vr.driver->off_wrap = off_wrap;
	return weir_vring_want_call(&vr, true);
}

static enum test_result
call_as_the_guest_wishes(void)
{
	struct weir_vring_addr a = good;

	TEST_EQ(ring_make(), 0);
	TEST_ASSERT(!called(VRING_PACKED_EVENT_FLAG_DISABLE, 0));
	TEST_ASSERT(called(VRING_PACKED_EVENT_FLAG_ENABLE, 0));

	a.event_idx = true;
	TEST_EQ(weir_vring_init(&vr, gmem, &a), 0);
	/* the first time nothing is known of what the guest saw */
	give_back(1);
	TEST_ASSERT(called(VRING_PACKED_EVENT_FLAG_DESC, START | 5));
	/* asks to be called when descriptor 3 is used */
	give_back(2);
	TEST_ASSERT(!called(VRING_PACKED_EVENT_FLAG_DESC, START | 3));
	give_back(1);
	TEST_ASSERT(called(VRING_PACKED_EVENT_FLAG_DESC, START | 3));
	give_back(1);
	TEST_ASSERT(!called(VRING_PACKED_EVENT_FLAG_DESC, START | 3));
	/* the last of this round, passed by a burst that goes over the wrap */
	give_back(4);
	TEST_EQ(vr.used_pos, 2);
	TEST_ASSERT(called(VRING_PACKED_EVENT_FLAG_DESC, START | 6));
	/* 6 of the next round is not 6 of this one */
	give_back(1);
	TEST_ASSERT(!called(VRING_PACKED_EVENT_FLAG_DESC, START | 6));
	give_back(4);
	TEST_ASSERT(called(VRING_PACKED_EVENT_FLAG_DESC, 6));
	give_back(1);
	TEST_ASSERT(!called(VRING_PACKED_EVENT_FLAG_DISABLE, 6));
	ring_free();
	return TEST_OK;
}

/* Where calls are held back nobody asks for a long time. */
static enum test_result
call_after_any_number_of_rounds(void)
{
	struct weir_vring_addr a = good;

	TEST_EQ(ring_make(), 0);
	a.event_idx = true;
	TEST_EQ(weir_vring_init(&vr, gmem, &a), 0);
	give_back(1);
	TEST_ASSERT(called(VRING_PACKED_EVENT_FLAG_DESC, START | 5));
	for (uint32_t i = 0; i < UINT16_MAX + 2u; i++)
		give_back(1);
	/* what would be asked about if the count began anew */
	TEST_ASSERT(called(VRING_PACKED_EVENT_FLAG_DESC,
			   vring_packed_pos(&vr, vr.used_pos, SIZE - 3) ^ START));
	/* it is called for all this, whatever it asks for */
	give_back(3);
	weir_vring_will_call(&vr);
	give_back(1);
	TEST_ASSERT(!called(VRING_PACKED_EVENT_FLAG_DESC,
			    vring_packed_pos(&vr, vr.used_pos, SIZE - 3) ^ START));
	TEST_EQ(vr.call_idx, 0);
	ring_free();
	return TEST_OK;
}

/* A driver, and what it has offered, by id. */
struct driver {
	uint16_t avail, used; /* places */
	uint16_t free;	      /* descriptors */
	uint16_t nr[SIZE];    /* of the chain of that id; 0: no chain */
	uint32_t len[SIZE];
};

/* Offer a chain of up to 3 descriptors, if there is room. */
static void
driver_offer(struct driver *d, uint64_t *rnd)
{
	uint16_t id = 0, nr = (uint16_t)(1 + test_rand(rnd) % 3);

	while (id < SIZE && d->nr[id] != 0)
		id++;
	if (id == SIZE || nr > d->free)
		return;
	d->nr[id] = nr;
	d->len[id] = 0;
	for (uint16_t i = 0; i < nr; i++) {
		uint32_t n = (uint32_t)(1 + test_rand(rnd) % 100);

		if (i + 1 < nr)
			desc_set(d->avail, DATA, n, 0xbad, WR | NX);
		else
			desc_set(d->avail, DATA, n, id, WR);
		d->len[id] += n;
		d->avail = vring_packed_pos(&vr, d->avail, 1);
	}
	d->free = (uint16_t)(d->free - nr);
}

/* Take back a chain. @return false: none, or what is there is wrong. */
static bool
driver_reap(struct driver *d, bool *wrong)
{
	const struct vring_packed_desc *p = &vr.packed_desc[d->used & 0x7fff];
	bool avail = (p->flags & VRING_PACKED_AVAIL) != 0;
	bool used = (p->flags & VRING_PACKED_USED) != 0;

	if (avail != used || used != ((d->used & START) != 0))
		return false;
	if (p->id >= SIZE || d->nr[p->id] == 0 || d->len[p->id] != p->len) {
		*wrong = true;
		return false;
	}
	d->used = vring_packed_pos(&vr, d->used, d->nr[p->id]);
	d->free = (uint16_t)(d->free + d->nr[p->id]);
	d->nr[p->id] = 0;
	return true;
}

/* A driver that offers and reaps, a device that takes and publishes, at random. */
static enum test_result
random_rounds_lose_nothing(void)
{
	struct driver d = { .avail = START, .used = START, .free = SIZE };
	unsigned long given = 0, reaped = 0;
	uint64_t rnd = test_seed();
	bool wrong = false;

	TEST_EQ(ring_make(), 0);
	for (int i = 0; i < 200000; i++) {
		switch (test_rand(&rnd) % 5) {
		case 0:
		case 1:
			driver_offer(&d, &rnd);
			break;
		case 2:
			if (take_on(WR, 0) > 0)
				shadow[(vr.used_next - 1) & vr.mask].len = (uint32_t)len;
			break;
		case 3:
			if (weir_vring_unpublished(&vr) != 0 &&
			    test_rand(&rnd) % 16 == 0) {
				weir_vring_rewind(&vr);
			} else {
				uint16_t n = weir_vring_unpublished(&vr);

				n = (uint16_t)(test_rand(&rnd) % (n + 1u));
				given += n;
				weir_vring_publish(&vr, true, n);
			}
			break;
		default:
			while (driver_reap(&d, &wrong))
				reaped++;
			TEST_EQ(reaped, given);
			TEST_ASSERT(!wrong);
			break;
		}
	}
	TEST_ASSERT(given > 1000);
	ring_free();
	return TEST_OK;
}

static const struct test_case vring_packed_cases[] = {
	{ "init_bad_refused", init_bad_refused },
	{ "shadow_holds_the_ring", shadow_holds_the_ring },
	{ "take_nothing_that_is_not_offered", take_nothing_that_is_not_offered },
	{ "take_good_chains", take_good_chains },
	{ "take_bad_chains_named", take_bad_chains_named },
	{ "table_across_slots_is_read", table_across_slots_is_read },
	{ "overrun_is_a_fault", overrun_is_a_fault },
	{ "count_stops_at_the_first_not_offered", count_stops_at_the_first_not_offered },
	{ "used_entries_hidden_until_published", used_entries_hidden_until_published },
	{ "run_stops_at_what_is_not_plain", run_stops_at_what_is_not_plain },
	{ "run_given_back_in_every_lap", run_given_back_in_every_lap },
	{ "run_read_says_nothing_written", run_read_says_nothing_written },
	{ "rewind_takes_the_same_again", rewind_takes_the_same_again },
	{ "call_as_the_guest_wishes", call_as_the_guest_wishes },
	{ "call_after_any_number_of_rounds", call_after_any_number_of_rounds },
	{ "random_rounds_lose_nothing", random_rounds_lose_nothing },
};
AUTOTEST(vring_packed_autotest, vring_packed_cases);
