/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "sv_insn.h"
#include "sv_view.h"
#include "sv_view_impl.h"

#define ERR_WRITE 2 /* page-fault error code: it was a write */
#define MAX_INSN_LEN 15

/*
 * A store to a protected page is SIGSEGV. MOVDIR64B is SIGILL on a processor that
 * lacks it. What stands behind ours is where others go.
 */
static struct trap {
	int sig;
	struct sigaction behind;
} traps[] = { { .sig = SIGSEGV }, { .sig = SIGILL } };

#define NR_TRAPS (sizeof(traps) / sizeof(traps[0]))

static pthread_mutex_t trap_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic bool installed; /* ours stand */

static struct trap *
trap_of(int sig)
{
	for (size_t i = 0; i < NR_TRAPS; i++)
		if (traps[i].sig == sig)
			return &traps[i];
	return NULL;
}

/* By the kernel: signal() may be our own, behind which the handler would stay. */
static void
default_action(int sig)
{
	struct {
		void (*handler)(int sig);
		unsigned long flags;
		void (*restorer)(void);
		uint64_t mask;
	} act = { .handler = SIG_DFL };

	syscall(SYS_rt_sigaction, sig, &act, NULL, sizeof(act.mask));
}

/*
 * Hand a fault on. The default action needs no call: with it in place the
 * instruction faults once more when we return.
 */
static void
pass_on(int sig, siginfo_t *info, void *uctx)
{
	struct sigaction next = trap_of(sig)->behind;

	if (next.sa_flags & SA_SIGINFO)
		next.sa_sigaction(sig, info, uctx);
	else if (next.sa_handler != SIG_DFL && next.sa_handler != SIG_IGN)
		next.sa_handler(sig);
	else
		default_action(sig);
}

/* The process ends here, so that what it says may be said by stdio. */
static void
tell_unknown(const struct sv_dev *d, const uint8_t *ip)
{
	fprintf(stderr, "softvfio: %s: a store that is not understood, code",
		d->spec.bdf);
	for (unsigned int i = 0; i < MAX_INSN_LEN; i++)
		fprintf(stderr, " %02x", ip[i]);
	fprintf(stderr, "\n");
}

/* Carry out a store at `addr`. True if it was one to a register. */
static bool
deliver(const struct sv_view *v, uint64_t addr, const struct sv_store *s, mcontext_t *m)
{
	uint8_t block[SV_STORE_64];
	const void *data = &s->value;
	struct sv_dev *d = atomic_load(&v->dev);
	struct weir_range bytes;

	if (d == NULL || (v->prot & PROT_WRITE) == 0 ||
	    weir_range_make(&bytes, addr, s->len) != 0 ||
	    !weir_range_contains(v->hva, bytes))
		return false;
	if (s->len == SV_STORE_64) {
		/* NOLINTNEXTLINE(performance-no-int-to-ptr) */
		memcpy(block, (const void *)(uintptr_t)s->from, sizeof(block));
		data = block;
	}
	sv_dev_store(d, v->bar, v->off + (addr - v->hva.start), data, s->len);
	m->gregs[REG_RIP] += s->insn_len;
	return true;
}

/* True if the fault was a store to a register, which has been carried out. */
static bool
carry_out_store(uint64_t addr, mcontext_t *m)
{
	const struct sv_view *v = sv_view_find(addr);
	const uint8_t *ip = (const uint8_t *)(uintptr_t)m->gregs[REG_RIP];
	const struct sv_dev *d = v != NULL ? atomic_load(&v->dev) : NULL;
	struct sv_store s;

	if (d == NULL || (m->gregs[REG_ERR] & ERR_WRITE) == 0 ||
	    (v->prot & PROT_WRITE) == 0)
		return false;
	if (sv_insn_decode(ip, m->gregs, &s) &&
	    deliver(v, s.len == SV_STORE_64 ? s.to : addr, &s, m))
		return true;
	tell_unknown(d, ip);
	return false;
}

/* The same of an instruction that the processor does not know. */
static bool
carry_out_unknown(mcontext_t *m)
{
	const uint8_t *ip = (const uint8_t *)(uintptr_t)m->gregs[REG_RIP];
	const struct sv_view *v;
	struct sv_store s;

	if (!sv_insn_decode(ip, m->gregs, &s) || s.len != SV_STORE_64)
		return false;
	v = sv_view_find(s.to);
	return v != NULL && deliver(v, s.to, &s, m);
}

static void
on_fault(int sig, siginfo_t *info, void *uctx)
{
	ucontext_t *u = uctx;
	int saved = errno;
	bool done = false;

	if (sig == SIGILL)
		done = carry_out_unknown(&u->uc_mcontext);
	else if (info->si_code == SEGV_ACCERR)
		done = carry_out_store((uint64_t)(uintptr_t)info->si_addr,
				       &u->uc_mcontext);
	if (!done)
		pass_on(sig, info, uctx);
	errno = saved;
}

/* All or none of them. With the lock. */
static int
handlers_set(void)
{
	struct sigaction act = { .sa_sigaction = on_fault,
				 .sa_flags = SA_SIGINFO | SA_ONSTACK };

	sigemptyset(&act.sa_mask);
	for (size_t i = 0; i < NR_TRAPS; i++) {
		struct trap *t = &traps[i];

		if (sigaction(t->sig, &act, &t->behind) == 0)
			continue;
		int ret = -errno;

		while (i-- > 0)
			sigaction(traps[i].sig, &traps[i].behind, NULL);
		return ret;
	}
	return 0;
}

int
sv_trap_install(void)
{
	int ret = 0;

	pthread_mutex_lock(&trap_lock);
	if (!atomic_load(&installed)) {
		ret = handlers_set();
		atomic_store(&installed, ret == 0);
	}
	pthread_mutex_unlock(&trap_lock);
	return ret;
}

int
sv_trap_sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct trap *t = trap_of(sig);

	if (t == NULL || !atomic_load(&installed))
		return 1;
	pthread_mutex_lock(&trap_lock);
	if (old != NULL)
		*old = t->behind;
	if (act != NULL)
		t->behind = *act;
	pthread_mutex_unlock(&trap_lock);
	return 0;
}
