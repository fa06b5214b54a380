/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/memfd.h>

#include "test.h"
#include "weir_fail.h"
#include "weir_gmem.h"
#include "weir_gmem_file.h"

#define PAGE 4096u
#define FILE_PAGES 64u

static int
file_make(void)
{
	int fd = memfd_create("test_gmem", MFD_CLOEXEC);

	if (fd >= 0 && ftruncate(fd, FILE_PAGES * PAGE) != 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* Slot of nr_pages at gpa page, uva = gpa + 1 TiB, file offset = gpa. */
static int
add(const struct weir_gmem **g, int fd, uint64_t page, uint64_t nr_pages)
{
	const struct weir_gmem_region r = {
		.gpa = page * PAGE,
		.len = nr_pages * PAGE,
		.uva = (UINT64_C(1) << 40) + page * PAGE,
		.mmap_offset = page * PAGE,
	};
	struct weir_gmem *more;
	int ret = weir_gmem_add(*g, &r, fd, &more);

	if (ret == 0) {
		weir_gmem_put(*g);
		*g = more;
	}
	return ret;
}

static enum test_result
table_any_order_sorted(void)
{
	const struct weir_gmem *g = &weir_gmem_empty;
	int fd = file_make();

	TEST_ASSERT(fd >= 0);
	TEST_EQ(add(&g, fd, 8, 4), 0);
	TEST_EQ(add(&g, fd, 0, 4), 0);
	TEST_EQ(add(&g, fd, 4, 4), 0);
	TEST_EQ(g->nr_slots, 3);
	for (uint32_t i = 0; i < 3; i++)
		TEST_EQ(g->slot[i].gpa.start, i * 4 * PAGE);
	weir_gmem_put(g);
	close(fd);
	return TEST_OK;
}

static enum test_result
region_bad_refused_and_nothing_changed(void)
{
	const struct weir_gmem *g = &weir_gmem_empty, *was;
	int fd = file_make();
	struct weir_gmem *out;
	const struct {
		struct weir_gmem_region r;
		int ret;
	} bad[] = {
		{ { 0, 0, 0, 0 }, -EINVAL },
		{ { 1, PAGE, 0, 0 }, -EINVAL },
		{ { 0x100000, PAGE + 1, 0x100000, 0 }, -EINVAL },
		{ { 0x100000, PAGE, 0x100000, 7 }, -EINVAL },
		{ { UINT64_MAX - PAGE + 1, 2 * PAGE, 0, 0 }, -EOVERFLOW },
		{ { 0x100000, 2 * PAGE, UINT64_MAX - PAGE + 1, 0 }, -EOVERFLOW },
		{ { 0x100000, PAGE, 0x100000, UINT64_MAX - PAGE + 1 }, -EOVERFLOW },
		/* one page beyond the file */
		{ { 0x100000, 2 * PAGE, 0x100000, (FILE_PAGES - 1) * PAGE }, -ERANGE },
		/* the same gpa, another uva; and the other way round */
		{ { 2 * PAGE, PAGE, 0x100000, 0 }, -EEXIST },
		{ { 0x100000, PAGE, (UINT64_C(1) << 40) + 2 * PAGE, 0 }, -EEXIST },
	};

	TEST_ASSERT(fd >= 0);
	TEST_EQ(add(&g, fd, 0, 4), 0);
	was = g;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		TEST_EQ(weir_gmem_add(g, &bad[i].r, fd, &out), bad[i].ret);
		TEST_ASSERT(g == was && g->nr_slots == 1);
	}
	weir_gmem_put(g);
	close(fd);
	return TEST_OK;
}

/* stat(2) says of a device that it has no bytes. */
static enum test_result
memory_of_a_device_mapped(void)
{
	const struct weir_gmem_region r = { 0, 4 * PAGE, UINT64_C(1) << 40, PAGE };
	struct weir_gmem *g;
	int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	char *p;

	TEST_ASSERT(fd >= 0);
	TEST_EQ(weir_gmem_add(&weir_gmem_empty, &r, fd, &g), 0);
	p = weir_gmem_uva(g, r.uva, r.len);
	TEST_ASSERT(p != NULL);
	p[r.len - 1] = 1;
	weir_gmem_put(g);
	close(fd);
	return TEST_OK;
}

static enum test_result
translate_cut_at_the_slot(void)
{
	const struct weir_gmem *g = &weir_gmem_empty;
	uint64_t len, iova;
	uint32_t hint = 77; /* any value is safe */
	int fd = file_make();
	char *p;

	TEST_ASSERT(fd >= 0);
	TEST_EQ(add(&g, fd, 0, 2), 0);
	TEST_EQ(add(&g, fd, 2, 2), 0);
	len = 3 * PAGE;
	p = weir_gmem_translate(g, (struct weir_gpa){ PAGE }, &len, &iova, &hint);
	TEST_ASSERT(p == (char *)(uintptr_t)g->slot[0].hva + PAGE);
	TEST_EQ(len, PAGE);
	TEST_EQ(iova, (uintptr_t)p);
	len = 1;
	TEST_ASSERT(weir_gmem_translate(g, (struct weir_gpa){ 4 * PAGE }, &len, &iova,
					&hint) == NULL);
	len = UINT64_MAX;
	p = weir_gmem_translate(g, (struct weir_gpa){ 4 * PAGE - 1 }, &len, &iova, &hint);
	TEST_ASSERT(p != NULL);
	TEST_EQ(len, 1);
	TEST_ASSERT(weir_gmem_uva(g, (UINT64_C(1) << 40) + PAGE, PAGE) != NULL);
	/* contiguous for the frontend, two mappings here */
	TEST_ASSERT(weir_gmem_uva(g, (UINT64_C(1) << 40) + PAGE, 2 * PAGE) == NULL);
	TEST_ASSERT(weir_gmem_uva(g, UINT64_MAX, 2) == NULL);
	weir_gmem_put(g);
	close(fd);
	return TEST_OK;
}

static enum test_result
tables_share_memory_until_the_last(void)
{
	const struct weir_gmem *g = &weir_gmem_empty;
	struct weir_gmem *less;
	unsigned char vec;
	int fd = file_make();
	void *kept, *gone;

	TEST_ASSERT(fd >= 0);
	TEST_EQ(add(&g, fd, 0, 1), 0);
	TEST_EQ(add(&g, fd, 1, 1), 0);
	gone = (void *)(uintptr_t)g->slot[0].hva;
	kept = (void *)(uintptr_t)g->slot[1].hva;
	TEST_EQ(weir_gmem_del(g, (struct weir_gpa){ PAGE / 2 }, &less), -ENOENT);
	TEST_EQ(weir_gmem_del(g, (struct weir_gpa){ 0 }, &less), 0);
	TEST_EQ(mincore(gone, PAGE, &vec), 0); /* the old table still has it */
	weir_gmem_put(g);
	TEST_EQ(mincore(kept, PAGE, &vec), 0);
	TEST_ASSERT(mincore(gone, PAGE, &vec) == -1 && errno == ENOMEM);
	memset(kept, 0x5a, PAGE);
	weir_gmem_put(less);
	close(fd);
	return TEST_OK;
}

static enum test_result
add_any_failure_rolled_back(void)
{
	const struct weir_gmem *g = &weir_gmem_empty, *was;
	int fd = file_make();
	unsigned int n;

	TEST_ASSERT(fd >= 0);
	TEST_EQ(add(&g, fd, 0, 1), 0);
	was = g;
	for (n = 1;; n++) {
		int ret;

		weir_fail_arm(n);
		ret = add(&g, fd, 1, 1);
		if (weir_fail_armed()) {
			weir_fail_arm(0);
			TEST_EQ(ret, 0);
			break;
		}
		TEST_EQ(ret, -ENOMEM);
		TEST_ASSERT(g == was && g->nr_slots == 1);
	}
	/* a table, a backing, a mapping */
	TEST_EQ(n, 4);
	weir_gmem_put(g);
	close(fd);
	return TEST_OK;
}

/* Each operation on a table of three slots, of which one has a log. */
static int
change(const struct weir_gmem *g, int which, int fd, struct weir_gmem **out)
{
	const struct weir_gmem_region r[2] = {
		{ 0, PAGE, UINT64_C(1) << 40, 0 },
		{ 9 * PAGE, PAGE, UINT64_C(1) << 41, 0 },
	};
	const int fds[2] = { fd, fd };
	uint32_t bad;

	switch (which) {
	case 0:
		return weir_gmem_create(g, 7, &r[1], fd, out);
	case 1:
		return weir_gmem_delete(g, 1, out);
	case 2:
		return weir_gmem_move(g, 1, (struct weir_gpa){ 20 * PAGE }, out);
	case 3:
		return weir_gmem_set_flags(g, 0, WEIR_GMEM_LOG, out);
	default:
		return weir_gmem_replace(g, r, fds, 2, out, &bad);
	}
}

static enum test_result
change_any_failure_rolled_back(void)
{
	const struct weir_gmem *g = &weir_gmem_empty;
	struct weir_gmem *out;
	int fd = file_make();

	TEST_ASSERT(fd >= 0);
	for (uint64_t i = 0; i < 3; i++)
		TEST_EQ(add(&g, fd, i, 1), 0);
	TEST_EQ(weir_gmem_set_flags(g, 1, WEIR_GMEM_LOG, &out), 0);
	weir_gmem_put(g);
	g = out;
	for (int which = 0; which < 5; which++) {
		for (unsigned int n = 1;; n++) {
			bool unused;
			int ret;

			weir_fail_arm(n);
			ret = change(g, which, fd, &out);
			unused = weir_fail_armed();
			weir_fail_arm(0);
			TEST_EQ(ret, unused ? 0 : -ENOMEM);
			TEST_EQ(g->nr_slots, 3);
			TEST_EQ(g->nr_logged, 1);
			if (unused)
				break;
		}
		weir_gmem_put(out);
	}
	weir_gmem_put(g);
	close(fd);
	return TEST_OK;
}

/* What a caller may get wrong, and nothing changes. */
static enum test_result
change_bad_refused(void)
{
	const struct weir_gmem_region r = { 9 * PAGE, PAGE, UINT64_C(1) << 41, 0 };
	const struct weir_gmem *g = &weir_gmem_empty;
	const struct weir_gmem_region two[2] = { r, r };
	int fd = file_make(), fds[2] = { fd, fd };
	struct weir_gmem *out;
	uint32_t bad;

	TEST_ASSERT(fd >= 0);
	TEST_EQ(add(&g, fd, 0, 2), 0);
	TEST_EQ(weir_gmem_create(g, 0, &r, fd, &out), -EEXIST);
	TEST_EQ(weir_gmem_create(g, WEIR_GMEM_MAX_SLOTS, &r, fd, &out), -EINVAL);
	TEST_EQ(weir_gmem_delete(g, 1, &out), -ENOENT);
	TEST_EQ(weir_gmem_move(g, 1, (struct weir_gpa){ 0 }, &out), -ENOENT);
	TEST_EQ(weir_gmem_move(g, 0, (struct weir_gpa){ 1 }, &out), -EINVAL);
	TEST_EQ(weir_gmem_move(g, 0, (struct weir_gpa){ UINT64_MAX - PAGE + 1 }, &out),
		-EOVERFLOW);
	TEST_EQ(weir_gmem_set_flags(g, 0, 2, &out), -EINVAL);
	TEST_EQ(weir_gmem_set_flags(g, 1, 0, &out), -ENOENT);
	TEST_ASSERT(weir_gmem_slot(g, 1) == NULL);
	TEST_ASSERT(weir_gmem_slot(&weir_gmem_empty, 0) == NULL);
	/* it says which */
	TEST_EQ(weir_gmem_replace(g, two, fds, 2, &out, &bad), -EEXIST);
	TEST_EQ(bad, 1);
	fds[1] = -1;
	TEST_EQ(weir_gmem_replace(g, two, fds, 2, &out, &bad), -EBADF);
	TEST_EQ(bad, 1);
	TEST_EQ(weir_gmem_replace(g, two, fds, WEIR_GMEM_MAX_SLOTS + 1, &out, &bad),
		-ENOSPC);
	weir_gmem_put(g);
	close(fd);
	return TEST_OK;
}

/* As many slots as there may be, in one go, one more, one less. */
static enum test_result
slots_as_many_as_there_may_be(void)
{
	static struct weir_gmem_region r[WEIR_GMEM_MAX_SLOTS];
	static int fds[WEIR_GMEM_MAX_SLOTS];
	int fd = file_make();
	const struct weir_gmem_region more = { 0, PAGE, UINT64_C(1) << 41, 0 };
	struct weir_gmem *g, *less, *again;
	uint32_t bad, hint = 0;

	TEST_ASSERT(fd >= 0);
	for (uint64_t i = 0; i < WEIR_GMEM_MAX_SLOTS; i++) {
		/* from above to below, with holes */
		r[i] = (struct weir_gmem_region){ (2 * (WEIR_GMEM_MAX_SLOTS - i)) * PAGE,
						  PAGE, (3 * i + 1) * PAGE, 0 };
		fds[i] = fd;
	}
	TEST_EQ(weir_gmem_replace(&weir_gmem_empty, r, fds, WEIR_GMEM_MAX_SLOTS, &g,
				  &bad),
		0);
	TEST_EQ(weir_gmem_add(g, &more, fd, &again), -ENOSPC);
	TEST_EQ(weir_gmem_delete(g, 777, &less), 0);
	TEST_EQ(weir_gmem_add(less, &more, fd, &again), 0);
	TEST_EQ(weir_gmem_slot(again, 777)->gpa.start, 0);
	for (uint64_t i = 0; i < WEIR_GMEM_MAX_SLOTS; i++) {
		const struct weir_gmem_slot *s =
			weir_gmem_find(again, (struct weir_gpa){ r[i].gpa + 5 }, &hint);

		TEST_ASSERT(i == 777 ? s == NULL : s != NULL && s->id == i);
	}
	weir_gmem_put(g);
	weir_gmem_put(less);
	weir_gmem_put(again);
	close(fd);
	return TEST_OK;
}

static enum test_result
find_random_as_a_linear_search(void)
{
	const struct weir_gmem *g = &weir_gmem_empty;
	uint64_t rnd = test_seed();
	uint32_t hint = 0;
	int fd = file_make();

	TEST_ASSERT(fd >= 0);
	for (uint64_t page = 0; page + 3 < FILE_PAGES; page += 3 + test_rand(&rnd) % 3)
		TEST_EQ(add(&g, fd, page, 1 + test_rand(&rnd) % 3), 0);
	for (int n = 0; n < 200000; n++) {
		uint64_t gpa = test_rand(&rnd) % ((FILE_PAGES + 1) * PAGE);
		const struct weir_gmem_slot *want = NULL;

		for (uint32_t i = 0; i < g->nr_slots; i++)
			if (weir_range_has(g->slot[i].gpa, gpa))
				want = &g->slot[i];
		TEST_ASSERT(weir_gmem_find(g, (struct weir_gpa){ gpa }, &hint) == want);
	}
	weir_gmem_put(g);
	close(fd);
	return TEST_OK;
}

/* The frontend cuts the file: no SIGBUS, zeroes, and somebody is told. */
static enum test_result
memory_cut_short_reads_as_zeroes(void)
{
	const struct weir_gmem *g = &weir_gmem_empty;
	int fd = file_make(), ev = eventfd(0, EFD_NONBLOCK);
	volatile char *a, *b;
	eventfd_t n;

	TEST_ASSERT(fd >= 0 && ev >= 0);
	TEST_EQ(add(&g, fd, 0, 8), 0);
	TEST_EQ(add(&g, fd, 8, 8), 0);
	weir_gmem_watch(g, ev);
	a = (char *)(uintptr_t)g->slot[0].hva;
	b = (char *)(uintptr_t)g->slot[1].hva;
	memset((char *)(uintptr_t)g->slot[0].hva, 7, 8 * PAGE);
	memset((char *)(uintptr_t)g->slot[1].hva, 7, 8 * PAGE);
	TEST_ASSERT(weir_gmem_lost(g) == NULL);
	TEST_EQ(ftruncate(fd, 10 * PAGE), 0);
	TEST_EQ(b[2 * PAGE - 1], 7);
	TEST_ASSERT(weir_gmem_lost(g) == NULL);
	TEST_EQ(eventfd_read(ev, &n), -1);
	TEST_EQ(b[5 * PAGE], 0);
	TEST_ASSERT(weir_gmem_lost(g) == &g->slot[1]);
	TEST_EQ(eventfd_read(ev, &n), 0);
	/* a page in front of the one that was hit; writes are as good as reads */
	b[2 * PAGE] = 9;
	TEST_EQ(b[2 * PAGE], 9);
	TEST_EQ(b[8 * PAGE - 1], 0);
	TEST_EQ(b[0], 7);
	TEST_EQ(a[8 * PAGE - 1], 7);
	weir_gmem_put(g);
	/* the memory is forgotten with its table */
	g = &weir_gmem_empty;
	TEST_EQ(ftruncate(fd, FILE_PAGES * PAGE), 0);
	TEST_EQ(add(&g, fd, 0, 8), 0);
	TEST_ASSERT(weir_gmem_lost(g) == NULL);
	weir_gmem_put(g);
	close(ev);
	close(fd);
	return TEST_OK;
}

/* Somebody else's memory, and their handler for it. */
static char *other_mem;
static unsigned int other_calls;

static void
other_handler(int sig, siginfo_t *info, void *ctx)
{
	(void)sig;
	(void)ctx;
	other_calls++;
	if (info->si_addr == other_mem &&
	    mmap(other_mem, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		 0) == MAP_FAILED)
		_exit(EXIT_FAILURE);
}

static struct sigaction above_old;

/* As DPDK's, where libc has a flag of its own: one argument of three. */
static void
above_handler(int sig, siginfo_t *info, void *ctx)
{
	(void)info;
	(void)ctx;
	above_old.sa_sigaction(sig, (siginfo_t *)(uintptr_t)PAGE, NULL);
}

static int
other_mem_make(void)
{
	int fd = file_make();

	other_mem = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	if (fd < 0 || other_mem == MAP_FAILED || ftruncate(fd, 0) != 0)
		return -1;
	close(fd);
	return 0;
}

static enum test_result
signal_of_another_is_handed_on(void)
{
	const struct sigaction other = { .sa_sigaction = other_handler,
					 .sa_flags = SA_SIGINFO };
	const struct weir_gmem *g = &weir_gmem_empty;
	struct sigaction before;
	int fd = file_make();

	TEST_ASSERT(fd >= 0);
	TEST_EQ(other_mem_make(), 0);
	sigaction(SIGBUS, &other, &before);
	other_calls = 0;
	/* a new mapping puts our handler on top of theirs */
	TEST_EQ(add(&g, fd, 0, 4), 0);
	TEST_EQ(*(volatile char *)other_mem, 0);
	TEST_EQ(other_calls, 1);
	TEST_EQ(ftruncate(fd, 0), 0);
	TEST_EQ(*(volatile char *)(uintptr_t)g->slot[0].hva, 0);
	TEST_EQ(other_calls, 1);
	TEST_ASSERT(weir_gmem_lost(g) != NULL);
	weir_gmem_put(g);
	munmap(other_mem, PAGE);
	sigaction(SIGBUS, &before, NULL);
	close(fd);
	return TEST_OK;
}

/* A handler that came after ours, and hands on without siginfo. */
static enum test_result
signal_handed_on_without_info_is_ours(void)
{
	const struct sigaction above = { .sa_sigaction = above_handler,
					 .sa_flags = SA_SIGINFO };
	const struct weir_gmem *g = &weir_gmem_empty;
	int fd = file_make();

	TEST_ASSERT(fd >= 0);
	TEST_EQ(add(&g, fd, 0, 4), 0);
	for (int i = 0; i < 40; i++) {
		TEST_EQ(sigaction(SIGBUS, &above, &above_old), 0);
		TEST_EQ(ftruncate(fd, 0), 0);
		TEST_EQ(*(volatile char *)(uintptr_t)g->slot[0].hva, 0);
		TEST_ASSERT(weir_gmem_lost(g) != NULL);
		weir_gmem_put(g);
		g = &weir_gmem_empty;
		TEST_EQ(ftruncate(fd, FILE_PAGES * PAGE), 0);
		TEST_EQ(add(&g, fd, 0, 4), 0);
	}
	weir_gmem_put(g);
	close(fd);
	return TEST_OK;
}

/* More mappings than a block of entries, and each is found. */
static enum test_result
memory_of_many_slots_each_guarded(void)
{
	const struct weir_gmem *g[3] = { &weir_gmem_empty, &weir_gmem_empty,
					 &weir_gmem_empty };
	int fd = file_make();

	TEST_ASSERT(fd >= 0);
	for (uint64_t i = 0; i < FILE_PAGES; i++)
		for (int t = 0; t < 3; t++)
			TEST_EQ(add(&g[t], fd, i, 1), 0);
	TEST_EQ(ftruncate(fd, 0), 0);
	for (uint64_t i = 0; i < FILE_PAGES; i++)
		for (int t = 0; t < 3; t++)
			TEST_EQ(*(volatile char *)(uintptr_t)g[t]->slot[i].hva, 0);
	for (int t = 0; t < 3; t++)
		weir_gmem_put(g[t]);
	close(fd);
	return TEST_OK;
}

/* An area of the protocol's own: any place in its file, and guarded as memory is. */
static enum test_result
file_mapped_at_any_offset_and_guarded(void)
{
	struct weir_gmem_file f = { 0 };
	int fd = file_make(), told = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	eventfd_t n;

	TEST_ASSERT(fd >= 0 && told >= 0);
	TEST_EQ(weir_gmem_file_map(&f, fd, 0, 0), -EINVAL);
	TEST_EQ(weir_gmem_file_map(&f, fd, UINT64_MAX, 2), -EOVERFLOW);
	TEST_EQ(weir_gmem_file_map(&f, fd, INT64_MAX, 2), -EOVERFLOW);
	TEST_EQ(weir_gmem_file_map(&f, fd, 1, FILE_PAGES * PAGE), -ERANGE);
	TEST_EQ(weir_gmem_file_map(&f, told, 0, 8), -ERANGE);
	weir_fail_arm(1);
	TEST_EQ(weir_gmem_file_map(&f, fd, 0, PAGE), -ENOMEM);
	TEST_ASSERT(f.addr == NULL);
	TEST_EQ(pwrite(fd, "weir", 4, PAGE + 100), 4);
	TEST_EQ(weir_gmem_file_map(&f, fd, PAGE + 100, FILE_PAGES * PAGE - PAGE - 100),
		0);
	TEST_EQ(memcmp(f.addr, "weir", 4), 0);
	weir_gmem_file_watch(&f, told);
	TEST_ASSERT(!weir_gmem_file_lost(&f));
	TEST_EQ(ftruncate(fd, PAGE), 0);
	TEST_EQ(*(volatile char *)f.addr, 0);
	TEST_ASSERT(weir_gmem_file_lost(&f));
	TEST_EQ(eventfd_read(told, &n), 0);
	weir_gmem_file_unmap(&f);
	TEST_ASSERT(f.addr == NULL && !weir_gmem_file_lost(&f));
	weir_gmem_file_unmap(&f);
	close(told);
	close(fd);
	return TEST_OK;
}

/* True if there is memory at a page. */
static bool
mapped(uint64_t page)
{
	return msync((void *)(uintptr_t)page, PAGE, MS_ASYNC) == 0;
}

/* Words are looked at in the first, the last, one and the same page, and elsewhere. */
static enum test_result
memory_goes_from_under_words(void)
{
	const struct weir_gmem *g = &weir_gmem_empty, *other = &weir_gmem_empty;
	static const uint64_t at[] = { 7 * PAGE + 8, 16, 3 * PAGE, 3 * PAGE + 2048, 0 };
	struct weir_range word[6];
	int fd = file_make();
	uint64_t hva;
	char *bytes;

	TEST_ASSERT(fd >= 0);
	TEST_EQ(add(&g, fd, 0, 8), 0);
	TEST_EQ(add(&other, fd, 0, 8), 0);
	hva = g->slot[0].hva;
	bytes = (char *)(uintptr_t)hva;
	memset(bytes, 0x55, 8 * PAGE);
	for (unsigned int i = 0; i < 5; i++)
		word[i] = (struct weir_range){ hva + at[i], hva + at[i] };
	word[5] = (struct weir_range){ other->slot[0].hva, other->slot[0].hva };
	weir_gmem_put_watched(g, word, 6);
	for (unsigned int i = 0; i < 5; i++) {
		TEST_EQ(word[i].start, hva + (at[i] & ~UINT64_C(4095)));
		TEST_EQ(word[i].last, word[i].start + PAGE - 1);
	}
	/* another's memory is not touched, nor the file that was looked at */
	TEST_EQ(word[5].last, word[5].start);
	TEST_EQ(*(char *)(uintptr_t)other->slot[0].hva, 0x55);
	for (unsigned int i = 0; i < 8; i++) {
		TEST_EQ(mapped(hva + i * PAGE), i == 0 || i == 3 || i == 7);
		if (mapped(hva + i * PAGE)) {
			TEST_EQ(bytes[i * PAGE + 100], 0);
			bytes[i * PAGE] = 1;
			munmap(bytes + i * PAGE, PAGE);
		}
	}
	TEST_EQ(*(char *)(uintptr_t)other->slot[0].hva, 0x55);
	weir_gmem_put(other);
	close(fd);
	return TEST_OK;
}

/* A huge page has zeroes over all of it for a moment, and is cut then. */
static enum test_result
huge_memory_goes_from_under_words(void)
{
	const uint64_t huge = UINT64_C(2) << 20;
	const struct weir_gmem_region r = { .len = 2 * huge, .uva = UINT64_C(1) << 40 };
	int fd = memfd_create("test_gmem_huge", MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_2MB);
	struct weir_range word[2];
	struct weir_gmem *g;
	uint64_t hva;

	if (fd < 0 || ftruncate(fd, 2 * (off_t)huge) != 0 ||
	    weir_gmem_add(&weir_gmem_empty, &r, fd, &g) != 0) {
		close(fd);
		return test_skip("no two huge pages of 2 MiB");
	}
	hva = g->slot[0].hva;
	word[0] = (struct weir_range){ hva + huge + 5 * PAGE, hva + huge + 5 * PAGE };
	word[1] = (struct weir_range){ hva + huge + 64, hva + huge + 64 };
	weir_gmem_put_watched(g, word, 2);
	TEST_EQ(word[0].start, hva + huge + 5 * PAGE);
	TEST_EQ(word[1].start, hva + huge);
	for (unsigned int i = 0; i < 2; i++) {
		TEST_EQ(*(uint64_t *)(uintptr_t)word[i].start, 0);
		TEST_ASSERT(!mapped(word[i].start + PAGE));
		munmap((void *)(uintptr_t)word[i].start, PAGE);
	}
	TEST_ASSERT(!mapped(hva));
	close(fd);
	return TEST_OK;
}

static const struct test_case gmem_cases[] = {
	{ "table_any_order_sorted", table_any_order_sorted },
	{ "region_bad_refused_and_nothing_changed",
	  region_bad_refused_and_nothing_changed },
	{ "memory_of_a_device_mapped", memory_of_a_device_mapped },
	{ "translate_cut_at_the_slot", translate_cut_at_the_slot },
	{ "tables_share_memory_until_the_last", tables_share_memory_until_the_last },
	{ "add_any_failure_rolled_back", add_any_failure_rolled_back },
	{ "change_any_failure_rolled_back", change_any_failure_rolled_back },
	{ "change_bad_refused", change_bad_refused },
	{ "slots_as_many_as_there_may_be", slots_as_many_as_there_may_be },
	{ "find_random_as_a_linear_search", find_random_as_a_linear_search },
	{ "memory_cut_short_reads_as_zeroes", memory_cut_short_reads_as_zeroes },
	{ "signal_of_another_is_handed_on", signal_of_another_is_handed_on },
	{ "signal_handed_on_without_info_is_ours",
	  signal_handed_on_without_info_is_ours },
	{ "memory_of_many_slots_each_guarded", memory_of_many_slots_each_guarded },
	{ "file_mapped_at_any_offset_and_guarded",
	  file_mapped_at_any_offset_and_guarded },
	{ "memory_goes_from_under_words", memory_goes_from_under_words },
	{ "huge_memory_goes_from_under_words", huge_memory_goes_from_under_words },
};
AUTOTEST(gmem_autotest, gmem_cases);
