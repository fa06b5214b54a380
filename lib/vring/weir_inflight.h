/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_INFLIGHT_H
#define WEIR_INFLIGHT_H
/**
 * @file
 * The area that outlives a backend: what it had in its hands when it died.
 *
 * The frontend keeps a file that the backend writes, one part for each ring
 * (vhost-user specification, "Inflight I/O tracking"), and gives it to the next
 * backend, which resubmits what the last one took and never gave back.
 *
 * **weir uses chains in ring order.** So what it has in its hands is always the
 * stretch of the available ring that begins at used.idx, which survives in the
 * guest's memory, and no chain need be marked: of a split ring the area says
 * that nothing is in flight, and to go on at used.idx is to resubmit. That is
 * true at every moment, whenever the process dies, for weir as for any other
 * backend that takes over, and a polling lcore never writes there.
 *
 * **Another backend may not have.** The chains that an area marks have their
 * entries of the available ring overwritten, and are to be used first, in the
 * order of their counters. weir_inflight_take() finds them. It also leaves the
 * area such that it stays true while they are given back one by one in that
 * order, without being written: the list of "the last batch" is made to begin
 * with the first of them, and used_idx to stay where it was, so that whoever
 * comes next strikes off as many as used.idx has moved.
 *
 * **Packed rings have no used.idx.** And a used entry is written over a
 * descriptor of its own chain, so that the ring does not tell where its next
 * chain begins. So of a packed ring the area keeps that place. Before each used
 * entry it says from where the place moves and where to, and the entry itself,
 * which is one store, says whether it has: whoever comes next looks at it. Where
 * the guest has to see several chains or none, those of a frame that was merged,
 * their descriptors are kept in the area as well until it has seen them, as the
 * specification has it done for every chain. The lcore pays for this with one
 * store a chain to a cache line of its own; a ring without an area does not.
 *
 * What another backend had in its hands of a packed ring is put back into the
 * ring, in front of what the guest has offered since: those descriptors are the
 * device's, their number is that of the chains', and the guest looks at none of
 * them before it is used. From there on it is as if nothing had been taken.
 *
 * The area is the peer's too. Each field is read once, checked and then used.
 *
 * No threads, no system calls. One thread at a time for one ring.
 */
#include <stdbool.h>
#include <stdint.h>

#include "weir_vring.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What `version` says of an area that holds something; 0: fresh, all zeroes. */
#define WEIR_INFLIGHT_VERSION 1u

/** Each ring's part begins at a multiple of this, in bytes. */
#define WEIR_INFLIGHT_ALIGN 64u

/** Of one head of a split ring. */
struct weir_inflight_desc {
	uint8_t inflight; /**< not 0: taken, and not given back */
	uint8_t pad[5];
	uint16_t next;	  /**< in the list of the last batch */
	uint64_t counter; /**< in which order they were taken */
};

/** Of a split ring. */
struct weir_inflight {
	uint64_t features; /**< 0 */
	uint16_t version;  /**< WEIR_INFLIGHT_VERSION */
	uint16_t nr_desc;  /**< entries of desc */
	uint16_t last_batch_head;
	uint16_t used_idx; /**< used.idx when the last batch was struck off */
	struct weir_inflight_desc desc[];
};

/** A descriptor of a packed ring; of a chain's first one also what is the chain's. */
struct weir_inflight_packed_desc {
	uint8_t inflight; /**< first: not 0: taken, and not given back */
	uint8_t pad;
	uint16_t next;	  /**< of the chain, or of the list of those that hold none */
	uint16_t last;	  /**< first: entry of the chain's last */
	uint16_t num;	  /**< first: descriptors of the chain */
	uint64_t counter; /**< first: in which order they were taken */
	uint16_t id;
	uint16_t flags;
	uint32_t len;
	uint64_t addr;
};

/** Of a packed ring. What belongs together is stored at once. */
struct weir_inflight_packed {
	uint64_t features; /**< 0 */
	uint16_t version;  /**< WEIR_INFLIGHT_VERSION */
	uint16_t nr_desc;  /**< entries of desc */
	/** The list of entries that hold no chain; old: before the last batch. */
	union weir_inflight_heads {
		struct {
			uint16_t free_head;	/**< now */
			uint16_t old_free_head; /**< before the last batch */
		};
		uint32_t word; /**< both, for one store */
	} heads;
	/** Where the next used entry goes; old: where that of the last batch did. */
	union weir_inflight_place {
		struct {
			uint16_t used_idx;	       /**< now */
			uint16_t old_used_idx;	       /**< before the last batch */
			uint8_t used_wrap_counter;     /**< of used_idx */
			uint8_t old_used_wrap_counter; /**< of old_used_idx */
		};
		uint64_t word; /**< all, for one store */
	} place;
	uint8_t pad[8];
	struct weir_inflight_packed_desc desc[];
};

/** Bytes of one ring's part. @param size Entries of the ring, up to 32768. */
uint64_t weir_inflight_len(uint16_t size, bool packed);

/**
 * Take over a split ring's part.
 *
 * @param area      At a multiple of WEIR_INFLIGHT_ALIGN. A fresh one is
 *                  initialised. It may be taken over any number of times.
 * @param size      Entries that the area has room for.
 * @param used_idx  What used.idx says.
 * @param max       Chains that can be in flight: avail.idx - used.idx.
 * @param heads     Room for @p size; those in flight, the oldest first.
 * @param nr        Written on success; 0: go on at used.idx.
 * @return 0; -EPROTO: it is of another version, was made for a ring of another
 *         size, or has more in flight than there can be. Nothing has changed.
 *         -ENOMEM.
 */
int weir_inflight_take(struct weir_inflight *area, uint16_t size, uint16_t used_idx,
		       uint16_t max, uint16_t *heads, uint16_t *nr);

/**
 * Take over a packed ring's part, and keep the ring's place there from now on.
 *
 * @param area  At a multiple of WEIR_INFLIGHT_ALIGN, to stay while the ring is used.
 *              A fresh one is initialised with the ring's place. It may be taken over
 *              any number of times.
 * @param size  Entries that the area has room for, at least the ring's.
 * @param vr    Found, and nothing of it taken. Goes on where the area says; used
 *              entries are to be published by the functions below.
 * @param nr    Written on success: chains that were put back into the ring, before
 *              all others. The ring's descriptors were written if it is not 0.
 * @return 0; -EPROTO: it is of another version, was made for a ring of another
 *         size, says a place that the ring has not, or has chains that make no
 *         sense or are longer than the ring. Nothing has changed. -ENOMEM.
 */
int weir_inflight_packed_take(struct weir_inflight_packed *area, uint16_t size,
			      struct weir_vring *vr, uint16_t *nr);

/**
 * As weir_inflight_packed_take() with a fresh area, whatever it says: the ring's
 * place is known, and nothing is in flight.
 */
void weir_inflight_packed_begin(struct weir_inflight_packed *area, uint16_t size,
				struct weir_vring *vr);

/** weir_vring_publish() of such a ring: the guest sees all @p n, or none of them,
 * whenever this process dies. */
void weir_vring_publish_kept(struct weir_vring *vr, uint16_t n);

/** weir_vring_run_publish() of such a ring, chain by chain. */
void weir_vring_run_publish_kept(struct weir_vring *vr, struct weir_vring_at *at,
				 uint16_t dir, const struct weir_vring_run *run,
				 uint16_t n);

#ifdef __cplusplus
}
#endif
#endif /* WEIR_INFLIGHT_H */
