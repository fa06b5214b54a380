/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VFIO's interrupts: event descriptors that the driver hands over, kind by kind.
 * As in the kernel the driver's descriptor is only referred to: a copy is kept,
 * so that closing the original changes nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sv_dev.h"
#include "weir_fail.h"
#include "weir_fd.h"

_Static_assert(SV_NR_IRQ_KINDS == VFIO_PCI_NUM_IRQS, "a kind for each index");

/* Vectors of a kind: the ones of MSI-X are the model's, MSI is not offered. */
static uint32_t
kind_count(const struct sv_dev *d, uint32_t kind)
{
	switch (kind) {
	case VFIO_PCI_MSIX_IRQ_INDEX:
		return d->spec.model->pci.nr_vectors;
	case VFIO_PCI_MSI_IRQ_INDEX:
		return 0;
	default:
		return 1;
	}
}

int
sv_irqs_init(struct sv_dev *d)
{
	pthread_mutex_init(&d->irq_lock, NULL);
	for (uint32_t k = 0; k < SV_NR_IRQ_KINDS; k++) {
		struct sv_irqs *irqs = &d->irqs[k];

		irqs->nr = kind_count(d, k);
		irqs->fd = weir_calloc(irqs->nr + 1, sizeof(*irqs->fd));
		if (irqs->fd == NULL) {
			sv_irqs_fini(d);
			return -ENOMEM;
		}
		for (uint32_t i = 0; i < irqs->nr; i++)
			irqs->fd[i] = -1;
	}
	return 0;
}

static void
fd_drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void
kind_disable(struct sv_irqs *irqs)
{
	for (uint32_t i = 0; irqs->fd != NULL && i < irqs->nr; i++)
		fd_drop(&irqs->fd[i]);
}

void
sv_irqs_disable(struct sv_dev *d)
{
	pthread_mutex_lock(&d->irq_lock);
	for (uint32_t k = 0; k < SV_NR_IRQ_KINDS; k++)
		kind_disable(&d->irqs[k]);
	pthread_mutex_unlock(&d->irq_lock);
}

void
sv_irqs_fini(struct sv_dev *d)
{
	sv_irqs_disable(d);
	for (uint32_t k = 0; k < SV_NR_IRQ_KINDS; k++) {
		free(d->irqs[k].fd);
		d->irqs[k].fd = NULL;
	}
}

/* A full eventfd counter is as good as another count: somebody will wake up. */
static void
fd_fire(int fd)
{
	uint64_t one = 1;

	if (fd >= 0 && write(fd, &one, sizeof(one)) < 0)
		return;
}

static void
irq_fire(struct sv_dev *d, uint32_t kind, uint32_t vector)
{
	pthread_mutex_lock(&d->irq_lock);
	if (vector < d->irqs[kind].nr)
		fd_fire(d->irqs[kind].fd[vector]);
	pthread_mutex_unlock(&d->irq_lock);
}

void
sv_dev_interrupt(struct sv_dev *d, uint32_t vector)
{
	irq_fire(d, VFIO_PCI_MSIX_IRQ_INDEX, vector);
}

void
sv_dev_request(struct sv_dev *d)
{
	irq_fire(d, VFIO_PCI_REQ_IRQ_INDEX, 0);
}

int
sv_irqs_info(struct sv_dev *d, void *arg)
{
	struct vfio_irq_info *info = arg;

	if (info->argsz < sizeof(*info) || info->index >= SV_NR_IRQ_KINDS)
		return -EINVAL;
	info->count = d->irqs[info->index].nr;
	info->flags = VFIO_IRQ_INFO_EVENTFD;
	if (info->index == VFIO_PCI_INTX_IRQ_INDEX)
		info->flags |= VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;
	else
		info->flags |= VFIO_IRQ_INFO_NORESIZE;
	return 0;
}

/* The request as such: does it name what there is, is its data all there? */
static int
set_check(const struct sv_dev *d, const struct vfio_irq_set *set)
{
	uint32_t data = set->flags & VFIO_IRQ_SET_DATA_TYPE_MASK;
	uint32_t action = set->flags & VFIO_IRQ_SET_ACTION_TYPE_MASK;
	uint32_t width = data == VFIO_IRQ_SET_DATA_EVENTFD ? sizeof(int32_t)
			 : data == VFIO_IRQ_SET_DATA_BOOL  ? sizeof(uint8_t)
							   : 0;
	uint32_t end;

	if (set->argsz < sizeof(*set) || set->index >= SV_NR_IRQ_KINDS ||
	    (set->flags & ~(uint32_t)(VFIO_IRQ_SET_DATA_TYPE_MASK |
				      VFIO_IRQ_SET_ACTION_TYPE_MASK)) != 0)
		return -EINVAL;
	if (__builtin_popcount(data) != 1 || __builtin_popcount(action) != 1)
		return -EINVAL;
	if (set->start >= d->irqs[set->index].nr ||
	    __builtin_add_overflow(set->start, set->count, &end) ||
	    end > d->irqs[set->index].nr)
		return -EINVAL;
	if (set->argsz - sizeof(*set) < (size_t)set->count * width)
		return -EINVAL;
	/* no vectors and nothing about them: that is how a kind is disabled */
	return set->count == 0 && width != 0 ? -EINVAL : 0;
}

/* -1 takes a descriptor away. */
static int
eventfd_check(int fd)
{
	char name[sizeof(WEIR_FD_EVENTFD) + 1]; /* a longer one is not cut to it */
	int ret;

	if (fd == -1)
		return 0;
	ret = weir_fd_name(fd, name, sizeof(name));
	if (ret != 0)
		return ret;
	return strcmp(name, WEIR_FD_EVENTFD) == 0 ? 0 : -EINVAL;
}

/* Replace event descriptors; a bad one changes none. */
static int
eventfds_set(struct sv_irqs *irqs, const struct vfio_irq_set *set)
{
	const int32_t *in = (const int32_t *)(const void *)set->data;

	for (uint32_t i = 0; i < set->count; i++) {
		int ret = eventfd_check(in[i]);

		if (ret != 0)
			return ret;
	}
	for (uint32_t i = 0; i < set->count; i++) {
		int *fd = &irqs->fd[set->start + i];

		fd_drop(fd);
		if (in[i] >= 0)
			*fd = fcntl(in[i], F_DUPFD_CLOEXEC, 0);
	}
	return 0;
}

/* Fire by hand: all the vectors named, or those whose byte is not 0. */
static void
loopback(struct sv_irqs *irqs, const struct vfio_irq_set *set, bool all)
{
	for (uint32_t i = 0; i < set->count; i++)
		if (all || set->data[i] != 0)
			fd_fire(irqs->fd[set->start + i]);
}

static int
trigger(struct sv_irqs *irqs, const struct vfio_irq_set *set)
{
	uint32_t data = set->flags & VFIO_IRQ_SET_DATA_TYPE_MASK;

	if (data == VFIO_IRQ_SET_DATA_EVENTFD)
		return eventfds_set(irqs, set);
	if (set->count == 0)
		kind_disable(irqs);
	else
		loopback(irqs, set, data == VFIO_IRQ_SET_DATA_NONE);
	return 0;
}

int
sv_irqs_set(struct sv_dev *d, void *arg)
{
	const struct vfio_irq_set *set = arg;
	int ret = set_check(d, set);

	if (ret != 0)
		return ret;
	pthread_mutex_lock(&d->irq_lock);
	if (set->flags & VFIO_IRQ_SET_ACTION_TRIGGER)
		ret = trigger(&d->irqs[set->index], set);
	else if (set->index != VFIO_PCI_INTX_IRQ_INDEX)
		ret = -ENOTTY; /* only INTx can be masked, and no model raises it */
	pthread_mutex_unlock(&d->irq_lock);
	return ret;
}
