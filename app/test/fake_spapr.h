/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FAKE_SPAPR_H
#define FAKE_SPAPR_H
/*
 * POWER's IOMMU, after what the kernel's header says of it and what was read in
 * its source; nobody has compared it to a machine. One container at a time.
 */
#include <stdbool.h>
#include <stdint.h>

/* Nothing is registered or mapped; the window there is at first. */
void fake_spapr_reset(void);

/* No windows but the first one can be had, or none of more than @bits. */
void fake_spapr_limit(bool windows, unsigned int bits);

int fake_spapr_ioctl(unsigned long request, void *arg);

/* Pages mapped now, and stretches of memory registered. */
unsigned int fake_spapr_pages(void);
unsigned int fake_spapr_registered(void);

#endif /* FAKE_SPAPR_H */
