/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_TEST_QUEUE_RIG_H
#define WEIR_TEST_QUEUE_RIG_H
/*
 * One queue of a port without its port: guest memory, a ring in it, and a DMA
 * engine, all in the hands of a test or of the fuzzer.
 *
 * Guest memory is two slots that adjoin for the guest and lie apart here, each
 * between pages that nobody may touch: whoever reads or writes one byte too
 * many dies. The ring's parts lie at the slots' ends:
 *
 *     gpa 0         descriptors, from the first byte
 *     gpa RIG_SLOT  the available ring ends here, with slot 0
 *     2 * RIG_SLOT  the used ring ends here, with slot 1
 *
 * or, packed, the driver's and the device's event structures do.
 *
 * The engine takes the place of dmadev number 0 for rte_dma_copy() and its
 * like. It translates DMA addresses as an IOMMU does and aborts on one that
 * leads nowhere. It does as many copies as it has credit for, when it is asked
 * what it has completed. There may be a second one, of its own credit: vchan 1.
 *
 * For it host memory is where it is for us, but for what rig_scatter() made.
 *
 * Needs EAL. One rig at a time.
 */
#include <rte_dmadev.h>

#include "queue.h"
#include "test.h"

#define RIG_SLOT 0x4000u
#define RIG_MEM (2 * RIG_SLOT)
#define RIG_DATA 0x400u /* from here to the available ring nothing is laid out */
#define RIG_SIZE_MAX 64u
#define RIG_UVA UINT64_C(0x7f0000000000)
#define RIG_IOVA UINT64_C(0x100000000000) /* of gpa 0 */
#define RIG_DMA_ALL UINT64_MAX

#define RIG_SGES 4u

struct rig_op {
	uint16_t nr; /* of src and dst */
	struct rte_dma_sge src[RIG_SGES], dst[RIG_SGES];
};

struct rig_engine {
	struct rig_op op[256];
	uint32_t submitted, kicked, done; /* of op, running on */
	uint64_t credit;		  /* jobs it may still complete */
	uint64_t cost;			  /* cycles that submitting a job takes */
	uint32_t fail_nth;		  /* each nth fails; 0: none */
	uint64_t nr_done;
	uint32_t bells; /* that were rung */
	bool failed;	/* the op at done, and its user was told */
};

struct rig_conf {
	uint16_t size; /* of the ring, up to RIG_SIZE_MAX */
	bool packed;
	bool dma;
	bool two; /* engines */
	bool sg;  /* they take lists */
	uint32_t threshold;
	struct rte_mempool *pool; /* NULL: a tx queue */
};

struct rig {
	struct weir_queue q;
	struct weir_copy_chan chan, chan2;
	struct weir_copy_op chan_ring[256], chan2_ring[256];
	struct rig_engine engine, engine2;
	struct rte_dma_fp_object *saved;
	uint8_t *slot[2];
	uint16_t size;
	bool packed;
	uint16_t offer_pos; /* packed: the next descriptor to be offered */
};

/*
 * Pages of memory, registered with EAL, that follow each other here and nowhere else: a
 * copy that crosses the end of one aborts. For all rigs; made once. NULL: it cannot be.
 */
uint8_t *rig_scatter(void);
#define RIG_SCATTER_PAGES 4u
#define RIG_SCATTER_PAGE 0x1000u

/* Make the queue and start it. The caller sets the rest of r->q before. 0; -errno. */
int rig_start(struct rig *r, const struct rig_conf *conf);

/* Stop the queue, with all the credit it needs, and free what it has. */
void rig_stop(struct rig *r);

/* Find the ring again, the queue being stopped. @p base: packed, modulo the size.
 * 0; -errno. */
int rig_ring(struct rig *r, uint16_t base, bool event_idx);

/* Guest memory at @p gpa, @p len bytes of which are in one slot; NULL: it is not. */
void *rig_mem(const struct rig *r, uint64_t gpa, uint64_t len);

/* Write to guest memory, wherever the bytes lie; those outside are left out. */
void rig_poke(const struct rig *r, uint64_t gpa, const void *bytes, size_t len);

/* Set a descriptor of the ring; @p next is a packed one's id. */
void rig_desc(const struct rig *r, uint16_t i, uint64_t gpa, uint32_t len, uint16_t flags,
	      uint16_t next);

/* Make a head available; packed: the next descriptor, as it stands. */
void rig_offer(struct rig *r, uint16_t head);

/* Bytes of the header of what follows. */
#define RIG_HDR 12u

/* The guest sends frame number @nr and those after it, one buffer each. */
void rig_send_frames(struct rig *r, uint16_t nr, uint16_t n);

/* What a receive burst brings: those, and no other. */
enum test_result rig_frames_come(struct rig *r, uint16_t nr, uint16_t n);

/* A queue of a guest that merges buffers, with frames from @pool, which is made if it is
 * NULL; @return mbufs of it that nobody gave back. */
int rig_open(struct rig *r, struct rte_mempool **pool, bool tx, struct rig_conf conf);
unsigned int rig_close(struct rig *r, const struct rte_mempool *pool);

#endif /* WEIR_TEST_QUEUE_RIG_H */
