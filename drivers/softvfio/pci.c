/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Config space: a root-complex integrated PCI Express endpoint with MSI-X. What
 * a driver may change is a mask; everything else is as it was laid out, which
 * is also how a BAR answers to being sized.
 */
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#include "sv_dev.h"

#define CAP_MSIX 0x80
#define CAP_EXP 0x90
#define PAGE UINT64_C(0x1000)

/* 64-bit BARs from here on, far above memory, each device a window of its own. */
#define BAR_WINDOW UINT64_C(0x380000000000)
#define BAR_WINDOW_LEN (UINT64_C(1) << 28)

static void
put(uint8_t *at, uint64_t value, unsigned int len)
{
	memcpy(at, &value, len); /* little-endian, as PCI is */
}

static uint64_t
get(const uint8_t *at, unsigned int len)
{
	uint64_t value = 0;

	memcpy(&value, at, len);
	return value;
}

/* Bus, device and function tell windows apart. */
static uint64_t
window_of(const char *bdf)
{
	uint64_t bus = strtoul(bdf + 5, NULL, 16);
	uint64_t dev = strtoul(bdf + 8, NULL, 16);
	uint64_t fn = strtoul(bdf + 11, NULL, 8);

	return BAR_WINDOW + (bus << 8 | dev << 3 | fn) * BAR_WINDOW_LEN;
}

uint64_t
sv_pci_bar_address(const struct sv_spec *spec, unsigned int bar)
{
	const uint64_t *len = spec->model->pci.bar_len;
	uint64_t address = window_of(spec->bdf);

	for (unsigned int i = 0; i <= bar; i++) {
		address = len[i] != 0 ? (address + len[i] - 1) & ~(len[i] - 1) : address;
		if (i < bar)
			address += len[i];
	}
	return address;
}

static void
bars_layout(const struct sv_spec *spec, uint8_t *config, uint8_t *mask)
{
	const uint64_t *len = spec->model->pci.bar_len;

	for (unsigned int i = 0; i < SV_NR_BARS; i += 2) {
		unsigned int at = PCI_BASE_ADDRESS_0 + 4 * i;

		if (len[i] == 0)
			continue;
		put(config + at,
		    sv_pci_bar_address(spec, i) | PCI_BASE_ADDRESS_MEM_TYPE_64, 8);
		put(mask + at, ~(len[i] - 1), 8);
	}
}

static void
capabilities_layout(const struct sv_pci_id *id, uint8_t *config, uint8_t *mask)
{
	uint8_t *msix = config + CAP_MSIX, *exp = config + CAP_EXP;

	config[PCI_CAPABILITY_LIST] = CAP_MSIX;
	put(msix, PCI_CAP_ID_MSIX | CAP_EXP << 8, 2);
	put(msix + PCI_MSIX_FLAGS, id->nr_vectors - 1, 2);
	put(msix + PCI_MSIX_TABLE, id->msix_offset, 4);
	put(msix + PCI_MSIX_PBA, id->msix_offset + PAGE, 4);
	put(mask + CAP_MSIX + PCI_MSIX_FLAGS,
	    PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL, 2);

	put(exp, PCI_CAP_ID_EXP, 2);
	put(exp + PCI_EXP_FLAGS, 2 | PCI_EXP_TYPE_RC_END << 4, 2);
	put(exp + PCI_EXP_DEVCAP, PCI_EXP_DEVCAP_FLR, 4);
}

void
sv_pci_layout(const struct sv_spec *spec, uint8_t *config, uint8_t *mask)
{
	const struct sv_pci_id *id = &spec->model->pci;

	memset(config, 0, SV_CONFIG_LEN);
	memset(mask, 0, SV_CONFIG_LEN);
	put(config + PCI_VENDOR_ID, id->vendor, 2);
	put(config + PCI_DEVICE_ID, id->device, 2);
	put(config + PCI_STATUS, PCI_STATUS_CAP_LIST, 2);
	put(config + PCI_CLASS_REVISION, id->class_code << 8 | id->revision, 4);
	put(config + PCI_SUBSYSTEM_VENDOR_ID, id->vendor, 2);
	config[PCI_INTERRUPT_PIN] = 1;
	put(mask + PCI_COMMAND,
	    PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE, 2);
	mask[PCI_INTERRUPT_LINE] = 0xff;
	bars_layout(spec, config, mask);
	capabilities_layout(id, config, mask);
}

void
sv_pci_init(struct sv_dev *d)
{
	pthread_mutex_init(&d->config_lock, NULL);
	sv_pci_layout(&d->spec, d->config, d->config_mask);
}

/* With the lock, after each change. */
static void
command_changed(struct sv_dev *d)
{
	uint64_t command = get(d->config + PCI_COMMAND, 2);

	atomic_store(&d->bus_master,
		     (command & PCI_COMMAND_MASTER) != 0 && !atomic_load(&d->gone));
}

void
sv_pci_read(struct sv_dev *d, uint32_t off, void *buf, uint32_t len)
{
	pthread_mutex_lock(&d->config_lock);
	memcpy(buf, d->config + off, len);
	pthread_mutex_unlock(&d->config_lock);
}

void
sv_pci_write(struct sv_dev *d, uint32_t off, const void *buf, uint32_t len)
{
	const uint8_t *in = buf;

	pthread_mutex_lock(&d->config_lock);
	for (uint32_t i = 0; i < len; i++) {
		uint8_t mask = d->config_mask[off + i], *at = &d->config[off + i];

		*at = (uint8_t)((*at & ~mask) | (in[i] & mask));
	}
	command_changed(d);
	pthread_mutex_unlock(&d->config_lock);
}

void
sv_pci_plug(struct sv_dev *d, bool there)
{
	pthread_mutex_lock(&d->config_lock);
	sv_pci_layout(&d->spec, d->config, d->config_mask);
	if (!there) {
		memset(d->config, 0xff, SV_CONFIG_LEN);
		memset(d->config_mask, 0, SV_CONFIG_LEN);
	}
	atomic_store(&d->bus_master, false);
	pthread_mutex_unlock(&d->config_lock);
}

void
sv_pci_disable(struct sv_dev *d)
{
	pthread_mutex_lock(&d->config_lock);
	if (!atomic_load(&d->gone))
		put(d->config + PCI_COMMAND, 0, 2);
	command_changed(d);
	pthread_mutex_unlock(&d->config_lock);
}
