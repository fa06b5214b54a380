/* SPDX-License-Identifier: BSD-3-Clause */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
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

/* @param flags  COVERING_OR_NEXT or 0. The name's buffer is in the query already. */
static int
query(const struct weir_vma_reader *r, uint64_t addr, uint64_t flags,
      struct procmap_query *q, struct weir_vma *out)
{
	q->size = sizeof(*q);
	q->query_flags = flags;
	q->query_addr = addr;
	if (ioctl(r->fd, PROCMAP_QUERY, q) != 0)
		return -errno;
	out->hva = (struct weir_range){ q->vma_start, q->vma_end - 1 };
	out->prot = (q->vma_flags & PROCMAP_QUERY_VMA_READABLE ? PROT_READ : 0) |
		    (q->vma_flags & PROCMAP_QUERY_VMA_WRITABLE ? PROT_WRITE : 0) |
		    (q->vma_flags & PROCMAP_QUERY_VMA_EXECUTABLE ? PROT_EXEC : 0);
	out->file = q->inode != 0;
	return 0;
}

static int
find_by_query(const struct weir_vma_reader *r, uint64_t addr, struct weir_vma *out)
{
	struct procmap_query q = { 0 };

	return query(r, addr, PROCMAP_QUERY_COVERING_OR_NEXT_VMA, &q, out);
}

/* The name's end, which tells more of a path than its beginning. */
static void
name_set(struct weir_vma_backing *b, const char *name, size_t len)
{
	size_t skip = len >= sizeof(b->name) ? len - (sizeof(b->name) - 1) : 0;

	memcpy(b->name, name + skip, len - skip);
	b->name[len - skip] = '\0';
}

static int
backing_by_query(const struct weir_vma_reader *r, uint64_t addr, struct weir_vma *out,
		 struct weir_vma_backing *b)
{
	char name[PATH_MAX];
	struct procmap_query q = {
		.vma_name_addr = (uint64_t)(uintptr_t)name,
		.vma_name_size = sizeof(name),
	};
	int ret = query(r, addr, 0, &q, out);

	if (ret != 0)
		return ret;
	b->page_len = q.vma_page_size;
	/* with its NUL; 0: it has none */
	name_set(b, name, q.vma_name_size != 0 ? strnlen(name, sizeof(name)) : 0);
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

/*
 * proc_pid_maps(5): "start-end rwxp offset major:minor inode  name".
 *
 * @return the name, or the line's end.
 */
static const char *
parse_line(const char *p, struct weir_vma *out)
{
	uint64_t start, end, skipped, inode;
	const char *perms;
	char *rest;

	p = parse_number(p, 16, '-', &start);
	p = p != NULL ? parse_number(p, 16, ' ', &end) : NULL;
	if (p == NULL || strlen(p) < 5)
		return NULL;
	perms = p;
	p = parse_number(p + 5, 16, ' ', &skipped);
	p = p != NULL ? parse_number(p, 16, ':', &skipped) : NULL;
	p = p != NULL ? parse_number(p, 16, ' ', &skipped) : NULL;
	if (p == NULL || !isdigit((unsigned char)*p))
		return NULL;
	inode = strtoull(p, &rest, 10);
	out->hva = (struct weir_range){ start, end - 1 };
	out->prot = (perms[0] == 'r' ? PROT_READ : 0) |
		    (perms[1] == 'w' ? PROT_WRITE : 0) |
		    (perms[2] == 'x' ? PROT_EXEC : 0);
	out->file = inode != 0;
	return rest + strspn(rest, " ");
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

		if (parse_line(line, &v) == NULL) {
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

/* Lines that begin with a mapping as in maps are followed by figures of it. */
static int
read_smaps(FILE *f, uint64_t addr, struct weir_vma *out, struct weir_vma_backing *b)
{
	bool found = false;
	int ret = -ENOENT;
	char *line = NULL;
	size_t len = 0;

	while (ret == -ENOENT && getline(&line, &len, f) > 0) {
		const char *name;
		uint64_t kb;

		/* NOLINTNEXTLINE(cert-err34-c): the kernel's own number */
		if (found && sscanf(line, "KernelPageSize: %" SCNu64, &kb) == 1) {
			b->page_len = kb << 10;
			ret = 0;
		} else if (!found && (name = parse_line(line, out)) != NULL &&
			   weir_range_has(out->hva, addr)) {
			name_set(b, name, strcspn(name, "\n"));
			found = true;
		}
	}
	free(line);
	return found && ret != 0 ? -EPROTO : ret;
}

static int
backing_by_text(uint64_t addr, struct weir_vma *out, struct weir_vma_backing *b)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	int ret;

	if (f == NULL)
		return -errno;
	ret = read_smaps(f, addr, out, b);
	fclose(f);
	return ret;
}

int
weir_vma_nodes(const uint64_t *addr, int *node, unsigned int nr)
{
	/* without nodes to move to, it only tells */
	long ret = syscall(SYS_move_pages, 0, (unsigned long)nr, addr, NULL, node, 0);

	return ret < 0 ? -errno : 0;
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

/* The descriptor goes on to show the parent's memory in a child. */
static int
follow_fork(struct weir_vma_reader *r)
{
	if (r->pid == getpid())
		return 0;
	weir_vma_close(r);
	return weir_vma_open(r);
}

int
weir_vma_find(struct weir_vma_reader *r, uint64_t addr, struct weir_vma *out)
{
	int ret = follow_fork(r);

	if (ret != 0)
		return ret;
	return r->query ? find_by_query(r, addr, out) : find_by_text(addr, out);
}

int
weir_vma_backing(struct weir_vma_reader *r, uint64_t addr, struct weir_vma *out,
		 struct weir_vma_backing *backing)
{
	int ret = follow_fork(r);

	if (ret != 0)
		return ret;
	return r->query ? backing_by_query(r, addr, out, backing)
			: backing_by_text(addr, out, backing);
}
