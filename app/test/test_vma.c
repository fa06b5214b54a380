/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"
#include "weir_vma.h"

#define PAGE 4096u

/* Three pages: writable, a hole, read-only and of a file. */
static enum test_result
check_pages(struct weir_vma_reader *r, uint64_t at)
{
	struct weir_vma v;

	TEST_EQ(weir_vma_find(r, at + 7, &v), 0);
	TEST_ASSERT(weir_range_has(v.hva, at) && v.hva.last == at + PAGE - 1);
	TEST_EQ(v.prot, PROT_READ | PROT_WRITE);
	TEST_ASSERT(!v.file);
	TEST_EQ(weir_vma_find(r, at + PAGE, &v), 0);
	TEST_EQ(v.hva.start, at + 2 * PAGE);
	TEST_EQ(v.prot, PROT_READ);
	TEST_ASSERT(v.file);
	return TEST_OK;
}

static enum test_result
find_in(struct weir_vma_reader *r)
{
	char *p = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = memfd_create("vma", 0);
	enum test_result res;

	TEST_ASSERT(p != MAP_FAILED && fd >= 0 && ftruncate(fd, PAGE) == 0);
	TEST_ASSERT(munmap(p + PAGE, PAGE) == 0);
	TEST_ASSERT(mmap(p + 2 * PAGE, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) !=
		    MAP_FAILED);
	res = check_pages(r, (uint64_t)(uintptr_t)p);
	munmap(p, 3 * PAGE);
	close(fd);
	return res;
}

static enum test_result
vma_find_by_query_covering_or_next(void)
{
	struct weir_vma_reader r;
	enum test_result res;

	TEST_EQ(weir_vma_open(&r), 0);
	res = r.query ? find_in(&r) : test_skip("this kernel has no PROCMAP_QUERY");
	weir_vma_close(&r);
	return res;
}

static enum test_result
vma_find_by_text_covering_or_next(void)
{
	struct weir_vma_reader r;
	enum test_result res;

	TEST_EQ(weir_vma_open(&r), 0);
	r.query = false;
	res = find_in(&r);
	weir_vma_close(&r);
	return res;
}

static enum test_result
vma_find_after_the_last_refused(void)
{
	struct weir_vma_reader r;
	struct weir_vma v;

	TEST_EQ(weir_vma_open(&r), 0);
	for (int i = 0; i < 2; i++, r.query = false)
		TEST_EQ(weir_vma_find(&r, UINT64_MAX, &v), -ENOENT);
	weir_vma_close(&r);
	return TEST_OK;
}

/* A page of a file that has a long name, and one of none. */
static enum test_result
check_backing(struct weir_vma_reader *r, uint64_t file, uint64_t anon)
{
	struct weir_vma_backing b;
	struct weir_vma v;

	TEST_EQ(weir_vma_backing(r, file + 5, &v, &b), 0);
	TEST_ASSERT(weir_range_has(v.hva, file) && v.file);
	TEST_EQ(b.page_len, PAGE);
	TEST_EQ(strlen(b.name), WEIR_VMA_NAME_LEN - 1);
	TEST_ASSERT(strstr(b.name, "zyx (deleted)") != NULL);
	TEST_EQ(weir_vma_backing(r, anon, &v, &b), 0);
	TEST_ASSERT(!v.file && b.page_len == PAGE && b.name[0] == '\0');
	/* what is not mapped, though something follows */
	TEST_EQ(weir_vma_backing(r, anon + PAGE, &v, &b), -ENOENT);
	TEST_EQ(weir_vma_backing(r, UINT64_MAX, &v, &b), -ENOENT);
	/* a name that is no file's */
	TEST_EQ(weir_vma_backing(r, (uintptr_t)__builtin_frame_address(0), &v, &b), 0);
	TEST_ASSERT(strcmp(b.name, "[stack]") == 0);
	return TEST_OK;
}

static enum test_result
backing_in(struct weir_vma_reader *r)
{
	char name[100] = { 0 };
	enum test_result res;
	char *p, *anon;
	int fd;

	memset(name, 'a', sizeof(name) - 4);
	memcpy(name + sizeof(name) - 4, "zyx", 4);
	fd = memfd_create(name, 0);
	TEST_ASSERT(fd >= 0 && ftruncate(fd, PAGE) == 0);
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	anon = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	TEST_ASSERT(p != MAP_FAILED && anon != MAP_FAILED &&
		    mprotect(anon, PAGE, PROT_READ) == 0 &&
		    munmap(anon + PAGE, PAGE) == 0);
	res = check_backing(r, (uint64_t)(uintptr_t)p, (uint64_t)(uintptr_t)anon);
	munmap(p, PAGE);
	munmap(anon, 3 * PAGE);
	close(fd);
	return res;
}

static enum test_result
vma_backing_by_query_or_text(void)
{
	struct weir_vma_reader r;
	enum test_result res = TEST_OK;

	TEST_EQ(weir_vma_open(&r), 0);
	if (r.query)
		res = backing_in(&r);
	r.query = false;
	if (res == TEST_OK)
		res = backing_in(&r);
	weir_vma_close(&r);
	return res;
}

static enum test_result
vma_backing_tells_huge_pages(void)
{
	const uint64_t huge = 2u << 20;
	struct weir_vma_backing b;
	struct weir_vma_reader r;
	struct weir_vma v;
	char *p = mmap(NULL, huge, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | 21 << 26 /* 2 MiB */,
		       -1, 0);

	if (p == MAP_FAILED)
		return test_skip("no huge page of 2 MiB is free");
	TEST_EQ(weir_vma_open(&r), 0);
	for (int i = 0; i < 2; i++, r.query = false) {
		TEST_EQ(weir_vma_backing(&r, (uint64_t)(uintptr_t)p + 12345, &v, &b), 0);
		TEST_EQ(b.page_len, huge);
		TEST_ASSERT(strstr(b.name, "huge") != NULL);
	}
	weir_vma_close(&r);
	munmap(p, huge);
	return TEST_OK;
}

static enum test_result
vma_nodes_of_pages_that_are_there(void)
{
	char *p = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t at = (uint64_t)(uintptr_t)p;
	uint64_t addr[3] = { at, at + PAGE, at + 2 * PAGE + 17 };
	int node[3] = { -1, 0, -1 };
	int ret;

	TEST_ASSERT(p != MAP_FAILED);
	p[0] = 1;
	p[2 * PAGE] = 1;
	ret = weir_vma_nodes(addr, node, 3);
	munmap(p, 3 * PAGE);
	if (ret == -ENOSYS || ret == -EPERM)
		return test_skip("no move_pages(2) here");
	TEST_EQ(ret, 0);
	TEST_ASSERT(node[0] >= 0 && node[1] < 0 && node[2] >= 0);
	return TEST_OK;
}

/* A child that maps memory of its own must not be shown its parent's list. */
static enum test_result
vma_find_after_fork_is_the_childs(void)
{
	struct weir_vma_reader r;
	int status = -1;
	pid_t pid;

	TEST_EQ(weir_vma_open(&r), 0);
	pid = fork();
	if (pid == 0)
		_exit(find_in(&r) == TEST_OK ? 0 : 1);
	TEST_ASSERT(pid > 0 && waitpid(pid, &status, 0) == pid);
	TEST_EQ(status, 0);
	weir_vma_close(&r);
	return TEST_OK;
}

static const struct test_case vma_cases[] = {
	{ "vma_find_by_query_covering_or_next", vma_find_by_query_covering_or_next },
	{ "vma_find_by_text_covering_or_next", vma_find_by_text_covering_or_next },
	{ "vma_find_after_the_last_refused", vma_find_after_the_last_refused },
	{ "vma_backing_by_query_or_text", vma_backing_by_query_or_text },
	{ "vma_backing_tells_huge_pages", vma_backing_tells_huge_pages },
	{ "vma_nodes_of_pages_that_are_there", vma_nodes_of_pages_that_are_there },
	{ "vma_find_after_fork_is_the_childs", vma_find_after_fork_is_the_childs },
};
AUTOTEST(vma_autotest, vma_cases);
