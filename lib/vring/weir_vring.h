/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_VRING_H
#define WEIR_VRING_H
/**
 * @file
 * A virtqueue seen from the device's side, split (VIRTIO 1.3, section 2.7) or
 * packed (2.8). What is done to one is in weir_vring_ops.h.
 *
 * A **split** ring is two rings and a table in the guest's memory, and the
 * device's place in them:
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
 * A **packed** ring is one ring of descriptors, each of which says by two flags
 * whose it is. Places carry a wrap counter, which tells one round from the next:
 *
 *     last_avail --- the device has taken descriptors up to here
 *     used_pos ----- the device has given descriptors back up to here
 *
 * A used entry goes where its chain began, into the descriptor itself. Until
 * then the descriptor has to stay as the guest wrote it, because a ring that is
 * stopped goes back over chains that were taken and not given back. So used
 * entries wait in a shadow, and are written when they are published: all but the
 * first one's flags, and then those, so that the guest sees all or none.
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
 * **Behind a vIOMMU** addresses of buffers, and of the ring's parts, are the
 * driver's (iova), and the table of slots is a view of translations
 * (weir_iotlb.h), which may lack one. A chain that needs it is left where it is:
 * WEIR_VRING_MISS, and `miss` says what is to be asked for.
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

struct weir_inflight_packed;

/** In every caller on its own, so that what it knows of the ring counts. */
#define WEIR_VRING_OP static inline __attribute__((always_inline))

/** Entries that a ring may have at most (VIRTIO 1.3, 2.7 and 2.8.10.1). */
#define WEIR_VRING_MAX_SIZE 32768

/**
 * Descriptors that a chain may have, however long the ring: as many as QEMU and
 * Linux's vhost take. It bounds what one frame can cost an lcore.
 */
#define WEIR_VRING_MAX_CHAIN 1024

/** Of a place in a packed ring: the descriptor's index. */
#define WEIR_VRING_POS_IDX 0x7fffu
/** Of a place in a packed ring: the wrap counter. */
#define WEIR_VRING_POS_WRAP 0x8000u

/** A chain of which the device reads the first part and writes the second. */
#define WEIR_VRING_BOTH 0xffffu

/** Missing translations of which a ring makes a note. */
#define WEIR_VRING_MISSES 32u

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
	WEIR_VRING_OVERRUN, /**< packed: descriptors offered that are not given back */
	WEIR_VRING_ACCESS,  /**< a buffer is mapped for the other direction only */
	WEIR_VRING_MISS,    /**< no fault: a translation is not there yet, see `miss` */
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

/** A translation that a view of an IOTLB has not. */
struct weir_vring_miss {
	uint64_t iova;
	bool write; /**< for the device to write; else to read */
};

/** Where a burst is in the ring, ahead of the ring's own last_avail. */
struct weir_vring_at {
	uint16_t pos;  /**< the next chain's place */
	uint16_t left; /**< places from there on that the guest may have filled */
	uint64_t word; /**< packed: length, id, flags of the descriptor at pos */
};

/** Chains that a run has at most. */
#define WEIR_VRING_RUN 32u

/** Chains that follow each other in the ring, each one direct buffer in one piece. */
struct weir_vring_run {
	void *hva[WEIR_VRING_RUN];
	/** used entries in the making: bytes, of one given back those written, and in the
	 * upper half what the ring's format has beside them */
	uint64_t word[WEIR_VRING_RUN];
};

/** Bytes of a chain. */
WEIR_VRING_OP uint32_t
weir_vring_run_len(const struct weir_vring_run *run, uint16_t i)
{
	return (uint32_t)run->word[i];
}

/** What it is given back by. */
WEIR_VRING_OP uint16_t
weir_vring_run_id(const struct weir_vring_run *run, uint16_t i)
{
	return (uint16_t)(run->word[i] >> 32);
}

/** So many bytes of it were written. */
WEIR_VRING_OP void
weir_vring_run_wrote(struct weir_vring_run *run, uint16_t i, uint32_t len)
{
	run->word[i] = (run->word[i] >> 32 << 32) | len;
}

/** A chain at @p p, and the word of it. Its first two cache lines are asked for: a header
 * and a short frame. What is behind them the CPU asks for by itself. */
WEIR_VRING_OP void
weir_vring_run_add(struct weir_vring_run *run, uint16_t i, char *p, uint64_t word,
		   uint16_t dir)
{
	run->hva[i] = p;
	run->word[i] = word;
	if (dir != 0) {
		__builtin_prefetch(p, 1);
		__builtin_prefetch(p + 64, 1);
	} else {
		__builtin_prefetch(p);
		__builtin_prefetch(p + 64);
	}
}

/** A used entry of a packed ring that the guest has not been shown. In the order
 * of a descriptor's second half, with the places where the flags are. */
struct weir_vring_used {
	uint32_t len; /**< bytes written */
	struct weir_chain chain;
};

/** Where the three parts are, and the device's place in them. */
struct weir_vring {
	union {
		struct vring_desc *desc;
		struct vring_packed_desc *packed_desc;
	};
	union {
		struct vring_avail *avail;
		struct vring_packed_desc_event *driver; /**< packed: its wishes */
	};
	union {
		struct vring_used *used;
		struct vring_packed_desc_event *device; /**< packed: ours */
	};
	const struct weir_gmem *gmem;
	struct weir_vring_used *shadow; /**< packed only */
	uint32_t hint;			/**< slot of the last hit */
	uint32_t size;			/**< entries */
	uint16_t mask;	     /**< split: size - 1; packed: of the shadow, likewise */
	uint16_t last_avail; /**< where the next chain is taken */
	uint16_t used_idx;   /**< used entries published; split: what used.idx says */
	uint16_t used_next;  /**< used entries noted */
	uint16_t used_pos;   /**< packed: where the next used entry is published */
	bool packed : 1;     /**< VIRTIO_F_RING_PACKED was negotiated */
	bool event_idx : 1;  /**< VIRTIO_F_RING_EVENT_IDX was negotiated */
	bool call_any : 1;   /**< call_idx means nothing yet: call at once */
	uint32_t call_idx;   /**< split: used.idx when the guest was last called;
				packed: descriptors given back since then */
	/** what chains that could not be taken lacked; whoever looks sets nr_misses to 0
	 */
	uint32_t nr_misses;
	struct weir_vring_miss miss[WEIR_VRING_MISSES];
	/** packed: keeps the ring's place, see weir_inflight.h; NULL: none does */
	struct weir_inflight_packed *kept;
};

/** The frontend's description of a ring; where the table is a view, of iovas. */
struct weir_vring_addr {
	uint64_t desc_uva;  /**< 16-byte aligned */
	uint64_t avail_uva; /**< 2-byte aligned; packed: driver's events, 4 */
	uint64_t used_uva;  /**< 4-byte aligned; packed: device's events */
	uint32_t size;	    /**< entries up to 32768; split: a power of two */
	/** split: first entry of avail.ring to take, if used.idx is wrong; packed:
	 * first descriptor to take, and the wrap counter */
	uint16_t base;
	bool event_idx;
	bool packed;
	/** packed: weir_vring_shadow_size() of them; the ring's while it is used */
	struct weir_vring_used *shadow;
};

/** A part of a ring. */
struct weir_vring_part {
	struct weir_range at; /**< as weir_vring_addr gives it */
	bool write;	      /**< the device writes it, too */
};

/** Descriptors, available and used ring; packed: the driver's and device's events. */
#define WEIR_VRING_PARTS 3u

/**
 * Where a ring's parts are, each with the event index behind it.
 *
 * @return 0; -EINVAL: size or alignment; -EOVERFLOW: one wraps.
 */
int weir_vring_parts(const struct weir_vring_addr *addr,
		     struct weir_vring_part part[WEIR_VRING_PARTS]);

/** A part's host address; NULL: it is not in one slot, or not translated to one
 * stretch of it. */
void *weir_vring_part_find(const struct weir_gmem *gmem,
			   const struct weir_vring_part *part);

/** Used entries that the shadow of a packed ring of @p size entries has. */
static inline uint32_t
weir_vring_shadow_size(uint32_t size)
{
	return size <= 1 ? 1 : 1u << (32 - __builtin_clz(size - 1));
}

/**
 * Find a ring in guest memory and take up the work where it was left.
 *
 * Split: used.idx is left as it is and becomes the device's place in both rings:
 * all chains before it were used, none behind it. Only if avail.idx shows that
 * it cannot be right does the frontend's base say where to go on. Packed: the
 * base does, because nothing in the ring tells a descriptor in the middle of a
 * chain that was used from one that is offered.
 *
 * Tells the guest not to kick: the ring is polled.
 *
 * @param vr  Written only on success.
 * @return 0; -EINVAL: size, alignment or base; -EOVERFLOW: a part wraps; -EFAULT:
 *         one is not in one slot, or not translated to one stretch of it.
 */
int weir_vring_init(struct weir_vring *vr, const struct weir_gmem *gmem,
		    const struct weir_vring_addr *addr);

/** Forget used entries that were not published: their chains were not taken. */
void weir_vring_rewind(struct weir_vring *vr);

/** The fault in words, for a message. */
const char *weir_vring_fault_name(enum weir_vring_fault f);

#ifdef __cplusplus
}
#endif
#endif /* WEIR_VRING_H */
