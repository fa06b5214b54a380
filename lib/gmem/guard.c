/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gmem_guard.h"
#include "weir_fail.h"
#include "weir_range.h"

#define BLOCK_ENTRIES 64u

/* Handlers of others that ours may ever have found on top. */
#define HANDLERS_MAX 16u

/* How far up its stack a handler's siginfo may be: a frame with AVX-512's state
 * and AMX's, and what a handler that calls ours has between. */
#define FRAME_MAX (256u * 1024)

/* Written under `lock`, read by the handler between two equal, even seq. */
struct gmem_guard {
	_Atomic uint32_t seq;
	_Atomic uint64_t start;
	_Atomic uint64_t last; /* 0: the entry is free */
	_Atomic uint64_t page_size;
	_Atomic int event_fd;
	_Atomic bool lost;
};

struct block {
	struct gmem_guard entry[BLOCK_ENTRIES];
	struct block *_Atomic next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct block first;

/* Handlers of others, the one found first at 0, and the one found last. */
static struct sigaction others[HANDLERS_MAX];
static unsigned int nr_others; /* guarded by going_up */
static _Atomic unsigned int below;
static atomic_flag going_up = ATOMIC_FLAG_INIT;

/* Set while the handler below runs. Not one that is allocated on first use. */
static _Thread_local bool handing_on __attribute__((tls_model("initial-exec")));

static void on_sigbus(int sig, siginfo_t *info, void *ctx);

static bool
is_ours(const struct sigaction *sa)
{
	return (sa->sa_flags & SA_SIGINFO) != 0 && sa->sa_sigaction == on_sigbus;
}

/* Remember a handler that ours goes on top of. */
static int
other_add(const struct sigaction *sa)
{
	unsigned int i;

	for (i = 0; i < nr_others; i++)
		if (others[i].sa_flags == sa->sa_flags &&
		    others[i].sa_handler == sa->sa_handler)
			break;
	if (i == HANDLERS_MAX)
		return -EBUSY;
	if (i == nr_others)
		others[nr_others++] = *sa;
	atomic_store(&below, i);
	return 0;
}

/*
 * Put our handler on top, if it is not. Also called from the handler.
 *
 * SA_SIGINFO and nothing else: DPDK compares sa_flags with just that before it
 * hands on.
 */
static int
go_on_top(void)
{
	const struct sigaction ours = { .sa_sigaction = on_sigbus,
					.sa_flags = SA_SIGINFO };
	struct sigaction now;
	int ret = 0;

	/* another thread is at it: whoever is in its handler comes back here */
	if (atomic_flag_test_and_set(&going_up))
		return 0;
	if (sigaction(SIGBUS, NULL, &now) != 0)
		ret = -errno;
	else if (!is_ours(&now))
		ret = other_add(&now);
	if (ret == 0 && !is_ours(&now) && sigaction(SIGBUS, &ours, NULL) != 0)
		ret = -errno;
	atomic_flag_clear(&going_up);
	return ret;
}

static bool
entry_has(const struct gmem_guard *g, uint64_t addr)
{
	struct weir_range r;
	uint32_t seq;

	do {
		seq = atomic_load_explicit(&g->seq, memory_order_acquire);
		r.start = atomic_load_explicit(&g->start, memory_order_acquire);
		r.last = atomic_load_explicit(&g->last, memory_order_acquire);
		/* one that is being changed is nobody's yet, so not what was hit */
		if ((seq & 1) != 0)
			return false;
	} while (atomic_load_explicit(&g->seq, memory_order_relaxed) != seq);
	return r.last != 0 && weir_range_has(r, addr);
}

static struct gmem_guard *
entry_find(uint64_t addr)
{
	for (struct block *b = &first; b != NULL; b = atomic_load(&b->next))
		for (unsigned int i = 0; i < BLOCK_ENTRIES; i++)
			if (entry_has(&b->entry[i], addr))
				return &b->entry[i];
	return NULL;
}

/* Zero pages from the one at @p addr to the mapping's end. */
static bool
entry_patch(struct gmem_guard *g, uint64_t addr)
{
	const uint64_t one = 1, page = atomic_load(&g->page_size);
	const struct weir_range tail = { addr & ~(page - 1), atomic_load(&g->last) };
	void *p;

	p = mmap((void *)(uintptr_t)tail.start, weir_range_len(tail),
		 PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return false;
	atomic_store(&g->lost, true);
	if (atomic_load(&g->event_fd) >= 0)
		(void)!write(atomic_load(&g->event_fd), &one, sizeof(one));
	return true;
}

/* Nobody wants it: what the kernel would have done without a handler. */
static void
give_up(int sig, const siginfo_t *info)
{
	const struct sigaction dfl = { .sa_handler = SIG_DFL };

	sigaction(sig, &dfl, NULL);
	/* a fault happens again when the handler returns, a signal sent does not */
	if (info == NULL || info->si_code <= 0)
		raise(sig);
}

/* To the handler below ours; to the first there was, if that one is calling us. */
static void
hand_on(int sig, siginfo_t *info, void *ctx)
{
	bool nested = handing_on;
	const struct sigaction *sa = &others[nested ? 0 : atomic_load(&below)];

	handing_on = true;
	if ((sa->sa_flags & SA_SIGINFO) != 0)
		sa->sa_sigaction(sig, info, ctx);
	else if (sa->sa_handler != SIG_DFL && sa->sa_handler != SIG_IGN)
		sa->sa_handler(sig);
	else
		give_up(sig, nested ? NULL : info);
	handing_on = nested;
}

/* False if whoever called us gave us one argument of three. */
static bool
info_given(const siginfo_t *info)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0), at = (uintptr_t)info;

	return at > here && at - here < FRAME_MAX && at % _Alignof(siginfo_t) == 0 &&
	       info->si_signo == SIGBUS;
}

static void
on_sigbus(int sig, siginfo_t *info, void *ctx)
{
	struct gmem_guard *g = NULL;
	int saved = errno;

	if (!handing_on && !info_given(info)) {
		/* it happens again, and then we are the first to know */
		if (go_on_top() != 0)
			give_up(sig, NULL);
		errno = saved;
		return;
	}
	if (!handing_on && info->si_code > 0)
		g = entry_find((uintptr_t)info->si_addr);
	if (g == NULL || !entry_patch(g, (uintptr_t)info->si_addr))
		hand_on(sig, info, ctx);
	errno = saved;
}

static void
entry_write(struct gmem_guard *g, uint64_t start, uint64_t last)
{
	uint32_t seq = atomic_load_explicit(&g->seq, memory_order_relaxed);

	atomic_store_explicit(&g->seq, seq + 1, memory_order_relaxed);
	atomic_store_explicit(&g->start, start, memory_order_release);
	atomic_store_explicit(&g->last, last, memory_order_release);
	atomic_store_explicit(&g->seq, seq + 2, memory_order_release);
}

/* With the lock held. @return NULL: no memory. */
static struct gmem_guard *
entry_free(void)
{
	struct block *b = &first, *more;

	for (;;) {
		for (unsigned int i = 0; i < BLOCK_ENTRIES; i++)
			if (atomic_load(&b->entry[i].last) == 0)
				return &b->entry[i];
		more = atomic_load(&b->next);
		if (more == NULL)
			break;
		b = more;
	}
	more = weir_zalloc(sizeof(*more));
	if (more == NULL)
		return NULL;
	atomic_store(&b->next, more);
	return &more->entry[0];
}

int
gmem_guard_add(void *addr, size_t len, uint64_t page_size, struct gmem_guard **out)
{
	struct weir_range r;
	struct gmem_guard *g;
	int ret;

	ret = weir_range_make(&r, (uintptr_t)addr, len);
	if (ret != 0)
		return ret;
	pthread_mutex_lock(&lock);
	g = entry_free();
	ret = g == NULL ? -ENOMEM : go_on_top();
	if (ret == 0) {
		atomic_store(&g->page_size, page_size);
		atomic_store(&g->event_fd, -1);
		atomic_store(&g->lost, false);
		entry_write(g, r.start, r.last);
		*out = g;
	}
	pthread_mutex_unlock(&lock);
	return ret;
}

void
gmem_guard_del(struct gmem_guard *g)
{
	pthread_mutex_lock(&lock);
	entry_write(g, 0, 0);
	pthread_mutex_unlock(&lock);
}

void
gmem_guard_notify(struct gmem_guard *g, int event_fd)
{
	atomic_store(&g->event_fd, event_fd);
}

bool
gmem_guard_lost(const struct gmem_guard *g)
{
	return atomic_load(&g->lost);
}
