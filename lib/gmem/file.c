/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <linux/magic.h>

#include "gmem_guard.h"
#include "weir_fail.h"
#include "weir_gmem_file.h"
#include "weir_range.h"

#define PAGE_4K UINT64_C(4096)

/* hugetlbfs maps and unmaps whole huge pages only. */
static uint64_t
file_page(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC)
		return (uint64_t)fs.f_bsize;
	return PAGE_4K;
}

int
weir_gmem_file_map(struct weir_gmem_file *f, int fd, uint64_t offset, uint64_t len)
{
	struct weir_gmem_file new = { .len = len };
	uint64_t page, in_page;
	struct weir_range r;
	struct stat st;
	int ret;

	ret = weir_range_make(&r, offset, len);
	if (ret != 0)
		return ret;
	if (r.last > INT64_MAX)
		return -EOVERFLOW;
	if (fstat(fd, &st) != 0)
		return -errno;
	if (st.st_size <= 0 || r.last > (uint64_t)st.st_size - 1)
		return -ERANGE;
	if (weir_fail_point())
		return -ENOMEM;
	page = file_page(fd);
	in_page = offset & (page - 1);
	/* no wrap: both ends are in a file */
	new.map_len = (in_page + len + page - 1) & ~(page - 1);
	new.map = mmap(NULL, new.map_len, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		       (off_t)(offset - in_page));
	if (new.map == MAP_FAILED)
		return -errno;
	ret = gmem_guard_add(new.map, new.map_len, page, &new.guard);
	if (ret != 0) {
		munmap(new.map, new.map_len);
		return ret;
	}
	new.addr = (char *)new.map + in_page;
	*f = new;
	return 0;
}

void
weir_gmem_file_unmap(struct weir_gmem_file *f)
{
	if (f->map != NULL) {
		/* first: another's mapping may be at the address a moment later */
		gmem_guard_del(f->guard);
		munmap(f->map, f->map_len);
	}
	*f = (struct weir_gmem_file){ 0 };
}

void
weir_gmem_file_watch(struct weir_gmem_file *f, int event_fd)
{
	if (f->guard != NULL)
		gmem_guard_notify(f->guard, event_fd);
}

bool
weir_gmem_file_lost(const struct weir_gmem_file *f)
{
	return f->guard != NULL && gmem_guard_lost(f->guard);
}
