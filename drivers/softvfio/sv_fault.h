/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SV_FAULT_H
#define SV_FAULT_H
/**
 * @file
 * Faults on purpose: which descriptor of a device fails, waits or hangs.
 *
 * A device counts the descriptors it begins, and from 0 those of each burst: what it
 * was given at once. A plan names some by their number, or the next one at a place in
 * its burst, and says what happens: it fails with an error code of the device's, it
 * is held back for a time, or the device stalls in front of it until it is
 * resumed or reset. Several may name the same one: it waits first and fails
 * then. Besides, every descriptor can be given a cost in time.
 *
 * Threads: sv_faults_next() and sv_faults_forget() under the model's lock, the
 * others from any thread.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SV_MAX_FAULTS 64

enum sv_fault_kind {
	SV_FAULT_FAIL,	/**< value: the error code */
	SV_FAULT_DELAY, /**< value: nanoseconds */
	SV_FAULT_STALL, /**< no value */
};

/** One planned fault. */
struct sv_fault {
	enum sv_fault_kind kind;
	uint64_t at; /**< number of the descriptor; in a plan 1 is the next */
	uint64_t value;
	bool placed; /**< `at` is a place in a burst, below SV_MAX_PLACES */
};

#define SV_MAX_PLACES 64

/** What happens to a descriptor. */
enum sv_verdict { SV_GO, SV_HOLD, SV_FAIL };

/** A device's faults. */
struct sv_faults {
	_Atomic uint64_t next;	  /**< least number in the list; UINT64_MAX: none */
	_Atomic uint64_t places;  /**< a bit for each place in the list */
	_Atomic uint64_t count;	  /**< descriptors begun */
	_Atomic uint64_t each_ns; /**< what every one costs */
	_Atomic bool stalled;

	/* guarded by the model's lock */
	bool held;	/**< a descriptor has been counted and not let go yet */
	uint32_t code;	/**< it will fail with this; 0: it will not */
	uint64_t until; /**< CLOCK_MONOTONIC, ns: it is held until then */

	pthread_mutex_t lock; /**< guards the list */
	unsigned int nr;
	struct sv_fault list[SV_MAX_FAULTS];
};

/**
 * Count on, where only one thread counts and others may look: a locked addition
 * is a third of what a descriptor costs.
 */
static inline void
sv_count(_Atomic uint64_t *counter, uint64_t n)
{
	uint64_t v = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, v + n, memory_order_relaxed);
}

/** No faults. */
void sv_faults_init(struct sv_faults *f);

/**
 * Plan one, counted from the next descriptor.
 *
 * @return 0; -EINVAL: `at` is 0, or no place, or it fails with code 0; -ENOSPC: too
 *         many.
 */
int sv_faults_add(struct sv_faults *f, const struct sv_fault *fault);

/** Drop what is planned, and the cost of every one. */
void sv_faults_clear(struct sv_faults *f);

/** End a stall. The caller kicks the device. */
void sv_faults_resume(struct sv_faults *f);

/**
 * What becomes of the descriptor that is to be carried out now. Asked again
 * after SV_HOLD it means the same descriptor.
 *
 * @param place    Its place in its burst.
 * @param code     SV_FAIL: the error code.
 * @param wait_ns  SV_HOLD: how long to wait, as sv_model.run() returns it.
 */
enum sv_verdict sv_faults_next(struct sv_faults *f, uint32_t place, uint32_t *code,
			       uint64_t *wait_ns);

/** The descriptor that was held will not be carried out: the device was reset. */
void sv_faults_forget(struct sv_faults *f);

#endif /* SV_FAULT_H */
