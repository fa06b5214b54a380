/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "edu.h"

#define PCI_FOLDER "/sys/bus/pci/devices"

/* Registers, and where the device's memory is in its own eyes. */
#define EDU_ID 0x00
#define EDU_DMA_SRC 0x80
#define EDU_DMA_DST 0x88
#define EDU_DMA_LEN 0x90
#define EDU_DMA_CMD 0x98
#define EDU_CMD_START 1u
#define EDU_CMD_TO_HOST 2u
#define EDU_BUFFER UINT64_C(0x40000)
#define EDU_ID_MASK 0xffffu
#define EDU_ID_IS 0x00edu

static bool
attribute_is(const char *name, const char *attribute, const char *want)
{
	char path[320], value[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), PCI_FOLDER "/%s/%s", name, attribute);
	f = fopen(path, "re");
	if (f == NULL)
		return false;
	if (fgets(value, sizeof(value), f) == NULL)
		value[0] = '\0';
	fclose(f);
	value[strcspn(value, "\n")] = '\0';
	return strcmp(value, want) == 0;
}

static bool
bound_to_vfio(const char *name)
{
	char path[320], link[256];
	ssize_t len;

	snprintf(path, sizeof(path), PCI_FOLDER "/%s/driver", name);
	len = readlink(path, link, sizeof(link) - 1);
	if (len < 0)
		return false;
	link[len] = '\0';
	return strstr(link, "/vfio-pci") != NULL;
}

bool
vfio_pci_find(const char *vendor, const char *device, unsigned int nth, char name[32])
{
	DIR *dir = opendir(PCI_FOLDER);
	const struct dirent *d;
	bool found = false;

	if (dir == NULL)
		return false;
	while (!found && (d = readdir(dir)) != NULL) { // NOLINT(concurrency-mt-unsafe)
		if (strlen(d->d_name) >= 32 ||
		    !attribute_is(d->d_name, "vendor", vendor) ||
		    !attribute_is(d->d_name, "device", device) ||
		    !bound_to_vfio(d->d_name))
			continue;
		found = nth-- == 0;
		snprintf(name, 32, "%.31s", d->d_name);
	}
	closedir(dir);
	return found;
}

const char *
edu_find(void)
{
	static char name[32];

	return vfio_pci_find("0x1234", "0x11e8", 0, name) ? name : NULL;
}

static uint32_t
reg_read(struct edu *e, unsigned int at)
{
	return *(volatile uint32_t *)(e->bar + at);
}

static void
reg_write(struct edu *e, unsigned int at, uint64_t value)
{
	*(volatile uint64_t *)(e->bar + at) = value;
}

/* Switch memory and DMA on in the device's command register. */
static bool
command_set(int fd)
{
	struct vfio_region_info config = { .argsz = sizeof(config),
					   .index = VFIO_PCI_CONFIG_REGION_INDEX };
	uint16_t cmd;
	off_t at;

	if (ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &config) != 0)
		return false;
	at = (off_t)config.offset + PCI_COMMAND;
	if (pread(fd, &cmd, sizeof(cmd), at) != sizeof(cmd))
		return false;
	cmd |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	return pwrite(fd, &cmd, sizeof(cmd), at) == sizeof(cmd);
}

bool
edu_open(struct edu *e, int device_fd)
{
	struct vfio_region_info bar = { .argsz = sizeof(bar),
					.index = VFIO_PCI_BAR0_REGION_INDEX };
	void *p;

	e->bar = NULL;
	if (ioctl(device_fd, VFIO_DEVICE_GET_REGION_INFO, &bar) != 0 ||
	    !command_set(device_fd))
		return false;
	p = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, device_fd,
		 (off_t)bar.offset);
	if (p == MAP_FAILED)
		return false;
	e->bar = p;
	e->bar_len = bar.size;
	return (reg_read(e, EDU_ID) & EDU_ID_MASK) == EDU_ID_IS;
}

void
edu_close(struct edu *e)
{
	if (e->bar != NULL)
		munmap((void *)(uintptr_t)e->bar, e->bar_len);
	e->bar = NULL;
}

static bool
transfer(struct edu *e, uint64_t src, uint64_t dst, unsigned int len, unsigned int cmd)
{
	static const struct timespec step = { .tv_nsec = 2000000 };

	reg_write(e, EDU_DMA_SRC, src);
	reg_write(e, EDU_DMA_DST, dst);
	reg_write(e, EDU_DMA_LEN, len);
	reg_write(e, EDU_DMA_CMD, cmd | EDU_CMD_START);
	for (unsigned int i = 0; i < 5000; i++) {
		if ((reg_read(e, EDU_DMA_CMD) & EDU_CMD_START) == 0)
			return true;
		nanosleep(&step, NULL);
	}
	return false;
}

bool
edu_write(struct edu *e, uint64_t iova, unsigned int len)
{
	return transfer(e, EDU_BUFFER, iova, len, EDU_CMD_TO_HOST);
}

bool
edu_read(struct edu *e, uint64_t iova, unsigned int len)
{
	return transfer(e, iova, EDU_BUFFER, len, 0);
}
