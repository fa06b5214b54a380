/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "test.h"
#include "vring_bench.h"
#include "weir_vring_ops.h"

#define SIZE 8u /* of the ring */
#define DESC 0x0u
#define AVAIL 0x1000u
#define USED 0x2000u
#define TABLE 0x3000u /* for indirect descriptors */
#define DATA 0x4000u
#define MAX_IOV 16u

static const struct weir_gmem *gmem;
static struct weir_vring vr;
static struct weir_iov iov[MAX_IOV];

static const struct weir_vring_addr good = {
	.desc_uva = UVA + DESC,
	.avail_uva = UVA + AVAIL,
	.used_uva = UVA + USED,
	.size = SIZE,
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

static void
desc_set(unsigned int i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	vr.desc[i] = (struct vring_desc){ addr, len, flags, next };
}

static void
table_set(unsigned int i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	struct vring_desc *t = (void *)((char *)vr.desc + TABLE);

	t[i] = (struct vring_desc){ addr, len, flags, next };
}

/* Take the chain at a head, as if it were the next one. */
static int
take_dir(uint16_t head, uint16_t dir, unsigned int max, uint64_t *len)
{
	struct weir_vring_at at;
	struct weir_chain chain;

	vr.last_avail = 0;
	vr.avail->ring[0] = head;
	vr.avail->idx = 1;
	if (weir_vring_open(&vr, false, &at) != 0 || !weir_vring_has(&vr, false, &at))
		return -WEIR_VRING_NR_FAULTS;
	return weir_vring_take(&vr, false, &at, dir, iov, max, &chain, len);
}

static int
take(uint16_t head, uint64_t *len)
{
	return take_dir(head, 0, MAX_IOV, len);
}

static int
gather(uint16_t head)
{
	uint64_t len = 42;

	return -take_dir(head, 0, 4, &len);
}

static enum test_result
init_bad_refused(void)
{
	struct weir_vring_addr a;
	struct weir_vring untouched;

	TEST_EQ(ring_make(), 0);
	untouched = vr;
#define BAD(member, value, ret)                                        \
	do {                                                           \
		a = good;                                              \
		a.member = value;                                      \
		TEST_EQ(weir_vring_init(&vr, gmem, &a), ret);          \
		TEST_ASSERT(memcmp(&vr, &untouched, sizeof(vr)) == 0); \
	} while (0)
	BAD(size, 0, -EINVAL);
	BAD(size, 7, -EINVAL);
	BAD(size, 65536, -EINVAL);
	BAD(desc_uva, UVA + 8, -EINVAL);
	BAD(avail_uva, UVA + AVAIL + 1, -EINVAL);
	BAD(used_uva, UVA + USED + 2, -EINVAL);
	BAD(desc_uva, UVA - 16, -EFAULT);
	BAD(desc_uva, UINT64_MAX & ~UINT64_C(15), -EOVERFLOW);
	/* the table would reach from one slot into the next */
	BAD(desc_uva, UVA + SLOT - 16, -EFAULT);
	BAD(avail_uva, UVA + 2 * SLOT - 4, -EFAULT);
	BAD(used_uva, UVA + 2 * SLOT - 4, -EFAULT);
#undef BAD
	ring_free();
	return TEST_OK;
}

static enum test_result
init_resumes_where_used_is(void)
{
	struct weir_vring_addr a = good;

	TEST_EQ(ring_make(), 0);
	TEST_EQ(vr.used->flags, VRING_USED_F_NO_NOTIFY);
	/* chains 5 and 6 were taken and not given back by whoever was here before */
	vr.used->idx = 5;
	vr.avail->idx = 7;
	a.base = 7;
	TEST_EQ(weir_vring_init(&vr, gmem, &a), 0);
	TEST_EQ(vr.last_avail, 5);
	TEST_EQ(vr.used_next, 5);
	/* the frontend lost its backend, and the ring's place with it */
	a.base = 0;
	TEST_EQ(weir_vring_init(&vr, gmem, &a), 0);
	TEST_EQ(vr.last_avail, 5);
	/* a ring that is full, across the wrap of the indices */
	vr.used->idx = UINT16_MAX - 1;
	vr.avail->idx = SIZE - 2;
	TEST_EQ(weir_vring_init(&vr, gmem, &a), 0);
	TEST_EQ(vr.last_avail, UINT16_MAX - 1);
	/* nobody can be that far ahead of used.idx: the base stands */
	vr.avail->idx = SIZE - 1;
	a.base = 3;
	TEST_EQ(weir_vring_init(&vr, gmem, &a), 0);
	TEST_EQ(vr.last_avail, 3);
	ring_free();
	return TEST_OK;
}

static enum test_result
gather_good_chains(void)
{
	uint64_t len;

	TEST_EQ(ring_make(), 0);
	/* three buffers, the middle one across the slots' border, one empty */
	desc_set(0, DATA, 100, VRING_DESC_F_NEXT, 3);
	desc_set(3, SLOT - 10, 30, VRING_DESC_F_NEXT, 7);
	desc_set(7, DATA, 0, VRING_DESC_F_NEXT, 1);
	desc_set(1, DATA + 0x1000, 5, 0, 99);
	TEST_EQ(take(0, &len), 4);
	TEST_EQ(len, 135);
	TEST_EQ(iov[1].len, 10);
	TEST_EQ(iov[2].len, 20);
	TEST_ASSERT(iov[2].hva == (void *)(uintptr_t)gmem->slot[1].hva);
	TEST_EQ(iov[3].len, 5);

	/* an indirect table behind a direct buffer */
	desc_set(0, DATA, 12, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 2);
	desc_set(2, TABLE, 3 * sizeof(struct vring_desc), VRING_DESC_F_INDIRECT, 0);
	table_set(0, DATA, 1000, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 2);
	table_set(2, DATA + 0x1000, 1, VRING_DESC_F_WRITE, 0);
	TEST_EQ(take_dir(0, VRING_DESC_F_WRITE, MAX_IOV, &len), 3);
	TEST_EQ(len, 1013);

	desc_set(0, DATA, 0, 0, 0);
	TEST_EQ(take(0, &len), 0);
	TEST_EQ(len, 0);
	ring_free();
	return TEST_OK;
}

static enum test_result
gather_bad_chains_named(void)
{
	const uint16_t nx = VRING_DESC_F_NEXT, ind = VRING_DESC_F_INDIRECT;
	const uint32_t sz = sizeof(struct vring_desc);

	TEST_EQ(ring_make(), 0);
	TEST_EQ(gather(SIZE), WEIR_VRING_HEAD);
	TEST_EQ(gather(UINT16_MAX), WEIR_VRING_HEAD);
	desc_set(0, DATA, 1, nx, SIZE);
	TEST_EQ(gather(0), WEIR_VRING_NEXT);
	/* loops, of buffers that add no piece */
	desc_set(0, DATA, 0, nx, 0);
	TEST_EQ(gather(0), WEIR_VRING_LOOP);
	desc_set(0, DATA, 0, nx, 1);
	desc_set(1, DATA, 0, nx, 0);
	TEST_EQ(gather(0), WEIR_VRING_LOOP);
	desc_set(1, DATA, 1, nx, 1);
	TEST_EQ(gather(1), WEIR_VRING_CHAIN_TOO_LONG);
	desc_set(0, 2 * SLOT, 1, 0, 0);
	TEST_EQ(gather(0), WEIR_VRING_ADDRESS);
	desc_set(0, 2 * SLOT - 1, 2, 0, 0);
	TEST_EQ(gather(0), WEIR_VRING_ADDRESS);
	desc_set(0, UINT64_MAX, 2, 0, 0);
	TEST_EQ(gather(0), WEIR_VRING_ADDRESS);
	desc_set(0, DATA, UINT32_MAX, 0, 0);
	TEST_EQ(gather(0), WEIR_VRING_ADDRESS);
	desc_set(0, DATA, 1, VRING_DESC_F_WRITE, 0);
	TEST_EQ(gather(0), WEIR_VRING_DIRECTION);
	desc_set(0, TABLE, 0, ind, 0);
	TEST_EQ(gather(0), WEIR_VRING_INDIRECT_TABLE);
	desc_set(0, TABLE, sz + 1, ind, 0);
	TEST_EQ(gather(0), WEIR_VRING_INDIRECT_TABLE);
	desc_set(0, UINT64_MAX - 3, sz, ind, 0);
	TEST_EQ(gather(0), WEIR_VRING_INDIRECT_TABLE);
	desc_set(0, 2 * SLOT, sz, ind, 0);
	TEST_EQ(gather(0), WEIR_VRING_INDIRECT_TABLE);
	desc_set(0, TABLE, 2 * sz, ind, 0);
	table_set(0, DATA, 1, nx, 2);
	TEST_EQ(gather(0), WEIR_VRING_NEXT);
	table_set(0, DATA, 0, nx, 1);
	table_set(1, DATA, 0, nx, 0);
	TEST_EQ(gather(0), WEIR_VRING_LOOP);
	table_set(0, TABLE, sz, ind, 0);
	TEST_EQ(gather(0), WEIR_VRING_INDIRECT_NESTED);
	ring_free();
	return TEST_OK;
}

static enum test_result
gather_empty_buffers_only_to_read(void)
{
	const uint16_t w = VRING_DESC_F_WRITE, nx = VRING_DESC_F_NEXT;
	uint64_t len;

	TEST_EQ(ring_make(), 0);
	desc_set(0, DATA, 10, w | nx, 1);
	desc_set(1, DATA, 0, w, 0);
	TEST_EQ(take_dir(0, w, MAX_IOV, &len), -WEIR_VRING_EMPTY);
	desc_set(1, DATA, 0, w | nx, 0);
	TEST_EQ(take_dir(0, w, MAX_IOV, &len), -WEIR_VRING_LOOP);
	desc_set(0, DATA, 10, nx, 1);
	desc_set(1, DATA, 0, 0, 0);
	TEST_EQ(take(0, &len), 1);
	ring_free();
	return TEST_OK;
}

/* A ring of 2048 entries, all of them one chain. */
static enum test_result
gather_long_ring_bounded(void)
{
	struct weir_vring_addr a = { .desc_uva = UVA,
				     .avail_uva = UVA + 0x9000,
				     .used_uva = UVA + 0xa000,
				     .size = 2048 };
	uint64_t len;

	TEST_EQ(ring_make(), 0);
	TEST_EQ(weir_vring_init(&vr, gmem, &a), 0);
	for (uint16_t i = 0; i < 2048; i++)
		desc_set(i, DATA, 0, VRING_DESC_F_NEXT, (uint16_t)(i + 1));
	desc_set(WEIR_VRING_MAX_CHAIN - 1, DATA, 7, 0, 0);
	TEST_EQ(take(0, &len), 1);
	TEST_EQ(len, 7);
	desc_set(WEIR_VRING_MAX_CHAIN - 1, DATA, 0, VRING_DESC_F_NEXT,
		 WEIR_VRING_MAX_CHAIN);
	desc_set(WEIR_VRING_MAX_CHAIN, DATA, 7, 0, 0);
	TEST_EQ(take(0, &len), -WEIR_VRING_CHAIN_TOO_LONG);
	ring_free();
	return TEST_OK;
}

static enum test_result
table_across_slots_is_read(void)
{
	struct vring_desc d = { DATA, 77, 0, 0 };
	uint64_t at = SLOT - 8, len;

	TEST_EQ(ring_make(), 0);
	memcpy((char *)(uintptr_t)gmem->slot[0].hva + at, &d, 8);
	memcpy((char *)(uintptr_t)gmem->slot[1].hva, (char *)&d + 8, 8);
	desc_set(0, at, sizeof(d), VRING_DESC_F_INDIRECT, 0);
	TEST_EQ(take(0, &len), 1);
	TEST_EQ(len, 77);
	ring_free();
	return TEST_OK;
}

static enum test_result
take_moves_only_when_told(void)
{
	struct weir_vring_at at;
	struct weir_chain chain;
	uint64_t len;

	TEST_EQ(ring_make(), 0);
	desc_set(3, DATA, 1500, 0, 0);
	vr.avail->ring[0] = 3;
	vr.avail->ring[1] = 3;
	vr.avail->idx = 2;
	TEST_EQ(weir_vring_open(&vr, false, &at), 0);
	TEST_EQ(weir_vring_count(&vr, false, &at, 1), 1);
	TEST_EQ(weir_vring_count(&vr, false, &at, 9), 2);
	for (int i = 0; i < 2; i++) {
		TEST_ASSERT(weir_vring_has(&vr, false, &at));
		TEST_EQ(weir_vring_take(&vr, false, &at, 0, iov, MAX_IOV, &chain, &len),
			1);
		TEST_EQ(iov[0].len, 1500);
		TEST_EQ(chain.id, 3);
		TEST_EQ(chain.nr, 1);
		weir_vring_use(&vr, false, chain, 0);
		weir_vring_next(&vr, false, &at, chain);
	}
	TEST_ASSERT(!weir_vring_has(&vr, false, &at));
	TEST_EQ(vr.last_avail, 0);
	weir_vring_close(&vr, &at);
	TEST_EQ(vr.last_avail, 2);
	TEST_EQ(weir_vring_unpublished(&vr), 2);
	weir_vring_publish(&vr, false, 1);
	weir_vring_rewind(&vr);
	TEST_EQ(vr.last_avail, 1);
	TEST_EQ(weir_vring_unpublished(&vr), 0);
	ring_free();
	return TEST_OK;
}

static enum test_result
avail_too_far_is_a_fault(void)
{
	struct weir_vring_at at;

	TEST_EQ(ring_make(), 0);
	vr.last_avail = 65530;
	vr.avail->idx = 65530;
	TEST_EQ(weir_vring_open(&vr, false, &at), 0);
	TEST_ASSERT(!weir_vring_has(&vr, false, &at));
	vr.avail->idx = (uint16_t)(65530 + SIZE);
	TEST_EQ(weir_vring_open(&vr, false, &at), 0);
	TEST_EQ(weir_vring_count(&vr, false, &at, UINT16_MAX), SIZE);
	vr.avail->idx = (uint16_t)(65530 + SIZE + 1);
	TEST_EQ(weir_vring_open(&vr, false, &at), -WEIR_VRING_AVAIL_IDX);
	vr.avail->idx = 65529;
	TEST_EQ(weir_vring_open(&vr, false, &at), -WEIR_VRING_AVAIL_IDX);
	ring_free();
	return TEST_OK;
}

static enum test_result
call_as_the_guest_wishes(void)
{
	struct weir_vring_addr a = good;

	TEST_EQ(ring_make(), 0);
	vr.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	TEST_ASSERT(!weir_vring_want_call(&vr, false));
	vr.avail->flags = 0;
	TEST_ASSERT(weir_vring_want_call(&vr, false));

	a.event_idx = true;
	TEST_EQ(weir_vring_init(&vr, gmem, &a), 0);
	TEST_EQ(vr.used->flags, 0);
	/* the first time nothing is known of what the guest saw */
	vr.avail->ring[SIZE] = 100;
	weir_vring_publish(&vr, false, 1);
	TEST_ASSERT(weir_vring_want_call(&vr, false));
	/* asks to be called when entry 3 is used */
	vr.avail->ring[SIZE] = 3;
	weir_vring_publish(&vr, false, 2);
	TEST_ASSERT(!weir_vring_want_call(&vr, false));
	weir_vring_publish(&vr, false, 1);
	TEST_ASSERT(weir_vring_want_call(&vr, false));
	weir_vring_publish(&vr, false, 1);
	TEST_ASSERT(!weir_vring_want_call(&vr, false));
	ring_free();
	return TEST_OK;
}

static enum test_result
used_entries_hidden_until_published(void)
{
	TEST_EQ(ring_make(), 0);
	weir_vring_use(&vr, false, (struct weir_chain){ 3, 1 }, 100);
	weir_vring_use(&vr, false, (struct weir_chain){ 1, 1 }, 200);
	TEST_EQ(vr.used->idx, 0);
	weir_vring_publish(&vr, false, 1);
	TEST_EQ(vr.used->idx, 1);
	TEST_EQ(vr.used->ring[0].id, 3);
	weir_vring_publish(&vr, false, 1);
	TEST_EQ(vr.used->ring[1].len, 200);
	ring_free();
	return TEST_OK;
}

static enum test_result
run_stops_at_what_is_not_plain(void)
{
	struct weir_vring_run run;
	struct weir_vring_at at;

	TEST_EQ(ring_make(), 0);
	desc_set(0, DATA, 10, 0, 0);
	desc_set(1, DATA + 1, 20, 0, 0);
	desc_set(2, DATA, 10, VRING_DESC_F_NEXT, 1);
	desc_set(3, DATA, 10, VRING_DESC_F_WRITE, 0);
	desc_set(4, DATA, 9, 0, 0);
	desc_set(5, DATA, 21, 0, 0);
	desc_set(6, SLOT - 5, 10, 0, 0);
	desc_set(7, 2 * SLOT, 10, 0, 0);
	for (uint16_t odd = 2; odd <= SIZE; odd++) {
		vr.last_avail = 0;
		vr.avail->ring[0] = 1;
		vr.avail->ring[1] = 0;
		vr.avail->ring[2] = odd;
		vr.avail->ring[3] = 0;
		vr.avail->idx = 4;
		TEST_EQ(weir_vring_open(&vr, false, &at), 0);
		TEST_EQ(weir_vring_run(&vr, false, &at, 0, 10, 20, &run, 1), 1);
		TEST_EQ(weir_vring_run(&vr, false, &at, 0, 10, 20, &run, 32), 2);
		TEST_EQ(weir_vring_run_len(&run, 0), 20);
		TEST_EQ(run.word[0] >> 32, 1);
		TEST_ASSERT((char *)run.hva[0] == (char *)vr.desc + DATA + 1);
		TEST_EQ(run.word[1] >> 32, 0);
	}
	vr.avail->idx = 0;
	TEST_EQ(weir_vring_open(&vr, false, &at), 0);
	TEST_EQ(weir_vring_run(&vr, false, &at, 0, 10, 20, &run, 32), 0);
	ring_free();
	return TEST_OK;
}

static enum test_result
run_given_back_across_the_end(void)
{
	struct weir_vring_run run;
	struct weir_vring_at at;

	TEST_EQ(ring_make(), 0);
	vr.last_avail = vr.used_idx = vr.used_next = UINT16_MAX;
	for (uint16_t i = 0; i < 4; i++) {
		desc_set(i, DATA, 100u + i, VRING_DESC_F_WRITE, 0);
		vr.avail->ring[(uint16_t)(UINT16_MAX + i) % SIZE] = i;
	}
	vr.avail->idx = 3;
	TEST_EQ(weir_vring_open(&vr, false, &at), 0);
	TEST_EQ(weir_vring_run(&vr, false, &at, VRING_DESC_F_WRITE, 1, UINT32_MAX, &run,
			       32),
		4);
	TEST_EQ(vr.used_idx, UINT16_MAX);
	weir_vring_run_wrote(&run, 1, 50);
	weir_vring_run_publish(&vr, false, &at, VRING_DESC_F_WRITE, &run, 3);
	weir_vring_close(&vr, &at);
	TEST_EQ(vr.used->idx, 2);
	TEST_EQ(vr.last_avail, 2);
	TEST_EQ(weir_vring_unpublished(&vr), 0);
	TEST_EQ(vr.used->ring[SIZE - 1].id, 0);
	TEST_EQ(vr.used->ring[SIZE - 1].len, 100);
	TEST_EQ(vr.used->ring[0].id, 1);
	TEST_EQ(vr.used->ring[0].len, 50);
	TEST_EQ(at.left, 1);
	ring_free();
	return TEST_OK;
}

static const struct test_case vring_cases[] = {
	{ "run_stops_at_what_is_not_plain", run_stops_at_what_is_not_plain },
	{ "run_given_back_across_the_end", run_given_back_across_the_end },
	{ "init_bad_refused", init_bad_refused },
	{ "init_resumes_where_used_is", init_resumes_where_used_is },
	{ "gather_good_chains", gather_good_chains },
	{ "gather_bad_chains_named", gather_bad_chains_named },
	{ "gather_empty_buffers_only_to_read", gather_empty_buffers_only_to_read },
	{ "gather_long_ring_bounded", gather_long_ring_bounded },
	{ "table_across_slots_is_read", table_across_slots_is_read },
	{ "take_moves_only_when_told", take_moves_only_when_told },
	{ "avail_too_far_is_a_fault", avail_too_far_is_a_fault },
	{ "call_as_the_guest_wishes", call_as_the_guest_wishes },
	{ "used_entries_hidden_until_published", used_entries_hidden_until_published },
};
AUTOTEST(vring_autotest, vring_cases);
