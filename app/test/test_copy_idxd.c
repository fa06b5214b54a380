/* SPDX-License-Identifier: BSD-3-Clause */
/* What dmadevs' names say: which are DSA's work queues, and of which PCI device;
 * net_weir_dsa_e2e has the rest. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "copy_impl.h"
#include "run_folder.h"
#include "test.h"

static enum test_result
idxd_names_are_known(void)
{
	static const struct {
		const char *name;
		bool idxd;
	} names[] = {
		{ "0000:6a:01.0-q0", true },
		{ "0000:00:05.7-q12", true },
		{ "wq0.3", true },
		{ "wq11.15", true },
		{ "0000:00:04.0", false },
		{ "0000:6a:01.0-q", false },
		{ "0000:6a:01.0-q0-ch1", false },
		{ "0000:6a:01.0-ch0", false },
		{ "dma_weir0", false },
		{ "wq0", false },
		{ "wq0.3x", false },
		{ "", false },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		TEST_EQ(copy_name_is_idxd(names[i].name), names[i].idxd);
	return TEST_OK;
}

/* A device's configuration space as sysfs shows it: how it begins. */
static int
config_write(const char *folder, uint16_t vendor)
{
	char path[96];
	FILE *f;

	snprintf(path, sizeof(path), "%s/0000:6a:01.0", folder);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/0000:6a:01.0/config", folder);
	f = fopen(path, "w");
	if (f == NULL || fwrite(&vendor, sizeof(vendor), 1, f) != 1)
		return -1;
	return fclose(f);
}

static enum test_result
pci_device_pulled_out_is_known(void)
{
	char folder[64], path[96];

	run_folder_path(folder, sizeof(folder), "XXXXXX");
	TEST_ASSERT(mkdtemp(folder) != NULL);
	TEST_EQ(setenv("SYSFS_PCI_DEVICES", folder, 1), 0);
	TEST_ASSERT(!copy_pci_gone("0000:6a:01.0-q0"));
	TEST_EQ(config_write(folder, 0x8086), 0);
	TEST_ASSERT(!copy_pci_gone("0000:6a:01.0-q0"));
	TEST_EQ(config_write(folder, 0xffff), 0);
	TEST_ASSERT(copy_pci_gone("0000:6a:01.0-q0"));
	TEST_ASSERT(copy_pci_gone("0000:6a:01.0"));
	TEST_ASSERT(!copy_pci_gone("0000:6a:01.1"));
	TEST_ASSERT(!copy_pci_gone("0000:6a:01.0x"));
	TEST_ASSERT(!copy_pci_gone("dma_weir0"));
	unsetenv("SYSFS_PCI_DEVICES");
	snprintf(path, sizeof(path), "%s/0000:6a:01.0/config", folder);
	unlink(path);
	snprintf(path, sizeof(path), "%s/0000:6a:01.0", folder);
	rmdir(path);
	TEST_EQ(rmdir(folder), 0);
	return TEST_OK;
}

static const struct test_case cases[] = {
	{ "pci_device_pulled_out_is_known", pci_device_pulled_out_is_known },
	{ "idxd_names_are_known", idxd_names_are_known },
};
AUTOTEST(copy_idxd_autotest, cases);
