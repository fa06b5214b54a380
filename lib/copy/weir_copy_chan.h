/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_COPY_CHAN_H
#define WEIR_COPY_CHAN_H
/**
 * @file
 * A channel's data plane: submit, kick, poll. What a channel is, who may do what
 * with it and when is in weir_copy.h, which includes this.
 */
#include <stdbool.h>
#include <stdint.h>

#include <rte_dmadev.h>
#include <rte_spinlock.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A copy under way, kept so that it can be done again by CPU. */
struct weir_copy_op {
	void *dst;
	const void *src;
	uint32_t len;  /**< bytes */
	uint32_t more; /**< copies behind it that are of the same job of the device */
};

/** A copy that is one of several of a job. */
struct weir_copy_piece {
	void *dst;
	const void *src;
	rte_iova_t dst_iova, src_iova;
	uint32_t len; /**< bytes, not 0 */
};

/** Copies of a job at most, of any device. */
#define WEIR_COPY_MAX_SG 32

/** A channel. Its user reads `done` and the counters, and writes nothing. */
struct weir_copy_chan {
	rte_spinlock_t lock; /**< guards all that changes below */
	int16_t dev_id;
	uint16_t vchan;
	int16_t node;	    /**< NUMA node of the device; -1: not known */
	bool down;	    /**< the device is not to be called; there is no room */
	bool ask_each;	    /**< rte_dma_completed() is not to be believed */
	uint32_t mask;	    /**< of ring; its size is the vchan's nb_desc */
	uint64_t submitted; /**< number of the last copy submitted */
	uint64_t kicked;    /**< number of the last copy the engine knows of */
	uint64_t done;	    /**< number of the last copy that is done */
	uint64_t errors;    /**< jobs that failed and were done by CPU */
	uint64_t sg_last;   /**< number of the last copy of the last job of several */
	uint16_t max_sg;    /**< copies of a job at most; 1: the device has no lists */
	struct weir_copy_op *ring;
};

/** Copies that a channel may have under way: vchan descriptors asked for. */
#define WEIR_COPY_RING 1024

/** Lock the channel for a burst. Data plane. */
static inline void
weir_copy_lock(struct weir_copy_chan *c)
{
	rte_spinlock_lock(&c->lock);
}

/** Let a lock go. rte_spinlock_unlock() exchanges, on x86, which waits until all that
 * was stored is seen by all; that it is seen in this order is enough. Data plane. */
static inline void
weir_copy_release(rte_spinlock_t *lock)
{
	__atomic_store_n(&lock->locked, 0, __ATOMIC_RELEASE);
}

/** Unlock it. Data plane. */
static inline void
weir_copy_unlock(struct weir_copy_chan *c)
{
	weir_copy_release(&c->lock);
}

/** Copies that can be submitted now. Data plane, locked. */
static inline uint32_t
weir_copy_room(const struct weir_copy_chan *c)
{
	if (__builtin_expect(c->down, 0))
		return 0;
	return c->mask + 1 - (uint32_t)(c->submitted - c->done);
}

/** True if there may be room; as of now, without the lock. Data plane. */
static inline bool
weir_copy_has_room(const struct weir_copy_chan *c)
{
	return !__atomic_load_n(&c->down, __ATOMIC_RELAXED) &&
	       __atomic_load_n(&c->submitted, __ATOMIC_RELAXED) -
			       __atomic_load_n(&c->done, __ATOMIC_RELAXED) <=
		       c->mask;
}

/** True if no copy is under way, so that there is nothing to poll for; without the
 * lock, for one's own copies. Data plane. */
static inline bool
weir_copy_idle(const struct weir_copy_chan *c)
{
	return __atomic_load_n(&c->submitted, __ATOMIC_RELAXED) ==
	       __atomic_load_n(&c->done, __ATOMIC_RELAXED);
}

/**
 * Submit a copy; the engine learns of it with the next weir_copy_kick().
 *
 * The caller has seen weir_copy_room(). Data plane, locked.
 *
 * @param len  Bytes, not 0.
 * @return true; false: the engine did not take it, copy by CPU.
 */
static inline bool
weir_copy_submit(struct weir_copy_chan *c, void *dst, rte_iova_t dst_iova,
		 const void *src, rte_iova_t src_iova, uint32_t len)
{
	uint64_t seq = c->submitted + 1;
	struct weir_copy_op *op = &c->ring[seq & c->mask];

	if (__builtin_expect(
		    rte_dma_copy(c->dev_id, c->vchan, src_iova, dst_iova, len, 0) < 0, 0))
		return false;
	/* weir_copy_touching() reads it without the lock */
	__atomic_store_n(&op->dst, dst, __ATOMIC_RELAXED);
	__atomic_store_n(&op->src, src, __ATOMIC_RELAXED);
	__atomic_store_n(&op->len, len, __ATOMIC_RELAXED);
	__atomic_store_n(&c->submitted, seq, __ATOMIC_RELEASE);
	return true;
}

/**
 * Submit several copies as one job of the device (rte_dma_copy_sg()): one
 * descriptor, one completion. Each is numbered, and repeated by CPU with the
 * others if the job fails.
 *
 * The caller has seen weir_copy_room() for as many. Data plane, locked.
 *
 * @param nr  2 to the channel's max_sg.
 * @return true; false: the engine did not take it.
 */
bool weir_copy_submit_sg(struct weir_copy_chan *c, const struct weir_copy_piece *piece,
			 unsigned int nr);

/** Tell the engine of what was submitted. Data plane, locked. */
static inline void
weir_copy_kick(struct weir_copy_chan *c)
{
	if (__builtin_expect(c->down, 0) || c->kicked == c->submitted)
		return;
	rte_dma_submit(c->dev_id, c->vchan);
	c->kicked = c->submitted;
}

/** @p n more copies are done: their bytes first, then the number, which is read
 * without the lock. Data plane, locked. */
static inline void
weir_copy_advance(struct weir_copy_chan *c, uint16_t n)
{
	__atomic_store_n(&c->done, c->done + n, __ATOMIC_RELEASE);
}

/** Copies that the next @p jobs jobs are, some of which are of several. */
uint16_t weir_copy_job_copies(struct weir_copy_chan *c, uint16_t jobs);

/** The slow half of weir_copy_poll(): the status of each copy is asked for. */
void weir_copy_recover(struct weir_copy_chan *c);

/** Take the engine's completions and move `done`. Data plane, locked. */
static inline void
weir_copy_poll(struct weir_copy_chan *c)
{
	bool error = false;
	uint16_t n;

	if (__builtin_expect(c->down, 0) || c->done == c->kicked)
		return;
	error = c->ask_each;
	if (__builtin_expect(!error, 1)) {
		n = rte_dma_completed(c->dev_id, c->vchan,
				      (uint16_t)(c->kicked - c->done), NULL, &error);
		if (__builtin_expect(c->sg_last > c->done, 0))
			n = weir_copy_job_copies(c, n);
		weir_copy_advance(c, n);
	}
	if (__builtin_expect(error, 0))
		weir_copy_recover(c);
}

/** True if copy number @p seq, and so all before it, are done. Data plane. */
static inline bool
weir_copy_done(const struct weir_copy_chan *c, uint64_t seq)
{
	return __atomic_load_n(&c->done, __ATOMIC_ACQUIRE) >= seq;
}

#ifdef __cplusplus
}
#endif
#endif /* WEIR_COPY_CHAN_H */
