/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FAKE_SPAPR_H
#define FAKE_SPAPR_H
/* POWER's ioctls of a container, answered by the model of its IOMMU. */
#include "weir_sim.h"

/*
 * @s        The model, of that flavour.
 * @windows  Tell that others than the first can be had.
 */
int fake_spapr_ioctl(struct weir_sim *s, bool windows, unsigned long request, void *arg);

#endif /* FAKE_SPAPR_H */
