/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * libweir_softvfio: VFIO, an IOMMU and PCI devices in a process that has none.
 *
 * Preloaded into an unmodified program, it stands in for the kernel's VFIO:
 * /dev/vfio/vfio and /dev/vfio/GROUP can be opened, answer their ioctls by the
 * rules of drivers/iommu/sim, and hand out device descriptors whose registers a
 * model works (sv_model.h). EAL, its PCI bus and the stock drivers run on it as
 * they are. devtools/softvfio sets it up:
 *
 *     devtools/softvfio --ioat 1 -- dpdk-test dmadev_autotest
 *
 * Environment:
 *
 *     WEIR_SOFTVFIO        the devices (sv_spec.h); without it all calls pass
 *     WEIR_SOFTVFIO_ROOT   a folder for the tree that sysfs would show; EAL finds
 *                          the devices there by SYSFS_PCI_DEVICES
 *     WEIR_SOFTVFIO_CTL    where to listen for commands (ctl.c)
 *     WEIR_SOFTVFIO_LIMIT  entries a container may hold, 65535 at first
 *
 * Why a folder of its own among the drivers: drivers/dma holds drivers, code
 * that DPDK loads and that drives an engine. This is the other side, what a
 * driver drives, and it knows nothing of DPDK.
 *
 * This file is the border: the libc functions that a program may reach VFIO by.
 * Each passes the call on unless it concerns us. It works for one process: a
 * forked child has no VFIO any more, since its devices' threads stay behind, and
 * descriptors sent to another process are empty files there.
 */
#undef _FILE_OFFSET_BITS /* both names of each function are defined here */
#undef _FORTIFY_SOURCE	 /* as functions, not as inline wrappers */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sv_vfio.h"
#include "sv_view.h"
#include "weir_args.h"
#include "weir_errno.h"

#define EXIT_SETUP 125 /* as env(1) and timeout(1) end when they fail themselves */

/* The functions that come after ours. */
static struct {
	int (*open)(const char *path, int flags, ...);
	int (*openat)(int dir, const char *path, int flags, ...);
	int (*close)(int fd);
	int (*ioctl)(int fd, unsigned long cmd, ...);
	void *(*mmap)(void *addr, size_t len, int prot, int flags, int fd, off_t off);
	int (*munmap)(void *addr, size_t len);
	ssize_t (*pread)(int fd, void *buf, size_t len, off_t off);
	ssize_t (*pwrite)(int fd, const void *buf, size_t len, off_t off);
	int (*dup)(int fd);
	int (*dup2)(int fd, int to);
	int (*dup3)(int fd, int to, int flags);
	int (*fcntl)(int fd, int cmd, ...);
	int (*stat)(const char *path, struct stat *st);
	int (*stat64)(const char *path, struct stat64 *st);
	int (*access)(const char *path, int mode);
	DIR *(*opendir)(const char *path);
	int (*sigaction)(int sig, const struct sigaction *act, struct sigaction *old);
	__sighandler_t (*signal)(int sig, __sighandler_t handler);
} next;

static char root[PATH_MAX]; /* empty: there is no tree */
static bool live;	    /* there are devices, and this is the process that has them */

/* Our functions may be called before our constructor: other libraries have some. */
__attribute__((cold)) static void
next_find(void)
{
	static const struct {
		const char *name;
		void *at;
	} table[] = {
		{ "open", &next.open },
		{ "openat", &next.openat },
		{ "ioctl", &next.ioctl },
		{ "mmap", &next.mmap },
		{ "munmap", &next.munmap },
		{ "pread", &next.pread },
		{ "pwrite", &next.pwrite },
		{ "dup", &next.dup },
		{ "dup2", &next.dup2 },
		{ "dup3", &next.dup3 },
		{ "fcntl", &next.fcntl },
		{ "stat", &next.stat },
		{ "stat64", &next.stat64 },
		{ "access", &next.access },
		{ "opendir", &next.opendir },
		{ "sigaction", &next.sigaction },
		{ "signal", &next.signal },
		{ "close", &next.close }, /* the last: what ready() looks at */
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		void *fn = dlsym(RTLD_NEXT, table[i].name);

		memcpy(table[i].at, &fn, sizeof(fn));
	}
}

static inline void
ready(void)
{
	if (__builtin_expect(next.close == NULL, 0))
		next_find();
}

/* A negative errno becomes what libc returns. */
static int
answer(int ret)
{
	if (ret >= 0)
		return ret;
	errno = -ret;
	return -1;
}

static bool
ours(int fd)
{
	return __builtin_expect(live, 0) && sv_fd_is_ours(fd);
}

/* Where a path of sysfs that the tree has lies there, in buf; else the path. */
static const char *
redirect(const char *path, char *buf)
{
	static const char *const prefix[] = {
		"/sys/module/vfio", /* and vfio_pci, vfio_iommu_type1 */
		"/sys/kernel/iommu_groups",
		"/sys/bus/pci/devices",
		"/sys/bus/pci/drivers/vfio-pci",
	};

	if (!live || *root == '\0' || path == NULL || strncmp(path, "/sys/", 5) != 0)
		return path;
	for (size_t i = 0; i < sizeof(prefix) / sizeof(prefix[0]); i++) {
		if (strncmp(path, prefix[i], strlen(prefix[i])) != 0)
			continue;
		if (snprintf(buf, PATH_MAX, "%s%s", root, path) < PATH_MAX)
			return buf;
	}
	return path;
}

/* What follows /dev/vfio/, NULL if the path is another one. */
static const char *
vfio_name(const char *path)
{
	static const char folder[] = "/dev/vfio/";

	if (!live || path == NULL || strncmp(path, folder, sizeof(folder) - 1) != 0)
		return NULL;
	return path + sizeof(folder) - 1;
}

static int
open_path(int dir, const char *path, int flags, unsigned int mode)
{
	const char *name = vfio_name(path);
	char buf[PATH_MAX];

	ready();
	if (name != NULL)
		return answer(sv_fd_open(name, flags));
	path = redirect(path, buf);
	return dir == AT_FDCWD ? next.open(path, flags, mode)
			       : next.openat(dir, path, flags, mode);
}

/* The mode that follows flags, if they make a file. */
#define MODE_OF(flags, mode)                                                      \
	do {                                                                      \
		if (((flags)&O_CREAT) != 0 || ((flags)&O_TMPFILE) == O_TMPFILE) { \
			va_list ap_;                                              \
			va_start(ap_, flags);                                     \
			mode = va_arg(ap_, unsigned int);                         \
			va_end(ap_);                                              \
		}                                                                 \
	} while (0)

int
open(const char *file, int oflag, ...)
{
	unsigned int mode = 0;

	MODE_OF(oflag, mode);
	return open_path(AT_FDCWD, file, oflag, mode);
}

int
open64(const char *file, int oflag, ...)
{
	unsigned int mode = 0;

	MODE_OF(oflag, mode);
	return open_path(AT_FDCWD, file, oflag | O_LARGEFILE, mode);
}

int
openat(int fd, const char *file, int oflag, ...)
{
	unsigned int mode = 0;

	MODE_OF(oflag, mode);
	return open_path(fd, file, oflag, mode);
}

int
openat64(int fd, const char *file, int oflag, ...)
{
	unsigned int mode = 0;

	MODE_OF(oflag, mode);
	return open_path(fd, file, oflag | O_LARGEFILE, mode);
}

/* What -D_FORTIFY_SOURCE makes of some of these calls. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
ssize_t __pread_chk(int fd, void *buf, size_t len, off_t off, size_t buf_len);
ssize_t __pread64_chk(int fd, void *buf, size_t len, off64_t off, size_t buf_len);

int
__open_2(const char *path, int flags)
{
	return open_path(AT_FDCWD, path, flags, 0);
}

int
__open64_2(const char *path, int flags)
{
	return open_path(AT_FDCWD, path, flags | O_LARGEFILE, 0);
}

int
close(int fd)
{
	ready();
	if (ours(fd))
		sv_fd_closing(fd);
	return next.close(fd);
}

int
ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	ready();
	if (ours(fd))
		return answer(sv_fd_ioctl(fd, request, arg));
	return next.ioctl(fd, request, arg);
}

void *
mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	bool fixed = (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) == MAP_FIXED;
	void *p = MAP_FAILED;

	ready();
	if (fixed && sv_views_any())
		sv_views_forget(addr, len);
	if (!ours(fd))
		return next.mmap(addr, len, prot, flags, fd, offset);
	if (answer(sv_fd_mmap(fd, addr, len, prot, flags, (uint64_t)offset, &p)) < 0)
		return MAP_FAILED;
	return p;
}

void *
mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t offset)
{
	return mmap(addr, len, prot, flags, fd, offset);
}

int
munmap(void *addr, size_t len)
{
	ready();
	if (sv_views_any())
		sv_views_forget(addr, len);
	return next.munmap(addr, len);
}

/* A count of bytes, or a negative errno, as libc returns it. */
static ssize_t
answer_bytes(ssize_t ret)
{
	return ret >= 0 ? ret : answer((int)ret);
}

ssize_t
pread(int fd, void *buf, size_t nbytes, off_t offset)
{
	ready();
	if (ours(fd))
		return answer_bytes(sv_fd_pread(fd, buf, nbytes, (uint64_t)offset));
	return next.pread(fd, buf, nbytes, offset);
}

ssize_t
pread64(int fd, void *buf, size_t nbytes, off64_t offset)
{
	return pread(fd, buf, nbytes, offset);
}

ssize_t
__pread_chk(int fd, void *buf, size_t len, off_t off, size_t buf_len)
{
	if (len > buf_len)
		abort();
	return pread(fd, buf, len, off);
}

ssize_t
__pread64_chk(int fd, void *buf, size_t len, off64_t off, size_t buf_len)
{
	return __pread_chk(fd, buf, len, off, buf_len);
}

ssize_t
pwrite(int fd, const void *buf, size_t n, off_t offset)
{
	ready();
	if (ours(fd))
		return answer_bytes(sv_fd_pwrite(fd, buf, n, (uint64_t)offset));
	return next.pwrite(fd, buf, n, offset);
}

ssize_t
pwrite64(int fd, const void *buf, size_t n, off64_t offset)
{
	return pwrite(fd, buf, n, offset);
}

/* A descriptor has been copied by the kernel: to a new number or over another. */
static int
copied(int fd, int copy)
{
	if (copy >= 0 && (ours(fd) || ours(copy)))
		sv_fd_copied(fd, copy);
	return copy;
}

int
dup(int fd)
{
	ready();
	return copied(fd, next.dup(fd));
}

int
dup2(int fd, int fd2)
{
	ready();
	return copied(fd, next.dup2(fd, fd2));
}

int
dup3(int fd, int fd2, int flags)
{
	ready();
	return copied(fd, next.dup3(fd, fd2, flags));
}

static int
fcntl_any(int fd, int cmd, void *arg)
{
	int ret;

	ready();
	ret = next.fcntl(fd, cmd, arg);
	return cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC ? copied(fd, ret) : ret;
}

int
fcntl(int fd, int cmd, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	return fcntl_any(fd, cmd, arg);
}

int
fcntl64(int fd, int cmd, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	return fcntl_any(fd, cmd, arg);
}

int
stat(const char *file, struct stat *buf)
{
	char moved[PATH_MAX];

	ready();
	return next.stat(redirect(file, moved), buf);
}

int
stat64(const char *file, struct stat64 *buf)
{
	char moved[PATH_MAX];

	ready();
	return next.stat64(redirect(file, moved), buf);
}

int
access(const char *name, int type)
{
	char buf[PATH_MAX];

	ready();
	return next.access(redirect(name, buf), type);
}

DIR *
opendir(const char *name)
{
	char buf[PATH_MAX];

	ready();
	/* DPDK 25.11 looks whether it is there; what is in it is asked of sysfs */
	if (live && strcmp(name, "/dev/vfio") == 0 && *root != '\0')
		return next.opendir(root);
	return next.opendir(redirect(name, buf));
}

int
sigaction(int sig, const struct sigaction *act, struct sigaction *oact)
{
	ready();
	if (live && sv_trap_sigaction(sig, act, oact) == 0)
		return 0;
	return next.sigaction(sig, act, oact);
}

__sighandler_t
signal(int sig, __sighandler_t handler)
{
	struct sigaction act = { .sa_handler = handler, .sa_flags = SA_RESTART }, old;

	ready();
	if (live && sv_trap_sigaction(sig, &act, &old) == 0)
		return old.sa_handler;
	return next.signal(sig, handler);
}

/* In a child the devices' threads are not. */
static void
forked(void)
{
	live = false;
}

/* The program has not begun, and would go on without its devices: end it here. */
__attribute__((noreturn, format(printf, 1, 2))) static void
give_up(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "softvfio: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	_exit(EXIT_SETUP);
}

/* Before main(), when nobody changes the environment. */
static const char *
setting(const char *name)
{
	return getenv(name); /* NOLINT(concurrency-mt-unsafe) */
}

/* Entries of a container, and the tree. */
static void
surroundings(const struct sv_spec *spec, unsigned int nr)
{
	const char *limit = setting("WEIR_SOFTVFIO_LIMIT");
	const char *dir = setting("WEIR_SOFTVFIO_ROOT");
	int ret;

	if (limit != NULL && weir_arg_number(limit, 1, UINT32_MAX, &sv_entry_limit) != 0)
		give_up("WEIR_SOFTVFIO_LIMIT: '%s' is no number of entries", limit);
	if (dir == NULL)
		return;
	if (strlen(dir) >= sizeof(root) / 2)
		give_up("WEIR_SOFTVFIO_ROOT: too long");
	ret = sv_sysfs_write(dir, spec, nr);
	if (ret != 0)
		give_up("%s: cannot write sysfs's tree there: %s", dir,
			weir_strerror(ret));
	memcpy(root, dir, strlen(dir) + 1);
}

__attribute__((constructor)) static void
shim_init(void)
{
	static struct sv_spec spec[SV_MAX_DEVICES];
	const char *text = setting("WEIR_SOFTVFIO");
	char why[160] = "";
	int nr;

	ready();
	if (text == NULL)
		return;
	nr = sv_spec_parse(text, spec, why, sizeof(why));
	if (nr < 0)
		give_up("WEIR_SOFTVFIO: %s", why);
	surroundings(spec, (unsigned int)nr);
	if (sched_getaffinity(0, sizeof(sv_home_cpus), &sv_home_cpus) != 0)
		CPU_ZERO(&sv_home_cpus);
	sv_ctl_path = setting("WEIR_SOFTVFIO_CTL");
	sv_machine_init(spec, (unsigned int)nr);
	pthread_atfork(NULL, NULL, forked);
	live = true;
}
