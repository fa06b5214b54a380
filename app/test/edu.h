/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef EDU_H
#define EDU_H
/*
 * QEMU's `edu` device, driven through VFIO: the one device that does DMA as it is
 * told. It has 4 KiB of memory of its own and copies between that and an iova
 * below 2^28, about 100 ms a transfer. That it has finished says nothing about
 * whether the IOMMU let it through: look at the memory.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EDU_MEMORY 4096u

struct edu {
	volatile uint8_t *bar; /* NULL: not open */
	size_t bar_len;
};

/*
 * Find a PCI device that is bound to vfio-pci, as in "0x1234", "0x11e8".
 *
 * @param nth  0: the first.
 */
bool vfio_pci_find(const char *vendor, const char *device, unsigned int nth,
		   char name[32]);

/* The name of an edu that is bound to vfio-pci; NULL: there is none. */
const char *edu_find(void);

/* Map its registers and let it do DMA. The descriptor stays the caller's. */
bool edu_open(struct edu *e, int device_fd);

/* Before the descriptor is closed: the mapping holds on to the device. */
void edu_close(struct edu *e);

/* Copy from or to the device's memory. False: it has not finished in seconds. */
bool edu_write(struct edu *e, uint64_t iova, unsigned int len);
bool edu_read(struct edu *e, uint64_t iova, unsigned int len);

#endif /* EDU_H */
