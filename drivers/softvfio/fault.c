/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "sv_clock.h"
#include "sv_fault.h"
#include "sv_model.h"

void
sv_faults_init(struct sv_faults *f)
{
	*f = (struct sv_faults){ .nr = 0 };
	pthread_mutex_init(&f->lock, NULL);
	atomic_init(&f->next, UINT64_MAX);
}

/* With the lock. */
static void
next_find(struct sv_faults *f)
{
	uint64_t next = UINT64_MAX, places = 0;

	for (unsigned int i = 0; i < f->nr; i++) {
		const struct sv_fault *e = &f->list[i];

		if (e->placed)
			places |= UINT64_C(1) << e->at;
		else if (e->at < next)
			next = e->at;
	}
	atomic_store(&f->next, next);
	atomic_store(&f->places, places);
}

static bool
fault_valid(const struct sv_fault *fault)
{
	if (fault->kind == SV_FAULT_FAIL &&
	    (fault->value == 0 || fault->value > UINT32_MAX))
		return false;
	return fault->placed ? fault->at < SV_MAX_PLACES : fault->at != 0;
}

int
sv_faults_add(struct sv_faults *f, const struct sv_fault *fault)
{
	struct sv_fault add = *fault;
	int ret = 0;

	if (!fault_valid(fault))
		return -EINVAL;
	pthread_mutex_lock(&f->lock);
	if (f->nr == SV_MAX_FAULTS) {
		ret = -ENOSPC;
	} else if (!add.placed &&
		   __builtin_add_overflow(fault->at, atomic_load(&f->count), &add.at)) {
		ret = -EINVAL;
	} else {
		f->list[f->nr++] = add;
		next_find(f);
	}
	pthread_mutex_unlock(&f->lock);
	return ret;
}

void
sv_faults_clear(struct sv_faults *f)
{
	pthread_mutex_lock(&f->lock);
	f->nr = 0;
	next_find(f);
	atomic_store(&f->each_ns, 0);
	pthread_mutex_unlock(&f->lock);
}

void
sv_faults_resume(struct sv_faults *f)
{
	atomic_store(&f->stalled, false);
}

/* Take what is planned for descriptor n, at its place, out of the list. */
static void
fault_take(struct sv_faults *f, uint64_t n, uint32_t place)
{
	uint64_t wait = atomic_load_explicit(&f->each_ns, memory_order_relaxed);

	pthread_mutex_lock(&f->lock);
	for (unsigned int i = 0; i < f->nr;) {
		struct sv_fault *e = &f->list[i];

		if (e->placed ? e->at != place : e->at > n) {
			i++;
			continue;
		}
		if (e->kind == SV_FAULT_FAIL)
			f->code |= (uint32_t)e->value;
		else if (e->kind == SV_FAULT_DELAY)
			wait += e->value;
		else
			atomic_store(&f->stalled, true);
		*e = f->list[--f->nr];
	}
	next_find(f);
	pthread_mutex_unlock(&f->lock);
	f->until = wait != 0 ? sv_now_ns() + wait : 0;
}

/* Is anything planned for descriptor n, at its place? */
static bool
fault_due(struct sv_faults *f, uint64_t n, uint32_t place)
{
	uint64_t places = atomic_load_explicit(&f->places, memory_order_relaxed);

	return n >= atomic_load_explicit(&f->next, memory_order_relaxed) ||
	       atomic_load_explicit(&f->each_ns, memory_order_relaxed) != 0 ||
	       (places != 0 && place < SV_MAX_PLACES && (places >> place & 1) != 0);
}

enum sv_verdict
sv_faults_next(struct sv_faults *f, uint32_t place, uint32_t *code, uint64_t *wait_ns)
{
	uint64_t now;

	if (!f->held) {
		uint64_t n;

		sv_count(&f->count, 1);
		n = atomic_load_explicit(&f->count, memory_order_relaxed);
		if (!fault_due(f, n, place))
			return SV_GO;
		f->held = true;
		f->code = 0;
		fault_take(f, n, place);
	}
	if (atomic_load(&f->stalled)) {
		*wait_ns = SV_IDLE;
		return SV_HOLD;
	}
	now = f->until != 0 ? sv_now_ns() : 0;
	if (now < f->until) {
		*wait_ns = f->until - now;
		return SV_HOLD;
	}
	f->held = false;
	*code = f->code;
	return f->code != 0 ? SV_FAIL : SV_GO;
}

void
sv_faults_forget(struct sv_faults *f)
{
	f->held = false;
	atomic_store(&f->stalled, false);
}
