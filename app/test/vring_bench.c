/* SPDX-License-Identifier: BSD-3-Clause */
#include <sys/mman.h>
#include <unistd.h>

#include "vring_bench.h"

const struct weir_gmem *
vring_bench_memory(void)
{
	const struct weir_gmem *gmem = &weir_gmem_empty;
	int fd = memfd_create("vring_bench", MFD_CLOEXEC);
	int ret = fd >= 0 ? ftruncate(fd, 2 * SLOT) : -1;

	for (uint64_t i = 0; i < 2 && ret == 0; i++) {
		const struct weir_gmem_region r = {
			.gpa = i * SLOT,
			.len = SLOT,
			.uva = UVA + i * SLOT,
			.mmap_offset = i * SLOT,
		};
		struct weir_gmem *more;

		ret = weir_gmem_add(gmem, &r, fd, &more);
		if (ret != 0)
			break;
		weir_gmem_put(gmem);
		gmem = more;
	}
	if (fd >= 0)
		close(fd);
	if (ret == 0)
		return gmem;
	weir_gmem_put(gmem);
	return NULL;
}
