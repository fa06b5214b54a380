/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Has a PCI device been pulled out? EAL tells of a removal in the same words whether a
 * device is going to be taken or is gone, and its driver goes on to ask it: what it reads
 * is all ones, from which DPDK's driver of I/OAT crashes when it is stopped, and that of
 * DSA never learns that copies will not end. A device that is gone writes nowhere any
 * more; so it counts as stopped. I/OAT's driver is not called any more; DSA's is told to
 * stop, without which it could not be closed.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "copy_impl.h"

/* Bytes of an address at the beginning of a dmadev's name, "0000:00:04.0"; 0: none. */
static size_t
address_len(const char *name)
{
	unsigned int domain, bus, device, function;
	int end = 0;

	/* NOLINTNEXTLINE(cert-err34-c): the numbers are not used */
	if (sscanf(name, "%x:%x:%x.%x%n", &domain, &bus, &device, &function, &end) != 4)
		return 0;
	return name[end] == '\0' || name[end] == '-' ? (size_t)end : 0;
}

bool
copy_pci_gone(const char *name)
{
	/* EAL's way to say where */
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody sets it */
	const char *folder = getenv("SYSFS_PCI_DEVICES");
	const size_t len = address_len(name);
	uint16_t vendor = 0;
	char path[256];
	ssize_t n;
	int fd;

	if (len == 0)
		return false;
	snprintf(path, sizeof(path), "%s/%.*s/config",
		 folder != NULL ? folder : "/sys/bus/pci/devices", (int)len, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, &vendor, sizeof(vendor));
	close(fd);
	return n == sizeof(vendor) && vendor == UINT16_MAX;
}
