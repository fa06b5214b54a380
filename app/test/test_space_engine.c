/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which devices are let into the space, and why others are not. That those which
 * are let in reach it is shown by the end-to-end test net_weir_ioat, on the software
 * VFIO.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_dmadev_pmd.h>

#include "fake_vfio.h"
#include "space_impl.h"
#include "run_folder.h"
#include "test.h"
#include "vfio_name.h"
#include "weir_log.h"
#include "weir_vfio.h"

#define PCI_NAME "0000:7f:1e.5"

static char last_log[256];

static void
keep_log(enum weir_log_level level, const char *msg)
{
	(void)level;
	snprintf(last_log, sizeof(last_log), "%s", msg);
}

/* A folder as SYSFS_PCI_DEVICES, with one device and the driver it is bound to. */
struct folder {
	char path[96], device[128], link[160];
};

static bool
folder_make(struct folder *f, const char *driver)
{
	run_folder_path(f->path, sizeof(f->path), "XXXXXX");
	if (mkdtemp(f->path) == NULL)
		return false;
	snprintf(f->device, sizeof(f->device), "%s/" PCI_NAME, f->path);
	snprintf(f->link, sizeof(f->link), "%s/driver", f->device);
	return mkdir(f->device, 0700) == 0 && symlink(driver, f->link) == 0 &&
	       setenv("SYSFS_PCI_DEVICES", f->path, 1) == 0;
}

static void
folder_remove(struct folder *f)
{
	unsetenv("SYSFS_PCI_DEVICES");
	unlink(f->link);
	rmdir(f->device);
	rmdir(f->path);
}

/* Ask for a dmadev of a name, with a PCI device that has the driver. */
static int
ask(const char *dma_name, const char *driver, struct weir_space_engine **e)
{
	struct weir_space *s;
	struct folder f;
	int ret = -ENOENT;

	if (folder_make(&f, driver) && rte_dma_pmd_allocate(dma_name, 0, 64) != NULL) {
		ret = weir_space_get(&s);
		if (ret == 0) {
			ret = weir_space_engine_get(s, dma_name, e);
			weir_space_engine_put(ret == 0 ? *e : NULL);
			weir_space_put(s);
		}
		rte_dma_pmd_release(dma_name);
	}
	folder_remove(&f);
	return ret;
}

static enum test_result
engine_without_vfio_is_left_alone(void)
{
	static const char *const drivers[] = { "../drivers/ioatdma", "../drivers/idxd" };
	struct weir_space_engine *e;

	for (unsigned int i = 0; i < 2; i++) {
		e = (void *)&e;
		TEST_EQ(ask(PCI_NAME, drivers[i], &e), 0);
		TEST_ASSERT(e == NULL);
	}
	/* no PCI device, or none that is there */
	TEST_EQ(ask("dma_of_software", "../drivers/vfio-pci", &e), 0);
	TEST_EQ(ask("0000:7f:1e.6", "../drivers/vfio-pci", &e), 0);
	TEST_ASSERT(e == NULL);
	weir_space_engine_put(NULL);
	return TEST_OK;
}

static enum test_result
engine_unknown_is_refused(void)
{
	struct weir_space_engine *e;
	struct weir_space *s;

	TEST_EQ(weir_space_get(&s), 0);
	TEST_EQ(weir_space_engine_get(s, "no such", &e), -ENODEV);
	weir_space_put(s);
	return TEST_OK;
}

/* Bound to VFIO, and EAL has no container: in the words of the log. */
static enum test_result
engine_without_container_is_refused(void)
{
	struct weir_space_engine *e = NULL;
	int ret;

	weir_log_set_sink(keep_log);
	ret = ask(PCI_NAME, "../drivers/vfio-pci", &e);
	weir_log_set_sink(NULL);
	TEST_EQ(ret, -EXDEV);
	TEST_ASSERT(e == NULL);
	TEST_ASSERT(strstr(last_log, PCI_NAME ": EAL has no VFIO container") != NULL);
	/* a channel of such a device, and a driver of a vendor's */
	weir_log_set_sink(keep_log);
	ret = ask(PCI_NAME "-q3", "../drivers/mlx5_vfio_pci", &e);
	weir_log_set_sink(NULL);
	TEST_EQ(ret, -EXDEV);
	return TEST_OK;
}

/* Adopt what a container of the fake kernel's is, with this device in it. */
static int
adopt_with(enum fake_vfio_device dev, struct weir_vfio **out, const char **why)
{
	struct weir_vfio *owner;
	int ret = weir_vfio_create(fake_vfio_name(dev), WEIR_VFIO_ANY, 0, &owner);

	if (ret != 0)
		return ret;
	ret = space_container_adopt(weir_vfio_fd(owner), out, why);
	if (ret == 0)
		weir_vfio_destroy(*out);
	weir_vfio_destroy(owner);
	return ret;
}

static enum test_result
adopt_steps(void)
{
	struct weir_vfio *v, *owner;
	const char *why;

	TEST_EQ(adopt_with(FAKE_DEV0, &v, &why), 0);
	TEST_EQ(adopt_with(FAKE_DEV_NOIOMMU, &v, &why), -EXDEV);
	TEST_ASSERT(strstr(why, "there is no IOMMU") != NULL);
	TEST_EQ(space_container_adopt(-1, &v, &why), -EXDEV);
	TEST_ASSERT(strstr(why, "no VFIO container") != NULL);
	/* one without a group */
	TEST_EQ(weir_vfio_create(fake_vfio_name(FAKE_DEV0), WEIR_VFIO_ANY, 0, &owner), 0);
	TEST_EQ(weir_vfio_detach(owner, fake_vfio_name(FAKE_DEV0)), 0);
	TEST_EQ(space_container_adopt(weir_vfio_fd(owner), &v, &why), -EXDEV);
	TEST_ASSERT(strstr(why, "not in EAL's") != NULL);
	weir_vfio_destroy(owner);
	return TEST_OK;
}

static enum test_result
container_is_adopted_with_an_iommu_only(void)
{
	const struct fake_vfio_config config = { 0 };
	enum test_result res;

	TEST_ASSERT(fake_vfio_begin(&config));
	res = adopt_steps();
	TEST_EQ(fake_vfio_end(), 0);
	return res;
}

static const struct test_case space_engine_cases[] = {
	{ "engine_without_vfio_is_left_alone", engine_without_vfio_is_left_alone },
	{ "engine_unknown_is_refused", engine_unknown_is_refused },
	{ "engine_without_container_is_refused", engine_without_container_is_refused },
	{ "container_is_adopted_with_an_iommu_only",
	  container_is_adopted_with_an_iommu_only },
};
AUTOTEST_EAL(space_engine_autotest, space_engine_cases);
