/* SPDX-License-Identifier: BSD-3-Clause */
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
	{ "vma_find_after_fork_is_the_childs", vma_find_after_fork_is_the_childs },
};
AUTOTEST(vma_autotest, vma_cases);
