/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Both sides of `weir-perf map`, on the software VFIO.
 *
 * ioctl() is defined here, so that every caller of the process comes by,
 * libraries as well: EAL's calls and weir's are answered by the same function,
 * in the same time.
 */
#include <dlfcn.h>
#include <errno.h>
#include <linux/vfio.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_vfio.h>

#include "map.h"
#include "softvfio.h"
#include "weir_space.h"
#include "weir_vfio.h"

#define DEVICES "ioat@0000:00:04.0;ioat@0000:00:04.1;ioat@0000:00:04.2"
#define ENTRIES "4000000"

/* EAL and we have regions in one container: at iovas of their own. */
#define EAL_BASE (UINT64_C(64) << 30)
#define OUR_BASE (UINT64_C(128) << 30)

bool map_calls_instant;

static void *bench_mem; /* a page, which all regions lead to */

int
ioctl(int fd, unsigned long request, ...)
{
	static int (*next)(int fd, unsigned long request, ...);
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	/* an unmap leaves the size that was asked for: all of it is gone */
	if (map_calls_instant &&
	    (request == VFIO_IOMMU_MAP_DMA || request == VFIO_IOMMU_UNMAP_DMA))
		return 0;
	if (next == NULL) {
		void *fn = dlsym(RTLD_NEXT, "ioctl");

		memcpy(&next, &fn, sizeof(next));
	}
	return next(fd, request, arg);
}

static int
eal_start(int cpu)
{
	char lcores[32];
	char *argv[] = { (char *)(uintptr_t) "weir-perf",
			 lcores,
			 (char *)(uintptr_t) "--no-huge",
			 (char *)(uintptr_t) "--no-shconf",
			 (char *)(uintptr_t) "-m",
			 (char *)(uintptr_t) "16",
			 (char *)(uintptr_t) "--no-pci",
			 (char *)(uintptr_t) "--no-telemetry",
			 (char *)(uintptr_t) "--iova-mode=va",
			 (char *)(uintptr_t) "--log-level=4" };

	snprintf(lcores, sizeof(lcores), "--lcores=0@%d", cpu);
	return rte_eal_init(sizeof(argv) / sizeof(argv[0]), argv) < 0 ? -rte_errno : 0;
}

static int
bench_start(int cpu)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	int device, ret = eal_start(cpu);

	if (ret != 0)
		return ret;
	bench_mem = mmap(NULL, WEIR_MAP_PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (bench_mem == MAP_FAILED)
		return -errno;
	/* the descriptor is EAL's, and open as long as its container */
	ret = rte_vfio_setup_device(perf_softvfio_sysfs(), "0000:00:04.0", &device,
				    &info);
	return ret == 0 ? 0 : -ENODEV;
}

int
map_bench_open(int cpu)
{
	int ret = perf_softvfio_enter(DEVICES, ENTRIES);

	if (ret != 0)
		return ret;
	ret = bench_start(cpu);
	if (ret != 0)
		perf_softvfio_found();
	return ret;
}

void
map_bench_close(void)
{
	rte_eal_cleanup();
	munmap(bench_mem, WEIR_MAP_PAGE);
}

static int
eal_map(struct map_side *s, uint64_t iova)
{
	(void)s;
	/* why it fails is not always told */
	return rte_vfio_container_dma_map(RTE_VFIO_DEFAULT_CONTAINER_FD,
					  (uintptr_t)bench_mem, iova, WEIR_MAP_PAGE) == 0
		       ? 0
		       : -EIO;
}

static int
eal_unmap(struct map_side *s, uint64_t iova)
{
	(void)s;
	return rte_vfio_container_dma_unmap(RTE_VFIO_DEFAULT_CONTAINER_FD,
					    (uintptr_t)bench_mem, iova,
					    WEIR_MAP_PAGE) == 0
		       ? 0
		       : -EIO;
}

static int
mirror_map(struct map_side *s, uint64_t iova)
{
	struct weir_region r = map_region(iova, (uintptr_t)bench_mem);

	return weir_mirror_map(s->mirror, &r);
}

static int
mirror_unmap(struct map_side *s, uint64_t iova)
{
	return weir_mirror_unmap(s->mirror, map_region(iova, (uintptr_t)bench_mem).iova);
}

int
map_side_eal(struct map_side *s)
{
	*s = (struct map_side){ .map = eal_map, .unmap = eal_unmap, .base = EAL_BASE };
	return 0;
}

/* A mirror with a backend, which is closed if there can be none. */
static int
side_mirror(struct map_side *s, struct weir_vfio *v)
{
	int ret;

	*s = (struct map_side){ .map = mirror_map,
				.unmap = mirror_unmap,
				.base = OUR_BASE };
	ret = weir_mirror_create("perf", &s->mirror);
	if (ret != 0)
		goto err_vfio;
	ret = weir_mirror_attach(s->mirror, weir_vfio_ops(v), v);
	if (ret != 0)
		goto err_mirror;
	return 0;

err_mirror:
	weir_mirror_destroy(s->mirror);
err_vfio:
	weir_vfio_destroy(v);
	return ret;
}

int
map_side_own(struct map_side *s, unsigned int device)
{
	char path[1024];
	struct weir_vfio *v;
	int ret;

	snprintf(path, sizeof(path), "%.1000s/0000:00:04.%u", perf_softvfio_sysfs(),
		 device);
	ret = weir_vfio_create(path, WEIR_VFIO_TYPE1, 0, &v);
	return ret == 0 ? side_mirror(s, v) : ret;
}

int
map_side_adopted(struct map_side *s)
{
	struct weir_vfio *v;
	int ret = weir_vfio_adopt(weir_space_eal_container(), &v);

	return ret == 0 ? side_mirror(s, v) : ret;
}

int
map_side_fill(struct map_side *s, uint64_t slots)
{
	int ret = 0;

	for (; s->slots < slots && ret == 0; s->slots += ret == 0)
		ret = s->map(s, s->base + s->slots * MAP_SLOT);
	return ret;
}

int
map_side_close(struct map_side *s)
{
	int ret = 0;

	if (s->mirror != NULL) {
		if (weir_mirror_regions(s->mirror) != s->slots ||
		    weir_mirror_broken(s->mirror) != 0)
			ret = -EPROTO;
		weir_mirror_destroy(s->mirror);
		return ret;
	}
	while (s->slots > 0 && ret == 0)
		ret = s->unmap(s, s->base + --s->slots * MAP_SLOT);
	return ret == 0 ? 0 : -EPROTO;
}
