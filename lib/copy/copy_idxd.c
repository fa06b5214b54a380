/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DPDK's driver of DSA, as of 22.11 to 25.11, says two things that are not so. Both
 * have been seen with it on a model of the device.
 *
 * A batch that fails as a whole, so that the device has looked at none of its
 * copies, has a completion record of its own that tells. rte_dma_completed() looks
 * for the copy that failed, finds no record of any, since none was begun, and
 * reports all as done. rte_dma_completed_status() goes by the number in the
 * batch's record and reports them as not attempted: so that is what is asked.
 *
 * rte_dma_stop() disables the work queue, which waits for what it has. The driver
 * looks a thousand times, then takes the command for done, and the work queue,
 * which is neither enabled nor disabled yet, for disabled: 0, and copies go on.
 * What is under way is known all the same, from the record of the last batch that
 * was submitted, by rte_dma_vchan_status(). It wants one to have been submitted.
 */
#include <stdio.h>

#include "copy_impl.h"

bool
copy_name_is_idxd(const char *name)
{
	unsigned int n[5];
	int end = 0;

	/* by VFIO 0000:6a:01.0-q3, through the kernel's driver wq0.3 */
	/* NOLINTBEGIN(cert-err34-c): the numbers are not used */
	if (sscanf(name, "%x:%x:%x.%x-q%u%n", &n[0], &n[1], &n[2], &n[3], &n[4], &end) ==
		    5 &&
	    name[end] == '\0')
		return true;
	return sscanf(name, "wq%u.%u%n", &n[0], &n[1], &end) == 2 && name[end] == '\0';
	/* NOLINTEND(cert-err34-c) */
}

bool
copy_idxd_writes(const struct copy_dev *d)
{
	for (uint16_t v = 0; v < d->nr_vchans; v++) {
		const struct weir_copy_chan *c = &d->vchan[v].chan;
		enum rte_dma_vchan_status status;

		if ((c->done != c->kicked || d->probe != NULL) &&
		    rte_dma_vchan_status(d->dev_id, v, &status) == 0 &&
		    status == RTE_DMA_VCHAN_ACTIVE)
			return true;
	}
	return false;
}
