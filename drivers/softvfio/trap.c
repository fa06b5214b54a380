/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "sv_insn.h"
#include "sv_view.h"
#include "sv_view_impl.h"

#define ERR_WRITE 2 /* page-fault error code: it was a write */
#define MAX_INSN_LEN 15

static pthread_mutex_t trap_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic bool installed;	   /* ours stands */
static struct sigaction behind_it; /* what a fault that is not ours goes to */

/*
 * Hand a fault on. The default action needs no call: with it in place the
 * instruction faults once more when we return.
 */
static void
pass_on(int sig, siginfo_t *info, void *uctx)
{
	struct sigaction next = behind_it;

	if (next.sa_flags & SA_SIGINFO)
		next.sa_sigaction(sig, info, uctx);
	else if (next.sa_handler != SIG_DFL && next.sa_handler != SIG_IGN)
		next.sa_handler(sig);
	else
		signal(sig, SIG_DFL);
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

/* True if the fault was a store to a register, which has been carried out. */
static bool
carry_out(uint64_t addr, mcontext_t *m)
{
	const struct sv_view *v = sv_view_find(addr);
	const uint8_t *ip = (const uint8_t *)(uintptr_t)m->gregs[REG_RIP];
	struct weir_range bytes;
	struct sv_store s;
	struct sv_dev *d;

	if (v == NULL || (m->gregs[REG_ERR] & ERR_WRITE) == 0 ||
	    (v->prot & PROT_WRITE) == 0)
		return false;
	d = atomic_load(&v->dev);
	if (d == NULL)
		return false;
	if (!sv_insn_decode(ip, m->gregs, &s) ||
	    weir_range_make(&bytes, addr, s.len) != 0 ||
	    !weir_range_contains(v->hva, bytes)) {
		tell_unknown(d, ip);
		return false;
	}
	sv_dev_store(d, v->bar, v->off + (addr - v->hva.start), &s.value, s.len);
	m->gregs[REG_RIP] += s.insn_len;
	return true;
}

static void
on_fault(int sig, siginfo_t *info, void *uctx)
{
	ucontext_t *u = uctx;
	int saved = errno;

	if (info->si_code != SEGV_ACCERR ||
	    !carry_out((uint64_t)(uintptr_t)info->si_addr, &u->uc_mcontext))
		pass_on(sig, info, uctx);
	errno = saved;
}

int
sv_trap_install(void)
{
	struct sigaction act = { .sa_sigaction = on_fault,
				 .sa_flags = SA_SIGINFO | SA_ONSTACK };
	struct sigaction old;
	int ret = 0;

	pthread_mutex_lock(&trap_lock);
	if (!atomic_load(&installed)) {
		sigemptyset(&act.sa_mask);
		if (sigaction(SIGSEGV, &act, &old) == 0) {
			behind_it = old;
			atomic_store(&installed, true);
		} else {
			ret = -errno;
		}
	}
	pthread_mutex_unlock(&trap_lock);
	return ret;
}

int
sv_trap_sigaction(const struct sigaction *act, struct sigaction *old)
{
	if (!atomic_load(&installed))
		return 1;
	pthread_mutex_lock(&trap_lock);
	if (old != NULL)
		*old = behind_it;
	if (act != NULL)
		behind_it = *act;
	pthread_mutex_unlock(&trap_lock);
	return 0;
}
