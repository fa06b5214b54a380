/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_VRING_H
#define WEIR_VRING_H
/**
 * @file
 * A split virtqueue seen from the device's side (VIRTIO 1.3, section 2.7).
 *
 * Two rings and a table in the guest's memory, and the device's place in them:
 *
 *     avail.idx ---- the guest adds heads of descriptor chains up to here
 *     last_avail --- the device has taken heads up to here
 *     used_next ---- used entries are written up to here, not yet visible
 *     used.idx ----- the guest sees used entries up to here
 *
 * Between used.idx and used_next lie chains whose copies are under way. The
 * guest may not look at a used entry behind used.idx, so entries are written in
 * their final place as soon as the length is known, in ring order, and a chain
 * is given back by moving used.idx alone. That needs no shadow ring and makes
 * the order of completion the order of the ring by construction.
 *
 * Everything in shared memory is the guest's to change at any time. Each field
 * is read once into a local, checked and then used. A walk over a chain is
 * bounded by the size of the ring, or of the indirect table, and by
 * WEIR_VRING_MAX_CHAIN. Buffers without bytes are passed over in a chain to be
 * read, as some drivers send empty segments; in one to be written they would
 * let a frame cost any number of chains, and are a fault. What cannot be a
 * driver's doing is a fault: the ring is dead until the frontend sets it up
 * again.
 *
 * No threads, no sockets, no system calls. One thread at a time.
 */
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir_gmem.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Entries that a split ring may have at most (VIRTIO 1.3, 2.7). */
#define WEIR_VRING_MAX_SIZE 32768

/**
 * Descriptors that a chain may have, however long the ring: as many as QEMU and
 * Linux's vhost take. It bounds what one frame can cost an lcore.
 */
#define WEIR_VRING_MAX_CHAIN 1024

/** What a guest did that no driver does. 0: nothing. */
enum weir_vring_fault {
	WEIR_VRING_OK,
	WEIR_VRING_AVAIL_IDX,	   /**< avail.idx is more than a ring ahead */
	WEIR_VRING_HEAD,	   /**< a head is not below the ring's size */
	WEIR_VRING_NEXT,	   /**< a next field leaves the table */
	WEIR_VRING_LOOP,	   /**< a chain is longer than its table */
	WEIR_VRING_ADDRESS,	   /**< a buffer is not in guest memory */
	WEIR_VRING_DIRECTION,	   /**< a buffer is writable and should not be, or not and
				      should */
	WEIR_VRING_INDIRECT_TABLE, /**< an indirect table's length or address */
	WEIR_VRING_INDIRECT_NESTED, /**< an indirect descriptor in an indirect table */
	WEIR_VRING_CHAIN_TOO_LONG,  /**< more pieces than the device gathers */
	WEIR_VRING_EMPTY,	    /**< a buffer to be written has no bytes */
	WEIR_VRING_NR_FAULTS,
};

/** A piece of guest memory, contiguous here and for a DMA engine. */
struct weir_iov {
	void *hva;     /**< in this process */
	uint64_t iova; /**< for a DMA engine */
	uint64_t len;  /**< bytes */
};

/** A chain that was taken: what it is called, and its places in the ring. */
struct weir_chain {
	uint16_t id; /**< of its used entry */
	uint16_t nr; /**< places in the ring, 1 in a split one */
};

/** Where a burst is in the ring, ahead of the ring's own last_avail. */
struct weir_vring_at {
	uint16_t pos;  /**< the next chain's place */
	uint16_t left; /**< places from there on that the guest may have filled */
};

/** Where the three parts are, and the device's place in them. */
struct weir_vring {
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t mask;	     /**< size - 1 */
	uint16_t last_avail; /**< next entry of avail.ring to take */
	uint16_t used_idx;   /**< what used.idx says */
	uint16_t used_next;  /**< next entry of used.ring to write */
	uint16_t call_idx;   /**< used.idx when the guest was last called */
	bool event_idx;	     /**< VIRTIO_F_RING_EVENT_IDX was negotiated */
	bool call_any;	     /**< call_idx means nothing yet: call at once */
	uint32_t hint;	     /**< slot of the last hit */
	const struct weir_gmem *gmem;
};

/** The frontend's description of a ring. */
struct weir_vring_addr {
	uint64_t desc_uva;  /**< 16-byte aligned */
	uint64_t avail_uva; /**< 2-byte aligned */
	uint64_t used_uva;  /**< 4-byte aligned */
	uint32_t size;	    /**< entries, a power of two up to 32768 */
	uint16_t base; /**< first entry of avail.ring to take, if used.idx is wrong */
	bool event_idx;
};

/**
 * Find a ring in guest memory and take up the work where it was left.
 *
 * used.idx is left as it is and becomes the device's place in both rings: all
 * chains before it were used, none behind it. Only if avail.idx shows that it
 * cannot be right does the frontend's base say where to go on.
 * Tells the guest not to kick: the ring is polled.
 *
 * @param vr  Written only on success.
 * @return 0; -EINVAL: size or alignment; -EFAULT: a part is not in one slot.
 */
int weir_vring_init(struct weir_vring *vr, const struct weir_gmem *gmem,
		    const struct weir_vring_addr *addr);

/** The fault in words, for a message. */
const char *weir_vring_fault_name(enum weir_vring_fault f);

/**
 * Look what the guest offers, before a burst. Data plane.
 *
 * @return 0; -WEIR_VRING_AVAIL_IDX.
 */
static inline int
weir_vring_open(const struct weir_vring *vr, struct weir_vring_at *at)
{
	uint16_t idx = __atomic_load_n(&vr->avail->idx, __ATOMIC_ACQUIRE);

	at->pos = vr->last_avail;
	at->left = (uint16_t)(idx - vr->last_avail);
	return __builtin_expect(at->left > vr->mask + 1, 0) ? -WEIR_VRING_AVAIL_IDX : 0;
}

/** True if there is a chain at @p at. Data plane. */
static inline bool
weir_vring_has(const struct weir_vring_at *at)
{
	return at->left != 0;
}

/** At least as many as there are chains from @p at on, up to @p max. Data plane. */
static inline uint16_t
weir_vring_count(const struct weir_vring_at *at, uint16_t max)
{
	return at->left < max ? at->left : max;
}

/**
 * Gather all pieces of the chain at @p at, whatever its shape. Data plane, the
 * slow half of weir_vring_take().
 */
int weir_vring_gather(struct weir_vring *vr, const struct weir_vring_at *at, uint16_t dir,
		      struct weir_iov *iov, unsigned int max, struct weir_chain *chain,
		      uint64_t *len);

/**
 * Take the chain at @p at, of which weir_vring_has() is true. Data plane.
 *
 * Neither @p at nor the ring move: see weir_vring_next().
 *
 * @param dir    VRING_DESC_F_WRITE: the device writes it; 0: reads it.
 * @param iov    Room for @p max pieces, 1 or more.
 * @param chain  Written on success.
 * @param len    Bytes of the whole chain, written on success.
 * @return pieces, none of length 0, up to @p max; 0: an empty chain, which only
 *         one to be read can be; or a negated enum weir_vring_fault.
 */
static inline int
weir_vring_take(struct weir_vring *vr, const struct weir_vring_at *at, uint16_t dir,
		struct weir_iov *iov, unsigned int max, struct weir_chain *chain,
		uint64_t *len)
{
	uint16_t head =
		__atomic_load_n(&vr->avail->ring[at->pos & vr->mask], __ATOMIC_RELAXED);
	struct vring_desc d;

	*chain = (struct weir_chain){ head, 1 };
	if (__builtin_expect(head > vr->mask, 0))
		return -WEIR_VRING_HEAD;
	/* one direct buffer in one piece, the usual case */
	d = *(volatile struct vring_desc *)&vr->desc[head];
	if (__builtin_expect(d.flags == dir && d.len != 0 && max != 0, 1)) {
		iov->len = d.len;
		iov->hva = weir_gmem_translate(vr->gmem, (struct weir_gpa){ d.addr },
					       &iov->len, &iov->iova, &vr->hint);
		*len = d.len;
		if (__builtin_expect(iov->hva != NULL && iov->len == d.len, 1))
			return 1;
	}
	return weir_vring_gather(vr, at, dir, iov, max, chain, len);
}

/** Go on behind a chain. Data plane. */
static inline void
weir_vring_next(struct weir_vring_at *at, struct weir_chain chain)
{
	at->pos = (uint16_t)(at->pos + chain.nr);
	at->left = (uint16_t)(at->left - chain.nr);
}

/** What was passed is taken: the next burst begins at @p at. Data plane. */
static inline void
weir_vring_close(struct weir_vring *vr, const struct weir_vring_at *at)
{
	vr->last_avail = at->pos;
}

/** Note the next used entry; the guest does not see it yet. Data plane. */
static inline void
weir_vring_use(struct weir_vring *vr, struct weir_chain chain, uint32_t len)
{
	struct vring_used_elem *e = &vr->used->ring[vr->used_next & vr->mask];

	e->id = chain.id;
	e->len = len;
	vr->used_next++;
}

/** Used entries that were noted and not published. Data plane. */
static inline uint16_t
weir_vring_unpublished(const struct weir_vring *vr)
{
	return (uint16_t)(vr->used_next - vr->used_idx);
}

/** Forget used entries that were not published: their chains were not taken. */
void weir_vring_rewind(struct weir_vring *vr);

/** Let the guest see @p n more used entries. Data plane. */
static inline void
weir_vring_publish(struct weir_vring *vr, uint16_t n)
{
	vr->used_idx = (uint16_t)(vr->used_idx + n);
	__atomic_store_n(&vr->used->idx, vr->used_idx, __ATOMIC_RELEASE);
}

/**
 * True if the guest wants to be called for what was published since the last
 * call (VIRTIO 1.3, 2.7.7 and 2.7.10). Contains a full fence. Data plane.
 */
static inline bool
weir_vring_want_call(struct weir_vring *vr)
{
	uint16_t event, old = vr->call_idx;

	/* used.idx must be visible before the guest's wish is read */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!vr->event_idx)
		return (__atomic_load_n(&vr->avail->flags, __ATOMIC_RELAXED) &
			VRING_AVAIL_F_NO_INTERRUPT) == 0;
	event = __atomic_load_n(&vr->avail->ring[vr->mask + 1], __ATOMIC_RELAXED);
	vr->call_idx = vr->used_idx;
	if (__builtin_expect(vr->call_any, 0)) {
		vr->call_any = false;
		return true;
	}
	return vring_need_event(event, vr->used_idx, old);
}

#ifdef __cplusplus
}
#endif
#endif /* WEIR_VRING_H */
