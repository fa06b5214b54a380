/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a device sees of a mirror: its DMA arrives where the map says, and
 * nowhere else. devtools/vm runs it where there is a device that does as told.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vfio_bench.h"
#include "weir_map.h"
#include "weir_mirror.h"

#define PAGE UINT64_C(0x1000)
#define CHUNK UINT64_C(0x10000)
#define NR_CHUNKS 8u
#define BASE UINT64_C(0x1000000)
#define HOLE 3u /* the chunk that goes */
#define RW (WEIR_PROT_READ | WEIR_PROT_WRITE)
#define LEN 512u

/* A mirror over the kernel, a region in it, and a page to load edu's memory from. */
struct scene {
	struct vfio_bench bench;
	struct weir_mirror *mirror;
	char *mem; /* NR_CHUNKS chunks, and the page */
	char *page;
	uint64_t page_iova;
	int kmsg;
	uint64_t seed;
};

/* The kernel's log from here on; it tells the address of each fault. */
static int
kmsg_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		lseek(fd, 0, SEEK_END);
	return fd;
}

/* Faults in the log since last asked that are in a range, and others. */
static void
kmsg_faults(int fd, struct weir_range in, unsigned int *inside, unsigned int *outside)
{
	char line[1024];
	ssize_t len;

	*inside = *outside = 0;
	while ((len = read(fd, line, sizeof(line) - 1)) > 0) {
		const char *p;
		uint64_t addr;

		line[len] = '\0';
		p = strstr(line, "fault addr ");
		if (p == NULL || strstr(line, "DMAR") == NULL)
			continue;
		addr = strtoull(p + strlen("fault addr "), NULL, 16);
		if (weir_range_has(in, addr))
			(*inside)++;
		else
			(*outside)++;
	}
}

static struct weir_range
chunk_iova(unsigned int chunk)
{
	struct weir_range r = { 0, 0 };

	(void)weir_range_make(&r, BASE + chunk * CHUNK, CHUNK);
	return r;
}

/*
 * Load edu's memory with a pattern never seen before and write it out to an
 * offset of the region. 1: it is there; 0: nothing there has changed; -1: else.
 */
static int
arrives(struct scene *s, uint64_t offset)
{
	char before[LEN];
	int same;

	for (unsigned int i = 0; i < LEN; i++)
		s->page[i] = (char)test_rand(&s->seed);
	if (!edu_read(&s->bench.edu, s->page_iova, LEN))
		return -1;
	memcpy(before, s->mem + offset, LEN);
	if (!edu_write(&s->bench.edu, BASE + offset, LEN))
		return -1;
	if (memcmp(s->mem + offset, s->page, LEN) == 0)
		return 1;
	same = memcmp(s->mem + offset, before, LEN);
	return same == 0 ? 0 : -1;
}

/*
 * True once the log tells of a fault in the range, and of none elsewhere. The
 * kernel prints few lines in five seconds, so it may take some more writes.
 */
static bool
fault_is_told(struct scene *s, struct weir_range in)
{
	unsigned int inside = 0, outside = 0;

	for (unsigned int i = 0; inside == 0 && outside == 0 && i < 200; i++) {
		if (!edu_write(&s->bench.edu, in.start, LEN))
			return false;
		kmsg_faults(s->kmsg, in, &inside, &outside);
	}
	return inside != 0 && outside == 0;
}

static enum test_result
scene_map(struct scene *s)
{
	struct weir_region r = {
		.iova = { BASE, BASE + NR_CHUNKS * CHUNK - 1 },
		.hva = (uint64_t)(uintptr_t)s->mem,
		.chunk = CHUNK,
		.prot = RW,
	};
	struct weir_region page = {
		.iova = { s->page_iova, s->page_iova + PAGE - 1 },
		.hva = (uint64_t)(uintptr_t)s->page,
		.chunk = PAGE,
		.prot = WEIR_PROT_READ,
	};

	TEST_EQ(weir_mirror_map(s->mirror, &r), 0);
	TEST_EQ(weir_mirror_map(s->mirror, &page), 0);
	return TEST_OK;
}

static enum test_result
chunk_steps(struct scene *s)
{
	struct weir_range hole = chunk_iova(HOLE);
	struct weir_region again = {
		.iova = hole,
		.hva = (uint64_t)(uintptr_t)s->mem + HOLE * CHUNK,
		.chunk = CHUNK,
		.prot = RW,
	};
	unsigned int in, out;

	TEST_ASSERT(scene_map(s) == TEST_OK);
	for (unsigned int i = 0; i < NR_CHUNKS; i++)
		TEST_EQ(arrives(s, i * CHUNK), 1);
	kmsg_faults(s->kmsg, hole, &in, &out);
	TEST_EQ(in + out, 0);

	TEST_EQ(weir_mirror_unmap(s->mirror, hole), 0);
	TEST_EQ(arrives(s, HOLE * CHUNK), 0);
	TEST_EQ(arrives(s, (HOLE + 1) * CHUNK - PAGE), 0);
	/* the neighbours, up to the byte */
	TEST_EQ(arrives(s, HOLE * CHUNK - LEN), 1);
	TEST_EQ(arrives(s, (HOLE + 1) * CHUNK), 1);
	TEST_EQ(arrives(s, 0), 1);
	TEST_ASSERT(fault_is_told(s, hole));

	/* part of a chunk is refused, and nothing changes */
	TEST_ASSERT(weir_mirror_unmap(s->mirror,
				      (struct weir_range){ BASE, BASE + PAGE - 1 }) != 0);
	TEST_EQ(arrives(s, 0), 1);
	TEST_EQ(weir_mirror_map(s->mirror, &again), 0);
	TEST_EQ(arrives(s, HOLE * CHUNK), 1);
	return TEST_OK;
}

/* What a device may only read it cannot write. */
static enum test_result
read_only_steps(struct scene *s)
{
	char before[LEN];

	TEST_ASSERT(scene_map(s) == TEST_OK);
	TEST_EQ(arrives(s, 0), 1);
	memset(s->page, 0x33, LEN);
	memcpy(before, s->page, LEN);
	TEST_ASSERT(edu_write(&s->bench.edu, s->page_iova, LEN));
	TEST_ASSERT(memcmp(s->page, before, LEN) == 0);
	return TEST_OK;
}

static bool
scene_memory(struct scene *s)
{
	s->mem = mmap(NULL, NR_CHUNKS * CHUNK + PAGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->mem == MAP_FAILED)
		return false;
	/*
	 * Touched before it is mapped: of private memory that has not been, a map
	 * for reading pins the page of zeros, and the kernel of 6.1 lets it stay
	 * when the process writes.
	 */
	memset(s->mem, 1, NR_CHUNKS * CHUNK + PAGE);
	s->page = s->mem + NR_CHUNKS * CHUNK;
	s->page_iova = BASE / 2;
	s->seed = test_seed();
	return true;
}

static enum test_result
with_scene(enum iommu_column column, enum test_result (*fn)(struct scene *s))
{
	const char *why = vfio_bench_missing(column);
	enum test_result res;
	struct scene s;

	if (why != NULL)
		return test_skip("%s", why);
	TEST_EQ(vfio_bench_open(&s.bench, column), 0);
	TEST_ASSERT(scene_memory(&s));
	s.kmsg = kmsg_open();
	TEST_ASSERT(s.kmsg >= 0);
	TEST_EQ(weir_mirror_create("edu", &s.mirror), 0);
	TEST_EQ(weir_mirror_attach(s.mirror, s.bench.ops, s.bench.ctx), 0);
	res = fn(&s);
	if (res == TEST_OK)
		TEST_EQ(weir_mirror_broken(s.mirror), 0);
	/* the device lets go of its registers before the mirror closes the backend */
	vfio_bench_close(&s.bench, false);
	weir_mirror_destroy(s.mirror);
	close(s.kmsg);
	munmap(s.mem, NR_CHUNKS * CHUNK + PAGE);
	return res;
}

#define EDU_CASE(nm, col, steps)               \
	static enum test_result nm(void)       \
	{                                      \
		return with_scene(col, steps); \
	}
EDU_CASE(edu_type1v1_chunk_unmap, COL_TYPE1_V1, chunk_steps)
EDU_CASE(edu_type1v2_chunk_unmap, COL_TYPE1_V2, chunk_steps)
EDU_CASE(edu_compatv2_chunk_unmap, COL_COMPAT_V2, chunk_steps)
EDU_CASE(edu_iommufd_chunk_unmap, COL_IOMMUFD, chunk_steps)
EDU_CASE(edu_type1v2_read_only, COL_TYPE1_V2, read_only_steps)
EDU_CASE(edu_iommufd_read_only, COL_IOMMUFD, read_only_steps)

static const struct test_case vfio_edu_cases[] = {
	{ "edu_type1v1_faults_in_the_unmapped_chunk_alone", edu_type1v1_chunk_unmap },
	{ "edu_type1v2_faults_in_the_unmapped_chunk_alone", edu_type1v2_chunk_unmap },
	{ "edu_compatv2_faults_in_the_unmapped_chunk_alone", edu_compatv2_chunk_unmap },
	{ "edu_iommufd_faults_in_the_unmapped_chunk_alone", edu_iommufd_chunk_unmap },
	{ "edu_type1v2_read_only_is_not_written", edu_type1v2_read_only },
	{ "edu_iommufd_read_only_is_not_written", edu_iommufd_read_only },
};
AUTOTEST(vfio_edu_autotest, vfio_edu_cases);
