/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_EPOCH_H
#define WEIR_EPOCH_H
/**
 * @file
 * Waiting until a reader has let go, at no cost to the reader.
 *
 * A reader is one counter: odd while its owner is inside a section, even
 * outside. Whoever wants to take something away first makes it unreachable
 * (stores a NULL, publishes another snapshot) and then waits until each reader
 * that might have seen it has left the section it was in.
 *
 *     reader (polling lcore)             writer (control thread)
 *     weir_epoch_enter(&q->reader);      store(q->ring, NULL);
 *     ring = load(q->ring);              weir_epoch_wait(&q->reader, us);
 *     if (ring != NULL) ... use it       free(ring);
 *     weir_epoch_leave(&q->reader);
 *
 * The reader's store of the counter must be seen before its load of the
 * pointer; on x86 that needs a full fence, 20 to 30 cycles a burst. Instead
 * the writer calls membarrier(2) (MEMBARRIER_CMD_PRIVATE_EXPEDITED, Linux
 * 4.14), which makes every running thread of the process pass a fence, so that
 * the reader needs none but the compiler's. Where the kernel refuses it, or
 * under ThreadSanitizer, which does not know of it, the reader fences.
 *
 * A section may not be entered twice by the same reader, may not sleep, and
 * may be entered by one thread at a time. Unlike QSBR no thread has to report
 * anything while it is outside: an application that stops polling a port
 * delays nobody.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One reader's counter. Zero it before its first use. It is best in a cache line that
 * the reader writes anyway. */
struct weir_epoch_reader {
	/** odd: inside a section; C++ includes this too, so no _Atomic */
	uint64_t ctr;
	struct weir_epoch_reader *next; /**< guarded by weir_epoch.lock */
};

/** A set of readers that a writer waits for together. */
struct weir_epoch {
	pthread_mutex_t lock; /**< guards the list */
	struct weir_epoch_reader *head;
};

/** True if the writer's membarrier(2) stands in for the reader's fence. */
extern bool weir_epoch_asymmetric;

/** Enter a section. Data plane: one store, one well-predicted branch. */
static inline void
weir_epoch_enter(struct weir_epoch_reader *r)
{
	uint64_t c = __atomic_load_n(&r->ctr, __ATOMIC_RELAXED);

	__atomic_store_n(&r->ctr, c + 1, __ATOMIC_RELAXED);
	if (__builtin_expect(weir_epoch_asymmetric, 1))
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
	else
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/** Leave the section. All that was read in it happens before. */
static inline void
weir_epoch_leave(struct weir_epoch_reader *r)
{
	uint64_t c = __atomic_load_n(&r->ctr, __ATOMIC_RELAXED);

	__atomic_store_n(&r->ctr, c + 1, __ATOMIC_RELEASE);
}

/** Initialise an empty set. */
void weir_epoch_init(struct weir_epoch *e);

/** Add a reader that is outside; the memory stays the caller's. Any thread. */
void weir_epoch_register(struct weir_epoch *e, struct weir_epoch_reader *r);

/** Take a reader out of the set; it must be outside. Any thread. */
void weir_epoch_unregister(struct weir_epoch *e, struct weir_epoch_reader *r);

/**
 * Wait until @p r is outside, or has been since the call.
 *
 * @param timeout_us  Microseconds; 0 looks once.
 * @return 0; -EBUSY: still in the same section at the bound.
 */
int weir_epoch_wait(struct weir_epoch_reader *r, uint64_t timeout_us);

/**
 * Wait for every reader of the set.
 *
 * Blocks, bounded by @p timeout_us in all. Not from inside a section.
 * @return 0; -EBUSY: at least one reader is still in the same section.
 */
int weir_epoch_synchronize(struct weir_epoch *e, uint64_t timeout_us);

#ifdef __cplusplus
}
#endif
#endif /* WEIR_EPOCH_H */
