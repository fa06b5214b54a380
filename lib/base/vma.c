/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "weir_vma.h"

#ifndef PROCMAP_QUERY
/* Kernel headers older than 6.11: the numbers of the interface. */
struct procmap_query {
	uint64_t size, query_flags, query_addr;
	uint64_t vma_start, vma_end, vma_flags, vma_page_size, vma_offset, inode;
	uint32_t dev_major, dev_minor, vma_name_size, build_id_size;
	uint64_t vma_name_addr, build_id_addr;
};
#define PROCMAP_QUERY _IOWR('f', 17, struct procmap_query)
enum {
	PROCMAP_QUERY_VMA_READABLE = 0x1,
	PROCMAP_QUERY_VMA_WRITABLE = 0x2,
	PROCMAP_QUERY_VMA_EXECUTABLE = 0x4,
	PROCMAP_QUERY_COVERING_OR_NEXT_VMA = 0x10,
};
#endif
_Static_assert(sizeof(struct procmap_query) == 104, "proc_pid_maps(5) and linux/fs.h");

static int
find_by_query(const struct weir_vma_reader *r, uint64_t addr, struct weir_vma *out)
{
	struct procmap_query q = {
		.size = sizeof(q),
		.query_flags = PROCMAP_QUERY_COVERING_OR_NEXT_VMA,
		.query_addr = addr,
	};

	if (ioctl(r->fd, PROCMAP_QUERY, &q) != 0)
		return -errno;
	out->hva = (struct weir_range){ q.vma_start, q.vma_end - 1 };
	out->prot = (q.vma_flags & PROCMAP_QUERY_VMA_READABLE ? PROT_READ : 0) |
		    (q.vma_flags & PROCMAP_QUERY_VMA_WRITABLE ? PROT_WRITE : 0) |
		    (q.vma_flags & PROCMAP_QUERY_VMA_EXECUTABLE ? PROT_EXEC : 0);
	out->file = q.inode != 0;
	return 0;
}

/* Past a number and the character after it; NULL if that is another. */
static const char *
parse_number(const char *p, int base, char after, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(p, &end, base);
	return errno == 0 && end != p && *end == after ? end + 1 : NULL;
}

/* proc_pid_maps(5): "start-end rwxp offset major:minor inode  name" */
static bool
parse_line(const char *p, struct weir_vma *out)
{
	uint64_t start, end, skipped, inode;
	const char *perms;

	p = parse_number(p, 16, '-', &start);
	p = p != NULL ? parse_number(p, 16, ' ', &end) : NULL;
	if (p == NULL || strlen(p) < 5)
		return false;
	perms = p;
	p = parse_number(p + 5, 16, ' ', &skipped);
	p = p != NULL ? parse_number(p, 16, ':', &skipped) : NULL;
	p = p != NULL ? parse_number(p, 16, ' ', &skipped) : NULL;
	/* without a name the line ends in blanks or at once */
	if (p == NULL || (parse_number(p, 10, ' ', &inode) == NULL &&
			  parse_number(p, 10, '\n', &inode) == NULL))
		return false;
	out->hva = (struct weir_range){ start, end - 1 };
	out->prot = (perms[0] == 'r' ? PROT_READ : 0) |
		    (perms[1] == 'w' ? PROT_WRITE : 0) |
		    (perms[2] == 'x' ? PROT_EXEC : 0);
	out->file = inode != 0;
	return true;
}

static int
find_by_text(uint64_t addr, struct weir_vma *out)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char *line = NULL;
	size_t len = 0;
	int ret = -ENOENT;

	if (f == NULL)
		return -errno;
	while (ret == -ENOENT && getline(&line, &len, f) > 0) {
		struct weir_vma v;

		if (!parse_line(line, &v)) {
			ret = -EPROTO;
		} else if (v.hva.last >= addr) {
			*out = v;
			ret = 0;
		}
	}
	free(line);
	fclose(f);
	return ret;
}

int
weir_vma_open(struct weir_vma_reader *r)
{
	struct weir_vma v;

	r->fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	if (r->fd < 0)
		return -errno;
	r->pid = getpid();
	r->query = find_by_query(r, 0, &v) == 0;
	return 0;
}

void
weir_vma_close(struct weir_vma_reader *r)
{
	close(r->fd);
	r->fd = -1;
}

int
weir_vma_find(struct weir_vma_reader *r, uint64_t addr, struct weir_vma *out)
{
	/* the descriptor goes on to show the parent's memory in a child */
	if (r->pid != getpid()) {
		int ret;

		weir_vma_close(r);
		ret = weir_vma_open(r);
		if (ret != 0)
			return ret;
	}
	return r->query ? find_by_query(r, addr, out) : find_by_text(addr, out);
}
