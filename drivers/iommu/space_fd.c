/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which of the process's descriptors is EAL's VFIO container.
 *
 * rte_vfio_get_container_fd() says so in DPDK 22.11.11 and 25.11.2. Others, 24.11.4 among
 * them, open a container each time that they are asked, which is empty and of no use, and
 * tell of theirs in no other way. So a page is mapped through EAL: the container of which
 * one entry less is left then is EAL's, whoever else has some.
 */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_vfio.h>

#include "weir_fd.h"
#include "weir_space.h"
#include "weir_vfio.h"

#define MAX_CONTAINERS 16u

struct container {
	int fd;
	uint64_t left; /* entries */
};

struct containers {
	struct container at[MAX_CONTAINERS];
	unsigned int nr;
};

/* Entries that a container has left; false: it has no device. */
static bool
entries_left(int fd, uint64_t *left)
{
	struct weir_iommu_caps caps;
	struct weir_vfio *v;
	int ret = weir_vfio_adopt(fd, &v);

	if (ret != 0)
		return false;
	ret = weir_vfio_ops(v)->caps(v, &caps);
	weir_vfio_destroy(v);
	*left = caps.max_entries;
	return ret == 0;
}

/* All that are open on what @p like is, and have a device. */
static void
containers_find(const char *like, struct containers *c)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *e;
	char name[64];

	c->nr = 0;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours */
	while (dir != NULL && c->nr < MAX_CONTAINERS && (e = readdir(dir)) != NULL) {
		struct container *one = &c->at[c->nr];

		one->fd = (int)strtol(e->d_name, NULL, 10);
		if (weir_fd_name(one->fd, name, sizeof(name)) == 0 &&
		    strcmp(name, like) == 0 && entries_left(one->fd, &one->left))
			c->nr++;
	}
	if (dir != NULL)
		closedir(dir);
}

/* The one of which an entry was taken. */
static int
container_changed(const struct containers *c)
{
	int fd = -ENODEV;
	uint64_t left;

	for (unsigned int i = 0; i < c->nr; i++) {
		if (!entries_left(c->at[i].fd, &left) || left != c->at[i].left - 1)
			continue;
		if (fd >= 0)
			return -ENODEV;
		fd = c->at[i].fd;
	}
	return fd;
}

/* Map a page through EAL, and see where. It is mapped where nobody has memory: at its own
 * address, or below what IOMMUs of 39 bits, and of 32, reach. */
static int
container_probe(const struct containers *c, uint64_t page)
{
	const uint64_t iova[] = { page, (UINT64_C(1) << 39) - WEIR_MAP_PAGE,
				  (UINT64_C(1) << 32) - WEIR_MAP_PAGE };
	int fd = -ENODEV;

	for (unsigned int i = 0; i < RTE_DIM(iova) && fd < 0; i++) {
		if (rte_vfio_container_dma_map(RTE_VFIO_DEFAULT_CONTAINER_FD, page,
					       iova[i], WEIR_MAP_PAGE) != 0)
			continue;
		fd = container_changed(c);
		rte_vfio_container_dma_unmap(RTE_VFIO_DEFAULT_CONTAINER_FD, page, iova[i],
					     WEIR_MAP_PAGE);
	}
	return fd;
}

static int
container_search(const char *like)
{
	/* EAL makes one of two maps that abut: the page has neighbours of its own */
	const size_t len = 3 * WEIR_MAP_PAGE;
	struct containers c;
	char *mem;
	int fd;

	containers_find(like, &c);
	if (c.nr == 0)
		return -ENODEV;
	/* one that is full cannot be asked */
	if (c.nr == 1 && c.at[0].left == 0)
		return c.at[0].fd;
	mem = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		return -ENOMEM;
	fd = container_probe(&c, (uintptr_t)mem + WEIR_MAP_PAGE);
	munmap(mem, len);
	return fd;
}

int
weir_space_eal_container(void)
{
	int fd = rte_vfio_get_container_fd(), again;
	char name[64];
	bool named;

	if (fd < 0)
		return -ENODEV;
	again = rte_vfio_get_container_fd();
	if (again == fd)
		return fd;
	/* they are ours, then */
	named = weir_fd_name(fd, name, sizeof(name)) == 0;
	close(fd);
	if (again >= 0)
		close(again);
	return named ? container_search(name) : -ENODEV;
}
