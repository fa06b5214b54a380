/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "softvfio.h"

#define SONAME "libweir_softvfio.so"
#define MAX_ARGS 64

/* Set in the program that was started again: the tree's folder. */
#define MARK "WEIR_PERF_SOFTVFIO"

/* Places of the library, from the folder that the program is in. */
static const char *const places[] = {
	"../../drivers/softvfio/" SONAME,
	"../" PERF_LIBDIR "/weir/" SONAME,
};

static char sysfs[PATH_MAX];

/* One thread, and nobody else changes the environment. */
static const char *
setting(const char *name)
{
	return getenv(name); /* NOLINT(concurrency-mt-unsafe) */
}

static int
set(const char *name, const char *value)
{
	return setenv(name, value, 1) == 0 ? 0
					   : -errno; /* NOLINT(concurrency-mt-unsafe) */
}

static int
library_find(char path[PATH_MAX])
{
	char self[PATH_MAX / 2], *slash;
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (len < 0)
		return -errno;
	self[len] = '\0';
	slash = strrchr(self, '/');
	if (slash == NULL)
		return -ENOENT;
	*slash = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, PATH_MAX, "%s/%s", self, places[i]);
		if (access(path, R_OK) == 0)
			return 0;
	}
	return -ENOENT;
}

/* A sanitizer's library has to come before all others. */
static int
sanitizer_find(struct dl_phdr_info *info, size_t len, void *arg)
{
	const char **found = arg;

	(void)len;
	if (strstr(info->dlpi_name, "libasan.") != NULL ||
	    strstr(info->dlpi_name, "libtsan.") != NULL)
		*found = info->dlpi_name;
	return 0;
}

static int
preload_set(const char *library)
{
	const char *before = setting("LD_PRELOAD"), *sanitizer = "";
	char all[3 * PATH_MAX];
	int len;

	dl_iterate_phdr(sanitizer_find, &sanitizer);
	len = snprintf(all, sizeof(all), "%s %s %s", sanitizer, library,
		       before != NULL ? before : "");
	return (size_t)len < sizeof(all) ? set("LD_PRELOAD", all) : -ENAMETOOLONG;
}

/* Our own command line, which getopt() has left in another order. */
static int
command_line(char *text, size_t len, char *argv[MAX_ARGS + 1])
{
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	unsigned int nr = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, len);
	close(fd);
	if (n <= 0 || text[n - 1] != '\0')
		return -E2BIG;
	for (char *p = text; p < text + n; p += strlen(p) + 1) {
		if (nr == MAX_ARGS)
			return -E2BIG;
		argv[nr++] = p;
	}
	argv[nr] = NULL;
	return 0;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void
remove_tree(const char *root)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe) */
	nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static int
start_again(const char *root)
{
	char text[4096], *argv[MAX_ARGS + 1];
	int ret = command_line(text, sizeof(text), argv);

	if (ret == 0)
		ret = set("WEIR_SOFTVFIO_ROOT", root);
	if (ret == 0)
		ret = set(MARK, root);
	if (ret != 0)
		return ret;
	execv("/proc/self/exe", argv);
	return -errno;
}

/* Only an error returns. */
static int
preloaded(const char *library)
{
	const char *tmp = setting("TMPDIR");
	char root[PATH_MAX];
	int ret = preload_set(library);

	if (ret != 0)
		return ret;
	snprintf(root, sizeof(root), "%.4000s/weir-perf-XXXXXX",
		 tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(root) == NULL)
		return -errno;
	ret = start_again(root);
	remove_tree(root);
	return ret;
}

int
perf_softvfio_enter(const char *devices, const char *entries)
{
	const char *root = setting(MARK);
	char library[PATH_MAX];
	int ret;

	if (root != NULL) {
		snprintf(sysfs, sizeof(sysfs), "%.4000s/sys/bus/pci/devices", root);
		return 0;
	}
	if (library_find(library) != 0) {
		puts("there is no " SONAME ": the software VFIO was not built");
		return -ENOTSUP;
	}
	ret = set("WEIR_SOFTVFIO", devices);
	if (ret == 0)
		ret = set("WEIR_SOFTVFIO_LIMIT", entries);
	return ret == 0 ? preloaded(library) : ret;
}

const char *
perf_softvfio_sysfs(void)
{
	return sysfs;
}

void
perf_softvfio_found(void)
{
	remove_tree(setting(MARK));
}
