/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rings whose addresses a vIOMMU translates, in both formats: what is missing is
 * noted and waited for, each direction has translations of its own.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test.h"
#include "weir_iotlb.h"
#include "weir_vring_ops.h"

#define SIZE 8u
#define PAGE WEIR_IOTLB_PAGE
#define PAGES 32u
#define UVA UINT64_C(0x7f0000000000)
#define RING UINT64_C(0xfff00000) /* iova of the ring's parts, a page each */
#define BUF UINT64_C(0x10000)	  /* iova of buffers, from page 8 of memory on */
#define TABLE UINT64_C(0x80000)	  /* iova of an indirect table, page 7 */
#define WR VRING_DESC_F_WRITE
#define NX VRING_DESC_F_NEXT
#define IND VRING_DESC_F_INDIRECT
#define RW (WEIR_IOTLB_READ | WEIR_IOTLB_WRITE)

static struct weir_gmem *memory;
static const struct weir_gmem *view;
static struct weir_iotlb *cache;
static struct weir_vring vr;
static struct weir_vring_used shadow[SIZE];
static struct weir_iov iov[16];
static struct weir_chain chain;
static uint64_t len;
static bool packed;

static int
map(uint64_t iova, uint64_t nr_pages, uint32_t page, uint8_t prot)
{
	struct weir_iotlb_entry e = { .uva = UVA + page * PAGE, .prot = prot };
	int ret = weir_range_make(&e.iova, iova, nr_pages * PAGE);

	if (ret == 0)
		ret = weir_iotlb_add(cache, memory, &e);
	weir_iotlb_view_put(view);
	view = NULL;
	if (ret == 0)
		ret = weir_iotlb_view(cache, memory, &view);
	vr.gmem = view;
	return ret;
}

static int
ring_init(void)
{
	const struct weir_vring_addr a = {
		.desc_uva = RING,
		.avail_uva = RING + PAGE,
		.used_uva = RING + 2 * PAGE,
		.size = SIZE,
		.base = packed ? WEIR_VRING_POS_WRAP : 0,
		.packed = packed,
		.shadow = shadow,
	};

	return weir_vring_init(&vr, view, &a);
}

static int
memory_open(void)
{
	const struct weir_gmem_region r = { 0, PAGES * PAGE, UVA, 0 };
	int fd = memfd_create("test_vring_iotlb", MFD_CLOEXEC), ret;

	if (fd < 0 || ftruncate(fd, PAGES * PAGE) != 0)
		return -errno;
	ret = weir_gmem_create(&weir_gmem_empty, 0, &r, fd, &memory);
	close(fd);
	if (ret == 0)
		ret = weir_iotlb_create(16, &cache);
	if (ret == 0)
		ret = weir_iotlb_view(cache, memory, &view);
	return ret;
}

/* A ring that runs. */
static int
ring_open(void)
{
	int ret = memory_open();

	if (ret == 0)
		ret = map(RING, 3, 0, RW);
	return ret == 0 ? ring_init() : ret;
}

static void
ring_close(void)
{
	weir_iotlb_view_put(view);
	view = NULL;
	weir_iotlb_destroy(cache);
	weir_gmem_put(memory);
}

/* Descriptor i of the ring, or of a table. */
static void
desc_put(void *to, unsigned int i, uint64_t addr, uint32_t n, uint16_t flags)
{
	struct vring_desc *d = to;
	struct vring_packed_desc *p = to;

	if (packed)
		p[i] = (struct vring_packed_desc){ addr, n, (uint16_t)i,
						   flags | VRING_PACKED_AVAIL };
	else
		d[i] = (struct vring_desc){ addr, n, flags, (uint16_t)(i + 1) };
}

/* Take what begins at descriptor 0. */
static int
take(uint16_t dir)
{
	struct weir_vring_at at;

	vr.avail->ring[0] = 0;
	if (!packed)
		vr.avail->idx = 1;
	vr.nr_misses = 0;
	chain.nr = 0;
	if (weir_vring_open(&vr, packed, &at) != 0 || !weir_vring_has(&vr, packed, &at))
		return -WEIR_VRING_NR_FAULTS;
	return weir_vring_take(&vr, packed, &at, dir, iov, 16, &chain, &len);
}

static enum test_result
missing_is_noted(void)
{
	TEST_EQ(ring_open(), 0);
	/* three pages, of which the one in the middle is there */
	TEST_EQ(map(BUF + PAGE, 1, 9, RW), 0);
	desc_put(vr.desc, 0, BUF + 100, 3 * PAGE - 100, WR);
	TEST_EQ(take(WR), -WEIR_VRING_MISS);
	TEST_EQ(vr.nr_misses, 2);
	TEST_EQ(vr.miss[0].iova, BUF + 100);
	TEST_EQ(vr.miss[1].iova, BUF + 2 * PAGE);
	TEST_ASSERT(vr.miss[0].write && vr.miss[1].write);
	/* one can look at the chain behind it */
	TEST_EQ(chain.nr, 1);
	TEST_EQ(map(BUF, 1, 8, RW), 0);
	TEST_EQ(take(WR), -WEIR_VRING_MISS);
	TEST_EQ(vr.nr_misses, 1);
	/* elsewhere in memory: two pieces */
	TEST_EQ(map(BUF + 2 * PAGE, 1, 12, RW), 0);
	TEST_EQ(take(WR), 2);
	TEST_ASSERT(iov[0].hva == weir_gmem_uva(memory, UVA + 8 * PAGE + 100, 1));
	TEST_EQ(iov[0].len, 2 * PAGE - 100);
	TEST_ASSERT(iov[1].hva == weir_gmem_uva(memory, UVA + 12 * PAGE, 1));
	TEST_EQ(iov[1].len, PAGE);
	ring_close();
	return TEST_OK;
}

static enum test_result
directions_are_apart(void)
{
	TEST_EQ(ring_open(), 0);
	TEST_EQ(map(BUF, 1, 8, WEIR_IOTLB_READ), 0);
	TEST_EQ(map(BUF + PAGE, 1, 9, WEIR_IOTLB_WRITE), 0);
	desc_put(vr.desc, 0, BUF, 64, WR);
	TEST_EQ(take(WR), -WEIR_VRING_MISS);
	TEST_ASSERT(vr.miss[0].write);
	desc_put(vr.desc, 0, BUF + PAGE, 64, WR);
	TEST_EQ(take(WR), 1);
	/* a chain of both */
	desc_put(vr.desc, 0, BUF, 64, NX);
	desc_put(vr.desc, 1, BUF + PAGE, 64, WR);
	TEST_EQ(take(WEIR_VRING_BOTH), 2);
	TEST_EQ(len, 64);
	desc_put(vr.desc, 0, BUF + PAGE, 64, NX);
	desc_put(vr.desc, 1, BUF, 64, WR);
	TEST_EQ(take(WEIR_VRING_BOTH), -WEIR_VRING_MISS);
	TEST_EQ(vr.nr_misses, 2);
	TEST_ASSERT(!vr.miss[0].write && vr.miss[1].write);
	TEST_EQ(chain.nr, packed ? 2 : 1);
	/* a ring that only reads has the other half of the view */
	vr.gmem = view->readable;
	desc_put(vr.desc, 0, BUF, 64, 0);
	TEST_EQ(take(0), 1);
	desc_put(vr.desc, 0, BUF + PAGE, 64, 0);
	TEST_EQ(take(0), -WEIR_VRING_MISS);
	TEST_ASSERT(!vr.miss[0].write);
	ring_close();
	return TEST_OK;
}

static enum test_result
table_is_read(void)
{
	void *table;

	TEST_EQ(ring_open(), 0);
	table = weir_gmem_uva(memory, UVA + 7 * PAGE, PAGE);
	desc_put(vr.desc, 0, TABLE, 32, IND);
	desc_put(table, 0, BUF, 64, NX | WR);
	desc_put(table, 1, BUF + PAGE, 64, WR);
	TEST_EQ(take(WR), -WEIR_VRING_MISS);
	TEST_EQ(vr.nr_misses, 1);
	TEST_EQ(vr.miss[0].iova, TABLE);
	TEST_ASSERT(!vr.miss[0].write);
	TEST_EQ(chain.nr, 1);
	TEST_EQ(map(TABLE, 1, 7, WEIR_IOTLB_READ), 0);
	TEST_EQ(take(WR), -WEIR_VRING_MISS);
	TEST_EQ(vr.nr_misses, 2);
	TEST_EQ(vr.miss[1].iova, BUF + PAGE);
	TEST_EQ(map(BUF, 2, 8, WEIR_IOTLB_WRITE), 0);
	TEST_EQ(take(WR), 2);
	ring_close();
	return TEST_OK;
}

static enum test_result
notes_are_bounded(void)
{
	TEST_EQ(ring_open(), 0);
	desc_put(vr.desc, 0, BUF, 100 * PAGE, WR);
	TEST_EQ(take(WR), -WEIR_VRING_MISS);
	TEST_EQ(vr.nr_misses, WEIR_VRING_MISSES);
	/* what wraps is a fault, here too */
	desc_put(vr.desc, 0, UINT64_MAX - 8, 64, WR);
	TEST_EQ(take(WR), -WEIR_VRING_ADDRESS);
	ring_close();
	return TEST_OK;
}

/* With as many notes as there may be nobody walks over the rest of a buffer, which
 * may be 2^20 pages. One that is there, behind what is noted, is not come to. */
static enum test_result
walk_ends_with_the_notes(void)
{
	struct vring_desc *table;
	struct weir_vring_at at;

	TEST_EQ(ring_open(), 0);
	TEST_EQ(map(BUF + (WEIR_VRING_MISSES + 1) * PAGE, 1, 9, RW), 0);
	TEST_EQ(map(TABLE, 1, 7, WEIR_IOTLB_READ), 0);
	table = weir_gmem_uva(memory, UVA + 7 * PAGE, PAGE);
	memset(iov, 0, sizeof(iov));
	desc_put(vr.desc, 0, BUF, UINT32_MAX, WR);
	TEST_EQ(take(WR), -WEIR_VRING_MISS);
	TEST_EQ(vr.nr_misses, WEIR_VRING_MISSES);
	TEST_ASSERT(iov[0].hva == NULL);
	/* the same in a table, where the second begins with no room for notes */
	for (unsigned int i = 0; i < SIZE; i++)
		desc_put(table, i, BUF, UINT32_MAX, i + 1 < SIZE ? WR | NX : WR);
	desc_put(vr.desc, 0, TABLE, SIZE * sizeof(*table), IND);
	TEST_EQ(take(WR), -WEIR_VRING_MISS);
	TEST_ASSERT(iov[0].hva == NULL);
	/* the walk has come to the chain's end all the same */
	TEST_EQ(chain.nr, 1);
	TEST_EQ(weir_vring_open(&vr, packed, &at), 0);
	weir_vring_next(&vr, packed, &at, chain);
	TEST_EQ(at.pos & WEIR_VRING_POS_IDX, 1);
	ring_close();
	return TEST_OK;
}

static enum test_result
ring_in_pieces_refused(void)
{
	TEST_EQ(memory_open(), 0);
	TEST_EQ(ring_init(), -EFAULT);
	TEST_EQ(map(RING, 2, 0, RW), 0);
	TEST_EQ(ring_init(), -EFAULT);
	/* the last part is written by the device */
	TEST_EQ(map(RING + 2 * PAGE, 1, 2, WEIR_IOTLB_READ), 0);
	TEST_EQ(ring_init(), -EFAULT);
	weir_iotlb_revoke(cache, (struct weir_range){ 0, UINT64_MAX });
	weir_iotlb_drop(cache);
	/* parts may lie anywhere */
	TEST_EQ(map(RING, 1, 5, packed ? RW : WEIR_IOTLB_READ), 0);
	TEST_EQ(map(RING + PAGE, 1, 9, WEIR_IOTLB_READ), 0);
	TEST_EQ(map(RING + 2 * PAGE, 1, 3, RW), 0);
	TEST_EQ(ring_init(), 0);
	TEST_ASSERT((void *)vr.used == weir_gmem_uva(memory, UVA + 3 * PAGE, 1));
	ring_close();
	return TEST_OK;
}

#define BOTH_FORMATS(name)                          \
	static enum test_result name##_split(void)  \
	{                                           \
		packed = false;                     \
		return name();                      \
	}                                           \
	static enum test_result name##_packed(void) \
	{                                           \
		packed = true;                      \
		return name();                      \
	}

BOTH_FORMATS(missing_is_noted)
BOTH_FORMATS(directions_are_apart)
BOTH_FORMATS(table_is_read)
BOTH_FORMATS(notes_are_bounded)
BOTH_FORMATS(walk_ends_with_the_notes)
BOTH_FORMATS(ring_in_pieces_refused)

#define CASES(name)                            \
	{ #name "_split", name##_split },      \
	{                                      \
#name "_packed", name##_packed \
	}

static const struct test_case cases[] = {
	CASES(missing_is_noted),
	CASES(directions_are_apart),
	CASES(table_is_read),
	CASES(notes_are_bounded),
	CASES(walk_ends_with_the_notes),
	CASES(ring_in_pieces_refused),
};

AUTOTEST(vring_iotlb_autotest, cases);
