/* SPDX-License-Identifier: BSD-3-Clause */
/* What a map says of the memory behind it. */
#include <errno.h>
#include <numa.h>
#include <numaif.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "map_impl.h"
#include "test.h"
#include "weir_map_memory.h"
#include "weir_mirror.h"

#define PAGE UINT64_C(4096)
#define BASE UINT64_C(0x10000000)
#define HUGE_PAGE (UINT64_C(2) << 20)

/* One region over an anonymous stretch and two pages of a memfd behind it. */
#define NR_ANON UINT64_C(1100)
#define NR_ALL (NR_ANON + 2)

static int
map(struct weir_mirror *m, uint64_t iova, const void *mem, uint64_t len)
{
	struct weir_region r = {
		.iova = { iova, iova + len - 1 },
		.hva = (uint64_t)(uintptr_t)mem,
		.chunk = PAGE,
		.prot = WEIR_PROT_READ | WEIR_PROT_WRITE,
	};

	return weir_mirror_map(m, &r);
}

static enum test_result
parts_told(struct weir_mirror *m, char *mem)
{
	struct weir_map *table = weir_mirror_table(m);
	struct weir_map_memory part;
	int ret;

	TEST_EQ(map(m, BASE, mem, NR_ALL * PAGE), 0);
	/* every third page is touched, and every third is looked at */
	for (uint64_t i = 0; i < NR_ANON; i += 3)
		mem[i * PAGE] = 1;
	mem[NR_ANON * PAGE] = 1;
	/* from what is in front of it on */
	ret = weir_map_memory(table, 0, &part);
	if (ret == -ENOSYS || ret == -EPERM)
		return test_skip("no move_pages(2) here");
	TEST_EQ(ret, 0);
	TEST_EQ(part.iova.start, BASE);
	TEST_EQ(part.iova.last, BASE + NR_ANON * PAGE - 1);
	TEST_ASSERT(part.hva == (uint64_t)(uintptr_t)mem && part.page_len == PAGE);
	TEST_ASSERT(!part.file && part.backing[0] == '\0');
	TEST_EQ(part.looked_at, 367); /* 1100 in steps of 3 */
	TEST_EQ(part.absent, 0);
	TEST_EQ(part.on_node[0], 367);
	/* the rest, from its middle */
	TEST_EQ(weir_map_memory(table, part.iova.last + 1 + PAGE, &part), 0);
	TEST_EQ(part.iova.start, BASE + (NR_ANON + 1) * PAGE);
	TEST_EQ(part.iova.last, BASE + NR_ALL * PAGE - 1);
	TEST_ASSERT(part.file && strstr(part.backing, "memfd:behind") != NULL);
	TEST_EQ(part.looked_at, 1);
	TEST_EQ(part.absent, 1);
	TEST_EQ(weir_map_memory(table, part.iova.last + 1, &part), -ENOENT);
	/* memory that has gone behind the map's back; nothing stays held */
	munmap(mem, PAGE);
	for (int i = 0; i < 100; i++)
		TEST_EQ(weir_map_memory(table, BASE, &part), -EFAULT);
	TEST_EQ(weir_mirror_unmap(m, (struct weir_range){ BASE, BASE + PAGE - 1 }), 0);
	TEST_EQ(weir_map_memory(table, BASE, &part), 0);
	TEST_EQ(part.iova.start, BASE + PAGE);
	return TEST_OK;
}

static enum test_result
map_memory_tells_each_mapping(void)
{
	char *mem = mmap(NULL, NR_ALL * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = memfd_create("behind", MFD_CLOEXEC);
	enum test_result res;
	struct weir_mirror *m;

	TEST_ASSERT(mem != MAP_FAILED && fd >= 0 && ftruncate(fd, 2 * (off_t)PAGE) == 0);
	/* small pages, and no neighbour of its kind to merge with */
	TEST_EQ(madvise(mem, NR_ALL * PAGE, MADV_NOHUGEPAGE), 0);
	TEST_EQ(madvise(mem, NR_ALL * PAGE, MADV_DONTFORK), 0);
	TEST_ASSERT(mmap(mem + NR_ANON * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED);
	TEST_EQ(weir_mirror_create("memory", &m), 0);
	res = parts_told(m, mem);
	weir_mirror_destroy(m);
	munmap(mem, NR_ALL * PAGE);
	close(fd);
	return res;
}

static enum test_result
map_memory_tells_huge_pages(void)
{
	char *mem = mmap(NULL, HUGE_PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | 21 << 26, -1, 0);
	struct weir_map_memory part;
	struct weir_mirror *m;
	int ret;

	if (mem == MAP_FAILED)
		return test_skip("no huge page of 2 MiB is free");
	mem[0] = 1;
	TEST_EQ(weir_mirror_create("memory", &m), 0);
	TEST_EQ(map(m, BASE, mem, HUGE_PAGE), 0);
	ret = weir_map_memory(weir_mirror_table(m), BASE + 5 * PAGE, &part);
	weir_mirror_destroy(m);
	munmap(mem, HUGE_PAGE);
	if (ret == -ENOSYS || ret == -EPERM)
		return test_skip("no move_pages(2) here");
	TEST_EQ(ret, 0);
	TEST_EQ(part.page_len, HUGE_PAGE);
	TEST_ASSERT(part.file && part.looked_at == 1 && part.absent == 0);
	return TEST_OK;
}

static enum test_result
tables_as_many_as_regions_need(struct weir_mirror *m, size_t nr)
{
	struct weir_map_tables t;
	uint32_t sum = 0;
	int ret = weir_map_tables(weir_mirror_table(m), &t);

	if (ret == -ENOSYS || ret == -EPERM)
		return test_skip("no move_pages(2) here");
	TEST_EQ(ret, 0);
	for (unsigned int i = 0; i < WEIR_MAP_NODES; i++)
		sum += t.on_node[i];
	TEST_EQ(sum + t.absent, t.looked_at);
	TEST_EQ(t.absent, 0);
	TEST_ASSERT(t.looked_at <= 512 && t.looked_at <= t.nodes);
	/* leaves hold 25 regions, filled in order all but full */
	TEST_ASSERT(t.nodes >= (nr + 24) / 25 && t.nodes <= nr / 20 + 1);
	TEST_ASSERT(t.nodes > 512 ? t.looked_at > 256 : t.looked_at == t.nodes);
	return TEST_OK;
}

static enum test_result
map_tables_told_at_any_size(void)
{
	static const size_t sizes[] = { 0, 1, 20, 300, 5000, 60000 };
	enum test_result res = TEST_OK;
	struct weir_mirror *m;
	size_t nr = 0;

	TEST_EQ(weir_mirror_create("tables", &m), 0);
	for (unsigned int i = 0; i < 6 && res == TEST_OK; i++) {
		for (; nr < sizes[i]; nr++) {
			struct weir_region r = {
				.iova = { nr * 2 * PAGE, nr * 2 * PAGE + PAGE - 1 },
				.hva = BASE + nr * 2 * PAGE,
				.prot = WEIR_PROT_READ,
			};

			TEST_EQ(weir_mirror_map(m, &r), 0);
		}
		res = tables_as_many_as_regions_need(m, nr);
	}
	weir_mirror_destroy(m);
	return res;
}

/* How the kernel was told to choose the node of a map's root; -1: it does not say. */
static int
root_policy(struct weir_mirror *m, unsigned long nodes[16])
{
	struct map_node *root = atomic_load(&weir_mirror_table(m)->root);
	int mode;

	memset(nodes, 0, 16 * sizeof(nodes[0]));
	if (root == NULL || get_mempolicy(&mode, nodes, 1024, root, MPOL_F_ADDR) != 0)
		return -1;
	return mode;
}

static enum test_result
tables_on_node(struct weir_mirror *m, int node)
{
	static const uint64_t nr = 4000; /* small blocks and large ones */
	struct weir_map *map = weir_mirror_table(m);
	unsigned long nodes[16];
	struct weir_map_tables t;

	TEST_EQ(weir_map_set_node(map, node), 0);
	for (uint64_t i = 0; i < nr; i++) {
		struct weir_region r = {
			.iova = { i * 2 * PAGE, i * 2 * PAGE + PAGE - 1 },
			.hva = BASE + i * 2 * PAGE,
			.prot = WEIR_PROT_READ,
		};

		TEST_EQ(weir_mirror_map(m, &r), 0);
		if (i != 0 && i != nr - 1)
			continue;
		TEST_EQ(root_policy(m, nodes), node < 0 ? MPOL_DEFAULT : MPOL_PREFERRED);
		TEST_EQ(nodes[0], node < 0 ? 0 : 1UL << node);
	}
	TEST_EQ(weir_map_tables(map, &t), 0);
	if (node >= 0)
		TEST_EQ(t.on_node[node], t.looked_at);
	for (uint64_t i = 0; i < nr; i++)
		TEST_EQ(weir_mirror_unmap(m,
					  (struct weir_range){ i * 2 * PAGE,
							       i * 2 * PAGE + PAGE - 1 }),
			0);
	return TEST_OK;
}

static enum test_result
map_tables_are_put_on_a_node(void)
{
	enum test_result res = TEST_OK;
	struct weir_mirror *m;
	int last;

	if (numa_available() < 0)
		return test_skip("the kernel has no NUMA nodes");
	last = numa_max_node() < WEIR_MAP_NODES - 1 ? numa_max_node() : 0;
	for (int node = -1; node <= last && res == TEST_OK; node++) {
		TEST_EQ(weir_mirror_create("node", &m), 0);
		TEST_EQ(weir_map_set_node(weir_mirror_table(m), -2), -ENODEV);
		TEST_EQ(weir_map_set_node(weir_mirror_table(m), 1023), -ENODEV);
		TEST_EQ(weir_map_set_node(weir_mirror_table(m), 1024), -ENODEV);
		res = tables_on_node(m, node);
		weir_mirror_destroy(m);
	}
	return res;
}

static const struct test_case map_memory_cases[] = {
	{ "map_tables_are_put_on_a_node", map_tables_are_put_on_a_node },
	{ "map_tables_told_at_any_size", map_tables_told_at_any_size },
	{ "map_memory_tells_each_mapping", map_memory_tells_each_mapping },
	{ "map_memory_tells_huge_pages", map_memory_tells_huge_pages },
};
AUTOTEST(map_memory_autotest, map_memory_cases);
