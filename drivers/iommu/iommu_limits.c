/* SPDX-License-Identifier: BSD-3-Clause */
#include <linux/capability.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "iommu_limits.h"

static bool
may_lock_all(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	return syscall(SYS_capget, &head, data) == 0 &&
	       (data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective & CAP_TO_MASK(CAP_IPC_LOCK)) !=
		       0;
}

/* What the process has locked, VFIO's pins included; 0 if that is not known. */
static uint64_t
locked_now(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	uint64_t kb = 0;
	char line[128];

	if (f == NULL)
		return 0;
	while (fgets(line, sizeof(line), f) != NULL)
		/* NOLINTNEXTLINE(cert-err34-c): the kernel's own number */
		if (sscanf(line, "VmLck: %" SCNu64, &kb) == 1)
			break;
	fclose(f);
	return kb << 10;
}

uint64_t
iommu_locked_limit(uint64_t ours)
{
	struct rlimit lim;
	uint64_t now, others;

	if (may_lock_all() || getrlimit(RLIMIT_MEMLOCK, &lim) != 0 ||
	    lim.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	now = locked_now();
	others = now > ours ? now - ours : 0;
	return lim.rlim_cur > others ? lim.rlim_cur - others : 0;
}

void
iommu_aperture_add(struct weir_iommu_caps *caps, struct weir_range r)
{
	struct weir_range *a = caps->aperture;
	unsigned int small = 0;

	if (caps->nr_apertures < WEIR_IOMMU_MAX_APERTURES) {
		a[caps->nr_apertures++] = r;
		return;
	}
	for (unsigned int i = 1; i < WEIR_IOMMU_MAX_APERTURES; i++)
		if (weir_range_len(a[i]) - 1 < weir_range_len(a[small]) - 1)
			small = i;
	if (weir_range_len(r) - 1 <= weir_range_len(a[small]) - 1)
		return;
	memmove(&a[small], &a[small + 1],
		(WEIR_IOMMU_MAX_APERTURES - 1 - small) * sizeof(*a));
	a[WEIR_IOMMU_MAX_APERTURES - 1] = r;
}
