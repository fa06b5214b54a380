/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SV_VFIO_H
#define SV_VFIO_H
/**
 * @file
 * Containers, groups, device files: VFIO's objects and the order of its calls.
 *
 * As in the kernel a *file* is what descriptors refer to, several of them after
 * a dup(); an object behind it can live longer than the file. What keeps what:
 *
 *     descriptors, views ---> device file ---> group file
 *                                                 |
 *     descriptors ---> container file             v
 *                           |                   group
 *                           v                     |
 *                       container <---------------+  (SET_CONTAINER)
 *
 * A container has a domain (weir_sim.h) from SET_IOMMU until its last group
 * leaves: then all that was mapped is gone, and what it can do is open again. A
 * group leaves by UNSET_CONTAINER, or when its file is released; both wait for
 * its devices to be closed.
 *
 * Errnos and their order are the kernel's (doc/errors.md, measured on 6.1 and
 * 6.12; where the two differ 6.1 is followed: SET_CONTAINER with a descriptor
 * that is none of VFIO's answers -EINVAL, not -EBADFD). Of the interface are
 * left out: UPDATE_VADDR and dirty tracking (not announced, refused as a kernel
 * without them does), hot reset, no-IOMMU groups.
 *
 * Threads: all functions take the one lock of this file, but where said.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "sv_dev.h"

enum sv_kind { SV_CONTAINER, SV_GROUP, SV_DEVICE };

struct sv_container;
struct sv_group;

/** What a descriptor of ours refers to. */
struct sv_file {
	enum sv_kind kind;
	unsigned int refs; /**< descriptors, views, device files of a group */
	union {
		struct sv_container *container;
		struct sv_group *group;
		struct sv_dev *dev;
	};
	struct sv_file *group_file; /**< a device's: kept open by it */
};

/** A container. */
struct sv_container {
	unsigned int refs; /**< its file and the groups in it */
	unsigned int nr_groups;
	struct weir_sim *sim; /**< NULL before SET_IOMMU */
};

/** An IOMMU group: exists as long as the process. */
struct sv_group {
	unsigned int nr;
	struct sv_file *file; /**< NULL: not open */
	struct sv_container *container;
	unsigned int nr_users; /**< device files open */
};

/* Machine (machine.c): which devices and groups there are. */

/**
 * Take note of the devices asked for; they are made when first needed.
 *
 * @param spec  Copied.
 */
void sv_machine_init(const struct sv_spec *spec, unsigned int nr);

/** Make them. Once; later calls repeat its answer. @return 0 or -errno. */
int sv_machine_start(void);

/** The group of a number; NULL: there is none. */
struct sv_group *sv_machine_group(unsigned int nr);

/** The device of a name, in the group if that is not NULL; NULL: none. */
struct sv_dev *sv_machine_dev(const char *bdf, const struct sv_group *group);

/** The i-th device; NULL after the last. */
struct sv_dev *sv_machine_nth(unsigned int i);

/** Entries that a new domain may hold; 0: the kernel's default. */
extern uint64_t sv_entry_limit;

/** Where to listen for commands once there are devices; NULL: nowhere. */
extern const char *sv_ctl_path;

/* Descriptors (fd.c). */

/** True if @p fd is one of ours. No lock; any context. */
bool sv_fd_is_ours(int fd);

/**
 * open("/dev/vfio/...").
 *
 * @param name   What follows "/dev/vfio/".
 * @param flags  Of open(); only O_CLOEXEC matters.
 * @return a descriptor; -ENOENT: no such group; -EBUSY: the group is open;
 *         -EMFILE, -ENOMEM; or why the devices cannot be made.
 */
int sv_fd_open(const char *name, int flags);

/**
 * The caller is about to close a descriptor. Before it does so: after it the
 * number may be another file's.
 */
void sv_fd_closing(int fd);

/** @p copy refers to what @p fd does now; what it was before is closed. */
void sv_fd_copied(int fd, int copy);

/** ioctl(). @return what the caller gets; or -errno. */
int sv_fd_ioctl(int fd, unsigned long cmd, void *arg);

/** pread(), pwrite(), mmap() as of sv_dev.h. -EINVAL: it is not a device. */
ssize_t sv_fd_pread(int fd, void *buf, size_t len, uint64_t off);
ssize_t sv_fd_pwrite(int fd, const void *buf, size_t len, uint64_t off);
int sv_fd_mmap(int fd, void *addr, size_t len, int prot, int flags, uint64_t off,
	       void **out);

/**
 * Unplug a device, or plug it in again: as the kernel does it a driver that has it
 * open is asked to let go, and sysfs shows it until it has.
 *
 * @return 0; -EBUSY: it is still open, which only keeps it from being plugged in.
 */
int sv_fd_plug(struct sv_dev *d, bool there);

/* Files of each kind: with the lock. */

/** A file's last reference has gone (fd.c); frees it. */
void sv_file_put(struct sv_file *f);

/** Make a container. @return NULL: no memory. */
struct sv_container *sv_container_create(void);
void sv_container_put(struct sv_container *c);

/** An ioctl on it. @return what the caller gets; or -errno. */
int sv_container_ioctl(struct sv_container *c, unsigned long cmd, void *arg);

/** A group joins; in a container with a domain its devices share that. */
void sv_container_join(struct sv_container *c, struct sv_group *g);

/** A group leaves; with the last one all maps go. */
void sv_container_leave(struct sv_container *c, struct sv_group *g);

/** An ioctl on a group's file, but for GET_DEVICE_FD. @return 0 or -errno. */
int sv_group_ioctl(struct sv_group *g, unsigned long cmd, void *arg);

/** The group's file has gone. */
void sv_group_release(struct sv_group *g);

/**
 * Open a device of a group.
 *
 * @return 0; -ENODEV: no such device there, or it is unplugged; -EINVAL: no container, or
 * no domain; or as sv_dev_open().
 */
int sv_group_open_dev(struct sv_group *g, const char *bdf, struct sv_dev **out);
void sv_group_close_dev(struct sv_group *g, struct sv_dev *d);

/** The container behind a descriptor; NULL: it is none of ours, or no container. */
struct sv_container *sv_fd_container(int fd);

/* Elsewhere. */

/**
 * Write the tree that sysfs would show below @p root: sys/bus/pci, sys/module,
 * sys/kernel/iommu_groups (sysfs.c). A tree that is there already is left.
 *
 * @return 0; or why it cannot be written.
 */
int sv_sysfs_write(const char *root, const struct sv_spec *spec, unsigned int nr);

/** Show a device in the tree, or do not; of one that is open, that it is gone. Without a
 * tree nothing happens. */
void sv_sysfs_plug(const struct sv_spec *spec, bool there, bool is_open);

/**
 * Listen for commands at a path (ctl.c has them).
 *
 * @return 0; or why not.
 */
int sv_ctl_start(const char *path);

/** Carry out one command and say what came of it, a line or more. */
void sv_ctl_command(char *command, char *answer, size_t answer_len);

#endif /* SV_VFIO_H */
