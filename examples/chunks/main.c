/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Chunks: map a region in pieces, unmap one in the middle.
 *
 * A mirror keeps an IOMMU equal to a map of regions. The IOMMU is weir's model of
 * the kernel's VFIO type1, which cannot split an entry: a region that is to be
 * unmapped in parts has to be mapped in parts, its chunks. The map refuses what
 * would split one, before the IOMMU is asked. A device that translates through
 * the model shows after each step what it can reach.
 *
 * Needs no EAL, no root, no huge pages. Exits with 1 if anything is not as said.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <weir_errno.h>
#include <weir_mirror.h>
#include <weir_sim.h>

#define IOVA UINT64_C(0x100000000)
#define CHUNK UINT64_C(0x100000)
#define NR_CHUNKS 8

static int wrong; /* things that were not as said */

static void
expect(int ret, int wanted, const char *what)
{
	printf("\n%s: %s\n", what, ret == 0 ? "done" : weir_strerror(ret));
	if (ret == wanted)
		return;
	printf("  WRONG: %d, not %d\n", ret, wanted);
	wrong++;
}

/* The iovas of @nr chunks from chunk @first on. */
static struct weir_range
chunks(uint64_t first, uint64_t nr)
{
	struct weir_range r;

	if (weir_range_make(&r, IOVA + first * CHUNK, nr * CHUNK) != 0)
		abort();
	return r;
}

static int
print_region(const struct weir_region *r, void *arg)
{
	char line[WEIR_REGION_PRINT_LEN];

	(void)arg;
	weir_region_print(line, sizeof(line), r);
	printf("  %s\n", line);
	return 0;
}

/* What a DMA write does. False: the IOMMU refused it, and nothing was written. */
static bool
device_write(struct weir_sim_dev *dev, uint64_t iova, uint64_t value)
{
	uint64_t len = sizeof(value);
	void *p;

	weir_sim_enter(dev);
	p = weir_sim_translate(dev, iova, WEIR_PROT_WRITE, &len);
	if (p != NULL && len == sizeof(value))
		memcpy(p, &value, len);
	weir_sim_leave(dev);
	return p != NULL && len == sizeof(value);
}

/*
 * Let the device write to every chunk, and look into the memory whether it
 * arrived. A chunk that was reached shows its number, any other a dot.
 */
static void
expect_reach(struct weir_sim_dev *dev, const char *mem, const char *wanted)
{
	static uint64_t value;
	char reached[NR_CHUNKS + 1] = "";

	value++; /* not what was written last time */
	for (unsigned int i = 0; i < NR_CHUNKS; i++) {
		bool ok = device_write(dev, chunks(i, 1).start, value);
		bool there = memcmp(mem + i * CHUNK, &value, sizeof(value)) == 0;

		reached[i] = !ok && !there ? '.' : (char)('0' + i);
		if (ok != there) {
			printf("  WRONG: chunk %u: the device says %d, memory %d\n", i,
			       ok, there);
			wrong++;
		}
	}
	printf("  device reaches: %s\n", reached);
	if (strcmp(reached, wanted) == 0)
		return;
	printf("  WRONG: not %s\n", wanted);
	wrong++;
}

static void
show(struct weir_mirror *mirror, struct weir_sim_dev *dev, const char *mem,
     const char *wanted)
{
	printf("  iova range, prot, hva, chunk, refs, owner\n");
	weir_mirror_walk(mirror, print_region, NULL);
	expect_reach(dev, mem, wanted);
}

static void
run(struct weir_mirror *mirror, struct weir_sim *sim, struct weir_sim_dev *dev, char *mem)
{
	const struct weir_region region = {
		.iova = chunks(0, NR_CHUNKS),
		.hva = (uintptr_t)mem,
		.chunk = CHUNK,
		.prot = WEIR_PROT_READ | WEIR_PROT_WRITE,
	};
	struct weir_region one = region, other;
	struct weir_range half = chunks(3, 1);

	expect(weir_mirror_map(mirror, &region), 0, "map 8 chunks as one region");
	show(mirror, dev, mem, "01234567");

	half.last = half.start + (CHUNK / 2 - 1);
	expect(weir_mirror_unmap(mirror, half), -ENOTSUP, "unmap half of chunk 3");
	expect_reach(dev, mem, "01234567");

	expect(weir_mirror_unmap(mirror, chunks(3, 1)), 0, "unmap chunk 3");
	show(mirror, dev, mem, "012.4567");
	printf("  the IOMMU counted %" PRIu64 " fault and holds %" PRIu64 " entries\n",
	       weir_sim_faults(sim), weir_sim_entries(sim));
	wrong += weir_sim_faults(sim) != 1 || weir_sim_entries(sim) != NR_CHUNKS - 1;

	expect(weir_mirror_unmap(mirror, chunks(2, 3)), -ENOENT, "unmap chunks 2 to 4");
	expect_reach(dev, mem, "012.4567");

	one.iova = chunks(3, 1);
	one.hva += 3 * CHUNK;
	other = one;
	other.iova = chunks(4, 1);
	expect(weir_mirror_map(mirror, &other), -EEXIST, "map chunk 4 to memory of 3");
	expect(weir_mirror_map(mirror, &one), 0, "map chunk 3 again");
	show(mirror, dev, mem, "01234567");

	expect(weir_mirror_unmap(mirror, chunks(0, NR_CHUNKS)), 0, "unmap all");
	show(mirror, dev, mem, "........");
}

int
main(int argc, char **argv)
{
	struct weir_mirror *mirror = NULL;
	struct weir_sim *sim = NULL;
	struct weir_sim_dev *dev;
	char *mem;
	int ret;

	if (argc > 1) {
		fprintf(stderr, "%s: takes no arguments, not '%s'\n", argv[0], argv[1]);
		return EXIT_FAILURE;
	}
	mem = mmap(NULL, NR_CHUNKS * CHUNK, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	/* a reader's counter has a cache line of its own: malloc() will not do */
	dev = aligned_alloc(_Alignof(struct weir_sim_dev), sizeof(*dev));
	ret = mem != MAP_FAILED && dev != NULL ? 0 : -ENOMEM;
	if (ret == 0)
		ret = weir_mirror_create("chunks", &mirror);
	if (ret == 0)
		ret = weir_sim_create(WEIR_SIM_TYPE1_V1, &sim);
	/* from here on the mirror closes the model */
	if (ret == 0)
		ret = weir_mirror_attach(mirror, &weir_sim_ops, sim);
	if (ret != 0) {
		fprintf(stderr, "chunks: %s\n", weir_strerror(ret));
		return EXIT_FAILURE;
	}
	weir_sim_attach(sim, dev);
	run(mirror, sim, dev, mem);
	weir_sim_detach(dev);
	weir_mirror_destroy(mirror);
	free(dev);
	munmap(mem, NR_CHUNKS * CHUNK);
	printf("\n%s\n", wrong == 0 ? "all as said" : "NOT as said");
	return wrong == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
