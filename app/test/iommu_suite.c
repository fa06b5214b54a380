/* SPDX-License-Identifier: BSD-3-Clause */
/* Half of it is the tables of answers; they and what asks them belong together. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "iommu_suite.h"
#include "weir_map.h"
#include "weir_mirror.h"

#define UNIT UINT64_C(0x10000)
#define BASE UINT64_C(0x1000000)
#define PAGE UINT64_C(0x1000)
#define RW (WEIR_PROT_READ | WEIR_PROT_WRITE)
#define NR_UNITS 8u
#define NOT_ASKED 1 /* no call answers it */

/* An open backend and memory to map: NR_UNITS units and a page to probe with. */
struct bench {
	const struct iommu_suite *suite;
	void *ctx;
	char *mem;
	size_t mem_len;
	char bits[NR_UNITS + 1];
};

static bool
bench_open(struct bench *b, const struct iommu_suite *s)
{
	memset(b, 0, sizeof(*b));
	b->suite = s;
	b->mem_len = (NR_UNITS + 1) * UNIT;
	b->mem = mmap(NULL, b->mem_len, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (b->mem == MAP_FAILED || s->open(&b->ctx) != 0) {
		printf("    the backend cannot be opened\n");
		return false;
	}
	return s->prepare == NULL || s->prepare(b->ctx, b->mem, b->mem_len) == 0;
}

/* POWER's have pages where others have entries. */
static bool
is_power(const struct iommu_suite *s)
{
	return s->column == COL_SPAPR || s->column == COL_VFIO_SPAPR;
}

static void
bench_close(struct bench *b)
{
	b->suite->ops->close(b->ctx);
	munmap(b->mem, b->mem_len);
}

static int
map_at(struct bench *b, uint64_t iova, const void *hva, uint64_t len)
{
	return b->suite->ops->map(b->ctx, iova, (uint64_t)(uintptr_t)hva, len, RW);
}

static int
map_units(struct bench *b, unsigned int at, unsigned int nr, unsigned int from)
{
	return map_at(b, BASE + at * UNIT, b->mem + from * UNIT, nr * UNIT);
}

/*
 * Which units are mapped: 'M', or '.' where a page can be mapped. '?' where the
 * interface says one thing and the device sees another. POWER's does not say: a
 * map writes over what is there.
 */
static const char *
state(struct bench *b, unsigned int nr)
{
	const struct iommu_suite *s = b->suite;
	uint64_t gone;

	memset(b->bits, 0, sizeof(b->bits));
	for (unsigned int i = 0; i < nr; i++) {
		uint64_t iova = BASE + i * UNIT;
		bool sees = s->device_writes != NULL &&
			    s->device_writes(b->ctx, iova, b->mem, UNIT, NR_UNITS);
		int ret = s->column == COL_SPAPR
				  ? (sees ? -EEXIST : 0)
				  : map_at(b, iova, b->mem + NR_UNITS * UNIT, PAGE);

		if (ret == 0)
			ret = s->ops->unmap(b->ctx, iova, PAGE, &gone);
		b->bits[i] = ret == -EEXIST ? 'M' : ret == 0 ? '.' : '!';
		if (s->device_writes != NULL && sees != (b->bits[i] == 'M'))
			b->bits[i] = '?';
	}
	return b->bits;
}

enum test_result
iommu_suite_run(const struct iommu_suite *s,
		enum test_result (*fn)(const struct iommu_suite *s))
{
	const char *why = s->missing != NULL ? s->missing() : NULL;

	return why != NULL ? test_skip("%s", why) : fn(s);
}

enum test_result
iommu_suite_caps(const struct iommu_suite *s)
{
	static const struct weir_range want[] = {
		{ 0, UINT64_C(0xfedfffff) },
		{ UINT64_C(0xfef00000), UINT64_C(0xffffffffffff) },
	};
	static const struct weir_range window[NR_COLUMNS] = {
		[COL_SPAPR] = { 0, UINT64_C(0x7fffffff) },
		[COL_VFIO_SPAPR] = { 0, (UINT64_C(1) << 46) - 1 },
	};
	const struct weir_range *apertures = is_power(s) ? &window[s->column] : want;
	struct weir_iommu_caps caps;
	struct bench b;
	int ret;

	TEST_ASSERT(bench_open(&b, s));
	ret = s->ops->caps(b.ctx, &caps);
	bench_close(&b);
	TEST_EQ(ret, 0);
	TEST_ASSERT(caps.name != NULL && caps.name[0] != '\0');
	/* an IOAS tells its alignment, no more */
	TEST_EQ(caps.page_sizes,
		s->column == COL_IOMMUFD || is_power(s) ? 0x1000 : 0x40201000);
	TEST_EQ(caps.splits, s->column == COL_COMPAT_V1 || is_power(s));
	if (s->column == COL_TYPE1_V1 || s->column == COL_TYPE1_V2)
		TEST_EQ(caps.max_entries, 65535);
	TEST_EQ(caps.nr_apertures, is_power(s) ? 1 : 2);
	for (unsigned int i = 0; i < caps.nr_apertures; i++) {
		TEST_EQ(caps.aperture[i].start, apertures[i].start);
		TEST_EQ(caps.aperture[i].last, apertures[i].last);
	}
	return TEST_OK;
}

/* In units from BASE: maps, then one unmap, and what there is after it. */
struct unmap_case {
	const char *name;
	struct {
		unsigned int at, nr, from;
	} maps[2];
	unsigned int at, nr;
	struct {
		int ret;
		unsigned int gone;
		const char *after; /* NULL: not measured */
	} want[NR_COLUMNS];
};

/* POWER's, which has pages and no entries: what is in the range goes. */
#define PAGES(gone, after) \
	[COL_SPAPR] = { 0, gone, after }, [COL_VFIO_SPAPR] = { 0, gone, after }

static const struct unmap_case unmap_cases[] = {
	{ "two adjacent maps, unmap the first",
	  { { 0, 1, 0 }, { 1, 1, 1 } },
	  0,
	  1,
	  { { 0, 1, ".M" },
	    { 0, 1, ".M" },
	    { 0, 1, ".M" },
	    { 0, 1, ".M" },
	    { 0, 1, ".M" },
	    PAGES(1, ".M") } },
	{ "same, virtual addresses not contiguous",
	  { { 0, 1, 0 }, { 1, 1, 5 } },
	  0,
	  1,
	  { { 0, 1, ".M" }, { 0, 1, ".M" }, PAGES(1, ".M") } },
	{ "two adjacent maps, unmap the second",
	  { { 0, 1, 0 }, { 1, 1, 1 } },
	  1,
	  1,
	  { { 0, 1, "M." }, { 0, 1, "M." }, PAGES(1, "M.") } },
	{ "one map of 4, unmap head",
	  { { 0, 4, 0 } },
	  0,
	  1,
	  { { 0, 4, "...." },
	    { -EINVAL, 0, "MMMM" },
	    { -ENOENT, 0, "MMMM" },
	    { 0, 1, ".MMM" },
	    { -ENOENT, 0, "MMMM" },
	    PAGES(1, ".MMM") } },
	{ "one map of 4, unmap middle 2",
	  { { 0, 4, 0 } },
	  1,
	  2,
	  { { 0, 0, "MMMM" },
	    { -EINVAL, 0, "MMMM" },
	    { -ENOENT, 0, "MMMM" },
	    { 0, 2, "M..M" },
	    { -ENOENT, 0, "MMMM" },
	    PAGES(2, "M..M") } },
	{ "one map of 4, unmap tail",
	  { { 0, 4, 0 } },
	  3,
	  1,
	  { { 0, 0, "MMMM" },
	    { -EINVAL, 0, "MMMM" },
	    { -ENOENT, 0, "MMMM" },
	    { 0, 1, "MMM." },
	    { -ENOENT, 0, "MMMM" },
	    PAGES(1, "MMM.") } },
	{ "one map of 4, unmap 6 units",
	  { { 0, 4, 0 } },
	  0,
	  6,
	  { { 0, 4, "......" },
	    { 0, 4, "......" },
	    { 0, 4, "......" },
	    PAGES(4, "......") } },
	{ "map at 1-2, unmap 0-3",
	  { { 1, 2, 0 } },
	  0,
	  4,
	  { { 0, 2, "...." }, { 0, 2, "...." }, PAGES(2, "....") } },
	{ "two maps, unmap both exactly",
	  { { 0, 1, 0 }, { 1, 1, 1 } },
	  0,
	  2,
	  { { 0, 2, ".." },
	    { 0, 2, ".." },
	    { 0, 2, ".." },
	    { 0, 2, ".." },
	    { 0, 2, ".." },
	    PAGES(2, "..") } },
	{ "two maps with a hole between, unmap all 3",
	  { { 0, 1, 0 }, { 2, 1, 1 } },
	  0,
	  3,
	  { { 0, 2, "..." }, { 0, 2, "..." }, { 0, 2, "..." }, PAGES(2, "...") } },
	{ "two maps of 2, unmap units 1-2",
	  { { 0, 2, 0 }, { 2, 2, 2 } },
	  1,
	  2,
	  { { 0, 0, "MMMM" },
	    { -EINVAL, 0, "MMMM" },
	    { -ENOENT, 0, "MMMM" },
	    { 0, 2, "M..M" },
	    { -ENOENT, 0, "MMMM" },
	    PAGES(2, "M..M") } },
	{ "two maps of 2, unmap units 1-3",
	  { { 0, 2, 0 }, { 2, 2, 2 } },
	  1,
	  3,
	  { { 0, 0, "MMMM" },
	    { -EINVAL, 0, "MMMM" },
	    { -ENOENT, 0, "MMMM" },
	    { 0, 3, "M..." },
	    { -ENOENT, 0, "MMMM" },
	    PAGES(3, "M...") } },
	{ "two maps of 2, unmap units 0-2",
	  { { 0, 2, 0 }, { 2, 2, 2 } },
	  0,
	  3,
	  { { 0, 4, "...." },
	    { -EINVAL, 0, "MMMM" },
	    { -ENOENT, 0, "..MM" },
	    { 0, 3, "...M" },
	    { -ENOENT, 2, "..MM" },
	    PAGES(3, "...M") } },
	{ "unmap, nothing mapped there",
	  { { 4, 1, 0 } },
	  0,
	  1,
	  { { 0, 0, "....M" },
	    { 0, 0, "....M" },
	    { -ENOENT, 0, "....M" },
	    { 0, 0, "....M" },
	    { 0, 0, "....M" },
	    PAGES(0, "....M") } },
};

static enum test_result
unmap_one(struct bench *b, const struct unmap_case *c)
{
	enum iommu_column col = b->suite->column;
	uint64_t gone = 12345;
	const char *after = c->want[col].after;
	int ret;

	for (unsigned int i = 0; i < 2 && c->maps[i].nr != 0; i++)
		TEST_EQ(map_units(b, c->maps[i].at, c->maps[i].nr, c->maps[i].from), 0);
	ret = b->suite->ops->unmap(b->ctx, BASE + c->at * UNIT, c->nr * UNIT, &gone);
	TEST_EQ(ret, c->want[col].ret);
	TEST_EQ(gone, c->want[col].gone * UNIT);
	if (strcmp(state(b, (unsigned int)strlen(after)), after) != 0) {
		printf("    %s, not %s\n", b->bits, after);
		return TEST_FAILED;
	}
	return TEST_OK;
}

enum test_result
iommu_suite_unmap(const struct iommu_suite *s)
{
	for (size_t i = 0; i < sizeof(unmap_cases) / sizeof(unmap_cases[0]); i++) {
		enum test_result res;
		struct bench b;

		if (unmap_cases[i].want[s->column].after == NULL)
			continue;
		TEST_ASSERT(bench_open(&b, s));
		res = unmap_one(&b, &unmap_cases[i]);
		bench_close(&b);
		if (res != TEST_OK) {
			printf("    in: %s\n", unmap_cases[i].name);
			return res;
		}
	}
	return TEST_OK;
}

enum test_result
iommu_suite_unmap_arguments(const struct iommu_suite *s)
{
	static const struct {
		const char *name;
		uint64_t iova, len;
		int want[NR_COLUMNS];
	} cases[] = {
/* POWER's kernel before anything is registered, and behind its backend, says EPERM */
#define ALL_ASKED(v1, v2, fd, power, vfio_power) \
	{ v1, v2, fd, NOT_ASKED, NOT_ASKED, power, vfio_power }
		{ "size 0", BASE, 0, ALL_ASKED(-EINVAL, -EINVAL, -EINVAL, 0, -EINVAL) },
		{ "unaligned iova", BASE + 1, UNIT,
		  ALL_ASKED(-EINVAL, -EINVAL, -ENOENT, -EINVAL, -EPERM) },
		{ "size not a page multiple", BASE, UNIT + 1,
		  ALL_ASKED(-EINVAL, -EINVAL, NOT_ASKED, -EINVAL, -EPERM) },
		{ "512 bytes", BASE, 512,
		  ALL_ASKED(-EINVAL, -EINVAL, NOT_ASKED, -EINVAL, -EPERM) },
		{ "wrap", UINT64_MAX - 4095, 2 * PAGE,
		  ALL_ASKED(-EINVAL, -EINVAL, NOT_ASKED, -ENXIO, -EINVAL) },
		{ "0 to 2^63, empty", 0, UINT64_C(1) << 63,
		  ALL_ASKED(0, 0, NOT_ASKED, NOT_ASKED, NOT_ASKED) },
		{ "all, empty, iommufd's way", 0, UINT64_MAX,
		  ALL_ASKED(NOT_ASKED, NOT_ASKED, 0, NOT_ASKED, NOT_ASKED) },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int want = cases[i].want[s->column], ret;
		uint64_t gone = 1;
		struct bench b;

		if (want == NOT_ASKED)
			continue;
		TEST_ASSERT(bench_open(&b, s));
		ret = s->ops->unmap(b.ctx, cases[i].iova, cases[i].len, &gone);
		bench_close(&b);
		if (ret != want || gone != 0) {
			printf("    %s: %d with %" PRIu64 " gone, not %d\n",
			       cases[i].name, ret, gone, want);
			return TEST_FAILED;
		}
	}
	return TEST_OK;
}

static enum test_result
unmap_all_steps(struct bench *b)
{
	uint64_t gone = 1;

	TEST_EQ(b->suite->unmap_all(b->ctx, &gone), 0);
	TEST_EQ(gone, 0);
	TEST_EQ(map_units(b, 0, 4, 0), 0);
	TEST_EQ(map_units(b, 6, 1, 4), 0);
	TEST_EQ(b->suite->unmap_all(b->ctx, &gone), 0);
	TEST_EQ(gone, 5 * UNIT);
	TEST_ASSERT(strcmp(state(b, 7), ".......") == 0);
	return TEST_OK;
}

enum test_result
iommu_suite_unmap_all(const struct iommu_suite *s)
{
	enum test_result res;
	struct bench b;

	if (s->unmap_all == NULL)
		return test_skip("this backend has no call that unmaps all");
	TEST_ASSERT(bench_open(&b, s));
	res = unmap_all_steps(&b);
	bench_close(&b);
	return res;
}

/* One entry of 2 MiB: the table's large leaf must not change the answers. */
static enum test_result
unmap_2m_steps(struct bench *b, const char *huge)
{
	bool v1 = b->suite->column == COL_TYPE1_V1;
	uint64_t gone;

	TEST_EQ(map_at(b, 2 * BASE, huge, 2 << 20), 0);
	TEST_EQ(b->suite->ops->unmap(b->ctx, 2 * BASE + (1 << 20), PAGE, &gone),
		v1 ? 0 : -EINVAL);
	TEST_EQ(gone, 0);
	TEST_EQ(b->suite->ops->unmap(b->ctx, 2 * BASE, PAGE, &gone), v1 ? 0 : -EINVAL);
	TEST_EQ(gone, v1 ? 2 << 20 : 0);
	TEST_EQ(b->suite->ops->unmap(b->ctx, 2 * BASE, 2 << 20, &gone), 0);
	TEST_EQ(gone, v1 ? 0 : 2 << 20);
	return TEST_OK;
}

enum test_result
iommu_suite_unmap_2m(const struct iommu_suite *s)
{
	enum test_result res;
	struct bench b;
	char *huge;

	if (s->column != COL_TYPE1_V1 && s->column != COL_TYPE1_V2)
		return test_skip("measured for type1 only");
	huge = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (huge == MAP_FAILED)
		huge = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(huge != MAP_FAILED && bench_open(&b, s));
	res = unmap_2m_steps(&b, huge);
	bench_close(&b);
	munmap(huge, 2 << 20);
	return res;
}

/* The memory that a map case points to. */
enum map_memory {
	MEM_GOOD,
	MEM_UNALIGNED,
	MEM_WRAPS,
	MEM_NOT_MAPPED,
	MEM_HOLE,      /* the second half is not mapped */
	MEM_READ_ONLY, /* PROT_READ */
	MEM_PAST_EOF,  /* a memfd that ends in the middle */
	NR_MEMORIES,
};

struct map_case {
	const char *name;
	enum map_memory memory;
	uint64_t iova, len;
	uint32_t prot;
	int want[NR_COLUMNS];
};

/* What POWER's kernel answers and what its backend does differ, as the backend
 * registers the memory and so finds out what is wrong with it. */
#define SAME(ret, power, vfio_power)                                   \
	{                                                              \
		ret, ret, ret, NOT_ASKED, NOT_ASKED, power, vfio_power \
	}
#define TYPE1(ret, power, vfio_power)                                        \
	{                                                                    \
		ret, ret, NOT_ASKED, NOT_ASKED, NOT_ASKED, power, vfio_power \
	}
static const struct map_case map_cases[] = {
	{ "plain", MEM_GOOD, BASE, UNIT, RW, { 0 } },
	{ "size 0", MEM_GOOD, BASE, 0, RW, SAME(-EINVAL, 0, -EINVAL) },
	{ "unaligned iova", MEM_GOOD, BASE + 1, UNIT, RW,
	  SAME(-EINVAL, -EINVAL, -EINVAL) },
	{ "unaligned va", MEM_UNALIGNED, BASE, UNIT, RW,
	  SAME(-EINVAL, -EINVAL, -EINVAL) },
	{ "unaligned size", MEM_GOOD, BASE, UNIT + 1, RW,
	  SAME(-EINVAL, -EINVAL, -EINVAL) },
	{ "neither read nor write", MEM_GOOD, BASE, UNIT, 0,
	  SAME(-EINVAL, -EINVAL, -EINVAL) },
	{ "unknown flag",
	  MEM_GOOD,
	  BASE,
	  UNIT,
	  RW | 0x100,
	  { -EINVAL, -EINVAL, -EOPNOTSUPP, NOT_ASKED, NOT_ASKED, -EINVAL, -EINVAL } },
	{ "iova wraps",
	  MEM_GOOD,
	  UINT64_MAX - 4095,
	  2 * PAGE,
	  RW,
	  { -EINVAL, -EINVAL, -EOVERFLOW, NOT_ASKED, NOT_ASKED, -ENXIO, -EINVAL } },
	{ "last 64K of 2^64", MEM_GOOD, UINT64_MAX - 0xffff, UNIT, RW,
	  TYPE1(-EINVAL, -ENXIO, -ENXIO) },
	{ "va wraps", MEM_WRAPS, BASE, 2 * PAGE, RW, TYPE1(-EINVAL, -EINVAL, -EINVAL) },
	{ "va not mapped", MEM_NOT_MAPPED, BASE, UNIT, RW,
	  SAME(-EFAULT, -EINVAL, -EFAULT) },
	{ "hole in va", MEM_HOLE, BASE, 2 * UNIT, RW, TYPE1(-EFAULT, -EINVAL, -EFAULT) },
	{ "writable, of read-only memory", MEM_READ_ONLY, BASE, UNIT, RW,
	  TYPE1(-EFAULT, -EINVAL, -EFAULT) },
	/* registering pins memory to be written */
	{ "readable, of read-only memory", MEM_READ_ONLY, BASE, UNIT, WEIR_PROT_READ,
	  TYPE1(0, -EINVAL, -EFAULT) },
	{ "memfd past its end", MEM_PAST_EOF, BASE, 2 * UNIT, RW,
	  TYPE1(-EFAULT, -EINVAL, -EFAULT) },
	{ "MSI window", MEM_GOOD, UINT64_C(0xfee00000), UNIT, RW,
	  SAME(-EINVAL, -ENXIO, NOT_ASKED) },
	{ "spanning the MSI window", MEM_GOOD, UINT64_C(0xfedf0000), 2 * UNIT, RW,
	  SAME(-EINVAL, -ENXIO, NOT_ASKED) },
	{ "2^39", MEM_GOOD, UINT64_C(1) << 39, UNIT, RW, SAME(0, -ENXIO, 0) },
	{ "2^48", MEM_GOOD, UINT64_C(1) << 48, UNIT, RW, SAME(-EINVAL, -ENXIO, -ENXIO) },
	{ "below 2^48", MEM_GOOD, (UINT64_C(1) << 48) - UNIT, UNIT, RW,
	  TYPE1(0, -ENXIO, -ENXIO) },
	{ "iova 0", MEM_GOOD, 0, UNIT, RW, TYPE1(0, 0, 0) },
};

/* Two units each of the odd memories, beside the bench's own. */
static bool
memory_make(uint64_t hva[NR_MEMORIES], const struct bench *b)
{
	int fd = memfd_create("past-eof", 0);
	char *p = mmap(NULL, 6 * UNIT, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool ok = fd >= 0 && p != MAP_FAILED && ftruncate(fd, UNIT) == 0 &&
		  munmap(p + UNIT, UNIT) == 0 &&
		  mprotect(p + 2 * UNIT, 2 * UNIT, PROT_READ) == 0 &&
		  mmap(p + 4 * UNIT, 2 * UNIT, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED;

	close(fd);
	hva[MEM_GOOD] = (uint64_t)(uintptr_t)b->mem;
	hva[MEM_UNALIGNED] = hva[MEM_GOOD] + 1;
	hva[MEM_WRAPS] = UINT64_MAX - 4095;
	hva[MEM_NOT_MAPPED] = UNIT;
	hva[MEM_HOLE] = (uint64_t)(uintptr_t)p;
	hva[MEM_READ_ONLY] = hva[MEM_HOLE] + 2 * UNIT;
	hva[MEM_PAST_EOF] = hva[MEM_HOLE] + 4 * UNIT;
	return ok;
}

/* A refused map leaves nothing, an accepted one can be unmapped as it was made. */
static enum test_result
map_one(struct bench *b, const struct map_case *c, uint64_t hva)
{
	const struct weir_iommu_ops *ops = b->suite->ops;
	int want = c->want[b->suite->column];
	uint64_t gone;

	TEST_EQ(ops->map(b->ctx, c->iova, hva, c->len, c->prot), want);
	if (want != 0) {
		TEST_ASSERT(strcmp(state(b, 4), "....") == 0);
		return TEST_OK;
	}
	TEST_EQ(ops->unmap(b->ctx, c->iova, c->len, &gone), 0);
	TEST_EQ(gone, c->len);
	return TEST_OK;
}

enum test_result
iommu_suite_map(const struct iommu_suite *s)
{
	enum test_result res = TEST_OK;
	uint64_t hva[NR_MEMORIES];
	struct bench b;

	TEST_ASSERT(bench_open(&b, s));
	if (!memory_make(hva, &b))
		res = TEST_FAILED;
	for (size_t i = 0; res == TEST_OK && i < sizeof(map_cases) / sizeof(map_cases[0]);
	     i++) {
		const struct map_case *c = &map_cases[i];

		if (c->want[s->column] != NOT_ASKED)
			res = map_one(&b, c, hva[c->memory]);
		if (res != TEST_OK)
			printf("    in: %s\n", c->name);
	}
	bench_close(&b);
	munmap((void *)(uintptr_t)hva[MEM_HOLE], 6 * UNIT);
	return res;
}

static enum test_result
overlap_steps(struct bench *b)
{
	enum iommu_column column = b->suite->column;

	TEST_EQ(map_units(b, 1, 4, 0), 0);
	if (column == COL_SPAPR) {
		TEST_EQ(map_units(b, 3, 4, 0), 0);
		TEST_ASSERT(strcmp(state(b, 8), ".MMMMMM.") == 0);
		return TEST_OK;
	}
	TEST_EQ(map_units(b, 1, 4, 0), -EEXIST);
	TEST_EQ(map_units(b, 3, 4, 0), -EEXIST);
	if (column == COL_TYPE1_V1 || column == COL_TYPE1_V2 ||
	    column == COL_VFIO_SPAPR) {
		TEST_EQ(map_units(b, 1, 4, 4), -EEXIST);
		TEST_EQ(map_units(b, 2, 1, 0), -EEXIST);
		TEST_EQ(map_units(b, 0, 8, 0), -EEXIST);
		TEST_EQ(map_units(b, 5, 1, 0), 0); /* another iova, the same va */
	}
	return TEST_OK;
}

enum test_result
iommu_suite_map_overlap(const struct iommu_suite *s)
{
	enum test_result res;
	struct bench b;

	TEST_ASSERT(bench_open(&b, s));
	res = overlap_steps(&b);
	bench_close(&b);
	return res;
}

static enum test_result
entry_limit_steps(struct bench *b)
{
	uint64_t gone;

	TEST_EQ(b->suite->limit_entries(&b->ctx, 4), 0);
	for (unsigned int i = 0; i < 4; i++)
		TEST_EQ(map_units(b, i, 1, 0), 0);
	TEST_EQ(map_units(b, 4, 1, 0), -ENOSPC);
	TEST_EQ(map_units(b, 0, 1, 0), -EEXIST);
	TEST_EQ(b->suite->ops->unmap(b->ctx, BASE, UNIT, &gone), 0);
	TEST_EQ(map_units(b, 0, 1, 0), 0);
	TEST_EQ(map_units(b, 4, 1, 0), -ENOSPC);
	return TEST_OK;
}

enum test_result
iommu_suite_entry_limit(const struct iommu_suite *s)
{
	enum test_result res;
	struct bench b;

	if (s->limit_entries == NULL)
		return test_skip("this backend has no entry limit");
	TEST_ASSERT(bench_open(&b, s));
	res = entry_limit_steps(&b);
	bench_close(&b);
	return res;
}

/* Memory mapped twice counts twice; where it is registered for it, once. */
static enum test_result
locked_limit_steps(struct bench *b)
{
	unsigned int from = is_power(b->suite) ? 1 : 0;
	uint64_t gone;

	TEST_EQ(b->suite->limit_locked(b->ctx, UNIT), 0);
	TEST_EQ(map_units(b, 0, 2, 0), -ENOMEM);
	TEST_EQ(map_units(b, 0, 1, 0), 0);
	TEST_EQ(map_units(b, 1, 1, from), -ENOMEM);
	TEST_EQ(b->suite->ops->unmap(b->ctx, BASE, UNIT, &gone), 0);
	TEST_EQ(map_units(b, 1, 1, from), 0);
	return TEST_OK;
}

enum test_result
iommu_suite_locked_limit(const struct iommu_suite *s)
{
	enum test_result res;
	struct bench b;

	if (s->limit_locked == NULL)
		return test_skip("this backend's locked memory cannot be limited here");
	TEST_ASSERT(bench_open(&b, s));
	res = locked_limit_steps(&b);
	bench_close(&b);
	return res;
}

enum test_result
iommu_suite_reopen(const struct iommu_suite *s)
{
	struct bench b;

	TEST_ASSERT(bench_open(&b, s));
	TEST_EQ(map_units(&b, 0, 2, 0), 0);
	bench_close(&b);
	TEST_ASSERT(bench_open(&b, s));
	TEST_ASSERT(strcmp(state(&b, 4), "....") == 0);
	bench_close(&b);
	return TEST_OK;
}

static enum test_result
refuses_calls(struct bench *b)
{
	const struct weir_iommu_ops *ops = b->suite->ops;
	uint64_t hva = (uint64_t)(uintptr_t)b->mem, gone;

	for (size_t i = 0; i < sizeof(map_cases) / sizeof(map_cases[0]); i++) {
		const struct map_case *c = &map_cases[i];

		TEST_EQ(ops->map(b->ctx, c->iova, hva, c->len, c->prot), -ENOTTY);
		gone = 1;
		TEST_EQ(ops->unmap(b->ctx, c->iova, c->len, &gone), -ENOTTY);
		TEST_EQ(gone, 0);
	}
	for (size_t i = 0; i < sizeof(unmap_cases) / sizeof(unmap_cases[0]); i++) {
		const struct unmap_case *c = &unmap_cases[i];

		gone = 1;
		TEST_EQ(ops->unmap(b->ctx, BASE + c->at * UNIT, c->nr * UNIT, &gone),
			-ENOTTY);
		TEST_EQ(gone, 0);
	}
	return TEST_OK;
}

/* A map without a backend goes on as it was: it is all there is. */
static enum test_result
refuses_mirror(struct bench *b)
{
	struct weir_region r = {
		.iova = { BASE, BASE + NR_UNITS * UNIT - 1 },
		.hva = (uint64_t)(uintptr_t)b->mem,
		.prot = RW,
	}, there;
	struct weir_mirror *m;

	TEST_EQ(weir_mirror_create("none", &m), 0);
	TEST_EQ(weir_mirror_map(m, &r), 0);
	TEST_EQ(weir_mirror_attach(m, b->suite->ops, b->ctx), -ENOTTY);
	TEST_EQ(weir_mirror_broken(m), 0);
	TEST_EQ(weir_mirror_lookup(m, BASE, &there), 0);
	TEST_EQ(there.hva, r.hva);
	TEST_EQ(weir_mirror_unmap(m, r.iova), 0);
	weir_mirror_destroy(m);
	return TEST_OK;
}

enum test_result
iommu_suite_refuses(const struct iommu_suite *s)
{
	struct weir_iommu_caps caps;
	enum test_result res;
	struct bench b;

	TEST_ASSERT(bench_open(&b, s));
	res = refuses_calls(&b);
	if (res == TEST_OK)
		res = refuses_mirror(&b);
	if (s->ops->caps(b.ctx, &caps) != -ENOTTY)
		res = TEST_FAILED;
	bench_close(&b);
	return res;
}
